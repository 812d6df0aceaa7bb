-- find and find_count: lists of a relation's rows, in order, by pages, with indexes whatever the caller's statement is.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_find, spec_find_other CASCADE;
CREATE SCHEMA spec_find;
SET search_path = spec_find, public, apibase;
SET TimeZone = 'UTC';

CREATE TYPE address AS (city text, zip int);
CREATE TABLE items (gone text, id int PRIMARY KEY, price numeric(10,2) NOT NULL, qty int, name text COLLATE "C", "Odd ""Name" text,
	home address, attrs jsonb, created timestamptz NOT NULL);
ALTER TABLE items DROP COLUMN gone;
INSERT INTO items SELECT i, i % 50 + 0.5, nullif(i % 7, 0), 'n' || i % 10, CASE WHEN i % 3 > 0 THEN 'o' || i % 3 END,
		CASE WHEN i % 4 > 0 THEN ROW('c' || i % 4, nullif(i % 5, 0))::address END,
		CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN '{"k": null}' WHEN 3 THEN jsonb_build_object('k', i % 11) ELSE jsonb_build_object('k', 't' || i % 11) END,
		timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'
	FROM generate_series(1, 5000) i;
-- a column that old rows do not store, and one after the dropped one
ALTER TABLE items ADD COLUMN later text DEFAULT 'later';
CREATE INDEX items_price ON items (price, id);
CREATE INDEX items_qty ON items (qty, id);
ANALYZE items;

