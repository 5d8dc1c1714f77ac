/*
 * Collects what a lane says to gateways and publishes it; oim_downlink.h holds the contract, oim_downlink_write.c writes the bytes,
 * docs/records.md has the Redis keys.
 *
 * An item is kept in the arena until a flush knows the gateways of all its users; then it is written, in its turn, into the open packet
 * of each gateway concerned. A packet is one Downlink: it gets its number when it is opened and lives, bytes and number, until Redis has
 * taken it. Packets left by a flush that failed go before everything newer.
 *
 * The table of gateways is for ever: forgetting one would number from 1 again, and the gateway would take that for repeats.
 */
#include "oim_downlink_internal.h"

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_log.h"
#include "oim_redis.h"
#include "oim_wire.h"

#include "internal.pb-c.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PACKET_MAX (4u * 1024 * 1024)
#define PIPELINE_MAX (16u * 1024 * 1024)
#define PACKETS_KEPT 64 /* whose buffers are used again */
#define GRACE_MS 3000   /* after Redis came back: gateways have as long to subscribe again */

struct packet {
    struct gateway *gateway;
    struct oim_buf bytes;
    size_t n_items;
};

/* Open addressing by text; what it points to starts with the text's pointer. */
struct table {
    void **slots;
    size_t cap, n;
};

struct oim_downlink {
    char publisher[96];
    struct oim_arena *arena; /* items and users */
    struct item *items;
    size_t n_items, cap_items;
    struct packet *packets;
    size_t n_packets, cap_packets;
    struct table users, gateways;
    struct user **by_user; /* users in the order of their HKEYS */
    size_t n_by_user, cap_by_user;
    struct gateway **touched; /* scratch: gateways of one item; live gateways of one flush */
    size_t n_touched, cap_touched;
    struct gateway **live;
    size_t n_live, cap_live;
    uint64_t turn;
    bool ask; /* some item needs to know where users are */
    struct oim_buf scratch;
};

static void *grown(void *list, size_t *cap, size_t n, size_t size)
{
    size_t want = *cap ? *cap : 16;

    while (want < n) want *= 2;
    if (want == *cap) return list;
    list = realloc(list, want * size);
    if (list == NULL) {
        oim_log(OIM_LOG_ERROR, "out of memory", "bytes=%zu", want * size);
        abort();
    }
    memset((char *)list + *cap * size, 0, (want - *cap) * size);
    *cap = want;
    return list;
}

/* ---- tables ---- */

