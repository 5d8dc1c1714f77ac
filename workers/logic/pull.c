/*
 * Pulls: 1002 by range, 1005 by seq, 1007 the last message (gateway.md 4.3, 4.6, 4.8; messages.md 7).
 *
 * A pull is a plan, a list of wanted (conversation, seq), most wanted first; it is fetched in waves through
 * Redis, MongoDB and MySQL until it is complete or the answer is full: clients drop a connection whose
 * frame exceeds 1 MiB, so what does not fit is left out, for a range its oldest part.
 *
 * What a user sees of a stored message is decided in one place, message_for.
 */
#include "pull.h"

#include "msg.pb-c.h"
#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 100
#define WAVE 256              /* wanted messages fetched at once */
#define PLAN_MAX 8192         /* wanted messages of one request */
#define RANGES_MAX 2000
#define FRAME_BYTES 720000    /* as base64 in a JSON envelope still under 1 MiB */
#define REST_BYTES 4194304
#define LOOKUPS_MAX 16        /* single queries for what should not be missing */
#define STATUS_SENDING 1
#define STATUS_SENT 2
#define STATUS_DELETED 4

/* One message that a pull wants. */
struct want {
    const char *conv;
    int64_t seq;
    size_t owner;     /* index of the range or list that it belongs to */
    Openim__Sdkws__MsgData *msg;
    size_t bytes;
    bool missing;     /* placeholder: passed by the archive, found nowhere */
};

/* ---- what a user sees ---- */

/*
 * A stored message becomes what user_id reads. Revoked and deleted messages change here when they exist
 * (messages.md 7.4); so does isRead of single chats, which follows explicit read marks only: a sender's
 * own read position says nothing about it. Quotes stay as they are, also with seq 0.
 *
 * status is given back as the sender had it, 1 from a client and 0 from the system; only pushes say 2
 * (messages.md 1: clients take everything below 4 as sent).
 */
static void message_for(struct logic_call *call, const char *user_id, Openim__Sdkws__MsgData *msg)
{
    if (msg->status == STATUS_SENT) msg->status = STATUS_SENDING;
}

/* A seq that was given and is lost; sendTime keeps its place in the history of the client. */
static Openim__Sdkws__MsgData *placeholder(struct logic_call *call, int64_t seq, int64_t send_time)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);

    msg->seq = seq;
    msg->status = STATUS_DELETED;
    msg->sendtime = send_time;
    return msg;
}

/* ---- fetching ---- */

static void want_fill(struct logic_call *call, struct want *w, const void *data, size_t len)
{
    w->msg = openim__sdkws__msg_data__unpack(oim_arena_pb(call->lane->arena), len, data);
    w->bytes = len;
    if (w->msg == NULL) {
        oim_log(OIM_LOG_ERROR, "stored message is broken", "conv=%s seq=%" PRId64 " bytes=%zu", w->conv, w->seq, len);
    }
}

