-- Get, or compute and put: cache_fetch(), the tags that it finds by itself, and what happens when computing fails. What
-- needs several sessions is in test/isolation/specs/cache_flight*.spec and test/tap/cache_flight.pl.

-- What is computed is numbered: the same number again is a value from the cache. (Unlogged: so nextval() writes nothing.)
SELECT FROM apibase.cache_clear();
CREATE SCHEMA through;
SET search_path = through;
CREATE UNLOGGED SEQUENCE computed;
CREATE FUNCTION numbered(key text, query text) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT apibase.cache_fetch(key, format('SELECT jsonb_build_array(nextval(''computed''), (%s))', query)) $$;

-- ---- values ----
SELECT numbered('a', 'SELECT 1'), numbered('a', 'SELECT 1'), numbered('b', 'SELECT 1');
SELECT apibase.cache_get('a'), apibase.cache_ttl('a') > interval '4 min' AS has_default_ttl;
SELECT apibase.cache_fetch('v:' || n, q) FROM (VALUES
    (1, 'SELECT 1.50'), (2, 'SELECT text ''a"b'''), (3, 'SELECT ARRAY[1, NULL]'), (4, 'SELECT t FROM (VALUES (1, ''x'')) t(id, name)'),
    (5, 'SELECT date ''2026-01-02'''), (6, 'SELECT jsonb ''{"a": [null]}'''), (7, 'SELECT json ''[ 1 ]'''),
    (8, 'VALUES (true)'), (9, 'WITH q AS (SELECT 1 AS n) TABLE q')) v(n, q) ORDER BY n;
-- a JSON null is a value
SELECT apibase.cache_fetch('null', 'SELECT jsonb ''null'''), apibase.cache_get('null') IS NULL AS nothing;
SELECT apibase.cache_fetch('large', 'SELECT repeat(''x'', 100000)') = apibase.cache_get('large') AS large;

-- nothing, as no row or as NULL, is kept as well
SELECT apibase.cache_fetch('none', 'SELECT 1 FROM nextval(''computed'') n WHERE n < 0') FROM generate_series(1, 3);
SELECT apibase.cache_fetch('none2', 'SELECT NULL FROM nextval(''computed'')') FROM generate_series(1, 3);
SELECT last_value FROM computed;
-- for a time of its own, or not at all
SELECT apibase.cache_fetch('none3', 'SELECT NULL FROM nextval(''computed'')', negative_ttl => '0') FROM generate_series(1, 3);
SELECT last_value FROM computed;
SELECT apibase.cache_fetch('none4', 'SELECT NULL FROM nextval(''computed'')', '1 day', negative_ttl => '1 min') FROM generate_series(1, 3);
SELECT last_value FROM computed;
SELECT apibase_internal.clock_set('2 min');
SELECT apibase.cache_fetch('none4', 'SELECT NULL FROM nextval(''computed'')', '1 day', negative_ttl => '1 min');
SELECT last_value FROM computed;

-- times to live
SELECT apibase.cache_fetch('hour', 'SELECT nextval(''computed'')', '1 hour'), apibase.cache_ttl('hour') > interval '59 min' AS hour,
    apibase.cache_fetch('ever', 'SELECT nextval(''computed'')', '1000 years'), apibase.cache_ttl('ever') IS NULL AS for_ever;
SELECT apibase_internal.clock_set('2 hours');
SELECT apibase.cache_fetch('hour', 'SELECT nextval(''computed'')', '1 hour'), apibase.cache_fetch('ever', 'SELECT nextval(''computed'')');
SELECT apibase_internal.clock_set('0');

