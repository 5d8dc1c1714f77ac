/*
 * The message lane: one thread that takes openim.msg records of its partitions and sees each through to its answer. Read msg.h first, for
 * the files of the road.
 *
 * A record becomes an entry in the queue of its partition and leaves it in order: an entry is ready when it is refused or when Kafka has
 * its stored record; what is ready at the head is delivered; what is delivered is committed. New records are taken while others wait for
 * Kafka, up to logic.inflight of them. So a batch costs one round of queries, one pipeline and one publish per gateway, and nothing waits
 * for anything else.
 */
#include "logic_cache.h"
#include "msg.h"
#include "rpc.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 200
#define COMMIT_MS 200
#define CHECK_MS 1000
#define REPORT_MS 60000
#define TURN_BYTES (64 * 1024)
#define LEAVE_MS 3000

/* ---- turns ---- */

struct msg_turn *msg_turn_take(struct msg_lane *lane)
{
    struct msg_turn *turn = lane->free_turns;

    if (turn) {
        lane->free_turns = turn->next;
    } else {
        turn = calloc(1, sizeof(*turn));
        if (turn == NULL || (turn->arena = oim_arena_new(TURN_BYTES)) == NULL) abort();
    }
    turn->live = 0;
    return turn;
}

void msg_turn_give(struct msg_lane *lane, struct msg_turn *turn)
{
    oim_arena_reset(turn->arena);
    turn->next = lane->free_turns;
    lane->free_turns = turn;
}

void msg_turn_drop(struct msg_lane *lane, struct msg_entry *entry)
{
    struct msg_turn *turn = entry->turn;

    if (--turn->live == 0) msg_turn_give(lane, turn);
}

/* ---- partitions ---- */

void msg_partition_open(struct msg_lane *lane, int32_t partition, int64_t epoch)
{
    struct msg_partition *part = &lane->partitions[partition];

    msg_partition_forget(lane, partition);
    *part = (struct msg_partition){.owned = true, .epoch = epoch, .next_stored = epoch + 1, .gap_from = -1};
    part->tail = &part->head;
    part->dedup = msg_dedup_new((size_t)lane->base.app->conf.message.dedup_entries);
    if (part->dedup == NULL) abort();
}

void msg_partition_forget(struct msg_lane *lane, int32_t partition)
{
    struct msg_partition *part = &lane->partitions[partition];
    struct msg_entry *e, *next;

    if (!part->owned) return;
    for (e = part->head; e; e = next) {
        next = e->next;
        lane->queued--;
        if (e->state == MSG_WAITING) {
            e->orphan = true; /* its report still comes */
        } else {
            msg_turn_drop(lane, e);
        }
    }
    msg_dedup_free(part->dedup);
    msg_later_forget(lane, partition);
    *part = (struct msg_partition){0};
    msg_conv_forget(lane, partition);
}

static void commit(struct msg_lane *lane, int32_t p, bool wait)
{
    struct msg_partition *part = &lane->partitions[p];
    int64_t next = msg_later_limit(lane, p, part->published);

    if (!part->owned || next <= part->committed) return;
    if (oim_kafka_commit(lane->consumer, p, next, wait) == OIM_OK) part->committed = next;
}

static void commit_all(struct msg_lane *lane, bool wait)
{
    for (int32_t p = 0; p < lane->top; p++) commit(lane, p, wait);
}

static int64_t assigned(void *ctx, int32_t partition, int64_t committed)
{
    if (partition >= MSG_PARTITIONS) {
        oim_log(OIM_LOG_ERROR, "more partitions than this program knows", "partition=%d max=%d", partition, MSG_PARTITIONS);
        return -2;
    }
    return msg_takeover(ctx, partition, committed);
}

/* Lets what is on its way arrive, when the partition was asked back and not lost. */
static void revoked(void *ctx, int32_t partition, bool lost)
{
    struct msg_lane *lane = ctx;
    struct msg_partition *part = &lane->partitions[partition];
    int64_t until = oim_mono_ms() + LEAVE_MS;

    while (!lost && part->owned && part->queued && oim_mono_ms() < until && !lane->fatal) {
        msg_store_reports(lane, 50);
        if (msg_deliver(lane) != OIM_OK) break;
    }
    if (!lost) commit(lane, partition, true);
    oim_log(OIM_LOG_INFO, "partition given back", "lane=%s topic=msg partition=%d lost=%d unpublished=%zu", lane->base.name, partition, lost,
            part->queued);
    msg_partition_forget(lane, partition);
}

/* ---- records ---- */

static void entry_queue(struct msg_lane *lane, struct msg_entry *e)
{
    struct msg_partition *part = &lane->partitions[e->partition];

    e->turn->live++;
    *part->tail = e;
    part->tail = &e->next;
    part->queued++;
    lane->queued++;
}

static struct msg_entry *entry_new(struct msg_lane *lane, struct msg_turn *turn, const struct oim_kafka_record *record)
{
    struct msg_entry *e = oim_arena_zalloc(turn->arena, sizeof(*e));

