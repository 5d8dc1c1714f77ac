/*
 * openim-bench-group: one large group of which some members are online. Some of those write at a rate; every message has to reach every
 * connection once and in order. Prints pushes a second, how long they took, and what they cost (DESIGN promise 6: a message is one publish
 * per gateway, whatever the group's size). Open loop, as openim-bench. Status 3: something was lost, came twice or out of order.
 */
#include "client.h"
#include "envelope.h"
#include "hist.h"
#include "message.h"
#include "proc.h"
#include "rest.h"

#include "oim_wire.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define REGISTER_MAX 500
#define EVENTS 512
#define CONNECTING_MAX 100
#define DRAIN_NS 20000000000ull
#define CONNECT_NS 60000000000ull

struct person {
    struct client client;
    char user[48];
    char *token;
    int64_t last_seq;
    uint32_t events;
};

struct sent {
    uint64_t intended;
    uint32_t delivered;
    bool measured, acked;
};

static struct {
    unsigned members, online, senders, rate, size;
    double warmup, duration;
    struct person *people;
    struct sent *sent;
    size_t n_sent;
    struct envelope_codec *codec;
    struct sockaddr_in address;
    char run[24], group[48], *content;
    int epoll;
    unsigned up, connecting, cuts, errors, acked;
    uint64_t pushes, measured, twice, disordered;
    struct hist ack, delivery, lag;
    struct proc_sample before, after;
} b = {.members = 10000, .online = 1000, .senders = 10, .rate = 50, .size = 256, .warmup = 5, .duration = 20};

static void wants(struct person *p)
{
    struct epoll_event event = {.data.ptr = p};
    short need = client_wants(&p->client);

    event.events = (need & POLLIN ? EPOLLIN : 0u) | (need & POLLOUT ? EPOLLOUT : 0u);
    if (p->client.state == CLIENT_CLOSED || event.events == p->events) return;
    epoll_ctl(b.epoll, p->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->client.fd, &event);
    p->events = event.events;
}

/* Number of one of our messages, or -1. */
static int64_t number_of(const char *id, size_t len)
{
    size_t run = strlen(b.run);
    char text[32];
    long n;

    if (len < run + 2 || len - run > sizeof(text) || memcmp(id, b.run, run) || id[run] != '-') return -1;
    snprintf(text, sizeof(text), "%.*s", (int)(len - run - 1), id + run + 1);
    n = atol(text);
    return n >= 0 && (size_t)n < b.n_sent ? n : -1;
}

static void seen(void *ctx, const char *conversation, size_t len, const struct message_view *m)
{
    struct person *p = ctx;
    int64_t number = number_of(m->client_msg_id, m->client_len);
    struct sent *s = number < 0 ? NULL : &b.sent[number];

    if (s == NULL) return;
    if (m->seq == p->last_seq) b.twice++;
    if (m->seq < p->last_seq) b.disordered++;
    if (m->seq <= p->last_seq) return;
    p->last_seq = m->seq;
    s->delivered++;
    b.pushes++;
    if (!s->measured) return;
    b.measured++;
    hist_add(&b.delivery, mono_ns() - s->intended);
}

static void message(struct client *c, const uint8_t *data, size_t len)
{
    struct envelope_reply e;
    struct sent *s;

    if (!envelope_decode(b.codec, data, len, &e)) return;
    if (e.req == REQ_MAX_SEQ) {
        b.up++;
        b.connecting--;
    }
    if (e.req == REQ_PUSH) message_each(e.data, e.len, seen, c->ctx);
    if (e.req != REQ_SEND || strtoul(e.msg_incr, NULL, 10) >= b.n_sent) return;
    s = &b.sent[strtoul(e.msg_incr, NULL, 10)];
    if (e.code) {
        if (b.errors++ == 0) fprintf(stderr, "openim-bench-group: %d %s\n", e.code, e.err_msg);
        return;
    }
    s->acked = true;
    b.acked++;
    if (s->measured) hist_add(&b.ack, mono_ns() - s->intended);
}

/* Who has an answer gets all pushes from then on: the gateway takes requests when it knows the user's groups. */
static void opened(struct client *c)
{
    struct person *p = c->ctx;
    uint8_t data[64];
    struct oim_wire_writer w = {.data = data, .cap = sizeof(data)};
    struct envelope_request r = {.req = REQ_MAX_SEQ, .send_id = p->user, .operation_id = "bench", .msg_incr = "0", .data = data};
    const struct buf *bytes;

    oim_wire_bytes(&w, 1, p->user, strlen(p->user));
    r.len = w.len;
    bytes = envelope_encode(b.codec, &r);
    client_send(c, bytes->data, bytes->len);
}

