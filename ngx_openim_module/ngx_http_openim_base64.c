
/*
 * base64 as Go's decoders read it (ngx_http_openim_json.h).  Called for values
 * of JSON by ngx_http_openim_json.c and for tokens by ngx_http_openim_token.c.
 */


#include "ngx_http_openim_json.h"


static ngx_int_t ngx_http_openim_base64(u_char *p, ngx_str_t *out,
    const u_char *data, size_t len, ngx_uint_t url);
static ngx_int_t ngx_http_openim_base64_digit(u_char c, ngx_uint_t url);


ngx_int_t
ngx_http_openim_base64_std(u_char *p, ngx_str_t *out, const u_char *data,
    size_t len)
{
    return ngx_http_openim_base64(p, out, data, len, 0);
}


ngx_int_t
ngx_http_openim_base64_url(u_char *p, ngx_str_t *out, const u_char *data,
    size_t len)
{
    return ngx_http_openim_base64(p, out, data, len, 1);
}


/* p may be data: it never gets ahead */

static ngx_int_t
ngx_http_openim_base64(u_char *p, ngx_str_t *out, const u_char *data,
    size_t len, ngx_uint_t url)
{
    u_char        *start;
    uint32_t       bits;
    ngx_int_t      digit;
    ngx_uint_t     n, pad;
    const u_char  *last;

    start = p;
    last = len ? data + len : data;
    bits = 0;
    n = 0;
    pad = 0;

    for ( /* void */ ; data < last; data++) {

        if (*data == '\r' || *data == '\n') {
            continue;
        }

        if (*data == '=' && !url) {
            pad++;

            if (n < 2 || n + pad > 4) {
                return NGX_DECLINED;
            }

            continue;
        }

        digit = ngx_http_openim_base64_digit(*data, url);

        if (digit < 0 || pad) {
            return NGX_DECLINED;
        }

        bits = bits << 6 | (uint32_t) digit;

        if (++n == 4) {
            *p++ = (u_char) (bits >> 16);
            *p++ = (u_char) (bits >> 8);
            *p++ = (u_char) bits;
            n = 0;
        }
    }

    if (n == 1 || (n && !url && n + pad != 4)) {
        return NGX_DECLINED;
    }

    if (n == 2) {
        *p++ = (u_char) (bits >> 4);

    } else if (n == 3) {
        *p++ = (u_char) (bits >> 10);
        *p++ = (u_char) (bits >> 2);
    }

    out->data = start;
    out->len = p - start;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_base64_digit(u_char c, ngx_uint_t url)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == (url ? '-' : '+')) {
        return 62;
    }

    if (c == (url ? '_' : '/')) {
        return 63;
    }

    return -1;
}
