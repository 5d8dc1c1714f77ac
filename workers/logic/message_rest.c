/*
 * /msg and the requests about seqs (rest.md B.7, gateway.md 4.2 and 4.7): newest seqs, read positions, the
 * server's time, the status of a send, and /msg/send_msg, which is checked here and handed on to the
 * message lane: that one answers. Pulls are in pull.c.
 */
#include "seq.h"

#include "msg.pb-c.h"
#include "notify.h"
#include "send.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_SINGLE 1
#define SESSION_WRITE_GROUP 2
#define SESSION_GROUP 3
#define SESSION_NOTIFICATION 4
#define CONTENT_AT 106
#define CONTENT_OA 1400
#define CONTENT_BUSINESS 2001
#define RELIABLE 2
#define LEVEL_OA_SENDER 2
#define FROM_SYSTEM 200

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
    if (req->n_conversationids > LOGIC_IDS_MAX) return logic_args(call, "conversationIDs has too many entries");
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

/* ---- /msg/send_msg ---- */

/* A body that is being read; wrong names the first member of the wrong type. */
struct body {
    struct logic_call *call;
    json_t *json;
    const char *wrong;
};

static json_t *member(struct body *b, const char *name)
{
    json_t *v = oim_json_get(b->json, name);

    return v == NULL || json_is_null(v) ? NULL : v;
}

static char *text_of(struct body *b, const char *name)
{
    json_t *v = member(b, name);

    if (v == NULL) return (char *)"";
    if (!json_is_string(v)) {
        b->wrong = name;
        return (char *)"";
    }
    return oim_arena_strndup(b->call->lane->arena, json_string_value(v), json_string_length(v));
}

static int64_t int_of(struct body *b, const char *name, int64_t min, int64_t max)
{
    json_t *v = member(b, name);

    if (v == NULL) return 0;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        b->wrong = name;
        return 0;
    }
    return json_integer_value(v);
}

static int32_t int32_of(struct body *b, const char *name)
{
    return (int32_t)int_of(b, name, INT32_MIN, INT32_MAX);
}

static bool bool_of(struct body *b, const char *name)
{
    json_t *v = member(b, name);

    if (v && !json_is_boolean(v)) b->wrong = name;
    return json_is_true(v);
}

static void option_off(struct logic_call *call, Openim__Sdkws__MsgData *msg, const char *key)
{
    Openim__Sdkws__MsgData__OptionsEntry *e = logic_new(call, &openim__sdkws__msg_data__options_entry__descriptor);

    if (msg->options == NULL) msg->options = logic_list(call, 8);
    e->key = (char *)key;
    e->value = false;
    msg->options[msg->n_options++] = e;
}

static void offline_push_of(struct body *b, Openim__Sdkws__MsgData *msg)
{
    json_t *v = member(b, "offlinePushInfo");
    const char *why;

    if (v && oim_json_decode_value(b->call->lane->arena, &openim__sdkws__offline_push_info__descriptor, v,
                                   (ProtobufCMessage **)&msg->offlinepushinfo, &why)) {
        b->wrong = "offlinePushInfo";
    }
}

/* All members but content; the id is the same when the record is handled again. */
static void msg_fill(struct body *b, Openim__Sdkws__MsgData *msg)
{
    const Openim__Internal__Uplink *up = b->call->up;

    msg->sendid = text_of(b, "sendID");
    msg->recvid = text_of(b, "recvID");
    msg->groupid = text_of(b, "groupID");
    msg->sendernickname = text_of(b, "senderNickname");
    msg->senderfaceurl = text_of(b, "senderFaceURL");
    msg->senderplatformid = int32_of(b, "senderPlatformID");
    msg->contenttype = int32_of(b, "contentType");
    msg->sessiontype = int32_of(b, "sessionType");
    msg->sendtime = int_of(b, "sendTime", 0, INT64_MAX);
    msg->ex = text_of(b, "ex");
    msg->msgfrom = FROM_SYSTEM;
    msg->createtime = up->receivedat ? up->receivedat : oim_now_ms();
    offline_push_of(b, msg);
    if (bool_of(b, "isOnlineOnly")) {
        option_off(b->call, msg, "history");
        option_off(b->call, msg, "persistent");
        option_off(b->call, msg, "senderSync");
        option_off(b->call, msg, "conversationUpdate");
    }
    if (bool_of(b, "notOfflinePush")) option_off(b->call, msg, "offlinePush");
    msg->clientmsgid = logic_client_msg_id(b->call, msg->sendid);
}