static void closed(struct client *c, const char *why)
{
    ((struct person *)c->ctx)->events = 0;
    if (b.connecting) b.connecting--;
    if (b.cuts++ == 0) fprintf(stderr, "openim-bench-group: connection ended: %s\n", why);
}

static void turn(uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = mono_ns(), wait = until > now ? until - now : 0;
    struct timespec limit = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int n = epoll_pwait2(b.epoll, events, EVENTS, &limit, NULL);

    for (int i = 0; i < n; i++) {
        struct person *p = events[i].data.ptr;
        uint32_t e = events[i].events;

        client_io(&p->client, (short)((e & EPOLLIN ? POLLIN : 0) | (e & EPOLLOUT ? POLLOUT : 0) | (e & (EPOLLERR | EPOLLHUP) ? POLLERR : 0)));
        wants(p);
    }
}

static int connect_all(void)
{
    static const struct client_events events = {.opened = opened, .message = message, .closed = closed};
    uint64_t until = mono_ns() + CONNECT_NS;
    char query[2048];

    for (unsigned next = 0; b.up < b.online && mono_ns() < until && b.cuts == 0;) {
        for (; next < b.online && b.connecting < CONNECTING_MAX; next++) {
            struct person *p = &b.people[next];

            snprintf(query, sizeof(query), "sendID=%s&token=%s&platformID=%d&operationID=bench&isBackground=false%s", p->user, p->token,
                     MESSAGE_PLATFORM, envelope_query(b.codec));
            if (!client_open(&p->client, &b.address, query, &events, p)) return -1;
            b.connecting++;
            wants(p);
        }
        turn(mono_ns() + 20000000);
    }
    return b.up == b.online ? 0 : -1;
}

static void say(uint64_t intended, bool measured)
{
    struct person *p = &b.people[b.n_sent % b.senders];
    uint8_t data[65536];
    char id[64], incr[32], operation[80];
    struct envelope_request r = {.req = REQ_SEND, .send_id = p->user, .operation_id = operation, .msg_incr = incr, .data = data};
    const struct buf *bytes;

    snprintf(incr, sizeof(incr), "%zu", b.n_sent);
    snprintf(id, sizeof(id), "%s-%zu", b.run, b.n_sent);
    snprintf(operation, sizeof(operation), "op%s", id);
    b.sent[b.n_sent++] = (struct sent){.intended = intended, .measured = measured};
    if (p->client.state != CLIENT_OPEN) return;
    r.len = message_pack_group(data, sizeof(data), p->user, b.group, id, b.content, b.size);
    bytes = envelope_encode(b.codec, &r);
    if (measured) hist_add(&b.lag, mono_ns() - intended);
    client_send(&p->client, bytes->data, bytes->len);
    wants(p);
}

/* Seconds that were measured. */
static double traffic(void)
{
    uint64_t start = mono_ns() + 1000000, began = 0;
    size_t total = (size_t)((b.warmup + b.duration) * b.rate), warm = (size_t)(b.warmup * b.rate);
    double seconds;

    b.sent = calloc(total + 1, sizeof(*b.sent));
    if (b.sent == NULL) exit(1);
    while (b.n_sent < total) {
        uint64_t due = start + (uint64_t)((double)b.n_sent * 1e9 / b.rate);

        if (b.n_sent == warm && began == 0) {
            proc_sample(&b.before, false);
            began = mono_ns();
        }
        if (mono_ns() >= due) {
            say(due, began != 0);
            due = 0;
        }
        turn(due);
    }
    for (uint64_t until = mono_ns() + DRAIN_NS; mono_ns() < until && b.pushes < (uint64_t)b.acked * b.online;) turn(mono_ns() + 10000000);
    proc_sample(&b.after, true);
    seconds = (double)(mono_ns() - began) / 1e9;
    for (uint64_t until = mono_ns() + 300000000; mono_ns() < until;) turn(until); /* for what comes twice */
    return seconds;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "openim-bench-group: %s: %s\n", what, why);
    return 1;
}

/* Users, the group of all of them, tokens of those who come online. */
static int setup(const char *address, const char *secret)
{
    char **users = calloc(b.members, sizeof(*users)), (*names)[48] = calloc(b.members, sizeof(*names)), **tokens = calloc(b.online, sizeof(*tokens));
    struct rest rest;
    int err = rest_open(&rest, address, secret, "imAdmin");

    b.people = calloc(b.online, sizeof(*b.people));
    if (users == NULL || names == NULL || tokens == NULL || b.people == NULL) return failed("memory", "none left");
    for (unsigned i = 0; i < b.members; i++) {
        snprintf(names[i], sizeof(names[i]), "b%su%06u", b.run, i);
        users[i] = names[i];
    }
    for (unsigned i = 0; i < b.members && err == 0; i += REGISTER_MAX) {
        err = rest_register(&rest, users + i, b.members - i < REGISTER_MAX ? b.members - i : REGISTER_MAX, 0);
    }
    if (err == 0) err = rest_group(&rest, b.group, users, b.members);
    if (err == 0) err = rest_tokens(&rest, users, b.online, tokens);
    for (unsigned i = 0; i < b.online && err == 0; i++) {
        memcpy(b.people[i].user, names[i], sizeof(names[i]));
        b.people[i].token = tokens[i];
        b.people[i].client.fd = -1;
    }
    rest_close(&rest);
    free(users);
    free(names);
    free(tokens);
    return err == 0 ? 0 : failed("users and group over REST", rest.why);
}

