/*
 * A lane: one thread, one Kafka consumer, one connection to each store. Gathers a batch, decodes it (decode.c), tries until the stores
 * have it (store.c), commits to Kafka, begins again. Nothing of a batch outlives its partition: what is revoked meanwhile is dropped,
 * the next owner reads it from archive_offset. While a store is away the partitions are paused and the group is still answered.
 */
#include "archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP "openim-archive"
#define POLL_MS 200
#define BATCH_BYTES (8 * 1024 * 1024)
#define SPARE 64               /* records that may arrive while the lane waits for its stores */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define COUNTERS_MS 60000
#define COMMIT_AGAIN_MS 5000   /* a commit may fail while the group changes hands, and nobody says so */
#define PARTITIONS_MAX 65536
#define SEEK_TRIES 10

static struct archive_counters counters;

struct archive_counters *archive_counters(void)
{
    return &counters;
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- partitions ---- */

struct archive_partition *archive_partition(struct archive_lane *l, int32_t id)
{
    struct archive_partition *grown;
    int32_t n = l->n_parts ? l->n_parts : 8;

    if (id < 0 || id >= PARTITIONS_MAX) return NULL;
    if (id < l->n_parts) return &l->parts[id];
    while (n <= id) n *= 2;
    grown = realloc(l->parts, (size_t)n * sizeof(*grown));
    if (grown == NULL) return NULL;
    memset(grown + l->n_parts, 0, (size_t)(n - l->n_parts) * sizeof(*grown));
    l->parts = grown;
    l->n_parts = n;
    return &l->parts[id];
}

void archive_drop_partition(struct archive_lane *l, int32_t id)
{
    struct archive_partition *p = archive_partition(l, id);
    size_t kept = 0;

    for (size_t i = 0; i < l->n_rows; i++) {
        if (l->rows[i].record->partition != id) l->rows[kept++] = l->rows[i];
    }
    l->n_rows = kept;
    for (int i = 0; i < l->n_records; i++) {
        if (l->records[i].partition == id) l->records[i].partition = -1;
    }
    if (p == NULL) return;
    p->touched = false;
    p->to_next = p->next;
    p->to_fence = p->fence;
}

static int position_take(struct archive_lane *l, int32_t id, struct archive_partition *p)
{
    int64_t next, fence;
    int err;

    oim_arena_reset(l->scratch);
    err = archive_position_load(l, id, &next, &fence);
    if (err != OIM_OK) return err;
    *p = (struct archive_partition){.ours = true, .fresh = true, .next = next, .to_next = next, .fence = fence, .to_fence = fence};
    return OIM_OK;
}

static int64_t assigned(void *ctx, int32_t id, int64_t committed)
{
    struct archive_lane *l = ctx;
    struct archive_partition *p = archive_partition(l, id);

    if (p == NULL || position_take(l, id, p) != OIM_OK) return -2;
    if (p->next > 0 && committed != p->next) p->commit_at = oim_mono_ms();
    oim_log(OIM_LOG_INFO, "partition taken", "lane=%s partition=%d position=%" PRId64 " fence=%" PRId64 " committed=%" PRId64, l->lane->name, id,
            p->next, p->fence, committed);
    return p->next;
}

static void revoked(void *ctx, int32_t id, bool lost)
{
    struct archive_lane *l = ctx;
    struct archive_partition *p = archive_partition(l, id);

    archive_drop_partition(l, id);
    if (p) p->ours = false;
    if (l->failing) oim_kafka_pause(l->consumer, id, false); /* librdkafka would still hold it paused when it comes again */
    oim_log(OIM_LOG_INFO, "partition given back", "lane=%s partition=%d lost=%d", l->lane->name, id, lost);
}

/* MySQL is at another position than we thought: somebody else wrote. Begins where it is. */
static int reposition(struct archive_lane *l, int32_t id)
{
    struct archive_partition *p = archive_partition(l, id);

    archive_drop_partition(l, id);
    for (int i = 0; i < SEEK_TRIES && !l->app->stop; i++) {
        if (position_take(l, id, p) == OIM_OK && oim_kafka_seek(l->consumer, id, p->next) == OIM_OK) {
            oim_log(OIM_LOG_WARN, "another process wrote this partition's history; reading from its position", "partition=%d position=%" PRId64, id,
                    p->next);
            return OIM_OK;
        }
        sleep_ms(BACKOFF_MAX_MS / 4);
    }
    return l->app->stop ? OIM_OK : OIM_EFATAL;
}

/* ---- a batch ---- */

/* Takes one record into the batch if there is one within timeout_ms. 1, 0, or OIM_EFATAL. */
static int record_take(struct archive_lane *l, int timeout_ms)
{
    int n = oim_kafka_poll(l->consumer, &l->records[l->n_records], 1, timeout_ms);
    const struct oim_kafka_record *record = &l->records[l->n_records];

    if (n <= 0) return n;
    l->n_records++;
    l->bytes += record->len;
    while (archive_decode(l, record) != OIM_OK) {
        if (l->app->stop) { /* not parked, so not done: its partition's part of the batch is read again */
            archive_partition(l, record->partition)->ours = false;
            archive_drop_partition(l, record->partition);
            break;
        }
        sleep_ms(BACKOFF_MAX_MS / 4);
    }
    return 1;
}

static int drain(struct archive_lane *l)
{
    int n = 1;

    while (n > 0 && l->n_records < l->app->conf.archive.batch && l->bytes < BATCH_BYTES) n = record_take(l, 0);
    return n < 0 ? n : OIM_OK;
}

/* A batch begins linger_ms after the one before: when the stores are slow, or nothing came for a while, nobody waits here. */
static int gather(struct archive_lane *l)
{
    int err = record_take(l, POLL_MS);
    int64_t left;

    if (err <= 0) return err;
    err = drain(l);
    while (err == OIM_OK && !l->app->stop && l->n_records < l->app->conf.archive.batch && l->bytes < BATCH_BYTES) {
        left = l->gathered_at + l->app->conf.archive.linger_ms - oim_mono_ms();
        if (left <= 0) break;
        sleep_ms(left < POLL_MS ? (int)left : POLL_MS);
        err = drain(l);
    }
    l->gathered_at = oim_mono_ms();
    return err;
}

static void pause_all(struct archive_lane *l, bool pause)
{
    for (int32_t i = 0; i < l->n_parts; i++) {
        if (l->parts[i].ours) oim_kafka_pause(l->consumer, i, pause);
    }
}

/* Answers the group meanwhile. */
static int back_off(struct archive_lane *l, int ms)
{
    int64_t until = oim_mono_ms() + ms, left;

    while (!l->app->stop && (left = until - oim_mono_ms()) > 0) {
        if (left > POLL_MS) left = POLL_MS;
        if (l->n_records == l->cap) {
            sleep_ms((int)left);
        } else if (record_take(l, (int)left) < 0) {
            return OIM_EFATAL;
        }
    }
    return OIM_OK;
}

static bool batch_empty(const struct archive_lane *l)
{
    for (int32_t i = 0; i < l->n_parts; i++) {
        if (l->parts[i].touched) return false;
    }
    return true;
}

/* One try. OIM_OK also when a partition was dropped: *again says that the rest is still to be written. */
static int batch_try(struct archive_lane *l, bool *again)
{
    int32_t lost = -1;
    int err = batch_empty(l) ? OIM_OK : archive_store(l, &lost);

    *again = err == OIM_EFENCED;
    return err == OIM_EFENCED ? reposition(l, lost) : err;
}

/* Until the batch is in the stores, or the process stops. */
static int batch_write(struct archive_lane *l)
{
    int backoff = BACKOFF_MIN_MS, err;
    bool again = false;

    for (;;) {
        err = batch_try(l, &again);
        if (err == OIM_EFATAL && again) return OIM_EFATAL;
        if (err == OIM_OK && again) continue;
        if (err == OIM_OK || l->app->stop) break;
        atomic_fetch_add(&l->counters->retries, 1);
        if (!l->failing) {
            l->failing = true;
            oim_log(OIM_LOG_WARN, "history waits for its stores", "lane=%s result=\"%s\" records=%d", l->lane->name, oim_err_name(err),
                    l->n_records);
        }
        pause_all(l, true); /* again each time: partitions come meanwhile */
        if (back_off(l, backoff) != OIM_OK) return OIM_EFATAL;
        backoff = backoff * 2 < BACKOFF_MAX_MS ? backoff * 2 : BACKOFF_MAX_MS;
    }
    if (l->failing && err == OIM_OK) {
        l->failing = false;
        oim_log(OIM_LOG_INFO, "history is written again", "lane=%s records=%d", l->lane->name, l->n_records);
        pause_all(l, false);
    }
    return err;
}

static void batch_done(struct archive_lane *l)
{
    int64_t newest = 0;

    for (int32_t i = 0; i < l->n_parts; i++) {
        struct archive_partition *p = &l->parts[i];

        if (!p->touched) continue;
        p->touched = false;
        p->next = p->to_next;
        p->fence = p->to_fence;
        if (p->timestamp > newest) newest = p->timestamp;
        oim_kafka_commit(l->consumer, i, p->next, l->app->stop);
        p->commit_at = oim_mono_ms() + COMMIT_AGAIN_MS;
    }
    if (newest) atomic_store(&l->counters->behind_ms, oim_now_ms() - newest);
    atomic_fetch_add(&l->counters->messages, l->n_rows);
    atomic_fetch_add(&l->counters->batches, 1);
}

/* Kafka's offset is for those who watch the lag: it must not stay behind when no more records come. */
static void commits_repeat(struct archive_lane *l)
{
    int64_t now = oim_mono_ms();

    for (int32_t i = 0; i < l->n_parts; i++) {
        struct archive_partition *p = &l->parts[i];

        if (!p->ours || p->commit_at == 0 || p->commit_at > now) continue;
        oim_kafka_commit(l->consumer, i, p->next, false);
        p->commit_at = 0;
    }
}

static void batch_reset(struct archive_lane *l)
{
    oim_kafka_records_free(l->records, l->n_records);
    oim_arena_reset(l->arena);
    l->n_records = 0;
    l->n_rows = 0;
    l->bytes = 0;
}

/* ---- the lane ---- */

static void counters_log(const struct archive_counters *c)
{
    oim_log(OIM_LOG_INFO, "counters",
            "records=%llu messages=%llu fences=%llu void=%llu batches=%llu repeats=%llu left_out=%llu poison=%llu retries=%llu "
            "mongo_ms=%lld mysql_ms=%lld behind_ms=%lld",
            atomic_load(&c->records), atomic_load(&c->messages), atomic_load(&c->fences), atomic_load(&c->voids), atomic_load(&c->batches),
            atomic_load(&c->repeats), atomic_load(&c->left_out), atomic_load(&c->poison), atomic_load(&c->retries),
            atomic_load(&c->mongo_ms), atomic_load(&c->mysql_ms), atomic_load(&c->behind_ms));
}

/* What the first lane does for all. */
static void housekeeping(struct archive_lane *l)
{
    static int64_t due;

    if (l->lane->index != 0) return;
    if (due == 0) due = oim_mono_ms() + COUNTERS_MS;
    if (oim_mono_ms() >= due) {
        due = oim_mono_ms() + COUNTERS_MS;
        counters_log(l->counters);
    }
}

static int loop(struct archive_lane *l)
{
    while (!l->app->stop) {
        int err = gather(l);

        if (err == OIM_OK && l->n_records) {
            err = batch_write(l);
            if (err == OIM_OK) batch_done(l);
            if (err == OIM_EFATAL && !l->app->stop) return err;
            batch_reset(l);
        }
        if (err < 0) return l->app->stop ? OIM_OK : err;
        commits_repeat(l);
        housekeeping(l);
    }
    if (l->lane->index == 0) counters_log(l->counters);
    return OIM_OK;
}

static int lane_init(struct archive_lane *l)
{
    static const struct oim_kafka_events events = {.assigned = assigned, .revoked = revoked, .bulk = true};
    const struct oim_conf *conf = &l->app->conf;
    char topic[256];

    l->cap = conf->archive.batch + SPARE;
    l->records = calloc((size_t)l->cap, sizeof(*l->records));
    l->rows = calloc((size_t)l->cap, sizeof(*l->rows));
    l->arena = oim_arena_new(1024 * 1024);
    l->scratch = oim_arena_new(1024 * 1024);
    l->mg = oim_mongo_new(conf, l->lane->name);
    l->db = oim_sql_new(conf, l->lane->name);
    if (l->records == NULL || l->rows == NULL || l->arena == NULL || l->scratch == NULL || l->mg == NULL || l->db == NULL) return OIM_EFATAL;
    snprintf(topic, sizeof(topic), "%sstored", conf->kafka.topic_prefix);
    l->consumer = oim_kafka_consumer_new(conf, topic, GROUP, l->lane->name, &events, l);
    return l->consumer ? OIM_OK : OIM_EFATAL;
}

static void lane_fini(struct archive_lane *l)
{
    batch_reset(l);
    oim_kafka_consumer_free(l->consumer);
    archive_statement_free(l->history);
    archive_statement_free(l->ceilings);
    archive_statement_free(l->reads);
    archive_statement_free(l->counts);
    oim_sql_free(l->db);
    oim_mongo_free(l->mg);
    if (l->arena) oim_arena_free(l->arena);
    if (l->scratch) oim_arena_free(l->scratch);
    free(l->parts);
    free(l->rows);
    free(l->records);
}

int archive_lane_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    struct archive_lane l = {.app = app, .lane = lane, .counters = &counters};
    int err = lane_init(&l);

    if (err == OIM_OK) err = loop(&l);
    lane_fini(&l);
    return err;
}
