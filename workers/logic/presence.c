/*
 * Who is connected, and what a new connection does to the older ones: online queries (gateway.md 8.4,
 * 5.5), logout (5.3), the login policy (6.3). Gateways keep oim:conn, oim:gateways and ONLINE
 * (docs/records.md); this file reads them. A connection on a gateway without heartbeat does not count.
 */
#include "token.h"

#include "msggateway.pb-c.h"
#include "oim_hash.h"
#include "oim_jwt.h"
#include "push.pb-c.h"
#include "user.pb-c.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUBSCRIBE_MAX 3000

/* ---- live connections ---- */

struct conn {
    char *gateway, *token;
    const char *field;
    uint64_t id;
    int platform;
    int64_t since; /* ms */
    bool background;
};

struct conns {
    struct conn *list;
    size_t n;
};

/* "<gateway>/<connID>" -> "<platformID>:<connected ms>:<background 0/1>:<token>" */
static bool conn_parse(struct oim_arena *a, const char *field, const char *value, struct conn *c)
{
    const char *slash = strrchr(field, '/');
    char *end;

    if (slash == NULL) return false;
    c->gateway = oim_arena_strndup(a, field, (size_t)(slash - field));
    c->field = oim_arena_strdup(a, field);
    c->id = strtoull(slash + 1, &end, 10);
    if (end == slash + 1 || *end) return false;
    c->platform = (int)strtol(value, &end, 10);
    if (*end != ':') return false;
    c->since = strtoll(end + 1, &end, 10);
    if (*end != ':') return false;
    c->background = end[1] == '1';
    end = strchr(end + 1, ':');
    if (end == NULL) return false;
    c->token = oim_arena_strdup(a, end + 1);
    return oim_platform_name(c->platform) != NULL;
}

static int conn_order(const void *x, const void *y)
{
    const struct conn *a = x, *b = y;

    if (a->platform != b->platform) return a->platform < b->platform ? -1 : 1;
    if (a->since != b->since) return a->since < b->since ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return strcmp(a->gateway, b->gateway);
}

