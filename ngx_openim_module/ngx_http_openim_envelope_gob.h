
/*
 * What the files of the gob codec share, and nobody else needs; the codec
 * itself is in ngx_http_openim_envelope.h.  Everything is NGX_OK or NGX_ERROR,
 * if it does not say otherwise.
 */


#ifndef _NGX_HTTP_OPENIM_ENVELOPE_GOB_H_INCLUDED_
#define _NGX_HTTP_OPENIM_ENVELOPE_GOB_H_INCLUDED_


#include "ngx_http_openim_envelope.h"


#define NGX_HTTP_OPENIM_GOB_TYPES   32      /* definitions in a message */
#define NGX_HTTP_OPENIM_GOB_FIELDS  512     /* of all its structs */

#define NGX_HTTP_OPENIM_GOB_BOOL       1    /* built-in types */
#define NGX_HTTP_OPENIM_GOB_INT        2
#define NGX_HTTP_OPENIM_GOB_UINT       3
#define NGX_HTTP_OPENIM_GOB_FLOAT      4
#define NGX_HTTP_OPENIM_GOB_BYTES      5
#define NGX_HTTP_OPENIM_GOB_STRING     6
#define NGX_HTTP_OPENIM_GOB_COMPLEX    7
#define NGX_HTTP_OPENIM_GOB_INTERFACE  8
#define NGX_HTTP_OPENIM_GOB_USER       64   /* the first of the others */


typedef enum {                              /* fields of a wireType */
    ngx_http_openim_gob_array = 0,
    ngx_http_openim_gob_slice,
    ngx_http_openim_gob_struct,
    ngx_http_openim_gob_map,
    ngx_http_openim_gob_encoder,
    ngx_http_openim_gob_binary,
    ngx_http_openim_gob_text
} ngx_http_openim_gob_kind_e;


typedef enum {                              /* fields of a request */
    ngx_http_openim_gob_unknown = 0,
    ngx_http_openim_gob_req,
    ngx_http_openim_gob_token,
    ngx_http_openim_gob_send_id,
    ngx_http_openim_gob_operation_id,
    ngx_http_openim_gob_msg_incr,
    ngx_http_openim_gob_data
} ngx_http_openim_gob_name_e;


typedef struct {
    u_char                       *pos;
    u_char                       *last;
} ngx_http_openim_gob_buf_t;


typedef struct {
    int32_t                       type;
    ngx_http_openim_gob_name_e    name;
} ngx_http_openim_gob_field_t;


typedef struct {
    int32_t                       id;
    ngx_http_openim_gob_kind_e    kind;
    int32_t                       elem;
    int32_t                       key;
    ngx_uint_t                    first;    /* of its fields */
    ngx_uint_t                    nfields;
} ngx_http_openim_gob_type_t;


typedef struct {
    ngx_uint_t                    ntypes;
    ngx_uint_t                    nfields;
    ngx_http_openim_gob_type_t    types[NGX_HTTP_OPENIM_GOB_TYPES];
    ngx_http_openim_gob_field_t   fields[NGX_HTTP_OPENIM_GOB_FIELDS];
} ngx_http_openim_gob_t;


/* _envelope_gob_type.c */
ngx_int_t ngx_http_openim_gob_define(ngx_http_openim_gob_t *gob,
    ngx_http_openim_gob_buf_t *b, int64_t id);
/* NULL: not defined in this message */
ngx_http_openim_gob_type_t *ngx_http_openim_gob_find(
    ngx_http_openim_gob_t *gob, int64_t id);


/*
 * _envelope_gob_value.c.  next: the number of a struct's next field, of n;
 * NGX_DONE at its end; *number starts at -1.  bytes are borrowed.  fold makes
 * of a signed number the unsigned one that gob writes for it.
 */
ngx_int_t ngx_http_openim_gob_next(ngx_http_openim_gob_buf_t *b,
    ngx_uint_t *number, ngx_uint_t n);
ngx_int_t ngx_http_openim_gob_uint(ngx_http_openim_gob_buf_t *b,
    uint64_t *value);
ngx_int_t ngx_http_openim_gob_int(ngx_http_openim_gob_buf_t *b,
    int64_t *value);
ngx_int_t ngx_http_openim_gob_id(ngx_http_openim_gob_buf_t *b, int32_t *id);
ngx_int_t ngx_http_openim_gob_bytes(ngx_http_openim_gob_buf_t *b,
    ngx_str_t *value);

size_t ngx_http_openim_gob_uint_size(uint64_t value);
u_char *ngx_http_openim_gob_put_uint(u_char *p, uint64_t value);
uint64_t ngx_http_openim_gob_fold(int64_t value);


#endif /* _NGX_HTTP_OPENIM_ENVELOPE_GOB_H_INCLUDED_ */
