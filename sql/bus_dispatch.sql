-- bus: a message finds its handler, what the handler raises becomes a problem, what it wrote is undone; metadata, deadlines, limits.
-- It is the same with and without shared memory.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/errors.sql
DROP SCHEMA IF EXISTS bus_dispatch CASCADE;
DROP ROLE IF EXISTS regress_bus_caller;
CREATE ROLE regress_bus_caller;
CREATE SCHEMA bus_dispatch;
GRANT USAGE ON SCHEMA bus_dispatch TO regress_bus_caller;
SET search_path = bus_dispatch, public;

CREATE TABLE orders (id int PRIMARY KEY, sku text NOT NULL, quantity int CHECK (quantity > 0));
GRANT SELECT, INSERT ON orders TO regress_bus_caller;
CREATE TABLE log (entry text);

-- A result without what is different each time.
CREATE FUNCTION shown(result apibase.result) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(CASE WHEN result.ok THEN 'ok ' || coalesce(result.value::text, 'NULL')
        ELSE 'err ' || (result.error - 'instance' - 'type' - 'title')::text END || CASE WHEN result.replayed THEN ' replayed' ELSE '' END, 'nothing')
$$;
CREATE FUNCTION count_orders() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders';

--
-- Handlers in any language, returning anything
--
CREATE TYPE place_order AS (id int, sku text, quantity int);
CREATE FUNCTION handle_place_order(command place_order) RETURNS orders LANGUAGE plpgsql AS $$
DECLARE
    placed orders;
BEGIN
    INSERT INTO orders VALUES (command.id, command.sku, command.quantity) RETURNING * INTO placed;
    RETURN placed;
END $$;
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)');

SELECT shown(apibase.command(ROW(1, 'book', 2)::place_order));
SELECT shown(apibase.command('bus_dispatch.place_order', '{"id": 2, "sku": "pen", "quantity": 1}'));
SELECT * FROM apibase.command(ROW(3, 'ink', 1)::place_order, '{}');
SELECT * FROM orders ORDER BY id;

-- Only it is invoked: two messages of the same shape have their own handlers.
CREATE TYPE cancel_order AS (id int, sku text, quantity int);
CREATE FUNCTION handle_cancel_order(cancel_order) RETURNS void LANGUAGE sql AS 'DELETE FROM orders WHERE id = $1.id';
SELECT apibase.register_command('cancel_order', 'handle_cancel_order(cancel_order)');
SELECT shown(apibase.command(ROW(3, NULL, NULL)::cancel_order)), shown(apibase.command(ROW(4, 'nib', 1)::place_order));
SELECT id FROM orders ORDER BY id;

