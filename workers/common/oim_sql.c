/*
 * One connection with its prepared statements; oim_sql.h holds the contract, oim_sql_migrate.c makes the tables.
 *
 * Statements are kept by the content of their text, the least recently used one leaves when STATEMENTS are there. Results are read
 * whole into the arena: a handler asks for what it needs, never for a table. Only calls that libmysqlclient and MariaDB's connector share.
 */
#include "oim_sql.h"

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_log.h"
#include "oim_sql_internal.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS 96
#define CIRCUIT_MS 500
#define AT_ONCE_MS 200 /* a statement that fails later did not meet a closed connection: it was too much for the server */
#define CELL 256 /* bytes bound per text column at first; longer ones are fetched again */
#define BINARY_CHARSET 63
#define PACKET_MAX 1048576 /* the least that any server takes at its defaults; until it has told its own */

/* Codes that one of the two headers does not name. */
#define MARIADB_CONNECTION_KILLED 1927
#define MARIADB_STATEMENT_TIMEOUT 1969
#define MYSQL_QUERY_TIMEOUT 3024
#define MYSQL_CANNOT_CONVERT_STRING 3854
#define MYSQL_DISCONNECTED_BY_IDLE 4031

struct statement {
    char *sql;
    MYSQL_STMT *stmt;
    uint64_t used;
};

struct oim_sql {
    const struct oim_conf *conf;
    const char *name;
    MYSQL *my;
    struct statement statements[STATEMENTS];
    uint64_t clock;
    int read_ms;   /* of a statement */
    size_t packet; /* bytes of one statement that the server takes */
    int64_t closed_until;
    bool in_transaction, broken, down;
};

struct oim_sql_value oim_sql_text_value(const char *s)
{
    if (s == NULL) return (struct oim_sql_value){.kind = OIM_SQL_NULL};
    return (struct oim_sql_value){.kind = OIM_SQL_TEXT, .p = s, .len = strlen(s)};
}

void oim_sql_places(struct oim_buf *buf, size_t groups, size_t k)
{
    for (size_t g = 0; g < groups; g++) {
        oim_buf_puts(buf, g ? ",(" : "(");
        for (size_t i = 0; i < k; i++) oim_buf_puts(buf, i ? ",?" : "?");
        oim_buf_putc(buf, ')');
    }
}

struct oim_sql *oim_sql_new(const struct oim_conf *conf, const char *name)
{
    struct oim_sql *db = calloc(1, sizeof(*db));

    if (db == NULL) return NULL;
    db->conf = conf;
    db->name = name;
    db->read_ms = conf->mysql.timeout_ms;
    return db;
}

void oim_sql_patience(struct oim_sql *db, int read_ms)
{
    if (read_ms > db->read_ms) db->read_ms = read_ms;
}

static void disconnect(struct oim_sql *db)
{
    for (int i = 0; i < STATEMENTS; i++) {
        if (db->statements[i].stmt) mysql_stmt_close(db->statements[i].stmt);
        free(db->statements[i].sql);
        db->statements[i] = (struct statement){0};
    }
    if (db->my) mysql_close(db->my);
    db->my = NULL;
}

void oim_sql_free(struct oim_sql *db)
{
    if (db == NULL) return;
    disconnect(db);
    free(db);
}

/* ---- connection ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void library(void)
{
    mysql_library_init(0, NULL, NULL); /* mysql_init alone would race between lanes */
}

/* host:port or unix:/path */
static bool address_split(const char *address, char *host, size_t size, unsigned *port, const char **socket)
{
    const char *colon = strrchr(address, ':');

    *socket = NULL;
    *port = 0;
    if (strncmp(address, "unix:", 5) == 0) {
        *socket = address + 5;
        return true;
    }
    if (colon == NULL || (size_t)(colon - address) >= size) return false;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    *port = (unsigned)atoi(colon + 1);
    return *port != 0;
}

