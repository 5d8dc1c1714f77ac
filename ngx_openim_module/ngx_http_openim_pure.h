
/*
 * What the pure files of the module stand on.  Pure: no request, no event, no
 * pool, no log; bytes in, bytes out.  Inside nginx these are nginx's own types;
 * with NGX_HTTP_OPENIM_STANDALONE (unit tests, fuzzers) the few that are used
 * are declared here, and libc, zlib and libcrypto are all that is linked.
 *
 * The pure sources, in reading order:
 *     ngx_http_openim_frame.c          RFC 6455
 *     ngx_http_openim_json.c           reader of JSON, on top of
 *         _json_scan.c _json_text.c    grammar; strings, also written
 *         _base64.c
 *     ngx_http_openim_envelope.c       requests and responses, text pings
 *         _envelope_json.c
 *         _envelope_gob.c              _gob_type.c _gob_value.c _gob_encode.c
 *         _envelope_gzip.c
 *     ngx_http_openim_args.c           handshake query, result object
 *     ngx_http_openim_token.c          tokens
 *     ../workers/common/oim_wire.c     protobuf
 */


#ifndef _NGX_HTTP_OPENIM_PURE_H_INCLUDED_
#define _NGX_HTTP_OPENIM_PURE_H_INCLUDED_


#if (NGX_HTTP_OPENIM_STANDALONE)

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

typedef intptr_t   ngx_int_t;
typedef uintptr_t  ngx_uint_t;

typedef struct {
    size_t      len;
    u_char     *data;
} ngx_str_t;

#define NGX_OK        0
#define NGX_ERROR    -1
#define NGX_AGAIN    -2
#define NGX_DONE     -4
#define NGX_DECLINED -5

#define ngx_inline            inline
#define ngx_string(str)       { sizeof(str) - 1, (u_char *) str }
#define ngx_null_string       { 0, NULL }
#define ngx_str_set(str, text)                                               \
    (str)->len = sizeof(text) - 1; (str)->data = (u_char *) text
#define ngx_memzero(p, n)     (void) memset(p, 0, n)
#define ngx_memcpy(d, s, n)   (void) memcpy(d, s, n)
#define ngx_cpymem(d, s, n)   (((u_char *) memcpy(d, s, n)) + (n))
#define ngx_memcmp(a, b, n)   memcmp(a, b, n)
#define ngx_min(a, b)         ((a > b) ? (b) : (a))

#else

#include <ngx_config.h>
#include <ngx_core.h>

#endif


/*
 * Scratch memory of one call: a piece of the caller's memory, used from its
 * front, never freed.  Each parser says how much is always enough.  What a
 * parser returns is borrowed from its input or lies in the scratch.
 */

typedef struct {
    u_char     *pos;
    u_char     *last;
} ngx_http_openim_mem_t;


static ngx_inline u_char *
ngx_http_openim_mem_alloc(ngx_http_openim_mem_t *mem, size_t size)
{
    u_char  *p;

    if (size > (size_t) (mem->last - mem->pos)) {
        return NULL;
    }

    p = mem->pos;
    mem->pos += size;

    return p;
}


#endif /* _NGX_HTTP_OPENIM_PURE_H_INCLUDED_ */
