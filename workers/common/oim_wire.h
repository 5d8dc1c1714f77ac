/*
 * The least protobuf that both sides need without a library: a zero-copy reader and a writer into
 * caller memory. Compiled into the nginx module and into the workers; libc only, no allocation.
 * Formats: proto/internal.proto and openim.sdkws.MsgData.
 */
#ifndef OIM_WIRE_H
#define OIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oim_wire_reader {
    const uint8_t *pos, *end;
};

struct oim_wire_field {
    uint32_t number;
    uint32_t type;       /* 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    uint64_t value;      /* types 0, 1, 5 */
    const uint8_t *data; /* type 2: borrowed from the input */
    size_t len;
};

/* 1: a field; 0: end; -1: broken (truncated, group types, field number 0, varint over 10 bytes). */
int oim_wire_next(struct oim_wire_reader *r, struct oim_wire_field *f);

/* The writer counts always and writes while there is room: call with cap 0 to size, then again. */
struct oim_wire_writer {
    uint8_t *data;
    size_t cap, len;
};

bool oim_wire_overflow(const struct oim_wire_writer *w);
void oim_wire_varint(struct oim_wire_writer *w, uint32_t number, uint64_t value);  /* writes 0 too */
void oim_wire_bytes(struct oim_wire_writer *w, uint32_t number, const void *data, size_t len);
void oim_wire_head(struct oim_wire_writer *w, uint32_t number, size_t len); /* of a nested message */
size_t oim_wire_varint_size(uint32_t number, uint64_t value);
size_t oim_wire_bytes_size(uint32_t number, size_t len);
bool oim_wire_utf8(const void *data, size_t len); /* as Go's utf8.Valid */

/* What routing needs of a MsgData, borrowed from it (gateway.md 4.1). 0 or -1 broken. */
struct oim_wire_msg {
    const uint8_t *send_id, *recv_id, *group_id;
    size_t send_len, recv_len, group_len;
    int32_t session_type;
};
int oim_wire_peek_msg(const uint8_t *data, size_t len, struct oim_wire_msg *msg);

/* Kafka key of a message (messages.md 2): groupID for sessionType 2 and 3, else the two ids sorted
 * bytewise and joined by '_'. Returns the length it needs; writes when cap is enough. */
size_t oim_wire_conversation_key(const struct oim_wire_msg *msg, char *out, size_t cap);

#endif
