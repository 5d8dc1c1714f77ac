
/*
 * Compression of whole messages (gateway.md 2.6).  One object a process: zlib's
 * states are allocated once and reset for each message.  A reset clears the
 * hash table of deflate, so small payloads, which are nearly all, have a state
 * with a small one.  zlib makes the raw deflate of what we send; the ten bytes
 * before it are those that Go writes.
 */


#include "ngx_http_openim_envelope.h"

#include <stdlib.h>
#include <zlib.h>


#define NGX_HTTP_OPENIM_GZIP_SMALL     4096     /* bytes of payload */
#define NGX_HTTP_OPENIM_GZIP_HEAD      10
#define NGX_HTTP_OPENIM_GZIP_TAIL      8
#define NGX_HTTP_OPENIM_GUNZIP_FIRST   16384    /* bytes of buffer */
#define NGX_HTTP_OPENIM_GUNZIP_KEEP    131072


struct ngx_http_openim_gzip_s {
    z_stream    small;
    z_stream    large;
    z_stream    inflate;
    u_char     *buf;
    size_t      size;                           /* of buf */
    size_t      max;
};


static voidpf ngx_http_openim_gzip_alloc(voidpf ctx, uInt n, uInt size);
static void ngx_http_openim_gzip_free(voidpf ctx, voidpf p);
static ngx_int_t ngx_http_openim_gunzip_grow(ngx_http_openim_gzip_t *gz);
static u_char *ngx_http_openim_gzip_put32(u_char *p, uint32_t n);


ngx_http_openim_gzip_t *
ngx_http_openim_gzip_create(ngx_int_t level, size_t max)
{
    z_stream                *z[3];
    ngx_uint_t               i;
    ngx_http_openim_gzip_t  *gz;

    gz = calloc(1, sizeof(ngx_http_openim_gzip_t));
    if (gz == NULL) {
        return NULL;
    }

    gz->max = max;

    z[0] = &gz->small;
    z[1] = &gz->large;
    z[2] = &gz->inflate;

    for (i = 0; i < 3; i++) {
        z[i]->zalloc = ngx_http_openim_gzip_alloc;
        z[i]->zfree = ngx_http_openim_gzip_free;
    }

    if (deflateInit2(&gz->small, (int) level, Z_DEFLATED, -12, 5,
                     Z_DEFAULT_STRATEGY) != Z_OK
        || deflateInit2(&gz->large, (int) level, Z_DEFLATED, -15, 8,
                        Z_DEFAULT_STRATEGY) != Z_OK
        || inflateInit2(&gz->inflate, 16 + 15) != Z_OK)
    {
        ngx_http_openim_gzip_destroy(gz);
        return NULL;
    }

    return gz;
}


/* The ends of states that were never begun only say so */

void
ngx_http_openim_gzip_destroy(ngx_http_openim_gzip_t *gz)
{
    (void) deflateEnd(&gz->small);
    (void) deflateEnd(&gz->large);
    (void) inflateEnd(&gz->inflate);

    free(gz->buf);
    free(gz);
}


