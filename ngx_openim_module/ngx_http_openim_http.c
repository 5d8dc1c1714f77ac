
/*
 * What the handshake and REST both do with an HTTP request: our context of it,
 * a header read or added, a body sent.  Called by the _handshake*.c and
 * _rest*.c files; the context also by ngx_http_openim_variables.c, for logs.
 */


#include "ngx_http_openim_module.h"


ngx_http_openim_ctx_t *
ngx_http_openim_ctx(ngx_http_request_t *r)
{
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_openim_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->code = -1;

        ngx_http_set_ctx(r, ctx, ngx_http_openim_module);
    }

    return ctx;
}


ngx_str_t *
ngx_http_openim_header_in(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i].value;
        }
    }
}


ngx_int_t
ngx_http_openim_header_out(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_openim_output(ngx_http_request_t *r, u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = len ? 1 : 0;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
