#!/bin/bash
#
# supervise.sh PIDFILE COMMAND...: keeps COMMAND running, starting it again one
# second after it ended. PIDFILE holds the pid of the running COMMAND. SIGTERM
# ends both; should this be killed, COMMAND gets SIGTERM from the kernel.
#
# Started by workers.sh, in the foreground of a background session.

set -u

pidfile=$1
shift
child='' ending=''
trap 'ending=1; [[ ! $child ]] || kill -TERM "$child" 2>/dev/null' TERM INT

while [[ ! $ending ]]; do
    setpriv --pdeathsig TERM "$@" &
    child=$!
    echo $child >"$pidfile"
    wait $child                         # ends at a signal of ours, too
    code=$?
    [[ ! $ending ]] || break
    echo "supervise: $1 ended with $code, next start in 1 s" >&2
    child=''
    sleep 1 &
    wait $!
done
[[ ! $child ]] || wait "$child"
rm -f "$pidfile"
