/*
 * ngx_http_openim_token.c: tokens made here with OpenSSL, each way to be wrong with its code and text,
 * and which of two faults is told.
 */
#include "test.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ngx_http_openim_token.h"

#define NOW 1800000000

static const char secret[] = "openIM123";
static const char hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
static char token[4000];

static char *url64(char *out, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const u_char *s = data;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)s[i] << 16 | (i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < len ? s[i + 2] : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        if (i + 1 < len) *out++ = digits[bits >> 6 & 63];
        if (i + 2 < len) *out++ = digits[bits & 63];
    }
    *out = '\0';
    return out;
}

static void sign(const char *header, const char *claims, const EVP_MD *md, const char *key)
{
    u_char mac[64];
    unsigned len;
    char *p = url64(token, header, strlen(header));
    *p++ = '.';
    p = url64(p, claims, strlen(claims));
    assert_non_null(HMAC(md, key, (int)strlen(key), (u_char *)token, (size_t)(p - token), mac, &len));
    *p++ = '.';
    url64(p, mac, len);
}

static ngx_http_openim_token_t got;
static ngx_http_openim_error_t err;
static struct scratch scratch;
static u_char *block;

static int drop(void **state)
{
    (void)state;
    free(scratch.start);
    free(block);
    scratch.start = block = NULL;
    return 0;
}

static ngx_int_t verify_with(const char *key)
{
    ngx_str_t text = str_dup(token), k = str(key);
    drop(NULL);
    block = text.data;
    scratch = scratch_new(ngx_http_openim_token_scratch(text.len));
    return ngx_http_openim_token_verify(&got, &text, &k, NOW, &scratch.mem, &err);
}

static void expect(int code, const char *msg)
{
    ngx_int_t rc = verify_with(secret);
    if (code == 0) {
        if (rc != NGX_OK) fail_msg("%s: %d", token, (int)err.code);
        return;
    }
    assert_int_equal(rc, NGX_DECLINED);
    assert_int_equal(err.code, code);
    assert_str(err.msg, msg);
    assert_int_equal(err.dlt.len, 0);
}

static void good(void **state)
{
    (void)state;
    sign(hs256, "{\"UserID\":\"u1001\",\"PlatformID\":5,\"exp\":1800000001,\"iat\":1799999995}", EVP_sha256(), secret);
    expect(0, NULL);
    assert_str(got.user_id, "u1001");
    assert_int_equal(got.platform_id, 5);
    assert_true(got.exp == 1800000001);
    assert_true(got.iat == 1799999995);

    sign("{\"alg\":\"HS384\"}", "{\"UserID\":\"u\",\"exp\":1800000001}", EVP_sha384(), secret);
    expect(0, NULL);
    assert_int_equal(got.platform_id, 0);
    sign("{\"alg\":\"HS512\"}", "{\"UserID\":\"u\",\"exp\":1800000001}", EVP_sha512(), secret);
    expect(0, NULL);

    sign("{\"alg\":\"none\",\"x\":[1],\"alg\":\"\\u0048S256\"}",
         "{\"userid\":\"\\u7528\\ud83d\\ude00\",\"PLATFORMID\":-3,\"EXP\":1800000000.99e0,\"Iat\":1.8e9,\"nbf\":\"1799999700\",\"iss\":null,\"aud\":[\"x\"]}",
         EVP_sha256(), secret);
    expect(1501, "TokenExpiredError"); /* the fraction of exp is cut */
    sign(hs256, "{\"userid\":\"\\u7528\\ud83d\\ude00\",\"PLATFORMID\":-3,\"EXP\":1800000001.5,\"Iat\":1.8e9,\"nbf\":\"1799999700\",\"iss\":null,\"aud\":[\"x\"]}",
         EVP_sha256(), secret);
    expect(0, NULL);
    assert_str(got.user_id, "\xe7\x94\xa8\xf0\x9f\x98\x80");
    assert_int_equal(got.platform_id, -3);

    sign(hs256, "{\"UserID\":\"u\",\"exp\":1800000001,\"iat\":null,\"nbf\":null}", EVP_sha256(), "");
    assert_int_equal(verify_with(""), NGX_OK);
    sign(hs256, "{\"UserID\":\"u\",\"exp\":1800000001}", EVP_sha256(), "a key that is longer than one block of the hash, which is what the hash of it is for, so 128");
    assert_int_equal(verify_with("a key that is longer than one block of the hash, which is what the hash of it is for, so 128"), NGX_OK);
    assert_int_equal(verify_with("another"), NGX_DECLINED);
}

