
/*
 * The envelope as gob (gateway.md 3.3 - 3.6), what every Go core speaks.  A
 * message carries the definition of its own type, so decoding has two steps:
 * the definitions go into tables of fixed size on the stack, the value is then
 * walked by them.  What it hands out is borrowed from the input; nothing is
 * allocated, and each step uses up input, so that its work is linear.
 */


#include "ngx_http_openim_envelope.h"


#define NGX_HTTP_OPENIM_GOB_TYPES   32      /* definitions in a message */
#define NGX_HTTP_OPENIM_GOB_FIELDS  512     /* of all its structs */
#define NGX_HTTP_OPENIM_GOB_DEPTH   16

#define NGX_HTTP_OPENIM_GOB_BOOL       1    /* built-in types */
#define NGX_HTTP_OPENIM_GOB_INT        2
#define NGX_HTTP_OPENIM_GOB_UINT       3
#define NGX_HTTP_OPENIM_GOB_FLOAT      4
#define NGX_HTTP_OPENIM_GOB_BYTES      5
#define NGX_HTTP_OPENIM_GOB_STRING     6
#define NGX_HTTP_OPENIM_GOB_COMPLEX    7
#define NGX_HTTP_OPENIM_GOB_INTERFACE  8
#define NGX_HTTP_OPENIM_GOB_USER       64   /* the first of the others */


typedef enum {                              /* fields of a wireType */
    ngx_http_openim_gob_array = 0,
    ngx_http_openim_gob_slice,
    ngx_http_openim_gob_struct,
    ngx_http_openim_gob_map,
    ngx_http_openim_gob_encoder,
    ngx_http_openim_gob_binary,
    ngx_http_openim_gob_text
} ngx_http_openim_gob_kind_e;


typedef enum {                              /* fields of a request */
    ngx_http_openim_gob_unknown = 0,
    ngx_http_openim_gob_req,
    ngx_http_openim_gob_token,
    ngx_http_openim_gob_send_id,
    ngx_http_openim_gob_operation_id,
    ngx_http_openim_gob_msg_incr,
    ngx_http_openim_gob_data
} ngx_http_openim_gob_name_e;


typedef struct {
    u_char                       *pos;
    u_char                       *last;
} ngx_http_openim_gob_buf_t;


typedef struct {
    int32_t                       type;
    ngx_http_openim_gob_name_e    name;
} ngx_http_openim_gob_field_t;


typedef struct {
    int32_t                       id;
    ngx_http_openim_gob_kind_e    kind;
    int32_t                       elem;
    int32_t                       key;
    ngx_uint_t                    first;    /* of its fields */
    ngx_uint_t                    nfields;
} ngx_http_openim_gob_type_t;


typedef struct {
    ngx_uint_t                    ntypes;
    ngx_uint_t                    nfields;
    ngx_http_openim_gob_type_t    types[NGX_HTTP_OPENIM_GOB_TYPES];
    ngx_http_openim_gob_field_t   fields[NGX_HTTP_OPENIM_GOB_FIELDS];
} ngx_http_openim_gob_t;


static ngx_int_t ngx_http_openim_gob_define(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int64_t id);
static ngx_int_t ngx_http_openim_gob_wire_type(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type);
static ngx_int_t ngx_http_openim_gob_fields(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type);
static ngx_int_t ngx_http_openim_gob_common(ngx_http_openim_gob_buf_t *b);
static ngx_http_openim_gob_name_e ngx_http_openim_gob_name(ngx_str_t *name);
static ngx_http_openim_gob_type_t *ngx_http_openim_gob_find(
    ngx_http_openim_gob_t *gob, int64_t id);
static ngx_int_t ngx_http_openim_gob_request(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type,
    ngx_http_openim_envelope_req_t *req);
static ngx_int_t ngx_http_openim_gob_skip(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int32_t id, ngx_uint_t depth);
static ngx_int_t ngx_http_openim_gob_skip_interface(
    ngx_http_openim_gob_t *gob, ngx_http_openim_gob_buf_t *b);
static ngx_int_t ngx_http_openim_gob_next(ngx_http_openim_gob_buf_t *b,
    ngx_uint_t *number, ngx_uint_t n);
static ngx_int_t ngx_http_openim_gob_uint(ngx_http_openim_gob_buf_t *b,
    uint64_t *value);
static ngx_int_t ngx_http_openim_gob_int(ngx_http_openim_gob_buf_t *b,
    int64_t *value);
static ngx_int_t ngx_http_openim_gob_id(ngx_http_openim_gob_buf_t *b,
    int32_t *id);
static ngx_int_t ngx_http_openim_gob_bytes(ngx_http_openim_gob_buf_t *b,
    ngx_str_t *value);

