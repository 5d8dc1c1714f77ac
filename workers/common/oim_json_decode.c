/*
 * JSON to protobuf by descriptor, in one pass over the bytes: the reader of every REST body. No tree is built. oim_json.h holds the
 * contract, proto-catalogue.md 2 the facts, proto/README.md how optional, maps and wrappers look in a descriptor.
 *
 * A key is found by the place where Go's encoder would have put it, then by name, then without regard to case. A second key of a message
 * or map adds to the first, of a list replaces it, of a scalar replaces it unless it is null.
 *
 * C strings end at NUL: an escaped NUL in a text becomes U+FFFD, so that no id can be cut to another one.
 */
#include "oim_json.h"

#include "oim_arena.h"
#include "oim_err.h"
#include "oim_json_desc.h"
#include "oim_json_lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool message_read(struct oim_json_lex *l, ProtobufCMessage *msg);

static bool mismatch(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, const char *type)
{
    return oim_json_lex_fail(l, "cannot unmarshal value of %.80s into type %s", f->name, type);
}

/* ---- descriptors (proto/README.md) ---- */

static size_t member_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING: return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(ProtobufCMessage *);
    default: return 4;
    }
}

static ProtobufCMessage *message_new(struct oim_json_lex *l, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *msg;

    if (!oim_json_lex_spend(l, d->sizeof_message)) return NULL;
    msg = oim_arena_alloc(l->arena, d->sizeof_message);
    d->message_init(msg);
    return msg;
}

/* An element that was null: the zero value of its type. at is zeroed. */
static bool element_default(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, void *at)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        *(const char **)at = protobuf_c_empty_string;
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        *(ProtobufCMessage **)at = message_new(l, f->descriptor);
        return *(ProtobufCMessage **)at != NULL;
    }
    return true;
}

static int compare(const char *a, size_t len, const char *name)
{
    int c = strncmp(a, name, len); /* a NUL within a compares as the end of name */

    return c ? c : name[len] ? -1 : 0;
}

/* hint: where the key should be if the writer keeps the order of the fields. */
static const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *d, const char *key, size_t len, unsigned hint)
{
    unsigned low = 0, high = d->n_fields;

    if (memchr(key, '\0', len)) return NULL;
    if (hint < d->n_fields && compare(key, len, d->fields[hint].name) == 0) return &d->fields[hint];
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        const ProtobufCFieldDescriptor *f = &d->fields[d->fields_sorted_by_name[mid]];
        int c = compare(key, len, f->name);

        if (c == 0) return f;
        if (c < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (oim_json_fold_equal(key, len, d->fields[i].name, strlen(d->fields[i].name))) return &d->fields[i];
    }
    return NULL;
}

/* ---- scalars ---- */

static bool number_is_next(struct oim_json_lex *l)
{
    int c = oim_json_lex_peek(l);

    return c == '-' || (c >= '0' && c <= '9');
}

/* An integer literal of the range of the type: sign and amount are given apart. */
static bool integer_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, const char *type, uint64_t max, uint64_t min_amount,
                         bool *negative, uint64_t *amount)
{
    struct oim_json_number n;
    size_t i;

    if (!number_is_next(l)) return mismatch(l, f, type);
    if (!oim_json_lex_number(l, &n)) return false;
    if (!n.integer) return mismatch(l, f, type);
    *negative = n.text[0] == '-';
    *amount = 0;
    for (i = *negative; i < n.len; i++) {
        uint64_t d = (uint64_t)(n.text[i] - '0');

        if (*amount > (UINT64_MAX - d) / 10) break;
        *amount = *amount * 10 + d;
    }
    if (i < n.len || *amount > (*negative ? min_amount : max) || (*negative && min_amount == 0)) {
        return oim_json_lex_fail(l, "number is out of the range of %.80s, type %s", f->name, type);
    }
    return true;
}

static bool signed_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, const char *type, uint64_t max, int64_t *v)
{
    bool negative;
    uint64_t amount;

    if (!integer_read(l, f, type, max, max + 1, &negative, &amount)) return false;
    *v = negative ? (int64_t)(0 - amount) : (int64_t)amount;
    return true;
}

static bool real_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, double *v)
{
    struct oim_json_number n;

    if (!number_is_next(l)) return mismatch(l, f, "float");
    if (!oim_json_lex_number(l, &n)) return false;
    *v = strtod(oim_arena_strndup(l->arena, n.text, n.len), NULL);
    if (isinf(*v) || (f->type == PROTOBUF_C_TYPE_FLOAT && isinf((float)*v))) {
        return oim_json_lex_fail(l, "number is out of the range of %.80s", f->name);
    }
    return true;
}

