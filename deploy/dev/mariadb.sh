# shellcheck shell=bash
#
# MariaDB in place of MySQL 8: own data directory, loopback only, run as user
# mysql. The server makes the database and the account by itself at each start.

mariadb_external() { ! own OPENIM_MYSQL_ADDRESS; }
mariadb_address() { echo "$OPENIM_MYSQL_ADDRESS"; }


mariadb_ready() {
    mariadb_client -e 'select 1' >/dev/null 2>&1
}


mariadb_client() {
    MYSQL_PWD=$OPENIM_MYSQL_PASSWORD mariadb --no-defaults --connect-timeout=2 \
        -h "${OPENIM_MYSQL_ADDRESS%:*}" -P "${OPENIM_MYSQL_ADDRESS##*:}" \
        -u "$OPENIM_MYSQL_USER" -D "$OPENIM_MYSQL_DATABASE" "$@"
}


# Who may use openim may also use openim_*, for the tests.
mariadb_accounts() {
    local name=$OPENIM_MYSQL_DATABASE account="'$OPENIM_MYSQL_USER'@'127.0.0.1'"
    cat <<END
create database if not exists \`$name\` character set utf8mb4;
create user if not exists $account identified by '$OPENIM_MYSQL_PASSWORD';
grant all on \`$name\`.* to $account;
grant all on \`$name\\_%\`.* to $account;
END
}


mariadb_start() {
    local dir=$DATA/mariadb
    local options=(
        --no-defaults --datadir="$dir"
        --bind-address=127.0.0.1 --port="$MARIADB_PORT" --skip-name-resolve
        --socket=mariadb.sock           # within datadir
        --pid-file="$dir/mariadb.pid" --init-file="$dir/accounts.sql"
        --character-set-server=utf8mb4 --max-connections=500
        --innodb-buffer-pool-size=256M --innodb-flush-log-at-trx-commit=1
        --slow-query-log=1 --long-query-time=0.2
        --slow-query-log-file="$LOGS/mariadb-slow.log"
        --log-queries-not-using-indexes=1 --min-examined-row-limit=1000 --log-slow-verbosity=query_plan
    )

    own_dir mysql "$dir"
    touch "$LOGS/mariadb-slow.log"
    ((EUID)) || chown mysql: "$LOGS/mariadb-slow.log"
    if [[ ! -d $dir/mysql ]]; then
        # shellcheck disable=SC2046
        $(run_as mysql) mariadb-install-db --no-defaults --datadir="$dir" \
            --auth-root-authentication-method=normal --skip-test-db
    fi
    mariadb_accounts >"$dir/accounts.sql"
    spawn mariadb mysql mariadbd "${options[@]}"
}