    e->turn = turn;
    e->partition = record->partition;
    e->offset = record->offset;
    e->timestamp = record->timestamp;
    e->key = (const uint8_t *)oim_arena_strndup(turn->arena, (const char *)record->key, record->key_len);
    e->key_len = record->key_len;
    e->state = MSG_READY;
    entry_queue(lane, e);
    return e;
}

static bool takes(const Openim__Internal__Uplink *up)
{
    switch (up->source) {
    case OPENIM__INTERNAL__SOURCE__WS:
    case OPENIM__INTERNAL__SOURCE__REST:
    case OPENIM__INTERNAL__SOURCE__SERVER: return true;
    default: return false;
    }
}

/* True when the entry has to be verified against the stores. */
static bool entry_decode(struct msg_lane *lane, struct msg_entry *e, const struct oim_kafka_record *record)
{
    static const Openim__Internal__Uplink nobody = OPENIM__INTERNAL__UPLINK__INIT;
    Openim__Internal__Uplink *up = openim__internal__uplink__unpack(oim_arena_pb(e->turn->arena), record->len, record->value);

    if (up == NULL || !logic_utf8(&up->base) || !takes(up)) {
        oim_log(OIM_LOG_ERROR, "record skipped", "topic=msg partition=%d offset=%" PRId64 " bytes=%zu", e->partition, e->offset, record->len);
        lane->count.poison++;
        e->up = &nobody;
        e->outcome = MSG_SKIPPED;
        return false;
    }
    e->up = up;
    msg_verify_form(lane, e);
    return e->outcome != MSG_REFUSED;
}

/* A notification that a store refuses for now. */
static bool waits(const struct msg_entry *e)
{
    return e->outcome == MSG_REFUSED && e->fail.code == OIM_C_INTERNAL && e->up->source == OPENIM__INTERNAL__SOURCE__SERVER && !e->later;
}

static int handle(struct msg_lane *lane, const struct oim_kafka_record *records, int n)
{
    struct msg_turn *turn = msg_turn_take(lane);
    struct msg_entry **entries, *e, *notice = NULL;
    size_t count = 0;

    oim_arena_reset(lane->base.arena);
    entries = oim_arena_alloc(lane->base.arena, (size_t)n * 2 * sizeof(*entries));
    for (int i = 0; i < n; i++) {
        if (!lane->partitions[records[i].partition].owned) continue; /* left in this very poll */
        e = entry_new(lane, turn, &records[i]);
        if (!entry_decode(lane, e, &records[i])) continue;
        entries[count++] = e;
        if (notice == NULL) notice = oim_arena_zalloc(turn->arena, sizeof(*notice));
        if (!msg_verify_split(e, notice)) continue;
        entry_queue(lane, notice);
        entries[count++] = notice;
        notice = NULL;
    }
    if (turn->live == 0) msg_turn_give(lane, turn);
    if (count == 0) return OIM_OK;
    msg_verify_batch(lane, entries, count);
    msg_sequence_prepare(lane, entries, count);
    for (size_t i = 0; i < count; i++) {
        int err;

        /* when the chat message has to wait its notification waits, too */
        if (i && entries[i - 1]->up == entries[i]->up && entries[i - 1]->later) {
            msg_refuse(entries[i], OIM_C_INTERNAL, "store unavailable");
            entries[i]->later = true;
        }
        msg_sequence_assign(lane, entries[i]);
        if (waits(entries[i])) {
            entries[i]->later = true;
            msg_later_add(lane, entries[i]);
        }
        if (entries[i]->outcome != MSG_STORED) continue;
        err = msg_store(lane, entries[i]);
        if (err != OIM_OK) return OIM_EFATAL; /* started again, this partition's log tells where */
    }
    return OIM_OK;
}

/* ---- the loop ---- */

static void chores(struct msg_lane *lane)
{
    int64_t now = oim_mono_ms();

    if (now >= lane->commit_at) {
        lane->commit_at = now + COMMIT_MS;
        commit_all(lane, false);
    }
    if (now >= lane->check_at) {
        lane->check_at = now + CHECK_MS;
        if (msg_takeover_redis_lost(lane)) msg_takeover_refill(lane);
        if (lane->later) msg_later_run(lane);
    }
    if (now >= lane->report_at) {
        lane->report_at = now + REPORT_MS;
        oim_log(OIM_LOG_INFO, "messages",
                "lane=%s stored=%" PRIu64 " pushed=%" PRIu64 " refused=%" PRIu64 " duplicates=%" PRIu64 " again=%" PRIu64 " poison=%" PRIu64
                " queued=%zu conversations=%u",
                lane->base.name, lane->count.stored, lane->count.pushed, lane->count.refused, lane->count.duplicates, lane->count.again,
                lane->count.poison, lane->queued, HASH_COUNT(lane->convs));
    }
}

/* Full: takes nothing more, but rebalances go on with the next free place. */
static int take(struct msg_lane *lane, struct oim_kafka_record *records)
{
    int room = lane->base.app->conf.logic.inflight - (int)lane->queued;

    if (room <= 0) return 0;
    return oim_kafka_poll(lane->consumer, records, room < MSG_BATCH ? room : MSG_BATCH, 0);
}

