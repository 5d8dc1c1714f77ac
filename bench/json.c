/* See json.h. Only well-formed JSON of a server under test has to be read; what is broken is noticed, not explained. */
#include "json.h"

#define DEPTH_MAX 64

static const char *space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

/* Past the closing quote; NULL if there is none. p is past the opening one. */
static const char *string_end(const char *p, const char *end)
{
    while (p < end) {
        if (*p == '"') return p + 1;
        p += *p == '\\' ? 2 : 1;
    }
    return NULL;
}

/* Past the value at p, or NULL. */
static const char *value_end(const char *p, const char *end)
{
    int depth = 0;

    do {
        if (p >= end) return NULL;
        switch (*p) {
        case '"':
            p = string_end(p + 1, end);
            if (p == NULL) return NULL;
            break;
        case '{':
        case '[':
            if (++depth > DEPTH_MAX) return NULL;
            p++;
            break;
        case '}':
        case ']':
            depth--;
            p++;
            break;
        case ',':
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            if (depth == 0) return NULL;
            p++;
            break;
        default:
            while (p < end && strchr(",:]} \t\r\n\"", *p) == NULL) p++;
            break;
        }
    } while (depth > 0);
    return depth == 0 ? p : NULL;
}

bool json_enter(struct json_iter *it, struct json_slice text)
{
    it->end = text.p + text.len;
    it->pos = space(text.p, it->end);
    it->first = true;
    if (it->pos == it->end || (*it->pos != '{' && *it->pos != '[')) return false;
    it->close = *it->pos++ == '{' ? '}' : ']';
    return true;
}

int json_next(struct json_iter *it, struct json_slice *key, struct json_slice *value)
{
    const char *p = space(it->pos, it->end), *end = it->end, *stop;

    if (p == end) return -1;
    if (*p == it->close) return 0;
    if (!it->first) {
        if (*p != ',') return -1;
        p = space(p + 1, end);
    }
    it->first = false;
    if (it->close == '}') {
        if (p == end || *p != '"' || (stop = string_end(p + 1, end)) == NULL) return -1;
        if (key) *key = (struct json_slice){p + 1, (size_t)(stop - p) - 2};
        p = space(stop, end);
        if (p == end || *p != ':') return -1;
        p = space(p + 1, end);
    }
    stop = value_end(p, end);
    if (stop == NULL || stop == p) return -1;
    *value = (struct json_slice){p, (size_t)(stop - p)};
    it->pos = stop;
    return 1;
}

bool json_find(struct json_slice text, const char *path, struct json_slice *value)
{
    while (*path) {
        size_t n = strcspn(path, ".");
        struct json_slice key;
        struct json_iter it;
        bool found = false;

        if (!json_enter(&it, text) || it.close != '}') return false;
        while (!found && json_next(&it, &key, value) == 1) found = key.len == n && memcmp(key.p, path, n) == 0;
        if (!found) return false;
        text = *value;
        path += n + (path[n] == '.');
    }
    *value = text;
    return true;
}

double json_number(struct json_slice value)
{
    char text[64];
    size_t n = value.len < sizeof(text) ? value.len : sizeof(text) - 1;

    memcpy(text, value.p, n);
    text[n] = '\0';
    return strtod(text, NULL);
}

long long json_int(struct json_slice value)
{
    char text[32];
    size_t n = value.len < sizeof(text) ? value.len : sizeof(text) - 1;

    memcpy(text, value.p, n);
    text[n] = '\0';
    return strtoll(text, NULL, 10);
}

static void utf8_put(struct buf *out, unsigned c)
{
    if (c < 0x80) {
        buf_putc(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_putc(out, (uint8_t)(0xc0 | c >> 6));
        buf_putc(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else { /* halves of surrogate pairs stay apart: nothing here looks at such text */
        buf_putc(out, (uint8_t)(0xe0 | c >> 12));
        buf_putc(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

bool json_text(struct buf *out, struct json_slice value)
{
    const char *p = value.p + 1, *end = value.p + value.len - 1;

    if (value.len < 2 || *value.p != '"' || *end != '"') return false;
    if (memchr(p, '\\', (size_t)(end - p)) == NULL) {
        buf_add(out, p, (size_t)(end - p));
        return true;
    }
    while (p < end) {
        char hex[5] = "";

        if (*p != '\\' || p + 1 == end) {
            buf_putc(out, (uint8_t)*p++);
            continue;
        }
        p += 2;
        switch (p[-1]) {
        case 'n': buf_putc(out, '\n'); break;
        case 't': buf_putc(out, '\t'); break;
        case 'r': buf_putc(out, '\r'); break;
        case 'b': buf_putc(out, '\b'); break;
        case 'f': buf_putc(out, '\f'); break;
        case 'u':
            if (end - p < 4) return false;
            memcpy(hex, p, 4);
            utf8_put(out, (unsigned)strtoul(hex, NULL, 16));
            p += 4;
            break;
        default: buf_putc(out, (uint8_t)p[-1]); break;
        }
    }
    return true;
}

void json_put(struct buf *out, const char *s)
{
    buf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') buf_putc(out, '\\');
        if ((uint8_t)*s < 0x20) {
            buf_printf(out, "\\u%04x", *s);
        } else {
            buf_putc(out, (uint8_t)*s);
        }
    }
    buf_putc(out, '"');
}
