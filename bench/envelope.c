/*
 * See envelope.h. The gob part reads what a server's fixed encoder writes: type definitions are skipped, the value's fields are taken by
 * their position in Resp (gateway.md 3.4). Called for every message of a run, so nothing is allocated once the buffers have grown.
 */
#include "envelope.h"

#include "json.h"

#include <zlib.h>

#define INFLATED_MAX (8u << 20)
#define GZIP_WINDOW (15 + 16)

struct envelope_codec {
    bool gob, gzip;
    struct buf plain, packed, in, texts;
    struct buf data;
    z_stream deflate, inflate;
};

struct envelope_codec *envelope_new(bool gob, bool gzip)
{
    struct envelope_codec *c = calloc(1, sizeof(*c));

    if (c == NULL) return NULL;
    c->gob = gob;
    c->gzip = gzip;
    if (gzip && (deflateInit2(&c->deflate, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
                 inflateInit2(&c->inflate, GZIP_WINDOW) != Z_OK)) {
        free(c);
        return NULL;
    }
    return c;
}

void envelope_free(struct envelope_codec *c)
{
    if (c->gzip) {
        deflateEnd(&c->deflate);
        inflateEnd(&c->inflate);
    }
    buf_free(&c->plain);
    buf_free(&c->packed);
    buf_free(&c->in);
    buf_free(&c->texts);
    buf_free(&c->data);
    free(c);
}

const char *envelope_query(const struct envelope_codec *c)
{
    if (c->gob) return c->gzip ? "&compression=gzip" : "";
    return c->gzip ? "&sdkType=js&compression=gzip" : "&sdkType=js";
}

/* ---- base64 ---- */

static void base64_put(struct buf *out, const uint8_t *p, size_t len)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *q = buf_extend(out, (len + 2) / 3 * 4);

    for (; len > 2; len -= 3, p += 3) {
        *q++ = (uint8_t)set[p[0] >> 2];
        *q++ = (uint8_t)set[(p[0] & 3) << 4 | p[1] >> 4];
        *q++ = (uint8_t)set[(p[1] & 15) << 2 | p[2] >> 6];
        *q++ = (uint8_t)set[p[2] & 63];
    }
    if (len == 0) return;
    *q++ = (uint8_t)set[p[0] >> 2];
    *q++ = (uint8_t)set[(p[0] & 3) << 4 | (len > 1 ? p[1] >> 4 : 0)];
    *q++ = len > 1 ? (uint8_t)set[(p[1] & 15) << 2] : '=';
    *q = '=';
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool base64_get(struct buf *out, const char *p, size_t len)
{
    static int8_t table[256];
    uint8_t *q;

    if (table['B'] == 0) {
        for (int i = 0; i < 256; i++) table[i] = (int8_t)base64_value((char)i);
    }
    if (len % 4) return false;
    while (len && p[len - 1] == '=') len--;
    q = buf_extend(out, len / 4 * 3 + 3);
    for (; len > 3; len -= 4, p += 4) {
        int a = table[(uint8_t)p[0]], b = table[(uint8_t)p[1]], c = table[(uint8_t)p[2]], d = table[(uint8_t)p[3]];

        if ((a | b | c | d) < 0) return false;
        *q++ = (uint8_t)(a << 2 | b >> 4);
        *q++ = (uint8_t)(b << 4 | c >> 2);
        *q++ = (uint8_t)(c << 6 | d);
    }
    if (len > 1) {
        int a = table[(uint8_t)p[0]], b = table[(uint8_t)p[1]], c = len > 2 ? table[(uint8_t)p[2]] : 0;

        if ((a | b | c) < 0) return false;
        *q++ = (uint8_t)(a << 2 | b >> 4);
        if (len > 2) *q++ = (uint8_t)(b << 4 | c >> 2);
    }
    out->len = (size_t)(q - out->data);
    return true;
}

/* ---- gob (gateway.md 3.3) ---- */

static void uvar_put(struct buf *out, uint64_t v)
{
    int n = 1;

    if (v < 128) {
        buf_putc(out, (uint8_t)v);
        return;
    }
    while (n < 8 && v >> (8 * n)) n++;
    buf_putc(out, (uint8_t)(256 - n));
    while (n--) buf_putc(out, (uint8_t)(v >> (8 * n)));
}

static bool uvar_get(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    int n;

    if (*p == end) return false;
    if (**p < 128) {
        *v = *(*p)++;
        return true;
    }
    n = 256 - *(*p)++;
    if (n > 8 || end - *p < n) return false;
    for (*v = 0; n; n--) *v = *v << 8 | *(*p)++;
    return true;
}

static bool svar_get(const uint8_t **p, const uint8_t *end, int64_t *v)
{
    uint64_t u;

    if (!uvar_get(p, end, &u)) return false;
    *v = u & 1 ? ~(int64_t)(u >> 1) : (int64_t)(u >> 1);
    return true;
}

static void gob_field(struct buf *out, const void *data, size_t len, int *skipped)
{
    if (len == 0) {
        ++*skipped;
        return;
    }
    uvar_put(out, (uint64_t)*skipped + 1);
    uvar_put(out, len);
    buf_add(out, data, len);
    *skipped = 0;
}

/* The type Req with six fields, id 65, as one message. */
static void gob_definition(struct buf *out)
{
    static const struct {
        const char *name;
        uint8_t type;
    } fields[] = {{"ReqIdentifier", 4}, {"Token", 12}, {"SendID", 12}, {"OperationID", 12}, {"MsgIncr", 12}, {"Data", 10}};
    struct buf body = {0};

    buf_add(&body, "\xff\x81\x03\x01\x01\x03Req\x01\xff\x82\x00\x01\x06", 15);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        buf_putc(&body, 1);
        uvar_put(&body, strlen(fields[i].name));
        buf_puts(&body, fields[i].name);
        buf_putc(&body, 1);
        buf_putc(&body, fields[i].type);
        buf_putc(&body, 0);
    }
    buf_add(&body, "\0\0", 2);
    uvar_put(out, body.len);
    buf_add(out, body.data, body.len);
    buf_free(&body);
}

