
/*
 * Who is connected to this process, and who wants to know about whom: user ->
 * connections, user -> subscribers.  One thread, no locks.  Groups will be a
 * third table behind ngx_http_openim_session_group().
 */


#ifndef _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_
#define _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_


#include "ngx_http_openim_connection.h"


/* gateway.md 5.5 */
#define NGX_HTTP_OPENIM_SUBS_REQUEST     500
#define NGX_HTTP_OPENIM_SUBS_CONNECTION  3000


typedef void (*ngx_http_openim_session_pt)(ngx_http_openim_ws_t *ws,
    void *data);


void ngx_http_openim_session_init(void);
ngx_int_t ngx_http_openim_session_add(ngx_http_openim_ws_t *ws);
void ngx_http_openim_session_delete(ngx_http_openim_ws_t *ws);

/*
 * Calls handler for each connection of the user, of the members of the group;
 * returns their number.  handler may close the connection that it was given.
 */
ngx_uint_t ngx_http_openim_session_user(ngx_str_t *user_id,
    ngx_http_openim_session_pt handler, void *data);
ngx_uint_t ngx_http_openim_session_group(ngx_str_t *group_id,
    ngx_http_openim_session_pt handler, void *data);

/* NGX_OK, also when it was so already; NGX_DECLINED: over the limit */
ngx_int_t ngx_http_openim_session_subscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id);
void ngx_http_openim_session_unsubscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id);

/* A message of the channel online_change: "1:5:u1001" (gateway.md 8.2) */
void ngx_http_openim_session_presence(u_char *data, size_t len);


#endif /* _NGX_HTTP_OPENIM_SESSION_H_INCLUDED_ */
