/*
 * Members: silence, roles, names (rest.md B.4, C.6).
 *
 * set_group_member_info takes entries of any groups. The entries of one group are written together and counted as so many steps of its
 * member log, and each entry's notices carry the log after all of them: with one entry a client takes the notice's row as its next step,
 * with more it pulls (rest.md D.4).
 */
#include "group.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 1000 };

/* ---- silence ---- */

static int mute_notify(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *member, uint32_t seconds,
                       const struct logic_version *version)
{
    Openim__Sdkws__GroupMemberMutedTips *tips = logic_new(call, &openim__sdkws__group_member_muted_tips__descriptor);
    Openim__Sdkws__GroupMemberCancelMutedTips *cancel = logic_new(call, &openim__sdkws__group_member_cancel_muted_tips__descriptor);
    int rc = logic_group_info(call, group_id, &tips->group);

    if (rc == OIM_OK) rc = logic_group_op_user(call, group_id, &tips->opuser);
    if (rc) return rc;
    tips->muteduser = cancel->muteduser = member;
    tips->mutedseconds = seconds;
    tips->groupmemberversion = cancel->groupmemberversion = version->version;
    tips->groupmemberversionid = cancel->groupmemberversionid = version->id;
    if (seconds) return logic_group_notify(call, LOGIC_N_MEMBER_MUTED, group_id, &tips->base, LOGIC_DEFAULT);
    cancel->group = tips->group;
    cancel->opuser = tips->opuser;
    return logic_group_notify(call, LOGIC_N_MEMBER_UNMUTED, group_id, &cancel->base, LOGIC_DEFAULT);
}

int logic_group_member_mute(struct logic_call *call, const char *group_id, char *user_id, uint32_t seconds)
{
    static const char sql[] = "UPDATE group_members SET mute_end_time = ? WHERE group_id = ? AND user_id = ?";
    struct oim_sql_value args[] = {oim_sql_int(seconds ? oim_now_ms() + seconds * 1000LL : 0), oim_sql_text(group_id),
                                   oim_sql_text(user_id)};
    Openim__Sdkws__GroupMemberFullInfo *member;
    struct logic_version version;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, NULL, NULL);

    if (rc == OIM_OK) rc = logic_version_write(call->lane, LOGIC_LOG_MEMBER, group_id, &user_id, 1, LOGIC_UPDATE, &version);
    if (rc == OIM_OK) rc = logic_group_member(call, group_id, user_id, &member);
    if (rc) return rc;
    logic_changed(call, "group", group_id);
    return mute_notify(call, group_id, member, seconds, &version);
}

/* Who may silence whom, and end it (rest.md C.6). */
static int mute_check(struct logic_call *call, const char *group_id, char *user_id)
{
    char *ids[] = {user_id, call->up->userid};
    Openim__Sdkws__GroupMemberFullInfo *members[2];
    int rc = logic_group_members(call, group_id, ids, 2, members);

    if (rc) return rc;
    if (members[0] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "%s is not a member", user_id);
    if (call->admin) return OIM_OK;
    if (members[1] == NULL) return logic_fail(call, OIM_C_NOTFOUND, "not a member of the group");
    if (members[1]->rolelevel >= LOGIC_ROLE_ADMIN && members[1]->rolelevel > members[0]->rolelevel) return OIM_OK;
    return logic_fail(call, OIM_C_PERMISSION, "not over this member");
}

