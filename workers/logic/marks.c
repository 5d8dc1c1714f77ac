/*
 * Marks of stored messages; marks.h holds the contracts, docs/records.md the rows and keys.
 *
 * The copy in Redis must never be older than a change that was answered. Who misses it leaves a lease in its place, reads MySQL, and
 * writes the copy only if the lease is still there: a change that was committed meanwhile has deleted it.
 */
#include "marks.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (LOGIC_MARKS_BLOCK / 64)
#define BYTES (LOGIC_MARKS_BLOCK / 8)
#define COPY_SECONDS "3600"
#define LEASE_SECONDS "10"
#define COPY 'M'  /* first byte of a value: marks follow */
#define LEASE 'L' /* somebody is reading MySQL */

enum kind { DELETED = 1, READ, HIDDEN };

/* One block and its two copies: what all see, and what the user hid. */
struct block {
    const char *conv;
    int64_t block;
    const void *shared_hash, *own_hash;
    Openim__Internal__Marks *shared;
    const uint8_t *hidden; /* BYTES, or NULL */
    bool shared_missed, own_missed, shared_lease, own_lease;
};

struct logic_marks {
    struct block *list;
    size_t n;
};

static int64_t block_of(int64_t seq)
{
    return (seq - 1) / LOGIC_MARKS_BLOCK;
}

static int by_block(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    int order = strcmp(x->conv, y->conv);

    if (order) return order;
    return (x->block > y->block) - (x->block < y->block);
}

static struct block *find(const struct logic_marks *marks, const char *conv, int64_t block)
{
    struct block key = {.conv = conv, .block = block};

    return marks->n ? bsearch(&key, marks->list, marks->n, sizeof(key), by_block) : NULL;
}

static const void *shared_hash(struct oim_arena *a, const char *conv, int64_t block)
{
    const char *parts[] = {conv, oim_arena_printf(a, "%" PRId64, block)};
    uint8_t *hash = oim_arena_alloc(a, 16);

    oim_hash_sha128(hash, parts, 2);
    return hash;
}

static const void *own_hash(struct oim_arena *a, const char *user_id, const char *conv, int64_t block)
{
    const char *parts[] = {user_id, conv, oim_arena_printf(a, "%" PRId64, block)};
    uint8_t *hash = oim_arena_alloc(a, 16);

    oim_hash_sha128(hash, parts, 3);
    return hash;
}

static char *shared_key(struct oim_arena *a, const char *conv, int64_t block)
{
    return oim_arena_printf(a, "oim:marks:%s:%" PRId64, conv, block);
}

static char *own_key(struct oim_arena *a, const void *hash)
{
    char hex[33];

    oim_hash_hex(hex, hash, 16);
    return oim_arena_printf(a, "oim:hidden:%s", hex);
}

/* ---- Redis ---- */

static void shared_take(struct logic_call *call, struct block *b, struct oim_redis_value v)
{
    b->shared_missed = true;
    if (v.type != OIM_REDIS_STRING || v.len == 0 || v.str[0] != COPY) return;
    b->shared = openim__internal__marks__unpack(oim_arena_pb(call->lane->arena), v.len - 1, (const uint8_t *)v.str + 1);
    b->shared_missed = b->shared == NULL;
}

static void own_take(struct logic_call *call, struct block *b, struct oim_redis_value v)
{
    b->own_missed = v.type != OIM_REDIS_STRING || v.len == 0 || v.str[0] != COPY;
    if (!b->own_missed && v.len == 1 + BYTES) b->hidden = (const uint8_t *)oim_arena_strndup(call->lane->arena, v.str + 1, BYTES);
}

