
/*
 * Requests.  First what a WebSocket message asks for and where it goes (the
 * table, gateway.md 4); then the record that goes to Kafka
 * (proto/internal.proto); then the calls: who waits for which answer.
 *
 * A call ends exactly once: by the reply of a worker, by a failed delivery, or
 * at its deadline; or it is forgotten when the one who waits is gone.  Calls
 * end in the order in which they began, so the deadlines are a list.
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"

#include "oim_wire.h"


struct ngx_http_openim_call_s {
    ngx_rbtree_node_t        node;           /* key: id */
    ngx_queue_t              queue;          /* by deadline */
    ngx_msec_t               deadline;
    ngx_http_openim_ws_t    *ws;             /* one of these two */
    ngx_http_request_t      *request;
    int32_t                  req;
    ngx_str_t                msg_incr;       /* in this allocation */
    ngx_str_t                operation_id;
};


typedef ngx_int_t (*ngx_http_openim_request_pt)(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);


typedef struct {
    int32_t                      req;
    ngx_uint_t                   topic;
    ngx_http_openim_request_pt   handler;    /* before it is sent on */
} ngx_http_openim_request_t;


static ngx_int_t ngx_http_openim_request_send_msg(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);
static ngx_int_t ngx_http_openim_request_signal(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);
static ngx_int_t ngx_http_openim_request_background(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);
static ngx_int_t ngx_http_openim_request_subscribe(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);
static void ngx_http_openim_request_answer(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_int_t code);
static ngx_int_t ngx_http_openim_request_dispatch(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_uint_t late);

static void ngx_http_openim_uplink_write(struct oim_wire_writer *w,
    ngx_http_openim_uplink_t *up);
static void ngx_http_openim_uplink_str(struct oim_wire_writer *w,
    uint32_t number, ngx_str_t *value);
static void ngx_http_openim_uplink_int(struct oim_wire_writer *w,
    uint32_t number, uint64_t value);

static ngx_http_openim_call_t *ngx_http_openim_call_create(
    ngx_http_openim_ws_t *ws, ngx_http_request_t *r,
    ngx_http_openim_envelope_req_t *req);
static ngx_http_openim_call_t *ngx_http_openim_call_find(uint64_t id);
static void ngx_http_openim_call_finish(ngx_http_openim_call_t *call,
    ngx_http_openim_reply_t *reply);
static void ngx_http_openim_call_deadline(ngx_event_t *ev);


/* Everything that is not here ends the connection (gateway.md 2.2) */

static ngx_http_openim_request_t  ngx_http_openim_requests[] = {
    { 1001, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 1002, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 1003, NGX_HTTP_OPENIM_TOPIC_MSG, ngx_http_openim_request_send_msg },
    { 1004, NGX_HTTP_OPENIM_TOPIC_RPC, ngx_http_openim_request_signal },
    { 1005, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 1006, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 1007, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 2003, NGX_HTTP_OPENIM_TOPIC_RPC, NULL },
    { 2004, NGX_HTTP_OPENIM_TOPIC_RPC, ngx_http_openim_request_background },
    { 2005, NGX_HTTP_OPENIM_TOPIC_RPC, ngx_http_openim_request_subscribe },
    { 0, 0, NULL }
};


/* gateway.md 6.1 */

static const char  *ngx_http_openim_platforms[] = {
    NULL, "IOS", "Android", "Windows", "OSX", "Web", "MiniWeb", "Linux",
    "APad", "IPad", "Admin", "HarmonyOS"
};


static ngx_rbtree_t       ngx_http_openim_calls;
static ngx_rbtree_node_t  ngx_http_openim_calls_sentinel;
static ngx_queue_t        ngx_http_openim_calls_queue;
static ngx_event_t        ngx_http_openim_calls_timer;


const char *
ngx_http_openim_platform(ngx_int_t id)
{
    if (id < 1 || id > NGX_HTTP_OPENIM_PLATFORM_MAX) {
        return NULL;
    }

    return ngx_http_openim_platforms[id];
}


