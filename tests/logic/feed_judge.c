/*
 * After the load: reads all of <prefix>stored as docs/records.md says (fences void older epochs) and compares with what was answered and
 * pushed; looks into Redis and MySQL. DESIGN promises 1 to 3.
 */
#include "feed.h"

#include "oim_err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct feed *f;
    int64_t fence;
    int voided;
};

static int checks_failed, checks_passed;

static void check(bool good, const char *what, const char *detail)
{
    printf("%s %s%s%s\n", good ? "ok" : "not ok", what, detail && !good ? ": " : "", detail && !good ? detail : "");
    if (good) {
        checks_passed++;
    } else {
        checks_failed++;
    }
}

static void stored_message(struct reading *r, const Openim__Internal__Stored *st)
{
    struct feed *f = r->f;
    Openim__Sdkws__MsgData *m = openim__sdkws__msg_data__unpack(NULL, st->message.len, st->message.data);
    size_t len = strlen(f->run);

    if (m && strncmp(m->clientmsgid, f->run, len) == 0) {
        int i = atoi(m->clientmsgid + len + 1);

        if (i >= 0 && i < f->n) {
            struct sent *s = &f->sent[i];

            if (strncmp(st->conversationid, "n_", 2) == 0) {
                s->n_stored++;
                s->n_seq = st->seq;
                openim__sdkws__msg_data__free_unpacked(m, NULL);
                return;
            }
            s->stored++;
            s->stored_seq = st->seq;
            s->stored_time = m->sendtime;
            snprintf(s->stored_id, sizeof(s->stored_id), "%s", m->servermsgid);
        }
    }
    if (m) openim__sdkws__msg_data__free_unpacked(m, NULL);
}

static int row(void *ctx, const struct oim_kafka_record *record)
{
    struct reading *r = ctx;
    Openim__Internal__Stored *st = openim__internal__stored__unpack(NULL, record->len, record->value);

    if (st == NULL) return 0;
    if (st->kind == OPENIM__INTERNAL__STORED_KIND__FENCE) {
        r->fence = record->offset;
    } else if (st->epoch < r->fence) {
        r->voided++;
    } else {
        if (st->epoch > r->fence) r->fence = st->epoch;
        stored_message(r, st);
    }
    openim__internal__stored__free_unpacked(st, NULL);
    return 0;
}

static void read_stored(struct feed *f)
{
    char topic[256];
    int partitions, voided = 0;
    bool good = true;

    snprintf(topic, sizeof(topic), "%sstored", f->conf.kafka.topic_prefix);
    f->stop = false;
    partitions = oim_kafka_partitions(&f->conf, topic, &f->stop);
    for (int32_t p = 0; p < partitions; p++) {
        struct reading r = {.f = f, .fence = -1};

        good &= oim_kafka_read(&f->conf, topic, p, 0, INT64_MAX, 10000, row, &r) == OIM_OK;
        voided += r.voided;
    }
    printf("void records: %d\n", voided);
    check(good && partitions > 0, "stored topic read", NULL);
}

static void messages(struct feed *f)
{
    int unanswered = 0, lost = 0, twice = 0, other = 0, unpushed = 0, typing = 0, differ = 0, refused = 0;
    int notices = 0, unnoticed = 0, turned = 0;
    char text[128];

    for (int i = 0; i < f->n; i++) {
        const struct sent *s = &f->sent[i];

        if (s->code) refused++;
        if (s->notice) {
            notices += s->stored != 1 || s->n_stored != 1;
            unnoticed += s->pushed[0] == 0 || s->notified == 0;
            turned += s->chat_before;
            continue;
        }
        if (!s->answered) {
            unanswered++;
            continue;
        }
        if (s->differs) differ++;
        if (s->typing) {
            typing += s->stored > 0 || s->pushed[1] > 0 || s->seq != 0;
            continue;
        }
        lost += s->stored == 0;
        twice += s->stored > 1;
        other += s->stored > 0 && (strcmp(s->stored_id, s->server_msg_id) != 0 || s->stored_time != s->send_time || (s->seq && s->seq != s->stored_seq));
        unpushed += s->pushed[0] == 0 || s->pushed[1] == 0;
    }
    snprintf(text, sizeof(text), "%d without an answer, %d refused at last", unanswered, refused);
    check(unanswered == 0, "every message was answered", text);
    snprintf(text, sizeof(text), "%d", lost);
    check(lost == 0, "nothing answered is lost", text);
    snprintf(text, sizeof(text), "%d", twice);
    check(twice == 0, "nothing is stored twice", text);
    snprintf(text, sizeof(text), "%d of the stored, %d among themselves", other, differ);
    check(other == 0 && differ == 0, "answer, push and record agree", text);
    snprintf(text, sizeof(text), "%d, with %d gaps in the numbers", unpushed, f->gaps);
    check(unpushed == 0 || f->gaps > 0, "pushed to both sides, or the gap was seen", text);
    snprintf(text, sizeof(text), "%d", typing);
    check(typing == 0, "typing is not stored and not pushed to its sender", text);
    snprintf(text, sizeof(text), "%d of %d not stored, %d not pushed, %d chat copies before the notification", notices, f->notices, unnoticed, turned);
    check(notices == 0 && turned == 0 && (unnoticed == 0 || f->gaps > 0), "notifications are stored twice, once in the chat", text);
    snprintf(text, sizeof(text), "%d", f->disorder);
    check(f->disorder == 0, "pushes of a conversation come in order", text);
    snprintf(text, sizeof(text), "%d", f->strange);
    check(f->strange == 0, "nothing strange on the channel", text);
}

