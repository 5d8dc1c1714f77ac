/*
 * Seqs and windows; seq.h holds the contracts, docs/records.md the keys and tables.
 */
#include "seq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT_PREFIXES 3 /* si_, sg_, sn_: conversations that have a notification twin */

char *logic_twin(struct oim_arena *a, const char *conversation_id)
{
    const char *tail = strchr(conversation_id, '_');

    return tail ? oim_arena_printf(a, "n%s", tail) : (char *)"";
}

static int64_t reply_int(struct oim_redis_value v)
{
    return v.type == OIM_REDIS_STRING ? strtoll(v.str, NULL, 10) : 0;
}

/* ---- newest seqs and read positions ---- */

/* What Redis holds: max, time and, if asked for, read. */
static int from_redis(struct logic_call *call, const char *user_id, char *const *ids, size_t n, unsigned what,
                      struct logic_seq *out)
{
    struct oim_redis *rds = call->lane->rds;
    struct oim_redis_value pair;
    const char **argv;
    int rc;

    if (n == 0) return OIM_OK;
    oim_redis_reset(rds);
    for (size_t i = 0; i < n; i++) oim_redis_add(rds, "HMGET oim:seq:%s max time", ids[i]);
    if (what & LOGIC_SEQ_READ) {
        argv = logic_array(call, n + 2, sizeof(*argv));
        argv[0] = "HMGET";
        argv[1] = oim_arena_printf(call->lane->arena, "oim:read:%s", user_id);
        for (size_t i = 0; i < n; i++) argv[2 + i] = ids[i];
        oim_redis_add_argv(rds, (int)n + 2, argv, NULL);
    }
    rc = oim_redis_run(rds);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        pair = oim_redis_reply(rds, i);
        if (pair.type != OIM_REDIS_ARRAY || pair.elements != 2) continue;
        out[i].max = reply_int(oim_redis_at(&pair, 0));
        out[i].time = reply_int(oim_redis_at(&pair, 1));
    }
    if (what & LOGIC_SEQ_READ) {
        pair = oim_redis_reply(rds, n);
        for (size_t i = 0; i < n && i < pair.elements; i++) out[i].read = reply_int(oim_redis_at(&pair, i));
    }
    return OIM_OK;
}

/* Newest seqs that Redis lacks, and the conversations' lower limits when windows are asked for. */
static int from_archive(struct logic_call *call, char *const *ids, size_t n, unsigned what, struct logic_seq *out)
{
    static const char head[] = "SELECT conversation_id, archived_seq, archived_time, min_seq FROM conversation_seq"
                               " FORCE INDEX (PRIMARY) WHERE conversation_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_rows rows;
    char **asked = logic_list(call, n);
    size_t n_asked = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (out[i].max == 0 || (what & LOGIC_SEQ_WINDOW)) asked[n_asked++] = ids[i];
    }
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, asked, n_asked), n_asked, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at == SIZE_MAX) continue;
        if (out[at].max == 0) {
            out[at].max = logic_cell_int(&rows, i, 1);
            out[at].time = logic_cell_int(&rows, i, 2);
        }
        if (out[at].low < logic_cell_int(&rows, i, 3)) out[at].low = logic_cell_int(&rows, i, 3);
    }
    return OIM_OK;
}

static int from_user(struct logic_call *call, const char *user_id, char *const *ids, size_t n, struct logic_seq *out)
{
    static const char head[] = "SELECT conversation_id, read_seq, min_seq, max_seq FROM seq_user FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_value *hashes = logic_array(call, n, sizeof(*hashes));
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) hashes[i] = oim_sql_blob(logic_owner_hash(a, user_id, ids[i]), 16);
    rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));
        int64_t max;

        if (at == SIZE_MAX) continue;
        max = logic_cell_int(&rows, i, 3);
        if (out[at].read < logic_cell_int(&rows, i, 1)) out[at].read = logic_cell_int(&rows, i, 1);
        if (out[at].low < logic_cell_int(&rows, i, 2)) out[at].low = logic_cell_int(&rows, i, 2);
        if (max && (out[at].high == 0 || max < out[at].high)) out[at].high = max;
    }
    return OIM_OK;
}

