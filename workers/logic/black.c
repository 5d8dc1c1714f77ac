/*
 * The blacklist (rest.md B.3, C.3): whose messages a user does not take. Table blacks. It has no version log: clients read the whole list
 * again after 1207 and 1208. Friendships and friend requests do not look at it.
 */
#include "friend.h"

#include <string.h>

#define COLUMNS "block_user_id, create_time, add_source, operator_user_id, ex"

/* ---- reads ---- */

/* Rows of COLUMNS as a list; unit: ms of one createTime. Who does not exist any more is left out. */
static int blacks_of_rows(struct logic_call *call, const char *owner, const struct oim_sql_rows *rows, int unit,
                          Openim__Sdkws__BlackInfo ***out, size_t *n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, rows->n);
    char **ids = logic_column(call->lane->arena, rows);
    int rc;

    rc = logic_users(call, ids, rows->n, users);
    if (rc) return rc;
    *out = logic_list(call, rows->n);
    *n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        Openim__Sdkws__BlackInfo *b;

        if (users[i] == NULL) continue;
        b = logic_new(call, &openim__sdkws__black_info__descriptor);
        b->owneruserid = (char *)owner;
        b->createtime = logic_cell_int(rows, i, 1) / unit;
        b->blackuserinfo = logic_public_user(call, users[i]);
        b->addsource = (int32_t)logic_cell_int(rows, i, 2);
        b->operatoruserid = logic_cell_text(rows, i, 3);
        b->ex = logic_cell_text(rows, i, 4);
        (*out)[(*n)++] = b;
    }
    return OIM_OK;
}

static int get_black_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM blacks WHERE owner_user_id = ?";
    static const char sql[] = "SELECT " COLUMNS " FROM blacks WHERE owner_user_id = ? ORDER BY id LIMIT ? OFFSET ?";
    const Openim__Relation__GetPaginationBlacksReq *req = (const void *)req_;
    Openim__Relation__GetPaginationBlacksResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, req->userid);
    if (rc) return rc;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(page.limit), oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 1, &rows, NULL);
    if (rc) return rc;
    res->total = (int32_t)logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    return rc ? rc : blacks_of_rows(call, req->userid, &rows, 1000, &res->blacks, &res->n_blacks);
}

static int get_specified_blacks(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT " COLUMNS " FROM blacks WHERE owner_user_id = ? AND block_user_id IN";
    const Openim__Relation__GetSpecifiedBlacksReq *req = (const void *)req_;
    Openim__Relation__GetSpecifiedBlacksResp *res = (void *)res_;
    struct oim_arena *a = call->lane->arena;
    size_t n = req->n_useridlist, n_found = 0;
    struct oim_sql_value args[] = {oim_sql_text(req->owneruserid)};
    Openim__Sdkws__BlackInfo **found, **place;
    struct logic_index *asked;
    struct oim_sql_rows rows;
    int rc = logic_check_ids(call, "userIDList", req->useridlist, n, true);

    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK) rc = logic_sql_in(call->lane, sql, args, 1, logic_text_values(a, req->useridlist, n), n, "", &rows);
    if (rc == OIM_OK) rc = blacks_of_rows(call, req->owneruserid, &rows, 1, &found, &n_found);
    if (rc) return rc;
    /* in the order that was asked for */
    asked = logic_index_new(a, req->useridlist, n);
    place = logic_list(call, n);
    for (size_t i = 0; i < n_found; i++) {
        size_t at = logic_index_find(asked, found[i]->blackuserinfo->userid);

        if (at != SIZE_MAX) place[at] = found[i];
    }
    res->blacks = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        if (place[i]) res->blacks[res->n_blacks++] = place[i];
    }
    res->total = (int32_t)res->n_blacks;
    return OIM_OK;
}

/* Upstream has the route and nothing behind it; no client asks. */
static int get_incremental_blacks(struct logic_call *call, const ProtobufCMessage *req, ProtobufCMessage *res)
{
    return logic_fail(call, OIM_C_INTERNAL, "the blacklist has no versions: read get_black_list");
}

/* ---- changes ---- */

static int tell(struct logic_call *call, enum logic_notice_type type, const char *owner, const char *other)
{
    Openim__Sdkws__BlackAddedTips *tips; /* both have the same members */

    tips = logic_new(call, type == LOGIC_N_BLACK_ADDED ? &openim__sdkws__black_added_tips__descriptor
                                                       : &openim__sdkws__black_deleted_tips__descriptor);
    tips->fromtouserid = friend_from_to(call, owner, other);
    logic_changed(call, "black", owner);
    return friend_notify(call, type, owner, other, tips);
}

/* Who is blocked already stays blocked as they are. */
static int add_black(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    static const char sql[] = "INSERT INTO blacks (owner_user_id, block_user_id, create_time, operator_user_id, ex) VALUES (?, ?, ?, ?, ?)";
    const Openim__Relation__AddBlackReq *req = (const void *)req_;
    char *ids[] = {req->owneruserid, req->blackuserid};
    Openim__Sdkws__UserInfo *users[2];
    int rc = friend_check_id(call, "ownerUserID", req->owneruserid);

    if (rc == OIM_OK) rc = friend_check_id(call, "blackUserID", req->blackuserid);
    if (rc == OIM_OK) rc = friend_check_text(call, "ex", req->ex);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK) rc = logic_users(call, ids, 2, users);
    if (rc) return rc;
    if (!users[0] || !users[1]) return logic_fail(call, OIM_C_NOTFOUND, "user %s does not exist", ids[users[0] ? 1 : 0]);
    struct oim_sql_value args[] = {oim_sql_text(req->owneruserid), oim_sql_text(req->blackuserid), oim_sql_int(oim_now_ms()),
                                   oim_sql_text(call->up->userid), oim_sql_text(req->ex)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 5, NULL, NULL);
    if (rc == OIM_EEXIST) return OIM_OK;
    return rc ? rc : tell(call, LOGIC_N_BLACK_ADDED, req->owneruserid, req->blackuserid);
}

static int remove_black(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    static const char sql[] = "DELETE FROM blacks WHERE owner_user_id = ? AND block_user_id = ?";
    const Openim__Relation__RemoveBlackReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->owneruserid), oim_sql_text(req->blackuserid)};
    int rc = friend_check_id(call, "ownerUserID", req->owneruserid);

    if (rc == OIM_OK) rc = friend_check_id(call, "blackUserID", req->blackuserid);
    if (rc == OIM_OK) rc = logic_self(call, req->owneruserid);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, NULL, NULL);
    return rc ? rc : tell(call, LOGIC_N_BLACK_DELETED, req->owneruserid, req->blackuserid);
}

const struct logic_route logic_black_routes[] = {
    {"/friend/get_black_list", 0, LOGIC_SELF, FRIEND_ROUTE(get_pagination_blacks), get_black_list, LOGIC_READ},
    {"/friend/get_specified_blacks", 0, LOGIC_SELF, FRIEND_ROUTE(get_specified_blacks), get_specified_blacks, LOGIC_READ},
    {"/friend/get_incremental_blacks", 0, LOGIC_ANY, FRIEND_ROUTE(get_incremental_blacks), get_incremental_blacks, LOGIC_READ},
    {"/friend/add_black", 0, LOGIC_SELF, FRIEND_ROUTE(add_black), add_black, LOGIC_TX},
    {"/friend/remove_black", 0, LOGIC_SELF, FRIEND_ROUTE(remove_black), remove_black, LOGIC_TX},
    {0},
};
