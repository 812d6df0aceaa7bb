-- The contract of find, find_count, spec_check, spec_explain, spec_uses and spec_stats: signatures, properties, who may call
-- them; and lists inside functions as an API has them.
BEGIN;
SELECT no_plan();
SET LOCAL search_path = public, apibase;
SET LOCAL client_min_messages = warning;

-- signatures
SELECT has_function('apibase', 'find', ARRAY['anyelement', 'apibase.spec', 'text', 'bigint', 'bigint', 'jsonb']);
SELECT function_returns('apibase'::name, 'find'::name, 'setof anyelement');
SELECT has_function('apibase', 'find_count', ARRAY['anyelement', 'apibase.spec']);
SELECT function_returns('apibase'::name, 'find_count'::name, 'bigint');
SELECT has_function('apibase', 'spec_check', ARRAY['regclass', 'apibase.spec']);
SELECT has_function('apibase', 'spec_explain', ARRAY['anyelement', 'apibase.spec']);
SELECT has_function('apibase', 'spec_uses', ARRAY[]::name[]);
SELECT has_view('apibase', 'spec_stats', 'the view spec_stats');
SELECT columns_are('apibase', 'spec_stats', ARRAY['inlined', 'opaque', 'find_calls', 'find_cache_hits', 'find_cache_evictions']);
SELECT is(proargnames, names::text[], proname || ' names its arguments and columns')
FROM pg_proc JOIN (VALUES ('find', '{relation,specification,order_by,limit,offset,after}'), ('find_count', '{relation,specification}'),
		('spec_check', '{relation,specification,pointer,field,sqlstate,message,hint}'), ('spec_explain', '{row,specification,pointer,clause,field,actual}'),
		('spec_uses', '{kind,object,relation,specification,problem}')) v(name, names) ON name = proname
WHERE pronamespace = 'apibase'::regnamespace ORDER BY proname;
SELECT volatility_is('apibase'::name, f::name, 'stable') FROM unnest(ARRAY['find', 'find_count', 'spec_check', 'spec_explain', 'spec_uses']) f;
SELECT isnt_strict('apibase'::name, f::name) FROM unnest(ARRAY['find', 'find_count', 'spec_explain']) f;
-- subtransactions and whatever a view calls cannot run in parallel workers
SELECT is(proparallel::text, 'u', proname || ' is parallel unsafe') FROM pg_proc
WHERE pronamespace = 'apibase'::regnamespace AND proname IN ('find', 'find_count', 'spec_check', 'spec_uses') ORDER BY proname;

-- privileges
CREATE ROLE lists_anybody;
SELECT ok(has_function_privilege('lists_anybody', p.oid, 'EXECUTE') = (p.proname <> 'spec_stats_reset'), p.proname || ': who may call it')
FROM pg_proc p WHERE pronamespace = 'apibase'::regnamespace AND proname ~ '^(find|spec_check|spec_explain|spec_uses|spec_stats)' ORDER BY proname;
SELECT table_privs_are('apibase', 'spec_stats', 'lists_anybody', ARRAY['SELECT']);
SELECT schema_privs_are('apibase_internal', 'lists_anybody', ARRAY[]::text[]);

-- as an API has them: a SECURITY INVOKER function of an HTTP request, all of whose arguments are bound
CREATE TABLE items (id int PRIMARY KEY, price numeric NOT NULL, owner name NOT NULL DEFAULT 'lists_anybody');
INSERT INTO items SELECT i, i % 10 FROM generate_series(1, 100) i;
INSERT INTO items VALUES (101, 1, 'somebody');
GRANT SELECT ON items TO lists_anybody;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON items USING (owner = current_user);
CREATE FUNCTION search(filter apibase.spec, sort text, size int, after jsonb) RETURNS TABLE (id int, price numeric) LANGUAGE sql STABLE
	AS $$ SELECT f.id, f.price FROM apibase.find(NULL::items, filter, sort, least(size, 5), NULL, after) f $$;
PREPARE page(apibase.spec, text, int, jsonb) AS SELECT * FROM search($1, $2, $3, $4);
SET LOCAL ROLE lists_anybody;
SELECT results_eq($$EXECUTE page('{"field": "price", "op": "lt", "value": 2}', 'price desc', 3, NULL)$$, 'VALUES (91, 1.0), (81, 1), (71, 1)', 'the first page');
SELECT results_eq($$EXECUTE page('price < 2', 'price desc', 3, '{"id": 71, "price": 1}')$$, 'VALUES (61, 1.0), (51, 1), (41, 1)', 'the second');
SELECT results_eq($$EXECUTE page('price < 2', 'price desc', 100, '{"id": 11, "price": 1}')$$, 'VALUES (1, 1.0), (100, 0), (90, 0), (80, 0), (70, 0)', 'the size has a limit');
SELECT is_empty($$EXECUTE page('id = 101', NULL, 5, NULL)$$, 'what the policy hides stays hidden');
SELECT throws_ok($$EXECUTE page('prize < 2', NULL, 5, NULL)$$, '42703', NULL, 'an unknown field');
SELECT throws_ok($$EXECUTE page('price < 2', 'prize', 5, NULL)$$, '42703', NULL, 'an unknown field to sort by');
SELECT throws_ok($$EXECUTE page('price < 2', 'price downward', 5, NULL)$$, 'PB014', NULL, 'an order that cannot be read');
SELECT throws_ok($$EXECUTE page('price < 2', 'price', 5, '{}')$$, 'PB015', NULL, 'a cursor without the keys');
SELECT throws_ok($$EXECUTE page('price < $1', 'price', 5, NULL)$$, 'PB013', NULL, 'an unbound parameter');
SELECT throws_ok($$EXECUTE page('price < 2', 'price', -5, NULL)$$, '2201W', NULL, 'a negative size');
RESET ROLE;
SELECT results_eq($$SELECT e.pointer, e.actual FROM items i, apibase.spec_explain(i, 'price > 5 and id < 3') e WHERE i.id = 3$$, $$VALUES ('/and/0', '3'::jsonb), ('/and/1', '3')$$, 'what a problem document needs');

SELECT * FROM finish();
ROLLBACK;
