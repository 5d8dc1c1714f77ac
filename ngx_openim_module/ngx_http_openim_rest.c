
/*
 * REST (rest.md A.1 - A.9): one location for all routes.  What concerns every
 * route is done here, in the order of A.2: CORS, OPTIONS, operationID, token;
 * then the body goes to a worker as it is, and its answer to the client.
 *
 * The body is read as it comes into memory that grows with it, never into a
 * file; compression is nginx's own (gzip on, gzip_types application/json).
 */


#include "ngx_http_openim_module.h"

#include "oim_wire.h"

#include "oim_wire.h"


#define NGX_HTTP_OPENIM_BODY_MIN  2048
#define NGX_HTTP_OPENIM_UUID_LEN  36


static ngx_int_t ngx_http_openim_rest_check(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_rest_token(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_rest_content_type(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static ngx_uint_t ngx_http_openim_rest_starts(ngx_str_t *uri,
    const char *prefix);
static void ngx_http_openim_rest_body(ngx_http_request_t *r);
static void ngx_http_openim_rest_body_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_openim_rest_body_take(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx);
static void ngx_http_openim_rest_body_done(ngx_http_request_t *r);
static void ngx_http_openim_rest_answer(void *data, ngx_int_t code);
static void ngx_http_openim_rest_forward(ngx_http_request_t *r);
static void ngx_http_openim_rest_cleanup(void *data);

static void ngx_http_openim_rest_finalize(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_openim_rest_finalize_error(ngx_http_request_t *r,
    ngx_int_t code, const char *dlt);
static ngx_int_t ngx_http_openim_rest_error(ngx_http_request_t *r,
    ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_rest_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, u_char *data, size_t len);
static ngx_int_t ngx_http_openim_rest_redirect(ngx_http_request_t *r);
static ngx_int_t ngx_http_openim_rest_header(ngx_http_request_t *r,
    ngx_str_t *key, ngx_str_t *value);
static ngx_str_t *ngx_http_openim_rest_header_in(ngx_http_request_t *r,
    const char *name);


/* rest.md A.9; Content-Type goes its own way */

static ngx_str_t  ngx_http_openim_cors[][2] = {
    { ngx_string("Access-Control-Allow-Origin"), ngx_string("*") },
    { ngx_string("Access-Control-Allow-Methods"), ngx_string("*") },
    { ngx_string("Access-Control-Allow-Headers"), ngx_string("*") },
    { ngx_string("Access-Control-Expose-Headers"),
      ngx_string("Content-Length, Access-Control-Allow-Origin, "
                 "Access-Control-Allow-Headers,Cache-Control,"
                 "Content-Language,Content-Type,Expires,Last-Modified,"
                 "Pragma,FooBar") },
    { ngx_string("Access-Control-Max-Age"), ngx_string("172800") },
    { ngx_string("Access-Control-Allow-Credentials"), ngx_string("false") },
    { ngx_null_string, ngx_null_string }
};


static ngx_str_t  ngx_http_openim_type_json = ngx_string("application/json");
static ngx_str_t  ngx_http_openim_type_text = ngx_string("text/plain");


ngx_int_t
ngx_http_openim_rest_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_cleanup_t       *cln;
    ngx_http_openim_ctx_t    *ctx;
    ngx_http_openim_error_t   err;

    if (r != r->main || !ngx_http_openim_process.ready) {
        return NGX_HTTP_NOT_FOUND;
    }

    ctx = ngx_http_openim_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc
               : ngx_http_openim_rest_send(r, NGX_HTTP_OK,
                                           &ngx_http_openim_type_json,
                                           (u_char *) "\"Options Request!\"",
                                     sizeof("\"Options Request!\"") - 1);
    }

    /* a path that is no UTF-8 fits no route, and no record */

    if (r->method != NGX_HTTP_POST
        || !oim_wire_utf8(r->uri.data, r->uri.len))
    {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc
               : ngx_http_openim_rest_send(r, NGX_HTTP_NOT_FOUND,
                                           &ngx_http_openim_type_text,
                                           (u_char *) "404 page not found",
                                         sizeof("404 page not found") - 1);
    }

    ngx_memzero(&err, sizeof(ngx_http_openim_error_t));

    if (r->uri.len > 1 && r->uri.data[r->uri.len - 1] == '/') {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc : ngx_http_openim_rest_redirect(r);
    }

    ngx_http_openim_count(rest);

    rc = ngx_http_openim_rest_check(r, ctx, &err);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc : ngx_http_openim_rest_error(r, &err);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_openim_rest_cleanup;
    cln->data = ctx;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_openim_rest_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* What can be said without the body and without the store */

static ngx_int_t
ngx_http_openim_rest_check(ngx_http_request_t *r, ngx_http_openim_ctx_t *ctx,
    ngx_http_openim_error_t *err)
{
    ngx_int_t   rc;
    ngx_str_t  *operation_id;

    operation_id = ngx_http_openim_rest_header_in(r, "operationID");

    if (operation_id == NULL || operation_id->len == 0) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "header must have operationID");
        return NGX_DECLINED;
    }

    ctx->operation_id = *operation_id;

    if (!ngx_http_openim_rest_starts(&r->uri, "/auth/get_admin_token")
        && !ngx_http_openim_rest_starts(&r->uri, "/auth/parse_token"))
    {
        rc = ngx_http_openim_rest_token(r, ctx, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r->headers_in.content_length_n
        > (off_t) ngx_http_openim_process.conf->kafka_max_record)
    {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "request body too large");
        return NGX_DECLINED;
    }

    return ngx_http_openim_rest_content_type(r, ctx, err);
}


static ngx_int_t
ngx_http_openim_rest_token(ngx_http_request_t *r, ngx_http_openim_ctx_t *ctx,
    ngx_http_openim_error_t *err)
{
    size_t                  size;
    ngx_str_t              *token;
    ngx_http_openim_mem_t   mem;

    token = ngx_http_openim_rest_header_in(r, "token");

    if (token == NULL || token->len == 0) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "header must have token");
        return NGX_DECLINED;
    }

    ctx->args.token = *token;

    size = ngx_http_openim_token_scratch(token->len);

    mem.pos = ngx_pnalloc(r->pool, size);
    if (mem.pos == NULL) {
        return NGX_ERROR;
    }

    mem.last = mem.pos + size;

    return ngx_http_openim_token_verify(&ctx->token, token,
                                   &ngx_http_openim_process.conf->secret,
                                        ngx_time(), &mem, err);
}


