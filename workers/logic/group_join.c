/*
 * /group: ways into a group: join_group, invite_user_to_group (rest.md B.4, C.4).
 *
 *   needVerification   join_group        invited by a member       invited by owner, administrator, app administrator
 *   0                  a request         a member at once          a member at once
 *   1                  a request         a request per user        a member at once
 *   2                  a member at once  a member at once          a member at once
 *
 * Who is invited is told in notices of 64: that is what a message holds, and each of them is a step of the member log of its own, because a
 * client that has the version before a notice takes its members as all that changed (D.4).
 */
#include "group.h"

#include <string.h>

#define LIST_MAX 1000
#define STEP 64  /* members of one N1509 */
#define PIECE 20 /* requests told by one task */

enum { NEED_REQUEST_OR_INVITATION = 0, NEED_REQUEST = 1, NEED_NOTHING = 2 };

/* ---- notices ---- */

int logic_group_invited_notify(struct logic_call *call, const Openim__Sdkws__GroupInfo *group, char *const *users, size_t n, char *inviter,
                               const struct logic_version *version, enum logic_choice visible)
{
    Openim__Sdkws__MemberInvitedTips tips = OPENIM__SDKWS__MEMBER_INVITED_TIPS__INIT;
    int rc;

    tips.group = (Openim__Sdkws__GroupInfo *)group;
    tips.groupmemberversion = version->version;
    tips.groupmemberversionid = version->id;
    rc = logic_group_op_user(call, group->groupid, &tips.opuser);
    if (rc == OIM_OK && strcmp(inviter, call->up->userid)) {
        rc = logic_group_member_or_profile(call, group->groupid, inviter, &tips.inviteruser);
    } else {
        tips.inviteruser = tips.opuser;
    }
    if (rc) return rc;
    rc = logic_group_members_at(call, group->groupid, 0, users, n, LOGIC_BY_ROLE, &tips.inviteduserlist, &tips.n_inviteduserlist);
    return rc ? rc : logic_group_notify(call, LOGIC_N_MEMBER_INVITED, group->groupid, &tips.base, visible);
}

int logic_group_enter_notify(struct logic_call *call, const Openim__Sdkws__GroupInfo *group, char *user_id,
                             const struct logic_version *version)
{
    Openim__Sdkws__MemberEnterTips tips = OPENIM__SDKWS__MEMBER_ENTER_TIPS__INIT;
    int rc = logic_group_member_or_profile(call, group->groupid, user_id, &tips.entrantuser);

    tips.group = (Openim__Sdkws__GroupInfo *)group;
    tips.operationtime = oim_now_ms();
    tips.groupmemberversion = version->version;
    tips.groupmemberversionid = version->id;
    return rc ? rc : logic_group_notify(call, LOGIC_N_MEMBER_ENTER, group->groupid, &tips.base, LOGIC_DEFAULT);
}

/* ---- join_group ---- */

static int join_check(struct logic_call *call, const Openim__Group__JoinGroupReq *req)
{
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->joinsource < LOGIC_JOIN_BY_ADMIN || req->joinsource > LOGIC_JOIN_QR) return logic_args(call, "joinSource is invalid");
    if (req->inviteruserid[0] == '\0') return logic_args(call, "inviterUserID is empty");
    rc = logic_check_text(call, "reqMessage", req->reqmessage);
    if (rc == OIM_OK) rc = logic_check_text(call, "ex", req->ex);
    return rc;
}

static int join_at_once(struct logic_call *call, const Openim__Group__JoinGroupReq *req)
{
    Openim__Sdkws__GroupMemberFullInfo *m = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
    Openim__Sdkws__GroupInfo *group;
    struct logic_version version;
    int rc;

    m->userid = m->inviteruserid = req->inviteruserid;
    m->operatoruserid = call->up->userid;
    m->rolelevel = LOGIC_ROLE_MEMBER;
    m->joinsource = req->joinsource;
    rc = logic_group_add(call, req->groupid, &m, 1, false, &version);
    if (rc == OIM_OK) rc = logic_group_info(call, req->groupid, &group);
    return rc ? rc : logic_group_enter_notify(call, group, req->inviteruserid, &version);
}

static int join_by_request(struct logic_call *call, const Openim__Group__JoinGroupReq *req)
{
    Openim__Sdkws__GroupRequest like = OPENIM__SDKWS__GROUP_REQUEST__INIT;
    char *user_id = req->inviteruserid;
    int rc;

    like.reqmsg = req->reqmessage;
    like.ex = req->ex;
    like.joinsource = req->joinsource;
    rc = logic_group_requests_put(call, req->groupid, &user_id, 1, &like);
    return rc ? rc : logic_group_requests_notify(call, req->groupid, &user_id, 1, user_id);
}

/* The one who joins is called inviterUserID. */
static int join_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__JoinGroupReq *req = (const void *)req_;
    Openim__Sdkws__GroupMemberFullInfo *member;
    Openim__Sdkws__GroupInfo *group;
    Openim__Sdkws__UserInfo *user;
    char *user_id = req->inviteruserid;
    int rc = join_check(call, req);

    if (rc == OIM_OK) rc = logic_self(call, user_id);
    if (rc == OIM_OK) rc = logic_users(call, &user_id, 1, &user);
    if (rc) return rc;
    if (user == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user not found: %s", user_id);
    rc = logic_group_lock(call, req->groupid, true, &group);
    if (rc == OIM_OK) rc = logic_group_member(call, req->groupid, user_id, &member);
    if (rc) return rc;
    if (member) return logic_args(call, "a member of the group already");
    return group->needverification == NEED_NOTHING ? join_at_once(call, req) : join_by_request(call, req);
}

