/*
 * Delete and clear (rest.md B.7, messages.md 9.2-9.4).
 */
#include "change.h"

const struct logic_route logic_delete_routes[] = {
    {0},
};
