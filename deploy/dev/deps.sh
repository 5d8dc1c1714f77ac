# shellcheck shell=bash
#
# What the machine must have: Debian packages, Kafka's jars, FerretDB.
#
# build.sh sources this after lib.sh. There are three levels, each with the one
# before: `build` compiles, `run` has the servers, `test` what only tests need.
# Only what is missing is installed, and no service of the distribution is left
# running: all servers here are started by us, on ports of their own (lib.sh).
#
# Next: kafka.sh and ferretdb.sh, which fetch what apt does not have.

DEPS_BUILD=(
    build-essential pkg-config ca-certificates nginx nginx-dev libpcre2-dev
    libmariadb-dev librdkafka-dev libhiredis-dev libmongoc-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
    libjansson-dev libinih-dev uthash-dev libssl-dev zlib1g-dev libcurl4-openssl-dev
)
DEPS_RUN=(redis-server mariadb-server postgresql-15 kcat curl procps)
DEPS_TEST=(libcmocka-dev clang libclang-rt-14-dev chromium python3 valgrind)

NO_START=/usr/sbin/policy-rc.d
#        package:service
SERVICES='nginx:nginx redis-server:redis-server mariadb-server:mariadb postgresql-15:postgresql'


# Packages of "$@" that dpkg does not list as installed.
deps_missing() {
    local have package
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package; do
        grep -qx "$package installed" <<<"$have" || echo "$package"
    done
}


deps_on_path() {
    command -v "$1" >/dev/null
}


# Go 1.21 or newer, the least that FerretDB can be built with.
deps_go_usable() {
    deps_on_path go && [[ $(go env GOVERSION) =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 21))
}


# deps_apt PACKAGE...: installs them without starting a service. While it runs,
# a policy-rc.d forbids starting; one that is there already is left alone.
deps_apt() {
    local conf=/etc/postgresql-common/createcluster.conf pair

    as_root apt-get update -qq
    if [[ ! -e $NO_START ]]; then
        trap 'as_root rm -f "$NO_START"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$NO_START" >/dev/null
        as_root chmod 755 "$NO_START"
    fi
    if [[ " $* " == *' postgresql-15 '* && ! -e $conf ]]; then
        as_root mkdir -p "${conf%/*}"   # no cluster "main" beside our own
        echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends -o Dpkg::Options::=--force-confold "$@"

    [[ -d /run/systemd/system ]] || return 0
    for pair in $SERVICES; do           # nor start them at the next boot
        [[ " $* " != *" ${pair%:*} "* ]] || as_root systemctl disable --quiet "${pair#*:}"
    done
}


deps_install() {
    local wanted=("${DEPS_BUILD[@]}") level=${1:-run} missing

    if [[ $level != build ]]; then
        wanted+=("${DEPS_RUN[@]}")
        deps_on_path java || wanted+=(openjdk-17-jre-headless)
        deps_on_path mvn || wanted+=(maven)
        [[ -x $FERRETDB ]] || deps_go_usable || wanted+=(python3-venv)
    fi
    if [[ $level == test ]]; then
        wanted+=("${DEPS_TEST[@]}")
        deps_on_path node || wanted+=(nodejs)
        deps_on_path npm || wanted+=(npm)
    fi
    mapfile -t missing < <(deps_missing "${wanted[@]}")
    if ((${#missing[@]})); then
        step packages "$LOGS/apt.log" deps_apt "${missing[@]}"
    fi
    if [[ $level != build ]]; then
        [[ -e $CACHE/kafka/$KAFKA_VERSION ]] || step 'kafka jars' "$LOGS/maven.log" kafka_fetch
        [[ -x $FERRETDB ]] || step ferretdb "$LOGS/ferretdb-build.log" ferretdb_fetch
    fi
}
