/*
 * ngx_http_openim_args.c: both forms of the query, each error with its code and text in the order of
 * the checks, and the result object.
 */
#include "vectors.h"

#include "ngx_http_openim_args.h"
#include "ngx_http_openim_envelope.h"

typedef ngx_http_openim_args_t args_t;
typedef ngx_http_openim_error_t error_t_;

static struct scratch scratch;
static u_char *query_block;

static ngx_int_t parse(const char *query, const char *header, args_t *args, error_t_ *err)
{
    free(scratch.start);
    free(query_block);

    ngx_str_t q = str_dup(query), h = header != NULL ? str(header) : str("");
    query_block = q.data;
    scratch = scratch_new(ngx_http_openim_args_scratch(q.len));
    memset(err, 0xee, sizeof(*err));
    return ngx_http_openim_args_parse(args, &q, header != NULL ? &h : NULL, &scratch.mem, err);
}

static int drop(void **state)
{
    (void)state;
    free(scratch.start);
    free(query_block);
    scratch.start = query_block = NULL;
    return 0;
}

#define BASE "sendID=u1&token=t1&platformID=5&operationID=o1&isBackground=false"

static void native(void **state)
{
    (void)state;
    args_t a;
    error_t_ e;

    assert_int_equal(parse("sendID=u1001&token=a.b.c&platformID=2&operationID=op%201&isBackground=true&sdkVersion=3.8.3&compression=gzip", NULL, &a, &e), NGX_OK);
    assert_str(a.send_id, "u1001");
    assert_str(a.token, "a.b.c");
    assert_str(a.operation_id, "op 1");
    assert_str(a.sdk_version, "3.8.3");
    assert_int_equal(a.platform_id, 2);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_GOB);
    assert_int_equal(a.gzip, 1);
    assert_int_equal(a.background, 1);
    assert_int_equal(a.msg_resp, 0);

    /* the orders of the other families */
    assert_int_equal(parse("compression=gzip&isBackground=false&isMsgResp=true&operationID=o&platformID=5&sendID=u&token=t", NULL, &a, &e), NGX_OK);
    assert_int_equal(a.msg_resp, 1);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_GOB);
    assert_int_equal(parse("sendID=u&token=t&platformID=6&operationID=o&isBackground=false&isMsgResp=true&sdkType=js", NULL, &a, &e), NGX_OK);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_JSON);
    assert_int_equal(a.gzip, 0);
    assert_int_equal(parse(BASE "&sdkType=go", NULL, &a, &e), NGX_OK);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_GOB);
}

static void compression(void **state)
{
    (void)state;
    static const struct { const char *query, *header; int gzip; } cases[] = {
        {BASE, NULL, 0},                      {BASE, "gzip", 1},   {BASE, "GZIP", 0}, {BASE, "", 0}, {BASE "&compression=", "gzip", 1}, {BASE "&compression=deflate", "gzip", 0},
        {BASE "&compression=deflate", NULL, 0}, {BASE "&compression=gzip", "deflate", 1}, {BASE "&compression=Gzip", NULL, 0}, {BASE "&compression=gzip,x", NULL, 0},
    };
    args_t a;
    error_t_ e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(parse(cases[i].query, cases[i].header, &a, &e), NGX_OK);
        assert_int_equal(a.gzip, cases[i].gzip);
    }
}

