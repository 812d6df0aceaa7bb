#!/usr/bin/python3
"""sqlsmith.py SECONDS - random SQL, and memory, against the server of the PG* variables. Called by test/fuzz/sqlsmith.

Phase 1: the program sqlsmith, as a role without privileges beyond the test's schema. It reads the catalogs by unqualified
names, so views in front of them narrow its choice of functions to those of the extension and a few that make values.
A session that does nothing watches: when a backend crashes, the server ends every session. Another looks for queries
that outlive sqlsmith's statement_timeout by far. sqlsmith logs each error with its SQLSTATE into tables.

Phase 2: each function of the extension with arguments from a pool of good and bad values, each call caught if it fails,
over and over in one session; permanent memory is compared after a quarter of the rounds and at the end. Every function
must have succeeded at least once, so that the pool keeps up with the functions.
"""

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time

import psycopg2

FIXTURE = """
CREATE EXTENSION apibase;
CREATE SCHEMA smith;
CREATE SCHEMA smith_catalog;
SET search_path = smith, apibase, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE address AS (city text, zip integer);
CREATE DOMAIN amount AS numeric CHECK (value >= 0);
CREATE TABLE items (id integer PRIMARY KEY, price integer, qty smallint, total amount, name text, status text,
                    created timestamptz, day date, active boolean, feeling mood, tags text[], home address, attrs jsonb,
                    code uuid, score float8);
INSERT INTO items SELECT i, nullif(i * 7 % 100, 13), i % 10, i / 3.0, 'item ' || i, (array['open', 'held', NULL])[1 + i % 3],
    '2026-01-01'::timestamptz + i * interval '1 hour', '2026-01-01'::date + i, i % 2 = 0, (enum_range(NULL::mood))[1 + i % 3],
    array['a', 'b' || i], ROW('city ' || i, i)::address,
    jsonb_build_object('color', 'red', 'n', i, 'list', jsonb_build_array(1, i)), gen_random_uuid(), i / 7.0
    FROM generate_series(1, 200) i;
CREATE INDEX ON items (price);
CREATE INDEX ON items (name text_pattern_ops);
CREATE TABLE rules (id integer, rule spec, text text, json jsonb, path text, op text, relation regclass, item items, doc jsonb);
INSERT INTO rules SELECT (row_number() OVER ())::integer, t::spec, t, t::spec::jsonb, (array['price', 'attrs.color', 'nope', 'home.city'])[1 + length(t) % 4],
    (array['eq', 'in', 'is_null', 'like', 'wrong'])[1 + length(t) % 5], 'smith.items', i, i.attrs
    FROM unnest(array['', 'false', 'price >= 10', 'name like ''item 1%'' and qty < 5', 'not (price between 1 and 50)',
        'attrs.color = ''red'' or attrs.n > 3', 'home.city = ''city 3''', 'feeling = ''ok''', 'nope = 1', 'price = $1',
        'tags contains array[''a'']', 'day > date ''2026-02-01''', 'status in (''open'', null)', 'price = ''x''',
        'attrs.list[0] = 1 and not (score < 3 and active is not true)']) t, items i WHERE i.id <= 10;
CREATE VIEW cheap AS SELECT * FROM items WHERE items @@ 'price < 50';
CREATE VIEW sums AS SELECT status, sum(price)::integer AS price, count(*)::integer AS n FROM items GROUP BY status;
CREATE TABLE parts (id integer, price integer, rule spec) PARTITION BY RANGE (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (100) TO (1000);
INSERT INTO parts SELECT i, i % 7, ('price = ' || i % 7)::spec FROM generate_series(1, 500) i;
CREATE INDEX ON parts (price);
ANALYZE;
CREATE VIEW smith_catalog.pg_proc AS
    SELECT * FROM pg_catalog.pg_proc p
    WHERE pronamespace = 'apibase'::regnamespace
        OR oid::regprocedure::text IN ('lower(text)', 'md5(text)', 'abs(integer)', 'length(text)', 'jsonb_typeof(jsonb)',
            'now()', 'repeat(text,integer)', 'to_jsonb(anyelement)', 'int4(text)', 'concat("any")');
-- sqlsmith cannot use polymorphic operators of ranges, and would spend half of its queries on them
SET allow_system_table_mods = on;
DELETE FROM pg_catalog.pg_operator WHERE concat_ws(' ', oprleft::regtype, oprright::regtype, oprresult::regtype) ~ 'range';
RESET allow_system_table_mods;
GRANT EXECUTE ON FUNCTION spec_stats_reset() TO PUBLIC;
CREATE TABLE smith_catalog.instance (id bigserial PRIMARY KEY, rev text, target text, hostname text, version text, seed text);
CREATE TABLE smith_catalog.error (id bigint, msg text, query text, target text, sqlstate text);
CREATE TABLE smith_catalog.stat (id bigint, generated bigint, level float8, nodes float8, retries float8,
                                 updated timestamptz, impedance jsonb);
DO $$ BEGIN CREATE ROLE smith LOGIN PASSWORD 'smith'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE smith SET search_path = smith_catalog, smith, apibase, public, pg_catalog;
GRANT USAGE ON SCHEMA smith, smith_catalog TO smith;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA smith TO smith;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA smith_catalog TO smith;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA smith_catalog TO smith;
"""