static int by_place(const void *a, const void *b)
{
    const struct want *x = *(struct want *const *)a, *y = *(struct want *const *)b;
    int order = strcmp(x->conv, y->conv);

    if (order) return order;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int fetch_redis(struct logic_call *call, struct want **wants, size_t n)
{
    struct oim_redis *rds = call->lane->rds;
    const char **argv = logic_array(call, n + 1, sizeof(*argv));
    struct oim_redis_value list;
    int rc;

    argv[0] = "MGET";
    for (size_t i = 0; i < n; i++) {
        argv[i + 1] = oim_arena_printf(call->lane->arena, "oim:hot:%s:%" PRId64, wants[i]->conv, wants[i]->seq);
    }
    oim_redis_reset(rds);
    oim_redis_add_argv(rds, (int)n + 1, argv, NULL);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    list = oim_redis_reply(rds, 0);
    for (size_t i = 0; i < n && i < list.elements; i++) {
        struct oim_redis_value v = oim_redis_at(&list, i);

        if (v.type == OIM_REDIS_STRING) want_fill(call, wants[i], v.str, v.len);
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

/* Those without a message move to the front; returns their number. */
static size_t still_wanted(struct want **wants, size_t n)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        if (wants[i]->msg == NULL) wants[left++] = wants[i];
    }
    return left;
}

/* One read per block. MongoDB away is no failure: MySQL has it all. */
static void fetch_mongo(struct logic_call *call, struct want **wants, size_t n)
{
    size_t end;

    for (size_t i = 0; i < n; i = end) {
        int64_t block = (wants[i]->seq - 1) / BLOCK;
        struct oim_mongo_msg *found;
        size_t n_found, at = i;

        for (end = i + 1; end < n && strcmp(wants[end]->conv, wants[i]->conv) == 0; end++) {
            if ((wants[end]->seq - 1) / BLOCK != block) break;
        }
        if (oim_mongo_read(call->lane->mg, call->lane->arena, wants[i]->conv, wants[i]->seq, wants[end - 1]->seq, &found,
                           &n_found)) {
            return;
        }
        for (size_t j = 0; j < n_found; j++) { /* both ascend */
            while (at < end && wants[at]->seq < found[j].seq) at++;
            for (; at < end && wants[at]->seq == found[j].seq; at++) want_fill(call, wants[at], found[j].data, found[j].len);
        }
    }
}

/* How far the archive is, read before the history: what the history lacks below this is lost. */
static int archived(struct logic_call *call, struct want **wants, size_t n, int64_t *seqs)
{
    static const char head[] = "SELECT conversation_id, archived_seq FROM conversation_seq WHERE conversation_id IN";
    struct oim_arena *a = call->lane->arena;
    char **ids = logic_list(call, n);
    struct logic_index *index;
    struct oim_sql_rows rows;
    size_t n_ids = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(wants[i]->conv, wants[i - 1]->conv)) ids[n_ids++] = (char *)wants[i]->conv;
    }
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, ids, n_ids), n_ids, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) ids[i] = logic_cell_text(&rows, i, 0);
    index = logic_index_new(a, ids, rows.n);
    for (size_t i = 0; i < n; i++) {
        size_t at = logic_index_find(index, wants[i]->conv);

        seqs[i] = at == SIZE_MAX ? 0 : logic_cell_int(&rows, at, 1);
    }
    return OIM_OK;
}

/* Neighbours become one range: a statement of (conversation, from, to) triples, a power of two of them. */
static int fetch_history(struct logic_call *call, struct want **wants, size_t n)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value *args = logic_array(call, 2 * n * 3, sizeof(*args));
    struct oim_buf sql = {0};
    struct oim_sql_rows rows = {0};
    size_t triples = 0, places = 1;
    int rc;

    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && strcmp(wants[end]->conv, wants[i]->conv) == 0; end++) {
            if (wants[end]->seq > wants[end - 1]->seq + 1) break;
        }
        args[triples * 3] = oim_sql_text(wants[i]->conv);
        args[triples * 3 + 1] = oim_sql_int(wants[i]->seq);
        args[triples * 3 + 2] = oim_sql_int(wants[end - 1]->seq);
        triples++;
    }
    while (places < triples) places *= 2;
    for (size_t i = triples; i < places; i++) memcpy(args + i * 3, args + (triples - 1) * 3, 3 * sizeof(*args));

    oim_buf_puts(&sql, "SELECT conversation_id, seq, data FROM msg_history WHERE");
    for (size_t i = 0; i < places; i++) {
        oim_buf_puts(&sql, i ? " OR (conversation_id = ? AND seq BETWEEN ? AND ?)" : " (conversation_id = ? AND seq BETWEEN ? AND ?)");
    }
    oim_buf_puts(&sql, " ORDER BY conversation_id, seq");
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(call->lane->db, a, (const char *)sql.data, args, places * 3, &rows, NULL);
    oim_buf_free(&sql);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        const struct oim_sql_value *data = oim_sql_cell(&rows, i, 2);
        struct want key = {.conv = logic_cell_text(&rows, i, 0), .seq = logic_cell_int(&rows, i, 1)}, *k = &key;
        struct want **hit = bsearch(&k, wants, n, sizeof(*wants), by_place);

        if (hit == NULL) continue;
        while (hit > wants && by_place(hit - 1, &k) == 0) hit--;
        for (; hit < wants + n && by_place(hit, &k) == 0; hit++) want_fill(call, *hit, data->p, data->len);
    }
    return OIM_OK;
}

