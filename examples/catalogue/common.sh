# common.sh - what run and stop share: where the private cluster lies, who owns it, how to talk to it. Sourced, not run.
# shellcheck shell=bash
#
#   STATE/pgN             the home of a cluster of PostgreSQL N; STATE is build/catalogue unless given. Where the
#                         account postgres cannot reach it (a checkout under /root), a link to a folder in /var/lib
#   STATE/pgN/data        PGDATA. Named so only when initdb has finished
#   STATE/pgN/run         the socket; elsewhere (catalogue.conf says where) where that path is too long for a socket
#   STATE/pgN/server.log  also initdb.log and, with PostgREST, postgrest.conf, postgrest.log and postgrest.pid
#   STATE/password        of the role catalogue, for connections over TCP
#
# The cluster belongs to the account that ran `make run`, or to postgres when that was root: PostgreSQL refuses to run as root.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../../scripts/lib.sh
. "$here/../../scripts/lib.sh"
# shellcheck disable=SC2034  # for who sources this
top=$(cd "$TOP" && pwd -P)
state=

# Neither the caller's language nor the server that the caller works with may have a say.
export LC_ALL=C.UTF-8
for variable in "${!PG@}"; do unset "$variable"; done
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEFILES

# A checksum of the checkout's path, for names of what cannot lie in it.
path_sum() { cksum <<< "$state" | cut -d ' ' -f 1; }

# Only one run or stop at a time; the servers started below must not inherit the lock (they close 9).
take_lock() {
    mkdir -p "$state"
    if [ ! -w "$state" ] || { [ -e "$state/lock" ] && [ ! -w "$state/lock" ]; }; then
        die "$state belongs to $(stat -c %U "$state"): run this as that account or as root"
    fi
    exec 9> "$state/lock"
    flock -n 9 || die "another \`make run\` or \`make stop\` is at work in $state"
}

# as_account UID GID COMMAND...: runs it in /, for that account may not be able to read the current folder.
as_account() {
    local uid=$1 gid=$2
    shift 2
    if [ "$(id -u)" = "$uid" ]; then
        (cd / && exec "$@" 9>&-)
    else
        local groups=--clear-groups
        if getent passwd "$uid" > /dev/null; then groups=--init-groups; fi
        (cd / && exec setpriv --reuid="$uid" --regid="$gid" "$groups" env HOME=/ "$@" 9>&-)
    fi
}

# as_owner COMMAND...: as the account that owns the cluster.
as_owner() { as_account "$owner_uid" "$owner_gid" "$@"; }

# use_cluster LINK: sets home, data, owner_uid and owner_gid for the cluster there.
use_cluster() {
    home=$(readlink -f "$1")
    data=$home/data
    owner_uid=$(stat -c %u "$home")
    owner_gid=$(stat -c %g "$home")
    if [ "$(id -u)" != 0 ] && [ "$(id -u)" != "$owner_uid" ]; then
        die "the cluster in $home belongs to $(stat -c %U "$home"): run this as that account or as root"
    fi
}

# first_line FILE: nothing where there is no such file, which may go at any time.
first_line() { { head -n 1 "$1"; } 2> /dev/null || [ ! -e "$1" ]; }

# The processes of PostgreSQL that work in the data folder: the postmaster, and what outlived it in a crash.
cluster_processes() {
    local dir
    for dir in /proc/[0-9]*; do
        if [ "$(readlink "$dir/cwd" 2> /dev/null)" = "$data" ] && [ "$(cat "$dir/comm" 2> /dev/null)" = postgres ]; then
            echo "${dir#/proc/}"
        fi
    done
}

# The postmaster's process id; nothing where none runs. After a crash of the machine postmaster.pid is stale, and its
# number may be another process's by now: only a process of PostgreSQL that works in the data folder counts.
postmaster_pid() {
    local pid
    pid=$(first_line "$data/postmaster.pid")
    if [ -n "$pid" ] && grep -qx "$pid" <<< "$(cluster_processes)"; then echo "$pid"; fi
}

# conf_value NAME: a setting as catalogue.conf of the cluster has it.
conf_value() {
    sed -n "s/^$1 = '\{0,1\}\([^']*\)'\{0,1\}\$/\1/p" "$data/catalogue.conf"
}

# The process id of the PostgREST that was started for this cluster; nothing where none runs.
postgrest_pid() {
    local pid arguments
    pid=$(first_line "$home/postgrest.pid")
    if [ -n "$pid" ] && arguments=$({ tr '\0' '\n' < "/proc/$pid/cmdline"; } 2> /dev/null); then
        if grep -qxF "$home/postgrest.conf" <<< "$arguments"; then echo "$pid"; fi
    fi
}

stop_postgrest() {
    local pid wait
    pid=$(postgrest_pid)
    if [ -n "$pid" ]; then
        kill "$pid"
        for ((wait = 0; wait < 100; wait++)); do
            [ -n "$(postgrest_pid)" ] || break
            sleep 0.1
        done
        if [ -n "$(postgrest_pid)" ]; then die "PostgREST (process $pid) does not stop"; fi
    fi
    rm -f "$home/postgrest.pid"
}

# stop_server: a clean stop; sessions that are open are ended.
stop_server() {
    local bindir
    bindir=$(cat "$home/bindir")
    as_owner "$bindir/pg_ctl" -D "$data" -m fast -w -t 120 stop > "$state/stop.log" 2>&1 ||
        die "the server does not stop: $(cat "$state/stop.log")"
    rm -f "$state/stop.log"
}
