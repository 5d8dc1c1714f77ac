/*
 * ngx_http_openim_envelope_gzip.c: round trips at the sizes where the state changes, what zlib itself
 * reads, members in a row, bombs, damage, and an allocation that fails.
 */
#include "test.h"

#include <zlib.h>

#include "ngx_http_openim_envelope.h"

static long fail_at; /* the n-th allocation from now fails; 0: none */
static long live;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static int fails(void)
{
    return fail_at > 0 && --fail_at == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
    if (fails()) return NULL;
    live++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

static ngx_http_openim_gzip_t *gz;

static int setup(void **state)
{
    (void)state;
    gz = ngx_http_openim_gzip_create(NGX_HTTP_OPENIM_GZIP_LEVEL, NGX_HTTP_OPENIM_GUNZIP_MAX);
    return gz == NULL;
}

static int teardown(void **state)
{
    (void)state;
    ngx_http_openim_gzip_destroy(gz);
    return 0;
}

static void fill(u_char *p, size_t len, int random)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245 + 12345;
        p[i] = random ? (u_char)(x >> 16) : (u_char)"some text, some text again. "[i % 28];
    }
}

static ngx_str_t pack(const void *data, size_t len)
{
    size_t cap = ngx_http_openim_gzip_bound(gz, len);
    u_char *in = bytes_dup(data, len), *p = malloc(cap), *end;
    assert_non_null(p);
    end = ngx_http_openim_gzip(gz, p, cap, in, len);
    assert_non_null(end);
    assert_true(end <= p + cap);
    free(in);
    return (ngx_str_t){(size_t)(end - p), p};
}

static ngx_int_t unpack(const void *data, size_t len, ngx_str_t *out, const char **why)
{
    u_char *in = bytes_dup(data, len);
    *why = NULL;
    ngx_int_t rc = ngx_http_openim_gunzip(gz, in, len, out, why);
    assert_true((rc == NGX_OK) == (*why == NULL));
    free(in);
    return rc;
}

static void round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 100, 2046, 2047, 2048, 4095, 4096, 4097, 16383, 16384, 16385, 51200, 131072, 131073, 1048575, 1048576};
    u_char *data = malloc(1048576);
    assert_non_null(data);

    for (int random = 0; random < 2; random++) {
        fill(data, 1048576, random);
        for (size_t i = 0; i < COUNT(sizes); i++) {
            ngx_str_t packed = pack(data, sizes[i]), out;
            const char *why;
            assert_memory_equal(packed.data, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", 10);
            assert_int_equal(unpack(packed.data, packed.len, &out, &why), NGX_OK);
            assert_int_equal(out.len, sizes[i]);
            assert_memory_equal(out.data, data, sizes[i]);

            u_char *plain = malloc(sizes[i] + 1); /* zlib's own reader, one state for all of it */
            assert_non_null(plain);
            z_stream z = {.next_in = packed.data, .avail_in = (uInt)packed.len, .next_out = plain, .avail_out = (uInt)sizes[i] + 1};
            assert_int_equal(inflateInit2(&z, 16 + 15), Z_OK);
            assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
            assert_int_equal(z.avail_in, 0);
            inflateEnd(&z);
            free(plain);
            free(packed.data);
        }
    }
    free(data);
}

static void no_room(void **state)
{
    (void)state;
    u_char data[200];
    fill(data, sizeof(data), 1);
    ngx_str_t packed = pack(data, sizeof(data));

    for (size_t cap = 0; cap < packed.len; cap++) {
        u_char *p = malloc(cap != 0 ? cap : 1);
        assert_non_null(p);
        assert_null(ngx_http_openim_gzip(gz, p, cap, data, sizeof(data)));
        free(p);
    }
    ngx_str_t again = pack(data, sizeof(data)); /* the state is as good as new */
    assert_int_equal(again.len, packed.len);
    assert_memory_equal(again.data, packed.data, packed.len);
    free(again.data);
    free(packed.data);
}

static void members_in_a_row(void **state)
{
    (void)state;
    ngx_str_t a = pack("hello ", 6), b = pack("", 0), c = pack("world", 5), out;
    const char *why;
    u_char *all = malloc(a.len + b.len + c.len);
    assert_non_null(all);
    memcpy(all, a.data, a.len);
    memcpy(all + a.len, b.data, b.len);
    memcpy(all + a.len + b.len, c.data, c.len);

    assert_int_equal(unpack(all, a.len + b.len + c.len, &out, &why), NGX_OK);
    assert_str(out, "hello world");

    for (size_t n = 0; n < a.len + b.len + c.len; n++) { /* only whole members are whole */
        ngx_int_t rc = unpack(all, n, &out, &why);
        assert_int_equal(rc, n == a.len || n == a.len + b.len ? NGX_OK : NGX_ERROR);
        if (rc != NGX_OK) assert_string_equal(why, "truncated");
    }
    free(all);
    free(a.data);
    free(b.data);
    free(c.data);
}

static void header_with_everything(void **state)
{
    (void)state;
    gz_header head = {.text = 1, .time = 1700000000, .os = 3, .extra = (Bytef *)(uintptr_t) "ex", .extra_len = 2,
                      .name = (Bytef *)(uintptr_t) "name", .comment = (Bytef *)(uintptr_t) "comment", .hcrc = 1};
    u_char buf[200];
    z_stream z = {.next_in = (Bytef *)(uintptr_t) "text", .avail_in = 4, .next_out = buf, .avail_out = sizeof(buf)};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflateSetHeader(&z, &head), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = z.total_out;
    deflateEnd(&z);

    ngx_str_t out;
    const char *why;
    assert_int_equal(unpack(buf, len, &out, &why), NGX_OK);
    assert_str(out, "text");
}

