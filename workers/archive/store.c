/*
 * A batch into the stores: MongoDB first, then one MySQL transaction with the history, the ceilings, the senders' read seqs, the counts of
 * the day (counts.c) and the positions. Called by lane.c, again and again until it succeeds; everything is idempotent.
 *
 * archive_offset is moved by compare-and-set: a lane that lost its partition without noticing (it was stopped, or slow) cannot move it,
 * and its whole transaction is void.
 */
#include "archive.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- MongoDB ---- */

static int mongo_store(struct archive_lane *l)
{
    struct oim_mongo_msg *msgs = oim_arena_alloc(l->scratch, (l->n_rows + 1) * sizeof(*msgs));
    size_t n = 0;
    int err;

    for (size_t i = 0; i < l->n_rows; i++) {
        if (!l->rows[i].in_mongo) msgs[n++] = l->rows[i].msg;
    }
    if (n == 0) return OIM_OK;
    err = oim_mongo_insert(l->mg, msgs, n);
    for (size_t i = 0; i < l->n_rows && err == OIM_OK; i++) l->rows[i].in_mongo = true;
    return err;
}

/* ---- history ---- */

static void history_fill(void *ctx, size_t i, struct oim_sql_value *args)
{
    const struct archive_row *row = &((struct archive_lane *)ctx)->rows[i];
    const struct oim_mongo_msg *m = &row->msg;

    args[0] = oim_sql_text(m->conversation_id);
    args[1] = oim_sql_int(m->seq);
    args[2] = oim_sql_blob(row->dedup, sizeof(row->dedup));
    args[3] = oim_sql_text(m->client_msg_id);
    args[4] = oim_sql_text(row->server_msg_id);
    args[5] = oim_sql_text(m->send_id);
    args[6] = oim_sql_text(row->recv_id);
    args[7] = oim_sql_int(row->platform_id);
    args[8] = oim_sql_text(row->nick_name);
    args[9] = oim_sql_text(row->face_url);
    args[10] = oim_sql_int(row->session_type);
    args[11] = oim_sql_int(row->msg_from);
    args[12] = oim_sql_int(m->content_type);
    args[13] = (struct oim_sql_value){.kind = OIM_SQL_TEXT, .p = row->content, .len = row->content_len};
    args[14] = oim_sql_int(m->send_time);
    args[15] = oim_sql_int(row->create_time);
    args[16] = oim_sql_blob(m->data, m->len);
}

static size_t history_bytes(void *ctx, size_t i)
{
    const struct archive_row *row = &((struct archive_lane *)ctx)->rows[i];

    return row->msg.len + row->content_len + 1024;
}

#define HISTORY_COLUMNS                                                                                                             \
    "msg_history (conversation_id, seq, dedup, client_msg_id, server_msg_id, send_id, recv_id, sender_platform_id, sender_nick_name, " \
    "sender_face_url, session_type, msg_from, content_type, content, send_time, create_time, data) VALUES "
#define HISTORY_PLACES 17

/* A row that the server will never take is in MongoDB and in the parking file; its seq stays a hole in MySQL. */
static int row_refused(void *ctx, size_t i, int code)
{
    struct archive_lane *l = ctx;
    int err = OIM_OK;

    if (!l->rows[i].parked) err = archive_park(l, l->rows[i].record, code == OIM_ELIMIT ? "mysql refuses its size" : "mysql refuses its content");
    l->rows[i].parked = err == OIM_OK;
    return err;
}

/* IGNORE hides more than repeats: without it the server says what is wrong with the row. */
static int row_insist(struct archive_lane *l, size_t i)
{
    static const char sql[] = "INSERT INTO " HISTORY_COLUMNS "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    struct oim_sql_value args[HISTORY_PLACES];
    int err;

    history_fill(l, i, args);
    err = oim_sql_exec(l->db, l->scratch, sql, args, HISTORY_PLACES, NULL, NULL);
    if (err == OIM_EEXIST) return OIM_ECONFLICT; /* it came meanwhile */
    l->rows[i].inserted = err == OIM_OK;
    return oim_err_poison(err) ? row_refused(l, i, err) : err;
}

