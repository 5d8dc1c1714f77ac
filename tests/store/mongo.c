/* oim_mongo against the real server, in a database of our own. */
#include "store.h"

#include "oim_arena.h"
#include "oim_mongo.h"

#include <arpa/inet.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY_MS 86400000LL
#define DAY 20000
#define LARGE 12 /* of 900,000 bytes: three commands */

static struct oim_mongo *mg;
static struct oim_arena *a;

static int setup(void **state)
{
    a = oim_arena_new(65536);
    mg = oim_mongo_new(&store_conf, "store");
    return a && mg && oim_mongo_prepare(mg) == OIM_OK && oim_mongo_prepare(mg) == OIM_OK ? 0 : 1;
}

static int teardown(void **state)
{
    mongoc_client_t *client = mongoc_client_new(store_conf.mongo.uri);
    mongoc_database_t *database = mongoc_client_get_database(client, store_conf.mongo.database);
    bool ok = mongoc_database_drop(database, NULL);

    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
    oim_mongo_free(mg);
    oim_arena_free(a);
    return ok ? 0 : 1;
}

static struct oim_mongo_msg message(const char *conv, int64_t seq, int64_t day)
{
    struct oim_mongo_msg m = {.conversation_id = conv, .send_id = "u1", .client_msg_id = "c1", .seq = seq, .send_time = day * DAY_MS + 5000};

    m.content_type = 101;
    m.data = (const uint8_t *)oim_arena_printf(a, "\xff%s %lld", conv, (long long)seq); /* not UTF-8, and what is read must be it */
    m.len = strlen((const char *)m.data);
    return m;
}

static int insert(const char *conv, int64_t first, size_t n, int64_t day)
{
    struct oim_mongo_msg *msgs = oim_arena_alloc(a, n * sizeof(*msgs));

    for (size_t i = 0; i < n; i++) msgs[i] = message(conv, first + (int64_t)i, day);
    return oim_mongo_insert(mg, msgs, n);
}

static size_t read_back(const char *conv, int64_t lo, int64_t hi)
{
    struct oim_mongo_msg *msgs;
    size_t n;

    assert_int_equal(oim_mongo_read(mg, a, conv, lo, hi, &msgs, &n), OIM_OK);
    for (size_t i = 0; i < n; i++) {
        struct oim_mongo_msg m = message(conv, msgs[i].seq, DAY);

        assert_true(msgs[i].seq >= lo && msgs[i].seq <= hi);
        assert_true(i == 0 || msgs[i].seq > msgs[i - 1].seq);
        assert_int_equal(msgs[i].len, m.len);
        assert_memory_equal(msgs[i].data, m.data, m.len);
        assert_string_equal(msgs[i].conversation_id, conv);
    }
    return n;
}

static void insert_and_read(void **state)
{
    assert_int_equal(oim_mongo_insert(mg, NULL, 0), OIM_OK);
    assert_int_equal(insert("si_u1_u2", 1, 1234, DAY), OIM_OK); /* three batches */
    assert_int_equal(insert("si_u1_u20", 1, 10, DAY), OIM_OK);
    assert_int_equal(read_back("si_u1_u2", 1, 1234), 1234);
    assert_int_equal(read_back("si_u1_u2", 95, 106), 12);
    assert_int_equal(read_back("si_u1_u2", 100, 100), 1);
    assert_int_equal(read_back("si_u1_u2", 101, 101), 1);
    assert_int_equal(read_back("si_u1_u2", 1230, 1300), 5);
    assert_int_equal(read_back("si_u1_u2", -5, 3), 3);
    assert_int_equal(read_back("si_u1_u2", 5, 4), 0);
    assert_int_equal(read_back("si_u1_u20", 1, 100), 10);
    assert_int_equal(read_back("si_none", 1, 100), 0);
}

static void repeats(void **state)
{
    assert_int_equal(insert("sg_g1", 1, 50, DAY), OIM_OK);
    assert_int_equal(insert("sg_g1", 1, 50, DAY), OIM_OK);
    assert_int_equal(insert("sg_g1", 21, 700, DAY), OIM_OK); /* the first of two batches is a repeat in part */
    assert_int_equal(read_back("sg_g1", 1, 720), 720);
}

