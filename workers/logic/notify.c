/*
 * Builds notifications and puts messages on the message road; notify.h holds the contracts.
 */
#include "notify.h"

#include "oim_hash.h"
#include "oim_wire.h"

#include <inttypes.h>
#include <string.h>

#define FROM_SYSTEM 200
#define SESSION_GROUP 3

/* All options of a notification; what is named here and not set below is false (messages.md 11.2). */
static const char *const options[] = {
    "isNotNotification", "isSendMsg",          "history",    "persistent",
    "offlinePush",       "unreadCount",        "conversationUpdate", "notPrivate",
    "senderConversationUpdate", "reactionFromCache", "senderSync",
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool option_value(const struct logic_notice *notice, const char *key)
{
    if (strcmp(key, "senderSync") == 0) return true;
    if (strcmp(key, "isSendMsg") == 0) return notice->visible;
    if (strcmp(key, "offlinePush") == 0) return notice->offline_push && !notice->visible; /* the copy's task */
    if (strcmp(key, "history") == 0 || strcmp(key, "persistent") == 0) return notice->reliable;
    return false;
}

static void option_add(struct logic_call *call, Openim__Sdkws__MsgData *msg, const char *key, bool value)
{
    Openim__Sdkws__MsgData__OptionsEntry *e = logic_new(call, &openim__sdkws__msg_data__options_entry__descriptor);

    e->key = (char *)key;
    e->value = value;
    msg->options[msg->n_options++] = e;
}

static void options_fill(struct logic_call *call, const struct logic_notice *notice, Openim__Sdkws__MsgData *msg)
{
    msg->options = logic_list(call, N_OPTIONS);
    msg->n_options = 0;
    for (size_t i = 0; i < N_OPTIONS; i++) option_add(call, msg, options[i], option_value(notice, options[i]));
}

/* The copy in the chat is an ordinary message: what is not said is true. */
static void copy_options_fill(struct logic_call *call, const struct logic_notice *notice, Openim__Sdkws__MsgData *msg)
{
    msg->options = logic_list(call, 2);
    msg->n_options = 0;
    option_add(call, msg, "offlinePush", notice->offline_push);
    option_add(call, msg, "unreadCount", true);
}

/* {"detail": "<the tips as JSON>"} */
static void content_fill(struct logic_call *call, const struct logic_notice *notice, Openim__Sdkws__MsgData *msg)
{
    struct oim_buf detail = {0}, content = {0};

    if (notice->detail) {
        oim_buf_puts(&detail, notice->detail);
    } else {
        oim_json_encode(&detail, notice->tips);
    }
    oim_buf_puts(&content, "{\"detail\":");
    oim_json_string(&content, (const char *)detail.data, detail.len);
    oim_buf_putc(&content, '}');
    msg->content.data = oim_arena_alloc(call->lane->arena, content.len);
    msg->content.len = content.len;
    memcpy(msg->content.data, content.data, content.len);
    oim_buf_free(&detail);
    oim_buf_free(&content);
}

char *logic_client_msg_id(struct logic_call *call, const char *part)
{
    const Openim__Internal__Uplink *up = call->up;
    char *seed = oim_arena_printf(call->lane->arena, "%s/%" PRIu64 "/%" PRId64 "/%s/%s", up->gateway, up->requestid,
                                  up->receivedat, up->operationid, part);
    char *id = oim_arena_alloc(call->lane->arena, 33);

    oim_hash_md5_hex(id, seed, strlen(seed));
    return id;
}

int logic_produce_msg(struct logic_call *call, Openim__Internal__Uplink *up, const Openim__Sdkws__MsgData *msg)
{
    struct oim_arena *a = call->lane->arena;
    char *topic = oim_arena_printf(a, "%smsg", call->lane->app->conf.kafka.topic_prefix), *key;
    struct oim_wire_msg route;
    size_t len, key_len;
    uint8_t *packed;

    up->payload.len = openim__sdkws__msg_data__get_packed_size(msg);
    up->payload.data = oim_arena_alloc(a, up->payload.len);
    openim__sdkws__msg_data__pack(msg, up->payload.data);
    if (oim_wire_peek_msg(up->payload.data, up->payload.len, &route)) return OIM_EPARSE;
    key_len = oim_wire_conversation_key(&route, NULL, 0);
    key = oim_arena_alloc(a, key_len + 1);
    oim_wire_conversation_key(&route, key, key_len + 1);

    len = openim__internal__uplink__get_packed_size(up);
    packed = oim_arena_alloc(a, len);
    openim__internal__uplink__pack(up, packed);
    return oim_kafka_produce(call->lane->producer, topic, -1, key, key_len, packed, len, NULL);
}

int logic_notify(struct logic_call *call, const struct logic_notice *notice)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);
    Openim__Internal__Uplink up = OPENIM__INTERNAL__UPLINK__INIT;
    int rc;

    msg->sendid = (char *)notice->send_id;
    msg->recvid = (char *)notice->recv_id;
    if (notice->session_type == SESSION_GROUP) msg->groupid = (char *)notice->recv_id;
    msg->sessiontype = notice->session_type;
    msg->contenttype = notice->content_type;
    msg->msgfrom = FROM_SYSTEM;
    msg->createtime = call->up->receivedat ? call->up->receivedat : oim_now_ms();
    msg->clientmsgid = logic_client_msg_id(
        call, oim_arena_printf(call->lane->arena, "%d/%s/%s", notice->content_type, notice->send_id, notice->recv_id));
    msg->offlinepushinfo = logic_new(call, &openim__sdkws__offline_push_info__descriptor);
    options_fill(call, notice, msg);
    content_fill(call, notice, msg);

    up.version = 1;
    up.source = OPENIM__INTERNAL__SOURCE__SERVER;
    up.userid = call->up->userid;
    up.platformid = call->up->platformid;
    up.operationid = call->up->operationid;
    up.receivedat = call->up->receivedat;
    if (notice->visible) {
        rc = logic_produce_msg(call, &up, msg);
        if (rc != OIM_OK) return rc;
        copy_options_fill(call, notice, msg);
    }
    if (notice->answer) {
        up.gateway = call->up->gateway;
        up.requestid = call->up->requestid;
        up.path = call->up->path;
        up.deadline = call->up->deadline;
    }
    rc = logic_produce_msg(call, &up, msg);
    if (rc == OIM_OK) call->answered = notice->answer;
    return rc;
}
