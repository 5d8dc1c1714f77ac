/* What the calls cost here: `make measure`. Not a test; figures go into the README of the benchmark. */
#include "store.h"

#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_kafka.h"
#include "oim_mongo.h"
#include "oim_redis.h"
#include "oim_sql.h"

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char payload[500];

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void show(const char *what, double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof(*ms), by_size);
    printf("%-58s n=%-5d p50=%8.3f ms  p99=%8.3f ms\n", what, n, ms[n / 2], ms[n * 99 / 100]);
}

/* ---- Redis ---- */

static void redis(void)
{
    struct oim_redis *rds = oim_redis_new(&store_conf, "measure");
    double ms[200];

    for (int round = -1; round < 200; round++) {
        double began = now();

        for (int i = 0; i < 200; i++) oim_redis_add(rds, "SET %s:%d %b EX 10", store_tag, i, payload, sizeof(payload));
        if (oim_redis_run(rds) != OIM_OK) return;
        oim_redis_reset(rds);
        if (round >= 0) ms[round] = now() - began;
    }
    show("redis: pipeline of 200 SET of 500 bytes", ms, 200);
    for (int round = 0; round < 200; round++) {
        double began = now();

        oim_redis_add(rds, "GET %s:1", store_tag);
        if (oim_redis_run(rds) != OIM_OK) return;
        oim_redis_reset(rds);
        ms[round] = now() - began;
    }
    show("redis: one GET", ms, 200);
    oim_redis_free(rds);
}

/* ---- Kafka ---- */

static void count(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    *(int *)ctx += err == OIM_OK;
}

static int row(void *ctx, const struct oim_kafka_record *record)
{
    ++*(int *)ctx;
    return 0;
}

static int64_t assigned(void *ctx, int32_t partition, int64_t committed)
{
    *(bool *)ctx = true;
    return -1;
}

static void revoked(void *ctx, int32_t partition, bool lost) {}

static void kafka_produce(struct oim_kafka_producer *p, const char *topic)
{
    double ms[1000], began;
    int done = 0;

    for (int i = -50; i < 1000; i++) {
        int before = done;

        began = now();
        oim_kafka_produce(p, topic, 0, NULL, 0, payload, sizeof(payload), NULL);
        while (done == before) oim_kafka_reports(p, count, &done, 1000);
        if (i >= 0) ms[i] = now() - began;
    }
    show("kafka: produce -> report, one at a time", ms, 1000);

    began = now();
    done = 0;
    for (int i = 0; i < 18950; i++) oim_kafka_produce(p, topic, 0, NULL, 0, payload, sizeof(payload), NULL);
    while (done < 18950) oim_kafka_reports(p, count, &done, 1000);
    printf("%-58s %.0f ms\n", "kafka: 18,950 produced, all reported", now() - began);
}

static void kafka_read(const char *topic)
{
    double ms[20], began;
    int n = 0;

    for (int i = 0; i < 20; i++) {
        began = now();
        oim_kafka_read(&store_conf, topic, 0, 1000, 1001, 5000, row, &n);
        ms[i] = now() - began;
    }
    show("kafka: read one record, with connection", ms, 20);
    for (int i = 0; i < 5; i++) {
        began = now();
        n = 0;
        oim_kafka_read(&store_conf, topic, 0, 0, 20000, 5000, row, &n);
        ms[i] = now() - began;
    }
    if (n != 20000) printf("read %d of 20,000\n", n);
    show("kafka: read 20,000 records", ms, 5);
}

static void kafka_poll(const char *topic)
{
    static const struct oim_kafka_events events = {.assigned = assigned, .revoked = revoked};
    bool ready = false;
    struct oim_kafka_consumer *c = oim_kafka_consumer_new(&store_conf, topic, store_tag, "m", &events, &ready);
    struct oim_kafka_record records[500];
    double ms[40], began = now(), first = 0, all;
    int n, got = 0, full = 0;

    while (got < 20000) {
        double at = now();

        n = oim_kafka_poll(c, records, 500, 100);
        if (n <= 0) continue;
        if (got == 0) first = now();
        got += n;
        oim_kafka_records_free(records, n);
        if (n == 500 && full < 40) ms[full++] = now() - at;
    }
    all = now() - first;
    printf("%-58s %.0f ms, then 20,000 records in %.0f ms\n", "kafka: join a group -> first record", first - began, all);
    if (full > 2) show("kafka: poll of 500 that are there", ms, full);
    oim_kafka_consumer_free(c);
}

static void kafka(void)
{
    struct oim_kafka_producer *p = oim_kafka_producer_new(&store_conf, "measure");

    store_topic_create(store_tag, 1);
    kafka_produce(p, store_tag);
    kafka_read(store_tag);
    kafka_poll(store_tag);
    oim_kafka_producer_free(p);
    store_topic_delete(store_tag);
}

/* ---- MySQL ---- */

#define ROWS 500
#define PLACES 17

