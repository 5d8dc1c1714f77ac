
/*
 * Time passes for a connection: pings, renewals in Redis, the wait for its
 * groups, going away.  Called by its timer, which each step sets anew; retire
 * and renew by ngx_http_openim_downlink.c, _redis_heartbeat.c and _process.c.
 */


#include "ngx_http_openim_connection_internal.h"


#define NGX_HTTP_OPENIM_ANNOUNCE       200     /* Kafka's queue was full */

/* clients do not synchronise within 5 s of the last time (gateway.md 9.3) */
#define NGX_HTTP_OPENIM_RETIRE_AGE     5500
#define NGX_HTTP_OPENIM_RETIRE_SPREAD  2000
#define NGX_HTTP_OPENIM_RETIRE_QUIT    1000
#define NGX_HTTP_OPENIM_RETIRE_WAIT    10000

#define NGX_HTTP_OPENIM_RENEW_SPREAD   5000


void
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


void
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
