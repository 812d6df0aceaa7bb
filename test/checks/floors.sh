#!/bin/bash
# floors.sh - a module includes only its own headers and those of lower floors; PG_VERSION_NUM is in core/compat.h only.
#
# The floors are the order of APIBASE_MODULES in the Makefile.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# includes TREE
includes() {
    local modules module below='' file header
    read -ra modules < <(sed -n 's/^APIBASE_MODULES *= *//p' "$1/Makefile")
    [ ${#modules[@]} -gt 1 ] || echo 'the Makefile lists no modules'
    for module in "${modules[@]}"; do
        below="$below $module "
        for file in "$1/src/$module"/*.[chly]; do
            while IFS= read -r header; do
                case $header in
                    */*) [ -e "$1/src/$header" ] || continue ;;
                    *) continue ;;
                esac
                [[ $below == *" ${header%%/*} "* ]] || echo "${file#"$1"/} includes $header"
            done < <(sed -n 's/^# *include *"\([^"]*\)".*/\1/p' "$file")
        done
    done
}

# versions TREE
versions() {
    (cd "$1" && grep -rn PG_VERSION_NUM --include='*.[chly]' src test/apibase_test | grep -v '^src/core/compat\.h:')
    return 0
}

# A module with a folder of its own that is not in the list would not be looked at.
unlisted() {
    local dir name
    for dir in "$1"/src/*/; do
        name=$(basename "$dir")
        [ "$name" = upgrade ] || grep -qE "^APIBASE_MODULES *=.* $name( |\$)" "$1/Makefile" || echo "src/$name is no module of the Makefile"
    done
}

if [ -z "$self_test" ]; then
    check_clean 'includes go down' includes "$TOP"
    check_clean 'versions are compared in one file' versions "$TOP"
    check_clean 'every folder is a module' unlisted "$TOP"
else
    mkdir -p "$scratch/test/apibase_test"
    cp -r "$TOP/src" "$TOP/Makefile" "$scratch"
    sed -i '1i #include "context/context.h"' "$scratch/src/core/clock.c"
    check_finds 'an include that goes up' 'src/core/clock.c includes context/context.h' includes "$scratch"
    echo '#if PG_VERSION_NUM >= 170000' >> "$scratch/src/context/context.c"
    check_finds 'a version test elsewhere' 'src/context/context.c:.*PG_VERSION_NUM' versions "$scratch"
    mkdir "$scratch/src/extra"
    check_finds 'a folder that is no module' 'src/extra is no module' unlisted "$scratch"
fi
