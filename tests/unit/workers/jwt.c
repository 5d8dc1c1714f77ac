/* oim_jwt: gateway.md 7, codes of gateway.md 1.6. Tokens of other servers are made with any JWT library. */
#include "unit.h"

#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define NOW 1700000000

static struct oim_arena *arena;

static int setup(void **state)
{
    arena = oim_arena_new(4096);
    return arena == NULL;
}

static int teardown(void **state)
{
    oim_arena_free(arena);
    return 0;
}

static const char *b64(const void *data, size_t len)
{
    char *out = oim_arena_alloc(arena, len * 2 + 8);
    int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len);

    while (n && out[n - 1] == '=') out[--n] = '\0';
    for (int i = 0; i < n; i++) out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    return out;
}

static const char *sign(const EVP_MD *md, const char *header, const char *claims, const char *secret)
{
    char *text = oim_arena_printf(arena, "%s.%s", b64(header, strlen(header)), b64(claims, strlen(claims)));
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len;

    HMAC(md, secret, (int)strlen(secret), (const uint8_t *)text, strlen(text), mac, &len);
    return oim_arena_printf(arena, "%s.%s", text, b64(mac, len));
}

static int verify(const char *token, struct oim_jwt *out, const char **text)
{
    return oim_jwt_verify(arena, "openIM123", token, strlen(token), NOW, out, text);
}

static int code(const char *claims)
{
    struct oim_jwt j;
    const char *text;

    return verify(sign(EVP_sha256(), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, "openIM123"), &j, &text);
}

static void issue_and_verify(void **state)
{
    struct oim_jwt j;
    const char *text, *token = oim_jwt_issue(arena, "openIM123", "u<1>\"", 5, NOW, 90);

    assert_int_equal(strncmp(token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", 37), 0);
    assert_int_equal(verify(token, &j, &text), 0);
    assert_string_equal(j.user_id, "u<1>\"");
    assert_int_equal(j.platform_id, 5);
    assert_int_equal(j.exp, NOW + 90 * 86400);
    assert_int_equal(j.iat, NOW - 5);
    assert_int_equal(oim_jwt_verify(arena, "openIM123", token, strlen(token), NOW + 90 * 86400, &j, &text), 1501);
    assert_int_equal(oim_jwt_verify(arena, "openIM123", token, strlen(token), NOW + 90 * 86400 - 1, &j, &text), 0);
    assert_int_equal(oim_jwt_verify(arena, "other", token, strlen(token), NOW, &j, &text), 1505);
    assert_string_equal(text, "signature is invalid");
    /* forged and expired: the signature comes first */
    assert_int_equal(oim_jwt_verify(arena, "other", token, strlen(token), NOW + 90 * 86400, &j, &text), 1505);
}

/* Claims as upstream writes them, byte for byte. */
static void a_known_token(void **state)
{
    const char *token = oim_jwt_issue(arena, "openIM123", "imAdmin", 10, NOW, 90);
    const char *claims = "{\"UserID\":\"imAdmin\",\"PlatformID\":10,\"exp\":1707776000,\"iat\":1699999995}";

    assert_string_equal(token, sign(EVP_sha256(), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, "openIM123"));
}

static void algorithms(void **state)
{
    const char *claims = "{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000001,\"iat\":1700000000}", *text;
    struct oim_jwt j;

    assert_int_equal(verify(sign(EVP_sha384(), "{\"alg\":\"HS384\"}", claims, "openIM123"), &j, &text), 0);
    assert_int_equal(verify(sign(EVP_sha512(), "{\"alg\":\"HS512\"}", claims, "openIM123"), &j, &text), 0);
    assert_int_equal(verify(sign(EVP_sha256(), "{\"alg\":\"HS512\"}", claims, "openIM123"), &j, &text), 1505);
    assert_int_equal(verify(sign(EVP_sha256(), "{\"alg\":\"none\"}", claims, "openIM123"), &j, &text), 1505);
    assert_string_equal(text, "'none' signature type is not allowed");
    assert_int_equal(verify(sign(EVP_sha256(), "{\"alg\":\"RS256\"}", claims, "openIM123"), &j, &text), 1505);
    assert_string_equal(text, "key is of invalid type");
    assert_int_equal(verify(sign(EVP_sha256(), "{\"alg\":5}", claims, "openIM123"), &j, &text), 1505);
    assert_int_equal(verify(sign(EVP_sha256(), "{}", claims, "openIM123"), &j, &text), 1505);
    assert_string_equal(text, "signing method (alg) is unavailable.");
    assert_int_equal(verify(oim_arena_printf(arena, "%s.%s.", b64("{\"alg\":\"HS256\"}", 15), b64(claims, strlen(claims))), &j, &text), 1505);
}

static void claims_of_others(void **state)
{
    struct oim_jwt j;
    const char *text;

    assert_int_equal(code("{\"userid\":\"u\",\"platformid\":1,\"EXP\":1700000000.5,\"iat\":1699999999.9}"), 0);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000001}"), 0);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000001,\"iat\":1700000001}"), 1505);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000001,\"nbf\":1700000001}"), 1504);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000001,\"nbf\":1700000000}"), 0);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":1700000000,\"nbf\":1700000001}"), 1501);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"iat\":1}"), 1503);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":1,\"exp\":\"1700000001\"}"), 1503);
    assert_int_equal(code("{\"UserID\":5,\"PlatformID\":1,\"exp\":1700000001}"), 1503);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":\"1\",\"exp\":1700000001}"), 1503);
    assert_int_equal(code("{\"UserID\":\"imAdmin\\u0000x\",\"PlatformID\":1,\"exp\":1700000001}"), 1503);
    assert_int_equal(code("{\"UserID\":\"u\",\"PlatformID\":99999999999,\"exp\":1700000001}"), 1503);
    assert_int_equal(code("[]"), 1503);
    assert_int_equal(code("{"), 1503);
    assert_int_equal(verify(sign(EVP_sha256(), "{\"alg\":\"HS256\"}", "{\"exp\":1700000001}", "openIM123"), &j, &text), 0);
    assert_string_equal(j.user_id, "");
}

