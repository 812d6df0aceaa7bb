#!/bin/bash
# exported_symbols.sh - the library exports only names with our prefix, so that it never clashes with another.
#
# PostgreSQL 15 builds extensions with every function that is not static exported.
set -uo pipefail
. "$(dirname "$0")/lib.bash"
pg_config=${PG_CONFIG:-pg_config}

# problems LIBRARY
problems() {
    local symbols
    symbols=$(nm -D --defined-only "$1") || return
    grep -qE ' pg_finfo_apibase_' <<< "$symbols" || echo "$1 exports no SQL function at all"
    # the rest of the list: what linkers, and AddressSanitizer, add by themselves
    awk '$NF !~ /^(apibase_|pg_finfo_apibase_|Pg_magic_func$|_PG_init$|_init$|_fini$|_edata$|_end$|__bss_start$|__odr_asan)/ {
        print "exported: " $NF }' <<< "$symbols"
}

if [ -z "$self_test" ]; then
    check_clean 'exported symbols have the prefix' problems "$("$pg_config" --pkglibdir)/apibase.so"
else
    printf 'int foreign_name(void);\nint foreign_name(void) { return 0; }\nint foreign_data = 1;\n' > "$scratch/x.c"
    cc -shared -fPIC -o "$scratch/x.so" "$scratch/x.c"
    check_finds 'a function with another name' '^exported: foreign_name$' problems "$scratch/x.so"
    check_finds 'a variable with another name' '^exported: foreign_data$' problems "$scratch/x.so"
    check_finds 'a library that is not ours' 'exports no SQL function' problems "$scratch/x.so"
    check_finds 'no library' 'No such file' problems "$scratch/missing.so"
fi
