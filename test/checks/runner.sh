#!/bin/bash
# runner.sh - the script that runs the checks fails when one is not listed, is missing, fails, dies or reports nothing.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# outcome NAME BODY: what the runner says, and how it ends, in a folder with one listed check `NAME` and the script x.sh
outcome() {
    local dir=$scratch/test/checks
    mkdir -p "$dir"
    sed "/^checks=(/,/^)/c checks=($1)" "$TOP/test/checks/run" > "$dir/run"
    printf '#!/bin/bash\n%s\n' "$2" > "$dir/x.sh"
    chmod +x "$dir/run" "$dir/x.sh"
    if APIBASE_CHECKS_DATABASE=apibase_checks_runner "$dir/run"; then echo 'it passes'; else echo 'it fails'; fi
}

if [ -z "$self_test" ]; then
    listed=$(sed -n '/^checks=(/,/^)/p' "$TOP/test/checks/run" | grep -c '#')
    check_clean 'every script is in the list' test "$listed" = "$(find "$TOP/test/checks" -name '*.sh' | wc -l)"
else
    check_finds 'what is good passes' '^it passes$' outcome x 'echo "ok - fine"'
    check_finds 'a script that is not listed' '^not ok .* x.sh is not in the list' outcome y 'echo "ok - fine"'
    check_finds 'a script that is missing' '^not ok .* y reports nothing' outcome y 'echo "ok - fine"'
    check_finds 'a test that fails' '^it fails$' outcome x 'echo "not ok - bad"'
    check_finds 'a self-test that fails' '^it fails$' outcome x 'echo "${1:+not }ok - self"'
    check_finds 'no report' '^not ok .* x reports nothing' outcome x 'true'
    check_finds 'no report, and no success' '^it fails$' outcome x 'true'
    check_finds 'a script that dies' '^not ok .* x ended with 3' outcome x 'echo "ok - fine"; exit 3'
fi
