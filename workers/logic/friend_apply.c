/*
 * Friend requests (rest.md B.3, C.3): one row per ordered pair of users in table friend_requests; who asks again resets it. They have no
 * version log: clients page through them and hear 1201, 1202 and 1203. Agreement makes the friends (friend_change.c).
 */
#include "friend.h"

#include <string.h>

#define COLUMNS "from_user_id, to_user_id, handle_result, req_msg, create_time, handler_user_id, handle_msg, handle_time, ex"

enum result { REFUSED = -1, PENDING, AGREED };

/* ---- rows ---- */

static Openim__Sdkws__FriendRequest *request_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__FriendRequest *r = logic_new(call, &openim__sdkws__friend_request__descriptor);

    r->fromuserid = logic_cell_text(rows, row, 0);
    r->touserid = logic_cell_text(rows, row, 1);
    r->handleresult = (int32_t)logic_cell_int(rows, row, 2);
    r->reqmsg = logic_cell_text(rows, row, 3);
    r->createtime = logic_cell_int(rows, row, 4);
    r->handleruserid = logic_cell_text(rows, row, 5);
    r->handlemsg = logic_cell_text(rows, row, 6);
    r->handletime = logic_cell_int(rows, row, 7);
    r->ex = logic_cell_text(rows, row, 8);
    return r;
}

/* Names and faces of both sides as they are now; empty for who is gone. */
static int requests_name(struct logic_call *call, Openim__Sdkws__FriendRequest **requests, size_t n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, 2 * n);
    char **ids = logic_list(call, 2 * n);
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[2 * i] = requests[i]->fromuserid;
        ids[2 * i + 1] = requests[i]->touserid;
    }
    rc = logic_users(call, ids, 2 * n, users);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        const Openim__Sdkws__UserInfo *from = users[2 * i], *to = users[2 * i + 1];

        if (from) {
            requests[i]->fromnickname = from->nickname;
            requests[i]->fromfaceurl = from->faceurl;
        }
        if (to) {
            requests[i]->tonickname = to->nickname;
            requests[i]->tofaceurl = to->faceurl;
        }
    }
    return rc;
}

static int requests_of_rows(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Sdkws__FriendRequest ***out, size_t *n)
{
    *out = logic_list(call, rows->n);
    *n = rows->n;
    for (size_t i = 0; i < rows->n; i++) (*out)[i] = request_of_row(call, rows, i);
    return requests_name(call, *out, *n);
}

/* Both directions between two users. */
static int requests_between(struct logic_call *call, const char *from, const char *to, const char *tail, struct oim_sql_rows *rows)
{
    struct oim_sql_value one = oim_sql_text(from), two = oim_sql_text(to);
    struct oim_sql_value args[] = {one, two, two, one};
    char *sql = oim_arena_printf(call->lane->arena, "SELECT " COLUMNS " FROM friend_requests WHERE (from_user_id = ? AND to_user_id = ?)"
                                                    " OR (from_user_id = ? AND to_user_id = ?) %s", tail);

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 4, rows, NULL);
}

/* ---- reads ---- */

/* A filter of handle_result as three values; without one, all there are. False: nothing fits. */
static bool results_wanted(const int32_t *given, size_t n, struct oim_sql_value wanted[3])
{
    bool want[3] = {n == 0, n == 0, n == 0};
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        if (given[i] >= REFUSED && given[i] <= AGREED) want[given[i] - REFUSED] = true;
    }
    for (int i = 0; i < 3; i++) {
        if (want[i]) wanted[used++] = oim_sql_int(i + REFUSED);
    }
    for (size_t i = used; i < 3 && used; i++) wanted[i] = wanted[0];
    return used > 0;
}

/* One of the two lists: count and page are its statements. */
static int requests_page(struct logic_call *call, const char *count, const char *page_sql, const char *user_id,
                         const Openim__Sdkws__RequestPagination *pagination, const int32_t *results, size_t n_results, int32_t *total,
                         Openim__Sdkws__FriendRequest ***out, size_t *n)
{
    struct oim_sql_value args[6] = {oim_sql_text(user_id)};
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc = friend_check_id(call, "userID", user_id);

    if (rc == OIM_OK && n_results > LOGIC_IDS_MAX) rc = logic_args(call, "handleResults has more than %d entries", LOGIC_IDS_MAX);
    if (rc == OIM_OK) rc = logic_page(call, pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, user_id);
    if (rc) return rc;
    if (!results_wanted(results, n_results, args + 1)) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, count, args, 4, &rows, NULL);
    if (rc) return rc;
    *total = (int32_t)logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;
    args[4] = oim_sql_int(page.limit);
    args[5] = oim_sql_int(page.offset);
    rc = oim_sql_exec(call->lane->db, call->lane->arena, page_sql, args, 6, &rows, NULL);
    return rc ? rc : requests_of_rows(call, &rows, out, n);
}

