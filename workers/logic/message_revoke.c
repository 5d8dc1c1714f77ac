/*
 * /msg/revoke_msg (rest.md B.7, messages.md 9.1): a message is marked (marks.h) and everybody in its conversation is told with 2101. What
 * is in the history stays.
 */
#include "fetch.h"
#include "group.h"
#include "marks.h"
#include "message.h"

#include <string.h>

int logic_msg_may_remove(struct logic_call *call, const char *group_id, char *op, char *const *senders, size_t n)
{
    static const char head[] = "SELECT user_id, role_level FROM group_members WHERE group_id = ? AND user_id IN";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    char **ids = logic_list(call, n + 1);
    int64_t mine = 0, highest = 0;
    struct oim_sql_rows rows;
    int rc;

    ids[0] = op;
    if (n) memcpy(ids + 1, senders, n * sizeof(*ids));
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, ids, n + 1), n + 1, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        int64_t role = logic_cell_int(&rows, i, 1);

        if (strcmp(logic_cell_text(&rows, i, 0), op) == 0) {
            mine = role;
        } else if (role > highest) {
            highest = role;
        }
    }
    if (mine == LOGIC_ROLE_OWNER || (mine == LOGIC_ROLE_ADMIN && highest < LOGIC_ROLE_ADMIN)) return OIM_OK;
    return logic_fail(call, OIM_C_PERMISSION, "not allowed to take away this message");
}

/* The message as it was stored; 1004 when there is none. */
static int message_find(struct logic_call *call, const char *conv, int64_t seq, Openim__Sdkws__MsgData **msg)
{
    struct logic_want want = {.conv = conv, .seq = seq}, *plan = &want;
    struct logic_place place = {conv, seq};
    struct logic_marks *marks;
    size_t done;
    int rc = logic_fetch(call, &plan, 1, &done);

    if (rc == OIM_OK) rc = logic_marks_load(call, NULL, &place, 1, &marks);
    if (rc) return rc;
    if (want.msg == NULL || logic_marks_deleted(marks, conv, seq)) return logic_fail(call, OIM_C_NOTFOUND, "no such message");
    *msg = want.msg;
    return OIM_OK;
}

static int may_revoke(struct logic_call *call, char *user_id, const Openim__Sdkws__MsgData *msg)
{
    if (call->admin || strcmp(msg->sendid, user_id) == 0) return OIM_OK;
    if (msg->sessiontype == LOGIC_SESSION_GROUP) return logic_msg_may_remove(call, msg->groupid, user_id, (char *const *)&msg->sendid, 1);
    return logic_fail(call, OIM_C_PERMISSION, "not the sender of the message");
}

/* What readers are told of who revoked it: the role in the group, else the level of the account, 0 for an administrator. */
static int role_of(struct logic_call *call, const Openim__Sdkws__UserInfo *user, const Openim__Sdkws__MsgData *msg, int32_t *role)
{
    static const char sql[] = "SELECT role_level FROM group_members WHERE group_id = ? AND user_id = ?";
    struct oim_sql_value args[] = {oim_sql_text(msg->groupid), oim_sql_text(user->userid)};
    struct oim_sql_rows rows = {0};
    int rc = OIM_OK;

    *role = 0;
    if (call->admin) return OIM_OK;
    if (msg->sessiontype != LOGIC_SESSION_GROUP) {
        *role = user->appmangerlevel;
        return OIM_OK;
    }
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);
    if (rc == OIM_OK && rows.n) *role = (int32_t)logic_cell_int(&rows, 0, 0);
    return rc;
}

/* From the named user to the conversation; a revocation in the name of who is no part of a single chat goes between its two. */
static int revoke_tell(struct logic_call *call, const Openim__Msg__RevokeMsgReq *req, const Openim__Sdkws__MsgData *msg, int64_t now)
{
    Openim__Sdkws__RevokeMsgTips tips = OPENIM__SDKWS__REVOKE_MSG_TIPS__INIT;
    bool part = strcmp(req->userid, msg->sendid) == 0 || strcmp(req->userid, msg->recvid) == 0;
    struct logic_notice notice = {
        .content_type = LOGIC_N_REVOKE,
        .session_type = msg->sessiontype,
        .send_id = req->userid,
        .recv_id = msg->sessiontype == LOGIC_SESSION_GROUP ? msg->groupid : msg->recvid,
        .tips = &tips.base,
    };

    if (msg->sessiontype != LOGIC_SESSION_GROUP && !part) notice.send_id = msg->sendid;
    if (msg->sessiontype != LOGIC_SESSION_GROUP && strcmp(req->userid, msg->recvid) == 0) notice.recv_id = msg->sendid;
    tips.revokeruserid = call->up->userid;
    tips.clientmsgid = msg->clientmsgid;
    tips.revoketime = now;
    tips.sesstiontype = msg->sessiontype;
    tips.seq = msg->seq;
    tips.conversationid = req->conversationid;
    tips.isadminrevoke = call->admin;
    return logic_notify(call, &notice);
}

/* Of the conversation: 1002 for who has no part in it, 1004 for what is outside of what he sees. */
static int visible(struct logic_call *call, const Openim__Msg__RevokeMsgReq *req)
{
    Openim__Conversation__Conversation *conv;
    struct logic_seq seq;
    int rc = logic_msg_conv(call, req->userid, req->conversationid, &conv, &seq);

    if (rc) return rc;
    if (strncmp(req->conversationid, "n_", 2) == 0) return logic_fail(call, OIM_C_NOTFOUND, "no such message");
    if (conv == NULL && !call->admin) return logic_fail(call, OIM_C_PERMISSION, "no part in the conversation");
    if (conv ? req->seq < seq.low || req->seq > seq.high : req->seq > seq.max) return logic_fail(call, OIM_C_NOTFOUND, "no such message");
    return OIM_OK;
}

static int revoke_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__RevokeMsgReq *req = (const void *)req_;
    Openim__Internal__Marks__Revoked mark = OPENIM__INTERNAL__MARKS__REVOKED__INIT;
    Openim__Sdkws__MsgData *msg = NULL;
    Openim__Sdkws__UserInfo *user;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->seq < 1) return logic_args(call, "seq is invalid");
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = logic_users(call, (char *const *)&req->userid, 1, &user);
    if (rc) return rc;
    if (user == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user %s not found", req->userid);
    rc = visible(call, req);
    if (rc == OIM_OK) rc = message_find(call, req->conversationid, req->seq, &msg);
    if (rc == OIM_OK) rc = may_revoke(call, req->userid, msg);
    if (rc == OIM_OK) rc = role_of(call, user, msg, &mark.role);
    if (rc) return rc;
    mark.seq = req->seq;
    mark.userid = req->userid;
    mark.nickname = user->nickname;
    mark.time = oim_now_ms();
    rc = logic_mark_revoked(call, req->conversationid, &mark);
    if (rc == OIM_EEXIST) return logic_fail(call, OIM_C_REVOKED, "the message is revoked already");
    return rc ? rc : revoke_tell(call, req, msg, mark.time);
}

const struct logic_route logic_revoke_routes[] = {
    {"/msg/revoke_msg", 0, LOGIC_SELF, &openim__msg__revoke_msg_req__descriptor, &openim__msg__revoke_msg_resp__descriptor, revoke_msg,
     LOGIC_TX},
    {0},
};