-- ---- errors ----
\set SHOW_CONTEXT never
SELECT apibase.cache_fetch('bad', 'SELECT 1, 2');
SELECT apibase.cache_fetch('bad', 'SELECT FROM generate_series(1, 2)');
SELECT apibase.cache_fetch('bad', 'VALUES (1), (2)');
SELECT apibase.cache_fetch('bad', 'SELECT 1 +');
SELECT apibase.cache_fetch('bad', '');
SELECT apibase.cache_fetch('bad', 'CREATE TABLE through.t ()');
SELECT apibase.cache_fetch('bad', 'WITH d AS (DELETE FROM apibase.cache_namespaces RETURNING 1) TABLE d');
SELECT apibase.cache_fetch('bad', 'SELECT 1 / 0');
SELECT apibase.cache_fetch('bad', NULL);
SELECT apibase.cache_fetch(NULL, 'SELECT 1');
SELECT apibase.cache_fetch('', 'SELECT 1');
SELECT apibase.cache_fetch('bad', 'SELECT 1', '0');
SELECT apibase.cache_fetch('bad', 'SELECT 1', early => 1.5);
SELECT apibase.cache_fetch('bad', 'SELECT 1', early => 'NaN');
SELECT apibase.cache_fetch('bad', 'SELECT 1', jitter => -0.1);
SELECT apibase.cache_fetch('bad', 'SELECT 1', tags => '{a,NULL}');
SELECT apibase.cache_fetch('bad', 'SELECT 1', tags => '{a,""}');
SELECT apibase.cache_fetch('bad', 'SELECT 1', tags => array_agg('tag ' || n)) FROM generate_series(1, 65) n;
\set VERBOSITY sqlstate
SELECT apibase.cache_fetch('bad', 'SELECT 1, 2');
SELECT apibase.cache_fetch('bad', 'VALUES (1), (2)');
SELECT apibase.cache_fetch('bad', NULL);
\set VERBOSITY default
SELECT apibase.cache_exists('bad');
-- what has failed can be tried again, in the same transaction too
CREATE FUNCTION retry() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN numbered('retry', 'SELECT 1 / 0');
EXCEPTION WHEN division_by_zero THEN
    RETURN numbered('retry', 'SELECT 1 / 1');
END $$;
SELECT retry(), numbered('retry', 'SELECT 2') ->> 1 AS kept;
-- an expired value in the place of an error
SELECT apibase.cache_fetch('stale', 'SELECT 1', '1 min', stale_on_error => '1 hour');
SELECT apibase_internal.clock_set('2 min');
SELECT apibase.cache_fetch('stale', 'SELECT 1 / 0', '1 min', stale_on_error => '1 hour');
SELECT apibase.cache_fetch('stale', 'SELECT 1 / 0', '1 min', stale_on_error => '1 s');
SELECT apibase.cache_fetch('stale', 'SELECT 1 / 0', '1 min');
SELECT apibase.cache_fetch('stale', 'SELECT 2', '1 min', stale_on_error => '1 hour');
SELECT apibase_internal.clock_set('0');
-- what asks for itself computes
CREATE FUNCTION recursive(depth int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE depth WHEN 0 THEN 0 ELSE 1 + apibase.cache_fetch('self', format('SELECT recursive(%s)', depth - 1))::int END;
END $$;
SELECT apibase.cache_fetch('self', 'SELECT recursive(5)'), (SELECT count(*) FROM apibase.cache_flights) AS flights;

-- ---- tags ----
SELECT numbered('tagged', 'SELECT 1') -> 1, apibase.cache_fetch('named', 'SELECT nextval(''computed'') > 0', tags => '{x,y}');
SELECT apibase.cache_invalidate('y') > 0 AS invalidated;
SELECT apibase.cache_exists('tagged') AS tagged, apibase.cache_exists('named') AS named;

-- the tables that a query reads, whoever writes them
CREATE TABLE t (id int PRIMARY KEY, n int);
CREATE TABLE u (id int PRIMARY KEY, n int);
INSERT INTO t VALUES (1, 10), (2, 20);
INSERT INTO u VALUES (1, 100);
CREATE VIEW v AS SELECT sum(n) AS n FROM t;
CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT sum(n) FROM t); END $$;
CREATE FUNCTION reads_inlined() RETURNS SETOF t LANGUAGE sql STABLE AS $$ SELECT * FROM t $$;
SELECT FROM apibase.cache_watch('t');
SELECT FROM apibase.cache_watch('u');
CREATE VIEW values_now AS SELECT n, numbered('t' || n, q) -> 1 AS value, numbered('t' || n, q) = f AS kept FROM (VALUES
    (1, 'SELECT sum(n) FROM t'), (2, 'SELECT n FROM v'), (3, 'SELECT reads()'), (4, 'SELECT sum(n) FROM reads_inlined()'),
    (5, 'SELECT count(*) FROM u WHERE EXISTS (SELECT FROM t WHERE t.n > u.n)'), (6, 'WITH q AS MATERIALIZED (TABLE t) SELECT sum(n) FROM q'),
    (7, 'SELECT count(*) FROM t WHERE false'), (8, 'SELECT n FROM u')) q(n, q), LATERAL numbered('t' || n, q) f ORDER BY n;
