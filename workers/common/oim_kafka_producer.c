/*
 * The producer: what is handed over is kept in order and sent until the broker has it; the report comes back in the caller's
 * thread. oim_kafka.h holds the contract.
 */
#include "oim_kafka_internal.h"

#include <stdlib.h>

struct oim_kafka_producer {
    struct kafka_link link;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    size_t inflight;
};

struct oim_kafka_producer *oim_kafka_producer_new(const struct oim_conf *conf, const char *name)
{
    struct oim_kafka_producer *p = calloc(1, sizeof(*p));
    rd_kafka_conf_t *kc;
    char why[256];

    if (p == NULL) return NULL;
    kc = kafka_conf_new(conf, name, &p->link);
    kafka_conf_set(kc, "enable.idempotence", "true");
    kafka_conf_set(kc, "acks", "all");
    kafka_conf_set_int(kc, "linger.ms", conf->kafka.linger_ms);
    kafka_conf_set(kc, "message.timeout.ms", "0");
    kafka_conf_set(kc, "message.max.bytes", "2000000");
    kafka_conf_set(kc, "queue.buffering.max.messages", "100000");
    kafka_conf_set(kc, "queue.buffering.max.kbytes", "65536");
    kafka_conf_set(kc, "partitioner", "murmur2_random");
    rd_kafka_conf_set_events(kc, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, kc, why, sizeof(why));
    if (p->rk == NULL) {
        oim_log(OIM_LOG_ERROR, "cannot make a producer", "why=\"%s\"", why);
        rd_kafka_conf_destroy(kc);
        free(p);
        return NULL;
    }
    p->queue = rd_kafka_queue_get_main(p->rk);
    return p;
}

void oim_kafka_producer_free(struct oim_kafka_producer *p)
{
    if (p == NULL) return;
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->rk);
    free(p);
}

rd_kafka_queue_t *kafka_producer_queue(struct oim_kafka_producer *p)
{
    return rd_kafka_queue_get_main(p->rk);
}

size_t oim_kafka_inflight(const struct oim_kafka_producer *p)
{
    return p->inflight;
}

int oim_kafka_produce(struct oim_kafka_producer *p, const char *topic, int32_t partition, const void *key, size_t key_len,
                      const void *value, size_t len, void *opaque)
{
    rd_kafka_resp_err_t err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);

    switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: p->inflight++; return OIM_OK;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return OIM_ELIMIT;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: return OIM_EPARSE;
    default:
        oim_log(OIM_LOG_ERROR, "kafka takes nothing", "topic=%s partition=%d why=\"%s\"", topic, partition, rd_kafka_err2str(err));
        return OIM_EFATAL;
    }
}

static int meaning(rd_kafka_resp_err_t err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return OIM_OK;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: return OIM_EPARSE; /* the topic takes less than we do */
    default: return OIM_EFATAL;
    }
}

static int reports_of(struct oim_kafka_producer *p, rd_kafka_event_t *event, oim_kafka_report report, void *ctx)
{
    const rd_kafka_message_t *m;
    int n = 0;

    while ((m = rd_kafka_event_message_next(event))) {
        if (m->err) {
            oim_log(OIM_LOG_ERROR, "kafka did not take a record", "topic=%s partition=%d bytes=%zu why=\"%s\"", rd_kafka_topic_name(m->rkt),
                    m->partition, m->len, rd_kafka_err2str(m->err));
        } else {
            kafka_link_up(&p->link, p->rk);
        }
        p->inflight--;
        report(ctx, m->_private, meaning(m->err), m->partition, m->offset);
        n++;
    }
    return n;
}

int oim_kafka_reports(struct oim_kafka_producer *p, oim_kafka_report report, void *ctx, int timeout_ms)
{
    rd_kafka_event_t *event;
    int n = 0;

    while ((event = rd_kafka_queue_poll(p->queue, n ? 0 : timeout_ms))) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_DR: n += reports_of(p, event, report, ctx); break;
        case RD_KAFKA_EVENT_ERROR:
            kafka_link_error(&p->link, p->rk, rd_kafka_event_error_is_fatal(event) ? RD_KAFKA_RESP_ERR__FATAL : rd_kafka_event_error(event),
                             rd_kafka_event_error_string(event));
            timeout_ms = 0;
            break;
        default: break;
        }
        rd_kafka_event_destroy(event);
    }
    return n;
}
