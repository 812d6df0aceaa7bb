-- Specifications made by functions: spec, bind, where, and_where, or_where, build and the combinators; values that keep their kind.
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_builder CASCADE;
CREATE SCHEMA spec_builder;
SET search_path = spec_builder, apibase;
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE pair AS (a int, d date);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN day AS date;
CREATE DOMAIN numbers AS int[];
CREATE TYPE float_range AS RANGE (subtype = float8);

-- 1. The examples of the documentation.
SELECT apibase.where('price', 'ge', 10);
SELECT apibase.build(
         apibase.or_where(
           apibase.and_where(apibase.where('price', 'ge', 10), 'status', 'in', 'open', 'held'),
           'name', 'like', 'A%'));
SELECT apibase.spec('price >= $1 and name like $2', 10, 'A%');
SELECT apibase.spec 'price >= 10' && 'qty < 5' AS both, apibase.spec 'price >= 10' || 'qty < 5' AS either, !! apibase.spec 'price >= 10' AS negated;

-- 2. Values keep their kind, whatever the settings are. The same calls under two sets of them.
CREATE TABLE values_of (id int GENERATED ALWAYS AS IDENTITY, s spec, run int);
CREATE FUNCTION fill(run int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO values_of (s, run) SELECT s, run FROM unnest(ARRAY[
        apibase.where('f', 'eq', 7::smallint), apibase.where('f', 'eq', -7), apibase.where('f', 'eq', 9223372036854775807), apibase.where('f', 'eq', (-9223372036854775807 - 1)),
        apibase.where('f', 'eq', 1.50), apibase.where('f', 'eq', 1e30::numeric), apibase.where('f', 'eq', 'NaN'::numeric), apibase.where('f', 'eq', '-Infinity'::numeric),
        apibase.where('f', 'eq', 0.1::real), apibase.where('f', 'eq', 16777216::real), apibase.where('f', 'eq', 0.1::float8), apibase.where('f', 'eq', 1e300::float8), apibase.where('f', 'eq', -2.5e-300::float8), apibase.where('f', 'eq', '-0'::float8),
        apibase.where('f', 'eq', 'NaN'::real), apibase.where('f', 'eq', '-Infinity'::float8), apibase.where('f', 'eq', 4294967295::oid),
        apibase.where('f', 'eq', true), apibase.where('f', 'eq', false), apibase.where('f', 'eq', 5::positive),
        apibase.where('f', 'eq', date '2026-01-31'), apibase.where('f', 'eq', date '0044-03-15 BC'), apibase.where('f', 'eq', date 'infinity'), apibase.where('f', 'eq', date '-infinity'), apibase.where('f', 'eq', date '12026-01-31'), apibase.where('f', 'eq', (date '2026-01-31')::day),
        apibase.where('f', 'eq', time '10:11:12.5'), apibase.where('f', 'eq', time '24:00'), apibase.where('f', 'eq', timetz '10:11:12.5+05:30'), apibase.where('f', 'eq', timetz '10:11-08'),
        apibase.where('f', 'eq', timestamp '2026-01-31 10:11:12.123456'), apibase.where('f', 'eq', timestamp '0044-03-15 10:00 BC'), apibase.where('f', 'eq', timestamp 'infinity'),
        apibase.where('f', 'eq', timestamptz '2026-01-31 10:11:12.1+02'), apibase.where('f', 'eq', timestamptz '0044-03-15 10:00+00 BC'), apibase.where('f', 'eq', timestamptz '-infinity'),
        apibase.where('f', 'eq', interval '1 year -2 days 03:04:05.6'), apibase.where('f', 'eq', interval '-1 month +2 days'), apibase.where('f', 'eq', interval '0'),
        apibase.where('f', 'eq', '\x00ff27'::bytea), apibase.where('f', 'eq', jsonb '{"b": [1, 2.50], "a": "it''s"}'), apibase.where('f', 'eq', json '{"b": 1, "b" : 2}'), apibase.where('f', 'eq', jsonb 'null'),
        apibase.where('f', 'eq', 'it''s'), apibase.where('f', 'eq', 'x'::text), apibase.where('f', 'eq', 'x'::varchar(5)), apibase.where('f', 'eq', 'x'::char(3)), apibase.where('f', 'eq', 'x'::name), apibase.where('f', 'eq', 'x'::"char"), apibase.where('f', 'eq', ''),
        apibase.where('f', 'eq', '00000000-0000-0000-0000-00000000000A'::uuid), apibase.where('f', 'eq', 'it''s ok'::mood), apibase.where('f', 'eq', ROW(1, '2026-01-31')::pair), apibase.where('f', 'eq', inet '10.0.0.1/8'),
        apibase.where('f', 'eq', tstzrange('2026-01-31 10:00+02', NULL)), apibase.where('f', 'eq', daterange('2026-01-31', '2026-02-01')), apibase.where('f', 'eq', float_range(0.1, 0.2)), apibase.where('f', 'eq', 'pg_catalog.pg_class'::regclass),
        apibase.where('f', 'eq', ARRAY[1, NULL, 3]), apibase.where('f', 'eq', ARRAY['a', 'it''s', NULL]), apibase.where('f', 'eq', '{}'::text[]), apibase.where('f', 'eq', ARRAY[date '2026-01-31']), apibase.where('f', 'eq', '[5:6]={1,2}'::int[]), apibase.where('f', 'eq', ARRAY['happy']::mood[]),
        apibase.where('f', 'eq', ARRAY[1, 2]::numbers), apibase.where('f', 'eq', ARRAY[5]::positive[]), apibase.where('f', 'eq', ARRAY[[1, 2], [3, 4]]), apibase.where('f', 'eq', ARRAY[ARRAY[1]::numbers]), apibase.where('f', 'eq', ARRAY[ROW(1, '2026-01-31')::pair]), apibase.where('f', 'eq', ARRAY[[0.1::float8]]),
        apibase.where('f', 'eq', NULL), apibase.where('f', 'eq', NULL::int), apibase.where('f', 'ne', NULL::int[]), apibase.where('f', 'eq', 'a = 1'::spec)]) s
$$;
SELECT fill(1);
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Kolkata';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SET search_path = apibase, pg_catalog, spec_builder;
SELECT fill(2);
RESET DateStyle;
RESET IntervalStyle;
RESET TimeZone;
RESET extra_float_digits;
RESET bytea_output;
SET search_path = spec_builder, apibase;
SELECT s FROM values_of WHERE run = 1 ORDER BY id;
SELECT count(*) > 60 AS many, count(*) FILTER (WHERE one.s IS DISTINCT FROM two.s) AS dependent_on_settings
FROM (SELECT s, row_number() OVER (ORDER BY id) AS n FROM values_of WHERE run = 1) one JOIN (SELECT s, row_number() OVER (ORDER BY id) AS n FROM values_of WHERE run = 2) two USING (n);
SELECT count(*) FILTER (WHERE s::text::spec IS DISTINCT FROM s OR s::jsonb::spec IS DISTINCT FROM s) AS changed FROM values_of;
-- What is typed reads back as the value that was given.
SELECT v = substring(apibase.where('f', 'eq', v)::text FROM '''(.*)''')::timestamptz AS same FROM unnest(ARRAY['2026-10-25 02:30+02', '2026-10-25 02:30+01', '4713-01-01 00:00+00 BC', '294276-12-31 23:59:59.999999+00']::timestamptz[]) v;
SELECT v = substring(apibase.where('f', 'eq', v)::text FROM '''(.*)''')::interval AS same FROM unnest(ARRAY['1 year 2 mons -3 days -04:05:06.789', '-1 days +00:00:01', '178000000 years', '-00:00:00.000001']::interval[]) v;
-- Nothing is spliced: what is bound is a value, whatever it says.
SELECT apibase.spec('a = $1', 'x'' or true --') AS text, spec_clauses(apibase.spec('a = $1', 'x'' or true --')), apibase.where('a', 'eq', '$1'), apibase.spec('a = $1 and b = $2', '$2', '"');

-- 3. where: operators and their numbers of values.
SELECT s FROM (VALUES
    (apibase.where('a', 'in')), (apibase.where('a', 'in', 1)), (apibase.where('a', 'in', 1, 'x', NULL)), (apibase.where('a', 'not_in', ARRAY['x', NULL])), (apibase.where('a', 'nin', 'x', 'y')),
    (apibase.where('a', 'in', ARRAY[]::int[])), (apibase.where('a', 'in', ARRAY[1], ARRAY[2, 3])), (apibase.where('a', 'in', ARRAY[[1, 2], [3, 4]])), (apibase.where('a', 'in', NULL::text)), (apibase.where('a', 'in', NULL)),
    (apibase.where('a', 'between', 1, 2)), (apibase.where('a', 'not_between', 'x', 'y')), (apibase.where('a', 'is_null')), (apibase.where('a', 'is_not_null')), (apibase.where('a', 'is', NULL)), (apibase.where('a', 'is', true)),
    (apibase.where('a', '>=', 1)), (apibase.where('a', 'LTE', 1)), (apibase.where('a', '<>', 1)), (apibase.where('a', 'starts_with', 'x')), (apibase.where('a', 'cs', ARRAY[1, 2])), (apibase.where('a', 'overlaps', '{1}')),
    (apibase.where('Address.City', 'eq', 'x')), (apibase.where('a."b c"[0]', 'eq', 'x')), (apibase.where('and', 'eq', 'x')),
    (apibase.where('a', 'eq', VARIADIC ARRAY[1])), (apibase.where('a', 'in', VARIADIC ARRAY['x', 'y'])), (apibase.where('a', 'in', VARIADIC ARRAY[]::text[])), (apibase.where('a', 'in', VARIADIC NULL::text[])), (apibase.where('a', 'between', VARIADIC ARRAY[date '2026-01-01', date '2026-02-01'])), (apibase.where('a', 'is_null', VARIADIC '{}'::int[]))
) t(s);
-- and_where and or_where: around the whole of what is there; NULL is nothing.
SELECT and_where('a = 1 or b = 2', 'c', 'eq', 3), or_where('a = 1 and b = 2', 'c', 'is_null'), and_where(NULL, 'c', 'eq', 3), or_where(NULL, 'c', 'is_null'), and_where('', 'c', 'is_null'), or_where('', 'c', 'is_null'), or_where('false', 'c', 'in', 1, 2), and_where('a = 1', 'c', 'in', VARIADIC ARRAY[1, 2]);

-- 4. Parameters.
SELECT s FROM (VALUES
    (apibase.spec('a = $1', NULL)), (apibase.spec('a <> $1', NULL::int)), (apibase.spec('not a = $1', NULL)), (apibase.spec('a in $1', ARRAY['x', NULL])), (apibase.spec('a in $1', 'x'::text)), (apibase.spec('a in ($1)', ARRAY[1, 2])), (apibase.spec('a not in $1', '{}'::int[])),
    (apibase.spec('a in ($1, $2, 3)', 1, NULL)), (apibase.spec('a in $1', NULL::text)), (apibase.spec('a = array[$1, $2, $1]', 'x', NULL)), (apibase.spec('a = $1', ARRAY[1, 2])), (apibase.spec('a between $2 and $1', 1, 2)), (apibase.spec('a not like $1', 'x%')),
    (apibase.spec('a = $1 or not (b < $1 and c in $2)', 5, ARRAY[1])), (apibase.spec('a = $2', 'unused', 2)), (apibase.spec('a = 1')), (apibase.spec('a = 1'::text)), (apibase.spec('a = $1'::text)), (apibase.spec('a = 1', VARIADIC '{}'::int[])), (apibase.spec('a = $1 and b = $2', VARIADIC ARRAY[1, 2])),
    (apibase.spec('{"field": "a", "op": "in", "value": {"param": 1}}', ARRAY[1, 2])), (apibase.spec(NULL::text)), (apibase.spec(NULL, 1)),
    (bind('a = $1', 1)), (bind('a = $1 and b = $2', VARIADIC ARRAY['x', NULL])), (bind(NULL, 1)), (bind('a = 1', VARIADIC NULL::int[])), (bind(apibase.spec('a = $1'::text), date '2026-01-31'))
) t(s);
SELECT build('a = 1'), build(NULL), build('a = 1', NULL), build('relname = ''x''', 'pg_class');

-- 5. Errors.
\pset format unaligned
\pset tuples_only on
\pset recordsep '\n\n'
SELECT '>>> ' || call || E'\n' || errors.of('SELECT apibase.' || call) FROM unnest(ARRAY[
    $$where('a', 'eq')$$, $$where('a', 'eq', 1, 2)$$, $$where('a', 'between', 1)$$, $$where('a', 'between', ARRAY[1, 2])$$, $$where('a', 'is_null', NULL)$$, $$where('a', 'is', 1)$$, $$where('A b', 'eq', 1)$$, $$where('', 'eq', 1)$$, $$where('"A"', 'almost', 1)$$, $$where('a', '', 1)$$,
    $$where(NULL, 'eq', 1)$$, $$where('a', NULL, 1)$$, $$where('a', 'lt', NULL)$$, $$where('a', 'between', 1, NULL)$$, $$where('a', 'like', NULL::text)$$, $$where('a', 'in', NULL::text[])$$, $$where('a', 'contains', NULL)$$, $$where('a', 'eq', VARIADIC ARRAY[1, 2])$$, $$where('a', 'eq', VARIADIC NULL::int[])$$,
    $$and_where('a = ', 'b', 'eq', 1)$$, $$and_where('a = 1', 'b', 'eq')$$, $$or_where('a = 1', NULL, 'eq', 1)$$,
    $$spec('a = $1 and b = $2', 1)$$, $$spec('a = $1', 1, 2)$$, $$spec('a = 1', 1)$$, $$spec('a = $3', VARIADIC ARRAY[1])$$, $$spec('a = ', 1)$$, $$spec('a < $1', NULL)$$, $$spec('a between 1 and $1', NULL)$$, $$spec('a in $1', NULL::int[])$$, $$spec('a = array[$1]', ARRAY[1])$$, $$bind('a = $2', 1)$$, $$bind('a = $1', 1, 2)$$,
    $$build('a = $1')$$, $$build('a = 1 and b in (1, $2)')$$, $$build('a = array[1, $3]')$$, $$build('relnane = ''x''', 'pg_class')$$, $$build('relname < 5', 'pg_class')$$, $$build('relname = ''x''', 'no_such_relation')$$]) call;
\pset format aligned
\pset tuples_only off
\pset recordsep '\n'

-- 6. Combinators.
SELECT spec_and('a = 1', 'b = 2 or c = 3'), spec_or('a = 1', 'b = 2 and c = 3'), spec_not('a = 1 and b = 2'), spec_not(spec_not('a < 1')), spec_and('a = 1 and b = 2', 'c = 3 and d = 4'), spec_or('a = 1 or b = 2', 'c = 3');
SELECT spec_and('', 'a = 1'), spec_and('a = 1', ''), spec_or('', 'a = 1'), spec_or('false', 'a = 1'), spec_and('false', 'a = 1'), spec_not(''), spec_and('', '');
SELECT spec_and(NULL, 'a = 1'), spec_and('a = 1', NULL), spec_or(NULL, 'a = 1'), spec_or('a = 1', NULL), spec_and(NULL, NULL), spec_or(NULL, NULL), spec_not(NULL), NULL::spec && 'a = 1' AS op_and, NULL::spec || 'a = 1' AS op_or, !! NULL::spec AS op_not;
SELECT spec_all('a = 1', NULL, 'b = 2 or c = 3', ''), spec_any('a = 1', NULL, 'b = 2 and c = 3', 'false'), spec_all(VARIADIC '{}'), spec_any(VARIADIC '{}'), spec_all(NULL::spec), spec_any(NULL::spec, NULL), spec_all(VARIADIC NULL), spec_any(VARIADIC NULL);
SELECT spec_all(VARIADIC array_agg(format('f%s = %s', i, i)::spec ORDER BY i)) FROM generate_series(1, 5) i;
SELECT spec_clauses(spec_all(VARIADIC array_agg(format('f%s = %s', i, i)::spec))) FROM generate_series(1, 10000) i;
-- unknown literals are specifications next to one, and only there
SELECT pg_typeof(spec 'a = 1' && 'b = 2'), pg_typeof('a = 1' || spec 'b = 2'), pg_typeof('a' || 'b'), pg_typeof(ARRAY[1] && '{1}');

-- 7. The planner does calls with constants, if the value's type lets it; what it makes is a constant specification.
CREATE FUNCTION plan_of(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) SELECT ' || expression LOOP
        IF line ~ 'Output:' THEN RETURN regexp_replace(line, '^ *Output: ', ''); END IF;
    END LOOP;
END $$;
SELECT call, plan_of('apibase.' || call) AS planned FROM unnest(ARRAY[
    $$where('a', 'eq', 1)$$, $$where('a', 'is_null')$$, $$where('a', 'in', ARRAY[1, 2])$$, $$where('a', 'in', VARIADIC ARRAY['x'])$$, $$where('a', 'eq', date '2026-01-31')$$, $$where('a', 'eq', timestamptz '2026-01-31 10:00+00')$$, $$where('a', 'eq', 'happy'::spec_builder.mood)$$, $$where('a', 'eq', 5::spec_builder.positive)$$, $$where('a', 'eq', NULL)$$,
    $$where('a', 'eq', '[2026-01-31,2026-02-01)'::daterange)$$, $$and_where(apibase.or_where(apibase.where('a', 'eq', 1), 'b', 'is_null'), 'c', 'eq', 'x')$$, $$spec('a = $1', 1)$$, $$spec('a = 1'::text)$$, $$bind('a = $1', 1)$$, $$build('a = 1')$$, $$build(apibase.where('relname', 'eq', 'x'), 'pg_class')$$, $$spec_and('a = 1', 'b = 2')$$, $$spec_all('a = 1', apibase.where('b', 'eq', 2))$$,
    $$where('a', 'eq', 'pg_class'::regclass)$$, $$where('a', 'eq', ROW(1, 2))$$, $$where('a', 'eq', pg_backend_pid())$$]) call;
PREPARE by_price(int) AS SELECT apibase.where('price', 'ge', $1);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_price(10);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_price(10);
EXECUTE by_price(10);
RESET plan_cache_mode;
-- An error is raised when the call is planned, as with any function of constants.
SELECT left(errors.of('EXPLAIN SELECT apibase.where(''a'', ''almost'', 1)'), 5) AS planned;
-- Who may not execute a function cannot have the planner do it.
BEGIN;
CREATE ROLE spec_builder_nobody;
GRANT USAGE ON SCHEMA errors TO spec_builder_nobody;
REVOKE EXECUTE ON FUNCTION apibase."where"(text, text, "any") FROM PUBLIC;
SET LOCAL ROLE spec_builder_nobody;
SELECT left(errors.of('EXPLAIN SELECT apibase.where(''a'', ''eq'', 1)'), 5) AS refused;
ROLLBACK;
-- In a parallel worker values of any type are converted.
CREATE TABLE many AS SELECT i FROM generate_series(1, 1000) i;
ALTER TABLE many SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT count(DISTINCT apibase.where('f', 'eq', tstzrange('2026-01-01 00:00+00', '2026-01-01 00:00+00'::timestamptz + i * interval '1 hour'))) FROM many;
EXPLAIN (COSTS OFF) SELECT i FROM many WHERE apibase.where('f', 'eq', ROW(i, i)) = 'f = ''(1,1)''';
SELECT i FROM many WHERE apibase.where('f', 'eq', ROW(i, i)) = 'f = ''(1,1)''';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET parallel_leader_participation;

-- 8. Properties.
SELECT oid::regprocedure AS function, provolatile, proisstrict, proparallel, prosupport FROM pg_proc
WHERE pronamespace = 'apibase'::regnamespace AND proname IN ('spec', 'bind', 'where', 'and_where', 'or_where', 'build', 'spec_and', 'spec_or', 'spec_not', 'spec_all', 'spec_any', 'spec_fields', 'spec_depth', 'spec_clauses') ORDER BY oid::regprocedure::text COLLATE "C";

DROP SCHEMA spec_builder, errors CASCADE;
