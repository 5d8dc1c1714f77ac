
/*
 * What the files of the module share: settings, the state of a worker process,
 * its counters, and the functions that are not about one connection or one
 * session (those are in ngx_http_openim_connection.h and _session.h).
 *
 * The road of a request, file by file: _handshake.c, _connection.c, then
 * _connection_read.c, _connection_wait.c, _request.c, _uplink.c, _kafka.c; and
 * back: _redis_subscribe.c, _downlink.c, then _call.c, or _downlink_push.c and
 * _session.c, and _connection_write.c.  REST is _rest.c, _rest_body.c,
 * _rest_forward.c, then the same road, and _rest_send.c.
 */


#ifndef _NGX_HTTP_OPENIM_MODULE_H_INCLUDED_
#define _NGX_HTTP_OPENIM_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_openim_args.h"
#include "ngx_http_openim_token.h"
#include "ngx_http_openim_envelope.h"


#define NGX_HTTP_OPENIM_PROFILE_PRODUCTION   0
#define NGX_HTTP_OPENIM_PROFILE_DEVELOPMENT  1

/* an online entry and its renewal, in seconds (gateway.md 8) */
#define NGX_HTTP_OPENIM_ONLINE_EXPIRE  1800
#define NGX_HTTP_OPENIM_ONLINE_RENEW   600

/* proto/internal.proto */
#define NGX_HTTP_OPENIM_SOURCE_WS     0
#define NGX_HTTP_OPENIM_SOURCE_REST   1
#define NGX_HTTP_OPENIM_SOURCE_EVENT  2
#define NGX_HTTP_OPENIM_EVENT_CONNECTED  1

#define NGX_HTTP_OPENIM_TOPIC_MSG  0
#define NGX_HTTP_OPENIM_TOPIC_RPC  1
#define NGX_HTTP_OPENIM_TOPICS     2

#define NGX_HTTP_OPENIM_GATEWAY_LEN  128


typedef struct ngx_http_openim_ws_s    ngx_http_openim_ws_t;
typedef struct ngx_http_openim_call_s  ngx_http_openim_call_t;
typedef struct ngx_http_openim_job_s   ngx_http_openim_job_t;


typedef struct {
    ngx_str_t          kafka_brokers;        /* host:port, ... */
    ngx_str_t          kafka_topic_prefix;
    size_t             kafka_max_record;
    ngx_uint_t         kafka_queue;

    ngx_str_t          redis_address;        /* host:port, unix:path */
    ngx_addr_t        *redis_addrs;
    ngx_uint_t         redis_naddrs;
    ngx_str_t          redis_password;
    ngx_int_t          redis_db;

    ngx_str_t          secret;
    ngx_uint_t         profile;
    ngx_array_t       *admin_users;          /* of ngx_str_t */

    ngx_int_t          max_connections;
    size_t             max_message;
    size_t             max_inflate;
    ngx_msec_t         read_timeout;
    ngx_msec_t         ping_interval;
    ngx_msec_t         request_timeout;
    ngx_int_t          send_queue;           /* frames */
    size_t             send_buffer;          /* bytes */

    ngx_shm_zone_t    *zone;
    unsigned           enabled:1;            /* some location needs us */
} ngx_http_openim_main_conf_t;


/*
 * Counters of one worker process.  They live in shared memory, a slot each, so
 * that any process can tell the sum; a slot whose process is gone is free.
 */

typedef struct {
    ngx_atomic_t       pid;

    ngx_atomic_t       connections;          /* gauges */
    ngx_atomic_t       memberships;
    ngx_atomic_t       calls;
    ngx_atomic_t       kafka_up;
    ngx_atomic_t       redis_up;
    ngx_atomic_t       subscribed;

    ngx_atomic_t       counters;             /* the first of the counters */
    ngx_atomic_t       handshakes;
    ngx_atomic_t       refused;
    ngx_atomic_t       requests;
    ngx_atomic_t       rest;
    ngx_atomic_t       replies;
    ngx_atomic_t       replies_late;
    ngx_atomic_t       timeouts;
    ngx_atomic_t       pushes;
    ngx_atomic_t       frames;
    ngx_atomic_t       repeats;
    ngx_atomic_t       ignored;
    ngx_atomic_t       kicks;
    ngx_atomic_t       gaps;
    ngx_atomic_t       resyncs;
    ngx_atomic_t       slow;
    ngx_atomic_t       dropped;
    ngx_atomic_t       kafka_full;
    ngx_atomic_t       kafka_errors;
    ngx_atomic_t       redis_errors;
} ngx_http_openim_stat_t;


