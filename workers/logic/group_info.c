/*
 * The group's own row: set_group_info, set_group_info_ex, mute_group, cancel_mute_group (rest.md B.4, C.5). Each change is one step of the
 * member log with the group's element, and all notices of one change carry the row as it is after it.
 */
#include "group.h"

#include <ctype.h>
#include <string.h>

#define AT_ANNOUNCEMENT 4 /* groupAtType */

/* What a change of information sets; NULL: stays. */
struct info {
    const char *name, *announcement, *introduction, *face, *ex;
    const Openim__Protobuf__Int32Value *verification, *look, *friend;
};

/* What the notices of one change have in common. */
struct told {
    Openim__Sdkws__GroupInfo *group;
    Openim__Sdkws__GroupMemberFullInfo *op;
    struct logic_version version;
};

/* Locks the group for its owner, an administrator of it or of the application; missing: the code for who is no member of it. */
static int group_open(struct logic_call *call, const char *group_id, int missing)
{
    Openim__Sdkws__GroupInfo *group;
    int rc = logic_group_lock(call, group_id, false, &group);

    if (rc == OIM_EFAIL && call->fail.code == OIM_C_NOTFOUND && !call->admin) return logic_fail(call, missing, "not a member of the group");
    if (rc == OIM_OK) rc = logic_group_admin_check(call, group_id, missing);
    if (rc) return rc;
    return group->status == LOGIC_GROUP_DISMISSED ? logic_fail(call, OIM_C_DISMISSED, "group dismissed") : OIM_OK;
}

/* The row is written: its step of the log, the letter, and what notices say. */
static int group_written(struct logic_call *call, const char *group_id, struct told *told)
{
    char *elements[] = {(char *)LOGIC_GROUP};
    int rc = logic_version_write(call->lane, LOGIC_LOG_MEMBER, group_id, elements, 1, LOGIC_UPDATE, &told->version);

    if (rc == OIM_OK) rc = logic_group_info(call, group_id, &told->group);
    if (rc == OIM_OK) rc = logic_group_op_user(call, group_id, &told->op);
    if (rc == OIM_OK) logic_changed(call, "group", group_id);
    return rc;
}

/* ---- information: notices ---- */

/* 1502 and 1519 say who speaks (rest.md E). */
static int notify_named(struct logic_call *call, int32_t type, const struct told *told, const ProtobufCMessage *tips,
                        enum logic_choice visible)
{
    struct logic_notice notice = {
        .content_type = type,
        .session_type = LOGIC_SESSION_GROUP,
        .send_id = call->up->userid,
        .recv_id = told->group->groupid,
        .tips = tips,
        .visible = visible,
        .sender_name = told->op->nickname,
        .sender_face = told->op->faceurl,
    };

    return logic_notify(call, &notice);
}

/* The announcement, seen in the chat unless it was emptied, and a mark in everybody's conversation list. */
static int tell_announcement(struct logic_call *call, const struct told *told)
{
    Openim__Sdkws__GroupInfoSetAnnouncementTips *tips = logic_new(call, &openim__sdkws__group_info_set_announcement_tips__descriptor);
    Openim__Internal__AtTask *task = logic_new(call, &openim__internal__at_task__descriptor);
    char *group_id = told->group->groupid;
    bool emptied = told->group->notification[0] == '\0';
    int rc;

    tips->group = told->group;
    tips->opuser = told->op;
    tips->groupmemberversion = told->version.version;
    tips->groupmemberversionid = told->version.id;
    rc = notify_named(call, LOGIC_N_GROUP_ANNOUNCEMENT, told, &tips->base, emptied ? LOGIC_NO : LOGIC_DEFAULT);
    if (rc || emptied) return rc;
    task->conversationid = oim_arena_printf(call->lane->arena, "sg_%s", group_id);
    task->groupid = group_id;
    task->attype = AT_ANNOUNCEMENT;
    return logic_task(call, "/internal/at", group_id, &task->base);
}