static void form_decoding(void **state)
{
    (void)state;
    static const struct { const char *query, *send_id; } cases[] = {
        {"sendID=a+b", "a b"},          {"sendID=%61%2B%2b", "a++"},      {"sendID=one&sendID=two", "one"}, {"sendID=a=b==", "a=b=="},
        {"SendID=x&sendID=y", "y"},     {"send%49D=z", "z"},              {"sendID=%zz&sendID=ok", "ok"},   {"sendID=%6&sendID=ok", "ok"},
        {"sendID=%&sendID=ok", "ok"},   {"sendID=a;b&sendID=ok", "ok"},   {"x;sendID=1&sendID=ok", "ok"},   {"&&&sendID=a&&", "a"},
        {"=v&sendID=a&=", "a"},         {"sendID=%E4%BD%A0", "\xe4\xbd\xa0"}, {"sendID&sendID=late", NULL}, {"sendID=%3b%26", ";&"},
        {"bad%=1&sendID=a", "a"},       {"sendID=#?/", "#?/"},
    };
    args_t a;
    error_t_ e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char query[300];
        snprintf(query, sizeof(query), "%s&token=t&platformID=5&operationID=o&isBackground=0", cases[i].query);
        ngx_int_t rc = parse(query, NULL, &a, &e);
        assert_int_equal(rc, cases[i].send_id != NULL ? NGX_OK : NGX_DECLINED);
        if (rc == NGX_OK) assert_str(a.send_id, cases[i].send_id);
        else assert_str(e.dlt, "sendID is empty");
    }
}

static const char args_err[] = "args err, need token, sendID, platformID";

static void errors_in_order(void **state)
{
    (void)state;
    static const struct { const char *query; int code; const char *dlt; int msg_resp; } cases[] = {
        {"", 1602, "platformID is not int", 0},
        {"isMsgResp=true", 1602, "platformID is not int", 1},
        {"platformID=&isMsgResp=maybe", 1602, "platformID is not int", 0},
        {"platformID=abc", 1602, "platformID is not int", 0},
        {"platformID=1.0", 1602, "platformID is not int", 0},
        {"platformID=0x5", 1602, "platformID is not int", 0},
        {"platformID=+", 1602, "platformID is not int", 0},
        {"platformID=-", 1602, "platformID is not int", 0},
        {"platformID=5+", 1602, "platformID is not int", 0},
        {"platformID=%2B-5", 1602, "platformID is not int", 0},
        {"platformID=9223372036854775808", 1602, "platformID is not int", 0},
        {"platformID=-9223372036854775809", 1602, "platformID is not int", 0},
        {"platformID=5&isMsgResp=maybe", 1602, "isMsgResp is not bool", 0},
        {"platformID=5&isMsgResp=tRue&isBackground=x", 1602, "isMsgResp is not bool", 0},
        {"platformID=5&isMsgResp=1", 500, "invalid syntax", 1},
        {"platformID=5&isMsgResp=&isBackground=yes", 500, "invalid syntax", 0},
        {"platformID=99&isBackground=0&isMsgResp=T", 1602, "operationID is empty", 1},
        {"platformID=99&isBackground=0&operationID=o", 1602, "token is empty", 0},
        {"platformID=99&isBackground=0&operationID=o&token=t", 1602, "sendID is empty", 0},
        {"platformID=99&isBackground=0&operationID=o&token=t&sendID=s&sdkType=py", 1602, "platformID is invalid", 0},
        {"platformID=0&isBackground=0&operationID=o&token=t&sendID=s", 1602, "platformID is invalid", 0},
        {"platformID=13&isBackground=0&operationID=o&token=t&sendID=s", 1602, "platformID is invalid", 0},
        {"platformID=-1&isBackground=0&operationID=o&token=t&sendID=s", 1602, "platformID is invalid", 0},
        {"platformID=9223372036854775807&isBackground=0&operationID=o&token=t&sendID=s", 1602, "platformID is invalid", 0},
        {"platformID=-9223372036854775808&isBackground=0&operationID=o&token=t&sendID=s", 1602, "platformID is invalid", 0},
        {BASE "&sdkType=py", 1602, "sdkType is invalid", 0},
        {BASE "&sdkType=JS&isMsgResp=true", 1602, "sdkType is invalid", 1},
    };
    args_t a;
    error_t_ e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (parse(cases[i].query, NULL, &a, &e) != NGX_DECLINED) fail_msg("%s", cases[i].query);
        assert_int_equal(e.code, cases[i].code);
        assert_str(e.msg, cases[i].code == 500 ? "ServerInternalError" : args_err);
        assert_str(e.dlt, cases[i].dlt);
        assert_int_equal(a.msg_resp, cases[i].msg_resp);
    }

    static const char *platforms[] = {"1", "11", "%2B5", "0005", "-0005"};
    for (size_t i = 0; i < COUNT(platforms); i++) {
        char query[200];
        snprintf(query, sizeof(query), "platformID=%s&isBackground=0&operationID=o&token=t&sendID=s", platforms[i]);
        assert_int_equal(parse(query, NULL, &a, &e), i < 4 ? NGX_OK : NGX_DECLINED);
    }
}

