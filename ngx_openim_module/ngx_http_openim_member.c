
/*
 * See ngx_http_openim_member.h.  A membership is 48 bytes: there may be many
 * more of them than connections, so they come in blocks, without what malloc()
 * adds to each.
 */


#include "ngx_http_openim_member.h"

#include "oim_wire.h"


#define NGX_HTTP_OPENIM_BLOCK  256           /* memberships */

/* marks of one user, and how late a saying may be when there are more */
#define NGX_HTTP_OPENIM_LEFT_MAX  64
#define NGX_HTTP_OPENIM_LEFT_LATE  1000


static ngx_http_openim_member_t *ngx_http_openim_member_create(
    ngx_http_openim_user_t *user, ngx_http_openim_group_t *group,
    uint64_t version);
static void ngx_http_openim_member_delete(ngx_http_openim_member_t **link);
static ngx_http_openim_member_t **ngx_http_openim_member_link(
    ngx_http_openim_user_t *user, ngx_http_openim_group_t *group);
static void ngx_http_openim_member_sweep(ngx_http_openim_user_t *user,
    uint64_t version);
static ngx_int_t ngx_http_openim_member_list(ngx_http_openim_user_t *user,
    ngx_http_openim_groups_t *groups);


static ngx_rbtree_t               ngx_http_openim_groups;
static ngx_rbtree_node_t          ngx_http_openim_groups_sentinel;

#if !(NGX_DEBUG_PALLOC)
static ngx_http_openim_member_t  *ngx_http_openim_members_free;
#endif

/* In place of the membership of a group that is in the list */
static ngx_http_openim_member_t   ngx_http_openim_member_seen;


void
ngx_http_openim_member_init(void)
{
    ngx_rbtree_init(&ngx_http_openim_groups, &ngx_http_openim_groups_sentinel,
                    ngx_str_rbtree_insert_value);
}


ngx_int_t
ngx_http_openim_member_set(ngx_http_openim_user_t *user, ngx_str_t *group_id,
    uint64_t version, ngx_uint_t left)
{
    ngx_http_openim_group_t    *group;
    ngx_http_openim_member_t  **link, *member;

    if (version <= user->floor) {
        return NGX_OK;
    }

    group = (ngx_http_openim_group_t *)
                ngx_http_openim_node_get(&ngx_http_openim_groups, group_id,
                                         sizeof(ngx_http_openim_group_t));
    if (group == NULL) {
        return NGX_ERROR;
    }

    link = ngx_http_openim_member_link(user, group);
    member = *link;

    if (member == NULL) {

        member = ngx_http_openim_member_create(user, group, 0);
        if (member == NULL) {
            ngx_http_openim_node_put(&ngx_http_openim_groups, &group->node);
            return NGX_ERROR;
        }

    } else if (version <= member->version / 2) {
        return NGX_OK;
    }

    user->nleft -= ngx_http_openim_member_left(member);
    user->nleft += left;

    member->version = version * 2 + left;

    if (user->nleft > NGX_HTTP_OPENIM_LEFT_MAX
        && version > NGX_HTTP_OPENIM_LEFT_LATE)
    {
        ngx_http_openim_member_sweep(user,
                                     version - NGX_HTTP_OPENIM_LEFT_LATE);
    }

    return NGX_OK;
}


/*
 * Full: memberships that it does not name end, unless something newer has said
 * them.  All of one user are looked at, and each group of the list is looked
 * up, once.
 */

ngx_int_t
ngx_http_openim_member_merge(ngx_http_openim_user_t *user,
    ngx_http_openim_groups_t *groups)
{
    ngx_int_t                   rc;
    ngx_http_openim_member_t  **link, *member;

    if (groups->version < user->floor) {
        return NGX_OK;
    }

    for (member = user->members; member; member = member->next) {
        member->group->seen = member;
    }

    rc = ngx_http_openim_member_list(user, groups);

    for (link = &user->members; *link; /* void */) {

        member = *link;

        if (rc == NGX_OK
            && member->group->seen != &ngx_http_openim_member_seen
            && member->version / 2 <= groups->version)
        {
            ngx_http_openim_member_delete(link);
            continue;
        }

        member->group->seen = NULL;
        link = &member->next;
    }

    if (rc == NGX_OK) {
        user->floor = groups->version;
    }

    return rc;
}


static ngx_int_t
ngx_http_openim_member_list(ngx_http_openim_user_t *user,
    ngx_http_openim_groups_t *groups)
{
    ngx_str_t                  group_id;
    struct oim_wire_field      f;
    struct oim_wire_reader     wr;
    ngx_http_openim_group_t   *group;
    ngx_http_openim_member_t  *member;

    wr.pos = groups->data;
    wr.end = groups->data + groups->len;

    while (oim_wire_next(&wr, &f) == 1) {

        if (f.number != 4 || f.type != 2) {
            continue;
        }

        group_id.data = (u_char *) f.data;
        group_id.len = f.len;

        group = (ngx_http_openim_group_t *)
                    ngx_http_openim_node_get(&ngx_http_openim_groups,
                                             &group_id,
                                             sizeof(ngx_http_openim_group_t));
        if (group == NULL) {
            return NGX_ERROR;
        }

        member = group->seen;

        if (member == &ngx_http_openim_member_seen) {
            continue;
        }

        if (member == NULL) {

            member = ngx_http_openim_member_create(user, group, 0);
            if (member == NULL) {
                ngx_http_openim_node_put(&ngx_http_openim_groups,
                                         &group->node);
                return NGX_ERROR;
            }
        }

        if (member->version / 2 <= groups->version) {
            user->nleft -= ngx_http_openim_member_left(member);
            member->version = groups->version * 2;
        }

        group->seen = &ngx_http_openim_member_seen;
    }

    return NGX_OK;
}


