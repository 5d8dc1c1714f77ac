/*
 * Connections, sending and receiving of openim-bench: one thread, one epoll. In the open loop message i is due at start + i / rate,
 * whatever the servers do, and its latency counts from then: a server that stalls cannot hide it (figures->lag says how late the generator
 * itself was). In the closed loop each connection has one message outstanding. Called by load.c.
 */
#include "load.h"
#include "message.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECTING_MAX 200
#define EVENTS 512
#define RETRY_NS 1000000000ull
#define CONNECT_TIMEOUT_NS 60000000000ull

/* ---- sending ---- */

static void epoll_update(struct person *p)
{
    struct epoll_event event = {.data.ptr = p};
    short wants = client_wants(&p->client);

    event.events = (wants & POLLIN ? EPOLLIN : 0u) | (wants & POLLOUT ? EPOLLOUT : 0u);
    if (p->client.state == CLIENT_CLOSED || event.events == p->events) return;
    epoll_ctl(p->traffic->epoll, p->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->client.fd, &event);
    p->events = event.events;
}

static struct sent *sent_new(struct traffic *t, uint32_t person, uint64_t intended)
{
    if (t->n_sent == t->cap_sent) {
        t->cap_sent = t->cap_sent ? t->cap_sent * 2 : 65536;
        t->sent = realloc(t->sent, t->cap_sent * sizeof(*t->sent));
        if (t->sent == NULL) exit(1);
    }
    t->sent[t->n_sent] = (struct sent){.intended = intended, .person = person, .measured = t->measuring};
    return &t->sent[t->n_sent++];
}

static void say(struct traffic *t, uint32_t person, uint64_t intended)
{
    struct person *p = &t->people[person];
    size_t number = t->n_sent, size = t->options->size + MESSAGE_HEAD;
    struct sent *s = sent_new(t, person, intended);
    char id[64], incr[32], operation[64];
    struct envelope_request r = {.req = REQ_SEND, .send_id = p->user, .operation_id = operation, .msg_incr = incr};
    const struct buf *bytes;

    if (p->client.state != CLIENT_OPEN) {
        s->failed = 1;
        t->figures->unsent++;
        return;
    }
    t->packed.len = 0;
    r.data = buf_extend(&t->packed, size);
    snprintf(incr, sizeof(incr), "%zu", number);
    snprintf(id, sizeof(id), "%s-%zu", t->run, number);
    snprintf(operation, sizeof(operation), "op%s-%zu", t->run, number);
    r.len = message_pack(t->packed.data, size, p->user, t->people[person ^ 1].user, id, t->content, t->options->size);
    bytes = envelope_encode(t->codec, &r);
    if (s->measured) hist_add(&t->figures->lag, mono_ns() - intended);
    t->outstanding++;
    t->figures->sent++;
    client_send(&p->client, bytes->data, bytes->len);
    epoll_update(p);
}

/* ---- receiving ---- */

/* Number of one of our messages, or -1. */
static int64_t number_of(const struct traffic *t, const char *id, size_t len)
{
    size_t run = strlen(t->run);
    int64_t n = 0;

    if (len < run + 2 || memcmp(id, t->run, run) || id[run] != '-') return -1;
    for (size_t i = run + 1; i < len; i++) {
        if (id[i] < '0' || id[i] > '9') return -1;
        n = n * 10 + (id[i] - '0');
    }
    return n < (int64_t)t->n_sent ? n : -1;
}

static void seen(void *ctx, const char *conversation, size_t len, const struct message_view *m)
{
    struct person *p = ctx;
    struct traffic *t = p->traffic;
    int64_t number = number_of(t, m->client_msg_id, m->client_len);
    struct sent *s;
    uint8_t *flag;

    if (number < 0) return;
    s = &t->sent[number];
    flag = s->person == p->index ? &s->echoed : &s->delivered;
    if (*flag) {
        t->figures->duplicated++;
        return;
    }
    *flag = 1;
    if (m->seq < p->last_seq) t->figures->disordered++;
    if (m->seq > p->last_seq) p->last_seq = m->seq;
    if (flag == &s->echoed) return;
    t->figures->delivered++;
    if (s->measured) hist_add(&t->figures->delivery, mono_ns() - s->intended);
}

