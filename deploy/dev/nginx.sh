# shellcheck shell=bash
#
# nginx with our module: config/nginx.conf with this instance's addresses and
# paths. Everything else in that file is used as it is.

NGINX_DIR=$VAR/nginx
NGINX_CONF=$NGINX_DIR/nginx.conf

nginx_address() { echo "ws://$OPENIM_WS_ADDRESS http://$OPENIM_REST_ADDRESS"; }


nginx_absent() {
    [[ -e $BUILD/$MODULE ]] || { echo 'module not built yet'; return; }
    [[ -e $ROOT/config/nginx.conf ]] || echo 'no config/nginx.conf yet'
}


nginx_stale() {
    [[ $BUILD/$MODULE -nt $RUN/nginx.pid || $ROOT/config/nginx.conf -nt $RUN/nginx.pid ]]
}


nginx_ready() {
    port_open "$OPENIM_WS_ADDRESS" && port_open "$OPENIM_REST_ADDRESS"
}


# The nginx that fits the module: Debian's, or the one of a sanitized build.
nginx_program() {
    if [[ -x $BUILD/bin/nginx ]]; then echo "$BUILD/bin/nginx"; else echo /usr/sbin/nginx; fi
}


# Values are replaced where config/nginx.conf names them. The temporary
# directories are ours: nginx would give those of the distribution to its user.
nginx_configure() {
    local edits=(
        -e "s#^( *load_module) +.*$MODULE;#\1 $BUILD/$MODULE;#"
        -e "s#^( *pid) +[^;]*;#\1 $RUN/nginx-master.pid;#"
        -e "s#^( *error_log) +[^ ;]+#\1 $LOGS/nginx-error.log#"
        -e "s#^( *access_log) +/[^ ;]+#\1 $LOGS/nginx-access.log#"
        -e "s#\b(listen +)127.0.0.1:10001\b#\1$OPENIM_WS_ADDRESS#"
        -e "s#\b(listen +)127.0.0.1:10002\b#\1$OPENIM_REST_ADDRESS#"
        -e "s#^( *openim_kafka_brokers) +[^;]*;#\1 $OPENIM_KAFKA_BROKERS;#"
        -e "s#^( *openim_redis_address) +[^;]*;#\1 $OPENIM_REDIS_ADDRESS;#"
        -e "s#^( *openim_secret) +[^;]*;#\1 \"$OPENIM_SECRET\";#"
    )
    local name
    for name in client_body proxy fastcgi uwsgi scgi; do
        edits+=(-e "/^http *\{/a\\    ${name}_temp_path $NGINX_DIR/tmp/$name;")
    done
    sed -E "${edits[@]}" "$ROOT/config/nginx.conf" >"$NGINX_CONF"
}


nginx_start() {
    local program
    program=$(nginx_program)
    own_dir nobody "$NGINX_DIR/tmp"
    nginx_configure
    if [[ ${SANITIZE-} ]]; then         # nginx and each module have ngx_module_names
        export ASAN_OPTIONS="detect_odr_violation=0:${ASAN_OPTIONS-}"
        export LSAN_OPTIONS="suppressions=$ROOT/deploy/dev/lsan.supp:print_suppressions=0"
    fi
    spawn nginx root "$program" -p "$NGINX_DIR" -c "$NGINX_CONF" -g 'daemon off;'
}