static void gob_encode(struct envelope_codec *c, const struct envelope_request *r)
{
    struct buf *value = &c->data;
    int skipped = 1; /* Token is empty */

    value->len = 0;
    buf_add(value, "\xff\x82\x01", 3);
    uvar_put(value, (uint64_t)r->req << 1);
    gob_field(value, r->send_id, strlen(r->send_id), &skipped);
    gob_field(value, r->operation_id, strlen(r->operation_id), &skipped);
    gob_field(value, r->msg_incr, strlen(r->msg_incr), &skipped);
    gob_field(value, r->data, r->len, &skipped);
    buf_putc(value, 0);
    gob_definition(&c->plain);
    uvar_put(&c->plain, value->len);
    buf_add(&c->plain, value->data, value->len);
}

static const char *text_keep(struct buf *texts, const void *p, size_t len)
{
    char *at = buf_extend(texts, len + 1);

    if (len) memcpy(at, p, len);
    at[len] = '\0';
    return at;
}

static bool gob_value(struct envelope_codec *c, const uint8_t *p, const uint8_t *end, struct envelope_reply *r)
{
    int field = -1;
    uint64_t u;
    int64_t i;

    buf_extend(&c->texts, (size_t)(end - p) + 16); /* so that it does not move below */
    c->texts.len = 0;
    while (uvar_get(&p, end, &u)) {
        if (u == 0) return true;
        if (u > 6) return false;
        field += (int)u;
        if (field == 0 || field == 3) {
            if (!svar_get(&p, end, &i)) return false;
            *(field ? &r->code : &r->req) = (int)i;
            continue;
        }
        if (field > 5 || !uvar_get(&p, end, &u) || u > (size_t)(end - p)) return false;
        switch (field) {
        case 1: r->msg_incr = text_keep(&c->texts, p, u); break;
        case 2: r->operation_id = text_keep(&c->texts, p, u); break;
        case 4: r->err_msg = text_keep(&c->texts, p, u); break;
        default: r->data = p; r->len = u; break;
        }
        p += u;
    }
    return false;
}

static bool gob_decode(struct envelope_codec *c, const uint8_t *p, size_t len, struct envelope_reply *r)
{
    const uint8_t *end = p + len;
    uint64_t n;
    int64_t id;

    while (uvar_get(&p, end, &n) && n <= (size_t)(end - p)) {
        const uint8_t *body = p;

        if (!svar_get(&body, p + n, &id)) return false;
        if (id > 0) return gob_value(c, body, p + n, r);
        p += n;
    }
    return false;
}

