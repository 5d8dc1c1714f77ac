/*
 * /user: registration and what is read of accounts (rest.md B.2, C.1); user.h names the files beside this one, online status is
 * presence.c. Rows are in table users; whoever changes one tells the caches.
 */
#include "user.h"

#include "row_cache.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define COLUMNS "user_id, nickname, face_url, ex, create_time, app_manger_level, global_recv_msg_opt"
#define ID_BYTES 255    /* of the columns */

#define SEARCH_NEWEST 50000 /* users whose names are looked into */
#define SEARCH_FOUND 10000  /* matches of one kind */

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void unicode_load(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* ---- rows ---- */

static Openim__Sdkws__UserInfo *user_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    Openim__Sdkws__UserInfo *u = logic_new(call, &openim__sdkws__user_info__descriptor);

    u->userid = logic_cell_text(rows, row, 0);
    u->nickname = logic_cell_text(rows, row, 1);
    u->faceurl = logic_cell_text(rows, row, 2);
    u->ex = logic_cell_text(rows, row, 3);
    u->createtime = logic_cell_int(rows, row, 4);
    u->appmangerlevel = (int32_t)logic_cell_int(rows, row, 5);
    u->globalrecvmsgopt = (int32_t)logic_cell_int(rows, row, 6);
    return u;
}

static int users_load(struct logic_call *call, const char *scope, char *const *ids, size_t n, ProtobufCMessage **out)
{
    static const char head[] = "SELECT " COLUMNS " FROM users FORCE INDEX (PRIMARY) WHERE user_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) out[i] = NULL;
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, ids, n), n, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) out[at] = &user_of_row(call, &rows, i)->base;
    }
    for (size_t i = 0; i < n; i++) { /* an id asked for twice has its row at its first place */
        if (out[i] == NULL) out[i] = out[logic_index_find(index, ids[i])];
    }
    return OIM_OK;
}

int logic_users(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__UserInfo **users)
{
    static const struct logic_row_kind profiles = {'u', true, &openim__sdkws__user_info__descriptor, users_load};
    ProtobufCMessage **rows = logic_list(call, n);
    int rc = logic_rows_get(call, &profiles, "", 0, ids, n, rows);

    for (size_t i = 0; i < n; i++) users[i] = rc ? NULL : (Openim__Sdkws__UserInfo *)rows[i];
    return rc;
}

int logic_user_exists(struct logic_call *call, char *user_id)
{
    Openim__Sdkws__UserInfo *user;
    int rc = logic_users(call, &user_id, 1, &user);

    if (rc) return rc;
    return user ? OIM_OK : logic_fail(call, OIM_C_NOTFOUND, "user %s not found", user_id);
}

