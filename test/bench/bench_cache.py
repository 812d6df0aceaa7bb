"""The figures of the cache and of the decorators; bench.py runs them."""

import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

KEYS = 10_000

SETUP = """
CREATE FUNCTION bench.same_bytes(text) RETURNS jsonb LANGUAGE c AS '{helper}', 'bench_same_bytes';
CREATE FUNCTION bench.calls(regprocedure, text[], integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_calls';
CREATE FUNCTION bench.fetches(regprocedure, text, text[], integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_fetches';
CREATE FUNCTION bench.calls_within(regprocedure, text[], float8, integer) RETURNS bigint LANGUAGE c AS '{helper}', 'bench_calls_within';
CREATE FUNCTION bench.sets(regprocedure, jsonb, integer, integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_sets';
CREATE FUNCTION bench.spi_gets(text, text[], integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_spi_gets';
CREATE FUNCTION bench.redis_gets(text, text[], integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_redis_gets';
CREATE UNLOGGED TABLE bench.pairs (key text PRIMARY KEY, value jsonb);
INSERT INTO bench.pairs SELECT 'key' || i, jsonb_build_object('id', i, 'name', 'item ' || i, 'price', i * 1.5, 'note', repeat('x', 40))
    FROM generate_series(1, {keys}) i;
CREATE TABLE bench.keys AS SELECT array_agg(key) AS keys, array_agg('tagged:' || key) AS tagged, array_agg('fetched:' || key) AS fetched
    FROM bench.pairs;
CREATE FUNCTION bench.pair(text) RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT value FROM bench.pairs WHERE key = $1';
SELECT apibase.cached('bench.pair(text)', ttl => '1 day', scope => 'shared', track => false);
CREATE FUNCTION bench.tracked(text) RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT value FROM bench.pairs WHERE key = $1';
SELECT apibase.cached('bench.tracked(text)', ttl => '1 day', scope => 'shared');
SELECT apibase.cache_watch('bench.pairs');
CREATE TABLE bench.bare (id integer, name text);
CREATE TABLE bench.watched (id integer, name text);
SELECT apibase.cache_watch('bench.watched');
"""


# What cache_fetch would run on a miss.
QUERY = "SELECT value FROM bench.pairs LIMIT 1"


def fill(server, *more):
    """All keys, one after the other, in a cache that was empty, and what more statements put."""
    server.run("SELECT apibase.cache_clear()")
    server.run("SELECT count(apibase.cache_set(key, value, '1 day')) FROM bench.pairs")
    for statement in more:
        server.run(statement)
    server.value("SELECT bench.same_bytes((SELECT max(pg_column_size(value)) FROM bench.pairs)::text) IS NOT NULL")


def calls(server, function, turns, keys="keys"):
    return server.value(f"SELECT bench.calls('{function}', {keys}, {turns}) FROM bench.keys")


