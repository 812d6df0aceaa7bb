-- decorate: what the decorators do, one after the other. How functions are decorated is in decorate.sql; several sessions are in
-- test/isolation/specs/decorate_*.spec; laws are in test/property/test_law_b*.py; lines of logged in test/tap/decorate_logged.pl.
CREATE SCHEMA deco;
SET search_path = deco;
CREATE SEQUENCE calls;
CREATE FUNCTION called() RETURNS bigint LANGUAGE sql AS 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM deco.calls';
-- What a statement answers, or its error without the parts that depend on the time.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

-- ---------- retry ----------
CREATE TABLE written (n int);
-- Fails until it has been called that often.
CREATE FUNCTION flaky(good_at int, state text DEFAULT '40P01') RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int := nextval('deco.calls');
BEGIN
    INSERT INTO deco.written VALUES (n);
    IF n < good_at THEN
        RAISE 'attempt % fails', n USING ERRCODE = state, DETAIL = 'the detail', HINT = 'the hint';
    END IF;
    RETURN 'good at ' || n;
END $$;
SELECT apibase.retry('flaky(int,text)', delay => '0');
SELECT setval('calls', 1, false);
SELECT flaky(3);
SELECT n FROM written;
TRUNCATE written;
-- The last error, as it was, and which attempt it ended.
SELECT setval('calls', 1, false);
SELECT flaky(4);
SELECT called(), (SELECT count(*) FROM written) AS rows_left;
-- Other errors are not tried again.
SELECT setval('calls', 1, false);
SELECT flaky(4, '22012');
SELECT called();
-- Classes, as 08 or 08000; an SQLSTATE of its own.
SELECT apibase.retry('flaky(int,text)', 5, 'constant', '0', sqlstates => '{08,22000,P0001}');
SELECT setval('calls', 1, false);
SELECT flaky(3, '08006');
SELECT setval('calls', 1, false);
SELECT flaky(5, '22012');
SELECT setval('calls', 1, false);
SELECT flaky(5, 'P0001');
SELECT setval('calls', 1, false);
SELECT outcome($$SELECT flaky(2, 'P0002')$$), called();
-- Pauses that grow; each kind of them.
SELECT apibase.retry('flaky(int,text)', 6, 'linear', '1 ms', '3 ms', 1);
SELECT setval('calls', 1, false);
SELECT flaky(6);
SELECT apibase.retry('flaky(int,text)', 6, 'exponential', '1 ms', '3 ms', 0);
SELECT setval('calls', 1, false);
SELECT flaky(6);
-- A pause can be interrupted, and what interrupts is not tried again.
SELECT apibase.retry('flaky(int,text)', 6, delay => '1 hour', max_delay => '1 hour', sqlstates => '{40,57}');
SELECT setval('calls', 1, false);
\set SHOW_CONTEXT never
SET statement_timeout = '50 ms';
SELECT flaky(6);
RESET statement_timeout;
\set SHOW_CONTEXT errors
SELECT called();
SELECT setval('calls', 1, false);
SELECT flaky(6, '57014');
SELECT called();
SELECT apibase.retry('flaky(int,text)', sqlstates => '{57014}');
-- A serialization failure is tried again where that can help.
SELECT apibase.retry('flaky(int,text)', delay => '0');
SELECT setval('calls', 1, false);
SELECT flaky(3, '40001');
SELECT setval('calls', 1, false);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT flaky(3, '40001');
ROLLBACK;
SELECT called();
SELECT setval('calls', 1, false);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT flaky(3, '40P01');
ROLLBACK;
-- A set: what a failed attempt has returned is not in it.
CREATE FUNCTION flaky_set(good_at int) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE n int := nextval('deco.calls');
BEGIN
    RETURN NEXT n;
    IF n < good_at THEN RAISE deadlock_detected; END IF;
    RETURN QUERY SELECT n * 10;
END $$;
SELECT apibase.retry('flaky_set(int)', delay => '0');
SELECT setval('calls', 1, false);
SELECT * FROM flaky_set(3);
-- What is refused.
SELECT apibase.retry('flaky(int,text)', 0);
SELECT apibase.retry('flaky(int,text)', backoff => 'random');
SELECT apibase.retry('flaky(int,text)', delay => '-1 s');
SELECT apibase.retry('flaky(int,text)', jitter => 1.5);
SELECT apibase.retry('flaky(int,text)', sqlstates => '{deadlock_detected}');
SELECT apibase.retry('flaky(int,text)', sqlstates => '{40p01}');
CREATE FUNCTION parallel() RETURNS int LANGUAGE sql PARALLEL SAFE AS 'SELECT 1';
SELECT apibase.retry('parallel()');

