/*
 * The recent messages in MongoDB (docs/records.md): insert a batch, read blocks. libmongoc and bson stay in oim_mongo.c.
 * One client per lane. OIM_EUNAVAIL when the server is away (circuit of 500 ms after a failure).
 */
#ifndef OIM_MONGO_H
#define OIM_MONGO_H

#include <stddef.h>
#include <stdint.h>

struct oim_arena;
struct oim_conf;
struct oim_mongo;

struct oim_mongo_msg {
    const char *conversation_id, *send_id, *client_msg_id;
    int64_t seq, send_time; /* ms */
    int32_t content_type;
    const uint8_t *data; /* packed MsgData */
    size_t len;
};

struct oim_mongo *oim_mongo_new(const struct oim_conf *conf, const char *name);
void oim_mongo_free(struct oim_mongo *mg);
int oim_mongo_prepare(struct oim_mongo *mg); /* collection and the indexes that the server accepts; idempotent */
/* Unordered; duplicates of _id are not errors (the batch may be a repeat). OIM_EUNAVAIL: some or all may be missing, give all again.
 * OIM_EPARSE, OIM_ELIMIT: a message is not fit to be stored (logged), of the others any may be missing. */
int oim_mongo_insert(struct oim_mongo *mg, const struct oim_mongo_msg *msgs, size_t n);
/* All stored messages of seqs lo..hi (inclusive) of one conversation, ascending, in arena memory: whole blocks are read by equality. Only
 * seq, data, len and conversation_id are filled. OIM_ELIMIT beyond 10,000 seqs. */
int oim_mongo_read(struct oim_mongo *mg, struct oim_arena *a, const char *conversation_id, int64_t lo, int64_t hi,
                   struct oim_mongo_msg **msgs, size_t *n);
/* Retention: everything sent on that day (days since 1970). May take minutes where a day is large. */
int oim_mongo_delete_day(struct oim_mongo *mg, int32_t day);

#endif
