-- Values and types: what a literal means for a field of every kind of type.
-- plans.ids finds the rows in all ways (inlined, as a value, in memory, negated, as SQL text) and tells when they disagree.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_values, spec_citext CASCADE;
CREATE SCHEMA spec_values;
CREATE SCHEMA spec_citext;
CREATE EXTENSION citext SCHEMA spec_citext;
SET search_path = spec_values, apibase;
SET lc_monetary = 'C';
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

-- 1. Every type that has an order: rows 1 < 2 < 3, and row 4 is NULL.
CREATE TYPE mood AS ENUM ('zzz', 'meh', 'aaa');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN d_int AS int CHECK (VALUE < 1000);
CREATE DOMAIN d_deep AS d_int NOT NULL DEFAULT 1;
CREATE DOMAIN d_text AS varchar(9);
CREATE TABLE kinds (type text, lo text, mid text, hi text, col text GENERATED ALWAYS AS ('c_' || regexp_replace(type, '[^a-z0-9]', '_', 'g')) STORED);
-- a string of the specification language: no escapes, only the quote is doubled
CREATE FUNCTION q(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '''' || replace($1, '''', '''''') || '''' $$;
INSERT INTO kinds VALUES
	('int2', '-1', '2', '3'), ('int4', '-1', '2', '3'), ('int8', '-1', '2', '3'), ('numeric', '1.5', '2.5', 'NaN'),
	('numeric(10,2)', '1.5', '2.5', '3'), ('float4', '1.5', '2.5', 'Infinity'), ('float8', '-Infinity', '2.5', 'NaN'), ('money', '1.00', '2.00', '3.00'),
	('oid', '1', '2', '4294967295'), ('text', 'a', 'b', 'c'), ('varchar', 'a', 'b', 'c'), ('varchar(5)', 'a', 'b', 'c'), ('char(5)', 'a', 'b', 'c'),
	('name', 'a', 'b', 'c'), ('"char"', 'a', 'b', 'c'), ('bytea', '\x00', '\x01', '\xff'),
	('date', '-infinity', '2026-01-02', '2026-01-03'), ('time', '10:00', '11:00', '24:00'), ('timetz', '10:00+00', '11:00+00', '12:00+00'),
	('timestamp', '2026-01-01', '2026-01-01 00:00:00.000001', 'infinity'),
	('timestamptz', '2026-01-01 00:00+02', '2026-01-01 00:00+01', '2026-01-01 00:00+00'), ('interval', '29 days', '1 month', '31 days'),
	('uuid', '00000000-0000-0000-0000-000000000001', '{A0000000-0000-0000-0000-000000000002}', 'b0000000000000000000000000000003'),
	('inet', '10.0.0.1', '10.0.0.2', '::1'), ('cidr', '10.0.0.0/8', '11.0.0.0/8', '::/0'),
	('macaddr', '08:00:2b:01:02:03', '08:00:2b:01:02:04', '08:00:2b:01:02:05'), ('macaddr8', '08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03:04:06', '08:00:2b:01:02:03:04:07'),
	('bit(4)', '0001', '0010', '1000'), ('varbit', '0', '01', '1'), ('pg_lsn', '0/1', '0/2', '1/0'), ('xid8', '1', '2', '3'),
	('mood', 'zzz', 'meh', 'aaa'), ('pair', '(1,a)', '(1,b)', '(2,)'), ('d_int', '-1', '2', '3'), ('d_deep', '-1', '2', '3'), ('d_text', 'a', 'b', 'c'),
	('spec_citext.citext', 'a', 'B', 'c'), ('int4[]', '{1}', '{1,2}', '{2}'), ('text[]', '{a}', '{a,NULL}', '{b}'), ('mood[]', '{zzz}', '{meh}', '{aaa}'),
	('int4range', '[1,3)', '[2,3)', '[3,9)'), ('tstzrange', '[2026-01-01,2026-01-02)', '[2026-01-02,2026-01-03)', '[2026-01-03,)'),
	('int4multirange', '{[1,3)}', '{[2,3)}', '{[3,9)}'), ('jsonb', '1', '2', '[1]');
DO $$
DECLARE
	cols text; lo text; mid text; hi text;
BEGIN
	SELECT string_agg(format('%I %s', col, type), ', '), string_agg(format('%L::%s', k.lo, type), ', '),
		   string_agg(format('%L::%s', k.mid, type), ', '), string_agg(format('%L::%s', k.hi, type), ', ')
		INTO cols, lo, mid, hi FROM kinds k WHERE type <> 'd_deep';
	EXECUTE format('CREATE TABLE typed (id int, %s)', cols);
	EXECUTE format('INSERT INTO typed VALUES (1, %s), (2, %s), (3, %s)', lo, mid, hi);
	INSERT INTO typed (id) VALUES (4);
	-- a domain that forbids NULL has its own table
	CREATE TABLE typed_deep AS SELECT id, v::d_deep AS c_d_deep FROM (VALUES (1, -1), (2, 2), (3, 3)) d(id, v);
END $$;
SELECT eq, ne, lt, le, gt, ge, "in", not_in, between_, not_between, is_null, not_null, string_agg(type, ' ' ORDER BY type COLLATE "C") AS types
FROM (SELECT type,
		plans.ids(rel, format('%I = %s', col, q(mid))) AS eq, plans.ids(rel, format('%I <> %s', col, q(mid))) AS ne,
		plans.ids(rel, format('%I < %s', col, q(mid))) AS lt, plans.ids(rel, format('%I <= %s', col, q(mid))) AS le,
		plans.ids(rel, format('%I > %s', col, q(mid))) AS gt, plans.ids(rel, format('%I >= %s', col, q(mid))) AS ge,
		plans.ids(rel, format('%I in (%s, %s)', col, q(mid), q(hi))) AS in, plans.ids(rel, format('%I not in (%s, %s)', col, q(mid), q(hi))) AS not_in,
		plans.ids(rel, format('%I between %s and %s', col, q(lo), q(mid))) AS between_,
		plans.ids(rel, format('%I not between %s and %s', col, q(lo), q(mid))) AS not_between,
		plans.ids(rel, format('%I is null', col)) AS is_null, plans.ids(rel, format('%I is not null', col)) AS not_null
	FROM kinds, LATERAL (SELECT CASE type WHEN 'd_deep' THEN 'typed_deep' ELSE 'typed' END::regclass AS rel) r) x
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 ORDER BY count(*) DESC;

-- Numbers fit numeric types.
SELECT type, plans.ids('typed', format('%I >= 2.5', col)) AS ge FROM kinds
	WHERE type IN ('int2', 'int4', 'int8', 'numeric', 'numeric(10,2)', 'float4', 'float8', 'd_int') ORDER BY type COLLATE "C";
SELECT plans.ids('typed', 'c_numeric_10_2_ = 2.501') AS scale_is_not_rounded, plans.ids('typed', 'c_numeric = 2.50') AS equal,
	plans.ids('typed', 'c_int4 = 2e0') AS exponent, plans.ids('typed', 'c_float8 > 1e308') AS nan_is_greatest,
	plans.ids('typed', 'c_oid >= 2') AS oid, plans.ids('typed', 'c_d_int < ''2000''') AS beyond_the_domain;
-- ... and no others; true and false fit booleans only.
SELECT type, plans.raises(format('SELECT * FROM typed WHERE typed @@ %L', format('%I = 1', col)), col) AS number,
	plans.raises(format('SELECT * FROM typed WHERE typed @@ %L', format('%I = true', col)), col) AS bool
FROM kinds WHERE type IN ('text', 'char(5)', 'date', 'timestamptz', 'uuid', 'mood', 'int4[]', 'd_text', 'bytea', 'spec_citext.citext') ORDER BY type COLLATE "C";
SELECT plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_int4 = true'$$, 'c_int4', 'true') AS bool_on_integer, plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_text = 4711'$$, 'c_text', '4711') AS number_on_text,
	plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_numeric in (1, false)'$$, 'c_numeric') AS bool_on_numeric,
	plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_int4 = array[1]'$$, 'c_int4') AS array_on_scalar;
