#!/bin/bash
# source_size.sh - a file has at most 800 lines and begins with a banner that names it; a function has at most 70 lines.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# problems FILE...
problems() {
    awk '
        FNR == 1 { lines = 0; banner = 0; named = 0; n = split(FILENAME, part, "/"); name = part[n]; files[FILENAME] = 1 }
        FNR == 1 && /^\/\*---/ { banner = 1 }
        FNR <= 5 && index($0, name) { named = 1 }
        FNR == 5 && !(banner && named) { print FILENAME ": no banner with its name" }
        FNR == 801 { print FILENAME ": more than 800 lines" }
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start - 1 > 70) print FILENAME ":" start ": function of " FNR - start - 1 " lines"; start = 0 }
        END { if (!length(files)) print "no files" }
    ' "$@"
}

if [ -z "$self_test" ]; then
    check_clean 'sizes and banners' problems "$TOP"/src/*.c "$TOP"/src/*/*.[ch] "$TOP"/test/apibase_test/*.c
else
    cp "$TOP/src/core/clock.c" "$scratch/clock.c"
    check_clean 'a good file passes' problems "$scratch/clock.c"
    { cat "$TOP/src/core/clock.c"; yes '' | head -n 800; } > "$scratch/clock.c"
    check_finds 'a long file' 'clock.c: more than 800 lines' problems "$scratch/clock.c"
    { cat "$TOP/src/core/clock.c"; printf 'void\nf(void)\n{\n'; yes '	x();' | head -n 71; echo '}'; } > "$scratch/clock.c"
    check_finds 'a long function' 'clock.c:[0-9]+: function of 71 lines' problems "$scratch/clock.c"
    sed 1,10d "$TOP/src/core/clock.c" > "$scratch/clock.c"
    check_finds 'no banner' 'clock.c: no banner' problems "$scratch/clock.c"
    cp "$TOP/src/core/clock.c" "$scratch/watch.c"
    check_finds 'the banner of another file' 'watch.c: no banner' problems "$scratch/watch.c"
fi