int logic_user_lock(struct logic_call *call, const char *user_id, Openim__Sdkws__UserInfo **user)
{
    struct oim_sql_value args[] = {oim_sql_text(user_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, "SELECT " COLUMNS " FROM users WHERE user_id = ? FOR UPDATE", args, 1, &rows,
                          NULL);

    *user = rc == OIM_OK && rows.n ? user_of_row(call, &rows, 0) : NULL;
    return rc;
}

Openim__Sdkws__PublicUserInfo *logic_public_user(struct logic_call *call, const Openim__Sdkws__UserInfo *user)
{
    Openim__Sdkws__PublicUserInfo *p = logic_new(call, &openim__sdkws__public_user_info__descriptor);

    p->userid = user->userid;
    p->nickname = user->nickname;
    p->faceurl = user->faceurl;
    p->ex = user->ex;
    return p;
}

/* ---- register ---- */

/* Letters, digits and _ (rest.md A.15). */
static bool user_id_valid(const char *id)
{
    size_t len = strlen(id);
    mbstate_t state = {0};
    wchar_t c;

    pthread_once(&unicode_once, unicode_load);
    if (len == 0 || len > ID_BYTES) return false;
    for (const char *p = id; *p;) {
        locale_t old = uselocale(unicode ? unicode : LC_GLOBAL_LOCALE);
        size_t used = mbrtowc(&c, p, strlen(p), &state);

        uselocale(old);
        if (used == 0 || used > 4) return false;
        if (c != L'_' && !(unicode ? iswalnum_l((wint_t)c, unicode) : iswalnum((wint_t)c))) return false;
        p += used;
    }
    return true;
}

int logic_user_check(struct logic_call *call, const char *nickname, const char *face_url, const char *ex)
{
    int rc = logic_check_name(call, "nickname", nickname);

    if (rc == OIM_OK) rc = logic_check_text(call, "faceURL", face_url);
    return rc ? rc : logic_check_text(call, "ex", ex);
}

static int register_check(struct logic_call *call, const Openim__User__UserRegisterReq *req)
{
    char **ids = logic_list(call, req->n_users);

    if (req->n_users == 0) return logic_args(call, "users is empty");
    if (req->n_users > LOGIC_IDS_MAX) return logic_args(call, "users has more than %d entries", LOGIC_IDS_MAX);
    for (size_t i = 0; i < req->n_users; i++) {
        const Openim__Sdkws__UserInfo *u = req->users[i];

        if (u == NULL) return logic_args(call, "users has an empty entry");
        if (!user_id_valid(u->userid)) return logic_args(call, "userID is invalid");
        if (u->nickname[0] == '\0') return logic_args(call, "nickname is empty");
        if (logic_user_check(call, u->nickname, u->faceurl, u->ex)) return OIM_EFAIL;
        ids[i] = u->userid;
    }
    if (logic_admin(call)) return OIM_EFAIL;
    return logic_check_ids(call, "userID", ids, req->n_users, true);
}

int logic_users_insert(struct logic_call *call, Openim__Sdkws__UserInfo *const *users, size_t n)
{
    struct oim_sql_value *args = logic_array(call, n * 7, sizeof(*args)), *arg = args;
    int64_t now = oim_now_ms();
    int rc;

    for (size_t i = 0; i < n; i++) {
        *arg++ = oim_sql_text(users[i]->userid);
        *arg++ = oim_sql_text(users[i]->nickname);
        *arg++ = oim_sql_text(users[i]->faceurl);
        *arg++ = oim_sql_text(users[i]->ex);
        *arg++ = oim_sql_int(now);
        *arg++ = oim_sql_int(users[i]->appmangerlevel);
        *arg++ = oim_sql_int(users[i]->globalrecvmsgopt);
    }
    rc = logic_sql_rows(call->lane, "INSERT INTO users (" COLUMNS ") VALUES ", args, 7, n, "");
    for (size_t i = 0; i < n && rc == OIM_OK; i++) logic_changed(call, "user", users[i]->userid);
    return rc;
}

/* All or nothing (rest.md C.1). */
static int user_register(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UserRegisterReq *req = (const void *)req_;
    int rc = register_check(call, req);

    if (rc == OIM_OK) rc = logic_users_insert(call, req->users, req->n_users);
    return rc == OIM_EEXIST ? logic_fail(call, OIM_C_REGISTERED, "userID registered already") : rc;
}

/* ---- reads ---- */

static int get_users_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__GetDesignateUsersReq *req = (const void *)req_;
    Openim__User__GetDesignateUsersResp *res = (void *)res_;
    Openim__Sdkws__UserInfo **users = logic_list(call, req->n_userids);
    struct logic_index *index;
    int rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);

    if (rc == OIM_OK) rc = logic_users(call, req->userids, req->n_userids, users);
    if (rc) return rc;
    index = logic_index_new(call->lane->arena, req->userids, req->n_userids);
    res->usersinfo = logic_list(call, req->n_userids);
    for (size_t i = 0; i < req->n_userids; i++) {
        if (users[i] && logic_index_find(index, req->userids[i]) == i) res->usersinfo[res->n_usersinfo++] = users[i];
    }
    return OIM_OK;
}

