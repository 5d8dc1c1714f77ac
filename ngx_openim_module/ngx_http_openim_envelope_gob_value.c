
/*
 * The numbers and bytes that gob is made of, read and written.  Called by the
 * other files of the codec.
 */


#include "ngx_http_openim_envelope_gob.h"


/*
 * The number of a struct's next field, which has n: NGX_OK, NGX_DONE at its
 * end, NGX_ERROR.  *number starts at -1.
 */

ngx_int_t
ngx_http_openim_gob_next(ngx_http_openim_gob_buf_t *b, ngx_uint_t *number,
    ngx_uint_t n)
{
    uint64_t  delta;

    if (ngx_http_openim_gob_uint(b, &delta) != NGX_OK) {
        return NGX_ERROR;
    }

    if (delta == 0) {
        return NGX_DONE;
    }

    if (delta > n - 1 - *number) {
        return NGX_ERROR;
    }

    *number += (ngx_uint_t) delta;

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_gob_uint(ngx_http_openim_gob_buf_t *b, uint64_t *value)
{
    ngx_uint_t  n;

    if (b->pos == b->last) {
        return NGX_ERROR;
    }

    if (*b->pos < 0x80) {
        *value = *b->pos++;
        return NGX_OK;
    }

    n = 0x100 - *b->pos++;

    if (n > 8 || n > (size_t) (b->last - b->pos)) {
        return NGX_ERROR;
    }

    for (*value = 0; n; n--) {
        *value = *value << 8 | *b->pos++;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_gob_int(ngx_http_openim_gob_buf_t *b, int64_t *value)
{
    uint64_t  n;

    if (ngx_http_openim_gob_uint(b, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    *value = (int64_t) (n >> 1);

    if (n & 1) {
        *value = -*value - 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_gob_id(ngx_http_openim_gob_buf_t *b, int32_t *id)
{
    int64_t  n;

    if (ngx_http_openim_gob_int(b, &n) != NGX_OK || n < 1 || n > INT32_MAX) {
        return NGX_ERROR;
    }

    *id = (int32_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_gob_bytes(ngx_http_openim_gob_buf_t *b, ngx_str_t *value)
{
    uint64_t  n;

    if (ngx_http_openim_gob_uint(b, &n) != NGX_OK
        || n > (size_t) (b->last - b->pos))
    {
        return NGX_ERROR;
    }

    value->data = b->pos;
    value->len = (size_t) n;

    b->pos += n;

    return NGX_OK;
}


size_t
ngx_http_openim_gob_uint_size(uint64_t value)
{
    size_t  n;

    if (value < 0x80) {
        return 1;
    }

    for (n = 1; value; n++) {
        value >>= 8;
    }

    return n;
}


u_char *
ngx_http_openim_gob_put_uint(u_char *p, uint64_t value)
{
    size_t  n;

    n = ngx_http_openim_gob_uint_size(value) - 1;

    if (n == 0) {
        *p++ = (u_char) value;
        return p;
    }

    *p++ = (u_char) (0x100 - n);

    while (n--) {
        *p++ = (u_char) (value >> (8 * n));
    }

    return p;
}


uint64_t
ngx_http_openim_gob_fold(int64_t value)
{
    return (value < 0) ? ~(uint64_t) value << 1 | 1 : (uint64_t) value << 1;
}
