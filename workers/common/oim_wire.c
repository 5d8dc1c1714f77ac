/*
 * See oim_wire.h. Job: read and write the few protobuf records that cross between the gateway and
 * the workers, where a library would cost an allocation per field.
 *
 * Called by the module for every message (peek, Uplink, Downlink) and by the workers' lanes. Owns
 * nothing: what a reader hands out is borrowed from its input. Read proto/internal.proto next.
 */
#include "oim_wire.h"

#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* fields of openim.sdkws.MsgData */
enum { MSG_SEND_ID = 1, MSG_RECV_ID = 2, MSG_GROUP_ID = 3, MSG_SESSION_TYPE = 9 };

enum { SESSION_WRITE_GROUP = 2, SESSION_READ_GROUP = 3 };

static int wire_varint(struct oim_wire_reader *r, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->pos == r->end) return -1;

        uint8_t byte = *r->pos++;
        if (shift == 63 && byte > 1) return -1; /* more than 64 bits */

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return 0;
        }
    }

    return -1;
}

static int wire_fixed(struct oim_wire_reader *r, unsigned size, uint64_t *out)
{
    uint64_t value = 0;

    if ((size_t)(r->end - r->pos) < size) return -1;

    for (unsigned i = 0; i < size; i++) value |= (uint64_t)r->pos[i] << (8 * i);

    r->pos += size;
    *out = value;
    return 0;
}

int oim_wire_next(struct oim_wire_reader *r, struct oim_wire_field *f)
{
    uint64_t tag;

    if (r->pos == r->end) return 0;

    if (wire_varint(r, &tag) != 0 || tag > UINT32_MAX || tag >> 3 == 0) return -1;

    *f = (struct oim_wire_field){.number = (uint32_t)(tag >> 3), .type = tag & 7};

    switch (f->type) {
    case WIRE_VARINT:
        return wire_varint(r, &f->value) == 0 ? 1 : -1;

    case WIRE_FIXED64:
        return wire_fixed(r, 8, &f->value) == 0 ? 1 : -1;

    case WIRE_FIXED32:
        return wire_fixed(r, 4, &f->value) == 0 ? 1 : -1;

    case WIRE_BYTES: {
        uint64_t len;

        if (wire_varint(r, &len) != 0 || len > (size_t)(r->end - r->pos)) return -1;

        f->data = r->pos;
        f->len = (size_t)len;
        r->pos += len;
        return 1;
    }

    default:
        return -1;
    }
}

bool oim_wire_overflow(const struct oim_wire_writer *w)
{
    return w->len > w->cap;
}

static void wire_put(struct oim_wire_writer *w, const void *data, size_t len)
{
    if (len != 0 && w->len <= w->cap && len <= w->cap - w->len) memcpy(w->data + w->len, data, len);

    w->len += len;
}

static size_t wire_varint_len(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }

    return n;
}

static void wire_put_varint(struct oim_wire_writer *w, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;

    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;

    wire_put(w, bytes, n);
}

static uint64_t wire_tag(uint32_t number, unsigned type)
{
    return (uint64_t)number << 3 | type;
}

void oim_wire_varint(struct oim_wire_writer *w, uint32_t number, uint64_t value)
{
    wire_put_varint(w, wire_tag(number, WIRE_VARINT));
    wire_put_varint(w, value);
}

void oim_wire_head(struct oim_wire_writer *w, uint32_t number, size_t len)
{
    wire_put_varint(w, wire_tag(number, WIRE_BYTES));
    wire_put_varint(w, len);
}

void oim_wire_bytes(struct oim_wire_writer *w, uint32_t number, const void *data, size_t len)
{
    oim_wire_head(w, number, len);
    wire_put(w, data, len);
}

size_t oim_wire_varint_size(uint32_t number, uint64_t value)
{
    return wire_varint_len(wire_tag(number, WIRE_VARINT)) + wire_varint_len(value);
}

size_t oim_wire_bytes_size(uint32_t number, size_t len)
{
    return wire_varint_len(wire_tag(number, WIRE_BYTES)) + wire_varint_len(len) + len;
}

/* Length of the valid sequence at p, 0 if there is none: no overlong forms, no surrogates, nothing
 * above U+10FFFF. */
static size_t utf8_sequence(const uint8_t *p, const uint8_t *end)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n;

    if (p[0] < 0x80) return 1;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        if (p[0] == 0xe0) lo = 0xa0;
        if (p[0] == 0xed) hi = 0x9f;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        if (p[0] == 0xf0) lo = 0x90;
        if (p[0] == 0xf4) hi = 0x8f;
    } else {
        return 0;
    }

    if ((size_t)(end - p) < n || p[1] < lo || p[1] > hi) return 0;

    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }

    return n;
}

bool oim_wire_utf8(const void *data, size_t len)
{
    const uint8_t *p = data;
    const uint8_t *end = len != 0 ? p + len : p;

    while (p != end) {
        uint64_t word;

        if (end - p >= 8) {
            memcpy(&word, p, 8);
            if ((word & 0x8080808080808080) == 0) {
                p += 8;
                continue;
            }
        }

        size_t n = utf8_sequence(p, end);
        if (n == 0) return false;
        p += n;
    }

    return true;
}

/* A repeated field counts once, its last one; a field of another wire type is an unknown field. Text
 * that is not UTF-8 breaks the message, as it does for every proto3 reader. */
int oim_wire_peek_msg(const uint8_t *data, size_t len, struct oim_wire_msg *msg)
{
    struct oim_wire_reader r = {data, len != 0 ? data + len : data};
    struct oim_wire_field f;
    int rc;

    memset(msg, 0, sizeof(*msg));

    while ((rc = oim_wire_next(&r, &f)) == 1) {
        if (f.number == MSG_SESSION_TYPE && f.type == WIRE_VARINT) {
            msg->session_type = (int32_t)(uint32_t)f.value;
            continue;
        }

        if (f.type != WIRE_BYTES) continue;

        switch (f.number) {
        case MSG_SEND_ID:
            msg->send_id = f.data;
            msg->send_len = f.len;
            break;

        case MSG_RECV_ID:
            msg->recv_id = f.data;
            msg->recv_len = f.len;
            break;

        case MSG_GROUP_ID:
            msg->group_id = f.data;
            msg->group_len = f.len;
            break;

        default:
            continue;
        }

        if (!oim_wire_utf8(f.data, f.len)) return -1;
    }

    return rc;
}

size_t oim_wire_conversation_key(const struct oim_wire_msg *msg, char *out, size_t cap)
{
    const uint8_t *a = msg->send_id, *b = msg->recv_id;
    size_t a_len = msg->send_len, b_len = msg->recv_len;

    if (msg->session_type == SESSION_WRITE_GROUP || msg->session_type == SESSION_READ_GROUP) {
        if (msg->group_len != 0 && msg->group_len <= cap) memcpy(out, msg->group_id, msg->group_len);
        return msg->group_len;
    }

    size_t common = a_len < b_len ? a_len : b_len;
    int order = common != 0 ? memcmp(a, b, common) : 0;

    if (order > 0 || (order == 0 && a_len > b_len)) {
        a = msg->recv_id, a_len = msg->recv_len;
        b = msg->send_id, b_len = msg->send_len;
    }

    size_t len = a_len + 1 + b_len;

    if (len <= cap) {
        if (a_len != 0) memcpy(out, a, a_len);
        out[a_len] = '_';
        if (b_len != 0) memcpy(out + a_len + 1, b, b_len);
    }

    return len;
}
