
/*
 * A WebSocket from its handshake to its end.
 *
 * An idle one costs the ngx_connection_t with its small pool, this object, and
 * nothing else: the HTTP request and its buffers are gone after the 101 (see
 * _handshake_accept.c), input is read into a buffer of the process, and
 * memory for half a message, for waiting messages and for output exists only
 * while there is some.
 *
 * States.  PENDING: the store is being asked, the connection still belongs to
 * an HTTP request, pushes are queued.  OPEN; but until the user's groups are
 * known here, requests wait: what a client is told must not be older than what
 * it is pushed from then on.  CLOSING: no longer in the session
 * table, the queue is being sent.  LINGER: all is sent and the socket shut,
 * input is thrown away so that the client sees our last bytes and not a reset.
 * DEAD: freed at the end of this round of the event loop, so that whoever walks
 * a list of connections may close any of them.
 */


#ifndef _NGX_HTTP_OPENIM_CONNECTION_H_INCLUDED_
#define _NGX_HTTP_OPENIM_CONNECTION_H_INCLUDED_


#include "ngx_http_openim_module.h"
#include "ngx_http_openim_frame.h"


#define NGX_HTTP_OPENIM_WS_PENDING  0
#define NGX_HTTP_OPENIM_WS_OPEN     1
#define NGX_HTTP_OPENIM_WS_CLOSING  2
#define NGX_HTTP_OPENIM_WS_LINGER   3
#define NGX_HTTP_OPENIM_WS_DEAD     4

/* of one connection: messages that wait for the answer of the one before */
#define NGX_HTTP_OPENIM_WAIT_MESSAGES  32
#define NGX_HTTP_OPENIM_WAIT_BYTES     (256 * 1024)

/* a client that reads more than this drops the connection (gateway.md 2.5) */
#define NGX_HTTP_OPENIM_FRAME_MAX      (1024 * 1024)

/* variants of a push: codec and compression */
#define NGX_HTTP_OPENIM_VARIANTS       4


/* One frame, head included; shared by all connections that send it */

typedef struct {
    ngx_uint_t                   refs;
    size_t                       len;
    u_char                      *data;
} ngx_http_openim_packet_t;


typedef struct ngx_http_openim_out_s  ngx_http_openim_out_t;

struct ngx_http_openim_out_s {
    ngx_http_openim_out_t       *next;
    ngx_http_openim_packet_t    *packet;
};


typedef struct ngx_http_openim_wait_s  ngx_http_openim_wait_t;

struct ngx_http_openim_wait_s {
    ngx_http_openim_wait_t      *next;
    size_t                       len;
    u_char                       data[1];
};


struct ngx_http_openim_ws_s {
    ngx_connection_t            *connection;
    ngx_http_request_t          *request;       /* PENDING only */
    ngx_uint_t                   state;
    uint64_t                     id;            /* connID */

    ngx_queue_t                  all;           /* of the process */
    ngx_queue_t                  peers;         /* of the user */
    ngx_queue_t                  dirty;         /* something to send */
    ngx_queue_t                  blocked;       /* Kafka's queue was full */
    ngx_queue_t                  subs;          /* of this connection */
    ngx_uint_t                   nsubs;
    void                        *user;          /* node of _session.c */

    ngx_str_t                    user_id;       /* in this allocation */
    ngx_str_t                    token;
    ngx_str_t                    remote;
    int64_t                      connected;     /* ms since 1970 */
    ngx_msec_t                   since;         /* ngx_current_msec */
    ngx_msec_t                   renew;
    ngx_msec_t                   retire;        /* if retiring */
    ngx_msec_t                   ping;
    ngx_event_t                  timer;

    ngx_http_openim_frame_t      frame;
    u_char                      *message;       /* pieces so far */
    size_t                       message_len;
    size_t                       message_size;

    ngx_http_openim_call_t      *call;          /* waits for a worker */
    ngx_http_openim_wait_t      *wait;
    ngx_http_openim_wait_t     **wait_last;
    ngx_uint_t                   nwait;
    size_t                       wait_len;
    ngx_msec_t                   blocked_at;    /* the first of them */

    ngx_http_openim_out_t       *out;
    ngx_http_openim_out_t      **out_last;
    ngx_uint_t                   nout;
    size_t                       out_len;
    size_t                       out_sent;      /* of the first packet */

    u_char                       platform_id;
    u_char                       variant;
    unsigned                     background:1;
    unsigned                     registered:1;  /* Redis may know it */
    unsigned                     in_session:1;
    unsigned                     is_dirty:1;
    unsigned                     is_blocked:1;
    unsigned                     paused:1;      /* not reading */
    unsigned                     retiring:1;
    unsigned                     announced:1;   /* to the workers */
    unsigned                     waiting:1;     /* for the user's groups */
};


void ngx_http_openim_ws_init(void);

/*
 * A PENDING one, in the session table; NULL: no memory.  accept makes it OPEN
 * and takes the connection over from r, which is gone afterwards.  discard is
 * for the one that never became OPEN.
 */
ngx_http_openim_ws_t *ngx_http_openim_ws_create(ngx_http_request_t *r,
    ngx_http_openim_ctx_t *ctx);
void ngx_http_openim_ws_accept(ngx_http_openim_ws_t *ws,
    ngx_connection_t *c, u_char *input, size_t len);
/* Bytes that go before everything that is queued */
ngx_int_t ngx_http_openim_ws_first(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len);
void ngx_http_openim_ws_discard(ngx_http_openim_ws_t *ws);

/* Leaves the session table, sends what is queued, then ends.  code 0: without
 * a Close frame */
void ngx_http_openim_ws_close(ngx_http_openim_ws_t *ws, ngx_uint_t code);
/* Ends at once */
void ngx_http_openim_ws_abort(ngx_http_openim_ws_t *ws);
/* 1001 within two seconds, when no request is under way */
void ngx_http_openim_ws_retire(ngx_http_openim_ws_t *ws);
void ngx_http_openim_ws_retire_all(void);
void ngx_http_openim_ws_renew_all(void);

/* The answer of ws->call was sent or will never come */
void ngx_http_openim_ws_done(ngx_http_openim_ws_t *ws);

/* Queues a packet and takes a reference of its own; the slow are closed */
void ngx_http_openim_ws_send(ngx_http_openim_ws_t *ws,
    ngx_http_openim_packet_t *packet);
void ngx_http_openim_ws_respond(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_resp_t *resp);

/*
 * The frame of an envelope in a variant, with one reference, or NULL: no
 * memory, or more than a client can read.
 */
ngx_http_openim_packet_t *ngx_http_openim_packet_envelope(ngx_uint_t variant,
    ngx_http_openim_envelope_resp_t *resp);
void ngx_http_openim_packet_free(ngx_http_openim_packet_t *packet);


#endif /* _NGX_HTTP_OPENIM_CONNECTION_H_INCLUDED_ */
