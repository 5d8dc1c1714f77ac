/*
 * Runs changes and keeps what they leave to do; change.h holds the contract, docs/records.md (Changes) the rows. Called by rpc_request.c
 * for each LOGIC_TX route.
 *
 * A record is handled again when its owner died before the offset was committed. By then its rows may be committed or not: request_log
 * tells, because its row is part of the same transaction.
 */
#include "change.h"

#include "row_cache.h"

#include "oim_hash.h"
#include "oim_log.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define ATTEMPTS 8     /* of a transaction that met another one */
#define REPORTS_MS 100
#define RETRY_MS 100
#define DROP "drop:"   /* a letter that is a key of Redis */

struct logic_change {
    Openim__Internal__Done done;
    size_t cap_letters, cap_groups, cap_records;
    uint32_t tasks;
};

/* ---- what the handler says ---- */

static void *grown(struct oim_arena *a, void *list, size_t n, size_t *cap)
{
    void **more;

    if (n < *cap) return list;
    *cap = *cap ? *cap * 2 : 16;
    more = oim_arena_alloc(a, *cap * sizeof(*more));
    if (n) memcpy(more, list, n * sizeof(*more));
    return more;
}

static void letter_publish(struct logic_call *call, const char *letter)
{
    if (strncmp(letter, DROP, sizeof(DROP) - 1) == 0) {
        oim_redis_add(call->lane->rds, "DEL %s", letter + sizeof(DROP) - 1);
    } else {
        oim_redis_add(call->lane->rds, "PUBLISH oim:cache %s", letter);
    }
}

void logic_changed(struct logic_call *call, const char *kind, const char *id)
{
    struct logic_change *change = call->change;
    char *letter = oim_arena_printf(call->lane->arena, "%s:%s", kind, id);

    change->done.letters = grown(call->lane->arena, change->done.letters, change->done.n_letters, &change->cap_letters);
    change->done.letters[change->done.n_letters++] = letter;
}

void logic_dropped(struct logic_call *call, const char *key)
{
    logic_changed(call, "drop", key);
}

void logic_groups_changed(struct logic_call *call, const char *group_id, char *const *users, const uint64_t *versions, size_t n,
                          bool joined)
{
    struct logic_change *change = call->change;
    struct oim_arena *a = call->lane->arena;

    for (size_t i = 0; i < n; i++) {
        Openim__Internal__Groups *g = logic_new(call, &openim__internal__groups__descriptor);
        char **one = logic_list(call, 1);

        one[0] = oim_arena_strdup(a, group_id);
        g->userid = users[i];
        g->version = versions[i];
        if (joined) {
            g->joined = one;
            g->n_joined = 1;
        } else {
            g->left = one;
            g->n_left = 1;
        }
        change->done.groups = grown(a, change->done.groups, change->done.n_groups, &change->cap_groups);
        change->done.groups[change->done.n_groups++] = g;
    }
}

/* Waits while the queue is full. OIM_EFATAL: the process has to be started again. */
static int produce(struct logic_call *call, const char *topic, const void *key, size_t key_len, const void *value, size_t len)
{
    struct logic_lane *lane = call->lane;
    char *full = oim_arena_printf(lane->arena, "%s%s", lane->app->conf.kafka.topic_prefix, topic);
    int rc;

    while ((rc = oim_kafka_produce(lane->producer, full, -1, key, key_len, value, len, NULL)) == OIM_ELIMIT) {
        if (lane->app->stop) return OIM_EUNAVAIL;
        logic_lane_reports(lane, REPORTS_MS);
    }
    return rc;
}

int logic_change_record(struct logic_call *call, const char *topic, const void *key, size_t key_len, const void *value, size_t len)
{
    struct logic_change *change = call->change;
    struct oim_arena *a = call->lane->arena;
    Openim__Internal__Done__Record *r;

    if (change == NULL) return produce(call, topic, key, key_len, value, len);
    r = logic_new(call, &openim__internal__done__record__descriptor);
    r->topic = oim_arena_strdup(a, topic);
    r->key.data = memcpy(oim_arena_alloc(a, key_len), key, key_len);
    r->key.len = key_len;
    r->value.data = memcpy(oim_arena_alloc(a, len), value, len);
    r->value.len = len;
    change->done.records = grown(a, change->done.records, change->done.n_records, &change->cap_records);
    change->done.records[change->done.n_records++] = r;
    return OIM_OK;
}