/* numbers: BoolValue takes 1 and 0, too. */
static bool bool_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, bool numbers, protobuf_c_boolean *v)
{
    struct oim_json_number n;
    int c = oim_json_lex_peek(l);

    if (c == 't' || c == 'f') {
        *v = c == 't';
        return oim_json_lex_word(l, c == 't' ? "true" : "false");
    }
    if (!numbers || !number_is_next(l)) return mismatch(l, f, "bool");
    if (!oim_json_lex_number(l, &n)) return false;
    if (n.len != 1 || (n.text[0] != '0' && n.text[0] != '1')) return mismatch(l, f, "bool");
    *v = n.text[0] == '1';
    return true;
}

/* A C string of our own with the same text, NUL replaced. */
static const char *c_string(struct oim_json_lex *l, const char *s, size_t len)
{
    size_t nuls = 0;
    char *out, *start;

    if (memchr(s, '\0', len) == NULL) return oim_arena_strndup(l->arena, s, len);
    for (size_t i = 0; i < len; i++) nuls += s[i] == '\0';
    start = out = oim_arena_alloc(l->arena, len + 2 * nuls + 1);
    for (size_t i = 0; i < len; i++) {
        if (s[i]) {
            *out++ = s[i];
        } else {
            memcpy(out, "\xef\xbf\xbd", 3);
            out += 3;
        }
    }
    *out = '\0';
    return start;
}

static bool string_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, const char **v)
{
    const char *s;
    size_t len;

    if (oim_json_lex_peek(l) != '"') return mismatch(l, f, "string");
    if (!oim_json_lex_string(l, &s, &len)) return false;
    *v = memchr(s, '\0', len) ? c_string(l, s, len) : s;
    return true;
}

static int base64_digit(int c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padded standard alphabet; line breaks count as nothing, as in Go. False when it is none. out has room for len * 3 / 4. */
static bool base64_decode(const char *s, size_t len, uint8_t *out, size_t *n)
{
    uint32_t bits = 0;
    int have = 0, pad = 0;

    *n = 0;
    for (size_t i = 0; i < len; i++) {
        int d;

        if (s[i] == '\r' || s[i] == '\n') continue;
        if (s[i] == '=') {
            if (have + pad < 2 || have + pad == 4 || have < 2) return false;
            pad++;
            if (have + pad == 4) {
                out[(*n)++] = (uint8_t)(bits >> (have == 3 ? 10 : 4));
                if (have == 3) out[(*n)++] = (uint8_t)(bits >> 2);
            }
            continue;
        }
        d = base64_digit((unsigned char)s[i]);
        if (d < 0 || pad) return false;
        bits = bits << 6 | (uint32_t)d;
        if (++have == 4) {
            out[(*n)++] = (uint8_t)(bits >> 16);
            out[(*n)++] = (uint8_t)(bits >> 8);
            out[(*n)++] = (uint8_t)bits;
            have = 0;
            bits = 0;
        }
    }
    return pad ? have + pad == 4 : have == 0;
}

static bool byte_list_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, ProtobufCBinaryData *v)
{
    struct oim_buf buf = {0};
    bool first = true, negative, fine = true;
    uint64_t amount;
    int more;

    if (!oim_json_lex_enter(l)) return false;
    while ((more = oim_json_lex_more(l, ']', &first)) > 0) {
        if (oim_json_lex_peek(l) == 'n') {
            amount = 0;
            fine = oim_json_lex_word(l, "null");
        } else {
            fine = integer_read(l, f, "uint8", 255, 0, &negative, &amount);
        }
        if (!fine) break;
        oim_buf_putc(&buf, (char)amount);
    }
    v->len = buf.len;
    v->data = (uint8_t *)oim_arena_strndup(l->arena, (const char *)buf.data, buf.len);
    oim_buf_free(&buf);
    return fine && more == 0;
}

static bool bytes_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, ProtobufCBinaryData *v)
{
    const char *s;
    size_t len;
    int c = oim_json_lex_peek(l);

    if (c == '[') return byte_list_read(l, f, v);
    if (c != '"') return mismatch(l, f, "bytes");
    if (!oim_json_lex_string(l, &s, &len)) return false;
    v->data = (uint8_t *)s; /* decoded in place: the text is our copy */
    return base64_decode(s, len, v->data, &v->len) || oim_json_lex_fail(l, "illegal base64 data in %.80s", f->name);
}

