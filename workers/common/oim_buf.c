/*
 * Growing bytes; oim_buf.h holds the contract. Capacity doubles, so appending is linear over a buffer's life.
 */
#include "oim_buf.h"

#include "oim_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP (1024 * 1024)

void oim_buf_free(struct oim_buf *buf)
{
    free(buf->data);
    *buf = (struct oim_buf){0};
}

void oim_buf_reset(struct oim_buf *buf)
{
    if (buf->cap > KEEP) {
        oim_buf_free(buf);
    }
    buf->len = 0;
}

static void reserve(struct oim_buf *buf, size_t n)
{
    size_t need = buf->len + n, cap = buf->cap ? buf->cap : 256;
    uint8_t *data;

    if (need <= buf->cap) return;
    while (cap < need && cap <= SIZE_MAX / 2) cap *= 2;
    data = need < n || cap < need ? NULL : realloc(buf->data, cap);
    if (data == NULL) {
        oim_log(OIM_LOG_ERROR, "out of memory", "bytes=%zu", need);
        abort();
    }
    buf->data = data;
    buf->cap = cap;
}

void *oim_buf_extend(struct oim_buf *buf, size_t n)
{
    void *p;

    reserve(buf, n);
    p = buf->data + buf->len;
    buf->len += n;
    return p;
}

void oim_buf_append(struct oim_buf *buf, const void *data, size_t len)
{
    if (len) memcpy(oim_buf_extend(buf, len), data, len);
}

void oim_buf_puts(struct oim_buf *buf, const char *s)
{
    oim_buf_append(buf, s, strlen(s));
}

void oim_buf_putc(struct oim_buf *buf, char c)
{
    *(char *)oim_buf_extend(buf, 1) = c;
}

void oim_buf_printf(struct oim_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n > 0) {
        reserve(buf, (size_t)n + 1);
        vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}
