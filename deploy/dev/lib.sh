# shellcheck shell=bash disable=SC2034
#
# What all parts share: paths, ports and addresses, timed steps, and processes
# that are started in the background, waited for and stopped.
#
# build.sh sources this first. Nothing here knows a single server: those are in
# the file of each part; the table of all of them is in parts.sh (read next).

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
VAR=${OPENIM_VAR:-$ROOT/var}
[[ $VAR == /* ]] || VAR=$PWD/$VAR
RUN=$VAR/run LOGS=$VAR/log DATA=$VAR/data
CACHE=$ROOT/var/cache                   # shared by all instances of a checkout
BUILD=$ROOT/build${CC:+-${CC##*/}}${SANITIZE:+-san}
CPU_GROUPS=(/sys/fs/cgroup/cpu /sys/fs/cgroup)   # version 1, version 2
CPU_GROUP=openim-history-${OPENIM_PORT_OFFSET:-0}
FAIL_LINES=30                           # of a log, shown when a step fails

# A build.sh that was called by ours must not take our servers for the caller's.
for variable in ${OPENIM_OWN-}; do
    unset "$variable"
done
unset variable
export OPENIM_OWN=''


# setting NAME VALUE: exports NAME as VALUE unless the caller has set it.
setting() {
    [[ -z ${!1-} ]] || return 0
    export "$1=$2"
    OPENIM_OWN+=" $1"
}


# own NAME: whether the address NAME is one that we gave, not the caller.
own() {
    [[ "$OPENIM_OWN " == *" $1 "* ]]
}


port() {
    echo $(($1 + ${OPENIM_PORT_OFFSET:-0}))
}


KAFKA_PORT=$(port 19092) KAFKA_CONTROLLER_PORT=$(port 19093)
REDIS_PORT=$(port 16379) MARIADB_PORT=$(port 13306)
POSTGRES_PORT=$(port 15432) FERRETDB_PORT=$(port 17017)
WS_PORT=$(port 10001) REST_PORT=$(port 10002)

setting OPENIM_KAFKA_BROKERS "127.0.0.1:$KAFKA_PORT"
setting OPENIM_REDIS_ADDRESS "127.0.0.1:$REDIS_PORT"
setting OPENIM_MYSQL_ADDRESS "127.0.0.1:$MARIADB_PORT"
setting OPENIM_MYSQL_USER openim
setting OPENIM_MYSQL_PASSWORD openim
setting OPENIM_MYSQL_DATABASE openim
setting OPENIM_MYSQL_SCHEMA_DIR "$ROOT/config/mysql"
setting OPENIM_MONGO_URI "mongodb://127.0.0.1:$FERRETDB_PORT"
setting OPENIM_WS_ADDRESS "127.0.0.1:$WS_PORT"
setting OPENIM_REST_ADDRESS "127.0.0.1:$REST_PORT"
setting OPENIM_PROFILE development
setting OPENIM_SECRET openIM123
setting OPENIM_GENERAL_STATE_DIR "$VAR/state"
export OPENIM_REDIS_PASSWORD=${OPENIM_REDIS_PASSWORD-}


# Seconds since the microsecond clock value $1, with one digit.
elapsed() {
    local us=$((${EPOCHREALTIME/./} - $1))
    printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}


say() {
    printf '  %-10s %s\n' "$@"
}


# fail NAME LOG: says which log to read, shows the end of what this run wrote to
# it, and gives up.
fail() {
    {
        say "$1" "FAILED, see $2"
        tac "$2" | sed '/^--- /q' | head -n $FAIL_LINES | tac | sed 's/^/    | /'
    } >&2
    exit 1
}


# logged NAME LOG COMMAND...: runs it with its output added to LOG; if it fails,
# so do we. The background job keeps errexit in force inside COMMAND: neither may
# this be called where bash ignores it (if, &&, ||).
logged() {
    local name=$1 log=$2 code=0
    shift 2

    ("$@") >>"$log" 2>&1 &
    wait $! || code=$?
    ((code == 0)) || fail "$name" "$log"
}


