
/*
 * See ngx_http_openim_envelope.h: the choice of the codec, and text pings.
 */


#include "ngx_http_openim_envelope.h"
#include "ngx_http_openim_json.h"


ngx_int_t
ngx_http_openim_envelope_decode(ngx_uint_t codec, u_char *data, size_t len,
    ngx_http_openim_mem_t *mem, ngx_http_openim_envelope_req_t *req)
{
    ngx_memzero(req, sizeof(ngx_http_openim_envelope_req_t));

    if (codec == NGX_HTTP_OPENIM_JSON) {
        return ngx_http_openim_envelope_json_decode(data, len, mem, req);
    }

    return ngx_http_openim_envelope_gob_decode(data, len, req);
}


size_t
ngx_http_openim_envelope_size(ngx_uint_t codec,
    ngx_http_openim_envelope_resp_t *resp)
{
    if (codec == NGX_HTTP_OPENIM_JSON) {
        return ngx_http_openim_envelope_json_size(resp);
    }

    return ngx_http_openim_envelope_gob_size(resp);
}


u_char *
ngx_http_openim_envelope_encode(ngx_uint_t codec, u_char *p,
    ngx_http_openim_envelope_resp_t *resp)
{
    if (codec == NGX_HTTP_OPENIM_JSON) {
        return ngx_http_openim_envelope_json_encode(p, resp);
    }

    return ngx_http_openim_envelope_gob_encode(p, resp);
}


ngx_int_t
ngx_http_openim_text_parse(u_char *data, size_t len, ngx_str_t *body)
{
    ngx_int_t               rc, type;
    ngx_str_t               name, value;
    ngx_http_openim_json_t  json;

    type = 0;
    ngx_str_set(body, "null");

    ngx_http_openim_json_init(&json, data, len);

    for ( ;; ) {

        rc = ngx_http_openim_json_next(&json, &name, &value);

        if (rc == NGX_DONE) {
            return type ? type : NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_openim_json_is(&name, "body")) {
            *body = value;
            continue;
        }

        if (!ngx_http_openim_json_is(&name, "type")
            || ngx_http_openim_json_is_null(&value))
        {
            continue;
        }

        if (value.data[0] != '"') {
            return NGX_ERROR;
        }

        value.data++;
        value.len -= 2;

        if (ngx_http_openim_json_is_exact(&value, "ping")) {
            type = NGX_HTTP_OPENIM_TEXT_PING;

        } else if (ngx_http_openim_json_is_exact(&value, "pong")) {
            type = NGX_HTTP_OPENIM_TEXT_PONG;

        } else {
            type = 0;
        }
    }
}


u_char *
ngx_http_openim_text_pong(u_char *p, ngx_str_t *body)
{
    static u_char  head[] = "{\"type\":\"pong\",\"body\":";

    p = ngx_cpymem(p, head, sizeof(head) - 1);
    p = ngx_cpymem(p, body->data, body->len);
    *p++ = '}';

    return p;
}
