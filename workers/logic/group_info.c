/*
 * The group's own row: set_group_info, _ex, mute_group (rest.md B.4, C.5).
 */
#include "change.h"

const struct logic_route logic_group_info_routes[] = {
    {0},
};
