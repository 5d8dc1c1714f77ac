
/*
 * Who is connected to this process, who wants to know about whom, and who is in
 * which group: user -> connections, user -> subscribers, group -> members that
 * are connected here.  One thread, no locks.
 */


#ifndef _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_
#define _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_


#include "ngx_http_openim_connection.h"


/* gateway.md 5.5 */
#define NGX_HTTP_OPENIM_SUBS_REQUEST     500
#define NGX_HTTP_OPENIM_SUBS_CONNECTION  3000


typedef void (*ngx_http_openim_session_pt)(ngx_http_openim_ws_t *ws,
    void *data);


/* What a worker says of a user's groups (proto/internal.proto, Groups) */

typedef struct {
    ngx_str_t                    user_id;
    uint64_t                     version;
    uint64_t                     conn_id;
    ngx_uint_t                   full;
    const uint8_t               *data;       /* all of it: 4 joined, 5 left */
    size_t                       len;
} ngx_http_openim_groups_t;


void ngx_http_openim_session_init(void);
ngx_int_t ngx_http_openim_session_add(ngx_http_openim_ws_t *ws);
void ngx_http_openim_session_delete(ngx_http_openim_ws_t *ws);

/*
 * Calls handler for each connection of the user; returns their number.  handler
 * may close the connection that it was given.
 */
ngx_uint_t ngx_http_openim_session_user(ngx_str_t *user_id,
    ngx_http_openim_session_pt handler, void *data);

/*
 * One push: begin, then any number of skip, user and group.  A user has its
 * turn once, whatever names it.
 */
void ngx_http_openim_session_push(void);
void ngx_http_openim_session_push_skip(ngx_str_t *user_id);
void ngx_http_openim_session_push_user(ngx_str_t *user_id,
    ngx_http_openim_session_pt handler, void *data);
void ngx_http_openim_session_push_group(ngx_str_t *group_id,
    ngx_http_openim_session_pt handler, void *data);

/*
 * Who is in which group.  NGX_ERROR: no memory, something is not known now.
 * doubt: a saying may have been lost; what is known serves those who are here,
 * but whoever connects from now on waits for a new one.  known: all that the
 * connection has to wait for has been said.
 */
ngx_int_t ngx_http_openim_session_groups(ngx_http_openim_groups_t *groups);
void ngx_http_openim_session_forget(ngx_str_t *group_id);
void ngx_http_openim_session_doubt(void);
ngx_uint_t ngx_http_openim_session_known(ngx_http_openim_ws_t *ws);

/* NGX_OK, also when it was so already; NGX_DECLINED: over the limit */
ngx_int_t ngx_http_openim_session_subscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id);
void ngx_http_openim_session_unsubscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id);

/* A message of the channel online_change: "1:5:u1001" (gateway.md 8.2) */
void ngx_http_openim_session_presence(u_char *data, size_t len);


#endif /* _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_ */
