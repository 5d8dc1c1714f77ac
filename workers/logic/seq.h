/*
 * Sequence numbers as readers see them: newest seq of a conversation, read position and visible window
 * of a user (messages.md 5.1, 7). Redis first, SQL for what Redis lacks; the message lane writes both. Limits are in SQL only: they
 * change in the transaction that a member joins, leaves or clears in, and hold from its commit on.
 * Whatever the number of conversations: one pipeline and at most three statements.
 */
#ifndef OIM_LOGIC_SEQ_H
#define OIM_LOGIC_SEQ_H

#include "rpc.h"

struct logic_seq {
    int64_t max;      /* newest seq of the conversation, 0 none */
    int64_t time;     /* its sendTime, ms */
    int64_t read;     /* the user's read position: what lies below low counts as read, what lies above high does not exist */
    int64_t low, high; /* what the user may see: low..high, low >= 1, empty when low > high; high 0: nothing at all */
};

enum { LOGIC_SEQ_READ = 1, LOGIC_SEQ_WINDOW = 2 };

/* Fills max and time, and what `what` asks for; without LOGIC_SEQ_WINDOW the conversations' own lower limits do not count. row_min and
 * row_max are the limits in the user's conversation rows by position (0 unset); either may be NULL. */
int logic_seqs(struct logic_call *call, const char *user_id, char *const *ids, size_t n, unsigned what,
               const int64_t *row_min, const int64_t *row_max, struct logic_seq *out);

/* The notification twin of a conversation id ("si_a_b" -> "n_a_b"), "" when it has none. */
char *logic_twin(struct oim_arena *a, const char *conversation_id);

/* The user's conversation rows in storage order. */
struct logic_conv {
    char *id;
    int64_t min_seq, max_seq;
    bool pinned;
};
int logic_convs(struct logic_call *call, const char *user_id, struct logic_conv **convs, size_t *n);

/* Those of ids that the user has: convs[i].id NULL where there is no row. Notification ids count as theirs
 * when the user is part of the conversation they belong to (messages.md 7.2); such have no limits. */
int logic_convs_find(struct logic_call *call, const char *user_id, char *const *ids, size_t n, struct logic_conv *convs);

#endif
