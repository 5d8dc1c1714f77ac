/*
 * /user: accounts and profiles (rest.md B.2, C.1). Online status is presence.c. Rows are in table users;
 * whoever changes one tells the caches before the answer leaves.
 */
#include "notify.h"

#include "user.pb-c.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define COLUMNS "user_id, nickname, face_url, ex, create_time, app_manger_level, global_recv_msg_opt"
#define INSERT_ROWS 128 /* of one statement */
#define ID_BYTES 255    /* of the columns */

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

int logic_users(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__UserInfo **users)
{
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) users[i] = NULL;
    rc = logic_sql_in(call->lane, "SELECT " COLUMNS " FROM users WHERE user_id IN", NULL, 0, logic_text_values(a, ids, n), n,
                      "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) users[at] = user_of_row(call, &rows, i);
    }
    for (size_t i = 0; i < n; i++) { /* an id asked for twice has its row at its first place */
        if (users[i] == NULL) users[i] = users[logic_index_find(index, ids[i])];
    }
    return OIM_OK;
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
        if (strlen(u->nickname) > 4 * ID_BYTES) return logic_args(call, "nickname is too long");
        ids[i] = u->userid;
    }
    if (logic_admin(call)) return OIM_EFAIL;
    return logic_check_ids(call, "userID", ids, req->n_users, true);
}

static int register_rows(struct logic_call *call, Openim__Sdkws__UserInfo *const *users, size_t n)
{
    struct oim_buf sql = {0};
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
    oim_buf_puts(&sql, "INSERT INTO users (" COLUMNS ") VALUES ");
    oim_sql_places(&sql, n, 7);
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(call->lane->db, call->lane->arena, (const char *)sql.data, args, n * 7, NULL, NULL);
    oim_buf_free(&sql);
    return rc;
}

/* The rows are committed: a cache that cannot be told (Redis away) must not fail the call. Caches start
 * empty when they come back to Redis. */
static void users_changed(struct logic_call *call, Openim__Sdkws__UserInfo *const *users, size_t n)
{
    oim_redis_reset(call->lane->rds);
    for (size_t i = 0; i < n; i++) oim_redis_add(call->lane->rds, "PUBLISH oim:cache user:%s", users[i]->userid);
    oim_redis_run(call->lane->rds);
    oim_redis_reset(call->lane->rds);
}

/* All or nothing (rest.md C.1). */
static int user_register(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UserRegisterReq *req = (const void *)req_;
    int rc = register_check(call, req);

    if (rc == OIM_OK) rc = oim_sql_begin(call->lane->db);
    for (size_t done = 0; rc == OIM_OK && done < req->n_users; done += INSERT_ROWS) {
        size_t step = req->n_users - done < INSERT_ROWS ? req->n_users - done : INSERT_ROWS;

        rc = register_rows(call, req->users + done, step);
    }
    if (rc == OIM_EEXIST) return logic_fail(call, OIM_C_REGISTERED, "userID registered already");
    if (rc == OIM_OK) rc = oim_sql_commit(call->lane->db);
    if (rc == OIM_OK) users_changed(call, req->users, req->n_users);
    return rc;
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

static int get_all_users_uid(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char count_sql[] = "SELECT COUNT(*) FROM users";
    static const char page_sql[] = "SELECT user_id FROM users ORDER BY id LIMIT ? OFFSET ?";
    const Openim__User__GetAllUserIDReq *req = (const void *)req_;
    Openim__User__GetAllUserIDResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc = logic_page(call, req->pagination, &page);

    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, count_sql, NULL, 0, &rows, NULL);
    if (rc) return rc;
    res->total = (int32_t)logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;
    struct oim_sql_value args[] = {oim_sql_int(page.limit), oim_sql_int(page.offset)};
    rc = oim_sql_exec(call->lane->db, call->lane->arena, page_sql, args, 2, &rows, NULL);
    if (rc) return rc;
    res->userids = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) res->userids[res->n_userids++] = logic_cell_text(&rows, i, 0);
    return OIM_OK;
}

/* 1004 without a row. */
static int user_exists(struct logic_call *call, char *user_id)
{
    Openim__Sdkws__UserInfo *user;
    int rc = logic_users(call, &user_id, 1, &user);

    if (rc) return rc;
    return user ? OIM_OK : logic_fail(call, OIM_C_NOTFOUND, "user %s not found", user_id);
}

/* No configuration can be set yet: what is there is complete. */
static int get_user_client_config(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__GetUserClientConfigReq *req = (const void *)req_;
    int rc;

    if (req->userid[0] == '\0') return OIM_OK;
    rc = logic_self(call, req->userid);
    return rc == OIM_OK ? user_exists(call, req->userid) : rc;
}

/* ---- changes ---- */

