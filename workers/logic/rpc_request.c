/*
 * One record of <prefix>rpc: from its bytes to the answer that waits in lane.down; rpc_request.h holds the contract. The life of a
 * record: logic_request -> uplink -> rest, ws, event or task -> call_run -> handler -> reply. A store that is away costs a request its answer
 * (500), it never stops the lane.
 */
#include "rpc_request.h"

#include "change.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 100
#define STALE_MS 30000 /* a read this long past its deadline is not worth its work */
#define REPORT_MS 60000
#define WS_LOGOUT 2003
#define AGAIN_MS 200   /* a handler that failed faster runs once more: a link that was stale is new then */

/* ---- replies ---- */

static void base64_append(struct oim_buf *buf, const uint8_t *in, size_t n)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *out = oim_buf_extend(buf, (n + 2) / 3 * 4);

    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)in[i] << 16;

        if (have > 1) v |= (uint32_t)in[i + 1] << 8;
        if (have > 2) v |= in[i + 2];
        *out++ = (uint8_t)set[v >> 18];
        *out++ = (uint8_t)set[v >> 12 & 63];
        *out++ = have > 1 ? (uint8_t)set[v >> 6 & 63] : '=';
        *out++ = have > 2 ? (uint8_t)set[v & 63] : '=';
    }
}

static void pack(struct oim_buf *buf, const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);

    oim_buf_reset(buf);
    if (len) protobuf_c_message_pack(msg, oim_buf_extend(buf, len));
}

/* The envelope of rest.md A.5; res NULL: no data member. */
static void reply_rest(struct logic_requests *r, struct logic_call *call, const ProtobufCMessage *res)
{
    const Openim__Internal__Uplink *up = call->up;
    const struct oim_fail *fail = &call->fail;
    struct oim_buf *body = &r->body;

    oim_buf_reset(body);
    if (fail->code) {
        oim_json_envelope(body, fail->code, fail->msg, fail->dlt ? fail->dlt : "", NULL);
    } else if (call->bare) {
        oim_buf_puts(body, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":");
        oim_buf_append(body, call->res_json->data, call->res_json->len);
        oim_buf_putc(body, '}');
    } else if (res && (up->flags & 1)) {
        pack(&r->data, res);
        oim_buf_puts(body, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":\"");
        base64_append(body, r->data.data, r->data.len);
        oim_buf_puts(body, "\"}");
    } else {
        oim_json_envelope(body, 0, "", "", res);
    }
    oim_downlink_rest(r->lane.down, up->gateway, up->requestid, call->http_status, fail->code, "", body->data, body->len);
}

static void reply_ws(struct logic_requests *r, struct logic_call *call, const ProtobufCMessage *res)
{
    const Openim__Internal__Uplink *up = call->up;

    if (call->fail.code) {
        oim_downlink_reply(r->lane.down, up->gateway, up->requestid, call->fail.code, call->fail.msg, NULL, 0,
                           call->reply_flags);
        return;
    }
    oim_buf_reset(&r->data);
    if (res) pack(&r->data, res);
    oim_downlink_reply(r->lane.down, up->gateway, up->requestid, 0, "", r->data.data, r->data.len, call->reply_flags);
}

/* ---- one request ---- */

static int call_decode(struct logic_call *call, const struct logic_route *route, ProtobufCMessage **req)
{
    const Openim__Internal__Uplink *up = call->up;
    struct oim_arena *a = call->lane->arena;
    const char *why = "";
    int rc;

    *req = NULL;
    if (route->req == NULL) return OIM_OK; /* the handler reads the body itself */
    if (up->source == OPENIM__INTERNAL__SOURCE__REST && !(up->flags & 1)) {
        rc = oim_json_decode(a, route->req, up->payload.data, up->payload.len, req, &why);
        if (rc == OIM_OK) return OIM_OK;
        call->fail = (struct oim_fail){OIM_C_ARGS, why[0] ? why : "invalid JSON", ""};
        return OIM_EFAIL;
    }
    *req = protobuf_c_message_unpack(route->req, oim_arena_pb(a), up->payload.len, up->payload.data);
    if (*req && logic_utf8(*req)) return OIM_OK;
    return logic_fail(call, up->source == OPENIM__INTERNAL__SOURCE__WS ? OIM_C_INTERNAL : OIM_C_ARGS,
                      "the request is not valid protobuf");
}

