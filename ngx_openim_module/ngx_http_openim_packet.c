
/*
 * Packets: one frame each, made once and shared by all connections that send
 * it.  Called by ngx_http_openim_connection_write.c and by the
 * ngx_http_openim_downlink*.c files.
 */


#include "ngx_http_openim_connection_internal.h"


ngx_http_openim_packet_t *
ngx_http_openim_packet_create(size_t len)
{
    ngx_http_openim_packet_t  *packet;

    packet = ngx_alloc(sizeof(ngx_http_openim_packet_t) + len,
                       ngx_http_openim_process.log);
    if (packet == NULL) {
        return NULL;
    }

    packet->refs = 1;
    packet->len = len;
    packet->data = (u_char *) packet + sizeof(ngx_http_openim_packet_t);

    return packet;
}


ngx_http_openim_packet_t *
ngx_http_openim_packet_envelope(ngx_uint_t variant,
    ngx_http_openim_envelope_resp_t *resp)
{
    u_char                    *plain, *packed, *p;
    size_t                     size, bound;
    ngx_http_openim_gzip_t    *gz;
    ngx_http_openim_packet_t  *packet;

    gz = ngx_http_openim_process.gzip;

    size = ngx_http_openim_envelope_size(variant & 1, resp);

    if (!(variant & 2)) {

        if (size > NGX_HTTP_OPENIM_FRAME_MAX) {
            return NULL;
        }

        packet = ngx_http_openim_packet_create(NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                               + size);
        if (packet == NULL) {
            return NULL;
        }

        p = ngx_http_openim_frame_head(packet->data,
                                       NGX_HTTP_OPENIM_OP_BINARY, size);
        p = ngx_http_openim_envelope_encode(variant & 1, p, resp);
        packet->len = p - packet->data;

        return packet;
    }

    bound = ngx_http_openim_gzip_bound(gz, size);

    plain = ngx_alloc(size + bound, ngx_http_openim_process.log);
    if (plain == NULL) {
        return NULL;
    }

    packet = NULL;
    packed = plain + size;

    (void) ngx_http_openim_envelope_encode(variant & 1, plain, resp);

    p = ngx_http_openim_gzip(gz, packed, bound, plain, size);

    if (p && p - packed <= NGX_HTTP_OPENIM_FRAME_MAX) {

        size = p - packed;

        packet = ngx_http_openim_packet_create(NGX_HTTP_OPENIM_FRAME_HEAD_MAX
                                               + size);
        if (packet) {
            p = ngx_http_openim_frame_head(packet->data,
                                           NGX_HTTP_OPENIM_OP_BINARY, size);
            p = ngx_cpymem(p, packed, size);
            packet->len = p - packet->data;
        }
    }

    ngx_free(plain);

    return packet;
}


void
ngx_http_openim_packet_free(ngx_http_openim_packet_t *packet)
{
    if (--packet->refs == 0) {
        ngx_free(packet);
    }
}