# step NAME LOG COMMAND...: runs it with its output in LOG and prints the time.
step() {
    local name=$1 log=$2 start=${EPOCHREALTIME/./}
    shift 2

    mkdir -p "${log%/*}"
    : >"$log"
    printf '  %-10s ' "$name"
    logged "$name" "$log" "$@"
    printf 'done       %5s s\n' "$(elapsed "$start")"
}


as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}


# Prints the prefix of a command that is to run as USER: MariaDB and PostgreSQL
# do not want root. Who is not root runs everything as themselves.
run_as() {
    ((EUID)) || [[ $1 == root ]] ||
        echo "setpriv --reuid=$1 --regid=$1 --init-groups --inh-caps=-all"
}


# own_dir USER DIR...: makes them USER's and opens the way there, if need be.
own_dir() {
    local user=$1 dir
    shift

    mkdir -p "$@"
    ((EUID == 0)) || return 0
    chown "$user:" "$@"
    for dir; do
        while dir=${dir%/*}; [[ $dir ]]; do
            [[ $(stat -c %A "$dir") == *[xt] ]] || {
                echo "chmod o+x $dir, for user $user"
                chmod o+x "$dir"
            }
        done
    done
}


# Clock tick of the start of process $1; nothing when it is gone or a zombie.
start_tick() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [[ $1 == Z ]] || echo "${20}"
}


# Writes "pid, start tick" of process $2 as the pid file of $1.
pid_write() {
    printf '%s\n%s\n' "$2" "$(start_tick "$2")" >"$RUN/$1.pid.new"
    mv "$RUN/$1.pid.new" "$RUN/$1.pid"
}


# Prints the pid of $1 if that very process still runs, or fails. The start tick
# tells it from a stranger to whom the system gave the same number later.
pid_of() {
    local pid tick
    { read -r pid && read -r tick; } 2>/dev/null <"$RUN/$1.pid" || return 1
    [[ $tick && $(start_tick "$pid") == "$tick" ]] && echo "$pid"
}


# spawn NAME USER COMMAND...: starts it in the background, in a session of its
# own (no Ctrl-C), output to its log, without the locks of build.sh (8, 9).
spawn() {
    local name=$1 user=$2
    shift 2

    # shellcheck disable=SC2046
    setsid $(run_as "$user") "$@" </dev/null >>"$LOGS/$name.log" 2>&1 8>&- 9>&- &
    pid_write "$name" $!
    disown $!
}


# yield_cpu: the calling shell, and so what it spawns, takes a tenth of another
# part's share while processors are short (OPENIM_HISTORY_SHARE: percent), and
# all it wants otherwise. For the writers of history: a batch of theirs would
# hold up messages for tens of milliseconds. This needs a control group: each
# part is a session, and Linux shares between sessions first (autogroup), so
# nice would change nothing. Where no group can be made, all stay equal.
yield_cpu() {
    local root group percent=${OPENIM_HISTORY_SHARE:-10}
    for root in "${CPU_GROUPS[@]}"; do
        group=$root/$CPU_GROUP
        [[ -w $root/cgroup.procs ]] || continue
        mkdir -p "$group" || continue
        if [[ -e $group/cpu.shares ]]; then
            echo $((1024 * percent / 100)) >"$group/cpu.shares" || continue
        elif [[ -e $group/cpu.weight ]]; then
            echo "$percent" >"$group/cpu.weight" || continue
        else
            continue
        fi
        echo "$BASHPID" >"$group/cgroup.procs" || continue
        return 0
    done
    echo "no control group: history gets as much of the processor as messages"
}


# The group goes with the last one in it.
yield_cpu_end() {
    local root
    for root in "${CPU_GROUPS[@]}"; do
        [[ ! -d $root/$CPU_GROUP ]] || rmdir "$root/$CPU_GROUP" 2>/dev/null || true
    done
}


# await SECONDS COMMAND...: until it succeeds, or fails when time is up.
await() {
    local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift

    until "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/./} < until)) || return 1
        sleep 0.05
    done
}


# port_open ADDRESS: whether somebody accepts there.
port_open() {
    (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null
}
