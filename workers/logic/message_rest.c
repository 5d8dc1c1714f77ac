/*
 * /msg: the requests about seqs (rest.md B.7, gateway.md 4.2 and 4.7): newest seqs, read positions; the
 * server's time, the status of a send. Pulls are in pull.c, sends in message_send.c.
 */
#include "message.h"

#include <stdlib.h>
#include <string.h>

/* ---- seqs ---- */

/* In a group that the user left nothing is newer than what it may read. */
static int newest_of_left(struct logic_call *call, const char *user_id, char *const *ids, size_t n, const struct logic_conv *convs,
                          size_t n_convs, struct logic_seq *seqs)
{
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n);
    char **left = logic_list(call, 2 * n_convs);
    struct logic_seq *ends;
    size_t n_left = 0;
    int rc;

    for (size_t i = 0; i < n_convs; i++) {
        if (convs[i].max_seq == 0) continue;
        left[n_left++] = convs[i].id;
        left[n_left++] = logic_twin(call->lane->arena, convs[i].id);
    }
    if (n_left == 0) return OIM_OK;
    ends = logic_array(call, n_left, sizeof(*ends));
    rc = logic_seqs(call, user_id, left, n_left, LOGIC_SEQ_WINDOW, NULL, NULL, ends);
    for (size_t i = 0; rc == OIM_OK && i < n_left; i++) {
        size_t at = logic_index_find(index, left[i]);

        if (at != SIZE_MAX) seqs[at].max = ends[i].high;
    }
    return rc;
}

/* 1001: the user's conversations, their notification twins, and the user's own notices. */
static int newest_seq(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Sdkws__GetMaxSeqReq *req = (const void *)req_;
    Openim__Sdkws__GetMaxSeqResp *res = (void *)res_;
    struct oim_arena *a = call->lane->arena;
    struct logic_conv *convs;
    struct logic_seq *seqs;
    size_t n, n_ids = 0;
    char **ids;
    int rc = logic_self(call, req->userid);

    if (rc == OIM_OK) rc = logic_convs(call, req->userid, &convs, &n);
    if (rc) return rc;
    ids = logic_list(call, 2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        char *twin = logic_twin(a, convs[i].id);

        ids[n_ids++] = convs[i].id;
        if (twin[0]) ids[n_ids++] = twin;
    }
    ids[n_ids++] = oim_arena_printf(a, "n_%s_%s", req->userid, req->userid);
    seqs = logic_array(call, n_ids, sizeof(*seqs));
    rc = logic_seqs(call, req->userid, ids, n_ids, 0, NULL, NULL, seqs);
    if (rc == OIM_OK) rc = newest_of_left(call, req->userid, ids, n_ids, convs, n, seqs);
    if (rc) return rc;

    struct logic_index *index = logic_index_new(a, ids, n_ids);
    res->maxseqs = logic_list(call, n_ids);
    for (size_t i = 0; i < n_ids; i++) {
        Openim__Sdkws__GetMaxSeqResp__MaxSeqsEntry *e;

        if (seqs[i].max == 0 || logic_index_find(index, ids[i]) != i) continue;
        e = logic_new(call, &openim__sdkws__get_max_seq_resp__max_seqs_entry__descriptor);
        e->key = ids[i];
        e->value = seqs[i].max;
        res->maxseqs[res->n_maxseqs++] = e;
    }
    return OIM_OK;
}

/* The rows that 1006 is about: those named, or all. */
static int asked_convs(struct logic_call *call, const Openim__Msg__GetConversationsHasReadAndMaxSeqReq *req,
                       struct logic_conv **convs, size_t *n)
{
    size_t asked = req->n_conversationids, found = 0;
    struct logic_conv *list;
    int rc;

    if (asked == 0) return logic_convs(call, req->userid, convs, n);
    list = logic_array(call, asked, sizeof(*list));
    rc = logic_convs_find(call, req->userid, req->conversationids, asked, list);
    if (rc) return rc;
    for (size_t i = 0; i < asked; i++) {
        if (list[i].id) list[found++] = list[i];
    }
    *convs = list;
    *n = found;
    return OIM_OK;
}