/* Why the server did not take row i: a repeat of the row, a key that another seq has, or something worse. */
static int row_explain(struct archive_lane *l, size_t i)
{
    static const char by_seq[] = "SELECT dedup FROM msg_history WHERE conversation_id = ? AND seq = ?";
    static const char by_key[] = "SELECT conversation_id, seq FROM msg_history WHERE dedup = ?";
    const struct archive_row *row = &l->rows[i];
    struct oim_sql_value args[] = {oim_sql_text(row->msg.conversation_id), oim_sql_int(row->msg.seq)};
    struct oim_sql_value key = oim_sql_blob(row->dedup, sizeof(row->dedup));
    struct oim_sql_rows found;
    int err = oim_sql_exec(l->db, l->scratch, by_seq, args, 2, &found, NULL);

    if (err != OIM_OK) return err;
    if (found.n) {
        const struct oim_sql_value *dedup = oim_sql_cell(&found, 0, 0);

        if (dedup->len == sizeof(row->dedup) && memcmp(dedup->p, row->dedup, sizeof(row->dedup)) == 0) return OIM_OK;
        atomic_fetch_add(&l->counters->left_out, 1);
        oim_log(OIM_LOG_ERROR, "left out: another message has this seq", "conv=%s seq=%" PRId64 " partition=%d offset=%" PRId64,
                row->msg.conversation_id, row->msg.seq, row->record->partition, row->record->offset);
        return OIM_OK;
    }
    err = oim_sql_exec(l->db, l->scratch, by_key, &key, 1, &found, NULL);
    if (err != OIM_OK) return err;
    if (found.n == 0) return row_insist(l, i);
    atomic_fetch_add(&l->counters->left_out, 1);
    oim_log(OIM_LOG_WARN, "left out: repeat under another seq", "conv=%s seq=%" PRId64 " first_seq=%" PRId64 " partition=%d offset=%" PRId64,
            row->msg.conversation_id, row->msg.seq, oim_sql_cell(&found, 0, 1)->i, row->record->partition, row->record->offset);
    return OIM_OK;
}

/* OIM_EEXIST: some of the rows were there and the server does not say which, but each new one is to be counted. */
static int history_check(void *ctx, size_t first, size_t count, uint64_t affected)
{
    struct archive_lane *l = ctx;
    int err = OIM_OK;

    if (affected > 0 && affected < count) return OIM_EEXIST;
    for (size_t i = first; i < first + count; i++) l->rows[i].inserted = affected > 0;
    if (affected > 0) return OIM_OK;
    atomic_fetch_add(&l->counters->repeats, count);
    for (size_t i = first; i < first + count && err == OIM_OK; i++) err = row_explain(l, i);
    return err;
}

static int history_store(struct archive_lane *l)
{
    struct archive_rows rows = {.n = l->n_rows, .one_by_one = l->one_by_one, .fill = history_fill, .bytes = history_bytes,
                                .check = history_check, .refused = row_refused, .ctx = l};

    if (l->history == NULL) l->history = archive_statement_new("INSERT IGNORE INTO " HISTORY_COLUMNS, HISTORY_PLACES, "");
    return archive_statement_run(l->history, l->db, l->scratch, &rows);
}

/* ---- ceilings and read seqs: the newest of a key in the batch, in the order of the key (no deadlocks between lanes) ---- */

struct newest {
    const struct archive_row *row;
    uint8_t owner[16];
};

static int by_conversation(const void *a, const void *b)
{
    const struct archive_row *x = ((const struct newest *)a)->row, *y = ((const struct newest *)b)->row;
    int d = strcmp(x->msg.conversation_id, y->msg.conversation_id);

    return d ? d : x->msg.seq < y->msg.seq ? -1 : x->msg.seq > y->msg.seq;
}

static int by_sender(const void *a, const void *b)
{
    const struct archive_row *x = ((const struct newest *)a)->row, *y = ((const struct newest *)b)->row;
    int d = strcmp(x->msg.conversation_id, y->msg.conversation_id);

    if (d == 0) d = strcmp(x->msg.send_id, y->msg.send_id);
    return d ? d : x->msg.seq < y->msg.seq ? -1 : x->msg.seq > y->msg.seq;
}

static int by_owner(const void *a, const void *b)
{
    return memcmp(((const struct newest *)a)->owner, ((const struct newest *)b)->owner, 16);
}

