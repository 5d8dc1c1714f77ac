/*
 * What the group files share: rows of chat_groups and group_members as messages, the lock that every change of a group begins with, roles,
 * members that come and go, notices to a group. group.h holds the contracts, rest.md C.4 to C.6 the rules. Lists of thousands go in a few
 * statements, never in one each.
 */
#include "group.h"

#include "conversation.h"
#include "row_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>


#define GROUP_COLUMNS                                                                                                                \
    "group_id, group_name, notification, introduction, face_url, ex, create_time, status, creator_user_id, group_type,"              \
    " need_verification, look_member_info, apply_member_friend, notification_update_time, notification_user_id, member_count,"       \
    " owner_user_id"

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
    g->membercount = (uint32_t)logic_cell_int(rows, row, 15);
    g->owneruserid = logic_cell_text(rows, row, 16);
    return g;
}

/* 1004 when there is none. */
static int group_read(struct logic_call *call, const char *sql, const char *group_id, Openim__Sdkws__GroupInfo **group)
{
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    if (rows.n == 0) return logic_fail(call, OIM_C_NOTFOUND, "group not found: %s", group_id);
    *group = group_of_row(call, &rows, 0);
    return OIM_OK;
}

static int alive_check(struct logic_call *call, const Openim__Sdkws__GroupInfo *group)
{
    if (group->status != LOGIC_GROUP_DISMISSED) return OIM_OK;
    return logic_fail(call, OIM_C_DISMISSED, "group dismissed: %s", group->groupid);
}

int logic_group_lock(struct logic_call *call, const char *group_id, bool alive, Openim__Sdkws__GroupInfo **group)
{
    int rc = group_read(call, "SELECT " GROUP_COLUMNS " FROM chat_groups WHERE group_id = ? FOR UPDATE", group_id, group);

    return rc || !alive ? rc : alive_check(call, *group);
}

int logic_group_info(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupInfo **out)
{
    return group_read(call, "SELECT " GROUP_COLUMNS " FROM chat_groups WHERE group_id = ?", group_id, out);
}

int logic_group_alive(struct logic_call *call, const char *group_id)
{
    Openim__Sdkws__GroupInfo *group;
    int rc = logic_group_info(call, group_id, &group);

    return rc ? rc : alive_check(call, group);
}

int logic_groups(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__GroupInfo **groups)
{
    static const char head[] = "SELECT " GROUP_COLUMNS " FROM chat_groups FORCE INDEX (PRIMARY) WHERE group_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) groups[i] = NULL;
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, ids, n), n, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) groups[at] = group_of_row(call, &rows, i);
    }
    for (size_t i = 0; i < n; i++) { /* an id asked for twice has its row at its first place */
        if (groups[i] == NULL) groups[i] = groups[logic_index_find(index, ids[i])];
    }
    return OIM_OK;
}

/* ---- members ---- */

static Openim__Sdkws__GroupMemberFullInfo *member_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__GroupMemberFullInfo *m = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);

    m->userid = logic_cell_text(rows, row, 0);
    m->rolelevel = (int32_t)logic_cell_int(rows, row, 1);
    m->jointime = logic_cell_int(rows, row, 2);
    m->nickname = logic_cell_text(rows, row, 3);
    m->faceurl = logic_cell_text(rows, row, 4);
    m->joinsource = (int32_t)logic_cell_int(rows, row, 5);
    m->operatoruserid = logic_cell_text(rows, row, 6);
    m->ex = logic_cell_text(rows, row, 7);
    m->muteendtime = logic_cell_int(rows, row, 8);
    m->inviteruserid = logic_cell_text(rows, row, 9);
    m->groupid = logic_cell_text(rows, row, 10);
    return m;
}

/* Names and faces that a member has not set are those of the profile (rest.md C.2). */
static void member_fill(Openim__Sdkws__GroupMemberFullInfo *m, const Openim__Sdkws__UserInfo *user)
{
    if (user == NULL) return;
    if (m->nickname[0] == '\0') m->nickname = user->nickname;
    if (m->faceurl[0] == '\0') m->faceurl = user->faceurl;
}

static int members_fill(struct logic_call *call, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, n);
    char **ids = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) ids[i] = members[i]->userid;
    rc = logic_users(call, ids, n, users);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) member_fill(members[i], users[i]);
    return rc;
}

int logic_group_members_of_rows(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Sdkws__GroupMemberFullInfo ***out,
                                size_t *n)
{
    *out = logic_list(call, rows->n);
    *n = rows->n;
    for (size_t i = 0; i < rows->n; i++) (*out)[i] = member_of_row(call, rows, i);
    return members_fill(call, *out, *n);
}

