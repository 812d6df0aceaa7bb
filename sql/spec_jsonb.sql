-- Specifications of jsonb documents: every operator on every type of value, and the same on a path into a jsonb column.
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_jsonb CASCADE;
CREATE SCHEMA spec_jsonb;
SET search_path = spec_jsonb, apibase;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');

-- 1. By function and by operator; an untyped literal after jsonb @@ stays a jsonpath.
SELECT jsonb '{"price": 12}' @@ apibase.spec 'price > 10' AS by_operator, is_satisfied_by(jsonb '{"price": 12}', 'price > 10') AS by_function,
       jsonb '{"price": 12}' @@ '$.price > 10' AS jsonpath, jsonb '{"price": 12}' @@ '$.price > 10'::jsonpath AS typed_jsonpath,
       jsonb '{"price": 12}' @@ NULL::spec AS null_specification, NULL::jsonb @@ apibase.spec 'price is null' AS null_document, NULL::jsonb @@ apibase.spec 'price > 1' AS null_document_2;

-- 2. One value of every type and kind against every clause. The key "v" is missing from the first, and the second is no document but NULL.
CREATE TABLE docs (id int, doc jsonb);
INSERT INTO docs VALUES (0, '{}'), (1, NULL), (2, '{"v": null}'), (3, '{"v": true}'), (4, '{"v": false}'), (5, '{"v": 1}'), (6, '{"v": 1.0}'), (7, '{"v": 2.5}'), (8, '{"v": -3}'), (9, '{"v": 1e30}'),
    (10, '{"v": "a"}'), (11, '{"v": "b"}'), (12, '{"v": "A"}'), (13, '{"v": ""}'), (14, '{"v": "1"}'), (15, '{"v": "true"}'), (16, '{"v": "2026-01-31"}'), (17, '{"v": "a%"}'), (18, '{"v": "null"}'),
    (19, '{"v": []}'), (20, '{"v": ["a"]}'), (21, '{"v": ["a", "b"]}'), (22, '{"v": [1, "a", null, true]}'), (23, '{"v": {}}'), (24, '{"v": {"k": "a"}}'), (25, '{"v": {"k": "a", "l": [1, 2]}}'), (26, '{"v": [["a"]]}'), (27, '{"v": [{"k": 1}]}'),
    (28, '"a"'), (29, '[{"v": 1}]'), (30, '1'), (31, 'null'), (32, '{"w": 1, "v": "a", "x": {"y": 2}}');
