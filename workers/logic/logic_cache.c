/*
 * Two tables per lane and a mailbox that the listening thread fills; logic_cache.h holds the contract. The mailbox is the only thing
 * that two threads touch. A table that is full is emptied: what is used comes back with the next query.
 */
#include "logic_cache.h"

#include "oim_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ENTRIES 65536
#define MAIL 4096 /* ids; more: drop everything */
#define WALKS 16  /* more letters than this in one turn: drop all relations */

struct user {
    UT_hash_handle hh;
    struct logic_user value;
    char id[];
};

struct relation {
    UT_hash_handle hh;
    struct logic_relation value;
    size_t owner_len;
    char key[]; /* owner NUL other */
};

struct logic_cache {
    struct user *users;
    struct relation *relations;
    pthread_mutex_t lock;
    char *mail[MAIL]; /* "kind:id" */
    size_t n_mail;
    bool drop_all;
    struct logic_cache *next;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct logic_cache *registry;

struct logic_cache *logic_cache_new(void)
{
    struct logic_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL) return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_mutex_lock(&registry_lock);
    cache->next = registry;
    registry = cache;
    pthread_mutex_unlock(&registry_lock);
    return cache;
}

static void users_clear(struct logic_cache *cache)
{
    struct user *u, *next;

    HASH_ITER(hh, cache->users, u, next)
    {
        HASH_DEL(cache->users, u);
        free(u);
    }
}

static void relations_clear(struct logic_cache *cache)
{
    struct relation *r, *next;

    HASH_ITER(hh, cache->relations, r, next)
    {
        HASH_DEL(cache->relations, r);
        free(r);
    }
}

void logic_cache_free(struct logic_cache *cache)
{
    if (cache == NULL) return;
    pthread_mutex_lock(&registry_lock);
    for (struct logic_cache **p = &registry; *p; p = &(*p)->next) {
        if (*p != cache) continue;
        *p = cache->next;
        break;
    }
    pthread_mutex_unlock(&registry_lock);
    users_clear(cache);
    relations_clear(cache);
    for (size_t i = 0; i < cache->n_mail; i++) free(cache->mail[i]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* ---- the listening thread ---- */

static void mail_put(struct logic_cache *cache, const char *data, size_t len)
{
    pthread_mutex_lock(&cache->lock);
    if (data == NULL || cache->n_mail == MAIL || (cache->mail[cache->n_mail] = strndup(data, len)) == NULL) {
        cache->drop_all = true;
    } else {
        cache->n_mail++;
    }
    pthread_mutex_unlock(&cache->lock);
}

static void heard(void *arg, const char *data, size_t len)
{
    pthread_mutex_lock(&registry_lock);
    for (struct logic_cache *c = registry; c; c = c->next) mail_put(c, data, len);
    pthread_mutex_unlock(&registry_lock);
}

static void *listener(void *arg)
{
    struct oim_app *app = arg;

    oim_redis_subscribe(&app->conf, "oim:cache", &app->stop, heard, NULL);
    return NULL;
}

int logic_cache_start(struct oim_app *app)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, listener, app)) return OIM_EFATAL;
    pthread_detach(thread);
    return OIM_OK;
}

/* ---- the lane ---- */

static void drop_user(struct logic_cache *cache, const char *id)
{
    struct user *u;

    HASH_FIND_STR(cache->users, id, u);
    if (u == NULL) return;
    HASH_DEL(cache->users, u);
    free(u);
}

static void drop_relations(struct logic_cache *cache, const char *owner, size_t len)
{
    struct relation *r, *next;

    HASH_ITER(hh, cache->relations, r, next)
    {
        if (r->owner_len != len || memcmp(r->key, owner, len) != 0) continue;
        HASH_DEL(cache->relations, r);
        free(r);
    }
}

static void apply(struct logic_cache *cache, const char *mail)
{
    const char *id = strchr(mail, ':');

    if (id == NULL) return;
    id++;
    if (strncmp(mail, "user:", 5) == 0) {
        drop_user(cache, id);
    } else {
        drop_relations(cache, id, strcspn(id, ":"));
    }
}

void logic_cache_turn(struct logic_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->drop_all) {
        users_clear(cache);
        relations_clear(cache);
    }
    /* each letter about relations walks all of them */
    if (cache->n_mail > WALKS) relations_clear(cache);
    for (size_t i = 0; i < cache->n_mail; i++) {
        if (!cache->drop_all) apply(cache, cache->mail[i]);
        free(cache->mail[i]);
    }
    cache->n_mail = 0;
    cache->drop_all = false;
    pthread_mutex_unlock(&cache->lock);
    if (HASH_COUNT(cache->users) > ENTRIES) users_clear(cache);
    if (HASH_COUNT(cache->relations) > ENTRIES) relations_clear(cache);
}

const struct logic_user *logic_cache_user(const struct logic_cache *cache, const char *id)
{
    struct user *u;

    HASH_FIND_STR(cache->users, id, u);
    return u ? &u->value : NULL;
}

void logic_cache_put_user(struct logic_cache *cache, const char *id, const struct logic_user *value)
{
    size_t len = strlen(id) + 1;
    struct user *u;

    if (logic_cache_user(cache, id)) return;
    u = malloc(sizeof(*u) + len);
    if (u == NULL) return;
    u->value = *value;
    memcpy(u->id, id, len);
    HASH_ADD_STR(cache->users, id, u);
}

/* Key in buf; its length, 0: too long to be a pair of users. */
static size_t pair_key(char *buf, size_t size, const char *owner, const char *other)
{
    size_t a = strlen(owner), b = strlen(other);

    if (a + b + 1 > size) return 0;
    memcpy(buf, owner, a + 1);
    memcpy(buf + a + 1, other, b);
    return a + 1 + b;
}

const struct logic_relation *logic_cache_relation(const struct logic_cache *cache, const char *owner, const char *other)
{
    char key[2200];
    size_t len = pair_key(key, sizeof(key), owner, other);
    struct relation *r = NULL;

    if (len) HASH_FIND(hh, cache->relations, key, len, r);
    return r ? &r->value : NULL;
}

void logic_cache_put_relation(struct logic_cache *cache, const char *owner, const char *other, const struct logic_relation *value)
{
    char key[2200];
    size_t len = pair_key(key, sizeof(key), owner, other);
    struct relation *r;

    if (len == 0 || logic_cache_relation(cache, owner, other)) return;
    r = malloc(sizeof(*r) + len);
    if (r == NULL) return;
    r->value = *value;
    r->owner_len = strlen(owner);
    memcpy(r->key, key, len);
    HASH_ADD_KEYPTR(hh, cache->relations, r->key, len, r);
}

int logic_cache_invalidate(struct logic_lane *lane, const char *kind, const char *id)
{
    int err = oim_redis_add(lane->rds, "PUBLISH oim:cache %s:%s", kind, id);

    if (err == OIM_OK) err = oim_redis_run(lane->rds);
    oim_redis_reset(lane->rds);
    return err;
}