#define WANTED " = ? AND handle_result IN (?, ?, ?)"

/* Newest first; who asked in the same millisecond stays in one order. */
static int get_friend_apply_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM friend_requests WHERE to_user_id" WANTED;
    static const char page[] = "SELECT " COLUMNS " FROM friend_requests WHERE to_user_id" WANTED
                               " ORDER BY create_time DESC, from_user_id DESC LIMIT ? OFFSET ?";
    const Openim__Relation__GetPaginationFriendsApplyToReq *req = (const void *)req_;
    Openim__Relation__GetPaginationFriendsApplyToResp *res = (void *)res_;

    return requests_page(call, count, page, req->userid, req->pagination, req->handleresults, req->n_handleresults, &res->total,
                         &res->friendrequests, &res->n_friendrequests);
}

static int get_self_friend_apply_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count[] = "SELECT COUNT(*) FROM friend_requests WHERE from_user_id" WANTED;
    static const char page[] = "SELECT " COLUMNS " FROM friend_requests WHERE from_user_id" WANTED
                               " ORDER BY create_time DESC, to_user_id DESC LIMIT ? OFFSET ?";
    const Openim__Relation__GetPaginationFriendsApplyFromReq *req = (const void *)req_;
    Openim__Relation__GetPaginationFriendsApplyFromResp *res = (void *)res_;

    return requests_page(call, count, page, req->userid, req->pagination, req->handleresults, req->n_handleresults, &res->total,
                         &res->friendrequests, &res->n_friendrequests);
}

static int get_designated_friend_apply(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Relation__GetDesignatedFriendsApplyReq *req = (const void *)req_;
    Openim__Relation__GetDesignatedFriendsApplyResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    int rc = friend_check_id(call, "fromUserID", req->fromuserid);

    if (rc == OIM_OK) rc = friend_check_id(call, "toUserID", req->touserid);
    if (rc == OIM_OK && strcmp(call->up->userid, req->touserid)) rc = logic_self(call, req->fromuserid);
    if (rc == OIM_OK) rc = requests_between(call, req->fromuserid, req->touserid, "ORDER BY create_time", &rows);
    return rc ? rc : requests_of_rows(call, &rows, &res->friendrequests, &res->n_friendrequests);
}

static int get_self_unhandled_apply_count(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT COUNT(*) FROM friend_requests WHERE to_user_id = ? AND handle_result = ? AND create_time > ?";
    const Openim__Relation__GetSelfUnhandledApplyCountReq *req = (const void *)req_;
    Openim__Relation__GetSelfUnhandledApplyCountResp *res = (void *)res_;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(PENDING), oim_sql_int(req->time ? req->time : INT64_MIN)};
    struct oim_sql_rows rows = {0};
    int rc = logic_self(call, req->userid);

    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    if (rc == OIM_OK) res->count = logic_cell_int(&rows, 0, 0);
    return rc;
}

/* ---- apply ---- */

/* Makes the request anew; what an earlier answer left behind besides its text stays, as upstream has it. */
static int request_write(struct logic_call *call, const Openim__Relation__ApplyToAddFriendReq *req)
{
    static const char sql[] = "INSERT INTO friend_requests (from_user_id, to_user_id, req_msg, create_time, handle_msg, ex)"
                              " VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE handle_result = 0, req_msg = VALUES(req_msg),"
                              " create_time = VALUES(create_time), handle_msg = VALUES(handle_msg), ex = VALUES(ex)";
    struct oim_sql_value args[] = {oim_sql_text(req->fromuserid), oim_sql_text(req->touserid), oim_sql_text(req->reqmsg),
                                   oim_sql_int(oim_now_ms()), oim_sql_text(""), oim_sql_text(req->ex)};

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 6, NULL, NULL);
}

static int request_read(struct logic_call *call, const char *from, const char *to, const char *tail, Openim__Sdkws__FriendRequest **request)
{
    struct oim_sql_value args[] = {oim_sql_text(from), oim_sql_text(to)};
    char *sql = oim_arena_printf(call->lane->arena, "SELECT " COLUMNS " FROM friend_requests"
                                                    " WHERE from_user_id = ? AND to_user_id = ? %s", tail);
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);

    *request = rc == OIM_OK && rows.n ? request_of_row(call, &rows, 0) : NULL;
    return rc;
}

