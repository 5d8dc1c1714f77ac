/*
 * Tokens from anybody: the input is a token, or the claims of one that is signed rightly. Built with workers/common/oim_{jwt,json_*,arena,
 * buf,log,err}.c and OpenSSL.
 */
#include "oim_arena.h"
#include "oim_jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static size_t base64url(char *out, const uint8_t *data, size_t len)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)len);

    while (n && out[n - 1] == '=') n--;
    for (size_t i = 0; i < n; i++) out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct oim_arena *a;
    struct oim_jwt jwt;
    const char *text = NULL;
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len;
    char *token;
    size_t n;
    int code;

    if (a == NULL) a = oim_arena_new(65536);
    if (size > 4096) return 0;
    oim_arena_reset(a);
    if (oim_jwt_verify(a, "secret", (const char *)data, size, 1700000000, &jwt, &text) == 0) abort(); /* nobody guesses the secret */
    if (text == NULL) abort();

    token = oim_arena_alloc(a, 2 * size + 256);
    n = 21;
    memcpy(token, "eyJhbGciOiJIUzI1NiJ9.", n);
    n += base64url(token + n, data, size);
    HMAC(EVP_sha256(), "secret", 6, (const uint8_t *)token, n, mac, &mac_len);
    token[n++] = '.';
    n += base64url(token + n, mac, mac_len);
    code = oim_jwt_verify(a, "secret", token, n, 1700000000, &jwt, &text);
    if (code == 0 && (jwt.user_id == NULL || jwt.exp < 1700000000)) abort();
    return 0;
}
