-- context: the request, from the settings that PostgREST makes.

-- As PostgREST does it: everything for one transaction, all in one statement.
CREATE FUNCTION begin_request(method text, path text, headers text, cookies text, claims text) RETURNS void
    LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true),
           set_config('request.headers', headers, true), set_config('request.cookies', cookies, true),
           set_config('request.jwt.claims', claims, true)
$$;
CREATE VIEW request AS
    SELECT apibase.request_method() AS method, apibase.request_path() AS path, apibase.request_headers() AS headers,
           apibase.request_cookies() AS cookies, apibase.request_claims() AS claims;
\pset null (null)

-- Outside of a request nothing is set.
SELECT * FROM request;
SELECT apibase.request_header('accept'), apibase.request_cookie('a'), apibase.request_claim('role');

-- Request A.
BEGIN READ ONLY;
SELECT begin_request('GET', '/rpc/live',
    '{"user-agent":"curl/7.88.1","accept":"*/*","x-empty":"","X-Mixed":"m","x-number":7,"x-null":null,"x-umlaut":"\u00e4"}',
    '{"session":"s1","Session":"s2"}',
    '{"role":"web_anon","exp":1700000000,"app":{"tenant":"acme","roles":["r0","r1"]},"admin":false,"none":null}');
SELECT * FROM request;
-- names of headers have no case
SELECT apibase.request_header('user-agent') AS lower, apibase.request_header('User-Agent') AS mixed,
       apibase.request_header('x-mixed') AS kept_mixed, apibase.request_header('X-MIXED') AS upper,
       apibase.request_header('user') AS prefix, apibase.request_header('') AS empty;
SELECT apibase.request_header('x-empty') = '' AS empty_value, apibase.request_header('x-number') AS number,
       apibase.request_header('x-null') AS json_null, apibase.request_header('x-umlaut') = U&'\00e4' AS umlaut,
       apibase.request_header(NULL) AS null_name;
-- names of cookies have
SELECT apibase.request_cookie('session'), apibase.request_cookie('Session'), apibase.request_cookie('SESSION');
-- claims, by path
SELECT apibase.request_claim('role') AS role, apibase.request_claim('exp') AS exp,
       apibase.request_claim('app', 'tenant') AS tenant, apibase.request_claim('app', 'roles', '1') AS second,
       apibase.request_claim('app', 'roles', '-1') AS last, apibase.request_claim(VARIADIC ARRAY['app', 'tenant']) AS variadic;
SELECT apibase.request_claim('app') AS object, apibase.request_claim('admin') AS boolean, apibase.request_claim('none') AS json_null,
       apibase.request_claim('absent') AS absent, apibase.request_claim('role', 'x') AS too_deep,
       apibase.request_claim('app', NULL) AS null_step, apibase.request_claim(VARIADIC '{}'::text[]) = apibase.request_claims()::text AS whole;
-- parsed once and kept, within bounds: one context for each of the three
SELECT count(*) AS kept FROM pg_backend_memory_contexts WHERE name = 'apibase request setting';
SELECT count(apibase.request_header('accept')) FROM generate_series(1, 1000);
SELECT count(*) AS kept FROM pg_backend_memory_contexts WHERE name = 'apibase request setting';
COMMIT;

-- The connection goes back to the pool: settings are empty now, which is absent, and nothing is kept.
SELECT current_setting('request.headers', true) = '' AS empty_setting, * FROM request;
SELECT apibase.request_header('accept'), apibase.request_cookie('session'), apibase.request_claim('role');
SELECT count(*) AS kept FROM pg_backend_memory_contexts WHERE name = 'apibase request setting';

