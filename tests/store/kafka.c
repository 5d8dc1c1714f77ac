/*
 * Producer, consumer, range reader and wait against the real broker, one member of a group at a time. Groups of several: kafka_group.c.
 */
#include "store.h"

#include "oim_kafka.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PARTITIONS 4

static char topic[64], group[64];

struct reports {
    int n, failed, refused;
    int64_t last[PARTITIONS];
    bool ordered;
};

static void reported(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    struct reports *r = ctx;

    r->n++;
    if (err == OIM_EPARSE) r->refused++;
    if (err == OIM_EFATAL) r->failed++;
    if (err != OIM_OK || partition >= PARTITIONS) return;
    if (offset <= r->last[partition]) r->ordered = false;
    r->last[partition] = offset;
}

static struct reports reports_none(void)
{
    return (struct reports){.last = {-1, -1, -1, -1}, .ordered = true};
}

static void reports_all(struct oim_kafka_producer *p, struct reports *r)
{
    int64_t until = oim_mono_ms() + 10000;

    while (oim_kafka_inflight(p) && oim_mono_ms() < until) oim_kafka_reports(p, reported, r, 100);
    assert_int_equal(oim_kafka_inflight(p), 0);
}

static int produce_n(struct oim_kafka_producer *p, int32_t partition, int first, int n)
{
    char text[32];
    int taken = 0;

    for (int i = first; i < first + n; i++) {
        int len = snprintf(text, sizeof(text), "record %d", i);

        taken += oim_kafka_produce(p, topic, partition, NULL, 0, text, (size_t)len, NULL) == OIM_OK;
    }
    return taken;
}

static int setup(void **state)
{
    snprintf(topic, sizeof(topic), "%s", store_tag);
    snprintf(group, sizeof(group), "%s", store_tag);
    store_topic_create(topic, PARTITIONS);
    return 0;
}

static int teardown(void **state)
{
    store_topic_delete(topic);
    return 0;
}

/* ---- producer ---- */

static void producer_reports(void **state)
{
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_conf, "store");
    struct reports r = reports_none();

    assert_non_null(p);
    assert_int_equal(produce_n(p, 0, 0, 1000), 1000);
    assert_int_equal(oim_kafka_inflight(p), 1000);
    reports_all(p, &r);
    assert_int_equal(r.n, 1000);
    assert_int_equal(r.failed + r.refused, 0);
    assert_true(r.ordered);
    assert_int_equal(r.last[0], 999);
    oim_kafka_producer_free(p);
}

static void producer_too_large(void **state)
{
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_conf, "store");
    struct reports r = reports_none();
    size_t size = 2100000;
    char *large = calloc(1, size);

    assert_int_equal(oim_kafka_produce(p, topic, 1, NULL, 0, large, size, NULL), OIM_EPARSE);
    assert_int_equal(oim_kafka_inflight(p), 0);
    /* what we take, the topic takes, too */
    assert_int_equal(oim_kafka_produce(p, topic, 1, NULL, 0, large, 1500000, NULL), OIM_OK);
    reports_all(p, &r);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.failed, 0);
    free(large);
    oim_kafka_producer_free(p);
}

/* murmur2 of Kafka's Java client: what the gateway's and every other producer's keys go by. */
static uint32_t murmur2(const char *key, size_t len)
{
    const uint8_t *p = (const uint8_t *)key;
    uint32_t h = 0x9747b28cu ^ (uint32_t)len;

    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

        k *= 0x5bd1e995u;
        k ^= k >> 24;
        k *= 0x5bd1e995u;
        h = h * 0x5bd1e995u ^ k;
    }
    for (size_t i = len; i-- > 0;) h ^= (uint32_t)p[i] << 8 * i;
    if (len) h *= 0x5bd1e995u;
    h ^= h >> 13;
    h *= 0x5bd1e995u;
    return h ^ h >> 15;
}

static void keyed(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    assert_int_equal(err, OIM_OK);
    *(int32_t *)opaque = partition;
}