/* It counts on /jssdk only (rest.md A.3, B.11) */

static ngx_int_t
ngx_http_openim_rest_content_type(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err)
{
    ngx_str_t        *type;
    ngx_table_elt_t  *h;

    if (!ngx_http_openim_rest_starts(&r->uri, "/jssdk/")) {
        return NGX_OK;
    }

    h = r->headers_in.content_type;

    if (h == NULL || h->value.len == 0) {
        return NGX_OK;
    }

    type = &h->value;

    if (ngx_strlcasestrn(type->data, type->data + type->len,
                         (u_char *) "application/json",
                         sizeof("application/json") - 2))
    {
        return NGX_OK;
    }

    if (ngx_strlcasestrn(type->data, type->data + type->len,
                         (u_char *) "application/protobuf",
                         sizeof("application/protobuf") - 2)
        || ngx_strlcasestrn(type->data, type->data + type->len,
                            (u_char *) "application/x-protobuf",
                            sizeof("application/x-protobuf") - 2))
    {
        ctx->protobuf = 1;
        return NGX_OK;
    }

    ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                              "unsupported content type");
    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_openim_rest_starts(ngx_str_t *uri, const char *prefix)
{
    size_t  len;

    len = ngx_strlen(prefix);

    return uri->len >= len && ngx_memcmp(uri->data, prefix, len) == 0;
}


/* The body: the first call of nginx, then one for each event */

static void
ngx_http_openim_rest_body(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    rc = ngx_http_openim_rest_body_take(r, ctx);

    if (rc != NGX_OK) {
        ngx_http_openim_rest_finalize(r, rc);
        return;
    }

    if (!r->reading_body) {
        ngx_http_openim_rest_body_done(r);
        return;
    }

    r->read_event_handler = ngx_http_openim_rest_body_read;
    ngx_http_openim_rest_body_read(r);
}


static void
ngx_http_openim_rest_body_read(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              more;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    for ( ;; ) {

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        more = (r->request_body->bufs != NULL);

        if (ngx_http_openim_rest_body_take(r, ctx) != NGX_OK) {
            ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_ARGS,
                                                "request body too large");
            return;
        }

        if (rc == NGX_OK) {
            ngx_http_openim_rest_body_done(r);
            return;
        }

        /* what was taken makes room, of which HTTP/2 must tell the client */

        if (!more) {
            return;
        }
    }
}


/* Moves what was read into our memory, and gives the buffers back */

