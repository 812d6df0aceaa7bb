-- cache_stats: the views over the cache, its counters and its checker. Without shared memory (expected/cache_stats_1.out)
-- the views have no rows, and what must have it is refused.
SET client_min_messages = warning;
SELECT apibase.preloaded() AS preloaded \gset
\if :preloaded
\else
SELECT count(*) FROM apibase.cache_entries;
SELECT count(*) FROM apibase.cache_stats;
SELECT count(*) FROM apibase.cache_memory;
SELECT apibase.cache_reset_stats();
SELECT * FROM apibase_internal.cache_verify();
\quit
\endif
SET search_path = apibase;
SET timezone = 'UTC';
SET intervalstyle = postgres;
SELECT cache_clear() IS NOT NULL AS cleared;
SELECT cache_reset_stats();

-- the counters of a namespace
CREATE TEMP VIEW counters AS
	SELECT level, hits, misses, hit_ratio, sets, deletes, invalidations, evictions, expirations, errors, waits, entries
	FROM apibase.cache_stats WHERE namespace = 'stats';
SELECT cache_get('stats:1');
SELECT * FROM counters ORDER BY level;
SELECT cache_set('stats:' || i, to_jsonb(i), '1 hour', ARRAY['stats-tag-' || i]) AS set FROM generate_series(1, 4) i;
SELECT cache_get('stats:1'), cache_get('stats:2'), cache_get('stats:1'), cache_get('stats:5');
SELECT level, hits, misses, hit_ratio, sets, entries FROM counters ORDER BY level;
SELECT cache_delete('stats:1');
SELECT cache_invalidate('stats-tag-2');
SELECT level, deletes, invalidations FROM counters WHERE level = 'l1';
SELECT cache_get('stats:2');
SELECT level, misses, invalidations, entries FROM counters WHERE level = 'l1';
SELECT apibase_internal.clock_set('2 hours');
SELECT cache_get('stats:3');
SELECT level, misses, expirations, entries FROM counters WHERE level = 'l1';
SELECT apibase_internal.clock_set('0');
SELECT cache_configure('stats', max_entries => 2);
SELECT cache_set('stats:' || i, '1', '1 hour') AS set FROM generate_series(11, 15) i;
SELECT level, sets, evictions, entries FROM counters WHERE level = 'l1';
-- what failed counts as well, and what was rolled back
BEGIN;
SELECT cache_get('stats:15');
ROLLBACK;
SELECT level, hits, misses FROM counters WHERE level = 'l1';
-- entries and bytes of the counters are those of the entries
SELECT s.namespace, s.entries = count(e.key) AS entries, s.bytes = coalesce(sum(e.bytes), 0) AS bytes
FROM cache_stats s LEFT JOIN cache_entries e USING (namespace) WHERE s.namespace = 'stats' AND s.level = 'l1' GROUP BY s.namespace, s.entries, s.bytes;
-- nobody's own namespaces
SELECT count(*), bool_and(entries IS NOT NULL OR level = 'l2') AS entries_of_l1 FROM cache_stats WHERE namespace IS NULL;
SELECT cache_set(repeat('x', 64) || ':1', '1') AS set;
SELECT sets FROM cache_stats WHERE namespace IS NULL AND level = 'l1';
-- only this database's
SELECT cache_reset_stats();
SELECT bool_and(hits + misses + sets + deletes + invalidations + evictions + expirations + errors + waits = 0) AS zero, bool_and(hit_ratio IS NULL) AS no_ratio
FROM cache_stats;
SELECT entries FROM counters WHERE level = 'l1';

-- entries
SELECT cache_unconfigure('stats');
SELECT cache_clear() IS NOT NULL AS cleared;
SELECT cache_set('stats:long', to_jsonb(repeat('x', 5000)), '1 hour', '{a,b:1,"c d"}');
SELECT cache_set('stats:null', 'null', '1 minute');
SELECT cache_set('stats:ever', '{}', '1000 years');
SELECT cache_set('stats:void', '{}', '1 hour', '{void}');
SELECT cache_fetch('stats:fetched', 'SELECT 1', stale_on_error => '10 s', stale_while_revalidate => '5 s', ttl => '20 s');
SELECT cache_fetch('stats:nothing', 'SELECT 1 WHERE false', '1 hour');
SELECT cache_get('stats:null'), cache_get('stats:null'), cache_get('stats:void');
SELECT cache_invalidate('void');
SELECT apibase_internal.clock_set('2 min');
SELECT key, namespace, kind, tags, expires_at - created_at AS ttl, stale_until - expires_at AS stale, hits, valid, last_used_rank
FROM cache_entries ORDER BY key COLLATE "C";
SELECT key, value_bytes > 5000 AND bytes > value_bytes AS with_value, bytes % 4 FROM cache_entries WHERE key = 'stats:long';
SELECT apibase_internal.clock_set('0');
SELECT bool_and(created_at BETWEEN now() - interval '1 min' AND clock_timestamp()) AS just_made FROM cache_entries WHERE key LIKE 'stats:%';
-- not those of other databases
SELECT current_database() AS here \gset
DROP DATABASE IF EXISTS regression_cache_stats;
CREATE DATABASE regression_cache_stats;
\c regression_cache_stats
CREATE EXTENSION apibase;
SELECT apibase.cache_set('other:1', '1') AS set;
SELECT key FROM apibase.cache_entries;
SELECT namespace, level, sets FROM apibase.cache_stats WHERE namespace IS NOT NULL ORDER BY level;
\c :here
SET search_path = apibase;
SET client_min_messages = warning;
SELECT count(*) FROM cache_entries WHERE key = 'other:1';
SELECT count(*) FROM cache_stats WHERE namespace = 'other';
DROP DATABASE regression_cache_stats;

-- memory
SELECT count(*), bool_and(m.entries >= e.n AND m.entries <= m.max_entries AND m.bytes > e.bytes / 2 AND m.bytes <= m.max_bytes
	AND m.max_bytes = pg_size_bytes(current_setting('apibase.cache_size')) AND m.max_entries = current_setting('apibase.cache_max_entries')::int
	AND m.namespaces > 0 AND m.namespaces <= m.max_namespaces AND m.max_namespaces = current_setting('apibase.cache_max_namespaces')::int - 1) AS fits
FROM cache_memory m, (SELECT count(*) AS n, sum(bytes) AS bytes FROM cache_entries) e;
-- sound
SELECT * FROM apibase_internal.cache_verify();

-- who may
CREATE ROLE cache_stats_user;
CREATE ROLE cache_stats_monitor IN ROLE pg_monitor;
SET ROLE cache_stats_user;
SELECT count(*) FROM cache_entries;
SELECT count(*) FROM cache_stats;
SELECT count(*) FROM cache_memory;
SELECT count(*) FROM cache_namespaces;
SELECT cache_reset_stats();
SELECT cache_configure('x');
SELECT cache_unconfigure('x');
INSERT INTO cache_namespaces VALUES ('x');
SET ROLE cache_stats_monitor;
SELECT count(*) > 0 AS entries FROM cache_entries;
SELECT count(*) > 0 AS stats FROM cache_stats;
SELECT count(*) AS memory FROM cache_memory;
SELECT count(*) AS namespaces FROM cache_namespaces;
SELECT cache_reset_stats();
SELECT cache_configure('x');
RESET ROLE;
DROP ROLE cache_stats_user, cache_stats_monitor;
SELECT cache_clear() IS NOT NULL AS cleared;
