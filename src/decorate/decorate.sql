-- decorate: functions

-- The language that decorated functions are written in.

CREATE OR REPLACE FUNCTION apibase_internal.decorate_call() RETURNS language_handler
    AS 'MODULE_PATHNAME', 'apibase_decorate_call'
    LANGUAGE C;

CREATE OR REPLACE FUNCTION apibase_internal.decorate_validate(function oid) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_decorate_validate'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase_internal.decorate_ddl_start() RETURNS event_trigger
    AS 'MODULE_PATHNAME', 'apibase_decorate_ddl_start'
    LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION apibase_internal.decorate_ddl_end() RETURNS event_trigger
    AS 'MODULE_PATHNAME', 'apibase_decorate_ddl_end'
    LANGUAGE C VOLATILE;

-- Everybody may decorate functions that are theirs: it is checked in here.

CREATE OR REPLACE FUNCTION apibase_internal.decorate(function regprocedure, decorator text, options jsonb) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_decorate_add'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.undecorate(function regprocedure, which text DEFAULT NULL) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_decorate_remove'
    LANGUAGE C VOLATILE;

-- Decorators. Intervals become text in one style, which is read in any.

CREATE OR REPLACE FUNCTION apibase.cached(
        function regprocedure,
        ttl interval DEFAULT NULL,
        key text[] DEFAULT NULL,
        tags text[] DEFAULT '{}',
        scope text DEFAULT 'role',
        vary text[] DEFAULT '{}',
        track boolean DEFAULT true,
        negative_ttl interval DEFAULT NULL,
        stale_while_revalidate interval DEFAULT NULL,
        stale_on_error interval DEFAULT NULL,
        early double precision DEFAULT 0,
        jitter double precision DEFAULT NULL,
        wait_limit interval DEFAULT NULL)
    RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'cached', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'ttl', ttl, 'key', key, 'tags', tags, 'scope', scope, 'vary', vary, 'track', track, 'negative_ttl', negative_ttl,
        'stale_while_revalidate', stale_while_revalidate, 'stale_on_error', stale_on_error, 'early', early,
        'jitter', jitter, 'wait_limit', wait_limit)));
END;

CREATE OR REPLACE FUNCTION apibase.memoized(function regprocedure) RETURNS void
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'memoized', '{}');
END;

CREATE OR REPLACE FUNCTION apibase.retry(
        function regprocedure,
        max_attempts integer DEFAULT 3,
        backoff text DEFAULT 'exponential',
        delay interval DEFAULT '100 ms',
        max_delay interval DEFAULT '5 s',
        jitter double precision DEFAULT 0.1,
        sqlstates text[] DEFAULT '{40001,40P01,55P03}')
    RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'retry', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'max_attempts', max_attempts, 'backoff', backoff, 'delay', delay, 'max_delay', max_delay, 'jitter', jitter,
        'sqlstates', sqlstates)));
END;

CREATE OR REPLACE FUNCTION apibase.timeout(function regprocedure, duration interval) RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'timeout', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'duration', duration)));
END;

-- With this search_path functions are printed with their schema.

CREATE OR REPLACE FUNCTION apibase.circuit_breaker(
        function regprocedure,
        failure_threshold integer DEFAULT 5,
        recovery_time interval DEFAULT '30 s',
        success_threshold integer DEFAULT 1,
        fallback regprocedure DEFAULT NULL,
        sqlstates text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
    SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'circuit_breaker', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'failure_threshold', failure_threshold, 'recovery_time', recovery_time, 'success_threshold', success_threshold,
        'fallback', fallback::text, 'sqlstates', sqlstates)));
END;

CREATE OR REPLACE FUNCTION apibase.circuit_breaker_reset(function regprocedure) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_decorate_circuit_breaker_reset'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase_internal.circuit_breakers(
        OUT function regprocedure, OUT state text, OUT failures integer, OUT since timestamptz, OUT retry_at timestamptz,
        OUT opened bigint, OUT refused bigint)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_decorate_circuit_breakers'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase_internal.circuit_breaker_slots(OUT slots integer, OUT used integer, OUT dropped bigint)
    AS 'MODULE_PATHNAME', 'apibase_decorate_circuit_breaker_slots'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.bulkhead(
        function regprocedure,
        max_concurrent integer,
        name text DEFAULT NULL,
        max_wait interval DEFAULT '0')
    RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'bulkhead', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'max_concurrent', max_concurrent, 'name', name, 'max_wait', max_wait)));
END;

CREATE OR REPLACE FUNCTION apibase_internal.bulkheads(
        OUT name text, OUT max_concurrent integer, OUT running integer, OUT waiting integer, OUT entered bigint, OUT refused bigint)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_decorate_bulkheads'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase_internal.bulkhead_slots(OUT slots integer, OUT used integer, OUT dropped bigint)
    AS 'MODULE_PATHNAME', 'apibase_decorate_bulkhead_slots'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.logged(
        function regprocedure,
        level text DEFAULT 'log',
        arguments boolean DEFAULT true,
        result boolean DEFAULT false,
        mask text[] DEFAULT '{}',
        slower_than interval DEFAULT NULL,
        max_length integer DEFAULT 1000)
    RETURNS void
    LANGUAGE sql VOLATILE
    SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'logged', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'level', level, 'arguments', arguments, 'result', result, 'mask', mask, 'slower_than', slower_than,
        'max_length', max_length)));
END;

CREATE OR REPLACE FUNCTION apibase.validated(function regprocedure, specification apibase.spec) RETURNS void
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT apibase_internal.decorate(function, 'validated', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'specification', specification::text)));
END;
