/*
 * Ways out of a group: quit, kick, dismiss, and transfer of the ownership (rest.md B.4, C.4). Rows and logs are group_row.c's business but
 * for the dismissal, which is done in SQL for all members at once.
 *
 * A dismissal is complete in its transaction: whoever handles N1511 finds its join log changed. The notice still reaches the members: the
 * gateways forget the group only after its push (Push.flags 2). What they may read stays open, because after N1511 nothing is sent to the
 * group any more.
 */
#include "group.h"

#include <string.h>

enum { KICK_MAX = 1000, FACES_MAX_BYTES = 64000 };

/* The request's sendMessage. */
static enum logic_choice choice(bool given, bool value)
{
    if (!given) return LOGIC_DEFAULT;
    return value ? LOGIC_YES : LOGIC_NO;
}

/* ---- quit ---- */

static int quit_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__QuitGroupReq *req = (const void *)req_;
    Openim__Sdkws__MemberQuitTips *tips = logic_new(call, &openim__sdkws__member_quit_tips__descriptor);
    char *user_id = req->userid[0] ? req->userid : call->up->userid;
    struct logic_version version;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_self(call, user_id);
    if (rc == OIM_OK) rc = logic_group_lock(call, req->groupid, false, &tips->group);
    if (rc == OIM_OK) rc = logic_group_member(call, req->groupid, user_id, &tips->quituser);
    if (rc) return rc;
    if (tips->quituser == NULL) return logic_fail(call, OIM_C_NOTFOUND, "%s is not a member", user_id);
    if (tips->quituser->rolelevel == LOGIC_ROLE_OWNER) return logic_fail(call, OIM_C_PERMISSION, "the owner cannot quit");

    rc = logic_group_remove(call, req->groupid, &user_id, 1, &version);
    if (rc == OIM_OK) rc = logic_group_info(call, req->groupid, &tips->group);
    if (rc) return rc;
    tips->groupmemberversion = version.version;
    tips->groupmemberversionid = version.id;
    return logic_group_notify_left(call, LOGIC_N_MEMBER_QUIT, req->groupid, &tips->base, LOGIC_DEFAULT, &user_id, 1);
}

/* ---- kick ---- */

/* Who may remove whom (rest.md B.4). op: the caller's row, NULL when it has none. */
static int kick_check(struct logic_call *call, char *const *ids, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n,
                      const Openim__Sdkws__GroupMemberFullInfo *op)
{
    for (size_t i = 0; i < n; i++) {
        if (members[i] == NULL) return logic_fail(call, OIM_C_USER_NOTFOUND, "%s is not a member", ids[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (members[i]->rolelevel == LOGIC_ROLE_OWNER) return logic_args(call, "the owner cannot be removed");
    }
    if (call->admin) return OIM_OK;
    if (op == NULL) return logic_fail(call, OIM_C_PERMISSION, "not a member of the group");
    if (op->rolelevel == LOGIC_ROLE_OWNER) return OIM_OK;
    if (op->rolelevel != LOGIC_ROLE_ADMIN) return logic_fail(call, OIM_C_PERMISSION, "only the owner and administrators remove members");
    for (size_t i = 0; i < n; i++) {
        if (members[i]->rolelevel != LOGIC_ROLE_MEMBER) return logic_fail(call, OIM_C_PERMISSION, "only the owner removes administrators");
    }
    return OIM_OK;
}

/* They are gone: clients need to know who it was. Without this a list of long faces would be no message any more. */
static void faces_drop(Openim__Sdkws__GroupMemberFullInfo **members, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) bytes += strlen(members[i]->faceurl) + strlen(members[i]->ex);
    for (size_t i = 0; i < n && bytes > FACES_MAX_BYTES; i++) {
        members[i]->faceurl = members[i]->ex = (char *)protobuf_c_empty_string;
    }
}

static int kick_arguments(struct logic_call *call, const Openim__Group__KickGroupMemberReq *req)
{
    size_t n = req->n_kickeduserids;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_check_ids(call, "kickedUserIDs", req->kickeduserids, n, true);
    if (rc) return rc;
    if (n > KICK_MAX) return logic_args(call, "kickedUserIDs has more than %d entries", KICK_MAX);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(req->kickeduserids[i], call->up->userid) == 0) return logic_args(call, "nobody removes himself");
    }
    return OIM_OK;
}

