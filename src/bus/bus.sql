-- bus: functions

-- ---- registration: bus_register.c, bus_own.c, bus_views.c

CREATE OR REPLACE FUNCTION apibase.register_command(
        message regtype, handler regprocedure, idempotency text DEFAULT 'optional', idempotency_ttl interval DEFAULT '24 hours',
        timeout interval DEFAULT NULL)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_register_command';

CREATE OR REPLACE FUNCTION apibase.unregister_command(message regtype) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_unregister_command';

CREATE OR REPLACE FUNCTION apibase.register_query(
        message regtype, handler regprocedure, cache_ttl interval DEFAULT NULL, cache_key text[] DEFAULT NULL,
        tags text[] DEFAULT '{}', scope text DEFAULT 'role', timeout interval DEFAULT NULL)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_register_query';

CREATE OR REPLACE FUNCTION apibase.unregister_query(message regtype) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_unregister_query';

CREATE OR REPLACE FUNCTION apibase.use_middleware(
        middleware regprocedure, phase text, messages text DEFAULT '*', kinds text[] DEFAULT '{command,query}',
        rank integer DEFAULT 100, config jsonb DEFAULT '{}', name text DEFAULT NULL)
    RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_use_middleware';

CREATE OR REPLACE FUNCTION apibase.drop_middleware(middleware regprocedure, name text DEFAULT NULL) RETURNS integer
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_drop_middleware';

CREATE OR REPLACE FUNCTION apibase_internal.own_middleware_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_own_middleware_changed';

CREATE OR REPLACE FUNCTION apibase_internal.bus_registrations(
        OUT kind text, OUT message regtype, OUT handler regprocedure, OUT timeout interval, OUT idempotency text,
        OUT idempotency_ttl interval, OUT cache_ttl interval, OUT cache_key text[], OUT tags text[], OUT scope text,
        OUT problem text)
    RETURNS SETOF record
    LANGUAGE c ROWS 50 AS 'MODULE_PATHNAME', 'apibase_bus_sql_registrations';

CREATE OR REPLACE FUNCTION apibase_internal.bus_middleware(
        OUT name text, OUT middleware regprocedure, OUT phase text, OUT messages text, OUT kinds text[], OUT rank integer,
        OUT config jsonb, OUT problem text)
    RETURNS SETOF record
    LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'apibase_bus_sql_middleware';

-- ---- dispatch: bus_frame.c, bus_dispatch.c, bus_query.c, bus_procedure.c

-- commands: bus_dispatch.c

CREATE OR REPLACE FUNCTION apibase.command(command anyelement, options jsonb DEFAULT '{}') RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_command';

CREATE OR REPLACE FUNCTION apibase.command(name text, payload jsonb, options jsonb DEFAULT '{}') RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_command_by_name';

CREATE OR REPLACE FUNCTION apibase.dispatch_next() RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_next';

-- metadata: bus_frame.c

CREATE OR REPLACE FUNCTION apibase.current_dispatch() RETURNS apibase.dispatch
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_bus_sql_current_dispatch';

CREATE OR REPLACE FUNCTION apibase.correlation_id() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_bus_sql_correlation_id';

CREATE OR REPLACE FUNCTION apibase.causation_id() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_bus_sql_causation_id';

CREATE OR REPLACE FUNCTION apibase.deadline() RETURNS timestamptz
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_bus_sql_deadline';

-- procedures: bus_procedure.c

CREATE OR REPLACE PROCEDURE apibase.dispatch_command(
        command anyelement, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_command';

CREATE OR REPLACE PROCEDURE apibase.dispatch_command(
        name text, payload jsonb, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_command_by_name';

CREATE OR REPLACE PROCEDURE apibase.dispatch_command(
        name text, payload text, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_command_by_text';

CREATE OR REPLACE PROCEDURE apibase.dispatch_query(
        query anyelement, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_query';

CREATE OR REPLACE PROCEDURE apibase.dispatch_query(
        name text, payload jsonb, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_query_by_name';

CREATE OR REPLACE PROCEDURE apibase.dispatch_query(
        name text, payload text, INOUT result apibase.result DEFAULT NULL, options jsonb DEFAULT '{}')
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_dispatch_query_by_text';

-- queries: bus_query.c

CREATE OR REPLACE FUNCTION apibase.query(query anyelement, options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_query';

CREATE OR REPLACE FUNCTION apibase.query(name text, payload jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_query_by_name';

CREATE OR REPLACE FUNCTION apibase.query_result(query anyelement, options jsonb DEFAULT '{}') RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_query_result';

CREATE OR REPLACE FUNCTION apibase.query_result(name text, payload jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
    RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_query_result_by_name';

-- ---- middleware that comes with the extension: bus_middleware.c

CREATE OR REPLACE FUNCTION apibase.middleware_validation(dispatch apibase.dispatch, payload jsonb, config jsonb) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_middleware_validation';

CREATE OR REPLACE FUNCTION apibase.middleware_authorization(dispatch apibase.dispatch, payload jsonb, config jsonb) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_middleware_authorization';

CREATE OR REPLACE FUNCTION apibase.middleware_logging(dispatch apibase.dispatch, payload jsonb, config jsonb)
    RETURNS apibase.result
    LANGUAGE c AS 'MODULE_PATHNAME', 'apibase_bus_sql_middleware_logging';

-- ---- counters: bus_stats.c

CREATE OR REPLACE FUNCTION apibase_internal.bus_stats(
        OUT kind text, OUT name text, OUT dispatches bigint, OUT errors bigint, OUT replayed bigint, OUT cached bigint,
        OUT seconds double precision)
    RETURNS SETOF record
    LANGUAGE c PARALLEL RESTRICTED ROWS 50 AS 'MODULE_PATHNAME', 'apibase_bus_sql_stats';

CREATE OR REPLACE FUNCTION apibase.bus_reset_stats() RETURNS void
    LANGUAGE c PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'apibase_bus_sql_reset_stats';

-- ---- idempotency: bus_idempotency.c

CREATE OR REPLACE FUNCTION apibase.idempotency_prune(max_rows integer DEFAULT 1000) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'apibase_bus_sql_idempotency_prune';
