/*
 * What the /user files share: rows of table users. user.c registers and reads, profile.c has what users change of themselves, account.c
 * the notification accounts, command.c and client_config.c what is kept for users beside their rows.
 */
#ifndef OIM_LOGIC_USER_H
#define OIM_LOGIC_USER_H

#include "change.h"

#include "user.pb-c.h"

#define USER_ROUTE(name) &openim__user__##name##_req__descriptor, &openim__user__##name##_resp__descriptor

/* 1004 without a row. */
int logic_user_exists(struct logic_call *call, char *user_id);

/* The row, locked until the commit; NULL without one. */
int logic_user_lock(struct logic_call *call, const char *user_id, Openim__Sdkws__UserInfo **user);

/* 1001 when a text is longer than its column. NULL: not given. */
int logic_user_check(struct logic_call *call, const char *nickname, const char *face_url, const char *ex);

/* New rows, createTime now, and the letters that tell of them. OIM_EEXIST when an id is taken: roll back. */
int logic_users_insert(struct logic_call *call, Openim__Sdkws__UserInfo *const *users, size_t n);

#endif
