/*
 * Asks openim-logic as a gateway would, without nginx: puts one Uplink into <prefix>rpc, waits on a reply
 * channel of its own and prints the answer. For trying a route by hand and for scripts.
 *
 *   call [-u USER] [-p PLATFORM] [-o OPERATION] PATH JSON           a REST request
 *   call [-u USER] [-p PLATFORM] -w REQ HEX                         a WebSocket request; prints hex
 *   call [-u USER] -i, call [-u USER] -w 0 -i                       lines "PATH JSON" or "REQ HEX" from stdin
 *   call [-u USER] [-p PLATFORM] -e KIND [-t TOKEN] [-c CONN]       an event; prints kicks and pushes for a second
 *
 * -n N repeats a request and prints milliseconds per call; -g GATEWAY takes that name instead of a fresh one.
 * Addresses come from the OPENIM_* variables, as for the workers.
 */
#include "oim_app.h"
#include "oim_err.h"
#include "oim_kafka.h"

#include "internal.pb-c.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MS 15000
#define LINE_MAX_BYTES (4 * 1024 * 1024)

struct client {
    struct oim_kafka_producer *producer;
    redisContext *redis;
    char topic[256];
    bool hex;
};

static redisContext *subscribe(const struct oim_conf *conf, const char *gateway)
{
    char host[256];
    const char *address = conf->redis.address, *colon = strrchr(address, ':');
    redisContext *c;
    redisReply *r;

    if (strncmp(address, "unix:", 5) == 0) {
        c = redisConnectUnix(address + 5);
    } else {
        snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - address) : (int)strlen(address), address);
        c = redisConnect(host, colon ? atoi(colon + 1) : 6379);
    }
    if (c == NULL || c->err) {
        fprintf(stderr, "redis %s: %s\n", address, c ? c->errstr : "no memory");
        return NULL;
    }
    if (conf->redis.password[0]) {
        r = redisCommand(c, "AUTH %s", conf->redis.password);
        freeReplyObject(r);
    }
    r = redisCommand(c, "SUBSCRIBE openim:gw:%s", gateway);
    freeReplyObject(r);
    return c;
}

static void print_reply(const Openim__Internal__Reply *reply, bool hex)
{
    if (reply->errcode) printf("errCode %d %s %s\n", reply->errcode, reply->errmsg, reply->errdlt);
    if (reply->httpstatus && reply->httpstatus != 200) printf("HTTP %d %s ", reply->httpstatus, reply->contenttype);
    for (size_t i = 0; i < reply->data.len; i++) printf(hex ? "%02x" : "%c", reply->data.data[i]);
    printf("%s%s\n", reply->flags & 1 ? " [close]" : "", "");
}

static void print_kick(const Openim__Internal__Kick *kick)
{
    printf("kick %s platform %d:", kick->userid, kick->platformid);
    for (size_t i = 0; i < kick->n_connids; i++) printf(" %" PRIu64, kick->connids[i]);
    printf("\n");
}

static void print_push(const Openim__Internal__Push *push)
{
    printf("push %d conv %s seq %" PRId64 " bytes %zu to", push->reqidentifier, push->conversationid, push->seq,
           push->payload.len);
    for (size_t i = 0; i < push->n_userids; i++) printf(" %s", push->userids[i]);
    printf("\n");
}

/* true when the reply came. */
static bool wait_reply(redisContext *c, uint64_t id, int ms, bool hex, bool quiet)
{
    int64_t end = oim_mono_ms() + ms;
    bool done = false;

    while (!done && oim_mono_ms() < end) {
        int64_t left = end - oim_mono_ms();
        struct timeval tv = {left / 1000, left % 1000 * 1000 + 1};
        redisReply *r = NULL;
        Openim__Internal__Downlink *down;

        redisSetTimeout(c, tv);
        if (redisGetReply(c, (void **)&r) || r == NULL) {
            c->err = 0;
            return false;
        }
        if (r->type != REDIS_REPLY_ARRAY || r->elements != 3 || r->element[2]->type != REDIS_REPLY_STRING) {
            freeReplyObject(r);
            continue;
        }
        down = openim__internal__downlink__unpack(NULL, r->element[2]->len, (uint8_t *)r->element[2]->str);
        freeReplyObject(r);
        if (down == NULL) continue;
        for (size_t i = 0; i < down->n_kicks; i++) print_kick(down->kicks[i]);
        for (size_t i = 0; i < down->n_pushes; i++) print_push(down->pushes[i]);
        for (size_t i = 0; i < down->n_replies; i++) {
            if (down->replies[i]->requestid != id) continue;
            if (!quiet) print_reply(down->replies[i], hex);
            done = true;
        }
        openim__internal__downlink__free_unpacked(down, NULL);
    }
    return done;
}

static void ignore(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;

    for (; hex[0] && hex[1] && sscanf(hex, "%2x", &byte) == 1; hex += 2) out[n++] = (uint8_t)byte;
    return n;
}

