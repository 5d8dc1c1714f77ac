/*
 * One table and one list from the longest unused row to the newest, under one lock that is held for looking and copying alone; row_cache.h
 * holds the contract. A row is stored packed beside the stamp that it was read under. A letter raises the stamp of all ids that share its
 * slot: what was read before, or is being read meanwhile, counts no more and leaves as unused.
 */
#include "row_cache.h"

#include "oim_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define SLOTS 4096
#define KEY_MAX 600 /* two ids */
#define ROW_SHARE 64 /* a row takes at most this part of all bytes */

struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next;
    uint64_t stamp;
    size_t key_len, len;
    uint8_t bytes[]; /* key, then row */
};

struct key {
    size_t len; /* 0: too long to be kept */
    uint8_t bytes[KEY_MAX];
};

static struct {
    pthread_mutex_t lock;
    struct entry *table, *oldest;
    size_t bytes, limit;
    uint64_t slots[SLOTS]; /* grow with letters */
    bool hearing;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- letters ---- */

static uint64_t *slot_of(const char *id, size_t len)
{
    unsigned hash;

    HASH_JEN(id, len, hash);
    return &cache.slots[hash % SLOTS];
}

void logic_row_cache_start(size_t bytes)
{
    cache.limit = bytes;
}

void logic_row_cache_hearing(bool on)
{
    pthread_mutex_lock(&cache.lock);
    for (size_t i = 0; i < SLOTS; i++) cache.slots[i]++;
    cache.hearing = on;
    pthread_mutex_unlock(&cache.lock);
}

void logic_row_cache_letter(const char *letter, size_t len)
{
    static const char user[] = "user:";
    const size_t head = sizeof(user) - 1;

    if (len < head || memcmp(letter, user, head) != 0) return;
    pthread_mutex_lock(&cache.lock);
    (*slot_of(letter + head, len - head))++;
    pthread_mutex_unlock(&cache.lock);
}

/* ---- rows ---- */

static void key_make(struct key *key, const struct logic_row_kind *kind, const char *scope, const char *id)
{
    size_t a = strlen(scope) + 1, b = strlen(id);

    key->len = 0;
    if (1 + a + b > KEY_MAX) return;
    key->bytes[0] = (uint8_t)kind->name;
    memcpy(key->bytes + 1, scope, a);
    memcpy(key->bytes + 1 + a, id, b);
    key->len = 1 + a + b;
}

static struct entry *entry_find(const struct key *key)
{
    struct entry *e = NULL;

    if (key->len) HASH_FIND(hh, cache.table, key->bytes, key->len, e);
    return e;
}

static size_t entry_size(const struct entry *e)
{
    return sizeof(*e) + e->key_len + e->len;
}

static void entry_free(struct entry *e)
{
    cache.bytes -= entry_size(e);
    DL_DELETE(cache.oldest, e);
    HASH_DEL(cache.table, e);
    free(e);
}

static void entry_add(const struct key *key, uint64_t stamp, const uint8_t *row, size_t len)
{
    struct entry *e = entry_find(key);

    if (e) entry_free(e);
    e = malloc(sizeof(*e) + key->len + len);
    if (e == NULL) return;
    e->stamp = stamp;
    e->key_len = key->len;
    e->len = len;
    memcpy(e->bytes, key->bytes, key->len);
    memcpy(e->bytes + key->len, row, len);
    HASH_ADD_KEYPTR(hh, cache.table, e->bytes, e->key_len, e);
    DL_APPEND(cache.oldest, e);
    cache.bytes += entry_size(e);
    while (cache.bytes > cache.limit) entry_free(cache.oldest);
}

/* ---- reading through ---- */

/* What one call asks for, row by row. */
struct wanted {
    uint64_t stamp; /* before the store is asked; 0: not to be kept */
    uint8_t *row;   /* packed, NULL: not here */
    size_t len;
};

static void find(struct oim_arena *a, const struct logic_row_kind *kind, const char *scope, uint64_t version, char *const *ids, size_t n,
                 struct wanted *wanted)
{
    struct key key;

    pthread_mutex_lock(&cache.lock);
    for (size_t i = 0; i < n; i++) {
        struct entry *e;

        key_make(&key, kind, scope, ids[i]);
        wanted[i].stamp = !kind->letters ? version : cache.hearing ? *slot_of(ids[i], strlen(ids[i])) + 1 : 0;
        e = wanted[i].stamp ? entry_find(&key) : NULL;
        if (e == NULL || e->stamp != wanted[i].stamp) continue;
        DL_DELETE(cache.oldest, e);
        DL_APPEND(cache.oldest, e);
        wanted[i].len = e->len;
        wanted[i].row = memcpy(oim_arena_alloc(a, e->len + 1), e->bytes + e->key_len, e->len);
    }
    pthread_mutex_unlock(&cache.lock);
}

static void keep(struct oim_arena *a, const struct logic_row_kind *kind, const char *scope, const char *id, uint64_t stamp,
                 const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    struct key key;
    uint8_t *row;

    key_make(&key, kind, scope, id);
    if (key.len == 0 || stamp == 0 || len > cache.limit / ROW_SHARE) return;
    row = oim_arena_alloc(a, len + 1);
    protobuf_c_message_pack(msg, row);
    pthread_mutex_lock(&cache.lock);
    if (!kind->letters || *slot_of(id, strlen(id)) + 1 == stamp) entry_add(&key, stamp, row, len);
    pthread_mutex_unlock(&cache.lock);
}

int logic_rows_get(struct logic_call *call, const struct logic_row_kind *kind, const char *scope, uint64_t version, char *const *ids,
                   size_t n, ProtobufCMessage **out)
{
    struct oim_arena *a = call->lane->arena;
    struct wanted *wanted;
    ProtobufCMessage **loaded;
    size_t *place, n_missing = 0;
    char **missing;
    int rc;

    if (call->change || cache.limit == 0 || (!kind->letters && version == 0)) return kind->load(call, scope, ids, n, out);
    wanted = logic_array(call, n, sizeof(*wanted));
    place = logic_array(call, n, sizeof(*place));
    missing = logic_list(call, n);
    find(a, kind, scope, version, ids, n, wanted);
    for (size_t i = 0; i < n; i++) {
        out[i] = wanted[i].row ? protobuf_c_message_unpack(kind->desc, oim_arena_pb(a), wanted[i].len, wanted[i].row) : NULL;
        if (out[i]) continue;
        place[n_missing] = i;
        missing[n_missing++] = ids[i];
    }
    if (n_missing == 0) return OIM_OK;
    loaded = logic_list(call, n_missing);
    rc = kind->load(call, scope, missing, n_missing, loaded);
    for (size_t k = 0; k < n_missing && rc == OIM_OK; k++) {
        out[place[k]] = loaded[k];
        if (loaded[k]) keep(a, kind, scope, missing[k], wanted[place[k]].stamp, loaded[k]);
    }
    return rc;
}
