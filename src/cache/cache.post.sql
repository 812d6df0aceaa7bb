-- cache: privileges, comments

-- What an extension that was dropped, or another database with this one's number, had in the cache is over.
SELECT apibase.cache_clear();

-- Values in the cache are everybody's who may get them, so nobody may unless it was granted.
REVOKE ALL ON FUNCTION apibase.cache_get(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_get_many(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_exists(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_ttl(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_set(text, jsonb, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_add(text, jsonb, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_increment(text, bigint, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_touch(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_delete(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_clear(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_invalidate(text[]) FROM PUBLIC;

COMMENT ON FUNCTION apibase.cache_get(text) IS 'The value of a key; NULL if there is none';
COMMENT ON FUNCTION apibase.cache_get_many(text[]) IS 'The values of those keys that have one';
COMMENT ON FUNCTION apibase.cache_exists(text) IS 'Whether a key has a value in shared memory; does not count as a use of it';
COMMENT ON FUNCTION apibase.cache_ttl(text) IS 'How long a value will live; NULL if there is none or it lives for ever';
COMMENT ON FUNCTION apibase.cache_set(text, jsonb, interval, text[]) IS
    'Give a key a value; in a transaction that has written, at its commit. True unless it cannot be kept';
COMMENT ON FUNCTION apibase.cache_add(text, jsonb, interval) IS 'Give a key a value, at once, if it has none; whether it was given';
COMMENT ON FUNCTION apibase.cache_increment(text, bigint, interval) IS 'Add to the integer that a key has, or to 0, at once; the sum';
COMMENT ON FUNCTION apibase.cache_touch(text, interval) IS 'Let a value live for the given time from now on; whether there is one';
COMMENT ON FUNCTION apibase.cache_delete(text) IS 'Delete a value at commit; whether there is one now';
COMMENT ON FUNCTION apibase.cache_clear(text) IS 'Delete all values whose keys match the pattern, at commit; how many there are now';
COMMENT ON FUNCTION apibase.cache_invalidate(text[]) IS
    'Invalidate all values that depend on one of the tags, at commit; how many there are now';

REVOKE ALL ON FUNCTION apibase.cache_fetch(
    text, text, interval, text[], interval, interval, double precision, double precision, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION apibase.cache_fetch(
    text, text, interval, text[], interval, interval, double precision, double precision, interval, interval) IS
    'The value of a key, or else the one value that a query returns, which is kept until a table that it reads changes';

CREATE VIEW apibase.cache_flights AS
    SELECT d.datname AS database, f.key, f.pid, f.waiters, f.since
    FROM apibase_internal.cache_flights() f LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) f.database;
REVOKE ALL ON FUNCTION apibase_internal.cache_flights() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_flights() TO pg_monitor;
GRANT SELECT ON apibase.cache_flights TO pg_monitor;
COMMENT ON FUNCTION apibase_internal.cache_flights() IS 'The rows of the view apibase.cache_flights';
COMMENT ON VIEW apibase.cache_flights IS 'Values that are being computed now, and how many sessions wait for each';
COMMENT ON COLUMN apibase.cache_flights.database IS 'Of the session that computes';
COMMENT ON COLUMN apibase.cache_flights.key IS 'At most its first 128 bytes; NULL for another database';
COMMENT ON COLUMN apibase.cache_flights.pid IS 'Who computes';
COMMENT ON COLUMN apibase.cache_flights.waiters IS 'How many sessions wait for it';
COMMENT ON COLUMN apibase.cache_flights.since IS 'Since when it is being computed';

-- namespaces

CREATE TRIGGER cache_namespaces_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON apibase.cache_namespaces
    FOR EACH STATEMENT EXECUTE FUNCTION apibase_internal.cache_namespaces_changed();
ALTER TABLE apibase.cache_namespaces ENABLE ALWAYS TRIGGER cache_namespaces_changed;
-- fires the trigger: what an extension that was dropped had configured is forgotten
DELETE FROM apibase.cache_namespaces;

REVOKE ALL ON FUNCTION apibase_internal.cache_namespaces_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_configure(text, interval, bigint, bigint, integer[], text, double precision) FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_unconfigure(text) FROM PUBLIC;

COMMENT ON TABLE apibase.cache_namespaces IS 'Configuration of the namespaces of the cache; a change takes effect at commit';
COMMENT ON COLUMN apibase.cache_namespaces.namespace IS 'The part of its keys before the first colon; empty: keys without one';
COMMENT ON COLUMN apibase.cache_namespaces.ttl IS
    'Time to live where a call gives none; NULL: apibase.cache_default_ttl; from 100 years on: for ever';
COMMENT ON COLUMN apibase.cache_namespaces.max_entries IS 'How many entries it may have in shared memory; NULL: no bound of its own';
COMMENT ON COLUMN apibase.cache_namespaces.max_bytes IS 'How many bytes of shared memory it may use; NULL: no bound of its own';
COMMENT ON COLUMN apibase.cache_namespaces.levels IS 'Levels that it uses, of 1 (shared memory) and 2 (Redis); NULL: both';
COMMENT ON COLUMN apibase.cache_namespaces.key_prefix IS 'Begin of its keys in Redis, after apibase.redis_key_prefix';
COMMENT ON COLUMN apibase.cache_namespaces.jitter IS
    'By which random part of itself, at most, a time to live is shortened, from 0 to 1; NULL: 0';
COMMENT ON FUNCTION apibase_internal.cache_namespaces_changed() IS 'Trigger of the table cache_namespaces';
COMMENT ON FUNCTION apibase.cache_configure(text, interval, bigint, bigint, integer[], text, double precision) IS
    'Configures a namespace of the cache; what is NULL stays as it is';
COMMENT ON FUNCTION apibase.cache_unconfigure(text) IS 'Takes the configuration of a namespace away; whether it had one';


-- views

CREATE VIEW apibase.cache_entries AS
    SELECT e.key, e.namespace, e.kind, e.bytes, e.value_bytes, e.tags, e.created_at, e.expires_at, e.stale_until, e.hits,
        e.valid, row_number() OVER (ORDER BY e.stamp DESC) AS last_used_rank
    FROM apibase_internal.cache_entries() e;

CREATE VIEW apibase.cache_stats AS
    SELECT s.namespace, s.level, s.hits, s.misses,
        CASE WHEN s.hits + s.misses > 0 THEN s.hits::double precision / (s.hits + s.misses) END AS hit_ratio,
        s.sets, s.deletes, s.invalidations, s.evictions, s.expirations, s.errors, s.waits, s.entries, s.bytes
    FROM apibase_internal.cache_stats() s;

CREATE VIEW apibase.cache_memory AS
    SELECT m.entries, m.max_entries, m.bytes, m.max_bytes, m.namespaces, m.max_namespaces
    FROM apibase_internal.cache_memory() m;

-- keys are of everybody: for who monitors; the functions too, as a view checks them with the rights of its reader
REVOKE ALL ON FUNCTION apibase_internal.cache_entries() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.cache_stats() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.cache_memory() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase.cache_reset_stats() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.cache_verify() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_entries() TO pg_monitor;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_stats() TO pg_monitor;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_memory() TO pg_monitor;
GRANT SELECT ON apibase.cache_entries, apibase.cache_stats, apibase.cache_memory, apibase.cache_namespaces TO pg_monitor;

COMMENT ON FUNCTION apibase_internal.cache_entries() IS 'The entries of the view cache_entries';
COMMENT ON FUNCTION apibase_internal.cache_stats() IS 'The counters of the view cache_stats';
COMMENT ON FUNCTION apibase_internal.cache_memory() IS 'The row of the view cache_memory';
COMMENT ON FUNCTION apibase.cache_reset_stats() IS
    'Sets the counters of the view cache_stats to zero, also those of the namespaces without a number';
COMMENT ON FUNCTION apibase_internal.cache_verify() IS
    'Checks all structures of the cache in shared memory; a row for each fault, none if it is sound';
COMMENT ON VIEW apibase.cache_entries IS 'Entries of this database in shared memory';
COMMENT ON COLUMN apibase.cache_entries.key IS 'Key';
COMMENT ON COLUMN apibase.cache_entries.namespace IS 'Part of the key before the first colon; NULL if that has no number';
COMMENT ON COLUMN apibase.cache_entries.kind IS 'What the value is: jsonb, binary (of a module), or nothing: it is known that there is no value';
COMMENT ON COLUMN apibase.cache_entries.bytes IS 'Bytes of shared memory that the entry takes';
COMMENT ON COLUMN apibase.cache_entries.value_bytes IS 'Bytes of the value';
COMMENT ON COLUMN apibase.cache_entries.tags IS 'Tags, each of which invalidates the entry';
COMMENT ON COLUMN apibase.cache_entries.created_at IS 'When the value was computed';
COMMENT ON COLUMN apibase.cache_entries.expires_at IS 'When its time to live ends; NULL: never';
COMMENT ON COLUMN apibase.cache_entries.stale_until IS 'Until when it may be served to who takes expired values; NULL: not at all';
COMMENT ON COLUMN apibase.cache_entries.hits IS 'How often it was found';
COMMENT ON COLUMN apibase.cache_entries.valid IS 'Whether it has neither expired nor been invalidated';
COMMENT ON COLUMN apibase.cache_entries.last_used_rank IS '1 for the entry of this database that was used last';
COMMENT ON VIEW apibase.cache_stats IS
    'Counters of the namespaces of this database since the server''s start or the last reset, for each level';
COMMENT ON COLUMN apibase.cache_stats.namespace IS
    'Namespace; NULL: all, of any database, for which apibase.cache_max_namespaces left no number';
COMMENT ON COLUMN apibase.cache_stats.level IS 'The level: l1 is shared memory, l2 is Redis';
COMMENT ON COLUMN apibase.cache_stats.hits IS 'Gets that found a value';
COMMENT ON COLUMN apibase.cache_stats.misses IS 'Gets that found none';
COMMENT ON COLUMN apibase.cache_stats.hit_ratio IS 'Part of the gets that found a value; NULL before the first';
COMMENT ON COLUMN apibase.cache_stats.sets IS 'Values stored';
COMMENT ON COLUMN apibase.cache_stats.deletes IS 'Entries deleted by their key';
COMMENT ON COLUMN apibase.cache_stats.invalidations IS 'Entries found invalidated, and values refused because of an invalidation';
COMMENT ON COLUMN apibase.cache_stats.evictions IS 'Entries that made room for others';
COMMENT ON COLUMN apibase.cache_stats.expirations IS 'Entries found expired';
COMMENT ON COLUMN apibase.cache_stats.errors IS 'Operations that failed';
COMMENT ON COLUMN apibase.cache_stats.waits IS 'Waits for another session that computed the value';
COMMENT ON COLUMN apibase.cache_stats.entries IS 'Entries there are; NULL for l2';
COMMENT ON COLUMN apibase.cache_stats.bytes IS 'Bytes of shared memory that they take; NULL for l2';
COMMENT ON VIEW apibase.cache_memory IS 'Shared memory of the cache, of all databases together';
COMMENT ON COLUMN apibase.cache_memory.entries IS 'Entries there are';
COMMENT ON COLUMN apibase.cache_memory.max_entries IS 'Entries there can be: apibase.cache_max_entries';
COMMENT ON COLUMN apibase.cache_memory.bytes IS 'Bytes in use for keys, tags and values';
COMMENT ON COLUMN apibase.cache_memory.max_bytes IS 'Bytes there are: apibase.cache_size';
COMMENT ON COLUMN apibase.cache_memory.namespaces IS 'Namespaces that have a number';
COMMENT ON COLUMN apibase.cache_memory.max_namespaces IS 'Namespaces that can have one; the last quarter is for configured ones';


-- watching tables

CREATE VIEW apibase.cache_watched AS
    SELECT t.tgrelid::regclass AS relation, bool_or(t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL) AS rows
    FROM pg_catalog.pg_trigger t
    WHERE t.tgfoid = 'apibase.cache_watch_trigger()'::regprocedure AND t.tgtype & 1 = 0
    GROUP BY t.tgrelid
    HAVING bool_and(t.tgenabled = 'A');     -- as in cache_track.c: those that do not always fire are made again by cache_watch
GRANT SELECT ON apibase.cache_watched TO PUBLIC;

-- what is dropped a hook sees (cache_watch.c)
CREATE EVENT TRIGGER apibase_cache_ddl_end ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE', 'ALTER POLICY', 'ALTER RULE', 'ALTER SCHEMA',
                 'CREATE TABLE', 'CREATE VIEW', 'CREATE FOREIGN TABLE', 'CREATE POLICY', 'CREATE RULE', 'CREATE SCHEMA',
                 'REFRESH MATERIALIZED VIEW')
    EXECUTE FUNCTION apibase_internal.cache_ddl_end();
ALTER EVENT TRIGGER apibase_cache_ddl_end ENABLE ALWAYS;

-- these need no privilege of their own: they do what the table's owner may do, and what who writes it does
COMMENT ON FUNCTION apibase.cache_watch_trigger() IS
    'Trigger of watched tables: invalidates their tags; in those of rows dates and the like are in ISO format, in UTC';
COMMENT ON FUNCTION apibase.cache_invalidate_relation(regclass) IS
    'Invalidates at commit, as a write of the relation would, what depends on it or any of its rows';
COMMENT ON FUNCTION apibase.cache_watch(regclass, boolean) IS
    'From now on, any write to a table invalidates its tag, and those of the rows if they are asked for; to be called again '
    'when a subscription begins to write the table';
COMMENT ON FUNCTION apibase.cache_unwatch(regclass) IS
    'Takes the triggers of cache_watch away, also from partitions and inheriting tables; whether there were any';
COMMENT ON FUNCTION apibase_internal.cache_ddl_end() IS 'For the event trigger apibase_cache_ddl_end';
COMMENT ON EVENT TRIGGER apibase_cache_ddl_end IS 'Invalidates what was computed from a relation that a command has changed';
COMMENT ON VIEW apibase.cache_watched IS 'Tables whose writes invalidate tags of the cache';
COMMENT ON COLUMN apibase.cache_watched.relation IS 'Table';
COMMENT ON COLUMN apibase.cache_watched.rows IS 'Whether each row has a tag';

-- level 2

CREATE VIEW apibase.cache_redis AS
    SELECT r.url, r.breaker, r.since, r.failures, r.failures_in_a_row, r.commands, r.connections, r.skipped, r.last_failure,
           r.last_error
    FROM apibase_internal.cache_redis() r;
REVOKE ALL ON FUNCTION apibase_internal.cache_redis() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_redis() TO pg_monitor;
GRANT SELECT ON apibase.cache_redis TO pg_monitor;

COMMENT ON FUNCTION apibase_internal.cache_redis() IS 'The row of the view apibase.cache_redis';
COMMENT ON VIEW apibase.cache_redis IS
    'Level 2 of the cache: where Redis is (without a password), whether it is tried, and what went wrong last';
COMMENT ON COLUMN apibase.cache_redis.url IS 'apibase.redis_url without the password; NULL if there is no level 2';
COMMENT ON COLUMN apibase.cache_redis.breaker IS
    'closed: Redis is asked; open: it is not; half_open: one call tries whether it is back';
COMMENT ON COLUMN apibase.cache_redis.since IS 'Since when the breaker has been like that';
COMMENT ON COLUMN apibase.cache_redis.failures IS 'Calls that failed, since the server''s start';
COMMENT ON COLUMN apibase.cache_redis.failures_in_a_row IS 'Calls that failed since the last that did not';
COMMENT ON COLUMN apibase.cache_redis.commands IS 'Commands sent, since the server''s start';
COMMENT ON COLUMN apibase.cache_redis.connections IS 'Connections made, since the server''s start';
COMMENT ON COLUMN apibase.cache_redis.skipped IS 'Calls that the open breaker kept from being tried';
COMMENT ON COLUMN apibase.cache_redis.last_failure IS 'When a call failed last';
COMMENT ON COLUMN apibase.cache_redis.last_error IS 'How; never with a password in it';

CREATE VIEW apibase.cache_redis_worker AS
    SELECT w.pid, w.state, w.epoch, w.waiting_bytes, w.queued, w.sent, w.overflows, w.epochs, w.tracked, w.drops, w.connects
    FROM apibase_internal.cache_redis_worker() w;
REVOKE ALL ON FUNCTION apibase_internal.cache_redis_worker() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.cache_redis_worker() TO pg_monitor;
GRANT SELECT ON apibase.cache_redis_worker TO pg_monitor;
COMMENT ON FUNCTION apibase_internal.cache_redis_worker() IS 'The row of the view apibase.cache_redis_worker';
COMMENT ON VIEW apibase.cache_redis_worker IS
    'The worker that tells Redis what was invalidated, and hears from it what other nodes changed. Counters are since the server''s start';
COMMENT ON COLUMN apibase.cache_redis_worker.pid IS 'Its process; NULL while it does not run';
COMMENT ON COLUMN apibase.cache_redis_worker.state IS
    'ready: level 2 is used; waiting: it is configured and not used, as there is no connection or no epoch; off: it is not configured';
COMMENT ON COLUMN apibase.cache_redis_worker.epoch IS
    'What the names of all keys in Redis carry; a new one makes everything there unreachable';
COMMENT ON COLUMN apibase.cache_redis_worker.waiting_bytes IS 'How full the queue is, of apibase.redis_queue_size';
COMMENT ON COLUMN apibase.cache_redis_worker.queued IS 'Invalidations that were queued';
COMMENT ON COLUMN apibase.cache_redis_worker.sent IS 'Invalidations that Redis has acknowledged';
COMMENT ON COLUMN apibase.cache_redis_worker.overflows IS 'How often the queue was full, and everything was invalidated instead';
COMMENT ON COLUMN apibase.cache_redis_worker.epochs IS 'New epochs that were made';
COMMENT ON COLUMN apibase.cache_redis_worker.tracked IS 'Invalidations of other nodes that were applied to level 1';
COMMENT ON COLUMN apibase.cache_redis_worker.drops IS 'How often everything in level 1 was dropped, as something may have been missed';
COMMENT ON COLUMN apibase.cache_redis_worker.connects IS 'How often the worker has connected to Redis';
