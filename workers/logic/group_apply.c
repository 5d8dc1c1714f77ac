/*
 * /group: requests to join (rest.md B.4, C.4). One row of group_requests per (group, applicant): a new request replaces the old one,
 * whatever became of it. Here: rows, the notices of new requests, the lists, the decision. group_join.c makes requests.
 *
 * Requests of a group change under the lock of its row: of two administrators who decide at once the second finds it decided (1206).
 */
#include "group.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <string.h>

#define LIST_MAX 1000

enum { PENDING = 0, AGREED = 1, REFUSED = -1, NO_RESULT = 99 };

#define COLUMNS                                                                                                                      \
    "user_id, group_id, handle_result, req_msg, handle_msg, req_time, handle_user_id, handle_time, ex, join_source, inviter_user_id"

/* ---- rows ---- */

static Openim__Sdkws__GroupRequest *request_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__GroupRequest *r = logic_new(call, &openim__sdkws__group_request__descriptor);

    r->handleresult = (int32_t)logic_cell_int(rows, row, 2);
    r->reqmsg = logic_cell_text(rows, row, 3);
    r->handlemsg = logic_cell_text(rows, row, 4);
    r->reqtime = logic_cell_int(rows, row, 5);
    r->handleuserid = logic_cell_text(rows, row, 6);
    r->handletime = logic_cell_int(rows, row, 7);
    r->ex = logic_cell_text(rows, row, 8);
    r->joinsource = (int32_t)logic_cell_int(rows, row, 9);
    r->inviteruserid = logic_cell_text(rows, row, 10);
    return r;
}

/* With group and applicant; one whose user is gone keeps the id alone. */
static int requests_of_rows(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Sdkws__GroupRequest ***out, size_t *n)
{
    Openim__Sdkws__UserInfo **users = logic_list(call, rows->n);
    Openim__Sdkws__GroupInfo **groups = logic_list(call, rows->n);
    char **user_ids = logic_list(call, rows->n), **group_ids = logic_list(call, rows->n);
    int rc;

    for (size_t i = 0; i < rows->n; i++) {
        user_ids[i] = logic_cell_text(rows, i, 0);
        group_ids[i] = logic_cell_text(rows, i, 1);
    }
    rc = logic_users(call, user_ids, rows->n, users);
    if (rc == OIM_OK) rc = logic_groups(call, group_ids, rows->n, groups);
    if (rc) return rc;
    *out = logic_list(call, rows->n);
    *n = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        Openim__Sdkws__GroupRequest *r = request_of_row(call, rows, i);

        if (users[i]) {
            r->userinfo = logic_public_user(call, users[i]);
        } else {
            r->userinfo = logic_new(call, &openim__sdkws__public_user_info__descriptor);
            r->userinfo->userid = user_ids[i];
        }
        r->groupinfo = groups[i];
        (*out)[i] = r;
    }
    return OIM_OK;
}

static int requests_of_group(struct logic_call *call, const char *group_id, char *const *users, size_t n_users,
                             Openim__Sdkws__GroupRequest ***out, size_t *n)
{
    struct oim_sql_value args[] = {oim_sql_text(group_id)};
    struct oim_sql_rows rows;
    int rc;

    rc = logic_sql_in(call->lane, "SELECT " COLUMNS " FROM group_requests WHERE group_id = ? AND user_id IN", args, 1,
                      logic_text_values(call->lane->arena, users, n_users), n_users, "ORDER BY req_time DESC, user_id", &rows);
    return rc ? rc : requests_of_rows(call, &rows, out, n);
}

int logic_group_requests_put(struct logic_call *call, const char *group_id, char *const *users, size_t n,
                             const Openim__Sdkws__GroupRequest *like)
{
    enum { PLACES = 10 };
    static const char head[] = "REPLACE INTO group_requests (group_id, user_id, handle_result, req_msg, handle_msg, req_time, handle_user_id,"
                               " ex, join_source, inviter_user_id) VALUES ";
    struct oim_sql_value *args = logic_array(call, n * PLACES, sizeof(*args));
    int64_t now = oim_now_ms();

    for (size_t i = 0; i < n; i++) {
        struct oim_sql_value row[PLACES] = {oim_sql_text(group_id), oim_sql_text(users[i]), oim_sql_int(PENDING),
                                            oim_sql_text(like->reqmsg), oim_sql_text(""), oim_sql_int(now), oim_sql_text(""),
                                            oim_sql_text(like->ex), oim_sql_int(like->joinsource), oim_sql_text(like->inviteruserid)};

        memcpy(args + i * PLACES, row, sizeof(row));
    }
    return logic_sql_rows(call->lane, head, args, PLACES, n, "");
}

