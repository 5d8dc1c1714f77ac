/*
 * Kafka as the lanes see it: a consumer that says when partitions come and go, a producer whose delivery reports come
 * back in the lane's own thread, a reader of a closed range for take-overs. librdkafka stays in oim_kafka*.c.
 *
 * One lane thread owns one consumer and one producer, and sleeps in oim_kafka_wait on both:
 *
 *   n = oim_kafka_poll(c, records, max, 0);           events, records
 *   r = oim_kafka_reports(p, report, ctx, 0);         all reports
 *   if (n == 0 && r == 0) oim_kafka_wait_ms(w, ms);   only when both were empty, or nothing wakes it (oim_kafka_wait.c)
 *
 * with ms of a second at most: partitions whose start is not known are asked for again by oim_kafka_poll alone.
 */
#ifndef OIM_KAFKA_H
#define OIM_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oim_conf;
struct oim_kafka_consumer;
struct oim_kafka_producer;
struct oim_kafka_wait;

struct oim_kafka_record {
    int32_t partition;
    int64_t offset;
    int64_t timestamp; /* ms, of the log */
    const uint8_t *key, *value;
    size_t key_len, len;
    void *handle; /* ours */
};

/* ---- consumer ---- */

struct oim_kafka_events {
    /* A partition was given to this consumer. committed = the group's offset or -1. Returns the offset to start from
     * (-1: committed, or the beginning when there is none), or -2 to be asked again a second later (a
     * store is away). May take long; calls nothing of this consumer but oim_kafka_commit. */
    int64_t (*assigned)(void *ctx, int32_t partition, int64_t committed);
    /* Only of partitions whose start was given. lost: do not commit; else this is the last chance. */
    void (*revoked)(void *ctx, int32_t partition, bool lost);
    bool bulk; /* rather few large fetches than early ones: up to 200 ms or 64 KB are waited for */
};

/* group "openim-logic-msg" etc.; static membership: group.instance.id = <conf instance>-<lane>. Auto commit is off.
 * max.poll.interval is a day: liveness is the session time-out, a lane may wait for its stores. */
struct oim_kafka_consumer *oim_kafka_consumer_new(const struct oim_conf *conf, const char *topic, const char *group, const char *lane,
                                                  const struct oim_kafka_events *events, void *ctx);
/* Calls revoked for what it has; commits nothing itself. Free all records before: it waits for them, for ever. The member stays
 * in the group until its session ends, so that a process that is started again gets the same partitions at once. */
void oim_kafka_consumer_free(struct oim_kafka_consumer *c);

/* Up to max records, waits at most timeout_ms for the first. Runs the events. 0 or more; OIM_EFATAL when fenced by another
 * process with the same instance name (logged with what to do). Free what was returned. */
int oim_kafka_poll(struct oim_kafka_consumer *c, struct oim_kafka_record *records, int max, int timeout_ms);
void oim_kafka_records_free(struct oim_kafka_record *records, int n);

/* next = first offset not done. Asynchronous unless wait (at most a session time-out). OIM_EUNAVAIL is retried by the next commit. */
int oim_kafka_commit(struct oim_kafka_consumer *c, int32_t partition, int64_t next, bool wait);
int oim_kafka_pause(struct oim_kafka_consumer *c, int32_t partition, bool pause);
int oim_kafka_seek(struct oim_kafka_consumer *c, int32_t partition, int64_t offset);

/* ---- producer: acks=all, idempotent, message.timeout 0 (a broker outage is waited out, order is kept) ---- */

struct oim_kafka_producer *oim_kafka_producer_new(const struct oim_conf *conf, const char *name);
void oim_kafka_producer_free(struct oim_kafka_producer *p);

/* partition -1 = by key (murmur2, as the gateway's). The value is copied. opaque comes back in the report.
 * OIM_OK, OIM_ELIMIT (queue full: wait for reports), OIM_EPARSE (too large), OIM_EFATAL. */
int oim_kafka_produce(struct oim_kafka_producer *p, const char *topic, int32_t partition, const void *key, size_t key_len,
                      const void *value, size_t len, void *opaque);

/* Delivery reports since the last call, in order per partition; waits at most timeout_ms for the
 * first. err OIM_OK, OIM_EPARSE (larger than the topic takes: this record alone is refused) or
 * OIM_EFATAL. Returns how many were given. */
typedef void (*oim_kafka_report)(void *ctx, void *opaque, int err, int32_t partition, int64_t offset);
int oim_kafka_reports(struct oim_kafka_producer *p, oim_kafka_report report, void *ctx, int timeout_ms);
size_t oim_kafka_inflight(const struct oim_kafka_producer *p);

/* ---- sleeping on both ---- */

struct oim_kafka_wait *oim_kafka_wait_new(struct oim_kafka_consumer *c, struct oim_kafka_producer *p); /* either may be NULL */
void oim_kafka_wait_free(struct oim_kafka_wait *w);
int oim_kafka_wait_ms(struct oim_kafka_wait *w, int timeout_ms); /* 1: something is there, 0: time is over. Also woken by _wake */
void oim_kafka_wake(struct oim_kafka_wait *w);                    /* from any thread */

/* ---- topics ---- */

/* Waits for the broker and the topic; logs once a second what it waits for. Returns the partition count, or OIM_EFATAL when *stop. */
int oim_kafka_partitions(const struct oim_conf *conf, const char *topic, const volatile bool *stop);

/* Calls row for every record of [from, to) in order; to INT64_MAX: up to the end as it is now. Gives
 * up with OIM_EUNAVAIL after timeout_ms without progress, also when the log does not reach `to` by
 * then: a range is never cut silently. A `from` below the log start begins at the log start. row
 * returns 0 to go on; anything else ends the reading and is returned. */
int oim_kafka_read(const struct oim_conf *conf, const char *topic, int32_t partition, int64_t from, int64_t to, int timeout_ms,
                   int (*row)(void *ctx, const struct oim_kafka_record *record), void *ctx);

#endif
