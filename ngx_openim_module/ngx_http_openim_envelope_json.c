
/*
 * The envelope as JSON (gateway.md 3.2), what the pure JavaScript SDK speaks.
 */


#include "ngx_http_openim_envelope.h"
#include "ngx_http_openim_json.h"


#define NGX_HTTP_OPENIM_INT64_LEN  (sizeof("-9223372036854775808") - 1)


static u_char *ngx_http_openim_envelope_json_key(u_char *p, size_t *size,
    const char *key);
static u_char *ngx_http_openim_envelope_json_int(u_char *p, size_t *size,
    const char *key, int64_t n);
static u_char *ngx_http_openim_envelope_json_string(u_char *p, size_t *size,
    const char *key, ngx_str_t *s);
static u_char *ngx_http_openim_envelope_json_write(u_char *p, size_t *size,
    ngx_http_openim_envelope_resp_t *resp);
static u_char *ngx_http_openim_envelope_json_base64(u_char *p,
    ngx_str_t *data);


ngx_int_t
ngx_http_openim_envelope_json_decode(u_char *data, size_t len,
    ngx_http_openim_mem_t *mem, ngx_http_openim_envelope_req_t *req)
{
    int64_t                 n;
    ngx_int_t               rc;
    ngx_str_t               name, value, token;
    ngx_http_openim_json_t  json;

    ngx_http_openim_json_init(&json, data, len);

    for ( ;; ) {

        rc = ngx_http_openim_json_next(&json, &name, &value);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_openim_json_is(&name, "reqIdentifier")) {
            n = req->req;
            rc = ngx_http_openim_json_int(&value, INT32_MIN, INT32_MAX, &n);
            req->req = (int32_t) n;

        } else if (ngx_http_openim_json_is(&name, "sendID")) {
            rc = ngx_http_openim_json_string(&value, mem, &req->send_id);

        } else if (ngx_http_openim_json_is(&name, "operationID")) {
            rc = ngx_http_openim_json_string(&value, mem, &req->operation_id);

        } else if (ngx_http_openim_json_is(&name, "msgIncr")) {
            rc = ngx_http_openim_json_string(&value, mem, &req->msg_incr);

        } else if (ngx_http_openim_json_is(&name, "data")) {
            rc = ngx_http_openim_json_base64(&value, mem, &req->data);

        } else if (ngx_http_openim_json_is(&name, "token")) {
            /* ignored, but of the wrong type it is an error */
            rc = ngx_http_openim_json_string(&value, mem, &token);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


size_t
ngx_http_openim_envelope_json_size(ngx_http_openim_envelope_resp_t *resp)
{
    size_t  size;

    size = 0;
    (void) ngx_http_openim_envelope_json_write(NULL, &size, resp);

    return size;
}


u_char *
ngx_http_openim_envelope_json_encode(u_char *p,
    ngx_http_openim_envelope_resp_t *resp)
{
    size_t  size;

    size = 0;

    return ngx_http_openim_envelope_json_write(p, &size, resp);
}


/* Counts in *size; writes and returns the end if p is not NULL */

static u_char *
ngx_http_openim_envelope_json_write(u_char *p, size_t *size,
    ngx_http_openim_envelope_resp_t *resp)
{
    size_t  len;

    p = ngx_http_openim_envelope_json_int(p, size, "{\"reqIdentifier\":",
                                          resp->req);
    p = ngx_http_openim_envelope_json_string(p, size, ",\"msgIncr\":",
                                             &resp->msg_incr);
    p = ngx_http_openim_envelope_json_string(p, size, ",\"operationID\":",
                                             &resp->operation_id);
    p = ngx_http_openim_envelope_json_int(p, size, ",\"errCode\":",
                                          resp->err_code);
    p = ngx_http_openim_envelope_json_string(p, size, ",\"errMsg\":",
                                             &resp->err_msg);

    if (resp->data.data == NULL) {
        return ngx_http_openim_envelope_json_key(p, size, ",\"data\":null}");
    }

    p = ngx_http_openim_envelope_json_key(p, size, ",\"data\":\"");

    len = (resp->data.len + 2) / 3 * 4;
    *size += len;

    if (p) {
        p = ngx_http_openim_envelope_json_base64(p, &resp->data);
    }

    return ngx_http_openim_envelope_json_key(p, size, "\"}");
}


static u_char *
ngx_http_openim_envelope_json_key(u_char *p, size_t *size, const char *key)
{
    size_t  len;

    len = strlen(key);
    *size += len;

    return p ? ngx_cpymem(p, key, len) : NULL;
}


static u_char *
ngx_http_openim_envelope_json_int(u_char *p, size_t *size, const char *key,
    int64_t n)
{
    u_char    text[NGX_HTTP_OPENIM_INT64_LEN], *digit, *last;
    uint64_t  u;

    p = ngx_http_openim_envelope_json_key(p, size, key);

    last = text + sizeof(text);
    digit = last;
    u = (n < 0) ? 0 - (uint64_t) n : (uint64_t) n;

    do {
        *--digit = (u_char) ('0' + u % 10);
        u /= 10;
    } while (u);

    if (n < 0) {
        *--digit = '-';
    }

    *size += last - digit;

    return p ? ngx_cpymem(p, digit, last - digit) : NULL;
}


static u_char *
ngx_http_openim_envelope_json_string(u_char *p, size_t *size,
    const char *key, ngx_str_t *s)
{
    size_t  len;

    p = ngx_http_openim_envelope_json_key(p, size, key);

    len = ngx_http_openim_json_quote(p, s->data, s->len);
    *size += len;

    return p ? p + len : NULL;
}


static u_char *
ngx_http_openim_envelope_json_base64(u_char *p, ngx_str_t *data)
{
    size_t         len;
    u_char        *s;
    uint32_t       bits;
    static u_char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    s = data->data;

    for (len = data->len; len; /* void */ ) {

        bits = (uint32_t) s[0] << 16;

        if (len > 1) {
            bits |= (uint32_t) s[1] << 8;
        }

        if (len > 2) {
            bits |= s[2];
        }

        *p++ = digits[bits >> 18];
        *p++ = digits[bits >> 12 & 0x3f];
        *p++ = (len > 1) ? digits[bits >> 6 & 0x3f] : '=';
        *p++ = (len > 2) ? digits[bits & 0x3f] : '=';

        if (len < 3) {
            break;
        }

        s += 3;
        len -= 3;
    }

    return p;
}
