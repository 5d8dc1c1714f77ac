/*
 * Changes of friendships (rest.md B.3, C.3).
 */
#include "change.h"

const struct logic_route logic_friend_change_routes[] = {
    {0},
};