static int call_run(struct logic_requests *r, struct logic_call *call, const struct logic_route *route, ProtobufCMessage **res)
{
    ProtobufCMessage *req;
    int rc;

    *res = NULL;
    if (route->permission != LOGIC_NONE && call->up->userid[0] == '\0') {
        return logic_args(call, "header must have token");
    }
    rc = call_decode(call, route, &req);
    if (rc) return rc;

    for (int attempt = 0; attempt < 2; attempt++) {
        int64_t began = oim_mono_ms();

        *res = route->res ? logic_new(call, route->res) : NULL;
        call->bare = false;
        oim_buf_reset(call->res_json);
        rc = route->effect == LOGIC_TX ? logic_change_run(call, route, req, *res) : route->handle(call, req, *res);
        if (rc != OIM_OK) oim_sql_rollback(r->lane.db);
        if (!oim_err_retriable(rc) || oim_mono_ms() - began > AGAIN_MS) break;
    }
    if (rc == OIM_OK) {
        /* responses without members have no data (rest.md A.5) */
        if (route->res && route->res->n_fields == 0) *res = NULL;
        return OIM_OK;
    }
    if (rc != OIM_EFAIL) {
        call->retriable = oim_err_retriable(rc);
        oim_log(OIM_LOG_WARN, "request failed", "op=%s user=%s path=%s req=%d why=%s", call->up->operationid,
                call->up->userid, call->up->path, call->up->reqidentifier, oim_err_name(rc));
        logic_internal(call, rc);
    }
    return OIM_EFAIL;
}

static bool call_stale(const struct logic_call *call, const struct logic_route *route)
{
    bool read = route->effect == LOGIC_READ || route->effect == LOGIC_SEARCH;

    return read && call->up->deadline > 0 && oim_now_ms() - call->up->deadline > STALE_MS;
}

static void rest(struct logic_requests *r, struct logic_call *call)
{
    static const char missing[] = "404 page not found";
    const struct logic_route *route = logic_route_rest(call->up->path);
    ProtobufCMessage *res = NULL;

    if (route && route->permission != LOGIC_INTERNAL) {
        if (call_stale(call, route)) {
            r->stale++;
            return;
        }
        if (route->effect == LOGIC_SEARCH && !r->searches) {
            if (logic_search_put(call->up)) return;
            logic_fail(call, OIM_C_INTERNAL, "too many searches are waiting, try again later");
        } else if (call_run(r, call, route, &res)) {
            r->failed++;
        }
        if (!call->answered) reply_rest(r, call, res);
        return;
    }
    r->unknown++;
    if (logic_route_planned(call->up->path)) {
        logic_fail(call, OIM_C_INTERNAL, "not available yet: %s", call->up->path);
        reply_rest(r, call, NULL);
        return;
    }
    oim_downlink_rest(r->lane.down, call->up->gateway, call->up->requestid, 404, 0, "text/plain", (const uint8_t *)missing,
                      sizeof(missing) - 1);
}

static void ws(struct logic_requests *r, struct logic_call *call)
{
    const struct logic_route *route = logic_route_ws(call->up->reqidentifier);
    ProtobufCMessage *res = NULL;

    if (route == NULL) { /* 1004 among them (gateway.md 4.5); others never leave the gateway */
        r->unknown++;
        logic_args(call, "unknown request");
        reply_ws(r, call, NULL);
        return;
    }
    if (call_stale(call, route)) {
        r->stale++;
        return;
    }
    if (call->up->reqidentifier == WS_LOGOUT) call->reply_flags = 1; /* also when it fails (gateway.md 5.3) */
    if (call_run(r, call, route, &res)) r->failed++;
    if (!call->answered) reply_ws(r, call, res);
}

static void event(struct logic_requests *r, struct logic_call *call)
{
    int rc;

    switch (call->up->reqidentifier) {
    case OPENIM__INTERNAL__EVENT_KIND__CONNECTED:
        logic_groups_tell(call);
        rc = logic_login_policy(call);
        if (oim_err_retriable(rc)) rc = logic_login_policy(call);
        if (rc) {
            r->failed++;
            oim_log(OIM_LOG_WARN, "login policy not applied", "user=%s conn=%" PRIu64 " why=%s", call->up->userid,
                    call->up->connid, oim_err_name(rc));
        }
        break;
    default:
        break;
    }
}

