-- cache: get, set, add, increment, touch, delete. Without shared memory (expected/cache_values_1.out) everything misses,
-- nothing is kept, and a session is told once why.
\pset null (null)
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/errors.sql
SET client_min_messages = notice;
SELECT apibase.preloaded() AS preloaded \gset
\if :preloaded
\else
SELECT apibase.cache_get('k');
SELECT apibase.cache_get('k'), apibase.cache_exists('k'), apibase.cache_ttl('k');
SELECT apibase.cache_set('k', '1'), apibase.cache_add('k', '1'), apibase.cache_increment('k'), apibase.cache_touch('k');
SELECT apibase.cache_delete('k'), apibase.cache_clear(), apibase.cache_invalidate('t');
SELECT * FROM apibase.cache_get_many('{k}');
SELECT * FROM apibase.cache_entries;
SELECT * FROM apibase.cache_memory;
-- arguments are checked all the same
SELECT errors.of($$SELECT apibase.cache_get('')$$);
SELECT errors.of('SELECT * FROM apibase_internal.cache_verify()');
\quit
\endif
SELECT apibase.cache_clear() IS NOT NULL AS cleared;

-- A JSON null is a value, a miss is NULL; text, numbers and order of members are kept as jsonb keeps them.
SELECT apibase.cache_get('absent');
SELECT apibase.cache_set('null', 'null'), apibase.cache_get('null'), apibase.cache_get('null') IS NULL AS missed, apibase.cache_exists('null');
SELECT apibase.cache_set('v:' || n, document)
FROM unnest('{"{\"b\": 1, \"a\": [1.00, 1e3, {}]}","\"\"","\"ü€😀\"","false","[]","-0.10","123456789012345678901234567890.5"}'::jsonb[]) WITH ORDINALITY d(document, n);
SELECT * FROM apibase.cache_get_many(ARRAY(SELECT 'v:' || n FROM generate_series(0, 7) n));
SELECT * FROM apibase.cache_get_many('{v:1,NULL,v:1,absent}');
SELECT * FROM apibase.cache_get_many('{}');
-- set anew, also from what is in the cache
SELECT apibase.cache_set('v:1', apibase.cache_get('v:1') || '{"c": null}'), apibase.cache_get('v:1');
SELECT apibase.cache_set('v:1', '"shorter"'), apibase.cache_get('v:1');
-- a long one, from a toasted column
CREATE TABLE long_value (v jsonb);
INSERT INTO long_value SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 20000) n;
SELECT apibase.cache_set('long', v) FROM long_value;
SELECT apibase.cache_get('long') = v AS equal, pg_column_size(apibase.cache_get('long')) > 500000 AS long FROM long_value;
-- NULL arguments: nothing is done
SELECT apibase.cache_get(NULL), apibase.cache_set(NULL, '1'), apibase.cache_set('null', NULL), apibase.cache_get('null'),
	apibase.cache_delete(NULL), apibase.cache_touch(NULL), apibase.cache_increment(NULL), apibase.cache_add('null', NULL);

-- Keys and tags.
SELECT apibase.cache_set(repeat('é', 512), '1'), apibase.cache_get(repeat('é', 512));
SELECT errors.of(format('SELECT apibase.cache_set(%L, ''1'')', repeat('é', 512) || 'x'));
SELECT errors.of($$SELECT apibase.cache_get('')$$);
SELECT errors.of($$SELECT apibase.cache_set('k', '1', tags => '{a,NULL}')$$);
SELECT errors.of($$SELECT apibase.cache_set('k', '1', tags => '{a,""}')$$);
SELECT errors.of($$SELECT apibase.cache_invalidate('')$$);
SELECT errors.of(format('SELECT apibase.cache_invalidate(%L)', repeat('x', 257)));
SELECT errors.of($$SELECT apibase.cache_set('k', '1', tags => array_fill('t'::text, '{65}'))$$);
SELECT apibase.cache_set('tags', '1', tags => ARRAY(SELECT 't' || n || ':' || repeat('x', 250) FROM generate_series(1, 64) n)), apibase.cache_get('tags');
SELECT apibase.cache_invalidate('t64:*'), apibase.cache_get('tags');
SELECT apibase.cache_get('tags');

