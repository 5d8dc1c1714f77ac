/*
 * /jssdk: conversations with everything that a light client shows of them (rest.md B.11): row, last
 * message, peer, friend, group, counts. JSON, or protobuf in base64 (rpc_request.c).
 *
 * The active ones are those in which the user sees a message. Who asks by id gets every row: J14 does so for what 1006 lists and the active
 * ones lack, takes an empty answer for none at all, and then shows no conversation whatever.
 */
#include "pull.h"

#include "jssdk.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_DEFAULT 100
#define COUNT_MAX 500

struct active {
    Openim__Conversation__Conversation *conv;
    struct logic_seq seq;
};

static int64_t unread_of(const struct logic_seq *seq)
{
    return seq->high > seq->read ? seq->high - seq->read : 0;
}

/* Rows with at least one message, or all, with their seqs. */
static int actives_load(struct logic_call *call, Openim__Conversation__Conversation **convs, size_t n, bool all, struct active **out,
                        size_t *n_out)
{
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    int64_t *min = logic_array(call, n, sizeof(*min)), *max = logic_array(call, n, sizeof(*max));
    char **ids = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = convs[i]->conversationid;
        min[i] = convs[i]->minseq;
        max[i] = convs[i]->maxseq;
    }
    rc = logic_seqs(call, call->up->userid, ids, n, LOGIC_SEQ_READ | LOGIC_SEQ_WINDOW, min, max, seqs);
    if (rc) return rc;
    *out = logic_array(call, n, sizeof(**out));
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (all || seqs[i].max > 0) (*out)[(*n_out)++] = (struct active){convs[i], seqs[i]};
    }
    return OIM_OK;
}

static int active_order(const void *x, const void *y)
{
    const struct active *a = x, *b = y;

    if (a->conv->ispinned != b->conv->ispinned) return a->conv->ispinned ? -1 : 1;
    if (a->seq.time != b->seq.time) return a->seq.time > b->seq.time ? -1 : 1;
    return strcmp(a->conv->conversationid, b->conv->conversationid);
}

/* The friend rows of the owner among ids, friends[i] NULL where there is none. */
static int friends_load(struct logic_call *call, char **ids, size_t n, Openim__Relation__FriendInfoOnly **friends)
{
    static const char head[] = "SELECT friend_user_id, remark, create_time, add_source, operator_user_id, ex, is_pinned"
                               " FROM friends WHERE owner_user_id = ? AND friend_user_id IN";
    struct oim_arena *a = call->lane->arena;
    struct oim_sql_value args[] = {oim_sql_text(call->up->userid)};
    struct logic_index *index = logic_index_new(a, ids, n);
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, ids, n), n, "", &rows);

    for (size_t i = 0; rc == OIM_OK && i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));
        Openim__Relation__FriendInfoOnly *f;

        if (at == SIZE_MAX) continue;
        f = logic_new(call, &openim__relation__friend_info_only__descriptor);
        f->owneruserid = call->up->userid;
        f->frienduserid = ids[at];
        f->remark = logic_cell_text(&rows, i, 1);
        f->createtime = logic_cell_int(&rows, i, 2);
        f->addsource = (int32_t)logic_cell_int(&rows, i, 3);
        f->operatoruserid = logic_cell_text(&rows, i, 4);
        f->ex = logic_cell_text(&rows, i, 5);
        f->ispinned = logic_cell_int(&rows, i, 6) != 0;
        friends[at] = f;
    }
    return rc;
}

