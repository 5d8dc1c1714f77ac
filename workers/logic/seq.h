/*
 * Sequence numbers as readers see them: newest seq of a conversation, read position and visible window
 * of a user (messages.md 5.1, 7). Redis first, SQL for what Redis lacks; the message lane writes both.
 * Whatever the number of conversations: one pipeline and at most three statements.
 */
#ifndef OIM_LOGIC_SEQ_H
#define OIM_LOGIC_SEQ_H

#include "rpc.h"

struct logic_seq {
    int64_t max;      /* newest seq of the conversation, 0 none */
    int64_t time;     /* its sendTime, ms */
    int64_t read;     /* the user's read position */
    int64_t low, high; /* what the user may see: low..high, low >= 1, empty when low > high */
};

enum { LOGIC_SEQ_READ = 1, LOGIC_SEQ_WINDOW = 2 };

/* Fills max and time, and what `what` asks for. rows are the user's own limits by position: row_max of
 * the conversation row (0 unset), row_min. Either may be NULL. */
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
