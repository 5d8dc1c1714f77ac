# shellcheck shell=bash
#
# Compiles proto/, workers/, bench/ and the nginx module into $BUILD.
#
# CC and SANITIZE (address,undefined) change the compiler; a sanitized build has
# a directory of its own and brings a whole nginx built the same way, because a
# sanitizer must be in the program that loads the module. nginx-dev has no more
# than headers, so that nginx is built from Debian's source package.

NGINX_SRC=/usr/share/nginx/src          # of nginx-dev; build --nginx-src DIR
NGINX_FLAGS=$NGINX_SRC/conf_flags       # how Debian configures it
MODULE=ngx_http_openim_module.so

if [[ ${SANITIZE-} ]]; then
    COMPILE_FLAGS="-fsanitize=$SANITIZE -fno-omit-frame-pointer"
    LINK_FLAGS="-fsanitize=$SANITIZE"
else
    COMPILE_FLAGS='' LINK_FLAGS=''
fi


compile() {
    if [[ ${1-} == --nginx-src ]]; then
        NGINX_SRC=$(cd "$2" && pwd)
        NGINX_FLAGS=$NGINX_SRC/conf_flags
    fi
    if [[ ${SANITIZE-} ]]; then
        NGINX_SRC=$CACHE/nginx
        [[ -e $NGINX_SRC/configure ]] || step nginx "$LOGS/nginx-source.log" nginx_source_fetch
    fi
    compile_dir proto
    compile_dir workers
    compile_dir bench
    compile_module_if_any
}


# compile_dir DIR [TARGET]: with DIR's own Makefile.
compile_dir() {
    if [[ -e $ROOT/$1/Makefile ]]; then
        step "$1" "$LOGS/build-$1.log" make -s -j2 -C "$ROOT/$1" \
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


# The original source of Debian's nginx. apt's own lists and sources stay as they
# are: the same sources are read here as deb-src.
nginx_source_fetch() {
    local work=$CACHE/nginx.apt file
    local options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources"
        -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User=root)

    rm -rf "$work"
    mkdir -p "$work/sources" "$work/lists/partial" "$NGINX_SRC"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
        [[ ! -e $file ]] ||
            sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"$work/sources/${file##*/}"
    done
    [[ ! -e $work/sources/sources.list ]] || mv "$work/sources/sources.list" "$work/sources/main.list"
    cd "$work" || return
    apt-get "${options[@]}" update
    apt-get "${options[@]}" source --download-only --tar-only nginx
    tar -xzf nginx_*.orig.tar.gz --strip-components=1 -C "$NGINX_SRC"
    rm -rf "$work"
}


# nginx's own make rebuilds what changed; it is configured anew only when the
# flags, nginx, the addon's config or its list of files are others.
compile_module() {
    local obj=$BUILD/nginx-obj addon=$ROOT/ngx_openim_module stamp flags
    local compile_flags="-g -O2 -fstack-protector-strong" NGX_CONF_FLAGS=(--with-compat)

    # nginx itself is not clean for the undefined behaviour sanitizer
    if [[ ${SANITIZE-} ]]; then
        compile_flags+=" ${COMPILE_FLAGS//,undefined/} -DNGX_DEBUG_PALLOC=1"
    else
        compile_flags+=' -D_FORTIFY_SOURCE=2'
    fi
    # shellcheck disable=SC1090
    [[ ! -e $NGINX_FLAGS ]] || source "$NGINX_FLAGS"
    flags=("${NGX_CONF_FLAGS[@]}" --with-cc="${CC:-gcc}" --with-cc-opt="$compile_flags"
        --with-ld-opt="-Wl,-z,relro,-z,now $LINK_FLAGS" --add-dynamic-module="$addon")
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
    if [[ ${SANITIZE-} ]]; then
        nginx_make "$obj" binary
        install_new "$obj/objs/nginx" "$BUILD/bin/nginx"
    fi
    nginx_make "$obj" modules
    install_new "$obj/objs/$MODULE" "$BUILD/$MODULE"
}


# nginx_make OBJ binary|modules: the latter with all of COMPILE_FLAGS.
nginx_make() {
    local cflags
    cflags=$(sed -n 's/^CFLAGS = *//p' "$1/objs/Makefile")
    [[ $2 == binary ]] || cflags+=" $COMPILE_FLAGS"
    BUILD=$BUILD make -s -j2 -C "$1" -f objs/Makefile CFLAGS="$cflags" "$2"
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
