/*
 * The protobuf that the programs here need, packed and read with workers/common/oim_wire.h (gateway.md 4.1, 4.3, 4.4, 5.1).
 */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_PLATFORM 5 /* Web: the server sends the pings */
#define MESSAGE_HEAD 1024  /* room besides the content */

enum { REQ_MAX_SEQ = 1001, REQ_PULL = 1002, REQ_SEND = 1003, REQ_PUSH = 2001, REQ_KICK = 2002 };

struct message_view { /* borrowed, not NUL-terminated */
    const char *send_id, *recv_id, *client_msg_id, *content;
    size_t send_len, recv_len, client_len, content_len;
    int64_t seq, send_time;
    int32_t status, content_type;
};

/* A text message of a single chat, or to a group; content is the whole JSON. Returns its length, 0 when it does not fit. */
size_t message_pack(uint8_t *out, size_t cap, const char *from, const char *to, const char *id, const void *content, size_t len);
size_t message_pack_group(uint8_t *out, size_t cap, const char *from, const char *group, const char *id, const void *content, size_t len);
/* {"content":"xxx..."} of exactly len bytes (at least 14). */
void message_content(char *out, size_t len);
void message_conversation(char *out, size_t cap, const char *a, const char *b);
size_t message_pull(uint8_t *out, size_t cap, const char *user, const char *conversation, int64_t begin, int64_t end, int64_t num);

/* Every message of a push (2001) or of the answer to a pull (1002), in order. 0, or -1 when the bytes are broken. */
typedef void (*message_each_fn)(void *ctx, const char *conversation, size_t len, const struct message_view *m);
int message_each(const uint8_t *data, size_t len, message_each_fn fn, void *ctx);

struct message_sent {
    char server_id[64], client_id[64];
    int64_t send_time;
};
int message_sent_read(const uint8_t *data, size_t len, struct message_sent *out);

#endif
