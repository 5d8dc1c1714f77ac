/*
 * /group: what SDKs read between login and idle (rest.md B.4, C.4, D.3). Tables chat_groups and
 * group_members. Changes of groups are not here yet.
 */
#include "version.h"

#include "group.pb-c.h"
#include "oim_hash.h"

#include <string.h>

#define STATUS_DISMISSED 2
#define BATCH_ROWS 500   /* rest.md D.3: later groups wait for the next call */
#define BATCH_GROUPS 1000

#define GROUP_COLUMNS                                                                                             \
    "group_id, group_name, notification, introduction, face_url, ex, create_time, status, creator_user_id,"       \
    " group_type, need_verification, look_member_info, apply_member_friend, notification_update_time,"            \
    " notification_user_id"
#define MEMBER_COLUMNS                                                                                            \
    "user_id, role_level, join_time, nickname, face_url, join_source, operator_user_id, ex, mute_end_time,"       \
    " inviter_user_id, group_id"
#define MEMBER_ORDER " ORDER BY role_level DESC, id"

/* ---- groups ---- */

static Openim__Sdkws__GroupInfo *group_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__GroupInfo *g = logic_new(call, &openim__sdkws__group_info__descriptor);

    g->groupid = logic_cell_text(rows, row, 0);
    g->groupname = logic_cell_text(rows, row, 1);
    g->notification = logic_cell_text(rows, row, 2);
    g->introduction = logic_cell_text(rows, row, 3);
    g->faceurl = logic_cell_text(rows, row, 4);
    g->ex = logic_cell_text(rows, row, 5);
    g->createtime = logic_cell_int(rows, row, 6);
    g->status = (int32_t)logic_cell_int(rows, row, 7);
    g->creatoruserid = logic_cell_text(rows, row, 8);
    g->grouptype = (int32_t)logic_cell_int(rows, row, 9);
    g->needverification = (int32_t)logic_cell_int(rows, row, 10);
    g->lookmemberinfo = (int32_t)logic_cell_int(rows, row, 11);
    g->applymemberfriend = (int32_t)logic_cell_int(rows, row, 12);
    g->notificationupdatetime = logic_cell_int(rows, row, 13);
    g->notificationuserid = logic_cell_text(rows, row, 14);
    return g;
}

int logic_groups(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__GroupInfo **groups)
{
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_value *values = logic_text_values(a, ids, n);
    struct oim_sql_rows rows, sums;
    int rc;

    for (size_t i = 0; i < n; i++) groups[i] = NULL;
    rc = logic_sql_in(call->lane, "SELECT " GROUP_COLUMNS " FROM chat_groups WHERE group_id IN", NULL, 0, values, n, "", &rows);
    if (rc || rows.n == 0) return rc;
    rc = logic_sql_in(call->lane,
                      "SELECT group_id, COUNT(*), MAX(CASE WHEN role_level = 100 THEN user_id END) FROM group_members"
                      " WHERE group_id IN",
                      NULL, 0, values, n, "GROUP BY group_id", &sums);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) groups[at] = group_of_row(call, &rows, i);
    }
    for (size_t i = 0; i < sums.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&sums, i, 0));

        if (at == SIZE_MAX || groups[at] == NULL) continue;
        groups[at]->membercount = (uint32_t)logic_cell_int(&sums, i, 1);
        groups[at]->owneruserid = logic_cell_text(&sums, i, 2);
    }
    for (size_t i = 0; i < n; i++) {
        if (groups[i] == NULL) groups[i] = groups[logic_index_find(index, ids[i])];
    }
    return OIM_OK;
}

/* Found ones without repetition, in the order of ids. */
static int groups_found(struct logic_call *call, char *const *ids, size_t n_ids, Openim__Sdkws__GroupInfo ***out, size_t *n)
{
    Openim__Sdkws__GroupInfo **groups = logic_list(call, n_ids);
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n_ids);
    int rc = logic_groups(call, ids, n_ids, groups);

    *out = logic_list(call, n_ids);
    *n = 0;
    for (size_t i = 0; rc == OIM_OK && i < n_ids; i++) {
        if (groups[i] && logic_index_find(index, ids[i]) == i) (*out)[(*n)++] = groups[i];
    }
    return rc;
}

