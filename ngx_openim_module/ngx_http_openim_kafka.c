
/*
 * The producer.  librdkafka works in threads of its own; none of its callbacks
 * is used.  What it has to say (failed deliveries, errors, log lines) waits in
 * its main queue, which writes a byte into a pipe that nginx's events watch.
 *
 * A delivery that succeeded says nothing: its answer is the reply of a worker.
 */


#include "ngx_http_openim_module.h"

#include <librdkafka/rdkafka.h>


#define NGX_HTTP_OPENIM_KAFKA_EVENTS  1000   /* in one round of the loop */
#define NGX_HTTP_OPENIM_KAFKA_POLL    1000   /* ms, if the pipe says nothing */


typedef struct {
    rd_kafka_t         *rk;
    rd_kafka_queue_t   *queue;
    rd_kafka_topic_t   *topics[NGX_HTTP_OPENIM_TOPICS];
    int                 pipe[2];
    ngx_connection_t   *connection;
    ngx_msec_t          logged;              /* when the queue was full */
} ngx_http_openim_kafka_t;


static ngx_int_t ngx_http_openim_kafka_watch(ngx_log_t *log);
static ngx_int_t ngx_http_openim_kafka_topic(ngx_uint_t n, const char *name,
    ngx_log_t *log);
static void ngx_http_openim_kafka_event_handler(ngx_event_t *ev);
static void ngx_http_openim_kafka_reports(rd_kafka_event_t *event);


static ngx_http_openim_kafka_t  ngx_http_openim_kafka = {
    .pipe = { -1, -1 }
};