CREATE TYPE returning_jsonb AS (n int);
CREATE FUNCTION handle(returning_jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', $1.n) $$;
CREATE TYPE returning_null AS (n int);
CREATE FUNCTION handle(returning_null) RETURNS int LANGUAGE sql AS $$ SELECT NULL::int $$;
CREATE TYPE returning_result AS (good boolean);
CREATE FUNCTION handle(returning_result) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log VALUES ('returning_result ' || $1.good);
    RETURN CASE WHEN $1.good THEN apibase.ok('{"fine": true}'::jsonb)
        ELSE apibase.err('{"status": 409, "detail": "not now", "code": "PT409", "retry": [1, 2]}') END;
END $$;
SELECT apibase.register_command('returning_jsonb', 'handle(returning_jsonb)'), apibase.register_command('returning_null', 'handle(returning_null)'),
    apibase.register_command('returning_result', 'handle(returning_result)');
SELECT shown(apibase.command(ROW(7)::returning_jsonb)), shown(apibase.command(ROW(7)::returning_null));

-- An err that is returned is a failure: what the handler wrote is undone, and the problem is as it was.
SELECT shown(apibase.command(ROW(true)::returning_result)), shown(apibase.command(ROW(false)::returning_result));
SELECT * FROM log;

-- Variables of PL/pgSQL, records, domains over composite types, a whole row of a table.
CREATE DOMAIN sane_order AS place_order CHECK ((VALUE).quantity < 100);
CREATE FUNCTION handle_row(orders) RETURNS text LANGUAGE sql AS $$ SELECT $1.sku $$;
SELECT apibase.register_command('orders', 'handle_row(orders)');
DO $$
DECLARE
    typed place_order := ROW(10, 'a', 1);
    untyped record;
    result apibase.result;
BEGIN
    typed.sku := 'changed';
    result := apibase.command(typed);
    typed.sku := 'changed later';
    RAISE INFO '%', shown(result);
    SELECT 11 AS id, 'b' AS sku, 1 AS quantity INTO untyped;
    BEGIN
        result := apibase.command(untyped);
    EXCEPTION WHEN OTHERS THEN RAISE INFO '% %', SQLSTATE, SQLERRM;
    END;
    SELECT * FROM orders WHERE id = 1 INTO untyped;
    untyped := (SELECT o FROM orders o WHERE id = 1);
    RAISE INFO '%', shown(apibase.command(untyped));
END $$;
SELECT shown(apibase.command(ROW(12, 'c', 1)::sane_order)), shown(apibase.command(o)) FROM orders o WHERE id = 2;

-- A handler may be running more than once, also one in SQL, which keeps its state where it is called.
CREATE TYPE factorial AS (n int);
CREATE FUNCTION handle(factorial) RETURNS numeric LANGUAGE sql AS $$
    SELECT CASE WHEN $1.n <= 1 THEN 1 ELSE $1.n * ((apibase.command(ROW($1.n - 1)::factorial)).value)::numeric END $$;
SELECT apibase.register_command('factorial', 'handle(factorial)');
SELECT shown(apibase.command(ROW(10)::factorial)), shown(apibase.command(ROW(3)::factorial));

-- A handler may replace itself.
CREATE TYPE learn AS (n int);
CREATE FUNCTION handle(learn) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    CREATE OR REPLACE FUNCTION handle(learn) RETURNS text LANGUAGE sql AS 'SELECT ''learned''::text';
    RETURN 'learning, then ' || shown(apibase.command(ROW(2)::learn));
END $$;
SELECT apibase.register_command('learn', 'handle(learn)');
SELECT shown(apibase.command(ROW(1)::learn)), shown(apibase.command(ROW(3)::learn));

--
-- Failures
--
-- What it wrote before is undone; what the caller did is not.
CREATE TYPE misfortune AS (what text);
CREATE FUNCTION handle(misfortune) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log VALUES ('misfortune ' || $1.what);
    EXECUTE $1.what;
    RETURN 1;
END $$;
SELECT apibase.register_command('misfortune', 'handle(misfortune)');
BEGIN;
INSERT INTO log VALUES ('of the caller');
SELECT what, shown(apibase.command(ROW(what)::misfortune)) FROM (VALUES
    ('SELECT 1'),
    ('INSERT INTO orders VALUES (1, ''again'', 1)'),
    ('INSERT INTO orders VALUES (50, ''x'', 0)'),
    ('INSERT INTO orders VALUES (51, NULL, 1)'),
    ('SELECT apibase.raise_not_found(''order'', 7)'),
    ('SELECT 1 / 0'),
    ('SELECT no_such_column'),
    ('DO $x$ BEGIN RAISE ''out of stock'' USING ERRCODE = ''PT409'', DETAIL = ''{"sku": "x"}''; END $x$')) v(what);
COMMIT;
SELECT * FROM log;

-- The instance is the id of the dispatch.
SELECT (apibase.command(ROW('SELECT apibase.raise_not_found(''order'', 7)')::misfortune)).error->>'instance' ~ '^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';

-- What is wrong with the call is raised.
CREATE TYPE place_orders AS (n int);
SELECT errors.of('SELECT apibase.command(ROW(1)::bus_dispatch.place_orders)');
SELECT errors.of('SELECT apibase.command(''bus_dispatch.place_ordr'', ''{}'')');
SELECT errors.of('SELECT apibase.query(ROW(1, NULL, 1)::bus_dispatch.place_order)');
SELECT errors.of('SELECT apibase.command(NULL::bus_dispatch.place_order)');
SELECT errors.of('SELECT apibase.command(NULL::text, ''{}'')');
SELECT errors.of('SELECT apibase.command(''bus_dispatch.place_order'', NULL::jsonb)');
SELECT errors.of('SELECT apibase.command(7)');
SELECT errors.of('SELECT apibase.command(ROW(1, 2))');
SELECT errors.of(format('SELECT apibase.command(ROW(1)::bus_dispatch.returning_null, %L)', options)) FROM (VALUES
    ('[]'), ('{"key": "x"}'), ('{"idempotency_key": 7}'), ('{"correlation_id": ""}'), ('{"timeout": "soon"}'), ('{"timeout": "-1 s"}'),
    ('{"timeout": 5}'), ('{"deadline": "someday"}'), ('{"traceparent": "00-1-1-1"}')) v(options);
SELECT shown(apibase.command(ROW(1)::returning_null, NULL)),
    shown(apibase.command(ROW(1)::returning_null, '{"correlation_id": null, "timeout": null}'));

-- What is wrong with a payload is not.
SELECT shown(apibase.command('bus_dispatch.place_order', payload)) FROM (VALUES
    ('{"id": "many", "sku": 7, "colour": "red"}'::jsonb), ('[]'), ('null'), ('{}')) v(payload);

-- Who dispatches must be allowed to call the handler; its type is no secret.
CREATE TYPE secret AS (n int);
CREATE FUNCTION handle(secret) RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$;
REVOKE ALL ON FUNCTION handle(secret) FROM PUBLIC;
SELECT apibase.register_command('secret', 'handle(secret)');
SET ROLE regress_bus_caller;
SELECT shown(apibase.command(ROW(1)::secret));
RESET ROLE;
GRANT EXECUTE ON FUNCTION handle(secret) TO regress_bus_caller;
SET ROLE regress_bus_caller;
SELECT shown(apibase.command(ROW(1)::secret));
RESET ROLE;

-- A statement that is cancelled ends: that is no result.
SET statement_timeout = '50ms';
SELECT apibase.command(ROW('SELECT pg_sleep(60)')::misfortune);
RESET statement_timeout;
SELECT apibase.command(ROW('DO $x$ BEGIN RAISE query_canceled; END $x$')::misfortune);
SELECT shown(apibase.command(ROW('SELECT 1')::misfortune)), apibase.current_dispatch() IS NULL AS outside;

--
-- Queries
--
CREATE TYPE orders_of AS (sku text);
CREATE FUNCTION handle(orders_of) RETURNS SETOF orders LANGUAGE sql STABLE AS 'SELECT * FROM orders WHERE sku = $1.sku ORDER BY id';
CREATE TYPE count_of AS (sku text);
CREATE FUNCTION handle(count_of) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders WHERE sku = $1.sku';
SELECT apibase.register_query('orders_of', 'handle(orders_of)'), apibase.register_query('count_of', 'handle(count_of)');
SELECT apibase.query(ROW('book')::orders_of), apibase.query(ROW('no')::orders_of), apibase.query('bus_dispatch.count_of', '{"sku": "book"}');
SELECT shown(apibase.query_result(ROW('book')::count_of));
SELECT errors.of('SELECT apibase.command(ROW(''book'')::bus_dispatch.count_of)');

-- They run read-only, whatever they try; and nobody else does.
CREATE FUNCTION write_anyway(how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE how;
    INSERT INTO log VALUES ('written by a query');
    RETURN 'written';
END $$;
CREATE TYPE sneaky AS (how text);
CREATE FUNCTION handle(sneaky) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN write_anyway($1.how);
END $$;
SELECT apibase.register_query('sneaky', 'handle(sneaky)');
SELECT how, shown(apibase.query_result(ROW(how)::sneaky)) FROM (VALUES
    ('SELECT 1'),
    ('SET transaction_read_only = off'),
    ('SET TRANSACTION READ WRITE'),
    ('SELECT set_config(''transaction_read_only'', ''off'', false)'),
    ('DO $x$ BEGIN SET transaction_read_only = off; EXCEPTION WHEN OTHERS THEN NULL; END $x$'),
    ('DO $x$ BEGIN SET LOCAL transaction_read_only = on; PERFORM 1/0; EXCEPTION WHEN OTHERS THEN NULL; END $x$'),
    ('SELECT apibase.command(ROW(''SELECT 1'')::bus_dispatch.misfortune)')) v(how);
SELECT current_setting('transaction_read_only') AS read_only, shown(apibase.command(ROW(20, 'after', 1)::place_order));
BEGIN;
SELECT shown(apibase.query_result(ROW('SET LOCAL transaction_read_only = on')::sneaky));
SHOW transaction_read_only;
SELECT shown(apibase.query_result(ROW('SELECT pg_temp.no()')::sneaky)), shown(apibase.command(ROW(21, 'after', 1)::place_order));
COMMIT;
SHOW transaction_read_only;
SELECT count(*) FROM log WHERE entry = 'written by a query';
BEGIN READ ONLY;
SELECT shown(apibase.query_result(ROW('book')::count_of)), shown(apibase.command(ROW(22, 'no', 1)::place_order));
SHOW transaction_read_only;
COMMIT;

--
-- Metadata
--
CREATE TYPE outer_message AS (n int);
CREATE TYPE inner_message AS (n int);
CREATE TABLE seen (n serial, d apibase.dispatch, correlation_id text, causation_id text, deadline timestamptz);
CREATE FUNCTION see() RETURNS void LANGUAGE sql AS $$
    INSERT INTO seen (d, correlation_id, causation_id, deadline)
    SELECT apibase.current_dispatch(), apibase.correlation_id(), apibase.causation_id(), apibase.deadline() $$;
CREATE FUNCTION handle(inner_message) RETURNS void LANGUAGE sql AS 'SELECT see()';
CREATE FUNCTION handle(outer_message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM see();
    PERFORM apibase.command(ROW(1)::inner_message);
    PERFORM apibase.command(ROW(2)::inner_message, '{"correlation_id": "other", "causation_id": "cause", "traceparent": "00-11111111111111111111111111111111-2222222222222222-01"}');
    PERFORM see();
END $$;
SELECT apibase.register_command('outer_message', 'handle(outer_message)'), apibase.register_command('inner_message', 'handle(inner_message)');
BEGIN;
SET LOCAL request.headers = '{"x-request-id": "the-request", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}';
SET LOCAL request.jwt.claims = '{"sub": "ann"}';
SELECT apibase.correlation_id(), apibase.causation_id(), apibase.deadline(), apibase.current_dispatch() IS NULL AS outside;
SELECT shown(apibase.command(ROW(1)::outer_message));
COMMIT;
SELECT (d).kind, (d).name, (d).depth, (d).attempt, (d).caller = current_user AS mine, (d).claims, (d).deadline, (d).idempotency_key
FROM seen ORDER BY n;
SELECT (d).correlation_id, correlation_id = (d).correlation_id AS same, (d).traceparent FROM seen ORDER BY n;
SELECT s.n, count(DISTINCT o.n) AS others_with_this_id, (s.d).causation_id = (f.d).id::text AS caused_by_first, (s.d).causation_id = 'cause' AS as_given,
    s.causation_id IS NOT DISTINCT FROM (s.d).causation_id AS same, (s.d).time BETWEEN now() - interval '1 hour' AND clock_timestamp() AS recent
FROM seen s JOIN seen f ON f.n = 1 LEFT JOIN seen o ON o.n <> s.n AND (o.d).id = (s.d).id GROUP BY s.n, s.d, s.causation_id, f.d ORDER BY s.n;
TRUNCATE seen;

-- Without a request: one id for the transaction. A malformed header is no traceparent, malformed headers are an error.
SELECT shown(apibase.command(ROW(1)::inner_message)), shown(apibase.command(ROW(1)::inner_message));
SELECT count(DISTINCT correlation_id), count(DISTINCT (d).id), count((d).traceparent) FROM seen;
TRUNCATE seen;
BEGIN;
SET LOCAL request.headers = '{"traceparent": "nonsense"}';
SELECT shown(apibase.command(ROW(1)::inner_message, '{"correlation_id": "mine", "idempotency_key": "k"}'));
SELECT (d).correlation_id, (d).traceparent, (d).idempotency_key FROM seen;
SET LOCAL request.headers = 'nonsense';
SELECT shown(apibase.command(ROW(1)::inner_message));
ROLLBACK;

--
-- Deadlines
--
CREATE TYPE slow AS (how text);
CREATE FUNCTION handle(slow) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log VALUES ('slow ' || $1.how);
    IF $1.how = 'stubborn' THEN
        BEGIN
            PERFORM pg_sleep(60);
        EXCEPTION WHEN query_canceled THEN NULL;
        END;
    ELSIF $1.how = 'nested' THEN
        RETURN 'inner: ' || shown(apibase.command(ROW('sleepy')::slow, '{"timeout": "20 ms"}'));
    ELSIF $1.how = 'inherited' THEN
        RETURN 'inner: ' || shown(apibase.command(ROW('sleepy')::slow, '{"timeout": "1 h"}'));
    END IF;
    IF $1.how IN ('sleepy', 'stubborn') THEN
        PERFORM pg_sleep(60);
    END IF;
    RETURN apibase.deadline() IS NULL;
END $$;
SELECT apibase.register_command('slow', 'handle(slow)');
TRUNCATE log;
SELECT shown(apibase.command(ROW('sleepy')::slow, '{"timeout": "20 ms"}'));
SELECT shown(apibase.command(ROW('stubborn')::slow, '{"timeout": "20 ms"}'));
SELECT shown(apibase.command(ROW('nested')::slow, '{"timeout": "10 min"}'));
SELECT shown(apibase.command(ROW('inherited')::slow, '{"timeout": "20 ms"}'));
SELECT * FROM log;
SELECT shown(apibase.command(ROW('quick')::slow, '{"timeout": "10 min"}')), shown(apibase.command(ROW('quick')::slow)),
    shown(apibase.command(ROW('quick')::slow, '{"deadline": "infinity"}'));
-- one that has passed: the handler is not called
SELECT shown(apibase.command(ROW('quick')::slow, '{"deadline": "2020-01-01", "timeout": "10 min"}'));
SELECT * FROM log;
-- of the registration; the earliest counts, and it is the one that is shown
SELECT apibase.register_command('slow', 'handle(slow)', timeout => '20 ms');
SELECT shown(apibase.command(ROW('sleepy')::slow, '{"timeout": "10 min"}'));
SELECT apibase.register_command('slow', 'handle(slow)', timeout => '10 min');
SELECT shown(apibase.command(ROW('sleepy')::slow, '{"timeout": "20 ms"}'));
-- a cancellation by somebody else is not the deadline's
SET statement_timeout = '50ms';
SELECT apibase.command(ROW('sleepy')::slow);
RESET statement_timeout;
SELECT apibase.command(ROW('SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)')::misfortune, '{"timeout": "10 min"}');

--
-- Limits
--
-- Cycles end in an error that shows them. It is raised: a handler that does not look at results does not go on for ever.
CREATE TYPE ping AS (n int);
CREATE TYPE pong AS (n int);
CREATE FUNCTION handle(ping) RETURNS void LANGUAGE sql AS 'SELECT apibase.unwrap(apibase.command(ROW($1.n + 1)::pong))';
CREATE FUNCTION handle(pong) RETURNS void LANGUAGE sql AS 'SELECT apibase.unwrap(apibase.command(ROW($1.n + 1)::ping))';
SELECT apibase.register_command('ping', 'handle(ping)'), apibase.register_command('pong', 'handle(pong)');
SELECT result.ok, result.error->>'status' AS status, result.error->>'code' AS code, result.error->>'detail' AS detail
FROM apibase.command(ROW(1)::ping) result;
SET apibase.dispatch_max_depth = 3;
CREATE FUNCTION one_more() RETURNS text LANGUAGE sql AS $$ SELECT errors.of('SELECT apibase.command(ROW(1)::bus_dispatch.returning_null)') $$;
CREATE TYPE level1 AS (n int);
CREATE TYPE level2 AS (n int);
CREATE TYPE level3 AS (n int);
CREATE FUNCTION handle(level1) RETURNS jsonb LANGUAGE sql AS 'SELECT (apibase.command(ROW(1)::level2)).value';
CREATE FUNCTION handle(level2) RETURNS jsonb LANGUAGE sql AS 'SELECT (apibase.command(ROW(1)::level3)).value';
CREATE FUNCTION handle(level3) RETURNS text LANGUAGE sql AS 'SELECT one_more()';
SELECT apibase.register_command(t::regtype, format('handle(%s)', t)::regprocedure) FROM unnest(ARRAY['level1', 'level2', 'level3']) t;
SELECT (apibase.command(ROW(1)::level1)).value #>> '{}';
RESET apibase.dispatch_max_depth;
SELECT shown(apibase.command(ROW(1)::level1));

-- Many dispatches in one transaction need no more memory than some.
CREATE TYPE failing AS (how text);
CREATE FUNCTION handle(failing) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    IF $1.how = 'raise' THEN RAISE 'failed'; END IF;
    RETURN apibase.err('{"status": 409}');
END $$;
SELECT apibase.register_command('failing', 'handle(failing)');
CREATE FUNCTION memory() RETURNS numeric LANGUAGE sql AS 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
CREATE FUNCTION memory_for(times int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    result apibase.result;
    start numeric := memory();
BEGIN
    FOR i IN 1 .. times LOOP
        result := apibase.command(ROW('raise')::failing);
        result := apibase.command(ROW('return')::failing);
        result := apibase.command('bus_dispatch.returning_jsonb', '{"n": "1"}', '{"timeout": "10 min", "correlation_id": "c"}');
        result := apibase.command('bus_dispatch.returning_jsonb', '{"n": "x"}');
        PERFORM apibase.query(ROW('book')::orders_of);
    END LOOP;
    RETURN memory() - start;
END $$;
SELECT memory_for(4000) < 4000 * 5 * 8 AS bounded;

-- what is wrong with a payload is not for those who may not execute the handler
REVOKE EXECUTE ON FUNCTION handle(failing) FROM PUBLIC;
SET ROLE regress_bus_caller;
SELECT r.error ->> 'code' AS code, r.error ? 'errors' AS told FROM apibase.command('bus_dispatch.failing', '{"hwo": 1}') r;
SELECT r.error ->> 'code' AS code, r.error ? 'errors' AS told FROM apibase.command('bus_dispatch.failing', 'null') r;
RESET ROLE;
SELECT r.error ->> 'code' AS code, r.error ? 'errors' AS told FROM apibase.command('bus_dispatch.failing', '{"hwo": 1}') r;

-- nothing is left behind by any of that
SELECT apibase.current_dispatch() IS NULL AS outside;

RESET search_path;
DROP SCHEMA bus_dispatch, errors CASCADE;
DROP ROLE regress_bus_caller;
