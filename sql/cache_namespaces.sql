-- cache_namespaces: the configuration of namespaces, when it takes effect, and what is refused. Without shared memory
-- (expected/cache_namespaces_1.out) it can be written and has no effect.
SELECT current_database() AS here \gset
SET client_min_messages = warning;
-- a database of its own: the extension is made more than once
DROP DATABASE IF EXISTS regression_cache_namespaces;
CREATE DATABASE regression_cache_namespaces TEMPLATE template0 ENCODING 'UTF8';
\c regression_cache_namespaces
CREATE EXTENSION apibase;
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET intervalstyle = postgres;
CREATE SCHEMA cache_namespaces;
SET search_path = cache_namespaces, apibase;
-- the time to live that a new entry got, rounded to what differs here
CREATE FUNCTION ttl_of(key text) RETURNS text LANGUAGE plpgsql SET timezone = 'UTC' AS $$
BEGIN
	IF NOT apibase.cache_set(key, '1') THEN
		RETURN 'not stored';
	END IF;
	RETURN (SELECT CASE WHEN e.expires_at IS NULL THEN 'for ever' ELSE (e.expires_at - e.created_at)::text END
	        FROM apibase.cache_entries e WHERE e.key = ttl_of.key);
END $$;

-- what cache_configure writes
SELECT cache_configure('users', ttl => '2 min', max_entries => 3);
SELECT cache_configure('users', key_prefix => 'u-', jitter => 0);
SELECT cache_configure('users', ttl => '1 hour', max_bytes => 1000000, levels => '{1}');
SELECT cache_configure('');
SELECT cache_configure('all', '1 day', 10, 20, '{2,1}', 'p', 0.5);
TABLE cache_namespaces ORDER BY namespace;
SELECT cache_unconfigure('all') AS was_there, cache_unconfigure('all') AS again, cache_unconfigure('other') AS never;

-- what is refused, and how it is said
\set VERBOSITY terse
SELECT cache_configure(NULL);
SELECT cache_configure('a:b');
SELECT cache_configure(repeat('x', 64));
SELECT cache_configure('x', ttl => '0');
SELECT cache_configure('x', ttl => '-1 s');
SELECT cache_configure('x', max_entries => 0);
SELECT cache_configure('x', max_bytes => -1);
SELECT cache_configure('x', levels => '{}');
SELECT cache_configure('x', levels => '{1,3}');
SELECT cache_configure('x', levels => '{1,NULL}');
SELECT cache_configure('x', key_prefix => repeat('x', 64));
SELECT cache_configure('x', jitter => 1.1);
SELECT cache_configure('x', jitter => 'NaN');
\set VERBOSITY default

-- the time to live
SET apibase.cache_default_ttl = '5min';
SELECT ttl_of('users:1') AS configured, ttl_of('others:1') AS not_configured, ttl_of('no_namespace') AS empty_namespace;
SELECT cache_configure('', ttl => '7 s');
SELECT ttl_of('no_namespace') AS now_configured;
SELECT cache_configure('months', ttl => '2 months 1 day'), cache_configure('long', ttl => '99 years'),
	cache_configure('longer', ttl => '170000000 years');
SELECT ttl_of('months:1'), ttl_of('long:1'), ttl_of('longer:1');
SELECT cache_unconfigure('months');
SELECT ttl_of('months:1');

-- it takes effect at commit, whatever way the table is written, and never on rollback
BEGIN;
UPDATE cache_namespaces SET ttl = '1 s' WHERE namespace = 'users';
ROLLBACK;
SELECT ttl_of('users:2') AS rolled_back;
BEGIN;
SAVEPOINT a;
SELECT cache_configure('users', ttl => '1 s');
ROLLBACK TO a;
SELECT cache_configure('users', ttl => '3 s');
RELEASE a;
SELECT ttl_of('others:1') AS of_no_concern;
COMMIT;
SELECT ttl_of('users:2') AS committed;
COPY cache_namespaces (namespace, ttl) FROM stdin;
copied	4 s
\.
SELECT ttl_of('copied:1') AS copied;
SET session_replication_role = replica;
UPDATE cache_namespaces SET ttl = '6 s' WHERE namespace = 'copied';
RESET session_replication_role;
SELECT ttl_of('copied:2') AS replica;
TRUNCATE cache_namespaces;
SELECT ttl_of('copied:3') AS truncated;
-- in transactions of all kinds
SELECT cache_configure('users', ttl => '8 s');
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT ttl_of('users:3');
COMMIT;
SELECT cache_configure('users', ttl => '9 s');
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ttl_of('users:3');
COMMIT;
-- a transaction that writes the table uses what was committed before, also when another's change is not yet known here
SELECT cache_configure('users', ttl => '10 s');
BEGIN;
UPDATE cache_namespaces SET ttl = '11 s';
SELECT count(*) FROM (SELECT cache_set('users:4', '1')) set;
ROLLBACK;
SELECT ttl_of('users:5') AS not_what_was_rolled_back;