/* One request, or one event; 0, or 1 when no answer came. */
static int ask(struct client *c, Openim__Internal__Uplink *up, bool quiet)
{
    uint8_t *packed;
    size_t len;
    int rc;

    up->requestid++;
    up->receivedat = oim_now_ms();
    up->deadline = up->receivedat + ANSWER_MS;
    len = openim__internal__uplink__get_packed_size(up);
    packed = malloc(len);
    openim__internal__uplink__pack(up, packed);
    rc = oim_kafka_produce(c->producer, c->topic, -1, up->userid, strlen(up->userid), packed, len, NULL);
    free(packed);
    if (rc) {
        fprintf(stderr, "not sent: %s\n", oim_err_name(rc));
        return 1;
    }
    while (oim_kafka_inflight(c->producer)) oim_kafka_reports(c->producer, ignore, NULL, 100);
    if (up->source == OPENIM__INTERNAL__SOURCE__EVENT) {
        wait_reply(c->redis, 0, 1000, false, true);
        return 0;
    }
    if (wait_reply(c->redis, up->requestid, ANSWER_MS, c->hex, quiet)) return 0;
    fprintf(stderr, "no answer\n");
    return 1;
}

/* "PATH JSON" a line, or "REQ HEX" after -w. */
static int ask_lines(struct client *c, Openim__Internal__Uplink *up)
{
    char *line = malloc(LINE_MAX_BYTES), *body;
    uint8_t *bytes = malloc(LINE_MAX_BYTES);
    int failed = 0;

    while (!failed && fgets(line, LINE_MAX_BYTES, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        body = strchr(line, ' ');
        if (body == NULL) continue;
        *body++ = '\0';
        if (c->hex) {
            up->reqidentifier = atoi(line);
            up->payload.len = unhex(body, bytes);
            up->payload.data = bytes;
        } else {
            up->path = line;
            up->payload.len = strlen(body);
            up->payload.data = (uint8_t *)body;
        }
        failed = ask(c, up, false);
        fflush(stdout);
    }
    free(line);
    free(bytes);
    return failed;
}

int main(int argc, char **argv)
{
    Openim__Internal__Uplink up = OPENIM__INTERNAL__UPLINK__INIT;
    struct oim_conf conf = {0};
    struct client client = {0};
    char gateway[64], operation[64];
    uint8_t *payload;
    int option, repeat = 1, failed = 0;
    bool hex = false, lines = false;

    snprintf(gateway, sizeof(gateway), "call-%d", (int)getpid());
    snprintf(operation, sizeof(operation), "call-%" PRId64, oim_now_ms());
    up.version = 1;
    up.gateway = gateway;
    up.userid = "";
    up.platformid = 5;
    up.operationid = operation;
    up.source = OPENIM__INTERNAL__SOURCE__REST;
    while ((option = getopt(argc, argv, "u:p:o:w:e:t:c:n:g:iP")) != -1) {
        switch (option) {
        case 'u': up.userid = optarg; break;
        case 'p': up.platformid = atoi(optarg); break;
        case 'o': up.operationid = optarg; break;
        case 't': up.token = optarg; break;
        case 'c': up.connid = strtoull(optarg, NULL, 10); break;
        case 'n': repeat = atoi(optarg); break;
        case 'g': snprintf(gateway, sizeof(gateway), "%s", optarg); break;
        case 'i': lines = true; break;
        case 'P': up.flags = 1; break;
        case 'w':
            up.source = OPENIM__INTERNAL__SOURCE__WS;
            up.reqidentifier = atoi(optarg);
            hex = true;
            break;
        case 'e':
            up.source = OPENIM__INTERNAL__SOURCE__EVENT;
            up.reqidentifier = atoi(optarg);
            break;
        default: return 2;
        }
    }
    if (up.source == OPENIM__INTERNAL__SOURCE__REST && !lines) {
        if (optind + 1 >= argc) {
            fprintf(stderr, "usage: call [-u USER] PATH JSON | -w REQ HEX | -e KIND\n");
            return 2;
        }
        up.path = argv[optind++];
    }
    if (oim_conf_load(&conf, NULL)) return 2;
    payload = malloc(optind < argc ? strlen(argv[optind]) + 1 : 1);
    if (optind < argc) {
        up.payload.data = payload;
        up.payload.len = hex || up.flags ? unhex(argv[optind], payload)
                                         : (memcpy(payload, argv[optind], strlen(argv[optind])), strlen(argv[optind]));
    }
    client.hex = hex;
    client.redis = subscribe(&conf, gateway);
    client.producer = oim_kafka_producer_new(&conf, "call");
    if (client.redis == NULL || client.producer == NULL) return 2;
    snprintf(client.topic, sizeof(client.topic), "%srpc", conf.kafka.topic_prefix);

    int64_t began = oim_mono_ms();
    if (lines) {
        failed = ask_lines(&client, &up);
    } else {
        for (int i = 0; i < repeat && !failed; i++) failed = ask(&client, &up, repeat > 1);
    }
    if (repeat > 1) printf("%.2f ms per call\n", (double)(oim_mono_ms() - began) / repeat);
    oim_kafka_producer_free(client.producer);
    redisFree(client.redis);
    oim_conf_free(&conf);
    free(payload);
    return failed;
}
