
/*
 * What a client is sent: the queue of its packets, written with one writev() at
 * the end of a round of the event loop.  Called by ngx_http_openim_request.c
 * and _call.c with answers, by the ngx_http_openim_downlink*.c files with
 * pushes, and by nginx's events; packets are made in ngx_http_openim_packet.c.
 */


#include "ngx_http_openim_connection_internal.h"


#define NGX_HTTP_OPENIM_WRITE_TIMEOUT  10000
#define NGX_HTTP_OPENIM_CHAIN          32     /* packets in one writev() */


static void ngx_http_openim_ws_flush_handler(ngx_event_t *ev);
static void ngx_http_openim_ws_sent(ngx_http_openim_ws_t *ws, off_t n);


static ngx_queue_t  ngx_http_openim_ws_dirties;
static ngx_event_t  ngx_http_openim_ws_flush;


void
ngx_http_openim_ws_write_init(void)
{
    ngx_queue_init(&ngx_http_openim_ws_dirties);

    ngx_http_openim_ws_flush.handler = ngx_http_openim_ws_flush_handler;
    ngx_http_openim_ws_flush.data = &ngx_http_openim_process;
    ngx_http_openim_ws_flush.log = ngx_http_openim_process.log;
}


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


void
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


/* At the end of this round of the event loop: one writev() for all frames */

void
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


void
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

void
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


void
ngx_http_openim_ws_drop(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_out_t  *out;

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
}
