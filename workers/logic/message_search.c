/*
 * Search_msg (rest.md B.7, messages.md 13.1).
 */
#include "change.h"

const struct logic_route logic_search_routes[] = {
    {0},
};
