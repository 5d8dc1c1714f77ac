/*
 * Consumer and wait; the producer is in oim_kafka_producer.c, take-over reading in oim_kafka_read.c, what they share in
 * oim_kafka_internal.h. oim_kafka.h holds the contract.
 *
 * A partition passes through: assigned by the group -> our caller says where to start (or "ask again": it waits in `waiting`, not
 * fetched) -> fetched -> revoked. All callbacks run inside oim_kafka_poll, in the lane's thread.
 */
#include "oim_kafka_internal.h"

#include "oim_app.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COMMITTED_MS 5000
#define ASK_AGAIN_MS 1000
#define PARTITIONS_MAX 1024

struct oim_kafka_consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    char *topic;
    const struct oim_kafka_events *events;
    void *ctx;
    int64_t ask_again_at;
    int32_t waiting[PARTITIONS_MAX]; /* given to us, start not yet known */
    int n_waiting;
    bool fatal;
};

static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum oim_log_level own = level <= 3 ? OIM_LOG_WARN : level <= 6 ? OIM_LOG_INFO : OIM_LOG_DEBUG;

    if (strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0) own = OIM_LOG_WARN;
    oim_log(own, "kafka", "client=%s %s=\"%s\"", rk ? rd_kafka_name(rk) : "-", facility, text);
}

rd_kafka_conf_t *kafka_conf_new(const struct oim_conf *conf, const char *client)
{
    rd_kafka_conf_t *kc = rd_kafka_conf_new();

    kafka_conf_set(kc, "bootstrap.servers", conf->kafka.brokers);
    kafka_conf_set(kc, "client.id", client);
    kafka_conf_set(kc, "socket.nagle.disable", "true");
    kafka_conf_set(kc, "socket.keepalive.enable", "true");
    kafka_conf_set(kc, "reconnect.backoff.ms", "100");
    kafka_conf_set(kc, "reconnect.backoff.max.ms", "1000");
    kafka_conf_set(kc, "topic.metadata.refresh.interval.ms", "30000");
    kafka_conf_set(kc, "topic.metadata.refresh.fast.interval.ms", "100");
    kafka_conf_set(kc, "log.connection.close", "false");
    rd_kafka_conf_set_log_cb(kc, log_line);
    return kc;
}

void kafka_conf_set(rd_kafka_conf_t *kc, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(kc, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        oim_log(OIM_LOG_ERROR, "kafka setting refused", "name=%s why=\"%s\"", name, why);
        abort();
    }
}

void kafka_conf_set_int(rd_kafka_conf_t *kc, const char *name, int value)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", value);
    kafka_conf_set(kc, name, text);
}

/* ---- partitions come and go ---- */

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
        c->fatal = true;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* The committed offset, -1 when there is none; false: the group did not answer. */
static bool committed_offset(struct oim_kafka_consumer *c, int32_t partition, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t err;

    rd_kafka_topic_partition_list_add(list, c->topic, partition);
    err = rd_kafka_committed(c->rk, list, COMMITTED_MS);
    *offset = list->elems[0].offset >= 0 ? list->elems[0].offset : -1;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) err = list->elems[0].err;
    rd_kafka_topic_partition_list_destroy(list);
    if (err) oim_log(OIM_LOG_WARN, "no committed offset", "topic=%s partition=%d why=\"%s\"", c->topic, partition, rd_kafka_err2str(err));
    return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* True when the partition is being fetched now. */
static bool try_start(struct oim_kafka_consumer *c, int32_t partition)
{
    int64_t committed, start;

    if (!committed_offset(c, partition, &committed)) return false;
    start = c->events->assigned(c->ctx, partition, committed);
    if (start == -2) return false;
    if (start < 0) start = committed >= 0 ? committed : RD_KAFKA_OFFSET_BEGINNING;
    assign_one(c, partition, start);
    return true;
}

static void start_waiting(struct oim_kafka_consumer *c)
{
    int kept = 0;

    for (int i = 0; i < c->n_waiting; i++) {
        if (!try_start(c, c->waiting[i])) c->waiting[kept++] = c->waiting[i];
    }
    c->n_waiting = kept;
    c->ask_again_at = oim_mono_ms() + ASK_AGAIN_MS;
}

static bool forget_waiting(struct oim_kafka_consumer *c, int32_t partition)
{
    for (int i = 0; i < c->n_waiting; i++) {
        if (c->waiting[i] != partition) continue;
        c->waiting[i] = c->waiting[--c->n_waiting];
        return true;
    }
    return false;
}

static void give_back(struct oim_kafka_consumer *c, const rd_kafka_topic_partition_list_t *gone)
{
    rd_kafka_topic_partition_list_t *fetched = rd_kafka_topic_partition_list_new(gone->cnt);
    bool lost = rd_kafka_assignment_lost(c->rk);
    rd_kafka_error_t *error;

    for (int i = 0; i < gone->cnt; i++) {
        if (forget_waiting(c, gone->elems[i].partition)) continue;
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

        for (int i = 0; i < parts->cnt && c->n_waiting < PARTITIONS_MAX; i++) c->waiting[c->n_waiting++] = parts->elems[i].partition;
        /* the group waits for an answer to its assignment: an empty one, then each partition when its start is known */
        error = rd_kafka_incremental_assign(rk, none);
        if (error) rd_kafka_error_destroy(error);
        rd_kafka_topic_partition_list_destroy(none);
        c->ask_again_at = 0;
    } else {
        give_back(c, parts);
    }
}

