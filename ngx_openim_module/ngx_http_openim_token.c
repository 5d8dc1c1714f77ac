
/*
 * See ngx_http_openim_token.h.  The order is that of the library whose answers
 * clients know (gateway.md 1.6): the shape of the whole token, the algorithm,
 * the signature, and only then the times.
 */


#include "ngx_http_openim_token.h"
#include "ngx_http_openim_json.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>


typedef struct {
    const char      *name;
    const EVP_MD  *(*md)(void);
    const char      *error;
} ngx_http_openim_token_alg_t;


typedef struct {
    int64_t          nbf;
    ngx_uint_t       exp_set;
    ngx_uint_t       iat_set;
    ngx_uint_t       nbf_set;
} ngx_http_openim_token_times_t;


static ngx_int_t ngx_http_openim_token_split(ngx_str_t *text,
    ngx_str_t segments[3]);
static ngx_int_t ngx_http_openim_token_header(ngx_str_t *header,
    ngx_http_openim_mem_t *mem, ngx_str_t *alg);
static ngx_int_t ngx_http_openim_token_claims(ngx_str_t *claims,
    ngx_http_openim_mem_t *mem, ngx_http_openim_token_t *token,
    ngx_http_openim_token_times_t *times);
static ngx_int_t ngx_http_openim_token_string(ngx_str_t *value);
static ngx_int_t ngx_http_openim_token_signature(ngx_str_t *text,
    ngx_str_t *alg, ngx_str_t *signature, ngx_str_t *secret,
    ngx_http_openim_mem_t *mem, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_token_fail(ngx_http_openim_error_t *err,
    ngx_int_t code);
static ngx_int_t ngx_http_openim_token_unknown(ngx_http_openim_error_t *err,
    const char *msg);
static ngx_int_t ngx_http_openim_token_decode(ngx_str_t *segment,
    ngx_http_openim_mem_t *mem, ngx_str_t *out);


#define NGX_HTTP_OPENIM_KEY_TYPE  "key is of invalid type"

static ngx_http_openim_token_alg_t  ngx_http_openim_token_algs[] = {
    { "HS256", EVP_sha256, NULL },
    { "HS384", EVP_sha384, NULL },
    { "HS512", EVP_sha512, NULL },
    { "none", NULL, "'none' signature type is not allowed" },
    { "RS256", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "RS384", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "RS512", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "ES256", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "ES384", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "ES512", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "PS256", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "PS384", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "PS512", NULL, NGX_HTTP_OPENIM_KEY_TYPE },
    { "EdDSA", NULL, NGX_HTTP_OPENIM_KEY_TYPE }
};


ngx_int_t
ngx_http_openim_token_verify(ngx_http_openim_token_t *token, ngx_str_t *text,
    ngx_str_t *secret, int64_t now, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err)
{
    ngx_int_t                      rc;
    ngx_str_t                      segments[3], json, alg;
    ngx_http_openim_token_times_t  times;

    ngx_memzero(token, sizeof(ngx_http_openim_token_t));
    ngx_memzero(&times, sizeof(ngx_http_openim_token_times_t));

    if (ngx_http_openim_token_split(text, segments) != NGX_OK) {
        return ngx_http_openim_token_fail(err,
                                          NGX_HTTP_OPENIM_E_TOKEN_MALFORMED);
    }

    rc = ngx_http_openim_token_decode(&segments[0], mem, &json);

    if (rc == NGX_OK) {
        rc = ngx_http_openim_token_header(&json, mem, &alg);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_openim_token_decode(&segments[1], mem, &json);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_openim_token_claims(&json, mem, token, &times);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_openim_token_fail(err,
                                          NGX_HTTP_OPENIM_E_TOKEN_MALFORMED);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_openim_token_signature(text, &alg, &segments[2], secret,
                                         mem, err);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!times.exp_set) {
        return ngx_http_openim_token_fail(err,
                                          NGX_HTTP_OPENIM_E_TOKEN_MALFORMED);
    }

    if (now >= token->exp) {
        return ngx_http_openim_token_fail(err,
                                          NGX_HTTP_OPENIM_E_TOKEN_EXPIRED);
    }

    if (times.nbf_set && now < times.nbf) {
        return ngx_http_openim_token_fail(err,
                                          NGX_HTTP_OPENIM_E_TOKEN_NOT_YET);
    }

    if (times.iat_set && now < token->iat) {
        return ngx_http_openim_token_unknown(err,
                                             "token used before issued");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_token_split(ngx_str_t *text, ngx_str_t segments[3])
{
    u_char      *p, *last, *dot;
    ngx_uint_t   i;

    p = text->data;
    last = text->len ? p + text->len : p;

    for (i = 0; i < 3; i++) {

        dot = (p < last) ? memchr(p, '.', last - p) : NULL;

        if ((dot == NULL) != (i == 2)) {
            return NGX_DECLINED;
        }

        segments[i].data = p;
        segments[i].len = (dot ? dot : last) - p;

        p = dot ? dot + 1 : last;
    }

    return NGX_OK;
}


/* Unlike those of claims, the names here are case-sensitive */

static ngx_int_t
ngx_http_openim_token_header(ngx_str_t *header, ngx_http_openim_mem_t *mem,
    ngx_str_t *alg)
{
    ngx_int_t               rc;
    ngx_str_t               name, value;
    ngx_http_openim_json_t  json;

    alg->data = NULL;
    alg->len = 0;

    ngx_http_openim_json_init(&json, header->data, header->len);

    for ( ;; ) {

        rc = ngx_http_openim_json_next(&json, &name, &value);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : NGX_DECLINED;
        }

        if (!ngx_http_openim_json_is_exact(&name, "alg")) {
            continue;
        }

        /* not a string counts as missing */

        alg->data = NULL;
        alg->len = 0;

        if (ngx_http_openim_json_string(&value, mem, alg) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_openim_token_claims(ngx_str_t *claims, ngx_http_openim_mem_t *mem,
    ngx_http_openim_token_t *token, ngx_http_openim_token_times_t *times)
{
    int64_t                 platform;
    ngx_int_t               rc;
    ngx_str_t               name, value;
    ngx_http_openim_json_t  json;

    platform = 0;

    ngx_http_openim_json_init(&json, claims->data, claims->len);

    for ( ;; ) {

        rc = ngx_http_openim_json_next(&json, &name, &value);

        if (rc == NGX_DONE) {
            token->platform_id = (ngx_int_t) platform;
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_http_openim_json_is(&name, "UserID")) {
            rc = ngx_http_openim_json_string(&value, mem, &token->user_id);

        } else if (ngx_http_openim_json_is(&name, "PlatformID")) {
            rc = ngx_http_openim_json_int(&value, INT64_MIN, INT64_MAX,
                                          &platform);

        } else if (ngx_http_openim_json_is(&name, "exp")) {
            rc = ngx_http_openim_json_seconds(&value, &token->exp,
                                              &times->exp_set);

        } else if (ngx_http_openim_json_is(&name, "iat")) {
            rc = ngx_http_openim_json_seconds(&value, &token->iat,
                                              &times->iat_set);

        } else if (ngx_http_openim_json_is(&name, "nbf")) {
            rc = ngx_http_openim_json_seconds(&value, &times->nbf,
                                              &times->nbf_set);

        } else if (ngx_http_openim_json_is(&name, "iss")
                   || ngx_http_openim_json_is(&name, "sub")
                   || ngx_http_openim_json_is(&name, "jti"))
        {
            rc = ngx_http_openim_token_string(&value);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* A claim that nobody reads still has its type */

static ngx_int_t
ngx_http_openim_token_string(ngx_str_t *value)
{
    return (value->data[0] == '"' || ngx_http_openim_json_is_null(value))
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_openim_token_signature(ngx_str_t *text, ngx_str_t *alg,
    ngx_str_t *signature, ngx_str_t *secret, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err)
{
    u_char                        md[EVP_MAX_MD_SIZE];
    unsigned int                  len;
    ngx_int_t                     rc;
    ngx_str_t                     given;
    ngx_uint_t                    i, n;
    ngx_http_openim_token_alg_t  *a;

    if (alg->data == NULL) {
        return ngx_http_openim_token_unknown(err,
                                   "signing method (alg) is unspecified.");
    }

    n = sizeof(ngx_http_openim_token_algs)
        / sizeof(ngx_http_openim_token_algs[0]);

    for (i = 0, a = NULL; i < n; i++) {

        if (alg->len == strlen(ngx_http_openim_token_algs[i].name)
            && ngx_memcmp(alg->data, ngx_http_openim_token_algs[i].name,
                          alg->len) == 0)
        {
            a = &ngx_http_openim_token_algs[i];
        }
    }

    if (a == NULL) {
        return ngx_http_openim_token_unknown(err,
                                   "signing method (alg) is unavailable.");
    }

    if (a->md == NULL) {
        return ngx_http_openim_token_unknown(err, a->error);
    }

    rc = ngx_http_openim_token_decode(signature, mem, &given);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {

        if (HMAC(a->md(), secret->len ? (void *) secret->data : "",
                 (int) secret->len, text->data,
                 signature->data - text->data - 1, md, &len)
            == NULL)
        {
            return NGX_ERROR;
        }

        if (given.len == len && CRYPTO_memcmp(md, given.data, len) == 0) {
            return NGX_OK;
        }
    }

    return ngx_http_openim_token_unknown(err, "signature is invalid");
}


static ngx_int_t
ngx_http_openim_token_fail(ngx_http_openim_error_t *err, ngx_int_t code)
{
    ngx_http_openim_error_set(err, code, "");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_openim_token_unknown(ngx_http_openim_error_t *err, const char *msg)
{
    ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_TOKEN_UNKNOWN, "");

    err->msg.data = (u_char *) msg;
    err->msg.len = strlen(msg);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_openim_token_decode(ngx_str_t *segment, ngx_http_openim_mem_t *mem,
    ngx_str_t *out)
{
    u_char  *p;

    p = ngx_http_openim_mem_alloc(mem,
                                  ngx_http_openim_base64_size(segment->len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_openim_base64_url(p, out, segment->data, segment->len);
}


ngx_int_t
ngx_http_openim_token_match(ngx_http_openim_token_t *token,
    ngx_http_openim_args_t *args, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err)
{
    u_char     *p;
    ngx_str_t  *user, *id;

    static u_char  uid[] = "token uid ";
    static u_char  not_uid[] = " != userID ";

    user = &token->user_id;
    id = &args->send_id;

    if (user->len != id->len
        || (id->len && ngx_memcmp(user->data, id->data, id->len) != 0))
    {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_TOKEN_INVALID, "");

        p = ngx_http_openim_mem_alloc(mem, sizeof(uid) - 1 + user->len
                                           + sizeof(not_uid) - 1 + id->len);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        err->dlt.data = p;

        p = ngx_cpymem(p, uid, sizeof(uid) - 1);
        if (user->len) {
            p = ngx_cpymem(p, user->data, user->len);
        }

        p = ngx_cpymem(p, not_uid, sizeof(not_uid) - 1);
        if (id->len) {
            p = ngx_cpymem(p, id->data, id->len);
        }

        err->dlt.len = p - err->dlt.data;

        return NGX_DECLINED;
    }

    if (token->platform_id != (ngx_int_t) args->platform_id) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_TOKEN_INVALID, "");

        p = ngx_http_openim_mem_alloc(mem, 64);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        err->dlt.data = p;
        err->dlt.len = snprintf((char *) p, 64,
                                "token platform %lld != platformID %llu",
                                (long long) token->platform_id,
                                (unsigned long long) args->platform_id);

        return NGX_DECLINED;
    }

    return NGX_OK;
}
