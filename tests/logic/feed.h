/* What feed.c (sends), feed_listen.c (hears) and feed_judge.c (judges) share. One run, one process. */
#ifndef FEED_H
#define FEED_H

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_kafka.h"
#include "oim_redis.h"
#include "oim_sql.h"

#include "internal.pb-c.h"
#include "msg.pb-c.h"
#include "sdkws.pb-c.h"

struct user {
    char id[48];
};

/* One message. The listening thread writes the second half. */
struct sent {
    int from, to, pair;
    bool typing, notice;
    int tries;
    int64_t created, first_at, sent_at; /* ms; us, us */

    volatile bool answered;
    int32_t code;
    char server_msg_id[33];
    int64_t send_time, answered_at, pushed_at;
    int pushed[2]; /* to the receiver, to the sender */
    int64_t seq;   /* of the push */
    bool differs;  /* answers or pushes of one message that are not the same */

    int notified;         /* pushes of the notification copy */
    bool chat_before;     /* the chat copy came first */
    int n_stored;         /* valid records of the notification copy */
    int64_t n_seq;

    int stored; /* valid records */
    int64_t stored_seq, stored_time;
    char stored_id[33];
};

struct feed {
    struct oim_conf conf;
    int pairs, rate, seconds, double_percent, n;
    char run[32], gateway[64], topic_msg[256];
    struct user *users;
    struct sent *sent;
    struct oim_redis *rds;
    struct oim_kafka_producer *producer;
    int64_t gateway_at;
    int answered_below, resent;

    volatile bool stop, listening;
    uint64_t downlinks;
    int gaps, again, disorder, strange, notices;
};

int64_t feed_us(void);
void *feed_listen(void *feed); /* a thread */
int feed_judge(struct feed *f); /* prints; returns how many checks failed */

#endif
