/*
 * See client.h. Reading goes through one buffer of the program: a connection owns memory only for what is cut by a read, so that ten
 * thousand idle ones cost nothing here.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define MESSAGE_MAX (8u << 20)
#define HANDSHAKE_MAX 16384

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

bool client_address(const char *text, struct sockaddr_in *out, const char **why)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    const char *colon = strrchr(text, ':');
    char host[256];
    int code;

    *why = "not host:port";
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) || atoi(colon + 1) <= 0) return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    code = getaddrinfo(host, colon + 1, &hints, &list);
    if (code) {
        *why = gai_strerror(code);
        return false;
    }
    memcpy(out, list->ai_addr, sizeof(*out));
    freeaddrinfo(list);
    return true;
}

static void fail(struct client *c, const char *why)
{
    if (c->state == CLIENT_CLOSED) return;
    close(c->fd);
    c->fd = -1;
    c->state = CLIENT_CLOSED;
    c->events->closed(c, why);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->fragments);
}

static void flush(struct client *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) {
            fail(c, strerror(errno));
            return;
        }
        buf_shift(&c->out, (size_t)n);
    }
}

static uint32_t random_mask(void)
{
    static uint32_t x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

static void frame_send(struct client *c, int op, const uint8_t *data, size_t len)
{
    uint32_t mask = random_mask();
    bool idle = c->out.len == 0;
    uint8_t key[4], *p;
    size_t i = 0;

    buf_putc(&c->out, (uint8_t)(0x80 | op));
    if (len < 126) {
        buf_putc(&c->out, (uint8_t)(0x80 | len));
    } else if (len < 65536) {
        buf_add(&c->out, (uint8_t[]){0x80 | 126, (uint8_t)(len >> 8), (uint8_t)len}, 3);
    } else {
        buf_putc(&c->out, 0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8) buf_putc(&c->out, (uint8_t)((uint64_t)len >> shift));
    }
    memcpy(key, &mask, 4);
    buf_add(&c->out, key, 4);
    p = buf_extend(&c->out, len);
    for (; i + 4 <= len; i += 4) {
        uint32_t word;

        memcpy(&word, data + i, 4);
        word ^= mask;
        memcpy(p + i, &word, 4);
    }
    for (; i < len; i++) p[i] = data[i] ^ key[i & 3];
    if (idle) flush(c);
}

void client_send(struct client *c, const uint8_t *data, size_t len)
{
    if (c->state == CLIENT_OPEN) frame_send(c, OP_BINARY, data, len);
}

/* ---- reading ---- */

static void message_part(struct client *c, bool fin, const uint8_t *data, size_t len)
{
    if (fin && c->fragments.len == 0) {
        c->events->message(c, data, len);
        return;
    }
    if (c->fragments.len + len > MESSAGE_MAX) {
        fail(c, "message too long");
        return;
    }
    buf_add(&c->fragments, data, len);
    if (!fin) return;
    c->events->message(c, c->fragments.data, c->fragments.len);
    if (c->state == CLIENT_OPEN) buf_free(&c->fragments);
}

static void frame_handle(struct client *c, uint8_t head, const uint8_t *data, size_t len)
{
    char why[160];

    switch (head & 15) {
    case OP_CONTINUATION:
    case OP_BINARY: message_part(c, head & 0x80, data, len); break;
    case OP_PING:
        c->pings++;
        frame_send(c, OP_PONG, data, len);
        break;
    case OP_CLOSE:
        snprintf(why, sizeof(why), "closed by the server: %d %.*s", len > 1 ? data[0] << 8 | data[1] : 0, len > 2 ? (int)len - 2 : 0,
                 (const char *)data + 2);
        fail(c, why);
        break;
    case OP_TEXT:
    case OP_PONG: break;
    default: fail(c, "frame of an unknown kind"); break;
    }
}

