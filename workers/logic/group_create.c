/*
 * /group/create_group (rest.md B.4). The group's row, its members and their logs are one change; N1501 follows, and N1519 when the group
 * has an announcement from the start. Conversations of the members come with the first message.
 */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX 1000
#define MADE_IDS 10      /* tries to find an id that nobody has */
#define SHOWN_MEMBERS 50 /* in N1501: clients read their lists instead */

enum { WORKING_GROUP = 2 };

/* ---- what is asked for ---- */

static int info_check(struct logic_call *call, const Openim__Sdkws__GroupInfo *g)
{
    int rc;

    if (g == NULL) return logic_args(call, "groupInfo is empty");
    if (g->grouptype != WORKING_GROUP) return logic_args(call, "groupType is not supported");
    if (g->status != LOGIC_GROUP_OK && g->status != LOGIC_GROUP_MUTED) return logic_args(call, "status is invalid");
    rc = logic_check_id(call, "groupID", g->groupid);
    if (rc == OIM_OK) rc = logic_check_name(call, "groupName", g->groupname);
    if (rc == OIM_OK) rc = logic_check_text(call, "notification", g->notification);
    if (rc == OIM_OK) rc = logic_check_text(call, "introduction", g->introduction);
    if (rc == OIM_OK) rc = logic_check_text(call, "faceURL", g->faceurl);
    if (rc == OIM_OK) rc = logic_check_text(call, "ex", g->ex);
    if (rc == OIM_OK) rc = logic_check_name(call, "creatorUserID", g->creatoruserid);
    if (rc == OIM_OK) rc = logic_check_name(call, "notificationUserID", g->notificationuserid);
    return rc;
}

/* Owner, administrators, members; ids has room for one more. */
static int members_check(struct logic_call *call, const Openim__Group__CreateGroupReq *req, char ***ids, size_t *n)
{
    *n = 0;
    if (req->owneruserid[0] == '\0') return logic_args(call, "ownerUserID is empty");
    if (req->n_memberuserids > LIST_MAX) return logic_args(call, "memberUserIDs has more than %d entries", LIST_MAX);
    if (req->n_adminuserids > LIST_MAX) return logic_args(call, "adminUserIDs has more than %d entries", LIST_MAX);
    *ids = logic_list(call, req->n_memberuserids + req->n_adminuserids + 2);
    (*ids)[(*n)++] = req->owneruserid;
    for (size_t i = 0; i < req->n_adminuserids; i++) (*ids)[(*n)++] = req->adminuserids[i];
    for (size_t i = 0; i < req->n_memberuserids; i++) (*ids)[(*n)++] = req->memberuserids[i];
    return logic_check_ids(call, "users", *ids, *n, true);
}

/* users[i] of ids[i]; op is looked at, too. */
static int users_check(struct logic_call *call, char **ids, size_t n, Openim__Sdkws__UserInfo **users)
{
    int rc;

    ids[n] = call->up->userid;
    rc = logic_users(call, ids, n + 1, users);
    if (rc) return rc;
    for (size_t i = 0; i <= n; i++) {
        if (users[i] == NULL) return logic_fail(call, OIM_C_USER_NOTFOUND, "user not found: %s", ids[i]);
    }
    return OIM_OK;
}

/* ---- rows ---- */

/* OIM_EEXIST: the id is used. */
static int group_insert(struct logic_call *call, const char *group_id, const Openim__Sdkws__GroupInfo *g)
{
    static const char sql[] =
        "INSERT INTO chat_groups (group_id, group_name, notification, introduction, face_url, ex, create_time, status, creator_user_id,"
        " group_type, need_verification, look_member_info, apply_member_friend, notification_update_time, notification_user_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct oim_sql_value args[] = {
        oim_sql_text(group_id),         oim_sql_text(g->groupname),        oim_sql_text(g->notification),
        oim_sql_text(g->introduction),  oim_sql_text(g->faceurl),          oim_sql_text(g->ex),
        oim_sql_int(oim_now_ms()),      oim_sql_int(g->status),            oim_sql_text(g->creatoruserid),
        oim_sql_int(g->grouptype),      oim_sql_int(g->needverification),  oim_sql_int(g->lookmemberinfo),
        oim_sql_int(g->applymemberfriend), oim_sql_int(g->notificationupdatetime), oim_sql_text(g->notificationuserid)};

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, sizeof(args) / sizeof(args[0]), NULL, NULL);
}

/* With the id that was asked for, or with a number (rest.md A.15): the first 8 hex digits of a digest as a decimal. */
static int group_make(struct logic_call *call, const Openim__Sdkws__GroupInfo *g, char **group_id)
{
    struct oim_arena *a = call->lane->arena;
    int rc = OIM_EEXIST;

    if (g->groupid[0]) {
        *group_id = g->groupid;
        rc = group_insert(call, *group_id, g);
        return rc == OIM_EEXIST ? logic_fail(call, OIM_C_GROUP_EXISTS, "groupID is used: %s", *group_id) : rc;
    }
    for (int i = 0; i < MADE_IDS && rc == OIM_EEXIST; i++) {
        char *hex = logic_client_msg_id(call, oim_arena_printf(a, "group/%d", i));

        hex[8] = '\0';
        *group_id = oim_arena_printf(a, "%lu", strtoul(hex, NULL, 16));
        rc = group_insert(call, *group_id, g);
    }
    return rc == OIM_EEXIST ? logic_fail(call, OIM_C_INTERNAL, "no groupID found") : rc;
}