static void producer_keys(void **state)
{
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_conf, "store");
    int32_t got[64], expected[64];
    int n = 0;

    for (int i = 0; i < 64; i++) {
        char key[32];
        size_t len = (size_t)snprintf(key, sizeof(key), "u%d_u%d", i * i, 7777 * i);

        expected[n] = (int32_t)((murmur2(key, len) & 0x7fffffff) % PARTITIONS);
        if (expected[n] == 0 || expected[n] == 3) continue; /* the other tests count there */
        assert_int_equal(oim_kafka_produce(p, topic, -1, key, len, "x", 1, &got[n]), OIM_OK);
        n++;
    }
    while (oim_kafka_inflight(p)) oim_kafka_reports(p, keyed, NULL, 1000);
    assert_true(n > 15);
    assert_memory_equal(got, expected, (size_t)n * sizeof(*got));
    oim_kafka_producer_free(p);
}

/* Without a broker everything is kept, nothing is reported, and the log has one line. */
static void producer_without_broker(void **state)
{
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_nowhere, "store");
    struct reports r = reports_none();
    int64_t began = oim_mono_ms();

    store_logged("");
    assert_int_equal(oim_kafka_produce(p, topic, 0, NULL, 0, "x", 1, NULL), OIM_OK);
    while (oim_mono_ms() - began < 1500) oim_kafka_reports(p, reported, &r, 100);
    assert_int_equal(r.n, 0);
    assert_int_equal(oim_kafka_inflight(p), 1);
    assert_int_equal(store_logged("\"kafka"), 1);
    began = oim_mono_ms();
    oim_kafka_producer_free(p);
    assert_true(oim_mono_ms() - began < 1000);
}

/* ---- range reader ---- */

struct rows {
    int n, stop_at;
    int64_t first, last;
    char text[32];
};

static int row(void *ctx, const struct oim_kafka_record *record)
{
    struct rows *rows = ctx;

    if (rows->n++ == 0) {
        rows->first = record->offset;
        snprintf(rows->text, sizeof(rows->text), "%.*s", (int)record->len, (const char *)record->value);
    } else if (record->offset != rows->last + 1) {
        return OIM_EPARSE;
    }
    rows->last = record->offset;
    if (record->timestamp < 1700000000000) return OIM_EPARSE;
    return rows->stop_at && rows->n == rows->stop_at ? OIM_EFENCED : OIM_OK;
}

static void read_range(void **state)
{
    struct rows rows = {0};

    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 10, 500, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 490);
    assert_int_equal(rows.first, 10);
    assert_int_equal(rows.last, 499);
    assert_string_equal(rows.text, "record 10");

    rows = (struct rows){0};
    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, -1, 1000, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 1000);

    rows = (struct rows){0};
    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 999, INT64_MAX, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 1);
    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 1000, INT64_MAX, 3000, row, &rows), OIM_OK);
    assert_int_equal(oim_kafka_read(&store_conf, topic, 3, 0, INT64_MAX, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 1);
}

static void read_nothing(void **state)
{
    struct rows rows = {0};

    assert_int_equal(oim_kafka_read(&store_nowhere, topic, 0, 5, 5, 300, row, &rows), OIM_OK);
    assert_int_equal(oim_kafka_read(&store_nowhere, topic, 0, 7, 5, 300, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 0);
}

static void read_stops(void **state)
{
    struct rows rows = {.stop_at = 3};

    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 0, 1000, 3000, row, &rows), OIM_EFENCED);
    assert_int_equal(rows.n, 3);
}

/* A range that the log does not have is not cut: it is not there yet. */
static void read_beyond(void **state)
{
    struct rows rows = {0};
    int64_t began = oim_mono_ms();

    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 990, 1100, 300, row, &rows), OIM_EUNAVAIL);
    assert_int_equal(rows.n, 10);
    assert_true(oim_mono_ms() - began < 1500);
    assert_int_equal(oim_kafka_read(&store_nowhere, topic, 0, 0, 5, 300, row, &rows), OIM_EUNAVAIL);
    assert_int_equal(oim_kafka_read(&store_conf, topic, 77, 0, 5, 300, row, &rows), OIM_EUNAVAIL);
    assert_int_equal(oim_kafka_read(&store_conf, "openim.store.none", 0, 0, 5, 300, row, &rows), OIM_EUNAVAIL);
}

static void partitions(void **state)
{
    volatile bool stop = false;

    assert_int_equal(oim_kafka_partitions(&store_conf, topic, &stop), PARTITIONS);
    stop = true;
    assert_int_equal(oim_kafka_partitions(&store_conf, "openim.store.none", &stop), OIM_EFATAL);
}

