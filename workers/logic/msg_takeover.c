/*
 * A partition comes to this lane: fence out whoever had it, read the end of openim.stored, know the conversations and the newest messages,
 * say again what the predecessor stored but perhaps did not publish, and tell Kafka where to go on. docs/records.md, Take-over.
 *
 * The same reading fills Redis again when it has lost its data (the marker oim:lane:<p> is gone).
 */
#include "msg.h"
#include "rpc.h"

#include "oim_hash.h"
#include "oim_log.h"

#include <inttypes.h>
#include <string.h>

#define TAIL 20000
#define READ_MS 10000
#define RUN_EVERY 500
#define AGAIN_MAX 50000 /* to be published again; a group that has committed nothing for longer starts over at its newest */

struct replay {
    struct msg_lane *lane;
    int32_t partition;
    int64_t fence;        /* newest seen */
    int64_t committed;    /* answers from here on are published again; INT64_MAX: none */
    int64_t hot_from;     /* records from here on are not archived yet: into Redis */
    int64_t last_source;
    struct msg_turn *turn; /* of the entries to publish again */
    struct msg_entry **again;
    size_t n_again, cap_again;
    struct oim_arena *arena; /* of one record */
    bool redis_failed;
    uint64_t records, void_records;
};

/* ---- one record ---- */

static void redis_run(struct replay *r, size_t at_least)
{
    struct oim_redis *rds = r->lane->base.rds;

    if (oim_redis_count(rds) < at_least) return;
    if (oim_redis_run(rds) != OIM_OK) r->redis_failed = true;
    oim_redis_reset(rds);
}

static void hot_fill(struct replay *r, const Openim__Internal__Stored *s)
{
    if (r->redis_failed) return;
    oim_redis_add(r->lane->base.rds, "SET oim:hot:%s:%lld %b EX %d", s->conversationid, (long long)s->seq, s->message.data, s->message.len,
                  r->lane->base.app->conf.message.hot_seconds);
    redis_run(r, RUN_EVERY);
}

static char *dup(struct replay *r, const char *s)
{
    return oim_arena_strdup(r->turn->arena, s);
}

/* What a predecessor stored after its last commit: answered and pushed once more. */
static void again_add(struct replay *r, const Openim__Internal__Stored *s)
{
    struct oim_arena *a = r->turn->arena;
    struct msg_entry *e = oim_arena_zalloc(a, sizeof(*e));
    Openim__Internal__Uplink *up = oim_arena_zalloc(a, sizeof(*up));
    uint8_t *packed = oim_arena_alloc(a, s->message.len);

    memcpy(packed, s->message.data, s->message.len);
    openim__internal__uplink__init(up);
    up->gateway = dup(r, s->gateway);
    up->requestid = s->requestid;
    up->source = s->source;
    up->path = dup(r, s->path);
    up->operationid = dup(r, s->operationid);
    up->alsouserids = oim_arena_alloc(a, (s->n_alsouserids + 1) * sizeof(*up->alsouserids));
    for (size_t i = 0; i < s->n_alsouserids; i++) up->alsouserids[up->n_alsouserids++] = dup(r, s->alsouserids[i]);
    e->turn = r->turn;
    e->partition = r->partition;
    e->offset = s->sourceoffset;
    e->up = up;
    e->msg = openim__sdkws__msg_data__unpack(oim_arena_pb(a), s->message.len, packed);
    e->conversation_id = dup(r, s->conversationid);
    e->chat = strncmp(s->conversationid, "n_", 2) != 0;
    e->history = e->again = true;
    e->state = MSG_READY;
    e->outcome = MSG_STORED;
    e->packed = packed;
    e->packed_len = s->message.len;
    e->server_msg_id = e->msg->servermsgid;
    e->send_time = e->msg->sendtime;
    if (r->n_again == r->cap_again) {
        struct msg_entry **more = oim_arena_alloc(a, (r->cap_again * 2 + 64) * sizeof(*more));

        if (r->n_again) memcpy(more, r->again, r->n_again * sizeof(*more));
        r->again = more;
        r->cap_again = r->cap_again * 2 + 64;
    }
    r->again[r->n_again++] = e;
}

