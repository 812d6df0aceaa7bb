-- events: what emit() writes, what is said of events when they are declared or emitted, and events recorded for aggregates.
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- Without shared memory the order of commits cannot be kept, so nothing is emitted.
SELECT NOT apibase.preloaded() AS unavailable \gset
\if :unavailable
CREATE TYPE pg_temp.happened AS (what text);
SELECT apibase.emit(ROW('one')::pg_temp.happened);
\quit
\endif

DROP SCHEMA IF EXISTS events CASCADE;
DROP ROLE IF EXISTS regress_events_owner, regress_events_other;
CREATE ROLE regress_events_owner;
CREATE ROLE regress_events_other;
CREATE SCHEMA events;
GRANT USAGE ON SCHEMA events TO PUBLIC;
GRANT CREATE ON SCHEMA events TO regress_events_owner;
SET "request.headers" = '{"x-request-id": "request-1"}';

-- The last events that can be seen here.
CREATE FUNCTION events.last(n integer DEFAULT 1) RETURNS SETOF jsonb LANGUAGE sql AS $$
    SELECT event || jsonb_build_object('source', replace(event ->> 'source', '/' || current_database(), '/database'))
    FROM (SELECT to_jsonb(o) - '{batch,id,timestamp}'::text[] AS event, o.id FROM apibase.outbox o ORDER BY o.id DESC LIMIT n) x ORDER BY id
$$;

SET ROLE regress_events_owner;
CREATE TYPE events.placed AS (order_id integer, version bigint, lines text[], "Total" numeric);
RESET ROLE;

-- A value of a composite type, with nothing else said.
SELECT id = apibase.emit AS is_id, uuid_send(id) >= '\x01' AND substr(id::text, 15, 1) = '7' AS is_v7, "timestamp" BETWEEN now() AND clock_timestamp() AS is_now
FROM apibase.emit(ROW(1, 2, '{a,b}', 9.50)::events.placed), LATERAL (SELECT * FROM apibase.outbox o WHERE o.id = emit) o;
SELECT apibase.emit(ROW(1, 2, '{a,b}', 9.50)::events.placed) IS NOT NULL AS emitted;
SELECT * FROM events.last();

-- With options, all of them.
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"aggregate_type": "order", "aggregate_id": 17, "aggregate_version": 3, "subject": "s", "source": "https://shop.example",
    "type": "com.example.placed", "correlation_id": "c", "causation_id": "d", "occurred_at": "2020-02-29 12:00:00+01"}') IS NOT NULL AS emitted;
SELECT * FROM events.last();
SELECT event::jsonb - 'id' AS cloudevent FROM apibase.outbox event ORDER BY id DESC LIMIT 1;
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, NULL) IS NOT NULL AS emitted, apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"subject": null}') IS NOT NULL AS emitted;

-- What they must be.
\set VERBOSITY terse
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"agregate_id": 17}');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '[]');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"aggregate_version": "three"}');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"aggregate_id": {}}');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"source": ""}');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"occurred_at": 5}');
SELECT apibase.emit(ROW(1, 2, NULL, NULL)::events.placed, '{"occurred_at": "soon"}');
\set VERBOSITY default
SELECT apibase.emit(ROW(1, 2));
SELECT apibase.emit(1);
SELECT apibase.emit('{}'::jsonb);
SELECT apibase.emit(NULL::events.placed);

-- Declared: fields say what an event is about; an option says more.
SET ROLE regress_events_owner;
SELECT apibase.register_event('events.placed', 'order', 'order_id', 'version', 'order_id', 'com.example.placed');
RESET ROLE;
SELECT * FROM apibase.events WHERE event = 'events.placed'::regtype;
SELECT apibase.emit(ROW(42, 7, NULL, 1)::events.placed) IS NOT NULL AS emitted, apibase.emit(ROW(42, 7, NULL, 1)::events.placed, '{"aggregate_id": "x", "aggregate_version": 8}') IS NOT NULL AS emitted,
    apibase.emit(ROW(NULL, NULL, NULL, NULL)::events.placed) IS NOT NULL AS emitted;
SELECT * FROM events.last(3);
-- It follows the type, and fields are found by name.
ALTER TYPE events.placed RENAME TO "Placed";
ALTER TYPE events."Placed" DROP ATTRIBUTE lines;
SELECT apibase.emit(ROW(43, 7, 1)::events."Placed", '{"type": "t"}') IS NOT NULL AS emitted;
SELECT * FROM events.last();
ALTER TYPE events."Placed" RENAME ATTRIBUTE version TO revision;
SELECT apibase.emit(ROW(43, 7, 1)::events."Placed");
ALTER TYPE events."Placed" RENAME ATTRIBUTE revision TO version;
ALTER TYPE events."Placed" RENAME TO placed;
SELECT apibase.unregister_event('events.placed'), apibase.unregister_event('events.placed');
SELECT apibase.emit(ROW(43, 7, 1)::events.placed) IS NOT NULL AS emitted;
SELECT * FROM events.last();
SELECT apibase.register_event('events.placed', aggregate_id => 'nosuch');
SELECT apibase.register_event('events.placed', aggregate_version => 'Total');
SELECT apibase.register_event('integer');
SELECT apibase.register_event(NULL);
CREATE TABLE events.item (id integer, name text);
SELECT apibase.register_event('events.item');
SET ROLE regress_events_other;
SELECT apibase.register_event('events.placed', 'mine');
SELECT apibase.unregister_event('events.placed');

