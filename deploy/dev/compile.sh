# shellcheck shell=bash
#
# Compiles proto/, workers/ and the nginx module into $BUILD.
#
# CC and SANITIZE (address,undefined) change the compiler; a sanitized build has
# a directory of its own and brings a whole nginx built the same way, because a
# sanitizer must be in the program that loads the module.

NGINX_SRC=/usr/share/nginx/src          # of nginx-dev; build --nginx-src DIR
MODULE=ngx_http_openim_module.so

if [[ ${SANITIZE-} ]]; then
    COMPILE_FLAGS="-fsanitize=$SANITIZE -fno-omit-frame-pointer"
    LINK_FLAGS="-fsanitize=$SANITIZE"
else
    COMPILE_FLAGS='' LINK_FLAGS=''
fi


compile() {
    [[ ${1-} != --nginx-src ]] || NGINX_SRC=$(cd "$2" && pwd)
    compile_dir proto
    compile_dir workers
    compile_module_if_any
}


# compile_dir DIR [TARGET]: with DIR's own Makefile.
compile_dir() {
    if [[ -e $ROOT/$1/Makefile ]]; then
        step "$1" "$LOGS/build-$1.log" make --no-print-directory -j2 -C "$ROOT/$1" \
            BUILD="$BUILD" CC="${CC:-gcc}" \
            CFLAGS_EXTRA="$COMPILE_FLAGS" LDFLAGS_EXTRA="$LINK_FLAGS" "${@:2}"
    else
        say "$1" 'skipped: no Makefile yet'
    fi
}


compile_module_if_any() {
    if [[ -e $ROOT/ngx_openim_module/config ]]; then
        step module "$LOGS/build-module.log" compile_module
    else
        say module 'skipped: no ngx_openim_module/config yet'
    fi
}


# nginx's own make rebuilds what changed; it is configured anew only when the
# flags, nginx, the addon's config or its list of files are others.
compile_module() {
    local obj=$BUILD/nginx-obj addon=$ROOT/ngx_openim_module targets=(modules)
    local compile_flags link_flags flags stamp

    compile_flags="-g -O2 -fstack-protector-strong ${COMPILE_FLAGS:--D_FORTIFY_SOURCE=2}"
    link_flags="-Wl,-z,relro,-z,now $LINK_FLAGS"
    if [[ ${SANITIZE-} ]]; then
        targets+=(binary)
        compile_flags+=' -DNGX_DEBUG_PALLOC=1'
    fi

    local NGX_CONF_FLAGS=(--with-compat)
    # shellcheck disable=SC1091
    [[ ! -e $NGINX_SRC/conf_flags ]] || source "$NGINX_SRC/conf_flags"
    flags=("${NGX_CONF_FLAGS[@]}" --with-cc="${CC:-gcc}" --with-cc-opt="$compile_flags"
        --with-ld-opt="$link_flags" --add-dynamic-module="$addon")
    stamp=$(
        declare -p NGINX_SRC flags
        cat "$addon/config"
        cd "$addon" && ls
        grep NGINX_VERSION "$NGINX_SRC/src/core/nginx.h"
    )

    if [[ ! -e $obj/stamp || $(<"$obj/stamp") != "$stamp" ]]; then
        rm -rf "$obj"
        mkdir -p "$obj"
        cp -r "$NGINX_SRC"/{auto,configure,src} "$obj"
        (cd "$obj" && BUILD=$BUILD ./configure "${flags[@]}")
        echo "$stamp" >"$obj/stamp"
    fi
    BUILD=$BUILD make --no-print-directory -j2 -C "$obj" -f objs/Makefile "${targets[@]}"
    install_new "$obj/objs/$MODULE" "$BUILD/$MODULE"
    [[ ! ${SANITIZE-} ]] || install_new "$obj/objs/nginx" "$BUILD/bin/nginx"
}


# Replaces TO by FROM if they differ: running processes keep the old file, and
# an unchanged one keeps its date.
install_new() {
    cmp -s "$1" "$2" || {
        mkdir -p "${2%/*}"
        cp "$1" "$2.new"
        mv "$2.new" "$2"
    }
}


compile_clean() {
    rm -rf "$ROOT/build" "$ROOT"/build-*
}
