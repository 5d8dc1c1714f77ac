/*
 * oim_sql against the real server, in a database of our own that oim_sql_migrate makes with the real schema. The schema's own trial is here,
 * the migrations' are in migrate.c.
 */
#include "store.h"

#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_sql.h"
#include "oim_sql_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct oim_sql *db, *other;
static struct oim_arena *a;
static struct oim_sql_rows rows;
static uint64_t affected;

static int run(struct oim_sql *on, const char *sql)
{
    return oim_sql_exec(on, a, sql, NULL, 0, &rows, &affected);
}

static int64_t number(struct oim_sql *on, const char *sql)
{
    assert_int_equal(run(on, sql), OIM_OK);
    assert_int_equal(rows.n, 1);
    return oim_sql_cell(&rows, 0, 0)->i;
}

static int setup(void **state)
{
    if (oim_sql_migrate(&store_conf) != OIM_OK) return 1;
    a = oim_arena_new(65536);
    db = oim_sql_new(&store_conf, "store");
    other = oim_sql_new(&store_conf, "store-other");
    return run(db, "CREATE TABLE t (k INT NOT NULL PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, s VARCHAR(20), x MEDIUMTEXT, d LONGBLOB)"
                   " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin");
}

static int teardown(void **state)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "DROP DATABASE %s", store_tag);
    run(db, sql);
    oim_sql_free(db);
    oim_sql_free(other);
    oim_arena_free(a);
    return 0;
}

static int insert(struct oim_sql *on, int key, const char *text)
{
    struct oim_sql_value args[] = {oim_sql_int(key), oim_sql_text(text)};

    return oim_sql_exec(on, a, "INSERT INTO t (k, s) VALUES (?, ?)", args, 2, NULL, &affected);
}

static void kill_connection(struct oim_sql *victim)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "KILL %lld", (long long)number(victim, "SELECT CONNECTION_ID()"));
    assert_int_equal(run(other, sql), OIM_OK);
}

/* ---- values ---- */

static void values(void **state)
{
    size_t size = 3000000;
    char *large = malloc(size);
    struct oim_sql_value args[] = {oim_sql_int(1),          oim_sql_int(INT64_MIN),         oim_sql_uint(UINT64_MAX),
                                   oim_sql_text("\xf0\x9f\x98\x80 it's"), {.kind = OIM_SQL_TEXT, .p = large, .len = size}, oim_sql_blob("a\0b", 3)};
    const struct oim_sql_value *c;

    memset(large, 'z', size);
    assert_int_equal(oim_sql_exec(db, a, "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", args, 6, NULL, &affected), OIM_OK);
    assert_int_equal(affected, 1);
    args[0] = oim_sql_int(2);
    for (int i = 1; i < 6; i++) args[i] = oim_sql_text(NULL);
    args[3] = oim_sql_text("");
    assert_int_equal(oim_sql_exec(db, a, "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", args, 6, NULL, NULL), OIM_OK);

    assert_int_equal(run(db, "SELECT k, i, u, s, x, d, COUNT(*) OVER () FROM t ORDER BY k"), OIM_OK);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.columns, 7);
    c = oim_sql_cell(&rows, 0, 0);
    assert_int_equal(c[0].kind, OIM_SQL_INT);
    assert_int_equal(c[0].i, 1);
    assert_true(c[1].i == INT64_MIN);
    assert_int_equal(c[2].kind, OIM_SQL_UINT);
    assert_true(c[2].u == UINT64_MAX);
    assert_int_equal(c[3].kind, OIM_SQL_TEXT);
    assert_string_equal(c[3].p, "\xf0\x9f\x98\x80 it's");
    assert_int_equal(c[4].len, size);
    assert_memory_equal(c[4].p, large, size);
    assert_int_equal(((const char *)c[4].p)[size], 0);
    assert_int_equal(c[5].kind, OIM_SQL_BLOB);
    assert_int_equal(c[5].len, 3);
    assert_memory_equal(c[5].p, "a\0b", 4);
    assert_int_equal(c[6].i, 2);
    c = oim_sql_cell(&rows, 1, 0);
    assert_int_equal(c[1].kind, OIM_SQL_NULL);
    assert_int_equal(c[3].kind, OIM_SQL_TEXT);
    assert_int_equal(c[3].len, 0);
    assert_int_equal(c[5].kind, OIM_SQL_NULL);

    assert_int_equal(run(db, "SELECT SUM(k) FROM t"), OIM_OK); /* a decimal */
    assert_string_equal(oim_sql_cell(&rows, 0, 0)->p, "3");
    assert_int_equal(run(db, "SELECT k FROM t WHERE k = 99"), OIM_OK);
    assert_int_equal(rows.n, 0);
    assert_int_equal(run(db, "UPDATE t SET k = k"), OIM_OK);
    assert_int_equal(affected, 2); /* found */
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
    free(large);
    oim_arena_reset(a);
}

