/*
 * openim-demo: two users, one message each way, and the history. `./build.sh demo` runs it; it says in plain words what it does, and when
 * something does not work what to look at. Addresses from OPENIM_WS_ADDRESS, OPENIM_REST_ADDRESS, secret from OPENIM_SECRET.
 */
#include "json.h"
#include "link.h"
#include "message.h"
#include "rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 10000

struct person {
    const char *name;
    struct link link;
    uint64_t sent_ns;
    char got[256]; /* the last message that was pushed to it from somebody else */
    double after_ms;
    int64_t seq;
};

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

static double ms_since(uint64_t ns)
{
    return (double)(mono_ns() - ns) / 1e6;
}

static int hint(const char *what, const char *why)
{
    printf("\nDid not work: %s\n  %s\n\n"
           "Is everything running?  ./build.sh status\n"
           "What do the servers say?  the files in var/log: logic.log, archive.log, nginx-error.log\n",
           what, why);
    return 1;
}

/* ---- pushes ---- */

static void message_seen(void *ctx, const char *conversation, size_t len, const struct message_view *m)
{
    struct person *p = ctx;

    if (m->send_len == strlen(p->link.user) && memcmp(m->send_id, p->link.user, m->send_len) == 0) return;
    snprintf(p->got, sizeof(p->got), "%.*s", (int)m->content_len, m->content);
    p->after_ms = ms_since(p->sent_ns);
    p->seq = m->seq;
}

static void pushed(void *ctx, const struct envelope_reply *e)
{
    if (e->req == REQ_PUSH) message_each(e->data, e->len, message_seen, ctx);
}

/* ---- steps ---- */

static int login(struct person *p, const char *address, const char *token)
{
    uint64_t start = mono_ns();

    if (link_open(&p->link, address, p->link.user, token, pushed, p, WAIT_MS) < 0) {
        return hint("opening the WebSocket ws://..., as an app does", p->link.why);
    }
    printf("%-6s is connected (%.1f ms)\n", p->name, ms_since(start));
    return 0;
}

static int say(struct person *from, struct person *to, const char *text, int number)
{
    uint8_t data[4096];
    char content[512], id[96];
    int n = snprintf(content, sizeof(content), "{\"content\":\"%s\"}", text);
    struct message_sent sent;
    struct envelope_reply e;
    size_t len;

    snprintf(id, sizeof(id), "demo-%s-%d", from->link.user, number);
    len = message_pack(data, sizeof(data), from->link.user, to->link.user, id, content, (size_t)n);
    from->sent_ns = to->sent_ns = mono_ns();
    to->got[0] = '\0';
    if (link_ask(&from->link, REQ_SEND, data, len, &e, WAIT_MS) < 0) {
        return hint("sending a message", from->link.why);
    }
    printf("\n%s writes: \"%s\"\n", from->name, text);
    if (message_sent_read(e.data, e.len, &sent) < 0 || sent.server_id[0] == '\0') return hint("reading the answer to a message", "it has no serverMsgID");
    printf("  accepted after %.1f ms: serverMsgID %s\n", ms_since(from->sent_ns), sent.server_id);
    while (to->got[0] == '\0') {
        int got = link_wait(&to->link, WAIT_MS);

        if (got <= 0) return hint("waiting for the message at the other side", got < 0 ? to->link.why : "nothing came within 10 seconds");
    }
    printf("  %s has it after %.1f ms: number %lld of their conversation\n", to->name, to->after_ms, (long long)to->seq);
    return 0;
}

struct listing {
    const struct person *people;
    int n;
};

static void message_list(void *ctx, const char *conversation, size_t len, const struct message_view *m)
{
    struct listing *l = ctx;
    const char *user = l->people[0].link.user;
    int who = m->send_len == strlen(user) && memcmp(m->send_id, user, m->send_len) == 0 ? 0 : 1;

    struct json_slice value;
    struct buf text = {0};

    if (m->client_len == 0 || !json_find((struct json_slice){m->content, m->content_len}, "content", &value) || !json_text(&text, value)) return;
    printf("  %lld  %s: %.*s\n", (long long)m->seq, l->people[who].name, (int)text.len, (const char *)text.data);
    buf_free(&text);
    l->n++;
}

static int history(struct person *people)
{
    struct listing l = {.people = people};
    char conversation[256];
    uint8_t data[1024];
    struct envelope_reply e;
    uint64_t start = mono_ns();
    size_t len;

    message_conversation(conversation, sizeof(conversation), people[0].link.user, people[1].link.user);
    len = message_pull(data, sizeof(data), people[1].link.user, conversation, 1, 100, 100);
    if (link_ask(&people[1].link, REQ_PULL, data, len, &e, WAIT_MS) < 0) {
        return hint("reading the history", people[1].link.why);
    }
    printf("\nThe history, as %s reads it again (%.1f ms):\n", people[1].name, ms_since(start));
    if (message_each(e.data, e.len, message_list, &l) < 0 || l.n != 2) return hint("reading the history", "it does not hold the two messages");
    return 0;
}

int main(int argc, char **argv)
{
    const char *ws = setting("OPENIM_WS_ADDRESS", "127.0.0.1:10001"), *api = setting("OPENIM_REST_ADDRESS", "127.0.0.1:10002");
    struct person people[2] = {{.name = "Alice"}, {.name = "Bob"}};
    char ids[2][64], *users[2] = {ids[0], ids[1]}, *tokens[2] = {NULL, NULL};
    struct rest rest;
    int status;

    if (argc > 1) {
        printf("usage: openim-demo\n\nTwo users log in and write to each other. Environment: OPENIM_WS_ADDRESS, OPENIM_REST_ADDRESS, OPENIM_SECRET.\n");
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(ids[0], sizeof(ids[0]), "alice%llx", (unsigned long long)wall_ms());
    snprintf(ids[1], sizeof(ids[1]), "bob%llx", (unsigned long long)wall_ms());
    if (rest_open(&rest, api, setting("OPENIM_SECRET", "openIM123"), "imAdmin") < 0) return hint("logging in as administrator over REST", rest.why);
    printf("REST http://%s answers; WebSocket ws://%s\n", api, ws);
    if (rest_register(&rest, users, 2, 0) < 0) return hint("registering two users", rest.why);
    if (rest_tokens(&rest, users, 2, tokens) < 0) return hint("getting the users' tokens", rest.why);
    printf("Alice is user %s, Bob is user %s\n", users[0], users[1]);
    for (int i = 0; i < 2; i++) people[i].link.user = users[i];
    status = login(&people[0], ws, tokens[0]) || login(&people[1], ws, tokens[1]) || say(&people[0], &people[1], "Hello Bob, this went through nginx.", 1) ||
             say(&people[1], &people[0], "Hello Alice, so did this.", 2) || history(people);
    if (status == 0) printf("\nAll of it works.\n");
    for (int i = 0; i < 2; i++) {
        link_close(&people[i].link);
        free(tokens[i]);
    }
    rest_close(&rest);
    return status;
}
