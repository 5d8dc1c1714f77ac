# shellcheck shell=bash
#
# What the machine must have: Debian packages, Kafka's jars, FerretDB.
#
# build.sh sources this after lib.sh. `deps_install` is what `up` and `build`
# need, `deps_install test` adds what only the tests need. Only what is missing
# is installed, and no service of the distribution is left running: all servers
# here are started by us, on ports of their own (lib.sh).
#
# Next: kafka.sh and ferretdb.sh, which fetch what apt does not have.

DEPS_BASE=(
    build-essential pkg-config curl ca-certificates procps
    nginx nginx-dev redis-server mariadb-server postgresql-15 kcat
    libmariadb-dev librdkafka-dev libhiredis-dev libmongoc-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
    libjansson-dev libinih-dev libssl-dev zlib1g-dev libcurl4-openssl-dev
    libpcre2-dev
)
DEPS_TEST=(libcmocka-dev clang libclang-rt-14-dev chromium python3 valgrind)


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
    local guard=/usr/sbin/policy-rc.d conf=/etc/postgresql-common/createcluster.conf
    local ours='' service
    local services=(nginx redis-server mariadb postgresql)

    as_root apt-get update -qq
    if [[ ! -e $guard ]]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
        as_root chmod 755 "$guard"
        # shellcheck disable=SC2064
        trap "as_root rm -f $guard" EXIT
    fi
    if [[ ! -e $conf ]]; then           # no cluster "main" beside our own
        as_root mkdir -p "${conf%/*}"
        echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
    if [[ $ours ]]; then
        as_root rm -f "$guard"
        trap - EXIT
    fi
    for service in "${services[@]}"; do # nor at the next boot
        if [[ -d /run/systemd/system && " $* " == *" ${service/%mariadb/mariadb-server} "* ]]; then
            as_root systemctl disable --quiet "$service" || true
        fi
    done
}


deps_install() {
    local wanted=("${DEPS_BASE[@]}") missing

    deps_on_path java || wanted+=(openjdk-17-jre-headless)
    deps_on_path mvn || wanted+=(maven)
    deps_go_usable || [[ -x $CACHE/ferretdb/ferretdb ]] || wanted+=(python3-venv)
    if [[ ${1-} == test ]]; then
        wanted+=("${DEPS_TEST[@]}")
        deps_on_path node || wanted+=(nodejs)
        deps_on_path npm || wanted+=(npm)
    fi
    mapfile -t missing < <(deps_missing "${wanted[@]}")
    if ((${#missing[@]})); then
        step "packages" "$LOGS/apt.log" deps_apt "${missing[@]}"
    fi
    [[ -e $CACHE/kafka/$KAFKA_VERSION ]] || step "kafka jars" "$LOGS/maven.log" kafka_fetch
    [[ -x $CACHE/ferretdb/ferretdb ]] || step "ferretdb" "$LOGS/ferretdb-build.log" ferretdb_fetch
}
