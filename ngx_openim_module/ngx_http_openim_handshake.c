
/*
 * From a request to a WebSocket (gateway.md 1), in the order of 1.4: number of
 * connections, arguments, the token's own text, what the store says about it,
 * whom it is for, and last the headers of the upgrade.
 *
 * The connection is in the session table before Redis is asked to register it,
 * so from the moment that anybody can know of it no push misses it; what comes
 * before the 101 is queued.  The store checks the token and registers in one
 * step.
 *
 * After the 101 the request is freed, with its log line written, and only the
 * nginx connection is kept: ngx_http_openim_handshake_accept().
 */


#include "ngx_http_openim_connection.h"

#include <ngx_sha1.h>


#define NGX_HTTP_OPENIM_WS_KEY_LEN  24       /* base64 of 16 bytes */




static ngx_int_t ngx_http_openim_handshake_upgrade(ngx_http_request_t *r);
static ngx_uint_t ngx_http_openim_handshake_token(ngx_str_t *value,
    const char *token, size_t len);
static ngx_table_elt_t *ngx_http_openim_handshake_header(
    ngx_http_request_t *r, const char *name, size_t len);
static ngx_int_t ngx_http_openim_handshake_ask(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static void ngx_http_openim_handshake_answer(void *data, ngx_int_t code);
static void ngx_http_openim_handshake_cleanup(void *data);
static ngx_int_t ngx_http_openim_handshake_refuse(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err,
    ngx_uint_t frame);
static ngx_int_t ngx_http_openim_handshake_bad(ngx_http_request_t *r,
    ngx_int_t status);
static ngx_int_t ngx_http_openim_handshake_header_push(ngx_http_request_t *r,
    const char *name, u_char *value, size_t len);
static ngx_int_t ngx_http_openim_handshake_send_101(ngx_http_request_t *r);
static ngx_int_t ngx_http_openim_handshake_send(ngx_http_request_t *r,
    u_char *data, size_t len);
static void ngx_http_openim_handshake_accept(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx);
static void ngx_http_openim_handshake_release(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_openim_mask(ngx_str_t *args);


/* What may stand in a log; the values of all others are masked */

static ngx_str_t  ngx_http_openim_public_args[] = {
    ngx_string("sendID"),
    ngx_string("platformID"),
    ngx_string("operationID"),
    ngx_string("isBackground"),
    ngx_string("compression"),
    ngx_string("sdkType"),
    ngx_string("isMsgResp"),
    ngx_string("sdkVersion"),
    ngx_null_string
};


ngx_http_openim_ctx_t *
ngx_http_openim_ctx(ngx_http_request_t *r)
{
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_openim_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->code = -1;

        ngx_http_set_ctx(r, ctx, ngx_http_openim_module);
    }

    return ctx;
}


/*
 * The rewrite phase of all locations.  The URL of a handshake holds a token: it
 * is masked where every log line takes it from, before anything can be logged
 * about the request in the later phases.
 */

ngx_int_t
ngx_http_openim_mask_handler(ngx_http_request_t *r)
{
    u_char                    *p;
    ngx_str_t                  tail;
    ngx_http_openim_ctx_t     *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->handler != ngx_http_openim_handshake_handler || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_openim_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->masked) {
        return NGX_DECLINED;
    }

    ctx->query.len = r->args.len;
    ctx->query.data = ngx_pstrdup(r->pool, &r->args);
    if (ctx->query.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->masked = 1;

    ngx_http_openim_mask(&r->args);

    /* the same bytes, unless the arguments were rewritten */

    p = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    if (p) {
        tail.data = p + 1;
        tail.len = r->unparsed_uri.data + r->unparsed_uri.len - tail.data;
        ngx_http_openim_mask(&tail);
    }

    return NGX_DECLINED;
}


static void
ngx_http_openim_mask(ngx_str_t *args)
{
    u_char      *p, *end, *last, *value;
    ngx_str_t   *name;

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        value = ngx_strlchr(p, end, '=');
        if (value == NULL) {
            continue;
        }

        for (name = ngx_http_openim_public_args; name->len; name++) {
            if ((size_t) (value - p) == name->len
                && ngx_memcmp(p, name->data, name->len) == 0)
            {
                break;
            }
        }

        if (name->len == 0) {
            ngx_memset(value + 1, '*', end - value - 1);
        }
    }
}


