/*
 * Memory of one record or one batch: allocate, never free, reset after it. The lane owns it.
 * An arena keeps its first chunk across resets and gives the rest back.
 */
#ifndef OIM_ARENA_H
#define OIM_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stddef.h>

struct oim_arena;

struct oim_arena *oim_arena_new(size_t chunk); /* NULL: no memory */
void oim_arena_free(struct oim_arena *arena);
void oim_arena_reset(struct oim_arena *arena);

/* Never NULL: running out of memory ends the process with a log line (a worker is restarted, its
 * record is not committed). 16-byte aligned; _zalloc is zeroed. */
void *oim_arena_alloc(struct oim_arena *arena, size_t size);
void *oim_arena_zalloc(struct oim_arena *arena, size_t size);
char *oim_arena_strdup(struct oim_arena *arena, const char *s);
char *oim_arena_strndup(struct oim_arena *arena, const char *s, size_t len); /* adds NUL */
char *oim_arena_printf(struct oim_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));
size_t oim_arena_used(const struct oim_arena *arena);

/* For protobuf_c unpack: free is a no-op. The pointer lives as long as the arena. */
ProtobufCAllocator *oim_arena_pb(struct oim_arena *arena);

#endif