static void bool_words(void **state)
{
    (void)state;
    static const char *words[] = {"0", "f", "F", "false", "FALSE", "False", "1", "t", "T", "true", "TRUE", "True"};
    static const char *others[] = {"tRUE", "yes", "on", "2", "01", "true%20", "null"};
    args_t a;
    error_t_ e;
    char query[200];

    for (size_t i = 0; i < COUNT(words); i++) {
        snprintf(query, sizeof(query), "sendID=u&token=t&platformID=5&operationID=o&isBackground=%s&isMsgResp=%s", words[i], words[i]);
        assert_int_equal(parse(query, NULL, &a, &e), NGX_OK);
        assert_int_equal(a.msg_resp, i >= 6);
        assert_int_equal(a.background, i >= 6);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        snprintf(query, sizeof(query), BASE "&isMsgResp=%s", others[i]);
        assert_int_equal(parse(query, NULL, &a, &e), NGX_DECLINED);
        snprintf(query, sizeof(query), "sendID=u&token=t&platformID=5&operationID=o&isBackground=%s", others[i]);
        assert_int_equal(parse(query, NULL, &a, &e), NGX_DECLINED);
        assert_int_equal(e.code, 500);
    }
}

static void base64url(char *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(text);
    const u_char *s = (const u_char *)text;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)s[i] << 16 | (i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < len ? s[i + 2] : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        if (i + 1 < len) *out++ = digits[bits >> 6 & 63];
        if (i + 2 < len) *out++ = digits[bits & 63];
    }
    *out = '\0';
}

static ngx_int_t parse_v(const char *json, args_t *a, error_t_ *e)
{
    char query[3000] = "sendID=other&isMsgResp=maybe&compression=gzip&v=";
    base64url(query + strlen(query), json);
    return parse(query, "gzip", a, e);
}

