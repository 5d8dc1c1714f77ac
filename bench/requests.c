/*
 * openim-bench-rest: REST requests from a file over keep-alive connections, at a given rate or as fast as they are answered. requests.py
 * makes the file and runs this; README.md says what the figures mean.
 *
 * A line of the file is "class TAB path TAB token TAB body"; lines are sent in turn, from the beginning again after the last (--once:
 * not again). With a rate each request has an intended time, and its latency counts from there whether or not a connection was free.
 */
#include "buf.h"
#include "client.h"
#include "hist.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLASSES 64
#define WAIT_S 30 /* for the last answers */

struct request {
    unsigned class;
    char *text;
    size_t len;
};

struct class {
    char *name;
    uint64_t errors;
    struct hist hist;
    char first[200]; /* error */
};

struct conn {
    int fd;
    struct buf in;
    const struct request *busy; /* NULL: free */
    size_t written;
    uint64_t intended;
    struct conn *next_free;
};

struct load {
    struct sockaddr_in address;
    const char *host;
    struct request *requests;
    size_t n_requests, at;
    struct class classes[CLASSES];
    unsigned n_classes;
    struct conn *conns, *free;
    unsigned n_conns, busy;
    int epoll;
    double rate;
    bool once;
    uint64_t start, measure, end, sent; /* ns */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "openim-bench-rest: %s: %s\n", what, why);
    exit(1);
}

/* ---- the file ---- */

static unsigned class_of(struct load *l, const char *name)
{
    for (unsigned i = 0; i < l->n_classes; i++) {
        if (strcmp(l->classes[i].name, name) == 0) return i;
    }
    if (l->n_classes == CLASSES) die(name, "too many classes");
    l->classes[l->n_classes].name = strdup(name);
    return l->n_classes++;
}

static void request_add(struct load *l, char *line, size_t number)
{
    char *parts[4], *save = line;
    struct buf text = {0};

    for (int i = 0; i < 4; i++) {
        parts[i] = i < 3 ? strsep(&save, "\t") : save;
        if (parts[i] == NULL) {
            fprintf(stderr, "openim-bench-rest: line %zu has no four parts\n", number);
            exit(2);
        }
    }
    buf_puts(&text, "POST ");
    buf_puts(&text, parts[1]);
    buf_printf(&text, " HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\noperationID: bench%zu\r\nContent-Length: %zu\r\ntoken: ",
               l->host, number, strlen(parts[3]));
    buf_puts(&text, parts[2]);
    buf_puts(&text, "\r\n\r\n");
    buf_puts(&text, parts[3]);
    if (l->n_requests % 1024 == 0) l->requests = realloc(l->requests, (l->n_requests + 1024) * sizeof(*l->requests));
    if (l->requests == NULL) die("requests", "out of memory");
    l->requests[l->n_requests++] = (struct request){class_of(l, parts[0]), (char *)text.data, text.len};
}

static void requests_read(struct load *l, const char *name)
{
    FILE *file = strcmp(name, "-") ? fopen(name, "r") : stdin;
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;

    if (file == NULL) die(name, strerror(errno));
    while ((len = getline(&line, &cap, file)) > 0) {
        if (line[len - 1] == '\n') line[len - 1] = '\0';
        request_add(l, line, ++number);
    }
    free(line);
    if (file != stdin) fclose(file);
    if (l->n_requests == 0) die(name, "no requests");
}

/* ---- a connection ---- */

static void conn_open(struct load *l, struct conn *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&l->address, sizeof(l->address))) die(l->host, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event)) die("epoll", strerror(errno));
}

static void conn_done(struct load *l, struct conn *c, const char *error)
{
    struct class *class = &l->classes[c->busy->class];
    uint64_t now = mono_ns();

    if (c->intended >= l->measure) {
        hist_add(&class->hist, now - c->intended);
        if (error) {
            class->errors++;
            if (class->first[0] == '\0') snprintf(class->first, sizeof(class->first), "%s", error);
        }
    }
    c->busy = NULL;
    c->next_free = l->free;
    l->free = c;
    l->busy--;
}

