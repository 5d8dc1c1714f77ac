/*
 * Get_sorted_conversation_list (rest.md B.8).
 */
#include "change.h"

const struct logic_route logic_conversation_list_routes[] = {
    {0},
};
