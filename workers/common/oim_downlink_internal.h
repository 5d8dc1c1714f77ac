/* What the two files of oim_downlink share: an item, and a gateway that gets it. */
#ifndef OIM_DOWNLINK_INTERNAL_H
#define OIM_DOWNLINK_INTERNAL_H

#include "oim_downlink.h"
#include "oim_wire.h"

#include <stdbool.h>

enum { DOWN_VERSION = 1, DOWN_PUBLISHER, DOWN_NUMBER, DOWN_REPLY, DOWN_PUSH, DOWN_KICK, DOWN_GROUPS };

/* Kick and Groups without a gateway: found by user, like a push. */
enum kind { REPLY, PUSH, KICK, GROUPS };

struct gateway {
    const char *name; /* ours */
    uint64_t number;  /* last one given */
    int packet;       /* index of the open one, -1 none */
    uint64_t turn;    /* of the item that users was collected for */
    bool live;        /* within one flush */
    unsigned heard;   /* the connection of ours on which it last listened, 0 never */
    const char **users;
    size_t n_users, cap_users;
};

struct user {
    const char *id;    /* arena */
    uint64_t turn;     /* seen in this item */
    struct gateway **gateways;
    size_t n_gateways;
};

struct item {
    enum kind kind;
    struct gateway *gateway; /* NULL: by user */
    uint64_t request_id;
    int32_t code, http_status, platform_id;
    uint32_t flags;
    const char *msg, *content_type;
    const uint8_t *data; /* GROUPS: packed */
    size_t len;
    const uint64_t *conn_ids;
    size_t n_conns;
    struct oim_downlink_push push;
    struct user **users;
    size_t n_users;
};

/* oim_downlink_write.c: the item as a member of a Downlink, without its head; as oim_wire, counts when there is no room. */
void oim_downlink_item(struct oim_wire_writer *w, const struct item *item, const struct gateway *gw);

#endif
