/*
 * /statistics: registrations, new groups, who wrote how much (rest.md B.9, messages.md 13.2). Messages are those of chats (si_, sg_) that
 * the full history holds, counted by openim-archive for each day and sender (docs/records.md, Counts): a question costs the days of its
 * window times those who wrote in them.
 */
#include "rpc.h"

#include "group.pb-c.h"
#include "msg.pb-c.h"
#include "user.pb-c.h"

#include <string.h>
#include <time.h>

#define DAY_MS 86400000
#define COUNTS_MAX 2000000  /* rows of msg_counts that one question may add up: two seconds */
#define MESSAGES_MAX 500000 /* messages that it may count one by one at each end: half a second */

/* ---- days ---- */

/* "YYYY-MM-DD", UTC, of days since 1970. */
static char *day_text(struct logic_call *call, int64_t day)
{
    time_t seconds = (time_t)(day * (DAY_MS / 1000));
    char *text = oim_arena_alloc(call->lane->arena, 32);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, 32, "%Y-%m-%d", &tm);
    return text;
}

/* Rows of (day, count) as the entries of a map; all maps of a text and an int64 have one layout in protobuf-c. */
typedef Openim__User__UserRegisterCountResp__CountEntry day_entry;

static day_entry **days_map(struct logic_call *call, const ProtobufCMessageDescriptor *desc, const struct oim_sql_rows *rows, int64_t *sum)
{
    day_entry **list = logic_list(call, rows->n);

    *sum = 0;
    for (size_t i = 0; i < rows->n; i++) {
        list[i] = logic_new(call, desc);
        list[i]->key = day_text(call, logic_cell_int(rows, i, 0));
        list[i]->value = logic_cell_int(rows, i, 1);
        *sum += list[i]->value;
    }
    return list;
}

static int window_check(struct logic_call *call, int64_t start, int64_t end)
{
    if (start <= 0 || end <= 0) return logic_args(call, "start or end is empty");
    return start > end ? logic_args(call, "start is after end") : OIM_OK;
}

/* ---- rows by their createTime ---- */

struct created {
    int64_t total, before;
    struct oim_sql_rows days;
};

/* table has an index of create_time. */
static int created_count(struct logic_call *call, const char *table, int64_t start, int64_t end, struct created *out)
{
    struct oim_arena *a = call->lane->arena;
    const char *count = oim_arena_printf(a, "SELECT COUNT(*) FROM %s FORCE INDEX (created) WHERE create_time >= ? AND create_time < ?",
                                         table);
    struct oim_sql_value all[] = {oim_sql_int(0), oim_sql_int(INT64_MAX)}, before[] = {oim_sql_int(0), oim_sql_int(start)};
    struct oim_sql_value window[] = {oim_sql_int(start), oim_sql_int(end)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, a, count, all, 2, &rows, NULL);

    if (rc) return rc;
    out->total = logic_cell_int(&rows, 0, 0);
    rc = oim_sql_exec(call->lane->db, a, count, before, 2, &rows, NULL);
    if (rc) return rc;
    out->before = logic_cell_int(&rows, 0, 0);
    out->days = (struct oim_sql_rows){0};
    return oim_sql_exec(call->lane->db, a,
                        oim_arena_printf(a, "SELECT create_time DIV 86400000 AS day, COUNT(*) FROM %s FORCE INDEX (created)"
                                            " WHERE create_time >= ? AND create_time < ? GROUP BY day ORDER BY day", table),
                        window, 2, &out->days, NULL);
}

/* Administrators' data, open to everybody upstream (rest.md C.12). */
static int user_register_count(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__User__UserRegisterCountReq *req = (const void *)req_;
    Openim__User__UserRegisterCountResp *res = (void *)res_;
    struct created created;
    int64_t sum;
    int rc = window_check(call, req->start, req->end);

    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = created_count(call, "users", req->start, req->end, &created);
    if (rc) return rc;
    res->total = created.total;
    res->before = created.before;
    res->count = days_map(call, &openim__user__user_register_count_resp__count_entry__descriptor, &created.days, &sum);
    res->n_count = created.days.n;
    return OIM_OK;
}

