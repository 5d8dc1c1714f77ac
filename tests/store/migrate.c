/*
 * oim_sql_migrate on a database of its own: order, repetition, files that were cut, files that are wrong, many processes at once.
 */
#include "store.h"

#include "oim_arena.h"
#include "oim_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct oim_conf conf;
static struct oim_sql *db;
static struct oim_arena *a;
static char dir[64], database[64];

static void file(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int64_t number(const char *sql)
{
    struct oim_sql_rows rows;

    assert_int_equal(oim_sql_exec(db, a, sql, NULL, 0, &rows, NULL), OIM_OK);
    assert_int_equal(rows.n, 1);
    return oim_sql_cell(&rows, 0, 0)->i;
}

static int shell(const char *fmt, const char *arg)
{
    char command[256];

    snprintf(command, sizeof(command), fmt, arg);
    return system(command);
}

static int begin(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/%s.sql.XXXXXX", store_tag);
    snprintf(database, sizeof(database), "%s_m", store_tag);
    conf = store_conf;
    conf.mysql.database = database;
    conf.mysql.schema_dir = dir;
    a = oim_arena_new(4096);
    db = oim_sql_new(&conf, "store-migrate");
    return a && db && mkdtemp(dir) ? 0 : 1;
}

static int end(void **state)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s", database);
    oim_sql_exec(db, a, sql, NULL, 0, NULL, NULL);
    oim_sql_free(db);
    oim_arena_free(a);
    return shell("rm -rf '%s'", dir);
}

/* The database is made, files run in their order, and only once. */
static void applies(void **state)
{
    file("0002_two.sql", "-- a comment; with a semicolon;\nINSERT INTO one (a) VALUES (1),\n  (2); -- and one here\n\n"
                         "ALTER TABLE one ADD COLUMN b INT NOT NULL DEFAULT 7;\n");
    file("0001_one.sql", "CREATE TABLE IF NOT EXISTS one (\r\n  a INT NOT NULL PRIMARY KEY -- the key\r\n) ENGINE=InnoDB;\r\n");
    file("notes.txt", "not SQL");
    for (int i = 0; i < 3; i++) assert_int_equal(oim_sql_migrate(&conf), OIM_OK);
    assert_int_equal(number("SELECT COUNT(*) FROM one WHERE b = 7"), 2);
    assert_int_equal(number("SELECT COUNT(*) FROM schema_migrations"), 2);
    assert_int_equal(number("SELECT applied_at > 1700000000000 FROM schema_migrations WHERE version = 2 AND name = '0002_two.sql'"), 1);
}

/* The process died between two statements: the file runs again. */
static void goes_on_after_a_cut(void **state)
{
    struct oim_sql_rows rows;

    file("0003_three.sql", "CREATE TABLE three (a INT NOT NULL PRIMARY KEY);\nALTER TABLE one ADD COLUMN c INT;\n"
                           "CREATE INDEX by_c ON one (c);\nALTER TABLE one DROP COLUMN b;\nINSERT IGNORE INTO three VALUES (3);\n");
    assert_int_equal(oim_sql_exec(db, a, "CREATE TABLE three (a INT NOT NULL PRIMARY KEY)", NULL, 0, &rows, NULL), OIM_OK);
    assert_int_equal(oim_sql_exec(db, a, "ALTER TABLE one ADD COLUMN c INT", NULL, 0, &rows, NULL), OIM_OK);
    assert_int_equal(oim_sql_exec(db, a, "CREATE INDEX by_c ON one (c)", NULL, 0, &rows, NULL), OIM_OK);
    assert_int_equal(oim_sql_exec(db, a, "ALTER TABLE one DROP COLUMN b", NULL, 0, &rows, NULL), OIM_OK);
    store_logged("");
    assert_int_equal(oim_sql_migrate(&conf), OIM_OK);
    assert_int_equal(store_logged("was done before"), 4);
    assert_int_equal(number("SELECT COUNT(*) FROM three"), 1);
    assert_int_equal(number("SELECT COUNT(*) FROM schema_migrations"), 3);
}

/* What is wrong stops the start and is not noted as done; corrected, it runs. */
static void refuses(void **state)
{
    file("0004_four.sql", "CREATE TABLE four (a INT);\nCREATE TABEL five (a INT);\n");
    assert_int_equal(oim_sql_migrate(&conf), OIM_EFATAL);
    file("0004_four.sql", "CREATE TABLE four (a INT);\nCREATE TABLE five (a INT)\n");
    assert_int_equal(oim_sql_migrate(&conf), OIM_EFATAL);
    assert_int_equal(number("SELECT COUNT(*) FROM schema_migrations"), 3);
    file("0004_four.sql", "CREATE TABLE four (a INT);\nCREATE TABLE five (a INT);\n");
    file("0004_twice.sql", "CREATE TABLE six (a INT);\n");
    assert_int_equal(oim_sql_migrate(&conf), OIM_EFATAL);
    shell("rm '%s/0004_twice.sql'", dir);
    file("5_short.sql", "CREATE TABLE six (a INT);\n");
    assert_int_equal(oim_sql_migrate(&conf), OIM_EFATAL);
    shell("rm '%s/5_short.sql'", dir);
    assert_int_equal(oim_sql_migrate(&conf), OIM_OK);
    assert_int_equal(number("SELECT COUNT(*) FROM schema_migrations"), 4);
    conf.mysql.schema_dir = (char *)"/nonexistent";
    assert_int_equal(oim_sql_migrate(&conf), OIM_EFATAL);
    conf.mysql.schema_dir = dir;
}

/* The database is missing and six processes start: one applies, all go on. The file bears no repetition. */
static void many_at_once(void **state)
{
    pid_t children[6];
    char sql[128];
    int good = 0;

    snprintf(sql, sizeof(sql), "DROP DATABASE %s", database);
    assert_int_equal(oim_sql_exec(db, a, sql, NULL, 0, NULL, NULL), OIM_OK);
    shell("rm '%s'/*.sql", dir);
    file("0001_one.sql", "CREATE TABLE one (a INT NOT NULL);\nINSERT INTO one VALUES (1);\nDO SLEEP(0.3);\nINSERT INTO one VALUES (2);\n");
    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] == 0) _exit(oim_sql_migrate(&conf) == OIM_OK ? 0 : 1);
    }
    for (int i = 0; i < 6; i++) {
        int status = -1;

        waitpid(children[i], &status, 0);
        good += status == 0;
    }
    assert_int_equal(good, 6);
    oim_sql_free(db);
    db = oim_sql_new(&conf, "store-migrate");
    assert_int_equal(number("SELECT COUNT(*) FROM one"), 2);
    assert_int_equal(number("SELECT COUNT(*) FROM schema_migrations"), 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(applies),
    cmocka_unit_test(goes_on_after_a_cut),
    cmocka_unit_test(refuses),
    cmocka_unit_test(many_at_once),
};

const struct store_group store_migrate = {"migrate", tests, sizeof(tests) / sizeof(tests[0]), begin, end};
