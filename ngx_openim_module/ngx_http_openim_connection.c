
/*
 * See ngx_http_openim_connection.h for the states and the memory.  In the order
 * of a connection's life: create, accept, read, the messages, the queue and
 * write, timers, the ways to end.  Called by ngx_http_openim_handshake.c at the
 * start and by nginx's events from then on; messages go to
 * ngx_http_openim_request.c.
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"


#define NGX_HTTP_OPENIM_WRITE_TIMEOUT  10000
#define NGX_HTTP_OPENIM_LINGER         2000
#define NGX_HTTP_OPENIM_LINGER_QUIT    500
#define NGX_HTTP_OPENIM_RETRY          20      /* Kafka's queue was full */
#define NGX_HTTP_OPENIM_ANNOUNCE       200     /* the same for this */

/* clients do not synchronise within 5 s of the last time (gateway.md 9.3) */
#define NGX_HTTP_OPENIM_RETIRE_AGE     5500
#define NGX_HTTP_OPENIM_RETIRE_SPREAD  2000
#define NGX_HTTP_OPENIM_RETIRE_QUIT    1000
#define NGX_HTTP_OPENIM_RETIRE_WAIT    10000

#define NGX_HTTP_OPENIM_RENEW_SPREAD   5000

#define NGX_HTTP_OPENIM_READS          16      /* in one turn */
#define NGX_HTTP_OPENIM_CHAIN          32      /* packets in one writev() */


