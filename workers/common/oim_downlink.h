/*
 * What a lane says to gateways: items are added while a batch is handled, one Downlink per gateway is published at its end.
 * Keeps the (publisher, gateway) numbers. Formats: proto/internal.proto. Used by every worker that answers or pushes.
 *
 *   oim_downlink_reply(dl, gateway, ...);             any number
 *   oim_downlink_push(dl, &push);                     to users: gateways found in oim:conn:<user>; to a group: every gateway
 *   oim_downlink_flush(dl, rds)                       one pipeline to find the gateways, one to publish
 *
 * The caller writes what makes a message visible to pulls (oim:hot, oim:seq) into the same rds *before* flush, in its own run or by
 * oim_redis_add before calling flush: flush finds the gateways after those writes, so who connects later sees the message by its sync.
 */
#ifndef OIM_DOWNLINK_H
#define OIM_DOWNLINK_H

#include <stddef.h>
#include <stdint.h>

struct oim_downlink;
struct oim_redis;

struct oim_downlink_push {
    int32_t req;              /* 2001, 2005 */
    const char *operation_id;
    const uint8_t *payload;   /* copied */
    size_t len;
    const char *const *user_ids; /* copied */
    size_t n_users;
    const char *group_id, *except_user_id; /* or NULL; a group_id goes to every live gateway */
    uint32_t flags;           /* 1 again, 2 the group ends with it, 4 late */
    const char *conversation_id; /* or NULL */
    int64_t seq;
};

struct oim_downlink *oim_downlink_new(const char *publisher_prefix); /* publisher = prefix + start time + random */
void oim_downlink_free(struct oim_downlink *dl);

/* gateway "" is ignored: nobody waits. data is copied. flags 1: close after it. */
void oim_downlink_reply(struct oim_downlink *dl, const char *gateway, uint64_t request_id, int32_t code, const char *msg,
                        const uint8_t *data, size_t len, uint32_t flags);
/* code: the errCode that the body says, for the gateway's log. */
void oim_downlink_rest(struct oim_downlink *dl, const char *gateway, uint64_t request_id, int http_status, int32_t code,
                       const char *content_type, const uint8_t *body, size_t len);
void oim_downlink_push(struct oim_downlink *dl, const struct oim_downlink_push *push);
/* Which groups a user is in (proto/internal.proto, Groups; copied): to one gateway, or, with gateway NULL, to those that hold the user. */
struct Openim__Internal__Groups;
void oim_downlink_groups(struct oim_downlink *dl, const char *gateway, const struct Openim__Internal__Groups *groups);

void oim_downlink_kick(struct oim_downlink *dl, const char *gateway, const char *user_id, int platform_id, const uint64_t *conn_ids,
                       size_t n);
void oim_downlink_kick_user(struct oim_downlink *dl, const char *user_id, int platform_id); /* on every gateway that holds the user */

/* OIM_OK, or OIM_EUNAVAIL: nothing is forgotten, call again (same numbers: gateways drop what they have seen). Commands that the caller has
 * queued in rds run first, in the same pipeline; their replies cannot be read afterwards, and after OIM_EUNAVAIL they may or may not have
 * run: queue them again. What is pending is not bounded here: the caller takes no new records while flush fails. */
int oim_downlink_flush(struct oim_downlink *dl, struct oim_redis *rds);
size_t oim_downlink_pending(const struct oim_downlink *dl); /* items not yet flushed */

#endif