static int tell_name(struct logic_call *call, const struct told *told)
{
    Openim__Sdkws__GroupInfoSetNameTips *tips = logic_new(call, &openim__sdkws__group_info_set_name_tips__descriptor);

    tips->group = told->group;
    tips->opuser = told->op;
    tips->groupmemberversion = told->version.version;
    tips->groupmemberversionid = told->version.id;
    return logic_group_notify(call, LOGIC_N_GROUP_NAME, told->group->groupid, &tips->base, LOGIC_DEFAULT);
}

static int tell_rest(struct logic_call *call, const struct told *told)
{
    Openim__Sdkws__GroupInfoSetTips *tips = logic_new(call, &openim__sdkws__group_info_set_tips__descriptor);

    tips->group = told->group;
    tips->opuser = told->op;
    tips->groupmemberversion = told->version.version;
    tips->groupmemberversionid = told->version.id;
    return notify_named(call, LOGIC_N_GROUP_INFO, told, &tips->base, LOGIC_DEFAULT);
}

/* ---- information: the row ---- */

static bool info_rest(const struct info *info)
{
    return info->introduction || info->face || info->ex || info->verification || info->look || info->friend;
}

static int info_check(struct logic_call *call, const struct info *info)
{
    int rc = logic_check_name(call, "groupName", info->name);

    if (rc == OIM_OK) rc = logic_check_text(call, "notification", info->announcement);
    if (rc == OIM_OK) rc = logic_check_text(call, "introduction", info->introduction);
    if (rc == OIM_OK) rc = logic_check_text(call, "faceURL", info->face);
    return rc ? rc : logic_check_text(call, "ex", info->ex);
}

static struct oim_sql_value number(const Openim__Protobuf__Int32Value *v)
{
    return v ? oim_sql_int(v->value) : oim_sql_text(NULL);
}

static int info_write(struct logic_call *call, const char *group_id, const struct info *info)
{
    static const char sql[] =
        "UPDATE chat_groups SET group_name = COALESCE(?, group_name), notification = COALESCE(?, notification),"
        " notification_user_id = COALESCE(?, notification_user_id), notification_update_time = COALESCE(?, notification_update_time),"
        " introduction = COALESCE(?, introduction), face_url = COALESCE(?, face_url), ex = COALESCE(?, ex),"
        " need_verification = COALESCE(?, need_verification), look_member_info = COALESCE(?, look_member_info),"
        " apply_member_friend = COALESCE(?, apply_member_friend) WHERE group_id = ?";
    bool announced = info->announcement != NULL;
    struct oim_sql_value args[] = {
        oim_sql_text(info->name),
        oim_sql_text(info->announcement),
        oim_sql_text(announced ? call->up->userid : NULL),
        announced ? oim_sql_int(oim_now_ms()) : oim_sql_text(NULL),
        oim_sql_text(info->introduction),
        oim_sql_text(info->face),
        oim_sql_text(info->ex),
        number(info->verification),
        number(info->look),
        number(info->friend),
        oim_sql_text(group_id),
    };

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, sizeof(args) / sizeof(args[0]), NULL, NULL);
}

static int info_set(struct logic_call *call, const char *group_id, const struct info *info)
{
    struct told told;
    int rc = info_check(call, info);

    if (rc == OIM_OK) rc = group_open(call, group_id, OIM_C_NOTFOUND);
    if (rc) return rc;
    if (!info->name && !info->announcement && !info_rest(info)) return OIM_OK;
    rc = info_write(call, group_id, info);
    if (rc == OIM_OK) rc = group_written(call, group_id, &told);
    if (rc == OIM_OK && info->announcement) rc = tell_announcement(call, &told);
    if (rc == OIM_OK && info->name) rc = tell_name(call, &told);
    if (rc == OIM_OK && info_rest(info)) rc = tell_rest(call, &told);
    return rc;
}

/* ---- information: both forms ---- */

static const char *unless_empty(const char *text)
{
    return text[0] ? text : NULL;
}

static const char *given(const Openim__Protobuf__StringValue *v)
{
    return v ? v->value : NULL;
}

