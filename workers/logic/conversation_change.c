/*
 * Changes of conversation rows that users ask for (rest.md B.8, C.7), and the tasks that follow from what others do: AtTask (somebody is
 * mentioned, an announcement), LeftTask (the notice of a leaving has its seq), PeerTask (the rest of an update of many rows).
 *
 * A row is what lets a user read a conversation, so nobody makes one of a conversation that it has no part in: the id has to be the one of
 * the two users, or of a group that the owner is in.
 */
#include "conversation.h"

#include "group.h"
#include "pull.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 500         /* rows of one piece of a task */
#define DAY_MS 86400000LL
#define DAYS_MAX 100000
#define AT_ANNOUNCEMENT 4

typedef Openim__Conversation__ConversationReq Settings;
typedef Openim__Conversation__Conversation Row;

/* ---- set_conversations: the settings ---- */

static int settings_check(struct logic_call *call, const Openim__Conversation__SetConversationsReq *req)
{
    const Settings *c = req->conversation;
    int rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);

    if (rc) return rc;
    if (c == NULL) return logic_args(call, "conversation is empty");
    if (c->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (c->conversationtype == 0) return logic_args(call, "conversationType is empty");
    if (c->conversationtype == LOGIC_SESSION_SINGLE && c->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (c->conversationtype == LOGIC_SESSION_GROUP && c->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_check_text(call, "ex", c->ex ? c->ex->value : NULL);
    return rc ? rc : logic_check_text(call, "attachedInfo", c->attachedinfo ? c->attachedinfo->value : NULL);
}

static bool given(const Settings *c)
{
    return c->recvmsgopt || c->attachedinfo || c->ex || c->ispinned || c->groupattype || c->msgdestructtime || c->ismsgdestruct ||
           c->burnduration;
}

static bool differs(const Settings *c, const Row *row)
{
    if (c->recvmsgopt && c->recvmsgopt->value != row->recvmsgopt) return true;
    if (c->attachedinfo && strcmp(c->attachedinfo->value, row->attachedinfo)) return true;
    if (c->ex && strcmp(c->ex->value, row->ex)) return true;
    if (c->ispinned && c->ispinned->value != row->ispinned) return true;
    if (c->groupattype && c->groupattype->value != row->groupattype) return true;
    if (c->msgdestructtime && c->msgdestructtime->value != row->msgdestructtime) return true;
    if (c->ismsgdestruct && c->ismsgdestruct->value != row->ismsgdestruct) return true;
    return c->burnduration && c->burnduration->value != row->burnduration;
}

/* One text for whatever is given: what is not keeps its value. */
static int settings_update(struct logic_call *call, const Settings *c, const struct oim_sql_value *hashes, size_t n)
{
    static const char head[] =
        "UPDATE conversations SET recv_msg_opt = COALESCE(?, recv_msg_opt), attached_info = COALESCE(?, attached_info),"
        " ex = COALESCE(?, ex), is_pinned = COALESCE(?, is_pinned), group_at_type = COALESCE(?, group_at_type),"
        " msg_destruct_time = COALESCE(?, msg_destruct_time), is_msg_destruct = COALESCE(?, is_msg_destruct),"
        " burn_duration = COALESCE(?, burn_duration) WHERE owner_hash IN";
    const struct oim_sql_value none = {.kind = OIM_SQL_NULL};
    struct oim_sql_value args[] = {
        c->recvmsgopt ? oim_sql_int(c->recvmsgopt->value) : none,
        c->attachedinfo ? oim_sql_text(c->attachedinfo->value) : none,
        c->ex ? oim_sql_text(c->ex->value) : none,
        c->ispinned ? oim_sql_int(c->ispinned->value) : none,
        c->groupattype ? oim_sql_int(c->groupattype->value) : none,
        c->msgdestructtime ? oim_sql_int(c->msgdestructtime->value) : none,
        c->ismsgdestruct ? oim_sql_int(c->ismsgdestruct->value) : none,
        c->burnduration ? oim_sql_int(c->burnduration->value) : none,
    };
    struct oim_sql_rows rows;

    return logic_sql_in(call->lane, head, args, sizeof(args) / sizeof(args[0]), hashes, n, "", &rows);
}

/* Whether the conversation is one of the row's owner, by its id. */
static bool id_fits(struct logic_call *call, const struct logic_conv_key *key)
{
    struct oim_arena *a = call->lane->arena;
    bool first = strcmp(key->owner, key->peer) < 0;
    const char *low = first ? key->owner : key->peer, *high = first ? key->peer : key->owner;

    switch (key->type) {
    case LOGIC_SESSION_SINGLE: return strcmp(key->id, oim_arena_printf(a, "si_%s_%s", low, high)) == 0;
    case LOGIC_SESSION_NOTIFICATION: return strcmp(key->id, oim_arena_printf(a, "sn_%s_%s", low, high)) == 0;
    case LOGIC_SESSION_GROUP: return strcmp(key->id, oim_arena_printf(a, "sg_%s", key->group)) == 0;
    case LOGIC_SESSION_WRITE_GROUP: return strcmp(key->id, oim_arena_printf(a, "g_%s", key->group)) == 0;
    default: return false;
    }
}

static bool of_group(const Settings *c)
{
    return c->conversationtype == LOGIC_SESSION_GROUP || c->conversationtype == LOGIC_SESSION_WRITE_GROUP;
}

/* Before rows are made: takes out the users who are not in the group. Users name nobody but themselves, so they hear of it. */
static int members_only(struct logic_call *call, const Settings *c, struct logic_conv_key *keys, size_t *n)
{
    static const char head[] = "SELECT user_id FROM group_members WHERE group_id = ? AND user_id IN";
    struct oim_sql_value args[] = {oim_sql_text(c->groupid)}, *owners = logic_array(call, *n, sizeof(*owners));
    struct logic_index *index;
    struct oim_sql_rows rows;
    char **members;
    size_t kept = 0;
    int rc;

    for (size_t i = 0; i < *n; i++) owners[i] = oim_sql_text(keys[i].owner);
    rc = logic_sql_in(call->lane, head, args, 1, owners, *n, "", &rows);
    if (rc) return rc;
    members = logic_column(call->lane->arena, &rows);
    index = logic_index_new(call->lane->arena, members, rows.n);
    for (size_t i = 0; i < *n; i++) {
        if (logic_index_find(index, keys[i].owner) != SIZE_MAX) keys[kept++] = keys[i];
    }
    if (kept < *n && !call->admin) return logic_fail(call, OIM_C_PERMISSION, "not a member of the group");
    *n = kept;
    return OIM_OK;
}

/* Makes the missing rows of those who have a part in the conversation. */
static int rows_make(struct logic_call *call, const Settings *c, struct logic_conv_key *keys, size_t *n)
{
    int rc = OIM_OK;

    for (size_t i = 0; i < *n; i++) {
        if (!id_fits(call, &keys[i])) return logic_args(call, "conversationID is not one of %s", keys[i].owner);
    }
    if (of_group(c)) rc = members_only(call, c, keys, n);
    if (rc == OIM_OK) rc = logic_conv_insert(call->lane, keys, *n);
    return rc == OIM_ELIMIT ? logic_args(call, "an id is too long") : rc;
}

static struct logic_conv_key key_of(const Settings *c, char *owner, char *peer)
{
    return (struct logic_conv_key){
        .owner = owner,
        .id = c->conversationid,
        .peer = of_group(c) ? (char *)"" : peer,
        .group = of_group(c) ? c->groupid : (char *)"",
        .type = c->conversationtype,
    };
}

/* What has to be written, in the place of all: rows that differ, then those that were made (rows[i] NULL). */
static int settings_due(struct logic_call *call, const Settings *c, struct logic_conv_key *keys, Row **rows, size_t *n)
{
    struct logic_conv_key *missing = logic_array(call, *n, sizeof(*missing));
    size_t n_missing = 0, due = 0;
    int rc;

    for (size_t i = 0; i < *n; i++) {
        if (rows[i] == NULL) {
            missing[n_missing++] = keys[i];
        } else if (differs(c, rows[i])) {
            keys[due] = keys[i];
            rows[due++] = rows[i];
        }
    }
    rc = n_missing ? rows_make(call, c, missing, &n_missing) : OIM_OK;
    for (size_t i = 0; i < n_missing; i++) {
        keys[due] = missing[i];
        rows[due++] = NULL;
    }
    *n = due;
    return rc;
}

static int settings_write(struct logic_call *call, const Settings *c, char *const *users, size_t n)
{
    struct logic_conv_key *keys = logic_array(call, n, sizeof(*keys));
    Row **rows = logic_list(call, n);
    char **owners = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) keys[i] = key_of(c, users[i], c->userid);
    rc = logic_conv_lock(call, keys, n, rows);
    if (rc == OIM_OK) rc = settings_due(call, c, keys, rows, &n);
    if (rc || n == 0) return rc;
    rc = settings_update(call, c, logic_conv_hashes(call->lane, keys, n), n);
    if (rc == OIM_OK) rc = logic_conv_log(call, keys, rows, n);
    for (size_t i = 0; i < n; i++) {
        owners[i] = keys[i].owner;
        if (c->recvmsgopt) logic_changed(call, "conv", oim_arena_printf(call->lane->arena, "%s:%s", keys[i].owner, keys[i].id));
    }
    return rc ? rc : logic_conv_notify(call, owners, n, (char *const *)&c->conversationid, 1);
}

/* ---- set_conversations: private chat ---- */

/* N1701 u -> peer, seen in the chat. */
static int private_notify(struct logic_call *call, const Settings *c, char *user)
{
    Openim__Sdkws__ConversationSetPrivateTips tips = OPENIM__SDKWS__CONVERSATION_SET_PRIVATE_TIPS__INIT;
    struct logic_notice notice = {
        .content_type = LOGIC_N_CONVERSATION_PRIVATE,
        .session_type = LOGIC_SESSION_SINGLE,
        .send_id = user,
        .recv_id = c->userid,
        .tips = &tips.base,
    };

    tips.recvid = c->userid;
    tips.sendid = user;
    tips.isprivate = c->isprivatechat->value;
    tips.conversationid = c->conversationid;
    return logic_notify(call, &notice);
}

/* Both sides of each user's chat with the peer, each row once. */
static struct logic_conv_key *private_keys(struct logic_call *call, const Settings *c, char *const *users, size_t n, size_t *n_keys)
{
    struct logic_conv_key *keys = logic_array(call, 2 * n, sizeof(*keys));
    char **owners = logic_list(call, 2 * n), **peers = logic_list(call, 2 * n);
    struct logic_index *index;

    for (size_t i = 0; i < n; i++) {
        owners[2 * i] = peers[2 * i + 1] = users[i];
        owners[2 * i + 1] = peers[2 * i] = c->userid;
    }
    index = logic_index_new(call->lane->arena, owners, 2 * n);
    *n_keys = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        if (logic_index_find(index, owners[i]) == i) keys[(*n_keys)++] = key_of(c, owners[i], peers[i]);
    }
    return keys;
}

