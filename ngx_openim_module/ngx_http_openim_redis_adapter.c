
/*
 * The adapter: hiredis says what it waits for, nginx calls it.  The events are
 * level-triggered because hiredis does not read until there is nothing more.
 * Attached by ngx_http_openim_redis.c to each new context; hiredis detaches it.
 */


#include "ngx_http_openim_redis.h"


static void ngx_http_openim_adapter_read(ngx_event_t *ev);
static void ngx_http_openim_adapter_write(ngx_event_t *ev);
static void ngx_http_openim_adapter_add_read(void *data);
static void ngx_http_openim_adapter_del_read(void *data);
static void ngx_http_openim_adapter_add_write(void *data);
static void ngx_http_openim_adapter_del_write(void *data);
static void ngx_http_openim_adapter_cleanup(void *data);


ngx_int_t
ngx_http_openim_adapter_attach(redisAsyncContext *ac)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ac->c.fd, ngx_http_openim_process.log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    (void) fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);

    c->data = ac;
    c->log = ngx_http_openim_process.log;

    c->read->handler = ngx_http_openim_adapter_read;
    c->read->log = c->log;
    c->write->handler = ngx_http_openim_adapter_write;
    c->write->log = c->log;

    ac->ev.data = c;
    ac->ev.addRead = ngx_http_openim_adapter_add_read;
    ac->ev.delRead = ngx_http_openim_adapter_del_read;
    ac->ev.addWrite = ngx_http_openim_adapter_add_write;
    ac->ev.delWrite = ngx_http_openim_adapter_del_write;
    ac->ev.cleanup = ngx_http_openim_adapter_cleanup;

    return NGX_OK;
}


static void
ngx_http_openim_adapter_read(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    redisAsyncHandleRead(c->data);
}


static void
ngx_http_openim_adapter_write(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    redisAsyncHandleWrite(c->data);
}


static void
ngx_http_openim_adapter_add_read(void *data)
{
    ngx_connection_t *c = data;

    if (!c->read->active) {
        (void) ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_openim_adapter_del_read(void *data)
{
    ngx_connection_t *c = data;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_openim_adapter_add_write(void *data)
{
    ngx_connection_t *c = data;

    if (!c->write->active) {
        (void) ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_openim_adapter_del_write(void *data)
{
    ngx_connection_t *c = data;

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }
}


/* As ngx_close_connection(), but the descriptor is closed by hiredis */

static void
ngx_http_openim_adapter_cleanup(void *data)
{
    ngx_connection_t *c = data;

    if (ngx_del_conn) {
        (void) ngx_del_conn(c, 0);

    } else {
        ngx_http_openim_adapter_del_read(c);
        ngx_http_openim_adapter_del_write(c);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
