/*
 * Rows of conversations, whatever changes them; conversation.h holds the contracts, rest.md C.4 and C.7 the rules. Called by the group
 * files (who joins, who leaves), by message_delete.c (clear) and by conversation_change.c. Everything is done for all users at once: a
 * thousand of them cost as many statements as ten.
 */
#include "conversation.h"

#include "seq.h"

#include <stdlib.h>
#include <string.h>

#define TIPS_IDS 500  /* ids of one notice: it stays far below the size that a message may have */
#define NOTHING (-1)  /* max_seq of who left before there was a message: 0 would be everything */

/* ---- rows ---- */

Openim__Conversation__Conversation *logic_conv_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Conversation__Conversation *c = logic_new(call, &openim__conversation__conversation__descriptor);

    c->conversationid = logic_cell_text(rows, row, 0);
    c->recvmsgopt = (int32_t)logic_cell_int(rows, row, 1);
    c->conversationtype = (int32_t)logic_cell_int(rows, row, 2);
    c->userid = logic_cell_text(rows, row, 3);
    c->groupid = logic_cell_text(rows, row, 4);
    c->ispinned = logic_cell_int(rows, row, 5) != 0;
    c->attachedinfo = logic_cell_text(rows, row, 6);
    c->isprivatechat = logic_cell_int(rows, row, 7) != 0;
    c->groupattype = (int32_t)logic_cell_int(rows, row, 8);
    c->ex = logic_cell_text(rows, row, 9);
    c->burnduration = (int32_t)logic_cell_int(rows, row, 10);
    c->minseq = logic_cell_int(rows, row, 11);
    c->maxseq = logic_cell_int(rows, row, 12);
    c->msgdestructtime = logic_cell_int(rows, row, 13);
    c->latestmsgdestructtime = logic_cell_int(rows, row, 14);
    c->ismsgdestruct = logic_cell_int(rows, row, 15) != 0;
    c->owneruserid = logic_cell_text(rows, row, 16);
    return c;
}

struct oim_sql_value *logic_conv_hashes(struct logic_lane *lane, const struct logic_conv_key *keys, size_t n)
{
    struct oim_sql_value *hashes = oim_arena_alloc(lane->arena, (n ? n : 1) * sizeof(*hashes));

    for (size_t i = 0; i < n; i++) hashes[i] = oim_sql_blob(logic_owner_hash(lane->arena, keys[i].owner, keys[i].id), 16);
    return hashes;
}

/* A key by its hash. */
struct place {
    const void *hash;
    size_t at;
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(((const struct place *)a)->hash, ((const struct place *)b)->hash, 16);
}

int logic_conv_lock(struct logic_call *call, const struct logic_conv_key *keys, size_t n, Openim__Conversation__Conversation **rows)
{
    static const char head[] = "SELECT " LOGIC_CONV_COLUMNS " FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *hashes = logic_conv_hashes(call->lane, keys, n);
    struct place *places = logic_array(call, n, sizeof(*places));
    struct oim_sql_rows found;
    int rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n, "ORDER BY owner_hash FOR UPDATE", &found);

    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        rows[i] = NULL;
        places[i] = (struct place){hashes[i].p, i};
    }
    qsort(places, n, sizeof(*places), by_hash);
    for (size_t i = 0; i < found.n; i++) {
        struct place key = {.hash = oim_sql_cell(&found, i, 17)->p}, *place = bsearch(&key, places, n, sizeof(key), by_hash);

        if (place) rows[place->at] = logic_conv_of_row(call, &found, i);
    }
    return OIM_OK;
}

int logic_conv_insert(struct logic_lane *lane, const struct logic_conv_key *keys, size_t n)
{
    enum { COLUMNS = 9 };
    static const char head[] = "INSERT INTO conversations (owner_user_id, conversation_id, conversation_type, user_id, group_id,"
                               " create_time, owner_hash, attached_info, ex) VALUES ";
    struct oim_sql_value *args = oim_arena_alloc(lane->arena, (n ? n : 1) * COLUMNS * sizeof(*args)), *arg = args;
    struct oim_sql_value *hashes = logic_conv_hashes(lane, keys, n);

    for (size_t i = 0; i < n; i++) {
        *arg++ = oim_sql_text(keys[i].owner);
        *arg++ = oim_sql_text(keys[i].id);
        *arg++ = oim_sql_int(keys[i].type);
        *arg++ = oim_sql_text(keys[i].peer);
        *arg++ = oim_sql_text(keys[i].group);
        *arg++ = oim_sql_int(oim_now_ms());
        *arg++ = hashes[i];
        *arg++ = oim_sql_text("");
        *arg++ = oim_sql_text("");
    }
    /* not IGNORE, which would cut an id that is too long */
    return logic_sql_rows(lane, head, args, COLUMNS, n, " ON DUPLICATE KEY UPDATE owner_hash = VALUES(owner_hash)");
}

