-- Fields with more than one step: composite columns, jsonb columns, both in one another; and jsonb documents as rows.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_paths CASCADE;
CREATE SCHEMA spec_paths;
SET search_path = spec_paths, apibase;

-- 1. Composite columns. A NULL composite has NULL fields; "is null" asks for the value, not for all its fields.
CREATE TYPE geo AS (lat int, lon int);
CREATE DOMAIN d_geo AS geo CHECK ((VALUE).lat > -91);
CREATE TYPE address AS (city text, zip varchar(9), at geo, dat d_geo, extra jsonb, "Odd name" int);
CREATE TABLE people (id int, a address, d d_geo);
INSERT INTO people VALUES (1, ROW('Rome', '00100', ROW(41, 12), ROW(41, 12), '{"floor": 2}', 7), ROW(1, 1)),
	(2, ROW('Oslo', NULL, NULL, NULL, '{"floor": "2"}', NULL), ROW(2, NULL)), (3, ROW(NULL, NULL, ROW(NULL, NULL), NULL, NULL, NULL), NULL), (4, NULL, NULL);
SELECT spec, plans.ids('people', spec) FROM unnest(ARRAY['a.city = ''Rome''', 'a.city <> ''Rome''', 'a.city is null', 'a.zip like ''00%''', 'a.at.lat >= 41', 'not (a.at.lat >= 41)', 'a.dat.lon between 1 and 12', 'a.extra.floor = 2', 'a.extra.floor = ''2''',
	'a."Odd name" = 7', 'a is null', 'a is not null', 'a.at is null', 'a.at = ''(41,12)''', 'a.at < ''(42,)''', 'd.lat in (1, 2)', 'd.lon is null', 'A.CITY = ''Oslo''']) spec;
SELECT plans.value('people', 'a.at.lat > 1') AS value, plans.value('people', 'a.extra.floor = 2') AS document, plans.value('people', 'd.lat < 5') AS through_domain;
SELECT spec, plans.raises(format('SELECT * FROM people WHERE people @@ %L', spec), VARIADIC words::text[]) FROM (VALUES ('a.town = 1', '{town,address}'), ('a.at.lam = 1', '{lam,lat}'), ('a.at.lat.x = 1', '{a.at.lat,integer}'), ('id.x = 1', '{id,integer}'),
	('a[0] = 1', '{address}'), ('a.at = 5', '{a.at}'), ('a.at.lat = ''x''', '{a.at.lat}')) v(spec, words);
CREATE TABLE towns AS SELECT i AS id, ROW('c' || i, i::text, ROW(i, i), NULL, '{}', i)::address AS a FROM generate_series(1, 5000) i;
CREATE INDEX towns_city ON towns (((a).city));
CREATE INDEX towns_lat ON towns ((((a).at).lat));
VACUUM ANALYZE towns;
SELECT plans.equal('towns', 'a.city = ''c77''', '(a).city = ''c77''') AS city, plans.equal('towns', 'not (a.at.lat < 4990)', '((a).at).lat >= 4990 OR ((a).at).lat IS NULL') AS negated,
	plans.has($$SELECT * FROM towns WHERE towns @@ 'a.city = ''c77'''$$, 'Index Cond: ..a..city = ') AS indexed, plans.has($$SELECT * FROM towns WHERE towns @@ 'not (a.at.lat < 4990)'$$, 'BitmapOr') AS bitmap_or;

-- 2. jsonb columns: typed by the document. A missing key and JSON null are NULL; another JSON type is unequal, neither less nor greater.
CREATE DOMAIN d_doc AS jsonb;
CREATE TABLE docs (id int, j jsonb, dj d_doc);
INSERT INTO docs SELECT id, j, j FROM (VALUES
	(1, '{"n": 1, "s": "apple", "b": true, "a": [1, 2], "o": {"k": 1}, "d": "2026-01-01", "items": [{"sku": "A"}, {"sku": "B"}], "Key": 1}'::jsonb),
	(2, '{"n": 2.0, "s": "b", "b": false, "a": ["x", "y"], "o": {"k": {"z": null}}, "d": "2026-02-01", "items": []}'),
	(3, '{"n": "1", "s": null, "b": "true", "a": [], "o": [1], "d": 5, "items": {"sku": "A"}}'),
	(4, '{"n": null}'), (5, '{}'), (6, NULL), (7, '[1, 2]'), (8, '"n"')) v(id, j);
-- the column's path, and the document itself as the row
CREATE FUNCTION in_both(spec text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	path text := plans.ids('docs', spec);
	document text;
BEGIN
	EXECUTE format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'')::text FROM docs WHERE j @@ %L::spec', replace(spec, 'j.', '')) INTO document;
	RETURN CASE WHEN path = document THEN path ELSE format('path %s but document %s', path, document) END;
