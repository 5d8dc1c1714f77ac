
/*
 * The definitions of types in a gob message (gateway.md 3.3), as far as a value
 * must be walked by them: the kind, what it is made of, and which field of a
 * request each field is.  Called by ngx_http_openim_envelope_gob.c.
 */


#include "ngx_http_openim_envelope_gob.h"


static ngx_int_t ngx_http_openim_gob_wire_type(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type);
static ngx_int_t ngx_http_openim_gob_fields(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, ngx_http_openim_gob_type_t *type);
static ngx_int_t ngx_http_openim_gob_common(ngx_http_openim_gob_buf_t *b);
static ngx_http_openim_gob_name_e ngx_http_openim_gob_name(ngx_str_t *name);


ngx_int_t
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


ngx_http_openim_gob_type_t *
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
