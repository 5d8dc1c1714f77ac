/*
 * Protobuf to JSON by descriptor, straight into a buffer: the writer of every REST answer. What Go's encoding/json gives after the hop
 * between upstream's services, where empty lists and empty bytes turn nil (proto-catalogue.md 2.3). oim_json.h holds the contract.
 */
#include "oim_json.h"

#include "oim_err.h"
#include "oim_json_desc.h"
#include "oim_json_lex.h"
#include "oim_json_number.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void message_write(struct oim_buf *buf, const ProtobufCMessage *msg);

void oim_json_string(struct oim_buf *buf, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)s, *end = p + len, *done = p;

    oim_buf_putc(buf, '"');
    while (p < end) {
        const char *escape = NULL;
        char code[7] = "\\u00xx";
        size_t n = 1;

        if (*p >= 0x80) {
            n = oim_json_utf8(p, end);
            if (n == 0) {
                n = 1;
                escape = "\\ufffd";
            } else if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9) {
                escape = p[2] == 0xa8 ? "\\u2028" : "\\u2029";
            }
        } else if (*p < 0x20 || *p == '"' || *p == '\\' || *p == '<' || *p == '>' || *p == '&') {
            switch (*p) {
            case '"': escape = "\\\""; break;
            case '\\': escape = "\\\\"; break;
            case '\n': escape = "\\n"; break;
            case '\r': escape = "\\r"; break;
            case '\t': escape = "\\t"; break;
            default:
                code[4] = hex[*p >> 4];
                code[5] = hex[*p & 15];
                escape = code;
                break;
            }
        }
        if (escape) {
            oim_buf_append(buf, done, (size_t)(p - done));
            oim_buf_puts(buf, escape);
            done = p + n;
        }
        p += n;
    }
    oim_buf_append(buf, done, (size_t)(p - done));
    oim_buf_putc(buf, '"');
}

static void base64_write(struct oim_buf *buf, const ProtobufCBinaryData *data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data->data;
    size_t left = data->len;
    char *out = oim_buf_extend(buf, (left + 2) / 3 * 4 + 2);

    *out++ = '"';
    for (; left > 2; left -= 3, p += 3) {
        *out++ = digits[p[0] >> 2];
        *out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = digits[p[2] & 63];
    }
    if (left) {
        int second = left == 2 ? p[1] : 0;

        *out++ = digits[p[0] >> 2];
        *out++ = digits[(p[0] & 3) << 4 | second >> 4];
        *out++ = left == 2 ? digits[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '"';
}

/* Returns the size of the member at `at` after writing it. alone: bytes that are empty are null unless they stand alone in a wrapper or
 * list. */
static size_t value_write(struct oim_buf *buf, const ProtobufCFieldDescriptor *f, const void *at, bool alone)
{
    const ProtobufCBinaryData *data;
    const ProtobufCMessage *msg;
    const char *s;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM: oim_json_int(buf, *(const int32_t *)at); return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: oim_json_int(buf, *(const int64_t *)at); return 8;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: oim_json_uint(buf, *(const uint32_t *)at); return 4;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: oim_json_uint(buf, *(const uint64_t *)at); return 8;
    case PROTOBUF_C_TYPE_FLOAT: oim_json_float(buf, (double)*(const float *)at, OIM_JSON_FLOAT32, false); return 4;
    case PROTOBUF_C_TYPE_DOUBLE: oim_json_float(buf, *(const double *)at, OIM_JSON_FLOAT64, false); return 8;
    case PROTOBUF_C_TYPE_BOOL:
        oim_buf_puts(buf, *(const protobuf_c_boolean *)at ? "true" : "false");
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
        s = *(const char *const *)at;
        oim_json_string(buf, s ? s : "", s ? strlen(s) : 0);
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        data = at;
        if (data->len || alone) {
            base64_write(buf, data);
        } else {
            oim_buf_puts(buf, "null");
        }
        return sizeof(*data);
    case PROTOBUF_C_TYPE_MESSAGE:
    default:
        msg = *(const ProtobufCMessage *const *)at;
        if (msg == NULL) {
            oim_buf_puts(buf, "null");
        } else if (oim_json_is_wrapper(msg->descriptor)) {
            const ProtobufCFieldDescriptor *inner = &msg->descriptor->fields[0];

            value_write(buf, inner, (const char *)msg + inner->offset, true);
        } else {
            message_write(buf, msg);
        }
        return sizeof(msg);
    }
}

static void list_write(struct oim_buf *buf, const ProtobufCFieldDescriptor *f, const void *list, size_t n)
{
    const char *at = list;

    if (n == 0) {
        oim_buf_puts(buf, "null");
        return;
    }
    oim_buf_putc(buf, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) oim_buf_putc(buf, ',');
        at += value_write(buf, f, at, true);
    }
    oim_buf_putc(buf, ']');
}

