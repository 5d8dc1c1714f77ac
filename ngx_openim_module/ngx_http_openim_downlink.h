
/*
 * What the files of the downlink share; what others may call is in
 * ngx_http_openim_module.h.  Everything is borrowed from the record.
 */


#ifndef _NGX_HTTP_OPENIM_DOWNLINK_H_INCLUDED_
#define _NGX_HTTP_OPENIM_DOWNLINK_H_INCLUDED_


#include "ngx_http_openim_connection.h"

#include "oim_wire.h"


#define NGX_HTTP_OPENIM_FIELD_INT  0      /* an int64_t */
#define NGX_HTTP_OPENIM_FIELD_STR  2      /* a ngx_str_t */


/* Where a field of a message goes; the last one has the number 0 */

typedef struct {
    uint32_t                     number;
    uint32_t                     type;       /* as on the wire */
    size_t                       offset;     /* of the member */
} ngx_http_openim_field_t;


/*
 * Text -> number, bounded, the longest unused goes first.  For publishers: the
 * last number; for conversations: the last seq that was pushed.
 */

typedef struct {
    ngx_str_node_t               sn;
    ngx_queue_t                  queue;
    uint64_t                     value;
    ngx_uint_t                   stale;      /* any greater one may follow */
} ngx_http_openim_mark_t;


typedef struct {
    ngx_rbtree_t                 tree;
    ngx_rbtree_node_t            sentinel;
    ngx_queue_t                  queue;      /* least used last */
    ngx_uint_t                   n;
    ngx_uint_t                   max;
} ngx_http_openim_marks_t;


#define ngx_http_openim_field_str(str, f)                                    \
    (str)->data = (u_char *) (f)->data;                                      \
    (str)->len = (f)->len


/* _downlink.c: fields into the members of out; NGX_ERROR: it cannot be read */
ngx_int_t ngx_http_openim_downlink_fields(const uint8_t *data, size_t len,
    const ngx_http_openim_field_t *fields, void *out);

/* _downlink_push.c; late: it has waited.  _downlink_kick.c */
void ngx_http_openim_downlink_push_init(void);
ngx_int_t ngx_http_openim_downlink_push(const uint8_t *data,
    size_t len, ngx_uint_t late);
ngx_int_t ngx_http_openim_downlink_kick(const uint8_t *data, size_t len);

/* _mark.c: finds the mark of key, or makes it with value 0; NULL: no memory */
void ngx_http_openim_marks_init(ngx_http_openim_marks_t *marks,
    ngx_uint_t max);
ngx_http_openim_mark_t *ngx_http_openim_mark(
    ngx_http_openim_marks_t *marks, ngx_str_t *key);


#endif /* _NGX_HTTP_OPENIM_DOWNLINK_H_INCLUDED_ */
