-- Acceptance of specifications: what the README and docs/spec.md promise, in the order in which a newcomer meets it.
BEGIN;
SELECT plan(46);
SET LOCAL search_path = public, apibase;
SET LOCAL client_min_messages = warning;

-- the type and its neighbours
SELECT has_type('apibase', 'spec', 'the type');
SELECT has_function('apibase', 'is_satisfied_by', ARRAY['anyelement', 'apibase.spec']);
SELECT volatility_is('apibase'::name, 'is_satisfied_by'::name, 'stable');
SELECT has_operator('anyelement', 'apibase'::name, '@@'::name, 'spec', 'boolean'::name, 'row @@ spec');
SELECT has_operator('spec', 'apibase'::name, '&&'::name, 'spec', 'spec'::name, 'spec && spec');
SELECT has_operator('spec', 'apibase'::name, '||'::name, 'spec', 'spec'::name, 'spec || spec');
SELECT has_leftop('apibase'::name, '!!'::name, 'spec', 'spec'::name, '!! spec');
SELECT has_cast('spec'::name, 'jsonb'::name, 'spec to jsonb');
SELECT has_cast('jsonb'::name, 'spec'::name, 'jsonb to spec');
SELECT has_cast('json'::name, 'spec'::name, 'json to spec');

-- the language
SELECT is('price>=10 AND (Status IN (''open'',''held'') OR name LIKE ''A%'') AND NOT qty BETWEEN 1 AND 5 AND deleted_at IS NULL'::spec::text,
	'price >= 10 and (status in (''open'', ''held'') or name like ''A%'') and qty not between 1 and 5 and deleted_at is null', 'canonical text');
SELECT is('{"and": [{"field": "price", "op": "gte", "value": 10}, {"not": {"field": "name", "op": "is", "value": null}}]}'::spec, 'price >= 10 and name is not null', 'JSON form with synonyms');
SELECT is('price >= 10 or a.b[0] = ''x'''::spec::jsonb::spec, 'price >= 10 or a.b[0] = ''x''', 'to JSON and back');
SELECT throws_ok($$SELECT 'price >= '::spec$$, 'PB010', NULL, 'a syntax error');
SELECT throws_ok($$SELECT '{"field": "price", "operator": "ge", "value": 1}'::spec$$, 'PB010', NULL, 'an unknown key');
SELECT throws_ok($$SELECT 'price < null'::spec$$, '22004', NULL, 'NULL where it would be silently false');

