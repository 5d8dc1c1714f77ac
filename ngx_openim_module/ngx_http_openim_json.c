
/*
 * The members of an object, one by one, and their values as C's; the contracts
 * are in ngx_http_openim_json.h.  Called by the other pure files.  Where a
 * value ends is found in ngx_http_openim_json_scan.c, what a string says in
 * ngx_http_openim_json_text.c.
 */


#include "ngx_http_openim_json_internal.h"
#include "oim_wire.h"

#include <stdlib.h>


#define NGX_HTTP_OPENIM_JSON_NUMBER_MAX  64


static ngx_uint_t ngx_http_openim_json_same(ngx_str_t *name, const char *key,
    ngx_uint_t exact);


void
ngx_http_openim_json_init(ngx_http_openim_json_t *json, u_char *data,
    size_t len)
{
    ngx_memzero(json, sizeof(ngx_http_openim_json_t));

    json->pos = data;
    json->last = len ? data + len : data;
}


ngx_int_t
ngx_http_openim_json_next(ngx_http_openim_json_t *json, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *p, *last, *end;

    last = json->last;
    p = ngx_http_openim_json_skip_space(json->pos, last);

    if (p == last) {
        return NGX_ERROR;
    }

    if (!json->begun) {

        if (*p == 'n') {
            p = ngx_http_openim_json_scan_word(p, last, "null");
            goto done;
        }

        if (*p++ != '{') {
            return NGX_ERROR;
        }

        p = ngx_http_openim_json_skip_space(p, last);

        if (p < last && *p == '}') {
            p++;
            goto done;
        }

        json->begun = 1;

    } else {

        if (*p == '}') {
            p++;
            goto done;
        }

        if (*p++ != ',') {
            return NGX_ERROR;
        }

        p = ngx_http_openim_json_skip_space(p, last);
    }

    if (p == last || *p != '"') {
        return NGX_ERROR;
    }

    end = ngx_http_openim_json_scan_string(p, last);
    if (end == NULL) {
        return NGX_ERROR;
    }

    name->data = p + 1;
    name->len = end - p - 2;

    p = ngx_http_openim_json_skip_space(end, last);

    if (p == last || *p++ != ':') {
        return NGX_ERROR;
    }

    p = ngx_http_openim_json_skip_space(p, last);

    end = ngx_http_openim_json_scan(p, last);
    if (end == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = end - p;

    json->pos = end;

    return NGX_OK;

done:

    if (p == NULL || ngx_http_openim_json_skip_space(p, last) != last) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


ngx_uint_t
ngx_http_openim_json_is(ngx_str_t *name, const char *key)
{
    return ngx_http_openim_json_same(name, key, 0);
}


ngx_uint_t
ngx_http_openim_json_is_exact(ngx_str_t *name, const char *key)
{
    return ngx_http_openim_json_same(name, key, 1);
}


static ngx_uint_t
ngx_http_openim_json_same(ngx_str_t *name, const char *key, ngx_uint_t exact)
{
    uint32_t       cp, k;
    const u_char  *p, *last;

    p = name->data;
    last = p + name->len;

    for ( /* void */ ; *key; key++) {

        if (p == last) {
            return 0;
        }

        p = ngx_http_openim_json_char(p, last, &cp);
        k = (u_char) *key;

        if (cp == k) {
            continue;
        }

        if (exact) {
            return 0;
        }

        /* the two letters outside ASCII whose other case is in it */

        if (cp == 0x212a) {                     /* Kelvin sign */
            cp = 'k';

        } else if (cp == 0x17f) {               /* long s */
            cp = 's';
        }

        if (cp >= 'A' && cp <= 'Z') {
            cp |= 0x20;
        }

        if (k >= 'A' && k <= 'Z') {
            k |= 0x20;
        }

        if (cp != k) {
            return 0;
        }
    }

    return p == last;
}


ngx_int_t
ngx_http_openim_json_string(ngx_str_t *value, ngx_http_openim_mem_t *mem,
    ngx_str_t *out)
{
    u_char        *dst;
    size_t         len;
    uint32_t       cp;
    const u_char  *p, *last, *start;

    if (ngx_http_openim_json_is_null(value)) {
        return NGX_OK;
    }

    if (value->data[0] != '"') {
        return NGX_DECLINED;
    }

    start = value->data + 1;
    last = value->data + value->len - 1;

    if (memchr(start, '\\', last - start) == NULL
        && oim_wire_utf8(start, last - start))
    {
        out->data = value->data + 1;
        out->len = last - start;
        return NGX_OK;
    }

    for (p = start, len = 0; p < last; /* void */ ) {
        p = ngx_http_openim_json_char(p, last, &cp);
        len += ngx_http_openim_json_put(NULL, cp);
    }

    dst = ngx_http_openim_mem_alloc(mem, len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    out->data = dst;
    out->len = len;

    for (p = start; p < last; /* void */ ) {
        p = ngx_http_openim_json_char(p, last, &cp);
        dst += ngx_http_openim_json_put(dst, cp);
    }

    return NGX_OK;
}


/* Integral literals only: Go takes neither 1.0 nor 1e3 for an integer */

ngx_int_t
ngx_http_openim_json_int(ngx_str_t *value, int64_t min, int64_t max,
    int64_t *out)
{
    u_char      *p, *last;
    int64_t      n;
    ngx_uint_t   minus;

    if (ngx_http_openim_json_is_null(value)) {
        return NGX_OK;
    }

    p = value->data;
    last = p + value->len;
    n = 0;

    minus = (*p == '-');
    p += minus;

    if (p == last) {
        return NGX_DECLINED;
    }

    /* counts down: the range below zero is the wider one */

    for ( /* void */ ; p < last; p++) {

        if (*p < '0' || *p > '9'
            || n < (INT64_MIN + (*p - '0')) / 10)
        {
            return NGX_DECLINED;
        }

        n = n * 10 - (*p - '0');
    }

    if (!minus) {
        if (n == INT64_MIN) {
            return NGX_DECLINED;
        }

        n = -n;
    }

    if (n < min || n > max) {
        return NGX_DECLINED;
    }

    *out = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_json_bool(ngx_str_t *value, ngx_uint_t *out)
{
    switch (value->data[0]) {

    case 'n':
        return NGX_OK;

    case 't':
        *out = 1;
        return NGX_OK;

    case 'f':
        *out = 0;
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/*
 * A time in seconds: a number, fraction and exponent allowed, also as a string;
 * cut to whole seconds.  null unsets it.
 */

ngx_int_t
ngx_http_openim_json_seconds(ngx_str_t *value, int64_t *out, ngx_uint_t *set)
{
    char     text[NGX_HTTP_OPENIM_JSON_NUMBER_MAX + 1];
    double   d;
    size_t   len;
    u_char  *p;

    if (ngx_http_openim_json_is_null(value)) {
        *set = 0;
        return NGX_OK;
    }

    p = value->data;
    len = value->len;

    if (*p == '"') {
        p++;
        len -= 2;
    }

    if (len > NGX_HTTP_OPENIM_JSON_NUMBER_MAX
        || ngx_http_openim_json_scan_number(p, p + len) != p + len)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(text, p, len);
    text[len] = '\0';

    d = strtod(text, NULL);

    if (!(d > -9e18 && d < 9e18)) {
        return NGX_DECLINED;
    }

    *out = (int64_t) d;
    *set = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_json_base64(ngx_str_t *value, ngx_http_openim_mem_t *mem,
    ngx_str_t *out)
{
    u_char     *p;
    ngx_str_t   text;
    ngx_int_t   rc;

    if (ngx_http_openim_json_is_null(value)) {
        out->data = NULL;
        out->len = 0;
        return NGX_OK;
    }

    p = mem->pos;

    rc = ngx_http_openim_json_string(value, mem, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (mem->pos != p) {
        /* it had escapes and lies in the scratch already: in place */
        return ngx_http_openim_base64_std(text.data, out, text.data,
                                          text.len);
    }

    p = ngx_http_openim_mem_alloc(mem, ngx_http_openim_base64_size(text.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_openim_base64_std(p, out, text.data, text.len);
}
