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
#include "protocol.h"

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
    bool broken; /* rpc: something committed could not be told: the process has to be started again */
    struct logic_waiting *waiting, *waiting_last; /* rpc: presence_groups.c */
    size_t n_waiting;
    int64_t again_at;
    int64_t flushed; /* rpc: when answers were published last, monotonic ms */
};

/* One request, whoever sent it. */
struct logic_call {
    struct logic_lane *lane;
    const Openim__Internal__Uplink *up;
    bool admin;          /* up->userid is in general.admin_users */
    bool retriable;      /* it failed for a reason that passes */
    struct oim_fail fail;
    int http_status;     /* REST: 0 = 200 */
    uint32_t reply_flags; /* 1: close the connection after the reply */
    bool answered;       /* somebody else answers: a send handed on to openim.msg */
    bool bare;           /* REST: data is res_json instead of a message */
    struct oim_buf *res_json;
    struct logic_change *change; /* LOGIC_TX: what follows the commit (change.h) */
    uint32_t notices;            /* given by this handler so far */
};

/* Fills call->fail and returns OIM_EFAIL. dlt may be NULL; fmt is formatted into the arena. */
int logic_fail(struct logic_call *call, int code, const char *dlt_fmt, ...) __attribute__((format(printf, 3, 4)));

/* Permission (rest.md A.10): OIM_OK, or OIM_EFAIL with 1002 filled in. */
int logic_self(struct logic_call *call, const char *user_id);
int logic_admin(struct logic_call *call);

/* A handler sees protobuf only. req is decoded (JSON or protobuf) into the lane's arena; res is zeroed by its init and owned by the arena; returns
 * OIM_OK, OIM_EFAIL (answered with call->fail), or a retriable code: tried again, then answered with 500. */
typedef int (*logic_handler)(struct logic_call *call, const ProtobufCMessage *req, ProtobufCMessage *res);

/* Who may call it (rest.md A.10). The table checks the token; the rest is the handler's, because bad arguments (1001) are found before missing
 * rights (1002): the word is for the route page and the tests. */
enum logic_permission {
    LOGIC_NONE,         /* no token */
    LOGIC_ANY,          /* any token */
    LOGIC_SELF,         /* the user that the request names, or one of those */
    LOGIC_MEMBER,       /* a member of the group */
    LOGIC_GROUP_ADMIN,  /* its owner or an administrator of it */
    LOGIC_GROUP_OWNER,
    LOGIC_ADMIN,        /* general.admin_users */
    LOGIC_INTERNAL,     /* tasks of our own */
};

enum logic_effect {
    LOGIC_READ,
    LOGIC_SEARCH, /* a read that may take long: rpc_search.c, off the road of all others */
    LOGIC_WRITE, /* what it does is complete in one step, or the next owner's business */
    LOGIC_TX,    /* one transaction and what follows from it: change.h */
};

struct logic_route {
    const char *path;       /* REST, or NULL */
    int32_t ws;             /* reqIdentifier, or 0 */
    enum logic_permission permission;
    const ProtobufCMessageDescriptor *req, *res; /* res NULL: no data member */
    logic_handler handle;
    enum logic_effect effect;
};

/* Each area file gives its part of the table, closed by an entry with handle NULL. */
extern const struct logic_route logic_auth_routes[], logic_user_routes[], logic_friend_routes[], logic_group_routes[],
    logic_conversation_routes[], logic_msg_routes[], logic_jssdk_routes[], logic_presence_routes[];
extern const struct logic_route logic_account_routes[], logic_command_routes[], logic_config_routes[], logic_profile_routes[],
    logic_statistics_routes[];                                            /* users */
extern const struct logic_route logic_friend_apply_routes[], logic_friend_change_routes[], logic_black_routes[];
extern const struct logic_route logic_group_create_routes[], logic_group_join_routes[], logic_group_apply_routes[],
    logic_group_leave_routes[], logic_group_info_routes[], logic_group_member_routes[], logic_group_sync_routes[];
extern const struct logic_route logic_conversation_change_routes[], logic_conversation_list_routes[];
extern const struct logic_route logic_read_routes[], logic_revoke_routes[], logic_delete_routes[], logic_search_routes[],
    logic_batch_routes[], logic_send_routes[];                                                 /* messages */
const struct logic_route *logic_route_rest(const char *path);
const struct logic_route *logic_route_ws(int32_t req);

#endif
