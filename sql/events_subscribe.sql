-- events: subscriptions: of types and patterns, filters, order, failures, causes; who may subscribe, and what happens to subscriptions
-- when functions and types change.
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- Without shared memory the order of commits cannot be kept, so nothing is emitted; but functions can subscribe.
SELECT NOT apibase.preloaded() AS unavailable \gset
\if :unavailable
CREATE TYPE pg_temp.happened AS (what text);
CREATE FUNCTION pg_temp.on_happened(e pg_temp.happened) RETURNS void LANGUAGE sql AS '';
SELECT apibase.subscribe('pg_temp.happened', 'pg_temp.on_happened(pg_temp.happened)');
SELECT event LIKE 'pg_temp%.happened' AS event, on_failure, problem FROM apibase.subscriptions;
SELECT apibase.emit(ROW('one')::pg_temp.happened);
SELECT apibase.unsubscribe('pg_temp*.happened');
\quit
\endif

DROP SCHEMA IF EXISTS events CASCADE;
DROP SCHEMA IF EXISTS events2 CASCADE;
DROP ROLE IF EXISTS regress_events_owner, regress_events_other;
CREATE ROLE regress_events_owner;
CREATE ROLE regress_events_other;
CREATE SCHEMA events;
CREATE SCHEMA events2;
GRANT USAGE, CREATE ON SCHEMA events TO regress_events_owner, regress_events_other;
SET "request.headers" = '{"x-request-id": "request-1"}';

CREATE TYPE events.placed AS (id integer, total numeric);
CREATE TYPE events.paid AS (id integer);
CREATE TYPE events2.shipped AS (id integer);
CREATE TABLE events.log (n integer GENERATED ALWAYS AS IDENTITY, who text, what jsonb);
CREATE FUNCTION events.note(who text, what anyelement) RETURNS void LANGUAGE sql AS $$INSERT INTO events.log (who, what) VALUES (who, to_jsonb(what))$$;
-- What was noted since this was asked last.
CREATE FUNCTION events.noted() RETURNS TABLE (who text, what jsonb) LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM events.log RETURNING *) SELECT who, what FROM gone ORDER BY n
$$;
CREATE FUNCTION events.on_placed(e events.placed) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM events.note('on_placed', e);
    IF e.id = 13 THEN RAISE 'unlucky' USING ERRCODE = 'PT409'; END IF;
    IF e.id = 14 THEN PERFORM 1 / 0; END IF;
END $$;
CREATE FUNCTION events.on_any(e apibase.outbox) RETURNS void LANGUAGE sql AS $$
    SELECT events.note('on_any', jsonb_build_object('type', e.type, 'data', e.payload, 'aggregate', e.aggregatetype))
$$;

-- A type; its name needs no cast.
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)');
SELECT apibase.emit(ROW(1, 9.5)::events.placed) IS NOT NULL AS emitted;
SELECT apibase.emit(ROW(1)::events.paid) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
-- It runs in the transaction, before emit() returns; and is rolled back with it.
BEGIN;
SELECT apibase.emit(ROW(2, 1)::events.placed) IS NOT NULL AS emitted;
SELECT who, what FROM events.log;
ROLLBACK;
SELECT * FROM events.noted();

-- Patterns, which take the row of the outbox; order by position, then by name.
SELECT apibase.subscribe('events.p*', 'events.on_any(apibase.outbox)', rank => 50);
SELECT apibase.subscribe('*.shipped', 'events.on_any(apibase.outbox)');
SELECT event, handler, filter, on_failure, rank, problem FROM apibase.subscriptions ORDER BY rank, event;
SELECT apibase.emit(ROW(3, 1)::events.placed) IS NOT NULL AS emitted, apibase.emit(ROW(3)::events.paid) IS NOT NULL AS emitted,
    apibase.emit(ROW(3)::events2.shipped) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
-- again with another position: it replaces the one before
SELECT apibase.subscribe('events.p*', 'events.on_any(apibase.outbox)', rank => 150);
SELECT apibase.emit(ROW(3, 1)::events.placed) IS NOT NULL AS emitted;
SELECT who FROM events.noted();
-- a handler of the row for one type; a name of a pattern's characters is only itself
CREATE TYPE events."p*" AS (id integer);
SELECT apibase.subscribe('events."p*"'::regtype, 'events.on_any(apibase.outbox)', rank => 1);
SELECT apibase.emit(ROW(3)::events."p*") IS NOT NULL AS emitted;
SELECT * FROM events.noted();
SELECT event, rank FROM apibase.subscriptions WHERE handler = 'events.on_any(apibase.outbox)'::regprocedure ORDER BY 2, 1;

