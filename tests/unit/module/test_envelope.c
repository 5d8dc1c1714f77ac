/*
 * The JSON codec, the text pings, and the frames that unmodified clients sent, through gunzip and
 * whichever codec they use.
 */
#include "vectors.h"

#include "ngx_http_openim_envelope.h"

typedef ngx_http_openim_envelope_req_t req_t;
typedef ngx_http_openim_envelope_resp_t resp_t;

static void client_frames(void **state)
{
    (void)state;
    json_t *list = vectors_load(DATA "/sdk-frames.json"), *v;
    ngx_http_openim_gzip_t *gz = ngx_http_openim_gzip_create(1, NGX_HTTP_OPENIM_GUNZIP_MAX);
    size_t i;

    assert_non_null(gz);
    assert_int_equal(json_array_size(list), 14);
    json_array_foreach(list, i, v) {
        size_t len, want_len;
        u_char *wire = unhex(vector_text(v, "wire_hex"), &len), *want = unhex(vector_text(v, "envelope_hex"), &want_len);
        ngx_uint_t gzip = json_is_true(json_object_get(v, "gzip"));
        ngx_str_t plain = {len, wire};
        const char *why;
        req_t req;

        if (gzip) assert_int_equal(ngx_http_openim_gunzip(gz, wire, len, &plain, &why), NGX_OK);
        assert_str_n(plain, want, want_len);
        free(want);

        struct scratch s = scratch_new(ngx_http_openim_envelope_scratch(plain.len));
        assert_int_equal(ngx_http_openim_envelope_decode(gzip ? NGX_HTTP_OPENIM_GOB : NGX_HTTP_OPENIM_JSON, plain.data, plain.len, &s.mem, &req), NGX_OK);
        assert_int_equal(req.req, json_integer_value(json_object_get(v, "req")));
        assert_str(req.msg_incr, vector_text(v, "msgIncr"));
        assert_str(req.operation_id, vector_text(v, "operationID"));
        assert_true(req.send_id.len > 0);
        want = unhex(vector_text(v, "payload_hex"), &want_len);
        assert_str_n(req.data, want, want_len);
        free(want);
        free(s.start);
        free(wire);
    }
    ngx_http_openim_gzip_destroy(gz);
    json_decref(list);
}

static void captured_frames_gunzip(void **state)
{
    (void)state;
    json_t *list = vectors_load(DATA "/gob-vectors.json"), *v;
    ngx_http_openim_gzip_t *gz = ngx_http_openim_gzip_create(1, NGX_HTTP_OPENIM_GUNZIP_MAX);
    size_t i, n = 0;

    assert_non_null(gz);
    json_array_foreach(list, i, v) {
        if (!json_is_string(json_object_get(v, "frame_gzip_hex"))) continue;
        size_t len, want_len;
        u_char *wire = unhex(vector_text(v, "frame_gzip_hex"), &len), *want = unhex(vector_text(v, "gob_hex"), &want_len);
        ngx_str_t plain;
        const char *why;
        assert_int_equal(ngx_http_openim_gunzip(gz, wire, len, &plain, &why), NGX_OK);
        assert_str_n(plain, want, want_len);
        free(wire);
        free(want);
        n++;
    }
    assert_int_equal(n, 4);
    ngx_http_openim_gzip_destroy(gz);
    json_decref(list);
}

static ngx_int_t decode(const char *json, req_t *req, struct scratch *s, u_char **doc)
{
    size_t len = strlen(json);
    *doc = bytes_dup(json, len);
    *s = scratch_new(ngx_http_openim_envelope_scratch(len));
    return ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_JSON, *doc, len, &s->mem, req);
}

