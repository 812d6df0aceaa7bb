-- Documents read as values of types: what a function of a type is given, and what is wrong with a document.
\set VERBOSITY terse
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\pset null NULL
CREATE SCHEMA app;
CREATE TYPE app.colour AS ENUM ('red', 'green', 'blue');
CREATE TYPE app.point AS (x integer, y integer);
CREATE DOMAIN app.sku AS text NOT NULL CONSTRAINT sku_form CHECK (VALUE ~ '^[A-Z]{2}-[0-9]+$');
CREATE DOMAIN app.required_text AS text NOT NULL;
CREATE DOMAIN app.quantity AS integer CONSTRAINT quantity_positive CHECK (VALUE > 0);
CREATE DOMAIN app.near AS app.point CONSTRAINT near_origin CHECK (abs((VALUE).x) < 100 AND abs((VALUE).y) < 100);
CREATE DOMAIN app.pair AS integer[] CONSTRAINT pair_of_two CHECK (cardinality(VALUE) = 2);
CREATE TYPE app.line AS (sku app.sku, quantity app.quantity, note text);
CREATE TYPE app.place_order AS (customer app.required_text, lines app.line[], at timestamptz, gift boolean);

-- what came of a document: the value as text, or the faults one by one
CREATE FUNCTION app.read_by(document jsonb, function regprocedure) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    r apibase.result := apibase.result_map(apibase.ok(document), function);
BEGIN
    IF apibase.is_ok(r) THEN
        RETURN NEXT (r).value;
    ELSE
        RETURN NEXT concat_ws(' ', (r).error ->> 'status', (r).error ->> 'code', (r).error ->> 'detail');
        RETURN QUERY SELECT concat('  ', e -> 'pointer', ' ', e ->> 'code', ' ', e ->> 'detail')
            FROM jsonb_array_elements((r).error -> 'errors') e;
    END IF;
END $$;
-- a type, and the function that shows its values as text
CREATE FUNCTION app.show_of(type text) RETURNS regprocedure LANGUAGE plpgsql AS $$
DECLARE
    name text := 'app.' || quote_ident('show ' || type);
BEGIN
    IF to_regprocedure(format('%s(%s)', name, type)) IS NULL THEN
        EXECUTE format('CREATE FUNCTION %s(%s) RETURNS text LANGUAGE sql AS $f$ SELECT coalesce($1::text, ''(null)'') $f$', name, type);
    END IF;
    RETURN format('%s(%s)', name, type)::regprocedure;
END $$;
CREATE FUNCTION app.read(type text, document jsonb) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT app.read_by(document, app.show_of(type))
$$;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';

-- scalars
SELECT type, document, app.read(type, document) FROM (VALUES
    ('text', '"a"'::jsonb), ('text', '""'), ('text', '1'), ('text', 'true'), ('text', '{}'), ('text', '["a"]'), ('text', '"\u00fc/\"\\"'),
    ('varchar', '"any"'), ('"char"', '"x"'), ('name', '"n"'), ('bpchar', '"b "'),
    ('boolean', 'true'), ('boolean', 'false'), ('boolean', '"true"'), ('boolean', '1'),
    ('smallint', '32767'), ('smallint', '32768'), ('smallint', '-32768'), ('smallint', '"12"'),
    ('integer', '2147483647'), ('integer', '2147483648'), ('integer', '1.0'), ('integer', '1.5'), ('integer', '1e3'), ('integer', '"x"'),
    ('integer', 'true'), ('integer', '{"a": 1}'), ('integer', '-0'), ('integer', '-2147483648'),
    ('bigint', '9223372036854775807'), ('bigint', '9223372036854775808'), ('bigint', '-9223372036854775808'), ('bigint', '1e40'),
    ('numeric', '1.50'), ('numeric', '"NaN"'), ('numeric', '"Infinity"'), ('numeric', '1e-20'), ('numeric', '"one"'), ('numeric', '[1]'),
    ('float8', '0.1'), ('float8', '1e400'), ('float8', '"-Infinity"'), ('float8', '1e-400'), ('real', '0.1'), ('real', '1e60'), ('oid', '26'),
    ('date', '"2024-02-29"'), ('date', '"2023-02-29"'), ('date', '"soon"'), ('date', '20240229'), ('date', 'true'),
    ('timestamptz', '"2024-01-01T00:00:00+02:00"'), ('time', '"25:00"'), ('interval', '"1 day"'), ('interval', '90'),
    ('uuid', '"9F3C0F4E-0000-7000-8000-0123456789ab"'), ('uuid', '"{9f3c0f4e000070008000-0123456789ab}"'),
    ('uuid', '"9f3c0f4e-0000-7000-8000-0123456789ag"'), ('uuid', '"9f3c"'), ('uuid', '1'),
    ('app.colour', '"green"'), ('app.colour', '"pink"'), ('app.colour', '7'),
    ('int4range', '"[1,5)"'), ('int4range', '"[5,1)"'), ('int4multirange', '"{[1,2),[4,5)}"'), ('bytea', '"\\x0a0b"'), ('bytea', '"\\xzz"'),
    ('inet', '"10.0.0.1"'), ('inet', '"10.0.0.256"'), ('int2vector', '"1 2"'),
    ('text', 'null'), ('integer', 'null'), ('app.colour', 'null')) v (type, document);

