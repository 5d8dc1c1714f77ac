/*
 * ngx_http_openim_frame.c: every kind of frame, in one piece, byte by byte, cut at each place, and
 * every way to break the protocol.
 */
#include "test.h"

#include "ngx_http_openim_frame.h"

enum { TEXT = NGX_HTTP_OPENIM_OP_TEXT, BINARY = NGX_HTTP_OPENIM_OP_BINARY, CONT = 0, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80 };

struct wire {
    u_char data[200000];
    size_t len;
};

static struct wire w;
static char events[400000];

/* form: 0 shortest length, 2 or 8: bytes of an extended length */
static void frame_form(u_char first, const void *payload, size_t len, unsigned form)
{
    static const u_char mask[4] = {0x37, 0xfa, 0x21, 0x3d};

    if (form == 0) form = len < 126 ? 0 : len < 65536 ? 2 : 8;

    w.data[w.len++] = first;
    w.data[w.len++] = (u_char)(0x80 | (form == 0 ? len : form == 2 ? 126 : 127));
    for (unsigned i = form; i > 0; i--) w.data[w.len++] = (u_char)(len >> (8 * (i - 1)));
    memcpy(w.data + w.len, mask, 4);
    w.len += 4;
    for (size_t i = 0; i < len; i++) w.data[w.len++] = ((const u_char *)payload)[i] ^ mask[i & 3];
}

static void frame(u_char first, const char *payload)
{
    frame_form(first, payload, strlen(payload), 0);
}

/* Feeds everything in pieces of at most step bytes (each a heap block of its own) and writes what happened as text. */
static ngx_http_openim_frame_t feed(size_t step, size_t first, size_t max)
{
    ngx_http_openim_frame_t f;
    char *e = events;
    ngx_uint_t open = 0;

    ngx_http_openim_frame_init(&f, max);
    *e = '\0';

    for (size_t at = 0; at < w.len;) {
        size_t n = at == 0 && first != 0 ? first : step;
        if (n > w.len - at) n = w.len - at;

        u_char *block = bytes_dup(w.data + at, n), *pos = block;
        at += n;

        for (;;) {
            ngx_int_t rc = ngx_http_openim_frame_parse(&f, &pos, block + n);
            if (rc == NGX_AGAIN) {
                assert_ptr_equal(pos, block + n);
                break;
            }
            switch (rc) {
            case NGX_HTTP_OPENIM_FRAME_DATA:
                assert_int_equal(f.start, !open);
                if (f.start) e += sprintf(e, "%s:", f.message == TEXT ? "text" : "binary");
                open = !f.end;
                memcpy(e, f.data.data, f.data.len);
                e += f.data.len;
                if (f.end) *e++ = ';';
                break;
            case NGX_HTTP_OPENIM_FRAME_PING:
            case NGX_HTTP_OPENIM_FRAME_PONG:
                e += sprintf(e, "<%s:%.*s>", rc == NGX_HTTP_OPENIM_FRAME_PING ? "ping" : "pong", (int)f.data.len, f.data.data);
                break;
            case NGX_HTTP_OPENIM_FRAME_CLOSE:
                e += sprintf(e, "<close:%u>", (unsigned)f.code);
                free(block);
                *e = '\0';
                return f;
            default:
                assert_int_equal(rc, NGX_ERROR);
                assert_non_null(f.error);
                e += sprintf(e, "<error:%u>", (unsigned)f.code);
                free(block);
                *e = '\0';
                return f;
            }
            *e = '\0';
        }
        free(block);
    }
    *e = '\0';
    return f;
}

static void expect(const char *want)
{
    for (size_t cut = 0; cut <= w.len; cut++) {
        feed(w.len, cut, 51200); /* two pieces, at every place */
        assert_string_equal(events, want);
    }
    for (size_t step = 1; step <= 9; step++) {
        feed(step, 0, 51200);
        assert_string_equal(events, want);
    }
}

static int reset(void **state)
{
    (void)state;
    w.len = 0;
    return 0;
}

static void messages(void **state)
{
    (void)state;
    frame(FIN | TEXT, "hello");
    frame(FIN | BINARY, "");
    frame(FIN | BINARY, "0123456789abcdefghijklmnopqrstuvwxyz");
    expect("text:hello;binary:;binary:0123456789abcdefghijklmnopqrstuvwxyz;");
}

