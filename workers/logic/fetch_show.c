/*
 * What a user sees of stored messages (messages.md 7.4): the marks of marks.h laid over what fetch.c brought. pull.c and message_search.c
 * call it; no other file shows a message.
 */
#include "fetch.h"
#include "marks.h"
#include "notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_SENDING 1
#define STATUS_SENT 2
#define STATUS_DELETED 4
#define CONTENT_QUOTE 114
#define LOOKUPS_MAX 16 /* single queries for what should not be missing */
#define BLOCKS_MAX 64  /* of deleted messages that are passed over */

/* ---- revoked ---- */

/* {"detail": "<who revoked what>"} */
static void revoked_content(struct oim_buf *buf, const Openim__Sdkws__MessageRevokedContent *what)
{
    struct oim_buf detail = {0};

    oim_json_encode(&detail, &what->base);
    oim_buf_puts(buf, "{\"detail\":");
    oim_json_string(buf, (const char *)detail.data, detail.len);
    oim_buf_putc(buf, '}');
    oim_buf_free(&detail);
}

static Openim__Sdkws__MessageRevokedContent revoked_by(const Openim__Internal__Marks__Revoked *r)
{
    Openim__Sdkws__MessageRevokedContent what = OPENIM__SDKWS__MESSAGE_REVOKED_CONTENT__INIT;

    what.revokerid = r->userid;
    what.revokerrole = r->role;
    what.revokernickname = r->nickname;
    what.revoketime = r->time;
    what.seq = r->seq;
    return what;
}

static void content_set(struct logic_call *call, Openim__Sdkws__MsgData *msg, const struct oim_buf *text)
{
    msg->content.data = oim_arena_alloc(call->lane->arena, text->len + 1);
    msg->content.len = text->len;
    if (text->len) memcpy(msg->content.data, text->data, text->len);
}

static void show_revoked(struct logic_call *call, Openim__Sdkws__MsgData *msg, const Openim__Internal__Marks__Revoked *r)
{
    Openim__Sdkws__MessageRevokedContent what = revoked_by(r);
    struct oim_buf text = {0};

    what.clientmsgid = msg->clientmsgid;
    what.sourcemessagesendtime = msg->sendtime;
    what.sourcemessagesendid = msg->sendid;
    what.sourcemessagesendernickname = msg->sendernickname;
    what.sessiontype = msg->sessiontype;
    what.ex = msg->ex;
    revoked_content(&text, &what);
    msg->contenttype = LOGIC_N_REVOKE;
    content_set(call, msg, &text);
    oim_buf_free(&text);
}

/* ---- quotes ---- */

static json_t *quote_of(struct logic_call *call, const Openim__Sdkws__MsgData *msg, json_t **content)
{
    const char *why;
    json_t *quote;

    *content = NULL;
    if (msg->contenttype != CONTENT_QUOTE) return NULL;
    if (oim_json_parse(msg->content.data, msg->content.len, content, call->lane->arena, &why)) return NULL;
    quote = json_is_object(*content) ? oim_json_get(*content, "quoteMessage") : NULL;
    return json_is_object(quote) ? quote : NULL;
}

/* 0: it quotes nothing that can be found. A quote without seq stays as it is (messages.md 16, item 107). */
static int64_t quoted_seq(struct logic_call *call, const Openim__Sdkws__MsgData *msg)
{
    json_t *content, *quote = quote_of(call, msg, &content);
    int64_t seq = quote ? json_integer_value(oim_json_get(quote, "seq")) : 0;

    json_decref(content);
    return seq > 0 ? seq : 0;
}

static char *quoted_text(struct logic_call *call, json_t *quote, const char *name)
{
    json_t *v = oim_json_get(quote, name);

    return json_is_string(v) ? oim_arena_strndup(call->lane->arena, json_string_value(v), json_string_length(v)) : (char *)"";
}

static bool is_element(const char *name)
{
    size_t len = strlen(name);

    return strcasecmp(name, "content") == 0 || (len > 4 && strcasecmp(name + len - 4, "Elem") == 0);
}

