
/*
 * From a request to a WebSocket (gateway.md 1), in the order of 1.4: number of
 * connections, arguments, the token's own text, what the store says about it,
 * whom it is for, and last the headers of the upgrade.  The handler of
 * openim_gateway; what comes before it is ngx_http_openim_handshake_mask.c.
 *
 * The connection is in the session table before Redis is asked to register it,
 * so from the moment that anybody can know of it no push misses it; what comes
 * before the 101 is queued.  The store checks the token and registers in one
 * step.  Then it goes on in ngx_http_openim_handshake_accept.c, or ends in
 * _refuse.c.
 */


#include "ngx_http_openim_handshake.h"


static ngx_int_t ngx_http_openim_handshake_ask(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static void ngx_http_openim_handshake_answer(void *data, ngx_int_t code);
static void ngx_http_openim_handshake_cleanup(void *data);


ngx_int_t
ngx_http_openim_handshake_handler(ngx_http_request_t *r)
{
    size_t                        size;
    ngx_int_t                     rc;
    ngx_str_t                    *compression;
    ngx_http_cleanup_t           *cln;
    ngx_http_openim_ctx_t        *ctx;
    ngx_http_openim_mem_t         mem;
    ngx_http_openim_error_t       err;
    ngx_http_openim_main_conf_t  *mcf;

    if (r != r->main || !ngx_http_openim_process.ready) {
        return NGX_HTTP_NOT_FOUND;
    }

    mcf = ngx_http_openim_process.conf;

    ctx = ngx_http_openim_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->masked) {
        ctx->query = r->args;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->upgrade = ngx_http_openim_handshake_upgrade(r);

    ngx_memzero(&err, sizeof(ngx_http_openim_error_t));

    if (ngx_http_openim_connections() >= (ngx_uint_t) mcf->max_connections) {
        ngx_http_openim_error_set(&err, NGX_HTTP_OPENIM_E_CONN_OVER,
                                  "over max conn num limit");
        return ngx_http_openim_handshake_refuse(r, ctx, &err, 0);
    }

    compression = ngx_http_openim_header_in(r, "compression");

    size = ngx_http_openim_args_scratch(ctx->query.len);

    mem.pos = ngx_pnalloc(r->pool, size);
    if (mem.pos == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mem.last = mem.pos + size;

    rc = ngx_http_openim_args_parse(&ctx->args, &ctx->query, compression,
                                    &mem, &err);

    ctx->operation_id = ctx->args.operation_id;

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        /* even with isMsgResp, as upstream does (gateway.md 1.5) */
        return ngx_http_openim_handshake_refuse(r, ctx, &err, 0);
    }

    size = ngx_http_openim_token_scratch(ctx->args.token.len)
           + 2 * ctx->args.send_id.len + 256;

    mem.pos = ngx_pnalloc(r->pool, size);
    if (mem.pos == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mem.last = mem.pos + size;

    rc = ngx_http_openim_token_verify(&ctx->token, &ctx->args.token,
                                      &mcf->secret, ngx_time(), &mem, &err);

    if (rc == NGX_ERROR) {
        ngx_http_openim_error_set(&err, NGX_HTTP_OPENIM_E_INTERNAL, "");
    }

    if (rc != NGX_OK) {
        return ngx_http_openim_handshake_refuse(r, ctx, &err, 1);
    }

    (void) ngx_http_openim_token_match(&ctx->token, &ctx->args, &mem,
                                       &ctx->mismatch);

    rc = ngx_http_openim_handshake_ask(r, ctx, &err);

    if (rc != NGX_OK) {
        return ngx_http_openim_handshake_refuse(r, ctx, &err, 1);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_http_openim_handshake_cleanup(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_openim_handshake_cleanup;
    cln->data = ctx;

    r->main->count++;

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;
    r->connection->log->action = "waiting for the token's state";

    return NGX_DONE;
}


/* Starts the question to the store.  NGX_OK, or err is filled */

static ngx_int_t
ngx_http_openim_handshake_ask(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err)
{
    if (ngx_http_openim_platform(ctx->token.platform_id) == NULL) {
        /* no such token can be stored */
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_TOKEN_NOT_EXIST, "");
        return NGX_DECLINED;
    }

    ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_INTERNAL,
                              "the store is away, try again");

    if (!ngx_http_openim_redis_ready()) {
        return NGX_DECLINED;
    }

    if (ctx->mismatch.code || ctx->upgrade != NGX_OK) {

        ctx->job = ngx_http_openim_redis_token(&ctx->token.user_id,
                                               ctx->token.platform_id,
                                               &ctx->args.token,
                                            ngx_http_openim_handshake_answer,
                                               r);

        return ctx->job ? NGX_OK : NGX_DECLINED;
    }

    ctx->ws = ngx_http_openim_ws_create(r, ctx);
    if (ctx->ws == NULL) {
        return NGX_DECLINED;
    }

    ctx->job = ngx_http_openim_redis_register(ctx->ws, 1,
                                              ngx_http_openim_handshake_answer,
                                              r);
    if (ctx->job == NULL) {
        ngx_http_openim_ws_discard(ctx->ws);
        ctx->ws = NULL;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Called by _redis_job.c */

static void
ngx_http_openim_handshake_answer(void *data, ngx_int_t code)
{
    ngx_http_request_t *r = data;

    ngx_int_t                 rc;
    ngx_connection_t         *c;
    ngx_http_openim_ctx_t    *ctx;
    ngx_http_openim_error_t   err;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    ctx->job = NULL;
    c->log->action = "answering a handshake";

    if (code == 0 && ctx->ws) {
        ngx_http_openim_handshake_accept(r, ctx);
        return;
    }

    if (ctx->ws) {

        if (code != NGX_HTTP_OPENIM_E_INTERNAL) {
            /* the script registers nothing when it refuses */
            ctx->ws->registered = 0;
        }

        ngx_http_openim_ws_discard(ctx->ws);
        ctx->ws = NULL;
    }

    if (code) {
        ngx_http_openim_error_set(&err, code, "");
        rc = ngx_http_openim_handshake_refuse(r, ctx, &err, 1);

    } else if (ctx->mismatch.code) {
        rc = ngx_http_openim_handshake_refuse(r, ctx, &ctx->mismatch, 1);

    } else {
        rc = ngx_http_openim_handshake_bad(r, ctx->upgrade);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* The request ends before the answer, or with it */

static void
ngx_http_openim_handshake_cleanup(void *data)
{
    ngx_http_openim_ctx_t *ctx = data;

    if (ctx->job) {
        ngx_http_openim_redis_cancel(ctx->job);
        ctx->job = NULL;
    }

    if (ctx->ws) {
        ngx_http_openim_ws_discard(ctx->ws);
        ctx->ws = NULL;
    }
}
