/*
 * Reading messages through the three stores; fetch.h holds the contracts. A plan is fetched in waves until
 * it is complete or the answer is full: clients drop a connection whose frame exceeds 1 MiB, so what does
 * not fit is left out.
 *
 * What a user sees of a stored message is decided in fetch_show.c.
 */
#include "fetch.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 100        /* messages of a MongoDB block */
#define WAVE 256         /* wanted messages fetched at once */
#define FRAME_BYTES 720000 /* as base64 in a JSON envelope still under 1 MiB */
#define REST_BYTES 4194304

/* A message that one of the stores gave. */
static void want_fill(struct logic_call *call, struct logic_want *w, const void *data, size_t len)
{
    w->msg = openim__sdkws__msg_data__unpack(oim_arena_pb(call->lane->arena), len, data);
    w->bytes = len;
    if (w->msg == NULL) {
        oim_log(OIM_LOG_ERROR, "stored message is broken", "conv=%s seq=%" PRId64 " bytes=%zu", w->conv, w->seq, len);
    }
}

int logic_want_order(const void *a, const void *b)
{
    const struct logic_want *x = *(struct logic_want *const *)a, *y = *(struct logic_want *const *)b;
    int order = strcmp(x->conv, y->conv);

    if (order) return order;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int fetch_redis(struct logic_call *call, struct logic_want **wants, size_t n)
{
    struct oim_redis *rds = call->lane->rds;
    const char **argv = logic_array(call, n + 1, sizeof(*argv));
    struct oim_redis_value list;
    int rc;

    argv[0] = "MGET";
    for (size_t i = 0; i < n; i++) {
        argv[i + 1] = oim_arena_printf(call->lane->arena, "oim:hot:%s:%" PRId64, wants[i]->conv, wants[i]->seq);
    }
    oim_redis_reset(rds);
    oim_redis_add_argv(rds, (int)n + 1, argv, NULL);
    rc = oim_redis_run(rds);
    if (rc) return rc;
    list = oim_redis_reply(rds, 0);
    for (size_t i = 0; i < n && i < list.elements; i++) {
        struct oim_redis_value v = oim_redis_at(&list, i);

        if (v.type == OIM_REDIS_STRING) want_fill(call, wants[i], v.str, v.len);
    }
    oim_redis_reset(rds);
    return OIM_OK;
}

/* Those without a message move to the front; returns their number. */
static size_t still_wanted(struct logic_want **wants, size_t n)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        if (wants[i]->msg == NULL) wants[left++] = wants[i];
    }
    return left;
}

/* One read per block. MongoDB away is no failure: MySQL has it all. */
static void fetch_mongo(struct logic_call *call, struct logic_want **wants, size_t n)
{
    size_t end;

    for (size_t i = 0; i < n; i = end) {
        int64_t block = (wants[i]->seq - 1) / BLOCK;
        struct oim_mongo_msg *found;
        size_t n_found, at = i;

        for (end = i + 1; end < n && strcmp(wants[end]->conv, wants[i]->conv) == 0; end++) {
            if ((wants[end]->seq - 1) / BLOCK != block) break;
        }
        if (oim_mongo_read(call->lane->mg, call->lane->arena, wants[i]->conv, wants[i]->seq, wants[end - 1]->seq, &found,
                           &n_found)) {
            return;
        }
        for (size_t j = 0; j < n_found; j++) { /* both ascend */
            while (at < end && wants[at]->seq < found[j].seq) at++;
            for (; at < end && wants[at]->seq == found[j].seq; at++) want_fill(call, wants[at], found[j].data, found[j].len);
        }
    }
}

/* How far the archive is, read before the history: what the history lacks below this is lost. */
static int archived(struct logic_call *call, struct logic_want **wants, size_t n, int64_t *seqs)
{
    static const char head[] = "SELECT conversation_id, archived_seq FROM conversation_seq FORCE INDEX (PRIMARY) WHERE conversation_id IN";
    struct oim_arena *a = call->lane->arena;
    char **ids = logic_list(call, n);
    struct logic_index *index;
    struct oim_sql_rows rows;
    size_t n_ids = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(wants[i]->conv, wants[i - 1]->conv)) ids[n_ids++] = (char *)wants[i]->conv;
    }
    rc = logic_sql_in(call->lane, head, NULL, 0, logic_text_values(a, ids, n_ids), n_ids, "", &rows);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) ids[i] = logic_cell_text(&rows, i, 0);
    index = logic_index_new(a, ids, rows.n);
    for (size_t i = 0; i < n; i++) {
        size_t at = logic_index_find(index, wants[i]->conv);

        seqs[i] = at == SIZE_MAX ? 0 : logic_cell_int(&rows, at, 1);
    }
    return OIM_OK;
}

