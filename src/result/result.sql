-- result: functions

-- ---- results: result_sql.c

CREATE OR REPLACE FUNCTION apibase.ok() RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_ok'
    LANGUAGE C STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.ok(value "any") RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_ok'
    LANGUAGE C STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.err(problem jsonb) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_err'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.is_ok(result apibase.result) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_result_sql_is_ok'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.is_err(result apibase.result) RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_result_sql_is_err'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- It raises, so it is not to be tried out while a query is planned.

CREATE OR REPLACE FUNCTION apibase.unwrap(result apibase.result) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_unwrap'
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.unwrap_or(result apibase.result, default_value jsonb) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_unwrap_or'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.unwrap_err(result apibase.result) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_unwrap_err'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.result_to_jsonb(result apibase.result) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_to_jsonb'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- ---- problems: result_sql.c

-- The type that they give depends on a setting, so functions that make problems are stable.

CREATE OR REPLACE FUNCTION apibase.problem(
        status integer,
        detail text DEFAULT NULL,
        title text DEFAULT NULL,
        type text DEFAULT NULL,
        errors jsonb DEFAULT NULL,
        extensions jsonb DEFAULT '{}')
    RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_problem'
    LANGUAGE C STABLE PARALLEL SAFE;

-- It writes to the log, so it is not to be called more often than it is written.

CREATE OR REPLACE FUNCTION apibase.problem_from_error(
        sqlstate text,
        message text,
        detail text DEFAULT '',
        hint text DEFAULT '',
        schema_name text DEFAULT '',
        table_name text DEFAULT '',
        column_name text DEFAULT '',
        datatype_name text DEFAULT '',
        constraint_name text DEFAULT '')
    RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_result_sql_problem_from_error'
    LANGUAGE C VOLATILE PARALLEL SAFE;

-- One function for each kind of problem that raises it. Their errors are for clients: what they are told is in their arguments.

CREATE OR REPLACE FUNCTION apibase.raise_problem(problem jsonb) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_problem'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_validation(
        detail text DEFAULT 'the input is not valid',
        pointer text DEFAULT NULL,
        errors jsonb DEFAULT NULL)
    RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_validation'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_not_found(what text) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_not_found'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_not_found(what text, id "any") RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_not_found'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_conflict(detail text, pointer text DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_conflict'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_unauthorized(detail text DEFAULT 'authentication is required') RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_unauthorized'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_forbidden(detail text DEFAULT 'this is not allowed') RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_forbidden'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_precondition(detail text DEFAULT 'the precondition is not met') RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_precondition'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_timeout(detail text DEFAULT 'the time allowed for this is over') RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_timeout'
    LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.raise_unavailable(
        detail text DEFAULT 'the service is not available at present',
        retry_after interval DEFAULT NULL)
    RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_result_sql_raise_unavailable'
    LANGUAGE C VOLATILE PARALLEL SAFE;

-- ---- functions over results, pipelines: result_pipe.c

CREATE OR REPLACE FUNCTION apibase.result_map(result apibase.result, function regprocedure) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_result_map'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.result_bind(result apibase.result, function regprocedure) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_result_bind'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.result_map_err(result apibase.result, function regprocedure) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_result_map_err'
    LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION apibase.pipe(value "any", VARIADIC steps regprocedure[]) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_pipe'
    LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION apibase.pipe_all(value "any", VARIADIC steps regprocedure[]) RETURNS apibase.result
    AS 'MODULE_PATHNAME', 'apibase_result_sql_pipe_all'
    LANGUAGE C VOLATILE;
