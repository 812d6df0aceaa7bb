-- Specifications as SQL text: to_sql_condition and to_sql_params. The text stands alone: any search_path, any settings, any place in a statement.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_sql_text, spec_citext, "Odd ""schema" CASCADE;
CREATE SCHEMA spec_sql_text;
CREATE SCHEMA spec_citext;
CREATE EXTENSION citext SCHEMA spec_citext;
SET search_path = spec_sql_text, apibase;
SET timezone = 'UTC';

-- 1. The text, exactly.
CREATE TABLE items (id int PRIMARY KEY, name text COLLATE "C", price numeric, qty int NOT NULL, status varchar(10), active bool, tags text[], attrs jsonb, created timestamptz);
SELECT to_sql_condition('price >= 10', 'items');
SELECT to_sql_condition('price >= 10', 'items', 'i');
SELECT to_sql_condition('not (price >= 10) or qty in (1, 2)', 'items', 'i');
SELECT to_sql_condition('name like ''A%'' and status = ''it''''s'' and active = true and not (tags contains array[''a b'', ''c''])', 'items', 'Odd alias');
SELECT to_sql_condition('attrs.color = ''red'' and created >= ''2026-01-01 10:00+02'' and name is null and price is not null', 'items', 'i');
SELECT to_sql_condition('qty between 1.5 and 7 and qty <> 3.5', 'items') AS folded, to_sql_condition('', 'items') AS empty, to_sql_condition('false', 'items') AS never;
SELECT * FROM to_sql_params('price >= 10 and name like ''A%'' and qty in (1, 2) and active = false', 'items', 'i');
SELECT * FROM to_sql_params('price >= 10 or tags overlaps array[''a'', ''b'']', 'items', NULL, 7);
SELECT * FROM to_sql_params('attrs.color = ''red''', 'items');
SELECT * FROM to_sql_params('price is null', 'items');
SELECT * FROM to_sql_params('', 'items');
SELECT to_sql_condition(NULL, 'items') IS NULL AS no_spec, to_sql_condition('id = 1', NULL) IS NULL AS no_relation;

