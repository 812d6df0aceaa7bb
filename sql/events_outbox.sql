-- events: reading the outbox, acknowledging, resetting, pruning; who may. What several sessions do to each other is in
-- test/isolation/specs/events_order.spec and test/tap/events_outbox.pl.
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- Without shared memory the order of commits cannot be kept, so nothing is emitted or read.
SELECT NOT apibase.preloaded() AS unavailable \gset
\if :unavailable
SELECT * FROM apibase.outbox_read('a');
SELECT apibase.outbox_ack('a', 0);
SELECT * FROM apibase.outbox_consumers;
SELECT apibase.outbox_prune();
\quit
\endif

DROP SCHEMA IF EXISTS events CASCADE;
DROP ROLE IF EXISTS regress_events_reader;
CREATE ROLE regress_events_reader;
CREATE SCHEMA events;
CREATE TYPE events.happened AS (what text);
CREATE FUNCTION events.happen(what text) RETURNS void LANGUAGE sql AS 'SELECT apibase.emit(ROW(what)::events.happened)';
-- Positions are told as distances from where this test has begun: 65536 for each commit, and 1 for each event.
SELECT apibase_internal.outbox_horizon() AS start \gset
CREATE FUNCTION events.read(consumer text, "limit" integer DEFAULT 100) RETURNS TABLE (commit bigint, ordinal bigint, what text) LANGUAGE sql AS $$
    SELECT (r.position - current_setting('events.start')::bigint - 1) >> 16, r.position & 65535, (r.event).payload ->> 'what'
    FROM apibase.outbox_read(consumer, "limit") r
$$;
SET events.start = :start;
SELECT apibase.outbox_reset('a', :start), apibase.outbox_reset('b', :start);

-- The order of commits; within one, that of emission. What is not committed cannot be read, not even by who emits.
SELECT events.happen('one');
BEGIN;
SELECT events.happen('two');
SAVEPOINT s;
SELECT events.happen('undone');
ROLLBACK TO s;
SELECT events.happen('three');
SELECT * FROM events.read('a');
COMMIT;
BEGIN;
SELECT events.happen('undone, too');
ROLLBACK;
SELECT events.happen('four');
SELECT * FROM events.read('a');
SELECT * FROM events.read('a', 2);
SELECT bool_and(e.position = (c.position << 16) + (e.event).ordinal AND (e.event).batch = c.batch)
FROM apibase.outbox_read('a') e JOIN apibase_internal.outbox_commit c ON c.batch = (e.event).batch;

-- Acknowledging moves a consumer on, within a commit too, and never back; others are where they were.
SELECT position AS second FROM apibase.outbox_read('a') OFFSET 1 LIMIT 1 \gset
SELECT apibase.outbox_ack('a', :second) = :second AS acknowledged;
SELECT * FROM events.read('a');
SELECT * FROM events.read('a', 1);
SELECT apibase.outbox_ack('a', :start) = :second AS not_back;
SELECT * FROM events.read('b', 1);
SELECT consumer, lag, acknowledged = :second AS a, acknowledged = :start AS b, updated_at <= clock_timestamp() AS updated
FROM apibase.outbox_consumers WHERE consumer IN ('a', 'b') ORDER BY consumer;
-- back by a reset only, which is part of its transaction
BEGIN;
SELECT apibase.outbox_reset('a', :start);
SELECT count(*) FROM events.read('a');
ROLLBACK;
SELECT count(*) FROM events.read('a');

-- A consumer that nobody knows reads from the beginning.
SELECT count(*) = (SELECT count(*) FROM apibase.outbox) AS everything FROM apibase.outbox_read('new', 1000000);
SELECT apibase.outbox_ack('new', 0), apibase.outbox_drop_consumer('new'), apibase.outbox_drop_consumer('new');

-- An event as it was emitted, with its type again.
SELECT jsonb_populate_record(NULL::events.happened, (event).payload) FROM apibase.outbox_read('a', 1);
SELECT event::jsonb -> 'data' AS data, event::jsonb ->> 'type' AS type FROM apibase.outbox_read('a', 1);

-- What is refused.
SELECT apibase.outbox_read('a', 0);
SELECT apibase.outbox_ack('a', -1);
\set VERBOSITY terse
DO $$
BEGIN
    PERFORM apibase.outbox_ack('a', apibase_internal.outbox_horizon() + 1);
EXCEPTION WHEN SQLSTATE 'PB062' THEN RAISE WARNING '%', regexp_replace(sqlerrm, '\d+', 'N');
END $$;
DO $$
BEGIN
    PERFORM apibase.outbox_reset('a', 9223372036854775807);
EXCEPTION WHEN SQLSTATE 'PB062' THEN RAISE WARNING '%', regexp_replace(sqlerrm, '\d+', 'N');
END $$;
SELECT apibase.outbox_ack('', 0);
\set VERBOSITY default
SELECT count(*) FROM apibase.outbox_read(NULL), apibase.outbox_ack(NULL, 0);

