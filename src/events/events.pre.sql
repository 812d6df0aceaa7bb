-- events: the outbox, and the order of commits.

-- The row type is the event. The names of the columns are those that Debezium's outbox event router reads.
CREATE TABLE apibase.outbox (
    batch bigint NOT NULL,
    ordinal integer NOT NULL,
    id uuid NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text,
    aggregateversion bigint,
    type text NOT NULL,
    source text NOT NULL,
    subject text,
    payload jsonb,
    "timestamp" timestamptz NOT NULL,
    correlationid text,
    causationid text,
    traceparent text,
    CONSTRAINT outbox_pkey PRIMARY KEY (batch, ordinal)
);

-- The batches of committed transactions, in the order of their commits.
CREATE TABLE apibase_internal.outbox_commit (
    position bigint CONSTRAINT outbox_commit_pkey PRIMARY KEY,
    batch bigint NOT NULL,
    committed_at timestamptz NOT NULL
);
CREATE SEQUENCE apibase_internal.outbox_position;
-- numbers of batches only need to be different, so a session draws some at a time
CREATE SEQUENCE apibase_internal.outbox_batch CACHE 32;

-- The collation is the one that the library searches with.
CREATE TABLE apibase_internal.outbox_consumer (
    name text COLLATE "C" CONSTRAINT outbox_consumer_pkey PRIMARY KEY
        CONSTRAINT outbox_consumer_name_has_1_to_255_characters CHECK (length(name) BETWEEN 1 AND 255),
    acknowledged bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE apibase.event_failures (
    event_id uuid NOT NULL,
    type text NOT NULL,
    subscriber text NOT NULL,
    problem jsonb NOT NULL,
    failed_at timestamptz NOT NULL
);

SELECT pg_catalog.pg_extension_config_dump('apibase.outbox', '');
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.outbox_commit', '');
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.outbox_position', '');
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.outbox_batch', '');
SELECT pg_catalog.pg_extension_config_dump('apibase_internal.outbox_consumer', '');
SELECT pg_catalog.pg_extension_config_dump('apibase.event_failures', '');
