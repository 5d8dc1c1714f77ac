
/*
 * WebSocket frames of the server's side (RFC 6455, gateway.md 2.1, 2.5): an
 * incremental parser of what clients send, and the heads of what we send.
 * Called by ngx_http_openim_connection_read.c, and by who makes frames; owns no
 * memory, allocates nothing.
 *
 *     for ( ;; ) {
 *         rc = ngx_http_openim_frame_parse(&f, &pos, last);
 *
 *         NGX_AGAIN    all input is used up, read more
 *         _DATA        f.data is the next piece of a message (f.message is its
 *                      opcode), unmasked in place, borrowed from the input.
 *                      f.start and f.end: it is the first, the last piece; both
 *                      at once when the whole message lay in the input
 *         _PING, _PONG f.data is the payload, valid until the next call
 *         _CLOSE       f.code is the code to echo (0: none was sent)
 *         NGX_ERROR    f.code is the code to close with, f.error says why
 *     }
 *
 * After NGX_ERROR and _CLOSE the parser must not be called again.
 */


#ifndef _NGX_HTTP_OPENIM_FRAME_H_INCLUDED_
#define _NGX_HTTP_OPENIM_FRAME_H_INCLUDED_


#include "ngx_http_openim_pure.h"


#define NGX_HTTP_OPENIM_FRAME_DATA      1      /* results of parse */
#define NGX_HTTP_OPENIM_FRAME_PING      2
#define NGX_HTTP_OPENIM_FRAME_PONG      3
#define NGX_HTTP_OPENIM_FRAME_CLOSE     4

#define NGX_HTTP_OPENIM_OP_CONTINUATION 0x0
#define NGX_HTTP_OPENIM_OP_TEXT         0x1
#define NGX_HTTP_OPENIM_OP_BINARY       0x2
#define NGX_HTTP_OPENIM_OP_CLOSE        0x8
#define NGX_HTTP_OPENIM_OP_PING         0x9
#define NGX_HTTP_OPENIM_OP_PONG         0xa

#define NGX_HTTP_OPENIM_CLOSE_NORMAL    1000
#define NGX_HTTP_OPENIM_CLOSE_AWAY      1001
#define NGX_HTTP_OPENIM_CLOSE_PROTOCOL  1002
#define NGX_HTTP_OPENIM_CLOSE_POLICY    1008
#define NGX_HTTP_OPENIM_CLOSE_TOO_BIG   1009
#define NGX_HTTP_OPENIM_CLOSE_INTERNAL  1011

#define NGX_HTTP_OPENIM_MESSAGE_MAX     51200  /* gateway.md 2.5 */
#define NGX_HTTP_OPENIM_CONTROL_MAX     125
#define NGX_HTTP_OPENIM_FRAME_HEAD_MAX  10     /* of a server's frame */


typedef struct {
    /* result of the last call */
    ngx_str_t       data;
    ngx_uint_t      message;         /* _OP_TEXT, _OP_BINARY; 0: between */
    ngx_uint_t      code;
    const char     *error;
    unsigned        start:1;
    unsigned        end:1;

    /* state */
    size_t          max;             /* bytes of a message, all fragments */
    size_t          size;            /* of the message, of all heads so far */
    size_t          rest;            /* payload of this frame to come */
    ngx_uint_t      opcode;
    unsigned        fin:1;
    unsigned        begun:1;         /* a piece of this message was given */
    unsigned        payload:1;       /* the head is complete */
    unsigned        phase:2;         /* of the mask */
    u_char          head_len;
    u_char          head_need;
    u_char          control_len;
    u_char          mask[4];
    u_char          head[14];
    u_char          control[NGX_HTTP_OPENIM_CONTROL_MAX];
} ngx_http_openim_frame_t;


void ngx_http_openim_frame_init(ngx_http_openim_frame_t *f, size_t max);

/* *pos moves over what was used; the bytes between are changed (unmasked) */
ngx_int_t ngx_http_openim_frame_parse(ngx_http_openim_frame_t *f,
    u_char **pos, u_char *last);

/* XORs data with mask, which starts at mask[phase]; returns the next phase */
ngx_uint_t ngx_http_openim_frame_mask(u_char *data, size_t len,
    const u_char mask[4], ngx_uint_t phase);

/*
 * Writes the head of a complete frame (FIN, no mask) for a payload of len
 * bytes, at most FRAME_HEAD_MAX; returns its end.
 */
u_char *ngx_http_openim_frame_head(u_char *p, ngx_uint_t opcode, size_t len);

/* A whole Close frame, 4 bytes, or 2 when code is 0; returns its end */
u_char *ngx_http_openim_frame_close(u_char *p, ngx_uint_t code);


#endif /* _NGX_HTTP_OPENIM_FRAME_H_INCLUDED_ */