static void v_form(void **state)
{
    (void)state;
    args_t a;
    error_t_ e;

    assert_int_equal(parse_v("{\"token\":\"t\",\"userID\":\"u\\u00e9\",\"platformID\":5,\"operationID\":\"o\",\"compression\":\"gzip\",\"sdkType\":\"js\","
                             "\"sendResponse\":true,\"background\":true,\"sdkVersion\":\"3.8\",\"sendID\":\"ignored\",\"more\":[{}]}", &a, &e), NGX_OK);
    assert_str(a.token, "t");
    assert_str(a.send_id, "u\xc3\xa9");
    assert_str(a.operation_id, "o");
    assert_str(a.sdk_version, "3.8");
    assert_int_equal(a.platform_id, 5);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_JSON);
    assert_int_equal(a.gzip, 1);
    assert_int_equal(a.msg_resp, 1);
    assert_int_equal(a.background, 1);

    assert_int_equal(parse_v("{\"TOKEN\":\"t\",\"userid\":\"u\",\"platformid\":11,\"OperationID\":\"o\"}", &a, &e), NGX_OK);
    assert_int_equal(a.gzip, 0); /* no fallback to the header here */
    assert_int_equal(a.msg_resp, 0);
    assert_int_equal(a.codec, NGX_HTTP_OPENIM_GOB);

    static const struct { const char *json, *dlt; int msg_resp; } cases[] = {
        {"{}", "operationID is empty", 0},
        {"null", "operationID is empty", 0},
        {"{\"operationID\":\"o\",\"sendResponse\":true}", "token is empty", 1},
        {"{\"operationID\":\"o\",\"token\":\"t\"}", "sendID is empty", 0},
        {"{\"operationID\":\"o\",\"token\":\"t\",\"userID\":\"u\"}", "platformID is invalid", 0},
        {"{\"operationID\":\"o\",\"token\":\"t\",\"userID\":\"u\",\"platformID\":5,\"sdkType\":\"x\"}", "sdkType is invalid", 0},
        {"", NULL, 0}, /* an empty v is no v */
        {"[]", "data is not json, info=", 0},
        {"x", "data is not json, info=", 0},
        {"{\"token\":\"t\"", "data is not json, info=", 0},
        {"{\"token\":1}", "data is not json, info=", 0},
        {"{\"platformID\":\"5\"}", "data is not json, info=", 0},
        {"{\"platformID\":5.5,\"sendResponse\":true}", "data is not json, info=", 1},
        {"{\"sendResponse\":\"true\"}", "data is not json, info=", 0},
        {"{\"background\":1}", "data is not json, info=", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(parse_v(cases[i].json, &a, &e), NGX_DECLINED);
        assert_int_equal(e.code, 1602);
        assert_str(e.msg, args_err);
        if (cases[i].dlt == NULL) {
            assert_str(e.dlt, "platformID is not int");
        } else if (strstr(cases[i].dlt, "info=") != NULL) {
            assert_true(e.dlt.len >= strlen(cases[i].dlt));
            assert_memory_equal(e.dlt.data, cases[i].dlt, strlen(cases[i].dlt));
        } else {
            assert_str(e.dlt, cases[i].dlt);
        }
        assert_int_equal(a.msg_resp, cases[i].msg_resp);
    }

    static const char *bad[] = {"v=e30%3D", "v=e30=", "v=e3", "v=e", "v=%20", "v=e30*", "v=+"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i], NULL, &a, &e), NGX_DECLINED);
        if (i == 2) continue; /* "{": JSON's turn */
        assert_str(e.dlt, "data is not base64");
    }
    assert_int_equal(parse("v=e%0D%0A30&" BASE, NULL, &a, &e), NGX_DECLINED);
    assert_str(e.dlt, "operationID is empty");
}

static void scratch_runs_out(void **state)
{
    (void)state;
    static const char *queries[] = {
        BASE "&compression=gzip&x=%41%42",
        "v=eyJ0b2tlbiI6Ilx1MDA3NCIsInVzZXJJRCI6Ilx1MDA3NSIsInBsYXRmb3JtSUQiOjUsIm9wZXJhdGlvbklEIjoiXHUwMDZmIn0",
    };
    args_t a;
    error_t_ e;
    for (size_t i = 0; i < COUNT(queries); i++) {
        ngx_str_t q = str_dup(queries[i]);
        int failed = 0, passed = 0;
        for (size_t n = 0; n < ngx_http_openim_args_scratch(q.len); n++) {
            struct scratch s = scratch_new(n);
            ngx_int_t rc = ngx_http_openim_args_parse(&a, &q, NULL, &s.mem, &e);
            assert_true(rc == NGX_OK || rc == NGX_ERROR);
            assert_false(rc == NGX_ERROR && passed); /* more room is never worse */
            failed += rc == NGX_ERROR;
            passed += rc == NGX_OK;
            free(s.start);
        }
        assert_true(failed > 0 && passed > 0);
        free(q.data);
    }

    /* what grows most: bytes that become U+FFFD each */
    char json[1200] = "{\"userID\":\"", query[2000] = "v=";
    memset(json + 11, 0xff, 1000);
    strcpy(json + 1011, "\"}");
    base64url(query + 2, json);
    assert_int_equal(parse(query, NULL, &a, &e), NGX_DECLINED);
    assert_int_equal(a.send_id.len, 3000);
}

