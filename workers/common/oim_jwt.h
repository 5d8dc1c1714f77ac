/* Tokens: gateway.md 7. HS256, claims UserID, PlatformID, exp, iat. */
#ifndef OIM_JWT_H
#define OIM_JWT_H

#include <stddef.h>
#include <stdint.h>

struct oim_arena;

struct oim_jwt {
    const char *user_id;
    int platform_id;
    int64_t exp, iat; /* seconds */
};

/* The token in arena memory; iat = now - 5 s. */
char *oim_jwt_issue(struct oim_arena *a, const char *secret, const char *user_id, int platform_id, int64_t now, int days);

/* 0, or the client's code (1501, 1503, 1504, 1505); *text is the errMsg for 1505 (library text) or "". */
int oim_jwt_verify(struct oim_arena *a, const char *secret, const char *token, size_t len, int64_t now, struct oim_jwt *out,
                   const char **text);

/* Redis' name of a platform id 1..11 ("IOS"), NULL otherwise (gateway.md 6.1); class for policies: 1 mobile, 2 PC, 3 pad,
 * 4 web, 5 mini web, 6 admin, 7 HarmonyOS, 0 unknown. */
const char *oim_platform_name(int platform_id);
int oim_platform_class(int platform_id);

#endif
