
/*
 * The calls: who waits for which answer of a worker.  Made by
 * ngx_http_openim_request.c and ngx_http_openim_rest_forward.c, ended by
 * ngx_http_openim_downlink.c and ngx_http_openim_kafka.c.
 *
 * A call ends exactly once: by the reply of a worker, by a failed delivery, or
 * at its deadline; or it is forgotten when the one who waits is gone.  Calls
 * end in the order in which they began, so the deadlines are a list.
 */


#include "ngx_http_openim_connection.h"


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


static ngx_http_openim_call_t *ngx_http_openim_call_find(uint64_t id);
static void ngx_http_openim_call_finish(ngx_http_openim_call_t *call,
    ngx_http_openim_reply_t *reply);
static void ngx_http_openim_call_deadline(ngx_event_t *ev);


static ngx_rbtree_t       ngx_http_openim_calls;
static ngx_rbtree_node_t  ngx_http_openim_calls_sentinel;
static ngx_queue_t        ngx_http_openim_calls_queue;
static ngx_event_t        ngx_http_openim_calls_timer;


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


/* Of ws and its req, or of r alone, which must forget it when it ends first */

ngx_http_openim_call_t *
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


uint64_t
ngx_http_openim_call_id(ngx_http_openim_call_t *call)
{
    return call->node.key;
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
