/* link.h holds the contract. */
#include "link.h"

#include "message.h"

#include <poll.h>

static void opened(struct client *c)
{
    ((struct link *)c->ctx)->up = true;
}

static void closed(struct client *c, const char *why)
{
    struct link *l = c->ctx;

    snprintf(l->why, sizeof(l->why), "%s", why);
}

static void message(struct client *c, const uint8_t *data, size_t len)
{
    struct link *l = c->ctx;
    struct envelope_reply e;

    if (!envelope_decode(l->codec, data, len, &e)) return;
    if (l->waiting[0] == '\0' || strcmp(e.msg_incr, l->waiting)) {
        l->arrived++;
        if (l->pushed) l->pushed(l->ctx, &e);
        return;
    }
    l->reply_data.len = 0;
    buf_add(&l->reply_data, e.data, e.len);
    snprintf(l->reply_text, sizeof(l->reply_text), "%s", e.err_msg);
    l->reply = (struct envelope_reply){.req = e.req, .code = e.code, .msg_incr = l->waiting, .operation_id = "", .err_msg = l->reply_text,
                                       .data = l->reply_data.data, .len = l->reply_data.len};
    l->answered = true;
}

/* One round of waiting. -1 when the connection is gone. */
static int turn(struct link *l, int timeout_ms)
{
    struct pollfd pfd = {.fd = l->client.fd, .events = client_wants(&l->client)};

    if (l->client.state == CLIENT_CLOSED) return -1;
    if (poll(&pfd, 1, timeout_ms) > 0) client_io(&l->client, pfd.revents);
    return l->client.state == CLIENT_CLOSED ? -1 : 0;
}

static int left_ms(uint64_t until)
{
    uint64_t now = mono_ns();

    return now >= until ? 0 : (int)((until - now) / 1000000) + 1;
}

static int until(struct link *l, const bool *what, int timeout_ms, const char *late)
{
    uint64_t end = mono_ns() + (uint64_t)timeout_ms * 1000000;

    while (!*what) {
        if (left_ms(end) == 0) {
            snprintf(l->why, sizeof(l->why), "%s within %d ms", late, timeout_ms);
            return -1;
        }
        if (turn(l, left_ms(end)) < 0) return -1;
    }
    return 0;
}

int link_open(struct link *l, const char *address, const char *user, const char *token, link_pushed pushed, void *ctx, int timeout_ms)
{
    static const struct client_events events = {.opened = opened, .message = message, .closed = closed};
    struct sockaddr_in to;
    char query[2048];
    const char *why;

    *l = (struct link){.user = user, .pushed = pushed, .ctx = ctx, .client.fd = -1};
    l->codec = envelope_new(false, false);
    if (l->codec == NULL) return -1;
    snprintf(query, sizeof(query), "sendID=%s&token=%s&platformID=%d&operationID=link&isBackground=false%s", user, token, MESSAGE_PLATFORM,
             envelope_query(l->codec));
    if (!client_address(address, &to, &why)) {
        snprintf(l->why, sizeof(l->why), "%s: %s", address, why);
        return -1;
    }
    if (!client_open(&l->client, &to, query, &events, l)) {
        snprintf(l->why, sizeof(l->why), "no connection to %s", address);
        return -1;
    }
    return until(l, &l->up, timeout_ms, "no answer to the handshake");
}

int link_ask(struct link *l, int req, const uint8_t *data, size_t len, struct envelope_reply *e, int timeout_ms)
{
    struct envelope_request r = {.req = req, .send_id = l->user, .operation_id = l->waiting, .msg_incr = l->waiting, .data = data, .len = len};
    const struct buf *bytes;
    int err;

    if (l->client.state != CLIENT_OPEN) return -1;
    snprintf(l->waiting, sizeof(l->waiting), "link-%llu", ++l->count);
    bytes = envelope_encode(l->codec, &r);
    l->answered = false;
    client_send(&l->client, bytes->data, bytes->len);
    err = until(l, &l->answered, timeout_ms, "no answer");
    l->waiting[0] = '\0';
    *e = l->reply;
    if (err) {
        e->code = 0;
        return -1;
    }
    if (e->code) snprintf(l->why, sizeof(l->why), "request %d is answered with error %d %s", req, e->code, e->err_msg);
    return e->code ? -1 : 0;
}

int link_wait(struct link *l, int timeout_ms)
{
    uint64_t end = mono_ns() + (uint64_t)timeout_ms * 1000000;

    for (l->arrived = 0; l->arrived == 0;) {
        if (left_ms(end) == 0) return 0;
        if (turn(l, left_ms(end)) < 0) return -1;
    }
    return 1;
}

void link_close(struct link *l)
{
    client_close(&l->client);
    if (l->codec) envelope_free(l->codec);
    buf_free(&l->reply_data);
    l->codec = NULL;
}
