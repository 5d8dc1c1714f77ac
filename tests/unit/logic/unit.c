/* msg_dedup against a plain list, options and conversation names against messages.md 1.1 and 2. */
#include "msg_dedup.h"
#include "msg_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- dedup ---- */

static struct msg_dedup_entry entry_of(uint64_t n, bool crowded)
{
    struct msg_dedup_entry e = {.seq = (int64_t)n, .send_time = (int64_t)n * 10, .offset = (int64_t)n * 7};
    uint64_t hash = crowded ? n % 5 : n * 0x9e3779b97f4a7c15u; /* crowded: all keys begin in five slots */

    memcpy(e.key, &hash, 8);
    memcpy(e.key + 8, &n, 8);
    return e;
}

static void check_window(const struct msg_dedup *d, uint64_t first, uint64_t end, bool crowded)
{
    for (uint64_t n = first; n < end; n++) {
        struct msg_dedup_entry e = entry_of(n, crowded);
        const struct msg_dedup_entry *found = msg_dedup_find(d, e.key);

        assert_non_null(found);
        assert_int_equal(found->seq, e.seq);
        assert_int_equal(found->offset, e.offset);
    }
}

static void dedup_keeps_the_newest(bool crowded, uint64_t total)
{
    struct msg_dedup *d = msg_dedup_new(1024);

    assert_int_equal(msg_dedup_oldest(d), INT64_MAX);
    for (uint64_t n = 1; n <= total; n++) {
        struct msg_dedup_entry e = entry_of(n, crowded), gone = entry_of(n > 1024 ? n - 1024 : 0, crowded);

        assert_null(msg_dedup_find(d, e.key));
        msg_dedup_add(d, &e);
        assert_non_null(msg_dedup_find(d, e.key));
        if (n > 1024) assert_null(msg_dedup_find(d, gone.key));
    }
    assert_int_equal(msg_dedup_count(d), 1024);
    assert_int_equal(msg_dedup_oldest(d), (int64_t)(total - 1023) * 10);
    check_window(d, total - 1023, total + 1, crowded);
    msg_dedup_free(d);
}

static void test_dedup_keeps_the_newest(void **state)
{
    dedup_keeps_the_newest(false, 10000);
}

static void test_dedup_keeps_the_newest_when_all_keys_collide(void **state)
{
    dedup_keeps_the_newest(true, 3000);
}

static void test_dedup_grows_to_its_bound(void **state)
{
    struct msg_dedup *d = msg_dedup_new(16384);

    for (uint64_t n = 1; n <= 16384; n++) {
        struct msg_dedup_entry e = entry_of(n, false);

        msg_dedup_add(d, &e);
    }
    assert_int_equal(msg_dedup_count(d), 16384);
    check_window(d, 1, 16385, false);
    msg_dedup_free(d);
}

static void test_dedup_first_stays(void **state)
{
    struct msg_dedup *d = msg_dedup_new(1024);
    struct msg_dedup_entry e = entry_of(5, false), again = e;

    msg_dedup_add(d, &e);
    again.seq = 99;
    msg_dedup_add(d, &again);
    assert_int_equal(msg_dedup_find(d, e.key)->seq, 5);
    assert_int_equal(msg_dedup_count(d), 1);
    msg_dedup_free(d);
}

/* ---- options, names ---- */

static void test_absent_options_are_true(void **state)
{
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;

    assert_true(msg_option(&msg, MSG_OPT_HISTORY));
    assert_true(msg_option(&msg, MSG_OPT_SENDER_SYNC));
}

static void test_options_set_replace_remove(void **state)
{
    struct oim_arena *a = oim_arena_new(4096);
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;

    msg_option_set(a, &msg, MSG_OPT_HISTORY, false);
    msg_option_set(a, &msg, MSG_OPT_OFFLINE_PUSH, false);
    assert_false(msg_option(&msg, MSG_OPT_HISTORY));
    msg_option_set(a, &msg, MSG_OPT_HISTORY, true);
    assert_true(msg_option(&msg, MSG_OPT_HISTORY));
    assert_int_equal(msg.n_options, 2);
    msg_option_remove(&msg, MSG_OPT_OFFLINE_PUSH);
    assert_int_equal(msg.n_options, 1);
    assert_true(msg_option(&msg, MSG_OPT_OFFLINE_PUSH));
    oim_arena_free(a);
}

