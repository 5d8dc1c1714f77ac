/*
 * What the /friend files share: rows of table friends, checks of ids and texts, and notices between two users. friend.c reads,
 * friend_apply.c has the requests, friend_change.c the friendships, black.c the blacklist.
 */
#ifndef OIM_LOGIC_FRIEND_H
#define OIM_LOGIC_FRIEND_H

#include "change.h"
#include "notify.h"
#include "version.h"

#include "relation.pb-c.h"

enum { FRIENDS_MAX = 1000 }; /* of one request that changes or compares friends */

#define FRIEND_ROUTE(name) &openim__relation__##name##_req__descriptor, &openim__relation__##name##_resp__descriptor

/* other stands (or is to stand) in owner's list. */
struct friend_pair {
    char *owner, *other;
};

/* ---- friend.c ---- */

/* 1001 unless it is given and fits its column. */
int friend_check_id(struct logic_call *call, const char *name, const char *id);

/* As logic_check_ids with distinct entries, of FRIENDS_MAX at most. */
int friend_check_ids(struct logic_call *call, const char *name, char *const *ids, size_t n);

/* 1001 when a text is longer than its column: remarks are VARCHAR(255), the rest TEXT. */
int friend_check_remark(struct logic_call *call, const char *remark);
int friend_check_text(struct logic_call *call, const char *name, const char *text);

/* has[0]: b is in a's list; has[1]: a is in b's. lock: the rows stay as they are until the commit. */
int friend_state(struct logic_call *call, const char *a, const char *b, bool lock, bool has[2]);

/* ---- friend_change.c, inside a transaction ---- */

enum friend_source { FRIEND_IMPORTED = 1, FRIEND_APPLIED = 2 };

/* Inserts the rows that are missing, in the order of pairs. */
int friend_insert(struct logic_call *call, const struct friend_pair *pairs, size_t n, enum friend_source source, const char *operator_id);

/* A notice from one user to another. */
int friend_notify(struct logic_call *call, enum logic_notice_type type, const char *send_id, const char *recv_id, const void *tips);
Openim__Sdkws__FromToUserID *friend_from_to(struct logic_call *call, const char *from, const char *to);

#endif