/* Fills peers and groups of msgs; places tells which entry asked for which id. */
static int companions_load(struct logic_call *call, Openim__Jssdk__ConversationMsg **msgs, size_t n)
{
    char **peers = logic_list(call, n), **group_ids = logic_list(call, n);
    size_t *peer_at = logic_array(call, n, sizeof(*peer_at)), *group_at = logic_array(call, n, sizeof(*group_at));
    Openim__Relation__FriendInfoOnly **friends = logic_list(call, n);
    Openim__Sdkws__GroupInfo **groups = logic_list(call, n);
    Openim__Sdkws__UserInfo **users = logic_list(call, n);
    size_t n_peers = 0, n_groups = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        const Openim__Conversation__Conversation *c = msgs[i]->conversation;

        if (c->conversationtype == 1) {
            peer_at[n_peers] = i;
            peers[n_peers++] = c->userid;
        } else if (c->conversationtype == 3) {
            group_at[n_groups] = i;
            group_ids[n_groups++] = c->groupid;
        }
    }
    rc = logic_users(call, peers, n_peers, users);
    if (rc == OIM_OK) rc = friends_load(call, peers, n_peers, friends);
    if (rc == OIM_OK) rc = logic_groups(call, group_ids, n_groups, groups);
    for (size_t i = 0; rc == OIM_OK && i < n_peers; i++) {
        msgs[peer_at[i]]->user = users[i];
        msgs[peer_at[i]]->friend_ = friends[i];
    }
    for (size_t i = 0; rc == OIM_OK && i < n_groups; i++) msgs[group_at[i]]->group = groups[i];
    return rc;
}

/* Entries without a last message are left out unless all are wanted. */
static int answer(struct logic_call *call, const struct active *actives, size_t n, bool all, Openim__Jssdk__ConversationMsg ***out,
                  size_t *n_out)
{
    Openim__Sdkws__MsgData **last = logic_list(call, n);
    struct logic_seq *seqs = logic_array(call, n, sizeof(*seqs));
    char **ids = logic_list(call, n);
    int rc;

    for (size_t i = 0; i < n; i++) {
        ids[i] = actives[i].conv->conversationid;
        seqs[i] = actives[i].seq;
    }
    rc = logic_last_messages(call, call->up->userid, ids, seqs, n, last);
    if (rc) return rc;
    *out = logic_list(call, n);
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        Openim__Jssdk__ConversationMsg *m;

        if (last[i] == NULL && !all) continue;
        m = logic_new(call, &openim__jssdk__conversation_msg__descriptor);
        m->conversation = actives[i].conv;
        m->lastmsg = last[i];
        m->maxseq = actives[i].seq.high;
        m->readseq = actives[i].seq.read;
        (*out)[(*n_out)++] = m;
    }
    return companions_load(call, *out, *n_out);
}

static int get_active_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Jssdk__GetActiveConversationsReq *req = (const void *)req_;
    Openim__Jssdk__GetActiveConversationsResp *res = (void *)res_;
    size_t count = req->count <= 0 || req->count > COUNT_MAX ? COUNT_DEFAULT : (size_t)req->count, n;
    Openim__Conversation__Conversation **convs;
    struct active *actives;
    int rc = logic_conversations(call, call->up->userid, &convs, &n);

    if (rc == OIM_OK) rc = actives_load(call, convs, n, false, &actives, &n);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) res->unreadcount += unread_of(&actives[i].seq);
    qsort(actives, n, sizeof(*actives), active_order);
    return answer(call, actives, n < count ? n : count, false, &res->conversations, &res->n_conversations);
}

static int get_conversations(struct logic_call *call, const ProtobufCMessage *req_, ProtobufCMessage *res_)
{
    const Openim__Jssdk__GetConversationsReq *req = (const void *)req_;
    Openim__Jssdk__GetConversationsResp *res = (void *)res_;
    Openim__Conversation__Conversation **convs;
    struct active *actives;
    size_t n;
    int rc;

    if (req->n_conversationids == 0) return OIM_OK;
    rc = logic_check_ids(call, "conversationIDs", req->conversationids, req->n_conversationids, false);
    if (rc) return rc;
    rc = logic_conversations_by_id(call, call->up->userid, req->conversationids, req->n_conversationids, &convs, &n);
    if (rc == OIM_OK) rc = actives_load(call, convs, n, true, &actives, &n);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) res->unreadcount += unread_of(&actives[i].seq);
    return answer(call, actives, n, true, &res->conversations, &res->n_conversations);
}

#define JSSDK(name) &openim__jssdk__##name##_req__descriptor, &openim__jssdk__##name##_resp__descriptor

const struct logic_route logic_jssdk_routes[] = {
    {"/jssdk/get_active_conversations", 0, LOGIC_ANY, JSSDK(get_active_conversations), get_active_conversations, LOGIC_READ},
    {"/jssdk/get_conversations", 0, LOGIC_ANY, JSSDK(get_conversations), get_conversations, LOGIC_READ},
    {0},
};
