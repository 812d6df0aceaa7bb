#!/bin/bash
# upgrade.sh - an extension upgraded from any older version is the freshly installed one: the same objects, each with the same
# definition, owner, privileges and comment.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# A row for each object, in which everything is written by name: oids differ between databases.
objects="WITH members AS (SELECT * FROM $members m
        UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname = 'apibase')
    SELECT pg_describe_object(m.classid, m.objid, 0) || ' | ' || coalesce(obj_description(m.objid, m.classid::regclass::text::name), '-')
           || ' | ' || coalesce(
        (SELECT pg_get_userbyid(proowner) || ' ' || coalesce(proacl, acldefault('f', proowner))::text || ' ' || coalesce(probin, '-')
                || ' ' || pg_get_functiondef(oid)
         FROM pg_proc WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid),
        (SELECT pg_get_userbyid(typowner) || ' ' || (to_jsonb(t) - '{oid,typarray,typrelid,typnamespace,typowner,typelem,typbasetype}'::text[])::text
                || ' ' || format_type(typelem, -1) || ' ' || format_type(typbasetype, typtypmod)
         FROM pg_type t WHERE m.classid = 'pg_type'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', oid::regoperator, oprkind, oprcanmerge, oprcanhash, oprcode::regprocedure, oprcom::regoperator,
                          oprnegate::regoperator, oprrest, oprjoin, pg_get_userbyid(oprowner))
         FROM pg_operator WHERE m.classid = 'pg_operator'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', opcdefault, opcintype::regtype, opckeytype::regtype, pg_get_userbyid(opcowner))
         FROM pg_opclass WHERE m.classid = 'pg_opclass'::regclass AND oid = m.objid),
        (SELECT pg_get_userbyid(opfowner)
                || coalesce((SELECT string_agg(pg_describe_object('pg_amop'::regclass, oid, 0), ', ' ORDER BY amopstrategy, amoplefttype::regtype::text)
                             FROM pg_amop WHERE amopfamily = f.oid), '')
                || coalesce((SELECT string_agg(pg_describe_object('pg_amproc'::regclass, oid, 0), ', ' ORDER BY amprocnum, amproclefttype::regtype::text)
                             FROM pg_amproc WHERE amprocfamily = f.oid), '')
         FROM pg_opfamily f WHERE m.classid = 'pg_opfamily'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', castcontext, castmethod, castfunc::regprocedure)
         FROM pg_cast WHERE m.classid = 'pg_cast'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', relkind, relpersistence, relacl, reloptions, pg_get_userbyid(relowner), pg_get_viewdef(oid)) || ' '
                || (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attacl, col_description(attrelid, attnum)),
                                      ', ' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
                || coalesce((SELECT ' ' || string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname)
                             FROM pg_constraint WHERE conrelid = c.oid), '')
                || coalesce((SELECT ' ' || string_agg(pg_get_triggerdef(oid) || ' ' || tgenabled::text, ', ' ORDER BY tgname)
                             FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal), '')
         FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', pg_get_userbyid(lanowner), lanpltrusted, lanplcallfoid::regprocedure, laninline::regproc,
                          lanvalidator::regprocedure, lanacl)
         FROM pg_language WHERE m.classid = 'pg_language'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', pg_get_userbyid(evtowner), evtevent, evtfoid::regprocedure, evtenabled, evttags)
         FROM pg_event_trigger WHERE m.classid = 'pg_event_trigger'::regclass AND oid = m.objid),
        (SELECT concat_ws(' ', pg_get_userbyid(nspowner), nspacl) FROM pg_namespace WHERE m.classid = 'pg_namespace'::regclass AND oid = m.objid),
        'this check does not know this kind of object')
    FROM members m
    UNION ALL
    SELECT concat_ws(' ', 'extension', extversion, extnamespace::regnamespace, extrelocatable, extconfig::regclass[], extcondition)
    FROM pg_extension WHERE extname = 'apibase'"