-- json and jsonb are taken as they are, also null
SELECT type, document, app.read(type, document) FROM (VALUES ('jsonb', '{"a": [1, null]}'::jsonb), ('json', '{"a": [1, null]}'),
    ('jsonb', '"s"'), ('json', '1.50'), ('jsonb', 'null'), ('json', 'null')) v (type, document);
SELECT apibase.result_map(apibase.ok(NULL::jsonb), app.show_of('jsonb')), apibase.result_map(apibase.ok(NULL::jsonb), app.show_of('integer'));

-- composite values
SELECT document, app.read('app.point', document) FROM (VALUES ('{"x": 1, "y": 2}'::jsonb), ('{"y": 2}'), ('{}'), ('{"x": null}'), ('[1, 2]'), ('"(1,2)"'),
    ('1'), ('{"x": 1, "Y": 2}'), ('{"x": 1, "yy": 2, "quite_other": 3}'), ('{"x": "a", "y": [1], "z": 0}'), ('{"a/b~c": 1}'), ('{"": 1}'), ('null')) v (document);
CREATE TYPE app.documents AS (j json, b jsonb, t text);
SELECT document, app.read('app.documents', document) FROM (VALUES
    ('{"j": {"k": 1}, "b": [1, {"k": null}], "t": "x"}'::jsonb), ('{"j": null, "b": null}'), ('{"j": 1, "b": "s"}'), ('{"t": {}}')) v (document);
CREATE TYPE app.limited AS (code varchar(3), letters char(2), amount numeric(4,2), codes varchar(2)[], flags bit(3), at timestamp(0), "Quoted Name" integer);
SELECT document, app.read('app.limited', document) FROM (VALUES
    ('{"code": "abc", "letters": "a", "amount": 12.345, "codes": ["ab", null], "flags": "101", "at": "2024-01-01 00:00:00.6", "Quoted Name": 1}'::jsonb),
    ('{"code": "abcd", "letters": "abc", "amount": 123.4, "codes": ["ab", "abc"], "flags": "1", "at": "x", "quoted name": 1}'),
    ('{"code": "\u00e4\u00f6\u00fc"}'), ('{"code": "abc   "}')) v (document);
CREATE TYPE app.nothing AS ();
SELECT document, app.read('app.nothing', document) FROM (VALUES ('{}'::jsonb), ('{"a": 1}')) v (document);

-- domains
SELECT type, document, app.read(type, document) FROM (VALUES ('app.sku', '"AB-1"'::jsonb), ('app.sku', '"x"'), ('app.sku', 'null'), ('app.sku', '1'),
    ('app.required_text', '""'), ('app.required_text', 'null'), ('app.quantity', '1'), ('app.quantity', '0'), ('app.quantity', 'null'), ('app.quantity', '"a"'),
    ('app.near', '{"x": 1, "y": 1}'), ('app.near', '{"x": 1, "y": 100}'), ('app.near', '{"x": "1a", "y": 100}'), ('app.near', 'null'),
    ('app.pair', '[1, 2]'), ('app.pair', '[1]'), ('app.pair', '[1, "b"]')) v (type, document);
