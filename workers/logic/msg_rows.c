/*
 * The rows of conversations whose first message is here (rest.md C.7): both sides of a single chat, the receiver of a notification account,
 * all members of a group. msg_sequence.c calls it before the first seq is given, msg_takeover.c when a predecessor may have died between
 * the two. Rows that are there stay as they are.
 *
 * A group's rows are made in pieces, each a transaction of its own: ten thousand members take a second, not ten, and lock few rows at a
 * time. What is missing when it is cut off is made when the message is sent again.
 */
#include "conversation.h"
#include "msg.h"
#include "msg_options.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 512   /* members of a group in one transaction */
#define SLOW_MS 500
#define ATTEMPTS 5     /* of a transaction that met another one */

/* peer "": of a group. */
static void row_add(struct logic_conv_key *rows, size_t *n, const struct msg_entry *entry, char *owner, char *peer)
{
    rows[(*n)++] = (struct logic_conv_key){owner, entry->conversation_id, peer, *peer ? (char *)"" : entry->msg->groupid,
                                           entry->msg->sessiontype};
}

/* At most two. */
static void rows_of(const struct msg_entry *entry, struct logic_conv_key *rows, size_t *n)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;

    if (msg->sessiontype == LOGIC_SESSION_NOTIFICATION) {
        row_add(rows, n, entry, msg->recvid, msg->sendid);
        return;
    }
    row_add(rows, n, entry, msg->sendid, msg->recvid);
    if (strcmp(msg->sendid, msg->recvid) != 0) row_add(rows, n, entry, msg->recvid, msg->sendid);
}

/* Takes out the rows that exist. */
static int rows_missing(struct msg_lane *lane, struct logic_conv_key *rows, size_t *n)
{
    static const char head[] = "SELECT owner_hash FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *hashes = logic_conv_hashes(&lane->base, rows, *n);
    struct oim_sql_rows found;
    size_t kept = 0;
    int err = logic_sql_in(&lane->base, head, NULL, 0, hashes, *n, "", &found);

    if (err != OIM_OK) return err;
    for (size_t i = 0; i < *n; i++) {
        bool there = false;

        for (size_t r = 0; r < found.n && !there; r++) there = memcmp(oim_sql_cell(&found, r, 0)->p, hashes[i].p, 16) == 0;
        if (!there) rows[kept++] = rows[i];
    }
    *n = kept;
    return OIM_OK;
}

static int by_owner(const void *a, const void *b)
{
    return strcmp(((const struct logic_conv_key *)a)->owner, ((const struct logic_conv_key *)b)->owner);
}

/* One version step per owner, owners in order: two lanes never wait for each other crosswise. Neighbours with one conversation each, the
 * receivers of a batch, cost a few statements together. */
static int rows_log(struct msg_lane *lane, struct logic_conv_key *rows, size_t n)
{
    char **owners = oim_arena_alloc(lane->base.arena, (n ? n : 1) * sizeof(*owners));
    char **elements = oim_arena_alloc(lane->base.arena, (n ? n : 1) * sizeof(*elements));
    int err = OIM_OK;

    qsort(rows, n, sizeof(*rows), by_owner);
    for (size_t i = 0; i < n; i++) {
        owners[i] = rows[i].owner;
        elements[i] = rows[i].id;
    }
    for (size_t from = 0, to; from < n && err == OIM_OK; from = to) {
        for (to = from + 1; to < n && strcmp(owners[to], owners[from]) == 0; to++) continue;
        if (to - from > 1) {
            err = logic_version_write(&lane->base, LOGIC_LOG_CONVERSATION, owners[from], elements + from, to - from, LOGIC_INSERT, NULL);
            continue;
        }
        while (to < n && (to + 1 == n || strcmp(owners[to], owners[to + 1]))) to++;
        err = logic_version_write_each(&lane->base, LOGIC_LOG_CONVERSATION, owners + from, to - from, elements + from, false, LOGIC_INSERT,
                                       NULL);
    }
    return err;
}

/* One transaction, again when it met another one. log: writes the conversation logs of the rows' owners. */
static int rows_write(struct msg_lane *lane, struct logic_conv_key *rows, size_t n, int (*log)(struct msg_lane *, struct logic_conv_key *, size_t))
{
    struct oim_sql *db = lane->base.db;
    int err = OIM_OK;

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        err = oim_sql_begin(db);
        if (err == OIM_OK) err = logic_conv_insert(&lane->base, rows, n);
        if (err == OIM_OK) err = log(lane, rows, n);
        if (err == OIM_OK) err = oim_sql_commit(db);
        if (err != OIM_OK) oim_sql_rollback(db);
        if (err != OIM_ECONFLICT) break;
    }
    return err;
}

/* ---- groups ---- */

/* Owners are distinct, the conversation is one. */
static int group_log(struct msg_lane *lane, struct logic_conv_key *rows, size_t n)
{
    char **owners = oim_arena_alloc(lane->base.arena, n * sizeof(*owners)), *conversation_id = rows[0].id;

    for (size_t i = 0; i < n; i++) owners[i] = rows[i].owner;
    return logic_version_write_each(&lane->base, LOGIC_LOG_CONVERSATION, owners, n, &conversation_id, true, LOGIC_INSERT, NULL);
}

static int group_rows(struct msg_lane *lane, const struct msg_entry *entry)
{
    /* owner_hash as logic_owner_hash() makes it */
    static const char sql[] = "SELECT m.user_id FROM group_members m LEFT JOIN conversations c"
                              " ON c.owner_hash = UNHEX(LEFT(SHA2(CONCAT(m.user_id, CHAR(0), ?), 256), 32))"
                              " WHERE m.group_id = ? AND c.owner_hash IS NULL ORDER BY m.user_id";
    struct oim_sql_value args[] = {oim_sql_text(entry->conversation_id), oim_sql_text(entry->msg->groupid)};
    struct oim_arena *a = lane->base.arena;
    int64_t began = oim_mono_ms();
    struct oim_sql_rows found = {0};
    struct logic_conv_key *rows;
    size_t n = 0;
    int err = oim_sql_exec(lane->base.db, a, sql, args, 2, &found, NULL);

    if (err != OIM_OK || found.n == 0) return err;
    rows = oim_arena_alloc(a, found.n * sizeof(*rows));
    for (size_t i = 0; i < found.n; i++) row_add(rows, &n, entry, logic_cell_text(&found, i, 0), (char *)"");
    for (size_t from = 0; from < n && err == OIM_OK; from += PIECE) {
        err = rows_write(lane, rows + from, n - from < PIECE ? n - from : PIECE, group_log);
    }
    if (oim_mono_ms() - began >= SLOW_MS) {
        oim_log(OIM_LOG_INFO, "rows of a large group", "lane=%s group=%s rows=%zu ms=%" PRId64, lane->base.name, entry->msg->groupid, n,
                oim_mono_ms() - began);
    }
    return err;
}

int msg_conv_rows(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct logic_conv_key *rows = oim_arena_alloc(lane->base.arena, 2 * n * sizeof(*rows));
    size_t count = 0;
    int err = OIM_OK;

    for (size_t i = 0; i < n && err == OIM_OK; i++) {
        if (entries[i]->msg->sessiontype == LOGIC_SESSION_GROUP) {
            err = group_rows(lane, entries[i]);
        } else {
            rows_of(entries[i], rows, &count);
        }
    }
    if (err == OIM_OK && count) err = rows_missing(lane, rows, &count);
    return err != OIM_OK || count == 0 ? err : rows_write(lane, rows, count, rows_log);
}