/* Written and told even when nothing changes. */
static int private_write(struct logic_call *call, const Settings *c, char *const *users, size_t n)
{
    static const char head[] = "UPDATE conversations SET is_private_chat = ? WHERE owner_hash IN";
    struct oim_sql_value args[] = {oim_sql_int(c->isprivatechat->value)};
    size_t n_keys;
    struct logic_conv_key *keys = private_keys(call, c, users, n, &n_keys);
    Row **rows = logic_list(call, n_keys);
    struct oim_sql_rows none;
    int rc = logic_conv_lock(call, keys, n_keys, rows);

    if (rc == OIM_OK) rc = rows_make(call, c, keys, &n_keys);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, head, args, 1, logic_conv_hashes(call->lane, keys, n_keys), n_keys, "", &none);
    if (rc == OIM_OK) rc = logic_conv_log(call, keys, rows, n_keys);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) rc = private_notify(call, c, users[i]);
    return rc;
}

static int set_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__SetConversationsReq *req = (const void *)req_;
    const Settings *c = req->conversation;
    struct logic_index *index;
    char **users;
    size_t n = 0;
    int rc = settings_check(call, req);

    for (size_t i = 0; i < req->n_userids && rc == OIM_OK; i++) rc = logic_self(call, req->userids[i]);
    /* of the kind that no group has any more */
    if (rc == OIM_OK && c->conversationtype == LOGIC_SESSION_WRITE_GROUP) rc = logic_group_alive(call, c->groupid);
    if (rc) return rc;
    users = logic_list(call, req->n_userids);
    index = logic_index_new(call->lane->arena, req->userids, req->n_userids);
    for (size_t i = 0; i < req->n_userids; i++) {
        if (logic_index_find(index, req->userids[i]) == i) users[n++] = req->userids[i];
    }
    if (given(c)) rc = settings_write(call, c, users, n);
    if (rc == OIM_OK && c->isprivatechat && (c->conversationtype == LOGIC_SESSION_SINGLE || c->conversationtype == LOGIC_SESSION_NOTIFICATION)) {
        rc = private_write(call, c, users, n);
    }
    return rc;
}

