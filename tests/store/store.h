/*
 * What the test files share. Each file has one group; main.c runs all with settings from OPENIM_*. Everything they make carries this
 * process' id (topics, databases, keys) and is removed at the end, so they run beside a living system.
 */
#ifndef STORE_H
#define STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oim_app.h"
#include "oim_conf.h"
#include "oim_err.h"

struct store_group {
    const char *name;
    const struct CMUnitTest *tests;
    size_t n;
    int (*setup)(void **state), (*teardown)(void **state);
};

extern const struct store_group store_redis, store_kafka, store_kafka_group, store_sql, store_migrate, store_mongo;

extern struct oim_conf store_conf;  /* the real servers; mysql and mongo databases of our own */
extern struct oim_conf store_nowhere; /* the same settings with addresses where nobody listens */
extern char store_tag[32];          /* "openim_store_<pid>" */

/* topic.c: real topics. */
void store_topic_create(const char *topic, int partitions);
void store_topic_delete(const char *topic);
void store_topic_trim(const char *topic, int32_t partition, int64_t before); /* as retention does */

/* How many lines the log got since the last call that contain the text. */
int store_logged(const char *text);

/* measure.c */
int store_measure(void);

#endif