static void conn_lost(struct load *l, struct conn *c)
{
    close(c->fd);
    c->in.len = 0;
    if (c->busy) conn_done(l, c, "connection lost");
    conn_open(l, c);
}

static void conn_write(struct load *l, struct conn *c)
{
    const struct request *r = c->busy;
    ssize_t n = send(c->fd, r->text + c->written, r->len - c->written, MSG_NOSIGNAL);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    if (n > 0) c->written += (size_t)n;
    if (c->written < r->len) event.events |= EPOLLOUT;
    epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* Whether the answer is whole; error: what it says unless it is a success. last: nginx ends the connection with it (keepalive_requests).
 * Content-Length only: that is how nginx answers here. */
static bool answer_read(struct buf *in, char *error, size_t size, bool *last)
{
    char *head, *body, *length, *close;
    size_t want;

    buf_putc(in, '\0');
    in->len--;
    head = (char *)in->data;
    body = strstr(head, "\r\n\r\n");
    if (body == NULL) return false;
    length = strcasestr(head, "\r\nContent-Length:");
    if (length == NULL || length > body) {
        snprintf(error, size, "an answer without length");
        in->len = 0;
        return true;
    }
    close = strcasestr(head, "\r\nConnection: close");
    *last = close && close < body;
    want = (size_t)(body + 4 - head) + strtoul(length + 17, NULL, 10);
    if (in->len < want) return false;
    error[0] = '\0';
    if (strncmp(body + 4, "{\"errCode\":0,", 13)) snprintf(error, size, "%.150s", body + 4);
    in->len = 0;
    return true;
}

static void conn_read(struct load *l, struct conn *c)
{
    bool last = false;
    char error[200];

    for (;;) {
        ssize_t n = recv(c->fd, buf_extend(&c->in, 65536), 65536, 0);

        c->in.len -= 65536 - (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            conn_lost(l, c);
            return;
        }
        if (c->busy == NULL || !answer_read(&c->in, error, sizeof(error), &last)) continue;
        conn_done(l, c, error[0] ? error : NULL);
        if (!last) continue;
        conn_lost(l, c);
        return;
    }
}

/* ---- the run ---- */

static void send_next(struct load *l, uint64_t intended)
{
    struct conn *c = l->free;

    l->free = c->next_free;
    l->busy++;
    c->busy = &l->requests[l->at % l->n_requests];
    l->at++;
    c->written = 0;
    c->intended = intended;
    conn_write(l, c);
}

/* What is due and finds a connection. Gives the ms until the next one is due. */
static int send_due(struct load *l)
{
    uint64_t now = mono_ns();

    while (l->free && now < l->end && !(l->once && l->at == l->n_requests)) {
        uint64_t due = l->rate > 0 ? l->start + (uint64_t)((double)l->sent * 1e9 / l->rate) : now;

        if (due > now) return (int)((due - now) / 1000000);
        send_next(l, due);
        l->sent++;
    }
    return l->free && l->busy == 0 ? 1 : 100;
}

static void run(struct load *l, struct proc_sample *before, struct proc_sample *after)
{
    struct epoll_event events[64];
    bool sampled = false;

    for (;;) {
        uint64_t now = mono_ns();
        bool over = now >= l->end || (l->once && l->at == l->n_requests);
        int n;

        if (!sampled && now >= l->measure) {
            proc_sample(before, false);
            sampled = true;
        }
        if (over && (l->busy == 0 || now > l->end + WAIT_S * 1000000000ull)) break;
        n = epoll_wait(l->epoll, events, 64, send_due(l));
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if ((events[i].events & EPOLLOUT) && c->busy) conn_write(l, c);
            if (events[i].events & ~(unsigned)EPOLLOUT) conn_read(l, c);
        }
    }
    l->end = mono_ns();
    proc_sample(after, false);
}

