-- Evaluation in memory: what can be a row, NULL rows and NULL specifications, and call sites whose row type or specification changes.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_eval CASCADE;
CREATE SCHEMA spec_eval;
SET search_path = spec_eval, apibase;

-- 1. What can be a row. The same by operator and by function.
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN d_pair AS pair CHECK ((VALUE).x > 0);
CREATE TABLE t (id int, x int, y text, arr pair[], one pair);
INSERT INTO t VALUES (1, 10, 'a', '{"(1,a)","(2,b)"}', '(5,z)'), (2, NULL, NULL, '{}', NULL), (3, 30, 'c', NULL, '(7,)');
CREATE FUNCTION make_pair(int) RETURNS pair LANGUAGE sql AS $$ SELECT $1, 'made' $$;
CREATE FUNCTION make_record(int) RETURNS record LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT $1 AS a, 'n' || $1 AS b INTO r; RETURN r; END $$;
SELECT ROW(1, 'a')::pair @@ 'x = 1' AS composite, '(2,b)'::pair @@ 'x = 1 or y = ''b''' AS literal, ROW(3, 'c')::d_pair @@ 'x = 3 and y <> ''b''' AS domain,
	ROW(1, 'a'::text, NULL::date) @@ 'f1 = 1 and f2 = ''a'' and f3 is null' AS anonymous, make_pair(4) @@ 'x = 4 and y like ''m%''' AS of_a_function, make_record(5) @@ 'a = 5 and b = ''n5''' AS of_a_record_function;
SELECT ROW(1, 'a') @@ 'f2 = ''a''' AS untyped_text, is_satisfied_by(ROW(1, 'a')::pair, 'x > 1') AS by_function, is_satisfied_by("row" => t, specification => 'x > 10') AS named FROM t WHERE id = 3;
SELECT id, t @@ 'x > 10' AS whole, arr[1] @@ 'x = 1' AS element, one @@ 'x >= 5' AS composite_column, (one).y IS NULL AND one @@ 'y is null' AS null_part FROM t ORDER BY id;
SELECT v, v @@ 'column2 = ''b''' FROM (VALUES (1, 'a'), (2, 'b')) v ORDER BY 1;
SELECT j @@ 'a > 1 and b = ''x''' FROM json_to_recordset('[{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]') AS j(a int, b text);
SELECT g.* @@ 'g > 1' AS row FROM (SELECT 2 AS g) g;
SELECT g @@ 'g > 1' AS column_named_as_the_table FROM (SELECT 2 AS g) g;
SELECT count(*) FILTER (WHERE t @@ 'x > 10') AS filter, bool_or(t @@ 'x > 10') AS agg, max(id) FILTER (WHERE NOT t @@ 'x > 10') AS complement FROM t;
SELECT id FROM t ORDER BY t @@ 'x > 10', id;
-- what is neither row nor document
SELECT 5 @@ spec 'x = 1';
SELECT json '{"x": 1}' @@ spec 'x = 1';
SELECT ARRAY[1] @@ spec 'x = 1';

-- 2. A NULL row has NULL fields; a NULL specification is no specification.
SELECT NULL::pair @@ 'x = 1' AS eq, NULL::pair @@ 'x is null' AS is_null, NULL::pair @@ 'not (x = 1)' AS not_eq, NULL::pair @@ 'not (x < 1 or y like ''a%'')' AS negated, NULL::d_pair @@ 'x is null' AS domain,
	NULL::pair @@ '' AS empty, NULL::pair @@ 'x in (1, null)' AS in_null, NULL::record @@ 'a is null' AS record, NULL::record @@ 'a = 1 or b > 2' AS record_eq;
SELECT NULL::jsonb @@ spec 'a is null' AS document, NULL::jsonb @@ spec 'a = 1' AS eq, jsonb 'null' @@ spec 'a is null' AS json_null, jsonb '5' @@ spec 'not (a.b = 1)' AS scalar;
SELECT ROW(1, 'a')::pair @@ NULL::spec AS null_spec, is_satisfied_by(NULL::pair, NULL) AS both, t @@ (SELECT NULL::spec) AS not_known FROM t WHERE id = 1;
SELECT count(*) AS none FROM t WHERE t @@ NULL::spec;
SELECT count(*) AS none FROM t WHERE t @@ (SELECT NULL::spec OFFSET 0);
-- all forms agree on the rows that an outer join makes
SELECT bool_and(inlined IS NOT NULL AND inlined = opaque) AS agree, count(*) FILTER (WHERE inlined) AS satisfied FROM (
	SELECT t @@ 'x is null or x > 10' AS inlined, t @@ (SELECT spec 'x is null or x > 10' OFFSET 0) AS opaque FROM generate_series(1, 5) g LEFT JOIN t ON t.id = g) s;

