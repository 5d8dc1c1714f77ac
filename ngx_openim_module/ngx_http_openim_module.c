
/*
 * Directives, their defaults and checks, and the module object.  Everything
 * that runs starts in ngx_http_openim_process.c (a worker process' life) and in
 * the handlers of the three kinds of locations.  Read
 * ngx_http_openim_module.h next.
 */


#include "ngx_http_openim_module.h"


#define NGX_HTTP_OPENIM_SAMPLE_SECRET  "openIM123"
#define NGX_HTTP_OPENIM_ZONE_SIZE      (256 * 1024)


static ngx_int_t ngx_http_openim_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_openim_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_openim_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_openim_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_openim_list(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_openim_names(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_openim_location(ngx_conf_t *cf,
    ngx_http_handler_pt handler);
static char *ngx_http_openim_gateway(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_openim_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_openim_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_enum_t  ngx_http_openim_profiles[] = {
    { ngx_string("production"), NGX_HTTP_OPENIM_PROFILE_PRODUCTION },
    { ngx_string("development"), NGX_HTTP_OPENIM_PROFILE_DEVELOPMENT },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_openim_positive = {
    ngx_conf_check_num_bounds, 1, 100000000
};

static ngx_conf_num_bounds_t  ngx_http_openim_db_bounds = {
    ngx_conf_check_num_bounds, 0, 65535
};


static ngx_command_t  ngx_http_openim_commands[] = {

    { ngx_string("openim_gateway"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_openim_gateway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("openim_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_openim_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("openim_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_openim_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("openim_kafka_brokers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_openim_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, kafka_brokers),
      NULL },

    { ngx_string("openim_kafka_topic_prefix"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, kafka_topic_prefix),
      NULL },

    { ngx_string("openim_kafka_max_record"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, kafka_max_record),
      NULL },

    { ngx_string("openim_kafka_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, kafka_queue),
      &ngx_http_openim_positive },

    { ngx_string("openim_redis_address"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, redis_address),
      NULL },

    { ngx_string("openim_redis_password"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, redis_password),
      NULL },

    { ngx_string("openim_redis_db"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, redis_db),
      &ngx_http_openim_db_bounds },

    { ngx_string("openim_secret"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, secret),
      NULL },

    { ngx_string("openim_profile"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, profile),
      ngx_http_openim_profiles },

    { ngx_string("openim_admin_users"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_openim_names,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, admin_users),
      NULL },

    { ngx_string("openim_max_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, max_connections),
      &ngx_http_openim_positive },

    { ngx_string("openim_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, max_message),
      NULL },

    { ngx_string("openim_max_inflate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, max_inflate),
      NULL },

    { ngx_string("openim_read_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, read_timeout),
      NULL },

    { ngx_string("openim_ping_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, ping_interval),
      NULL },

    { ngx_string("openim_request_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, request_timeout),
      NULL },

    { ngx_string("openim_send_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, send_queue),
      &ngx_http_openim_positive },

    { ngx_string("openim_send_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_openim_main_conf_t, send_buffer),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_openim_module_ctx = {
    ngx_http_openim_preconfiguration,      /* preconfiguration */
    ngx_http_openim_postconfiguration,     /* postconfiguration */

    ngx_http_openim_create_main_conf,      /* create main configuration */
    ngx_http_openim_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_openim_module = {
    NGX_MODULE_V1,
    &ngx_http_openim_module_ctx,           /* module context */
    ngx_http_openim_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_openim_process_init,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_openim_process_exit,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_openim_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_openim_variables_add(cf);
}


static ngx_int_t
ngx_http_openim_postconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                     name;
    ngx_http_handler_pt          *h;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_openim_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_openim_module);

    if (!mcf->enabled) {
        return NGX_OK;
    }

    ngx_str_set(&name, "openim");

    mcf->zone = ngx_shared_memory_add(cf, &name, NGX_HTTP_OPENIM_ZONE_SIZE,
                                      &ngx_http_openim_module);
    if (mcf->zone == NULL) {
        return NGX_ERROR;
    }

    mcf->zone->init = ngx_http_openim_zone_init;
    mcf->zone->data = mcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_openim_mask_handler;

    return NGX_OK;
}


static void *
ngx_http_openim_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_openim_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_openim_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    mcf->kafka_max_record = NGX_CONF_UNSET_SIZE;
    mcf->kafka_queue = NGX_CONF_UNSET_UINT;
    mcf->redis_db = NGX_CONF_UNSET;
    mcf->profile = NGX_CONF_UNSET_UINT;
    mcf->max_connections = NGX_CONF_UNSET;
    mcf->max_message = NGX_CONF_UNSET_SIZE;
    mcf->max_inflate = NGX_CONF_UNSET_SIZE;
    mcf->read_timeout = NGX_CONF_UNSET_MSEC;
    mcf->ping_interval = NGX_CONF_UNSET_MSEC;
    mcf->request_timeout = NGX_CONF_UNSET_MSEC;
    mcf->send_queue = NGX_CONF_UNSET;
    mcf->send_buffer = NGX_CONF_UNSET_SIZE;

    return mcf;
}


static char *
ngx_http_openim_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_openim_main_conf_t *mcf = conf;

    ngx_url_t   u;
    ngx_str_t  *admin;

    ngx_conf_init_size_value(mcf->kafka_max_record, 1023 * 1024);
    ngx_conf_init_uint_value(mcf->kafka_queue, 20000);
    ngx_conf_init_value(mcf->redis_db, 0);
    ngx_conf_init_uint_value(mcf->profile, NGX_HTTP_OPENIM_PROFILE_PRODUCTION);
    ngx_conf_init_value(mcf->max_connections, 100000);
    ngx_conf_init_size_value(mcf->max_message, 51200);
    ngx_conf_init_size_value(mcf->max_inflate, NGX_HTTP_OPENIM_GUNZIP_MAX);
    ngx_conf_init_msec_value(mcf->read_timeout, 35000);
    ngx_conf_init_msec_value(mcf->ping_interval, 25000);
    ngx_conf_init_msec_value(mcf->request_timeout, 9500);
    ngx_conf_init_value(mcf->send_queue, 256);
    ngx_conf_init_size_value(mcf->send_buffer, 4 * 1024 * 1024);

    if (mcf->kafka_brokers.data == NULL) {
        ngx_str_set(&mcf->kafka_brokers, "127.0.0.1:9092");
    }

    if (mcf->kafka_topic_prefix.data == NULL) {
        ngx_str_set(&mcf->kafka_topic_prefix, "openim.");
    }

    if (mcf->redis_address.data == NULL) {
        ngx_str_set(&mcf->redis_address, "127.0.0.1:6379");
    }

    if (mcf->admin_users == NULL) {
        mcf->admin_users = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
        if (mcf->admin_users == NULL) {
            return NGX_CONF_ERROR;
        }

        admin = ngx_array_push(mcf->admin_users);
        if (admin == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_set(admin, "imAdmin");
    }

    if (!mcf->enabled) {
        return NGX_CONF_OK;
    }

    if (mcf->secret.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"openim_secret\" is not set: tokens cannot be checked");
        return NGX_CONF_ERROR;
    }

    if (mcf->profile != NGX_HTTP_OPENIM_PROFILE_DEVELOPMENT
        && mcf->secret.len == sizeof(NGX_HTTP_OPENIM_SAMPLE_SECRET) - 1
        && ngx_memcmp(mcf->secret.data, NGX_HTTP_OPENIM_SAMPLE_SECRET,
                      mcf->secret.len)
           == 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"openim_secret\" is the one of the samples, which "
                      "everybody knows: give another one here and in "
                      "openim.conf, or set \"openim_profile development\"");
        return NGX_CONF_ERROR;
    }

    if (mcf->read_timeout < 30000) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"openim_read_timeout\" is less than 30s: clients that "
                      "ping each 27 seconds will lose their connections");
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = mcf->redis_address;
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in \"openim_redis_address %V\"",
                      u.err ? u.err : "error", &u.url);
        return NGX_CONF_ERROR;
    }

    mcf->redis_addrs = u.addrs;
    mcf->redis_naddrs = u.naddrs;

    return NGX_CONF_OK;
}


/* "host:port host:port" and "host:port,host:port" are the same */

static char *
ngx_http_openim_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *base = conf;

    u_char      *p;
    size_t       len;
    ngx_str_t   *field, *value;
    ngx_uint_t   i;

    field = (ngx_str_t *) (base + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    len = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        len += value[i].len + 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    field->data = p;

    for (i = 1; i < cf->args->nelts; i++) {
        p = ngx_cpymem(p, value[i].data, value[i].len);
        *p++ = ',';
    }

    field->len = len - 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_openim_names(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *base = conf;

    ngx_str_t    *name, *value;
    ngx_uint_t    i;
    ngx_array_t **field;

    field = (ngx_array_t **) (base + cmd->offset);

    if (*field) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *field = ngx_array_create(cf->pool, cf->args->nelts - 1,
                              sizeof(ngx_str_t));
    if (*field == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        name = ngx_array_push(*field);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_openim_location(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_openim_main_conf_t  *mcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    clcf->handler = handler;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_openim_module);
    mcf->enabled = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_openim_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_openim_location(cf, ngx_http_openim_handshake_handler);
}


static char *
ngx_http_openim_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_openim_location(cf, ngx_http_openim_rest_handler);
}


static char *
ngx_http_openim_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_openim_location(cf, ngx_http_openim_status_handler);
}
