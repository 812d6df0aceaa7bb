-- bus_idempotency: a command with a key runs once; its result is replayed. Two sessions are in
-- test/isolation/specs/bus_idempotency.spec, crashes in test/tap/bus_idempotency.pl.
SET client_min_messages = error;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT apibase.preloaded() AS preloaded \gset
DROP SCHEMA IF EXISTS bus_idempotency CASCADE;
DROP ROLE IF EXISTS regress_bus_ann;
DROP ROLE IF EXISTS "regress bus/bob";
CREATE ROLE regress_bus_ann;
CREATE ROLE "regress bus/bob";
CREATE SCHEMA bus_idempotency;
GRANT USAGE ON SCHEMA bus_idempotency TO regress_bus_ann, "regress bus/bob";
SET search_path = bus_idempotency;
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, sku text, quantity int CHECK (quantity > 0));
GRANT ALL ON orders TO regress_bus_ann, "regress bus/bob";
CREATE TYPE place_order AS (sku text, quantity int);
CREATE FUNCTION handle_place_order(c place_order) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    INSERT INTO bus_idempotency.orders (sku, quantity) VALUES (c.sku, c.quantity);
    SELECT count(*) INTO n FROM bus_idempotency.orders;
    RETURN jsonb_build_object('sku', c.sku, 'orders', n);
END $$;
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)');
CREATE VIEW stored AS
    SELECT replace(caller, session_user, 'session_user') AS caller, message, key, length(fingerprint) AS fingerprint, expires_at - created_at AS ttl, ok, value, error - 'instance' AS error
    FROM apibase_internal.idempotency WHERE message LIKE 'bus_idempotency.%' ORDER BY caller, message, key;
CREATE FUNCTION shown(apibase.result) RETURNS jsonb LANGUAGE sql AS $$ SELECT $1::jsonb #- '{error,instance}' $$;

---- once
SELECT shown(apibase.command(ROW('pen', 1)::place_order, '{"idempotency_key": "k1"}'));
SELECT shown(apibase.command(ROW('pen', 1)::place_order, '{"idempotency_key": "k1"}'));
SELECT shown(apibase.command('bus_idempotency.place_order', '{"quantity": 1, "sku": "pen"}', '{"idempotency_key": "k1"}'));
-- another key, no key
SELECT shown(apibase.command(ROW('pen', 1)::place_order, '{"idempotency_key": "k2"}'));
SELECT shown(apibase.command(ROW('pen', 1)::place_order));
-- another payload
SELECT shown(apibase.command(ROW('pen', 2)::place_order, '{"idempotency_key": "k1"}'));
SELECT count(*) FROM orders;
SELECT * FROM stored;

---- what fails is stored, too, unless trying again may help
SELECT shown(apibase.command(ROW('pen', 0)::place_order, '{"idempotency_key": "bad"}'));
SELECT shown(apibase.command(ROW('pen', 0)::place_order, '{"idempotency_key": "bad"}'));
CREATE TYPE fail_once AS (code text);
CREATE FUNCTION handle_fail_once(c fail_once) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.failing') = 'on' THEN RAISE 'a failure' USING ERRCODE = c.code; END IF;
    RETURN 'done';
END $$;
SELECT apibase.register_command('fail_once', 'handle_fail_once(fail_once)');
-- a status below 500 is a result: 409, 422, 403; all others pass: internal errors, 503, serialization failure, deadlock
CREATE FUNCTION first_and_second(code text, OUT first int, OUT stored boolean, OUT second text) LANGUAGE plpgsql AS $$
DECLARE r apibase.result;
BEGIN
    PERFORM set_config('test.failing', 'on', true);
    r := apibase.command(ROW(code)::bus_idempotency.fail_once, jsonb_build_object('idempotency_key', 'of-' || code));
    first := (r).error -> 'status';
    stored := EXISTS (SELECT FROM apibase_internal.idempotency WHERE key = 'of-' || code);
    PERFORM set_config('test.failing', 'off', true);
    r := apibase.command(ROW(code)::bus_idempotency.fail_once, jsonb_build_object('idempotency_key', 'of-' || code));
    second := CASE WHEN (r).ok THEN 'ok' ELSE (r).error ->> 'status' END || CASE WHEN (r).replayed THEN ', replayed' ELSE '' END;
END $$;
SELECT code, f.* FROM unnest('{PT409,PT422,42501,P0001,XX000,PT503,40001,40P01,55P03,PT504}'::text[]) code, first_and_second(code) f;

