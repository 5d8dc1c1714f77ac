
/*
 * What a WebSocket message asks for, and where it goes: the table of gateway.md
 * 4, and what is done here before a worker is asked.  Called by
 * ngx_http_openim_connection_wait.c for each message.  A request that goes on
 * is a record (ngx_http_openim_uplink.c) and a call that waits for the answer
 * (ngx_http_openim_call.c).
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"

#include "oim_wire.h"


typedef ngx_int_t (*ngx_http_openim_request_pt)(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_http_openim_uplink_t *up);


typedef struct {
    int32_t                      req;
    ngx_uint_t                   topic;
    ngx_http_openim_request_pt   handler;    /* before it is sent on */
} ngx_http_openim_request_t;


static ngx_int_t ngx_http_openim_request_dispatch(ngx_http_openim_ws_t *ws,
    ngx_http_openim_envelope_req_t *req, ngx_uint_t late);
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
        up.id = ngx_http_openim_call_id(call);
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