/* ---- delete_conversations ---- */

static int rows_delete(struct logic_call *call, const char *owner, char *const *ids, size_t n)
{
    static const char find[] = "SELECT conversation_id FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *hashes = logic_array(call, n, sizeof(*hashes));
    struct oim_sql_rows rows, none;
    char **found;
    int rc;

    for (size_t i = 0; i < n; i++) hashes[i] = oim_sql_blob(logic_owner_hash(call->lane->arena, owner, ids[i]), 16);
    rc = logic_sql_in(call->lane, find, NULL, 0, hashes, n, "ORDER BY owner_hash FOR UPDATE", &rows);
    if (rc || rows.n == 0) return rc;
    found = logic_column(call->lane->arena, &rows);
    logic_changed(call, "conv", owner);
    rc = logic_sql_in(call->lane, "DELETE FROM conversations WHERE owner_hash IN", NULL, 0, hashes, n, "", &none);
    if (rc) return rc;
    return logic_version_write(call->lane, LOGIC_LOG_CONVERSATION, owner, found, rows.n, LOGIC_DELETE, NULL);
}

/* Conversations whose last message is older than so many days. */
static int old_ones(struct logic_call *call, const char *owner, int64_t days, char ***ids, size_t *n_ids)
{
    int64_t before = oim_now_ms() - (days < DAYS_MAX ? days : DAYS_MAX) * DAY_MS;
    struct logic_conv *convs;
    struct logic_seq *seqs;
    size_t n;
    int rc = logic_convs(call, owner, &convs, &n);

    if (rc) return rc;
    *ids = logic_list(call, n);
    *n_ids = 0;
    seqs = logic_array(call, n, sizeof(*seqs));
    for (size_t i = 0; i < n; i++) (*ids)[i] = convs[i].id;
    rc = logic_seqs(call, owner, *ids, n, 0, NULL, NULL, seqs);
    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        if (seqs[i].max > 0 && seqs[i].time < before) (*ids)[(*n_ids)++] = convs[i].id;
    }
    return rc;
}

