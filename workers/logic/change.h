/*
 * A change and what follows from it. The handler of a LOGIC_TX route runs inside one MySQL transaction and may run several times (deadlock,
 * record handled again), so it reads, writes rows and version logs, and *says* what else has to happen: notices, letters to caches, groups
 * that users joined or left, tasks. Nothing of that leaves before the commit, all of it leaves after it: it is written into request_log in
 * the same transaction, and a record that is handled again finds it there, does that part again and gives the same answer.
 *
 *   begin -> handler -> request_log -> commit -> letters, groups -> notices, tasks -> reply
 *
 * rpc_request.c calls logic_change_run; handlers of LOGIC_TX routes use the rest. Outside LOGIC_TX there are only records, which
 * leave at once.
 */
#ifndef OIM_LOGIC_CHANGE_H
#define OIM_LOGIC_CHANGE_H

#include "rpc.h"

struct logic_change;

/* Runs the handler of a LOGIC_TX route. OIM_OK, OIM_EFAIL or a retriable code; res is filled in. */
int logic_change_run(struct logic_call *call, const struct logic_route *route, const ProtobufCMessage *req, ProtobufCMessage *res);

/* A letter to the caches of all processes. kind: user, black, friend (id = the owner), conv (id = the owner, may be followed by ":" and the
 * conversation), group. */
void logic_changed(struct logic_call *call, const char *kind, const char *id);

/* A copy in Redis of rows that this transaction changes: deleted after the commit, before anything else is told. */
void logic_dropped(struct logic_call *call, const char *key);

/* Users joined (or left) a group: their gateways are told. versions[i]: of the join log of users[i], after this change. */
void logic_groups_changed(struct logic_call *call, const char *group_id, char *const *users, const uint64_t *versions, size_t n,
                          bool joined);

/* A record for later, handled by the route "/internal/..." of that path; key: what has to stay in order. payload is copied. */
int logic_task(struct logic_call *call, const char *path, const char *key, const ProtobufCMessage *payload);

/* notify.c: a record of its own topic, after the commit or at once. Both are copied. */
int logic_change_record(struct logic_call *call, const char *topic, const void *key, size_t key_len, const void *value, size_t len);

#endif
