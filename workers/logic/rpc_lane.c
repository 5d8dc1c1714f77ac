/*
 * The lane of everything that is not a message: takes records of <prefix>rpc, finds the route, answers.
 * The life of a record: rpc_record -> rpc_uplink -> rpc_rest, rpc_ws or rpc_event -> call_run -> handler
 * -> reply. After each batch: what was produced is acknowledged, the replies are published, the offsets
 * are committed, in this order, so that a crash repeats a record and never loses one.
 *
 * main.c runs it, one per lane. It owns the connections in struct logic_lane. A store that is away costs a
 * request its answer (500), it never stops the lane; only Redis, where the replies leave, is waited for.
 */
#include "change.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64
#define POLL_MS 100
#define FLUSH_AFTER_MS 2    /* a reply waits no longer than this for the rest of its batch */
#define RETRY_MS 100
#define STALE_MS 30000      /* a read this long past its deadline is not worth its work */
#define REPORT_MS 60000
#define WS_LOGOUT 2003
#define LOG_KEPT_MS 3600000 /* rows of request_log: every record that is not committed is handled again much sooner */
#define LOG_SWEEP_MS 600000
#define AGAIN_MS 200        /* a handler that failed faster runs once more: a link that was stale is new then */

struct rpc {
    struct logic_lane lane;
    struct oim_kafka_consumer *consumer;
    struct oim_buf body, data, bare;
    int64_t flushed; /* monotonic ms */
    uint64_t handled, failed, stale, poison, unknown, reported;
    int64_t report_at, sweep_at;
};

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
static void reply_rest(struct rpc *rpc, struct logic_call *call, const ProtobufCMessage *res)
{
    const Openim__Internal__Uplink *up = call->up;
    const struct oim_fail *fail = &call->fail;
    struct oim_buf *body = &rpc->body;

    oim_buf_reset(body);
    if (fail->code) {
        oim_json_envelope(body, fail->code, fail->msg, fail->dlt ? fail->dlt : "", NULL);
    } else if (call->bare) {
        oim_buf_puts(body, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":");
        oim_buf_append(body, call->res_json->data, call->res_json->len);
        oim_buf_putc(body, '}');
    } else if (res && (up->flags & 1)) {
        pack(&rpc->data, res);
        oim_buf_puts(body, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":\"");
        base64_append(body, rpc->data.data, rpc->data.len);
        oim_buf_puts(body, "\"}");
    } else {
        oim_json_envelope(body, 0, "", "", res);
    }
    oim_downlink_rest(rpc->lane.down, up->gateway, up->requestid, call->http_status, "", body->data, body->len);
}

static void reply_ws(struct rpc *rpc, struct logic_call *call, const ProtobufCMessage *res)
{
    const Openim__Internal__Uplink *up = call->up;

    if (call->fail.code) {
        oim_downlink_reply(rpc->lane.down, up->gateway, up->requestid, call->fail.code, call->fail.msg, NULL, 0,
                           call->reply_flags);
        return;
    }
    oim_buf_reset(&rpc->data);
    if (res) pack(&rpc->data, res);
    oim_downlink_reply(rpc->lane.down, up->gateway, up->requestid, 0, "", rpc->data.data, rpc->data.len, call->reply_flags);
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

static int call_run(struct rpc *rpc, struct logic_call *call, const struct logic_route *route, ProtobufCMessage **res)
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
        if (rc != OIM_OK) oim_sql_rollback(rpc->lane.db);
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
    return route->effect == LOGIC_READ && call->up->deadline > 0 && oim_now_ms() - call->up->deadline > STALE_MS;
}

static void rpc_rest(struct rpc *rpc, struct logic_call *call)
{
    static const char missing[] = "404 page not found";
    const struct logic_route *route = logic_route_rest(call->up->path);
    ProtobufCMessage *res = NULL;

    if (route && route->permission != LOGIC_INTERNAL) {
        if (call_stale(call, route)) {
            rpc->stale++;
            return;
        }
        if (call_run(rpc, call, route, &res)) rpc->failed++;
        if (!call->answered) reply_rest(rpc, call, res);
        return;
    }
    rpc->unknown++;
    if (logic_route_planned(call->up->path)) {
        logic_fail(call, OIM_C_INTERNAL, "not available yet: %s", call->up->path);
        reply_rest(rpc, call, NULL);
        return;
    }
    oim_downlink_rest(rpc->lane.down, call->up->gateway, call->up->requestid, 404, "text/plain", (const uint8_t *)missing,
                      sizeof(missing) - 1);
}