static void refusals(void **state)
{
    struct oim_sql_value wide[] = {oim_sql_int(20), oim_sql_int(1)};

    assert_int_equal(insert(db, 10, "one"), OIM_OK);
    assert_int_equal(insert(db, 10, "two"), OIM_EEXIST);
    assert_int_equal(insert(db, 11, "more than twenty characters"), OIM_ELIMIT);
    assert_int_equal(insert(db, 11, "\xff\xfe"), OIM_EPARSE);
    wide[0] = oim_sql_int(1LL << 40);
    assert_int_equal(oim_sql_exec(db, a, "INSERT INTO t (k, i) VALUES (?, ?)", wide, 2, NULL, NULL), OIM_ELIMIT);
    store_logged("");
    assert_int_equal(run(db, "SELECT nothing FROM nowhere"), OIM_EFATAL);
    assert_int_equal(oim_sql_exec(db, a, "SELECT ?", NULL, 0, &rows, NULL), OIM_EFATAL);
    assert_int_equal(store_logged("statement"), 2);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 1);
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
}

/* More than the server takes at once: an answer, and the connection lives. */
static void too_large(void **state)
{
    int64_t id = number(db, "SELECT CONNECTION_ID()"), packet = number(db, "SELECT @@max_allowed_packet");
    struct oim_sql_value args[] = {oim_sql_int(30), oim_sql_blob(NULL, 0)};
    char *large = calloc(1, (size_t)packet + 1);

    args[1] = oim_sql_blob(large, (size_t)packet + 1);
    assert_int_equal(oim_sql_exec(db, a, "INSERT INTO t (k, d) VALUES (?, ?)", args, 2, NULL, NULL), OIM_ELIMIT);
    assert_int_equal(number(db, "SELECT CONNECTION_ID()"), id);
    args[1].len = (size_t)packet - 4096;
    assert_int_equal(oim_sql_exec(db, a, "INSERT INTO t (k, d) VALUES (?, ?)", args, 2, NULL, NULL), OIM_OK);
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
    free(large);
}

static void many_statements(void **state)
{
    char sql[64];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 250; i++) {
            snprintf(sql, sizeof(sql), "SELECT %d", i);
            assert_int_equal(number(db, sql), i);
        }
    }
    assert_true(number(other, "SELECT COUNT(*) FROM t") == 0);
}

static void places(void **state)
{
    struct oim_buf buf = {0};

    oim_sql_places(&buf, 2, 3);
    oim_buf_putc(&buf, '\0');
    assert_string_equal(buf.data, "(?,?,?),(?,?,?)");
    oim_buf_free(&buf);
}

static void session(void **state)
{
    assert_int_equal(run(db, "SELECT @@time_zone, @@character_set_client, @@sql_mode"), OIM_OK);
    assert_string_equal(oim_sql_cell(&rows, 0, 0)->p, "+00:00");
    assert_string_equal(oim_sql_cell(&rows, 0, 1)->p, "utf8mb4");
    assert_non_null(strstr(oim_sql_cell(&rows, 0, 2)->p, "STRICT_ALL_TABLES"));
}

