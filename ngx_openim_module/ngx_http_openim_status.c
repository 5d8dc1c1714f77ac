
/*
 * openim_status: the counters of all worker processes as one JSON object, from
 * one table.  Gauges are of the processes that live; counters go on.
 */


#include "ngx_http_openim_module.h"


typedef struct {
    const char          *name;
    ngx_uint_t           offset;
} ngx_http_openim_stat_name_t;


#define ngx_http_openim_stat_name(name)                                      \
    { #name, offsetof(ngx_http_openim_stat_t, name) }


static ngx_http_openim_stat_name_t  ngx_http_openim_stat_names[] = {
    ngx_http_openim_stat_name(connections),      /* now */
    ngx_http_openim_stat_name(memberships),      /* of users, in groups */
    ngx_http_openim_stat_name(calls),            /* requests under way */
    ngx_http_openim_stat_name(kafka_up),         /* processes that have it */
    ngx_http_openim_stat_name(redis_up),
    ngx_http_openim_stat_name(subscribed),
    ngx_http_openim_stat_name(handshakes),       /* since nginx started */
    ngx_http_openim_stat_name(refused),
    ngx_http_openim_stat_name(requests),         /* of WebSockets */
    ngx_http_openim_stat_name(rest),
    ngx_http_openim_stat_name(replies),
    ngx_http_openim_stat_name(replies_late),     /* nobody waited */
    ngx_http_openim_stat_name(timeouts),
    ngx_http_openim_stat_name(pushes),           /* as they arrived */
    ngx_http_openim_stat_name(frames),           /* as they went out */
    ngx_http_openim_stat_name(repeats),          /* had that already */
    ngx_http_openim_stat_name(ignored),
    ngx_http_openim_stat_name(kicks),
    ngx_http_openim_stat_name(gaps),
    ngx_http_openim_stat_name(resyncs),
    ngx_http_openim_stat_name(slow),             /* clients that did not read */
    ngx_http_openim_stat_name(dropped),          /* clients with bad frames */
    ngx_http_openim_stat_name(kafka_full),
    ngx_http_openim_stat_name(kafka_errors),
    ngx_http_openim_stat_name(redis_errors),
    { NULL, 0 }
};


ngx_int_t
ngx_http_openim_status_handler(ngx_http_request_t *r)
{
    u_char                       *p;
    size_t                        size;
    ngx_int_t                     rc;
    ngx_buf_t                    *b;
    ngx_uint_t                    i, n, sum, processes;
    ngx_chain_t                   out;
    ngx_http_openim_stat_t       *stat;
    ngx_http_openim_stat_name_t  *sn;

    if (!ngx_http_openim_process.ready) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    size = sizeof("{\"processes\":}\n") + NGX_ATOMIC_T_LEN;

    for (sn = ngx_http_openim_stat_names; sn->name; sn++) {
        size += sizeof(",\"\":") + ngx_strlen(sn->name) + NGX_ATOMIC_T_LEN;
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    stat = ngx_http_openim_slots(ngx_http_openim_process.conf->zone, &n);
    processes = 0;

    for (i = 0; i < n; i++) {
        processes += stat[i].pid ? 1 : 0;
    }

    p = ngx_sprintf(b->last, "{\"processes\":%ui", processes);

    for (sn = ngx_http_openim_stat_names; sn->name; sn++) {

        sum = 0;

        for (i = 0; i < n; i++) {
            sum += *(ngx_atomic_t *) ((u_char *) &stat[i] + sn->offset);
        }

        p = ngx_sprintf(p, ",\"%s\":%ui", sn->name, sum);
    }

    *p++ = '}';
    *p++ = '\n';

    b->last = p;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
