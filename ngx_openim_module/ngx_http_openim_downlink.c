
/*
 * What arrives on our reply channel (proto/internal.proto, Downlink): replies,
 * pushes, kicks, who is in which groups, in the order of the bytes.  Called by
 * ngx_http_openim_redis.c for each message; everything is borrowed from it.
 *
 * Redis forgets what nobody hears, so publishers number what they send to us.
 * A gap, a record that cannot be read or a subscription that was away means
 * that pushes are lost, and who joined a group meanwhile: all clients are sent
 * away, synchronise when they are back, and wait until we know their groups
 * anew (DESIGN.md, promise 4).  Numbers that we had are repeats.
 */


#include "ngx_http_openim_connection.h"
#include "ngx_http_openim_session.h"

#include "oim_wire.h"


#define NGX_HTTP_OPENIM_PUBLISHERS     4096
#define NGX_HTTP_OPENIM_CONVERSATIONS  8192

/*
 * Cores of 3.8 up to patch 10, the one of the browsers among them, read the
 * blacklist after their own change of it and when they hear of it, and fail
 * when they do both at once.  So they hear of it somewhat later.
 */
#define NGX_HTTP_OPENIM_LATE_MS        300
#define NGX_HTTP_OPENIM_LATE           1024  /* pushes; more go at once */


/*
 * Text -> number, bounded, the longest unused goes first.  For publishers: the
 * last number; for conversations: the last seq that was pushed.
 */

typedef struct {
    ngx_str_node_t               sn;
    ngx_queue_t                  queue;
    uint64_t                     value;
    ngx_uint_t                   stale;      /* any greater one may follow */
} ngx_http_openim_mark_t;


typedef struct {
    ngx_rbtree_t                 tree;
    ngx_rbtree_node_t            sentinel;
    ngx_queue_t                  queue;      /* least used last */
    ngx_uint_t                   n;
    ngx_uint_t                   max;
} ngx_http_openim_marks_t;


