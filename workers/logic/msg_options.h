/* The options map of a message (messages.md 1.1) and the names of conversations (messages.md 2). Pure. */
#ifndef OIM_MSG_OPTIONS_H
#define OIM_MSG_OPTIONS_H

#include "oim_arena.h"
#include "protocol.h"
#include "sdkws.pb-c.h"

#include <stdbool.h>

#define MSG_OPT_NOT_NOTIFICATION "isNotNotification"
#define MSG_OPT_HISTORY "history"
#define MSG_OPT_SENDER_SYNC "senderSync"
#define MSG_OPT_OFFLINE_PUSH "offlinePush"
#define MSG_OPT_SEND_MSG "isSendMsg"
#define MSG_OPT_UNREAD_COUNT "unreadCount"

enum { MSG_AT = 106 };
enum { MSG_TYPING = 113, MSG_REVOKE_OLD = 111, MSG_OA = 1400, MSG_READ_RECEIPT = 2200, MSG_SYSTEM_FIRST = 1000, MSG_SYSTEM_LAST = 5000 };

bool msg_option(const Openim__Sdkws__MsgData *msg, const char *key); /* absent is true */
void msg_option_set(struct oim_arena *a, Openim__Sdkws__MsgData *msg, const char *key, bool value);
void msg_option_remove(Openim__Sdkws__MsgData *msg, const char *key);
void msg_options_force(struct oim_arena *a, Openim__Sdkws__MsgData *msg); /* what the content type demands */

/* "si_a_b", "sg_g", "sn_a_b", or "n_..." when notification; NULL for other session types. */
char *msg_conversation_id(struct oim_arena *a, const Openim__Sdkws__MsgData *msg, bool notification);

#endif