ngx_int_t
ngx_http_openim_gunzip(ngx_http_openim_gzip_t *gz, u_char *data, size_t len,
    ngx_str_t *out, const char **why)
{
    int        rc;
    size_t     n;
    z_stream  *z;

    z = &gz->inflate;
    n = 0;

    if (gz->size > NGX_HTTP_OPENIM_GUNZIP_KEEP) {
        free(gz->buf);
        gz->buf = NULL;
        gz->size = 0;
    }

    if (inflateReset(z) != Z_OK) {
        *why = "inflate state";
        return NGX_ERROR;
    }

    z->next_in = data;
    z->avail_in = (uInt) len;

    if (z->avail_in != len) {
        *why = "too long";
        return NGX_ERROR;
    }

    for ( ;; ) {

        if (n == gz->size && ngx_http_openim_gunzip_grow(gz) != NGX_OK) {
            *why = "no memory";
            return NGX_ERROR;
        }

        z->next_out = gz->buf + n;
        z->avail_out = (uInt) (gz->size - n);

        rc = inflate(z, Z_NO_FLUSH);

        n = z->next_out - gz->buf;

        if (n > gz->max) {
            *why = "too much output";
            return NGX_ERROR;
        }

        if (rc == Z_STREAM_END) {

            if (z->avail_in == 0) {
                break;
            }

            /* another member */

            if (inflateReset(z) != Z_OK) {
                *why = "inflate state";
                return NGX_ERROR;
            }

            continue;
        }

        if (rc == Z_OK && (z->avail_in || z->avail_out == 0)) {
            continue;
        }

        if (rc == Z_MEM_ERROR) {
            *why = "no memory";

        } else if (rc == Z_OK || rc == Z_BUF_ERROR) {
            *why = "truncated";

        } else {
            *why = "not gzip or corrupt";
        }

        return NGX_ERROR;
    }

    out->data = gz->buf;
    out->len = n;

    return NGX_OK;
}


/* One byte more than max shows that there is more than max */

static ngx_int_t
ngx_http_openim_gunzip_grow(ngx_http_openim_gzip_t *gz)
{
    size_t   size;
    u_char  *buf;

    size = gz->size ? gz->size * 2 : NGX_HTTP_OPENIM_GUNZIP_FIRST;
    size = ngx_min(size, gz->max + 1);

    buf = realloc(gz->buf, size);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    gz->buf = buf;
    gz->size = size;

    return NGX_OK;
}


size_t
ngx_http_openim_gzip_bound(ngx_http_openim_gzip_t *gz, size_t len)
{
    z_stream  *z;

    z = (len <= NGX_HTTP_OPENIM_GZIP_SMALL) ? &gz->small : &gz->large;

    /* a raw deflate that fills its output to the last byte wants one more */

    return NGX_HTTP_OPENIM_GZIP_HEAD + deflateBound(z, len) + 1
           + NGX_HTTP_OPENIM_GZIP_TAIL;
}


u_char *
ngx_http_openim_gzip(ngx_http_openim_gzip_t *gz, u_char *p, size_t cap,
    u_char *data, size_t len)
{
    z_stream       *z;
    static u_char   head[NGX_HTTP_OPENIM_GZIP_HEAD] =
        { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };

    z = (len <= NGX_HTTP_OPENIM_GZIP_SMALL) ? &gz->small : &gz->large;

    if (cap < NGX_HTTP_OPENIM_GZIP_HEAD + NGX_HTTP_OPENIM_GZIP_TAIL
        || deflateReset(z) != Z_OK)
    {
        return NULL;
    }

    cap -= NGX_HTTP_OPENIM_GZIP_HEAD + NGX_HTTP_OPENIM_GZIP_TAIL;

    z->next_in = data;
    z->avail_in = (uInt) len;
    z->next_out = ngx_cpymem(p, head, NGX_HTTP_OPENIM_GZIP_HEAD);
    z->avail_out = (uInt) ngx_min(cap, 0xffffffff);

    if (z->avail_in != len || deflate(z, Z_FINISH) != Z_STREAM_END) {
        return NULL;
    }

    p = z->next_out;
    p = ngx_http_openim_gzip_put32(p, (uint32_t) crc32(crc32(0, NULL, 0),
                                                       data, (uInt) len));

    return ngx_http_openim_gzip_put32(p, (uint32_t) len);
}


static u_char *
ngx_http_openim_gzip_put32(u_char *p, uint32_t n)
{
    *p++ = (u_char) n;
    *p++ = (u_char) (n >> 8);
    *p++ = (u_char) (n >> 16);
    *p++ = (u_char) (n >> 24);

    return p;
}


static voidpf
ngx_http_openim_gzip_alloc(voidpf ctx, uInt n, uInt size)
{
    (void) ctx;

    return calloc(n, size);
}


static void
ngx_http_openim_gzip_free(voidpf ctx, voidpf p)
{
    (void) ctx;

    free(p);
}
