
/*
 * See ngx_http_openim_json.h.  The scanner at the bottom knows the grammar of
 * RFC 8259 and nothing else; one bit a level says whether it is in an object
 * or in an array, so that hostile nesting costs neither stack nor memory.
 */


#include "ngx_http_openim_json.h"
#include "oim_wire.h"

#include <stdlib.h>


#define NGX_HTTP_OPENIM_JSON_NUMBER_MAX  64

#define ngx_http_openim_json_space(c)                                        \
    ((c) == ' ' || (c) == '\t' || (c) == '\n' || (c) == '\r')


static u_char *ngx_http_openim_json_scan(u_char *p, u_char *last);
static u_char *ngx_http_openim_json_scan_string(u_char *p, u_char *last);
static u_char *ngx_http_openim_json_scan_number(u_char *p, u_char *last);
static u_char *ngx_http_openim_json_scan_word(u_char *p, u_char *last,
    const char *word);
static u_char *ngx_http_openim_json_skip_space(u_char *p, u_char *last);
static ngx_uint_t ngx_http_openim_json_same(ngx_str_t *name, const char *key,
    ngx_uint_t exact);
static const u_char *ngx_http_openim_json_char(const u_char *p,
    const u_char *last, uint32_t *cp);
static const u_char *ngx_http_openim_json_utf8(const u_char *p,
    const u_char *last, uint32_t *cp);
static ngx_uint_t ngx_http_openim_json_hex4(const u_char *p,
    const u_char *last, uint32_t *cp);
static size_t ngx_http_openim_json_put(u_char *p, uint32_t cp);
static size_t ngx_http_openim_json_escape(u_char *p, uint32_t cp,
    const u_char *text, size_t len);
static ngx_int_t ngx_http_openim_base64(u_char *p, ngx_str_t *out,
    const u_char *data, size_t len, ngx_uint_t url);
static ngx_int_t ngx_http_openim_base64_digit(u_char c, ngx_uint_t url);


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


/* The next code point of a checked string, its escapes decoded */

static const u_char *
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

static ngx_uint_t
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


static size_t
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


/* The end of the value that starts at p, NULL if there is none */

static u_char *
ngx_http_openim_json_scan(u_char *p, u_char *last)
{
    uint64_t    objects;
    ngx_uint_t  depth;
    enum {
        sw_value = 0,
        sw_first_value,
        sw_name,
        sw_first_name,
        sw_after
    } state;

    state = sw_value;
    objects = 0;
    depth = 0;

    for ( ;; ) {

        p = ngx_http_openim_json_skip_space(p, last);

        if (p == last) {
            return NULL;
        }

        switch (state) {

        case sw_first_value:
            if (*p == ']') {
                p++;
                goto up;
            }

            /* fall through */

        case sw_value:
            state = sw_after;

            switch (*p) {

            case '{':
            case '[':
                if (depth == NGX_HTTP_OPENIM_JSON_DEPTH) {
                    return NULL;
                }

                depth++;
                objects = objects << 1 | (*p == '{');
                state = (*p == '{') ? sw_first_name : sw_first_value;
                p++;
                continue;

            case '"':
                p = ngx_http_openim_json_scan_string(p, last);
                break;

            case 't':
                p = ngx_http_openim_json_scan_word(p, last, "true");
                break;

            case 'f':
                p = ngx_http_openim_json_scan_word(p, last, "false");
                break;

            case 'n':
                p = ngx_http_openim_json_scan_word(p, last, "null");
                break;

            default:
                p = ngx_http_openim_json_scan_number(p, last);
            }

            if (p == NULL || depth == 0) {
                return p;
            }

            continue;

        case sw_first_name:
            if (*p == '}') {
                p++;
                goto up;
            }

            /* fall through */

        case sw_name:
            if (*p != '"') {
                return NULL;
            }

            p = ngx_http_openim_json_scan_string(p, last);
            if (p == NULL) {
                return NULL;
            }

            p = ngx_http_openim_json_skip_space(p, last);

            if (p == last || *p++ != ':') {
                return NULL;
            }

            state = sw_value;
            continue;

        case sw_after:
            if (*p == ',') {
                p++;
                state = (objects & 1) ? sw_name : sw_value;
                continue;
            }

            if (*p++ != ((objects & 1) ? '}' : ']')) {
                return NULL;
            }
        }

    up:

        objects >>= 1;

        if (--depth == 0) {
            return p;
        }

        state = sw_after;
    }
}


static u_char *
ngx_http_openim_json_scan_string(u_char *p, u_char *last)
{
    uint32_t  cp;

    for (p++; p < last; p++) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p < 0x20) {
            return NULL;
        }

        if (*p != '\\') {
            continue;
        }

        if (last - p < 2) {
            return NULL;
        }

        switch (p[1]) {

        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            p++;
            break;

        case 'u':
            if (!ngx_http_openim_json_hex4(p, last, &cp)) {
                return NULL;
            }

            p += 5;
            break;

        default:
            return NULL;
        }
    }

    return NULL;
}


static u_char *
ngx_http_openim_json_scan_number(u_char *p, u_char *last)
{
    u_char  *start;

    if (p < last && *p == '-') {
        p++;
    }

    start = p;

    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    if (p == start || (*start == '0' && p - start > 1)) {
        return NULL;
    }

    if (p < last && *p == '.') {
        start = ++p;

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        if (p == start) {
            return NULL;
        }
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        start = p;

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        if (p == start) {
            return NULL;
        }
    }

    return p;
}


static u_char *
ngx_http_openim_json_scan_word(u_char *p, u_char *last, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (last - p) < len || ngx_memcmp(p, word, len) != 0) {
        return NULL;
    }

    return p + len;
}


static u_char *
ngx_http_openim_json_skip_space(u_char *p, u_char *last)
{
    while (p < last && ngx_http_openim_json_space(*p)) {
        p++;
    }

    return p;
}
