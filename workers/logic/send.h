/*
 * The content of /msg/send_msg (rest.md B.7, messages.md 4.3): which members each content type must have,
 * and the stored form. Pure; used by message_rest.c.
 */
#ifndef OIM_LOGIC_SEND_H
#define OIM_LOGIC_SEND_H

#include "oim_buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

bool logic_content_known(int32_t content_type); /* one that administrators may send */

/* NULL, or what is missing or wrong, in words. */
const char *logic_content_check(int32_t content_type, json_t *content);

/* Appends value as compact JSON, keys sorted, Go's escapes. */
void logic_content_write(struct oim_buf *buf, json_t *value);

#endif
