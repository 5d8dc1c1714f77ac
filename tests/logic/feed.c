/*
 * Feeds the message road of openim-logic as gateways would, and judges what comes back: for trying, for measuring, for road.sh which
 * kills and stops workers meanwhile.
 *
 *   feed -T N                    creates <prefix>msg, <prefix>rpc, <prefix>stored with N partitions and ends
 *   feed [-p PAIRS] [-r PER_SECOND] [-s SECONDS] [-d PERCENT]
 *
 * Users are registered in MySQL, their connections in Redis under a gateway of our own; every message goes into <prefix>msg and has to be
 * answered (one of a hundred is a notification with a chat copy, which nobody answers); without an answer it is sent again with the same clientMsgID after RESEND_MS, -d percent are sent twice at once. The first
 * message of each pair goes ahead of the load: its figures are for themselves. Afterwards feed_judge.c reads <prefix>stored. Closing line: "N passed, N failed". Addresses come from the OPENIM_* variables, as for the workers.
 */
#include "feed.h"

#include "oim_err.h"
#include "oim_wire.h"

#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RESEND_MS 10000
#define DRAIN_MS 60000
#define GATEWAY_MS 3000
#define TRIES 256

enum { TYPING = 113, TEXT = 101, NOTICE = 1201 };

int64_t feed_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- topics ---- */

static int topics_create(const struct oim_conf *conf, int partitions)
{
    static const char *const names[] = {"msg", "rpc", "stored"};
    rd_kafka_conf_t *kc = rd_kafka_conf_new();
    rd_kafka_NewTopic_t *topics[3];
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    char why[256], name[256];
    rd_kafka_t *rk;

    rd_kafka_conf_set(kc, "bootstrap.servers", conf->kafka.brokers, why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, kc, why, sizeof(why));
    if (rk == NULL) return 1;
    queue = rd_kafka_queue_new(rk);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", conf->kafka.topic_prefix, names[i]);
        topics[i] = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof(why));
    }
    rd_kafka_CreateTopics(rk, topics, 3, NULL, queue);
    event = rd_kafka_queue_poll(queue, 20000);
    printf("topics %s{msg,rpc,stored}: %s\n", conf->kafka.topic_prefix, event ? rd_kafka_event_error_string(event) : "no answer");
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy_array(topics, 3);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return 0;
}

/* ---- the world that the messages need ---- */

static void users_register(struct feed *f)
{
    struct oim_sql *db = oim_sql_new(&f->conf, "feed");
    struct oim_arena *a = oim_arena_new(65536);

    for (int u = 0; u < 2 * f->pairs; u++) {
        static const char sql[] = "INSERT IGNORE INTO users (user_id, nickname, face_url, ex, create_time) VALUES (?, 'feed', '', '', ?)";
        struct oim_sql_value args[] = {oim_sql_text(f->users[u].id), oim_sql_int(oim_now_ms())};

        if (oim_sql_exec(db, a, sql, args, 2, NULL, NULL) != OIM_OK) {
            fprintf(stderr, "cannot register users in MySQL\n");
            exit(2);
        }
    }
    oim_arena_free(a);
    oim_sql_free(db);
}

/* What the module writes for its connections; again and again, as Redis may lose it. */
static void gateway_live(struct feed *f)
{
    if (oim_mono_ms() < f->gateway_at) return;
    f->gateway_at = oim_mono_ms() + GATEWAY_MS;
    oim_redis_add(f->rds, "ZADD oim:gateways %lld %s", (long long)(oim_now_ms() + 10000), f->gateway);
    for (int u = 0; u < 2 * f->pairs; u++) {
        oim_redis_add(f->rds, "HSET oim:conn:%s %s/%d 5:%lld:0:t", f->users[u].id, f->gateway, u, (long long)oim_now_ms());
        oim_redis_add(f->rds, "EXPIRE oim:conn:%s 60", f->users[u].id);
    }
    if (oim_redis_run(f->rds) != OIM_OK) {
        f->gateway_at = oim_mono_ms() + 100;
    } else if (oim_redis_reply(f->rds, 0).integer == 1 && f->listening) {
        f->gaps++; /* we were not on the list any more: Redis lost its data, pushes may have found nobody */
    }
    oim_redis_reset(f->rds);
}

/* ---- sending ---- */

/* A notification of level 2 that is shown in the chat, too (messages.md 11.2). */
static void notice_options(Openim__Sdkws__MsgData *msg)
{
    static Openim__Sdkws__MsgData__OptionsEntry entries[6], *list[6];
    static const char *const names[] = {"isNotNotification", "isSendMsg", "history", "persistent", "offlinePush", "unreadCount"};

    for (int i = 0; i < 6; i++) {
        openim__sdkws__msg_data__options_entry__init(&entries[i]);
        entries[i].key = (char *)names[i];
        entries[i].value = i != 0 && i != 4;
        list[i] = &entries[i];
    }
    msg->options = list;
    msg->n_options = 6;
}

