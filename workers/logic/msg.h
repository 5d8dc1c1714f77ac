/*
 * The message road inside openim-logic: what its files share. One lane is one thread; nothing here is locked. In the order of a record:
 *
 *   msg_lane.c      takes records of openim.msg, keeps a queue per partition, commits what is published
 *   msg_verify.c    who may write to whom (messages.md 3); loads what a batch needs in one go
 *   msg_verify_group.c  the same for groups
 *   msg_sequence.c  conversations in memory: the next seq and time; their floors
 *   msg_rows.c      the rows of new conversations
 *   msg_dedup.c     the newest (conversation, sender, clientMsgID): a repeat gets the first answer
 *   msg_store.c     writes openim.stored
 *   msg_deliver.c   on the report: hot copy, seq, answer, push
 *   msg_task.c      what a stored message leaves to do for the rpc lanes
 *   msg_later.c     notifications that have to wait for a store, tasks that wait for Kafka
 *   msg_takeover.c  a partition comes: fence, read the tail, resume; Redis lost its data: fill it again
 */
#ifndef OIM_LOGIC_MSG_H
#define OIM_LOGIC_MSG_H

#include "logic.h"
#include "msg_dedup.h"
#include "sdkws.pb-c.h"

#include <uthash.h>

#define MSG_BATCH 500
#define MSG_PARTITIONS 1024

/* A conversation whose newest seq this lane knows. */
struct msg_conv {
    UT_hash_handle hh;
    int32_t partition;
    int64_t max_seq;    /* the newest that was given */
    int64_t stored_seq; /* the newest that is published: what a reader may see */
    int64_t last_time; /* sendTime of the newest, ms */
    int64_t delivered; /* newest seq of the current delivery */
    int64_t offset;    /* of its newest record in openim.stored, -1: none since the take-over */
    char id[];
};

enum msg_state {
    MSG_WAITING, /* for the report of openim.stored */
    MSG_READY,
};

enum msg_outcome {
    MSG_STORED,
    MSG_PUSHED,    /* history = false: no seq, not stored */
    MSG_REFUSED,   /* entry->fail */
    MSG_DUPLICATE, /* answered like the first */
    MSG_SKIPPED,   /* not ours to answer: poison, void, answered by the deadline */
};

/* One record on its way. Lives in the arena of its turn until it is published. */
struct msg_entry {
    struct msg_entry *next; /* in the queue of its partition */
    struct msg_turn *turn;
    int32_t partition;
    int64_t offset, timestamp;
    const uint8_t *key;
    size_t key_len;

    const Openim__Internal__Uplink *up;
    Openim__Sdkws__MsgData *msg;
    bool chat, history; /* chat: not a notification; history: gets a seq */
    bool admin, again;
    bool orphan; /* its partition left while it waited for its report */
    bool more;   /* the next entry is of the same record */
    bool later;  /* it comes again with a record of its own */
    char *conversation_id;

    enum msg_state state;
    enum msg_outcome outcome;
    struct oim_fail fail;
    const uint8_t *packed; /* MsgData as everybody gets it */
    size_t packed_len;
    const char *server_msg_id; /* of the answer */
    int64_t send_time;
    uint8_t dedup[16];
};

/* Memory of the entries that one poll brought; goes back to the lane when all of them are published. */
struct msg_turn {
    struct msg_turn *next; /* free list */
    struct oim_arena *arena;
    int live;
};

struct msg_partition {
    bool owned;
    int64_t epoch;         /* offset of our fence */
    int64_t next_stored;   /* offset that our next report has, as long as nobody else writes */
    int64_t gap_from;      /* where somebody else wrote, -1: nowhere */
    int64_t committed;     /* next offset that the group has */
    int64_t published;     /* next offset to commit */
    int64_t again_below;   /* a predecessor has seen the records before this one: what it did not store, it has refused */
    struct msg_entry *head, **tail;
    size_t queued;
    struct msg_dedup *dedup;
};

struct msg_lane {
    struct logic_lane base; /* arena: of the current batch's lookups */
    struct oim_kafka_consumer *consumer;
    struct oim_kafka_wait *wait;
    struct logic_cache *cache;
    struct msg_conv *convs;
    size_t convs_max;      /* more of them: those that the archive has leave */
    struct msg_partition *partitions; /* MSG_PARTITIONS */
    struct msg_turn *free_turns;
    struct msg_later *later;
    char *topic_msg, *topic_stored, *topic_rpc;
    int32_t top;           /* greatest partition that was ever ours, plus one */
    size_t inflight;       /* records that wait for their report */
    size_t queued;         /* entries in all queues */
    int64_t commit_at, check_at, report_at;
    struct oim_buf scratch;
    struct { int64_t offset; } fence;
    bool gap;              /* some partition has a gap_from */
    bool fatal;
    struct {
        uint64_t stored, pushed, refused, duplicates, poison, again;
    } count;
};

