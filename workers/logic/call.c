/*
 * Small things that all handlers use: failures, permissions, messages and lists in the arena, SQL with
 * id lists. Nothing here talks to a store but logic_sql_in. Contracts: logic.h and rpc.h.
 */
#include "rpc.h"

#include "oim_hash.h"
#include "oim_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_LIST_MAX 1024
#define SQL_ROWS_MAX 128 /* of one statement, a power of two */

int logic_fail(struct logic_call *call, int code, const char *dlt_fmt, ...)
{
    char text[512];
    va_list ap;

    call->fail.code = code;
    call->fail.msg = oim_fail_name(code);
    call->fail.dlt = "";
    if (dlt_fmt) {
        va_start(ap, dlt_fmt);
        vsnprintf(text, sizeof(text), dlt_fmt, ap);
        va_end(ap);
        call->fail.dlt = oim_arena_strdup(call->lane->arena, text);
    }
    return OIM_EFAIL;
}

int logic_internal(struct logic_call *call, int err)
{
    return logic_fail(call, OIM_C_INTERNAL, "%s", oim_err_name(err));
}

int logic_self(struct logic_call *call, const char *user_id)
{
    if (call->admin || strcmp(call->up->userid, user_id) == 0) return OIM_OK;
    return logic_fail(call, OIM_C_PERMISSION, "not the user of the token");
}

int logic_admin(struct logic_call *call)
{
    if (call->admin) return OIM_OK;
    return logic_fail(call, OIM_C_PERMISSION, "only app manager");
}

void *logic_new(struct logic_call *call, const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessage *msg = oim_arena_zalloc(call->lane->arena, desc->sizeof_message);

    desc->message_init(msg);
    return msg;
}

void *logic_array(struct logic_call *call, size_t n, size_t size)
{
    return oim_arena_zalloc(call->lane->arena, (n ? n : 1) * size);
}

static bool field_utf8(const ProtobufCFieldDescriptor *f, const void *member)
{
    const char *s;

    if (f->type == PROTOBUF_C_TYPE_STRING) {
        s = *(char *const *)member;
        return s == NULL || oim_wire_utf8(s, strlen(s));
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *sub = *(ProtobufCMessage *const *)member;
        return sub == NULL || logic_utf8(sub);
    }
    return true;
}

bool logic_utf8(const ProtobufCMessage *msg)
{
    const char *base = (const char *)msg;

    for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
        const void *member = base + f->offset;

        if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(base + f->quantifier_offset);
            const char *items = *(char *const *)member;

            for (size_t j = 0; j < n; j++) {
                if (!field_utf8(f, items + j * sizeof(void *))) return false;
            }
        } else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            if (*(const uint32_t *)(base + f->quantifier_offset) != f->id) continue;
            if (!field_utf8(f, member)) return false;
        } else if (!field_utf8(f, member)) {
            return false;
        }
    }
    return true;
}

Openim__Internal__Uplink logic_uplink(const struct logic_call *call, Openim__Internal__Source source, bool answer)
{
    Openim__Internal__Uplink up = OPENIM__INTERNAL__UPLINK__INIT;

    up.version = 1;
    up.source = source;
    up.userid = call->up->userid;
    up.platformid = call->up->platformid;
    up.operationid = call->up->operationid;
    up.receivedat = call->up->receivedat;
    if (answer) {
        up.gateway = call->up->gateway;
        up.requestid = call->up->requestid;
        up.path = call->up->path;
        up.deadline = call->up->deadline;
        up.remote = call->up->remote;
    }
    return up;
}

/* ---- id lists ---- */

struct entry {
    const char *id;
    size_t position;
};

struct logic_index {
    size_t n;
    struct entry entries[];
};

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    if (order) return order;
    return (x->position > y->position) - (x->position < y->position);
}

struct logic_index *logic_index_new(struct oim_arena *a, char *const *ids, size_t n)
{
    struct logic_index *index = oim_arena_alloc(a, sizeof(*index) + n * sizeof(struct entry));

    index->n = n;
    for (size_t i = 0; i < n; i++) index->entries[i] = (struct entry){ids[i], i};
    qsort(index->entries, n, sizeof(struct entry), entry_compare);
    return index;
}

size_t logic_index_find(const struct logic_index *index, const char *id)
{
    size_t lo = 0, hi = index->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(index->entries[mid].id, id) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == index->n || strcmp(index->entries[lo].id, id)) return SIZE_MAX;
    return index->entries[lo].position;
}

bool logic_index_distinct(const struct logic_index *index)
{
    for (size_t i = 1; i < index->n; i++) {
        if (strcmp(index->entries[i - 1].id, index->entries[i].id) == 0) return false;
    }
    return true;
}

int logic_check_ids(struct logic_call *call, const char *name, char *const *ids, size_t n, bool distinct)
{
    if (n == 0) return logic_args(call, "%s is empty", name);
    if (n > LOGIC_IDS_MAX) return logic_args(call, "%s has more than %d entries", name, LOGIC_IDS_MAX);
    if (distinct && !logic_index_distinct(logic_index_new(call->lane->arena, ids, n))) {
        return logic_args(call, "%s repeated", name);
    }
    return OIM_OK;
}

#define ID_MAX_BYTES 255
#define NAME_MAX_CHARS 255
#define TEXT_MAX_BYTES 65535

int logic_check_id(struct logic_call *call, const char *field, const char *id)
{
    return strlen(id) <= ID_MAX_BYTES ? OIM_OK : logic_args(call, "%s is longer than %d bytes", field, ID_MAX_BYTES);
}