typedef struct {
    int32_t                      req;
    ngx_str_t                    operation_id;
    ngx_str_t                    payload;
    ngx_str_t                    group_id;
    ngx_str_t                    except;
    ngx_uint_t                   flags;
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


typedef struct {
    ngx_str_t                    user_id;
    ngx_int_t                    platform_id;
    const uint8_t               *data;       /* of the Kick */
    size_t                       len;
    ngx_uint_t                   listed;     /* it names connections */
} ngx_http_openim_kick_t;


static ngx_int_t ngx_http_openim_downlink_number(ngx_str_t *publisher,
    uint64_t number);
static ngx_int_t ngx_http_openim_downlink_reply(const uint8_t *data,
    size_t len);
static ngx_int_t ngx_http_openim_downlink_push(const uint8_t *data,
    size_t len, ngx_uint_t late);
static ngx_int_t ngx_http_openim_push_later(const uint8_t *data, size_t len);
static void ngx_http_openim_push_late(ngx_event_t *ev);
static void ngx_http_openim_push_all(const uint8_t *data, size_t len,
    ngx_http_openim_push_t *push);
static void ngx_http_openim_push_one(ngx_http_openim_ws_t *ws, void *data);
static ngx_int_t ngx_http_openim_downlink_kick(const uint8_t *data,
    size_t len);
static ngx_uint_t ngx_http_openim_kick_names(ngx_http_openim_kick_t *kick,
    uint64_t id);
static void ngx_http_openim_kick_one(ngx_http_openim_ws_t *ws, void *data);
static ngx_int_t ngx_http_openim_downlink_groups(const uint8_t *data,
    size_t len);
static ngx_uint_t ngx_http_openim_push_had(ngx_http_openim_push_t *push);
static void ngx_http_openim_marks_init(ngx_http_openim_marks_t *marks,
    ngx_uint_t max);
static ngx_http_openim_mark_t *ngx_http_openim_mark(
    ngx_http_openim_marks_t *marks, ngx_str_t *key);


static ngx_http_openim_marks_t  ngx_http_openim_publishers;
static ngx_http_openim_marks_t  ngx_http_openim_pushed;
static ngx_uint_t               ngx_http_openim_late;


#define ngx_http_openim_field_str(str, f)                                    \
    (str)->data = (u_char *) (f)->data;                                      \
    (str)->len = (f)->len


void
ngx_http_openim_downlink_init(void)
{
    ngx_http_openim_marks_init(&ngx_http_openim_publishers,
                               NGX_HTTP_OPENIM_PUBLISHERS);
    ngx_http_openim_marks_init(&ngx_http_openim_pushed,
                               NGX_HTTP_OPENIM_CONVERSATIONS);
}


void
ngx_http_openim_downlink_handle(u_char *data, size_t len)
{
    int                      rc;
    uint64_t                 number;
    ngx_int_t                result;
    ngx_str_t                publisher;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;

    number = 0;
    ngx_str_null(&publisher);

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {
        if (f.number == 2 && f.type == 2) {
            ngx_http_openim_field_str(&publisher, &f);

        } else if (f.number == 3 && f.type == 0) {
            number = f.value;
        }
    }

    if (rc != 0) {
        ngx_http_openim_downlink_resync("a record cannot be read");
        return;
    }

    if (ngx_http_openim_downlink_number(&publisher, number) != NGX_OK) {
        return;
    }

    wr.pos = data;

    while (oim_wire_next(&wr, &f) == 1) {

        if (f.type != 2) {
            continue;
        }

        switch (f.number) {

        case 4:
            result = ngx_http_openim_downlink_reply(f.data, f.len);
            break;

        case 5:
            result = ngx_http_openim_downlink_push(f.data, f.len, 0);
            break;

        case 6:
            result = ngx_http_openim_downlink_kick(f.data, f.len);
            break;

        case 7:
            result = ngx_http_openim_downlink_groups(f.data, f.len);
            break;

        default:
            result = NGX_OK;
            break;
        }

        if (result != NGX_OK) {
            ngx_http_openim_downlink_resync("part of a record cannot be read");
        }
    }
}


/* What was lost meanwhile is told here, once, and by no gap later */

void
ngx_http_openim_downlink_resubscribed(void)
{
    ngx_queue_t             *q;
    ngx_http_openim_mark_t  *mark;

    for (q = ngx_queue_head(&ngx_http_openim_publishers.queue);
         q != ngx_queue_sentinel(&ngx_http_openim_publishers.queue);
         q = ngx_queue_next(q))
    {
        mark = ngx_queue_data(q, ngx_http_openim_mark_t, queue);
        mark->stale = 1;
    }

    ngx_http_openim_downlink_resync("the subscription was away");
}


/*
 * Per publisher and gateway the numbers are 1, 2, 3, ...: so the first one that
 * we see of a publisher must be 1.  NGX_DECLINED: we had it.
 */

static ngx_int_t
ngx_http_openim_downlink_number(ngx_str_t *publisher, uint64_t number)
{
    uint64_t                 last;
    ngx_http_openim_mark_t  *mark;

    if (publisher->len == 0 || number == 0) {
        return NGX_OK;
    }

    mark = ngx_http_openim_mark(&ngx_http_openim_publishers, publisher);
    if (mark == NULL) {
        return NGX_OK;
    }

    last = mark->value;

    if (number <= last) {
        ngx_http_openim_count(repeats);
        return NGX_DECLINED;
    }

    mark->value = number;

    if (number != last + 1 && !mark->stale) {
        ngx_log_error(NGX_LOG_WARN, ngx_http_openim_process.log, 0,
                      "openim: gap: publisher=%V number=%uL last=%uL",
                      publisher, number, last);

        ngx_http_openim_downlink_resync("a record was lost");
    }

    mark->stale = 0;

    return NGX_OK;
}


void
ngx_http_openim_downlink_resync(const char *why)
{
    ngx_http_openim_count(gaps);
    ngx_http_openim_session_doubt();

    if (ngx_http_openim_process.connections == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_http_openim_process.log, 0,
                  "openim: %s, %ui connections must synchronise",
                  why, ngx_http_openim_process.connections);

    ngx_http_openim_count(resyncs);

    ngx_http_openim_ws_retire_all();
}


static ngx_int_t
ngx_http_openim_downlink_reply(const uint8_t *data, size_t len)
{
    int                       rc;
    struct oim_wire_field     f;
    struct oim_wire_reader    wr;
    ngx_http_openim_reply_t   reply;

    ngx_memzero(&reply, sizeof(ngx_http_openim_reply_t));

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {

        if (f.type == 0) {

            switch (f.number) {

            case 1:
                reply.id = f.value;
                break;

            case 2:
                reply.code = (int32_t) f.value;
                break;

            case 6:
                reply.flags = (uint32_t) f.value;
                break;

            case 7:
                reply.status = (uint32_t) f.value;
                break;

            default:
                break;
            }

            continue;
        }

        if (f.type != 2) {
            continue;
        }

        switch (f.number) {

        case 3:
            ngx_http_openim_field_str(&reply.msg, &f);
            break;

        case 4:
            ngx_http_openim_field_str(&reply.dlt, &f);
            break;

        case 5:
            ngx_http_openim_field_str(&reply.data, &f);
            break;

        case 8:
            ngx_http_openim_field_str(&reply.type, &f);
            break;

        default:
            break;
        }
    }

    if (rc != 0) {
        return NGX_ERROR;
    }

    ngx_http_openim_call_end(&reply);

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_downlink_push(const uint8_t *data, size_t len,
    ngx_uint_t late)
{
    int                       rc;
    ngx_uint_t                i;
    struct oim_wire_field     f;
    struct oim_wire_reader    wr;
    ngx_http_openim_push_t    push;

    ngx_memzero(&push, sizeof(ngx_http_openim_push_t));

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {

        if (f.type == 0) {

            switch (f.number) {

            case 1:
                push.req = (int32_t) f.value;
                break;

            case 7:
                push.flags = (uint32_t) f.value;
                break;

            case 9:
                push.seq = (int64_t) f.value;
                break;

            default:
                break;
            }

            continue;
        }

        if (f.type != 2) {
            continue;
        }

        switch (f.number) {

        case 2:
            ngx_http_openim_field_str(&push.operation_id, &f);
            break;

        case 3:
            ngx_http_openim_field_str(&push.payload, &f);
            break;

        case 5:
            ngx_http_openim_field_str(&push.group_id, &f);
            break;

        case 6:
            ngx_http_openim_field_str(&push.except, &f);
            break;

        case 8:
            ngx_http_openim_field_str(&push.conversation_id, &f);
            break;

        default:
            break;
        }
    }

    if (rc != 0) {
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
                      "openim: push of reqIdentifier %D ignored, op=%V",
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

        resp.req = push->req;
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


static ngx_int_t
ngx_http_openim_downlink_kick(const uint8_t *data, size_t len)
{
    int                      rc;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;
    ngx_http_openim_kick_t   kick;

    ngx_memzero(&kick, sizeof(ngx_http_openim_kick_t));

    kick.data = data;
    kick.len = len;

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {

        if (f.number == 1 && f.type == 2) {
            ngx_http_openim_field_str(&kick.user_id, &f);

        } else if (f.number == 2 && f.type == 0) {
            kick.platform_id = (int32_t) f.value;

        } else if (f.number == 3 && (f.type == 0 || f.len)) {
            kick.listed = 1;
        }
    }

    if (rc != 0) {
        return NGX_ERROR;
    }

    (void) ngx_http_openim_session_user(&kick.user_id,
                                        ngx_http_openim_kick_one, &kick);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_openim_kick_names(ngx_http_openim_kick_t *kick, uint64_t id)
{
    uint64_t                 value;
    ngx_uint_t               shift;
    struct oim_wire_field    f;
    struct oim_wire_reader   wr;

    wr.pos = kick->data;
    wr.end = kick->data + kick->len;

    while (oim_wire_next(&wr, &f) == 1) {

        if (f.number != 3) {
            continue;
        }

        if (f.type == 0) {
            if (f.value == id) {
                return 1;
            }

            continue;
        }

        /* packed */

        value = 0;
        shift = 0;

        while (f.type == 2 && f.len) {

            if (shift < 64) {
                value |= (uint64_t) (*f.data & 0x7f) << shift;
            }

            shift += 7;

            if (*f.data < 0x80) {
                if (value == id) {
                    return 1;
                }

                value = 0;
                shift = 0;
            }

            f.data++;
            f.len--;
        }
    }

    return 0;
}


/* gateway.md 5.2: it leaves the table first, so nothing follows the 2002 */

static void
ngx_http_openim_kick_one(ngx_http_openim_ws_t *ws, void *data)
{
    ngx_http_openim_kick_t *kick = data;

    ngx_http_openim_packet_t         *packet;
    ngx_http_openim_envelope_resp_t   resp;

    if (kick->listed) {
        if (!ngx_http_openim_kick_names(kick, ws->id)) {
            return;
        }

    } else if (kick->platform_id != ws->platform_id) {
        return;
    }

    ngx_http_openim_count(kicks);

    ngx_memzero(&resp, sizeof(ngx_http_openim_envelope_resp_t));

    resp.req = 2002;

    packet = ngx_http_openim_packet_envelope(ws->variant, &resp);

    if (packet) {
        ngx_http_openim_ws_send(ws, packet);
        ngx_http_openim_packet_free(packet);
    }

    ngx_http_openim_ws_close(ws, 0);
}


static ngx_int_t
ngx_http_openim_downlink_groups(const uint8_t *data, size_t len)
{
    int                        rc;
    struct oim_wire_field      f;
    struct oim_wire_reader     wr;
    ngx_http_openim_groups_t   groups;

    ngx_memzero(&groups, sizeof(ngx_http_openim_groups_t));

    groups.data = data;
    groups.len = len;

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {

        if (f.number == 1 && f.type == 2) {
            ngx_http_openim_field_str(&groups.user_id, &f);

        } else if (f.number == 2 && f.type == 0) {
            /* it is kept with a bit beside it */
            groups.version = ngx_min(f.value, (uint64_t) INT64_MAX);

        } else if (f.number == 3 && f.type == 0) {
            groups.full = f.value ? 1 : 0;

        } else if (f.number == 6 && f.type == 0) {
            groups.conn_id = f.value;
        }
    }

    if (rc != 0) {
        return NGX_ERROR;
    }

    return ngx_http_openim_session_groups(&groups);
}


static void
ngx_http_openim_marks_init(ngx_http_openim_marks_t *marks, ngx_uint_t max)
{
    ngx_rbtree_init(&marks->tree, &marks->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&marks->queue);

    marks->max = max;
}


/* Finds it or makes it with value 0; NULL: no memory */

static ngx_http_openim_mark_t *
ngx_http_openim_mark(ngx_http_openim_marks_t *marks, ngx_str_t *key)
{
    uint32_t                 hash;
    ngx_queue_t             *q;
    ngx_http_openim_mark_t  *mark;

    hash = ngx_murmur_hash2(key->data, key->len);

    mark = (ngx_http_openim_mark_t *)
               ngx_str_rbtree_lookup(&marks->tree, key, hash);

    if (mark) {
        ngx_queue_remove(&mark->queue);
        ngx_queue_insert_head(&marks->queue, &mark->queue);
        return mark;
    }

    if (marks->n == marks->max) {
        q = ngx_queue_last(&marks->queue);
        mark = ngx_queue_data(q, ngx_http_openim_mark_t, queue);

        ngx_queue_remove(q);
        ngx_rbtree_delete(&marks->tree, &mark->sn.node);
        ngx_free(mark);
        marks->n--;
    }

    mark = ngx_alloc(sizeof(ngx_http_openim_mark_t) + key->len,
                     ngx_http_openim_process.log);
    if (mark == NULL) {
        return NULL;
    }

    mark->sn.node.key = hash;
    mark->sn.str.data = (u_char *) mark + sizeof(ngx_http_openim_mark_t);
    mark->sn.str.len = key->len;
    ngx_memcpy(mark->sn.str.data, key->data, key->len);
    mark->value = 0;
    mark->stale = 0;

    ngx_rbtree_insert(&marks->tree, &mark->sn.node);
    ngx_queue_insert_head(&marks->queue, &mark->queue);
    marks->n++;

    return mark;
}
