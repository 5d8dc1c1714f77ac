/* What may happen to the process and to its stores while messages come: afterwards every message is in both stores once. */
#include "archive.h"

#include <unistd.h>

#define COUNT "SELECT COUNT(*) FROM msg_history"
#define SLICE 10 /* seqs of every conversation */

static int64_t epochs[PARTITIONS], fed;

static void stream_begin(void)
{
    for (int32_t p = 0; p < PARTITIONS; p++) epochs[p] = feed_fence(p);
    fed = 0;
}

static void stream_slice(void)
{
    for (int64_t seq = fed + 1; seq <= fed + SLICE; seq++) {
        for (int c = 0; c < CONVERSATIONS; c++) feed_stream(epochs[c % PARTITIONS], c, seq);
    }
    fed += SLICE;
}

static void stream_end(int seconds)
{
    feed_flush();
    sql_await(fed * CONVERSATIONS, seconds, COUNT);
    expect_stream(fed);
    expect_counts();
    expect_offsets();
}

void test_kill(void **state)
{
    struct worker w = {0};

    stream_begin();
    worker_start(&w);
    for (int i = 0; i < 15; i++) {
        stream_slice();
        usleep(20000 + (useconds_t)(i * 7919 % 500) * 1000);
        worker_kill(&w);
        worker_start(&w);
    }
    /* and while it has much to do */
    feed_flush();
    sql_await(fed * CONVERSATIONS, 60, COUNT);
    worker_kill(&w);
    for (int i = 0; i < 5; i++) stream_slice();
    feed_flush();
    for (int i = 0; i < 5; i++) {
        worker_start(&w);
        usleep(300000 + (useconds_t)i * 100000);
        worker_kill(&w);
    }
    worker_start(&w);
    stream_end(60);
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(worker_logged(&w, "left out"), 0);
}

void test_mysql_away(void **state)
{
    struct proxy *wire = proxy_new(conf.mysql.address);
    struct worker w = {.mysql = proxy_address(wire)};
    int64_t before;

    stream_begin();
    stream_slice();
    proxy_cut(wire, true); /* at the start */
    worker_start(&w);
    sleep(2);
    assert_true(worker_alive(&w));
    proxy_cut(wire, false);
    sql_await(fed * CONVERSATIONS, 30, COUNT);
    for (int i = 0; i < 3; i++) {
        stream_slice();
        usleep(30000);
        proxy_cut(wire, true); /* in the middle of a batch */
        before = sql_int(COUNT, NULL);
        for (int k = 0; k < 3; k++) stream_slice();
        sleep(3);
        assert_true(worker_alive(&w));
        assert_int_equal(sql_int(COUNT, NULL), before);
        proxy_cut(wire, false);
        sql_await(fed * CONVERSATIONS, 30, COUNT);
    }
    stream_end(30);
    assert_true(worker_logged(&w, "history waits for its stores") <= 3);
    assert_true(worker_logged(&w, "mysql is away") <= 4);
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(worker_logged(&w, "partition given back"), PARTITIONS); /* at the end only: an outage costs no partition */
    proxy_free(wire);
}

void test_mongo_away(void **state)
{
    struct proxy *wire = proxy_new(strstr(conf.mongo.uri, "//") + 2);
    struct worker w = {0};
    char uri[128];
    int64_t before;

    snprintf(uri, sizeof(uri), "mongodb://%s", proxy_address(wire));
    w.mongo = uri;
    stream_begin();
    stream_slice();
    proxy_cut(wire, true);
    worker_start(&w);
    sleep(3);
    assert_true(worker_alive(&w));
    assert_int_equal(sql_int(COUNT, NULL), 0);
    proxy_cut(wire, false);
    sql_await(fed * CONVERSATIONS, 30, COUNT);
    for (int i = 0; i < 2; i++) {
        stream_slice();
        usleep(30000);
        proxy_cut(wire, true);
        for (int k = 0; k < 3; k++) stream_slice();
        sleep(1);
        before = sql_int("SELECT SUM(next_offset) FROM archive_offset", NULL); /* a position means both stores */
        sleep(5);
        assert_true(worker_alive(&w));
        assert_int_equal(sql_int("SELECT SUM(next_offset) FROM archive_offset", NULL), before);
        proxy_cut(wire, false);
        sql_await(fed * CONVERSATIONS, 30, COUNT);
    }
    stream_end(30);
    assert_true(worker_logged(&w, "history waits for its stores") <= 2);
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(worker_logged(&w, "partition given back"), PARTITIONS);
    proxy_free(wire);
}

