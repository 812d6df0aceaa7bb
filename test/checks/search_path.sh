#!/bin/bash
# search_path.sh - functions of the extension whose body resolves names when it is called pin search_path.
#
# C functions resolve nothing by themselves, and a BEGIN ATOMIC body was resolved when it was created.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

query="SELECT p.oid::regprocedure || ': language ' || l.lanname || ' without SET search_path'
    FROM $members m
    JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL
      AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c
                      WHERE c ~ '^search_path=(pg_catalog|\"\"|apibase|apibase_internal)(, *(pg_catalog|apibase|apibase_internal))*, *pg_temp$')
    ORDER BY 1"

if [ -z "$self_test" ]; then
    check_clean 'bodies that resolve names pin search_path, pg_temp last' sql "$query"
else
    add='ALTER EXTENSION apibase ADD FUNCTION apibase.doctored()'
    make='CREATE FUNCTION apibase.doctored() RETURNS int LANGUAGE'
    check_finds 'an SQL function that does not' 'apibase.doctored\(\): language sql' \
        sql BEGIN "$make sql AS 'SELECT 1'" "$add" "$query"
    check_finds 'a PL/pgSQL function that does not' 'apibase.doctored\(\): language plpgsql' \
        sql BEGIN "$make plpgsql AS 'BEGIN RETURN 1; END'" "$add" "$query"
    check_finds 'a path without pg_temp at its end' 'apibase.doctored\(\): language sql' \
        sql BEGIN "$make sql SET search_path = pg_catalog AS 'SELECT 1'" "$add" "$query"
    check_finds 'a path with a schema that others can write to' 'apibase.doctored\(\): language sql' \
        sql BEGIN "$make sql SET search_path = public, pg_temp AS 'SELECT 1'" "$add" "$query"
    check_clean 'pinned and atomic bodies pass' \
        sql BEGIN "$make sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1'" "$add" \
        'CREATE FUNCTION apibase.atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END' \
        'ALTER EXTENSION apibase ADD FUNCTION apibase.atomic()' \
        "SELECT * FROM ($query) q(problem) WHERE problem LIKE 'apibase.doctored%' OR problem LIKE 'apibase.atomic%'"
fi
