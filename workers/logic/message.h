/*
 * What the files of /msg share: the conversation that a request is about, read positions, and messages that a back end sends.
 *
 *   message_rest.c    newest seqs, read positions of conversations, the server's time, the status of a send
 *   message_read.c    read marks            message_revoke.c  message_delete.c  message_search.c
 *   message_send.c    /msg/send_msg and its relatives: one message
 *   message_batch.c   /msg/batch_send_msg: one to many
 */
#ifndef OIM_LOGIC_MESSAGE_H
#define OIM_LOGIC_MESSAGE_H

#include "change.h"
#include "notify.h"
#include "seq.h"

#include "conversation.pb-c.h"
#include "msg.pb-c.h"

#include <jansson.h>

enum { LOGIC_SEQS_MAX = 10000 }; /* of one request */

/* ---- message_read.c ---- */

/* The user's row of the conversation and what it may see there; *conv NULL where it has no part in it. */
int logic_msg_conv(struct logic_call *call, const char *user_id, char *id, Openim__Conversation__Conversation **conv,
                   struct logic_seq *seq);

/* seq is beyond the newest of the conversation: OIM_OK, or 500 when that may be because Redis lost what the archive has not reached. */
int logic_msg_beyond(struct logic_call *call, const char *id);

/* Whom a notice about the conversation goes to: the peer or the group. */
const char *logic_msg_peer(const Openim__Conversation__Conversation *conv);

/* 1001 when the list is empty, too long, or has a seq below 1. */
int logic_msg_seqs(struct logic_call *call, const int64_t *seqs, size_t n);

/* Read positions of a user, raised, never lowered; inside the transaction. */
int logic_read_raise(struct logic_call *call, const char *user_id, char *const *ids, const int64_t *seqs, size_t n);

/* ---- message_revoke.c ---- */

/* Whether op may take away messages of senders in the group (messages.md 9.1): the owner those of all, an administrator those of ordinary
 * members and of who left. 1002. op's own are nobody else's business: leave them out. */
int logic_msg_may_remove(struct logic_call *call, const char *group_id, char *op, char *const *senders, size_t n);

/* ---- message_send.c ---- */

/* A body that is not protobuf; wrong names the first member of the wrong type. The caller json_decrefs json. */
struct logic_body {
    struct logic_call *call;
    json_t *json;
    const char *wrong;
};
int logic_body_read(struct logic_call *call, struct logic_body *body);
json_t *logic_body_member(struct logic_body *body, const char *name); /* NULL for null */
char *logic_body_text(struct logic_body *body, const char *name);
int64_t logic_body_int(struct logic_body *body, const char *name, int64_t min, int64_t max);
bool logic_body_bool(struct logic_body *body, const char *name);

/* The message of a body of /msg/send_msg, checked: 1001, 1002, or 500 for content that lacks something. many: the receivers are
 * elsewhere. */
int logic_send_message(struct logic_body *body, bool many, Openim__Sdkws__MsgData *msg);
void logic_send_option_off(struct logic_call *call, Openim__Sdkws__MsgData *msg, const char *key);

#endif
