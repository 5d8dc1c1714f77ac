/*
 * After a run: what was acknowledged must be in the history, once, under numbers without holes (1002 over a sample of conversations), and in
 * MySQL, how long that takes after the last message. Called by load.c; ends with figures, never with an exit.
 */
#include "link.h"
#include "load.h"
#include "message.h"

#include <unistd.h>

#define PULL_BYTES 600000 /* of an answer: clients take 1 MiB */
#define PULL_MAX 100
#define TIMEOUT_MS 10000
#define TRIES 20
#define ARCHIVE_WAIT_S 60

struct page {
    struct traffic *t;
    uint32_t pair;     /* number of its first person */
    int64_t expected;  /* the next seq */
    int64_t n;
};

static void message_check(void *ctx, const char *conversation, size_t len, const struct message_view *m)
{
    struct page *page = ctx;
    struct traffic *t = page->t;
    size_t run = strlen(t->run);
    char digits[32];
    size_t number;

    page->n++;
    if (m->seq != page->expected) t->figures->history.holes++;
    page->expected = m->seq + 1;
    if (m->client_len == 0) { /* a placeholder: the seq was given, its message is not there */
        t->figures->history.holes++;
        return;
    }
    if (m->client_len <= run + 1 || memcmp(m->client_msg_id, t->run, run)) return;
    snprintf(digits, sizeof(digits), "%.*s", (int)(m->client_len - run - 1), m->client_msg_id + run + 1);
    number = strtoul(digits, NULL, 10);
    if (number >= t->n_sent || (t->sent[number].person & ~1u) != page->pair) return;
    if (t->sent[number].found++) t->figures->history.repeated++;
}

/* A page from page->expected on; asks again when the servers are behind. */
static bool page_pull(struct link *l, struct page *page, const char *conversation, int64_t width)
{
    int64_t begin = page->expected;
    struct envelope_reply e;
    uint8_t data[2048];
    size_t len = message_pull(data, sizeof(data), l->user, conversation, begin, begin + width - 1, width);

    page->n = 0;
    for (int i = 0; i < TRIES; i++) {
        if (link_ask(l, REQ_PULL, data, len, &e, TIMEOUT_MS) == 0) return message_each(e.data, e.len, message_check, page) == 0;
        if (e.code == 0) return false;
        usleep(250000);
    }
    return false;
}

static bool link_await(struct traffic *t, struct link *l, const struct person *p)
{
    for (int i = 0; i < TRIES; i++) {
        if (link_open(l, t->options->ws, p->user, p->token, NULL, NULL, TIMEOUT_MS) == 0) return true;
        if (t->figures->error[0] == '\0') snprintf(t->figures->error, sizeof(t->figures->error), "history: %.180s", l->why);
        if (i + 1 == TRIES) break;
        link_close(l);
        usleep(250000);
    }
    return false;
}

static bool conversation_check(struct traffic *t, uint32_t pair)
{
    const struct person *p = &t->people[pair];
    struct page page = {.t = t, .pair = pair, .expected = 1};
    int64_t width = PULL_BYTES / ((int64_t)t->options->size * 4 / 3 + 600);
    char conversation[128];
    struct link l;
    bool ok;

    if (width > PULL_MAX) width = PULL_MAX;
    if (width < 1) width = 1;
    message_conversation(conversation, sizeof(conversation), p->user, t->people[pair + 1].user);
    ok = link_await(t, &l, p);
    while (ok) {
        ok = page_pull(&l, &page, conversation, width);
        t->figures->history.messages += (uint64_t)page.n;
        if (page.n < width) break;
    }
    if (!ok && t->figures->error[0] == '\0') snprintf(t->figures->error, sizeof(t->figures->error), "history: %.180s", l.why);
    link_close(&l);
    return ok;
}

void verify_history(struct traffic *t)
{
    uint32_t pairs = t->n / 2, check = t->options->check < pairs ? t->options->check : pairs;
    uint8_t *checked = calloc(pairs + 1, 1);

    for (uint32_t i = 0; i < check && checked; i++) {
        uint32_t pair = (uint32_t)((uint64_t)i * pairs / check);

        if (conversation_check(t, pair * 2)) checked[pair] = 1;
        else t->figures->history.failed++;
        t->figures->history.conversations++;
    }
    for (size_t i = 0; i < t->n_sent && checked; i++) {
        const struct sent *s = &t->sent[i];

        if (s->acked && checked[s->person / 2] && !s->found) t->figures->history.missing++;
    }
    free(checked);
}

/* ---- MySQL ---- */

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

static int64_t rows_count(const char *run)
{
    const char *address = setting("OPENIM_MYSQL_ADDRESS", "127.0.0.1:3306"), *colon = strrchr(address, ':');
    char command[1024], line[64];
    int64_t rows = -1;
    FILE *out;

    snprintf(command, sizeof(command),
             "mariadb --skip-ssl -N -h '%.*s' -P '%s' -u '%s' '%s' -e \"select count(*) from msg_history where send_id like 'b%su%%'\" 2>/dev/null",
             colon ? (int)(colon - address) : (int)strlen(address), address, colon ? colon + 1 : "3306", setting("OPENIM_MYSQL_USER", "openim"),
             setting("OPENIM_MYSQL_DATABASE", "openim"), run);
    setenv("MYSQL_PWD", setting("OPENIM_MYSQL_PASSWORD", "openim"), 1);
    out = popen(command, "r");
    if (out == NULL) return -1;
    if (fgets(line, sizeof(line), out)) rows = atoll(line);
    return pclose(out) == 0 ? rows : -1;
}

void verify_archive(struct traffic *t)
{
    uint64_t start = mono_ns();

    do {
        t->figures->archive.rows = rows_count(t->run);
        t->figures->archive.seconds = (double)(mono_ns() - start) / 1e9;
        t->figures->archive.known = t->figures->archive.rows >= 0;
        if (!t->figures->archive.known || t->figures->archive.rows >= (int64_t)t->figures->acked) return;
        usleep(200000);
    } while (t->figures->archive.seconds < ARCHIVE_WAIT_S);
}
