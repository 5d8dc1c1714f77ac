/*
 * /friend: friend lists as they are read (rest.md B.3, C.3, D), and the checks that all /friend routes share. Table friends; a friend's
 * name and face come from users. Changes are in friend_change.c, requests in friend_apply.c, the blacklist in black.c.
 */
#include "friend.h"

#include "oim_hash.h"

#include <string.h>

/* Pinned first, then as added (rest.md C.3): the order of pages and of idHash. */
#define ORDER " ORDER BY is_pinned DESC, id"
#define COLUMNS "friend_user_id, remark, create_time, add_source, operator_user_id, ex, is_pinned"

enum {
    REMARK_CHARS = 255,
    TEXT_BYTES = 65535,
};

/* ---- checks ---- */

int friend_check_id(struct logic_call *call, const char *name, const char *id)
{
    return id[0] ? logic_check_id(call, name, id) : logic_args(call, "%s is empty", name);
}

int friend_check_ids(struct logic_call *call, const char *name, char *const *ids, size_t n)
{
    if (n > FRIENDS_MAX) return logic_args(call, "%s has more than %d entries", name, FRIENDS_MAX);
    return logic_check_ids(call, name, ids, n, true);
}

int friend_check_remark(struct logic_call *call, const char *remark)
{
    size_t chars = 0;

    for (const char *p = remark; *p; p++) chars += ((unsigned char)*p & 0xc0) != 0x80;
    return chars > REMARK_CHARS ? logic_args(call, "remark is longer than %d characters", REMARK_CHARS) : OIM_OK;
}

int friend_check_text(struct logic_call *call, const char *name, const char *text)
{
    return strlen(text) > TEXT_BYTES ? logic_args(call, "%s is longer than %d bytes", name, TEXT_BYTES) : OIM_OK;
}

/* ---- rows ---- */

/* COLUMNS without the friend's profile; createTime in ms. */
static Openim__Sdkws__FriendInfo *friend_bare(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__FriendInfo *f = logic_new(call, &openim__sdkws__friend_info__descriptor);

    f->owneruserid = (char *)owner;
    f->remark = logic_cell_text(rows, row, 1);
    f->createtime = logic_cell_int(rows, row, 2);
    f->addsource = (int32_t)logic_cell_int(rows, row, 3);
    f->operatoruserid = logic_cell_text(rows, row, 4);
    f->ex = logic_cell_text(rows, row, 5);
    f->ispinned = logic_cell_int(rows, row, 6) != 0;
    return f;
}

/* As lists show it. NULL where the user's row is gone: the friend is left out. */
static Openim__Sdkws__FriendInfo *friend_of_row(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows,
                                                size_t row, const Openim__Sdkws__UserInfo *user)
{
    Openim__Sdkws__FriendInfo *f;

    if (user == NULL) return NULL;
    f = friend_bare(call, owner, rows, row);
    f->createtime /= 1000;
    f->frienduser = logic_new(call, &openim__sdkws__user_info__descriptor);
    f->frienduser->userid = user->userid;
    f->frienduser->nickname = user->nickname;
    f->frienduser->faceurl = user->faceurl;
    f->frienduser->ex = user->ex;
    return f;
}

static int friends_of_rows(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows,
                           Openim__Sdkws__FriendInfo ***out, size_t *n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, rows->n);
    char **ids = logic_column(call->lane->arena, rows);
    int rc;

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

int friend_state(struct logic_call *call, const char *a, const char *b, bool lock, bool has[2])
{
    struct oim_sql_value one = oim_sql_text(a), two = oim_sql_text(b);
    struct oim_sql_value args[] = {one, two, two, one};
    struct oim_sql_rows rows = {0};
    char *sql = oim_arena_printf(call->lane->arena, "SELECT owner_user_id, friend_user_id FROM friends WHERE (owner_user_id = ? AND"
                                                    " friend_user_id = ?) OR (owner_user_id = ? AND friend_user_id = ?) %s",
                                 lock ? "FOR UPDATE" : "");
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 4, &rows, NULL);

    has[0] = has[1] = false;
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        if (strcmp(logic_cell_text(&rows, i, 0), a) == 0) has[0] = true;
        if (strcmp(logic_cell_text(&rows, i, 0), b) == 0) has[1] = true;
    }
    return rc;
}

static int friend_ids(struct logic_call *call, const char *sql, const char *owner, char ***ids, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *ids = logic_column(call->lane->arena, &rows);
    *n = rows.n;
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

/* In the order in which they came, whatever is pinned: so the recorded server answers. */
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
    const Openim__Relation__IsFriendReq *req = (const void *)req_;
    Openim__Relation__IsFriendResp *res = (void *)res_;
    bool has[2];
    int rc;

    if (req->userid1[0] == '\0' || req->userid2[0] == '\0') return logic_args(call, "userID is empty");
    if (strcmp(call->up->userid, req->userid2) && logic_self(call, req->userid1)) return OIM_EFAIL;
    rc = friend_state(call, req->userid1, req->userid2, false, has);
    if (rc) return rc;
    res->inuser1friends = has[0];
    res->inuser2friends = has[1];
    return OIM_OK;
}