/* Without the white space at both ends. */
static char *trimmed(struct logic_call *call, const char *text)
{
    size_t len;

    while (isspace((unsigned char)*text)) text++;
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1])) len--;
    return oim_arena_strndup(call->lane->arena, text, len);
}

static int set_group_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__SetGroupInfoReq *req = (const void *)req_;
    const Openim__Sdkws__GroupInfoForSet *set = req->groupinfoforset;

    if (set == NULL) return logic_args(call, "groupInfoForSet is empty");
    if (set->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    struct info info = {
        .name = unless_empty(set->groupname),
        .announcement = unless_empty(set->notification),
        .introduction = unless_empty(set->introduction),
        .face = unless_empty(set->faceurl),
        .ex = given(set->ex),
        .verification = set->needverification,
        .look = set->lookmemberinfo,
        .friend = set->applymemberfriend,
    };
    return info_set(call, set->groupid, &info);
}

/* groupID is not validated: without it there is no such group. */
static int set_group_info_ex(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__SetGroupInfoExReq *req = (const void *)req_;
    struct info info = {
        .name = given(req->groupname),
        .announcement = req->notification ? trimmed(call, req->notification->value) : NULL,
        .introduction = given(req->introduction),
        .face = given(req->faceurl),
        .ex = given(req->ex),
        .verification = req->needverification,
        .look = req->lookmemberinfo,
        .friend = req->applymemberfriend,
    };

    if (info.name && trimmed(call, info.name)[0] == '\0') return logic_args(call, "groupName is empty");
    return info_set(call, req->groupid, &info);
}

/* ---- silence for all ---- */

static int status_set(struct logic_call *call, const char *group_id, int32_t status, struct told *told)
{
    static const char sql[] = "UPDATE chat_groups SET status = ? WHERE group_id = ?";
    struct oim_sql_value args[] = {oim_sql_int(status), oim_sql_text(group_id)};
    int rc;

    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    rc = group_open(call, group_id, OIM_C_PERMISSION);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, NULL, NULL);
    return rc ? rc : group_written(call, group_id, told);
}

static int mute_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__MuteGroupReq *req = (const void *)req_;
    Openim__Sdkws__GroupMutedTips *tips = logic_new(call, &openim__sdkws__group_muted_tips__descriptor);
    struct told told;
    int rc = status_set(call, req->groupid, LOGIC_GROUP_MUTED, &told);

    if (rc) return rc;
    tips->group = told.group;
    tips->opuser = told.op;
    tips->groupmemberversion = told.version.version;
    tips->groupmemberversionid = told.version.id;
    return logic_group_notify(call, LOGIC_N_GROUP_MUTED, req->groupid, &tips->base, LOGIC_DEFAULT);
}

static int cancel_mute_group(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__CancelMuteGroupReq *req = (const void *)req_;
    Openim__Sdkws__GroupCancelMutedTips *tips = logic_new(call, &openim__sdkws__group_cancel_muted_tips__descriptor);
    struct told told;
    int rc = status_set(call, req->groupid, LOGIC_GROUP_OK, &told);

    if (rc) return rc;
    tips->group = told.group;
    tips->opuser = told.op;
    tips->groupmemberversion = told.version.version;
    tips->groupmemberversionid = told.version.id;
    return logic_group_notify(call, LOGIC_N_GROUP_UNMUTED, req->groupid, &tips->base, LOGIC_DEFAULT);
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_info_routes[] = {
    {"/group/set_group_info", 0, LOGIC_GROUP_ADMIN, GROUP(set_group_info), set_group_info, LOGIC_TX},
    {"/group/set_group_info_ex", 0, LOGIC_GROUP_ADMIN, GROUP(set_group_info_ex), set_group_info_ex, LOGIC_TX},
    {"/group/mute_group", 0, LOGIC_GROUP_ADMIN, GROUP(mute_group), mute_group, LOGIC_TX},
    {"/group/cancel_mute_group", 0, LOGIC_GROUP_ADMIN, GROUP(cancel_mute_group), cancel_mute_group, LOGIC_TX},
    {0},
};
