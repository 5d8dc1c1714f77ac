/*
 * ngx_http_openim_envelope_gob.c: all vectors in both directions, every prefix of every vector, types
 * of all kinds that must be skipped, and what must be refused.
 */
#include "vectors.h"

#include "ngx_http_openim_envelope.h"

typedef ngx_http_openim_envelope_req_t req_t;
typedef ngx_http_openim_envelope_resp_t resp_t;

static ngx_int_t decode(u_char *data, size_t len, req_t *req)
{
    return ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_GOB, data, len, NULL, req);
}

static void vectors_decode(void **state)
{
    (void)state;
    json_t *list = vectors_load(DATA "/gob-vectors.json"), *v;
    size_t i, requests = 0;

    assert_int_equal(json_array_size(list), 45);
    json_array_foreach(list, i, v) {
        json_t *fields = json_object_get(v, "fields");
        ngx_str_t data = vector_data(fields);
        size_t len;
        u_char *gob = vector_gob(v, data, &len);
        req_t req;

        /* a response read as a request: ErrCode and ErrMsg are unknown fields of it */
        if (decode(gob, len, &req) != NGX_OK) fail_msg("%s", vector_text(v, "name"));
        assert_int_equal(req.req, json_integer_value(json_object_get(fields, "reqIdentifier")));
        assert_str_n(req.send_id, vector_text(fields, "sendID"), json_string_length(json_object_get(fields, "sendID")));
        assert_str(req.operation_id, vector_text(fields, "operationID"));
        assert_str(req.msg_incr, vector_text(fields, "msgIncr"));
        assert_str_n(req.data, data.data, data.len);
        requests += strcmp(vector_text(v, "kind"), "req") == 0;

        /* what follows the value is ignored */
        u_char *more = malloc(len + 3);
        assert_non_null(more);
        memcpy(more, gob, len);
        memcpy(more + len, "\xff\xff\xff", 3);
        assert_int_equal(decode(more, len + 3, &req), NGX_OK);
        free(more);

        for (size_t n = 0; n < len && len < 1000; n++) {
            u_char *cut = bytes_dup(gob, n);
            assert_int_equal(decode(cut, n, &req), NGX_ERROR);
            free(cut);
        }
        free(gob);
        free(data.data);
    }
    assert_int_equal(requests, 29);
    json_decref(list);
}

/* ours has id 65 in three places: the definition's, its Common's, the value's */
static void set_id(u_char *gob, u_char id)
{
    size_t count = gob[97] < 0x80 ? 1 : 1 + (0x100 - gob[97]);
    assert_int_equal(gob[2], 0x81);
    assert_int_equal(gob[13], 0x82);
    assert_int_equal(gob[97 + count + 1], 0x82);
    gob[2] = (u_char)(2 * id - 1);
    gob[13] = gob[97 + count + 1] = (u_char)(2 * id);
}

static void vectors_encode(void **state)
{
    (void)state;
    json_t *list = vectors_load(DATA "/gob-vectors.json"), *v;
    size_t i, responses = 0;

    json_array_foreach(list, i, v) {
        if (strcmp(vector_text(v, "kind"), "resp") != 0) continue;

        json_t *fields = json_object_get(v, "fields");
        ngx_str_t data = vector_data(fields);
        size_t len, n;
        u_char *gob = vector_gob(v, data, &len);
        resp_t resp = {
            .req = (int32_t)json_integer_value(json_object_get(fields, "reqIdentifier")),
            .err_code = json_integer_value(json_object_get(fields, "errCode")),
            .msg_incr = vector_str(fields, "msgIncr"),
            .operation_id = vector_str(fields, "operationID"),
            .err_msg = vector_str(fields, "errMsg"),
            .data = data,
        };

        n = ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_GOB, &resp);
        assert_int_equal(n, len);
        u_char *out = malloc(n);
        assert_non_null(out);
        assert_ptr_equal(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_GOB, out, &resp), out + n);
        if (strstr(vector_text(v, "name"), "fixed65") == NULL) set_id(out, 66);
        assert_memory_equal(out, gob, n);

        free(out);
        free(gob);
        free(data.data);
        responses++;
    }
    assert_int_equal(responses, 16);
    json_decref(list);
}

