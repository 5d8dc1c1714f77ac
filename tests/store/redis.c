/*
 * oim_redis against the real Redis (database 15, keys with our id), and against one of our own for what cannot be done to a shared one:
 * a unix socket, a password, restarts, data that is loading, a copy.
 */
#include "store.h"

#include "oim_redis.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct oim_conf conf;
static struct oim_redis *rds;
static char dir[64], address[128];
static pid_t own;

static int setup(void **state)
{
    conf = store_conf;
    conf.redis.db = 15;
    rds = oim_redis_new(&conf, "store");
    snprintf(dir, sizeof(dir), "/tmp/%s.redis.XXXXXX", store_tag);
    return rds && mkdtemp(dir) ? 0 : 1;
}

static void own_stop(void)
{
    kill(own, SIGKILL);
    waitpid(own, NULL, 0);
    own = 0;
}

static int teardown(void **state)
{
    char command[128];

    oim_redis_add(rds, "DEL %s:a %s:b %s:l", store_tag, store_tag, store_tag);
    oim_redis_run(rds);
    oim_redis_free(rds);
    if (own) own_stop(); /* a test failed */
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* A redis-server of our own on dir/s; more arguments as they are. */
static void own_start(const char *option, const char *value)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/s", dir);
    unlink(path);
    snprintf(address, sizeof(address), "unix:%s", path);
    own = fork();
    if (own == 0) {
        int null = open("/dev/null", O_RDWR);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", dir, option, value, NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && access(path, F_OK); i++) pause_ms(10);
    assert_int_equal(access(path, F_OK), 0);
}

/* Runs until it succeeds or the time is over. */
static int ping_for(struct oim_redis *r, int ms)
{
    int64_t until = oim_mono_ms() + ms;
    int err;

    do {
        oim_redis_add(r, "PING");
        err = oim_redis_run(r);
        oim_redis_reset(r);
        if (err) pause_ms(10);
    } while (err && oim_mono_ms() < until);
    return err;
}

static void pipeline(void **state)
{
    const char *argv[] = {"RPUSH", NULL, "one", "t\0o", ""};
    const size_t lens[] = {5, 0, 3, 3, 0};
    struct oim_redis_value v, e;
    char key[64];
    size_t key_lens[5];

    memcpy(key_lens, lens, sizeof(lens));
    snprintf(key, sizeof(key), "%s:l", store_tag);
    argv[1] = key;
    key_lens[1] = strlen(key);
    assert_int_equal(oim_redis_add(rds, "SET %s:a %b", store_tag, "x\0y", (size_t)3), OIM_OK);
    assert_int_equal(oim_redis_add(rds, "GET %s:a", store_tag), OIM_OK);
    assert_int_equal(oim_redis_add(rds, "GET %s:none", store_tag), OIM_OK);
    assert_int_equal(oim_redis_add(rds, "INCRBY %s:b 41", store_tag), OIM_OK);
    assert_int_equal(oim_redis_add(rds, "HGET %s:a f", store_tag), OIM_OK);
    assert_int_equal(oim_redis_add_argv(rds, 5, argv, key_lens), OIM_OK);
    assert_int_equal(oim_redis_add(rds, "LRANGE %s:l 0 -1", store_tag), OIM_OK);
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    assert_int_equal(oim_redis_count(rds), 7);

    v = oim_redis_reply(rds, 0);
    assert_int_equal(v.type, OIM_REDIS_STRING);
    assert_string_equal(v.str, "OK");
    v = oim_redis_reply(rds, 1);
    assert_int_equal(v.len, 3);
    assert_memory_equal(v.str, "x\0y", 4);
    assert_int_equal(oim_redis_reply(rds, 2).type, OIM_REDIS_NIL);
    v = oim_redis_reply(rds, 3);
    assert_int_equal(v.type, OIM_REDIS_INTEGER);
    assert_int_equal(v.integer, 41);
    v = oim_redis_reply(rds, 4);
    assert_int_equal(v.type, OIM_REDIS_ERROR);
    assert_memory_equal(v.str, "WRONGTYPE", 9);
    v = oim_redis_reply(rds, 6);
    assert_int_equal(v.type, OIM_REDIS_ARRAY);
    assert_int_equal(v.elements, 3);
    e = oim_redis_at(&v, 1);
    assert_int_equal(e.len, 3);
    assert_memory_equal(e.str, "t\0o", 4);
    assert_int_equal(oim_redis_at(&v, 2).len, 0);
    assert_int_equal(oim_redis_at(&v, 3).type, OIM_REDIS_NIL);
    assert_int_equal(oim_redis_reply(rds, 7).type, OIM_REDIS_NIL);

    /* the next add begins anew; a run twice is one run */
    assert_int_equal(oim_redis_add(rds, "INCRBY %s:b 1", store_tag), OIM_OK);
    assert_int_equal(oim_redis_count(rds), 1);
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    assert_int_equal(oim_redis_reply(rds, 0).integer, 42);
    oim_redis_reset(rds);
    assert_int_equal(oim_redis_count(rds), 0);
    assert_int_equal(oim_redis_run(rds), OIM_OK);
}

/* 64 MB each way: more than any buffer between us. */
static void pipeline_large(void **state)
{
    size_t size = 1024 * 1024;
    char *value = malloc(size);

    memset(value, 'v', size);
    for (int i = 0; i < 64; i++) {
        oim_redis_add(rds, "SET %s:a %b EX 60", store_tag, value, size);
        oim_redis_add(rds, "GET %s:a", store_tag);
    }
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    for (size_t i = 0; i < 64; i++) assert_int_equal(oim_redis_reply(rds, 2 * i + 1).len, size);
    oim_redis_reset(rds);
    free(value);
}

static void nowhere(void **state)
{
    struct oim_redis *r = oim_redis_new(&store_nowhere, "store");
    int64_t began = oim_mono_ms();

    store_logged("");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(oim_redis_add(r, "PING"), OIM_OK);
        assert_int_equal(oim_redis_run(r), OIM_EUNAVAIL);
        assert_int_equal(oim_redis_count(r), 0); /* the queue is lost */
    }
    assert_true(oim_mono_ms() - began < 500);
    assert_int_equal(store_logged("redis is away"), 1);
    oim_redis_free(r);
}

