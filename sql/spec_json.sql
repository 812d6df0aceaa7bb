-- The JSON form of specifications: casts both ways, what is refused and where, JSON Pointers.
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_json CASCADE;
CREATE SCHEMA spec_json;
SET search_path = spec_json, apibase;

-- 1. The example of the documentation, by each way in.
CREATE TABLE example (j jsonb);
INSERT INTO example VALUES ('{"and": [{"field": "price", "op": "ge", "value": 10},
             {"or": [{"field": "status", "op": "in", "value": ["open", "held"]},
                     {"field": "name", "op": "like", "value": "A%"}]},
             {"not": {"field": "qty", "op": "between", "value": [1, 5]}},
             {"field": "deleted_at", "op": "is_null"}]}');
SELECT j::spec FROM example;
SELECT j::spec = j::text::spec AS as_text, j::spec = (E' \n\t' || j::text)::spec AS blanks_before, j::spec = j::text::json::spec AS as_json,
       j::spec::jsonb = jsonb_set(j, '{and,2}', '{"field": "qty", "op": "not_between", "value": [1, 5]}') AS back FROM example;
-- As PostgREST reads a body: the argument is an object, a text, or true.
SELECT * FROM json_to_recordset('[{"s": {"field": "a", "op": "eq", "value": 1}}, {"s": "a = 1"}, {"s": {}}, {"s": true}, {"s": null}]') AS body(s spec);

-- 2. Operators: every name that is read, and the one that is printed.
SELECT name, (jsonb_build_object('field', 'f', 'op', name) || v)::spec AS text, (jsonb_build_object('field', 'f', 'op', name) || v)::spec::jsonb -> 'op' AS op
FROM (VALUES (ARRAY['eq', '=', 'ne', 'neq', '<>', '!=', 'lt', '<', 'le', 'lte', '<=', 'gt', '>', 'ge', 'gte', '>=', 'EQ', 'Lte'], '{"value": 1}'::jsonb),
             (ARRAY['like', 'not_like', 'ilike', 'not_ilike', 'match', 'imatch', 'starts_with', 'sw', 'contains', 'cs', '@>', 'contained_by', 'cd', '<@', 'overlaps', 'ov', '&&'], '{"value": "x"}'),
             (ARRAY['in', 'not_in', 'nin'], '{"value": [1, "x", null]}'),
             (ARRAY['between', 'not_between'], '{"value": [1, 2]}'),
             (ARRAY['is_null', 'is_not_null'], '{}'),
             (ARRAY['is', 'IS'], '{"value": null}'), (ARRAY['is'], '{"value": true}'), (ARRAY['is'], '{"value": false}'),
             (ARRAY['eq', 'ne'], '{"value": null}')) o(names, v), unnest(names) name;
-- A negation without a name of its own is printed as {"not": ...}.
SELECT s, s::jsonb FROM unnest(ARRAY['not a < 1', 'not a >= 1', 'not a starts_with ''x''', 'a !~ ''x''', 'a !~* ''x''', 'not a contains array[1]', 'not a overlaps array[1]', 'not (a = 1 and not b < 2)']::spec[]) s;
SELECT j::spec AS text, j::spec::jsonb = j AS same FROM unnest(ARRAY['{"not": {"not": {"field": "a", "op": "lt", "value": 1}}}', '{"not": {"field": "a", "op": "ne", "value": 1}}', '{"not": {"field": "a", "op": "lt", "value": 1}}',
    '{"not": true}', '{"not": {"and": [{"field": "a", "op": "eq", "value": 1}, {"not": {"field": "b", "op": "gt", "value": 1}}]}}']::jsonb[]) j;

-- 3. Values and fields.
SELECT v AS value, s AS text, s::jsonb -> 'value' AS printed, s::jsonb::spec = s AS same
FROM unnest(ARRAY['1', '-1.50', '1e3', '1e30', '1e-30', '0.10', 'true', 'false', '"x"', '""', '"it''s"', '"1"', '[]', '[1, "x", null, true]', '{"param": 1}', '{"param": 65535}', '[{"param": 2}, {"type": "date", "value": "2026-01-31"}]',
                  '{"type": "date", "value": "2026-01-31"}', '{"type": "public.mood", "value": "happy"}', '{"type": "Public.\"Mood\"", "value": "happy"}', '{"type": "timestamp with time zone", "value": "x"}', '{"type": "\"char\"", "value": "x"}', '{"type": "and", "value": "x"}']::jsonb[]) v,
     LATERAL (SELECT jsonb_build_object('field', 'f', 'op', 'eq', 'value', v)::spec AS s) c;