-- Anybody may emit what he may use; nobody else sees the outbox. The row of a table is an event, too, and a value of a domain.
SELECT apibase.emit(ROW(5, 5, 5)::events.placed) IS NOT NULL AS emitted;
SELECT count(*) FROM apibase.outbox;
INSERT INTO apibase.outbox SELECT;
RESET ROLE;
REVOKE USAGE ON TYPE events.placed FROM PUBLIC;
SET ROLE regress_events_other;
SELECT apibase.emit(ROW(5, 5, 5)::events.placed);
RESET ROLE;
GRANT USAGE ON TYPE events.placed TO PUBLIC;
SELECT apibase.emit(i) IS NOT NULL AS emitted FROM (SELECT 1 AS id, 'hammer' AS name) x, LATERAL (SELECT ROW(x.*)::events.item AS i) y;
SELECT * FROM events.last();
CREATE DOMAIN events.placed_well AS events.placed CHECK ((VALUE).order_id > 0);
SELECT apibase.emit(ROW(5, 5, 5)::events.placed_well) IS NOT NULL AS emitted;
SELECT event ->> 'type' AS type FROM events.last() event;

-- The source.
SELECT source = '/' || current_database() AS is_default FROM apibase.outbox ORDER BY id DESC LIMIT 1;
SET apibase.event_source = 'urn:shop';
SELECT apibase.emit(ROW(5, 5, 5)::events.placed) IS NOT NULL AS emitted;
SELECT event ->> 'source' AS source FROM events.last() event;
RESET apibase.event_source;

-- It belongs to its transaction: nothing stays of what is rolled back, nothing is emitted where nothing may be written.
BEGIN;
SELECT apibase.emit(ROW(100, 1, 1)::events.placed) IS NOT NULL AS emitted;
SAVEPOINT s;
SELECT apibase.emit(ROW(101, 1, 1)::events.placed) IS NOT NULL AS emitted;
ROLLBACK TO s;
SELECT apibase.emit(ROW(102, 1, 1)::events.placed) IS NOT NULL AS emitted;
COMMIT;
BEGIN;
SELECT apibase.emit(ROW(103, 1, 1)::events.placed) IS NOT NULL AS emitted;
ROLLBACK;
BEGIN;
SELECT apibase.emit(ROW(104, 1, 1)::events.placed) IS NOT NULL AS emitted;
-- what is set later does not concern it
SET TRANSACTION READ ONLY;
COMMIT;
BEGIN READ ONLY;
SELECT apibase.emit(ROW(105, 1, 1)::events.placed);
ROLLBACK;
SELECT payload -> 'order_id' AS order_id, count(*) OVER (PARTITION BY batch) AS together, ordinal
FROM apibase.outbox WHERE (payload ->> 'order_id')::integer >= 100 ORDER BY id;

-- Triggers and columns that somebody has added to the outbox.
CREATE FUNCTION events.notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING '% %: % as %', tg_when, tg_level, new.payload, current_user = (SELECT relowner::regrole::text FROM pg_class WHERE oid = tg_relid);
    RETURN new;
END $$;
CREATE TRIGGER before BEFORE INSERT ON apibase.outbox FOR EACH ROW EXECUTE FUNCTION events.notice();
CREATE TRIGGER after AFTER INSERT ON apibase.outbox FOR EACH ROW WHEN (new.payload ? 'order_id') EXECUTE FUNCTION events.notice();
ALTER TABLE apibase.outbox ADD extra integer;
CREATE INDEX events_by_order ON apibase.outbox ((payload ->> 'order_id'));
SET ROLE regress_events_other;
SELECT apibase.emit(ROW(6, 6, 6)::events.placed) IS NOT NULL AS emitted;
RESET ROLE;
DROP TRIGGER before ON apibase.outbox;
DROP TRIGGER after ON apibase.outbox;
ALTER TABLE apibase.outbox DROP extra;
DROP INDEX apibase.events_by_order;
SELECT apibase.emit(ROW(7, 7, 7)::events.placed) IS NOT NULL AS emitted;