static uint64_t hash(const char *s)
{
    uint64_t h = 14695981039346656037u;

    for (; *s; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h ^ h >> 32;
}

/* The slot of the text, empty when it is not there. */
static void **table_slot(struct table *t, const char *key)
{
    if (t->n * 2 >= t->cap) {
        struct table old = *t;

        t->cap = 0;
        t->slots = grown(NULL, &t->cap, old.cap ? old.cap * 2 : 64, sizeof(*t->slots));
        for (size_t i = 0; i < old.cap; i++) {
            if (old.slots[i]) *table_slot(t, *(const char **)old.slots[i]) = old.slots[i];
        }
        free(old.slots);
    }
    for (size_t i = hash(key);; i++) {
        void **slot = &t->slots[i & (t->cap - 1)];

        if (*slot == NULL || strcmp(*(const char **)*slot, key) == 0) return slot;
    }
}

static struct gateway *gateway_get(struct oim_downlink *dl, const char *name)
{
    void **slot = table_slot(&dl->gateways, name);

    if (*slot == NULL) {
        struct gateway *gw = calloc(1, sizeof(*gw));

        if (gw) gw->name = strdup(name);
        if (gw == NULL || gw->name == NULL) {
            oim_log(OIM_LOG_ERROR, "out of memory", "bytes=%zu", sizeof(*gw));
            abort();
        }
        gw->packet = -1;
        dl->gateways.n++;
        *slot = gw;
    }
    return *slot;
}

static struct user *user_get(struct oim_downlink *dl, const char *id)
{
    void **slot = table_slot(&dl->users, id);

    if (*slot == NULL) {
        struct user *user = oim_arena_zalloc(dl->arena, sizeof(*user));

        user->id = oim_arena_strdup(dl->arena, id);
        dl->by_user = grown(dl->by_user, &dl->cap_by_user, dl->n_by_user + 1, sizeof(*dl->by_user));
        dl->by_user[dl->n_by_user++] = user;
        dl->users.n++;
        *slot = user;
    }
    return *slot;
}

static void items_forget(struct oim_downlink *dl)
{
    oim_arena_reset(dl->arena);
    dl->n_items = dl->n_by_user = 0;
    dl->ask = false;
    if (dl->users.cap > 65536) {
        free(dl->users.slots);
        dl->users = (struct table){0};
    } else if (dl->users.n) {
        memset(dl->users.slots, 0, dl->users.cap * sizeof(*dl->users.slots));
        dl->users.n = 0;
    }
}

/* ---- items ---- */

struct oim_downlink *oim_downlink_new(const char *publisher_prefix)
{
    struct oim_downlink *dl = calloc(1, sizeof(*dl));
    uint64_t random = 0;

    if (dl == NULL) return NULL;
    dl->arena = oim_arena_new(256 * 1024);
    if (dl->arena == NULL || getrandom(&random, sizeof(random), 0) != sizeof(random)) {
        oim_downlink_free(dl);
        return NULL;
    }
    snprintf(dl->publisher, sizeof(dl->publisher), "%.48s-%" PRIx64 "-%016" PRIx64, publisher_prefix, (uint64_t)oim_now_ms(), random);
    return dl;
}

void oim_downlink_free(struct oim_downlink *dl)
{
    if (dl == NULL) return;
    for (size_t i = 0; i < dl->gateways.cap; i++) {
        struct gateway *gw = dl->gateways.slots[i];

        if (gw == NULL) continue;
        free((char *)gw->name);
        free(gw->users);
        free(gw);
    }
    for (size_t i = 0; i < dl->cap_packets; i++) oim_buf_free(&dl->packets[i].bytes);
    free(dl->gateways.slots);
    free(dl->users.slots);
    free(dl->packets);
    free(dl->items);
    free(dl->by_user);
    free(dl->touched);
    free(dl->live);
    oim_buf_free(&dl->scratch);
    oim_arena_free(dl->arena);
    free(dl);
}

static struct item *item_add(struct oim_downlink *dl, enum kind kind, const char *gateway)
{
    struct item *item;

    dl->items = grown(dl->items, &dl->cap_items, dl->n_items + 1, sizeof(*dl->items));
    item = &dl->items[dl->n_items++];
    *item = (struct item){.kind = kind};
    if (gateway) {
        item->gateway = gateway_get(dl, gateway);
    } else {
        dl->ask = true;
    }
    return item;
}

static const char *text_dup(struct oim_downlink *dl, const char *s)
{
    return s && *s ? oim_arena_strdup(dl->arena, s) : "";
}

static const void *data_dup(struct oim_downlink *dl, const void *data, size_t len)
{
    return len ? memcpy(oim_arena_alloc(dl->arena, len), data, len) : NULL;
}

void oim_downlink_reply(struct oim_downlink *dl, const char *gateway, uint64_t request_id, int32_t code, const char *msg,
                        const uint8_t *data, size_t len, uint32_t flags)
{
    struct item *item;

    if (gateway == NULL || *gateway == '\0') return;
    item = item_add(dl, REPLY, gateway);
    item->request_id = request_id;
    item->code = code;
    item->msg = text_dup(dl, msg);
    item->data = data_dup(dl, data, len);
    item->len = len;
    item->flags = flags;
    item->content_type = "";
}

void oim_downlink_rest(struct oim_downlink *dl, const char *gateway, uint64_t request_id, int http_status, int32_t code,
                       const char *content_type, const uint8_t *body, size_t len)
{
    struct item *item;

    if (gateway == NULL || *gateway == '\0') return;
    item = item_add(dl, REPLY, gateway);
    item->request_id = request_id;
    item->http_status = http_status;
    item->code = code;
    item->msg = "";
    item->content_type = text_dup(dl, content_type);
    item->data = data_dup(dl, body, len);
    item->len = len;
}

void oim_downlink_push(struct oim_downlink *dl, const struct oim_downlink_push *push)
{
    struct item *item = item_add(dl, PUSH, NULL);

    item->push = *push;
    item->push.operation_id = text_dup(dl, push->operation_id);
    item->push.payload = data_dup(dl, push->payload, push->len);
    item->push.group_id = text_dup(dl, push->group_id);
    item->push.except_user_id = text_dup(dl, push->except_user_id);
    item->push.conversation_id = text_dup(dl, push->conversation_id);
    item->push.user_ids = NULL;
    item->users = push->n_users ? oim_arena_alloc(dl->arena, push->n_users * sizeof(*item->users)) : NULL;
    for (size_t i = 0; i < push->n_users; i++) item->users[i] = user_get(dl, push->user_ids[i]);
    item->n_users = push->n_users;
}

/* The one user that an item without a gateway is about. */
static void item_user(struct oim_downlink *dl, struct item *item, const char *user_id)
{
    item->users = oim_arena_alloc(dl->arena, sizeof(*item->users));
    item->users[0] = user_get(dl, user_id);
    item->n_users = 1;
}

void oim_downlink_groups(struct oim_downlink *dl, const char *gateway, const Openim__Internal__Groups *groups)
{
    size_t len = openim__internal__groups__get_packed_size(groups);
    uint8_t *packed = oim_arena_alloc(dl->arena, len + 1);
    struct item *item;

    if (gateway && *gateway == '\0') return;
    item = item_add(dl, GROUPS, gateway);
    item->len = openim__internal__groups__pack(groups, packed);
    item->data = packed;
    if (gateway == NULL) item_user(dl, item, groups->userid);
}

static struct item *kick_add(struct oim_downlink *dl, const char *gateway, const char *user_id, int platform_id)
{
    struct item *item = item_add(dl, KICK, gateway);

    item->push.operation_id = text_dup(dl, user_id);
    item->platform_id = platform_id;
    return item;
}

void oim_downlink_kick(struct oim_downlink *dl, const char *gateway, const char *user_id, int platform_id, const uint64_t *conn_ids,
                       size_t n)
{
    struct item *item;

    if (gateway == NULL || *gateway == '\0') return;
    item = kick_add(dl, gateway, user_id, platform_id);
    item->conn_ids = data_dup(dl, conn_ids, n * sizeof(*conn_ids));
    item->n_conns = n;
}

void oim_downlink_kick_user(struct oim_downlink *dl, const char *user_id, int platform_id)
{
    item_user(dl, kick_add(dl, NULL, user_id, platform_id), user_id);
}

size_t oim_downlink_pending(const struct oim_downlink *dl)
{
    size_t n = dl->n_items;

    for (size_t i = 0; i < dl->n_packets; i++) n += dl->packets[i].n_items;
    return n;
}

/* ---- packets ---- */

/* Sizes by writing to nowhere, then writes. */
static void append_header(struct oim_downlink *dl, struct packet *p)
{
    struct oim_wire_writer w = {0};

    for (int pass = 0; pass < 2; pass++) {
        if (pass) w = (struct oim_wire_writer){.data = oim_buf_extend(&p->bytes, w.len), .cap = w.len};
        oim_wire_varint(&w, DOWN_VERSION, 1);
        oim_wire_bytes(&w, DOWN_PUBLISHER, dl->publisher, strlen(dl->publisher));
        oim_wire_varint(&w, DOWN_NUMBER, p->gateway->number);
    }
}

static struct packet *packet_open(struct oim_downlink *dl, struct gateway *gw)
{
    struct packet *p;

    dl->packets = grown(dl->packets, &dl->cap_packets, dl->n_packets + 1, sizeof(*dl->packets));
    gw->packet = (int)dl->n_packets;
    gw->number++;
    p = &dl->packets[dl->n_packets++];
    p->gateway = gw;
    p->n_items = 0;
    oim_buf_reset(&p->bytes);
    append_header(dl, p);
    return p;
}

static void item_append(struct oim_downlink *dl, const struct item *item, struct gateway *gw)
{
    static const uint32_t numbers[] = {[REPLY] = DOWN_REPLY, [PUSH] = DOWN_PUSH, [KICK] = DOWN_KICK, [GROUPS] = DOWN_GROUPS};
    struct packet *p = gw->packet >= 0 ? &dl->packets[gw->packet] : NULL;
    struct oim_wire_writer w = {0};
    size_t size;

    oim_downlink_item(&w, item, gw);
    size = oim_wire_bytes_size(numbers[item->kind], w.len);
    if (p == NULL || (p->n_items && p->bytes.len + size > PACKET_MAX)) p = packet_open(dl, gw);

    struct oim_wire_writer out = {.data = oim_buf_extend(&p->bytes, size), .cap = size};

    oim_wire_head(&out, numbers[item->kind], w.len);
    oim_downlink_item(&out, item, gw);
    p->n_items++;
}

/* ---- flush ---- */

/* Where the users and which of the gateways are alive. *at: index of the first answer, behind those of the caller's commands. */
static int where_ask(struct oim_downlink *dl, struct oim_redis *rds, size_t *at)
{
    int err = oim_redis_add(rds, "ZRANGEBYSCORE oim:gateways %lld +inf", (long long)oim_now_ms());

    *at = oim_redis_count(rds) - 1;
    for (size_t i = 0; i < dl->n_by_user && err == OIM_OK; i++) err = oim_redis_add(rds, "HKEYS oim:conn:%s", dl->by_user[i]->id);
    return err;
}

/* A refusal that may pass (NOAUTH after a restart, MASTERDOWN, ...) keeps everything; a key of a foreign type counts as empty. */
static int list_check(const struct oim_redis_value *v, const char *key)
{
    if (v->type == OIM_REDIS_ARRAY) return OIM_OK;
    oim_log(OIM_LOG_WARN, "redis refuses to say where users are", "key=%s why=\"%.100s\"", key, v->str);
    return v->type == OIM_REDIS_ERROR && strncmp(v->str, "WRONGTYPE", 9) == 0 ? OIM_OK : OIM_EUNAVAIL;
}

static void user_gateways(struct oim_downlink *dl, struct user *user, const struct oim_redis_value *fields)
{
    user->n_gateways = 0;
    user->gateways = fields->elements ? oim_arena_alloc(dl->arena, fields->elements * sizeof(*user->gateways)) : NULL;
    for (size_t i = 0; i < fields->elements; i++) {
        struct oim_redis_value field = oim_redis_at(fields, i);
        const char *slash = strrchr(field.str, '/');
        struct gateway *gw;
        size_t j;

        if (slash == NULL) continue;
        oim_buf_reset(&dl->scratch);
        oim_buf_append(&dl->scratch, field.str, (size_t)(slash - field.str));
        oim_buf_putc(&dl->scratch, '\0');
        gw = *table_slot(&dl->gateways, (const char *)dl->scratch.data);
        if (gw == NULL || !gw->live) continue;
        for (j = 0; j < user->n_gateways && user->gateways[j] != gw; j++) continue;
        if (j == user->n_gateways) user->gateways[user->n_gateways++] = gw;
    }
}

static int where_read(struct oim_downlink *dl, struct oim_redis *rds, size_t at)
{
    struct oim_redis_value v = oim_redis_reply(rds, at);

    for (size_t i = 0; i < dl->n_live; i++) dl->live[i]->live = false;
    dl->n_live = 0;
    if (list_check(&v, "oim:gateways") != OIM_OK) return OIM_EUNAVAIL;
    for (size_t i = 0; i < v.elements; i++) {
        struct gateway *gw = gateway_get(dl, oim_redis_at(&v, i).str);

        dl->live = grown(dl->live, &dl->cap_live, dl->n_live + 1, sizeof(*dl->live));
        dl->live[dl->n_live++] = gw;
        gw->live = true;
    }
    for (size_t i = 0; i < dl->n_by_user; i++) {
        v = oim_redis_reply(rds, at + 1 + i);
        if (list_check(&v, "oim:conn") != OIM_OK) return OIM_EUNAVAIL;
        user_gateways(dl, dl->by_user[i], &v);
    }
    return OIM_OK;
}

static void touch(struct oim_downlink *dl, struct gateway *gw)
{
    if (gw->turn == dl->turn) return;
    gw->turn = dl->turn;
    gw->n_users = 0;
    dl->touched = grown(dl->touched, &dl->cap_touched, dl->n_touched + 1, sizeof(*dl->touched));
    dl->touched[dl->n_touched++] = gw;
}

/* Splits an item that goes by user into its gateways, in the order in which its users name them. A push to a group goes to every gateway
 * that lives, whether it has members or not: only they know. */
static void item_spread(struct oim_downlink *dl, const struct item *item)
{
    dl->turn++;
    dl->n_touched = 0;
    for (size_t i = 0; i < item->n_users; i++) {
        struct user *user = item->users[i];

        if (user->turn == dl->turn) continue;
        user->turn = dl->turn;
        for (size_t j = 0; j < user->n_gateways; j++) {
            struct gateway *gw = user->gateways[j];

            touch(dl, gw);
            gw->users = grown(gw->users, &gw->cap_users, gw->n_users + 1, sizeof(*gw->users));
            gw->users[gw->n_users++] = user->id;
        }
    }
    if (item->kind == PUSH && item->push.group_id[0]) {
        for (size_t i = 0; i < dl->n_live; i++) touch(dl, dl->live[i]);
    }
    for (size_t i = 0; i < dl->n_touched; i++) item_append(dl, item, dl->touched[i]);
}

static void packets_build(struct oim_downlink *dl)
{
    size_t from = dl->n_packets;

    for (size_t i = 0; i < dl->n_items; i++) {
        const struct item *item = &dl->items[i];

        if (item->gateway) {
            item_append(dl, item, item->gateway);
        } else {
            item_spread(dl, item);
        }
    }
    for (size_t i = from; i < dl->n_packets; i++) dl->packets[i].gateway->packet = -1;
}

/* Were the n packets whose replies begin at `at` all taken? A Redis that came back forgets who listened, and we may be faster than the
 * gateways: what nobody heard is said again for a while. Who heard it drops the repeat. */
static int publish_check(struct oim_downlink *dl, struct oim_redis *rds, size_t at, size_t n)
{
    bool grace = oim_redis_generation(rds) > 1 && oim_mono_ms() - oim_redis_connected_at(rds) < GRACE_MS;
    int err = OIM_OK;

    for (size_t i = 0; i < n; i++) {
        struct oim_redis_value v = oim_redis_reply(rds, at + i);
        struct gateway *gw = dl->packets[i].gateway;

        if (v.type != OIM_REDIS_INTEGER) {
            oim_log(OIM_LOG_WARN, "redis refuses to publish", "why=\"%.100s\"", v.str);
            return OIM_EUNAVAIL;
        }
        if (v.integer > 0) gw->heard = oim_redis_generation(rds);
        if (v.integer == 0 && grace && gw->heard && gw->heard != oim_redis_generation(rds)) err = OIM_EUNAVAIL;
    }
    return err;
}

static void packets_drop(struct oim_downlink *dl, size_t n)
{
    struct packet *p = dl->packets;

    /* the used buffers go behind the others */
    for (size_t i = 0; i < n; i++) {
        p[i].n_items = 0;
        if (dl->n_packets > PACKETS_KEPT) oim_buf_free(&p[i].bytes);
        oim_buf_reset(&p[i].bytes);
    }
    for (size_t i = n; i < dl->n_packets; i++) {
        struct packet used = p[i - n];

        p[i - n] = p[i];
        p[i] = used;
    }
    dl->n_packets -= n;
}

/* Publishes the packets in order, a bounded pipeline at a time. */
static int packets_publish(struct oim_downlink *dl, struct oim_redis *rds)
{
    while (dl->n_packets) {
        size_t at = 0, n = 0, bytes = 0;
        int err = OIM_OK;

        while (err == OIM_OK && n < dl->n_packets && (n == 0 || bytes + dl->packets[n].bytes.len <= PIPELINE_MAX)) {
            const struct packet *p = &dl->packets[n++];

            bytes += p->bytes.len;
            err = oim_redis_add(rds, "PUBLISH openim:gw:%s %b", p->gateway->name, p->bytes.data, p->bytes.len);
            if (n == 1) at = oim_redis_count(rds) - 1; /* the caller's own may be before it */
        }
        if (err == OIM_OK) err = oim_redis_run(rds);
        if (err == OIM_OK) err = publish_check(dl, rds, at, n);
        oim_redis_reset(rds);
        if (err != OIM_OK) return OIM_EUNAVAIL;
        packets_drop(dl, n);
    }
    return OIM_OK;
}

int oim_downlink_flush(struct oim_downlink *dl, struct oim_redis *rds)
{
    size_t at;

    if (dl->n_packets == 0 && dl->n_items == 0) return oim_redis_run(rds) == OIM_OK ? OIM_OK : OIM_EUNAVAIL;
    if (packets_publish(dl, rds) != OIM_OK) return OIM_EUNAVAIL;
    if (dl->ask) {
        if (where_ask(dl, rds, &at) != OIM_OK || oim_redis_run(rds) != OIM_OK || where_read(dl, rds, at) != OIM_OK) {
            oim_redis_reset(rds);
            return OIM_EUNAVAIL;
        }
        oim_redis_reset(rds);
    }
    packets_build(dl);
    items_forget(dl);
    return packets_publish(dl, rds);
}