static int apply_check(struct logic_call *call, const Openim__Relation__ApplyToAddFriendReq *req)
{
    char *ids[] = {req->fromuserid, req->touserid};
    Openim__Sdkws__UserInfo *users[2];
    int rc = friend_check_id(call, "fromUserID", req->fromuserid);

    if (rc == OIM_OK) rc = friend_check_id(call, "toUserID", req->touserid);
    if (rc == OIM_OK) rc = friend_check_text(call, "reqMsg", req->reqmsg);
    if (rc == OIM_OK) rc = friend_check_text(call, "ex", req->ex);
    if (rc == OIM_OK) rc = logic_self(call, req->fromuserid);
    if (rc) return rc;
    if (strcmp(req->fromuserid, req->touserid) == 0) return logic_fail(call, OIM_C_SELF_FRIEND, NULL);
    rc = logic_users(call, ids, 2, users);
    if (rc == OIM_OK && (!users[0] || !users[1])) rc = logic_fail(call, OIM_C_NOTFOUND, "user %s does not exist", ids[users[0] ? 1 : 0]);
    return rc;
}

/* The row of the request is written first: an answer to an earlier one waits for us, or we for it and for the friends it made. */
static int add_friend(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    const Openim__Relation__ApplyToAddFriendReq *req = (const void *)req_;
    Openim__Sdkws__FriendApplicationTips *tips = logic_new(call, &openim__sdkws__friend_application_tips__descriptor);
    bool has[2];
    int rc = apply_check(call, req);

    if (rc == OIM_OK) rc = request_write(call, req);
    if (rc == OIM_OK) rc = friend_state(call, req->fromuserid, req->touserid, false, has);
    if (rc == OIM_OK && has[0] && has[1]) rc = logic_fail(call, OIM_C_FRIENDS_ALREADY, NULL);
    if (rc == OIM_OK) rc = request_read(call, req->fromuserid, req->touserid, "", &tips->request);
    if (rc == OIM_OK) rc = requests_name(call, &tips->request, 1);
    if (rc) return rc;
    tips->fromtouserid = friend_from_to(call, req->fromuserid, req->touserid);
    return friend_notify(call, LOGIC_N_FRIEND_APPLICATION, req->fromuserid, req->touserid, tips);
}

/* ---- answer ---- */

static int request_handle(struct logic_call *call, Openim__Sdkws__FriendRequest *r, enum result result, const char *msg, int64_t now)
{
    static const char sql[] = "UPDATE friend_requests SET handle_result = ?, handler_user_id = ?, handle_msg = ?, handle_time = ?"
                              " WHERE from_user_id = ? AND to_user_id = ?";
    r->handleresult = result;
    r->handleruserid = call->up->userid;
    r->handletime = now;
    if (msg[0]) r->handlemsg = (char *)msg;
    struct oim_sql_value args[] = {oim_sql_int(result), oim_sql_text(r->handleruserid), oim_sql_text(r->handlemsg), oim_sql_int(now),
                                   oim_sql_text(r->fromuserid), oim_sql_text(r->touserid)};

    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 6, NULL, NULL);
}

/* The rows that are missing; the applicant counts as who made them. */
static int befriend(struct logic_call *call, char *from, char *to)
{
    struct friend_pair pairs[2];
    char *owners[2], *others[2];
    size_t n = 0;
    bool has[2];
    int rc = friend_state(call, to, from, true, has);

    if (rc) return rc;
    if (!has[0]) pairs[n++] = (struct friend_pair){to, from};
    if (!has[1]) pairs[n++] = (struct friend_pair){from, to};
    for (size_t i = 0; i < n; i++) {
        owners[i] = pairs[i].owner;
        others[i] = pairs[i].other;
    }
    rc = friend_insert(call, pairs, n, FRIEND_APPLIED, from);
    if (rc == OIM_OK) rc = logic_version_write_each(call->lane, LOGIC_LOG_FRIEND, owners, n, others, false, LOGIC_INSERT, NULL);
    return rc;
}

