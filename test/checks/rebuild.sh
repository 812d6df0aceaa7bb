#!/bin/bash
# rebuild.sh - what is edited is built again, and nothing else: headers, grammars, SQL parts, the version.
#
# PGXS tracks no headers; a stale object crashes in ways that nobody understands. The tree is copied, with what is built
# in it, built, and then files are touched.
set -uo pipefail
. "$(dirname "$0")/lib.bash"
pg_config=${PG_CONFIG:-pg_config}
tree=$scratch/tree

# Without optimization: what is built is not run.
build() {
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -j"$(nproc)" -C "$tree" PG_CONFIG="$pg_config" with_llvm=no COPT=-O0 \
        > "$scratch/log" 2>&1 || {
        tail -n 20 "$scratch/log"
        return 1
    }
}

# built: the objects, libraries and scripts that are newer than the mark
built() { (cd "$tree" && find . -newer "$scratch/mark" \( -name '*.o' -o -name '*.so' -o -name '*.sql' -o -path './build/gen/*.c' \) -print | sort); }

# after COMMAND...: builds, edits, builds again and prints what that built
after() {
    build || return
    sleep 1
    touch "$scratch/mark"
    sleep 0.1
    (cd "$tree" && "$@")
    build || return
    built
}

# lacks PATTERN FILES: FILES must be printed, and lines matching PATTERN must not
expect() {
    local name=$1 unwanted=$2 output file
    shift 2
    output=$(after "${edit[@]}")
    for file in "$@"; do
        grep -qxF "./$file" <<< "$output" || echo "$name: $file was not built again"
    done
    if [ -n "$unwanted" ]; then grep -E -e "$unwanted" <<< "$output" | sed "s/^/$name: without need: /"; fi
    return 0
}

mkdir "$tree"
tar -C "$TOP" --exclude=./.git --exclude='./build/test' --exclude='./build/env*' -cf - . | tar -C "$tree" -xf -

if [ -z "$self_test" ]; then
    edit=(true)
    check_clean 'no edit: nothing' expect 'no edit' . # any line
    edit=(touch src/context/context.h)
    check_clean 'a header of one module' expect header '/core/|/spec/' src/context/context.o src/context/context_id.o src/apibase.o apibase.so
    edit=(touch src/core/errors.h)
    check_clean 'a header of a lower floor' expect header '' src/core/errors.o src/core/shmem.o src/context/context.o
    edit=(touch src/spec/spec_gram.y)
    check_clean 'a grammar' expect grammar '/core/|/context/' build/gen/spec/spec_gram.c build/gen/spec/spec_gram.o apibase.so
    edit=(touch src/spec/spec_scan.l)
    check_clean 'a scanner' expect scanner '/core/|/context/' build/gen/spec/spec_scan.c apibase.so
    version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$tree/apibase.control")
    edit=(touch src/core/core.sql)
    check_clean 'functions of SQL: install and upgrade script' expect SQL '\.o$' "build/apibase--$version.sql" "build/apibase--0.0.1--$version.sql"
    edit=(touch src/upgrade/upgrade.awk)
    check_clean 'what joins the upgrade script' expect SQL '\.o$' "build/apibase--0.0.1--$version.sql"
    edit=(sed -i "s/^default_version.*/default_version = '$version.1'/" apibase.control)
    check_clean 'the version' expect version '' "build/apibase--$version.1.sql" src/core/core.o apibase.so
else
    # without the dependencies that the compiler writes, a header edit is missed
    sed -i '/^-include .*\.d)/d' "$tree/Makefile"
    edit=(touch src/context/context.h)
    check_finds 'headers that are not tracked' 'src/context/context.o was not built again' expect header '' src/context/context.o
    sed -i 's/^\$(INSTALL_SQL):.*/$(INSTALL_SQL):/' "$tree/Makefile"
    edit=(touch src/core/core.sql)
    check_finds 'parts that are not tracked' 'apibase--.*sql was not built again' \
        expect SQL '' "build/apibase--$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$tree/apibase.control").sql"
    edit=(touch src/core/errors.c)
    check_finds 'what is built without need' 'without need: ./src/core/errors.o' expect source /errors.o
    edit=(sh -c 'echo nonsense >> src/core/core.c')
    check_finds 'a build that fails' 'error' after "${edit[@]}"
fi
