/*
 * The state of user tokens in Redis: issue with eviction, kicks. Layout: gateway.md 6.5, rules: 6.4 and
 * 6.6. The gateways read the same keys at each handshake and REST request; every change is told on the
 * channel DELETE_CACHE_AUTH. Called by auth.c and presence.c.
 */
#ifndef OIM_LOGIC_TOKEN_H
#define OIM_LOGIC_TOKEN_H

#include "rpc.h"

enum { LOGIC_TOKEN_NORMAL = 0, LOGIC_TOKEN_KICKED = 2 };

/* platform must be 1..11. OIM_OK, OIM_EFAIL (unknown policy) or a retriable code. */
int logic_token_issue(struct logic_call *call, const char *user_id, int platform, char **token);

/* All tokens of the platform but preserved are kicked from now on; NULL: all of them. Nothing happens when
 * preserved is itself no longer good: a newer login has settled the matter. */
int logic_token_invalidate(struct logic_call *call, const char *user_id, int platform, const char *preserved);

/* Exactly these tokens of the platform, as far as they are stored. */
int logic_token_kick(struct logic_call *call, const char *user_id, int platform, char *const *tokens, size_t n);

#endif