static void fragments_and_controls(void **state)
{
    (void)state;
    frame(BINARY, "one ");
    frame(FIN | PING, "p1");
    frame(CONT, "");
    frame(CONT, "two ");
    frame(FIN | PONG, "");
    frame(FIN | CONT, "three");
    frame(FIN | TEXT, "next");
    feed(w.len, 0, 51200);
    assert_string_equal(events, "binary:one <ping:p1>two <pong:>three;text:next;");

    /* fed in small pieces the controls still stand between the pieces of the message */
    feed(1, 0, 51200);
    assert_string_equal(events, "binary:one <ping:p1>two <pong:>three;text:next;");
    expect("binary:one <ping:p1>two <pong:>three;text:next;");
}

static void empty_fragments(void **state)
{
    (void)state;
    frame(TEXT, "");
    frame(CONT, "");
    frame(FIN | CONT, "");
    frame(TEXT, "");
    frame(FIN | CONT, "x");
    frame(TEXT, "y");
    frame(FIN | CONT, "");
    expect("text:;text:x;text:y;");
}

static void length_forms(void **state)
{
    (void)state;
    frame_form(FIN | BINARY, "abc", 3, 2); /* longer than needed: accepted */
    frame_form(FIN | BINARY, "def", 3, 8);
    frame_form(FIN | BINARY, "", 0, 8);
    expect("binary:abc;binary:def;binary:;");

    for (size_t len = 120; len < 140; len++) {
        char payload[140];
        memset(payload, 'z', sizeof(payload));
        w.len = 0;
        frame_form(FIN | BINARY, payload, len, 0);
        feed(7, 0, 51200);
        assert_int_equal(strlen(events), len + 8);
    }
}

