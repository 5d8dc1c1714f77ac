/*
 * What happens to a message after it is stored: revoked, deleted for everybody, deleted for one user, read by the peer. Stored messages
 * never change; these marks lie over them wherever they are shown (fetch.c). Truth is MySQL (0004_messages.sql), written in the
 * transaction of the notice that tells of it; Redis has a copy per block of a conversation, deleted after the commit, loaded by whoever
 * misses it (docs/records.md, Marks).
 *
 * Notification conversations (n_) have no marks: nothing is asked for them.
 */
#ifndef OIM_LOGIC_MARKS_H
#define OIM_LOGIC_MARKS_H

#include "change.h"

enum { LOGIC_MARKS_BLOCK = 512 };

/* ---- reading ---- */

struct logic_place {
    const char *conv;
    int64_t seq;
};

/* The marks of the blocks of some messages. */
struct logic_marks;

/* For all n places, in any order: one round trip when Redis has them. user_id, may be NULL: whose own deletions count. */
int logic_marks_load(struct logic_call *call, const char *user_id, const struct logic_place *places, size_t n, struct logic_marks **marks);

/* A block that was not loaded has no marks. */
const Openim__Internal__Marks__Revoked *logic_marks_revoked(const struct logic_marks *marks, const char *conv, int64_t seq); /* or NULL */
bool logic_marks_deleted(const struct logic_marks *marks, const char *conv, int64_t seq); /* for everybody */
bool logic_marks_hidden(const struct logic_marks *marks, const char *conv, int64_t seq);  /* for user_id */
bool logic_marks_read(const struct logic_marks *marks, const char *conv, int64_t seq, const char *sender); /* by somebody else */

/* ---- writing, inside the transaction of a LOGIC_TX route ---- */

struct logic_span {
    int64_t from, to; /* seqs, inclusive */
};

/* Spans of single seqs. */
struct logic_span *logic_spans(struct logic_call *call, const int64_t *seqs, size_t n);

int logic_mark_deleted(struct logic_call *call, const char *conv, const struct logic_span *spans, size_t n);
int logic_mark_hidden(struct logic_call *call, const char *user_id, const char *conv, const struct logic_span *spans, size_t n);
int logic_mark_read(struct logic_call *call, const char *user_id, const char *conv, const struct logic_span *spans, size_t n);

/* OIM_EEXIST: it is revoked already. */
int logic_mark_revoked(struct logic_call *call, const char *conv, const Openim__Internal__Marks__Revoked *revoked);

#endif
