
/*
 * What a REST request is answered with: headers that every answer has, results
 * of our own, a redirect.  Compression is nginx's own (gzip on, gzip_types
 * application/json).  Called by the other _rest*.c files.
 */


#include "ngx_http_openim_rest.h"


#define NGX_HTTP_OPENIM_UUID_LEN  36


typedef struct {
    const char  *name;
    ngx_str_t    value;
} ngx_http_openim_cors_t;


ngx_str_t  ngx_http_openim_type_json = ngx_string("application/json");
ngx_str_t  ngx_http_openim_type_text = ngx_string("text/plain");


/* rest.md A.9; Content-Type goes its own way */

static ngx_http_openim_cors_t  ngx_http_openim_cors[] = {
    { "Access-Control-Allow-Origin", ngx_string("*") },
    { "Access-Control-Allow-Methods", ngx_string("*") },
    { "Access-Control-Allow-Headers", ngx_string("*") },
    { "Access-Control-Expose-Headers",
      ngx_string("Content-Length, Access-Control-Allow-Origin, "
                 "Access-Control-Allow-Headers,Cache-Control,"
                 "Content-Language,Content-Type,Expires,Last-Modified,"
                 "Pragma,FooBar") },
    { "Access-Control-Max-Age", ngx_string("172800") },
    { "Access-Control-Allow-Credentials", ngx_string("false") },
    { NULL, ngx_null_string }
};


void
ngx_http_openim_rest_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_DECLINED) {
        ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_ARGS,
                                            "request body too large");
        return;
    }

    ngx_http_finalize_request(r, rc);
}


void
ngx_http_openim_rest_finalize_error(ngx_http_request_t *r, ngx_int_t code,
    const char *dlt)
{
    ngx_http_openim_error_t  err;

    ngx_http_openim_error_set(&err, code, dlt);

    ngx_http_finalize_request(r, ngx_http_openim_rest_error(r, &err));
}


ngx_int_t
ngx_http_openim_rest_error(ngx_http_request_t *r,
    ngx_http_openim_error_t *err)
{
    u_char                 *p, *last;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);
    ctx->code = err->code;

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_RESULT_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_http_openim_result(p, err);

    return ngx_http_openim_rest_send(r, NGX_HTTP_OK,
                                     &ngx_http_openim_type_json, p, last - p);
}


ngx_int_t
ngx_http_openim_rest_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *data, size_t len)
{
    u_char      *p;
    uint32_t     noise[4];
    ngx_int_t    rc;
    ngx_str_t    value;
    ngx_uint_t   i;

    for (i = 0; ngx_http_openim_cors[i].name; i++) {
        if (ngx_http_openim_header_out(r, ngx_http_openim_cors[i].name,
                                       &ngx_http_openim_cors[i].value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_UUID_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < 4; i++) {
        noise[i] = (uint32_t) ngx_random() ^ (uint32_t) ngx_random() << 16;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "%08xD-%04xD-4%03xD-%04xD-%04xD%08xD",
                            noise[0], noise[1] & 0xffff,
                            noise[1] >> 20,
                            (noise[2] & 0x3fff) | 0x8000,
                            noise[2] >> 16, noise[3]) - p;

    if (ngx_http_openim_header_out(r, "X-HTTP-ID", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_openim_output(r, data, len);
}


/* rest.md A.9: before everything else, so without the other headers */

ngx_int_t
ngx_http_openim_rest_redirect(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   value;

    p = ngx_pnalloc(r->pool, r->uri.len + r->args.len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, r->uri.data, r->uri.len - 1);

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    value.len = p - value.data;

    if (ngx_http_openim_header_out(r, "Location", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_TEMPORARY_REDIRECT;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}
