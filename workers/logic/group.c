/*
 * /group: lists and single reads (rest.md B.4, D.6): groups by id and by name, the groups of a user, the members of a group. Everything
 * here reads rows of chat_groups and group_members through group_row.c; what is read with a version beside it is in group_sync.c, requests
 * to join are in group_apply.c.
 */
#include "group.h"

#include "oim_hash.h"

#include <stdlib.h>
#include <string.h>

#define ORDER " ORDER BY role_level DESC, id"
#define LIST_MAX 1000           /* ids of one request where rest.md says so */
#define ABSTRACT_MEMBERS 50000  /* of all groups of one request: each is a row in memory */

/* ---- lists that several routes give ---- */

int logic_groups_found(struct logic_call *call, char *const *ids, size_t n_ids, Openim__Sdkws__GroupInfo ***out, size_t *n)
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

/* The first column of what sql selects for one id. */
static int ids_of(struct logic_call *call, const char *sql, const char *id, char ***ids, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_column(call->lane->arena, &rows);
    *n = rows.n;
    return OIM_OK;
}

int logic_group_joined_ids(struct logic_call *call, const char *user_id, char ***ids, size_t *n)
{
    return ids_of(call,
                  "SELECT g.group_id FROM group_members m JOIN chat_groups g ON g.group_id = m.group_id WHERE m.user_id = ?"
                  " AND g.status <> 2 ORDER BY g.group_name, g.create_time, g.group_id",
                  user_id, ids, n);
}

int logic_group_member_ids(struct logic_call *call, const char *group_id, char ***ids, size_t *n)
{
    return ids_of(call, "SELECT user_id FROM group_members WHERE group_id = ?" ORDER, group_id, ids, n);
}

int logic_group_members_which(struct logic_call *call, char *const *group_ids, size_t n, bool *member)
{
    static const char head[] = "SELECT group_id FROM group_members WHERE user_id = ? AND group_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, group_ids, n);
    struct oim_sql_value args[] = {oim_sql_text(call->up->userid)};
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) member[i] = call->admin;
    if (call->admin) return OIM_OK;
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, group_ids, n), n, "", &rows);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) member[at] = true;
    }
    return rc;
}

int logic_group_members_check(struct logic_call *call, char *const *group_ids, size_t n)
{
    bool *member = logic_array(call, n, sizeof(*member));
    int rc = logic_group_members_which(call, group_ids, n, member);

    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        if (!member[i]) return logic_fail(call, OIM_C_PERMISSION, "not a member of all groups");
    }
    return rc;
}

/* ---- groups ---- */

static int get_groups_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupsInfoReq *req = (const void *)req_;
    Openim__Group__GetGroupsInfoResp *res = (void *)res_;
    int rc = logic_check_ids(call, "groupIDs", req->groupids, req->n_groupids, false);

    return rc ? rc : logic_groups_found(call, req->groupids, req->n_groupids, &res->groupinfos, &res->n_groupinfos);
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
    if (rc == OIM_OK) rc = logic_group_joined_ids(call, req->fromuserid, &ids, &n);
    if (rc) return rc;
    res->total = (uint32_t)n;
    from = (uint64_t)page.offset < n ? (size_t)page.offset : n;
    count = (uint64_t)page.limit < n - from ? (size_t)page.limit : n - from;
    return logic_groups_found(call, ids + from, count, &res->groups, &res->n_groups);
}

/* The ids of one page of groups that are not dismissed and whose name holds `name`, newest first; total counts all. */
static int groups_named(struct logic_call *call, const char *name, const struct logic_page *page, char ***ids, size_t *n, uint32_t *total)
{
    static const char count_all[] = "SELECT COUNT(*) FROM chat_groups WHERE dismissed = 0";
    static const char count_some[] = "SELECT COUNT(*) FROM chat_groups WHERE dismissed = 0 AND INSTR(group_name, ?) > 0";
    static const char all[] = "SELECT group_id FROM chat_groups WHERE dismissed = 0"
                              " ORDER BY create_time DESC, group_id DESC LIMIT ? OFFSET ?";
    static const char some[] = "SELECT group_id FROM chat_groups WHERE dismissed = 0 AND INSTR(group_name, ?) > 0"
                               " ORDER BY create_time DESC, group_id DESC LIMIT ? OFFSET ?";
    struct oim_sql_value args[] = {oim_sql_text(name), oim_sql_int(page->limit), oim_sql_int(page->offset)};
    size_t by_name = name[0] != '\0';
    struct oim_sql_rows rows = {0};
    int rc;

    rc = oim_sql_exec(call->lane->db, call->lane->arena, by_name ? count_some : count_all, args, by_name, &rows, NULL);
    if (rc) return rc;
    *total = (uint32_t)logic_cell_int(&rows, 0, 0);
    rc = oim_sql_exec(call->lane->db, call->lane->arena, by_name ? some : all, args + 1 - by_name, 2 + by_name, &rows, NULL);
    if (rc) return rc;
    *ids = logic_column(call->lane->arena, &rows);
    *n = rows.n;
    return OIM_OK;
}

