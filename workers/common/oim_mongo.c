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

#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CIRCUIT_MS 500
#define BLOCK 100
#define BATCH 500
#define BATCH_BYTES 4000000
#define READ_MAX 10000 /* seqs of one read */
#define KEY 2400       /* a conversation of two ids of 255 characters, and a number */

/* A client has one time-out for all that it does. A reader has MySQL to go to, a writer has nothing better to do than to wait; the messages
 * of a day can be a million. */
enum use { READ, WRITE, DELETE };

struct link {
    mongoc_client_t *client;
    mongoc_collection_t *msgs;
};

struct oim_mongo {
    const struct oim_conf *conf;
    const char *name;
    struct link links[3]; /* by enum use; made when they are needed */
    int64_t closed_until;
    bool down;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void quiet(mongoc_log_level_t level, const char *domain, const char *text, void *ctx)
{
    if (strstr(text, "endSessions")) return; /* FerretDB has none, and says so at each goodbye */
    if (level <= MONGOC_LOG_LEVEL_WARNING) oim_log(OIM_LOG_WARN, "mongo", "domain=%s text=\"%s\"", domain, text);
}

static void init(void)
{
    mongoc_init();
    mongoc_log_set_handler(quiet, NULL);
}

static mongoc_client_t *client_new(const struct oim_conf *conf, int operation_ms)
{
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(conf->mongo.uri, &error);
    mongoc_client_t *client;

    if (uri == NULL) {
        oim_log(OIM_LOG_ERROR, "mongo.uri is no connection string", "why=\"%s\"", error.message);
        return NULL;
    }
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, conf->mongo.timeout_ms);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, conf->mongo.timeout_ms);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, operation_ms);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false); /* our inserts are tried again as a whole */
    client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (client == NULL) {
        oim_log(OIM_LOG_ERROR, "mongo.uri asks for what the library has not", "operation_ms=%d", operation_ms);
        return NULL;
    }
    mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    return client;
}

/* NULL only when there is no memory: the first client showed that the settings are good. */
static const struct link *link_get(struct oim_mongo *mg, enum use use)
{
    static const int times[] = {[READ] = 1, [WRITE] = 5, [DELETE] = 60};
    struct link *link = &mg->links[use];

    if (link->client) return link;
    link->client = client_new(mg->conf, mg->conf->mongo.timeout_ms * times[use]);
    if (link->client == NULL) return NULL;
    link->msgs = mongoc_client_get_collection(link->client, mg->conf->mongo.database, "msg");
    return link;
}

struct oim_mongo *oim_mongo_new(const struct oim_conf *conf, const char *name)
{
    struct oim_mongo *mg = calloc(1, sizeof(*mg));

    if (mg == NULL) return NULL;
    pthread_once(&once, init);
    mg->conf = conf;
    mg->name = name;
    if (link_get(mg, READ)) return mg;
    free(mg);
    return NULL;
}

void oim_mongo_free(struct oim_mongo *mg)
{
    if (mg == NULL) return;
    for (int i = READ; i <= DELETE; i++) {
        if (mg->links[i].client == NULL) continue;
        mongoc_collection_destroy(mg->links[i].msgs);
        mongoc_client_destroy(mg->links[i].client);
    }
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
    mongoc_client_t *client = mg->links[READ].client;
    static const char *const keys[][2] = {{"block", NULL}, {"conv", "seq"}, {"day", NULL}};
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    bson_error_t error;
    bool ok = mongoc_client_command_simple(client, mg->conf->mongo.database, ping, NULL, NULL, &error);

    bson_destroy(ping);
    if (!ok) return away(mg, "ping", &error);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        bson_t key, *command;
        char *name;

        bson_init(&key);
        for (int k = 0; k < 2 && keys[i][k]; k++) BSON_APPEND_INT32(&key, keys[i][k], 1);
        name = mongoc_collection_keys_to_index_string(&key);
        command = BCON_NEW("createIndexes", BCON_UTF8("msg"), "indexes", "[", "{", "key", BCON_DOCUMENT(&key), "name", BCON_UTF8(name), "}", "]");
        ok = mongoc_client_write_command_with_opts(client, mg->conf->mongo.database, command, NULL, NULL, &error);
        if (!ok && error.domain == MONGOC_ERROR_SERVER) {
            oim_log(OIM_LOG_WARN, "mongo refuses an index", "index=%s why=\"%s\"", name, error.message);
            ok = true;
        }
        bson_free(name);
        bson_destroy(command);
        bson_destroy(&key);
        if (!ok) return away(mg, "index", &error);
    }
    return here(mg);
}

