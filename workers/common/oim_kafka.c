/*
 * The consumer; the producer is in oim_kafka_producer.c, sleeping on both in oim_kafka_wait.c, take-over reading in oim_kafka_read.c,
 * settings and logs of all clients in oim_kafka_client.c. oim_kafka.h holds the contract.
 *
 * A partition passes through: assigned by the group -> our caller says where to start (or "ask again": it waits in `waiting`, not
 * fetched) -> fetched -> revoked. All events run inside oim_kafka_poll and oim_kafka_consumer_free, in the lane's thread.
 *
 * The strategy is cooperative-sticky: a process that comes or goes moves only the partitions that must move, the others are fetched on.
 */
#include "oim_kafka_internal.h"

#include "oim_app.h"

#include <stdlib.h>
#include <string.h>

#define COMMITTED_MS 1000
#define ASK_AGAIN_MS 1000
#define PARTITIONS_MAX 1024

struct partitions {
    int32_t id[PARTITIONS_MAX];
    int n;
};

struct oim_kafka_consumer {
    struct kafka_link link; /* first: what the library's callbacks get */
    rd_kafka_t *rk;
    char *topic;
    const struct oim_kafka_events *events;
    void *ctx;
    int64_t ask_again_at;
    struct partitions waiting; /* given to us, start not yet known */
    struct partitions started; /* being fetched */
    bool rebalanced; /* partitions came: the poll was left to start them */
    bool refused; /* the group did not tell its offsets, and the log says so */
};

/* ---- partitions come and go ---- */

static bool partitions_add(struct partitions *list, int32_t id)
{
    if (list->n == PARTITIONS_MAX) return false;
    list->id[list->n++] = id;
    return true;
}

static bool partitions_remove(struct partitions *list, int32_t id)
{
    for (int i = 0; i < list->n; i++) {
        if (list->id[i] != id) continue;
        list->id[i] = list->id[--list->n];
        return true;
    }
    return false;
}

