
/*
 * The body of a REST request.  It is read as it comes into memory that grows
 * with it, never into a file; then ngx_http_openim_rest_forward.c goes on.
 */


#include "ngx_http_openim_rest.h"


#define NGX_HTTP_OPENIM_BODY_MIN  2048


static void ngx_http_openim_rest_body_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_openim_rest_body_take(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx);


/* The body: the first call of nginx, then one for each event */

void
ngx_http_openim_rest_body(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    rc = ngx_http_openim_rest_body_take(r, ctx);

    if (rc != NGX_OK) {
        ngx_http_openim_rest_finalize(r, rc);
        return;
    }

    if (!r->reading_body) {
        ngx_http_openim_rest_body_done(r);
        return;
    }

    r->read_event_handler = ngx_http_openim_rest_body_read;
    ngx_http_openim_rest_body_read(r);
}


static void
ngx_http_openim_rest_body_read(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              more;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    for ( ;; ) {

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        more = (r->request_body->bufs != NULL);

        if (ngx_http_openim_rest_body_take(r, ctx) != NGX_OK) {
            ngx_http_openim_rest_finalize_error(r, NGX_HTTP_OPENIM_E_ARGS,
                                                "request body too large");
            return;
        }

        if (rc == NGX_OK) {
            ngx_http_openim_rest_body_done(r);
            return;
        }

        /* what was taken makes room, of which HTTP/2 must tell the client */

        if (!more) {
            return;
        }
    }
}


/* Moves what was read into our memory, and gives the buffers back */

static ngx_int_t
ngx_http_openim_rest_body_take(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx)
{
    size_t        len, size;
    u_char       *body;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        b = cl->buf;

        if (!ngx_buf_in_memory(b)) {
            continue;
        }

        len = b->last - b->pos;

        if (ctx->body_len + len
            > ngx_http_openim_process.conf->kafka_max_record)
        {
            return NGX_DECLINED;
        }

        if (ctx->body_len + len > ctx->body_size) {

            size = ngx_max(ctx->body_size * 2, NGX_HTTP_OPENIM_BODY_MIN);
            size = ngx_max(size, ctx->body_len + len);

            body = ngx_pnalloc(r->pool, size);
            if (body == NULL) {
                return NGX_ERROR;
            }

            if (ctx->body) {
                ngx_memcpy(body, ctx->body, ctx->body_len);
                (void) ngx_pfree(r->pool, ctx->body);
            }

            ctx->body = body;
            ctx->body_size = size;
        }

        if (len) {
            ngx_memcpy(ctx->body + ctx->body_len, b->pos, len);
            ctx->body_len += len;
        }

        b->pos = b->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}
