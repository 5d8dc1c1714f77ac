/*
 * Changes of friendships (rest.md B.3, C.3, D.7, E): delete, remark, pin, import. A friendship is two rows, one in each list, that live
 * their own lives; every change of a list is one step of its owner's version log in the same transaction.
 */
#include "friend.h"

#include <stdlib.h>
#include <string.h>

#define CELLS 7

/* ---- shared with friend_apply.c ---- */

int friend_insert(struct logic_call *call, const struct friend_pair *pairs, size_t n, enum friend_source source, const char *operator_id)
{
    static const char head[] =
        "INSERT INTO friends (owner_user_id, friend_user_id, create_time, add_source, operator_user_id, ex, friend_face_url) VALUES ";
    struct oim_sql_value *args = logic_array(call, n * CELLS, sizeof(*args)), *arg = args;
    int64_t now = oim_now_ms();
    int rc;

    for (size_t i = 0; i < n; i++) {
        *arg++ = oim_sql_text(pairs[i].owner);
        *arg++ = oim_sql_text(pairs[i].other);
        *arg++ = oim_sql_int(now);
        *arg++ = oim_sql_int(source);
        *arg++ = oim_sql_text(operator_id);
        *arg++ = oim_sql_text("");
        *arg++ = oim_sql_text("");
    }
    /* who came first between our look and now: that row is as good */
    rc = logic_sql_rows(call->lane, head, args, CELLS, n, " ON DUPLICATE KEY UPDATE is_pinned = is_pinned");
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(pairs[i].owner, pairs[i - 1].owner)) logic_changed(call, "friend", pairs[i].owner);
    }
    return rc;
}

Openim__Sdkws__FromToUserID *friend_from_to(struct logic_call *call, const char *from, const char *to)
{
    Openim__Sdkws__FromToUserID *ids = logic_new(call, &openim__sdkws__from_to_user_id__descriptor);

    ids->fromuserid = (char *)from;
    ids->touserid = (char *)to;
    return ids;
}

int friend_notify(struct logic_call *call, enum logic_notice_type type, const char *send_id, const char *recv_id, const void *tips)
{
    const struct logic_notice notice = {
        .content_type = (int32_t)type,
        .session_type = LOGIC_SESSION_SINGLE,
        .send_id = send_id,
        .recv_id = recv_id,
        .tips = tips,
        /* cores that change their blacklist must not read it twice at the same time (ngx_http_openim_downlink_push.c) */
        .late = type == LOGIC_N_BLACK_ADDED || type == LOGIC_N_BLACK_DELETED,
    };

    return logic_notify(call, &notice);
}

/* ---- delete ---- */

static int delete_friend(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    static const char sql[] = "DELETE FROM friends WHERE owner_user_id = ? AND friend_user_id = ?";
    const Openim__Relation__DeleteFriendReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->owneruserid), oim_sql_text(req->frienduserid)};
    char *owner = req->owneruserid, *other = req->frienduserid;
    Openim__Sdkws__FriendDeletedTips *tips;
    int rc = friend_check_id(call, "ownerUserID", owner);

    if (rc == OIM_OK) rc = friend_check_id(call, "friendUserID", other);
    if (rc == OIM_OK) rc = logic_self(call, owner);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, NULL, NULL);
    /* no friend: told all the same, whoever thinks otherwise learns it */
    if (rc == OIM_OK) rc = logic_version_write(call->lane, LOGIC_LOG_FRIEND, owner, &other, 1, LOGIC_DELETE, NULL);
    if (rc) return rc;
    logic_changed(call, "friend", owner);
    tips = logic_new(call, &openim__sdkws__friend_deleted_tips__descriptor);
    tips->fromtouserid = friend_from_to(call, owner, other);
    return friend_notify(call, LOGIC_N_FRIEND_DELETED, owner, other, tips);
}

/* ---- remark, pin, ex ---- */

static int set_friend_remark(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    static const char sql[] = "UPDATE friends SET remark = ? WHERE owner_user_id = ? AND friend_user_id = ?";
    const Openim__Relation__SetFriendRemarkReq *req = (const void *)req_;
    char *owner = req->owneruserid, *other = req->frienduserid;
    struct oim_sql_value args[] = {oim_sql_text(req->remark), oim_sql_text(owner), oim_sql_text(other)};
    Openim__Sdkws__FriendInfoChangedTips *tips;
    uint64_t found = 0;
    int rc = friend_check_id(call, "ownerUserID", owner);

    if (rc == OIM_OK) rc = friend_check_id(call, "friendUserID", other);
    if (rc == OIM_OK) rc = friend_check_remark(call, req->remark);
    if (rc == OIM_OK) rc = logic_self(call, owner);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, NULL, &found);
    if (rc) return rc;
    if (found == 0) return logic_fail(call, OIM_C_NOTFOUND, "%s is no friend", other);
    rc = logic_version_write(call->lane, LOGIC_LOG_FRIEND, owner, &other, 1, LOGIC_UPDATE, NULL);
    if (rc) return rc;
    logic_changed(call, "friend", owner);
    tips = logic_new(call, &openim__sdkws__friend_info_changed_tips__descriptor);
    tips->fromtouserid = friend_from_to(call, owner, other);
    return friend_notify(call, LOGIC_N_FRIEND_REMARK, owner, other, tips);
}