static size_t ngx_http_openim_gob_uint_size(uint64_t value);
static u_char *ngx_http_openim_gob_put_uint(u_char *p, uint64_t value);
static uint64_t ngx_http_openim_gob_fold(int64_t value);
static size_t ngx_http_openim_gob_value_size(
    ngx_http_openim_envelope_resp_t *resp);


/* The definition of a response: gateway.md 3.4 explains its bytes */

static u_char  ngx_http_openim_gob_resp[] =
    "\x60\xff\x81\x03\x01\x01\x04" "Resp" "\x01\xff\x82\x00\x01\x06"
    "\x01\x0d" "ReqIdentifier" "\x01\x04\x00"
    "\x01\x07" "MsgIncr"       "\x01\x0c\x00"
    "\x01\x0b" "OperationID"   "\x01\x0c\x00"
    "\x01\x07" "ErrCode"       "\x01\x04\x00"
    "\x01\x06" "ErrMsg"        "\x01\x0c\x00"
    "\x01\x04" "Data"          "\x01\x0a\x00"
    "\x00\x00";

static u_char  ngx_http_openim_gob_resp_id[] = "\xff\x82";


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
ngx_http_openim_gob_define(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int64_t id)
{
    ngx_http_openim_gob_type_t  *type;

    if (id < -INT32_MAX || id > -NGX_HTTP_OPENIM_GOB_USER
        || gob->ntypes == NGX_HTTP_OPENIM_GOB_TYPES
        || ngx_http_openim_gob_find(gob, -id) != NULL)
    {
        return NGX_ERROR;
    }

    type = &gob->types[gob->ntypes];

    ngx_memzero(type, sizeof(ngx_http_openim_gob_type_t));

    type->id = (int32_t) -id;

    if (ngx_http_openim_gob_wire_type(gob, b, type) != NGX_OK) {
        return NGX_ERROR;
    }

    gob->ntypes++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_gob_wire_type(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type)
{
    int64_t     length;
    ngx_int_t   rc;
    ngx_uint_t  kind, member;

    kind = (ngx_uint_t) -1;

    if (ngx_http_openim_gob_next(b, &kind, ngx_http_openim_gob_text + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    type->kind = kind;
    member = (ngx_uint_t) -1;

    for ( ;; ) {

        rc = ngx_http_openim_gob_next(b, &member, 3);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (member == 0) {
            rc = ngx_http_openim_gob_common(b);

        } else if (kind == ngx_http_openim_gob_struct && member == 1) {
            rc = ngx_http_openim_gob_fields(gob, b, type);

        } else if (kind == ngx_http_openim_gob_map && member == 1) {
            rc = ngx_http_openim_gob_id(b, &type->key);

        } else if (kind == ngx_http_openim_gob_map && member == 2) {
            rc = ngx_http_openim_gob_id(b, &type->elem);

        } else if (kind <= ngx_http_openim_gob_slice && member == 1) {
            rc = ngx_http_openim_gob_id(b, &type->elem);

        } else if (kind == ngx_http_openim_gob_array && member == 2) {
            rc = ngx_http_openim_gob_int(b, &length);

        } else {
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* exactly one kind */

    return ngx_http_openim_gob_next(b, &kind, ngx_http_openim_gob_text + 1)
               == NGX_DONE ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_openim_gob_fields(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type)
{
    uint64_t                      n;
    ngx_int_t                     rc;
    ngx_str_t                     name;
    ngx_uint_t                    member;
    ngx_http_openim_gob_field_t  *field;

    if (ngx_http_openim_gob_uint(b, &n) != NGX_OK
        || n > NGX_HTTP_OPENIM_GOB_FIELDS - gob->nfields)
    {
        return NGX_ERROR;
    }

    type->first = gob->nfields;
    type->nfields = (ngx_uint_t) n;
    gob->nfields += type->nfields;

    for (field = &gob->fields[type->first]; n; field++, n--) {

        field->type = 0;
        field->name = ngx_http_openim_gob_unknown;
        member = (ngx_uint_t) -1;

        for ( ;; ) {

            rc = ngx_http_openim_gob_next(b, &member, 2);

            if (rc == NGX_DONE) {
                break;
            }

            if (rc != NGX_OK) {
                return NGX_ERROR;
            }

            if (member == 0) {
                rc = ngx_http_openim_gob_bytes(b, &name);

                if (rc == NGX_OK) {
                    field->name = ngx_http_openim_gob_name(&name);
                }

            } else {
                rc = ngx_http_openim_gob_id(b, &field->type);
            }

            if (rc != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* Name and id, which nobody needs: the message around it has the id */

static ngx_int_t
ngx_http_openim_gob_common(ngx_http_openim_gob_buf_t *b)
{
    int32_t     id;
    ngx_int_t   rc;
    ngx_str_t   name;
    ngx_uint_t  member;

    member = (ngx_uint_t) -1;

    for ( ;; ) {

        rc = ngx_http_openim_gob_next(b, &member, 2);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        rc = (member == 0) ? ngx_http_openim_gob_bytes(b, &name)
                           : ngx_http_openim_gob_id(b, &id);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_http_openim_gob_name_e
ngx_http_openim_gob_name(ngx_str_t *name)
{
    ngx_uint_t  i;

    static struct {
        ngx_str_t                   name;
        ngx_http_openim_gob_name_e  value;
    } names[] = {
        { ngx_string("ReqIdentifier"), ngx_http_openim_gob_req },
        { ngx_string("Token"), ngx_http_openim_gob_token },
        { ngx_string("SendID"), ngx_http_openim_gob_send_id },
        { ngx_string("OperationID"), ngx_http_openim_gob_operation_id },
        { ngx_string("MsgIncr"), ngx_http_openim_gob_msg_incr },
        { ngx_string("Data"), ngx_http_openim_gob_data }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name->len == names[i].name.len
            && ngx_memcmp(name->data, names[i].name.data, name->len) == 0)
        {
            return names[i].value;
        }
    }

    return ngx_http_openim_gob_unknown;
}


static ngx_http_openim_gob_type_t *
ngx_http_openim_gob_find(ngx_http_openim_gob_t *gob, int64_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < gob->ntypes; i++) {
        if (gob->types[i].id == id) {
            return &gob->types[i];
        }
    }

    return NULL;
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


/*
 * The number of a struct's next field, which has n: NGX_OK, NGX_DONE at its
 * end, NGX_ERROR.  *number starts at -1.
 */

static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
ngx_http_openim_gob_id(ngx_http_openim_gob_buf_t *b, int32_t *id)
{
    int64_t  n;

    if (ngx_http_openim_gob_int(b, &n) != NGX_OK || n < 1 || n > INT32_MAX) {
        return NGX_ERROR;
    }

    *id = (int32_t) n;

    return NGX_OK;
}


static ngx_int_t
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
ngx_http_openim_envelope_gob_size(ngx_http_openim_envelope_resp_t *resp)
{
    size_t  value;

    value = ngx_http_openim_gob_value_size(resp);

    return sizeof(ngx_http_openim_gob_resp) - 1
           + ngx_http_openim_gob_uint_size(value) + value;
}


/* From the type id to the end */

static size_t
ngx_http_openim_gob_value_size(ngx_http_openim_envelope_resp_t *resp)
{
    size_t      size;
    ngx_uint_t  i;
    ngx_str_t  *strings[] = { &resp->msg_incr, &resp->operation_id,
                              &resp->err_msg, &resp->data };

    size = sizeof(ngx_http_openim_gob_resp_id) - 1 + 1;

    if (resp->req) {
        size += 1 + ngx_http_openim_gob_uint_size(
                        ngx_http_openim_gob_fold(resp->req));
    }

    if (resp->err_code) {
        size += 1 + ngx_http_openim_gob_uint_size(
                        ngx_http_openim_gob_fold(resp->err_code));
    }

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        if (strings[i]->len) {
            size += 1 + ngx_http_openim_gob_uint_size(strings[i]->len)
                    + strings[i]->len;
        }
    }

    return size;
}


u_char *
ngx_http_openim_envelope_gob_encode(u_char *p,
    ngx_http_openim_envelope_resp_t *resp)
{
    int64_t     n;
    ngx_str_t  *s;
    ngx_uint_t  i, last;
    struct {
        ngx_str_t  *string;
        int64_t     number;
    } fields[] = {
        { NULL, resp->req },
        { &resp->msg_incr, 0 },
        { &resp->operation_id, 0 },
        { NULL, resp->err_code },
        { &resp->err_msg, 0 },
        { &resp->data, 0 }
    };

    p = ngx_cpymem(p, ngx_http_openim_gob_resp,
                   sizeof(ngx_http_openim_gob_resp) - 1);
    p = ngx_http_openim_gob_put_uint(p, ngx_http_openim_gob_value_size(resp));
    p = ngx_cpymem(p, ngx_http_openim_gob_resp_id,
                   sizeof(ngx_http_openim_gob_resp_id) - 1);

    last = 0;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {

        s = fields[i].string;
        n = fields[i].number;

        if (s ? s->len == 0 : n == 0) {
            continue;
        }

        *p++ = (u_char) (i + 1 - last);
        last = i + 1;

        if (s == NULL) {
            p = ngx_http_openim_gob_put_uint(p, ngx_http_openim_gob_fold(n));
            continue;
        }

        p = ngx_http_openim_gob_put_uint(p, s->len);
        p = ngx_cpymem(p, s->data, s->len);
    }

    *p++ = 0;

    return p;
}


static size_t
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


static u_char *
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


static uint64_t
ngx_http_openim_gob_fold(int64_t value)
{
    return (value < 0) ? ~(uint64_t) value << 1 | 1 : (uint64_t) value << 1;
}
