
/*
 * See ngx_http_openim_session.h.  Called by the connections for themselves and
 * by the _downlink*.c files for what arrives.  A user's node exists while the
 * user has a connection here, a topic's while it has a subscriber, a group's
 * while it has a member.
 */


#include "ngx_http_openim_session.h"
#include "ngx_http_openim_member.h"

#include "oim_wire.h"


/* One connection that wants to know about one user */

typedef struct {
    ngx_queue_t              mine;           /* of the connection */
    ngx_queue_t              theirs;         /* of the user's node */
    ngx_http_openim_node_t  *node;
    ngx_http_openim_ws_t    *ws;
} ngx_http_openim_sub_t;


static void ngx_http_openim_session_each(ngx_http_openim_user_t *user,
    ngx_http_openim_session_pt handler, void *data);
static void ngx_http_openim_session_wake(ngx_http_openim_ws_t *ws,
    void *data);
static ngx_http_openim_sub_t *ngx_http_openim_sub_find(
    ngx_http_openim_ws_t *ws, ngx_http_openim_node_t *node);
static void ngx_http_openim_sub_delete(ngx_http_openim_sub_t *sub);


static ngx_rbtree_t       ngx_http_openim_users;
static ngx_rbtree_node_t  ngx_http_openim_users_sentinel;
static ngx_rbtree_t       ngx_http_openim_topics;
static ngx_rbtree_node_t  ngx_http_openim_topics_sentinel;

static ngx_uint_t         ngx_http_openim_turn;      /* of pushes */
static uint64_t           ngx_http_openim_doubted;   /* connections up to it */


