/*
 * Read positions and read receipts (rest.md B.7, messages.md 8). A position is a number per (user, conversation), seq_user.read_seq, that
 * only rises; what a peer has read of a single chat is a mark per message (marks.h), because who answers has not read everything before.
 */
#include "marks.h"
#include "message.h"
#include "pull.h"

#include <string.h>

#define RANGE_MAX 1000000 /* messages that one call marks: the newest */
#define TOLD_MAX 10000    /* and that its notices name: the newest */
#define NOTICE_SEQS 2000  /* of one notice */

/* ---- shared ---- */

int logic_msg_conv(struct logic_call *call, const char *user_id, char *id, Openim__Conversation__Conversation **conv, struct logic_seq *seq)
{
    Openim__Conversation__Conversation **found;
    int64_t min, max;
    size_t n;
    int rc = logic_conversations_by_id(call, user_id, &id, 1, &found, &n);

    *conv = NULL;
    if (rc) return rc;
    if (n) *conv = found[0];
    min = n ? found[0]->minseq : 0;
    max = n ? found[0]->maxseq : 0;
    return logic_seqs(call, user_id, &id, 1, LOGIC_SEQ_READ | LOGIC_SEQ_WINDOW, &min, &max, seq);
}

int logic_msg_beyond(struct logic_call *call, const char *id)
{
    struct oim_redis *rds = call->lane->rds;
    bool known;
    int rc;

    oim_redis_reset(rds);
    oim_redis_add(rds, "EXISTS oim:seq:%s", id);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    known = oim_redis_reply(rds, 0).integer == 1;
    oim_redis_reset(rds);
    return known ? OIM_OK : logic_fail(call, OIM_C_INTERNAL, "the newest message is not known now, try again");
}

const char *logic_msg_peer(const Openim__Conversation__Conversation *conv)
{
    return conv->conversationtype == LOGIC_SESSION_GROUP ? conv->groupid : conv->userid;
}

int logic_msg_seqs(struct logic_call *call, const int64_t *seqs, size_t n)
{
    if (n == 0) return logic_args(call, "seqs is empty");
    if (n > LOGIC_SEQS_MAX) return logic_args(call, "seqs has more than %d entries", LOGIC_SEQS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (seqs[i] < 1) return logic_args(call, "seqs has an entry below 1");
    }
    return OIM_OK;
}

int logic_read_raise(struct logic_call *call, const char *user_id, char *const *ids, const int64_t *seqs, size_t n)
{
    enum { COLUMNS = 4 };
    static const char head[] = "INSERT INTO seq_user (user_id, conversation_id, owner_hash, read_seq) VALUES ";
    struct oim_sql_value *args = logic_array(call, n * COLUMNS, sizeof(*args)), *arg = args;

    for (size_t i = 0; i < n; i++) {
        *arg++ = oim_sql_text(user_id);
        *arg++ = oim_sql_text(ids[i]);
        *arg++ = oim_sql_blob(logic_owner_hash(call->lane->arena, user_id, ids[i]), 16);
        *arg++ = oim_sql_int(seqs[i]);
    }
    return logic_sql_rows(call->lane, head, args, COLUMNS, n, " ON DUPLICATE KEY UPDATE read_seq = GREATEST(read_seq, VALUES(read_seq))");
}

/* ---- receipts ---- */

struct receipt {
    char *reader, *conversation_id;
    const char *to;
    int32_t session;
    int64_t has_read;
};

static int receipt_send(struct logic_call *call, const struct receipt *r, int64_t *seqs, size_t n)
{
    Openim__Sdkws__MarkAsReadTips tips = OPENIM__SDKWS__MARK_AS_READ_TIPS__INIT;
    struct logic_notice notice = {
        .content_type = LOGIC_N_READ,
        .session_type = r->session,
        .send_id = r->reader,
        .recv_id = r->to,
        .tips = &tips.base,
        .reliable = strcmp(r->reader, r->to) ? LOGIC_YES : LOGIC_NO,
    };

    tips.markasreaduserid = r->reader;
    tips.conversationid = r->conversation_id;
    tips.seqs = seqs;
    tips.n_seqs = n;
    tips.hasreadseq = r->has_read;
    return logic_notify(call, &notice);
}

/* In pieces that fit into a message; at least one, also when nothing is named. */
static int receipts_send(struct logic_call *call, const struct receipt *r, int64_t *seqs, size_t n)
{
    size_t done = 0, step;
    int rc;

    do {
        step = n - done < NOTICE_SEQS ? n - done : NOTICE_SEQS;
        rc = receipt_send(call, r, seqs + done, step);
        done += step;
    } while (done < n && rc == OIM_OK);
    return rc;
}

/* To the reader's other terminals, online only. */
static int receipt_self(struct logic_call *call, char *reader, char *conversation_id, int64_t has_read)
{
    struct receipt r = {reader, conversation_id, reader, LOGIC_SESSION_SINGLE, has_read};

    return receipt_send(call, &r, NULL, 0);
}

/* ---- /msg/mark_msgs_as_read ---- */

