/*
 * Recent messages in MongoDB; oim_mongo.h holds the contract, docs/records.md the document. A conversation's messages share a `block` of
 * 100 seqs, read by equality: an ordinary index serves it in MongoDB, a GIN index in FerretDB, which pushes down nothing else.
 */
#include "oim_mongo.h"

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_conf.h"
#include "oim_err.h"
#include "oim_log.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CIRCUIT_MS 500
#define BLOCK 100
#define BATCH 500
#define DUPLICATE_KEY 11000

struct oim_mongo {
    const struct oim_conf *conf;
    const char *name;
    mongoc_client_t *client;
    mongoc_collection_t *msgs;
    int64_t closed_until;
    bool down;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void quiet(mongoc_log_level_t level, const char *domain, const char *text, void *ctx)
{
    if (level <= MONGOC_LOG_LEVEL_WARNING) oim_log(OIM_LOG_WARN, "mongo", "domain=%s text=\"%s\"", domain, text);
}

static void init(void)
{
    mongoc_init();
    mongoc_log_set_handler(quiet, NULL);
}

struct oim_mongo *oim_mongo_new(const struct oim_conf *conf, const char *name)
{
    struct oim_mongo *mg = calloc(1, sizeof(*mg));
    bson_error_t error;
    mongoc_uri_t *uri;

    if (mg == NULL) return NULL;
    pthread_once(&once, init);
    mg->conf = conf;
    mg->name = name;
    uri = mongoc_uri_new_with_error(conf->mongo.uri, &error);
    if (uri == NULL) {
        oim_log(OIM_LOG_ERROR, "mongo.uri is no connection string", "why=\"%s\"", error.message);
        free(mg);
        return NULL;
    }
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, conf->mongo.timeout_ms);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, conf->mongo.timeout_ms);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, conf->mongo.timeout_ms * 5);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);
    mg->client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (mg->client == NULL) {
        oim_log(OIM_LOG_ERROR, "no mongo client", "link=%s", name);
        free(mg);
        return NULL;
    }
    mongoc_client_set_error_api(mg->client, MONGOC_ERROR_API_VERSION_2);
    mg->msgs = mongoc_client_get_collection(mg->client, conf->mongo.database, "msg");
    return mg;
}

void oim_mongo_free(struct oim_mongo *mg)
{
    if (mg == NULL) return;
    mongoc_collection_destroy(mg->msgs);
    mongoc_client_destroy(mg->client);
    free(mg);
}

static int away(struct oim_mongo *mg, const char *step, const bson_error_t *error)
{
    if (!mg->down) oim_log(OIM_LOG_WARN, "mongo is away", "link=%s step=%s code=%u why=\"%s\"", mg->name, step, error->code, error->message);
    mg->down = true;
    mg->closed_until = oim_mono_ms() + CIRCUIT_MS;
    return OIM_EUNAVAIL;
}

static int here(struct oim_mongo *mg)
{
    if (mg->down) oim_log(OIM_LOG_INFO, "mongo is back", "link=%s", mg->name);
    mg->down = false;
    return OIM_OK;
}

int oim_mongo_prepare(struct oim_mongo *mg)
{
    static const char *const keys[][2] = {{"block", NULL}, {"conv", "seq"}, {"day", NULL}};
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    bson_error_t error;
    bool ok = mongoc_client_command_simple(mg->client, mg->conf->mongo.database, ping, NULL, NULL, &error);

    bson_destroy(ping);
    if (!ok) return away(mg, "ping", &error);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        bson_t key, *command;
        char *name;

        bson_init(&key);
        for (int k = 0; k < 2 && keys[i][k]; k++) BSON_APPEND_INT32(&key, keys[i][k], 1);
        name = mongoc_collection_keys_to_index_string(&key);
        command = BCON_NEW("createIndexes", BCON_UTF8("msg"), "indexes", "[", "{", "key", BCON_DOCUMENT(&key), "name", BCON_UTF8(name), "}", "]");
        if (!mongoc_client_write_command_with_opts(mg->client, mg->conf->mongo.database, command, NULL, NULL, &error)) {
            oim_log(OIM_LOG_WARN, "mongo refuses an index", "index=%s why=\"%s\"", name, error.message);
        }
        bson_free(name);
        bson_destroy(command);
        bson_destroy(&key);
    }
    return here(mg);
}

static void document_fill(bson_t *doc, const struct oim_mongo_msg *m)
{
    char text[1200];

    bson_init(doc);
    snprintf(text, sizeof(text), "%s:%lld", m->conversation_id, (long long)m->seq);
    BSON_APPEND_UTF8(doc, "_id", text);
    snprintf(text, sizeof(text), "%s:%lld", m->conversation_id, (long long)((m->seq - 1) / BLOCK));
    BSON_APPEND_UTF8(doc, "block", text);
    BSON_APPEND_INT32(doc, "day", (int32_t)(m->send_time / 86400000));
    BSON_APPEND_UTF8(doc, "conv", m->conversation_id);
    BSON_APPEND_INT64(doc, "seq", m->seq);
    BSON_APPEND_UTF8(doc, "send_id", m->send_id);
    BSON_APPEND_UTF8(doc, "client_msg_id", m->client_msg_id);
    BSON_APPEND_INT32(doc, "content_type", m->content_type);
    BSON_APPEND_DATE_TIME(doc, "send_time", m->send_time);
    BSON_APPEND_BINARY(doc, "data", BSON_SUBTYPE_BINARY, m->data, (uint32_t)m->len);
}