/* The live connections of each user, ordered by platform, then age. One pipeline. */
static int conns_load(struct logic_call *call, char *const *users, size_t n, struct conns *out)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_redis *rds = call->lane->rds;
    struct oim_redis_value reply, field, value;
    struct logic_index *live;
    char **gateways;
    size_t n_gateways = 0;
    int rc;

    oim_redis_reset(rds);
    oim_redis_add(rds, "ZRANGEBYSCORE oim:gateways %lld +inf", (long long)oim_now_ms());
    for (size_t i = 0; i < n; i++) oim_redis_add(rds, "HGETALL oim:conn:%s", users[i]);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    reply = oim_redis_reply(rds, 0);
    gateways = logic_list(call, reply.elements);
    for (size_t i = 0; i < reply.elements; i++) {
        field = oim_redis_at(&reply, i);
        if (field.type == OIM_REDIS_STRING) gateways[n_gateways++] = oim_arena_strndup(a, field.str, field.len);
    }
    live = logic_index_new(a, gateways, n_gateways);
    for (size_t i = 0; i < n; i++) {
        reply = oim_redis_reply(rds, i + 1);
        out[i].n = 0;
        out[i].list = logic_array(call, reply.elements / 2, sizeof(struct conn));
        for (size_t j = 0; j + 1 < reply.elements; j += 2) {
            struct conn c = {0};

            field = oim_redis_at(&reply, j);
            value = oim_redis_at(&reply, j + 1);
            if (field.type != OIM_REDIS_STRING || value.type != OIM_REDIS_STRING) continue;
            if (!conn_parse(a, field.str, value.str, &c) || logic_index_find(live, c.gateway) == SIZE_MAX) continue;
            out[i].list[out[i].n++] = c;
        }
        qsort(out[i].list, out[i].n, sizeof(struct conn), conn_order);
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

int logic_online(struct logic_call *call, char *const *users, size_t n, bool *online)
{
    struct conns *conns = logic_array(call, n, sizeof(*conns));
    int rc = n ? conns_load(call, users, n, conns) : OIM_OK;

    for (size_t i = 0; i < n; i++) online[i] = rc == OIM_OK && conns[i].n > 0;
    return rc;
}

/* ---- login policy ---- */

static bool is_pc(int platform)
{
    return oim_platform_class(platform) == oim_platform_class(3);
}

/* Connected before the new one: by time, then by number, so that of two exactly one gives way. */
static bool is_older(const struct conn *c, const struct conn *fresh)
{
    if (c->since != fresh->since) return c->since < fresh->since;
    if (c->id != fresh->id) return c->id < fresh->id;
    return strcmp(c->gateway, fresh->gateway) < 0;
}

/* Whom the new connection replaces if the tokens differ. */
static bool is_rival(int policy, const struct conn *c, const struct conn *fresh)
{
    switch (policy) {
    case 1:
        return c->platform == fresh->platform;
    case 4:
        return oim_platform_class(c->platform) == oim_platform_class(fresh->platform);
    case 5:
        return !is_pc(fresh->platform) && !is_pc(c->platform);
    default:
        return false;
    }
}

/* The new connection as the registry shows it, or as the event tells it when it is not (or no longer) there. */
static struct conn fresh_of(struct logic_call *call, const struct conns *all)
{
    const Openim__Internal__Uplink *up = call->up;
    struct conn fresh = {.gateway = up->gateway, .id = up->connid, .platform = up->platformid, .since = up->receivedat};

    for (size_t i = 0; i < all->n; i++) {
        const struct conn *c = &all->list[i];

        if (c->id == up->connid && strcmp(c->gateway, up->gateway) == 0) fresh.since = c->since;
    }
    fresh.token = up->token;
    return fresh;
}

int logic_login_policy(struct logic_call *call)
{
    const Openim__Internal__Uplink *up = call->up;
    int policy = call->lane->app->conf.token.multi_login_policy, rc;
    char *user_id = up->userid, *one;
    bool existed = false, replaced = false;
    struct conns all;
    struct conn fresh;

    rc = conns_load(call, &user_id, 1, &all);
    if (rc) return rc;
    fresh = fresh_of(call, &all);
    for (size_t i = 0; rc == OIM_OK && i < all.n; i++) {
        const struct conn *c = &all.list[i];

        if (c->id == fresh.id && strcmp(c->gateway, fresh.gateway) == 0) continue;
        if (!is_rival(policy, c, &fresh)) continue;
        if (!is_older(c, &fresh)) {
            /* a newer login settles the tokens when its turn comes */
            replaced = replaced || strcmp(c->token, fresh.token) != 0;
            continue;
        }
        existed = true;
        if (strcmp(c->token, fresh.token) == 0) continue; /* a twin, never kicked */
        oim_downlink_kick(call->lane->down, c->gateway, user_id, c->platform, &c->id, 1);
        one = c->token;
        if (policy == 4) rc = logic_token_kick(call, user_id, c->platform, &one, 1);
    }
    if (rc || !existed || replaced || (policy != 1 && policy != 5)) return rc;
    return logic_token_invalidate(call, user_id, fresh.platform, fresh.token);
}

/* ---- 2003 ---- */

/* The connection's own push token, whatever the request names (gateway.md 10). */
static int logout(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Push__DelUserPushTokenReq *req = (const void *)req_;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (oim_platform_name(req->platformid) == NULL) return logic_args(call, "platformID is invalid");
    oim_redis_reset(call->lane->rds);
    oim_redis_add(call->lane->rds, "DEL FCM_TOKEN:%s:%d", call->up->userid, call->up->platformid);
    return oim_redis_run(call->lane->rds);
}

/* ---- platforms online ---- */

struct platforms {
    int32_t *ids; /* ascending */
    size_t n;
};

static int int_order(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* One pipeline. */
static int platforms_load(struct logic_call *call, char *const *users, size_t n, struct platforms *out)
{
    struct oim_redis *rds = call->lane->rds;
    int rc;

    if (n == 0) return OIM_OK;
    oim_redis_reset(rds);
    for (size_t i = 0; i < n; i++) {
        oim_redis_add(rds, "ZRANGEBYSCORE ONLINE:%s %lld +inf", users[i], (long long)(oim_now_ms() / 1000));
    }
    rc = oim_redis_run(rds);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        struct oim_redis_value list = oim_redis_reply(rds, i);

        out[i].n = 0;
        out[i].ids = logic_array(call, list.elements, sizeof(int32_t));
        for (size_t j = 0; j < list.elements; j++) {
            struct oim_redis_value member = oim_redis_at(&list, j);

            if (member.type == OIM_REDIS_STRING) out[i].ids[out[i].n++] = (int32_t)atoi(member.str);
        }
        qsort(out[i].ids, out[i].n, sizeof(int32_t), int_order);
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

/* 2005: what the gateway's subscriber is told now; the gateway keeps the subscription itself. */
static int subscribe(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Sdkws__SubUserOnlineStatus *req = (const void *)req_;
    Openim__Sdkws__SubUserOnlineStatusTips *res = (void *)res_;
    size_t n = req->n_subscribeuserid;
    struct platforms *platforms = logic_array(call, n, sizeof(*platforms));
    int rc;

    if (n > SUBSCRIBE_MAX) return logic_args(call, "subscribeUserID has more than %d entries", SUBSCRIBE_MAX);
    rc = platforms_load(call, req->subscribeuserid, n, platforms);
    if (rc) return rc;
    res->subscribers = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Sdkws__SubUserOnlineStatusElem *e = logic_new(call, &openim__sdkws__sub_user_online_status_elem__descriptor);

        e->userid = req->subscribeuserid[i];
        e->onlineplatformids = platforms[i].ids;
        e->n_onlineplatformids = platforms[i].n;
        res->subscribers[res->n_subscribers++] = e;
    }
    return OIM_OK;
}

static int get_users_status(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__GetUserStatusReq *req = (const void *)req_;
    Openim__User__GetUserStatusResp *res = (void *)res_;
    struct platforms *platforms = logic_array(call, req->n_userids, sizeof(*platforms));
    int rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);

    if (rc == OIM_OK) rc = platforms_load(call, req->userids, req->n_userids, platforms);
    if (rc) return rc;
    res->statuslist = logic_list(call, req->n_userids);
    for (size_t i = 0; i < req->n_userids; i++) {
        Openim__User__OnlineStatus *s = logic_new(call, &openim__user__online_status__descriptor);

        s->userid = req->userids[i];
        s->status = platforms[i].n > 0;
        s->platformids = platforms[i].ids;
        s->n_platformids = platforms[i].n;
        res->statuslist[res->n_statuslist++] = s;
    }
    return OIM_OK;
}

/* Subscriptions live on connections; these old routes answer as the reference does (rest.md B.2). */
static int subscribe_users_status(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__SubscribeOrCancelUsersStatusReq *req = (const void *)req_;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (req->genre != 1 && req->genre != 2) return logic_args(call, "genre is invalid");
    return logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);
}