static int mark_msgs_as_read(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__MarkMsgsAsReadReq *req = (const void *)req_;
    Openim__Conversation__Conversation *conv;
    struct logic_seq seq;
    struct receipt r;
    int64_t last;
    int rc;

    if (req->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (logic_msg_seqs(call, req->seqs, req->n_seqs) || logic_self(call, req->userid)) return OIM_EFAIL;
    rc = logic_msg_conv(call, req->userid, req->conversationid, &conv, &seq);
    if (rc) return rc;
    for (size_t i = 0; i < req->n_seqs; i++) {
        if (req->seqs[i] > seq.max) return logic_args(call, "seqs has an entry beyond the newest message");
    }
    if (conv == NULL) return logic_fail(call, OIM_C_NOTFOUND, "conversation %s not found", req->conversationid);
    last = req->seqs[req->n_seqs - 1];
    if (conv->conversationtype == LOGIC_SESSION_SINGLE) {
        rc = logic_mark_read(call, req->userid, req->conversationid, logic_spans(call, req->seqs, req->n_seqs), req->n_seqs);
    }
    if (rc == OIM_OK && last > seq.read) rc = logic_read_raise(call, req->userid, (char *const *)&req->conversationid, &last, 1);
    if (rc) return rc;
    r = (struct receipt){req->userid, req->conversationid, logic_msg_peer(conv), conv->conversationtype, last};
    return receipts_send(call, &r, req->seqs, req->n_seqs);
}

/* ---- /msg/mark_conversation_as_read ---- */

/* (old, now] and what else of the given exists. */
static int mark_range(struct logic_call *call, const Openim__Msg__MarkConversationAsReadReq *req, const struct logic_seq *seq, int64_t now,
                      int64_t **named, size_t *n_named)
{
    struct logic_span *spans = logic_array(call, req->n_seqs + 1, sizeof(*spans));
    int64_t from = seq->read + 1, told;
    size_t n = 0;

    if (from < now - RANGE_MAX) from = now - RANGE_MAX;
    told = from < now - TOLD_MAX + 1 ? now - TOLD_MAX + 1 : from;
    *named = logic_array(call, req->n_seqs + TOLD_MAX, sizeof(**named));
    *n_named = 0;
    if (from <= now) spans[n++] = (struct logic_span){from, now};
    for (int64_t s = told; s <= now; s++) (*named)[(*n_named)++] = s;
    for (size_t i = 0; i < req->n_seqs; i++) {
        int64_t s = req->seqs[i];

        if (s > seq->max || (s >= from && s <= now)) continue;
        spans[n++] = (struct logic_span){s, s};
        (*named)[(*n_named)++] = s;
    }
    return n ? logic_mark_read(call, req->userid, req->conversationid, spans, n) : OIM_OK;
}

static int mark_single(struct logic_call *call, const Openim__Msg__MarkConversationAsReadReq *req, const struct logic_seq *seq,
                       const char *peer, int64_t now)
{
    struct receipt r = {req->userid, req->conversationid, peer, LOGIC_SESSION_SINGLE, now};
    int64_t *named;
    size_t n;
    int rc = mark_range(call, req, seq, now, &named, &n);

    return rc ? rc : receipts_send(call, &r, named, n);
}

static int mark_conversation_as_read(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__MarkConversationAsReadReq *req = (const void *)req_;
    Openim__Conversation__Conversation *conv;
    struct logic_seq seq;
    int64_t now;
    int rc;

    if (req->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->hasreadseq < 1) return logic_args(call, "hasReadSeq is invalid");
    if (req->n_seqs && logic_msg_seqs(call, req->seqs, req->n_seqs)) return OIM_EFAIL;
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = logic_msg_conv(call, req->userid, req->conversationid, &conv, &seq);
    if (rc) return rc;
    if (conv == NULL) return logic_fail(call, OIM_C_NOTFOUND, "conversation %s not found", req->conversationid);
    if (req->hasreadseq > seq.max && (rc = logic_msg_beyond(call, req->conversationid))) return rc;
    now = req->hasreadseq < seq.max ? req->hasreadseq : seq.max; /* what is not there yet is not read */
    if (now > seq.read) {
        rc = logic_read_raise(call, req->userid, (char *const *)&req->conversationid, &now, 1);
    } else {
        now = seq.read;
    }
    if (rc) return rc;
    if (conv->conversationtype == LOGIC_SESSION_SINGLE) return mark_single(call, req, &seq, conv->userid, now);
    return receipt_self(call, req->userid, req->conversationid, now);
}

/* ---- /msg/set_conversation_has_read_seq ---- */

static int set_conversation_has_read_seq(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__SetConversationHasReadSeqReq *req = (const void *)req_;
    Openim__Conversation__Conversation *conv;
    struct logic_seq seq;
    int rc;

    if (req->conversationid[0] == '\0') return logic_args(call, "conversationID is empty");
    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->hasreadseq < 1) return logic_args(call, "hasReadSeq is invalid");
    rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = logic_msg_conv(call, req->userid, req->conversationid, &conv, &seq);
    if (rc) return rc;
    if (req->hasreadseq > seq.max) return logic_args(call, "hasReadSeq is beyond the newest message");
    if (conv == NULL) return logic_fail(call, OIM_C_NOTFOUND, "conversation %s not found", req->conversationid);
    if (req->hasreadseq > seq.read) rc = logic_read_raise(call, req->userid, (char *const *)&req->conversationid, &req->hasreadseq, 1);
    return rc ? rc : receipt_self(call, req->userid, req->conversationid, req->hasreadseq);
}

#define MSG(name) &openim__msg__##name##_req__descriptor, &openim__msg__##name##_resp__descriptor

const struct logic_route logic_read_routes[] = {
    {"/msg/mark_msgs_as_read", 0, LOGIC_SELF, MSG(mark_msgs_as_read), mark_msgs_as_read, LOGIC_TX},
    {"/msg/mark_conversation_as_read", 0, LOGIC_SELF, MSG(mark_conversation_as_read), mark_conversation_as_read, LOGIC_TX},
    {"/msg/set_conversation_has_read_seq", 0, LOGIC_SELF, MSG(set_conversation_has_read_seq), set_conversation_has_read_seq, LOGIC_TX},
    {0},
};
