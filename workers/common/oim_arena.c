/*
 * A list of chunks, filled from the front. Small requests share a chunk; one larger than a chunk gets its own. reset keeps the
 * first chunk, so a lane in its stride allocates nothing. oim_arena.h holds the contract.
 */
#include "oim_arena.h"

#include "oim_log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(16) uint8_t data[];
};

struct oim_arena {
    struct chunk *first, *last;
    size_t chunk, total;
    ProtobufCAllocator pb;
};

static void out_of_memory(size_t size)
{
    oim_log(OIM_LOG_ERROR, "out of memory", "bytes=%zu", size);
    abort();
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = malloc(sizeof(*c) + size);

    if (c == NULL) return NULL;
    c->next = NULL;
    c->size = size;
    c->used = 0;
    return c;
}

static void *pb_alloc(void *arena, size_t size)
{
    return oim_arena_alloc(arena, size);
}

static void pb_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

struct oim_arena *oim_arena_new(size_t chunk)
{
    struct oim_arena *a = calloc(1, sizeof(*a));

    if (a == NULL) return NULL;
    a->chunk = chunk;
    a->first = a->last = chunk_new(chunk);
    if (a->first == NULL) {
        free(a);
        return NULL;
    }
    a->pb = (ProtobufCAllocator){.alloc = pb_alloc, .free = pb_free, .allocator_data = a};
    return a;
}

void oim_arena_free(struct oim_arena *arena)
{
    struct chunk *c, *next;

    if (arena == NULL) return;
    for (c = arena->first; c; c = next) {
        next = c->next;
        free(c);
    }
    free(arena);
}

void oim_arena_reset(struct oim_arena *arena)
{
    struct chunk *c, *next;

    for (c = arena->first->next; c; c = next) {
        next = c->next;
        free(c);
    }
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->last = arena->first;
    arena->total = 0;
}

void *oim_arena_alloc(struct oim_arena *arena, size_t size)
{
    struct chunk *c = arena->last;
    size_t need = (size + 15) & ~(size_t)15;
    void *p;

    if (need < size) out_of_memory(size);
    if (c->size - c->used < need) {
        c = chunk_new(need > arena->chunk ? need : arena->chunk);
        if (c == NULL) out_of_memory(size);
        arena->last->next = c;
        arena->last = c;
    }
    p = c->data + c->used;
    c->used += need;
    arena->total += need;
    return p;
}

void *oim_arena_zalloc(struct oim_arena *arena, size_t size)
{
    return memset(oim_arena_alloc(arena, size), 0, size);
}

char *oim_arena_strndup(struct oim_arena *arena, const char *s, size_t len)
{
    char *p = oim_arena_alloc(arena, len + 1);

    if (len) memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *oim_arena_strdup(struct oim_arena *arena, const char *s)
{
    return oim_arena_strndup(arena, s, strlen(s));
}

char *oim_arena_printf(struct oim_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    int n;
    char *p;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    p = oim_arena_alloc(arena, (size_t)(n < 0 ? 0 : n) + 1);
    if (n < 0) {
        p[0] = '\0';
    } else {
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return p;
}

size_t oim_arena_used(const struct oim_arena *arena)
{
    return arena->total;
}

ProtobufCAllocator *oim_arena_pb(struct oim_arena *arena)
{
    return &arena->pb;
}