/* What was said goes, who said it when stays. */
static void quote_rewrite(struct logic_call *call, json_t *quote, const Openim__Internal__Marks__Revoked *r)
{
    Openim__Sdkws__MessageRevokedContent what = revoked_by(r);
    struct oim_buf detail = {0};
    const char *name;
    json_t *value, *element = json_object();
    void *next;

    what.clientmsgid = quoted_text(call, quote, "clientMsgID");
    what.sourcemessagesendtime = json_integer_value(oim_json_get(quote, "sendTime"));
    what.sourcemessagesendid = quoted_text(call, quote, "sendID");
    what.sourcemessagesendernickname = quoted_text(call, quote, "senderNickname");
    what.sessiontype = (int32_t)json_integer_value(oim_json_get(quote, "sessionType"));
    what.ex = quoted_text(call, quote, "ex");
    oim_json_encode(&detail, &what.base);
    json_object_foreach_safe(quote, next, name, value)
    {
        if (is_element(name) || strcasecmp(name, "contentType") == 0) json_object_del(quote, name);
    }
    json_object_set_new(element, "detail", json_stringn((const char *)detail.data, detail.len));
    json_object_set_new(quote, "contentType", json_integer(LOGIC_N_REVOKE));
    json_object_set_new(quote, "notificationElem", element);
    oim_buf_reset(&detail);
    revoked_content(&detail, &what);
    json_object_set_new(quote, "content", json_stringn((const char *)detail.data, detail.len));
    oim_buf_free(&detail);
}

static void show_quote(struct logic_call *call, Openim__Sdkws__MsgData *msg, const struct logic_marks *marks, const char *conv)
{
    json_t *content, *quote = quote_of(call, msg, &content);
    int64_t seq = quote ? json_integer_value(oim_json_get(quote, "seq")) : 0;
    const Openim__Internal__Marks__Revoked *r = seq > 0 ? logic_marks_revoked(marks, conv, seq) : NULL;
    struct oim_buf text = {0};

    if (r) {
        quote_rewrite(call, quote, r);
        oim_json_encode_value(&text, content);
        content_set(call, msg, &text);
        oim_buf_free(&text);
    }
    json_decref(content);
}

/* ---- one message ---- */

/*
 * isRead of single chats follows explicit read marks only: a sender's own read position says nothing about it.
 *
 * status is given back as the sender had it, 1 from a client and 0 from the system; only pushes say 2
 * (messages.md 1: clients take everything below 4 as sent).
 */
static void message_for(struct logic_call *call, const struct logic_want *w, const struct logic_marks *marks)
{
    Openim__Sdkws__MsgData *msg = w->msg;
    const Openim__Internal__Marks__Revoked *r = logic_marks_revoked(marks, w->conv, w->seq);

    if (msg->status == STATUS_SENT) msg->status = STATUS_SENDING;
    msg->isread = msg->sessiontype == LOGIC_SESSION_SINGLE && logic_marks_read(marks, w->conv, w->seq, msg->sendid);
    if (logic_marks_hidden(marks, w->conv, w->seq)) {
        msg->status = STATUS_DELETED;
        msg->content.len = 0;
    }
    if (r) {
        show_revoked(call, msg, r);
    } else if (msg->contenttype == CONTENT_QUOTE && msg->status != STATUS_DELETED) {
        show_quote(call, msg, marks, w->conv);
    }
}

/* A seq that was given and is lost or deleted; sendTime keeps its place in the history of the client. */
static Openim__Sdkws__MsgData *placeholder(struct logic_call *call, int64_t seq, int64_t send_time)
{
    Openim__Sdkws__MsgData *msg = logic_new(call, &openim__sdkws__msg_data__descriptor);

    msg->seq = seq;
    msg->status = STATUS_DELETED;
    msg->sendtime = send_time;
    return msg;
}

/* sendTime of the newest stored message before seq, 0 when there is none. */
static int64_t time_before(struct logic_call *call, const char *conv, int64_t seq)
{
    static const char sql[] = "SELECT send_time FROM msg_history WHERE conversation_id = ? AND seq < ? ORDER BY seq DESC LIMIT 1";
    struct oim_sql_value args[] = {oim_sql_text(conv), oim_sql_int(seq)};
    struct oim_sql_rows rows = {0};

    if (oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL) || rows.n == 0) return 0;
    return logic_cell_int(&rows, 0, 0);
}

/* ---- all of a plan ---- */