static int kick_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__KickGroupMemberReq *req = (const void *)req_;
    Openim__Sdkws__MemberKickedTips *tips = logic_new(call, &openim__sdkws__member_kicked_tips__descriptor);
    size_t n = req->n_kickeduserids;
    Openim__Sdkws__GroupMemberFullInfo **members;
    struct logic_version version;
    char **ids;
    int rc = kick_arguments(call, req);

    if (rc == OIM_OK) rc = logic_group_lock(call, req->groupid, false, &tips->group);
    if (rc) return rc;
    ids = logic_list(call, n + 1);
    members = logic_list(call, n + 1);
    memcpy(ids, req->kickeduserids, n * sizeof(*ids));
    ids[n] = call->up->userid;
    rc = logic_group_members(call, req->groupid, ids, n + 1, members);
    if (rc == OIM_OK) rc = kick_check(call, ids, members, n, members[n]);
    if (rc == OIM_OK) rc = logic_group_remove(call, req->groupid, ids, n, &version);
    if (rc == OIM_OK) rc = logic_group_info(call, req->groupid, &tips->group);
    if (rc == OIM_OK) rc = logic_group_op_user(call, req->groupid, &tips->opuser);
    if (rc) return rc;
    faces_drop(members, n);
    tips->kickeduserlist = members;
    tips->n_kickeduserlist = n;
    tips->groupmemberversion = version.version;
    tips->groupmemberversionid = version.id;
    return logic_group_notify_left(call, LOGIC_N_MEMBER_KICKED, req->groupid, &tips->base,
                                   choice(req->_send_message_case != 0, req->sendmessage), ids, n);
}

/* ---- dismiss ---- */

/* The group stays as a row of status 2; its members and their log go. */
static int dismiss_rows(struct logic_call *call, const char *group_id)
{
    static const char row[] = "UPDATE chat_groups SET status = ?, member_count = 0, owner_user_id = '' WHERE group_id = ?";
    static const char members[] = "DELETE FROM group_members WHERE group_id = ?";
    struct logic_lane *lane = call->lane;
    struct oim_sql_value args[] = {oim_sql_int(LOGIC_GROUP_DISMISSED), oim_sql_text(group_id)};
    int rc = oim_sql_exec(lane->db, lane->arena, row, args, 2, NULL, NULL);

    if (rc == OIM_OK) rc = logic_version_leave_all(lane, group_id);
    if (rc == OIM_OK) rc = logic_version_drop(lane, LOGIC_LOG_MEMBER, group_id);
    if (rc == OIM_OK) rc = oim_sql_exec(lane->db, lane->arena, members, args + 1, 1, NULL, NULL);
    if (rc == OIM_OK) logic_changed(call, "group", group_id);
    return rc;
}

static int dismiss_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__DismissGroupReq *req = (const void *)req_;
    Openim__Sdkws__GroupDismissedTips *tips = logic_new(call, &openim__sdkws__group_dismissed_tips__descriptor);
    Openim__Sdkws__GroupInfo *group;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_group_lock(call, req->groupid, !req->deletemember, &group);
    if (rc) return rc;
    if (group->owneruserid[0] == '\0') return logic_fail(call, OIM_C_NOTFOUND, "the group has no owner");
    rc = logic_self(call, group->owneruserid);
    if (rc == OIM_OK) rc = logic_group_op_user(call, req->groupid, &tips->opuser);
    if (rc == OIM_OK) rc = dismiss_rows(call, req->groupid);
    if (rc || req->deletemember) return rc; /* the silent form of the protocol */
    group->status = LOGIC_GROUP_DISMISSED;
    tips->group = group;
    return logic_group_notify(call, LOGIC_N_GROUP_DISMISSED, req->groupid, &tips->base,
                              choice(req->_send_message_case != 0, req->sendmessage));
}

/* ---- transfer ---- */

