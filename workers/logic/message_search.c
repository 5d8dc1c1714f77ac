/*
 * /msg/search_msg (rest.md B.7, messages.md 13.1): chat messages by sender, receiver, types and day, oldest first, for administrators.
 * It reads the full history, where originals stay when they are revoked; deleted ones are left out.
 *
 * The page is found in an index that has the order of the answer, the rows are read by their keys. Notification conversations are passed
 * over on the way; the count is of the messages that the filters admit, up to a bound.
 */
#include "marks.h"
#include "message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROWS_MAX 500      /* of one page */
#define COUNT_MAX 10000   /* more are not counted */
#define BYTES_MAX 4194304 /* of the messages of a page */
#define DAY_MS 86400000
#define ARGS_MAX 8

struct search {
    struct oim_buf where;
    struct oim_sql_value args[ARGS_MAX];
    size_t n;
};

/* ---- filters ---- */

static void where_add(struct search *s, const char *condition, struct oim_sql_value value)
{
    oim_buf_puts(&s->where, condition);
    s->args[s->n++] = value;
}

/* "YYYY-MM-DD" as the first ms of that day, UTC; -1: it is none. */
static int64_t day_of(const char *text)
{
    struct tm tm = {0}, back;
    int end = 0;
    time_t day;

    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &end) != 3 || end != 10 || text[10]) return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    back = tm;
    day = timegm(&back);
    if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || day < 0) return -1;
    return (int64_t)day * 1000;
}

/* A conversation's id begins with what its messages' sessionType says, and every index ends with the id: no row is read to tell. */
static const char *chats_of(int32_t session_type)
{
    switch (session_type) {
    case 0: return "(conversation_id LIKE 'si\\_%' OR conversation_id LIKE 'sg\\_%')";
    case LOGIC_SESSION_SINGLE: return "conversation_id LIKE 'si\\_%'";
    case LOGIC_SESSION_GROUP: return "conversation_id LIKE 'sg\\_%'";
    default: return "FALSE";
    }
}

static int filters_read(struct logic_call *call, const Openim__Msg__SearchMessageReq *req, struct search *s)
{
    int64_t day = 0;

    if (req->sendtime[0] && (day = day_of(req->sendtime)) < 0) return logic_args(call, "sendTime is no day");
    oim_buf_puts(&s->where, chats_of(req->sessiontype));
    if (req->sendid[0]) where_add(s, " AND send_id = ?", oim_sql_text(req->sendid));
    if (req->recvid[0]) where_add(s, " AND recv_id = ?", oim_sql_text(req->recvid));
    if (req->contenttype) where_add(s, " AND content_type = ?", oim_sql_int(req->contenttype));
    if (req->sendtime[0]) {
        where_add(s, " AND send_time >= ?", oim_sql_int(day));
        where_add(s, " AND send_time < ?", oim_sql_int(day + DAY_MS));
    }
    oim_buf_putc(&s->where, '\0');
    return OIM_OK;
}

/* The index with the fewest rows for what is asked; each has the order of the answer. */
static const char *index_of(const Openim__Msg__SearchMessageReq *req)
{
    if (req->sendid[0]) return "sender";
    if (req->recvid[0]) return "receiver";
    return req->contenttype ? "content_type" : "sent";
}

static int count(struct logic_call *call, const Openim__Msg__SearchMessageReq *req, const struct search *s, int32_t *n)
{
    struct oim_sql_rows rows = {0};
    static const char fmt[] = "SELECT COUNT(*) FROM (SELECT 1 FROM msg_history FORCE INDEX (%s) WHERE %s LIMIT %d) matches";
    char *sql = oim_arena_printf(call->lane->arena, fmt, index_of(req), (const char *)s->where.data, COUNT_MAX);
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, s->args, s->n, &rows, NULL);

    if (rc == OIM_OK) *n = (int32_t)logic_cell_int(&rows, 0, 0);
    return rc;
}

/* Messages of one ms come in the order of the index, which ends with the table's own key; asked for that, MySQL would sort all rows. */
static int page_read(struct logic_call *call, const Openim__Msg__SearchMessageReq *req, struct search *s, const struct logic_page *page,
                     struct oim_sql_rows *rows)
{
    static const char fmt[] = "SELECT h.conversation_id, h.seq, h.data FROM msg_history h JOIN"
                              " (SELECT conversation_id, seq FROM msg_history FORCE INDEX (%s) WHERE %s"
                              " ORDER BY send_time LIMIT ? OFFSET ?) p"
                              " ON p.conversation_id = h.conversation_id AND p.seq = h.seq"
                              " ORDER BY h.send_time, h.conversation_id, h.seq";
    char *sql = oim_arena_printf(call->lane->arena, fmt, index_of(req), (const char *)s->where.data);

    s->args[s->n] = oim_sql_int(page->limit < ROWS_MAX ? page->limit : ROWS_MAX);
    s->args[s->n + 1] = oim_sql_int(page->offset);
    return oim_sql_exec(call->lane->db, call->lane->arena, sql, s->args, s->n + 2, rows, NULL);
}

/* ---- the answer ---- */

