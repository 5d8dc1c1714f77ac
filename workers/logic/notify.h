/*
 * Notifications: what a change tells other clients, as messages of the system (rest.md E, messages.md 11).
 * A handler calls this after its rows are committed; the message lane stores and pushes. The rpc lane
 * commits a record only when Kafka has its notifications.
 */
#ifndef OIM_LOGIC_NOTIFY_H
#define OIM_LOGIC_NOTIFY_H

#include "rpc.h"

enum { LOGIC_N_USER_INFO = 1303 };

struct logic_notice {
    int32_t content_type, session_type; /* 1 or 3 */
    const char *send_id, *recv_id;      /* recv_id: the group for session 3 */
    const ProtobufCMessage *tips;
    const char *detail; /* JSON text in place of tips */
    bool reliable;     /* level 2: stored in the n_ conversation; else online only */
    bool offline_push;
    bool visible;      /* isSendMsg: a copy goes into the chat, after the notification (sdk-clients.md 11.5) */
    bool answer;       /* the message lane answers the REST request */
};

/* Handling a record again gives the same clientMsgID: it is stored once. */
int logic_notify(struct logic_call *call, const struct logic_notice *notice);

/* A packed message to openim.msg under the key of its conversation (message_rest.c uses it, too). */
int logic_produce_msg(struct logic_call *call, Openim__Internal__Uplink *up, const Openim__Sdkws__MsgData *msg);

/* 32 hex digits that only this request, and this part of it, has. */
char *logic_client_msg_id(struct logic_call *call, const char *part);

#endif
