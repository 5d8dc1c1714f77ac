/*
 * The pipelined connection; oim_redis.h holds the contract. Commands are formatted into our own buffer while they are queued, so that
 * queueing works without a connection; run connects, writes everything at once and reads one reply for each.
 *
 * After any failure the connection is dropped, and the queue with it: the caller knows what it wanted and adds it again. A failed connect
 * makes the next runs fail at once for CIRCUIT_MS. A connection that ended while nobody used it is made again before anything is sent: a
 * server that was started again costs nobody an error.
 */
#include "oim_redis.h"

#include "oim_app.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_log.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CIRCUIT_MS 100

struct oim_redis {
    const struct oim_conf *conf;
    const char *name;
    redisContext *ctx;
    struct oim_buf out;
    size_t queued;
    redisReply **replies;
    size_t n_replies, cap;
    unsigned generation;
    int64_t connected_at;
    int64_t closed_until;
    bool down; /* said so in the log */
};

struct oim_redis *oim_redis_new(const struct oim_conf *conf, const char *name)
{
    struct oim_redis *rds = calloc(1, sizeof(*rds));

    if (rds == NULL) return NULL;
    rds->conf = conf;
    rds->name = name;
    return rds;
}

void oim_redis_reset(struct oim_redis *rds)
{
    for (size_t i = 0; i < rds->n_replies; i++) freeReplyObject(rds->replies[i]);
    rds->n_replies = 0;
    rds->queued = 0;
    oim_buf_reset(&rds->out);
}

void oim_redis_free(struct oim_redis *rds)
{
    if (rds == NULL) return;
    oim_redis_reset(rds);
    oim_buf_free(&rds->out);
    free(rds->replies);
    if (rds->ctx) redisFree(rds->ctx);
    free(rds);
}

/* The first add after a run begins a new pipeline. */
static void begin(struct oim_redis *rds)
{
    if (rds->n_replies) oim_redis_reset(rds);
}

static int added(struct oim_redis *rds, char *command, int len)
{
    if (len < 0) return OIM_ENOMEM;
    oim_buf_append(&rds->out, command, (size_t)len);
    redisFreeCommand(command);
    rds->queued++;
    return OIM_OK;
}

int oim_redis_add(struct oim_redis *rds, const char *fmt, ...)
{
    char *command = NULL;
    va_list args;
    int len;

    begin(rds);
    va_start(args, fmt);
    len = redisvFormatCommand(&command, fmt, args);
    va_end(args);
    return added(rds, command, len);
}

int oim_redis_add_argv(struct oim_redis *rds, int argc, const char **argv, const size_t *lens)
{
    char *command = NULL;
    int len;

    begin(rds);
    len = redisFormatCommandArgv(&command, argc, argv, lens);
    return added(rds, command, len);
}

static void disconnect(struct oim_redis *rds)
{
    if (rds->ctx) redisFree(rds->ctx);
    rds->ctx = NULL;
}

static void drop(struct oim_redis *rds, const char *what, const char *why)
{
    if (!rds->down) oim_log(OIM_LOG_WARN, "redis is away", "link=%s step=%s why=\"%s\"", rds->name, what, why);
    rds->down = true;
    disconnect(rds);
}

static void circuit_open(struct oim_redis *rds)
{
    rds->closed_until = oim_mono_ms() + CIRCUIT_MS;
}

/* A command of our own while connecting: AUTH, SELECT. */
static int simple(struct oim_redis *rds, const char *what, const char *fmt, const char *arg)
{
    redisReply *reply = redisCommand(rds->ctx, fmt, arg);
    int err = reply == NULL || reply->type == REDIS_REPLY_ERROR ? OIM_EUNAVAIL : OIM_OK;

    if (err) drop(rds, what, reply ? reply->str : rds->ctx->errstr);
    if (reply) freeReplyObject(reply);
    return err;
}

static int connect_try(struct oim_redis *rds)
{
    const struct oim_conf *conf = rds->conf;
    struct timeval timeout = {.tv_sec = conf->redis.timeout_ms / 1000, .tv_usec = conf->redis.timeout_ms % 1000 * 1000};
    const char *address = conf->redis.address, *colon = strrchr(address, ':');
    bool unixed = strncmp(address, "unix:", 5) == 0;
    char host[256], db[16];

    if (unixed) {
        rds->ctx = redisConnectUnixWithTimeout(address + 5, timeout);
    } else if (colon && (size_t)(colon - address) < sizeof(host)) {
        memcpy(host, address, (size_t)(colon - address));
        host[colon - address] = '\0';
        rds->ctx = redisConnectWithTimeout(host, atoi(colon + 1), timeout);
    } else {
        drop(rds, "address", "redis.address is host:port or unix:/path");
        return OIM_EUNAVAIL;
    }
    if (rds->ctx == NULL || rds->ctx->err) {
        drop(rds, "connect", rds->ctx ? rds->ctx->errstr : "no memory");
        return OIM_EUNAVAIL;
    }
    redisSetTimeout(rds->ctx, timeout);
    if (!unixed) redisEnableKeepAlive(rds->ctx); /* an error there would end the connection */
    if (conf->redis.password[0] && simple(rds, "auth", "AUTH %s", conf->redis.password)) return OIM_EUNAVAIL;
    if (conf->redis.db) {
        snprintf(db, sizeof(db), "%d", conf->redis.db);
        if (simple(rds, "select", "SELECT %s", db)) return OIM_EUNAVAIL;
    }
    rds->generation++;
    rds->connected_at = oim_mono_ms();
    return OIM_OK;
}

