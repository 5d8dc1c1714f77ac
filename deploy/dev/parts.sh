# shellcheck shell=bash
#
# The table of all parts and what can be done with any of them.
#
# A part NAME is a file that defines functions NAME_<verb>:
#   start     spawn it (lib.sh), after making its files at the first time
#   ready     true when it can be used
#   address   where it listens
# and, where needed:
#   external  true when the caller named a running one to use instead
#   absent    prints why it cannot be started yet (not built), or nothing
#   stale     true when what it runs has changed since its start
#   pid       prints the process to show, if that is not the one of the pid file
#   prepare   makes what the other parts expect in it; quick when it is there
# Parts of one layer start together; a layer waits for the one before.

#        name      layer  signal to stop, seconds to wait for its end
PARTS=' redis      1      TERM  10
        mariadb    1      TERM  30
        postgres   1      INT   20
        kafka      1      TERM  30
        ferretdb   2      TERM  10
        logic      3      TERM  20
        archive    3      TERM  20
        nginx      4      QUIT  10'


# parts_of LAYER: their names.
parts_of() {
    awk -v layer="$1" '$2 == layer {print $1}' <<<"$PARTS"
}


part_layers() {
    awk '{print $2}' <<<"$PARTS" | sort -u
}


# part_has NAME VERB, part_is NAME VERB: defined; defined and true.
part_has() {
    declare -F "$1_$2" >/dev/null
}


part_is() {
    part_has "$1" "$2" && "$1_$2"
}


part_absent() {
    if part_has "$1" absent; then "$1_absent"; fi
}


part_usable() {
    "$1_ready" || ! pid_of "$1"         # a dead one needs no more waiting
}


# Brings NAME up and prepares it; one that is up and current is left alone.
part_up() {
    local name=$1 log=$LOGS/$1.log start=${EPOCHREALTIME/./} what=started

    if part_is "$name" external; then
        "$name"_ready || { say "$name" "none at $("$name"_address), where OPENIM_* says" >&2; exit 1; }
        what=external
    elif [[ $(part_absent "$name") ]]; then
        say "$name" "skipped: $(part_absent "$name")"
        return
    elif pid_of "$name" >/dev/null && ! part_is "$name" stale && "$name"_ready; then
        what=running
    else
        part_down "$name" >/dev/null
        echo "--- $(date '+%F %T') up" >>"$log"
        if "$name"_ready; then
            echo "A process that is not ours answers at $("$name"_address)." >>"$log"
            fail "$name" "$log"
        fi
        logged "$name" "$log" "$name"_start
        await "${OPENIM_START_TIMEOUT:-60}" part_usable "$name" || true
        if ! "$name"_ready || ! pid_of "$name" >/dev/null; then fail "$name" "$log"; fi
    fi
    if part_has "$name" prepare; then
        logged "$name" "$log" "$name"_prepare
    fi
    say "$name" "$(printf '%-10s %5s s  %s' $what "$(elapsed "$start")" "$("$name"_address)")"
}


# Stops NAME if it is ours. A part that ignores its signal is killed, together
# with what it started: spawn made it the leader of a process group.
part_down() {
    local name=$1 start=${EPOCHREALTIME/./} pid signal seconds how=stopped

    pid=$(pid_of "$name") || { rm -f "$RUN/$name.pid"; return 0; }
    read -r _ _ signal seconds < <(awk -v name="$name" '$1 == name' <<<"$PARTS")
    kill -"$signal" "$pid"
    kill -CONT -- "-$pid"               # a test may have stopped some of it
    await "$seconds" part_gone "$name" || {
        how=killed
        kill -KILL -- "-$pid"
        await 5 part_gone "$name"
    }
    rm -f "$RUN/$name.pid"
    say "$name" "$(printf '%-10s %5s s' $how "$(elapsed "$start")")"
}


part_gone() {
    ! pid_of "$1"
}


# together VERB NAME...: part_VERB of all at once; fails if one of them does.
together() {
    local verb=$1 name job jobs=() code=0
    shift

    for name; do
        "part_$verb" "$name" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || code=1
    done
    return $code
}


parts_up() {
    local layer
    mkdir -p "$RUN" "$LOGS" "$DATA"
    chmod 755 "$VAR" "$RUN" "$LOGS" "$DATA"
    for layer in $(part_layers); do
        # shellcheck disable=SC2046
        together up $(parts_of "$layer")
    done
}


parts_down() {
    local layer
    for layer in $(part_layers | sort -r); do
        # shellcheck disable=SC2046
        together down $(parts_of "$layer")
    done
    yield_cpu_end
}


# MiB of process $1 and all below it; what they share counts once (Pss).
part_memory() {
    ps -eo pid=,ppid= | awk -v root="$1" '
        {kids[$2] = kids[$2] " " $1}
        function walk(pid,  list, n, i, file, line) {
            file = "/proc/" pid "/smaps_rollup"
            while ((getline line <file) > 0)
                if (line ~ /^Pss:/) { split(line, list); kb += list[2] }
            close(file)
            n = split(kids[pid], list)
            for (i = 1; i <= n; i++) walk(list[i])
        }
        END {walk(root); printf "%d", kb / 1024}'
}


parts_status() {
    local name pid state memory
    printf '%-10s %-9s %7s %8s  %s\n' part state pid MiB address
    while read -r name _; do
        pid=- memory=-
        if part_is "$name" external; then
            state=external
        elif pid=$(pid_of "$name"); then
            state=ready memory=$(part_memory "$pid")
            "$name"_ready || state=starting
            ! part_has "$name" pid || pid=$("$name"_pid) || pid=-
        else
            pid=- state=down
            [[ -z $(part_absent "$name") ]] || state=absent
        fi
        printf '%-10s %-9s %7s %8s  %s\n' "$name" $state "$pid" "$memory" "$("$name"_address)"
    done <<<"$PARTS"
}


# Shell commands that set what this instance's programs see.
parts_env() {
    local name
    for name in BUILD VAR OPENIM_OWN $OPENIM_OWN; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
}
