/*
 * Digests: SHA-256 cut to 16 bytes for our own keys, MD5 where the protocol asks for it. oim_hash.h, docs/records.md.
 */
#include "oim_hash.h"

#include "oim_buf.h"
#include "oim_json.h"

#include <openssl/evp.h>
#include <string.h>

void oim_hash_sha128(uint8_t out[16], const char *const *parts, int n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];

    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (int i = 0; i < n; i++) {
        if (i) EVP_DigestUpdate(ctx, "", 1);
        EVP_DigestUpdate(ctx, parts[i], strlen(parts[i]));
    }
    EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    memcpy(out, digest, 16);
}

void oim_hash_dedup(uint8_t out[16], const char *conversation_id, const char *send_id, const char *client_msg_id)
{
    const char *parts[] = {conversation_id, send_id, client_msg_id};

    oim_hash_sha128(out, parts, 3);
}

void oim_hash_hex(char *out, const uint8_t *in, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
}

void oim_hash_md5_hex(char out[33], const void *data, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    EVP_Digest(data, len, digest, NULL, EVP_md5(), NULL);
    oim_hash_hex(out, digest, 16);
}

uint64_t oim_hash_md5_64(const void *data, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint64_t value = 0;

    EVP_Digest(data, len, digest, NULL, EVP_md5(), NULL);
    for (int i = 0; i < 8; i++) value = value << 8 | digest[i];
    return value;
}

uint64_t oim_hash_ids(const char *const *ids, size_t n)
{
    struct oim_buf buf = {0};
    uint64_t value;

    if (n == 0) return 0;
    for (size_t i = 0; i < n; i++) {
        oim_buf_putc(&buf, i ? ',' : '[');
        oim_json_string(&buf, ids[i], strlen(ids[i]));
    }
    oim_buf_putc(&buf, ']');
    value = oim_hash_md5_64(buf.data, buf.len);
    oim_buf_free(&buf);
    return value;
}
