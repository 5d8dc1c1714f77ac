/*
 * Multi-row statements. A statement has few sizes, powers of two, so that each is prepared once a connection and found again and n rows are
 * few statements; none is larger than a server takes at its defaults. Called by store.c and counts.c.
 */
#include "archive.h"

#include "oim_buf.h"

#include <stdlib.h>
#include <string.h>

#define SIZES 10
#define BYTES_MAX 3000000 /* MySQL before 8 took 4 MiB */

static const size_t sizes[SIZES] = {512, 256, 128, 64, 32, 16, 8, 4, 2, 1};

struct archive_statement {
    size_t places;
    char *text[SIZES];
};

struct archive_statement *archive_statement_new(const char *head, size_t places, const char *tail)
{
    struct archive_statement *s = calloc(1, sizeof(*s));

    if (s == NULL) return NULL;
    s->places = places;
    for (int i = 0; i < SIZES; i++) {
        struct oim_buf buf = {0};

        oim_buf_puts(&buf, head);
        oim_sql_places(&buf, sizes[i], places);
        oim_buf_puts(&buf, tail);
        oim_buf_putc(&buf, '\0');
        s->text[i] = (char *)buf.data;
    }
    return s;
}

void archive_statement_free(struct archive_statement *s)
{
    if (s == NULL) return;
    for (int i = 0; i < SIZES; i++) free(s->text[i]);
    free(s);
}

/* Index of the largest size that the rows from `first` on fill within the bytes. */
static int size_choose(const struct archive_rows *rows, size_t first)
{
    size_t left = rows->n - first, bytes = 0, fit = 0;

    if (rows->one_by_one) return SIZES - 1;
    if (rows->bytes == NULL) {
        fit = left;
    } else {
        while (fit < left && fit < sizes[0] && (bytes += rows->bytes(rows->ctx, first + fit)) <= BYTES_MAX) fit++;
    }
    for (int i = 0; i < SIZES; i++) {
        if (sizes[i] <= fit) return i;
    }
    return SIZES - 1;
}

/* Rows [first, first + sizes[size]) in one statement. */
static int rows_give(struct archive_statement *s, struct oim_sql *db, struct oim_arena *scratch, const struct archive_rows *rows, size_t first,
                     int size)
{
    size_t count = sizes[size];
    struct oim_sql_value *args = oim_arena_alloc(scratch, count * s->places * sizeof(*args));
    uint64_t affected;
    int err;

    for (size_t i = 0; i < count; i++) rows->fill(rows->ctx, first + i, &args[i * s->places]);
    err = oim_sql_exec(db, scratch, s->text[size], args, count * s->places, NULL, &affected);
    if (err == OIM_OK && rows->check) err = rows->check(rows->ctx, first, count, affected);
    return err;
}

/* The rows of a statement that the server refuses for what is in it, one by one. */
static int rows_divide(struct archive_statement *s, struct oim_sql *db, struct oim_arena *scratch, const struct archive_rows *rows, size_t first,
                       size_t count)
{
    int err = OIM_OK;

    for (size_t i = first; i < first + count && err == OIM_OK; i++) {
        err = rows_give(s, db, scratch, rows, i, SIZES - 1);
        if (oim_err_poison(err) && rows->refused) err = rows->refused(rows->ctx, i, err);
    }
    return err;
}

int archive_statement_run(struct archive_statement *s, struct oim_sql *db, struct oim_arena *scratch, const struct archive_rows *rows)
{
    for (size_t first = 0; first < rows->n;) {
        int size = size_choose(rows, first), err = rows_give(s, db, scratch, rows, first, size);

        if (oim_err_poison(err)) err = rows_divide(s, db, scratch, rows, first, sizes[size]);
        if (err != OIM_OK) return err;
        first += sizes[size];
    }
    return OIM_OK;
}
