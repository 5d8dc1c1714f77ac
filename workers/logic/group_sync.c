/*
 * /group: incremental synchronisation and full id lists (rest.md D.2, D.3, D.5). The version is always read before the rows: rows may be
 * newer than the version that the client stores, never older.
 */
#include "group.h"
#include "seq.h"

#include "oim_hash.h"

#define BATCH_ROWS 500 /* rest.md D.3: later groups wait for the next call */
#define BATCH_GROUPS 1000

/* ---- the groups of a user ---- */

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
    rc = logic_groups_found(call, changes.insert, changes.n_insert, &res->insert, &res->n_insert);
    return rc ? rc : logic_groups_found(call, changes.update, changes.n_update, &res->update, &res->n_update);
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
    if (rc == OIM_OK) rc = logic_group_joined_ids(call, user_id, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->groupids = ids;
    res->n_groupids = n;
    return OIM_OK;
}

/* ---- the members of a group ---- */

static int get_full_group_member_user_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetFullGroupMemberUserIDsReq *req = (const void *)req_;
    Openim__Group__GetFullGroupMemberUserIDsResp *res = (void *)res_;
    struct logic_version now;
    char *group_id = req->groupid, **ids;
    size_t n;
    int rc;

    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_group_member_check(call, group_id, NULL);
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_MEMBER, &group_id, 1, &now);
    if (rc == OIM_OK) rc = logic_group_member_ids(call, group_id, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->userids = ids;
    res->n_userids = n;
    return OIM_OK;
}

/* The versions of the members' logs, then the groups: a row that is read after its version may be newer than what the client stores, never
 * older. 1004 when one is missing, before a log is made for it. */
static int versions_and_groups(struct logic_call *call, char *const *ids, size_t n, struct logic_version *now,
                               Openim__Sdkws__GroupInfo **groups)
{
    int rc = OIM_OK;

    /* others are members: their groups are there */
    if (call->admin) rc = logic_groups(call, ids, n, groups);
    for (size_t i = 0; call->admin && rc == OIM_OK && i < n; i++) {
        if (groups[i] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "group %s not found", ids[i]);
    }
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_MEMBER, ids, n, now);
    if (rc == OIM_OK) rc = logic_groups(call, ids, n, groups);
    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        if (groups[i] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "group %s not found", ids[i]);
    }
    return rc;
}

/* rest.md D.3 for a group that is there and not dismissed. */
static int members_answer(struct logic_call *call, Openim__Sdkws__GroupInfo *group, const struct logic_version *now,
                          const Openim__Group__GetIncrementalGroupMemberReq *req,
                          Openim__Group__GetIncrementalGroupMemberResp *res)
{
    uint64_t stamp = logic_version_stamp(now);
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
    rc = logic_group_members_at(call, req->groupid, stamp, changes.insert, changes.n_insert, LOGIC_BY_ROLE, &res->insert, &res->n_insert);
    if (rc) return rc;
    return logic_group_members_at(call, req->groupid, stamp, changes.update, changes.n_update, LOGIC_BY_ROLE, &res->update, &res->n_update);
}

static int get_incremental_group_members(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetIncrementalGroupMemberReq *req = (const void *)req_;
    Openim__Sdkws__GroupInfo *group;
    struct logic_version now;
    char *group_id = req->groupid;
    int rc;

    rc = logic_group_member_check(call, group_id, NULL); /* nobody is a member of "" */
    if (rc) return rc;
    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    rc = versions_and_groups(call, &group_id, 1, &now, &group);
    if (rc) return rc;
    if (group->status == LOGIC_GROUP_DISMISSED) return logic_fail(call, OIM_C_DISMISSED, "group dismissed");
    return members_answer(call, group, &now, req, (void *)res_);
}

/* 1002 unless the caller was a member of all n groups: has a conversation of each, which stays. */
static int left_check(struct logic_call *call, char *const *ids, size_t n)
{
    struct logic_conv *convs = logic_array(call, n, sizeof(*convs));
    char **names = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) names[i] = oim_arena_printf(call->lane->arena, "sg_%s", ids[i]);
    rc = logic_convs_find(call, call->up->userid, names, n, convs);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        if (convs[i].id == NULL) return logic_fail(call, OIM_C_PERMISSION, "not a member of all groups");
    }
    return rc;
}

/* The answer for a group: empty until it is filled in. */
static Openim__Group__GetIncrementalGroupMemberResp *batch_answer(struct logic_call *call, char *group_id,
                                                                  Openim__Group__BatchGetIncrementalGroupMemberResp *res)
{
    Openim__Group__BatchGetIncrementalGroupMemberResp__RespListEntry *entry =
        logic_new(call, &openim__group__batch_get_incremental_group_member_resp__resp_list_entry__descriptor);

    entry->key = group_id;
    entry->value = logic_new(call, &openim__group__get_incremental_group_member_resp__descriptor);
    res->resplist[res->n_resplist++] = entry;
    return entry->value;
}