-- (in takes an array of values or a parameter for all of them)
SELECT v AS value, s AS text, s::jsonb -> 'value' AS printed, s::jsonb::spec = s AS same
FROM unnest(ARRAY['[]', '[1]', '[null]', '[[1], [2, 3]]', '{"param": 1}', '[{"param": 1}]', '[{"param": 1}, {"param": 2}]']::jsonb[]) v,
     LATERAL (SELECT jsonb_build_object('field', 'f', 'op', 'in', 'value', v)::spec AS s) c;
-- Names are exact; what is not a plain word stands in double quotes.
SELECT f AS field, s AS text, s::jsonb ->> 'field' AS printed, s::jsonb::spec = s AS same
FROM unnest(ARRAY['price', 'Price', 'address.City', 'a.b[0].c[-1]', '"two words"', 'a."b.c"', '"say ""x"""', 'and', 'a.null', '"and"', ' a . b ', U&'\00c4rger']) f,
     LATERAL (SELECT jsonb_build_object('field', f, 'op', 'is_null')::spec AS s) c;
-- Conditions that say nothing or everything.
SELECT j, j::spec AS text, j::spec::jsonb AS printed FROM unnest(ARRAY['{}', 'true', 'false', '{"and": []}', '{"or": []}', '{"and": [{}, true]}', '{"or": [{"field": "a", "op": "is_null"}]}',
    '{"and": [false, {"field": "a", "op": "is_null"}]}', '{"or": [{"or": [{"field": "a", "op": "is_null"}, true]}, {"field": "b", "op": "is_null"}]}']::jsonb[]) j;

-- 4. What is refused, with the place.
\pset format unaligned
\pset tuples_only on
\pset recordsep '\n\n'
SELECT '>>> ' || input || E'\n' || errors.of(format('SELECT %L::jsonb::spec', input)) FROM unnest(ARRAY[
    'null', '1', '"a = 1"', '[]', '[{"field": "a", "op": "is_null"}]',
    '{"x": 1}', '{"AND": []}', '{"and": {}}', '{"and": [1]}', '{"or": [{}, {"and": [[]]}]}', '{"not": 1}', '{"not": []}', '{"not": {"nicht": {}}}',
    '{"and": [], "or": []}', '{"not": {}, "field": "a"}', '{"and": [], "op": "eq"}', '{"and": [], "value": 1}',
    '{"field": "a"}', '{"op": "eq"}', '{"value": 1}', '{"field": "a", "value": 1}', '{"field": "a", "op": "eq"}', '{"field": "a", "op": "eq", "value": 1, "extra": 1}',
    '{"field": 1, "op": "eq", "value": 1}', '{"field": "a", "op": 1, "value": 1}', '{"field": null, "op": "eq", "value": 1}', '{"field": "a", "op": null, "value": 1}',
    '{"and": [{"field": "a", "op": "is_null"}, {"or": [{"field": "a b", "op": "is_null"}]}]}', '{"field": "", "op": "is_null"}', '{"field": "a..b", "op": "is_null"}', '{"field": "[0]", "op": "is_null"}', '{"field": "a = 1 or b", "op": "eq", "value": 1}', '{"field": "\"", "op": "is_null"}',
    '{"and": [{"field": "a", "op": "equals", "value": 1}]}', '{"field": "a", "op": "", "value": 1}', '{"field": "a", "op": "not", "value": 1}', '{"field": "a", "op": "not_lt", "value": 1}',
    '{"field": "a", "op": "is_null", "value": null}', '{"field": "a", "op": "is_not_null", "value": true}', '{"field": "a", "op": "is", "value": 1}', '{"field": "a", "op": "is"}',
    '{"field": "a", "op": "in", "value": 1}', '{"field": "a", "op": "in", "value": "a,b"}', '{"field": "a", "op": "in", "value": {"type": "x", "value": "y"}}', '{"field": "a", "op": "between", "value": 1}', '{"field": "a", "op": "between", "value": [1]}', '{"field": "a", "op": "between", "value": [1, 2, 3]}', '{"field": "a", "op": "between", "value": {"param": 1}}',
    '{"field": "a", "op": "eq", "value": [[1]]}', '{"field": "a", "op": "in", "value": [[[1]]]}', '{"field": "a", "op": "eq", "value": {}}', '{"field": "a", "op": "eq", "value": {"type": "date"}}', '{"field": "a", "op": "eq", "value": {"value": "x"}}', '{"field": "a", "op": "eq", "value": {"type": 1, "value": "x"}}', '{"field": "a", "op": "eq", "value": {"type": "date", "value": 1}}',
    '{"field": "a", "op": "in", "value": [1, {"type": "no such", "value": "x"}]}', '{"field": "a", "op": "eq", "value": {"type": "date; drop", "value": "x"}}', '{"field": "a", "op": "eq", "value": {"type": "date", "value": "x", "param": 1}}', '{"field": "a", "op": "eq", "value": {"type": "date", "value": "x", "zone": "UTC"}}',
    '{"field": "a", "op": "eq", "value": {"param": 0}}', '{"field": "a", "op": "eq", "value": {"param": 65536}}', '{"field": "a", "op": "eq", "value": {"param": 1.5}}', '{"field": "a", "op": "eq", "value": {"param": -1}}', '{"field": "a", "op": "eq", "value": {"param": "1"}}', '{"field": "a", "op": "eq", "value": {"param": 1e30}}',
    '{"and": [{}, {"field": "A.b", "op": "lt", "value": null}]}', '{"field": "a", "op": "between", "value": [1, null]}']) input;