/* The bytes of message i: always the same. */
static size_t message_pack(struct feed *f, int i, uint8_t *out, size_t cap)
{
    struct sent *s = &f->sent[i];
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;
    char id[64], content[256];

    snprintf(id, sizeof(id), "%s-%d", f->run, i);
    snprintf(content, sizeof(content), "{\"content\":\"message %d of a load that is about as long as people write\"}", i);
    msg.sendid = f->users[s->from].id;
    msg.recvid = f->users[s->to].id;
    msg.clientmsgid = id;
    msg.senderplatformid = 5;
    msg.sendernickname = "feed";
    msg.sessiontype = 1;
    msg.msgfrom = 100;
    msg.contenttype = s->typing ? TYPING : s->notice ? NOTICE : TEXT;
    if (s->notice) notice_options(&msg);
    msg.content = (ProtobufCBinaryData){.data = (uint8_t *)content, .len = strlen(content)};
    msg.createtime = s->created;
    msg.status = 1;
    if (openim__sdkws__msg_data__get_packed_size(&msg) > cap) abort();
    return openim__sdkws__msg_data__pack(&msg, out);
}

static void send_one(struct feed *f, int i)
{
    struct sent *s = &f->sent[i];
    Openim__Internal__Uplink up = OPENIM__INTERNAL__UPLINK__INIT;
    struct oim_wire_msg peek;
    uint8_t data[2048], record[4096];
    char key[256], op[64];
    size_t len = message_pack(f, i, data, sizeof(data)), key_len;

    oim_wire_peek_msg(data, len, &peek);
    key_len = oim_wire_conversation_key(&peek, key, sizeof(key));
    snprintf(op, sizeof(op), "op-%s-%d", f->run, i);
    up.version = 1;
    up.gateway = f->gateway;
    up.requestid = (uint64_t)i * TRIES + (uint64_t)(s->tries++ % TRIES);
    up.source = OPENIM__INTERNAL__SOURCE__WS;
    up.reqidentifier = 1003;
    if (s->notice) {
        up.gateway = "";
        up.source = OPENIM__INTERNAL__SOURCE__SERVER;
    }
    up.userid = f->users[s->from].id;
    up.platformid = 5;
    up.operationid = op;
    up.receivedat = oim_now_ms();
    up.deadline = up.receivedat + 10000;
    up.payload = (ProtobufCBinaryData){.data = data, .len = len};
    s->sent_at = feed_us();
    if (s->first_at == 0) s->first_at = s->sent_at;
    len = openim__internal__uplink__pack(&up, record);
    while (oim_kafka_produce(f->producer, f->topic_msg, -1, key, key_len, record, len, NULL) != OIM_OK) usleep(1000);
}

static void report_ignore(void *ctx, void *opaque, int err, int32_t partition, int64_t offset)
{
}

static void resend(struct feed *f, int upto)
{
    int64_t now = feed_us();

    for (int i = f->answered_below; i < upto; i++) {
        if (f->sent[i].answered || f->sent[i].notice) {
            if (i == f->answered_below) f->answered_below++;
            continue;
        }
        if (now - f->sent[i].sent_at < RESEND_MS * 1000) continue;
        f->resent++;
        send_one(f, i);
    }
}

/* The first message of these pairs, until all are answered. */
static void first_messages(struct feed *f, int from, int to)
{
    int64_t until = feed_us() + DRAIN_MS * 1000;

    for (int i = from; i < to; i++) {
        f->sent[i].created = oim_now_ms();
        send_one(f, i);
    }
    while (feed_us() < until && f->answered_below < to) {
        resend(f, to);
        gateway_live(f);
        oim_kafka_reports(f->producer, report_ignore, NULL, 0);
        usleep(1000);
    }
}