-- More events than a batch holds.
BEGIN;
SELECT count(apibase.emit(ROW(n, 1000, 1)::events.placed)) FROM generate_series(1, 65540) n;
COMMIT;
SELECT c.n, c.first, c.last, c.events FROM (
    SELECT row_number() OVER (ORDER BY c.position) AS n, min((o.payload -> 'order_id')::integer) AS first, max((o.payload -> 'order_id')::integer) AS last, count(*) AS events
    FROM apibase_internal.outbox_commit c JOIN apibase.outbox o USING (batch) WHERE o.payload ->> 'version' = '1000' GROUP BY c.position) c ORDER BY n;
DELETE FROM apibase.outbox WHERE payload ->> 'version' = '1000';

-- Positions must not be drawn in advance.
ALTER SEQUENCE apibase_internal.outbox_position CACHE 10;
SELECT apibase.emit(ROW(8, 1, 1)::events.placed) IS NOT NULL AS emitted;
SELECT apibase.emit(ROW(9, 1, 1)::events.placed) IS NOT NULL AS emitted;
ALTER SEQUENCE apibase_internal.outbox_position CACHE 1;
SELECT apibase.emit(ROW(10, 1, 1)::events.placed) IS NOT NULL AS emitted;

-- Events recorded for an aggregate.
BEGIN;
SELECT apibase.record_event('order', '1', ROW(1, 1, 1)::events.placed);
SELECT apibase.record_event('order', '2', ROW(2, 1, 1)::events.placed);
SELECT apibase.record_event('order', '1', ROW(1, 2, 1)::events.placed);
SELECT * FROM apibase.recorded_events('order', '1');
SELECT * FROM apibase.recorded_events('order', '3');
SAVEPOINT a;
SELECT apibase.record_event('order', '1', ROW(1, 3, 1)::events.placed);
SAVEPOINT b;
SELECT * FROM apibase.clear_recorded('order', '1');
SELECT * FROM apibase.recorded_events('order', '1');
SELECT apibase.record_event('order', '1', ROW(1, 4, 1)::events.placed);
RELEASE b;
SELECT * FROM apibase.recorded_events('order', '1');
ROLLBACK TO a;
SELECT * FROM apibase.recorded_events('order', '1');
SAVEPOINT c;
SELECT count(*) FROM apibase.clear_recorded('order', '1');
RELEASE c;
RELEASE a;
SELECT * FROM apibase.recorded_events('order', '1');
SELECT apibase.record_event('order', '1', ROW(1, 5, 1)::events.placed);
SELECT count(*) FROM apibase.emit_recorded('order', '1');
SELECT * FROM apibase.emit_recorded('order', '1');
SELECT count(*) FROM apibase.emit_recorded('order', '2');
COMMIT;
SELECT event -> 'payload' AS payload, event -> 'aggregatetype' AS type, event -> 'aggregateid' AS id FROM events.last(2) event;
-- They end with the transaction, not in silence.
SELECT apibase.record_event('order', '1', ROW(1, 1, 1)::events.placed);
SELECT * FROM apibase.recorded_events('order', '1');
BEGIN;
SET LOCAL apibase.recorded_events_max = 2;
SELECT apibase.record_event('order', '1', ROW(n, 1, 1)::events.placed) FROM generate_series(1, 2) n;
SAVEPOINT s;
SELECT apibase.record_event('order', '2', ROW(3, 1, 1)::events.placed);
ROLLBACK TO s;
-- nor can they be emitted when their type has changed; what leaves its fields as they are does no harm
SAVEPOINT s;
ALTER TYPE events.placed RENAME TO put;
SELECT count(*) FROM apibase.emit_recorded('order', '1');
ROLLBACK TO s;
ALTER TYPE events.placed ADD ATTRIBUTE more integer;
SELECT * FROM apibase.emit_recorded('order', '1');
ROLLBACK;
SELECT apibase.record_event(NULL, '1', ROW(1, 1, 1)::events.placed);
SELECT apibase.record_event('order', '1', 5);

BEGIN;
CREATE TABLE events.line (n integer);
SELECT apibase.record_event('order', '1', ROW(1)::events.line);
ANALYZE events.line;
SELECT count(*) FROM apibase.emit_recorded('order', '1');
COMMIT;

-- An aggregate's id is the same text whatever a session shows dates as.
CREATE TYPE events.closed AS (day date, n integer);
SELECT apibase.register_event('events.closed', aggregate_id => 'day', subject => 'n');
SET datestyle = 'German';
SELECT apibase.emit(ROW('2024-02-29', 1)::events.closed) IS NOT NULL AS emitted;
RESET datestyle;
SELECT event ->> 'aggregateid' AS id, event ->> 'subject' AS subject FROM events.last(1) event;
SELECT apibase.register_event('events.closed', type => '');
SELECT apibase.emit(ROW('2024-02-29', 1)::events.closed, '{"occurred_at": "infinity"}');

DROP SCHEMA events CASCADE;
DROP ROLE regress_events_owner, regress_events_other;
