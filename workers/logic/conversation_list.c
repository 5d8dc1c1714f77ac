/*
 * /conversation/get_sorted_conversation_list (rest.md B.8): a page of a user's conversations as a list shows them, pinned first, then the
 * one that was written in last. Only the messages of the page are read.
 */
#include "conversation.h"

#include "pull.h"

#include <stdlib.h>
#include <string.h>

typedef Openim__Conversation__Conversation Row;

struct entry {
    Row *conv;
    struct logic_seq seq;
    int64_t time; /* of its newest message, or of the row when there is none */
    size_t at;    /* storage order */
};

static bool has_message(const struct entry *e)
{
    return e->seq.low <= e->seq.high;
}

static int64_t unread_of(const struct entry *e)
{
    return e->seq.high > e->seq.read ? e->seq.high - e->seq.read : 0;
}

static int list_order(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;

    if (a->conv->ispinned != b->conv->ispinned) return a->conv->ispinned ? -1 : 1;
    if (a->time != b->time) return a->time > b->time ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* When the rows without a message were made. */
static int times_load(struct logic_call *call, const char *owner, struct entry *entries, size_t n)
{
    static const char head[] = "SELECT conversation_id, create_time FROM conversations FORCE INDEX (PRIMARY) WHERE owner_hash IN";
    struct oim_sql_value *hashes = logic_array(call, n, sizeof(*hashes));
    char **ids = logic_list(call, n);
    struct logic_index *index;
    struct oim_sql_rows rows;
    size_t n_empty = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = entries[i].conv->conversationid;
        entries[i].time = entries[i].seq.time;
        if (!has_message(&entries[i])) hashes[n_empty++] = oim_sql_blob(logic_owner_hash(call->lane->arena, owner, ids[i]), 16);
    }
    rc = logic_sql_in(call->lane, head, NULL, 0, hashes, n_empty, "", &rows);
    index = logic_index_new(call->lane->arena, ids, n);
    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));

        if (at != SIZE_MAX) entries[at].time = logic_cell_int(&rows, i, 1);
    }
    return rc;
}

static int entries_load(struct logic_call *call, const char *owner, Row **convs, size_t n, struct entry **out)
{
    int64_t *min = logic_array(call, n, sizeof(*min)), *max = logic_array(call, n, sizeof(*max));
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    char **ids = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = convs[i]->conversationid;
        min[i] = convs[i]->minseq;
        max[i] = convs[i]->maxseq;
    }
    rc = logic_seqs(call, owner, ids, n, LOGIC_SEQ_READ | LOGIC_SEQ_WINDOW, min, max, seqs);
    if (rc) return rc;
    *out = logic_array(call, n, sizeof(**out));
    for (size_t i = 0; i < n; i++) (*out)[i] = (struct entry){.conv = convs[i], .seq = seqs[i], .at = i};
    rc = times_load(call, owner, *out, n);
    qsort(*out, n, sizeof(**out), list_order);
    return rc;
}

/* ---- a page ---- */

/* What the messages of a page name. */
struct names {
    struct logic_index *users, *groups;
    Openim__Sdkws__UserInfo **user;
    Openim__Sdkws__GroupInfo **group;
};

/* Whose name and face stand beside a message: in a chat of two the other's, whoever wrote last. */
static char *shown_user(const char *owner, const Openim__Sdkws__MsgData *msg)
{
    bool own = msg->sessiontype == LOGIC_SESSION_SINGLE && strcmp(msg->sendid, owner) == 0;

    return own ? msg->recvid : msg->sendid;
}

static int names_load(struct logic_call *call, const char *owner, Openim__Sdkws__MsgData **msgs, size_t n, struct names *names)
{
    char **users = logic_list(call, n), **groups = logic_list(call, n);
    size_t n_users = 0, n_groups = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (msgs[i] == NULL) continue;
        users[n_users++] = shown_user(owner, msgs[i]);
        if (msgs[i]->groupid[0]) groups[n_groups++] = msgs[i]->groupid;
    }
    names->user = logic_list(call, n_users);
    names->group = logic_list(call, n_groups);
    names->users = logic_index_new(call->lane->arena, users, n_users);
    names->groups = logic_index_new(call->lane->arena, groups, n_groups);
    rc = logic_users(call, users, n_users, names->user);
    return rc ? rc : logic_groups(call, groups, n_groups, names->group);
}