static void numbers_round_trip(void **state)
{
    (void)state;
    for (int shift = 0; shift < 63; shift++) {
        for (int d = -1; d <= 1; d++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                int64_t value = sign * (((int64_t)1 << shift) + d);
                resp_t resp = {.err_code = value, .req = 7};
                req_t req;
                u_char out[200];
                size_t n = ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_GOB, &resp);
                assert_ptr_equal(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_GOB, out, &resp), out + n);
                assert_int_equal(decode(out, n, &req), NGX_OK);
                assert_int_equal(req.req, 7);
                if (value >= INT32_MIN && value <= INT32_MAX) {
                    resp = (resp_t){.req = (int32_t)value};
                    n = (size_t)(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_GOB, out, &resp) - out);
                    assert_int_equal(decode(out, n, &req), NGX_OK);
                    assert_int_equal(req.req, value);
                }
            }
        }
    }
    resp_t resp = {.err_code = INT64_MIN};
    u_char out[200];
    assert_int_equal(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_GOB, out, &resp) - out, 97 + 1 + 2 + 1 + 9 + 1);
}

/* ---- a small gob writer for what no SDK sends ---- */

static u_char buf[300000];
static size_t at;
static size_t marks[8], nmarks;

static void put(u_char byte)
{
    buf[at++] = byte;
}

static void put_uint(uint64_t n)
{
    if (n < 0x80) {
        put((u_char)n);
        return;
    }
    unsigned size = 8;
    while (size > 1 && n >> (8 * (size - 1)) == 0) size--;
    put((u_char)(0x100 - size));
    while (size-- > 0) put((u_char)(n >> (8 * size)));
}

static void put_int(int64_t n)
{
    put_uint(n < 0 ? ~(uint64_t)n << 1 | 1 : (uint64_t)n << 1);
}

static void put_text(const char *s)
{
    put_uint(strlen(s));
    while (*s != '\0') put((u_char)*s++);
}

/* A message: its count is always written with four bytes, which is allowed */
static void open_message(void)
{
    marks[nmarks++] = at;
    at += 5;
}

static void close_message(void)
{
    size_t mark = marks[--nmarks], len = at - mark - 5;
    buf[mark] = 0xfc;
    for (int i = 0; i < 4; i++) buf[mark + 1 + i] = (u_char)(len >> (8 * (3 - i)));
}

/* kind 1..7 in wireType; members after Common are given as ids */
static void define(int64_t id, int kind, int64_t a, int64_t b)
{
    open_message();
    put_int(-id);
    put((u_char)kind);
    put(1);
    put(1), put_text("T"), put(1), put_int(id), put(0);
    if (a != 0) put(1), put_int(a);
    if (b != 0) put(1), put_int(b);
    put(0);
    put(0);
    close_message();
}

struct field {
    const char *name;
    int64_t id;
};

static void define_struct_body(int64_t id, const struct field *f, size_t n)
{
    put_int(-id);
    put(3);
    put(1);
    put(1), put_text("T"), put(1), put_int(id), put(0);
    put(1), put_uint(n);
    for (size_t i = 0; i < n; i++) put(1), put_text(f[i].name), put(1), put_int(f[i].id), put(0);
    put(0);
    put(0);
}

static void define_struct(int64_t id, const struct field *f, size_t n)
{
    open_message();
    define_struct_body(id, f, n);
    close_message();
}

static ngx_int_t decode_buf(req_t *req)
{
    u_char *p = bytes_dup(buf, at);
    ngx_int_t rc = decode(p, at, req);
    free(p); /* callers look at numbers only */
    return rc;
}

static void begin(void)
{
    at = 0;
    nmarks = 0;
}

static void value_of_x(int64_t x)
{
    static struct field f[] = {{"X", 0}, {"ReqIdentifier", 2}};
    f[0].id = x;
    define_struct(100, f, 2);
    open_message();
    put_int(100);
    put(1);
}

static void finish(ngx_int_t want)
{
    req_t req;
    put(1), put_int(1003), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), want);
    if (want == NGX_OK) assert_int_equal(req.req, 1003);
}

