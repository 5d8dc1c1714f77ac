/*
 * /statistics: registrations, new groups, who wrote how much (rest.md B.9, messages.md 13.2). Every number is counted along an index of a
 * time, so a question costs what happened in its window. Messages are those of chats (si_, sg_) that the full history holds.
 */
#include "rpc.h"

#include "group.pb-c.h"
#include "msg.pb-c.h"
#include "user.pb-c.h"

#include <string.h>
#include <time.h>

#define DAY_MS 86400000
#define WINDOW_MESSAGES 2000000 /* that one question may count: some seconds of one lane */

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

/* ---- messages by their sendTime ---- */

struct activity {
    int64_t messages, names;
    struct oim_sql_rows days;
    struct oim_sql_rows page; /* (name, count) */
};

struct question {
    int64_t start, end;
    bool ascending;
    const char *name;  /* SQL: whom a message counts for */
    const char *chats; /* SQL: which conversations */
    const Openim__Sdkws__RequestPagination *pagination;
};

/* The window counted per day: along the index alone. */
static int activity_days(struct logic_call *call, const struct question *q, struct activity *out)
{
    static const char over[] = "SELECT 1 FROM msg_history FORCE INDEX (sent) WHERE send_time >= ? AND send_time < ? LIMIT 1 OFFSET ?";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {oim_sql_int(q->start), oim_sql_int(q->end), oim_sql_int(WINDOW_MESSAGES)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, a, over, args, 3, &rows, NULL);

    if (rc) return rc;
    if (rows.n) return logic_args(call, "more than %d messages between start and end: ask for less time", WINDOW_MESSAGES);
    return oim_sql_exec(call->lane->db, a,
                        oim_arena_printf(a, "SELECT send_time DIV 86400000 AS day, COUNT(*) FROM msg_history FORCE INDEX (sent)"
                                            " WHERE send_time >= ? AND send_time < ? AND (%s) GROUP BY day ORDER BY day", q->chats),
                        args, 2, &out->days, NULL);
}

/* Upstream's page n begins n-1 rows further on, not n-1 pages; nobody pages through that. */
static int activity_names(struct logic_call *call, const struct question *q, const struct logic_page *page, struct activity *out)
{
    struct oim_arena *a = call->lane->arena;
    const char *from = oim_arena_printf(a, "FROM msg_history FORCE INDEX (sent) WHERE send_time >= ? AND send_time < ? AND (%s)", q->chats);
    struct oim_sql_value args[] = {oim_sql_int(q->start), oim_sql_int(q->end), oim_sql_int(page->limit), oim_sql_int(page->offset)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, a, oim_arena_printf(a, "SELECT COUNT(DISTINCT %s) %s", q->name, from), args, 2, &rows, NULL);

    if (rc) return rc;
    out->names = logic_cell_int(&rows, 0, 0);
    if (page->limit == 0) return OIM_OK;
    return oim_sql_exec(call->lane->db, a,
                        oim_arena_printf(a, "SELECT %s AS name, COUNT(*) AS n %s GROUP BY name ORDER BY n %s, name LIMIT ? OFFSET ?",
                                         q->name, from, q->ascending ? "ASC" : "DESC"),
                        args, 4, &out->page, NULL);
}

static int activity_read(struct logic_call *call, const struct question *q, struct activity *out)
{
    struct logic_page page;
    int rc = logic_page(call, q->pagination, &page);

    *out = (struct activity){0};
    if (rc == OIM_OK && page.limit > LOGIC_IDS_MAX) rc = logic_args(call, "showNumber is more than %d", LOGIC_IDS_MAX);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = activity_days(call, q, out);
    return rc ? rc : activity_names(call, q, &page, out);
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
    struct question q = {req->start, req->end, req->ase, "send_id",
                         req->group ? "conversation_id LIKE 'si\\_%' OR conversation_id LIKE 'sg\\_%'" : "conversation_id LIKE 'si\\_%'",
                         req->pagination};
    Openim__Sdkws__UserInfo **users;
    struct activity activity;
    char **names;
    int rc = activity_read(call, &q, &activity);

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
    struct question q = {req->start, req->end, req->ase, "SUBSTR(conversation_id, 4)", "conversation_id LIKE 'sg\\_%'", req->pagination};
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