/* Fills msg or missing of each. OIM_EFAIL when one cannot be read now: the client asks again. */
static int fetch(struct logic_call *call, struct want **wants, size_t n)
{
    struct want **order = logic_list(call, n);
    int64_t *limits;
    size_t left;
    int rc;

    if (n == 0) return OIM_OK;
    memcpy(order, wants, n * sizeof(*order));
    rc = fetch_redis(call, order, n);
    if (rc) return rc;
    left = still_wanted(order, n);
    if (left == 0) return OIM_OK;
    qsort(order, left, sizeof(*order), by_place);
    fetch_mongo(call, order, left);
    left = still_wanted(order, left);
    if (left == 0) return OIM_OK;
    limits = logic_array(call, left, sizeof(*limits));
    rc = archived(call, order, left, limits);
    if (rc == OIM_OK) rc = fetch_history(call, order, left);
    if (rc) return rc;
    for (size_t i = 0; i < left; i++) {
        if (order[i]->msg) continue;
        if (order[i]->seq > limits[i]) {
            oim_log(OIM_LOG_WARN, "message not readable yet", "op=%s conv=%s seq=%" PRId64 " archived=%" PRId64,
                    call->up->operationid, order[i]->conv, order[i]->seq, limits[i]);
            return logic_fail(call, OIM_C_INTERNAL, "messages are not archived yet, try again");
        }
        order[i]->missing = true;
    }
    return OIM_OK;
}

/* Fetches in the order of the plan until the answer is full; returns in *done how many are usable. */
static int fetch_plan(struct logic_call *call, struct want **plan, size_t n, size_t *done)
{
    size_t budget = call->up->source == OPENIM__INTERNAL__SOURCE__WS ? FRAME_BYTES : REST_BYTES, used = 0;
    int rc;

    *done = 0;
    for (size_t i = 0; i < n; i += WAVE) {
        size_t step = n - i < WAVE ? n - i : WAVE;

        rc = fetch(call, plan + i, step);
        if (rc) return rc;
        for (size_t j = i; j < i + step; j++) {
            used += plan[j]->bytes + strlen(plan[j]->conv) + 32;
            if (used > budget && j > 0) {
                oim_log(OIM_LOG_INFO, "pull cut", "op=%s user=%s wanted=%zu sent=%zu", call->up->operationid, call->up->userid,
                        n, j);
                return OIM_OK;
            }
            *done = j + 1;
        }
    }
    return OIM_OK;
}

/* sendTime of the newest stored message before seq, 0 when there is none. */
static int64_t time_before(struct logic_call *call, const char *conv, int64_t seq)
{
    static const char sql[] = "SELECT send_time FROM msg_history WHERE conversation_id = ? AND seq < ? ORDER BY seq DESC LIMIT 1";
    struct oim_sql_value args[] = {oim_sql_text(conv), oim_sql_int(seq)};
    struct oim_sql_rows rows = {0};

    if (oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL) || rows.n == 0) return 0;
    return logic_cell_int(&rows, 0, 0);
}

/* Turns the usable part of a plan into messages, placeholders included. */
static void materialize(struct logic_call *call, const char *user_id, struct want **plan, size_t n)
{
    struct want **order = logic_list(call, n);
    int lookups = 0;

    memcpy(order, plan, n * sizeof(*order));
    qsort(order, n, sizeof(*order), by_place);
    for (size_t i = 0; i < n; i++) {
        struct want *w = order[i], *before = i ? order[i - 1] : NULL;
        int64_t time;

        if (w->msg) {
            message_for(call, user_id, w->msg);
            continue;
        }
        if (before && (strcmp(before->conv, w->conv) || before->seq < w->seq - 1)) before = NULL;
        time = before ? before->msg->sendtime : 0;
        if (before == NULL && lookups++ < LOOKUPS_MAX) time = time_before(call, w->conv, w->seq);
        w->msg = placeholder(call, w->seq, time);
    }
}