int logic_check_name(struct logic_call *call, const char *field, const char *text)
{
    size_t chars = 0;

    for (const char *p = text ? text : ""; *p; p++) chars += ((unsigned char)*p & 0xC0) != 0x80;
    return chars <= NAME_MAX_CHARS ? OIM_OK : logic_args(call, "%s is longer than %d characters", field, NAME_MAX_CHARS);
}

int logic_check_text(struct logic_call *call, const char *field, const char *text)
{
    if (text == NULL || strlen(text) <= TEXT_MAX_BYTES) return OIM_OK;
    return logic_args(call, "%s is longer than %d bytes", field, TEXT_MAX_BYTES);
}

/* ---- SQL ---- */

struct oim_sql_value *logic_text_values(struct oim_arena *a, char *const *ids, size_t n)
{
    struct oim_sql_value *values = oim_arena_alloc(a, (n ? n : 1) * sizeof(*values));

    for (size_t i = 0; i < n; i++) values[i] = oim_sql_text(ids[i]);
    return values;
}

char *logic_cell_text(const struct oim_sql_rows *rows, size_t row, size_t col)
{
    const struct oim_sql_value *cell = oim_sql_cell(rows, row, col);

    if (cell->kind != OIM_SQL_TEXT && cell->kind != OIM_SQL_BLOB) return (char *)protobuf_c_empty_string;
    return (char *)cell->p;
}

int64_t logic_cell_int(const struct oim_sql_rows *rows, size_t row, size_t col)
{
    const struct oim_sql_value *cell = oim_sql_cell(rows, row, col);

    if (cell->kind == OIM_SQL_UINT) return (int64_t)cell->u;
    return cell->kind == OIM_SQL_INT ? cell->i : 0;
}

char **logic_column(struct oim_arena *a, const struct oim_sql_rows *rows)
{
    char **texts = oim_arena_alloc(a, (rows->n ? rows->n : 1) * sizeof(*texts));

    for (size_t i = 0; i < rows->n; i++) texts[i] = logic_cell_text(rows, i, 0);
    return texts;
}

static int sql_in_once(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t nargs,
                       const struct oim_sql_value *ids, size_t n, const char *tail, struct oim_sql_rows *rows)
{
    struct oim_buf sql = {0};
    struct oim_sql_value *all;
    size_t places = 1;
    int rc;

    while (places < n) places *= 2;
    all = oim_arena_alloc(lane->arena, (nargs + places) * sizeof(*all));
    if (nargs) memcpy(all, args, nargs * sizeof(*all));
    for (size_t i = 0; i < places; i++) all[nargs + i] = ids[i < n ? i : n - 1];

    oim_buf_puts(&sql, head);
    oim_buf_putc(&sql, ' ');
    oim_sql_places(&sql, 1, places);
    oim_buf_putc(&sql, ' ');
    oim_buf_puts(&sql, tail);
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(lane->db, lane->arena, (const char *)sql.data, all, nargs + places, rows, NULL);
    oim_buf_free(&sql);
    return rc;
}

int logic_sql_in(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t nargs,
                 const struct oim_sql_value *ids, size_t n, const char *tail, struct oim_sql_rows *rows)
{
    struct oim_sql_value *cells = NULL;
    struct oim_sql_rows part;
    int rc;

    *rows = (struct oim_sql_rows){0};
    for (size_t done = 0; done < n; done += SQL_LIST_MAX) {
        size_t step = n - done < SQL_LIST_MAX ? n - done : SQL_LIST_MAX;

        rc = sql_in_once(lane, head, args, nargs, ids + done, step, tail, &part);
        if (rc) return rc;
        if (n <= SQL_LIST_MAX) {
            *rows = part;
            return OIM_OK;
        }
        if (part.n == 0) continue;
        cells = oim_arena_alloc(lane->arena, (rows->n + part.n) * part.columns * sizeof(*cells));
        if (rows->n) memcpy(cells, rows->cells, rows->n * part.columns * sizeof(*cells));
        memcpy(cells + rows->n * part.columns, part.cells, part.n * part.columns * sizeof(*cells));
        rows->cells = cells;
        rows->n += part.n;
        rows->columns = part.columns;
    }
    return OIM_OK;
}

int logic_sql_rows(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t columns, size_t n, const char *tail)
{
    int rc = OIM_OK;

    for (size_t done = 0, step; done < n && rc == OIM_OK; done += step) {
        struct oim_buf sql = {0};

        for (step = SQL_ROWS_MAX; step > n - done; step /= 2) continue;
        oim_buf_puts(&sql, head);
        oim_sql_places(&sql, step, columns);
        oim_buf_puts(&sql, tail);
        oim_buf_putc(&sql, '\0');
        rc = oim_sql_exec(lane->db, lane->arena, (const char *)sql.data, args + done * columns, step * columns, NULL, NULL);
        oim_buf_free(&sql);
    }
    return rc;
}

const void *logic_owner_hash(struct oim_arena *a, const char *owner, const char *conversation_id)
{
    const char *parts[] = {owner, conversation_id};
    uint8_t *hash = oim_arena_alloc(a, 16);

    oim_hash_sha128(hash, parts, 2);
    return hash;
}

/* ---- pages ---- */

struct logic_page logic_page_lenient(const Openim__Sdkws__RequestPagination *p)
{
    struct logic_page page = {0, 0};

    if (p == NULL || p->shownumber <= 0 || p->pagenumber < 1) return page;
    page.limit = p->shownumber;
    page.offset = (int64_t)(p->pagenumber - 1) * p->shownumber;
    return page;
}

int logic_page(struct logic_call *call, const Openim__Sdkws__RequestPagination *p, struct logic_page *page)
{
    *page = logic_page_lenient(p);
    if (p == NULL) return logic_args(call, "pagination is empty");
    if (p->pagenumber < 1) return logic_args(call, "pageNumber is invalid");
    return OIM_OK;
}
