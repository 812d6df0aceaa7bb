-- The language: what is read, what is printed, what is refused and how.
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_language CASCADE;
CREATE SCHEMA spec_language;
SET search_path = spec_language, apibase;

-- 1. Reading and printing. The example of the documentation.
SELECT $$price >= 10 and (status in ('open','held') or name like 'A%')
         and not (qty between 1 and 5) and deleted_at is null$$::spec;

-- Every operator, in all its spellings; keywords in any case; no blanks where none are needed.
SELECT input, input::spec AS canonical FROM (VALUES
    (''), (' '), ('true'), ('FALSE'), (E'\t a\n=\r1 '), ('a=1'), ('a <> 1'), ('a!=1'), ('a<1'), ('a<=1'), ('a>1'), ('a>=1'),
    ('a = null'), ('a <> NULL'), ('a != null'), ('not a = null'),
    ('a in (1,2)'), ('a IN ()'), ('a in (null)'), ('a not in (1, null)'), ('a in $1'), ('a in ($1)'), ('a in ($1, $2)'),
    ('a between 1 and 2'), ('a not between -1 and +2'), ('a between array[1] and array[2]'),
    ('a is null'), ('a is not null'), ('a is true'), ('a is false'), ('a is not true'), ('a is not false'),
    ('a like ''x%'''), ('a not like ''x%'''), ('a ilike ''x%'''), ('a not ilike ''x%'''),
    ('a starts_with ''x'''), ('a ^@ ''x'''), ('a ~ ''x'''), ('a !~ ''x'''), ('a ~* ''x'''), ('a !~* ''x'''),
    ('a contains array[1]'), ('a @> array[1]'), ('a contained_by ''{1}'''), ('a<@''{1}'''), ('a overlaps array[]'), ('a&&array[1,2]')
) t(input);

-- Negation goes into the clause where an operator for it exists, and disappears where it is double.
SELECT input, input::spec AS canonical FROM (VALUES
    ('not a = 1'), ('not a <> 1'), ('not a < 1'), ('not a <= 1'), ('not a > 1'), ('not a >= 1'), ('not a in (1)'), ('not a not in (1)'),
    ('not a between 1 and 2'), ('not a is null'), ('not a is not null'), ('not a is true'), ('not a like ''x'''), ('not a ilike ''x'''),
    ('not a starts_with ''x'''), ('not a ~ ''x'''), ('not a !~ ''x'''), ('not a ~* ''x'''), ('not a contains array[1]'),
    ('not a contained_by array[1]'), ('not a overlaps array[1]'),
    ('not not a < 1'), ('not not not (a < 1)'), ('not true'), ('not (not (a = 1 and b = 2))'), ('not (a = 1 or b = 2)'), ('not (a = 1)')
) t(input);

-- Precedence, flattening, and the fewest parentheses. true in and, false in or say nothing; the others are kept.
SELECT input, input::spec AS canonical FROM (VALUES
    ('a=1 or b=2 and c=3'), ('(a=1 or b=2) and c=3'), ('not a=1 and b=2'), ('not (a=1 and b=2)'), ('a=1 and (b=2 and (c=3 and d=4))'),
    ('((a=1 or b=2)) or ((c=3))'), ('(a=1 and b=2) or (c=3 and d=4)'), ('(a=1 or b=2) and (c=3 or not (d=4 and e=5))'),
    ('a between 1 and 2 and b = 3'), ('a between 1 and 2 or b not between 3 and 4 and c = 5'),
    ('a=1 and true'), ('true and true'), ('a=1 or false'), ('false or false'), ('a=1 and false'), ('a=1 or true'), ('a=1 and (false or b=2)'),
    ('not (a=1 and true)')
) t(input);

-- Fields: folding, quoting, paths. A word is quoted in the output only where reading it back needs that.
SELECT input, input::spec AS canonical FROM (VALUES
    ('Price = 1'), ('"price" = 1'), ('"Price" = 1'), ('"two words" = 1'), ('"say ""x""" = 1'), ('_a$1 = 1'), ('"1a" = 1'), ('"$a" = 1'),
    ('"and" = 1'), ('"AND" = 1'), ('"null" = 1'), ('address.city = 1'), ('Address . "City" = 1'), ('attrs.items[0].sku = 1'), ('a[-1] = 1'), ('a[ - 2 ][3] = 1'),
    ('a.and.or.not.true = 1'), ('a.b[007] = 1'), ('array = 1'), ('array[0] = array[0]'), ('contains contains ''x'''), ('starts_with starts_with ''x'''),
    ('overlaps.contained_by overlaps array[1]'), ('asc = 1'), ('first = 1')
) t(input);
SELECT U&'\00dcber_\00e4 = ''\00df'''::spec AS letters, U&'"\00dc B" = 1'::spec AS quoted;

