/*
 * Ways out of a group: quit, kick, dismiss, and transfer (rest.md B.4, C.4).
 */
#include "change.h"

const struct logic_route logic_group_leave_routes[] = {
    {0},
};
