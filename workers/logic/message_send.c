/*
 * What a back end sends through REST: /msg/send_msg, /msg/send_business_notification, /msg/send_simple_msg (rest.md B.7, messages.md 4.3).
 * The bodies are no protobuf; a message is made of them, checked, and handed on to the message lane: that one decides and answers.
 */
#include "message.h"

#include "group.h"
#include "send.h"

#include <openssl/evp.h>
#include <string.h>

#define CONTENT_AT 106
#define CONTENT_MARKDOWN 118
#define CONTENT_OA 1400
#define CONTENT_BUSINESS 2001
#define RELIABLE 2
#define PLATFORM_ADMIN 10
#define OPTIONS_MAX 12
#define QUERY_MAX 4096

/* ---- bodies ---- */

int logic_body_read(struct logic_call *call, struct logic_body *body)
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

json_t *logic_body_member(struct logic_body *b, const char *name)
{
    json_t *v = oim_json_get(b->json, name);

    return v == NULL || json_is_null(v) ? NULL : v;
}

char *logic_body_text(struct logic_body *b, const char *name)
{
    json_t *v = logic_body_member(b, name);

    if (v == NULL) return (char *)"";
    if (!json_is_string(v)) {
        b->wrong = name;
        return (char *)"";
    }
    return oim_arena_strndup(b->call->lane->arena, json_string_value(v), json_string_length(v));
}

int64_t logic_body_int(struct logic_body *b, const char *name, int64_t min, int64_t max)
{
    json_t *v = logic_body_member(b, name);

    if (v == NULL) return 0;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        b->wrong = name;
        return 0;
    }
    return json_integer_value(v);
}

static int32_t int32_of(struct logic_body *b, const char *name)
{
    return (int32_t)logic_body_int(b, name, INT32_MIN, INT32_MAX);
}

bool logic_body_bool(struct logic_body *b, const char *name)
{
    json_t *v = logic_body_member(b, name);

    if (v && !json_is_boolean(v)) b->wrong = name;
    return json_is_true(v);
}

void logic_send_option_off(struct logic_call *call, Openim__Sdkws__MsgData *msg, const char *key)
{
    Openim__Sdkws__MsgData__OptionsEntry *e = logic_new(call, &openim__sdkws__msg_data__options_entry__descriptor);

    if (msg->options == NULL) msg->options = logic_list(call, OPTIONS_MAX);
    e->key = (char *)key;
    e->value = false;
    msg->options[msg->n_options++] = e;
}

/* ---- the message of a body ---- */

static void offline_push_of(struct logic_body *b, Openim__Sdkws__MsgData *msg)
{
    json_t *v = logic_body_member(b, "offlinePushInfo");
    const char *why;

    if (v && oim_json_decode_value(b->call->lane->arena, &openim__sdkws__offline_push_info__descriptor, v,
                                   (ProtobufCMessage **)&msg->offlinepushinfo, &why)) {
        b->wrong = "offlinePushInfo";
    }
}

/* All members but content; the id is the same when the record is handled again. */
static void msg_fill(struct logic_body *b, Openim__Sdkws__MsgData *msg)
{
    const Openim__Internal__Uplink *up = b->call->up;

    msg->sendid = logic_body_text(b, "sendID");
    msg->recvid = logic_body_text(b, "recvID");
    msg->groupid = logic_body_text(b, "groupID");
    msg->sendernickname = logic_body_text(b, "senderNickname");
    msg->senderfaceurl = logic_body_text(b, "senderFaceURL");
    msg->senderplatformid = int32_of(b, "senderPlatformID");
    msg->contenttype = int32_of(b, "contentType");
    msg->sessiontype = int32_of(b, "sessionType");
    msg->sendtime = logic_body_int(b, "sendTime", 0, INT64_MAX);
    msg->ex = logic_body_text(b, "ex");
    msg->msgfrom = LOGIC_FROM_SYSTEM;
    msg->createtime = up->receivedat ? up->receivedat : oim_now_ms();
    offline_push_of(b, msg);
    if (logic_body_bool(b, "isOnlineOnly")) {
        logic_send_option_off(b->call, msg, "history");
        logic_send_option_off(b->call, msg, "persistent");
        logic_send_option_off(b->call, msg, "senderSync");
        logic_send_option_off(b->call, msg, "conversationUpdate");
    }
    if (logic_body_bool(b, "notOfflinePush")) logic_send_option_off(b->call, msg, "offlinePush");
    msg->clientmsgid = logic_client_msg_id(b->call, msg->sendid);
}

