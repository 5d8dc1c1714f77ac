
/*
 * The grammar of RFC 8259 and nothing else; one bit a level says whether it is
 * in an object or in an array, so that hostile nesting costs neither stack nor
 * memory.  Called by ngx_http_openim_json.c.
 */


#include "ngx_http_openim_json_internal.h"


#define ngx_http_openim_json_space(c)                                        \
    ((c) == ' ' || (c) == '\t' || (c) == '\n' || (c) == '\r')


/* The end of the value that starts at p, NULL if there is none */

u_char *
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


u_char *
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


u_char *
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


u_char *
ngx_http_openim_json_scan_word(u_char *p, u_char *last, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (last - p) < len || ngx_memcmp(p, word, len) != 0) {
        return NULL;
    }

    return p + len;
}


u_char *
ngx_http_openim_json_skip_space(u_char *p, u_char *last)
{
    while (p < last && ngx_http_openim_json_space(*p)) {
        p++;
    }

    return p;
}
