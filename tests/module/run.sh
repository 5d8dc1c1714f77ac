#!/bin/bash
#
# module.py against an nginx and workers that are built with sanitizers, in an instance of its own, twice: the second time
# after a reload. A sanitizer's report in any log fails, too, and so does a leak that is reported at the end.

set -uo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
export SANITIZE=address,undefined OPENIM_VAR=${OPENIM_MODULE_VAR:-$root/var/module} OPENIM_PORT_OFFSET=${OPENIM_MODULE_OFFSET:-500}

env=$("$root/build.sh" env) && eval "$env" || exit 1
"$root/build.sh" up || exit 1
trap '"$root/build.sh" down >/dev/null' EXIT
rm -f "$OPENIM_VAR"/log/{nginx,logic,archive}*.log
"$root/build.sh" restart nginx logic archive || exit 1

total=0 bad=0
count() {
    local out=$1
    grep -v '^[0-9]* passed' <<<"$out"
    [[ $(tail -n 1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] || { bad=$((bad + 1)); return; }
    total=$((total + BASH_REMATCH[1])) bad=$((bad + BASH_REMATCH[2]))
}

count "$(python3 "$root/tests/module/module.py" "$@" 2>&1)"
kill -HUP "$(head -n 1 "$OPENIM_VAR/run/nginx.pid")"
count "$(python3 "$root/tests/module/module.py" "$@" 2>&1)"

"$root/build.sh" down >/dev/null
trap - EXIT
if reports=$(grep -alE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$OPENIM_VAR"/log/*.log); then
    echo "not ok sanitizers: see $reports"
    grep -ahE -A 12 'ERROR: (Address|Leak)Sanitizer|runtime error:' $reports | head -n 60
    bad=$((bad + 1))
else
    echo 'ok no report of a sanitizer'
    total=$((total + 1))
fi
if grep -ah 'exited on signal' "$OPENIM_VAR"/log/nginx*.log; then
    echo 'not ok a process of nginx ended by a signal'
    bad=$((bad + 1))
else
    echo 'ok no process of nginx ended by a signal'
    total=$((total + 1))
fi
echo "$total passed, $bad failed"
((bad == 0))