static void assign_one(struct oim_kafka_consumer *c, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_error_t *error;

    rd_kafka_topic_partition_list_add(list, c->topic, partition)->offset = offset;
    error = rd_kafka_incremental_assign(c->rk, list);
    if (error) {
        oim_log(OIM_LOG_ERROR, "cannot take a partition", "topic=%s partition=%d why=\"%s\"", c->topic, partition,
                rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        c->link.fatal = true;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* The group's offsets of all that wait, NULL when it does not answer. */
static rd_kafka_topic_partition_list_t *committed(struct oim_kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(c->waiting.n);
    rd_kafka_resp_err_t err;

    for (int i = 0; i < c->waiting.n; i++) rd_kafka_topic_partition_list_add(list, c->topic, c->waiting.id[i]);
    err = rd_kafka_committed(c->rk, list, COMMITTED_MS);
    for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) err = list->elems[i].err;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        c->refused = false;
        kafka_link_up(&c->link, c->rk);
        return list;
    }
    if (!c->refused) {
        oim_log(OIM_LOG_WARN, "no committed offsets", "topic=%s partitions=%d why=\"%s\"", c->topic, list->cnt, rd_kafka_err2str(err));
    }
    c->refused = true;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

static void try_start(struct oim_kafka_consumer *c, int32_t partition, int64_t known)
{
    int64_t start = c->events->assigned(c->ctx, partition, known);

    if (start == -2) return;
    /* 0 where retention has passed it is reset to the earliest; asking for the beginning by its name costs 500 ms while the library
     * does not know the leader yet */
    if (start < 0) start = known >= 0 ? known : 0;
    partitions_remove(&c->waiting, partition);
    partitions_add(&c->started, partition);
    assign_one(c, partition, start);
}

static void start_waiting(struct oim_kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *list = c->waiting.n ? committed(c) : NULL;

    for (int i = 0; list && i < list->cnt; i++) {
        try_start(c, list->elems[i].partition, list->elems[i].offset >= 0 ? list->elems[i].offset : -1);
    }
    if (list) rd_kafka_topic_partition_list_destroy(list);
    c->ask_again_at = oim_mono_ms() + ASK_AGAIN_MS;
}

static void give_back(struct oim_kafka_consumer *c, const rd_kafka_topic_partition_list_t *gone)
{
    rd_kafka_topic_partition_list_t *fetched = rd_kafka_topic_partition_list_new(gone->cnt);
    bool lost = rd_kafka_assignment_lost(c->rk);
    rd_kafka_error_t *error;

    for (int i = 0; i < gone->cnt; i++) {
        partitions_remove(&c->waiting, gone->elems[i].partition);
        if (!partitions_remove(&c->started, gone->elems[i].partition)) continue;
        c->events->revoked(c->ctx, gone->elems[i].partition, lost);
        rd_kafka_topic_partition_list_add(fetched, c->topic, gone->elems[i].partition);
    }
    error = rd_kafka_incremental_unassign(c->rk, fetched);
    if (error) {
        oim_log(OIM_LOG_WARN, "cannot give partitions back", "topic=%s why=\"%s\"", c->topic, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(fetched);
}

static void rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct oim_kafka_consumer *c = opaque;

    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_error_t *error;
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

        for (int i = 0; i < parts->cnt; i++) {
            if (partitions_add(&c->waiting, parts->elems[i].partition)) continue;
            oim_log(OIM_LOG_ERROR, "too many partitions for one lane", "topic=%s max=%d", c->topic, PARTITIONS_MAX);
            c->link.fatal = true;
        }
        /* the group waits for an answer to its assignment: an empty one, then each partition when its start is known */
        error = rd_kafka_incremental_assign(rk, none);
        if (error) rd_kafka_error_destroy(error);
        rd_kafka_topic_partition_list_destroy(none);
        c->rebalanced = true;
        rd_kafka_yield(rk);
    } else {
        give_back(c, parts);
    }
}

/* ---- consumer ---- */

struct oim_kafka_consumer *oim_kafka_consumer_new(const struct oim_conf *conf, const char *topic, const char *group, const char *lane,
                                                  const struct oim_kafka_events *events, void *ctx)
{
    struct oim_kafka_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_topic_partition_list_t *topics;
    rd_kafka_conf_t *kc;
    char text[512];

    if (c == NULL) return NULL;
    kc = kafka_conf_new(conf, lane, &c->link);
    c->topic = strdup(topic);
    c->events = events;
    c->ctx = ctx;
    snprintf(text, sizeof(text), "%s-%s", conf->general.instance, lane);
    kafka_conf_set(kc, "group.id", group);
    kafka_conf_set(kc, "group.instance.id", text);
    kafka_conf_set(kc, "partition.assignment.strategy", "cooperative-sticky");
    /* the library commits what oim_kafka_commit stores, and only while its generation is certain: a commit that
     * waits behind our JoinGroup has an old one, and the library then gives all partitions up */
    kafka_conf_set(kc, "enable.auto.commit", "true");
    kafka_conf_set(kc, "auto.commit.interval.ms", "200");
    kafka_conf_set(kc, "enable.auto.offset.store", "false");
    kafka_conf_set(kc, "auto.offset.reset", "earliest");
    kafka_conf_set_int(kc, "session.timeout.ms", conf->kafka.session_timeout_ms);
    kafka_conf_set_int(kc, "heartbeat.interval.ms", conf->kafka.session_timeout_ms / 4);
    kafka_conf_set(kc, "max.poll.interval.ms", "86400000");
    kafka_conf_set(kc, "fetch.wait.max.ms", events->bulk ? "200" : "500");
    kafka_conf_set(kc, "fetch.min.bytes", events->bulk ? "65536" : "1");
    kafka_conf_set(kc, "fetch.error.backoff.ms", "100");
    kafka_conf_set(kc, "queued.max.messages.kbytes", "16384");
    kafka_conf_set(kc, "fetch.message.max.bytes", "2097152");
    rd_kafka_conf_set_rebalance_cb(kc, rebalance);

    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, kc, text, sizeof(text));
    if (c->rk == NULL) {
        oim_log(OIM_LOG_ERROR, "cannot make a consumer", "why=\"%s\"", text);
        rd_kafka_conf_destroy(kc);
        free(c->topic);
        free(c);
        return NULL;
    }
    rd_kafka_poll_set_consumer(c->rk);
    topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return c;
}

void oim_kafka_consumer_free(struct oim_kafka_consumer *c)
{
    if (c == NULL) return;
    rd_kafka_consumer_close(c->rk); /* runs the revocation; a static member stays in the group until its session ends */
    rd_kafka_destroy(c->rk);
    while (c->started.n) c->events->revoked(c->ctx, c->started.id[--c->started.n], true); /* fenced: the group forgot us */
    free(c->topic);
    free(c);
}

rd_kafka_queue_t *kafka_consumer_queue(struct oim_kafka_consumer *c)
{
    return rd_kafka_queue_get_consumer(c->rk);
}

/* The next record, NULL when there is none within the time. Errors of single partitions are passed over and partitions that came are started,
 * so that NULL means that the queue is empty: oim_kafka_wait sleeps on that. */
static rd_kafka_message_t *take(struct oim_kafka_consumer *c, int timeout_ms)
{
    for (;; timeout_ms = 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, timeout_ms);

        if (m && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_link_up(&c->link, c->rk);
            return m;
        }
        if (m) {
            kafka_link_error(&c->link, c->rk, m->err, rd_kafka_message_errstr(m));
            rd_kafka_message_destroy(m);
        } else if (c->rebalanced) {
            c->rebalanced = false;
            start_waiting(c);
        } else {
            return NULL;
        }
    }
}