static ngx_int_t
ngx_http_openim_rest_body_take(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx)
{
    size_t        len, size;
    u_char       *body;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        b = cl->buf;

        if (!ngx_buf_in_memory(b)) {
            continue;
        }

        len = b->last - b->pos;

        if (ctx->body_len + len
            > ngx_http_openim_process.conf->kafka_max_record)
        {
            return NGX_DECLINED;
        }

        if (ctx->body_len + len > ctx->body_size) {

            size = ngx_max(ctx->body_size * 2, NGX_HTTP_OPENIM_BODY_MIN);
            size = ngx_max(size, ctx->body_len + len);

            body = ngx_pnalloc(r->pool, size);
            if (body == NULL) {
                return NGX_ERROR;
            }

            if (ctx->body) {
                ngx_memcpy(body, ctx->body, ctx->body_len);
                (void) ngx_pfree(r->pool, ctx->body);
            }

            ctx->body = body;
            ctx->body_size = size;
        }

        if (len) {
            ngx_memcpy(ctx->body + ctx->body_len, b->pos, len);
            ctx->body_len += len;
        }

        b->pos = b->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


/* The token's state, for all but the routes that need none */

static void
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


/* Called by _redis.c */

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

    if (!oim_wire_utf8(r->uri.data, r->uri.len)) {
        /* no route, and no record either */
        ngx_http_openim_rest_finalize(r,
            ngx_http_openim_rest_send(r, NGX_HTTP_NOT_FOUND,
                                      &ngx_http_openim_type_text,
                                      (u_char *) "404 page not found",
                                      sizeof("404 page not found") - 1));
        return;
    }

    ctx->call = ngx_http_openim_call_rest(r);
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
    }

    ngx_http_openim_rest_finalize(r,
        ngx_http_openim_rest_send(r, reply->status ? reply->status
                                                   : NGX_HTTP_OK,
                                  &type, data, reply->data.len));

    ngx_http_run_posted_requests(c);
}


static void
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


static void
ngx_http_openim_rest_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_DECLINED) {
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_ARGS,
                                            "request body too large");
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_openim_rest_finalize_error(ngx_http_request_t *r, ngx_int_t code,
    const char *dlt)
{
    ngx_http_openim_error_t  err;

    ngx_http_openim_error_set(&err, code, dlt);

    ngx_http_finalize_request(r, ngx_http_openim_rest_error(r, &err));
}


static ngx_int_t
ngx_http_openim_rest_error(ngx_http_request_t *r,
    ngx_http_openim_error_t *err)
{
    u_char                 *p, *last;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);
    ctx->code = err->code;

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_RESULT_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_http_openim_result(p, err);

    return ngx_http_openim_rest_send(r, NGX_HTTP_OK,
                                     &ngx_http_openim_type_json, p, last - p);
}


static ngx_int_t
ngx_http_openim_rest_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *data, size_t len)
{
    u_char       *p;
    uint32_t      noise[4];
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_str_t     key, value;
    ngx_uint_t    i;
    ngx_chain_t   out;

    for (i = 0; ngx_http_openim_cors[i][0].len; i++) {
        if (ngx_http_openim_rest_header(r, &ngx_http_openim_cors[i][0],
                                        &ngx_http_openim_cors[i][1])
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_UUID_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < 4; i++) {
        noise[i] = (uint32_t) ngx_random() ^ (uint32_t) ngx_random() << 16;
    }

    ngx_str_set(&key, "X-HTTP-ID");

    value.data = p;
    value.len = ngx_sprintf(p, "%08xD-%04xD-4%03xD-%04xD-%04xD%08xD",
                            noise[0], noise[1] & 0xffff,
                            noise[1] >> 20,
                            (noise[2] & 0x3fff) | 0x8000,
                            noise[2] >> 16, noise[3]) - p;

    if (ngx_http_openim_rest_header(r, &key, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = len ? 1 : 0;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* rest.md A.9: before everything else, so without the other headers */

static ngx_int_t
ngx_http_openim_rest_redirect(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   key, value;

    p = ngx_pnalloc(r->pool, r->uri.len + r->args.len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, r->uri.data, r->uri.len - 1);

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    value.len = p - value.data;

    ngx_str_set(&key, "Location");

    if (ngx_http_openim_rest_header(r, &key, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_TEMPORARY_REDIRECT;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static ngx_int_t
ngx_http_openim_rest_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key = *key;
    h->value = *value;
    h->lowcase_key = NULL;

    return NGX_OK;
}


static ngx_str_t *
ngx_http_openim_rest_header_in(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i].value;
        }
    }
}