/* RFC 7515 A.1: a token that others made, with its key (one byte of it is NUL) */
static void rfc7515(void **state)
{
    (void)state;
    strcpy(token, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    u_char key[100];
    ngx_str_t k, text = str(token);
    static const char jwk[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    size_t n = 0;
    uint32_t bits = 0, have = 0;
    for (const char *c = jwk; *c != '\0'; c++) {
        const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        bits = bits << 6 | (uint32_t)(strchr(digits, *c) - digits);
        have += 6;
        if (have >= 8) key[n++] = (u_char)(bits >> (have -= 8));
    }
    k = (ngx_str_t){n, key};
    assert_int_equal(n, 64);
    struct scratch s = scratch_new(ngx_http_openim_token_scratch(text.len));
    assert_int_equal(ngx_http_openim_token_verify(&got, &text, &k, 1300819379, &s.mem, &err), NGX_OK);
    s.mem.pos = s.start;
    assert_int_equal(ngx_http_openim_token_verify(&got, &text, &k, 1300819380, &s.mem, &err), NGX_DECLINED);
    assert_int_equal(err.code, 1501);
    s.mem.pos = s.start;
    key[63] ^= 1;
    assert_int_equal(ngx_http_openim_token_verify(&got, &text, &k, 1300819379, &s.mem, &err), NGX_DECLINED);
    assert_str(err.msg, "signature is invalid");
    free(s.start);
}

static void times(void **state)
{
    (void)state;
    static const struct { const char *claims; int code; const char *msg; } cases[] = {
        {"{\"UserID\":\"u\",\"exp\":1800000000}", 1501, "TokenExpiredError"},
        {"{\"UserID\":\"u\",\"exp\":1799999999}", 1501, "TokenExpiredError"},
        {"{\"UserID\":\"u\",\"exp\":0}", 1501, "TokenExpiredError"},
        {"{\"UserID\":\"u\",\"exp\":-5}", 1501, "TokenExpiredError"},
        {"{\"UserID\":\"u\",\"exp\":1800000001,\"nbf\":1800000001}", 1504, "TokenNotValidYetError"},
        {"{\"UserID\":\"u\",\"exp\":1800000001,\"nbf\":1800000000}", 0, NULL},
        {"{\"UserID\":\"u\",\"exp\":1800000001,\"iat\":1800000001}", 1505, "token used before issued"},
        {"{\"UserID\":\"u\",\"exp\":1800000001,\"iat\":1800000000}", 0, NULL},
        {"{\"UserID\":\"u\",\"exp\":1,\"nbf\":1900000000,\"iat\":1900000000}", 1501, "TokenExpiredError"},
        {"{\"UserID\":\"u\",\"exp\":1900000000,\"nbf\":1900000000,\"iat\":1900000000}", 1504, "TokenNotValidYetError"},
        {"{\"UserID\":\"u\"}", 1503, "TokenMalformedError"},
        {"{\"UserID\":\"u\",\"exp\":null}", 1503, "TokenMalformedError"},
        {"{\"UserID\":\"u\",\"exp\":1800000001,\"exp\":null}", 1503, "TokenMalformedError"},
        {"null", 1503, "TokenMalformedError"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        sign(hs256, cases[i].claims, EVP_sha256(), secret);
        expect(cases[i].code, cases[i].msg);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *raw[] = {
        "", ".", "..", "a", "a.b", "a.b.c", "garbage", "e30.e30", "e30.e30.a.b", "e30=.e30.", "e30.e30=.", "e3!.e30.", "W10.e30.", "e30.W10.", "e30.MQ.", "MQ.e30.", "e30..",
    };
    static const char *claims[] = {
        "{\"UserID\":1}", "{\"PlatformID\":\"5\"}", "{\"PlatformID\":5.0}", "{\"PlatformID\":5e0}", "{\"exp\":\"x\"}", "{\"exp\":true}", "{\"exp\":{}}", "{\"exp\":1e400}",
        "{\"iat\":[]}", "{\"nbf\":\"\"}", "{\"iss\":1}", "{\"sub\":[]}", "{\"jti\":{}}", "{\"UserID\":\"u\"", "[]", "1", "",
    };
    for (size_t i = 0; i < COUNT(raw); i++) {
        strcpy(token, raw[i]);
        expect(1503, "TokenMalformedError");
    }
    for (size_t i = 0; i < COUNT(claims); i++) {
        sign(hs256, claims[i], EVP_sha256(), secret);
        expect(1503, "TokenMalformedError");
        sign("{\"alg\":\"none\"}", claims[i], EVP_sha256(), secret); /* the shape comes before the algorithm */
        expect(1503, "TokenMalformedError");
    }
    sign("{\"alg\":", "{}", EVP_sha256(), secret);
    expect(1503, "TokenMalformedError");
}

static void algorithms(void **state)
{
    (void)state;
    static const char key_type[] = "key is of invalid type";
    static const struct { const char *header, *msg; } cases[] = {
        {"{\"alg\":\"none\"}", "'none' signature type is not allowed"},
        {"{\"alg\":\"None\"}", "signing method (alg) is unavailable."},
        {"{\"alg\":\"hs256\"}", "signing method (alg) is unavailable."},
        {"{\"alg\":\"HS256 \"}", "signing method (alg) is unavailable."},
        {"{\"alg\":\"\"}", "signing method (alg) is unavailable."},
        {"{\"alg\":\"HS1\"}", "signing method (alg) is unavailable."},
        {"{}", "signing method (alg) is unspecified."},
        {"null", "signing method (alg) is unspecified."},
        {"{\"Alg\":\"HS256\"}", "signing method (alg) is unspecified."},
        {"{\"alg\":null}", "signing method (alg) is unspecified."},
        {"{\"alg\":256}", "signing method (alg) is unspecified."},
        {"{\"alg\":\"HS256\",\"alg\":1}", "signing method (alg) is unspecified."},
        {"{\"alg\":\"RS256\"}", key_type}, {"{\"alg\":\"RS512\"}", key_type}, {"{\"alg\":\"ES256\"}", key_type}, {"{\"alg\":\"PS384\"}", key_type},
        {"{\"alg\":\"EdDSA\"}", key_type},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        sign(cases[i].header, "{\"UserID\":\"u\",\"PlatformID\":5,\"exp\":1900000000}", EVP_sha256(), secret);
        expect(1505, cases[i].msg);
        strrchr(token, '.')[1] = '\0'; /* and without a signature */
        expect(1505, cases[i].msg);
    }
}

static void signatures(void **state)
{
    (void)state;
    static const char claims[] = "{\"UserID\":\"u\",\"PlatformID\":5,\"exp\":1900000000}";
    static const char wrong[] = "signature is invalid";

    sign(hs256, claims, EVP_sha256(), "openIM124");
    expect(1505, wrong);
    sign(hs256, claims, EVP_sha512(), secret);
    expect(1505, wrong);
    sign("{\"alg\":\"HS512\"}", claims, EVP_sha256(), secret);
    expect(1505, wrong);
    sign(hs256, "{\"UserID\":\"u\",\"exp\":1}", EVP_sha256(), "other"); /* forged and expired */
    expect(1505, wrong);
    sign(hs256, "{\"UserID\":\"u\"}", EVP_sha256(), "other"); /* forged and without exp */
    expect(1505, wrong);

    sign(hs256, claims, EVP_sha256(), secret);
    size_t len = strlen(token), last = (size_t)(strrchr(token, '.') - token);
    for (size_t i = 0; i < len; i++) { /* no character may change (but for bits that base64 drops) */
        char c = token[i];
        if (c == '.') continue;
        token[i] = c == 'A' ? 'B' : 'A';
        ngx_int_t rc = verify_with(secret);
        if (i != len - 1) assert_int_equal(rc, NGX_DECLINED);
        token[i] = c;
    }
    for (size_t n = last + 1; n < len; n++) { /* nor be missing */
        char c = token[n];
        token[n] = '\0';
        expect(1505, wrong);
        token[n] = c;
    }
    strcat(token, "AAAA");
    expect(1505, wrong);
    strcat(token, "!");
    expect(1505, wrong);
}

static void scratch_runs_out(void **state)
{
    (void)state;
    sign("{\"alg\":\"\\u0048S256\"}", "{\"UserID\":\"\\u0075\xff\",\"exp\":1900000000}", EVP_sha256(), secret);
    ngx_str_t text = str(token), k = str(secret);
    int failed = 0, passed = 0;
    for (size_t n = 0; n <= ngx_http_openim_token_scratch(text.len); n++) {
        struct scratch s = scratch_new(n);
        ngx_int_t rc = ngx_http_openim_token_verify(&got, &text, &k, NOW, &s.mem, &err);
        assert_true(rc == NGX_OK || rc == NGX_ERROR);
        assert_false(rc == NGX_ERROR && passed);
        failed += rc == NGX_ERROR;
        passed += rc == NGX_OK;
        free(s.start);
    }
    assert_true(failed > 0 && passed > 0);

    char claims[1100] = "{\"UserID\":\""; /* what grows most */
    memset(claims + 11, 0xff, 1000);
    strcpy(claims + 1011, "\",\"exp\":1900000000}");
    sign(hs256, claims, EVP_sha256(), secret);
    expect(0, NULL);
    assert_int_equal(got.user_id.len, 3000);
}

static void match(void **state)
{
    (void)state;
    ngx_http_openim_args_t args = {.send_id = str("u1001"), .platform_id = 5};
    got = (ngx_http_openim_token_t){.user_id = str("u1001"), .platform_id = 5};
    struct scratch s = scratch_new(128);

    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_OK);
    assert_int_equal(scratch_used(&s), 0);

    got.platform_id = 2;
    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_DECLINED);
    assert_int_equal(err.code, 1502);
    assert_str(err.msg, "TokenInvalidError");
    assert_str(err.dlt, "token platform 2 != platformID 5");

    got.platform_id = -1;
    args.send_id = str("u1002");
    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_DECLINED);
    assert_str(err.dlt, "token uid u1001 != userID u1002");

    got.user_id = str("");
    s.mem.pos = s.start;
    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_DECLINED);
    assert_str(err.dlt, "token uid  != userID u1002");

    s.mem.pos = s.mem.last;
    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_DECLINED);
    assert_int_equal(err.code, 1502);
    assert_int_equal(err.dlt.len, 0);
    args.send_id = str("");
    assert_int_equal(ngx_http_openim_token_match(&got, &args, &s.mem, &err), NGX_DECLINED);
    assert_int_equal(err.dlt.len, 0);
    free(s.start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(good, drop),       cmocka_unit_test(rfc7515),                    cmocka_unit_test_teardown(times, drop),
        cmocka_unit_test_teardown(malformed, drop),  cmocka_unit_test_teardown(algorithms, drop),  cmocka_unit_test_teardown(signatures, drop),
        cmocka_unit_test_teardown(scratch_runs_out, drop), cmocka_unit_test(match),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