static int msg_check(struct logic_body *b, bool many, const Openim__Sdkws__MsgData *msg, json_t *content)
{
    struct logic_call *call = b->call;

    if (b->wrong) return logic_args(call, "%s has the wrong type", b->wrong);
    if (!json_is_object(content)) return logic_args(call, "content is not an object");
    if (msg->sendid[0] == '\0') return logic_args(call, "sendID is empty");
    if (msg->contenttype == 0) return logic_args(call, "contentType is empty");
    if (msg->sessiontype == 0) return logic_args(call, "sessionType is empty");
    if ((msg->sessiontype == LOGIC_SESSION_SINGLE || msg->sessiontype == LOGIC_SESSION_NOTIFICATION) && !many && msg->recvid[0] == '\0') {
        return logic_args(call, "recvID is empty");
    }
    if ((msg->sessiontype == LOGIC_SESSION_WRITE_GROUP || msg->sessiontype == LOGIC_SESSION_GROUP) && msg->groupid[0] == '\0') {
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
    if (user->appmangerlevel < LOGIC_LEVEL_APP_ADMIN) return logic_fail(call, OIM_C_PERMISSION, "sendID is no system account");
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
        msg->sessiontype = LOGIC_SESSION_NOTIFICATION;
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

int logic_send_message(struct logic_body *body, bool many, Openim__Sdkws__MsgData *msg)
{
    json_t *content = oim_json_get(body->json, "content");
    int rc;

    msg_fill(body, msg);
    rc = msg_check(body, many, msg, content);
    return rc ? rc : content_fill(body->call, msg, content);
}

/* With the caller's request id: the answer is the message lane's. */
static int hand_on(struct logic_call *call, const Openim__Sdkws__MsgData *msg)
{
    Openim__Internal__Uplink next = logic_uplink(call, OPENIM__INTERNAL__SOURCE__REST, true);
    int rc = logic_produce_msg(call, &next, msg);

    if (rc == OIM_EPARSE) return logic_args(call, "the message is too large");
    if (rc == OIM_OK) call->answered = true;
    return rc;
}

/* ---- /msg/send_msg ---- */

static int send_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);
    struct logic_body body = {0};
    int rc = logic_body_read(call, &body);

    if (rc) return rc;
    rc = logic_send_message(&body, false, msg);
    json_decref(body.json);
    return rc ? rc : hand_on(call, msg);
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
    struct logic_body body = {0};
    int rc = logic_body_read(call, &body);

    if (rc) return rc;

    const char *user = logic_body_text(&body, "recvUserID"), *group = logic_body_text(&body, "recvGroupID");
    struct logic_notice notice = {
        .content_type = CONTENT_BUSINESS,
        .session_type = group[0] ? LOGIC_SESSION_GROUP : LOGIC_SESSION_SINGLE,
        .send_id = logic_body_text(&body, "sendUserID"),
        .recv_id = group[0] ? group : user,
        .detail = business_detail(call, logic_body_text(&body, "key"), logic_body_text(&body, "data")),
        .reliable = int32_of(&body, "reliabilityLevel") == RELIABLE ? LOGIC_YES : LOGIC_NO,
        .visible = logic_body_bool(&body, "sendMsg") ? LOGIC_YES : LOGIC_NO,
        .answer = true,
    };

    json_decref(body.json);
    if (body.wrong) return logic_args(call, "%s has the wrong type", body.wrong);
    if (notice.send_id[0] == '\0') return logic_args(call, "sendUserID is empty");
    if ((user[0] == '\0') == (group[0] == '\0')) return logic_args(call, "give either recvUserID or recvGroupID");
    rc = logic_admin(call);
    if (rc == OIM_OK && group[0]) rc = logic_group_alive(call, group); /* all that C.9 asks of a notification */
    return rc ? rc : logic_notify(call, &notice);
}

/* ---- /msg/send_simple_msg ---- */

/* The value of key in the query string, as a webhook gave it out; escaped, or as it is (also a plus). NULL: there is none. */
static char *query_key(struct logic_call *call)
{
    const char *query = call->up->query;
    size_t len, n = 0;
    char *out;

    while (strncmp(query, "key=", 4)) {
        query = strchr(query, '&');
        if (query == NULL) return NULL;
        query++;
    }
    query += 4;
    len = strcspn(query, "&");
    out = oim_arena_alloc(call->lane->arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        if (query[i] == '%' && i + 2 < len && sscanf(query + i + 1, "%2x", &byte) == 1) {
            out[n++] = (char)byte;
            i += 2;
        } else {
            out[n++] = query[i];
        }
    }
    out[n] = '\0';
    return out;
}