static int mute(struct logic_call *call, const char *group_id, char *user_id, uint32_t seconds)
{
    Openim__Sdkws__GroupInfo *group;
    int rc;

    if (group_id[0] == '\0') return logic_args(call, "groupID is empty");
    if (user_id[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_group_lock(call, group_id, false, &group);
    if (rc == OIM_OK) rc = mute_check(call, group_id, user_id);
    return rc ? rc : logic_group_member_mute(call, group_id, user_id, seconds);
}

static int mute_group_member(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__MuteGroupMemberReq *req = (const void *)req_;

    if (req->mutedseconds == 0) return logic_args(call, "mutedSeconds is empty");
    return mute(call, req->groupid, req->userid, req->mutedseconds);
}

static int cancel_mute_group_member(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__CancelMuteGroupMemberReq *req = (const void *)req_;

    return mute(call, req->groupid, req->userid, 0);
}

/* ---- entries of set_group_member_info ---- */

typedef Openim__Group__SetGroupMemberInfo entry_t;

/* The entries of one group, its rows as stored, and what came of them. */
struct batch {
    char *group_id;
    entry_t **entries;
    size_t n;
    struct oim_sql_rows rows; /* LOGIC_MEMBER_COLUMNS; rows[at[i]] is that of entry i */
    size_t *at;
    size_t op; /* row of the caller, SIZE_MAX: no member */
    bool roles; /* some entry sets one */
    struct logic_version version;
};

/* Columns of LOGIC_MEMBER_COLUMNS. */
enum { COL_USER, COL_ROLE, COL_JOINED, COL_NAME, COL_FACE, COL_EX = 7 };

static int32_t row_role(const struct batch *b, size_t row)
{
    return (int32_t)logic_cell_int(&b->rows, row, COL_ROLE);
}

static int entry_check(struct logic_call *call, const entry_t *e)
{
    int rc;

    if (e == NULL || e->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (e->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (e->rolelevel && e->rolelevel->value == LOGIC_ROLE_OWNER) return logic_fail(call, OIM_C_PERMISSION, "ownership is transferred");
    if (e->rolelevel && e->rolelevel->value != LOGIC_ROLE_ADMIN && e->rolelevel->value != LOGIC_ROLE_MEMBER) {
        return logic_args(call, "roleLevel is invalid");
    }
    rc = logic_check_name(call, "nickname", e->nickname ? e->nickname->value : NULL);
    if (rc == OIM_OK) rc = logic_check_text(call, "faceURL", e->faceurl ? e->faceurl->value : NULL);
    return rc ? rc : logic_check_text(call, "ex", e->ex ? e->ex->value : NULL);
}

static int by_group_and_user(const void *a, const void *b)
{
    const entry_t *x = *(entry_t *const *)a, *y = *(entry_t *const *)b;
    int order = strcmp(x->groupid, y->groupid);

    return order ? order : strcmp(x->userid, y->userid);
}

/* All entries checked and in the order of groups, so that two calls lock groups in one order. */
static int entries_sort(struct logic_call *call, const Openim__Group__SetGroupMemberInfoReq *req, entry_t ***sorted)
{
    size_t n = req->n_members;
    int rc = OIM_OK;

    if (n == 0) return logic_args(call, "members is empty");
    if (n > ENTRIES_MAX) return logic_args(call, "members has more than %d entries", ENTRIES_MAX);
    *sorted = logic_list(call, n);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) rc = entry_check(call, (*sorted)[i] = req->members[i]);
    if (rc) return rc;
    qsort(*sorted, n, sizeof(**sorted), by_group_and_user);
    for (size_t i = 1; i < n; i++) {
        if (by_group_and_user(&(*sorted)[i - 1], &(*sorted)[i]) == 0) return logic_args(call, "a member is repeated");
    }
    return OIM_OK;
}

/* ---- rights ---- */

/* Locks the group and finds the rows of the entries and of the caller. 1001 when the group is unknown, too: nobody is its member. */
static int batch_read(struct logic_call *call, struct batch *b, size_t *missing)
{
    static const char head[] = "SELECT " LOGIC_MEMBER_COLUMNS " FROM group_members WHERE group_id = ? AND user_id IN";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {oim_sql_text(b->group_id)};
    char **ids = logic_list(call, b->n + 1), **found;
    Openim__Sdkws__GroupInfo *group;
    struct logic_index *index;
    int rc = logic_group_lock(call, b->group_id, false, &group);

    if (rc == OIM_EFAIL && call->fail.code == OIM_C_NOTFOUND) return logic_args(call, "no member of group %s", b->group_id);
    if (rc) return rc;
    for (size_t i = 0; i < b->n; i++) ids[i] = b->entries[i]->userid;
    ids[b->n] = call->up->userid;
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, ids, b->n + 1), b->n + 1, "", &b->rows);
    if (rc) return rc;
    found = logic_list(call, b->rows.n);
    for (size_t i = 0; i < b->rows.n; i++) found[i] = logic_cell_text(&b->rows, i, COL_USER);
    index = logic_index_new(a, found, b->rows.n);
    b->at = logic_array(call, b->n, sizeof(*b->at));
    b->op = logic_index_find(index, call->up->userid);
    *missing = 0;
    for (size_t i = 0; i < b->n; i++) {
        b->at[i] = logic_index_find(index, ids[i]);
        if (b->at[i] == SIZE_MAX) ++*missing;
        if (b->entries[i]->rolelevel) b->roles = true;
    }
    return OIM_OK;
}

/* One entry, by a member of the group with this role (rest.md C.6). */
static int entry_allowed(struct logic_call *call, const struct batch *b, size_t i, int32_t op_role)
{
    const Openim__Protobuf__Int32Value *role = b->entries[i]->rolelevel;
    bool self = b->at[i] == b->op;
    int32_t target = row_role(b, b->at[i]);

    if (self && role && role->value > op_role) return logic_fail(call, OIM_C_PERMISSION, "nobody raises his own role");
    if (self || op_role == LOGIC_ROLE_OWNER) return OIM_OK;
    if (op_role == LOGIC_ROLE_ADMIN && target == LOGIC_ROLE_MEMBER) return OIM_OK;
    return logic_fail(call, OIM_C_PERMISSION, "not over %s", b->entries[i]->userid);
}

static int batch_check(struct logic_call *call, const struct batch *b, size_t missing)
{
    int rc = OIM_OK;

    if (missing) return logic_args(call, "not all are members of group %s", b->group_id);
    if (!call->admin && b->op == SIZE_MAX) return logic_fail(call, OIM_C_PERMISSION, "not a member of group %s", b->group_id);
    for (size_t i = 0; i < b->n && rc == OIM_OK && !call->admin; i++) rc = entry_allowed(call, b, i, row_role(b, b->op));
    for (size_t i = 0; i < b->n && rc == OIM_OK; i++) {
        if (b->entries[i]->rolelevel == NULL || row_role(b, b->at[i]) != LOGIC_ROLE_OWNER) continue;
        rc = logic_args(call, "the owner keeps the role until the group is transferred");
    }
    return rc;
}

/* ---- writing ---- */

/* Text of an entry, or what is stored. */
static struct oim_sql_value text_or(const Openim__Protobuf__StringValue *given, const struct batch *b, size_t row, size_t col)
{
    return oim_sql_text(given ? given->value : logic_cell_text(&b->rows, row, col));
}

static void entry_args(const struct batch *b, size_t i, struct oim_sql_value *arg)
{
    const entry_t *e = b->entries[i];
    size_t row = b->at[i];

    arg[0] = oim_sql_text(b->group_id);
    arg[1] = oim_sql_text(e->userid);
    arg[2] = text_or(e->nickname, b, row, COL_NAME);
    arg[3] = text_or(e->faceurl, b, row, COL_FACE);
    arg[4] = oim_sql_int(e->rolelevel ? e->rolelevel->value : row_role(b, row));
    arg[5] = oim_sql_int(logic_cell_int(&b->rows, row, COL_JOINED));
    arg[6] = text_or(e->ex, b, row, COL_EX);
}

/* The rows are there and the group is locked: all of these are updates. */
static int rows_write(struct logic_call *call, const struct batch *b)
{
    static const char head[] = "INSERT INTO group_members (group_id, user_id, nickname, face_url, role_level, join_time, ex) VALUES ";
    static const char tail[] = " ON DUPLICATE KEY UPDATE nickname = VALUES(nickname), face_url = VALUES(face_url),"
                               " role_level = VALUES(role_level), ex = VALUES(ex)";
    struct oim_sql_value *args = logic_array(call, b->n * 7, sizeof(*args));

    for (size_t i = 0; i < b->n; i++) entry_args(b, i, args + i * 7);
    return logic_sql_rows(call->lane, head, args, 7, b->n, tail);
}

static int log_step(struct logic_call *call, struct batch *b)
{
    char **elements = logic_list(call, b->n + 1);
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) elements[n++] = b->entries[i]->userid;
    if (b->roles) elements[n++] = (char *)LOGIC_SORT;
    return logic_version_write_steps(call->lane, LOGIC_LOG_MEMBER, b->group_id, elements, n, LOGIC_UPDATE, (uint32_t)b->n, &b->version);
}

