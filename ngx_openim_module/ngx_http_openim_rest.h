
/*
 * What the files of REST share, and nobody else needs.
 */


#ifndef _NGX_HTTP_OPENIM_REST_H_INCLUDED_
#define _NGX_HTTP_OPENIM_REST_H_INCLUDED_


#include "ngx_http_openim_module.h"


extern ngx_str_t  ngx_http_openim_type_json;
extern ngx_str_t  ngx_http_openim_type_text;


/* _rest.c */
ngx_uint_t ngx_http_openim_rest_starts(ngx_str_t *uri, const char *prefix);

/* _rest_body.c: for ngx_http_read_client_request_body() */
void ngx_http_openim_rest_body(ngx_http_request_t *r);

/* _rest_forward.c: the body is here; the request ends before its answer */
void ngx_http_openim_rest_body_done(ngx_http_request_t *r);
void ngx_http_openim_rest_cleanup(void *data);

/*
 * _rest_send.c.  finalize* end the request; the others return what its handler
 * returns.
 */
void ngx_http_openim_rest_finalize(ngx_http_request_t *r, ngx_int_t rc);
void ngx_http_openim_rest_finalize_error(ngx_http_request_t *r,
    ngx_int_t code, const char *dlt);
ngx_int_t ngx_http_openim_rest_error(ngx_http_request_t *r,
    ngx_http_openim_error_t *err);
ngx_int_t ngx_http_openim_rest_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, u_char *data, size_t len);
ngx_int_t ngx_http_openim_rest_redirect(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OPENIM_REST_H_INCLUDED_ */
