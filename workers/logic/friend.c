/*
 * /friend: what SDKs read between login and idle (rest.md B.3, C.3, D). Tables friends and blacks; a
 * friend's name and face come from users.
 */
#include "version.h"

#include "oim_hash.h"
#include "relation.pb-c.h"

#include <string.h>

/* Pinned first, then as added (rest.md C.3): the order of pages and of idHash. */
#define ORDER " ORDER BY is_pinned DESC, id"
#define COLUMNS "friend_user_id, remark, create_time, add_source, operator_user_id, ex, is_pinned"

/* ---- rows ---- */

/* The profile parts of a FriendInfo; NULL where the user's row is gone: the friend is left out. */
static Openim__Sdkws__FriendInfo *friend_of_row(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows,
                                                size_t row, const Openim__Sdkws__UserInfo *user)
{
    Openim__Sdkws__FriendInfo *f;

    if (user == NULL) return NULL;
    f = logic_new(call, &openim__sdkws__friend_info__descriptor);
    f->frienduser = logic_new(call, &openim__sdkws__user_info__descriptor);
    f->frienduser->userid = user->userid;
    f->frienduser->nickname = user->nickname;
    f->frienduser->faceurl = user->faceurl;
    f->frienduser->ex = user->ex;
    f->owneruserid = (char *)owner;
    f->remark = logic_cell_text(rows, row, 1);
    f->createtime = logic_cell_int(rows, row, 2) / 1000;
    f->addsource = (int32_t)logic_cell_int(rows, row, 3);
    f->operatoruserid = logic_cell_text(rows, row, 4);
    f->ex = logic_cell_text(rows, row, 5);
    f->ispinned = logic_cell_int(rows, row, 6) != 0;
    return f;
}

static int friends_of_rows(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows,
                           Openim__Sdkws__FriendInfo ***out, size_t *n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, rows->n);
    char **ids = logic_list(call, rows->n);
    int rc;

    for (size_t i = 0; i < rows->n; i++) ids[i] = logic_cell_text(rows, i, 0);
    rc = logic_users(call, ids, rows->n, users);
    if (rc) return rc;
    *out = logic_list(call, rows->n);
    *n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        Openim__Sdkws__FriendInfo *f = friend_of_row(call, owner, rows, i, users[i]);

        if (f) (*out)[(*n)++] = f;
    }
    return OIM_OK;
}

/* Those of ids that owner has, in the order of the list. */
static int friends_by_id(struct logic_call *call, const char *owner, char *const *ids, size_t n_ids,
                         Openim__Sdkws__FriendInfo ***out, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows;
    int rc;

    rc = logic_sql_in(call->lane, "SELECT " COLUMNS " FROM friends WHERE owner_user_id = ? AND friend_user_id IN", args, 1,
                      logic_text_values(call->lane->arena, ids, n_ids), n_ids, ORDER, &rows);
    return rc ? rc : friends_of_rows(call, owner, &rows, out, n);
}

static int friend_ids(struct logic_call *call, const char *sql, const char *owner, char ***ids, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_list(call, rows.n);
    *n = rows.n;
    for (size_t i = 0; i < rows.n; i++) (*ids)[i] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

static int count_of(struct logic_call *call, const char *sql, const char *owner, int32_t *total)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc == OIM_OK) *total = (int32_t)logic_cell_int(&rows, 0, 0);
    return rc;
}

/* ---- routes ---- */

static int get_friend_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM friends WHERE owner_user_id = ?";
    static const char sql[] = "SELECT " COLUMNS " FROM friends WHERE owner_user_id = ?" ORDER " LIMIT ? OFFSET ?";
    const Openim__Relation__GetPaginationFriendsReq *req = (const void *)req_;
    Openim__Relation__GetPaginationFriendsResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = count_of(call, count, req->userid, &res->total);
    if (rc || page.limit == 0) return rc;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(page.limit), oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    return rc ? rc : friends_of_rows(call, req->userid, &rows, &res->friendsinfo, &res->n_friendsinfo);
}

static int get_designated_friends(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Relation__GetDesignatedFriendsReq *req = (const void *)req_;
    Openim__Relation__GetDesignatedFriendsResp *res = (void *)res_;
    int rc;

    if (req->owneruserid[0] == '\0') return logic_args(call, "ownerUserID is empty");
    rc = logic_check_ids(call, "friendUserIDs", req->frienduserids, req->n_frienduserids, true);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc) return rc;
    return friends_by_id(call, req->owneruserid, req->frienduserids, req->n_frienduserids, &res->friendsinfo,
                         &res->n_friendsinfo);
}

static int get_friend_id(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT friend_user_id FROM friends WHERE owner_user_id = ? ORDER BY id";
    const Openim__Relation__GetFriendIDsReq *req = (const void *)req_;
    Openim__Relation__GetFriendIDsResp *res = (void *)res_;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (logic_self(call, req->userid)) return OIM_EFAIL;
    return friend_ids(call, sql, req->userid, &res->friendids, &res->n_friendids);
}

