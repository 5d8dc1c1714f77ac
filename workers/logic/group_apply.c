/*
 * Requests to join, and their handling (rest.md B.4, C.4).
 */
#include "change.h"

const struct logic_route logic_group_apply_routes[] = {
    {0},
};
