/*
 * A ring of entries in the order of their arrival and an open-addressed index into it. An index slot holds the entry's place in the ring
 * plus one; a removed key is closed up by moving its followers (no tombstones). Keys are digests: their first bytes are the hash.
 */
#include "msg_dedup.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 1024

struct msg_dedup {
    struct msg_dedup_entry *ring;
    uint32_t *index;
    size_t cap, bound; /* of the ring; the index has twice as many slots, a power of two */
    size_t first, count, mask;
};

static size_t power_of_two(size_t n)
{
    size_t p = SMALL;

    while (p < n) p *= 2;
    return p;
}

struct msg_dedup *msg_dedup_new(size_t bound)
{
    struct msg_dedup *d = calloc(1, sizeof(*d));

    if (d == NULL) return NULL;
    d->bound = power_of_two(bound);
    d->cap = SMALL;
    d->mask = 2 * SMALL - 1;
    d->ring = malloc(d->cap * sizeof(*d->ring));
    d->index = calloc(2 * d->cap, sizeof(*d->index));
    if (d->ring == NULL || d->index == NULL) {
        msg_dedup_free(d);
        return NULL;
    }
    return d;
}

void msg_dedup_free(struct msg_dedup *d)
{
    if (d == NULL) return;
    free(d->ring);
    free(d->index);
    free(d);
}

static size_t home(const struct msg_dedup *d, const uint8_t key[16])
{
    uint64_t h;

    memcpy(&h, key, sizeof(h));
    return (size_t)h & d->mask;
}

/* The slot that holds key, or the free one where it belongs. */
static size_t slot_of(const struct msg_dedup *d, const uint8_t key[16])
{
    size_t i = home(d, key);

    while (d->index[i] && memcmp(d->ring[d->index[i] - 1].key, key, 16) != 0) i = (i + 1) & d->mask;
    return i;
}

static void slot_remove(struct msg_dedup *d, size_t i)
{
    d->index[i] = 0;
    for (size_t j = (i + 1) & d->mask; d->index[j]; j = (j + 1) & d->mask) {
        size_t k = home(d, d->ring[d->index[j] - 1].key);

        if (((j - k) & d->mask) < ((j - i) & d->mask)) continue; /* its home is behind the hole */
        d->index[i] = d->index[j];
        d->index[j] = 0;
        i = j;
    }
}

/* Twice the room; 0: no memory, it stays as it is. */
static int grow(struct msg_dedup *d)
{
    size_t cap = d->cap * 2;
    struct msg_dedup_entry *ring = malloc(cap * sizeof(*ring));
    uint32_t *index = calloc(2 * cap, sizeof(*index));

    if (ring == NULL || index == NULL) {
        free(ring);
        free(index);
        return 0;
    }
    for (size_t i = 0; i < d->count; i++) ring[i] = d->ring[(d->first + i) % d->cap];
    free(d->ring);
    free(d->index);
    d->ring = ring;
    d->index = index;
    d->first = 0;
    d->cap = cap;
    d->mask = 2 * cap - 1;
    for (size_t i = 0; i < d->count; i++) d->index[slot_of(d, ring[i].key)] = (uint32_t)i + 1;
    return 1;
}

const struct msg_dedup_entry *msg_dedup_find(const struct msg_dedup *d, const uint8_t key[16])
{
    size_t i = slot_of(d, key);

    return d->index[i] ? &d->ring[d->index[i] - 1] : NULL;
}

void msg_dedup_add(struct msg_dedup *d, const struct msg_dedup_entry *entry)
{
    size_t place;

    if (msg_dedup_find(d, entry->key)) return;
    if (d->count == d->cap && (d->cap >= d->bound || !grow(d))) {
        slot_remove(d, slot_of(d, d->ring[d->first].key));
        d->first = (d->first + 1) % d->cap;
        d->count--;
    }
    place = (d->first + d->count++) % d->cap;
    d->ring[place] = *entry;
    d->index[slot_of(d, entry->key)] = (uint32_t)place + 1;
}

int64_t msg_dedup_oldest(const struct msg_dedup *d)
{
    return d->count ? d->ring[d->first].send_time : INT64_MAX;
}

size_t msg_dedup_count(const struct msg_dedup *d)
{
    return d->count;
}
