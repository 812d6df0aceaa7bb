#!/bin/bash
# docs_links.sh - a relative link in a Markdown file leads to a file, and to a heading in it where it names one.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# anchors FILE: of its headings, as code forges make them.
anchors() {
    awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
        sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

# problems TREE
problems() {
    local file link target anchor
    while IFS= read -r file; do
        while IFS= read -r link; do
            case $link in
                *://* | mailto:*) continue ;;
            esac
            target=${link%%#*}
            anchor=
            if [[ $link == *#* ]]; then anchor=${link#*#}; fi
            if [ -z "$target" ]; then target=$file; else target=$(dirname "$file")/$target; fi
            if [ ! -e "$target" ]; then
                echo "${file#"$1"/}: $link leads nowhere"
            elif [ -n "$anchor" ] && ! anchors "$target" | grep -qxF -e "$anchor"; then
                echo "${file#"$1"/}: $link: no such heading"
            fi
        done < <(awk '/^```/ { code = !code } !code && !/^    / { print }' "$file" | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//')
    done < <(find "$1" -name '*.md' -not -path "$1/build/*" -not -path '*/.git/*' | sort)
}

if [ -z "$self_test" ]; then
    check_clean 'links lead somewhere' problems "$TOP"
else
    printf '# One two\n\n[a](b.md) [c](#one-two) [d](#three) [e](sub/f.md#x) [g](https://example.org/h)\n' > "$scratch/a.md"
    mkdir "$scratch/sub"
    echo '# Y' > "$scratch/sub/f.md"
    check_finds 'no such file' '^a.md: b.md leads nowhere$' problems "$scratch"
    check_finds 'no such heading' '^a.md: #three: no such heading$' problems "$scratch"
    check_finds 'no such heading elsewhere' '^a.md: sub/f.md#x: no such heading$' problems "$scratch"
    printf '# One two\n\n[c](#one-two) [e](sub/f.md#y) [g](https://example.org/h)\n' > "$scratch/a.md"
    check_clean 'good links pass' problems "$scratch"
fi
