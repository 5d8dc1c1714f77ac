
/*
 * The envelope around every request, response and push (gateway.md 3), in its
 * two codecs, and its compression (2.6); the text pings (2.3).  Called by
 * ngx_http_openim_request.c and the ngx_http_openim_connection*.c files.
 * Everything here is pure but the gzip object, which a worker process creates
 * once and keeps.
 */


#ifndef _NGX_HTTP_OPENIM_ENVELOPE_H_INCLUDED_
#define _NGX_HTTP_OPENIM_ENVELOPE_H_INCLUDED_


#include "ngx_http_openim_pure.h"


#define NGX_HTTP_OPENIM_GOB   0                 /* codecs */
#define NGX_HTTP_OPENIM_JSON  1


typedef struct {
    int32_t     req;                            /* reqIdentifier */
    ngx_str_t   send_id;
    ngx_str_t   operation_id;
    ngx_str_t   msg_incr;
    ngx_str_t   data;
} ngx_http_openim_envelope_req_t;


typedef struct {
    int32_t     req;
    int64_t     err_code;
    ngx_str_t   msg_incr;
    ngx_str_t   operation_id;
    ngx_str_t   err_msg;
    ngx_str_t   data;                           /* data.data NULL: JSON null */
} ngx_http_openim_envelope_resp_t;


/* Enough scratch for decode; gob needs none (mem may be NULL for it) */
#define ngx_http_openim_envelope_scratch(len)  ((len) * 3)

/*
 * NGX_OK, or NGX_ERROR: drop the connection (gateway.md 2.2).  The strings of
 * req are borrowed from data or lie in the scratch.
 */
ngx_int_t ngx_http_openim_envelope_decode(ngx_uint_t codec, u_char *data,
    size_t len, ngx_http_openim_mem_t *mem,
    ngx_http_openim_envelope_req_t *req);

/* The exact size of what encode writes; encode returns the end */
size_t ngx_http_openim_envelope_size(ngx_uint_t codec,
    ngx_http_openim_envelope_resp_t *resp);
u_char *ngx_http_openim_envelope_encode(ngx_uint_t codec, u_char *p,
    ngx_http_openim_envelope_resp_t *resp);


/* ngx_http_openim_envelope_gzip.c */

typedef struct ngx_http_openim_gzip_s  ngx_http_openim_gzip_t;

#define NGX_HTTP_OPENIM_GUNZIP_MAX   (1024 * 1024)
#define NGX_HTTP_OPENIM_GZIP_LEVEL   1

/*
 * The state of a process: two deflate states (small and large payloads), an
 * inflate state and the buffer that it fills.  max bounds a decompressed
 * message.  NULL: no memory.
 */
ngx_http_openim_gzip_t *ngx_http_openim_gzip_create(ngx_int_t level,
    size_t max);
void ngx_http_openim_gzip_destroy(ngx_http_openim_gzip_t *gz);

/*
 * out lies in memory of gz until the next call of gunzip.  NGX_ERROR: not
 * gzip, truncated, corrupt, more than max, no memory; *why says which.
 */
ngx_int_t ngx_http_openim_gunzip(ngx_http_openim_gzip_t *gz, u_char *data,
    size_t len, ngx_str_t *out, const char **why);

/* Room that is always enough for the compressed form of len bytes */
size_t ngx_http_openim_gzip_bound(ngx_http_openim_gzip_t *gz, size_t len);

/* Writes one complete gzip member; returns its end, or NULL if cap is less */
u_char *ngx_http_openim_gzip(ngx_http_openim_gzip_t *gz, u_char *p, size_t cap,
    u_char *data, size_t len);


/* text messages */

#define NGX_HTTP_OPENIM_TEXT_PING  1
#define NGX_HTTP_OPENIM_TEXT_PONG  2

/*
 * _TEXT_PING with body (borrowed, JSON text, "null" if it is missing),
 * _TEXT_PONG, or NGX_ERROR: drop the connection.
 */
ngx_int_t ngx_http_openim_text_parse(u_char *data, size_t len,
    ngx_str_t *body);

/* The answer: text_pong_size bytes, returns the end */
#define ngx_http_openim_text_pong_size(body)                                 \
    (sizeof("{\"type\":\"pong\",\"body\":}") - 1 + (body)->len)
u_char *ngx_http_openim_text_pong(u_char *p, ngx_str_t *body);


/* the codecs, called by the above */

ngx_int_t ngx_http_openim_envelope_gob_decode(u_char *data, size_t len,
    ngx_http_openim_envelope_req_t *req);
size_t ngx_http_openim_envelope_gob_size(
    ngx_http_openim_envelope_resp_t *resp);
u_char *ngx_http_openim_envelope_gob_encode(u_char *p,
    ngx_http_openim_envelope_resp_t *resp);

ngx_int_t ngx_http_openim_envelope_json_decode(u_char *data, size_t len,
    ngx_http_openim_mem_t *mem, ngx_http_openim_envelope_req_t *req);
size_t ngx_http_openim_envelope_json_size(
    ngx_http_openim_envelope_resp_t *resp);
u_char *ngx_http_openim_envelope_json_encode(u_char *p,
    ngx_http_openim_envelope_resp_t *resp);


#endif /* _NGX_HTTP_OPENIM_ENVELOPE_H_INCLUDED_ */