END $$;
SELECT spec, in_both(spec) FROM unnest(ARRAY['j.n = 1', 'j.n = 1.00', 'j.n = 2', 'j.n >= 1', 'j.n < 5', 'j.n > ''0''', 'j.n = ''1''', 'j.n <> 1', 'j.n in (1, ''1'')', 'j.n in (1, null)', 'j.n not in (1, 2)', 'j.n between 1 and 2', 'j.n not between 1 and 2', 'j.n is null', 'j.n is not null', 'j.n = null',
	'j.b = true', 'j.b is false', 'j.b is not true', 'j.b > false', 'j.s = ''apple''', 'j.s < ''b''', 'j.s <= ''b''', 'j.s like ''a%''', 'j.s not like ''a%''', 'j.s ilike ''B''', 'j.s ~ ''^a''', 'j.s !~* ''^A''', 'j.s starts_with ''app''', 'j.n like ''1''',
	'j.a contains array[1]', 'j.a contains 1', 'j.a contains ''x''', 'j.a contained_by array[1, 2, 3]', 'j.a overlaps array[''y'', 9]', 'j.a overlaps array[]', 'j.a = array[1, 2]', 'j.a = array[]', 'j.a <> array[]',
	'j.o contains jsonb ''{"k": 1}''', 'j.o.k = 1', 'j.o.k.z is null', 'j.o.k contains jsonb ''{"z": null}''', 'j.o[0] = 1', 'j.o contained_by jsonb ''{"k": 1, "l": 2}''', 'j.o = jsonb ''[1]''',
	'j.d >= date ''2026-01-15''', 'j.d = date ''2026-01-01''', 'j.d in (date ''2026-02-01'', 5)', 'j.items[0].sku = ''A''', 'j.items[-1].sku = ''B''', 'j.items[1].sku is null', 'j.items.sku = ''A''', 'j."Key" = 1', 'j.key = 1']) spec;
SELECT spec, in_both(spec) FROM unnest(ARRAY['not (j.n < 2)', 'not (j.n = 1)', 'not (j.a contains 1)', 'not (j.a overlaps array[1])', 'not (j.a contained_by array[1, 2, 3])', 'not (j.d >= date ''2026-01-15'')', 'not (j.s like ''a%'')', 'not (j.n in (1, null))',
	'not (j.n = 1 or j.s = ''b'')']) spec;
-- through a domain, and into a document that is an array
SELECT plans.ids('docs', 'dj.n = 1') AS domain, plans.ids('docs', 'j[0] = 1') AS element, plans.ids('docs', 'j[-1] >= 2') AS last, plans.ids('docs', 'j is null') AS "null";
-- A JSON string that its type cannot read is an error, as in SQL, in all ways of evaluation
SELECT plans.raises($$SELECT * FROM docs WHERE docs @@ 'j.s = date ''2026-01-01'''$$) AS path, plans.raises($$SELECT * FROM docs WHERE j @@ spec 's = date ''2026-01-01'''$$) AS document;
SELECT plans.raises($$SELECT * FROM docs WHERE docs @@ 'id.n = 1'$$, 'id') AS scalar, plans.raises($$SELECT (SELECT x FROM (SELECT '{}'::json AS old) x) @@ 'old.n = 1'$$, 'old', 'jsonb') AS json,
	plans.raises($$SELECT x FROM (SELECT ARRAY[1] AS list) x WHERE x @@ 'list[0] = 1'$$, 'list', 'contains') AS sql_array;

-- 3. An expression index on the path serves it; a GIN index serves contains on the column.
CREATE TABLE big AS SELECT i AS id, jsonb_build_object('color', 'c' || i % 500, 'w', i, 'tags', jsonb_build_array('t' || i % 400), 'dim', jsonb_build_object('x', i)) AS attrs FROM generate_series(1, 10000) i;
CREATE INDEX big_color ON big ((attrs -> 'color'));
CREATE INDEX big_x ON big ((attrs -> 'dim' -> 'x'));
CREATE INDEX big_tags ON big USING gin ((attrs -> 'tags'));
CREATE INDEX big_all ON big USING gin (attrs jsonb_path_ops);
VACUUM ANALYZE big;
SELECT spec, native, plans.equal('big', spec, native) AS plan, plans.has(format('SELECT * FROM big WHERE big @@ %L', spec), 'Index Cond') AS index
FROM (VALUES ('attrs.color = ''c7''', 'attrs -> ''color'' = ''"c7"'''), ('attrs.color in (''c7'', ''c8'')', 'attrs -> ''color'' = ANY (''{"\"c7\"","\"c8\""}'')'), ('attrs.dim.x = 77', 'attrs -> ''dim'' -> ''x'' = ''77'''),
	('attrs.tags contains array[''t9'']', 'attrs -> ''tags'' @> ''["t9"]'''), ('attrs contains ''{"w": 7}''', 'attrs @> ''{"w": 7}''')) v(spec, native);
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE big @@ 'attrs.color = ''c7''';
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE big @@ 'attrs.dim.x < 10';
-- Documents are walked, not inlined; what must hold becomes a lossy condition for the GIN index, and the walk decides.
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE attrs @@ spec 'color = ''c7'' and w > 5';
SELECT count(*), min(id) FROM big WHERE attrs @@ spec 'color = ''c7'' and w > 5000';
SELECT count(*) AS not_served FROM big WHERE attrs @@ spec 'not (color = ''c7'')';
SELECT count(*) AS either FROM big WHERE attrs @@ spec 'color = ''c7'' or color = ''c8''';

DROP SCHEMA spec_paths, plans CASCADE;