-- Times to live, with the clock of the server set.
SELECT errors.of($$SELECT apibase.cache_set('k', '1', '0')$$);
SELECT errors.of($$SELECT apibase.cache_touch('k', '-1 s')$$);
SELECT apibase.cache_set('hour', '1', '1 hour'), apibase.cache_ttl('hour') BETWEEN '59 min' AND '1 hour' AS hour,
	apibase.cache_set('default', '1'), apibase.cache_ttl('default') BETWEEN '4 min' AND '5 min' AS default;
SELECT apibase_internal.clock_set('30 min');
SELECT apibase.cache_get('default'), apibase.cache_get('hour'), apibase.cache_ttl('hour') BETWEEN '29 min' AND '30 min' AS half;
SELECT apibase.cache_touch('hour', '2 hours'), apibase.cache_ttl('hour') BETWEEN '119 min' AND '2 hours' AS longer, apibase.cache_touch('default');
SELECT apibase_internal.clock_set('149 min');
SELECT apibase.cache_get('hour'), apibase.cache_ttl('hour') < '2 min' AS little;
SELECT apibase_internal.clock_set('151 min');
SELECT apibase.cache_exists('hour'), apibase.cache_get('hour'), apibase.cache_ttl('hour'), apibase.cache_touch('hour');
SELECT apibase_internal.clock_set('0');
SET apibase.cache_default_ttl = 0;
SELECT apibase.cache_set('ever', '1'), apibase.cache_ttl('ever'), apibase.cache_exists('ever');
RESET apibase.cache_default_ttl;

-- Only if it is not there; counters.
SELECT apibase.cache_add('added', '1', '1 min'), apibase.cache_add('added', '2'), apibase.cache_get('added');
SELECT apibase.cache_increment('n'), apibase.cache_increment('n', 10), apibase.cache_increment('n', -20), apibase.cache_get('n');
SELECT apibase.cache_increment('n', 9223372036854775807), apibase.cache_get('n');
SELECT errors.of($$SELECT apibase.cache_increment('n', 9223372036854775807)$$);
SELECT apibase.cache_set('1.0', '1.0'), apibase.cache_increment('1.0');
SELECT errors.of($$SELECT apibase.cache_increment('v:1')$$);
SELECT errors.of($$SELECT apibase.cache_set('1.5', '1.5'), apibase.cache_increment('1.5')$$);
SELECT errors.of($$SELECT apibase.cache_set('1e30', '1e30'), apibase.cache_increment('1e30')$$);

