-- Commands, queries and events as those who write an application use them: a catalogue of packages in a schema of its owner, who is no
-- superuser; clients that may call it and nothing else; what they are answered; and the contract: signatures, volatility, privileges.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;

-- ---- signatures
SELECT has_function('apibase', 'command', ARRAY['anyelement', 'jsonb']);
SELECT has_function('apibase', 'command', ARRAY['text', 'jsonb', 'jsonb']);
SELECT function_returns('apibase', 'command', ARRAY['anyelement', 'jsonb'], 'apibase.result');
SELECT function_returns('apibase', 'query', ARRAY['text', 'jsonb', 'jsonb'], 'jsonb');
SELECT function_returns('apibase', 'query_result', ARRAY['text', 'jsonb', 'jsonb'], 'apibase.result');
SELECT function_returns('apibase', 'emit', ARRAY['anyelement', 'jsonb'], 'uuid');
SELECT is(array_agg(proname::text ORDER BY proname), '{dispatch_command,dispatch_query}', 'the procedures')
FROM (SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'apibase'::regnamespace AND prokind = 'p') p;
SELECT volatility_is('apibase'::name, f::name, 'volatile') FROM unnest(ARRAY['command', 'query', 'query_result', 'emit', 'register_command', 'dispatch_next']) f;
SELECT volatility_is('apibase'::name, f::name, 'stable') FROM unnest(ARRAY['current_dispatch', 'correlation_id', 'causation_id', 'deadline']) f;
SELECT is(proparallel::text, 'u', format('%s is parallel unsafe', oid::regprocedure)) FROM pg_proc
WHERE pronamespace = 'apibase'::regnamespace AND proname IN ('command', 'query', 'query_result', 'emit') ORDER BY oid::regprocedure::text;
SELECT columns_are('apibase', 'commands', ARRAY['message', 'handler', 'idempotency', 'idempotency_ttl', 'timeout', 'problem']);
SELECT columns_are('apibase', 'queries', ARRAY['message', 'handler', 'cache_ttl', 'cache_key', 'tags', 'scope', 'timeout', 'problem']);
SELECT columns_are('apibase', 'middleware', ARRAY['name', 'middleware', 'phase', 'messages', 'kinds', 'rank', 'config', 'problem']);
SELECT columns_are('apibase', 'bus_stats', ARRAY['kind', 'name', 'dispatches', 'errors', 'replayed', 'cached', 'seconds']);

-- ---- the application, made by its owner
CREATE ROLE bus_owner;
CREATE ROLE bus_client;
CREATE ROLE bus_stranger;
CREATE SCHEMA shelf AUTHORIZATION bus_owner;
SET LOCAL ROLE bus_owner;
SET LOCAL search_path = shelf, public;
CREATE TABLE package (name text PRIMARY KEY, title text NOT NULL, releases int NOT NULL DEFAULT 0 CONSTRAINT releases_are_counted CHECK (releases >= 0));
CREATE TABLE release (package text NOT NULL REFERENCES package, version text NOT NULL, notes text, PRIMARY KEY (package, version));
CREATE TABLE watched (watcher text NOT NULL, package text NOT NULL REFERENCES package, PRIMARY KEY (watcher, package));
CREATE TABLE mail (watcher text NOT NULL, package text NOT NULL, version text NOT NULL);
INSERT INTO package VALUES ('libpq5', 'a library'), ('psql', 'a client');

CREATE DOMAIN package_name AS text NOT NULL CONSTRAINT is_a_name CHECK (VALUE ~ '^[a-z0-9]+$');
CREATE DOMAIN version AS text NOT NULL CONSTRAINT is_a_version CHECK (VALUE ~ '^[0-9]+(\.[0-9]+)*$');
CREATE TYPE note AS (lang varchar(2), text text);
CREATE TYPE add_to_watchlist AS (watcher text, package package_name);
CREATE TYPE publish_release AS (package package_name, version version, notes note[]);
CREATE TYPE releases_of AS (package package_name, newest int);
CREATE TYPE release_published AS (package text, version text);

CREATE FUNCTION handle_add(c add_to_watchlist) RETURNS watched LANGUAGE sql SECURITY DEFINER SET search_path = shelf, pg_temp AS
	$$ INSERT INTO watched VALUES (c.watcher, c.package) RETURNING * $$;
