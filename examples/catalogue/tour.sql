-- tour.sql: what `make run` shows. It leaves the packages as they are, and one error is part of it. Run by the owner of the
-- database catalogue.
\pset footer off
\pset pager off
SET search_path = public, apibase;
SET max_parallel_workers_per_gather = 0;  -- plans do not depend on the machine
\set ECHO queries

\echo
\echo == 1. A filter is a value of type spec; row @@ spec
SELECT name, pg_size_pretty(installed_size) AS size, (maintainer).name AS maintainer FROM packages
WHERE packages @@ $$section = 'games' and installed_size >= 1000000000$$ ORDER BY installed_size DESC LIMIT 3;

\echo == 2. The planner sees native conditions, and uses the indexes
\t on
EXPLAIN (COSTS OFF) SELECT name FROM packages WHERE packages @@ $$section = 'games' and installed_size >= 1000000000$$;
EXPLAIN (COSTS OFF) SELECT name FROM packages WHERE packages @@ $$not (installed_size < 2000000000)$$;
\timing on
SELECT count(*) FROM packages WHERE packages @@ $$tags contains array['implemented-in::c', 'interface::x11']$$;
\timing off

\echo == 3. A partial index whose predicate is a specification serves every condition that implies it
EXPLAIN (COSTS OFF) SELECT name FROM packages WHERE packages @@ 'download_size > 500000000';
\t off

\echo == 4. The same as JSON, as it comes over HTTP
SELECT name, version FROM packages WHERE packages @@
  '{"and": [{"field": "name", "op": "starts_with", "value": "python3-psycopg2"}, {"field": "section", "op": "ne", "value": "doc"}]}'
ORDER BY name;

\echo == 5. Built step by step; values are bound, never spliced
SELECT build(and_where(apibase.where('priority', 'le', 'standard'), 'description', 'like', $$%o'clock%$$), 'packages');

\echo == 6. Lists: a page, and the page after its last row
SELECT name, installed_size FROM find(NULL::packages, $$section = 'editors'$$, 'installed_size desc', 2);
SELECT name, installed_size FROM find(NULL::packages, $$section = 'editors'$$, 'installed_size desc', 2,
  after => (SELECT to_jsonb(f) FROM find(NULL::packages, $$section = 'editors'$$, 'installed_size desc', 1, 1) f));

\echo == 7. Why is a row not in the list? What is wrong with a specification?
SELECT e.clause, e.actual
FROM packages p, spec_explain(p, $$section = 'net' and installed_size < 100000 and depends contains array['libc6']$$) e
WHERE p.name = 'make';
SELECT pointer, sqlstate, message FROM spec_check('packages', $$sektion = 'net' and installed_size > 'big'$$);
SELECT name FROM packages WHERE packages @@ 'instaled_size > 100';

\echo == 8. A row policy is a specification: web_anon sees neither debug files nor what is obsolete
SELECT specification AS policy FROM spec_uses() WHERE kind = 'policy';
\t on
BEGIN READ ONLY;
SELECT find_count(NULL::packages, $$section = 'oldlibs'$$) AS the_owner;
SET LOCAL ROLE web_anon;
SELECT find_count(NULL::packages, $$section = 'oldlibs'$$) AS web_anon;
COMMIT;

\echo == 9. Cached functions: a write to the table, by anybody, invalidates; then one call computes, and others are hits
UPDATE packages SET priority = priority WHERE name = 'make';
\timing on
SELECT count(*) AS sections FROM api.sections();
SELECT count(*) AS sections FROM api.sections();
\timing off

\echo == 10. A transaction sees its own writes, others do not; and each role has results of its own
BEGIN;
UPDATE packages SET section = 'brand new' WHERE name = 'make';
SELECT count(*) AS sections FROM api.sections();
ROLLBACK;
SELECT count(*) AS sections FROM api.sections();
BEGIN READ ONLY;
SET LOCAL ROLE web_anon;
SELECT count(*) AS sections FROM api.sections();
COMMIT;
\t off
SELECT namespace, hits, misses, sets, invalidations FROM cache_stats WHERE namespace = 'fn' AND level = 'l1';
SELECT function, position, decorator, options ->> 'ttl' AS ttl FROM decorators ORDER BY 1, 2;

\echo == 11. A command: its payload is checked field by field; what fails is a problem document with a status; a query is cached
SELECT ok, value FROM command('app.add_to_watchlist', '{"watcher": "ada@example.org", "package": "make"}');
SELECT e.* FROM command('app.add_to_watchlist', '{"watcher": "ada", "pakage": "make"}') c,
  jsonb_to_recordset(c.error -> 'errors') AS e (pointer text, code text, detail text);
SELECT ok, error ->> 'status' AS status, error ->> 'detail' AS detail
FROM command('app.add_to_watchlist', '{"watcher": "ada@example.org", "package": "no-such-package"}');
SELECT query('app.watched_packages', '{"watcher": "ada@example.org"}');

\echo == 12. An idempotency key: the second call gets the result of the first, and nothing is done twice
\set ECHO none
SELECT gen_random_uuid() AS key \gset
\set ECHO queries
SELECT ok, replayed, value FROM command('app.publish_release', '{"package": "make", "version": "99.1"}',
  json_build_object('idempotency_key', :'key')::jsonb);
SELECT ok, replayed, value FROM command('app.publish_release', '{"package": "make", "version": "99.1"}',
  json_build_object('idempotency_key', :'key')::jsonb);

\echo == 13. Events: a subscriber ran in the transaction of the command; the outbox gives them in the order of the commits
SELECT ok FROM command('app.publish_release', '{"package": "make", "version": "99.2"}');
SELECT watcher, package, version FROM app.notifications WHERE watcher = 'ada@example.org' ORDER BY id;
SELECT event::jsonb ->> 'type' AS type, event::jsonb -> 'data' AS data FROM outbox_read('tour');
\set ECHO none
\o /dev/null
SELECT outbox_ack('tour', max(position)) FROM outbox_read('tour');
DELETE FROM app.watchlist WHERE watcher = 'ada@example.org';
DELETE FROM app.notifications WHERE watcher = 'ada@example.org';
DELETE FROM app.releases WHERE version LIKE '99.%';
\o
