/*
 * MySQL/MariaDB, prepared statements only, one connection per lane; reconnects by itself outside transactions, and runs the statement that
 * met a closed connection once more. Statements are prepared once per connection and found by their text; the 96 used last are kept, so
 * texts made at run time (IN lists of n places) should come in few sizes.
 *
 * Circuit: after a failed connect, calls fail at once with OIM_EUNAVAIL for 500 ms.
 */
#ifndef OIM_SQL_H
#define OIM_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oim_arena;
struct oim_conf;
struct oim_sql;

enum oim_sql_kind { OIM_SQL_NULL, OIM_SQL_INT, OIM_SQL_UINT, OIM_SQL_TEXT, OIM_SQL_BLOB };

struct oim_sql_value {
    enum oim_sql_kind kind;
    int64_t i;
    uint64_t u;
    const void *p; /* text is NUL-terminated in results */
    size_t len;
};

#define oim_sql_int(v) ((struct oim_sql_value){.kind = OIM_SQL_INT, .i = (v)})
#define oim_sql_uint(v) ((struct oim_sql_value){.kind = OIM_SQL_UINT, .u = (v)})
#define oim_sql_text(s) oim_sql_text_value(s)
#define oim_sql_blob(d, n) ((struct oim_sql_value){.kind = OIM_SQL_BLOB, .p = (d), .len = (n)})
struct oim_sql_value oim_sql_text_value(const char *s); /* NULL gives SQL NULL */

struct oim_sql_rows {
    size_t n, columns;
    struct oim_sql_value *cells; /* n * columns, row by row */
};
static inline const struct oim_sql_value *oim_sql_cell(const struct oim_sql_rows *r, size_t row, size_t col)
{
    return &r->cells[row * r->columns + col];
}

struct oim_sql *oim_sql_new(const struct oim_conf *conf, const char *name);

/* Statements of this one may take so long, if that is longer than mysql.timeout_ms. Before the first. */
void oim_sql_patience(struct oim_sql *db, int read_ms);
void oim_sql_free(struct oim_sql *db);

/* Rows in arena memory. rows may be NULL for statements without result; affected may be NULL (rows found, not only changed). Results of
 * text columns are OIM_SQL_TEXT, of binary ones OIM_SQL_BLOB, both NUL-terminated.
 * OIM_EUNAVAIL; OIM_ECONFLICT (deadlock, lock wait; in a transaction: roll back and begin again); OIM_EEXIST (unique key); OIM_ELIMIT (a
 * value too long or out of range, or all of them larger than the server takes); OIM_EPARSE (text that is not UTF-8); OIM_EFATAL (a
 * statement of ours that the server refuses; logged). Within a transaction a lost connection gives OIM_EUNAVAIL until rollback. */
int oim_sql_exec(struct oim_sql *db, struct oim_arena *a, const char *sql, const struct oim_sql_value *args, size_t nargs,
                 struct oim_sql_rows *rows, uint64_t *affected);

int oim_sql_begin(struct oim_sql *db);
int oim_sql_commit(struct oim_sql *db);
void oim_sql_rollback(struct oim_sql *db); /* harmless without a transaction */

/* "(?,?,?),(?,?,?)" builders for multi-row statements: appends n groups of k places. */
struct oim_buf;
void oim_sql_places(struct oim_buf *buf, size_t groups, size_t k);

/* Applies conf->mysql.schema_dir/NNNN_*.sql under GET_LOCK, waits for the server, logs each. Creates the database if missing and allowed. */
int oim_sql_migrate(const struct oim_conf *conf);

#endif