int logic_task(struct logic_call *call, const char *path, const char *key, const ProtobufCMessage *payload)
{
    struct oim_arena *a = call->lane->arena;
    Openim__Internal__Uplink task = logic_uplink(call, OPENIM__INTERNAL__SOURCE__SERVER, false);
    uint8_t *packed;
    size_t len;

    task.path = (char *)path;
    /* its own name, the same when this record is handled again */
    task.gateway = logic_client_msg_id(call, oim_arena_printf(a, "%s/%s/%u", path, key, call->change ? call->change->tasks++ : 0));
    task.payload.len = protobuf_c_message_get_packed_size(payload);
    task.payload.data = oim_arena_alloc(a, task.payload.len + 1);
    protobuf_c_message_pack(payload, task.payload.data);
    len = openim__internal__uplink__get_packed_size(&task);
    packed = oim_arena_alloc(a, len);
    openim__internal__uplink__pack(&task, packed);
    return logic_change_record(call, "rpc", key, strlen(key), packed, len);
}

/* ---- request_log ---- */

static const uint8_t *request_id(struct logic_call *call)
{
    const Openim__Internal__Uplink *up = call->up;
    struct oim_arena *a = call->lane->arena;
    const char *parts[] = {up->gateway, oim_arena_printf(a, "%" PRIu64, up->requestid),
                           oim_arena_printf(a, "%" PRId64, up->receivedat), up->operationid, up->path};
    uint8_t *id = oim_arena_alloc(a, 16);

    oim_hash_sha128(id, parts, 5);
    return id;
}

#define LOG_READ "SELECT done FROM request_log WHERE request_id = ?"