/* ---- connections ---- */

static void idle_connection_lost(void **state)
{
    kill_connection(db);
    assert_int_equal(insert(db, 40, "after"), OIM_OK); /* on a new connection, at once */
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 1);
    kill_connection(db);
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(insert(db, 41, "after"), OIM_OK);
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
    assert_int_equal(affected, 2);
}

static void transaction_lost(void **state)
{
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(insert(db, 50, "half"), OIM_OK);
    kill_connection(db);
    assert_int_equal(insert(db, 51, "half"), OIM_EUNAVAIL);
    assert_int_equal(insert(db, 52, "half"), OIM_EUNAVAIL); /* not outside of the transaction */
    assert_int_equal(oim_sql_commit(db), OIM_EUNAVAIL);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 0);

    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(insert(db, 53, "half"), OIM_OK);
    kill_connection(db);
    assert_int_equal(oim_sql_commit(db), OIM_EUNAVAIL);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 0);
}

static void transactions(void **state)
{
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(insert(db, 60, "x"), OIM_OK);
    assert_int_equal(number(other, "SELECT COUNT(*) FROM t"), 0);
    oim_sql_rollback(db);
    oim_sql_rollback(db);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 0);

    /* read committed: a transaction sees what others committed since it began */
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(insert(other, 61, "x"), OIM_OK);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 1);
    assert_int_equal(oim_sql_commit(db), OIM_OK);

    /* one that was left open is not committed by the next */
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(insert(db, 62, "x"), OIM_OK);
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    assert_int_equal(number(db, "SELECT COUNT(*) FROM t"), 1);
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
}

static void *update_second(void *arg)
{
    struct oim_arena *mine = oim_arena_new(4096);

    *(int *)arg = oim_sql_exec(other, mine, "UPDATE t SET i = 2 WHERE k = 70", NULL, 0, NULL, NULL);
    oim_arena_free(mine);
    return NULL;
}

static void conflicts(void **state)
{
    pthread_t thread;
    int mine, theirs = OIM_OK;

    assert_int_equal(insert(db, 70, "x"), OIM_OK);
    assert_int_equal(insert(db, 71, "x"), OIM_OK);
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(oim_sql_begin(other), OIM_OK);
    assert_int_equal(run(db, "UPDATE t SET i = 1 WHERE k = 70"), OIM_OK);
    assert_int_equal(run(other, "UPDATE t SET i = 2 WHERE k = 71"), OIM_OK);
    pthread_create(&thread, NULL, update_second, &theirs);
    mine = run(db, "UPDATE t SET i = 1 WHERE k = 71");
    if (mine == OIM_ECONFLICT) oim_sql_rollback(db);
    pthread_join(thread, NULL);
    assert_true((mine == OIM_ECONFLICT) != (theirs == OIM_ECONFLICT));
    oim_sql_rollback(db);
    oim_sql_rollback(other);

    /* a lock that is waited for in vain */
    assert_int_equal(run(other, "SET SESSION innodb_lock_wait_timeout = 1"), OIM_OK);
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(run(db, "UPDATE t SET i = 1 WHERE k = 70"), OIM_OK);
    assert_int_equal(run(other, "UPDATE t SET i = 2 WHERE k = 70"), OIM_ECONFLICT);
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    assert_int_equal(run(db, "DELETE FROM t"), OIM_OK);
}

static void slow_statement(void **state)
{
    struct oim_conf conf = store_conf;
    struct oim_sql *slow;
    int64_t began = oim_mono_ms();

    conf.mysql.timeout_ms = 1000;
    slow = oim_sql_new(&conf, "store-slow");
    assert_int_equal(run(slow, "SELECT SLEEP(4)"), OIM_EUNAVAIL);
    assert_in_range(oim_mono_ms() - began, 900, 3500);
    assert_int_equal(number(slow, "SELECT 1"), 1);
    oim_sql_free(slow);
}

