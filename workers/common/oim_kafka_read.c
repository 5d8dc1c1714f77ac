/*
 * Topics and ranges: how many partitions, where a partition ends, all records from one offset to another. Used at start and at
 * take-overs; each call has a client of its own. oim_kafka.h holds the contract.
 */
#include "oim_kafka_internal.h"

#include "oim_app.h"

#include <inttypes.h>
#include <time.h>

static rd_kafka_t *client_new(const struct oim_conf *conf, const char *name)
{
    rd_kafka_conf_t *kc = kafka_conf_new(conf, name, NULL);
    rd_kafka_t *rk;
    char why[256];

    kafka_conf_set(kc, "fetch.message.max.bytes", "4194304");
    kafka_conf_set(kc, "fetch.wait.max.ms", "20"); /* what a close may wait for */
    kafka_conf_set(kc, "fetch.error.backoff.ms", "50");
    kafka_conf_set(kc, "queued.max.messages.kbytes", "16384");
    kafka_conf_set(kc, "auto.offset.reset", "earliest"); /* retention may pass us */
    kafka_conf_set(kc, "check.crcs", "true");
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, kc, why, sizeof(why));
    if (rk == NULL) {
        oim_log(OIM_LOG_ERROR, "cannot make a reader", "why=\"%s\"", why);
        rd_kafka_conf_destroy(kc);
    }
    return rk;
}

static int partitions_now(rd_kafka_t *rk, const char *topic)
{
    const struct rd_kafka_metadata *meta;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    int n = 0;

    if (rkt == NULL) return 0;
    if (rd_kafka_metadata(rk, 0, rkt, &meta, 2000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (meta->topic_cnt == 1 && meta->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) n = meta->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(meta);
    }
    rd_kafka_topic_destroy(rkt);
    return n;
}

int oim_kafka_partitions(const struct oim_conf *conf, const char *topic, const volatile bool *stop)
{
    rd_kafka_t *rk = client_new(conf, "openim-topics");
    int n;

    if (rk == NULL) return OIM_EFATAL;
    while ((n = partitions_now(rk, topic)) <= 0 && !*stop) {
        oim_log(OIM_LOG_INFO, "waiting for kafka", "brokers=%s topic=%s", conf->kafka.brokers, topic);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    rd_kafka_destroy(rk);
    return n > 0 ? n : OIM_EFATAL;
}

struct range {
    rd_kafka_topic_t *rkt;
    int32_t partition;
    int64_t next, to;
    int timeout_ms;
};

static int range_read(struct range *r, int (*row)(void *ctx, const struct oim_kafka_record *record), void *ctx)
{
    int64_t progress = oim_mono_ms();
    int err = OIM_OK;

    while (r->next < r->to && err == OIM_OK) {
        rd_kafka_message_t *m = rd_kafka_consume(r->rkt, r->partition, 50);

        if (m == NULL || m->err) { /* the library tries again */
            if (oim_mono_ms() - progress > r->timeout_ms) err = OIM_EUNAVAIL;
            if (m) rd_kafka_message_destroy(m);
            continue;
        }
        progress = oim_mono_ms();
        if (m->offset < r->to) {
            struct oim_kafka_record record;

            kafka_record_fill(&record, m);
            err = row(ctx, &record);
        }
        r->next = m->offset + 1;
        rd_kafka_message_destroy(m);
    }
    return err;
}

int oim_kafka_read(const struct oim_conf *conf, const char *topic, int32_t partition, int64_t from, int64_t to, int timeout_ms,
                   int (*row)(void *ctx, const struct oim_kafka_record *record), void *ctx)
{
    struct range r = {.partition = partition, .next = from < 0 ? 0 : from, .to = to, .timeout_ms = timeout_ms};
    rd_kafka_t *rk;
    int64_t low, high;
    int err = OIM_EUNAVAIL;

    if (r.next >= to) return OIM_OK;
    rk = client_new(conf, "openim-reader");
    if (rk == NULL) return OIM_EUNAVAIL;
    r.rkt = rd_kafka_topic_new(rk, topic, NULL);
    if (r.rkt && rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (r.next < low) r.next = low;
        if (to == INT64_MAX) r.to = high;
        if (r.next >= r.to) {
            err = OIM_OK;
        } else if (rd_kafka_consume_start(r.rkt, partition, r.next) == 0) {
            err = range_read(&r, row, ctx);
            rd_kafka_consume_stop(r.rkt, partition);
        }
    }
    if (err == OIM_EUNAVAIL) {
        oim_log(OIM_LOG_WARN, "kafka range not read", "topic=%s partition=%d next=%" PRId64 " to=%" PRId64,
                topic, partition, r.next, r.to);
    }
    if (r.rkt) rd_kafka_topic_destroy(r.rkt);
    rd_kafka_destroy(rk);
    return err;
}