static int msg_check(struct body *b, const Openim__Sdkws__MsgData *msg, json_t *content)
{
    struct logic_call *call = b->call;

    if (b->wrong) return logic_args(call, "%s has the wrong type", b->wrong);
    if (!json_is_object(content)) return logic_args(call, "content is not an object");
    if (msg->sendid[0] == '\0') return logic_args(call, "sendID is empty");
    if (msg->contenttype == 0) return logic_args(call, "contentType is empty");
    if (msg->sessiontype == 0) return logic_args(call, "sessionType is empty");
    if ((msg->sessiontype == SESSION_SINGLE || msg->sessiontype == SESSION_NOTIFICATION) && msg->recvid[0] == '\0') {
        return logic_args(call, "recvID is empty");
    }
    if ((msg->sessiontype == SESSION_WRITE_GROUP || msg->sessiontype == SESSION_GROUP) && msg->groupid[0] == '\0') {
        return logic_args(call, "groupID is empty");
    }
    if (logic_admin(call)) return OIM_EFAIL;
    if (!logic_content_known(msg->contenttype)) return logic_args(call, "contentType %d cannot be sent", msg->contenttype);
    return OIM_OK;
}

/* 1400 comes from system accounts only. */
static int oa_sender_check(struct logic_call *call, char *send_id)
{
    Openim__Sdkws__UserInfo *user;
    int rc = logic_users(call, &send_id, 1, &user);

    if (rc) return rc;
    if (user == NULL) return logic_fail(call, OIM_C_USER_NOTFOUND, "user %s not found", send_id);
    if (user->appmangerlevel < LEVEL_OA_SENDER) return logic_fail(call, OIM_C_PERMISSION, "sendID is no system account");
    return OIM_OK;
}

static int content_fill(struct logic_call *call, Openim__Sdkws__MsgData *msg, json_t *content)
{
    const char *missing = logic_content_check(msg->contenttype, content);
    struct oim_buf text = {0}, outer = {0}, *stored = &text;
    json_t *users;
    int rc = OIM_OK;

    if (missing) return logic_fail(call, OIM_C_INTERNAL, "content: %s is missing or wrong", missing);
    logic_content_write(&text, content);
    if (msg->contenttype == CONTENT_OA) {
        rc = oa_sender_check(call, msg->sendid);
        msg->sessiontype = SESSION_NOTIFICATION;
        oim_buf_puts(&outer, "{\"detail\":");
        oim_json_string(&outer, (const char *)text.data, text.len);
        oim_buf_putc(&outer, '}');
        stored = &outer;
    }
    if (msg->contenttype == CONTENT_AT) {
        users = oim_json_get(content, "atUserList");
        msg->atuseridlist = logic_list(call, json_array_size(users));
        for (size_t i = 0; i < json_array_size(users); i++) {
            msg->atuseridlist[msg->n_atuseridlist++] =
                oim_arena_strdup(call->lane->arena, json_string_value(json_array_get(users, i)));
        }
    }
    msg->content.data = oim_arena_alloc(call->lane->arena, stored->len);
    msg->content.len = stored->len;
    memcpy(msg->content.data, stored->data, stored->len);
    oim_buf_free(&text);
    oim_buf_free(&outer);
    return rc;
}

/* With the caller's request id: the answer is the message lane's. */
static int hand_on(struct logic_call *call, const Openim__Sdkws__MsgData *msg)
{
    const Openim__Internal__Uplink *up = call->up;
    Openim__Internal__Uplink next = OPENIM__INTERNAL__UPLINK__INIT;
    int rc;

    next.version = 1;
    next.gateway = up->gateway;
    next.requestid = up->requestid;
    next.source = OPENIM__INTERNAL__SOURCE__REST;
    next.path = up->path;
    next.userid = up->userid;
    next.platformid = up->platformid;
    next.operationid = up->operationid;
    next.receivedat = up->receivedat;
    next.deadline = up->deadline;
    next.remote = up->remote;
    rc = logic_produce_msg(call, &next, msg);
    if (rc == OIM_EPARSE) return logic_args(call, "the message is too large");
    if (rc == OIM_OK) call->answered = true;
    return rc;
}

