/*
 * Several members of one group against the real broker: partitions move as members come and go, a restarted member gets its own back, two
 * members of one name fence each other.
 */
#include "store.h"

#include "oim_kafka.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PARTITIONS 8

static char topic[64];

struct member {
    struct oim_kafka_consumer *c;
    bool owned[PARTITIONS], slow;
    int delay_ms;
    int gained, given, lost, asked, records;
};

static int64_t assigned(void *ctx, int32_t partition, int64_t committed)
{
    struct member *m = ctx;

    m->asked++;
    if (m->delay_ms) usleep((useconds_t)m->delay_ms * 1000);
    if (m->slow) return -2;
    assert_false(m->owned[partition]);
    m->owned[partition] = true;
    m->gained++;
    return -1;
}

static void revoked(void *ctx, int32_t partition, bool lost)
{
    struct member *m = ctx;

    assert_true(m->owned[partition]);
    m->owned[partition] = false;
    m->given++;
    m->lost += lost;
}

static const struct oim_kafka_events events = {.assigned = assigned, .revoked = revoked};

static struct oim_kafka_consumer *join(struct member *m, const char *group, const char *lane)
{
    m->c = oim_kafka_consumer_new(&store_conf, topic, group, lane, &events, m);
    assert_non_null(m->c);
    return m->c;
}

static int owned(const struct member *m)
{
    int n = 0;

    for (int i = 0; i < PARTITIONS; i++) n += m->owned[i];
    return n;
}

static int poll_some(struct member *m, int ms)
{
    struct oim_kafka_record records[64];
    int n = m->c ? oim_kafka_poll(m->c, records, 64, ms) : 0;

    if (n > 0) {
        m->records += n;
        oim_kafka_records_free(records, n);
    }
    return n;
}

/* Until each has so many, or the time is over. */
static void settle(struct member *a, int na, struct member *b, int nb, int ms)
{
    int64_t until = oim_mono_ms() + ms;

    while ((owned(a) != na || owned(b) != nb) && oim_mono_ms() < until) {
        assert_true(poll_some(a, 20) >= 0);
        assert_true(poll_some(b, 20) >= 0);
    }
    assert_int_equal(owned(a), na);
    assert_int_equal(owned(b), nb);
    for (int i = 0; i < PARTITIONS; i++) assert_false(a->owned[i] && b->owned[i]);
}

static void leave(struct member *m)
{
    oim_kafka_consumer_free(m->c);
    m->c = NULL;
    assert_int_equal(owned(m), 0);
}

static int setup(void **state)
{
    snprintf(topic, sizeof(topic), "%s_group", store_tag);
    store_topic_create(topic, PARTITIONS);
    return 0;
}

static int teardown(void **state)
{
    store_topic_delete(topic);
    return 0;
}

/* The second takes half, and the first keeps the other half without a pause. */
static void members_share(void **state)
{
    struct member a = {0}, b = {0};
    bool before[PARTITIONS];

    join(&a, "share", "a");
    settle(&a, PARTITIONS, &b, 0, 10000);
    memcpy(before, a.owned, sizeof(before));
    join(&b, "share", "b");
    settle(&a, PARTITIONS / 2, &b, PARTITIONS / 2, 20000);
    assert_int_equal(a.given, PARTITIONS / 2);
    assert_int_equal(a.gained, PARTITIONS);

    /* b is gone: its session ends, a gets what it had */
    leave(&b);
    settle(&a, PARTITIONS, &b, 0, 20000);
    assert_int_equal(a.lost, 0);
    leave(&a);
}

/* A member that comes back within its session gets the same partitions, and the others notice nothing. */
static void member_returns(void **state)
{
    struct member a = {0}, b = {0}, again = {0};
    int64_t began;

    join(&a, "return", "a");
    join(&b, "return", "b");
    settle(&a, PARTITIONS / 2, &b, PARTITIONS / 2, 20000);
    a.given = a.gained = 0;
    memcpy(again.owned, b.owned, sizeof(again.owned));
    leave(&b);
    began = oim_mono_ms();
    join(&b, "return", "b");
    settle(&a, PARTITIONS / 2, &b, PARTITIONS / 2, 10000);
    assert_memory_equal(b.owned, again.owned, sizeof(b.owned));
    assert_int_equal(a.given + a.gained, 0);
    assert_true(oim_mono_ms() - began < 2500);
    leave(&b);
    leave(&a);
}

/* Partitions that wait for their start move to another member like all others. */
static void waiting_moves(void **state)
{
    struct member a = {.slow = true}, b = {0};
    int64_t until = oim_mono_ms() + 10000;

    join(&a, "waiting", "a");
    while (a.asked < PARTITIONS && oim_mono_ms() < until) poll_some(&a, 50);
    assert_true(a.asked >= PARTITIONS);
    join(&b, "waiting", "b");
    settle(&a, 0, &b, PARTITIONS / 2, 20000);
    a.slow = false;
    settle(&a, PARTITIONS / 2, &b, PARTITIONS / 2, 20000);
    assert_int_equal(a.given, 0);
    leave(&b);
    leave(&a);
}

/* A take-over that is longer than a rebalance, and than the session: the group goes on meanwhile. */
static void take_over_is_slow(void **state)
{
    struct member a = {.delay_ms = 500}, b = {0};

    join(&a, "slow", "a");
    poll_some(&a, 3000); /* the assignment, and 4 s for its 8 partitions */
    assert_int_equal(owned(&a), PARTITIONS);
    assert_int_equal(a.lost, 0);
    a.delay_ms = 50;
    join(&b, "slow", "b");
    b.delay_ms = 50;
    settle(&a, PARTITIONS / 2, &b, PARTITIONS / 2, 20000);
    leave(&a);
    settle(&a, 0, &b, PARTITIONS, 20000);
    leave(&b);
}

/* Two processes of one name: the older is told, the newer has its partitions. */
static void member_fenced(void **state)
{
    struct member a = {0}, b = {0};
    int64_t until = oim_mono_ms() + 15000;
    int n = 0;

    join(&a, "fenced", "a");
    settle(&a, PARTITIONS, &b, 0, 10000);
    store_logged("");
    join(&b, "fenced", "a");
    while (n >= 0 && oim_mono_ms() < until) {
        n = poll_some(&a, 20);
        assert_true(poll_some(&b, 20) >= 0);
    }
    assert_int_equal(n, OIM_EFATAL);
    assert_int_equal(poll_some(&a, 20), OIM_EFATAL);
    assert_int_equal(store_logged("kafka refuses this process"), 1);
    leave(&a);
    until = oim_mono_ms() + 10000;
    while (owned(&b) != PARTITIONS && oim_mono_ms() < until) assert_true(poll_some(&b, 50) >= 0);
    assert_int_equal(owned(&b), PARTITIONS);
    leave(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(members_share),
    cmocka_unit_test(member_returns),
    cmocka_unit_test(waiting_moves),
    cmocka_unit_test(take_over_is_slow),
    cmocka_unit_test(member_fenced),
};

const struct store_group store_kafka_group = {"kafka_group", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown};
