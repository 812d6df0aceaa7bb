-- result: results, made and taken apart.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
DROP SCHEMA IF EXISTS result CASCADE;
DROP ROLE IF EXISTS regress_result;
CREATE SCHEMA result;
CREATE TYPE result.pair AS (a int, b text);
CREATE DOMAIN result.quantity AS int CHECK (VALUE > 0);

-- A value of any type, as to_jsonb() has it. A literal without a type is JSON.
SELECT apibase.ok();
SELECT (r).ok, (r).value, (r).error, (r).replayed, pg_typeof(r) FROM (VALUES
    (1, apibase.ok(NULL)), (2, apibase.ok(NULL::text)), (3, apibase.ok(17)), (4, apibase.ok('text'::text)), (5, apibase.ok('"text"')),
    (6, apibase.ok('{"a": [1, null]}')), (7, apibase.ok('null')), (8, apibase.ok(true)), (9, apibase.ok(1.50)),
    (10, apibase.ok(ROW(1, 'x')::result.pair)), (11, apibase.ok(ARRAY[1, 2])), (12, apibase.ok('{"b": 1}'::jsonb)),
    (13, apibase.ok('{"c":  1}'::json)), (14, apibase.ok(5::result.quantity)), (15, apibase.ok(timestamptz '2026-01-02 03:04:05+00')),
    (16, apibase.ok(apibase.ok(1)))) v (i, r) ORDER BY i;
SELECT errors.of($$SELECT apibase.ok('text')$$);
SELECT count(*), min((r).value::text), max((r).value::text) FROM (SELECT apibase.ok(n) AS r FROM generate_series(1, 9) n) s;

-- A problem: type, title, status and code are added, what counts as not given goes.
SELECT apibase.unwrap_err(apibase.err(p)) FROM (VALUES
    (1, jsonb '{}'), (2, '{"status": 404}'), (3, '{"status": 404.0}'), (4, '{"status": 200}'), (5, '{"status": "404"}'), (6, '{"status": 1e999}'),
    (7, '{"code": "23505"}'), (8, '{"code": "OUT_OF_STOCK", "status": 409}'), (9, '{"code": null, "status": 409}'),
    (10, '{"type": "about:blank", "title": "Teapot", "status": 418}'), (11, '{"type": 1, "title": [], "detail": {}, "instance": 5, "errors": "x", "own": null}'),
    (12, '{"detail": "d", "instance": "urn:x", "errors": [{"pointer": "/a"}], "own": {"deep": [null]}, "status": 422}')) v (i, p) ORDER BY i;
SELECT errors.of(format('SELECT apibase.err(%L)', p)) FROM unnest(ARRAY['[]', '"text"', '1', 'null', '[{}]']) p;
SELECT apibase.unwrap_err(apibase.err(p)) = p AS again FROM (SELECT apibase.unwrap_err(apibase.err('{"status": 418, "own": 1}')) AS p) s;

-- Taken apart.
SELECT apibase.is_ok(r), apibase.is_err(r), apibase.unwrap_or(r, '"other"'), apibase.unwrap_or(r, NULL) AS or_null, apibase.unwrap_err(r), r::jsonb
FROM (VALUES (1, apibase.ok(1)), (2, apibase.ok(NULL)), (3, apibase.err('{"status": 409}')), (4, NULL)) v (i, r) ORDER BY i;
SELECT apibase.unwrap(apibase.ok('[1]')), apibase.unwrap(apibase.ok()) IS NULL AS none, apibase.unwrap(NULL) IS NULL AS null_result;
SELECT errors.of($$SELECT apibase.unwrap(apibase.err('{"status": 409, "detail": "it is taken", "own": [1]}'))$$);
SELECT errors.of($$SELECT apibase.unwrap(apibase.err('{"code": "40001", "detail": "once more"}'))$$);
SELECT apibase.err(NULL) IS NULL AS null_problem;
SELECT ROW(true, '1', NULL, true)::apibase.result::jsonb, ROW(false, NULL, '{"a": 1}', true)::apibase.result::jsonb,
    ROW(true, '1', '{"ignored": 1}', NULL)::apibase.result::jsonb;

-- By hand, and kept in tables, long ones too.
CREATE TABLE result.kept (id int, r apibase.result);
INSERT INTO result.kept VALUES (1, apibase.ok(repeat('abc', 100000))), (2, apibase.err('{"status": 409}')), (3, NULL),
    (4, ROW(false, NULL, jsonb_build_object('long', repeat('abc', 100000)), true));
SELECT id, apibase.is_ok(r), length(apibase.unwrap_or(r, NULL) #>> '{}'), length(r::jsonb::text) FROM result.kept ORDER BY id;
SELECT id, errors.of(format('SELECT apibase.is_ok(ROW(%s)::apibase.result)', fields)) FROM (VALUES
    (1, 'NULL, NULL, NULL, NULL'), (2, $$NULL, '1', NULL, false$$), (3, $$false, '1', NULL, false$$)) v (id, fields) ORDER BY id;
SELECT errors.of($$SELECT apibase.unwrap(ROW(false, NULL, '[]', NULL)::apibase.result)$$);

-- The type of problems.
SET apibase.problem_type_base = 'https://example.com/problems/';
SELECT apibase.unwrap_err(apibase.err('{"status": 404}')) ->> 'type' AS named, apibase.unwrap_err(apibase.err('{"status": 418}')) ->> 'type' AS numbered;
RESET apibase.problem_type_base;
CREATE ROLE regress_result;
GRANT USAGE ON SCHEMA errors TO regress_result;
SET ROLE regress_result;
SELECT errors.of($$SET apibase.problem_type_base = ''$$);
RESET ROLE;

-- What the planner and parallel workers may do with them.
SELECT p.oid::regprocedure::text AS function, p.provolatile AS v, p.proisstrict AS strict, p.proparallel AS par
FROM pg_proc p WHERE p.pronamespace = 'apibase'::regnamespace
    AND p.proname ~ '^(ok|err|is_ok|is_err|unwrap.*|result_to_jsonb|problem.*|raise_.*)$' ORDER BY 1;

-- The extension made again in a session that knew the type: its OID is another one.
BEGIN;
DROP EXTENSION apibase CASCADE;
CREATE EXTENSION apibase;
SELECT pg_typeof(apibase.ok(1)), apibase.is_err(apibase.err('{}'));
ROLLBACK;
SELECT pg_typeof(apibase.ok(1)), apibase.is_err(apibase.err('{}'));

DROP SCHEMA result, errors CASCADE;
DROP ROLE regress_result;
