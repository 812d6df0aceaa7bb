#!/bin/bash
# public_privileges.sh - what PUBLIC can do with objects of the extension is what public_privileges.list says, no more and
# no less. A new function is executable by everybody unless its privileges are revoked; here that has to be said.
#
#   public_privileges.sh --list     print the list as it should be, if all is as it should be
set -uo pipefail
. "$(dirname "$0")/lib.bash"
list=$(dirname "$0")/public_privileges.list

query="WITH members AS $members, acls AS (
        SELECT m.classid, m.objid, 0 AS subid, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
        FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        UNION ALL
        SELECT m.classid, m.objid, 0, c.relacl
        FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        UNION ALL
        SELECT m.classid, m.objid, a.attnum, a.attacl
        FROM members m JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
        UNION ALL
        SELECT m.classid, m.objid, 0, coalesce(t.typacl, acldefault('T', t.typowner))
        FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
        UNION ALL
        SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspacl FROM pg_namespace n WHERE n.nspname LIKE 'apibase%')
    SELECT x.privilege_type || CASE WHEN x.is_grantable THEN ' grantable' ELSE '' END || ' on '
           || pg_describe_object(a.classid, a.objid, a.subid)
    FROM acls a, LATERAL aclexplode(a.acl) x
    WHERE x.grantee = 0
    ORDER BY pg_describe_object(a.classid, a.objid, a.subid) COLLATE \"C\", 1"

# names as they are whatever search_path is
path='SET search_path = pg_catalog'

problems() {
    diff <(grep -vE '^(#|$)' "$list" | sort) <(sql "$path" "$@" "$query" | sort) |
        sed -n 's/^</no longer so:/p; s/^>/not in the list:/p'
}

if [ "${1:-}" = --list ]; then
    sql "$path" "$query"
elif [ -z "$self_test" ]; then
    check_clean 'PUBLIC has what the list says' problems
else
    check_finds 'a new function' 'not in the list: EXECUTE on function apibase.doctored\(\)' \
        problems BEGIN "CREATE FUNCTION apibase.doctored() RETURNS int LANGUAGE sql AS 'SELECT 1'" \
        'ALTER EXTENSION apibase ADD FUNCTION apibase.doctored()'
    check_finds 'a schema that is opened' 'not in the list: USAGE on schema apibase_internal' \
        problems BEGIN 'GRANT USAGE ON SCHEMA apibase_internal TO PUBLIC'
    check_finds 'a column that is opened' 'not in the list: UPDATE on column sqlstate of view apibase.errors' \
        problems BEGIN 'GRANT UPDATE (sqlstate) ON apibase.errors TO PUBLIC'
    check_finds 'a privilege that is gone' 'no longer so: EXECUTE on function apibase.version\(\)' \
        problems BEGIN 'REVOKE ALL ON FUNCTION apibase.version() FROM PUBLIC'
fi