static void ngx_http_openim_ws_read(ngx_event_t *rev);
static void ngx_http_openim_ws_linger(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_input(ngx_http_openim_ws_t *ws, u_char *pos,
    u_char *last);
static void ngx_http_openim_ws_piece(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_message(ngx_http_openim_ws_t *ws,
    ngx_uint_t type, u_char *data, size_t len);
static void ngx_http_openim_ws_text(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len);
static void ngx_http_openim_ws_binary(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len);
static void ngx_http_openim_ws_block(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_unblock_handler(ngx_event_t *ev);

static void ngx_http_openim_ws_dirty(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_flush_handler(ngx_event_t *ev);
static void ngx_http_openim_ws_write_handler(ngx_event_t *wev);
static void ngx_http_openim_ws_write(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_sent(ngx_http_openim_ws_t *ws, off_t n);
static void ngx_http_openim_ws_frame(ngx_http_openim_ws_t *ws,
    ngx_uint_t opcode, u_char *data, size_t len);

static void ngx_http_openim_ws_timer(ngx_event_t *ev);
static void ngx_http_openim_ws_timer_set(ngx_http_openim_ws_t *ws);

static void ngx_http_openim_ws_leave(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_shutdown(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_destroy(ngx_http_openim_ws_t *ws);

static ngx_http_openim_packet_t *ngx_http_openim_packet_create(size_t len);


static ngx_queue_t  ngx_http_openim_ws_all;
static ngx_queue_t  ngx_http_openim_ws_dirties;
static ngx_queue_t  ngx_http_openim_ws_blocks;
static ngx_event_t  ngx_http_openim_ws_flush;
static ngx_event_t  ngx_http_openim_ws_unblock;


#define ngx_http_openim_left(at)                                             \
    ((ngx_msec_int_t) ((at) - ngx_current_msec))


void
ngx_http_openim_ws_init(void)
{
    ngx_queue_init(&ngx_http_openim_ws_all);
    ngx_queue_init(&ngx_http_openim_ws_dirties);
    ngx_queue_init(&ngx_http_openim_ws_blocks);

    ngx_http_openim_ws_flush.handler = ngx_http_openim_ws_flush_handler;
    ngx_http_openim_ws_flush.data = &ngx_http_openim_process;
    ngx_http_openim_ws_flush.log = ngx_http_openim_process.log;

    ngx_http_openim_ws_unblock.handler = ngx_http_openim_ws_unblock_handler;
    ngx_http_openim_ws_unblock.data = &ngx_http_openim_process;
    ngx_http_openim_ws_unblock.log = ngx_http_openim_process.log;
    ngx_http_openim_ws_unblock.cancelable = 1;
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


ngx_int_t
ngx_http_openim_ws_first(ngx_http_openim_ws_t *ws, u_char *data, size_t len)
{
    ngx_http_openim_out_t     *out;
    ngx_http_openim_packet_t  *packet;

    out = ngx_alloc(sizeof(ngx_http_openim_out_t), ws->connection->log);
    packet = ngx_http_openim_packet_create(len);

    if (out == NULL || packet == NULL) {

        if (out) {
            ngx_free(out);
        }

        if (packet) {
            ngx_free(packet);
        }

        return NGX_ERROR;
    }

    ngx_memcpy(packet->data, data, len);

    out->packet = packet;
    out->next = ws->out;

    if (ws->out == NULL) {
        ws->out_last = &out->next;
    }

    ws->out = out;
    ws->nout++;
    ws->out_len += len;

    return NGX_OK;
}


void
ngx_http_openim_ws_discard(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_ws_leave(ws);

    ws->connection = NULL;
    ngx_http_openim_ws_destroy(ws);
}


static void
ngx_http_openim_ws_read(ngx_event_t *rev)
{
    u_char                *buf;
    ssize_t                n;
    ngx_uint_t             i;
    ngx_connection_t      *c;
    ngx_http_openim_ws_t  *ws;

    c = rev->data;
    ws = c->data;

    if (c->close) {
        c->close = 0;

        if (c->error) {
            /* worker_shutdown_timeout */
            ngx_http_openim_ws_abort(ws);
            return;
        }

        ngx_http_openim_ws_retire(ws);
    }

    if (rev->timedout) {
        rev->timedout = 0;

        if (ws->state == NGX_HTTP_OPENIM_WS_OPEN) {
            ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                          "openim: client is silent, user=%V", &ws->user_id);
            ngx_http_openim_ws_close(ws, 0);

        } else if (ws->state == NGX_HTTP_OPENIM_WS_LINGER) {
            ngx_http_openim_ws_abort(ws);
        }

        return;
    }

    if (ws->state == NGX_HTTP_OPENIM_WS_LINGER) {
        ngx_http_openim_ws_linger(ws);
        return;
    }

    if (ws->paused && rev->pending_eof) {
        /* gone, and what it sent is more than may wait */
        ngx_http_openim_ws_abort(ws);
        return;
    }

    buf = ngx_http_openim_process.input;

    for (i = 0; ws->state == NGX_HTTP_OPENIM_WS_OPEN && !ws->paused; i++) {

        if (i == NGX_HTTP_OPENIM_READS) {
            /* the others' turn */
            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, ngx_http_openim_process.input_size);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            c->error = 1;
            ngx_http_openim_ws_abort(ws);
            return;
        }

        ngx_http_openim_ws_input(ws, buf, buf + n);

        if (!rev->ready) {
            break;
        }
    }

    if (ws->state < NGX_HTTP_OPENIM_WS_LINGER
        && ngx_handle_read_event(rev, 0) != NGX_OK)
    {
        ngx_http_openim_ws_abort(ws);
    }
}


/* Unread input would turn our end of the connection into a reset */

static void
ngx_http_openim_ws_linger(ngx_http_openim_ws_t *ws)
{
    ssize_t            n;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = ws->connection;

    for (i = 0; i < NGX_HTTP_OPENIM_READS; i++) {

        n = c->recv(c, ngx_http_openim_process.input,
                    ngx_http_openim_process.input_size);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                break;
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            break;
        }
    }

    ngx_http_openim_ws_abort(ws);
}


static void
ngx_http_openim_ws_input(ngx_http_openim_ws_t *ws, u_char *pos, u_char *last)
{
    ngx_int_t                 rc;
    ngx_connection_t         *c;
    ngx_http_openim_frame_t  *f;

    c = ws->connection;
    f = &ws->frame;

    while (ws->state == NGX_HTTP_OPENIM_WS_OPEN) {

        rc = ngx_http_openim_frame_parse(f, &pos, last);

        switch (rc) {

        case NGX_AGAIN:
            return;

        case NGX_HTTP_OPENIM_FRAME_DATA:
            ngx_http_openim_ws_piece(ws);
            break;

        case NGX_HTTP_OPENIM_FRAME_PING:
            ngx_http_openim_ws_frame(ws, NGX_HTTP_OPENIM_OP_PONG,
                                     f->data.data, f->data.len);
            /* fall through */

        case NGX_HTTP_OPENIM_FRAME_PONG:
            if (ws->state == NGX_HTTP_OPENIM_WS_OPEN && !ws->paused) {
                ngx_add_timer(c->read,
                              ngx_http_openim_process.conf->read_timeout);
            }
            break;

        case NGX_HTTP_OPENIM_FRAME_CLOSE:
            /* echoed, with the code if there was one */
            if (f->code == 0) {
                ngx_http_openim_ws_frame(ws, NGX_HTTP_OPENIM_OP_CLOSE,
                                         NULL, 0);
            }

            ngx_http_openim_ws_close(ws, f->code);
            return;

        case NGX_ERROR:
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "openim: bad frame: %s, user=%V",
                          f->error, &ws->user_id);
            ngx_http_openim_count(dropped);
            ngx_http_openim_ws_close(ws, f->code);
            return;

        default:
            ngx_http_openim_ws_abort(ws);
            return;
        }
    }
}


/* f->data is a message or a piece of one */

static void
ngx_http_openim_ws_piece(ngx_http_openim_ws_t *ws)
{
    u_char                   *data;
    size_t                    size, len;
    ngx_http_openim_frame_t  *f;

    f = &ws->frame;

    if (f->start && f->end) {
        ngx_http_openim_ws_message(ws, f->message, f->data.data, f->data.len);
        return;
    }

    len = ws->message_len + f->data.len;

    if (len > ws->message_size) {

        /* as much as has come, not as much as is announced */

        size = ngx_max(ws->message_size * 2, 1024);
        size = ngx_max(size, len);

        data = ngx_alloc(size, ws->connection->log);
        if (data == NULL) {
            ngx_http_openim_ws_abort(ws);
            return;
        }

        if (ws->message) {
            ngx_memcpy(data, ws->message, ws->message_len);
            ngx_free(ws->message);
        }

        ws->message = data;
        ws->message_size = size;
    }

    if (f->data.len) {
        ngx_memcpy(ws->message + ws->message_len, f->data.data, f->data.len);
        ws->message_len = len;
    }

    if (!f->end) {
        return;
    }

    data = ws->message;

    ws->message = NULL;
    ws->message_len = 0;
    ws->message_size = 0;

    ngx_http_openim_ws_message(ws, f->message, data, len);

    if (data) {
        ngx_free(data);
    }
}


static void
ngx_http_openim_ws_message(ngx_http_openim_ws_t *ws, ngx_uint_t type,
    u_char *data, size_t len)
{
    if (!ws->paused) {
        ngx_add_timer(ws->connection->read,
                      ngx_http_openim_process.conf->read_timeout);
    }

    if (type == NGX_HTTP_OPENIM_OP_TEXT) {
        ngx_http_openim_ws_text(ws, data, len);

    } else {
        ngx_http_openim_ws_binary(ws, data, len);
    }
}


static void
ngx_http_openim_ws_text(ngx_http_openim_ws_t *ws, u_char *data, size_t len)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   body;

    switch (ngx_http_openim_text_parse(data, len, &body)) {

    case NGX_HTTP_OPENIM_TEXT_PING:

        size = ngx_http_openim_text_pong_size(&body);

        p = ngx_alloc(size, ws->connection->log);
        if (p == NULL) {
            ngx_http_openim_ws_abort(ws);
            return;
        }

        size = ngx_http_openim_text_pong(p, &body) - p;

        ngx_http_openim_ws_frame(ws, NGX_HTTP_OPENIM_OP_TEXT, p, size);
        ngx_free(p);
        return;

    case NGX_HTTP_OPENIM_TEXT_PONG:
        return;

    default:
        ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                      "openim: bad text message, user=%V", &ws->user_id);
        ngx_http_openim_count(dropped);
        ngx_http_openim_ws_close(ws, 0);
        return;
    }
}


/* One at a time, in order (gateway.md 2.5); the others wait here */

static void
ngx_http_openim_ws_binary(ngx_http_openim_ws_t *ws, u_char *data, size_t len)
{
    ngx_int_t                rc;
    ngx_http_openim_wait_t  *w;

    if (ws->call == NULL && ws->wait == NULL && !ws->waiting) {

        rc = ngx_http_openim_request_handle(ws, data, len, 0);

        if (rc == NGX_OK) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_openim_count(dropped);
            ngx_http_openim_ws_close(ws, 0);
            return;
        }

        ngx_http_openim_ws_block(ws);
    }

    w = ngx_alloc(sizeof(ngx_http_openim_wait_t) + len, ws->connection->log);
    if (w == NULL) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

    w->next = NULL;
    w->len = len;

    if (len) {
        ngx_memcpy(w->data, data, len);
    }

    *ws->wait_last = w;
    ws->wait_last = &w->next;
    ws->nwait++;
    ws->wait_len += len;

    /* a soft bound: what was read already is taken, at most one input buffer */

    if (!ws->paused
        && (ws->nwait >= NGX_HTTP_OPENIM_WAIT_MESSAGES
            || ws->wait_len >= NGX_HTTP_OPENIM_WAIT_BYTES))
    {
        ws->paused = 1;

        if (ws->connection->read->timer_set) {
            ngx_del_timer(ws->connection->read);
        }
    }
}


void
ngx_http_openim_ws_done(ngx_http_openim_ws_t *ws)
{
    ngx_int_t                rc;
    ngx_uint_t               late;
    ngx_http_openim_wait_t  *w;

    while (ws->state == NGX_HTTP_OPENIM_WS_OPEN && ws->call == NULL
           && ws->wait && !ws->waiting)
    {
        w = ws->wait;

        ws->wait = w->next;

        if (ws->wait == NULL) {
            ws->wait_last = &ws->wait;
        }

        late = ws->blocked_at
               && ngx_http_openim_left(ws->blocked_at
                             + ngx_http_openim_process.conf->request_timeout)
                  <= 0;

        rc = ngx_http_openim_request_handle(ws, w->data, w->len, late);

        if (rc == NGX_AGAIN && ws->state == NGX_HTTP_OPENIM_WS_OPEN) {

            w->next = ws->wait;

            if (ws->wait == NULL) {
                ws->wait_last = &w->next;
            }

            ws->wait = w;

            ngx_http_openim_ws_block(ws);
            return;
        }

        ws->blocked_at = 0;
        ws->nwait--;
        ws->wait_len -= w->len;
        ngx_free(w);

        if (rc == NGX_ERROR) {
            ngx_http_openim_count(dropped);
            ngx_http_openim_ws_close(ws, 0);
            return;
        }
    }

    if (ws->paused && ws->wait == NULL
        && ws->state == NGX_HTTP_OPENIM_WS_OPEN)
    {
        ws->paused = 0;
        ngx_add_timer(ws->connection->read,
                      ngx_http_openim_process.conf->read_timeout);
        ngx_post_event(ws->connection->read, &ngx_posted_events);
    }
}


/*
 * Kafka's queue is full: no more is read until it takes this one, or until the
 * client does not wait any longer.
 */

static void
ngx_http_openim_ws_block(ngx_http_openim_ws_t *ws)
{
    if (!ws->is_blocked) {
        ws->is_blocked = 1;

        if (ws->blocked_at) {
            /* again: it keeps its place */
            ngx_queue_insert_head(&ngx_http_openim_ws_blocks, &ws->blocked);

        } else {
            ws->blocked_at = ngx_current_msec | 1;
            ngx_queue_insert_tail(&ngx_http_openim_ws_blocks, &ws->blocked);
        }
    }

    if (!ws->paused) {
        ws->paused = 1;

        if (ws->connection->read->timer_set) {
            ngx_del_timer(ws->connection->read);
        }
    }

    if (!ngx_http_openim_ws_unblock.timer_set) {
        ngx_add_timer(&ngx_http_openim_ws_unblock, NGX_HTTP_OPENIM_RETRY);
    }
}


static void
ngx_http_openim_ws_unblock_handler(ngx_event_t *ev)
{
    ngx_queue_t           *q;
    ngx_http_openim_ws_t  *ws;

    while (!ngx_queue_empty(&ngx_http_openim_ws_blocks)) {

        q = ngx_queue_head(&ngx_http_openim_ws_blocks);
        ws = ngx_queue_data(q, ngx_http_openim_ws_t, blocked);

        ngx_queue_remove(q);
        ws->is_blocked = 0;

        ngx_http_openim_ws_done(ws);

        if (ngx_queue_head(&ngx_http_openim_ws_blocks) == q) {
            /* still full: it set the timer again */
            return;
        }
    }
}


/* What is sent */

void
ngx_http_openim_ws_send(ngx_http_openim_ws_t *ws,
    ngx_http_openim_packet_t *packet)
{
    ngx_http_openim_out_t        *out;
    ngx_http_openim_main_conf_t  *mcf;

    if (ws->state > NGX_HTTP_OPENIM_WS_OPEN) {
        return;
    }

    mcf = ngx_http_openim_process.conf;

    if (ws->nout >= (ngx_uint_t) mcf->send_queue
        || ws->out_len + packet->len > mcf->send_buffer)
    {
        /* perhaps only we were too busy to send */

        if (ws->state == NGX_HTTP_OPENIM_WS_OPEN
            && ws->connection->write->ready)
        {
            ngx_http_openim_ws_write(ws);
        }

        if (ws->state > NGX_HTTP_OPENIM_WS_OPEN) {
            return;
        }

        if (ws->nout >= (ngx_uint_t) mcf->send_queue
            || (ws->nout && ws->out_len + packet->len > mcf->send_buffer))
        {
            ngx_http_openim_count(slow);
            ngx_log_error(NGX_LOG_WARN, ws->connection->log, 0,
                          "openim: client does not read, user=%V frames=%ui "
                          "bytes=%uz", &ws->user_id, ws->nout, ws->out_len);
            ngx_http_openim_ws_abort(ws);
            return;
        }
    }

    out = ngx_alloc(sizeof(ngx_http_openim_out_t), ws->connection->log);
    if (out == NULL) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

    packet->refs++;

    out->packet = packet;
    out->next = NULL;

    *ws->out_last = out;
    ws->out_last = &out->next;
    ws->nout++;
    ws->out_len += packet->len;

    ngx_http_openim_count(frames);
    ngx_http_openim_ws_dirty(ws);
}


void
ngx_http_openim_ws_respond(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_resp_t *resp)
{
    ngx_http_openim_packet_t  *packet;

    packet = ngx_http_openim_packet_envelope(ws->variant, resp);

    if (packet == NULL) {
        ngx_log_error(NGX_LOG_ERR, ws->connection->log, 0,
                      "openim: reply of %uz bytes not sent, user=%V op=%V",
                      resp->data.len, &ws->user_id,
                      ngx_http_openim_loggable(&resp->operation_id));

        resp->err_code = NGX_HTTP_OPENIM_E_INTERNAL;
        resp->err_msg = *ngx_http_openim_error_msg(resp->err_code);
        ngx_str_null(&resp->data);

        packet = ngx_http_openim_packet_envelope(ws->variant, resp);
    }

    if (packet == NULL) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

    ngx_http_openim_ws_send(ws, packet);
    ngx_http_openim_packet_free(packet);
}


static void
ngx_http_openim_ws_frame(ngx_http_openim_ws_t *ws, ngx_uint_t opcode,
    u_char *data, size_t len)
{
    u_char                    *p;
    ngx_http_openim_packet_t  *packet;

    packet = ngx_http_openim_packet_create(NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                           + len);
    if (packet == NULL) {
        ngx_http_openim_ws_abort(ws);
        return;
    }

    p = ngx_http_openim_frame_head(packet->data, opcode, len);

    if (len) {
        p = ngx_cpymem(p, data, len);
    }

    packet->len = p - packet->data;

    ngx_http_openim_ws_send(ws, packet);
    ngx_http_openim_packet_free(packet);
}


static ngx_http_openim_packet_t *
ngx_http_openim_packet_create(size_t len)
{
    ngx_http_openim_packet_t  *packet;

    packet = ngx_alloc(sizeof(ngx_http_openim_packet_t) + len,
                       ngx_http_openim_process.log);
    if (packet == NULL) {
        return NULL;
    }

    packet->refs = 1;
    packet->len = len;
    packet->data = (u_char *) packet + sizeof(ngx_http_openim_packet_t);

    return packet;
}


void
ngx_http_openim_packet_free(ngx_http_openim_packet_t *packet)
{
    if (--packet->refs == 0) {
        ngx_free(packet);
    }
}


ngx_http_openim_packet_t *
ngx_http_openim_packet_envelope(ngx_uint_t variant,
    ngx_http_openim_envelope_resp_t *resp)
{
    u_char                    *plain, *packed, *p;
    size_t                     size, bound;
    ngx_http_openim_gzip_t    *gz;
    ngx_http_openim_packet_t  *packet;

    gz = ngx_http_openim_process.gzip;

    size = ngx_http_openim_envelope_size(variant & 1, resp);

    if (!(variant & 2)) {

        if (size > NGX_HTTP_OPENIM_FRAME_MAX) {
            return NULL;
        }

        packet = ngx_http_openim_packet_create(NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                               + size);
        if (packet == NULL) {
            return NULL;
        }

        p = ngx_http_openim_frame_head(packet->data,
                                       NGX_HTTP_OPENIM_OP_BINARY, size);
        p = ngx_http_openim_envelope_encode(variant & 1, p, resp);
        packet->len = p - packet->data;

        return packet;
    }

    bound = ngx_http_openim_gzip_bound(gz, size);

    plain = ngx_alloc(size + bound, ngx_http_openim_process.log);
    if (plain == NULL) {
        return NULL;
    }

    packet = NULL;
    packed = plain + size;

    (void) ngx_http_openim_envelope_encode(variant & 1, plain, resp);

    p = ngx_http_openim_gzip(gz, packed, bound, plain, size);

    if (p && p - packed <= NGX_HTTP_OPENIM_FRAME_MAX) {

        size = p - packed;

        packet = ngx_http_openim_packet_create(NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                               + size);
        if (packet) {
            p = ngx_http_openim_frame_head(packet->data,
                                           NGX_HTTP_OPENIM_OP_BINARY, size);
            p = ngx_cpymem(p, packed, size);
            packet->len = p - packet->data;
        }
    }

    ngx_free(plain);

    return packet;
}


/* At the end of this round of the event loop: one writev() for all frames */

static void
ngx_http_openim_ws_dirty(ngx_http_openim_ws_t *ws)
{
    if (ws->is_dirty) {
        return;
    }

    ws->is_dirty = 1;
    ngx_queue_insert_tail(&ngx_http_openim_ws_dirties, &ws->dirty);

    ngx_post_event(&ngx_http_openim_ws_flush, &ngx_posted_events);
}


static void
ngx_http_openim_ws_flush_handler(ngx_event_t *ev)
{
    ngx_queue_t           *q;
    ngx_http_openim_ws_t  *ws;

    while (!ngx_queue_empty(&ngx_http_openim_ws_dirties)) {

        q = ngx_queue_head(&ngx_http_openim_ws_dirties);
        ws = ngx_queue_data(q, ngx_http_openim_ws_t, dirty);

        ngx_queue_remove(q);
        ws->is_dirty = 0;

        if (ws->request) {
            /* no 101 yet */
            continue;
        }

        if (ws->state < NGX_HTTP_OPENIM_WS_LINGER) {
            ngx_http_openim_ws_write(ws);
        }

        if (ws->state == NGX_HTTP_OPENIM_WS_DEAD) {
            ngx_http_openim_ws_destroy(ws);
        }
    }
}


static void
ngx_http_openim_ws_write_handler(ngx_event_t *wev)
{
    ngx_connection_t      *c;
    ngx_http_openim_ws_t  *ws;

    c = wev->data;
    ws = c->data;

    if (wev->timedout) {
        wev->timedout = 0;
        ngx_http_openim_count(slow);
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "openim: client does not read, user=%V frames=%ui",
                      &ws->user_id, ws->nout);
        ngx_http_openim_ws_abort(ws);
        return;
    }

    if (ws->state < NGX_HTTP_OPENIM_WS_LINGER) {
        ngx_http_openim_ws_write(ws);
    }
}


