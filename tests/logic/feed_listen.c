/*
 * The gateway's ear: everything that workers publish for us. Notes per message who was answered and pushed what, per publisher whether a
 * number is missing, per conversation whether a push came before an older one.
 */
#include "feed.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLISHERS 4096

static struct {
    char name[96];
    uint64_t number;
} publishers[PUBLISHERS];

static int64_t *newest; /* seq by pair, of pushes that are not "again" */

static struct sent *sent_of(struct feed *f, const char *client_msg_id)
{
    size_t len = strlen(f->run);
    int i;

    if (strncmp(client_msg_id, f->run, len) != 0 || client_msg_id[len] != '-') return NULL;
    i = atoi(client_msg_id + len + 1);
    return i >= 0 && i < f->n ? &f->sent[i] : NULL;
}

static void same(struct sent *s, const char *id, int64_t time)
{
    if (s->server_msg_id[0] == '\0') {
        snprintf(s->server_msg_id, sizeof(s->server_msg_id), "%s", id);
        s->send_time = time;
    } else if (strcmp(s->server_msg_id, id) != 0 || s->send_time != time) {
        /* an unstored message that was sent twice was pushed twice */
        if (!s->typing) s->differs = true;
    }
}

static void reply(struct feed *f, const Openim__Internal__Reply *r)
{
    struct sent *s = r->requestid / 256 < (uint64_t)f->n ? &f->sent[r->requestid / 256] : NULL;
    Openim__Msg__SendMsgResp *resp;

    if (s == NULL) {
        f->strange++;
        return;
    }
    if (r->errcode != 0) {
        /* a store was away: the client's user sends it again */
        s->code = r->errcode;
        return;
    }
    resp = openim__msg__send_msg_resp__unpack(NULL, r->data.len, r->data.data);
    if (resp == NULL || sent_of(f, resp->clientmsgid) != s) {
        f->strange++;
    } else {
        same(s, resp->servermsgid, resp->sendtime);
        if (!s->answered) s->answered_at = feed_us();
        s->code = 0;
        s->answered = true;
    }
    if (resp) openim__msg__send_msg_resp__free_unpacked(resp, NULL);
}

static void push_message(struct feed *f, const Openim__Internal__Push *p, const char *conversation_id, const Openim__Sdkws__MsgData *m)
{
    struct sent *s = sent_of(f, m->clientmsgid);
    bool again = p->flags & 1;

    if (s == NULL || m->status != (s->notice ? 0 : 2) || strcmp(p->conversationid, conversation_id) != 0 || p->seq != m->seq) {
        f->strange++;
        return;
    }
    if (strncmp(conversation_id, "n_", 2) == 0) {
        s->notified++;
        if (s->pushed[0] && !again && s->notified == 1) s->chat_before = true;
        if (!s->notice || m->n_options != 6) f->strange++;
        return;
    }
    if (s->notice && m->n_options != 2) f->strange++;
    same(s, m->servermsgid, m->sendtime);
    if (s->seq && s->seq != m->seq) s->differs = true;
    s->seq = m->seq;
    if (again) f->again++;
    if (m->seq > 0) {
        /* a process that was stopped in the middle of a publish says late what its successor has said: clients skip it */
        if (!again && m->seq <= newest[s->pair] && s->pushed[0] == 0) f->disorder++;
        if (m->seq > newest[s->pair]) newest[s->pair] = m->seq;
    }
    if (s->pushed_at == 0) s->pushed_at = feed_us();
    for (size_t i = 0; i < p->n_userids; i++) {
        if (strcmp(p->userids[i], f->users[s->to].id) == 0) s->pushed[0]++;
        if (strcmp(p->userids[i], f->users[s->from].id) == 0) s->pushed[1]++;
    }
}

static void push(struct feed *f, const Openim__Internal__Push *p)
{
    Openim__Sdkws__PushMessages *list = openim__sdkws__push_messages__unpack(NULL, p->payload.len, p->payload.data);

    if (list == NULL || p->reqidentifier != 2001) f->strange++;
    for (size_t i = 0; list && i < list->n_notificationmsgs; i++) {
        for (size_t j = 0; j < list->notificationmsgs[i]->value->n_msgs; j++) {
            push_message(f, p, list->notificationmsgs[i]->key, list->notificationmsgs[i]->value->msgs[j]);
        }
    }
    for (size_t i = 0; list && i < list->n_msgs; i++) {
        for (size_t j = 0; j < list->msgs[i]->value->n_msgs; j++) push_message(f, p, list->msgs[i]->key, list->msgs[i]->value->msgs[j]);
    }
    if (list) openim__sdkws__push_messages__free_unpacked(list, NULL);
}

static void number(struct feed *f, const Openim__Internal__Downlink *d)
{
    int i = 0;

    while (i < PUBLISHERS - 1 && publishers[i].name[0] && strcmp(publishers[i].name, d->publisher) != 0) i++;
    if (publishers[i].name[0] == '\0') snprintf(publishers[i].name, sizeof(publishers[i].name), "%s", d->publisher);
    if (d->number > publishers[i].number + 1) f->gaps++;
    publishers[i].number = d->number;
}

static void downlink(struct feed *f, const char *data, size_t len)
{
    Openim__Internal__Downlink *d = openim__internal__downlink__unpack(NULL, len, (const uint8_t *)data);

    if (d == NULL) {
        f->strange++;
        return;
    }
    f->downlinks++;
    number(f, d);
    for (size_t i = 0; i < d->n_replies; i++) reply(f, d->replies[i]);
    for (size_t i = 0; i < d->n_pushes; i++) push(f, d->pushes[i]);
    openim__internal__downlink__free_unpacked(d, NULL);
}

static redisContext *subscribe(const struct feed *f)
{
    char host[256];
    const char *address = f->conf.redis.address, *colon = strrchr(address, ':');
    redisContext *c;
    redisReply *r;

    snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - address) : (int)strlen(address), address);
    c = redisConnect(host, colon ? atoi(colon + 1) : 6379);
    if (c && !c->err && (r = redisCommand(c, "SUBSCRIBE openim:gw:%s", f->gateway))) {
        freeReplyObject(r);
        redisSetTimeout(c, (struct timeval){.tv_usec = 100000});
        return c;
    }
    if (c) redisFree(c);
    return NULL;
}

void *feed_listen(void *arg)
{
    struct feed *f = arg;
    redisContext *c = NULL;

    newest = calloc((size_t)f->pairs, sizeof(*newest));
    while (!f->stop) {
        redisReply *r = NULL;

        if (c == NULL) {
            c = subscribe(f);
            if (c == NULL) usleep(50000);
            f->listening |= c != NULL;
            continue;
        }
        if (redisGetReply(c, (void **)&r) == REDIS_OK) {
            if (r->type == REDIS_REPLY_ARRAY && r->elements == 3 && r->element[2]->type == REDIS_REPLY_STRING) {
                downlink(f, r->element[2]->str, r->element[2]->len);
            }
            freeReplyObject(r);
        } else if (c->err == REDIS_ERR_IO && strstr(c->errstr, "temporarily unavailable")) {
            c->err = 0; /* nothing came in time */
            c->errstr[0] = '\0';
        } else {
            redisFree(c);
            c = NULL;
            f->gaps++;
        }
    }
    if (c) redisFree(c);
    return NULL;
}
