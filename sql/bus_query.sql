-- bus_query: queries, and what they keep in the cache. Without shared memory (expected/bus_query_1.out) nothing is kept.
SET client_min_messages = error;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT apibase.preloaded() AS preloaded \gset
DROP SCHEMA IF EXISTS bus_query CASCADE;
DROP ROLE IF EXISTS regress_bus_reader;
DROP ROLE IF EXISTS regress_bus_other;
CREATE ROLE regress_bus_reader;
CREATE ROLE regress_bus_other;
CREATE SCHEMA bus_query;
GRANT USAGE ON SCHEMA bus_query TO regress_bus_reader, regress_bus_other;
SET search_path = bus_query;
CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric);
INSERT INTO orders VALUES (1, 'ann', 10), (2, 'bob', 20), (3, 'ann', 30);
GRANT SELECT ON orders TO regress_bus_reader, regress_bus_other;

---- what queries return
CREATE TYPE get_order AS (id int);
CREATE FUNCTION handle_get_order(q get_order) RETURNS orders LANGUAGE sql STABLE AS
    $$ SELECT * FROM bus_query.orders WHERE id = q.id $$;
SELECT apibase.register_query('get_order', 'handle_get_order(get_order)');
SELECT apibase.query(ROW(1)::get_order);
SELECT apibase.query('bus_query.get_order', '{"id": 2}');
SELECT apibase.query(ROW(4)::get_order) IS NULL AS nothing;
SELECT apibase.query_result(ROW(1)::get_order)::jsonb;
SELECT apibase.query_result('bus_query.get_order', '{"id": 2}')::jsonb;

-- sets are arrays, in the order of the rows
CREATE TYPE list_orders AS (customer text);
CREATE FUNCTION handle_list_orders(q list_orders) RETURNS SETOF orders LANGUAGE sql STABLE AS
    $$ SELECT * FROM bus_query.orders WHERE customer = q.customer ORDER BY id DESC $$;
SELECT apibase.register_query('list_orders', 'handle_list_orders(list_orders)');
SELECT apibase.query(ROW('ann')::list_orders);
SELECT apibase.query('bus_query.list_orders', '{"customer": "nobody"}');
CREATE TYPE list_ids AS (up_to int);
CREATE FUNCTION handle_list_ids(q list_ids) RETURNS SETOF int LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN QUERY SELECT id FROM bus_query.orders WHERE id <= q.up_to ORDER BY id; END $$;
SELECT apibase.register_query('list_ids', 'handle_list_ids(list_ids)');
SELECT apibase.query(ROW(2)::list_ids);
CREATE TYPE totals AS (least numeric);
CREATE FUNCTION handle_totals(q totals) RETURNS TABLE (customer text, total numeric) LANGUAGE sql STABLE AS
    $$ SELECT customer, sum(amount) FROM bus_query.orders GROUP BY 1 HAVING sum(amount) >= q.least ORDER BY 1 $$;
SELECT apibase.register_query('totals', 'handle_totals(totals)');
SELECT apibase.query(ROW(0)::totals), apibase.query(ROW(30)::totals);

---- what is wrong is raised, or in the result
SELECT apibase.query(ROW(1)::orders_of_nobody);
CREATE TYPE nobodys AS (id int);
SELECT apibase.query(ROW(1)::nobodys);
SELECT apibase.query('bus_query.get_ordr', '{"id": 1}');
SELECT apibase.query('bus_query.get_order', '{"id": "x", "nr": 1}');
SELECT jsonb_path_query(apibase.query_result('bus_query.get_order', '{"id": "x", "nr": 1}')::jsonb, '$.error.errors[*].pointer');
SELECT apibase.query(NULL::get_order);
SELECT apibase.query(ROW(1)::get_order, '{"color": "red"}');
CREATE TYPE failing AS (code text);
CREATE FUNCTION handle_failing(q failing) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    RAISE 'it failed' USING ERRCODE = q.code, DETAIL = '{"reason": "because"}';
END $$;
SELECT apibase.register_query('failing', 'handle_failing(failing)');
SELECT apibase.query(ROW('PT409')::failing);
SELECT apibase.query_result(ROW('PT409')::failing)::jsonb #- '{error,instance}';

