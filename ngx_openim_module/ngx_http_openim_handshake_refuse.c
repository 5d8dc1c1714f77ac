
/*
 * How a handshake ends that brings no connection.  Called by
 * ngx_http_openim_handshake.c.
 */


#include "ngx_http_openim_handshake.h"


/*
 * gateway.md 1.5: the result as an HTTP body, or, if the client asked for it
 * and frame is set, as the only frame of a WebSocket.
 */

ngx_int_t
ngx_http_openim_handshake_refuse(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx, ngx_http_openim_error_t *err,
    ngx_uint_t frame)
{
    u_char     *p, *last;
    size_t      len;
    ngx_int_t   rc;

    ngx_http_openim_count(refused);
    ctx->code = err->code;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "openim: refused, code=%i why=\"%V\" user=%V op=%V",
                  err->code,
                  ngx_http_openim_loggable(err->dlt.len ? &err->dlt
                                                        : &err->msg),
                  ngx_http_openim_loggable(&ctx->args.send_id),
                  ngx_http_openim_loggable(&ctx->operation_id));

    p = ngx_pnalloc(r->pool, NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                             + NGX_HTTP_OPENIM_RESULT_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_http_openim_result(p + NGX_HTTP_OPENIM_FRAME_HEAD_MAX, err);
    p += NGX_HTTP_OPENIM_FRAME_HEAD_MAX;
    len = last - p;

    if (frame && ctx->args.msg_resp) {

        if (ctx->upgrade != NGX_OK) {
            return ngx_http_openim_handshake_bad(r, ctx->upgrade);
        }

        /* a head is 2 or 4 bytes here, and there is room for it */

        p -= (len < 126) ? 2 : 4;
        (void) ngx_http_openim_frame_head(p, NGX_HTTP_OPENIM_OP_TEXT, len);
        len = last - p;

        r->keepalive = 0;

        rc = ngx_http_openim_handshake_send_101(r);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return rc;
        }

        return ngx_http_openim_output(r, p, len);
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = len;

    ngx_str_set(&r->headers_out.content_type,
                "application/json; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_openim_output(r, p, len);
}


/* Not an upgrade: gateway.md 1.4, 7 */

ngx_int_t
ngx_http_openim_handshake_bad(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_int_t   rc;
    ngx_str_t   text, version;

    ngx_http_openim_count(refused);

    if (status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&text, "Method Not Allowed\n");

    } else {
        ngx_str_set(&text, "Bad Request\n");
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text.len;

    ngx_str_set(&r->headers_out.content_type, "text/plain; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_str_set(&version, "13");

    if (ngx_http_openim_header_out(r, "Sec-Websocket-Version", &version)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_openim_output(r, text.data, text.len);
}