static int group_create_count(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Group__GroupCreateCountReq *req = (const void *)req_;
    Openim__Group__GroupCreateCountResp *res = (void *)res_;
    struct created created;
    int64_t sum;
    int rc = window_check(call, req->start, req->end);

    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = created_count(call, "chat_groups", req->start, req->end, &created);
    if (rc) return rc;
    res->total = created.total;
    res->before = created.before;
    res->count = (void *)days_map(call, &openim__group__group_create_count_resp__count_entry__descriptor, &created.days, &sum);
    res->n_count = created.days.n;
    return OIM_OK;
}

/* ---- messages by their sendTime: whole days from msg_counts, what start and end leave of a day from the history ---- */

/* A time whose messages are counted one by one, to be added (1) or taken off (-1). */
struct part {
    int64_t sign, from, to;
};

struct window {
    int64_t first, last; /* whole days, up to but not with last */
    struct part parts[2];
};

struct activity {
    int64_t messages, names;
    struct oim_sql_rows days;
    struct oim_sql_rows page; /* (name, count) */
};

struct question {
    int64_t start, end;
    bool ascending;
    const char *kinds; /* SQL: which rows of msg_counts */
    const char *chats; /* SQL: the same of msg_history */
    const char *name;  /* SQL: whom a message of msg_history counts for */
    const Openim__Sdkws__RequestPagination *pagination;
};

/* The beginning of a day that leaves the shorter time to count one by one. What is not sent yet takes none: at an end of now the rest of
 * today is taken off, instead of adding today so far. */
static int64_t day_near(int64_t at, int64_t now)
{
    int64_t day = at / DAY_MS, next = (day + 1) * DAY_MS, before = at - day * DAY_MS, after = (next < now ? next : now) - at;

    return before > 0 && after < before ? day + 1 : day;
}

static struct part part_of(int64_t from, int64_t to)
{
    return from <= to ? (struct part){1, from, to} : (struct part){-1, to, from};
}

/* counted_from: what is older is not in msg_counts yet. */
static struct window window_of(int64_t start, int64_t end, int64_t counted_from, int64_t now)
{
    int64_t counted = counted_from / DAY_MS + (counted_from % DAY_MS > 0);
    struct window w = {.first = day_near(start, now), .last = day_near(end, now)};

    if (w.first < counted) w.first = counted;
    if (w.first >= w.last) return (struct window){.parts = {{1, start, end}, {1, 0, 0}}};
    w.parts[0] = part_of(start, w.first * DAY_MS);
    w.parts[1] = part_of(w.last * DAY_MS, end);
    return w;
}

/* Whether the statement, which ends with "LIMIT 1 OFFSET ?", has more than max rows. */
static int more_than(struct logic_call *call, const char *sql, int64_t from, int64_t to, int64_t max, bool *more)
{
    struct oim_sql_value args[] = {oim_sql_int(from), oim_sql_int(to), oim_sql_int(max)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);

    *more = rows.n > 0;
    return rc;
}

/* 1001 when the question would hold the lane for longer than others should wait. */
static int window_bound(struct logic_call *call, const struct question *q, const struct window *w)
{
    static const char messages[] = "SELECT 1 FROM msg_history FORCE INDEX (sent) WHERE send_time >= ? AND send_time < ? LIMIT 1 OFFSET ?";
    const char *counts = oim_arena_printf(call->lane->arena, "SELECT 1 FROM msg_counts FORCE INDEX (PRIMARY)"
                                          " WHERE %s AND day >= ? AND day < ? LIMIT 1 OFFSET ?", q->kinds);
    bool more;
    int rc = more_than(call, counts, w->first, w->last, COUNTS_MAX, &more);

    if (rc == OIM_OK && more) return logic_args(call, "more than %d senders or groups, day by day, between start and end", COUNTS_MAX);
    for (int i = 0; i < 2 && rc == OIM_OK; i++) {
        if (w->parts[i].from == w->parts[i].to) continue;
        rc = more_than(call, messages, w->parts[i].from, w->parts[i].to, MESSAGES_MAX, &more);
        if (rc == OIM_OK && more) {
            return logic_args(call, "more than %d messages in a part of a day, or in days that are not counted yet: let start and end be"
                                    " beginnings of days (UTC), or ask again later", MESSAGES_MAX);
        }
    }
    return rc;
}

static int window_read(struct logic_call *call, const struct question *q, struct window *w)
{
    int64_t start = q->start > 0 ? q->start : 0, end = q->end < INT64_MAX / 2 ? q->end : INT64_MAX / 2;
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, "SELECT counted_from FROM msg_counted WHERE id = 1", NULL, 0, &rows, NULL);

    if (rc) return rc;
    *w = start < end ? window_of(start, end, rows.n ? logic_cell_int(&rows, 0, 0) : INT64_MAX, oim_now_ms()) : (struct window){0};
    return window_bound(call, q, w);
}

