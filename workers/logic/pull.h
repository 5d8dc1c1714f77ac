/*
 * Reading stored messages: Redis, then MongoDB, then MySQL (messages.md 7). pull.c serves 1002, 1005 and
 * 1007; jssdk.c uses it for last messages.
 */
#ifndef OIM_LOGIC_PULL_H
#define OIM_LOGIC_PULL_H

#include "seq.h"

#include "conversation.pb-c.h"

/* The newest message that the user sees of each conversation: seqs[i] as filled by logic_seqs with
 * LOGIC_SEQ_WINDOW, out[i] NULL where there is none. */
int logic_last_messages(struct logic_call *call, const char *user_id, char *const *ids, const struct logic_seq *seqs, size_t n,
                        Openim__Sdkws__MsgData **out);

/* Conversation rows as messages (conversation.c), in storage order. */
int logic_conversations(struct logic_call *call, const char *owner, Openim__Conversation__Conversation ***out, size_t *n);
int logic_conversations_by_id(struct logic_call *call, const char *owner, char *const *ids, size_t n_ids,
                              Openim__Conversation__Conversation ***out, size_t *n);

#endif
