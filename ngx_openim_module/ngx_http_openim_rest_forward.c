
/*
 * A REST request with its body: the store is asked for the token's state, a
 * worker for the answer.  Called by ngx_http_openim_rest_body.c; what comes
 * back is brought by the _redis*.c files and by ngx_http_openim_call.c.
 */


#include "ngx_http_openim_rest.h"


static void ngx_http_openim_rest_answer(void *data, ngx_int_t code);
static void ngx_http_openim_rest_forward(ngx_http_request_t *r);


/* The token's state, for all but the routes that need none */

void
ngx_http_openim_rest_body_done(ngx_http_request_t *r)
{
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (!ngx_http_openim_redis_ready()) {
        /* nobody could answer */
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_INTERNAL,
                                            "the store is away, try again");
        return;
    }

    if (ctx->args.token.len == 0) {
        ngx_http_openim_rest_forward(r);
        return;
    }

    if (ngx_http_openim_platform(ctx->token.platform_id) == NULL) {
        /* no such token can be stored */
        ngx_http_openim_rest_finalize_error(r,
                                      NGX_HTTP_OPENIM_E_TOKEN_NOT_EXIST, "");
        return;
    }

    r->connection->log->action = "waiting for the token's state";

    ctx->job = ngx_http_openim_redis_token(&ctx->token.user_id,
                                           ctx->token.platform_id,
                                           &ctx->args.token,
                                           ngx_http_openim_rest_answer, r);
    if (ctx->job == NULL) {
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_INTERNAL,
                                            "the store is away, try again");
    }
}


/* Called by _redis_job.c */

static void
ngx_http_openim_rest_answer(void *data, ngx_int_t code)
{
    ngx_http_request_t *r = data;

    ngx_connection_t       *c;
    ngx_http_openim_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    ctx->job = NULL;

    if (code) {
        ngx_http_openim_rest_finalize_error(r, code, "");

    } else {
        ngx_http_openim_rest_forward(r);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_openim_rest_forward(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_openim_ctx_t     *ctx;
    ngx_http_openim_uplink_t   up;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    ctx->call = ngx_http_openim_call_create(NULL, r, NULL);
    if (ctx->call == NULL) {
        ngx_http_openim_rest_finalize(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_memzero(&up, sizeof(ngx_http_openim_uplink_t));

    up.topic = NGX_HTTP_OPENIM_TOPIC_RPC;
    up.id = ngx_http_openim_call_id(ctx->call);
    up.key = ctx->token.user_id.len ? ctx->token.user_id : r->uri;
    up.source = NGX_HTTP_OPENIM_SOURCE_REST;
    up.path = r->uri;
    up.user_id = ctx->token.user_id;
    up.platform_id = ctx->token.platform_id;
    up.operation_id = ctx->operation_id;
    up.payload.data = ctx->body;
    up.payload.len = ctx->body_len;
    up.flags = ctx->protobuf;
    up.remote = r->connection->addr_text;

    if (ngx_http_openim_rest_starts(&r->uri, "/msg/send_simple_msg")) {
        up.query = r->args;
    }

    rc = ngx_http_openim_uplink_send(&up);

    if (rc == NGX_OK) {
        r->connection->log->action = "waiting for a worker";
        return;
    }

    ngx_http_openim_call_forget(ctx->call);
    ctx->call = NULL;

    switch (rc) {

    case NGX_AGAIN:
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_INTERNAL,
                                            "server is busy, try again");
        return;

    case NGX_DECLINED:
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_ARGS,
                                            "request body too large");
        return;

    default:
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_INTERNAL,
                                            "");
        return;
    }
}


/* Called when the call ends; it is forgotten already */

void
ngx_http_openim_rest_reply(ngx_http_request_t *r,
    ngx_http_openim_reply_t *reply)
{
    u_char                   *data;
    ngx_str_t                 type;
    ngx_connection_t         *c;
    ngx_http_openim_ctx_t    *ctx;
    ngx_http_openim_error_t   err;

    c = r->connection;
    c->log->action = "answering a request";

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);
    ctx->call = NULL;

    if (reply->status == 0 && reply->data.len == 0) {

        /* our own: the deadline, a failed delivery */

        err.code = reply->code;
        err.msg = reply->msg;
        err.dlt = reply->dlt;

        ngx_http_openim_rest_finalize(r, ngx_http_openim_rest_error(r, &err));
        ngx_http_run_posted_requests(c);
        return;
    }

    data = ngx_pnalloc(r->pool, reply->data.len + reply->type.len + 1);
    if (data == NULL) {
        ngx_http_openim_rest_finalize(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (reply->data.len) {
        ngx_memcpy(data, reply->data.data, reply->data.len);
    }

    type = ngx_http_openim_type_json;

    if (reply->type.len) {
        type.data = data + reply->data.len;
        type.len = reply->type.len;
        ngx_memcpy(type.data, reply->type.data, type.len);

    } else {
        ctx->code = reply->code; /* that of the envelope, for the log */
    }

    ngx_http_openim_rest_finalize(r,
        ngx_http_openim_rest_send(r, reply->status ? reply->status
                                                   : NGX_HTTP_OK,
                                  &type, data, reply->data.len));

    ngx_http_run_posted_requests(c);
}


void
ngx_http_openim_rest_cleanup(void *data)
{
    ngx_http_openim_ctx_t *ctx = data;

    if (ctx->job) {
        ngx_http_openim_redis_cancel(ctx->job);
        ctx->job = NULL;
    }

    if (ctx->call) {
        ngx_http_openim_call_forget(ctx->call);
        ctx->call = NULL;
    }
}