-- The literal has the type of its field, not the length or precision of the column: nothing is cut or rounded.
CREATE TABLE lengths (id int, v varchar(3), c char(3), b bit(3), n numeric(4,1), ts timestamp(0));
INSERT INTO lengths VALUES (1, 'abc', 'abc', B'101', 1.5, '2026-01-01'), (2, 'ab', 'ab', B'100', 1.6, '2026-01-02'), (3, NULL, NULL, NULL, NULL, NULL);
SELECT spec, plans.ids('lengths', spec) FROM unnest(ARRAY['v = ''abc''', 'v = ''abcdef''', 'v <> ''abcdef''', 'c = ''ab     ''', 'c = ''abcdef''', 'b = ''101''', 'b = ''1010''', 'b > ''100''',
	'n = 1.54', 'n = 1.50', 'ts = ''2026-01-01 00:00:00.4''', 'ts < ''2026-01-01 00:00:00.4''']) spec;
-- A string that its type does not accept raises the type's own error, in SQL and in memory, and names the field.
SELECT lit, plans.raises(format('SELECT * FROM typed WHERE typed @@ %L', lit), split_part(lit, ' ', 1)) AS inlined,
	plans.raises(format('SELECT * FROM typed, (SELECT %L::spec AS s OFFSET 0) x WHERE typed @@ s', lit), split_part(lit, ' ', 1)) AS opaque
