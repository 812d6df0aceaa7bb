-- Text patterns, arrays, ranges and jsonb as values: like, ilike, ~, starts_with, contains, contained_by, overlaps.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_match, spec_citext CASCADE;
CREATE SCHEMA spec_match;
CREATE SCHEMA spec_citext;
CREATE EXTENSION citext SCHEMA spec_citext;
SET search_path = spec_match, apibase;

-- 1. Every operator that matches text, on every type that is text: as SQL's own operator on that type.
CREATE DOMAIN d_text AS text;
CREATE DOMAIN d_citext AS spec_citext.citext;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE words (id int, t text COLLATE "C", v varchar(9), c char(6), n name, d d_text, ci spec_citext.citext, dci d_citext, ac text COLLATE any_case);
INSERT INTO words SELECT id, w, w, w, w, w, w, w, w FROM (VALUES (1, 'Abc'), (2, 'abd'), (3, 'a_c%'), (4, ''), (5, NULL)) x(id, w);
CREATE TABLE matches (op text, pattern text);
INSERT INTO matches VALUES ('like', 'a%'), ('like', '_b_'), ('like', 'a\_c\%'), ('like', 'Abc'), ('like', '%'), ('like', ''), ('not like', 'a%'), ('ilike', 'A%'), ('ilike', 'abC'), ('not ilike', 'A%'),
	('~', '^a'), ('!~', '^a'), ('~*', '^A'), ('!~*', '^A'), ('~', 'b[cd]$'), ('starts_with', 'a'), ('starts_with', ''), ('starts_with', 'a_'), ('starts_with', 'A%');
-- t is the column, native is SQL's operator; all other types of text must do as SQL does with them
SELECT op, pattern, plans.ids('words', format('t %s ''%s''', op, pattern)) AS t,
	plans.ids('words', format('v %s ''%s''', op, pattern)) AS v, plans.ids('words', format('c %s ''%s''', op, pattern)) AS c,
	plans.ids('words', format('n %s ''%s''', op, pattern)) AS n, plans.ids('words', format('d %s ''%s''', op, pattern)) AS d,
	plans.ids('words', format('ci %s ''%s''', op, pattern)) AS ci, plans.ids('words', format('dci %s ''%s''', op, pattern)) AS dci