class Redis:
    """A Redis server of our own, on a socket, with the same keys."""

    def __init__(self, server):
        self.directory = tempfile.mkdtemp(prefix="bench-redis.")
        self.socket = self.directory + "/redis.sock"
        self.process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir",
                                         self.directory], stdout=subprocess.DEVNULL)
        while subprocess.run(["redis-cli", "-s", self.socket, "ping"], capture_output=True).stdout.strip() != b"PONG":
            if self.process.poll() is not None:
                raise SystemExit("redis-server has ended")
            time.sleep(0.05)
        pairs = server.run("SELECT key, value::text FROM bench.pairs")
        commands = "".join(f"*3\r\n$3\r\nSET\r\n${len(k)}\r\n{k}\r\n${len(v)}\r\n{v}\r\n" for k, v in pairs)
        subprocess.run(["redis-cli", "-s", self.socket, "--pipe"], input=commands.encode(), check=True, stdout=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


def figure_get(bench, server):
    redis = Redis(server)
    fill(server, "SELECT count(apibase.cache_set('tagged:' || key, value, '1 day', ARRAY['one:' || key, 'other'])) FROM bench.pairs")
    try:
        same, get, tagged, spi, remote = bench.take_turns(
            31, lambda: calls(server, "bench.same_bytes(text)", 500_000),
            lambda: calls(server, "apibase.cache_get(text)", 200_000),
            lambda: calls(server, "apibase.cache_get(text)", 200_000, "tagged"),
            lambda: server.value("SELECT bench.spi_gets('SELECT value FROM bench.pairs WHERE key = $1', keys, 10000) FROM bench.keys"),
            lambda: server.value(f"SELECT bench.redis_gets('{redis.socket}', keys, 2000) FROM bench.keys"))
    finally:
        redis.close()
    size = server.value("SELECT round(avg(pg_column_size(value))) FROM bench.pairs")
    bench.say("### A get of the cache")
    bench.say()
    bench.say(f"{KEYS:,} keys at random, values of {size} bytes, within one backend; 31 rounds. Redis answers over a unix socket, "
              "by the clock on the wall. The ratio is to `cache_get`.")
    bench.say()
    bench.say("| | ns | ratio | target |")
    bench.say("|---|---|---|---|")
    show, ratios, verdict = bench.show, bench.ratios, bench.verdict
    bench.say(f"| `cache_get(key)` | {show(get, '{:.0f}')} | 1 | |")
    bench.say(f"| the same of values with two tags, one of them a part (`one:...`) | {show(tagged, '{:.0f}')} "
              f"| {show(ratios(get, tagged), '{:.2f}')} | |")
    bench.say(f"| empty C function that returns as many bytes | {show(same, '{:.1f}')} | 1 / {show(ratios(same, get), '{:.1f}')} "
              f"| at most 8: {verdict(ratios(same, get), 8)} |")
    bench.say(f"| SELECT by primary key, unlogged table, saved plan | {show(spi, '{:.0f}')} | {show(ratios(get, spi), '{:.0f}')} "
              f"| at least 25: {verdict(ratios(get, spi), 25, at_most=False)} |")
    bench.say(f"| GET of Redis | {show(remote, '{:.0f}')} | {show(ratios(get, remote), '{:.0f}')} "
              f"| at least 150: {verdict(ratios(get, remote), 150, at_most=False)} |")
    bench.say()


def figure_cached(bench, server):
    fill(server, "SELECT count(bench.pair(key)) FROM bench.pairs", "SELECT count(bench.tracked(key)) FROM bench.pairs",
         f"SELECT count(apibase.cache_fetch('fetched:' || key, '{QUERY}', '1 day')) FROM bench.pairs")
    get, hit, tracked, fetched = bench.take_turns(
        31, lambda: calls(server, "apibase.cache_get(text)", 200_000),
        lambda: calls(server, "bench.pair(text)", 100_000),
        lambda: calls(server, "bench.tracked(text)", 100_000),
        lambda: server.value("SELECT bench.fetches(p.oid, '" + QUERY + "', fetched, 100000) FROM bench.keys, pg_proc p "
                             "WHERE p.proname = 'cache_fetch' AND p.pronamespace = 'apibase'::regnamespace"))
    bench.say("### A hit of a cached function")
    bench.say()
    bench.say("The same keys and values; 31 rounds. Tags of what was read: with `track`, as is usual.")
    bench.say()
    bench.say("| | ns | more | target |")
    bench.say("|---|---|---|---|")
    bench.say(f"| `cache_get(key)` | {bench.show(get, '{:.0f}')} | | |")
    for name, times, bound in (("`pair(key)`, decorated by `cached`, without tags", hit, 1000),
                               ("the same with the tags of what was read", tracked, 1000),
                               ("`cache_fetch(key, query)`, with the tags of what was read", fetched, None)):
        more = bench.differences(get, times)
        target = f"at most 1,000: {bench.verdict(more, bound)}" if bound else ""
        bench.say(f"| {name} | {bench.show(times, '{:.0f}')} | {bench.show(more, '{:.0f}')} | {target} |")
    bench.say()


def figure_set(bench, server):
    fill(server)
    limit = int(server.value("SHOW apibase.cache_max_entries"))
    value = "(SELECT value FROM bench.pairs LIMIT 1)"
    first = [1]

    def sets(turns):
        nanoseconds = server.value(f"SELECT bench.sets('apibase.cache_set(text, jsonb, interval, text[])', {value}, {first[0]}, {turns})")
        first[0] += turns
        return nanoseconds

    def gets(turns):
        """Of as many keys as elsewhere, the last ones set."""
        return server.value(f"SELECT bench.calls('apibase.cache_get(text)', array_agg(i::text), {turns}) "
                            f"FROM generate_series({first[0] - KEYS}, {first[0] - 1}) i")

    server.run("SET apibase.cache_default_ttl = 0")
    sets(limit)
    before = server.value("SELECT sum(evictions) FROM apibase.cache_stats")
    turns = 50_000
    rounds = 21
    get, results = bench.take_turns(rounds, lambda: gets(200_000), lambda: sets(turns))
    evicted = server.value("SELECT sum(evictions) FROM apibase.cache_stats") - before
    if evicted != (rounds + 1) * turns:
        raise SystemExit(f"{(rounds + 1) * turns} sets have evicted {evicted} entries")
    fill(server)
    server.run("RESET apibase.cache_default_ttl")
    ratio = bench.ratios(get, results)
    bench.say("### A set that evicts")
    bench.say()
    bench.say(f"New keys into a full cache of {limit:,} entries: each set evicts one; {rounds} rounds of {turns:,}.")
    bench.say()
    bench.say("| `cache_set`, ns | ratio to `cache_get` | target |")
    bench.say("|---|---|---|")
    bench.say(f"| {bench.show(results, '{:.0f}')} | {bench.show(ratio, '{:.1f}')} | at most 5: {bench.verdict(ratio, 5)} |")
    bench.say()


def figure_two(bench, server):
    fill(server)
    second = bench.Server()

    def count(sessions, function):
        """Calls within a second of all sessions together."""
        start = time.time() + 0.05
        found = []
        threads = [threading.Thread(target=lambda s=s: found.append(
            s.value(f"SELECT bench.calls_within('{function}', keys, {start}, 400) FROM bench.keys"))) for s in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(found) / 0.4

    bench.say("### Two sessions at once")
    bench.say()
    bench.say(f"{KEYS:,} keys at random; calls in windows of 400 ms; 11 rounds. The empty function shows what the machine gives.")
    bench.say()
    bench.say("| | one, millions a second | two | ratio | target |")
    bench.say("|---|---|---|---|---|")
    for name, function in (("empty C function of as many bytes", "bench.same_bytes(text)"), ("`cache_get`", "apibase.cache_get(text)")):
        second.value("SELECT bench.same_bytes((SELECT max(pg_column_size(value)) FROM bench.pairs)::text) IS NOT NULL")
        one, two = bench.take_turns(11, lambda: count([server], function), lambda: count([server, second], function))
        target = f"at least 1.4: {bench.verdict(bench.ratios(one, two), 1.4, at_most=False)}" if "get" in function else ""
        bench.say(f"| {name} | {bench.show([v / 1e6 for v in one], '{:.1f}')} | {bench.show([v / 1e6 for v in two], '{:.1f}')} "
                  f"| {bench.show(bench.ratios(one, two), '{:.2f}')} | {target} |")
    bench.say()


def figure_watched(bench, server):
    def write(table):
        """Microseconds of an INSERT, and of an UPDATE of its rows (bench.execute runs each once more, to plan it)."""
        def execute(sql, turns):
            return server.value(f"SELECT bench.execute('{sql}', {turns})") / 1e3

        insert = execute(f"INSERT INTO bench.{table} SELECT i, ''name'' FROM generate_series(1, 1000) i", 20)
        server.run(f"TRUNCATE bench.{table}")
        server.run(f"INSERT INTO bench.{table} SELECT i, 'name' FROM generate_series(1, 1000) i")
        update = execute(f"UPDATE bench.{table} SET name = ''other''", 10)
        server.run(f"TRUNCATE bench.{table}")
        return insert, update

    bare, watched = bench.take_turns(31, lambda: write("bare"), lambda: write("watched"))
    bench.say("### Writing a watched table")
    bench.say()
    bench.say("Statements of 1,000 rows, with their triggers; 31 rounds of 20 INSERTs and 10 UPDATEs. What a commit adds is one word for each tag.")
    bench.say()
    bench.say("| | bare table, microseconds | watched | ratio | target |")
    bench.say("|---|---|---|---|---|")
    for i, name in enumerate(("INSERT", "UPDATE")):
        a, b = [times[i] for times in bare], [times[i] for times in watched]
        ratio = bench.ratios(a, b)
        bench.say(f"| {name} | {bench.show(a, '{:.0f}')} | {bench.show(b, '{:.0f}')} | {bench.show(ratio, '{:.3f}')} "
                  f"| at most 1.05: {bench.verdict(ratio, 1.05)} |")
    bench.say()


def figure_unused(bench, instructions):
    """Instructions of a statement with and without the library loaded."""
    if not instructions:
        return
    query = "SELECT bench.execute('SELECT count(*) FROM bench.items_nn WHERE id = 1', {n})"
    without = instructions.each(query, 200, 2200, preload=False)
    loaded = instructions.each(query, 200, 2200, preload=True)
    bench.say("### Loaded and not used")
    bench.say()
    bench.say("Instructions to execute a SELECT by primary key that is already planned, without and with apibase preloaded.")
    bench.say()
    bench.say("| without | preloaded | more | target |")
    bench.say("|---|---|---|---|")
    more = (loaded - without) / without
    bench.say(f"| {without:,} | {loaded:,} | {more:.2%} | at most 1 %: {'kept' if more <= 0.01 else '**missed**'} |")
    bench.say()


def figures(bench, server, instructions):
    helper = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper", "bench_cache")
    server.run(SETUP.format(helper=helper, keys=KEYS))
    server.run("VACUUM ANALYZE bench.pairs")
    return {
        "get": lambda: figure_get(bench, server),
        "cached": lambda: figure_cached(bench, server),
        "set": lambda: figure_set(bench, server),
        "two": lambda: figure_two(bench, server),
        "watched": lambda: figure_watched(bench, server),
        "unused": lambda: figure_unused(bench, instructions),
    }
