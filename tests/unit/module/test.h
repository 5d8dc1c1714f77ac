/*
 * What the tests of the module's pure files share: bytes of an exact size on the heap (so that a
 * sanitizer sees one byte too many), scratch memory, hex, readers of the data files.
 */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ngx_http_openim_pure.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline u_char *bytes_dup(const void *data, size_t len)
{
    u_char *p = malloc(len != 0 ? len : 1);
    assert_non_null(p);
    if (len != 0) memcpy(p, data, len);
    return p;
}

static inline ngx_str_t str(const char *s)
{
    return (ngx_str_t){strlen(s), (u_char *)(uintptr_t)s};
}

static inline ngx_str_t str_dup(const char *s)
{
    return (ngx_str_t){strlen(s), bytes_dup(s, strlen(s))};
}

static inline void assert_str_n(ngx_str_t got, const void *want, size_t len)
{
    if (got.len != len || (len != 0 && memcmp(got.data, want, len) != 0)) {
        fail_msg("got \"%.*s\" (%zu), want \"%.*s\" (%zu)", (int)got.len, got.data, got.len, (int)len, (const char *)want, len);
    }
}

static inline void assert_str(ngx_str_t got, const char *want)
{
    assert_str_n(got, want, strlen(want));
}

struct scratch {
    ngx_http_openim_mem_t mem;
    u_char *start;
};

static inline struct scratch scratch_new(size_t size)
{
    struct scratch s;
    s.start = malloc(size != 0 ? size : 1);
    assert_non_null(s.start);
    s.mem.pos = s.start;
    s.mem.last = s.start + size;
    return s;
}

static inline size_t scratch_used(const struct scratch *s)
{
    return (size_t)(s->mem.pos - s->start);
}

static inline u_char *unhex(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    u_char *p = malloc(*len != 0 ? *len : 1);
    assert_non_null(p);
    for (size_t i = 0; i < *len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        p[i] = (u_char)byte;
    }
    return p;
}

#endif
