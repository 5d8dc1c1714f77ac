/*
 * gzip: hostile members never give more than the limit; what we compress comes back, through the
 * same object. First byte odd: compress the rest, even: decompress it.
 */
#include "fuzz.h"

#include "ngx_http_openim_envelope.h"

enum { LIMIT = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ngx_http_openim_gzip_t *gz;
    const char *why = NULL;
    ngx_str_t out;

    if (gz == NULL) gz = ngx_http_openim_gzip_create(NGX_HTTP_OPENIM_GZIP_LEVEL, LIMIT);
    CHECK(gz != NULL);
    if (size == 0) return 0;

    u_char *in = fuzz_dup(data + 1, size - 1);

    if (data[0] & 1) {
        size_t cap = ngx_http_openim_gzip_bound(gz, size - 1);
        u_char *packed = malloc(cap), *end;
        CHECK(packed != NULL);
        end = ngx_http_openim_gzip(gz, packed, cap, in, size - 1);
        CHECK(end != NULL && end <= packed + cap);
        CHECK(ngx_http_openim_gunzip(gz, packed, (size_t)(end - packed), &out, &why) == NGX_OK);
        CHECK(out.len == size - 1 && memcmp(out.data, in, out.len) == 0);
        free(packed);
    } else if (ngx_http_openim_gunzip(gz, in, size - 1, &out, &why) == NGX_OK) {
        CHECK(out.len <= LIMIT);
    } else {
        CHECK(why != NULL);
    }

    free(in);
    return 0;
}
