
/*
 * What the subscription brings: records on our reply channel, which go to
 * ngx_http_openim_downlink.c, and who comes and goes, which goes to
 * ngx_http_openim_session.c.  Called by hiredis, on the link that
 * ngx_http_openim_redis.c has subscribed.
 */


#include "ngx_http_openim_redis.h"
#include "ngx_http_openim_session.h"


/* Everything that the subscription brings, its confirmations included */

void
ngx_http_openim_redis_message(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_openim_link_t *link = data;

    redisReply               *rr = reply;
    redisReply               *kind, *channel, *payload;
    ngx_http_openim_redis_t  *rds;

    if (rr == NULL || link->ac != ac) {
        return;
    }

    rds = &ngx_http_openim_redis;

    if (rr->type == REDIS_REPLY_ERROR) {
        ngx_http_openim_link_drop(link, rr->str);
        return;
    }

    if (rr->type != REDIS_REPLY_ARRAY || rr->elements != 3) {
        return;
    }

    kind = rr->element[0];
    channel = rr->element[1];
    payload = rr->element[2];

    if (kind->type != REDIS_REPLY_STRING
        || channel->type != REDIS_REPLY_STRING)
    {
        return;
    }

    if (payload->type == REDIS_REPLY_INTEGER) {

        if (link->state == NGX_HTTP_OPENIM_LINK_CONNECTING
            && ngx_strcmp(kind->str, "subscribe") == 0
            && --link->steps == 0)
        {
            ngx_http_openim_link_up(link);
        }

        return;
    }

    if (payload->type != REDIS_REPLY_STRING) {
        return;
    }

    if (channel->len == rds->channel_len
        && ngx_memcmp(channel->str, rds->channel, rds->channel_len) == 0)
    {
        rds->heard = ngx_current_msec;

        if (payload->len) {
            ngx_http_openim_downlink_handle((u_char *) payload->str,
                                            payload->len);
        }

    } else {
        ngx_http_openim_session_presence((u_char *) payload->str,
                                         payload->len);
    }
}
