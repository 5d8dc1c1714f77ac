/*
 * Conversation rows as other areas change them (rest.md C.7), inside the caller's transaction. Each writes the conversation logs of the
 * owners concerned and tells those who are online with 1300. conversation_row.c has them.
 */
#ifndef OIM_LOGIC_CONVERSATION_H
#define OIM_LOGIC_CONVERSATION_H

#include "change.h"
#include "notify.h"
#include "version.h"

#include "conversation.pb-c.h"

/* Users joined a group: the row is made if it is missing, and its end, as that of seq_user, is open (0). */
int logic_conv_join(struct logic_call *call, const char *group_id, char *const *users, size_t n);

/* Users left: both ends are the conversation's newest seq now. The task LeftTask moves them to the notice of the leaving. */
int logic_conv_leave(struct logic_call *call, const char *group_id, char *const *users, size_t n);

/* From now on owner sees what is newer than seqs[i] - 1 of conversation ids[i] (clear, destruction). */
int logic_conv_min_seqs(struct logic_call *call, const char *owner, char *const *ids, const int64_t *seqs, size_t n);

/* N1300 u -> u {userID, conversationIDList} to each user who is online: all of ids for each. */
int logic_conv_notify(struct logic_call *call, char *const *users, size_t n_users, char *const *ids, size_t n_ids);

#endif
