/*
 * Pulls: 1002 by range, 1005 by seq, 1007 the last message (gateway.md 4.3, 4.6, 4.8; messages.md 7).
 *
 * A pull is a plan, a list of wanted (conversation, seq), most wanted first; fetch.c brings as much of it
 * as fits into an answer. Of a range the oldest part is what may be left out.
 */
#include "pull.h"

#include "fetch.h"
#include "msg.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_MAX 8192 /* wanted messages of one request */
#define RANGES_MAX 2000

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
static struct logic_want **plan_ranges(struct logic_call *call, struct range *ranges, size_t n, size_t *n_plan)
{
    size_t total = 0, at = 0;
    struct logic_want *wants, **plan;

    for (size_t i = 0; i < n; i++) {
        if (ranges[i].from <= ranges[i].to) total += (size_t)(ranges[i].to - ranges[i].from + 1);
        if (total > PLAN_MAX) total = PLAN_MAX;
    }
    wants = logic_array(call, total, sizeof(*wants));
    plan = logic_list(call, total);
    for (size_t i = 0; i < n && at < total; i++) {
        if (ranges[i].from > ranges[i].to) continue;
        wants[at] = (struct logic_want){.conv = ranges[i].conv, .seq = ranges[i].to, .owner = i};
        at++;
    }
    for (size_t i = 0; i < n && at < total; i++) {
        if (ranges[i].from > ranges[i].to) continue;
        for (int64_t seq = ranges[i].to - 1; seq >= ranges[i].from && at < total; seq--) {
            wants[at] = (struct logic_want){.conv = ranges[i].conv, .seq = seq, .owner = i};
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
                         struct logic_want **wants)
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
    const struct logic_want *x = *(struct logic_want *const *)a, *y = *(struct logic_want *const *)b;

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
    struct logic_want **plan;
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
    rc = logic_fetch(call, plan, n_plan, &done);
    if (rc) return rc;
    rc = logic_fetch_show(call, req->userid, plan, done);
    if (rc) return rc;
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
                        struct logic_want *wants, Openim__Sdkws__PullMsgs *entry)
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
        wants[n++] = (struct logic_want){.conv = list->conversationid, .seq = seq, .owner = owner};
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
    struct logic_want *wants, **plan;
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
    rc = logic_fetch(call, plan, n_plan, &done);
    if (rc) return rc;
    rc = logic_fetch_show(call, req->userid, plan, done);
    if (rc) return rc;
    for (size_t i = 0, end; i < done; i = end) {
        Openim__Sdkws__PullMsgs *entry = entries[plan[i]->owner];

        for (end = i + 1; end < done && plan[end]->owner == plan[i]->owner; end++) continue;
        entry->msgs = logic_list(call, end - i);
        for (size_t j = i; j < end; j++) entry->msgs[entry->n_msgs++] = plan[j]->msg;
    }
    return OIM_OK;
}

/* ---- 1007 ---- */

int logic_last_messages(struct logic_call *call, const char *user_id, char *const *ids, const struct logic_seq *seqs, size_t n,
                        Openim__Sdkws__MsgData **out)
{
    struct logic_want *wants = logic_array(call, n, sizeof(*wants)), **plan = logic_list(call, n);
    int64_t *lows = logic_array(call, n, sizeof(*lows));
    size_t n_plan = 0, done, left = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        out[i] = NULL;
        if (seqs[i].low > seqs[i].high) continue;
        wants[n_plan] = (struct logic_want){.conv = ids[i], .seq = seqs[i].high, .owner = i};
        lows[n_plan] = seqs[i].low;
        plan[n_plan] = &wants[n_plan];
        n_plan++;
    }
    rc = logic_fetch(call, plan, n_plan, &done);
    if (rc == OIM_OK) rc = logic_fetch_newest(call, user_id, plan, lows, done);
    if (rc) return rc;
    for (size_t i = 0; i < done; i++) {
        if (plan[i]->msg) plan[left++] = plan[i];
    }
    rc = logic_fetch_show(call, user_id, plan, left);
    for (size_t i = 0; i < left && rc == OIM_OK; i++) out[plan[i]->owner] = plan[i]->msg;
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
    {"/msg/pull_msg_by_seq", 1002, LOGIC_SELF, PULL, pull_by_range, LOGIC_READ},
    {NULL, 1005, LOGIC_SELF, MSG(get_seq_message), pull_by_seq, LOGIC_READ},
    {NULL, 1007, LOGIC_SELF, MSG(get_last_message), last_message, LOGIC_READ},
    {0},
};
