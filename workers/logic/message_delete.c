/*
 * Deleting messages and clearing conversations (rest.md B.7, messages.md 9.2 to 9.4). Single messages get a mark (marks.h), for one user
 * or for everybody; a conversation that is cleared begins later, for one user (conversation.h) or for everybody
 * (conversation_seq.min_seq). Nothing leaves the stores.
 *
 * For everybody: both sides of a single chat may, the owner and the administrators of a group, and members with what they sent themselves.
 */
#include "conversation.h"
#include "fetch.h"
#include "group.h"
#include "marks.h"
#include "message.h"
#include "pull.h"

#include <string.h>

#define TIPS_IDS 500   /* of one notice: it fits into a message */
#define TIPS_SEQS 2000

/* ---- shared ---- */

static bool sync_self(const Openim__Msg__DeleteSyncOpt *opt)
{
    return opt && opt->issyncself;
}

static bool sync_other(const Openim__Msg__DeleteSyncOpt *opt)
{
    return opt && opt->issyncother;
}

/* To the user's own terminals, or to the conversation. */
static int tell(struct logic_call *call, int32_t type, char *user_id, const Openim__Conversation__Conversation *conv,
                const ProtobufCMessage *tips)
{
    struct logic_notice notice = {
        .content_type = type,
        .session_type = conv ? conv->conversationtype : LOGIC_SESSION_SINGLE,
        .send_id = user_id,
        .recv_id = conv ? logic_msg_peer(conv) : user_id,
        .tips = tips,
    };

    return logic_notify(call, &notice);
}

/* ---- /msg/delete_msgs ---- */

static int delete_tell(struct logic_call *call, const Openim__Msg__DeleteMsgsReq *req, const Openim__Conversation__Conversation *conv)
{
    Openim__Sdkws__DeleteMsgsTips tips = OPENIM__SDKWS__DELETE_MSGS_TIPS__INIT;
    int rc = OIM_OK;

    tips.userid = req->userid;
    tips.conversationid = req->conversationid;
    for (size_t done = 0; done < req->n_seqs && rc == OIM_OK; done += tips.n_seqs) {
        tips.seqs = req->seqs + done;
        tips.n_seqs = req->n_seqs - done < TIPS_SEQS ? req->n_seqs - done : TIPS_SEQS;
        rc = tell(call, LOGIC_N_DELETE, req->userid, conv, &tips.base);
    }
    return rc;
}

/* Those of the seqs that were given. */
static struct logic_span *existing(struct logic_call *call, const int64_t *seqs, size_t n, int64_t max, size_t *n_out)
{
    struct logic_span *spans = logic_array(call, n, sizeof(*spans));

    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (seqs[i] <= max) spans[(*n_out)++] = (struct logic_span){seqs[i], seqs[i]};
    }
    return spans;
}

/* Who sent them, but for user_id; lost ones are nobody's. */
static int senders_of(struct logic_call *call, const char *user_id, const char *conv, const struct logic_span *spans, size_t n,
                      char **senders, size_t *n_senders)
{
    struct logic_want *wants = logic_array(call, n, sizeof(*wants)), **plan = logic_list(call, n);
    size_t done;
    int rc;

    *n_senders = 0;
    for (size_t i = 0; i < n; i++) {
        wants[i] = (struct logic_want){.conv = conv, .seq = spans[i].from};
        plan[i] = &wants[i];
    }
    rc = logic_fetch(call, plan, n, &done);
    if (rc) return rc;
    if (done < n) return logic_args(call, "too many messages at once");
    for (size_t i = 0; i < n; i++) {
        if (wants[i].msg == NULL || strcmp(wants[i].msg->sendid, user_id) == 0) continue;
        if (*n_senders && strcmp(senders[*n_senders - 1], wants[i].msg->sendid) == 0) continue;
        senders[(*n_senders)++] = wants[i].msg->sendid;
    }
    return OIM_OK;
}

static int may_delete(struct logic_call *call, const Openim__Msg__DeleteMsgsReq *req, const Openim__Conversation__Conversation *conv,
                      const struct logic_span *spans, size_t n)
{
    char **senders = logic_list(call, n);
    size_t n_senders;
    int rc;

    if (call->admin || conv->conversationtype != LOGIC_SESSION_GROUP) return OIM_OK;
    rc = senders_of(call, req->userid, req->conversationid, spans, n, senders, &n_senders);
    if (rc || n_senders == 0) return rc;
    return logic_msg_may_remove(call, conv->groupid, req->userid, senders, n_senders);
}

