/*
 * /conversation: the reads of rest.md B.8 and C.7. Table conversations; rows are made by the message road
 * with the first message. Storage order is the order of lists and of idHash.
 */
#include "conversation.h"

#include "oim_hash.h"
#include "pull.h"

#include <string.h>

/* ---- rows ---- */

static void convs_of_rows(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Conversation__Conversation ***out, size_t *n)
{
    *out = logic_list(call, rows->n);
    *n = rows->n;
    for (size_t i = 0; i < rows->n; i++) (*out)[i] = logic_conv_of_row(call, rows, i);
}

int logic_conversations(struct logic_call *call, const char *owner, Openim__Conversation__Conversation ***out, size_t *n)
{
    static const char sql[] = "SELECT " LOGIC_CONV_COLUMNS " FROM conversations WHERE owner_user_id = ? ORDER BY id";
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc == OIM_OK) convs_of_rows(call, &rows, out, n);
    return rc;
}

int logic_conversations_by_id(struct logic_call *call, const char *owner, char *const *ids, size_t n_ids,
                              Openim__Conversation__Conversation ***out, size_t *n)
{
    static const char head[] = "SELECT " LOGIC_CONV_COLUMNS " FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *hashes = logic_array(call, n_ids, sizeof(*hashes));
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n_ids; i++) hashes[i] = oim_sql_blob(logic_owner_hash(call->lane->arena, owner, ids[i]), 16);
    rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n_ids, "ORDER BY id", &rows);
    if (rc == OIM_OK) convs_of_rows(call, &rows, out, n);
    return rc;
}

/* The ids alone, as sql selects them. */
static int conv_ids(struct logic_call *call, const char *sql, const char *owner, char ***ids, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_column(call->lane->arena, &rows);
    *n = rows.n;
    return OIM_OK;
}

/* ---- routes ---- */

static int get_all_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__GetAllConversationsReq *req = (const void *)req_;
    Openim__Conversation__GetAllConversationsResp *res = (void *)res_;

    if (req->owneruserid[0] == '\0') return logic_args(call, "ownerUserID is empty");
    if (logic_self(call, req->owneruserid)) return OIM_EFAIL;
    return logic_conversations(call, req->owneruserid, &res->conversations, &res->n_conversations);
}

/* A row that somebody made by setting something, before anybody wrote, is missing here, as back ends know it; synchronisation and all
 * lists have it. */
static int get_conversation(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__GetConversationReq *req = (const void *)req_;
    Openim__Conversation__GetConversationResp *res = (void *)res_;
    Openim__Conversation__Conversation **found;
    char *id = req->conversationid;
    struct logic_seq newest;
    size_t n;
    int rc;

    if (id[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->owneruserid[0] == '\0') return logic_args(call, "ownerUserID is empty");
    rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK) rc = logic_conversations_by_id(call, req->owneruserid, &id, 1, &found, &n);
    if (rc == OIM_OK && n) rc = logic_seqs(call, req->owneruserid, &id, 1, 0, NULL, NULL, &newest);
    if (rc) return rc;
    if (n == 0 || newest.max == 0) return logic_fail(call, OIM_C_NOTFOUND, "conversation %s not found", id);
    res->conversation = found[0];
    return OIM_OK;
}

static int get_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__GetConversationsReq *req = (const void *)req_;
    Openim__Conversation__GetConversationsResp *res = (void *)res_;
    int rc;

    if (req->owneruserid[0] == '\0') return logic_args(call, "ownerUserID is empty");
    rc = logic_check_ids(call, "conversationIDs", req->conversationids, req->n_conversationids, false);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc) return rc;
    return logic_conversations_by_id(call, req->owneruserid, req->conversationids, req->n_conversationids,
                                     &res->conversations, &res->n_conversations);
}

static int get_owner_conversation(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM conversations WHERE owner_user_id = ?";
    static const char sql[] = "SELECT " LOGIC_CONV_COLUMNS " FROM conversations WHERE owner_user_id = ? ORDER BY id LIMIT ? OFFSET ?";
    const Openim__Conversation__GetOwnerConversationReq *req = (const void *)req_;
    Openim__Conversation__GetOwnerConversationResp *res = (void *)res_;
    struct logic_page page = logic_page_lenient(req->pagination);
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(page.limit), oim_sql_int(page.offset)};
    struct oim_sql_rows rows = {0};
    int rc = logic_self(call, req->userid);

    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 1, &rows, NULL);
    if (rc) return rc;
    res->total = logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    if (rc == OIM_OK) convs_of_rows(call, &rows, &res->conversations, &res->n_conversations);
    return rc;
}

