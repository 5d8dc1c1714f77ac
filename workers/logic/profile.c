/*
 * What a user says of itself: update_user_info, _ex, set_global_msg_recv_opt, and what follows in friends and groups (rest.md B.2, C.2).
 */
#include "change.h"

const struct logic_route logic_profile_routes[] = {
    {0},
};
