/*
 * Commands: opaque rows that a user keeps at the server (rest.md B.2, C.10), table user_commands. Nothing makes (userID, type, uuid)
 * unique: of equal ones update and delete take the oldest. Upstream's notices 1305 to 1307 never leave its server and no client knows them.
 */
#include "user.h"

#define PER_USER 10000 /* rows: what get_all answers at most */

/* What names a command, in the order of the checks. */
static int key_check(struct logic_call *call, const char *user_id, int32_t type, const char *uuid)
{
    if (user_id[0] == '\0') return logic_args(call, "userID is empty");
    if (type == 0) return logic_args(call, "type is empty");
    if (uuid && uuid[0] == '\0') return logic_args(call, "uuid is empty");
    if (logic_check_name(call, "userID", user_id) || logic_check_name(call, "uuid", uuid)) return OIM_EFAIL;
    return logic_self(call, user_id);
}

static int texts_check(struct logic_call *call, const Openim__Protobuf__StringValue *value, const Openim__Protobuf__StringValue *ex)
{
    int rc = logic_check_text(call, "value", value ? value->value : NULL);

    return rc ? rc : logic_check_text(call, "ex", ex ? ex->value : NULL);
}

static struct oim_sql_value text_of(const Openim__Protobuf__StringValue *v)
{
    return oim_sql_text(v ? v->value : NULL);
}

/* Of an UPDATE or DELETE. */
static int change_one(struct logic_call *call, const char *sql, const struct oim_sql_value *args, size_t n)
{
    uint64_t found = 0;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, n, NULL, &found);

    if (rc) return rc;
    return found ? OIM_OK : logic_fail(call, OIM_C_NOTFOUND, "command not found");
}

static int room_check(struct logic_call *call, const char *user_id)
{
    struct oim_sql_value args[] = {oim_sql_text(user_id), oim_sql_int(PER_USER - 1)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, "SELECT 1 FROM user_commands WHERE user_id = ? LIMIT 1 OFFSET ?", args, 2,
                          &rows, NULL);

    if (rc) return rc;
    return rows.n ? logic_args(call, "more than %d commands", PER_USER) : OIM_OK;
}

static int command_add(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "INSERT INTO user_commands (user_id, type, uuid, create_time, value, ex)"
                              " VALUES (?, ?, ?, ?, COALESCE(?, ''), COALESCE(?, ''))";
    const Openim__User__ProcessUserCommandAddReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(req->type), oim_sql_text(req->uuid),
                                   oim_sql_int(oim_now_ms() / 1000), text_of(req->value), text_of(req->ex)};
    int rc = key_check(call, req->userid, req->type, req->uuid);

    if (rc == OIM_OK) rc = texts_check(call, req->value, req->ex);
    if (rc == OIM_OK) rc = room_check(call, req->userid);
    return rc ? rc : oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 6, NULL, NULL);
}

static int command_delete(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "DELETE FROM user_commands WHERE user_id = ? AND type = ? AND uuid = ? ORDER BY id LIMIT 1";
    const Openim__User__ProcessUserCommandDeleteReq *req = (const void *)req_;
    struct oim_sql_value args[] = {oim_sql_text(req->userid), oim_sql_int(req->type), oim_sql_text(req->uuid)};
    int rc = key_check(call, req->userid, req->type, req->uuid);

    return rc ? rc : change_one(call, sql, args, 3);
}

static int command_update(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    static const char sql[] = "UPDATE user_commands SET value = COALESCE(?, value), ex = COALESCE(?, ex)"
                              " WHERE user_id = ? AND type = ? AND uuid = ? ORDER BY id LIMIT 1";
    const Openim__User__ProcessUserCommandUpdateReq *req = (const void *)req_;
    struct oim_sql_value args[] = {text_of(req->value), text_of(req->ex), oim_sql_text(req->userid), oim_sql_int(req->type),
                                   oim_sql_text(req->uuid)};
    int rc = key_check(call, req->userid, req->type, req->uuid);

    if (rc == OIM_OK) rc = texts_check(call, req->value, req->ex);
    if (rc || (req->value == NULL && req->ex == NULL)) return rc;
    return change_one(call, sql, args, 5);
}

/* Oldest first. type 0: all. */
static int commands_read(struct logic_call *call, const char *user_id, int32_t type, struct oim_sql_rows *rows)
{
    static const char of_type[] = "SELECT type, create_time, uuid, value, ex FROM user_commands WHERE user_id = ? AND type = ?"
                                  " ORDER BY id LIMIT ?";
    static const char all[] = "SELECT type, create_time, uuid, value, ex FROM user_commands WHERE user_id = ? ORDER BY id LIMIT ?";
    struct oim_sql_value args[3] = {oim_sql_text(user_id)};
    size_t n = 1;

    if (type) args[n++] = oim_sql_int(type);
    args[n++] = oim_sql_int(PER_USER);
    return oim_sql_exec(call->lane->db, call->lane->arena, type ? of_type : all, args, n, rows, NULL);
}

static int command_get(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__ProcessUserCommandGetReq *req = (const void *)req_;
    Openim__User__ProcessUserCommandGetResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    int rc = key_check(call, req->userid, req->type, NULL);

    if (rc == OIM_OK) rc = commands_read(call, req->userid, req->type, &rows);
    if (rc) return rc;
    res->commandresp = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        Openim__User__CommandInfoResp *c = logic_new(call, &openim__user__command_info_resp__descriptor);

        c->type = (int32_t)logic_cell_int(&rows, i, 0);
        c->createtime = logic_cell_int(&rows, i, 1);
        c->uuid = logic_cell_text(&rows, i, 2);
        c->value = logic_cell_text(&rows, i, 3);
        c->ex = logic_cell_text(&rows, i, 4);
        res->commandresp[res->n_commandresp++] = c;
    }
    return OIM_OK;
}

static int command_get_all(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__ProcessUserCommandGetAllReq *req = (const void *)req_;
    Openim__User__ProcessUserCommandGetAllResp *res = (void *)res_;
    struct oim_sql_rows rows = {0};
    int rc = key_check(call, req->userid, 1, NULL);

    if (rc == OIM_OK) rc = commands_read(call, req->userid, 0, &rows);
    if (rc) return rc;
    res->commandresp = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        Openim__User__AllCommandInfoResp *c = logic_new(call, &openim__user__all_command_info_resp__descriptor);

        c->type = (int32_t)logic_cell_int(&rows, i, 0);
        c->createtime = logic_cell_int(&rows, i, 1);
        c->uuid = logic_cell_text(&rows, i, 2);
        c->value = logic_cell_text(&rows, i, 3);
        c->ex = logic_cell_text(&rows, i, 4);
        res->commandresp[res->n_commandresp++] = c;
    }
    return OIM_OK;
}

const struct logic_route logic_command_routes[] = {
    {"/user/process_user_command_add", 0, LOGIC_SELF, USER_ROUTE(process_user_command_add), command_add, LOGIC_TX},
    {"/user/process_user_command_delete", 0, LOGIC_SELF, USER_ROUTE(process_user_command_delete), command_delete, LOGIC_TX},
    {"/user/process_user_command_update", 0, LOGIC_SELF, USER_ROUTE(process_user_command_update), command_update, LOGIC_TX},
    {"/user/process_user_command_get", 0, LOGIC_SELF, USER_ROUTE(process_user_command_get), command_get, LOGIC_READ},
    {"/user/process_user_command_get_all", 0, LOGIC_SELF, USER_ROUTE(process_user_command_get_all), command_get_all, LOGIC_READ},
    {0},
};
