
/*
 * JSON over bytes, without memory of its own and without recursion: an object's
 * members are walked, each value is checked and handed out as its text.  The
 * tolerances are those of Go's decoder (gateway.md 1.3, 3.2): member names in
 * any case, bad UTF-8 and lone surrogates become U+FFFD.  Used by the other
 * pure files.
 */


#ifndef _NGX_HTTP_OPENIM_JSON_H_INCLUDED_
#define _NGX_HTTP_OPENIM_JSON_H_INCLUDED_


#include "ngx_http_openim_pure.h"


#define NGX_HTTP_OPENIM_JSON_DEPTH  64


typedef struct {
    u_char     *pos;
    u_char     *last;
    unsigned    begun:1;
} ngx_http_openim_json_t;


/*
 * The document must be an object, or null, which counts as an empty one.
 *
 * next: NGX_OK, a member (both texts borrowed; name without quotes but with
 * escapes, value a checked JSON value without space around it); NGX_DONE, the
 * document is over; NGX_ERROR, it is not JSON or not an object.
 */
void ngx_http_openim_json_init(ngx_http_openim_json_t *json, u_char *data,
    size_t len);
ngx_int_t ngx_http_openim_json_next(ngx_http_openim_json_t *json,
    ngx_str_t *name, ngx_str_t *value);

/* name (as given by next) equals the ASCII text key: in any case, exactly */
ngx_uint_t ngx_http_openim_json_is(ngx_str_t *name, const char *key);
ngx_uint_t ngx_http_openim_json_is_exact(ngx_str_t *name, const char *key);

/*
 * The following take a value as given by next.  NGX_OK; NGX_DECLINED: it is of
 * another type or out of range; NGX_ERROR: scratch exhausted.  null is NGX_OK
 * and leaves *out alone, as in Go.
 */
ngx_int_t ngx_http_openim_json_string(ngx_str_t *value,
    ngx_http_openim_mem_t *mem, ngx_str_t *out);
ngx_int_t ngx_http_openim_json_int(ngx_str_t *value, int64_t min, int64_t max,
    int64_t *out);
ngx_int_t ngx_http_openim_json_bool(ngx_str_t *value, ngx_uint_t *out);
ngx_int_t ngx_http_openim_json_seconds(ngx_str_t *value, int64_t *out,
    ngx_uint_t *set);
ngx_int_t ngx_http_openim_json_base64(ngx_str_t *value,
    ngx_http_openim_mem_t *mem, ngx_str_t *out);

#define ngx_http_openim_json_is_null(value)  ((value)->data[0] == 'n')

/*
 * A JSON string with its quotes: returns the size, and writes if p is not NULL.
 * Escapes what Go does, and code points above U+FFFF (gateway.md 3.2).
 */
size_t ngx_http_openim_json_quote(u_char *p, const u_char *data, size_t len);

/* At most max bytes with the quotes (max >= 2): cuts between code points */
size_t ngx_http_openim_json_quote_max(u_char *p, const u_char *data,
    size_t len, size_t max);


/*
 * base64 as Go's decoders read it: CR and LF are skipped anywhere, bits that
 * are left over are ignored.  std has padding, url has none.  decode writes at
 * most len / 4 * 3 + 2 bytes; NGX_OK or NGX_DECLINED.
 */
#define ngx_http_openim_base64_size(len)   ((len) / 4 * 3 + 2)
ngx_int_t ngx_http_openim_base64_std(u_char *p, ngx_str_t *out,
    const u_char *data, size_t len);
ngx_int_t ngx_http_openim_base64_url(u_char *p, ngx_str_t *out,
    const u_char *data, size_t len);


#endif /* _NGX_HTTP_OPENIM_JSON_H_INCLUDED_ */