CREATE TABLE clauses (n int GENERATED ALWAYS AS IDENTITY, s text);
INSERT INTO clauses (s) SELECT s FROM unnest(ARRAY[
    'v is null', 'v is not null', 'v is true', 'v is false', 'v is not true', 'v = 1', 'v <> 1', 'v = 1.00', 'v < 1', 'v <= 1', 'v > 1', 'v >= 1', 'v >= 1e30', 'v between 1 and 2.5', 'v not between 1 and 2.5', 'v between ''a'' and 5',
    'v = ''a''', 'v <> ''a''', 'v = ''1''', 'v = ''''', 'v < ''b''', 'v <= ''a''', 'v > ''a''', 'v >= ''''', 'v between ''a'' and ''b''', 'v = true', 'v = false', 'v <> true', 'v < true', 'v <= false', 'v > false', 'v >= true', 'v between false and true',
    'v in ()', 'v not in ()', 'v in (1)', 'v in (1, ''a'')', 'v in (true, false)', 'v in (false, 2.5, ''b'', ''nope'', 7, -3, ''A'')', 'v in (null)', 'v not in (null)', 'v in (null, 1)', 'v not in (null, 1, ''a'')', 'v in (array[''a''], array[], 1)', 'v in (text ''a'', text ''1'', jsonb ''{}'')', 'v not in (text ''true'')',
    'v like ''a%''', 'v not like ''a%''', 'v like ''%''', 'v like ''a\%''', 'v ilike ''A%''', 'v not ilike ''A%''', 'v starts_with ''a''', 'v starts_with ''''', 'not v starts_with ''a%''', 'v ~ ''^[a-b]$''', 'v !~ ''^[a-b]$''', 'v ~* ''^[a-b]$''', 'v !~* ''^[a-b]$''',
    'v = array[]', 'v = array[''a'']', 'v <> array[''a'']', 'v = array[1, ''a'', null, true]', 'v < array[''a'']', 'v >= array[''a'']', 'v > array[]',
    'v contains ''a''', 'v contains 1', 'v contains true', 'v contains array[''a'']', 'v contains array[]', 'v contains array[''b'', ''a'', ''a'']', 'v contains array[null]', 'not v contains ''a''', 'v contains jsonb ''{"k": "a"}''', 'v contains jsonb ''{}''', 'v contains jsonb ''"a"''', 'v contains jsonb ''[{"k": 1}]''', 'v contains jsonb ''[["a"]]''', 'v contains jsonb ''{"l": [2]}''',
    'v contained_by array[''a'', ''b'', ''c'']', 'v contained_by array[]', 'v contained_by ''a''', 'not v contained_by array[''a'']', 'v contained_by jsonb ''{"k": "a", "z": 1}''', 'v contained_by jsonb ''{}''', 'v contained_by jsonb ''[["a", "b"]]''',
    'v overlaps array[''b'', ''x'']', 'v overlaps array[1, null]', 'v overlaps array[]', 'v overlaps ''a''', 'v overlaps array[true, 5]', 'not v overlaps array[''a'']',
    'v = text ''a''', 'v <> text ''a''', 'v = text ''1''', 'v >= text ''true''', 'v < varchar ''b''', 'v between text ''1'' and text ''b''', 'v = jsonb ''{"k": "a"}''', 'v <> jsonb ''1.0''', 'v = jsonb ''[]''', 'v > jsonb ''1''', 'v <= jsonb ''"a"''', 'v >= jsonb ''[]''', 'v between jsonb ''0'' and jsonb ''true''', 'v = jsonb ''null''', 'v <> jsonb ''null''', 'v in (jsonb ''null'', 1)', 'v contains jsonb ''null''', 'v contained_by jsonb ''null''',
    'x.y = 2', 'x.y.z = 2', 'v.k = ''a''', 'v.k is null', 'v[0] = ''a''', 'v[-1] = ''b''', 'v[1] is null', 'v[-4] = 1', 'v[0][0] = ''a''', 'v[0].k = 1', 'v.l[1] = 2', 'v.k.z is null', 'v.k[0] = ''a''', 'v[0][0][0][-1] = ''a''',
    'true', 'false', 'v = 1 and w = 1', 'v = ''a'' and w = 1', 'v = 1 or v = ''a''', 'not (v = 1 or v = ''a'')', 'not (v = ''a'' and w = 1)', 'v > 0 and (v < 2 or v > 2) and not (w is not null)'
]) s;
SELECT s AS specification, coalesce(string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE is_satisfied_by(doc, s::spec)), '-') AS satisfied FROM clauses, docs GROUP BY n, s ORDER BY n;

-- 3. What holds for all of them: never NULL, the complement of the negation, and the same for a path into a column,
-- evaluated on the row and native in a query.
SELECT count(*) AS pairs, count(*) FILTER (WHERE is_satisfied_by(doc, s::spec) IS NULL) AS nulls, count(*) FILTER (WHERE is_satisfied_by(doc, s::spec) = is_satisfied_by(doc, !! s::spec)) AS no_complement FROM clauses, docs;
CREATE FUNCTION of_column(s text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(s, '\m([vwx])\M(?=[.[]| (is|in|not|between|like|ilike|starts_with|contains|contained_by|overlaps|[=<>!~]))', 'doc.\1', 'g') $$;
SELECT of_column('v.k = ''v'' and not x.y in (1) or w is null');
CREATE FUNCTION found(condition text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    result int[];
BEGIN
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM spec_jsonb.docs d WHERE ' || condition INTO result;
    RETURN coalesce(result, '{}');
END $$;
SELECT count(*) > 100 AS many,
       array_agg(s) FILTER (WHERE by_document IS DISTINCT FROM by_row) AS unlike_the_row, array_agg(s) FILTER (WHERE by_document IS DISTINCT FROM native) AS unlike_native,
       array_agg(s) FILTER (WHERE negated IS DISTINCT FROM native_negated) AS unlike_native_when_negated
FROM (SELECT s, found(format('is_satisfied_by(doc, %L::spec)', s)) AS by_document, found(format('is_satisfied_by(d, (SELECT %L::spec))', of_column(s))) AS by_row, found(format('d @@ %L', of_column(s))) AS native,
             found(format('is_satisfied_by(doc, !! %L::spec)', s)) AS negated, found(format('d @@ !! %L::spec', of_column(s))) AS native_negated FROM clauses) t;

-- 4. Typed literals read the text of the value; what does not read is an error, in both forms.
CREATE TABLE typed (id int, doc jsonb);
INSERT INTO typed VALUES (1, '{"d": "2026-01-31", "m": "ok", "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "n": 10, "i": "1 day", "t": "2026-01-31T10:00:00+02:00", "b": true, "a": "{1,2}"}'),
    (2, '{"d": "2026-02-01", "m": "happy", "u": "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "n": "10.50", "i": "24 hours", "t": "2026-01-31T08:00:00Z", "b": "yes", "a": "{1,2,3}"}'), (3, '{"d": null, "m": [], "u": {}}'), (4, NULL);
SELECT s AS specification, coalesce(string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE is_satisfied_by(doc, s::spec)), '-') AS satisfied,
       coalesce(string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE is_satisfied_by(doc, s::spec) IS DISTINCT FROM is_satisfied_by(d, ('doc.' || s)::spec)), '-') AS unlike_the_row