int logic_conv_log(struct logic_call *call, const struct logic_conv_key *keys, Openim__Conversation__Conversation *const *rows, size_t n)
{
    char **made = logic_list(call, n), **changed = logic_list(call, n);
    size_t n_made = 0, n_changed = 0;
    int rc;

    if (n == 0) return OIM_OK;
    for (size_t i = 0; i < n; i++) {
        if (rows[i]) {
            changed[n_changed++] = keys[i].owner;
        } else {
            made[n_made++] = keys[i].owner;
        }
    }
    rc = logic_version_write_each(call->lane, LOGIC_LOG_CONVERSATION, made, n_made, &keys[0].id, true, LOGIC_INSERT, NULL);
    if (rc) return rc;
    return logic_version_write_each(call->lane, LOGIC_LOG_CONVERSATION, changed, n_changed, &keys[0].id, true, LOGIC_UPDATE, NULL);
}

/* ---- notices ---- */

static int notify_one(struct logic_call *call, char *user, char *const *ids, size_t n, bool late)
{
    Openim__Sdkws__ConversationUpdateTips tips = OPENIM__SDKWS__CONVERSATION_UPDATE_TIPS__INIT;
    struct logic_notice notice = {
        .content_type = LOGIC_N_CONVERSATION,
        .session_type = LOGIC_SESSION_SINGLE,
        .send_id = user,
        .recv_id = user,
        .tips = &tips.base,
        .late = late,
    };

    tips.userid = user;
    tips.conversationidlist = (char **)ids;
    tips.n_conversationidlist = n;
    return logic_notify(call, &notice);
}

static int notify(struct logic_call *call, char *const *users, size_t n_users, char *const *ids, size_t n_ids, bool late)
{
    bool *online = logic_array(call, n_users, sizeof(*online));
    int rc = logic_online(call, users, n_users, online);

    for (size_t i = 0; i < n_users && rc == OIM_OK; i++) {
        if (!online[i]) continue;
        for (size_t from = 0; from < n_ids && rc == OIM_OK; from += TIPS_IDS) {
            rc = notify_one(call, users[i], ids + from, n_ids - from < TIPS_IDS ? n_ids - from : TIPS_IDS, late);
        }
    }
    return rc;
}

int logic_conv_notify(struct logic_call *call, char *const *users, size_t n_users, char *const *ids, size_t n_ids)
{
    return notify(call, users, n_users, ids, n_ids, false);
}

/* ---- limits ---- */

/* seq_user rows of the users for one conversation, max_seq set. */
static int ends_write(struct logic_call *call, char *const *users, size_t n, const char *id, int64_t max)
{
    static const char head[] = "INSERT INTO seq_user (user_id, conversation_id, owner_hash, max_seq) VALUES ";
    struct oim_sql_value *args = logic_array(call, n * 4, sizeof(*args)), *arg = args;

    for (size_t i = 0; i < n; i++) {
        *arg++ = oim_sql_text(users[i]);
        *arg++ = oim_sql_text(id);
        *arg++ = oim_sql_blob(logic_owner_hash(call->lane->arena, users[i], id), 16);
        *arg++ = oim_sql_int(max);
    }
    return logic_sql_rows(call->lane, head, args, 4, n, " ON DUPLICATE KEY UPDATE max_seq = VALUES(max_seq)");
}

static int rows_end(struct logic_call *call, const struct oim_sql_value *hashes, size_t n, int64_t max)
{
    struct oim_sql_value args[] = {oim_sql_int(max)};
    struct oim_sql_rows none;

    return logic_sql_in(call->lane, "UPDATE conversations SET max_seq = ? WHERE owner_hash IN", args, 1, hashes, n, "", &none);
}

static struct logic_conv_key *group_keys(struct logic_call *call, const char *group_id, char *id, char *const *users, size_t n)
{
    struct logic_conv_key *keys = logic_array(call, n, sizeof(*keys));

    for (size_t i = 0; i < n; i++) keys[i] = (struct logic_conv_key){users[i], id, (char *)"", (char *)group_id, LOGIC_SESSION_GROUP};
    return keys;
}

int logic_conv_join(struct logic_call *call, const char *group_id, char *const *users, size_t n)
{
    static const char open[] = "UPDATE seq_user SET max_seq = 0 WHERE owner_hash IN";
    char *id = oim_arena_printf(call->lane->arena, "sg_%s", group_id), *twin = logic_twin(call->lane->arena, id);
    const struct logic_conv_key *keys = group_keys(call, group_id, id, users, n), *twins = group_keys(call, group_id, twin, users, n);
    const struct oim_sql_value *hashes = logic_conv_hashes(call->lane, keys, n);
    struct oim_sql_rows none;
    int rc = logic_conv_insert(call->lane, keys, n);

    if (rc == OIM_OK) rc = rows_end(call, hashes, n, 0);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, open, NULL, 0, hashes, n, "", &none);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, open, NULL, 0, logic_conv_hashes(call->lane, twins, n), n, "", &none);
    if (rc == OIM_OK) rc = logic_version_write_each(call->lane, LOGIC_LOG_CONVERSATION, users, n, &id, true, LOGIC_UPDATE, NULL);
    return rc ? rc : notify(call, users, n, &id, 1, true);
}

