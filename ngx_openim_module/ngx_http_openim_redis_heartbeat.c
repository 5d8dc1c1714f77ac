
/*
 * That this gateway is here: oim:gateways holds it while its heartbeat goes on,
 * and until it leaves.  The heartbeat also publishes an empty record to our own
 * channel: a subscription that does not hear it is dead, whatever TCP says.
 *
 * Called by a timer and by ngx_http_openim_redis.c when the link is up; leave
 * by ngx_http_openim_connection.c with the last connection of a process that
 * ends.
 */


#include "ngx_http_openim_redis.h"


static void ngx_http_openim_heartbeat_done(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_left(redisAsyncContext *ac, void *reply,
    void *data);


void
ngx_http_openim_heartbeat(ngx_event_t *ev)
{
    u_char                    expiry[NGX_INT64_LEN + 1];
    u_char                    old[NGX_INT64_LEN + 1];
    int64_t                   now;
    ngx_str_t                *gateway;
    redisAsyncContext        *ac;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;
    gateway = &ngx_http_openim_process.gateway;

    ngx_add_timer(ev, NGX_HTTP_OPENIM_HEARTBEAT);

    if (rds->command.state != NGX_HTTP_OPENIM_LINK_UP || rds->left) {
        return;
    }

    ac = rds->command.ac;
    now = ngx_http_openim_now();

    *ngx_sprintf(expiry, "%L", now + NGX_HTTP_OPENIM_ALIVE) = '\0';
    *ngx_sprintf(old, "%L", now - 60000) = '\0';

    redisAsyncCommand(ac, ngx_http_openim_heartbeat_done, NULL,
                      "ZADD oim:gateways %s %b", (char *) expiry,
                      gateway->data, gateway->len);
    redisAsyncCommand(ac, NULL, NULL, "ZREMRANGEBYSCORE oim:gateways -inf %s",
                      (char *) old);
    redisAsyncCommand(ac, NULL, NULL, "PUBLISH %b %b",
                      rds->channel, rds->channel_len, "", (size_t) 0);

    if (rds->subscription.state == NGX_HTTP_OPENIM_LINK_UP
        && rds->alive
        && (ngx_msec_int_t) (rds->alive - rds->heard) > NGX_HTTP_OPENIM_ALIVE)
    {
        ngx_http_openim_link_drop(&rds->subscription,
                                  "it does not hear us any more");
    }
}


/*
 * ZADD says 1 for a new member: if we were there before, Redis has lost its
 * data.  If we were silent for too long, others took us for dead.  In both
 * cases our connections must be registered again, and nobody has numbered what
 * was not said to us meanwhile.
 */

static void
ngx_http_openim_heartbeat_done(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply               *rr = reply;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    if (rr == NULL || rds->command.ac != ac) {
        return;
    }

    if (rr->type != REDIS_REPLY_INTEGER) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: heartbeat refused by redis: %s",
                      rr->type == REDIS_REPLY_ERROR ? rr->str : "?");
        return;
    }

    if (rds->known
        && (rr->integer == 1
            || ngx_current_msec - rds->alive > NGX_HTTP_OPENIM_ALIVE))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_http_openim_process.log, 0,
                      "openim: redis does not know this gateway any more, "
                      "registering %ui connections again",
                      ngx_http_openim_process.connections);
        ngx_http_openim_ws_renew_all();
        ngx_http_openim_downlink_resync("this gateway was not known");
    }

    rds->known = 1;
    rds->alive = ngx_current_msec;
}


/*
 * The last connection of a process that ends is gone.  nginx waits for the
 * timer, so that the command can be written.
 */

void
ngx_http_openim_redis_leave(void)
{
    ngx_str_t                *gateway;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;
    gateway = &ngx_http_openim_process.gateway;

    if (rds->command.state != NGX_HTTP_OPENIM_LINK_UP || rds->left) {
        return;
    }

    rds->left = 1;

    redisAsyncCommand(rds->command.ac, ngx_http_openim_left, NULL,
                      "ZREM oim:gateways %b", gateway->data, gateway->len);

    ngx_add_timer(&rds->leaving, 500);
}


static void
ngx_http_openim_left(redisAsyncContext *ac, void *reply, void *data)
{
    if (ngx_http_openim_redis.leaving.timer_set) {
        ngx_del_timer(&ngx_http_openim_redis.leaving);
    }
}


void
ngx_http_openim_leaving_handler(ngx_event_t *ev)
{
}
