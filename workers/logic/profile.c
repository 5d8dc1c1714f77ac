/*
 * What a user says of itself: update_user_info, _ex, set_global_msg_recv_opt, and what follows in groups and at friends when the nickname
 * or the face is another one (rest.md B.2, C.2).
 *
 * The row and N1303 are one change; what follows is left as a task, in pieces: first the groups that show the profile because the member
 * has no name or no face of its own there, then the friends who have the user in their lists. A piece leaves the next one.
 */
#include "group.h"
#include "user.h"

#include <string.h>

#define PATH "/internal/profile"
#define GROUPS_PIECE 100 /* each is a notice of some kilobytes in the transaction */
#define FRIENDS_PIECE 500

enum { PHASE_GROUPS, PHASE_FRIENDS };

/* SQL NULL: not given. */
struct given {
    struct oim_sql_value nickname, face_url, ex, recv_opt;
};

/* ---- the row ---- */

/* The user's clients read the profile again. */
static int profile_notify(struct logic_call *call, char *user_id)
{
    Openim__Sdkws__UserInfoUpdatedTips *tips = logic_new(call, &openim__sdkws__user_info_updated_tips__descriptor);
    struct logic_notice notice = {
        .content_type = LOGIC_N_USER_INFO,
        .session_type = LOGIC_SESSION_SINGLE,
        .send_id = call->up->userid,
        .recv_id = user_id,
        .tips = &tips->base,
    };

    tips->userid = user_id;
    return logic_notify(call, &notice);
}

static int piece_leave(struct logic_call *call, const char *user_id, const char *op, uint32_t phase, const char *after)
{
    Openim__Internal__ProfileTask *task = logic_new(call, &openim__internal__profile_task__descriptor);

    task->userid = (char *)user_id;
    task->opuserid = (char *)op;
    task->phase = phase;
    task->after = (char *)after;
    return logic_task(call, PATH, user_id, &task->base);
}

static bool changes(const struct oim_sql_value *given, const char *now)
{
    return given->kind == OIM_SQL_TEXT && strcmp(given->p, now);
}

static int profile_write(struct logic_call *call, char *user_id, const struct given *given)
{
    static const char sql[] = "UPDATE users SET nickname = COALESCE(?, nickname), face_url = COALESCE(?, face_url),"
                              " ex = COALESCE(?, ex), global_recv_msg_opt = COALESCE(?, global_recv_msg_opt)"
                              " WHERE user_id = ?";
    struct oim_sql_value args[] = {given->nickname, given->face_url, given->ex, given->recv_opt, oim_sql_text(user_id)};
    Openim__Sdkws__UserInfo *before;
    int rc = logic_user_check(call, given->nickname.p, given->face_url.p, given->ex.p);

    if (rc == OIM_OK) rc = logic_self(call, user_id);
    if (rc == OIM_OK) rc = logic_user_lock(call, user_id, &before);
    if (rc) return rc;
    if (before == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user %s not found", user_id);

    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 5, NULL, NULL);
    if (rc) return rc;
    logic_changed(call, "user", user_id);
    rc = profile_notify(call, user_id);
    if (rc || (!changes(&given->nickname, before->nickname) && !changes(&given->face_url, before->faceurl))) return rc;
    return piece_leave(call, user_id, call->up->userid, PHASE_GROUPS, "");
}

static struct oim_sql_value nonempty(const char *s)
{
    return oim_sql_text(s[0] ? s : NULL);
}

static struct oim_sql_value wrapped(const Openim__Protobuf__StringValue *v)
{
    return oim_sql_text(v ? v->value : NULL);
}

static int update_user_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UpdateUserInfoReq *req = (const void *)req_;
    const Openim__Sdkws__UserInfo *u = req->userinfo;

    if (u == NULL) return logic_args(call, "userInfo is empty");
    if (u->userid[0] == '\0') return logic_args(call, "userID is empty");
    return profile_write(call, u->userid,
                         &(struct given){
                             .nickname = nonempty(u->nickname),
                             .face_url = nonempty(u->faceurl),
                             .ex = nonempty(u->ex),
                             .recv_opt = u->globalrecvmsgopt ? oim_sql_int(u->globalrecvmsgopt) : oim_sql_text(NULL),
                         });
}

