"""The figures of the bus and of events; bench.py runs them."""

import os
import time

SETUP = """
CREATE TYPE bench.command AS (id integer, name text);
CREATE TYPE bench.query AS (id integer, name text);
CREATE TYPE bench.happened AS (id integer, name text, amount numeric);
CREATE FUNCTION bench.handle(bench.command) RETURNS integer LANGUAGE c AS '{helper}', 'bench_trivial';
CREATE FUNCTION bench.messages(regprocedure, anyelement, integer) RETURNS float8 LANGUAGE c AS '{helper}', 'bench_messages';
CREATE FUNCTION bench.answer(bench.query) RETURNS jsonb LANGUAGE sql STABLE AS
    'SELECT jsonb_build_object(''id'', $1.id, ''name'', $1.name, ''note'', repeat(''x'', 40))';
SELECT apibase.register_command('bench.command', 'bench.handle(bench.command)');
SELECT apibase.register_query('bench.query', 'bench.answer(bench.query)', cache_ttl => '1 day');

-- What a dispatch is without the extension: the handler's name from a table, EXECUTE, and a block with EXCEPTION.
CREATE TABLE bench.handlers (message regtype PRIMARY KEY, handler text NOT NULL);
INSERT INTO bench.handlers VALUES ('bench.command', 'bench.handle');
CREATE FUNCTION bench.dispatch(message anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    found text;
    answer jsonb;
BEGIN
    SELECT handler INTO STRICT found FROM bench.handlers h WHERE h.message = pg_typeof($1);
    EXECUTE format('SELECT to_jsonb(%s($1))', found) INTO answer USING message;
    RETURN jsonb_build_object('ok', true, 'value', answer);
EXCEPTION WHEN OTHERS THEN
    RETURN jsonb_build_object('ok', false, 'error', jsonb_build_object('code', SQLSTATE, 'detail', SQLERRM));
END $$;

-- The outbox without the extension: the same columns, and one index.
CREATE TABLE bench.outbox (LIKE apibase.outbox INCLUDING ALL);
CREATE SEQUENCE bench.batch;
CREATE PROCEDURE bench.insert_and_commit(turns integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. turns LOOP
        INSERT INTO bench.outbox (batch, ordinal, id, aggregatetype, type, source, payload, "timestamp")
        VALUES (nextval('bench.batch'), 1, gen_random_uuid(), 'happened', 'bench.happened', '/bench',
                to_jsonb(ROW(i, 'something', 1.5)::bench.happened), clock_timestamp());
        COMMIT;
    END LOOP;
END $$;
CREATE PROCEDURE bench.emit_and_commit(turns integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. turns LOOP
        PERFORM apibase.emit(ROW(i, 'something', 1.5)::bench.happened);
        COMMIT;
    END LOOP;
END $$;
"""


def calls(server, function, message, turns):
    return server.value(f"SELECT bench.messages('{function}', {message}, {turns})")


def figure_dispatch(bench, server):
    message = "ROW(1, 'one')::bench.command"
    plain, dispatched, by_hand = bench.take_turns(
        31, lambda: calls(server, "bench.handle(bench.command)", message, 500_000),
        lambda: calls(server, "apibase.command(anyelement, jsonb)", message, 50_000),
        lambda: calls(server, "bench.dispatch(anyelement)", message, 10_000))
    more = bench.differences(plain, dispatched)
    ratio = bench.ratios(dispatched, by_hand)
    bench.say("### A command")
    bench.say()
    bench.say("A handler in C that does nothing, within one backend and one transaction; 31 rounds. Subtransaction, metadata and counters included.")
    bench.say()
    bench.say("| | ns | | target |")
    bench.say("|---|---|---|---|")
    bench.say(f"| the function called | {bench.show(plain, '{:.0f}')} | | |")
    bench.say(f"| `command(message)` | {bench.show(dispatched, '{:.0f}')} | {bench.show(more, '{:.0f}')} more "
              f"| at most 4,000 more: {bench.verdict(more, 4000)} |")
    bench.say(f"| PL/pgSQL: the handler from a table, EXECUTE, a block with EXCEPTION | {bench.show(by_hand, '{:.0f}')} "
              f"| {bench.show(ratio, '{:.1f}')} times `command` | at least 5 times: {bench.verdict(ratio, 5, at_most=False)} |")
    bench.say()


def figure_query(bench, server):
    message = "ROW(1, 'one')::bench.query"
    server.value(f"SELECT apibase.query({message})")
    plain, hit = bench.take_turns(
        31, lambda: calls(server, "bench.handle(bench.command)", "ROW(1, 'one')::bench.command", 500_000),
        lambda: calls(server, "apibase.query(anyelement, jsonb)", message, 100_000))
    bench.say("### A query that the cache answers")
    bench.say()
    bench.say("31 rounds.")
    bench.say()
    bench.say("| | ns | target |")
    bench.say("|---|---|---|")
    bench.say(f"| a function called that does nothing | {bench.show(plain, '{:.0f}')} | |")
    bench.say(f"| `query(message)`, a hit | {bench.show(hit, '{:.0f}')} | at most 2,000: {bench.verdict(hit, 2000)} |")
    bench.say()


def figure_emit(bench, server):
    def wall(procedure, turns):
        start = time.perf_counter()
        server.run(f"CALL bench.{procedure}({turns})")
        return (time.perf_counter() - start) / turns * 1e6

    bench.say("### An event emitted and committed")
    bench.say()
    bench.say("One event a transaction, in a loop in a procedure, by the clock on the wall; 21 rounds. The bare INSERT is into a table of the same "
              "columns and index, into which a number from a sequence, a random id and the payload as jsonb go.")
    bench.say()
    bench.say("| commit | INSERT, microseconds | `emit` | ratio | target |")
    bench.say("|---|---|---|---|---|")
    for commit, turns in (("on", 500), ("off", 5000)):
        server.run(f"SET synchronous_commit = {commit}")
        bare, emitted = bench.take_turns(21, lambda: wall("insert_and_commit", turns), lambda: wall("emit_and_commit", turns))
        ratio = bench.ratios(bare, emitted)
        bench.say(f"| `synchronous_commit = {commit}` | {bench.show(bare, '{:.0f}')} | {bench.show(emitted, '{:.0f}')} "
                  f"| {bench.show(ratio, '{:.2f}')} | at most 1.3: {bench.verdict(ratio, 1.3)} |")
    server.run("RESET synchronous_commit")
    bench.say()


def figures(bench, server):
    helper = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper", "bench_bus")
    server.run(SETUP.format(helper=helper))
    return {
        "dispatch": lambda: figure_dispatch(bench, server),
        "query": lambda: figure_query(bench, server),
        "emit": lambda: figure_emit(bench, server),
    }
