# shellcheck shell=bash
#
# Redis: Debian's server on a port and in a directory of our own, with an
# append-only file that is flushed every second.

redis_external() { ! own OPENIM_REDIS_ADDRESS; }
redis_address() { echo "$OPENIM_REDIS_ADDRESS"; }


redis_ready() {
    [[ $(redis_cli ping 2>/dev/null) == PONG ]]
}


redis_cli() {
    timeout 2 env ${OPENIM_REDIS_PASSWORD:+REDISCLI_AUTH="$OPENIM_REDIS_PASSWORD"} \
        redis-cli -h "${OPENIM_REDIS_ADDRESS%:*}" -p "${OPENIM_REDIS_ADDRESS##*:}" "$@"
}


redis_start() {
    mkdir -p "$DATA/redis"
    spawn redis root redis-server --port "$REDIS_PORT" --bind 127.0.0.1 \
        --dir "$DATA/redis" --appendonly yes --appendfsync everysec --save '' \
        --requirepass "$OPENIM_REDIS_PASSWORD"
}