static void nowhere(void **state)
{
    struct oim_sql *none = oim_sql_new(&store_nowhere, "store-none");
    struct oim_conf conf = store_conf;
    int64_t began = oim_mono_ms();

    store_logged("");
    for (int i = 0; i < 50; i++) assert_int_equal(run(none, "SELECT 1"), OIM_EUNAVAIL);
    assert_int_equal(oim_sql_begin(none), OIM_EUNAVAIL);
    assert_true(oim_mono_ms() - began < 500);
    assert_int_equal(store_logged("mysql is away"), 1);
    oim_sql_free(none);

    conf.mysql.address = (char *)"neither";
    none = oim_sql_new(&conf, "store-none");
    assert_int_equal(run(none, "SELECT 1"), OIM_EUNAVAIL);
    assert_int_equal(store_logged("host:port or unix:/path"), 1);
    oim_sql_free(none);
}

/* The server is reached by its socket; whether it lets this account in from there is its affair. */
static void unix_socket(void **state)
{
    struct oim_conf conf = store_conf;
    char address[600], why[256];
    const char *path;
    unsigned code;
    MYSQL *my;

    assert_int_equal(run(db, "SELECT @@socket, @@datadir"), OIM_OK);
    path = oim_sql_cell(&rows, 0, 0)->p;
    snprintf(address, sizeof(address), "unix:%s%s", path[0] == '/' ? "" : (const char *)oim_sql_cell(&rows, 0, 1)->p, path);
    if (access(address + 5, F_OK)) {
        print_message("not tried: the server's socket %s is not on this machine\n", address + 5);
        skip();
    }
    conf.mysql.address = address;
    my = oim_sql_connect(&conf, NULL, 1000, &code, why, sizeof(why));
    if (my) {
        mysql_close(my);
    } else {
        assert_true(code == 1045 || code == 1698); /* access denied */
    }
}

/* ---- the schema ---- */

/* The longest ids that the protocol allows fit, twice over. */
static void schema_takes_long_ids(void **state)
{
    static const char sql[] = "INSERT INTO msg_history (conversation_id, seq, dedup, client_msg_id, server_msg_id, send_id, recv_id, "
                              "sender_platform_id, sender_nick_name, sender_face_url, session_type, msg_from, content_type, content, "
                              "send_time, create_time, data) VALUES (?,?,?,?,?,?,?,1,'','',1,100,101,'',1,1,?)";
    char id[256], conv[520];
    struct oim_sql_value args[8];

    memset(id, 'i', 255);
    id[255] = '\0';
    snprintf(conv, sizeof(conv), "si_%s_%s", id, id);
    args[0] = oim_sql_text(conv);
    args[1] = oim_sql_int(1);
    args[2] = oim_sql_blob("0123456789abcdef", 16);
    args[3] = args[5] = args[6] = oim_sql_text(id);
    args[4] = oim_sql_text("0123456789abcdef0123456789abcdef");
    args[7] = oim_sql_blob("data", 4);
    assert_int_equal(oim_sql_exec(db, a, sql, args, 8, NULL, NULL), OIM_OK);
    args[1] = oim_sql_int(2);
    assert_int_equal(oim_sql_exec(db, a, sql, args, 8, NULL, NULL), OIM_EEXIST); /* dedup */
    assert_int_equal(number(db, "SELECT COUNT(*) FROM msg_history"), 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values),
    cmocka_unit_test(refusals),
    cmocka_unit_test(too_large),
    cmocka_unit_test(many_statements),
    cmocka_unit_test(places),
    cmocka_unit_test(session),
    cmocka_unit_test(idle_connection_lost),
    cmocka_unit_test(transaction_lost),
    cmocka_unit_test(transactions),
    cmocka_unit_test(conflicts),
    cmocka_unit_test(slow_statement),
    cmocka_unit_test(nowhere),
    cmocka_unit_test(unix_socket),
    cmocka_unit_test(schema_takes_long_ids),
};

const struct store_group store_sql = {"sql", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown};
