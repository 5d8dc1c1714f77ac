#!/bin/bash
#
# The same answers when a second openim-logic shares the partitions: caches of one process hear of changes made by the other.
# Needs the instance of `./build.sh up`; closes with "N passed, N failed".

set -uo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
cd "$root" || exit 2
logs=${OPENIM_VAR:-$root/var}/log
log=$logs/logic-two.log
: >"$log"

# partitions that were taken so far, of a log
taken() {
    grep -c 'partition taken' "$1"
}


# waits until a log says it took at least so many
until_taken() {
    for ((i = 0; i < 300; i++)); do
        (($(taken "$1") >= $2)) && return 0
        sleep 0.1
    done
    echo "not ok: $1: fewer than $2 partitions were taken in 30 s"
    return 1
}


"$BUILD/bin/openim-logic" -c config/openim.conf 2>"$log" &
second=$!
trap 'kill $second 2>/dev/null' EXIT
until_taken "$log" 2 || { echo '0 passed, 1 failed'; exit 1; }

passed=0 failed=0
for command in tests/system/{contract.sh,profile.py,friends.py,groups.py}; do
    line=$("$command" | tee /dev/stderr | tail -n 1)
    [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]] || { ((failed += 1)); continue; }
    ((passed += BASH_REMATCH[1], failed += BASH_REMATCH[2], 1))
done
served=$(grep -c 'requests".*handled' "$log")
[[ $served -gt 0 ]] && grep -q 'partition taken.*topic=rpc' "$log" || { echo 'not ok: the second one answered nothing'; ((failed += 1)); }

# the first one takes all of it back before others are tested
mine=$(taken "$log") before=$(taken "$logs/logic.log")
kill $second
wait $second
until_taken "$logs/logic.log" $((before + mine)) || ((failed += 1))
echo "$passed passed, $failed failed"
((failed == 0))