/* ---- consumer ---- */

struct member {
    int asked[PARTITIONS], revoked, later; /* later: how often the answer is "ask again" */
    int64_t committed[PARTITIONS], start;
};

static int64_t assigned(void *ctx, int32_t partition, int64_t committed)
{
    struct member *m = ctx;

    m->asked[partition]++;
    m->committed[partition] = committed;
    if (m->asked[partition] <= m->later) return -2;
    return partition == 0 ? m->start : -1;
}

static void revoked(void *ctx, int32_t partition, bool lost)
{
    struct member *m = ctx;

    m->revoked++;
}

static const struct oim_kafka_events events = {.assigned = assigned, .revoked = revoked};

/* Polls until n records came or the time is over; the offset after the last one of partition 0. */
static int collect(struct oim_kafka_consumer *c, int n, int ms, int64_t *first, int64_t *next)
{
    struct oim_kafka_record records[100];
    int64_t until = oim_mono_ms() + ms;
    int got = 0;

    *first = -1;
    while (got < n && oim_mono_ms() < until) {
        int k = oim_kafka_poll(c, records, 100, 50);

        assert_true(k >= 0);
        for (int i = 0; i < k; i++) {
            if (records[i].partition) continue;
            if (*first < 0) *first = records[i].offset;
            *next = records[i].offset + 1;
            got++;
        }
        oim_kafka_records_free(records, k);
    }
    return got;
}

static void consumer_start_and_commit(void **state)
{
    struct member m = {.start = -1};
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);
    int64_t first, next = 0;

    assert_int_equal(collect(c, 1000, 10000, &first, &next), 1000);
    assert_int_equal(first, 0);
    assert_int_equal(m.committed[0], -1);
    assert_int_equal(oim_kafka_commit(c, 0, 400, true), OIM_OK);
    oim_kafka_consumer_free(c);
    assert_int_equal(m.revoked, PARTITIONS);

    /* the same member is back at once and begins at what was committed */
    m = (struct member){.start = -1};
    c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);
    assert_int_equal(collect(c, 600, 2500, &first, &next), 600);
    assert_int_equal(first, 400);
    assert_int_equal(m.committed[0], 400);
    oim_kafka_consumer_free(c);
}

static void consumer_own_start(void **state)
{
    struct member m = {.start = 990, .later = 1};
    int64_t first, next = 0, began = oim_mono_ms();
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);

    assert_int_equal(collect(c, 10, 8000, &first, &next), 10);
    assert_int_equal(first, 990);
    assert_int_equal(m.asked[0], 2); /* asked again a second later */
    assert_true(oim_mono_ms() - began >= 1000);
    oim_kafka_consumer_free(c);
    assert_int_equal(m.revoked, PARTITIONS);
}

/* Partitions whose start never came are not given back: they were not taken. */
static void consumer_never_started(void **state)
{
    struct member m = {.later = 1000};
    int64_t first, next;
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);

    assert_int_equal(collect(c, 1, 2500, &first, &next), 0);
    assert_true(m.asked[0] >= 2);
    oim_kafka_consumer_free(c);
    assert_int_equal(m.revoked, 0);
}

static void consumer_seek_and_pause(void **state)
{
    struct member m = {.start = 995};
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);
    int64_t first, next = 0;

    assert_int_equal(collect(c, 5, 5000, &first, &next), 5);
    assert_int_equal(oim_kafka_seek(c, 0, 100), OIM_OK);
    assert_int_equal(collect(c, 900, 5000, &first, &next), 900);
    assert_int_equal(first, 100);
    assert_int_equal(oim_kafka_pause(c, 0, true), OIM_OK);
    assert_int_equal(oim_kafka_seek(c, 0, 900), OIM_OK);
    assert_int_equal(collect(c, 1, 700, &first, &next), 0);
    assert_int_equal(oim_kafka_pause(c, 0, false), OIM_OK);
    assert_int_equal(collect(c, 100, 5000, &first, &next), 100);
    assert_int_equal(first, 900);
    oim_kafka_consumer_free(c);
}

/* ---- sleeping on both ---- */

static void *wake_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    oim_kafka_wake(arg);
    return NULL;
}

