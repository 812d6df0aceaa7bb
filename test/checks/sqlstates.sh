#!/bin/bash
# sqlstates.sh - every ereport of an error has an SQLSTATE, its texts have PostgreSQL's style, and every code of the registry is
# raised somewhere.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# problems FILE...: each ereport(ERROR ...) up to its semicolon
problems() {
    /usr/bin/python3 - "$@" <<'PYTHON'
import re
import sys

for name in sys.argv[1:]:
    source = open(name, encoding="utf-8").read()
    for match in re.finditer(r"\bereport\((?:ERROR|FATAL|PANIC),(.*?)\);\n", source, re.S):
        line = source.count("\n", 0, match.start()) + 1
        body = re.sub(r'"\s*\n\s*"', "", match.group(1))
        if "errcode" not in body:
            print(f"{name}:{line}: ereport without errcode")
        for text in re.findall(r'\berrmsg(?:_internal)?\(\s*"((?:[^"\\]|\\.)*)"', body):
            if re.match(r"[A-Z][a-z]", text) or re.search(r"[.!]$|\\n", text):
                print(f'{name}:{line}: message "{text}": lower case, no period')
        for text in re.findall(r'\berr(?:detail|hint)\(\s*"((?:[^"\\]|\\.)*)"', body):
            if not re.match(r'[A-Z"%$(\\]', text) or not re.search(r"[.?)\"s]$", text):
                print(f'{name}:{line}: detail or hint "{text}": full sentences')
PYTHON
}

# unraised TREE
unraised() {
    local symbol
    while IFS= read -r symbol; do
        grep -rqw "APIBASE_ERRCODE_$symbol" --include='*.[chly]' "$1/src" || echo "APIBASE_ERRCODE_$symbol is never raised"
    done < <(sed -n 's/^\tX(\([A-Z_]*\),.*/\1/p' "$1/src/core/errors.h")
}

if [ -z "$self_test" ]; then
    check_clean 'errors have SQLSTATEs and good texts' problems "$TOP"/src/*.c "$TOP"/src/*/*.[chly]
    check_clean 'every code is raised' unraised "$TOP"
else
    # wrong BODY
    wrong() { printf 'void f(void)\n{\n\tereport(ERROR,\n\t\t\t(%s));\n}\n' "$1" > "$scratch/x.c"; problems "$scratch/x.c"; }
    check_clean 'a good error passes' wrong 'errcode(ERRCODE_X), errmsg("it is wrong: %s", "a"), errhint("Do it right.")'
    check_finds 'no SQLSTATE' 'x.c:3: ereport without errcode' wrong 'errmsg("it is wrong")'
    check_finds 'a message like a sentence' 'message "It is wrong"' wrong 'errcode(ERRCODE_X), errmsg("It is wrong")'
    check_finds 'a message with a period' 'message "it is wrong."' wrong 'errcode(ERRCODE_X), errmsg("it is wrong.")'
    check_finds 'a hint that is no sentence' 'detail or hint "do it right"' \
        wrong 'errcode(ERRCODE_X), errmsg("it is wrong"), errhint("do it right")'
    mkdir -p "$scratch/src"
    cp -r "$TOP/src/core" "$scratch/src"
    sed -i 's/^\(\tX(\)NOT_PRELOADED/\1NOT_RAISED/' "$scratch/src/core/errors.h"
    check_finds 'a code that is never raised' 'APIBASE_ERRCODE_NOT_RAISED is never raised' unraised "$scratch"
fi
