
/*
 * REST (rest.md A.1 - A.9): one location for all routes.  What concerns every
 * route is done here, in the order of A.2: CORS, OPTIONS, operationID, token;
 * then the body is read (ngx_http_openim_rest_body.c) and goes to a worker as
 * it is (_rest_forward.c), and the answer to the client (_rest_send.c).  The
 * handler of openim_api.
 */


#include "ngx_http_openim_rest.h"

#include "oim_wire.h"


static ngx_int_t ngx_http_openim_rest_check(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_rest_token(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_rest_content_type(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err);


ngx_int_t
ngx_http_openim_rest_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_cleanup_t       *cln;
    ngx_http_openim_ctx_t    *ctx;
    ngx_http_openim_error_t   err;

    if (r != r->main || !ngx_http_openim_process.ready) {
        return NGX_HTTP_NOT_FOUND;
    }

    ctx = ngx_http_openim_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc
               : ngx_http_openim_rest_send(r, NGX_HTTP_OK,
                                           &ngx_http_openim_type_json,
                                           (u_char *) "\"Options Request!\"",
                                     sizeof("\"Options Request!\"") - 1);
    }

    /* a path that is no UTF-8 fits no route, and no record */

    if (r->method != NGX_HTTP_POST
        || !oim_wire_utf8(r->uri.data, r->uri.len))
    {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc
               : ngx_http_openim_rest_send(r, NGX_HTTP_NOT_FOUND,
                                           &ngx_http_openim_type_text,
                                           (u_char *) "404 page not found",
                                         sizeof("404 page not found") - 1);
    }

    ngx_memzero(&err, sizeof(ngx_http_openim_error_t));

    if (r->uri.len > 1 && r->uri.data[r->uri.len - 1] == '/') {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc : ngx_http_openim_rest_redirect(r);
    }

    ngx_http_openim_count(rest);

    rc = ngx_http_openim_rest_check(r, ctx, &err);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc : ngx_http_openim_rest_error(r, &err);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_openim_rest_cleanup;
    cln->data = ctx;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_openim_rest_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* What can be said without the body and without the store */

static ngx_int_t
ngx_http_openim_rest_check(ngx_http_request_t *r, ngx_http_openim_ctx_t *ctx,
    ngx_http_openim_error_t *err)
{
    ngx_int_t   rc;
    ngx_str_t  *operation_id;

    operation_id = ngx_http_openim_header_in(r, "operationID");

    if (operation_id == NULL || operation_id->len == 0) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "header must have operationID");
        return NGX_DECLINED;
    }

    ctx->operation_id = *operation_id;

    if (!ngx_http_openim_rest_starts(&r->uri, "/auth/get_admin_token")
        && !ngx_http_openim_rest_starts(&r->uri, "/auth/parse_token"))
    {
        rc = ngx_http_openim_rest_token(r, ctx, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r->headers_in.content_length_n
        > (off_t) ngx_http_openim_process.conf->kafka_max_record)
    {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "request body too large");
        return NGX_DECLINED;
    }

    return ngx_http_openim_rest_content_type(r, ctx, err);
}


static ngx_int_t
ngx_http_openim_rest_token(ngx_http_request_t *r, ngx_http_openim_ctx_t *ctx,
    ngx_http_openim_error_t *err)
{
    size_t                  size;
    ngx_str_t              *token;
    ngx_http_openim_mem_t   mem;

    token = ngx_http_openim_header_in(r, "token");

    if (token == NULL || token->len == 0) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                                  "header must have token");
        return NGX_DECLINED;
    }

    ctx->args.token = *token;

    size = ngx_http_openim_token_scratch(token->len);

    mem.pos = ngx_pnalloc(r->pool, size);
    if (mem.pos == NULL) {
        return NGX_ERROR;
    }

    mem.last = mem.pos + size;

    return ngx_http_openim_token_verify(&ctx->token, token,
                                   &ngx_http_openim_process.conf->secret,
                                        ngx_time(), &mem, err);
}


/* It counts on /jssdk only (rest.md A.3, B.11) */

static ngx_int_t
ngx_http_openim_rest_content_type(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err)
{
    ngx_str_t        *type;
    ngx_table_elt_t  *h;

    if (!ngx_http_openim_rest_starts(&r->uri, "/jssdk/")) {
        return NGX_OK;
    }

    h = r->headers_in.content_type;

    if (h == NULL || h->value.len == 0) {
        return NGX_OK;
    }

    type = &h->value;

    if (ngx_strlcasestrn(type->data, type->data + type->len,
                         (u_char *) "application/json",
                         sizeof("application/json") - 2))
    {
        return NGX_OK;
    }

    if (ngx_strlcasestrn(type->data, type->data + type->len,
                         (u_char *) "application/protobuf",
                         sizeof("application/protobuf") - 2)
        || ngx_strlcasestrn(type->data, type->data + type->len,
                            (u_char *) "application/x-protobuf",
                            sizeof("application/x-protobuf") - 2))
    {
        ctx->protobuf = 1;
        return NGX_OK;
    }

    ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_ARGS,
                              "unsupported content type");
    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_openim_rest_starts(ngx_str_t *uri, const char *prefix)
{
    size_t  len;

    len = ngx_strlen(prefix);

    return uri->len >= len && ngx_memcmp(uri->data, prefix, len) == 0;
}