static void skips_every_kind(void **state)
{
    (void)state;
    for (int64_t id = 1; id <= 4; id++) { /* bool int uint float */
        begin();
        value_of_x(id);
        put_uint(UINT64_MAX);
        finish(NGX_OK);
    }
    for (int64_t id = 5; id <= 6; id++) { /* bytes string */
        begin();
        value_of_x(id);
        put_text("some text");
        finish(NGX_OK);
    }
    begin();
    value_of_x(7); /* complex */
    put_uint(300), put_uint(1);
    finish(NGX_OK);

    for (int kind = 5; kind <= 7; kind++) { /* the marshalers */
        begin();
        define(70, kind, 0, 0);
        value_of_x(70);
        put_text("opaque");
        finish(NGX_OK);
    }

    begin(); /* map of string to slice of array of int */
    define(70, 4, 6, 71);
    define(71, 2, 72, 0);
    define(72, 1, 2, 3);
    value_of_x(70);
    put_uint(2);
    put_text("a"), put_uint(2), put_uint(3), put_int(1), put_int(2), put_int(3), put_uint(3), put_int(4), put_int(5), put_int(6);
    put_text("b"), put_uint(0);
    finish(NGX_OK);

    begin(); /* slice of structs, one of them empty */
    define(70, 2, 71, 0);
    define_struct(71, (struct field[]){{"A", 2}, {"B", 6}, {"C", 5}}, 3);
    value_of_x(70);
    put_uint(2), put(2), put_text("b"), put(1), put_text("c"), put(0), put(0);
    finish(NGX_OK);

    begin(); /* a struct without fields */
    define_struct(71, NULL, 0);
    value_of_x(71);
    put(0);
    finish(NGX_OK);
}

static void skips_interfaces(void **state)
{
    (void)state;
    begin(); /* nil */
    value_of_x(8);
    put_text("");
    finish(NGX_OK);

    begin(); /* a built-in */
    value_of_x(8);
    put_text("string"), put_int(6), put_uint(6), put(0), put_text("text");
    finish(NGX_OK);

    begin(); /* a type that is defined on the way */
    value_of_x(8);
    put_text("main.T");
    define_struct_body(80, (struct field[]){{"A", 2}}, 1);
    put_uint(5), put_int(80), put_uint(3), put(1), put_int(1), put(0);
    finish(NGX_OK);

    begin(); /* more than there is */
    value_of_x(8);
    put_text("string"), put_int(6), put_uint(600), put(0);
    finish(NGX_ERROR);
}

static void refuses(void **state)
{
    (void)state;
    req_t req;

    begin(); /* a field whose type nobody defined */
    value_of_x(99);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* counts and lengths beyond the rest */
    define(70, 2, 2, 0);
    value_of_x(70);
    put_uint(1000000);
    finish(NGX_ERROR);
    begin();
    value_of_x(5);
    put_uint(UINT64_MAX);
    finish(NGX_ERROR);
    begin();
    define(70, 4, 2, 2);
    value_of_x(70);
    put_uint(UINT64_MAX);
    finish(NGX_ERROR);

    begin(); /* a type that is made of itself */
    define(70, 2, 70, 0);
    value_of_x(70);
    for (int i = 0; i < 40; i++) put_uint(1);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* the same, but not as deep as is too deep: the 16 levels are there */
    define(70, 2, 70, 0);
    value_of_x(70);
    for (int i = 0; i < 15; i++) put_uint(1);
    put_uint(0);
    finish(NGX_OK);
    begin();
    define(70, 2, 70, 0);
    value_of_x(70);
    for (int i = 0; i < 16; i++) put_uint(1);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* defined twice */
    define(70, 2, 2, 0);
    define(70, 2, 2, 0);
    value_of_x(70);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* an id of the built-ins */
    define(63, 2, 2, 0);
    value_of_x(2);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* as many definitions as allowed, one more */
    for (int i = 0; i < 31; i++) define(200 + i, 2, 2, 0);
    value_of_x(2);
    put_uint(0);
    finish(NGX_OK);
    begin();
    for (int i = 0; i < 32; i++) define(200 + i, 2, 2, 0);
    value_of_x(2);
    put_uint(0);
    finish(NGX_ERROR);

    begin(); /* as many fields as allowed, one more */
    static struct field many[512];
    for (size_t i = 0; i < 512; i++) many[i] = (struct field){"F", 2};
    define_struct(300, many, 510);
    value_of_x(2);
    put_uint(0);
    finish(NGX_OK);
    begin();
    define_struct(300, many, 511);
    value_of_x(2);
    put_uint(0);
    finish(NGX_ERROR);
    begin();
    define_struct(300, many, 512);
    open_message();
    put_int(300), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_OK);

    begin(); /* bytes after a definition */
    open_message();
    define_struct_body(100, NULL, 0);
    put(0);
    close_message();
    open_message();
    put_int(100), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);

    begin(); /* a definition of two kinds, of no kind, of an unknown kind */
    open_message();
    put_int(-100), put(2), put(0), put(1), put(0), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);
    begin();
    open_message();
    put_int(-100), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);
    begin();
    open_message();
    put_int(-100), put(8), put(0), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);

    begin(); /* members that a kind does not have */
    for (int kind = 5; kind <= 7; kind++) {
        begin();
        open_message();
        put_int(-100), put((u_char)kind), put(2), put_int(2), put(0), put(0);
        close_message();
        assert_int_equal(decode_buf(&req), NGX_ERROR);
    }

    /* values of types that are no struct */
    for (int64_t id = 0; id < 10; id++) {
        begin();
        open_message();
        put_int(id), put(0), put(0);
        close_message();
        assert_int_equal(decode_buf(&req), NGX_ERROR);
    }
    begin();
    define(70, 2, 2, 0);
    open_message();
    put_int(70), put(0), put(0);
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);

    begin(); /* an empty message */
    open_message();
    close_message();
    assert_int_equal(decode_buf(&req), NGX_ERROR);
}