/* Rows of one table by the other user's id, as an index into them. */
static int rows_of(struct logic_call *call, const char *head, const char *owner, char *const *ids, size_t n, struct oim_sql_rows *rows,
                   struct logic_index **index)
{
    struct oim_sql_value args[] = {oim_sql_text(owner)};
    int rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(call->lane->arena, ids, n), n, "", rows);
    char **found;

    if (rc) return rc;
    found = logic_column(call->lane->arena, rows);
    *index = logic_index_new(call->lane->arena, found, rows->n);
    return OIM_OK;
}

static Openim__Sdkws__BlackInfo *black_bare(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__BlackInfo *b = logic_new(call, &openim__sdkws__black_info__descriptor);

    b->owneruserid = (char *)owner;
    b->createtime = logic_cell_int(rows, row, 1);
    b->addsource = (int32_t)logic_cell_int(rows, row, 2);
    b->operatoruserid = logic_cell_text(rows, row, 3);
    b->ex = logic_cell_text(rows, row, 4);
    return b;
}

/* What owner has to do with each of some users, in their order; who does not exist is left out. */
static int get_specified_friends_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char friends[] = "SELECT " COLUMNS " FROM friends WHERE owner_user_id = ? AND friend_user_id IN";
    static const char blacks[] = "SELECT block_user_id, create_time, add_source, operator_user_id, ex FROM blacks"
                                 " WHERE owner_user_id = ? AND block_user_id IN";
    const Openim__Relation__GetSpecifiedFriendsInfoReq *req = (const void *)req_;
    Openim__Relation__GetSpecifiedFriendsInfoResp *res = (void *)res_;
    size_t n = req->n_useridlist, at;
    Openim__Sdkws__UserInfo **users = logic_list(call, n);
    struct oim_sql_rows friend_rows, black_rows;
    struct logic_index *friend_of, *black_of;
    int rc = friend_check_id(call, "ownerUserID", req->owneruserid);

    if (rc == OIM_OK) rc = friend_check_ids(call, "userIDList", req->useridlist, n);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK) rc = logic_users(call, req->useridlist, n, users);
    if (rc == OIM_OK) rc = rows_of(call, friends, req->owneruserid, req->useridlist, n, &friend_rows, &friend_of);
    if (rc == OIM_OK) rc = rows_of(call, blacks, req->owneruserid, req->useridlist, n, &black_rows, &black_of);
    if (rc) return rc;
    res->infos = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Relation__GetSpecifiedFriendsInfoInfo *info;

        if (users[i] == NULL) continue;
        info = logic_new(call, &openim__relation__get_specified_friends_info_info__descriptor);
        info->userinfo = users[i];
        at = logic_index_find(friend_of, req->useridlist[i]);
        if (at != SIZE_MAX) info->friendinfo = friend_bare(call, req->owneruserid, &friend_rows, at);
        at = logic_index_find(black_of, req->useridlist[i]);
        if (at != SIZE_MAX) info->blackinfo = black_bare(call, req->owneruserid, &black_rows, at);
        res->infos[res->n_infos++] = info;
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

const struct logic_route logic_friend_routes[] = {
    {"/friend/get_friend_list", 0, LOGIC_SELF, FRIEND_ROUTE(get_pagination_friends), get_friend_list, LOGIC_READ},
    {"/friend/get_designated_friends", 0, LOGIC_SELF, FRIEND_ROUTE(get_designated_friends), get_designated_friends, LOGIC_READ},
    {"/friend/get_friend_id", 0, LOGIC_SELF, FRIEND_ROUTE(get_friend_ids), get_friend_id, LOGIC_READ},
    {"/friend/is_friend", 0, LOGIC_SELF, FRIEND_ROUTE(is_friend), is_friend, LOGIC_READ},
    {"/friend/get_specified_friends_info", 0, LOGIC_SELF, FRIEND_ROUTE(get_specified_friends_info), get_specified_friends_info, LOGIC_READ},
    {"/friend/get_incremental_friends", 0, LOGIC_SELF, FRIEND_ROUTE(get_incremental_friends), get_incremental_friends, LOGIC_READ},
    {"/friend/get_full_friend_user_ids", 0, LOGIC_SELF, FRIEND_ROUTE(get_full_friend_user_ids), get_full_friend_user_ids, LOGIC_READ},
    {0},
};