---- who calls
SET ROLE regress_bus_ann;
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
RESET ROLE;
SET ROLE "regress bus/bob";
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SET request.jwt.claims = '{"sub": "ann", "role": "x"}';
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SET request.jwt.claims = '{"sub": 7}';
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SELECT set_config('request.jwt.claims', jsonb_build_object('sub', repeat('long ', 1000))::text, false) IS NOT NULL AS long;
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SET request.jwt.claims = '{"sub": null}';
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
SET request.jwt.claims = '[]';
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
RESET request.jwt.claims;
SET quote_all_identifiers = on;
SELECT shown(apibase.command(ROW('cup', 1)::place_order, '{"idempotency_key": "k1"}'));
RESET quote_all_identifiers;
RESET ROLE;
SELECT caller, key, value FROM stored WHERE value ->> 'sku' = 'cup';
-- nobody else can read or write what is stored
SET ROLE regress_bus_ann;
SELECT count(*) FROM apibase_internal.idempotency;
SELECT apibase.idempotency_prune();
RESET ROLE;

---- keys
SELECT left(key, 10) AS key, shown(apibase.command(ROW('key', 1)::place_order, jsonb_build_object('idempotency_key', key))) #> '{error,code}' AS code
    FROM unnest(ARRAY['a b', 'ä', E'a\tb', repeat('x', 255), '!~', '"quoted"']) key;