/*
 * One binary message of an OPEN connection that waits for nothing.  NGX_OK: it
 * was answered, or ws->call waits for the answer; NGX_AGAIN: Kafka's queue is
 * full, give it again later (not if late is set: then that is the answer);
 * NGX_ERROR: drop the connection.
 */

ngx_int_t
ngx_http_openim_request_handle(ngx_http_openim_ws_t *ws, u_char *data,
    size_t len, ngx_uint_t late)
{
    u_char                          *scratch;
    ngx_int_t                        rc;
    ngx_str_t                        plain;
    ngx_uint_t                       codec;
    const char                      *why;
    ngx_connection_t                *c;
    ngx_http_openim_mem_t            mem;
    ngx_http_openim_envelope_req_t   req;

    c = ws->connection;

    if (ws->variant & 2) {

        if (ngx_http_openim_gunzip(ngx_http_openim_process.gzip, data, len,
                                   &plain, &why)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "openim: bad gzip: %s, user=%V", why, &ws->user_id);
            return NGX_ERROR;
        }

        data = plain.data;
        len = plain.len;
    }

    codec = ws->variant & 1;
    scratch = NULL;

    if (codec == NGX_HTTP_OPENIM_JSON) {
        scratch = ngx_alloc(ngx_http_openim_envelope_scratch(len) + 1, c->log);
        if (scratch == NULL) {
            return NGX_ERROR;
        }

        mem.pos = scratch;
        mem.last = scratch + ngx_http_openim_envelope_scratch(len);
    }

    rc = ngx_http_openim_envelope_decode(codec, data, len,
                                         scratch ? &mem : NULL, &req);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "openim: bad envelope, user=%V", &ws->user_id);

    } else if (req.send_id.len != ws->user_id.len
               || ngx_memcmp(req.send_id.data, ws->user_id.data,
                             ws->user_id.len)
                  != 0)
    {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "openim: envelope of another user, user=%V op=%V",
                      &ws->user_id,
                      ngx_http_openim_loggable(&req.operation_id));
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_openim_request_dispatch(ws, &req, late);
    }

    if (scratch) {
        ngx_free(scratch);
    }

    return rc;
}


