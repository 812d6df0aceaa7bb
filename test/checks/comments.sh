#!/bin/bash
# comments.sh - every SQL object of the extension has a comment, columns of its relations included (not those of sequences, which
# have the same columns).
set -uo pipefail
. "$(dirname "$0")/lib.bash"

query="SELECT pg_catalog.pg_describe_object(m.classid, m.objid, 0) || ' has no comment'
    FROM $members m
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_description c
                      WHERE c.classoid = m.classid AND c.objoid = m.objid AND c.objsubid = 0 AND btrim(c.description) <> '')
    UNION ALL
    SELECT pg_catalog.pg_describe_object(m.classid, m.objid, a.attnum) || ' has no comment'
    FROM $members m JOIN pg_catalog.pg_attribute a ON a.attrelid = m.objid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_class r ON r.oid = m.objid AND r.relkind <> 'S'
    WHERE m.classid = 'pg_catalog.pg_class'::regclass AND pg_catalog.col_description(m.objid, a.attnum) IS NULL
    ORDER BY 1"

# Sentences show as they are in psql and in OpenAPI documents.
style="SELECT pg_catalog.pg_describe_object(c.classoid, c.objoid, c.objsubid) || ': ' || problem
    FROM $members m JOIN pg_catalog.pg_description c ON c.classoid = m.classid AND c.objoid = m.objid,
         LATERAL (VALUES (CASE WHEN c.description ~ '\.$' THEN 'comment ends with a period' END),
                         (CASE WHEN c.description ~ '^\s|\s$' THEN 'comment begins or ends with white space' END)) p(problem)
    WHERE problem IS NOT NULL ORDER BY 1"

if [ -z "$self_test" ]; then
    check_clean 'every SQL object has a comment' sql "$query"
    check_clean 'comments end without a period' sql "$style"
else
    doctor=('BEGIN' 'CREATE FUNCTION apibase.doctored() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'
        'ALTER EXTENSION apibase ADD FUNCTION apibase.doctored()')
    check_finds 'a function without' 'function apibase.doctored\(\) has no comment' sql "${doctor[@]}" "$query"
    check_finds 'a comment that is blank' 'function apibase.doctored\(\) has no comment' \
        sql "${doctor[@]}" "COMMENT ON FUNCTION apibase.doctored() IS ' '" "$query"
    check_finds 'a column without' 'column sqlstate of view apibase.errors has no comment' \
        sql BEGIN 'COMMENT ON COLUMN apibase.errors.sqlstate IS NULL' "$query"
    check_finds 'a period' 'doctored\(\): comment ends with a period' \
        sql "${doctor[@]}" "COMMENT ON FUNCTION apibase.doctored() IS 'Nothing.'" "$style"
fi