static void names_fill(const struct names *names, const char *owner, const Openim__Sdkws__MsgData *msg,
                       Openim__Conversation__MsgInfo *info)
{
    size_t at = logic_index_find(names->users, shown_user(owner, msg));
    const Openim__Sdkws__UserInfo *user = at == SIZE_MAX ? NULL : names->user[at];
    const Openim__Sdkws__GroupInfo *group;

    if (user) {
        info->sendername = user->nickname;
        info->faceurl = user->faceurl;
    }
    at = logic_index_find(names->groups, msg->groupid);
    group = at == SIZE_MAX ? NULL : names->group[at];
    if (group == NULL) return;
    info->groupname = group->groupname;
    info->groupfaceurl = group->faceurl;
    info->grouptype = group->grouptype;
    info->groupmembercount = group->membercount;
}

static Openim__Conversation__MsgInfo *info_of(struct logic_call *call, const char *owner, const Openim__Sdkws__MsgData *msg,
                                              const struct names *names)
{
    Openim__Conversation__MsgInfo *info = logic_new(call, &openim__conversation__msg_info__descriptor);

    info->servermsgid = msg->servermsgid;
    info->clientmsgid = msg->clientmsgid;
    info->sessiontype = msg->sessiontype;
    info->sendid = msg->sendid;
    info->recvid = msg->recvid;
    info->groupid = msg->groupid;
    info->latestmsgrecvtime = msg->sendtime;
    info->msgfrom = msg->msgfrom;
    info->contenttype = msg->contenttype;
    info->content = oim_arena_strndup(call->lane->arena, (const char *)msg->content.data, msg->content.len);
    info->ex = msg->ex;
    names_fill(names, owner, msg, info);
    return info;
}

static int page_fill(struct logic_call *call, const char *owner, const struct entry *entries, size_t n,
                     Openim__Conversation__GetSortedConversationListResp *res)
{
    Openim__Sdkws__MsgData **msgs = logic_list(call, n);
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    char **ids = logic_list(call, n);
    struct names names;
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = entries[i].conv->conversationid;
        seqs[i] = entries[i].seq;
    }
    rc = logic_last_messages(call, owner, ids, seqs, n, msgs);
    if (rc == OIM_OK) rc = names_load(call, owner, msgs, n, &names);
    if (rc) return rc;
    res->conversationelems = logic_list(call, n);
    for (size_t i = 0; i < n; i++) {
        Openim__Conversation__ConversationElem *e = logic_new(call, &openim__conversation__conversation_elem__descriptor);

        e->conversationid = ids[i];
        e->recvmsgopt = entries[i].conv->recvmsgopt;
        e->unreadcount = unread_of(&entries[i]);
        e->ispinned = entries[i].conv->ispinned;
        if (msgs[i]) e->msginfo = info_of(call, owner, msgs[i], &names);
        res->conversationelems[res->n_conversationelems++] = e;
    }
    return OIM_OK;
}

static int asked_rows(struct logic_call *call, const Openim__Conversation__GetSortedConversationListReq *req, Row ***convs, size_t *n)
{
    int rc;

    if (req->n_conversationids == 0) return logic_conversations(call, req->userid, convs, n);
    rc = logic_check_ids(call, "conversationIDs", req->conversationids, req->n_conversationids, false);
    return rc ? rc : logic_conversations_by_id(call, req->userid, req->conversationids, req->n_conversationids, convs, n);
}

static int get_sorted_conversation_list(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Conversation__GetSortedConversationListReq *req = (const void *)req_;
    Openim__Conversation__GetSortedConversationListResp *res = (void *)res_;
    struct entry *entries;
    struct logic_page page;
    Row **convs;
    size_t n, from, to;
    int rc;

    if (req->userid[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_page(call, req->pagination, &page);
    if (rc == OIM_OK) rc = logic_self(call, req->userid);
    if (rc == OIM_OK) rc = asked_rows(call, req, &convs, &n);
    if (rc) return rc;
    if (n == 0) return logic_fail(call, OIM_C_NOTFOUND, "no conversation");
    rc = entries_load(call, req->userid, convs, n, &entries);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        res->conversationtotal += has_message(&entries[i]);
        res->unreadtotal += unread_of(&entries[i]);
    }
    from = page.offset < (int64_t)n ? (size_t)page.offset : n;
    to = page.limit < (int64_t)(n - from) ? from + (size_t)page.limit : n;
    return page_fill(call, req->userid, entries + from, to - from, res);
}

const struct logic_route logic_conversation_list_routes[] = {
    {"/conversation/get_sorted_conversation_list", 0, LOGIC_SELF, &openim__conversation__get_sorted_conversation_list_req__descriptor,
     &openim__conversation__get_sorted_conversation_list_resp__descriptor, get_sorted_conversation_list, LOGIC_READ},
    {0},
};
