/*
 * The newest messages of a partition by (conversation, sender, clientMsgID): docs/records.md, Duplicates. Bounded: the oldest
 * leaves when a new one comes. Grows from small to its bound, so that a quiet partition costs little.
 */
#ifndef OIM_MSG_DEDUP_H
#define OIM_MSG_DEDUP_H

#include <stddef.h>
#include <stdint.h>

struct msg_dedup;

struct msg_dedup_entry {
    uint8_t key[16];
    int64_t seq, send_time;
    int64_t offset; /* of its openim.msg record: serverMsgID follows from it */
};

struct msg_dedup *msg_dedup_new(size_t bound); /* NULL: no memory */
void msg_dedup_free(struct msg_dedup *d);
const struct msg_dedup_entry *msg_dedup_find(const struct msg_dedup *d, const uint8_t key[16]); /* valid until the next add */
void msg_dedup_add(struct msg_dedup *d, const struct msg_dedup_entry *entry);                  /* a key that is there stays as it is */
int64_t msg_dedup_oldest(const struct msg_dedup *d); /* sendTime of the oldest; INT64_MAX when empty */
size_t msg_dedup_count(const struct msg_dedup *d);

#endif