/* Takes whole frames off the front; returns how many bytes that were. */
static size_t frames_take(struct client *c, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (c->state == CLIENT_OPEN && len - at >= 2) {
        const uint8_t *p = data + at;
        size_t head = 2, size = p[1] & 127;

        if (p[1] & 0x80) {
            fail(c, "masked frame from the server");
            break;
        }
        if (size == 126) {
            if (len - at < 4) break;
            size = (size_t)p[2] << 8 | p[3];
            head = 4;
        } else if (size == 127) {
            if (len - at < 10) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | p[i];
            head = 10;
        }
        if (size > MESSAGE_MAX) {
            fail(c, "frame too long");
            break;
        }
        if (len - at - head < size) break;
        frame_handle(c, p[0], p + head, size);
        at += head + size;
    }
    return at;
}

static void handshake_read(struct client *c)
{
    char *text, *end, why[512];

    buf_putc(&c->in, 0);
    c->in.len--;
    text = (char *)c->in.data;
    end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        if (c->in.len > HANDSHAKE_MAX) fail(c, "handshake too long");
        return;
    }
    if (strncmp(text, "HTTP/1.1 101", 12)) {
        snprintf(why, sizeof(why), "refused: %.*s %.300s", (int)strcspn(text, "\r"), text, end + 4);
        fail(c, why);
        return;
    }
    buf_shift(&c->in, (size_t)(end + 4 - text));
    c->state = CLIENT_OPEN;
    c->events->opened(c);
}

static void bytes_take(struct client *c, const uint8_t *data, size_t len)
{
    size_t taken;

    if (c->state == CLIENT_HANDSHAKE) {
        buf_add(&c->in, data, len);
        handshake_read(c);
        len = 0;
    }
    if (c->state != CLIENT_OPEN) return;
    if (c->in.len || len == 0) {
        if (len) buf_add(&c->in, data, len);
        taken = frames_take(c, c->in.data, c->in.len);
        if (c->state == CLIENT_OPEN) buf_shift(&c->in, taken);
        if (c->state == CLIENT_OPEN && c->in.len == 0) buf_free(&c->in);
        return;
    }
    taken = frames_take(c, data, len);
    if (c->state == CLIENT_OPEN && taken < len) buf_add(&c->in, data + taken, len - taken);
}

static void read_some(struct client *c)
{
    static uint8_t bytes[READ_SIZE];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

    if (n > 0) bytes_take(c, bytes, (size_t)n);
    else if (n == 0) fail(c, c->state == CLIENT_OPEN ? "connection cut by the server" : "connection cut in the handshake");
    else if (errno != EAGAIN && errno != EINTR) fail(c, strerror(errno));
}

static void connected(struct client *c)
{
    socklen_t size = sizeof(int);
    int code = 0;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code) {
        fail(c, strerror(code));
        return;
    }
    c->state = CLIENT_HANDSHAKE;
    flush(c);
}

void client_io(struct client *c, short revents)
{
    if (c->state == CLIENT_CONNECTING && revents) connected(c);
    else if (c->state != CLIENT_CLOSED && (revents & POLLOUT)) flush(c);
    if (c->state != CLIENT_CLOSED && (revents & (POLLIN | POLLHUP | POLLERR))) read_some(c);
}

short client_wants(const struct client *c)
{
    if (c->state == CLIENT_CONNECTING) return POLLOUT;
    return (short)(POLLIN | (c->out.len ? POLLOUT : 0));
}

bool client_open(struct client *c, const struct sockaddr_in *address, const char *query, const struct client_events *events, void *ctx)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *c = (struct client){.fd = fd, .events = events, .ctx = ctx};
    if (fd < 0) return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno != EINPROGRESS) {
        close(fd);
        c->fd = -1;
        return false;
    }
    c->state = CLIENT_CONNECTING;
    buf_puts(&c->out, "GET /?");
    buf_puts(&c->out, query);
    buf_puts(&c->out, " HTTP/1.1\r\nHost: openim\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n");
    return true;
}

void client_close(struct client *c)
{
    if (c->state == CLIENT_CLOSED) return;
    if (c->state == CLIENT_OPEN) send(c->fd, "\x88\x82\0\0\0\0\x03\xe8", 8, MSG_NOSIGNAL);
    close(c->fd);
    c->fd = -1;
    c->state = CLIENT_CLOSED;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->fragments);
}
