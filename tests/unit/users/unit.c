/* The handlers of /user and /statistics and what follows a profile's change. */
#include "stand.h"

#include "msg.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void expect_fail(int rc, int code)
{
    assert_int_equal(rc, OIM_EFAIL);
    assert_int_equal(call.fail.code, code);
    call.fail = (struct oim_fail){0};
}

static char *repeated(char c, size_t n)
{
    char *s = oim_arena_alloc(call.lane->arena, n + 1);

    memset(s, c, n);
    s[n] = '\0';
    return s;
}

/* ---- register ---- */

static int registered(const char *id, const char *nickname, const char *ex)
{
    Openim__User__UserRegisterReq req = OPENIM__USER__USER_REGISTER_REQ__INIT;
    Openim__User__UserRegisterResp res = OPENIM__USER__USER_REGISTER_RESP__INIT;
    Openim__Sdkws__UserInfo user = OPENIM__SDKWS__USER_INFO__INIT, *users[] = {&user};

    user.userid = (char *)id;
    user.nickname = (char *)nickname;
    user.ex = (char *)ex;
    req.users = users;
    req.n_users = 1;
    return stand_run("/user/user_register", &req, &res);
}

static void test_register_checks_ids_and_lengths(void **state)
{
    static const char *const bad[] = {"", "a:b", "a-b", "a b", "a\xc3", "\xe2\x82\xac", "a.b"};

    call.admin = true;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) expect_fail(registered(bad[i], "n", ""), 1001);
    expect_fail(registered(repeated('x', 256), "n", ""), 1001);
    expect_fail(registered("x", "", ""), 1001);
    expect_fail(registered("x", repeated('n', 256), ""), 1001);
    expect_fail(registered("x", "n", repeated('e', 65536)), 1001);
    assert_int_equal(stand_n_asked(), 0);
    assert_int_equal(registered("_Ж名9ü", repeated('n', 255), repeated('e', 65535)), OIM_OK);
    assert_string_equal(stand_told(), "user:_Ж名9ü\n");
}

static void test_register_is_refused(void **state)
{
    expect_fail(registered("a-b", "n", ""), 1001); /* arguments before rights */
    expect_fail(registered("x", "n", ""), 1002);
    call.admin = true;
    stand_error(OIM_EEXIST);
    expect_fail(registered("x", "n", ""), 1102);
    assert_string_equal(stand_told(), "");
}

/* ---- lists ---- */

static int listed(const char *id, const char *name, int page, int show, Openim__User__GetPaginationUsersResp *res)
{
    Openim__User__GetPaginationUsersReq req = OPENIM__USER__GET_PAGINATION_USERS_REQ__INIT;
    Openim__Sdkws__RequestPagination pagination = OPENIM__SDKWS__REQUEST_PAGINATION__INIT;

    openim__user__get_pagination_users_resp__init(res);
    pagination.pagenumber = page;
    pagination.shownumber = show;
    req.pagination = page ? &pagination : NULL;
    req.userid = (char *)id;
    req.nickname = (char *)name;
    return stand_run("/user/get_users", &req, res);
}

static void test_lists_are_for_administrators_and_bounded(void **state)
{
    Openim__User__GetPaginationUsersResp res;

    expect_fail(listed("", "", 0, 0, &res), 1001);
    expect_fail(listed("", "", 1, 10001, &res), 1001);
    expect_fail(listed("", "", 1, 10, &res), 1002);
    call.admin = true;
    stand_rows(1, 1, "#5");
    assert_int_equal(listed("", "", 1, 0, &res), OIM_OK);
    assert_int_equal(res.total, 5);
    assert_int_equal(res.n_users, 0);
    assert_int_equal(stand_n_asked(), 1);
}

static void test_a_search_takes_its_text_as_it_is(void **state)
{
    Openim__User__GetPaginationUsersResp res;

    call.admin = true;
    stand_rows(1, 1, "#700");
    stand_rows(3, 1, "#1", "#2", "#3");
    stand_rows(1, 7, "c", "n", "", "", "#1", "#0", "#0");
    assert_int_equal(listed("50%_\\", "", 2, 2, &res), OIM_OK);
    assert_non_null(strstr(stand_asked(1), "| 50\\%\\_\\\\%, 700, %50\\%\\_\\\\%"));
    assert_null(strstr(stand_asked(1), "nickname LIKE"));
    assert_non_null(strstr(stand_asked(2), "| 3")); /* the second page of three */
    assert_int_equal(res.total, 3);
    assert_int_equal(res.n_users, 1);
    assert_string_equal(res.users[0]->userid, "c");
}

/* ---- profiles ---- */

