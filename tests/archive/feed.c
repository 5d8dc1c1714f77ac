/* See archive.h: records as workers/logic/msg_store.c writes them, through the workers' own producer. */
#include "archive.h"

#include "internal.pb-c.h"
#include "sdkws.pb-c.h"

#include <unistd.h>

#define RECORD_MAX 1000000
#define BASE_TIME 1790000000000LL

static struct oim_kafka_producer *producer;
static int64_t last_offset;

static void report(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
    assert_int_equal(err, OIM_OK);
    last_offset = offset;
}

void feed_open(void)
{
    producer = oim_kafka_producer_new(&conf, "feed");
    assert_non_null(producer);
}

void feed_close(void)
{
    oim_kafka_producer_free(producer);
}

void feed_flush(void)
{
    int64_t until = oim_mono_ms() + 30000;

    while (oim_kafka_inflight(producer)) {
        oim_kafka_reports(producer, report, NULL, 50);
        assert_true(oim_mono_ms() < until);
    }
}

static void send_record(int32_t partition, const void *data, size_t len)
{
    int err;

    while ((err = oim_kafka_produce(producer, topic, partition, "k", 1, data, len, NULL)) == OIM_ELIMIT) {
        oim_kafka_reports(producer, report, NULL, 50);
    }
    assert_int_equal(err, OIM_OK);
}

int64_t feed_bytes(int32_t partition, const void *data, size_t len)
{
    send_record(partition, data, len);
    feed_flush();
    return last_offset;
}

int64_t feed_fence(int32_t partition)
{
    Openim__Internal__Stored stored = OPENIM__INTERNAL__STORED__INIT;
    uint8_t bytes[256];

    stored.version = 1;
    stored.kind = OPENIM__INTERNAL__STORED_KIND__FENCE;
    stored.owner = (char *)(uintptr_t)"test";
    return feed_bytes(partition, bytes, openim__internal__stored__pack(&stored, bytes));
}

static size_t stored_pack(uint8_t *out, int64_t epoch, const char *conversation, int64_t seq, uint8_t *message, size_t len)
{
    Openim__Internal__Stored stored = OPENIM__INTERNAL__STORED__INIT;

    stored.version = 1;
    stored.epoch = epoch;
    stored.conversationid = (char *)(uintptr_t)conversation;
    stored.seq = seq;
    stored.message = (ProtobufCBinaryData){.data = message, .len = len};
    assert_true(openim__internal__stored__get_packed_size(&stored) <= RECORD_MAX);
    return openim__internal__stored__pack(&stored, out);
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

void feed_msg_soon(int32_t partition, const struct feed_msg *f)
{
    static uint8_t message[RECORD_MAX], record[RECORD_MAX];
    Openim__Sdkws__MsgData m = OPENIM__SDKWS__MSG_DATA__INIT;
    size_t len;

    m.sendid = text(f->from);
    m.recvid = text(f->to);
    m.groupid = text(f->group);
    m.clientmsgid = text(f->client_id);
    m.servermsgid = text(f->server_id);
    m.sendernickname = text(f->nick);
    m.senderfaceurl = text(f->face);
    m.senderplatformid = 5;
    m.sessiontype = f->session ? f->session : 1;
    m.msgfrom = 100;
    m.contenttype = f->type ? f->type : 101;
    m.content = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)f->content, .len = f->len};
    m.seq = f->seq;
    m.sendtime = f->time ? f->time : BASE_TIME + f->seq;
    m.createtime = m.sendtime - 7;
    m.status = 2;
    len = openim__sdkws__msg_data__pack(&m, message);
    send_record(partition, record, stored_pack(record, f->epoch, f->conversation, f->seq, message, len));
    oim_kafka_reports(producer, report, NULL, 0);
}

int64_t feed_msg(int32_t partition, const struct feed_msg *f)
{
    feed_msg_soon(partition, f);
    feed_flush();
    return last_offset;
}

/* ---- the stream ---- */

const char *stream_name(int conversation)
{
    static char out[64];

    snprintf(out, sizeof(out), "si_a%d_b%d", conversation, conversation);
    return out;
}

const char *stream_sender(int conversation, int64_t seq)
{
    static char out[64];

    snprintf(out, sizeof(out), "%c%d", seq % 2 ? 'a' : 'b', conversation);
    return out;
}

const char *stream_client_id(int conversation, int64_t seq)
{
    static char out[64];

    snprintf(out, sizeof(out), "c%d-%lld", conversation, (long long)seq);
    return out;
}

size_t stream_message(int conversation, int64_t seq, uint8_t *out, size_t cap)
{
    Openim__Sdkws__MsgData m = OPENIM__SDKWS__MSG_DATA__INIT;
    char content[700], server_id[33], to[64];
    size_t n = 20 + (size_t)(conversation * 31 + seq * 17) % 600;

    memset(content, 'a' + (int)(seq % 26), n);
    snprintf(server_id, sizeof(server_id), "%016d%016lld", conversation, (long long)seq);
    snprintf(to, sizeof(to), "%s", stream_sender(conversation, seq + 1));
    m.sendid = text(stream_sender(conversation, seq));
    m.recvid = to;
    m.clientmsgid = text(stream_client_id(conversation, seq));
    m.servermsgid = server_id;
    m.senderplatformid = 1;
    m.sessiontype = 1;
    m.msgfrom = 100;
    m.contenttype = 101;
    m.content = (ProtobufCBinaryData){.data = (uint8_t *)content, .len = n};
    m.seq = seq;
    m.sendtime = BASE_TIME + seq;
    m.createtime = BASE_TIME + seq - 1;
    m.status = 2;
    assert_true(openim__sdkws__msg_data__get_packed_size(&m) <= cap);
    return openim__sdkws__msg_data__pack(&m, out);
}

void feed_stream(int64_t epoch, int conversation, int64_t seq)
{
    uint8_t message[2048], record[4096];
    size_t n = stored_pack(record, epoch, stream_name(conversation), seq, message, stream_message(conversation, seq, message, sizeof(message)));

    send_record(conversation % PARTITIONS, record, n);
    oim_kafka_reports(producer, report, NULL, 0);
}