FROM matches ORDER BY op COLLATE "C", pattern COLLATE "C";
-- starts_with and ^@ are one; negation adds the NULL field
SELECT plans.ids('words', 't ^@ ''a''') AS operator, plans.ids('words', 'not (t ^@ ''a'')') AS negated, plans.ids('words', 'not (t like ''a%'' or t = '''')') AS neither;
SELECT plans.value('words', 't like ''a%''') AS "like", plans.value('words', 't not like ''a%''') AS not_like, plans.value('words', 'not (c ~ ''x'')') AS bpchar, plans.value('words', 'ci ilike ''x''') AS citext;
-- The column's collation decides equality and order; a nondeterministic one compares in any case, and patterns do as SQL does.
SELECT plans.ids('words', 'ac = ''ABC''') AS equal, plans.ids('words', 'ac in (''ABD'', ''x'')') AS "in", plans.ids('words', 'ac <> ''ABC''') AS not_equal, plans.ids('words', 't < ''a''') AS c_order;
-- Only text matches text.
SELECT spec, plans.raises(format('SELECT * FROM (SELECT 1 AS i, now() AS at, NULL::uuid AS u, ''{}''::text[] AS a) r WHERE r @@ %L', spec), split_part(spec, ' ', 1))
FROM unnest(ARRAY['i like ''1%''', 'at like ''2026%''', 'u ~ ''a''', 'a starts_with ''a''']) spec;
SELECT plans.raises($$SELECT * FROM words WHERE words @@ 't like 5'$$, 't') AS number, plans.raises($$SELECT * FROM words WHERE words @@ 't ~ true'$$, 't') AS bool,
	plans.raises($$SELECT * FROM words WHERE words @@ 't ~ ''('''$$) AS bad_regex, plans.raises($$SELECT * FROM words WHERE words @@ 't like ''A\'''$$) AS bad_pattern;

-- 2. Arrays.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN d_tags AS text[];
CREATE TABLE bags (id int, tags text[], nums int[], vs varchar(5)[], moods mood[], dt d_tags);
INSERT INTO bags VALUES (1, '{a,b}', '{1,2}', '{a,b}', '{sad,ok}', '{a,b}'), (2, '{a}', '{2}', '{a}', '{ok}', '{a}'), (3, '{}', '{}', '{}', '{}', '{}'),
	(4, '{NULL,b}', '{NULL,1}', '{NULL,b}', '{NULL,happy}', '{NULL,b}'), (5, NULL, NULL, NULL, NULL, NULL);
SELECT spec, plans.ids('bags', spec) FROM unnest(ARRAY['tags contains array[''a'']', 'tags @> array[''a'',''b'']', 'tags contains ''{a}''', 'not (tags contains array[''a''])', 'tags contained_by array[''a'',''b'',''c'']',
	'tags <@ array[''a'']', 'tags overlaps array[''b'',''x'']', 'tags && array[''a'']', 'not (tags && array[''a''])', 'tags = array[''a'']', 'tags <> array[''a'']', 'tags = ''{}''', 'tags contains array[]', 'tags in (''{a}'', ''{}'')',
	'nums contains array[1]', 'nums overlaps array[2, 3]', 'nums > array[1]', 'vs contains array[''a'']', 'vs overlaps array[''b'']', 'moods contains array[''ok'']', 'moods overlaps ''{happy,sad}''', 'dt contains array[''a'']',
	'tags = array[null, ''b'']']) spec;
SELECT spec, plans.raises(format('SELECT * FROM bags WHERE bags @@ %L', spec), split_part(spec, ' ', 1)) FROM unnest(ARRAY['nums contains array[''x'']', 'nums contains array[true]', 'tags contains array[1]', 'moods contains array[''glad'']', 'tags contains 5', 'id contains array[1]', 'id overlaps array[1]']) spec;

-- 3. Ranges and multiranges.
CREATE TABLE stays (id int, r int4range, d daterange, m int4multirange);
INSERT INTO stays VALUES (1, '[1,5)', '[2026-01-01,2026-02-01)', '{[1,3),[5,9)}'), (2, '[5,9)', '[2026-02-01,)', '{[3,5)}'), (3, 'empty', 'empty', '{}'), (4, NULL, NULL, NULL);
SELECT spec, plans.ids('stays', spec) FROM unnest(ARRAY['r contains 4', 'r contains 5', 'r contains ''[2,4)''', 'r overlaps ''[4,6)''', 'r && ''[5,6)''', 'r contained_by ''[0,9)''', 'not (r contains 4)', 'r = ''[1,4]''', 'r = ''empty''',
	'd contains date ''2026-01-15''', 'd contains ''[2026-03-01,2026-03-02)''', 'd overlaps ''[2026-01-31,2026-02-02)''', 'm contains 5', 'm contains ''{[3,4)}''', 'm overlaps ''{[4,6)}''']) spec;

CREATE DOMAIN d_range AS int4range;
CREATE TABLE domains AS SELECT id, r::d_range AS r FROM stays;
SELECT plans.ids('domains', 'r contains 4') AS element, plans.ids('domains', 'r overlaps ''[4,6)''') AS overlaps, plans.ids('domains', 'r >= ''[2,3)''') AS compared;

-- 4. jsonb as a whole.
CREATE TABLE docs (id int, j jsonb);
INSERT INTO docs VALUES (1, '{"a": 1, "b": [1, 2]}'), (2, '{"a": 2}'), (3, '[1, 2, 3]'), (4, NULL), (5, 'null');
SELECT spec, plans.ids('docs', spec) FROM unnest(ARRAY['j contains ''{"a": 1}''', 'j @> ''[1]''', 'j contained_by ''{"a": 2, "c": 3}''', 'not (j contains ''{"a": 1}'')', 'j = ''{"a": 2}''', 'j is null', 'j <> ''null''']) spec;

-- 5. Indexes serve them as they serve the native text.
CREATE TABLE many AS SELECT i AS id, 'w' || i AS t, ARRAY[i % 100, i % 77] AS a, int4range(i, i + 5) AS r, jsonb_build_object('k', i % 500) AS j, ('n' || i)::spec_citext.citext AS ci FROM generate_series(1, 10000) i;
CREATE INDEX many_t ON many (t text_pattern_ops);
CREATE INDEX many_a ON many USING gin (a);
CREATE INDEX many_r ON many USING gist (r);
CREATE INDEX many_j ON many USING gin (j);
CREATE INDEX many_ci ON many (ci);
VACUUM ANALYZE many;
SELECT spec, native, plans.equal('many', spec, native) AS plan, plans.has(format('SELECT * FROM many WHERE many @@ %L', spec), 'Index Cond') AS index
FROM (VALUES ('t like ''w99%''', 't LIKE ''w99%'''), ('t starts_with ''w123''', 't ^@ ''w123'''), ('t ~ ''^w99''', 't ~ ''^w99'''), ('a contains array[76, 99]', 'a @> ''{76,99}'''),
	('a overlaps array[99]', 'a && ''{99}'''), ('r contains 500', 'r @> 500'), ('r overlaps ''[7,8)''', 'r && ''[7,8)'''), ('j contains ''{"k": 7}''', 'j @> ''{"k": 7}'''),
	('ci = ''N77''', 'ci OPERATOR(spec_citext.=) ''N77''')) v(spec, native);

DROP SCHEMA spec_match, spec_citext, plans CASCADE;