static void ceiling_fill(void *ctx, size_t i, struct oim_sql_value *args)
{
    const struct oim_mongo_msg *m = &((struct newest *)ctx)[i].row->msg;

    args[0] = oim_sql_text(m->conversation_id);
    args[1] = oim_sql_int(m->seq);
    args[2] = oim_sql_int(m->send_time);
}

static int ceilings_store(struct archive_lane *l)
{
    struct newest *list = oim_arena_alloc(l->scratch, (l->n_rows + 1) * sizeof(*list));
    size_t n = 0;

    if (l->ceilings == NULL) {
        l->ceilings = archive_statement_new("INSERT INTO conversation_seq (conversation_id, archived_seq, archived_time) VALUES ", 3,
                                            " ON DUPLICATE KEY UPDATE archived_seq = GREATEST(archived_seq, VALUES(archived_seq)), "
                                            "archived_time = GREATEST(archived_time, VALUES(archived_time))");
    }
    for (size_t i = 0; i < l->n_rows; i++) list[i].row = &l->rows[i];
    qsort(list, l->n_rows, sizeof(*list), by_conversation);
    for (size_t i = 0; i < l->n_rows; i++) {
        bool last = i + 1 == l->n_rows || strcmp(list[i].row->msg.conversation_id, list[i + 1].row->msg.conversation_id);

        if (last) list[n++] = list[i];
    }
    return archive_statement_run(l->ceilings, l->db, l->scratch, &(struct archive_rows){.n = n, .fill = ceiling_fill, .ctx = list});
}

static void read_fill(void *ctx, size_t i, struct oim_sql_value *args)
{
    const struct newest *n = &((struct newest *)ctx)[i];

    args[0] = oim_sql_text(n->row->msg.send_id);
    args[1] = oim_sql_text(n->row->msg.conversation_id);
    args[2] = oim_sql_blob(n->owner, sizeof(n->owner));
    args[3] = oim_sql_int(n->row->msg.seq);
}

/* A sender has read what he wrote (messages.md): chats only, notifications are nobody's. */
static int reads_store(struct archive_lane *l)
{
    struct newest *list = oim_arena_alloc(l->scratch, (l->n_rows + 1) * sizeof(*list));
    size_t all = 0, n = 0;

    if (l->reads == NULL) {
        l->reads = archive_statement_new("INSERT INTO seq_user (user_id, conversation_id, owner_hash, read_seq) VALUES ", 4,
                                         " ON DUPLICATE KEY UPDATE read_seq = GREATEST(read_seq, VALUES(read_seq))");
    }
    for (size_t i = 0; i < l->n_rows; i++) {
        const struct oim_mongo_msg *m = &l->rows[i].msg;

        if (strncmp(m->conversation_id, "n_", 2) && *m->send_id) list[all++].row = &l->rows[i];
    }
    qsort(list, all, sizeof(*list), by_sender);
    for (size_t i = 0; i < all; i++) {
        const struct oim_mongo_msg *m = &list[i].row->msg;
        bool last = i + 1 == all || strcmp(m->conversation_id, list[i + 1].row->msg.conversation_id) ||
                    strcmp(m->send_id, list[i + 1].row->msg.send_id);

        if (!last) continue;
        oim_hash_sha128(list[i].owner, (const char *const[]){m->send_id, m->conversation_id}, 2);
        list[n++] = list[i];
    }
    qsort(list, n, sizeof(*list), by_owner);
    return archive_statement_run(l->reads, l->db, l->scratch, &(struct archive_rows){.n = n, .fill = read_fill, .ctx = list});
}

/* ---- positions ---- */

struct position {
    bool there;
    int64_t next, fence, counted;
};

static int position_read(struct archive_lane *l, int32_t partition, struct position *p)
{
    static const char sql[] = "SELECT next_offset, fence, counted_offset FROM archive_offset WHERE partition_id = ?";
    struct oim_sql_value id = oim_sql_int(partition);
    struct oim_sql_rows rows;
    int err = oim_sql_exec(l->db, l->scratch, sql, &id, 1, &rows, NULL);

    *p = (struct position){.there = err == OIM_OK && rows.n > 0, .fence = -1};
    if (!p->there) return err;
    p->next = oim_sql_cell(&rows, 0, 0)->i;
    p->fence = oim_sql_cell(&rows, 0, 1)->i;
    p->counted = oim_sql_cell(&rows, 0, 2)->i;
    return OIM_OK;
}

