-- core: functions

CREATE OR REPLACE FUNCTION apibase.version() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_core_version'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.preloaded() RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_core_preloaded'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase_internal.errors(
        OUT sqlstate text, OUT name text, OUT http_status integer, OUT description text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'apibase_core_errors'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;

CREATE OR REPLACE FUNCTION apibase_internal.clock_now() RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'apibase_core_clock_now'
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase_internal.clock_set("offset" interval) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_core_clock_set'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED;