/* ---- notices ---- */

static int entry_tell(struct logic_call *call, const entry_t *e, const Openim__Sdkws__GroupMemberInfoSetTips *tips)
{
    int rc = OIM_OK;

    if (e->rolelevel) {
        rc = logic_group_notify(call, e->rolelevel->value == LOGIC_ROLE_ADMIN ? LOGIC_N_MEMBER_TO_ADMIN : LOGIC_N_MEMBER_TO_ORDINARY,
                                e->groupid, &tips->base, LOGIC_DEFAULT);
    }
    if (rc || !(e->nickname || e->faceurl || e->ex)) return rc;
    return logic_group_notify(call, LOGIC_N_MEMBER_INFO, e->groupid, &tips->base, LOGIC_DEFAULT);
}

static int batch_tell(struct logic_call *call, const struct batch *b)
{
    Openim__Sdkws__GroupMemberInfoSetTips *tips = logic_new(call, &openim__sdkws__group_member_info_set_tips__descriptor);
    Openim__Sdkws__GroupMemberFullInfo **members = logic_list(call, b->n);
    char **ids = logic_list(call, b->n);
    int rc;

    for (size_t i = 0; i < b->n; i++) ids[i] = b->entries[i]->userid;
    rc = logic_group_members(call, b->group_id, ids, b->n, members);
    if (rc == OIM_OK) rc = logic_group_info(call, b->group_id, &tips->group);
    if (rc == OIM_OK) rc = logic_group_op_user(call, b->group_id, &tips->opuser);
    tips->groupmemberversion = b->version.version;
    tips->groupmemberversionid = b->version.id;
    tips->groupsortversion = b->roles ? b->version.version : 0;
    for (size_t i = 0; i < b->n && rc == OIM_OK; i++) {
        tips->changeduser = members[i];
        rc = entry_tell(call, b->entries[i], tips);
    }
    return rc;
}

