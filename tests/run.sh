#!/bin/bash
#
# All tests against the instance that `./build.sh up` started: tests/run.sh [SUITE...]
# `./build.sh test [SUITE...]` calls it. A suite is a command that closes with
# "N passed, N failed"; its output is kept in var/log/test-SUITE.log and shown when
# it fails. The last line here adds all of them up.

set -uo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
LOGS=${OPENIM_VAR:-$ROOT/var}/log
cd "$ROOT" || exit 2
env=$(./build.sh env) && eval "$env" || exit 2

# killed parts; `tests/fault/fault.sh` alone adds what takes longer to stage (a paused owner, everything at once)
FAULTS='nothing logic archive nginx-worker nginx-reload kafka redis redis-wiped mariadb mongo postgres started-first changes-logic changes-mariadb changes-frozen'
SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'

# what the database server complained of, and what nginx answered, before is not of this run
slow_log=$(stat -c %s "$LOGS/mariadb-slow.log" 2>/dev/null || echo 0)
access_log=$(stat -c %s "$LOGS/nginx-access.log" 2>/dev/null || echo 0)
CODES_OF='contract routes' # they give every code of tests/routes/codes.txt

#       name       command
SUITES="unit       unit gcc
        clang      clang_build
        sanitize   unit san
        store      make -s -C tests/store check BUILD=$BUILD
        archive    make -s -C tests/archive check BUILD=$BUILD
        module     tests/module/run.sh
        contract   tests/system/contract.sh
        routes     routes
        profile    tests/system/profile.py
        friends    tests/system/friends.py
        messages   tests/system/messages.py
        groups     tests/system/groups.py
        statistics tests/system/statistics.py
        two        tests/system/two.sh
        sdk        sdk
        queries    tests/system/queries.py $LOGS/mariadb-slow.log $slow_log
        codes      codes
        fuzz       make -s -C tests/fuzz run SECONDS=60 BUILD=$ROOT/build-fuzz
        fault      tests/fault/fault.sh $FAULTS"


# Every directory of unit tests, compiled in one way.
unit() {
    local way=$1 dir build=$BUILD passed=0 failed=0 out flags=()
    if [[ $way == san ]]; then
        build=$ROOT/build-unit-san
        flags=("CFLAGS_EXTRA=$SAN" "LDFLAGS_EXTRA=$SAN")
    fi
    make -s -C proto "BUILD=$build" "${flags[@]}" || return 1
    for dir in tests/unit/*/; do
        out=$(make -s -C "$dir" check "BUILD=$build" "${flags[@]}" 2>&1)
        echo "$out"
        [[ $(tail -n 1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] || return 1
        ((passed += BASH_REMATCH[1], failed += BASH_REMATCH[2], 1))
    done
    echo "$passed passed, $failed failed"
}


# Warnings are errors in both compilers; gcc built what runs here.
clang_build() {
    if CC=clang ./build.sh build; then echo '1 passed, 0 failed'; else echo '0 passed, 1 failed'; fi
}


# Every route, from the table of tests/routes and the one of the program.
routes() {
    local list=$LOGS/routes.txt
    "$BUILD/bin/openim-logic" --print-routes >"$list" && tests/routes/routes.py --api "http://$OPENIM_REST_ADDRESS" --routes "$list"
}


# What was answered in this run. Codes that nothing gave are findings only when the suites that give them have run.
codes() {
    local list=$LOGS/routes.txt name missing=()
    for name in $CODES_OF; do [[ " $ran " == *" $name "* ]] || missing=("--missing" "$CODES_OF"); done
    "$BUILD/bin/openim-logic" --print-routes >"$list" &&
        tests/routes/codes.py --log "$LOGS/nginx-access.log" --offset "$access_log" --routes "$list" "${missing[@]}"
}


sdk() {
    OIM_API=http://$OPENIM_REST_ADDRESS OIM_WS=ws://$OPENIM_WS_ADDRESS \
        OIM_SDK_CACHE=$ROOT/var/cache/sdk tests/sdk/run.sh "$@"
}


passed=0 failed=0 unknown='' ran=''
mkdir -p "$LOGS"
for name in "$@"; do
    grep -qE "^ *$name " <<<"$SUITES" || unknown=$name
done
[[ -z $unknown ]] || { echo "no suite $unknown; there are:" $(awk '{print $1}' <<<"$SUITES"); exit 2; }

while read -r name command; do
    [[ $# == 0 || " $* " == *" $name "* ]] || continue
    log=$LOGS/test-$name.log start=$SECONDS
    # shellcheck disable=SC2086
    $command >"$log" 2>&1 </dev/null
    code=$? ran+=" $name"
    line=$(grep -aE '^([^ ]+: )?[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        ((passed += BASH_REMATCH[1], failed += BASH_REMATCH[2], 1))
        ((code == 0 || BASH_REMATCH[2] > 0)) || ((failed += 1))
    else
        line='no closing line' code=1
        ((failed += 1))
    fi
    printf '  %-10s %4d s  %s\n' "$name" $((SECONDS - start)) "$line"
    if ((code != 0)) || [[ $line != *' 0 failed'* ]]; then
        grep -aE '^not ok|error:|ERROR|FAILED' "$log" | head -n 40
        tail -n 15 "$log"
        echo "  see $log"
    fi
done <<<"$SUITES"

echo "$passed passed, $failed failed"
((failed == 0))