-- Numbers: one spelling for one value and scale.
SELECT input, ('a = ' || input)::spec AS canonical FROM (VALUES
    ('10'), ('+10'), ('-10'), ('- 10'), ('007'), ('0'), ('-0'), ('-0.00'), ('1.50'), ('.5'), ('-.5'), ('5.'), ('1e3'), ('1E+3'), ('1.5e1'), ('15e-1'), ('1e-3'), ('1.0e-3'),
    ('1e20'), ('1e21'), ('1e30'), ('1.5e30'), ('12345678901234567890123456789012345678901234567890'), ('1e-20'), ('1e-21'), ('1e-22'), ('1.50e-22'), ('0e-30'),
    ('1e100000'), ('1e131071'), ('1e-16383'), ('100000000000000000000000000000')
) t(input);
-- It is the value that numeric has, with its scale.
SELECT input FROM (VALUES ('007'), ('-0.00'), ('1.50'), ('.5'), ('5.'), ('1E+3'), ('1.5e1'), ('15e-1'), ('1.0e-3'), ('1e30'), ('1.50e-22'), ('0e-30'), ('1.23e40'), ('-9e-40')) t(input)
WHERE (substr(('a = ' || input)::spec::text, 5)::numeric)::text IS DISTINCT FROM (input::numeric)::text;

-- Other values.
SELECT input, ('a = ' || input)::spec AS canonical FROM (VALUES
    ($$'it''s'$$), ($$''$$), ($$'"'$$), ($$'a\b%'$$), ($$'$1'$$), (E'\'two\nlines\''), ('true'), ('FALSE'), ('$1'), ('$65535'), ('$007'),
    ('array[]'), ($$array['a', 1, -2.50, true, null, $3, date '2026-01-31']$$), ($$ARRAY [ 'it''s' ]$$),
    ($$date '2026-01-31'$$), ($$date'2026-01-31'$$), ($$Date '2026-01-31'$$), ($$pg_catalog.date '2026-01-31'$$), ($$public.mood 'happy'$$), ($$Public."Mood" 'happy'$$), ($$"public"."or" 'x'$$),
    ($$integer '1'$$), ($$int '1'$$), ($$smallint '1'$$), ($$bigint '1'$$), ($$real '1'$$), ($$float '1'$$), ($$double precision '1'$$), ($$decimal '1'$$), ($$dec '1'$$), ($$boolean 't'$$),
    ($$char 'x'$$), ($$"char" 'x'$$), ($$character 'x'$$), ($$character varying 'x'$$), ($$bit varying '1'$$), ($$timestamp with time zone 'x'$$), ($$timestamp without time zone 'x'$$),
    ($$time  with time zone 'x'$$), ($$time without time zone 'x'$$), ($$pg_catalog.int 'x'$$), ($$"integer" 'x'$$), ($$x."array" 'x'$$), ($$"contains" 'x'$$)
) t(input);

-- 2. The text is a fixed point: printed and read back it has the same structure and the same text.
CREATE TABLE samples (s spec);
INSERT INTO samples SELECT format('%s %s %s', f, o, v)::spec
FROM unnest(ARRAY['a', '"A b"', 'x.y[3]."and"', '"and"."is"', 'contains', '"asc"']) f,
     unnest(ARRAY['=', '<>', '<', '<=', '>', '>=', 'like', 'not like', 'ilike', 'not ilike', '~', '!~', '~*', '!~*', 'starts_with', 'contains', 'contained_by', 'overlaps']) o,
     unnest(ARRAY['1', '-1.50', '''it''''s''', 'true', '$7', 'array[]', 'array[1, null]', 'date ''x''', '"A".b ''x''', 'double precision ''1''']) v;