-- Ended: by handler and name, by handler, by what a pattern matches.
SELECT apibase.unsubscribe('events.on_any(apibase.outbox)'::regprocedure, 'events.p*');
SELECT event, rank FROM apibase.subscriptions WHERE handler = 'events.on_any(apibase.outbox)'::regprocedure ORDER BY 2, 1;
SELECT apibase.unsubscribe('events.on_placed(events.placed)');
SELECT apibase.unsubscribe('nothing.*'), apibase.unsubscribe('events.on_placed(events.placed)'::regprocedure);
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)');
SELECT apibase.unsubscribe('*');
SELECT count(*) FROM apibase.subscriptions;
SELECT apibase.unsubscribe('events.on_placed(events.placed)'::regprocedure);

-- Filters: of a type over the event, of a pattern over its document, where there may be fields or not.
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)', 'total > 10 and id <> 4');
SELECT apibase.subscribe('events.*', 'events.on_any(apibase.outbox)', 'total > 20');
SELECT filter FROM apibase.subscriptions ORDER BY filter;
SELECT apibase.emit(e) IS NOT NULL AS emitted FROM (VALUES (ROW(1, 5)::events.placed), (ROW(2, 15)::events.placed), (ROW(4, 25)::events.placed), (ROW(5, 25)::events.placed)) v (e);
SELECT apibase.emit(ROW(3)::events.paid) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)', 'totl > 10');
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)', 'total > $1');
-- a layout that changes
ALTER TYPE events.placed ADD ATTRIBUTE extra text;
SELECT apibase.emit(ROW(6, 16, 'x')::events.placed) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
ALTER TYPE events.placed DROP ATTRIBUTE extra;
SELECT apibase.unsubscribe('*');

-- A failure fails emit(), and nothing of the event stays, unless the subscription isolates it: then it is noted, the
-- subscriber's own effects are undone, and the others run.
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)');
SELECT apibase.subscribe('events.placed'::regtype, 'events.on_any(apibase.outbox)', rank => 200);
SELECT count(*) AS before FROM apibase.outbox \gset
\set VERBOSITY terse
SELECT apibase.emit(ROW(13, 1)::events.placed);
\set VERBOSITY default
SELECT count(*) - :before AS emitted, (SELECT count(*) FROM events.log) AS noted FROM apibase.outbox;
SELECT apibase.subscribe('events.placed', 'events.on_placed(events.placed)', on_failure => 'isolate');
DELETE FROM apibase.event_failures;
SELECT apibase.emit(ROW(13, 1)::events.placed) IS NOT NULL AS emitted, apibase.emit(ROW(14, 1)::events.placed) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
SELECT f.type, f.subscriber, f.problem - 'instance' AS problem, o.payload, f.failed_at <= clock_timestamp() AS failed
FROM apibase.event_failures f JOIN apibase.outbox o ON o.id = f.event_id ORDER BY o.id;
-- with its transaction
BEGIN;
SELECT apibase.emit(ROW(13, 1)::events.placed) IS NOT NULL AS emitted;
ROLLBACK;
SELECT count(*) FROM apibase.event_failures;
-- a cancellation is nobody's failure
CREATE FUNCTION events.cancel(e events.paid) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE query_canceled; END$$;
SELECT apibase.subscribe('events.paid', 'events.cancel(events.paid)', on_failure => 'isolate');
\set VERBOSITY terse
SELECT apibase.emit(ROW(13)::events.paid);
\set VERBOSITY default
SELECT apibase.unsubscribe('*');

-- Causes: what a subscriber emits has the event as its cause, and the same correlation.
CREATE FUNCTION events.pay(e events.placed) RETURNS uuid LANGUAGE sql AS $$SELECT apibase.emit(ROW(e.id)::events.paid)$$;
CREATE FUNCTION events.ship(e events.paid) RETURNS uuid LANGUAGE sql AS $$SELECT apibase.emit(ROW(e.id)::events2.shipped)$$;
CREATE FUNCTION events.frame(e events2.shipped) RETURNS void LANGUAGE sql AS $$
    SELECT events.note('frame', jsonb_build_object('kind', d.kind, 'name', d.name, 'depth', d.depth, 'correlation', d.correlation_id)) FROM apibase.current_dispatch() d
$$;
SELECT apibase.subscribe('events.placed', 'events.pay(events.placed)'), apibase.subscribe('events.paid', 'events.ship(events.paid)'),
    apibase.subscribe('events2.shipped', 'events.frame(events2.shipped)');
