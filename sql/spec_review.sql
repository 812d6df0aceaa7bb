-- Cases found by reviewing the sources: places where a compiled specification could mean something else than its
-- text says. Each is compared with what is evaluated in memory, or with what is written by hand.
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_review CASCADE;
CREATE SCHEMA spec_review;
SET search_path = spec_review, apibase;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE TABLE items (id int PRIMARY KEY, price int, qty int NOT NULL, flag boolean, created timestamptz);
INSERT INTO items SELECT n, nullif(n % 3, 0), n % 2, n % 2 = 0, timestamptz '2026-01-01 00:00+00' + n * interval '1 hour' FROM generate_series(1, 6) n;
-- a specification that the planner does not know: evaluated in memory
CREATE FUNCTION opaque(text) RETURNS spec LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1::apibase.spec; END $$;

-- 1. Grouping sets make the row NULL, not its columns; or a column, not the row.
SELECT i @@ 'price is null' AS known, i @@ opaque('price is null') AS opaque, grouping(i), count(*)
FROM items i GROUP BY GROUPING SETS ((i), ()) ORDER BY 3, 1, 4;
SELECT ROW(price) @@ 'f1 is null' AS known, grouping(ROW(price)), count(*) FROM items GROUP BY GROUPING SETS ((ROW(price)), ()) ORDER BY 2, 1;
SELECT id, i @@ 'price is null' AS known, i @@ opaque('price is null') AS opaque, price
FROM items i WHERE id < 3 GROUP BY GROUPING SETS ((id), (id, price)) ORDER BY 1, 4;
SELECT i @@ 'price < 2' AS known, count(*) FROM items i WHERE i @@ 'price < 2' GROUP BY GROUPING SETS ((i @@ 'price < 2'), ()) HAVING i @@ 'price < 2';
SELECT flag, NOT (i @@ 'qty is null') AS known, count(*) FROM items i GROUP BY GROUPING SETS ((flag), ((i @@ 'qty is null'))) ORDER BY 1, 2;
-- what is not evaluated after them is still seen through
EXPLAIN (COSTS OFF) SELECT qty, count(*) FROM items i WHERE i @@ 'price < 2' GROUP BY ROLLUP (qty);

-- 2. A Boolean column that is the constant NULL is not true, and not unknown either.
SELECT count(*) FILTER (WHERE x @@ 'flag = true') AS "true", count(*) FILTER (WHERE NOT (x @@ 'flag = true')) AS not_true,
	count(*) FILTER (WHERE (x @@ 'flag = true and id > 0') IS NULL) AS unknown, count(*) FILTER (WHERE x @@ 'flag <> true') AS unequal
FROM (SELECT id, NULL::boolean AS flag FROM items) x;

-- 3. WITH CHECK sees the new row, the condition of the query the old one.
CREATE ROLE spec_review_user;
GRANT USAGE ON SCHEMA spec_review TO spec_review_user;
CREATE TABLE moved (id int, a int);
INSERT INTO moved VALUES (1, 1), (2, 2), (3, 3);
GRANT SELECT, UPDATE ON moved TO spec_review_user;
ALTER TABLE moved ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON moved FOR SELECT USING (true);
CREATE POLICY out_of_range ON moved FOR UPDATE USING (moved @@ 'a < 5') WITH CHECK (NOT (moved @@ 'a < 5'));
SET ROLE spec_review_user;
UPDATE moved SET a = NULL WHERE id = 1;
UPDATE moved SET a = 7 WHERE id = 2;
UPDATE moved SET a = 4 WHERE id = 3;
RESET ROLE;
SELECT * FROM moved ORDER BY id;

-- 4. Row security is applied below an outer join: it says nothing of a row that this makes NULL.
CREATE TABLE guarded (id int, a int);
INSERT INTO guarded VALUES (1, 1), (2, 2);
GRANT SELECT ON guarded, items TO spec_review_user;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON guarded USING (guarded @@ 'a < 2');
SET ROLE spec_review_user;
SELECT i.id, guarded @@ 'a < 2' AS small FROM items i LEFT JOIN guarded USING (id) WHERE i.id < 3 ORDER BY 1;
SELECT i.id FROM items i LEFT JOIN guarded USING (id) WHERE i.id < 3 AND NOT (guarded @@ 'a < 2');
RESET ROLE;

-- 5. A row that holds a call with the same specification.
SELECT x.id, z.id, z.b FROM items x LEFT JOIN LATERAL (SELECT x @@ 'price < 2' AS b, y.* FROM items y WHERE y.id > x.id) z ON true
WHERE z @@ 'price < 2' ORDER BY 1, 2;

