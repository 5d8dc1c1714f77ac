/*
 * The protobuf wire format by hand: zero copy, no allocation, libc only. oim_wire.h holds the contract; compiled into the nginx module
 * and into the workers.
 */
#include "oim_wire.h"

#include <string.h>

static int varint_read(struct oim_wire_reader *r, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;

        if (r->pos == r->end) return -1;
        b = *r->pos++;
        if (shift == 63 && b > 1) return -1;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *value = v;
            return 0;
        }
    }
    return -1;
}

static int fixed_read(struct oim_wire_reader *r, size_t size, uint64_t *value)
{
    uint64_t v = 0;

    if ((size_t)(r->end - r->pos) < size) return -1;
    for (size_t i = 0; i < size; i++) v |= (uint64_t)r->pos[i] << (8 * i);
    r->pos += size;
    *value = v;
    return 0;
}

int oim_wire_next(struct oim_wire_reader *r, struct oim_wire_field *f)
{
    uint64_t tag, len;

    if (r->pos == r->end) return 0;
    if (varint_read(r, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911) return -1;
    f->number = (uint32_t)(tag >> 3);
    f->type = (uint32_t)(tag & 7);
    f->value = 0;
    f->data = NULL;
    f->len = 0;
    switch (f->type) {
    case 0: return varint_read(r, &f->value) ? -1 : 1;
    case 1: return fixed_read(r, 8, &f->value) ? -1 : 1;
    case 5: return fixed_read(r, 4, &f->value) ? -1 : 1;
    case 2:
        if (varint_read(r, &len) || len > (uint64_t)(r->end - r->pos)) return -1;
        f->data = r->pos;
        f->len = (size_t)len;
        r->pos += len;
        return 1;
    default: return -1;
    }
}

bool oim_wire_overflow(const struct oim_wire_writer *w)
{
    return w->len > w->cap;
}

static size_t varint_len(uint64_t v)
{
    size_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static void put(struct oim_wire_writer *w, const void *data, size_t len)
{
    if (len && w->len <= w->cap && w->cap - w->len >= len) memcpy(w->data + w->len, data, len);
    w->len += len;
}

static void put_varint(struct oim_wire_writer *w, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;

    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    put(w, out, n);
}

void oim_wire_varint(struct oim_wire_writer *w, uint32_t number, uint64_t value)
{
    put_varint(w, (uint64_t)number << 3);
    put_varint(w, value);
}

void oim_wire_head(struct oim_wire_writer *w, uint32_t number, size_t len)
{
    put_varint(w, (uint64_t)number << 3 | 2);
    put_varint(w, len);
}

void oim_wire_bytes(struct oim_wire_writer *w, uint32_t number, const void *data, size_t len)
{
    oim_wire_head(w, number, len);
    put(w, data, len);
}

size_t oim_wire_varint_size(uint32_t number, uint64_t value)
{
    return varint_len((uint64_t)number << 3) + varint_len(value);
}

size_t oim_wire_bytes_size(uint32_t number, size_t len)
{
    return varint_len((uint64_t)number << 3) + varint_len(len) + len;
}

bool oim_wire_utf8(const void *data, size_t len)
{
    const uint8_t *p = data, *end = p + len;

    while (p < end) {
        uint32_t c = *p++;
        int more;

        if (c < 0x80) continue;
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
            c &= 0x1f;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            c &= 0x0f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            c &= 0x07;
        } else {
            return false;
        }
        if (end - p < more) return false;
        for (int i = 0; i < more; i++, p++) {
            if ((*p & 0xc0) != 0x80) return false;
            c = c << 6 | (*p & 0x3f);
        }
        if ((more == 2 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) || (more == 3 && (c < 0x10000 || c > 0x10ffff))) return false;
    }
    return true;
}

int oim_wire_peek_msg(const uint8_t *data, size_t len, struct oim_wire_msg *msg)
{
    struct oim_wire_reader r = {data, data + len};
    struct oim_wire_field f;
    int rc;

    memset(msg, 0, sizeof(*msg));
    while ((rc = oim_wire_next(&r, &f)) == 1) {
        switch (f.number << 3 | f.type) {
        case 1 << 3 | 2:
            msg->send_id = f.data;
            msg->send_len = f.len;
            break;
        case 2 << 3 | 2:
            msg->recv_id = f.data;
            msg->recv_len = f.len;
            break;
        case 3 << 3 | 2:
            msg->group_id = f.data;
            msg->group_len = f.len;
            break;
        case 9 << 3: msg->session_type = (int32_t)f.value; break;
        default: break;
        }
    }
    return rc;
}

size_t oim_wire_conversation_key(const struct oim_wire_msg *msg, char *out, size_t cap)
{
    const uint8_t *a = msg->send_id, *b = msg->recv_id;
    size_t na = msg->send_len, nb = msg->recv_len, common = na < nb ? na : nb, need = na + 1 + nb;
    int order;

    if (msg->session_type == 2 || msg->session_type == 3) {
        if (msg->group_len && msg->group_len <= cap) memcpy(out, msg->group_id, msg->group_len);
        return msg->group_len;
    }
    if (need > cap) return need;
    order = common ? memcmp(a, b, common) : 0;
    if (order > 0 || (order == 0 && na > nb)) {
        const uint8_t *p = a;
        size_t n = na;

        a = b;
        na = nb;
        b = p;
        nb = n;
    }
    if (na) memcpy(out, a, na);
    out[na] = '_';
    if (nb) memcpy(out + na + 1, b, nb);
    return need;
}
