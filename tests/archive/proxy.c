/* A wire to a store that can be cut. One thread for all connections. */
#include "archive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 64

struct proxy {
    pthread_t thread;
    atomic_bool cut, end;
    atomic_int applied;     /* the last state of cut that the thread has seen, +1 */
    struct sockaddr_in to;
    int listener, port;
    int pairs[PAIRS][2], n;
    char address[64];
};

static void pair_end(struct proxy *p, int i)
{
    close(p->pairs[i][0]);
    close(p->pairs[i][1]);
    p->n--;
    memmove(&p->pairs[i], &p->pairs[p->n], sizeof(p->pairs[i]));
}

static bool forward(int from, int to)
{
    static char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof(bytes), 0);

    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);

        if (sent <= 0) return false;
        at += sent;
    }
    return n > 0;
}

static void take(struct proxy *p)
{
    int in = accept(p->listener, NULL, NULL), out = socket(AF_INET, SOCK_STREAM, 0);

    if (in >= 0 && out >= 0 && !p->cut && p->n < PAIRS && connect(out, (struct sockaddr *)&p->to, sizeof(p->to)) == 0) {
        p->pairs[p->n][0] = in;
        p->pairs[p->n++][1] = out;
        return;
    }
    close(in);
    close(out);
}

static void *run(void *arg)
{
    struct proxy *p = arg;

    while (!p->end) {
        struct pollfd fds[1 + 2 * PAIRS] = {{.fd = p->listener, .events = POLLIN}};
        int n = p->n;

        if (p->cut) {
            while (p->n) pair_end(p, 0);
            n = 0;
        }
        p->applied = p->cut + 1;
        for (int i = 0; i < n; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = p->pairs[i][0], .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = p->pairs[i][1], .events = POLLIN};
        }
        if (poll(fds, (nfds_t)(1 + 2 * n), 10) <= 0) continue;
        for (int i = n - 1; i >= 0; i--) {
            bool ok = (fds[1 + 2 * i].revents == 0 || forward(p->pairs[i][0], p->pairs[i][1])) &&
                      (fds[2 + 2 * i].revents == 0 || forward(p->pairs[i][1], p->pairs[i][0]));

            if (!ok) pair_end(p, i);
        }
        if (fds[0].revents) take(p);
    }
    while (p->n) pair_end(p, 0);
    return NULL;
}

struct proxy *proxy_new(const char *address)
{
    struct proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strrchr(address, ':');
    socklen_t size = sizeof(at);
    char host[64];

    assert_non_null(p);
    assert_non_null(colon);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    p->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    assert_int_equal(inet_pton(AF_INET, host, &p->to.sin_addr), 1);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(p->listener, 64), 0);
    getsockname(p->listener, (struct sockaddr *)&at, &size);
    snprintf(p->address, sizeof(p->address), "127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
    return p;
}

const char *proxy_address(const struct proxy *p)
{
    return p->address;
}

void proxy_cut(struct proxy *p, bool cut)
{
    p->applied = 0;
    p->cut = cut;
    while (p->applied != cut + 1) usleep(1000);
}

void proxy_free(struct proxy *p)
{
    p->end = true;
    pthread_join(p->thread, NULL);
    close(p->listener);
    free(p);
}
