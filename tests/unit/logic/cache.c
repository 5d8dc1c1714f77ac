/*
 * logic_cache: what letters drop, what bounds drop. Redis is a function here that keeps whom to call.
 */
#include "logic_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct oim_redis_ear ear;
static volatile bool listening;

void oim_redis_subscribe(const struct oim_conf *conf, const char *channel, const volatile bool *stop, const struct oim_redis_ear *e)
{
    ear = *e;
    __sync_synchronize();
    listening = true;
}

static struct logic_cache *cache;

static int setup(void **state)
{
    static struct oim_app app;

    if (!listening) logic_cache_start(&app);
    while (!listening) usleep(100);
    cache = logic_cache_new();
    return cache == NULL;
}

static int teardown(void **state)
{
    logic_cache_free(cache);
    return 0;
}

static void letter(const char *text)
{
    ear.message(NULL, text, strlen(text));
}

static void put(const char *group, const char *user, int status, int role)
{
    logic_cache_put_member(cache, group, user, &(struct logic_member){.status = status, .role = role, .mute_end = 7});
}

static bool has(const char *group, const char *user, int status, int role)
{
    struct logic_member m;

    return logic_cache_member(cache, group, user, &m) && m.status == status && m.role == role && m.mute_end == 7;
}

static void test_cache_letters_of_groups(void **state)
{
    struct logic_member m;

    put("g1", "u1", 0, 20);
    put("g1", "u2", 0, 100);
    put("g2", "u1", 0, 60);
    put("g", "1\tu1", 0, 1); /* other pairs of the same letters */
    assert_true(has("g1", "u1", 0, 20) && has("g1", "u2", 0, 100) && has("g2", "u1", 0, 60));
    assert_false(logic_cache_member(cache, "g2", "u2", &m));
    letter("group:g1");
    assert_true(has("g1", "u1", 0, 20)); /* in the next turn */
    logic_cache_turn(cache);
    assert_false(logic_cache_member(cache, "g1", "u1", &m));
    assert_false(logic_cache_member(cache, "g1", "u2", &m));
    assert_true(has("g2", "u1", 0, 60));
    letter("group:unknown");
    letter("group:");
    letter("user:g2");
    logic_cache_turn(cache);
    assert_true(has("g2", "u1", 0, 60));
    put("g2", "u1", 3, 20); /* newer */
    assert_true(has("g2", "u1", 3, 20));
}

static void test_cache_letters_of_groups_leave_relations(void **state)
{
    char text[32];

    logic_cache_put_relation(cache, "a", "b", &(struct logic_relation){.blocked = true});
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "group:g%d", i);
        letter(text);
    }
    logic_cache_turn(cache);
    assert_non_null(logic_cache_relation(cache, "a", "b"));
    for (int i = 0; i < 100; i++) letter("black:x");
    logic_cache_turn(cache);
    assert_null(logic_cache_relation(cache, "a", "b"));
}

static void test_cache_is_bounded_and_emptied(void **state)
{
    struct logic_member m;
    char id[32];

    for (int i = 0; i < 300000; i++) {
        snprintf(id, sizeof(id), "u%d", i);
        put("large", id, 0, 20);
    }
    logic_cache_turn(cache);
    assert_false(logic_cache_member(cache, "large", "u1", &m));
    put("g1", "u1", 0, 20);
    ear.hearing(NULL, true); /* the subscription was away */
    logic_cache_turn(cache);
    assert_false(logic_cache_member(cache, "g1", "u1", &m));
    put("g1", "u1", 0, 20);
    for (int i = 0; i < 5000; i++) letter("user:x"); /* more than the mailbox holds */
    logic_cache_turn(cache);
    assert_false(logic_cache_member(cache, "g1", "u1", &m));
}

const struct CMUnitTest cache_tests[] = {
    cmocka_unit_test_setup_teardown(test_cache_letters_of_groups, setup, teardown),
    cmocka_unit_test_setup_teardown(test_cache_letters_of_groups_leave_relations, setup, teardown),
    cmocka_unit_test_setup_teardown(test_cache_is_bounded_and_emptied, setup, teardown),
};
const size_t n_cache_tests = sizeof(cache_tests) / sizeof(cache_tests[0]);