/* A worker process; one static object, valid after init_process */

typedef struct {
    ngx_http_openim_main_conf_t  *conf;
    ngx_http_openim_stat_t       *stat;
    ngx_log_t                    *log;

    ngx_str_t                     gateway;   /* our id */
    u_char                        gateway_data[NGX_HTTP_OPENIM_GATEWAY_LEN];
    uint64_t                      last_id;   /* of connections, calls */

    ngx_uint_t                    connections;
    ngx_http_openim_gzip_t       *gzip;

    u_char                       *input;     /* what recv() writes into */
    size_t                        input_size;

    unsigned                      ready:1;
    unsigned                      stopping:1;  /* in exit_process */
} ngx_http_openim_process_t;


/* What a request of ours carries: the handshake and REST */

typedef struct {
    ngx_str_t                     query;     /* before it was masked */
    ngx_http_openim_args_t        args;
    ngx_http_openim_token_t       token;
    ngx_http_openim_error_t       mismatch;  /* code 0: token fits args */
    ngx_int_t                     upgrade;   /* NGX_OK, or an HTTP status */
    ngx_http_openim_ws_t         *ws;        /* until it is accepted */

    ngx_http_openim_job_t        *job;       /* Redis is asked */
    ngx_http_openim_call_t       *call;      /* a worker is asked */

    ngx_str_t                     operation_id;
    u_char                       *body;
    size_t                        body_len;
    size_t                        body_size;

    ngx_int_t                     code;      /* for the log; -1: none */
    unsigned                      masked:1;
    unsigned                      protobuf:1;
    unsigned                      counted:1;
} ngx_http_openim_ctx_t;


/* One record on its way to Kafka */

typedef struct {
    ngx_uint_t                    topic;
    ngx_str_t                     key;
    uint64_t                      id;        /* of the call; 0: none waits */
    ngx_uint_t                    source;
    int32_t                       req;
    ngx_str_t                     path;
    ngx_str_t                     user_id;
    ngx_int_t                     platform_id;
    ngx_str_t                     operation_id;
    uint64_t                      conn_id;
    ngx_str_t                     payload;
    ngx_uint_t                    flags;
    ngx_str_t                     token;
    ngx_str_t                     remote;
    ngx_str_t                     query;     /* where a route reads it */
} ngx_http_openim_uplink_t;


/* What a worker says, borrowed from its record */

typedef struct {
    uint64_t                      id;
    int64_t                       code;
    ngx_str_t                     msg;
    ngx_str_t                     dlt;
    ngx_str_t                     data;
    int64_t                       flags;     /* 1: close after it */
    int64_t                       status;
    ngx_str_t                     type;
} ngx_http_openim_reply_t;


/* _process.c */
ngx_int_t ngx_http_openim_process_init(ngx_cycle_t *cycle);
void ngx_http_openim_process_exit(ngx_cycle_t *cycle);
ngx_int_t ngx_http_openim_zone_init(ngx_shm_zone_t *zone, void *data);
ngx_http_openim_stat_t *ngx_http_openim_slots(ngx_shm_zone_t *zone,
    ngx_uint_t *n);
ngx_uint_t ngx_http_openim_connections(void);
ngx_uint_t ngx_http_openim_replaced(void);
int64_t ngx_http_openim_now(void);           /* ms since 1970 */
ngx_uint_t ngx_http_openim_is_admin(ngx_str_t *user_id);
ngx_str_t *ngx_http_openim_loggable(ngx_str_t *text);

