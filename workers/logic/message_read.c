/*
 * Read positions (rest.md B.7, messages.md 8).
 */
#include "change.h"

const struct logic_route logic_read_routes[] = {
    {0},
};
