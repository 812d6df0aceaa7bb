-- Pitfalls, each once seen: privileges, dependencies, invalidation, operator classes, and operators of the same name.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_pitfalls, spec_citext CASCADE;
CREATE SCHEMA spec_pitfalls;
CREATE SCHEMA spec_citext;
CREATE EXTENSION citext SCHEMA spec_citext;
SET search_path = spec_pitfalls, apibase;

-- 1. @@ of others stays theirs: jsonpath, text search. So do the other operators that specifications have.
CREATE TABLE docs (id int, j jsonb, v tsvector, t text, vc varchar(20), ci spec_citext.citext);
INSERT INTO docs VALUES (1, '{"a": 5}', 'fat cat', 'a fat cat', 'a fat cat', 'a fat cat'), (2, '{"a": 1}', 'rat', 'a rat', 'a rat', 'a rat');
CREATE DOMAIN d_doc AS jsonb;
SET default_text_search_config = 'pg_catalog.simple';
SELECT id, j @@ '$.a > 3' AS jsonpath, j @@ '$.a > 3'::jsonpath AS typed_jsonpath, j::d_doc @@ '$.a > 3' AS domain, j @@ spec 'a > 3' AS spec, v @@ 'cat' AS tsquery, v @@ 'fat & !rat'::tsquery AS typed_tsquery, t @@ 'cat' AS text, vc @@ 'cat' AS varchar, ci @@ 'cat' AS citext,
	t @@ to_tsquery('cat') AS text_tsquery, docs @@ 'id = 1' AS row_spec FROM docs ORDER BY id;