/* May end the connection, but never frees it */

static void
ngx_http_openim_ws_write(ngx_http_openim_ws_t *ws)
{
    off_t                   sent;
    ngx_buf_t               bufs[NGX_HTTP_OPENIM_CHAIN];
    ngx_uint_t              n;
    ngx_chain_t             chain[NGX_HTTP_OPENIM_CHAIN], *cl;
    ngx_connection_t       *c;
    ngx_http_openim_out_t  *out;

    c = ws->connection;

    while (ws->out || c->buffered) {

        ngx_memzero(bufs, sizeof(bufs));

        for (out = ws->out, n = 0;
             out && n < NGX_HTTP_OPENIM_CHAIN;
             out = out->next, n++)
        {
            bufs[n].pos = out->packet->data;
            bufs[n].last = out->packet->data + out->packet->len;
            bufs[n].start = bufs[n].pos;
            bufs[n].end = bufs[n].last;
            bufs[n].memory = 1;
            bufs[n].flush = 1;

            chain[n].buf = &bufs[n];
            chain[n].next = NULL;

            if (n) {
                chain[n - 1].next = &chain[n];

            } else {
                bufs[0].pos += ws->out_sent;
            }
        }

        sent = 0;

        cl = c->send_chain(c, n ? chain : NULL, 0);

        if (cl == NGX_CHAIN_ERROR) {
            c->error = 1;
            ngx_http_openim_ws_abort(ws);
            return;
        }

        /* with a buffer of TLS in between, taken is not yet sent */

        while (n--) {
            sent += bufs[n].pos - bufs[n].start;
        }

        sent -= ws->out_sent;

        ngx_http_openim_ws_sent(ws, sent);

        if (cl || (ws->out == NULL && c->buffered)) {
            break;
        }
    }

    if (ws->out || c->buffered) {

        if (!c->write->timer_set) {
            ngx_add_timer(c->write, NGX_HTTP_OPENIM_WRITE_TIMEOUT);
        }

        if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
            ngx_http_openim_ws_abort(ws);
        }

        return;
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (ws->state == NGX_HTTP_OPENIM_WS_CLOSING) {
        ngx_http_openim_ws_shutdown(ws);
    }
}


