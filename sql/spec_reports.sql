-- spec_check: what in a specification does not fit a relation. spec_explain: why a row does not satisfy it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_reports CASCADE;
CREATE SCHEMA spec_reports;
SET search_path = spec_reports, apibase;

CREATE TYPE address AS (city text, zip int);
CREATE FUNCTION positive(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF i < 0 THEN RAISE 'negative'; END IF; RETURN true; END $$;
CREATE DOMAIN picky AS int CHECK (positive(VALUE)) CHECK (VALUE < 100);
CREATE TABLE items (gone int, id int PRIMARY KEY, price numeric(10,2), name text, tags text[], home address, attrs jsonb, doc json, place point, d date);
ALTER TABLE items DROP COLUMN gone;
INSERT INTO items VALUES (1, 9.50, 'Anna', '{a,b}', ROW('Rome', 5), '{"color": "red", "n": null, "list": [1, {"x": 2}]}', '{}', '(1,2)', '2026-01-31'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- 1. spec_check: one row for each clause with a problem, in the order of the JSON form.
SELECT * FROM spec_check('items', 'price >= 10 and name like ''A%'' or not (id between 1 and 5 and d is null)');
SELECT * FROM spec_check('items', '');
SELECT * FROM spec_check('items', NULL);
SELECT pointer, field, sqlstate, message, hint FROM spec_check('items', 'prize > 10 and (id = ''many'' or not (nam like ''A%'' and price = true)) and id = 1 and home.town = ''x''');
SELECT pointer, field, sqlstate, message FROM spec_check('items', 'prize = 1');
SELECT pointer, field, sqlstate, message, hint FROM spec_check('items', 'price = $1 or id in (1, $2)');
SELECT pointer, field, sqlstate FROM spec_check('items', 'id like ''x'' and place > ''(1,1)'' and doc = ''x'' and name ~ ''('' and name not like ''a\'' and name like ''a\\'' and id = nowhere.type ''x'' and id = no_type ''x'' and d < ''today'' and name.first = ''x'' and attrs.color = 1');
-- constraints of domains within the field's own type
CREATE TYPE boxed AS (v picky);
CREATE TABLE boxes (b boxed);
SELECT pointer, field, sqlstate FROM spec_check('boxes', 'b = ''(-1)'' and b = spec_reports.boxed ''(101)'' and b < ''(7)''');
-- the pointer leads into the JSON form
SELECT c.pointer, (s::jsonb #> string_to_array(ltrim(c.pointer, '/'), '/'))->>'field' = c.field AS leads_to_field
FROM (SELECT 'a = 1 or b = 2 and not (c = 3 or d = ''2026-01-01'' and (e = 5 or f = 6)) or id = 7'::spec AS s) x, spec_check('items', s) c;
-- any relation with columns; nothing else
CREATE VIEW labels AS SELECT id, name AS label FROM items;
SELECT field, hint FROM spec_check('labels', 'labels = ''x''');
SELECT plans.raises($$SELECT * FROM spec_check('items_pkey', 'id = 1')$$, 'items_pkey');
SELECT plans.raises($$SELECT * FROM spec_check(0, 'id = 1')$$);
-- many problems, and the session's state as before
SELECT count(*), count(DISTINCT pointer) FROM spec_check('items', (SELECT string_agg('x' || i || ' = 1', ' or ') FROM generate_series(1, 3000) i)::spec);
BEGIN;
SET LOCAL statement_timeout = '1min';
SAVEPOINT a;
SELECT sqlstate FROM spec_check('items', 'nope = 1');
ROLLBACK TO a;
SELECT sqlstate FROM spec_check('items', 'nope = 1');
COMMIT;
BEGIN READ ONLY;
SELECT sqlstate FROM spec_check('items', 'nope = 1');
COMMIT;
-- no right to the table is needed, and none given: what fits is in the catalog
CREATE ROLE spec_reports_user;
GRANT USAGE ON SCHEMA spec_reports TO spec_reports_user;
SET ROLE spec_reports_user;
SELECT sqlstate FROM spec_check('items', 'nope = 1');
RESET ROLE;
-- a problem of another kind is not a problem of the specification
CREATE FUNCTION cancelled(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled; END $$;
CREATE DOMAIN cancelling AS int CHECK (cancelled(VALUE));
CREATE TYPE boxed_cancelling AS (v cancelling);
CREATE TABLE cancelling_boxes (b boxed_cancelling);
SELECT * FROM spec_check('cancelling_boxes', 'b = ''(1)''');

-- 2. spec_explain: no rows for a row that satisfies it.
SELECT count(*) FROM items i, spec_explain(i, 'id > 0 and (price > 1 or price is null)');
SELECT count(*) FROM items i, spec_explain(i, NULL);
SELECT count(*) FROM items i, spec_explain(i, '');
SELECT i.id, e.* FROM items i, spec_explain(i, 'price >= 10 and (name = ''Bob'' or id = 7 or d > ''2026-02-01'') and id < 3') e ORDER BY i.id, e.pointer;
-- under not: what should have failed, and did not
SELECT i.id, e.* FROM items i, spec_explain(i, 'not (id < 9 and (name is null or price < 10)) and not (id = 5 or id = 1)') e ORDER BY i.id, e.pointer;
SELECT e.* FROM items i, spec_explain(i, 'not (id = 1 and not (name = ''x'' or price < 1))') e WHERE i.id = 1;
SELECT e.* FROM items i, spec_explain(i, 'id not in (1, 2) and id <> 1 and not id < 5 and name is null and name not like ''A%''') e WHERE i.id = 1;
SELECT e.* FROM items i, spec_explain(i, 'false and id = 1') e WHERE i.id = 1;
SELECT e.* FROM items i, spec_explain(i, 'not (true or id = 1)') e WHERE i.id = 1;
-- the actual value as JSON
SELECT e.clause, e.field, e.actual FROM items i, spec_explain(i, 'price = 1 and tags contains array[''z''] and home.zip = 1 and home is null and attrs.color = ''blue'' and attrs.n = 1 and attrs.list[1].x = 3 and attrs.list[-2] = 9 and attrs.none = 1 and attrs is null and d = ''2025-12-31''') e WHERE i.id = 1;
SELECT e.clause, e.actual FROM items i, spec_explain(i, 'price = 1 and home.zip = 1 and attrs.color = ''blue'' and attrs.list[1].x = 3') e WHERE i.id = 2;
-- the clause, by itself, is not satisfied either
SELECT bool_and(NOT i @@ e.clause::spec) AS none_satisfied, count(*) FROM items i, unnest(ARRAY['price >= 10 and name = ''Bob''', 'not (id < 9 and (name is null or price < 10))', 'not (id < 9)', 'not (name ilike ''a%'' or id = 2)']::spec[]) s, spec_explain(i, s) e;
-- rows of all kinds, and documents
SELECT * FROM spec_explain(ROW(1, 'x'::text), 'f1 = 2 and f2 = ''y''');
SELECT * FROM spec_explain(ROW('Rome', 5)::address, 'zip > 10 and city = ''Rome''');
SELECT e.* FROM (SELECT id, name AS label FROM items WHERE id = 1) r, spec_explain(r, 'label = ''x''') e;
SELECT * FROM spec_explain(NULL::items, 'id = 1 and name is null');
SELECT * FROM spec_explain(NULL::record, 'id = 1 and name is null');
SELECT * FROM spec_explain('{"price": 12, "tags": ["a"], "a": {"b": [1, 2]}}'::jsonb, 'price > 20 and none = 1 and a.b[1] = 3 and tags contains ''b'' and price > 1');
SELECT * FROM spec_explain(NULL::jsonb, 'id = 1');
DO $$
DECLARE
	r items;
	e record;
BEGIN
	SELECT * INTO r FROM items WHERE id = 1;
	r.price := 3;
	FOR e IN SELECT * FROM spec_explain(r, 'price > 5 and name = ''Anna''') LOOP
		RAISE WARNING '% %', e.clause, e.actual;
	END LOOP;
END $$;
SELECT plans.raises($$SELECT spec_explain(1, 'id = 1')$$);
SELECT plans.raises($$SELECT e.* FROM spec_reports.items i, spec_explain(i, 'nope = 1') e$$, 'nope');
SELECT plans.raises($$SELECT e.* FROM spec_reports.items i, spec_explain(i, 'id = $1') e$$, '$1');
SELECT count(*) FROM items i, spec_explain(i, (SELECT string_agg('id = ' || n, ' or ') FROM generate_series(3, 5000) n)::spec) WHERE i.id = 1;

DROP OWNED BY spec_reports_user;
DROP ROLE spec_reports_user;
DROP SCHEMA spec_reports CASCADE;