SELECT 'fat cat' @@ 'cat' AS untyped, 'fat cat'::text @@ 'rat' AS text, 'cat'::tsquery @@ 'fat cat'::tsvector AS commuted;
PREPARE path AS SELECT id FROM docs WHERE j @@ $1;
PREPARE query AS SELECT id FROM docs WHERE v @@ $1;
PREPARE spec_of_row AS SELECT id FROM docs WHERE docs @@ $1;
SELECT name, parameter_types FROM pg_prepared_statements WHERE name IN ('path', 'query', 'spec_of_row') ORDER BY 1;
-- each of these gives the same answer, or an error as well, with and without apibase in the search_path
CREATE FUNCTION answer(expression text, path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	PERFORM set_config('search_path', path, true);
	EXECUTE format('SELECT pg_typeof(x)::text || '' '' || x::text FROM (SELECT %s) e(x)', expression) INTO said;
	RETURN said;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT expression, answer(expression, 'spec_pitfalls') AS without, answer(expression, 'spec_pitfalls, apibase') AS "with", answer(expression, 'apibase, pg_catalog, spec_pitfalls') AS in_front
FROM unnest(ARRAY['''a'' || ''b''', '''a'' || 1', 'NULL || ''a''', '''{1}''::int[] || ''{2}''', 'ARRAY[1] || 2', 'jsonb ''[1]'' || ''[2]''', '''a''::tsvector || ''b''', '''a''::tsquery && ''b''', '''a''::tsquery || ''b''', '!! ''a''::tsquery', 'ARRAY[1, 2] && ''{2}''', 'int4range ''[1,3)'' && ''[2,4)''',
	'''a'' = ''a''', '''a'' < ''b''', '''a'' <> NULL', '''b'' @@ ''b''', '''b'' && ''b''', '5 @@ ''x''', 'NULL @@ NULL', 'ROW(1, 2) = ROW(1, 2)', 'ROW(1) < ROW(2)', '''a'' IN (''a'', ''b'')', 'json ''{}'' @@ ''$.a''', 'jsonb ''{"a": [1]}'' @? ''$.a[0]''', 'jsonb ''{"a": 1}'' @@ ''$.a == 1''']) expression;

-- 2. A table with a column of its own name: the bare name is the column, name.* is the row.
CREATE TABLE tt (id int, tt text, tsv tsvector);
INSERT INTO tt VALUES (1, 'a fat cat', 'x'), (2, NULL, 'y');
SELECT id FROM tt WHERE tt @@ 'cat';
SELECT id FROM tt WHERE tt.* @@ 'tt like ''%cat''';
SELECT id FROM tt AS t WHERE t @@ 'tt is null';
EXPLAIN (COSTS OFF) SELECT id FROM tt WHERE tt.* @@ 'id = 1';

-- 3. Column privileges: a whole row needs SELECT on all columns; a row of the granted ones is the way.
CREATE ROLE regress_spec_partial;
GRANT USAGE ON SCHEMA spec_pitfalls, plans TO regress_spec_partial;
CREATE TABLE staff (id int PRIMARY KEY, name text, salary int);
INSERT INTO staff SELECT i, 'name' || i, i FROM generate_series(1, 5000) i;
ANALYZE staff;
GRANT SELECT (id, name) ON staff TO regress_spec_partial;
SET ROLE regress_spec_partial;
SELECT plans.raises($$SELECT id FROM staff WHERE staff @@ 'id = 7'$$) AS whole_row, plans.raises($$SELECT id FROM staff WHERE is_satisfied_by(staff.*, 'salary > 7')$$) AS function, plans.raises($$SELECT id FROM staff WHERE ROW(id, name) @@ 'salary > 7'$$, 'salary') AS not_in_the_row,
	plans.raises($$SELECT id FROM (SELECT id, name FROM staff) s WHERE s @@ 'salary > 7'$$, 'salary') AS not_in_the_subquery;
SELECT id FROM staff WHERE ROW(id, name) @@ 'f1 = 7';
SELECT id FROM (SELECT id, name FROM staff) s WHERE s @@ 'id = 7 and name like ''name%''';
SELECT plans.twin($$SELECT id FROM (SELECT id, name FROM staff) s WHERE s @@ 'id = 7'$$, 'SELECT id FROM (SELECT id, name FROM staff) s WHERE id = 7') AS as_native, plans.has($$SELECT id FROM staff WHERE ROW(id, name) @@ 'f1 = 7'$$, 'Index Cond') AS indexed;
RESET ROLE;
DROP OWNED BY regress_spec_partial;
DROP ROLE regress_spec_partial;

-- 4. Dependencies: a view, like a policy, knows nothing of the columns inside a specification.
CREATE TABLE base (id int, price int, kind text);
INSERT INTO base VALUES (1, 5, 'a'), (2, 15, 'b');
CREATE VIEW dear AS SELECT id FROM base WHERE base @@ 'price > 10';
CREATE VIEW typo AS SELECT id FROM base WHERE base @@ 'prise > 10';
SELECT * FROM dear;
SELECT * FROM typo;
ALTER TABLE base RENAME price TO cost;
SELECT * FROM dear;
ALTER TABLE base RENAME cost TO price;
SELECT * FROM dear;
ALTER TABLE base DROP COLUMN price;
SELECT * FROM dear;
ALTER TABLE base ADD COLUMN price numeric DEFAULT 11;
SELECT * FROM dear;

-- 5. Cached plans follow what they stand on: types, names, collations, indexes, operator classes. In plans, and in PL/pgSQL.
CREATE TABLE moving (id int, v int, name text COLLATE "C");
INSERT INTO moving VALUES (1, 5, 'a'), (2, 15, 'B'), (3, NULL, NULL);
PREPARE cached AS SELECT id FROM moving WHERE moving @@ 'v > 7' ORDER BY id;
PREPARE by_name AS SELECT id FROM moving WHERE moving @@ 'name < ''b''' ORDER BY id;
CREATE FUNCTION in_plpgsql() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT array_agg(id ORDER BY id) FROM moving WHERE moving @@ 'v > 7')::text; END $$;
CREATE FUNCTION in_memory(s spec) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r moving; ids text := ''; BEGIN FOR r IN SELECT * FROM moving ORDER BY id LOOP IF r @@ s THEN ids := ids || r.id; END IF; END LOOP; RETURN ids; END $$;
EXECUTE cached; EXECUTE cached;
SELECT in_plpgsql(), in_memory('v > 7');
ALTER TABLE moving ALTER v TYPE numeric USING v + 0.5;
EXECUTE cached;
SELECT in_plpgsql(), in_memory('v > 7'), in_memory('v = 15.5');
ALTER TABLE moving ALTER v TYPE text;
EXECUTE cached;
SELECT in_plpgsql();
SELECT in_memory('v > 7');
ALTER TABLE moving ALTER v TYPE bigint USING v::numeric::bigint;
ALTER TABLE moving RENAME v TO w;
EXECUTE cached;
SELECT in_memory('v > 7');
ALTER TABLE moving RENAME w TO v;
ALTER TABLE moving DROP COLUMN id;
ALTER TABLE moving ADD COLUMN id int;
UPDATE moving SET id = v;
SELECT in_memory('v > 7'), in_plpgsql();
EXECUTE by_name;
CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
ALTER TABLE moving ALTER name TYPE text COLLATE ignoring_case;
EXECUTE by_name;
SELECT in_memory('name = ''A''');
SET enable_seqscan = off;
CREATE INDEX moving_v ON moving (v);
SELECT plans.has('EXECUTE cached', 'moving_v') AS index_created;
DROP INDEX moving_v;
SELECT plans.has('EXECUTE cached', 'moving_v') AS index_dropped;
RESET enable_seqscan;