static int delete_msgs(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__DeleteMsgsReq *req = (const void *)req_;
    Openim__Conversation__Conversation *conv;
    struct logic_span *spans;
    struct logic_seq seq;
    size_t n;
    int rc;

    if (req->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (logic_msg_seqs(call, req->seqs, req->n_seqs) || logic_self(call, req->userid)) return OIM_EFAIL;
    rc = logic_msg_conv(call, req->userid, req->conversationid, &conv, &seq);
    if (rc) return rc;
    spans = existing(call, req->seqs, req->n_seqs, seq.max, &n);
    if (conv && n < req->n_seqs && (rc = logic_msg_beyond(call, req->conversationid))) return rc;
    if (sync_other(req->deletesyncopt)) {
        if (conv == NULL) return logic_fail(call, OIM_C_NOTFOUND, "conversation %s not found", req->conversationid);
        rc = may_delete(call, req, conv, spans, n);
        if (rc == OIM_OK && n) rc = logic_mark_deleted(call, req->conversationid, spans, n);
        return rc ? rc : delete_tell(call, req, conv);
    }
    if (conv && n) rc = logic_mark_hidden(call, req->userid, req->conversationid, spans, n);
    if (rc == OIM_OK && sync_self(req->deletesyncopt)) rc = delete_tell(call, req, NULL);
    return rc;
}

/* ---- by the operator ---- */

static int delete_msg_phsical_by_seq(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__DeleteMsgPhysicalBySeqReq *req = (const void *)req_;
    struct logic_span *spans;
    struct logic_seq seq;
    size_t n;
    int rc;

    if (req->n_seqs && logic_msg_seqs(call, req->seqs, req->n_seqs)) return OIM_EFAIL;
    rc = logic_admin(call);
    if (rc == OIM_OK) rc = logic_seqs(call, "", (char *const *)&req->conversationid, 1, 0, NULL, NULL, &seq);
    if (rc || strncmp(req->conversationid, "n_", 2) == 0) return rc;
    spans = existing(call, req->seqs, req->n_seqs, seq.max, &n);
    return n ? logic_mark_deleted(call, req->conversationid, spans, n) : OIM_OK;
}

/* Upstream compares seconds with milliseconds and so deletes nothing, whatever age is asked for; callers that live with it would lose
 * everything if this began to work. Old messages leave by message.retain_days. */
static int delete_msg_physical(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__DeleteMsgPhysicalReq *req = (const void *)req_;

    if (logic_check_ids(call, "conversationIDs", req->conversationids, req->n_conversationids, false)) return OIM_EFAIL;
    return logic_admin(call);
}

/* ---- clear ---- */

/* Conversations that are cleared, with their newest seqs. */
struct cleared {
    char *user_id;
    Openim__Conversation__Conversation **convs;
    char **ids;
    struct logic_seq *seqs;
    int64_t *mins, *reads; /* newest + 1, newest */
    size_t n;
};

static int cleared_load(struct logic_call *call, struct cleared *c)
{
    int rc;

    c->ids = logic_list(call, c->n);
    c->seqs = logic_array(call, c->n, sizeof(*c->seqs));
    c->mins = logic_array(call, c->n, sizeof(*c->mins));
    c->reads = logic_array(call, c->n, sizeof(*c->reads));
    for (size_t i = 0; i < c->n; i++) c->ids[i] = c->convs[i]->conversationid;
    rc = logic_seqs(call, c->user_id, c->ids, c->n, 0, NULL, NULL, c->seqs);
    for (size_t i = 0; i < c->n; i++) {
        c->reads[i] = c->seqs[i].max;
        c->mins[i] = c->seqs[i].max + 1;
    }
    return rc;
}

static int clear_tell(struct logic_call *call, const struct cleared *c, const Openim__Conversation__Conversation *conv, char **ids,
                      size_t n)
{
    Openim__Sdkws__ClearConversationTips tips = OPENIM__SDKWS__CLEAR_CONVERSATION_TIPS__INIT;

    tips.userid = c->user_id;
    tips.conversationids = ids;
    tips.n_conversationids = n;
    return tell(call, LOGIC_N_CLEAR, c->user_id, conv, &tips.base);
}

static int clear_self(struct logic_call *call, struct cleared *c, bool told)
{
    int rc = logic_conv_min_seqs(call, c->user_id, c->ids, c->mins, c->n);

    for (size_t i = 0; i < c->n && told && rc == OIM_OK; i += TIPS_IDS) {
        rc = clear_tell(call, c, NULL, c->ids + i, c->n - i < TIPS_IDS ? c->n - i : TIPS_IDS);
    }
    return rc;
}

/* The conversations begin later, for everybody. */
static int begin_later(struct logic_call *call, const struct cleared *c)
{
    static const char head[] = "INSERT INTO conversation_seq (conversation_id, min_seq) VALUES ";
    struct oim_sql_value *args = logic_array(call, c->n * 2, sizeof(*args));

    for (size_t i = 0; i < c->n; i++) {
        args[2 * i] = oim_sql_text(c->ids[i]);
        args[2 * i + 1] = oim_sql_int(c->mins[i]);
    }
    return logic_sql_rows(call->lane, head, args, 2, c->n, " ON DUPLICATE KEY UPDATE min_seq = GREATEST(min_seq, VALUES(min_seq))");
}

/* 1002 where the user is no owner or administrator of one of the groups. */
static int may_clear(struct logic_call *call, const struct cleared *c)
{
    static const char head[] = "SELECT COUNT(*) FROM group_members WHERE user_id = ? AND role_level >= ? AND group_id IN";
    struct oim_sql_value args[] = {oim_sql_text(c->user_id), oim_sql_int(LOGIC_ROLE_ADMIN)};
    char **groups = logic_list(call, c->n);
    struct oim_sql_rows rows;
    size_t n = 0;
    int64_t found = 0;
    int rc;

    for (size_t i = 0; i < c->n; i++) {
        if (c->convs[i]->conversationtype == LOGIC_SESSION_GROUP) groups[n++] = c->convs[i]->groupid;
    }
    if (call->admin || n == 0) return OIM_OK;
    rc = logic_sql_in(call->lane, head, args, 2, logic_text_values(call->lane->arena, groups, n), n, "", &rows);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) found += logic_cell_int(&rows, i, 0);
    if (rc == OIM_OK && found < (int64_t)n) return logic_fail(call, OIM_C_PERMISSION, "not an administrator of the group");
    return rc;
}