static void sql(void)
{
    struct oim_arena *a = oim_arena_new(1024 * 1024);
    struct oim_sql *db = oim_sql_new(&store_conf, "measure");
    struct oim_buf text = {0};
    struct oim_sql_value *args = calloc(ROWS * PLACES, sizeof(*args));
    struct oim_sql_rows rows;
    double ms[200], began;
    char drop[64];

    if (oim_sql_migrate(&store_conf) != OIM_OK) return;
    oim_buf_puts(&text, "INSERT IGNORE INTO msg_history (conversation_id, seq, dedup, client_msg_id, server_msg_id, send_id, recv_id, "
                        "sender_platform_id, sender_nick_name, sender_face_url, session_type, msg_from, content_type, content, send_time, "
                        "create_time, data) VALUES ");
    oim_sql_places(&text, ROWS, PLACES);
    oim_buf_putc(&text, '\0');
    for (int round = -1; round < 20; round++) {
        oim_arena_reset(a);
        for (int i = 0; i < ROWS; i++) {
            struct oim_sql_value *v = &args[i * PLACES];
            int seq = (round + 1) * ROWS + i;
            char *dedup = oim_arena_printf(a, "%08x%08x", (unsigned)seq * 2654435761u, (unsigned)seq);

            v[0] = oim_sql_text(oim_arena_printf(a, "si_user%d_user%d", i % 50, i % 50 + 1));
            v[1] = oim_sql_int(seq);
            v[2] = oim_sql_blob(dedup, 16);
            v[3] = v[4] = oim_sql_text("0123456789abcdef0123456789abcdef");
            v[5] = v[6] = oim_sql_text("user1");
            v[7] = v[10] = v[11] = v[12] = oim_sql_int(1);
            v[8] = v[9] = oim_sql_text("somebody");
            v[13] = oim_sql_text("{\"content\":\"a message of usual length, that is a sentence\"}");
            v[14] = v[15] = oim_sql_int(1700000000000 + seq);
            v[16] = oim_sql_blob(payload, sizeof(payload));
        }
        began = now();
        if (oim_sql_begin(db) || oim_sql_exec(db, a, (char *)text.data, args, ROWS * PLACES, NULL, NULL) || oim_sql_commit(db)) break;
        if (round >= 0) ms[round] = now() - began;
    }
    show("mysql: transaction with one INSERT of 500 msg_history rows", ms, 20);
    for (int i = 0; i < 200; i++) {
        struct oim_sql_value key[] = {oim_sql_text("si_user1_user2"), oim_sql_int(1 + i * 50)};

        oim_arena_reset(a);
        began = now();
        oim_sql_exec(db, a, "SELECT data FROM msg_history WHERE conversation_id = ? AND seq = ?", key, 2, &rows, NULL);
        ms[i] = now() - began;
    }
    show("mysql: one row by its key", ms, 200);
    snprintf(drop, sizeof(drop), "DROP DATABASE %s", store_tag);
    oim_sql_exec(db, a, drop, NULL, 0, NULL, NULL);
    oim_sql_free(db);
    oim_arena_free(a);
    oim_buf_free(&text);
    free(args);
}

/* ---- MongoDB ---- */

static void mongo_read(struct oim_mongo *mg, struct oim_arena *a, int total)
{
    double ms[40];

    for (int i = 0; i < 40; i++) {
        struct oim_mongo_msg *msgs;
        int64_t lo = (int64_t)i * 37 % (total / 100) * 100 + 1;
        double began = now();
        size_t n;

        if (oim_mongo_read(mg, a, "si_user1_user2", lo, lo + 99, &msgs, &n) != OIM_OK || n != 100) printf("block not read: %zu\n", n);
        ms[i] = now() - began;
        oim_arena_reset(a);
    }
    show(total > 2000 ? "mongo: read a block of 100, of 20,000 messages" : "mongo: read a block of 100, of 2,000 messages", ms, 40);
}

static void mongo(void)
{
    struct oim_mongo *mg = oim_mongo_new(&store_conf, "measure");
    struct oim_arena *a = oim_arena_new(65536);
    static struct oim_mongo_msg msgs[500];
    mongoc_client_t *client;
    mongoc_database_t *database;
    double ms[40], began;

    if (oim_mongo_prepare(mg) != OIM_OK) return;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 500; i++) {
            msgs[i] = (struct oim_mongo_msg){.conversation_id = "si_user1_user2", .send_id = "user1", .client_msg_id = "0123456789abcdef",
                                             .seq = round * 500 + i + 1, .send_time = 1700000000000, .data = (uint8_t *)payload, .len = sizeof(payload)};
        }
        began = now();
        if (oim_mongo_insert(mg, msgs, 500) != OIM_OK) return;
        ms[round] = now() - began;
        if (round == 3) mongo_read(mg, a, 2000);
    }
    show("mongo: insert 500", ms, 40);
    mongo_read(mg, a, 20000);
    began = now();
    oim_mongo_delete_day(mg, (int32_t)(1700000000000 / 86400000));
    printf("%-58s %.0f ms\n", "mongo: delete a day of 20,000", now() - began);

    client = mongoc_client_new(store_conf.mongo.uri);
    database = mongoc_client_get_database(client, store_conf.mongo.database);
    mongoc_database_drop(database, NULL);
    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
    oim_mongo_free(mg);
    oim_arena_free(a);
}

int store_measure(void)
{
    memset(payload, 'p', sizeof(payload));
    redis();
    kafka();
    sql();
    mongo();
    return 0;
}
