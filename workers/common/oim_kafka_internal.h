/* What oim_kafka*.c share. Nobody else includes it: librdkafka stays behind oim_kafka.h. */
#ifndef OIM_KAFKA_INTERNAL_H
#define OIM_KAFKA_INTERNAL_H

#include "oim_conf.h"
#include "oim_err.h"
#include "oim_kafka.h"
#include "oim_log.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

/* State of one client, and its opaque. The library's threads read it in the log callback only. */
struct kafka_link {
    bool down;          /* no broker answers, and the log says so */
    bool fatal;         /* the client is of no more use */
    int told;           /* last error in the log, not repeated within TELL_AGAIN_MS */
    int64_t told_at;
};

/* link may be NULL: errors are then what the calls return, nothing is logged. */
rd_kafka_conf_t *kafka_conf_new(const struct oim_conf *conf, const char *client, struct kafka_link *link);
void kafka_conf_set(rd_kafka_conf_t *kc, const char *name, const char *value); /* a refused setting of ours ends the process */
void kafka_conf_set_int(rd_kafka_conf_t *kc, const char *name, int value);

void kafka_link_error(struct kafka_link *link, rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *why);
void kafka_link_up(struct kafka_link *link, rd_kafka_t *rk); /* a broker has answered */

void kafka_record_fill(struct oim_kafka_record *record, rd_kafka_message_t *m);

/* New references: rd_kafka_queue_destroy. */
rd_kafka_queue_t *kafka_consumer_queue(struct oim_kafka_consumer *c);
rd_kafka_queue_t *kafka_producer_queue(struct oim_kafka_producer *p);

#endif
