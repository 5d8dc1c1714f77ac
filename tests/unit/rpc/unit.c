/* call.c and send.c: what every handler leans on. SQL is played by oim_sql_exec below, which writes down what it is asked. */
#include "rpc.h"
#include "send.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the stand-in ---- */

static char asked[8][8192];
static size_t asked_args[8];
static int n_asked;

/* Echoes the arguments from the second on as rows, a repeated one once. */
int oim_sql_exec(struct oim_sql *db, struct oim_arena *a, const char *sql, const struct oim_sql_value *args, size_t nargs,
                 struct oim_sql_rows *rows, uint64_t *affected)
{
    assert_true(n_asked < 8);
    snprintf(asked[n_asked], sizeof(asked[0]), "%s", sql);
    asked_args[n_asked++] = nargs;
    rows->columns = 1;
    rows->n = 0;
    rows->cells = oim_arena_alloc(a, nargs * sizeof(*rows->cells));
    for (size_t i = 1; i < nargs; i++) {
        if (i > 1 && strcmp(args[i].p, args[i - 1].p) == 0) continue;
        rows->cells[rows->n++] = args[i];
    }
    return OIM_OK;
}

void oim_sql_places(struct oim_buf *buf, size_t groups, size_t k)
{
    assert_int_equal(groups, 1);
    oim_buf_printf(buf, "(%zu places)", k);
}

struct oim_sql_value oim_sql_text_value(const char *s)
{
    if (s == NULL) return (struct oim_sql_value){.kind = OIM_SQL_NULL};
    return (struct oim_sql_value){.kind = OIM_SQL_TEXT, .p = s, .len = strlen(s)};
}

/* ---- a call ---- */

static struct logic_lane lane;
static Openim__Internal__Uplink up;
static struct logic_call call;

static int setup(void **state)
{
    lane.arena = oim_arena_new(4096);
    openim__internal__uplink__init(&up);
    up.userid = (char *)"u1";
    call = (struct logic_call){.lane = &lane, .up = &up};
    n_asked = 0;
    return 0;
}

static int teardown(void **state)
{
    oim_arena_free(lane.arena);
    return 0;
}

/* ---- permission, failures ---- */

static void test_self_is_the_user_or_an_administrator(void **state)
{
    assert_int_equal(logic_self(&call, "u1"), OIM_OK);
    assert_int_equal(logic_self(&call, "u2"), OIM_EFAIL);
    assert_int_equal(call.fail.code, 1002);
    assert_string_equal(call.fail.msg, "NoPermissionError");
    call.admin = true;
    assert_int_equal(logic_self(&call, "u2"), OIM_OK);
    assert_int_equal(logic_admin(&call), OIM_OK);
}

static void test_a_long_detail_is_cut(void **state)
{
    char id[2000];

    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    assert_int_equal(logic_args(&call, "user %s", id), OIM_EFAIL);
    assert_int_equal(call.fail.code, 1001);
    assert_true(strlen(call.fail.dlt) < 600);
}

/* ---- lists ---- */

static void test_index_finds_the_first_of_equals(void **state)
{
    char *ids[] = {(char *)"b", (char *)"a", (char *)"b", (char *)"", (char *)"c"};
    struct logic_index *index = logic_index_new(lane.arena, ids, 5), *none = logic_index_new(lane.arena, NULL, 0);

    assert_int_equal(logic_index_find(index, "b"), 0);
    assert_int_equal(logic_index_find(index, "a"), 1);
    assert_int_equal(logic_index_find(index, ""), 3);
    assert_int_equal(logic_index_find(index, "c"), 4);
    assert_true(logic_index_find(index, "bb") == SIZE_MAX);
    assert_true(logic_index_find(none, "a") == SIZE_MAX);
    assert_false(logic_index_distinct(index));
    assert_true(logic_index_distinct(none));
}

static void test_lists_are_bounded(void **state)
{
    char *ids[] = {(char *)"a", (char *)"b", (char *)"a"};

    assert_int_equal(logic_check_ids(&call, "ids", ids, 0, false), OIM_EFAIL);
    assert_int_equal(logic_check_ids(&call, "ids", ids, LOGIC_IDS_MAX + 1, false), OIM_EFAIL);
    assert_int_equal(logic_check_ids(&call, "ids", ids, 3, false), OIM_OK);
    assert_int_equal(logic_check_ids(&call, "ids", ids, 3, true), OIM_EFAIL);
    assert_int_equal(logic_check_ids(&call, "ids", ids, 2, true), OIM_OK);
}

