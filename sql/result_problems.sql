-- result: problems, made of errors and raised as errors.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\set ECHO none
\i :errors
\set ECHO all
DROP SCHEMA IF EXISTS problems, "odd/sch~ema" CASCADE;
DROP ROLE IF EXISTS regress_problems;
CREATE ROLE regress_problems;
CREATE SCHEMA problems;

-- The problem of what a statement raises, as an exception handler makes it.
CREATE FUNCTION problems.of(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    code text; message text; detail text; hint text; schema_name text; table_name text; column_name text; datatype_name text; constraint_name text;
BEGIN
    EXECUTE query;
    RETURN '"no error"';
EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        schema_name = SCHEMA_NAME, table_name = TABLE_NAME, column_name = COLUMN_NAME, datatype_name = PG_DATATYPE_NAME,
        constraint_name = CONSTRAINT_NAME;
    RETURN apibase.problem_from_error(code, message, detail, hint, schema_name, table_name, column_name, datatype_name, constraint_name);
END $$;
-- The same in short: status, code, detail, and the items.
CREATE FUNCTION problems.short(query text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', p ->> 'status', p ->> 'code', p ->> 'detail', (SELECT string_agg(format('[%s] %s %s', e ->> 'pointer', e ->> 'detail', e ->> 'code'), ', ')
        FROM jsonb_array_elements(p -> 'errors') e))
    FROM problems.of(query) p
$$;

-- What an SQLSTATE is to clients. A word of the message is seen only where it is meant for them, DETAIL and HINT only from applications.
SELECT s, p ->> 'status', replace(p ->> 'type', 'urn:problem-type:apibase:', ''), p ->> 'title', p ->> 'detail', p ->> 'hint'
FROM (SELECT s, apibase.problem_from_error(s, 'the message', 'The detail.', 'The hint.') AS p FROM unnest(ARRAY[
    'P0001', 'P0002', 'P0003', 'P0004', 'PB001', 'PB010', 'PB040', 'PB999', 'PT400', 'PT404', 'PT418', 'PT451', 'PT500', 'PT503', 'PT599', 'PT200', 'PT600', 'PTxyz',
    'PGRST', '02000', '08006', '0A000', '21000', '22000', '22001', '22003', '22007', '22008', '22012', '22023', '22P02', '22P03', '23000', '23502', '23503', '23505',
    '23514', '23P01', '23001', '24000', '25006', '25P02', '28000', '34000', '38000', '40001', '40P01', '42501', '42601', '42P01', '42703', '42883', '44000', '53100', '53200', '54001',
    '55000', '55P03', '57014', '57P01', '58030', '58P01', '72000', 'F0000', 'HV000', 'XX000', 'XX001', '5A000', '99999', 'IX001', 'AP001', 'MY001', 'ZZZZZ', '', 'x', 'pt404', 'TOOLONG', NULL]) s) x;
