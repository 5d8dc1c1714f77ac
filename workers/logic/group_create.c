/*
 * Create_group (rest.md B.4, C.4).
 */
#include "change.h"

const struct logic_route logic_group_create_routes[] = {
    {0},
};
