/*
 * row_cache: when a row comes from memory and when the store is asked again. The store is a function here that counts how often.
 */
#include "row_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct logic_lane lane;
static struct logic_call call;
static size_t asked;        /* ids that the store was asked for */
static const char *meanwhile; /* a letter that arrives while the store is asked */

void *logic_array(struct logic_call *c, size_t n, size_t size)
{
    return oim_arena_zalloc(c->lane->arena, (n ? n : 1) * size);
}

/* Who is called "nobody" is not there; nickname says how often the store was asked. */
static int load(struct logic_call *c, const char *scope, char *const *ids, size_t n, ProtobufCMessage **out)
{
    for (size_t i = 0; i < n; i++) {
        Openim__Sdkws__UserInfo *u = oim_arena_alloc(lane.arena, sizeof(*u));

        openim__sdkws__user_info__init(u);
        u->userid = ids[i];
        u->nickname = oim_arena_printf(lane.arena, "%s%zu", scope, asked);
        out[i] = strcmp(ids[i], "nobody") ? &u->base : NULL;
    }
    asked += n;
    if (meanwhile) logic_row_cache_letter(meanwhile, strlen(meanwhile));
    return OIM_OK;
}

static const struct logic_row_kind profiles = {'u', true, &openim__sdkws__user_info__descriptor, load};
static const struct logic_row_kind members = {'m', false, &openim__sdkws__user_info__descriptor, load};

static int setup(void **state)
{
    lane.arena = oim_arena_new(65536);
    call = (struct logic_call){.lane = &lane};
    asked = 0;
    meanwhile = NULL;
    logic_row_cache_start(65536);
    logic_row_cache_hearing(true); /* forgets what the last test kept */
    return lane.arena == NULL;
}

static int teardown(void **state)
{
    oim_arena_free(lane.arena);
    return 0;
}

static const Openim__Sdkws__UserInfo *get(const struct logic_row_kind *kind, const char *scope, uint64_t version, const char *id)
{
    char *ids[] = {(char *)id};
    ProtobufCMessage *out = NULL;

    assert_int_equal(logic_rows_get(&call, kind, scope, version, ids, 1, &out), OIM_OK);
    return (const Openim__Sdkws__UserInfo *)out;
}

static void test_rows_profile_until_its_letter(void **state)
{
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    assert_string_equal(get(&profiles, "", 0, "b")->nickname, "1");
    assert_int_equal(asked, 2);
    logic_row_cache_letter("group:a", 7); /* of another kind */
    logic_row_cache_letter("user:", 5);
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    logic_row_cache_letter("user:a", 6);
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "2");
    assert_string_equal(get(&profiles, "", 0, "b")->nickname, "1");
}

static void test_rows_profile_that_changes_while_it_is_read(void **state)
{
    meanwhile = "user:a";
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    meanwhile = NULL;
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "1");
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "1");
}

static void test_rows_profile_while_letters_are_not_heard(void **state)
{
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    logic_row_cache_hearing(false);
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "1");
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "2");
    logic_row_cache_hearing(true);
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "3");
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "3");
}

static void test_rows_inside_a_transaction(void **state)
{
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
    call.change = (struct logic_change *)&call; /* not looked into */
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "1");
    call.change = NULL;
    assert_string_equal(get(&profiles, "", 0, "a")->nickname, "0");
}

static void test_rows_of_a_version(void **state)
{
    assert_string_equal(get(&members, "g", 7, "a")->nickname, "g0");
    assert_string_equal(get(&members, "g", 7, "a")->nickname, "g0");
    assert_string_equal(get(&members, "h", 7, "a")->nickname, "h1"); /* of another group */
    assert_string_equal(get(&members, "g", 8, "a")->nickname, "g2");
    assert_string_equal(get(&members, "g", 8, "a")->nickname, "g2");
    assert_string_equal(get(&members, "g", 0, "a")->nickname, "g3");
    logic_row_cache_letter("user:a", 6);
    logic_row_cache_hearing(false);
    assert_string_equal(get(&members, "g", 8, "a")->nickname, "g2");
}

static void test_rows_some_known_some_not(void **state)
{
    char *ids[] = {"a", "nobody", "b", "a"};
    ProtobufCMessage *out[4];

    get(&profiles, "", 0, "b");
    assert_int_equal(logic_rows_get(&call, &profiles, "", 0, ids, 4, out), OIM_OK);
    assert_int_equal(asked, 4); /* b was known */
    assert_null(out[1]);
    assert_string_equal(((Openim__Sdkws__UserInfo *)out[0])->userid, "a");
    assert_string_equal(((Openim__Sdkws__UserInfo *)out[2])->userid, "b");
    assert_string_equal(((Openim__Sdkws__UserInfo *)out[3])->userid, "a");
    assert_null(get(&profiles, "", 0, "nobody"));
    assert_int_equal(asked, 5); /* who is missing is asked for again */
}

/* 65,536 bytes hold a few hundred of these rows: the first ones leave, but not one that is used. */
static void test_rows_are_bounded(void **state)
{
    char id[32];

    get(&profiles, "", 0, "used");
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "u%d", i);
        get(&profiles, "", 0, id);
        assert_string_equal(get(&profiles, "", 0, "used")->nickname, "0");
    }
    assert_int_equal(asked, 2001);
    get(&profiles, "", 0, id);
    assert_int_equal(asked, 2001);
    get(&profiles, "", 0, "u0");
    assert_int_equal(asked, 2002);
}

static void test_rows_too_large_to_keep(void **state)
{
    char id[1000];

    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    get(&profiles, "", 0, id); /* longer than any id of a row */
    get(&profiles, "", 0, id);
    assert_int_equal(asked, 2);
    logic_row_cache_start(640); /* a row may take 10 bytes */
    get(&profiles, "", 0, "a-name-of-more");
    get(&profiles, "", 0, "a-name-of-more");
    assert_int_equal(asked, 4);
    logic_row_cache_start(0);
    get(&profiles, "", 0, "a");
    get(&profiles, "", 0, "a");
    assert_int_equal(asked, 6);
}

const struct CMUnitTest rows_tests[] = {
    cmocka_unit_test_setup_teardown(test_rows_profile_until_its_letter, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_profile_that_changes_while_it_is_read, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_profile_while_letters_are_not_heard, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_inside_a_transaction, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_of_a_version, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_some_known_some_not, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_are_bounded, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rows_too_large_to_keep, setup, teardown),
};
const size_t n_rows_tests = sizeof(rows_tests) / sizeof(rows_tests[0]);