-- building
SELECT is(build(or_where(and_where("where"('price', 'ge', 10), 'status', 'in', 'open', 'held'), 'name', 'like', 'A%')), 'price >= 10 and status in (''open'', ''held'') or name like ''A%''', 'a chain');
SELECT is(spec('price >= $1 and name like $2', 10, $$'; DROP TABLE items; --%$$), $$price >= 10 and name like '''; DROP TABLE items; --%'$$, 'values are bound, never spliced');
SELECT is(spec 'a = 1' && 'b = 2' || !! spec 'c < 3', 'a = 1 and b = 2 or not (c < 3)', 'operators');
SELECT is(spec_all('a = 1', NULL, 'b = 2'), 'a = 1 and b = 2', 'NULL is no specification');
SELECT is(spec_any(VARIADIC '{}'), 'false', 'any of none');
SELECT throws_ok($$SELECT build('price >= $1')$$, 'PB013', NULL, 'an unbound parameter');

-- evaluating
CREATE TABLE items (id int PRIMARY KEY, name text COLLATE "C", price numeric, qty int NOT NULL, status text, created timestamptz, attrs jsonb, tags text[]);
INSERT INTO items SELECT i, 'item ' || i, CASE WHEN i % 10 > 0 THEN i * 1.5 END, i % 7, (ARRAY['open', 'held', 'closed'])[i % 3 + 1], timestamptz '2026-01-01 00:00+00' + i * interval '1 hour',
	jsonb_build_object('color', (ARRAY['red', 'blue'])[i % 2 + 1], 'weight', i), ARRAY['t' || i % 5] FROM generate_series(1, 2000) i;
CREATE INDEX items_price ON items (price);
CREATE INDEX items_name ON items (name);
CREATE INDEX items_weight ON items ((attrs -> 'weight'));
ANALYZE items;
SELECT ok(jsonb '{"price": 12, "tags": ["a", "b"]}' @@ spec 'price > 10 and tags contains array[''a'']', 'a document');
SELECT ok(jsonb '{"a": 5}' @@ '$.a > 3', 'jsonpath is not disturbed');
SELECT results_eq($$SELECT i @@ 'price > 14', i @@ 'not (price > 14)', is_satisfied_by(i, 'price is null') FROM items i WHERE id IN (9, 10) ORDER BY id$$, 'VALUES (false, true, false), (false, true, true)', 'rows, and NULL');
SELECT set_eq($$SELECT id FROM items WHERE items @@ 'price >= 2990'$$, 'SELECT id FROM items WHERE price >= 2990', 'a comparison');
SELECT set_eq($$SELECT id FROM items WHERE items @@ 'not (price < 2990)'$$, 'SELECT id FROM items WHERE (price < 2990) IS NOT TRUE', 'its negation');
SELECT set_eq($$SELECT id FROM items WHERE items @@ 'attrs.weight between 5 and 7 and tags overlaps array[''t0'', ''t1'']'$$, 'VALUES (5), (6)', 'paths and arrays');
SELECT throws_ok($$SELECT * FROM items WHERE items @@ 'prize > 1'$$, '42703', 'field "prize" of the specification does not exist in "items"', 'an unknown field');
SELECT throws_ok($$SELECT * FROM items WHERE items @@ 'qty = ''many'''$$, '22P02', NULL, 'a value that its type does not read');
SELECT throws_ok($$SELECT * FROM items WHERE items @@ 'name = 5'$$, '42804', NULL, 'a number for a text');

-- planning
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; plan text := '';
BEGIN FOR line IN EXECUTE 'EXPLAIN ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
SELECT is(plan_of($$SELECT * FROM items WHERE items @@ 'price >= 2990'$$), plan_of('SELECT * FROM items WHERE price >= 2990'), 'the plan is the native one');
SELECT is(plan_of($$SELECT * FROM items WHERE items @@ 'name like ''item 19%'' and qty in (1, 2)'$$), plan_of($$SELECT * FROM items WHERE name LIKE 'item 19%' AND qty IN (1, 2)$$), 'with its estimates');
SELECT matches(plan_of($$SELECT * FROM items WHERE items @@ 'not (price < 2990)'$$), 'BitmapOr', 'a negation uses the index twice');
SELECT matches(plan_of($$SELECT * FROM items WHERE items @@ 'attrs.weight = 7'$$), 'items_weight', 'a path uses its expression index');
PREPARE list (spec) AS SELECT count(*) FROM items WHERE items @@ $1;
SELECT matches(plan_of($$EXECUTE list ('price >= 2990')$$), 'items_price', 'a bound parameter');
SELECT matches(plan_of($$SELECT * FROM items WHERE items @@ spec('price >= $1', 2990)$$), 'items_price', 'a bound value');

-- as SQL text
SELECT is(to_sql_condition('not (price < 10)', 'items', 'i'), '((i.price OPERATOR(pg_catalog.>=) ''10''::pg_catalog."numeric") OR (i.price IS NULL))', 'text that stands alone');
SELECT results_eq($$SELECT params, types FROM to_sql_params('price >= 10 and name like ''A%''', 'items')$$, $$VALUES ('{10,A%}'::text[], '{numeric,text}'::regtype[])$$, 'text with parameters');

-- one predicate, many places
SELECT lives_ok($$ALTER TABLE items ADD CONSTRAINT sane CHECK (items @@ 'not (price < 0)')$$, 'CHECK');
SELECT throws_ok($$UPDATE items SET price = -1 WHERE id = 1$$, '23514', NULL, 'is checked');
SELECT lives_ok($$UPDATE items SET price = NULL WHERE id = 1$$, 'and accepts NULL when negated');
SELECT lives_ok($$CREATE INDEX cheap ON items (created) WHERE items @@ 'price < 100'$$, 'partial index');
SELECT matches(plan_of($$SELECT * FROM items WHERE items @@ 'price < 100 and created = timestamptz ''2026-01-03 00:00+00'''$$), 'cheap', 'is known to the planner');
CREATE ROLE spec_reader;
GRANT SELECT ON items TO spec_reader;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY open_only ON items USING (items @@ 'status in (''open'', ''held'')');
SET LOCAL ROLE spec_reader;
SELECT set_eq('SELECT DISTINCT status FROM items', 'VALUES (''open''), (''held'')', 'row policy');
RESET ROLE;
CREATE TABLE seen (id int);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END $$;
CREATE TRIGGER dear AFTER UPDATE ON items FOR EACH ROW WHEN (NEW @@ 'price >= 100000') EXECUTE FUNCTION see();
UPDATE items SET price = 100000 WHERE id = 2;
UPDATE items SET price = 99999 WHERE id = 3;
SELECT results_eq('SELECT id FROM seen', 'VALUES (2)', 'trigger condition');

SELECT * FROM finish();
ROLLBACK;
