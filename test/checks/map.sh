#!/bin/bash
# map.sh - src/README.md, the map, names every file under src/ and every SQL object of the extension, and nothing that is not there.
#
# Files stand in back quotes with their path below src/, SQL objects with their signature as printed by --objects.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# What the map has to name: functions and relations by name, operators with their operands, casts by their types.
query="SET search_path = apibase, pg_catalog; SELECT DISTINCT name FROM (
    SELECT CASE n.nspname WHEN 'apibase' THEN '' ELSE n.nspname || '.' END || p.proname || '()'
    FROM $members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid JOIN pg_namespace n ON n.oid = p.pronamespace
    UNION ALL
    SELECT CASE n.nspname WHEN 'apibase' THEN '' ELSE n.nspname || '.' END || c.relname
    FROM $members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid JOIN pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT t.typname FROM $members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    UNION ALL
    SELECT concat_ws(' ', nullif(oprleft::regtype::text, '-'), oprname, oprright::regtype)
    FROM $members m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
    UNION ALL
    SELECT castsource::regtype || '::' || casttarget::regtype
    FROM $members m JOIN pg_cast c ON m.classid = 'pg_cast'::regclass AND c.oid = m.objid
    UNION ALL
    SELECT opcname || ' (' || amname || ')'
    FROM $members m JOIN pg_opclass c ON m.classid = 'pg_opclass'::regclass AND c.oid = m.objid JOIN pg_am a ON a.oid = opcmethod
    UNION ALL
    SELECT nspname FROM $members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
    UNION ALL
    SELECT 'language ' || lanname FROM $members m JOIN pg_language l ON m.classid = 'pg_language'::regclass AND l.oid = m.objid
    UNION ALL
    SELECT 'event trigger ' || evtname
    FROM $members m JOIN pg_event_trigger e ON m.classid = 'pg_event_trigger'::regclass AND e.oid = m.objid
    ) s(name) ORDER BY 1"

# The kinds of objects that the query knows; an operator family comes with its class.
kinds="SELECT DISTINCT 'map.sh does not know ' || m.classid::regclass FROM $members m
    WHERE m.classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass,
                            'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_namespace'::regclass, 'pg_language'::regclass,
                            'pg_event_trigger'::regclass)"

# files TREE
files() {
    local file
    while IFS= read -r file; do
        grep -qF -e "\`$file\`" "$1/src/README.md" || echo "src/README.md does not name $file"
    done < <(cd "$1/src" && find . -type f \( -name '*.[chlyo]' -o -name '*.sql' -o -name '*.awk' -o -name '*.md' \) \
        ! -name '*.o' ! -path ./README.md | sed 's,^\./,,' | sort)
    while IFS= read -r file; do
        [ -e "$1/src/$file" ] || [ -e "$1/$file" ] || echo "src/README.md names $file, which is not there"
    done < <(grep -oE '`[a-z_]+/[a-zA-Z0-9_.-]+\.(c|h|l|y|sql|awk)`' "$1/src/README.md" | tr -d '`' | sort -u)
}

# objects TREE [STATEMENT...]
objects() {
    local tree=$1 name
    shift
    while IFS= read -r name; do
        grep -qF -e "\`$name\`" "$tree/src/README.md" || echo "src/README.md does not name $name"
    done < <(sql "$@" "$query")
    sql "$kinds"
}

# gone TREE: functions that the map names and that are not there
gone() {
    grep -oE '`(apibase_internal\.)?[a-z_]+\(\)`' "$1/src/README.md" | tr -d '`' | sort -u |
        comm -23 - <(sql "$query" | sort -u) | sed 's/^/src\/README.md names /; s/$/, which is not there/'
}

if [ "${1:-}" = --objects ]; then
    sql "$query"
elif [ -z "$self_test" ]; then
    check_clean 'the map names every file, and no other' files "$TOP"
    check_clean 'the map names every SQL object' objects "$TOP"
    check_clean 'and no function that is not there' gone "$TOP"
else
    cp -r "$TOP/src" "$scratch"
    touch "$scratch/src/core/extra.c"
    check_finds 'a file that is missing' 'does not name core/extra.c' files "$scratch"
    rm "$scratch/src/core/clock.h"
    check_finds 'a file that is gone' 'names core/clock.h, which is not there' files "$scratch"
    sed -i 's/`request_id()`/nothing/' "$scratch/src/README.md"
    check_finds 'a function that is missing' 'does not name request_id\(\)' objects "$scratch"
    echo '`no_such_function()`' >> "$scratch/src/README.md"
    check_finds 'a function that is gone' 'names no_such_function\(\), which is not there' gone "$scratch"
    check_finds 'an operator that is missing' 'does not name text === text' \
        objects "$scratch" BEGIN 'CREATE OPERATOR apibase.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.texteq)' \
        'ALTER EXTENSION apibase ADD OPERATOR apibase.=== (text, text)'
fi
