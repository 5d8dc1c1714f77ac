/*
 * /msg/batch_send_msg (rest.md B.7, messages.md 4.3): one message to many users, each in a chat of its own.
 *
 * The answer has to name who got it and who did not, so this lane decides for all receivers at once what the message lane decides for
 * one (messages.md 3.1) and hands on what is allowed as verified (source SERVER) with ids and time fixed here: what the answer says is
 * what is stored. To everybody (isSendAll): the first page is answered like a list, the others follow as tasks.
 */
#include "message.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <string.h>

#define RECEIVERS_MAX 1000
#define PAGE 500
#define BYTES_MAX 33554432 /* of all copies together */
#define ID_MAX 255

/* The indexes are named: for a page of receivers a small table would be read whole. */
enum verdict { UNKNOWN, SENT, SENT_SILENTLY, REFUSED };

struct batch {
    struct logic_call *call;
    Openim__Sdkws__MsgData *msg;
    char **ids;
    enum verdict *verdicts;
    struct logic_index *index; /* of ids: one that is there twice is decided at its first place */
    size_t n;
};

/* ---- who may get it ---- */

static enum verdict *verdict_of(struct batch *b, const char *id)
{
    size_t at = logic_index_find(b->index, id);

    return at == SIZE_MAX ? NULL : &b->verdicts[at];
}

static void option_apply(enum verdict *v, int64_t opt)
{
    if (v == NULL || *v == UNKNOWN || *v == REFUSED) return;
    if (opt == LOGIC_RECV_REFUSE) *v = REFUSED;
    if (opt == LOGIC_RECV_NO_PUSH) *v = SENT_SILENTLY;
}

static int receivers_find(struct batch *b)
{
    static const char head[] = "SELECT user_id, global_recv_msg_opt FROM users FORCE INDEX (PRIMARY) WHERE user_id IN";
    struct logic_lane *lane = b->call->lane;
    struct oim_sql_rows rows;
    int rc = logic_sql_in(lane, head, NULL, 0, logic_text_values(lane->arena, b->ids, b->n), b->n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        enum verdict *v = verdict_of(b, logic_cell_text(&rows, i, 0));

        if (v == NULL) continue;
        *v = SENT;
        if (b->msg->sessiontype == LOGIC_SESSION_SINGLE) option_apply(v, logic_cell_int(&rows, i, 1));
    }
    return rc;
}

static int blocks_apply(struct batch *b)
{
    static const char head[] = "SELECT owner_user_id FROM blacks FORCE INDEX (PRIMARY) WHERE block_user_id = ? AND owner_user_id IN";
    struct logic_lane *lane = b->call->lane;
    struct oim_sql_value args[] = {oim_sql_text(b->msg->sendid)};
    struct oim_sql_rows rows;
    int rc = logic_sql_in(lane, head, args, 1, logic_text_values(lane->arena, b->ids, b->n), b->n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        enum verdict *v = verdict_of(b, logic_cell_text(&rows, i, 0));

        if (v && *v != UNKNOWN) *v = REFUSED;
    }
    return rc;
}

static int friends_apply(struct batch *b)
{
    static const char head[] = "SELECT owner_user_id FROM friends FORCE INDEX (PRIMARY) WHERE friend_user_id = ? AND owner_user_id IN";
    struct logic_lane *lane = b->call->lane;
    struct oim_sql_value args[] = {oim_sql_text(b->msg->sendid)};
    bool *friends = logic_array(b->call, b->n, sizeof(*friends));
    struct oim_sql_rows rows;
    int rc = logic_sql_in(lane, head, args, 1, logic_text_values(lane->arena, b->ids, b->n), b->n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(b->index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) friends[at] = true;
    }
    for (size_t i = 0; rc == OIM_OK && i < b->n; i++) {
        if (!friends[i] && b->verdicts[i] != UNKNOWN) b->verdicts[i] = REFUSED;
    }
    return rc;
}

static char *chat_with(struct batch *b, const char *id)
{
    const char *first = b->msg->sendid, *second = id;

    if (strcmp(first, second) > 0) {
        first = id;
        second = b->msg->sendid;
    }
    return oim_arena_printf(b->call->lane->arena, "si_%s_%s", first, second);
}

/* What the receivers' conversations with the sender say. A global option that is set is the last word. */
static int options_apply(struct batch *b)
{
    static const char head[] = "SELECT owner_user_id, recv_msg_opt FROM conversations FORCE INDEX (PRIMARY)"
                               " WHERE recv_msg_opt <> 0 AND owner_hash IN";
    struct oim_arena *a = b->call->lane->arena;
    struct oim_sql_value *hashes = logic_array(b->call, b->n, sizeof(*hashes));
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < b->n; i++) hashes[i] = oim_sql_blob(logic_owner_hash(a, b->ids[i], chat_with(b, b->ids[i])), 16);
    rc = logic_sql_in(b->call->lane, head, NULL, 0, hashes, b->n, "", &rows);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        enum verdict *v = verdict_of(b, logic_cell_text(&rows, i, 0));

        if (v && *v == SENT) option_apply(v, logic_cell_int(&rows, i, 1));
    }
    return rc;
}

