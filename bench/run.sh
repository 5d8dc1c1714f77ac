#!/bin/bash
#
# Runs scenarios of openim-bench against what `./build.sh up` started and prints
# one Markdown table, then the group, which has figures of its own.
# Usage: bench/run.sh [SCENARIO...]; without arguments all.
# Status 3: something was lost, came twice or out of order in one of them.

set -uo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
[[ ${BUILD-} && ${OPENIM_WS_ADDRESS-} && ${OPENIM_MYSQL_ADDRESS-} ]] || eval "$("$root/build.sh" env)"
bench=$BUILD/bin/openim-bench

declare -A scenarios=(
    [rate500]='--conns 100 --rate 500 --warmup 10 --duration 20'
    [rate2000]='--conns 200 --rate 2000 --warmup 10 --duration 20'
    [sustained60]='--conns 200 --rate 2000 --warmup 10 --duration 60'
    [closed]='--conns 50 --closed --warmup 10 --duration 20'
    [idle10000]='--idle 10000 --duration 30'
)
all=(rate500 rate2000 sustained60 closed idle10000 group)
group='--members 10000 --online 1000 --rate 20 --warmup 5 --duration 20'


usage() {
    echo "usage: bench/run.sh [SCENARIO...]"
    echo "scenarios:"
    for name in "${all[@]:0:5}"; do printf '  %-12s openim-bench %s\n' "$name" "${scenarios[$name]}"; done
    printf '  %-12s openim-bench-group %s\n' group "$group"
}


machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
    echo "$(nproc) cores (${model:-unknown}), $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
        "Linux $(uname -r), $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo 'no git');" \
        "clients, servers and stores on this machine"
}


status=0
for name in "$@"; do
    [[ ${scenarios[$name]-} || $name == group ]] || { usage; exit 2; }
done
[[ -x $bench ]] || { echo "$bench is not there: ./build.sh build" >&2; exit 1; }
ulimit -n "$(ulimit -Hn)" 2>/dev/null

seen() {
    local code=$1
    [[ $code == 0 || $status == 3 ]] || status=$code
}


machine
echo
[[ $* == group ]] || "$bench" --heads
for name in "${@:-${all[@]}}"; do
    [[ $name != group ]] || continue
    # shellcheck disable=SC2086
    "$bench" ${scenarios[$name]} --row "$name"
    seen $?
    sleep 2
done
for name in "${@:-${all[@]}}"; do
    [[ $name == group ]] || continue
    echo
    # shellcheck disable=SC2086
    "$bench-group" $group
    seen $?
done
exit $status