static void acknowledged(struct person *p, const struct envelope_reply *e)
{
    struct traffic *t = p->traffic;
    size_t number = strtoul(e->msg_incr, NULL, 10);
    struct sent *s = &t->sent[number];

    if (number >= t->n_sent || s->person != p->index || s->acked || s->failed) return;
    t->outstanding--;
    if (e->code == 0) {
        s->acked = 1;
        t->figures->acked++;
        if (s->measured) hist_add(&t->figures->ack, mono_ns() - s->intended);
    } else {
        s->failed = 1;
        if (t->figures->errors++ == 0) snprintf(t->figures->error, sizeof(t->figures->error), "%d %.150s", e->code, e->err_msg);
    }
    if (t->sending) say(t, p->index, mono_ns());
}

static void message(struct client *c, const uint8_t *data, size_t len)
{
    struct person *p = c->ctx;
    struct envelope_reply e;

    if (!envelope_decode(p->traffic->codec, data, len, &e)) return;
    switch (e.req) {
    case REQ_SEND: acknowledged(p, &e); break;
    case REQ_PUSH: message_each(e.data, e.len, seen, p); break;
    default: break;
    }
}

/* ---- connecting ---- */

static void opened(struct client *c)
{
    struct person *p = c->ctx;

    p->traffic->up++;
    p->traffic->connecting--;
    p->counted = PERSON_UP;
    if (p->traffic->sending) say(p->traffic, p->index, mono_ns());
}

static void closed(struct client *c, const char *why)
{
    struct person *p = c->ctx;
    struct traffic *t = p->traffic;

    if (p->counted == PERSON_UP) {
        t->up--;
        t->figures->cuts++;
    } else {
        t->connecting--;
    }
    p->counted = PERSON_OFF;
    p->events = 0;
    p->retry_at = mono_ns() + RETRY_NS;
    t->figures->pings += c->pings;
    c->pings = 0;
    if (strncmp(why, "refused", 7) == 0) t->figures->refused++;
    if (t->figures->error[0] == '\0') snprintf(t->figures->error, sizeof(t->figures->error), "%.190s", why);
}

static void dial(struct person *p)
{
    static const struct client_events events = {.opened = opened, .message = message, .closed = closed};
    struct traffic *t = p->traffic;
    char query[2048];

    snprintf(query, sizeof(query), "sendID=%s&token=%s&platformID=%d&operationID=bench&isBackground=false%s", p->user, p->token,
             MESSAGE_PLATFORM, envelope_query(t->codec));
    p->retry_at = 0;
    p->events = 0;
    if (client_open(&p->client, &t->address, query, &events, p)) {
        t->connecting++;
        p->counted = PERSON_CONNECTING;
        epoll_update(p);
        return;
    }
    p->retry_at = mono_ns() + RETRY_NS;
    if (t->figures->error[0] == '\0') snprintf(t->figures->error, sizeof(t->figures->error), "connect: %s", strerror(errno));
}

static void person_io(struct person *p, uint32_t events)
{
    short revents = (short)((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0) | (events & EPOLLERR ? POLLERR : 0) |
                            (events & EPOLLHUP ? POLLHUP : 0));

    client_io(&p->client, revents);
    epoll_update(p);
}

/* Opens what is not connected, not too many at once. */
static void dial_more(struct traffic *t, uint64_t now)
{
    for (uint32_t tried = 0; tried < t->n && t->connecting < CONNECTING_MAX; tried++) {
        struct person *p = &t->people[t->next_connect];

        t->next_connect = (t->next_connect + 1) % t->n;
        if (p->client.state == CLIENT_CLOSED && p->retry_at <= now) dial(p);
    }
}