/* The chat that the key names: {sendID, recvID, groupID} in base64. NULL when it is none; the caller json_decrefs. */
static json_t *key_read(struct logic_call *call)
{
    char *key = query_key(call);
    size_t len = key ? strlen(key) : 0;
    uint8_t *text;
    json_t *chat = NULL;
    const char *why;
    int n;

    if (len == 0 || len % 4 || len > QUERY_MAX) return NULL;
    text = oim_arena_alloc(call->lane->arena, len);
    n = EVP_DecodeBlock(text, (const uint8_t *)key, (int)len); /* counts the padding as bytes */
    if (n < 3) return NULL;
    while (len && key[len - 1] == '=' && n > 0) {
        n--;
        len--;
    }
    if (oim_json_parse(text, (size_t)n, &chat, call->lane->arena, &why)) return NULL;
    if (json_is_object(chat)) return chat;
    json_decref(chat);
    return NULL;
}

/* An answer into the chat: as its receiver, or, in a group, as who is named. */
static int simple_route(struct logic_call *call, const char *named, Openim__Sdkws__MsgData *msg)
{
    struct logic_body key = {.call = call, .json = key_read(call)};

    if (key.json == NULL) return logic_args(call, "key is missing or wrong");
    msg->groupid = logic_body_text(&key, "groupID");
    if (msg->groupid[0]) {
        msg->sessiontype = LOGIC_SESSION_GROUP;
        msg->sendid = (char *)named;
    } else {
        msg->sessiontype = LOGIC_SESSION_SINGLE;
        msg->sendid = logic_body_text(&key, "recvID");
        msg->recvid = logic_body_text(&key, "sendID");
    }
    json_decref(key.json);
    if (key.wrong) return logic_args(call, "key has %s of the wrong type", key.wrong);
    if (msg->sendid[0] == '\0') return logic_args(call, "sendID is empty");
    if (msg->groupid[0] == '\0' && msg->recvid[0] == '\0') return logic_args(call, "recvID is empty");
    return OIM_OK;
}

static void simple_content(struct logic_call *call, Openim__Sdkws__MsgData *msg, const char *text)
{
    struct oim_buf buf = {0};

    oim_buf_puts(&buf, "{\"content\":");
    oim_json_string(&buf, text, strlen(text));
    oim_buf_putc(&buf, '}');
    msg->content.data = (uint8_t *)oim_arena_strndup(call->lane->arena, (const char *)buf.data, buf.len);
    msg->content.len = buf.len;
    oim_buf_free(&buf);
}

static int simple_message(struct logic_body *body, Openim__Sdkws__MsgData *msg)
{
    struct logic_call *call = body->call;
    const char *text = logic_body_text(body, "content"), *named = logic_body_text(body, "sendID");
    Openim__Sdkws__UserInfo *sender;
    int rc;

    msg->ex = logic_body_text(body, "ex");
    offline_push_of(body, msg);
    if (body->wrong) return logic_args(call, "%s has the wrong type", body->wrong);
    if (text[0] == '\0') return logic_args(call, "content is empty");
    rc = simple_route(call, named, msg);
    if (rc == OIM_OK) rc = logic_self(call, msg->sendid);
    if (rc == OIM_OK) rc = logic_users(call, &msg->sendid, 1, &sender);
    if (rc) return rc;
    if (sender == NULL) return logic_fail(call, OIM_C_NOTFOUND, "user %s not found", msg->sendid);
    msg->sendernickname = sender->nickname;
    msg->senderfaceurl = sender->faceurl;
    msg->senderplatformid = PLATFORM_ADMIN;
    msg->contenttype = CONTENT_MARKDOWN;
    msg->msgfrom = LOGIC_FROM_USER;
    msg->clientmsgid = logic_client_msg_id(call, msg->sendid);
    simple_content(call, msg, text);
    return OIM_OK;
}

static int send_simple_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);
    struct logic_body body = {0};
    int rc = logic_body_read(call, &body);

    if (rc) return rc;
    rc = simple_message(&body, msg);
    json_decref(body.json);
    return rc ? rc : hand_on(call, msg);
}

const struct logic_route logic_send_routes[] = {
    {"/msg/send_msg", 0, LOGIC_ADMIN, NULL, NULL, send_msg, LOGIC_WRITE},
    {"/msg/send_business_notification", 0, LOGIC_ADMIN, NULL, NULL, send_business_notification, LOGIC_WRITE},
    {"/msg/send_simple_msg", 0, LOGIC_SELF, NULL, NULL, send_simple_msg, LOGIC_WRITE},
    {0},
};