/* (key, total) of the window in one statement: what the archive writes meanwhile is in all of it or in nothing. */
static char *totals(struct logic_call *call, const struct question *q, const char *counts_key, const char *history_key)
{
    struct oim_arena *a = call->lane->arena;
    const char *part = oim_arena_printf(a, "SELECT %s AS k, ? * COUNT(*) AS n FROM msg_history FORCE INDEX (sent)"
                                           " WHERE send_time >= ? AND send_time < ? AND (%s) GROUP BY k", history_key, q->chats);

    return oim_arena_printf(a, "SELECT k, CAST(SUM(n) AS SIGNED) AS total FROM (SELECT %s AS k, SUM(n) AS n FROM msg_counts"
                               " FORCE INDEX (PRIMARY) WHERE %s AND day >= ? AND day < ? GROUP BY k UNION ALL %s UNION ALL %s) parts"
                               " GROUP BY k HAVING total > 0", counts_key, q->kinds, part, part);
}

enum { WINDOW_ARGS = 8 };

static void window_args(const struct window *w, struct oim_sql_value *args)
{
    *args++ = oim_sql_int(w->first);
    *args++ = oim_sql_int(w->last);
    for (int i = 0; i < 2; i++) {
        *args++ = oim_sql_int(w->parts[i].sign);
        *args++ = oim_sql_int(w->parts[i].from);
        *args++ = oim_sql_int(w->parts[i].to);
    }
}

static int activity_days(struct logic_call *call, const struct question *q, const struct window *w, struct activity *out)
{
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[WINDOW_ARGS];

    window_args(w, args);
    return oim_sql_exec(call->lane->db, a, oim_arena_printf(a, "%s ORDER BY k", totals(call, q, "day", "send_time DIV 86400000")), args,
                        WINDOW_ARGS, &out->days, NULL);
}

/* A page of (name, total, number of all names): a page without rows does not say the number. */
static int names_page(struct logic_call *call, const struct question *q, const struct window *w, struct logic_page page,
                      struct oim_sql_rows *rows)
{
    struct oim_arena *a = call->lane->arena;
    const char *sql = oim_arena_printf(a, "SELECT k, total, COUNT(*) OVER () FROM (%s) names ORDER BY total %s, k LIMIT ? OFFSET ?",
                                       totals(call, q, "name", q->name), q->ascending ? "ASC" : "DESC");
    struct oim_sql_value args[WINDOW_ARGS + 2];

    window_args(w, args);
    args[WINDOW_ARGS] = oim_sql_int(page.limit);
    args[WINDOW_ARGS + 1] = oim_sql_int(page.offset);
    return oim_sql_exec(call->lane->db, a, sql, args, WINDOW_ARGS + 2, rows, NULL);
}

/* Upstream's page n begins n-1 rows further on, not n-1 pages; nobody pages through that. */
static int activity_names(struct logic_call *call, const struct question *q, const struct window *w, const struct logic_page *page,
                          struct activity *out)
{
    struct oim_sql_rows first = {0};
    int rc = page->limit ? names_page(call, q, w, *page, &out->page) : OIM_OK;

    if (rc) return rc;
    if (out->page.n) {
        out->names = logic_cell_int(&out->page, 0, 2);
        return OIM_OK;
    }
    rc = names_page(call, q, w, (struct logic_page){.limit = 1}, &first);
    if (rc == OIM_OK && first.n) out->names = logic_cell_int(&first, 0, 2);
    return rc;
}

static int activity_read(struct logic_call *call, const struct question *q, struct activity *out)
{
    struct logic_page page;
    struct window w;
    int rc = logic_page(call, q->pagination, &page);

    *out = (struct activity){0};
    if (rc == OIM_OK && page.limit > LOGIC_IDS_MAX) rc = logic_args(call, "showNumber is more than %d", LOGIC_IDS_MAX);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = window_read(call, q, &w);
    if (rc == OIM_OK) rc = activity_days(call, q, &w, out);
    return rc ? rc : activity_names(call, q, &w, &page, out);
}

