
/*
 * Which of the users that are connected here are in which groups.  Used by
 * ngx_http_openim_session.c only.
 *
 * Sayings (proto/internal.proto, Groups) may be late or swapped; each has the
 * version of its user's log.  A membership keeps the version that said it, one
 * that has ended stays as a mark until nothing older can come; what is not
 * newer than the floor, up to which a full answer has said all, is ignored.
 */


#ifndef _NGX_HTTP_OPENIM_MEMBER_H_INCLUDED_
#define _NGX_HTTP_OPENIM_MEMBER_H_INCLUDED_


#include "ngx_http_openim_session.h"


/* A text that is looked up, and who belongs to it */

typedef struct {
    ngx_str_node_t               sn;
    ngx_queue_t                  list;       /* connections, subs, members */
} ngx_http_openim_node_t;


typedef struct ngx_http_openim_member_s  ngx_http_openim_member_t;


typedef struct {
    ngx_http_openim_node_t       node;
    ngx_http_openim_member_t    *members;
    uint64_t                     floor;
    uint64_t                     known;      /* connID of the last full one */
    ngx_uint_t                   turn;       /* the last push that it got */
    ngx_uint_t                   nleft;      /* marks */
} ngx_http_openim_user_t;


typedef struct {
    ngx_http_openim_node_t       node;
    ngx_http_openim_member_t    *seen;       /* within one merge */
} ngx_http_openim_group_t;


struct ngx_http_openim_member_s {
    ngx_http_openim_member_t    *next;       /* of the user */
    ngx_queue_t                  queue;      /* of the group */
    ngx_http_openim_user_t      *user;
    ngx_http_openim_group_t     *group;
    uint64_t                     version;    /* twice; plus one: left */
};


#define ngx_http_openim_member_left(m)  ((m)->version & 1)


void ngx_http_openim_member_init(void);

/* NGX_ERROR: no memory, the user's groups are not what they should be */
ngx_int_t ngx_http_openim_member_set(ngx_http_openim_user_t *user,
    ngx_str_t *group_id, uint64_t version, ngx_uint_t left);
ngx_int_t ngx_http_openim_member_merge(ngx_http_openim_user_t *user,
    ngx_http_openim_groups_t *groups);
void ngx_http_openim_member_delete_all(ngx_http_openim_user_t *user);

ngx_http_openim_group_t *ngx_http_openim_group_find(ngx_str_t *group_id);
void ngx_http_openim_group_delete(ngx_http_openim_group_t *group);

/* size: of the whole object, whose first member is the node; zeroed */
ngx_http_openim_node_t *ngx_http_openim_node_find(ngx_rbtree_t *tree,
    ngx_str_t *key);
ngx_http_openim_node_t *ngx_http_openim_node_get(ngx_rbtree_t *tree,
    ngx_str_t *key, size_t size);
void ngx_http_openim_node_put(ngx_rbtree_t *tree,
    ngx_http_openim_node_t *node);


#endif /* _NGX_HTTP_OPENIM_MEMBER_H_INCLUDED_ */
