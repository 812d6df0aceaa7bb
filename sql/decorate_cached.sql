-- decorate_cached: the decorator cached. For every kind of function: the second call returns what the first one did, and does not run it.
-- Without shared memory (expected/decorate_cached_1.out) functions run each time.
SET client_min_messages = error;
\set SHOW_CONTEXT never
SELECT apibase.preloaded() AS preloaded \gset
DROP SCHEMA IF EXISTS decorate_cached CASCADE;
DROP ROLE IF EXISTS regress_decorate_reader;
CREATE SCHEMA decorate_cached;
SET search_path = decorate_cached;
-- how often functions have run
CREATE SEQUENCE runs;
CREATE FUNCTION ran() RETURNS bigint LANGUAGE sql AS $$ SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs $$;
CREATE PROCEDURE twice(query text) LANGUAGE plpgsql AS $$
DECLARE
    results text[];
    result text;
    before bigint := ran();
    between bigint;
BEGIN
    EXECUTE format('SELECT array_agg(result_::text) FROM (%s) result_', query) INTO results;
    between := ran();
    EXECUTE format('SELECT array_agg(result_::text)::text FROM (%s) result_', query) INTO result;
    RAISE INFO '% % % %: %', CASE WHEN results::text IS NOT DISTINCT FROM result THEN 'same' ELSE 'DIFFERENT' END,
        between - before, ran() - between, query, left(result, 80);
END $$;
CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT $1 $$;
SELECT apibase.cached('one(int)');
CALL twice('SELECT one(1)');
\if :preloaded
\else
DROP SCHEMA decorate_cached CASCADE;
\quit
\endif
SELECT apibase.cache_clear('fn:*') >= 0 AS cleared;
ALTER SEQUENCE runs RESTART;

CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN small_pair AS pair CHECK ((VALUE).a < 100);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE t (id int PRIMARY KEY, gone int, big text, p pair);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
INSERT INTO t SELECT i, i, repeat(md5(i::text), 200), ROW(i, 'b' || i)::pair FROM generate_series(1, 5) i;
ALTER TABLE t DROP COLUMN gone;
CREATE FUNCTION f_int(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a + 1; END $$;
CREATE FUNCTION f_bool(a float8) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a > 0; END $$;
CREATE FUNCTION f_numeric(a numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a; END $$;
CREATE FUNCTION f_text(a text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a || '!'; END $$;
CREATE FUNCTION f_name(a name) RETURNS name LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a || '!'; END $$;
CREATE FUNCTION f_uuid(a uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT a $$;
CREATE FUNCTION f_interval(a timestamptz) RETURNS interval LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT a - '2020-01-01' $$;
CREATE FUNCTION f_mood(a mood) RETURNS mood LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT a $$;
CREATE FUNCTION f_range(a int4range) RETURNS int4multirange LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT int4multirange(a) $$;
CREATE FUNCTION f_jsonb(a jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT a || '{"z": 1}' $$;
CREATE FUNCTION f_array(a int[]) RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); a[1] := 7; RETURN a; END $$;
CREATE FUNCTION f_toasted(a int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN (SELECT big FROM t WHERE id = a); END $$;
CREATE FUNCTION f_null(a int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN NULL; END $$;
CREATE FUNCTION f_pair(a int) RETURNS pair LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN ROW(a, 'p')::pair; END $$;
CREATE FUNCTION f_domain(a int) RETURNS small_pair LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN ROW(a, 'p')::pair; END $$;
CREATE FUNCTION f_row(a int) RETURNS t LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN (SELECT t FROM t WHERE id = a); END $$;
CREATE FUNCTION f_record(a int) RETURNS record LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN ROW(a, 'p'::text, 1.5); END $$;
CREATE FUNCTION f_out(a int, OUT x int, OUT y text) LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); x := a; y := 'y' || a; END $$;
CREATE FUNCTION f_inout(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); a := a + 1; END $$;
CREATE FUNCTION f_pairs(a int) RETURNS pair[] LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT ARRAY[ROW(a, 'x')::pair, NULL] $$;
CREATE FUNCTION s_int(a int) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN QUERY SELECT generate_series(1, a); END $$;
CREATE FUNCTION s_sql(a int) RETURNS SETOF int LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT NULLIF(generate_series(1, a), 2) $$;
CREATE FUNCTION s_rows(a int) RETURNS SETOF t LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT * FROM t WHERE id <= a $$;
CREATE FUNCTION s_table(a int) RETURNS TABLE (id int, big text) LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN QUERY SELECT t.id, t.big FROM t WHERE t.id <= a; END $$;
CREATE FUNCTION s_record(a int) RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN QUERY SELECT t.id, t.id::text FROM t WHERE t.id <= a; END $$;
CREATE FUNCTION s_atomic(a int) RETURNS SETOF pair BEGIN ATOMIC SELECT nextval('runs'); SELECT t.id, t.big FROM t WHERE id < a; END;
CREATE FUNCTION p_any(a anyelement, b anyarray) RETURNS anyelement LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN b[1]; END $$;
CREATE FUNCTION p_set(a anyelement) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN NEXT a; RETURN NEXT a; END $$;
CREATE FUNCTION p_table(a anyelement) RETURNS TABLE (x anyelement, y text) LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); x := a; y := pg_typeof(a); RETURN NEXT; END $$;
CREATE FUNCTION p_variadic(sep text, VARIADIC a int[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN array_to_string(a, sep); END $$;
CREATE FUNCTION a_row(a t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a.id || (a.p).b; END $$;
CREATE FUNCTION a_record(a record) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN to_json(a); END $$;
SELECT count(apibase.cached(p.oid::regprocedure)) FROM pg_proc p WHERE pronamespace = 'decorate_cached'::regnamespace AND proname ~ '^[fspa]_';

CALL twice('SELECT f_int(1)');
CALL twice('SELECT f_int(NULL)');
CALL twice('SELECT f_bool(-0.0)');
CALL twice('SELECT f_numeric(1.50)');
CALL twice('SELECT f_numeric(1.5)');
CALL twice('SELECT f_text(''a'') FROM generate_series(1, 3)');
CALL twice('SELECT f_text('''')');
CALL twice('SELECT f_name(''n'')');
CALL twice('SELECT f_uuid(''00000000-0000-0000-0000-000000000001'')');
CALL twice('SELECT f_interval(''2021-01-01'')');
CALL twice('SELECT f_mood(''happy'')');
CALL twice('SELECT f_range(''[1,5)'')');
CALL twice('SELECT f_jsonb(''{"a": [1, 2]}'')');
CALL twice('SELECT f_array(ARRAY[1, NULL])');
CALL twice('SELECT f_array(f_array(ARRAY[1, 2]))');
CALL twice('SELECT md5(f_toasted(1))');
CALL twice('SELECT f_null(1)');
CALL twice('SELECT f_pair(1)');
CALL twice('SELECT (f_pair(2)).b');
CALL twice('SELECT * FROM f_pair(3)');
CALL twice('SELECT f_domain(1)');
CALL twice('SELECT (f_domain(2)).a');
CALL twice('SELECT md5(f_row(1)::text)');
CALL twice('SELECT id, length(big), p FROM f_row(2)');
CALL twice('SELECT * FROM f_record(2) AS (a int, b text, c numeric)');
CALL twice('SELECT f_out(1)');
CALL twice('SELECT to_json(f_out(2))');
CALL twice('SELECT (f_out(3)).y');
CALL twice('SELECT * FROM f_out(4)');
CALL twice('SELECT f_inout(4)');
CALL twice('SELECT f_pairs(4)');
CALL twice('SELECT s_int(3)');
CALL twice('SELECT * FROM s_int(4)');
CALL twice('SELECT * FROM s_int(0)');
CALL twice('SELECT s_sql(3)');
CALL twice('SELECT * FROM s_sql(4) LIMIT 2');
CALL twice('SELECT id, length(big), p FROM s_rows(2)');
CALL twice('SELECT md5(s_rows(3)::text)');
CALL twice('SELECT id, length(big) FROM s_table(2)');
CALL twice('SELECT length(s_table(3)::text)');
CALL twice('SELECT * FROM s_record(3) AS (a int, b text)');
CALL twice('SELECT a, length(b) FROM s_atomic(3)');
CALL twice('SELECT count(*) FROM s_int(1000000)');
CALL twice('SELECT p_any(1, ARRAY[2])');
CALL twice('SELECT p_any(1::bigint, ARRAY[2::bigint])');
CALL twice('SELECT p_any(''a''::text, ARRAY[''b'', ''c''])');
CALL twice('SELECT id, length(big) FROM p_any(NULL::t, (SELECT array_agg(t) FROM t WHERE id = 1))');
CALL twice('SELECT p_set(7)');
CALL twice('SELECT p_set(''7''::text)');
CALL twice('SELECT * FROM p_table(NULL::date)');
CALL twice('SELECT * FROM p_table(NULL::time)');
CALL twice('SELECT p_variadic(''-'', 1, 2, 3)');
CALL twice('SELECT p_variadic(''-'', VARIADIC ARRAY[1, 2])');
CALL twice('SELECT a_row(t) FROM t');
CALL twice('SELECT a_record(ROW(1, 2))');
CALL twice('SELECT a_record(ROW(1, ''2''::text))');
CALL twice('SELECT a_record(ROW(1, ''without a type''))');
CALL twice('SELECT a_record(ROW(1, ''without another''))');
CALL twice('SELECT a_record(x) FROM (SELECT 1 AS q, 2 AS r) x');

-- Where the columns are known only from the row, it is computed each time.
CALL twice('SELECT f_record(1)');
-- The names of columns are the caller's, the types belong to the result.
CALL twice('SELECT * FROM f_record(2) AS (a int, bb text, c numeric)');
\set VERBOSITY terse
SELECT * FROM f_record(2) AS (a int, b int);
\set VERBOSITY default

-- A type changes: what was kept is not taken for it.
CREATE FUNCTION g_row() RETURNS t LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT t FROM t WHERE id::text = '1' $$;
CREATE FUNCTION g_rows() RETURNS t[] LANGUAGE sql AS $$ SELECT nextval('runs'); SELECT array_agg(t) FROM t WHERE id::text = '1' $$;
SELECT apibase.cached('g_row()', track => false), apibase.cached('g_rows()', track => false);
CALL twice('SELECT id, (g_row()).p FROM g_row()');
CALL twice('SELECT id FROM unnest(g_rows())');
ALTER TABLE t ADD COLUMN extra int DEFAULT 7;
CALL twice('SELECT extra, (g_row()).extra FROM g_row()');
DROP FUNCTION s_atomic;
ALTER TABLE t ALTER id TYPE text;
CALL twice('SELECT id || ''x'', extra FROM g_row()');
CALL twice('SELECT id || ''x'' FROM unnest(g_rows())');
ALTER TABLE t DROP COLUMN extra;
CALL twice('SELECT id FROM unnest(g_rows())');
ALTER TABLE t ALTER id TYPE int USING id::int;

-- Keys. Each call is another one.
CREATE FUNCTION k(a text, b text, c text DEFAULT 'c') RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('runs') $$;
SELECT apibase.cached('k(text,text,text)');
CREATE TABLE calls AS SELECT * FROM (VALUES ('a', 'b'), ('ab', ''), ('', 'ab'), (NULL, 'ab'), ('ab', NULL), (NULL, NULL), ('~', NULL), ('''1:a,''1:b,', ''),
    ('a,', 'b'), ('a', ',b'), ('~,', ''), (repeat('x', 2000), 'y'), (repeat('x', 2000), 'z'), (repeat('x', 2001), '')) v (a, b);
SELECT count(DISTINCT k(a, b)) = count(*) AS all_differ FROM calls;
SELECT ran() AS before \gset
SELECT count(DISTINCT k(a, b)) FROM calls;
SELECT ran() - :before AS ran;
-- one that is too long is shorter than that
SELECT count(*) AS entries, max(octet_length(key)) <= 1024 AS short FROM apibase.cache_entries WHERE key LIKE 'fn:decorate\_cached.k(%';
-- only some of the arguments
SELECT apibase.cached('k(text,text,text)', key => '{c,a}');
SELECT k('1', '2') = k('1', '3') AS same, k('1', '2') = k('1', '2', 'd') AS other, k('1', '2') = k('2', '2') AS other;
-- by the image, not by =
SELECT ran() AS before \gset
SELECT f_numeric(1.0), f_numeric(1.00), f_bool('0'), f_bool('-0');
SELECT ran() - :before AS ran;

-- Who asks: the role, the claims, the settings that results depend on. Or everybody.
CREATE ROLE regress_decorate_reader;
GRANT USAGE ON SCHEMA decorate_cached TO regress_decorate_reader;
GRANT ALL ON SEQUENCE runs TO regress_decorate_reader;
CREATE FUNCTION w() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('runs') $$;
CREATE FUNCTION w_shared() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('runs') $$;
CREATE FUNCTION w_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = decorate_cached AS $$ SELECT nextval('runs') $$;
CREATE FUNCTION w_vary() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('runs') $$;
SELECT apibase.cached('w()'), apibase.cached('w_shared()', scope => 'shared'), apibase.cached('w_definer()'),
    apibase.cached('w_vary()', scope => 'shared', vary => '{app.tenant,search_path}');
SELECT setval('runs', 1000);
CREATE FUNCTION who(OUT w bigint, OUT shared bigint, OUT definer bigint, OUT vary bigint) LANGUAGE sql
    AS $$ SELECT w(), w_shared(), w_definer(), w_vary() $$;
SELECT * FROM who();
SET ROLE regress_decorate_reader;
SELECT * FROM who();
RESET ROLE;
SELECT * FROM who();
SET request.jwt.claims = '{"sub": "1"}';
SELECT * FROM who();
SET request.jwt.claims = '{"sub": "2"}';
SELECT * FROM who();
SET request.jwt.claims = '';
SELECT * FROM who();
SET timezone = 'UTC';
SET timezone = 'Asia/Tokyo';
SELECT * FROM who();
RESET timezone;
SET search_path = decorate_cached, public;
SELECT * FROM who();
SET search_path = decorate_cached;
SET app.tenant = '7';
SELECT * FROM who();
SET app.tenant = '';
SELECT * FROM who();
RESET app.tenant;

-- Time.
CREATE FUNCTION now_and(a int) RETURNS bigint LANGUAGE sql AS $$ SELECT CASE WHEN a > 0 THEN nextval('runs') ELSE nextval('runs') * 0 / a END $$;
SELECT apibase.cached('now_and(int)', ttl => '1 minute', stale_on_error => '1 hour');
SELECT now_and(1) AS first \gset
SELECT apibase_internal.clock_set('59 s');
SELECT now_and(1) = :first AS hit;
SELECT apibase_internal.clock_set('61 s');
SELECT now_and(1) = :first AS hit;
SELECT apibase_internal.clock_set('0');

-- Nothing is kept as nothing, or not at all.
SELECT apibase.cached('f_null(int)', negative_ttl => '0');
CALL twice('SELECT f_null(2)');
SELECT apibase.cached('s_int(int)', negative_ttl => '0');
CALL twice('SELECT s_int(0)');
CALL twice('SELECT s_int(1)');

-- An error is not kept, and stale values stand in for one. The set is in a file, which the end of a subtransaction would close.
SET work_mem = '64kB';
CREATE TABLE switch (fails boolean);
INSERT INTO switch VALUES (false);
CREATE FUNCTION failing(a int) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN
    IF fails FROM switch THEN RAISE 'failed'; END IF;
    PERFORM nextval('runs');
    RETURN QUERY SELECT generate_series(1, a);
END $$;
SELECT apibase.cached('failing(int)', ttl => '1 minute', stale_on_error => '1 hour', track => false);
CALL twice('SELECT count(*) FROM failing(100000)');
UPDATE switch SET fails = true;
SELECT failing(2);
SELECT count(*) FROM failing(100000);
SELECT apibase_internal.clock_set('2 min');
SELECT count(*) FROM failing(100000);
SELECT count(*) FROM failing(100000);
UPDATE switch SET fails = false;
CALL twice('SELECT count(*) FROM failing(100000)');
SELECT apibase_internal.clock_set('0');
RESET work_mem;

-- Tags: named, and found.
CREATE TABLE watched (n int);
INSERT INTO watched VALUES (1);
SELECT apibase.cache_watch('watched');
CREATE FUNCTION tagged() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT sum(n) FROM watched $$;
SELECT apibase.cached('tagged()', tags => '{mine}');
SELECT tagged();
UPDATE watched SET n = 2;
SELECT tagged();
BEGIN;
UPDATE watched SET n = 3;
SELECT tagged();
ROLLBACK;
SELECT tagged();
SELECT cardinality(tags) AS tags, 'mine' = ANY (tags) AS named FROM apibase.cache_entries WHERE key LIKE 'fn:decorate\_cached.tagged(%';
SELECT apibase.cache_invalidate('mine');
SELECT apibase.cached('tagged()', track => false);
SELECT tagged();
UPDATE watched SET n = 4;
SELECT tagged();

-- Replaced, decorated otherwise, undecorated: nothing of before is served.
CREATE OR REPLACE FUNCTION tagged() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT 100 + sum(n) FROM watched $$;
SELECT tagged();
SELECT apibase.undecorate('tagged()');
CREATE OR REPLACE FUNCTION tagged() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT 200 + sum(n) FROM watched $$;
SELECT apibase.cached('tagged()');
SELECT tagged();

-- Where functions are called.
CREATE FUNCTION fib(n int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN CASE WHEN n < 2 THEN n ELSE fib(n - 1) + fib(n - 2) END; END $$;
SELECT apibase.cached('fib(int)');
CALL twice('SELECT fib(40)');
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN coalesce(a, 0) + b; END $$;
SELECT apibase.cached('plus(int,int)');
CREATE AGGREGATE total(int) (SFUNC = plus, STYPE = int, INITCOND = '0');
SELECT total(id), total(id) FILTER (WHERE id > 2), sum(id) FROM t;
SELECT id, total(id) OVER (ORDER BY id) FROM t;
CREATE OPERATOR |+| (FUNCTION = plus, LEFTARG = int, RIGHTARG = int);
CREATE TABLE places (a int CHECK (plus(a, 1) > 0), b int GENERATED ALWAYS AS (plus(a, 2)) STORED, c int DEFAULT plus(1, 2));
CREATE INDEX places_plus ON places (plus(a, 3));
INSERT INTO places (a) SELECT generate_series(1, 1000);
INSERT INTO places (a) VALUES (-1);
SELECT a, b, c, a |+| b FROM places WHERE plus(a, 3) = 10;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT a FROM places WHERE plus(a, 3) = 10;
RESET enable_seqscan;
ALTER FUNCTION plus(int, int) PARALLEL SAFE;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(plus(a, 1)) FROM places;
SELECT sum(plus(a, 1)) FROM places;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
PREPARE p (int) AS SELECT f_int($1);
EXECUTE p (10);
SELECT apibase.undecorate('f_int(int)');
EXECUTE p (10);
SELECT apibase.cached('f_int(int)');
EXECUTE p (10);
BEGIN;
DECLARE c CURSOR FOR SELECT f_int(id) FROM t;
FETCH 2 FROM c;
SELECT apibase.undecorate('f_int(int)');
FETCH 2 FROM c;
COMMIT;
BEGIN TRANSACTION READ ONLY;
SELECT tagged();
COMMIT;

-- Anonymous rows inside of a result mean nothing to other sessions: refused where it is declared, else not kept.
CREATE FUNCTION inner_record(OUT a int, OUT r record) LANGUAGE sql AS $$ SELECT 1, ROW(1000000000, 1000000000) $$;
CREATE FUNCTION inner_records() RETURNS TABLE (a int, r record[]) LANGUAGE sql AS $$ SELECT 1, ARRAY[ROW(1000000000, 1000000000)] $$;
CREATE FUNCTION inner_any(a anyarray, b anyarray) RETURNS anyarray LANGUAGE internal AS 'array_larger';
SELECT apibase.cached('inner_record()');
SELECT apibase.cached('inner_records()');
SELECT apibase.cached('inner_any(anyarray,anyarray)');
SELECT inner_any(ARRAY[1, 2], ARRAY[2]), inner_any(ARRAY[ROW(1, 2)], ARRAY[ROW(2)]);
SELECT count(*) FROM apibase.cache_entries WHERE key LIKE 'fn:decorate_cached.inner_any(%';

-- The collation belongs to the key.
CREATE FUNCTION less(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN $1 < $2; END $$;
SELECT apibase.cached('less(text,text)');
SELECT less('a' COLLATE "C", 'B'), less('a' COLLATE "POSIX", 'B'), less('a' COLLATE "C", 'B');
SELECT count(*) FROM apibase.cache_entries WHERE key LIKE 'fn:decorate_cached.less(%';

-- What a fallback answers is not kept.
CREATE FUNCTION broken(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
CREATE FUNCTION instead(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN NULLIF(-a, -2); END $$;
SELECT apibase.circuit_breaker('broken(int)', 1, fallback => 'instead(int)'), apibase.cached('broken(int)');
SELECT broken(1);
CALL twice('SELECT broken(1)');
CALL twice('SELECT broken(2)');
-- the new implementation is not refused for what the former one did
CREATE OR REPLACE FUNCTION broken(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('runs'); RETURN a; END $$;
CALL twice('SELECT broken(1)');

-- A result for everybody is for those who find the same tables.
CREATE SCHEMA decorate_cached_own;
CREATE TABLE price AS SELECT 100 AS v;
CREATE TABLE decorate_cached_own.price AS SELECT 1 AS v;
CREATE FUNCTION price() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT v FROM price); END $$;
SELECT apibase.cached('price()', scope => 'shared');
SET search_path = decorate_cached_own, decorate_cached;
SELECT price();
SET search_path = decorate_cached;
SELECT price();

-- An array is either one argument or all of them.
CREATE FUNCTION formatted(f text, VARIADIC a "any") RETURNS text LANGUAGE internal STABLE AS 'text_format';
SELECT apibase.cached('formatted(text,"any")');
SELECT formatted('%s', ARRAY['x', 'y']) AS one, formatted('%s', VARIADIC ARRAY['x', 'y']) AS "all";

-- Settings on which output, arrays, XML and row security depend.
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', current_setting('xmlbinary'), current_setting('xmloption'),
    current_setting('array_nulls'), current_setting('row_security')) $$;
SELECT apibase.cached('settings()');
SELECT settings();
SET xmlbinary = hex;
SELECT settings();
SET xmloption = document;
SELECT settings();
SET array_nulls = off;
SELECT settings();
SET row_security = off;
SELECT settings();
RESET xmlbinary;
RESET xmloption;
RESET array_nulls;
RESET row_security;
DROP SCHEMA decorate_cached_own CASCADE;

SET search_path = public;
DROP SCHEMA decorate_cached CASCADE;
DROP ROLE regress_decorate_reader;
