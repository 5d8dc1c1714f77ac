/*
 * Bytes to tokens. Every reader of REST bodies comes through here, so this file is where hostile input ends: depth and memory are
 * bounded, invalid UTF-8 and lone surrogates become U+FFFD as in Go, everything else that is not JSON is refused with a reason.
 * oim_json_lex.h holds the contract; oim_json_decode.c is the main user.
 */
#include "oim_json_lex.h"

#include "oim_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUDGET (64u * 1024 * 1024)

void oim_json_lex_init(struct oim_json_lex *l, struct oim_arena *a, const uint8_t *body, size_t len)
{
    *l = (struct oim_json_lex){.pos = body, .end = body + len, .arena = a, .budget = BUDGET};
}

bool oim_json_lex_fail(struct oim_json_lex *l, const char *fmt, ...)
{
    char text[256];
    va_list args;

    if (l->why) return false;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    l->why = oim_arena_strdup(l->arena, text);
    return false;
}

bool oim_json_lex_spend(struct oim_json_lex *l, size_t bytes)
{
    if (bytes > l->budget) return oim_json_lex_fail(l, "too many values");
    l->budget -= bytes;
    return true;
}

static bool unexpected(struct oim_json_lex *l, const char *where)
{
    if (l->pos >= l->end) return oim_json_lex_fail(l, "unexpected end of JSON input");
    if (*l->pos > 0x20 && *l->pos < 0x7f) return oim_json_lex_fail(l, "invalid character '%c' %s", *l->pos, where);
    return oim_json_lex_fail(l, "invalid character 0x%02x %s", *l->pos, where);
}

int oim_json_lex_peek(struct oim_json_lex *l)
{
    while (l->pos < l->end) {
        switch (*l->pos) {
        case ' ':
        case '\t':
        case '\r':
        case '\n': l->pos++; break;
        default: return *l->pos;
        }
    }
    return -1;
}

bool oim_json_lex_word(struct oim_json_lex *l, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(l->end - l->pos) < n || memcmp(l->pos, word, n) != 0) return unexpected(l, "in a literal");
    l->pos += n;
    return true;
}

bool oim_json_lex_end(struct oim_json_lex *l)
{
    return oim_json_lex_peek(l) < 0 || unexpected(l, "after top-level value");
}

size_t oim_json_utf8(const uint8_t *p, const uint8_t *end)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t n;

    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if ((size_t)(end - p) < n) return 0;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f; /* surrogates */
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) return 0;
    }
    return n;
}

/* The four digits of a \u escape, or -1. */
static int hex4(const uint8_t *p, const uint8_t *end)
{
    int v = 0;

    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i], d;

        if (c >= '0' && c <= '9') {
            d = c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            d = (c | 0x20) - 'a' + 10;
        } else {
            return -1;
        }
        v = v << 4 | d;
    }
    return v;
}

static char *put_rune(char *out, uint32_t r)
{
    if (r < 0x80) {
        *out++ = (char)r;
    } else if (r < 0x800) {
        *out++ = (char)(0xc0 | r >> 6);
        *out++ = (char)(0x80 | (r & 0x3f));
    } else if (r < 0x10000) {
        *out++ = (char)(0xe0 | r >> 12);
        *out++ = (char)(0x80 | (r >> 6 & 0x3f));
        *out++ = (char)(0x80 | (r & 0x3f));
    } else {
        *out++ = (char)(0xf0 | r >> 18);
        *out++ = (char)(0x80 | (r >> 12 & 0x3f));
        *out++ = (char)(0x80 | (r >> 6 & 0x3f));
        *out++ = (char)(0x80 | (r & 0x3f));
    }
    return out;
}