static int clear_other(struct logic_call *call, struct cleared *c)
{
    int rc = may_clear(call, c);

    if (rc == OIM_OK) rc = begin_later(call, c);
    for (size_t i = 0; i < c->n && rc == OIM_OK; i++) rc = clear_tell(call, c, c->convs[i], &c->ids[i], 1);
    return rc;
}

static int clear(struct logic_call *call, struct cleared *c, const Openim__Msg__DeleteSyncOpt *opt)
{
    int rc;

    if (c->n == 0) return OIM_OK;
    if (c->n > LOGIC_IDS_MAX) return logic_args(call, "more than %d conversations", LOGIC_IDS_MAX);
    rc = cleared_load(call, c);
    if (rc == OIM_OK) rc = sync_other(opt) ? clear_other(call, c) : clear_self(call, c, sync_self(opt));
    return rc ? rc : logic_read_raise(call, c->user_id, c->ids, c->reads, c->n);
}

static int clear_conversation_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__ClearConversationsMsgReq *req = (const void *)req_;
    struct cleared c = {.user_id = req->userid};
    int rc = logic_check_ids(call, "conversationIDs", req->conversationids, req->n_conversationids, false);

    if (rc) return rc;
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = logic_conversations_by_id(call, req->userid, req->conversationids, req->n_conversationids, &c.convs, &c.n);
    return rc ? rc : clear(call, &c, req->deletesyncopt);
}

static int user_clear_all_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__UserClearAllMsgReq *req = (const void *)req_;
    struct cleared c = {.user_id = req->userid};
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = logic_conversations(call, req->userid, &c.convs, &c.n);
    return rc ? rc : clear(call, &c, req->deletesyncopt);
}

#define MSG(name) &openim__msg__##name##_req__descriptor, &openim__msg__##name##_resp__descriptor

const struct logic_route logic_delete_routes[] = {
    {"/msg/delete_msgs", 0, LOGIC_SELF, MSG(delete_msgs), delete_msgs, LOGIC_TX},
    {"/msg/clear_conversation_msg", 0, LOGIC_SELF, MSG(clear_conversations_msg), clear_conversation_msg, LOGIC_TX},
    {"/msg/user_clear_all_msg", 0, LOGIC_SELF, MSG(user_clear_all_msg), user_clear_all_msg, LOGIC_TX},
    {"/msg/delete_msg_phsical_by_seq", 0, LOGIC_ADMIN, MSG(delete_msg_physical_by_seq), delete_msg_phsical_by_seq, LOGIC_TX},
    {"/msg/delete_msg_physical", 0, LOGIC_ADMIN, MSG(delete_msg_physical), delete_msg_physical, LOGIC_READ},
    {0},
};
