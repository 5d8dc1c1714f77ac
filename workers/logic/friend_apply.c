/*
 * Friend requests (rest.md B.3, C.3).
 */
#include "change.h"

const struct logic_route logic_friend_apply_routes[] = {
    {0},
};