static int renamed(const char *nickname, const char *ex)
{
    Openim__User__UpdateUserInfoExReq req = OPENIM__USER__UPDATE_USER_INFO_EX_REQ__INIT;
    Openim__User__UpdateUserInfoExResp res = OPENIM__USER__UPDATE_USER_INFO_EX_RESP__INIT;
    Openim__Sdkws__UserInfoWithEx user = OPENIM__SDKWS__USER_INFO_WITH_EX__INIT;
    Openim__Protobuf__StringValue name = OPENIM__PROTOBUF__STRING_VALUE__INIT, more = OPENIM__PROTOBUF__STRING_VALUE__INIT;

    user.userid = (char *)"u1";
    name.value = (char *)nickname;
    more.value = (char *)ex;
    user.nickname = nickname ? &name : NULL;
    user.ex = ex ? &more : NULL;
    req.userinfo = &user;
    stand_rows(1, 7, "u1", "old", "face", "", "#1", "#0", "#0");
    return stand_run("/user/update_user_info_ex", &req, &res);
}

static void test_a_new_name_is_told_to_friends_and_groups(void **state)
{
    assert_int_equal(renamed("new", NULL), OIM_OK);
    assert_string_equal(stand_told(), "user:u1\nN1303 u1>u1\ntask /internal/profile u1 0 \n");
}

static void test_what_others_do_not_see_is_told_to_oneself(void **state)
{
    assert_int_equal(renamed("old", "more"), OIM_OK);
    assert_string_equal(stand_told(), "user:u1\nN1303 u1>u1\n");
}

static void test_an_empty_name_is_a_name(void **state)
{
    assert_int_equal(renamed("", NULL), OIM_OK);
    assert_non_null(strstr(stand_told(), "task"));
}

static void test_profiles_of_others_and_of_nobody(void **state)
{
    Openim__User__SetGlobalRecvMessageOptReq req = OPENIM__USER__SET_GLOBAL_RECV_MESSAGE_OPT_REQ__INIT;
    Openim__User__SetGlobalRecvMessageOptResp res = OPENIM__USER__SET_GLOBAL_RECV_MESSAGE_OPT_RESP__INIT;

    req.userid = (char *)"u2";
    expect_fail(stand_run("/user/set_global_msg_recv_opt", &req, &res), 1002);
    call.admin = true;
    expect_fail(stand_run("/user/set_global_msg_recv_opt", &req, &res), 1004);
    req.globalrecvmsgopt = 3;
    expect_fail(stand_run("/user/set_global_msg_recv_opt", &req, &res), 1001);
    assert_string_equal(stand_told(), "");
}

static int task(uint32_t phase, const char *op, const char *after)
{
    Openim__Internal__ProfileTask t = OPENIM__INTERNAL__PROFILE_TASK__INIT;

    t.userid = (char *)"u1";
    t.opuserid = (char *)op;
    t.phase = phase;
    t.after = (char *)after;
    return stand_run("/internal/profile", &t, NULL);
}

static void test_groups_learn_first(void **state)
{
    stand_rows(2, 2, "u1", "gone", "u1", "g2");
    assert_int_equal(task(0, "u1", "g1"), OIM_OK);
    assert_non_null(strstr(stand_asked(0), "FOR UPDATE | u1, g1, "));
    assert_string_equal(stand_told(), "log 3 gone 3 u1\nlog 3 g2 3 u1\ngroup:gone\ngroup:g2\n"
                                      "N1516 g2: u1 by u1, version 3 of doc\ntask /internal/profile u1 1 \n");
}

static void test_an_administrator_is_named_by_profile(void **state)
{
    stand_rows(1, 2, "u1", "g2");
    stand_rows(1, 7, "imAdmin", "Admin", "", "", "#0", "#2", "#0");
    assert_int_equal(task(0, "imAdmin", ""), OIM_OK);
    assert_non_null(strstr(stand_told(), "N1516 g2: u1 by Admin, version 2 of doc\n"));
}

static void test_without_groups_friends_learn_at_once(void **state)
{
    stand_rows(0, 0);
    stand_rows(2, 1, "f1", "f2");
    assert_int_equal(task(0, "u1", ""), OIM_OK);
    assert_string_equal(stand_told(), "log 1 f1 3 u1\nlog 1 f2 3 u1\nN1209 u1>f1\nN1209 u1>f2\n");
}

static void test_the_last_piece_leaves_nothing(void **state)
{
    assert_int_equal(task(1, "u1", "f2"), OIM_OK);
    assert_non_null(strstr(stand_asked(0), "| u1, f2, "));
    assert_string_equal(stand_told(), "");
}

