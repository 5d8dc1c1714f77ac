
/*
 * What the files of a connection share; what others may call is in
 * ngx_http_openim_connection.h.
 */


#ifndef _NGX_HTTP_OPENIM_CONNECTION_INTERNAL_H_INCLUDED_
#define _NGX_HTTP_OPENIM_CONNECTION_INTERNAL_H_INCLUDED_


#include "ngx_http_openim_connection.h"


#define ngx_http_openim_left(at)                                             \
    ((ngx_msec_int_t) ((at) - ngx_current_msec))


extern ngx_queue_t  ngx_http_openim_ws_all;                /* _connection.c */


/* _connection.c.  All is sent: waits for the client's end; frees it */
void ngx_http_openim_ws_shutdown(ngx_http_openim_ws_t *ws);
void ngx_http_openim_ws_destroy(ngx_http_openim_ws_t *ws);

/* _connection_read.c: a handler of nginx, and bytes that are here already */
void ngx_http_openim_ws_read(ngx_event_t *rev);
void ngx_http_openim_ws_input(ngx_http_openim_ws_t *ws, u_char *pos,
    u_char *last);

/* _connection_wait.c: a binary message */
void ngx_http_openim_ws_wait_init(void);
void ngx_http_openim_ws_binary(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len);

/*
 * _connection_write.c.  dirty: it is written at the end of this round of the
 * event loop, or freed, if it is DEAD.  write may end the connection, but never
 * frees it.  drop frees what was to be sent.
 */
void ngx_http_openim_ws_write_init(void);
void ngx_http_openim_ws_dirty(ngx_http_openim_ws_t *ws);
void ngx_http_openim_ws_write_handler(ngx_event_t *wev);
void ngx_http_openim_ws_write(ngx_http_openim_ws_t *ws);
void ngx_http_openim_ws_frame(ngx_http_openim_ws_t *ws,
    ngx_uint_t opcode, u_char *data, size_t len);
void ngx_http_openim_ws_drop(ngx_http_openim_ws_t *ws);

/* _connection_timer.c */
void ngx_http_openim_ws_timer(ngx_event_t *ev);
void ngx_http_openim_ws_timer_set(ngx_http_openim_ws_t *ws);

/* _packet.c: with one reference; NULL: no memory */
ngx_http_openim_packet_t *ngx_http_openim_packet_create(size_t len);


#endif /* _NGX_HTTP_OPENIM_CONNECTION_INTERNAL_H_INCLUDED_ */