-- 1. Rows of the type, whatever the relation is.
SELECT * FROM find(NULL::items, 'id in (12, 13)', 'id');
SELECT (f).id, (f).later FROM (SELECT find(NULL::items, 'id between 7 and 8', 'id') f) x;
SELECT id, n FROM (VALUES (1), (5)) v(n), find(NULL::items, spec('id = $1', n)) ORDER BY id;
SELECT find_count(NULL::items), find_count(NULL::items, NULL), find_count(NULL::items, 'price = 0.5'), find_count(NULL::items, 'false');
SELECT count(*) FROM find(NULL::items);
SELECT (SELECT jsonb_agg(to_jsonb(f)) FROM find(NULL::items, NULL, 'id') f) = (SELECT jsonb_agg(to_jsonb(i) ORDER BY id) FROM items i) AS every_row;
SELECT f = i AS same_row, f IS NOT DISTINCT FROM i AS same FROM find(NULL::items, 'id = 4999') f, items i WHERE i.id = 4999;
CREATE VIEW cheap AS SELECT id, price AS cost FROM items WHERE price < 3;
CREATE MATERIALIZED VIEW totals AS SELECT qty, sum(price) AS total FROM items GROUP BY qty;
CREATE TABLE parts (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_a (note text, region text NOT NULL, gone int, id int NOT NULL);
ALTER TABLE parts_a DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_a FOR VALUES IN ('a');
CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
INSERT INTO parts SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, 'note ' || i FROM generate_series(1, 6) i;
CREATE TABLE parent (id int PRIMARY KEY, price numeric NOT NULL);
CREATE TABLE heir (extra int) INHERITS (parent);
INSERT INTO parent VALUES (1, 1), (3, 3);
INSERT INTO heir VALUES (2, 2, 20), (4, 4, 40);
CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA spec_find;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE lines (id int, word text) SERVER files OPTIONS (program 'printf "2,two\n1,one\n3,three\n"', format 'csv');
CREATE TEMP TABLE mine (id int PRIMARY KEY);
INSERT INTO mine VALUES (3), (1), (2);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
SELECT * FROM find(NULL::cheap, 'cost > 2', 'id', 2);
SELECT * FROM find(NULL::totals, 'qty is not null', 'qty desc', 2);
SELECT * FROM find(NULL::parts, 'note like ''note%''', 'region desc', 4);
SELECT * FROM find(NULL::parent, 'price > 1', 'id');
SELECT * FROM find(NULL::lines, 'word <> ''one''', 'id');
SELECT * FROM find(NULL::mine, NULL, 'id desc');
SELECT count(*) FROM find(NULL::nothing);
-- a domain over a row type: its rows, as far as they satisfy the domain
CREATE DOMAIN cheap_item AS items CHECK ((VALUE).price < 10);
SELECT id, price FROM find(NULL::cheap_item, 'price < 2', NULL, 2);
SELECT count(*) FROM find(NULL::cheap_item, 'price < 11');
-- everything else is refused
SELECT * FROM find(NULL::address);
SELECT * FROM find(1);
SELECT * FROM find(ROW(1)) AS r(a int);
SELECT * FROM find(NULL::items[]);
SELECT find_count('{}'::jsonb);

-- 2. The specification is part of the statement.
SELECT apibase_internal.find_sql(NULL::items, 'price >= 10 and name = ''n1''', 'price desc', 20, 40);
SELECT apibase_internal.find_sql(NULL::parts, NULL);
SELECT plans.raises($$SELECT * FROM find(NULL::items, 'prize = 1')$$, 'prize', 'price');
SELECT plans.raises($$SELECT * FROM find(NULL::items, 'qty = ''x''')$$, 'qty');
SELECT plans.raises($$SELECT * FROM find(NULL::items, 'qty = $1')$$, '$1', 'bind');
SELECT plans.raises($$SELECT find_count(NULL::items, 'qty = $1')$$, '$1', 'bind');
-- so a bound parameter and a generic plan use the index: statistics of this transaction count the scans
CREATE VIEW scans AS SELECT seq_scan AS seq, idx_scan AS idx FROM pg_stat_xact_user_tables WHERE relid = 'items'::regclass;
PREPARE listed(spec) AS SELECT array_agg(id) FROM find(NULL::items, $1, 'price', 3);
PREPARE native(spec) AS SELECT array_agg(id) FROM items WHERE items @@ $1;
CREATE FUNCTION eight_times(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ids int[];
	found int[];
	before scans;
	after scans;
BEGIN
	SELECT * INTO before FROM scans;
	FOR i IN 1 .. 8 LOOP
		EXECUTE format('EXECUTE %I(%L)', statement, 'id = ' || i) INTO ids;
		found := found || ids;
	END LOOP;
	SELECT * INTO after FROM scans;
	RETURN format('%s: %s sequential, %s index scans', found, after.seq - before.seq, after.idx - before.idx);
END $$;
SET plan_cache_mode = auto;
SELECT eight_times('listed');
SET plan_cache_mode = force_generic_plan;
SELECT eight_times('listed'), eight_times('native');
SET plan_cache_mode = auto;
DEALLOCATE ALL;
-- PL/pgSQL binds its variables the same way
CREATE FUNCTION listed(s spec) RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT array_agg(id) FROM find(NULL::items, s, 'price', 3)); END $$;
PREPARE in_plpgsql(spec) AS SELECT listed($1);
SELECT eight_times('in_plpgsql');
RESET plan_cache_mode;
-- the planner expects as many rows as a constant limit says
SELECT plans.estimate($$SELECT * FROM find(NULL::items, 'qty = 1', 'id', 7)$$) AS seven, plans.estimate('SELECT * FROM find(NULL::items)') AS by_default,
	plans.estimate($$SELECT * FROM find(NULL::items, "limit" => 0)$$) AS none;

-- 3. Order.
SELECT id, price FROM find(NULL::items, 'id < 102', 'price desc, id', 3);
SELECT id, qty FROM find(NULL::items, 'id <= 14', 'qty, id', 3);
SELECT id, qty FROM find(NULL::items, 'id <= 14', 'qty desc, id', 3);
SELECT id, qty FROM find(NULL::items, 'id <= 14', 'qty desc nulls last, id', 3);
SELECT id, qty FROM find(NULL::items, 'id <= 14', 'qty nulls first, id desc', 3);
SELECT id, home FROM find(NULL::items, 'id <= 8', 'home.zip desc nulls last, home.city desc', 3);
SELECT id, attrs FROM find(NULL::items, 'id <= 15', 'attrs.k');
SELECT id, "Odd ""Name" FROM find(NULL::items, 'id <= 3', '"Odd ""Name" DESC');
SELECT apibase_internal.find_sql(NULL::mine, NULL, 'id, id desc') ~ 'ORDER BY t.id ASC NULLS LAST$' AS named_twice;
-- the primary key makes it total, in the direction of the last item
SELECT regexp_replace(apibase_internal.find_sql(NULL::items, NULL, o), '.* ORDER BY ', '') FROM unnest(ARRAY['price', 'price desc', 'price desc, id', 'id', 'qty, price desc nulls last', '']) o;
SELECT regexp_replace(apibase_internal.find_sql(NULL::parts, NULL, o), '.* ORDER BY ', '') FROM unnest(ARRAY['note', 'region', 'region desc']) o;
CREATE TABLE documents (id int, doc json, place point, payload xml, dj jsonb);
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'prices')$$, 'prices', 'price');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'home.town')$$, 'town');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'price sideways')$$, 'sideways');
SELECT plans.raises(format($$SELECT * FROM find(NULL::documents, NULL, %L)$$, f), f, 'cannot be sorted') FROM unnest(ARRAY['doc', 'place', 'payload']) f;

