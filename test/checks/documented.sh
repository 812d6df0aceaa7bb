#!/bin/bash
# documented.sh - docs/ and the extension agree: settings with default, range, unit and context (docs/settings.md),
# SQLSTATEs with name and HTTP status (docs/errors.md), functions, operators, types and views on any page, and no page
# names a function that does not exist.
#
# Left out are functions that nobody calls by name: those of types, casts and index operator classes, and what the
# planner calls.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# cells FILE PREFIX: the rows of the tables in a Markdown file whose first cell begins with the prefix, cells separated by tabs,
# without back quotes.
cells() {
    awk -F ' *\\| *' -v prefix="$2" 'index($0, "| `" prefix) == 1 {
        gsub("`", ""); row = $2; for (i = 3; i < NF; i++) row = row "\t" $i; print row }' "$1"
}

# settings TREE
settings() {
    diff <(cells "$1/docs/settings.md" apibase. | cut -f 1-5 | sort) \
        <(sql 'SELECT pg_catalog.set_config(name, setting, false) IS NULL FROM pg_settings WHERE false' \
            "SELECT name, CASE boot_val WHEN '' THEN 'empty' ELSE boot_val END,
                    CASE WHEN enumvals IS NOT NULL THEN array_to_string(enumvals, ', ')
                         WHEN min_val IS NULL THEN 'any' ELSE min_val || ' to ' || max_val END,
                    coalesce(unit, ''), context
             FROM pg_settings WHERE name LIKE 'apibase.%'" | sort) |
        sed -n 's/^</docs\/settings.md has:/p; s/^>/the server has:/p'
}

# errors TREE
errors() {
    diff <(cells "$1/docs/errors.md" PB | cut -f 1-3 | sort) \
        <(sql 'SELECT sqlstate, name, http_status FROM apibase.errors' | sort) |
        sed -n 's/^</docs\/errors.md has:/p; s/^>/the registry has:/p'
}

called_by_name="SELECT DISTINCT p.proname
    FROM $members m JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid
    WHERE p.pronamespace = 'apibase'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze))
      AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid)
      AND NOT EXISTS (SELECT FROM pg_amproc a WHERE a.amproc = p.oid)
      AND NOT EXISTS (SELECT FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr WHERE o.oprcode = p.oid)
      AND NOT EXISTS (SELECT FROM pg_operator o JOIN pg_operator n ON n.oid = o.oprnegate
                      JOIN pg_amop a ON a.amopopr = n.oid WHERE o.oprcode = p.oid)
      AND NOT EXISTS (SELECT FROM pg_proc s WHERE s.prosupport = p.oid)
      AND NOT EXISTS (SELECT FROM pg_operator o WHERE p.oid IN (o.oprrest, o.oprjoin))"

# objects TREE
objects() {
    local name kind
    while IFS= read -r name; do
        grep -qE "(^|[^a-z0-9_.]|apibase\.)$name\(" "$1"/docs/*.md || echo "function $name() is on no page of docs/"
    done < <(sql "$called_by_name")
    while IFS= read -r name; do
        grep -qF -e "$name" "$1"/docs/*.md || echo "operator $name is on no page of docs/"
    done < <(sql "SELECT DISTINCT o.oprname FROM $members m
        JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid")
    while IFS=$'\t' read -r kind name; do
        grep -qE "(^|[^a-z0-9_])$name([^a-z0-9_]|\$)" "$1"/docs/*.md || echo "$kind $name is on no page of docs/"
    done < <(sql "SELECT 'type', t.typname FROM $members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
        UNION ALL SELECT 'relation', c.relname FROM $members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid")
}

# named TREE: functions that documents call but that are not there
named() {
    local name
    while IFS= read -r name; do
        [ -n "$(sql "SELECT FROM pg_proc WHERE pronamespace = 'apibase'::regnamespace AND proname = '$name' LIMIT 1" \
            "SELECT 1 FROM pg_proc WHERE pronamespace = 'apibase'::regnamespace AND proname = '$name' LIMIT 1")" ] ||
            echo "documents name apibase.$name(), which does not exist"
    done < <(grep -ohE 'apibase\.[a-z_0-9]+\(' "$1"/docs/*.md "$1"/README.md | sed 's/^apibase\.//; s/($//' | sort -u)
}

if [ -z "$self_test" ]; then
    check_clean 'settings' settings "$TOP"
    check_clean 'SQLSTATEs' errors "$TOP"
    check_clean 'functions, operators, types and relations' objects "$TOP"
    check_clean 'no function that does not exist' named "$TOP"
else
    fresh() { rm -rf "$scratch/docs"; cp -r "$TOP/docs" "$TOP/README.md" "$scratch"; }
    fresh; sed -i '/^| `apibase.request_id_header`/d' "$scratch/docs/settings.md"
    check_finds 'a setting that is missing' 'the server has: apibase.request_id_header' settings "$scratch"
    fresh; sed -i 's/^| `apibase.request_id_header` | `x-request-id`/| `apibase.request_id_header` | `x-id`/' "$scratch/docs/settings.md"
    check_finds 'a default that is wrong' 'docs/settings.md has: apibase.request_id_header.x-id' settings "$scratch"
    fresh; echo '| `apibase.gone` | `1` | 0 to 9 |  | user | It is gone. |' >> "$scratch/docs/settings.md"
    check_finds 'a setting that does not exist' 'docs/settings.md has: apibase.gone' settings "$scratch"
    fresh; sed -i '/^| `PB001`/d' "$scratch/docs/errors.md"
    check_finds 'a code that is missing' 'the registry has: PB001' errors "$scratch"
    fresh; sed -i 's/^| `PB001` | `not_preloaded` | 503/| `PB001` | `not_preloaded` | 500/' "$scratch/docs/errors.md"
    check_finds 'a status that is wrong' 'docs/errors.md has: PB001.not_preloaded.500' errors "$scratch"
    fresh; echo '| `PB999` | `gone` | 400 | Never. | |' >> "$scratch/docs/errors.md"
    check_finds 'a code that does not exist' 'docs/errors.md has: PB999' errors "$scratch"
    fresh; sed -i 's/request_cookie(/cookie(/g' "$scratch"/docs/*.md
    check_finds 'a function that is missing' 'function request_cookie\(\) is on no page' objects "$scratch"
    fresh; sed -i 's/&&/and/g' "$scratch"/docs/*.md
    check_finds 'an operator that is missing' 'operator && is on no page' objects "$scratch"
    fresh; sed -i 's/errors/mistakes/g' "$scratch"/docs/*.md
    check_finds 'a view that is missing' 'relation errors is on no page' objects "$scratch"
    fresh; echo 'Call apibase.no_such_thing(1).' >> "$scratch/docs/context.md"
    check_finds 'a function that does not exist' 'documents name apibase.no_such_thing\(\)' named "$scratch"
fi