CREATE FUNCTION handle_publish(c publish_release) RETURNS release LANGUAGE plpgsql SECURITY DEFINER SET search_path = shelf, pg_temp AS $$
DECLARE
	published release;
BEGIN
	UPDATE package SET releases = releases + 1 WHERE name = c.package;
	IF NOT FOUND THEN
		PERFORM apibase.raise_not_found('package', c.package::text);
	END IF;
	PERFORM apibase.emit(ROW(c.package, c.version)::release_published);
	INSERT INTO release VALUES (c.package, c.version, (c.notes[1]).text) RETURNING * INTO published;
	RETURN published;
END $$;
CREATE FUNCTION handle_releases_of(q releases_of) RETURNS SETOF release LANGUAGE sql STABLE SECURITY DEFINER SET search_path = shelf, pg_temp AS
	$$ SELECT r.* FROM release r WHERE r.package = q.package ORDER BY r.version DESC LIMIT q.newest $$;
CREATE FUNCTION write_mail(e release_published) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = shelf, pg_temp AS
	$$ INSERT INTO mail SELECT w.watcher, e.package, e.version FROM watched w WHERE w.package = e.package $$;
CREATE FUNCTION refuse_betas(e release_published) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM apibase.raise_forbidden('versions below 1 are not for everybody');
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA shelf FROM PUBLIC;

SELECT lives_ok($$SELECT apibase.register_command('add_to_watchlist', 'handle_add(add_to_watchlist)')$$, 'the owner of type and function registers');
SELECT lives_ok($$SELECT apibase.register_command('publish_release', 'handle_publish(publish_release)', idempotency => 'required')$$, 'with a key that is required');
SELECT lives_ok($$SELECT apibase.register_query('releases_of', 'handle_releases_of(releases_of)', cache_ttl => '1 hour', tags => '{"releases of {package}"}')$$, 'a query');
SELECT lives_ok($$SELECT apibase.register_event('release_published', aggregate_type => 'package', aggregate_id => 'package')$$, 'an event');
SELECT lives_ok($$SELECT apibase.subscribe('release_published'::regtype, 'write_mail(release_published)')$$, 'a subscriber');
SELECT lives_ok($$SELECT apibase.subscribe('release_published'::regtype, 'refuse_betas(release_published)', filter => 'version like ''0%''', rank => 1)$$, 'and one with a filter');
SELECT lives_ok($$SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'shelf.add_to_watchlist',
	config => '{"specification": "watcher like ''%@%''"}')$$, 'middleware that comes with it, for a type of ours');
SELECT results_eq($$SELECT message::text, problem FROM apibase.commands WHERE message::text IN ('add_to_watchlist', 'publish_release') ORDER BY 1$$,
	$$VALUES ('add_to_watchlist', NULL::text), ('publish_release', NULL)$$, 'the view has them, without problems');
SELECT throws_ok($$SELECT apibase.register_query('releases_of', 'handle_add(add_to_watchlist)')$$, 'PB051', NULL, 'a function that takes something else');
SELECT throws_ok($$SELECT apibase.register_command('release', 'write_mail(release_published)')$$, 'PB051', NULL, 'and another type');
SELECT throws_ok($$SELECT apibase.use_middleware('apibase.middleware_logging(apibase.dispatch,jsonb,jsonb)', 'around', '*')$$, '42501', NULL, 'everybody''s dispatches are not the owner''s');
RESET ROLE;
SELECT apibase.cache_watch('shelf.release');

SET LOCAL ROLE bus_stranger;
SELECT throws_ok($$SELECT apibase.register_command('shelf.add_to_watchlist'::regtype, 'shelf.handle_add(shelf.add_to_watchlist)'::regprocedure)$$, '42501', NULL, 'a stranger registers nothing');
SELECT results_eq($$SELECT ok, error ->> 'status', error ->> 'code' FROM apibase.command('shelf.add_to_watchlist', '{"watcher": "a@b", "package": "psql"}')$$,
	$$VALUES (false, '403', '42501')$$, 'and may not dispatch what nobody has granted');
