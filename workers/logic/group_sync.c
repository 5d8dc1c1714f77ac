/*
 * Incremental synchronisation of groups and members (rest.md D).
 */
#include "change.h"

const struct logic_route logic_group_sync_routes[] = {
    {0},
};
