/*
 * Brings the tables to the version of this program: conf mysql.schema_dir/NNNN_name.sql in order, one process at a time (GET_LOCK), each
 * noted in schema_migrations when it is whole. Called by every worker before its lanes start.
 *
 * DDL is not transactional, so a file that was cut in the middle (a crash, a full disk) runs again from its beginning. A statement whose
 * effect is there already (table, column or key exists, or is gone) counts as done, and says so in the log; what changes rows must be
 * written to bear being run twice. A file that was applied is never edited: what comes later is a new file.
 */
#include "oim_sql.h"

#include "oim_app.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_log.h"
#include "oim_sql_internal.h"

#include <dirent.h>
#include <errno.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATEMENT_MS 86400000 /* a change of a large table takes its time */

/* The effect of the statement is there. */
static bool done_before(unsigned code)
{
    switch (code) {
    case ER_TABLE_EXISTS_ERROR:
    case ER_DUP_FIELDNAME:
    case ER_DUP_KEYNAME:
    case ER_BAD_TABLE_ERROR:
    case ER_CANT_DROP_FIELD_OR_KEY: return true;
    default: return false;
    }
}

static int query(MYSQL *my, const char *sql)
{
    unsigned code = mysql_query(my, sql) ? mysql_errno(my) : 0;

    if (code == 0) return OIM_OK;
    if (done_before(code)) {
        oim_log(OIM_LOG_WARN, "migration statement was done before", "code=%u why=\"%s\" sql=\"%.100s\"", code, mysql_error(my), sql);
        return OIM_OK;
    }
    oim_log(OIM_LOG_ERROR, "migration statement refused", "code=%u why=\"%s\" sql=\"%.100s\"", code, mysql_error(my), sql);
    return OIM_EFATAL;
}

/* First column of the first row as a number; -1 when there is none. */
static long number(MYSQL *my, const char *sql)
{
    MYSQL_RES *res;
    MYSQL_ROW row;
    long n = -1;

    if (query(my, sql) || (res = mysql_store_result(my)) == NULL) return -1;
    row = mysql_fetch_row(res);
    if (row && row[0]) n = atol(row[0]);
    mysql_free_result(res);
    return n;
}

static bool database_create(const struct oim_conf *conf, char *why, size_t size)
{
    const char *name = conf->mysql.database;
    char sql[256];
    unsigned code;
    MYSQL *my;
    int err;

    if (strchr(name, '`') || strlen(name) > 64) return false;
    my = oim_sql_connect(conf, NULL, conf->mysql.timeout_ms, &code, why, size);
    if (my == NULL) return false;
    snprintf(sql, sizeof(sql), "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", name);
    err = query(my, sql);
    mysql_close(my);
    return err == OIM_OK;
}

/* Waits for the server, and for somebody to correct a wrong password or database. */
static MYSQL *connect_waiting(const struct oim_conf *conf)
{
    char why[256];
    unsigned code;
    MYSQL *my;

    while ((my = oim_sql_connect(conf, conf->mysql.database, STATEMENT_MS, &code, why, sizeof(why))) == NULL) {
        if (code == ER_BAD_DB_ERROR && database_create(conf, why, sizeof(why))) continue;
        oim_log(OIM_LOG_WARN, "waiting for mysql", "address=%s code=%u why=\"%s\"", conf->mysql.address, code, why);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    return my;
}

/* ---- files ---- */

static int is_sql(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".sql") == 0;
}

/* NNNN_name.sql; the name goes into a statement as it is. */
static bool name_ok(const char *name)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.";

    return strspn(name, "0123456789") == 4 && name[4] == '_' && strspn(name, allowed) == strlen(name) && strlen(name) < 200;
}

/* Statements end with ';' at the end of a line; "--" to the end of a line is a comment, wherever it stands. */
static int file_apply(MYSQL *my, const char *path)
{
    struct oim_buf sql = {0};
    char *line = NULL;
    size_t cap = 0;
    int err = OIM_OK;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        oim_log(OIM_LOG_ERROR, "migration cannot be read", "path=%s errno=%d", path, errno);
        return OIM_EFATAL;
    }
    while (err == OIM_OK && getline(&line, &cap, file) > 0) {
        char *comment = strstr(line, "--");
        size_t len;

        if (comment) *comment = '\0';
        len = strlen(line);
        while (len && strchr(" \t\r\n", line[len - 1])) len--;
        if (len == 0) continue;
        oim_buf_append(&sql, line, len);
        oim_buf_putc(&sql, '\n');
        if (line[len - 1] != ';') continue;
        sql.data[sql.len - 2] = '\0';
        err = query(my, (char *)sql.data);
        oim_buf_reset(&sql);
    }
    if (err == OIM_OK && (ferror(file) || sql.len)) {
        oim_log(OIM_LOG_ERROR, "migration ends within a statement", "path=%s", path);
        err = OIM_EFATAL;
    }
    fclose(file);
    free(line);
    oim_buf_free(&sql);
    return err;
}

static int migrate_one(MYSQL *my, const struct oim_conf *conf, const char *name)
{
    char path[4096], sql[512];
    int version = atoi(name), err;

    snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM schema_migrations WHERE version = %d", version);
    switch (number(my, sql)) {
    case 0: break;
    case 1: return OIM_OK;
    default: return OIM_EFATAL;
    }
    snprintf(path, sizeof(path), "%s/%s", conf->mysql.schema_dir, name);
    err = file_apply(my, path);
    if (err != OIM_OK) return err;
    snprintf(sql, sizeof(sql), "INSERT INTO schema_migrations (version, name, applied_at) VALUES (%d, '%.200s', %lld)", version, name,
             (long long)oim_now_ms());
    err = query(my, sql);
    if (err == OIM_OK) oim_log(OIM_LOG_INFO, "schema migrated", "file=%s", name);
    return err;
}

static int migrate_all(MYSQL *my, const struct oim_conf *conf)
{
    struct dirent **names;
    int n, err, before = -1;

    err = query(my, "CREATE TABLE IF NOT EXISTS schema_migrations (version INT NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, "
                    "applied_at BIGINT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4");
    if (err != OIM_OK) return err;
    n = scandir(conf->mysql.schema_dir, &names, is_sql, alphasort);
    if (n <= 0) {
        oim_log(OIM_LOG_ERROR, "no migrations", "mysql.schema_dir=%s errno=%d", conf->mysql.schema_dir, n < 0 ? errno : 0);
        if (n == 0) free(names);
        return OIM_EFATAL;
    }
    for (int i = 0; i < n; i++) {
        if (err == OIM_OK && (!name_ok(names[i]->d_name) || atoi(names[i]->d_name) == before)) {
            oim_log(OIM_LOG_ERROR, "migration is not NNNN_name.sql with a number of its own", "file=%s", names[i]->d_name);
            err = OIM_EFATAL;
        }
        if (err == OIM_OK) err = migrate_one(my, conf, names[i]->d_name);
        before = atoi(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return err;
}

int oim_sql_migrate(const struct oim_conf *conf)
{
    MYSQL *my = connect_waiting(conf);
    int err;

    while (number(my, "SELECT GET_LOCK('openim_schema', 5)") != 1) {
        oim_log(OIM_LOG_INFO, "waiting for another process that migrates", "database=%s", conf->mysql.database);
        if (mysql_ping(my) == 0) continue;
        mysql_close(my);
        my = connect_waiting(conf);
    }
    err = migrate_all(my, conf);
    mysql_close(my); /* gives the lock back */
    return err;
}
