#!/usr/bin/python3
"""Runs the SQL of the documents: what a page shows must work as it stands there.

Every ```sql block of a page runs in order, in one session on a new database. A comment line `-- ERROR:  ...` (also HINT,
DETAIL) in a block says what its statements raise; other errors are failures. Where an indented block follows a block of
SQL, it is the output, compared without trailing blanks, blank lines and row counts.

usage: docs_sql.py page...    connection from PG* variables; prints what is wrong
"""
import os
import re
import subprocess
import sys

MARK = "@@block "


def blocks(text):
    """(line, sql, expected output or None) for every block of SQL."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if lines[at].strip() != "```sql":
            at += 1
            continue
        start = at + 1
        at = start
        while lines[at].strip() != "```":
            at += 1
        sql = "\n".join(lines[start:at])
        at += 1
        follow = at
        while follow < len(lines) and lines[follow].strip() == "":
            follow += 1
        output = []
        while follow < len(lines) and (lines[follow].startswith("    ") or (output and lines[follow].strip() == "")):
            output.append(lines[follow][4:])
            follow += 1
        yield start, sql, "\n".join(output) if output else None


def normal(text):
    kept = [line.rstrip() for line in text.split("\n")]
    kept = [re.sub(r"^-+(\+-+)*$", "---", line) for line in kept if line and not re.fullmatch(r"\(\d+ rows?\)", line)]
    return "\n".join(kept)


def psql(database, script):
    done = subprocess.run(["psql", "-X", "-q", "-d", database, "-f", "-"], input=script, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "PGCLIENTENCODING": "UTF8", "PGTZ": "UTC"})
    return re.sub(r"psql:<stdin>:\d+: ", "", done.stdout)


def problems(page):
    found = list(blocks(open(page, encoding="utf-8").read()))
    if not found:
        return ["has no SQL"]
    database = "apibase_checks_docs"
    setup = psql("postgres", f"DROP DATABASE IF EXISTS {database};\nCREATE DATABASE {database};")
    if "ERROR" in setup:
        return [setup]
    script = "" if any("CREATE EXTENSION apibase" in sql for _, sql, _ in found) else "CREATE EXTENSION apibase;\n"
    for number, (_, sql, _) in enumerate(found):
        script += f"\\echo {MARK}{number}\n{sql}\n"
    results = psql(database, script).split(MARK)[1:]
    psql("postgres", f"DROP DATABASE {database};")

    wrong = []
    if len(results) != len(found):
        wrong.append(f"only {len(results)} of {len(found)} blocks ran")
    for (line, sql, expected), result in zip(found, results):
        output = result.split("\n", 1)[1]
        said = [x for x in output.split("\n") if re.match(r"(ERROR|HINT|DETAIL|WARNING):", x)]
        announced = re.findall(r"^-- ((?:ERROR|HINT|DETAIL|WARNING):.*?)\s*$", sql, re.M)
        for message in said:
            if message.startswith("ERROR") and message not in announced:
                wrong.append(f"line {line}: {message}")
        for message in announced:
            if message not in said:
                wrong.append(f"line {line}: the page says \"{message}\", the server said {said}")
        if expected is not None and normal(expected) != normal(output):
            wrong.append(f"line {line}: the page shows\n{normal(expected)}\nand the output is\n{normal(output)}")
    return wrong


for page in sys.argv[1:]:
    for message in problems(page):
        print(f"{os.path.basename(page)}: {message}")