/* ---- values ---- */

/* One value that is not null into its place: a member of a struct, or an element of a list. */
static bool value_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, bool wrapped, void *at)
{
    int64_t i;
    uint64_t u;
    double d;
    bool negative;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        if (!signed_read(l, f, "int32", INT32_MAX, &i)) return false;
        *(int32_t *)at = (int32_t)i;
        return true;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return signed_read(l, f, "int64", INT64_MAX, at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (!integer_read(l, f, "uint32", UINT32_MAX, 0, &negative, &u)) return false;
        *(uint32_t *)at = (uint32_t)u;
        return true;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return integer_read(l, f, "uint64", UINT64_MAX, 0, &negative, at);
    case PROTOBUF_C_TYPE_FLOAT:
        if (!real_read(l, f, &d)) return false;
        *(float *)at = (float)d;
        return true;
    case PROTOBUF_C_TYPE_DOUBLE: return real_read(l, f, at);
    case PROTOBUF_C_TYPE_BOOL: return bool_read(l, f, wrapped, at);
    case PROTOBUF_C_TYPE_STRING: return string_read(l, f, at);
    case PROTOBUF_C_TYPE_BYTES: return bytes_read(l, f, at);
    case PROTOBUF_C_TYPE_MESSAGE: break;
    default: return oim_json_lex_fail(l, "type of %.80s is not supported", f->name);
    }

    ProtobufCMessage **msg = at;

    if (oim_json_is_wrapper(f->descriptor)) {
        const ProtobufCFieldDescriptor *inner = &((const ProtobufCMessageDescriptor *)f->descriptor)->fields[0];

        *msg = message_new(l, f->descriptor);
        return *msg && value_read(l, inner, true, (char *)*msg + inner->offset);
    }
    if (oim_json_lex_peek(l) != '{') return mismatch(l, f, "object");
    if (*msg == NULL) *msg = message_new(l, f->descriptor);
    return *msg && message_read(l, *msg);
}

/* Room for one more element; arrays double in the arena. */
static void *list_room(struct oim_json_lex *l, void **list, size_t n, size_t size)
{
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        size_t cap = n ? 2 * n : 4;
        void *grown;

        if (!oim_json_lex_spend(l, cap * size)) return NULL;
        grown = oim_arena_zalloc(l->arena, cap * size);
        if (n) memcpy(grown, *list, n * size);
        *list = grown;
    }
    return (char *)*list + n * size;
}

static bool list_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, void **list, size_t *n)
{
    size_t size = member_size(f);
    bool first = true;
    int more;

    *list = NULL;
    *n = 0;
    if (oim_json_lex_peek(l) != '[') return mismatch(l, f, "array");
    if (!oim_json_lex_enter(l)) return false;
    while ((more = oim_json_lex_more(l, ']', &first)) > 0) {
        void *at = list_room(l, list, *n, size);

        if (at == NULL) return false;
        if (oim_json_lex_peek(l) == 'n') {
            if (!oim_json_lex_word(l, "null") || !element_default(l, f, at)) return false;
        } else if (!value_read(l, f, false, at)) {
            return false;
        }
        ++*n;
    }
    return more == 0;
}

static const char *entry_key(const ProtobufCMessage *entry)
{
    return *(const char *const *)((const char *)entry + entry->descriptor->fields[0].offset);
}

struct entry {
    ProtobufCMessage *msg;
    size_t index;
};

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(entry_key(x->msg), entry_key(y->msg));

    return c ? c : x->index < y->index ? -1 : 1;
}

/* Sorts by key and keeps the last of equal ones. */
static void map_unique(struct oim_json_lex *l, ProtobufCMessage **list, size_t *n)
{
    struct entry *entries = oim_arena_alloc(l->arena, *n * sizeof(*entries));
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++) entries[i] = (struct entry){list[i], i};
    qsort(entries, *n, sizeof(*entries), entry_order);
    for (size_t i = 0; i < *n; i++) {
        if (i + 1 < *n && strcmp(entry_key(entries[i].msg), entry_key(entries[i + 1].msg)) == 0) continue;
        list[kept++] = entries[i].msg;
    }
    *n = kept;
}

