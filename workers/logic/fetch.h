/*
 * Stored messages by (conversation, seq): Redis, then MongoDB, then MySQL, as few round trips as it takes
 * (messages.md 7.4). pull.c says what is wanted, fetch.c brings it.
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

/* Turns fetched ones into what user_id sees, missing ones into placeholders; msg is never NULL then. */
void logic_fetch_show(struct logic_call *call, const char *user_id, struct logic_want **plan, size_t n);

/* The newest message of conv with a seq below w->seq, not below low: into w, as user_id sees it; stays NULL
 * when there is none. */
int logic_fetch_before(struct logic_call *call, const char *user_id, int64_t low, struct logic_want *w);

#endif
