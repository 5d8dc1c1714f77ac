/* What oim_kafka*.c share. Nobody else includes it: librdkafka stays behind oim_kafka.h. */
#ifndef OIM_KAFKA_INTERNAL_H
#define OIM_KAFKA_INTERNAL_H

#include "oim_conf.h"
#include "oim_err.h"
#include "oim_kafka.h"
#include "oim_log.h"

#include <librdkafka/rdkafka.h>

rd_kafka_conf_t *kafka_conf_new(const struct oim_conf *conf, const char *client);
void kafka_conf_set(rd_kafka_conf_t *kc, const char *name, const char *value); /* a refused setting of ours ends the process */
void kafka_conf_set_int(rd_kafka_conf_t *kc, const char *name, int value);
void kafka_record_fill(struct oim_kafka_record *record, rd_kafka_message_t *m);
rd_kafka_queue_t *kafka_producer_queue(struct oim_kafka_producer *p);

#endif
