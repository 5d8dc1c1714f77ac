/*
 * Revoke_msg (rest.md B.7, messages.md 9.1).
 */
#include "change.h"

const struct logic_route logic_revoke_routes[] = {
    {0},
};
