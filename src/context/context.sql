-- context: functions. All read settings of the transaction, so they are stable, and safe in parallel workers, which
-- have the settings of their leader.

CREATE OR REPLACE FUNCTION apibase.request_id() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_id'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_method() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_method'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_path() RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_path'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_headers() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_context_sql_headers'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_header(name text) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_header'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_cookies() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_context_sql_cookies'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_cookie(name text) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_cookie'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_claims() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'apibase_context_sql_claims'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION apibase.request_claim(VARIADIC path text[]) RETURNS text
    AS 'MODULE_PATHNAME', 'apibase_context_sql_claim'
    LANGUAGE C STABLE STRICT PARALLEL SAFE;
