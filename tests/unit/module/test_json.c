/*
 * ngx_http_openim_json.c: grammar, Go's tolerances, conversions, escapes, base64, and no room.
 */
#include "test.h"

#include "ngx_http_openim_json.h"

/* NGX_DONE or NGX_ERROR of a whole document, which lies in a block of its exact size */
static ngx_int_t walk(const void *data, size_t len)
{
    u_char *doc = bytes_dup(data, len);
    ngx_http_openim_json_t json;
    ngx_str_t name, value;
    ngx_int_t rc;

    ngx_http_openim_json_init(&json, doc, len);
    while ((rc = ngx_http_openim_json_next(&json, &name, &value)) == NGX_OK) {
        assert_true(value.len > 0);
        assert_true(name.data >= doc && value.data + value.len <= doc + len);
    }
    free(doc);
    return rc;
}

static void grammar(void **state)
{
    (void)state;
    static const char *good[] = {
        "{}", " { } ", "null", "\tnull\r\n", "{\"a\":1}", "{\"a\":[],\"b\":{}}", "{\"\":\"\"}",
        "{\"a\":[1,-2.5e+10,0,-0,0.1,1E2,true,false,null,\"x\",[[{}]],{\"y\":{\"z\":[]}}]}",
        "{\"a\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud83d\" , \"b\" : 1 }", "{\"a\":1,\"a\":2}", "{\"a\":\"\x7f\xff\xc0\"}",
    };
    static const char *bad[] = {
        "", " ", "{", "}", "[]", "1", "\"x\"", "true", "nul", "nulll", "null null", "{}x", "{} {}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{,}", "{\"a\":1 \"b\":2}", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}",
        "{\"a\":1e}", "{\"a\":1e+}", "{\"a\":0x1}", "{\"a\":tru}", "{\"a\":True}", "{\"a\":NaN}", "{\"a\":[1,]}", "{\"a\":[,1]}",
        "{\"a\":[1 2]}", "{\"a\":[1}", "{\"a\":[}", "{\"a\":{]}", "{\"a\":{\"b\"}}", "{\"a\":{\"b\":1,}}", "{\"a\":{1:1}}",
        "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\", "{\"a\":\"\\\"}", "{\"a\":\"",
        "{\"a\":1", "{\"a\":1]", "{\"a", "{\"a\":[\"x\"", "{\"a\":{\"b\":1", "\xef\xbb\xbf{}", "{\"a\":1/**/}",
    };

    for (size_t i = 0; i < COUNT(good); i++) {
        size_t len = strlen(good[i]);
        if (walk(good[i], len) != NGX_DONE) fail_msg("refused: %s", good[i]);
        for (size_t n = 0; n < len; n++) { /* a prefix is whole only when spaces follow */
            if (strspn(good[i] + n, " \r\n\t") != len - n && walk(good[i], n) != NGX_ERROR) fail_msg("accepted: %.*s", (int)n, good[i]);
        }
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (walk(bad[i], strlen(bad[i])) != NGX_ERROR) fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(walk("{\"a\":\"\0\"}", 9), NGX_ERROR);
}

static void depth(void **state)
{
    (void)state;
    char doc[1000];

    for (int arrays = 0; arrays < 2; arrays++) {
        for (int n = 60; n < 70; n++) {
            char *p = doc + sprintf(doc, "{\"a\":");
            for (int i = 0; i < n; i++) p += sprintf(p, arrays ? "[" : "{\"x\":");
            *p++ = '1';
            for (int i = 0; i < n; i++) *p++ = arrays ? ']' : '}';
            *p++ = '}';
            assert_int_equal(walk(doc, (size_t)(p - doc)), n <= NGX_HTTP_OPENIM_JSON_DEPTH ? NGX_DONE : NGX_ERROR);
        }
    }

    /* a million of them must cost nothing */
    char *deep = malloc(1000000);
    assert_non_null(deep);
    memset(deep, '[', 1000000);
    memcpy(deep, "{\"a\":", 5);
    assert_int_equal(walk(deep, 1000000), NGX_ERROR);
    free(deep);
}

static void names(void **state)
{
    (void)state;
    static const struct { const char *name, *key; int same, exact; } cases[] = {
        {"sendID", "sendID", 1, 1},   {"SENDid", "sendID", 1, 0},    {"sendI", "sendID", 0, 0},         {"sendIDs", "sendID", 0, 0},
        {"", "sendID", 0, 0},         {"\\u0073endID", "sendID", 1, 1}, {"\\u0053endID", "sendID", 1, 0},
        {"\xc5\xbf" "endID", "sendID", 1, 0},   {"to\xe2\x84\xaa" "en", "token", 1, 0}, {"\\u017fendID", "sendID", 1, 0},
        {"send\xff", "sendID", 0, 0}, {"send[D", "sendID", 0, 0},    {"a", "A", 1, 0}, {"@", "`", 0, 0}, {"[", "{", 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ngx_str_t name = str_dup(cases[i].name);
        assert_int_equal(ngx_http_openim_json_is(&name, cases[i].key), cases[i].same);
        assert_int_equal(ngx_http_openim_json_is_exact(&name, cases[i].key), cases[i].exact);
        free(name.data);
    }
}

static void strings(void **state)
{
    (void)state;
    static const struct { const char *json, *want; } cases[] = {
        {"\"plain\"", "plain"},
        {"\"\"", ""},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\"a\xff" "b\"", "a\xef\xbf\xbd" "b"},
        {"\"\xe4\xbd\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\xc0\xaf\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ngx_str_t value = str_dup(cases[i].json), out = ngx_null_string;
        struct scratch s = scratch_new(value.len * 3);
        assert_int_equal(ngx_http_openim_json_string(&value, &s.mem, &out), NGX_OK);
        assert_str(out, cases[i].want);

        size_t need = scratch_used(&s);
        for (size_t n = 0; n < need; n++) {
            struct scratch less = scratch_new(n);
            assert_int_equal(ngx_http_openim_json_string(&value, &less.mem, &out), NGX_ERROR);
            free(less.start);
        }
        free(s.start);
        free(value.data);
    }

    ngx_str_t value = str("null"), out = str("kept");
    assert_int_equal(ngx_http_openim_json_string(&value, NULL, &out), NGX_OK);
    assert_str(out, "kept");
    for (size_t i = 0; i < 5; i++) {
        static const char *others[] = {"1", "true", "[]", "{}", "-1"};
        value = str(others[i]);
        assert_int_equal(ngx_http_openim_json_string(&value, NULL, &out), NGX_DECLINED);
    }
}

static void integers(void **state)
{
    (void)state;
    static const struct { const char *json; int64_t min, max, want; int ok; } cases[] = {
        {"0", -9, 9, 0, 1},
        {"-0", -9, 9, 0, 1},
        {"1003", INT32_MIN, INT32_MAX, 1003, 1},
        {"2147483647", INT32_MIN, INT32_MAX, 2147483647, 1},
        {"-2147483648", INT32_MIN, INT32_MAX, INT32_MIN, 1},
        {"2147483648", INT32_MIN, INT32_MAX, 0, 0},
        {"-2147483649", INT32_MIN, INT32_MAX, 0, 0},
        {"9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, 1},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, 1},
        {"9223372036854775808", INT64_MIN, INT64_MAX, 0, 0},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, 0, 0},
        {"99999999999999999999999999", INT64_MIN, INT64_MAX, 0, 0},
        {"1.0", -9, 9, 0, 0},
        {"1e3", -9999, 9999, 0, 0},
        {"\"1\"", -9, 9, 0, 0},
        {"true", -9, 9, 0, 0},
        {"[1]", -9, 9, 0, 0},
        {"null", -9, 9, 77, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ngx_str_t value = str_dup(cases[i].json);
        int64_t n = 77;
        ngx_int_t rc = ngx_http_openim_json_int(&value, cases[i].min, cases[i].max, &n);
        assert_int_equal(rc, cases[i].ok ? NGX_OK : NGX_DECLINED);
        if (cases[i].ok) assert_true(n == cases[i].want);
        free(value.data);
    }
}

static void bools_and_times(void **state)
{
    (void)state;
    ngx_uint_t flag = 7;
    ngx_str_t v = str("true");
    assert_int_equal(ngx_http_openim_json_bool(&v, &flag), NGX_OK);
    assert_int_equal(flag, 1);
    v = str("false");
    assert_int_equal(ngx_http_openim_json_bool(&v, &flag), NGX_OK);
    assert_int_equal(flag, 0);
    flag = 7;
    v = str("null");
    assert_int_equal(ngx_http_openim_json_bool(&v, &flag), NGX_OK);
    assert_int_equal(flag, 7);
    v = str("1");
    assert_int_equal(ngx_http_openim_json_bool(&v, &flag), NGX_DECLINED);
    v = str("\"true\"");
    assert_int_equal(ngx_http_openim_json_bool(&v, &flag), NGX_DECLINED);

    static const struct { const char *json; int64_t want; int ok, set; } cases[] = {
        {"1700000000", 1700000000, 1, 1},   {"1700000000.75", 1700000000, 1, 1}, {"1.7e9", 1700000000, 1, 1},
        {"\"1700000000\"", 1700000000, 1, 1}, {"-5", -5, 1, 1},                   {"0", 0, 1, 1},
        {"null", 0, 1, 0},                  {"1e999", 0, 0, 0},                   {"9e18", 0, 0, 0},
        {"-1e30", 0, 0, 0},                 {"true", 0, 0, 0},                    {"\"\"", 0, 0, 0},
        {"\"x\"", 0, 0, 0},                 {"\" 1\"", 0, 0, 0},                  {"{}", 0, 0, 0},
        {"[1]", 0, 0, 0},                   {"1111111111111111111111111111111111111111111111111111111111111111111111", 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ngx_str_t value = str_dup(cases[i].json);
        int64_t t = 0;
        ngx_uint_t set = 0;
        assert_int_equal(ngx_http_openim_json_seconds(&value, &t, &set), cases[i].ok ? NGX_OK : NGX_DECLINED);
        if (cases[i].ok) {
            assert_true(t == cases[i].want);
            assert_int_equal(set, cases[i].set);
        }
        free(value.data);
    }
}

static void quoting(void **state)
{
    (void)state;
    static const struct { const char *text; size_t len; const char *want; } cases[] = {
        {"", 0, "\"\""},
        {"abc", 3, "\"abc\""},
        {"\"\\\n\r\t", 5, "\"\\\"\\\\\\n\\r\\t\""},
        {"\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\""},
        {"\b\f", 2, "\"\\u0008\\u000c\""},
        {"<a>&", 4, "\"\\u003ca\\u003e\\u0026\""},
        {"\xe2\x80\xa8\xe2\x80\xa9", 6, "\"\\u2028\\u2029\""},
        {"\xc3\xa9\xe4\xbd\xa0", 5, "\"\xc3\xa9\xe4\xbd\xa0\""},
        {"\xf0\x9f\x98\x80", 4, "\"\\ud83d\\ude00\""},
        {"\xf4\x8f\xbf\xbf", 4, "\"\\udbff\\udfff\""},
        {"\xff", 1, "\"\\ufffd\""},
        {"\xe4\xbd", 2, "\"\\ufffd\\ufffd\""},
        {"\xef\xbf\xbd", 3, "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        u_char *in = bytes_dup(cases[i].text, cases[i].len);
        size_t want = strlen(cases[i].want);
        assert_int_equal(ngx_http_openim_json_quote(NULL, in, cases[i].len), want);
        u_char *out = malloc(want);
        assert_non_null(out);
        assert_int_equal(ngx_http_openim_json_quote(out, in, cases[i].len), want);
        assert_memory_equal(out, cases[i].want, want);
        free(out);

        /* cut: never more than max, always a JSON string of whole characters */
        for (size_t max = 2; max <= want + 1; max++) {
            out = malloc(max);
            assert_non_null(out);
            size_t n = ngx_http_openim_json_quote_max(out, in, cases[i].len, max);
            assert_true(n >= 2 && n <= max);
            assert_int_equal(out[n - 1], '"');
            assert_memory_equal(out, cases[i].want, n - 1);
            if (max >= want) assert_int_equal(n, want);
            free(out);
        }
        free(in);
    }
}

static void base64(void **state)
{
    (void)state;
    static const struct { const char *text; int url; const char *want; } cases[] = {
        {"", 0, ""},             {"", 1, ""},              {"YQ==", 0, "a"},          {"YWI=", 0, "ab"},       {"YWJj", 0, "abc"},
        {"YWJjZA==", 0, "abcd"}, {"YQ", 1, "a"},           {"YWI", 1, "ab"},          {"YWJj", 1, "abc"},      {"-_-_", 1, "\xfb\xff\xbf"},
        {"+/+/", 0, "\xfb\xff\xbf"}, {"Y\r\nQ=\n=\r\n", 0, "a"}, {"\nYQ\r", 1, "a"},  {"YR==", 0, "a"},        {"YR", 1, "a"},
        {"YQ", 0, NULL},         {"YQ=", 0, NULL},         {"YWI", 0, NULL},          {"Y", 0, NULL},          {"Y", 1, NULL},
        {"YWJjZ", 1, NULL},      {"YQ==", 1, NULL},        {"YWI=", 1, NULL},         {"Y===", 0, NULL},       {"====", 0, NULL},
        {"=", 0, NULL},          {"YQ===", 0, NULL},       {"YWI==", 0, NULL},        {"YWJj=", 0, NULL},      {"YQ==YQ==", 0, NULL},
        {"YQ=a", 0, NULL},       {"Y Q=", 0, NULL},        {"-_-_", 0, NULL},         {"+/+/", 1, NULL},       {"YW\xff=", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i].text);
        u_char *in = bytes_dup(cases[i].text, len), *room = malloc(ngx_http_openim_base64_size(len));
        ngx_str_t out;
        assert_non_null(room);
        for (int in_place = 0; in_place < 2; in_place++) {
            u_char *dst = in_place ? in : room;
            ngx_int_t rc = cases[i].url ? ngx_http_openim_base64_url(dst, &out, in, len) : ngx_http_openim_base64_std(dst, &out, in, len);
            assert_int_equal(rc, cases[i].want ? NGX_OK : NGX_DECLINED);
            if (cases[i].want) assert_str(out, cases[i].want);
        }
        free(in);
        free(room);
    }

    static const struct { const char *json; ngx_int_t rc; const char *want; } values[] = {
        {"null", NGX_OK, NULL},          {"\"\"", NGX_OK, ""},     {"\"YWJj\"", NGX_OK, "abc"}, {"\"Y\\nWJj\\r\"", NGX_OK, "abc"},
        {"\"\\u0059Q\\u003d=\"", NGX_OK, "a"}, {"\"YQ\"", NGX_DECLINED, NULL}, {"1", NGX_DECLINED, NULL}, {"[97]", NGX_DECLINED, NULL},
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        ngx_str_t value = str_dup(values[i].json), out = str("x");
        struct scratch s = scratch_new(value.len * 3);
        assert_int_equal(ngx_http_openim_json_base64(&value, &s.mem, &out), values[i].rc);
        if (values[i].rc == NGX_OK && values[i].want == NULL) assert_null(out.data);
        if (values[i].want != NULL) {
            assert_non_null(out.data);
            assert_str(out, values[i].want);
        }
        for (size_t n = 0; n < scratch_used(&s) && values[i].rc == NGX_OK; n++) {
            struct scratch less = scratch_new(n);
            assert_int_equal(ngx_http_openim_json_base64(&value, &less.mem, &out), NGX_ERROR);
            free(less.start);
        }
        free(s.start);
        free(value.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),  cmocka_unit_test(depth),           cmocka_unit_test(names),   cmocka_unit_test(strings),
        cmocka_unit_test(integers), cmocka_unit_test(bools_and_times), cmocka_unit_test(quoting), cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
