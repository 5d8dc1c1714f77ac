
/*
 * What Redis is asked: what it knows of a token, that a connection is here,
 * that it is gone (docs/records.md, keys of Redis; the scripts are in
 * ngx_http_openim_scripts.c).  Called by ngx_http_openim_handshake.c,
 * ngx_http_openim_rest_forward.c and the ngx_http_openim_connection*.c files;
 * goes on in ngx_http_openim_redis_job.c.
 *
 * An unregistration is kept until it is done, or a user would seem online for
 * half an hour.
 */


#include "ngx_http_openim_redis.h"


static u_char *ngx_http_openim_redis_user_keys(ngx_str_t *keys, u_char *p,
    ngx_str_t *user_id);
static u_char *ngx_http_openim_redis_token_keys(ngx_str_t *keys, u_char *p,
    ngx_str_t *user_id, const char *platform, ngx_str_t *token);
static u_char *ngx_http_openim_redis_text(ngx_str_t *text, u_char *p,
    const char *fmt, ...);


ngx_http_openim_job_t *
ngx_http_openim_redis_token(ngx_str_t *user_id, ngx_int_t platform_id,
    ngx_str_t *token, ngx_http_openim_job_pt handler, void *data)
{
    u_char       text[2 * NGX_MAX_PATH];
    ngx_str_t    keys[2], args[2];
    const char  *platform;

    platform = ngx_http_openim_platform(platform_id);

    if (platform == NULL
        || user_id->len + token->len > NGX_MAX_PATH - 128
        || ngx_http_openim_redis.command.state != NGX_HTTP_OPENIM_LINK_UP)
    {
        return NULL;
    }

    (void) ngx_http_openim_redis_token_keys(keys, text, user_id, platform,
                                            token);

    args[0] = *token;
    ngx_str_set(&args[1], "0");

    if (ngx_http_openim_is_admin(user_id)) {
        ngx_str_set(&args[1], "1");
    }

    return ngx_http_openim_job_start(NGX_HTTP_OPENIM_SCRIPT_TOKEN, keys, 2,
                                     args, 2, handler, data);
}


/* check: the token is checked, too, and nothing is registered if it is bad */

ngx_http_openim_job_t *
ngx_http_openim_redis_register(ngx_http_openim_ws_t *ws, ngx_uint_t check,
    ngx_http_openim_job_pt handler, void *data)
{
    u_char                 *text, *p;
    u_char                  id[NGX_INT64_LEN], now[NGX_INT64_LEN];
    size_t                  len;
    ngx_str_t               keys[5], args[7];
    const char             *platform;
    ngx_http_openim_job_t  *job;

    if (ngx_http_openim_redis.command.state != NGX_HTTP_OPENIM_LINK_UP) {
        return NULL;
    }

    platform = ngx_http_openim_platform(ws->platform_id);

    len = 4 * (ws->user_id.len + 128) + 2 * ws->token.len;

    text = ngx_alloc(len, ngx_http_openim_process.log);
    if (text == NULL) {
        return NULL;
    }

    p = ngx_http_openim_redis_user_keys(&keys[0], text, &ws->user_id);
    p = ngx_http_openim_redis_token_keys(&keys[3], p, &ws->user_id, platform,
                                         &ws->token);

    args[0] = ws->user_id;
    args[1] = ngx_http_openim_process.gateway;

    (void) ngx_http_openim_redis_text(&args[2], id, "%uL", ws->id);

    (void) ngx_http_openim_redis_text(&args[3], p, "%ud:%L:%ud:%V",
                                      (unsigned) ws->platform_id,
                                      ws->connected,
                                      (unsigned) ws->background, &ws->token);

    (void) ngx_http_openim_redis_text(&args[4], now, "%L",
                                      ngx_http_openim_now());

    ngx_str_null(&args[5]);
    ngx_str_set(&args[6], "0");

    if (check) {
        args[5] = ws->token;

        if (ngx_http_openim_is_admin(&ws->user_id)) {
            ngx_str_set(&args[6], "1");
        }
    }

    job = ngx_http_openim_job_start(NGX_HTTP_OPENIM_SCRIPT_REGISTER, keys, 5,
                                    args, 7, handler, data);
    ngx_free(text);

    if (job) {
        ws->registered = 1;
    }

    return job;
}


void
ngx_http_openim_redis_unregister(ngx_http_openim_ws_t *ws)
{
    u_char     *text, id[NGX_INT64_LEN], now[NGX_INT64_LEN];
    ngx_str_t   keys[3], args[4];

    if (!ws->registered || ngx_http_openim_process.stopping) {
        return;
    }

    ws->registered = 0;

    text = ngx_alloc(2 * (ws->user_id.len + 16), ngx_http_openim_process.log);
    if (text == NULL) {
        return;
    }

    (void) ngx_http_openim_redis_user_keys(keys, text, &ws->user_id);

    args[0] = ws->user_id;
    args[1] = ngx_http_openim_process.gateway;

    (void) ngx_http_openim_redis_text(&args[2], id, "%uL", ws->id);

    (void) ngx_http_openim_redis_text(&args[3], now, "%L",
                                      ngx_http_openim_now());

    ngx_http_openim_job_keep(NGX_HTTP_OPENIM_SCRIPT_UNREGISTER, keys, 3,
                             args, 4);
    ngx_free(text);
}


/* Of a user: its connections, its platforms that are online; our place */

static u_char *
ngx_http_openim_redis_user_keys(ngx_str_t *keys, u_char *p,
    ngx_str_t *user_id)
{
    p = ngx_http_openim_redis_text(&keys[0], p, "oim:conn:%V", user_id);
    p = ngx_http_openim_redis_text(&keys[1], p, "ONLINE:%V", user_id);

    ngx_str_set(&keys[2], "oim:gateways");

    return p;
}


/* Of a token: all of the user and platform, and its own */

static u_char *
ngx_http_openim_redis_token_keys(ngx_str_t *keys, u_char *p,
    ngx_str_t *user_id, const char *platform, ngx_str_t *token)
{
    p = ngx_http_openim_redis_text(&keys[0], p, "UID_PID_TOKEN_STATUS:%V:%s",
                                   user_id, platform);

    return ngx_http_openim_redis_text(&keys[1], p,
                                "UID_PID_TOKEN_STATUS::TEMPORARY:%V:%s:%V",
                                      user_id, platform, token);
}


/* Writes to p, where there is room for it; returns the end */

static u_char *
ngx_http_openim_redis_text(ngx_str_t *text, u_char *p, const char *fmt, ...)
{
    va_list  args;

    text->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, (u_char *) -1, fmt, args);
    va_end(args);

    text->len = p - text->data;

    return p;
}
