
/*
 * RFC 6455, the server's side.  See ngx_http_openim_frame.h for the loop around
 * it.  The head of a frame is collected byte by byte, a data payload is handed
 * out where it lies, a control payload (at most 125 bytes) is collected, too.
 */


#include "ngx_http_openim_frame.h"


static ngx_int_t ngx_http_openim_frame_parse_head(
    ngx_http_openim_frame_t *f);
static ngx_int_t ngx_http_openim_frame_check_head(
    ngx_http_openim_frame_t *f);
static ngx_int_t ngx_http_openim_frame_control(ngx_http_openim_frame_t *f,
    u_char **pos, u_char *last);
static ngx_int_t ngx_http_openim_frame_closed(ngx_http_openim_frame_t *f);
static ngx_int_t ngx_http_openim_frame_fail(ngx_http_openim_frame_t *f,
    ngx_uint_t code, const char *error);


void
ngx_http_openim_frame_init(ngx_http_openim_frame_t *f, size_t max)
{
    ngx_memzero(f, sizeof(ngx_http_openim_frame_t));

    f->max = max;
    f->head_need = 2;
}


ngx_int_t
ngx_http_openim_frame_parse(ngx_http_openim_frame_t *f, u_char **pos,
    u_char *last)
{
    size_t     n;
    u_char    *p;
    ngx_int_t  rc;

    f->start = 0;

    if (f->end) {
        f->end = 0;
        f->begun = 0;
        f->message = 0;
        f->size = 0;
    }

    for ( ;; ) {

        if (!f->payload) {

            while (f->head_len < f->head_need) {
                if (*pos == last) {
                    return NGX_AGAIN;
                }

                f->head[f->head_len++] = *(*pos)++;

                if (f->head_len == 2
                    && ngx_http_openim_frame_check_head(f) != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }

            if (ngx_http_openim_frame_parse_head(f) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        if (f->opcode & 0x8) {
            rc = ngx_http_openim_frame_control(f, pos, last);

            if (rc == NGX_OK) {
                continue;
            }

            return rc;
        }

        n = ngx_min(f->rest, (size_t) (last - *pos));

        if (n == 0 && f->rest) {
            return NGX_AGAIN;
        }

        p = *pos;
        *pos += n;
        f->rest -= n;

        f->phase = ngx_http_openim_frame_mask(p, n, f->mask, f->phase);

        if (f->rest == 0) {
            f->payload = 0;
            f->head_len = 0;
            f->head_need = 2;
            f->end = f->fin;
        }

        if (n == 0 && !f->end) {
            continue;
        }

        f->data.data = p;
        f->data.len = n;
        f->start = !f->begun;
        f->begun = 1;

        return NGX_HTTP_OPENIM_FRAME_DATA;
    }
}


/* The first two bytes: all that can be refused without the length */

static ngx_int_t
ngx_http_openim_frame_check_head(ngx_http_openim_frame_t *f)
{
    ngx_uint_t  len;

    len = f->head[1] & 0x7f;

    f->fin = f->head[0] >> 7;
    f->opcode = f->head[0] & 0xf;

    if (f->head[0] & 0x70) {
        return ngx_http_openim_frame_fail(f, NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                          "reserved bits");
    }

    if (!(f->head[1] & 0x80)) {
        return ngx_http_openim_frame_fail(f, NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                          "frame is not masked");
    }

    switch (f->opcode) {

    case NGX_HTTP_OPENIM_OP_CONTINUATION:
        if (!f->message) {
            return ngx_http_openim_frame_fail(f,
                                             NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                             "continuation of nothing");
        }

        break;

    case NGX_HTTP_OPENIM_OP_TEXT:
    case NGX_HTTP_OPENIM_OP_BINARY:
        if (f->message) {
            return ngx_http_openim_frame_fail(f,
                                             NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                             "message inside a message");
        }

        f->message = f->opcode;
        break;

    case NGX_HTTP_OPENIM_OP_CLOSE:
    case NGX_HTTP_OPENIM_OP_PING:
    case NGX_HTTP_OPENIM_OP_PONG:
        if (!f->fin) {
            return ngx_http_openim_frame_fail(f,
                                             NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                             "fragmented control frame");
        }

        if (len > NGX_HTTP_OPENIM_CONTROL_MAX) {
            return ngx_http_openim_frame_fail(f,
                                             NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                             "control frame is too long");
        }

        break;

    default:
        return ngx_http_openim_frame_fail(f, NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                          "unknown opcode");
    }

    f->head_need = 2 + 4;

    if (len == 126) {
        f->head_need += 2;

    } else if (len == 127) {
        f->head_need += 8;
    }

    return NGX_OK;
}


/* A length in a longer form than needed is accepted */

static ngx_int_t
ngx_http_openim_frame_parse_head(ngx_http_openim_frame_t *f)
{
    u_char    *p, *mask;
    uint64_t   len;

    p = &f->head[2];
    mask = &f->head[f->head_need - 4];

    if (p == mask) {
        len = f->head[1] & 0x7f;

    } else {
        for (len = 0; p < mask; p++) {
            len = len << 8 | *p;
        }
    }

    if (!(f->opcode & 0x8)) {

        if (len > f->max - f->size) {
            return ngx_http_openim_frame_fail(f,
                                              NGX_HTTP_OPENIM_CLOSE_TOO_BIG,
                                              "message is too big");
        }

        f->size += (size_t) len;
    }

    ngx_memcpy(f->mask, mask, 4);

    f->rest = (size_t) len;
    f->phase = 0;
    f->payload = 1;
    f->control_len = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_frame_control(ngx_http_openim_frame_t *f, u_char **pos,
    u_char *last)
{
    size_t  n;

    n = ngx_min(f->rest, (size_t) (last - *pos));

    if (n) {
        ngx_memcpy(&f->control[f->control_len], *pos, n);

        f->control_len += (u_char) n;
        f->rest -= n;
        *pos += n;
    }

    if (f->rest) {
        return NGX_AGAIN;
    }

    (void) ngx_http_openim_frame_mask(f->control, f->control_len, f->mask, 0);

    f->data.data = f->control;
    f->data.len = f->control_len;

    f->payload = 0;
    f->head_len = 0;
    f->head_need = 2;

    switch (f->opcode) {

    case NGX_HTTP_OPENIM_OP_PING:
        return NGX_HTTP_OPENIM_FRAME_PING;

    case NGX_HTTP_OPENIM_OP_PONG:
        return NGX_HTTP_OPENIM_FRAME_PONG;

    default: /* NGX_HTTP_OPENIM_OP_CLOSE */
        return ngx_http_openim_frame_closed(f);
    }
}


static ngx_int_t
ngx_http_openim_frame_closed(ngx_http_openim_frame_t *f)
{
    ngx_uint_t  code;

    f->code = 0;

    if (f->data.len == 0) {
        return NGX_HTTP_OPENIM_FRAME_CLOSE;
    }

    if (f->data.len == 1) {
        return ngx_http_openim_frame_fail(f, NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                          "half a close code");
    }

    code = f->control[0] << 8 | f->control[1];

    if (!((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
          || (code >= 3000 && code <= 4999)))
    {
        return ngx_http_openim_frame_fail(f, NGX_HTTP_OPENIM_CLOSE_PROTOCOL,
                                          "invalid close code");
    }

    f->code = code;

    return NGX_HTTP_OPENIM_FRAME_CLOSE;
}


static ngx_int_t
ngx_http_openim_frame_fail(ngx_http_openim_frame_t *f, ngx_uint_t code,
    const char *error)
{
    f->code = code;
    f->error = error;

    return NGX_ERROR;
}


ngx_uint_t
ngx_http_openim_frame_mask(u_char *data, size_t len, const u_char mask[4],
    ngx_uint_t phase)
{
    u_char    *last, turned[8];
    uint64_t   word, wide;
    ngx_uint_t i;

    last = data + len;

    for (i = 0; i < 8; i++) {
        turned[i] = mask[(phase + i) & 3];
    }

    ngx_memcpy(&wide, turned, 8);

    while (last - data >= 8) {
        ngx_memcpy(&word, data, 8);
        word ^= wide;
        ngx_memcpy(data, &word, 8);
        data += 8;
    }

    for (i = 0; data < last; i++) {
        *data++ ^= turned[i];
    }

    return (phase + len) & 3;
}


u_char *
ngx_http_openim_frame_head(u_char *p, ngx_uint_t opcode, size_t len)
{
    ngx_int_t  shift;

    *p++ = (u_char) (0x80 | opcode);

    if (len < 126) {
        *p++ = (u_char) len;
        return p;
    }

    if (len <= 0xffff) {
        *p++ = 126;
        shift = 8;

    } else {
        *p++ = 127;
        shift = 56;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *p++ = (u_char) ((uint64_t) len >> shift);
    }

    return p;
}


u_char *
ngx_http_openim_frame_close(u_char *p, ngx_uint_t code)
{
    if (code == 0) {
        return ngx_http_openim_frame_head(p, NGX_HTTP_OPENIM_OP_CLOSE, 0);
    }

    p = ngx_http_openim_frame_head(p, NGX_HTTP_OPENIM_OP_CLOSE, 2);

    *p++ = (u_char) (code >> 8);
    *p++ = (u_char) code;

    return p;
}