FROM unnest(ARRAY['c_int4 = ''x''', 'c_int4 = ''10.5''', 'c_int2 > ''99999''', 'c_date < ''2026-13-01''', 'c_uuid = ''1''', 'c_mood in (''meh'', ''sad'')',
	'c_bit_4_ = ''012''', 'c_int4range = ''[2,1)''', 'c_int4__ = ''{1,x}''', 'c_jsonb = ''{''', 'c_float4 < 1e39', 'c_float8 > 1e309']) lit;

-- A name is cut to 63 bytes when it is stored, a literal is not; types without operators of their own read literals as themselves.
CREATE TABLE borrowed (id int, n name, r regclass, t regtype, c cidr);
INSERT INTO borrowed VALUES (1, repeat('n', 63), 'pg_catalog.pg_class', 'integer', '10.0.0.0/8'), (2, 'n', 'kinds', 'text', '10.1.0.0/16'), (3, NULL, NULL, NULL, NULL);
SELECT spec, plans.ids('borrowed', spec) FROM unnest(ARRAY['n = ''' || repeat('n', 63) || '''', 'n = ''' || repeat('n', 64) || '''', 'n in (''n'', ''' || repeat('n', 64) || ''')', 'n < ''' || repeat('n', 64) || '''',
	'r = ''pg_catalog.pg_class''', 'r in (''kinds'', ''pg_catalog.pg_proc'')', 't = ''int4''', 't <> ''int4''', 'c = ''10/8''', 'r = regclass ''kinds''']) spec;
SELECT plans.raises($$SELECT * FROM borrowed WHERE borrowed @@ 'r = ''no_such_table'''$$, 'r') AS no_table, plans.raises($$SELECT * FROM borrowed WHERE borrowed @@ 'c = ''10.0.0.1/8'''$$, 'c') AS no_cidr;
-- Long lists, which are hashed in memory; repeated and NULL elements.
CREATE TABLE listed AS SELECT i AS id, nullif(i % 7, 0) AS v, 'k' || nullif(i % 7, 0) AS t, (nullif(i % 7, 0) || ' days')::interval AS iv FROM generate_series(1, 14) i;
SELECT spec, plans.ids('listed', spec) FROM unnest(ARRAY['v in (1,2,2,10,11,12,13,14,15,16,17,18)', 'v not in (1,2,2,10,11,12,13,14,15,16,17,18)', 'v in (6,null,10,11,12,13,14,15,16,17,18)', 'v not in (6,null,10,11,12,13,14,15,16,17,18)', 't in (''k1'',''a'',''b'',''c'',''d'',''e'',''f'',''g'',''h'',''i'')',
	't not in (''k1'',''k2'',''a'',''b'',''c'',''d'',''e'',''f'',''g'',''h'',''i'')', 'iv in (''24:00'',''1 mon'',''3 days'',''4 days'',''5 days'',''9 days'',''10 days'',''11 days'',''12 days'')']) spec;

