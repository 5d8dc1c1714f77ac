
/*
 * The end of a good handshake: the 101 is sent, the request is freed, with its
 * log line written, and only the nginx connection is kept, for
 * ngx_http_openim_connection.c; the workers are told who is here.  Called by
 * ngx_http_openim_handshake.c when the store has said yes.
 */


#include "ngx_http_openim_handshake.h"


static void ngx_http_openim_handshake_release(ngx_connection_t *c,
    ngx_http_connection_t *hc);


/*
 * Writes the 101, then takes the nginx connection from the request: what the
 * client has sent already and what the socket would not take yet are copied,
 * the request is logged and freed, and so are its buffers, as nginx does for a
 * connection that is kept alive.
 */

void
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