static int transfer_rows(struct logic_call *call, const char *group_id, char *from, char *to, int32_t role, struct logic_version *version)
{
    static const char roles[] = "UPDATE group_members SET role_level = CASE user_id WHEN ? THEN ? ELSE ? END"
                                " WHERE group_id = ? AND user_id IN (?, ?)";
    static const char owner[] = "UPDATE chat_groups SET owner_user_id = ? WHERE group_id = ?";
    struct logic_lane *lane = call->lane;
    char *elements[] = {(char *)LOGIC_SORT, from, to};
    struct oim_sql_value args[] = {oim_sql_text(to), oim_sql_int(LOGIC_ROLE_OWNER), oim_sql_int(role), oim_sql_text(group_id),
                                   oim_sql_text(from), oim_sql_text(to)};
    struct oim_sql_value owner_args[] = {oim_sql_text(to), oim_sql_text(group_id)};
    int rc = oim_sql_exec(lane->db, lane->arena, roles, args, 6, NULL, NULL);

    if (rc == OIM_OK) rc = oim_sql_exec(lane->db, lane->arena, owner, owner_args, 2, NULL, NULL);
    if (rc == OIM_OK) rc = logic_version_write(lane, LOGIC_LOG_MEMBER, group_id, elements, 3, LOGIC_UPDATE, version);
    if (rc == OIM_OK) logic_changed(call, "group", group_id);
    return rc;
}

/* Under the lock. The member that gets the group, out. */
static int transfer_check(struct logic_call *call, const Openim__Group__TransferGroupOwnerReq *req,
                          Openim__Sdkws__GroupMemberFullInfo **heir)
{
    char *ids[] = {req->oldowneruserid, req->newowneruserid};
    Openim__Sdkws__GroupMemberFullInfo *members[2];
    int rc = logic_group_members(call, req->groupid, ids, 2, members);

    if (rc) return rc;
    if (members[0] == NULL || members[1] == NULL) return logic_args(call, "%s is not a member", members[0] ? ids[1] : ids[0]);
    *heir = members[1];
    rc = logic_self(call, req->oldowneruserid);
    if (rc || members[0]->rolelevel == LOGIC_ROLE_OWNER) return rc;
    if (call->admin) return logic_args(call, "%s is not the owner", ids[0]); /* two owners would be left */
    return logic_fail(call, OIM_C_PERMISSION, "not the owner of the group");
}

static int transfer_tell(struct logic_call *call, const Openim__Group__TransferGroupOwnerReq *req, const struct logic_version *version)
{
    Openim__Sdkws__GroupOwnerTransferredTips *tips = logic_new(call, &openim__sdkws__group_owner_transferred_tips__descriptor);
    char *ids[] = {req->oldowneruserid, req->newowneruserid};
    Openim__Sdkws__GroupMemberFullInfo *members[2];
    int rc = logic_group_members(call, req->groupid, ids, 2, members);

    if (rc == OIM_OK) rc = logic_group_info(call, req->groupid, &tips->group);
    if (rc == OIM_OK) rc = logic_group_op_user(call, req->groupid, &tips->opuser);
    if (rc) return rc;
    tips->oldgroupownerinfo = members[0];
    tips->newgroupowner = members[1];
    tips->groupmemberversion = version->version;
    tips->groupmemberversionid = version->id;
    return logic_group_notify(call, LOGIC_N_GROUP_TRANSFERRED, req->groupid, &tips->base, LOGIC_DEFAULT);
}

static int transfer_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__TransferGroupOwnerReq *req = (const void *)req_;
    Openim__Sdkws__GroupMemberFullInfo *heir = NULL;
    Openim__Sdkws__GroupInfo *group;
    struct logic_version version;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->oldowneruserid[0] == '\0' || req->newowneruserid[0] == '\0') return logic_args(call, "an owner's userID is empty");
    rc = logic_group_lock(call, req->groupid, true, &group);
    if (rc) return rc;
    if (strcmp(req->oldowneruserid, req->newowneruserid) == 0) return logic_args(call, "the owner stays the same");
    rc = transfer_check(call, req, &heir);
    if (rc == OIM_OK && heir->muteendtime > oim_now_ms()) rc = logic_group_member_mute(call, req->groupid, heir->userid, 0);
    if (rc == OIM_OK) {
        rc = transfer_rows(call, req->groupid, req->oldowneruserid, req->newowneruserid, heir->rolelevel, &version);
    }
    return rc ? rc : transfer_tell(call, req, &version);
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_leave_routes[] = {
    {"/group/quit_group", 0, LOGIC_SELF, GROUP(quit_group), quit_group, LOGIC_TX},
    {"/group/kick_group", 0, LOGIC_GROUP_ADMIN, GROUP(kick_group_member), kick_group, LOGIC_TX},
    {"/group/dismiss_group", 0, LOGIC_GROUP_OWNER, GROUP(dismiss_group), dismiss_group, LOGIC_TX},
    {"/group/transfer_group", 0, LOGIC_GROUP_OWNER, GROUP(transfer_group_owner), transfer_group, LOGIC_TX},
    {0},
};