SELECT count(*) FROM stored WHERE value ->> 'sku' = 'key';
SELECT apibase.command(ROW('key', 1)::place_order, '{"idempotency_key": 1}');
SELECT apibase.command(ROW('key', 1)::place_order, '{"idempotency_key": ""}');
-- the header of the request
CREATE FUNCTION with_header(header text, sku text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE r apibase.result;
BEGIN
    PERFORM set_config('request.headers', jsonb_build_object('idempotency-key', header)::text, true);
    r := apibase.command(ROW(sku, 1)::bus_idempotency.place_order);
    PERFORM set_config('request.headers', '', true);
    RETURN shown(r);
END $$;
SELECT left(header, 10) AS header, with_header(header, 'header') #>> '{error,code}' AS code
    FROM unnest(ARRAY['"h-1"', '  "h-2" ', 'h-3', '"a\"b\\c"', '', '""', '"', '"a', 'a b', '"a"b', '"a\x"', '"a\', '"ä"', repeat('x', 256)]) header;
SELECT key FROM stored WHERE value ->> 'sku' = 'header';
SELECT with_header('h-1', 'header') -> 'replayed' AS replayed;
-- the option comes first; and what a handler dispatches in turn is not what the client has sent
CREATE TYPE outer_command AS (sku text, key text);
CREATE FUNCTION handle_outer_command(c outer_command) RETURNS apibase.result LANGUAGE sql AS $$
    SELECT apibase.command(ROW(c.sku, 1)::bus_idempotency.place_order,
        CASE WHEN c.key IS NULL THEN '{}' ELSE jsonb_build_object('idempotency_key', c.key) END) $$;
SELECT apibase.register_command('outer_command', 'handle_outer_command(outer_command)');
BEGIN;
SET LOCAL request.headers = '{"idempotency-key": "from-header"}';
SELECT apibase.is_ok(apibase.command(ROW('inner', 1)::place_order, '{"idempotency_key": "from-option"}'));
SELECT apibase.is_ok(apibase.command(ROW('inner', NULL)::outer_command));
SELECT apibase.is_ok(apibase.command(ROW('inner', 'inner-key')::outer_command, '{"idempotency_key": "outer-key"}'));
COMMIT;
SELECT message, key FROM stored WHERE value ->> 'sku' = 'inner';
-- a key within a command that has the same key
CREATE TYPE recursive AS (depth int);
CREATE FUNCTION handle_recursive(c recursive) RETURNS apibase.result LANGUAGE sql AS $$
    SELECT CASE WHEN c.depth = 0 THEN apibase.ok(0) ELSE apibase.command(c, '{"idempotency_key": "same"}') END $$;
SELECT apibase.register_command('recursive', 'handle_recursive(recursive)');
SELECT shown(apibase.command(ROW(1)::recursive, '{"idempotency_key": "same"}'));
-- which was no result to be kept
SELECT shown(apibase.command(ROW(0)::recursive, '{"idempotency_key": "same"}'));

---- required, and off
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)', idempotency => 'required');
SELECT shown(apibase.command(ROW('must', 1)::place_order));
SELECT shown(apibase.command(ROW('must', 1)::place_order, '{"idempotency_key": "must"}')) -> 'ok' AS ok;
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)', idempotency => 'off');
SELECT shown(apibase.command(ROW('off', 1)::place_order, '{"idempotency_key": "must"}')) -> 'value' AS value;
SELECT shown(apibase.command(ROW('off', 1)::place_order, '{"idempotency_key": "must"}')) -> 'replayed' AS replayed;

---- one transaction: what is undone is not stored
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)', idempotency_ttl => '1 hour');
BEGIN;
SAVEPOINT s;
SELECT shown(apibase.command(ROW('save', 1)::place_order, '{"idempotency_key": "save"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('save', 1)::place_order, '{"idempotency_key": "save"}')) -> 'replayed' AS replayed;
ROLLBACK TO s;
SELECT shown(apibase.command(ROW('save', 1)::place_order, '{"idempotency_key": "save"}')) -> 'replayed' AS replayed;
ROLLBACK;
SELECT count(*) FROM stored WHERE key = 'save';
SELECT shown(apibase.command(ROW('save', 1)::place_order, '{"idempotency_key": "save"}')) -> 'replayed' AS replayed;
SELECT count(*) FROM orders WHERE sku = 'save';
-- it needs to write
BEGIN READ ONLY;
SELECT shown(apibase.command(ROW('save', 1)::place_order, '{"idempotency_key": "save"}'));
SELECT 'the transaction goes on';
COMMIT;
-- under one snapshot
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT shown(apibase.command(ROW('snap', 1)::place_order, '{"idempotency_key": "snap"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('snap', 1)::place_order, '{"idempotency_key": "snap"}')) -> 'replayed' AS replayed;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT shown(apibase.command(ROW('snap', 1)::place_order, '{"idempotency_key": "snap"}')) -> 'replayed' AS replayed;
COMMIT;

---- middleware: those with a rank below 0 are around a replay, too
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note(d apibase.dispatch, payload jsonb, config jsonb) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO bus_idempotency.seen (what) VALUES (config ->> 'note') $$;
SELECT apibase.use_middleware('note(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_idempotency.place_order', rank => -1, config => '{"note": "outside"}', name => 'outside');
SELECT apibase.use_middleware('note(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_idempotency.place_order', rank => 0, config => '{"note": "inside"}', name => 'inside');
SELECT shown(apibase.command(ROW('mid', 1)::place_order, '{"idempotency_key": "mid"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('mid', 1)::place_order, '{"idempotency_key": "mid"}')) -> 'replayed' AS replayed;
SELECT what FROM seen ORDER BY n;
SELECT apibase.drop_middleware('note(apibase.dispatch,jsonb,jsonb)');

---- objects of the caller's make no difference
CREATE SCHEMA bus_idempotency_trap;
CREATE FUNCTION bus_idempotency_trap.equals(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR bus_idempotency_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = bus_idempotency_trap.equals);
CREATE FUNCTION bus_idempotency_trap.earlier(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR bus_idempotency_trap.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = bus_idempotency_trap.earlier);
\connect -
SET client_min_messages = error;
SET search_path = bus_idempotency_trap, pg_catalog, bus_idempotency;
SELECT shown(apibase.command(ROW('trap', 1)::place_order, '{"idempotency_key": "trap"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('trap', 1)::place_order, '{"idempotency_key": "trap"}')) -> 'replayed' AS replayed;
SET search_path = bus_idempotency;
DROP SCHEMA bus_idempotency_trap CASCADE;

---- expiry needs a clock that can be set
\if :preloaded
\else
DROP SCHEMA bus_idempotency CASCADE;
DELETE FROM apibase_internal.idempotency;
DROP ROLE regress_bus_ann, "regress bus/bob";
\quit
\endif
SELECT shown(apibase.command(ROW('time', 1)::place_order, '{"idempotency_key": "time"}')) -> 'value' ->> 'sku' AS sku;
SELECT apibase_internal.clock_set('59 min');
SELECT shown(apibase.command(ROW('time', 1)::place_order, '{"idempotency_key": "time"}')) -> 'replayed' AS replayed;
SELECT apibase_internal.clock_set('61 min');
-- the row is taken over, also with another payload
SELECT shown(apibase.command(ROW('time', 2)::place_order, '{"idempotency_key": "time"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('time', 2)::place_order, '{"idempotency_key": "time"}')) -> 'replayed' AS replayed;
SELECT shown(apibase.command(ROW('time', 1)::place_order, '{"idempotency_key": "time"}')) #> '{error,code}' AS code;
SELECT sku, quantity FROM orders WHERE sku = 'time' ORDER BY id;
-- each first call deletes two that have expired, a replay none
DELETE FROM apibase_internal.idempotency;
SELECT count(apibase.command(ROW('old', n)::place_order, jsonb_build_object('idempotency_key', 'old' || n))) FROM generate_series(1, 7) n;
SELECT apibase_internal.clock_set('2 days');
SELECT count(*) FROM stored;
SELECT apibase.is_ok(apibase.command(ROW('new', 1)::place_order, '{"idempotency_key": "new1"}'));
SELECT count(*) FROM stored;
SELECT apibase.is_ok(apibase.command(ROW('new', 1)::place_order, '{"idempotency_key": "new1"}'));
SELECT count(*) FROM stored;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT apibase.is_ok(apibase.command(ROW('new', 1)::place_order, '{"idempotency_key": "new2"}'));
COMMIT;
SELECT count(*) FROM stored;
-- or many at once
SELECT apibase.idempotency_prune(3);
SELECT apibase.idempotency_prune(0), apibase.idempotency_prune(NULL) IS NULL AS is_null;
SELECT apibase.idempotency_prune(-1);
SELECT apibase.idempotency_prune();
SELECT key FROM stored;
SELECT apibase_internal.clock_set('0');

---- what is kept depends on the values, not on how settings write them
CREATE TYPE measure AS (at timestamptz, value float8, span interval);
CREATE FUNCTION handle_measure(m measure) RETURNS float8 LANGUAGE sql AS 'SELECT m.value';
SELECT apibase.register_command('measure', 'handle_measure(measure)');
CREATE FUNCTION measured(key text, value float8) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r.error ->> 'code', CASE WHEN r.replayed THEN 'replayed' ELSE 'run' END)
    FROM apibase.command(ROW('2020-01-01 00:00+00', value, '1 day')::bus_idempotency.measure, jsonb_build_object('idempotency_key', key)) r
$$;
SET timezone = 'UTC';
SELECT measured('m1', 0.1);
SET timezone = 'Asia/Tokyo';
SET intervalstyle = 'iso_8601';
SET datestyle = 'German';
SELECT measured('m1', 0.1);
SET extra_float_digits = -2;
SELECT measured('m1', 0.1), measured('m1', 0.10000000000000003);
SHOW timezone;
RESET timezone;
RESET intervalstyle;
RESET datestyle;
RESET extra_float_digits;

---- who may not execute the handler gets no stored result, and that he may not is not stored
REVOKE EXECUTE ON FUNCTION handle_measure(measure) FROM PUBLIC;
CREATE FUNCTION sent() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r.error ->> 'code', CASE WHEN r.replayed THEN 'replayed' ELSE 'run' END)
    FROM apibase.command(ROW('2020-01-01', 1, '1 day')::bus_idempotency.measure, '{"idempotency_key": "ann"}') r
$$;
SET ROLE regress_bus_ann;
SELECT sent();
RESET ROLE;
GRANT EXECUTE ON FUNCTION handle_measure(measure) TO regress_bus_ann;
SET ROLE regress_bus_ann;
SELECT sent();
SELECT sent();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION handle_measure(measure) FROM regress_bus_ann;
SET ROLE regress_bus_ann;
SELECT sent();
RESET ROLE;

---- the row of a command that still runs is nobody's to delete or to take over, even when it has expired
CREATE TYPE outlast AS (inner_key text);
CREATE FUNCTION handle_outlast(c outlast) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE inner_result apibase.result;
BEGIN
    PERFORM apibase_internal.clock_set('10 days');
    PERFORM apibase.idempotency_prune();
    inner_result := apibase.command(c, jsonb_build_object('idempotency_key', c.inner_key));
    RETURN jsonb_build_object('inner', inner_result.error -> 'code');
END $$;
SELECT apibase.register_command('outlast', 'handle_outlast(outlast)');
SELECT shown(apibase.command(ROW('outlast')::outlast, '{"idempotency_key": "outlast"}'));
SELECT key, value FROM stored WHERE message LIKE '%outlast';
SELECT apibase_internal.clock_set('0');

DELETE FROM apibase_internal.idempotency;
DROP SCHEMA bus_idempotency CASCADE;
DROP ROLE regress_bus_ann, "regress bus/bob";
