/*
 * Conversations in the memory of the partition's owner: the newest seq and its time. msg_lane.c calls prepare() once per batch, then
 * assign() for each entry in the order of the log. docs/records.md: determinism, take-over (floors), duplicates.
 *
 * A conversation that is not here was not written since the archive's position (the take-over has read everything newer), so its floor
 * is what MySQL or, when that is higher, Redis says.
 */
#include "msg.h"
#include "msg_options.h"
#include "rpc.h"

#include "oim_hash.h"
#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONVS_MAX 500000 /* of a lane; more: what the archive has is forgotten at once and asked for again */

struct msg_conv *msg_conv_find(struct msg_lane *lane, const char *id)
{
    struct msg_conv *conv;

    HASH_FIND_STR(lane->convs, id, conv);
    return conv;
}

struct msg_conv *msg_conv_learn(struct msg_lane *lane, const char *id, int32_t partition, int64_t max_seq, int64_t last_time)
{
    struct msg_conv *conv = msg_conv_find(lane, id);
    size_t len = strlen(id) + 1;

    if (conv == NULL) {
        conv = malloc(sizeof(*conv) + len);
        if (conv == NULL) abort();
        memset(conv, 0, sizeof(*conv));
        conv->offset = -1;
        memcpy(conv->id, id, len);
        HASH_ADD_STR(lane->convs, id, conv);
    }
    conv->partition = partition;
    if (max_seq > conv->max_seq) conv->max_seq = max_seq;
    if (max_seq > conv->stored_seq) conv->stored_seq = max_seq;
    if (last_time > conv->last_time) conv->last_time = last_time;
    return conv;
}

void msg_conv_forget(struct msg_lane *lane, int32_t partition)
{
    struct msg_conv *conv, *next;

    HASH_ITER(hh, lane->convs, conv, next)
    {
        if (conv->partition != partition) continue;
        HASH_DEL(lane->convs, conv);
        free(conv);
    }
}

/* ---- floors ---- */

/* Conversations of the batch that are not in memory, each once, by its first entry. */
static size_t unknown(struct msg_lane *lane, struct msg_entry **entries, size_t n, struct msg_entry **out)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;

        if (entries[i]->outcome != MSG_STORED || msg_conv_find(lane, entries[i]->conversation_id)) continue;
        while (j < found && strcmp(out[j]->conversation_id, entries[i]->conversation_id)) j++;
        if (j == found) out[found++] = entries[i];
    }
    return found;
}

static int floors(struct msg_lane *lane, struct msg_entry **firsts, size_t n)
{
    static const char head[] = "SELECT conversation_id, archived_seq, archived_time FROM conversation_seq FORCE INDEX (PRIMARY)"
                               " WHERE conversation_id IN";
    struct logic_lane *base = &lane->base;
    char **ids = oim_arena_alloc(base->arena, n * sizeof(*ids));
    struct oim_sql_rows rows;
    int err;

    for (size_t i = 0; i < n; i++) {
        ids[i] = firsts[i]->conversation_id;
        oim_redis_add(base->rds, "HMGET oim:seq:%s max time", ids[i]);
    }
    err = logic_sql_in(base, head, NULL, 0, logic_text_values(base->arena, ids, n), n, "", &rows);
    if (err != OIM_OK || (err = oim_redis_run(base->rds)) != OIM_OK) {
        oim_redis_reset(base->rds);
        return err;
    }
    for (size_t i = 0; i < n; i++) {
        struct oim_redis_value v = oim_redis_reply(base->rds, i), max = oim_redis_at(&v, 0), time = oim_redis_at(&v, 1);

        msg_conv_learn(lane, ids[i], firsts[i]->partition, atoll(max.str), atoll(time.str));
    }
    oim_redis_reset(base->rds);
    for (size_t r = 0; r < rows.n; r++) {
        struct msg_conv *conv = msg_conv_find(lane, logic_cell_text(&rows, r, 0));

        if (conv) msg_conv_learn(lane, conv->id, conv->partition, logic_cell_int(&rows, r, 1), logic_cell_int(&rows, r, 2));
    }
    return OIM_OK;
}

static void refuse_all_of(struct msg_entry **entries, size_t n, const char *conversation_id)
{
    for (size_t i = 0; i < n; i++) {
        if (entries[i]->outcome == MSG_STORED && strcmp(entries[i]->conversation_id, conversation_id) == 0) {
            msg_refuse(entries[i], OIM_C_INTERNAL, "store unavailable");
        }
    }
}

