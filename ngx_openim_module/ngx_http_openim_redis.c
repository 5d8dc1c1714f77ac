
/*
 * The two links to Redis: one for commands, one that is subscribed to our reply
 * channel and to online_change.  Connecting, time-outs and reconnecting are
 * here; hiredis is driven by nginx's events (ngx_http_openim_redis_adapter.c).
 *
 * Started by ngx_http_openim_process.c; then ngx_http_openim_redis_command.c
 * says what is asked, _redis_subscribe.c what comes by itself,
 * _redis_heartbeat.c how others know that we are here.
 */


#include "ngx_http_openim_redis.h"

#include <ngx_sha1.h>


#define NGX_HTTP_OPENIM_BACKOFF_MIN  100
#define NGX_HTTP_OPENIM_BACKOFF_MAX  500


static void ngx_http_openim_link_init(ngx_http_openim_link_t *link,
    const char *name, ngx_log_t *log);
static void ngx_http_openim_link_timer(ngx_event_t *ev);
static void ngx_http_openim_link_start(ngx_http_openim_link_t *link);
static void ngx_http_openim_redis_connected(const redisAsyncContext *ac,
    int status);
static void ngx_http_openim_redis_step(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_link_lost(ngx_http_openim_link_t *link,
    const char *why);
static void ngx_http_openim_redis_disconnected(const redisAsyncContext *ac,
    int status);


ngx_http_openim_redis_t  ngx_http_openim_redis;


ngx_int_t
ngx_http_openim_redis_init(ngx_cycle_t *cycle)
{
    u_char                    digest[20], *p;
    ngx_sha1_t                sha1;
    ngx_uint_t                i;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    ngx_queue_init(&rds->sent);
    ngx_queue_init(&rds->kept);

    for (i = 0; i < NGX_HTTP_OPENIM_SCRIPTS; i++) {
        ngx_sha1_init(&sha1);
        ngx_sha1_update(&sha1, ngx_http_openim_scripts[i].data,
                        ngx_http_openim_scripts[i].len);
        ngx_sha1_final(digest, &sha1);
        ngx_hex_dump(rds->sha[i], digest, 20);
    }

    p = ngx_cpymem(rds->channel, "openim:gw:", sizeof("openim:gw:") - 1);
    p = ngx_cpymem(p, ngx_http_openim_process.gateway.data,
                   ngx_http_openim_process.gateway.len);
    rds->channel_len = p - rds->channel;

    rds->timeout.handler = ngx_http_openim_job_timeout;
    rds->timeout.data = rds;
    rds->timeout.log = cycle->log;

    rds->leaving.handler = ngx_http_openim_leaving_handler;
    rds->leaving.data = rds;
    rds->leaving.log = cycle->log;

    rds->heartbeat.handler = ngx_http_openim_heartbeat;
    rds->heartbeat.data = rds;
    rds->heartbeat.log = cycle->log;
    rds->heartbeat.cancelable = 1;

    ngx_http_openim_link_init(&rds->command, "commands", cycle->log);
    ngx_http_openim_link_init(&rds->subscription, "subscription", cycle->log);

    rds->addr = ngx_pid % ngx_http_openim_process.conf->redis_naddrs;

    ngx_add_timer(&rds->command.timer, 1);
    ngx_add_timer(&rds->subscription.timer, 1);
    ngx_add_timer(&rds->heartbeat, NGX_HTTP_OPENIM_HEARTBEAT);

    return NGX_OK;
}


void
ngx_http_openim_redis_exit(void)
{
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    ngx_http_openim_link_drop(&rds->subscription, NULL);
    ngx_http_openim_link_drop(&rds->command, NULL);

    ngx_http_openim_jobs_free();
}


/* Both links: who registers without a subscription would get no answers */

ngx_uint_t
ngx_http_openim_redis_ready(void)
{
    return ngx_http_openim_redis.command.state == NGX_HTTP_OPENIM_LINK_UP
           && ngx_http_openim_redis.subscription.state
              == NGX_HTTP_OPENIM_LINK_UP;
}


static void
ngx_http_openim_link_init(ngx_http_openim_link_t *link, const char *name,
    ngx_log_t *log)
{
    link->name = name;
    link->backoff = NGX_HTTP_OPENIM_BACKOFF_MIN;
    link->timer.handler = ngx_http_openim_link_timer;
    link->timer.data = link;
    link->timer.log = log;
    link->timer.cancelable = 1;
}


static void
ngx_http_openim_link_timer(ngx_event_t *ev)
{
    ngx_http_openim_link_t *link = ev->data;

    if (link->state == NGX_HTTP_OPENIM_LINK_CONNECTING) {
        ngx_http_openim_link_drop(link, "no answer in time");
        return;
    }

    ngx_http_openim_link_start(link);
}


static void
ngx_http_openim_link_start(ngx_http_openim_link_t *link)
{
    u_char                        host[NGX_SOCKADDR_STRLEN + 1];
    size_t                        len;
    ngx_addr_t                   *addr;
    struct sockaddr_un           *saun;
    redisAsyncContext            *ac;
    ngx_http_openim_redis_t      *rds;
    ngx_http_openim_main_conf_t  *mcf;

    rds = &ngx_http_openim_redis;
    mcf = ngx_http_openim_process.conf;

    addr = &mcf->redis_addrs[rds->addr++ % mcf->redis_naddrs];

    if (addr->sockaddr->sa_family == AF_UNIX) {
        saun = (struct sockaddr_un *) addr->sockaddr;
        ac = redisAsyncConnectUnix(saun->sun_path);

    } else {
        len = ngx_sock_ntop(addr->sockaddr, addr->socklen, host,
                            NGX_SOCKADDR_STRLEN, 0);
        host[len] = '\0';
        ac = redisAsyncConnect((char *) host,
                               ngx_inet_get_port(addr->sockaddr));
    }

    link->state = NGX_HTTP_OPENIM_LINK_CONNECTING;
    ngx_add_timer(&link->timer, NGX_HTTP_OPENIM_REDIS_TIMEOUT);

    if (ac == NULL) {
        ngx_http_openim_link_lost(link, "no memory");
        return;
    }

    if (ac->err) {
        ngx_http_openim_link_lost(link, ac->errstr);
        redisAsyncFree(ac);
        return;
    }

    if (ngx_http_openim_adapter_attach(ac) != NGX_OK) {
        ngx_http_openim_link_lost(link, "no free connection");
        redisAsyncFree(ac);
        return;
    }

    ac->data = link;
    link->ac = ac;

    redisAsyncSetDisconnectCallback(ac, ngx_http_openim_redis_disconnected);
    redisAsyncSetConnectCallback(ac, ngx_http_openim_redis_connected);
}


static void
ngx_http_openim_redis_connected(const redisAsyncContext *ac, int status)
{
    ngx_uint_t                    i;
    redisAsyncContext            *rac;
    ngx_http_openim_link_t       *link;
    ngx_http_openim_redis_t      *rds;
    ngx_http_openim_main_conf_t  *mcf;

    link = ac->data;

    if (link == NULL) {
        return;
    }

    if (status != REDIS_OK) {
        /* hiredis frees it */
        link->ac = NULL;
        ngx_http_openim_link_lost(link, ac->errstr);
        return;
    }

    rds = &ngx_http_openim_redis;
    mcf = ngx_http_openim_process.conf;
    rac = link->ac;

    link->steps = 0;

    if (mcf->redis_password.len) {
        redisAsyncCommand(rac, ngx_http_openim_redis_step, link, "AUTH %b",
                          mcf->redis_password.data, mcf->redis_password.len);
        link->steps++;
    }

    if (mcf->redis_db && link == &rds->command) {
        redisAsyncCommand(rac, ngx_http_openim_redis_step, link, "SELECT %d",
                          (int) mcf->redis_db);
        link->steps++;
    }

    if (link == &rds->command) {
        for (i = 0; i < NGX_HTTP_OPENIM_SCRIPTS; i++) {
            redisAsyncCommand(rac, ngx_http_openim_redis_step, link,
                              "SCRIPT LOAD %b",
                              ngx_http_openim_scripts[i].data,
                              ngx_http_openim_scripts[i].len);
            link->steps++;
        }

    } else {
        redisAsyncCommand(rac, ngx_http_openim_redis_message, link,
                          "SUBSCRIBE %b online_change",
                          rds->channel, rds->channel_len);
        link->steps += 2;
    }
}


/* The answer to one of the commands that bring a link up */

static void
ngx_http_openim_redis_step(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_openim_link_t *link = data;

    redisReply  *rr = reply;

    if (rr == NULL || link->ac != ac) {
        return;
    }

    if (rr->type == REDIS_REPLY_ERROR) {
        ngx_http_openim_link_drop(link, rr->str);
        return;
    }

    if (--link->steps == 0) {
        ngx_http_openim_link_up(link);
    }
}


void
ngx_http_openim_link_up(ngx_http_openim_link_t *link)
{
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    link->state = NGX_HTTP_OPENIM_LINK_UP;
    link->backoff = NGX_HTTP_OPENIM_BACKOFF_MIN;
    link->failed = 0;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_http_openim_process.log, 0,
                  "openim: redis %s up", link->name);

    if (link == &rds->command) {
        ngx_http_openim_process.stat->redis_up = 1;
        ngx_http_openim_jobs_kept();
        ngx_http_openim_heartbeat(&rds->heartbeat);
        return;
    }

    ngx_http_openim_process.stat->subscribed = 1;
    rds->heard = ngx_current_msec;

    if (rds->subscribed) {
        ngx_http_openim_downlink_resubscribed();
    }

    rds->subscribed = 1;
}