static void
ngx_http_openim_ws_sent(ngx_http_openim_ws_t *ws, off_t n)
{
    size_t                  rest;
    ngx_http_openim_out_t  *out;

    if (n > 0 && ws->connection->write->timer_set) {
        /* slow, but it reads */
        ngx_add_timer(ws->connection->write, NGX_HTTP_OPENIM_WRITE_TIMEOUT);
    }

    while (ws->out) {

        out = ws->out;
        rest = out->packet->len - ws->out_sent;

        if ((off_t) rest > n) {
            ws->out_sent += n;
            return;
        }

        n -= rest;

        ws->out = out->next;
        ws->out_sent = 0;
        ws->nout--;
        ws->out_len -= out->packet->len;

        ngx_http_openim_packet_free(out->packet);
        ngx_free(out);
    }

    ws->out_last = &ws->out;
}


/* Time: pings, renewals in Redis, waiting for the workers, going away */

static void
ngx_http_openim_ws_timer(ngx_event_t *ev)
{
    ngx_http_openim_ws_t *ws = ev->data;

    ngx_str_t  none = ngx_null_string;

    if (ws->state != NGX_HTTP_OPENIM_WS_OPEN) {
        return;
    }

    if (ws->retiring && ngx_http_openim_left(ws->retire) <= 0) {

        if ((ws->call == NULL && ws->wait == NULL) || ws->waiting
            || ngx_http_openim_left(ws->retire + NGX_HTTP_OPENIM_RETIRE_WAIT)
               <= 0)
        {
            ngx_http_openim_ws_close(ws, NGX_HTTP_OPENIM_CLOSE_AWAY);
            return;
        }
    }

    if (ws->waiting
        && ngx_http_openim_left(ws->since
                             + ngx_http_openim_process.conf->request_timeout)
           <= 0)
    {
        ngx_http_openim_count(timeouts);
        ngx_log_error(NGX_LOG_WARN, ws->connection->log, 0,
                      "openim: groups not known in time, user=%V",
                      &ws->user_id);
        ngx_http_openim_ws_close(ws, NGX_HTTP_OPENIM_CLOSE_AWAY);
        return;
    }

    if (!ws->announced) {
        ngx_http_openim_connected(ws, &none);
    }

    if (ngx_http_openim_left(ws->ping) <= 0) {
        ws->ping = ngx_current_msec
                   + ngx_http_openim_process.conf->ping_interval;
        ngx_http_openim_ws_frame(ws, NGX_HTTP_OPENIM_OP_PING, NULL, 0);
    }

    if (ngx_http_openim_left(ws->renew) <= 0) {
        ws->renew = ngx_current_msec + NGX_HTTP_OPENIM_ONLINE_RENEW * 1000;

        if (ngx_http_openim_redis_register(ws, 0, NULL, NULL) == NULL) {
            ws->renew = ngx_current_msec + NGX_HTTP_OPENIM_RENEW_SPREAD;
        }
    }

    if (ws->state == NGX_HTTP_OPENIM_WS_OPEN) {
        ngx_http_openim_ws_timer_set(ws);
    }
}


