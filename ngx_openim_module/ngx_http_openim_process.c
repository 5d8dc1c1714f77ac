
/*
 * The life of a worker process: its gateway id and its slot of counters, the
 * two outside links up and down.  Nothing is started in the master or in the
 * cache processes: librdkafka has threads, and the links belong to one process.
 *
 * A graceful end needs no code here: nginx waits while there are timers that
 * may not be cancelled, and each connection, each request under way and each
 * command to Redis has one (read _connection_timer.c on 1001).
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"


#define NGX_HTTP_OPENIM_SLOTS  512
#define NGX_HTTP_OPENIM_INPUT  (16 * 1024)


static ngx_int_t ngx_http_openim_slot_take(ngx_shm_zone_t *zone,
    ngx_log_t *log);
static ngx_uint_t ngx_http_openim_slot_alive(ngx_atomic_uint_t pid);


ngx_http_openim_process_t  ngx_http_openim_process;


ngx_int_t
ngx_http_openim_process_init(ngx_cycle_t *cycle)
{
    u_char                       *last;
    ngx_http_openim_process_t    *op;
    ngx_http_openim_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_openim_module);

    if (mcf == NULL || !mcf->enabled) {
        return NGX_OK;
    }

    op = &ngx_http_openim_process;

    if (op->ready) {
        /* a second configuration of a single process: it keeps the first */
        return NGX_OK;
    }

    op->conf = mcf;
    op->log = cycle->log;

    if (ngx_http_openim_slot_take(mcf->zone, cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    /* unique among all generations of all hosts (docs/records.md) */

    last = ngx_snprintf(op->gateway_data, NGX_HTTP_OPENIM_GATEWAY_LEN,
                        "%V-%ui-%xL-%P", &cycle->hostname, ngx_worker,
                        ngx_http_openim_now(), ngx_pid);

    op->gateway.data = op->gateway_data;
    op->gateway.len = last - op->gateway_data;

    op->input_size = NGX_HTTP_OPENIM_INPUT;
    op->input = ngx_alloc(op->input_size, cycle->log);

    op->gzip = ngx_http_openim_gzip_create(NGX_HTTP_OPENIM_GZIP_LEVEL,
                                           mcf->max_inflate);

    if (op->input == NULL || op->gzip == NULL) {
        return NGX_ERROR;
    }

    ngx_http_openim_call_init();
    ngx_http_openim_ws_init();
    ngx_http_openim_session_init();
    ngx_http_openim_downlink_init();

    if (ngx_http_openim_kafka_init(cycle) != NGX_OK
        || ngx_http_openim_redis_init(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    op->ready = 1;

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "openim: gateway=%V", &op->gateway);

    return NGX_OK;
}


void
ngx_http_openim_process_exit(ngx_cycle_t *cycle)
{
    ngx_http_openim_stat_t     *stat;
    ngx_http_openim_process_t  *op;

    op = &ngx_http_openim_process;

    if (!op->ready) {
        return;
    }

    op->stopping = 1;

    ngx_http_openim_redis_exit();
    ngx_http_openim_kafka_exit();
    ngx_http_openim_gzip_destroy(op->gzip);
    ngx_free(op->input);

    stat = op->stat;

    stat->connections = 0;
    stat->memberships = 0;
    stat->calls = 0;
    stat->kafka_up = 0;
    stat->redis_up = 0;
    stat->subscribed = 0;
    stat->pid = 0;

    op->ready = 0;
}


ngx_int_t
ngx_http_openim_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    if (data) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        return NGX_OK;
    }

    shpool->data = ngx_slab_calloc(shpool, NGX_HTTP_OPENIM_SLOTS
                                           * sizeof(ngx_http_openim_stat_t));
    if (shpool->data == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_openim_stat_t *
ngx_http_openim_slots(ngx_shm_zone_t *zone, ngx_uint_t *n)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    *n = NGX_HTTP_OPENIM_SLOTS;

    return shpool->data;
}


/*
 * Takes a slot that nobody has, or whose process died without giving it back.
 * The counters go on, so that sums do not fall.
 */

static ngx_int_t
ngx_http_openim_slot_take(ngx_shm_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t               i, n;
    ngx_atomic_uint_t        pid;
    ngx_http_openim_stat_t  *stat;

    stat = ngx_http_openim_slots(zone, &n);

    for (i = 0; i < n; i++) {
        pid = stat[i].pid;

        if (pid && pid != (ngx_atomic_uint_t) ngx_pid
            && ngx_http_openim_slot_alive(pid))
        {
            continue;
        }

        if (!ngx_atomic_cmp_set(&stat[i].pid, pid,
                                (ngx_atomic_uint_t) ngx_pid))
        {
            continue;
        }

        stat[i].connections = 0;
        stat[i].memberships = 0;
        stat[i].calls = 0;
        stat[i].kafka_up = 0;
        stat[i].redis_up = 0;
        stat[i].subscribed = 0;

        ngx_http_openim_process.stat = &stat[i];

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "openim: more than %ui worker processes", n);

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_openim_slot_alive(ngx_atomic_uint_t pid)
{
    return kill((ngx_pid_t) pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


/*
 * Whether this process is about to exit because of a reload: then there are
 * more of us than one generation has.  The new ones were started before we were
 * told; it is asked once.
 */

ngx_uint_t
ngx_http_openim_replaced(void)
{
    ngx_uint_t               i, n, alive;
    ngx_core_conf_t         *ccf;
    ngx_http_openim_stat_t  *stat;

    static ngx_int_t  replaced = -1;

    if (replaced == -1) {
        ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_core_module);
        stat = ngx_http_openim_slots(ngx_http_openim_process.conf->zone, &n);
        alive = 0;

        for (i = 0; i < n; i++) {
            if (stat[i].pid && ngx_http_openim_slot_alive(stat[i].pid)) {
                alive++;
            }
        }

        replaced = (alive > (ngx_uint_t) ccf->worker_processes);
    }

    return replaced;
}


/* Of all worker processes */

ngx_uint_t
ngx_http_openim_connections(void)
{
    ngx_uint_t               i, n, sum;
    ngx_http_openim_stat_t  *stat;

    stat = ngx_http_openim_slots(ngx_http_openim_process.conf->zone, &n);
    sum = 0;

    for (i = 0; i < n; i++) {
        sum += stat[i].connections;
    }

    return sum;
}


int64_t
ngx_http_openim_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


ngx_uint_t
ngx_http_openim_is_admin(ngx_str_t *user_id)
{
    ngx_str_t   *admin;
    ngx_uint_t   i;

    admin = ngx_http_openim_process.conf->admin_users->elts;

    for (i = 0; i < ngx_http_openim_process.conf->admin_users->nelts; i++) {
        if (admin[i].len == user_id->len
            && ngx_memcmp(admin[i].data, user_id->data, user_id->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * What a client said, fit for a log line: one line of at most 64 bytes.  The
 * result is good for the log call that it is an argument of.
 */

ngx_str_t *
ngx_http_openim_loggable(ngx_str_t *text)
{
    size_t      i;
    ngx_str_t  *out;

    static u_char      data[4][64];
    static ngx_str_t   texts[4];
    static ngx_uint_t  n;

    n = (n + 1) % 4;

    out = &texts[n];
    out->data = data[n];
    out->len = ngx_min(text->len, sizeof(data[n]));

    for (i = 0; i < out->len; i++) {
        out->data[i] = (text->data[i] < 0x20 || text->data[i] == 0x7f)
                       ? '.' : text->data[i];
    }

    return out;
}
