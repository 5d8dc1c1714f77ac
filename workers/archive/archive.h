/*
 * What the files of openim-archive share: openim.stored in, MongoDB (recent) and MySQL (everything) out (docs/records.md).
 *
 *   main.c       process: waits for the stores, one thread a lane
 *   lane.c       gathers a batch from Kafka, tries until the stores have it, commits; partitions come and go
 *   decode.c     record -> row; fences, void records, what cannot be read
 *   store.c      a batch -> MongoDB, then one MySQL transaction
 *   counts.c     what the batch adds to the counts of a day
 *   statement.c  multi-row statements of fixed sizes
 *   poison.c     parked records
 *   retention.c  old days leave MongoDB
 *   recount.c    counts the history of before
 *
 * MySQL's archive_offset, written in the transaction of the messages, is the truth about what is done. Everything else may repeat.
 */
#ifndef OPENIM_ARCHIVE_H
#define OPENIM_ARCHIVE_H

#include "oim_app.h"
#include "oim_arena.h"
#include "oim_err.h"
#include "oim_kafka.h"
#include "oim_log.h"
#include "oim_mongo.h"
#include "oim_sql.h"

/* Of the whole process; a line of the log once a minute (lane 0). */
struct archive_counters {
    atomic_ullong records, messages, fences, voids, batches, repeats, left_out, poison, retries;
    atomic_llong mongo_ms, mysql_ms; /* spent waiting for them */
    atomic_llong behind_ms; /* age of the newest record of the last batch when it was written */
};

struct archive_partition {
    bool ours, fresh;      /* fresh: no record since it was assigned */
    bool touched;          /* records of this batch belong to it */
    int64_t next, fence;   /* as MySQL has them */
    int64_t to_next, to_fence; /* with the batch */
    int64_t timestamp;     /* of the newest record seen */
    int64_t commit_at;     /* when Kafka is told the position once more, 0: it was */
};

/* A message on its way. Texts fit their columns and are UTF-8; data is what readers get. */
struct archive_row {
    struct oim_mongo_msg msg;
    const char *server_msg_id, *recv_id, *nick_name, *face_url, *content;
    size_t content_len;
    int32_t platform_id, session_type, msg_from;
    int64_t create_time;
    uint8_t dedup[16];
    const struct oim_kafka_record *record;
    bool in_mongo, parked;
    bool inserted; /* by this transaction */
};

struct archive_statement; /* statement.c */

struct archive_lane {
    struct oim_app *app;
    const struct oim_app_lane *lane;
    struct archive_counters *counters;
    struct oim_kafka_consumer *consumer;
    struct oim_mongo *mg;
    struct oim_sql *db;
    struct archive_statement *history, *ceilings, *reads, *counts;
    bool one_by_one; /* this transaction writes the history in statements of one row */

    struct archive_partition *parts; /* by partition id */
    int32_t n_parts;

    struct oim_arena *arena;   /* of the batch: rows */
    struct oim_arena *scratch; /* of one try */
    struct oim_kafka_record *records;
    int n_records, cap;
    size_t bytes;
    struct archive_row *rows;
    size_t n_rows;
    int64_t gathered_at; /* when the last batch was complete */
    bool failing;        /* for the log: once per change */
};

/* lane.c */
int archive_lane_run(struct oim_app *app, const struct oim_app_lane *lane);
struct archive_counters *archive_counters(void);
/* The partition's entry, NULL when the id is not possible. */
struct archive_partition *archive_partition(struct archive_lane *l, int32_t id);
/* Forgets what the batch holds of the partition: another process has it, or it is read again. */
void archive_drop_partition(struct archive_lane *l, int32_t id);

/* decode.c: adds the record to the batch (a row, a fence, nothing). OIM_OK, or what parking said. */
int archive_decode(struct archive_lane *l, const struct oim_kafka_record *record);

/* main.c: returns earlier when the process stops */
void archive_wait(const struct oim_app *app, int64_t ms);

/* store.c */
/* Position and fence of a partition; makes the row of a new one. */
int archive_position_load(struct archive_lane *l, int32_t partition, int64_t *next, int64_t *fence);
/* The batch into MongoDB and MySQL. OIM_OK: it is there, or the caller can begin with the next one. OIM_EFENCED: *lost is at another
 * position than ours: drop it and try the rest. Everything else: nothing is committed in MySQL, try again. */
int archive_store(struct archive_lane *l, int32_t *lost);

/* counts.c, in the transaction of the batch: counts the rows that it has inserted. */
int archive_counts_store(struct archive_lane *l);
/* msg_counted.counted_from, read with the given lock ("": none). INT64_MAX: nothing is counted. */
int archive_counted_from(struct oim_sql *db, struct oim_arena *a, const char *lock, int64_t *from);
/* The counts lack what another version has written to the partition: everything is counted anew. */
int archive_counts_void(struct archive_lane *l, int32_t partition);

/* statement.c */
struct archive_statement *archive_statement_new(const char *head, size_t places, const char *tail);
void archive_statement_free(struct archive_statement *s);
/* Gives n rows in few statements. fill writes the places of row i, bytes says how large it is (may be NULL), check (may be NULL) hears
 * how many of rows [first, first + count) the server took, refused (may be NULL) has a row that the server will never take. */
struct archive_rows {
    size_t n;
    bool one_by_one; /* a statement a row */
    void (*fill)(void *ctx, size_t i, struct oim_sql_value *args);
    size_t (*bytes)(void *ctx, size_t i);
    int (*check)(void *ctx, size_t first, size_t count, uint64_t affected);
    int (*refused)(void *ctx, size_t i, int err);
    void *ctx;
};
int archive_statement_run(struct archive_statement *s, struct oim_sql *db, struct oim_arena *scratch, const struct archive_rows *rows);

/* poison.c: a line of <state_dir>/archive-poison.log. Thread-safe. OIM_EUNAVAIL when it cannot be written. */
int archive_park(struct archive_lane *l, const struct oim_kafka_record *record, const char *why);

/* retention.c, recount.c: a thread each. */
int archive_retention_run(struct oim_app *app, const struct oim_app_lane *lane);
int archive_recount_run(struct oim_app *app, const struct oim_app_lane *lane);

#endif