static int by_role_then_age(const void *a, const void *b)
{
    const Openim__Internal__MemberRow *x = *(void *const *)a, *y = *(void *const *)b;

    if (x->member->rolelevel != y->member->rolelevel) return x->member->rolelevel < y->member->rolelevel ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int members_load(struct logic_call *call, const char *group_id, char *const *ids, size_t n, ProtobufCMessage **out)
{
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) out[i] = NULL;
    rc = logic_sql_in(call->lane, "SELECT " LOGIC_MEMBER_COLUMNS " FROM group_members WHERE group_id = ? AND user_id IN", args, 1,
                      logic_text_values(a, ids, n), n, "", &rows);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));
        Openim__Internal__MemberRow *row = logic_new(call, &openim__internal__member_row__descriptor);

        row->member = member_of_row(call, &rows, i);
        row->id = (uint64_t)logic_cell_int(&rows, i, 11);
        if (at != SIZE_MAX) out[at] = &row->base;
    }
    for (size_t i = 0; i < n; i++) {
        if (out[i] == NULL) out[i] = out[logic_index_find(index, ids[i])];
    }
    return rc;
}

static int member_rows(struct logic_call *call, const char *group_id, uint64_t stamp, char *const *ids, size_t n, ProtobufCMessage **rows)
{
    static const struct logic_row_kind kind = {'m', false, &openim__internal__member_row__descriptor, members_load};

    return logic_rows_get(call, &kind, group_id, stamp, ids, n, rows);
}

int logic_group_members_at(struct logic_call *call, const char *group_id, uint64_t stamp, char *const *ids, size_t n,
                           enum logic_order order, Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n_out)
{
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n);
    ProtobufCMessage **rows = logic_list(call, n);
    size_t found = 0;
    int rc = member_rows(call, group_id, stamp, ids, n, rows);

    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (rows[i] && logic_index_find(index, ids[i]) == i) rows[found++] = rows[i];
    }
    if (order == LOGIC_BY_ROLE) qsort(rows, found, sizeof(*rows), by_role_then_age);
    *out = logic_list(call, found);
    *n_out = found;
    for (size_t i = 0; i < found; i++) (*out)[i] = ((const Openim__Internal__MemberRow *)rows[i])->member;
    return members_fill(call, *out, found);
}

int logic_group_members(struct logic_call *call, const char *group_id, char *const *ids, size_t n,
                        Openim__Sdkws__GroupMemberFullInfo **out)
{
    Openim__Sdkws__GroupMemberFullInfo **found = logic_list(call, n);
    ProtobufCMessage **rows = logic_list(call, n);
    size_t n_found = 0;
    int rc = member_rows(call, group_id, 0, ids, n, rows);

    for (size_t i = 0; i < n; i++) {
        out[i] = rc == OIM_OK && rows[i] ? ((const Openim__Internal__MemberRow *)rows[i])->member : NULL;
        if (out[i]) found[n_found++] = out[i];
    }
    return rc ? rc : members_fill(call, found, n_found);
}

int logic_group_member(struct logic_call *call, const char *group_id, char *user_id, Openim__Sdkws__GroupMemberFullInfo **out)
{
    return logic_group_members(call, group_id, &user_id, 1, out);
}

static int page_load(struct logic_call *call, const char *group_id, char *const *ids, size_t n, ProtobufCMessage **out)
{
    static const char count[] = "SELECT member_count FROM chat_groups WHERE group_id = ?";
    static const char page[] = "SELECT user_id FROM group_members WHERE group_id = ? ORDER BY role_level DESC, id LIMIT ? OFFSET ?";
    Openim__Internal__MemberPage *p = logic_new(call, &openim__internal__member_page__descriptor);
    char *end;
    int64_t offset = strtoll(ids[0], &end, 10), limit = strtoll(end, NULL, 10);
    struct oim_sql_value args[] = {oim_sql_text(group_id), oim_sql_int(limit), oim_sql_int(offset)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 1, &rows, NULL);

    out[0] = &p->base;
    if (rc) return rc;
    p->total = rows.n ? (uint32_t)logic_cell_int(&rows, 0, 0) : 0;
    if (limit == 0 || offset >= p->total) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, page, args, 3, &rows, NULL);
    p->userids = logic_column(call->lane->arena, &rows);
    p->n_userids = rows.n;
    return rc;
}

