
/*
 * The envelope as gob (gateway.md 3.3 - 3.6), what every Go core speaks: a
 * request is read here.  A message carries the definition of its own type, so
 * this has two steps: the definitions go into tables of fixed size on the stack
 * (ngx_http_openim_envelope_gob_type.c), the value is then walked by them.
 * What it hands out is borrowed from the input; nothing is allocated, and each
 * step uses up input, so that its work is linear.
 *
 * Called by ngx_http_openim_envelope.c.  The way back, which needs no tables,
 * is ngx_http_openim_envelope_gob_encode.c.
 */


#include "ngx_http_openim_envelope_gob.h"


#define NGX_HTTP_OPENIM_GOB_DEPTH  16


static ngx_int_t ngx_http_openim_gob_request(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type,
    ngx_http_openim_envelope_req_t *req);
static ngx_int_t ngx_http_openim_gob_skip(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int32_t id, ngx_uint_t depth);
static ngx_int_t ngx_http_openim_gob_skip_interface(
    ngx_http_openim_gob_t *gob, ngx_http_openim_gob_buf_t *b);


ngx_int_t
ngx_http_openim_envelope_gob_decode(u_char *data, size_t len,
    ngx_http_openim_envelope_req_t *req)
{
    int64_t                      id;
    ngx_str_t                    message;
    ngx_http_openim_gob_t        gob;
    ngx_http_openim_gob_buf_t    stream, b;
    ngx_http_openim_gob_type_t  *type;

    gob.ntypes = 0;
    gob.nfields = 0;

    stream.pos = data;
    stream.last = len ? data + len : data;

    for ( ;; ) {

        if (ngx_http_openim_gob_bytes(&stream, &message) != NGX_OK) {
            return NGX_ERROR;
        }

        b.pos = message.data;
        b.last = message.data + message.len;

        if (ngx_http_openim_gob_int(&b, &id) != NGX_OK) {
            return NGX_ERROR;
        }

        if (id >= 0) {
            break;
        }

        if (ngx_http_openim_gob_define(&gob, &b, id) != NGX_OK
            || b.pos != b.last)
        {
            return NGX_ERROR;
        }
    }

    type = ngx_http_openim_gob_find(&gob, id);

    if (type == NULL || type->kind != ngx_http_openim_gob_struct) {
        return NGX_ERROR;
    }

    return ngx_http_openim_gob_request(&gob, &b, type, req);
}