static Openim__Msg__ChatLog *log_of(struct logic_call *call, const Openim__Sdkws__MsgData *msg)
{
    Openim__Msg__ChatLog *log = logic_new(call, &openim__msg__chat_log__descriptor);

    log->servermsgid = msg->servermsgid;
    log->clientmsgid = msg->clientmsgid;
    log->sendid = msg->sendid;
    log->recvid = msg->sessiontype == LOGIC_SESSION_GROUP ? msg->groupid : msg->recvid;
    log->groupid = msg->groupid;
    log->senderplatformid = msg->senderplatformid;
    log->sendernickname = msg->sendernickname;
    log->senderfaceurl = msg->senderfaceurl;
    log->sessiontype = msg->sessiontype;
    log->msgfrom = msg->msgfrom;
    log->contenttype = msg->contenttype;
    log->content = oim_arena_strndup(call->lane->arena, (const char *)msg->content.data, msg->content.len);
    log->status = msg->status;
    log->sendtime = msg->sendtime;
    log->createtime = msg->createtime;
    log->ex = msg->ex;
    log->seq = msg->seq;
    return log;
}

/* Names of users and groups: a query each. */
static int names_fill(struct logic_call *call, Openim__Msg__SearchChatLog **logs, size_t n)
{
    char **ids = logic_list(call, 2 * n), **group_ids = logic_list(call, n);
    Openim__Sdkws__UserInfo **users = logic_list(call, 2 * n);
    Openim__Sdkws__GroupInfo **groups = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = logs[i]->chatlog->sendid;
        ids[n + i] = logs[i]->chatlog->recvid;
        group_ids[i] = logs[i]->chatlog->groupid;
    }
    rc = logic_users(call, ids, 2 * n, users);
    if (rc == OIM_OK) rc = logic_groups(call, group_ids, n, groups);
    for (size_t i = 0; rc == OIM_OK && i < n; i++) {
        Openim__Msg__ChatLog *log = logs[i]->chatlog;

        if (log->sendernickname[0] == '\0' && users[i]) log->sendernickname = users[i]->nickname;
        if (log->sessiontype != LOGIC_SESSION_GROUP) {
            if (users[n + i]) log->recvnickname = users[n + i]->nickname;
            continue;
        }
        if (groups[i] == NULL) continue;
        log->groupname = groups[i]->groupname;
        log->groupowner = groups[i]->owneruserid;
        log->grouptype = groups[i]->grouptype;
        log->groupmembercount = groups[i]->membercount;
        log->groupfaceurl = log->senderfaceurl = groups[i]->faceurl;
    }
    return rc;
}

static int answer(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Msg__SearchMessageResp *res)
{
    struct logic_place *places = logic_array(call, rows->n, sizeof(*places));
    struct logic_marks *marks;
    size_t bytes = 0;
    int rc;

    for (size_t i = 0; i < rows->n; i++) places[i] = (struct logic_place){logic_cell_text(rows, i, 0), logic_cell_int(rows, i, 1)};
    rc = logic_marks_load(call, NULL, places, rows->n, &marks);
    if (rc) return rc;
    res->chatlogs = logic_list(call, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        const struct oim_sql_value *data = oim_sql_cell(rows, i, 2);
        Openim__Sdkws__MsgData *msg = openim__sdkws__msg_data__unpack(oim_arena_pb(call->lane->arena), data->len, data->p);
        Openim__Msg__SearchChatLog *log;

        bytes += data->len;
        if (bytes > BYTES_MAX) break; /* the rest on pages with fewer messages */
        if (msg == NULL || logic_marks_deleted(marks, places[i].conv, places[i].seq)) continue;
        log = logic_new(call, &openim__msg__search_chat_log__descriptor);
        log->chatlog = log_of(call, msg);
        log->isrevoked = logic_marks_revoked(marks, places[i].conv, places[i].seq) != NULL;
        res->chatlogs[res->n_chatlogs++] = log;
    }
    return res->n_chatlogs ? names_fill(call, res->chatlogs, res->n_chatlogs) : OIM_OK;
}

static int search_msg(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Msg__SearchMessageReq *req = (const void *)req_;
    Openim__Msg__SearchMessageResp *res = (void *)res_;
    struct search s = {0};
    struct oim_sql_rows rows = {0};
    struct logic_page page;
    int rc = logic_page(call, req->pagination, &page);

    if (rc == OIM_OK) rc = filters_read(call, req, &s);
    if (rc == OIM_OK) rc = logic_admin(call);
    if (rc == OIM_OK) rc = count(call, req, &s, &res->chatlogsnum);
    if (rc == OIM_OK && page.limit) rc = page_read(call, req, &s, &page, &rows);
    if (rc == OIM_OK && rows.n) rc = answer(call, &rows, res);
    oim_buf_free(&s.where);
    return rc;
}

const struct logic_route logic_search_routes[] = {
    {"/msg/search_msg", 0, LOGIC_ADMIN, &openim__msg__search_message_req__descriptor, &openim__msg__search_message_resp__descriptor,
     search_msg, LOGIC_SEARCH},
    {0},
};