-- 4. Limit and offset.
SELECT count(*) AS three FROM find(NULL::items, NULL, NULL, 3);
SELECT count(*) AS none FROM find(NULL::items, NULL, NULL, 0);
SELECT array_agg(id) FROM find(NULL::items, NULL, 'id', 3, 10);
SELECT array_agg(id) FROM find(NULL::items, NULL, 'id', "offset" => 4998);
SELECT count(*) AS none FROM find(NULL::items, NULL, 'id', 10, 5000);
SELECT count(*) FROM find(NULL::items, NULL, 'id', 9223372036854775807, 0);
SELECT plans.raises($$SELECT * FROM find(NULL::items, "limit" => -1)$$, 'limit');
SELECT plans.raises($$SELECT * FROM find(NULL::items, "offset" => -1)$$, 'offset');

-- 5. Keyset paging: the pages, one after the other, are the whole list.
CREATE FUNCTION pages(relation anyelement, s spec, order_by text, size int, OUT pages int, OUT rows int, OUT verdict text) LANGUAGE plpgsql AS $$
DECLARE
	cursor jsonb;
	page jsonb;
	paged jsonb := '[]';
	whole jsonb;
BEGIN
	SELECT coalesce(jsonb_agg(f), '[]') INTO whole FROM find(relation, s, order_by) f;
	pages := 0;
	LOOP
		SELECT jsonb_agg(f) INTO page FROM find(relation, s, order_by, size, after => cursor) f;
		EXIT WHEN page IS NULL OR pages > 1000;
		pages := pages + 1;
		paged := paged || page;
		cursor := page->-1;
	END LOOP;
	rows := jsonb_array_length(paged);
	verdict := CASE WHEN paged = whole THEN 'the whole list' ELSE 'not the whole list' END;
END $$;
SELECT o AS order_by, p.* FROM unnest(ARRAY['id', 'id desc', 'price', 'price desc', 'price, id desc', 'qty', 'qty desc', 'qty nulls first', 'qty desc nulls last',
	'qty, id desc', 'qty desc, id', 'name, qty desc', 'name desc, qty nulls first, price desc', '"Odd ""Name"', '"Odd ""Name" desc nulls last, qty nulls first', 'home.city, home.zip desc',
	'home', 'home desc', 'attrs.k', 'attrs.k desc', 'attrs.k desc nulls last, qty', 'attrs', 'attrs desc nulls last', 'created desc', 'later, created']) o,
	pages(NULL::items, 'id <= 200', o, 7) p;