-- Deletes by key and by pattern. '*' is any characters, '?' is one, '\' quotes the next.
SELECT apibase.cache_delete('added'), apibase.cache_delete('absent');
SELECT apibase.cache_get('added'), apibase.cache_exists('added');
SELECT apibase.cache_clear() > 10 AS many;
SELECT count(*) FROM apibase.cache_entries;
CREATE FUNCTION cleared(pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM apibase.cache_set(key, '1') FROM unnest('{a,ab,abc,a:b,a*b,a\\b,"%_",é}'::text[]) key;
	n := apibase.cache_clear(pattern);
	RETURN n;
END $$;
SELECT format('SELECT %1$L AS pattern, cleared(%1$L)', p), $$SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") AS "left" FROM apibase.cache_entries$$
FROM unnest('{nothing,a,a*,*b,a?b,?,a\\*b,a\\\\b,*:*,%,"",a**b*,*}'::text[]) p \gexec

-- Values by tag.
SELECT apibase.cache_set('1', '1', NULL, '{a}'), apibase.cache_set('2', '2', NULL, '{a,b}'), apibase.cache_set('3', '3', NULL, '{b:1}'),
	apibase.cache_set('4', '4', NULL, '{b:2,b:1,b}'), apibase.cache_set('5', '5');
SELECT key, tags FROM apibase.cache_entries ORDER BY key;
SELECT apibase.cache_invalidate('b:2', 'none');
SELECT key FROM apibase.cache_get_many('{1,2,3,4,5}') ORDER BY key;
SELECT apibase.cache_invalidate('b:*');
SELECT key FROM apibase.cache_get_many('{1,2,3,4,5}') ORDER BY key;
SELECT apibase.cache_invalidate(VARIADIC '{b,b}');
SELECT key FROM apibase.cache_get_many('{1,2,3,4,5}') ORDER BY key;
SELECT apibase.cache_invalidate(VARIADIC '{}');

-- Switched off: nothing is got or set, but what is invalidated is.
SET apibase.cache_enabled = off;
SELECT apibase.cache_get('1'), apibase.cache_set('1', '2'), apibase.cache_exists('1'), apibase.cache_increment('1'), apibase.cache_add('6', '6');
SELECT apibase.cache_invalidate('a');
RESET apibase.cache_enabled;
SELECT apibase.cache_get('1'), apibase.cache_get('5');

-- In READ ONLY transactions.
BEGIN READ ONLY;
SELECT apibase.cache_set('read only', '1'), apibase.cache_get('read only'), apibase.cache_increment('read only'), apibase.cache_delete('5');
COMMIT;
SELECT apibase.cache_get('read only'), apibase.cache_get('5');

-- What does not fit is not kept.
SHOW apibase.cache_max_value_percent;
SET apibase.cache_max_value_percent = 1;
SELECT apibase.cache_set('too long', v) FROM long_value;
SELECT apibase.cache_get('too long');
RESET apibase.cache_max_value_percent;

-- Who may what: nobody anything unless it was granted. Entries are for who monitors.
CREATE ROLE regress_cache;
GRANT USAGE ON SCHEMA errors TO regress_cache;
SET ROLE regress_cache;
SELECT errors.of(statement) FROM unnest(ARRAY['SELECT apibase.cache_get(''1'')', 'SELECT apibase.cache_get_many(''{1}'')', 'SELECT apibase.cache_exists(''1'')',
	'SELECT apibase.cache_ttl(''1'')', 'SELECT apibase.cache_set(''1'', ''1'')', 'SELECT apibase.cache_add(''1'', ''1'')', 'SELECT apibase.cache_increment(''1'')',
	'SELECT apibase.cache_touch(''1'')', 'SELECT apibase.cache_delete(''1'')', 'SELECT apibase.cache_clear()', 'SELECT apibase.cache_invalidate(''a'')',
	'SELECT * FROM apibase.cache_entries', 'SELECT * FROM apibase.cache_stats', 'SELECT apibase.cache_reset_stats()', 'SELECT apibase.cache_configure(''n'')',
	'SELECT apibase_internal.cache_verify()', 'SELECT apibase.cache_watch(''long_value'')', 'SET apibase.cache_max_value_percent = 50']) statement;
RESET ROLE;
GRANT EXECUTE ON FUNCTION apibase.cache_get(text) TO regress_cache;
GRANT pg_monitor TO regress_cache;
SET ROLE regress_cache;
SELECT apibase.cache_get('read only');
SELECT key FROM apibase.cache_entries;
SELECT errors.of($$SELECT apibase.cache_set('1', '1')$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION apibase.cache_get(text) FROM regress_cache;
DROP OWNED BY regress_cache;
DROP ROLE regress_cache;

-- The namespace of cached functions is theirs.
SELECT errors.of($$SELECT apibase.cache_set('fn:f(1)', '1')$$);
SELECT errors.of($$SELECT apibase.cache_add('fn:f(1)', '1')$$);
SELECT errors.of($$SELECT apibase.cache_increment('fn:f(1)')$$);
SELECT errors.of($$SELECT apibase.cache_fetch('fn:f(1)', 'SELECT 1')$$);
SELECT apibase.cache_get('fn:f(1)') IS NULL AS nothing;

-- Keys are of their database.
SELECT current_database() AS here \gset
CREATE DATABASE regress_cache TEMPLATE template0;
\c regress_cache
SET client_min_messages = warning;
CREATE EXTENSION apibase;
SELECT apibase.cache_get('read only'), apibase.cache_set('read only', '"there"', NULL, '{t}'), apibase.cache_get('read only');
SELECT key FROM apibase.cache_entries;
SELECT apibase.cache_clear(), apibase.cache_invalidate('t');
\c :here
SELECT apibase.cache_get('read only');
DROP DATABASE regress_cache;

SELECT * FROM apibase_internal.cache_verify();
SELECT apibase.cache_clear() > 0 AS cleared;
DROP FUNCTION cleared;
DROP TABLE long_value;
SET client_min_messages = warning;
DROP SCHEMA errors CASCADE;