-- 6. Operator classes: by strategy and name. One of reverse order gives the right operators, and its index serves.
CREATE TYPE rint;
CREATE FUNCTION rint_in(cstring) RETURNS rint LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION rint_out(rint) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE rint (INPUT = rint_in, OUTPUT = rint_out, LIKE = int4);
CREATE CAST (rint AS int4) WITHOUT FUNCTION;
CREATE CAST (int4 AS rint) WITHOUT FUNCTION;
CREATE FUNCTION rint_lt(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE FUNCTION rint_le(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4le';
CREATE FUNCTION rint_eq(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION rint_ne(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4ne';
CREATE FUNCTION rint_ge(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4ge';
CREATE FUNCTION rint_gt(rint, rint) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4gt';
CREATE OPERATOR < (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_lt, NEGATOR = >=, COMMUTATOR = >, RESTRICT = scalarltsel);
CREATE OPERATOR >= (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_ge, NEGATOR = <, COMMUTATOR = <=, RESTRICT = scalargesel);
CREATE OPERATOR <= (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_le, NEGATOR = >, COMMUTATOR = >=, RESTRICT = scalarlesel);
CREATE OPERATOR > (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_gt, NEGATOR = <=, COMMUTATOR = <, RESTRICT = scalargtsel);
CREATE OPERATOR = (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_eq, NEGATOR = <>, COMMUTATOR = =, RESTRICT = eqsel);
CREATE OPERATOR <> (LEFTARG = rint, RIGHTARG = rint, FUNCTION = rint_ne, NEGATOR = =, COMMUTATOR = <>, RESTRICT = neqsel);
CREATE FUNCTION rint_down(rint, rint) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT pg_catalog.btint4cmp($2::int4, $1::int4)';
CREATE OPERATOR CLASS rint_down DEFAULT FOR TYPE rint USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 rint_down(rint, rint);
CREATE TABLE rints (id int, r rint);
INSERT INTO rints SELECT i, i::rint FROM generate_series(1, 1000) i;
CREATE INDEX rints_r ON rints (r);
ANALYZE rints;
SELECT plans.ids('rints', 'r > ''997''') AS gt, plans.ids('rints', 'r < ''3''') AS lt, plans.ids('rints', 'r >= ''999''') AS ge, plans.ids('rints', 'not (r > ''2'')') AS not_gt, plans.ids('rints', 'r between ''5'' and ''7''') AS between_, plans.ids('rints', 'r in (''5'', ''7'')') AS "in";
SELECT plans.equal('rints', 'r > ''997''', 'r > ''997''') AS gt, plans.has($$SELECT * FROM rints WHERE rints @@ 'r > ''997'''$$, 'Index Cond: .r > ''997''') AS indexed;
PREPARE reverse AS SELECT id FROM rints WHERE rints @@ 'r > ''998''' ORDER BY id;
EXECUTE reverse;
DROP INDEX rints_r;
DROP OPERATOR CLASS rint_down USING btree;
EXECUTE reverse;
SELECT id FROM rints, (SELECT spec 'r = ''5''' AS s OFFSET 0) x WHERE rints @@ s;
SELECT id FROM rints WHERE rints @@ 'r is null or id = 1';
CREATE OPERATOR CLASS rint_up DEFAULT FOR TYPE rint USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
EXECUTE reverse;
-- no class at all: no comparison, but the other clauses; a hash class gives equality
CREATE TABLE plain (id int, p point, j json, x xid, b box, pa point[]);
INSERT INTO plain VALUES (1, '(1,2)', '{}', '5', '(2,2),(0,0)', '{"(1,2)"}'), (2, NULL, NULL, NULL, NULL, NULL);
SELECT spec, plans.raises(format('SELECT * FROM plain WHERE plain @@ %L', spec), split_part(format_type(a.atttypid, -1), '[', 1)) AS inlined, plans.raises(format('SELECT * FROM plain, (SELECT spec %L AS s OFFSET 0) x WHERE plain @@ s', spec)) AS opaque
FROM unnest(ARRAY['p = ''(1,2)''', 'p < ''(1,2)''', 'j = ''{}''', 'j in (''{}'')', 'x < ''5''', 'pa = ''{"(1,2)"}''', 'p between ''(1,2)'' and ''(2,3)''']) spec JOIN pg_attribute a ON a.attrelid = 'plain'::regclass AND a.attname = split_part(spec, ' ', 1);
SELECT plans.ids('plain', 'p is null') AS is_null, plans.ids('plain', 'x = ''5''') AS hashed, plans.ids('plain', 'x in (''5'', ''6'')') AS hashed_in, plans.ids('plain', 'b contains ''(1,1),(0,0)''') AS contains;

-- 7. What is wrong is said when the query is planned, before any row is read; a field must exist also where the rest decides.
CREATE TABLE empty (id int, d date);
SELECT plans.raises($$SELECT * FROM empty WHERE empty @@ 'id = ''x'''$$, 'id') AS literal, plans.raises($$SELECT * FROM empty WHERE empty @@ 'idd = 1'$$, 'idd', 'id') AS field, plans.raises($$SELECT * FROM empty WHERE empty @@ 'id = 1 or true or nothing = 2'$$, 'nothing') AS below_a_constant,
	plans.raises($$SELECT * FROM empty WHERE empty @@ 'id = $1'$$) AS unbound, plans.raises($$SELECT * FROM empty WHERE empty @@ 'id = '$$) AS syntax, plans.raises($$SELECT * FROM empty WHERE empty @@ 'd like ''x'''$$, 'd') AS operator;

-- 8. The declaration that all this depends on.
SELECT provolatile, proparallel, proisstrict, proleakproof, procost, prosupport <> 0 AS support, oprrest <> 0 AS restrict FROM pg_proc p JOIN pg_operator o ON o.oprcode = p.oid WHERE p.oid = 'apibase.is_satisfied_by'::regproc;

DROP SCHEMA spec_pitfalls, spec_citext, plans CASCADE;
