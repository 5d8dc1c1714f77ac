
/*
 * Text -> number, bounded, the longest unused goes first.  For
 * ngx_http_openim_downlink.c: the last number of each publisher; for
 * ngx_http_openim_downlink_push.c: the last seq that was pushed of each
 * conversation.
 */


#include "ngx_http_openim_downlink.h"


void
ngx_http_openim_marks_init(ngx_http_openim_marks_t *marks, ngx_uint_t max)
{
    ngx_rbtree_init(&marks->tree, &marks->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&marks->queue);

    marks->max = max;
}


/* Finds it or makes it with value 0; NULL: no memory */

ngx_http_openim_mark_t *
ngx_http_openim_mark(ngx_http_openim_marks_t *marks, ngx_str_t *key)
{
    uint32_t                 hash;
    ngx_queue_t             *q;
    ngx_http_openim_mark_t  *mark;

    hash = ngx_murmur_hash2(key->data, key->len);

    mark = (ngx_http_openim_mark_t *)
               ngx_str_rbtree_lookup(&marks->tree, key, hash);

    if (mark) {
        ngx_queue_remove(&mark->queue);
        ngx_queue_insert_head(&marks->queue, &mark->queue);
        return mark;
    }

    if (marks->n == marks->max) {
        q = ngx_queue_last(&marks->queue);
        mark = ngx_queue_data(q, ngx_http_openim_mark_t, queue);

        ngx_queue_remove(q);
        ngx_rbtree_delete(&marks->tree, &mark->sn.node);
        ngx_free(mark);
        marks->n--;
    }

    mark = ngx_alloc(sizeof(ngx_http_openim_mark_t) + key->len,
                     ngx_http_openim_process.log);
    if (mark == NULL) {
        return NULL;
    }

    mark->sn.node.key = hash;
    mark->sn.str.data = (u_char *) mark + sizeof(ngx_http_openim_mark_t);
    mark->sn.str.len = key->len;
    ngx_memcpy(mark->sn.str.data, key->data, key->len);
    mark->value = 0;
    mark->stale = 0;

    ngx_rbtree_insert(&marks->tree, &mark->sn.node);
    ngx_queue_insert_head(&marks->queue, &mark->queue);
    marks->n++;

    return mark;
}
