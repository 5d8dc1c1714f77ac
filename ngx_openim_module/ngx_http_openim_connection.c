
/*
 * The life of a connection: create, accept, the ways to end.  See
 * ngx_http_openim_connection.h for the states and the memory.  Called by the
 * handshake at the start and by whoever ends one.
 *
 * In between it is nginx's events that call: ngx_http_openim_connection_read.c,
 * _connection_wait.c for messages on their way to ngx_http_openim_request.c,
 * _connection_write.c, _connection_timer.c.
 */


#include "ngx_http_openim_connection_internal.h"
#include "ngx_http_openim_session.h"


#define NGX_HTTP_OPENIM_LINGER         2000
#define NGX_HTTP_OPENIM_LINGER_QUIT    500


static void ngx_http_openim_ws_leave(ngx_http_openim_ws_t *ws);


ngx_queue_t  ngx_http_openim_ws_all;


void
ngx_http_openim_ws_init(void)
{
    ngx_queue_init(&ngx_http_openim_ws_all);

    ngx_http_openim_ws_wait_init();
    ngx_http_openim_ws_write_init();
}


ngx_http_openim_ws_t *
ngx_http_openim_ws_create(ngx_http_request_t *r, ngx_http_openim_ctx_t *ctx)
{
    u_char                *p;
    ngx_str_t             *remote;
    ngx_http_openim_ws_t  *ws;

    remote = &r->connection->addr_text;

    ws = ngx_alloc(sizeof(ngx_http_openim_ws_t) + ctx->args.send_id.len
                   + ctx->args.token.len + remote->len, r->connection->log);
    if (ws == NULL) {
        return NULL;
    }

    ngx_memzero(ws, sizeof(ngx_http_openim_ws_t));

    p = (u_char *) ws + sizeof(ngx_http_openim_ws_t);

    ws->user_id.data = p;
    ws->user_id.len = ctx->args.send_id.len;
    p = ngx_cpymem(p, ctx->args.send_id.data, ctx->args.send_id.len);

    ws->token.data = p;
    ws->token.len = ctx->args.token.len;
    p = ngx_cpymem(p, ctx->args.token.data, ctx->args.token.len);

    ws->remote.data = p;
    ws->remote.len = remote->len;
    ngx_memcpy(p, remote->data, remote->len);

    ws->connection = r->connection;
    ws->request = r;
    ws->state = NGX_HTTP_OPENIM_WS_PENDING;
    ws->id = ++ngx_http_openim_process.last_id;
    ws->connected = ngx_http_openim_now();
    ws->since = ngx_current_msec;
    ws->platform_id = (u_char) ctx->args.platform_id;
    ws->variant = (u_char) (ctx->args.codec | (ctx->args.gzip ? 2 : 0));

    ws->wait_last = &ws->wait;
    ws->out_last = &ws->out;
    ngx_queue_init(&ws->subs);

    ngx_http_openim_frame_init(&ws->frame,
                               ngx_http_openim_process.conf->max_message);

    if (ngx_http_openim_session_add(ws) != NGX_OK) {
        ngx_free(ws);
        return NULL;
    }

    ngx_queue_insert_tail(&ngx_http_openim_ws_all, &ws->all);

    ngx_http_openim_process.connections++;
    ngx_http_openim_count(connections);

    return ws;
}


/* input: what the client sent after its handshake */

void
ngx_http_openim_ws_accept(ngx_http_openim_ws_t *ws, ngx_connection_t *c,
    u_char *input, size_t len)
{
    ws->connection = c;
    ws->request = NULL;
    ws->since = ngx_current_msec;

    c->data = ws;
    c->log->action = "serving openim connection";

    c->read->handler = ngx_http_openim_ws_read;
    c->write->handler = ngx_http_openim_ws_write_handler;

    (void) ngx_tcp_nodelay(c);

    ngx_http_openim_ws_dirty(ws);

    if (ws->state != NGX_HTTP_OPENIM_WS_PENDING) {
        /* it was closed in the meantime */
        return;
    }

    ws->state = NGX_HTTP_OPENIM_WS_OPEN;
    ws->waiting = !ngx_http_openim_session_known(ws);
    c->idle = 1;

    ws->ping = ngx_current_msec + ngx_http_openim_process.conf->ping_interval;
    ws->renew = ngx_current_msec + NGX_HTTP_OPENIM_ONLINE_RENEW * 1000;

    ws->timer.handler = ngx_http_openim_ws_timer;
    ws->timer.data = ws;
    ws->timer.log = c->log;

    ngx_http_openim_ws_timer_set(ws);
    ngx_add_timer(c->read, ngx_http_openim_process.conf->read_timeout);

    if (ngx_exiting) {
        ngx_http_openim_ws_retire(ws);
    }

    ngx_http_openim_ws_input(ws, input, input + len);

    /* the event of what came since the handshake was used up by HTTP */

    ngx_post_event(c->read, &ngx_posted_events);
}