-- Who may: nobody, until it is granted; to execute outbox_read is to see the events.
SET ROLE regress_events_reader;
SELECT * FROM apibase.outbox_read('a');
SELECT apibase.outbox_ack('a', 0);
SELECT apibase.outbox_reset('a');
SELECT apibase.outbox_drop_consumer('a');
SELECT apibase.outbox_prune();
SELECT * FROM apibase.outbox_consumers;
RESET ROLE;
GRANT EXECUTE ON FUNCTION apibase.outbox_read(text, integer), apibase.outbox_ack(text, bigint) TO regress_events_reader;
SET ROLE regress_events_reader;
SELECT (event).payload FROM apibase.outbox_read('a');
SELECT apibase.outbox_ack('a', position) = position AS acknowledged FROM apibase.outbox_read('a', 1);
SELECT (event).payload FROM apibase.outbox_read('a');
SELECT count(*) FROM apibase.outbox;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION apibase.outbox_read(text, integer), apibase.outbox_ack(text, bigint) FROM regress_events_reader;
GRANT pg_monitor TO regress_events_reader;
SET ROLE regress_events_reader;
SELECT consumer, lag FROM apibase.outbox_consumers WHERE consumer IN ('a', 'b') ORDER BY consumer;
RESET ROLE;

-- Pruned is what all consumers have acknowledged, and is old. a is at three, b at the start.
CREATE VIEW events.left AS SELECT string_agg(o.payload ->> 'what', ', ' ORDER BY c.position, o.ordinal) AS events, count(DISTINCT c.position) AS commits
FROM apibase_internal.outbox_commit c LEFT JOIN apibase.outbox o USING (batch) WHERE c.position > :start >> 16;
SELECT * FROM events.left;
DELETE FROM apibase.outbox o USING apibase_internal.outbox_commit c WHERE o.batch = c.batch AND c.position <= :start >> 16;
DELETE FROM apibase_internal.outbox_commit WHERE position <= :start >> 16;
SELECT apibase.outbox_prune('0');
SELECT apibase.outbox_ack('b', position) = position AS two FROM apibase.outbox_read('b', 2) OFFSET 1;
SELECT apibase.outbox_prune();
SELECT apibase.outbox_prune('0', 0);
SELECT * FROM events.left;
BEGIN;
SELECT apibase.outbox_prune('0');
SELECT * FROM events.left;
ROLLBACK;
-- some at a time: a commit goes with its last event
SELECT apibase.outbox_prune('0', 1);
SELECT * FROM events.left;
SELECT apibase.outbox_prune('0', 1);
SELECT * FROM events.left;
SELECT apibase.outbox_prune('0', 1);
SELECT apibase.outbox_ack('b', max(position)) > 0 AS all FROM apibase.outbox_read('b');
SELECT apibase.outbox_prune('0');
SELECT * FROM events.left;
-- old enough: seven days later
SELECT apibase_internal.clock_set('7 days 1 s');
SELECT apibase.outbox_ack('a', max(position)) > 0 AS all FROM apibase.outbox_read('a');
SELECT apibase.outbox_prune();
SELECT apibase_internal.clock_set('0');
SELECT * FROM events.left;
-- what was pruned is gone for a consumer that is set back; what comes is not
SELECT apibase.outbox_reset('a');
SELECT events.happen('five');
SELECT what FROM events.read('a');
-- without consumers nothing is
SELECT apibase.outbox_drop_consumer('a'), apibase.outbox_drop_consumer('b');
SELECT apibase.outbox_prune('0');
SELECT * FROM events.left;

-- A commit without events, because they were deleted by hand, is passed over.
SELECT apibase.outbox_reset('a', :start);
SELECT events.happen('six');
DELETE FROM apibase.outbox WHERE payload ->> 'what' = 'five';
SELECT what FROM events.read('a', 1);

-- Whoever meddles with the sequence of positions is told, and no event is skipped.
SELECT apibase.outbox_ack('a', max(position)) > 0 AS all FROM apibase.outbox_read('a');
BEGIN;
ALTER SEQUENCE apibase_internal.outbox_position RESTART;
\set VERBOSITY terse
SELECT what FROM events.read('a');
\set VERBOSITY default
ROLLBACK;
ALTER SEQUENCE apibase_internal.outbox_position CACHE 5;
SELECT events.happen('seven');
SELECT events.happen('eight');
ALTER SEQUENCE apibase_internal.outbox_position CACHE 1;
SELECT events.happen('nine');
SELECT what FROM events.read('a');
SELECT apibase.outbox_drop_consumer('a');

DROP SCHEMA events CASCADE;
DROP ROLE regress_events_reader;