/* ---- notices ---- */

/* Names what happened to a request: clients show each of them once, however many copies reach them. */
static char *request_uuid(struct logic_call *call, int32_t type, const Openim__Sdkws__GroupRequest *r)
{
    struct oim_arena *a = call->lane->arena;
    char *text = oim_arena_printf(a, "%d/%s/%s/%" PRId64, type, r->groupinfo->groupid, r->userinfo->userid, r->reqtime);
    char *uuid = oim_arena_alloc(a, 33);

    oim_hash_md5_hex(uuid, text, strlen(text));
    return uuid;
}

/* Adds id unless it is there. */
static void receiver_add(char **ids, size_t *n, char *id)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(ids[i], id) == 0) return;
    }
    ids[(*n)++] = id;
}

/* The managers of the group and two more; each once. */
static int receivers(struct logic_call *call, const char *group_id, char *first, char *second, char ***ids, size_t *n)
{
    char **managers;
    size_t n_managers;
    int rc = logic_group_managers(call, group_id, &managers, &n_managers);

    if (rc) return rc;
    *ids = logic_list(call, n_managers + 2);
    memcpy(*ids, managers, n_managers * sizeof(**ids));
    *n = n_managers;
    receiver_add(*ids, n, first);
    receiver_add(*ids, n, second);
    return OIM_OK;
}

static int tell(struct logic_call *call, int32_t type, const ProtobufCMessage *tips, char *to)
{
    struct logic_notice notice = {
        .content_type = type, .session_type = LOGIC_SESSION_SINGLE, .send_id = call->up->userid, .recv_id = to, .tips = tips};

    return logic_notify(call, &notice);
}

int logic_group_requests_notify(struct logic_call *call, const char *group_id, char *const *users, size_t n, char *applicant)
{
    Openim__Sdkws__GroupRequest **requests;
    Openim__Sdkws__UserInfo *user;
    char **to;
    size_t n_requests, n_to;
    int rc = requests_of_group(call, group_id, users, n, &requests, &n_requests);

    if (rc == OIM_OK) rc = logic_users(call, &applicant, 1, &user);
    if (rc == OIM_OK) rc = receivers(call, group_id, applicant, call->up->userid, &to, &n_to);
    if (rc) return rc;
    for (size_t i = 0; i < n_requests && rc == OIM_OK; i++) {
        Openim__Sdkws__JoinGroupApplicationTips *tips = logic_new(call, &openim__sdkws__join_group_application_tips__descriptor);

        if (requests[i]->handleresult != PENDING || requests[i]->groupinfo == NULL) continue; /* decided meanwhile */
        tips->group = requests[i]->groupinfo;
        tips->applicant = user ? logic_public_user(call, user) : requests[i]->userinfo;
        tips->reqmsg = requests[i]->reqmsg;
        tips->uuid = request_uuid(call, LOGIC_N_JOIN_APPLICATION, requests[i]);
        tips->request = requests[i];
        for (size_t t = 0; t < n_to && rc == OIM_OK; t++) rc = tell(call, LOGIC_N_JOIN_APPLICATION, &tips->base, to[t]);
    }
    return rc;
}

/* ---- lists ---- */

/* Which requests a list shows; the rest of its query is made from this. */
struct filter {
    const char *where;        /* with one place for id, or none */
    const char *id;
    char *const *groups;      /* n_groups 0: any */
    size_t n_groups;
    const int32_t *results;   /* n_results 0: any */
    size_t n_results;
};

/* AND handle_result IN (?, ?, ?): always three places, so that few texts are prepared. */
static size_t results_args(const struct filter *f, struct oim_sql_value *args)
{
    static const int32_t known[] = {PENDING, AGREED, REFUSED};

    for (size_t k = 0; k < 3; k++) {
        bool wanted = f->n_results == 0;

        for (size_t i = 0; i < f->n_results; i++) wanted = wanted || f->results[i] == known[k];
        args[k] = oim_sql_int(wanted ? known[k] : NO_RESULT);
    }
    return 3;
}

static int filtered(struct logic_call *call, const struct filter *f, const char *columns, const char *tail, const struct logic_page *page,
                    struct oim_sql_rows *rows)
{
    size_t places = 0, n = 0;
    struct oim_sql_value *args = logic_array(call, 6 + 2 * f->n_groups, sizeof(*args));
    struct oim_buf sql = {0};
    int rc;