MYSQL *oim_sql_connect(const struct oim_conf *conf, const char *database, int read_ms, unsigned *code, char *why, size_t size)
{
    unsigned connect = (unsigned)(conf->mysql.timeout_ms + 999) / 1000, seconds = (unsigned)(read_ms + 999) / 1000, port, no = 0;
    const char *socket;
    char host[256];
    MYSQL *my;

    *code = 0;
    if (!address_split(conf->mysql.address, host, sizeof(host), &port, &socket)) {
        snprintf(why, size, "mysql.address is host:port or unix:/path");
        return NULL;
    }
    pthread_once(&once, library);
    my = mysql_init(NULL);
    if (my == NULL) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
    mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(my, MYSQL_INIT_COMMAND,
                  "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'");
    mysql_options(my, MYSQL_INIT_COMMAND, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    if (mysql_real_connect(my, socket ? NULL : host, conf->mysql.user, conf->mysql.password, database, port, socket, CLIENT_FOUND_ROWS)) {
        return my;
    }
    *code = mysql_errno(my);
    snprintf(why, size, "%s", mysql_error(my));
    mysql_close(my);
    return NULL;
}

/* A statement beyond it ends the connection without a word of why, and would do so at each repetition. */
static size_t packet_ask(MYSQL *my)
{
    MYSQL_RES *res = mysql_query(my, "SELECT @@max_allowed_packet") == 0 ? mysql_store_result(my) : NULL;
    MYSQL_ROW row = res ? mysql_fetch_row(res) : NULL;
    size_t n = row && row[0] ? strtoul(row[0], NULL, 10) : PACKET_MAX;

    if (res) mysql_free_result(res);
    return n;
}

static int ensure(struct oim_sql *db)
{
    char why[256];
    unsigned code;

    if (db->my) return OIM_OK;
    if (oim_mono_ms() < db->closed_until) return OIM_EUNAVAIL;
    db->my = oim_sql_connect(db->conf, db->conf->mysql.database, db->read_ms, &code, why, sizeof(why));
    if (db->my == NULL) {
        if (!db->down) oim_log(OIM_LOG_WARN, "mysql is away", "link=%s code=%u why=\"%s\"", db->name, code, why);
        db->down = true;
        db->closed_until = oim_mono_ms() + CIRCUIT_MS;
        return OIM_EUNAVAIL;
    }
    db->packet = packet_ask(db->my);
    if (db->down) oim_log(OIM_LOG_INFO, "mysql is back", "link=%s", db->name);
    db->down = false;
    return OIM_OK;
}

/* The connection is of no more use, a new one may be. */
static bool lost(unsigned code)
{
    switch (code) {
    case CR_SERVER_LOST:
    case CR_SERVER_GONE_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_CONNECTION_ERROR:
    case CR_COMMANDS_OUT_OF_SYNC:
    case CR_UNKNOWN_ERROR:
    case ER_SERVER_SHUTDOWN:
    case ER_OPTION_PREVENTS_STATEMENT: /* read-only: after a fail-over */
    case ER_READ_ONLY_MODE:
    case MARIADB_CONNECTION_KILLED:
    case MYSQL_DISCONNECTED_BY_IDLE: return true;
    default: return false;
    }
}

/* Everything but lost connections. */
static int meaning(unsigned code)
{
    switch (code) {
    case ER_DUP_ENTRY: return OIM_EEXIST;
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_ABORTED:
    case ER_CHECKREAD: return OIM_ECONFLICT;
    case ER_DATA_TOO_LONG:
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_DATA_OUT_OF_RANGE: return OIM_ELIMIT;
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD: /* not UTF-8 */
    case ER_TRUNCATED_WRONG_VALUE:
    case ER_INVALID_CHARACTER_STRING:
    case MYSQL_CANNOT_CONVERT_STRING: return OIM_EPARSE;
    case ER_DISK_FULL:
    case ER_ERROR_ON_WRITE:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
    case ER_RECORD_FILE_FULL:
    case ER_QUERY_INTERRUPTED:
    case ER_ERROR_DURING_COMMIT:
    case ER_MAX_PREPARED_STMT_COUNT_REACHED:
    case MARIADB_STATEMENT_TIMEOUT:
    case MYSQL_QUERY_TIMEOUT: return OIM_EUNAVAIL;
    default: return OIM_EFATAL;
    }
}

/* What a failed step means; drops the connection when it is of no more use. */
static int failed(struct oim_sql *db, const char *sql, unsigned code, const char *why)
{
    int err = meaning(code);

    if (lost(code)) {
        if (!db->down) oim_log(OIM_LOG_WARN, "mysql connection lost", "link=%s code=%u why=\"%s\"", db->name, code, why);
        disconnect(db);
        db->broken = db->in_transaction;
        return OIM_EUNAVAIL;
    }
    if (err == OIM_EUNAVAIL) oim_log(OIM_LOG_WARN, "mysql is not able to", "link=%s code=%u why=\"%s\"", db->name, code, why);
    if (err == OIM_EFATAL) oim_log(OIM_LOG_ERROR, "statement refused", "code=%u why=\"%s\" sql=\"%.120s\"", code, why, sql);
    return err;
}

/* ---- statements ---- */

static int statement_get(struct oim_sql *db, const char *sql, MYSQL_STMT **out)
{
    struct statement *slot = &db->statements[0];
    MYSQL_STMT *stmt;

    for (int i = 0; i < STATEMENTS; i++) {
        struct statement *s = &db->statements[i];

        if (s->sql && strcmp(s->sql, sql) == 0) {
            s->used = ++db->clock;
            *out = s->stmt;
            return OIM_OK;
        }
        if (s->used < slot->used) slot = s;
    }
    stmt = mysql_stmt_init(db->my);
    if (stmt == NULL) return OIM_ENOMEM;
    if (mysql_stmt_prepare(stmt, sql, strlen(sql))) {
        unsigned code = mysql_stmt_errno(stmt);
        char why[256];

        snprintf(why, sizeof(why), "%s", mysql_stmt_error(stmt));
        mysql_stmt_close(stmt);
        return failed(db, sql, code, why);
    }
    if (slot->stmt) mysql_stmt_close(slot->stmt);
    free(slot->sql);
    *slot = (struct statement){.sql = strdup(sql), .stmt = stmt, .used = ++db->clock};
    *out = stmt;
    return OIM_OK;
}

static void statement_drop(struct oim_sql *db, const char *sql)
{
    for (int i = 0; i < STATEMENTS; i++) {
        struct statement *s = &db->statements[i];

        if (s->sql == NULL || strcmp(s->sql, sql)) continue;
        mysql_stmt_close(s->stmt);
        free(s->sql);
        *s = (struct statement){0};
    }
}

static void bind_args(MYSQL_BIND *binds, const struct oim_sql_value *args, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        MYSQL_BIND *b = &binds[i];

        switch (args[i].kind) {
        case OIM_SQL_INT:
        case OIM_SQL_UINT:
            b->buffer_type = MYSQL_TYPE_LONGLONG;
            b->is_unsigned = args[i].kind == OIM_SQL_UINT;
            b->buffer = (void *)(uintptr_t)(b->is_unsigned ? (const void *)&args[i].u : (const void *)&args[i].i);
            break;
        case OIM_SQL_TEXT:
        case OIM_SQL_BLOB:
            b->buffer_type = args[i].kind == OIM_SQL_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
            b->buffer = (void *)(uintptr_t)(args[i].p ? args[i].p : "");
            b->buffer_length = args[i].len;
            break;
        case OIM_SQL_NULL:
        default: b->buffer_type = MYSQL_TYPE_NULL; break;
        }
    }
}

