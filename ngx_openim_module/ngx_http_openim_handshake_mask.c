
/*
 * The rewrite phase of all locations.  The URL of a handshake holds a token: it
 * is masked where every log line takes it from, before anything can be logged
 * about the request in the later phases.  The handshake reads the copy that is
 * kept here (ngx_http_openim_handshake.c).
 */


#include "ngx_http_openim_handshake.h"


static void ngx_http_openim_mask(ngx_str_t *args);


/* What may stand in a log; the values of all others are masked */

static ngx_str_t  ngx_http_openim_public_args[] = {
    ngx_string("sendID"),
    ngx_string("platformID"),
    ngx_string("operationID"),
    ngx_string("isBackground"),
    ngx_string("compression"),
    ngx_string("sdkType"),
    ngx_string("isMsgResp"),
    ngx_string("sdkVersion"),
    ngx_null_string
};


ngx_int_t
ngx_http_openim_mask_handler(ngx_http_request_t *r)
{
    u_char                    *p;
    ngx_str_t                  tail;
    ngx_http_openim_ctx_t     *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->handler != ngx_http_openim_handshake_handler || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_openim_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->masked) {
        return NGX_DECLINED;
    }

    ctx->query.len = r->args.len;
    ctx->query.data = ngx_pstrdup(r->pool, &r->args);
    if (ctx->query.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->masked = 1;

    ngx_http_openim_mask(&r->args);

    /* the same bytes, unless the arguments were rewritten */

    p = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    if (p) {
        tail.data = p + 1;
        tail.len = r->unparsed_uri.data + r->unparsed_uri.len - tail.data;
        ngx_http_openim_mask(&tail);
    }

    return NGX_DECLINED;
}


static void
ngx_http_openim_mask(ngx_str_t *args)
{
    u_char      *p, *end, *last, *value;
    ngx_str_t   *name;

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        value = ngx_strlchr(p, end, '=');
        if (value == NULL) {
            continue;
        }

        for (name = ngx_http_openim_public_args; name->len; name++) {
            if ((size_t) (value - p) == name->len
                && ngx_memcmp(p, name->data, name->len) == 0)
            {
                break;
            }
        }

        if (name->len == 0) {
            ngx_memset(value + 1, '*', end - value - 1);
        }
    }
}