ngx_int_t
ngx_http_openim_handshake_handler(ngx_http_request_t *r)
{
    size_t                        size;
    ngx_int_t                     rc;
    ngx_str_t                     compression;
    ngx_table_elt_t              *h;
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

    h = ngx_http_openim_handshake_header(r, "compression",
                                         sizeof("compression") - 1);
    if (h) {
        compression = h->value;
    }

    size = ngx_http_openim_args_scratch(ctx->query.len);

    mem.pos = ngx_pnalloc(r->pool, size);
    if (mem.pos == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mem.last = mem.pos + size;

    rc = ngx_http_openim_args_parse(&ctx->args, &ctx->query,
                                    h ? &compression : NULL, &mem, &err);

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


/* Called by _redis.c */

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


/* NGX_OK, or the status that says what is missing */

static ngx_int_t
ngx_http_openim_handshake_upgrade(ngx_http_request_t *r)
{
    u_char            decoded[NGX_HTTP_OPENIM_WS_KEY_LEN];
    ngx_str_t         key;
    ngx_uint_t        i, connection, upgrade, version, keys;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

#define ngx_http_openim_named(h, text)                                       \
    ((h)->key.len == sizeof(text) - 1                                        \
     && ngx_strncasecmp((h)->key.data, (u_char *) text, sizeof(text) - 1)    \
        == 0)

    connection = 0;
    upgrade = 0;
    version = 0;
    keys = 0;

    key.data = decoded;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_openim_named(&h[i], "Connection")) {
            connection |= ngx_http_openim_handshake_token(&h[i].value,
                                         "upgrade", sizeof("upgrade") - 1);

        } else if (ngx_http_openim_named(&h[i], "Upgrade")) {
            upgrade |= ngx_http_openim_handshake_token(&h[i].value,
                                     "websocket", sizeof("websocket") - 1);

        } else if (ngx_http_openim_named(&h[i], "Sec-WebSocket-Version")) {
            version |= ngx_http_openim_handshake_token(&h[i].value,
                                                   "13", sizeof("13") - 1);

        } else if (ngx_http_openim_named(&h[i], "Sec-WebSocket-Key")) {
            keys += h[i].value.len == NGX_HTTP_OPENIM_WS_KEY_LEN
                    && ngx_decode_base64(&key, &h[i].value) == NGX_OK
                    && key.len == 16;
        }
    }

    if (!connection || !upgrade) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (!version || !keys || r->http_version < NGX_HTTP_VERSION_11
        || r->headers_in.content_length_n > 0 || r->headers_in.chunked
#if (NGX_HTTP_V2)
        || r->stream
#endif
       )
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    return NGX_OK;
}


/* value is a list of tokens, in any case, that contains this one */

static ngx_uint_t
ngx_http_openim_handshake_token(ngx_str_t *value, const char *token,
    size_t len)
{
    u_char  *p, *end, *last, *stop;

    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) { p++; }

        for (stop = end;
             stop > p && (stop[-1] == ' ' || stop[-1] == '\t');
             stop--) { /* void */ }

        if ((size_t) (stop - p) == len
            && ngx_strncasecmp(p, (u_char *) token, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_table_elt_t *
ngx_http_openim_handshake_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

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
            return &h[i];
        }
    }
}


/*
 * gateway.md 1.5: the result as an HTTP body, or, if the client asked for it
 * and frame is set, as the only frame of a WebSocket.
 */

