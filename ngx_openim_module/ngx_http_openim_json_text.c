
/*
 * The text of a JSON string, code point by code point: escapes and UTF-8 read
 * as Go reads them, and written as Go writes them (gateway.md 3.2).  Reading is
 * for ngx_http_openim_json.c; quoting for whoever writes JSON here, which is
 * ngx_http_openim_envelope_json.c and ngx_http_openim_args.c.
 */


#include "ngx_http_openim_json_internal.h"
#include "oim_wire.h"


static const u_char *ngx_http_openim_json_utf8(const u_char *p,
    const u_char *last, uint32_t *cp);
static size_t ngx_http_openim_json_escape(u_char *p, uint32_t cp,
    const u_char *text, size_t len);


/* The next code point of a checked string, its escapes decoded */

const u_char *
ngx_http_openim_json_char(const u_char *p, const u_char *last, uint32_t *cp)
{
    uint32_t  low;

    if (*p != '\\') {
        return ngx_http_openim_json_utf8(p, last, cp);
    }

    switch (p[1]) {

    case 'u':
        break;

    case 'b':
        *cp = '\b';
        return p + 2;

    case 'f':
        *cp = '\f';
        return p + 2;

    case 'n':
        *cp = '\n';
        return p + 2;

    case 'r':
        *cp = '\r';
        return p + 2;

    case 't':
        *cp = '\t';
        return p + 2;

    default: /* quote, backslash, slash */
        *cp = p[1];
        return p + 2;
    }

    (void) ngx_http_openim_json_hex4(p, last, cp);
    p += 6;

    if (*cp < 0xd800 || *cp > 0xdfff) {
        return p;
    }

    if (*cp < 0xdc00 && ngx_http_openim_json_hex4(p, last, &low)
        && low >= 0xdc00 && low <= 0xdfff)
    {
        *cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
        return p + 6;
    }

    *cp = 0xfffd;

    return p;
}


/* \uXXXX at p */

ngx_uint_t
ngx_http_openim_json_hex4(const u_char *p, const u_char *last, uint32_t *cp)
{
    u_char      c;
    ngx_uint_t  i;

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return 0;
    }

    *cp = 0;

    for (i = 2; i < 6; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else {
            c |= 0x20;

            if (c < 'a' || c > 'f') {
                return 0;
            }

            c -= 'a' - 10;
        }

        *cp = *cp << 4 | c;
    }

    return 1;
}


/* One byte that begins no valid sequence counts as U+FFFD */

static const u_char *
ngx_http_openim_json_utf8(const u_char *p, const u_char *last, uint32_t *cp)
{
    size_t      n;
    ngx_uint_t  i;

    if (p[0] < 0x80) {
        *cp = p[0];
        return p + 1;
    }

    n = (p[0] < 0xe0) ? 2 : (p[0] < 0xf0) ? 3 : 4;

    if ((size_t) (last - p) < n || !oim_wire_utf8(p, n)) {
        *cp = 0xfffd;
        return p + 1;
    }

    *cp = p[0] & (0xff >> (n + 1));

    for (i = 1; i < n; i++) {
        *cp = *cp << 6 | (p[i] & 0x3f);
    }

    return p + n;
}


size_t
ngx_http_openim_json_put(u_char *p, uint32_t cp)
{
    size_t  n;

    n = (cp < 0x80) ? 1 : (cp < 0x800) ? 2 : (cp < 0x10000) ? 3 : 4;

    if (p == NULL) {
        return n;
    }

    switch (n) {

    case 1:
        p[0] = (u_char) cp;
        break;

    case 2:
        p[0] = (u_char) (0xc0 | cp >> 6);
        p[1] = (u_char) (0x80 | (cp & 0x3f));
        break;

    case 3:
        p[0] = (u_char) (0xe0 | cp >> 12);
        p[1] = (u_char) (0x80 | (cp >> 6 & 0x3f));
        p[2] = (u_char) (0x80 | (cp & 0x3f));
        break;

    default:
        p[0] = (u_char) (0xf0 | cp >> 18);
        p[1] = (u_char) (0x80 | (cp >> 12 & 0x3f));
        p[2] = (u_char) (0x80 | (cp >> 6 & 0x3f));
        p[3] = (u_char) (0x80 | (cp & 0x3f));
    }

    return n;
}


size_t
ngx_http_openim_json_quote(u_char *p, const u_char *data, size_t len)
{
    return ngx_http_openim_json_quote_max(p, data, len, (size_t) -1);
}


size_t
ngx_http_openim_json_quote_max(u_char *p, const u_char *data, size_t len,
    size_t max)
{
    u_char         text[12];
    size_t         n, size;
    uint32_t       cp;
    const u_char  *last, *next;

    last = len ? data + len : data;
    size = 1;

    if (p) {
        p[0] = '"';
    }

    while (data < last) {

        next = ngx_http_openim_json_utf8(data, last, &cp);
        n = ngx_http_openim_json_escape(text, cp, data, next - data);

        if (n > max - 1 - size) {
            break;
        }

        if (p) {
            ngx_memcpy(p + size, text, n);
        }

        size += n;
        data = next;
    }

    if (p) {
        p[size] = '"';
    }

    return size + 1;
}


/* cp, which is len bytes of text, as it stands in a string: 1..12 bytes */

static size_t
ngx_http_openim_json_escape(u_char *p, uint32_t cp, const u_char *text,
    size_t len)
{
    size_t        n;
    u_char        c;
    uint32_t      unit;
    ngx_uint_t    i;
    static u_char hex[] = "0123456789abcdef";

    switch (cp) {

    case '"':
    case '\\':
        c = (u_char) cp;
        break;

    case '\n':
        c = 'n';
        break;

    case '\r':
        c = 'r';
        break;

    case '\t':
        c = 't';
        break;

    default:
        c = 0;
    }

    if (c) {
        p[0] = '\\';
        p[1] = c;
        return 2;
    }

    if (!(cp < 0x20 || cp == '<' || cp == '>' || cp == '&' || cp == 0x2028
          || cp == 0x2029 || cp > 0xffff || (cp == 0xfffd && len == 1)))
    {
        ngx_memcpy(p, text, len);
        return len;
    }

    n = 0;

    for (i = 0; i < 2; i++) {

        if (cp > 0xffff) {
            unit = (i == 0) ? 0xd800 + ((cp - 0x10000) >> 10)
                            : 0xdc00 + ((cp - 0x10000) & 0x3ff);
        } else {
            unit = cp;
        }

        p[n++] = '\\';
        p[n++] = 'u';
        p[n++] = hex[unit >> 12];
        p[n++] = hex[unit >> 8 & 0xf];
        p[n++] = hex[unit >> 4 & 0xf];
        p[n++] = hex[unit & 0xf];

        if (cp <= 0xffff) {
            break;
        }
    }

    return n;
}
