#!/bin/bash
# version.sh - one version everywhere: apibase.control, META.json, the newest entry of CHANGELOG.md, the library, the
# installed extension.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# problems TREE
problems() {
    local control meta provides changelog script
    control=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$1/apibase.control")
    [[ $control =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || echo "apibase.control: no version"
    meta=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' "$1/META.json")
    provides=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["provides"]["apibase"]["version"])' \
        "$1/META.json")
    script=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["provides"]["apibase"]["file"])' \
        "$1/META.json")
    changelog=$(sed -n 's/^## \([0-9.]*\).*/\1/p' "$1/CHANGELOG.md" | sed -n 1p)
    [ "$meta" = "$control" ] || echo "META.json: version $meta, not $control"
    [ "$provides" = "$control" ] || echo "META.json: provides $provides, not $control"
    [ "$script" = "build/apibase--$control.sql" ] || echo "META.json: file $script, not build/apibase--$control.sql"
    [ "$changelog" = "$control" ] || echo "CHANGELOG.md: newest entry is $changelog, not $control"
}

# installed TREE
installed() {
    local control
    control=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$1/apibase.control")
    sql "SELECT 'extension has version ' || extversion FROM pg_extension WHERE extname = 'apibase' AND extversion <> '$control'" \
        "SELECT 'library has version ' || apibase.version() WHERE apibase.version() <> '$control'"
}

if [ -z "$self_test" ]; then
    check_clean 'files have the version of apibase.control' problems "$TOP"
    check_clean 'so has what is installed' installed "$TOP"
else
    copy() { cp "$TOP"/{apibase.control,META.json,CHANGELOG.md} "$scratch"; }
    copy; sed -i "s/^default_version.*/default_version = '9.9.9'/" "$scratch/apibase.control"
    check_finds 'another version in META.json' 'META.json: version .*, not 9.9.9' problems "$scratch"
    check_finds 'another version in its list of what is provided' 'META.json: provides .*, not 9.9.9' problems "$scratch"
    check_finds 'another version in CHANGELOG.md' 'CHANGELOG.md: newest entry is .*, not 9.9.9' problems "$scratch"
    check_finds 'another version installed' 'extension has version' installed "$scratch"
    check_finds 'another version of the library' 'library has version' installed "$scratch"
    copy; sed -i '/default_version/d' "$scratch/apibase.control"
    check_finds 'no version' 'apibase.control: no version' problems "$scratch"
fi