/* A task of our own (change.h). What it cannot do now is tried again by its own record, later. */
static bool task(struct logic_requests *r, struct logic_call *call)
{
    const struct logic_route *route = logic_route_rest(call->up->path);
    ProtobufCMessage *res = NULL;
    int rc;

    if (route == NULL || route->permission != LOGIC_INTERNAL) return false;
    while ((rc = call_run(r, call, route, &res)) != OIM_OK && call->retriable && !r->lane.app->stop) {
        r->failed++;
        usleep(RETRY_MS * 1000);
        call->fail = (struct oim_fail){0};
        call->retriable = false;
    }
    if (rc != OIM_OK && !call->retriable) {
        r->failed++;
        oim_log(OIM_LOG_WARN, "task given up", "op=%s user=%s path=%s why=\"%s\"", call->up->operationid, call->up->userid,
                call->up->path, call->fail.dlt);
    }
    return true;
}

/* false: nothing that we know how to handle. */
static bool uplink(struct logic_requests *r, const Openim__Internal__Uplink *up)
{
    struct logic_call call = {
        .lane = &r->lane,
        .up = up,
        .admin = up->userid[0] && oim_conf_is_admin(&r->lane.app->conf, up->userid),
        .res_json = &r->bare,
    };

    switch (up->source) {
    case OPENIM__INTERNAL__SOURCE__REST:
        rest(r, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__WS:
        ws(r, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__EVENT:
        event(r, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__SERVER:
        call.admin = true;
        return task(r, &call);
    default:
        return false;
    }
}

bool logic_request(struct logic_requests *r, const uint8_t *value, size_t len)
{
    Openim__Internal__Uplink *up;

    oim_arena_reset(r->lane.arena);
    up = openim__internal__uplink__unpack(oim_arena_pb(r->lane.arena), len, value);
    if (up && logic_utf8(&up->base) && uplink(r, up)) {
        r->handled++;
        return true;
    }
    r->poison++;
    return false;
}

/* ---- the lane ---- */

bool logic_requests_open(struct logic_requests *r, struct oim_app *app, const char *name)
{
    r->lane.app = app;
    r->lane.name = name;
    r->lane.arena = oim_arena_new(256 * 1024);
    r->lane.rds = oim_redis_new(&app->conf, name);
    r->lane.db = oim_sql_new(&app->conf, name);
    r->lane.mg = oim_mongo_new(&app->conf, name);
    r->lane.down = oim_downlink_new(name);
    return r->lane.arena && r->lane.rds && r->lane.db && r->lane.mg && r->lane.down;
}

void logic_requests_close(struct logic_requests *r)
{
    oim_downlink_free(r->lane.down);
    oim_mongo_free(r->lane.mg);
    oim_sql_free(r->lane.db);
    oim_redis_free(r->lane.rds);
    oim_arena_free(r->lane.arena);
    oim_buf_free(&r->body);
    oim_buf_free(&r->data);
    oim_buf_free(&r->bare);
}

int logic_lane_flush(struct logic_lane *lane)
{
    int64_t since = oim_mono_ms(), told = since;

    while (oim_downlink_pending(lane->down) > 0) {
        if (oim_downlink_flush(lane->down, lane->rds) == OIM_OK) break;
        if (lane->app->stop) return OIM_EUNAVAIL;
        if (oim_mono_ms() - told >= 1000) {
            told = oim_mono_ms();
            oim_log(OIM_LOG_WARN, "replies wait for redis", "lane=%s pending=%zu ms=%" PRId64, lane->name,
                    oim_downlink_pending(lane->down), told - since);
        }
        usleep(RETRY_MS * 1000);
    }
    lane->flushed = oim_mono_ms();
    return OIM_OK;
}

void logic_requests_report(struct logic_requests *r)
{
    uint64_t sum = r->handled + r->poison;

    if (oim_mono_ms() < r->report_at || sum == r->reported) return;
    oim_log(OIM_LOG_INFO, "requests",
            "lane=%s handled=%" PRIu64 " failed=%" PRIu64 " stale=%" PRIu64 " unknown=%" PRIu64 " poison=%" PRIu64,
            r->lane.name, r->handled, r->failed, r->stale, r->unknown, r->poison);
    r->reported = sum;
    r->report_at = oim_mono_ms() + REPORT_MS;
}
