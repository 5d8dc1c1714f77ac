/*
 * openim-bench: simulated users against the whole system. A run: register users and get their tokens over REST, connect, send, wait until
 * everything has arrived, look at the history, print figures. Read load.h for the map of the files, README.md for what the figures mean.
 */
#include "load.h"

#include "message.h"
#include "rest.h"

#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define REGISTER_MAX 500
#define DRAIN_S 20
#define SETTLE_S 3

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

static void usage(FILE *out)
{
    fputs("usage: openim-bench [OPTIONS]\n\n"
          "  --conns N       connections, each a user of its own; users in pairs write to each other (100)\n"
          "  --rate N        messages a second over all connections, sent when they are due whatever the servers do (500)\n"
          "  --closed        instead: each connection sends its next message when the last one is acknowledged\n"
          "  --size N        bytes of a message's content (256)\n"
          "  --warmup S      seconds that do not count (3)\n"
          "  --duration S    seconds that do (20)\n"
          "  --idle N        instead: N connections that send nothing; memory of the nginx workers before and after\n"
          "  --check N       conversations whose history is read again after the run (50)\n"
          "  --gob --gzip    envelopes as the native clients' (default JSON, not compressed)\n"
          "  --json          figures as one JSON object;  --row NAME  as a row of a Markdown table;  --heads  that table's head\n\n"
          "Environment: OPENIM_WS_ADDRESS, OPENIM_REST_ADDRESS, OPENIM_SECRET; OPENIM_MYSQL_* to wait for the archive.\n",
          out);
}

static unsigned number(const char *text, unsigned min, unsigned max, const char *name)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == '\0' || *end || n < min || n > max) {
        fprintf(stderr, "openim-bench: --%s is a whole number from %u to %u\n", name, min, max);
        exit(2);
    }
    return (unsigned)n;
}

static void options_read(struct options *o, int argc, char **argv)
{
    static const struct option list[] = {
        {"conns", 1, NULL, 'c'}, {"rate", 1, NULL, 'r'}, {"size", 1, NULL, 's'},   {"warmup", 1, NULL, 'w'}, {"duration", 1, NULL, 'd'},
        {"closed", 0, NULL, 'l'}, {"idle", 1, NULL, 'i'}, {"check", 1, NULL, 'k'}, {"gob", 0, NULL, 'g'},    {"gzip", 0, NULL, 'z'},
        {"json", 0, NULL, 'j'},  {"row", 1, NULL, 'o'},  {"heads", 0, NULL, 'e'},  {"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) >= 0) {
        switch (c) {
        case 'c': o->conns = number(optarg, 2, 100000, "conns"); break;
        case 'r': o->rate = number(optarg, 1, 1000000, "rate"); break;
        case 's': o->size = number(optarg, 14, 40000, "size"); break;
        case 'w': o->warmup = number(optarg, 0, 3600, "warmup"); break;
        case 'd': o->duration = number(optarg, 1, 86400, "duration"); break;
        case 'k': o->check = number(optarg, 0, 100000, "check"); break;
        case 'l': o->closed = true; break;
        case 'g': o->gob = true; break;
        case 'z': o->gzip = true; break;
        case 'j': o->form = REPORT_JSON; break;
        case 'i':
            o->idle = true;
            o->conns = number(optarg, 2, 100000, "idle");
            break;
        case 'o':
            o->form = REPORT_ROW;
            o->name = optarg;
            break;
        case 'e': report_heads(); exit(0);
        case 'h': usage(stdout); exit(0);
        default: usage(stderr); exit(2);
        }
    }
    o->conns &= ~1u;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "openim-bench: %s: %s\n", what, why);
    return 1;
}

/* Files: one a connection. */
static int files_allow(unsigned conns)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > conns + 64 ? 0 : failed("connections", "more than this process may open; see ulimit -n");
}

static int people_make(struct traffic *t)
{
    const struct options *o = t->options;
    char **users = calloc(t->n, sizeof(*users)), **tokens = calloc(t->n, sizeof(*tokens));
    struct rest rest;
    uint64_t start = mono_ns();
    int err = rest_open(&rest, o->rest, o->secret, o->admin);

    for (uint32_t i = 0; i < t->n; i++) {
        struct person *p = &t->people[i];

        p->traffic = t;
        p->index = i;
        p->client.fd = -1;
        snprintf(p->user, sizeof(p->user), "b%su%06u", t->run, i);
        users[i] = p->user;
    }
    for (uint32_t i = 0; i < t->n && err == 0; i += REGISTER_MAX) {
        err = rest_register(&rest, users + i, t->n - i < REGISTER_MAX ? t->n - i : REGISTER_MAX, 0);
    }
    if (err == 0) err = rest_tokens(&rest, users, t->n, tokens);
    for (uint32_t i = 0; i < t->n; i++) t->people[i].token = tokens[i];
    rest_close(&rest);
    free(users);
    free(tokens);
    t->figures->setup_seconds = (double)(mono_ns() - start) / 1e9;
    return err == 0 ? 0 : failed("users over REST", rest.why);
}

static int idle_run(struct traffic *t)
{
    proc_sample(&t->figures->idle_before, true);
    if (!traffic_connect(t)) return failed("connecting", t->figures->error);
    traffic_hold(t, SETTLE_S);
    proc_sample(&t->figures->idle_after, true);
    proc_sample(&t->figures->before, false);
    traffic_hold(t, t->options->duration);
    proc_sample(&t->figures->after, true);
    t->figures->seconds = t->options->duration;
    traffic_close(t);
    return 0;
}

static int busy_run(struct traffic *t)
{
    if (!traffic_connect(t)) return failed("connecting", t->figures->error);
    if (t->options->closed) traffic_closed_loop(t);
    else traffic_open_loop(t);
    traffic_drain(t, DRAIN_S);
    traffic_close(t);
    verify_archive(t); /* first: its time counts from the end of sending */
    verify_history(t);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.name = "", .conns = 100, .rate = 500, .size = 256, .check = 50, .warmup = 3, .duration = 20};
    static struct figures figures;
    struct traffic t = {.options = &o, .figures = &figures};
    const struct figures *f = &figures;
    const char *why;
    int status;

    o.ws = setting("OPENIM_WS_ADDRESS", "127.0.0.1:10001");
    o.rest = setting("OPENIM_REST_ADDRESS", "127.0.0.1:10002");
    o.secret = setting("OPENIM_SECRET", "openIM123");
    o.admin = "imAdmin";
    options_read(&o, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!client_address(o.ws, &t.address, &why)) return failed(o.ws, why);
    if (files_allow(o.conns)) return 1;
    t.n = o.conns;
    t.people = calloc(t.n, sizeof(*t.people));
    t.codec = envelope_new(o.gob, o.gzip);
    t.content = malloc(o.size + 1);
    if (t.people == NULL || t.codec == NULL || t.content == NULL) return failed("memory", "none left");
    message_content(t.content, o.size);
    snprintf(t.run, sizeof(t.run), "%llx", (unsigned long long)wall_ms());
    status = people_make(&t);
    if (status == 0) status = o.idle ? idle_run(&t) : busy_run(&t);
    if (status == 0) report(&o, f);
    for (uint32_t i = 0; i < t.n; i++) free(t.people[i].token);
    free(t.people);
    free(t.sent);
    free(t.content);
    envelope_free(t.codec);
    if (status) return status;
    /* what was promised: nothing lost, double or out of order */
    return f->lost || f->duplicated || f->disordered || f->history.holes || f->history.missing || f->history.repeated || f->history.failed ? 3 : 0;
}
