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

/* A message, or Redis's word that the subscription is made: nothing that is published after it is missed. */
static void heard(const redisReply *reply, const struct oim_redis_ear *ear, bool *hearing)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_STRING) return;
    if (strcmp(reply->element[0]->str, "subscribe") == 0 && !*hearing) {
        *hearing = true;
        ear->hearing(ear->arg, true);
    } else if (strcmp(reply->element[0]->str, "message") == 0) {
        ear->message(ear->arg, reply->element[2]->str, reply->element[2]->len);
    }
}

/* Reads until the connection breaks or *stop. */
static void listen_on(redisContext *ctx, const volatile bool *stop, const struct oim_redis_ear *ear)
{
    bool hearing = false;

    redisSetTimeout(ctx, (struct timeval){.tv_usec = TICK_MS * 1000});
    if (ctx->connection_type == REDIS_CONN_TCP) redisEnableKeepAlive(ctx); /* an error on a unix socket */
    while (!*stop) {
        redisReply *reply;

        if (redisGetReply(ctx, (void **)&reply) != REDIS_OK) {
            if (ctx->err != REDIS_ERR_IO || (errno != EAGAIN && errno != EINTR)) break;
            ctx->err = 0; /* only the tick */
            ctx->errstr[0] = '\0';
            continue;
        }
        heard(reply, ear, &hearing);
        freeReplyObject(reply);
    }
    if (hearing) ear->hearing(ear->arg, false);
}

void oim_redis_subscribe(const struct oim_conf *conf, const char *channel, const volatile bool *stop, const struct oim_redis_ear *ear)
{
    while (!*stop) {
        redisContext *ctx = connect_to(conf);

        if (ctx && redisAppendCommand(ctx, "SUBSCRIBE %s", channel) == REDIS_OK) listen_on(ctx, stop, ear);
        if (ctx) redisFree(ctx);
        if (!*stop) nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
    }
}
