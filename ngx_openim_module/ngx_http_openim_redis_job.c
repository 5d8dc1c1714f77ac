
/*
 * Jobs: a script with its arguments, from its start to its answer.  They are
 * answered in order, and all failed when the oldest is older than three
 * seconds: then the link is dropped.  Some are kept until they are done.
 * Started by ngx_http_openim_redis_command.c.
 */


#include "ngx_http_openim_redis.h"


#define NGX_HTTP_OPENIM_JOBS_MAX  20000    /* sent, unanswered */
#define NGX_HTTP_OPENIM_KEPT_MAX  100000   /* to be sent again */
#define NGX_HTTP_OPENIM_JOB_ARGS  18


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


static ngx_http_openim_job_t *ngx_http_openim_job_create(ngx_uint_t script,
    ngx_str_t *keys, ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs);
static ngx_int_t ngx_http_openim_job_send(ngx_http_openim_job_t *job);
static void ngx_http_openim_job_reply(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_openim_job_done(ngx_http_openim_job_t *job,
    ngx_int_t code);
static ngx_int_t ngx_http_openim_job_later(ngx_http_openim_job_t *job);
static void ngx_http_openim_job_timer(void);


ngx_http_openim_job_t *
ngx_http_openim_job_start(ngx_uint_t script, ngx_str_t *keys,
    ngx_uint_t nkeys, ngx_str_t *args, ngx_uint_t nargs,
    ngx_http_openim_job_pt handler, void *data)
{
    ngx_http_openim_job_t  *job;

    job = ngx_http_openim_job_create(script, keys, nkeys, args, nargs);
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


void
ngx_http_openim_job_keep(ngx_uint_t script, ngx_str_t *keys, ngx_uint_t nkeys,
    ngx_str_t *args, ngx_uint_t nargs)
{
    ngx_http_openim_job_t  *job;

    job = ngx_http_openim_job_create(script, keys, nkeys, args, nargs);
    if (job == NULL) {
        return;
    }

    job->keep = 1;

    if (ngx_http_openim_job_send(job) != NGX_OK
        && ngx_http_openim_job_later(job) != NGX_OK)
    {
        ngx_free(job);
    }
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

    if (ngx_http_openim_job_later(job) != NGX_OK) {
        ngx_http_openim_job_done(job, NGX_HTTP_OPENIM_E_INTERNAL);
    }
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


static ngx_int_t
ngx_http_openim_job_later(ngx_http_openim_job_t *job)
{
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    if (!job->keep || ngx_http_openim_process.stopping
        || rds->nkept == NGX_HTTP_OPENIM_KEPT_MAX)
    {
        return NGX_DECLINED;
    }

    rds->nkept++;
    ngx_queue_insert_tail(&rds->kept, &job->queue);

    return NGX_OK;
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


void
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


void
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


void
ngx_http_openim_jobs_free(void)
{
    ngx_queue_t              *q;
    ngx_http_openim_redis_t  *rds;

    rds = &ngx_http_openim_redis;

    while (!ngx_queue_empty(&rds->kept)) {
        q = ngx_queue_head(&rds->kept);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_openim_job_t, queue));
    }
}


/* Its handler is not called any more; the command itself is not taken back */

void
ngx_http_openim_redis_cancel(ngx_http_openim_job_t *job)
{
    job->handler = NULL;
}