/* 2,000 rounds: a record is produced, the lane sleeps by the pattern of oim_kafka.h, the record must come without the time-out. */
static void wait_loses_nothing(void **state)
{
    struct member m = {.start = 1000};
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, group, "a", &events, &m);
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_conf, "store");
    struct oim_kafka_wait *w = oim_kafka_wait_new(c, p);
    struct oim_kafka_record records[16];
    struct reports r = reports_none();
    int64_t slowest = 0, until = oim_mono_ms() + 20000, asleep = 0;
    int round = 0, got = 0, rounds = 2000;
    pthread_t thread;

    while (!m.asked[0] && oim_mono_ms() < until) assert_int_equal(oim_kafka_poll(c, records, 16, 100), 0);
    for (round = 0; round < rounds; round++) {
        int64_t began = oim_mono_ms();

        assert_int_equal(produce_n(p, 0, round, 1), 1);
        while ((got <= round || r.n <= round) && oim_mono_ms() < until) {
            int n = oim_kafka_poll(c, records, 16, 0);
            int k = oim_kafka_reports(p, reported, &r, 0);

            assert_true(n >= 0);
            for (int i = 0; i < n; i++) got += records[i].partition == 0;
            oim_kafka_records_free(records, n);
            if (n == 0 && k == 0) asleep += oim_kafka_wait_ms(w, 5000);
        }
        if (round && oim_mono_ms() - began > slowest) slowest = oim_mono_ms() - began;
    }
    assert_int_equal(got, rounds);
    assert_int_equal(r.n, rounds);
    assert_true(slowest < 2000);
    assert_true(asleep > rounds / 2);

    while (oim_kafka_wait_ms(w, 0)) {}
    pthread_create(&thread, NULL, wake_later, w);
    assert_int_equal(oim_kafka_wait_ms(w, 5000), 1);
    pthread_join(thread, NULL);
    /* in the wrong order on purpose */
    oim_kafka_consumer_free(c);
    oim_kafka_producer_free(p);
    oim_kafka_wait_free(w);
}

static void wait_alone(void **state)
{
    struct oim_kafka_wait *w = oim_kafka_wait_new(NULL, NULL);
    int64_t began;

    oim_kafka_wait_ms(w, 0);
    began = oim_mono_ms();
    assert_int_equal(oim_kafka_wait_ms(w, 50), 0);
    assert_true(oim_mono_ms() - began >= 49);
    oim_kafka_wake(w);
    assert_int_equal(oim_kafka_wait_ms(w, 1000), 1);
    oim_kafka_wait_free(w);
}

/* Retention has passed the start: everything begins at what is left. */
static void log_start_moved(void **state)
{
    struct member m = {.start = -1};
    struct rows rows = {0};
    struct oim_kafka_consumer *c;
    int64_t first, next;

    store_topic_trim(topic, 0, 2500);
    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 100, 2600, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.first, 2500);
    assert_int_equal(rows.n, 100);
    rows = (struct rows){0};
    assert_int_equal(oim_kafka_read(&store_conf, topic, 0, 100, 2000, 3000, row, &rows), OIM_OK);
    assert_int_equal(rows.n, 0);

    c = oim_kafka_consumer_new(&store_conf, topic, "fresh", "a", &events, &m);
    assert_int_equal(collect(c, 500, 8000, &first, &next), 500);
    assert_int_equal(first, 2500);
    oim_kafka_consumer_free(c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(producer_reports),
    cmocka_unit_test(producer_too_large),
    cmocka_unit_test(producer_keys),
    cmocka_unit_test(producer_without_broker),
    cmocka_unit_test(read_range),
    cmocka_unit_test(read_nothing),
    cmocka_unit_test(read_stops),
    cmocka_unit_test(read_beyond),
    cmocka_unit_test(partitions),
    cmocka_unit_test(consumer_start_and_commit),
    cmocka_unit_test(consumer_own_start),
    cmocka_unit_test(consumer_never_started),
    cmocka_unit_test(consumer_seek_and_pause),
    cmocka_unit_test(wait_loses_nothing),
    cmocka_unit_test(wait_alone),
    cmocka_unit_test(log_start_moved),
};

const struct store_group store_kafka = {"kafka", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown};