FROM typed d, unnest(ARRAY['d >= date ''2026-02-01''', 'd = date ''31 Jan 2026''', 'd <> date ''2026-02-01''', 'd between date ''2026-01-01'' and date ''2026-01-31''', 'd in (date ''2026-02-01'', null)', 'd < timestamp ''2026-01-31 12:00''', 'm > spec_jsonb.mood ''sad''', 'm = spec_jsonb.mood ''happy''', 'm not in (spec_jsonb.mood ''ok'')',
    'u = uuid ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11''', 'n >= numeric ''10.1''', 'n <= float8 ''10''', 'n = int4 ''10''', 'i = interval ''1 day''', 't = timestamptz ''2026-01-31 08:00+00''', 'b = bool ''t''', 'a < _int4 ''{1,2,3}''']) WITH ORDINALITY s(s, n) WHERE s <> 'n = int4 ''10''' OR id <> 2 GROUP BY s, n ORDER BY n;
\pset format unaligned
\pset tuples_only on
\pset recordsep '\n\n'
SELECT '>>> ' || s || E'\n' || errors.of(format('SELECT is_satisfied_by(doc, %L::spec) FROM spec_jsonb.typed WHERE id = 2', s)) FROM unnest(ARRAY[
    'n = int4 ''10''', 'd = date ''someday''', 'd > date ''today''', 'd = no_such ''x''', 'd = no_schema.no_such ''x''', 'd = point ''(1,1)''', 'd like 5', 'd like true', 'd ~ ''(''', 'a overlaps jsonb ''[1]''', 'd = $1', 'd in (1, $2)', 'd in $1', 'd = array[$3]', 'd contains $1', 'd like $1']) s;
\pset format aligned
\pset tuples_only off
\pset recordsep '\n'

SELECT left(errors.of($$SELECT jsonb '{"d": 1}' @@ apibase.spec 'd = jsonb ''{'''$$), 5) AS malformed_literal;

-- 5. Long lists, deep documents, big values; a call site whose specification and document change.
SELECT count(*) FILTER (WHERE found) AS found, count(*) AS of FROM (SELECT is_satisfied_by(jsonb_build_object('v', v), s) AS found
FROM (SELECT ('v in (' || string_agg(i * 2 || ', ''k' || i * 2 || '''', ', ') || ')')::spec FROM generate_series(1, 5000) i) l(s), (SELECT to_jsonb(i) FROM generate_series(1, 40) i UNION ALL SELECT to_jsonb('k' || i) FROM generate_series(9990, 10010) i) d(v)) t;
SELECT is_satisfied_by((repeat('{"k": [0, ', 200) || '1' || repeat(']}', 200))::jsonb, (rtrim(repeat('k[1].', 200), '.') || ' = 1')::spec) AS deep;
SELECT is_satisfied_by(jsonb_build_object('v', repeat('x', 1000000) || 'y'), 'v like ''%y'' and v ~ ''y$'' and v starts_with ''xxx'' and not v = ''x''') AS big;
SELECT s, string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE doc @@ s) AS satisfied FROM docs, unnest(ARRAY['v = 1', 'v = ''a''', 'v is null']::spec[]) s WHERE id < 12 GROUP BY s ORDER BY s;
CREATE TABLE toasted (doc jsonb);
ALTER TABLE toasted ALTER doc SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT jsonb_build_object('pad', repeat('x', 100000), 'n', i) FROM generate_series(1, 10) i;
SELECT count(*) FROM toasted WHERE doc @@ apibase.spec 'n > 5';
DO $$
DECLARE
    d jsonb;
    s spec;
    n int := 0;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        d := jsonb_build_object('n', i, 'o', jsonb_build_object('k', 'x' || i % 7));
        s := apibase.where('n', 'le', i % 13 * 50);
        IF d @@ s AND d @@ apibase.spec 'o.k in (''x1'', ''x2'')' THEN
            n := n + 1;
        END IF;
    END LOOP;
    RAISE INFO '% satisfied', n;
END $$;
SELECT count(*) AS same FROM generate_series(1, 1000) i WHERE i <= i % 13 * 50 AND i % 7 IN (1, 2);

DROP SCHEMA spec_jsonb, errors CASCADE;