/* ---- accounts ---- */

static int searched(const char *keyword, int level, Openim__User__SearchNotificationAccountResp *res)
{
    Openim__User__SearchNotificationAccountReq req = OPENIM__USER__SEARCH_NOTIFICATION_ACCOUNT_REQ__INIT;
    Openim__Sdkws__RequestPagination pagination = OPENIM__SDKWS__REQUEST_PAGINATION__INIT;

    openim__user__search_notification_account_resp__init(res);
    pagination.pagenumber = 1;
    pagination.shownumber = 10;
    req.pagination = &pagination;
    req.keyword = (char *)keyword;
    if (level) {
        req._app_manager_level_case = OPENIM__USER__SEARCH_NOTIFICATION_ACCOUNT_REQ___APP_MANAGER_LEVEL_APP_MANAGER_LEVEL;
        req.appmanagerlevel = level;
    }
    return stand_run("/user/search_notification_account", &req, res);
}

static void test_accounts_are_found_by_id_then_by_name(void **state)
{
    Openim__User__SearchNotificationAccountResp res;

    call.admin = true;
    stand_rows(1, 1, "#0");
    stand_rows(1, 1, "#1");
    stand_rows(1, 4, "oa", "face", "News", "#3");
    assert_int_equal(searched("News", 0, &res), OIM_OK);
    assert_non_null(strstr(stand_asked(0), "user_id = ? AND app_manger_level >= ? AND user_id NOT IN (1x2) | News, 3, imAdmin, root"));
    assert_non_null(strstr(stand_asked(1), "nickname = ? AND"));
    assert_int_equal(res.total, 1);
    assert_string_equal(res.notificationaccounts[0]->userid, "oa");
}

static void test_a_level_of_users_finds_no_account(void **state)
{
    Openim__User__SearchNotificationAccountResp res;

    call.admin = true;
    assert_int_equal(searched("", 2, &res), OIM_OK);
    assert_int_equal(res.total, 0);
    assert_int_equal(stand_n_asked(), 0);
}

static void test_a_made_id_has_ten_digits(void **state)
{
    Openim__User__AddNotificationAccountReq req = OPENIM__USER__ADD_NOTIFICATION_ACCOUNT_REQ__INIT;
    Openim__User__AddNotificationAccountResp res = OPENIM__USER__ADD_NOTIFICATION_ACCOUNT_RESP__INIT;

    call.admin = true;
    req.nickname = (char *)"n";
    req.appmangerlevel = 2;
    expect_fail(stand_run("/user/add_notification_account", &req, &res), 1001);
    req.appmangerlevel = 3;
    assert_int_equal(stand_run("/user/add_notification_account", &req, &res), OIM_OK);
    assert_int_equal(strlen(res.userid), 10);
    assert_int_equal(strspn(res.userid, "0123456789"), 10);
    assert_int_not_equal(res.userid[0], '0');
}

/* ---- commands, configuration ---- */

static void test_a_command_is_named_before_it_is_anybodys(void **state)
{
    Openim__User__ProcessUserCommandDeleteReq req = OPENIM__USER__PROCESS_USER_COMMAND_DELETE_REQ__INIT;
    Openim__User__ProcessUserCommandDeleteResp res = OPENIM__USER__PROCESS_USER_COMMAND_DELETE_RESP__INIT;

    req.userid = (char *)"u2";
    req.type = 1;
    expect_fail(stand_run("/user/process_user_command_delete", &req, &res), 1001);
    req.uuid = (char *)"x";
    expect_fail(stand_run("/user/process_user_command_delete", &req, &res), 1002);
    req.userid = (char *)"u1";
    expect_fail(stand_run("/user/process_user_command_delete", &req, &res), 1004);
    stand_found(0);
    stand_found(1);
    assert_int_equal(stand_run("/user/process_user_command_delete", &req, &res), OIM_OK);
}

static void test_an_update_of_nothing_asks_nothing(void **state)
{
    Openim__User__ProcessUserCommandUpdateReq req = OPENIM__USER__PROCESS_USER_COMMAND_UPDATE_REQ__INIT;
    Openim__User__ProcessUserCommandUpdateResp res = OPENIM__USER__PROCESS_USER_COMMAND_UPDATE_RESP__INIT;

    req.userid = (char *)"u1";
    req.type = 1;
    req.uuid = (char *)"x";
    assert_int_equal(stand_run("/user/process_user_command_update", &req, &res), OIM_OK);
    assert_int_equal(stand_n_asked(), 0);
}