/* The connection dies while nobody uses it: that costs one failed pipeline at most, then there is a new one. */
static void connection_killed(void **state)
{
    struct oim_redis *killer = oim_redis_new(&conf, "store");
    unsigned generation;
    long long id;
    int err;

    oim_redis_add(rds, "CLIENT ID");
    assert_int_equal(oim_redis_run(rds), OIM_OK);
    id = oim_redis_reply(rds, 0).integer;
    generation = oim_redis_generation(rds);
    oim_redis_add(killer, "CLIENT KILL ID %lld", id);
    assert_int_equal(oim_redis_run(killer), OIM_OK);
    assert_int_equal(oim_redis_reply(killer, 0).integer, 1);
    oim_redis_add(rds, "PING");
    err = oim_redis_run(rds);
    assert_true(err == OIM_OK || err == OIM_EUNAVAIL);
    assert_int_equal(ping_for(rds, 1000), OIM_OK);
    assert_int_equal(oim_redis_generation(rds), generation + 1);
    oim_redis_free(killer);
}

/* A server that takes the connection and says nothing costs the time-out, no more. */
static void silent(void **state)
{
    struct oim_conf c = conf;
    struct oim_redis *r;
    int64_t began;

    own_start("--appendonly", "no");
    c.redis.address = address;
    c.redis.timeout_ms = 300;
    c.redis.db = 0;
    r = oim_redis_new(&c, "store");
    assert_int_equal(ping_for(r, 1000), OIM_OK);
    kill(own, SIGSTOP);
    began = oim_mono_ms();
    oim_redis_add(r, "PING");
    assert_int_equal(oim_redis_run(r), OIM_EUNAVAIL);
    assert_in_range(oim_mono_ms() - began, 250, 1500);
    kill(own, SIGCONT);
    assert_int_equal(ping_for(r, 2000), OIM_OK);
    oim_redis_free(r);
    own_stop();
}

static void socket_and_restart(void **state)
{
    struct oim_conf c = conf;
    struct oim_redis *r;

    own_start("--appendonly", "no");
    c.redis.address = address;
    c.redis.db = 3;
    r = oim_redis_new(&c, "store");
    oim_redis_add(r, "SET where db3");
    assert_int_equal(oim_redis_run(r), OIM_OK);
    oim_redis_add(r, "SELECT 3");
    oim_redis_add(r, "GET where");
    assert_int_equal(oim_redis_run(r), OIM_OK);
    assert_string_equal(oim_redis_reply(r, 1).str, "db3");
    oim_redis_reset(r);
    own_stop();

    store_logged("");
    oim_redis_add(r, "PING");
    assert_int_equal(oim_redis_run(r), OIM_EUNAVAIL);
    own_start("--appendonly", "no");
    assert_int_equal(ping_for(r, 2000), OIM_OK);
    assert_int_equal(store_logged("redis is back"), 1);
    assert_int_equal(oim_redis_generation(r), 2);
    oim_redis_free(r);
    own_stop();
}

static void password(void **state)
{
    struct oim_conf c = conf;
    struct oim_redis *r;

    own_start("--requirepass", "secret word");
    c.redis.address = address;
    c.redis.password = (char *)"wrong";
    r = oim_redis_new(&c, "store");
    oim_redis_add(r, "PING");
    store_logged("");
    assert_int_equal(oim_redis_run(r), OIM_EUNAVAIL);
    assert_int_equal(store_logged("step=auth"), 1);
    c.redis.password = (char *)"secret word";
    assert_int_equal(ping_for(r, 1000), OIM_OK);
    oim_redis_free(r);
    own_stop();
}

/* A copy refuses writes: that is a server that is away, not an answer. */
static void copy(void **state)
{
    struct oim_conf c = conf;
    struct oim_redis *r;

    own_start("--replicaof", "127.0.0.1 1");
    c.redis.address = address;
    c.redis.db = 0;
    r = oim_redis_new(&c, "store");
    oim_redis_add(r, "ECHO x");
    oim_redis_add(r, "SET a b");
    assert_int_equal(oim_redis_run(r), OIM_EUNAVAIL);
    pause_ms(150);
    oim_redis_add(r, "REPLICAOF NO ONE");
    assert_int_equal(oim_redis_run(r), OIM_OK);
    oim_redis_add(r, "SET a b");
    assert_int_equal(oim_redis_run(r), OIM_OK);
    oim_redis_free(r);
    own_stop();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(pipeline),
    cmocka_unit_test(pipeline_large),
    cmocka_unit_test(nowhere),
    cmocka_unit_test(connection_killed),
    cmocka_unit_test(silent),
    cmocka_unit_test(socket_and_restart),
    cmocka_unit_test(password),
    cmocka_unit_test(copy),
};

const struct store_group store_redis = {"redis", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown};