/* One round of the loop; returns at `until` at the latest. */
static void turn(struct traffic *t, uint64_t until)
{
    static uint64_t look_at;
    struct epoll_event events[EVENTS];
    uint64_t now = mono_ns(), wait = until > now ? until - now : 0;
    struct timespec limit = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int n;

    if (t->up + t->connecting < t->n && (now >= look_at || t->connecting < CONNECTING_MAX / 2)) {
        dial_more(t, now);
        look_at = now + 10000000;
        if (wait > 10000000) limit = (struct timespec){.tv_nsec = 10000000};
    }
    n = epoll_pwait2(t->epoll, events, EVENTS, &limit, NULL);
    for (int i = 0; i < n; i++) person_io(events[i].data.ptr, events[i].events);
}

static uint64_t after(double seconds)
{
    return mono_ns() + (uint64_t)(seconds * 1e9);
}

bool traffic_connect(struct traffic *t)
{
    uint64_t start = mono_ns();

    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    while (t->up < t->n) {
        turn(t, mono_ns() + 100000000);
        if (mono_ns() - start > CONNECT_TIMEOUT_NS) return false;
    }
    t->figures->connect_seconds = (double)(mono_ns() - start) / 1e9;
    return true;
}

/* ---- the loops ---- */

static void measure_begin(struct traffic *t)
{
    t->measuring = true;
    proc_sample(&t->figures->before, false);
}

static void measure_end(struct traffic *t, uint64_t began)
{
    t->figures->seconds = (double)(mono_ns() - began) / 1e9;
    proc_sample(&t->figures->after, true);
}

void traffic_open_loop(struct traffic *t)
{
    const struct options *o = t->options;
    uint64_t start = mono_ns() + 10000000, total = (uint64_t)((o->warmup + o->duration) * o->rate), warm = (uint64_t)(o->warmup * o->rate);
    uint64_t began = start;

    for (uint64_t i = 0; i < total;) {
        uint64_t due = start + (uint64_t)((double)i * 1e9 / o->rate);

        if (i == warm && !t->measuring) {
            measure_begin(t);
            began = mono_ns();
        }
        if (mono_ns() >= due) {
            say(t, (uint32_t)(i++ % t->n), due);
            if (i % 16) continue; /* late: catch up, but read, too */
            due = 0;
        }
        turn(t, due);
    }
    measure_end(t, began);
}

void traffic_closed_loop(struct traffic *t)
{
    uint64_t began, end = after(t->options->warmup);

    t->sending = true;
    for (uint32_t i = 0; i < t->n; i++) say(t, i, mono_ns());
    while (mono_ns() < end) turn(t, end);
    measure_begin(t);
    began = mono_ns();
    end = after(t->options->duration);
    while (mono_ns() < end) turn(t, end);
    t->sending = false;
    measure_end(t, began);
}

void traffic_hold(struct traffic *t, double seconds)
{
    uint64_t end = after(seconds);

    while (mono_ns() < end) turn(t, end);
}

static bool complete(const struct traffic *t)
{
    if (t->outstanding) return false;
    for (size_t i = 0; i < t->n_sent; i++) {
        if (t->sent[i].acked && !(t->sent[i].delivered && t->sent[i].echoed)) return false;
    }
    return true;
}

void traffic_drain(struct traffic *t, double seconds)
{
    uint64_t end = after(seconds);

    while (mono_ns() < end && !complete(t)) turn(t, mono_ns() + 50000000);
    traffic_hold(t, 0.3); /* for what comes twice */
    for (size_t i = 0; i < t->n_sent; i++) {
        const struct sent *s = &t->sent[i];

        if (!s->acked && !s->failed) t->figures->unanswered++;
        if (s->acked && !s->delivered) t->figures->lost++;
    }
}

void traffic_close(struct traffic *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        t->figures->pings += t->people[i].client.pings;
        client_close(&t->people[i].client);
    }
    close(t->epoll);
    buf_free(&t->packed);
}