static void
ngx_http_openim_ws_timer_set(ngx_http_openim_ws_t *ws)
{
    ngx_msec_int_t  left;

    left = ngx_min(ngx_http_openim_left(ws->ping),
                   ngx_http_openim_left(ws->renew));

    if (ws->waiting) {
        left = ngx_min(left, ngx_http_openim_left(ws->since
                            + ngx_http_openim_process.conf->request_timeout));
    }

    if (!ws->announced) {
        left = ngx_min(left, NGX_HTTP_OPENIM_ANNOUNCE);
    }

    if (ws->retiring) {
        /* due already: a request is under way, look again soon */
        left = ngx_min(left, ngx_max(ngx_http_openim_left(ws->retire), 100));
    }

    ngx_add_timer(&ws->timer, ngx_max(left, 1));
}


/*
 * With nobody to come back to (a quit, no reload), there is no reason to stay:
 * a young client will synchronise when it connects again after a while.
 */

void
ngx_http_openim_ws_retire(ngx_http_openim_ws_t *ws)
{
    ngx_msec_t  at, min, spread;

    if (ws->retiring || ws->state != NGX_HTTP_OPENIM_WS_OPEN) {
        return;
    }

    if (ngx_exiting && !ngx_http_openim_replaced()) {
        ws->retire = ngx_current_msec
                     + ngx_random() % NGX_HTTP_OPENIM_RETIRE_QUIT;
        ws->retiring = 1;

        ngx_http_openim_ws_timer_set(ws);
        return;
    }

    spread = ngx_random() % NGX_HTTP_OPENIM_RETIRE_SPREAD;

    at = ngx_current_msec + spread;
    min = ws->since + NGX_HTTP_OPENIM_RETIRE_AGE + spread / 4;

    ws->retire = ((ngx_msec_int_t) (min - at) > 0) ? min : at;
    ws->retiring = 1;

    ngx_http_openim_ws_timer_set(ws);
}


