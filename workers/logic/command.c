/*
 * User commands: opaque rows of a user (rest.md B.2, C.10).
 */
#include "change.h"

const struct logic_route logic_command_routes[] = {
    {0},
};
