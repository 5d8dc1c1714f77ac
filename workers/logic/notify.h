/*
 * Notifications: what a change tells other clients, as messages of the system (rest.md E, messages.md 11).
 * A handler calls this after its rows are committed; the message lane stores and pushes. The rpc lane
 * commits a record only when Kafka has its notifications.
 */
#ifndef OIM_LOGIC_NOTIFY_H
#define OIM_LOGIC_NOTIFY_H

#include "rpc.h"

enum logic_notice_type {
    LOGIC_N_FRIEND_APPROVED = 1201,
    LOGIC_N_FRIEND_REJECTED = 1202,
    LOGIC_N_FRIEND_APPLICATION = 1203,
    LOGIC_N_FRIEND_DELETED = 1205,
    LOGIC_N_FRIEND_REMARK = 1206,
    LOGIC_N_BLACK_ADDED = 1207,
    LOGIC_N_BLACK_DELETED = 1208,
    LOGIC_N_FRIEND_INFO = 1209,
    LOGIC_N_FRIENDS_INFO = 1210,
    LOGIC_N_CONVERSATION = 1300,
    LOGIC_N_USER_INFO = 1303,
    LOGIC_N_GROUP_CREATED = 1501,
    LOGIC_N_GROUP_INFO = 1502,
    LOGIC_N_JOIN_APPLICATION = 1503,
    LOGIC_N_MEMBER_QUIT = 1504,
    LOGIC_N_APPLICATION_ACCEPTED = 1505,
    LOGIC_N_APPLICATION_REJECTED = 1506,
    LOGIC_N_GROUP_TRANSFERRED = 1507,
    LOGIC_N_MEMBER_KICKED = 1508,
    LOGIC_N_MEMBER_INVITED = 1509,
    LOGIC_N_MEMBER_ENTER = 1510,
    LOGIC_N_GROUP_DISMISSED = 1511,
    LOGIC_N_MEMBER_MUTED = 1512,
    LOGIC_N_MEMBER_UNMUTED = 1513,
    LOGIC_N_GROUP_MUTED = 1514,
    LOGIC_N_GROUP_UNMUTED = 1515,
    LOGIC_N_MEMBER_INFO = 1516,
    LOGIC_N_MEMBER_TO_ADMIN = 1517,
    LOGIC_N_MEMBER_TO_ORDINARY = 1518,
    LOGIC_N_GROUP_ANNOUNCEMENT = 1519,
    LOGIC_N_GROUP_NAME = 1520,
    LOGIC_N_CONVERSATION_PRIVATE = 1701,
    LOGIC_N_CLEAR = 1703,
    LOGIC_N_BUSINESS = 2001,
    LOGIC_N_REVOKE = 2101,
    LOGIC_N_DELETE = 2102,
    LOGIC_N_READ = 2200,
};

/* What the table of notice_table.c says can be overruled per call (sendMessage, reliabilityLevel). */
enum logic_choice { LOGIC_DEFAULT, LOGIC_YES, LOGIC_NO };

struct logic_notice {
    int32_t content_type, session_type; /* 1 or 3; 4 for what happens in an sn_ conversation */
    const char *send_id, *recv_id;      /* recv_id: the group for session 3 */
    const ProtobufCMessage *tips;
    const char *detail;       /* JSON text in place of tips */
    enum logic_choice visible;  /* isSendMsg: a copy goes into the chat (messages.md 11.2) */
    enum logic_choice reliable; /* level 2: stored in the n_ conversation; else online only */
    const char *sender_name, *sender_face; /* 1502 and 1519 only, NULL: none */
    char *const *also;        /* session 3: users who are told though they are no members any more */
    size_t n_also;
    bool answer;              /* the message lane answers the REST request */
    bool late;                /* not stored: pushed some 300 ms later, whatever is said meanwhile (Push.flags) */
};

/* After the commit (LOGIC_TX) or at once, in the order of the calls. Handling a record again gives the same clientMsgID: it is stored once.
 * Notices of one handler with the same type, sender and receiver get ids of their own in the order of the calls. 1001 when it would be
 * larger than message.max_bytes: texts that are as long as they may be, several of them, full of what JSON escapes. */
int logic_notify(struct logic_call *call, const struct logic_notice *notice);

/* The same notice to each of ids that is online now (recv_id is set here; send_id NULL: each from itself). For notices that are not stored:
 * who is offline learns the change by synchronising, so a group of thousands costs as many notices as there are people to read them. */
int logic_notify_online(struct logic_call *call, const struct logic_notice *notice, char *const *ids, size_t n);

/* A packed message to openim.msg under the key of its conversation (message_rest.c uses it, too). OIM_EPARSE: larger than
 * message.max_bytes: the message lane would refuse it, or Kafka, when the rows are committed. */
int logic_produce_msg(struct logic_call *call, Openim__Internal__Uplink *up, const Openim__Sdkws__MsgData *msg);

/* notice_table.c: what a type does, and the words of its offline push. */
struct logic_notice_rule {
    int32_t type;
    const char *name; /* as in upstream's notification.yml; "": nobody may change it */
    bool visible, reliable, offline_push;
    const char *title, *text, *ex;
};
const struct logic_notice_rule *logic_notice_rule(int32_t type); /* never NULL */

/* Before the lanes start. path may be "". OIM_EPARSE: stderr says what is wrong with the file. */
int logic_notice_load(const char *language, const char *path);
void logic_notice_print(FILE *out, const char *language); /* such a file, at its defaults, commented */

/* notice_text.c: never NULL; a language that is unknown is English. */
struct logic_notice_words {
    const char *title, *text;
};
const struct logic_notice_words *logic_notice_words(const char *name, const char *language);

#endif
