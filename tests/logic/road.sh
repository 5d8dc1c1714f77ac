#!/bin/bash
#
# The message road under load while workers are killed, stopped and fenced and Redis
# is wiped: tests/logic/road.sh [SCENARIO...]. Runs workers of its own with topics,
# a MySQL database and a Redis database of its own beside the instance that
# `./build.sh up` started; feed judges. Closing line: "N passed, N failed".

set -uo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
given=${BUILD-}
eval "$(cd "$ROOT" && ./build.sh env)"
BUILD=${given:-$BUILD}
for name in ${!OPENIM_*}; do export "${name?}"; done
export OPENIM_KAFKA_TOPIC_PREFIX=road. OPENIM_MYSQL_DATABASE=openim_road OPENIM_REDIS_DB=9
dir=$(mktemp -d)
export OPENIM_GENERAL_STATE_DIR=$dir
feed=$BUILD/tests/logic/feed
kafka=$OPENIM_KAFKA_BROKERS
passed=0 failed=0
declare -A loops


# A worker and its supervisor.
start() {
    local instance=$1 i
    (
        trap 'kill $!; wait; exit' TERM
        exec 2>/dev/null # killed is what they are to be
        while :; do
            OPENIM_GENERAL_INSTANCE=road-$instance "$BUILD/bin/openim-logic" >>"$dir/$instance.log" 2>&1 &
            echo $! >"$dir/$instance.pid"
            wait $!
            sleep 0.2
        done
    ) &
    loops[$instance]=$!
    for ((i = 0; i < 150; i++)); do
        sleep 0.2
        ! grep -q '"partition taken" lane=msg' "$dir/$instance.log" 2>/dev/null || break
    done
    sleep 2
}


stop() {
    local instance
    for instance in "${!loops[@]}"; do
        kill "${loops[$instance]}"
        wait "${loops[$instance]}" 2>/dev/null
        unset "loops[$instance]"
        rm -f "$dir/$instance.log"
    done
}


send() {
    kill -"$1" "$(<"$dir/$2.pid")"
}


redis() {
    redis-cli -h "${OPENIM_REDIS_ADDRESS%:*}" -p "${OPENIM_REDIS_ADDRESS##*:}" -n "$OPENIM_REDIS_DB" "$@" >/dev/null
}


# A fence, and a record of epoch 1, as a foreign owner would write them.
foreign_fence() { printf '\x08\x01\x10\x01' >"$dir/fence" && kcat -b "$kafka" -P -t road.stored -p 1 "$dir/fence"; }
foreign_void() { printf '\x08\x01\x18\x01' >"$dir/void" && kcat -b "$kafka" -P -t road.stored -p 2 "$dir/void"; }


load() { start a; }
load_meanwhile() { :; }

killed() { start a; }
killed_meanwhile() { for _ in 1 2 3; do sleep 5; send KILL a; done; }

stopped() { start a; start b; }
stopped_meanwhile() { sleep 4; send STOP a; sleep 12; send CONT a; }

fenced() { start a; }
fenced_meanwhile() { sleep 4; foreign_fence; sleep 5; foreign_void; }

wiped() { start a; }
wiped_meanwhile() { sleep 5; redis flushdb; }


scenario() {
    local name=$1 seconds=${2:-20} out
    "$name"
    "${name}_meanwhile" &
    out=$("$feed" -p 40 -r 400 -s "$seconds")
    wait $!
    stop
    grep -E 'answer after|^not ok' <<<"$out" | sed "s/^/$name: /"
    [[ $(tail -n 1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] || { echo "$out"; ((failed++)); return; }
    ((passed += BASH_REMATCH[1], failed += BASH_REMATCH[2], 1))
}


trap 'stop; rm -rf "$dir"' EXIT
[[ -x $feed && -x $BUILD/bin/openim-logic ]] || { echo "not built: $feed"; exit 1; }
"$feed" -T 4 >/dev/null
for name in "${@:-load killed stopped fenced wiped}"; do
    for one in $name; do scenario "$one" $([[ $one != stopped ]] || echo 40); done
done
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