/* *p is behind "\u"; moves it. A half of a pair without its other half is U+FFFD. */
static uint32_t escaped_rune(const uint8_t **p, const uint8_t *end)
{
    uint32_t r = (uint32_t)hex4(*p, end);
    int low;

    *p += 4;
    if (r < 0xd800 || r > 0xdfff) return r;
    if (r < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        low = hex4(*p + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return 0x10000 + ((r - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
        }
    }
    return 0xfffd;
}

/* Finds the closing quote of the string at pos and checks its escapes. *clean: no escape and no byte above 0x7f; *high: how many bytes
 * above. Leaves pos behind the quote. */
static bool string_scan(struct oim_json_lex *l, bool *clean, size_t *high)
{
    const uint8_t *p = l->pos + 1;

    *clean = true;
    *high = 0;
    for (; p < l->end; p++) {
        if (*p == '"') {
            l->pos = p + 1;
            return true;
        }
        if (*p == '\\') {
            *clean = false;
            p++;
            if (p < l->end && *p == 'u' && hex4(p + 1, l->end) >= 0) {
                p += 4;
                continue;
            }
            l->pos = p < l->end ? p : l->end;
            if (p >= l->end || *p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) return unexpected(l, "in string escape code");
        } else if (*p < 0x20) {
            l->pos = p;
            return unexpected(l, "in string literal");
        } else if (*p >= 0x80) {
            *clean = false;
            ++*high;
        }
    }
    l->pos = l->end;
    return unexpected(l, "");
}

/* Writes the text between the quotes, already checked by string_scan. */
static char *string_unquote(char *out, const uint8_t *p, const uint8_t *end)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";

    while (p < end) {
        size_t n;

        if (*p == '\\') {
            const char *name;

            if (p[1] == 'u') {
                p += 2;
                out = put_rune(out, escaped_rune(&p, end));
                continue;
            }
            name = strchr(names, p[1]);
            *out++ = name ? values[name - names] : (char)p[1];
            p += 2;
            continue;
        }
        n = oim_json_utf8(p, end);
        if (n == 0) {
            out = put_rune(out, 0xfffd);
            p++;
            continue;
        }
        memcpy(out, p, n);
        out += n;
        p += n;
    }
    return out;
}

bool oim_json_lex_string(struct oim_json_lex *l, const char **s, size_t *len)
{
    const uint8_t *start = l->pos + 1;
    bool clean;
    size_t high, raw;
    char *out;

    if (l->pos >= l->end || *l->pos != '"') return unexpected(l, "looking for a string");
    if (!string_scan(l, &clean, &high)) return false;
    raw = (size_t)(l->pos - 1 - start);
    if (!oim_json_lex_spend(l, clean ? 0 : 2 * high)) return false;
    if (clean) {
        *s = oim_arena_strndup(l->arena, (const char *)start, raw);
        *len = raw;
        return true;
    }
    out = oim_arena_alloc(l->arena, raw + 2 * high + 1); /* an invalid byte becomes three; escapes only shrink */
    *s = out;
    out = string_unquote(out, start, start + raw);
    *out = '\0';
    *len = (size_t)(out - *s);
    return true;
}

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

bool oim_json_lex_number(struct oim_json_lex *l, struct oim_json_number *n)
{
    const uint8_t *p = l->pos, *from;

    n->text = (const char *)l->pos;
    n->integer = true;
    if (p < l->end && *p == '-') p++;
    from = p;
    p = digits(p, l->end);
    if (p == from) {
        l->pos = p;
        return unexpected(l, "in numeric literal");
    }
    if (*from == '0' && p - from > 1) {
        l->pos = from + 1;
        return unexpected(l, "after a leading zero");
    }
    for (int part = 0; part < 2 && p < l->end; part++) {
        if (part == 0 ? *p != '.' : (*p | 0x20) != 'e') continue;
        n->integer = false;
        p++;
        if (part == 1 && p < l->end && (*p == '+' || *p == '-')) p++;
        from = p;
        p = digits(p, l->end);
        if (p == from) {
            l->pos = p;
            return unexpected(l, part == 0 ? "after decimal point in numeric literal" : "in exponent of numeric literal");
        }
    }
    l->pos = p;
    n->len = (size_t)((const char *)p - n->text);
    return true;
}

bool oim_json_lex_enter(struct oim_json_lex *l)
{
    if (++l->depth > OIM_JSON_DEPTH) return oim_json_lex_fail(l, "exceeded max depth");
    l->pos++;
    return true;
}

int oim_json_lex_more(struct oim_json_lex *l, char close, bool *first)
{
    int c = oim_json_lex_peek(l);

    if (c == close) {
        l->pos++;
        l->depth--;
        return 0;
    }
    if (*first) {
        *first = false;
        return 1;
    }
    if (c != ',') {
        unexpected(l, close == '}' ? "after object key:value pair" : "after array element");
        return -1;
    }
    l->pos++;
    return 1;
}

bool oim_json_lex_key(struct oim_json_lex *l, const char **s, size_t *len)
{
    const uint8_t *start;
    bool clean;
    size_t high;

    if (oim_json_lex_peek(l) != '"') return unexpected(l, "looking for beginning of object key string");
    start = l->pos + 1;
    if (!string_scan(l, &clean, &high)) return false;
    *s = (const char *)start;
    *len = (size_t)(l->pos - 1 - start);
    if (!clean) {
        l->pos = start - 1;
        if (!oim_json_lex_string(l, s, len)) return false;
    }
    if (oim_json_lex_peek(l) != ':') return unexpected(l, "after object key");
    l->pos++;
    return true;
}

static bool skip_container(struct oim_json_lex *l, char close)
{
    bool first = true, clean;
    size_t high;
    int more;

    if (!oim_json_lex_enter(l)) return false;
    while ((more = oim_json_lex_more(l, close, &first)) > 0) {
        if (close == '}') {
            if (oim_json_lex_peek(l) != '"') return unexpected(l, "looking for beginning of object key string");
            if (!string_scan(l, &clean, &high)) return false;
            if (oim_json_lex_peek(l) != ':') return unexpected(l, "after object key");
            l->pos++;
        }
        if (!oim_json_lex_skip(l)) return false;
    }
    return more == 0;
}

bool oim_json_lex_skip(struct oim_json_lex *l)
{
    struct oim_json_number number;
    bool clean;
    size_t high;

    switch (oim_json_lex_peek(l)) {
    case '{': return skip_container(l, '}');
    case '[': return skip_container(l, ']');
    case '"': return string_scan(l, &clean, &high);
    case 'n': return oim_json_lex_word(l, "null");
    case 't': return oim_json_lex_word(l, "true");
    case 'f': return oim_json_lex_word(l, "false");
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
    case '9': return oim_json_lex_number(l, &number);
    default: return unexpected(l, "looking for beginning of value");
    }
}

static int fold_next(const char **p, const char *end)
{
    const uint8_t *s = (const uint8_t *)*p;
    size_t left = (size_t)(end - *p);

    if (left >= 2 && s[0] == 0xc5 && s[1] == 0xbf) {
        *p += 2;
        return 's';
    }
    if (left >= 3 && s[0] == 0xe2 && s[1] == 0x84 && s[2] == 0xaa) {
        *p += 3;
        return 'k';
    }
    ++*p;
    return s[0] >= 'A' && s[0] <= 'Z' ? s[0] | 0x20 : s[0];
}

bool oim_json_fold_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const char *a_end = a + a_len, *b_end = b + b_len;

    while (a < a_end && b < b_end) {
        if (fold_next(&a, a_end) != fold_next(&b, b_end)) return false;
    }
    return a == a_end && b == b_end;
}