static void hostile(void **state)
{
    struct oim_mongo_msg *msgs, m = message("si_a_b", 1, DAY);
    char *conv = oim_arena_alloc(a, 4000);
    size_t n;

    assert_int_equal(oim_mongo_read(mg, a, "si_u1_u2", 1, INT64_MAX, &msgs, &n), OIM_ELIMIT);
    assert_int_equal(oim_mongo_read(mg, a, "si_u1_u2", INT64_MIN, INT64_MAX, &msgs, &n), OIM_ELIMIT);
    assert_int_equal(oim_mongo_read(mg, a, "si_u1_u2", INT64_MAX, INT64_MAX, &msgs, &n), OIM_OK);
    assert_int_equal(n, 0);

    /* two ids of 255 characters of 4 bytes fit, more does not, and is not cut */
    memset(conv, 'x', 3999);
    conv[2047] = '\0';
    assert_int_equal(insert(conv, 1, 2, DAY), OIM_OK);
    assert_int_equal(read_back(conv, 1, 100), 2);
    conv[2047] = 'x';
    conv[3999] = '\0';
    assert_int_equal(insert(conv, 1, 2, DAY), OIM_ELIMIT);
    assert_int_equal(oim_mongo_read(mg, a, conv, 1, 5, &msgs, &n), OIM_ELIMIT);

    /* text that is not UTF-8 is stored or refused, but not tried again for ever */
    m.send_id = "\xff\xfe";
    assert_false(oim_err_retriable(oim_mongo_insert(mg, &m, 1)));
    m.send_id = "";
    assert_int_equal(oim_mongo_insert(mg, &m, 1), OIM_OK);
}

static void large(void **state)
{
    size_t size = 900000;
    struct oim_mongo_msg list[LARGE], *msgs;
    uint8_t *data = malloc(size);
    size_t n;

    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(i * 7);
    for (int i = 0; i < LARGE; i++) {
        list[i] = message("sg_large", i + 1, DAY);
        list[i].data = data;
        list[i].len = size;
    }
    assert_int_equal(oim_mongo_insert(mg, list, LARGE), OIM_OK);
    assert_int_equal(oim_mongo_read(mg, a, "sg_large", 1, LARGE, &msgs, &n), OIM_OK);
    assert_int_equal(n, LARGE);
    assert_memory_equal(msgs[LARGE - 1].data, data, size);
    free(data);
    oim_arena_reset(a);
}

static void retention(void **state)
{
    assert_int_equal(insert("si_old_old", 1, 150, DAY - 20), OIM_OK);
    assert_int_equal(insert("si_old_old", 151, 50, DAY - 19), OIM_OK);
    assert_int_equal(oim_mongo_delete_day(mg, DAY - 20), OIM_OK);
    assert_int_equal(read_back("si_old_old", 1, 300), 50);
    assert_int_equal(oim_mongo_delete_day(mg, DAY - 20), OIM_OK);
    assert_int_equal(oim_mongo_delete_day(mg, DAY - 19), OIM_OK);
    assert_int_equal(read_back("si_old_old", 1, 300), 0);
    assert_int_equal(read_back("si_u1_u2", 1, 1234), 1234);
}

static void nowhere(void **state)
{
    struct oim_mongo *none = oim_mongo_new(&store_nowhere, "store-none");
    struct oim_mongo_msg m = message("si_a_b", 1, DAY), *msgs;
    int64_t began = oim_mono_ms();
    size_t n;

    store_logged("");
    assert_int_equal(oim_mongo_prepare(none), OIM_EUNAVAIL);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(oim_mongo_insert(none, &m, 1), OIM_EUNAVAIL);
        assert_int_equal(oim_mongo_read(none, a, "si_a_b", 1, 5, &msgs, &n), OIM_EUNAVAIL);
        assert_int_equal(oim_mongo_delete_day(none, 1), OIM_EUNAVAIL);
    }
    assert_true(oim_mono_ms() - began < 1500); /* one time-out, then the circuit */
    assert_int_equal(store_logged("mongo is away"), 1);
    oim_mongo_free(none);

    /* not even a connection string */
    {
        struct oim_conf conf = store_conf;

        conf.mongo.uri = (char *)"127.0.0.1:27017";
        assert_null(oim_mongo_new(&conf, "store-none"));
    }
}

/* A server that takes the connection and says nothing costs the time-out. */
static void silent(void **state)
{
    struct oim_conf conf = store_conf;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct oim_mongo_msg *msgs;
    struct oim_mongo *mute;
    char uri[64];
    int64_t began;
    size_t n;

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d", ntohs(address.sin_port));
    conf.mongo.uri = uri;
    conf.mongo.timeout_ms = 500;
    mute = oim_mongo_new(&conf, "store-mute");
    began = oim_mono_ms();
    assert_int_equal(oim_mongo_read(mute, a, "si_a_b", 1, 5, &msgs, &n), OIM_EUNAVAIL);
    assert_in_range(oim_mono_ms() - began, 400, 2500);
    oim_mongo_free(mute);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(insert_and_read),
    cmocka_unit_test(repeats),
    cmocka_unit_test(hostile),
    cmocka_unit_test(large),
    cmocka_unit_test(retention),
    cmocka_unit_test(nowhere),
    cmocka_unit_test(silent),
};

const struct store_group store_mongo = {"mongo", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown};