SELECT throws_ok($$SELECT apibase.query('shelf.releases_of', '{"package": "psql"}')$$, '42501', NULL, 'nor ask');
SELECT throws_ok($$SELECT apibase.outbox_read('x')$$, '42501', NULL, 'nor read the outbox');
SELECT throws_matching($$SELECT apibase.command('shelf.publish_releas', '{}')$$, 'no handler is registered', 'an unknown name');
RESET ROLE;
GRANT EXECUTE ON FUNCTION shelf.handle_add, shelf.handle_publish, shelf.handle_releases_of TO bus_client;

-- ---- a client, which knows names and JSON only
SET LOCAL ROLE bus_client;
SET LOCAL search_path = public;
SET LOCAL request.jwt.claims = '{"sub": "ann"}';
CREATE TEMP TABLE answer (n int, r apibase.result);
SELECT throws_ok($$SELECT * FROM shelf.release$$, '42501', NULL, 'the client cannot reach the tables');
SELECT results_eq($$SELECT ok, value FROM apibase.command('shelf.add_to_watchlist', '{"watcher": "ann@example.org", "package": "psql"}')$$,
	$$VALUES (true, '{"watcher": "ann@example.org", "package": "psql"}'::jsonb)$$, 'a command is done');
SELECT results_eq($$SELECT error ->> 'status', error ->> 'detail', error #>> '{errors,0,pointer}' FROM apibase.command('shelf.add_to_watchlist', '{"watcher": "ann@example.org", "package": "psql"}')$$,
	$$VALUES ('409', 'the combination of watcher and package is already used', '/watcher')$$, 'twice is a conflict, of the fields of the key');
SELECT results_eq($$SELECT error ->> 'status', error #>> '{errors,0,pointer}' FROM apibase.command('shelf.add_to_watchlist', '{"watcher": "ann@example.org", "package": "nano"}')$$,
	$$VALUES ('409', '/package')$$, 'what it refers to is not there');
SELECT results_eq($$SELECT error ->> 'status', error #>> '{errors,0,pointer}' FROM apibase.command('shelf.add_to_watchlist', '{"watcher": "ann", "package": "psql"}')$$,
	$$VALUES ('422', '/watcher')$$, 'the middleware refuses it');
SELECT bag_eq($$SELECT e ->> 'pointer' AS pointer, e ->> 'code' AS code FROM apibase.command('shelf.publish_release',
		'{"package": "No Name", "notes": [{"lang": "en"}, {"lang": "english"}, {"text": 1}, 5], "verison": "1"}', '{"idempotency_key": "k1"}') c, jsonb_array_elements(c.error -> 'errors') e$$,
	$$VALUES ('/package', '23514'), ('/version', '23502'), ('/notes/1/lang', '22001'), ('/notes/2/text', '42804'), ('/notes/3', '42804'), ('/verison', '42703')$$,
	'all faults of a payload, with pointers');

-- ---- idempotency
SELECT is((apibase.command('shelf.publish_release', '{"package": "psql", "version": "1.0"}')).error ->> 'code', 'PB053', 'a key is required');
INSERT INTO answer SELECT n, apibase.command('shelf.publish_release', '{"package": "psql", "version": "1.0", "notes": [{"text": "new"}]}', '{"idempotency_key": "k1"}')
FROM generate_series(1, 3) n;
SELECT results_eq($$SELECT (r).ok, (r).replayed FROM answer ORDER BY n$$, $$VALUES (true, false), (true, true), (true, true)$$, 'done once, answered three times');
SELECT is(count(DISTINCT (r).value), 1::bigint, 'with the same value') FROM answer;
SELECT is((apibase.command('shelf.publish_release', '{"package": "psql", "version": "2.0"}', '{"idempotency_key": "k1"}')).error ->> 'status', '422', 'another payload under the key');
SET LOCAL request.jwt.claims = '{"sub": "ben"}';
SET LOCAL request.headers = '{"idempotency-key": "\"k1\""}';
SELECT ok(c.ok AND NOT c.replayed, 'another subject has keys of its own, here in the header') FROM apibase.command('shelf.publish_release', '{"package": "libpq5", "version": "5.1"}') c;
SET LOCAL request.headers = '';

-- ---- what fails leaves nothing
SELECT results_eq($$SELECT error ->> 'status', error ->> 'code' FROM apibase.command('shelf.publish_release', '{"package": "psql", "version": "1.0"}', '{"idempotency_key": "k2"}')$$,
	$$VALUES ('409', '23505')$$, 'a version that is there, after the counter and the event were written');
