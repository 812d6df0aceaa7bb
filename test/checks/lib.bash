# lib.bash - what the checks share. Sourced by each.
#
# A check prints a line for every problem it finds, by a function of its own; check_clean makes a test of that, and
# check_finds, in the self-test, makes one of the opposite: shown something wrong, the function has to print it.
# shellcheck shell=bash

# shellcheck disable=SC2034
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
self_test=
if [ "${1:-}" = --self-test ]; then self_test=1; fi

# A directory for doctored copies, gone afterwards.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check_clean NAME COMMAND...: passes when the command ends well and prints nothing.
check_clean() {
    local name=$1 output status
    shift
    output=$("$@" 2>&1)
    status=$?
    if [ "$status" = 0 ] && [ -z "$output" ]; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        printf '%s\n' "$output" | head -n 50
        [ "$status" = 0 ] || echo "(ended with $status)"
    fi
}

# check_finds NAME PATTERN COMMAND...: passes when the command prints a line that matches.
check_finds() {
    local name=$1 pattern=$2 output
    shift 2
    output=$("$@" 2>&1)
    if grep -qE -e "$pattern" <<< "$output"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        echo "expected a line that matches: $pattern"
        printf '%s\n' "$output" | head -n 20
    fi
}

# sql STATEMENT...: their results, one row a line, columns separated by a tab.
sql() {
    local arguments=() statement
    for statement in "$@"; do arguments+=(-c "$statement"); done
    psql -XAtq -F $'\t' -v ON_ERROR_STOP=1 "${arguments[@]}"
}

# The members of the extension, as a table expression with columns classid, objid. PostgreSQL 18 counts the array and row types
# that come with a type or relation as members, earlier ones do not; they are left out.
# shellcheck disable=SC2034
members="(SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e' AND e.extname = 'apibase'
      AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
               AND (EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typarray = d.objid)
                    OR EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
                               WHERE t.oid = d.objid AND c.relkind <> 'c'))))"
