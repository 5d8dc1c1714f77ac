
/*
 * Tokens (gateway.md 7.1, 7.2): JWT signed with HS256, HS384 or HS512 by the
 * shared secret.  Says who a token is for; whether the store knows it is asked
 * elsewhere (ngx_http_openim_redis_command.c).  Called by the handshake and by
 * REST.
 */


#ifndef _NGX_HTTP_OPENIM_TOKEN_H_INCLUDED_
#define _NGX_HTTP_OPENIM_TOKEN_H_INCLUDED_


#include "ngx_http_openim_args.h"


typedef struct {
    ngx_str_t    user_id;
    ngx_int_t    platform_id;        /* as claimed, any int */
    int64_t      exp;                /* seconds */
    int64_t      iat;                /* 0: not claimed */
} ngx_http_openim_token_t;


/* Enough scratch for verify, whatever the token */
#define ngx_http_openim_token_scratch(len)  ((len) * 4 + 64)

/*
 * NGX_OK; NGX_DECLINED: err is filled (gateway.md 1.6); NGX_ERROR: scratch
 * exhausted or libcrypto failed.  now is in seconds.
 */
ngx_int_t ngx_http_openim_token_verify(ngx_http_openim_token_t *token,
    ngx_str_t *text, ngx_str_t *secret, int64_t now,
    ngx_http_openim_mem_t *mem, ngx_http_openim_error_t *err);

/*
 * Steps 5 and 6 of gateway.md 1.4: NGX_OK, or NGX_DECLINED and 1502.  The text
 * of err needs 64 bytes and both user ids from the scratch; without room errDlt
 * stays empty.
 */
ngx_int_t ngx_http_openim_token_match(ngx_http_openim_token_t *token,
    ngx_http_openim_args_t *args, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err);


#endif /* _NGX_HTTP_OPENIM_TOKEN_H_INCLUDED_ */