/* link->ac is already gone or about to go: only our side */

static void
ngx_http_openim_link_lost(ngx_http_openim_link_t *link, const char *why)
{
    ngx_uint_t  was;

    was = link->state;
    link->state = NGX_HTTP_OPENIM_LINK_DOWN;

    if (link == &ngx_http_openim_redis.command) {
        ngx_http_openim_process.stat->redis_up = 0;

    } else {
        ngx_http_openim_process.stat->subscribed = 0;
    }

    if (ngx_http_openim_process.stopping) {
        if (link->timer.timer_set) {
            ngx_del_timer(&link->timer);
        }

        return;
    }

    ngx_http_openim_count(redis_errors);

    if (was == NGX_HTTP_OPENIM_LINK_UP || !link->failed) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: redis %s down: %s", link->name, why);
    }

    link->failed = 1;

    ngx_add_timer(&link->timer, link->backoff);

    link->backoff = ngx_min(link->backoff * 2, NGX_HTTP_OPENIM_BACKOFF_MAX);
}


/* Ends a link from our side; all its jobs are answered, as failed */

void
ngx_http_openim_link_drop(ngx_http_openim_link_t *link, const char *why)
{
    redisAsyncContext  *ac;

    ac = link->ac;
    link->ac = NULL;

    ngx_http_openim_link_lost(link, why);

    if (ac) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }
}


static void
ngx_http_openim_redis_disconnected(const redisAsyncContext *ac, int status)
{
    ngx_http_openim_link_t  *link;

    link = ac->data;

    if (link && link->ac == ac) {
        link->ac = NULL;
        ngx_http_openim_link_lost(link, ac->err ? ac->errstr : "closed");
    }
}
