/*
 * oim_downlink against a real Redis: OPENIM_REDIS_ADDRESS, database 15 of it, channels that carry our pid. Skipped without the variable.
 * What is published is read back by a subscriber and unpacked by protobuf-c.
 */
#include "unit.h"

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_downlink.h"
#include "oim_err.h"
#include "oim_redis.h"

#include "internal.pb-c.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

typedef Openim__Internal__Downlink Downlink;

static char address[128];
static struct oim_conf conf;
static struct oim_redis *rds;
static struct oim_downlink *dl;
static struct oim_arena *arena;
static redisContext *sub;
static char gw[3][32]; /* 0 and 1 are alive */

static redisContext *dial(void)
{
    char host[128];
    redisContext *c;

    snprintf(host, sizeof(host), "%s", address);
    *strrchr(host, ':') = '\0';
    c = redisConnectWithTimeout(host, atoi(strrchr(address, ':') + 1), (struct timeval){.tv_sec = 2});
    assert_non_null(c);
    assert_int_equal(c->err, 0);
    redisSetTimeout(c, (struct timeval){.tv_sec = 2});
    return c;
}

static void run(const char *fmt, const char *a, const char *b)
{
    assert_int_equal(oim_redis_add(rds, fmt, a, b), OIM_OK);
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    oim_redis_reset(rds);
}