static int account_check(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__AccountCheckReq *req = (const void *)req_;
    Openim__User__AccountCheckResp *res = (void *)res_;
    Openim__Sdkws__UserInfo **users = logic_list(call, req->n_checkuserids);
    int rc = logic_check_ids(call, "checkUserIDs", req->checkuserids, req->n_checkuserids, true);

    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = logic_users(call, req->checkuserids, req->n_checkuserids, users);
    if (rc) return rc;
    res->results = logic_list(call, req->n_checkuserids);
    for (size_t i = 0; i < req->n_checkuserids; i++) {
        Openim__User__AccountCheckResp__SingleUserStatus *s =
            logic_new(call, &openim__user__account_check_resp__single_user_status__descriptor);

        s->userid = req->checkuserids[i];
        s->accountstatus = users[i] ? 1 : 0;
        res->results[res->n_results++] = s;
    }
    return OIM_OK;
}

/* ---- lists for administrators ---- */

/* A page that would not fit into one answer is refused, not cut: a short page is the last one (rest.md A.12). */
static int list_page(struct logic_call *call, const Openim__Sdkws__RequestPagination *p, struct logic_page *page)
{
    int rc = logic_page(call, p, page);

    if (rc) return rc;
    if (page->limit > LOGIC_IDS_MAX) return logic_args(call, "showNumber is more than %d", LOGIC_IDS_MAX);
    return logic_admin(call);
}

static int count(struct logic_call *call, const char *sql, int32_t *total)
{
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, NULL, 0, &rows, NULL);

    if (rc == OIM_OK) *total = (int32_t)logic_cell_int(&rows, 0, 0);
    return rc;
}

/* Administrators' data, open to everybody upstream (rest.md C.12). */
static int get_all_users_uid(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT user_id FROM users FORCE INDEX (storage_order) WHERE id > 0 ORDER BY id LIMIT ? OFFSET ?";
    const Openim__User__GetAllUserIDReq *req = (const void *)req_;
    Openim__User__GetAllUserIDResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc = list_page(call, req->pagination, &page);

    if (rc == OIM_OK) rc = count(call, "SELECT COUNT(*) FROM users FORCE INDEX (created) WHERE create_time >= 0", &res->total);
    if (rc || page.limit == 0) return rc;
    struct oim_sql_value args[] = {oim_sql_int(page.limit), oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);
    if (rc) return rc;
    res->userids = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) res->userids[res->n_userids++] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

/* Ordinary accounts in the order of their rows: rows gets their ids. */
static int users_page(struct logic_call *call, const struct logic_page *page, int32_t *total, struct oim_sql_rows *rows)
{
    static const char sql[] = "SELECT id FROM users FORCE INDEX (page) WHERE id > 0 AND app_manger_level < 2 ORDER BY id LIMIT ? OFFSET ?";
    struct oim_sql_value args[] = {oim_sql_int(page->limit), oim_sql_int(page->offset)};
    int rc = count(call, "SELECT COUNT(*) FROM users FORCE INDEX (level) WHERE app_manger_level < 2", total);

    if (rc || page->limit == 0) return rc;
    return oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, rows, NULL);
}

/* text for LIKE, with what stands around it. */
static struct oim_sql_value pattern(struct logic_call *call, const char *before, const char *text, const char *after)
{
    struct oim_buf out = {0};
    char *s;

    oim_buf_puts(&out, before);
    for (const char *p = text; *p; p++) {
        if (strchr("\\%_", *p)) oim_buf_putc(&out, '\\');
        oim_buf_putc(&out, *p);
    }
    oim_buf_puts(&out, after);
    s = oim_arena_strndup(call->lane->arena, (const char *)out.data, out.len);
    oim_buf_free(&out);
    return oim_sql_text(s);
}