/* The marks of the messages, and of those that they quote. */
static int marks_load(struct logic_call *call, const char *user_id, struct logic_want **list, size_t n, struct logic_marks **marks)
{
    struct logic_place *places = logic_array(call, 2 * n, sizeof(*places));
    size_t n_places = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t quoted = list[i]->msg ? quoted_seq(call, list[i]->msg) : 0;

        places[n_places++] = (struct logic_place){list[i]->conv, list[i]->seq};
        if (quoted && quoted < list[i]->seq) places[n_places++] = (struct logic_place){list[i]->conv, quoted};
    }
    return logic_marks_load(call, user_id, places, n_places, marks);
}

int logic_fetch_show(struct logic_call *call, const char *user_id, struct logic_want **plan, size_t n)
{
    struct logic_want **order = logic_list(call, n);
    struct logic_marks *marks;
    int lookups = 0, rc;

    if (n == 0) return OIM_OK;
    memcpy(order, plan, n * sizeof(*order));
    qsort(order, n, sizeof(*order), logic_want_order);
    rc = marks_load(call, user_id, order, n, &marks);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        struct logic_want *w = order[i], *before = i ? order[i - 1] : NULL;
        int64_t time = 0;

        if (w->msg && !logic_marks_deleted(marks, w->conv, w->seq)) {
            message_for(call, w, marks);
            continue;
        }
        if (before && (strcmp(before->conv, w->conv) || before->seq < w->seq - 1)) before = NULL;
        if (before) {
            time = before->msg->sendtime;
        } else if (w->msg) {
            time = w->msg->sendtime;
        } else if (lookups++ < LOOKUPS_MAX) {
            time = time_before(call, w->conv, w->seq);
        }
        w->msg = placeholder(call, w->seq, time);
    }
    return OIM_OK;
}

/* ---- the newest that is seen ---- */

static bool seen(const struct logic_marks *marks, const char *conv, int64_t seq)
{
    return !logic_marks_deleted(marks, conv, seq) && !logic_marks_hidden(marks, conv, seq);
}

/* The newest seq of low..*seq that no mark takes away: 0 when there is none among the next blocks. */
static int seen_before(struct logic_call *call, const char *user_id, const char *conv, int64_t low, int64_t *seq)
{
    struct logic_marks *marks;
    int64_t at = *seq;

    for (int i = 0; i < BLOCKS_MAX && at >= low; i++) {
        struct logic_place place = {conv, at};
        int rc = logic_marks_load(call, user_id, &place, 1, &marks);

        if (rc) return rc;
        do {
            if (seen(marks, conv, at)) {
                *seq = at;
                return OIM_OK;
            }
        } while (at-- % LOGIC_MARKS_BLOCK != 1 && at >= low);
    }
    *seq = 0;
    return OIM_OK;
}

/* The newest stored message of low..seq, for when seqs are lost. */
static int stored_before(struct logic_call *call, const char *conv, int64_t low, int64_t *seq)
{
    static const char sql[] = "SELECT seq FROM msg_history WHERE conversation_id = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT 1";
    struct oim_sql_value args[] = {oim_sql_text(conv), oim_sql_int(low), oim_sql_int(*seq)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);

    if (rc == OIM_OK) *seq = rows.n ? logic_cell_int(&rows, 0, 0) : 0;
    return rc;
}

static int newest_before(struct logic_call *call, const char *user_id, int64_t low, struct logic_want *w, int *lookups)
{
    int64_t seq = w->seq - 1;
    size_t done;
    int rc = OIM_OK;

    w->msg = NULL;
    while (seq >= low && rc == OIM_OK && (*lookups)++ < LOOKUPS_MAX) {
        rc = seen_before(call, user_id, w->conv, low, &seq);
        if (rc || seq < low) break;
        w->seq = seq;
        w->missing = false;
        rc = logic_fetch(call, &w, 1, &done);
        if (rc || w->msg) break;
        seq--; /* lost: where does the history go on? */
        if (seq >= low) rc = stored_before(call, w->conv, low, &seq);
    }
    return rc;
}

int logic_fetch_newest(struct logic_call *call, const char *user_id, struct logic_want **plan, const int64_t *lows, size_t n)
{
    struct logic_marks *marks;
    int lookups = 0, rc = marks_load(call, user_id, plan, n, &marks);

    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        if (plan[i]->msg && seen(marks, plan[i]->conv, plan[i]->seq)) continue;
        rc = newest_before(call, user_id, lows[i], plan[i], &lookups);
    }
    return rc;
}