/* ---- results ---- */

struct column {
    bool number, is_unsigned, text_kind;
    int64_t n;
    char text[CELL];
    unsigned long len;
    char null, error; /* my_bool, bool in MySQL 8: one byte in both */
};

static bool is_number(enum enum_field_types type)
{
    switch (type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG: return true;
    default: return false; /* decimals (SUM) arrive as text */
    }
}

static void bind_columns(struct oim_arena *a, MYSQL_RES *meta, struct column *cols, MYSQL_BIND *binds, unsigned n)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(meta);

    for (unsigned i = 0; i < n; i++) {
        cols[i].number = is_number(fields[i].type);
        cols[i].is_unsigned = (fields[i].flags & UNSIGNED_FLAG) != 0;
        cols[i].text_kind = fields[i].charsetnr != BINARY_CHARSET;
        binds[i].buffer_type = cols[i].number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB;
        binds[i].is_unsigned = cols[i].is_unsigned;
        binds[i].buffer = cols[i].number ? (void *)&cols[i].n : (void *)cols[i].text;
        binds[i].buffer_length = cols[i].number ? sizeof(cols[i].n) : CELL;
        binds[i].length = &cols[i].len;
        binds[i].is_null = (void *)&cols[i].null;
        binds[i].error = (void *)&cols[i].error;
    }
}