static int verify(struct batch *b)
{
    struct logic_call *call = b->call;
    bool admin = oim_conf_is_admin(&call->lane->app->conf, b->msg->sendid);
    Openim__Sdkws__UserInfo *sender;
    int rc = logic_users(call, &b->msg->sendid, 1, &sender);

    b->verdicts = logic_array(call, b->n, sizeof(*b->verdicts));
    b->index = logic_index_new(call->lane->arena, b->ids, b->n);
    if (rc || b->n == 0) return rc;
    if (sender == NULL && !admin) return OIM_OK; /* nobody gets it */
    rc = receivers_find(b);
    if (rc || b->msg->sessiontype != LOGIC_SESSION_SINGLE) return rc;
    if (!admin && sender->appmangerlevel < LOGIC_LEVEL_APP_ADMIN) {
        rc = blocks_apply(b);
        if (rc == OIM_OK && call->lane->app->conf.message.friend_verify) rc = friends_apply(b);
    }
    return rc ? rc : options_apply(b);
}

/* ---- sending ---- */

static char *server_msg_id(struct batch *b, const char *id)
{
    const char *parts[] = {b->msg->sendid, b->msg->clientmsgid, id};
    char *hex = oim_arena_alloc(b->call->lane->arena, 33);
    uint8_t digest[16];

    oim_hash_sha128(digest, parts, 3);
    oim_hash_hex(hex, digest, 16);
    return hex;
}

static int send_one(struct batch *b, size_t i)
{
    Openim__Internal__Uplink next = logic_uplink(b->call, OPENIM__INTERNAL__SOURCE__SERVER, false);
    Openim__Sdkws__MsgData msg = *b->msg;

    msg.recvid = b->ids[i];
    msg.servermsgid = server_msg_id(b, b->ids[i]);
    if (b->verdicts[i] == SENT_SILENTLY) {
        msg.options = logic_list(b->call, 8); /* send_msg gives at most five */
        if (msg.n_options) memcpy(msg.options, b->msg->options, msg.n_options * sizeof(*msg.options));
        logic_send_option_off(b->call, &msg, "offlinePush");
    }
    return logic_produce_msg(b->call, &next, &msg);
}

static bool gets_it(const struct batch *b, size_t i)
{
    enum verdict v = b->verdicts[logic_index_find(b->index, b->ids[i])];

    return v == SENT || v == SENT_SILENTLY;
}

static int send_all(struct batch *b)
{
    int rc = OIM_OK;

    for (size_t i = 0; i < b->n && rc == OIM_OK; i++) {
        if (gets_it(b, i) && logic_index_find(b->index, b->ids[i]) == i) rc = send_one(b, i);
    }
    return rc;
}

/* ---- the answer ---- */

static void text_member(struct oim_buf *out, const char *name, const char *value)
{
    oim_buf_printf(out, "\"%s\":", name);
    oim_json_string(out, value, strlen(value));
}

static void answer(struct batch *b)
{
    struct oim_buf *out = b->call->res_json;
    size_t n = 0;

    b->call->bare = true;
    oim_buf_puts(out, "{\"results\":");
    for (size_t i = 0; i < b->n; i++) {
        if (!gets_it(b, i)) continue;
        oim_buf_puts(out, n++ ? ",{" : "[{");
        text_member(out, "serverMsgID", server_msg_id(b, b->ids[i]));
        oim_buf_putc(out, ',');
        text_member(out, "clientMsgID", b->msg->clientmsgid);
        oim_buf_printf(out, ",\"sendTime\":%" PRId64 ",", b->msg->sendtime);
        text_member(out, "recvID", b->ids[i]);
        oim_buf_putc(out, '}');
    }
    oim_buf_puts(out, n ? "],\"failedUserIDs\":" : "null,\"failedUserIDs\":");
    n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (gets_it(b, i)) continue;
        oim_buf_putc(out, n++ ? ',' : '[');
        oim_json_string(out, b->ids[i], strlen(b->ids[i]));
    }
    oim_buf_puts(out, n ? "]}" : "null}");
}

/* ---- everybody ---- */