/* ---- invite_user_to_group ---- */

static int invite_check(struct logic_call *call, const Openim__Group__InviteUserToGroupReq *req)
{
    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->n_inviteduserids > LIST_MAX) return logic_args(call, "invitedUserIDs has more than %d entries", LIST_MAX);
    return logic_check_ids(call, "invitedUserIDs", req->inviteduserids, req->n_inviteduserids, true);
}

/* All are users, none is a member. */
static int invited_check(struct logic_call *call, const Openim__Group__InviteUserToGroupReq *req)
{
    static const char head[] = "SELECT user_id FROM group_members WHERE group_id = ? AND user_id IN";
    size_t n = req->n_inviteduserids;
    Openim__Sdkws__UserInfo **users = logic_list(call, n);
    struct oim_sql_value args[] = {oim_sql_text(req->groupid)};
    struct oim_sql_rows rows;
    int rc = logic_users(call, req->inviteduserids, n, users);

    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (users[i] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user not found: %s", req->inviteduserids[i]);
    }
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(call->lane->arena, req->inviteduserids, n), n, "", &rows);
    if (rc) return rc;
    /* 500, as the duplicate key that it has always been answered with */
    return rows.n ? logic_fail(call, OIM_C_INTERNAL, "a member already: %s", logic_cell_text(&rows, 0, 0)) : OIM_OK;
}

static int invite_by_request(struct logic_call *call, const Openim__Group__InviteUserToGroupReq *req)
{
    Openim__Sdkws__GroupRequest like = OPENIM__SDKWS__GROUP_REQUEST__INIT;
    int rc;

    like.joinsource = LOGIC_JOIN_INVITED;
    like.inviteruserid = call->up->userid;
    rc = logic_group_requests_put(call, req->groupid, req->inviteduserids, req->n_inviteduserids, &like);
    /* a notice per user and manager: in pieces */
    for (size_t done = 0; done < req->n_inviteduserids && rc == OIM_OK; done += PIECE) {
        Openim__Group__InviteUserToGroupReq piece = OPENIM__GROUP__INVITE_USER_TO_GROUP_REQ__INIT;
        size_t left = req->n_inviteduserids - done;

        piece.groupid = req->groupid;
        piece.inviteduserids = req->inviteduserids + done;
        piece.n_inviteduserids = left < PIECE ? left : PIECE;
        rc = logic_task(call, "/internal/group/requested", req->groupid, &piece.base);
    }
    return rc;
}

static int invite_at_once(struct logic_call *call, const Openim__Group__InviteUserToGroupReq *req, Openim__Sdkws__GroupInfo *group)
{
    enum logic_choice visible = LOGIC_DEFAULT;
    size_t n = req->n_inviteduserids;
    Openim__Sdkws__GroupMemberFullInfo **members = logic_list(call, n);
    struct logic_version *versions = logic_array(call, n / STEP + 1, sizeof(*versions));
    int rc;

    if (req->_send_message_case == OPENIM__GROUP__INVITE_USER_TO_GROUP_REQ___SEND_MESSAGE_SEND_MESSAGE) {
        visible = req->sendmessage ? LOGIC_YES : LOGIC_NO;
    }
    for (size_t i = 0; i < n; i++) {
        members[i] = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
        members[i]->userid = req->inviteduserids[i];
        members[i]->rolelevel = LOGIC_ROLE_MEMBER;
        members[i]->joinsource = LOGIC_JOIN_INVITED;
        members[i]->inviteruserid = members[i]->operatoruserid = call->up->userid;
    }
    rc = logic_group_add_in_steps(call, req->groupid, members, n, STEP, false, versions);
    for (size_t done = 0; done < n && rc == OIM_OK; done += STEP) {
        size_t count = n - done < STEP ? n - done : STEP;

        group->membercount += (uint32_t)count;
        rc = logic_group_invited_notify(call, group, req->inviteduserids + done, count, call->up->userid, &versions[done / STEP], visible);
    }
    return rc;
}

static int invite_user_to_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__InviteUserToGroupReq *req = (const void *)req_;
    Openim__Sdkws__GroupMemberFullInfo *op;
    Openim__Sdkws__GroupInfo *group;
    bool freely;
    int rc = invite_check(call, req);

    if (rc == OIM_OK) rc = logic_group_lock(call, req->groupid, true, &group);
    if (rc == OIM_OK) rc = logic_group_member(call, req->groupid, call->up->userid, &op);
    if (rc) return rc;
    if (op == NULL && !call->admin) return logic_fail(call, OIM_C_PERMISSION, "not a member of the group");
    rc = invited_check(call, req);
    if (rc) return rc;
    freely = group->needverification != NEED_REQUEST || call->admin || op->rolelevel >= LOGIC_ROLE_ADMIN;
    return freely ? invite_at_once(call, req, group) : invite_by_request(call, req);
}

/* The task of invite_by_request: its inviter is op. */
static int requested(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__InviteUserToGroupReq *req = (const void *)req_;

    return logic_group_requests_notify(call, req->groupid, req->inviteduserids, req->n_inviteduserids, call->up->userid);
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_join_routes[] = {
    {"/group/join_group", 0, LOGIC_SELF, GROUP(join_group), join_group, LOGIC_TX},
    {"/group/invite_user_to_group", 0, LOGIC_MEMBER, GROUP(invite_user_to_group), invite_user_to_group, LOGIC_TX},
    {"/internal/group/requested", 0, LOGIC_INTERNAL, GROUP(invite_user_to_group), requested, LOGIC_TX},
    {0},
};
