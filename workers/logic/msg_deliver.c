/*
 * What happens after openim.stored has a message: the hot copy, the newest seq and the sender's read seq go to Redis, then the answer to
 * the sender and the push to both sides, or to the group, leave in one Downlink per gateway. msg_lane.c calls it each turn; docs/records.md gives the keys.
 *
 * While Redis is away nothing leaves and nothing is committed: the lane waits here and does it again.
 */
#include "msg.h"
#include "msg_options.h"
#include "notify.h"
#include "rpc.h"

#include "msg.pb-c.h"
#include "oim_log.h"
#include "oim_wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DELIVER_MAX 1000
#define SEQ_SECONDS 604800
#define RETRY_MS 100
#define SEND_OK "2" /* messages.md 13.3 */
#define PUSH_MSG 2001

/* Raises hash fields: KEYS[i] gets ARGV[2i-1] = ARGV[2i] unless it holds more. */
#define RAISE                                                                                                                      \
    "for i = 1, #KEYS do local f, v = ARGV[2 * i - 1], tonumber(ARGV[2 * i]) "                                                      \
    "local c = tonumber(redis.call('HGET', KEYS[i], f) or '0') if c < v then redis.call('HSET', KEYS[i], f, v) end end"

/* ---- Redis ---- */

static void hot_add(struct msg_lane *lane, const struct msg_entry *e)
{
    struct oim_redis *rds = lane->base.rds;
    struct msg_conv *conv = msg_conv_find(lane, e->conversation_id);

    oim_redis_add(rds, "SET oim:hot:%s:%lld %b EX %d", e->conversation_id, (long long)e->msg->seq, e->packed, e->packed_len,
                  lane->base.app->conf.message.hot_seconds);
    /* entries come newest first: one line per conversation */
    if (conv && conv->delivered > e->msg->seq) return;
    if (conv) conv->delivered = e->msg->seq;
    oim_redis_add(rds, "HSET oim:seq:%s max %lld time %lld", e->conversation_id, (long long)e->msg->seq, (long long)e->send_time);
    oim_redis_add(rds, "EXPIRE oim:seq:%s %d", e->conversation_id, SEQ_SECONDS);
}

/* messages.md 5.4: who sent it has read it. */
static void reads_add(struct msg_lane *lane, struct msg_entry **list, size_t n)
{
    struct oim_arena *a = lane->base.arena;
    const char **argv = oim_arena_alloc(a, (3 + 3 * n) * sizeof(*argv));
    size_t *lens = oim_arena_alloc(a, (3 + 3 * n) * sizeof(*lens)), count = 0, at = 3;

    for (size_t i = 0; i < n; i++) {
        if (list[i]->outcome != MSG_STORED || !list[i]->chat) continue;
        argv[3 + count++] = oim_arena_printf(a, "oim:read:%s", list[i]->msg->sendid);
    }
    if (count == 0) return;
    at += count;
    for (size_t i = 0; i < n; i++) {
        if (list[i]->outcome != MSG_STORED || !list[i]->chat) continue;
        argv[at++] = list[i]->conversation_id;
        argv[at++] = oim_arena_printf(a, "%" PRId64, list[i]->msg->seq);
    }
    argv[0] = "EVAL";
    argv[1] = RAISE;
    argv[2] = oim_arena_printf(a, "%zu", count);
    for (size_t i = 0; i < at; i++) lens[i] = strlen(argv[i]);
    oim_redis_add_argv(lane->base.rds, (int)at, argv, lens);
}

static void redis_add(struct msg_lane *lane, struct msg_entry **list, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        struct msg_conv *conv = list[i]->outcome == MSG_STORED ? msg_conv_find(lane, list[i]->conversation_id) : NULL;

        if (conv) conv->delivered = 0;
    }
    for (size_t i = n; i-- > 0;) {
        const struct msg_entry *e = list[i];

        if (e->outcome == MSG_STORED) hot_add(lane, e);
        if (e->up->path[0] && e->outcome != MSG_REFUSED && e->outcome != MSG_SKIPPED) {
            oim_redis_add(lane->base.rds, "SET SEND_MSG_FAILED_FLAG:%s " SEND_OK " EX 86400", e->up->operationid);
        }
    }
    reads_add(lane, list, n);
}

