/*
 * The lane of everything that is not a message: takes records of <prefix>rpc in batches, rpc_request.c answers each. After a batch: what
 * was produced is acknowledged, the replies are published, the offsets are committed, in this order, so that a crash repeats a record and
 * never loses one. Reads that may take long are handed on to rpc_search.c.
 *
 * main.c runs it, one per lane. A store that is away costs a request its answer (500), it never stops the lane; only Redis, where the
 * replies leave, is waited for.
 */
#include "rpc_request.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64
#define POLL_MS 100
#define FLUSH_AFTER_MS 2    /* a reply waits no longer than this for the rest of its batch */
#define RETRY_MS 100
#define LOG_KEPT_MS 3600000 /* rows of request_log: every record that is not committed is handled again much sooner */
#define LOG_SWEEP_MS 600000

struct rpc {
    struct logic_requests requests;
    struct oim_kafka_consumer *consumer;
    int64_t sweep_at;
};

/* ---- batches ---- */

static void report_ignore(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    if (err) *(int *)ctx = err;
}

/* What a handler produced is in the log before its record is done. */
static int rpc_produced(struct rpc *rpc)
{
    int err = OIM_OK;

    if (rpc->requests.lane.broken) return OIM_EFATAL;

    while (oim_kafka_inflight(rpc->requests.lane.producer) > 0 && !rpc->requests.lane.app->stop) {
        oim_kafka_reports(rpc->requests.lane.producer, report_ignore, &err, POLL_MS);
        if (err) return OIM_EFATAL;
    }
    return rpc->requests.lane.app->stop && oim_kafka_inflight(rpc->requests.lane.producer) > 0 ? OIM_EUNAVAIL : OIM_OK;
}

void logic_lane_reports(struct logic_lane *lane, int timeout_ms)
{
    int err = OIM_OK;

    oim_kafka_reports(lane->producer, report_ignore, &err, timeout_ms);
    if (err) lane->broken = true;
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

static void rpc_record(struct rpc *rpc, const struct oim_kafka_record *record)
{
    if (logic_request(&rpc->requests, record->value, record->len)) return;
    oim_log(OIM_LOG_ERROR, "record skipped", "topic=rpc partition=%d offset=%" PRId64 " bytes=%zu", record->partition,
            record->offset, record->len);
}

static int rpc_batch(struct rpc *rpc, const struct oim_kafka_record *records, int n)
{
    int rc;

    rpc->requests.lane.flushed = oim_mono_ms();
    for (int i = 0; i < n; i++) {
        if (rpc->requests.lane.app->stop) n = i; /* the rest is not committed */
        if (i == n) break;
        rpc_record(rpc, &records[i]);
        if (oim_mono_ms() - rpc->requests.lane.flushed < FLUSH_AFTER_MS) continue;
        if (logic_lane_flush(&rpc->requests.lane)) return OIM_OK;
    }
    rc = rpc_produced(rpc);
    if (rc == OIM_OK) rc = logic_lane_flush(&rpc->requests.lane);
    if (rc == OIM_EUNAVAIL) return OIM_OK; /* stopping: nothing is committed, the next owner repeats */
    return rc == OIM_OK ? rpc_commit(rpc, records, n) : rc;
}

/* What the take-over of a dead lane needs of request_log is of its last seconds. The first sweep waits until this lane has seen what was
 * left of its partitions. */
static void rpc_sweep(struct rpc *rpc)
{
    struct oim_sql_value args[] = {oim_sql_int(oim_now_ms() - LOG_KEPT_MS)};
    struct logic_lane *lane = &rpc->requests.lane;
    uint64_t gone = 0;

    if (oim_mono_ms() < rpc->sweep_at) return;
    oim_arena_reset(lane->arena);
    (void)oim_sql_exec(lane->db, lane->arena, "DELETE FROM request_log WHERE create_time < ? LIMIT 1000", args, 1, NULL, &gone);
    rpc->sweep_at = oim_mono_ms() + (gone ? 1000 : LOG_SWEEP_MS);
}

/* ---- the lane ---- */

static int64_t partition_assigned(void *ctx, int32_t partition, int64_t committed)
{
    oim_log(OIM_LOG_INFO, "partition taken", "topic=rpc lane=%s partition=%d from=%" PRId64, ((struct rpc *)ctx)->requests.lane.name,
            partition, committed);
    return -1;
}

static void partition_revoked(void *ctx, int32_t partition, bool lost)
{
    oim_log(OIM_LOG_INFO, "partition given back", "topic=rpc lane=%s partition=%d lost=%d", ((struct rpc *)ctx)->requests.lane.name,
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
    struct oim_app *app = rpc->requests.lane.app;
    int n, rc;

    rpc->sweep_at = oim_mono_ms() + LOG_SWEEP_MS;
    while (!app->stop && oim_err_retriable(admins_create(&rpc->requests.lane))) usleep(RETRY_MS * 1000);
    while (!app->stop) {
        n = oim_kafka_poll(rpc->consumer, records, BATCH, POLL_MS);
        if (n < 0) return n;
        rc = n ? rpc_batch(rpc, records, n) : OIM_OK;
        oim_kafka_records_free(records, n);
        if (rc) return rc;
        logic_groups_again(&rpc->requests.lane);
        logic_requests_report(&rpc->requests);
        rpc_sweep(rpc);
    }
    return OIM_OK;
}

static void rpc_close(struct rpc *rpc)
{
    logic_groups_forget(&rpc->requests.lane);
    oim_kafka_consumer_free(rpc->consumer);
    oim_kafka_producer_free(rpc->requests.lane.producer);
    logic_requests_close(&rpc->requests);
}

int logic_rpc_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    static const struct oim_kafka_events events = {.assigned = partition_assigned, .revoked = partition_revoked};
    struct rpc rpc = {0};
    char topic[256];
    int rc = OIM_EFATAL;

    snprintf(topic, sizeof(topic), "%srpc", app->conf.kafka.topic_prefix);
    if (oim_kafka_partitions(&app->conf, topic, &app->stop) < 0) return app->stop ? OIM_OK : OIM_EFATAL;

    if (logic_requests_open(&rpc.requests, app, lane->name)) {
        rpc.requests.lane.producer = oim_kafka_producer_new(&app->conf, lane->name);
        rpc.consumer = oim_kafka_consumer_new(&app->conf, topic, "openim-logic-rpc", lane->name, &events, &rpc);
        if (rpc.requests.lane.producer && rpc.consumer) rc = rpc_loop(&rpc);
    }
    rpc_close(&rpc);
    return rc;
}
