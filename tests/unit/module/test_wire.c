/*
 * workers/common/oim_wire.c: reader, writer, UTF-8, what routing peeks at, conversation keys.
 */
#include "test.h"

#include "oim_wire.h"

static int read_all(const void *data, size_t len)
{
    u_char *p = bytes_dup(data, len);
    struct oim_wire_reader r = {p, p + len};
    struct oim_wire_field f;
    int rc;

    while ((rc = oim_wire_next(&r, &f)) == 1) assert_true(f.number > 0);
    free(p);
    return rc;
}

static void reader(void **state)
{
    (void)state;
    static const struct { const char *hex; int rc; } cases[] = {
        {"", 0},
        {"0801", 0},
        {"08ffffffffffffffffff01", 0},       /* 2^64 - 1 */
        {"08ffffffffffffffffff02", -1},      /* more than 64 bits */
        {"08808080808080808080808001", -1},  /* more than 10 bytes */
        {"088000", 0},                       /* longer than needed */
        {"08", -1},
        {"0880", -1},
        {"00", -1},                          /* field 0 */
        {"0001", -1},
        {"0a00", 0},
        {"0a0161", 0},
        {"0a01", -1},
        {"0affffffffffffffffff01", -1},
        {"090102030405060708", 0},
        {"0901020304050607", -1},
        {"0d01020304", 0},
        {"0d010203", -1},
        {"0b", -1},                          /* groups and what is not there */
        {"0c", -1},
        {"0e", -1},
        {"0f", -1},
        {"f8ffffff0f01", 0},                 /* field 2^29 - 1 */
        {"808080801001", -1},                /* field 2^29 */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len;
        u_char *p = unhex(cases[i].hex, &len);
        if (read_all(p, len) != cases[i].rc) fail_msg("%s", cases[i].hex);
        free(p);
    }

    static const uint8_t fixed[] = {9, 1, 2, 3, 4, 5, 6, 7, 0x88, 0x15, 1, 0, 0, 0x80};
    struct oim_wire_reader r = {fixed, fixed + sizeof(fixed)};
    struct oim_wire_field f;
    assert_int_equal(oim_wire_next(&r, &f), 1);
    assert_int_equal(f.number, 1);
    assert_true(f.value == 0x8807060504030201);
    assert_int_equal(oim_wire_next(&r, &f), 1);
    assert_int_equal(f.number, 2);
    assert_true(f.value == 0x80000001);
    assert_int_equal(oim_wire_next(&r, &f), 0);
}

static void write_some(struct oim_wire_writer *w)
{
    oim_wire_varint(w, 1, 0);
    oim_wire_varint(w, 16, UINT64_MAX);
    oim_wire_bytes(w, 2, "hello", 5);
    oim_wire_bytes(w, 3, NULL, 0);
    oim_wire_head(w, 536870911, 2);
    oim_wire_varint(w, 1, 127);
}

static void writer(void **state)
{
    (void)state;
    struct oim_wire_writer w = {0};
    write_some(&w);
    size_t len = w.len;
    assert_true(oim_wire_overflow(&w));
    assert_int_equal(len, oim_wire_varint_size(1, 0) + oim_wire_varint_size(16, UINT64_MAX) + oim_wire_bytes_size(2, 5) +
                              oim_wire_bytes_size(3, 0) + oim_wire_bytes_size(536870911, 2));

    for (size_t cap = 0; cap <= len; cap++) {
        u_char *room = malloc(cap != 0 ? cap : 1);
        assert_non_null(room);
        w = (struct oim_wire_writer){.data = room, .cap = cap};
        write_some(&w);
        assert_int_equal(w.len, len);
        assert_int_equal(oim_wire_overflow(&w), cap < len);
        if (cap == len) {
            struct oim_wire_reader r = {room, room + len};
            struct oim_wire_field f;
            static const uint32_t numbers[] = {1, 16, 2, 3, 536870911};
            for (size_t i = 0; i < COUNT(numbers); i++) {
                assert_int_equal(oim_wire_next(&r, &f), 1);
                assert_int_equal(f.number, numbers[i]);
                if (i == 1) assert_true(f.value == UINT64_MAX);
                if (i == 2) assert_memory_equal(f.data, "hello", 5);
            }
            assert_memory_equal(f.data, "\x08\x7f", 2);
            assert_int_equal(oim_wire_next(&r, &f), 0);
        }
        free(room);
    }
}