/* ---- answers ---- */

static int32_t code_of(const struct msg_entry *e)
{
    return e->outcome == MSG_REFUSED ? e->fail.code : 0;
}

static void answer_rest(struct msg_lane *lane, const struct msg_entry *e, const Openim__Msg__SendMsgResp *resp)
{
    struct oim_buf *out = &lane->scratch;

    oim_buf_reset(out);
    if (e->outcome == MSG_REFUSED) {
        oim_json_envelope(out, e->fail.code, e->fail.msg, e->fail.dlt, NULL);
    } else {
        /* the route answers a map of what a hook has changed, and leaves it out when it is empty (rest.md B.7) */
        oim_buf_puts(out, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":{\"serverMsgID\":");
        oim_json_string(out, resp->servermsgid, strlen(resp->servermsgid));
        oim_buf_puts(out, ",\"clientMsgID\":");
        oim_json_string(out, resp->clientmsgid, strlen(resp->clientmsgid));
        oim_buf_printf(out, ",\"sendTime\":%" PRId64 "}}", resp->sendtime);
    }
    oim_downlink_rest(lane->base.down, e->up->gateway, e->up->requestid, 0, code_of(e), "", out->data, out->len);
}

static void answer(struct msg_lane *lane, const struct msg_entry *e)
{
    Openim__Msg__SendMsgResp resp = OPENIM__MSG__SEND_MSG_RESP__INIT;
    uint8_t data[1024];
    size_t len = 0;

    /* one record, one answer: the last of its entries gives it, and not before it is stored */
    if (e->up->gateway[0] == '\0' || e->more || e->later) return;
    if (e->outcome != MSG_REFUSED) {
        resp.servermsgid = (char *)(uintptr_t)e->server_msg_id;
        resp.clientmsgid = e->msg->clientmsgid;
        resp.sendtime = e->send_time;
        len = openim__msg__send_msg_resp__pack(&resp, data); /* ids are bounded by msg_verify_form */
    }
    if (e->up->path[0]) { /* asked by REST */
        answer_rest(lane, e, &resp);
    } else {
        oim_downlink_reply(lane->base.down, e->up->gateway, e->up->requestid, code_of(e), code_of(e) ? e->fail.msg : "", data, len, 0);
    }
}

/* ---- pushes ---- */

/* PushMessages of one message, in the arena. */
static const uint8_t *push_payload(struct msg_lane *lane, const struct msg_entry *e, size_t *len)
{
    size_t id = strlen(e->conversation_id), pull = oim_wire_bytes_size(1, e->packed_len);
    size_t entry = oim_wire_bytes_size(1, id) + oim_wire_bytes_size(2, pull);
    uint32_t map = e->chat ? 1 : 2;
    struct oim_wire_writer w = {.cap = oim_wire_bytes_size(map, entry)};

    w.data = oim_arena_alloc(lane->base.arena, w.cap);
    oim_wire_head(&w, map, entry);
    oim_wire_bytes(&w, 1, e->conversation_id, id);
    oim_wire_head(&w, 2, pull);
    oim_wire_bytes(&w, 1, e->packed, e->packed_len);
    *len = w.len;
    return w.data;
}

/* The push after which the gateways know the group's members no more, if it is the last of its record. */
static bool is_last(const struct msg_entry *e)
{
    return e->msg->contenttype == LOGIC_N_GROUP_DISMISSED && e->up->source == OPENIM__INTERNAL__SOURCE__SERVER;
}