/* False when the conversation's name is longer than any can be. */
static bool key_make(char key[KEY], const char *conversation_id, int64_t number)
{
    return snprintf(key, KEY, "%s:%" PRId64, conversation_id, number) < KEY;
}

static bool document_fill(bson_t *doc, const struct oim_mongo_msg *m)
{
    char id[KEY], block[KEY];

    bson_init(doc);
    if (!key_make(id, m->conversation_id, m->seq) || !key_make(block, m->conversation_id, (m->seq - 1) / BLOCK)) return false;
    BSON_APPEND_UTF8(doc, "_id", id);
    BSON_APPEND_UTF8(doc, "block", block);
    BSON_APPEND_INT32(doc, "day", (int32_t)(m->send_time / 86400000));
    BSON_APPEND_UTF8(doc, "conv", m->conversation_id);
    BSON_APPEND_INT64(doc, "seq", m->seq);
    BSON_APPEND_UTF8(doc, "send_id", m->send_id);
    BSON_APPEND_UTF8(doc, "client_msg_id", m->client_msg_id);
    BSON_APPEND_INT32(doc, "content_type", m->content_type);
    BSON_APPEND_DATE_TIME(doc, "send_time", m->send_time);
    return BSON_APPEND_BINARY(doc, "data", BSON_SUBTYPE_BINARY, m->data, (uint32_t)m->len);
}

/* What the server said about single documents. */
enum verdict { REPEATED, BAD, NOT_NOW };

static enum verdict verdict(int64_t code)
{
    switch (code) {
    case 11000: return REPEATED;
    case 2:     /* BadValue */
    case 9:     /* FailedToParse */
    case 22:    /* InvalidBSON */
    case 121:   /* DocumentValidationFailure */
    case 10334: /* BSONObjectTooLarge */
    case 17280: /* KeyTooLong */ return BAD;
    default: return NOT_NOW;
    }
}

/* OIM_OK when each of the n documents is there: inserted now, or refused as a repeat. The reply of a batch that was cut by a lost connection
 * has the repeats of its first part only, so they are counted. */
static int reply_read(const bson_t *reply, size_t n)
{
    bson_iter_t iter, list, code;
    int64_t inserted = 0, count[3] = {0};

    if (bson_iter_init_find(&iter, reply, "insertedCount")) inserted = bson_iter_as_int64(&iter);
    if (bson_iter_init_find(&iter, reply, "writeErrors") && bson_iter_recurse(&iter, &list)) {
        while (bson_iter_next(&list)) {
            if (bson_iter_recurse(&list, &code) && bson_iter_find(&code, "code")) count[verdict(bson_iter_as_int64(&code))]++;
        }
    }
    if (inserted + count[REPEATED] == (int64_t)n) return OIM_OK;
    return inserted + count[REPEATED] + count[BAD] == (int64_t)n ? OIM_EPARSE : OIM_EUNAVAIL;
}

/* The library looked at a document and did not send it. */
static bool not_sent(const bson_error_t *error)
{
    return error->domain == MONGOC_ERROR_BSON || (error->domain == MONGOC_ERROR_COMMAND && error->code == MONGOC_ERROR_COMMAND_INVALID_ARG);
}

static int insert_list(struct oim_mongo *mg, const bson_t **list, size_t n)
{
    const struct link *link = link_get(mg, WRITE);
    bson_t reply, *opts;
    bson_error_t error = {0};
    int err = OIM_OK;

    if (link == NULL) return OIM_ENOMEM;
    opts = BCON_NEW("ordered", BCON_BOOL(false));
    if (!mongoc_collection_insert_many(link->msgs, list, n, opts, &reply, &error)) err = reply_read(&reply, n);
    if (err == OIM_EUNAVAIL && not_sent(&error)) err = OIM_EPARSE;
    bson_destroy(&reply);
    bson_destroy(opts);
    if (err == OIM_EUNAVAIL) return away(mg, "insert", &error);
    if (err == OIM_EPARSE) oim_log(OIM_LOG_ERROR, "mongo refuses a message", "link=%s code=%u why=\"%s\"", mg->name, error.code, error.message);
    here(mg);
    return err;
}

static int insert_some(struct oim_mongo *mg, const struct oim_mongo_msg *msgs, size_t n)
{
    bson_t docs[BATCH];
    const bson_t *list[BATCH];
    bool whole = true;
    int err;

    for (size_t i = 0; i < n; i++) {
        whole = document_fill(&docs[i], &msgs[i]) && whole;
        list[i] = &docs[i];
    }
    err = whole ? insert_list(mg, list, n) : OIM_ELIMIT;
    for (size_t i = 0; i < n; i++) bson_destroy(&docs[i]);
    return err;
}