-- ---------- timeout ----------
CREATE FUNCTION slow(seconds float, answer text DEFAULT 'awake') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(seconds);
    RETURN answer;
END $$;
SELECT apibase.timeout('slow(float,text)', '50 ms');
SELECT slow(3600);
SELECT slow(0);
SELECT outcome('SELECT slow(3600)') FROM generate_series(1, 3);
-- Nothing of it is left for what comes after.
SELECT outcome('SELECT slow(3600)'), pg_sleep(0.12), 'still here';
SELECT apibase.timeout('slow(float,text)', '10 s');
SELECT slow(0), pg_sleep(0.01);
-- An endless loop, a query.
CREATE FUNCTION endless(kind text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n bigint := 0;
BEGIN
    IF kind = 'loop' THEN LOOP n := n + 1; END LOOP; END IF;
    SELECT count(*) INTO n FROM generate_series(1, 100000000000);
    RETURN n;
END $$;
SELECT apibase.timeout('endless(text)', '50 ms');
SELECT endless('loop');
SELECT endless('query');
-- A handler cannot hold it up, and what comes late is too late.
CREATE FUNCTION stubborn(then_answer boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM pg_sleep(3600);
    EXCEPTION WHEN query_canceled THEN NULL;
    END;
    IF then_answer THEN RETURN 'late'; END IF;
    PERFORM pg_sleep(3600);
END $$;
SELECT apibase.timeout('stubborn(boolean)', '50 ms');
SELECT stubborn(false);
SELECT stubborn(true);
-- Others that stop the function stop it as they do.
SELECT apibase.timeout('slow(float,text)', '1 min');
\set SHOW_CONTEXT never
SET statement_timeout = '50 ms';
SELECT slow(3600);
RESET statement_timeout;
CREATE FUNCTION cancelled() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(3600); END';
SELECT apibase.timeout('cancelled()', '1 min');
SELECT cancelled();
\set SHOW_CONTEXT errors
CREATE FUNCTION failing() RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE 'an error' USING ERRCODE = 'query_canceled'; END$$;
SELECT apibase.timeout('failing()', '1 min');
SELECT failing();
-- One within another: the one that ends first tells.
CREATE FUNCTION outer_call(seconds float) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN deco.slow(seconds) || ' inside';
EXCEPTION WHEN SQLSTATE 'PB033' THEN
    PERFORM pg_sleep(seconds);
    RETURN 'after ' || SQLERRM;
END $$;
SELECT apibase.timeout('outer_call(float)', '50 ms');
SELECT outer_call(3600);
SELECT apibase.timeout('slow(float,text)', '1 ms'), apibase.timeout('outer_call(float)', '200 ms');
SELECT outer_call(3600);
SELECT apibase.timeout('outer_call(float)', '1 min');
SELECT outer_call(0.01);
-- A retry within a timeout does not hold it up; a timeout within a retry is an error like others.
SELECT apibase.retry('slow(float,text)', 2, delay => '0', sqlstates => '{PB033}');
SELECT slow(3600);
SELECT apibase.undecorate('slow(float,text)');
SELECT apibase.retry('slow(float,text)', 1000, delay => '0', sqlstates => '{57}'), apibase.timeout('slow(float,text)', '50 ms');
SELECT slow(3600);
-- What is refused.
SELECT apibase.timeout('slow(float,text)', NULL);
SELECT apibase.timeout('slow(float,text)', '0');
SELECT apibase.timeout('slow(float,text)', '-1 s');

-- ---------- circuit_breaker ----------
CREATE FUNCTION service(state text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF state IS NULL THEN RETURN 'served'; END IF;
    RAISE 'no service' USING ERRCODE = state;
END $$;
CREATE FUNCTION service_instead(state text) RETURNS text LANGUAGE sql AS $$SELECT 'instead of ' || coalesce(state, 'service')$$;
CREATE VIEW breaker AS
    SELECT state, failures, since IS NOT NULL AS since, retry_at - since AS retry_after, opened, refused
    FROM apibase.circuit_breakers WHERE function = 'deco.service(text)'::regprocedure;
SELECT apibase.circuit_breaker('service(text)', 3, '1 hour', 2);
SELECT service();
SELECT * FROM breaker;
-- Failures in a row open it; what was rolled back counts.
SELECT outcome($$SELECT service('XX000')$$) FROM generate_series(1, 2);
SELECT * FROM breaker;
SELECT service();
SELECT * FROM breaker;
BEGIN;
SELECT service('08006');
ROLLBACK;
SELECT outcome($$SELECT service('08006')$$), outcome($$SELECT service('P0001')$$);
SELECT * FROM breaker;
SELECT outcome('SELECT service()');
\set VERBOSITY terse
SELECT service();
\set VERBOSITY default
-- After its time one call may try; success_threshold of them close it, one that fails opens it.
SELECT apibase_internal.clock_set('1 hour');
SELECT outcome('SELECT service()');
SELECT * FROM breaker;
SELECT outcome($$SELECT service('08006')$$);
SELECT outcome('SELECT service()');
SELECT * FROM breaker;
SELECT apibase_internal.clock_set('2 hours 1 s');
SELECT outcome('SELECT service()'), outcome('SELECT service()');
SELECT * FROM breaker;
-- Errors for which the caller is to blame do not count, neither as failures nor as successes.
SELECT outcome(format('SELECT service(%L)', state)) FROM unnest('{08006,22012,23505,42501,PB034,08006}'::text[]) state;
SELECT failures FROM breaker;
SELECT service('57014');
SELECT state, failures FROM breaker;
-- Only those that are named count, if some are.
SELECT apibase.circuit_breaker_reset('service(text)'), apibase.circuit_breaker_reset('service(text)');
SELECT apibase.circuit_breaker('service(text)', 1, '1 hour', sqlstates => '{22,57014}', fallback => 'service_instead(text)');
SELECT outcome($$SELECT service('08006')$$);
SELECT * FROM breaker;
SELECT service('57014');
SELECT * FROM breaker;
-- The fallback answers instead of the error.
SELECT service(), service('22012');
SELECT refused FROM breaker;
SELECT options - 'sqlstates' FROM apibase.decorators WHERE function = 'service(text)'::regprocedure;
DROP FUNCTION service_instead(text);
SELECT apibase.circuit_breaker_reset('service(text)');
-- A set, and a fallback for it.
CREATE FUNCTION service_set(ok boolean) RETURNS SETOF int LANGUAGE plpgsql AS $$BEGIN RETURN NEXT 1; IF NOT ok THEN RAISE 'no'; END IF; RETURN NEXT 2; END$$;
CREATE FUNCTION service_set_instead(ok boolean) RETURNS SETOF int LANGUAGE sql AS 'VALUES (8), (9)';
SELECT apibase.circuit_breaker('service_set(boolean)', 1, fallback => 'service_set_instead(boolean)');
SELECT * FROM service_set(true);
SELECT * FROM service_set(false);
SELECT * FROM service_set(true);
-- A call within a call belongs to that one: one failure, and part of one probe.
CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF n = 0 THEN RAISE 'deep'; ELSIF n = 1 THEN RETURN 1; END IF; RETURN deco.deep(n - 1 - (n = 4)::int * 3) + 1; END$$;
SELECT apibase.circuit_breaker('deep(int)', 2, '1 hour');
SELECT outcome('SELECT deep(4)');
SELECT state, failures FROM apibase.circuit_breakers WHERE function = 'deep(int)'::regprocedure;
SELECT outcome('SELECT deep(0)');
SELECT apibase_internal.clock_set('4 hours');
SELECT outcome('SELECT deep(3)');
SELECT state, failures FROM apibase.circuit_breakers WHERE function = 'deep(int)'::regprocedure;
SELECT apibase_internal.clock_set('0');
-- In a READ ONLY transaction as well.
BEGIN READ ONLY;
SELECT outcome('SELECT deep(0)'), outcome('SELECT deep(0)'), outcome('SELECT deep(1)');
COMMIT;
-- What is refused.
SELECT apibase.circuit_breaker('service(text)', 0);
SELECT apibase.circuit_breaker('service(text)', recovery_time => '0');
SELECT apibase.circuit_breaker('service(text)', fallback => 'service(text)');
SELECT apibase.circuit_breaker('service(text)', fallback => 'deep(int)');
SELECT apibase.circuit_breaker_reset(0);
CREATE ROLE deco_user;
GRANT USAGE ON SCHEMA deco TO deco_user;
SET ROLE deco_user;
SELECT apibase.circuit_breaker_reset('deep(int)');
SELECT apibase.circuit_breaker('service(text)');
SELECT decorator, slots > 0 AS slots, used BETWEEN 1 AND slots AS used, dropped FROM apibase.decorator_slots WHERE decorator = 'circuit_breaker';
RESET ROLE;

-- ---------- bulkhead ----------
CREATE FUNCTION narrow(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE inside text;
BEGIN
    IF n < 0 THEN RAISE 'error inside'; END IF;
    SELECT string_agg(format('%s: %s of %s', name, running, max_concurrent), '; ' ORDER BY name) INTO inside
    FROM apibase.bulkheads WHERE running > 0;
    RETURN inside || CASE WHEN n > 0 THEN ', then ' || deco.narrow(n - 1) ELSE '' END;
END $$;
SELECT apibase.bulkhead('narrow(int)', 1);
-- A call within a call needs no permit of its own.
SELECT narrow(0);
SELECT narrow(2);
-- The permit is given back after an error too.
SELECT outcome('SELECT narrow(-1)'), outcome('SELECT narrow(0)');
SELECT name, max_concurrent, running, waiting, entered, refused FROM apibase.bulkheads ORDER BY name;
-- Functions that share a name share the permits.
CREATE FUNCTION narrow_too() RETURNS text LANGUAGE sql AS 'SELECT deco.narrow(0)';
SELECT apibase.bulkhead('narrow(int)', 2, 'shared', '1 s'), apibase.bulkhead('narrow_too()', 1, 'shared');
SELECT narrow(0), narrow_too();
-- Within a function of another bulkhead.
SELECT apibase.bulkhead('narrow_too()', 1, 'the other');
SELECT narrow_too();
SELECT name, max_concurrent, running, waiting, entered, refused FROM apibase.bulkheads ORDER BY name;
SELECT apibase.bulkhead('narrow(int)', 0);
SELECT apibase.bulkhead('narrow(int)', NULL);
SELECT apibase.bulkhead('narrow(int)', 1, '');
SELECT apibase.bulkhead('narrow(int)', 1, repeat('x', 128));
SELECT apibase.bulkhead('narrow(int)', 1, max_wait => '-1 s');
SELECT apibase.bulkhead('parallel()', 1);

-- ---------- logged ----------
CREATE FUNCTION noted(a int, secret text, OUT b int) LANGUAGE sql AS 'SELECT a * 2';
SELECT apibase.logged('noted(int,text)', 'info', mask => '{secret}', slower_than => '1 hour');
SELECT noted(1, 'x');
SELECT apibase.logged('noted(int,text)', 'debug1', result => true);
SELECT noted(2, 'x');
SELECT apibase.logged('noted(int,text)', 'loud');
SELECT apibase.logged('noted(int,text)', mask => '{b}');
SELECT apibase.logged('noted(int,text)', max_length => 0);

-- ---------- validated ----------
CREATE TYPE article AS (name text, price numeric);
CREATE FUNCTION purchase(item article, qty int, note text DEFAULT NULL, bare int[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RETURN qty || ' x ' || item.name; END$$;
SELECT apibase.validated('purchase(article,int,text,int[])', 'qty between 1 and 10 and item.price > 0 and (note is null or note like ''%!'') and bare <> ''{1}''');
SELECT purchase(('soap', 2), 3);
SELECT purchase(('soap', 2), 3, 'now!');
SELECT purchase(('soap', 2), 0);
SELECT purchase(('soap', 0), 11, 'now', '{1}');
SELECT purchase(NULL, 1);
SELECT purchase(('soap', 2), NULL);
-- The type of an argument may be altered.
ALTER TYPE article ADD ATTRIBUTE sold boolean;
SELECT purchase(('soap', 2, true), 3);
ALTER TYPE article DROP ATTRIBUTE name;
ALTER TYPE article ADD ATTRIBUTE name text;
SELECT purchase((0, true, 'soap'), 3);
SELECT purchase((1, true, 'soap'), 3);
-- Polymorphic arguments: in each call of the type that they have.
CREATE FUNCTION larger(a anyelement, b anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT greatest(a, b)';
SELECT apibase.validated('larger(anyelement,anyelement)', 'a > 5');
SELECT larger(6, 7), larger(60::bigint, 7::bigint), larger(6.5, 7.0), larger(8, 7);
SELECT larger(5, 7);
SELECT larger(date '2026-01-01', date '2026-01-02');
CREATE FUNCTION pairs(a int, b int) RETURNS SETOF int LANGUAGE sql ROWS 2 AS 'VALUES (a), (b)';
SELECT apibase.validated('pairs(int,int)', 'a <> 0 and b <> 0');
SELECT * FROM pairs(1, 2);
SELECT * FROM pairs(1, 0);
SELECT a, outcome(format('SELECT count(*) FROM pairs(%s, 1)', a)) FROM generate_series(0, 2) a;
-- A call of the function within the evaluation of its specification: the type's comparison calls it.
SET client_min_messages = warning;
CREATE TYPE kin;
CREATE FUNCTION kin_in(cstring) RETURNS kin LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION kin_out(kin) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE kin (INPUT = kin_in, OUTPUT = kin_out, LIKE = int4);
RESET client_min_messages;
CREATE CAST (kin AS int) WITHOUT FUNCTION;
CREATE FUNCTION ancestor(a kin, depth int) RETURNS int LANGUAGE sql AS 'SELECT a::int - depth';
CREATE FUNCTION kin_eq(a kin, b kin) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN RETURN a::int = b::int AND (b::int = 1 OR outcome(format('SELECT ancestor(%L, 0)', b::int - 1)) ~ '^PB034') ; END$$;
CREATE FUNCTION kin_cmp(kin, kin) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR = (LEFTARG = kin, RIGHTARG = kin, FUNCTION = kin_eq);
CREATE OPERATOR CLASS kin_ops DEFAULT FOR TYPE kin USING btree AS OPERATOR 3 =, FUNCTION 1 kin_cmp(kin, kin);
SELECT apibase.validated('ancestor(kin,int)', 'a = ''5'' and depth < 10');
SELECT ancestor('5', 2), ancestor('5', 1);
SELECT ancestor('4', 1);
SELECT ancestor('5', 10);
-- What is refused.
SELECT apibase.validated('pairs(int,int)', 'c > 0');
SELECT apibase.validated('pairs(int,int)', 'a > ''many''');
SELECT apibase.validated('pairs(int,int)', 'a > $1');
SELECT apibase.validated('pairs(int,int)', NULL);
SELECT apibase.validated('larger(anyelement,anyelement)', 'a > 5 and c > 5');
-- For a caller who has rights to nothing but the function.
SET ROLE deco_user;
SELECT * FROM pairs(0, 0);
RESET ROLE;

-- ---------- memoized ----------
CREATE FUNCTION counted(a anyelement, b text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$SELECT nextval('deco.calls') || ': ' || a::text || coalesce(b, '')$$;
SELECT apibase.memoized('counted(anyelement,text)');
SELECT setval('calls', 1, false);
-- Equal arguments once, NULL is one; and again in the next transaction.
BEGIN;
SELECT counted(n % 2, b) FROM generate_series(1, 4) n, unnest('{NULL,"",x}'::text[]) b ORDER BY n, b;
SELECT counted(1, 'x'), counted(1::bigint, 'x'), counted('1'::text, 'x');
COMMIT;
SELECT counted(1, 'x');
-- What was computed in a subtransaction goes with it.
BEGIN;
SELECT counted(1);
SAVEPOINT a;
SELECT counted(2);
SAVEPOINT b;
SELECT counted(3);
RELEASE b;
SELECT counted(1), counted(2), counted(3);
ROLLBACK TO a;
SELECT counted(1), counted(2);
RELEASE a;
SELECT counted(1), counted(2), counted(3);
ROLLBACK;
-- For each role apart.
GRANT USAGE ON SEQUENCE calls TO deco_user;
BEGIN;
SELECT counted(1);
SET LOCAL ROLE deco_user;
SELECT counted(1);
RESET ROLE;
SELECT counted(1);
COMMIT;
-- Sets, rows, no rows, NULL, values by reference and toasted, functions that call themselves.
CREATE FUNCTION counted_set(n int) RETURNS TABLE (no bigint, body text) LANGUAGE sql AS
    $$SELECT nextval('deco.calls'), repeat('abc', 1000 * i) FROM generate_series(1, n) i$$;
CREATE FUNCTION counted_row(n int) RETURNS article LANGUAGE sql AS $$SELECT (nextval('deco.calls'), true, repeat('abc', n))::deco.article$$;
CREATE FUNCTION counted_null(n int) RETURNS int LANGUAGE sql AS $$SELECT NULL::int FROM (SELECT nextval('deco.calls') LIMIT 1) s$$;
CREATE FUNCTION fibonacci(n int) RETURNS numeric LANGUAGE plpgsql AS
    $$BEGIN PERFORM nextval('deco.calls'); RETURN CASE WHEN n < 2 THEN n ELSE deco.fibonacci(n - 1) + deco.fibonacci(n - 2) END; END$$;
SELECT apibase.memoized('counted_set(int)'), apibase.memoized('counted_row(int)'), apibase.memoized('counted_null(int)'), apibase.memoized('fibonacci(int)');
SELECT setval('calls', 1, false);
BEGIN;
SELECT no, length(body) FROM counted_set(2);
SELECT no, length(body) FROM counted_set(2);
SELECT (counted_set(2)).no;
SELECT count(*) FROM counted_set(0);
SELECT count(*) FROM counted_set(0);
SELECT price, length(name) FROM counted_row(2);
SELECT price, length(name) FROM counted_row(2000);
SELECT price, length(name) FROM counted_row(2);
SELECT r, (counted_row(r)).price FROM unnest('{2000,2}'::int[]) r;
SELECT counted_null(1), counted_null(1), called();
SELECT setval('calls', 1, false);
SELECT fibonacci(100), called();
SELECT fibonacci(100), called();
COMMIT;
CREATE TABLE documents (id int, body text);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
INSERT INTO documents SELECT 1, repeat('long ', 2000);
CREATE FUNCTION document(n int) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''deco.calls''); RETURN (SELECT body FROM deco.documents WHERE id = n); END';
CREATE FUNCTION documents_of(n int) RETURNS SETOF documents LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT * FROM deco.documents WHERE id = n; END';
SELECT apibase.memoized('document(int)'), apibase.memoized('documents_of(int)');
BEGIN;
SELECT setval('calls', 1, false);
SELECT length(document(1)), length(document(1)), (SELECT length(body) FROM documents_of(1)), called();
DELETE FROM documents;
SELECT length(document(1)), (SELECT length(body) FROM documents_of(1)), called(), length(document(2));
COMMIT;
SELECT length(document(1));
-- What finds no room is computed again.
BEGIN;
SET LOCAL apibase.memoize_memory = '64kB';
SELECT setval('calls', 1, false);
SELECT sum(length(counted(n, repeat('x', 10000)))) > 0 AS some FROM generate_series(1, 20) n;
SELECT called();
SELECT sum(length(counted(n, repeat('x', 10000)))) > 0 AS some FROM generate_series(1, 20) n;
SELECT called() BETWEEN 21 AND 39 AS partly;
SET LOCAL apibase.memoize_memory = 0;
SELECT setval('calls', 1, false);
SELECT counted(-1), counted(-1), (SELECT min(no) FROM counted_set(3)), (SELECT min(no) FROM counted_set(3));
COMMIT;

-- ---------- all together, in a transaction that only reads ----------
CREATE FUNCTION everything(a int, OUT b int, OUT c text) LANGUAGE plpgsql AS $$BEGIN b := 100 / a; c := 'fine'; END$$;
SELECT apibase.timeout('everything(int)', '1 min'), apibase.retry('everything(int)', delay => '0', sqlstates => '{22012}'),
    apibase.circuit_breaker('everything(int)', 1, sqlstates => '{22012}'), apibase.bulkhead('everything(int)', 1), apibase.memoized('everything(int)'),
    apibase.validated('everything(int)', 'a >= 0'), apibase.logged('everything(int)', 'debug5');
SELECT position, decorator FROM apibase.decorators WHERE function = 'everything(int)'::regprocedure ORDER BY position;
BEGIN READ ONLY;
SELECT * FROM everything(7);
SAVEPOINT a;
SELECT * FROM everything(0);
ROLLBACK TO a;
SELECT * FROM everything(7);
SELECT outcome('SELECT everything(5)');
SELECT outcome('SELECT everything(-5)');
COMMIT;
SELECT apibase.undecorate('everything(int)');
SELECT * FROM everything(8);

SET client_min_messages = warning;
DROP SCHEMA deco CASCADE;
DROP ROLE deco_user;
SELECT count(*) FROM apibase.circuit_breakers;
