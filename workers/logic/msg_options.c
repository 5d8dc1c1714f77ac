/* Options and names; msg_options.h. Later entries of a map win, as everywhere in protobuf. */
#include "msg_options.h"

#include <string.h>

typedef Openim__Sdkws__MsgData__OptionsEntry entry_t;

bool msg_option(const Openim__Sdkws__MsgData *msg, const char *key)
{
    for (size_t i = msg->n_options; i-- > 0;) {
        if (strcmp(msg->options[i]->key, key) == 0) return msg->options[i]->value;
    }
    return true;
}

void msg_option_remove(Openim__Sdkws__MsgData *msg, const char *key)
{
    size_t kept = 0;

    for (size_t i = 0; i < msg->n_options; i++) {
        if (strcmp(msg->options[i]->key, key) != 0) msg->options[kept++] = msg->options[i];
    }
    msg->n_options = kept;
}

void msg_option_set(struct oim_arena *a, Openim__Sdkws__MsgData *msg, const char *key, bool value)
{
    entry_t **options, *entry;

    msg_option_remove(msg, key);
    options = oim_arena_alloc(a, (msg->n_options + 1) * sizeof(*options));
    if (msg->n_options) memcpy(options, msg->options, msg->n_options * sizeof(*options));
    entry = oim_arena_alloc(a, sizeof(*entry));
    openim__sdkws__msg_data__options_entry__init(entry);
    entry->key = oim_arena_strdup(a, key);
    entry->value = value;
    options[msg->n_options++] = entry;
    msg->options = options;
}

void msg_options_force(struct oim_arena *a, Openim__Sdkws__MsgData *msg)
{
    static const char *const typing[] = {"history", "persistent", "senderSync", "conversationUpdate", "senderConversationUpdate",
                                         "unreadCount", "offlinePush", NULL};
    static const char *const receipt[] = {"conversationUpdate", "senderConversationUpdate", "unreadCount", "offlinePush", NULL};
    static const char *const revoke[] = {"unreadCount", "offlinePush", NULL};
    const char *const *keys;

    switch (msg->contenttype) {
    case MSG_TYPING: keys = typing; break;
    case MSG_READ_RECEIPT: keys = receipt; break;
    case MSG_REVOKE_OLD: keys = revoke; break;
    default: return;
    }
    for (; *keys; keys++) {
        if (msg_option(msg, *keys)) msg_option_set(a, msg, *keys, false);
    }
}

char *msg_conversation_id(struct oim_arena *a, const Openim__Sdkws__MsgData *msg, bool notification)
{
    const char *first = msg->sendid, *second = msg->recvid;

    if (strcmp(first, second) > 0) {
        first = msg->recvid;
        second = msg->sendid;
    }
    switch (msg->sessiontype) {
    case LOGIC_SESSION_SINGLE: return oim_arena_printf(a, "%s_%s_%s", notification ? "n" : "si", first, second);
    case LOGIC_SESSION_GROUP: return oim_arena_printf(a, "%s_%s", notification ? "n" : "sg", msg->groupid);
    case LOGIC_SESSION_NOTIFICATION: return oim_arena_printf(a, "%s_%s_%s", notification ? "n" : "sn", first, second);
    default: return NULL;
    }
}