-- 2. Integers: numbers that do not fit are folded exactly, at every boundary.
CREATE TABLE ints (id serial, i2 int2, i4 int4, i8 int8);
INSERT INTO ints (i2, i4, i8) VALUES (-32768, -2147483648, -9223372036854775808), (-32767, -2147483647, -9223372036854775807), (-1, -1, -1), (0, 0, 0),
	(1, 1, 1), (10, 10, 10), (11, 11, 11), (32766, 2147483646, 9223372036854775806), (32767, 2147483647, 9223372036854775807), (NULL, NULL, NULL);
CREATE FUNCTION folding(col text, lo numeric, hi numeric, OUT comparisons int, OUT wrong text[]) LANGUAGE plpgsql AS $$
DECLARE
	lit text; op text; ids int[]; filter int[]; value int[]; opaque int[];
BEGIN
	comparisons := 0;
	FOREACH lit IN ARRAY ARRAY[lo - 1, lo - 0.5, lo, lo + 0.5, lo + 1, hi - 1, hi - 0.5, hi, hi + 0.5, hi + 1]::text[] || '{-1,-0.5,-0.0,0,0.5,1.0,10,10.000,10.5,1e1,105e-1,1e-30,-1e-30,1e30,-1e30,1e1000}'::text[]
	LOOP
		FOREACH op IN ARRAY '{=,<>,<,<=,>,>=,in,not in,between,not between}'::text[] LOOP
			EXECUTE format('SELECT (SELECT array_agg(id ORDER BY id) FROM ints WHERE %1$s),
				(SELECT array_agg(id ORDER BY id) FROM ints WHERE ints @@ %2$L),
				(SELECT array_agg(id ORDER BY id) FROM (SELECT id, ints @@ %2$L AS ok FROM ints OFFSET 0) x WHERE ok),
				(SELECT array_agg(id ORDER BY id) FROM ints, (SELECT %2$L::spec AS s OFFSET 0) x WHERE ints @@ s)',
				CASE op
					WHEN '<>' THEN format('%I::numeric IS DISTINCT FROM %s::numeric', col, lit)
					WHEN 'in' THEN format('(%I::numeric IN (1, %s)) IS TRUE', col, lit)
					WHEN 'not in' THEN format('(%I::numeric IN (1, %s)) IS NOT TRUE', col, lit)
					WHEN 'between' THEN format('(%I::numeric BETWEEN 0.5 AND %s) IS TRUE', col, lit)
					WHEN 'not between' THEN format('(%I::numeric BETWEEN 0.5 AND %s) IS NOT TRUE', col, lit)
					ELSE format('(%I::numeric %s %s) IS TRUE', col, op, lit)
				END,
				CASE
					WHEN op LIKE '%in' THEN format('%I %s (1, %s)', col, op, lit)
					WHEN op LIKE '%between' THEN format('%I %s 0.5 and %s', col, op, lit)
					ELSE format('%I %s %s', col, op, lit)
				END) INTO ids, filter, value, opaque;
			comparisons := comparisons + 1;
			IF filter IS DISTINCT FROM ids OR value IS DISTINCT FROM ids OR opaque IS DISTINCT FROM ids THEN
				wrong := wrong || format('%s %s %s: must be %s, filter %s, value %s, opaque %s', col, op, lit, ids, filter, value, opaque);
			END IF;
		END LOOP;
	END LOOP;
END $$;
SELECT * FROM folding('i2', -32768, 32767);
SELECT * FROM folding('i4', -2147483648, 2147483647);
SELECT * FROM folding('i8', -9223372036854775808, 9223372036854775807);
-- What it is folded to, as a condition (left) and as a value (right).
SELECT spec, array_to_string(ARRAY(SELECT regexp_replace(l, '^ *Filter: ', '') FROM plans.lines(format('SELECT * FROM ints WHERE ints @@ %L', spec)) l WHERE l ~ 'Filter'), ' ') AS filter,
	plans.value('ints', spec) AS value
FROM unnest(ARRAY['i4 >= 10.5', 'i4 > 10.5', 'i4 < 10.5', 'i4 <= -10.5', 'i4 = 10.5', 'i4 <> 10.5', 'i4 in (1, 1.5, 3)', 'i4 in (1.5)', 'i4 not in (1.5)', 'i4 between 0.5 and 2.5',
	'i4 < 99999999999', 'i4 > 99999999999', 'not (i4 > 99999999999)', 'not (i4 < 99999999999)', 'i4 >= -99999999999', 'i2 = 40000', 'i4 = 1.0']) spec;