-- 3. One call site, another specification for each row; another row type for each row.
CREATE TABLE rules (no int, s spec);
INSERT INTO rules VALUES (1, 'x > 10'), (2, 'y = ''a'''), (3, 'not (x > 10)'), (4, 'id in (1, 3)'), (5, NULL), (6, 'x is null and y is null'), (7, '');
SELECT no, array_agg(id ORDER BY id) AS ids FROM rules r, t WHERE t @@ r.s GROUP BY no ORDER BY no;
SELECT no, array_agg(id ORDER BY id) AS ids FROM t, rules r WHERE is_satisfied_by(t, r.s) GROUP BY no ORDER BY no;
SELECT r, r @@ s AS ok FROM (SELECT ROW(1, 2) AS r UNION ALL SELECT ROW('x'::text, 3) UNION ALL SELECT ROW(NULL::date, 2, true)) v, (SELECT spec 'f1 is not null and f2 = 2' AS s OFFSET 0) s;
-- a specification of half a megabyte, stored compressed or out of line
INSERT INTO rules SELECT 8, spec_any(VARIADIC array_agg(('x = ' || i || ' or y = ''' || md5(i::text) || '''')::spec)) FROM generate_series(1000, 11000) i;
UPDATE rules SET s = s || 'x = 30' WHERE no = 8;
SELECT no, array_agg(id ORDER BY id) FROM rules r, t WHERE t @@ r.s AND no = 8 GROUP BY no;
-- a row with a value out of line that the specification does not touch, and one that it does
CREATE TABLE wide (id int, big text);
ALTER TABLE wide ALTER big SET STORAGE EXTERNAL;
INSERT INTO wide VALUES (1, repeat('a', 20000)), (2, repeat('b', 20000));
SELECT w.id, w @@ s AS by_id, w @@ s2 AS by_text FROM wide w, (SELECT spec 'id = 1' AS s, spec 'big like ''b%''' AS s2 OFFSET 0) s ORDER BY 1;

-- 4. PL/pgSQL: records and rows in variables; specifications in variables; errors leave the call site usable.
DO $$
DECLARE
	r record;
	p pair;
	tt t;
	unset record;
	specs spec[] := ARRAY['x = 1', 'z = 1', 'x = 2', 'y ~ ''(''', 'x is null'];
	s spec;
	said text;
BEGIN
	p := ROW(1, 'a');
	FOREACH s IN ARRAY specs LOOP
		BEGIN
			RAISE INFO '% -> %', s, p @@ s;
		EXCEPTION WHEN others THEN
			GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
			RAISE INFO '% -> % %', s, SQLSTATE, said;
		END;
	END LOOP;
	FOR r IN SELECT 1 AS x, 'one' AS y UNION ALL SELECT 2, 'two' LOOP
		RAISE INFO 'record % -> %', r, r @@ 'x = 1 or y = ''two''';
		r.x := 7;
		RAISE INFO 'changed % -> %', r, r @@ 'x = 7';
	END LOOP;
	FOR tt IN SELECT * FROM t ORDER BY id LOOP
		RAISE INFO 'row % -> %', tt.id, tt @@ 'x > 10 or one.x = 5';
	END LOOP;
	SELECT 'now text' AS x INTO r;
	RAISE INFO 'other shape -> %', r @@ 'x = ''now text''';
	RAISE INFO 'unset -> %, NULL row -> %', unset @@ 'x is null', NULL::pair @@ 'x = 1';
	FOR r IN EXECUTE 'SELECT * FROM t ORDER BY id' LOOP
		RAISE INFO 'dynamic % -> %', r.id, r @@ specs[5];
	END LOOP;
	p := NULL;
	RAISE INFO 'NULL variable -> %', p @@ 'x is null';
END $$;
CREATE FUNCTION passes(p pair, s spec) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN p @@ s; END $$;
SELECT passes('(1,a)', 'x = 1'), passes('(1,a)', 'x = 2'), passes(NULL, 'x is null'), passes('(3,c)', NULL);
-- the row type changes between calls of one session
ALTER TYPE pair ADD ATTRIBUTE z int;
SELECT passes('(1,a,9)', 'x = 1 and z = 9'), passes('(1,a,9)', 'z < 9');
ALTER TYPE pair RENAME ATTRIBUTE z TO height;
SELECT passes('(1,a,9)', 'height = 9');
SELECT passes('(1,a,9)', 'heigth = 9');
ALTER TYPE pair DROP ATTRIBUTE height;
SELECT passes('(1,a)', 'y = ''a''');
CREATE FUNCTION first_passes(s spec) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE r t; BEGIN SELECT * INTO r FROM t WHERE id = 1; RETURN r @@ s; END $$;
SELECT first_passes('x = 10');
ALTER TABLE t ALTER x TYPE numeric USING x + 0.5;
SELECT first_passes('x = 10.5'), first_passes('x = 10');
ALTER TABLE t DROP COLUMN arr, ADD COLUMN added date DEFAULT '2026-01-01';
SELECT first_passes('x = 10.5 and added = ''2026-01-01'' and one.x = 5');
SELECT first_passes('arr is null');

-- 5. A volatile row is computed once for each evaluation, whether or not the specification looks at it twice.
CREATE SEQUENCE calls;
CREATE FUNCTION counted() RETURNS pair LANGUAGE sql VOLATILE AS $$ SELECT nextval('spec_eval.calls')::int, 'v' $$;
SELECT counted() @@ 'x > 0 and x < 100 and y = ''v'' and (x = 1 or x = 2 or x = 3)' AS once, ROW(nextval('calls'), 1) @@ 'f1 = 2 or f1 = 3 or f1 = 9' AS in_row;
SELECT last_value FROM calls;

-- 6. Errors: an unknown field with the closest name; a parameter without a value.
SELECT t @@ 'idd = 1' FROM t;
SELECT t @@ s FROM t, (SELECT spec 'idd = 1' AS s OFFSET 0) x;
SELECT t @@ 'price = 1' FROM t;
SELECT t @@ 'one.xx = 1' FROM t;
SELECT t @@ '"ID" = 1' FROM t;
SELECT t @@ 'id = $1' FROM t;
SELECT t @@ s FROM t, (SELECT spec 'id = $1' AS s OFFSET 0) x;
SELECT ROW(1, 2) @@ 'f3 = 1';
SELECT t @@ 'ctid is null' FROM t;

DROP SCHEMA spec_eval CASCADE;