static void test_own_configuration_wins(void **state)
{
    Openim__User__GetUserClientConfigReq req = OPENIM__USER__GET_USER_CLIENT_CONFIG_REQ__INIT;
    Openim__User__GetUserClientConfigResp res = OPENIM__USER__GET_USER_CLIENT_CONFIG_RESP__INIT;
    static const char *const expected[] = {"a", "0", "b", "own", "c", "0", "d", "own"};

    req.userid = (char *)"u1";
    stand_rows(1, 7, "u1", "n", "", "", "#1", "#0", "#0");
    stand_rows(3, 2, "a", "0", "b", "0", "c", "0");
    stand_rows(2, 2, "b", "own", "d", "own");
    assert_int_equal(stand_run("/user/get_user_client_config", &req, &res), OIM_OK);
    assert_int_equal(res.n_configs, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(res.configs[i]->key, expected[2 * i]);
        assert_string_equal(res.configs[i]->value, expected[2 * i + 1]);
    }
}

/* ---- statistics ---- */

static void test_registrations_by_day(void **state)
{
    Openim__User__UserRegisterCountReq req = OPENIM__USER__USER_REGISTER_COUNT_REQ__INIT;
    Openim__User__UserRegisterCountResp res = OPENIM__USER__USER_REGISTER_COUNT_RESP__INIT;

    expect_fail(stand_run("/statistics/user/register", &req, &res), 1001);
    req.start = 2;
    req.end = 1;
    expect_fail(stand_run("/statistics/user/register", &req, &res), 1001);
    req.end = 3;
    expect_fail(stand_run("/statistics/user/register", &req, &res), 1002);
    call.admin = true;
    stand_rows(1, 1, "#9");
    stand_rows(1, 1, "#2");
    stand_rows(2, 2, "#0", "#3", "#19782", "#4");
    assert_int_equal(stand_run("/statistics/user/register", &req, &res), OIM_OK);
    assert_int_equal(res.total, 9);
    assert_int_equal(res.before, 2);
    assert_int_equal(res.n_count, 2);
    assert_string_equal(res.count[0]->key, "1970-01-01");
    assert_string_equal(res.count[1]->key, "2024-02-29");
    assert_int_equal(res.count[1]->value, 4);
}

#define DAY 86400000LL

/* What is asked for a window of [start, end): "first day, day behind the last, sign, from, to, sign, from, to" */
static void expect_window(int64_t start, int64_t end, const char *counted_from, const char *asked)
{
    Openim__Msg__GetActiveUserReq req = OPENIM__MSG__GET_ACTIVE_USER_REQ__INIT;
    Openim__Msg__GetActiveUserResp res = OPENIM__MSG__GET_ACTIVE_USER_RESP__INIT;
    Openim__Sdkws__RequestPagination page = OPENIM__SDKWS__REQUEST_PAGINATION__INIT;
    char want[200];

    stand_teardown(NULL);
    stand_setup(NULL);
    call.admin = true;
    req.start = start;
    req.end = end;
    req.pagination = &page;
    page.pagenumber = 1; /* no rows: the number of all only */
    stand_rows(1, 1, counted_from);
    assert_int_equal(stand_run("/statistics/user/active", &req, &res), OIM_OK);
    snprintf(want, sizeof(want), "LIMIT ? OFFSET ? | %s, 1, 0", asked);
    if (strstr(stand_asked(stand_n_asked() - 1), want) == NULL) fail_msg("not %s in %s", want, stand_asked(stand_n_asked() - 1));
    assert_non_null(strstr(stand_asked(stand_n_asked() - 2), asked)); /* the days */
}

