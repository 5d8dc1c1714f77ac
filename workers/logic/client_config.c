/*
 * Configuration that an operator hands to clients: texts by key, for everybody (userID "") or for one user, whose own ones win
 * (rest.md B.2, C.10). Table client_config; read from there each time, so that a change holds at once.
 */
#include "user.h"

#include <string.h>

#define KEYS_MAX 1000      /* of one request */
#define PER_SCOPE 10000    /* keys: what get_user_client_config answers at most, twice */

static int get_user_client_config(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "SELECT config_key, value FROM client_config WHERE user_id = ? ORDER BY config_key LIMIT ?";
    const Openim__User__GetUserClientConfigReq *req = (const void *)req_;
    Openim__User__GetUserClientConfigResp *res = (void *)res_;
    struct oim_sql_value args[] = {oim_sql_text(""), oim_sql_int(PER_SCOPE)};
    struct oim_sql_rows all = {0}, own = {0};
    size_t i = 0, j = 0;
    int rc = OIM_OK;

    if (req->userid[0]) {
        rc = logic_self(call, req->userid);
        if (rc == OIM_OK) rc = logic_user_exists(call, req->userid);
    }
    if (rc == OIM_OK) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &all, NULL);
    args[0] = oim_sql_text(req->userid);
    if (rc == OIM_OK && req->userid[0]) rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &own, NULL);
    if (rc) return rc;

    res->configs = logic_list(call, all.n + own.n);
    while (i < all.n || j < own.n) { /* both are sorted */
        int order = i == all.n ? 1 : j == own.n ? -1 : strcmp(logic_cell_text(&all, i, 0), logic_cell_text(&own, j, 0));
        const struct oim_sql_rows *rows = order < 0 ? &all : &own;
        size_t row = order < 0 ? i : j;
        Openim__User__GetUserClientConfigResp__ConfigsEntry *e =
            logic_new(call, &openim__user__get_user_client_config_resp__configs_entry__descriptor);

        e->key = logic_cell_text(rows, row, 0);
        e->value = logic_cell_text(rows, row, 1);
        res->configs[res->n_configs++] = e;
        if (order <= 0) i++;
        if (order >= 0) j++;
    }
    return OIM_OK;
}

static int set_check(struct logic_call *call, const Openim__User__SetUserClientConfigReq *req)
{
    if (req->n_configs > KEYS_MAX) return logic_args(call, "configs has more than %d entries", KEYS_MAX);
    for (size_t i = 0; i < req->n_configs; i++) {
        if (logic_check_name(call, "key", req->configs[i]->key)) return OIM_EFAIL;
        if (logic_check_text(call, "value", req->configs[i]->value)) return OIM_EFAIL;
    }
    return logic_admin(call);
}

static int room_check(struct logic_call *call, const char *user_id, size_t n)
{
    static const char sql[] = "SELECT 1 FROM client_config WHERE user_id = ? LIMIT 1 OFFSET ?";
    struct oim_sql_value args[] = {oim_sql_text(user_id), oim_sql_int((int64_t)(PER_SCOPE - n))};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);

    if (rc) return rc;
    return rows.n ? logic_args(call, "about %d keys are set already", PER_SCOPE) : OIM_OK;
}

static int set_user_client_config(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__SetUserClientConfigReq *req = (const void *)req_;
    static const char head[] = "INSERT INTO client_config (user_id, config_key, value) VALUES ";
    struct oim_sql_value *args = logic_array(call, req->n_configs * 3, sizeof(*args)), *arg = args;
    int rc = set_check(call, req);

    if (rc == OIM_OK && req->userid[0]) rc = logic_user_exists(call, req->userid);
    if (rc == OIM_OK && req->n_configs) rc = room_check(call, req->userid, req->n_configs);
    if (rc || req->n_configs == 0) return rc;

    for (size_t i = 0; i < req->n_configs; i++) {
        *arg++ = oim_sql_text(req->userid);
        *arg++ = oim_sql_text(req->configs[i]->key);
        *arg++ = oim_sql_text(req->configs[i]->value);
    }
    return logic_sql_rows(call->lane, head, args, 3, req->n_configs, " ON DUPLICATE KEY UPDATE value = VALUES(value)");
}

static int del_user_client_config(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__DelUserClientConfigReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->userid)};
    struct oim_sql_rows none;
    int rc = req->n_keys ? logic_check_ids(call, "keys", req->keys, req->n_keys, false) : OIM_OK;

    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc || req->n_keys == 0) return rc;
    return logic_sql_in(call->lane, "DELETE FROM client_config WHERE user_id = ? AND config_key IN", args, 1,
                        logic_text_values(call->lane->arena, req->keys, req->n_keys), req->n_keys, "", &none);
}

/* Each filter goes along its own index, which gives the order, too. */
static int page_user_client_config(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char *const filters[] = {"user_id >= ''", "user_id = ?", "config_key = ?", "user_id = ? AND config_key = ?"};
    static const char *const orders[] = {"user_id, config_key", "config_key", "user_id", "user_id"};
    const Openim__User__PageUserClientConfigReq *req = (const void *)req_;
    Openim__User__PageUserClientConfigResp *res = (void *)res_;
    size_t which = (req->userid[0] ? 1 : 0) + (req->key[0] ? 2 : 0);
    struct logic_page page = logic_page_lenient(req->pagination);
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[4];
    struct oim_sql_rows rows = {0};
    size_t n = 0;
    int rc;

    if (page.limit > LOGIC_IDS_MAX) return logic_args(call, "showNumber is more than %d", LOGIC_IDS_MAX);
    if (logic_admin(call)) return OIM_EFAIL;
    if (req->userid[0]) args[n++] = oim_sql_text(req->userid);
    if (req->key[0]) args[n++] = oim_sql_text(req->key);
    rc = oim_sql_exec(call->lane->db, a, oim_arena_printf(a, "SELECT COUNT(*) FROM client_config WHERE %s", filters[which]), args, n, &rows,
                      NULL);
    if (rc) return rc;
    res->total = logic_cell_int(&rows, 0, 0);
    if (page.limit == 0) return OIM_OK;

    args[n++] = oim_sql_int(page.limit);
    args[n++] = oim_sql_int(page.offset);
    rc = oim_sql_exec(call->lane->db, a,
                      oim_arena_printf(a, "SELECT config_key, user_id, value FROM client_config WHERE %s ORDER BY %s LIMIT ? OFFSET ?",
                                       filters[which], orders[which]),
                      args, n, &rows, NULL);
    if (rc) return rc;
    res->configs = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        Openim__User__ClientConfig *c = logic_new(call, &openim__user__client_config__descriptor);

        c->key = logic_cell_text(&rows, i, 0);
        c->userid = logic_cell_text(&rows, i, 1);
        c->value = logic_cell_text(&rows, i, 2);
        res->configs[res->n_configs++] = c;
    }
    return OIM_OK;
}

const struct logic_route logic_config_routes[] = {
    {"/user/get_user_client_config", 0, LOGIC_SELF, USER_ROUTE(get_user_client_config), get_user_client_config, LOGIC_READ},
    {"/user/set_user_client_config", 0, LOGIC_ADMIN, USER_ROUTE(set_user_client_config), set_user_client_config, LOGIC_TX},
    {"/user/del_user_client_config", 0, LOGIC_ADMIN, USER_ROUTE(del_user_client_config), del_user_client_config, LOGIC_TX},
    {"/user/page_user_client_config", 0, LOGIC_ADMIN, USER_ROUTE(page_user_client_config), page_user_client_config, LOGIC_SEARCH},
    {0},
};