static bool map_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, void **list, size_t *n)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    const ProtobufCFieldDescriptor *value = &d->fields[1];
    void *old = *list;
    size_t old_n = *n;
    bool first = true;
    int more;

    if (oim_json_lex_peek(l) != '{') return mismatch(l, f, "object");
    if (!oim_json_lex_enter(l)) return false;
    *list = NULL; /* list_room wants the array to itself */
    *n = 0;
    for (size_t i = 0; i < old_n; i++) {
        ProtobufCMessage **at = list_room(l, list, *n, sizeof(*at));

        if (at == NULL) return false;
        *at = ((ProtobufCMessage **)old)[i];
        ++*n;
    }
    while ((more = oim_json_lex_more(l, '}', &first)) > 0) {
        ProtobufCMessage **at = list_room(l, list, *n, sizeof(*at)), *entry;
        const char *key;
        size_t len;

        if (at == NULL || (entry = message_new(l, d)) == NULL) return false;
        *at = entry;
        if (!oim_json_lex_key(l, &key, &len)) return false;
        *(const char **)((char *)entry + d->fields[0].offset) = c_string(l, key, len);
        if (oim_json_lex_peek(l) == 'n') {
            if (!oim_json_lex_word(l, "null")) return false;
        } else if (!value_read(l, value, false, (char *)entry + value->offset)) {
            return false;
        }
        ++*n;
    }
    if (more == 0 && *n > 1) map_unique(l, *list, n);
    return more == 0;
}

static bool null_read(struct oim_json_lex *l, const ProtobufCFieldDescriptor *f, void *member, void *quantifier)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        *(size_t *)quantifier = 0;
        *(void **)member = NULL;
    } else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        *(uint32_t *)quantifier = 0;
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        *(void **)member = NULL;
    } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
        *(ProtobufCBinaryData *)member = (ProtobufCBinaryData){0};
    }
    return oim_json_lex_word(l, "null");
}

static bool field_read(struct oim_json_lex *l, ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
    void *member = (char *)msg + f->offset, *quantifier = (char *)msg + f->quantifier_offset;

    if (oim_json_lex_peek(l) == 'n') return null_read(l, f, member, quantifier);
    if (oim_json_is_map(f)) return map_read(l, f, member, quantifier);
    if (f->label == PROTOBUF_C_LABEL_REPEATED) return list_read(l, f, member, quantifier);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) *(uint32_t *)quantifier = f->id;
    return value_read(l, f, false, member);
}

static bool message_read(struct oim_json_lex *l, ProtobufCMessage *msg)
{
    unsigned hint = 0;
    bool first = true;
    int more;

    if (!oim_json_lex_enter(l)) return false;
    while ((more = oim_json_lex_more(l, '}', &first)) > 0) {
        const ProtobufCFieldDescriptor *f;
        const char *key;
        size_t len;

        if (!oim_json_lex_key(l, &key, &len)) return false;
        f = field_find(msg->descriptor, key, len, hint);
        if (f == NULL) {
            if (!oim_json_lex_skip(l)) return false;
            continue;
        }
        hint = (unsigned)(f - msg->descriptor->fields) + 1;
        if (!field_read(l, msg, f)) return false;
    }
    return more == 0;
}

int oim_json_decode(struct oim_arena *a, const ProtobufCMessageDescriptor *desc, const uint8_t *body, size_t len,
                    ProtobufCMessage **out, const char **why)
{
    struct oim_json_lex l;
    ProtobufCMessage *msg;
    bool fine;

    oim_json_lex_init(&l, a, body, len);
    msg = message_new(&l, desc);
    switch (oim_json_lex_peek(&l)) {
    case '{': fine = message_read(&l, msg); break;
    case 'n': fine = oim_json_lex_word(&l, "null"); break;
    default:
        fine = oim_json_lex_skip(&l) && oim_json_lex_fail(&l, "cannot unmarshal value into %.80s", desc->short_name);
        break;
    }
    if (!fine || !oim_json_lex_end(&l)) {
        *why = l.why;
        return OIM_EPARSE;
    }
    *out = msg;
    return OIM_OK;
}

static int into_buf(const char *data, size_t len, void *buf)
{
    oim_buf_append(buf, data, len);
    return 0;
}

int oim_json_decode_value(struct oim_arena *a, const ProtobufCMessageDescriptor *desc, json_t *value, ProtobufCMessage **out,
                          const char **why)
{
    struct oim_buf text = {0};
    int err;

    if (value == NULL) {
        oim_buf_puts(&text, "null");
    } else if (json_dump_callback(value, into_buf, &text, JSON_ENCODE_ANY | JSON_COMPACT) != 0) {
        oim_buf_free(&text);
        *why = "value cannot be written";
        return OIM_EPARSE;
    }
    err = oim_json_decode(a, desc, text.data, text.len, out, why);
    oim_buf_free(&text);
    return err;
}