/* ---- 1002 ---- */

/* A range as asked for and what of it is visible. */
struct range {
    const char *conv;
    int64_t begin, end;   /* asked */
    int64_t low, high;    /* the window */
    int64_t from, to;     /* wanted, from > to: nothing */
    size_t n_wants;
};

static void range_clip(struct range *r, const struct logic_seq *window, int64_t num)
{
    r->low = window->low;
    r->high = window->high;
    r->from = r->begin > r->low ? r->begin : r->low;
    r->to = r->end < r->high ? r->end : r->high;
    if (r->from > r->to || strncmp(r->conv, "n_", 2) == 0) return; /* num does not count there */
    if (num <= 0) {
        r->to = r->from - 1;
    } else if (r->to - r->from >= num) {
        r->from = r->to - num + 1;
    }
}

/* The newest of each range first, then the rest range by range, newest first: whatever is cut is oldest. */
static struct want **plan_ranges(struct logic_call *call, struct range *ranges, size_t n, size_t *n_plan)
{
    size_t total = 0, at = 0;
    struct want *wants, **plan;

    for (size_t i = 0; i < n; i++) {
        if (ranges[i].from <= ranges[i].to) total += (size_t)(ranges[i].to - ranges[i].from + 1);
        if (total > PLAN_MAX) total = PLAN_MAX;
    }
    wants = logic_array(call, total, sizeof(*wants));
    plan = logic_list(call, total);
    for (size_t i = 0; i < n && at < total; i++) {
        if (ranges[i].from > ranges[i].to) continue;
        wants[at] = (struct want){.conv = ranges[i].conv, .seq = ranges[i].to, .owner = i};
        at++;
    }
    for (size_t i = 0; i < n && at < total; i++) {
        if (ranges[i].from > ranges[i].to) continue;
        for (int64_t seq = ranges[i].to - 1; seq >= ranges[i].from && at < total; seq--) {
            wants[at] = (struct want){.conv = ranges[i].conv, .seq = seq, .owner = i};
            at++;
        }
    }
    for (size_t i = 0; i < at; i++) plan[i] = &wants[i];
    *n_plan = at;
    return plan;
}

/* One map entry per conversation; several ranges of one conversation share it. */
static Openim__Sdkws__PullMsgs *entry_of(struct logic_call *call, Openim__Sdkws__PullMessageBySeqsResp *res, const char *conv)
{
    bool notice = strncmp(conv, "n_", 2) == 0;
    size_t n = notice ? res->n_notificationmsgs : res->n_msgs;

    for (size_t i = 0; i < n; i++) {
        if (notice && strcmp(res->notificationmsgs[i]->key, conv) == 0) return res->notificationmsgs[i]->value;
        if (!notice && strcmp(res->msgs[i]->key, conv) == 0) return res->msgs[i]->value;
    }
    if (notice) {
        Openim__Sdkws__PullMessageBySeqsResp__NotificationMsgsEntry *e =
            logic_new(call, &openim__sdkws__pull_message_by_seqs_resp__notification_msgs_entry__descriptor);

        e->key = (char *)conv;
        e->value = logic_new(call, &openim__sdkws__pull_msgs__descriptor);
        res->notificationmsgs[res->n_notificationmsgs++] = e;
        return e->value;
    }
    Openim__Sdkws__PullMessageBySeqsResp__MsgsEntry *e =
        logic_new(call, &openim__sdkws__pull_message_by_seqs_resp__msgs_entry__descriptor);

    e->key = (char *)conv;
    e->value = logic_new(call, &openim__sdkws__pull_msgs__descriptor);
    res->msgs[res->n_msgs++] = e;
    return e->value;
}