/* ---- repeats that only the archive knows ---- */

static bool is_old(const struct msg_partition *part, const struct msg_entry *entry)
{
    return entry->msg->createtime < msg_dedup_oldest(part->dedup);
}

/* Entries whose first may have left the table: asked for in the history. Away: nobody can say, so they are refused; stored twice, the
 * second would be a hole in the archive. */
static void old_repeats(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    static const char head[] = "SELECT dedup, seq, send_time, server_msg_id FROM msg_history WHERE dedup IN";
    struct oim_arena *a = lane->base.arena;
    struct oim_sql_value *keys = oim_arena_alloc(a, n * sizeof(*keys));
    struct msg_entry **asked = oim_arena_alloc(a, n * sizeof(*asked));
    struct oim_sql_rows rows;
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        struct msg_entry *entry = entries[i];
        const struct msg_partition *part = &lane->partitions[entry->partition];

        if (entry->outcome != MSG_STORED || !is_old(part, entry) || msg_dedup_find(part->dedup, entry->dedup)) continue;
        keys[found] = oim_sql_blob(entry->dedup, 16);
        asked[found++] = entry;
    }
    if (found == 0) return;
    if (logic_sql_in(&lane->base, head, NULL, 0, keys, found, "", &rows) != OIM_OK) {
        for (size_t i = 0; i < found; i++) msg_refuse(asked[i], OIM_C_INTERNAL, "store unavailable");
        return;
    }
    for (size_t r = 0; r < rows.n; r++) {
        for (size_t i = 0; i < found; i++) {
            if (memcmp(asked[i]->dedup, oim_sql_cell(&rows, r, 0)->p, 16) != 0) continue;
            asked[i]->outcome = MSG_DUPLICATE;
            asked[i]->send_time = logic_cell_int(&rows, r, 2);
            asked[i]->server_msg_id = oim_arena_strdup(asked[i]->turn->arena, logic_cell_text(&rows, r, 3));
        }
    }
}

/* ---- new conversations ---- */

/* Chat conversations of which the batch brings the first message. */
static void new_conversations(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct msg_entry **firsts = oim_arena_alloc(lane->base.arena, n * sizeof(*firsts));
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const struct msg_conv *conv;
        size_t j = 0;

        if (entries[i]->outcome != MSG_STORED || !entries[i]->chat) continue;
        conv = msg_conv_find(lane, entries[i]->conversation_id);
        if (conv == NULL || conv->max_seq > 0) continue;
        while (j < count && strcmp(firsts[j]->conversation_id, conv->id)) j++;
        if (j == count) firsts[count++] = entries[i];
    }
    if (count == 0 || msg_conv_rows(lane, firsts, count) == OIM_OK) return;
    for (size_t i = 0; i < count; i++) refuse_all_of(entries, n, firsts[i]->conversation_id);
}

/* Forgets the conversations whose newest record the archive has: their floor is in MySQL, whatever Redis loses. When that leaves most of
 * them, the archive is behind; the next try is later. */
static void convs_shrink(struct msg_lane *lane)
{
    static const char sql[] = "SELECT partition_id, next_offset FROM archive_offset";
    int64_t *archived = oim_arena_zalloc(lane->base.arena, (size_t)lane->top * sizeof(*archived));
    struct msg_conv *conv, *next;
    struct oim_sql_rows rows = {0};

    if (oim_sql_exec(lane->base.db, lane->base.arena, sql, NULL, 0, &rows, NULL) == OIM_OK) {
        for (size_t i = 0; i < rows.n; i++) {
            int64_t p = logic_cell_int(&rows, i, 0);

            if (p >= 0 && p < lane->top) archived[p] = logic_cell_int(&rows, i, 1);
        }
        HASH_ITER(hh, lane->convs, conv, next)
        {
            if (conv->offset >= archived[conv->partition] || conv->max_seq != conv->stored_seq) continue;
            HASH_DEL(lane->convs, conv);
            free(conv);
        }
    }
    lane->convs_max = 2 * HASH_COUNT(lane->convs);
}

