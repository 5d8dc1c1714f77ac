/*
 * What a stored message leaves to do for others, as records of openim.rpc (proto/internal.proto): who is named in a message of a group is
 * marked (messages.md 3.5), who left a group may read up to the notice of it (messages.md 5.6). msg_deliver.c calls it for each message
 * that it has published; a message that is said again after a take-over leaves the same tasks under the same names.
 */
#include "msg.h"
#include "msg_options.h"
#include "notify.h"

#include <string.h>

#define AT_ALL "AtAllTag"
#define AT_USERS 1000 /* of one task */

enum { AT_ME = 1, AT_EVERYBODY = 2, AT_ME_AND_EVERYBODY = 3 };

/* number: of the tasks of this message. */
static void add(struct msg_lane *lane, const struct msg_entry *entry, const char *path, unsigned number, const ProtobufCMessage *payload)
{
    struct oim_arena *a = lane->base.arena;
    Openim__Internal__Uplink task = OPENIM__INTERNAL__UPLINK__INIT;

    task.version = 1;
    task.source = OPENIM__INTERNAL__SOURCE__SERVER;
    task.path = (char *)(uintptr_t)path;
    task.userid = entry->msg->sendid;
    task.gateway = oim_arena_printf(a, "%s%s", entry->server_msg_id, path);
    task.requestid = number;
    task.operationid = entry->up->operationid;
    task.receivedat = entry->send_time;
    task.payload.len = protobuf_c_message_get_packed_size(payload);
    task.payload.data = oim_arena_alloc(a, task.payload.len + 1);
    protobuf_c_message_pack(payload, task.payload.data);
    msg_later_task(lane, entry, entry->msg->groupid, &task);
}

static void at(struct msg_lane *lane, const struct msg_entry *entry)
{
    static const char path[] = "/internal/at";
    const Openim__Sdkws__MsgData *msg = entry->msg;
    struct logic_index *index = logic_index_new(lane->base.arena, msg->atuseridlist, msg->n_atuseridlist);
    char **ids = oim_arena_alloc(lane->base.arena, (msg->n_atuseridlist + 1) * sizeof(*ids));
    bool all = logic_index_find(index, AT_ALL) != SIZE_MAX;
    Openim__Internal__AtTask task = OPENIM__INTERNAL__AT_TASK__INIT;
    unsigned number = 0;
    size_t n = 0;

    for (size_t i = 0; i < msg->n_atuseridlist; i++) {
        char *id = msg->atuseridlist[i];

        if (*id && strcmp(id, AT_ALL) != 0 && logic_index_find(index, id) == i) ids[n++] = id;
    }
    task.conversationid = entry->conversation_id;
    task.groupid = msg->groupid;
    task.sendid = msg->sendid;
    task.attype = AT_EVERYBODY;
    if (all) add(lane, entry, path, number++, &task.base);
    task.attype = all ? AT_ME_AND_EVERYBODY : AT_ME;
    for (size_t from = 0; from < n; from += AT_USERS) {
        task.userids = ids + from;
        task.n_userids = n - from < AT_USERS ? n - from : AT_USERS;
        add(lane, entry, path, number++, &task.base);
    }
}

static void left(struct msg_lane *lane, const struct msg_entry *entry)
{
    Openim__Internal__LeftTask task = OPENIM__INTERNAL__LEFT_TASK__INIT;

    task.conversationid = entry->conversation_id;
    task.userids = entry->up->alsouserids;
    task.n_userids = entry->up->n_alsouserids;
    task.seq = entry->msg->seq;
    add(lane, entry, "/internal/left", 0, &task.base);
}

void msg_task(struct msg_lane *lane, const struct msg_entry *entry)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;

    if (msg->sessiontype != LOGIC_SESSION_GROUP || !entry->chat) return;
    switch (msg->contenttype) {
    case MSG_AT:
        if (msg->n_atuseridlist) at(lane, entry);
        break;
    case LOGIC_N_MEMBER_QUIT:
    case LOGIC_N_MEMBER_KICKED:
        if (entry->up->source == OPENIM__INTERNAL__SOURCE__SERVER && entry->up->n_alsouserids) left(lane, entry);
        break;
    default: break;
    }
}