static int connect_now(struct oim_redis *rds)
{
    if (oim_mono_ms() < rds->closed_until) return OIM_EUNAVAIL;
    if (connect_try(rds) == OIM_OK) return OIM_OK;
    circuit_open(rds);
    return OIM_EUNAVAIL;
}

/* Nothing is under way: whatever there is to read means the end. */
static bool ended(const struct oim_redis *rds)
{
    char byte;

    return recv(rds->ctx->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

static int room(struct oim_redis *rds)
{
    redisReply **replies;

    if (rds->queued <= rds->cap) return OIM_OK;
    replies = realloc(rds->replies, rds->queued * sizeof(*replies));
    if (replies == NULL) return OIM_ENOMEM;
    rds->replies = replies;
    rds->cap = rds->queued;
    return OIM_OK;
}

static int flush(struct oim_redis *rds)
{
    int done = 0;

    /* hiredis writes from a buffer of its own */
    if (redisAppendFormattedCommand(rds->ctx, (const char *)rds->out.data, rds->out.len) != REDIS_OK) return OIM_EUNAVAIL;
    while (!done) {
        if (redisBufferWrite(rds->ctx, &done) != REDIS_OK) return OIM_EUNAVAIL;
    }
    while (rds->n_replies < rds->queued) {
        void *reply;

        if (redisGetReply(rds->ctx, &reply) != REDIS_OK) return OIM_EUNAVAIL;
        rds->replies[rds->n_replies++] = reply;
    }
    return OIM_OK;
}

/* What a server says that answers, but cannot do its work: it loads its data, or it is a copy of another one (after a fail-over). NULL when
 * there is nothing of the kind. */
static const char *unable(const struct oim_redis *rds)
{
    static const char *const words[] = {"LOADING ", "READONLY ", "MASTERDOWN "};

    for (size_t i = 0; i < rds->n_replies; i++) {
        const redisReply *r = rds->replies[i];

        if (r->type != REDIS_REPLY_ERROR) continue;
        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            if (strncmp(r->str, words[k], strlen(words[k])) == 0) return r->str;
        }
    }
    return NULL;
}

static int done(struct oim_redis *rds)
{
    if (rds->down) oim_log(OIM_LOG_INFO, "redis is back", "link=%s", rds->name);
    rds->down = false;
    return OIM_OK;
}

int oim_redis_run(struct oim_redis *rds)
{
    const char *why;

    if (rds->queued == 0 || rds->n_replies) return OIM_OK;
    if (room(rds) != OIM_OK) return OIM_ENOMEM;
    if (rds->ctx && ended(rds)) disconnect(rds);
    if (rds->ctx == NULL && connect_now(rds) != OIM_OK) {
        oim_redis_reset(rds);
        return OIM_EUNAVAIL;
    }
    if (flush(rds) == OIM_OK) {
        why = unable(rds);
        if (why == NULL) return done(rds);
        circuit_open(rds);
    } else {
        why = rds->ctx->err ? rds->ctx->errstr : "no memory";
    }
    drop(rds, "pipeline", why);
    oim_redis_reset(rds);
    return OIM_EUNAVAIL;
}

size_t oim_redis_count(const struct oim_redis *rds)
{
    return rds->queued;
}

static struct oim_redis_value view(const redisReply *r)
{
    struct oim_redis_value v = {.type = OIM_REDIS_NIL, .str = "", .node = r};

    if (r == NULL) return v;
    switch (r->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: v.type = OIM_REDIS_STRING; break;
    case REDIS_REPLY_ERROR: v.type = OIM_REDIS_ERROR; break;
    case REDIS_REPLY_INTEGER:
        v.type = OIM_REDIS_INTEGER;
        v.integer = r->integer;
        return v;
    case REDIS_REPLY_ARRAY:
        v.type = OIM_REDIS_ARRAY;
        v.elements = r->elements;
        return v;
    default: return v;
    }
    v.str = r->str;
    v.len = r->len;
    return v;
}

struct oim_redis_value oim_redis_reply(const struct oim_redis *rds, size_t index)
{
    return view(index < rds->n_replies ? rds->replies[index] : NULL);
}

struct oim_redis_value oim_redis_at(const struct oim_redis_value *array, size_t index)
{
    const redisReply *r = array->node;

    return view(array->type == OIM_REDIS_ARRAY && index < array->elements ? r->element[index] : NULL);
}

unsigned oim_redis_generation(const struct oim_redis *rds)
{
    return rds->generation;
}

int64_t oim_redis_connected_at(const struct oim_redis *rds)
{
    return rds->ctx ? rds->connected_at : 0;
}