SELECT o AS order_by, p.* FROM unnest(ARRAY['region', 'note desc', 'region desc, note']) o, pages(NULL::parts, NULL, o, 2) p;
SELECT p.* FROM pages(NULL::cheap, 'cost > 1', 'cost, id', 9) p;
SELECT p.* FROM pages(NULL::items, 'false', 'id', 9) p;
-- after alone: by the primary key; with an offset: beyond the cursor
SELECT array_agg(id) FROM find(NULL::items, 'qty = 3', "limit" => 3, after => '{"id": 17}');
SELECT array_agg(id) FROM find(NULL::items, 'qty = 3', "limit" => 2, "offset" => 1, after => '{"id": 17}');
SELECT array_agg(id) FROM find(NULL::items, 'id > 4990', 'qty', 3, 2, '{"id": 4990, "qty": 6}');
-- every type that to_jsonb writes comes back
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE kinds (id int PRIMARY KEY, i2 int2, i8 int8, n numeric(6,3), f4 real, f8 float8, t text, v varchar(4), c char(5), na name, b bool, d date, ts timestamp, tz timestamptz,
	ti time, tt timetz, iv interval, u uuid, e mood, ia int[], ta text[], r int4range, by bytea, ip inet, o oid, do_ small, bi bit(3), dj jsonb, nn numeric);
INSERT INTO kinds SELECT i, i, i * 1000000000000, i / 7.0, i / 3.0, i / 3.0, 't' || chr(64 + i), 'v' || i, 'c' || i, 'n' || i, i % 2 = 0, date '2026-01-01' + i,
	timestamp '2026-01-01' + i * interval '1.000001 s', timestamptz '2026-01-01' + i * interval '1.000001 s', time '12:00' + i * interval '1 us', timetz '12:00+00' + i * interval '1 us',
	i * interval '1 day 1 us', ('00000000-0000-0000-0000-0000000000' || 10 + i)::uuid, (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, ARRAY[i, NULL], ARRAY['a"b', i::text, 'null'],
	int4range(i, i + 5), ('\x0' || i % 10)::bytea, ('10.0.0.' || i)::inet, i, i, i::bit(3), to_jsonb(i), CASE WHEN i > 8 THEN 'NaN' ELSE i::numeric END FROM generate_series(1, 9) i;
INSERT INTO kinds (id, dj, f8, tz) VALUES (10, 'null', 'NaN', 'infinity'), (11, '[]', '-Infinity', '-infinity');
SELECT string_agg(a.attname || d || ': ' || p.verdict, E'\n' ORDER BY a.attnum, d) FILTER (WHERE verdict <> 'the whole list' OR p.rows <> 11) AS wrong, count(*)
	FROM pg_attribute a, unnest(ARRAY['', ' desc', ' nulls first', ' desc nulls last']) d, pages(NULL::kinds, NULL, quote_ident(a.attname) || d, 3) p
	WHERE a.attrelid = 'kinds'::regclass AND a.attnum > 0;

-- 6. The page starts where the index says: no sort, nothing read before it.
CREATE FUNCTION page_plan(statement text, VARIADIC args text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'PREPARE page AS ' || statement;
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) EXECUTE page(' || (SELECT string_agg(quote_literal(a), ', ') FROM unnest(args) a) || ')';
	DEALLOCATE page;
END $$;
SET enable_bitmapscan = off;
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, 'name = ''n1''', 'price', 20, after => '{"price": 12.5, "id": 812}'), '12.5', '812');
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'price desc', 20, after => '{"price": 12.5, "id": 812}'), '12.5', '812');
SET plan_cache_mode = force_generic_plan;
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'price', 20, after => '{"price": 12.5, "id": 812}'), '12.5', '812');
-- a key that can be NULL: where both the rest of the values and the NULLs follow, two scans are merged
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'qty', 20, after => '{"qty": 3, "id": 812}'), '3', '812');
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'qty', 20, after => '{"qty": null, "id": 812}'), '812');
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'qty desc', 20, after => '{"qty": 3, "id": 812}'), '3', '812');
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'qty desc', 20, after => '{"qty": null, "id": 812}'), '812');
-- mixed directions: the redundant bound on the first key
SELECT * FROM page_plan(apibase_internal.find_sql(NULL::items, NULL, 'price desc, id', 20, after => '{"price": 12.5, "id": 812}'), '12.5', '812');
RESET plan_cache_mode;
RESET enable_bitmapscan;
-- so no page reads more than its rows: twenty, and one of the NULLs
CREATE VIEW fetched AS SELECT seq_scan AS seq, idx_tup_fetch AS fetched FROM pg_stat_xact_user_tables WHERE relid = 'items'::regclass;
BEGIN;
SELECT seq, fetched FROM fetched \gset before_
SELECT count(*) FROM find(NULL::items, NULL, 'price', 20, after => '{"price": 12.5, "id": 812}');
SELECT count(*) FROM find(NULL::items, NULL, 'qty', 20, after => '{"qty": 6, "id": 4}');
SELECT seq - :before_seq AS sequential, fetched - :before_fetched AS fetched FROM fetched;
COMMIT;