static int cell_read(struct oim_arena *a, MYSQL_STMT *stmt, const struct column *col, unsigned index, struct oim_sql_value *out)
{
    char *text;

    if (col->null) {
        *out = (struct oim_sql_value){.kind = OIM_SQL_NULL, .p = ""};
        return OIM_OK;
    }
    if (col->number) {
        *out = (struct oim_sql_value){.kind = col->is_unsigned ? OIM_SQL_UINT : OIM_SQL_INT, .i = col->n, .u = (uint64_t)col->n, .p = ""};
        return OIM_OK;
    }
    text = oim_arena_alloc(a, col->len + 1);
    if (col->len <= CELL) {
        memcpy(text, col->text, col->len);
    } else {
        MYSQL_BIND bind = {0};
        unsigned long len = 0;

        bind.buffer_type = MYSQL_TYPE_BLOB;
        bind.buffer = text;
        bind.buffer_length = col->len;
        bind.length = &len;
        if (mysql_stmt_fetch_column(stmt, &bind, index, 0)) return OIM_EUNAVAIL;
    }
    text[col->len] = '\0';
    *out = (struct oim_sql_value){.kind = col->text_kind ? OIM_SQL_TEXT : OIM_SQL_BLOB, .p = text, .len = col->len};
    return OIM_OK;
}

static int rows_read(struct oim_arena *a, MYSQL_STMT *stmt, MYSQL_RES *meta, struct oim_sql_rows *rows)
{
    unsigned n = mysql_num_fields(meta);
    struct column *cols = oim_arena_zalloc(a, n * sizeof(*cols));
    MYSQL_BIND *binds = oim_arena_zalloc(a, n * sizeof(*binds));
    size_t cap;
    int code;

    bind_columns(a, meta, cols, binds, n);
    if (mysql_stmt_bind_result(stmt, binds) || mysql_stmt_store_result(stmt)) return OIM_EUNAVAIL;
    cap = (size_t)mysql_stmt_num_rows(stmt);
    *rows = (struct oim_sql_rows){.columns = n};
    rows->cells = oim_arena_alloc(a, (cap ? cap : 1) * n * sizeof(*rows->cells));
    while ((code = mysql_stmt_fetch(stmt)) == 0 || code == MYSQL_DATA_TRUNCATED) {
        if (rows->n == cap) break;
        for (unsigned i = 0; i < n; i++) {
            if (cell_read(a, stmt, &cols[i], i, &rows->cells[rows->n * n + i])) return OIM_EUNAVAIL;
        }
        rows->n++;
    }
    return code == 1 ? OIM_EUNAVAIL : OIM_OK;
}

static bool fits(const struct oim_sql *db, const struct oim_sql_value *args, size_t n)
{
    size_t bytes = 1024;

    for (size_t i = 0; i < n; i++) bytes += 16 + (args[i].kind >= OIM_SQL_TEXT ? args[i].len : 0);
    return bytes <= db->packet;
}