static ngx_int_t
ngx_http_openim_handshake_refuse(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err,
    ngx_uint_t frame)
{
    u_char     *p, *last;
    size_t      len;
    ngx_int_t   rc;

    ngx_http_openim_count(refused);
    ctx->code = err->code;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "openim: refused, code=%i why=\"%V\" user=%V op=%V",
                  err->code,
                  ngx_http_openim_loggable(err->dlt.len ? &err->dlt
                                                        : &err->msg),
                  ngx_http_openim_loggable(&ctx->args.send_id),
                  ngx_http_openim_loggable(&ctx->operation_id));

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                             + NGX_HTTP_OPENIM_RESULT_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_http_openim_result(p + NGX_HTTP_OPENIM_FRAME_HEAD_MAX, err);
    p += NGX_HTTP_OPENIM_FRAME_HEAD_MAX;
    len = last - p;

    if (frame && ctx->args.msg_resp) {

        if (ctx->upgrade != NGX_OK) {
            return ngx_http_openim_handshake_bad(r, ctx->upgrade);
        }

        /* a head is 2 or 4 bytes here, and there is room for it */

        p -= (len < 126) ? 2 : 4;
        (void) ngx_http_openim_frame_head(p, NGX_HTTP_OPENIM_OP_TEXT, len);
        len = last - p;

        r->keepalive = 0;

        rc = ngx_http_openim_handshake_send_101(r);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return rc;
        }

        return ngx_http_openim_handshake_send(r, p, len);
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = len;

    ngx_str_set(&r->headers_out.content_type,
                "application/json; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_openim_handshake_send(r, p, len);
}


/* Not an upgrade: gateway.md 1.4, 7 */

static ngx_int_t
ngx_http_openim_handshake_bad(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_int_t   rc;
    ngx_str_t   text;

    ngx_http_openim_count(refused);

    if (status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&text, "Method Not Allowed\n");

    } else {
        ngx_str_set(&text, "Bad Request\n");
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text.len;

    ngx_str_set(&r->headers_out.content_type, "text/plain; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_openim_handshake_header_push(r, "Sec-Websocket-Version",
                                              (u_char *) "13", 2)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_openim_handshake_send(r, text.data, text.len);
}


static ngx_int_t
ngx_http_openim_handshake_header_push(ngx_http_request_t *r, const char *name,
    u_char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = value;
    h->value.len = len;
    h->lowcase_key = NULL;

    return NGX_OK;
}


/* nginx's header filter adds "Connection: upgrade" by itself */

