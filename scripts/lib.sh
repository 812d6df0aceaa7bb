# lib.sh - what the scripts of this folder share. Sourced by them, not run.
# shellcheck shell=bash

# shellcheck disable=SC2034
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A make that calls these scripts must not steer those that they call: PostgreSQL's build asks for its level.
unset MAKEFLAGS MAKELEVEL MFLAGS

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# as_root COMMAND...: runs it as root, through sudo when that is needed. sudo asks for a password only on a terminal.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else
        die "root is needed and there is no sudo; run as root: $(printf '%q ' "$@")"
    fi
}

# The PostgreSQL major of this Debian; elsewhere the newest server that is installed.
machine_major() {
    local release newest
    release=$(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}")
    case $release in
        debian-12) echo 15 ;;
        debian-13) echo 17 ;;
        *)
            newest=$(installed_majors | tail -n 1)
            [ -n "$newest" ] || die "this is neither Debian 12 nor 13, and no PostgreSQL server is installed"
            echo "$newest"
            ;;
    esac
}

# Majors whose server and headers are installed, oldest first.
installed_majors() {
    local bin
    for bin in /usr/lib/postgresql/*/bin/postgres; do
        if [ -x "$bin" ] && [ -e "${bin%/bin/postgres}/lib/pgxs/src/makefiles/pgxs.mk" ]; then
            bin=${bin#/usr/lib/postgresql/}
            echo "${bin%%/*}"
        fi
    done | sort -n
}

# Debian's mirror, as the machine's own apt is configured.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
        sed -n 1p)
    [ -n "$mirror" ] || die "apt has no Debian mirror configured"
    echo "${mirror%/}"
}

# What a caller may set to choose tests; nothing else of the caller's environment reaches them.
# shellcheck disable=SC2034
test_settings=(REGRESS ISOLATION PROVE_TESTS PGTAP_TESTS PYTEST_ARGS CHECKS APIBASE_EXAMPLES APIBASE_SEED APIBASE_STRESS_SECONDS CI)

# in_group COMMAND...: runs it (with set -e) in a process group of its own, without standard input. A script that uses
# it calls stop_group in its EXIT trap, so that nothing outlives an interrupted run. The caller switches set -e off for
# the call and reads $?; in a condition, bash would switch it off for COMMAND as well.
group=
in_group() {
    local status
    set -m
    { set -e; "$@"; } < /dev/null &
    group=$!
    set +m
    wait "$group"
    status=$?
    group=
    return "$status"
}
stop_group() {
    [ -n "$group" ] || return 0
    kill -TERM -- "-$group"
    wait "$group"
}
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