static void error_event(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct oim_kafka_consumer *c = opaque;
    char why[256];

    if (err != RD_KAFKA_RESP_ERR__FATAL) return; /* retried by the library, logged by log_line */
    err = rd_kafka_fatal_error(rk, why, sizeof(why));
    oim_log(OIM_LOG_ERROR, "kafka refuses this process", "client=%s why=\"%s\" do=\"%s\"", rd_kafka_name(rk), why,
            err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? "another process has the same general.instance: give each its own" : "see the broker");
    c->fatal = true;
}

/* ---- consumer ---- */

struct oim_kafka_consumer *oim_kafka_consumer_new(const struct oim_conf *conf, const char *topic, const char *group, const char *lane,
                                                  const struct oim_kafka_events *events, void *ctx)
{
    struct oim_kafka_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_topic_partition_list_t *topics;
    rd_kafka_conf_t *kc = kafka_conf_new(conf, lane);
    char text[512];

    if (c == NULL) return NULL;
    c->topic = strdup(topic);
    c->events = events;
    c->ctx = ctx;
    snprintf(text, sizeof(text), "%s-%s", conf->general.instance, lane);
    kafka_conf_set(kc, "group.id", group);
    kafka_conf_set(kc, "group.instance.id", text);
    kafka_conf_set(kc, "partition.assignment.strategy", "cooperative-sticky");
    kafka_conf_set(kc, "enable.auto.commit", "false");
    kafka_conf_set(kc, "enable.auto.offset.store", "false");
    kafka_conf_set(kc, "auto.offset.reset", "earliest");
    kafka_conf_set_int(kc, "session.timeout.ms", conf->kafka.session_timeout_ms);
    kafka_conf_set_int(kc, "heartbeat.interval.ms", conf->kafka.session_timeout_ms / 4);
    kafka_conf_set(kc, "max.poll.interval.ms", "86400000");
    kafka_conf_set(kc, "fetch.wait.max.ms", "500");
    kafka_conf_set(kc, "fetch.min.bytes", "1");
    kafka_conf_set(kc, "fetch.error.backoff.ms", "100");
    kafka_conf_set(kc, "queued.max.messages.kbytes", "16384");
    kafka_conf_set(kc, "fetch.message.max.bytes", "2097152");
    rd_kafka_conf_set_opaque(kc, c);
    rd_kafka_conf_set_rebalance_cb(kc, rebalance);
    rd_kafka_conf_set_error_cb(kc, error_event);

    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, kc, text, sizeof(text));
    if (c->rk == NULL) {
        oim_log(OIM_LOG_ERROR, "cannot make a consumer", "why=\"%s\"", text);
        rd_kafka_conf_destroy(kc);
        free(c->topic);
        free(c);
        return NULL;
    }
    rd_kafka_poll_set_consumer(c->rk);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return c;
}

void oim_kafka_consumer_free(struct oim_kafka_consumer *c)
{
    if (c == NULL) return;
    rd_kafka_queue_destroy(c->queue);
    rd_kafka_consumer_close(c->rk); /* runs the revocation */
    rd_kafka_destroy(c->rk);
    free(c->topic);
    free(c);
}

/* One record, or none: an event or an error of one partition is handled here. */
static bool take(struct oim_kafka_consumer *c, struct oim_kafka_record *record, int timeout_ms)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, timeout_ms);

    if (m == NULL) return false;
    if (m->err) {
        oim_log(OIM_LOG_WARN, "kafka", "client=%s partition=%d why=\"%s\"", rd_kafka_name(c->rk), m->partition, rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
        return false;
    }
    kafka_record_fill(record, m);
    return true;
}

int oim_kafka_poll(struct oim_kafka_consumer *c, struct oim_kafka_record *records, int max, int timeout_ms)
{
    int n = 0;

    if (c->n_waiting && oim_mono_ms() >= c->ask_again_at) start_waiting(c);
    while (n < max && take(c, &records[n], n ? 0 : timeout_ms)) n++;
    if (c->n_waiting && c->ask_again_at == 0) start_waiting(c);
    return c->fatal ? OIM_EFATAL : n;
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
    rd_kafka_topic_partition_list_t *list = one_partition(c, partition, next);
    rd_kafka_resp_err_t err = rd_kafka_commit(c->rk, list, !wait);

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

/* ---- sleeping on both ---- */

struct oim_kafka_wait {
    int fd;
};

struct oim_kafka_wait *oim_kafka_wait_new(struct oim_kafka_consumer *c, struct oim_kafka_producer *p)
{
    static const uint64_t one = 1;
    struct oim_kafka_wait *w = calloc(1, sizeof(*w));

    if (w == NULL) return NULL;
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->fd < 0) {
        oim_log(OIM_LOG_ERROR, "eventfd failed", "errno=%d", errno);
        free(w);
        return NULL;
    }
    /* written when a queue turns from empty to not empty, so both queues must be emptied before sleeping */
    if (c) rd_kafka_queue_io_event_enable(c->queue, w->fd, &one, sizeof(one));
    if (p) rd_kafka_queue_io_event_enable(kafka_producer_queue(p), w->fd, &one, sizeof(one));
    return w;
}

void oim_kafka_wait_free(struct oim_kafka_wait *w)
{
    if (w == NULL) return;
    close(w->fd);
    free(w);
}

int oim_kafka_wait_ms(struct oim_kafka_wait *w, int timeout_ms)
{
    struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
    uint64_t count;

    if (poll(&pfd, 1, timeout_ms) <= 0) return 0;
    return read(w->fd, &count, sizeof(count)) > 0;
}

void oim_kafka_wake(struct oim_kafka_wait *w)
{
    uint64_t one = 1;

    if (write(w->fd, &one, sizeof(one)) < 0) {
        return; /* the counter is full: it is awake */
    }
}