int oim_kafka_poll(struct oim_kafka_consumer *c, struct oim_kafka_record *records, int max, int timeout_ms)
{
    rd_kafka_message_t *m;
    int n = 0;

    if (c->waiting.n && oim_mono_ms() >= c->ask_again_at) start_waiting(c);
    while (n < max && (m = take(c, n ? 0 : timeout_ms))) kafka_record_fill(&records[n++], m);
    if (!c->link.fatal) return n;
    oim_kafka_records_free(records, n);
    return OIM_EFATAL;
}

void oim_kafka_records_free(struct oim_kafka_record *records, int n)
{
    for (int i = 0; i < n; i++) rd_kafka_message_destroy(records[i].handle);
}

void kafka_record_fill(struct oim_kafka_record *record, rd_kafka_message_t *m)
{
    record->partition = m->partition;
    record->offset = m->offset;
    record->timestamp = rd_kafka_message_timestamp(m, NULL);
    record->key = m->key;
    record->key_len = m->key_len;
    record->value = m->payload;
    record->len = m->len;
    record->handle = m;
}

static rd_kafka_topic_partition_list_t *one_partition(struct oim_kafka_consumer *c, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, c->topic, partition)->offset = offset;
    return list;
}

int oim_kafka_commit(struct oim_kafka_consumer *c, int32_t partition, int64_t next, bool wait)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err;

    if (wait && c->link.down) return OIM_EUNAVAIL; /* each partition would wait for as long as a session lasts */
    list = one_partition(c, partition, next);
    err = rd_kafka_offsets_store(c->rk, list);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) err = list->elems[0].err;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && wait) err = rd_kafka_commit(c->rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? OIM_EUNAVAIL : OIM_OK;
}

int oim_kafka_pause(struct oim_kafka_consumer *c, int32_t partition, bool pause)
{
    rd_kafka_topic_partition_list_t *list = one_partition(c, partition, 0);
    rd_kafka_resp_err_t err = pause ? rd_kafka_pause_partitions(c->rk, list) : rd_kafka_resume_partitions(c->rk, list);

    rd_kafka_topic_partition_list_destroy(list);
    return err ? OIM_EUNAVAIL : OIM_OK;
}

int oim_kafka_seek(struct oim_kafka_consumer *c, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = one_partition(c, partition, offset);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(c->rk, list, 5000);
    int err = error || list->elems[0].err ? OIM_EUNAVAIL : OIM_OK;

    if (error) rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}