static int update_user_info_ex(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UpdateUserInfoExReq *req = (const void *)req_;
    const Openim__Sdkws__UserInfoWithEx *u = req->userinfo;

    if (u == NULL) return logic_args(call, "userInfo is empty");
    if (u->userid[0] == '\0') return logic_args(call, "userID is empty");
    return profile_write(call, u->userid,
                         &(struct given){
                             .nickname = wrapped(u->nickname),
                             .face_url = wrapped(u->faceurl),
                             .ex = wrapped(u->ex),
                             .recv_opt = u->globalrecvmsgopt ? oim_sql_int(u->globalrecvmsgopt->value) : oim_sql_text(NULL),
                         });
}

static int set_global_msg_recv_opt(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__SetGlobalRecvMessageOptReq *req = (const void *)req_;
    struct oim_sql_value none = oim_sql_text(NULL);

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->globalrecvmsgopt < 0 || req->globalrecvmsgopt > 2) return logic_args(call, "globalRecvMsgOpt is invalid");
    return profile_write(call, req->userid, &(struct given){none, none, none, oim_sql_int(req->globalrecvmsgopt)});
}

/* ---- friends ---- */

/* Upstream goes through the user's own list, also where the other side has taken the user out: its log would forget the removal. Here those
 * learn it who have the user in their lists. */
static int friends_piece(struct logic_call *call, char *user_id, char *op, const char *after)
{
    static const char sql[] = "SELECT owner_user_id FROM friends FORCE INDEX (friend) WHERE friend_user_id = ? AND owner_user_id > ?"
                              " ORDER BY owner_user_id LIMIT ? FOR UPDATE";
    struct oim_sql_value args[] = {oim_sql_text(user_id), oim_sql_text(after), oim_sql_int(FRIENDS_PIECE)};
    Openim__Sdkws__UserInfoUpdatedTips *tips = logic_new(call, &openim__sdkws__user_info_updated_tips__descriptor);
    struct logic_notice notice = {
        .content_type = LOGIC_N_FRIEND_INFO,
        .session_type = LOGIC_SESSION_SINGLE,
        .send_id = op,
        .tips = &tips->base,
    };
    struct oim_sql_rows rows = {0};
    char **ids;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);

    if (rc || rows.n == 0) return rc;
    tips->userid = user_id;
    ids = logic_column(call->lane->arena, &rows);
    rc = logic_version_write_each(call->lane, LOGIC_LOG_FRIEND, ids, rows.n, &user_id, true, LOGIC_UPDATE, NULL);
    if (rc == OIM_OK) rc = logic_notify_online(call, &notice, ids, rows.n);
    if (rc || rows.n < FRIENDS_PIECE) return rc;
    return piece_leave(call, user_id, op, PHASE_FRIENDS, ids[rows.n - 1]);
}

/* ---- groups ---- */

/* opUser of one group: the member itself, or an administrator of the application (rest.md C.5). */
static Openim__Sdkws__GroupMemberFullInfo *op_user(struct logic_call *call, const Openim__Sdkws__UserInfo *op,
                                                   Openim__Sdkws__GroupMemberFullInfo *member)
{
    Openim__Sdkws__GroupMemberFullInfo *m;

    if (op == NULL) return member;
    m = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
    m->groupid = member->groupid;
    m->userid = op->userid;
    m->nickname = op->nickname;
    m->faceurl = op->faceurl;
    m->rolelevel = LOGIC_ROLE_ADMIN;
    m->appmangerlevel = LOGIC_LEVEL_APP_ADMIN;
    return m;
}

