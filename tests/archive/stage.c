/* See archive.h. Everything that a stage makes carries the process id and a number: tests run beside a living system and after a failed run. */
#include "archive.h"

#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <mongoc/mongoc.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "openim-archive"

struct oim_conf conf;
char topic[128], state_dir[128];
struct oim_sql *db;
struct oim_mongo *mg;
struct oim_arena *arena;

static char name[64];
static rd_kafka_t *admin;

static void topic_create(void)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    char why[256];
    rd_kafka_NewTopic_t *new = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, why, sizeof(why));
    const rd_kafka_topic_result_t **results;
    rd_kafka_event_t *event;
    size_t n;

    rd_kafka_CreateTopics(admin, &new, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 15000);
    assert_non_null(event);
    results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    assert_int_equal(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(new);
    rd_kafka_queue_destroy(queue);
}

static void topic_delete(void)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_event_t *event;

    rd_kafka_DeleteTopics(admin, &gone, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 15000);
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(gone);
    rd_kafka_queue_destroy(queue);
}

int stage_open(void **state)
{
    static int number;
    rd_kafka_conf_t *kc = rd_kafka_conf_new();
    char text[160];

    snprintf(name, sizeof(name), "openim_archive_%d_%d", (int)getpid(), ++number);
    snprintf(topic, sizeof(topic), "%s.stored", name);
    snprintf(state_dir, sizeof(state_dir), "/tmp/%s", name);
    if (mkdir(state_dir, 0700)) return -1;
    snprintf(text, sizeof(text), "%s.", name);
    setenv("OPENIM_KAFKA_TOPIC_PREFIX", text, 1);
    setenv("OPENIM_MYSQL_DATABASE", name, 1);
    setenv("OPENIM_MONGO_DATABASE", name, 1);
    setenv("OPENIM_GENERAL_STATE_DIR", state_dir, 1);
    setenv("OPENIM_GENERAL_INSTANCE", name, 1);
    setenv("OPENIM_GENERAL_PROFILE", "development", 1);
    setenv("OPENIM_KAFKA_SESSION_TIMEOUT_MS", "3000", 1);
    if (oim_conf_load(&conf, NULL) != OIM_OK) return -1;
    rd_kafka_conf_set(kc, "bootstrap.servers", conf.kafka.brokers, NULL, 0);
    rd_kafka_conf_set(kc, "group.id", GROUP, NULL, 0);
    admin = rd_kafka_new(RD_KAFKA_CONSUMER, kc, text, sizeof(text));
    assert_non_null(admin);
    topic_create();
    assert_int_equal(oim_sql_migrate(&conf), OIM_OK);
    arena = oim_arena_new(1 << 20);
    db = oim_sql_new(&conf, "test");
    mg = oim_mongo_new(&conf, "test");
    assert_int_equal(oim_mongo_prepare(mg), OIM_OK);
    feed_open();
    return 0;
}

static void mongo_drop(void)
{
    mongoc_client_t *client = mongoc_client_new(conf.mongo.uri);
    mongoc_database_t *database = mongoc_client_get_database(client, name);

    mongoc_database_drop(database, NULL);
    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
}

static void state_remove(void)
{
    DIR *dir = opendir(state_dir);
    struct dirent *entry;
    char path[512];

    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", state_dir, entry->d_name);
        unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(state_dir);
}

int stage_close(void **state)
{
    char sql[128];

    workers_end();
    feed_close();
    snprintf(sql, sizeof(sql), "DROP DATABASE %s", name);
    oim_sql_exec(db, arena, sql, NULL, 0, NULL, NULL);
    oim_sql_free(db);
    oim_mongo_free(mg);
    mongo_drop();
    oim_arena_free(arena);
    topic_delete();
    rd_kafka_destroy(admin);
    state_remove();
    oim_conf_free(&conf);
    return 0;
}

int64_t stage_end_offset(int32_t partition)
{
    int64_t low, high;

    assert_int_equal(rd_kafka_query_watermark_offsets(admin, topic, partition, &low, &high, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    return high;
}

int64_t stage_committed(int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int64_t offset;

    rd_kafka_topic_partition_list_add(list, topic, partition);
    assert_int_equal(rd_kafka_committed(admin, list, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    offset = list->elems[0].offset >= 0 ? list->elems[0].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return offset;
}

static const struct oim_sql_value *cell(const char *sql, va_list texts)
{
    static struct oim_sql_rows rows;
    struct oim_sql_value args[8];
    const char *text;
    size_t n = 0;

    while (n < 8 && (text = va_arg(texts, const char *))) args[n++] = oim_sql_text(text);
    assert_int_equal(oim_sql_exec(db, arena, sql, args, n, &rows, NULL), OIM_OK);
    if (rows.n == 0) fail_msg("no row: %s", sql);
    return oim_sql_cell(&rows, 0, 0);
}

int64_t sql_int(const char *sql, ...)
{
    const struct oim_sql_value *value;
    va_list texts;

    va_start(texts, sql);
    value = cell(sql, texts);
    va_end(texts);
    return value->kind == OIM_SQL_BLOB ? atoll(value->p) : value->i; /* SUM is a decimal */
}

const char *sql_text(const char *sql, ...)
{
    const struct oim_sql_value *value;
    va_list texts;

    va_start(texts, sql);
    value = cell(sql, texts);
    va_end(texts);
    return value->p;
}

void sql_run(const char *sql)
{
    assert_int_equal(oim_sql_exec(db, arena, sql, NULL, 0, NULL, NULL), OIM_OK);
}

void sql_await(int64_t want, int seconds, const char *sql)
{
    int64_t until = oim_mono_ms() + seconds * 1000, got;

    while ((got = sql_int(sql, NULL)) != want) {
        if (oim_mono_ms() > until) fail_msg("after %d s: %lld instead of %lld: %s", seconds, (long long)got, (long long)want, sql);
        usleep(50000);
    }
}