SELECT apibase.problem_from_error('XX000', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT apibase.problem_from_error('P0001', ''), apibase.problem_from_error('PT404', 'Not Found'), apibase.problem_from_error('P0001', 'Is it?', 'Yes.');
SELECT apibase.problem_from_error('PT409', 'm', d) ->> 'detail', apibase.problem_from_error('PT409', 'm', d) - '{type,title,status,code,detail}'::text[]
FROM unnest(ARRAY['{"a": 1}', '{"a": null, "status": 423}', '{"status": 200, "type": null}', '{broken', '{"a": "\u0000"}', '{}', '[1]', '1', repeat('{"a":', 100000)]) WITH ORDINALITY v (d, i)
WHERE i < 9;
SELECT count(*) FROM unnest(ARRAY[apibase.problem_from_error('PT409', 'deep', repeat('{"a":', 100000))]);

-- Of internal errors nothing is told, whatever they look like; that is for the log.
SELECT problems.of('SELECT 1 FROM problems.missing_secret');
SELECT problems.of($$DO 'BEGIN ASSERT false, ''secret''; END'$$);
SELECT problems.of($$DO 'BEGIN RAISE EXCEPTION ''secret'' USING ERRCODE = ''58030'', DETAIL = ''{"detail": "secret", "status": 200}'', HINT = ''secret''; END'$$);
SELECT problems.of($$SELECT 'secret'::int$$) ->> 'detail', problems.of($$SELECT 'secret'::date$$) ->> 'detail', problems.of('SELECT 99999999999::int') ->> 'detail',
    problems.of('SELECT 1/0') ->> 'detail', problems.of($$SELECT 'secret'::varchar(3)::problems.missing$$) ->> 'detail';
BEGIN READ ONLY;
SELECT problems.short('CREATE TABLE problems.t ()');
ROLLBACK;

-- Constraints: from the name to the fields.
CREATE DOMAIN problems.email AS text CONSTRAINT email_has_at CHECK (VALUE LIKE '%@%');
CREATE DOMAIN problems.name AS text NOT NULL;
CREATE DOMAIN problems.scores AS int[] CONSTRAINT scores_are_few CHECK (cardinality(VALUE) < 3);
CREATE TYPE problems.span AS (low int, high int);
CREATE DOMAIN problems.good_span AS problems.span CONSTRAINT low_is_lower CHECK ((VALUE).low < (VALUE).high);
CREATE TABLE problems.users (
    id int PRIMARY KEY,
    tenant text,
    dropped int,
    email text CONSTRAINT users_email UNIQUE,
    nick text,
    name text NOT NULL DEFAULT '',
    age int CHECK (age >= 0),
    starts int, ends int,
    during int4range,
    CONSTRAINT order_of_times CHECK (starts < ends),
    CONSTRAINT one_nick UNIQUE (tenant, nick) INCLUDE (age),
    CONSTRAINT whole_row CHECK (users::text NOT LIKE '(-1,%'),
    CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&),
    CONSTRAINT expression_excluded EXCLUDE USING btree ((starts * 1000 + ends) WITH =)
);
ALTER TABLE problems.users DROP COLUMN dropped;
CREATE UNIQUE INDEX users_lower ON problems.users (lower(email), tenant);
CREATE UNIQUE INDEX users_partial ON problems.users (name) INCLUDE (nick) WHERE age > 100;
CREATE UNIQUE INDEX users_nothing ON problems.users ((1)) WHERE age = 77;
CREATE TABLE problems.orders (
    id int PRIMARY KEY, buyer int CONSTRAINT orders_buyer REFERENCES problems.users, tenant text, nick text,
    CONSTRAINT orders_nick FOREIGN KEY (nick, tenant) REFERENCES problems.users (nick, tenant),
    mail problems.email, label problems.name DEFAULT '', scores problems.scores, span problems.good_span);
INSERT INTO problems.users VALUES (1, 'a', 'One@x', 'one', 'n', 101, 1, 2, '[1,5)'), (2, 'a', 'two@x', 'two', 'm', 77, 3, 4, NULL);
INSERT INTO problems.orders VALUES (1, 1, 'a', 'one');
CREATE VIEW problems.adults AS SELECT id, age FROM problems.users WHERE age >= 18 WITH CHECK OPTION;
SELECT problems.of('INSERT INTO problems.users (id, email) VALUES (3, ''One@x'')');
SELECT q, problems.short(q) FROM unnest(ARRAY[
    'INSERT INTO problems.users (id) VALUES (1)',
    'INSERT INTO problems.users (id, tenant, nick) VALUES (3, ''a'', ''one'')',
    'INSERT INTO problems.users (id, tenant, email) VALUES (3, ''a'', ''ONE@x'')',
    'INSERT INTO problems.users (id, name, age) VALUES (3, ''n'', 102)',
    'INSERT INTO problems.users (id, age) VALUES (3, 77)',
    'INSERT INTO problems.users (id, during) VALUES (3, ''[4,6)'')',
    'INSERT INTO problems.users (id, starts, ends) VALUES (3, 1, 2)',
    'INSERT INTO problems.users (id, age) VALUES (3, -5)',
    'INSERT INTO problems.users (id, starts, ends) VALUES (3, 2, 1)',
    'INSERT INTO problems.users (id) VALUES (-1)',
    'INSERT INTO problems.users (id, name) VALUES (3, NULL)',
    'UPDATE problems.users SET id = NULL',
    'INSERT INTO problems.orders (id, buyer) VALUES (2, 9)',
    'INSERT INTO problems.orders (id, nick, tenant) VALUES (2, ''x'', ''y'')',
    'DELETE FROM problems.users WHERE id = 1',
    'UPDATE problems.users SET nick = ''other'' WHERE id = 1',
    'INSERT INTO problems.orders (id, mail) VALUES (2, ''secret'')',
    'INSERT INTO problems.orders (id, label) VALUES (2, NULL)',
    'INSERT INTO problems.orders (id, scores) VALUES (2, ''{1,2,3}'')',
    'INSERT INTO problems.orders (id, span) VALUES (2, ''(2,1)'')',
    'INSERT INTO problems.adults VALUES (3, 17)']) q;

