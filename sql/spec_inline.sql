-- Planner support, one table: what "items @@ '...'" becomes is what hand-written SQL would be, with its indexes and its estimates.
-- plans.equal compares whole plans: shape, conditions, costs, row estimates.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_inline CASCADE;
CREATE SCHEMA spec_inline;
SET search_path = spec_inline, apibase;
SET max_parallel_workers_per_gather = 0;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN d_int AS int;
-- price is NULL in a tenth of the rows, half in the half of them, qty never
CREATE TABLE items (id int PRIMARY KEY, name text COLLATE "C", price int, half int, qty int NOT NULL, status varchar(10), code char(8), mood mood, tag uuid,
	created timestamptz, active bool, d d_int, n numeric, small int2 NOT NULL, big int8);
INSERT INTO items SELECT i, 'name' || i, CASE WHEN i % 10 > 0 THEN i END, CASE WHEN i % 2 = 0 THEN i END, i, (ARRAY['open', 'held', 'closed', 'lost'])[i % 4 + 1], 'c' || i,
	(ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour', i % 100 = 0, i, i / 4.0, i % 1000, i
	FROM generate_series(1, 10000) i;
CREATE INDEX items_name ON items (name);
CREATE INDEX items_price ON items (price);
CREATE INDEX items_half ON items (half);
CREATE INDEX items_qty ON items (qty);
CREATE INDEX items_status ON items (status, price);
CREATE INDEX items_code ON items (code);
CREATE INDEX items_mood ON items (mood);
CREATE INDEX items_tag ON items (tag);
CREATE INDEX items_created ON items (created);
CREATE INDEX items_active ON items (active);
CREATE INDEX items_d ON items (d);
CREATE INDEX items_small ON items (small);
CREATE INDEX items_big ON items (big);
VACUUM ANALYZE items;

-- 1. At the top of a WHERE: exactly the native conditions.
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'price >= 9990';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'price >= 9990 and status in (''open'', ''held'') and name like ''name99%'' and qty between 1 and 10000';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'not (price < 9990)';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'not (qty < 9990)';
EXPLAIN (COSTS OFF) SELECT price FROM items WHERE items @@ 'price >= 9990';
EXPLAIN (COSTS OFF) SELECT count(*) FROM items WHERE items @@ 'price >= 9990';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'price >= 100' ORDER BY price LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'price > 5 and price < 3000000000';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'true';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'qty = 1 and false';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'qty is null';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ NULL;
SELECT spec, native, plans.equal('items', spec, native) AS plan, plans.has(format('SELECT * FROM items WHERE items @@ %L', spec), 'Index Cond') AS index
FROM (VALUES ('price >= 10', 'price >= 10'), ('price >= 9990', 'price >= 9990'), ('price = 77', 'price = 77'), ('price <> 77', 'price <> 77 OR price IS NULL'), ('price is null', 'price IS NULL'), ('price is not null', 'price IS NOT NULL'),
	('price between 9000 and 9010', 'price BETWEEN 9000 AND 9010'), ('price in (1, 2, 3)', 'price IN (1, 2, 3)'), ('price not in (1, 2)', 'price NOT IN (1, 2) OR price IS NULL'), ('price in (5)', 'price = 5'), ('price in (5, null)', 'price = 5 OR price IS NULL'),
	('not (price < 9990)', 'price >= 9990 OR price IS NULL'), ('not (price between 20 and 9990)', 'price < 20 OR price > 9990 OR price IS NULL'),
	('not (price < 9990 or qty < 9995)', '(price >= 9990 OR price IS NULL) AND qty >= 9995'), ('not (price < 9990 and qty < 9995)', 'price >= 9990 OR price IS NULL OR qty >= 9995'),
	('half >= 9990', 'half >= 9990'), ('half < 20', 'half < 20'), ('half <> 4', 'half <> 4 OR half IS NULL'), ('not (half >= 20)', 'half < 20 OR half IS NULL'),
	('qty >= 9990', 'qty >= 9990'), ('not (qty < 9990)', 'qty >= 9990'), ('qty <> 5', 'qty <> 5'), ('not (qty between 10 and 9990)', 'qty < 10 OR qty > 9990'), ('qty not in (1, 2)', 'qty NOT IN (1, 2)'),
	('status = ''open'' and price = 7', 'status = ''open'' AND price = 7'), ('status in (''open'', ''x'') and price > 9990', 'status IN (''open'', ''x'') AND price > 9990'), ('code = ''c77''', 'code = ''c77'''), ('mood = ''sad'' and qty < 9', 'mood = ''sad'' AND qty < 9'), ('mood > ''ok''', 'mood > ''ok'''),
	('tag = ''00000000-0000-0000-0000-000000000077''', 'tag = ''00000000-0000-0000-0000-000000000077'''), ('tag in (''00000000-0000-0000-0000-000000000077'', ''00000000-0000-0000-0000-000000000078'')', 'tag IN (''00000000-0000-0000-0000-000000000077'', ''00000000-0000-0000-0000-000000000078'')'),
	('created >= ''2027-02-20 00:00+00''', 'created >= ''2027-02-20 00:00+00'''), ('created >= date ''2027-02-20''', 'created >= date ''2027-02-20'''), ('created between date ''2026-01-02'' and timestamptz ''2026-01-02 02:00+00''', 'created BETWEEN date ''2026-01-02'' AND timestamptz ''2026-01-02 02:00+00'''),
	('active = true', 'active'), ('active is not true and qty = 7', '(NOT active OR active IS NULL) AND qty = 7'), ('active = false', 'NOT active'), ('d = 77', 'd = 77'), ('d >= 9990.5', 'd >= 9991'), ('n >= 2499.5', 'n >= 2499.5'),
	('small = 7', 'small = ''7'''), ('small > 99999', 'false'), ('small < 99999', 'true'), ('big < 10', 'big < ''10'''), ('big >= 9990.5', 'big >= ''9991'''), ('price < 99999999999', 'price IS NOT NULL'), ('not (price < 99999999999)', 'price IS NULL'),
	('name like ''name99%''', 'name LIKE ''name99%'''), ('name = ''name77''', 'name = ''name77'''), ('name starts_with ''name123''', 'name ^@ ''name123'''), ('name like ''%99''', 'name LIKE ''%99'''), ('name not like ''name%''', 'name NOT LIKE ''name%'' OR name IS NULL'), ('name ~ ''^name12''', 'name ~ ''^name12'''),
	('(price >= 9990 or half >= 9990) and active = false', '(price >= 9990 OR half >= 9990) AND NOT active'), ('id = 1 or id = 2 or name = ''x''', 'id = 1 OR id = 2 OR name = ''x'''), ('price >= 9990 or not (half < 9990)', 'price >= 9990 OR half >= 9990 OR half IS NULL')) v(spec, native);
-- the operator by its schema, the function, named arguments, and a conjunction of two specifications are the same
SELECT plans.same($$SELECT * FROM items WHERE items OPERATOR(apibase.@@) 'price >= 9990'$$, 'SELECT * FROM items WHERE price >= 9990') AS operator, plans.same($$SELECT * FROM items WHERE is_satisfied_by(items, 'price >= 9990')$$, 'SELECT * FROM items WHERE price >= 9990') AS function,
	plans.same($$SELECT * FROM items WHERE is_satisfied_by(specification => 'price >= 9990', "row" => items)$$, 'SELECT * FROM items WHERE price >= 9990') AS named, plans.same($$SELECT * FROM items i WHERE i @@ 'price >= 9990' AND i.* @@ 'name like ''name99%'''$$, $$SELECT * FROM items i WHERE price >= 9990 AND name LIKE 'name99%'$$) AS two,
	plans.same($$SELECT * FROM items WHERE items @@ '{"field": "price", "op": "ge", "value": 9990}'$$, 'SELECT * FROM items WHERE price >= 9990') AS json;
-- what the builder makes of constants is as good as a constant
SELECT plans.same($$SELECT * FROM items WHERE items @@ "where"('price', 'ge', 9990)$$, 'SELECT * FROM items WHERE price >= 9990') AS "where", plans.same($$SELECT * FROM items WHERE items @@ spec('price >= $1 and name like $2', 9990, 'name99%')$$, $$SELECT * FROM items WHERE price >= 9990 AND name LIKE 'name99%'$$) AS bound,
	plans.same($$SELECT * FROM items WHERE items @@ (spec 'price >= 9990' && 'qty < 9995')$$, 'SELECT * FROM items WHERE price >= 9990 AND qty < 9995') AS "and", plans.same($$SELECT * FROM items WHERE items @@ build(and_where(or_where("where"('price', 'ge', 9990), 'qty', 'lt', 7), 'name', 'like', 'name%'))$$, $$SELECT * FROM items WHERE (price >= 9990 OR qty < 7) AND name LIKE 'name%'$$) AS chain,
	plans.same($$SELECT * FROM items WHERE items @@ spec('created >= $1', timestamptz '2027-02-20 00:00+00')$$, $$SELECT * FROM items WHERE created >= timestamptz '2027-02-20 00:00+00'$$) AS moment, plans.same($$SELECT * FROM items WHERE items @@ ('{"field": "price", "op": "ge", "value": 9990}'::jsonb::spec)$$, 'SELECT * FROM items WHERE price >= 9990') AS cast;

-- 2. Elsewhere the conditions never yield NULL; no null test for a column that is NOT NULL.
SELECT spec, plans.value('items', spec) FROM unnest(ARRAY['price >= 10', 'not (price >= 10)', 'qty >= 10', 'not (qty >= 10)', 'price between 1 and 5', 'not (price between 1 and 5)', 'price in (1, 2)', 'price not in (1, 2)', 'price in (1, null)', 'price <> 1', 'price is null',
	'price >= 10 and (qty = 1 or half < 5)', 'not (price >= 10 and (qty = 1 or half < 5))', 'active = true', 'name like ''x%''', 'true', 'false']) spec;
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE NOT (items @@ 'price < 9990');
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE items @@ 'price >= 9990' OR items @@ 'half >= 9990';
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE (items @@ 'price >= 10') IS NOT TRUE;
SELECT count(*) FILTER (WHERE r IS NULL) AS nulls, count(*) FILTER (WHERE r) AS yes, count(*) FILTER (WHERE NOT r) AS no
	FROM (SELECT items @@ 'price >= 5001' AS r FROM items OFFSET 0) s;
SELECT count(*) FROM items WHERE NOT (items @@ 'price >= 5001');
SELECT count(*) FROM items WHERE (items @@ 'price >= 5001') IS NOT TRUE AND (items @@ 'price >= 5001') IS NOT NULL;
SELECT count(*) FROM items WHERE (items @@ 'price >= 5001') = false;
SELECT count(*) FROM items WHERE CASE WHEN items @@ 'price >= 5001' THEN false ELSE true END;
SELECT items @@ 'price >= 5001' AS r, count(*) FROM items GROUP BY 1 ORDER BY 1;
SELECT coalesce(price, -1) / 5000 AS k, bool_and(NOT items @@ 'price >= 5001') FROM items GROUP BY 1 HAVING bool_or((items @@ 'price >= 5001') IS NULL) IS FALSE ORDER BY 1;
-- also where the same condition stands at the top of the WHERE
UPDATE items SET price = NULL WHERE items @@ 'id = 11 and price = 11' RETURNING items @@ 'id = 11 and price = 11' AS false_not_null;
UPDATE items SET price = 11 WHERE id = 11 AND NOT items @@ 'price >= 0' RETURNING items @@ 'price >= 0' AS true_now, NOT items @@ 'price >= 0' AS false_now;
VACUUM ANALYZE items;

-- 3. Estimates of what stays opaque: one row in a hundred, not a half.
SELECT plans.estimate('SELECT * FROM items WHERE items @@ (SELECT spec ''price >= 10'' OFFSET 0)') AS of_10000, plans.estimate('SELECT * FROM items WHERE is_satisfied_by(items, (SELECT spec ''price >= 10'' OFFSET 0))') AS by_function,
	plans.estimate('SELECT * FROM items WHERE NOT items @@ (SELECT spec ''price >= 10'' OFFSET 0)') AS negated;

-- 4. Parameters: known in a custom plan, opaque in a generic one. An untyped parameter is a specification.
SET plan_cache_mode = force_custom_plan;
PREPARE typed (spec) AS SELECT id FROM items WHERE items @@ $1;
PREPARE untyped AS SELECT id FROM items WHERE items @@ $1;
PREPARE made (text) AS SELECT id FROM items WHERE items @@ $1::spec;
PREPARE joined (int) AS SELECT id FROM items WHERE items @@ ('price >= ' || $1)::spec;
PREPARE built (int, text) AS SELECT id FROM items WHERE items @@ spec('price >= $1 and name like $2', $1, $2);
SELECT name, parameter_types FROM pg_prepared_statements WHERE name IN ('typed', 'untyped') ORDER BY 1;
EXPLAIN (COSTS OFF) EXECUTE typed ('price >= 9990');
EXPLAIN (COSTS OFF) EXECUTE untyped ('price >= 9990');
EXPLAIN (COSTS OFF) EXECUTE made ('price >= 9990');
EXPLAIN (COSTS OFF) EXECUTE joined (9990);
EXPLAIN (COSTS OFF) EXECUTE built (9990, 'name99%');
EXPLAIN (COSTS OFF) EXECUTE typed (NULL);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE typed ('price >= 9990');
EXPLAIN (COSTS OFF) EXECUTE built (9990, 'name99%');
EXECUTE typed ('price in (9995, 77)');
EXECUTE typed ('id = 5');
EXECUTE typed (NULL);
RESET plan_cache_mode;
-- left to itself the server keeps planning for the value: ten executions, no generic plan
CREATE FUNCTION ten(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	EXECUTE 'PREPARE ten (spec) AS ' || query;
	FOR i IN 1..10 LOOP
		EXECUTE format('EXECUTE ten (%L)', 'price >= ' || 9990 + i);
	END LOOP;
	SELECT format('custom %s, generic %s', custom_plans, generic_plans) INTO said FROM pg_prepared_statements WHERE name = 'ten';
	DEALLOCATE ten;
	RETURN said;
END $$;
SELECT ten('SELECT count(*) FROM items WHERE items @@ $1') AS count, ten('SELECT * FROM items WHERE items @@ $1 ORDER BY price LIMIT 10') AS page;
PREPARE wrong (text) AS SELECT id FROM items WHERE items @@ $1;
CREATE FUNCTION by_variable(s spec) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXPLAIN (COSTS OFF) SELECT id FROM items WHERE items @@ s LOOP
		plan := plan || E'\n' || line;
	END LOOP;
	RETURN plan;
END $$;
SELECT by_variable('price >= 9990');
CREATE FUNCTION in_sql(s spec) RETURNS SETOF items LANGUAGE sql STABLE AS 'SELECT * FROM items WHERE items @@ s';
EXPLAIN (COSTS OFF) SELECT id FROM in_sql('price >= 9990') WHERE id > 5;

DROP SCHEMA spec_inline, plans CASCADE;
