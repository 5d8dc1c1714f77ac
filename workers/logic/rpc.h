/*
 * What the handlers of the rpc lane share: building answers in the arena, SQL with id lists, argument
 * checks, pages. Everything lives in the lane's arena and dies with the record. Read rpc_lane.c for the
 * life of a record, route.c for the table, then any area file (user.c is the plainest).
 */
#ifndef OIM_LOGIC_RPC_H
#define OIM_LOGIC_RPC_H

#include "logic.h"
#include "logic_cache.h"
#include "sdkws.pb-c.h"

#include <stdio.h>

/* ---- the lanes (rpc_lane.c, rpc_request.c) ---- */

/* Runs until app->stop. OIM_OK, or OIM_EFATAL: the process has to be restarted. */
int logic_rpc_run(struct oim_app *app, const struct oim_app_lane *lane);

/* rpc_search.c: the lane of LOGIC_SEARCH routes. As above. */
int logic_search_run(struct oim_app *app, const struct oim_app_lane *lane);

/* Publishes what lane->down holds, waits for Redis as long as it takes. OIM_EUNAVAIL only at stop. */
int logic_lane_flush(struct logic_lane *lane);

/* Takes delivery reports for at most timeout_ms. */
void logic_lane_reports(struct logic_lane *lane, int timeout_ms);

/* ---- routes (route.c) ---- */

/* A path of the protocol that has no handler yet: answered with 500, not with 404. */
bool logic_route_planned(const char *path);

/* The table as docs/routes.md has it: a row a route, with who may call it, effect, request and response. */
void logic_route_print(FILE *out);

/* Parts of the table that logic.h does not name. */
extern const struct logic_route logic_pull_routes[];

/* ---- events of connections (presence.c) ---- */

/* gateway.md 6.3. OIM_OK, or a retriable code. */
int logic_login_policy(struct logic_call *call);

/* presence_groups.c: the gateway of a new connection is told the user's groups, now or, when a store is away, by _again (called in each
 * turn of the lane, it flushes by itself). */
void logic_groups_tell(struct logic_call *call);
void logic_groups_again(struct logic_lane *lane);
void logic_groups_forget(struct logic_lane *lane);

/* online[i]: users[i] has a live connection. One pipeline. */
int logic_online(struct logic_call *call, char *const *users, size_t n, bool *online);

/* ---- answers (call.c) ---- */

/* A zeroed message of desc. */
void *logic_new(struct logic_call *call, const ProtobufCMessageDescriptor *desc);
void *logic_array(struct logic_call *call, size_t n, size_t size); /* zeroed; never NULL */
#define logic_list(call, n) logic_array(call, n, sizeof(void *))

/* 1001. */
#define logic_args(call, ...) logic_fail(call, OIM_C_ARGS, __VA_ARGS__)

/* 500 with the name of the error; for what cannot be answered better. */
int logic_internal(struct logic_call *call, int err);

/* All strings, at any depth, are UTF-8; protobuf-c does not look. */
bool logic_utf8(const ProtobufCMessage *msg);

/* The beginning of a record that follows from this request, without a payload. answer: whoever handles it answers the request. */
Openim__Internal__Uplink logic_uplink(const struct logic_call *call, Openim__Internal__Source source, bool answer);

/* 32 hex digits that only this request, and this part of it, has: the same when its record is handled again. */
char *logic_client_msg_id(struct logic_call *call, const char *part);

/* ---- id lists (call.c) ---- */

enum { LOGIC_IDS_MAX = 10000 }; /* of one request */

/* 1001 when the list is empty, too long, or, if distinct, has an id twice. */
int logic_check_ids(struct logic_call *call, const char *name, char *const *ids, size_t n, bool distinct);

/* 1001 when it is longer than an id in a message (255 bytes): what it names could not be written to. */
int logic_check_id(struct logic_call *call, const char *field, const char *id);

/* 1001 when the text (NULL: none) is longer than its column: a VARCHAR(255), a TEXT. */
int logic_check_name(struct logic_call *call, const char *field, const char *text);
int logic_check_text(struct logic_call *call, const char *field, const char *text);

/* Position of ids by their text: built once, asked often. */
struct logic_index;
struct logic_index *logic_index_new(struct oim_arena *a, char *const *ids, size_t n);
size_t logic_index_find(const struct logic_index *index, const char *id); /* SIZE_MAX: absent; of equal ids the first */
bool logic_index_distinct(const struct logic_index *index);

/* ---- SQL (call.c) ---- */

struct oim_sql_value *logic_text_values(struct oim_arena *a, char *const *ids, size_t n);
char *logic_cell_text(const struct oim_sql_rows *rows, size_t row, size_t col); /* "" for NULL */
int64_t logic_cell_int(const struct oim_sql_rows *rows, size_t row, size_t col);
char **logic_column(struct oim_arena *a, const struct oim_sql_rows *rows); /* the first one, as texts */

/* "head (list) tail" for any number of ids, in as few statements as it takes; the rows of all together.
 * Lists are filled up to a power of two with their last id so that few texts are prepared. */
int logic_sql_in(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t nargs,
                 const struct oim_sql_value *ids, size_t n, const char *tail, struct oim_sql_rows *rows);

/* "head (?, ...), (?, ...) tail" for n rows of args, columns each: in pieces of a power of two rows, so that few texts are prepared and no
 * statement is larger than a server takes. */
int logic_sql_rows(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t columns, size_t n, const char *tail);

/* owner_hash of conversations and seq_user. */
const void *logic_owner_hash(struct oim_arena *a, const char *owner, const char *conversation_id);

/* ---- pages (rest.md A.12) ---- */

struct logic_page {
    int64_t offset, limit; /* limit 0: an empty page */
};
int logic_page(struct logic_call *call, const Openim__Sdkws__RequestPagination *p, struct logic_page *page);

/* As logic_page for routes that take a missing object as an empty page. */
struct logic_page logic_page_lenient(const Openim__Sdkws__RequestPagination *p);

/* ---- rows as messages, used across areas ---- */

/* user.c. Found users in the order of ids, users[i] NULL where there is none. */
int logic_users(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__UserInfo **users);
Openim__Sdkws__PublicUserInfo *logic_public_user(struct logic_call *call, const Openim__Sdkws__UserInfo *user);

/* group_row.c. Same shape; owner and memberCount filled in. */
int logic_groups(struct logic_call *call, char *const *ids, size_t n, Openim__Sdkws__GroupInfo **groups);

#endif