-- the bound of a namespace: exact, least recently used first, and nobody else's
SELECT cache_clear() IS NOT NULL AS cleared;
SELECT cache_configure('users', ttl => '1 hour', max_entries => 3);
SELECT bool_and(cache_set('others:' || i, to_jsonb(i))) AS set FROM generate_series(1, 5) i;
SELECT bool_and(cache_set('users:' || i, to_jsonb(i))) AS set FROM generate_series(1, 3) i;
SELECT cache_get('users:1');
SELECT cache_set('users:4', '4') AS set;
SELECT key, namespace, last_used_rank FROM cache_entries WHERE namespace = 'users' ORDER BY last_used_rank;
SELECT count(*) FROM cache_entries WHERE namespace = 'others';
-- a key's namespace
SELECT cache_set(k, '1') AS set FROM unnest('{plain,:colon,a:b:c,é:1}'::text[]) k;
SELECT key, namespace FROM cache_entries WHERE key = ANY ('{plain,:colon,a:b:c,é:1}') ORDER BY key COLLATE "C";
SELECT cache_set(repeat('n', 63) || ':1', '1') AS set_63, cache_set(repeat('n', 64) || ':1', '1') AS set_64,
	cache_set(repeat('n', 100), '1') AS set_without;
SELECT length(key), length(namespace) FROM cache_entries WHERE key LIKE 'nnn%' ORDER BY 1;

-- an extension that is made anew knows nothing of what the one before had configured
SELECT ttl_of('users:6');
BEGIN;
DROP EXTENSION apibase;
CREATE EXTENSION apibase;
COMMIT;
SELECT ttl_of('users:6');
-- and a table that is not what it should be is no table
SET client_min_messages = error;
SELECT cache_configure('users', ttl => '12 s');
SELECT ttl_of('users:7');
ALTER TABLE cache_namespaces RENAME COLUMN jitter TO shake;
ALTER TABLE cache_namespaces ADD jitter text;
UPDATE cache_namespaces SET jitter = 'x';
SELECT ttl_of('users:7');
ALTER TABLE cache_namespaces DROP jitter;
ALTER TABLE cache_namespaces RENAME COLUMN shake TO jitter;
UPDATE cache_namespaces SET jitter = 0;
SELECT ttl_of('users:7');
-- odd contents, which only a superuser can make
ALTER TABLE cache_namespaces DROP CONSTRAINT cache_namespaces_ttl_is_positive, DROP CONSTRAINT cache_namespaces_levels_are_1_and_2,
	DROP CONSTRAINT cache_namespaces_jitter_is_from_0_to_1, DROP CONSTRAINT cache_namespaces_key_prefix_has_at_most_63_bytes,
	DROP CONSTRAINT cache_namespaces_namespace_has_at_most_63_bytes, DROP CONSTRAINT cache_namespaces_max_entries_is_positive;
UPDATE cache_namespaces SET ttl = '-1 year', levels = '{{1,2},{NULL,5}}', jitter = 'NaN', key_prefix = repeat('long', 100000), max_entries = -5;
INSERT INTO cache_namespaces (namespace) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 80) i;
ALTER TABLE cache_namespaces ALTER key_prefix SET STORAGE EXTERNAL;
INSERT INTO cache_namespaces (namespace, ttl, key_prefix) VALUES ('toasted', '13 s', repeat('x', 10000));
SELECT ttl_of('users:8'), ttl_of('toasted:1');
\c :here
DROP DATABASE regression_cache_namespaces;