static int add_pinned(struct logic_call *call, const char *user_id, Openim__Msg__GetConversationsHasReadAndMaxSeqResp *res)
{
    struct logic_conv *convs;
    size_t n;
    int rc = logic_convs(call, user_id, &convs, &n);

    if (rc) return rc;
    res->pinnedconversationids = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        if (convs[i].pinned) res->pinnedconversationids[res->n_pinnedconversationids++] = convs[i].id;
    }
    return OIM_OK;
}

/* 1006. high is max, or the user's own end in a group that was left. */
static int has_read_and_max_seq(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__GetConversationsHasReadAndMaxSeqReq *req = (const void *)req_;
    Openim__Msg__GetConversationsHasReadAndMaxSeqResp *res = (void *)res_;
    struct logic_conv *convs;
    struct logic_seq *seqs;
    int64_t *max;
    char **ids;
    size_t n;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->n_conversationids > LOGIC_IDS_MAX) {
        return logic_args(call, "conversationIDs has more than %d entries", LOGIC_IDS_MAX);
    }
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = asked_convs(call, req, &convs, &n);
    if (rc) return rc;
    ids = logic_list(call, n);
    max = logic_array(call, n, sizeof(*max));
    seqs = logic_array(call, n, sizeof(*seqs));
    for (size_t i = 0; i < n; i++) {
        ids[i] = convs[i].id;
        max[i] = convs[i].max_seq;
    }
    rc = logic_seqs(call, req->userid, ids, n, LOGIC_SEQ_READ, NULL, max, seqs);
    if (rc) return rc;
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n);
    res->seqs = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Msg__GetConversationsHasReadAndMaxSeqResp__SeqsEntry *e;

        if (logic_index_find(index, ids[i]) != i) continue;
        e = logic_new(call, &openim__msg__get_conversations_has_read_and_max_seq_resp__seqs_entry__descriptor);
        e->key = ids[i];
        e->value = logic_new(call, &openim__msg__seqs__descriptor);
        e->value->maxseq = seqs[i].high;
        e->value->hasreadseq = seqs[i].read;
        e->value->maxseqtime = seqs[i].time;
        res->seqs[res->n_seqs++] = e;
    }
    return req->returnpinned ? add_pinned(call, req->userid, res) : OIM_OK;
}

/* ---- small ones ---- */

static int get_server_time(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    ((Openim__Msg__GetServerTimeResp *)res_)->servertime = oim_now_ms();
    return OIM_OK;
}

/* Keyed by the operationID of the request (messages.md 13.3). */
static int check_msg_is_send_success(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Msg__GetSendMsgStatusResp *res = (void *)res_;
    struct oim_redis_value v;
    int rc;

    oim_redis_reset(call->lane->rds);
    oim_redis_add(call->lane->rds, "GET SEND_MSG_FAILED_FLAG:%s", call->up->operationid);
    rc = oim_redis_run(call->lane->rds);
    if (rc) return rc;
    v = oim_redis_reply(call->lane->rds, 0);
    if (v.type == OIM_REDIS_STRING) res->status = (int32_t)atoi(v.str);
    return OIM_OK;
}

#define MSG(name) &openim__msg__##name##_req__descriptor, &openim__msg__##name##_resp__descriptor

const struct logic_route logic_msg_routes[] = {
    {"/msg/newest_seq", 1001, LOGIC_SELF, &openim__sdkws__get_max_seq_req__descriptor,
     &openim__sdkws__get_max_seq_resp__descriptor, newest_seq, LOGIC_READ},
    {"/msg/get_conversations_has_read_and_max_seq", 1006, LOGIC_SELF, MSG(get_conversations_has_read_and_max_seq),
     has_read_and_max_seq, LOGIC_READ},
    {"/msg/get_server_time", 0, LOGIC_ANY, MSG(get_server_time), get_server_time, LOGIC_READ},
    {"/msg/check_msg_is_send_success", 0, LOGIC_ANY, MSG(get_send_msg_status), check_msg_is_send_success, LOGIC_READ},
    {0},
};