static int batch_set(struct logic_call *call, struct batch *b)
{
    size_t missing = 0;
    int rc = batch_read(call, b, &missing);

    if (rc == OIM_OK) rc = batch_check(call, b, missing);
    if (rc == OIM_OK) rc = rows_write(call, b);
    if (rc == OIM_OK) rc = log_step(call, b);
    if (rc == OIM_OK) logic_changed(call, "group", b->group_id);
    return rc ? rc : batch_tell(call, b);
}

static int set_group_member_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__SetGroupMemberInfoReq *req = (const void *)req_;
    entry_t **entries = NULL;
    int rc = entries_sort(call, req, &entries);

    for (size_t done = 0, n; rc == OIM_OK && done < req->n_members; done += n) {
        struct batch b = {.group_id = entries[done]->groupid, .entries = entries + done};

        for (n = 1; done + n < req->n_members && strcmp(entries[done + n]->groupid, b.group_id) == 0;) n++;
        b.n = n;
        rc = batch_set(call, &b);
    }
    return rc;
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_member_routes[] = {
    {"/group/mute_group_member", 0, LOGIC_GROUP_ADMIN, GROUP(mute_group_member), mute_group_member, LOGIC_TX},
    {"/group/cancel_mute_group_member", 0, LOGIC_GROUP_ADMIN, GROUP(cancel_mute_group_member), cancel_mute_group_member, LOGIC_TX},
    {"/group/set_group_member_info", 0, LOGIC_MEMBER, GROUP(set_group_member_info), set_group_member_info, LOGIC_TX},
    {0},
};
