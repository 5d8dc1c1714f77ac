/*
 * What the files here share.
 *
 *   main.c      runs the tests, each in a stage of its own
 *   stage.c     a stage: a topic, a MySQL and a MongoDB database, a state directory, all named after this process, removed afterwards
 *   worker.c    openim-archive as a child: start, kill, stop; its log
 *   feed.c      records into openim.stored as openim-logic writes them
 *   expect.c    what both stores must hold
 *   proxy.c     a wire to a store that can be cut
 *   test_*.c    the tests
 */
#ifndef TEST_ARCHIVE_H
#define TEST_ARCHIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_conf.h"
#include "oim_err.h"
#include "oim_kafka.h"
#include "oim_mongo.h"
#include "oim_sql.h"

#define PARTITIONS 4
#define CONVERSATIONS 64

/* ---- stage.c ---- */

extern struct oim_conf conf; /* of this process: the real addresses, the stage's names */
extern char topic[128], state_dir[128];
extern struct oim_sql *db;
extern struct oim_mongo *mg;
extern struct oim_arena *arena; /* reset by whoever wants */

int stage_open(void **state);
int stage_close(void **state);
int64_t stage_end_offset(int32_t partition);       /* of the topic */
int64_t stage_committed(int32_t partition);        /* of the group, -1: none */
int64_t sql_int(const char *sql, ...);             /* one number; the arguments are texts, closed by NULL. Fails the test without a row */
const char *sql_text(const char *sql, ...);
void sql_run(const char *sql);
/* Polls until the statement gives `want`, else fails the test after the seconds. */
void sql_await(int64_t want, int seconds, const char *sql);

/* ---- worker.c ---- */

struct worker {
    pid_t pid;
    char instance[64], log[256];
    const char *mysql, *mongo; /* addresses instead of the real ones, or NULL */
};

void worker_start(struct worker *w);
void worker_kill(struct worker *w);  /* SIGKILL */
int worker_stop(struct worker *w);   /* SIGTERM; the exit status */
void worker_pause(struct worker *w, bool pause);
bool worker_alive(struct worker *w); /* false: it has ended by itself */
int worker_logged(const struct worker *w, const char *text); /* lines with the text */
void worker_show(const struct worker *w, const char *text);          /* prints them */
void workers_end(void);              /* kills what a failed test has left */

/* ---- feed.c ---- */

void feed_open(void);
void feed_close(void);
int64_t feed_fence(int32_t partition);                               /* its offset */
int64_t feed_bytes(int32_t partition, const void *data, size_t len); /* waits; its offset */
/* A MsgData by hand inside a Stored. Waits; its offset. */
struct feed_msg {
    int64_t epoch, seq;
    const char *conversation, *from, *to, *group, *client_id, *server_id, *nick, *face;
    const void *content;
    size_t len;
    int32_t session, type;
    int64_t time;
};
int64_t feed_msg(int32_t partition, const struct feed_msg *m);
void feed_msg_soon(int32_t partition, const struct feed_msg *m); /* does not wait */
/* The ordinary stream: message `seq` of conversation 0..CONVERSATIONS-1, the same bytes each time. Does not wait. */
void feed_stream(int64_t epoch, int conversation, int64_t seq);
void feed_flush(void);
size_t stream_message(int conversation, int64_t seq, uint8_t *out, size_t cap); /* its MsgData */
const char *stream_name(int conversation);                                      /* static */
const char *stream_sender(int conversation, int64_t seq);                       /* static */
const char *stream_client_id(int conversation, int64_t seq);                    /* static */

/* ---- expect.c ---- */

/* Every conversation of the stream has exactly the seqs 1..last in both stores, byte for byte, with its ceiling and read seqs. */
void expect_stream(int64_t last);
/* All history is counted, and msg_counts says the same as it. */
void expect_counts(void);
/* archive_offset = end of the topic = the group's committed offset, for all partitions. */
void expect_offsets(void);

/* ---- proxy.c ---- */

struct proxy;
struct proxy *proxy_new(const char *address); /* forwards to it */
const char *proxy_address(const struct proxy *p);
void proxy_cut(struct proxy *p, bool cut);    /* ends all connections and accepts none */
void proxy_free(struct proxy *p);

/* ---- test_*.c ---- */

void test_columns(void **state);
void test_fences(void **state);
void test_parked(void **state);
void test_repeats(void **state);
void test_kill(void **state);
void test_mysql_away(void **state);
void test_mongo_away(void **state);
void test_zombie(void **state);
void test_two_workers(void **state);
void test_counts(void **state);
void test_counts_before(void **state);
void test_counts_line(void **state);
void test_counts_together(void **state);
int measure(void);

#endif