void
ngx_http_openim_ws_discard(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_ws_leave(ws);

    ws->connection = NULL;
    ngx_http_openim_ws_destroy(ws);
}


void
ngx_http_openim_ws_close(ngx_http_openim_ws_t *ws, ngx_uint_t code)
{
    u_char  data[4], *p;

    if (ws->state > NGX_HTTP_OPENIM_WS_OPEN) {
        return;
    }

    if (code) {
        p = ngx_http_openim_frame_close(data, code);
        ngx_http_openim_ws_frame(ws, NGX_HTTP_OPENIM_OP_CLOSE,
                                 data + 2, p - data - 2);

        if (ws->state > NGX_HTTP_OPENIM_WS_OPEN) {
            return;
        }
    }

    ngx_http_openim_ws_leave(ws);

    ws->state = NGX_HTTP_OPENIM_WS_CLOSING;

    if (ws->request == NULL) {
        ws->connection->idle = 0;

        /* the write timer of a full socket is set by ws_write() */
        ngx_http_openim_ws_dirty(ws);
    }
}


void
ngx_http_openim_ws_abort(ngx_http_openim_ws_t *ws)
{
    if (ws->state == NGX_HTTP_OPENIM_WS_DEAD) {
        return;
    }

    ngx_http_openim_ws_leave(ws);
    ngx_http_openim_ws_drop(ws);

    if (ws->request) {
        /* the handshake still has it; it ends when that is over */
        ws->state = NGX_HTTP_OPENIM_WS_CLOSING;
        return;
    }

    ws->connection->idle = 0;
    ws->state = NGX_HTTP_OPENIM_WS_DEAD;

    ngx_http_openim_ws_dirty(ws);
}


/* Nobody finds it any more, nothing waits for it, it waits for nothing */

static void
ngx_http_openim_ws_leave(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_wait_t  *w;

    ngx_http_openim_session_delete(ws);
    ngx_http_openim_redis_unregister(ws);

    if (ws->call) {
        ngx_http_openim_call_forget(ws->call);
        ws->call = NULL;
    }

    while (ws->wait) {
        w = ws->wait;
        ws->wait = w->next;
        ngx_free(w);
    }

    ws->wait_last = &ws->wait;
    ws->nwait = 0;

    if (ws->is_blocked) {
        ws->is_blocked = 0;
        ngx_queue_remove(&ws->blocked);
    }

    if (ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }
}


void
ngx_http_openim_ws_shutdown(ngx_http_openim_ws_t *ws)
{
    ngx_connection_t  *c;

    c = ws->connection;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

#endif

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

    ws->state = NGX_HTTP_OPENIM_WS_LINGER;

    ngx_add_timer(c->read, ngx_exiting ? NGX_HTTP_OPENIM_LINGER_QUIT
                                       : NGX_HTTP_OPENIM_LINGER);
    ngx_post_event(c->read, &ngx_posted_events);
}


void
ngx_http_openim_ws_destroy(ngx_http_openim_ws_t *ws)
{
    ngx_connection_t  *c;

    c = ws->connection;

    ngx_http_openim_ws_drop(ws);

    if (ws->is_dirty) {
        ngx_queue_remove(&ws->dirty);
    }

    if (ws->message) {
        ngx_free(ws->message);
    }

    ngx_queue_remove(&ws->all);

    ngx_free(ws);

    ngx_http_openim_process.connections--;
    ngx_http_openim_process.stat->connections--;

    if (c) {

#if (NGX_HTTP_SSL)
        if (c->ssl && c->error) {
            c->ssl->no_send_shutdown = 1;
            c->ssl->no_wait_shutdown = 1;
        }
#endif

        ngx_http_close_connection(c);
    }

    if (ngx_exiting && ngx_http_openim_process.connections == 0
        && ngx_http_openim_process.stat->calls == 0)
    {
        ngx_http_openim_redis_leave();
    }
}