static void message_learn(struct replay *r, const Openim__Internal__Stored *s, const Openim__Sdkws__MsgData *msg, int64_t offset)
{
    struct msg_partition *part = &r->lane->partitions[r->partition];
    struct msg_dedup_entry known = {.seq = s->seq, .send_time = msg->sendtime, .offset = s->sourceoffset};

    msg_conv_learn(r->lane, s->conversationid, r->partition, s->seq, msg->sendtime)->offset = offset;
    oim_hash_dedup(known.key, s->conversationid, msg->sendid, msg->clientmsgid);
    msg_dedup_add(part->dedup, &known);
    if (s->sourceoffset > r->last_source) r->last_source = s->sourceoffset;
}

static int record_read(void *ctx, const struct oim_kafka_record *record)
{
    struct replay *r = ctx;
    Openim__Internal__Stored *s;
    Openim__Sdkws__MsgData *msg;

    oim_arena_reset(r->arena);
    r->records++;
    s = openim__internal__stored__unpack(oim_arena_pb(r->arena), record->len, record->value);
    if (s == NULL) {
        oim_log(OIM_LOG_ERROR, "record skipped", "topic=stored partition=%d offset=%" PRId64, record->partition, record->offset);
        return OIM_OK;
    }
    if (s->kind == OPENIM__INTERNAL__STORED_KIND__FENCE) {
        r->fence = record->offset;
        return OIM_OK;
    }
    if (s->epoch < r->fence) {
        r->void_records++;
        return OIM_OK;
    }
    r->fence = s->epoch;
    msg = openim__sdkws__msg_data__unpack(oim_arena_pb(r->arena), s->message.len, s->message.data);
    if (msg == NULL) return OIM_OK;
    if (r->turn) message_learn(r, s, msg, record->offset);
    if (record->offset >= r->hot_from) hot_fill(r, s);
    if (r->turn && s->sourceoffset >= r->committed && r->n_again < AGAIN_MAX) again_add(r, s);
    return OIM_OK;
}

/* ---- the steps ---- */

static int archive_position(struct msg_lane *lane, int32_t partition, int64_t *next, int64_t *fence)
{
    static const char sql[] = "SELECT next_offset, fence FROM archive_offset WHERE partition_id = ?";
    struct oim_sql_value args[] = {oim_sql_int(partition)};
    struct oim_sql_rows rows;
    int err;

    oim_arena_reset(lane->base.arena);
    err = oim_sql_exec(lane->base.db, lane->base.arena, sql, args, 1, &rows, NULL);
    *next = *fence = 0;
    if (err == OIM_OK && rows.n) {
        *next = logic_cell_int(&rows, 0, 0);
        *fence = logic_cell_int(&rows, 0, 1);
    }
    return err;
}

/* The newest seqs of the partition's conversations, then the marker. */
static void seqs_fill(struct replay *r, int64_t epoch)
{
    struct msg_lane *lane = r->lane;
    struct msg_conv *conv, *next;

    HASH_ITER(hh, lane->convs, conv, next)
    {
        if (conv->partition != r->partition || conv->stored_seq == 0 || r->redis_failed) continue;
        oim_redis_add(lane->base.rds, "HSET oim:seq:%s max %lld time %lld", conv->id, (long long)conv->stored_seq, (long long)conv->last_time);
        redis_run(r, RUN_EVERY);
    }
    if (r->redis_failed) return;
    oim_redis_add(lane->base.rds, "SET oim:lane:%d %lld", r->partition, (long long)epoch);
    redis_run(r, 1);
}

/* The rows of conversations whose first message is said again: the predecessor may have died between the two. */
static int again_rows(struct replay *r)
{
    struct msg_entry **firsts = oim_arena_alloc(r->turn->arena, (r->n_again + 1) * sizeof(*firsts));
    size_t n = 0;

    for (size_t i = 0; i < r->n_again; i++) {
        if (r->again[i]->chat && r->again[i]->msg->seq == 1) firsts[n++] = r->again[i];
    }
    return n ? msg_conv_rows(r->lane, firsts, n) : OIM_OK;
}

static void again_queue(struct replay *r)
{
    struct msg_partition *part = &r->lane->partitions[r->partition];

    r->turn->live = (int)r->n_again;
    for (size_t i = 0; i < r->n_again; i++) {
        *part->tail = r->again[i];
        part->tail = &r->again[i]->next;
    }
    part->queued += r->n_again;
    r->lane->queued += r->n_again;
    r->lane->count.again += r->n_again;
}

