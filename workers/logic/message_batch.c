/*
 * Batch_send_msg, send_simple_msg (rest.md B.7, messages.md 4.3).
 */
#include "change.h"

const struct logic_route logic_batch_routes[] = {
    {0},
};
