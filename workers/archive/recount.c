/*
 * Counts the history that was there before it was counted (msg_counts): at the first start of a version that counts, and again whenever one
 * that does not has written. In pieces, from the newest message to the oldest, each a transaction that adds the piece to the counts
 * and moves msg_counted.counted_from down to its first message. While that is at its highest, nobody counts and nobody reads counts, and
 * what is left of an earlier counting goes. A thread of its own with a connection of its own; of several processes each does some pieces.
 */
#include "archive.h"

#include <inttypes.h>
#include <time.h>

#define PIECE_MIN 100
#define PIECE_MAX 20000 /* messages: lanes wait for a piece */
#define LOOK_MS 10000
#define RETRY_MS 1000

struct recount {
    struct oim_app *app;
    struct oim_sql *db;
    struct oim_arena *arena;
    int64_t piece;
    bool busy; /* for the log */
};

/* What is left of an earlier counting, in pieces. */
static int old_delete(struct recount *r, bool *gone)
{
    static const char sql[] = "DELETE FROM msg_counts ORDER BY kind, day, name LIMIT ?";
    struct oim_sql_value limit = oim_sql_int(r->piece);
    uint64_t n;
    int err = oim_sql_exec(r->db, r->arena, sql, &limit, 1, NULL, &n);

    *gone = err == OIM_OK && n == 0;
    return err;
}

/* The sendTime at which the piece before `to` begins, 0 when it is the last one. */
static int piece_begin(struct recount *r, int64_t to, int64_t *from)
{
    static const char sql[] = "SELECT send_time FROM msg_history FORCE INDEX (sent) WHERE send_time < ?"
                              " ORDER BY send_time DESC LIMIT 1 OFFSET ?";
    struct oim_sql_value args[] = {oim_sql_int(to), oim_sql_int(r->piece)};
    struct oim_sql_rows rows;
    int err = oim_sql_exec(r->db, r->arena, sql, args, 2, &rows, NULL);

    *from = err == OIM_OK && rows.n ? oim_sql_cell(&rows, 0, 0)->i : 0;
    return err;
}

#define PART(kind, name, prefix)                                                                                          \
    "SELECT " kind ", send_time DIV 86400000 AS day, " name " AS name, COUNT(*) FROM msg_history FORCE INDEX (sent)"   \
    " WHERE send_time >= ? AND send_time < ? AND conversation_id LIKE '" prefix "\\_%' GROUP BY day, name"

/* kinds and names as in counts.c */
static int piece_count(struct recount *r, int64_t from, int64_t to)
{
    static const char sql[] = "INSERT INTO msg_counts (kind, day, name, n) " PART("1", "send_id", "si")
        " UNION ALL " PART("2", "send_id", "sg") " UNION ALL SELECT * FROM (" PART("3", "SUBSTR(conversation_id, 4)", "sg")
        ") g WHERE CHAR_LENGTH(name) <= 255 ON DUPLICATE KEY UPDATE n = msg_counts.n + VALUES(n)";
    struct oim_sql_value a = oim_sql_int(from), b = oim_sql_int(to), args[] = {a, b, a, b, a, b}, first = a;
    int err = oim_sql_exec(r->db, r->arena, sql, args, 6, NULL, NULL);

    if (err != OIM_OK) return err;
    return oim_sql_exec(r->db, r->arena, "UPDATE msg_counted SET counted_from = ? WHERE id = 1", &first, 1, NULL, NULL);
}

/* In a transaction that holds the line. *from: where it is afterwards. */
static int piece_do(struct recount *r, int64_t *from)
{
    bool gone = true;
    int64_t to;
    int err = archive_counted_from(r->db, r->arena, "FOR UPDATE", &to);

    *from = to;
    if (err == OIM_OK && to == INT64_MAX) err = old_delete(r, &gone);
    if (err != OIM_OK || to == 0 || !gone) return err;
    err = piece_begin(r, to, from);
    return err == OIM_OK ? piece_count(r, *from, to) : err;
}

static int piece(struct recount *r, int64_t *from)
{
    int err = oim_sql_begin(r->db);

    if (err != OIM_OK) return err;
    err = piece_do(r, from);
    if (err == OIM_OK) return oim_sql_commit(r->db);
    oim_sql_rollback(r->db);
    return err;
}

/* A piece, if there is one to do. Returns how long to wait for the next one. */
static int64_t turn(struct recount *r)
{
    int64_t began = oim_mono_ms(), from;
    int err;

    oim_arena_reset(r->arena);
    err = archive_counted_from(r->db, r->arena, "", &from);
    if (err == OIM_OK && from > 0) {
        if (!r->busy) oim_log(OIM_LOG_INFO, "counting the history for statistics", "counted_from=%" PRId64, from);
        r->busy = true;
        err = piece(r, &from);
        if (err == OIM_OK && r->piece < PIECE_MAX) r->piece *= 2;
        if (err != OIM_OK && r->piece > PIECE_MIN) r->piece /= 2; /* it may have been too much for mysql.timeout_ms */
    }
    if (err != OIM_OK) return RETRY_MS;
    if (from > 0) return oim_mono_ms() - began; /* half of the time is for others */
    if (r->busy) oim_log(OIM_LOG_INFO, "the history is counted", "lane=recount");
    r->busy = false;
    return LOOK_MS;
}

int archive_recount_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    struct recount r = {.app = app, .db = oim_sql_new(&app->conf, lane->name), .arena = oim_arena_new(64 * 1024), .piece = PIECE_MIN};

    if (r.db == NULL || r.arena == NULL) return OIM_EFATAL;
    while (!app->stop) archive_wait(app, turn(&r));
    oim_sql_free(r.db);
    oim_arena_free(r.arena);
    return OIM_OK;
}
