/*
 * A growing byte buffer and the two clocks of the bench programs. No memory ends the program: a load generator has nothing to save.
 */
#ifndef BENCH_BUF_H
#define BENCH_BUF_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct buf {
    uint8_t *data;
    size_t len, cap;
};

static inline void *buf_extend(struct buf *b, size_t n)
{
    void *at;

    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 256;

        while (cap - b->len < n) cap *= 2;
        b->data = realloc(b->data, cap);
        if (b->data == NULL) {
            fputs("out of memory\n", stderr);
            exit(1);
        }
        b->cap = cap;
    }
    at = b->data + b->len;
    b->len += n;
    return at;
}

static inline void buf_add(struct buf *b, const void *data, size_t len)
{
    if (len) memcpy(buf_extend(b, len), data, len);
}

static inline void buf_puts(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void buf_putc(struct buf *b, uint8_t c)
{
    *(uint8_t *)buf_extend(b, 1) = c;
}

/* What is longer than 4 KiB is cut. */
__attribute__((format(printf, 2, 3), nonnull(2))) static inline void buf_printf(struct buf *b, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_add(b, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static inline void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

/* Removes the first n bytes. */
static inline void buf_shift(struct buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline uint64_t mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline int64_t wall_ms(void)
{
    return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000000);
}

#endif
