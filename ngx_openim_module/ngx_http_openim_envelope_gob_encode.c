
/*
 * A response as gob (gateway.md 3.4): the definition of its type, which is
 * always the same, then the fields that are not zero.  Called by
 * ngx_http_openim_envelope.c.
 */


#include "ngx_http_openim_envelope_gob.h"


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