    oim_buf_puts(&sql, columns);
    oim_buf_puts(&sql, f->where);
    if (f->id) args[n++] = oim_sql_text(f->id);
    oim_buf_puts(&sql, " AND handle_result IN (?,?,?)");
    n += results_args(f, args + n);
    if (f->n_groups) {
        for (places = 1; places < f->n_groups;) places *= 2;
        oim_buf_puts(&sql, " AND group_id IN ");
        oim_sql_places(&sql, 1, places);
        for (size_t i = 0; i < places; i++) args[n++] = oim_sql_text(f->groups[i < f->n_groups ? i : f->n_groups - 1]);
    }
    oim_buf_puts(&sql, tail);
    if (page) {
        args[n++] = oim_sql_int(page->limit);
        args[n++] = oim_sql_int(page->offset);
    }
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(call->lane->db, call->lane->arena, (const char *)sql.data, args, n, rows, NULL);
    oim_buf_free(&sql);
    return rc;
}

static int requests_page(struct logic_call *call, const struct filter *f, const struct logic_page *page, uint32_t *total,
                         Openim__Sdkws__GroupRequest ***out, size_t *n)
{
    struct oim_sql_rows rows = {0};
    int rc = filtered(call, f, "SELECT COUNT(*) FROM group_requests", "", NULL, &rows);

    if (rc) return rc;
    *total = (uint32_t)logic_cell_int(&rows, 0, 0);
    if (page->limit == 0 || page->offset >= *total) return OIM_OK;
    rc = filtered(call, f, "SELECT " COLUMNS " FROM group_requests", " ORDER BY req_time DESC, group_id, user_id LIMIT ? OFFSET ?", page,
                  &rows);
    return rc ? rc : requests_of_rows(call, &rows, out, n);
}

static int lists_check(struct logic_call *call, size_t n_groups, size_t n_results)
{
    if (n_groups > LIST_MAX) return logic_args(call, "groupIDs has more than %d entries", LIST_MAX);
    if (n_results > LIST_MAX) return logic_args(call, "handleResults has more than %d entries", LIST_MAX);
    return OIM_OK;
}

#define MANAGED " WHERE group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = ? AND m.role_level >= 60)"

/* 1002 unless op is the owner or an administrator of each. */
static int managers_check(struct logic_call *call, char *const *groups, size_t n)
{
    static const char head[] = "SELECT group_id FROM group_members WHERE user_id = ? AND role_level >= 60 AND group_id IN";
    struct oim_sql_value args[] = {oim_sql_text(call->up->userid)};
    struct logic_index *index = logic_index_new(call->lane->arena, groups, n);
    struct oim_sql_rows rows;
    size_t distinct = 0;
    int rc;

    if (call->admin) return OIM_OK;
    for (size_t i = 0; i < n; i++) distinct += logic_index_find(index, groups[i]) == i;
    rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(call->lane->arena, groups, n), n, "", &rows);
    if (rc) return rc;
    return rows.n == distinct ? OIM_OK : logic_fail(call, OIM_C_PERMISSION, "neither owner nor administrator of all groups");
}

static int get_recv_group_application_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupApplicationListReq *req = (const void *)req_;
    Openim__Group__GetGroupApplicationListResp *res = (void *)res_;
    struct filter filter = {MANAGED, req->fromuserid, NULL, 0, req->handleresults, req->n_handleresults};
    struct logic_page page;
    int rc;

    if (req->fromuserid[0] == '\0') return logic_args(call, "fromUserID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = lists_check(call, req->n_groupids, req->n_handleresults);
    if (rc == OIM_OK) rc = logic_self(call, req->fromuserid);
    if (rc == OIM_OK && req->n_groupids) rc = managers_check(call, req->groupids, req->n_groupids);
    if (rc) return rc;
    if (req->n_groupids) {
        filter = (struct filter){" WHERE 1 = 1", NULL, req->groupids, req->n_groupids, req->handleresults, req->n_handleresults};
    }
    return requests_page(call, &filter, &page, &res->total, &res->grouprequests, &res->n_grouprequests);
}

static int get_user_req_group_application_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetUserReqApplicationListReq *req = (const void *)req_;
    Openim__Group__GetUserReqApplicationListResp *res = (void *)res_;
    struct filter filter = {" WHERE user_id = ?", req->userid, req->groupids, req->n_groupids, req->handleresults, req->n_handleresults};
    Openim__Sdkws__UserInfo *user;
    struct logic_page page;
    char *user_id = req->userid;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = lists_check(call, req->n_groupids, req->n_handleresults);
    if (rc == OIM_OK) rc = logic_self(call, user_id);
    if (rc == OIM_OK) rc = logic_users(call, &user_id, 1, &user);
    if (rc) return rc;
    if (user == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user not found: %s", user_id);
    return requests_page(call, &filter, &page, &res->total, &res->grouprequests, &res->n_grouprequests);
}

