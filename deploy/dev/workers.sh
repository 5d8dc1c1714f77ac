# shellcheck shell=bash
#
# Our workers, each under supervise.sh. Their addresses come from the OPENIM_*
# variables of lib.sh, which go before config/openim.conf.

worker_start() {
    local program=openim-$1
    spawn "$1" root "$ROOT/deploy/dev/supervise.sh" "$RUN/$program.pid" \
        "$BUILD/bin/$program" -c "$ROOT/config/openim.conf"
}


# The worker that the supervisor runs at the moment, if it does.
worker_pid() {
    local pid supervisor
    supervisor=$(pid_of "$1") && { read -r pid <"$RUN/openim-$1.pid"; } 2>/dev/null &&
        [[ $(ps -o ppid= -p "$pid") -eq $supervisor ]] && echo "$pid"
}


worker_absent() {
    [[ -x $BUILD/bin/openim-$1 ]] || echo 'not built yet'
}


worker_stale() {
    [[ $BUILD/bin/openim-$1 -nt $RUN/$1.pid || $ROOT/config/openim.conf -nt $RUN/$1.pid ]]
}


logic_start() { worker_start logic; }
logic_ready() { worker_pid logic >/dev/null; }
logic_pid() { worker_pid logic; }
logic_absent() { worker_absent logic; }
logic_stale() { worker_stale logic; }
logic_address() { echo -; }

archive_start() { yield_cpu; worker_start archive; }
archive_ready() { worker_pid archive >/dev/null; }
archive_pid() { worker_pid archive; }
archive_absent() { worker_absent archive; }
archive_stale() { worker_stale archive; }
archive_address() { echo -; }


# Waits until a request goes the whole road: nginx, Kafka, logic, Redis and back.
road_await() {
    [[ ! $(logic_absent) && ! $(nginx_absent) ]] || { echo 'not all is built'; return 0; }
    await 60 road_answers || {
        echo "/auth/get_admin_token gives no token; see logic.log and nginx-error.log in $LOGS:"
        road_request
        echo
        return 1
    }
}


road_answers() {
    [[ $(road_request) == *'"errCode":0,'* ]]
}


road_request() {
    curl -sS -m 5 -H 'operationID: up' "http://$OPENIM_REST_ADDRESS/auth/get_admin_token" \
        -d "{\"secret\": \"$OPENIM_SECRET\", \"userID\": \"imAdmin\"}"
}