/* Whole days come from the counts; of a day that is cut the smaller side is counted, to be added or taken off. */
static void test_windows(void **state)
{
    expect_window(2 * DAY, 5 * DAY, "#0", "2, 5, 1, 172800000, 172800000, 1, 432000000, 432000000");
    expect_window(2 * DAY - 1, 5 * DAY + 1, "#0", "2, 5, 1, 172799999, 172800000, 1, 432000000, 432000001");
    expect_window(2 * DAY + 1, 5 * DAY - 1, "#0", "2, 5, -1, 172800000, 172800001, -1, 431999999, 432000000");
    expect_window(2 * DAY, 2 * DAY + 1, "#0", "0, 0, 1, 172800000, 172800001, 1, 0, 0");
    expect_window(2 * DAY + 5, 3 * DAY - 5, "#0", "2, 3, -1, 172800000, 172800005, -1, 259199995, 259200000");
    expect_window(2 * DAY + 5, 2 * DAY + DAY / 2, "#0", "0, 0, 1, 172800005, 216000000, 1, 0, 0");
    expect_window(2 * DAY - 5, 2 * DAY + 5, "#0", "0, 0, 1, 172799995, 172800005, 1, 0, 0");
    expect_window(5, 5, "#0", "0, 0, 0, 0, 0, 0, 0, 0");
    expect_window(9, 5, "#0", "0, 0, 0, 0, 0, 0, 0, 0");
    expect_window(-7, 2 * DAY, "#0", "0, 2, 1, 0, 0, 1, 172800000, 172800000");
    /* what is not counted yet is read */
    expect_window(2 * DAY, 9 * DAY, "#345600000", "4, 9, 1, 172800000, 345600000, 1, 777600000, 777600000");
    expect_window(2 * DAY, 9 * DAY, "#345600001", "5, 9, 1, 172800000, 432000000, 1, 777600000, 777600000");
    expect_window(5 * DAY + 5, 9 * DAY, "#345600000", "5, 9, -1, 432000000, 432000005, 1, 777600000, 777600000");
    expect_window(2 * DAY, 3 * DAY, "#345600000", "0, 0, 1, 172800000, 259200000, 1, 0, 0");
    expect_window(2 * DAY, 9 * DAY, "#9223372036854775807", "0, 0, 1, 172800000, 777600000, 1, 0, 0");
}

/* Nothing has been sent of what is left of today. */
static void test_window_of_today(void **state)
{
    int64_t now = oim_now_ms(), today = now / DAY, next = (today + 1) * DAY;
    char asked[120];

    snprintf(asked, sizeof(asked), "2, %" PRId64 ", 1, 172800000, 172800000, -1, %" PRId64 ", %" PRId64, today + 1, now, next);
    expect_window(2 * DAY, now, "#0", asked);
    snprintf(asked, sizeof(asked), "2, %" PRId64 ", 1, 172800000, 172800000, -1, %" PRId64 ", %" PRId64, today + 1, next - 1, next);
    expect_window(2 * DAY, next - 1, "#0", asked);
    expect_window(2 * DAY, INT64_MAX, "#0", "2, 53375995584, 1, 172800000, 172800000, -1, 4611686018427387903, 4611686018457600000");
}

/* Neither end of a window may be so full that others wait. */
static void test_window_too_large(void **state)
{
    Openim__Msg__GetActiveGroupReq req = OPENIM__MSG__GET_ACTIVE_GROUP_REQ__INIT;
    Openim__Msg__GetActiveGroupResp res = OPENIM__MSG__GET_ACTIVE_GROUP_RESP__INIT;
    Openim__Sdkws__RequestPagination page = OPENIM__SDKWS__REQUEST_PAGINATION__INIT;

    call.admin = true;
    page.pagenumber = 1;
    req = (Openim__Msg__GetActiveGroupReq){.base = req.base, .start = DAY - 1, .end = 3 * DAY + 1, .pagination = &page};
    stand_rows(1, 1, "#0");
    stand_rows(1, 1, "#1");
    expect_fail(stand_run("/statistics/group/active", &req, &res), 1001);
    for (int i = 0; i < 2; i++) {
        stand_teardown(NULL);
        stand_setup(NULL);
        call.admin = true;
        stand_rows(1, 1, "#0");
        for (int k = 0; k <= i; k++) stand_rows(0, 1);
        stand_rows(1, 1, "#1");
        expect_fail(stand_run("/statistics/group/active", &req, &res), 1001);
        assert_int_equal(stand_n_asked(), 3 + i);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(test_##f, stand_setup, stand_teardown)
    const struct CMUnitTest tests[] = {
        T(register_checks_ids_and_lengths),
        T(register_is_refused),
        T(lists_are_for_administrators_and_bounded),
        T(a_search_takes_its_text_as_it_is),
        T(a_new_name_is_told_to_friends_and_groups),
        T(what_others_do_not_see_is_told_to_oneself),
        T(an_empty_name_is_a_name),
        T(profiles_of_others_and_of_nobody),
        T(groups_learn_first),
        T(an_administrator_is_named_by_profile),
        T(without_groups_friends_learn_at_once),
        T(the_last_piece_leaves_nothing),
        T(accounts_are_found_by_id_then_by_name),
        T(a_level_of_users_finds_no_account),
        T(a_made_id_has_ten_digits),
        T(a_command_is_named_before_it_is_anybodys),
        T(an_update_of_nothing_asks_nothing),
        T(own_configuration_wins),
        T(registrations_by_day),
        T(windows),
        T(window_of_today),
        T(window_too_large),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL), n = (int)(sizeof(tests) / sizeof(tests[0]));

    print_message("%d passed, %d failed\n", n - failed, failed);
    return failed != 0;
}