/* True when the reply has no error but repeats of what is there. */
static bool only_duplicates(const bson_t *reply)
{
    bson_iter_t iter, list, code;

    if (!bson_iter_init_find(&iter, reply, "writeErrors") || !bson_iter_recurse(&iter, &list)) return false;
    while (bson_iter_next(&list)) {
        if (!bson_iter_recurse(&list, &code) || !bson_iter_find(&code, "code") || bson_iter_as_int64(&code) != DUPLICATE_KEY) return false;
    }
    return true;
}

static int insert_some(struct oim_mongo *mg, const struct oim_mongo_msg *msgs, size_t n)
{
    bson_t docs[BATCH], reply, *opts = BCON_NEW("ordered", BCON_BOOL(false));
    const bson_t *list[BATCH];
    bson_error_t error = {0};
    bool ok;

    for (size_t i = 0; i < n; i++) {
        document_fill(&docs[i], &msgs[i]);
        list[i] = &docs[i];
    }
    ok = mongoc_collection_insert_many(mg->msgs, list, n, opts, &reply, &error) || only_duplicates(&reply);
    for (size_t i = 0; i < n; i++) bson_destroy(&docs[i]);
    bson_destroy(&reply);
    bson_destroy(opts);
    return ok ? here(mg) : away(mg, "insert", &error);
}

int oim_mongo_insert(struct oim_mongo *mg, const struct oim_mongo_msg *msgs, size_t n)
{
    int err = OIM_OK;

    if (oim_mono_ms() < mg->closed_until) return OIM_EUNAVAIL;
    for (size_t i = 0; i < n && err == OIM_OK; i += BATCH) err = insert_some(mg, msgs + i, n - i < BATCH ? n - i : BATCH);
    return err;
}

/* seq and data only: that is all a reader wants. */
static bool document_read(struct oim_arena *a, const bson_t *doc, struct oim_mongo_msg *m)
{
    const uint8_t *data;
    bson_subtype_t subtype;
    bson_iter_t iter;
    uint32_t len;

    if (!bson_iter_init_find(&iter, doc, "seq")) return false;
    m->seq = bson_iter_as_int64(&iter);
    if (!bson_iter_init_find(&iter, doc, "data") || !BSON_ITER_HOLDS_BINARY(&iter)) return false;
    bson_iter_binary(&iter, &subtype, &len, &data);
    m->data = memcpy(oim_arena_alloc(a, len ? len : 1), data, len);
    m->len = len;
    return true;
}

static int by_seq(const void *a, const void *b)
{
    int64_t x = ((const struct oim_mongo_msg *)a)->seq, y = ((const struct oim_mongo_msg *)b)->seq;

    return x < y ? -1 : x > y;
}

int oim_mongo_read(struct oim_mongo *mg, struct oim_arena *a, const char *conversation_id, int64_t lo, int64_t hi,
                   struct oim_mongo_msg **msgs, size_t *n)
{
    bson_error_t error;
    char block[1200];

    *n = 0;
    *msgs = NULL;
    if (lo < 1) lo = 1;
    if (hi < lo) return OIM_OK;
    if (oim_mono_ms() < mg->closed_until) return OIM_EUNAVAIL;
    *msgs = oim_arena_alloc(a, (size_t)(hi - lo + 1) * sizeof(**msgs));
    for (int64_t b = (lo - 1) / BLOCK; b <= (hi - 1) / BLOCK; b++) {
        mongoc_cursor_t *cursor;
        const bson_t *doc;
        bson_t filter;
        bool failed;

        snprintf(block, sizeof(block), "%s:%lld", conversation_id, (long long)b);
        bson_init(&filter);
        BSON_APPEND_UTF8(&filter, "block", block);
        cursor = mongoc_collection_find_with_opts(mg->msgs, &filter, NULL, NULL);
        while (mongoc_cursor_next(cursor, &doc)) {
            struct oim_mongo_msg m = {.conversation_id = conversation_id};

            if (*n > (size_t)(hi - lo) || !document_read(a, doc, &m) || m.seq < lo || m.seq > hi) continue;
            (*msgs)[(*n)++] = m;
        }
        failed = mongoc_cursor_error(cursor, &error);
        mongoc_cursor_destroy(cursor);
        bson_destroy(&filter);
        if (failed) return away(mg, "find", &error);
    }
    qsort(*msgs, *n, sizeof(**msgs), by_seq);
    return here(mg);
}

int oim_mongo_delete_day(struct oim_mongo *mg, int32_t day)
{
    bson_t *filter = BCON_NEW("day", BCON_INT32(day));
    bson_error_t error;
    bool ok = mongoc_collection_delete_many(mg->msgs, filter, NULL, NULL, &error);

    bson_destroy(filter);
    return ok ? here(mg) : away(mg, "delete", &error);
}