/* By name, then age; dismissed ones are left out (rest.md B.4). */
static int joined_ids(struct logic_call *call, const char *user_id, char ***ids, size_t *n)
{
    static const char sql[] = "SELECT g.group_id FROM group_members m JOIN chat_groups g ON g.group_id = m.group_id"
                              " WHERE m.user_id = ? AND g.status <> 2 ORDER BY g.group_name, g.create_time, g.group_id";
    struct oim_sql_value args[] = {oim_sql_text(user_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_list(call, rows.n);
    *n = rows.n;
    for (size_t i = 0; i < rows.n; i++) (*ids)[i] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

static int get_groups_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupsInfoReq *req = (const void *)req_;
    Openim__Group__GetGroupsInfoResp *res = (void *)res_;
    int rc = logic_check_ids(call, "groupIDs", req->groupids, req->n_groupids, false);

    return rc ? rc : groups_found(call, req->groupids, req->n_groupids, &res->groupinfos, &res->n_groupinfos);
}

static int get_joined_group_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetJoinedGroupListReq *req = (const void *)req_;
    Openim__Group__GetJoinedGroupListResp *res = (void *)res_;
    struct logic_page page;
    size_t n, from, count;
    char **ids;
    int rc;

    if (req->fromuserid[0] == '\0') return logic_args(call, "fromUserID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, req->fromuserid);
    if (rc == OIM_OK) rc = joined_ids(call, req->fromuserid, &ids, &n);
    if (rc) return rc;
    res->total = (uint32_t)n;
    from = (uint64_t)page.offset < n ? (size_t)page.offset : n;
    count = (uint64_t)page.limit < n - from ? (size_t)page.limit : n - from;
    return groups_found(call, ids + from, count, &res->groups, &res->n_groups);
}

static int get_incremental_join_groups(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetIncrementalJoinGroupReq *req = (const void *)req_;
    Openim__Group__GetIncrementalJoinGroupResp *res = (void *)res_;
    struct logic_version now;
    struct logic_changes changes;
    char *user_id = req->userid;
    int rc = logic_changes_own(call, LOGIC_LOG_JOIN, user_id, req->versionid, req->version, &now, &changes);

    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->full = changes.full;
    res->delete_ = changes.delete_;
    res->n_delete_ = changes.n_delete;
    rc = groups_found(call, changes.insert, changes.n_insert, &res->insert, &res->n_insert);
    return rc ? rc : groups_found(call, changes.update, changes.n_update, &res->update, &res->n_update);
}

static int get_full_join_group_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetFullJoinGroupIDsReq *req = (const void *)req_;
    Openim__Group__GetFullJoinGroupIDsResp *res = (void *)res_;
    struct logic_version now;
    char *user_id = req->userid, **ids;
    size_t n;
    int rc;

    if (user_id[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, user_id);
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_JOIN, &user_id, 1, &now);
    if (rc == OIM_OK) rc = joined_ids(call, user_id, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->groupids = ids;
    res->n_groupids = n;
    return OIM_OK;
}

/* ---- members ---- */

/* MEMBER(g) of rest.md A.10. */
static int member_check(struct logic_call *call, const char *group_id)
{
    static const char sql[] = "SELECT 1 FROM group_members WHERE group_id = ? AND user_id = ?";
    struct oim_sql_value args[] = {oim_sql_text(group_id), oim_sql_text(call->up->userid)};
    struct oim_sql_rows rows = {0};
    int rc;

    if (call->admin) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);
    if (rc) return rc;
    return rows.n ? OIM_OK : logic_fail(call, OIM_C_PERMISSION, "not a member of the group");
}

/* Names and faces that a member has not set are those of the profile (rest.md C.2). */
static int members_of_rows(struct logic_call *call, const struct oim_sql_rows *rows,
                           Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, rows->n);
    char **ids = logic_list(call, rows->n);
    int rc;

    for (size_t i = 0; i < rows->n; i++) ids[i] = logic_cell_text(rows, i, 0);
    rc = logic_users(call, ids, rows->n, users);
    if (rc) return rc;
    *out = logic_list(call, rows->n);
    *n = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        Openim__Sdkws__GroupMemberFullInfo *m = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);

        m->userid = ids[i];
        m->rolelevel = (int32_t)logic_cell_int(rows, i, 1);
        m->jointime = logic_cell_int(rows, i, 2);
        m->nickname = logic_cell_text(rows, i, 3);
        m->faceurl = logic_cell_text(rows, i, 4);
        m->joinsource = (int32_t)logic_cell_int(rows, i, 5);
        m->operatoruserid = logic_cell_text(rows, i, 6);
        m->ex = logic_cell_text(rows, i, 7);
        m->muteendtime = logic_cell_int(rows, i, 8);
        m->inviteruserid = logic_cell_text(rows, i, 9);
        m->groupid = logic_cell_text(rows, i, 10);
        if (m->nickname[0] == '\0' && users[i]) m->nickname = users[i]->nickname;
        if (m->faceurl[0] == '\0' && users[i]) m->faceurl = users[i]->faceurl;
        (*out)[i] = m;
    }
    return OIM_OK;
}

static int members_by_id(struct logic_call *call, const char *group_id, char *const *ids, size_t n_ids,
                         Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows;
    int rc;

    rc = logic_sql_in(call->lane, "SELECT " MEMBER_COLUMNS " FROM group_members WHERE group_id = ? AND user_id IN", args, 1,
                      logic_text_values(call->lane->arena, ids, n_ids), n_ids, MEMBER_ORDER, &rows);
    return rc ? rc : members_of_rows(call, &rows, out, n);
}

