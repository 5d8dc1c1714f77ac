
/*
 * What a client says in its URL (gateway.md 1.2, 1.3), checked in the order of
 * 1.4, and the result object that answers it (1.5).  Called by
 * ngx_http_openim_handshake.c; ngx_http_openim_token.h comes next.
 */


#ifndef _NGX_HTTP_OPENIM_ARGS_H_INCLUDED_
#define _NGX_HTTP_OPENIM_ARGS_H_INCLUDED_


#include "ngx_http_openim_pure.h"


#define NGX_HTTP_OPENIM_E_INTERNAL       500
#define NGX_HTTP_OPENIM_E_ARGS           1001
#define NGX_HTTP_OPENIM_E_TOKEN_EXPIRED  1501
#define NGX_HTTP_OPENIM_E_TOKEN_INVALID  1502
#define NGX_HTTP_OPENIM_E_TOKEN_MALFORMED 1503
#define NGX_HTTP_OPENIM_E_TOKEN_NOT_YET  1504
#define NGX_HTTP_OPENIM_E_TOKEN_UNKNOWN  1505
#define NGX_HTTP_OPENIM_E_TOKEN_KICKED   1506
#define NGX_HTTP_OPENIM_E_TOKEN_NOT_EXIST 1507
#define NGX_HTTP_OPENIM_E_CONN_OVER      1601
#define NGX_HTTP_OPENIM_E_CONN_ARGS      1602

#define NGX_HTTP_OPENIM_PLATFORM_WEB     5
#define NGX_HTTP_OPENIM_PLATFORM_MAX     11

/* the check lets one more pass, as recorded: no token is issued for it */
#define NGX_HTTP_OPENIM_PLATFORM_ARG     12


typedef struct {
    ngx_str_t    send_id;
    ngx_str_t    token;
    ngx_str_t    operation_id;
    ngx_str_t    sdk_version;
    ngx_uint_t   platform_id;        /* 1..11 */
    ngx_uint_t   codec;              /* NGX_HTTP_OPENIM_GOB, _JSON */
    unsigned     gzip:1;
    unsigned     background:1;
    unsigned     msg_resp:1;         /* isMsgResp, sendResponse; also set as
                                        far as known when parse fails */
} ngx_http_openim_args_t;


/* What the client reads; the strings are static or in the scratch */

typedef struct {
    ngx_int_t    code;
    ngx_str_t    msg;
    ngx_str_t    dlt;
} ngx_http_openim_error_t;


/* Enough scratch for parse, whatever the query */
#define ngx_http_openim_args_scratch(len)  ((len) * 4)

/*
 * query is the raw text after '?'; compression is the value of the header of
 * that name, or NULL.  NGX_OK; NGX_DECLINED: err is filled; NGX_ERROR: scratch
 * exhausted.
 */
ngx_int_t ngx_http_openim_args_parse(ngx_http_openim_args_t *args,
    ngx_str_t *query, ngx_str_t *compression, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err);


/* Fills code, the errMsg that belongs to it (gateway.md A) and a static dlt */
void ngx_http_openim_error_set(ngx_http_openim_error_t *err, ngx_int_t code,
    const char *dlt);

/* errMsg of a code, "ServerInternalError" for unknown ones, "" for 0 */
ngx_str_t *ngx_http_openim_error_msg(ngx_int_t code);

#define NGX_HTTP_OPENIM_RESULT_MAX  1024        /* gateway.md 1.5 */

/*
 * Writes {"errCode":..,"errMsg":..,"errDlt":..}, at most RESULT_MAX bytes (the
 * texts are cut, not the JSON); returns its end.  err NULL: success.
 */
u_char *ngx_http_openim_result(u_char *p, ngx_http_openim_error_t *err);


#endif /* _NGX_HTTP_OPENIM_ARGS_H_INCLUDED_ */
