/*
 * Ways into a group: join_group, invite_user_to_group (rest.md B.4, C.4).
 */
#include "change.h"

const struct logic_route logic_group_join_routes[] = {
    {0},
};
