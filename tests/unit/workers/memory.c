/* oim_err, oim_arena, oim_buf, oim_hash. */
#include "unit.h"

#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_hash.h"

#include <string.h>

static void arena_gives_aligned_memory(void **state)
{
    struct oim_arena *a = oim_arena_new(128);
    char *big, *s;

    for (size_t i = 0; i < 200; i++) {
        uint8_t *p = oim_arena_zalloc(a, i);

        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t j = 0; j < i; j++) assert_int_equal(p[j], 0);
        memset(p, 0xaa, i);
    }
    big = oim_arena_alloc(a, 100000);
    memset(big, 1, 100000);
    s = oim_arena_printf(a, "%s-%d", "a", 7);
    assert_string_equal(s, "a-7");
    assert_string_equal(oim_arena_strndup(a, "abc", 2), "ab");
    assert_string_equal(oim_arena_strdup(a, ""), "");
    assert_true(oim_arena_used(a) > 100000);
    oim_arena_reset(a);
    assert_int_equal(oim_arena_used(a), 0);
    memset(oim_arena_alloc(a, 4096), 0xbb, 4096);
    oim_arena_free(a);
}

static void buffer_grows_and_shrinks(void **state)
{
    struct oim_buf b = {0};

    oim_buf_append(&b, NULL, 0);
    assert_null(b.data);
    for (int i = 0; i < 1000; i++) oim_buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 3890);
    oim_buf_reset(&b);
    assert_non_null(b.data);
    memset(oim_buf_extend(&b, 3 << 20), 'x', 3 << 20);
    oim_buf_putc(&b, 'y');
    assert_int_equal(b.data[b.len - 1], 'y');
    oim_buf_reset(&b);
    assert_int_equal(b.cap, 0); /* a large one is given back */
    oim_buf_puts(&b, "z");
    oim_buf_free(&b);
    oim_buf_free(&b);
}

/* rest.md F.1 */
static void id_hash_vectors(void **state)
{
    const char *u12[] = {"u1", "u2"}, *u21[] = {"u2", "u1"}, *mixed[] = {"sg_100", "si_a_b"};

    assert_true(oim_hash_ids(NULL, 0) == 0);
    assert_true(oim_hash_ids(u12, 1) == 7752955785994369517u);
    assert_true(oim_hash_ids(u12, 2) == 9194020308628654040u);
    assert_true(oim_hash_ids(u21, 2) == 2170532237559490439u);
    assert_true(oim_hash_ids(mixed, 2) == 1225581532632502053u);
    assert_true(oim_hash_md5_64("[]", 2) == 15515306683186839187u);
}

static void digests(void **state)
{
    char hex[33];
    uint8_t a[16], b[16];
    const char *parts[] = {"a", "b"}, *joined[] = {"ab"};

    oim_hash_md5_hex(hex, "a", 1);
    assert_string_equal(hex, "0cc175b9c0f1b6a831c399e269772661");
    oim_hash_sha128(a, joined, 1); /* sha256("ab") */
    oim_hash_hex(hex, a, 16);
    assert_string_equal(hex, "fb8e20fc2e4c3f248c60c39bd652f3c1");
    oim_hash_sha128(b, parts, 2);
    assert_memory_not_equal(a, b, 16);
    oim_hash_dedup(a, "c", "s", "m");
    oim_hash_dedup(b, "c", "s", "m2");
    assert_memory_not_equal(a, b, 16);
}

static void errors(void **state)
{
    assert_true(oim_err_retriable(OIM_EUNAVAIL));
    assert_false(oim_err_retriable(OIM_EPARSE));
    assert_true(oim_err_poison(OIM_EPARSE));
    assert_false(oim_err_poison(OIM_OK));
    assert_string_equal(oim_fail_name(1001), "ArgsError");
    assert_string_equal(oim_fail_name(1206), "GroupRequestHandled");
    assert_string_equal(oim_fail_name(4711), "ServerInternalError");
    for (int e = OIM_ELIMIT; e <= OIM_OK; e++) assert_string_not_equal(oim_err_name(e), "unknown");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(arena_gives_aligned_memory), cmocka_unit_test(buffer_grows_and_shrinks), cmocka_unit_test(id_hash_vectors),
    cmocka_unit_test(digests), cmocka_unit_test(errors),
};
UNIT_GROUP(unit_memory, "memory and digests", tests, NULL);
