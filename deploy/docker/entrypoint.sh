#!/bin/sh
#
# Gives nginx the addresses and the secret that the workers read from OPENIM_*
# by themselves, then becomes the command of the container.

set -eu

if [ "$1" = nginx ]; then
    sed -E \
        -e 's#^( *load_module) .*#\1 modules/ngx_http_openim_module.so;#' \
        -e 's#\b(listen +)127\.0\.0\.1:#\1#' \
        -e 's#^( *pid) .*#\1 /run/nginx.pid;#' \
        -e 's#^( *error_log) [^ ;]+#\1 /dev/stderr#' \
        -e 's#^( *access_log) /[^ ;]+#\1 /dev/stdout#' \
        -e "s#^( *openim_kafka_brokers) .*#\\1 $OPENIM_KAFKA_BROKERS;#" \
        -e "s#^( *openim_redis_address) .*#\\1 $OPENIM_REDIS_ADDRESS;#" \
        -e "s#^( *openim_secret) .*#\\1 \"$OPENIM_SECRET\";#" \
        /etc/openim/nginx.conf >/etc/nginx/nginx.conf
fi
exec "$@"
