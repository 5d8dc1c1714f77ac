
/*
 * Kicks: connections of a user that have to go, named one by one or by their
 * platform.  Called by ngx_http_openim_downlink.c.
 */


#include "ngx_http_openim_downlink.h"
#include "ngx_http_openim_session.h"


typedef struct {
    ngx_str_t                    user_id;
    ngx_int_t                    platform_id;
    const uint8_t               *data;       /* of the Kick */
    size_t                       len;
    ngx_uint_t                   listed;     /* it names connections */
} ngx_http_openim_kick_t;


static ngx_uint_t ngx_http_openim_kick_names(ngx_http_openim_kick_t *kick,
    uint64_t id);
static void ngx_http_openim_kick_one(ngx_http_openim_ws_t *ws, void *data);


ngx_int_t
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