static int delete_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__DeleteConversationsReq *req = (const void *)req_;
    char **ids = req->conversationids;
    size_t n = req->n_conversationids;
    int rc = OIM_OK;

    if (req->needdeletetime < 0) return logic_args(call, "needDeleteTime is invalid");
    if ((req->needdeletetime > 0) == (n > 0)) return logic_args(call, "give either needDeleteTime or conversationIDs");
    if (n) rc = logic_check_ids(call, "conversationIDs", ids, n, false);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK && n == 0) rc = old_ones(call, req->owneruserid, req->needdeletetime, &ids, &n);
    return rc ? rc : rows_delete(call, req->owneruserid, ids, n);
}

/* ---- update_conversations_by_user ---- */

static int owner_order(const void *a, const void *b)
{
    return strcmp(((const struct logic_conv_key *)a)->owner, ((const struct logic_conv_key *)b)->owner);
}

/* An owner can have two conversations with the same peer, si_ and sn_: one step of its log for each. */
static int peers_log(struct logic_call *call, struct logic_conv_key *keys, size_t n)
{
    char **owners = logic_list(call, n), **ids = logic_list(call, n);
    int rc = OIM_OK;

    qsort(keys, n, sizeof(*keys), owner_order);
    while (n > 0 && rc == OIM_OK) {
        size_t once = 0, again = 0;

        for (size_t i = 0; i < n; i++) {
            if (once && strcmp(owners[once - 1], keys[i].owner) == 0) {
                keys[again++] = keys[i];
                continue;
            }
            owners[once] = keys[i].owner;
            ids[once++] = keys[i].id;
        }
        rc = logic_version_write_each(call->lane, LOGIC_LOG_CONVERSATION, owners, once, ids, false, LOGIC_UPDATE, NULL);
        n = again;
    }
    return rc;
}

