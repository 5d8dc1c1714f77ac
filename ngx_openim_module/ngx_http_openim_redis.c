
/*
 * The two links to Redis: one for commands, one that is subscribed to our reply
 * channel and to online_change.  hiredis is driven by nginx's events through
 * the adapter at the end; connecting, time-outs and reconnecting are ours, and
 * no hiredis type leaves this file.
 *
 * A link is down (a timer will try again), connecting, or up.  Commands are
 * jobs: a script with its arguments in one allocation, answered in order, all
 * failed when the oldest is older than three seconds.  An unregistration is
 * kept until it is done, or a user would seem online for half an hour.
 *
 * The heartbeat also publishes an empty record to our own channel: a
 * subscription that does not hear it is dead, whatever TCP says.
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"

#include <ngx_sha1.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


#define NGX_HTTP_OPENIM_LINK_DOWN        0
#define NGX_HTTP_OPENIM_LINK_CONNECTING  1
#define NGX_HTTP_OPENIM_LINK_UP          2

#define NGX_HTTP_OPENIM_REDIS_TIMEOUT    3000
#define NGX_HTTP_OPENIM_BACKOFF_MIN      100
#define NGX_HTTP_OPENIM_BACKOFF_MAX      500

#define NGX_HTTP_OPENIM_HEARTBEAT        3000
#define NGX_HTTP_OPENIM_ALIVE            10000

#define NGX_HTTP_OPENIM_JOBS_MAX         20000   /* sent, unanswered */
#define NGX_HTTP_OPENIM_KEPT_MAX         100000  /* to be sent again */
#define NGX_HTTP_OPENIM_JOB_ARGS         18


typedef struct {
    redisAsyncContext       *ac;
    ngx_connection_t        *connection;
    ngx_uint_t               state;
    ngx_msec_t               backoff;
    ngx_event_t              timer;          /* the next step of the link */
    ngx_uint_t               steps;          /* answers until it is up */
    const char              *name;
    unsigned                 failed:1;       /* and logged */
} ngx_http_openim_link_t;


struct ngx_http_openim_job_s {
    ngx_queue_t              queue;
    ngx_http_openim_job_pt   handler;
    void                    *data;
    ngx_msec_t               start;
    ngx_uint_t               script;
    unsigned                 keep:1;         /* until it is done */
    unsigned                 again:1;        /* the whole script was sent */
    int                      argc;
    const char              *argv[NGX_HTTP_OPENIM_JOB_ARGS];
    size_t                   lens[NGX_HTTP_OPENIM_JOB_ARGS];
    u_char                   text[1];
};


typedef struct {
    ngx_http_openim_link_t   command;
    ngx_http_openim_link_t   subscription;

    ngx_queue_t              sent;           /* jobs, oldest first */
    ngx_uint_t               nsent;
    ngx_queue_t              kept;           /* jobs to be sent again */
    ngx_uint_t               nkept;

    ngx_event_t              timeout;        /* of the oldest sent job */
    ngx_event_t              leaving;
    ngx_event_t              heartbeat;
    ngx_msec_t               alive;          /* last heartbeat that arrived */
    ngx_msec_t               heard;          /* by the subscription */
    ngx_uint_t               addr;           /* the one to try next */

    unsigned                 known:1;        /* oim:gateways holds us */
    unsigned                 subscribed:1;   /* has been */
    unsigned                 left:1;         /* no heartbeat any more */

    u_char                   sha[NGX_HTTP_OPENIM_SCRIPTS][40];
    u_char                   channel[sizeof("openim:gw:")
                                     + NGX_HTTP_OPENIM_GATEWAY_LEN];
    size_t                   channel_len;
} ngx_http_openim_redis_t;


static void ngx_http_openim_link_init(ngx_http_openim_link_t *link,
    const char *name, ngx_log_t *log);