---- whatever a handler tries, it writes nothing
CREATE TYPE writing AS (id int);
CREATE FUNCTION really_write() RETURNS int LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN INSERT INTO bus_query.orders VALUES (100, 'eve', 0); RETURN 1; END $$;
CREATE FUNCTION handle_writing(q writing) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN really_write(); END $$;
SELECT apibase.register_query('writing', 'handle_writing(writing)');
SELECT apibase.query(ROW(1)::writing);
CREATE TYPE writings AS (id int);
CREATE FUNCTION handle_writings(q writings) RETURNS SETOF int LANGUAGE sql STABLE AS $$ SELECT bus_query.really_write() $$;
SELECT apibase.register_query('writings', 'handle_writings(writings)');
SELECT apibase.query(ROW(1)::writings);
-- and the transaction can write afterwards
BEGIN;
SELECT apibase.query(ROW(2)::get_order) ->> 'customer' AS customer;
UPDATE orders SET customer = 'bill' WHERE id = 2;
SELECT apibase.query(ROW(2)::get_order) ->> 'customer' AS customer;
ROLLBACK;

---- the cache
SELECT apibase.cache_watch('orders');
-- Shows what a query returns, and how often its handler ran for that. A handler cannot count in a table, nor in a
-- sequence, but in a setting.
CREATE FUNCTION run_counted() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('test.runs', (coalesce(nullif(current_setting('test.runs', true), ''), '0')::int + 1)::text, false);
END $$;
CREATE FUNCTION runs_of(query text, OUT value jsonb, OUT ran int) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('test.runs', '0', false);
    EXECUTE 'SELECT ' || query INTO value;
    ran := current_setting('test.runs')::int;
END $$;
CREATE TYPE find_order AS (id int, trace text);
CREATE FUNCTION handle_find_order(q find_order) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM bus_query.run_counted();
    RETURN (SELECT jsonb_build_object('id', id, 'customer', customer) FROM bus_query.orders WHERE id = q.id);
END $$;
SELECT apibase.register_query('find_order', 'handle_find_order(find_order)', cache_ttl => '1 hour', cache_key => '{id}',
    tags => ARRAY['order:{id}']);
SELECT * FROM runs_of($$apibase.query(ROW(1, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(1, 'a')::find_order)$$);
\if :preloaded
\else
DROP SCHEMA bus_query CASCADE;
DROP ROLE regress_bus_reader, regress_bus_other;
\quit
\endif
-- a field that is not in the key makes no difference, one that is does; by name it is the same
SELECT * FROM runs_of($$apibase.query(ROW(1, 'b')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query('bus_query.find_order', '{"id": 2, "trace": "c"}')$$);
SELECT * FROM runs_of($$apibase.query_result(ROW(2, 'a')::find_order)::jsonb$$);
SELECT * FROM runs_of($$apibase.query(ROW(NULL, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(NULL, 'a')::find_order)$$);
-- where there is nothing, that is known, too
SELECT value IS NULL AS nothing, ran FROM runs_of($$apibase.query(ROW(9, 'a')::find_order)$$);
SELECT value IS NULL AS nothing, ran FROM runs_of($$apibase.query(ROW(9, 'a')::find_order)$$);

-- entries are those of the handler; the counters tell
SELECT split_part(key, '(', 1) AS key, kind, array_remove(tags, 'oid:' || 'orders'::regclass::oid) AS tags
    FROM apibase.cache_entries WHERE key LIKE 'fn:bus_query.handle_find_order(%' ORDER BY tags::text;
SELECT name, dispatches, errors, cached FROM apibase.bus_stats WHERE name = 'bus_query.find_order';

-- a tag, with the value of a field
SELECT apibase.cache_invalidate('order:1');
SELECT * FROM runs_of($$apibase.query(ROW(1, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
-- what the handler reads
UPDATE orders SET customer = 'bert' WHERE id = 2;
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
-- what its own transaction has written, and nobody else sees
BEGIN;
UPDATE orders SET customer = 'ben' WHERE id = 2;
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
ROLLBACK;
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
-- the time to live
SELECT apibase_internal.clock_set('61 min');
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
SELECT apibase_internal.clock_set('0');

-- another state of the function, or of what it takes, is another key
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
ALTER FUNCTION handle_find_order(find_order) COST 10;
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a')::find_order)$$);
ALTER TYPE find_order ADD ATTRIBUTE other int;
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 0)::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 1)::find_order)$$);
-- registered with another key: all fields
SELECT apibase.register_query('find_order', 'handle_find_order(find_order)', cache_ttl => '1 hour');
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 0)::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 0)::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'b', 0)::find_order)$$);
-- without a cache
SELECT apibase.register_query('find_order', 'handle_find_order(find_order)');
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 0)::find_order)$$);
SELECT * FROM runs_of($$apibase.query(ROW(2, 'a', 0)::find_order)$$);