static int get_group_users_req_application_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetGroupUsersReqApplicationListReq *req = (const void *)req_;
    Openim__Group__GetGroupUsersReqApplicationListResp *res = (void *)res_;
    int rc;

    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);
    if (rc == OIM_OK && req->n_userids > LIST_MAX) return logic_args(call, "userIDs has more than %d entries", LIST_MAX);
    if (rc == OIM_OK) rc = logic_group_admin_check(call, req->groupid, OIM_C_PERMISSION);
    if (rc == OIM_OK) {
        rc = requests_of_group(call, req->groupid, req->userids, req->n_userids, &res->grouprequests, &res->n_grouprequests);
    }
    res->total = (int64_t)res->n_grouprequests;
    return rc;
}

static int get_specified_user_group_request_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GetSpecifiedUserGroupRequestInfoReq *req = (const void *)req_;
    Openim__Group__GetSpecifiedUserGroupRequestInfoResp *res = (void *)res_;
    char *user_id = req->userid;
    int rc = OIM_OK;

    if (strcmp(call->up->userid, user_id)) rc = logic_group_admin_check(call, req->groupid, OIM_C_PERMISSION);
    if (rc == OIM_OK) rc = requests_of_group(call, req->groupid, &user_id, 1, &res->grouprequests, &res->n_grouprequests);
    res->total = (uint32_t)res->n_grouprequests;
    return rc;
}

static int get_group_application_unhandled_count(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT COUNT(*) FROM group_requests" MANAGED " AND handle_result = 0 AND req_time > ?";
    const Openim__Group__GetGroupApplicationUnhandledCountReq *req = (const void *)req_;
    Openim__Group__GetGroupApplicationUnhandledCountResp *res = (void *)res_;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(req->time)};
    struct oim_sql_rows rows = {0};
    int rc = logic_self(call, req->userid);

    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);
    if (rc == OIM_OK) res->count = logic_cell_int(&rows, 0, 0);
    return rc;
}

/* ---- the decision ---- */

static int request_decide(struct logic_call *call, const Openim__Group__GroupApplicationResponseReq *req, Openim__Sdkws__GroupRequest *r)
{
    static const char sql[] = "UPDATE group_requests SET handle_result = ?, handle_msg = ?, handle_user_id = ?, handle_time = ?"
                              " WHERE group_id = ? AND user_id = ?";
    int64_t now = oim_now_ms();
    struct oim_sql_value args[] = {oim_sql_int(req->handleresult), oim_sql_text(req->handledmsg), oim_sql_text(call->up->userid),
                                   oim_sql_int(now), oim_sql_text(req->groupid), oim_sql_text(req->fromuserid)};

    r->handleresult = req->handleresult;
    r->handlemsg = req->handledmsg;
    r->handleuserid = call->up->userid;
    r->handletime = now;
    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 6, NULL, NULL);
}

/* N1505 or N1506, which have the same members, to the managers and the applicant. */
static int decision_notify(struct logic_call *call, const Openim__Sdkws__GroupInfo *group, Openim__Sdkws__GroupMemberFullInfo *op,
                           Openim__Sdkws__GroupRequest *r)
{
    Openim__Sdkws__GroupApplicationAcceptedTips yes = OPENIM__SDKWS__GROUP_APPLICATION_ACCEPTED_TIPS__INIT;
    Openim__Sdkws__GroupApplicationRejectedTips no = OPENIM__SDKWS__GROUP_APPLICATION_REJECTED_TIPS__INIT;
    int32_t type = r->handleresult == AGREED ? LOGIC_N_APPLICATION_ACCEPTED : LOGIC_N_APPLICATION_REJECTED;
    char **to, *applicant = r->userinfo->userid;
    size_t n;
    int rc = receivers(call, group->groupid, applicant, applicant, &to, &n);

    yes.group = no.group = (Openim__Sdkws__GroupInfo *)group;
    yes.opuser = no.opuser = op;
    yes.handlemsg = no.handlemsg = r->handlemsg;
    yes.request = no.request = r;
    yes.uuid = no.uuid = request_uuid(call, type, r);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        yes.receiveras = no.receiveras = strcmp(to[i], applicant) != 0;
        rc = tell(call, type, type == LOGIC_N_APPLICATION_ACCEPTED ? &yes.base : &no.base, to[i]);
    }
    return rc;
}