static void limit(void **state)
{
    (void)state;
    char *payload = calloc(1, 70000);
    assert_non_null(payload);
    memset(payload, 'a', 70000);

    frame_form(FIN | BINARY, payload, 51200, 0);
    feed(1000, 0, 51200);
    assert_int_equal(strlen(events), 51200 + 8);

    reset(NULL);
    frame_form(FIN | BINARY, payload, 51201, 0);
    w.len = 8; /* refused by its head */
    feed(1, 0, 51200);
    assert_string_equal(events, "<error:1009>");

    reset(NULL);
    frame_form(FIN | BINARY, payload, 70000, 0);
    feed(w.len, 0, 51200);
    assert_string_equal(events, "<error:1009>");

    /* the sum over fragments counts, controls do not */
    reset(NULL);
    frame_form(BINARY, payload, 51100, 0);
    frame_form(FIN | PING, payload, 125, 0);
    frame_form(CONT, payload, 100, 0);
    frame_form(FIN | CONT, payload, 0, 0);
    feed(w.len, 0, 51200);
    assert_int_equal(strlen(events), 51200 + 8 + 125 + 7);
    frame_form(BINARY, payload, 51100, 0);
    frame_form(FIN | CONT, payload, 101, 0);
    feed(w.len, 0, 51200);
    assert_non_null(strstr(events, "<error:1009>"));

    /* lengths that do not fit anywhere */
    static const u_char huge[][10] = {
        {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    for (size_t i = 0; i < COUNT(huge); i++) {
        memcpy(w.data, huge[i], 10);
        w.len = 14;
        feed(w.len, 0, 51200);
        assert_string_equal(events, "<error:1009>");
    }

    free(payload);
}

static void violations(void **state)
{
    (void)state;
    static const struct { const char *hex, *want; } cases[] = {
        {"c180000000", "<error:1002>"},             /* RSV1 */
        {"a180", "<error:1002>"},                   /* RSV2 */
        {"9180", "<error:1002>"},                   /* RSV3 */
        {"8100", "<error:1002>"},                   /* not masked */
        {"8a00", "<error:1002>"},
        {"8380", "<error:1002>"},                   /* opcodes 3 and 11 */
        {"8b80", "<error:1002>"},
        {"0980", "<error:1002>"},                   /* fragmented control */
        {"0880", "<error:1002>"},
        {"89fe", "<error:1002>"},                   /* control of 126 and more */
        {"88ff", "<error:1002>"},
        {"8080", "<error:1002>"},                   /* continuation of nothing */
        {"0080", "<error:1002>"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len;
        u_char *p = unhex(cases[i].hex, &len);
        memcpy(w.data, p, len);
        w.len = len;
        for (size_t step = 1; step <= len; step++) {
            feed(step, 0, 51200);
            assert_string_equal(events, cases[i].want);
        }
        free(p);
    }

    reset(NULL);
    frame(TEXT, "a");
    frame(FIN | TEXT, "b");
    feed(1, 0, 51200);
    assert_string_equal(events, "text:a<error:1002>");

    reset(NULL);
    frame(FIN | TEXT, "a");
    frame(FIN | CONT, "b");
    feed(w.len, 0, 51200);
    assert_string_equal(events, "text:a;<error:1002>");
}

static void control_sizes(void **state)
{
    (void)state;
    char payload[126] = "";
    char want[200];

    memset(payload, 'c', 125);
    frame(FIN | PING, payload);
    snprintf(want, sizeof(want), "<ping:%s>", payload);
    expect(want);
}

static void closes(void **state)
{
    (void)state;
    static const struct { const char *payload; size_t len; const char *want; } cases[] = {
        {"", 0, "<close:0>"},
        {"\x03\xe8", 2, "<close:1000>"},
        {"\x03\xe9", 2, "<close:1001>"},
        {"\x0b\xb9" "Actively close the conn have old conn", 39, "<close:3001>"},
        {"\x03\xf6", 2, "<close:1014>"},
        {"\x13\x87", 2, "<close:4999>"},
        {"\x03", 1, "<error:1002>"},
        {"\x03\xe7", 2, "<error:1002>"},            /* 999 */
        {"\x03\xec", 2, "<error:1002>"},            /* 1004, 1005, 1006, 1015 */
        {"\x03\xed", 2, "<error:1002>"},
        {"\x03\xee", 2, "<error:1002>"},
        {"\x03\xf7", 2, "<error:1002>"},
        {"\x0b\xb7", 2, "<error:1002>"},            /* 2999, 5000 */
        {"\x13\x88", 2, "<error:1002>"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        reset(NULL);
        frame_form(FIN | CLOSE, cases[i].payload, cases[i].len, 0);
        expect(cases[i].want);
    }

    /* what follows a close is left in the input */
    reset(NULL);
    frame(FIN | CLOSE, "");
    frame(FIN | TEXT, "late");
    feed(w.len, 0, 51200);
    assert_string_equal(events, "<close:0>");
}

static void mask_by_words(void **state)
{
    (void)state;
    static const u_char mask[4] = {1, 2, 3, 4};

    for (size_t len = 0; len < 70; len++) {
        for (ngx_uint_t phase = 0; phase < 4; phase++) {
            u_char *p = calloc(1, len + 1);
            assert_non_null(p);
            assert_int_equal(ngx_http_openim_frame_mask(p, len, mask, phase), (phase + len) & 3);
            for (size_t i = 0; i < len; i++) assert_int_equal(p[i], mask[(phase + i) & 3]);
            assert_int_equal(p[len], 0);
            free(p);
        }
    }
}

static void heads(void **state)
{
    (void)state;
    static const struct { ngx_uint_t op; size_t len; const char *hex; } cases[] = {
        {TEXT, 0, "8100"},           {BINARY, 125, "827d"},
        {BINARY, 126, "827e007e"},   {BINARY, 65535, "827effff"},
        {BINARY, 65536, "827f0000000000010000"}, {PING, 0, "8900"},
        {PONG, 20, "8a14"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len;
        u_char *want = unhex(cases[i].hex, &len), *head = malloc(len), *end;
        assert_non_null(head);
        end = ngx_http_openim_frame_head(head, cases[i].op, cases[i].len);
        assert_int_equal(end - head, len);
        assert_memory_equal(head, want, len);
        free(head);
        free(want);
    }

    u_char close[4];
    assert_ptr_equal(ngx_http_openim_frame_close(close, 1009), close + 4);
    assert_memory_equal(close, "\x88\x02\x03\xf1", 4);
    assert_ptr_equal(ngx_http_openim_frame_close(close, 0), close + 2);
    assert_memory_equal(close, "\x88\x00", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(messages, reset),       cmocka_unit_test_setup(fragments_and_controls, reset),
        cmocka_unit_test_setup(empty_fragments, reset), cmocka_unit_test_setup(length_forms, reset),
        cmocka_unit_test_setup(limit, reset),          cmocka_unit_test_setup(violations, reset),
        cmocka_unit_test_setup(control_sizes, reset),  cmocka_unit_test_setup(closes, reset),
        cmocka_unit_test_setup(mask_by_words, reset),  cmocka_unit_test_setup(heads, reset),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
