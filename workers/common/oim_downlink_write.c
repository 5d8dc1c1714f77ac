/*
 * The bytes of Reply, Push, Kick and Groups (proto/internal.proto), without protobuf-c: a push is written for each gateway with the users
 * that this one holds. oim_downlink.c calls it twice for each, to count and to write.
 */
#include "oim_downlink_internal.h"

#include <string.h>

static void text_write(struct oim_wire_writer *w, uint32_t number, const char *s)
{
    if (*s) oim_wire_bytes(w, number, s, strlen(s));
}

static void number_write(struct oim_wire_writer *w, uint32_t number, uint64_t v)
{
    if (v) oim_wire_varint(w, number, v);
}

static void raw_write(struct oim_wire_writer *w, const void *data, size_t len)
{
    if (w->len + len <= w->cap) memcpy(w->data + w->len, data, len);
    w->len += len;
}

static void reply_write(struct oim_wire_writer *w, const struct item *item)
{
    number_write(w, 1, item->request_id);
    number_write(w, 2, (uint64_t)(int64_t)item->code);
    text_write(w, 3, item->msg);
    if (item->len) oim_wire_bytes(w, 5, item->data, item->len);
    number_write(w, 6, item->flags);
    number_write(w, 7, (uint64_t)(int64_t)item->http_status);
    text_write(w, 8, item->content_type);
}

static void push_write(struct oim_wire_writer *w, const struct item *item, const struct gateway *gw)
{
    const struct oim_downlink_push *p = &item->push;

    number_write(w, 1, (uint64_t)(int64_t)p->req);
    text_write(w, 2, p->operation_id);
    if (p->len) oim_wire_bytes(w, 3, p->payload, p->len);
    for (size_t i = 0; i < gw->n_users; i++) oim_wire_bytes(w, 4, gw->users[i], strlen(gw->users[i]));
    text_write(w, 5, p->group_id);
    text_write(w, 6, p->except_user_id);
    number_write(w, 7, p->flags);
    text_write(w, 8, p->conversation_id);
    number_write(w, 9, (uint64_t)p->seq);
}

/* The connIDs are packed. */
static void kick_write(struct oim_wire_writer *w, const struct item *item)
{
    struct oim_wire_writer ids = {0};

    text_write(w, 1, item->push.operation_id);
    number_write(w, 2, (uint64_t)(int64_t)item->platform_id);
    if (item->n_conns == 0) return;
    for (int pass = 0; pass < 2; pass++) {
        struct oim_wire_writer *out = pass ? w : &ids;

        if (pass) oim_wire_head(w, 3, ids.len);
        for (size_t i = 0; i < item->n_conns; i++) {
            uint8_t bytes[10];
            size_t n = 0;
            uint64_t v = item->conn_ids[i];

            for (; v >= 0x80; v >>= 7) bytes[n++] = (uint8_t)(v | 0x80);
            bytes[n++] = (uint8_t)v;
            raw_write(out, bytes, n);
        }
    }
}

void oim_downlink_item(struct oim_wire_writer *w, const struct item *item, const struct gateway *gw)
{
    switch (item->kind) {
    case REPLY: reply_write(w, item); break;
    case PUSH: push_write(w, item, gw); break;
    case GROUPS: raw_write(w, item->data, item->len); break;
    case KICK:
    default: kick_write(w, item); break;
    }
}
