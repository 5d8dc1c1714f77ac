
/*
 * What we ask of Redis in one step (docs/records.md): whether a token is good,
 * a connection comes or is renewed, a connection goes.  Called by
 * ngx_http_openim_redis_command.c, which knows the keys and arguments.
 *
 * The online set is always made anew from the connections of all living
 * gateways, so a change that was lost is mended by the next one, and a second
 * connection of a platform that goes changes nothing.
 */


#include "ngx_http_openim_module.h"


/* KEYS[1] the hash of tokens, KEYS[2] the key of a replaced admin token */

#define NGX_HTTP_OPENIM_LUA_TOKEN                                             \
    "local function token_code(hash, spare, token, admin)\n"                  \
    "  local state = redis.call('HGET', hash, token)\n"                       \
    "  if not state then\n"                                                   \
    "    if admin == '1' and redis.call('EXISTS', spare) == 1 then\n"         \
    "      return 0\n"                                                        \
    "    end\n"                                                               \
    "    return 1507\n"                                                       \
    "  end\n"                                                                 \
    "  if state == '0' then return 0 end\n"                                   \
    "  if state == '2' then return 1506 end\n"                                \
    "  return 1505\n"                                                         \
    "end\n"


/*
 * KEYS[1] oim:conn:<user>, KEYS[2] ONLINE:<user>, KEYS[3] oim:gateways.  A
 * gateway that has just registered counts even if its heartbeat is late.
 */

#define NGX_HTTP_OPENIM_LUA_ONLINE                                            \
    "local function online(user, own, now)\n"                                 \
    "  local alive, want, list = {[own] = true}, {}, {}\n"                    \
    "  local conns = redis.call('HGETALL', KEYS[1])\n"                        \
    "  for i = 1, #conns, 2 do\n"                                             \
    "    local gw = string.match(conns[i], '^(.*)/') or ''\n"                 \
    "    if alive[gw] == nil then\n"                                          \
    "      local expiry = redis.call('ZSCORE', KEYS[3], gw)\n"                \
    "      alive[gw] = expiry and tonumber(expiry) > now or false\n"          \
    "    end\n"                                                               \
    "    local platform = string.match(conns[i + 1], '^%d+')\n"               \
    "    if not alive[gw] then\n"                                             \
    "      redis.call('HDEL', KEYS[1], conns[i])\n"                           \
    "    elseif platform and not want[platform] then\n"                       \
    "      want[platform] = true\n"                                           \
    "      list[#list + 1] = platform\n"                                      \
    "    end\n"                                                               \
    "  end\n"                                                                 \
    "  table.sort(list, function(a, b)\n"                                     \
    "    return tonumber(a) < tonumber(b)\n"                                  \
    "  end)\n"                                                                \
    "  local seconds = math.floor(now / 1000)\n"                              \
    "  local was = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. seconds,\n"    \
    "                         '+inf')\n"                                      \
    "  local changed = #was ~= #list\n"                                       \
    "  for _, platform in ipairs(was) do\n"                                   \
    "    changed = changed or not want[platform]\n"                           \
    "  end\n"                                                                 \
    "  redis.call('DEL', KEYS[2])\n"                                          \
    "  for _, platform in ipairs(list) do\n"                                  \
    "    redis.call('ZADD', KEYS[2], seconds + 1800, platform)\n"             \
    "  end\n"                                                                 \
    "  if #list > 0 then redis.call('EXPIRE', KEYS[2], 1800) end\n"           \
    "  if changed then\n"                                                     \
    "    list[#list + 1] = user\n"                                            \
    "    redis.call('PUBLISH', 'online_change', table.concat(list, ':'))\n"   \
    "  end\n"                                                                 \
    "end\n"


ngx_str_t  ngx_http_openim_scripts[NGX_HTTP_OPENIM_SCRIPTS] = {

    /* ARGV: token, "1" if the user is an administrator */

    ngx_string(
    NGX_HTTP_OPENIM_LUA_TOKEN
    "return token_code(KEYS[1], KEYS[2], ARGV[1], ARGV[2])\n"),

    /*
     * KEYS[4], KEYS[5]: as for a token.  ARGV: user, gateway, connID, value,
     * now in ms, token or "" when it was checked before, "1" for an
     * administrator
     */

    ngx_string(
    NGX_HTTP_OPENIM_LUA_TOKEN
    NGX_HTTP_OPENIM_LUA_ONLINE
    "if ARGV[6] ~= '' then\n"
    "  local code = token_code(KEYS[4], KEYS[5], ARGV[6], ARGV[7])\n"
    "  if code ~= 0 then return code end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], ARGV[2] .. '/' .. ARGV[3], ARGV[4])\n"
    "redis.call('EXPIRE', KEYS[1], 1800)\n"
    "online(ARGV[1], ARGV[2], tonumber(ARGV[5]))\n"
    "return 0\n"),

    /* ARGV: user, gateway, connID, now in ms */

    ngx_string(
    NGX_HTTP_OPENIM_LUA_ONLINE
    "redis.call('HDEL', KEYS[1], ARGV[2] .. '/' .. ARGV[3])\n"
    "online(ARGV[1], ARGV[2], tonumber(ARGV[4]))\n"
    "return 0\n")
};