static int members_add(struct logic_call *call, const Openim__Group__CreateGroupReq *req, const char *group_id, char *const *ids, size_t n,
                       struct logic_version *version)
{
    Openim__Sdkws__GroupMemberFullInfo **members = logic_list(call, n);

    for (size_t i = 0; i < n; i++) {
        members[i] = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
        members[i]->userid = ids[i];
        members[i]->rolelevel = i == 0 ? LOGIC_ROLE_OWNER : i <= req->n_adminuserids ? LOGIC_ROLE_ADMIN : LOGIC_ROLE_MEMBER;
        members[i]->joinsource = LOGIC_JOIN_INVITED;
        members[i]->inviteruserid = members[i]->operatoruserid = call->up->userid;
    }
    return logic_group_add(call, group_id, members, n, true, version);
}

/* ---- notices ---- */

/* The list of N1501: up to op's own entry, names filled in, faces as they are stored (rest.md B.4). */
static int created_members(struct logic_call *call, const char *group_id, char *const *ids, size_t n, Openim__Sdkws__UserInfo *const *users,
                           Openim__Sdkws__GroupCreatedTips *tips)
{
    Openim__Sdkws__GroupMemberFullInfo **members;
    size_t count = 0;
    int rc;

    while (count < n && count < SHOWN_MEMBERS && strcmp(ids[count++], call->up->userid)) {}
    members = logic_list(call, count);
    rc = logic_group_members(call, group_id, ids, count, members);
    if (rc) return rc;
    for (size_t i = 0; i < count; i++) {
        members[i]->nickname = users[i]->nickname;
        members[i]->faceurl = (char *)protobuf_c_empty_string;
    }
    tips->memberlist = members;
    tips->n_memberlist = count;
    tips->groupowneruser = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
    *tips->groupowneruser = *members[0];
    tips->groupowneruser->nickname = (char *)protobuf_c_empty_string;
    return OIM_OK;
}

static int created_notify(struct logic_call *call, const Openim__Group__CreateGroupReq *req, Openim__Sdkws__GroupInfo *group,
                          char *const *ids, size_t n, Openim__Sdkws__UserInfo *const *users, const struct logic_version *version)
{
    Openim__Sdkws__GroupCreatedTips tips = OPENIM__SDKWS__GROUP_CREATED_TIPS__INIT;
    enum logic_choice visible = LOGIC_DEFAULT;
    int rc = created_members(call, group->groupid, ids, n, users, &tips);

    if (req->_send_message_case == OPENIM__GROUP__CREATE_GROUP_REQ___SEND_MESSAGE_SEND_MESSAGE) {
        visible = req->sendmessage ? LOGIC_YES : LOGIC_NO;
    }
    if (rc == OIM_OK) rc = logic_group_op_user(call, group->groupid, &tips.opuser);
    if (rc) return rc;
    tips.group = group;
    tips.operationtime = oim_now_ms();
    tips.groupmemberversion = version->version;
    tips.groupmemberversionid = version->id;
    rc = logic_group_notify(call, LOGIC_N_GROUP_CREATED, group->groupid, &tips.base, visible);
    if (rc == OIM_OK && group->notification[0]) {
        Openim__Sdkws__GroupInfoSetAnnouncementTips said = OPENIM__SDKWS__GROUP_INFO_SET_ANNOUNCEMENT_TIPS__INIT;

        said.group = group;
        said.opuser = tips.opuser;
        said.groupmemberversion = version->version;
        said.groupmemberversionid = version->id;
        rc = logic_group_notify(call, LOGIC_N_GROUP_ANNOUNCEMENT, group->groupid, &said.base, LOGIC_DEFAULT);
    }
    return rc;
}

/* ---- the route ---- */

static int create_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__CreateGroupReq *req = (const void *)req_;
    Openim__Group__CreateGroupResp *res = (void *)res_;
    Openim__Sdkws__UserInfo **users;
    struct logic_version version;
    char **ids = NULL, *group_id = NULL;
    size_t n;
    int rc = info_check(call, req->groupinfo);

    if (rc == OIM_OK) rc = members_check(call, req, &ids, &n);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc) return rc;
    users = logic_list(call, n + 1);
    rc = users_check(call, ids, n, users);
    if (rc == OIM_OK) rc = group_make(call, req->groupinfo, &group_id);
    if (rc == OIM_OK) rc = members_add(call, req, group_id, ids, n, &version);
    if (rc == OIM_OK) rc = logic_group_info(call, group_id, &res->groupinfo);
    return rc ? rc : created_notify(call, req, res->groupinfo, ids, n, users, &version);
}

const struct logic_route logic_group_create_routes[] = {
    {"/group/create_group", 0, LOGIC_SELF, &openim__group__create_group_req__descriptor, &openim__group__create_group_resp__descriptor,
     create_group, LOGIC_TX},
    {0},
};
