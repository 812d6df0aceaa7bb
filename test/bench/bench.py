#!/usr/bin/python3
"""Measures apibase and prints the figures as Markdown. Called by test/bench/run; the server is that of the PG* variables.

Every figure compares two things in one run: they take turns, so that what disturbs the machine disturbs both, and each
turn gives one ratio or difference. Printed is the median of these, with the range of their middle half in brackets.
Times are processor time of the backend, taken in it (test/bench/helper).

Counts of instructions come from callgrind, on `postgres --single`, as a difference of two numbers of turns. They do not
depend on what else the machine does.
"""

import datetime
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import psycopg2

import bench_bus
import bench_cache

HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper", "bench_helper")

SETUP = f"""
CREATE EXTENSION apibase;
CREATE SCHEMA bench;
SET search_path = bench, public;
CREATE FUNCTION cpu() RETURNS float8 LANGUAGE c AS '{HELPER}', 'bench_cpu';
CREATE FUNCTION execute(text, integer) RETURNS float8 LANGUAGE c AS '{HELPER}', 'bench_execute';
CREATE FUNCTION empty("any") RETURNS boolean LANGUAGE c AS '{HELPER}', 'bench_empty';
CREATE FUNCTION empty_call(regprocedure, integer) RETURNS float8 LANGUAGE c AS '{HELPER}', 'bench_empty_call';
CREATE FUNCTION plan(text, integer) RETURNS float8 LANGUAGE c AS '{HELPER}', 'bench_plan';
CREATE FUNCTION read(regtype, text, integer) RETURNS float8 LANGUAGE c AS '{HELPER}', 'bench_read';
CREATE FUNCTION read_memory(regtype, text) RETURNS bigint LANGUAGE c AS '{HELPER}', 'bench_read_memory';
CREATE TABLE items (id integer, price integer, qty integer, status text, name text, note text);
CREATE TABLE items_nn (id integer NOT NULL, price integer NOT NULL, qty integer NOT NULL, status text NOT NULL,
                       name text NOT NULL, note text NOT NULL);
"""

# In the nullable table every tenth value of each column is NULL. Row 0 satisfies FOUR.
ROWS = """
SELECT setseed(0.5);
INSERT INTO items_nn
    SELECT i, random() * 100000, random() * 100, (array['open', 'held', 'closed', 'closed'])[1 + (random() * 3)::int],
           'item ' || i, repeat('x', 40)
    FROM generate_series(1, {rows}) i;
INSERT INTO items_nn VALUES (0, 50000, 5, 'open', 'item', '');
INSERT INTO items
    SELECT id, CASE WHEN random() > 0.1 THEN price END, CASE WHEN random() > 0.1 THEN qty END,
           CASE WHEN random() > 0.1 THEN status END, CASE WHEN random() > 0.1 THEN name END, note
    FROM items_nn WHERE id > 0;
INSERT INTO items SELECT * FROM items_nn WHERE id = 0;
ALTER TABLE items_nn ADD PRIMARY KEY (id);
CREATE INDEX ON items_nn (price, id);
CREATE INDEX ON items_nn (qty, price);
CREATE INDEX ON items (id);
CREATE INDEX ON items (price);
CREATE INDEX ON items (qty, price);
"""

DOCUMENTS = """
CREATE TABLE docs AS
    SELECT jsonb_build_object('id', id, 'price', price, 'qty', qty, 'status', status, 'name', name, 'note', note) AS doc
    FROM items_nn ORDER BY id LIMIT {rows};
"""

ROW_COUNT = 1_000_000
DOCUMENT_COUNT = 300_000
FOUR = "price >= 10 and status in ('open', 'held') and name like 'item%' and qty < 80"
FOUR_JSONPATH = '$.price >= 10 && ($.status == "open" || $.status == "held") && $.name starts with "item" && $.qty < 80'

out = []


def say(line=""):
    out.append(line)
    print(line, flush=True)


def note(message):
    print(f"bench: {message}", file=sys.stderr, flush=True)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


# ---------- measuring ----------


