
/*
 * What the files of the JSON reader and writer share, and nobody else needs.
 */


#ifndef _NGX_HTTP_OPENIM_JSON_INTERNAL_H_INCLUDED_
#define _NGX_HTTP_OPENIM_JSON_INTERNAL_H_INCLUDED_


#include "ngx_http_openim_json.h"


/*
 * _json_scan.c: the grammar.  Each returns the end of what starts at p, NULL if
 * it is none.
 */
u_char *ngx_http_openim_json_scan(u_char *p, u_char *last);
u_char *ngx_http_openim_json_scan_string(u_char *p, u_char *last);
u_char *ngx_http_openim_json_scan_number(u_char *p, u_char *last);
u_char *ngx_http_openim_json_scan_word(u_char *p, u_char *last,
    const char *word);
u_char *ngx_http_openim_json_skip_space(u_char *p, u_char *last);

/*
 * _json_text.c: code points.  char reads one of a checked string, with its
 * escapes decoded; hex4 the \uXXXX at p, 0: there is none; put writes one as
 * UTF-8 and returns its size, with p NULL only this.
 */
const u_char *ngx_http_openim_json_char(const u_char *p,
    const u_char *last, uint32_t *cp);
ngx_uint_t ngx_http_openim_json_hex4(const u_char *p,
    const u_char *last, uint32_t *cp);
size_t ngx_http_openim_json_put(u_char *p, uint32_t cp);


#endif /* _NGX_HTTP_OPENIM_JSON_INTERNAL_H_INCLUDED_ */
