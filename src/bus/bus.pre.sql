-- bus: the metadata of a dispatch, and the stored results of idempotent commands.

CREATE TYPE apibase.dispatch AS (
    id uuid, kind text, name text, depth integer, attempt integer, "time" timestamptz, correlation_id text, causation_id text,
    caller text, claims jsonb, traceparent text, deadline timestamptz, idempotency_key text);

-- ---- registration

-- The uses of middleware that comes with the extension: dumps have no labels of functions of extensions, but this.
CREATE TABLE apibase_internal.own_middleware (
    function text PRIMARY KEY,
    uses jsonb NOT NULL);
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.own_middleware', '');

-- ---- idempotency

-- The results of commands that had a key. A page is filled by half: each row grows once, by its result.
CREATE TABLE apibase_internal.idempotency (
    caller text NOT NULL,
    message text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ok boolean,
    value jsonb,
    error jsonb,
    PRIMARY KEY (caller, message, key)
) WITH (fillfactor = 50);
CREATE INDEX idempotency_expires_at ON apibase_internal.idempotency (expires_at);
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.idempotency', '');