static void test_pages(void **state)
{
    Openim__Sdkws__RequestPagination p = OPENIM__SDKWS__REQUEST_PAGINATION__INIT;
    struct logic_page page;

    assert_int_equal(logic_page(&call, NULL, &page), OIM_EFAIL);
    assert_int_equal(logic_page(&call, &p, &page), OIM_EFAIL); /* pageNumber 0 */
    p.pagenumber = 3;
    p.shownumber = 20;
    assert_int_equal(logic_page(&call, &p, &page), OIM_OK);
    assert_int_equal(page.offset, 40);
    assert_int_equal(page.limit, 20);
    p.shownumber = -5;
    assert_int_equal(logic_page(&call, &p, &page), OIM_OK);
    assert_int_equal(page.limit, 0);
    p.pagenumber = p.shownumber = INT32_MAX;
    page = logic_page_lenient(&p);
    assert_true(page.offset == (int64_t)(INT32_MAX - 1) * INT32_MAX);
    assert_int_equal(logic_page_lenient(NULL).limit, 0);
}

static void test_sql_lists_are_filled_up_and_cut(void **state)
{
    struct oim_sql_value args[] = {oim_sql_text("owner")}, *ids = calloc(2500, sizeof(*ids));
    struct oim_sql_rows rows;
    char text[2500][12];

    for (int i = 0; i < 2500; i++) {
        snprintf(text[i], sizeof(text[i]), "%d", i);
        ids[i] = oim_sql_text(text[i]);
    }
    assert_int_equal(logic_sql_in(&lane, "head", args, 1, ids, 0, "tail", &rows), OIM_OK);
    assert_int_equal(n_asked, 0);
    assert_int_equal(rows.n, 0);

    assert_int_equal(logic_sql_in(&lane, "head", args, 1, ids, 5, "tail", &rows), OIM_OK);
    assert_int_equal(n_asked, 1);
    assert_string_equal(asked[0], "head (8 places) tail");
    assert_int_equal(asked_args[0], 9);
    assert_int_equal(rows.n, 5);

    assert_int_equal(logic_sql_in(&lane, "head", args, 1, ids, 2500, "", &rows), OIM_OK);
    assert_int_equal(n_asked, 4);
    assert_int_equal(rows.n, 2500);
    for (size_t i = 0; i < rows.n; i++) assert_string_equal(logic_cell_text(&rows, i, 0), text[i]);
    free(ids);
}

static void test_cells(void **state)
{
    struct oim_sql_value cells[] = {{.kind = OIM_SQL_NULL}, oim_sql_uint(7), oim_sql_int(-3), oim_sql_text("x")};
    struct oim_sql_rows rows = {.n = 1, .columns = 4, .cells = cells};

    assert_string_equal(logic_cell_text(&rows, 0, 0), "");
    assert_int_equal(logic_cell_int(&rows, 0, 0), 0);
    assert_int_equal(logic_cell_int(&rows, 0, 1), 7);
    assert_int_equal(logic_cell_int(&rows, 0, 2), -3);
    assert_string_equal(logic_cell_text(&rows, 0, 3), "x");
}

static void test_utf8_is_looked_for_at_any_depth(void **state)
{
    Openim__Sdkws__PullMessageBySeqsReq req = OPENIM__SDKWS__PULL_MESSAGE_BY_SEQS_REQ__INIT;
    Openim__Sdkws__SeqRange range = OPENIM__SDKWS__SEQ_RANGE__INIT, *ranges[] = {&range, NULL};
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;
    char *at[] = {(char *)"u1", (char *)"\xc3"};

    req.seqranges = ranges;
    req.n_seqranges = 2;
    range.conversationid = (char *)"si_\xd0\x96_b";
    assert_true(logic_utf8(&req.base));
    range.conversationid = (char *)"si_\xff_b";
    assert_false(logic_utf8(&req.base));

    msg.atuseridlist = at;
    msg.n_atuseridlist = 1;
    msg.content.data = (uint8_t *)"\xff\xff"; /* bytes may hold anything */
    msg.content.len = 2;
    assert_true(logic_utf8(&msg.base));
    msg.n_atuseridlist = 2;
    assert_false(logic_utf8(&msg.base));
}

/* ---- content ---- */

