
/*
 * See ngx_http_openim_args.h.  Two forms of the same thing: parameters, or one
 * parameter v with a JSON object.  Whichever it is, the checks of step 3 of
 * gateway.md 1.4 come after it.
 */


#include "ngx_http_openim_args.h"
#include "ngx_http_openim_envelope.h"
#include "ngx_http_openim_json.h"

#include <stdio.h>


/* so that errMsg never leaves errDlt without room */
#define NGX_HTTP_OPENIM_RESULT_MSG_MAX  512

#define NGX_HTTP_OPENIM_NOT_JSON        "data is not json, info="


typedef struct {
    const char  *name;
    ngx_str_t    value;
    unsigned     set:1;
} ngx_http_openim_arg_t;


/* what is not kept as it comes */

typedef struct {
    ngx_str_t    compression;
    ngx_str_t    sdk_type;
    int64_t      platform_id;
} ngx_http_openim_args_raw_t;


static ngx_int_t ngx_http_openim_args_plain(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_http_openim_arg_t *arg,
    ngx_str_t *compression, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_args_object(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_str_t *v, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_args_check(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_http_openim_error_t *err);
static ngx_int_t ngx_http_openim_args_split(ngx_str_t *query,
    ngx_http_openim_arg_t *arg, ngx_uint_t n, ngx_http_openim_mem_t *mem);
static ngx_int_t ngx_http_openim_args_unescape(u_char *dst, ngx_str_t *out,
    u_char *src, u_char *last);
static ngx_int_t ngx_http_openim_args_hex(u_char c);
static ngx_int_t ngx_http_openim_args_int(ngx_str_t *s, int64_t *out);
static ngx_int_t ngx_http_openim_args_bool(ngx_str_t *s);
static ngx_uint_t ngx_http_openim_args_equal(ngx_str_t *s, const char *text);
static ngx_int_t ngx_http_openim_args_fail(ngx_http_openim_error_t *err,
    const char *dlt);


enum {
    ngx_http_openim_arg_v = 0,
    ngx_http_openim_arg_send_id,
    ngx_http_openim_arg_token,
    ngx_http_openim_arg_platform_id,
    ngx_http_openim_arg_operation_id,
    ngx_http_openim_arg_background,
    ngx_http_openim_arg_compression,
    ngx_http_openim_arg_sdk_type,
    ngx_http_openim_arg_msg_resp,
    ngx_http_openim_arg_sdk_version,
    ngx_http_openim_arg_n
};


static struct {
    ngx_int_t    code;
    ngx_str_t    msg;
} ngx_http_openim_error_msgs[] = {
    { 0, ngx_string("") },
    { 500, ngx_string("ServerInternalError") },
    { 1001, ngx_string("ArgsError") },
    { 1002, ngx_string("NoPermissionError") },
    { 1003, ngx_string("DuplicateKeyError") },
    { 1004, ngx_string("RecordNotFoundError") },
    { 1101, ngx_string("UserIDNotFoundError") },
    { 1201, ngx_string("GroupIDNotFoundError") },
    { 1204, ngx_string("DismissedAlreadyError") },
    { 1302, ngx_string("BlockedByPeer") },
    { 1303, ngx_string("NotPeersFriend") },
    { 1402, ngx_string("MutedInGroup") },
    { 1403, ngx_string("MutedGroup") },
    { 1501, ngx_string("TokenExpiredError") },
    { 1502, ngx_string("TokenInvalidError") },
    { 1503, ngx_string("TokenMalformedError") },
    { 1504, ngx_string("TokenNotValidYetError") },
    { 1505, ngx_string("TokenUnknownError") },
    { 1506, ngx_string("TokenKickedError") },
    { 1507, ngx_string("TokenNotExistError") },
    { 1601, ngx_string("ConnOverMaxNumLimit") },
    { 1602, ngx_string("args err, need token, sendID, platformID") },
    { 1603, ngx_string("push msg err") },
    { 1604, ngx_string("ios background push err") },
    { 90002, ngx_string("DatabaseError") },
    { 90004, ngx_string("NetworkError") }
};


ngx_int_t
ngx_http_openim_args_parse(ngx_http_openim_args_t *args, ngx_str_t *query,
    ngx_str_t *compression, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err)
{
    ngx_int_t                    rc;
    ngx_http_openim_args_raw_t   raw;
    ngx_http_openim_arg_t       *v;
    ngx_http_openim_arg_t        arg[ngx_http_openim_arg_n] = {
        { "v", ngx_null_string, 0 },
        { "sendID", ngx_null_string, 0 },
        { "token", ngx_null_string, 0 },
        { "platformID", ngx_null_string, 0 },
        { "operationID", ngx_null_string, 0 },
        { "isBackground", ngx_null_string, 0 },
        { "compression", ngx_null_string, 0 },
        { "sdkType", ngx_null_string, 0 },
        { "isMsgResp", ngx_null_string, 0 },
        { "sdkVersion", ngx_null_string, 0 }
    };

    ngx_memzero(args, sizeof(ngx_http_openim_args_t));
    ngx_memzero(&raw, sizeof(ngx_http_openim_args_raw_t));

    if (ngx_http_openim_args_split(query, arg, ngx_http_openim_arg_n, mem)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    v = &arg[ngx_http_openim_arg_v];

    rc = v->value.len
         ? ngx_http_openim_args_object(args, &raw, &v->value, mem, err)
         : ngx_http_openim_args_plain(args, &raw, arg, compression, err);

    if (rc != NGX_OK) {
        return rc;
    }

    args->gzip = ngx_http_openim_args_equal(&raw.compression, "gzip");

    return ngx_http_openim_args_check(args, &raw, err);
}


static ngx_int_t
ngx_http_openim_args_plain(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_http_openim_arg_t *arg,
    ngx_str_t *compression, ngx_http_openim_error_t *err)
{
    ngx_int_t  msg_resp, background;

    args->send_id = arg[ngx_http_openim_arg_send_id].value;
    args->token = arg[ngx_http_openim_arg_token].value;
    args->operation_id = arg[ngx_http_openim_arg_operation_id].value;
    args->sdk_version = arg[ngx_http_openim_arg_sdk_version].value;
    raw->sdk_type = arg[ngx_http_openim_arg_sdk_type].value;
    raw->compression = arg[ngx_http_openim_arg_compression].value;

    if (raw->compression.len == 0 && compression) {
        raw->compression = *compression;
    }

    msg_resp = arg[ngx_http_openim_arg_msg_resp].value.len
               ? ngx_http_openim_args_bool(
                     &arg[ngx_http_openim_arg_msg_resp].value)
               : 0;

    args->msg_resp = (msg_resp == 1);

    if (ngx_http_openim_args_int(&arg[ngx_http_openim_arg_platform_id].value,
                                 &raw->platform_id)
        != NGX_OK)
    {
        return ngx_http_openim_args_fail(err, "platformID is not int");
    }

    if (msg_resp == NGX_ERROR) {
        return ngx_http_openim_args_fail(err, "isMsgResp is not bool");
    }

    background = ngx_http_openim_args_bool(
                     &arg[ngx_http_openim_arg_background].value);

    if (background == NGX_ERROR) {
        ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_INTERNAL,
                                  "invalid syntax");
        return NGX_DECLINED;
    }

    args->background = background;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_args_object(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_str_t *v, ngx_http_openim_mem_t *mem,
    ngx_http_openim_error_t *err)
{
    ngx_int_t               rc;
    ngx_str_t               text, name, value;
    ngx_uint_t              flag, wrong;
    ngx_http_openim_json_t  json;

    /* v lies in the scratch: decoded in place */

    if (ngx_http_openim_base64_url(v->data, &text, v->data, v->len)
        != NGX_OK)
    {
        return ngx_http_openim_args_fail(err, "data is not base64");
    }

    wrong = 0;

    ngx_http_openim_json_init(&json, text.data, text.len);

    for ( ;; ) {

        rc = ngx_http_openim_json_next(&json, &name, &value);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK) {
            return ngx_http_openim_args_fail(err,
                               NGX_HTTP_OPENIM_NOT_JSON "invalid object");
        }

        if (ngx_http_openim_json_is(&name, "token")) {
            rc = ngx_http_openim_json_string(&value, mem, &args->token);

        } else if (ngx_http_openim_json_is(&name, "userID")) {
            rc = ngx_http_openim_json_string(&value, mem, &args->send_id);

        } else if (ngx_http_openim_json_is(&name, "operationID")) {
            rc = ngx_http_openim_json_string(&value, mem,
                                             &args->operation_id);

        } else if (ngx_http_openim_json_is(&name, "sdkVersion")) {
            rc = ngx_http_openim_json_string(&value, mem,
                                             &args->sdk_version);

        } else if (ngx_http_openim_json_is(&name, "sdkType")) {
            rc = ngx_http_openim_json_string(&value, mem, &raw->sdk_type);

        } else if (ngx_http_openim_json_is(&name, "compression")) {
            rc = ngx_http_openim_json_string(&value, mem, &raw->compression);

        } else if (ngx_http_openim_json_is(&name, "platformID")) {
            rc = ngx_http_openim_json_int(&value, INT64_MIN, INT64_MAX,
                                          &raw->platform_id);

        } else if (ngx_http_openim_json_is(&name, "sendResponse")) {
            flag = args->msg_resp;
            rc = ngx_http_openim_json_bool(&value, &flag);
            args->msg_resp = flag;

        } else if (ngx_http_openim_json_is(&name, "background")) {
            flag = args->background;
            rc = ngx_http_openim_json_bool(&value, &flag);
            args->background = flag;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        /* the rest may still say sendResponse */

        wrong |= (rc == NGX_DECLINED);
    }

    if (wrong) {
        return ngx_http_openim_args_fail(err,
                           NGX_HTTP_OPENIM_NOT_JSON "value of wrong type");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_args_check(ngx_http_openim_args_t *args,
    ngx_http_openim_args_raw_t *raw, ngx_http_openim_error_t *err)
{
    if (args->operation_id.len == 0) {
        return ngx_http_openim_args_fail(err, "operationID is empty");
    }

    if (args->token.len == 0) {
        return ngx_http_openim_args_fail(err, "token is empty");
    }

    if (args->send_id.len == 0) {
        return ngx_http_openim_args_fail(err, "sendID is empty");
    }

    if (raw->platform_id < 1
        || raw->platform_id > NGX_HTTP_OPENIM_PLATFORM_ARG)
    {
        return ngx_http_openim_args_fail(err, "platformID is invalid");
    }

    args->platform_id = (ngx_uint_t) raw->platform_id;

    if (raw->sdk_type.len == 0
        || ngx_http_openim_args_equal(&raw->sdk_type, "go"))
    {
        args->codec = NGX_HTTP_OPENIM_GOB;

    } else if (ngx_http_openim_args_equal(&raw->sdk_type, "js")) {
        args->codec = NGX_HTTP_OPENIM_JSON;

    } else {
        return ngx_http_openim_args_fail(err, "sdkType is invalid");
    }

    return NGX_OK;
}


/*
 * application/x-www-form-urlencoded as Go reads it: a pair with a semicolon or
 * a bad escape does not count, the first of a name does.
 */

static ngx_int_t
ngx_http_openim_args_split(ngx_str_t *query, ngx_http_openim_arg_t *arg,
    ngx_uint_t n, ngx_http_openim_mem_t *mem)
{
    u_char      *p, *end, *last, *eq, *room;
    size_t       len;
    ngx_str_t    name, value;
    ngx_uint_t   i;

    p = query->data;
    last = query->len ? p + query->len : p;

    for ( /* void */ ; p < last; p = end + 1) {

        end = memchr(p, '&', last - p);
        if (end == NULL) {
            end = last;
        }

        len = end - p;

        if (len == 0 || memchr(p, ';', len)) {
            continue;
        }

        eq = memchr(p, '=', len);
        if (eq == NULL) {
            eq = end;
        }

        room = ngx_http_openim_mem_alloc(mem, len);
        if (room == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_openim_args_unescape(room, &name, p, eq) != NGX_OK
            || ngx_http_openim_args_unescape(room + name.len, &value,
                                             eq + (eq < end), end)
               != NGX_OK)
        {
            mem->pos = room;
            continue;
        }

        for (i = 0; i < n; i++) {

            if (!arg[i].set
                && ngx_http_openim_args_equal(&name, arg[i].name))
            {
                arg[i].value = value;
                arg[i].set = 1;
                break;
            }
        }

        /* what nobody asked for, and the name, are given back */

        mem->pos = (i < n) ? value.data + value.len : room;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_args_unescape(u_char *dst, ngx_str_t *out, u_char *src,
    u_char *last)
{
    ngx_int_t  high, low;

    out->data = dst;

    for ( /* void */ ; src < last; src++) {

        if (*src == '+') {
            *dst++ = ' ';
            continue;
        }

        if (*src != '%') {
            *dst++ = *src;
            continue;
        }

        if (last - src < 3) {
            return NGX_DECLINED;
        }

        high = ngx_http_openim_args_hex(src[1]);
        low = ngx_http_openim_args_hex(src[2]);

        if (high < 0 || low < 0) {
            return NGX_DECLINED;
        }

        *dst++ = (u_char) (high << 4 | low);
        src += 2;
    }

    out->len = dst - out->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_args_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}


static ngx_int_t
ngx_http_openim_args_int(ngx_str_t *s, int64_t *out)
{
    u_char      *p, *last;
    int64_t      n;
    ngx_uint_t   minus;

    if (s->len == 0) {
        return NGX_DECLINED;
    }

    p = s->data;
    last = p + s->len;
    n = 0;
    minus = (*p == '-');

    if (*p == '-' || *p == '+') {
        p++;
    }

    if (p == last) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p < '0' || *p > '9' || n < (INT64_MIN + (*p - '0')) / 10) {
            return NGX_DECLINED;
        }

        n = n * 10 - (*p - '0');
    }

    if (!minus && n == INT64_MIN) {
        return NGX_DECLINED;
    }

    *out = minus ? n : -n;

    return NGX_OK;
}


/* 0, 1, or NGX_ERROR */

static ngx_int_t
ngx_http_openim_args_bool(ngx_str_t *s)
{
    ngx_int_t    value;
    const char **word;

    static const char *words[][7] = {
        { "0", "f", "F", "false", "FALSE", "False", NULL },
        { "1", "t", "T", "true", "TRUE", "True", NULL }
    };

    for (value = 0; value < 2; value++) {
        for (word = words[value]; *word; word++) {
            if (ngx_http_openim_args_equal(s, *word)) {
                return value;
            }
        }
    }

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_openim_args_equal(ngx_str_t *s, const char *text)
{
    size_t  len;

    len = strlen(text);

    return s->len == len && (len == 0 || ngx_memcmp(s->data, text, len) == 0);
}


static ngx_int_t
ngx_http_openim_args_fail(ngx_http_openim_error_t *err, const char *dlt)
{
    ngx_http_openim_error_set(err, NGX_HTTP_OPENIM_E_CONN_ARGS, dlt);

    return NGX_DECLINED;
}


void
ngx_http_openim_error_set(ngx_http_openim_error_t *err, ngx_int_t code,
    const char *dlt)
{
    err->code = code;
    err->msg = *ngx_http_openim_error_msg(code);
    err->dlt.data = (u_char *) dlt;
    err->dlt.len = strlen(dlt);
}


ngx_str_t *
ngx_http_openim_error_msg(ngx_int_t code)
{
    ngx_uint_t  i, n;

    n = sizeof(ngx_http_openim_error_msgs)
        / sizeof(ngx_http_openim_error_msgs[0]);

    for (i = 0; i < n; i++) {
        if (ngx_http_openim_error_msgs[i].code == code) {
            return &ngx_http_openim_error_msgs[i].msg;
        }
    }

    return &ngx_http_openim_error_msgs[1].msg;
}


u_char *
ngx_http_openim_result(u_char *p, ngx_http_openim_error_t *err)
{
    u_char                  *start;
    ngx_http_openim_error_t  none;

    if (err == NULL) {
        ngx_memzero(&none, sizeof(ngx_http_openim_error_t));
        err = &none;
    }

    start = p;

    p += snprintf((char *) p, NGX_HTTP_OPENIM_RESULT_MAX,
                  "{\"errCode\":%lld,\"errMsg\":", (long long) err->code);

    p += ngx_http_openim_json_quote_max(p, err->msg.data, err->msg.len,
                                        NGX_HTTP_OPENIM_RESULT_MSG_MAX);

    p = ngx_cpymem(p, ",\"errDlt\":", sizeof(",\"errDlt\":") - 1);

    p += ngx_http_openim_json_quote_max(p, err->dlt.data, err->dlt.len,
                                        NGX_HTTP_OPENIM_RESULT_MAX - 1
                                        - (size_t) (p - start));
    *p++ = '}';

    return p;
}