static void utf8(void **state)
{
    (void)state;
    static const char *good[] = {"", "a", "abcdefghijklmnop", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                 "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "1234567\xe4\xbd\xa0zyxwvuts"};
    static const char *bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf",
                                "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\xe4\xbd", "1234567\xff"};
    for (size_t i = 0; i < COUNT(good); i++) {
        ngx_str_t s = str_dup(good[i]);
        assert_true(oim_wire_utf8(s.data, s.len));
        free(s.data);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        ngx_str_t s = str_dup(bad[i]);
        assert_false(oim_wire_utf8(s.data, s.len));
        free(s.data);
    }
    assert_true(oim_wire_utf8(NULL, 0));
}

static void peek(void **state)
{
    (void)state;
    u_char room[200];
    struct oim_wire_writer w = {.data = room, .cap = sizeof(room)};
    struct oim_wire_msg m;

    oim_wire_bytes(&w, 1, "first", 5);
    oim_wire_bytes(&w, 1, "u1", 2); /* the last one counts */
    oim_wire_bytes(&w, 2, "u2", 2);
    oim_wire_varint(&w, 3, 5); /* of another type: an unknown field */
    oim_wire_bytes(&w, 3, "g", 1);
    oim_wire_bytes(&w, 9, "x", 1);
    oim_wire_varint(&w, 9, (uint64_t)-1);
    oim_wire_varint(&w, 9, 3);
    oim_wire_bytes(&w, 12, "\xff", 1); /* content is bytes */
    oim_wire_bytes(&w, 40, "later", 5);

    assert_int_equal(oim_wire_peek_msg(room, w.len, &m), 0);
    assert_int_equal(m.session_type, 3);
    assert_int_equal(m.send_len, 2);
    assert_memory_equal(m.send_id, "u1", 2);
    assert_memory_equal(m.recv_id, "u2", 2);
    assert_memory_equal(m.group_id, "g", 1);

    assert_int_equal(oim_wire_peek_msg(room, w.len - 1, &m), -1);
    assert_int_equal(oim_wire_peek_msg(NULL, 0, &m), 0);
    assert_int_equal(m.send_len, 0);

    for (uint32_t n = 1; n <= 3; n++) {
        w.len = 0;
        oim_wire_bytes(&w, n, "\xc3", 1);
        assert_int_equal(oim_wire_peek_msg(room, w.len, &m), -1);
    }
    w.len = 0;
    oim_wire_varint(&w, 9, (uint64_t)-2);
    assert_int_equal(oim_wire_peek_msg(room, w.len, &m), 0);
    assert_int_equal(m.session_type, -2);
}

static void keys(void **state)
{
    (void)state;
    static const struct { const char *send, *recv, *group; int type; const char *want; } cases[] = {
        {"a", "b", "", 1, "a_b"},   {"b", "a", "", 1, "a_b"},     {"b", "a", "g", 4, "a_b"},    {"10", "9", "", 1, "10_9"}, {"u1", "u10", "", 1, "u1_u10"},
        {"u10", "u1", "", 1, "u1_u10"}, {"a", "Z", "", 1, "Z_a"}, {"\xff", "a", "", 1, "a_\xff"}, {"a", "a", "", 1, "a_a"}, {"a", "b", "g1", 3, "g1"},
        {"a", "b", "g1", 2, "g1"},  {"a", "b", "", 3, ""},        {"", "b", "", 1, "_b"},       {"", "", "", 1, "_"},       {"a", "b", "g", 0, "a_b"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct oim_wire_msg m = {.send_len = strlen(cases[i].send), .recv_len = strlen(cases[i].recv), .group_len = strlen(cases[i].group),
                                 .session_type = cases[i].type};
        m.send_id = m.send_len != 0 ? (const uint8_t *)cases[i].send : NULL;
        m.recv_id = m.recv_len != 0 ? (const uint8_t *)cases[i].recv : NULL;
        m.group_id = m.group_len != 0 ? (const uint8_t *)cases[i].group : NULL;
        size_t want = strlen(cases[i].want);
        for (size_t cap = 0; cap <= want + 1; cap++) {
            char *out = malloc(cap != 0 ? cap : 1);
            assert_non_null(out);
            assert_int_equal(oim_wire_conversation_key(&m, out, cap), want);
            if (cap >= want) assert_memory_equal(out, cases[i].want, want);
            free(out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader), cmocka_unit_test(writer), cmocka_unit_test(utf8), cmocka_unit_test(peek), cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
