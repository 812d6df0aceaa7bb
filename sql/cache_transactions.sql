-- cache: what a transaction does to it, step by step in one session; others see it in test/isolation.
\pset null (null)
SELECT apibase.preloaded() AS preloaded \gset
\if :preloaded
\else
-- without shared memory (expected/cache_transactions_1.out) there is nothing to invalidate, and whoever does so anyway is not disturbed
CREATE TABLE cache_item (id int PRIMARY KEY, v int);
SELECT apibase.cache_watch('cache_item');
BEGIN;
SELECT apibase.cache_invalidate('t'), apibase.cache_delete('k'), apibase.cache_clear();
INSERT INTO cache_item VALUES (1, 1);
SAVEPOINT a;
TRUNCATE cache_item;
ROLLBACK TO a;
COMMIT;
SELECT * FROM cache_item;
DROP TABLE cache_item;
\quit
\endif
SELECT apibase.cache_clear() IS NOT NULL AS cleared;
CREATE TABLE cache_item (id int PRIMARY KEY, v int);
INSERT INTO cache_item VALUES (1, 10), (2, 20);
CREATE TABLE cache_other (n int);
SELECT apibase.cache_watch('cache_item');
CREATE FUNCTION fill() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(apibase.cache_set('item:' || id, to_jsonb(v), NULL, '{public.cache_item}')::text, ' ') FROM cache_item
$$;
CREATE FUNCTION show() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(id || '=' || coalesce(apibase.cache_get('item:' || id)::text, 'miss'), ' ' ORDER BY id) FROM generate_series(1, 2) id
$$;
SELECT fill(), show();

-- Any statement that writes the table makes its transaction miss, and everybody after the commit.
BEGIN;
UPDATE cache_item SET v = 11 WHERE id = 1;
SELECT show();
ROLLBACK;
SELECT show();
UPDATE cache_item SET v = 11 WHERE id = 1;
SELECT show();
SELECT fill(), show();
INSERT INTO cache_item VALUES (3, 30);
SELECT show(), fill();
DELETE FROM cache_item WHERE id = 3;
SELECT show(), fill();
TRUNCATE cache_other;
SELECT show();
INSERT INTO cache_item VALUES (2, 21) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT show(), fill(), show();
COPY cache_item FROM stdin;
4	40
\.
SELECT show(), fill(), show();
WITH gone AS (DELETE FROM cache_item WHERE id = 4 RETURNING id) SELECT id, show() FROM gone;
SELECT show(), fill(), show();
DO $$ BEGIN UPDATE cache_item SET v = 22 WHERE id = 2; RAISE EXCEPTION 'undone'; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT show();
BEGIN;
TRUNCATE cache_item;
SELECT show();
ROLLBACK;
SELECT show();

-- Savepoints, one in the other.
BEGIN;
SAVEPOINT a;
SELECT apibase.cache_delete('item:1');
SAVEPOINT b;
SELECT apibase.cache_delete('item:2');
SELECT show();
ROLLBACK TO b;
SELECT show();
RELEASE b;
SELECT show();
SAVEPOINT c;
SELECT apibase.cache_invalidate('public.cache_item');
SELECT show();
RELEASE c;
SELECT show();
ROLLBACK TO a;
SELECT show();
COMMIT;
SELECT show();

-- What is put after a write is private, is got, and is published.
BEGIN;
UPDATE cache_item SET v = v + 1;
SELECT fill(), show();
SAVEPOINT a;
UPDATE cache_item SET v = v + 100;
SELECT show();
SELECT fill(), show();
ROLLBACK TO a;
SELECT show();
SELECT count(*) FROM apibase.cache_entries WHERE valid;
COMMIT;
SELECT show();
BEGIN;
INSERT INTO cache_other VALUES (1);
SELECT apibase.cache_set('private', '1'), apibase.cache_get('private'), apibase.cache_exists('private'), apibase.cache_ttl('private') > '4 min' AS ttl;
SELECT key FROM apibase.cache_entries WHERE key = 'private';
SELECT apibase.cache_set('private', '2'), apibase.cache_get('private');
SELECT apibase.cache_delete('private');
SELECT apibase.cache_get('private'), apibase.cache_exists('private');
SELECT apibase.cache_set('private', '3'), apibase.cache_get('private');
ROLLBACK;
SELECT apibase.cache_get('private');
-- what replaced a value and was then invalidated does not bring the former value back
SELECT apibase.cache_set('b', '"before"');
BEGIN;
INSERT INTO cache_other VALUES (1);
SELECT apibase.cache_set('b', '"after"', NULL, '{t}');
SELECT apibase.cache_invalidate('t');
SELECT apibase.cache_get('b');
COMMIT;
SELECT apibase.cache_get('b');

-- add and increment act at once, whatever becomes of the transaction.
BEGIN;
INSERT INTO cache_other VALUES (1);
SELECT apibase.cache_increment('count', 5), apibase.cache_add('first', '1');
ROLLBACK;
SELECT apibase.cache_get('count'), apibase.cache_get('first');

-- A transaction that failed has done nothing.
BEGIN;
SELECT apibase.cache_delete('count'), apibase.cache_clear('item:*');
SELECT 1 / 0;
SELECT 1;
COMMIT;
SELECT apibase.cache_get('count'), show();
-- one that fails at its commit has done nothing either
CREATE TABLE cache_deferred (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
BEGIN;
SELECT apibase.cache_delete('count');
INSERT INTO cache_deferred VALUES (1), (1);
COMMIT;
SELECT apibase.cache_get('count');
-- what a deferred trigger does at commit is in time
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM apibase.cache_delete('count'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON cache_deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
BEGIN;
INSERT INTO cache_deferred VALUES (2);
SELECT apibase.cache_get('count');
COMMIT;
SELECT apibase.cache_get('count');

-- A procedure that commits in between.
CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$
BEGIN
	UPDATE cache_item SET v = v + 1 WHERE id = 1;
	RAISE NOTICE 'after the write: %', show();
	ROLLBACK;
	RAISE NOTICE 'rolled back: %', show();
	UPDATE cache_item SET v = v + 1 WHERE id = 1;
	COMMIT;
	RAISE NOTICE 'committed: %', show();
	PERFORM fill();
	RAISE NOTICE 'filled: %', show();
END $$;
CALL twice();

-- A prepared transaction that has something to invalidate is refused.
BEGIN;
UPDATE cache_item SET v = 0;
SELECT apibase.cache_get('item:1');
PREPARE TRANSACTION 'cache';
SELECT show(), v FROM cache_item WHERE id = 1;
BEGIN;
SELECT apibase.cache_delete('item:1');
PREPARE TRANSACTION 'cache';
SELECT show();

-- After so much, everything is sound, and can be put and got.
SELECT fill(), show();
SELECT * FROM apibase_internal.cache_verify();
SELECT apibase.cache_clear() > 0 AS cleared;
DROP TABLE cache_item, cache_other, cache_deferred;
DROP FUNCTION fill, show, at_commit;
DROP PROCEDURE twice;