/* Neighbours become one range: a statement of (conversation, from, to) triples, a power of two of them. */
static int fetch_history(struct logic_call *call, struct logic_want **wants, size_t n)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value *args = logic_array(call, 2 * n * 3, sizeof(*args));
    struct oim_buf sql = {0};
    struct oim_sql_rows rows = {0};
    size_t triples = 0, places = 1;
    int rc;

    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && strcmp(wants[end]->conv, wants[i]->conv) == 0; end++) {
            if (wants[end]->seq > wants[end - 1]->seq + 1) break;
        }
        args[triples * 3] = oim_sql_text(wants[i]->conv);
        args[triples * 3 + 1] = oim_sql_int(wants[i]->seq);
        args[triples * 3 + 2] = oim_sql_int(wants[end - 1]->seq);
        triples++;
    }
    while (places < triples) places *= 2;
    for (size_t i = triples; i < places; i++) memcpy(args + i * 3, args + (triples - 1) * 3, 3 * sizeof(*args));

    oim_buf_puts(&sql, "SELECT conversation_id, seq, data FROM msg_history WHERE");
    for (size_t i = 0; i < places; i++) {
        oim_buf_puts(&sql, i ? " OR (conversation_id = ? AND seq BETWEEN ? AND ?)" : " (conversation_id = ? AND seq BETWEEN ? AND ?)");
    }
    oim_buf_puts(&sql, " ORDER BY conversation_id, seq");
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(call->lane->db, a, (const char *)sql.data, args, places * 3, &rows, NULL);
    oim_buf_free(&sql);
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        const struct oim_sql_value *data = oim_sql_cell(&rows, i, 2);
        struct logic_want key = {.conv = logic_cell_text(&rows, i, 0), .seq = logic_cell_int(&rows, i, 1)}, *k = &key;
        struct logic_want **hit = bsearch(&k, wants, n, sizeof(*wants), logic_want_order);

        if (hit == NULL) continue;
        while (hit > wants && logic_want_order(hit - 1, &k) == 0) hit--;
        for (; hit < wants + n && logic_want_order(hit, &k) == 0; hit++) want_fill(call, *hit, data->p, data->len);
    }
    return OIM_OK;
}

/* Fills msg or missing of each. OIM_EFAIL when one cannot be read now: the client asks again. */
static int fetch(struct logic_call *call, struct logic_want **wants, size_t n)
{
    struct logic_want **order = logic_list(call, n);
    int64_t *limits;
    size_t left;
    int rc;

    if (n == 0) return OIM_OK;
    memcpy(order, wants, n * sizeof(*order));
    rc = fetch_redis(call, order, n);
    if (rc) return rc;
    left = still_wanted(order, n);
    if (left == 0) return OIM_OK;
    qsort(order, left, sizeof(*order), logic_want_order);
    fetch_mongo(call, order, left);
    left = still_wanted(order, left);
    if (left == 0) return OIM_OK;
    limits = logic_array(call, left, sizeof(*limits));
    rc = archived(call, order, left, limits);
    if (rc == OIM_OK) rc = fetch_history(call, order, left);
    if (rc) return rc;
    for (size_t i = 0; i < left; i++) {
        if (order[i]->msg) continue;
        if (order[i]->seq > limits[i]) {
            oim_log(OIM_LOG_WARN, "message not readable yet", "op=%s conv=%s seq=%" PRId64 " archived=%" PRId64,
                    call->up->operationid, order[i]->conv, order[i]->seq, limits[i]);
            return logic_fail(call, OIM_C_INTERNAL, "messages are not archived yet, try again");
        }
        order[i]->missing = true;
    }
    return OIM_OK;
}

int logic_fetch(struct logic_call *call, struct logic_want **plan, size_t n, size_t *done)
{
    size_t budget = call->up->source == OPENIM__INTERNAL__SOURCE__WS ? FRAME_BYTES : REST_BYTES, used = 0;
    int rc;

    *done = 0;
    for (size_t i = 0; i < n; i += WAVE) {
        size_t step = n - i < WAVE ? n - i : WAVE;

        rc = fetch(call, plan + i, step);
        if (rc) return rc;
        for (size_t j = i; j < i + step; j++) {
            used += plan[j]->bytes + strlen(plan[j]->conv) + 32;
            if (used > budget && j > 0) {
                oim_log(OIM_LOG_INFO, "pull cut", "op=%s user=%s wanted=%zu sent=%zu", call->up->operationid, call->up->userid,
                        n, j);
                return OIM_OK;
            }
            *done = j + 1;
        }
    }
    return OIM_OK;
}