static void rpc_ws(struct rpc *rpc, struct logic_call *call)
{
    const struct logic_route *route = logic_route_ws(call->up->reqidentifier);
    ProtobufCMessage *res = NULL;

    if (route == NULL) { /* 1004 among them (gateway.md 4.5); others never leave the gateway */
        rpc->unknown++;
        logic_args(call, "unknown request");
        reply_ws(rpc, call, NULL);
        return;
    }
    if (call_stale(call, route)) {
        rpc->stale++;
        return;
    }
    if (call->up->reqidentifier == WS_LOGOUT) call->reply_flags = 1; /* also when it fails (gateway.md 5.3) */
    if (call_run(rpc, call, route, &res)) rpc->failed++;
    if (!call->answered) reply_ws(rpc, call, res);
}

static void rpc_event(struct rpc *rpc, struct logic_call *call)
{
    int rc;

    switch (call->up->reqidentifier) {
    case OPENIM__INTERNAL__EVENT_KIND__CONNECTED:
        logic_groups_tell(call);
        rc = logic_login_policy(call);
        if (oim_err_retriable(rc)) rc = logic_login_policy(call);
        if (rc) {
            rpc->failed++;
            oim_log(OIM_LOG_WARN, "login policy not applied", "user=%s conn=%" PRIu64 " why=%s", call->up->userid,
                    call->up->connid, oim_err_name(rc));
        }
        break;
    default:
        break;
    }
}

/* A task of our own (change.h). What it cannot do now is tried again by its own record, later. */
static bool rpc_task(struct rpc *rpc, struct logic_call *call)
{
    const struct logic_route *route = logic_route_rest(call->up->path);
    ProtobufCMessage *res = NULL;
    int rc;

    if (route == NULL || route->permission != LOGIC_INTERNAL) return false;
    while ((rc = call_run(rpc, call, route, &res)) != OIM_OK && call->retriable && !rpc->lane.app->stop) {
        rpc->failed++;
        usleep(RETRY_MS * 1000);
        call->fail = (struct oim_fail){0};
    }
    return true;
}