/* Its last connection is gone */

void
ngx_http_openim_member_delete_all(ngx_http_openim_user_t *user)
{
    while (user->members) {
        ngx_http_openim_member_delete(&user->members);
    }
}


/* What is as old as this version will not be said any more */

static void
ngx_http_openim_member_sweep(ngx_http_openim_user_t *user, uint64_t version)
{
    ngx_http_openim_member_t  **link;

    user->floor = ngx_max(user->floor, version);

    for (link = &user->members; *link; /* void */) {

        if (ngx_http_openim_member_left(*link)
            && (*link)->version / 2 <= version)
        {
            ngx_http_openim_member_delete(link);
            continue;
        }

        link = &(*link)->next;
    }
}


/* Where the user's membership of the group hangs; to NULL, if there is none */

static ngx_http_openim_member_t **
ngx_http_openim_member_link(ngx_http_openim_user_t *user,
    ngx_http_openim_group_t *group)
{
    ngx_http_openim_member_t  **link;

    for (link = &user->members; *link; link = &(*link)->next) {
        if ((*link)->group == group) {
            break;
        }
    }

    return link;
}


static ngx_http_openim_member_t *
ngx_http_openim_member_create(ngx_http_openim_user_t *user,
    ngx_http_openim_group_t *group, uint64_t version)
{
    ngx_http_openim_member_t  *member;

#if (NGX_DEBUG_PALLOC)

    member = ngx_alloc(sizeof(ngx_http_openim_member_t),
                       ngx_http_openim_process.log);
    if (member == NULL) {
        return NULL;
    }

#else

    ngx_uint_t  i;

    if (ngx_http_openim_members_free == NULL) {

        member = ngx_alloc(NGX_HTTP_OPENIM_BLOCK
                           * sizeof(ngx_http_openim_member_t),
                           ngx_http_openim_process.log);
        if (member == NULL) {
            return NULL;
        }

        for (i = 0; i < NGX_HTTP_OPENIM_BLOCK; i++) {
            member[i].next = ngx_http_openim_members_free;
            ngx_http_openim_members_free = &member[i];
        }
    }

    member = ngx_http_openim_members_free;
    ngx_http_openim_members_free = member->next;

#endif

    member->user = user;
    member->group = group;
    member->version = version;

    member->next = user->members;
    user->members = member;

    ngx_queue_insert_tail(&group->node.list, &member->queue);

    ngx_http_openim_count(memberships);

    return member;
}


static void
ngx_http_openim_member_delete(ngx_http_openim_member_t **link)
{
    ngx_http_openim_group_t   *group;
    ngx_http_openim_member_t  *member;

    member = *link;
    group = member->group;

    *link = member->next;
    member->user->nleft -= ngx_http_openim_member_left(member);

    ngx_queue_remove(&member->queue);
    ngx_http_openim_node_put(&ngx_http_openim_groups, &group->node);

#if (NGX_DEBUG_PALLOC)
    ngx_free(member);
#else
    member->next = ngx_http_openim_members_free;
    ngx_http_openim_members_free = member;
#endif

    ngx_http_openim_process.stat->memberships--;
}


ngx_http_openim_group_t *
ngx_http_openim_group_find(ngx_str_t *group_id)
{
    return (ngx_http_openim_group_t *)
               ngx_http_openim_node_find(&ngx_http_openim_groups, group_id);
}


/* With all its memberships, marks included: it is not said any more */

void
ngx_http_openim_group_delete(ngx_http_openim_group_t *group)
{
    ngx_uint_t                 last;
    ngx_queue_t               *q, *next;
    ngx_http_openim_member_t  *member;

    last = 0;

    for (q = ngx_queue_head(&group->node.list); !last; q = next) {
        next = ngx_queue_next(q);
        last = (next == ngx_queue_sentinel(&group->node.list));

        member = ngx_queue_data(q, ngx_http_openim_member_t, queue);

        ngx_http_openim_member_delete(
                          ngx_http_openim_member_link(member->user, group));
    }
}


ngx_http_openim_node_t *
ngx_http_openim_node_find(ngx_rbtree_t *tree, ngx_str_t *key)
{
    return (ngx_http_openim_node_t *)
               ngx_str_rbtree_lookup(tree, key,
                                     ngx_murmur_hash2(key->data, key->len));
}


ngx_http_openim_node_t *
ngx_http_openim_node_get(ngx_rbtree_t *tree, ngx_str_t *key, size_t size)
{
    ngx_http_openim_node_t  *node;

    node = ngx_http_openim_node_find(tree, key);

    if (node) {
        return node;
    }

    node = ngx_alloc(size + key->len, ngx_http_openim_process.log);
    if (node == NULL) {
        return NULL;
    }

    ngx_memzero(node, size);

    node->sn.node.key = ngx_murmur_hash2(key->data, key->len);
    node->sn.str.data = (u_char *) node + size;
    node->sn.str.len = key->len;
    ngx_memcpy(node->sn.str.data, key->data, key->len);

    ngx_queue_init(&node->list);
    ngx_rbtree_insert(tree, &node->sn.node);

    return node;
}


/* Gives it up, if its list is empty */

void
ngx_http_openim_node_put(ngx_rbtree_t *tree, ngx_http_openim_node_t *node)
{
    if (ngx_queue_empty(&node->list)) {
        ngx_rbtree_delete(tree, &node->sn.node);
        ngx_free(node);
    }
}