static void times(const char *what, const struct hist *h)
{
    printf("%-10s p50 %.1f  p90 %.1f  p99 %.1f  max %.1f ms\n", what, (double)hist_value(h, 50) / 1e6, (double)hist_value(h, 90) / 1e6,
           (double)hist_value(h, 99) / 1e6, (double)hist_max(h) / 1e6);
}

static int report(double seconds)
{
    size_t lost = 0;

    for (size_t i = 0; i < b.n_sent; i++) lost += b.sent[i].acked ? b.online - b.sent[i].delivered : 0;
    printf("group of %u members, %u online, %u of them write %u messages a second of %u bytes\n", b.members, b.online, b.senders, b.rate, b.size);
    printf("messages   sent %zu  acknowledged %u  errors %u  connections cut %u\n", b.n_sent, b.acked, b.errors, b.cuts);
    printf("pushes     %.0f a second  lost %zu  twice %llu  out of order %llu\n", (double)b.measured / seconds, lost, (unsigned long long)b.twice,
           (unsigned long long)b.disordered);
    times("ack", &b.ack);
    times("delivery", &b.delivery);
    times("late sent", &b.lag);
    for (int i = 0; i < PROC_KINDS; i++) {
        double cpu = b.after.kind[i].cpu_s - b.before.kind[i].cpu_s;

        if (b.after.kind[i].count) printf("%-10s %.2f CPU s, %.3f for 10,000 pushes\n", proc_names[i], cpu, b.measured ? cpu * 1e4 / (double)b.measured : 0);
    }
    printf("%-10s %.2f CPU s\n", "generator", b.after.self_cpu_s - b.before.self_cpu_s);
    return lost || b.twice || b.disordered || b.errors || b.cuts || b.acked != b.n_sent ? 3 : 0;
}

static unsigned number(const char *text, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == '\0' || *end || n < 1 || n > max) exit(failed(text, "not a number that makes sense here"));
    return (unsigned)n;
}

static void options(int argc, char **argv)
{
    static const struct option list[] = {{"members", 1, NULL, 'm'}, {"online", 1, NULL, 'o'}, {"senders", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},
                                         {"size", 1, NULL, 'b'},    {"warmup", 1, NULL, 'w'}, {"duration", 1, NULL, 'd'}, {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) >= 0) {
        switch (c) {
        case 'm': b.members = number(optarg, 100000); break;
        case 'o': b.online = number(optarg, 100000); break;
        case 's': b.senders = number(optarg, 100000); break;
        case 'r': b.rate = number(optarg, 100000); break;
        case 'b': b.size = number(optarg, 40000); break;
        case 'w': b.warmup = number(optarg, 3600); break;
        case 'd': b.duration = number(optarg, 3600); break;
        default:
            fputs("usage: openim-bench-group [--members N] [--online N] [--senders N] [--rate N] [--size N] [--warmup S] [--duration S]\n", stderr);
            exit(2);
        }
    }
    if (b.online > b.members) b.online = b.members;
    if (b.senders > b.online) b.senders = b.online;
    if (b.size < 14) b.size = 14;
}

int main(int argc, char **argv)
{
    const char *ws = getenv("OPENIM_WS_ADDRESS"), *rest = getenv("OPENIM_REST_ADDRESS"), *secret = getenv("OPENIM_SECRET"), *why;
    struct rlimit files;

    options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (!client_address(ws ? ws : "127.0.0.1:10001", &b.address, &why)) return failed("address", why);
    snprintf(b.run, sizeof(b.run), "%llx", (unsigned long long)wall_ms());
    snprintf(b.group, sizeof(b.group), "bg%s", b.run);
    b.codec = envelope_new(false, false);
    b.content = malloc(b.size + 1);
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b.codec == NULL || b.content == NULL) return failed("memory", "none left");
    message_content(b.content, b.size);
    if (setup(rest ? rest : "127.0.0.1:10002", secret ? secret : "openIM123")) return 1;
    if (connect_all()) return failed("connecting", "not all are there");
    return report(traffic());
}
