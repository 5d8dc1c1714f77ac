/*
 * A user's connection for programs that have few of them and like to wait: log in, ask, wait for pushes. Built on client.h and envelope.h
 * (JSON). load.c uses it for the checks after a run, demo.c for everything.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include "client.h"
#include "envelope.h"

struct link;
typedef void (*link_pushed)(void *ctx, const struct envelope_reply *e); /* what is not the answer to a request */

struct link {
    struct client client;
    struct envelope_codec *codec;
    const char *user; /* borrowed */
    link_pushed pushed;
    void *ctx;
    unsigned long long count;
    char waiting[64];           /* msgIncr of the request that waits; "" none */
    bool up, answered;
    int arrived;                /* pushes since link_wait began */
    struct envelope_reply reply;
    struct buf reply_data;
    char why[256], reply_text[160]; /* why: of the last failure, in words */
};

/* 0, or -1 with why. The user logs in as Web and gets the connect result. */
int link_open(struct link *l, const char *address, const char *user, const char *token, link_pushed pushed, void *ctx, int timeout_ms);
/* Sends and waits. 0; -1 with why: no answer, or one with an error (then e->code is not 0). e is valid until the next call. */
int link_ask(struct link *l, int req, const uint8_t *data, size_t len, struct envelope_reply *e, int timeout_ms);
/* Until a push has come (pushed has seen it): 1; 0 time is over; -1 the connection is gone. */
int link_wait(struct link *l, int timeout_ms);
void link_close(struct link *l);

#endif