static ngx_int_t
ngx_http_openim_request_dispatch(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_uint_t late)
{
    ngx_int_t                   rc;
    ngx_http_openim_call_t     *call;
    ngx_http_openim_uplink_t    up;
    ngx_http_openim_request_t  *rt;

    for (rt = ngx_http_openim_requests; rt->req; rt++) {
        if (rt->req == req->req) {
            break;
        }
    }

    if (rt->req == 0) {
        ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                      "openim: unknown reqIdentifier %D, user=%V op=%V",
                      req->req, &ws->user_id,
                      ngx_http_openim_loggable(&req->operation_id));
        return NGX_ERROR;
    }

    ngx_memzero(&up, sizeof(ngx_http_openim_uplink_t));

    up.topic = rt->topic;
    up.key = ws->user_id;
    up.source = NGX_HTTP_OPENIM_SOURCE_WS;
    up.req = req->req;
    up.user_id = ws->user_id;
    up.platform_id = ws->platform_id;
    up.operation_id = req->operation_id;
    up.conn_id = ws->id;
    up.payload = req->data;
    up.remote = ws->remote;

    if (rt->handler) {
        rc = rt->handler(ws, req, &up);

        if (rc == NGX_DONE) {
            ngx_http_openim_count(requests);
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    call = ngx_http_openim_call_create(ws, NULL, req);

    if (call) {
        up.id = call->node.key;
        rc = ngx_http_openim_uplink_send(&up);

    } else {
        rc = NGX_ERROR;
    }

    if (up.key.data != ws->user_id.data) {
        ngx_free(up.key.data);
    }

    if (rc != NGX_OK) {

        if (call) {
            ngx_http_openim_call_forget(call);
        }

        if (rc == NGX_AGAIN && !late) {
            return NGX_AGAIN;
        }

        ngx_http_openim_count(requests);
        ngx_http_openim_request_answer(ws, req,
                                       rc == NGX_DECLINED
                                           ? NGX_HTTP_OPENIM_E_ARGS
                                           : NGX_HTTP_OPENIM_E_INTERNAL);
        return NGX_OK;
    }

    ngx_http_openim_count(requests);
    ws->call = call;

    return NGX_OK;
}


/*
 * The key is the conversation, so that one worker sees all of it in order.
 * What cannot be read goes by user: the worker finds the right error.
 */

static ngx_int_t
ngx_http_openim_request_send_msg(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up)
{
    size_t               len;
    u_char              *key;
    struct oim_wire_msg  msg;

    if (oim_wire_peek_msg(req->data.data, req->data.len, &msg) != 0
        || msg.session_type < 1 || msg.session_type > 4)
    {
        return NGX_OK;
    }

    if (msg.session_type == 2 || msg.session_type == 3) {
        if (msg.group_len == 0) {
            return NGX_OK;
        }

    } else if (msg.send_len == 0 || msg.recv_len == 0) {
        return NGX_OK;
    }

    len = oim_wire_conversation_key(&msg, NULL, 0);

    key = ngx_alloc(len + 1, ws->connection->log);
    if (key == NULL) {
        return NGX_ERROR;
    }

    (void) oim_wire_conversation_key(&msg, (char *) key, len);

    up->key.data = key;
    up->key.len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_request_signal(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up)
{
    ngx_http_openim_request_answer(ws, req, NGX_HTTP_OPENIM_E_ARGS);

    return NGX_DONE;
}


/* gateway.md 5.4: {1 userID, 2 isBackground}, this connection only */

static ngx_int_t
ngx_http_openim_request_background(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up)
{
    int                      rc;
    unsigned                 background;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;

    background = 0;
    wr.pos = req->data.data;
    wr.end = req->data.data + req->data.len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {
        if (f.number == 2 && f.type == 0) {
            background = f.value ? 1 : 0;

        } else if (f.number == 1
                   && (f.type != 2 || !oim_wire_utf8(f.data, f.len)))
        {
            rc = -1;
            break;
        }
    }

    if (rc != 0) {
        ngx_http_openim_request_answer(ws, req, NGX_HTTP_OPENIM_E_INTERNAL);
        return NGX_DONE;
    }

    if (ws->background != background) {
        ws->background = background;

        /* for queries; if it fails, the renewal will say it */
        (void) ngx_http_openim_redis_register(ws, 0, NULL, NULL);
    }

    ngx_http_openim_request_answer(ws, req, 0);

    return NGX_DONE;
}


/*
 * gateway.md 5.5: {1 subscribeUserID, 2 unsubscribeUserID}.  We subscribe
 * before the worker looks who is online, so no change in between is missed.
 */

static ngx_int_t
ngx_http_openim_request_subscribe(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up)
{
    int                      rc;
    ngx_str_t                user_id;
    ngx_uint_t               n, pass;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;

    n = 0;
    wr.pos = req->data.data;
    wr.end = req->data.data + req->data.len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {
        if (f.number == 1 || f.number == 2) {
            if (f.type != 2 || !oim_wire_utf8(f.data, f.len)) {
                rc = -1;
                break;
            }

            n++;
        }
    }

    if (rc != 0) {
        ngx_http_openim_request_answer(ws, req, NGX_HTTP_OPENIM_E_INTERNAL);
        return NGX_DONE;
    }

    if (n > NGX_HTTP_OPENIM_SUBS_REQUEST) {
        ngx_http_openim_request_answer(ws, req, NGX_HTTP_OPENIM_E_ARGS);
        return NGX_DONE;
    }

    /* who is in both lists ends subscribed */

    for (pass = 2; pass >= 1; pass--) {

        wr.pos = req->data.data;
        wr.end = req->data.data + req->data.len;

        while (oim_wire_next(&wr, &f) == 1) {

            if (f.number != pass) {
                continue;
            }

            user_id.data = (u_char *) f.data;
            user_id.len = f.len;

            if (pass == 2) {
                ngx_http_openim_session_unsubscribe(ws, &user_id);
                continue;
            }

            if (ngx_http_openim_session_subscribe(ws, &user_id) != NGX_OK) {
                ngx_http_openim_request_answer(ws, req,
                                               NGX_HTTP_OPENIM_E_ARGS);
                return NGX_DONE;
            }
        }
    }

    return NGX_OK;
}


static void
ngx_http_openim_request_answer(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_int_t code)
{
    ngx_http_openim_envelope_resp_t  resp;

    ngx_memzero(&resp, sizeof(ngx_http_openim_envelope_resp_t));

    resp.req = req->req;
    resp.err_code = code;
    resp.msg_incr = req->msg_incr;
    resp.operation_id = req->operation_id;
    resp.err_msg = *ngx_http_openim_error_msg(code);

    ngx_http_openim_ws_respond(ws, &resp);
}


/*
 * The record.  NGX_OK, or as ngx_http_openim_kafka_produce().  An operation ID
 * that is no UTF-8, which no protobuf string may hold, is for the reply only.
 */

ngx_int_t
ngx_http_openim_uplink_send(ngx_http_openim_uplink_t *up)
{
    u_char                  *data;
    size_t                   len;
    ngx_int_t                rc;
    struct oim_wire_writer   w;

    if (!oim_wire_utf8(up->operation_id.data, up->operation_id.len)) {
        ngx_str_null(&up->operation_id);
    }

    w.data = NULL;
    w.cap = 0;
    w.len = 0;

    ngx_http_openim_uplink_write(&w, up);

    len = w.len;

    if (len > ngx_http_openim_process.conf->kafka_max_record) {
        return NGX_DECLINED;
    }

    data = ngx_alloc(len, ngx_http_openim_process.log);
    if (data == NULL) {
        return NGX_ERROR;
    }

    w.data = data;
    w.cap = len;
    w.len = 0;

    ngx_http_openim_uplink_write(&w, up);

    /* the clock may have moved on in between, not the size of its value */

    if (oim_wire_overflow(&w) || w.len != len) {
        ngx_free(data);
        return NGX_ERROR;
    }

    rc = ngx_http_openim_kafka_produce(up->topic, &up->key, data, len,
                                       up->id);
    if (rc != NGX_OK) {
        ngx_free(data);
    }

    return rc;
}


static void
ngx_http_openim_uplink_write(struct oim_wire_writer *w,
    ngx_http_openim_uplink_t *up)
{
    int64_t  now;

    now = ngx_http_openim_now();

    oim_wire_varint(w, 1, 1);

    if (up->id) {
        ngx_http_openim_uplink_str(w, 2, &ngx_http_openim_process.gateway);
        oim_wire_varint(w, 3, up->id);

    } else if (up->source == NGX_HTTP_OPENIM_SOURCE_EVENT) {
        /* nobody waits, but kicks must find the way back */
        ngx_http_openim_uplink_str(w, 2, &ngx_http_openim_process.gateway);
    }

    ngx_http_openim_uplink_int(w, 4, up->source);
    ngx_http_openim_uplink_int(w, 5, (uint64_t) (int64_t) up->req);
    ngx_http_openim_uplink_str(w, 6, &up->path);
    ngx_http_openim_uplink_str(w, 7, &up->user_id);
    ngx_http_openim_uplink_int(w, 8, (uint64_t) (int64_t) up->platform_id);

    /* a worker refuses a whole record for one bad string */

    if (oim_wire_utf8(up->operation_id.data, up->operation_id.len)) {
        ngx_http_openim_uplink_str(w, 9, &up->operation_id);
    }

    ngx_http_openim_uplink_int(w, 10, up->conn_id);
    oim_wire_varint(w, 11, now);

    if (up->id) {
        oim_wire_varint(w, 12,
                        now + ngx_http_openim_process.conf->request_timeout);
    }

    ngx_http_openim_uplink_str(w, 13, &up->payload);
    ngx_http_openim_uplink_int(w, 14, up->flags);
    ngx_http_openim_uplink_str(w, 15, &up->token);
    ngx_http_openim_uplink_str(w, 16, &up->remote);

    if (oim_wire_utf8(up->query.data, up->query.len)) {
        ngx_http_openim_uplink_str(w, 18, &up->query);
    }
}


static void
ngx_http_openim_uplink_str(struct oim_wire_writer *w, uint32_t number,
    ngx_str_t *value)
{
    if (value->len) {
        oim_wire_bytes(w, number, value->data, value->len);
    }
}


static void
ngx_http_openim_uplink_int(struct oim_wire_writer *w, uint32_t number,
    uint64_t value)
{
    if (value) {
        oim_wire_varint(w, number, value);
    }
}


/* The calls */

void
ngx_http_openim_call_init(void)
{
    ngx_rbtree_init(&ngx_http_openim_calls, &ngx_http_openim_calls_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&ngx_http_openim_calls_queue);

    ngx_http_openim_calls_timer.handler = ngx_http_openim_call_deadline;
    ngx_http_openim_calls_timer.data = &ngx_http_openim_process;
    ngx_http_openim_calls_timer.log = ngx_http_openim_process.log;
}


/* r must forget it, when it is finalized before the answer */

ngx_http_openim_call_t *
ngx_http_openim_call_rest(ngx_http_request_t *r)
{
    return ngx_http_openim_call_create(NULL, r, NULL);
}


uint64_t
ngx_http_openim_call_id(ngx_http_openim_call_t *call)
{
    return call->node.key;
}


static ngx_http_openim_call_t *
ngx_http_openim_call_create(ngx_http_openim_ws_t *ws, ngx_http_request_t *r,
    ngx_http_openim_envelope_req_t *req)
{
    u_char                  *p;
    size_t                   size;
    ngx_msec_t               timeout;
    ngx_http_openim_call_t  *call;

    size = sizeof(ngx_http_openim_call_t);

    if (req) {
        size += req->msg_incr.len + req->operation_id.len;
    }

    call = ngx_alloc(size, ngx_http_openim_process.log);
    if (call == NULL) {
        return NULL;
    }

    ngx_memzero(call, sizeof(ngx_http_openim_call_t));

    call->ws = ws;
    call->request = r;

    if (req) {
        p = (u_char *) call + sizeof(ngx_http_openim_call_t);

        call->req = req->req;

        call->msg_incr.data = p;
        call->msg_incr.len = req->msg_incr.len;

        if (req->msg_incr.len) {
            p = ngx_cpymem(p, req->msg_incr.data, req->msg_incr.len);
        }

        call->operation_id.data = p;
        call->operation_id.len = req->operation_id.len;

        if (req->operation_id.len) {
            ngx_memcpy(p, req->operation_id.data, req->operation_id.len);
        }
    }

    timeout = ngx_http_openim_process.conf->request_timeout;

    call->deadline = ngx_current_msec + timeout;
    call->node.key = ++ngx_http_openim_process.last_id;

    ngx_rbtree_insert(&ngx_http_openim_calls, &call->node);
    ngx_queue_insert_tail(&ngx_http_openim_calls_queue, &call->queue);
    ngx_http_openim_count(calls);

    if (!ngx_http_openim_calls_timer.timer_set) {
        ngx_add_timer(&ngx_http_openim_calls_timer, timeout);
    }

    return call;
}


static ngx_http_openim_call_t *
ngx_http_openim_call_find(uint64_t id)
{
    ngx_rbtree_node_t  *node, *sentinel;

    node = ngx_http_openim_calls.root;
    sentinel = ngx_http_openim_calls.sentinel;

    while (node != sentinel) {

        if (node->key == id) {
            return (ngx_http_openim_call_t *)
                       ((u_char *) node
                        - offsetof(ngx_http_openim_call_t, node));
        }

        node = (id < node->key) ? node->left : node->right;
    }

    return NULL;
}


/* Nobody waits any more; a reply that still comes finds nothing */

void
ngx_http_openim_call_forget(ngx_http_openim_call_t *call)
{
    ngx_rbtree_delete(&ngx_http_openim_calls, &call->node);
    ngx_queue_remove(&call->queue);
    ngx_http_openim_process.stat->calls--;

    ngx_free(call);

    if (ngx_queue_empty(&ngx_http_openim_calls_queue)
        && ngx_http_openim_calls_timer.timer_set)
    {
        ngx_del_timer(&ngx_http_openim_calls_timer);
    }
}


void
ngx_http_openim_call_end(ngx_http_openim_reply_t *reply)
{
    ngx_http_openim_call_t  *call;

    call = ngx_http_openim_call_find(reply->id);

    if (call == NULL) {
        ngx_http_openim_count(replies_late);
        return;
    }

    ngx_http_openim_count(replies);
    ngx_http_openim_process.stat->kafka_up = 1;

    ngx_http_openim_call_finish(call, reply);
}


void
ngx_http_openim_call_fail(uint64_t id, ngx_int_t code)
{
    ngx_http_openim_call_t   *call;
    ngx_http_openim_reply_t   reply;

    call = ngx_http_openim_call_find(id);

    if (call == NULL) {
        return;
    }

    ngx_memzero(&reply, sizeof(ngx_http_openim_reply_t));

    reply.code = code;
    reply.msg = *ngx_http_openim_error_msg(code);

    ngx_http_openim_call_finish(call, &reply);
}


static void
ngx_http_openim_call_finish(ngx_http_openim_call_t *call,
    ngx_http_openim_reply_t *reply)
{
    ngx_http_request_t               *r;
    ngx_http_openim_ws_t             *ws;
    ngx_http_openim_envelope_resp_t   resp;

    r = call->request;
    ws = call->ws;

    if (r) {
        ngx_http_openim_call_forget(call);
        ngx_http_openim_rest_reply(r, reply);
        return;
    }

    ngx_memzero(&resp, sizeof(ngx_http_openim_envelope_resp_t));

    resp.req = call->req;
    resp.err_code = reply->code;
    resp.msg_incr = call->msg_incr;
    resp.operation_id = call->operation_id;
    resp.err_msg = reply->msg;

    if (reply->code == 0) {
        resp.data = reply->data;
    }

    ngx_http_openim_ws_respond(ws, &resp);

    ws->call = NULL;
    ngx_http_openim_call_forget(call);

    if (reply->flags & 1) {
        ngx_http_openim_ws_close(ws, 0);
        return;
    }

    ngx_http_openim_ws_done(ws);
}


static void
ngx_http_openim_call_deadline(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_msec_int_t           left;
    ngx_http_openim_call_t  *call;

    while (!ngx_queue_empty(&ngx_http_openim_calls_queue)) {

        q = ngx_queue_head(&ngx_http_openim_calls_queue);
        call = ngx_queue_data(q, ngx_http_openim_call_t, queue);

        left = call->deadline - ngx_current_msec;

        if (left > 0) {
            ngx_add_timer(ev, left);
            return;
        }

        ngx_http_openim_count(timeouts);

        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "openim: no answer in time, op=%V req=%D",
                      ngx_http_openim_loggable(call->request
                          ? &ngx_http_openim_ctx(call->request)->operation_id
                          : &call->operation_id),
                      call->req);

        ngx_http_openim_call_fail(call->node.key, NGX_HTTP_OPENIM_E_INTERNAL);
    }
}