/* How many of the n messages go into one command. */
static size_t batch_size(const struct oim_mongo_msg *msgs, size_t n)
{
    size_t bytes = 0, i = 0;

    while (i < n && i < BATCH && (bytes += msgs[i].len) <= BATCH_BYTES) i++;
    return i ? i : 1;
}

int oim_mongo_insert(struct oim_mongo *mg, const struct oim_mongo_msg *msgs, size_t n)
{
    int err = OIM_OK;

    if (n && oim_mono_ms() < mg->closed_until) return OIM_EUNAVAIL;
    while (n && err == OIM_OK) {
        size_t some = batch_size(msgs, n);

        err = insert_some(mg, msgs, some);
        msgs += some;
        n -= some;
    }
    return err;
}

/* seq and data only: that is all a reader wants. data is the document's. */
static bool document_read(const bson_t *doc, struct oim_mongo_msg *m)
{
    bson_subtype_t subtype;
    bson_iter_t iter;
    uint32_t len;

    if (!bson_iter_init_find(&iter, doc, "seq")) return false;
    m->seq = bson_iter_as_int64(&iter);
    if (!bson_iter_init_find(&iter, doc, "data") || !BSON_ITER_HOLDS_BINARY(&iter)) return false;
    bson_iter_binary(&iter, &subtype, &len, &m->data);
    m->len = len;
    return true;
}

static int by_seq(const void *a, const void *b)
{
    int64_t x = ((const struct oim_mongo_msg *)a)->seq, y = ((const struct oim_mongo_msg *)b)->seq;

    return x < y ? -1 : x > y;
}

static int block_read(struct oim_mongo *mg, struct oim_arena *a, const char *conversation_id, int64_t block, int64_t lo, int64_t hi,
                      struct oim_mongo_msg *msgs, size_t *n)
{
    size_t room = (size_t)(hi - lo + 1);
    mongoc_cursor_t *cursor;
    bson_error_t error;
    const bson_t *doc;
    bson_t filter;
    char key[KEY];
    bool failed;

    if (!key_make(key, conversation_id, block)) return OIM_ELIMIT;
    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "block", key);
    cursor = mongoc_collection_find_with_opts(mg->links[READ].msgs, &filter, NULL, NULL);
    while (mongoc_cursor_next(cursor, &doc)) {
        struct oim_mongo_msg m = {.conversation_id = conversation_id};

        if (*n < room && document_read(doc, &m) && m.seq >= lo && m.seq <= hi) {
            m.data = memcpy(oim_arena_alloc(a, m.len ? m.len : 1), m.data, m.len);
            msgs[(*n)++] = m;
        }
    }
    failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    return failed ? away(mg, "find", &error) : OIM_OK;
}

int oim_mongo_read(struct oim_mongo *mg, struct oim_arena *a, const char *conversation_id, int64_t lo, int64_t hi,
                   struct oim_mongo_msg **msgs, size_t *n)
{
    int err = OIM_OK;

    *n = 0;
    *msgs = NULL;
    if (lo < 1) lo = 1;
    if (hi < lo) return OIM_OK;
    if (hi - lo >= READ_MAX) return OIM_ELIMIT;
    if (oim_mono_ms() < mg->closed_until) return OIM_EUNAVAIL;
    *msgs = oim_arena_alloc(a, (size_t)(hi - lo + 1) * sizeof(**msgs));
    for (int64_t b = (lo - 1) / BLOCK; b <= (hi - 1) / BLOCK && err == OIM_OK; b++) {
        err = block_read(mg, a, conversation_id, b, lo, hi, *msgs, n);
    }
    if (err != OIM_OK) {
        *n = 0;
        return err;
    }
    qsort(*msgs, *n, sizeof(**msgs), by_seq);
    return here(mg);
}

int oim_mongo_delete_day(struct oim_mongo *mg, int32_t day)
{
    const struct link *link = link_get(mg, DELETE);
    bson_error_t error;
    bson_t *filter;
    bool ok;

    if (link == NULL) return OIM_ENOMEM;
    if (oim_mono_ms() < mg->closed_until) return OIM_EUNAVAIL;
    filter = BCON_NEW("day", BCON_INT32(day));
    ok = mongoc_collection_delete_many(link->msgs, filter, NULL, NULL, &error);
    bson_destroy(filter);
    return ok ? here(mg) : away(mg, "delete", &error);
}
