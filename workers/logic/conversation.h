/*
 * Conversation rows as other areas change them (rest.md C.7), inside the caller's transaction. Each writes the conversation logs of the
 * owners concerned and tells those who are online with 1300. What a user may read of a conversation is limited twice, in the row and in
 * seq_user, which outlives the row; both are written here and nowhere else.
 *
 *   conversation_row.c     rows: insert, lock, log; joining, leaving, clearing
 *   conversation.c         /conversation: single reads and incremental synchronisation
 *   conversation_list.c    the sorted list
 *   conversation_change.c  changes that users make, and the tasks AtTask, LeftTask, PeerTask
 */
#ifndef OIM_LOGIC_CONVERSATION_H
#define OIM_LOGIC_CONVERSATION_H

#include "change.h"
#include "notify.h"
#include "version.h"

#include "conversation.pb-c.h"

/* Users joined a group: the row is made if it is missing, and its end, as that of seq_user, is open (0). Its notice is late: cores that
 * hear of the row before the group ask for the group by its id, and then tell nobody that it was joined (sdk-clients.md 11.5). */
int logic_conv_join(struct logic_call *call, const char *group_id, char *const *users, size_t n);

/* Users left: both ends are the conversation's newest seq now. The task LeftTask moves them to the notice of the leaving. */
int logic_conv_leave(struct logic_call *call, const char *group_id, char *const *users, size_t n);

/* From now on owner sees what is newer than seqs[i] - 1 of conversation ids[i] (clear, destruction). */
int logic_conv_min_seqs(struct logic_call *call, const char *owner, char *const *ids, const int64_t *seqs, size_t n);

/* N1300 u -> u {userID, conversationIDList} to each user who is online: all of ids for each. */
int logic_conv_notify(struct logic_call *call, char *const *users, size_t n_users, char *const *ids, size_t n_ids);

/* ---- between the conversation files ---- */

/* One user's row. */
struct logic_conv_key {
    char *owner, *id;
    char *peer, *group; /* one of them "" */
    int32_t type;
};

/* Columns of a row, and the row as a message. */
#define LOGIC_CONV_COLUMNS                                                                                                          \
    "conversation_id, recv_msg_opt, conversation_type, user_id, group_id, is_pinned, attached_info, is_private_chat,"               \
    " group_at_type, ex, burn_duration, min_seq, max_seq, msg_destruct_time, latest_msg_destruct_time, is_msg_destruct,"            \
    " owner_user_id, owner_hash"
Openim__Conversation__Conversation *logic_conv_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row);

/* owner_hash of each. */
struct oim_sql_value *logic_conv_hashes(struct logic_lane *lane, const struct logic_conv_key *keys, size_t n);

/* Locks those that exist: rows[i] of keys[i], NULL where there is none. Keys are distinct. */
int logic_conv_lock(struct logic_call *call, const struct logic_conv_key *keys, size_t n, Openim__Conversation__Conversation **rows);

/* Makes the rows that are missing, with nothing set. OIM_ELIMIT: an id is too long. */
int logic_conv_insert(struct logic_lane *lane, const struct logic_conv_key *keys, size_t n);

/* One step in the log of each owner (distinct ones, one conversation): inserted where rows[i] is NULL, updated elsewhere. */
int logic_conv_log(struct logic_call *call, const struct logic_conv_key *keys, Openim__Conversation__Conversation *const *rows, size_t n);

/* The notice of a leaving has this seq: those of users who are still away may read up to it. */
int logic_conv_left(struct logic_call *call, const char *id, char *const *users, size_t n, int64_t seq);

#endif
