
/*
 * Variables for log_format and limit_* keys: $openim_user, $openim_platform,
 * $openim_operation and $openim_code (the errCode of the answer, 0: success;
 * empty when it was no envelope).  Empty for requests that are not ours.
 */


#include "ngx_http_openim_module.h"


#define NGX_HTTP_OPENIM_VAR_USER       0
#define NGX_HTTP_OPENIM_VAR_PLATFORM   1
#define NGX_HTTP_OPENIM_VAR_OPERATION  2
#define NGX_HTTP_OPENIM_VAR_CODE       3


static ngx_int_t ngx_http_openim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_openim_variables[] = {

    { ngx_string("openim_user"), NULL, ngx_http_openim_variable,
      NGX_HTTP_OPENIM_VAR_USER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("openim_platform"), NULL, ngx_http_openim_variable,
      NGX_HTTP_OPENIM_VAR_PLATFORM, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("openim_operation"), NULL, ngx_http_openim_variable,
      NGX_HTTP_OPENIM_VAR_OPERATION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("openim_code"), NULL, ngx_http_openim_variable,
      NGX_HTTP_OPENIM_VAR_CODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_openim_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_openim_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_openim_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                 *p;
    ngx_str_t               text;
    ngx_int_t               number;
    ngx_http_openim_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_openim_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_str_null(&text);
    number = 0;

    switch (data) {

    case NGX_HTTP_OPENIM_VAR_USER:
        text = ctx->token.user_id;
        break;

    case NGX_HTTP_OPENIM_VAR_OPERATION:
        text = ctx->operation_id;
        break;

    case NGX_HTTP_OPENIM_VAR_PLATFORM:
        number = ctx->token.platform_id;
        break;

    default: /* NGX_HTTP_OPENIM_VAR_CODE */
        number = ctx->code;
        break;
    }

    if (data == NGX_HTTP_OPENIM_VAR_PLATFORM
        || data == NGX_HTTP_OPENIM_VAR_CODE)
    {
        if (number < 0 || (data == NGX_HTTP_OPENIM_VAR_PLATFORM && !number)) {
            v->not_found = 1;
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;
        text.len = ngx_sprintf(p, "%i", number) - p;
    }

    if (text.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = text.data;
    v->len = text.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
