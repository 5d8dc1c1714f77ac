/*
 * A WebSocket to the gateway (gateway.md 1, 2): non-blocking, driven by its owner's poll or epoll. Pings are answered here.
 *
 *   client_open(c, address, query, events, ctx)    then client_io when the socket is ready, with client_wants as what to wait for
 *   client_send(c, data, len)                      after events->opened
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "buf.h"

#include <netinet/in.h>
#include <stdbool.h>

struct client;

struct client_events {
    void (*opened)(struct client *c);
    void (*message)(struct client *c, const uint8_t *data, size_t len); /* of a binary message */
    void (*closed)(struct client *c, const char *why);                  /* once; the socket is closed already */
};

enum client_state { CLIENT_CLOSED, CLIENT_CONNECTING, CLIENT_HANDSHAKE, CLIENT_OPEN };

struct client {
    int fd;
    enum client_state state;
    const struct client_events *events;
    void *ctx;
    struct buf in, out;   /* a part of a frame; what the socket did not take */
    struct buf fragments; /* of a message */
    uint32_t pings;       /* answered */
};

/* "host:port" with a numeric or resolvable host; false with *why. */
bool client_address(const char *text, struct sockaddr_in *out, const char **why);
/* query: "sendID=..&token=.." and so on, appended to "/?". False when the socket cannot be had (errno). */
bool client_open(struct client *c, const struct sockaddr_in *address, const char *query, const struct client_events *events, void *ctx);
void client_io(struct client *c, short revents);
short client_wants(const struct client *c); /* POLLIN, POLLOUT */
void client_send(struct client *c, const uint8_t *data, size_t len); /* one binary message */
void client_close(struct client *c); /* silently, with a Close frame when it is open */

#endif