static void answer_range(struct logic_call *call, Openim__Sdkws__PullMessageBySeqsResp *res, const struct range *r, bool desc,
                         struct want **wants)
{
    Openim__Sdkws__PullMsgs *entry = entry_of(call, res, r->conv);
    Openim__Sdkws__MsgData **all = logic_list(call, entry->n_msgs + r->n_wants);
    bool whole = wants[0]->seq == r->from;
    int64_t low = r->low > 1 ? r->low : 0; /* an unset limit counts as 0 */

    if (entry->n_msgs) memcpy(all, entry->msgs, entry->n_msgs * sizeof(*all));
    for (size_t i = 0; i < r->n_wants; i++) all[entry->n_msgs + i] = wants[i]->msg;
    entry->msgs = all;
    entry->n_msgs += r->n_wants;
    entry->isend = desc ? whole && r->begin <= low : r->high <= r->end;
}

static int by_owner(const void *a, const void *b)
{
    const struct want *x = *(struct want *const *)a, *y = *(struct want *const *)b;

    if (x->owner != y->owner) return x->owner < y->owner ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* The visible windows of the conversations of a pull; found[i] false where the user has no part in one. */
static int windows(struct logic_call *call, const char *user_id, char *const *ids, size_t n, bool *found,
                   struct logic_seq *seqs)
{
    struct logic_conv *convs = logic_array(call, n, sizeof(*convs));
    int64_t *min = logic_array(call, n, sizeof(*min)), *max = logic_array(call, n, sizeof(*max));
    struct logic_seq *have = logic_array(call, n, sizeof(*have));
    char **mine = logic_list(call, n);
    size_t *place = logic_array(call, n, sizeof(*place)), n_mine = 0;
    int rc = logic_convs_find(call, user_id, ids, n, convs);

    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        found[i] = convs[i].id != NULL;
        if (!found[i]) continue;
        min[n_mine] = convs[i].min_seq;
        max[n_mine] = convs[i].max_seq;
        place[n_mine] = i;
        mine[n_mine++] = ids[i];
    }
    if (rc == OIM_OK) rc = logic_seqs(call, user_id, mine, n_mine, LOGIC_SEQ_WINDOW, min, max, have);
    for (size_t i = 0; rc == OIM_OK && i < n_mine; i++) seqs[place[i]] = have[i];
    return rc;
}

static int pull_by_range(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Sdkws__PullMessageBySeqsReq *req = (const void *)req_;
    Openim__Sdkws__PullMessageBySeqsResp *res = (void *)res_;
    size_t n = req->n_seqranges, n_plan, done;
    struct range *ranges = logic_array(call, n, sizeof(*ranges));
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    bool *found = logic_array(call, n, sizeof(*found));
    char **ids = logic_list(call, n);
    struct want **plan;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (n > RANGES_MAX) return logic_args(call, "seqRanges has more than %d entries", RANGES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (req->seqranges[i] == NULL) return logic_args(call, "seqRanges has an empty entry");
        ids[i] = req->seqranges[i]->conversationid;
    }
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = windows(call, req->userid, ids, n, found, seqs);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        const Openim__Sdkws__SeqRange *r = req->seqranges[i];

        ranges[i] = (struct range){.conv = ids[i], .begin = r->begin, .end = r->end, .from = 1, .to = 0};
        if (found[i]) range_clip(&ranges[i], &seqs[i], r->num);
    }
    plan = plan_ranges(call, ranges, n, &n_plan);
    rc = fetch_plan(call, plan, n_plan, &done);
    if (rc) return rc;
    materialize(call, req->userid, plan, done);
    qsort(plan, done, sizeof(*plan), by_owner);
    for (size_t i = 0; i < done; i++) ranges[plan[i]->owner].n_wants++;

    res->msgs = logic_list(call, n);
    res->notificationmsgs = logic_list(call, n);
    for (size_t i = 0; i < n; plan += ranges[i++].n_wants) {
        if (ranges[i].n_wants) answer_range(call, res, &ranges[i], req->order == OPENIM__SDKWS__PULL_ORDER__PullOrderDesc, plan);
    }
    return OIM_OK;
}