/* The id of the oldest of the SEARCH_NEWEST newest rows, 0 when there are fewer. */
static int newest_from(struct logic_call *call, int64_t *from)
{
    static const char sql[] = "SELECT id FROM users FORCE INDEX (storage_order) WHERE id > 0 ORDER BY id DESC LIMIT 1 OFFSET ?";
    struct oim_sql_value args[] = {oim_sql_int(SEARCH_NEWEST - 1)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    *from = rc == OIM_OK && rows.n ? logic_cell_int(&rows, 0, 0) : 0;
    return rc;
}

/*
 * Upstream looks for a regular expression in every row. Here the text is taken as it is, and the work is bounded: what begins with it is
 * found among all users by the indexes; what contains it, in whatever case, among the newest SEARCH_NEWEST. id or name may be empty.
 */
static int users_search(struct logic_call *call, const char *id, const char *name, struct oim_sql_rows *rows)
{
    static const char begins[] = "(SELECT id FROM users WHERE %s LIKE ? AND app_manger_level < 2 LIMIT %d)";
    static const char contains[] = " UNION (SELECT id FROM users FORCE INDEX (storage_order) WHERE id >= ? AND app_manger_level < 2"
                                   " AND (%s) LIMIT %d) ORDER BY id";
    static const char in_id[] = "user_id COLLATE utf8mb4_general_ci LIKE ?", in_name[] = "nickname COLLATE utf8mb4_general_ci LIKE ?";
    struct oim_sql_value args[5];
    struct oim_buf sql = {0};
    bool both = id[0] && name[0];
    const char *either;
    int64_t from;
    size_t n = 0;
    int rc = newest_from(call, &from);

    if (id[0]) args[n++] = pattern(call, "", id, "%");
    if (name[0]) args[n++] = pattern(call, "", name, "%");
    args[n++] = oim_sql_int(from);
    if (id[0]) args[n++] = pattern(call, "%", id, "%");
    if (name[0]) args[n++] = pattern(call, "%", name, "%");

    if (id[0]) oim_buf_printf(&sql, begins, "user_id", SEARCH_FOUND);
    if (both) oim_buf_puts(&sql, " UNION ");
    if (name[0]) oim_buf_printf(&sql, begins, "nickname", SEARCH_FOUND);
    either = oim_arena_printf(call->lane->arena, "%s%s%s", id[0] ? in_id : "", both ? " OR " : "", name[0] ? in_name : "");
    oim_buf_printf(&sql, contains, either, SEARCH_FOUND);
    oim_buf_putc(&sql, '\0');
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, (const char *)sql.data, args, n, rows, NULL);
    oim_buf_free(&sql);
    return rc;
}

static int get_users(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char head[] = "SELECT " COLUMNS " FROM users FORCE INDEX (storage_order) WHERE id IN";
    const Openim__User__GetPaginationUsersReq *req = (const void *)req_;
    Openim__User__GetPaginationUsersResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    size_t from = 0, n;
    int rc = list_page(call, req->pagination, &page);

    if (rc == OIM_OK) rc = logic_check_name(call, "userID", req->userid);
    if (rc == OIM_OK) rc = logic_check_name(call, "nickName", req->nickname);
    if (rc) return rc;
    if (req->userid[0] || req->nickname[0]) {
        rc = users_search(call, req->userid, req->nickname, &rows);
        res->total = (int32_t)rows.n;
        from = (uint64_t)page.offset < rows.n ? (size_t)page.offset : rows.n;
    } else {
        rc = users_page(call, &page, &res->total, &rows);
    }
    n = (uint64_t)page.limit < rows.n - from ? (size_t)page.limit : rows.n - from;
    if (rc || n == 0) return rc;

    rc = logic_sql_in(call->lane, head, NULL, 0, rows.cells + from, n, "ORDER BY id", &rows);
    if (rc) return rc;
    res->users = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) res->users[res->n_users++] = user_of_row(call, &rows, i);
    return OIM_OK;
}

const struct logic_route logic_user_routes[] = {
    {"/user/user_register", 0, LOGIC_ADMIN, USER_ROUTE(user_register), user_register, LOGIC_TX},
    {"/user/get_users_info", 0, LOGIC_ANY, USER_ROUTE(get_designate_users), get_users_info, LOGIC_READ},
    {"/user/account_check", 0, LOGIC_ADMIN, USER_ROUTE(account_check), account_check, LOGIC_READ},
    {"/user/get_all_users_uid", 0, LOGIC_ADMIN, &openim__user__get_all_user_idreq__descriptor,
     &openim__user__get_all_user_idresp__descriptor, get_all_users_uid, LOGIC_SEARCH},
    {"/user/get_users", 0, LOGIC_ADMIN, USER_ROUTE(get_pagination_users), get_users, LOGIC_SEARCH},
    {0},
};
