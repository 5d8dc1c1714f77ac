/*
 * JSON Web Tokens, just what OpenIM uses of them: HMAC over "header.claims". oim_jwt.h holds the contract, gateway.md 7 the format,
 * gateway.md 1.6 the codes. Whether a token is known and not kicked is the caller's question (Redis, gateway.md 7.3).
 *
 * Order as in upstream's library: form (1503), algorithm and signature (1505), then exp (1501), nbf (1504), iat (1505).
 */
#include "oim_jwt.h"

#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_json.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <string.h>

#define DAY 86400
#define TOKEN_MAX 8192

static const struct {
    const char *name;
    int class;
} platforms[] = {
    {"", 0},        {"IOS", 1},    {"Android", 1}, {"Windows", 2}, {"OSX", 2},   {"Web", 4},
    {"MiniWeb", 5}, {"Linux", 2},  {"APad", 3},    {"IPad", 3},    {"Admin", 6}, {"HarmonyOS", 7},
};

const char *oim_platform_name(int platform_id)
{
    return platform_id >= 1 && platform_id <= 11 ? platforms[platform_id].name : NULL;
}

int oim_platform_class(int platform_id)
{
    return platform_id >= 1 && platform_id <= 11 ? platforms[platform_id].class : 0;
}

static void base64url_append(struct oim_buf *buf, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < len ? p[i + 2] : 0);

        oim_buf_putc(buf, digits[bits >> 18]);
        oim_buf_putc(buf, digits[bits >> 12 & 63]);
        if (i + 1 < len) oim_buf_putc(buf, digits[bits >> 6 & 63]);
        if (i + 2 < len) oim_buf_putc(buf, digits[bits & 63]);
    }
}

static int base64url_digit(int c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Unpadded. NULL when it is none. */
static uint8_t *base64url_decode(struct oim_arena *a, const char *s, size_t len, size_t *n)
{
    uint8_t *out = oim_arena_alloc(a, len * 3 / 4 + 1);
    uint32_t bits = 0;
    int have = 0;

    *n = 0;
    if (len % 4 == 1) return NULL;
    for (size_t i = 0; i < len; i++) {
        int d = base64url_digit((unsigned char)s[i]);

        if (d < 0) return NULL;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*n)++] = (uint8_t)(bits >> have);
        }
    }
    return out;
}

char *oim_jwt_issue(struct oim_arena *a, const char *secret, const char *user_id, int platform_id, int64_t now, int days)
{
    struct oim_buf claims = {0}, token = {0};
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    char *out;

    oim_buf_puts(&claims, "{\"UserID\":");
    oim_json_string(&claims, user_id, strlen(user_id));
    oim_buf_printf(&claims, ",\"PlatformID\":%d,\"exp\":%lld,\"iat\":%lld}", platform_id, (long long)(now + (int64_t)days * DAY),
                   (long long)(now - 5));
    oim_buf_puts(&token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."); /* {"alg":"HS256","typ":"JWT"} */
    base64url_append(&token, claims.data, claims.len);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), token.data, token.len, mac, &mac_len);
    oim_buf_putc(&token, '.');
    base64url_append(&token, mac, mac_len);
    out = oim_arena_strndup(a, (const char *)token.data, token.len);
    oim_buf_free(&claims);
    oim_buf_free(&token);
    return out;
}

static const EVP_MD *algorithm(const char *name)
{
    if (strcmp(name, "HS256") == 0) return EVP_sha256();
    if (strcmp(name, "HS384") == 0) return EVP_sha384();
    if (strcmp(name, "HS512") == 0) return EVP_sha512();
    return NULL;
}