static int get_subscribe_users_status(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__GetSubscribeUsersStatusReq *req = (const void *)req_;

    return req->userid[0] ? OIM_OK : logic_args(call, "userID is empty");
}

/* ---- connections, for administrators: the data is a bare list ---- */

static void list_add(struct logic_call *call, const ProtobufCMessage *item)
{
    oim_buf_putc(call->res_json, call->res_json->len ? ',' : '[');
    oim_json_encode(call->res_json, item);
}

static void list_end(struct logic_call *call)
{
    call->bare = true;
    oim_buf_puts(call->res_json, call->res_json->len ? "]" : "null");
}

static int get_users_online_status(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msggateway__GetUsersOnlineStatusReq *req = (const void *)req_;
    struct conns *conns = logic_array(call, req->n_userids, sizeof(*conns));
    int rc = logic_admin(call);

    if (rc == OIM_OK && req->n_userids) rc = logic_check_ids(call, "userIDs", req->userids, req->n_userids, false);
    if (rc == OIM_OK) rc = conns_load(call, req->userids, req->n_userids, conns);
    if (rc) return rc;
    for (size_t i = 0; i < req->n_userids; i++) {
        Openim__Msggateway__GetUsersOnlineStatusResp__SuccessResult *r =
            logic_new(call, &openim__msggateway__get_users_online_status_resp__success_result__descriptor);

        r->userid = req->userids[i];
        r->status = conns[i].n > 0;
        r->detailplatformstatus = logic_list(call, conns[i].n);
        for (size_t j = 0; j < conns[i].n; j++) {
            const struct conn *c = &conns[i].list[j];
            Openim__Msggateway__GetUsersOnlineStatusResp__SuccessDetail *d =
                logic_new(call, &openim__msggateway__get_users_online_status_resp__success_detail__descriptor);

            d->platformid = c->platform;
            d->connid = oim_arena_alloc(call->lane->arena, 33);
            oim_hash_md5_hex(d->connid, c->field, strlen(c->field));
            d->isbackground = c->background;
            d->token = c->token;
            r->detailplatformstatus[r->n_detailplatformstatus++] = d;
        }
        list_add(call, &r->base);
    }
    list_end(call);
    return OIM_OK;
}

