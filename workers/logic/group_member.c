/*
 * Members: mute, roles, names (rest.md B.4, C.6).
 */
#include "change.h"

const struct logic_route logic_group_member_routes[] = {
    {0},
};