/* Agreed: the applicant is a member from now on. */
static int applicant_add(struct logic_call *call, const char *group_id, const Openim__Sdkws__GroupRequest *r, struct logic_version *version)
{
    Openim__Sdkws__GroupMemberFullInfo *m = logic_new(call, &openim__sdkws__group_member_full_info__descriptor);

    m->userid = r->userinfo->userid;
    m->rolelevel = LOGIC_ROLE_MEMBER;
    m->joinsource = r->joinsource;
    m->inviteruserid = r->inviteruserid;
    m->operatoruserid = call->up->userid;
    return logic_group_add(call, group_id, &m, 1, false, version);
}

static int response_check(struct logic_call *call, const Openim__Group__GroupApplicationResponseReq *req)
{
    if (req->groupid[0] == '\0') return logic_args(call, "groupID is empty");
    if (req->fromuserid[0] == '\0') return logic_args(call, "fromUserID is empty");
    if (req->handleresult != AGREED && req->handleresult != REFUSED) return logic_args(call, "handleResult is invalid");
    return logic_check_text(call, "handledMsg", req->handledmsg);
}

static int group_application_response(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GroupApplicationResponseReq *req = (const void *)req_;
    Openim__Sdkws__GroupMemberFullInfo *member, *op;
    Openim__Sdkws__GroupRequest **requests, *r;
    Openim__Sdkws__GroupInfo *group;
    struct logic_version version;
    char *user_id = req->fromuserid;
    size_t n;
    bool joins;
    int rc = response_check(call, req);

    if (rc == OIM_OK) rc = logic_group_lock(call, req->groupid, false, &group);
    if (rc == OIM_OK) rc = logic_group_admin_check(call, req->groupid, OIM_C_NOTFOUND);
    if (rc) return rc;
    if (group->status == LOGIC_GROUP_DISMISSED) return logic_fail(call, OIM_C_DISMISSED, "group dismissed: %s", req->groupid);
    rc = requests_of_group(call, req->groupid, &user_id, 1, &requests, &n);
    if (rc == OIM_OK) rc = logic_group_member(call, req->groupid, user_id, &member);
    if (rc) return rc;
    if (n == 0) return logic_fail(call, OIM_C_NOTFOUND, "no request of %s", user_id);
    r = requests[0];
    if (r->handleresult != PENDING) return logic_fail(call, OIM_C_JOIN_HANDLED, "the request is decided already");
    joins = req->handleresult == AGREED && member == NULL;
    rc = request_decide(call, req, r);
    if (rc == OIM_OK && joins) rc = applicant_add(call, req->groupid, r, &version);
    if (rc == OIM_OK) rc = logic_group_info(call, req->groupid, &group);
    if (rc == OIM_OK) rc = logic_group_op_user(call, req->groupid, &op);
    if (rc) return rc;
    r->groupinfo = group;
    rc = decision_notify(call, group, op, r);
    if (rc || !joins) return rc;
    if (r->inviteruserid[0]) return logic_group_invited_notify(call, group, &user_id, 1, r->inviteruserid, &version, LOGIC_DEFAULT);
    return logic_group_enter_notify(call, group, user_id, &version);
}

#define GROUP(name) &openim__group__##name##_req__descriptor, &openim__group__##name##_resp__descriptor

const struct logic_route logic_group_apply_routes[] = {
    {"/group/get_recv_group_applicationList", 0, LOGIC_SELF, GROUP(get_group_application_list), get_recv_group_application_list,
     LOGIC_READ},
    {"/group/get_user_req_group_applicationList", 0, LOGIC_SELF, GROUP(get_user_req_application_list), get_user_req_group_application_list,
     LOGIC_READ},
    {"/group/get_group_users_req_application_list", 0, LOGIC_GROUP_ADMIN, GROUP(get_group_users_req_application_list),
     get_group_users_req_application_list, LOGIC_READ},
    {"/group/get_specified_user_group_request_info", 0, LOGIC_GROUP_ADMIN, GROUP(get_specified_user_group_request_info),
     get_specified_user_group_request_info, LOGIC_READ},
    {"/group/get_group_application_unhandled_count", 0, LOGIC_SELF, GROUP(get_group_application_unhandled_count),
     get_group_application_unhandled_count, LOGIC_READ},
    {"/group/group_application_response", 0, LOGIC_GROUP_ADMIN, GROUP(group_application_response), group_application_response, LOGIC_TX},
    {0},
};