class Server:
    """A session."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname=os.environ.get("PGDATABASE", "bench"))
        self.connection.autocommit = True

    def run(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql):
        return self.run(sql)[0][0]

    def execution(self, sql, turns=1):
        """Milliseconds that executing a statement takes."""
        return self.value(f"SELECT bench.execute({literal(sql)}, {turns})") / 1e6

    def plan(self, sql, costs=True):
        return [row[0] for row in self.run(f"EXPLAIN (COSTS {'ON' if costs else 'OFF'}) {sql}")]


def take_turns(rounds, *measures):
    """Run the measures in turn, each round in the opposite order of the last; a list of results for each measure."""
    for measure in measures:
        measure()
    results = [[] for _ in measures]
    for i in range(rounds):
        order = range(len(measures)) if i % 2 == 0 else reversed(range(len(measures)))
        for n in order:
            results[n].append(measures[n]())
    return results


def middle(values):
    """Median, and the range of the middle half."""
    low, _, high = statistics.quantiles(values, n=4)
    return statistics.median(values), low, high


def show(values, form):
    return "{} [{} .. {}]".format(*(form.format(v) for v in middle(values)))


def ratios(a, b):
    return [y / x for x, y in zip(a, b)]


def differences(a, b):
    return [y - x for x, y in zip(a, b)]


def verdict(values, bound, at_most=True):
    """Whether the median keeps to a target."""
    median = statistics.median(values)
    return "kept" if (median <= bound if at_most else median >= bound) else "**missed**"


def compare_plans(server, native, spec):
    with_costs = server.plan(native), server.plan(spec)
    if with_costs[0] == with_costs[1]:
        return "identical, estimates included"
    native_plan, spec_plan = server.plan(native, False), server.plan(spec, False)
    if native_plan == spec_plan:
        return "identical"
    nodes = [[line for line in plan if re.match(r"^ *(->|\w+ )", line) and ":" not in line] for plan in with_costs]
    nodes = [[re.sub(r" *\(cost=.*", "", line) for line in plan] for plan in nodes]
    return "the same nodes" if nodes[0] == nodes[1] else "**different**"


# ---------- figures ----------


def figure_inlined(server):
    cases = [
        ("whole table, NOT NULL columns", "items_nn", FOUR, FOUR),
        ("whole table, nullable columns", "items", FOUR, FOUR),
        ("index, NOT NULL columns", "items_nn", "qty = 5 and price >= 50000 and status = 'open'", None),
        ("index, nullable columns", "items", "qty = 5 and price >= 50000 and status = 'open'", None),
        ("index, list of values", "items", "qty = 5 and price in (" + ", ".join(str(i * 997) for i in range(100)) + ")", None),
        ("two indexes, negation", "items", "not (price < 99000)", "price >= 99000 or price is null"),
    ]
    say("### A specification in WHERE against the same condition written by hand")
    say()
    say(f"{ROW_COUNT:,} rows, `count(*)`, execution without planning; 21 rounds, of 80 ms or one execution.")
    say()
    say("| case | by hand, ms | `@@`, ms | ratio | target | plans |")
    say("|---|---|---|---|---|---|")
    plans = []
    for name, table, spec, native in cases:
        by_hand = f"SELECT count(*) FROM {table} WHERE {native or spec}"
        by_spec = f"SELECT count(*) FROM {table} WHERE {table} @@ {literal(spec)}"
        turns = max(1, round(80 / server.execution(by_hand)))
        a, b = take_turns(21, lambda: server.execution(by_hand, turns), lambda: server.execution(by_spec, turns))
        same = compare_plans(server, by_hand, by_spec)
        shown = spec if len(spec) < 100 else spec[:40] + " ... " + spec[-20:]
        say(f"| {name}: `{shown}` | {statistics.median(a):.2f} | {statistics.median(b):.2f} "
            f"| {show(ratios(a, b), '{:.3f}')} | at most 1.02: {verdict(ratios(a, b), 1.02)} | {same} |")
        plans.append((name, server.plan(by_hand, False), server.plan(by_spec, False)))
    for name, by_hand, by_spec in plans:
        say()
        say(f"{name}, by hand:" if by_hand != by_spec else f"{name}, both:")
        say()
        for line in by_hand:
            say("    " + line[:110])
        if by_hand != by_spec:
            say()
            say(f"{name}, specification:")
            say()
            for line in by_spec:
                say("    " + line[:110])
    say()


def figure_planning(server, instructions):
    by_hand = f"SELECT * FROM items_nn WHERE {FOUR}"
    by_spec = f"SELECT * FROM items_nn WHERE items_nn @@ {literal(FOUR)}"
    turns = 300

    def measure(sql):
        return server.value(f"SELECT bench.plan({literal(sql)}, {turns})") / 1000

    a, b = take_turns(15, lambda: measure(by_hand), lambda: measure(by_spec))
    say("### Planning a literal specification of four clauses")
    say()
    say(f"Parsing, analysing, rewriting and planning of one statement; {turns} a turn, 15 rounds. Table with three indexes.")
    say()
    say("| | by hand | `@@` | difference | target |")
    say("|---|---|---|---|---|")
    say(f"| microseconds | {statistics.median(a):.1f} | {statistics.median(b):.1f} | {show(differences(a, b), '{:.1f}')} "
        f"| at most 15 more: {verdict(differences(a, b), 15)} |")
    if instructions:
        n = [instructions.planning(sql) for sql in (by_hand, by_spec)]
        say(f"| instructions | {n[0]:,} | {n[1]:,} | {n[1] - n[0]:,} ({(n[1] - n[0]) / n[0]:.0%}) | |")
    say()


def figure_documents(server):
    where = {
        "scan": "doc IS NOT NULL",
        "spec": f"doc @@ apibase.spec {literal(FOUR)}",
        "jsonpath": f"doc @@ {literal(FOUR_JSONPATH)}::jsonpath",
        "sql": "(doc ->> 'price')::int >= 10 AND doc ->> 'status' IN ('open', 'held') AND doc ->> 'name' LIKE 'item%' "
               "AND (doc ->> 'qty')::int < 80",
    }
    counts = {name: server.value(f"SELECT count(*) FROM docs WHERE {sql}") for name, sql in where.items()}
    if not counts["spec"] == counts["jsonpath"] == counts["sql"]:
        raise SystemExit(f"the conditions on documents do not agree: {counts}")
    results = take_turns(9, *(lambda sql=sql: server.execution(f"SELECT count(*) FROM docs WHERE {sql}")
                              for sql in where.values()))
    times = dict(zip(where, results))
    nanoseconds = {name: [v * 1e6 / DOCUMENT_COUNT for v in differences(times["scan"], times[name])]
                   for name in where if name != "scan"}
    say("### JSON documents")
    say()
    say(f"The same four clauses over {DOCUMENT_COUNT:,} `jsonb` documents; net of the scan; 9 rounds. "
        "The ratio is to the specification.")
    say()
    say("| condition | ns a document | ratio | target |")
    say("|---|---|---|---|")
    say(f"| `doc @@ apibase.spec '...'` | {show(nanoseconds['spec'], '{:.0f}')} | 1 | |")
    faster = ratios(nanoseconds["spec"], nanoseconds["jsonpath"])
    say(f"| `doc @@ '...'::jsonpath` | {show(nanoseconds['jsonpath'], '{:.0f}')} | {show(faster, '{:.2f}')} "
        f"| at least 2.5: {verdict(faster, 2.5, at_most=False)} |")
    slower = ratios(nanoseconds["spec"], nanoseconds["sql"])
    say(f"| `(doc ->> 'price')::int >= 10 and ...` | {show(nanoseconds['sql'], '{:.0f}')} | {show(slower, '{:.2f}')} | |")
    say()


LOOP = """
CREATE FUNCTION bench.loop_{name}(n integer) RETURNS float8 LANGUAGE plpgsql AS $loop$
DECLARE
    r bench.items_nn;
    b boolean;
    s apibase.spec := {spec};
    t text := {spec};
    d jsonb;
    p jsonpath := {jsonpath};
    t0 float8;
