-- cache: functions

-- get

CREATE OR REPLACE FUNCTION apibase.cache_get(key text) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_get'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.cache_get_many(keys text[], OUT key text, OUT value jsonb) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_get_many'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;

CREATE OR REPLACE FUNCTION apibase.cache_exists(key text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_exists'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.cache_ttl(key text) RETURNS interval
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_ttl'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

-- set

CREATE OR REPLACE FUNCTION apibase.cache_set(key text, value jsonb, ttl interval DEFAULT NULL, tags text[] DEFAULT '{}')
    RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_set'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.cache_add(key text, value jsonb, ttl interval DEFAULT NULL) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_add'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.cache_increment(key text, by bigint DEFAULT 1, ttl interval DEFAULT NULL) RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_increment'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE OR REPLACE FUNCTION apibase.cache_touch(key text, ttl interval DEFAULT NULL) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_touch'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;

-- get, or compute

CREATE OR REPLACE FUNCTION apibase.cache_fetch(
        key text, query text, ttl interval DEFAULT NULL, tags text[] DEFAULT '{}',
        stale_while_revalidate interval DEFAULT NULL, stale_on_error interval DEFAULT NULL,
        early double precision DEFAULT 0, jitter double precision DEFAULT NULL,
        negative_ttl interval DEFAULT NULL, wait_limit interval DEFAULT NULL)
    RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_cache_fetch'
    LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

CREATE OR REPLACE FUNCTION apibase_internal.cache_flights(
        OUT database oid, OUT key text, OUT pid integer, OUT waiters integer, OUT since timestamptz) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_cache_flights'
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;

-- at commit

CREATE OR REPLACE FUNCTION apibase.cache_delete(key text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_delete'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.cache_clear(pattern text DEFAULT '*') RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_clear'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE OR REPLACE FUNCTION apibase.cache_invalidate(VARIADIC tags text[]) RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_cache_sql_invalidate'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

-- namespaces

CREATE OR REPLACE FUNCTION apibase_internal.cache_namespaces_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_cache_namespaces_changed';

-- what is NULL stays as it is
CREATE OR REPLACE FUNCTION apibase.cache_configure(namespace text, ttl interval DEFAULT NULL, max_entries bigint DEFAULT NULL,
        max_bytes bigint DEFAULT NULL, levels integer[] DEFAULT NULL, key_prefix text DEFAULT NULL,
        jitter double precision DEFAULT NULL) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO apibase.cache_namespaces AS n (namespace, ttl, max_entries, max_bytes, levels, key_prefix, jitter)
    VALUES ($1, $2, $3, $4, coalesce($5, '{1,2}'), $6, $7)
    ON CONFLICT (namespace) DO UPDATE SET
        ttl = coalesce(excluded.ttl, n.ttl),
        max_entries = coalesce(excluded.max_entries, n.max_entries),
        max_bytes = coalesce(excluded.max_bytes, n.max_bytes),
        levels = coalesce($5, n.levels),
        key_prefix = coalesce(excluded.key_prefix, n.key_prefix),
        jitter = coalesce(excluded.jitter, n.jitter);
END;

CREATE OR REPLACE FUNCTION apibase.cache_unconfigure(namespace text) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH gone AS (DELETE FROM apibase.cache_namespaces n WHERE n.namespace = $1 RETURNING n.namespace)
    SELECT EXISTS (SELECT FROM gone);
END;


-- views

CREATE OR REPLACE FUNCTION apibase_internal.cache_entries(OUT key text, OUT namespace text, OUT kind text, OUT bytes bigint,
        OUT value_bytes bigint, OUT tags text[], OUT created_at timestamptz, OUT expires_at timestamptz,
        OUT stale_until timestamptz, OUT hits bigint, OUT valid boolean, OUT stamp bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10000 AS 'MODULE_PATHNAME', 'apibase_cache_entries';

CREATE OR REPLACE FUNCTION apibase_internal.cache_stats(OUT namespace text, OUT level text, OUT hits bigint, OUT misses bigint,
        OUT sets bigint, OUT deletes bigint, OUT invalidations bigint, OUT evictions bigint, OUT expirations bigint,
        OUT errors bigint, OUT waits bigint, OUT entries bigint, OUT bytes bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'apibase_cache_stats';

CREATE OR REPLACE FUNCTION apibase_internal.cache_memory(OUT entries bigint, OUT max_entries bigint, OUT bytes bigint,
        OUT max_bytes bigint, OUT namespaces integer, OUT max_namespaces integer) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'apibase_cache_memory';

CREATE OR REPLACE FUNCTION apibase.cache_reset_stats() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_cache_reset_stats';

CREATE OR REPLACE FUNCTION apibase_internal.cache_verify() RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_cache_verify';


-- watching tables

CREATE OR REPLACE FUNCTION apibase.cache_watch_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_cache_watch_trigger';

CREATE OR REPLACE FUNCTION apibase.cache_invalidate_relation(relation regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'apibase_cache_invalidate_relation';

CREATE OR REPLACE FUNCTION apibase_internal.cache_ddl_end() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_cache_ddl_end';

-- Makes the triggers on a table, on its partitions and on what inherits from it, where they are not there yet. What was
-- computed before there were triggers is invalidated: somebody may have written since.
--
-- The one for replicated rows is made only where a subscription writes the table or one of its family: a trigger for each
-- row makes every write dearer, also where it does not fire. Calling this again after a subscription has got the table makes
-- it, or takes it away when there is no subscription any more. It has the table's OID in its name because partitions get
-- copies of it.
CREATE OR REPLACE FUNCTION apibase.cache_watch(relation regclass, rows boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class pg_class;
    watch_function CONSTANT oid := 'apibase.cache_watch_trigger()'::regprocedure;
    wanted text[];      -- name, event and transition tables of each trigger for statements
    present text[];     -- names
    replicated boolean; -- whether a subscription writes one of the family
    outdated name;
BEGIN
    SELECT * INTO class FROM pg_class c WHERE c.oid = relation;
    IF NOT FOUND THEN
        RAISE 'the relation to watch does not exist' USING ERRCODE = 'undefined_table';
    ELSIF class.relkind NOT IN ('r', 'p', 'f') THEN
        RAISE 'cannot watch %', pg_describe_object('pg_class'::regclass, relation, 0)
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Only tables can be watched.',
                HINT = CASE WHEN class.relkind IN ('v', 'm') THEN 'Watch the tables that it reads.' ELSE 'Sequences and the like cannot be watched.' END;
    ELSIF class.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) THEN
        RAISE 'cannot watch the system catalog %', relation USING ERRCODE = 'insufficient_privilege';
    ELSIF class.relpersistence = 't' THEN
        RAISE 'cannot watch the temporary table %', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = 'What is computed from a temporary table is never shared.';
    ELSIF rows AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisprimary) THEN
        RAISE 'cannot watch the rows of %: it has no primary key', relation
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Watch the table as a whole, without rows => true.';
    END IF;

    replicated := EXISTS (
        WITH RECURSIVE above(relid) AS (
            SELECT relation::oid
            UNION
            SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.relid),
        below(relid) AS (
            SELECT relation::oid
            UNION
            SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.relid)
        SELECT FROM pg_subscription_rel s WHERE s.srrelid IN (SELECT relid FROM above UNION ALL SELECT relid FROM below));

    FOR class IN
        WITH RECURSIVE family(relid) AS (
            SELECT relation::oid
            UNION
            SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.relid)
        SELECT c.* FROM family f JOIN pg_class c ON c.oid = f.relid
        WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
        ORDER BY c.oid <> relation, c.oid
    LOOP
        -- foreign tables have neither transition tables nor, before PostgreSQL 16, triggers for TRUNCATE
        wanted := CASE
            WHEN class.relkind = 'f' THEN
                ARRAY[['apibase_cache_watch', 'INSERT OR UPDATE OR DELETE', '']]
            WHEN rows THEN
                ARRAY[['apibase_cache_watch_delete', 'DELETE', 'REFERENCING OLD TABLE AS old_rows'],
                      ['apibase_cache_watch_insert', 'INSERT', 'REFERENCING NEW TABLE AS new_rows'],
                      ['apibase_cache_watch_truncate', 'TRUNCATE', ''],
                      ['apibase_cache_watch_update', 'UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows']]
            ELSE
                ARRAY[['apibase_cache_watch', 'INSERT OR UPDATE OR DELETE OR TRUNCATE', '']]
            END;
        present := ARRAY(SELECT t.tgname::text FROM pg_trigger t
                         WHERE t.tgrelid = class.oid AND t.tgfoid = watch_function AND t.tgtype & 1 = 0 ORDER BY t.tgname);
        IF present <> ARRAY(SELECT unnest(wanted[:][1:1]))
            OR EXISTS (SELECT FROM pg_trigger t
                       WHERE t.tgrelid = class.oid AND t.tgname = ANY (present) AND t.tgenabled <> 'A')
        THEN
            FOR i IN 1 .. cardinality(present) LOOP
                EXECUTE format('DROP TRIGGER %I ON %s', present[i], class.oid::regclass);
            END LOOP;
            FOR i IN 1 .. array_length(wanted, 1) LOOP
                EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT '
                               'EXECUTE FUNCTION apibase.cache_watch_trigger()',
                               wanted[i][1], wanted[i][2], class.oid::regclass, wanted[i][3]);
                EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', class.oid::regclass, wanted[i][1]);
            END LOOP;
            PERFORM apibase.cache_invalidate_relation(class.oid);
        END IF;

        FOR outdated IN
            SELECT t.tgname FROM pg_trigger t
            WHERE t.tgrelid = class.oid AND t.tgfoid = watch_function AND t.tgtype & 1 = 1 AND t.tgparentid = 0
                AND NOT (replicated AND t.tgenabled = 'R' AND t.tgnargs = CASE WHEN rows THEN 1 ELSE 0 END)
        LOOP
            EXECUTE format('DROP TRIGGER %I ON %s', outdated, class.oid::regclass);
        END LOOP;
        -- partitions get copies; to a foreign table nothing is replicated
        IF replicated AND class.relkind <> 'f' AND (class.oid = relation OR NOT class.relispartition)
            AND NOT EXISTS (SELECT FROM pg_trigger t
                            WHERE t.tgrelid = class.oid AND t.tgfoid = watch_function AND t.tgtype & 1 = 1
                                AND t.tgenabled = 'R' AND t.tgnargs = CASE WHEN rows THEN 1 ELSE 0 END)
        THEN
            EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW '
                           'EXECUTE FUNCTION apibase.cache_watch_trigger(%s)',
                           'apibase_cache_watch_replicated_' || class.oid, class.oid::regclass,
                           CASE WHEN rows THEN quote_literal('rows') END);
            EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', class.oid::regclass,
                           'apibase_cache_watch_replicated_' || class.oid);
            PERFORM apibase.cache_invalidate_relation(class.oid);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION apibase.cache_unwatch(relation regclass) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trigger pg_trigger;
    watched boolean := false;
BEGIN
    FOR trigger IN
        WITH RECURSIVE family(relid) AS (
            SELECT relation::oid
            UNION
            SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.relid)
        SELECT t.* FROM family f JOIN pg_trigger t ON t.tgrelid = f.relid
        WHERE t.tgfoid = 'apibase.cache_watch_trigger()'::regprocedure AND t.tgparentid = 0
        ORDER BY t.tgrelid, t.tgname
    LOOP
        watched := watched OR trigger.tgrelid = relation;
        EXECUTE format('DROP TRIGGER %I ON %s', trigger.tgname, trigger.tgrelid::regclass);
        PERFORM apibase.cache_invalidate_relation(trigger.tgrelid);
    END LOOP;
    RETURN watched;
END
$$;

-- level 2

CREATE OR REPLACE FUNCTION apibase_internal.cache_redis(
        OUT url text, OUT breaker text, OUT since timestamptz, OUT failures bigint, OUT failures_in_a_row bigint,
        OUT commands bigint, OUT connections bigint, OUT skipped bigint, OUT last_failure timestamptz, OUT last_error text)
    AS 'MODULE_PATHNAME', 'apibase_cache_redis_view'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase_internal.cache_redis_worker(
        OUT pid integer, OUT state text, OUT epoch text, OUT waiting_bytes bigint, OUT queued bigint, OUT sent bigint,
        OUT overflows bigint, OUT epochs bigint, OUT tracked bigint, OUT drops bigint, OUT connects bigint)
    AS 'MODULE_PATHNAME', 'apibase_cache_redis_worker_view'
    LANGUAGE C VOLATILE PARALLEL SAFE;