-- a domain over a domain, over a type with a length, over an array of another
CREATE DOMAIN app.code AS varchar(3);
CREATE DOMAIN app.upper_code AS app.code CONSTRAINT upper_only CHECK (VALUE = upper(VALUE)) CONSTRAINT not_x CHECK (VALUE <> 'X');
CREATE DOMAIN app.quantities AS app.quantity[] CONSTRAINT not_empty CHECK (cardinality(VALUE) > 0);
CREATE DOMAIN app.given AS integer CONSTRAINT is_given CHECK (VALUE IS NOT NULL);
CREATE TYPE app.nest AS (code app.upper_code, quantities app.quantities, given app.given);
SELECT document, app.read('app.nest', document) FROM (VALUES
    ('{"code": "AB", "quantities": [1, 2], "given": 0}'::jsonb), ('{"code": "ab", "quantities": []}'), ('{"code": "X", "quantities": [1, 0, null, -1], "given": null}'),
    ('{"code": "ABCD", "quantities": {}, "given": 1}')) v (document);

-- arrays
SELECT type, document, app.read(type, document) FROM (VALUES ('integer[]', '[]'::jsonb), ('integer[]', '[1, null, 3]'), ('integer[]', '[[1, 2], [3, 4]]'),
    ('integer[]', '[[1, 2], [3]]'), ('integer[]', '[[1], 2]'), ('integer[]', '[1, [2]]'), ('integer[]', '[[1], null]'), ('integer[]', '[[], []]'),
    ('integer[]', '[[[1]], [[2]]]'), ('integer[]', '[[[[[[1]]]]]]'), ('integer[]', '[[[[[[[1]]]]]]]'), ('integer[]', '"{1,2}"'), ('integer[]', '{"0": 1}'),
    ('integer[]', 'null'), ('integer[]', '1'), ('integer[]', '[1, "x", 3, true]'),
    ('text[]', '["a", "NULL", null, "", "{}"]'), ('jsonb[]', '[1, [2], {"a": null}, null]'), ('app.point[]', '[{"x": 1}, {"y": "no"}, null, {"z": 1}]'),
    ('app.point[]', '[[{"x": 1}], [{"x": 2}]]'), ('app.pair[]', '[[1, 2], [3, 4]]'), ('app.pair[]', '[[1, 2], [3]]'), ('app.colour[]', '["red", "blue"]')) v (type, document);

-- everything at once: each fault has its pointer
SELECT app.read('app.place_order', '{"customer": "Ada", "lines": [{"sku": "AB-1", "quantity": 2}, {"sku": "CD-22", "note": "soft"}], "gift": true,
    "at": "2024-01-01 12:00+00"}');
SELECT app.read('app.place_order', '{"lines": [{"sku": "ab", "quantity": 0, "nota": 1}, {"quantity": "many"}, 7, null], "gift": "yes", "at": "never", "costumer": "Ada"}');
SELECT app.read('app.place_order', '{}');
SELECT app.read('app.place_order', '{"customer": null, "lines": null}');

-- rows of a table: what the table fills in itself may be missing
CREATE TABLE app.item (
    id bigint GENERATED ALWAYS AS IDENTITY,
    gone text NOT NULL,
    name text NOT NULL,
    price numeric(8,2) NOT NULL DEFAULT 0,
    label text GENERATED ALWAYS AS (name || '!') STORED NOT NULL,
    note text);
ALTER TABLE app.item DROP COLUMN gone;
SELECT document, app.read('app.item', document) FROM (VALUES ('{"name": "n"}'::jsonb), ('{}'), ('{"name": null, "price": null, "id": null}'),
    ('{"id": 1, "name": "n", "price": 1.005, "label": "l", "note": "x"}'), ('{"name": "n", "gone": 1}'), ('{"name": "n", "........pg.dropped.2........": 1}')) v (document);
ALTER TABLE app.item ADD COLUMN added integer NOT NULL DEFAULT 1, ALTER COLUMN note SET NOT NULL;
SELECT app.read('app.item', '{"name": "n"}');

