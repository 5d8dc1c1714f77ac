/*
 * The scanner behind both JSON readers (oim_json_decode.c, oim_json_tree.c): strict RFC 8259 in Go's reading of it. Not for others;
 * they include oim_json.h.
 *
 * Functions return false after setting lex->why (the first reason stays). Texts are NUL-terminated copies in the arena.
 */
#ifndef OIM_JSON_LEX_H
#define OIM_JSON_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oim_arena;

#define OIM_JSON_DEPTH 64

struct oim_json_lex {
    const uint8_t *pos, *end;
    struct oim_arena *arena;
    const char *why;
    int depth;
    size_t budget; /* bytes that values may still take: `[{},{},...` costs a sender 3 bytes an object, us hundreds */
};

struct oim_json_number {
    const char *text; /* borrowed from the body */
    size_t len;
    bool integer; /* no fraction, no exponent */
};

void oim_json_lex_init(struct oim_json_lex *l, struct oim_arena *a, const uint8_t *body, size_t len);
bool oim_json_lex_fail(struct oim_json_lex *l, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* always false */
bool oim_json_lex_spend(struct oim_json_lex *l, size_t bytes);

/* First byte of the next value or token, white space skipped; -1 at the end. */
int oim_json_lex_peek(struct oim_json_lex *l);
bool oim_json_lex_word(struct oim_json_lex *l, const char *word); /* null, true, false */
bool oim_json_lex_string(struct oim_json_lex *l, const char **s, size_t *len);
bool oim_json_lex_number(struct oim_json_lex *l, struct oim_json_number *n);
bool oim_json_lex_skip(struct oim_json_lex *l); /* any value */
bool oim_json_lex_end(struct oim_json_lex *l);  /* nothing but white space follows */

/* A container: enter, then more until it gives 0 (closed) or -1 (broken), reading one member (key first in objects) each time. */
bool oim_json_lex_enter(struct oim_json_lex *l);
int oim_json_lex_more(struct oim_json_lex *l, char close, bool *first);
/* The key and its colon. The text is not NUL-terminated: it may lie in the body. */
bool oim_json_lex_key(struct oim_json_lex *l, const char **s, size_t *len);

/* Length 1..4 of the UTF-8 sequence at p, 0 if it is none (as Go's utf8.DecodeRune). p < end. */
size_t oim_json_utf8(const uint8_t *p, const uint8_t *end);
/* Whether two keys are equal without regard to case, Go's two foreign letters included (U+017F = s, U+212A = k). */
bool oim_json_fold_equal(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