/* ---- figures ---- */

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static int report(const struct load *l, const struct proc_sample *before, const struct proc_sample *after)
{
    double seconds = (double)(l->end - l->measure) / 1e9, cpu = 0;
    uint64_t all = 0, errors = 0;

    printf("| class | requests/s | p50 ms | p99 ms | max ms | errors |\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < l->n_classes; i++) {
        const struct class *c = &l->classes[i];

        printf("| %s | %.0f | %.2f | %.2f | %.1f | %llu |\n", c->name, (double)c->hist.n / seconds, ms(hist_value(&c->hist, 50)),
               ms(hist_value(&c->hist, 99)), ms(hist_max(&c->hist)), (unsigned long long)c->errors);
        all += c->hist.n;
        errors += c->errors;
    }
    printf("\n%.0f requests/s; CPU seconds per 1,000 requests:", (double)all / seconds);
    for (int k = 0; k < PROC_KINDS; k++) {
        double used = after->kind[k].cpu_s - before->kind[k].cpu_s;

        cpu += used;
        if (after->kind[k].count) printf(" %s %.3f", proc_names[k], used * 1000 / (double)(all ? all : 1));
    }
    printf("; %.0f requests/s for each core in use\n", cpu > 0 ? (double)all / cpu : 0);
    for (unsigned i = 0; i < l->n_classes; i++) {
        if (l->classes[i].first[0]) printf("first error of %s: %s\n", l->classes[i].name, l->classes[i].first);
    }
    return errors ? 3 : 0;
}

static const char usage[] = "usage: openim-bench-rest [--rate N] [--conns 50] [--warmup S] [--duration S] [--once] FILE\n\n"
                            "  --rate N      requests a second, sent when they are due (0: as fast as they are answered)\n"
                            "  --once        each line of FILE once; - reads the standard input\n"
                            "Environment: OPENIM_REST_ADDRESS.\n";

static double number(const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);

    if (*text == '\0' || *end || v < min || v > max) {
        fputs(usage, stderr);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct option list[] = {{"rate", 1, NULL, 'r'},     {"conns", 1, NULL, 'c'}, {"warmup", 1, NULL, 'w'},
                                         {"duration", 1, NULL, 'd'}, {"once", 0, NULL, 'o'},  {NULL, 0, NULL, 0}};
    static struct load l;
    static struct proc_sample before, after;
    double warmup = 2, duration = 10;
    const char *why;
    int c;

    l.n_conns = 50;
    while ((c = getopt_long(argc, argv, "", list, NULL)) >= 0) {
        switch (c) {
        case 'r': l.rate = number(optarg, 0, 1e6); break;
        case 'c': l.n_conns = (unsigned)number(optarg, 1, 10000); break;
        case 'w': warmup = number(optarg, 0, 3600); break;
        case 'd': duration = number(optarg, 1, 86400); break;
        case 'o': l.once = true; break;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    l.host = getenv("OPENIM_REST_ADDRESS");
    if (l.host == NULL || *l.host == '\0') l.host = "127.0.0.1:10002";
    signal(SIGPIPE, SIG_IGN);
    if (!client_address(l.host, &l.address, &why)) die(l.host, why);
    requests_read(&l, argv[optind]);
    l.epoll = epoll_create1(0);
    l.conns = calloc(l.n_conns, sizeof(*l.conns));
    if (l.epoll < 0 || l.conns == NULL) die("start", strerror(errno));
    for (unsigned i = 0; i < l.n_conns; i++) {
        conn_open(&l, &l.conns[i]);
        l.conns[i].next_free = l.free;
        l.free = &l.conns[i];
    }
    l.start = mono_ns();
    l.measure = l.start + (uint64_t)(warmup * 1e9);
    l.end = l.measure + (uint64_t)(duration * 1e9);
    run(&l, &before, &after);
    return report(&l, &before, &after);
}
