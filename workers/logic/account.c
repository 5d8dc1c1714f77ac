/*
 * Accounts as administrators see them: get_users, notification accounts (rest.md B.2, C.8).
 */
#include "change.h"

const struct logic_route logic_account_routes[] = {
    {0},
};