static char **names_of(struct logic_call *call, const struct oim_sql_rows *page)
{
    char **names = logic_list(call, page->n);

    for (size_t i = 0; i < page->n; i++) names[i] = logic_cell_text(page, i, 0);
    return names;
}

static int user_active(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__GetActiveUserReq *req = (const void *)req_;
    Openim__Msg__GetActiveUserResp *res = (void *)res_;
    struct question q = {.start = req->start, .end = req->end, .ascending = req->ase, .name = "send_id", .pagination = req->pagination};
    Openim__Sdkws__UserInfo **users;
    struct activity activity;
    char **names;
    int rc;

    q.kinds = req->group ? "kind IN (1, 2)" : "kind = 1";
    q.chats = req->group ? "conversation_id LIKE 'si\\_%' OR conversation_id LIKE 'sg\\_%'" : "conversation_id LIKE 'si\\_%'";
    rc = activity_read(call, &q, &activity);
    if (rc) return rc;
    res->usercount = activity.names;
    res->datecount = (void *)days_map(call, &openim__msg__get_active_user_resp__date_count_entry__descriptor, &activity.days,
                                      &res->msgcount);
    res->n_datecount = activity.days.n;
    names = names_of(call, &activity.page);
    users = logic_list(call, activity.page.n);
    rc = logic_users(call, names, activity.page.n, users);
    if (rc) return rc;
    res->users = logic_list(call, activity.page.n);
    for (size_t i = 0; i < activity.page.n; i++) {
        Openim__Msg__ActiveUser *active = logic_new(call, &openim__msg__active_user__descriptor);

        if (users[i] == NULL) { /* its row is gone */
            users[i] = logic_new(call, &openim__sdkws__user_info__descriptor);
            users[i]->userid = users[i]->nickname = names[i];
        }
        active->user = users[i];
        active->count = logic_cell_int(&activity.page, i, 1);
        res->users[res->n_users++] = active;
    }
    return OIM_OK;
}

static int group_active(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__GetActiveGroupReq *req = (const void *)req_;
    Openim__Msg__GetActiveGroupResp *res = (void *)res_;
    struct question q = {.start = req->start, .end = req->end, .ascending = req->ase, .kinds = "kind = 3", .pagination = req->pagination,
                         .chats = "conversation_id LIKE 'sg\\_%'", .name = "SUBSTR(conversation_id, 4)"};
    Openim__Sdkws__GroupInfo **groups;
    struct activity activity;
    char **names;
    int rc = activity_read(call, &q, &activity);

    if (rc) return rc;
    res->groupcount = activity.names;
    res->datecount = (void *)days_map(call, &openim__msg__get_active_group_resp__date_count_entry__descriptor, &activity.days,
                                      &res->msgcount);
    res->n_datecount = activity.days.n;
    names = names_of(call, &activity.page);
    groups = logic_list(call, activity.page.n);
    rc = logic_groups(call, names, activity.page.n, groups);
    if (rc) return rc;
    res->groups = logic_list(call, activity.page.n);
    for (size_t i = 0; i < activity.page.n; i++) {
        Openim__Msg__ActiveGroup *active = logic_new(call, &openim__msg__active_group__descriptor);

        if (groups[i] == NULL) {
            groups[i] = logic_new(call, &openim__sdkws__group_info__descriptor);
            groups[i]->groupid = groups[i]->groupname = names[i];
        }
        active->group = groups[i];
        active->count = logic_cell_int(&activity.page, i, 1);
        res->groups[res->n_groups++] = active;
    }
    return OIM_OK;
}

const struct logic_route logic_statistics_routes[] = {
    {"/statistics/user/register", 0, LOGIC_ADMIN, &openim__user__user_register_count_req__descriptor,
     &openim__user__user_register_count_resp__descriptor, user_register_count, LOGIC_SEARCH},
    {"/statistics/group/create", 0, LOGIC_ADMIN, &openim__group__group_create_count_req__descriptor,
     &openim__group__group_create_count_resp__descriptor, group_create_count, LOGIC_SEARCH},
    {"/statistics/user/active", 0, LOGIC_ADMIN, &openim__msg__get_active_user_req__descriptor,
     &openim__msg__get_active_user_resp__descriptor, user_active, LOGIC_SEARCH},
    {"/statistics/group/active", 0, LOGIC_ADMIN, &openim__msg__get_active_group_req__descriptor,
     &openim__msg__get_active_group_resp__descriptor, group_active, LOGIC_SEARCH},
    {0},
};
