/*
 * A growing byte buffer, reused across records. data may be NULL while len is 0.
 * Appending never fails: no memory ends the process (see oim_arena.h).
 */
#ifndef OIM_BUF_H
#define OIM_BUF_H

#include <stddef.h>
#include <stdint.h>

struct oim_buf {
    uint8_t *data;
    size_t len, cap;
};

void oim_buf_free(struct oim_buf *buf);  /* also leaves it empty and usable */
void oim_buf_reset(struct oim_buf *buf); /* len = 0, keeps memory up to 1 MiB */
void *oim_buf_extend(struct oim_buf *buf, size_t n); /* room for n more bytes, counted in len */
void oim_buf_append(struct oim_buf *buf, const void *data, size_t len);
void oim_buf_puts(struct oim_buf *buf, const char *s);
void oim_buf_putc(struct oim_buf *buf, char c);
void oim_buf_printf(struct oim_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));

#endif
