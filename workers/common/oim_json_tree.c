/*
 * Free-form JSON (the content of /msg/send_msg, hand-bound routes): bytes to json_t by our own scanner, json_t back to bytes as Go writes
 * a map[string]any. oim_json.h holds the contract.
 *
 * Integers that fit int64 are json_integer, all other numbers json_real. Texts may hold NUL.
 */
#include "oim_json.h"

#include "oim_arena.h"
#include "oim_err.h"
#include "oim_json_lex.h"
#include "oim_json_number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODE 96    /* about what jansson takes for a scalar, and for an empty object or list */
#define CONTAINER 400

static json_t *value_read(struct oim_json_lex *l);

static json_t *number_read(struct oim_json_lex *l)
{
    struct oim_json_number n;
    const char *text;
    json_t *v;

    if (!oim_json_lex_number(l, &n)) return NULL;
    text = oim_arena_strndup(l->arena, n.text, n.len);
    if (n.integer) {
        long long i;

        errno = 0;
        i = strtoll(text, NULL, 10);
        if (errno == 0) return json_integer(i);
    }
    v = json_real(strtod(text, NULL));
    if (v == NULL) oim_json_lex_fail(l, "number is out of the range of float64");
    return v;
}

static json_t *string_value(struct oim_json_lex *l)
{
    const char *s;
    size_t len;

    if (!oim_json_lex_string(l, &s, &len) || !oim_json_lex_spend(l, len)) return NULL;
    return json_stringn_nocheck(s, len);
}

static bool member_read(struct oim_json_lex *l, json_t *object)
{
    const char *key;
    size_t len;
    json_t *v;

    if (!oim_json_lex_key(l, &key, &len) || !oim_json_lex_spend(l, len)) return false;
    v = value_read(l);
    return v && json_object_setn_new_nocheck(object, key, len, v) == 0;
}

static bool element_read(struct oim_json_lex *l, json_t *array)
{
    json_t *v = value_read(l);

    return v && json_array_append_new(array, v) == 0;
}

static json_t *container_read(struct oim_json_lex *l, bool object)
{
    json_t *v;
    bool first = true;
    int more;

    if (!oim_json_lex_enter(l) || !oim_json_lex_spend(l, CONTAINER)) return NULL;
    v = object ? json_object() : json_array();
    while (v && (more = oim_json_lex_more(l, object ? '}' : ']', &first)) != 0) {
        if (more < 0 || !(object ? member_read(l, v) : element_read(l, v))) {
            json_decref(v);
            v = NULL;
        }
    }
    return v;
}

static json_t *value_read(struct oim_json_lex *l)
{
    if (!oim_json_lex_spend(l, NODE)) return NULL;
    switch (oim_json_lex_peek(l)) {
    case '{': return container_read(l, true);
    case '[': return container_read(l, false);
    case '"': return string_value(l);
    case 't': return oim_json_lex_word(l, "true") ? json_true() : NULL;
    case 'f': return oim_json_lex_word(l, "false") ? json_false() : NULL;
    case 'n': return oim_json_lex_word(l, "null") ? json_null() : NULL;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return number_read(l);
    default: oim_json_lex_skip(l); return NULL; /* sets the reason */
    }
}

int oim_json_parse(const uint8_t *body, size_t len, json_t **out, struct oim_arena *a, const char **why)
{
    struct oim_json_lex l;
    json_t *v;

    oim_json_lex_init(&l, a, body, len);
    v = value_read(&l);
    if (v && oim_json_lex_end(&l)) {
        *out = v;
        return OIM_OK;
    }
    json_decref(v);
    *why = l.why ? l.why : "out of memory";
    return OIM_EPARSE;
}

json_t *oim_json_get(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key), *other;
    size_t len = strlen(key), name_len;
    const char *name;

    if (v) return v;
    json_object_keylen_foreach(object, name, name_len, other)
    {
        if (oim_json_fold_equal(name, name_len, key, len)) v = other;
    }
    return v;
}

/* ---- writing ---- */

struct member {
    const char *key;
    size_t len;
    const json_t *value;
};

static int member_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static void object_write(struct oim_buf *buf, json_t *object)
{
    size_t n = 0, count = json_object_size(object);
    struct member *members = count ? calloc(count, sizeof(*members)) : NULL;
    const char *key;
    size_t len;
    json_t *v;

    if (members) {
        json_object_keylen_foreach(object, key, len, v) members[n++] = (struct member){key, len, v};
        qsort(members, n, sizeof(*members), member_order);
    }
    oim_buf_putc(buf, '{');
    for (size_t i = 0; i < n; i++) {
        if (i) oim_buf_putc(buf, ',');
        oim_json_string(buf, members[i].key, members[i].len);
        oim_buf_putc(buf, ':');
        oim_json_encode_value(buf, members[i].value);
    }
    oim_buf_putc(buf, '}');
    free(members);
}

void oim_json_encode_value(struct oim_buf *buf, const json_t *value)
{
    if (value == NULL) {
        oim_buf_puts(buf, "null");
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT: object_write(buf, (json_t *)value); break;
    case JSON_ARRAY:
        oim_buf_putc(buf, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) oim_buf_putc(buf, ',');
            oim_json_encode_value(buf, json_array_get(value, i));
        }
        oim_buf_putc(buf, ']');
        break;
    case JSON_STRING: oim_json_string(buf, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER:
    case JSON_REAL: oim_json_float(buf, json_number_value(value), OIM_JSON_FLOAT64, true); break;
    case JSON_TRUE: oim_buf_puts(buf, "true"); break;
    case JSON_FALSE: oim_buf_puts(buf, "false"); break;
    case JSON_NULL:
    default: oim_buf_puts(buf, "null"); break;
    }
}