-- 6. A stored definition is compiled in each session. Where a literal depends on settings it is no index's predicate;
-- ISO with a zone does not.
CREATE INDEX ON items (id) WHERE items @@ 'created > ''2026-01-01 03:00''';
CREATE INDEX ON items (id) WHERE items @@ 'created > date ''01/02/2026''';
CREATE INDEX ON items ((items @@ 'created in (''2026-01-01 03:00+00'', ''2026-01-01T04:00'')'));
CREATE INDEX ON items (id) WHERE items @@ 'created > ''2026-01-01 03:00+00'' and created < ''infinity''';
CREATE TABLE kinds (d date, t time, ts timestamp, i interval, ds date[], dr daterange, m money, r regclass);
CREATE FUNCTION accepted(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX ON spec_review.kinds (d) WHERE kinds @@ %L', condition);
	RETURN true;
EXCEPTION WHEN invalid_object_definition THEN
	RETURN false;
END $$;
SELECT c.condition, accepted(c.condition) FROM (VALUES ('d = ''2026-01-31'''), ('d = ''01/31/2026'''), ('d = ''epoch'''), ('t > ''10:30'''), ('t > ''10:30:15.5'''), ('t > ''10:30 PM'''),
	('ts > ''2026-01-31 10:30'''), ('ts > ''Jan 31 2026'''), ('i > ''1 day'''), ('i > ''-1 2:03'''),
	('ds contains array[''2026-01-31'']'), ('ds = ''{2026-01-31}'''), ('ds = ''{2026-01-31,01/02/2026}'''),
	('dr overlaps ''[2026-01-01,2026-02-01)'''), ('dr overlaps ''[01/02/2026,)'''), ('m > ''1'''), ('r = regclass ''pg_class'''), ('r = regclass ''1259''')) c(condition);

-- 7. find keeps plans: a literal is read by the settings of each call.
SELECT find_count(NULL::items, 'created > ''2026-01-01 03:00''') AS utc;
SET timezone = 'Asia/Tokyo';
SELECT find_count(NULL::items, 'created > ''2026-01-01 03:00''') AS tokyo, count(*) AS by_hand FROM items WHERE created > '2026-01-01 03:00';
SET timezone = 'UTC';
CREATE TABLE days (d date);
INSERT INTO days VALUES ('2026-01-02'), ('2026-02-01'), ('2026-02-01');
SELECT find_count(NULL::days, 'd = ''01/02/2026''') AS january;
SET datestyle = 'ISO, DMY';
SELECT find_count(NULL::days, 'd = ''01/02/2026''') AS february;
SET datestyle = 'ISO, MDY';

-- 8. A literal brings no code of its author along: neither constraints of a domain nor a cast.
CREATE TABLE traces (who text);
CREATE SCHEMA spec_review_evil AUTHORIZATION spec_review_user;
GRANT INSERT ON traces TO spec_review_user;
SET ROLE spec_review_user;
CREATE FUNCTION spec_review_evil.trap(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO spec_review.traces VALUES (current_user); RETURN true; END $$;
CREATE DOMAIN spec_review_evil.d AS text CHECK (spec_review_evil.trap(VALUE));
CREATE DOMAIN spec_review_evil.day AS date NOT NULL;
CREATE TYPE spec_review_evil.pair AS (a spec_review_evil.d);
CREATE TYPE spec_review_evil.mood AS ENUM ('fine');
CREATE FUNCTION spec_review_evil.as_text(spec_review_evil.mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO spec_review.traces VALUES (current_user); RETURN 'fine'; END $$;
CREATE CAST (spec_review_evil.mood AS text) WITH FUNCTION spec_review_evil.as_text(spec_review_evil.mood) AS IMPLICIT;
RESET ROLE;
CREATE TABLE names (id int, name text, doc jsonb);
INSERT INTO names VALUES (1, 'fine', '{"name": "fine", "day": "2026-01-31"}');
SELECT n @@ 'name = spec_review_evil.d ''fine''' AS of_base_type, n @@ opaque('name = spec_review_evil.d ''fine''') AS opaque, n @@ 'doc.name = spec_review_evil.d ''fine''' AS path,
	n @@ 'doc.day >= spec_review_evil.day ''2026-01-31''' AS day FROM names n;
SELECT n @@ 'name = spec_review_evil.mood ''fine''' FROM names n;
SELECT n @@ opaque('doc.name = spec_review_evil.pair ''(fine)''') FROM names n;
SELECT jsonb '{"name": "fine"}' @@ spec 'name = spec_review_evil._pair ''{"(fine)"}''';
SELECT count(*) FROM find(NULL::names, 'name in (spec_review_evil.d ''fine'')');
SELECT * FROM traces;
-- nor an operator that somebody else put beside a type
CREATE TYPE mood AS ENUM ('fine', 'bad');
GRANT CREATE ON SCHEMA spec_review TO spec_review_user;
SET ROLE spec_review_user;
CREATE FUNCTION spec_review_evil.same(mood, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR spec_review.~~ (LEFTARG = mood, RIGHTARG = text, FUNCTION = spec_review_evil.same);
RESET ROLE;
SELECT ROW('bad'::mood) @@ 'f1 like ''fine''';

-- 9. A plan knows the attributes of composite types by number: it is made again when they change.
CREATE TYPE address AS (city text, zip int);
CREATE TABLE people (id int, home address);
INSERT INTO people VALUES (1, ROW('Rome', 1)), (2, ROW('Oslo', 2));
PREPARE in_rome AS SELECT id FROM people WHERE people @@ 'home.city = ''Rome''';
EXECUTE in_rome;
ALTER TYPE address RENAME ATTRIBUTE city TO town;
ALTER TYPE address ADD ATTRIBUTE city text;
EXECUTE in_rome;
UPDATE people SET home.city = 'Rome' WHERE id = 2;
EXECUTE in_rome;
DEALLOCATE in_rome;

RESET timezone;
RESET datestyle;
DROP OWNED BY spec_review_user CASCADE;
DROP ROLE spec_review_user;
DROP SCHEMA spec_review CASCADE;