/* NULL in *done: this record has changed nothing yet. */
static int log_find(struct logic_call *call, const char *sql, const uint8_t *id, Openim__Internal__Done **done)
{
    struct oim_sql_value args[] = {oim_sql_blob(id, 16)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    *done = NULL;
    if (rc || rows.n == 0) return rc;
    const struct oim_sql_value *cell = oim_sql_cell(&rows, 0, 0);
    *done = openim__internal__done__unpack(oim_arena_pb(call->lane->arena), cell->len, cell->p);
    return *done ? OIM_OK : OIM_EFATAL;
}

/* What became of a COMMIT without an answer: waits for MySQL as long as it takes, and for the lock of a commit that is still under way
 * there. OIM_EFATAL at stop: the record must come again. */
static int log_settle(struct logic_call *call, const uint8_t *id, Openim__Internal__Done **done)
{
    int rc;

    while ((rc = log_find(call, LOG_READ " FOR UPDATE", id, done)) != OIM_OK && rc != OIM_EFATAL) {
        if (call->lane->app->stop) break;
        (void)logic_lane_flush(call->lane); /* answers of the records before this one do not wait with it */
        usleep(RETRY_MS * 1000);
    }
    if (rc == OIM_OK) return OIM_OK;
    call->lane->broken = true;
    return OIM_EFATAL;
}

static int log_write(struct logic_call *call, const uint8_t *id, const Openim__Internal__Done *done)
{
    size_t len = openim__internal__done__get_packed_size(done);
    uint8_t *packed = oim_arena_alloc(call->lane->arena, len + 1);
    struct oim_sql_value args[] = {oim_sql_blob(id, 16), oim_sql_int(oim_now_ms()), oim_sql_blob(packed, len)};

    openim__internal__done__pack(done, packed);
    return oim_sql_exec(call->lane->db, call->lane->arena, "INSERT INTO request_log (request_id, create_time, done) VALUES (?, ?, ?)", args,
                        3, NULL, NULL);
}

static void reply_keep(struct logic_call *call, const ProtobufCMessage *res, Openim__Internal__Done *done)
{
    struct oim_arena *a = call->lane->arena;

    done->bare = call->bare;
    done->answered = call->answered;
    if (call->bare) {
        done->reply.len = call->res_json->len;
        done->reply.data = memcpy(oim_arena_alloc(a, done->reply.len + 1), call->res_json->data, done->reply.len);
    } else if (res) {
        done->reply.len = protobuf_c_message_get_packed_size(res);
        done->reply.data = oim_arena_alloc(a, done->reply.len + 1);
        protobuf_c_message_pack(res, done->reply.data);
    }
}

static int reply_repeat(struct logic_call *call, const Openim__Internal__Done *done, ProtobufCMessage *res)
{
    ProtobufCMessage *again;

    call->bare = done->bare;
    call->answered = done->answered;
    if (done->bare) {
        oim_buf_reset(call->res_json);
        oim_buf_append(call->res_json, done->reply.data, done->reply.len);
    } else if (res) {
        again = protobuf_c_message_unpack(res->descriptor, oim_arena_pb(call->lane->arena), done->reply.len, done->reply.data);
        if (again == NULL) return OIM_EFATAL;
        memcpy(res, again, res->descriptor->sizeof_message);
    }
    return OIM_OK;
}

/* ---- what follows the commit ---- */

/* Waits for Redis as long as it takes: the answer goes the same way. OIM_EUNAVAIL only at stop. */
static int letters_send(struct logic_call *call, const Openim__Internal__Done *done)
{
    int rc = OIM_OK;

    for (size_t i = 0; i < done->n_letters; i++) logic_row_cache_letter(done->letters[i], strlen(done->letters[i]));
    while (done->n_letters) {
        oim_redis_reset(call->lane->rds);
        for (size_t i = 0; i < done->n_letters; i++) letter_publish(call, done->letters[i]);
        rc = oim_redis_run(call->lane->rds);
        oim_redis_reset(call->lane->rds);
        if (rc == OIM_OK) break;
        if (call->lane->app->stop) return OIM_EUNAVAIL;
        usleep(RETRY_MS * 1000);
    }
    return rc;
}

/* Gateways know who is in the group before its notices are in the log. */
static int follow(struct logic_call *call, const Openim__Internal__Done *done)
{
    int rc = letters_send(call, done);

    for (size_t i = 0; i < done->n_groups; i++) oim_downlink_groups(call->lane->down, NULL, done->groups[i]);
    if (rc == OIM_OK && done->n_groups) rc = logic_lane_flush(call->lane);
    for (size_t i = 0; i < done->n_records && rc == OIM_OK; i++) {
        const Openim__Internal__Done__Record *r = done->records[i];

        rc = produce(call, r->topic, r->key.data, r->key.len, r->value.data, r->value.len);
    }
    if (rc == OIM_OK) return OIM_OK;
    /* its rows are committed: the record must come again, to somebody who can say the rest */
    oim_log(OIM_LOG_ERROR, "change told in part", "op=%s path=%s why=%s", call->up->operationid, call->up->path, oim_err_name(rc));
    call->lane->broken = true;
    return OIM_EFATAL;
}

/* ---- the transaction ---- */

/* unsure: nobody knows whether it was committed. */
static int attempt(struct logic_call *call, const struct logic_route *route, const ProtobufCMessage *req, ProtobufCMessage *res,
                   const uint8_t *id, Openim__Internal__Done *done, bool *unsure)
{
    struct logic_change change = {.done = OPENIM__INTERNAL__DONE__INIT};
    int rc = oim_sql_begin(call->lane->db);

    *unsure = false;
    call->change = &change;
    call->notices = 0;
    if (rc == OIM_OK) rc = route->handle(call, req, res);
    call->change = NULL;
    if (rc == OIM_OK) {
        reply_keep(call, res, &change.done);
        rc = log_write(call, id, &change.done);
    }
    if (rc == OIM_OK) {
        rc = oim_sql_commit(call->lane->db);
        *unsure = rc != OIM_OK && rc != OIM_ECONFLICT;
    }
    if (rc != OIM_OK) oim_sql_rollback(call->lane->db);
    *done = change.done;
    return rc;
}

static int repeat(struct logic_call *call, const Openim__Internal__Done *done, ProtobufCMessage *res)
{
    int rc = reply_repeat(call, done, res);

    call->fail = (struct oim_fail){0};
    return rc ? rc : follow(call, done);
}

int logic_change_run(struct logic_call *call, const struct logic_route *route, const ProtobufCMessage *req, ProtobufCMessage *res)
{
    const uint8_t *id = request_id(call);
    Openim__Internal__Done *before, done;
    bool unsure = false;
    int rc = log_find(call, LOG_READ, id, &before), known;

    if (rc) return rc;
    if (before) return repeat(call, before, res);
    for (int i = 0; i < ATTEMPTS; i++) {
        if (i && res) route->res->message_init(res);
        call->bare = call->answered = false;
        oim_buf_reset(call->res_json);
        rc = attempt(call, route, req, res, id, &done, &unsure);
        if (rc != OIM_ECONFLICT) break;
    }
    if (rc == OIM_OK) return follow(call, &done);
    /* refused: perhaps by what this very record did, in a commit of its dead owner that was under way at the first look */
    known = unsure ? log_settle(call, id, &before) : log_find(call, LOG_READ, id, &before);
    if (known == OIM_EFATAL) return known;
    return known == OIM_OK && before ? repeat(call, before, res) : rc;
}