DATABASE = "apibase_smith"
HANG_SECONDS = 30
RSS_GROWTH_KB = 128 * 1024
CONTEXT_GROWTH_BYTES = 64 * 1024


def fail(message):
    raise SystemExit(f"sqlsmith: FAILED: {message}")


def session(**options):
    connection = psycopg2.connect(dbname=DATABASE, **options)
    connection.autocommit = True
    return connection


def rows(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return cursor.fetchall() if cursor.description else None


def value(connection, sql, *arguments):
    return rows(connection, sql, *arguments)[0][0]


def rss(pid):
    """Private memory of a process in kB; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            resident, shared = (int(n) for n in statm.read().split()[1:3])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") // 1024


# ---------- phase 1 ----------


def start_sqlsmith(seed, log):
    target = f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} dbname={DATABASE} user=smith password=smith"
    return subprocess.Popen(
        ["sqlsmith", f"--target={target}", f"--log-to={target}", f"--seed={seed}", "--exclude-catalog"],
        stdout=subprocess.DEVNULL, stderr=log)


def watch(process, log, admin, seconds):
    """Until the time is up: is the server there, is nothing stuck, how large are sqlsmith's backends."""
    sizes = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        if process.poll() is not None:
            log.seek(0)
            fail(f"sqlsmith ended early: {log.read().decode(errors='replace')[-2000:]}")
        for query, _ in rows(admin, """SELECT query, pid FROM pg_stat_activity WHERE usename = 'smith'
                                       AND state = 'active' AND query_start < clock_timestamp() - %s * interval '1 s'""",
                             HANG_SECONDS):
            fail(f"a query does not end, and statement_timeout does not end it: {query}")
        backends = rows(admin, "SELECT pid FROM pg_stat_activity WHERE usename = 'smith'")
        sizes += filter(None, [max((rss(pid) for (pid,) in backends), default=0)])
    process.terminate()
    process.wait()
    return sizes


def run_sqlsmith(seconds):
    seed = int(os.environ.get("APIBASE_SEED") or random.randrange(1_000_000))
    print(f"sqlsmith: seed {seed}", flush=True)
    sentinel, admin = session(), session()
    log = tempfile.TemporaryFile()
    process = start_sqlsmith(seed, log)
    try:
        sizes = watch(process, log, admin, seconds)
        value(sentinel, "SELECT 1")
    except psycopg2.Error as error:
        tail = value(session_after_crash(), "SELECT coalesce(string_agg(query, E'\n'), '') FROM "
                     "(SELECT query FROM smith_catalog.error ORDER BY ctid DESC LIMIT 3) q")
        fail(f"the server ended its sessions, a backend has crashed: {error}\nlast logged queries:\n{tail}")
    finally:
        if process.poll() is None:
            process.kill()
    states = rows(admin, "SELECT sqlstate, count(*) FROM smith_catalog.error GROUP BY 1 ORDER BY 2 DESC")
    generated = value(admin, "SELECT coalesce(max(generated), 0) FROM smith_catalog.stat")
    print(f"sqlsmith: {generated} queries in {seconds} s, errors: "
          + ", ".join(f"{state} {count}" for state, count in states), flush=True)
    for msg, query in rows(admin, "SELECT msg, query FROM smith_catalog.error WHERE sqlstate LIKE 'XX%%' LIMIT 5"):
        print(f"{msg}\n{query}\n", flush=True)
    if any(state and state.startswith("XX") for state, _ in states):
        fail("internal errors, see above")
    if generated < 10:
        fail(f"only {generated} queries were made")
    # the least of each third: what a large query takes for a while does not count
    third = max(1, len(sizes) // 3)
    first, last = min(sizes[:third]), min(sizes[-third:])
    growth = last - first
    print(f"sqlsmith: private memory of its backend at least {first} kB in the first third, {last} kB in the last", flush=True)
    if growth > RSS_GROWTH_KB:
        fail(f"the backend grew by {growth} kB")


def session_after_crash():
    for _ in range(60):
        try:
            return session()
        except psycopg2.OperationalError:
            time.sleep(0.5)
    fail("the server does not come back")


# ---------- phase 2 ----------

# Arguments by type, SQL text. Good ones and bad ones.
POOL = {
    "spec": ["NULL", "''", "'price >= 10'", "'nope = 1'", "'price = $1'", "'price = ''x'''", "'not (name like ''a%'' and qty < 5)'",
             "'attrs.color = ''red'''", "'rubbish ='", "'{\"field\": \"price\", \"op\": \"ge\", \"value\": 10}'", "'{\"x\": 1}'",
             "repeat('not (', 200)::spec", "'day > date ''nonsense'''", "'home.city = ''x'' and total > 0'"],
    "text": ["NULL", "''", "'price'", "'price >= 10 and name = $1'", "'price desc nulls last, id'", "'attrs.color'", "'eq'", "'in'",
             "'is_null'", "'between'", "'rubbish here'", "repeat('(', 5000)", "'x-request-id'", "'sub'", "'\"A\"'", "E'\\x7f'"],
    "regclass": ["NULL", "'smith.items'", "'smith.cheap'", "'smith.items_pkey'", "'pg_class'", "12345"],
    "bigint": ["NULL", "0", "3", "-1", "9223372036854775807"],
    "integer": ["NULL", "1", "0", "-1", "70000"],
    "jsonb": ["NULL", "'{}'", "'{\"field\": \"price\", \"op\": \"ge\", \"value\": 10}'", "'{\"price\": 3, \"id\": 3}'", "'[1]'",
              "'{\"and\": [{\"field\": \"a\", \"op\": \"in\", \"value\": [1, null]}, {\"not\": true}]}'", "'null'"],
    "json": ["NULL", "'{\"field\": \"price\", \"op\": \"ge\", \"value\": 10}'", "'{\"or\": 1}'"],
    "cstring": ["'price >= 10'", "'price >='", "''"],
    "boolean": ["true", "NULL"],
    "anyelement": ["NULL::smith.items", "(SELECT i FROM smith.items i WHERE id = 3)", "jsonb '{\"price\": 12}'", "1",
                   "NULL::smith.cheap", "ROW(1, 'a')"],
    "\"any\"": ["1", "'x'::text", "now()", "NULL::integer", "array[1, 2]", "ROW(1)", "jsonb '{}'"],
    "text[]": ["'{}'::text[]", "array['sub', 'role']", "array[NULL]::text[]"],
    "spec[]": ["'{}'::spec[]", "array['price >= 10', NULL, 'qty = 1']::spec[]", "NULL"],
    "interval": ["'1 s'", "NULL"],
    "pg_node_tree": ["NULL", "(SELECT ev_action FROM pg_rewrite WHERE ev_class = 'smith.cheap'::regclass)",
                     "(SELECT indexprs FROM pg_index WHERE indexprs IS NOT NULL LIMIT 1)"],
    "oid": ["0", "'smith.items'::regclass", "'smith.run'::regproc", "NULL"],
}


def calls(admin, choose):
    """Statements that call each function of the extension; (function, statement)."""
    functions = rows(admin, """
        SELECT p.oid::regprocedure::text, n.nspname, p.proname, p.proretset,
               (SELECT coalesce(array_agg(format_type(t, NULL) ORDER BY i), '{}') FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)),
               p.pronargdefaults, p.provariadic <> 0
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE nspname IN ('apibase', 'apibase_internal') AND p.prokind = 'f'
            AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[]) AND p.prorettype <> 'trigger'::regtype
            AND p.proname <> 'clock_set' ORDER BY 1""")
    made = []
    for signature, schema, name, _, types, defaults, variadic in functions:
        unknown = [t for t in types if t.removeprefix("apibase.") not in POOL]
        if unknown:
            fail(f"no arguments of type {unknown} for {signature}; add some to sqlsmith.py")
        pools = [POOL[t.removeprefix("apibase.")] for t in types]
        every = list(itertools.islice(itertools.product(*pools), 20_000))
        chosen = every if len(every) <= 40 else choose.sample(every, 40)
        # arguments that do fit one another, whatever was chosen
        chosen += [good for good in GOOD.get(name, []) if len(good) == len(types)]
        for arguments in chosen:
            count = len(arguments) - (choose.randint(0, defaults) if defaults else 0)
            parts = [a if t.startswith(("any", '"any"')) or t.endswith("[]") else f"{a}::{t}"
                     for a, t in zip(arguments[:count], types)]
            if variadic and types[-1].endswith("[]") and count == len(types):
                parts[-1] = "VARIADIC " + parts[-1]
            made.append((signature, f'SELECT count(q) FROM "{schema}"."{name}"({", ".join(parts)}) q'))
    made += [("operator @@", f"SELECT count(*) FROM smith.items WHERE items @@ {s}") for s in POOL["spec"]]
    made += [("operator @@", f"SELECT count(*) FROM smith.rules WHERE doc @@ {s}::spec") for s in POOL["spec"]]
    made += [("operator @@", "SELECT count(*) FROM smith.rules r WHERE r.item @@ r.rule AND r.id % 15 = " + str(i))
             for i in range(15)]
    made += [("views", "SELECT count(v) FROM apibase.spec_stats v"), ("views", "SELECT count(v) FROM apibase.errors v")]
    return made


# Arguments that a function succeeds with and that a random choice may miss.
GOOD = {
    "spec": [("'price >= 10 and name = $1'", "'x'::text")],
    "bind": [("'price = $1'", "1")],
    "where": [("'price'", "'eq'", "1"), ("'price'", "'is_null'")],
    "and_where": [("'qty < 5'", "'price'", "'eq'", "1"), ("'qty < 5'", "'price'", "'is_null'")],
    "or_where": [("'qty < 5'", "'price'", "'eq'", "1"), ("'qty < 5'", "'price'", "'is_null'")],
    "build": [("'price >= 10'", "'smith.items'")],
    "is_satisfied_by": [("jsonb '{\"price\": 12}'", "'price >= 10'")],
    "to_sql_condition": [("'price >= 10'", "'smith.items'", "'i'")],
    "to_sql_params": [("'price >= 10'", "'smith.items'", "'i'", "1")],
    "find": [("NULL::smith.items", "'price >= 10'", "'price desc nulls last, id'", "3", "0", "NULL"),
             ("NULL::smith.items", "'price >= 10'", "'price, id'", "3", "NULL", "'{\"price\": 3, \"id\": 3}'")],
    "find_count": [("NULL::smith.items", "'price >= 10'")],
    "spec_check": [("'smith.items'", "'nope = 1'")],
    "spec_explain": [("(SELECT i FROM smith.items i WHERE id = 3)", "'price >= 1000'")],
}

RUNNER = """
CREATE TABLE smith.calls (n serial, statement text);
CREATE FUNCTION smith.run() RETURNS void LANGUAGE plpgsql AS $$
DECLARE c text;
BEGIN
    FOR c IN SELECT statement FROM smith.calls ORDER BY n LOOP
        BEGIN
            EXECUTE c;
        EXCEPTION WHEN OTHERS THEN
        END;
    END LOOP;
END $$;
"""

# All memory of the session but for what belongs to the measuring statement.
PERMANENT = """
SELECT sum(total_bytes) FROM pg_backend_memory_contexts
WHERE name NOT IN ('MessageContext', 'PortalContext', 'ExecutorState', 'ExprContext', 'printtup', 'SRF multi-call context')
"""
BY_NAME = "SELECT name, sum(total_bytes) FROM pg_backend_memory_contexts GROUP BY 1"


def call_each(admin, made):
    """Make each call once; the SQLSTATEs by function."""
    results = {}
    for function, statement in made:
        try:
            rows(admin, statement)
            state = "00000"
        except psycopg2.Error as error:
            state = error.pgcode
            if admin.closed:
                fail(f"the server ended the session, the backend has crashed on: {statement}")
            if state.startswith("XX"):
                fail(f"internal error: {error}{statement}")
        results.setdefault(function, []).append(state)
    return results


def run_calls(seconds):
    admin = session(options="-c search_path=smith,apibase,public -c statement_timeout=60s")
    rows(admin, RUNNER)
    made = calls(admin, random.Random(1))
    results = call_each(admin, made)
    never = [function for function, states in results.items() if "00000" not in states]
    if never:
        fail(f"these functions never succeeded, give them better arguments in sqlsmith.py: {never}")
    with admin.cursor() as cursor:
        cursor.executemany("INSERT INTO smith.calls (statement) VALUES (%s)", [(statement,) for _, statement in made])
    pid = value(admin, "SELECT pg_backend_pid()")
    rounds, begin, before = 0, time.monotonic(), None
    while time.monotonic() < begin + seconds or rounds < 8:
        rows(admin, "SELECT smith.run()")
        rounds += 1
        if before is None and (time.monotonic() > begin + seconds / 4 and rounds >= 4):
            before, names, size = value(admin, PERMANENT), dict(rows(admin, BY_NAME)), rss(pid)
            warm = rounds
    after, size_after = value(admin, PERMANENT), rss(pid)
    succeeded = sum(states.count("00000") for states in results.values())
    print(f"calls: {len(made)} of {len(results)} functions and operators, {succeeded} succeed, the others fail; "
          f"{rounds} rounds; memory contexts {before} bytes after {warm} rounds, {after} at the end; "
          f"private memory {size} and {size_after} kB", flush=True)
    if after - before > CONTEXT_GROWTH_BYTES:
        for name, total in rows(admin, BY_NAME):
            if total != names.get(name, 0):
                print(f"  {name}: {names.get(name, 0)} -> {total}", flush=True)
        fail(f"memory contexts grew by {after - before} bytes")
    if size_after - size > RSS_GROWTH_KB // 16:
        fail(f"the backend grew by {size_after - size} kB")


def main():
    seconds = int(sys.argv[1])
    subprocess.run(["dropdb", "--if-exists", DATABASE], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["createdb", DATABASE], check=True)
    with session() as connection:
        connection.autocommit = True
        rows(connection, FIXTURE)
    run_sqlsmith(seconds)
    run_calls(seconds / 2)
    print("sqlsmith: passed", flush=True)


if __name__ == "__main__":
    main()