/* Both requests are locked in one statement, so that two who ask each other and agree at once do not wait crosswise. */
static int agree(struct logic_call *call, const Openim__Relation__RespondFriendApplyReq *req)
{
    Openim__Sdkws__FriendApplicationApprovedTips *tips = logic_new(call, &openim__sdkws__friend_application_approved_tips__descriptor);
    Openim__Sdkws__FriendRequest *reverse = NULL;
    struct oim_sql_rows rows = {0};
    int64_t now = oim_now_ms();
    int rc = requests_between(call, req->fromuserid, req->touserid, "FOR UPDATE", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        Openim__Sdkws__FriendRequest *r = request_of_row(call, &rows, i);

        *(strcmp(r->fromuserid, req->fromuserid) == 0 ? &tips->request : &reverse) = r;
    }
    if (rc) return rc;
    if (tips->request == NULL) return logic_fail(call, OIM_C_NOTFOUND, "no such friend request");
    if (tips->request->handleresult != PENDING) return logic_args(call, "the friend request has been handled");
    rc = request_handle(call, tips->request, AGREED, req->handlemsg, now);
    if (rc == OIM_OK && reverse && reverse->handleresult == PENDING) rc = request_handle(call, reverse, AGREED, "", now);
    if (rc == OIM_OK) rc = befriend(call, req->fromuserid, req->touserid);
    if (rc == OIM_OK) rc = requests_name(call, &tips->request, 1);
    if (rc) return rc;
    tips->fromtouserid = friend_from_to(call, req->fromuserid, req->touserid);
    tips->handlemsg = req->handlemsg;
    return friend_notify(call, LOGIC_N_FRIEND_APPROVED, req->touserid, req->fromuserid, tips);
}

static int refuse(struct logic_call *call, const Openim__Relation__RespondFriendApplyReq *req)
{
    Openim__Sdkws__FriendApplicationRejectedTips *tips = logic_new(call, &openim__sdkws__friend_application_rejected_tips__descriptor);
    int rc = request_read(call, req->fromuserid, req->touserid, "FOR UPDATE", &tips->request);

    if (rc) return rc;
    if (tips->request == NULL) return logic_fail(call, OIM_C_NOTFOUND, "no such friend request");
    if (tips->request->handleresult != PENDING) return logic_fail(call, OIM_C_REQUEST_HANDLED, NULL);
    rc = request_handle(call, tips->request, REFUSED, req->handlemsg, oim_now_ms());
    if (rc == OIM_OK) rc = requests_name(call, &tips->request, 1);
    if (rc) return rc;
    tips->fromtouserid = friend_from_to(call, req->fromuserid, req->touserid);
    tips->handlemsg = req->handlemsg;
    return friend_notify(call, LOGIC_N_FRIEND_REJECTED, req->touserid, req->fromuserid, tips);
}

static int add_friend_response(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res)
{
    const Openim__Relation__RespondFriendApplyReq *req = (const void *)req_;
    int rc = friend_check_id(call, "fromUserID", req->fromuserid);

    if (rc == OIM_OK) rc = friend_check_id(call, "toUserID", req->touserid);
    if (rc == OIM_OK) rc = friend_check_text(call, "handleMsg", req->handlemsg);
    if (rc == OIM_OK) rc = logic_self(call, req->touserid);
    if (rc) return rc;
    if (req->handleresult == AGREED) return agree(call, req);
    if (req->handleresult == REFUSED) return refuse(call, req);
    return logic_args(call, "handleResult is 1 or -1");
}

const struct logic_route logic_friend_apply_routes[] = {
    {"/friend/get_friend_apply_list", 0, LOGIC_SELF, FRIEND_ROUTE(get_pagination_friends_apply_to), get_friend_apply_list, LOGIC_READ},
    {"/friend/get_self_friend_apply_list", 0, LOGIC_SELF, FRIEND_ROUTE(get_pagination_friends_apply_from), get_self_friend_apply_list,
     LOGIC_READ},
    {"/friend/get_designated_friend_apply", 0, LOGIC_SELF, FRIEND_ROUTE(get_designated_friends_apply), get_designated_friend_apply,
     LOGIC_READ},
    {"/friend/get_self_unhandled_apply_count", 0, LOGIC_SELF, FRIEND_ROUTE(get_self_unhandled_apply_count),
     get_self_unhandled_apply_count, LOGIC_READ},
    {"/friend/add_friend", 0, LOGIC_SELF, FRIEND_ROUTE(apply_to_add_friend), add_friend, LOGIC_TX},
    {"/friend/add_friend_response", 0, LOGIC_SELF, FRIEND_ROUTE(respond_friend_apply), add_friend_response, LOGIC_TX},
    {0},
};