static void json_requests(void **state)
{
    (void)state;
    static const struct { const char *json; int32_t req; const char *send_id, *op, *incr, *data; } cases[] = {
        {"{\"reqIdentifier\":1006,\"msgIncr\":\"x713\",\"sendID\":\"u1001\",\"operationID\":\"l0ls\",\"data\":\"CgV1MTAwMQ==\"}", 1006, "u1001", "l0ls", "x713",
         "\n\x05u1001"},
        {"{}", 0, "", "", "", ""},
        {"null", 0, "", "", "", ""},
        {"{\"reqIdentifier\":null,\"msgIncr\":null,\"sendID\":null,\"operationID\":null,\"data\":null,\"token\":null}", 0, "", "", "", ""},
        {"{\"REQIDENTIFIER\":7,\"MsgIncr\":\"m\",\"SENDID\":\"s\",\"operationid\":\"o\",\"DATA\":\"YQ==\",\"Token\":\"t\"}", 7, "s", "o", "m", "a"},
        {"{\"other\":{\"sendID\":\"x\",\"l\":[[[1]]]},\"sendID\":\"s\",\"more\":[null]}", 0, "s", "", "", ""},
        {"{\"sendID\":\"one\",\"sendID\":\"two\",\"reqIdentifier\":1,\"reqIdentifier\":2}", 2, "two", "", "", ""},
        {"{\"sendID\":\"one\",\"sendID\":null,\"data\":\"YQ==\",\"data\":null}", 0, "one", "", "", ""},
        {"{\"data\":\"Y\\nQ=\\r\\n=\",\"operationID\":\"\\ud83d\\ude00\\ud83d\"}", 0, "", "\xf0\x9f\x98\x80\xef\xbf\xbd", "", "a"},
        {"{\"reqIdentifier\":-2147483648,\"data\":\"\"}", INT32_MIN, "", "", "", ""},
        {" {\"sendID\":\"\xff\xff\xff\"} \n", 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "", "", ""},
    };
    static const char *bad[] = {
        "",
        "[]",
        "\"x\"",
        "{\"reqIdentifier\":\"1001\"}",
        "{\"reqIdentifier\":1001.0}",
        "{\"reqIdentifier\":1e3}",
        "{\"reqIdentifier\":2147483648}",
        "{\"reqIdentifier\":true}",
        "{\"sendID\":1}",
        "{\"msgIncr\":[]}",
        "{\"operationID\":{}}",
        "{\"token\":1}",
        "{\"data\":\"YQ\"}",
        "{\"data\":\"Y Q=\"}",
        "{\"data\":\"-_==\"}",
        "{\"data\":[97]}",
        "{\"data\":1}",
        "{\"sendID\":\"u\"} x",
        "{\"sendID\":\"u\"",
    };
    req_t req;
    struct scratch s;
    u_char *doc;

    for (size_t i = 0; i < COUNT(cases); i++) {
        if (decode(cases[i].json, &req, &s, &doc) != NGX_OK) fail_msg("%s", cases[i].json);
        assert_int_equal(req.req, cases[i].req);
        assert_str(req.send_id, cases[i].send_id);
        assert_str(req.operation_id, cases[i].op);
        assert_str(req.msg_incr, cases[i].incr);
        assert_str(req.data, cases[i].data);

        size_t len = strlen(cases[i].json);
        for (size_t n = 0; n < scratch_used(&s); n++) { /* the n-th byte of scratch is not there */
            struct scratch less = scratch_new(n);
            assert_int_equal(ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_JSON, doc, len, &less.mem, &req), NGX_ERROR);
            free(less.start);
        }
        free(s.start);
        free(doc);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (decode(bad[i], &req, &s, &doc) != NGX_ERROR) fail_msg("%s", bad[i]);
        free(s.start);
        free(doc);
    }
}

static void json_responses(void **state)
{
    (void)state;
    static const struct { resp_t resp; const char *want; } cases[] = {
        {{.req = 2002}, "{\"reqIdentifier\":2002,\"msgIncr\":\"\",\"operationID\":\"\",\"errCode\":0,\"errMsg\":\"\",\"data\":null}"},
        {{.req = 1003, .msg_incr = ngx_string("m1"), .operation_id = ngx_string("<o&>"), .data = {0, (u_char *)""}},
         "{\"reqIdentifier\":1003,\"msgIncr\":\"m1\",\"operationID\":\"\\u003co\\u0026\\u003e\",\"errCode\":0,\"errMsg\":\"\",\"data\":\"\"}"},
        {{.req = INT32_MIN, .err_code = INT64_MIN, .err_msg = ngx_string("\xf0\x9f\x98\x80"), .data = ngx_string("a")},
         "{\"reqIdentifier\":-2147483648,\"msgIncr\":\"\",\"operationID\":\"\",\"errCode\":-9223372036854775808,\"errMsg\":\"\\ud83d\\ude00\",\"data\":\"YQ==\"}"},
        {{.err_code = INT64_MAX, .data = ngx_string("ab")},
         "{\"reqIdentifier\":0,\"msgIncr\":\"\",\"operationID\":\"\",\"errCode\":9223372036854775807,\"errMsg\":\"\",\"data\":\"YWI=\"}"},
        {{.err_code = 10, .data = ngx_string("\xfb\xff\xbf\xfb\xff\xbf")},
         "{\"reqIdentifier\":0,\"msgIncr\":\"\",\"operationID\":\"\",\"errCode\":10,\"errMsg\":\"\",\"data\":\"+/+/+/+/\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        resp_t resp = cases[i].resp;
        size_t n = ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_JSON, &resp);
        assert_int_equal(n, strlen(cases[i].want));
        u_char *out = malloc(n);
        assert_non_null(out);
        assert_ptr_equal(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_JSON, out, &resp), out + n);
        assert_memory_equal(out, cases[i].want, n);

        json_t *parsed = json_loadb((char *)out, n, 0, NULL); /* another parser agrees that it is JSON */
        assert_non_null(parsed);
        assert_int_equal(json_object_size(parsed), 6);
        json_decref(parsed);
        free(out);
    }
}