/* ---- 1005 ---- */

static Openim__Sdkws__PullMsgs *seq_entry(struct logic_call *call, Openim__Msg__GetSeqMessageResp *res, char *conv)
{
    Openim__Sdkws__PullMsgs *value = logic_new(call, &openim__sdkws__pull_msgs__descriptor);

    if (strncmp(conv, "n_", 2) == 0) {
        Openim__Msg__GetSeqMessageResp__NotificationMsgsEntry *e =
            logic_new(call, &openim__msg__get_seq_message_resp__notification_msgs_entry__descriptor);

        e->key = conv;
        e->value = value;
        res->notificationmsgs[res->n_notificationmsgs++] = e;
    } else {
        Openim__Msg__GetSeqMessageResp__MsgsEntry *e =
            logic_new(call, &openim__msg__get_seq_message_resp__msgs_entry__descriptor);

        e->key = conv;
        e->value = value;
        res->msgs[res->n_msgs++] = e;
    }
    return value;
}

/* What of a list is inside the window, and whether it reached an end (gateway.md 4.6). */
static size_t seq_wants(const Openim__Msg__ConversationSeqs *list, const struct logic_seq *window, bool desc, size_t owner,
                        struct want *wants, Openim__Sdkws__PullMsgs *entry)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n_seqs; i++) {
        int64_t seq = list->seqs[i];

        if (seq <= 0) continue;
        if (seq < window->low || seq > window->high) {
            if (desc && seq < window->low) {
                entry->isend = true;
                entry->endseq = window->low;
            } else if (!desc && seq > window->high) {
                entry->isend = true;
                entry->endseq = window->high;
            }
            continue;
        }
        wants[n++] = (struct want){.conv = list->conversationid, .seq = seq, .owner = owner};
    }
    return n;
}

static int pull_by_seq(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__GetSeqMessageReq *req = (const void *)req_;
    Openim__Msg__GetSeqMessageResp *res = (void *)res_;
    bool desc = req->order == OPENIM__SDKWS__PULL_ORDER__PullOrderDesc;
    size_t n = req->n_conversations, total = 0, n_plan = 0, done;
    Openim__Sdkws__PullMsgs **entries = logic_list(call, n);
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    bool *found = logic_array(call, n, sizeof(*found));
    char **ids = logic_list(call, n);
    struct want *wants, **plan;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (n > RANGES_MAX) return logic_args(call, "conversations has more than %d entries", RANGES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (req->conversations[i] == NULL) return logic_args(call, "conversations has an empty entry");
        ids[i] = req->conversations[i]->conversationid;
        total += req->conversations[i]->n_seqs;
    }
    if (total > PLAN_MAX) return logic_args(call, "more than %d seqs", PLAN_MAX);
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = windows(call, req->userid, ids, n, found, seqs);
    if (rc) return rc;

    wants = logic_array(call, total, sizeof(*wants));
    plan = logic_list(call, total);
    res->msgs = logic_list(call, n);
    res->notificationmsgs = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        entries[i] = seq_entry(call, res, ids[i]);
        if (found[i]) n_plan += seq_wants(req->conversations[i], &seqs[i], desc, i, wants + n_plan, entries[i]);
    }
    for (size_t i = 0; i < n_plan; i++) plan[i] = &wants[i];
    rc = fetch_plan(call, plan, n_plan, &done);
    if (rc) return rc;
    materialize(call, req->userid, plan, done);
    for (size_t i = 0, end; i < done; i = end) {
        Openim__Sdkws__PullMsgs *entry = entries[plan[i]->owner];

        for (end = i + 1; end < done && plan[end]->owner == plan[i]->owner; end++) continue;
        entry->msgs = logic_list(call, end - i);
        for (size_t j = i; j < end; j++) entry->msgs[entry->n_msgs++] = plan[j]->msg;
    }
    return OIM_OK;
}