/* false: nothing that we know how to handle. */
static bool rpc_uplink(struct rpc *rpc, const Openim__Internal__Uplink *up)
{
    struct logic_call call = {
        .lane = &rpc->lane,
        .up = up,
        .admin = up->userid[0] && oim_conf_is_admin(&rpc->lane.app->conf, up->userid),
        .res_json = &rpc->bare,
    };

    switch (up->source) {
    case OPENIM__INTERNAL__SOURCE__REST:
        rpc_rest(rpc, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__WS:
        rpc_ws(rpc, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__EVENT:
        rpc_event(rpc, &call);
        return true;
    case OPENIM__INTERNAL__SOURCE__SERVER:
        call.admin = true;
        return rpc_task(rpc, &call);
    default:
        return false;
    }
}

static void rpc_record(struct rpc *rpc, const struct oim_kafka_record *record)
{
    Openim__Internal__Uplink *up;

    oim_arena_reset(rpc->lane.arena);
    up = openim__internal__uplink__unpack(oim_arena_pb(rpc->lane.arena), record->len, record->value);
    if (up && logic_utf8(&up->base) && rpc_uplink(rpc, up)) {
        rpc->handled++;
        return;
    }
    rpc->poison++;
    oim_log(OIM_LOG_ERROR, "record skipped", "topic=rpc partition=%d offset=%" PRId64 " bytes=%zu", record->partition,
            record->offset, record->len);
}

/* ---- batches ---- */

static void report_ignore(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    if (err) *(int *)ctx = err;
}

/* What a handler produced is in the log before its record is done. */
static int rpc_produced(struct rpc *rpc)
{
    int err = OIM_OK;

    if (rpc->lane.broken) return OIM_EFATAL;

    while (oim_kafka_inflight(rpc->lane.producer) > 0 && !rpc->lane.app->stop) {
        oim_kafka_reports(rpc->lane.producer, report_ignore, &err, POLL_MS);
        if (err) return OIM_EFATAL;
    }
    return rpc->lane.app->stop && oim_kafka_inflight(rpc->lane.producer) > 0 ? OIM_EUNAVAIL : OIM_OK;
}

void logic_lane_reports(struct logic_lane *lane, int timeout_ms)
{
    int err = OIM_OK;

    oim_kafka_reports(lane->producer, report_ignore, &err, timeout_ms);
    if (err) lane->broken = true;
}

/* Publishes what is due; waits for Redis as long as it takes. OIM_EUNAVAIL only at stop. */
static int rpc_flush(struct rpc *rpc)
{
    int64_t since = oim_mono_ms(), told = since;

    while (oim_downlink_pending(rpc->lane.down) > 0) {
        if (oim_downlink_flush(rpc->lane.down, rpc->lane.rds) == OIM_OK) break;
        if (rpc->lane.app->stop) return OIM_EUNAVAIL;
        if (oim_mono_ms() - told >= 1000) {
            told = oim_mono_ms();
            oim_log(OIM_LOG_WARN, "replies wait for redis", "lane=%s pending=%zu ms=%" PRId64, rpc->lane.name,
                    oim_downlink_pending(rpc->lane.down), told - since);
        }
        usleep(RETRY_MS * 1000);
    }
    rpc->flushed = oim_mono_ms();
    return OIM_OK;
}

int logic_lane_flush(struct logic_lane *lane)
{
    return rpc_flush((struct rpc *)lane); /* its first member */
}

static int rpc_commit(struct rpc *rpc, const struct oim_kafka_record *records, int n)
{
    int rc = OIM_OK;

    /* the last record of each partition: offsets rise within a batch */
    for (int i = 0; i < n && rc != OIM_EFATAL; i++) {
        bool last = true;

        for (int j = i + 1; j < n && last; j++) last = records[j].partition != records[i].partition;
        if (last) rc = oim_kafka_commit(rpc->consumer, records[i].partition, records[i].offset + 1, false);
    }
    return rc == OIM_EFATAL ? rc : OIM_OK;
}

static int rpc_batch(struct rpc *rpc, const struct oim_kafka_record *records, int n)
{
    int rc;

    rpc->flushed = oim_mono_ms();
    for (int i = 0; i < n; i++) {
        if (rpc->lane.app->stop) n = i; /* the rest is not committed */
        if (i == n) break;
        rpc_record(rpc, &records[i]);
        if (oim_mono_ms() - rpc->flushed < FLUSH_AFTER_MS) continue;
        if (rpc_flush(rpc)) return OIM_OK;
    }
    rc = rpc_produced(rpc);
    if (rc == OIM_OK) rc = rpc_flush(rpc);
    if (rc == OIM_EUNAVAIL) return OIM_OK; /* stopping: nothing is committed, the next owner repeats */
    return rc == OIM_OK ? rpc_commit(rpc, records, n) : rc;
}

static void rpc_report(struct rpc *rpc)
{
    uint64_t sum = rpc->handled + rpc->poison;

    if (oim_mono_ms() < rpc->report_at || sum == rpc->reported) return;
    oim_log(OIM_LOG_INFO, "requests",
            "lane=%s handled=%" PRIu64 " failed=%" PRIu64 " stale=%" PRIu64 " unknown=%" PRIu64 " poison=%" PRIu64,
            rpc->lane.name, rpc->handled, rpc->failed, rpc->stale, rpc->unknown, rpc->poison);
    rpc->reported = sum;
    rpc->report_at = oim_mono_ms() + REPORT_MS;
}

/* What the take-over of a dead lane needs of request_log is of its last seconds. The first sweep waits until this lane has seen what was
 * left of its partitions. */
static void rpc_sweep(struct rpc *rpc)
{
    struct oim_sql_value args[] = {oim_sql_int(oim_now_ms() - LOG_KEPT_MS)};
    uint64_t gone = 0;

    if (oim_mono_ms() < rpc->sweep_at) return;
    oim_arena_reset(rpc->lane.arena);
    (void)oim_sql_exec(rpc->lane.db, rpc->lane.arena, "DELETE FROM request_log WHERE create_time < ? LIMIT 1000", args, 1, NULL, &gone);
    rpc->sweep_at = oim_mono_ms() + (gone ? 1000 : LOG_SWEEP_MS);
}

/* ---- the lane ---- */

static int64_t partition_assigned(void *ctx, int32_t partition, int64_t committed)
{
    oim_log(OIM_LOG_INFO, "partition taken", "topic=rpc lane=%s partition=%d from=%" PRId64, ((struct rpc *)ctx)->lane.name,
            partition, committed);
    return -1;
}

static void partition_revoked(void *ctx, int32_t partition, bool lost)
{
    oim_log(OIM_LOG_INFO, "partition given back", "topic=rpc lane=%s partition=%d lost=%d", ((struct rpc *)ctx)->lane.name,
            partition, lost);
}

/* Administrators have a row (rest.md C.1), as old as the world: statistics count who registered. OIM_OK, or a retriable code. */
static int admins_create(struct logic_lane *lane)
{
    static const char sql[] = "INSERT IGNORE INTO users (user_id, nickname, face_url, ex, create_time, app_manger_level)"
                              " VALUES (?, ?, '', '', 0, 2)";
    char *list = oim_arena_strdup(lane->arena, lane->app->conf.general.admin_users), *save = NULL;
    int rc = OIM_OK;

    for (char *id = strtok_r(list, ", ", &save); id && rc == OIM_OK; id = strtok_r(NULL, ", ", &save)) {
        struct oim_sql_value args[] = {oim_sql_text(id), oim_sql_text(id)};

        rc = oim_sql_exec(lane->db, lane->arena, sql, args, 2, NULL, NULL);
    }
    oim_arena_reset(lane->arena);
    return rc;
}

static int rpc_loop(struct rpc *rpc)
{
    struct oim_kafka_record records[BATCH];
    struct oim_app *app = rpc->lane.app;
    int n, rc;

    rpc->sweep_at = oim_mono_ms() + LOG_SWEEP_MS;
    while (!app->stop && oim_err_retriable(admins_create(&rpc->lane))) usleep(RETRY_MS * 1000);
    while (!app->stop) {
        n = oim_kafka_poll(rpc->consumer, records, BATCH, POLL_MS);
        if (n < 0) return n;
        rc = n ? rpc_batch(rpc, records, n) : OIM_OK;
        oim_kafka_records_free(records, n);
        if (rc) return rc;
        logic_groups_again(&rpc->lane);
        rpc_report(rpc);
        rpc_sweep(rpc);
    }
    return OIM_OK;
}

static void rpc_close(struct rpc *rpc)
{
    logic_groups_forget(&rpc->lane);
    oim_kafka_consumer_free(rpc->consumer);
    oim_kafka_producer_free(rpc->lane.producer);
    oim_downlink_free(rpc->lane.down);
    oim_mongo_free(rpc->lane.mg);
    oim_sql_free(rpc->lane.db);
    oim_redis_free(rpc->lane.rds);
    oim_arena_free(rpc->lane.arena);
    oim_buf_free(&rpc->body);
    oim_buf_free(&rpc->data);
    oim_buf_free(&rpc->bare);
}

int logic_rpc_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    static const struct oim_kafka_events events = {.assigned = partition_assigned, .revoked = partition_revoked};
    struct rpc rpc = {.lane = {.app = app, .name = lane->name}};
    char topic[256];
    int rc = OIM_EFATAL;

    snprintf(topic, sizeof(topic), "%srpc", app->conf.kafka.topic_prefix);
    if (oim_kafka_partitions(&app->conf, topic, &app->stop) < 0) return app->stop ? OIM_OK : OIM_EFATAL;

    rpc.lane.arena = oim_arena_new(256 * 1024);
    rpc.lane.rds = oim_redis_new(&app->conf, lane->name);
    rpc.lane.db = oim_sql_new(&app->conf, lane->name);
    rpc.lane.mg = oim_mongo_new(&app->conf, lane->name);
    rpc.lane.down = oim_downlink_new(lane->name);
    rpc.lane.producer = oim_kafka_producer_new(&app->conf, lane->name);
    rpc.consumer = oim_kafka_consumer_new(&app->conf, topic, "openim-logic-rpc", lane->name, &events, &rpc);
    if (rpc.lane.arena && rpc.lane.rds && rpc.lane.db && rpc.lane.mg && rpc.lane.down && rpc.lane.producer && rpc.consumer) {
        rc = rpc_loop(&rpc);
    }
    rpc_close(&rpc);
    return rc;
}