/* Users after *cursor, in the order of their rows; *cursor goes to the last of them. */
static int page_read(struct batch *b, uint64_t *cursor)
{
    static const char sql[] = "SELECT user_id, id FROM users FORCE INDEX (storage_order) WHERE id > ? ORDER BY id LIMIT 500";
    struct oim_sql_value args[] = {oim_sql_uint(*cursor)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(b->call->lane->db, b->call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    b->ids = logic_column(b->call->lane->arena, &rows);
    b->n = rows.n;
    if (rows.n) *cursor = (uint64_t)logic_cell_int(&rows, rows.n - 1, 1);
    return OIM_OK;
}

static int next_page(struct batch *b, uint64_t cursor)
{
    Openim__Internal__BatchTask task = OPENIM__INTERNAL__BATCH_TASK__INIT;

    if (b->n < PAGE) return OIM_OK;
    task.message.len = openim__sdkws__msg_data__get_packed_size(b->msg);
    task.message.data = oim_arena_alloc(b->call->lane->arena, task.message.len);
    openim__sdkws__msg_data__pack(b->msg, task.message.data);
    task.cursor = cursor;
    return logic_task(b->call, "/internal/msg/batch", b->msg->sendid, &task.base);
}

static int send_page(struct batch *b, uint64_t cursor)
{
    int rc = page_read(b, &cursor);

    if (rc == OIM_OK) rc = verify(b);
    if (rc == OIM_OK) rc = send_all(b);
    return rc ? rc : next_page(b, cursor);
}

static int batch_task(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Internal__BatchTask *req = (const void *)req_;
    struct batch b = {.call = call};

    b.msg = openim__sdkws__msg_data__unpack(oim_arena_pb(call->lane->arena), req->message.len, req->message.data);
    if (b.msg == NULL) return logic_args(call, "no message");
    b.msg->sendtime = oim_now_ms();
    return send_page(&b, req->cursor);
}

/* ---- the route ---- */

static int receivers_read(struct logic_body *body, struct batch *b)
{
    json_t *list = logic_body_member(body, "recvIDs");
    struct logic_call *call = body->call;

    if (list == NULL) return logic_args(call, "recvIDs is missing");
    if (!json_is_array(list)) return logic_args(call, "recvIDs has the wrong type");
    if (json_array_size(list) > RECEIVERS_MAX) return logic_args(call, "recvIDs has more than %d entries", RECEIVERS_MAX);
    b->n = json_array_size(list);
    b->ids = logic_list(call, b->n);
    for (size_t i = 0; i < b->n; i++) {
        json_t *id = json_array_get(list, i);

        if (!json_is_string(id)) return logic_args(call, "recvIDs has the wrong type");
        if (json_string_length(id) > ID_MAX) return logic_args(call, "recvIDs has an id that is too long");
        b->ids[i] = oim_arena_strndup(call->lane->arena, json_string_value(id), json_string_length(id));
    }
    return OIM_OK;
}

static int batch_read(struct logic_body *body, struct batch *b, bool *all)
{
    struct logic_call *call = body->call;
    size_t size;
    int rc;

    *all = logic_body_bool(body, "isSendAll");
    if (!*all && (rc = receivers_read(body, b))) return rc;
    rc = logic_send_message(body, true, b->msg);
    if (rc) return rc;
    if (b->msg->sessiontype != LOGIC_SESSION_SINGLE && b->msg->sessiontype != LOGIC_SESSION_NOTIFICATION) {
        return logic_args(call, "sessionType is not 1 or 4");
    }
    if (strlen(b->msg->sendid) > ID_MAX) return logic_args(call, "sendID is too long");
    b->msg->recvid = b->msg->groupid = (char *)"";
    size = openim__sdkws__msg_data__get_packed_size(b->msg) + ID_MAX + 64;
    if (size > (size_t)call->lane->app->conf.message.max_bytes || size * (*all ? PAGE : b->n) > BYTES_MAX) {
        return logic_args(call, "the message is too large for so many receivers");
    }
    return OIM_OK;
}

static int batch_send_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    struct batch b = {.call = call, .msg = logic_new(call, &openim__sdkws__msg_data__descriptor)};
    struct logic_body body = {0};
    bool all;
    int rc = logic_body_read(call, &body);

    if (rc) return rc;
    rc = batch_read(&body, &b, &all);
    json_decref(body.json);
    if (rc) return rc;
    if (b.msg->sendtime <= 0) b.msg->sendtime = oim_now_ms();
    if (all) {
        rc = send_page(&b, 0);
    } else {
        rc = verify(&b);
        if (rc == OIM_OK) rc = send_all(&b);
    }
    if (rc == OIM_OK) answer(&b);
    return rc;
}

const struct logic_route logic_batch_routes[] = {
    {"/msg/batch_send_msg", 0, LOGIC_ADMIN, NULL, NULL, batch_send_msg, LOGIC_WRITE},
    {"/internal/msg/batch", 0, LOGIC_INTERNAL, &openim__internal__batch_task__descriptor, NULL, batch_task, LOGIC_WRITE},
    {0},
};
