/*
 * Records of this lane that Kafka has to have before an offset of openim.msg is committed.
 *
 * Notifications that cannot be stored now: nobody waits for an answer, so nobody would send them again. While MySQL is away (the floor of
 * a conversation is not known) such a record waits here and is then put at the end of openim.msg once more; until Kafka has it there, its
 * old offset is not committed. So a crash repeats it, and it is stored once: its clientMsgID stays.
 *
 * Tasks of stored messages (msg_task.c): to openim.rpc, at once. A crash repeats them, under the same name.
 *
 * msg_lane.c and msg_task.c add, msg_lane.c runs it once a second and asks how far it may commit.
 */
#include "msg.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 10000 /* the commit of a partition stays behind for no longer */

struct msg_later {
    struct msg_later *next;
    int32_t partition;
    int64_t offset, since;
    bool task, produced;
    size_t key_len, len;
    uint8_t data[]; /* key, then the record */
};

static struct msg_later *add(struct msg_lane *lane, const struct msg_entry *entry, const void *key, size_t key_len,
                             const Openim__Internal__Uplink *up)
{
    size_t len = openim__internal__uplink__get_packed_size(up);
    struct msg_later *l = malloc(sizeof(*l) + key_len + len), **tail = &lane->later;

    if (l == NULL) abort();
    *l = (struct msg_later){.partition = entry->partition, .offset = entry->offset, .since = oim_mono_ms(), .key_len = key_len, .len = len};
    memcpy(l->data, key, key_len);
    openim__internal__uplink__pack(up, l->data + key_len);
    while (*tail) tail = &(*tail)->next;
    *tail = l;
    return l;
}

static bool produce(struct msg_lane *lane, struct msg_later *l)
{
    const char *topic = l->task ? lane->topic_rpc : lane->topic_msg;

    l->produced = oim_kafka_produce(lane->base.producer, topic, l->task ? -1 : l->partition, l->data, l->key_len, l->data + l->key_len, l->len,
                                    l) == OIM_OK;
    return l->produced;
}

void msg_later_add(struct msg_lane *lane, const struct msg_entry *entry)
{
    add(lane, entry, entry->key, entry->key_len, entry->up);
}

void msg_later_task(struct msg_lane *lane, const struct msg_entry *entry, const char *key, const Openim__Internal__Uplink *task)
{
    struct msg_later *l = add(lane, entry, key, strlen(key), task);

    l->task = true;
    produce(lane, l); /* a full queue: msg_later_run */
}

bool msg_later_reported(struct msg_lane *lane, const void *opaque)
{
    for (struct msg_later **p = &lane->later; *p; p = &(*p)->next) {
        struct msg_later *l = *p;

        if (l != opaque) continue;
        *p = l->next;
        free(l);
        return true;
    }
    return false;
}

int64_t msg_later_limit(const struct msg_lane *lane, int32_t partition, int64_t next)
{
    for (const struct msg_later *l = lane->later; l; l = l->next) {
        if (l->partition == partition && l->offset < next) next = l->offset;
    }
    return next;
}

void msg_later_forget(struct msg_lane *lane, int32_t partition)
{
    for (struct msg_later *l = lane->later; l; l = l->next) {
        if (l->partition == partition) l->partition = -1; /* the next owner reads the record; a report may still come */
    }
}

static bool store_is_back(struct msg_lane *lane)
{
    oim_arena_reset(lane->base.arena);
    return oim_sql_exec(lane->base.db, lane->base.arena, "SELECT 1", NULL, 0, NULL, NULL) == OIM_OK;
}

void msg_later_run(struct msg_lane *lane)
{
    bool asked = false, back = false;
    size_t n = 0;

    for (struct msg_later **p = &lane->later, *l; (l = *p);) {
        if (l->partition < 0 && !l->produced) {
            *p = l->next;
            free(l);
            continue;
        }
        p = &l->next;
        if (l->produced) continue;
        if (l->task) {
            if (!produce(lane, l)) break;
            continue;
        }
        if (!asked) back = store_is_back(lane);
        asked = true;
        if (!back && oim_mono_ms() - l->since < WAIT_MS) continue;
        if (!produce(lane, l)) break;
        n++;
    }
    if (n) oim_log(OIM_LOG_INFO, "notifications put back", "lane=%s records=%zu store=%s", lane->base.name, n, back ? "back" : "away");
}