/* Names of their own: the group remembers its static members for a while. */
static void named(struct worker *a, struct worker *b)
{
    snprintf(a->instance, sizeof(a->instance), "%.50s-a", conf.general.instance);
    snprintf(b->instance, sizeof(b->instance), "%.50s-b", conf.general.instance);
}

static void joined(const struct worker *w, int times)
{
    for (int i = 0; i < 200 && worker_logged(w, "partition taken") < times; i++) usleep(100000);
    assert_true(worker_logged(w, "partition taken") >= times);
}

/* As deploy/dev/supervise.sh: a member that Kafka has fenced ends and is started again. */
static void supervise(struct worker *w)
{
    int taken = worker_logged(w, "partition taken");

    if (worker_alive(w)) return;
    assert_true(worker_logged(w, "kafka refuses this process") > 0);
    worker_start(w);
    joined(w, taken + 1);
}

static void await_supervised(struct worker *a, struct worker *b, int seconds)
{
    for (int64_t until = oim_mono_ms() + seconds * 1000; sql_int(COUNT, NULL) != fed * CONVERSATIONS && oim_mono_ms() < until; usleep(100000)) {
        supervise(a);
        supervise(b);
    }
}

/* A process that stands still for longer than its session and then goes on, while another one has its partitions. */
void test_zombie(void **state)
{
    struct worker a = {0}, b = {0};

    named(&a, &b);
    stream_begin();
    worker_start(&a);
    stream_slice();
    feed_flush();
    sql_await(fed * CONVERSATIONS, 30, COUNT);
    worker_start(&b);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) stream_slice();
        usleep(20000 + (useconds_t)i * 60000);
        worker_pause(i % 2 ? &b : &a, true);
        for (int k = 0; k < 2; k++) stream_slice();
        feed_flush();
        await_supervised(&a, &b, 40);
        sql_await(fed * CONVERSATIONS, 1, COUNT); /* the other one has taken over */
        stream_slice();
        worker_pause(i % 2 ? &b : &a, false);
        stream_slice();
        usleep(500000);
    }
    feed_flush();
    await_supervised(&a, &b, 40);
    stream_end(1);
    supervise(&a);
    supervise(&b);
    assert_int_equal(worker_stop(&a), 0);
    assert_int_equal(worker_stop(&b), 0);
}

/* Processes come and go in order. */
void test_two_workers(void **state)
{
    struct worker a = {0}, b = {0};

    named(&a, &b);
    stream_begin();
    worker_start(&a);
    joined(&a, PARTITIONS);
    for (int i = 0; i < 3; i++) {
        int taken = worker_logged(&b, "partition taken");

        worker_start(&b);
        for (int k = 0; k < 5; k++) {
            stream_slice();
            usleep(100000);
        }
        joined(&b, taken + 1);
        taken = worker_logged(&a, "partition taken");
        assert_int_equal(worker_stop(&a), 0); /* a static member: its partitions wait for it */
        stream_slice();
        worker_start(&a);
        stream_slice();
        joined(&a, taken + 1);
        assert_int_equal(worker_stop(&b), 0);
        stream_slice();
    }
    stream_end(60);
    assert_int_equal(worker_stop(&a), 0);
    assert_int_equal(worker_logged(&a, "left out") + worker_logged(&b, "left out"), 0);
}
