/*
 * Changes of conversation rows (rest.md B.8, C.7).
 */
#include "change.h"

const struct logic_route logic_conversation_change_routes[] = {
    {0},
};
