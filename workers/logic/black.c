/*
 * The blacklist (rest.md B.3, C.3).
 */
#include "change.h"

const struct logic_route logic_black_routes[] = {
    {0},
};
