/*
 * Messages of a day by sender and by group (msg_counts), for /statistics. What a batch has added to the history it adds here in the same
 * transaction, so the two agree whatever breaks. Only what was sent at msg_counted.counted_from or later is counted here; the rest is
 * for recount.c, which moves that line: it is held with a shared lock until the commit. Called by store.c last of all, because lanes
 * meet in the rows of a sender and wait for each other's commit.
 */
#include "archive.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000

enum kind { CHAT_BY_SENDER = 1, GROUP_BY_SENDER = 2, GROUP_BY_GROUP = 3 }; /* config/mysql/0005_counts.sql */

struct count {
    enum kind kind;
    int64_t day, n;
    const char *name;
};

/* The order in which rows are locked. */
static int by_key(const void *a, const void *b)
{
    const struct count *x = a, *y = b;

    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void count_fill(void *ctx, size_t i, struct oim_sql_value *args)
{
    const struct count *c = &((struct count *)ctx)[i];

    args[0] = oim_sql_int(c->kind);
    args[1] = oim_sql_int(c->day);
    args[2] = oim_sql_text(c->name);
    args[3] = oim_sql_int(c->n);
}

/* A name that is longer than any group's: it has no row, here and in recount.c. */
static int count_refused(void *ctx, size_t i, int code)
{
    return OIM_OK;
}

/* Adds what the row counts for: chats only, notifications are nobody's. */
static size_t row_count(const struct oim_mongo_msg *m, struct count *out)
{
    int64_t day = m->send_time / DAY_MS;

    if (strncmp(m->conversation_id, "si_", 3) == 0) {
        out[0] = (struct count){CHAT_BY_SENDER, day, 1, m->send_id};
        return 1;
    }
    if (strncmp(m->conversation_id, "sg_", 3)) return 0;
    out[0] = (struct count){GROUP_BY_SENDER, day, 1, m->send_id};
    out[1] = (struct count){GROUP_BY_GROUP, day, 1, m->conversation_id + 3};
    return 2;
}

/* Sorted, each key once. */
static size_t merge(struct count *list, size_t n)
{
    size_t kept = 0;

    qsort(list, n, sizeof(*list), by_key);
    for (size_t i = 0; i < n; i++) {
        if (kept && by_key(&list[kept - 1], &list[i]) == 0) {
            list[kept - 1].n++;
        } else {
            list[kept++] = list[i];
        }
    }
    return kept;
}

int archive_counted_from(struct oim_sql *db, struct oim_arena *a, const char *lock, int64_t *from)
{
    struct oim_sql_rows rows;
    int err = oim_sql_exec(db, a, oim_arena_printf(a, "SELECT counted_from FROM msg_counted WHERE id = 1 %s", lock), NULL, 0, &rows, NULL);

    if (err == OIM_OK) *from = rows.n ? oim_sql_cell(&rows, 0, 0)->i : INT64_MAX;
    return err;
}

int archive_counts_store(struct archive_lane *l)
{
    struct count *list = oim_arena_alloc(l->scratch, (2 * l->n_rows + 1) * sizeof(*list));
    int64_t from = 0;
    size_t n = 0;
    int err = archive_counted_from(l->db, l->scratch, "LOCK IN SHARE MODE", &from);

    if (err != OIM_OK) return err;
    if (l->counts == NULL) {
        l->counts = archive_statement_new("INSERT INTO msg_counts (kind, day, name, n) VALUES ", 4,
                                          " ON DUPLICATE KEY UPDATE n = n + VALUES(n)");
    }
    for (size_t i = 0; i < l->n_rows; i++) {
        if (l->rows[i].inserted && l->rows[i].msg.send_time >= from) n += row_count(&l->rows[i].msg, &list[n]);
    }
    return archive_statement_run(l->counts, l->db, l->scratch,
                                 &(struct archive_rows){.n = merge(list, n), .fill = count_fill, .refused = count_refused, .ctx = list});
}

int archive_counts_void(struct archive_lane *l, int32_t partition)
{
    static const char position[] = "UPDATE archive_offset SET counted_offset = next_offset WHERE partition_id = ?";
    static const char line[] = "UPDATE msg_counted SET counted_from = ? WHERE id = 1";
    struct oim_sql_value id = oim_sql_int(partition), never = oim_sql_int(INT64_MAX);
    int err = oim_sql_begin(l->db);

    if (err == OIM_OK) err = oim_sql_exec(l->db, l->scratch, position, &id, 1, NULL, NULL);
    if (err == OIM_OK) err = oim_sql_exec(l->db, l->scratch, line, &never, 1, NULL, NULL);
    if (err == OIM_OK) return oim_sql_commit(l->db);
    oim_sql_rollback(l->db);
    return err;
}
