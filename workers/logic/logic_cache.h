/*
 * What the message road needs to know of users, pairs of users, and groups with those of their members who write, kept per lane, dropped
 * when it changes: whoever writes such a row publishes "kind:id" on the Redis channel oim:cache, every process listens. Lost or wiped, it
 * is only slower.
 *
 * A lane calls logic_cache_turn before it looks up: what is published after a lane's query is dropped in its next turn.
 */
#ifndef OIM_LOGIC_CACHE_H
#define OIM_LOGIC_CACHE_H

#include "logic.h"

struct logic_cache;

struct logic_user {
    int level;    /* appMangerLevel */
    int recv_opt; /* globalRecvMsgOpt */
};

/* owner's view of other */
struct logic_relation {
    bool blocked, is_friend;
    int recv_opt; /* of the single conversation of the two */
};

struct logic_member {
    int status; /* of the group */
    int role;
    int64_t mute_end; /* ms */
};

int logic_cache_start(struct oim_app *app); /* the listening thread; once, before the lanes */
struct logic_cache *logic_cache_new(void);
void logic_cache_free(struct logic_cache *cache);
void logic_cache_turn(struct logic_cache *cache);

/* NULL: not known. Valid until the next turn. */
const struct logic_user *logic_cache_user(const struct logic_cache *cache, const char *id);
const struct logic_relation *logic_cache_relation(const struct logic_cache *cache, const char *owner, const char *other);
void logic_cache_put_user(struct logic_cache *cache, const char *id, const struct logic_user *user);
void logic_cache_put_relation(struct logic_cache *cache, const char *owner, const char *other, const struct logic_relation *relation);

/* The group and one member of it: both go with the letter of the group. */
bool logic_cache_member(const struct logic_cache *cache, const char *group_id, const char *user_id, struct logic_member *out);
void logic_cache_put_member(struct logic_cache *cache, const char *group_id, const char *user_id, const struct logic_member *member);

#endif