static int setup(void **state)
{
    char score[32];

    snprintf(address, sizeof(address), "%s", getenv("OPENIM_REDIS_ADDRESS"));
    if (strrchr(address, ':') == NULL) return 1;
    conf = (struct oim_conf){0};
    conf.redis.address = address;
    conf.redis.password = (char *)"";
    conf.redis.db = 15;
    conf.redis.timeout_ms = 2000;
    rds = oim_redis_new(&conf, "unit");
    dl = oim_downlink_new("unit");
    arena = oim_arena_new(65536);
    sub = dial();
    for (int i = 0; i < 3; i++) {
        snprintf(gw[i], sizeof(gw[i]), "unit-%d/%c", (int)getpid(), 'a' + i);
        freeReplyObject(redisCommand(sub, "SUBSCRIBE openim:gw:%s", gw[i]));
        snprintf(score, sizeof(score), "%lld", (long long)oim_now_ms() + (i < 2 ? 60000 : -1));
        run("ZADD oim:gateways %s %s", score, gw[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    conf.redis.address = address;
    run("DEL oim:gateways oim:conn:u1 oim:conn:u2 oim:conn:u3 oim:conn:%s oim:conn:%s", "u4", "u5");
    oim_redis_free(rds);
    oim_downlink_free(dl);
    oim_arena_free(arena);
    redisFree(sub);
    return 0;
}

static void connected(const char *user, int gateway, int conn)
{
    char field[64];

    snprintf(field, sizeof(field), "%s/%d", gw[gateway], conn);
    run("HSET oim:conn:%s %s 5:0:0:t", user, field);
}

/* The next message of the channels, and of which gateway. */
static Downlink *receive(int *gateway)
{
    redisReply *reply = NULL;
    Downlink *d;

    assert_int_equal(redisGetReply(sub, (void **)&reply), REDIS_OK);
    assert_int_equal(reply->elements, 3);
    *gateway = -1;
    for (int i = 0; i < 3; i++) {
        if (strcmp(reply->element[1]->str + strlen("openim:gw:"), gw[i]) == 0) *gateway = i;
    }
    d = openim__internal__downlink__unpack(oim_arena_pb(arena), reply->element[2]->len, (const uint8_t *)reply->element[2]->str);
    freeReplyObject(reply);
    assert_non_null(d);
    assert_int_equal(d->version, 1);
    assert_int_equal(strncmp(d->publisher, "unit-", 5), 0);
    return d;
}

static void nothing_more(void)
{
    redisReply *reply = NULL;

    redisSetTimeout(sub, (struct timeval){.tv_usec = 50000});
    assert_int_equal(redisGetReply(sub, (void **)&reply), REDIS_ERR);
}

static void replies(void **state)
{
    Downlink *d;
    int at;

    oim_downlink_reply(dl, "", 1, 0, "", NULL, 0, 0); /* nobody waits */
    assert_int_equal(oim_downlink_pending(dl), 0);
    oim_downlink_reply(dl, gw[0], 7, 0, "", (const uint8_t *)"da\0ta", 5, 0);
    oim_downlink_reply(dl, gw[0], UINT64_MAX, 1001, "ArgsError", NULL, 0, 1);
    oim_downlink_rest(dl, gw[2], 8, 404, 0, "text/plain", (const uint8_t *)"no", 2); /* a dead one is published to as well */
    oim_downlink_rest(dl, gw[2], 9, 0, 1204, "", (const uint8_t *)"{}", 2);
    assert_int_equal(oim_downlink_pending(dl), 4);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_int_equal(oim_downlink_pending(dl), 0);

    d = receive(&at);
    assert_int_equal(at, 0);
    assert_int_equal(d->number, 1);
    assert_int_equal(d->n_replies, 2);
    assert_int_equal(d->replies[0]->requestid, 7);
    assert_int_equal(d->replies[0]->data.len, 5);
    assert_memory_equal(d->replies[0]->data.data, "da\0ta", 5);
    assert_true(d->replies[1]->requestid == UINT64_MAX);
    assert_int_equal(d->replies[1]->errcode, 1001);
    assert_string_equal(d->replies[1]->errmsg, "ArgsError");
    assert_int_equal(d->replies[1]->flags, 1);
    d = receive(&at);
    assert_int_equal(at, 2);
    assert_int_equal(d->replies[0]->httpstatus, 404);
    assert_string_equal(d->replies[0]->contenttype, "text/plain");
    assert_int_equal(d->replies[0]->errcode, 0);
    assert_int_equal(d->replies[1]->httpstatus, 0);
    assert_int_equal(d->replies[1]->errcode, 1204);

    oim_downlink_reply(dl, gw[0], 9, 0, "", NULL, 0, 0);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    d = receive(&at);
    assert_int_equal(d->number, 2);
    nothing_more();
}

static void push(const char *const *users, size_t n, const char *group, int64_t seq)
{
    struct oim_downlink_push p = {.req = 2001, .operation_id = "op", .payload = (const uint8_t *)"payload", .len = 7, .user_ids = users,
                                  .n_users = n, .group_id = group, .except_user_id = group ? "u9" : NULL, .conversation_id = "si_a_b",
                                  .seq = seq, .flags = 1};

    oim_downlink_push(dl, &p);
}

static void pushes_go_where_users_are(void **state)
{
    static const char *const users[] = {"u1", "u2", "u1", "u3", "u4"}, *const nobody[] = {"u4"};
    Downlink *d;
    int at;

    connected("u1", 0, 1);
    connected("u1", 0, 2);
    connected("u1", 1, 1);
    connected("u2", 1, 3);
    connected("u3", 2, 1); /* dead */
    push(users, 5, NULL, 41);
    push(nobody, 1, NULL, 42);
    push(NULL, 0, "g1", 43);
    assert_int_equal(oim_redis_add(rds, "SET unit:first 1 PX 1000"), OIM_OK); /* runs before */
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    run("GET unit:first%s%s", "", "");

    d = receive(&at);
    assert_int_equal(at, 0);
    assert_int_equal(d->n_pushes, 2);
    assert_int_equal(d->pushes[0]->n_userids, 1);
    assert_string_equal(d->pushes[0]->userids[0], "u1");
    assert_int_equal(d->pushes[0]->reqidentifier, 2001);
    assert_string_equal(d->pushes[0]->operationid, "op");
    assert_memory_equal(d->pushes[0]->payload.data, "payload", 7);
    assert_string_equal(d->pushes[0]->conversationid, "si_a_b");
    assert_int_equal(d->pushes[0]->seq, 41);
    assert_int_equal(d->pushes[0]->flags, 1);
    assert_string_equal(d->pushes[1]->groupid, "g1");
    assert_string_equal(d->pushes[1]->exceptuserid, "u9");
    assert_int_equal(d->pushes[1]->seq, 43);
    d = receive(&at);
    assert_int_equal(at, 1);
    assert_int_equal(d->n_pushes, 2);
    assert_int_equal(d->pushes[0]->n_userids, 2);
    assert_string_equal(d->pushes[0]->userids[0], "u1");
    assert_string_equal(d->pushes[0]->userids[1], "u2");
    nothing_more();
}

static void kicks(void **state)
{
    static const uint64_t conns[] = {1, 300, UINT64_MAX};
    Downlink *d;
    int at;

    connected("u5", 1, 1);
    oim_downlink_kick(dl, gw[0], "u1", 5, conns, 3);
    oim_downlink_kick_user(dl, "u5", 2);
    oim_downlink_kick_user(dl, "u4", 2);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    d = receive(&at);
    assert_int_equal(at, 0);
    assert_string_equal(d->kicks[0]->userid, "u1");
    assert_int_equal(d->kicks[0]->platformid, 5);
    assert_int_equal(d->kicks[0]->n_connids, 3);
    assert_memory_equal(d->kicks[0]->connids, conns, sizeof(conns));
    d = receive(&at);
    assert_int_equal(at, 1);
    assert_string_equal(d->kicks[0]->userid, "u5");
    assert_int_equal(d->kicks[0]->n_connids, 0);
    nothing_more();
}

/* To the gateways of the user, or to one, which need not be alive; between pushes in the order of adding. */
static void groups(void **state)
{
    static const char *const users[] = {"u1"};
    char *joined[] = {(char *)"g1", (char *)"", (char *)"g2"}, *left[] = {(char *)"g3"};
    Openim__Internal__Groups g = OPENIM__INTERNAL__GROUPS__INIT;
    redisReply *reply;
    Downlink *d;
    int at;

    connected("u1", 0, 1);
    connected("u1", 1, 2);
    connected("u1", 1, 3);
    connected("u1", 2, 4); /* dead */
    g.userid = (char *)"u1";
    g.version = UINT64_MAX;
    g.left = left;
    g.n_left = 1;
    oim_downlink_groups(dl, NULL, &g);
    oim_downlink_groups(dl, "", &g); /* nobody */
    push(users, 1, "g1", 41);
    g.joined = joined;
    g.n_joined = 3;
    g.n_left = 0;
    g.full = true;
    g.connid = 9;
    oim_downlink_groups(dl, gw[2], &g);
    g.userid = (char *)"u4"; /* not connected */
    oim_downlink_groups(dl, NULL, &g);
    assert_int_equal(oim_downlink_pending(dl), 4);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_int_equal(redisGetReply(sub, (void **)&reply), REDIS_OK);
    d = openim__internal__downlink__unpack(oim_arena_pb(arena), reply->element[2]->len, (const uint8_t *)reply->element[2]->str);
    assert_true((char *)memmem(reply->element[2]->str, reply->element[2]->len, "g3", 2) <
                (char *)memmem(reply->element[2]->str, reply->element[2]->len, "payload", 7));
    freeReplyObject(reply);
    for (int i = 0; i < 2; i++) {
        if (i) d = receive(&at);
        assert_int_equal(d->n_groups, 1);
        assert_string_equal(d->groups[0]->userid, "u1");
        assert_true(d->groups[0]->version == UINT64_MAX);
        assert_string_equal(d->groups[0]->left[0], "g3");
        assert_int_equal(d->groups[0]->n_joined, 0);
        assert_int_equal(d->n_pushes, 1);
        assert_string_equal(d->pushes[0]->groupid, "g1");
        assert_int_equal(d->pushes[0]->n_userids, 1);
    }
    d = receive(&at);
    assert_int_equal(at, 2);
    assert_int_equal(d->n_pushes, 0);
    assert_int_equal(d->groups[0]->full, 1);
    assert_int_equal(d->groups[0]->connid, 9);
    assert_int_equal(d->groups[0]->n_joined, 3);
    assert_string_equal(d->groups[0]->joined[2], "g2");
    nothing_more();
}

/* The bytes keep the order of adding: reply, push, reply. */
static void order(void **state)
{
    static const char *const users[] = {"u1"};
    redisReply *reply;
    const char *first, *middle, *last;

    connected("u1", 0, 1);
    oim_downlink_reply(dl, gw[0], 1, 0, "", (const uint8_t *)"first", 5, 0);
    push(users, 1, NULL, 1);
    oim_downlink_reply(dl, gw[0], 2, 0, "", (const uint8_t *)"last", 4, 0);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_int_equal(redisGetReply(sub, (void **)&reply), REDIS_OK);
    first = memmem(reply->element[2]->str, reply->element[2]->len, "first", 5);
    middle = memmem(reply->element[2]->str, reply->element[2]->len, "payload", 7);
    last = memmem(reply->element[2]->str, reply->element[2]->len, "last", 4);
    assert_true(first && first < middle && middle < last);
    freeReplyObject(reply);
}

static void large_ones_are_split(void **state)
{
    uint8_t *data = calloc(1, 3 << 20);
    Downlink *d;
    int at;

    for (uint64_t i = 1; i <= 7; i++) oim_downlink_reply(dl, gw[0], i, 0, "", data, i == 7 ? 1 : 3 << 20, 0);
    free(data);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    for (uint64_t i = 1; i <= 6; i++) {
        d = receive(&at);
        assert_int_equal(d->number, i);
        assert_int_equal(d->replies[0]->requestid, i);
        assert_int_equal(d->n_replies, i == 6 ? 2 : 1);
        oim_arena_reset(arena);
    }
    nothing_more();
}

/* Nothing is lost or numbered anew while Redis is away; what was built stays before what is new. */
static void outage(void **state)
{
    static const char *const users[] = {"u1"};
    Downlink *d;
    int at;

    connected("u1", 0, 1);
    oim_redis_free(rds);
    conf.redis.address = (char *)"127.0.0.1:1";
    rds = oim_redis_new(&conf, "unit");
    push(users, 1, NULL, 1); /* not even built: its gateways are not known */
    for (int i = 0; i < 3; i++) assert_int_equal(oim_downlink_flush(dl, rds), OIM_EUNAVAIL);
    assert_int_equal(oim_downlink_pending(dl), 1);
    conf.redis.address = address;
    oim_redis_free(rds);
    rds = oim_redis_new(&conf, "unit");
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_int_equal(receive(&at)->number, 1);

    oim_redis_free(rds);
    conf.redis.address = (char *)"127.0.0.1:1";
    rds = oim_redis_new(&conf, "unit");
    oim_downlink_reply(dl, gw[0], 5, 0, "", NULL, 0, 0); /* built, not published */
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_EUNAVAIL);
    oim_downlink_reply(dl, gw[0], 6, 0, "", NULL, 0, 0);
    push(users, 1, NULL, 2);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_EUNAVAIL);
    assert_int_equal(oim_downlink_pending(dl), 3);
    conf.redis.address = address;
    oim_redis_free(rds);
    rds = oim_redis_new(&conf, "unit");
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_int_equal(oim_downlink_pending(dl), 0);
    d = receive(&at);
    assert_int_equal(d->number, 2);
    assert_int_equal(d->replies[0]->requestid, 5);
    d = receive(&at);
    assert_int_equal(d->number, 3);
    assert_int_equal(d->replies[0]->requestid, 6);
    assert_int_equal(d->n_pushes, 1);
    nothing_more();
}

/* A foreign value under a key of ours is no reason to stop. */
static void foreign_key(void **state)
{
    static const char *const users[] = {"u1", "u2"};
    int at;

    run("SET oim:conn:%s %s", "u1", "x");
    connected("u2", 1, 1);
    run("HSET oim:conn:%s noslash x /x x %s x", "u2", "a/");
    push(users, 2, NULL, 1);
    assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    assert_string_equal(receive(&at)->pushes[0]->userids[0], "u2");
    assert_int_equal(at, 1);
    nothing_more();
}

/* Tables and buffers that grow. */
static void many(void **state)
{
    char ids[5000][16] = {{0}};
    const char *users[5000];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++) {
            snprintf(ids[i], sizeof(ids[i]), "m%d", i + 1000 * round);
            users[i] = ids[i];
        }
        connected("u1", 0, 1);
        users[4999] = "u1";
        push(users, 5000, NULL, 1);
        for (uint64_t i = 0; i < 3000; i++) oim_downlink_reply(dl, gw[1], i, 0, "", (const uint8_t *)ids, 200, 0);
        assert_int_equal(oim_downlink_flush(dl, rds), OIM_OK);
    }
    for (int round = 0; round < 3; round++) {
        int at, pushes = 0, answers = 0;

        for (int i = 0; i < 2; i++) {
            Downlink *d = receive(&at);

            assert_int_equal(d->number, round + 1);
            pushes += (int)d->n_pushes;
            answers += (int)d->n_replies;
        }
        assert_int_equal(pushes, 1);
        assert_int_equal(answers, 3000);
    }
    nothing_more();
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    T(replies), T(pushes_go_where_users_are), T(kicks), T(groups), T(order), T(large_ones_are_split), T(outage), T(foreign_key), T(many),
};
UNIT_GROUP(unit_downlink, "downlink", tests, "OPENIM_REDIS_ADDRESS");