-- Names that are not plain, partitions, temporary tables.
CREATE SCHEMA "odd/sch~ema";
CREATE TABLE "odd/sch~ema"."Ta ble""" ("a/b" int CONSTRAINT "con/str~aint" UNIQUE, "~1" int NOT NULL DEFAULT 0, "Qu""ote %s" int CONSTRAINT "%s %n" CHECK ("Qu""ote %s" > 0));
INSERT INTO "odd/sch~ema"."Ta ble""" VALUES (1);
CREATE TABLE problems.parts (kind text, id int, code text, filler int DEFAULT 1, buyer int REFERENCES problems.users,
    CONSTRAINT parts_code UNIQUE (kind, code), CONSTRAINT few CHECK (id < 1000)) PARTITION BY LIST (kind);
CREATE TABLE problems.parts_a (code text, buyer int, kind text, filler int DEFAULT 1, extra int UNIQUE, id int NOT NULL, CONSTRAINT few CHECK (id < 1000));
ALTER TABLE problems.parts_a DROP COLUMN extra;
ALTER TABLE problems.parts ATTACH PARTITION problems.parts_a FOR VALUES IN ('a');
INSERT INTO problems.parts VALUES ('a', 1, 'x');
CREATE TEMPORARY TABLE temporary (t int UNIQUE);
INSERT INTO temporary VALUES (1);
SELECT q, problems.short(q) FROM unnest(ARRAY[
    'INSERT INTO "odd/sch~ema"."Ta ble""" VALUES (1)',
    'INSERT INTO "odd/sch~ema"."Ta ble""" VALUES (2, NULL)',
    'INSERT INTO "odd/sch~ema"."Ta ble""" VALUES (2, 1, 0)',
    'INSERT INTO problems.parts VALUES (''a'', 2, ''x'')',
    'INSERT INTO problems.parts VALUES (''a'', 2000, ''y'')',
    'INSERT INTO problems.parts VALUES (''a'', 2, ''y'', 1, 99)',
    'INSERT INTO problems.parts (kind) VALUES (''a'')',
    'INSERT INTO problems.parts VALUES (''b'', 2, ''y'')',
    'INSERT INTO problems.parts_a VALUES (''y'', NULL, ''b'', 1, 2)',
    'INSERT INTO temporary VALUES (1)']) q;

-- Both sides of a foreign key between partitioned tables.
CREATE TABLE problems.part_refs (kind text, code text, CONSTRAINT part_refs_code FOREIGN KEY (kind, code) REFERENCES problems.parts (kind, code)) PARTITION BY LIST (kind);
CREATE TABLE problems.part_refs_a PARTITION OF problems.part_refs DEFAULT;
INSERT INTO problems.part_refs VALUES ('a', 'x');
SELECT problems.short('DELETE FROM problems.parts'), problems.short('DELETE FROM problems.parts_a'),
    problems.short('INSERT INTO problems.part_refs VALUES (''a'', ''nothing'')'), problems.short('UPDATE problems.part_refs SET code = ''other''');

-- Raised by hand, with names that fit and names that do not.
SELECT problems.short($$DO 'BEGIN RAISE unique_violation USING MESSAGE = ''secret''; END'$$);
SELECT problems.short($$DO 'BEGIN RAISE check_violation USING MESSAGE = ''secret'', COLUMN = ''age'', CONSTRAINT = ''adult''; END'$$);
SELECT problems.short($$DO 'BEGIN RAISE unique_violation USING SCHEMA = ''problems'', TABLE = ''users'', CONSTRAINT = ''one_nick''; END'$$);
SELECT problems.short($$DO 'BEGIN RAISE unique_violation USING SCHEMA = ''problems'', TABLE = ''users'', CONSTRAINT = ''problems''; END'$$);
SELECT problems.short($$DO 'BEGIN RAISE unique_violation USING SCHEMA = ''problems'', TABLE = ''users'', CONSTRAINT = ''orders_pkey''; END'$$);
SELECT problems.short($$DO 'BEGIN RAISE foreign_key_violation USING SCHEMA = ''nowhere'', TABLE = ''users'', CONSTRAINT = ''users_email''; END'$$);