static int member_ids(struct logic_call *call, const char *group_id, char ***ids, size_t *n)
{
    static const char sql[] = "SELECT user_id FROM group_members WHERE group_id = ?" MEMBER_ORDER;
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_list(call, rows.n);
    *n = rows.n;
    for (size_t i = 0; i < rows.n; i++) (*ids)[i] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

static int get_group_members_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupMembersInfoReq *req = (const void *)req_;
    Openim__Group__GetGroupMembersInfoResp *res = (void *)res_;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);
    if (rc == OIM_OK) rc = member_check(call, req->groupid);
    return rc ? rc : members_by_id(call, req->groupid, req->userids, req->n_userids, &res->members, &res->n_members);
}

static int get_group_member_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM group_members WHERE group_id = ? AND INSTR(nickname, ?) > 0";
    static const char sql[] = "SELECT " MEMBER_COLUMNS " FROM group_members WHERE group_id = ? AND INSTR(nickname, ?) > 0"
                              MEMBER_ORDER " LIMIT ? OFFSET ?";
    const Openim__Group__GetGroupMemberListReq *req = (const void *)req_;
    Openim__Group__GetGroupMemberListResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->filter < 0 || req->filter > 5) return logic_args(call, "filter is invalid");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = member_check(call, req->groupid);
    if (rc) return rc;
    struct oim_sql_value args[] = {oim_sql_text(req->groupid), oim_sql_text(req->keyword), oim_sql_int(page.limit),
                                   oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 2, &rows, NULL);
    if (rc) return rc;
    res->total = (uint32_t)logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 4, &rows, NULL);
    return rc ? rc : members_of_rows(call, &rows, &res->members, &res->n_members);
}

static int get_group_member_user_id(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupMemberUserIDsReq *req = (const void *)req_;
    Openim__Group__GetGroupMemberUserIDsResp *res = (void *)res_;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = member_check(call, req->groupid);
    return rc ? rc : member_ids(call, req->groupid, &res->userids, &res->n_userids);
}

static int get_full_group_member_user_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetFullGroupMemberUserIDsReq *req = (const void *)req_;
    Openim__Group__GetFullGroupMemberUserIDsResp *res = (void *)res_;
    struct logic_version now;
    char *group_id = req->groupid, **ids;
    size_t n;
    int rc;

    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    rc = member_check(call, group_id);
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_MEMBER, &group_id, 1, &now);
    if (rc == OIM_OK) rc = member_ids(call, group_id, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->userids = ids;
    res->n_userids = n;
    return OIM_OK;
}

/* ---- incremental members ---- */

/* rest.md D.3 for a group that is there and not dismissed. */
static int members_answer(struct logic_call *call, Openim__Sdkws__GroupInfo *group, const struct logic_version *now,
                          const Openim__Group__GetIncrementalGroupMemberReq *req,
                          Openim__Group__GetIncrementalGroupMemberResp *res)
{
    struct logic_changes changes;
    int rc = logic_changes(call, LOGIC_LOG_MEMBER, req->groupid, now, req->versionid, req->version, &changes);

    if (rc) return rc;
    res->version = now->version;
    res->versionid = now->id;
    res->full = changes.full;
    res->delete_ = changes.delete_;
    res->n_delete_ = changes.n_delete;
    res->sortversion = changes.sort_version;
    if (changes.full || changes.group || changes.n_insert || changes.n_update || changes.n_delete) {
        if (group->owneruserid[0] == '\0') return logic_fail(call, OIM_C_NOTFOUND, "the group has no owner");
        res->group = group;
    }
    rc = members_by_id(call, req->groupid, changes.insert, changes.n_insert, &res->insert, &res->n_insert);
    return rc ? rc : members_by_id(call, req->groupid, changes.update, changes.n_update, &res->update, &res->n_update);
}

static int get_incremental_group_members(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetIncrementalGroupMemberReq *req = (const void *)req_;
    Openim__Sdkws__GroupInfo *group;
    struct logic_version now;
    char *group_id = req->groupid;
    int rc;

    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    rc = member_check(call, group_id);
    if (rc == OIM_OK) rc = logic_groups(call, &group_id, 1, &group);
    if (rc) return rc;
    if (group == NULL) return logic_fail(call, OIM_C_NOTFOUND, "group %s not found", group_id);
    if (group->status == STATUS_DISMISSED) return logic_fail(call, OIM_C_DISMISSED, "group dismissed");
    rc = logic_versions(call, LOGIC_LOG_MEMBER, &group_id, 1, &now);
    return rc ? rc : members_answer(call, group, &now, req, (void *)res_);
}