int logic_group_page(struct logic_call *call, const char *group_id, uint64_t stamp, const struct logic_page *page, char ***ids, size_t *n,
                     uint32_t *total)
{
    static const struct logic_row_kind kind = {'p', false, &openim__internal__member_page__descriptor, page_load};
    char *id = oim_arena_printf(call->lane->arena, "%" PRId64 " %" PRId64, page->offset, page->limit);
    Openim__Internal__MemberPage *p;
    ProtobufCMessage *row;
    int rc = logic_rows_get(call, &kind, group_id, stamp, &id, 1, &row);

    if (rc) return rc;
    p = (Openim__Internal__MemberPage *)row;
    *ids = p->userids;
    *n = p->n_userids;
    *total = p->total;
    return OIM_OK;
}

int logic_group_managers(struct logic_call *call, const char *group_id, char ***ids, size_t *n)
{
    static const char sql[] = "SELECT user_id FROM group_members WHERE group_id = ? AND role_level >= 60 ORDER BY role_level DESC, id";
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_column(call->lane->arena, &rows);
    *n = rows.n;
    return OIM_OK;
}

/* ---- roles ---- */

/* op's own row, NULL: no member. */
static int op_row(struct logic_call *call, const char *group_id, uint64_t stamp, const Openim__Internal__MemberRow **row)
{
    ProtobufCMessage *found = NULL;
    int rc = member_rows(call, group_id, stamp, (char *const *)&call->up->userid, 1, &found);

    *row = (const Openim__Internal__MemberRow *)found;
    return rc;
}

int logic_group_member_check(struct logic_call *call, const char *group_id, uint64_t *stamp)
{
    const Openim__Internal__MemberRow *row;
    char *group = (char *)group_id;
    struct logic_version now = {0};
    int rc = stamp ? logic_versions_read(call, LOGIC_LOG_MEMBER, &group, 1, &now) : OIM_OK;

    if (stamp) *stamp = logic_version_stamp(&now);
    if (rc || call->admin) return rc;
    rc = op_row(call, group_id, logic_version_stamp(&now), &row);
    if (rc) return rc;
    return row ? OIM_OK : logic_fail(call, OIM_C_PERMISSION, "not a member of the group");
}

int logic_group_admin_check(struct logic_call *call, const char *group_id, int missing)
{
    const Openim__Internal__MemberRow *row;
    int rc;

    if (call->admin) return OIM_OK;
    rc = op_row(call, group_id, 0, &row);
    if (rc) return rc;
    if (row == NULL) return logic_fail(call, missing, "not a member of the group");
    if (row->member->rolelevel < LOGIC_ROLE_ADMIN) {
        return logic_fail(call, OIM_C_PERMISSION, "neither owner nor administrator of the group");
    }
    return OIM_OK;
}

int logic_group_member_or_profile(struct logic_call *call, const char *group_id, char *user_id, Openim__Sdkws__GroupMemberFullInfo **out)
{
    Openim__Sdkws__UserInfo *user;
    int rc = logic_group_member(call, group_id, user_id, out);

    if (rc || *out) return rc;
    rc = logic_users(call, &user_id, 1, &user);
    if (rc) return rc;
    *out = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);
    (*out)->groupid = (char *)group_id;
    (*out)->userid = user_id;
    member_fill(*out, user);
    return OIM_OK;
}

int logic_group_op_user(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo **out)
{
    int rc = logic_group_member_or_profile(call, group_id, call->up->userid, out);

    if (rc || (*out)->rolelevel) return rc; /* a member */
    if (call->admin) {
        (*out)->rolelevel = LOGIC_ROLE_ADMIN;
        (*out)->appmangerlevel = LOGIC_LEVEL_APP_ADMIN;
    } else {
        (*out)->operatoruserid = call->up->userid;
    }
    return OIM_OK;
}

/* ---- members come and go ---- */

static void member_args(struct oim_sql_value *arg, const char *group_id, const Openim__Sdkws__GroupMemberFullInfo *m, int64_t now)
{
    arg[0] = oim_sql_text(group_id);
    arg[1] = oim_sql_text(m->userid);
    arg[2] = oim_sql_text(m->nickname);
    arg[3] = oim_sql_text(m->faceurl);
    arg[4] = oim_sql_int(m->rolelevel);
    arg[5] = oim_sql_int(now);
    arg[6] = oim_sql_int(m->joinsource);
    arg[7] = oim_sql_text(m->inviteruserid);
    arg[8] = oim_sql_text(m->operatoruserid);
    arg[9] = oim_sql_int(m->muteendtime);
    arg[10] = oim_sql_text(m->ex);
}

