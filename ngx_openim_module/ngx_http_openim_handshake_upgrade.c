
/*
 * The headers of the upgrade (gateway.md 1.4): what a client must send, and the
 * 101 that answers it.  Called by the other files of the handshake.
 */


#include "ngx_http_openim_handshake.h"

#include <ngx_sha1.h>


#define NGX_HTTP_OPENIM_WS_KEY_LEN  24       /* base64 of 16 bytes */


static ngx_uint_t ngx_http_openim_handshake_token(ngx_str_t *value,
    const char *token, size_t len);


/* NGX_OK, or the status that says what is missing */

ngx_int_t
ngx_http_openim_handshake_upgrade(ngx_http_request_t *r)
{
    u_char            decoded[NGX_HTTP_OPENIM_WS_KEY_LEN];
    ngx_str_t         key;
    ngx_uint_t        i, connection, upgrade, version, keys;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

#define ngx_http_openim_named(h, text)                                       \
    ((h)->key.len == sizeof(text) - 1                                        \
     && ngx_strncasecmp((h)->key.data, (u_char *) text, sizeof(text) - 1)    \
        == 0)

    connection = 0;
    upgrade = 0;
    version = 0;
    keys = 0;

    key.data = decoded;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_openim_named(&h[i], "Connection")) {
            connection |= ngx_http_openim_handshake_token(&h[i].value,
                                         "upgrade", sizeof("upgrade") - 1);

        } else if (ngx_http_openim_named(&h[i], "Upgrade")) {
            upgrade |= ngx_http_openim_handshake_token(&h[i].value,
                                     "websocket", sizeof("websocket") - 1);

        } else if (ngx_http_openim_named(&h[i], "Sec-WebSocket-Version")) {
            version |= ngx_http_openim_handshake_token(&h[i].value,
                                                   "13", sizeof("13") - 1);

        } else if (ngx_http_openim_named(&h[i], "Sec-WebSocket-Key")) {
            keys += h[i].value.len == NGX_HTTP_OPENIM_WS_KEY_LEN
                    && ngx_decode_base64(&key, &h[i].value) == NGX_OK
                    && key.len == 16;
        }
    }

    if (!connection || !upgrade) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (!version || !keys || r->http_version < NGX_HTTP_VERSION_11
        || r->headers_in.content_length_n > 0 || r->headers_in.chunked
#if (NGX_HTTP_V2)
        || r->stream
#endif
       )
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    return NGX_OK;
}


/* value is a list of tokens, in any case, that contains this one */

static ngx_uint_t
ngx_http_openim_handshake_token(ngx_str_t *value, const char *token,
    size_t len)
{
    u_char  *p, *end, *last, *stop;

    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) { p++; }

        for (stop = end;
             stop > p && (stop[-1] == ' ' || stop[-1] == '\t');
             stop--) { /* void */ }

        if ((size_t) (stop - p) == len
            && ngx_strncasecmp(p, (u_char *) token, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* nginx's header filter adds "Connection: upgrade" by itself */

ngx_int_t
ngx_http_openim_handshake_send_101(ngx_http_request_t *r)
{
    u_char       hash[20], *p;
    ngx_str_t    text, accept, upgrade, *key;
    ngx_sha1_t   sha1;

    key = ngx_http_openim_header_in(r, "Sec-WebSocket-Key");
    p = ngx_pnalloc(r->pool, ngx_base64_encoded_length(20));

    if (key == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(hash, &sha1);

    text.data = hash;
    text.len = 20;
    accept.data = p;

    ngx_encode_base64(&accept, &text);

    ngx_str_set(&upgrade, "websocket");

    if (ngx_http_openim_header_out(r, "Upgrade", &upgrade) != NGX_OK
        || ngx_http_openim_header_out(r, "Sec-WebSocket-Accept", &accept)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;

    return ngx_http_send_header(r);
}