-- 2. Quoting: names of schemas, tables, columns, types and aliases; values with everything in them.
CREATE SCHEMA "Odd ""schema";
CREATE TYPE "Odd ""schema"."Mood's" AS ENUM ('ok', 'it''s "bad"');
CREATE TYPE "Odd ""schema".pair AS ("X y" int, "select" text);
CREATE DOMAIN "Odd ""schema"."Dom" AS int;
CREATE TABLE "Odd ""schema"."Table ""x" (id int, "select" text, "a.b" int, """" text, "é" text, m "Odd ""schema"."Mood's", p "Odd ""schema".pair, d "Odd ""schema"."Dom", ci spec_citext.citext,
	bt bit(3), c char(5), ch "char", by bytea, iv interval, f4 real, f8 double precision, b bool[], r int4range, mm "Odd ""schema"."Mood's"[]);
INSERT INTO "Odd ""schema"."Table ""x" VALUES (1, E'a''b\\c\n"d" $1 % ?', 1, 'q', 'é', 'it''s "bad"', '(1,x)', 1, 'ABC', B'101', 'x', 'y', '\x00ff', '1 day -01:00', 0.1, 1e-300, '{t,f}', '[1,5)', '{ok}'), (2, 'x', 2, '''', 'e', 'ok', '(2,"y ""z")', 2, 'abd', B'100', 'y', 'z', '\x', '-1 year', 'NaN', '-Infinity', '{NULL}', 'empty', '{}');
INSERT INTO "Odd ""schema"."Table ""x" (id) VALUES (3);
SELECT spec, plans.ids('"Odd ""schema"."Table ""x"', spec) FROM unnest(ARRAY[E'"select" = ''a''''b\\c\n"d" $1 % ?''', '"a.b" = 1', '"""" = ''q''', '"""" = ''''''''', 'é = ''é''', 'm = ''it''''s "bad"''', 'm in (''ok'', ''it''''s "bad"'')', 'm > ''ok''', 'p."X y" = 1', 'p."select" = ''y "z''', 'd <= 1', 'ci = ''abc''', 'ci like ''AB%''',
	'bt = ''101''', 'bt in (''101'', ''100'')', 'c = ''x''', 'c like ''x%''', 'ch = ''y''', 'by = ''\x00ff''', 'by = ''\x''', 'iv = ''1 day -1 hour''', 'iv < ''-11 months''', 'f4 = 0.1', 'f4 = ''NaN''', 'f8 = 1e-300', 'f8 < 0', 'b = array[true, false]', 'r contains 4', 'r = ''empty''', 'mm contains array[''ok'']', 'mm = ''{}''']) spec;
SELECT to_sql_condition('"a.b" = 1 and m = ''ok'' and p."X y" = 1', '"Odd ""schema"."Table ""x"', 'Al"ias');
-- A backslash stays one where strings still have escapes.
SELECT to_sql_condition(E'name = ''b\\c''', 'items') AS condition \gset
SET standard_conforming_strings = off;
SET escape_string_warning = off;
INSERT INTO items VALUES (1, E'b\\c', 1, 1);
SELECT id FROM items WHERE :condition;
RESET standard_conforming_strings;
RESET escape_string_warning;
DELETE FROM items;

-- 3. Settings: the text says the same whatever DateStyle, TimeZone, IntervalStyle and the like are when it is made and when it is used.
CREATE TABLE times (id int, tz timestamptz, ts timestamp, d date, iv interval, f float8, by bytea);
INSERT INTO times VALUES (1, '2026-02-01 00:00+00', '2026-02-01', '2026-02-01', '1 day -01:00', 0.1::float8 + 0.2::float8, '\x5c'), (2, '2026-01-02 00:00+00', '2026-01-02', '2026-01-02', '-1 day 01:00', 0.3::float8, '\x61');
CREATE TABLE conditions (spec text, condition text, params text[], prepared text);
SET datestyle = 'German'; SET timezone = 'Asia/Kolkata'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = -15; SET bytea_output = 'escape';
INSERT INTO conditions SELECT s, to_sql_condition(s::spec, 'times'), p.params, p.condition FROM unnest(ARRAY['tz = ''01.02.2026 05:30:00''', 'ts = ''01.02.2026''', 'd = ''01.02.2026''', 'd in (''01.02.2026'', ''2026-02-01'')', 'iv = ''1 day -1 hour''', 'f = 0.30000000000000004', 'by = ''\x5c'' or by = ''\x''']) s,
	to_sql_params(s::spec, 'times') p;
SET datestyle = 'SQL, MDY'; SET timezone = 'America/New_York'; SET intervalstyle = 'postgres_verbose'; RESET extra_float_digits; RESET bytea_output;
CREATE FUNCTION run(condition text) RETURNS int[] LANGUAGE plpgsql AS $$ DECLARE ids int[]; BEGIN EXECUTE 'SELECT array_agg(id ORDER BY id) FROM times WHERE ' || condition INTO ids; RETURN ids; END $$;
SELECT spec, run(condition), run(regexp_replace(prepared, '\$1', quote_literal(params[1]))) AS with_params FROM conditions WHERE cardinality(params) = 1;
SELECT spec, run(condition) FROM conditions WHERE cardinality(params) > 1;
RESET datestyle; RESET intervalstyle; SET timezone = 'UTC';

-- 4. Any search_path: operators, types and functions of the same names in front of the real ones.
CREATE SCHEMA spec_evil;
CREATE FUNCTION spec_evil.yes(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION spec_evil.yes(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION spec_evil.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT ''string''::pg_catalog.text';
DO $$ DECLARE op text; BEGIN
	FOREACH op IN ARRAY '{=,<,<=,>,>=,<>,~~,^@,~}'::text[] LOOP
		EXECUTE format('CREATE OPERATOR spec_evil.%s (LEFTARG = int, RIGHTARG = int, FUNCTION = spec_evil.yes)', op);
		EXECUTE format('CREATE OPERATOR spec_evil.%s (LEFTARG = text, RIGHTARG = text, FUNCTION = spec_evil.yes)', op);
	END LOOP;
END $$;
CREATE DOMAIN spec_evil.int4 AS pg_catalog.text;
CREATE DOMAIN spec_evil.text AS pg_catalog.int4;
CREATE DOMAIN spec_evil."numeric" AS pg_catalog.text;
INSERT INTO items SELECT i, 'n' || i, i, i, CASE WHEN i % 2 = 0 THEN 'open' END, i % 3 = 0, ARRAY['t' || i], jsonb_build_object('k', i, 's', 's' || i), '2026-01-01' FROM generate_series(1, 6) i;
CREATE TABLE answers AS SELECT s AS spec, plans.ids('items', s) AS ids, to_sql_condition(s::spec, 'items', 'i') AS condition FROM unnest(ARRAY['qty = 3', 'qty <> 3', 'qty in (1, 2)', 'qty not in (1, 2)', 'qty between 2 and 3', 'price >= 4', 'name = ''n2''', 'name like ''n%2''', 'name starts_with ''n1''', 'name ~ ''2$''', 'status = ''open'' and qty < 4',
	'not (status = ''open'')', 'attrs.k > 4', 'attrs.s = ''s1''', 'attrs.s like ''s1%''', 'attrs.k like ''1''', 'tags contains array[''t1'']']) s;
CREATE FUNCTION run_evil(condition pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql SET search_path = spec_evil, pg_catalog, pg_temp AS
$$ DECLARE ids pg_catalog.text; BEGIN EXECUTE 'SELECT pg_catalog.array_agg(i.id ORDER BY i.id USING OPERATOR(pg_catalog.<))::pg_catalog.text FROM spec_sql_text.items i WHERE ' OPERATOR(pg_catalog.||) condition INTO ids; RETURN coalesce(ids, '{}'); END $$;
SELECT spec, ids, run_evil(condition) = ids AS same FROM answers;
-- and the specification itself, inlined and in memory, under that search_path
SET search_path = spec_evil, pg_catalog;
SELECT pg_catalog.count(*) AS inlined FROM spec_sql_text.items i WHERE i OPERATOR(apibase.@@) 'qty = 3 and name like ''n3%'' and attrs.k = 3';
SELECT pg_catalog.count(*) AS opaque FROM spec_sql_text.items i, (SELECT apibase.spec 'qty = 3 and name like ''n3%'' and attrs.k = 3' AS s OFFSET 0) x WHERE i OPERATOR(apibase.@@) x.s;
SET search_path = spec_sql_text, apibase;

-- 5. Any place: under NOT, in a select list, on the nullable side of a join, in a function body; and the plan is that of the specification.
SELECT to_sql_condition('status = ''open''', 'items', 'i') AS condition \gset
SELECT count(*) FILTER (WHERE :condition) AS yes, count(*) FILTER (WHERE NOT :condition) AS no, count(*) FILTER (WHERE :condition IS NULL) AS nulls, bool_or(:condition AND i.id = 2 OR false) AS in_an_or FROM items i;
CREATE TABLE shops (id int);
INSERT INTO shops VALUES (1), (99);
SELECT to_sql_condition('not (qty < 3)', 'items', 'i') AS condition \gset
SELECT s.id, :condition AS text, i @@ 'not (qty < 3)' AS spec, NOT (:condition) AS negated FROM shops s LEFT JOIN items i ON i.id = s.id ORDER BY 1;
INSERT INTO items SELECT i, 'n' || i, i, i FROM generate_series(7, 5000) i;
CREATE INDEX items_price ON items (price);
CREATE INDEX items_color ON items ((attrs -> 'color'));
VACUUM ANALYZE items;
SELECT to_sql_condition('price >= 4990', 'items') AS condition, to_sql_condition('not (price < 4990) or attrs.color = ''red''', 'items', 'i') AS other \gset
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE :condition;
SELECT plans.has('SELECT * FROM items i WHERE ' || :'other', 'BitmapOr') AS bitmap_or, plans.has('SELECT * FROM items i WHERE ' || :'other', 'items_color') AS expression_index;
-- parameters in a generic plan use the index as well
SELECT condition FROM to_sql_params('price >= 4990 and attrs.color = ''red''', 'items') \gset
SET plan_cache_mode = force_generic_plan;
SELECT format('PREPARE by_params (numeric, jsonb) AS SELECT count(*) FROM items WHERE %s', :'condition') \gexec
SELECT plans.has('EXECUTE by_params (4990, ''"red"'')', 'items_price|items_color') AS indexed;
RESET plan_cache_mode;

-- 6. What has rows, and what has not.
CREATE VIEW a_view AS SELECT id, price * 2 AS twice FROM items;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM a_view;
CREATE TABLE a_parent (gone int, id int, v int) PARTITION BY RANGE (id);
ALTER TABLE a_parent DROP COLUMN gone;
SELECT to_sql_condition('twice > 5', 'a_view', 'v') AS view, to_sql_condition('twice > 5', 'a_matview') AS matview, to_sql_condition('v = 1', 'a_parent', 'p') AS partitioned;
SELECT c, plans.raises(format('SELECT to_sql_condition(''id = 1'', %L)', c)) FROM unnest(ARRAY['items_price', 'items_pkey']) c;
SELECT plans.raises($$SELECT to_sql_condition('gone = 1', 'a_parent')$$, 'gone') AS dropped_column, plans.raises($$SELECT to_sql_condition('prise = 1', 'items')$$, 'prise', 'price') AS unknown, plans.raises($$SELECT to_sql_condition('price = $1', 'items')$$) AS unbound,
	plans.raises($$SELECT to_sql_params('price = 1', 'items', NULL, 0)$$) AS first_param;

DROP SCHEMA spec_sql_text, spec_evil, spec_citext, "Odd ""schema", plans CASCADE;