static const char *check(int type, const char *text)
{
    json_t *content = json_loads(text, JSON_DECODE_ANY, NULL);
    const char *missing;

    assert_non_null(content);
    missing = logic_content_check(type, content);
    json_decref(content);
    return missing;
}

static void test_content_types(void **state)
{
    static const int known[] = {101, 102, 103, 104, 105, 106, 110, 114, 118, 1400}, unknown[] = {0, 100, 107, 109, 113, 117, 1201, -1};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) assert_true(logic_content_known(known[i]));
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) assert_false(logic_content_known(unknown[i]));
}

static void test_required_members(void **state)
{
    static const char picture[] = "{\"sourcePicture\":{\"type\":\"png\",\"width\":1,\"height\":2,\"url\":\"u\"},"
                                  "\"BIGPICTURE\":{\"type\":\"png\",\"width\":\"1\",\"height\":2,\"url\":\"u\"},"
                                  "\"snapshotPicture\":%s}";
    char text[512];

    assert_null(check(101, "{\"content\":\"x\"}"));
    assert_null(check(101, "{\"CONTENT\":5}"));
    assert_string_equal(check(101, "{\"text\":\"x\"}"), "content");
    assert_string_equal(check(101, "{\"content\":\"\"}"), "content");
    assert_string_equal(check(101, "{\"content\":{}}"), "content");
    snprintf(text, sizeof(text), picture, "{\"type\":\"png\",\"width\":1,\"height\":2,\"url\":\"u\"}");
    assert_null(check(102, text));
    snprintf(text, sizeof(text), picture, "{\"type\":\"png\",\"width\":0,\"height\":2,\"url\":\"u\"}");
    assert_string_equal(check(102, text), "snapshotPicture");
    assert_string_equal(check(103, "{\"sourceUrl\":\"u\"}"), "duration");
    assert_string_equal(check(103, "{\"sourceUrl\":\"u\",\"duration\":-1}"), "duration");
    assert_null(check(103, "{\"sourceUrl\":\"u\",\"duration\":\"3\"}"));
    assert_string_equal(check(105, "{\"sourceUrl\":\"u\",\"fileSize\":1}"), "fileName");
    assert_string_equal(check(106, "{\"atUserList\":[]}"), "atUserList");
    assert_string_equal(check(106, "{\"atUserList\":[1]}"), "atUserList");
    assert_null(check(106, "{\"atUserList\":[\"a\"]}"));
    assert_null(check(114, "{}"));
    assert_null(check(1400, "{\"notificationName\":\"n\",\"notificationType\":1,\"text\":\"t\"}"));
    assert_string_equal(check(1400, "{\"notificationName\":\"n\",\"notificationType\":1,\"text\":\"t\",\"mixType\":6}"), "mixType");
}

static void test_stored_content_is_sorted_and_escaped(void **state)
{
    static const char in[] = "{\"b\":[1,2.5,true,null,\"<&>\"],\"a\":{\"z\":1e300,\"y\":\"\\u4e16\"},\"n\":9007199254740993,\"f\":0.1}";
    static const char out[] = "{\"a\":{\"y\":\"\xe4\xb8\x96\",\"z\":1e+300},\"b\":[1,2.5,true,null,\"\\u003c\\u0026\\u003e\"],\"f\":0.1,"
                              "\"n\":9007199254740993}";
    json_t *content = json_loads(in, 0, NULL);
    struct oim_buf buf = {0};

    assert_non_null(content);
    logic_content_write(&buf, content);
    oim_buf_putc(&buf, '\0');
    assert_string_equal((char *)buf.data, out);
    json_decref(content);
    oim_buf_free(&buf);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_self_is_the_user_or_an_administrator),
        CASE(test_a_long_detail_is_cut),
        CASE(test_index_finds_the_first_of_equals),
        CASE(test_lists_are_bounded),
        CASE(test_pages),
        CASE(test_sql_lists_are_filled_up_and_cut),
        CASE(test_cells),
        CASE(test_utf8_is_looked_for_at_any_depth),
        CASE(test_content_types),
        CASE(test_required_members),
        CASE(test_stored_content_is_sorted_and_escaped),
    };
    int n = sizeof(tests) / sizeof(tests[0]), failed = cmocka_run_group_tests_name("rpc", tests, NULL, NULL);

    printf("%d passed, %d failed\n", n - failed, failed);
    return failed != 0;
}
