/* message.h holds the contract. Owns nothing. */
#include "message.h"

#include "buf.h"
#include "oim_wire.h"

#include <stdio.h>
#include <string.h>

static void text(struct oim_wire_writer *w, uint32_t number, const char *s)
{
    oim_wire_bytes(w, number, s, strlen(s));
}

static size_t packed(uint8_t *out, size_t cap, const char *from, const char *to, const char *group, const char *id, const void *content,
                     size_t len)
{
    struct oim_wire_writer w = {.data = out, .cap = cap};

    text(&w, 1, from);
    text(&w, group ? 3 : 2, group ? group : to);
    text(&w, 4, id);
    oim_wire_varint(&w, 6, MESSAGE_PLATFORM);
    text(&w, 7, from);
    oim_wire_varint(&w, 9, group ? 3 : 1); /* sessionType */
    oim_wire_varint(&w, 10, 100); /* by a user */
    oim_wire_varint(&w, 11, 101); /* text */
    oim_wire_bytes(&w, 12, content, len);
    oim_wire_varint(&w, 16, (uint64_t)wall_ms());
    oim_wire_varint(&w, 17, 1);
    return oim_wire_overflow(&w) ? 0 : w.len;
}

size_t message_pack(uint8_t *out, size_t cap, const char *from, const char *to, const char *id, const void *content, size_t len)
{
    return packed(out, cap, from, to, NULL, id, content, len);
}

size_t message_pack_group(uint8_t *out, size_t cap, const char *from, const char *group, const char *id, const void *content, size_t len)
{
    return packed(out, cap, from, NULL, group, id, content, len);
}

void message_content(char *out, size_t len)
{
    memcpy(out, "{\"content\":\"", 12);
    memset(out + 12, 'x', len - 14);
    memcpy(out + len - 2, "\"}", 2);
}

void message_conversation(char *out, size_t cap, const char *a, const char *b)
{
    if (strcmp(a, b) <= 0) {
        snprintf(out, cap, "si_%s_%s", a, b);
    } else {
        snprintf(out, cap, "si_%s_%s", b, a);
    }
}

size_t message_pull(uint8_t *out, size_t cap, const char *user, const char *conversation, int64_t begin, int64_t end, int64_t num)
{
    uint8_t range[1024];
    struct oim_wire_writer r = {.data = range, .cap = sizeof(range)}, w = {.data = out, .cap = cap};

    text(&r, 1, conversation);
    oim_wire_varint(&r, 2, (uint64_t)begin);
    oim_wire_varint(&r, 3, (uint64_t)end);
    oim_wire_varint(&r, 4, (uint64_t)num);
    if (oim_wire_overflow(&r)) return 0;
    text(&w, 1, user);
    oim_wire_bytes(&w, 2, range, r.len);
    return oim_wire_overflow(&w) ? 0 : w.len;
}

static int view(const uint8_t *data, size_t len, struct message_view *m)
{
    struct oim_wire_reader r = {data, data + len};
    struct oim_wire_field f;
    int n;

    *m = (struct message_view){0};
    while ((n = oim_wire_next(&r, &f)) == 1) {
        const char *s = (const char *)f.data;

        switch (f.number) {
        case 1: m->send_id = s, m->send_len = f.len; break;
        case 2: m->recv_id = s, m->recv_len = f.len; break;
        case 4: m->client_msg_id = s, m->client_len = f.len; break;
        case 11: m->content_type = (int32_t)f.value; break;
        case 12: m->content = s, m->content_len = f.len; break;
        case 14: m->seq = (int64_t)f.value; break;
        case 15: m->send_time = (int64_t)f.value; break;
        case 17: m->status = (int32_t)f.value; break;
        default: break;
        }
    }
    return n;
}

/* One entry of a map: conversation -> PullMsgs. */
static int entry(const uint8_t *data, size_t len, message_each_fn fn, void *ctx)
{
    struct oim_wire_reader r = {data, data + len}, msgs = {NULL, NULL};
    struct oim_wire_field f, key = {0};
    struct message_view m;
    int n;

    while ((n = oim_wire_next(&r, &f)) == 1) {
        if (f.number == 1) key = f;
        if (f.number == 2 && f.type == 2) msgs = (struct oim_wire_reader){f.data, f.data + f.len};
    }
    while (n == 0 && msgs.pos && (n = oim_wire_next(&msgs, &f)) == 1) {
        n = 0;
        if (f.number != 1 || f.type != 2) continue;
        if (view(f.data, f.len, &m) < 0) return -1;
        fn(ctx, (const char *)key.data, key.len, &m);
    }
    return n;
}

int message_each(const uint8_t *data, size_t len, message_each_fn fn, void *ctx)
{
    struct oim_wire_reader r = {data, data + len};
    struct oim_wire_field f;
    int n;

    while ((n = oim_wire_next(&r, &f)) == 1) {
        if ((f.number == 1 || f.number == 2) && f.type == 2 && entry(f.data, f.len, fn, ctx) < 0) return -1;
    }
    return n;
}

int message_sent_read(const uint8_t *data, size_t len, struct message_sent *out)
{
    struct oim_wire_reader r = {data, data + len};
    struct oim_wire_field f;
    int n;

    *out = (struct message_sent){0};
    while ((n = oim_wire_next(&r, &f)) == 1) {
        if (f.number == 1 && f.type == 2) snprintf(out->server_id, sizeof(out->server_id), "%.*s", (int)f.len, (const char *)f.data);
        if (f.number == 2 && f.type == 2) snprintf(out->client_id, sizeof(out->client_id), "%.*s", (int)f.len, (const char *)f.data);
        if (f.number == 3) out->send_time = (int64_t)f.value;
    }
    return n;
}
