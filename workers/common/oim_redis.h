/*
 * A blocking, pipelined Redis connection, one per lane. Connects by itself, with time-outs; every call may return
 * OIM_EUNAVAIL. hiredis never shows outside.
 *
 *   oim_redis_add(rds, "HGET %s %s", key, field);    queue any number (hiredis format; %b takes pointer, size_t)
 *   if (oim_redis_run(rds) == OIM_OK)                one write, one read, all replies kept until the next add or reset
 *       v = oim_redis_reply(rds, 0);
 */
#ifndef OIM_REDIS_H
#define OIM_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oim_conf;
struct oim_redis;

enum oim_redis_type { OIM_REDIS_NIL, OIM_REDIS_STRING, OIM_REDIS_INTEGER, OIM_REDIS_ARRAY, OIM_REDIS_ERROR };

/* Borrowed view of one reply, valid until the next add or reset. */
struct oim_redis_value {
    enum oim_redis_type type;
    const char *str; /* NUL-terminated, may hold NULs */
    size_t len;
    long long integer;
    size_t elements;
    const void *node; /* for _at */
};

struct oim_redis *oim_redis_new(const struct oim_conf *conf, const char *name);
void oim_redis_free(struct oim_redis *rds);
int oim_redis_add(struct oim_redis *rds, const char *fmt, ...);
int oim_redis_add_argv(struct oim_redis *rds, int argc, const char **argv, const size_t *lens);
/* OIM_OK, or OIM_EUNAVAIL: the connection is dropped and the queue empty, any of the commands may have run; add them again (a connect
 * that failed is tried again 100 ms later). Error replies of single commands are values, but for those of a server that is loading or a copy. */
int oim_redis_run(struct oim_redis *rds);
size_t oim_redis_count(const struct oim_redis *rds); /* queued or answered */
struct oim_redis_value oim_redis_reply(const struct oim_redis *rds, size_t index);
struct oim_redis_value oim_redis_at(const struct oim_redis_value *array, size_t index);
void oim_redis_reset(struct oim_redis *rds);
unsigned oim_redis_generation(const struct oim_redis *rds); /* grows with every connection made */
int64_t oim_redis_connected_at(const struct oim_redis *rds); /* oim_mono_ms() of the connection, 0: there is none */

/* Subscribes and calls message for each one, from the calling thread, until *stop; connects again by itself. hearing: messages arrive from
 * now on, or no more; what came in between is not known. */
struct oim_redis_ear {
    void (*message)(void *arg, const char *data, size_t len);
    void (*hearing)(void *arg, bool on);
    void *arg;
};
void oim_redis_subscribe(const struct oim_conf *conf, const char *channel, const volatile bool *stop, const struct oim_redis_ear *ear);

#endif
