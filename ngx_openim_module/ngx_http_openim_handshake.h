
/*
 * What the files of the handshake share, and nobody else needs.  Each returns
 * what the handler of a request returns, if it does not say otherwise.
 */


#ifndef _NGX_HTTP_OPENIM_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_OPENIM_HANDSHAKE_H_INCLUDED_


#include "ngx_http_openim_connection.h"


/* _handshake_upgrade.c: NGX_OK, or the status that says what is missing */
ngx_int_t ngx_http_openim_handshake_upgrade(ngx_http_request_t *r);
/* As ngx_http_send_header() */
ngx_int_t ngx_http_openim_handshake_send_101(ngx_http_request_t *r);

/*
 * _handshake_refuse.c.  With frame set, as a frame if the client asked for it;
 * bad: no upgrade, only a status.
 */
ngx_int_t ngx_http_openim_handshake_refuse(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err,
    ngx_uint_t frame);
ngx_int_t ngx_http_openim_handshake_bad(ngx_http_request_t *r,
    ngx_int_t status);

/* _handshake_accept.c: r is gone afterwards */
void ngx_http_openim_handshake_accept(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx);


#endif /* _NGX_HTTP_OPENIM_HANDSHAKE_H_INCLUDED_ */
