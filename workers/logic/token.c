/*
 * Token states in Redis; token.h holds the contracts. An issue reads all platforms of the user in one
 * pipeline, decides, and writes in a second one.
 */
#include "token.h"

#include "oim_jwt.h"

#include <stdlib.h>
#include <string.h>

#define PLATFORMS 11
#define ADMIN_PLATFORM 10
#define OVERLAP_SECONDS 300 /* a replaced administrator's token, gateway.md 7.4 */

/* Only tokens that are still there: a hash that expired meanwhile is not made again. */
static const char kick_script[] = "for i = 1, #ARGV do"
                                  " if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then"
                                  " redis.call('HSET', KEYS[1], ARGV[i], '2') end end return 0";

struct token {
    char *text;
    int platform;
    int64_t iat;
    bool kicked;
};

static char *key_of(struct oim_arena *a, const char *user_id, int platform)
{
    return oim_arena_printf(a, "UID_PID_TOKEN_STATUS:%s:%s", user_id, oim_platform_name(platform));
}

static void add_notice(struct logic_call *call, const char *const *keys, size_t n)
{
    struct oim_buf json = {0};

    oim_buf_putc(&json, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) oim_buf_putc(&json, ',');
        oim_json_string(&json, keys[i], strlen(keys[i]));
    }
    oim_buf_putc(&json, ']');
    oim_redis_add(call->lane->rds, "PUBLISH DELETE_CACHE_AUTH %b", json.data, json.len);
    oim_buf_free(&json);
}

static bool is_pc(int platform)
{
    return oim_platform_class(platform) == oim_platform_class(3);
}

/* ---- kicks ---- */

static int kick(struct logic_call *call, const char *key, char *const *tokens, size_t n)
{
    struct oim_redis *rds = call->lane->rds;
    const char **argv;

    if (n == 0) return OIM_OK;
    argv = logic_array(call, n + 4, sizeof(*argv));
    argv[0] = "EVAL";
    argv[1] = kick_script;
    argv[2] = "1";
    argv[3] = key;
    for (size_t i = 0; i < n; i++) argv[4 + i] = tokens[i];
    oim_redis_reset(rds);
    oim_redis_add_argv(rds, (int)n + 4, argv, NULL);
    add_notice(call, &key, 1);
    return oim_redis_run(rds);
}

int logic_token_kick(struct logic_call *call, const char *user_id, int platform, char *const *tokens, size_t n)
{
    if (oim_platform_name(platform) == NULL) return OIM_OK;
    return kick(call, key_of(call->lane->arena, user_id, platform), tokens, n);
}

int logic_token_invalidate(struct logic_call *call, const char *user_id, int platform, const char *preserved)
{
    struct oim_redis *rds = call->lane->rds;
    struct oim_redis_value reply, field, state;
    bool good = preserved == NULL;
    const char *key;
    char **tokens;
    size_t n = 0;
    int rc;

    if (oim_platform_name(platform) == NULL) return OIM_OK;
    key = key_of(call->lane->arena, user_id, platform);
    oim_redis_reset(rds);
    oim_redis_add(rds, "HGETALL %s", key);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    reply = oim_redis_reply(rds, 0);
    tokens = logic_list(call, reply.elements);
    for (size_t i = 0; i + 1 < reply.elements; i += 2) {
        field = oim_redis_at(&reply, i);
        state = oim_redis_at(&reply, i + 1);
        if (field.type != OIM_REDIS_STRING || state.type != OIM_REDIS_STRING) continue;
        if (preserved && strcmp(field.str, preserved) == 0) {
            good = strcmp(state.str, "0") == 0;
            continue;
        }
        tokens[n++] = oim_arena_strndup(call->lane->arena, field.str, field.len);
    }
    return good ? kick(call, key, tokens, n) : OIM_OK;
}

/* ---- issue ---- */

/* Newest first; of one second the order of the text decides, so that all processes agree. */
static int newest_first(const void *a, const void *b)
{
    const struct token *x = a, *y = b;

    if (x->iat != y->iat) return x->iat < y->iat ? 1 : -1;
    return strcmp(x->text, y->text);
}

/* gateway.md 6.4. tokens are live, newest first, without platform 10 and without the new one. */
static int evict(struct logic_call *call, int platform, struct token *tokens, size_t n)
{
    const struct oim_conf *conf = &call->lane->app->conf;
    int kept[64] = {0}, android = -1, other = -1;

    switch (conf->token.multi_login_policy) {
    case 0:
        kept[platform] = 1; /* the new one */
        for (size_t i = 0; i < n; i++) tokens[i].kicked = ++kept[tokens[i].platform] > conf->token.max_num_one_end;
        return OIM_OK;
    case 1:
        kept[platform] = 1;
        for (size_t i = 0; i < n; i++) tokens[i].kicked = ++kept[tokens[i].platform] > 1;
        return OIM_OK;
    case 4:
        kept[oim_platform_class(platform)] = 1;
        for (size_t i = 0; i < n; i++) tokens[i].kicked = ++kept[oim_platform_class(tokens[i].platform)] > 1;
        return OIM_OK;
    case 5:
        for (size_t i = 0; i < n; i++) {
            if (is_pc(tokens[i].platform)) continue;
            tokens[i].kicked = true;
            if (tokens[i].platform == 2 && android < 0) android = (int)i;
            if (other < 0) other = (int)i;
        }
        if (is_pc(platform) && other >= 0) tokens[android >= 0 ? android : other].kicked = false;
        return OIM_OK;
    default:
        return logic_fail(call, OIM_C_INTERNAL, "unknown multi login policy %d", conf->token.multi_login_policy);
    }
}