static ngx_int_t
ngx_http_openim_gob_request(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type,
    ngx_http_openim_envelope_req_t *req)
{
    int64_t                       n;
    ngx_int_t                     rc;
    ngx_str_t                     token;
    ngx_uint_t                    i;
    ngx_http_openim_gob_field_t  *fields, *field;

    fields = &gob->fields[type->first];

    /* a known name with a type that does not fit is an error even if unset */

    for (i = 0; i < type->nfields; i++) {

        switch (fields[i].name) {

        case ngx_http_openim_gob_unknown:
            break;

        case ngx_http_openim_gob_req:
            if (fields[i].type != NGX_HTTP_OPENIM_GOB_INT) {
                return NGX_ERROR;
            }

            break;

        default:
            if (fields[i].type != NGX_HTTP_OPENIM_GOB_STRING
                && fields[i].type != NGX_HTTP_OPENIM_GOB_BYTES)
            {
                return NGX_ERROR;
            }
        }
    }

    i = (ngx_uint_t) -1;

    for ( ;; ) {

        rc = ngx_http_openim_gob_next(b, &i, type->nfields);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        field = &fields[i];

        switch (field->name) {

        case ngx_http_openim_gob_req:
            rc = ngx_http_openim_gob_int(b, &n);

            if (rc == NGX_OK) {
                if (n < INT32_MIN || n > INT32_MAX) {
                    return NGX_ERROR;
                }

                req->req = (int32_t) n;
            }

            break;

        case ngx_http_openim_gob_token:
            rc = ngx_http_openim_gob_bytes(b, &token);
            break;

        case ngx_http_openim_gob_send_id:
            rc = ngx_http_openim_gob_bytes(b, &req->send_id);
            break;

        case ngx_http_openim_gob_operation_id:
            rc = ngx_http_openim_gob_bytes(b, &req->operation_id);
            break;

        case ngx_http_openim_gob_msg_incr:
            rc = ngx_http_openim_gob_bytes(b, &req->msg_incr);
            break;

        case ngx_http_openim_gob_data:
            rc = ngx_http_openim_gob_bytes(b, &req->data);
            break;

        default: /* ngx_http_openim_gob_unknown */
            rc = ngx_http_openim_gob_skip(gob, b, field->type, 0);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/* Every value takes at least a byte: a count beyond the rest is a lie */

static ngx_int_t
ngx_http_openim_gob_skip(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int32_t id, ngx_uint_t depth)
{
    uint64_t                     n;
    ngx_int_t                    rc;
    ngx_str_t                    bytes;
    ngx_uint_t                   i;
    ngx_http_openim_gob_type_t  *type;

    switch (id) {

    case NGX_HTTP_OPENIM_GOB_BOOL:
    case NGX_HTTP_OPENIM_GOB_INT:
    case NGX_HTTP_OPENIM_GOB_UINT:
    case NGX_HTTP_OPENIM_GOB_FLOAT:
        return ngx_http_openim_gob_uint(b, &n);

    case NGX_HTTP_OPENIM_GOB_BYTES:
    case NGX_HTTP_OPENIM_GOB_STRING:
        return ngx_http_openim_gob_bytes(b, &bytes);

    case NGX_HTTP_OPENIM_GOB_COMPLEX:
        if (ngx_http_openim_gob_uint(b, &n) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_openim_gob_uint(b, &n);

    case NGX_HTTP_OPENIM_GOB_INTERFACE:
        return ngx_http_openim_gob_skip_interface(gob, b);
    }

    type = ngx_http_openim_gob_find(gob, id);

    if (type == NULL || depth == NGX_HTTP_OPENIM_GOB_DEPTH) {
        return NGX_ERROR;
    }

    switch (type->kind) {

    case ngx_http_openim_gob_array:
    case ngx_http_openim_gob_slice:
    case ngx_http_openim_gob_map:

        if (ngx_http_openim_gob_uint(b, &n) != NGX_OK
            || n > (size_t) (b->last - b->pos))
        {
            return NGX_ERROR;
        }

        for ( /* void */ ; n; n--) {

            if (type->kind == ngx_http_openim_gob_map
                && ngx_http_openim_gob_skip(gob, b, type->key, depth + 1)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (ngx_http_openim_gob_skip(gob, b, type->elem, depth + 1)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        return NGX_OK;

    case ngx_http_openim_gob_struct:

        i = (ngx_uint_t) -1;

        for ( ;; ) {

            rc = ngx_http_openim_gob_next(b, &i, type->nfields);

            if (rc != NGX_OK) {
                return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
            }

            if (ngx_http_openim_gob_skip(gob, b,
                                         gob->fields[type->first + i].type,
                                         depth + 1)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

    default: /* the marshalers */
        return ngx_http_openim_gob_bytes(b, &bytes);
    }
}


/*
 * The name of the concrete type (empty: nil), definitions that are sent for the
 * first time, each followed by the length of the rest, the type, the length of
 * the value and the value.
 */

static ngx_int_t
ngx_http_openim_gob_skip_interface(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b)
{
    int64_t    id;
    uint64_t   n;
    ngx_str_t  bytes;

    if (ngx_http_openim_gob_bytes(b, &bytes) != NGX_OK) {
        return NGX_ERROR;
    }

    if (bytes.len == 0) {
        return NGX_OK;
    }

    for ( ;; ) {

        if (ngx_http_openim_gob_int(b, &id) != NGX_OK) {
            return NGX_ERROR;
        }

        if (id >= 0) {
            return ngx_http_openim_gob_bytes(b, &bytes);
        }

        if (ngx_http_openim_gob_define(gob, b, id) != NGX_OK
            || ngx_http_openim_gob_uint(b, &n) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}
