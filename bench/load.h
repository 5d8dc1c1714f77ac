/*
 * What the files of openim-bench share.
 *
 *   load.c      options, and the order of a run
 *   traffic.c   connections, sending and receiving in one epoll loop
 *   verify.c    after the run: is the history what was promised
 *   report.c    the figures as text, JSON or a row of a Markdown table
 *   hist.c      histogram     proc.c      CPU and memory of the servers
 *   client.c envelope.c json.c message.c link.c rest.c   the protocol
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "client.h"
#include "envelope.h"
#include "hist.h"
#include "proc.h"

enum report_form { REPORT_TEXT, REPORT_JSON, REPORT_ROW };

struct options {
    const char *name, *ws, *rest, *secret, *admin;
    unsigned conns, rate, size, check;
    double warmup, duration;
    bool closed, idle, gob, gzip;
    enum report_form form;
};

/* A simulated user; persons 2k and 2k+1 write to each other. */
struct person {
    struct client client;
    struct traffic *traffic;
    char *token;
    char user[48];
    uint32_t index;
    uint32_t events;      /* what epoll waits for */
    int64_t last_seq;     /* newest seq that was pushed */
    uint64_t retry_at;    /* not connected: when to try again */
    enum { PERSON_OFF, PERSON_CONNECTING, PERSON_UP } counted; /* as what the traffic's counts have it */
};

/* A message that was sent; its number is in clientMsgID and msgIncr. */
struct sent {
    uint64_t intended;    /* ns; latency counts from here */
    uint32_t person;
    uint8_t measured, acked, failed, delivered, echoed, found;
};

struct figures {
    uint64_t sent, acked, errors, unsent, unanswered, delivered, lost, duplicated, disordered, cuts, refused, pings;
    struct hist ack, delivery, lag;
    char error[200];      /* the first one */
    double seconds, connect_seconds, setup_seconds;
    struct proc_sample before, after, idle_before, idle_after;
    struct { uint64_t conversations, messages, holes, missing, repeated, failed; } history;
    struct { bool known; int64_t rows; double seconds; } archive;
};

struct traffic {
    const struct options *options;
    struct person *people;
    uint32_t n, up, connecting, next_connect;
    int epoll;
    struct envelope_codec *codec;
    struct buf packed;    /* the message that is being sent */
    struct sent *sent;
    size_t n_sent, cap_sent;
    char run[24];         /* unique to the run, part of every id */
    char *content;
    struct sockaddr_in address;
    bool measuring, sending; /* sending: closed loop goes on */
    uint64_t outstanding;
    struct figures *figures;
};

/* traffic.c. All give false when the run cannot go on (figures->error). */
bool traffic_connect(struct traffic *t);
void traffic_open_loop(struct traffic *t);
void traffic_closed_loop(struct traffic *t);
void traffic_hold(struct traffic *t, double seconds); /* only answers */
void traffic_drain(struct traffic *t, double seconds); /* until everything has arrived */
void traffic_close(struct traffic *t);

/* verify.c */
void verify_history(struct traffic *t);
void verify_archive(struct traffic *t); /* with the mariadb client and OPENIM_MYSQL_*, when they are there */

/* report.c */
void report(const struct options *o, const struct figures *f);
void report_heads(void); /* of the table that REPORT_ROW fills */

#endif