void
ngx_http_openim_ws_retire_all(void)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&ngx_http_openim_ws_all);
         q != ngx_queue_sentinel(&ngx_http_openim_ws_all);
         q = ngx_queue_next(q))
    {
        ngx_http_openim_ws_retire(ngx_queue_data(q, ngx_http_openim_ws_t,
                                                 all));
    }
}


void
ngx_http_openim_ws_renew_all(void)
{
    ngx_queue_t           *q;
    ngx_http_openim_ws_t  *ws;

    for (q = ngx_queue_head(&ngx_http_openim_ws_all);
         q != ngx_queue_sentinel(&ngx_http_openim_ws_all);
         q = ngx_queue_next(q))
    {
        ws = ngx_queue_data(q, ngx_http_openim_ws_t, all);

        if (ws->state == NGX_HTTP_OPENIM_WS_OPEN) {
            ws->renew = ngx_current_msec
                        + ngx_random() % NGX_HTTP_OPENIM_RENEW_SPREAD;
            ngx_http_openim_ws_timer_set(ws);
        }
    }
}


/* The ways to end */

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
    ngx_http_openim_out_t  *out;

    if (ws->state == NGX_HTTP_OPENIM_WS_DEAD) {
        return;
    }

    ngx_http_openim_ws_leave(ws);

    while (ws->out) {
        out = ws->out;
        ws->out = out->next;
        ngx_http_openim_packet_free(out->packet);
        ngx_free(out);
    }

    ws->out_last = &ws->out;
    ws->nout = 0;
    ws->out_len = 0;
    ws->out_sent = 0;

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


static void
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


static void
ngx_http_openim_ws_destroy(ngx_http_openim_ws_t *ws)
{
    ngx_connection_t       *c;
    ngx_http_openim_out_t  *out;

    c = ws->connection;

    while (ws->out) {
        out = ws->out;
        ws->out = out->next;
        ngx_http_openim_packet_free(out->packet);
        ngx_free(out);
    }

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