/* ---- 1007 ---- */

/* Skips what is lost or deleted: the newest readable one at or below the window's end. */
static int last_before(struct logic_call *call, const char *conv, const struct logic_seq *window, struct want *w)
{
    static const char sql[] = "SELECT seq, data FROM msg_history WHERE conversation_id = ? AND seq BETWEEN ? AND ?"
                              " ORDER BY seq DESC LIMIT 1";
    struct oim_sql_value args[] = {oim_sql_text(conv), oim_sql_int(window->low), oim_sql_int(w->seq - 1)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);

    if (rc || rows.n == 0) return rc;
    want_fill(call, w, oim_sql_cell(&rows, 0, 1)->p, oim_sql_cell(&rows, 0, 1)->len);
    return OIM_OK;
}

int logic_last_messages(struct logic_call *call, const char *user_id, char *const *ids, const struct logic_seq *seqs, size_t n,
                        Openim__Sdkws__MsgData **out)
{
    struct want *wants = logic_array(call, n, sizeof(*wants)), **plan = logic_list(call, n);
    size_t n_plan = 0, done;
    int lookups = 0, rc;

    for (size_t i = 0; i < n; i++) {
        out[i] = NULL;
        if (seqs[i].low > seqs[i].high) continue;
        wants[n_plan] = (struct want){.conv = ids[i], .seq = seqs[i].high, .owner = i};
        plan[n_plan] = &wants[n_plan];
        n_plan++;
    }
    rc = fetch_plan(call, plan, n_plan, &done);
    for (size_t i = 0; rc == OIM_OK && i < done; i++) {
        struct want *w = plan[i];

        if (w->missing && lookups++ < LOOKUPS_MAX) rc = last_before(call, w->conv, &seqs[w->owner], w);
        if (w->msg) message_for(call, user_id, w->msg);
        out[w->owner] = w->msg;
    }
    return rc;
}

static int last_message(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__GetLastMessageReq *req = (const void *)req_;
    Openim__Msg__GetLastMessageResp *res = (void *)res_;
    size_t n = req->n_conversationids;
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    Openim__Sdkws__MsgData **msgs = logic_list(call, n);
    bool *found = logic_array(call, n, sizeof(*found));
    struct logic_index *index;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (n > PLAN_MAX) return logic_args(call, "conversationIDs has more than %d entries", PLAN_MAX);
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = windows(call, req->userid, req->conversationids, n, found, seqs);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (!found[i]) seqs[i] = (struct logic_seq){.low = 1, .high = 0};
    }
    rc = logic_last_messages(call, req->userid, req->conversationids, seqs, n, msgs);
    if (rc) return rc;
    index = logic_index_new(call->lane->arena, req->conversationids, n);
    res->msgs = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Msg__GetLastMessageResp__MsgsEntry *e;

        if (msgs[i] == NULL || logic_index_find(index, req->conversationids[i]) != i) continue;
        e = logic_new(call, &openim__msg__get_last_message_resp__msgs_entry__descriptor);
        e->key = req->conversationids[i];
        e->value = msgs[i];
        res->msgs[res->n_msgs++] = e;
    }
    return OIM_OK;
}

#define PULL &openim__sdkws__pull_message_by_seqs_req__descriptor, &openim__sdkws__pull_message_by_seqs_resp__descriptor
#define MSG(name) &openim__msg__##name##_req__descriptor, &openim__msg__##name##_resp__descriptor

const struct logic_route logic_pull_routes[] = {
    {"/msg/pull_msg_by_seq", 1002, LOGIC_ANY, PULL, pull_by_range, false},
    {NULL, 1005, LOGIC_ANY, MSG(get_seq_message), pull_by_seq, false},
    {NULL, 1007, LOGIC_ANY, MSG(get_last_message), last_message, false},
    {0},
};