/* The body as an object, or OIM_EFAIL. The caller json_decrefs body->json. */
static int body_read(struct logic_call *call, struct body *body)
{
    const char *why = "";

    body->call = call;
    if (oim_json_parse(call->up->payload.data, call->up->payload.len, &body->json, call->lane->arena, &why)) {
        call->fail = (struct oim_fail){OIM_C_ARGS, why[0] ? why : "invalid JSON", ""};
        return OIM_EFAIL;
    }
    if (!json_is_object(body->json) && !json_is_null(body->json)) {
        json_decref(body->json);
        call->fail = (struct oim_fail){OIM_C_ARGS, "the body is not an object", ""};
        return OIM_EFAIL;
    }
    return OIM_OK;
}

static int send_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);
    struct body body = {0};
    json_t *content;
    int rc = body_read(call, &body);

    if (rc) return rc;
    content = oim_json_get(body.json, "content");
    msg_fill(&body, msg);
    rc = msg_check(&body, msg, content);
    if (rc == OIM_OK) rc = content_fill(call, msg, content);
    json_decref(body.json);
    if (rc == OIM_OK) rc = hand_on(call, msg);
    return rc;
}

/* ---- /msg/send_business_notification ---- */

static char *business_detail(struct logic_call *call, const char *key, const char *data)
{
    struct oim_buf buf = {0};
    char *detail;

    oim_buf_puts(&buf, "{\"key\":");
    oim_json_string(&buf, key, strlen(key));
    oim_buf_puts(&buf, ",\"data\":");
    oim_json_string(&buf, data, strlen(data));
    oim_buf_putc(&buf, '}');
    detail = oim_arena_strndup(call->lane->arena, (const char *)buf.data, buf.len);
    oim_buf_free(&buf);
    return detail;
}

static int send_business_notification(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    struct body body = {0};
    int rc = body_read(call, &body);

    if (rc) return rc;

    const char *user = text_of(&body, "recvUserID"), *group = text_of(&body, "recvGroupID");
    struct logic_notice notice = {
        .content_type = CONTENT_BUSINESS,
        .session_type = group[0] ? SESSION_GROUP : SESSION_SINGLE,
        .send_id = text_of(&body, "sendUserID"),
        .recv_id = group[0] ? group : user,
        .detail = business_detail(call, text_of(&body, "key"), text_of(&body, "data")),
        .reliable = int32_of(&body, "reliabilityLevel") == RELIABLE ? LOGIC_YES : LOGIC_NO,
        .visible = bool_of(&body, "sendMsg") ? LOGIC_YES : LOGIC_NO,
        .answer = true,
    };

    json_decref(body.json);
    if (body.wrong) return logic_args(call, "%s has the wrong type", body.wrong);
    if (notice.send_id[0] == '\0') return logic_args(call, "sendUserID is empty");
    if ((user[0] == '\0') == (group[0] == '\0')) return logic_args(call, "give either recvUserID or recvGroupID");
    if (logic_admin(call)) return OIM_EFAIL;
    rc = logic_notify(call, &notice);
    return rc == OIM_EPARSE ? logic_args(call, "the message is too large") : rc;
}

#define MSG(name) &openim__msg__##name##_req__descriptor, &openim__msg__##name##_resp__descriptor

const struct logic_route logic_msg_routes[] = {
    {"/msg/newest_seq", 1001, LOGIC_ANY, &openim__sdkws__get_max_seq_req__descriptor,
     &openim__sdkws__get_max_seq_resp__descriptor, newest_seq, LOGIC_READ},
    {"/msg/get_conversations_has_read_and_max_seq", 1006, LOGIC_ANY, MSG(get_conversations_has_read_and_max_seq),
     has_read_and_max_seq, LOGIC_READ},
    {"/msg/get_server_time", 0, LOGIC_ANY, MSG(get_server_time), get_server_time, LOGIC_READ},
    {"/msg/check_msg_is_send_success", 0, LOGIC_ANY, MSG(get_send_msg_status), check_msg_is_send_success, LOGIC_READ},
    {"/msg/send_msg", 0, LOGIC_ANY, NULL, NULL, send_msg, LOGIC_WRITE},
    {"/msg/send_business_notification", 0, LOGIC_ANY, NULL, NULL, send_business_notification, LOGIC_WRITE},
    {0},
};