static void known_fields(void **state)
{
    (void)state;
    req_t req;
    static const struct { const char *name; int64_t id; ngx_int_t rc; } cases[] = {
        {"ReqIdentifier", 2, NGX_OK}, {"ReqIdentifier", 3, NGX_ERROR}, {"ReqIdentifier", 6, NGX_ERROR}, {"SendID", 6, NGX_OK},
        {"SendID", 5, NGX_OK},        {"SendID", 2, NGX_ERROR},        {"Token", 1, NGX_ERROR},         {"Data", 6, NGX_OK},
        {"Data", 70, NGX_ERROR},      {"MsgIncr", 4, NGX_ERROR},       {"OperationID", 8, NGX_ERROR},   {"sendID", 2, NGX_OK},
        {"DATA", 99, NGX_OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) { /* also when the field is not set */
        begin();
        define_struct(100, (struct field[]){{cases[i].name, cases[i].id}}, 1);
        open_message();
        put_int(100), put(0);
        close_message();
        assert_int_equal(decode_buf(&req), cases[i].rc);
    }

    static const int64_t values[] = {INT32_MIN, INT32_MAX, (int64_t)INT32_MAX + 1, (int64_t)INT32_MIN - 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(values); i++) {
        begin();
        define_struct(100, (struct field[]){{"ReqIdentifier", 2}}, 1);
        open_message();
        put_int(100), put(1), put_int(values[i]), put(0);
        close_message();
        assert_int_equal(decode_buf(&req), i < 2 ? NGX_OK : NGX_ERROR);
        if (i < 2) assert_int_equal(req.req, values[i]);
    }

    static const uint64_t deltas[] = {2, 3, 255, UINT64_MAX};
    for (size_t i = 0; i < COUNT(deltas); i++) { /* fields that the struct does not have */
        begin();
        define_struct(100, (struct field[]){{"ReqIdentifier", 2}}, 1);
        open_message();
        put_int(100), put_uint(deltas[i]), put_int(1), put(0);
        close_message();
        assert_int_equal(decode_buf(&req), NGX_ERROR);
    }
}

static void uint_forms(void **state)
{
    (void)state;
    req_t req;
    for (int first = 0x80; first <= 0xff; first++) {
        begin();
        define_struct(100, (struct field[]){{"ReqIdentifier", 2}}, 1);
        open_message();
        put_int(100), put(1), put((u_char)first);
        for (int i = first; i < 0xff; i++) put(0);
        put(2), put(0); /* not minimal: leading zeros */
        close_message();
        ngx_int_t rc = decode_buf(&req);
        assert_int_equal(rc, first >= 0xf8 ? NGX_OK : NGX_ERROR);
        if (rc == NGX_OK) assert_int_equal(req.req, 1);
    }
}

/* As much work as fits: a wide struct, a slice of 200,000 of them, each with its last field only */
static void work_is_linear(void **state)
{
    (void)state;
    static struct field wide[500];
    begin();
    for (size_t i = 0; i < COUNT(wide); i++) wide[i] = (struct field){"F", 2};
    define_struct(70, wide, COUNT(wide));
    define(71, 2, 70, 0);
    value_of_x(71);
    put_uint(50000);
    for (int i = 0; i < 50000; i++) put_uint(COUNT(wide)), put_int(1), put(0);
    finish(NGX_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_decode), cmocka_unit_test(vectors_encode),  cmocka_unit_test(numbers_round_trip), cmocka_unit_test(skips_every_kind),
        cmocka_unit_test(skips_interfaces), cmocka_unit_test(refuses),       cmocka_unit_test(known_fields),       cmocka_unit_test(uint_forms),
        cmocka_unit_test(work_is_linear),
    };
    return cmocka_run_group_tests_name("gob", tests, NULL, NULL);
}