/* ---- msg_lane.c ---- */
struct msg_turn *msg_turn_take(struct msg_lane *lane);
void msg_turn_drop(struct msg_lane *lane, struct msg_entry *entry); /* the entry is published or forgotten */
void msg_turn_give(struct msg_lane *lane, struct msg_turn *turn);           /* a turn without entries */
void msg_partition_open(struct msg_lane *lane, int32_t partition, int64_t epoch);
void msg_partition_forget(struct msg_lane *lane, int32_t partition); /* nothing of it is published or committed from here */

/* ---- msg_verify.c ---- */

/* Decodes, checks what needs no store, and fills conversation_id, chat, history, admin; a refusal sets outcome and fail. */
void msg_verify_form(struct msg_lane *lane, struct msg_entry *entry);
/* A notification that is to be seen in the chat, too: entry becomes the chat message, notice the notification that follows it. False: it
 * is not one. */
bool msg_verify_split(struct msg_entry *entry, struct msg_entry *notice);
/* The rest, for all entries that are not refused yet: one round of queries for what no cache knows. */
void msg_verify_batch(struct msg_lane *lane, struct msg_entry **entries, size_t n);
void msg_refuse(struct msg_entry *entry, int code, const char *dlt);
/* "head IN ((?, ?), ...)": rows by two ids. */
int msg_ask_pairs(struct msg_lane *lane, const char *head, char *(*ids)[2], size_t n, struct oim_sql_rows *rows);

/* ---- msg_verify_group.c ---- */
void msg_verify_groups(struct msg_lane *lane, struct msg_entry **entries, size_t n);

/* ---- msg_sequence.c ---- */
struct msg_conv *msg_conv_find(struct msg_lane *lane, const char *id);
struct msg_conv *msg_conv_learn(struct msg_lane *lane, const char *id, int32_t partition, int64_t max_seq, int64_t last_time);
void msg_conv_forget(struct msg_lane *lane, int32_t partition);
/* Floors of the batch's unknown conversations, rows of its new ones; entries whose conversation cannot be known are refused with 500. */
void msg_sequence_prepare(struct msg_lane *lane, struct msg_entry **entries, size_t n);
/* seq, serverMsgID, sendTime, status, and the packed form, in the order of the log. */
void msg_sequence_assign(struct msg_lane *lane, struct msg_entry *entry);

/* ---- msg_rows.c ---- */
/* Rows of all sides (rest.md C.7); harmless when they are there. */
int msg_conv_rows(struct msg_lane *lane, struct msg_entry **entries, size_t n);

/* ---- msg_store.c ---- */
int msg_store(struct msg_lane *lane, struct msg_entry *entry);
int msg_store_reports(struct msg_lane *lane, int timeout_ms);
int msg_store_fence(struct msg_lane *lane, int32_t partition, int64_t *epoch); /* waits for it */
/* Asked before anything that reports made ready is published. OIM_OK: all of it is valid; OIM_EFENCED: a partition has a new owner;
 * OIM_EUNAVAIL: nobody can say now. */
int msg_store_check(struct msg_lane *lane);

/* ---- msg_deliver.c ---- */
/* Publishes everything that is ready, in order. OIM_OK; OIM_EUNAVAIL: not now, call again; OIM_EFENCED: never, the process has to end. */
int msg_deliver(struct msg_lane *lane);

/* ---- msg_task.c ---- */
/* The entry is stored and published: its tasks are in Kafka before its offset is committed. */
void msg_task(struct msg_lane *lane, const struct msg_entry *entry);

/* ---- msg_later.c ---- */
void msg_later_add(struct msg_lane *lane, const struct msg_entry *entry);
/* A record for openim.rpc because of entry; both are copied. */
void msg_later_task(struct msg_lane *lane, const struct msg_entry *entry, const char *key, const Openim__Internal__Uplink *task);
void msg_later_run(struct msg_lane *lane);
bool msg_later_reported(struct msg_lane *lane, const void *opaque); /* the report was for one of these */
int64_t msg_later_limit(const struct msg_lane *lane, int32_t partition, int64_t next); /* of what may be committed */
void msg_later_forget(struct msg_lane *lane, int32_t partition);

/* ---- msg_takeover.c ---- */
int64_t msg_takeover(struct msg_lane *lane, int32_t partition, int64_t committed); /* as oim_kafka_events.assigned */
int msg_takeover_refill(struct msg_lane *lane);                                    /* Redis lost its data */
bool msg_takeover_redis_lost(struct msg_lane *lane);

/* ---- logic_stall.c ---- */

/* Whether this process was not running for longer than Kafka's session time-out (SIGSTOP, swap): its partitions may have another owner,
 * it must publish nothing more and end. Asked right before publishing. */
bool logic_stalled(void);
int logic_stall_start(struct oim_app *app);

/* Runs until app->stop; OIM_EFATAL: the process has to be started again. */
int logic_msg_run(struct oim_app *app, const struct oim_app_lane *lane);

#endif
