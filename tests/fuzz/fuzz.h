/*
 * What the fuzz targets share. A target checks more than memory: what two ways of reading say must
 * agree, a size must be exact, a bound must hold; CHECK aborts otherwise.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ngx_http_openim_pure.h"

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Heap blocks of an exact size: a byte too far is seen. */
static inline u_char *fuzz_dup(const void *data, size_t len)
{
    u_char *p = malloc(len != 0 ? len : 1);
    CHECK(p != NULL);
    if (len != 0) memcpy(p, data, len);
    return p;
}

static inline ngx_http_openim_mem_t fuzz_scratch(u_char **block, size_t size)
{
    *block = malloc(size != 0 ? size : 1);
    CHECK(*block != NULL);
    return (ngx_http_openim_mem_t){*block, *block + size};
}

/* s lies in [a, a+an) or in [b, b+bn), or is empty */
static inline int fuzz_within(ngx_str_t s, const u_char *a, size_t an, const u_char *b, size_t bn)
{
    if (s.len == 0) return 1;
    if (s.data >= a && s.data + s.len <= a + an) return 1;
    return b != NULL && s.data >= b && s.data + s.len <= b + bn;
}

#endif
