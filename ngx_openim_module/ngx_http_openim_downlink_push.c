
/*
 * Pushes: each goes to who is named and to who is in the group, once, encoded
 * once per variant.  What was pushed of a conversation is not pushed again,
 * whoever says it.  Called by ngx_http_openim_downlink.c; goes on in
 * ngx_http_openim_session.c, which finds the connections, and
 * ngx_http_openim_connection_write.c.
 */


#include "ngx_http_openim_downlink.h"
#include "ngx_http_openim_session.h"


#define NGX_HTTP_OPENIM_CONVERSATIONS  8192

#define ngx_http_openim_push_field(number, type, member)                     \
    { number, NGX_HTTP_OPENIM_FIELD_##type,                                  \
      offsetof(ngx_http_openim_push_t, member) }


/*
 * Cores of 3.8 up to patch 10, the one of the browsers among them, read the
 * blacklist after their own change of it and when they hear of it, and fail
 * when they do both at once.  So they hear of it somewhat later; as they do of
 * the conversation of a group that they join (workers/logic/conversation.h).
 */
#define NGX_HTTP_OPENIM_LATE_MS        300
#define NGX_HTTP_OPENIM_LATE           1024  /* pushes; more go at once */


typedef struct {
    int64_t                      req;
    ngx_str_t                    operation_id;
    ngx_str_t                    payload;
    ngx_str_t                    group_id;
    ngx_str_t                    except;
    int64_t                      flags;
    ngx_str_t                    conversation_id;
    int64_t                      seq;

    ngx_http_openim_packet_t    *packets[NGX_HTTP_OPENIM_VARIANTS];
    unsigned                     unreadable:1;
} ngx_http_openim_push_t;


typedef struct {
    ngx_event_t                  ev;
    size_t                       len;
    u_char                       data[1];    /* the Push */
} ngx_http_openim_late_t;


static ngx_int_t ngx_http_openim_push_later(const uint8_t *data, size_t len);
static void ngx_http_openim_push_late(ngx_event_t *ev);
static ngx_uint_t ngx_http_openim_push_had(ngx_http_openim_push_t *push);
static void ngx_http_openim_push_all(const uint8_t *data, size_t len,
    ngx_http_openim_push_t *push);
static void ngx_http_openim_push_one(ngx_http_openim_ws_t *ws, void *data);


static const ngx_http_openim_field_t  ngx_http_openim_push_fields[] = {
    ngx_http_openim_push_field(1, INT, req),
    ngx_http_openim_push_field(2, STR, operation_id),
    ngx_http_openim_push_field(3, STR, payload),
    ngx_http_openim_push_field(5, STR, group_id),
    ngx_http_openim_push_field(6, STR, except),
    ngx_http_openim_push_field(7, INT, flags),
    ngx_http_openim_push_field(8, STR, conversation_id),
    ngx_http_openim_push_field(9, INT, seq),
    { 0, 0, 0 }
};


static ngx_http_openim_marks_t  ngx_http_openim_pushed;
static ngx_uint_t               ngx_http_openim_late;


void
ngx_http_openim_downlink_push_init(void)
{
    ngx_http_openim_marks_init(&ngx_http_openim_pushed,
                               NGX_HTTP_OPENIM_CONVERSATIONS);
}