void
ngx_http_openim_session_init(void)
{
    ngx_rbtree_init(&ngx_http_openim_users, &ngx_http_openim_users_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&ngx_http_openim_topics, &ngx_http_openim_topics_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_http_openim_member_init();
}


ngx_int_t
ngx_http_openim_session_add(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_node_t  *node;

    node = ngx_http_openim_node_get(&ngx_http_openim_users, &ws->user_id,
                                    sizeof(ngx_http_openim_user_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&node->list, &ws->peers);
    ws->user = node;
    ws->in_session = 1;

    return NGX_OK;
}


void
ngx_http_openim_session_delete(ngx_http_openim_ws_t *ws)
{
    ngx_queue_t             *q;
    ngx_http_openim_sub_t   *sub;
    ngx_http_openim_user_t  *user;

    if (!ws->in_session) {
        return;
    }

    ws->in_session = 0;
    user = ws->user;

    ngx_queue_remove(&ws->peers);

    if (ngx_queue_empty(&user->node.list)) {
        ngx_http_openim_member_delete_all(user);
    }

    ngx_http_openim_node_put(&ngx_http_openim_users, &user->node);
    ws->user = NULL;

    while (!ngx_queue_empty(&ws->subs)) {
        q = ngx_queue_head(&ws->subs);
        sub = ngx_queue_data(q, ngx_http_openim_sub_t, mine);
        ngx_http_openim_sub_delete(sub);
    }
}


ngx_uint_t
ngx_http_openim_session_user(ngx_str_t *user_id,
    ngx_http_openim_session_pt handler, void *data)
{
    ngx_http_openim_user_t  *user;

    user = (ngx_http_openim_user_t *)
               ngx_http_openim_node_find(&ngx_http_openim_users, user_id);
    if (user == NULL) {
        return 0;
    }

    ngx_http_openim_session_each(user, handler, data);

    return 1;
}


/* The node dies with its last connection, which handler may close */

static void
ngx_http_openim_session_each(ngx_http_openim_user_t *user,
    ngx_http_openim_session_pt handler, void *data)
{
    ngx_uint_t    last;
    ngx_queue_t  *q, *next;

    last = 0;

    for (q = ngx_queue_head(&user->node.list); !last; q = next) {
        next = ngx_queue_next(q);
        last = (next == ngx_queue_sentinel(&user->node.list));

        handler(ngx_queue_data(q, ngx_http_openim_ws_t, peers), data);
    }
}


/* Pushes */

void
ngx_http_openim_session_push(void)
{
    ngx_http_openim_turn++;
}


void
ngx_http_openim_session_push_skip(ngx_str_t *user_id)
{
    ngx_http_openim_user_t  *user;

    user = (ngx_http_openim_user_t *)
               ngx_http_openim_node_find(&ngx_http_openim_users, user_id);

    if (user) {
        user->turn = ngx_http_openim_turn;
    }
}


void
ngx_http_openim_session_push_user(ngx_str_t *user_id,
    ngx_http_openim_session_pt handler, void *data)
{
    ngx_http_openim_user_t  *user;

    user = (ngx_http_openim_user_t *)
               ngx_http_openim_node_find(&ngx_http_openim_users, user_id);

    if (user && user->turn != ngx_http_openim_turn) {
        user->turn = ngx_http_openim_turn;
        ngx_http_openim_session_each(user, handler, data);
    }
}


/* handler may close a connection and so end its user's memberships, no other */

void
ngx_http_openim_session_push_group(ngx_str_t *group_id,
    ngx_http_openim_session_pt handler, void *data)
{
    ngx_uint_t                 last;
    ngx_queue_t               *q, *next;
    ngx_http_openim_group_t   *group;
    ngx_http_openim_member_t  *member;

    group = ngx_http_openim_group_find(group_id);
    if (group == NULL) {
        return;
    }

    last = 0;

    for (q = ngx_queue_head(&group->node.list); !last; q = next) {
        next = ngx_queue_next(q);
        last = (next == ngx_queue_sentinel(&group->node.list));

        member = ngx_queue_data(q, ngx_http_openim_member_t, queue);

        if (ngx_http_openim_member_left(member)
            || member->user->turn == ngx_http_openim_turn)
        {
            continue;
        }

        member->user->turn = ngx_http_openim_turn;
        ngx_http_openim_session_each(member->user, handler, data);
    }
}


/* Groups */

ngx_int_t
ngx_http_openim_session_groups(ngx_http_openim_groups_t *groups)
{
    ngx_int_t                 rc;
    ngx_str_t                 group_id;
    struct oim_wire_field     f;
    struct oim_wire_reader    wr;
    ngx_http_openim_user_t   *user;

    user = (ngx_http_openim_user_t *)
               ngx_http_openim_node_find(&ngx_http_openim_users,
                                         &groups->user_id);
    if (user == NULL) {
        return NGX_OK;
    }

    if (groups->full) {
        rc = ngx_http_openim_member_merge(user, groups);

        if (rc == NGX_OK) {
            user->known = ngx_max(user->known, groups->conn_id);
            ngx_http_openim_session_each(user, ngx_http_openim_session_wake,
                                         groups);
        }

        return rc;
    }

    rc = NGX_OK;
    wr.pos = groups->data;
    wr.end = groups->data + groups->len;

    while (rc == NGX_OK && oim_wire_next(&wr, &f) == 1) {

        if (f.type != 2 || (f.number != 4 && f.number != 5)) {
            continue;
        }

        group_id.data = (u_char *) f.data;
        group_id.len = f.len;

        rc = ngx_http_openim_member_set(user, &group_id, groups->version,
                                        f.number == 5);
    }

    return rc;
}


/* What was said for one who came before the doubt is no answer to later ones */

static void
ngx_http_openim_session_wake(ngx_http_openim_ws_t *ws, void *data)
{
    ngx_http_openim_groups_t *groups = data;

    if (ws->waiting && (groups->conn_id > ngx_http_openim_doubted
                        || ws->id <= ngx_http_openim_doubted))
    {
        ws->waiting = 0;
        ngx_http_openim_ws_done(ws);
    }
}


void
ngx_http_openim_session_forget(ngx_str_t *group_id)
{
    ngx_http_openim_group_t  *group;

    group = ngx_http_openim_group_find(group_id);

    if (group) {
        ngx_http_openim_group_delete(group);
    }
}


void
ngx_http_openim_session_doubt(void)
{
    ngx_http_openim_doubted = ngx_http_openim_process.last_id;
}


ngx_uint_t
ngx_http_openim_session_known(ngx_http_openim_ws_t *ws)
{
    ngx_http_openim_user_t *user = ws->user;

    return user->known > ngx_http_openim_doubted;
}


/* Subscriptions */

ngx_int_t
ngx_http_openim_session_subscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id)
{
    ngx_http_openim_sub_t   *sub;
    ngx_http_openim_node_t  *node;

    node = ngx_http_openim_node_find(&ngx_http_openim_topics, user_id);

    if (node && ngx_http_openim_sub_find(ws, node)) {
        return NGX_OK;
    }

    if (ws->nsubs >= NGX_HTTP_OPENIM_SUBS_CONNECTION) {
        return NGX_DECLINED;
    }

    sub = ngx_alloc(sizeof(ngx_http_openim_sub_t),
                    ngx_http_openim_process.log);
    if (sub == NULL) {
        return NGX_DECLINED;
    }

    node = ngx_http_openim_node_get(&ngx_http_openim_topics, user_id,
                                    sizeof(ngx_http_openim_node_t));
    if (node == NULL) {
        ngx_free(sub);
        return NGX_DECLINED;
    }

    sub->node = node;
    sub->ws = ws;

    ngx_queue_insert_tail(&node->list, &sub->theirs);
    ngx_queue_insert_tail(&ws->subs, &sub->mine);
    ws->nsubs++;

    return NGX_OK;
}


void
ngx_http_openim_session_unsubscribe(ngx_http_openim_ws_t *ws,
    ngx_str_t *user_id)
{
    ngx_http_openim_sub_t   *sub;
    ngx_http_openim_node_t  *node;

    node = ngx_http_openim_node_find(&ngx_http_openim_topics, user_id);
    if (node == NULL) {
        return;
    }

    sub = ngx_http_openim_sub_find(ws, node);

    if (sub) {
        ngx_http_openim_sub_delete(sub);
    }
}


/*
 * One 2005 frame for every subscriber, without msgIncr and operationID, with
 * the whole new set: SubUserOnlineStatusTips {1: {1 userID, 2 platforms}}.
 */

void
ngx_http_openim_session_presence(u_char *data, size_t len)
{
    u_char                           *p, *last, *payload;
    size_t                            size, head;
    uint8_t                           platforms[NGX_HTTP_OPENIM_PLATFORM_MAX];
    ngx_int_t                         platform;
    ngx_str_t                         user_id;
    ngx_uint_t                        i, n, seen;
    ngx_queue_t                      *q, *next;
    ngx_http_openim_sub_t            *sub;
    ngx_http_openim_node_t           *node;
    struct oim_wire_writer            w;
    ngx_http_openim_packet_t         *packets[NGX_HTTP_OPENIM_VARIANTS];
    ngx_http_openim_envelope_resp_t   resp;

    /* numbers with a colon are platforms, the rest is the user */

    p = data;
    last = data + len;
    seen = 0;

    for ( ;; ) {
        for (i = 0; i < 2 && p + i < last; i++) {
            if (p[i] < '0' || p[i] > '9') {
                break;
            }
        }

        if (i == 0 || p + i >= last || p[i] != ':') {
            break;
        }

        platform = ngx_atoi(p, i);

        if (ngx_http_openim_platform(platform) == NULL) {
            break;
        }

        seen |= (ngx_uint_t) 1 << platform;
        p += i + 1;
    }

    user_id.data = p;
    user_id.len = last - p;

    node = ngx_http_openim_node_find(&ngx_http_openim_topics, &user_id);
    if (node == NULL) {
        return;
    }

    n = 0;

    for (i = 1; i <= NGX_HTTP_OPENIM_PLATFORM_MAX; i++) {
        if (seen & ((ngx_uint_t) 1 << i)) {
            platforms[n++] = (uint8_t) i;
        }
    }

    size = oim_wire_bytes_size(1, user_id.len)
           + (n ? oim_wire_bytes_size(2, n) : 0);
    head = oim_wire_bytes_size(1, size);

    payload = ngx_alloc(head, ngx_http_openim_process.log);
    if (payload == NULL) {
        return;
    }

    w.data = payload;
    w.cap = head;
    w.len = 0;

    oim_wire_head(&w, 1, size);
    oim_wire_bytes(&w, 1, user_id.data, user_id.len);

    if (n) {
        oim_wire_bytes(&w, 2, platforms, n);
    }

    ngx_memzero(packets, sizeof(packets));
    ngx_memzero(&resp, sizeof(ngx_http_openim_envelope_resp_t));

    resp.req = 2005;
    resp.data.data = payload;
    resp.data.len = w.len;

    /* send may close the connection and so end the subscription, or the node */

    for (q = ngx_queue_head(&node->list), n = 0; !n; q = next) {

        next = ngx_queue_next(q);
        n = (next == ngx_queue_sentinel(&node->list));

        sub = ngx_queue_data(q, ngx_http_openim_sub_t, theirs);
        i = sub->ws->variant;

        if (packets[i] == NULL) {
            packets[i] = ngx_http_openim_packet_envelope(i, &resp);
        }

        if (packets[i]) {
            ngx_http_openim_ws_send(sub->ws, packets[i]);
        }
    }

    for (i = 0; i < NGX_HTTP_OPENIM_VARIANTS; i++) {
        if (packets[i]) {
            ngx_http_openim_packet_free(packets[i]);
        }
    }

    ngx_free(payload);
}


/* The connection's own list is bounded; a famous user's is not */

static ngx_http_openim_sub_t *
ngx_http_openim_sub_find(ngx_http_openim_ws_t *ws,
    ngx_http_openim_node_t *node)
{
    ngx_queue_t            *q;
    ngx_http_openim_sub_t  *sub;

    for (q = ngx_queue_head(&ws->subs);
         q != ngx_queue_sentinel(&ws->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_http_openim_sub_t, mine);

        if (sub->node == node) {
            return sub;
        }
    }

    return NULL;
}


static void
ngx_http_openim_sub_delete(ngx_http_openim_sub_t *sub)
{
    sub->ws->nsubs--;

    ngx_queue_remove(&sub->mine);
    ngx_queue_remove(&sub->theirs);
    ngx_http_openim_node_put(&ngx_http_openim_topics, sub->node);

    ngx_free(sub);
}
