
/*
 * The requests of a connection: one at a time, in order (gateway.md 2.5).
 * Those that come meanwhile wait here, and so do all until the user's groups
 * are known, and while Kafka's queue is full; who has too many is not read
 * from.  Called by ngx_http_openim_connection_read.c for each one, by
 * ngx_http_openim_call.c when one is answered; goes on in
 * ngx_http_openim_request.c.
 */


#include "ngx_http_openim_connection_internal.h"


#define NGX_HTTP_OPENIM_RETRY  20            /* Kafka's queue was full */


static void ngx_http_openim_ws_block(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_pause(ngx_http_openim_ws_t *ws);
static void ngx_http_openim_ws_unblock_handler(ngx_event_t *ev);


static ngx_queue_t  ngx_http_openim_ws_blocks;
static ngx_event_t  ngx_http_openim_ws_unblock;


void
ngx_http_openim_ws_wait_init(void)
{
    ngx_queue_init(&ngx_http_openim_ws_blocks);

    ngx_http_openim_ws_unblock.handler = ngx_http_openim_ws_unblock_handler;
    ngx_http_openim_ws_unblock.data = &ngx_http_openim_process;
    ngx_http_openim_ws_unblock.log = ngx_http_openim_process.log;
    ngx_http_openim_ws_unblock.cancelable = 1;
}


void
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

    if (ws->nwait >= NGX_HTTP_OPENIM_WAIT_MESSAGES
        || ws->wait_len >= NGX_HTTP_OPENIM_WAIT_BYTES)
    {
        ngx_http_openim_ws_pause(ws);
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

    ngx_http_openim_ws_pause(ws);

    if (!ngx_http_openim_ws_unblock.timer_set) {
        ngx_add_timer(&ngx_http_openim_ws_unblock, NGX_HTTP_OPENIM_RETRY);
    }
}


static void
ngx_http_openim_ws_pause(ngx_http_openim_ws_t *ws)
{
    if (ws->paused) {
        return;
    }

    ws->paused = 1;

    if (ws->connection->read->timer_set) {
        ngx_del_timer(ws->connection->read);
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