INSERT INTO samples SELECT spec_not(s) FROM samples;
INSERT INTO samples SELECT format('(%s) %s not (%s or (%s and f = 1))', s, o, lag(s, 2, s) OVER w, lag(s, 5, s) OVER w)::spec
FROM samples, unnest(ARRAY['and', 'or']) o WINDOW w AS (ORDER BY s);
SELECT count(*) > 5000 AS many, count(*) FILTER (WHERE s::text::spec IS DISTINCT FROM s) AS structure_changed,
       count(*) FILTER (WHERE s::text::spec::text IS DISTINCT FROM s::text) AS text_changed,
       count(*) FILTER (WHERE s::jsonb::spec IS DISTINCT FROM s) AS changed_by_json,
       count(*) FILTER (WHERE !! (!! s) IS DISTINCT FROM s) AS changed_by_not_not
FROM samples;

-- The binary form is a version and the text.
SELECT spec_send('a = 1') = '\x01'::bytea || 'a = 1'::bytea AS sent;
CREATE TABLE copied (LIKE samples);
SELECT current_setting('data_directory') || '/apibase_spec_language.copy' AS copy \gset
COPY samples TO :'copy' (FORMAT binary);
SELECT format('cat %1$s && rm %1$s', :'copy') AS take \gset
COPY copied FROM PROGRAM :'take' (FORMAT binary);
SELECT count(*) > 5000 AS many, (SELECT count(*) FROM (TABLE samples EXCEPT ALL TABLE copied) d) AS changed FROM copied;

-- 3. Comparison is of the structure.
SELECT spec 'a = 1' = '(A = +1.)' AS same, spec 'a = 1' = 'a = 1.0' AS scale_differs, spec 'a = 1' = '"A" = 1' AS name_differs,
       spec 'a = 1 and b = 2' = 'b = 2 and a = 1' AS order_counts, spec 'a = 1' <> 'a = 2' AS differs;
SELECT count(*) AS pairs,
       count(*) FILTER (WHERE (a.s < b.s)::int + (a.s = b.s)::int + (a.s > b.s)::int <> 1) AS not_one_of_three,
       count(*) FILTER (WHERE (a.s <= b.s) <> NOT (a.s > b.s) OR (a.s >= b.s) <> NOT (a.s < b.s) OR (a.s <> b.s) <> NOT (a.s = b.s)) AS not_complements,
       count(*) FILTER (WHERE sign(spec_cmp(a.s, b.s)) <> -sign(spec_cmp(b.s, a.s))) AS not_symmetric,
       count(*) FILTER (WHERE (a.s = b.s) <> (a.s::text = b.s::text)) AS unlike_texts,
       count(*) FILTER (WHERE a.s = b.s AND (spec_hash(a.s) <> spec_hash(b.s) OR spec_hash_extended(a.s, 7) <> spec_hash_extended(b.s, 7))) AS unlike_hashes
FROM (SELECT s FROM samples ORDER BY s LIMIT 300) a, (SELECT s FROM samples ORDER BY s LIMIT 300) b;
SELECT spec_hash_extended('a = 1', 1) <> spec_hash_extended('a = 1', 2) AS seeded, spec_hash('a = 1') = spec_hash_extended('a = 1', 0)::bit(32)::integer AS same_low_bits;
-- Keys, hashing and sorting work by it.
CREATE TABLE kept (s spec PRIMARY KEY, h spec, EXCLUDE USING hash (h WITH =));
INSERT INTO kept SELECT DISTINCT ON (s) s, s FROM samples;
SELECT errors.of('INSERT INTO kept SELECT s, s FROM kept LIMIT 1') LIKE '23505%' AS duplicate_refused;
SELECT (SELECT count(*) FROM kept) = (SELECT count(DISTINCT s::text) FROM samples) AS as_many_as_texts;
SET enable_hashjoin = off;
SELECT count(*) = (SELECT count(*) FROM kept) AS by_merge FROM kept a JOIN kept b ON a.s = b.s;
RESET enable_hashjoin;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT count(*) = (SELECT count(*) FROM kept) AS by_hash FROM kept a JOIN kept b ON a.s = b.s;
RESET enable_mergejoin;
RESET enable_nestloop;
CREATE TABLE parted (s spec) PARTITION BY HASH (s);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT s FROM kept;
SELECT count(*) = (SELECT count(*) FROM kept) AS all_there, count(DISTINCT tableoid) AS partitions FROM parted;