/* The next rows of others whose peer is the user; the rest is left to a task of its own. */
static int peers_piece(struct logic_call *call, Openim__Internal__PeerTask *task)
{
    static const char find[] = "SELECT owner_hash, owner_user_id, conversation_id, ex <> ? FROM conversations FORCE INDEX (peer)"
                               " WHERE user_id = ? AND owner_hash > ? ORDER BY owner_hash LIMIT ? FOR UPDATE";
    struct oim_sql_value args[] = {oim_sql_text(task->ex), oim_sql_text(task->userid), oim_sql_blob(task->after.data, task->after.len),
                                   oim_sql_int(PIECE)};
    struct oim_sql_value hashes[PIECE];
    struct logic_conv_key keys[PIECE];
    struct oim_sql_rows rows = {0}, none;
    size_t n = 0;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, find, args, 4, &rows, NULL);

    if (rc || rows.n == 0) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        char *owner = logic_cell_text(&rows, i, 1);

        if (logic_cell_int(&rows, i, 3) == 0 || strcmp(owner, task->userid) == 0) continue;
        hashes[n] = *oim_sql_cell(&rows, i, 0);
        keys[n++] = (struct logic_conv_key){.owner = owner, .id = logic_cell_text(&rows, i, 2)};
    }
    rc = logic_sql_in(call->lane, "UPDATE conversations SET ex = ? WHERE owner_hash IN", args, 1, hashes, n, "", &none);
    if (rc == OIM_OK) rc = peers_log(call, keys, n);
    if (rc || rows.n < PIECE) return rc;
    task->after.data = (uint8_t *)(uintptr_t)oim_sql_cell(&rows, rows.n - 1, 0)->p;
    task->after.len = 16;
    return logic_task(call, "/internal/peer", task->userid, &task->base);
}

static int update_conversations_by_user(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__UpdateConversationsByUserReq *req = (const void *)req_;
    Openim__Internal__PeerTask task = OPENIM__INTERNAL__PEER_TASK__INIT;

    if (logic_check_text(call, "ex", req->ex ? req->ex->value : NULL) || logic_self(call, req->userid)) return OIM_EFAIL;
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty"); /* groups have no peer */
    if (req->ex == NULL) return OIM_OK;
    task.userid = req->userid;
    task.ex = req->ex->value;
    return peers_piece(call, &task);
}

static int peer_task(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Internal__PeerTask task = *(const Openim__Internal__PeerTask *)req_;

    return peers_piece(call, &task);
}

/* ---- AtTask ---- */

/* Whether a mention says more than what is unread already. An announcement and a mention take each other's place. */
static bool raises(const Row *row, int32_t at)
{
    if (row == NULL) return true;
    if (row->groupattype == at) return false;
    return at == AT_ANNOUNCEMENT || row->groupattype == AT_ANNOUNCEMENT || row->groupattype < at;
}