/* What a batch asks for, each group once: those of the caller, in order, and those that it has left. */
struct batch {
    Openim__Group__GetIncrementalGroupMemberReq **own; /* n_own */
    char **ids;                                         /* of own */
    char **left;
    size_t n_own, n_left;
};

static int batch_read(struct logic_call *call, const Openim__Group__BatchGetIncrementalGroupMemberReq *req, struct batch *b)
{
    char **all = logic_list(call, req->n_reqlist), **distinct = logic_list(call, req->n_reqlist);
    bool *member = logic_array(call, req->n_reqlist, sizeof(*member));
    struct logic_index *index;
    size_t n = 0;
    int rc;

    if (req->n_reqlist > BATCH_GROUPS) return logic_args(call, "reqList has more than %d entries", BATCH_GROUPS);
    for (size_t i = 0; i < req->n_reqlist; i++) {
        if (req->reqlist[i] == NULL || req->reqlist[i]->groupid[0] == '\0') return logic_args(call, "groupID is empty");
        all[i] = req->reqlist[i]->groupid;
    }
    index = logic_index_new(call->lane->arena, all, req->n_reqlist);
    for (size_t i = 0; i < req->n_reqlist; i++) {
        if (logic_index_find(index, all[i]) == i) distinct[n++] = all[i];
    }
    rc = logic_group_members_which(call, distinct, n, member);
    if (rc) return rc;
    b->own = logic_list(call, n);
    b->ids = logic_list(call, n);
    b->left = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        if (!member[i]) {
            b->left[b->n_left++] = distinct[i];
            continue;
        }
        b->own[b->n_own] = req->reqlist[logic_index_find(index, distinct[i])];
        b->ids[b->n_own++] = distinct[i];
    }
    return left_check(call, b->left, b->n_left);
}

/* Cores of before patch 11 ask at each login for the groups of all rows that they have, and messages bring them rows of groups that the
 * user has left. 1002 would keep them from synchronising any group, and a group without an answer is asked for again without end: what
 * was left gets an answer that says nothing.
 *
 * All cores take members only from a full answer, and their row of the group is of the join log's answer before, or older. What happened
 * to the row since then is in notices to come, or in none: with a version of before that they take the notice, or ask again. */
static int get_incremental_group_members_batch(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Group__BatchGetIncrementalGroupMemberResp *res = (void *)res_;
    Openim__Sdkws__GroupInfo **groups;
    struct logic_version *now;
    size_t changed = 0;
    struct batch b = {0};
    int rc = batch_read(call, (const void *)req_, &b);

    if (rc) return rc;
    groups = logic_list(call, b.n_own);
    now = logic_array(call, b.n_own, sizeof(*now));
    rc = versions_and_groups(call, b.ids, b.n_own, now, groups);
    if (rc) return rc;
    res->resplist = logic_list(call, b.n_own + b.n_left);
    for (size_t i = 0; i < b.n_left; i++) batch_answer(call, b.left[i], res);
    for (size_t i = 0; i < b.n_own && changed < BATCH_ROWS; i++) {
        Openim__Group__GetIncrementalGroupMemberResp *answer;

        if (groups[i]->status == LOGIC_GROUP_DISMISSED) continue;
        answer = batch_answer(call, b.ids[i], res);
        rc = members_answer(call, groups[i], &now[i], b.own[i], answer);
        if (rc == OIM_OK && answer->full && !call->admin) {
            rc = logic_version_before_row(call, b.ids[i], call->up->userid, &now[i], &answer->version);
        }
        if (rc) return rc;
        changed += answer->n_insert + answer->n_update + answer->n_delete_;
    }
    return OIM_OK;
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_sync_routes[] = {
    {"/group/get_incremental_join_groups", 0, LOGIC_SELF, GROUP(get_incremental_join_group), get_incremental_join_groups, LOGIC_READ},
    {"/group/get_full_join_group_ids", 0, LOGIC_SELF, GROUP(get_full_join_group_ids), get_full_join_group_ids, LOGIC_READ},
    {"/group/get_incremental_group_members", 0, LOGIC_MEMBER, GROUP(get_incremental_group_member), get_incremental_group_members,
     LOGIC_READ},
    {"/group/get_incremental_group_members_batch", 0, LOGIC_MEMBER, GROUP(batch_get_incremental_group_member),
     get_incremental_group_members_batch, LOGIC_READ},
    {"/group/get_full_group_member_user_ids", 0, LOGIC_MEMBER, GROUP(get_full_group_member_user_ids), get_full_group_member_user_ids,
     LOGIC_READ},
    {0},
};