static int by_seq(const void *a, const void *b)
{
    const struct sent *x = *(const struct sent *const *)a, *y = *(const struct sent *const *)b;

    return (x->stored_seq > y->stored_seq) - (x->stored_seq < y->stored_seq);
}

/* Seqs of each conversation are 1, 2, 3, ... and times never fall; Redis and MySQL say the same. */
static void conversations(struct feed *f)
{
    struct sent **list = malloc((size_t)f->n * sizeof(*list));
    struct oim_sql *db = oim_sql_new(&f->conf, "feed");
    struct oim_arena *a = oim_arena_new(65536);
    int *notices = calloc((size_t)f->pairs, sizeof(*notices));
    int holes = 0, falls = 0, redis = 0, reads = 0, rows_missing = 0;
    char text[128];

    for (int pair = 0; pair < f->pairs; pair++) {
        const char *u = f->users[2 * pair].id, *v = f->users[2 * pair + 1].id, *x = strcmp(u, v) < 0 ? u : v, *y = x == u ? v : u;
        int64_t last[2] = {0, 0}, max = 0;
        struct oim_sql_rows rows;
        char id[128];
        int n = 0;

        for (int i = 0; i < f->n; i++) {
            if (f->sent[i].pair == pair && f->sent[i].stored) list[n++] = &f->sent[i];
        }
        if (n == 0) continue;
        for (int i = 0; i < f->n; i++) notices[pair] += f->sent[i].pair == pair && f->sent[i].n_stored;
        for (int i = 0; i < f->n; i++) holes += f->sent[i].pair == pair && f->sent[i].n_seq > notices[pair];
        qsort(list, (size_t)n, sizeof(*list), by_seq);
        for (int i = 0; i < n; i++) {
            holes += list[i]->stored_seq != i + 1;
            falls += i > 0 && list[i]->stored_time < list[i - 1]->stored_time;
            last[list[i]->from & 1] = list[i]->stored_seq;
            max = list[i]->stored_seq;
        }
        snprintf(id, sizeof(id), "si_%s_%s", x, y);
        oim_redis_add(f->rds, "HGET oim:seq:%s max", id);
        oim_redis_add(f->rds, "HGET oim:read:%s %s", u, id);
        oim_redis_add(f->rds, "HGET oim:read:%s %s", v, id);
        oim_redis_add(f->rds, "EXISTS oim:hot:%s:%lld", id, (long long)max);
        if (oim_redis_run(f->rds) == OIM_OK) {
            redis += atoll(oim_redis_reply(f->rds, 0).str) != max || oim_redis_reply(f->rds, 3).integer != 1;
            reads += atoll(oim_redis_reply(f->rds, 1).str) != last[0] || atoll(oim_redis_reply(f->rds, 2).str) != last[1];
        } else {
            redis++;
        }
        oim_redis_reset(f->rds);
        struct oim_sql_value args[] = {oim_sql_text(u), oim_sql_text(v), oim_sql_text(id)};
        oim_arena_reset(a);
        if (oim_sql_exec(db, a, "SELECT owner_user_id FROM conversations WHERE owner_user_id IN (?, ?) AND conversation_id = ?", args, 3,
                         &rows, NULL) != OIM_OK ||
            rows.n != 2) {
            rows_missing++;
        }
    }
    snprintf(text, sizeof(text), "%d", holes);
    check(holes == 0, "seqs are dense", text);
    snprintf(text, sizeof(text), "%d", falls);
    check(falls == 0, "sendTime never falls", text);
    snprintf(text, sizeof(text), "%d conversations", redis);
    check(redis == 0, "redis has the newest seq and its message", text);
    snprintf(text, sizeof(text), "%d conversations", reads);
    check(reads == 0, "senders have read what they sent", text);
    snprintf(text, sizeof(text), "%d conversations", rows_missing);
    check(rows_missing == 0, "both sides have a conversation row", text);
    free(list);
    free(notices);
    oim_arena_free(a);
    oim_sql_free(db);
}

int feed_judge(struct feed *f)
{
    read_stored(f);
    messages(f);
    conversations(f);
    printf("%d passed, %d failed\n", checks_passed, checks_failed);
    return checks_failed;
}