/* names[i]: how the owner of groups[i] is called in the group; "" when it has set none. */
static int owner_names(struct logic_call *call, Openim__Sdkws__GroupInfo *const *groups, size_t n, char **names)
{
    static const char head[] = "SELECT g.group_id, m.nickname FROM chat_groups g JOIN group_members m ON m.group_id = g.group_id"
                               " AND m.user_id = g.owner_user_id WHERE g.group_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index;
    char **ids = logic_list(call, n);
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = groups[i]->groupid;
        names[i] = (char *)protobuf_c_empty_string;
    }
    index = logic_index_new(a, ids, n);
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, ids, n), n, "", &rows);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) names[at] = logic_cell_text(&rows, i, 1);
    }
    return rc;
}

static int get_groups(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupsReq *req = (const void *)req_;
    Openim__Group__GetGroupsResp *res = (void *)res_;
    Openim__Sdkws__GroupInfo **groups;
    char **ids = (char **)&req->groupid, **names;
    struct logic_page page;
    size_t n = 1;
    int rc = logic_page(call, req->pagination, &page);

    if (rc == OIM_OK && req->groupid[0] == '\0') rc = groups_named(call, req->groupname, &page, &ids, &n, &res->total);
    if (rc == OIM_OK) rc = logic_groups_found(call, ids, n, &groups, &n);
    if (rc) return rc;
    if (req->groupid[0]) res->total = (uint32_t)n;
    names = logic_list(call, n);
    rc = owner_names(call, groups, n, names);
    if (rc) return rc;
    res->groups = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Group__CMSGroup *g = logic_new(call, &openim__group__cmsgroup__descriptor);

        g->groupinfo = groups[i];
        g->groupowneruserid = groups[i]->owneruserid;
        g->groupownerusername = names[i];
        res->groups[res->n_groups++] = g;
    }
    return OIM_OK;
}

/* ---- abstract ---- */

static int by_group_then_user(const void *a, const void *b)
{
    const Openim__Sdkws__GroupMemberFullInfo *x = *(void *const *)a, *y = *(void *const *)b;
    int order = strcmp(x->groupid, y->groupid);

    return order ? order : strcmp(x->userid, y->userid);
}

/* rest.md D.6 over members that are sorted by id. */
static uint64_t members_hash(Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n)
{
    struct oim_buf text = {0};
    uint64_t hash;

    oim_buf_putc(&text, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) oim_buf_putc(&text, ',');
        oim_json_encode(&text, &members[i]->base);
    }
    oim_buf_putc(&text, ']');
    hash = oim_hash_md5_64(text.data, text.len);
    oim_buf_free(&text);
    return hash;
}

static int abstract_members(struct logic_call *call, char *const *ids, size_t n_ids, Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n)
{
    struct oim_sql_rows rows;
    int rc;

    rc = logic_sql_in(call->lane, "SELECT " LOGIC_MEMBER_COLUMNS " FROM group_members WHERE group_id IN", NULL, 0,
                      logic_text_values(call->lane->arena, ids, n_ids), n_ids, "", &rows);
    if (rc == OIM_OK) rc = logic_group_members_of_rows(call, &rows, out, n);
    if (rc == OIM_OK) qsort(*out, *n, sizeof(**out), by_group_then_user);
    return rc;
}

static int get_group_abstract_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupAbstractInfoReq *req = (const void *)req_;
    Openim__Group__GetGroupAbstractInfoResp *res = (void *)res_;
    size_t n = req->n_groupids, n_members, sum = 0;
    Openim__Sdkws__GroupInfo **groups = logic_list(call, n);
    Openim__Sdkws__GroupMemberFullInfo **members;
    int rc = logic_check_ids(call, "groupIDs", req->groupids, n, true);

    if (rc == OIM_OK && n > LIST_MAX) return logic_args(call, "groupIDs has more than %d entries", LIST_MAX);
    if (rc == OIM_OK) rc = logic_groups(call, req->groupids, n, groups);
    if (rc == OIM_OK) rc = logic_group_members_check(call, req->groupids, n);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (groups[i] == NULL) return logic_fail(call, OIM_C_GROUP_NOTFOUND, "group not found: %s", req->groupids[i]);
        sum += groups[i]->membercount;
    }
    if (sum > ABSTRACT_MEMBERS) return logic_args(call, "groupIDs have more than %d members together", ABSTRACT_MEMBERS);
    rc = abstract_members(call, req->groupids, n, &members, &n_members);
    if (rc) return rc;
    res->groupabstractinfos = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Group__GroupAbstractInfo *info = logic_new(call, &openim__group__group_abstract_info__descriptor);
        Openim__Sdkws__GroupMemberFullInfo least = {.groupid = req->groupids[i], .userid = (char *)""}, *key = &least, **from = members;
        size_t count = 0, left = n_members;

        while (left) { /* the first of the group */
            size_t half = left / 2;

            if (by_group_then_user(&from[half], &key) < 0) {
                from += half + 1;
                left -= half + 1;
            } else {
                left = half;
            }
        }
        while (from + count < members + n_members && strcmp(from[count]->groupid, req->groupids[i]) == 0) count++;
        info->groupid = req->groupids[i];
        info->groupmembernumber = (uint32_t)count;
        info->groupmemberlisthash = members_hash(from, count);
        res->groupabstractinfos[res->n_groupabstractinfos++] = info;
    }
    return OIM_OK;
}

