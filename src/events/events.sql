-- events: functions

-- ---- emit, outbox: events_emit.c, events_outbox.c

CREATE OR REPLACE FUNCTION apibase.emit(event anyelement, options jsonb DEFAULT '{}') RETURNS uuid
    AS 'MODULE_PATHNAME', 'apibase_events_sql_emit'
    LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

-- CloudEvents 1.0 in JSON
CREATE OR REPLACE FUNCTION apibase.outbox_to_jsonb(event apibase.outbox) RETURNS jsonb
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('specversion', '1.0', 'id', event.id, 'type', event.type, 'source', event.source,
            'subject', event.subject,
            'time', to_char(event."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'datacontenttype', 'application/json', 'aggregatetype', event.aggregatetype, 'aggregateid', event.aggregateid,
            'aggregateversion', event.aggregateversion, 'correlationid', event.correlationid, 'causationid', event.causationid,
            'traceparent', event.traceparent))
        || CASE WHEN event.payload IS NULL THEN '{}' ELSE jsonb_build_object('data', event.payload) END
$$;

CREATE OR REPLACE FUNCTION apibase.outbox_read(consumer text, max_events integer DEFAULT 100, OUT "position" bigint, OUT event apibase.outbox)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_events_sql_outbox_read'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 100;

CREATE OR REPLACE FUNCTION apibase_internal.outbox_check("position" bigint) RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_events_sql_outbox_check'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase_internal.outbox_horizon() RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_events_sql_outbox_horizon'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.outbox_ack(consumer text, upto bigint) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SECURITY DEFINER PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO apibase_internal.outbox_consumer AS c (name, acknowledged, updated_at)
    VALUES (consumer, apibase_internal.outbox_check(outbox_ack.upto), clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET acknowledged = greatest(c.acknowledged, excluded.acknowledged), updated_at = excluded.updated_at
    RETURNING acknowledged
$$;

CREATE OR REPLACE FUNCTION apibase.outbox_reset(consumer text, upto bigint DEFAULT 0) RETURNS void
    LANGUAGE sql VOLATILE STRICT SECURITY DEFINER PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO apibase_internal.outbox_consumer AS c (name, acknowledged, updated_at)
    VALUES (consumer, apibase_internal.outbox_check(outbox_reset.upto), clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET acknowledged = excluded.acknowledged, updated_at = excluded.updated_at
$$;

CREATE OR REPLACE FUNCTION apibase.outbox_drop_consumer(consumer text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT SECURITY DEFINER PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH dropped AS (DELETE FROM apibase_internal.outbox_consumer WHERE name = consumer RETURNING 1)
    SELECT EXISTS (SELECT FROM dropped)
$$;

-- In the order of commits, so that what is left has no holes. A commit goes when its last event has gone.
CREATE OR REPLACE FUNCTION apibase.outbox_prune(older_than interval DEFAULT '7 days', max_rows integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done bigint := (SELECT min(k.acknowledged) FROM apibase_internal.outbox_consumer k);
    commits bigint[];
    pruned bigint;
BEGIN
    IF max_rows < 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'max_rows must be at least 1';
    END IF;
    commits := ARRAY(
        SELECT c.position FROM apibase_internal.outbox_commit c
        WHERE c.position <= done >> 16 AND c.committed_at <= apibase_internal.clock_now() - older_than
        ORDER BY c.position LIMIT max_rows FOR UPDATE SKIP LOCKED);
    DELETE FROM apibase.outbox o
    USING (SELECT e.batch, e.ordinal FROM unnest(commits) p JOIN apibase_internal.outbox_commit c ON c.position = p
            JOIN apibase.outbox e ON e.batch = c.batch
            WHERE (c.position << 16) + e.ordinal <= done
            ORDER BY c.position, e.ordinal LIMIT max_rows) AS old
    WHERE o.batch = old.batch AND o.ordinal = old.ordinal;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    DELETE FROM apibase_internal.outbox_commit c
    WHERE c.position = ANY (commits) AND NOT EXISTS (SELECT FROM apibase.outbox o WHERE o.batch = c.batch);
    DELETE FROM apibase.event_failures f
    WHERE f.ctid = ANY (ARRAY(SELECT o.ctid FROM apibase.event_failures o
                              WHERE o.failed_at <= apibase_internal.clock_now() - older_than LIMIT max_rows));
    RETURN pruned;
END $$;

-- ---- recorded events: events_record.c

CREATE OR REPLACE FUNCTION apibase.record_event(aggregate_type text, aggregate_id text, event anyelement) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_events_sql_record'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.recorded_events(aggregate_type text, aggregate_id text) RETURNS SETOF jsonb
    AS 'MODULE_PATHNAME', 'apibase_events_sql_recorded'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;

CREATE OR REPLACE FUNCTION apibase.clear_recorded(aggregate_type text, aggregate_id text) RETURNS SETOF jsonb
    AS 'MODULE_PATHNAME', 'apibase_events_sql_clear_recorded'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;

CREATE OR REPLACE FUNCTION apibase.emit_recorded(aggregate_type text, aggregate_id text) RETURNS SETOF uuid
    AS 'MODULE_PATHNAME', 'apibase_events_sql_emit_recorded'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;

-- ---- subscriptions: events_register.c

CREATE OR REPLACE FUNCTION apibase.register_event(event regtype, aggregate_type text DEFAULT NULL, aggregate_id text DEFAULT NULL,
        aggregate_version text DEFAULT NULL, subject text DEFAULT NULL, type text DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_events_sql_register'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.unregister_event(event regtype) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_events_sql_unregister'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.subscribe(event regtype, handler regprocedure, filter apibase.spec DEFAULT NULL,
        on_failure text DEFAULT 'fail', rank integer DEFAULT 100) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_events_sql_subscribe'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.subscribe(pattern text, handler regprocedure, filter apibase.spec DEFAULT NULL,
        on_failure text DEFAULT 'fail', rank integer DEFAULT 100) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_events_sql_subscribe_pattern'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.unsubscribe(handler regprocedure, pattern text DEFAULT NULL) RETURNS integer
    AS 'MODULE_PATHNAME', 'apibase_events_sql_unsubscribe'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.unsubscribe(pattern text) RETURNS integer
    AS 'MODULE_PATHNAME', 'apibase_events_sql_unsubscribe_pattern'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase_internal.event_name(event oid) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_events_sql_name'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase_internal.subscription_problem(handler oid, by_pattern boolean) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_events_sql_subscription_problem'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;
