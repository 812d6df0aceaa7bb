#!/bin/bash
# generated_files.sh - nothing that is generated can be committed: what .gitignore leaves of the tree, after a build and
# tests, holds no object, no library, no parser of bison or flex, no joined SQL script, no test result.
#
# It works without git, by the patterns of .gitignore; where the tree is a clone, git says what it has.
set -uo pipefail
. "$(dirname "$0")/lib.bash"

# committable TREE: the files that .gitignore does not name. Its patterns are those that find(1) can express.
committable() {
    local tests=() pattern
    while IFS= read -r pattern; do
        case $pattern in
            '' | '#'*) ;;
            /*/) tests+=(! -path ".${pattern}*") ;;
            /*) tests+=(! -path ".$pattern") ;;
            */) tests+=(! -path "*/${pattern}*") ;;
            */* | '!'*) echo "generated_files.sh does not know the pattern $pattern"; return 1 ;;
            *) tests+=(! -name "$pattern") ;;
        esac
    done < "$1/.gitignore"
    (cd "$1" && find . -type f ! -path './.git/*' "${tests[@]}" | sort)
}

# problems TREE
problems() {
    local file
    committable "$1" | while IFS= read -r file; do
        case $file in
            generated_files.sh*) echo "$file" ;;
            *.out.diff | */regression.diffs | */results/* | *.pyc | *.profraw) echo "$file is a test's result" ;;
            ./src/upgrade/apibase--*.sql) ;;
            ./*apibase--*.sql) echo "$file is a joined SQL script" ;;
            *)
                case $(head -c 4 "$1/$file" | od -An -tx1 | tr -d ' \n') in
                    7f454c46) echo "$file is an object, a library or a program" ;;
                    4243c0de) echo "$file is bitcode" ;;
                    213c6172) echo "$file is an archive" ;;
                esac
                if head -n 5 "$1/$file" | grep -aqE '^/\* A Bison parser|^#line [0-9]+ ".*\.c"$'; then
                    echo "$file is the output of bison or flex"
                fi ;;
        esac
    done
    if [ -d "$1/.git" ]; then
        git -C "$1" ls-files -ci --exclude-standard | sed 's/$/ is in git although .gitignore names it/'
    fi
}

if [ -z "$self_test" ]; then
    check_clean 'nothing generated is outside of .gitignore' problems "$TOP"
else
    mkdir -p "$scratch/src/core" "$scratch/build" "$scratch/sql"
    cp "$TOP/.gitignore" "$scratch"
    echo 'int x;' > "$scratch/x.c"
    cc -c -o "$scratch/src/core/x.o" "$scratch/x.c"
    cp "$scratch/src/core/x.o" "$scratch/build/program"
    check_clean 'what .gitignore names passes' problems "$scratch"
    cp "$scratch/src/core/x.o" "$scratch/src/core/x"
    check_finds 'an object' 'src/core/x is an object' problems "$scratch"
    printf '/* A Bison parser, made by GNU Bison 3.8.2.  */\n' > "$scratch/src/core/gram.c"
    check_finds 'a parser' 'src/core/gram.c is the output of bison' problems "$scratch"
    printf '#line 1 "src/core/scan.c"\n\n#line 3 "src/core/scan.c"\n' > "$scratch/src/core/scan.c"
    check_finds 'a scanner' 'src/core/scan.c is the output of bison or flex' problems "$scratch"
    echo > "$scratch/sql/apibase--1.0.sql"
    check_finds 'a joined script' 'sql/apibase--1.0.sql is a joined SQL script' problems "$scratch"
    sed -i '/^\*\.o$/d' "$scratch/.gitignore"
    check_finds 'a pattern that is missing' 'src/core/x.o is an object' problems "$scratch"
    echo 'a/b' >> "$scratch/.gitignore"
    check_finds 'a pattern that is not understood' 'does not know the pattern a/b' problems "$scratch"
fi
