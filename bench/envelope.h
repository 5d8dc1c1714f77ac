/*
 * The envelope around every request, reply and push (gateway.md 3): JSON as the JavaScript SDK speaks it, or gob, either with gzip or
 * without. One codec object serves all connections of a program, which are all of one kind.
 */
#ifndef BENCH_ENVELOPE_H
#define BENCH_ENVELOPE_H

#include "buf.h"

#include <stdbool.h>

struct envelope_codec;

struct envelope_request {
    int req;
    const char *send_id, *operation_id, *msg_incr;
    const uint8_t *data;
    size_t len;
};

struct envelope_reply {
    int req, code;
    const char *msg_incr, *operation_id, *err_msg; /* "" when absent */
    const uint8_t *data;
    size_t len;
};

struct envelope_codec *envelope_new(bool gob, bool gzip);
void envelope_free(struct envelope_codec *c);
/* Query parameters that ask the gateway for this form: "&sdkType=js". */
const char *envelope_query(const struct envelope_codec *c);
/* The bytes of a binary WebSocket message, valid until the next call. */
const struct buf *envelope_encode(struct envelope_codec *c, const struct envelope_request *r);
/* False: the bytes are none. What r points to is valid until the next call. */
bool envelope_decode(struct envelope_codec *c, const uint8_t *data, size_t len, struct envelope_reply *r);

#endif