static void ngx_http_openim_link_timer(ngx_event_t *ev);
static void ngx_http_openim_link_start(ngx_http_openim_link_t *link);
static void ngx_http_openim_link_up(ngx_http_openim_link_t *link);
static void ngx_http_openim_link_lost(ngx_http_openim_link_t *link,
    const char *why);
static void ngx_http_openim_link_drop(ngx_http_openim_link_t *link,
    const char *why);
static void ngx_http_openim_redis_connected(const redisAsyncContext *ac,
    int status);
static void ngx_http_openim_redis_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_http_openim_redis_step(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_redis_message(redisAsyncContext *ac, void *reply,
    void *data);

static void ngx_http_openim_heartbeat(ngx_event_t *ev);
static void ngx_http_openim_heartbeat_done(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_left(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_leaving_handler(ngx_event_t *ev);

static ngx_http_openim_job_t *ngx_http_openim_job_create(ngx_uint_t script,
    ngx_str_t *keys, ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs);
static ngx_int_t ngx_http_openim_job_send(ngx_http_openim_job_t *job);
static void ngx_http_openim_job_reply(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_job_done(ngx_http_openim_job_t *job,
    ngx_int_t code);
static void ngx_http_openim_job_timeout(ngx_event_t *ev);
static void ngx_http_openim_job_timer(void);
static void ngx_http_openim_jobs_kept(void);

static ngx_int_t ngx_http_openim_adapter_attach(ngx_http_openim_link_t *link,
    redisAsyncContext *ac);
static void ngx_http_openim_adapter_read(ngx_event_t *ev);
static void ngx_http_openim_adapter_write(ngx_event_t *ev);
static void ngx_http_openim_adapter_add_read(void *data);
static void ngx_http_openim_adapter_del_read(void *data);
static void ngx_http_openim_adapter_add_write(void *data);
static void ngx_http_openim_adapter_del_write(void *data);
static void ngx_http_openim_adapter_cleanup(void *data);


static ngx_http_openim_redis_t  ngx_http_openim_redis;


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
    ngx_queue_t              *q;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    ngx_http_openim_link_drop(&rds->subscription, NULL);
    ngx_http_openim_link_drop(&rds->command, NULL);

    while (!ngx_queue_empty(&rds->kept)) {
        q = ngx_queue_head(&rds->kept);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_openim_job_t, queue));
    }
}


/* Both links: who registers without a subscription would get no answers */

ngx_uint_t
ngx_http_openim_redis_ready(void)
{
    return ngx_http_openim_redis.command.state == NGX_HTTP_OPENIM_LINK_UP
           && ngx_http_openim_redis.subscription.state
              == NGX_HTTP_OPENIM_LINK_UP;
}


/* The links */

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

    if (ngx_http_openim_adapter_attach(link, ac) != NGX_OK) {
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


static void
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

static void
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


/* Everything that the subscription brings, its confirmations included */

static void
ngx_http_openim_redis_message(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_openim_link_t *link = data;

    redisReply               *rr = reply;
    redisReply               *kind, *channel, *payload;
    ngx_http_openim_redis_t  *rds;

    if (rr == NULL || link->ac != ac) {
        return;
    }

    rds = &ngx_http_openim_redis;

    if (rr->type == REDIS_REPLY_ERROR) {
        ngx_http_openim_link_drop(link, rr->str);
        return;
    }

    if (rr->type != REDIS_REPLY_ARRAY || rr->elements != 3) {
        return;
    }

    kind = rr->element[0];
    channel = rr->element[1];
    payload = rr->element[2];

    if (kind->type != REDIS_REPLY_STRING
        || channel->type != REDIS_REPLY_STRING)
    {
        return;
    }

    if (payload->type == REDIS_REPLY_INTEGER) {

        if (link->state == NGX_HTTP_OPENIM_LINK_CONNECTING
            && ngx_strcmp(kind->str, "subscribe") == 0
            && --link->steps == 0)
        {
            ngx_http_openim_link_up(link);
        }

        return;
    }

    if (payload->type != REDIS_REPLY_STRING) {
        return;
    }

    if (channel->len == rds->channel_len
        && ngx_memcmp(channel->str, rds->channel, rds->channel_len) == 0)
    {
        rds->heard = ngx_current_msec;

        if (payload->len) {
            ngx_http_openim_downlink_handle((u_char *) payload->str,
                                            payload->len);
        }

    } else {
        ngx_http_openim_session_presence((u_char *) payload->str,
                                         payload->len);
    }
}


/* The heartbeat */

static void
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


static void
ngx_http_openim_leaving_handler(ngx_event_t *ev)
{
}


/* Jobs */

ngx_http_openim_job_t *
ngx_http_openim_redis_token(ngx_str_t *user_id, ngx_int_t platform_id,
    ngx_str_t *token, ngx_http_openim_job_pt handler, void *data)
{
    u_char                  text[2][NGX_MAX_PATH], *p;
    ngx_str_t               keys[2], args[2];
    const char             *platform;
    ngx_http_openim_job_t  *job;

    platform = ngx_http_openim_platform(platform_id);

    if (platform == NULL
        || user_id->len + token->len > NGX_MAX_PATH - 128
        || ngx_http_openim_redis.command.state != NGX_HTTP_OPENIM_LINK_UP)
    {
        return NULL;
    }

    keys[0].data = text[0];
    p = ngx_sprintf(text[0], "UID_PID_TOKEN_STATUS:%V:%s", user_id, platform);
    keys[0].len = p - text[0];

    keys[1].data = text[1];
    p = ngx_sprintf(text[1], "UID_PID_TOKEN_STATUS::TEMPORARY:%V:%s:%V",
                    user_id, platform, token);
    keys[1].len = p - text[1];

    args[0] = *token;
    ngx_str_set(&args[1], "0");

    if (ngx_http_openim_is_admin(user_id)) {
        ngx_str_set(&args[1], "1");
    }

    job = ngx_http_openim_job_create(NGX_HTTP_OPENIM_SCRIPT_TOKEN, keys, 2,
                                     args, 2);
    if (job == NULL) {
        return NULL;
    }

    job->handler = handler;
    job->data = data;

    if (ngx_http_openim_job_send(job) != NGX_OK) {
        ngx_free(job);
        return NULL;
    }

    return job;
}


/* check: the token is checked, too, and nothing is registered if it is bad */

ngx_http_openim_job_t *
ngx_http_openim_redis_register(ngx_http_openim_ws_t *ws, ngx_uint_t check,
    ngx_http_openim_job_pt handler, void *data)
{
    u_char                 *text, *p;
    u_char                  id[NGX_INT64_LEN], now[NGX_INT64_LEN];
    size_t                  len;
    ngx_str_t               keys[5], args[7];
    const char             *platform;
    ngx_http_openim_job_t  *job;

    if (ngx_http_openim_redis.command.state != NGX_HTTP_OPENIM_LINK_UP) {
        return NULL;
    }

    platform = ngx_http_openim_platform(ws->platform_id);

    len = 4 * (ws->user_id.len + 128) + 2 * ws->token.len;

    text = ngx_alloc(len, ngx_http_openim_process.log);
    if (text == NULL) {
        return NULL;
    }

    p = text;

    keys[0].data = p;
    p = ngx_sprintf(p, "oim:conn:%V", &ws->user_id);
    keys[0].len = p - keys[0].data;

    keys[1].data = p;
    p = ngx_sprintf(p, "ONLINE:%V", &ws->user_id);
    keys[1].len = p - keys[1].data;

    ngx_str_set(&keys[2], "oim:gateways");

    keys[3].data = p;
    p = ngx_sprintf(p, "UID_PID_TOKEN_STATUS:%V:%s", &ws->user_id, platform);
    keys[3].len = p - keys[3].data;

    keys[4].data = p;
    p = ngx_sprintf(p, "UID_PID_TOKEN_STATUS::TEMPORARY:%V:%s:%V",
                    &ws->user_id, platform, &ws->token);
    keys[4].len = p - keys[4].data;

    args[0] = ws->user_id;
    args[1] = ngx_http_openim_process.gateway;

    args[2].data = id;
    args[2].len = ngx_sprintf(id, "%uL", ws->id) - id;

    args[3].data = p;
    p = ngx_sprintf(p, "%ud:%L:%ud:%V", (unsigned) ws->platform_id,
                    ws->connected, (unsigned) ws->background, &ws->token);
    args[3].len = p - args[3].data;

    args[4].data = now;
    args[4].len = ngx_sprintf(now, "%L", ngx_http_openim_now()) - now;

    ngx_str_null(&args[5]);
    ngx_str_set(&args[6], "0");

    if (check) {
        args[5] = ws->token;

        if (ngx_http_openim_is_admin(&ws->user_id)) {
            ngx_str_set(&args[6], "1");
        }
    }

    job = ngx_http_openim_job_create(NGX_HTTP_OPENIM_SCRIPT_REGISTER, keys, 5,
                                     args, 7);
    ngx_free(text);

    if (job == NULL) {
        return NULL;
    }

    job->handler = handler;
    job->data = data;

    if (ngx_http_openim_job_send(job) != NGX_OK) {
        ngx_free(job);
        return NULL;
    }

    ws->registered = 1;

    return job;
}


void
ngx_http_openim_redis_unregister(ngx_http_openim_ws_t *ws)
{
    u_char                   *text, *p;
    u_char                    id[NGX_INT64_LEN], now[NGX_INT64_LEN];
    ngx_str_t                 keys[3], args[4];
    ngx_http_openim_job_t    *job;
    ngx_http_openim_redis_t  *rds;

    if (!ws->registered || ngx_http_openim_process.stopping) {
        return;
    }

    ws->registered = 0;
    rds = &ngx_http_openim_redis;

    text = ngx_alloc(2 * (ws->user_id.len + 16), ngx_http_openim_process.log);
    if (text == NULL) {
        return;
    }

    p = text;

    keys[0].data = p;
    p = ngx_sprintf(p, "oim:conn:%V", &ws->user_id);
    keys[0].len = p - keys[0].data;

    keys[1].data = p;
    p = ngx_sprintf(p, "ONLINE:%V", &ws->user_id);
    keys[1].len = p - keys[1].data;

    ngx_str_set(&keys[2], "oim:gateways");

    args[0] = ws->user_id;
    args[1] = ngx_http_openim_process.gateway;

    args[2].data = id;
    args[2].len = ngx_sprintf(id, "%uL", ws->id) - id;

    args[3].data = now;
    args[3].len = ngx_sprintf(now, "%L", ngx_http_openim_now()) - now;

    job = ngx_http_openim_job_create(NGX_HTTP_OPENIM_SCRIPT_UNREGISTER,
                                     keys, 3, args, 4);
    ngx_free(text);

    if (job == NULL) {
        return;
    }

    job->keep = 1;

    if (ngx_http_openim_job_send(job) == NGX_OK) {
        return;
    }

    if (rds->nkept == NGX_HTTP_OPENIM_KEPT_MAX) {
        ngx_free(job);
        return;
    }

    rds->nkept++;
    ngx_queue_insert_tail(&rds->kept, &job->queue);
}


/* Its handler is not called any more; the command itself is not taken back */

void
ngx_http_openim_redis_cancel(ngx_http_openim_job_t *job)
{
    job->handler = NULL;
}


static ngx_http_openim_job_t *
ngx_http_openim_job_create(ngx_uint_t script, ngx_str_t *keys,
    ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs)
{
    u_char                 *p;
    size_t                  size;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_openim_job_t  *job;

    size = sizeof(ngx_http_openim_job_t) + NGX_INT_T_LEN;

    for (i = 0; i < nkeys; i++) {
        size += keys[i].len;
    }

    for (i = 0; i < nargs; i++) {
        size += args[i].len;
    }

    job = ngx_alloc(size, ngx_http_openim_process.log);
    if (job == NULL) {
        return NULL;
    }

    ngx_memzero(job, sizeof(ngx_http_openim_job_t));

    job->script = script;
    p = job->text;

    job->argv[0] = "EVALSHA";
    job->lens[0] = sizeof("EVALSHA") - 1;

    job->argv[1] = (char *) ngx_http_openim_redis.sha[script];
    job->lens[1] = 40;

    job->argv[2] = (char *) p;
    p = ngx_sprintf(p, "%ui", nkeys);
    job->lens[2] = (char *) p - job->argv[2];

    job->argc = 3;

    for (i = 0; i < nkeys + nargs; i++) {
        value = (i < nkeys) ? &keys[i] : &args[i - nkeys];

        job->argv[job->argc] = (char *) p;
        job->lens[job->argc] = value->len;
        job->argc++;

        if (value->len) {
            p = ngx_cpymem(p, value->data, value->len);
        }
    }

    return job;
}


static ngx_int_t
ngx_http_openim_job_send(ngx_http_openim_job_t *job)
{
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    if (rds->command.state != NGX_HTTP_OPENIM_LINK_UP
        || rds->nsent >= NGX_HTTP_OPENIM_JOBS_MAX)
    {
        return NGX_DECLINED;
    }

    if (redisAsyncCommandArgv(rds->command.ac, ngx_http_openim_job_reply, job,
                              job->argc, job->argv, job->lens)
        != REDIS_OK)
    {
        return NGX_DECLINED;
    }

    job->start = ngx_current_msec;
    ngx_queue_insert_tail(&rds->sent, &job->queue);
    rds->nsent++;

    ngx_http_openim_job_timer();

    return NGX_OK;
}


static void
ngx_http_openim_job_reply(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_openim_job_t *job = data;

    redisReply               *rr = reply;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    ngx_queue_remove(&job->queue);
    rds->nsent--;

    ngx_http_openim_job_timer();

    if (rr && rr->type == REDIS_REPLY_INTEGER) {
        ngx_http_openim_job_done(job, rr->integer);
        return;
    }

    if (rr && rr->type == REDIS_REPLY_ERROR) {

        if (ngx_strncmp(rr->str, "NOSCRIPT", 8) == 0 && !job->again) {
            job->again = 1;
            job->argv[0] = "EVAL";
            job->lens[0] = sizeof("EVAL") - 1;
            job->argv[1] = (char *) ngx_http_openim_scripts[job->script].data;
            job->lens[1] = ngx_http_openim_scripts[job->script].len;

            if (ngx_http_openim_job_send(job) == NGX_OK) {
                return;
            }
        }

        ngx_http_openim_count(redis_errors);
        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: redis refused script %ui: %s",
                      job->script, rr->str);

        ngx_http_openim_job_done(job, NGX_HTTP_OPENIM_E_INTERNAL);
        return;
    }

    /* the link is gone */

    if (job->keep && !ngx_http_openim_process.stopping
        && rds->nkept < NGX_HTTP_OPENIM_KEPT_MAX)
    {
        rds->nkept++;
        ngx_queue_insert_tail(&rds->kept, &job->queue);
        return;
    }

    ngx_http_openim_job_done(job, NGX_HTTP_OPENIM_E_INTERNAL);
}


static void
ngx_http_openim_job_done(ngx_http_openim_job_t *job, ngx_int_t code)
{
    void                    *data;
    ngx_http_openim_job_pt   handler;

    handler = job->handler;
    data = job->data;

    ngx_free(job);

    if (handler && !ngx_http_openim_process.stopping) {
        handler(data, code);
    }
}


/* A timer that nginx waits for at its end exists while something is sent */

static void
ngx_http_openim_job_timer(void)
{
    ngx_msec_int_t            left;
    ngx_http_openim_job_t    *job;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    if (ngx_queue_empty(&rds->sent)) {
        if (rds->timeout.timer_set) {
            ngx_del_timer(&rds->timeout);
        }

        return;
    }

    if (rds->timeout.timer_set) {
        return;
    }

    job = ngx_queue_data(ngx_queue_head(&rds->sent), ngx_http_openim_job_t,
                         queue);

    left = job->start + NGX_HTTP_OPENIM_REDIS_TIMEOUT - ngx_current_msec;

    ngx_add_timer(&rds->timeout, ngx_max(left, 1));
}


static void
ngx_http_openim_job_timeout(ngx_event_t *ev)
{
    ngx_http_openim_job_t    *job;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    if (ngx_queue_empty(&rds->sent)) {
        return;
    }

    job = ngx_queue_data(ngx_queue_head(&rds->sent), ngx_http_openim_job_t,
                         queue);

    if (ngx_current_msec - job->start < NGX_HTTP_OPENIM_REDIS_TIMEOUT) {
        ngx_http_openim_job_timer();
        return;
    }

    ngx_http_openim_link_drop(&rds->command, "no answer in time");
}


static void
ngx_http_openim_jobs_kept(void)
{
    ngx_queue_t              *q;
    ngx_http_openim_job_t    *job;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    while (!ngx_queue_empty(&rds->kept)) {
        q = ngx_queue_head(&rds->kept);
        job = ngx_queue_data(q, ngx_http_openim_job_t, queue);

        ngx_queue_remove(q);

        if (ngx_http_openim_job_send(job) != NGX_OK) {
            ngx_queue_insert_head(&rds->kept, q);
            return;
        }

        rds->nkept--;
    }
}


/*
 * The adapter: hiredis says what it waits for, nginx calls it.  The events are
 * level-triggered because hiredis does not read until there is nothing more.
 */

static ngx_int_t
ngx_http_openim_adapter_attach(ngx_http_openim_link_t *link,
    redisAsyncContext *ac)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ac->c.fd, ngx_http_openim_process.log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    (void) fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);

    c->data = ac;
    c->log = ngx_http_openim_process.log;

    c->read->handler = ngx_http_openim_adapter_read;
    c->read->log = c->log;
    c->write->handler = ngx_http_openim_adapter_write;
    c->write->log = c->log;

    ac->ev.data = c;
    ac->ev.addRead = ngx_http_openim_adapter_add_read;
    ac->ev.delRead = ngx_http_openim_adapter_del_read;
    ac->ev.addWrite = ngx_http_openim_adapter_add_write;
    ac->ev.delWrite = ngx_http_openim_adapter_del_write;
    ac->ev.cleanup = ngx_http_openim_adapter_cleanup;

    return NGX_OK;
}


static void
ngx_http_openim_adapter_read(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    redisAsyncHandleRead(c->data);
}


static void
ngx_http_openim_adapter_write(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    redisAsyncHandleWrite(c->data);
}


static void
ngx_http_openim_adapter_add_read(void *data)
{
    ngx_connection_t *c = data;

    if (!c->read->active) {
        (void) ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_openim_adapter_del_read(void *data)
{
    ngx_connection_t *c = data;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_openim_adapter_add_write(void *data)
{
    ngx_connection_t *c = data;

    if (!c->write->active) {
        (void) ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_openim_adapter_del_write(void *data)
{
    ngx_connection_t *c = data;

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }
}


/* As ngx_close_connection(), but the descriptor is closed by hiredis */

static void
ngx_http_openim_adapter_cleanup(void *data)
{
    ngx_connection_t *c = data;

    if (ngx_del_conn) {
        (void) ngx_del_conn(c, 0);

    } else {
        ngx_http_openim_adapter_del_read(c);
        ngx_http_openim_adapter_del_write(c);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