static void damage(void **state)
{
    (void)state;
    u_char data[500];
    ngx_str_t out;
    const char *why;

    fill(data, sizeof(data), 0);
    ngx_str_t packed = pack(data, sizeof(data));

    for (size_t i = 0; i < packed.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            packed.data[i] ^= (u_char)(1 << bit);
            ngx_int_t rc = unpack(packed.data, packed.len, &out, &why);
            if (rc == NGX_OK) { /* time, flags and system of the header prove nothing, nor do the bits after the last block */
                assert_true((i >= 3 && i < 10) || i == packed.len - 9);
                assert_str_n(out, data, sizeof(data));
            }
            packed.data[i] ^= (u_char)(1 << bit);
        }
    }

    u_char *longer = malloc(packed.len + 1); /* bytes that begin no member */
    assert_non_null(longer);
    memcpy(longer, packed.data, packed.len);
    longer[packed.len] = 0;
    assert_int_equal(unpack(longer, packed.len + 1, &out, &why), NGX_ERROR);
    free(longer);
    free(packed.data);

    static const char *junk[] = {"", "\x1f", "plain text that is not compressed", "\x78\x9c\x03\x00\x00\x00\x00\x01"};
    for (size_t i = 0; i < COUNT(junk); i++) assert_int_equal(unpack(junk[i], strlen(junk[i]), &out, &why), NGX_ERROR);
    assert_int_equal(unpack("\x1f\x8b\x09\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20, &out, &why), NGX_ERROR);
}

static void bounded(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 1000, 16383, 16384, 16385, 200000};
    u_char *data = calloc(1, 4000000);
    ngx_str_t bomb = pack(data, 4000000), out;
    const char *why;
    assert_non_null(data);

    for (size_t i = 0; i < COUNT(limits); i++) {
        ngx_http_openim_gzip_t *small = ngx_http_openim_gzip_create(1, limits[i]);
        assert_non_null(small);

        assert_int_equal(ngx_http_openim_gunzip(small, bomb.data, bomb.len, &out, &why), NGX_ERROR);
        assert_string_equal(why, "too much output");

        ngx_str_t fits = pack(data, limits[i]), more = pack(data, limits[i] + 1);
        assert_int_equal(ngx_http_openim_gunzip(small, fits.data, fits.len, &out, &why), NGX_OK);
        assert_int_equal(out.len, limits[i]);
        assert_int_equal(ngx_http_openim_gunzip(small, more.data, more.len, &out, &why), NGX_ERROR);

        /* the sum of members counts */
        u_char *two = malloc(2 * fits.len);
        assert_non_null(two);
        memcpy(two, fits.data, fits.len);
        memcpy(two + fits.len, fits.data, fits.len);
        assert_int_equal(ngx_http_openim_gunzip(small, two, 2 * fits.len, &out, &why), limits[i] == 0 ? NGX_OK : NGX_ERROR);

        free(two);
        free(fits.data);
        free(more.data);
        ngx_http_openim_gzip_destroy(small);
    }
    free(bomb.data);
    free(data);
}

static void no_memory(void **state)
{
    (void)state;
    int made = 0;
    for (long n = 1; !made; n++) {
        assert_true(n < 100);
        fail_at = n;
        ngx_http_openim_gzip_t *g = ngx_http_openim_gzip_create(1, 1000);
        made = fail_at > 0;
        fail_at = 0;
        assert_true((g != NULL) == made);
        if (g != NULL) ngx_http_openim_gzip_destroy(g);
    }

    u_char *data = calloc(1, 300000);
    ngx_str_t packed = pack(data, 300000), out;
    const char *why;
    assert_non_null(data);
    for (long n = 1, ok = 0; !ok; n++) {
        assert_true(n < 100);
        ngx_http_openim_gzip_t *g = ngx_http_openim_gzip_create(1, 400000);
        assert_non_null(g);
        fail_at = n;
        ngx_int_t rc = ngx_http_openim_gunzip(g, packed.data, packed.len, &out, &why);
        ok = fail_at > 0;
        fail_at = 0;
        assert_int_equal(rc, ok ? NGX_OK : NGX_ERROR);
        if (!ok) assert_string_equal(why, "no memory");
        assert_int_equal(ngx_http_openim_gunzip(g, packed.data, packed.len, &out, &why), NGX_OK); /* and again with memory */
        assert_int_equal(out.len, 300000);
        ngx_http_openim_gzip_destroy(g);
    }
    free(packed.data);
    free(data);
}

/* Once it runs, a message of ordinary size allocates nothing. */
static void allocates_once(void **state)
{
    (void)state;
    u_char data[3000];
    fill(data, sizeof(data), 0);
    ngx_str_t packed = pack(data, sizeof(data)), out;
    u_char room[4000];
    const char *why;

    assert_int_equal(ngx_http_openim_gunzip(gz, packed.data, packed.len, &out, &why), NGX_OK);
    long before = live;
    for (int i = 0; i < 100; i++) {
        fail_at = 1;
        assert_int_equal(ngx_http_openim_gunzip(gz, packed.data, packed.len, &out, &why), NGX_OK);
        assert_non_null(ngx_http_openim_gzip(gz, room, sizeof(room), data, sizeof(data)));
        fail_at = 0;
    }
    assert_int_equal(live, before);
    free(packed.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trips, setup, teardown),      cmocka_unit_test_setup_teardown(no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(members_in_a_row, setup, teardown), cmocka_unit_test_setup_teardown(header_with_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(damage, setup, teardown),           cmocka_unit_test_setup_teardown(bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory, setup, teardown),        cmocka_unit_test_setup_teardown(allocates_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
