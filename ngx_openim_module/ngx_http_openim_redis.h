
/*
 * What the files of Redis share; their contracts with all others are in
 * ngx_http_openim_module.h.  No hiredis type leaves these files.
 *
 * A link is down (a timer will try again), connecting, or up.  Commands are
 * jobs: a script with its arguments in one allocation, answered in order.
 */


#ifndef _NGX_HTTP_OPENIM_REDIS_H_INCLUDED_
#define _NGX_HTTP_OPENIM_REDIS_H_INCLUDED_


#include "ngx_http_openim_connection.h"

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


#define NGX_HTTP_OPENIM_LINK_DOWN        0
#define NGX_HTTP_OPENIM_LINK_CONNECTING  1
#define NGX_HTTP_OPENIM_LINK_UP          2

/* for a link to come up, for the answer to a command */
#define NGX_HTTP_OPENIM_REDIS_TIMEOUT    3000

#define NGX_HTTP_OPENIM_HEARTBEAT        3000
#define NGX_HTTP_OPENIM_ALIVE            10000


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


extern ngx_http_openim_redis_t  ngx_http_openim_redis;


/* _redis.c.  drop: all jobs of the link are answered, as failed */
void ngx_http_openim_link_up(ngx_http_openim_link_t *link);
void ngx_http_openim_link_drop(ngx_http_openim_link_t *link, const char *why);

/* _redis_subscribe.c */
void ngx_http_openim_redis_message(redisAsyncContext *ac, void *reply,
    void *data);

/* _redis_heartbeat.c */
void ngx_http_openim_heartbeat(ngx_event_t *ev);
void ngx_http_openim_leaving_handler(ngx_event_t *ev);

/*
 * _redis_job.c.  start: NULL, there will be no answer.  keep is for what has to
 * be done some time: nobody waits for it, and it survives the link.  jobs_kept
 * sends what was kept when the link is up again, jobs_free is for the end.
 */
ngx_http_openim_job_t *ngx_http_openim_job_start(ngx_uint_t script,
    ngx_str_t *keys, ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs,
    ngx_http_openim_job_pt handler, void *data);
void ngx_http_openim_job_keep(ngx_uint_t script, ngx_str_t *keys,
    ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs);
void ngx_http_openim_jobs_kept(void);
void ngx_http_openim_jobs_free(void);
void ngx_http_openim_job_timeout(ngx_event_t *ev);

/* _redis_adapter.c */
ngx_int_t ngx_http_openim_adapter_attach(redisAsyncContext *ac);


#endif /* _NGX_HTTP_OPENIM_REDIS_H_INCLUDED_ */