SELECT * FROM values_now;
UPDATE t SET n = n * 2 WHERE id = 1;
SELECT n, apibase.cache_exists('t' || n) FROM generate_series(1, 8) n;
SELECT * FROM values_now;
TRUNCATE t;
SELECT n, apibase.cache_exists('t' || n) FROM generate_series(1, 8) n;
INSERT INTO t VALUES (1, 10), (2, 20);

-- a value that was made from values that were in the cache
SELECT numbered('inner', 'SELECT sum(n) FROM t') -> 1 AS inner;
SELECT numbered('outer', 'SELECT numbered(''inner'', ''SELECT sum(n) FROM t'') -> 1') -> 1 AS outer;
SELECT numbered('outer2', 'SELECT apibase.cache_get(''outer'') -> 1') -> 1 AS outer2;
SELECT numbered('outer3', 'SELECT numbered(''inner3'', ''SELECT sum(n) FROM t'') -> 1') -> 1 AS outer3;
DELETE FROM t WHERE id = 1;
SELECT numbered('outer3', 'SELECT 0') -> 1 AS outer3, numbered('outer2', 'SELECT 0') -> 1 AS outer2,
    numbered('outer', 'SELECT 0') -> 1 AS outer, numbered('inner', 'SELECT 0') -> 1 AS inner;