static int run_once(struct oim_sql *db, struct oim_arena *a, const char *sql, const struct oim_sql_value *args, size_t nargs,
                    struct oim_sql_rows *rows, uint64_t *affected)
{
    MYSQL_BIND *binds;
    MYSQL_STMT *stmt = NULL;
    MYSQL_RES *meta;
    int err = ensure(db);

    if (err == OIM_OK) err = statement_get(db, sql, &stmt);
    if (err != OIM_OK) return err;
    if (!fits(db, args, nargs)) return OIM_ELIMIT;
    if (mysql_stmt_param_count(stmt) != nargs) {
        oim_log(OIM_LOG_ERROR, "statement with other places", "given=%zu sql=\"%.120s\"", nargs, sql);
        return OIM_EFATAL;
    }
    binds = oim_arena_zalloc(a, (nargs + 1) * sizeof(*binds));
    bind_args(binds, args, nargs);
    if ((nargs && mysql_stmt_bind_param(stmt, binds)) || mysql_stmt_execute(stmt)) {
        unsigned code = mysql_stmt_errno(stmt);
        char why[256];

        snprintf(why, sizeof(why), "%s", mysql_stmt_error(stmt));
        if (!lost(code)) mysql_stmt_reset(stmt);
        if (code == ER_UNKNOWN_STMT_HANDLER || code == ER_NEED_REPREPARE) {
            statement_drop(db, sql);
            return OIM_ECONFLICT;
        }
        return failed(db, sql, code, why);
    }
    if (affected) *affected = (uint64_t)mysql_stmt_affected_rows(stmt);
    meta = mysql_stmt_result_metadata(stmt);
    if (meta == NULL) return OIM_OK;
    if (rows) err = rows_read(a, stmt, meta, rows);
    mysql_free_result(meta);
    mysql_stmt_free_result(stmt);
    if (err != OIM_OK) {
        unsigned code = mysql_stmt_errno(stmt);

        return failed(db, sql, code ? code : CR_SERVER_LOST, "result not read");
    }
    return OIM_OK;
}

int oim_sql_exec(struct oim_sql *db, struct oim_arena *a, const char *sql, const struct oim_sql_value *args, size_t nargs,
                 struct oim_sql_rows *rows, uint64_t *affected)
{
    bool had = db->my != NULL;
    int64_t began = oim_mono_ms();
    int err;

    if (rows) *rows = (struct oim_sql_rows){0};
    if (affected) *affected = 0;
    if (db->broken) return OIM_EUNAVAIL;
    err = run_once(db, a, sql, args, nargs, rows, affected);
    if (err != OIM_EUNAVAIL || !had || db->my || db->in_transaction || oim_mono_ms() - began > AT_ONCE_MS) return err;
    /* an idle connection that the server had closed: once more on a new one */
    return run_once(db, a, sql, args, nargs, rows, affected);
}

/* ---- transactions ---- */

static int plain(struct oim_sql *db, const char *sql)
{
    if (mysql_query(db->my, sql) == 0) return OIM_OK;
    return failed(db, sql, mysql_errno(db->my), mysql_error(db->my));
}

int oim_sql_begin(struct oim_sql *db)
{
    int err;

    if (db->in_transaction) { /* the server would commit what is open */
        oim_log(OIM_LOG_ERROR, "transaction left open is rolled back", "link=%s", db->name);
        oim_sql_rollback(db);
    }
    err = ensure(db);
    if (err != OIM_OK) return err;
    err = plain(db, "START TRANSACTION");
    if (err == OIM_EUNAVAIL && ensure(db) == OIM_OK) err = plain(db, "START TRANSACTION");
    db->in_transaction = err == OIM_OK;
    db->broken = false;
    return err;
}

int oim_sql_commit(struct oim_sql *db)
{
    int err = db->broken || db->my == NULL ? OIM_EUNAVAIL : plain(db, "COMMIT");

    db->in_transaction = db->broken = false;
    return err;
}

void oim_sql_rollback(struct oim_sql *db)
{
    if (db->in_transaction && db->my) plain(db, "ROLLBACK");
    db->in_transaction = db->broken = false;
}