-- Request B, on the same connection.
BEGIN;
SELECT begin_request('POST', '/items', '{"accept":"text/csv"}', '{}', '{"role":"web_user"}');
SELECT * FROM request;
SELECT apibase.request_header('user-agent'), apibase.request_claim('app', 'tenant');
-- A setting that changes within the request is seen at once, also when a savepoint takes it back.
SAVEPOINT a;
SELECT set_config('request.jwt.claims', '{"role":"other"}', true);
SELECT apibase.request_claim('role');
ROLLBACK TO a;
SELECT apibase.request_claim('role');
SELECT set_config('request.jwt.claims', '', true);
SELECT apibase.request_claim('role'), apibase.request_claims();
-- and what was read before keeps its value
SELECT set_config('request.headers', '{"accept":"1"}', true);
WITH h AS MATERIALIZED (SELECT apibase.request_headers() AS first)
SELECT first, set_config('request.headers', '{"accept":"2"}', true), first AS still FROM h;
SELECT apibase.request_headers();
ROLLBACK;

-- Transactions within one statement string, and within a procedure.
SELECT set_config('request.jwt.claims', '{"role":"s"}', false) \; SELECT apibase.request_claim('role') \; COMMIT \; SELECT apibase.request_claim('role');
DO $$
BEGIN
    PERFORM set_config('request.jwt.claims', '{"role":"local"}', true);
    RAISE NOTICE '%', apibase.request_claim('role');
    COMMIT;
    RAISE NOTICE '%', apibase.request_claim('role');
END $$;
RESET request.jwt.claims;

-- A malformed setting is an error that names it; the next request is not affected.
CREATE PROCEDURE try(setting text, value text, expression text) LANGUAGE plpgsql AS $$
DECLARE
    result text;
    message text;
    detail text;
    hint text;
BEGIN
    PERFORM set_config(setting, value, true);
    EXECUTE 'SELECT ' || expression INTO result;
    RAISE INFO 'result: %', result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE INFO '% % | % | %', SQLSTATE, message, detail, hint;
END $$;
CALL try('request.headers', '{"a":', 'apibase.request_header(''a'')');
CALL try('request.headers', 'nonsense', 'apibase.request_id()');
CALL try('request.headers', '["a"]', 'apibase.request_headers()');
CALL try('request.headers', '"a"', 'apibase.request_headers()');
CALL try('request.headers', 'null', 'apibase.request_headers()');
CALL try('request.headers', ' ', 'apibase.request_headers()');
CALL try('request.headers', '{"a":"\u0000"}', 'apibase.request_headers()');
CALL try('request.cookies', '1', 'apibase.request_cookie(''a'')');
CALL try('request.jwt.claims', '{]', 'apibase.request_claim(''a'')');
CALL try('request.jwt.claims', '[]', 'apibase.request_claims()');
CALL try('request.jwt.claims', ' {"a": 1 } ', 'apibase.request_claim(''a'')');
SELECT count(*) AS kept FROM pg_backend_memory_contexts WHERE name = 'apibase request setting';