SELECT apibase.emit(ROW(21, 1)::events.placed) IS NOT NULL AS emitted;
SELECT o.type, c.type AS cause, o.correlationid, o.ordinal FROM apibase.outbox o LEFT JOIN apibase.outbox c ON c.id::text = o.causationid
WHERE o.payload ->> 'id' = '21' ORDER BY o.id;
SELECT * FROM events.noted();
SELECT apibase.unsubscribe('*');
-- and going round in circles ends
CREATE FUNCTION events.again(e events.paid) RETURNS uuid LANGUAGE sql AS 'SELECT apibase.emit(e)';
SELECT apibase.subscribe('events.paid', 'events.again(events.paid)');
\set VERBOSITY sqlstate
SELECT apibase.emit(ROW(22)::events.paid);
\set VERBOSITY default
SELECT apibase.unsubscribe('*');

-- Subscribers that change subscriptions do not disturb the event that is being handled.
CREATE FUNCTION events.once(e events.paid) RETURNS void LANGUAGE sql AS $$
    SELECT apibase.unsubscribe('events.once(events.paid)'::regprocedure);
    SELECT events.note('once', e);
$$;
CREATE FUNCTION events.twice(e events.paid) RETURNS void LANGUAGE sql AS $$SELECT events.note('twice', e)$$;
SELECT apibase.subscribe('events.paid', 'events.once(events.paid)', 'id > 0', rank => 1), apibase.subscribe('events.paid', 'events.twice(events.paid)', 'id > 0');
SELECT apibase.emit(ROW(31)::events.paid) IS NOT NULL AS emitted, apibase.emit(ROW(32)::events.paid) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
BEGIN;
SELECT apibase.unsubscribe('*');
SELECT apibase.emit(ROW(33)::events.paid) IS NOT NULL AS emitted;
ROLLBACK;
SELECT apibase.emit(ROW(34)::events.paid) IS NOT NULL AS emitted;
SELECT * FROM events.noted();

-- A filter that fails is a failure of its subscriber.
CREATE TYPE events.filtered AS (id integer, size integer);
CREATE FUNCTION events.on_filtered(e events.filtered) RETURNS void LANGUAGE sql AS $$INSERT INTO events.log (who, what) VALUES ('on_filtered', to_jsonb(e))$$;
SELECT apibase.subscribe('events.filtered', 'events.on_filtered(events.filtered)', filter => 'size > 1', on_failure => 'isolate');
SELECT apibase.emit(ROW(1, 2)::events.filtered) IS NOT NULL AS emitted;
ALTER TYPE events.filtered DROP ATTRIBUTE size;
SELECT apibase.emit(ROW(2)::events.filtered) IS NOT NULL AS emitted FROM generate_series(1, 2);
SELECT type, subscriber, problem ->> 'code' AS code FROM apibase.event_failures WHERE type = 'events.filtered';
SELECT apibase.subscribe('events.filtered', 'events.on_filtered(events.filtered)', filter => 'id > 1');
SELECT apibase.emit(ROW(1)::events.filtered) IS NOT NULL AND apibase.emit(ROW(2)::events.filtered) IS NOT NULL AS emitted;
ALTER TYPE events.filtered RENAME ATTRIBUTE id TO number;
SELECT apibase.emit(ROW(3)::events.filtered);
DROP TYPE events.filtered CASCADE;
SELECT * FROM events.noted();

-- A subscription follows its function and its type; it ends with the function; what can no longer be called is told.
ALTER FUNCTION events.twice(events.paid) RENAME TO thrice;
ALTER TYPE events.paid RENAME TO settled;
SELECT apibase.emit(ROW(35)::events.settled) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
SELECT event, handler FROM apibase.subscriptions;
ALTER FUNCTION events.thrice(events.settled) SECURITY DEFINER;
SELECT event, handler, problem FROM apibase.subscriptions;
\set VERBOSITY terse
SELECT apibase.emit(ROW(36)::events.settled);
\set VERBOSITY default
ALTER FUNCTION events.thrice(events.settled) SET search_path = pg_catalog, pg_temp;
SELECT apibase.emit(ROW(36)::events.settled) IS NOT NULL AS emitted;
SELECT * FROM events.noted();
DROP FUNCTION events.thrice(events.settled);
SELECT count(*) FROM apibase.subscriptions;
SELECT apibase.emit(ROW(37)::events.settled) IS NOT NULL AS emitted;
ALTER TYPE events.settled RENAME TO paid;