static void base64_round_trip(void **state)
{
    (void)state;
    u_char data[300], *out = malloc(1000);
    assert_non_null(out);
    for (size_t i = 0; i < sizeof(data); i++) data[i] = (u_char)(i * 7);

    for (size_t len = 0; len <= sizeof(data); len++) {
        resp_t resp = {.req = 5, .data = {len, data}};
        req_t req;
        size_t n = (size_t)(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_JSON, out, &resp) - out);
        assert_int_equal(n, ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_JSON, &resp));
        struct scratch s = scratch_new(ngx_http_openim_envelope_scratch(n));
        assert_int_equal(ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_JSON, out, n, &s.mem, &req), NGX_OK);
        assert_str_n(req.data, data, len);
        free(s.start);
    }
    free(out);
}

static void text_pings(void **state)
{
    (void)state;
    static const struct { const char *text; ngx_int_t rc; const char *pong; } cases[] = {
        {"{\"type\":\"ping\"}", NGX_HTTP_OPENIM_TEXT_PING, "{\"type\":\"pong\",\"body\":null}"},
        {"{\"type\":\"ping\",\"body\":\"123\"}", NGX_HTTP_OPENIM_TEXT_PING, "{\"type\":\"pong\",\"body\":\"123\"}"},
        {"{\"body\": { \"a\" : [1, 2] } , \"type\":\"ping\"}", NGX_HTTP_OPENIM_TEXT_PING, "{\"type\":\"pong\",\"body\":{ \"a\" : [1, 2] }}"},
        {" {\"Type\":\"ping\",\"BODY\":null}\n", NGX_HTTP_OPENIM_TEXT_PING, "{\"type\":\"pong\",\"body\":null}"},
        {"{\"type\":\"\\u0070ing\",\"x\":1,\"body\":-1.5e3}", NGX_HTTP_OPENIM_TEXT_PING, "{\"type\":\"pong\",\"body\":-1.5e3}"},
        {"{\"type\":\"pong\",\"body\":1}", NGX_HTTP_OPENIM_TEXT_PONG, NULL},
        {"{\"type\":\"PING\"}", NGX_ERROR, NULL},
        {"{\"type\":\"ping\",\"type\":\"x\"}", NGX_ERROR, NULL},
        {"{\"type\":null}", NGX_ERROR, NULL},
        {"{\"type\":1}", NGX_ERROR, NULL},
        {"{\"type\":\"\"}", NGX_ERROR, NULL},
        {"{}", NGX_ERROR, NULL},
        {"null", NGX_ERROR, NULL},
        {"[]", NGX_ERROR, NULL},
        {"", NGX_ERROR, NULL},
        {"ping", NGX_ERROR, NULL},
        {"{\"type\":\"ping\"", NGX_ERROR, NULL},
        {"{\"type\":\"ping\",\"body\":nul}", NGX_ERROR, NULL},
        {"{\"type\":\"ping\"}x", NGX_ERROR, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ngx_str_t text = str_dup(cases[i].text), body;
        if (ngx_http_openim_text_parse(text.data, text.len, &body) != cases[i].rc) fail_msg("%s", cases[i].text);
        if (cases[i].pong != NULL) {
            size_t n = ngx_http_openim_text_pong_size(&body);
            u_char *pong = malloc(n);
            assert_non_null(pong);
            assert_ptr_equal(ngx_http_openim_text_pong(pong, &body), pong + n);
            assert_str((ngx_str_t){n, pong}, cases[i].pong);
            free(pong);
        }
        free(text.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_frames),     cmocka_unit_test(captured_frames_gunzip), cmocka_unit_test(json_requests), cmocka_unit_test(json_responses),
        cmocka_unit_test(base64_round_trip), cmocka_unit_test(text_pings),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
