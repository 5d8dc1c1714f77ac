/*
 * Writes openim.stored: partition p answers partition p of openim.msg, a record carries the offset that it answers and the epoch of its
 * writer (docs/records.md, Fencing). The report comes back to msg_store_reports in the lane's thread; the entry is ready then.
 *
 * What a fenced writer adds behind the fence is void, but Kafka reports it like any other record. It shows in the offsets: as long as we
 * are alone, our reports of a partition have offsets without a gap. A gap is read before anything is published: a fence in it that is not
 * ours means that the partition has a new owner, whatever the group or the clock say.
 */
#include "msg.h"

#include "oim_log.h"

#include <inttypes.h>
#include <string.h>

#define FENCE_MS 10000
#define GAP_MS 3000

int msg_store(struct msg_lane *lane, struct msg_entry *entry)
{
    const Openim__Internal__Uplink *up = entry->up;
    Openim__Internal__Stored stored = OPENIM__INTERNAL__STORED__INIT;
    struct oim_arena *a = lane->base.arena;
    uint8_t *data;
    size_t len;
    int err;

    stored.version = 1;
    stored.epoch = lane->partitions[entry->partition].epoch;
    stored.sourceoffset = entry->offset;
    stored.conversationid = entry->conversation_id;
    stored.seq = entry->msg->seq;
    stored.message = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)entry->packed, .len = entry->packed_len};
    if (!entry->more) stored.gateway = up->gateway; /* one record, one answer */
    stored.requestid = up->requestid;
    stored.source = up->source;
    stored.path = up->path;
    stored.operationid = up->operationid;
    stored.deadline = up->deadline;
    stored.alsouserids = up->alsouserids;
    stored.n_alsouserids = up->n_alsouserids;

    len = openim__internal__stored__get_packed_size(&stored);
    data = oim_arena_alloc(a, len);
    openim__internal__stored__pack(&stored, data);
    entry->state = MSG_WAITING;
    while ((err = oim_kafka_produce(lane->base.producer, lane->topic_stored, entry->partition, entry->key, entry->key_len, data, len, entry)) ==
           OIM_ELIMIT) {
        msg_store_reports(lane, 100);
        if (lane->fatal || lane->base.app->stop) return OIM_EFATAL;
    }
    if (err == OIM_OK) lane->inflight++;
    return err;
}

/* Our record has this offset. */
static void written(struct msg_lane *lane, struct msg_partition *part, const struct msg_entry *entry, int64_t offset)
{
    struct msg_conv *conv = msg_conv_find(lane, entry->conversation_id);

    if (conv) conv->offset = offset;
    if (offset != part->next_stored) {
        if (part->gap_from < 0) part->gap_from = part->next_stored;
        lane->gap = true;
    }
    part->next_stored = offset + 1;
}

static void report(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    struct msg_lane *lane = ctx;
    struct msg_entry *entry = opaque;

    if (err != OIM_OK) {
        lane->fatal = true;
        return;
    }
    if (opaque == &lane->fence) {
        lane->fence.offset = offset;
        return;
    }
    if (lane->later && msg_later_reported(lane, opaque)) return;
    lane->inflight--;
    if (entry->orphan) {
        msg_turn_drop(lane, entry);
        return;
    }
    written(lane, &lane->partitions[partition], entry, offset);
    entry->state = MSG_READY;
}

static int gap_row(void *ctx, const struct oim_kafka_record *record)
{
    const struct msg_partition *part = ctx;
    Openim__Internal__Stored *s = openim__internal__stored__unpack(NULL, record->len, record->value);
    bool newer = s && (s->kind == OPENIM__INTERNAL__STORED_KIND__FENCE ? record->offset > part->epoch : s->epoch > part->epoch);

    if (s) openim__internal__stored__free_unpacked(s, NULL);
    return newer ? OIM_EFENCED : OIM_OK;
}

int msg_store_check(struct msg_lane *lane)
{
    for (int32_t p = 0; lane->gap && p < lane->top; p++) {
        struct msg_partition *part = &lane->partitions[p];
        int err;

        if (!part->owned || part->gap_from < 0) continue;
        err = oim_kafka_read(&lane->base.app->conf, lane->topic_stored, p, part->gap_from, part->next_stored, GAP_MS, gap_row, part);
        oim_log(OIM_LOG_WARN, "somebody else writes to this partition", "lane=%s partition=%d from=%" PRId64 " to=%" PRId64 " result=\"%s\"",
                lane->base.name, p, part->gap_from, part->next_stored, oim_err_name(err));
        if (err != OIM_OK) return err;
        part->gap_from = -1; /* void records of a predecessor */
    }
    lane->gap = false;
    return OIM_OK;
}

int msg_store_reports(struct msg_lane *lane, int timeout_ms)
{
    return oim_kafka_reports(lane->base.producer, report, lane, timeout_ms);
}

int msg_store_fence(struct msg_lane *lane, int32_t partition, int64_t *epoch)
{
    Openim__Internal__Stored stored = OPENIM__INTERNAL__STORED__INIT;
    int64_t until = oim_mono_ms() + FENCE_MS;
    uint8_t data[512];
    size_t len;

    stored.version = 1;
    stored.kind = OPENIM__INTERNAL__STORED_KIND__FENCE;
    stored.owner = lane->base.app->conf.general.instance;
    len = openim__internal__stored__get_packed_size(&stored);
    if (len > sizeof(data)) return OIM_EFATAL;
    openim__internal__stored__pack(&stored, data);
    lane->fence.offset = -1;
    if (oim_kafka_produce(lane->base.producer, lane->topic_stored, partition, NULL, 0, data, len, &lane->fence) != OIM_OK) return OIM_EUNAVAIL;
    /* also past the time: the report must not find another fence waiting */
    while (lane->fence.offset < 0 && !lane->fatal && !(lane->base.app->stop && oim_mono_ms() > until)) msg_store_reports(lane, 100);
    *epoch = lane->fence.offset;
    return lane->fence.offset >= 0 ? OIM_OK : OIM_EFATAL;
}