BEGIN
    SELECT * INTO r FROM bench.items_nn WHERE id = 0;
    d := to_jsonb(r);
    t0 := bench.cpu();
    FOR i IN 1 .. n LOOP
        {body}
    END LOOP;
    RETURN (bench.cpu() - t0) / n;
END $loop$;
"""

LOOPS = {
    "nothing": ("", None),
    "empty": ("b := bench.empty(r);", "empty function in C, of the row"),
    "native": ("b := r.price >= 10 and r.status in ('open', 'held') and r.name like 'item%' and r.qty < 80;",
               "the condition itself, on the row's fields"),
    "constant": ("b := r @@ " + literal(FOUR) + ";", "`row @@ '...'`"),
    "variable": ("b := r @@ s;", "`row @@ variable`"),
    "cast": ("b := r @@ t::apibase.spec;", "`row @@ text::apibase.spec`, read each time"),
    "document": ("b := d @@ s;", "`document @@ variable`"),
    "jsonpath": ("b := d @@ p;", "`document @@ jsonpath`"),
    "execute": ("EXECUTE 'SELECT ' || quote_literal(r.price) || '::int >= 10 and ' || quote_literal(r.status) || "
                "' in (''open'', ''held'')' INTO b;", "dynamic SQL of half the condition"),
}


def loop_statements():
    return [LOOP.format(name=name, body=body, spec=literal(FOUR), jsonpath=literal(FOUR_JSONPATH))
            for name, (body, _) in LOOPS.items()]


def figure_rows(server, instructions):
    for statement in loop_statements():
        server.run(statement)
    turns = {name: 3_000 if name == "execute" else 50_000 for name in LOOPS}
    results = take_turns(9, lambda: server.value("SELECT bench.empty_call('bench.empty(\"any\")'::regprocedure, 5000000)"),
                         *(lambda name=name: server.value(f"SELECT bench.loop_{name}({turns[name]})") for name in LOOPS))
    call, times = results[0], dict(zip(LOOPS, results[1:]))
    say("### A row or a document in PL/pgSQL")
    say()
    say(f"A loop of `b := ...;` net of an empty loop; the row satisfies all four clauses; 9 rounds. "
        f"An empty C function called from C takes {show(call, '{:.2f}')} ns; the ratio is to that.")
    say()
    counted = {}
    if instructions:
        counted = instructions.loops(["nothing", "empty", "constant", "variable", "document", "jsonpath"])
    say("| expression | ns | ratio to an empty call | instructions | target |")
    say("|---|---|---|---|---|")
    for name, (_, label) in LOOPS.items():
        if label is None:
            continue
        net = differences(times["nothing"], times[name])
        ratio = ratios(call, net)
        target = f"at most 104 (250 ns where an empty call takes 2.4): {verdict(ratio, 104)}" \
            if name in ("constant", "variable") else ""
        count = f"{counted[name] - counted['nothing']:,}" if name in counted else ""
        say(f"| {label} | {show(net, '{:.0f}')} | {show(ratio, '{:.0f}')} | {count} | {target} |")
    say()


def clauses(n):
    """A specification of n clauses, with different fields, operators and values, nested a little."""
    kinds = ["price >= {0}", "status = 'value {0}'", "field{0} <> {0}", "name like 'item {0}%'",
             "(qty < {0} or qty > 1{0})", "created < date '2026-01-31'"]
    parts = [kinds[i % len(kinds)].format(i) for i in range(n)]
    return " and ".join(parts)


def figure_reading(server, instructions):
    server.run("SET apibase.spec_max_size = '64MB'")
    sizes = [10, 100, 1_000, 10_000, 20_000]
    texts = {n: clauses(n) for n in sizes}
    turns = {n: max(1, 20_000 // n) for n in sizes}
    results = take_turns(9, *(lambda n=n: server.value(f"SELECT bench.read('apibase.spec', {literal(texts[n])}, {turns[n]})")
                              for n in sizes))
    times = dict(zip(sizes, results))
    say("### Reading a specification from its text")
    say()
    say("Text to stored form; 9 rounds. Memory is what the server takes for one reading and gives back at its end.")
    say()
    say("| clauses | bytes of text | microseconds | ns a clause | memory, kB | bytes of memory a byte of text |")
    say("|---|---|---|---|---|---|")
    for n in sizes:
        memory = server.value(f"SELECT bench.read_memory('apibase.spec', {literal(texts[n])})")
        say(f"| {n:,} | {len(texts[n]):,} | {statistics.median(times[n]) / 1000:,.1f} "
            f"| {show([t / n for t in times[n]], '{:.0f}')} | {memory / 1024:,.0f} | {memory / len(texts[n]):.1f} |")
    growth = [(b / 20_000) / (a / 1_000) for a, b in zip(times[1_000], times[20_000])]
    say()
    say(f"A clause of 20,000 takes {show(growth, '{:.2f}')} times as long as one of 1,000: the tree is then larger than the "
        "processor's caches.")
    if instructions:
        a, b = (instructions.reading(texts[n]) / n for n in (1_000, 20_000))
        say(f"It takes {b:,.0f} instructions, one of 1,000 takes {a:,.0f}: {b / a:.3f} times as many "
            f"(linear: 1; target at most 1.05: {verdict([b / a], 1.05)}).")
    say()
    server.run("RESET apibase.spec_max_size")


FIND = """
CREATE FUNCTION bench.find_{name}(n integer) RETURNS float8 LANGUAGE plpgsql AS $loop$
DECLARE
    t0 float8 := bench.cpu();
    s apibase.spec := 'price >= 5000 and status = ''held''';
    m integer := 5000;
    k integer;