-- failures are not kept
CREATE TYPE moody AS (id int);
CREATE FUNCTION handle_moody(q moody) RETURNS apibase.result LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM bus_query.run_counted();
    IF current_setting('test.mood') = 'raise' THEN RAISE 'no' USING ERRCODE = 'PT409'; END IF;
    IF current_setting('test.mood') = 'err' THEN RETURN apibase.err(apibase.problem(409, 'no')); END IF;
    RETURN apibase.ok(1);
END $$;
SELECT apibase.register_query('moody', 'handle_moody(moody)', cache_ttl => '1 hour', scope => 'shared');
SET test.mood = 'raise';
SELECT value -> 'ok' AS ok, ran FROM runs_of($$apibase.query_result(ROW(1)::moody)::jsonb$$);
SET test.mood = 'err';
SELECT value -> 'ok' AS ok, ran FROM runs_of($$apibase.query_result(ROW(1)::moody)::jsonb$$);
SET test.mood = 'good';
SELECT value -> 'ok' AS ok, ran FROM runs_of($$apibase.query_result(ROW(1)::moody)::jsonb$$);
SET test.mood = 'raise';
SELECT value -> 'ok' AS ok, ran FROM runs_of($$apibase.query_result(ROW(1)::moody)::jsonb$$);

-- a set, and a temporary table, from which nothing is kept
CREATE TYPE cached_list AS (customer text);
CREATE FUNCTION handle_cached_list(q cached_list) RETURNS SETOF orders LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM bus_query.run_counted();
    RETURN QUERY SELECT * FROM bus_query.orders WHERE customer = q.customer ORDER BY id;
END $$;
SELECT apibase.register_query('cached_list', 'handle_cached_list(cached_list)', cache_ttl => '1 hour', tags => ARRAY['orders', 'customer:{customer}']);
SELECT * FROM runs_of($$apibase.query(ROW('ann')::cached_list)$$);
SELECT * FROM runs_of($$apibase.query(ROW('ann')::cached_list)$$);
INSERT INTO orders VALUES (5, 'ann', 50);
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW('ann')::cached_list)$$);
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW('ann')::cached_list)$$);
SELECT apibase.cache_invalidate('customer:ann');
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW('ann')::cached_list)$$);
-- a tag that would be too long, or has a null in it, is not one
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW(repeat('x', 300))::cached_list)$$);
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW(repeat('x', 300))::cached_list)$$);
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW(NULL)::cached_list)$$);
SELECT jsonb_array_length(value), ran FROM runs_of($$apibase.query(ROW(NULL)::cached_list)$$);
CREATE TEMP TABLE private AS SELECT 1 AS n;
CREATE TYPE of_private AS (id int);
CREATE FUNCTION handle_of_private(q of_private) RETURNS int LANGUAGE plpgsql STABLE AS
    $$ BEGIN PERFORM bus_query.run_counted(); RETURN (SELECT n FROM pg_temp.private); END $$;
SELECT apibase.register_query('of_private', 'handle_of_private(of_private)', cache_ttl => '1 hour', scope => 'shared');
SELECT * FROM runs_of($$apibase.query(ROW(1)::of_private)$$);
SELECT * FROM runs_of($$apibase.query(ROW(1)::of_private)$$);