int logic_seqs(struct logic_call *call, const char *user_id, char *const *ids, size_t n, unsigned what,
               const int64_t *row_min, const int64_t *row_max, struct logic_seq *out)
{
    struct logic_index *index = logic_index_new(call->lane->arena, ids, n);
    int rc;

    memset(out, 0, n * sizeof(*out));
    rc = from_redis(call, user_id, ids, n, what, out);
    if (rc == OIM_OK) rc = from_archive(call, ids, n, what, out);
    if (rc == OIM_OK && what) rc = from_user(call, user_id, ids, n, out);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        size_t first = logic_index_find(index, ids[i]); /* an id asked for twice was filled in once */
        struct logic_seq *s = &out[i];

        if (first != i) {
            *s = out[first];
            continue;
        }
        if (row_min && s->low < row_min[i]) s->low = row_min[i];
        if (row_max && row_max[i] && (s->high == 0 || row_max[i] < s->high)) s->high = row_max[i];
        if (s->low < 1) s->low = 1;
        if (s->high == 0 || s->high > s->max) s->high = s->max;
        if (s->high < 0) s->high = 0;
        if ((what & LOGIC_SEQ_READ) && s->read < s->low - 1) s->read = s->low - 1;
        if (s->read > s->high) s->read = s->high;
    }
    return OIM_OK;
}

/* ---- conversation rows ---- */

static void conv_of_row(const struct oim_sql_rows *rows, size_t row, struct logic_conv *conv)
{
    conv->id = logic_cell_text(rows, row, 0);
    conv->min_seq = logic_cell_int(rows, row, 1);
    conv->max_seq = logic_cell_int(rows, row, 2);
    conv->pinned = logic_cell_int(rows, row, 3) != 0;
}

int logic_convs(struct logic_call *call, const char *user_id, struct logic_conv **convs, size_t *n)
{
    static const char sql[] = "SELECT conversation_id, min_seq, max_seq, is_pinned FROM conversations"
                              " WHERE owner_user_id = ? ORDER BY id";
    struct oim_sql_value args[] = {oim_sql_text(user_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 1, &rows, NULL);

    if (rc) return rc;
    *convs = logic_array(call, rows.n, sizeof(**convs));
    *n = rows.n;
    for (size_t i = 0; i < rows.n; i++) conv_of_row(&rows, i, &(*convs)[i]);
    return OIM_OK;
}

/* The rows that would make the user a part of conversation id: its own, or those of a twin's chats. */
static size_t candidates(struct oim_arena *a, const char *id, char **out)
{
    static const char *const prefixes[CHAT_PREFIXES] = {"si", "sg", "sn"};

    if (strncmp(id, "n_", 2)) {
        out[0] = (char *)id;
        return 1;
    }
    for (size_t i = 0; i < CHAT_PREFIXES; i++) out[i] = oim_arena_printf(a, "%s%s", prefixes[i], id + 1);
    return CHAT_PREFIXES;
}

int logic_convs_find(struct logic_call *call, const char *user_id, char *const *ids, size_t n, struct logic_conv *convs)
{
    static const char head[] = "SELECT conversation_id, min_seq, max_seq, is_pinned FROM conversations FORCE INDEX (PRIMARY)"
                               " WHERE owner_hash IN";
    struct oim_arena *a = call->lane->arena;
    char **asked = logic_list(call, n * CHAT_PREFIXES), **found, *some[CHAT_PREFIXES];
    char *self = oim_arena_printf(a, "n_%s_%s", user_id, user_id);
    struct oim_sql_value *hashes = logic_array(call, n * CHAT_PREFIXES, sizeof(*hashes));
    struct logic_index *index;
    struct oim_sql_rows rows;
    size_t n_asked = 0;
    int rc;

    memset(convs, 0, n * sizeof(*convs));
    for (size_t i = 0; i < n; i++) n_asked += candidates(a, ids[i], asked + n_asked);
    for (size_t i = 0; i < n_asked; i++) hashes[i] = oim_sql_blob(logic_owner_hash(a, user_id, asked[i]), 16);
    rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n_asked, "", &rows);
    if (rc) return rc;

    found = logic_column(call->lane->arena, &rows);
    index = logic_index_new(a, found, rows.n);
    for (size_t i = 0; i < n; i++) {
        size_t n_some = candidates(a, ids[i], some);

        for (size_t j = 0; j < n_some && convs[i].id == NULL; j++) {
            size_t at = logic_index_find(index, some[j]);

            if (at == SIZE_MAX) continue;
            if (n_some == 1) conv_of_row(&rows, at, &convs[i]);
            convs[i].id = ids[i];
        }
        if (strcmp(ids[i], self) == 0) convs[i].id = ids[i];
    }
    return OIM_OK;
}
