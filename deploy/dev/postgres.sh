# shellcheck shell=bash
#
# PostgreSQL: where FerretDB keeps its documents, and used by nothing else. Own
# cluster, loopback only, run as user postgres, no passwords.

postgres_external() { ! own OPENIM_MONGO_URI; }
postgres_address() { echo "127.0.0.1:$POSTGRES_PORT"; }


# Under an external MongoDB there is no PostgreSQL of ours, and none is needed.
postgres_ready() {
    postgres_external || postgres_query 'select 1' >/dev/null 2>&1
}


# postgres_query SQL [DATABASE]: bare rows.
postgres_query() {
    PGCONNECT_TIMEOUT=2 psql -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres \
        -d "${2:-postgres}" -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}


postgres_bin() {
    local dirs=(/usr/lib/postgresql/*/bin)
    echo "${dirs[-1]}"
}


postgres_start() {
    local dir=$DATA/postgres bin
    bin=$(postgres_bin)

    own_dir postgres "$dir"
    chmod 700 "$dir"
    if [[ ! -e $dir/PG_VERSION ]]; then
        # shellcheck disable=SC2046
        $(run_as postgres) "$bin/initdb" -D "$dir" -U postgres --auth=trust \
            --encoding=UTF8 --locale=C --no-sync --no-instructions
    fi
    yield_cpu
    # a scan by several processes would take all cores of a small machine
    spawn postgres postgres "$bin/postgres" -D "$dir" -p "$POSTGRES_PORT" -h 127.0.0.1 \
        -c unix_socket_directories= -c max_connections=200 -c shared_buffers=128MB \
        -c wal_level=minimal -c max_wal_senders=0 -c max_parallel_workers_per_gather=0
}


postgres_prepare() {
    postgres_external || [[ $(postgres_query "select 1 from pg_database where datname = 'ferretdb'") ]] ||
        postgres_query 'create database ferretdb'
}