static void run(struct feed *f)
{
    int64_t start = feed_us(), until;
    int64_t resend_at = start;

    for (int i = f->pairs; i < f->n; i++) {
        int64_t due = start + (int64_t)(i - f->pairs) * 1000000 / f->rate;

        while (feed_us() < due) usleep(200);
        f->sent[i].created = oim_now_ms();
        send_one(f, i);
        if (rand() % 100 < f->double_percent) send_one(f, i);
        oim_kafka_reports(f->producer, report_ignore, NULL, 0);
        gateway_live(f);
        if (feed_us() < resend_at) continue;
        resend(f, i + 1);
        resend_at = feed_us() + 200000;
    }
    until = feed_us() + DRAIN_MS * 1000;
    while (feed_us() < until && f->answered_below < f->n) {
        resend(f, f->n);
        gateway_live(f);
        oim_kafka_reports(f->producer, report_ignore, NULL, 0);
        usleep(20000);
    }
    usleep(300000); /* pushes behind the last answer */
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void percentiles(const char *what, int64_t *list, int n)
{
    if (n == 0) return;
    qsort(list, (size_t)n, sizeof(*list), by_value);
    printf("%s: n=%d p50=%.2f ms p90=%.2f ms p99=%.2f ms max=%.2f ms\n", what, n, (double)list[n / 2] / 1000, (double)list[n / 10 * 9] / 1000,
           (double)list[(int64_t)n * 99 / 100] / 1000, (double)list[n - 1] / 1000);
}

static void figures_of(struct feed *f, const char *what, int from, int to)
{
    int64_t *answers = malloc((size_t)f->n * sizeof(*answers)), *pushes = malloc((size_t)f->n * sizeof(*pushes));
    int a = 0, p = 0, to_answer = to - from;

    for (int i = from; i < to; i++) {
        if (f->sent[i].notice) to_answer--;
        if (f->sent[i].answered) answers[a++] = f->sent[i].answered_at - f->sent[i].first_at;
        if (f->sent[i].pushed[0]) pushes[p++] = f->sent[i].pushed_at - f->sent[i].first_at;
    }
    printf("%s, %d of %d answered\n", what, a, to_answer);
    percentiles("  answer after", answers, a);
    percentiles("  push after  ", pushes, p);
    free(answers);
    free(pushes);
}

static void figures(struct feed *f)
{
    figures_of(f, "first messages", 1, f->pairs);
    figures_of(f, "load", f->pairs, f->n);
    printf("sent=%d resent=%d downlinks=%" PRIu64 " gaps=%d again=%d\n", f->n, f->resent, f->downlinks, f->gaps, f->again);
}

static void prepare(struct feed *f)
{
    f->n = f->pairs + f->rate * f->seconds;
    f->sent = calloc((size_t)f->n + 1, sizeof(*f->sent));
    f->users = calloc((size_t)f->pairs * 2, sizeof(*f->users));
    snprintf(f->run, sizeof(f->run), "f%" PRIx64, (uint64_t)oim_now_ms());
    snprintf(f->gateway, sizeof(f->gateway), "feed-%s", f->run);
    snprintf(f->topic_msg, sizeof(f->topic_msg), "%smsg", f->conf.kafka.topic_prefix);
    for (int u = 0; u < 2 * f->pairs; u++) snprintf(f->users[u].id, sizeof(f->users[u].id), "%s_u%d", f->run, u);
    for (int i = 0; i < f->n; i++) {
        bool first = i < f->pairs;
        int pair = first ? i : rand() % f->pairs, side = rand() & 1;

        f->sent[i] = (struct sent){.from = 2 * pair + side, .to = 2 * pair + 1 - side, .pair = pair, .typing = !first && i % 50 == 49,
                                   .notice = !first && i % 100 == 77};
        f->notices += f->sent[i].notice;
    }
    f->rds = oim_redis_new(&f->conf, "feed");
    f->producer = oim_kafka_producer_new(&f->conf, "feed");
    f->conf.general.instance = f->gateway;
}

int main(int argc, char **argv)
{
    static struct feed f = {.pairs = 50, .rate = 500, .seconds = 10, .double_percent = 1};
    pthread_t thread;
    int option, topics = 0, failed;

    while ((option = getopt(argc, argv, "T:p:r:s:d:")) != -1) {
        switch (option) {
        case 'T': topics = atoi(optarg); break;
        case 'p': f.pairs = atoi(optarg); break;
        case 'r': f.rate = atoi(optarg); break;
        case 's': f.seconds = atoi(optarg); break;
        case 'd': f.double_percent = atoi(optarg); break;
        default: return 2;
        }
    }
    if (oim_conf_load(&f.conf, NULL) != OIM_OK) return 2;
    if (topics > 0) return topics_create(&f.conf, topics);
    srand((unsigned)oim_now_ms());
    prepare(&f);
    users_register(&f);
    gateway_live(&f);
    if (pthread_create(&thread, NULL, feed_listen, &f) != 0) return 2;
    while (!f.listening) usleep(1000);
    first_messages(&f, 0, 1); /* our producer has to find the topic */
    first_messages(&f, 1, f.pairs);
    run(&f);
    f.stop = true;
    pthread_join(thread, NULL);
    figures(&f);
    failed = feed_judge(&f);
    return failed != 0;
}