SELECT results_eq($$SELECT error ->> 'status', error ->> 'detail' FROM apibase.command('shelf.publish_release', '{"package": "psql", "version": "0.9"}', '{"idempotency_key": "k3"}')$$,
	$$VALUES ('403', 'versions below 1 are not for everybody')$$, 'a subscriber fails the command');
SELECT results_eq($$SELECT replayed, error ->> 'status' FROM apibase.command('shelf.publish_release', '{"package": "psql", "version": "0.9"}', '{"idempotency_key": "k3"}')$$,
	$$VALUES (true, '403')$$, 'what was refused stays refused');
SELECT is((apibase.command('shelf.publish_release', '{"package": "nano", "version": "1"}', '{"idempotency_key": "k4"}')).error ->> 'detail', 'package nano was not found', 'what the handler raises');
SELECT throws_ok($$SELECT apibase.unwrap(apibase.command('shelf.publish_release', '{"package": "nano", "version": "1"}', '{"idempotency_key": "k5"}'))$$, 'PT404',
	'package nano was not found', 'and as an error');
RESET ROLE;
SELECT results_eq($$SELECT name, releases FROM shelf.package ORDER BY name$$, $$VALUES ('libpq5', 1), ('psql', 1)$$, 'counters of what was done only');
SELECT results_eq($$SELECT * FROM shelf.mail$$, $$VALUES ('ann@example.org', 'psql', '1.0')$$, 'one mail, to the one who watches');
SELECT results_eq($$SELECT e ->> 'type', e ->> 'aggregatetype', e ->> 'aggregateid', e #>> '{data,version}'
		FROM (SELECT o::jsonb AS e FROM apibase.outbox o WHERE o.type = 'shelf.release_published' ORDER BY o.batch, o.ordinal) o$$,
	$$VALUES ('shelf.release_published', 'package', 'psql', '1.0'), ('shelf.release_published', 'package', 'libpq5', '5.1')$$, 'the events, as CloudEvents, in their order');
SELECT isnt_empty($$SELECT FROM apibase.outbox WHERE type = 'shelf.release_published' AND causationid IS NOT NULL AND correlationid IS NOT NULL$$, 'which name their cause');

-- ---- queries
SET LOCAL ROLE bus_client;
SELECT is(apibase.query('shelf.releases_of', '{"package": "psql"}'), '[{"package": "psql", "version": "1.0", "notes": "new"}]'::jsonb, 'a query');
SELECT is(apibase.query('shelf.releases_of', '{"package": "nano"}'), '[]'::jsonb, 'without rows');
SELECT is((apibase.query_result('shelf.releases_of', '{"package": ""}')).error #>> '{errors,0,pointer}', '/package', 'with a fault');
SELECT throws_ok($$SELECT apibase.query('shelf.releases_of', '{"newest": "x"}')$$, 'PT422', NULL, 'which query() raises');
SELECT ok(c.ok, 'another release') FROM apibase.command('shelf.publish_release', '{"package": "psql", "version": "1.1"}', '{"idempotency_key": "k6"}') c;
SELECT is(apibase.query('shelf.releases_of', '{"package": "psql", "newest": 1}') #>> '{0,version}', '1.1', 'the transaction sees its own');
RESET ROLE;

-- ---- the owner changes his mind
SET LOCAL ROLE bus_owner;
SET LOCAL search_path = shelf, public;
SELECT is(apibase.unsubscribe('refuse_betas(release_published)'::regprocedure), 1, 'one subscription less');
SELECT ok(apibase.unregister_command('add_to_watchlist'), 'one command less');
SELECT throws_ok($$SELECT apibase.command(ROW('a@b', 'psql')::add_to_watchlist)$$, 'PB050', NULL, 'which is gone');
ALTER FUNCTION handle_releases_of(releases_of) VOLATILE;
SELECT isnt((SELECT problem FROM apibase.queries WHERE message = 'releases_of'::regtype), NULL, 'a handler that cannot be one any more is in the view');
SELECT is((apibase.query_result(ROW('psql', 1)::releases_of)).error ->> 'code', 'PB055', 'and is not called');
DROP FUNCTION handle_publish(publish_release);
SELECT throws_ok($$SELECT apibase.command('shelf.publish_release', '{}')$$, 'PB050', NULL, 'a dropped handler is none');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