static int at_raise(struct logic_call *call, const Openim__Internal__AtTask *task, char *const *users, size_t n)
{
    static const char head[] = "UPDATE conversations SET group_at_type = ? WHERE owner_hash IN";
    struct oim_sql_value args[] = {oim_sql_int(task->attype)};
    struct logic_conv_key *keys = logic_array(call, n, sizeof(*keys));
    Row **rows = logic_list(call, n);
    char **owners = logic_list(call, n);
    struct oim_sql_rows none;
    size_t due = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct logic_conv_key){users[i], task->conversationid, (char *)"", task->groupid, LOGIC_SESSION_GROUP};
    }
    rc = logic_conv_lock(call, keys, n, rows);
    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        if (!raises(rows[i], task->attype)) continue;
        keys[due] = keys[i];
        rows[due] = rows[i];
        owners[due++] = users[i];
    }
    if (rc || due == 0) return rc;
    rc = logic_conv_insert(call->lane, keys, due);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, head, args, 1, logic_conv_hashes(call->lane, keys, due), due, "", &none);
    if (rc == OIM_OK) rc = logic_conv_log(call, keys, rows, due);
    return rc ? rc : logic_conv_notify(call, owners, due, &keys[0].id, 1);
}

/* Of those named the members, or the next members of all. */
static int at_members(struct logic_call *call, const Openim__Internal__AtTask *task, struct oim_sql_rows *rows)
{
    static const char some[] = "SELECT user_id FROM group_members WHERE group_id = ? AND user_id IN";
    static const char next[] = "SELECT user_id FROM group_members FORCE INDEX (PRIMARY) WHERE group_id = ? AND user_id > ?"
                               " ORDER BY user_id LIMIT ?";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {oim_sql_text(task->groupid), oim_sql_text(task->after), oim_sql_int(PIECE)};

    if (task->n_userids == 0) return oim_sql_exec(call->lane->db, a, next, args, 3, rows, NULL);
    return logic_sql_in(call->lane, some, args, 1, logic_text_values(a, task->userids, task->n_userids), task->n_userids, "", rows);
}

static int at_task(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Internal__AtTask task = *(const Openim__Internal__AtTask *)req_;
    struct oim_sql_rows rows = {0};
    char **users;
    size_t n = 0;
    int rc = at_members(call, &task, &rows);

    if (rc) return rc;
    users = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        char *user = logic_cell_text(&rows, i, 0);

        if (task.n_userids || strcmp(user, task.sendid)) users[n++] = user;
    }
    rc = at_raise(call, &task, users, n);
    if (rc || task.n_userids || rows.n < PIECE) return rc;
    task.after = logic_cell_text(&rows, rows.n - 1, 0);
    return logic_task(call, "/internal/at", task.groupid, &task.base);
}

/* ---- LeftTask ---- */

static int left_task(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Internal__LeftTask *task = (const void *)req_;

    if (task->n_userids == 0 || task->seq <= 0 || strncmp(task->conversationid, "sg_", 3)) return OIM_OK;
    return logic_conv_left(call, task->conversationid, task->userids, task->n_userids, task->seq);
}

#define CONVERSATION(name) &openim__conversation__##name##_req__descriptor, &openim__conversation__##name##_resp__descriptor

const struct logic_route logic_conversation_change_routes[] = {
    {"/conversation/set_conversations", 0, LOGIC_SELF, CONVERSATION(set_conversations), set_conversations, LOGIC_TX},
    {"/conversation/delete_conversations", 0, LOGIC_SELF, CONVERSATION(delete_conversations), delete_conversations, LOGIC_TX},
    {"/conversation/update_conversations_by_user", 0, LOGIC_SELF, CONVERSATION(update_conversations_by_user),
     update_conversations_by_user, LOGIC_TX},
    {"/internal/at", 0, LOGIC_INTERNAL, &openim__internal__at_task__descriptor, NULL, at_task, LOGIC_TX},
    {"/internal/left", 0, LOGIC_INTERNAL, &openim__internal__left_task__descriptor, NULL, left_task, LOGIC_TX},
    {"/internal/peer", 0, LOGIC_INTERNAL, &openim__internal__peer_task__descriptor, NULL, peer_task, LOGIC_TX},
    {0},
};
