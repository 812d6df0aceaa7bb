-- bus: the procedures. Transactions of their own, tried again after serialization failures and deadlocks, also those of the commit.
-- Failures are made by handlers that count their calls with a sequence, which no rollback sets back; those that two sessions
-- cause each other are in test/isolation/specs/bus_retry.spec. It is the same with and without shared memory.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/errors.sql
DROP SCHEMA IF EXISTS bus_procedure CASCADE;
CREATE SCHEMA bus_procedure;
SET search_path = bus_procedure, public;

CREATE SEQUENCE calls;
CREATE SEQUENCE commits;
-- What was committed by which transaction.
CREATE TABLE log (n serial, entry text, transaction xid8 DEFAULT pg_current_xact_id());
CREATE FUNCTION note(entry text) RETURNS void LANGUAGE sql AS 'INSERT INTO log (entry) VALUES (note.entry)';
CREATE FUNCTION shown(result apibase.result) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(CASE WHEN result.ok THEN 'ok ' || coalesce(result.value::text, 'NULL')
        ELSE 'err ' || (result.error - 'instance' - 'type' - 'title')::text END || CASE WHEN result.replayed THEN ' replayed' ELSE '' END, 'nothing')
$$;
-- What there is now, and begin anew.
CREATE PROCEDURE begin_anew() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE log RESTART IDENTITY;
    ALTER SEQUENCE calls RESTART;
    ALTER SEQUENCE commits RESTART;
END $$;

-- Fails in so many calls, and then at so many commits.
CREATE TYPE work AS (name text, failures int, sqlstate text, failing_commits int);
CREATE FUNCTION handle(work) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d apibase.dispatch := apibase.current_dispatch();
BEGIN
    PERFORM note(format('%s, attempt %s, %s', $1.name, d.attempt, current_setting('transaction_isolation')));
    IF nextval('calls') <= $1.failures THEN RAISE 'failed' USING ERRCODE = $1.sqlstate; END IF;
    INSERT INTO committing VALUES ($1.failing_commits, $1.sqlstate);
    RETURN format('%s in attempt %s', $1.name, d.attempt);
END $$;
CREATE TABLE committing (failures int, sqlstate text);
CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('commits') <= new.failures THEN RAISE 'failed at commit' USING ERRCODE = new.sqlstate; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON committing DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_at_commit();
SELECT apibase.register_command('work', 'handle(work)');
CREATE FUNCTION work(name text, failures int DEFAULT 0, sqlstate text DEFAULT '', failing_commits int DEFAULT 0) RETURNS work
    LANGUAGE sql AS 'SELECT ROW(name, failures, sqlstate, failing_commits)::work';

--
-- Once
--
CALL apibase.dispatch_command(work('value'));
CALL apibase.dispatch_command(work('value with result', 0, ''), NULL);
CALL apibase.dispatch_command('bus_procedure.work', '{"name": "name", "failures": 0}'::jsonb);
CALL apibase.dispatch_command('bus_procedure.work', '{"name": "name with result"}', NULL, '{"correlation_id": "c"}');
CALL apibase.dispatch_command(command => work('named'), options => '{}');
SELECT entry, count(*) OVER (PARTITION BY transaction) AS in_transaction FROM log ORDER BY n;
CALL begin_anew();

-- What is wrong with the call is raised.
CREATE TYPE unknown_work AS (n int);
CALL apibase.dispatch_command(ROW(1)::unknown_work);
CALL apibase.dispatch_command(NULL::work);
CALL apibase.dispatch_command(7);
CALL apibase.dispatch_command(work('x', 0, ''), options => '{"no": 1}');
CALL apibase.dispatch_command('bus_procedure.work', '{"name": 1, "what": 2}');
CALL apibase.dispatch_query(work('x', 0, ''));

--
-- Again
--
CALL apibase.dispatch_command(work('serialization', 3, '40001'));
CALL begin_anew();
CALL apibase.dispatch_command('bus_procedure.work', '{"name": "deadlock", "failures": 1, "sqlstate": "40P01"}'::jsonb);
SELECT entry FROM log;
CALL begin_anew();
CALL apibase.dispatch_command(work('commit', 0, '40001', 3));
SELECT entry FROM log;
CALL begin_anew();
CALL apibase.dispatch_command(work('both', 2, '40001', 2));
SELECT entry FROM log;

-- Not for ever, and not for everything.
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('always', 100, '40001'), result);
    RAISE INFO '%', shown(result);
    CALL apibase.dispatch_command(work('always at commit', 0, '40001', 100), result);
    RAISE INFO '%', shown(result);
END $$;
SELECT nextval('calls') - 1 AS calls, nextval('commits') - 1 AS commits, (SELECT count(*) FROM log) AS entries;
CALL begin_anew();
SET apibase.dispatch_max_attempts = 2;
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('twice', 2, '40001'), result);
    RAISE INFO '%', shown(result);
END $$;
RESET apibase.dispatch_max_attempts;
SELECT nextval('calls') - 1 AS calls;
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('conflict', 1, 'PT409'), result);
    RAISE INFO '%', shown(result);
    CALL apibase.dispatch_command(work('conflict at commit', 0, 'PT409', 1), result);
    RAISE INFO '%', shown(result);
END $$;
SELECT entry FROM log;
-- a cancellation is raised, also at the commit
CALL apibase.dispatch_command(work('cancelled', 9, '57014'));
CALL apibase.dispatch_command(work('cancelled at commit', 0, '57014', 9));
SELECT entry FROM log;