-- A string is the type's input: never folded.
SELECT plans.raises($$SELECT * FROM ints WHERE ints @@ 'i4 < ''99999999999'''$$, 'i4');

-- 3. Floats: a number is rounded to the column's type; a typed literal is not.
CREATE TABLE floats AS SELECT id, f::float4 AS f4, f::float8 AS f8, f AS n
	FROM (VALUES (1, 0.1), (2, 0.2), (3, 16777217), (4, NULL)) v(id, f);
SELECT plans.ids('floats', 'f4 = 0.1') AS f4, plans.ids('floats', 'f8 = 0.1') AS f8, plans.ids('floats', 'f4 = float8 ''0.1''') AS as_float8,
	plans.ids('floats', 'f4 = 16777216') AS rounded, plans.ids('floats', 'f8 = 16777216') AS exact, plans.ids('floats', 'n in (0.1, 0.20)') AS n;

-- 4. Booleans.
CREATE TABLE flags (id int, b bool, b2 bool NOT NULL);
INSERT INTO flags VALUES (1, true, true), (2, false, false), (3, NULL, true);
SELECT spec, plans.ids('flags', spec), plans.value('flags', spec)
FROM unnest(ARRAY['b = true', 'b = false', 'b <> true', 'b is true', 'b is false', 'b is not true', 'b is not false', 'b is null', 'b = ''yes''', 'b in (true, null)', 'b in (true, false)',
	'b > false', 'not (b = true)', 'b2 = true', 'b2 is not true', 'b2 <> false', 'b2 is null']) spec;
SELECT plans.raises($$SELECT * FROM flags WHERE flags @@ 'b = 1'$$, 'b') AS number, plans.raises($$SELECT * FROM flags WHERE flags @@ 'b like ''t%'''$$, 'b') AS "like";

-- 5. NULL: eq null is IS NULL; what orders or matches refuses null as its value.
SELECT spec, plans.ids('ints', spec) FROM unnest(ARRAY['i4 = null', 'i4 <> null', 'i4 is null', 'i4 is not null', 'not (i4 = null)', 'i4 in (1, null)', 'i4 not in (1, null)',
	'i4 in (null)', 'i4 in ()', 'i4 not in ()', 'i4 <> 1', 'not (i4 = 1)', 'not (i4 < 1)', 'i4 >= 1', 'not (i4 between 0 and 99)', 'not (i4 > 1 and i2 > 1)', 'not (not (i4 > 1))', 'true', 'false', '', 'not true']) spec;
SELECT spec, plans.raises(format('SELECT %L::spec', spec)) AS input
FROM unnest(ARRAY['i4 < null', 'i4 >= null', 'i4 between null and 1', 'i4 between 1 and null', 't like null', 't not ilike null', 't ~ null', 't starts_with null', 't contains null', 't overlaps null']) spec;

-- 6. Typed literals: the cross-type operator of the family, an implicit coercion, or refused.
CREATE TABLE times AS SELECT id, d, d::timestamp AS ts, d::timestamp AT TIME ZONE 'UTC' AS tz, d::text AS t
	FROM (VALUES (1, date '2026-01-01'), (2, '2026-01-02'), (3, '2026-01-03'), (4, NULL)) v(id, d);
SELECT spec, plans.ids('times', spec), plans.value('times', spec) FROM unnest(ARRAY['tz >= date ''2026-01-02''', 'ts >= date ''2026-01-02''', 'd >= timestamptz ''2026-01-01 00:00:01+00''', 'd < timestamp ''2026-01-02 12:00''',
	'tz = timestamp ''2026-01-02''', 'not (tz >= date ''2026-01-02'')', 'd between date ''2026-01-01'' and timestamp ''2026-01-02''', 'd in (date ''2026-01-01'', ''2026-01-03'')', 't = varchar ''2026-01-01''', 't < name ''2026-01-02''']) spec;
