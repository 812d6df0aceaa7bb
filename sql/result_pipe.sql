-- Functions over results: result_map, result_bind, result_map_err, pipe, pipe_all.
\set VERBOSITY terse
SET client_min_messages = warning;
\pset null NULL
CREATE SCHEMA app;
CREATE ROLE regress_pipe;
GRANT USAGE ON SCHEMA app TO regress_pipe;
CREATE TABLE app.trace (n integer GENERATED ALWAYS AS IDENTITY, step text);
GRANT ALL ON app.trace TO PUBLIC;
CREATE TYPE app.pair AS (a integer, b text);
CREATE DOMAIN app.positive AS integer CONSTRAINT positive_only CHECK (VALUE > 0);

CREATE FUNCTION app.double(n integer) RETURNS integer LANGUAGE sql AS 'INSERT INTO app.trace (step) VALUES (''double'') RETURNING 2 * double.n';
CREATE FUNCTION app.as_text(n bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'n=' || n; END $$;
CREATE FUNCTION app.make_pair(t text) RETURNS app.pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW(length(t), t)::app.pair';
CREATE FUNCTION app.second(p app.pair) RETURNS text LANGUAGE plpgsql AS 'BEGIN p.a := 0; RETURN p.b; END';
CREATE FUNCTION app.fail(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.trace (step) VALUES ('fail');
    RAISE EXCEPTION 'too many: %', n USING ERRCODE = 'P0002';
END $$;
CREATE FUNCTION app.fail_inside(n integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1 / (n - n); END';
CREATE FUNCTION app.break(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = 'XX000'; END $$;
CREATE FUNCTION app.half(n integer) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.trace (step) VALUES ('half');
    IF n % 2 = 1 THEN RETURN apibase.err(apibase.problem(409, 'it is odd')); END IF;
    RETURN apibase.ok(n / 2);
END $$;
CREATE FUNCTION app.no_result(n integer) RETURNS apibase.result LANGUAGE sql AS 'SELECT NULL::apibase.result';
CREATE FUNCTION app.document(d jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT d || '{"seen": true}' $$;
CREATE FUNCTION app.old_document(d json) RETURNS json LANGUAGE sql AS $$ SELECT d $$;
CREATE FUNCTION app.nothing(n integer) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION app.null_for(n integer) RETURNS integer LANGUAGE sql AS 'SELECT NULL::integer';
CREATE FUNCTION app.strict_one(n integer) RETURNS integer LANGUAGE sql STRICT AS 'SELECT 1';
CREATE FUNCTION app.or_zero(n integer) RETURNS integer LANGUAGE sql AS 'SELECT coalesce(n, 0)';
CREATE FUNCTION app.series(n integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, n)';
CREATE FUNCTION app.two(a integer, b integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION app.none() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE app.proc(n integer) LANGUAGE sql AS '';
CREATE FUNCTION app.take_positive(n app.positive) RETURNS app.positive LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION app.first_of(list anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT list[1]';
CREATE FUNCTION app.list_of(x anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT ARRAY[x, x]';
CREATE FUNCTION app.plus_one(list integer[]) RETURNS integer[] LANGUAGE plpgsql AS 'BEGIN list[1] := list[1] + 1; RETURN list; END';
CREATE FUNCTION app.plus_one_and_fail(list integer[]) RETURNS integer[] LANGUAGE plpgsql AS
    $$ BEGIN list[1] := list[1] + 1; RAISE EXCEPTION 'after a change' USING ERRCODE = 'P0001'; END $$;
CREATE FUNCTION app.upper_of(t text) RETURNS text LANGUAGE sql AS 'SELECT upper(t)';
CREATE FUNCTION app.reverse_words(t varchar) RETURNS text LANGUAGE sql AS 'SELECT reverse(t)';
CREATE FUNCTION app.any_record(r record) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN r::text; END';
CREATE FUNCTION app.both(n integer, OUT a integer, OUT b text) LANGUAGE sql AS $$ SELECT n, 'b' $$;
CREATE FUNCTION app.soften(problem jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT problem || '{"detail": "softened"}' $$;
CREATE FUNCTION app.leave(problem jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION app.no_object(problem jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
CREATE FUNCTION app.definer(n integer) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog SET work_mem = '1MB' AS
    $$ SELECT current_user || ' ' || current_setting('work_mem') || ' ' || current_setting('search_path') $$;

-- result_map
SELECT apibase.result_map(apibase.ok(21), 'app.double(integer)');
SELECT apibase.result_map(apibase.ok('{"a": 1}'), 'app.document(jsonb)');
SELECT apibase.result_map(apibase.ok('{"a": 1, "b": "x"}'), 'app.second(app.pair)');
SELECT apibase.result_map(apibase.ok('{"a": 1, "c": "x"}'), 'app.second(app.pair)');
SELECT apibase.result_map(apibase.ok(1), 'app.nothing(integer)'), apibase.result_map(apibase.ok(1), 'app.null_for(integer)');
SELECT apibase.result_map(apibase.ok(NULL::integer), 'app.strict_one(integer)'), apibase.result_map(apibase.ok(NULL::integer), 'app.or_zero(integer)');
SELECT apibase.result_map(apibase.ok(1), 'app.both(integer)'), apibase.result_map(apibase.ok('x'::text), 'app.make_pair(text)');
SELECT apibase.result_map(apibase.ok(1), 'app.definer(integer)') IS NOT DISTINCT FROM apibase.ok(current_user || ' 1MB pg_catalog');
SELECT apibase.result_map(apibase.ok('[1, 2]'), 'to_jsonb(anyelement)'), apibase.result_map(apibase.ok('[1, 2]'), 'pg_typeof("any")');
SELECT apibase.result_map(apibase.err(apibase.problem(404, 'gone')), 'app.double(integer)');
SELECT apibase.result_map(NULL, 'app.double(integer)'), apibase.result_map(apibase.ok(1), NULL);
-- what a function raises becomes a problem, and what it has done is undone
TRUNCATE app.trace;
SELECT apibase.result_map(apibase.ok(3), 'app.fail(integer)');
SELECT apibase.result_map(apibase.ok(3), 'app.fail_inside(integer)');
SELECT (r).ok, (r).error - 'instance', (r).error ->> 'instance' ~ '^urn:uuid:[0-9a-f-]{36}$' FROM apibase.result_map(apibase.ok(3), 'app.break(integer)') r;
SELECT step FROM app.trace;
-- what cannot be applied
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT apibase.result_map(apibase.ok(1), 'app.half(integer)');
SELECT apibase.result_map(apibase.ok(1), 'app.series(integer)');
SELECT apibase.result_map(apibase.ok(1), 'app.two(integer, integer)');
SELECT apibase.result_map(apibase.ok(1), 'app.none()');
SELECT apibase.result_map(apibase.ok(1), 'app.proc(integer)');
SELECT apibase.result_map(apibase.ok(1), 'sum(integer)');
SELECT apibase.result_map(apibase.ok(1), 0);
SELECT apibase.result_map(apibase.err('{}'), 'app.first_of(anyarray)');
SELECT apibase.result_map(row(NULL, '1', NULL, false)::apibase.result, 'app.document(jsonb)');
\set VERBOSITY terse
-- the privilege to execute is asked for, also where there is nothing to execute
REVOKE ALL ON FUNCTION app.double(integer), app.half(integer), app.soften(jsonb) FROM PUBLIC;
SET ROLE regress_pipe;
SELECT apibase.result_map(apibase.err('{}'), 'app.double(integer)');
SELECT apibase.result_bind(apibase.err('{}'), 'app.half(integer)');
SELECT apibase.result_map_err(apibase.ok(1), 'app.soften(jsonb)');
TRUNCATE app.trace;
SELECT apibase.pipe(1, 'app.or_zero(integer)', 'app.double(integer)');
SELECT apibase.pipe_all(1, 'app.or_zero(integer)', 'app.double(integer)');
RESET ROLE;
GRANT EXECUTE ON FUNCTION app.double(integer), app.half(integer) TO PUBLIC;

-- result_bind
SELECT apibase.result_bind(apibase.ok(8), 'app.half(integer)'), apibase.result_bind(apibase.ok(7), 'app.half(integer)');
SELECT apibase.result_bind(apibase.err(apibase.problem(404, 'gone')), 'app.half(integer)');
SELECT apibase.result_bind(apibase.ok(8), 'app.no_result(integer)');
SELECT apibase.result_bind(apibase.ok('"x"'), 'apibase.ok("any")'), apibase.result_bind(apibase.ok('{"status": 409}'), 'apibase.err(jsonb)');
SELECT apibase.result_bind(apibase.ok('"x"'), 'app.half(integer)');
\set VERBOSITY default
SELECT apibase.result_bind(apibase.ok(8), 'app.double(integer)');
\set VERBOSITY terse
-- that it is a replay stays known
SELECT (apibase.result_bind(ROW(true, '8', NULL, true)::apibase.result, 'app.half(integer)')).replayed,
    (apibase.result_map(ROW(true, '8', NULL, true)::apibase.result, 'app.double(integer)')).replayed,
    (apibase.result_map(ROW(true, '8', NULL, true)::apibase.result, 'app.fail(integer)')).replayed;

-- result_map_err
SELECT apibase.result_map_err(apibase.err(apibase.problem(404, 'gone')), 'app.soften(jsonb)');
SELECT apibase.result_map_err(apibase.err(apibase.problem(404, 'gone')), 'app.leave(jsonb)');
SELECT apibase.result_map_err(apibase.err(apibase.problem(404, 'gone')), 'app.old_document(json)');
SELECT apibase.result_map_err(apibase.err(apibase.problem(404, 'gone')), 'app.no_object(jsonb)');
SELECT apibase.result_map_err(apibase.ok(1), 'app.soften(jsonb)');
SELECT apibase.result_map_err(apibase.ok(1), 'app.double(integer)');

-- pipe: values are converted as they would be implicitly
TRUNCATE app.trace;
SELECT apibase.pipe(20, 'app.double(integer)', 'app.as_text(bigint)', 'app.make_pair(text)', 'app.second(app.pair)');
SELECT apibase.pipe(1::smallint, 'app.double(integer)', 'app.take_positive(app.positive)', 'app.double(integer)');
SELECT apibase.pipe('a b'::text, 'app.reverse_words(varchar)', 'app.upper_of(text)');
SELECT apibase.pipe(4, 'app.list_of(anyelement)', 'app.plus_one(integer[])', 'app.first_of(anyarray)', 'app.as_text(bigint)');
SELECT apibase.pipe(8, 'app.half(integer)', 'app.half(integer)', 'app.as_text(bigint)', 'app.upper_of(text)');
SELECT apibase.pipe(NULL::integer, 'app.strict_one(integer)', 'app.or_zero(integer)'), apibase.pipe(NULL, 'app.document(jsonb)');
SELECT apibase.pipe(ROW(1, 'x'), 'app.any_record(record)'), apibase.pipe(ROW(1, 'x')::app.pair, 'to_jsonb(anyelement)');
SELECT apibase.pipe(1, VARIADIC '{}'), apibase.pipe('{"a": 1}', VARIADIC '{}'), apibase.pipe(ROW(1, 'x')::app.pair, VARIADIC '{}');
SELECT apibase.pipe('{"a": 1}', 'app.document(jsonb)', 'app.old_document(json)', 'app.document(jsonb)');
SELECT apibase.pipe(1, 'app.nothing(integer)'), apibase.pipe(1, 'app.both(integer)', 'app.any_record(record)');
SELECT apibase.pipe(3, VARIADIC ARRAY(SELECT 'app.double(integer)'::regprocedure FROM generate_series(1, 20)));
-- a result at the beginning is opened
SELECT apibase.pipe(apibase.ok(4), 'app.half(integer)'), apibase.pipe(apibase.err('{"status": 404}'), 'app.half(integer)'), apibase.pipe(NULL::apibase.result, 'app.or_zero(integer)');
SELECT apibase.pipe(apibase.ok('{"a": 1, "b": "x"}'), 'app.second(app.pair)');
-- it ends at the first problem, and what was done before it stays
TRUNCATE app.trace;
SELECT apibase.pipe(6, 'app.double(integer)', 'app.half(integer)', 'app.half(integer)', 'app.half(integer)', 'app.double(integer)');
SELECT apibase.pipe(6, 'app.double(integer)', 'app.fail(integer)', 'app.double(integer)');
SELECT apibase.pipe(-6, 'app.double(integer)', 'app.take_positive(app.positive)', 'app.double(integer)');
SELECT apibase.pipe(apibase.ok('x'::text), 'app.or_zero(integer)', 'app.double(integer)');
SELECT step FROM app.trace ORDER BY n;
-- steps that do not fit are refused before the first one runs
\set VERBOSITY default
\set SHOW_CONTEXT never
TRUNCATE app.trace;
SELECT apibase.pipe('x'::text, 'app.double(integer)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.upper_of(text)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.as_text(bigint)', 'app.double(integer)');
SELECT apibase.pipe('{"a": 1}', 'app.second(app.pair)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.document(jsonb)');
SELECT apibase.pipe(1::bigint, 'app.double(integer)');
SELECT apibase.pipe(ROW(1, 'x'), 'app.second(app.pair)');
SELECT apibase.pipe(1, 'app.nothing(integer)', 'app.double(integer)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.first_of(anyarray)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.series(integer)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.two(integer,integer)');
SELECT apibase.pipe(1, 'app.double(integer)', 'app.proc(integer)');
SELECT apibase.pipe(1, 'app.double(integer)', NULL);
SELECT apibase.pipe(1, VARIADIC NULL::regprocedure[]);
SELECT apibase.pipe(apibase.err('{}'), 'app.double(integer)', 'app.upper_of(text)');
SELECT count(*) FROM app.trace;
\set VERBOSITY terse

-- pipe_all goes on without what fails
TRUNCATE app.trace;
SELECT apibase.pipe_all(3, 'app.double(integer)', 'app.or_zero(integer)', 'app.as_text(bigint)');
\pset format unaligned
SELECT (r).ok, (r).value, jsonb_pretty((r).error) FROM apibase.pipe_all(3, 'app.double(integer)', 'app.fail(integer)', 'app.half(integer)', 'app.half(integer)',
    'app.double(integer)') r;
SELECT (r).ok, (r).value, (r).error ->> 'detail', (r).error -> 'errors' FROM apibase.pipe_all('{1,2}'::integer[], 'app.plus_one(integer[])',
    'app.plus_one_and_fail(integer[])', 'app.plus_one(integer[])') r;
SELECT (r).ok, (r).value, (r).error - 'errors', (r).error -> 'errors' FROM apibase.pipe_all(apibase.ok('{"a": "x", "c": 1}'), 'app.second(app.pair)') r;
SELECT (r).ok, (r).value, (r).error -> 'errors' FROM apibase.pipe_all(-1, 'app.or_zero(integer)', 'app.take_positive(app.positive)', 'app.or_zero(integer)', 'app.as_text(bigint)') r;
\pset format aligned
SELECT step FROM app.trace ORDER BY n;
SELECT apibase.pipe_all(apibase.err(apibase.problem(404, 'gone')), 'app.double(integer)');
-- whatever may arrive at a step must fit it
\set VERBOSITY default
SELECT apibase.pipe_all(3, 'app.as_text(bigint)', 'app.upper_of(text)');
SELECT apibase.pipe_all(3, 'app.half(integer)', 'app.upper_of(text)');
\set VERBOSITY terse

-- that the query is to end is no problem of a step
CREATE FUNCTION app.cancelled(n integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN 1; END';
SELECT apibase.pipe(1, 'app.cancelled(integer)');
SELECT apibase.pipe_all(1, 'app.cancelled(integer)');
SELECT apibase.result_map(apibase.ok(1), 'app.cancelled(integer)');
SET statement_timeout = '20ms';
CREATE FUNCTION app.slow(n integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN 1; END';
SELECT apibase.pipe(1, 'app.slow(integer)');
RESET statement_timeout;

-- a step that calls a pipeline, to a depth
CREATE FUNCTION app.down(n integer) RETURNS apibase.result LANGUAGE sql AS
    $$ SELECT CASE WHEN n = 0 THEN apibase.ok('bottom'::text) ELSE apibase.pipe(n - 1, 'app.down(integer)') END $$;
SELECT apibase.pipe(30, 'app.down(integer)');
CREATE FUNCTION app.for_ever(n integer) RETURNS apibase.result LANGUAGE sql AS $$ SELECT apibase.unwrap(apibase.pipe(n + 1, 'app.for_ever(integer)'))::text::apibase.result $$;
SELECT (apibase.pipe(1, 'app.for_ever(integer)')).error -> 'status';

-- results that were made by hand: what lacks members gets them, what is no problem is refused
CREATE FUNCTION app.by_hand(error jsonb) RETURNS apibase.result LANGUAGE sql AS $$ SELECT ROW(false, NULL, error, NULL)::apibase.result $$;
SELECT apibase.pipe('{"status": 404}'::jsonb, 'app.by_hand(jsonb)');
SELECT apibase.pipe_all('{"status": 404}'::jsonb, 'app.by_hand(jsonb)');
SELECT apibase.pipe(app.by_hand('{}'), 'app.half(integer)');
SELECT e, (apibase.pipe(e, 'app.by_hand(jsonb)')).error ->> 'detail' AS one, (apibase.pipe_all(e, 'app.by_hand(jsonb)')).error -> 'errors' -> 0 ->> 'detail' AS "all"
FROM (VALUES ('5'::jsonb), ('"x"'), ('[{"detail": 1}]'), ('null'), (NULL)) v (e);
SELECT apibase.pipe(app.by_hand('5'), 'app.half(integer)');

-- row by row, and in a transaction that goes on
SELECT n, apibase.pipe(n, 'app.half(integer)', 'app.double(integer)') IS NOT DISTINCT FROM apibase.ok(n) AS even FROM generate_series(1, 4) n;

DROP SCHEMA app CASCADE;
DROP ROLE regress_pipe;