static int get_users_online_token_detail(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msggateway__GetUsersOnlineStatusReq *req = (const void *)req_;
    size_t n = call->admin ? req->n_userids : 0; /* others see nobody */
    struct conns *conns = logic_array(call, n, sizeof(*conns));
    int rc = n ? logic_check_ids(call, "userIDs", req->userids, n, false) : OIM_OK;

    if (rc == OIM_OK) rc = conns_load(call, req->userids, n, conns);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        Openim__Msggateway__SingleDetail *r = logic_new(call, &openim__msggateway__single_detail__descriptor);
        Openim__Msggateway__SinglePlatformToken *p = NULL;

        if (conns[i].n == 0) continue;
        r->userid = req->userids[i];
        r->status = 1;
        r->singleplatformtoken = logic_list(call, conns[i].n);
        for (size_t j = 0; j < conns[i].n; j++) {
            const struct conn *c = &conns[i].list[j];

            if (p == NULL || p->platformid != c->platform) {
                p = logic_new(call, &openim__msggateway__single_platform_token__descriptor);
                p->platformid = c->platform;
                p->token = logic_list(call, conns[i].n);
                r->singleplatformtoken[r->n_singleplatformtoken++] = p;
            }
            p->token[p->n_token++] = c->token;
            p->total++;
        }
        list_add(call, &r->base);
    }
    list_end(call);
    return OIM_OK;
}

#define USER(name) &openim__user__##name##_req__descriptor, &openim__user__##name##_resp__descriptor
#define ONLINE &openim__msggateway__get_users_online_status_req__descriptor, NULL

const struct logic_route logic_presence_routes[] = {
    {NULL, 2003, LOGIC_ANY, &openim__push__del_user_push_token_req__descriptor,
     &openim__push__del_user_push_token_resp__descriptor, logout, LOGIC_WRITE},
    {NULL, 2005, LOGIC_ANY, &openim__sdkws__sub_user_online_status__descriptor,
     &openim__sdkws__sub_user_online_status_tips__descriptor, subscribe, LOGIC_READ},
    {"/user/get_users_status", 0, LOGIC_ANY, USER(get_user_status), get_users_status, LOGIC_READ},
    {"/user/subscribe_users_status", 0, LOGIC_ANY, USER(subscribe_or_cancel_users_status), subscribe_users_status, LOGIC_READ},
    {"/user/get_subscribe_users_status", 0, LOGIC_ANY, USER(get_subscribe_users_status), get_subscribe_users_status, LOGIC_READ},
    {"/user/get_users_online_status", 0, LOGIC_ADMIN, ONLINE, get_users_online_status, LOGIC_READ},
    {"/user/get_users_online_token_detail", 0, LOGIC_ANY, ONLINE, get_users_online_token_detail, LOGIC_READ},
    {0},
};