static int is_friend(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT owner_user_id, friend_user_id FROM friends WHERE (owner_user_id = ? AND friend_user_id = ?)"
                              " OR (owner_user_id = ? AND friend_user_id = ?)";
    const Openim__Relation__IsFriendReq *req = (const void *)req_;
    Openim__Relation__IsFriendResp *res = (void *)res_;
    struct oim_sql_value one = oim_sql_text(req->userid1), two = oim_sql_text(req->userid2);
    struct oim_sql_value args[] = {one, two, two, one};
    struct oim_sql_rows rows = {0};
    int rc;

    if (req->userid1[0] == '\0' || req->userid2[0] == '\0') return logic_args(call, "userID is empty");
    if (strcmp(call->up->userid, req->userid2) && logic_self(call, req->userid1)) return OIM_EFAIL;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 4, &rows, NULL);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        if (strcmp(logic_cell_text(&rows, i, 0), req->userid1) == 0) res->inuser1friends = true;
        if (strcmp(logic_cell_text(&rows, i, 0), req->userid2) == 0) res->inuser2friends = true;
    }
    return rc;
}

static int get_black_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM blacks WHERE owner_user_id = ?";
    static const char sql[] = "SELECT block_user_id, create_time, add_source, operator_user_id, ex FROM blacks"
                              " WHERE owner_user_id = ? ORDER BY id LIMIT ? OFFSET ?";
    const Openim__Relation__GetPaginationBlacksReq *req = (const void *)req_;
    Openim__Relation__GetPaginationBlacksResp *res = (void *)res_;
    Openim__Sdkws__UserInfo **users;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    char **ids;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = count_of(call, count, req->userid, &res->total);
    if (rc || page.limit == 0) return rc;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(page.limit), oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    if (rc) return rc;
    ids = logic_list(call, rows.n);
    users = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) ids[i] = logic_cell_text(&rows, i, 0);
    rc = logic_users(call, ids, rows.n, users);
    if (rc) return rc;
    res->blacks = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        Openim__Sdkws__BlackInfo *b = logic_new(call, &openim__sdkws__black_info__descriptor);

        if (users[i] == NULL) continue;
        b->owneruserid = req->userid;
        b->createtime = logic_cell_int(&rows, i, 1) / 1000;
        b->blackuserinfo = logic_public_user(call, users[i]);
        b->addsource = (int32_t)logic_cell_int(&rows, i, 2);
        b->operatoruserid = logic_cell_text(&rows, i, 3);
        b->ex = logic_cell_text(&rows, i, 4);
        res->blacks[res->n_blacks++] = b;
    }
    return OIM_OK;
}

static int get_incremental_friends(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Relation__GetIncrementalFriendsReq *req = (const void *)req_;
    Openim__Relation__GetIncrementalFriendsResp *res = (void *)res_;
    struct logic_version now;
    struct logic_changes changes;
    char *owner = req->userid;
    int rc = logic_changes_own(call, LOGIC_LOG_FRIEND, owner, req->versionid, req->version, &now, &changes);

    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->full = changes.full;
    res->delete_ = changes.delete_;
    res->n_delete_ = changes.n_delete;
    res->sortversion = changes.sort_version;
    rc = friends_by_id(call, owner, changes.insert, changes.n_insert, &res->insert, &res->n_insert);
    return rc ? rc : friends_by_id(call, owner, changes.update, changes.n_update, &res->update, &res->n_update);
}

static int get_full_friend_user_ids(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT friend_user_id FROM friends WHERE owner_user_id = ?" ORDER;
    const Openim__Relation__GetFullFriendUserIDsReq *req = (const void *)req_;
    Openim__Relation__GetFullFriendUserIDsResp *res = (void *)res_;
    struct logic_version now;
    char *owner = req->userid, **ids;
    size_t n;
    int rc;

    if (owner[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, owner);
    if (rc == OIM_OK) rc = logic_versions(call, LOGIC_LOG_FRIEND, &owner, 1, &now);
    if (rc == OIM_OK) rc = friend_ids(call, sql, owner, &ids, &n);
    if (rc) return rc;
    res->version = now.version;
    res->versionid = now.id;
    res->equal = oim_hash_ids((const char *const *)ids, n) == req->idhash;
    if (res->equal) return OIM_OK;
    res->userids = ids;
    res->n_userids = n;
    return OIM_OK;
}

#define RELATION(name) &openim__relation__##name##_req__descriptor, &openim__relation__##name##_resp__descriptor

const struct logic_route logic_friend_routes[] = {
    {"/friend/get_friend_list", 0, LOGIC_ANY, RELATION(get_pagination_friends), get_friend_list, LOGIC_READ},
    {"/friend/get_designated_friends", 0, LOGIC_ANY, RELATION(get_designated_friends), get_designated_friends, LOGIC_READ},
    {"/friend/get_friend_id", 0, LOGIC_ANY, RELATION(get_friend_ids), get_friend_id, LOGIC_READ},
    {"/friend/is_friend", 0, LOGIC_ANY, RELATION(is_friend), is_friend, LOGIC_READ},
    {"/friend/get_black_list", 0, LOGIC_ANY, RELATION(get_pagination_blacks), get_black_list, LOGIC_READ},
    {"/friend/get_incremental_friends", 0, LOGIC_ANY, RELATION(get_incremental_friends), get_incremental_friends, LOGIC_READ},
    {"/friend/get_full_friend_user_ids", 0, LOGIC_ANY, RELATION(get_full_friend_user_ids), get_full_friend_user_ids, LOGIC_READ},
    {0},
};