-- 7. Cursors that do not fit.
CREATE TABLE heap (a int, b text);
SELECT plans.raises($$SELECT * FROM find(NULL::heap, after => '{"a": 1}')$$, 'heap', 'primary key', 'order_by');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'price', after => '{"id": 1}')$$, 'price', 'price, id', 'to_jsonb');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'price', after => '{"price": 1}')$$, 'sort key id');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'home.zip', after => '{"id": 1, "home": {"city": "x"}}')$$, 'home.zip');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'home.zip', after => '{"id": 1, "home": 5}')$$, 'home.zip');
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'attrs.k', after => '{"id": 1}')$$, 'attrs.k');
SELECT plans.raises(format($$SELECT * FROM find(NULL::items, NULL, 'id', after => %L)$$, a), 'object') FROM unnest(ARRAY['[1]', '1', 'null']) a;
SELECT plans.raises($$SELECT * FROM find(NULL::items, NULL, 'id', after => '{"id": "x"}')$$, 'x');
SELECT * FROM find(NULL::items, NULL, 'id', after => '{"id": 1.5}');
-- what is not a key is not looked at
SELECT array_agg(id) FROM find(NULL::items, NULL, 'id', 2, after => '{"id": 1, "price": "x", "nonsense": [], "home": 5}');

-- 8. As the caller: privileges and row policies, also when another role has run the same list before.
CREATE ROLE spec_find_a;
CREATE ROLE spec_find_b;
GRANT USAGE ON SCHEMA spec_find TO spec_find_a, spec_find_b;
CREATE TABLE owned (id int PRIMARY KEY, owner name, secret text);
INSERT INTO owned VALUES (1, 'spec_find_a', 's1'), (2, 'spec_find_b', 's2'), (3, 'spec_find_a', 's3');
GRANT SELECT ON owned TO spec_find_a;
GRANT SELECT (id, owner) ON owned TO spec_find_b;
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON owned USING (owner = current_user);
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
SET ROLE spec_find_a;
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
SELECT find_count(NULL::owned, 'id > 0');
RESET ROLE;
SET ROLE spec_find_b;
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
RESET ROLE;
GRANT SELECT ON owned TO spec_find_b;
SET ROLE spec_find_b;
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
SET row_security = off;
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
RESET row_security;
SELECT * FROM find(NULL::items, 'id = 1');
SELECT apibase_internal.find_sql(NULL::owned, 'id > 0', 'id');
RESET ROLE;
-- rights that are gone
REVOKE SELECT ON owned FROM spec_find_a;
SET ROLE spec_find_a;
SELECT id FROM find(NULL::owned, 'id > 0', 'id');
RESET ROLE;
-- no operator of another schema gets in
CREATE FUNCTION never(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR spec_find.= (LEFTARG = int, RIGHTARG = int, FUNCTION = never);
CREATE OPERATOR spec_find.> (LEFTARG = int, RIGHTARG = int, FUNCTION = never);
SET search_path = spec_find, pg_catalog, apibase;
SELECT array_agg(id) FROM find(NULL::items, 'qty = 3', 'qty, id', 2, after => '{"qty": 3, "id": 17}');
SET search_path = spec_find, public, apibase;
DROP OPERATOR spec_find.= (int, int);
DROP OPERATOR spec_find.> (int, int);

-- 9. The snapshot of the caller, also read-only.
BEGIN READ ONLY;
SELECT id FROM find(NULL::items, 'price = 1.5', 'id', 2);
SELECT id FROM find(NULL::items, 'price = 1.5', 'id', 2, after => '{"id": 51}');
COMMIT;
WITH new AS (INSERT INTO mine VALUES (4) RETURNING id) SELECT (SELECT count(*) FROM new) AS new, find_count(NULL::mine) AS found;
DO $$ BEGIN INSERT INTO mine VALUES (5); ASSERT find_count(NULL::mine) = 5; ASSERT (SELECT count(*) FROM find(NULL::mine)) = 5; END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM find(NULL::mine, NULL, 'id');
FETCH 1 FROM c;
INSERT INTO mine VALUES (0);
FETCH ALL FROM c;
COMMIT;
-- a result larger than work_mem
SET work_mem = '64kB';
SELECT count(*), sum(id), count(later) FROM find(NULL::items, NULL, 'price');
RESET work_mem;

-- 10. The cache: no more plans than the setting says, none for another meaning.
CREATE FUNCTION kept() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'apibase find plan' $$;
SET apibase.find_cache_size = 0;
SELECT count(*) FROM find(NULL::items, 'id = 1');
SELECT kept() AS none;
SET apibase.find_cache_size = 3;
SELECT count(find_count(NULL::items, spec('id = $1', i))) FROM generate_series(1, 10) i;
SELECT kept() AS three;
SET apibase.find_cache_size = 2;
SELECT count(*) FROM find(NULL::items, 'id = 10');
SELECT kept() AS two;
SET apibase.find_cache_size = 64;
SELECT count(*) FROM generate_series(1, 100) i, find(NULL::items, 'price > 3', 'price', 2, i, after => jsonb_build_object('price', i, 'id', i));
SELECT kept() AS three_offset_and_cursor_are_parameters;
-- errors leave no plan behind, in subtransactions either
CREATE FUNCTION fails(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$;
CREATE VIEW failing AS SELECT id, fails(id) AS f FROM mine;
DO $$
DECLARE
	before bigint := kept();
BEGIN
	FOR i IN 1 .. 50 LOOP
		BEGIN
			PERFORM * FROM find(NULL::items, spec('id = $1 and nope = 1', i));
		EXCEPTION WHEN undefined_column THEN NULL;
		END;
		BEGIN
			PERFORM * FROM find(NULL::items, NULL, 'price', after => '{"price": 1}');
		EXCEPTION WHEN SQLSTATE 'PB015' THEN NULL;
		END;
		BEGIN
			PERFORM * FROM find(NULL::failing, 'f');
		EXCEPTION WHEN division_by_zero OR SQLSTATE 'PB010' THEN NULL;
		END;
		BEGIN
			PERFORM * FROM find(NULL::failing, 'f = true');
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
	ASSERT kept() = before + 1, format('%s plans more', kept() - before);
END $$;
-- find within find, where the inner ones drop the plan of the outer while it runs
CREATE FUNCTION inner_count(i int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN find_count(NULL::mine, spec('id <= $1', i)); END $$;
CREATE VIEW nested AS SELECT id, inner_count(id) AS n FROM mine;
SET apibase.find_cache_size = 1;
SELECT * FROM find(NULL::nested, 'n >= 3', 'id');
SELECT count(*) FROM find(NULL::items, 'id = 1');
SELECT kept() AS one;
CREATE FUNCTION recursive(depth int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN depth = 0 THEN 0 ELSE (SELECT count(recursive(depth - 1)) FROM find(NULL::mine, spec('id <= $1', depth), 'id')) + recursive(depth - 1) END;
END $$;
CREATE VIEW recurring AS SELECT id, recursive(id) AS n FROM mine WHERE id < 5;
SELECT * FROM find(NULL::recurring, 'n >= 0', 'id');
-- and an error in there
CREATE FUNCTION find_and_fail(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM find_count(NULL::items, spec('id = $1', i));
	RETURN CASE WHEN i = 3 THEN 1 / (i - 3) ELSE i END;
END $$;
CREATE VIEW half AS SELECT id, find_and_fail(id) AS n FROM mine;
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			PERFORM * FROM find(NULL::half, spec('n > $1', i), 'id');
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
SELECT count(*) FROM find(NULL::items, 'id = 1');
SELECT kept() AS one;
RESET apibase.find_cache_size;
DISCARD PLANS;
SELECT count(*) FROM find(NULL::items, 'id = 1');

-- 11. What a kept plan depends on changes.
CREATE TABLE changing (id int PRIMARY KEY, a int, b text, home address);
INSERT INTO changing VALUES (1, 10, 'x', ROW('p', 1)), (2, 9, 'y', ROW('q', 2));
CREATE FUNCTION look(s spec DEFAULT 'a > 1', o text DEFAULT 'b') RETURNS SETOF jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT to_jsonb(f) FROM find(NULL::changing, s, o) f; END $$;
SELECT * FROM look();
ALTER TABLE changing ADD COLUMN c int DEFAULT 7;
SELECT * FROM look();
ALTER TABLE changing DROP COLUMN c;
SELECT * FROM look();
ALTER TABLE changing ALTER a TYPE text;
SELECT plans.raises('SELECT * FROM look()', 'number');
SELECT * FROM look('a > ''1''');
ALTER TABLE changing RENAME b TO z;
SELECT plans.raises('SELECT * FROM look()', '"b"');
ALTER TABLE changing RENAME z TO b;
SELECT * FROM look('home.city = ''p''');
ALTER TYPE address RENAME ATTRIBUTE city TO town;
SELECT plans.raises($$SELECT * FROM look('home.city = ''p''')$$, 'city');
ALTER TYPE address RENAME ATTRIBUTE town TO city;
SELECT * FROM look('home.city = ''p''');
-- the order of the primary key
CREATE FUNCTION order_of(o text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(apibase_internal.find_sql(NULL::changing, NULL, o), '.* ORDER BY ', '') $$;
SELECT order_of('b');
ALTER TABLE changing DROP CONSTRAINT changing_pkey;
SELECT order_of('b');
ALTER TABLE changing ADD PRIMARY KEY (b, id);
SELECT order_of('a desc');
ALTER TABLE changing DROP CONSTRAINT changing_pkey, ADD PRIMARY KEY (id) INCLUDE (b) DEFERRABLE;
SELECT order_of('a desc');
-- tables that change places: the row type decides, not the name
CREATE SCHEMA spec_find_other;
CREATE TABLE spec_find_other.changing (LIKE changing);
INSERT INTO spec_find_other.changing VALUES (3, '99', 'other', NULL);
PREPARE typed AS SELECT id FROM find(NULL::spec_find.changing, 'id > 0', 'id');
EXECUTE typed;
ALTER TABLE changing RENAME TO changing_old;
ALTER TABLE spec_find_other.changing SET SCHEMA spec_find;
EXECUTE typed;
SELECT id FROM find(NULL::changing, 'id > 0', 'id');
SELECT id FROM find(NULL::changing_old, 'id > 0', 'id');
ALTER TYPE mood RENAME TO temper;
SELECT id FROM find(NULL::kinds, 'e = ''ok''', 'id', 2);
ALTER TYPE temper RENAME TO mood;
SELECT id FROM find(NULL::kinds, 'e = ''ok''', 'id', 2);
DROP TABLE changing;
SELECT plans.raises($$SELECT * FROM find(NULL::changing)$$);

DROP OWNED BY spec_find_a, spec_find_b;
DROP ROLE spec_find_a, spec_find_b;
DROP SCHEMA spec_find, spec_find_other CASCADE;