\pset format aligned
\pset tuples_only off
\pset recordsep '\n'
-- Malformed JSON stays an error of JSON; so does JSON that jsonb cannot hold.
SELECT left(errors.of_spec('{"field": '), 5) AS malformed, left(errors.of_spec('{"field": "a\u0000", "op": "is_null"}'), 5) AS nul, left(errors.of($$SELECT '{"field": "a\u0000", "op": "is_null"}'::json::spec$$), 5) AS nul_json;
-- Depth and size have the same limits.
SELECT left(errors.of(format('SELECT %L::jsonb::spec', repeat('{"not": ', 200) || 'true' || repeat('}', 200))), 46) AS too_deep;
SELECT left(errors.of(format('SELECT %L::jsonb::spec', repeat('{"and": [{"or": [{"field": "a", "op": "is_null"}, ', 60) || 'true' || repeat(']}, {"field": "a", "op": "is_null"}]}', 60))), 46) AS too_deep;
SET apibase.spec_max_size = '1kB';
SELECT errors.of(format('SELECT %L::jsonb::spec', jsonb_build_object('field', 'a', 'op', 'eq', 'value', repeat('x', 1018)))) AS fits,
       errors.of(format('SELECT %L::jsonb::spec', jsonb_build_object('field', 'a', 'op', 'eq', 'value', repeat('x', 1019)))) AS too_large,
       left(errors.of(format('SELECT %L::json::spec', '{' || repeat(' ', 1024) || '}')), 38) AS too_large_json;
RESET apibase.spec_max_size;

-- 5. The pointers of clauses, which reports use, point into what is printed.
SELECT s::jsonb #> string_to_array(substr(c.pointer, 2), '/') AS found, c.pointer
FROM (VALUES ('no_such_1 = 1 and (no_such_2 = 2 or not (no_such_3 < 3 and no_such_4 < 4) or not no_such_5 < 5)'::spec)) t(s), spec_check('pg_class', s) c;

-- 6. Casts are explicit, and immutable.
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod, provolatile, proisstrict, proparallel
FROM pg_cast JOIN pg_proc ON pg_proc.oid = castfunc WHERE 'spec'::regtype IN (castsource, casttarget) ORDER BY 1, 2;
SELECT errors.of($$SELECT jsonb '{}' = '{}'::spec$$) LIKE '42883%' AS no_implicit_cast;
SELECT NULL::jsonb::spec IS NULL AS null_jsonb, NULL::json::spec IS NULL AS null_json, NULL::spec::jsonb IS NULL AS null_spec;

DROP SCHEMA spec_json, errors CASCADE;
