/* A JSON reader that looks at members without building a tree: what a client needs of envelopes and REST answers. Borrows the text. */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include "buf.h"

#include <stdbool.h>

struct json_slice {
    const char *p;
    size_t len;
};

struct json_iter {
    const char *pos, *end;
    char close;
    bool first;
};

/* Begins an object or an array; false if the text is neither. */
bool json_enter(struct json_iter *it, struct json_slice text);
/* The next member or element: 1, 0 at the end, -1 broken. key may be NULL for arrays. A string keeps its quotes. */
int json_next(struct json_iter *it, struct json_slice *key, struct json_slice *value);

/* Looks up "data.token". False if it is not there. */
bool json_find(struct json_slice text, const char *path, struct json_slice *value);
long long json_int(struct json_slice value);   /* 0 if it is none */
double json_number(struct json_slice value);
/* Appends the text of a string, escapes resolved; false if it is none. */
bool json_text(struct buf *out, struct json_slice value);
/* Appends s as a JSON string with its quotes. */
void json_put(struct buf *out, const char *s);

#endif