-- partitions and children: written and read at any place of the tree
CREATE TABLE p (id int, n int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (n);
CREATE TABLE p21 PARTITION OF p2 DEFAULT;
CREATE TABLE c (id int, n int);
CREATE TABLE c1 () INHERITS (c);
SELECT FROM apibase.cache_watch('p');
SELECT FROM apibase.cache_watch('c');
CREATE FUNCTION in_cache() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(k, ' ' ORDER BY k) FROM unnest('{p,p1,p2,p21,c,c1}'::text[]) k WHERE apibase.cache_exists('tree:' || k)
$$;
CREATE FUNCTION fill() RETURNS text LANGUAGE sql AS $$
    SELECT numbered('tree:' || k, 'SELECT count(*) FROM ' || k) FROM unnest('{p,p1,p2,p21,c,c1}'::text[]) k; SELECT in_cache()
$$;
SELECT fill();
INSERT INTO p VALUES (1, 1);
SELECT in_cache() AS after_p;
SELECT fill();
INSERT INTO p1 VALUES (1, 1);
SELECT in_cache() AS after_p1;
SELECT fill();
INSERT INTO p21 VALUES (2, 1);
SELECT in_cache() AS after_p21;
SELECT fill();
INSERT INTO c1 VALUES (2, 1);
SELECT in_cache() AS after_c1;
SELECT fill();
UPDATE c SET n = 3;
SELECT in_cache() AS after_c;

-- more partitions than an entry may have tags
CREATE TABLE many (id int) PARTITION BY LIST (id);
DO $$ BEGIN FOR i IN 1 .. 70 LOOP EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES IN (%s)', i, i); END LOOP; END $$;
SELECT FROM apibase.cache_watch('many');
SELECT numbered('many', 'SELECT count(*) FROM many') -> 1 AS many, apibase.cache_exists('many') AS kept;
INSERT INTO many_70 VALUES (70);
SELECT numbered('many', 'SELECT count(*) FROM many') -> 1 AS many, apibase.cache_exists('many') AS kept;
-- more tables: then it is not kept
SET client_min_messages = warning;
SELECT numbered('tables', 'SELECT count(*) FROM ' || string_agg('many_' || n, ' CROSS JOIN ' ORDER BY n)) -> 1 AS tables,
    apibase.cache_exists('tables') AS kept FROM generate_series(1, 65) n;
RESET client_min_messages;

-- a function that a parallel worker might call is seen (nextval() would keep the plan from using one)
CREATE TABLE big AS SELECT n FROM generate_series(1, 1000) n;
SELECT FROM apibase.cache_watch('big');
CREATE FUNCTION factor() RETURNS int LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$ BEGIN RETURN (SELECT n FROM u); END $$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT apibase.cache_fetch('parallel', 'SELECT sum(n * factor()) FROM big WHERE n < 4');
UPDATE u SET n = 200;
SELECT apibase.cache_fetch('parallel', 'SELECT sum(n * factor()) FROM big WHERE n < 4');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET parallel_leader_participation;

-- what is in temporary tables is this session's
CREATE TEMP TABLE tmp AS SELECT 1 AS n;
SELECT numbered('tmp', 'SELECT n FROM tmp') -> 1 AS value, apibase.cache_exists('tmp') AS kept;

-- what nobody watches: said once
CREATE TABLE w (n int);
SELECT numbered('w', 'SELECT count(*) FROM w') -> 1 AS value, apibase.cache_exists('w') AS kept;
SELECT numbered('w2', 'SELECT count(*) FROM w') -> 1 AS value;
ALTER TABLE t DISABLE TRIGGER USER;
SELECT numbered('disabled', 'SELECT count(*) FROM t') -> 1 AS value;
ALTER TABLE t ENABLE TRIGGER USER;
-- the catalog and the tables of apibase are not watched by anybody
SELECT numbered('catalog', 'SELECT count(*) > 0 FROM pg_class') -> 1 AS value, numbered('own', 'SELECT count(*) FROM apibase.cache_namespaces') -> 1 AS own;

-- rows that policies choose: a key without the role would show them to others
ALTER TABLE u ENABLE ROW LEVEL SECURITY;
SELECT numbered('rls', 'SELECT count(*) FROM u') -> 1 AS value, apibase.cache_exists('rls') AS kept;
ALTER TABLE u DISABLE ROW LEVEL SECURITY;

-- ---- transactions ----
SELECT numbered('x', 'SELECT count(*) FROM t') AS before;
BEGIN;
INSERT INTO t VALUES (3, 30);
SELECT numbered('x', 'SELECT count(*) FROM t') AS inside;
SELECT numbered('x', 'SELECT count(*) FROM t') AS inside_again;
ROLLBACK;
SELECT numbered('x', 'SELECT count(*) FROM t') AS rolled_back;
BEGIN;
INSERT INTO t VALUES (3, 30);
SELECT numbered('x', 'SELECT count(*) FROM t') AS inside;
COMMIT;
SELECT numbered('x', 'SELECT count(*) FROM t') AS committed;
BEGIN READ ONLY;
SELECT apibase.cache_fetch('read only', 'SELECT count(*) FROM t') AS value, apibase.cache_fetch('read only', 'SELECT 0') AS again;
COMMIT;

-- ---- rights ----
CREATE ROLE through_reader;
GRANT USAGE ON SCHEMA through TO through_reader;
SET ROLE through_reader;
SELECT apibase.cache_fetch('denied', 'SELECT 1');
RESET ROLE;
GRANT USAGE ON SCHEMA apibase TO through_reader;
GRANT EXECUTE ON FUNCTION apibase.cache_fetch TO through_reader;
SET ROLE through_reader;
SELECT apibase.cache_fetch('denied', 'SELECT count(*) FROM t');
SELECT apibase.cache_fetch('allowed', 'SELECT current_user');
RESET ROLE;

SELECT FROM apibase.cache_clear();
SET client_min_messages = warning;
DROP SCHEMA through CASCADE;
DROP OWNED BY through_reader;
DROP ROLE through_reader;