SELECT spec, plans.ids('ints', spec), plans.value('ints', spec) FROM unnest(ARRAY['i4 = int8 ''10''', 'i2 < int8 ''99999999999''', 'i8 = int2 ''11''', 'i4 in (int8 ''10'', 11)', 'i4 between int8 ''0'' and 1']) spec;
SELECT spec, plans.ids('typed', spec) FROM unnest(ARRAY['c_numeric > int4 ''2''', 'c_float8 = numeric ''2.5''', 'c_mood >= spec_values.mood ''meh''', 'c_d_int = int8 ''2''', 'c_inet = cidr ''10.0.0.2/32''', 'c_varchar_5_ = text ''b''', 'c_name = text ''b''', 'c_char_5_ = bpchar ''b''']) spec;
SELECT spec, plans.raises(format('SELECT * FROM typed WHERE typed @@ %L', spec), split_part(spec, ' ', 1)) FROM unnest(ARRAY['c_int4 = numeric ''2''', 'c_text = int4 ''5''', 'c_mood = text ''meh''', 'c_uuid = text ''x''', 'c_date = int4 ''5''', 'c_int4 = date ''2026-01-01''']) spec;
SELECT plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_int4 = int44 ''2'''$$, 'int44') AS no_type, plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_mood = mood ''meh'''$$, 'mood') AS only_pg_catalog_without_schema,
	plans.raises($$SELECT * FROM typed WHERE typed @@ 'c_int4 = int4 ''x'''$$, 'c_int4') AS bad_text;

-- 7. Words that mean another time tomorrow are refused: they would be frozen in plans.
SELECT lit, plans.raises(format('SELECT * FROM times WHERE times @@ %L', lit), split_part(lit, ' ', 1)) AS inlined,
	plans.raises(format('SELECT * FROM times, (SELECT %L::spec AS s OFFSET 0) x WHERE times @@ s', lit), split_part(lit, ' ', 1)) AS opaque
FROM unnest(ARRAY['tz < ''now''', 'tz < ''NOW''', 'ts < '' Now ''', 'd = ''today''', 'd = ''Tomorrow''', 'tz >= ''yesterday''', 'tz > ''today 12:00''', 'tz > ''tomorrow 00:00+01''', 'd = date ''today''', 'd in (''2026-01-01'', ''today'')', 'd between ''yesterday'' and ''2026-01-01''']) lit;
SELECT plans.ids('times', 'tz < ''infinity''') AS infinity, plans.ids('times', 'd > ''epoch''') AS epoch, plans.ids('times', 't = ''today''') AS a_text,
	plans.ids('times', 'tz < ''2026-01-03 00:00''') AS utc;
CREATE DOMAIN d_when AS timestamptz;
CREATE TABLE spans (id int, w d_when, r tstzrange, a date[], ti time, tt timetz);
INSERT INTO spans VALUES (1, '2026-01-01', '[2026-01-01,2026-02-01)', '{2026-01-01}', '10:00', '10:00+00');
SELECT lit, plans.raises(format('SELECT * FROM spans WHERE spans @@ %L', lit), split_part(lit, ' ', 1))
FROM unnest(ARRAY['w < ''now''', 'r contains ''[2026-01-01,now)''', 'r overlaps ''[today,)''', 'a contains array[''today'']', 'a contains ''{today}''', 'ti < ''now''', 'tt < ''now''', 'w < timestamptz ''now''']) lit;
SELECT plans.ids('spans', 'w < ''2026-01-01 00:00-00:01''') AS w, plans.ids('spans', 'r contains timestamptz ''2026-01-15''') AS r, plans.ids('spans', 'a contains array[''2026-01-01'']') AS a;
-- A bound moment is a typed literal in ISO form, whatever DateStyle and TimeZone are.
SET datestyle = 'German'; SET timezone = 'Asia/Kolkata';
SELECT spec('tz = $1 and d = $2 and ts < $3', timestamptz '2026-01-02 00:00+00', date '2026-01-02', timestamp '2026-02-01 10:00') AS elsewhere \gset
SELECT plans.ids('times', spec('tz = $1 and d = $2', timestamptz '2026-01-02 00:00+00', date '2026-01-02')::text);
SELECT plans.ids('times', 'tz < ''2026-01-02 05:30''') AS of_the_session;
SET datestyle = 'ISO, YMD'; SET timezone = 'UTC';
SELECT spec('tz = $1 and d = $2 and ts < $3', timestamptz '2026-01-02 00:00+00', date '2026-01-02', timestamp '2026-02-01 10:00')::text = :'elsewhere' AS same_text;

DROP SCHEMA spec_values, spec_citext, plans CASCADE;
