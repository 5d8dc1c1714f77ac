/*
 * Content types of /msg/send_msg as a table of required members; send.h holds the contracts. Scalars are
 * taken weakly, as the reference does: "5" is a number, 5 a text.
 */
#include "send.h"

#include "oim_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_USERS_MAX 1000
#define MIX_TYPE_MAX 5

enum shape { TEXT, NUMBER, PICTURE, USERS, MIX };

struct member {
    int32_t content_type;
    const char *name;
    enum shape shape;
};

static const struct member required[] = {
    {101, "content", TEXT},
    {102, "sourcePicture", PICTURE},
    {102, "bigPicture", PICTURE},
    {102, "snapshotPicture", PICTURE},
    {103, "sourceUrl", TEXT},
    {103, "duration", NUMBER},
    {104, "videoUrl", TEXT},
    {104, "videoType", TEXT},
    {104, "videoSize", NUMBER},
    {104, "duration", NUMBER},
    {104, "snapshotUrl", TEXT},
    {104, "snapshotWidth", NUMBER},
    {104, "snapshotHeight", NUMBER},
    {105, "sourceUrl", TEXT},
    {105, "fileName", TEXT},
    {105, "fileSize", NUMBER},
    {106, "atUserList", USERS},
    {110, "data", TEXT},
    {118, "content", TEXT},
    {1400, "notificationName", TEXT},
    {1400, "notificationType", NUMBER},
    {1400, "text", TEXT},
    {1400, "mixType", MIX},
};

bool logic_content_known(int32_t content_type)
{
    if (content_type == 114) return true; /* quote: nothing is required */
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (required[i].content_type == content_type) return true;
    }
    return false;
}

static bool is_text(const json_t *v)
{
    if (json_is_string(v)) return json_string_length(v) > 0;
    return json_is_number(v) || json_is_boolean(v);
}

static bool number_of(const json_t *v, double *out)
{
    char *end;

    if (json_is_number(v)) {
        *out = json_number_value(v);
        return true;
    }
    if (json_is_boolean(v)) {
        *out = json_is_true(v);
        return true;
    }
    if (!json_is_string(v) || json_string_length(v) == 0) return false;
    *out = strtod(json_string_value(v), &end);
    return *end == '\0';
}

static bool is_number(const json_t *v)
{
    double n;

    return number_of(v, &n) && n != 0;
}

static bool is_picture(json_t *v)
{
    return json_is_object(v) && is_text(oim_json_get(v, "type")) && is_number(oim_json_get(v, "width")) &&
           is_number(oim_json_get(v, "height")) && is_text(oim_json_get(v, "url"));
}

static bool is_users(const json_t *v)
{
    size_t n = json_array_size(v);

    if (n < 1 || n > AT_USERS_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(v, i))) return false;
    }
    return true;
}

static bool member_ok(const struct member *m, json_t *v)
{
    double n = 0;

    switch (m->shape) {
    case TEXT:
        return is_text(v);
    case NUMBER:
        return is_number(v) && number_of(v, &n) && n > 0;
    case PICTURE:
        return is_picture(v);
    case USERS:
        return is_users(v);
    case MIX:
        return v == NULL || json_is_null(v) || (number_of(v, &n) && n >= 0 && n <= MIX_TYPE_MAX);
    default:
        return false;
    }
}

const char *logic_content_check(int32_t content_type, json_t *content)
{
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        const struct member *m = &required[i];

        if (m->content_type == content_type && !member_ok(m, oim_json_get(content, m->name))) return m->name;
    }
    return NULL;
}

/* ---- writing ---- */

static int key_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void object_write(struct oim_buf *buf, json_t *object)
{
    size_t n = 0, i = 0;
    const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys)), *key;
    json_t *value;

    oim_buf_putc(buf, '{');
    if (keys) {
        json_object_foreach(object, key, value) keys[n++] = key;
        qsort(keys, n, sizeof(*keys), key_order);
    }
    for (i = 0; i < n; i++) {
        if (i) oim_buf_putc(buf, ',');
        oim_json_string(buf, keys[i], strlen(keys[i]));
        oim_buf_putc(buf, ':');
        logic_content_write(buf, json_object_get(object, keys[i]));
    }
    oim_buf_putc(buf, '}');
    free(keys);
}

/* The shortest text that reads back as the same number. */
static void real_write(struct oim_buf *buf, double v)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    oim_buf_puts(buf, text);
}

void logic_content_write(struct oim_buf *buf, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        object_write(buf, value);
        break;
    case JSON_ARRAY:
        oim_buf_putc(buf, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) oim_buf_putc(buf, ',');
            logic_content_write(buf, json_array_get(value, i));
        }
        oim_buf_putc(buf, ']');
        break;
    case JSON_STRING:
        oim_json_string(buf, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        oim_buf_printf(buf, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        real_write(buf, json_real_value(value));
        break;
    case JSON_TRUE:
        oim_buf_puts(buf, "true");
        break;
    case JSON_FALSE:
        oim_buf_puts(buf, "false");
        break;
    case JSON_NULL:
    default:
        oim_buf_puts(buf, "null");
        break;
    }
}