static int turn(struct msg_lane *lane)
{
    struct oim_kafka_record records[MSG_BATCH];
    int n, err = OIM_OK, reports;

    if (logic_stalled()) return OIM_EFATAL; /* before it takes new partitions and loses them again */
    n = take(lane, records);
    if (n < 0) return n;
    if (n > 0) {
        err = handle(lane, records, n);
        oim_kafka_records_free(records, n);
    }
    if (err != OIM_OK) return err;
    reports = msg_store_reports(lane, 0);
    err = msg_deliver(lane);
    if (err == OIM_EFENCED) return OIM_EFATAL; /* whoever has the partitions now publishes it */
    chores(lane);
    if (n == 0 && reports == 0 && err == OIM_OK) oim_kafka_wait_ms(lane->wait, IDLE_MS);
    return lane->fatal ? OIM_EFATAL : OIM_OK;
}

/* An orderly end: what was taken is answered, what is answered is committed. */
static void drain(struct msg_lane *lane)
{
    int64_t until = oim_mono_ms() + LEAVE_MS;

    while (lane->queued && oim_mono_ms() < until && !lane->fatal && !logic_stalled()) {
        msg_store_reports(lane, 50);
        if (msg_deliver(lane) != OIM_OK) break;
    }
    if (!logic_stalled()) commit_all(lane, true);
}

static bool open_lane(struct msg_lane *lane, const struct oim_app_lane *info)
{
    static const struct oim_kafka_events events = {.assigned = assigned, .revoked = revoked};
    struct oim_app *app = lane->base.app;
    const char *prefix = app->conf.kafka.topic_prefix;
    char topic[256];

    snprintf(topic, sizeof(topic), "%smsg", prefix);
    lane->topic_msg = strdup(topic);
    snprintf(topic, sizeof(topic), "%sstored", prefix);
    lane->topic_stored = strdup(topic);
    snprintf(topic, sizeof(topic), "%srpc", prefix);
    lane->topic_rpc = strdup(topic);
    lane->partitions = calloc(MSG_PARTITIONS, sizeof(*lane->partitions));
    lane->base.name = info->name;
    lane->base.arena = oim_arena_new(256 * 1024);
    lane->base.rds = oim_redis_new(&app->conf, info->name);
    lane->base.db = oim_sql_new(&app->conf, info->name);
    lane->base.down = oim_downlink_new(info->name);
    lane->base.producer = oim_kafka_producer_new(&app->conf, info->name);
    lane->cache = logic_cache_new();
    if (!lane->topic_msg || !lane->topic_stored || !lane->topic_rpc || !lane->partitions || !lane->base.arena || !lane->base.rds || !lane->base.db ||
        !lane->base.down || !lane->base.producer || !lane->cache) {
        return false;
    }
    /* "openim." -> "openim-logic-msg": installations that share a Kafka do not share a group */
    snprintf(topic, sizeof(topic), "%.*s-logic-msg", (int)(strlen(prefix) - (prefix[0] && prefix[strlen(prefix) - 1] == '.')), prefix);
    lane->consumer = oim_kafka_consumer_new(&app->conf, lane->topic_msg, topic, info->name, &events, lane);
    lane->wait = lane->consumer ? oim_kafka_wait_new(lane->consumer, lane->base.producer) : NULL;
    return lane->wait != NULL;
}

static void close_lane(struct msg_lane *lane)
{
    oim_kafka_consumer_free(lane->consumer); /* gives the partitions back: revoked() for each */
    oim_kafka_wait_free(lane->wait);
    oim_kafka_producer_free(lane->base.producer);
    for (int32_t p = 0; p < lane->top; p++) msg_partition_forget(lane, p);
    while (lane->later) msg_later_reported(lane, lane->later);
    while (lane->free_turns) {
        struct msg_turn *t = lane->free_turns;

        lane->free_turns = t->next;
        oim_arena_free(t->arena);
        free(t);
    }
    oim_downlink_free(lane->base.down);
    oim_sql_free(lane->base.db);
    oim_redis_free(lane->base.rds);
    oim_arena_free(lane->base.arena);
    oim_buf_free(&lane->scratch);
    logic_cache_free(lane->cache);
    free(lane->partitions);
    free(lane->topic_msg);
    free(lane->topic_stored);
    free(lane->topic_rpc);
}

int logic_msg_run(struct oim_app *app, const struct oim_app_lane *info)
{
    struct msg_lane lane = {.base = {.app = app}};
    int err = open_lane(&lane, info) ? OIM_OK : OIM_EFATAL;

    lane.report_at = oim_mono_ms() + REPORT_MS;
    while (err == OIM_OK && !app->stop) err = turn(&lane);
    if (err == OIM_OK) {
        drain(&lane);
        close_lane(&lane);
    }
    return err; /* a fatal end leaves everything to the exit of the process */
}
