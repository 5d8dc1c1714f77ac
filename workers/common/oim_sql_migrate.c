/*
 * Brings the tables to the version of this program: conf mysql.schema_dir/NNNN_name.sql in order, one process at a time (GET_LOCK),
 * each noted in schema_migrations when it is whole. Called by every worker before its lanes start.
 *
 * DDL is not transactional: a file that was cut in the middle runs again from its beginning, so the files say CREATE TABLE IF NOT EXISTS.
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

static int query(MYSQL *my, const char *sql)
{
    if (mysql_query(my, sql)) {
        oim_log(OIM_LOG_ERROR, "migration statement refused", "code=%u why=\"%s\" sql=\"%.100s\"", mysql_errno(my), mysql_error(my), sql);
        return OIM_EFATAL;
    }
    return OIM_OK;
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

static MYSQL *connect_waiting(const struct oim_conf *conf)
{
    char why[256] = "no memory", sql[256];
    unsigned code = 0;
    MYSQL *my;

    for (;;) {
        my = oim_sql_connect(conf, conf->mysql.database, &code, why, sizeof(why));
        if (my) return my;
        if (code == ER_BAD_DB_ERROR && (my = oim_sql_connect(conf, NULL, &code, why, sizeof(why)))) {
            snprintf(sql, sizeof(sql), "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", conf->mysql.database);
            query(my, sql);
            mysql_close(my);
        }
        oim_log(OIM_LOG_INFO, "waiting for mysql", "address=%s code=%u why=\"%s\"", conf->mysql.address, code, why);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

static int is_migration(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 9 && strspn(entry->d_name, "0123456789") == 4 && entry->d_name[4] == '_' && strcmp(entry->d_name + len - 4, ".sql") == 0;
}

/* Statements end with ';' at the end of a line; "--" to the end of a line is a comment. */
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
    int n, err;

    err = query(my, "CREATE TABLE IF NOT EXISTS schema_migrations (version INT NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, "
                    "applied_at BIGINT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4");
    if (err != OIM_OK) return err;
    n = scandir(conf->mysql.schema_dir, &names, is_migration, alphasort);
    if (n <= 0) {
        oim_log(OIM_LOG_ERROR, "no migrations", "mysql.schema_dir=%s errno=%d", conf->mysql.schema_dir, n < 0 ? errno : 0);
        return OIM_EFATAL;
    }
    for (int i = 0; i < n; i++) {
        if (err == OIM_OK && strspn(names[i]->d_name, "0123456789abcdefghijklmnopqrstuvwxyz_.") == strlen(names[i]->d_name)) {
            err = migrate_one(my, conf, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    return err;
}

int oim_sql_migrate(const struct oim_conf *conf)
{
    MYSQL *my = connect_waiting(conf);
    int err;

    if (number(my, "SELECT GET_LOCK('openim_schema', 2)") != 1) {
        oim_log(OIM_LOG_INFO, "waiting for another process that migrates", "database=%s", conf->mysql.database);
        mysql_close(my);
        return oim_sql_migrate(conf);
    }
    err = migrate_all(my, conf);
    mysql_close(my); /* gives the lock back */
    return err;
}