static int get_incremental_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__GetIncrementalConversationReq *req = (const void *)req_;
    Openim__Conversation__GetIncrementalConversationResp *res = (void *)res_;
    struct logic_version now;
    struct logic_changes changes;
    char *owner = req->userid;
    int rc = logic_changes_own(call, LOGIC_LOG_CONVERSATION, owner, req->versionid, req->version, &now, &changes);

    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->full = changes.full;
    res->delete_ = changes.delete_;
    res->n_delete_ = changes.n_delete;
    rc = logic_conversations_by_id(call, owner, changes.insert, changes.n_insert, &res->insert, &res->n_insert);
    if (rc) return rc;
    return logic_conversations_by_id(call, owner, changes.update, changes.n_update, &res->update, &res->n_update);
}

static int get_full_conversation_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT conversation_id FROM conversations WHERE owner_user_id = ? ORDER BY id";
    const Openim__Conversation__GetFullOwnerConversationIDsReq *req = (const void *)req_;
    Openim__Conversation__GetFullOwnerConversationIDsResp *res = (void *)res_;
    struct logic_version now;
    char *owner = req->userid, **ids;
    size_t n;
    int rc = logic_self(call, owner);

    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_CONVERSATION, &owner, 1, &now);
    if (rc == OIM_OK) rc = conv_ids(call, sql, owner, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->conversationids = ids;
    res->n_conversationids = n;
    return OIM_OK;
}

static int get_not_notify_conversation_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT conversation_id FROM conversations WHERE owner_user_id = ? AND recv_msg_opt = 2 ORDER BY id";
    const Openim__Conversation__GetNotNotifyConversationIDsReq *req = (const void *)req_;
    Openim__Conversation__GetNotNotifyConversationIDsResp *res = (void *)res_;

    if (logic_self(call, req->userid)) return OIM_EFAIL;
    return conv_ids(call, sql, req->userid, &res->conversationids, &res->n_conversationids);
}

static int get_pinned_conversation_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT conversation_id FROM conversations WHERE owner_user_id = ? AND is_pinned = 1 ORDER BY id";
    const Openim__Conversation__GetPinnedConversationIDsReq *req = (const void *)req_;
    Openim__Conversation__GetPinnedConversationIDsResp *res = (void *)res_;

    if (logic_self(call, req->userid)) return OIM_EFAIL;
    return conv_ids(call, sql, req->userid, &res->conversationids, &res->n_conversationids);
}

#define CONVERSATION(name) &openim__conversation__##name##_req__descriptor, &openim__conversation__##name##_resp__descriptor

const struct logic_route logic_conversation_routes[] = {
    {"/conversation/get_all_conversations", 0, LOGIC_SELF, CONVERSATION(get_all_conversations), get_all_conversations, LOGIC_READ},
    {"/conversation/get_conversation", 0, LOGIC_SELF, CONVERSATION(get_conversation), get_conversation, LOGIC_READ},
    {"/conversation/get_conversations", 0, LOGIC_SELF, CONVERSATION(get_conversations), get_conversations, LOGIC_READ},
    {"/conversation/get_owner_conversation", 0, LOGIC_SELF, CONVERSATION(get_owner_conversation), get_owner_conversation, LOGIC_READ},
    {"/conversation/get_incremental_conversations", 0, LOGIC_SELF, CONVERSATION(get_incremental_conversation),
     get_incremental_conversations, LOGIC_READ},
    {"/conversation/get_full_conversation_ids", 0, LOGIC_SELF, CONVERSATION(get_full_owner_conversation_ids),
     get_full_conversation_ids, LOGIC_READ},
    {"/conversation/get_not_notify_conversation_ids", 0, LOGIC_SELF, CONVERSATION(get_not_notify_conversation_ids),
     get_not_notify_conversation_ids, LOGIC_READ},
    {"/conversation/get_pinned_conversation_ids", 0, LOGIC_SELF, CONVERSATION(get_pinned_conversation_ids),
     get_pinned_conversation_ids, LOGIC_READ},
    {0},
};
