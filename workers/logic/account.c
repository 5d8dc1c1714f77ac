/*
 * Notification accounts: users of level 3 and above, who write 1400 messages through the administrators' routes (rest.md B.2, C.8).
 */
#include "user.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define LEVEL 3 /* appMangerLevel of a notification account, and above */
#define ID_TRIES 20
#define ADMINS_MAX 64

/* ---- add ---- */

/* Ten digits, the first one not 0. */
static char *id_make(struct logic_call *call)
{
    uint64_t n;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n)) n = (uint64_t)oim_mono_ms() * 6364136223846793005u;
    return oim_arena_printf(call->lane->arena, "%" PRIu64, 1000000000 + n % 9000000000u);
}

/* A user id that nobody has: as given, or made here. */
static int id_choose(struct logic_call *call, const char *given, char **id)
{
    Openim__Sdkws__UserInfo *user;
    int rc;

    for (int i = 0; i < (given[0] ? 1 : ID_TRIES); i++) {
        *id = given[0] ? (char *)given : id_make(call);
        rc = logic_users(call, id, 1, &user);
        if (rc || user == NULL) return rc;
    }
    return logic_args(call, "userID %s is used already", *id);
}

static int add_notification_account(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__AddNotificationAccountReq *req = (const void *)req_;
    Openim__User__AddNotificationAccountResp *res = (void *)res_;
    Openim__Sdkws__UserInfo *user = logic_new(call, &openim__sdkws__user_info__descriptor);
    int rc;

    if (req->nickname[0] == '\0') return logic_args(call, "nickName is empty");
    if (req->appmangerlevel < LEVEL) return logic_args(call, "appMangerLevel is below %d", LEVEL);
    rc = logic_check_id(call, "userID", req->userid);
    if (rc == OIM_OK) rc = logic_user_check(call, req->nickname, req->faceurl, NULL);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = id_choose(call, req->userid, &user->userid);
    if (rc) return rc;
    user->nickname = req->nickname;
    user->faceurl = req->faceurl;
    user->appmangerlevel = req->appmangerlevel;
    rc = logic_users_insert(call, &user, 1);
    if (rc == OIM_EEXIST) return logic_args(call, "userID %s is used already", user->userid);
    res->userid = user->userid;
    res->nickname = req->nickname;
    res->faceurl = req->faceurl;
    res->appmangerlevel = req->appmangerlevel;
    return rc;
}

/* ---- update ---- */

static int update_notification_account(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "UPDATE users SET nickname = COALESCE(?, nickname), face_url = COALESCE(?, face_url) WHERE user_id = ?";
    const Openim__User__UpdateNotificationAccountInfoReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->nickname[0] ? req->nickname : NULL),
                                   oim_sql_text(req->faceurl[0] ? req->faceurl : NULL), oim_sql_text(req->userid)};
    uint64_t found = 0;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->nickname[0] == '\0' && req->faceurl[0] == '\0') return logic_args(call, "nickName and faceURL are empty");
    rc = logic_user_check(call, req->nickname, req->faceurl, NULL);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, NULL, &found);
    if (rc) return rc;
    if (found == 0) return logic_args(call, "user %s not found", req->userid);
    logic_changed(call, "user", req->userid);
    return OIM_OK;
}

/* ---- search ---- */

/* " AND user_id NOT IN (...)" for general.admin_users, with its arguments. */
static const char *without_admins(struct logic_call *call, struct oim_sql_value *args, size_t *n)
{
    char *list = oim_arena_strdup(call->lane->arena, call->lane->app->conf.general.admin_users), *save = NULL, *text;
    struct oim_buf sql = {0};
    size_t admins = 0;

    for (char *id = strtok_r(list, ", ", &save); id && admins < ADMINS_MAX; id = strtok_r(NULL, ", ", &save), admins++) {
        args[(*n)++] = oim_sql_text(id);
    }
    if (admins == 0) return "";
    oim_buf_puts(&sql, " AND user_id NOT IN ");
    oim_sql_places(&sql, 1, admins);
    text = oim_arena_strndup(call->lane->arena, (const char *)sql.data, sql.len);
    oim_buf_free(&sql);
    return text;
}

/* column: where keyword stands, NULL: everywhere. level 0: any of LEVEL and above. */
static int search(struct logic_call *call, const char *column, char *keyword, int32_t level, const struct logic_page *page,
                  Openim__User__SearchNotificationAccountResp *res)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[ADMINS_MAX + 4];
    struct oim_sql_rows rows = {0};
    const char *where;
    size_t n = 0;
    int rc;

    if (column) args[n++] = oim_sql_text(keyword);
    args[n++] = oim_sql_int(level ? level : LEVEL);
    where = without_admins(call, args, &n);
    where = oim_arena_printf(a, "%s%sapp_manger_level %s ?%s", column ? column : "", column ? " = ? AND " : "", level ? "=" : ">=", where);
    rc = oim_sql_exec(call->lane->db, a, oim_arena_printf(a, "SELECT COUNT(*) FROM users WHERE %s", where), args, n, &rows, NULL);
    if (rc) return rc;
    res->total = logic_cell_int(&rows, 0, 0);
    if (page->limit == 0 || res->total == 0) return OIM_OK;

    args[n++] = oim_sql_int(page->limit);
    args[n++] = oim_sql_int(page->offset);
    rc = oim_sql_exec(call->lane->db, a,
                      oim_arena_printf(a, "SELECT user_id, face_url, nickname, app_manger_level FROM users WHERE %s ORDER BY %s"
                                          " LIMIT ? OFFSET ?", where, column ? "id" : "app_manger_level, id"),
                      args, n, &rows, NULL);
    if (rc) return rc;
    res->notificationaccounts = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        Openim__User__NotificationAccountInfo *account = logic_new(call, &openim__user__notification_account_info__descriptor);

        account->userid = logic_cell_text(&rows, i, 0);
        account->faceurl = logic_cell_text(&rows, i, 1);
        account->nickname = logic_cell_text(&rows, i, 2);
        account->appmangerlevel = (int32_t)logic_cell_int(&rows, i, 3);
        res->notificationaccounts[res->n_notificationaccounts++] = account;
    }
    return OIM_OK;
}

static int search_notification_account(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__SearchNotificationAccountReq *req = (const void *)req_;
    Openim__User__SearchNotificationAccountResp *res = (void *)res_;
    bool one_level = req->_app_manager_level_case != 0;
    int32_t level = one_level ? req->appmanagerlevel : 0;
    struct logic_page page;
    int rc = logic_page(call, req->pagination, &page);

    if (rc == OIM_OK && page.limit > LOGIC_IDS_MAX) rc = logic_args(call, "showNumber is more than %d", LOGIC_IDS_MAX);
    if (rc == OIM_OK) rc = logic_check_name(call, "keyword", req->keyword);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc || (one_level && level < LEVEL)) return rc;
    if (req->keyword[0] == '\0') return search(call, NULL, NULL, level, &page, res);
    rc = search(call, "user_id", req->keyword, level, &page, res);
    if (rc || res->total) return rc;
    return search(call, "nickname", req->keyword, level, &page, res);
}

const struct logic_route logic_account_routes[] = {
    {"/user/add_notification_account", 0, LOGIC_ADMIN, USER_ROUTE(add_notification_account), add_notification_account, LOGIC_TX},
    {"/user/update_notification_account", 0, LOGIC_ADMIN, USER_ROUTE(update_notification_account_info), update_notification_account,
     LOGIC_TX},
    {"/user/search_notification_account", 0, LOGIC_ADMIN, USER_ROUTE(search_notification_account), search_notification_account, LOGIC_SEARCH},
    {0},
};
