
/*
 * What arrives on our reply channel (proto/internal.proto, Downlink): replies,
 * pushes, kicks, who is in which groups, in the order of the bytes.  Called by
 * ngx_http_openim_redis_subscribe.c for each message; everything is borrowed
 * from it.  Replies go to ngx_http_openim_call.c, groups to
 * ngx_http_openim_session.c, the others to ngx_http_openim_downlink_push.c and
 * _downlink_kick.c.
 *
 * Redis forgets what nobody hears, so publishers number what they send to us.
 * A gap, a record that cannot be read or a subscription that was away means
 * that pushes are lost, and who joined a group meanwhile: all clients are sent
 * away, synchronise when they are back, and wait until we know their groups
 * anew (DESIGN.md, promise 4).  Numbers that we had are repeats.
 */


#include "ngx_http_openim_downlink.h"
#include "ngx_http_openim_session.h"


#define NGX_HTTP_OPENIM_PUBLISHERS  4096

#define ngx_http_openim_reply_field(number, type, member)                    \
    { number, NGX_HTTP_OPENIM_FIELD_##type,                                  \
      offsetof(ngx_http_openim_reply_t, member) }


static ngx_int_t ngx_http_openim_downlink_number(ngx_str_t *publisher,
    uint64_t number);
static ngx_int_t ngx_http_openim_downlink_reply(const uint8_t *data,
    size_t len);
static ngx_int_t ngx_http_openim_downlink_groups(const uint8_t *data,
    size_t len);


static const ngx_http_openim_field_t  ngx_http_openim_reply_fields[] = {
    ngx_http_openim_reply_field(1, INT, id),
    ngx_http_openim_reply_field(2, INT, code),
    ngx_http_openim_reply_field(3, STR, msg),
    ngx_http_openim_reply_field(4, STR, dlt),
    ngx_http_openim_reply_field(5, STR, data),
    ngx_http_openim_reply_field(6, INT, flags),
    ngx_http_openim_reply_field(7, INT, status),
    ngx_http_openim_reply_field(8, STR, type),
    { 0, 0, 0 }
};


static ngx_http_openim_marks_t  ngx_http_openim_publishers;


void
ngx_http_openim_downlink_init(void)
{
    ngx_http_openim_marks_init(&ngx_http_openim_publishers,
                               NGX_HTTP_OPENIM_PUBLISHERS);
    ngx_http_openim_downlink_push_init();
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
    ngx_http_openim_reply_t  reply;

    ngx_memzero(&reply, sizeof(ngx_http_openim_reply_t));

    if (ngx_http_openim_downlink_fields(data, len,
                                        ngx_http_openim_reply_fields, &reply)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_openim_call_end(&reply);

    return NGX_OK;
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


ngx_int_t
ngx_http_openim_downlink_fields(const uint8_t *data, size_t len,
    const ngx_http_openim_field_t *fields, void *out)
{
    int                             rc;
    u_char                         *p;
    ngx_str_t                      *str;
    struct oim_wire_field           f;
    struct oim_wire_reader          wr;
    const ngx_http_openim_field_t  *field;

    wr.pos = data;
    wr.end = data + len;

    while ((rc = oim_wire_next(&wr, &f)) == 1) {

        for (field = fields; field->number; field++) {

            if (field->number != f.number || field->type != f.type) {
                continue;
            }

            p = (u_char *) out + field->offset;

            if (f.type == NGX_HTTP_OPENIM_FIELD_INT) {
                *(int64_t *) p = (int64_t) f.value;

            } else {
                str = (ngx_str_t *) p;
                ngx_http_openim_field_str(str, &f);
            }

            break;
        }
    }

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}