/* 1002 unless the caller is a member of all. */
static int members_check(struct logic_call *call, char *const *group_ids, size_t n)
{
    static const char head[] = "SELECT group_id FROM group_members WHERE user_id = ? AND group_id IN";
    struct oim_sql_value args[] = {oim_sql_text(call->up->userid)};
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_rows rows;
    int rc;

    if (call->admin) return OIM_OK;
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, group_ids, n), n, "", &rows);
    if (rc) return rc;
    return rows.n == n ? OIM_OK : logic_fail(call, OIM_C_PERMISSION, "not a member of all groups");
}

static int get_incremental_group_members_batch(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__BatchGetIncrementalGroupMemberReq *req = (const void *)req_;
    Openim__Group__BatchGetIncrementalGroupMemberResp *res = (void *)res_;
    Openim__Group__GetIncrementalGroupMemberReq **wanted = logic_list(call, req->n_reqlist);
    Openim__Sdkws__GroupInfo **groups = logic_list(call, req->n_reqlist);
    char **ids = logic_list(call, req->n_reqlist), **all = logic_list(call, req->n_reqlist);
    struct logic_version *now = logic_array(call, req->n_reqlist, sizeof(*now));
    struct logic_index *index;
    size_t n = 0, changed = 0;
    int rc;

    if (req->n_reqlist > BATCH_GROUPS) return logic_args(call, "reqList has more than %d entries", BATCH_GROUPS);
    for (size_t i = 0; i < req->n_reqlist; i++) {
        if (req->reqlist[i] == NULL || req->reqlist[i]->groupid[0] == '\0') return logic_args(call, "groupID is empty");
        all[i] = req->reqlist[i]->groupid;
    }
    index = logic_index_new(call->lane->arena, all, req->n_reqlist);
    for (size_t i = 0; i < req->n_reqlist; i++) {
        if (logic_index_find(index, all[i]) != i) continue;
        wanted[n] = req->reqlist[i];
        ids[n++] = all[i];
    }
    rc = members_check(call, ids, n);
    if (rc == OIM_OK) rc = logic_groups(call, ids, n, groups);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (groups[i] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "group %s not found", ids[i]);
    }
    rc = logic_versions(call, LOGIC_LOG_MEMBER, ids, n, now);
    if (rc) return rc;
    res->resplist = logic_list(call, n);
    for (size_t i = 0; i < n && changed < BATCH_ROWS; i++) {
        Openim__Group__BatchGetIncrementalGroupMemberResp__RespListEntry *entry;

        if (groups[i]->status == STATUS_DISMISSED) continue;
        entry = logic_new(call, &openim__group__batch_get_incremental_group_member_resp__resp_list_entry__descriptor);
        entry->key = ids[i];
        entry->value = logic_new(call, &openim__group__get_incremental_group_member_resp__descriptor);
        rc = members_answer(call, groups[i], &now[i], wanted[i], entry->value);
        if (rc) return rc;
        changed += entry->value->n_insert + entry->value->n_update + entry->value->n_delete_;
        res->resplist[res->n_resplist++] = entry;
    }
    return OIM_OK;
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_routes[] = {
    {"/group/get_groups_info", 0, LOGIC_ANY, GROUP(get_groups_info), get_groups_info, LOGIC_READ},
    {"/group/get_joined_group_list", 0, LOGIC_ANY, GROUP(get_joined_group_list), get_joined_group_list, LOGIC_READ},
    {"/group/get_incremental_join_groups", 0, LOGIC_ANY, GROUP(get_incremental_join_group), get_incremental_join_groups, LOGIC_READ},
    {"/group/get_full_join_group_ids", 0, LOGIC_ANY, GROUP(get_full_join_group_ids), get_full_join_group_ids, LOGIC_READ},
    {"/group/get_group_members_info", 0, LOGIC_ANY, GROUP(get_group_members_info), get_group_members_info, LOGIC_READ},
    {"/group/get_group_member_list", 0, LOGIC_ANY, GROUP(get_group_member_list), get_group_member_list, LOGIC_READ},
    {"/group/get_group_member_user_id", 0, LOGIC_ANY, GROUP(get_group_member_user_ids), get_group_member_user_id, LOGIC_READ},
    {"/group/get_full_group_member_user_ids", 0, LOGIC_ANY, GROUP(get_full_group_member_user_ids),
     get_full_group_member_user_ids, LOGIC_READ},
    {"/group/get_incremental_group_members", 0, LOGIC_ANY, GROUP(get_incremental_group_member), get_incremental_group_members,
     LOGIC_READ},
    {"/group/get_incremental_group_members_batch", 0, LOGIC_ANY, GROUP(batch_get_incremental_group_member),
     get_incremental_group_members_batch, LOGIC_READ},
    {0},
};