-- roles and claims have their own results, unless it is said that they share them; who may not ask gets none
CREATE TYPE whoami AS (id int);
CREATE FUNCTION handle_whoami(q whoami) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN PERFORM bus_query.run_counted(); RETURN current_user || ' ' || coalesce(apibase.request_claim('sub'), '-'); END $$;
CREATE FUNCTION as_role(role text, sub text, query text, OUT value text, OUT ran int) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('test.runs', '0', false), set_config('request.jwt.claims', jsonb_build_object('sub', sub)::text, false);
    EXECUTE format('SET ROLE %I', role);
    BEGIN
        EXECUTE 'SELECT ' || query INTO value;
    EXCEPTION WHEN insufficient_privilege THEN value := SQLSTATE;
    END;
    RESET ROLE;
    PERFORM set_config('request.jwt.claims', '', false);
    ran := current_setting('test.runs')::int;
END $$;
REVOKE EXECUTE ON FUNCTION handle_whoami(whoami) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION handle_whoami(whoami) TO regress_bus_reader, regress_bus_other;
SELECT apibase.register_query('whoami', 'handle_whoami(whoami)', cache_ttl => '1 hour');
SELECT * FROM as_role('regress_bus_reader', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_reader', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_reader', 'bob', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_other', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT apibase.register_query('whoami', 'handle_whoami(whoami)', cache_ttl => '1 hour', scope => 'shared');
SELECT * FROM as_role('regress_bus_reader', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_other', 'bob', 'apibase.query(ROW(1)::bus_query.whoami)');
REVOKE EXECUTE ON FUNCTION handle_whoami(whoami) FROM regress_bus_other;
SELECT * FROM as_role('regress_bus_other', 'bob', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_other', 'bob', $$apibase.query_result(ROW(1)::bus_query.whoami)::jsonb #> '{error,status}'$$);

-- middleware is around a hit, too
CREATE FUNCTION only_reader(d apibase.dispatch, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_bus_reader' THEN PERFORM apibase.raise_forbidden(); END IF;
END $$;
GRANT EXECUTE ON FUNCTION handle_whoami(whoami) TO regress_bus_other;
SELECT apibase.use_middleware('only_reader(apibase.dispatch,jsonb)', 'before', 'bus_query.whoami');
SELECT * FROM as_role('regress_bus_reader', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_reader', 'ann', 'apibase.query(ROW(1)::bus_query.whoami)');
SELECT * FROM as_role('regress_bus_other', 'bob', $$apibase.query_result(ROW(1)::bus_query.whoami)::jsonb #> '{error,status}'$$);
SELECT apibase.drop_middleware('only_reader(apibase.dispatch,jsonb)');
SELECT * FROM as_role('regress_bus_other', 'bob', 'apibase.query(ROW(1)::bus_query.whoami)');

-- what is made of fields of all kinds tells them apart
CREATE TYPE pair AS (a int, b text);
CREATE TYPE many AS (i int, t text, n numeric, b bytea, p pair, l int[], f float8, u uuid);
CREATE FUNCTION handle_many(q many) RETURNS jsonb LANGUAGE plpgsql STABLE AS
    $$ BEGIN PERFORM bus_query.run_counted(); RETURN to_jsonb(q); END $$;
SELECT apibase.register_query('many', 'handle_many(many)', cache_ttl => '1 hour');
CREATE TEMP TABLE messages (n serial, message many);
INSERT INTO messages (message) VALUES
    (ROW(1, 'a', 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(2, 'a', 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'b', 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1.0, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x02', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', ROW(1, 'y'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', ROW(1, NULL), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', NULL, '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', ROW(1, 'x'), '{1,3}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', ROW(1, 'x'), '{1,2}', 2, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, 'a', 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d470')),
    (ROW(1, NULL, 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, repeat('a', 5000), 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479')),
    (ROW(1, repeat('a', 5001), 1, '\x01', ROW(1, 'x'), '{1,2}', 1, 'f47ac10b-58cc-4372-a567-0e02b2c3d479'));
SET test.runs = 0;
SELECT count(*) AS right FROM messages WHERE apibase.query(message) = to_jsonb(message);
SELECT current_setting('test.runs') AS runs;
SELECT count(*) AS right FROM messages WHERE apibase.query(message) = to_jsonb(message);
SELECT current_setting('test.runs') AS runs;

-- a set whose rows have a column that is called as the query around it calls rows
CREATE TYPE rows_wanted AS (n int);
CREATE FUNCTION numbered(q rows_wanted) RETURNS TABLE (r int, x text) LANGUAGE sql STABLE AS
    $$ SELECT i, 'row ' || i FROM generate_series(1, q.n) i $$;
SELECT apibase.register_query('rows_wanted', 'numbered(rows_wanted)');
SELECT apibase.query(ROW(2)::rows_wanted);
CREATE FUNCTION lettered(q rows_wanted) RETURNS TABLE (r text) LANGUAGE sql STABLE AS $$ SELECT chr(96 + i) FROM generate_series(1, q.n) i $$;
SELECT apibase.register_query('rows_wanted', 'lettered(rows_wanted)');
SELECT apibase.query(ROW(2)::rows_wanted);
-- who may execute it need not be allowed to use its schema, whoever has asked before with which search_path
CREATE SCHEMA bus_query_hidden;
CREATE TYPE bus_query_hidden.hidden AS (n int);
CREATE FUNCTION bus_query_hidden.rows_of(bus_query_hidden.hidden) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT 1';
SELECT apibase.register_query('bus_query_hidden.hidden', 'bus_query_hidden.rows_of(bus_query_hidden.hidden)');
SET ROLE regress_bus_other;
SELECT apibase.query('bus_query_hidden.hidden');
SET search_path = pg_catalog;
SELECT apibase.query('bus_query_hidden.hidden');
RESET ROLE;
SET search_path = bus_query;
DROP SCHEMA bus_query_hidden CASCADE;
-- rows whose columns nobody knows
CREATE FUNCTION unknown(q rows_wanted) RETURNS SETOF record LANGUAGE sql STABLE AS $$ SELECT 1, 2 $$;
SELECT apibase.register_query('rows_wanted', 'unknown(rows_wanted)');
CREATE FUNCTION unknown_void(q rows_wanted) RETURNS SETOF void LANGUAGE sql STABLE AS '';
SELECT apibase.register_query('rows_wanted', 'unknown_void(rows_wanted)');

-- a handler that calls what tries to write
CREATE TABLE written (how text);
CREATE TYPE escape AS (how text);
CREATE FUNCTION write(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE how;
    INSERT INTO bus_query.written VALUES (how);
END $$;
CREATE FUNCTION writes(q escape) RETURNS void LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM bus_query.write(q.how); END $$;
SELECT apibase.register_query('escape', 'writes(escape)');
-- 16 and later refuse it
DO $$ BEGIN
    CREATE FUNCTION sets_read_write() RETURNS void LANGUAGE plpgsql SET transaction_read_only = off AS 'BEGIN END';
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
SELECT how, apibase.is_err(apibase.query_result(ROW(how)::escape)) AS failed FROM unnest(ARRAY[
    'SET TRANSACTION READ WRITE', 'SET transaction_read_only = off', 'SET LOCAL transaction_read_only TO DEFAULT',
    'RESET transaction_read_only', 'RESET ALL', $$SELECT set_config('transaction_read_only', 'off', false)$$,
    $$SELECT set_config('transaction_read_only', NULL, true)$$, 'SELECT bus_query.sets_read_write()',
    'DO $x$BEGIN END$x$', 'SET transaction_read_only = on']) how;
SELECT count(*) FROM written;
SHOW transaction_read_only;
BEGIN;
SELECT apibase.is_err(apibase.query_result(ROW('SET transaction_read_only = on')::escape)) AS failed;
INSERT INTO written VALUES ('after it');
SELECT count(*) FROM written;
COMMIT;

DROP SCHEMA bus_query CASCADE;
DROP ROLE regress_bus_reader, regress_bus_other;
