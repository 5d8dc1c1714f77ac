#!/bin/bash
#
# The one entry to building and running everything on a Debian 12 machine, as
# root or with sudo. This only dispatches; the parts are in deploy/dev
# (README.md there lists commands, ports and variables), in reading order
# lib.sh, parts.sh, then a file per part.

set -euo pipefail

dev=${BASH_SOURCE[0]%/*}/deploy/dev
for file in lib parts deps redis mariadb postgres kafka ferretdb; do
    # shellcheck disable=SC1090
    source "$dev/$file.sh"
done


usage() {
    echo "usage: ./build.sh deps | build | up | down | status"
}


# One up, down or build at a time for each state directory.
lock() {
    mkdir -p "$VAR"
    exec 9>"$VAR/lock"
    flock 9
}


command=${1-}
shift || true
case $command in
deps)   lock; deps_install "$@" ;;
up)     lock; deps_install; parts_up ;;
down)   lock; parts_down ;;
status) parts_status ;;
*)      usage; exit 2 ;;
esac