struct entry {
    const char *key;
    const ProtobufCMessage *msg;
    size_t index;
};

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->key, y->key);

    return c ? c : x->index < y->index ? -1 : 1;
}

/* Keys in byte order, the last of equal ones counts. */
static void map_write(struct oim_buf *buf, const ProtobufCFieldDescriptor *f, ProtobufCMessage *const *list, size_t n)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    const ProtobufCFieldDescriptor *value = &d->fields[1];
    struct entry few[32], *entries = n <= 32 ? few : malloc(n * sizeof(*entries));
    bool first = true;

    oim_buf_putc(buf, '{');
    for (size_t i = 0; entries && i < n; i++) {
        const char *key = *(const char *const *)((const char *)list[i] + d->fields[0].offset);

        entries[i] = (struct entry){key ? key : "", list[i], i};
    }
    if (entries) qsort(entries, n, sizeof(*entries), entry_order);
    for (size_t i = 0; entries && i < n; i++) {
        if (i + 1 < n && strcmp(entries[i].key, entries[i + 1].key) == 0) continue;
        if (!first) oim_buf_putc(buf, ',');
        first = false;
        oim_json_string(buf, entries[i].key, strlen(entries[i].key));
        oim_buf_putc(buf, ':');
        value_write(buf, value, (const char *)entries[i].msg + value->offset, true);
    }
    oim_buf_putc(buf, '}');
    if (entries != few) free(entries);
}

static void message_write(struct oim_buf *buf, const ProtobufCMessage *msg)
{
    const ProtobufCMessageDescriptor *d = msg->descriptor;
    char open = '{';

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const void *member = (const char *)msg + f->offset, *quantifier = (const char *)msg + f->quantifier_offset;
        bool map = oim_json_is_map(f);

        if (map && *(const size_t *)quantifier == 0) continue;
        oim_buf_putc(buf, open);
        open = ',';
        oim_buf_putc(buf, '"');
        oim_buf_puts(buf, f->name);
        oim_buf_append(buf, "\":", 2);
        if (map) {
            map_write(buf, f, *(ProtobufCMessage *const *const *)member, *(const size_t *)quantifier);
        } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            list_write(buf, f, *(const void *const *)member, *(const size_t *)quantifier);
        } else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)quantifier != f->id) {
            oim_buf_puts(buf, "null");
        } else {
            value_write(buf, f, member, false);
        }
    }
    if (open == '{') oim_buf_putc(buf, '{');
    oim_buf_putc(buf, '}');
}

void oim_json_encode(struct oim_buf *buf, const ProtobufCMessage *msg)
{
    message_write(buf, msg);
}

void oim_json_envelope(struct oim_buf *buf, int code, const char *msg, const char *dlt, const ProtobufCMessage *data)
{
    oim_buf_puts(buf, "{\"errCode\":");
    oim_json_int(buf, code);
    oim_buf_puts(buf, ",\"errMsg\":");
    oim_json_string(buf, msg ? msg : "", msg ? strlen(msg) : 0);
    oim_buf_puts(buf, ",\"errDlt\":");
    oim_json_string(buf, dlt ? dlt : "", dlt ? strlen(dlt) : 0);
    if (data && data->descriptor->n_fields) {
        oim_buf_puts(buf, ",\"data\":");
        message_write(buf, data);
    }
    oim_buf_putc(buf, '}');
}