/* ---- JSON (gateway.md 3.2) ---- */

static void json_encode(struct envelope_codec *c, const struct envelope_request *r)
{
    buf_printf(&c->plain, "{\"reqIdentifier\":%d,\"msgIncr\":", r->req);
    json_put(&c->plain, r->msg_incr);
    buf_puts(&c->plain, ",\"operationID\":");
    json_put(&c->plain, r->operation_id);
    buf_puts(&c->plain, ",\"sendID\":");
    json_put(&c->plain, r->send_id);
    buf_puts(&c->plain, ",\"data\":\"");
    base64_put(&c->plain, r->data, r->len);
    buf_puts(&c->plain, "\"}");
}

static bool is(struct json_slice key, const char *name)
{
    return key.len == strlen(name) && memcmp(key.p, name, key.len) == 0;
}

static const char *json_keep(struct buf *texts, struct json_slice value)
{
    size_t at = texts->len;

    if (!json_text(texts, value)) texts->len = at;
    buf_putc(texts, '\0');
    return (const char *)texts->data + at;
}

static bool json_decode(struct envelope_codec *c, const uint8_t *data, size_t len, struct envelope_reply *r)
{
    struct json_slice key, value;
    struct json_iter it;
    int more;

    buf_extend(&c->texts, len + 16);
    c->texts.len = 0;
    c->data.len = 0;
    if (!json_enter(&it, (struct json_slice){(const char *)data, len})) return false;
    while ((more = json_next(&it, &key, &value)) == 1) {
        if (is(key, "reqIdentifier")) {
            r->req = (int)json_int(value);
        } else if (is(key, "msgIncr")) {
            r->msg_incr = json_keep(&c->texts, value);
        } else if (is(key, "operationID")) {
            r->operation_id = json_keep(&c->texts, value);
        } else if (is(key, "errCode")) {
            r->code = (int)json_int(value);
        } else if (is(key, "errMsg")) {
            r->err_msg = json_keep(&c->texts, value);
        } else if (is(key, "data") && value.len > 2 && *value.p == '"') {
            if (!base64_get(&c->data, value.p + 1, value.len - 2)) return false;
            r->data = c->data.data;
            r->len = c->data.len;
        }
    }
    return more == 0;
}

/* ---- gzip ---- */

static const struct buf *pack(struct envelope_codec *c)
{
    size_t room = deflateBound(&c->deflate, c->plain.len);

    c->packed.len = 0;
    c->deflate.next_in = c->plain.data;
    c->deflate.avail_in = (uInt)c->plain.len;
    c->deflate.next_out = buf_extend(&c->packed, room);
    c->deflate.avail_out = (uInt)room;
    deflate(&c->deflate, Z_FINISH);
    c->packed.len = room - c->deflate.avail_out;
    deflateReset(&c->deflate);
    return &c->packed;
}

static bool unpack(struct envelope_codec *c, const uint8_t *data, size_t len)
{
    int code;

    c->in.len = 0;
    c->inflate.next_in = (Bytef *)(uintptr_t)data;
    c->inflate.avail_in = (uInt)len;
    do {
        size_t room = 64 * 1024;

        c->inflate.next_out = buf_extend(&c->in, room);
        c->inflate.avail_out = (uInt)room;
        code = inflate(&c->inflate, Z_NO_FLUSH);
        c->in.len -= c->inflate.avail_out;
    } while (code == Z_OK && c->in.len < INFLATED_MAX);
    inflateReset(&c->inflate);
    return code == Z_STREAM_END;
}

const struct buf *envelope_encode(struct envelope_codec *c, const struct envelope_request *r)
{
    c->plain.len = 0;
    if (c->gob) gob_encode(c, r);
    else json_encode(c, r);
    return c->gzip ? pack(c) : &c->plain;
}

bool envelope_decode(struct envelope_codec *c, const uint8_t *data, size_t len, struct envelope_reply *r)
{
    *r = (struct envelope_reply){.msg_incr = "", .operation_id = "", .err_msg = ""};
    if (c->gzip) {
        if (!unpack(c, data, len)) return false;
        data = c->in.data;
        len = c->in.len;
    }
    return c->gob ? gob_decode(c, data, len, r) : json_decode(c, data, len, r);
}