static size_t result(error_t_ *e, u_char *out)
{
    u_char *exact = malloc(NGX_HTTP_OPENIM_RESULT_MAX);
    assert_non_null(exact);
    size_t n = (size_t)(ngx_http_openim_result(exact, e) - exact);
    assert_true(n <= NGX_HTTP_OPENIM_RESULT_MAX);
    memcpy(out, exact, n);
    free(exact);

    json_t *parsed = json_loadb((char *)out, n, 0, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    out[n] = '\0';
    return n;
}

static void results(void **state)
{
    (void)state;
    u_char out[NGX_HTTP_OPENIM_RESULT_MAX + 1];
    error_t_ e;

    result(NULL, out);
    assert_string_equal(out, "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\"}");

    ngx_http_openim_error_set(&e, 1506, "");
    result(&e, out);
    assert_string_equal(out, "{\"errCode\":1506,\"errMsg\":\"TokenKickedError\",\"errDlt\":\"\"}");

    ngx_http_openim_error_set(&e, 1502, "token uid <a> != userID \"b\" & c");
    result(&e, out);
    assert_string_equal(out, "{\"errCode\":1502,\"errMsg\":\"TokenInvalidError\",\"errDlt\":\"token uid \\u003ca\\u003e != userID \\\"b\\\" \\u0026 c\"}");

    static const char *fillers[] = {"x", "\xe4\xbd\xa0", "\xf0\x9f\x98\x80", "<", "\xff", "\"", "\xc3\xa9"};
    for (size_t f = 0; f < COUNT(fillers); f++) {
        for (size_t lead = 0; lead < 13; lead++) {
            char dlt[5000] = "";
            memset(dlt, 'a', lead);
            dlt[lead] = '\0';
            for (size_t n = lead, len = strlen(fillers[f]); n + len < 4000; n += len) memcpy(dlt + n, fillers[f], len + 1);
            ngx_http_openim_error_set(&e, 500, dlt);
            size_t n = result(&e, out);
            assert_true(n > NGX_HTTP_OPENIM_RESULT_MAX - 13);

            e.msg = str(dlt); /* no errMsg takes it all */
            n = result(&e, out);
            assert_true(n > NGX_HTTP_OPENIM_RESULT_MAX - 13);
            assert_non_null(strstr((char *)out, "\"errDlt\":\"a") != NULL || lead == 0 ? out : NULL);
        }
    }

    e = (error_t_){.code = INT64_MIN};
    result(&e, out);
    assert_string_equal(out, "{\"errCode\":-9223372036854775808,\"errMsg\":\"\",\"errDlt\":\"\"}");

    static const struct { int code; const char *msg; } names[] = {
        {0, ""}, {500, "ServerInternalError"}, {1001, "ArgsError"}, {1002, "NoPermissionError"}, {1003, "DuplicateKeyError"}, {1004, "RecordNotFoundError"},
        {1501, "TokenExpiredError"}, {1503, "TokenMalformedError"}, {1504, "TokenNotValidYetError"}, {1505, "TokenUnknownError"}, {1507, "TokenNotExistError"},
        {1601, "ConnOverMaxNumLimit"}, {1603, "push msg err"}, {1604, "ios background push err"}, {77, "ServerInternalError"},
    };
    for (size_t i = 0; i < COUNT(names); i++) assert_str(*ngx_http_openim_error_msg(names[i].code), names[i].msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(native, drop),           cmocka_unit_test_teardown(compression, drop), cmocka_unit_test_teardown(form_decoding, drop),
        cmocka_unit_test_teardown(errors_in_order, drop),  cmocka_unit_test_teardown(bool_words, drop),  cmocka_unit_test_teardown(v_form, drop),
        cmocka_unit_test_teardown(scratch_runs_out, drop), cmocka_unit_test(results),
    };
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
