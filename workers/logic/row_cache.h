/*
 * Rows that many ask for, kept for the whole process: profiles, members of groups, pages of member lists. For reads alone: inside a
 * transaction the store is asked. Lost or full, it is only slower.
 *
 * Two ways to know that a row is still what the store holds:
 *   - kinds with letters (profiles): whoever changes the row publishes "user:id" (logic_cache.h). Between a commit and its letter another
 *     process may give the old row; what tells anybody of the change (notices, version logs of friends and groups) leaves after the letter.
 *   - all others: the caller read a version before, and a row counts only for the version that it was read after (logic_group_view).
 */
#ifndef OIM_LOGIC_ROW_CACHE_H
#define OIM_LOGIC_ROW_CACHE_H

#include "rpc.h"

struct logic_row_kind {
    char name;    /* first byte of keys */
    bool letters;
    const ProtobufCMessageDescriptor *desc; /* of what is kept */

    /* From the store: out[i] of ids[i], NULL where there is none. Messages of desc. */
    int (*load)(struct logic_call *call, const char *scope, char *const *ids, size_t n, ProtobufCMessage **out);
};

/* bytes: of keys and rows, the longest unused leave; 0 keeps nothing. Once, before the lanes. */
void logic_row_cache_start(size_t bytes);

/* Letters can be heard from now on, or no more. */
void logic_row_cache_hearing(bool on);

/* "user:id"; others are not for this cache. Also called by who sends it: a process reads its own writes. */
void logic_row_cache_letter(const char *letter, size_t len);

/* out[i] of ids[i], in the lane's arena, NULL where there is none. scope: the group of members, "" for profiles. version: of the rows, 0:
 * ask the store; kinds with letters have none. */
int logic_rows_get(struct logic_call *call, const struct logic_row_kind *kind, const char *scope, uint64_t version, char *const *ids,
                   size_t n, ProtobufCMessage **out);

#endif
