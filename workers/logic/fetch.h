/*
 * Stored messages by (conversation, seq): Redis, then MongoDB, then MySQL, as few round trips as it takes
 * (messages.md 7.4). pull.c says what is wanted, fetch.c brings it, fetch_show.c makes of it what a user sees.
 */
#ifndef OIM_LOGIC_FETCH_H
#define OIM_LOGIC_FETCH_H

#include "seq.h"

/* One message that a pull wants. */
struct logic_want {
    const char *conv;
    int64_t seq;
    size_t owner;     /* index of the range or list that it belongs to */
    Openim__Sdkws__MsgData *msg;
    size_t bytes;
    bool missing;     /* placeholder: passed by the archive, found nowhere */
};

/* Fetches in the order of the plan until the answer is full: *done of the n are usable then, each with msg
 * or missing set. OIM_EFAIL when one cannot be read now: the client asks again. */
int logic_fetch(struct logic_call *call, struct logic_want **plan, size_t n, size_t *done);

/* Turns fetched ones into what user_id sees (marks.h), missing and deleted ones into placeholders; msg is never NULL then. */
int logic_fetch_show(struct logic_call *call, const char *user_id, struct logic_want **plan, size_t n);

/* Of n fetched messages, one a conversation: those that are lost or that user_id does not see are replaced by the newest before them
 * that it sees, not below lows[i]; msg stays NULL where there is none. Not shown yet. */
int logic_fetch_newest(struct logic_call *call, const char *user_id, struct logic_want **plan, const int64_t *lows, size_t n);

/* For qsort of pointers: by conversation, then seq. */
int logic_want_order(const void *a, const void *b);

#endif