/* ---- members ---- */

static int get_group_members_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupMembersInfoReq *req = (const void *)req_;
    Openim__Group__GetGroupMembersInfoResp *res = (void *)res_;
    uint64_t stamp;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);
    if (rc == OIM_OK) rc = logic_group_member_check(call, req->groupid, &stamp);
    if (rc) return rc;
    return logic_group_members_at(call, req->groupid, stamp, req->userids, req->n_userids, LOGIC_BY_ROLE, &res->members, &res->n_members);
}

/* Those of one page whose name in the group holds the keyword. Its keys come from the index alone, so that a far page costs no rows that
 * are not shown. */
static int members_named(struct logic_call *call, const char *group_id, const char *keyword, const struct logic_page *page,
                         Openim__Group__GetGroupMemberListResp *res)
{
    static const char count[] = "SELECT COUNT(*) FROM group_members WHERE group_id = ? AND INSTR(nickname, ?) > 0";
    static const char sql[] =
        "SELECT " LOGIC_MEMBER_COLUMNS " FROM group_members JOIN (SELECT group_id AS page_group, user_id AS page_user FROM group_members"
        " WHERE group_id = ? AND INSTR(nickname, ?) > 0" ORDER " LIMIT ? OFFSET ?) page ON group_id = page_group AND user_id = page_user" ORDER;
    struct oim_sql_value args[] = {oim_sql_text(group_id), oim_sql_text(keyword), oim_sql_int(page->limit), oim_sql_int(page->offset)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 2, &rows, NULL);

    if (rc) return rc;
    res->total = rows.n ? (uint32_t)logic_cell_int(&rows, 0, 0) : 0;
    if (page->limit == 0 || page->offset >= res->total) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 4, &rows, NULL);
    return rc ? rc : logic_group_members_of_rows(call, &rows, &res->members, &res->n_members);
}

static int get_group_member_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupMemberListReq *req = (const void *)req_;
    Openim__Group__GetGroupMemberListResp *res = (void *)res_;
    struct logic_page page;
    uint64_t stamp;
    char **ids;
    size_t n;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->filter < 0 || req->filter > 5) return logic_args(call, "filter is invalid");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_group_member_check(call, req->groupid, &stamp);
    if (rc) return rc;
    if (req->keyword[0]) return members_named(call, req->groupid, req->keyword, &page, res);
    rc = logic_group_page(call, req->groupid, stamp, &page, &ids, &n, &res->total);
    return rc ? rc : logic_group_members_at(call, req->groupid, stamp, ids, n, LOGIC_AS_ASKED, &res->members, &res->n_members);
}

static int get_group_member_user_id(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupMemberUserIDsReq *req = (const void *)req_;
    Openim__Group__GetGroupMemberUserIDsResp *res = (void *)res_;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_group_member_check(call, req->groupid, NULL);
    return rc ? rc : logic_group_member_ids(call, req->groupid, &res->userids, &res->n_userids);
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_routes[] = {
    {"/group/get_groups_info", 0, LOGIC_ANY, GROUP(get_groups_info), get_groups_info, LOGIC_READ},
    {"/group/get_groups", 0, LOGIC_ANY, GROUP(get_groups), get_groups, LOGIC_SEARCH},
    {"/group/get_group_abstract_info", 0, LOGIC_MEMBER, GROUP(get_group_abstract_info), get_group_abstract_info, LOGIC_READ},
    {"/group/get_joined_group_list", 0, LOGIC_SELF, GROUP(get_joined_group_list), get_joined_group_list, LOGIC_READ},
    {"/group/get_group_members_info", 0, LOGIC_MEMBER, GROUP(get_group_members_info), get_group_members_info, LOGIC_READ},
    {"/group/get_group_member_list", 0, LOGIC_MEMBER, GROUP(get_group_member_list), get_group_member_list, LOGIC_READ},
    {"/group/get_group_member_user_id", 0, LOGIC_MEMBER, GROUP(get_group_member_user_ids), get_group_member_user_id, LOGIC_READ},
    {0},
};
