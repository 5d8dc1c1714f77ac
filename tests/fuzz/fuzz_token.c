/*
 * Tokens. As they come, and (first byte odd) as header NUL claims that this target signs itself, so
 * that everything behind the signature is reached. The promised scratch is enough.
 */
#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ngx_http_openim_token.h"
#include "ngx_http_openim_json.h"
#include "oim_wire.h"

static const char key[] = "openIM123";

static u_char *url64(u_char *out, const uint8_t *s, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)s[i] << 16 | (i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < len ? s[i + 2] : 0u);
        *out++ = (u_char)digits[bits >> 18];
        *out++ = (u_char)digits[bits >> 12 & 63];
        if (i + 1 < len) *out++ = (u_char)digits[bits >> 6 & 63];
        if (i + 2 < len) *out++ = (u_char)digits[bits & 63];
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;

    int made = data[0] & 1;
    u_char *text = malloc(2 * size + 200), *p = text, *block;
    CHECK(text != NULL);

    if (made) {
        const uint8_t *nul = memchr(data + 1, 0, size - 1), *end = data + size;
        unsigned len;
        u_char mac[64];
        if (nul == NULL) nul = end;
        p = url64(p, data + 1, (size_t)(nul - data - 1));
        *p++ = '.';
        if (nul < end) p = url64(p, nul + 1, (size_t)(end - nul - 1));
        CHECK(HMAC(EVP_sha256(), key, sizeof(key) - 1, text, (size_t)(p - text), mac, &len) != NULL);
        *p++ = '.';
        p = url64(p, mac, len);
    } else {
        memcpy(p, data + 1, size - 1);
        p += size - 1;
    }

    size_t len = (size_t)(p - text), room = ngx_http_openim_token_scratch(len);
    u_char *in = fuzz_dup(text, len);
    free(text);
    ngx_http_openim_mem_t mem = fuzz_scratch(&block, room);
    ngx_str_t s = {len, in}, k = {sizeof(key) - 1, (u_char *)(uintptr_t)key};
    ngx_http_openim_token_t token;
    ngx_http_openim_error_t err;

    ngx_int_t rc = ngx_http_openim_token_verify(&token, &s, &k, 1800000000, &mem, &err);
    CHECK(rc == NGX_OK || rc == NGX_DECLINED);
    if (rc == NGX_OK) {
        CHECK(made); /* nobody guesses a signature */
        CHECK(token.exp > 1800000000 && token.iat <= 1800000000);
        CHECK(oim_wire_utf8(token.user_id.data, token.user_id.len));
        CHECK(fuzz_within(token.user_id, block, room, NULL, 0));
    } else {
        CHECK(err.code >= 1501 && err.code <= 1505);
    }

    free(block);
    free(in);
    return 0;
}
