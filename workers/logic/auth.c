/*
 * /auth: tokens for administrators and users, what a token says, forced logout (rest.md B.1, gateway.md
 * 6.6). The state of tokens is token.c's business.
 */
#include "token.h"

#include "auth.pb-c.h"
#include "oim_jwt.h"

#include <openssl/crypto.h>
#include <string.h>

#define ADMIN_PLATFORM 10

static int64_t lifetime(const struct logic_call *call)
{
    return (int64_t)call->lane->app->conf.token.expire_days * 86400;
}

/* OIM_OK with the user's row, or 1004. */
static int user_of(struct logic_call *call, const char *user_id, Openim__Sdkws__UserInfo **user)
{
    char *id = (char *)user_id;
    int rc = logic_users(call, &id, 1, user);

    if (rc) return rc;
    return *user ? OIM_OK : logic_fail(call, OIM_C_NOTFOUND, "user %s not found", user_id);
}

static int get_admin_token(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Auth__GetAdminTokenReq *req = (const void *)req_;
    Openim__Auth__GetAdminTokenResp *res = (void *)res_;
    const char *secret = call->lane->app->conf.general.secret;
    Openim__Sdkws__UserInfo *user;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (strlen(req->secret) != strlen(secret) || CRYPTO_memcmp(req->secret, secret, strlen(secret))) {
        return logic_fail(call, OIM_C_PERMISSION, "secret invalid");
    }
    if (!oim_conf_is_admin(&call->lane->app->conf, req->userid)) {
        return logic_args(call, "userID is not an administrator");
    }
    rc = user_of(call, req->userid, &user);
    if (rc == OIM_OK) rc = logic_token_issue(call, req->userid, ADMIN_PLATFORM, &res->token);
    res->expiretimeseconds = lifetime(call);
    return rc;
}

static int get_user_token(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Auth__GetUserTokenReq *req = (const void *)req_;
    Openim__Auth__GetUserTokenResp *res = (void *)res_;
    Openim__Sdkws__UserInfo *user;
    int rc;

    if (logic_admin(call)) return OIM_EFAIL;
    if (req->platformid == ADMIN_PLATFORM) return logic_fail(call, OIM_C_PERMISSION, "platformID is of administrators");
    if (oim_platform_name(req->platformid) == NULL) return logic_args(call, "platformID is invalid");
    if (oim_conf_is_admin(&call->lane->app->conf, req->userid)) {
        return logic_fail(call, OIM_C_PERMISSION, "userID is an administrator");
    }
    rc = user_of(call, req->userid, &user);
    if (rc) return rc;
    if (user->appmangerlevel >= LOGIC_LEVEL_NOTIFICATION) return logic_args(call, "no token for notification accounts");
    rc = logic_token_issue(call, req->userid, req->platformid, &res->token);
    res->expiretimeseconds = lifetime(call);
    return rc;
}

/* The checks of A.11 on a token from a body: the form, then the stored state. */
static int parse_token(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Auth__ParseTokenReq *req = (const void *)req_;
    Openim__Auth__ParseTokenResp *res = (void *)res_;
    struct oim_redis *rds = call->lane->rds;
    struct oim_redis_value state, temporary;
    struct oim_jwt jwt;
    const char *text = "", *platform;
    int code, rc;

    if (req->token[0] == '\0') return logic_args(call, "token is empty");
    code = oim_jwt_verify(call->lane->arena, call->lane->app->conf.general.secret, req->token, strlen(req->token),
                          oim_now_ms() / 1000, &jwt, &text);
    if (code) {
        logic_fail(call, code, NULL);
        if (text[0]) call->fail.msg = text;
        return OIM_EFAIL;
    }
    platform = oim_platform_name(jwt.platform_id);
    if (platform == NULL) platform = "";
    oim_redis_reset(rds);
    oim_redis_add(rds, "HGET UID_PID_TOKEN_STATUS:%s:%s %s", jwt.user_id, platform, req->token);
    oim_redis_add(rds, "EXISTS UID_PID_TOKEN_STATUS::TEMPORARY:%s:%s:%s", jwt.user_id, platform, req->token);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    state = oim_redis_reply(rds, 0);
    temporary = oim_redis_reply(rds, 1);
    if (state.type != OIM_REDIS_STRING) {
        if (!oim_conf_is_admin(&call->lane->app->conf, jwt.user_id) || temporary.integer != 1) {
            return logic_fail(call, OIM_C_TOKEN_NOTEXIST, NULL);
        }
    } else if (strcmp(state.str, "2") == 0) {
        return logic_fail(call, OIM_C_TOKEN_KICKED, NULL);
    } else if (strcmp(state.str, "0")) {
        return logic_fail(call, OIM_C_TOKEN_UNKNOWN, NULL);
    }
    res->userid = (char *)jwt.user_id;
    res->platformid = jwt.platform_id;
    res->expiretimeseconds = jwt.exp;
    return OIM_OK;
}

static int force_logout(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Auth__ForceLogoutReq *req = (const void *)req_;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    if (oim_platform_name(req->platformid) == NULL) return logic_args(call, "platformID is invalidate");
    rc = logic_admin(call);
    if (rc == OIM_OK) rc = logic_token_invalidate(call, req->userid, req->platformid, NULL);
    if (rc == OIM_OK) oim_downlink_kick_user(call->lane->down, req->userid, req->platformid);
    return rc;
}

#define AUTH(name) &openim__auth__##name##_req__descriptor, &openim__auth__##name##_resp__descriptor

const struct logic_route logic_auth_routes[] = {
    {"/auth/get_admin_token", 0, LOGIC_NONE, AUTH(get_admin_token), get_admin_token, LOGIC_WRITE},
    {"/auth/get_user_token", 0, LOGIC_ADMIN, AUTH(get_user_token), get_user_token, LOGIC_WRITE},
    {"/auth/parse_token", 0, LOGIC_NONE, AUTH(parse_token), parse_token, LOGIC_READ},
    {"/auth/force_logout", 0, LOGIC_ADMIN, AUTH(force_logout), force_logout, LOGIC_WRITE},
    {0},
};
