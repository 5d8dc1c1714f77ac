#!/bin/bash
#
# Starts an instance of its own beside the running one, breaks it in every way
# that fault.py knows, and stops it: tests/fault/fault.sh [FAULT...]

set -euo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
export OPENIM_VAR=${OPENIM_FAULT_VAR:-$root/var/fault} OPENIM_PORT_OFFSET=${OPENIM_FAULT_OFFSET:-700}

env=$("$root/build.sh" env)
eval "$env"
"$root/build.sh" up >"$root/var/fault-up.log" 2>&1 || { cat "$root/var/fault-up.log"; exit 1; }
trap '"$root/build.sh" down >/dev/null' EXIT
python3 "$root/tests/fault/fault.py" "$@"