static int read_tail(struct replay *r, int64_t epoch, int64_t archived, int64_t archive_fence)
{
    int64_t from = epoch > TAIL ? epoch - TAIL : 0;

    if (archived < from) from = archived;
    r->hot_from = archived;
    r->fence = archive_fence < from || from == archived ? archive_fence : 0;
    return oim_kafka_read(&r->lane->base.app->conf, r->lane->topic_stored, r->partition, from, epoch, READ_MS, record_read, r);
}

int64_t msg_takeover(struct msg_lane *lane, int32_t partition, int64_t committed)
{
    struct msg_partition *part = &lane->partitions[partition];
    struct replay r = {.lane = lane, .partition = partition, .last_source = -1, .committed = committed >= 0 ? committed : 0};
    int64_t began = oim_mono_ms(), archived, archive_fence, epoch, resume;
    int err;

    if (archive_position(lane, partition, &archived, &archive_fence) != OIM_OK) return -2;
    if (msg_store_fence(lane, partition, &epoch) != OIM_OK) return -2;
    if (partition >= lane->top) lane->top = partition + 1;
    msg_partition_open(lane, partition, epoch);
    r.arena = oim_arena_new(64 * 1024);
    r.turn = msg_turn_take(lane);
    err = read_tail(&r, epoch, archived, archive_fence);
    redis_run(&r, 1);
    if (err == OIM_OK) err = again_rows(&r);
    oim_arena_free(r.arena);
    if (err != OIM_OK) {
        oim_log(OIM_LOG_WARN, "partition not taken yet", "lane=%s partition=%d why=\"%s\"", lane->base.name, partition, oim_err_name(err));
        msg_turn_give(lane, r.turn);
        msg_partition_forget(lane, partition);
        return -2;
    }
    if (r.n_again) {
        again_queue(&r);
    } else {
        msg_turn_give(lane, r.turn);
    }
    seqs_fill(&r, epoch);
    /* from the last commit: what was refused or only pushed since then is said again, too; what is stored is recognised */
    resume = committed >= 0 ? committed : r.last_source + 1;
    part->again_below = r.last_source + 1;
    part->committed = r.committed;
    part->published = resume;
    oim_log(OIM_LOG_INFO, "partition taken",
            "lane=%s topic=msg partition=%d epoch=%" PRId64 " committed=%" PRId64 " resume=%" PRId64 " records=%" PRIu64 " void=%" PRIu64
            " again=%zu ms=%" PRId64,
            lane->base.name, partition, epoch, committed, resume, r.records, r.void_records, r.n_again, oim_mono_ms() - began);
    return resume;
}

/* ---- Redis lost its data ---- */

bool msg_takeover_redis_lost(struct msg_lane *lane)
{
    struct oim_redis *rds = lane->base.rds;
    bool lost = false;

    for (int32_t p = 0; p < lane->top; p++) {
        if (lane->partitions[p].owned) oim_redis_add(rds, "EXISTS oim:lane:%d", p);
    }
    if (oim_redis_run(rds) == OIM_OK) {
        for (size_t i = 0; i < oim_redis_count(rds); i++) {
            struct oim_redis_value v = oim_redis_reply(rds, i);

            if (v.type == OIM_REDIS_INTEGER && v.integer == 0) lost = true;
        }
    }
    oim_redis_reset(rds);
    return lost;
}

int msg_takeover_refill(struct msg_lane *lane)
{
    for (int32_t p = 0; p < lane->top; p++) {
        struct replay r = {.lane = lane, .partition = p, .committed = INT64_MAX};
        int64_t archived, fence, began = oim_mono_ms();
        int err;

        if (!lane->partitions[p].owned) continue;
        err = archive_position(lane, p, &archived, &fence);
        if (err != OIM_OK) return err;
        r.hot_from = archived;
        r.fence = fence;
        r.arena = oim_arena_new(64 * 1024);
        err = oim_kafka_read(&lane->base.app->conf, lane->topic_stored, p, archived, INT64_MAX, READ_MS, record_read, &r);
        redis_run(&r, 1);
        oim_arena_free(r.arena);
        if (err == OIM_OK) seqs_fill(&r, lane->partitions[p].epoch);
        if (err != OIM_OK || r.redis_failed) return OIM_EUNAVAIL;
        oim_log(OIM_LOG_INFO, "redis filled again", "lane=%s partition=%d records=%" PRIu64 " ms=%" PRId64, lane->base.name, p, r.records,
                oim_mono_ms() - began);
    }
    return OIM_OK;
}
