/*
 * /statistics (rest.md B.9, messages.md 13.2).
 */
#include "change.h"

const struct logic_route logic_statistics_routes[] = {
    {0},
};
