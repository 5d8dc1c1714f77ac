/*
 * Three tables per lane and a mailbox that the listening thread fills; logic_cache.h holds the contract. The mailbox is the only thing
 * that two threads touch. A table that is full is emptied: what is used comes back with the next query.
 */
#include "logic_cache.h"

#include "row_cache.h"

#include "oim_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ENTRIES 65536
#define MEMBERS 262144 /* of all groups */
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

struct member {
    UT_hash_handle hh;
    struct member *next; /* of its group */
    struct group *group;
    int role;
    int64_t mute_end;
    char key[]; /* group NUL user */
};

struct group {
    UT_hash_handle hh;
    struct member *members;
    int status;
    char id[];
};

struct logic_cache {
    struct user *users;
    struct relation *relations;
    struct group *groups;
    struct member *members;
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

static void group_drop(struct logic_cache *cache, struct group *g)
{
    struct member *m;

    while ((m = g->members)) {
        g->members = m->next;
        HASH_DEL(cache->members, m);
        free(m);
    }
    HASH_DEL(cache->groups, g);
    free(g);
}

static void groups_clear(struct logic_cache *cache)
{
    struct group *g, *next;

    HASH_ITER(hh, cache->groups, g, next) group_drop(cache, g);
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
    groups_clear(cache);
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

static void mail_all(const char *data, size_t len)
{
    pthread_mutex_lock(&registry_lock);
    for (struct logic_cache *c = registry; c; c = c->next) mail_put(c, data, len);
    pthread_mutex_unlock(&registry_lock);
}

static void heard(void *arg, const char *data, size_t len)
{
    mail_all(data, len);
    logic_row_cache_letter(data, len);
}

static void hearing(void *arg, bool on)
{
    mail_all(NULL, 0);
    logic_row_cache_hearing(on);
}

static void *listener(void *arg)
{
    struct oim_app *app = arg;

    oim_redis_subscribe(&app->conf, "oim:cache", &app->stop, &(struct oim_redis_ear){.message = heard, .hearing = hearing});
    return NULL;
}

int logic_cache_start(struct oim_app *app)
{
    pthread_t thread;

    logic_row_cache_start((size_t)app->conf.logic.row_cache_mb << 20);
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

static struct group *group_find(const struct logic_cache *cache, const char *id)
{
    struct group *g;

    HASH_FIND_STR(cache->groups, id, g);
    return g;
}

static void apply(struct logic_cache *cache, const char *mail)
{
    const char *id = strchr(mail, ':');

    if (id == NULL) return;
    id++;
    if (strncmp(mail, "user:", 5) == 0) {
        drop_user(cache, id);
    } else if (strncmp(mail, "group:", 6) == 0) {
        struct group *g = group_find(cache, id);

        if (g) group_drop(cache, g);
    } else {
        drop_relations(cache, id, strcspn(id, ":"));
    }
}

/* Each letter about relations walks all of them. */
static bool many_walks(const struct logic_cache *cache)
{
    size_t walks = 0;

    for (size_t i = 0; i < cache->n_mail && walks <= WALKS; i++) {
        walks += strncmp(cache->mail[i], "user:", 5) != 0 && strncmp(cache->mail[i], "group:", 6) != 0;
    }
    return walks > WALKS;
}

void logic_cache_turn(struct logic_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->drop_all) {
        users_clear(cache);
        relations_clear(cache);
        groups_clear(cache);
    }
    if (many_walks(cache)) relations_clear(cache);
    for (size_t i = 0; i < cache->n_mail; i++) {
        if (!cache->drop_all) apply(cache, cache->mail[i]);
        free(cache->mail[i]);
    }
    cache->n_mail = 0;
    cache->drop_all = false;
    pthread_mutex_unlock(&cache->lock);
    if (HASH_COUNT(cache->users) > ENTRIES) users_clear(cache);
    if (HASH_COUNT(cache->relations) > ENTRIES) relations_clear(cache);
    if (HASH_COUNT(cache->groups) > ENTRIES || HASH_COUNT(cache->members) > MEMBERS) groups_clear(cache);
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

static struct member *member_find(const struct logic_cache *cache, const char *group_id, const char *user_id)
{
    char key[2200];
    size_t len = pair_key(key, sizeof(key), group_id, user_id);
    struct member *m = NULL;

    if (len) HASH_FIND(hh, cache->members, key, len, m);
    return m;
}

bool logic_cache_member(const struct logic_cache *cache, const char *group_id, const char *user_id, struct logic_member *out)
{
    struct member *m = member_find(cache, group_id, user_id);

    if (m) *out = (struct logic_member){.status = m->group->status, .role = m->role, .mute_end = m->mute_end};
    return m != NULL;
}

static struct group *group_get(struct logic_cache *cache, const char *id)
{
    struct group *g = group_find(cache, id);
    size_t len = strlen(id) + 1;

    if (g) return g;
    g = calloc(1, sizeof(*g) + len);
    if (g == NULL) return NULL;
    memcpy(g->id, id, len);
    HASH_ADD_STR(cache->groups, id, g);
    return g;
}

/* A status that is newer than the members that are here comes with a letter that drops them. */
void logic_cache_put_member(struct logic_cache *cache, const char *group_id, const char *user_id, const struct logic_member *value)
{
    char key[2200];
    size_t len = pair_key(key, sizeof(key), group_id, user_id);
    struct member *m = member_find(cache, group_id, user_id);
    struct group *g = len ? group_get(cache, group_id) : NULL;

    if (g == NULL) return;
    g->status = value->status;
    if (m == NULL) {
        m = calloc(1, sizeof(*m) + len);
        if (m == NULL) return;
        memcpy(m->key, key, len);
        m->group = g;
        m->next = g->members;
        g->members = m;
        HASH_ADD_KEYPTR(hh, cache->members, m->key, len, m);
    }
    m->role = value->role;
    m->mute_end = value->mute_end;
}