-- A constraint that is checked at the commit.
CREATE TABLE reserved (seat int, CONSTRAINT one_each UNIQUE (seat) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO reserved VALUES (1);
CREATE TYPE reserve AS (seat int);
CREATE FUNCTION handle(reserve) RETURNS int LANGUAGE sql AS 'INSERT INTO reserved VALUES ($1.seat) RETURNING seat';
SELECT apibase.register_command('reserve', 'handle(reserve)');
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(ROW(1)::reserve, result);
    RAISE INFO '%', shown(result);
    CALL apibase.dispatch_command(ROW(2)::reserve, result);
    RAISE INFO '%', shown(result);
END $$;
SELECT * FROM reserved;

-- An err is committed with what was not undone: what layers wrote. What an attempt wrote that is tried again is undone as a whole.
CREATE FUNCTION audit(d apibase.dispatch, payload jsonb) RETURNS void LANGUAGE sql AS $$ SELECT note('audit of attempt ' || d.attempt) $$;
SELECT apibase.use_middleware('audit(apibase.dispatch,jsonb)', 'before', 'bus_procedure.work');
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('conflict', 1, 'PT409'), result);
END $$;
SELECT entry FROM log;
CALL begin_anew();
CALL apibase.dispatch_command(work('again', 2, '40001'));
SELECT entry, count(*) OVER (PARTITION BY transaction) AS in_transaction FROM log ORDER BY n;
SELECT apibase.drop_middleware('audit(apibase.dispatch,jsonb)');

-- With an idempotency key the result is stored in the transaction that is committed.
CALL begin_anew();
DELETE FROM apibase_internal.idempotency WHERE message = 'bus_procedure.work';
CALL apibase.dispatch_command(work('once', 1, '40001', 1), options => '{"idempotency_key": "k"}');
CALL apibase.dispatch_command(work('once', 1, '40001', 1), options => '{"idempotency_key": "k"}');
SELECT entry FROM log;

--
-- Where transactions cannot be ended: one attempt, and the caller's transaction
--
CALL begin_anew();
BEGIN;
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('in a block', 0, ''), result);
    RAISE INFO '%', shown(result);
    CALL apibase.dispatch_command(work('in a block', 2, '40001'), result);
    RAISE INFO '%', shown(result);
END $$;
SELECT entry FROM log;
ROLLBACK;
CREATE FUNCTION calling() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('in a function', 3, '40001'), result);
    RETURN shown(result);
END $$;
CALL begin_anew();
SELECT calling(), nextval('calls') - 1 AS calls;
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_command(work('in an exception block', 3, '40001'), result);
    RAISE INFO '%', shown(result);
EXCEPTION WHEN OTHERS THEN RAISE INFO 'not reached';
END $$;
SELECT nextval('calls') - 1 AS calls, (SELECT count(*) FROM log) AS entries;

--
-- From code that ends transactions itself
--
-- What was done before is committed first, and is not tried again.
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    PERFORM note('before');
    CALL apibase.dispatch_command(work('between', 1, '40001'), result);
    PERFORM note('after');
    ROLLBACK;
END $$;
SELECT entry FROM log;

-- Isolation level and so on are kept for the next attempt.
CALL begin_anew();
DO $$
DECLARE
    result apibase.result;
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
    CALL apibase.dispatch_command(work('serializable', 1, '40001', 1), result);
END $$;
SELECT entry FROM log;
SHOW transaction_isolation;

-- In a loop over a query, with values that were in TOAST, and from variables.
CALL begin_anew();
CREATE TABLE texts (n int, name text);
ALTER TABLE texts ALTER name SET STORAGE EXTERNAL;
INSERT INTO texts SELECT n, repeat(n::text, 10000) FROM generate_series(1, 3) n;
CREATE TYPE measure AS (name text);
CREATE FUNCTION handle(measure) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('calls') % 2 = 1 THEN RAISE serialization_failure; END IF;
    PERFORM note(left($1.name, 5) || length($1.name));
    RETURN length($1.name);
END $$;
SELECT apibase.register_command('measure', 'handle(measure)');
DO $$
DECLARE
    command measure;
    result apibase.result;
    item record;
BEGIN
    FOR item IN SELECT * FROM texts ORDER BY n LOOP
        command := ROW(item.name);
        DELETE FROM texts WHERE n = item.n;
        CALL apibase.dispatch_command(command, result);
        RAISE INFO '%', shown(result);
        CALL apibase.dispatch_command('bus_procedure.measure', to_jsonb(command), result);
        RAISE INFO '%', shown(result);
    END LOOP;
END $$;
SELECT entry, count(*) OVER (PARTITION BY transaction) AS in_transaction FROM log ORDER BY n;

--
-- Queries
--
CREATE TYPE count_entries AS (failures int);
CREATE FUNCTION fail(failures int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (apibase.current_dispatch()).attempt <= failures THEN
        RAISE serialization_failure;
    END IF;
END $$;
CREATE FUNCTION handle(count_entries) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT fail($1.failures); SELECT count(*) FROM log $$;
SELECT apibase.register_query('count_entries', 'handle(count_entries)');
CALL apibase.dispatch_query(ROW(0)::count_entries);
CALL apibase.dispatch_query('bus_procedure.count_entries', '{}');
CALL apibase.dispatch_query(ROW(2)::count_entries);
DO $$
DECLARE
    result apibase.result;
BEGIN
    CALL apibase.dispatch_query(ROW(9)::count_entries, result);
    RAISE INFO '%', shown(result);
END $$;
SHOW transaction_read_only;

DELETE FROM apibase_internal.idempotency WHERE message = 'bus_procedure.work';
RESET search_path;
DROP SCHEMA bus_procedure, errors CASCADE;
