/*
 * openim-logic from inside: what a handler gets and what it may use. Read msg_lane.c for the road of a message, rpc_lane.c for everything
 * else, route.c for the table of both.
 *
 * A handler runs in one lane thread. It may run twice on the same record (a crash before the commit) and must then have one effect.
 */
#ifndef OIM_LOGIC_H
#define OIM_LOGIC_H

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_downlink.h"
#include "oim_err.h"
#include "oim_json.h"
#include "oim_kafka.h"
#include "oim_mongo.h"
#include "oim_redis.h"
#include "oim_sql.h"

#include "internal.pb-c.h"

/* What one lane owns. */
struct logic_lane {
    struct oim_app *app;
    const char *name;
    struct oim_arena *arena; /* of the current record (rpc) or batch (msg) */
    struct oim_redis *rds;
    struct oim_sql *db;
    struct oim_mongo *mg;
    struct oim_downlink *down;
    struct oim_kafka_producer *producer;
};

/* One request, whoever sent it. */
struct logic_call {
    struct logic_lane *lane;
    const Openim__Internal__Uplink *up;
    bool admin;          /* up->userid is in general.admin_users */
    struct oim_fail fail;
    int http_status;     /* REST: 0 = 200 */
    uint32_t reply_flags; /* 1: close the connection after the reply */
    bool answered;       /* somebody else answers: a send handed on to openim.msg */
    bool bare;           /* REST: data is res_json instead of a message */
    struct oim_buf *res_json;
};

/* Fills call->fail and returns OIM_EFAIL. dlt may be NULL; fmt is formatted into the arena. */
int logic_fail(struct logic_call *call, int code, const char *dlt_fmt, ...) __attribute__((format(printf, 3, 4)));

/* Permission (rest.md A.10): OIM_OK, or OIM_EFAIL with 1002 filled in. */
int logic_self(struct logic_call *call, const char *user_id);
int logic_admin(struct logic_call *call);

/* A handler sees protobuf only. req is decoded (JSON or protobuf) into the lane's arena; res is zeroed by its init and owned by the arena; returns
 * OIM_OK, OIM_EFAIL (answered with call->fail), or a retriable code: answered with 500 when reading, tried again when the route is a write. */
typedef int (*logic_handler)(struct logic_call *call, const ProtobufCMessage *req, ProtobufCMessage *res);

enum logic_permission { LOGIC_NONE, LOGIC_ANY, LOGIC_ADMIN }; /* what the table can check; the handler checks SELF and membership */

struct logic_route {
    const char *path;       /* REST, or NULL */
    int32_t ws;             /* reqIdentifier, or 0 */
    enum logic_permission permission;
    const ProtobufCMessageDescriptor *req, *res; /* res NULL: no data member */
    logic_handler handle;
    bool write;
};

/* Each area file gives its part of the table, closed by an entry with handle NULL. */
extern const struct logic_route logic_auth_routes[], logic_user_routes[], logic_friend_routes[], logic_group_routes[],
    logic_conversation_routes[], logic_msg_routes[], logic_jssdk_routes[], logic_presence_routes[];
const struct logic_route *logic_route_rest(const char *path);
const struct logic_route *logic_route_ws(int32_t req);

#endif