static const char *algorithm_refusal(const char *name)
{
    static const char *const asymmetric[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"};

    if (strcmp(name, "none") == 0) return "'none' signature type is not allowed";
    for (size_t i = 0; i < sizeof(asymmetric) / sizeof(asymmetric[0]); i++) {
        if (strcmp(name, asymmetric[i]) == 0) return "key is of invalid type";
    }
    return "signing method (alg) is unavailable.";
}

static json_t *object_decode(struct oim_arena *a, const char *s, size_t len)
{
    const char *why;
    json_t *v;
    size_t n;
    uint8_t *text = base64url_decode(a, s, len, &n);

    if (text == NULL || oim_json_parse(text, n, &v, a, &why) != OIM_OK) return NULL;
    if (json_is_object(v)) return v;
    json_decref(v);
    return NULL;
}

/* Seconds, maybe with a fraction. false: there, but no number. *there is false when it is missing or null. */
static bool time_claim(json_t *claims, const char *name, double *v, bool *there)
{
    json_t *claim = oim_json_get(claims, name);

    *there = claim && !json_is_null(claim);
    *v = *there ? json_number_value(claim) : 0;
    return !*there || json_is_number(claim);
}

static int refuse(int code, const char *reason, const char **text)
{
    *text = reason;
    return code;
}

static int claims_read(struct oim_arena *a, json_t *claims, struct oim_jwt *out, double times[3], bool there[3])
{
    static const char *const names[] = {"exp", "nbf", "iat"};
    json_t *user = oim_json_get(claims, "UserID"), *platform = oim_json_get(claims, "PlatformID");

    for (int i = 0; i < 3; i++) {
        if (!time_claim(claims, names[i], &times[i], &there[i])) return OIM_C_TOKEN_MALFORMED;
    }
    if ((user && !json_is_string(user) && !json_is_null(user)) || (platform && !json_is_integer(platform) && !json_is_null(platform)) ||
        !there[0] || fabs(times[0]) > 1e15) {
        return OIM_C_TOKEN_MALFORMED;
    }
    if (json_is_string(user) && strlen(json_string_value(user)) != json_string_length(user)) return OIM_C_TOKEN_MALFORMED;
    if (json_is_integer(platform) && (json_integer_value(platform) > INT32_MAX || json_integer_value(platform) < INT32_MIN)) {
        return OIM_C_TOKEN_MALFORMED;
    }
    *out = (struct oim_jwt){
        .user_id = oim_arena_strdup(a, json_is_string(user) ? json_string_value(user) : ""),
        .platform_id = json_is_integer(platform) ? (int)json_integer_value(platform) : 0,
        .exp = (int64_t)times[0],
        .iat = there[2] && fabs(times[2]) < 1e15 ? (int64_t)times[2] : 0,
    };
    return 0;
}

int oim_jwt_verify(struct oim_arena *a, const char *secret, const char *token, size_t len, int64_t now, struct oim_jwt *out,
                   const char **text)
{
    const char *first = len <= TOKEN_MAX ? memchr(token, '.', len) : NULL, *end = token + len, *second, *alg;
    uint8_t mac[EVP_MAX_MD_SIZE], *given;
    unsigned mac_len = 0;
    size_t given_len;
    double times[3];
    bool there[3];
    json_t *header, *claims, *name;
    const EVP_MD *md;
    int code;

    *text = "";
    second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1))) return OIM_C_TOKEN_MALFORMED;

    header = object_decode(a, token, (size_t)(first - token));
    claims = header ? object_decode(a, first + 1, (size_t)(second - first - 1)) : NULL;
    code = claims ? claims_read(a, claims, out, times, there) : OIM_C_TOKEN_MALFORMED;
    name = header ? json_object_get(header, "alg") : NULL;
    alg = json_is_string(name) ? oim_arena_strdup(a, json_string_value(name)) : "";
    json_decref(header);
    json_decref(claims);
    if (code) return code;

    md = algorithm(alg);
    if (md == NULL) return refuse(OIM_C_TOKEN_UNKNOWN, algorithm_refusal(alg), text);
    given = base64url_decode(a, second + 1, (size_t)(end - second - 1), &given_len);
    if (HMAC(md, secret, (int)strlen(secret), (const uint8_t *)token, (size_t)(second - token), mac, &mac_len) == NULL) mac_len = 0;
    if (given == NULL || mac_len == 0 || given_len != mac_len || CRYPTO_memcmp(given, mac, mac_len) != 0) {
        return refuse(OIM_C_TOKEN_UNKNOWN, "signature is invalid", text);
    }
    if ((double)now >= times[0]) return OIM_C_TOKEN_EXPIRED;
    if (there[1] && times[1] > (double)now) return OIM_C_TOKEN_NOTYET;
    if (there[2] && times[2] > (double)now) return refuse(OIM_C_TOKEN_UNKNOWN, "Token used before issued", text);
    return 0;
}
