/*
 * A record of openim.stored becomes a row of the batch, moves the fence, or is void (docs/records.md, Fencing). Called by lane.c for each
 * record in order; the row borrows the record's bytes. What cannot be read is parked. Read store.c next.
 */
#include "archive.h"

#include "internal.pb-c.h"
#include "oim_hash.h"
#include "oim_wire.h"
#include "sdkws.pb-c.h"

#include <inttypes.h>
#include <string.h>

#define CONVERSATION_CHARS 520 /* conversation_id of config/mysql/0002_history.sql */
#define ID_CHARS 255
#define SERVER_ID_CHARS 32
#define TEXT_CHARS 16000       /* of a TEXT column of 65,535 bytes */
#define READ_GROUP 3           /* sessionType */
#define WRITE_GROUP 2

static size_t utf8_chars(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) n += ((uint8_t)s[i] & 0xc0) != 0x80;
    return n;
}

/* s as UTF-8 of at most max characters: the columns are for people and search, data keeps what was sent. */
static const char *text_fit(struct oim_arena *a, const char *s, size_t max)
{
    size_t len = strlen(s), n = 0, end = 0;

    if (!oim_wire_utf8(s, len)) {
        char *clean = oim_arena_strndup(a, s, len);

        for (char *p = clean; *p; p++) {
            if ((uint8_t)*p >= 0x80) *p = '?';
        }
        s = clean;
    }
    if (len <= max || utf8_chars(s, len) <= max) return s;
    while (end < len && (((uint8_t)s[end] & 0xc0) == 0x80 || n < max)) n += ((uint8_t)s[end++] & 0xc0) != 0x80;
    return oim_arena_strndup(a, s, end);
}

static void row_fill(struct archive_lane *l, struct archive_row *row, const Openim__Internal__Stored *stored,
                     const Openim__Sdkws__MsgData *m)
{
    bool group = m->sessiontype == READ_GROUP || m->sessiontype == WRITE_GROUP;

    row->msg.conversation_id = stored->conversationid;
    row->msg.seq = stored->seq;
    row->msg.send_id = text_fit(l->arena, m->sendid, ID_CHARS);
    row->msg.client_msg_id = text_fit(l->arena, m->clientmsgid, ID_CHARS);
    row->msg.send_time = m->sendtime;
    row->msg.content_type = m->contenttype;
    row->msg.data = stored->message.data;
    row->msg.len = stored->message.len;
    row->server_msg_id = text_fit(l->arena, m->servermsgid, SERVER_ID_CHARS);
    row->recv_id = text_fit(l->arena, group ? m->groupid : m->recvid, ID_CHARS);
    row->nick_name = text_fit(l->arena, m->sendernickname, ID_CHARS);
    row->face_url = text_fit(l->arena, m->senderfaceurl, TEXT_CHARS);
    if (oim_wire_utf8(m->content.data, m->content.len)) {
        row->content = (const char *)m->content.data;
        row->content_len = m->content.len;
    }
    row->platform_id = m->senderplatformid;
    row->session_type = m->sessiontype;
    row->msg_from = m->msgfrom;
    row->create_time = m->createtime;
    /* two notifications of one sender without clientMsgID are not repeats of each other */
    oim_hash_dedup(row->dedup, stored->conversationid, m->sendid, *m->clientmsgid ? m->clientmsgid : m->servermsgid);
}

static int message_add(struct archive_lane *l, struct archive_partition *p, const struct oim_kafka_record *record,
                       const Openim__Internal__Stored *stored)
{
    struct archive_row *row = &l->rows[l->n_rows];
    const char *id = stored->conversationid;
    Openim__Sdkws__MsgData *m;

    if (stored->epoch < p->to_fence) {
        atomic_fetch_add(&l->counters->voids, 1);
        oim_log(OIM_LOG_INFO, "void record", "partition=%d offset=%" PRId64 " epoch=%" PRId64 " fence=%" PRId64, record->partition,
                record->offset, stored->epoch, p->to_fence);
        return OIM_OK;
    }
    p->to_fence = stored->epoch;
    if (*id == '\0' || !oim_wire_utf8(id, strlen(id)) || utf8_chars(id, strlen(id)) > CONVERSATION_CHARS) {
        return archive_park(l, record, "conversationID");
    }
    if (stored->seq < 1) return archive_park(l, record, "seq");
    m = openim__sdkws__msg_data__unpack(oim_arena_pb(l->arena), stored->message.len, stored->message.data);
    if (m == NULL || stored->message.len == 0) return archive_park(l, record, "MsgData");
    *row = (struct archive_row){.record = record};
    row_fill(l, row, stored, m);
    l->n_rows++;
    return OIM_OK;
}

static int stored_add(struct archive_lane *l, struct archive_partition *p, const struct oim_kafka_record *record)
{
    Openim__Internal__Stored *stored = openim__internal__stored__unpack(oim_arena_pb(l->arena), record->len, record->value);

    if (stored == NULL) return archive_park(l, record, "not a Stored");
    switch (stored->kind) {
    case OPENIM__INTERNAL__STORED_KIND__MESSAGE: return message_add(l, p, record, stored);
    case OPENIM__INTERNAL__STORED_KIND__FENCE:
        atomic_fetch_add(&l->counters->fences, 1);
        if (record->offset > p->to_fence) p->to_fence = record->offset;
        return OIM_OK;
    default: return archive_park(l, record, "unknown kind");
    }
}

/* False: a repeat of what the batch or the stores have. The log may also begin anew, under the same name and with other records: then
 * its old positions and fences mean nothing. */
static bool position_check(struct archive_lane *l, struct archive_partition *p, const struct oim_kafka_record *record)
{
    if (record->offset < p->to_next) {
        if (!p->fresh && record->timestamp <= p->timestamp) return false;
        oim_log(OIM_LOG_ERROR, "the log is shorter than our position: it was made anew, or lost its end; reading all of it",
                "partition=%d position=%" PRId64 " offset=%" PRId64, record->partition, p->to_next, record->offset);
        p->to_fence = -1;
    }
    p->fresh = false;
    p->timestamp = record->timestamp;
    p->to_next = record->offset + 1;
    return true;
}

int archive_decode(struct archive_lane *l, const struct oim_kafka_record *record)
{
    struct archive_partition *p = archive_partition(l, record->partition);
    int64_t next, fence, timestamp;
    bool fresh;
    int err;

    if (p == NULL || !p->ours) return OIM_OK;
    next = p->to_next;
    fence = p->to_fence;
    timestamp = p->timestamp;
    fresh = p->fresh;
    if (!position_check(l, p, record)) return OIM_OK;
    err = stored_add(l, p, record);
    if (err == OIM_OK) {
        p->touched = true;
        atomic_fetch_add(&l->counters->records, 1);
    } else { /* the caller comes again with the same record */
        p->to_next = next;
        p->to_fence = fence;
        p->timestamp = timestamp;
        p->fresh = fresh;
    }
    return err;
}