-- 4. What a specification is made of.
SELECT s, spec_fields(s), spec_depth(s), spec_clauses(s)
FROM unnest(ARRAY['', 'a = 1', 'not a < 1', 'a = 1 and a.b < 2 and "A" = 3 and a > 4', 'a = 1 and (b = 2 or not (c = 3 and x[0]."y z" = 4))', 'true or a = 1']::spec[]) s;

-- 5. Errors say what, where and what to do.
\pset format unaligned
\pset tuples_only on
\pset recordsep '\n\n'
SELECT '>>> ' || input || E'\n' || errors.of_spec(input) FROM (VALUES
    ('a'), ('a and b = 1'), ('a 1'), ('a equals 1'), ('= 1'), ('a ='), ('a = = 1'), ('a == 1'), ('a => 1'), ('a =< 1'), ('a =~ ''x'''), ('a & 1'), ('a = 1 & b = 2'), ('a = 1 && b = 2'), ('a = 1 || b = 2'), ('! a = 1'),
    ('a ~~ ''x'''), ('a = ?'), ('a = :x'), ('a = 1::int'), ('a = 1;'), ('x {"a": 1}'), ('a # 1'),
    ('a = b'), ('a = b and c = 1'), ('a = "b"'), ('a = b.c'), ('a = date'), ('a = some words ''x'''), ('a = date ''x'' ''y'''), ('a = (1)'),
    ('a in 1'), ('a in (1'), ('a in (1,)'), ('a in (1 2)'), ('a in array[1]'), ('a not in 1'), ('a is 5'), ('a is not'), ('a is unknown'), ('a not 1'), ('a not starts_with ''x'''),
    ('a between 1'), ('a between 1 or 2'), ('a like'), ('a starts_with'), ('a like like'),
    ('(a = 1'), ('((a = 1) and b = 2'), ('a = 1)'), ('()'), ('a = 1 and'), ('and a = 1'), ('a = 1 b = 2'), ('not'), ('a = 1 or or b = 2'), ('(price) = 1'), ('1 = a'), ('''a'' = 1'), ('null = a'), ('true = 1'), ('select = 1 from x'),
    ('a = ''x'), ('a = ''x'''''), ('"a = 1'), ('a = ''x'' y'''), ('"" = 1'), ('a."" = 1'), ('a = "".b ''x'''), ('a. = 1'), ('a..b = 1'), ('.a = 1'), ('a[] = 1'), ('a[x] = 1'), ('a[1.5] = 1'), ('a[1234567890] = 1'), ('[0] = 1'), ('a[1 = 1'),
    ('a = 12x'), ('a = 0x1F'), ('a = 1_000'), ('a = 1e'), ('a = 1.2.3'), ('a = 1e131072'), ('a = 1e-16384'), ('a = 1e99999999999999999999'), ('a = --1'), ('a = -''1'''), ('a = -$1'), ('a = $0'), ('a = $65536'), ('a = $99999999999'), ('a = $'), ('a = $1x'),
    ('a = array[array[1]]'), ('a = array[1'), ('a = array 1'), ('a = array[x]'), ('a = {1}'), ('a = ]'), (E'a = 1 and\n  b = 2 and\n\tc = x and\nd = 3'), (E'a = 1 and\r\nb ! 2'), (E'a = 1\n'' '), (E'a = \x01')
) t(input);
-- null where it could only be false
SELECT errors.of_spec(format(o, 'null')) FROM unnest(ARRAY['"A".b < %s', 'a <= %s', 'a > %s', 'a >= %s', 'a like %s', 'not a ilike %s', 'a ~ %s', 'a !~* %s', 'a starts_with %s', 'a contains %s', 'a <@ %s', 'a && %s', 'a between %s and 1', 'a between 1 and %s']) o;
-- characters are counted, not bytes; a long line is shown around the place; so is a long token
SELECT errors.of_spec(U&'\00e4 = ''\00f6\00df'' und b = 1');
SELECT errors.of_spec(U&'\6f22\5b57 = \6f22\5b57');
SELECT errors.of_spec('a = ''' || repeat('x', 200) || ''' andd b = ''' || repeat('y', 200) || '''');
SELECT errors.of_spec('a = ' || repeat('b', 100));
SELECT errors.of_spec(repeat('a = 1 and ', 1000) || 'a = = 2');
-- and the same in parts of a specification
SELECT errors.of($$SELECT 'a = 1'::spec && 'a ='$$);
\pset format aligned
\pset tuples_only off
\pset recordsep '\n'

-- 6. Limits. Nesting is bounded while the text is read, however long it is.
SHOW apibase.spec_max_depth;
SELECT spec_depth((repeat('(', 99) || 'a = 1' || repeat(')', 99))::spec) AS parentheses_alone_are_no_depth;
SELECT left(errors.of_spec(repeat('(', 1000) || 'a = 1' || repeat(')', 1000)), 65) AS refused;
SELECT left(errors.of_spec(repeat('(', 1000000)), 65) AS refused;
SELECT left(errors.of_spec(repeat('not ', 200000) || 'a = 1'), 67) AS refused;
SELECT left(errors.of_spec(repeat('not (', 200000)), 67) AS refused;
-- The deepest tree that may be, and its text; one more is too deep in every way.
CREATE FUNCTION nested(depth int) RETURNS text LANGUAGE sql AS $$
    SELECT repeat('a = 1 and (b = 2 or ', depth / 2) || 'not (c < 3)' || repeat(')', depth / 2)
$$;
SELECT spec_depth(nested(98)::spec), nested(98)::spec::text::spec = nested(98)::spec AS read_back, nested(98)::spec::jsonb::spec = nested(98)::spec AS from_json;
SELECT errors.of('SELECT spec_language.nested(100)::spec');
SELECT errors.of($$SELECT (spec_language.nested(98)::spec && 'd = 4') || 'e = 5'$$);
SELECT errors.of($$SELECT 'd = 4' || (spec_language.nested(98)::spec && 'd = 4')$$), errors.of($$SELECT !! ('d = 4' || (spec_language.nested(98)::spec && 'd = 4'))$$);
SET apibase.spec_max_depth = 3;
SELECT errors.of_spec('a = 1 and (b = 2 or c = 3)'), errors.of_spec('a = 1 and (b = 2 or c = 3 and d = 4)');
SELECT errors.of_spec('((((a = 1))))');
SELECT left(errors.of_spec('(((((a = 1)))))'), 65);
-- What is stored is read under any setting.
CREATE TABLE deep AS SELECT nested(0)::spec AS s;
RESET apibase.spec_max_depth;
UPDATE deep SET s = nested(98)::spec;
SET apibase.spec_max_depth = 3;
SELECT spec_depth(s), length(s::text) > 1000 AS printed FROM deep;
RESET apibase.spec_max_depth;

-- Size: that of the text, before it is read; and of the text that is printed, so that all that is stored can be restored.
SET apibase.spec_max_size = '1kB';
SELECT errors.of_spec('a = ''' || repeat('x', 1018) || ''''), errors.of_spec('a = ''' || repeat('x', 1019) || '''');
SELECT errors.of_spec(repeat(' ', 1025));
SELECT errors.of_spec(repeat('a=$1 or ', 113) || 'a=$1'), errors.of_spec(repeat('a=$1 or ', 114) || 'a=$1');
SELECT errors.of($$SELECT ('a = ''' || repeat('x', 600) || '''')::spec && ('b = ''' || repeat('x', 600) || '''')::spec$$);
RESET apibase.spec_max_size;
-- Ten thousand clauses and more are no matter; parser and evaluation of lists are linear.
SELECT spec_clauses(s), spec_depth(s), s::text::spec = s AS read_back
FROM (SELECT string_agg(format('f%s = %s', i, i), CASE WHEN i % 2 = 0 THEN ' and ' ELSE ' or ' END)::spec FROM generate_series(1, 10000) i) t(s);
SELECT spec_clauses(s), length(s::text) FROM (SELECT ('a in (' || string_agg(i::text, ',') || ')')::spec FROM generate_series(1, 20000) i) t(s);

-- 7. Damaged data is an error.
SELECT errors.of($$SELECT spec_recv(''::cstring::internal)$$) LIKE '42846%' AS not_callable;
SELECT p.provolatile, p.proisstrict, p.proparallel FROM pg_proc p WHERE p.oid IN ('spec_in(cstring)'::regprocedure, 'spec_out(spec)'::regprocedure, 'spec_recv(internal)'::regprocedure, 'spec_send(spec)'::regprocedure);
SELECT typlen, typstorage, typalign, typcategory, typtype FROM pg_type WHERE oid = 'spec'::regtype;

DROP SCHEMA spec_language, errors CASCADE;