void msg_sequence_prepare(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct msg_entry **firsts = oim_arena_alloc(lane->base.arena, (n ? n : 1) * sizeof(*firsts));
    size_t count;

    if (HASH_COUNT(lane->convs) > CONVS_MAX && HASH_COUNT(lane->convs) > lane->convs_max) convs_shrink(lane);
    for (size_t i = 0; i < n; i++) {
        oim_hash_dedup(entries[i]->dedup, entries[i]->conversation_id, entries[i]->msg->sendid, entries[i]->msg->clientmsgid);
    }
    count = unknown(lane, entries, n, firsts);
    if (count && floors(lane, firsts, count) != OIM_OK) {
        for (size_t i = 0; i < count; i++) refuse_all_of(entries, n, firsts[i]->conversation_id);
    }
    old_repeats(lane, entries, n);
    new_conversations(lane, entries, n);
}

/* ---- in the order of the log ---- */

static const char *server_msg_id(struct oim_arena *a, const Openim__Sdkws__MsgData *msg, int32_t partition, int64_t offset)
{
    const char *parts[] = {msg->sendid, msg->clientmsgid, oim_arena_printf(a, "%d", partition), oim_arena_printf(a, "%" PRId64, offset)};
    char *hex = oim_arena_alloc(a, 33);
    uint8_t digest[16];

    oim_hash_sha128(digest, parts, 4);
    oim_hash_hex(hex, digest, 16);
    return hex;
}

/* The time of the log, never below the conversation's newest: the same record always gets the same. */
static void stamp(struct msg_entry *entry, struct msg_conv *conv)
{
    Openim__Sdkws__MsgData *msg = entry->msg;

    /* the answer to a batch has named it already (message_batch.c) */
    if (entry->up->source != OPENIM__INTERNAL__SOURCE__SERVER || msg->servermsgid[0] == '\0') {
        msg->servermsgid = (char *)(uintptr_t)server_msg_id(entry->turn->arena, msg, entry->partition, entry->offset);
    }
    if (msg->sendtime <= 0) {
        msg->sendtime = entry->timestamp;
        if (conv && msg->sendtime < conv->last_time) msg->sendtime = conv->last_time;
        if (conv) conv->last_time = msg->sendtime;
    }
    entry->server_msg_id = msg->servermsgid;
    entry->send_time = msg->sendtime;
}

static void pack(struct msg_entry *entry)
{
    uint8_t *data;

    entry->packed_len = openim__sdkws__msg_data__get_packed_size(entry->msg);
    data = oim_arena_alloc(entry->turn->arena, entry->packed_len);
    openim__sdkws__msg_data__pack(entry->msg, data);
    entry->packed = data;
}

void msg_sequence_assign(struct msg_lane *lane, struct msg_entry *entry)
{
    struct msg_partition *part = &lane->partitions[entry->partition];
    const struct msg_dedup_entry *first = NULL;
    struct msg_dedup_entry known;
    struct msg_conv *conv;

    if (entry->outcome == MSG_PUSHED) {
        stamp(entry, NULL);
        pack(entry);
        return;
    }
    /* a repeat gets the first answer, whatever the sender may do by now */
    if (entry->outcome != MSG_DUPLICATE && (first = msg_dedup_find(part->dedup, entry->dedup))) {
        entry->outcome = MSG_DUPLICATE;
        entry->send_time = first->send_time;
        entry->server_msg_id = server_msg_id(entry->turn->arena, entry->msg, entry->partition, first->offset);
    }
    if (entry->outcome == MSG_DUPLICATE && first && first->offset == entry->offset) {
        entry->outcome = MSG_SKIPPED; /* this very record: the take-over says its answer and its push again */
        return;
    }
    if (entry->outcome == MSG_STORED && entry->offset < part->again_below && entry->up->source != OPENIM__INTERNAL__SOURCE__SERVER) {
        msg_refuse(entry, OIM_C_INTERNAL, "store unavailable"); /* as the predecessor did: later ones may have its seq */
    }
    if (entry->outcome != MSG_STORED) return;
    conv = msg_conv_find(lane, entry->conversation_id);
    if (conv == NULL) {
        msg_refuse(entry, OIM_C_INTERNAL, "store unavailable");
        return;
    }
    entry->msg->seq = ++conv->max_seq;
    stamp(entry, conv);
    pack(entry);
    known = (struct msg_dedup_entry){.seq = entry->msg->seq, .send_time = entry->send_time, .offset = entry->offset};
    memcpy(known.key, entry->dedup, sizeof(known.key));
    msg_dedup_add(part->dedup, &known);
}