-- What cannot subscribe.
CREATE FUNCTION events.none() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION events.many(e events.paid) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION events.number(e integer) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE events.procedure(e events.paid) LANGUAGE sql AS '';
CREATE FUNCTION events.definer(e events.paid) RETURNS void LANGUAGE sql SECURITY DEFINER AS '';
SELECT apibase.subscribe('events.paid', 'events.none()');
SELECT apibase.subscribe('events.paid', 'events.many(events.paid)');
SELECT apibase.subscribe('events.paid', 'events.number(integer)');
SELECT apibase.subscribe('events.paid', 'events.procedure(events.paid)');
SELECT apibase.subscribe('events.paid', 'events.definer(events.paid)');
ALTER FUNCTION events.definer(events.paid) SET work_mem = '1MB';
SELECT apibase.subscribe('events.paid', 'events.definer(events.paid)');
ALTER FUNCTION events.definer(events.paid) SET search_path = pg_temp, events;
SELECT apibase.subscribe('events.paid', 'events.definer(events.paid)');
SELECT apibase.subscribe('events.paid', 'events.on_placed(events.placed)');
SELECT apibase.subscribe('events.*', 'events.on_placed(events.placed)');
SELECT apibase.subscribe('events.paid', 'events.cancel(events.paid)', on_failure => 'ignore');
SELECT apibase.subscribe('events.paid', NULL);
SELECT apibase.subscribe('integer', 'events.cancel(events.paid)');
SELECT apibase.subscribe('events.nosuch', 'events.cancel(events.paid)');

-- Who may: the owner of function and type; patterns are for who owns the extension.
SET ROLE regress_events_owner;
CREATE TYPE events.mine AS (id integer);
CREATE FUNCTION events.my_own(e events.mine) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION events.my_any(e apibase.outbox) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION events.my_paid(e events.paid) RETURNS void LANGUAGE sql AS '';
SELECT apibase.subscribe('events.mine', 'events.my_own(events.mine)'), apibase.subscribe('events.mine', 'events.my_any(apibase.outbox)');
SELECT apibase.subscribe('events.paid', 'events.my_paid(events.paid)');
SELECT apibase.subscribe('events.m*', 'events.my_any(apibase.outbox)');
SET ROLE regress_events_other;
CREATE FUNCTION events.others(e events.mine) RETURNS void LANGUAGE sql AS '';
SELECT apibase.subscribe('events.mine', 'events.others(events.mine)');
SELECT apibase.subscribe('events.mine', 'events.my_own(events.mine)');
SELECT apibase.unsubscribe('events.my_own(events.mine)'::regprocedure);
SELECT apibase.unsubscribe('*');
SELECT event, handler FROM apibase.subscriptions ORDER BY handler::text;
-- they run with the rights of who emits, as triggers do, whatever he may execute
SET ROLE regress_events_owner;
CREATE OR REPLACE FUNCTION events.my_own(e events.mine) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'as %', current_user; END$$;
REVOKE EXECUTE ON FUNCTION events.my_own(events.mine) FROM PUBLIC;
SET ROLE regress_events_other;
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;
RESET ROLE;
-- A name that has come to mean somebody else's type: whoever had a type of that name is not called with the rights of who emits that one.
CREATE OR REPLACE FUNCTION events.my_any(e apibase.outbox) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'any'; END$$;
CREATE OR REPLACE FUNCTION events.my_own(e events.mine) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'own'; END$$;
ALTER FUNCTION events.my_any(apibase.outbox) OWNER TO regress_events_owner;
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;
ALTER TYPE events.mine RENAME TO mine_before;
CREATE TYPE events.mine AS (id integer);
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;
SELECT apibase.subscribe('events.mine', 'events.my_any(apibase.outbox)');
SELECT event, problem FROM apibase.subscriptions WHERE handler = 'events.my_any(apibase.outbox)'::regprocedure;
DROP TYPE events.mine;
ALTER TYPE events.mine_before RENAME TO mine;
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;

-- Labels that make no sense are no subscriptions.
SECURITY LABEL FOR apibase ON FUNCTION events.my_own(events.mine) IS '{"subscriptions": [1, "x", {"rank": "first"}, {"messages": 5}, {"messages": "*", "filter": {}}, [[]], {"rank": 1e400}, {"rank": -1e9, "on_failure": 5}]}';
SECURITY LABEL FOR apibase ON FUNCTION events.my_any(apibase.outbox) IS '{"subscriptions": {"messages": "*"}}';
SELECT event, handler, on_failure, rank FROM apibase.subscriptions;
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;
SECURITY LABEL FOR apibase ON TYPE events.mine IS '{"event": [1]}';
SELECT * FROM apibase.events;
SELECT apibase.emit(ROW(1)::events.mine) IS NOT NULL AS emitted;

DROP SCHEMA events CASCADE;
DROP SCHEMA events2 CASCADE;
DELETE FROM apibase.event_failures;
DROP ROLE regress_events_owner, regress_events_other;