/* Those of ids that owner has, locked; there is room for one more. */
static int friends_lock(struct logic_call *call, const char *owner, char *const *ids, size_t n, char ***found, size_t *n_found)
{
    static const char sql[] = "SELECT friend_user_id FROM friends WHERE owner_user_id = ? AND friend_user_id IN";
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, sql, args, 1, logic_text_values(call->lane->arena, ids, n), n, "FOR UPDATE", &rows);

    if (rc) return rc;
    *found = logic_list(call, rows.n + 1);
    *n_found = rows.n;
    for (size_t i = 0; i < rows.n; i++) (*found)[i] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

/* What is NULL stays. A stranger among them is passed over and must not enter the log: an entry says when a friend was deleted. */
static int friends_update(struct logic_call *call, const Openim__Relation__UpdateFriendsReq *req)
{
    static const char sql[] = "UPDATE friends SET is_pinned = COALESCE(?, is_pinned), remark = COALESCE(?, remark), ex = COALESCE(?, ex)"
                              " WHERE owner_user_id = ? AND friend_user_id IN";
    struct oim_sql_value pinned = {.kind = OIM_SQL_NULL};
    struct oim_sql_rows none;
    char **found;
    size_t n;
    int rc = friends_lock(call, req->owneruserid, req->frienduserids, req->n_frienduserids, &found, &n);

    if (rc) return rc;
    if (req->ispinned) pinned = oim_sql_int(req->ispinned->value);
    struct oim_sql_value args[] = {pinned, oim_sql_text(req->remark ? req->remark->value : NULL),
                                   oim_sql_text(req->ex ? req->ex->value : NULL), oim_sql_text(req->owneruserid)};
    if (n) rc = logic_sql_in(call->lane, sql, args, 4, logic_text_values(call->lane->arena, found, n), n, "", &none);
    if (rc) return rc;
    if (req->ispinned) found[n++] = (char *)LOGIC_SORT;
    logic_changed(call, "friend", req->owneruserid);
    return logic_version_write(call->lane, LOGIC_LOG_FRIEND, req->owneruserid, found, n, LOGIC_UPDATE, NULL);
}

static int update_friends(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    const Openim__Relation__UpdateFriendsReq *req = (const void *)req_;
    Openim__Sdkws__FriendsInfoUpdateTips *tips;
    int rc = friend_check_id(call, "ownerUserID", req->owneruserid);

    if (rc == OIM_OK) rc = friend_check_ids(call, "friendUserIDs", req->frienduserids, req->n_frienduserids);
    if (rc == OIM_OK && req->remark) rc = friend_check_remark(call, req->remark->value);
    if (rc == OIM_OK && req->ex) rc = friend_check_text(call, "ex", req->ex->value);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK && (req->ispinned || req->remark || req->ex)) rc = friends_update(call, req);
    if (rc) return rc;
    tips = logic_new(call, &openim__sdkws__friends_info_update_tips__descriptor);
    tips->fromtouserid = friend_from_to(call, "", req->owneruserid);
    tips->friendids = req->frienduserids;
    tips->n_friendids = req->n_frienduserids;
    return friend_notify(call, LOGIC_N_FRIENDS_INFO, req->owneruserid, req->owneruserid, tips);
}

/* ---- import ---- */

/* Upstream counts the users that exist before it looks for repeats: a repeat is a user who does not exist. */
static int import_check(struct logic_call *call, const Openim__Relation__ImportFriendReq *req)
{
    size_t n = req->n_frienduserids;
    char **ids = logic_list(call, n + 1);
    Openim__Sdkws__UserInfo **users = logic_list(call, n + 1);
    int rc = friend_check_id(call, "ownerUserID", req->owneruserid);

    if (rc == OIM_OK && n > FRIENDS_MAX) rc = logic_args(call, "friendUserIDs has more than %d entries", FRIENDS_MAX);
    if (rc == OIM_OK) rc = logic_check_ids(call, "friendUserIDs", req->frienduserids, n, false);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc) return rc;
    if (n) memcpy(ids, req->frienduserids, n * sizeof(*ids));
    ids[n] = req->owneruserid;
    if (!logic_index_distinct(logic_index_new(call->lane->arena, ids, n + 1))) {
        return logic_fail(call, OIM_C_NOTFOUND, "a user is named twice");
    }
    rc = logic_users(call, ids, n + 1, users);
    for (size_t i = 0; i <= n && rc == OIM_OK; i++) {
        if (users[i] == NULL) rc = logic_fail(call, OIM_C_NOTFOUND, "user %s does not exist", ids[i]);
    }
    return rc;
}