ngx_int_t
ngx_http_openim_downlink_push(const uint8_t *data, size_t len,
    ngx_uint_t late)
{
    ngx_uint_t              i;
    ngx_http_openim_push_t  push;

    ngx_memzero(&push, sizeof(ngx_http_openim_push_t));

    if (ngx_http_openim_downlink_fields(data, len,
                                        ngx_http_openim_push_fields, &push)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((push.flags & 4) && !late
        && ngx_http_openim_push_later(data, len) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_http_openim_count(pushes);

    if (push.req != 2001 && push.req != 2005) {
        /* nothing else may reach a client (gateway.md 5.6) */
        ngx_http_openim_count(ignored);
        ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                      "openim: push of reqIdentifier %L ignored, op=%V",
                      push.req, ngx_http_openim_loggable(&push.operation_id));
        return NGX_OK;
    }

    if (!ngx_http_openim_push_had(&push)) {
        ngx_http_openim_push_all(data, len, &push);
    }

    if (push.group_id.len && (push.flags & 2)) {
        ngx_http_openim_session_forget(&push.group_id);
    }

    for (i = 0; i < NGX_HTTP_OPENIM_VARIANTS; i++) {
        if (push.packets[i]) {
            ngx_http_openim_packet_free(push.packets[i]);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_push_later(const uint8_t *data, size_t len)
{
    ngx_http_openim_late_t  *late;

    if (ngx_http_openim_late == NGX_HTTP_OPENIM_LATE || ngx_exiting) {
        return NGX_DECLINED;
    }

    late = ngx_alloc(sizeof(ngx_http_openim_late_t) + len,
                     ngx_http_openim_process.log);
    if (late == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(&late->ev, sizeof(ngx_event_t));

    late->ev.handler = ngx_http_openim_push_late;
    late->ev.data = late;
    late->ev.log = ngx_http_openim_process.log;
    late->ev.cancelable = 1;

    late->len = len;
    ngx_memcpy(late->data, data, len);

    ngx_add_timer(&late->ev, NGX_HTTP_OPENIM_LATE_MS);
    ngx_http_openim_late++;

    return NGX_OK;
}


static void
ngx_http_openim_push_late(ngx_event_t *ev)
{
    ngx_http_openim_late_t  *late;

    late = ev->data;

    (void) ngx_http_openim_downlink_push(late->data, late->len, 1);

    ngx_http_openim_late--;
    ngx_free(late);
}


/*
 * Whether it is said again after a take-over, or late by an owner that was
 * stopped: seqs of a conversation only rise
 */

static ngx_uint_t
ngx_http_openim_push_had(ngx_http_openim_push_t *push)
{
    ngx_http_openim_mark_t  *mark;

    if (push->conversation_id.len == 0 || push->seq <= 0) {
        return 0;
    }

    mark = ngx_http_openim_mark(&ngx_http_openim_pushed,
                                &push->conversation_id);
    if (mark == NULL) {
        return 0;
    }

    if ((uint64_t) push->seq <= mark->value) {
        ngx_http_openim_count(repeats);
        return 1;
    }

    mark->value = push->seq;

    return 0;
}


/* Each user once: who is named may be a member, too */

static void
ngx_http_openim_push_all(const uint8_t *data, size_t len,
    ngx_http_openim_push_t *push)
{
    ngx_str_t                user_id;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;

    ngx_http_openim_session_push();

    if (push->except.len) {
        ngx_http_openim_session_push_skip(&push->except);
    }

    wr.pos = data;
    wr.end = data + len;

    while (oim_wire_next(&wr, &f) == 1) {

        if (f.number != 4 || f.type != 2) {
            continue;
        }

        ngx_http_openim_field_str(&user_id, &f);

        ngx_http_openim_session_push_user(&user_id, ngx_http_openim_push_one,
                                          push);
    }

    if (push->group_id.len) {
        ngx_http_openim_session_push_group(&push->group_id,
                                           ngx_http_openim_push_one, push);
    }
}


/* Encoded once per variant, however many connections get it */

static void
ngx_http_openim_push_one(ngx_http_openim_ws_t *ws, void *data)
{
    ngx_http_openim_push_t *push = data;

    ngx_http_openim_packet_t        **packet;
    ngx_http_openim_envelope_resp_t   resp;

    if (push->req == 2001 && ws->platform_id == 1 && ws->background) {
        return;
    }

    packet = &push->packets[ws->variant];

    if (*packet == NULL) {

        if (push->unreadable) {
            return;
        }

        ngx_memzero(&resp, sizeof(ngx_http_openim_envelope_resp_t));

        resp.req = (int32_t) push->req;
        resp.operation_id = push->operation_id;
        resp.data = push->payload;

        *packet = ngx_http_openim_packet_envelope(ws->variant, &resp);

        if (*packet == NULL) {
            /* the client finds it by its sync */
            push->unreadable = 1;
            ngx_http_openim_count(dropped);
            ngx_log_error(NGX_LOG_ERR, ngx_http_openim_process.log, 0,
                          "openim: push of %uz bytes not sent, op=%V",
                          push->payload.len,
                          ngx_http_openim_loggable(&push->operation_id));
            return;
        }
    }

    ngx_http_openim_ws_send(ws, *packet);
}