-- The id of a request: a header if it is sane,
CREATE FUNCTION id_with(headers jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT set_config('request.headers', headers::text, true);
    SELECT apibase.request_id();
$$;
CREATE FUNCTION made_up(id text) RETURNS boolean LANGUAGE sql AS $$
    SELECT id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
$$;
SELECT id_with('{"x-request-id":"abc-1"}'), id_with('{"X-Request-Id":"Abc"}');
SELECT n, id_with(jsonb_build_object('x-request-id', repeat('x', n))) = repeat('x', n) AS taken
FROM (VALUES (1), (200), (201)) v(n);
SELECT quote_literal(v) AS id, made_up(id_with(jsonb_build_object('x-request-id', v::json))) AS ignored
FROM (VALUES ('""'), ('"a b"'), ('"a\nb"'), ('"a\tb"'), ('"a\u007f"'), ('"\u00e4"'), ('"~!\""'), ('null')) x(v);
-- or another one, or none,
SET apibase.request_id_header = 'X-Correlation-ID';
SELECT id_with('{"x-request-id":"abc-1","x-correlation-id":"def-2"}');
SET apibase.request_id_header = '';
SELECT made_up(id_with('{"x-request-id":"abc-1","":"empty"}'));
RESET apibase.request_id_header;
-- else the trace id of a valid traceparent,
SELECT id_with('{"x-request-id":"a b","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}');
SELECT id_with('{"x-request-id":"abc-1","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}');
SELECT t, id_with(jsonb_build_object('traceparent', t)) = '4bf92f3577b34da6a3ce929d0e0e4736' AS taken
FROM (VALUES
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'),
    ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more'),
    ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more'),
    ('ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    ('00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'),
    ('00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x'),
    ('0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    ('')) v(t);
SELECT made_up(id_with('{"traceparent":"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}')) AS zero_trace;
RESET request.headers;
-- else one for the transaction: with its time, the same within it, another in the next,
CREATE FUNCTION id_time(id text) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT to_timestamp(('x' || lpad(replace(left(id, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0)
$$;
BEGIN;
SELECT made_up(apibase.request_id()), id_time(apibase.request_id()) = date_trunc('milliseconds', now()) AS "time";
CREATE TEMP TABLE ids (id text);
INSERT INTO ids SELECT apibase.request_id() FROM generate_series(1, 3);
SELECT pg_sleep(0.01);
INSERT INTO ids SELECT apibase.request_id();
SAVEPOINT s;
INSERT INTO ids SELECT apibase.request_id();
RELEASE s;
DO $$ BEGIN BEGIN INSERT INTO ids SELECT apibase.request_id(); EXCEPTION WHEN OTHERS THEN RAISE; END; END $$;
COMMIT;
SELECT count(*), count(DISTINCT id) FROM ids;
-- also when two transactions begin in the same microsecond,
TRUNCATE ids;
BEGIN \; INSERT INTO ids SELECT apibase.request_id() \; COMMIT \; BEGIN \; INSERT INTO ids SELECT apibase.request_id() \; COMMIT;
DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO ids SELECT apibase.request_id(); COMMIT; END LOOP; END $$;
SELECT count(*), count(DISTINCT id) FROM ids;

-- In parallel workers: the same request, the same id. The leader takes no part in the scan.
CREATE TABLE many AS SELECT i, 'tenant-' || i % 10 AS tenant FROM generate_series(1, 10000) i;
ANALYZE many;
CREATE FUNCTION workers_launched(query text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ' || query INTO plan;
    RETURN jsonb_path_query_first(plan, '$.**."Workers Launched"');
END $$;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL parallel_leader_participation = off;
SELECT begin_request('GET', '/many', '{}', '{}', '{"tenant":"tenant-3"}');
CREATE VIEW in_workers AS
    SELECT count(*), count(DISTINCT id) AS ids, min(id) AS id
    FROM (SELECT apibase.request_id() AS id FROM many
          WHERE tenant = apibase.request_claim('tenant') AND apibase.request_method() || i IS NOT NULL OFFSET 0) s;
SELECT workers_launched('SELECT * FROM in_workers') > 0 AS parallel;
SELECT count, ids, id = apibase.request_id() AS same_id FROM in_workers;
ROLLBACK;
-- every query in a worker, where the server can be made to do that
SELECT set_config(name, CASE WHEN 'on' = ANY (enumvals) THEN 'on' END, false)
FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
BEGIN;
SELECT apibase.request_id() AS id \gset
SELECT begin_request('GET', '/x', '{"a":"b"}', '{"c":"d"}', '{"e":"f"}');
SELECT apibase.request_id() = :'id' AS id, apibase.request_method(), apibase.request_path(), apibase.request_header('a'),
       apibase.request_cookie('c'), apibase.request_claim('e');
ROLLBACK;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- Stable: an index is used, and row security on a claim is cheap.
CREATE INDEX ON many (tenant);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM many WHERE tenant = apibase.request_claim('tenant');
RESET enable_seqscan;
SELECT proname, provolatile, proparallel FROM pg_proc
WHERE pronamespace = 'apibase'::regnamespace AND proname LIKE 'request%' AND (provolatile, proparallel) <> ('s', 's');

DROP VIEW request;
DROP TABLE many;
DROP PROCEDURE try;
DROP FUNCTION begin_request, id_with, made_up, id_time, workers_launched;