# dump [STATEMENT...]: the rows of the current database, after the statements; a definition of several lines is one row
dump() { sql 'SET search_path = pg_catalog' "$@" "SELECT replace(o, E'\n', ' \\n ') FROM ($objects) s(o) ORDER BY 1"; }

# upgraded VERSION: makes the database of that name, upgraded from that version
upgraded() {
    local -x PGDATABASE=apibase_checks_upgrade
    sql 'SET client_min_messages = warning' "CREATE EXTENSION apibase VERSION '$1'" 'ALTER EXTENSION apibase UPDATE'
}

database() { PGDATABASE=postgres sql 'SET client_min_messages = warning' "DROP DATABASE IF EXISTS apibase_checks_upgrade" "$@"; }

# difference [STATEMENT...]: between a fresh installation and the upgraded one, after the statements
difference() {
    diff <(dump) <(PGDATABASE=apibase_checks_upgrade dump "$@") | sed -n 's/^</installed:/p; s/^>/upgraded:/p'
    dump | grep 'does not know this kind'
    return 0
}

versions=$(sql "SELECT version FROM pg_available_extension_versions v JOIN pg_available_extensions e USING (name)
    WHERE name = 'apibase' AND version <> e.default_version")
[ -n "$versions" ] || echo 'not ok - there is no older version'
for version in $versions; do
    database 'CREATE DATABASE apibase_checks_upgrade'
    if [ -z "$self_test" ]; then
        check_clean "$version can be upgraded" upgraded "$version"
        check_clean "$version upgraded is the same as installed" difference
    else
        upgraded "$version"
        check_finds "$version: another definition" '^upgraded: function apibase.version\(\)' difference BEGIN 'ALTER FUNCTION apibase.version() COST 7'
        check_finds "$version: another comment" '^upgraded: function apibase.version\(\)' \
            difference BEGIN "COMMENT ON FUNCTION apibase.version() IS 'doctored'"
        check_finds "$version: other privileges" '^upgraded: function apibase.version\(\)' \
            difference BEGIN 'REVOKE ALL ON FUNCTION apibase.version() FROM PUBLIC'
        check_finds "$version: an object too few" '^installed: function apibase.request_cookie\(text\)' \
            difference BEGIN 'ALTER EXTENSION apibase DROP FUNCTION apibase.request_cookie(text)'
        check_finds "$version: an object too many" '^upgraded: operator apibase.===' \
            difference BEGIN 'CREATE OPERATOR apibase.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.texteq)' \
            'ALTER EXTENSION apibase ADD OPERATOR apibase.=== (text, text)'
        check_finds "$version: another column comment" '^upgraded: view apibase.errors' \
            difference BEGIN "COMMENT ON COLUMN apibase.errors.name IS 'doctored'"
        check_finds "$version: another trigger" '^upgraded: table apibase.cache_namespaces' \
            difference BEGIN 'ALTER TABLE apibase.cache_namespaces DISABLE TRIGGER cache_namespaces_changed'
        check_finds "$version: another constraint" '^upgraded: table apibase.cache_namespaces' \
            difference BEGIN 'ALTER TABLE apibase.cache_namespaces DROP CONSTRAINT cache_namespaces_ttl_is_positive'
        check_finds "$version: another event trigger" '^upgraded: event trigger apibase_decorate_ddl_end' \
            difference BEGIN 'ALTER EVENT TRIGGER apibase_decorate_ddl_end ENABLE REPLICA'
        check_finds "$version: another language" '^upgraded: language apibase_decorated' \
            difference BEGIN "COMMENT ON LANGUAGE apibase_decorated IS 'doctored'"
        check_finds "$version: other privileges of the schema" '^upgraded: schema apibase ' \
            difference BEGIN 'REVOKE USAGE ON SCHEMA apibase FROM PUBLIC'
    fi
    database
done
