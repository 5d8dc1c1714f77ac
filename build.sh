#!/bin/bash
#
# The one entry to building and running everything on a Debian 12 machine, as
# root or with sudo. This only dispatches; the parts are in deploy/dev
# (README.md there lists commands, ports and variables), in reading order
# lib.sh, parts.sh, then a file per part.

set -euo pipefail

dev=${BASH_SOURCE[0]%/*}/deploy/dev
for file in lib parts deps compile redis mariadb postgres kafka ferretdb workers nginx; do
    # shellcheck disable=SC1090
    source "$dev/$file.sh"
done


usage() {
    cat <<'END'
usage: ./build.sh COMMAND

  deps [build|run|test]   install what is missing to compile, run (default), test
  build [--nginx-src DIR] compile into build/
  up                      deps, build, then start all that does not run yet
  down                    stop what up started; data stays
  stop|start|restart PART...
                          these parts only, without building
  status                  parts, state, pid, memory, address
  env                     the addresses, for eval in a shell
  demo                    two users talk to each other
  test [ARG...]           run the tests
  bench [ARG...]          run the load generator
  clean [data]            remove build/ (data: stop and remove the data, too)
END
}


# Only one of an instance changes its parts at a time.
lock_parts() {
    mkdir -p "$VAR"
    exec 8>"$VAR/parts.lock"
    flock -n 8 || { echo 'waiting for another build.sh of this instance'; flock 8; }
}


# Only one of a checkout builds or installs at a time.
lock() {
    mkdir -p "$ROOT/var"
    exec 9>"$ROOT/var/lock"
    flock -n 9 || { echo 'waiting for another build.sh'; flock 9; }
    lock_parts
}


up() {
    local start=${EPOCHREALTIME/./}
    deps_install "$1"
    compile
    parts_up
    step answers "$LOGS/answers.log" road_await
    say up "$(printf 'done       %5s s  %s' "$(elapsed "$start")" "$(nginx_address)")"
}


# Replaces this process, with the locks released and the addresses in OPENIM_*.
run() {
    exec 8>&- 9>&-
    exec "$@"
}


command=${1-}
shift || true
case $command in
deps)    lock; deps_install "$@" ;;
build)   lock; deps_install build; compile "$@" ;;
up)      lock; up run ;;
down)    lock_parts; parts_down ;;
stop)    lock_parts; together down "$@" ;;
start)   lock_parts; together up "$@" ;;
restart) lock_parts; together down "$@"; together up "$@" ;;
status)  parts_status ;;
env)     parts_env ;;
demo)    run "$BUILD/bin/openim-demo" "$@" ;;
test)    lock; up test; run "$ROOT/tests/run.sh" "$@" ;;
bench)   run "$ROOT/bench/run.sh" "$@" ;;
clean)
    lock
    compile_clean
    if [[ ${1-} == data ]]; then
        parts_down
        rm -rf "$DATA" "$RUN" "$LOGS"
    fi
    ;;
*)       usage; exit 2 ;;
esac