static int copies_read(struct logic_call *call, struct logic_marks *marks, bool own)
{
    struct oim_redis *rds = call->lane->rds;
    size_t per = own ? 2 : 1, argc = 1 + per * marks->n;
    const char **argv = logic_array(call, argc, sizeof(*argv));
    struct oim_redis_value list;
    int rc;

    argv[0] = "MGET";
    for (size_t i = 0; i < marks->n; i++) {
        argv[1 + per * i] = shared_key(call->lane->arena, marks->list[i].conv, marks->list[i].block);
        if (own) argv[2 + per * i] = own_key(call->lane->arena, marks->list[i].own_hash);
    }
    oim_redis_reset(rds);
    oim_redis_add_argv(rds, (int)argc, argv, NULL);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    list = oim_redis_reply(rds, 0);
    for (size_t i = 0; i < marks->n; i++) {
        shared_take(call, &marks->list[i], oim_redis_at(&list, per * i));
        if (own) own_take(call, &marks->list[i], oim_redis_at(&list, per * i + 1));
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

/* Differs from that of every other reading, in any process. */
static char *lease_of(struct logic_call *call)
{
    static _Thread_local unsigned count;

    return oim_arena_printf(call->lane->arena, "%c%s/%s/%" PRId64 "/%u", LEASE, call->lane->app->conf.general.instance, call->lane->name,
                            oim_now_ms(), ++count);
}

static bool taken(struct oim_redis_value v)
{
    return v.type == OIM_REDIS_STRING && strcmp(v.str, "OK") == 0;
}

static int leases_take(struct logic_call *call, struct logic_marks *marks, const char *lease)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_redis *rds = call->lane->rds;
    size_t at = 0;
    int rc;

    oim_redis_reset(rds);
    for (size_t i = 0; i < marks->n; i++) {
        const struct block *b = &marks->list[i];

        if (b->shared_missed) oim_redis_add(rds, "SET %s %s NX EX " LEASE_SECONDS, shared_key(a, b->conv, b->block), lease);
        if (b->own_missed) oim_redis_add(rds, "SET %s %s NX EX " LEASE_SECONDS, own_key(a, b->own_hash), lease);
    }
    rc = oim_redis_run(rds);
    if (rc) return rc;
    for (size_t i = 0; i < marks->n; i++) {
        struct block *b = &marks->list[i];

        if (b->shared_missed) b->shared_lease = taken(oim_redis_reply(rds, at++));
        if (b->own_missed) b->own_lease = taken(oim_redis_reply(rds, at++));
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

static void copy_add(struct logic_call *call, const char *key, const char *lease, const uint8_t *value, size_t len)
{
    static const char fill[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then"
                               " redis.call('SET', KEYS[1], ARGV[2], 'EX', " COPY_SECONDS ") end";

    oim_redis_add(call->lane->rds, "EVAL %s 1 %s %s %b", fill, key, lease, value, len);
}

/* What fails here is asked for again by the next reader. */
static void copies_fill(struct logic_call *call, const struct logic_marks *marks, const char *lease)
{
    struct oim_arena *a = call->lane->arena;

    oim_redis_reset(call->lane->rds);
    for (size_t i = 0; i < marks->n; i++) {
        const struct block *b = &marks->list[i];

        if (b->shared_lease) {
            size_t len = openim__internal__marks__get_packed_size(b->shared);
            uint8_t *value = oim_arena_alloc(a, len + 1);

            value[0] = COPY;
            openim__internal__marks__pack(b->shared, value + 1);
            copy_add(call, shared_key(a, b->conv, b->block), lease, value, len + 1);
        }
        if (b->own_lease) {
            uint8_t value[1 + BYTES] = {COPY};

            if (b->hidden) memcpy(value + 1, b->hidden, BYTES);
            copy_add(call, own_key(a, b->own_hash), lease, value, b->hidden ? sizeof(value) : 1);
        }
    }
    if (oim_redis_count(call->lane->rds)) (void)oim_redis_run(call->lane->rds);
    oim_redis_reset(call->lane->rds);
}

/* ---- MySQL ---- */

static struct oim_sql_value *hashes_of(struct logic_call *call, const struct logic_marks *marks, bool own, size_t *n)
{
    struct oim_sql_value *hashes = logic_array(call, marks->n, sizeof(*hashes));

    *n = 0;
    for (size_t i = 0; i < marks->n; i++) {
        const struct block *b = &marks->list[i];

        if (own ? b->own_missed : b->shared_missed) hashes[(*n)++] = oim_sql_blob(own ? b->own_hash : b->shared_hash, 16);
    }
    return hashes;
}

static int revoked_read(struct logic_call *call, struct logic_marks *marks, const struct oim_sql_value *hashes, size_t n)
{
    static const char head[] = "SELECT conversation_id, seq, user_id, nickname, role, revoke_time FROM msg_revoked WHERE block_hash IN";
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        int64_t seq = logic_cell_int(&rows, i, 1);
        struct block *b = find(marks, logic_cell_text(&rows, i, 0), block_of(seq));
        Openim__Internal__Marks__Revoked *r;

        if (b == NULL) continue;
        r = logic_new(call, &openim__internal__marks__revoked__descriptor);
        r->seq = seq;
        r->userid = logic_cell_text(&rows, i, 2);
        r->nickname = logic_cell_text(&rows, i, 3);
        r->role = (int32_t)logic_cell_int(&rows, i, 4);
        r->time = logic_cell_int(&rows, i, 5);
        if (b->shared->revoked == NULL) b->shared->revoked = logic_list(call, LOGIC_MARKS_BLOCK);
        if (b->shared->n_revoked < LOGIC_MARKS_BLOCK) b->shared->revoked[b->shared->n_revoked++] = r;
    }
    return rc;
}

#define BIT_COLUMNS "conversation_id, block, kind, user_id, w0, w1, w2, w3, w4, w5, w6, w7"

static uint8_t *bits_of_row(struct logic_call *call, const struct oim_sql_rows *rows, size_t row)
{
    uint8_t *bits = logic_array(call, BYTES, 1);

    for (size_t w = 0; w < WORDS; w++) {
        uint64_t word = (uint64_t)logic_cell_int(rows, row, 4 + w);

        for (size_t i = 0; i < 8; i++) bits[w * 8 + i] = (uint8_t)(word >> (8 * i));
    }
    return bits;
}

static void read_add(struct logic_call *call, Openim__Internal__Marks *shared, char *user_id, uint8_t *bits)
{
    Openim__Internal__Marks__Read **more = logic_list(call, shared->n_read + 1);
    Openim__Internal__Marks__Read *r = logic_new(call, &openim__internal__marks__read__descriptor);

    if (shared->n_read) memcpy(more, shared->read, shared->n_read * sizeof(*more));
    r->userid = user_id;
    r->bits = (ProtobufCBinaryData){.data = bits, .len = BYTES};
    more[shared->n_read++] = r;
    shared->read = more;
}

static int bits_read(struct logic_call *call, struct logic_marks *marks, const char *head, const struct oim_sql_value *hashes, size_t n)
{
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        struct block *b = find(marks, logic_cell_text(&rows, i, 0), logic_cell_int(&rows, i, 1));
        uint8_t *bits;

        if (b == NULL) continue;
        bits = bits_of_row(call, &rows, i);
        switch ((enum kind)logic_cell_int(&rows, i, 2)) {
        case DELETED: b->shared->deleted = (ProtobufCBinaryData){.data = bits, .len = BYTES}; break;
        case READ: read_add(call, b->shared, logic_cell_text(&rows, i, 3), bits); break;
        case HIDDEN: b->hidden = bits; break;
        default: break;
        }
    }
    return rc;
}

static int truth_read(struct logic_call *call, struct logic_marks *marks)
{
    size_t n;
    const struct oim_sql_value *hashes = hashes_of(call, marks, false, &n);
    int rc = OIM_OK;

    for (size_t i = 0; i < marks->n; i++) {
        if (marks->list[i].shared_missed) marks->list[i].shared = logic_new(call, &openim__internal__marks__descriptor);
    }
    if (n) rc = revoked_read(call, marks, hashes, n);
    if (n && rc == OIM_OK) rc = bits_read(call, marks, "SELECT " BIT_COLUMNS " FROM msg_marks WHERE block_hash IN", hashes, n);
    if (rc) return rc;
    hashes = hashes_of(call, marks, true, &n);
    return n ? bits_read(call, marks, "SELECT " BIT_COLUMNS " FROM msg_hidden WHERE block_hash IN", hashes, n) : OIM_OK;
}

/* ---- reading ---- */

/* The blocks of the places, each once, in order. */
static struct logic_marks *blocks_of(struct logic_call *call, const char *user_id, const struct logic_place *places, size_t n)
{
    struct logic_marks *marks = logic_array(call, 1, sizeof(*marks));
    struct oim_arena *a = call->lane->arena;
    size_t kept = 0;

    marks->list = logic_array(call, n, sizeof(*marks->list));
    for (size_t i = 0; i < n; i++) {
        struct block *last = marks->n ? &marks->list[marks->n - 1] : NULL;

        if (strncmp(places[i].conv, "n_", 2) == 0 || places[i].seq < 1) continue;
        if (last && last->block == block_of(places[i].seq) && strcmp(last->conv, places[i].conv) == 0) continue;
        marks->list[marks->n++] = (struct block){.conv = places[i].conv, .block = block_of(places[i].seq)};
    }
    qsort(marks->list, marks->n, sizeof(*marks->list), by_block);
    for (size_t i = 0; i < marks->n; i++) {
        if (kept == 0 || by_block(&marks->list[kept - 1], &marks->list[i])) marks->list[kept++] = marks->list[i];
    }
    marks->n = kept;
    for (size_t i = 0; i < kept; i++) {
        struct block *b = &marks->list[i];

        b->shared_hash = shared_hash(a, b->conv, b->block);
        if (user_id) b->own_hash = own_hash(a, user_id, b->conv, b->block);
    }
    return marks;
}

int logic_marks_load(struct logic_call *call, const char *user_id, const struct logic_place *places, size_t n, struct logic_marks **out)
{
    struct logic_marks *marks = *out = blocks_of(call, user_id, places, n);
    bool missed = false;
    const char *lease;
    int rc = marks->n ? copies_read(call, marks, user_id != NULL) : OIM_OK;

    for (size_t i = 0; i < marks->n && !missed; i++) missed = marks->list[i].shared_missed || marks->list[i].own_missed;
    if (rc || !missed) return rc;
    lease = lease_of(call);
    rc = leases_take(call, marks, lease);
    if (rc == OIM_OK) rc = truth_read(call, marks);
    if (rc == OIM_OK) copies_fill(call, marks, lease);
    return rc;
}

static bool bit(const uint8_t *bits, size_t len, int64_t seq)
{
    size_t at = (size_t)((seq - 1) % LOGIC_MARKS_BLOCK);

    return at / 8 < len && (bits[at / 8] >> (at % 8) & 1);
}

const Openim__Internal__Marks__Revoked *logic_marks_revoked(const struct logic_marks *marks, const char *conv, int64_t seq)
{
    const struct block *b = seq > 0 ? find(marks, conv, block_of(seq)) : NULL;

    for (size_t i = 0; b && i < b->shared->n_revoked; i++) {
        if (b->shared->revoked[i]->seq == seq) return b->shared->revoked[i];
    }
    return NULL;
}

bool logic_marks_deleted(const struct logic_marks *marks, const char *conv, int64_t seq)
{
    const struct block *b = find(marks, conv, block_of(seq));

    return b && bit(b->shared->deleted.data, b->shared->deleted.len, seq);
}

bool logic_marks_hidden(const struct logic_marks *marks, const char *conv, int64_t seq)
{
    const struct block *b = find(marks, conv, block_of(seq));

    return b && b->hidden && bit(b->hidden, BYTES, seq);
}

bool logic_marks_read(const struct logic_marks *marks, const char *conv, int64_t seq, const char *sender)
{
    const struct block *b = find(marks, conv, block_of(seq));

    for (size_t i = 0; b && i < b->shared->n_read; i++) {
        const Openim__Internal__Marks__Read *r = b->shared->read[i];

        if (strcmp(r->userid, sender) && bit(r->bits.data, r->bits.len, seq)) return true;
    }
    return false;
}

/* ---- writing ---- */

struct words {
    int64_t block;
    uint64_t w[WORDS];
};

struct logic_span *logic_spans(struct logic_call *call, const int64_t *seqs, size_t n)
{
    struct logic_span *spans = logic_array(call, n, sizeof(*spans));

    for (size_t i = 0; i < n; i++) spans[i] = (struct logic_span){seqs[i], seqs[i]};
    return spans;
}

static int by_from(const void *a, const void *b)
{
    const struct logic_span *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

/* The bits of the spans, a row a block, blocks ascending: so transactions meet in one order. */
static struct words *words_of(struct logic_call *call, const struct logic_span *spans, size_t n, size_t *n_words)
{
    struct logic_span *order = logic_array(call, n, sizeof(*order));
    struct words *list;
    size_t most = 0;

    if (n) memcpy(order, spans, n * sizeof(*order));
    qsort(order, n, sizeof(*order), by_from);
    for (size_t i = 0; i < n; i++) most += (size_t)(block_of(order[i].to) - block_of(order[i].from) + 1);
    list = logic_array(call, most, sizeof(*list));
    *n_words = 0;
    for (size_t i = 0; i < n; i++) {
        for (int64_t seq = order[i].from; seq <= order[i].to; seq++) {
            size_t at = *n_words, bit_at = (size_t)((seq - 1) % LOGIC_MARKS_BLOCK);

            while (at > 0 && list[at - 1].block > block_of(seq)) at--; /* spans may overlap */
            if (at == 0 || list[at - 1].block != block_of(seq)) {
                at = ++*n_words;
                list[at - 1].block = block_of(seq);
            }
            list[at - 1].w[bit_at / 64] |= 1ull << (bit_at % 64);
        }
    }
    return list;
}

#define INTO " (block_hash, kind, user_id, conversation_id, block, w0, w1, w2, w3, w4, w5, w6, w7) VALUES "

/* Adds the bits to the rows. No row is read: two transactions lose nothing of each other. */
static int bits_write(struct logic_call *call, enum kind kind, const char *user_id, const char *conv, const struct logic_span *spans,
                      size_t n)
{
    enum { COLUMNS = 5 + WORDS };
    static const char tail[] = " ON DUPLICATE KEY UPDATE w0 = w0 | VALUES(w0), w1 = w1 | VALUES(w1), w2 = w2 | VALUES(w2),"
                               " w3 = w3 | VALUES(w3), w4 = w4 | VALUES(w4), w5 = w5 | VALUES(w5),"
                               " w6 = w6 | VALUES(w6), w7 = w7 | VALUES(w7)";
    struct oim_arena *a = call->lane->arena;
    size_t n_words;
    const struct words *list = words_of(call, spans, n, &n_words);
    struct oim_sql_value *args = logic_array(call, n_words * COLUMNS, sizeof(*args)), *arg = args;
    int rc;

    for (size_t i = 0; i < n_words; i++) {
        const void *hash = kind == HIDDEN ? own_hash(a, user_id, conv, list[i].block) : shared_hash(a, conv, list[i].block);

        *arg++ = oim_sql_blob(hash, 16);
        *arg++ = oim_sql_int(kind);
        *arg++ = oim_sql_text(user_id);
        *arg++ = oim_sql_text(conv);
        *arg++ = oim_sql_int(list[i].block);
        for (size_t w = 0; w < WORDS; w++) *arg++ = oim_sql_uint(list[i].w[w]);
    }
    rc = logic_sql_rows(call->lane, kind == HIDDEN ? "INSERT INTO msg_hidden" INTO : "INSERT INTO msg_marks" INTO, args, COLUMNS, n_words, tail);
    for (size_t i = 0; i < n_words; i++) {
        int64_t block = list[i].block;

        logic_dropped(call, kind == HIDDEN ? own_key(a, own_hash(a, user_id, conv, block)) : shared_key(a, conv, block));
    }
    return rc;
}

int logic_mark_deleted(struct logic_call *call, const char *conv, const struct logic_span *spans, size_t n)
{
    return bits_write(call, DELETED, "", conv, spans, n);
}

int logic_mark_hidden(struct logic_call *call, const char *user_id, const char *conv, const struct logic_span *spans, size_t n)
{
    return bits_write(call, HIDDEN, user_id, conv, spans, n);
}

int logic_mark_read(struct logic_call *call, const char *user_id, const char *conv, const struct logic_span *spans, size_t n)
{
    return bits_write(call, READ, user_id, conv, spans, n);
}

int logic_mark_revoked(struct logic_call *call, const char *conv, const Openim__Internal__Marks__Revoked *r)
{
    static const char sql[] = "INSERT INTO msg_revoked (conversation_id, seq, user_id, nickname, role, revoke_time, block_hash)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?)";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {
        oim_sql_text(conv),     oim_sql_int(r->seq),  oim_sql_text(r->userid),
        oim_sql_text(r->nickname), oim_sql_int(r->role), oim_sql_int(r->time),
        oim_sql_blob(shared_hash(a, conv, block_of(r->seq)), 16),
    };
    int rc = oim_sql_exec(call->lane->db, a, sql, args, 7, NULL, NULL);

    if (rc == OIM_OK) logic_dropped(call, shared_key(a, conv, block_of(r->seq)));
    return rc;
}
