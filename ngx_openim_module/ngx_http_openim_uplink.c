
/*
 * The record of a request, or of an event, on its way to Kafka
 * (proto/internal.proto, Uplink).  Called by ngx_http_openim_request.c for
 * WebSockets, by ngx_http_openim_rest_forward.c for REST and by
 * ngx_http_openim_handshake_accept.c for the event of a new connection; goes on
 * in ngx_http_openim_kafka.c.
 */


#include "ngx_http_openim_module.h"

#include "oim_wire.h"


static void ngx_http_openim_uplink_write(struct oim_wire_writer *w,
    ngx_http_openim_uplink_t *up);
static void ngx_http_openim_uplink_str(struct oim_wire_writer *w,
    uint32_t number, ngx_str_t *value);
static void ngx_http_openim_uplink_int(struct oim_wire_writer *w,
    uint32_t number, uint64_t value);


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