/* Those of the users who have a row. */
static int owners_of(struct logic_call *call, const struct logic_conv_key *keys, size_t n, char ***owners, size_t *n_owners)
{
    static const char head[] = "SELECT owner_user_id FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, NULL, 0, logic_conv_hashes(call->lane, keys, n), n, "ORDER BY owner_hash FOR UPDATE", &rows);

    if (rc) return rc;
    *owners = logic_column(call->lane->arena, &rows);
    *n_owners = rows.n;
    return OIM_OK;
}

/* What of the row follows from seq_user: the row, the logs, the notices. */
static int ends_follow(struct logic_call *call, const struct logic_conv_key *keys, size_t n, int64_t max)
{
    char **owners;
    size_t n_owners;
    int rc;

    if (n == 0) return OIM_OK;
    rc = owners_of(call, keys, n, &owners, &n_owners);
    if (rc == OIM_OK) rc = rows_end(call, logic_conv_hashes(call->lane, keys, n), n, max);
    if (rc || n_owners == 0) return rc;
    rc = logic_version_write_each(call->lane, LOGIC_LOG_CONVERSATION, owners, n_owners, &keys[0].id, true, LOGIC_UPDATE, NULL);
    return rc ? rc : logic_conv_notify(call, owners, n_owners, &keys[0].id, 1);
}

int logic_conv_leave(struct logic_call *call, const char *group_id, char *const *users, size_t n)
{
    char *id = oim_arena_printf(call->lane->arena, "sg_%s", group_id), *ids[] = {id, logic_twin(call->lane->arena, id)};
    struct logic_seq newest[2];
    int rc;

    if (n == 0) return OIM_OK;
    rc = logic_seqs(call, users[0], ids, 2, 0, NULL, NULL, newest);
    for (int i = 0; i < 2; i++) {
        if (newest[i].max == 0) newest[i].max = NOTHING;
    }
    if (rc == OIM_OK) rc = ends_write(call, users, n, ids[0], newest[0].max);
    if (rc == OIM_OK) rc = ends_write(call, users, n, ids[1], newest[1].max);
    return rc ? rc : ends_follow(call, group_keys(call, group_id, id, users, n), n, newest[0].max);
}

int logic_conv_left(struct logic_call *call, const char *id, char *const *users, size_t n, int64_t seq)
{
    static const char away[] = "SELECT user_id FROM seq_user FORCE INDEX (PRIMARY) WHERE max_seq <> 0 AND max_seq < ? AND owner_hash IN";
    struct oim_sql_value args[] = {oim_sql_int(seq)};
    struct logic_conv_key *keys = group_keys(call, id + strlen("sg_"), (char *)id, users, n);
    struct oim_sql_rows rows;
    char **still;
    int rc = logic_sql_in(call->lane, away, args, 1, logic_conv_hashes(call->lane, keys, n), n, "ORDER BY owner_hash FOR UPDATE", &rows);

    if (rc || rows.n == 0) return rc;
    still = logic_column(call->lane->arena, &rows);
    rc = ends_write(call, still, rows.n, id, seq);
    return rc ? rc : ends_follow(call, group_keys(call, id + strlen("sg_"), (char *)id, still, rows.n), rows.n, seq);
}

int logic_conv_min_seqs(struct logic_call *call, const char *owner, char *const *ids, const int64_t *seqs, size_t n)
{
    static const char head[] = "INSERT INTO seq_user (user_id, conversation_id, owner_hash, min_seq) VALUES ";
    static const char copy[] = "UPDATE conversations c JOIN seq_user s ON s.owner_hash = c.owner_hash SET c.min_seq = s.min_seq"
                               " WHERE c.owner_hash IN";
    static const char find[] = "SELECT conversation_id FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *args = logic_array(call, n * 4, sizeof(*args)), *arg = args;
    struct oim_sql_value *hashes = logic_array(call, n, sizeof(*hashes));
    struct oim_sql_rows rows;
    char **found;
    int rc;

    for (size_t i = 0; i < n; i++) {
        hashes[i] = oim_sql_blob(logic_owner_hash(call->lane->arena, owner, ids[i]), 16);
        *arg++ = oim_sql_text(owner);
        *arg++ = oim_sql_text(ids[i]);
        *arg++ = hashes[i];
        *arg++ = oim_sql_int(seqs[i]);
    }
    rc = logic_sql_rows(call->lane, head, args, 4, n, " ON DUPLICATE KEY UPDATE min_seq = GREATEST(min_seq, VALUES(min_seq))");
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, copy, NULL, 0, hashes, n, "", &rows);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, find, NULL, 0, hashes, n, "ORDER BY id", &rows);
    if (rc || rows.n == 0) return rc;
    found = logic_column(call->lane->arena, &rows);
    rc = logic_version_write(call->lane, LOGIC_LOG_CONVERSATION, owner, found, rows.n, LOGIC_UPDATE, NULL);
    return rc ? rc : logic_conv_notify(call, (char *const *)&owner, 1, found, rows.n);
}