/* Those of ids who do not have owner in their list. */
static int without_owner(struct logic_call *call, const char *owner, char *const *ids, size_t n, char **out, size_t *n_out)
{
    static const char sql[] = "SELECT owner_user_id FROM friends WHERE friend_user_id = ? AND owner_user_id IN";
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n);
    bool *has = logic_array(call, n, sizeof(*has));
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, sql, args, 1, logic_text_values(call->lane->arena, ids, n), n, "FOR UPDATE", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) has[at] = true;
    }
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (!has[i]) out[(*n_out)++] = ids[i];
    }
    return rc;
}

/* Those of ids whom owner does not have. */
static int without_friend(struct logic_call *call, const char *owner, char *const *ids, size_t n, char **out, size_t *n_out)
{
    char **found;
    size_t n_found;
    int rc = friends_lock(call, owner, ids, n, &found, &n_found);
    struct logic_index *index;

    if (rc) return rc;
    index = logic_index_new(call->lane->arena, found, n_found);
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (logic_index_find(index, ids[i]) == SIZE_MAX) out[(*n_out)++] = ids[i];
    }
    return OIM_OK;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One step in owner's log for all that are new there, one in the log of each that got owner: in the order of their ids, as all do. */
static int import_log(struct logic_call *call, char *owner, char *const *mine, size_t n_mine, char **theirs, size_t n_theirs)
{
    size_t before = 0;
    int rc;

    qsort(theirs, n_theirs, sizeof(*theirs), by_id);
    while (before < n_theirs && strcmp(theirs[before], owner) < 0) before++;
    rc = logic_version_write_each(call->lane, LOGIC_LOG_FRIEND, theirs, before, &owner, true, LOGIC_INSERT, NULL);
    if (rc == OIM_OK && n_mine) rc = logic_version_write(call->lane, LOGIC_LOG_FRIEND, owner, mine, n_mine, LOGIC_INSERT, NULL);
    if (rc) return rc;
    return logic_version_write_each(call->lane, LOGIC_LOG_FRIEND, theirs + before, n_theirs - before, &owner, true, LOGIC_INSERT, NULL);
}

static int import_rows(struct logic_call *call, char *owner, char *const *ids, size_t n)
{
    char **mine = logic_list(call, n), **theirs = logic_list(call, n);
    struct friend_pair *pairs = logic_array(call, 2 * n, sizeof(*pairs));
    size_t n_mine = 0, n_theirs = 0, n_pairs = 0;
    int rc = without_friend(call, owner, ids, n, mine, &n_mine);

    if (rc == OIM_OK) rc = without_owner(call, owner, ids, n, theirs, &n_theirs);
    if (rc) return rc;
    for (size_t i = 0; i < n_mine; i++) pairs[n_pairs++] = (struct friend_pair){owner, mine[i]};
    for (size_t i = 0; i < n_theirs; i++) pairs[n_pairs++] = (struct friend_pair){theirs[i], owner};
    rc = friend_insert(call, pairs, n_pairs, FRIEND_IMPORTED, call->up->userid);
    return rc ? rc : import_log(call, owner, mine, n_mine, theirs, n_theirs);
}

static int import_friend(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    const Openim__Relation__ImportFriendReq *req = (const void *)req_;
    int rc = import_check(call, req);

    if (rc == OIM_OK) rc = import_rows(call, req->owneruserid, req->frienduserids, req->n_frienduserids);
    for (size_t i = 0; i < req->n_frienduserids && rc == OIM_OK; i++) {
        Openim__Sdkws__FriendApplicationApprovedTips *tips = logic_new(call, &openim__sdkws__friend_application_approved_tips__descriptor);

        tips->fromtouserid = friend_from_to(call, req->owneruserid, req->frienduserids[i]);
        rc = friend_notify(call, LOGIC_N_FRIEND_APPROVED, req->frienduserids[i], req->owneruserid, tips);
    }
    return rc;
}

const struct logic_route logic_friend_change_routes[] = {
    {"/friend/delete_friend", 0, LOGIC_SELF, FRIEND_ROUTE(delete_friend), delete_friend, LOGIC_TX},
    {"/friend/set_friend_remark", 0, LOGIC_SELF, FRIEND_ROUTE(set_friend_remark), set_friend_remark, LOGIC_TX},
    {"/friend/update_friends", 0, LOGIC_SELF, FRIEND_ROUTE(update_friends), update_friends, LOGIC_TX},
    {"/friend/import_friend", 0, LOGIC_ADMIN, FRIEND_ROUTE(import_friend), import_friend, LOGIC_TX},
    {0},
};