static ngx_int_t
ngx_http_openim_handshake_send_101(ngx_http_request_t *r)
{
    u_char            hash[20], *p;
    ngx_str_t         text, accept;
    ngx_sha1_t        sha1;
    ngx_table_elt_t  *h;

    h = ngx_http_openim_handshake_header(r, "Sec-WebSocket-Key",
                                         sizeof("Sec-WebSocket-Key") - 1);
    p = ngx_pnalloc(r->pool, ngx_base64_encoded_length(20));

    if (h == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, h->value.data, h->value.len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(hash, &sha1);

    text.data = hash;
    text.len = 20;
    accept.data = p;

    ngx_encode_base64(&accept, &text);

    if (ngx_http_openim_handshake_header_push(r, "Upgrade",
                                              (u_char *) "websocket", 9)
        != NGX_OK
        || ngx_http_openim_handshake_header_push(r, "Sec-WebSocket-Accept",
                                                 accept.data, accept.len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;

    return ngx_http_send_header(r);
}


static ngx_int_t
ngx_http_openim_handshake_send(ngx_http_request_t *r, u_char *data,
    size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/*
 * Writes the 101, then takes the nginx connection from the request: what the
 * client has sent already and what the socket would not take yet are copied,
 * the request is logged and freed, and so are its buffers, as nginx does for a
 * connection that is kept alive.
 */

static void
ngx_http_openim_handshake_accept(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx)
{
    u_char                  *rest, *p;
    u_char                   first[NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                   + NGX_HTTP_OPENIM_RESULT_MAX];
    size_t                   len;
    ngx_int_t                rc;
    ngx_str_t                operation_id;
    ngx_chain_t             *cl;
    ngx_connection_t        *c;
    ngx_http_openim_ws_t    *ws;
    ngx_http_connection_t   *hc;

    c = r->connection;
    hc = r->http_connection;
    ws = ctx->ws;

    /* the result frame goes before pushes, what is left of the 101 before it */

    if (ctx->args.msg_resp) {
        len = ngx_http_openim_result(first, NULL) - first;
        p = ngx_http_openim_frame_head(first, NGX_HTTP_OPENIM_OP_TEXT, len);
        p = ngx_http_openim_result(p, NULL);

        if (ngx_http_openim_ws_first(ws, first, p - first) != NGX_OK) {
            goto failed;
        }
    }

    operation_id.len = ctx->operation_id.len;
    operation_id.data = NULL;

    ctx->code = 0;

    rc = ngx_http_openim_handshake_send_101(r);

    if (rc == NGX_ERROR || rc > NGX_OK
        || ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR)
    {
        goto failed;
    }

    len = 0;

    for (cl = r->out; cl; cl = cl->next) {
        len += ngx_buf_in_memory(cl->buf) ? ngx_buf_size(cl->buf) : 0;
    }

    if (len) {
        rest = ngx_alloc(len, c->log);
        if (rest == NULL) {
            goto failed;
        }

        p = rest;

        for (cl = r->out; cl; cl = cl->next) {
            if (ngx_buf_in_memory(cl->buf)) {
                p = ngx_cpymem(p, cl->buf->pos, ngx_buf_size(cl->buf));
            }
        }

        rc = ngx_http_openim_ws_first(ws, rest, len);
        ngx_free(rest);

        if (rc != NGX_OK) {
            goto failed;
        }
    }

    r->out = NULL;
    c->buffered &= ~NGX_HTTP_LOWLEVEL_BUFFERED & ~NGX_HTTP_WRITE_BUFFERED;

    /* frames that came with the handshake */

    len = r->header_in->last - r->header_in->pos;

    rest = ngx_alloc(len + operation_id.len + 1, c->log);
    if (rest == NULL) {
        goto failed;
    }

    p = ngx_cpymem(rest, r->header_in->pos, len);
    operation_id.data = p;
    ngx_memcpy(p, ctx->operation_id.data, operation_id.len);

    ngx_http_openim_count(handshakes);

    ctx->ws = NULL;

    ngx_http_free_request(r, 0);
    ngx_http_openim_handshake_release(c, hc);

    ngx_http_openim_connected(ws, &operation_id);
    ngx_http_openim_ws_accept(ws, c, rest, len);

    ngx_free(rest);

    return;

failed:

    /* the cleanup of the request discards ws */

    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_openim_handshake_release(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl, *next;

    c->destroyed = 0;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->buffer && c->buffer->start) {
        (void) ngx_pfree(c->pool, c->buffer->start);
        c->buffer = NULL;
    }

    for (cl = hc->free; cl; cl = next) {
        next = cl->next;
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = next) {
        next = cl->next;
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)

    if (c->ssl && !(c->buffered & NGX_SSL_BUFFERED)) {
        ngx_ssl_free_buffer(c);
        c->ssl->buffer = 0;
    }

#endif
}


/*
 * Tells the workers: the policy of gateway.md 6.3 needs to know who is here,
 * and they answer with the groups of the user.
 */

void
ngx_http_openim_connected(ngx_http_openim_ws_t *ws, ngx_str_t *operation_id)
{
    ngx_int_t                  rc;
    ngx_http_openim_uplink_t   up;

    ngx_memzero(&up, sizeof(ngx_http_openim_uplink_t));

    up.topic = NGX_HTTP_OPENIM_TOPIC_RPC;
    up.key = ws->user_id;
    up.source = NGX_HTTP_OPENIM_SOURCE_EVENT;
    up.req = NGX_HTTP_OPENIM_EVENT_CONNECTED;
    up.user_id = ws->user_id;
    up.platform_id = ws->platform_id;
    up.operation_id = *operation_id;
    up.conn_id = ws->id;
    up.token = ws->token;
    up.remote = ws->remote;

    rc = ngx_http_openim_uplink_send(&up);

    ws->announced = (rc != NGX_AGAIN);

    if (rc == NGX_ERROR || rc == NGX_DECLINED
        || (rc == NGX_AGAIN && ws->state == NGX_HTTP_OPENIM_WS_PENDING))
    {
        ngx_log_error(NGX_LOG_WARN, ws->connection->log, 0,
                      "openim: connection not announced%s, user=%V op=%V",
                      rc == NGX_AGAIN ? " yet" : "",
                      &ws->user_id, ngx_http_openim_loggable(operation_id));
    }
}
