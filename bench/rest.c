#include "rest.h"

#include "client.h"
#include "json.h"
#include "message.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ALREADY_REGISTERED 1102
#define TIMEOUT_S 20
#define GROUP_USERS 1000 /* of one request */

static int failed(struct rest *r, const char *what, const char *detail)
{
    snprintf(r->why, sizeof(r->why), "%s%s%.180s", what, detail ? ": " : "", detail ? detail : "");
    return -1;
}

static int dial(struct rest *r)
{
    struct timeval limit = {.tv_sec = TIMEOUT_S};
    struct sockaddr_in to;
    const char *why;
    int one = 1, fd;

    if (!client_address(r->address, &to, &why)) return failed(r, r->address, why);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failed(r, "no socket", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        failed(r, r->address, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends a request on link i, connecting first when needed. */
static int ask(struct rest *r, int i, const char *path, const char *body, size_t len)
{
    char head[REST_TOKEN + 512];
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: openim\r\nContent-Type: application/json\r\noperationID: bench\r\n%s%s%sContent-Length: %zu\r\n\r\n", path,
                     r->token[0] ? "token: " : "", r->token, r->token[0] ? "\r\n" : "", len);

    if (r->fds[i] < 0 && (r->fds[i] = dial(r)) < 0) return -1;
    if (send(r->fds[i], head, (size_t)n, MSG_NOSIGNAL | MSG_MORE) != n || send(r->fds[i], body, len, MSG_NOSIGNAL) != (ssize_t)len) {
        return failed(r, path, strerror(errno));
    }
    return 0;
}

/* The body of link i's next answer into buffer, NUL-terminated; its errCode, or -1. */
static int64_t answer(struct rest *r, int i, const char *path, char *buffer, size_t cap)
{
    size_t have = 0, length, head;
    char *end = NULL, *field;
    struct json_slice code;

    while (end == NULL) {
        ssize_t n = recv(r->fds[i], buffer + have, cap - 1 - have, 0);

        if (n <= 0) return failed(r, path, n ? strerror(errno) : "connection closed without an answer");
        have += (size_t)n;
        buffer[have] = '\0';
        end = strstr(buffer, "\r\n\r\n");
    }
    field = strcasestr(buffer, "\r\nContent-Length:");
    if (field == NULL || field > end) return failed(r, path, "answer without Content-Length");
    length = strtoul(field + 17, NULL, 10);
    head = (size_t)(end + 4 - buffer);
    if (head + length >= cap) return failed(r, path, "answer too large");
    while (have < head + length) {
        ssize_t n = recv(r->fds[i], buffer + have, head + length - have, 0);

        if (n <= 0) return failed(r, path, "answer cut off");
        have += (size_t)n;
    }
    buffer[have] = '\0';
    memmove(buffer, buffer + head, length + 1);
    if (!json_find((struct json_slice){buffer, length}, "errCode", &code)) return failed(r, path, buffer);
    if (json_int(code)) failed(r, path, buffer);
    return json_int(code);
}

/* data.token of an answer, allocated; NULL: there is none. */
static char *token_read(struct rest *r, const char *path, const char *body)
{
    struct json_slice value;
    struct buf text = {0};

    if (!json_find((struct json_slice){body, strlen(body)}, "data.token", &value) || !json_text(&text, value)) {
        buf_free(&text);
        failed(r, path, body);
        return NULL;
    }
    buf_putc(&text, 0);
    return (char *)text.data;
}

int rest_open(struct rest *r, const char *address, const char *secret, const char *admin)
{
    char body[512], buffer[8192], *token;
    int n = snprintf(body, sizeof(body), "{\"secret\":\"%s\",\"userID\":\"%s\"}", secret, admin);

    *r = (struct rest){.address = address};
    for (int i = 0; i < REST_LINKS; i++) r->fds[i] = -1;
    if (ask(r, 0, "/auth/get_admin_token", body, (size_t)n) < 0) return -1;
    if (answer(r, 0, "/auth/get_admin_token", buffer, sizeof(buffer)) != 0) return -1;
    token = token_read(r, "/auth/get_admin_token", buffer);
    if (token == NULL) return -1;
    snprintf(r->token, sizeof(r->token), "%s", token);
    free(token);
    return 0;
}

void rest_close(struct rest *r)
{
    for (int i = 0; i < REST_LINKS; i++) {
        if (r->fds[i] >= 0) close(r->fds[i]);
        r->fds[i] = -1;
    }
}

int rest_register(struct rest *r, char *const *users, size_t n, int tolerate)
{
    size_t cap = 64, len = 0;
    char *body, buffer[8192];
    int64_t code;
    int sent;

    for (size_t i = 0; i < n; i++) cap += 2 * strlen(users[i]) + 64;
    body = malloc(cap);
    if (body == NULL) return failed(r, "out of memory", NULL);
    len = (size_t)sprintf(body, "{\"users\":[");
    for (size_t i = 0; i < n; i++) {
        len += (size_t)sprintf(body + len, "%s{\"userID\":\"%s\",\"nickname\":\"%s\",\"faceURL\":\"\"}", i ? "," : "", users[i], users[i]);
    }
    len += (size_t)sprintf(body + len, "]}");
    sent = ask(r, 0, "/user/user_register", body, len);
    free(body);
    if (sent < 0) return -1;
    code = answer(r, 0, "/user/user_register", buffer, sizeof(buffer));
    return code == 0 || (tolerate && code == ALREADY_REGISTERED) ? 0 : -1;
}

/* path with {head "list": [users]} */
static int users_send(struct rest *r, const char *path, const char *head, const char *list, char *const *users, size_t n)
{
    size_t cap = strlen(head) + strlen(list) + 64, len;
    char *body, buffer[8192];
    int sent;

    for (size_t i = 0; i < n; i++) cap += strlen(users[i]) + 3;
    body = malloc(cap);
    if (body == NULL) return failed(r, "out of memory", NULL);
    len = (size_t)sprintf(body, "{%s,\"%s\":[", head, list);
    for (size_t i = 0; i < n; i++) len += (size_t)sprintf(body + len, "%s\"%s\"", i ? "," : "", users[i]);
    len += (size_t)sprintf(body + len, "]}");
    sent = ask(r, 0, path, body, len);
    free(body);
    if (sent < 0) return -1;
    return answer(r, 0, path, buffer, sizeof(buffer)) == 0 ? 0 : -1;
}

int rest_group(struct rest *r, const char *group, char *const *users, size_t n)
{
    size_t first = n < GROUP_USERS ? n : GROUP_USERS;
    char head[512];
    int err;

    snprintf(head, sizeof(head), "\"ownerUserID\":\"%s\",\"groupInfo\":{\"groupID\":\"%s\",\"groupName\":\"bench\",\"groupType\":2}", users[0], group);
    err = users_send(r, "/group/create_group", head, "memberUserIDs", users + 1, first - 1);
    snprintf(head, sizeof(head), "\"groupID\":\"%s\",\"reason\":\"\"", group);
    for (size_t i = first; i < n && err == 0; i += GROUP_USERS) {
        err = users_send(r, "/group/invite_user_to_group", head, "invitedUserIDs", users + i, n - i < GROUP_USERS ? n - i : GROUP_USERS);
    }
    return err;
}

static int token_ask(struct rest *r, int link, const char *user)
{
    char body[512];
    int n = snprintf(body, sizeof(body), "{\"platformID\":%d,\"userID\":\"%s\"}", MESSAGE_PLATFORM, user);

    return ask(r, link, "/auth/get_user_token", body, (size_t)n);
}

int rest_tokens(struct rest *r, char *const *users, size_t n, char **tokens)
{
    char buffer[8192];

    for (size_t first = 0; first < n; first += REST_LINKS) {
        size_t count = n - first < REST_LINKS ? n - first : REST_LINKS;

        for (size_t i = 0; i < count; i++) {
            if (token_ask(r, (int)i, users[first + i]) < 0) return -1;
        }
        for (size_t i = 0; i < count; i++) {
            if (answer(r, (int)i, "/auth/get_user_token", buffer, sizeof(buffer)) != 0) return -1;
            tokens[first + i] = token_read(r, "/auth/get_user_token", buffer);
            if (tokens[first + i] == NULL) return -1;
        }
    }
    return 0;
}