static void test_typing_is_forced_without_a_map(void **state)
{
    static const char *const keys[] = {"history", "persistent", "senderSync", "conversationUpdate", "senderConversationUpdate",
                                       "unreadCount", "offlinePush"};
    struct oim_arena *a = oim_arena_new(4096);
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;

    msg.contenttype = MSG_TYPING;
    msg_options_force(a, &msg);
    assert_int_equal(msg.n_options, 7);
    for (size_t i = 0; i < 7; i++) assert_false(msg_option(&msg, keys[i]));
    msg_options_force(a, &msg);
    assert_int_equal(msg.n_options, 7);
    oim_arena_free(a);
}

static void test_text_is_not_forced(void **state)
{
    struct oim_arena *a = oim_arena_new(4096);
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;

    msg.contenttype = 101;
    msg_options_force(a, &msg);
    assert_int_equal(msg.n_options, 0);
    oim_arena_free(a);
}

static void test_conversation_names(void **state)
{
    static const struct {
        int session;
        const char *send, *recv, *group;
        bool notification;
        const char *want;
    } cases[] = {
        {1, "10", "9", "", false, "si_10_9"},   {1, "9", "10", "", false, "si_10_9"},  {1, "B", "a", "", false, "si_B_a"},
        {1, "A", "A", "", false, "si_A_A"},     {1, "b", "a", "", true, "n_a_b"},      {3, "a", "", "g1", false, "sg_g1"},
        {3, "a", "g1", "g1", true, "n_g1"},     {4, "x", "b", "", false, "sn_b_x"},    {4, "x", "b", "", true, "n_b_x"},
        {1, "u_1", "x", "", false, "si_u_1_x"}, {2, "a", "b", "g", false, NULL},       {0, "a", "b", "", false, NULL},
    };
    struct oim_arena *a = oim_arena_new(4096);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;
        char *id;

        msg.sessiontype = cases[i].session;
        msg.sendid = (char *)(uintptr_t)cases[i].send;
        msg.recvid = (char *)(uintptr_t)cases[i].recv;
        msg.groupid = (char *)(uintptr_t)cases[i].group;
        id = msg_conversation_id(a, &msg, cases[i].notification);
        if (cases[i].want) {
            assert_string_equal(id, cases[i].want);
        } else {
            assert_null(id);
        }
    }
    oim_arena_free(a);
}

extern const struct CMUnitTest cache_tests[], rows_tests[], verify_tests[]; /* cache.c, rows.c, verify.c */
extern const size_t n_cache_tests, n_rows_tests, n_verify_tests;

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dedup_keeps_the_newest),
        cmocka_unit_test(test_dedup_keeps_the_newest_when_all_keys_collide),
        cmocka_unit_test(test_dedup_grows_to_its_bound),
        cmocka_unit_test(test_dedup_first_stays),
        cmocka_unit_test(test_absent_options_are_true),
        cmocka_unit_test(test_options_set_replace_remove),
        cmocka_unit_test(test_typing_is_forced_without_a_map),
        cmocka_unit_test(test_text_is_not_forced),
        cmocka_unit_test(test_conversation_names),
    };
    int n = (int)(sizeof(tests) / sizeof(tests[0]) + n_cache_tests + n_rows_tests + n_verify_tests);
    int failed = cmocka_run_group_tests_name("logic", tests, NULL, NULL);

    failed += _cmocka_run_group_tests("cache", cache_tests, n_cache_tests, NULL, NULL);
    failed += _cmocka_run_group_tests("rows", rows_tests, n_rows_tests, NULL, NULL);
    failed += _cmocka_run_group_tests("verify", verify_tests, n_verify_tests, NULL, NULL);

    printf("%d passed, %d failed\n", n - failed, failed);
    return failed != 0;
}