-- The table is gone when the problem is made: it was created in what was undone.
SELECT problems.short('DO ''BEGIN CREATE TABLE problems.gone (a int CONSTRAINT gone_a UNIQUE); INSERT INTO problems.gone VALUES (1), (1); END''');
SELECT problems.short('DO ''BEGIN CREATE TABLE problems.gone (a int NOT NULL); INSERT INTO problems.gone VALUES (NULL); END''');
SELECT problems.short('DO ''BEGIN ALTER TABLE problems.users RENAME TO people; INSERT INTO problems.people (id) VALUES (1); END''');
SELECT problems.short('CREATE UNIQUE INDEX ON problems.users (tenant)');

-- Names of tables are for those who know the table.
GRANT USAGE ON SCHEMA problems TO regress_problems;
CREATE FUNCTION problems.as_owner(query text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$ BEGIN EXECUTE query; END $$;
SET ROLE regress_problems;
SELECT problems.short('SELECT * FROM problems.users');
SELECT problems.short('SELECT problems.as_owner(''DELETE FROM problems.users WHERE id = 1'')');
SELECT problems.short('SELECT problems.as_owner(''DELETE FROM problems.parts'')');
SELECT problems.short('SELECT problems.as_owner(''INSERT INTO problems.users (id, age) VALUES (3, -5)'')');
RESET ROLE;
GRANT INSERT (id) ON problems.orders TO regress_problems;
GRANT SELECT ON problems.part_refs, problems.users TO regress_problems;
SET ROLE regress_problems;
SELECT problems.short('SELECT problems.as_owner(''DELETE FROM problems.users WHERE id = 1'')');
SELECT problems.short('SELECT problems.as_owner(''DELETE FROM problems.parts'')');
SELECT problems.short('SELECT problems.as_owner(''INSERT INTO problems.users (id, age) VALUES (3, -5)'')');
SELECT problems.short($$SELECT problems.as_owner('INSERT INTO problems.parts VALUES (''a'', 2000)')$$);
RESET ROLE;
GRANT INSERT ON problems.parts TO regress_problems;
SET ROLE regress_problems;
SELECT problems.short('INSERT INTO problems.parts VALUES (''a'', 2000)');
SET client_min_messages = log;
SELECT apibase.problem_from_error('XX000', 'secret') ->> 'detail';
SET client_min_messages = warning;
RESET ROLE;

-- Problems made by hand.
SELECT apibase.problem(404);
SELECT apibase.problem(422, 'too many', 'Too Many', 'https://example.com/too-many', '[{"pointer": "/n"}]', '{"limit": 10, "status": 1, "instance": "urn:x", "gone": null}');
SELECT apibase.problem(status => 409, extensions => '{"code": "OUT_OF_STOCK", "detail": "kept"}');
SELECT apibase.problem(503, NULL, NULL, NULL, NULL, NULL) ->> 'title', apibase.problem(418) ->> 'title', apibase.problem(555) ->> 'title';
SELECT errors.of(q) FROM unnest(ARRAY['SELECT apibase.problem(NULL)', 'SELECT apibase.problem(399)', 'SELECT apibase.problem(600)',
    'SELECT apibase.problem(400, errors => ''{}'')', 'SELECT apibase.problem(400, errors => ''1'')', 'SELECT apibase.problem(400, extensions => ''[]'')']) q;

-- One function for each kind: as an error, and what is made of it again.
SELECT q, errors.of('SELECT apibase.' || q), problems.of('SELECT apibase.' || q) FROM unnest(ARRAY[
    'raise_validation()', 'raise_validation(''no'', ''/a'')', 'raise_validation(NULL, '''')', 'raise_validation(errors => ''[{"pointer": "/b"}]'')',
    'raise_validation(''both'', ''/a'', ''[{"pointer": "/b"}]'')', 'raise_validation(''no'', ''email'')', 'raise_validation(errors => ''{}'')',
    'raise_not_found(''order'')', 'raise_not_found(''order'', 17)', 'raise_not_found(''order'', ''x'')', 'raise_not_found(''order'', NULL::uuid)',
    'raise_not_found(''order'', ARRAY[1, 2])', 'raise_not_found(NULL)', 'raise_conflict(''it is taken'')', 'raise_conflict(''it is taken'', ''/email'')', 'raise_conflict(NULL)',
    'raise_unauthorized()', 'raise_forbidden()', 'raise_forbidden(''only clerks may'')', 'raise_precondition()', 'raise_timeout()', 'raise_unavailable()',
    'raise_unavailable(retry_after => ''90.5 s'')', 'raise_unavailable(''later'', ''-1 s'')', 'raise_problem(NULL)', 'raise_problem(''[]'')', 'raise_problem(''{}'')',
    'raise_problem(apibase.problem(402, ''pay first'', extensions => ''{"price": 5, "hint": "a card will do"}''))']) q;
CREATE FUNCTION problems.in_sql(id int) RETURNS void LANGUAGE sql AS $$ SELECT apibase.raise_not_found('order', id) $$;
CREATE FUNCTION problems.in_plpgsql(id int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF id < 0 THEN PERFORM apibase.raise_validation('must be positive', '/id'); END IF; RETURN id; END $$;
SELECT problems.short('SELECT problems.in_sql(5)'), problems.short('SELECT problems.in_plpgsql(-5)'), problems.in_plpgsql(5);
SELECT n FROM (VALUES (1), (2)) v (n) WHERE CASE WHEN n > 5 THEN apibase.raise_conflict('no') IS NULL ELSE true END;

-- What is raised and caught again is the same problem: over all kinds of codes, details, titles and further members, with the names of
-- standard members too, and for the kinds that hide the message of an error.
CREATE TABLE problems.raised AS
SELECT apibase.unwrap_err(apibase.err(jsonb_strip_nulls(jsonb_build_object('code', c, 'status', s, 'detail', d, 'title', t)) || e)) AS p
FROM unnest(ARRAY[NULL, 'PT404', 'PT422', '23505', '23514', '23503', '22P02', '22023', 'P0001', 'XX000', '42501', '42P01', '40001', '57014', 'PB010', 'PB040', 'MY001', 'OUT_OF_STOCK', '00000',
        '01000', 'PGRST', 'EMAIL', 'xx', '']) c,
    unnest(ARRAY[NULL, 404, 422, 500, 503]) s, unnest(ARRAY[NULL, '', 'Not Found', 'An internal error occurred.', E'line\nand "quotes" {%s}', '{"not": "a patch"}']) d,
    unnest(ARRAY[NULL, 'My title', '']) t,
    unnest(ARRAY['{}', '{"errors": [{"pointer": "/a", "detail": null}], "own": {"deep": [1.50, "\"\\\n"]}}', '{"hint": "h", "type": "about:blank"}',
        '{"hint": "", "instance": "urn:x", "": 1}', '{"hint": 1, "code": 5, "patch": "{}"}']::jsonb[]) e;
ALTER TABLE problems.raised ADD caught jsonb;
UPDATE problems.raised SET caught = problems.of(format('SELECT apibase.unwrap(apibase.err(%L))', p));
SELECT count(*), count(*) FILTER (WHERE caught = p) AS equal FROM problems.raised;
SELECT p, caught FROM problems.raised WHERE caught IS DISTINCT FROM p LIMIT 3;
-- The types that who raises has by default need not be those of who catches.
SET apibase.problem_type_base = 'https://example.com/';
SELECT count(*) FILTER (WHERE problems.of(format('SELECT apibase.raise_problem(%L)', p)) = p) AS equal FROM problems.raised WHERE p ->> 'title' = 'My title';
RESET apibase.problem_type_base;
-- The SQLSTATE is that of the problem, where it is one.
SELECT code, status, left(errors.of(format('SELECT apibase.raise_problem(%L)', jsonb_build_object('code', code, 'status', status))), 5) AS raised
FROM (SELECT DISTINCT p ->> 'code' AS code, (p -> 'status')::int AS status FROM problems.raised WHERE p -> 'code' NOT IN ('5', '"57014"')) s ORDER BY code COLLATE "C", status;

DROP SCHEMA problems, "odd/sch~ema", errors CASCADE;
DROP ROLE regress_problems;