static int members_insert(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n)
{
    enum { PLACES = 11 };
    static const char head[] = "INSERT INTO group_members (group_id, user_id, nickname, face_url, role_level, join_time, join_source,"
                               " inviter_user_id, operator_user_id, mute_end_time, ex) VALUES ";
    struct oim_sql_value *args = logic_array(call, n * PLACES, sizeof(*args));
    int64_t now = oim_now_ms();

    for (size_t i = 0; i < n; i++) member_args(args + i * PLACES, group_id, members[i], now);
    return logic_sql_rows(call->lane, head, args, PLACES, n, "");
}

/* chat_groups follows group_members: n more (or fewer), and whoever is the owner now. */
static int counted(struct logic_call *call, const char *group_id, int64_t n)
{
    static const char sql[] =
        "UPDATE chat_groups SET member_count = GREATEST(CAST(member_count AS SIGNED) + ?, 0), owner_user_id = COALESCE((SELECT user_id FROM"
        " group_members WHERE group_id = ? AND role_level = 100 ORDER BY id LIMIT 1), '') WHERE group_id = ?";
    struct oim_sql_value args[] = {oim_sql_int(n), oim_sql_text(group_id), oim_sql_text(group_id)};

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, NULL, NULL);
}

/* The join logs of users, then the member log in steps; gateways and caches hear of it. */
static int moved(struct logic_call *call, const char *group_id, char *const *users, size_t n, bool joined, size_t step,
                 struct logic_version *out)
{
    enum logic_state state = joined ? LOGIC_INSERT : LOGIC_DELETE;
    uint64_t *versions = logic_array(call, n, sizeof(*versions));
    char *element = (char *)group_id;
    int rc = logic_version_write_each(call->lane, LOGIC_LOG_JOIN, users, n, &element, true, state, versions);

    for (size_t done = 0; done < n && rc == OIM_OK; done += step) {
        size_t count = step < n - done ? step : n - done;

        rc = logic_version_write(call->lane, LOGIC_LOG_MEMBER, group_id, users + done, count, state, out ? out + done / step : NULL);
    }
    if (rc) return rc;
    logic_groups_changed(call, group_id, users, versions, n, joined);
    logic_changed(call, "group", group_id);
    return OIM_OK;
}

int logic_group_add_in_steps(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n,
                             size_t step, bool create, struct logic_version *out)
{
    char **users = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) users[i] = members[i]->userid;
    rc = members_insert(call, group_id, members, n);
    if (rc == OIM_OK) rc = counted(call, group_id, (int64_t)n);
    if (rc == OIM_OK) rc = moved(call, group_id, users, n, true, step, out);
    if (rc == OIM_OK && !create) rc = logic_conv_join(call, group_id, users, n);
    return rc;
}

int logic_group_add(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n,
                    bool create, struct logic_version *out)
{
    return logic_group_add_in_steps(call, group_id, members, n, n, create, out);
}

int logic_group_remove(struct logic_call *call, const char *group_id, char *const *users, size_t n, struct logic_version *out)
{
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows none;
    int rc;

    rc = logic_sql_in(call->lane, "DELETE FROM group_members WHERE group_id = ? AND user_id IN", args, 1,
                      logic_text_values(call->lane->arena, users, n), n, "", &none);
    if (rc == OIM_OK) rc = counted(call, group_id, -(int64_t)n);
    if (rc == OIM_OK) rc = moved(call, group_id, users, n, false, n, out);
    if (rc == OIM_OK) rc = logic_conv_leave(call, group_id, users, n);
    return rc;
}

/* ---- notices ---- */

int logic_group_notify_left(struct logic_call *call, int32_t type, const char *group_id, const ProtobufCMessage *tips,
                            enum logic_choice visible, char *const *also, size_t n_also)
{
    struct logic_notice notice = {.content_type = type,
                                  .session_type = LOGIC_SESSION_GROUP,
                                  .send_id = call->up->userid,
                                  .recv_id = group_id,
                                  .tips = tips,
                                  .visible = visible,
                                  .also = also,
                                  .n_also = n_also};

    return logic_notify(call, &notice);
}

int logic_group_notify(struct logic_call *call, int32_t type, const char *group_id, const ProtobufCMessage *tips,
                       enum logic_choice visible)
{
    return logic_group_notify_left(call, type, group_id, tips, visible, NULL, 0);
}