/* Reads the hash of one platform: live tokens are appended, dead ones are queued for removal. */
static size_t live_tokens(struct logic_call *call, int platform, const struct oim_redis_value *hash, const char *fresh,
                          struct token *tokens, size_t n, char **dead, size_t *n_dead)
{
    struct oim_arena *a = call->lane->arena;

    *n_dead = 0;
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct oim_redis_value field = oim_redis_at(hash, i), state = oim_redis_at(hash, i + 1);
        struct oim_jwt jwt;
        const char *why;

        if (field.type != OIM_REDIS_STRING || state.type != OIM_REDIS_STRING) continue;
        if (strcmp(field.str, fresh) == 0) continue; /* the same second: the same text, which stays */
        if (strcmp(state.str, "0") ||
            oim_jwt_verify(a, call->lane->app->conf.general.secret, field.str, field.len, oim_now_ms() / 1000, &jwt, &why)) {
            dead[(*n_dead)++] = oim_arena_strndup(a, field.str, field.len);
            continue;
        }
        tokens[n++] = (struct token){oim_arena_strndup(a, field.str, field.len), platform, jwt.iat, false};
    }
    return n;
}

/* Old administrators' tokens leave the hash and live on for a while (gateway.md 7.4). */
static void add_overlap(struct logic_call *call, const char *user_id, const char *key, const char *token)
{
    struct oim_redis *rds = call->lane->rds;

    oim_redis_add(rds, "SET UID_PID_TOKEN_STATUS::TEMPORARY:%s:%s:%s %s EX %d", user_id, oim_platform_name(ADMIN_PLATFORM),
                  token, "", OVERLAP_SECONDS);
    oim_redis_add(rds, "HDEL %s %s", key, token);
}

int logic_token_issue(struct logic_call *call, const char *user_id, int platform, char **token)
{
    const struct oim_conf *conf = &call->lane->app->conf;
    struct oim_redis *rds = call->lane->rds;
    struct oim_arena *a = call->lane->arena;
    struct oim_redis_value hash[PLATFORMS + 1];
    char **dead[PLATFORMS + 1];
    const char *keys[PLATFORMS + 1];
    size_t n_dead[PLATFORMS + 1], n = 0, all = 0, first_admin, n_admin;
    bool kicked[PLATFORMS + 1] = {false};
    struct token *tokens;
    int ttl = conf->token.expire_days * 86400, rc;

    *token = oim_jwt_issue(a, conf->general.secret, user_id, platform, oim_now_ms() / 1000, conf->token.expire_days);

    oim_redis_reset(rds);
    for (int p = 1; p <= PLATFORMS; p++) {
        keys[p] = key_of(a, user_id, p);
        oim_redis_add(rds, "HGETALL %s", keys[p]);
    }
    rc = oim_redis_run(rds);
    if (rc) return rc;
    for (int p = 1; p <= PLATFORMS; p++) {
        hash[p] = oim_redis_reply(rds, (size_t)p - 1);
        all += hash[p].elements / 2;
    }
    tokens = logic_array(call, all, sizeof(*tokens));
    for (int p = 1; p <= PLATFORMS; p++) {
        dead[p] = logic_list(call, hash[p].elements / 2);
        n_dead[p] = 0;
        if (p != ADMIN_PLATFORM) n = live_tokens(call, p, &hash[p], *token, tokens, n, dead[p], &n_dead[p]);
    }
    first_admin = n;
    n_admin = live_tokens(call, ADMIN_PLATFORM, &hash[ADMIN_PLATFORM], *token, tokens, n, dead[ADMIN_PLATFORM],
                          &n_dead[ADMIN_PLATFORM]);

    qsort(tokens, n, sizeof(*tokens), newest_first);
    rc = evict(call, platform, tokens, n);
    if (rc) return rc;

    oim_redis_reset(rds);
    for (int p = 1; p <= PLATFORMS; p++) {
        for (size_t i = 0; i < n_dead[p]; i++) oim_redis_add(rds, "HDEL %s %s", keys[p], dead[p][i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (!tokens[i].kicked) continue;
        oim_redis_add(rds, "HSET %s %s %d", keys[tokens[i].platform], tokens[i].text, LOGIC_TOKEN_KICKED);
        kicked[tokens[i].platform] = true;
    }
    for (size_t i = first_admin; i < n_admin && platform == ADMIN_PLATFORM; i++) {
        add_overlap(call, user_id, keys[ADMIN_PLATFORM], tokens[i].text);
    }
    oim_redis_add(rds, "HSET %s %s %d", keys[platform], *token, LOGIC_TOKEN_NORMAL);
    kicked[platform] = true;
    for (int p = 1; p <= PLATFORMS; p++) {
        if (kicked[p]) oim_redis_add(rds, "EXPIRE %s %d", keys[p], ttl);
    }
    add_notice(call, keys + 1, PLATFORMS);
    return oim_redis_run(rds);
}