static void malformed(void **state)
{
    static const char *const tokens[] = {"", "x", "a.b", "a.b.c.d", "..", "eyJ.eyJ.x", "e30.e30=.x", "e30.e 0.x", "e30.e30.x"};
    char *token = oim_jwt_issue(arena, "openIM123", "u", 1, NOW, 90);
    struct oim_jwt j;
    const char *text;
    size_t len = strlen(token);
    char *long_one = oim_arena_alloc(arena, 100000);

    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) assert_int_equal(verify(tokens[i], &j, &text), 1503);
    memset(long_one, '.', 100000);
    assert_int_equal(oim_jwt_verify(arena, "openIM123", long_one, 100000, NOW, &j, &text), 1503);
    for (size_t i = 0; i < len; i++) assert_int_not_equal(oim_jwt_verify(arena, "openIM123", token, i, NOW, &j, &text), 0);
    for (size_t i = 0; i + 1 < len; i++) { /* the last character has unused bits */
        token[i] ^= 1;
        assert_int_not_equal(verify(token, &j, &text), 0);
        token[i] ^= 1;
    }
    assert_int_equal(verify(token, &j, &text), 0);
}

static void platforms(void **state)
{
    assert_null(oim_platform_name(0));
    assert_null(oim_platform_name(12));
    assert_null(oim_platform_name(-1));
    assert_string_equal(oim_platform_name(1), "IOS");
    assert_string_equal(oim_platform_name(11), "HarmonyOS");
    assert_int_equal(oim_platform_class(1), oim_platform_class(2));
    assert_int_equal(oim_platform_class(3), oim_platform_class(7));
    assert_int_equal(oim_platform_class(8), oim_platform_class(9));
    assert_int_not_equal(oim_platform_class(5), oim_platform_class(6));
    assert_int_equal(oim_platform_class(99), 0);
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    T(issue_and_verify), T(a_known_token), T(algorithms), T(claims_of_others), T(malformed), T(platforms),
};
UNIT_GROUP(unit_jwt, "tokens", tests, NULL);