/* The user's clients read the profile again. */
static int user_notify(struct logic_call *call, char *user_id)
{
    Openim__Sdkws__UserInfoUpdatedTips *tips = logic_new(call, &openim__sdkws__user_info_updated_tips__descriptor);
    struct logic_notice notice = {
        .content_type = LOGIC_N_USER_INFO,
        .session_type = 1,
        .send_id = call->up->userid,
        .recv_id = user_id,
        .tips = &tips->base,
    };

    tips->userid = user_id;
    return logic_notify(call, &notice);
}

/* NULL values leave their columns; 1004 without a row. */
static int user_write(struct logic_call *call, char *user_id, struct oim_sql_value nickname, struct oim_sql_value face_url,
                      struct oim_sql_value ex, struct oim_sql_value recv_opt)
{
    static const char sql[] = "UPDATE users SET nickname = COALESCE(?, nickname), face_url = COALESCE(?, face_url),"
                              " ex = COALESCE(?, ex), global_recv_msg_opt = COALESCE(?, global_recv_msg_opt)"
                              " WHERE user_id = ?";
    struct oim_sql_value args[] = {nickname, face_url, ex, recv_opt, oim_sql_text(user_id)};
    int rc;

    if (nickname.kind == OIM_SQL_TEXT && nickname.len > ID_BYTES) return logic_args(call, "nickname is too long");
    rc = user_exists(call, user_id);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 5, NULL, NULL);
    if (rc) return rc;
    logic_cache_invalidate(call->lane, "user", user_id);
    return user_notify(call, user_id);
}

static struct oim_sql_value text_or_null(const char *s)
{
    return oim_sql_text(s[0] ? s : NULL);
}

static struct oim_sql_value int_or_null(int32_t v)
{
    return v ? oim_sql_int(v) : oim_sql_text(NULL);
}

static struct oim_sql_value text_given(const Openim__Protobuf__StringValue *v)
{
    return oim_sql_text(v ? v->value : NULL);
}

static int update_user_info(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UpdateUserInfoReq *req = (const void *)req_;
    const Openim__Sdkws__UserInfo *u = req->userinfo;

    if (u == NULL) return logic_args(call, "userInfo is empty");
    if (u->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (logic_self(call, u->userid)) return OIM_EFAIL;
    return user_write(call, u->userid, text_or_null(u->nickname), text_or_null(u->faceurl), text_or_null(u->ex),
                      int_or_null(u->globalrecvmsgopt));
}

static int update_user_info_ex(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UpdateUserInfoExReq *req = (const void *)req_;
    const Openim__Sdkws__UserInfoWithEx *u = req->userinfo;

    if (u == NULL) return logic_args(call, "userInfo is empty");
    if (u->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (logic_self(call, u->userid)) return OIM_EFAIL;
    return user_write(call, u->userid, text_given(u->nickname), text_given(u->faceurl), text_given(u->ex),
                      u->globalrecvmsgopt ? oim_sql_int(u->globalrecvmsgopt->value) : oim_sql_text(NULL));
}

static int set_global_msg_recv_opt(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__SetGlobalRecvMessageOptReq *req = (const void *)req_;
    struct oim_sql_value none = oim_sql_text(NULL);

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->globalrecvmsgopt < 0 || req->globalrecvmsgopt > 2) return logic_args(call, "globalRecvMsgOpt is invalid");
    if (logic_self(call, req->userid)) return OIM_EFAIL;
    return user_write(call, req->userid, none, none, none, oim_sql_int(req->globalrecvmsgopt));
}

#define USER(req, resp) &openim__user__##req##__descriptor, &openim__user__##resp##__descriptor

/* Routes that only administrators may use check it themselves where validation comes first. */
const struct logic_route logic_user_routes[] = {
    {"/user/user_register", 0, LOGIC_ANY, USER(user_register_req, user_register_resp), user_register, LOGIC_WRITE},
    {"/user/get_users_info", 0, LOGIC_ANY, USER(get_designate_users_req, get_designate_users_resp), get_users_info, LOGIC_READ},
    {"/user/account_check", 0, LOGIC_ANY, USER(account_check_req, account_check_resp), account_check, LOGIC_READ},
    {"/user/get_all_users_uid", 0, LOGIC_ANY, USER(get_all_user_idreq, get_all_user_idresp), get_all_users_uid, LOGIC_READ},
    {"/user/get_user_client_config", 0, LOGIC_ANY, USER(get_user_client_config_req, get_user_client_config_resp),
     get_user_client_config, LOGIC_READ},
    {"/user/update_user_info", 0, LOGIC_ANY, USER(update_user_info_req, update_user_info_resp), update_user_info, LOGIC_WRITE},
    {"/user/update_user_info_ex", 0, LOGIC_ANY, USER(update_user_info_ex_req, update_user_info_ex_resp), update_user_info_ex,
     LOGIC_WRITE},
    {"/user/set_global_msg_recv_opt", 0, LOGIC_ANY, USER(set_global_recv_message_opt_req, set_global_recv_message_opt_resp),
     set_global_msg_recv_opt, LOGIC_WRITE},
    {0},
};