/* N1516 to each group. members[i], groups[i], versions[i] belong together. */
static int groups_notify(struct logic_call *call, const Openim__Sdkws__UserInfo *op, Openim__Sdkws__GroupMemberFullInfo *const *members,
                         Openim__Sdkws__GroupInfo *const *groups, const struct logic_version *versions, size_t n)
{
    int rc = OIM_OK;

    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        Openim__Sdkws__GroupMemberInfoSetTips *tips = logic_new(call, &openim__sdkws__group_member_info_set_tips__descriptor);

        logic_changed(call, "group", members[i]->groupid);
        if (groups[i] == NULL) continue;
        tips->group = groups[i];
        tips->opuser = op_user(call, op, members[i]);
        tips->changeduser = members[i];
        tips->groupmemberversion = versions[i].version;
        tips->groupmemberversionid = versions[i].id;
        rc = logic_group_notify(call, LOGIC_N_MEMBER_INFO, members[i]->groupid, &tips->base, LOGIC_DEFAULT);
        if (rc == OIM_EFAIL) rc = OIM_OK; /* too large, with what this group says of itself: its members read the log, the others hear */
    }
    return rc;
}

/* The profile of who did it, NULL when that is the member itself. */
static int op_profile(struct logic_call *call, const Openim__Internal__ProfileTask *task, Openim__Sdkws__UserInfo **profile)
{
    char *op = task->opuserid;

    *profile = NULL;
    return strcmp(op, task->userid) ? logic_users(call, &op, 1, profile) : OIM_OK;
}

/* The members' rows are locked: who leaves a group meanwhile has its last word in the log. */
static int groups_piece(struct logic_call *call, const Openim__Internal__ProfileTask *task)
{
    static const char sql[] = "SELECT " LOGIC_MEMBER_COLUMNS " FROM group_members FORCE INDEX (joined) WHERE user_id = ? AND group_id > ?"
                              " AND (nickname = '' OR face_url = '') ORDER BY group_id LIMIT ? FOR UPDATE";
    struct oim_sql_value args[] = {oim_sql_text(task->userid), oim_sql_text(task->after), oim_sql_int(GROUPS_PIECE)};
    Openim__Sdkws__GroupMemberFullInfo **members;
    Openim__Sdkws__UserInfo *op;
    struct oim_sql_rows rows = {0};
    size_t n;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);

    if (rc) return rc;
    if (rows.n == 0) return friends_piece(call, task->userid, task->opuserid, "");
    rc = logic_group_members_of_rows(call, &rows, &members, &n);
    if (rc) return rc;

    Openim__Sdkws__GroupInfo **groups = logic_list(call, n);
    struct logic_version *versions = logic_array(call, n, sizeof(*versions));
    char **ids = logic_list(call, n);
    char *user_id = task->userid;

    for (size_t i = 0; i < n; i++) ids[i] = members[i]->groupid;
    rc = logic_version_write_each(call->lane, LOGIC_LOG_MEMBER, ids, n, &user_id, true, LOGIC_UPDATE, NULL);
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_MEMBER, ids, n, versions);
    if (rc == OIM_OK) rc = logic_groups(call, ids, n, groups);
    if (rc == OIM_OK) rc = op_profile(call, task, &op);
    if (rc == OIM_OK) rc = groups_notify(call, op, members, groups, versions, n);
    if (rc) return rc;
    return rows.n < GROUPS_PIECE ? piece_leave(call, task->userid, task->opuserid, PHASE_FRIENDS, "")
                                 : piece_leave(call, task->userid, task->opuserid, PHASE_GROUPS, ids[n - 1]);
}

static int profile_task(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Internal__ProfileTask *task = (const void *)req_;

    return task->phase == PHASE_GROUPS ? groups_piece(call, task) : friends_piece(call, task->userid, task->opuserid, task->after);
}

const struct logic_route logic_profile_routes[] = {
    {"/user/update_user_info", 0, LOGIC_SELF, USER_ROUTE(update_user_info), update_user_info, LOGIC_TX},
    {"/user/update_user_info_ex", 0, LOGIC_SELF, USER_ROUTE(update_user_info_ex), update_user_info_ex, LOGIC_TX},
    {"/user/set_global_msg_recv_opt", 0, LOGIC_SELF, USER_ROUTE(set_global_recv_message_opt), set_global_msg_recv_opt, LOGIC_TX},
    {PATH, 0, LOGIC_INTERNAL, &openim__internal__profile_task__descriptor, NULL, profile_task, LOGIC_TX},
    {0},
};