/* messages.md 10.1. The gateways know who is in a group; users who left with this very notice are named. last: of its record. */
static void push(struct msg_lane *lane, const struct msg_entry *e, bool last)
{
    const Openim__Sdkws__MsgData *msg = e->msg;
    const char *both[2] = {msg->recvid, msg->sendid};
    struct oim_downlink_push p = {.req = PUSH_MSG, .operation_id = e->up->operationid, .flags = e->again ? 1 : 0,
                                  .conversation_id = e->conversation_id, .seq = msg->seq};

    if (msg->sessiontype == LOGIC_SESSION_GROUP) {
        p.group_id = msg->groupid;
        p.user_ids = (const char *const *)e->up->alsouserids;
        p.n_users = e->up->source == OPENIM__INTERNAL__SOURCE__SERVER ? e->up->n_alsouserids : 0;
        if (last && is_last(e)) p.flags |= 2;
    } else {
        p.user_ids = both;
        p.n_users = strcmp(msg->sendid, msg->recvid) != 0 && msg_option(msg, MSG_OPT_SENDER_SYNC) ? 2 : 1;
    }
    if (e->up->source == OPENIM__INTERNAL__SOURCE__SERVER && msg->seq == 0 && (e->up->flags & 2)) p.flags |= 4;
    p.payload = push_payload(lane, e, &p.len);
    oim_downlink_push(lane->base.down, &p);
}

/* ---- the turn ---- */

static size_t take_ready(struct msg_lane *lane, struct msg_entry **list)
{
    size_t n = 0;

    for (int32_t p = 0; p < lane->top; p++) {
        struct msg_partition *part = &lane->partitions[p];

        while (part->head && part->head->state == MSG_READY && n < DELIVER_MAX) {
            struct msg_entry *e = part->head;

            /* a chat copy and its notification leave together: say() turns them */
            if (e->more && (e->next->state != MSG_READY || n + 2 > DELIVER_MAX)) break;

            part->head = e->next;
            if (part->head == NULL) part->tail = &part->head;
            list[n++] = e;
        }
    }
    return n;
}

static void done(struct msg_lane *lane, struct msg_entry *e)
{
    struct msg_partition *part = &lane->partitions[e->partition];
    struct msg_conv *conv;

    switch (e->outcome) {
    case MSG_STORED:
        lane->count.stored++;
        conv = msg_conv_find(lane, e->conversation_id);
        if (conv && e->msg->seq > conv->stored_seq) conv->stored_seq = e->msg->seq;
        msg_task(lane, e);
        break;
    case MSG_PUSHED: lane->count.pushed++; break;
    case MSG_REFUSED: lane->count.refused++; break;
    case MSG_DUPLICATE: lane->count.duplicates++; break;
    case MSG_SKIPPED:
    default: break;
    }
    /* what is said again comes once more as a record; only that one moves the mark */
    if (e->offset + 1 > part->published && !e->more && !e->again) part->published = e->offset + 1;
    part->queued--;
    lane->queued--;
    msg_turn_drop(lane, e);
}

static void say_one(struct msg_lane *lane, const struct msg_entry *e, bool last)
{
    if (e->outcome == MSG_SKIPPED) return;
    answer(lane, e);
    if (e->outcome == MSG_STORED || e->outcome == MSG_PUSHED) push(lane, e, last);
}

/* Of the two copies of a visible notification the notification goes first: cores that see the chat copy first tell nobody that a group
 * was joined (sdk-clients.md 11.5). */
static void say(struct msg_lane *lane, struct msg_entry **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct msg_entry *chat = list[i];

        if (chat->more && i + 1 < n) say_one(lane, list[++i], false);
        say_one(lane, chat, true);
    }
}

int msg_deliver(struct msg_lane *lane)
{
    struct msg_entry *list[DELIVER_MAX];
    size_t n;
    int err = lane->gap ? msg_store_check(lane) : OIM_OK;

    if (err != OIM_OK) return err == OIM_EFENCED ? err : OIM_EUNAVAIL;
    n = take_ready(lane, list);
    if (n == 0) return OIM_OK;
    oim_arena_reset(lane->base.arena);
    say(lane, list, n);
    for (;;) {
        if (logic_stalled()) return OIM_EFENCED; /* somebody else may own these partitions */
        oim_arena_reset(lane->base.arena);       /* Redis may be away for long */
        redis_add(lane, list, n);
        if (oim_downlink_flush(lane->base.down, lane->base.rds) == OIM_OK) break;
        if (lane->base.app->stop) return OIM_EUNAVAIL;
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000}, NULL);
    }
    for (size_t i = 0; i < n; i++) done(lane, list[i]);
    return OIM_OK;
}