int archive_position_load(struct archive_lane *l, int32_t partition, int64_t *next, int64_t *fence)
{
    struct oim_sql_value id = oim_sql_int(partition);
    struct position p;
    int err = position_read(l, partition, &p);

    *next = p.next;
    *fence = p.fence;
    if (err == OIM_OK && p.counted != p.next) {
        oim_log(OIM_LOG_WARN, "history was written that nobody has counted; all of it is counted anew",
                "partition=%d position=%" PRId64 " counted=%" PRId64, partition, p.next, p.counted);
        err = archive_counts_void(l, partition);
    }
    if (err != OIM_OK || p.there) return err;
    return oim_sql_exec(l->db, l->scratch, "INSERT IGNORE INTO archive_offset (partition_id, next_offset, fence) VALUES (?, 0, -1)", &id, 1, NULL,
                        NULL);
}

static int position_store(struct archive_lane *l, int32_t partition, const struct archive_partition *p)
{
    static const char sql[] = "UPDATE archive_offset SET next_offset = ?, counted_offset = ?, fence = ?"
                              " WHERE partition_id = ? AND next_offset = ? AND fence = ?";
    struct oim_sql_value next = oim_sql_int(p->to_next);
    struct oim_sql_value args[] = {next, next, oim_sql_int(p->to_fence), oim_sql_int(partition), oim_sql_int(p->next),
                                   oim_sql_int(p->fence)};
    struct position now;
    uint64_t matched;
    int err = oim_sql_exec(l->db, l->scratch, sql, args, 6, NULL, &matched);

    if (err != OIM_OK || matched == 1) return err;
    err = position_read(l, partition, &now);
    if (err != OIM_OK) return err;
    /* an earlier try whose COMMIT was not answered */
    return now.there && now.next == p->to_next && now.fence == p->to_fence ? OIM_OK : OIM_EFENCED;
}

static int positions_store(struct archive_lane *l, int32_t *lost)
{
    for (int32_t i = 0; i < l->n_parts; i++) {
        int err;

        if (!l->parts[i].touched) continue;
        err = position_store(l, i, &l->parts[i]);
        *lost = i;
        if (err != OIM_OK) return err;
    }
    return OIM_OK;
}

/* A process that stands still (a paused machine) must not hold its locks: the server ends its transaction soon, the next owner goes on.
 * Outside of transactions a connection may be idle for hours. */
static int patience(struct archive_lane *l, bool transaction)
{
    static const char brief[] = "SET SESSION wait_timeout = 10, innodb_lock_wait_timeout = 2";
    static const char ordinary[] = "SET SESSION wait_timeout = DEFAULT";

    return oim_sql_exec(l->db, l->scratch, transaction ? brief : ordinary, NULL, 0, NULL, NULL);
}

static int transaction_write(struct archive_lane *l, int32_t *lost)
{
    int err = positions_store(l, lost); /* first: it locks the rows, so a second owner waits here and then sees that it is late */

    if (err == OIM_OK) err = history_store(l);
    if (err == OIM_OK) err = ceilings_store(l);
    if (err == OIM_OK) err = reads_store(l);
    if (err == OIM_OK) err = archive_counts_store(l);
    if (err == OIM_OK) return oim_sql_commit(l->db);
    oim_sql_rollback(l->db);
    return err;
}

static int transaction_try(struct archive_lane *l, bool one_by_one, int32_t *lost)
{
    int err = oim_sql_begin(l->db);

    l->one_by_one = one_by_one;
    return err == OIM_OK ? transaction_write(l, lost) : err;
}

static int mysql_store(struct archive_lane *l, int32_t *lost)
{
    int err = patience(l, true);

    if (err != OIM_OK) return err;
    err = transaction_try(l, false, lost);
    if (err == OIM_EEXIST) err = transaction_try(l, true, lost);
    patience(l, false);
    return err;
}

int archive_store(struct archive_lane *l, int32_t *lost)
{
    int64_t start = oim_mono_ms(), middle;
    int err;

    oim_arena_reset(l->scratch);
    err = mongo_store(l);
    middle = oim_mono_ms();
    if (err == OIM_OK) err = mysql_store(l, lost);
    atomic_fetch_add(&l->counters->mongo_ms, middle - start);
    atomic_fetch_add(&l->counters->mysql_ms, oim_mono_ms() - middle);
    return err;
}
