/*
 * A subscription that outlives its connection: runs in a thread of its own until *stop. oim_redis.h holds the contract.
 */
#include "oim_redis.h"

#include "oim_conf.h"
#include "oim_err.h"
#include "oim_log.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 200 /* how often *stop is looked at */

static redisContext *connect_to(const struct oim_conf *conf)
{
    struct timeval timeout = {.tv_sec = conf->redis.timeout_ms / 1000, .tv_usec = conf->redis.timeout_ms % 1000 * 1000};
    const char *address = conf->redis.address, *colon = strrchr(address, ':');
    redisContext *ctx = NULL;
    redisReply *reply;
    char host[256];

    if (strncmp(address, "unix:", 5) == 0) {
        ctx = redisConnectUnixWithTimeout(address + 5, timeout);
    } else if (colon && (size_t)(colon - address) < sizeof(host)) {
        memcpy(host, address, (size_t)(colon - address));
        host[colon - address] = '\0';
        ctx = redisConnectWithTimeout(host, atoi(colon + 1), timeout);
    }
    if (ctx && !ctx->err && conf->redis.password[0]) {
        redisSetTimeout(ctx, timeout);
        reply = redisCommand(ctx, "AUTH %s", conf->redis.password);
        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            if (reply) freeReplyObject(reply);
            redisFree(ctx);
            return NULL;
        }
        freeReplyObject(reply);
    }
    if (ctx && ctx->err) {
        redisFree(ctx);
        return NULL;
    }
    return ctx;
}

/* Reads until the connection breaks or *stop. */
static void listen_on(redisContext *ctx, const volatile bool *stop, void (*message)(void *arg, const char *data, size_t len), void *arg)
{
    redisSetTimeout(ctx, (struct timeval){.tv_usec = TICK_MS * 1000});
    if (ctx->connection_type == REDIS_CONN_TCP) redisEnableKeepAlive(ctx); /* an error on a unix socket */
    while (!*stop) {
        redisReply *reply;

        if (redisGetReply(ctx, (void **)&reply) != REDIS_OK) {
            if (ctx->err != REDIS_ERR_IO || (errno != EAGAIN && errno != EINTR)) return;
            ctx->err = 0; /* only the tick */
            ctx->errstr[0] = '\0';
            continue;
        }
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && strcmp(reply->element[0]->str, "message") == 0) {
            message(arg, reply->element[2]->str, reply->element[2]->len);
        }
        freeReplyObject(reply);
    }
}

void oim_redis_subscribe(const struct oim_conf *conf, const char *channel, const volatile bool *stop,
                         void (*message)(void *arg, const char *data, size_t len), void *arg)
{
    while (!*stop) {
        redisContext *ctx = connect_to(conf);

        if (ctx && redisAppendCommand(ctx, "SUBSCRIBE %s", channel) == REDIS_OK) {
            message(arg, NULL, 0); /* whatever came before is unknown */
            listen_on(ctx, stop, message, arg);
        }
        if (ctx) redisFree(ctx);
        message(arg, NULL, 0);
        if (!*stop) nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
    }
}