/* _http.c; header_in: NULL if there is none */
ngx_http_openim_ctx_t *ngx_http_openim_ctx(ngx_http_request_t *r);
ngx_str_t *ngx_http_openim_header_in(ngx_http_request_t *r, const char *name);
ngx_int_t ngx_http_openim_header_out(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
ngx_int_t ngx_http_openim_output(ngx_http_request_t *r, u_char *data,
    size_t len);

/* _handshake.c, _handshake_mask.c, _handshake_accept.c */
ngx_int_t ngx_http_openim_handshake_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_openim_mask_handler(ngx_http_request_t *r);
void ngx_http_openim_connected(ngx_http_openim_ws_t *ws,
    ngx_str_t *operation_id);

/* _rest.c, _rest_forward.c */
ngx_int_t ngx_http_openim_rest_handler(ngx_http_request_t *r);
void ngx_http_openim_rest_reply(ngx_http_request_t *r,
    ngx_http_openim_reply_t *reply);

/* _status.c, _variables.c */
ngx_int_t ngx_http_openim_status_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_openim_variables_add(ngx_conf_t *cf);

/* _request.c */
ngx_int_t ngx_http_openim_request_handle(ngx_http_openim_ws_t *ws,
    u_char *data, size_t len, ngx_uint_t late);
const char *ngx_http_openim_platform(ngx_int_t id);   /* NULL: unknown */

/* _uplink.c */
ngx_int_t ngx_http_openim_uplink_send(ngx_http_openim_uplink_t *up);

/* _call.c */
void ngx_http_openim_call_init(void);
ngx_http_openim_call_t *ngx_http_openim_call_create(ngx_http_openim_ws_t *ws,
    ngx_http_request_t *r, ngx_http_openim_envelope_req_t *req);
uint64_t ngx_http_openim_call_id(ngx_http_openim_call_t *call);
void ngx_http_openim_call_forget(ngx_http_openim_call_t *call);
void ngx_http_openim_call_end(ngx_http_openim_reply_t *reply);
void ngx_http_openim_call_fail(uint64_t id, ngx_int_t code);

/* _downlink.c */
void ngx_http_openim_downlink_init(void);
void ngx_http_openim_downlink_handle(u_char *data, size_t len);
void ngx_http_openim_downlink_resubscribed(void);
void ngx_http_openim_downlink_resync(const char *why);

/* _kafka.c */
ngx_int_t ngx_http_openim_kafka_init(ngx_cycle_t *cycle);
void ngx_http_openim_kafka_exit(void);
ngx_int_t ngx_http_openim_kafka_produce(ngx_uint_t topic, ngx_str_t *key,
    u_char *data, size_t len, uint64_t id);

/*
 * _redis.c, _redis_command.c; _redis_job.c: cancel; _redis_heartbeat.c: leave.
 * A handler gets 0 or the errCode of the answer (500: no answer from the
 * store).  It is called later, never from within the function that starts the
 * job; start returns NULL when the store is away.
 */
typedef void (*ngx_http_openim_job_pt)(void *data, ngx_int_t code);

ngx_int_t ngx_http_openim_redis_init(ngx_cycle_t *cycle);
void ngx_http_openim_redis_exit(void);
ngx_uint_t ngx_http_openim_redis_ready(void);
ngx_http_openim_job_t *ngx_http_openim_redis_token(ngx_str_t *user_id,
    ngx_int_t platform_id, ngx_str_t *token, ngx_http_openim_job_pt handler,
    void *data);
ngx_http_openim_job_t *ngx_http_openim_redis_register(
    ngx_http_openim_ws_t *ws, ngx_uint_t check,
    ngx_http_openim_job_pt handler, void *data);
void ngx_http_openim_redis_unregister(ngx_http_openim_ws_t *ws);
void ngx_http_openim_redis_cancel(ngx_http_openim_job_t *job);
void ngx_http_openim_redis_leave(void);

/* _scripts.c */
#define NGX_HTTP_OPENIM_SCRIPT_TOKEN       0
#define NGX_HTTP_OPENIM_SCRIPT_REGISTER    1
#define NGX_HTTP_OPENIM_SCRIPT_UNREGISTER  2
#define NGX_HTTP_OPENIM_SCRIPTS            3

extern ngx_str_t  ngx_http_openim_scripts[NGX_HTTP_OPENIM_SCRIPTS];


extern ngx_module_t  ngx_http_openim_module;
extern ngx_http_openim_process_t  ngx_http_openim_process;


#define ngx_http_openim_count(name)                                          \
    ngx_http_openim_process.stat->name++


#endif /* _NGX_HTTP_OPENIM_MODULE_H_INCLUDED_ */