BEGIN
    FOR i IN 1 .. n LOOP
        {body}
    END LOOP;
    RETURN (bench.cpu() - t0) / n / 1000;
END $loop$;
"""

FIND_BY_HAND = "SELECT count(*) INTO k FROM (SELECT * FROM bench.items_nn WHERE price >= m AND status = 'held' {after} " \
    "ORDER BY price, id LIMIT 20) q;"
FIND_BODIES = {
    "static": (FIND_BY_HAND.format(after=""), "by hand, prepared once for all values", "static"),
    "dynamic": ("EXECUTE 'SELECT count(*) FROM (SELECT * FROM bench.items_nn WHERE price >= 5000 AND status = ''held'' "
                "ORDER BY price, id LIMIT 20) q' INTO k;", "by hand, planned each time", "static"),
    "same": ("SELECT count(*) INTO k FROM apibase.find(NULL::bench.items_nn, s, 'price', 20);",
             "`find`, the same specification", "static"),
    "other": ("s := apibase.spec('price >= $1 and status = $2', i, 'held');"
              "SELECT count(*) INTO k FROM apibase.find(NULL::bench.items_nn, s, 'price', 20);",
              "`find`, another specification each time", "dynamic"),
    "next": (FIND_BY_HAND.format(after="AND (price, id) > (m, m)"), "by hand, the next page", "next"),
    "after": ("SELECT count(*) INTO k FROM apibase.find(NULL::bench.items_nn, s, 'price', 20, NULL, "
              "jsonb '{\"price\": 5000, \"id\": 5000}');",
              "`find`, the next page (`after`)", "next"),
}


def figure_find(server):
    for name, (body, _, _) in FIND_BODIES.items():
        server.run(FIND.format(name=name, body=body))
    results = take_turns(9, *(lambda name=name: server.value(f"SELECT bench.find_{name}(300)") for name in FIND_BODIES))
    times = dict(zip(FIND_BODIES, results))
    say("### Lists: `find`")
    say()
    say("Twenty rows by the order of an index, from PL/pgSQL; microseconds a call; 9 rounds.")
    say()
    say("| | microseconds | ratio | to |")
    say("|---|---|---|---|")
    for name, (_, label, base) in FIND_BODIES.items():
        ratio = f"{show(ratios(times[base], times[name]), '{:.2f}')} | {FIND_BODIES[base][1]}" if name != base else "1 | "
        say(f"| {label} | {show(times[name], '{:.1f}')} | {ratio} |")
    say()


def figure_opaque(server):
    inlined = f"SELECT count(*) FROM items_nn WHERE items_nn @@ {literal(FOUR)}"
    server.run("PREPARE opaque(apibase.spec) AS SELECT count(*) FROM items_nn WHERE items_nn @@ $1")
    server.run("SET plan_cache_mode = force_generic_plan")
    if "@@" not in "".join(server.plan(f"EXECUTE opaque({literal(FOUR)})")):
        raise SystemExit("the generic plan is not opaque")
    by_function = "SELECT count(*) FROM items_nn WHERE bench.empty(items_nn)"
    a, b, c = take_turns(7, lambda: server.execution(inlined), lambda: server.execution(f"EXECUTE opaque({literal(FOUR)})"),
                         lambda: server.execution(by_function))
    server.run("RESET plan_cache_mode")
    say("### A generic plan, which does not know the specification")
    say()
    say(f"{ROW_COUNT:,} rows, whole table, four clauses; 7 rounds. The ratio is to the inlined form.")
    say()
    say("| | ms | ratio |")
    say("|---|---|---|")
    say(f"| inlined | {show(a, '{:.0f}')} | 1 |")
    say(f"| generic plan: `items @@ $1` for each row | {show(b, '{:.0f}')} | {show(ratios(a, b), '{:.2f}')} |")
    say(f"| an empty C function of the row for each row | {show(c, '{:.0f}')} | {show(ratios(a, c), '{:.2f}')} |")
    say()


# ---------- instructions ----------


class Instructions:
    """Counts instructions with callgrind, in a cluster of its own that only `postgres --single` uses."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="bench-callgrind.")
        subprocess.run(["initdb", "-D", self.directory + "/data", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
                       check=True, stdout=subprocess.DEVNULL)
        statements = [s for s in (SETUP + ROWS.format(rows=1000)).split(";") if s.strip()]
        statements += loop_statements() + ["ANALYZE"]
        self.single([], statements)

    def close(self):
        shutil.rmtree(self.directory)

    def single(self, prefix, statements, preload=False):
        """Run statements, each in one line as a single-user server wants them."""
        command = prefix + ["postgres", "--single", "-F", "-c", "shared_preload_libraries=" + ("apibase" if preload else ""), "-c", "search_path=bench,apibase,public", "-c", "jit=off",
                            "-c", "apibase.spec_max_size=64MB",
                            "-c", "shared_buffers=16MB", "-D", self.directory + "/data", "postgres"]
        lines = "".join(" ".join(s.split()) + "\n" for s in statements)
        done = subprocess.run(command, input=lines, text=True, capture_output=True)
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise SystemExit(f"callgrind run failed: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    def count(self, statement, toggle=None, preload=False):
        report = self.directory + "/callgrind.out"
        prefix = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={report}"]
        if toggle:
            prefix.append(f"--toggle-collect={toggle}")
        self.single(prefix, [statement], preload)
        with open(report, encoding="utf-8", errors="replace") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(("totals:", "summary:")))

    def each(self, statement, few, many, toggle=None, preload=False):
        """Instructions of one turn of a statement with a place {n} for the number of turns."""
        a, b = (self.count(statement.format(n=n), toggle, preload) for n in (few, many))
        return round((b - a) / (many - few))

    def planning(self, sql):
        text = literal(sql).replace("{", "{{").replace("}", "}}")
        return self.each(f"SELECT bench.plan({text}, {{n}})", 20, 120, "bench_plan_loop")

    def reading(self, text):
        return self.each(f"SELECT bench.read('apibase.spec', {literal(text)}, {{n}})", 2, 5)

    def loops(self, names):
        return {name: self.each(f"SELECT bench.loop_{name}({{n}})", 500, 5500) for name in names}


# ---------- all of it ----------


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    with open("/proc/meminfo", encoding="utf-8") as lines:
        memory = int(lines.readline().split()[1]) / 1024 / 1024
    with open("/etc/os-release", encoding="utf-8") as lines:
        system = dict(line.rstrip().split("=", 1) for line in lines if "=" in line)["PRETTY_NAME"].strip('"')
    kernel = os.uname().release.split("-")[0]
    return f"{model}, {os.cpu_count()} CPUs, {memory:.0f} GiB, {system}, Linux {kernel}"


def main():
    subprocess.run(["createdb", "bench"], check=True)
    os.environ["PGDATABASE"] = "bench"
    server = Server()
    note("making tables")
    server.run(SETUP)
    server.run(ROWS.format(rows=ROW_COUNT))
    server.run(DOCUMENTS.format(rows=DOCUMENT_COUNT))
    server.run("VACUUM ANALYZE")
    server.run("SET search_path = bench, apibase, public")
    server.run("CHECKPOINT")

    instructions = None
    if shutil.which("valgrind"):
        note("making the cluster for callgrind")
        instructions = Instructions()
    say(f"Measured on {datetime.date.today().isoformat()}: {machine()}; "
        f"PostgreSQL {server.value('SHOW server_version').split()[0]}, apibase {server.value('SELECT apibase.version()')}; "
        f"`shared_buffers` 1 GB, no JIT, no parallel plans. Times are processor time. Load of the machine at the start: {os.getloadavg()[0]:.1f}."
        + ("" if instructions else " Instructions were not counted: valgrind is not installed."))
    say()
    figures = {
        "inlined": lambda: figure_inlined(server),
        "planning": lambda: figure_planning(server, instructions),
        "documents": lambda: figure_documents(server),
        "rows": lambda: figure_rows(server, instructions),
        "reading": lambda: figure_reading(server, instructions),
        "find": lambda: figure_find(server),
        "opaque": lambda: figure_opaque(server),
    }
    figures.update(bench_cache.figures(sys.modules[__name__], server, instructions))
    figures.update(bench_bus.figures(sys.modules[__name__], server))
    for name, figure in figures.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        note(f"measuring: {name}")
        figure()
    say(f"Load of the machine at the end: {os.getloadavg()[0]:.1f}.")
    if instructions:
        instructions.close()


if __name__ == "__main__":
    main()
