-- apibase 0.0.1, as it was: core and context without cookies. Frozen; later versions come by the deltas beside this file.
\echo Use "CREATE EXTENSION apibase VERSION '0.0.1'" to load this file. \quit

-- core: the schemas. apibase is what users call; apibase_internal is not theirs.

GRANT USAGE ON SCHEMA apibase TO PUBLIC;
COMMENT ON SCHEMA apibase IS 'apibase: an API backend inside the database';

CREATE SCHEMA apibase_internal;
COMMENT ON SCHEMA apibase_internal IS 'Inner parts of apibase, not for use by applications';

-- core: functions

CREATE FUNCTION apibase.version() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_core_version'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.preloaded() RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_core_preloaded'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase_internal.errors(
        OUT sqlstate text, OUT name text, OUT http_status integer, OUT description text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_core_errors'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;

CREATE FUNCTION apibase_internal.clock_now() RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'apibase_core_clock_now'
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase_internal.clock_set("offset" interval) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_core_clock_set'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;

-- context: functions. All read settings of the transaction, so they are stable, and safe in parallel workers, which
-- have the settings of their leader.

CREATE FUNCTION apibase.request_id() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_id'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_method() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_method'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_path() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_path'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_headers() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_context_sql_headers'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_header(name text) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_header'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_claims() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_context_sql_claims'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION apibase.request_claim(VARIADIC path text[]) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_claim'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

-- core: views, privileges, comments

CREATE VIEW apibase.errors AS
    SELECT e.sqlstate, e.name, e.http_status, e.description
    FROM apibase_internal.errors() e;
GRANT SELECT ON apibase.errors TO PUBLIC;

-- errors() stays executable: a view checks the functions in it with the rights of its reader
REVOKE ALL ON FUNCTION apibase_internal.clock_now() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.clock_set(interval) FROM PUBLIC;

COMMENT ON FUNCTION apibase.version() IS 'Version of the library that this session has loaded';
COMMENT ON FUNCTION apibase.preloaded() IS
    'Whether apibase is in shared_preload_libraries, so that what needs shared memory works';
COMMENT ON FUNCTION apibase_internal.errors() IS 'The registry of SQLSTATEs, for the view apibase.errors';
COMMENT ON FUNCTION apibase_internal.clock_now() IS 'The clock that deadlines and times to live are measured with';
COMMENT ON FUNCTION apibase_internal.clock_set(interval) IS
    'For tests, superusers only: set how far that clock is ahead of the system''s, in the whole server';
COMMENT ON VIEW apibase.errors IS 'SQLSTATEs that apibase raises beside the standard ones, with the HTTP status to answer with';
COMMENT ON COLUMN apibase.errors.sqlstate IS 'Code, of class PB';
COMMENT ON COLUMN apibase.errors.name IS 'Name of the condition';
COMMENT ON COLUMN apibase.errors.http_status IS 'HTTP status that an HTTP layer should answer with';
COMMENT ON COLUMN apibase.errors.description IS 'When it is raised';

-- context: comments. Everybody may read what the request says about itself.

COMMENT ON FUNCTION apibase.request_id() IS
    'Id of the request: from a header, or the trace id of traceparent, or one for the transaction';
COMMENT ON FUNCTION apibase.request_method() IS 'Method of the request, such as GET; null outside of a request';
COMMENT ON FUNCTION apibase.request_path() IS 'Path of the request, without its query string; null outside of a request';
COMMENT ON FUNCTION apibase.request_headers() IS 'All headers of the request as a JSON object; null outside of a request';
COMMENT ON FUNCTION apibase.request_header(text) IS 'A header of the request, its name in any case; null when it is absent';
COMMENT ON FUNCTION apibase.request_claims() IS 'All claims of the request''s token as a JSON object; null outside of a request';
COMMENT ON FUNCTION apibase.request_claim(text[]) IS
    'A claim of the request''s token, or what is inside of one, as text; null when it is absent';
