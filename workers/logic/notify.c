/*
 * Builds notifications and puts messages on the message road; notify.h holds the contracts.
 */
#include "notify.h"

#include "change.h"

#include "oim_hash.h"
#include "oim_wire.h"

#include <inttypes.h>
#include <string.h>


/* All options of a notification; what is named here and not set below is false (messages.md 11.2). */
static const char *const options[] = {
    "isNotNotification", "isSendMsg",          "history",    "persistent",
    "offlinePush",       "unreadCount",        "conversationUpdate", "notPrivate",
    "senderConversationUpdate", "reactionFromCache", "senderSync",
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* What holds for this notice: the table's word, or the caller's. */
struct rule {
    bool visible, reliable, offline_push;
};

static struct rule rule_of(const struct logic_notice *notice)
{
    const struct logic_notice_rule *table = logic_notice_rule(notice->content_type);
    struct rule rule = {table->visible, table->reliable, table->offline_push};

    if (notice->visible != LOGIC_DEFAULT) rule.visible = notice->visible == LOGIC_YES;
    if (notice->reliable != LOGIC_DEFAULT) rule.reliable = notice->reliable == LOGIC_YES;
    return rule;
}

static bool option_value(const struct rule *rule, const char *key)
{
    if (strcmp(key, "senderSync") == 0) return true;
    if (strcmp(key, "isSendMsg") == 0 || strcmp(key, "unreadCount") == 0) return rule->visible;
    if (strcmp(key, "offlinePush") == 0) return rule->offline_push;
    if (strcmp(key, "history") == 0 || strcmp(key, "persistent") == 0) return rule->reliable;
    return false;
}

static void options_fill(struct logic_call *call, const struct logic_notice *notice, Openim__Sdkws__MsgData *msg)
{
    struct rule rule = rule_of(notice);

    msg->options = logic_list(call, N_OPTIONS);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        Openim__Sdkws__MsgData__OptionsEntry *e = logic_new(call, &openim__sdkws__msg_data__options_entry__descriptor);

        e->key = (char *)options[i];
        e->value = option_value(&rule, options[i]);
        msg->options[msg->n_options++] = e;
    }
}

static void offline_push_fill(struct logic_call *call, const struct logic_notice *notice, Openim__Sdkws__MsgData *msg)
{
    const struct logic_notice_rule *rule = logic_notice_rule(notice->content_type);

    msg->offlinepushinfo = logic_new(call, &openim__sdkws__offline_push_info__descriptor);
    msg->offlinepushinfo->title = (char *)rule->title;
    msg->offlinepushinfo->desc = (char *)rule->text;
    msg->offlinepushinfo->ex = (char *)rule->ex;
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
    char *key;
    struct oim_wire_msg route;
    size_t len, key_len;
    uint8_t *packed;

    up->payload.len = openim__sdkws__msg_data__get_packed_size(msg);
    if (up->payload.len > (size_t)call->lane->app->conf.message.max_bytes) return OIM_EPARSE;
    up->payload.data = oim_arena_alloc(a, up->payload.len);
    openim__sdkws__msg_data__pack(msg, up->payload.data);
    if (oim_wire_peek_msg(up->payload.data, up->payload.len, &route)) return OIM_EPARSE;
    key_len = oim_wire_conversation_key(&route, NULL, 0);
    key = oim_arena_alloc(a, key_len + 1);
    oim_wire_conversation_key(&route, key, key_len + 1);

    len = openim__internal__uplink__get_packed_size(up);
    packed = oim_arena_alloc(a, len);
    openim__internal__uplink__pack(up, packed);
    return logic_change_record(call, "msg", key, key_len, packed, len);
}

int logic_notify(struct logic_call *call, const struct logic_notice *notice)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);
    Openim__Internal__Uplink up = logic_uplink(call, OPENIM__INTERNAL__SOURCE__SERVER, notice->answer);
    int rc;

    msg->sendid = (char *)notice->send_id;
    msg->recvid = (char *)notice->recv_id;
    if (notice->session_type == LOGIC_SESSION_GROUP) msg->groupid = (char *)notice->recv_id;
    if (notice->sender_name) msg->sendernickname = (char *)notice->sender_name;
    if (notice->sender_face) msg->senderfaceurl = (char *)notice->sender_face;
    msg->sessiontype = notice->session_type;
    msg->contenttype = notice->content_type;
    msg->msgfrom = LOGIC_FROM_SYSTEM;
    msg->createtime = call->up->receivedat ? call->up->receivedat : oim_now_ms();
    msg->clientmsgid = logic_client_msg_id(call, oim_arena_printf(call->lane->arena, "%d/%s/%s/%u", notice->content_type, notice->send_id,
                                                                  notice->recv_id, call->notices++));
    options_fill(call, notice, msg);
    offline_push_fill(call, notice, msg);
    content_fill(call, notice, msg);

    up.alsouserids = (char **)notice->also;
    up.n_alsouserids = notice->n_also;
    if (notice->late) up.flags |= 2;
    rc = logic_produce_msg(call, &up, msg);
    if (rc == OIM_EPARSE) return logic_args(call, "what it tells is larger than a message may be");
    if (rc == OIM_OK && notice->answer) call->answered = true;
    return rc;
}

int logic_notify_online(struct logic_call *call, const struct logic_notice *notice, char *const *ids, size_t n)
{
    bool *online = logic_array(call, n, sizeof(*online));
    int rc = logic_online(call, ids, n, online);

    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        struct logic_notice one = *notice;

        if (!online[i]) continue;
        one.recv_id = ids[i];
        if (one.send_id == NULL) one.send_id = ids[i];
        rc = logic_notify(call, &one);
    }
    return rc;
}