-- not more than 100 faults, and one that says so
SELECT count(*), min(line), max(line) FROM app.read('integer[]', (SELECT jsonb_agg('x'::text) FROM generate_series(1, 99))) WITH ORDINALITY r (line, n) WHERE n > 1;
SELECT count(*) FROM app.read('integer[]', (SELECT jsonb_agg('x'::text) FROM generate_series(1, 100))) WITH ORDINALITY r (line, n) WHERE n > 1;
SELECT line FROM app.read('integer[]', (SELECT jsonb_agg('x'::text) FROM generate_series(1, 300))) WITH ORDINALITY r (line, n) WHERE n > 100;
SELECT count(*), max(n) FILTER (WHERE line LIKE '%more faults%') FROM app.read('app.point',
    (SELECT jsonb_object_agg('f' || i, i) FROM generate_series(1, 250) i)) WITH ORDINALITY r (line, n);
-- faults of both kinds: of the form, and from functions of types
SELECT count(*) FROM app.read('date[]', (SELECT jsonb_agg(CASE WHEN i % 3 = 0 THEN '"x"'::jsonb WHEN i % 3 = 1 THEN 'true' ELSE '"2024-01-01"' END)
    FROM generate_series(1, 60) i)) WITH ORDINALITY r (line, n) WHERE n > 1;

-- large, and deep
SELECT length(line) FROM app.read('integer[]', (SELECT jsonb_agg(i) FROM generate_series(1, 100000) i)) line;
SELECT length(line) FROM app.read('date[]', (SELECT jsonb_agg('2024-01-01'::text) FROM generate_series(1, 20000) i)) line;
CREATE TYPE app.level0 AS (v integer);
DO $$ BEGIN
    FOR i IN 1 .. 60 LOOP EXECUTE format('CREATE TYPE app.level%s AS (inside app.level%s%s)', i, i - 1, CASE WHEN i % 2 = 0 THEN '[]' END); END LOOP;
END $$;
SELECT app.read('app.level60', (repeat('{"inside": [{"inside": ', 30) || '{"v": 1}' || repeat('}]}', 30))::jsonb) IS NOT NULL;
SELECT right(line, 60) FROM app.read('app.level60', (repeat('{"inside": [{"inside": ', 30) || '{"v": true}' || repeat('}]}', 30))::jsonb) WITH ORDINALITY r (line, n)
    WHERE n = 2;

-- the effects of reading are undone with its errors, and errors that are not of the data are no faults
CREATE FUNCTION app.check_raises(v integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF v = 1 THEN RAISE EXCEPTION 'not for clients' USING ERRCODE = 'XX000'; END IF;
    IF v = 2 THEN RAISE EXCEPTION 'out of range' USING ERRCODE = '22003'; END IF;
    RETURN v > 2;
END $$;
CREATE DOMAIN app.raising AS integer CONSTRAINT raises CHECK (app.check_raises(VALUE));
SET client_min_messages = error;
SELECT document, app.read('app.raising[]', document) FROM (VALUES ('[3]'::jsonb), ('[3, 2, 0, 2, 4, 0]'), ('[2, 1]'), ('["x", 1]')) v (document);
SET client_min_messages = warning;

-- faults that input functions call errors of syntax and names; what a constraint of a domain calls so is no fault of the document
CREATE FUNCTION app.search(tsquery) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
CREATE FUNCTION app.relation(regclass) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
CREATE FUNCTION app.broken(integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN nosuch; END';
CREATE DOMAIN app.broken AS integer CHECK (app.broken(VALUE));
CREATE FUNCTION app.of_broken(app.broken) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
SELECT r.error ->> 'status', r.error -> 'errors' FROM (VALUES ('"a & &"'::jsonb, 'app.search(tsquery)'::regprocedure), ('"nosuch"', 'app.relation(regclass)'),
    ('1', 'app.of_broken(app.broken)')) v (d, f), apibase.result_map(apibase.ok(d), f) r;
-- a short number that is a long text is not repeated
CREATE FUNCTION app.numbers(integer[]) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
SELECT length(r.error -> 'errors' -> 0 ->> 'detail') FROM apibase.result_map(apibase.ok('[1e131071]'::jsonb), 'app.numbers(integer[])') r;

-- types that have no values to be read
SELECT (apibase.result_map(apibase.ok('{"a": 1}'::jsonb), 'to_jsonb(anyelement)')).value, (apibase.result_map(apibase.ok('"x"'::jsonb), 'unknownout(unknown)')).error ->> 'code';
CREATE FUNCTION app.anything(record) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SELECT (apibase.result_map(apibase.ok('{"a": 1}'::jsonb), 'app.anything(record)')).error ->> 'code';

DROP SCHEMA app CASCADE;
