
/*
 * What a client sends: bytes, frames, messages (gateway.md 2).  Called by
 * nginx's events.  Text messages are answered here, binary ones go to
 * ngx_http_openim_connection_wait.c; frames are taken apart by
 * ngx_http_openim_frame.c.
 */


#include "ngx_http_openim_connection_internal.h"


#define NGX_HTTP_OPENIM_READS  16      /* in one turn */


static void ngx_http_openim_ws_linger(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_piece(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_message(ngx_http_openim_ws_t *ws,
    ngx_uint_t type, u_char *data, size_t len);
static void ngx_http_openim_ws_text(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len);


void
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


void
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
