-- events: casts, views, privileges, comments

-- ---- emit, outbox

CREATE CAST (apibase.outbox AS jsonb) WITH FUNCTION apibase.outbox_to_jsonb(apibase.outbox);

CREATE VIEW apibase.outbox_consumers AS
    SELECT c.name AS consumer, c.acknowledged,
        CASE WHEN h.horizon IS NOT NULL THEN
            (SELECT count(*) FROM apibase_internal.outbox_commit k JOIN apibase.outbox o ON o.batch = k.batch
             WHERE k.position BETWEEN c.acknowledged >> 16 AND h.horizon >> 16 AND (k.position << 16) + o.ordinal > c.acknowledged)
        END AS lag,
        c.updated_at
    FROM apibase_internal.outbox_consumer c, (SELECT apibase_internal.outbox_horizon() AS horizon) h;

REVOKE ALL ON FUNCTION apibase.outbox_read(text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.outbox_ack(text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.outbox_reset(text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.outbox_drop_consumer(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.outbox_prune(interval, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.outbox_check(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.outbox_horizon() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.outbox_horizon() TO pg_monitor;
GRANT SELECT ON apibase.outbox_consumers TO pg_monitor;

COMMENT ON FUNCTION apibase.emit(anyelement, jsonb) IS
    'Emit an event: into the outbox with this transaction''s commit, and to its subscribers now; its id';
COMMENT ON FUNCTION apibase.outbox_to_jsonb(apibase.outbox) IS 'An event as a CloudEvent (1.0) in JSON; the cast to jsonb';
COMMENT ON FUNCTION apibase.outbox_read(text, integer) IS
    'The next events after those that a consumer has acknowledged, in the order of commits';
COMMENT ON FUNCTION apibase.outbox_ack(text, bigint) IS
    'Note that a consumer is done with all events up to a position; what it has acknowledged now';
COMMENT ON FUNCTION apibase.outbox_reset(text, bigint) IS 'Let a consumer continue after a position, earlier or later; 0 is before the first event';
COMMENT ON FUNCTION apibase.outbox_drop_consumer(text) IS 'Forget a consumer; whether it was known';
COMMENT ON FUNCTION apibase.outbox_prune(interval, integer) IS
    'Delete events that all consumers have acknowledged and that were committed so long ago; how many';
COMMENT ON FUNCTION apibase_internal.outbox_check(bigint) IS 'A position of the outbox if it can have been read; raises PB062 otherwise';
COMMENT ON FUNCTION apibase_internal.outbox_horizon() IS
    'The last position of the outbox that can be read now; NULL on a standby and where apibase is not preloaded';
COMMENT ON CAST (apibase.outbox AS jsonb) IS 'As a CloudEvent (1.0) in JSON';
COMMENT ON TABLE apibase.outbox IS 'Events that were emitted; the columns are those of Debezium''s outbox event router';
COMMENT ON COLUMN apibase.outbox.batch IS 'Number of the transaction; says nothing about its order';
COMMENT ON COLUMN apibase.outbox.ordinal IS 'Place in the transaction, from 0, with gaps for what was rolled back';
COMMENT ON COLUMN apibase.outbox.id IS 'Of the event, a UUID of version 7';
COMMENT ON COLUMN apibase.outbox.aggregatetype IS 'Kind of what the event is about';
COMMENT ON COLUMN apibase.outbox.aggregateid IS 'And which one';
COMMENT ON COLUMN apibase.outbox.aggregateversion IS 'And its version after the event';
COMMENT ON COLUMN apibase.outbox.type IS 'Of the event: the name of its type, unless declared otherwise';
COMMENT ON COLUMN apibase.outbox.source IS 'Where it comes from, a URI reference';
COMMENT ON COLUMN apibase.outbox.subject IS 'What it is about within the source';
COMMENT ON COLUMN apibase.outbox.payload IS 'The value that was emitted';
COMMENT ON COLUMN apibase.outbox."timestamp" IS 'When it occurred';
COMMENT ON COLUMN apibase.outbox.correlationid IS 'Of everything that one request has caused';
COMMENT ON COLUMN apibase.outbox.causationid IS 'Id of the command or event that was being handled';
COMMENT ON COLUMN apibase.outbox.traceparent IS 'W3C trace context';
COMMENT ON TABLE apibase_internal.outbox_commit IS 'The batches of committed transactions in the order of their commits';
COMMENT ON SEQUENCE apibase_internal.outbox_position IS 'Positions in the order of commits, drawn just before the commit';
COMMENT ON SEQUENCE apibase_internal.outbox_batch IS 'Numbers of transactions that emit';
COMMENT ON TABLE apibase_internal.outbox_consumer IS 'What the consumers of the outbox have acknowledged';
COMMENT ON VIEW apibase.outbox_consumers IS 'The consumers of the outbox';
COMMENT ON COLUMN apibase.outbox_consumers.consumer IS 'Name of the consumer';
COMMENT ON COLUMN apibase.outbox_consumers.acknowledged IS 'Position up to which it is done';
COMMENT ON COLUMN apibase.outbox_consumers.lag IS
    'Events that it could read now; NULL on a standby and where apibase is not preloaded';
COMMENT ON COLUMN apibase.outbox_consumers.updated_at IS 'When it acknowledged last';

-- ---- recorded events

COMMENT ON FUNCTION apibase.record_event(text, text, anyelement) IS
    'Keep an event for an aggregate until it is emitted or cleared, at most until the transaction ends';
COMMENT ON FUNCTION apibase.recorded_events(text, text) IS 'What is recorded for an aggregate, in order: {"type", "data"}';
COMMENT ON FUNCTION apibase.clear_recorded(text, text) IS 'Return what is recorded for an aggregate, and leave nothing';
COMMENT ON FUNCTION apibase.emit_recorded(text, text) IS 'Emit what is recorded for an aggregate, and leave nothing; the ids';

COMMENT ON COLUMN apibase_internal.outbox_commit.position IS 'Place in the order of commits';
COMMENT ON COLUMN apibase_internal.outbox_commit.batch IS 'The events that were committed: column batch of apibase.outbox';
COMMENT ON COLUMN apibase_internal.outbox_commit.committed_at IS 'When the position was drawn, just before the commit';
COMMENT ON COLUMN apibase_internal.outbox_consumer.name IS 'Name that the consumer reads under';
COMMENT ON COLUMN apibase_internal.outbox_consumer.acknowledged IS 'Position up to which it is done with all events';
COMMENT ON COLUMN apibase_internal.outbox_consumer.updated_at IS 'When it said so last';

-- ---- subscriptions

CREATE VIEW apibase.events AS
    SELECT t.oid::regtype AS event, coalesce(d.declaration ->> 'type', apibase_internal.event_name(t.oid)) AS type,
        coalesce(d.declaration ->> 'aggregate_type', t.typname) AS aggregate_type, d.declaration ->> 'aggregate_id' AS aggregate_id,
        d.declaration ->> 'aggregate_version' AS aggregate_version, d.declaration ->> 'subject' AS subject
    FROM pg_catalog.pg_seclabel l JOIN pg_catalog.pg_type t ON t.oid = l.objoid,
        LATERAL (SELECT l.label::jsonb -> 'event' AS declaration) d
    WHERE l.provider = 'apibase' AND l.classoid = 'pg_catalog.pg_type'::regclass AND l.objsubid = 0
        AND jsonb_typeof(d.declaration) = 'object';

CREATE VIEW apibase.subscriptions AS
    SELECT coalesce(s.item ->> 'messages', CASE WHEN p.pronargs = 1 THEN apibase_internal.event_name(p.proargtypes[0]) END) AS event,
        p.oid::regprocedure AS handler, s.item ->> 'filter' AS filter,
        CASE WHEN s.item ->> 'on_failure' = 'isolate' THEN 'isolate' ELSE 'fail' END AS on_failure,
        CASE WHEN jsonb_typeof(s.item -> 'rank') = 'number'
            THEN least(greatest(trunc((s.item -> 'rank')::numeric), -2147483647), 2147483647)::integer ELSE 100 END AS rank,
        coalesce(apibase_internal.subscription_problem(p.oid, s.item ->> 'messages' IS NOT NULL),
            -- of one name, in which what means more than itself is quoted: see events_registry.c
            CASE WHEN s.item ->> 'messages' ~ '^([^*?\\]|\\.)*$' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_type t
                WHERE t.typtype = 'c' AND pg_has_role(p.proowner, t.typowner, 'USAGE')
                    AND apibase_internal.event_name(t.oid) = regexp_replace(s.item ->> 'messages', '\\(.)', '\1', 'g'))
            THEN 'the owner of the function has no type of this name' END) AS problem
    FROM pg_catalog.pg_seclabel l JOIN pg_catalog.pg_proc p ON p.oid = l.objoid,
        LATERAL (SELECT l.label::jsonb -> 'subscriptions' AS items) n,
        LATERAL pg_catalog.jsonb_array_elements(CASE WHEN jsonb_typeof(n.items) = 'array' THEN n.items ELSE '[]' END) s (item)
    WHERE l.provider = 'apibase' AND l.classoid = 'pg_catalog.pg_proc'::regclass AND l.objsubid = 0
        AND jsonb_typeof(s.item) = 'object' AND coalesce(jsonb_typeof(s.item -> 'messages'), 'null') IN ('string', 'null')
        AND coalesce(jsonb_typeof(s.item -> 'filter'), 'null') IN ('string', 'null');

GRANT SELECT ON apibase.events, apibase.subscriptions TO PUBLIC;

COMMENT ON FUNCTION apibase.register_event(regtype, text, text, text, text, text) IS
    'Declare what events of a type are about: which fields are the aggregate''s id and version, and the subject';
COMMENT ON FUNCTION apibase.unregister_event(regtype) IS 'Forget what was declared; whether anything was';
COMMENT ON FUNCTION apibase.subscribe(regtype, regprocedure, apibase.spec, text, integer) IS
    'Let a function be called for each event of a type, in the transaction that emits it';
COMMENT ON FUNCTION apibase.subscribe(text, regprocedure, apibase.spec, text, integer) IS
    'Let a function be called for each event whose type''s name matches a pattern, in the transaction that emits it';
COMMENT ON FUNCTION apibase.unsubscribe(regprocedure, text) IS
    'End the subscriptions of a function, all or those that a pattern matches; how many there were';
COMMENT ON FUNCTION apibase.unsubscribe(text) IS 'End all subscriptions that a pattern matches; how many there were';
COMMENT ON FUNCTION apibase_internal.event_name(oid) IS 'The name of a type that patterns are compared with';
COMMENT ON FUNCTION apibase_internal.subscription_problem(oid, boolean) IS 'Why a function cannot be called as a subscriber; NULL if it can';
COMMENT ON VIEW apibase.events IS 'Types of events that were declared';
COMMENT ON COLUMN apibase.events.event IS 'The type';
COMMENT ON COLUMN apibase.events.type IS 'The attribute type of its events';
COMMENT ON COLUMN apibase.events.aggregate_type IS 'Kind of what its events are about';
COMMENT ON COLUMN apibase.events.aggregate_id IS 'The field that says which one';
COMMENT ON COLUMN apibase.events.aggregate_version IS 'The field that is its version';
COMMENT ON COLUMN apibase.events.subject IS 'The field that is the subject';
COMMENT ON VIEW apibase.subscriptions IS 'The subscriptions of functions to events';
COMMENT ON COLUMN apibase.subscriptions.event IS 'Name of a type, or a pattern of names';
COMMENT ON COLUMN apibase.subscriptions.handler IS 'The function that is called';
COMMENT ON COLUMN apibase.subscriptions.filter IS 'The specification that an event must satisfy; NULL: all';
COMMENT ON COLUMN apibase.subscriptions.on_failure IS 'fail: emit() fails with the handler; isolate: the failure is recorded';
COMMENT ON COLUMN apibase.subscriptions.rank IS 'Lower ones are called first';
COMMENT ON COLUMN apibase.subscriptions.problem IS 'Why it cannot be called; NULL if it can';
COMMENT ON TABLE apibase.event_failures IS 'Failures of subscribers that do not fail who emits';
COMMENT ON COLUMN apibase.event_failures.event_id IS 'The event';
COMMENT ON COLUMN apibase.event_failures.type IS 'Its type';
COMMENT ON COLUMN apibase.event_failures.subscriber IS 'The function that failed';
COMMENT ON COLUMN apibase.event_failures.problem IS 'Why, a problem document';
COMMENT ON COLUMN apibase.event_failures.failed_at IS 'When';
