#!/bin/bash
# docs_sql.sh - the SQL of the documents does what they say: docs_sql.py runs it.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# The pages whose statements stand for themselves; the tutorial's need the catalogue, and are run with that.
pages() {
    grep -l '^```sql' "$TOP"/README.md "$TOP"/docs/*.md | grep -v /tutorial.md
}

# problems PAGE
problems() {
    /usr/bin/python3 "$TOP/test/checks/docs_sql.py" "$1"
}

if [ -z "$self_test" ]; then
    while IFS= read -r page; do
        check_clean "the SQL of ${page#"$TOP"/}" problems "$page"
    done < <(pages)
else
    printf '```sql\nSELECT 1/0;\n```\n' > "$scratch/a.md"
    check_finds 'a statement that fails' 'ERROR:  division by zero' problems "$scratch/a.md"
    printf '```sql\nSELECT 1;\n-- ERROR:  division by zero\n```\n' > "$scratch/b.md"
    check_finds 'an error that does not come' 'the page says "ERROR:  division by zero"' problems "$scratch/b.md"
    printf '```sql\nSELECT 1 AS x;\n```\n\n     x\n    ---\n     2\n' > "$scratch/c.md"
    check_finds 'another output' 'the page shows' problems "$scratch/c.md"
    printf 'no SQL\n' > "$scratch/d.md"
    check_finds 'a page without SQL' 'has no SQL' problems "$scratch/d.md"
fi