ngx_int_t
ngx_http_openim_kafka_init(ngx_cycle_t *cycle)
{
    char                          value[NGX_INT64_LEN + 1];
    char                          errstr[256], *brokers;
    ngx_uint_t                    i;
    rd_kafka_t                   *rk;
    rd_kafka_conf_t              *conf;
    ngx_http_openim_kafka_t      *kafka;
    ngx_http_openim_main_conf_t  *mcf;

    /* linger: a millisecond of company makes fewer, larger requests */

    static const char  *settings[][2] = {
        { "client.id", "nginx" },
        { "acks", "all" },
        { "enable.idempotence", "true" },
        { "max.in.flight.requests.per.connection", "5" },
        { "partitioner", "murmur2_random" },
        { "linger.ms", "1" },
        { "socket.nagle.disable", "true" },
        { "socket.keepalive.enable", "true" },
        { "message.timeout.ms", "9000" },
        { "reconnect.backoff.ms", "100" },
        { "reconnect.backoff.max.ms", "2000" },
        { "topic.metadata.refresh.interval.ms", "60000" },
        { "queue.buffering.max.kbytes", "65536" },
        { "delivery.report.only.error", "true" },
        { "log.queue", "true" }
    };

    kafka = &ngx_http_openim_kafka;
    mcf = ngx_http_openim_process.conf;

    conf = rd_kafka_conf_new();

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1],
                              errstr, sizeof(errstr))
            != RD_KAFKA_CONF_OK)
        {
            goto failed;
        }
    }

    brokers = ngx_alloc(mcf->kafka_brokers.len + 1, cycle->log);
    if (brokers == NULL) {
        rd_kafka_conf_destroy(conf);
        return NGX_ERROR;
    }

    ngx_cpystrn((u_char *) brokers, mcf->kafka_brokers.data,
                mcf->kafka_brokers.len + 1);

    i = rd_kafka_conf_set(conf, "bootstrap.servers", brokers,
                          errstr, sizeof(errstr));
    ngx_free(brokers);

    if ((rd_kafka_conf_res_t) i != RD_KAFKA_CONF_OK) {
        goto failed;
    }

    *ngx_sprintf((u_char *) value, "%ui", mcf->kafka_queue) = '\0';

    if (rd_kafka_conf_set(conf, "queue.buffering.max.messages", value,
                          errstr, sizeof(errstr))
        != RD_KAFKA_CONF_OK)
    {
        goto failed;
    }

    *ngx_sprintf((u_char *) value, "%uz", mcf->kafka_max_record) = '\0';

    if (rd_kafka_conf_set(conf, "message.max.bytes", value,
                          errstr, sizeof(errstr))
        != RD_KAFKA_CONF_OK)
    {
        goto failed;
    }

    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR
                                   | RD_KAFKA_EVENT_LOG);

    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
    if (rk == NULL) {
        goto failed;
    }

    kafka->rk = rk;
    ngx_http_openim_process.stat->kafka_up = 1;   /* until it says no */

    kafka->queue = rd_kafka_queue_get_main(rk);

    rd_kafka_set_log_queue(rk, kafka->queue);

    if (ngx_http_openim_kafka_topic(NGX_HTTP_OPENIM_TOPIC_MSG, "msg",
                                    cycle->log)
        != NGX_OK
        || ngx_http_openim_kafka_topic(NGX_HTTP_OPENIM_TOPIC_RPC, "rpc",
                                       cycle->log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_openim_kafka_watch(cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "openim: kafka: %s", errstr);

    rd_kafka_conf_destroy(conf);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_openim_kafka_topic(ngx_uint_t n, const char *name, ngx_log_t *log)
{
    char                      text[256];
    ngx_str_t                *prefix;
    rd_kafka_topic_t         *topic;
    ngx_http_openim_kafka_t  *kafka;

    kafka = &ngx_http_openim_kafka;
    prefix = &ngx_http_openim_process.conf->kafka_topic_prefix;

    *ngx_snprintf((u_char *) text, sizeof(text) - 1, "%V%s", prefix, name)
        = '\0';

    topic = rd_kafka_topic_new(kafka->rk, text, NULL);
    if (topic == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "openim: kafka topic %s: %s",
                      text, rd_kafka_err2str(rd_kafka_last_error()));
        return NGX_ERROR;
    }

    kafka->topics[n] = topic;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_kafka_watch(ngx_log_t *log)
{
    ngx_connection_t         *c;
    ngx_http_openim_kafka_t  *kafka;

    kafka = &ngx_http_openim_kafka;

    if (pipe(kafka->pipe) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "pipe() failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(kafka->pipe[0]) == -1
        || ngx_nonblocking(kafka->pipe[1]) == -1
        || fcntl(kafka->pipe[0], F_SETFD, FD_CLOEXEC) == -1
        || fcntl(kafka->pipe[1], F_SETFD, FD_CLOEXEC) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "fcntl() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(kafka->pipe[0], log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->log = log;
    c->data = kafka;
    c->read->handler = ngx_http_openim_kafka_event_handler;
    c->read->log = log;
    c->write->log = log;

    kafka->connection = c;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        return NGX_ERROR;
    }

    rd_kafka_queue_io_event_enable(kafka->queue, kafka->pipe[1], "1", 1);

    /* the pipe tells of an empty queue that gets something: this one has been
     * filled since rd_kafka_new() */

    c->read->cancelable = 1;
    ngx_add_timer(c->read, 1);

    return NGX_OK;
}


void
ngx_http_openim_kafka_exit(void)
{
    ngx_uint_t                i;
    ngx_http_openim_kafka_t  *kafka;

    kafka = &ngx_http_openim_kafka;

    if (kafka->rk == NULL) {
        return;
    }

    rd_kafka_queue_io_event_enable(kafka->queue, -1, NULL, 0);

    if (kafka->connection) {
        ngx_close_connection(kafka->connection);
        kafka->connection = NULL;
    }

    /* after a graceful end nothing is left */

    if (rd_kafka_flush(kafka->rk, ngx_exiting ? 1000 : 100)
        != RD_KAFKA_RESP_ERR_NO_ERROR)
    {
        (void) rd_kafka_purge(kafka->rk, RD_KAFKA_PURGE_F_QUEUE
                                         | RD_KAFKA_PURGE_F_INFLIGHT
                                         | RD_KAFKA_PURGE_F_NON_BLOCKING);
    }

    for (i = 0; i < NGX_HTTP_OPENIM_TOPICS; i++) {
        rd_kafka_topic_destroy(kafka->topics[i]);
    }

    rd_kafka_queue_destroy(kafka->queue);
    rd_kafka_destroy(kafka->rk);
    kafka->rk = NULL;

    (void) close(kafka->pipe[1]);
}


/*
 * data comes from ngx_alloc().  NGX_OK: it is librdkafka's now, and it is freed
 * by it; else it is still the caller's.  NGX_AGAIN: the queue is full, try it
 * later; NGX_DECLINED: larger than a record may be.
 */

ngx_int_t
ngx_http_openim_kafka_produce(ngx_uint_t topic, ngx_str_t *key, u_char *data,
    size_t len, uint64_t id)
{
    rd_kafka_resp_err_t       err;
    ngx_http_openim_kafka_t  *kafka;

    kafka = &ngx_http_openim_kafka;

    if (rd_kafka_produce(kafka->topics[topic], RD_KAFKA_PARTITION_UA,
                         RD_KAFKA_MSG_F_FREE, data, len, key->data, key->len,
                         (void *) (uintptr_t) id)
        == 0)
    {
        return NGX_OK;
    }

    err = rd_kafka_last_error();

    switch (err) {

    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        ngx_http_openim_count(kafka_full);

        if (ngx_current_msec - kafka->logged > 1000) {
            kafka->logged = ngx_current_msec;
            ngx_log_error(NGX_LOG_WARN, ngx_http_openim_process.log, 0,
                          "openim: kafka queue is full, messages=%d",
                          rd_kafka_outq_len(kafka->rk));
        }

        return NGX_AGAIN;

    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return NGX_DECLINED;

    default:
        ngx_http_openim_count(kafka_errors);
        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: kafka: %s", rd_kafka_err2str(err));
        return NGX_ERROR;
    }
}


static void
ngx_http_openim_kafka_event_handler(ngx_event_t *ev)
{
    int                       level;
    char                      bytes[64];
    ngx_uint_t                i, urgency;
    const char               *facility, *text;
    rd_kafka_event_t         *event;
    ngx_http_openim_kafka_t  *kafka;

    kafka = &ngx_http_openim_kafka;

    if (kafka->rk == NULL) {
        return;
    }

    ev->timedout = 0;
    ngx_add_timer(ev, NGX_HTTP_OPENIM_KAFKA_POLL);

    while (read(kafka->pipe[0], bytes, sizeof(bytes)) > 0) { /* void */ }

    for (i = 0; i < NGX_HTTP_OPENIM_KAFKA_EVENTS; i++) {

        event = rd_kafka_queue_poll(kafka->queue, 0);
        if (event == NULL) {
            return;
        }

        switch (rd_kafka_event_type(event)) {

        case RD_KAFKA_EVENT_DR:
            ngx_http_openim_kafka_reports(event);
            break;

        case RD_KAFKA_EVENT_ERROR:
            ngx_http_openim_count(kafka_errors);

            if (rd_kafka_event_error(event)
                == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            {
                ngx_http_openim_process.stat->kafka_up = 0;
            }

            ngx_log_error(NGX_LOG_ERR, ev->log, 0, "openim: kafka: %s",
                          rd_kafka_event_error_string(event));
            break;

        case RD_KAFKA_EVENT_LOG:
            if (rd_kafka_event_log(event, &facility, &text, &level) == 0) {
                /* syslog's levels are nginx's minus one; errors come twice */
                urgency = ngx_max(level + 1, NGX_LOG_WARN);
                ngx_log_error(urgency, ev->log, 0, "openim: kafka: %s %s",
                              facility, text);
            }
            break;

        default:
            break;
        }

        rd_kafka_event_destroy(event);
    }

    /* there may be more, and the pipe is empty */
    ngx_post_event(ev, &ngx_posted_next_events);
}


static void
ngx_http_openim_kafka_reports(rd_kafka_event_t *event)
{
    const rd_kafka_message_t  *message;

    for ( ;; ) {
        message = rd_kafka_event_message_next(event);
        if (message == NULL) {
            return;
        }

        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            continue;
        }

        ngx_http_openim_count(kafka_errors);

        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: kafka did not take a record for %s: %s",
                      rd_kafka_topic_name(message->rkt),
                      rd_kafka_err2str(message->err));

        if (message->_private) {
            ngx_http_openim_call_fail((uint64_t) (uintptr_t)
                                          message->_private,
                                      NGX_HTTP_OPENIM_E_INTERNAL);
        }
    }
}
