-- decorate: what decorating does to a function in the catalog, and what commands do to decorated functions. It is the same with
-- and without shared memory: nothing here counts hits.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
DROP SCHEMA IF EXISTS decorate, decorate2 CASCADE;
DROP ROLE IF EXISTS regress_decorate_owner, regress_decorate_other;
CREATE ROLE regress_decorate_owner;
CREATE ROLE regress_decorate_other;
CREATE SCHEMA decorate;
CREATE SCHEMA decorate2;
GRANT USAGE ON SCHEMA decorate TO regress_decorate_owner, regress_decorate_other;
GRANT CREATE ON SCHEMA decorate TO regress_decorate_owner;
GRANT USAGE ON SCHEMA decorate2 TO regress_decorate_owner;

-- The row of pg_proc and its dependencies, as text.
CREATE FUNCTION decorate2.state(f regprocedure) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT p::text FROM pg_proc p WHERE oid = f
    UNION ALL SELECT (d.refclassid, d.refobjid, d.refobjsubid, d.deptype)::text FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = f
    UNION ALL SELECT obj_description(f, 'pg_proc') $$;
CREATE TABLE decorate2.before (f oid, line text);
CREATE FUNCTION decorate2.changes(f regprocedure) RETURNS TABLE (change text, line text) LANGUAGE sql AS $$
    (SELECT '-', b.line FROM decorate2.before b WHERE b.f = changes.f EXCEPT ALL SELECT '-', s.line FROM decorate2.state(f) s)
    UNION ALL
    (SELECT '+', s.line FROM decorate2.state(f) s EXCEPT ALL SELECT '+', b.line FROM decorate2.before b WHERE b.f = changes.f) $$;
-- What callers see of a function.
CREATE FUNCTION decorate2.signature(f regprocedure) RETURNS text LANGUAGE sql AS $$
    SELECT (p.oid, p.proname, p.pronamespace, p.proowner, p.procost, p.prorows, p.provariadic, p.prokind, p.prosecdef, p.proleakproof,
        p.proisstrict, p.proretset, p.provolatile, p.proparallel, p.pronargs, p.pronargdefaults, p.prorettype, p.proargtypes,
        p.proallargtypes, p.proargmodes, p.proargnames, p.proargdefaults, p.proconfig, p.proacl)::text
    FROM pg_proc p WHERE p.oid = f $$;
CREATE VIEW decorate2.bodies AS
    SELECT p.oid::regprocedure AS body, l.lanname, p.provolatile AS v, p.proisstrict AS strict, p.prosecdef AS secdef, p.proparallel AS par,
        p.proconfig, cardinality(p.proacl) AS acl
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace::regnamespace::text LIKE 'apibase\_decorated%';

GRANT SELECT ON decorate2.bodies TO regress_decorate_owner;

-- There and back: to the byte, with defaults, names, settings, grants, comment, dependants, in several languages.
SET ROLE regress_decorate_owner;
CREATE TABLE decorate.items (id int PRIMARY KEY, price numeric);
INSERT INTO decorate.items VALUES (1, 10), (2, 20);
CREATE FUNCTION decorate.quote(item int, qty int DEFAULT 1, OUT total numeric, OUT note text) LANGUAGE plpgsql STABLE STRICT
    SECURITY DEFINER COST 7 SET work_mem = '4MB' AS $$
BEGIN
    SELECT i.price * quote.qty, current_setting('work_mem') INTO total, note FROM decorate.items i WHERE i.id = quote.item;
END $$;
COMMENT ON FUNCTION decorate.quote IS 'What it costs';
REVOKE ALL ON FUNCTION decorate.quote FROM PUBLIC;
GRANT EXECUTE ON FUNCTION decorate.quote TO regress_decorate_other;
CREATE VIEW decorate.quotes AS SELECT i.id, q.total, q.note FROM decorate.items i, decorate.quote(i.id, 2) q;
CREATE FUNCTION decorate.cheap(top numeric) RETURNS SETOF decorate.items STABLE ROWS 3
BEGIN ATOMIC SELECT * FROM decorate.items WHERE price <= top; END;
CREATE FUNCTION decorate.twice(anyelement, VARIADIC anyarray) RETURNS anyarray LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT ARRAY[$1] || $2 || $2 $$;
RESET ROLE;
CREATE FUNCTION decorate.plus(int, int) RETURNS int LANGUAGE internal IMMUTABLE STRICT SUPPORT generate_series_int4_support AS 'int4pl';
DO $do$ BEGIN
    EXECUTE format('CREATE FUNCTION decorate.long() RETURNS text LANGUAGE sql AS %L',
        format('SELECT %L', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i)));
END $do$;
INSERT INTO decorate2.before SELECT p.oid, s.line FROM pg_proc p, decorate2.state(p.oid) s WHERE p.pronamespace = 'decorate'::regnamespace;
CREATE TABLE decorate2.signatures AS
    SELECT p.oid::regprocedure AS f, decorate2.signature(p.oid) AS signature FROM pg_proc p WHERE p.pronamespace = 'decorate'::regnamespace;
SELECT * FROM decorate.quotes;
SELECT decorate.twice(1, 2, 3), decorate.plus(1, 2), length(decorate.long());
SELECT apibase.cached(f, ttl => '1 hour') FROM decorate2.signatures;
SELECT f FROM decorate2.signatures WHERE signature IS DISTINCT FROM decorate2.signature(f);
SELECT * FROM decorate.quotes;
SELECT * FROM decorate.cheap(15);
SELECT decorate.twice(1, 2, 3), decorate.plus(1, 2), length(decorate.long());
SELECT function, position, decorator, body_schema FROM apibase.decorators ORDER BY 1;
SELECT * FROM decorate2.bodies ORDER BY body::text COLLATE "C";
SELECT options FROM apibase.decorators WHERE function = 'decorate.quote(int,int)'::regprocedure;
SELECT has_function_privilege('regress_decorate_other', 'decorate.quote(int,int)', 'EXECUTE') AS granted,
    has_function_privilege('regress_decorate_other', 'apibase_decorated.quote(int,int)', 'EXECUTE') AS body,
    has_schema_privilege('regress_decorate_other', 'apibase_decorated', 'USAGE') AS schema;
SELECT apibase.undecorate(f) FROM decorate2.signatures;
SELECT c.* FROM decorate2.signatures s, decorate2.changes(s.f) c;
SELECT * FROM decorate2.bodies;
TABLE apibase.decorators;

-- Only the owner decorates, and what has no decorator says so.
SET ROLE regress_decorate_other;
SELECT apibase.cached('decorate.quote(int,int)');
SELECT apibase.undecorate('decorate.quote(int,int)');
SET ROLE regress_decorate_owner;
SELECT apibase.undecorate('decorate.quote(int,int)');
SELECT apibase.cached('decorate.quote(int,int)');
SELECT apibase.undecorate('decorate.quote(int,int)', 'retry');
SELECT apibase.undecorate('decorate.quote(int,int)', 'cached');
SELECT apibase.cached(NULL), apibase.undecorate(NULL);
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'cached', '{}');
RESET ROLE;
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'lacquered', '{}');
SELECT * FROM decorate2.bodies;

-- Options are checked at once.
SELECT apibase.cached('decorate.quote(int,int)', ttl => '-1 s');
SELECT apibase.cached('decorate.quote(int,int)', ttl => '0');
SELECT apibase.cached('decorate.quote(int,int)', key => '{item,quantity}');
SELECT apibase.cached('decorate.quote(int,int)', scope => 'everybody');
SELECT apibase.cached('decorate.quote(int,int)', tags => '{""}');
SELECT apibase.cached('decorate.quote(int,int)', tags => (SELECT array_agg(i::text) FROM generate_series(1, 65) i));
SELECT apibase.cached('decorate.quote(int,int)', tags => '{a,null}');
SELECT apibase.cached('decorate.quote(int,int)', early => 2);
SELECT apibase.cached('decorate.quote(int,int)', jitter => -0.5);
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'cached', '{"ttl": 5}');
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'cached', '{"track": "yes"}');
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'cached', '{"tags": "a"}');
SELECT apibase_internal.decorate('decorate.quote(int,int)', 'cached', '{"early": "0"}');
SET intervalstyle = 'iso_8601';
SELECT apibase.cached('decorate.quote(int,int)', ttl => '1 day 2:03:04.5', wait_limit => '10 ms', negative_ttl => '0');
SELECT options FROM apibase.decorators;
RESET intervalstyle;
SELECT apibase.cached('decorate.quote(int,int)', ttl => '1 minute', key => '{item}');
SELECT position, decorator, options FROM apibase.decorators;

-- CREATE OR REPLACE by the owner: a new body, the same decorators.
SET ROLE regress_decorate_owner;
CREATE OR REPLACE FUNCTION decorate.quote(item int, qty int DEFAULT 2, OUT total numeric, OUT note text) LANGUAGE sql
    AS $$ SELECT quote.qty, 'new ' || item $$;
SELECT * FROM decorate.quote(5);
SELECT * FROM decorate.quote(6, 9);
SELECT function, decorator, options ->> 'ttl' AS ttl FROM apibase.decorators;
SELECT * FROM decorate2.bodies;
SELECT provolatile, prosecdef, proconfig, procost, proargnames FROM pg_proc WHERE oid = 'decorate.quote(int,int)'::regprocedure;
CREATE OR REPLACE FUNCTION decorate.quote(item int, qty int DEFAULT 2, OUT total numeric, OUT note text) LANGUAGE plpgsql
    AS $$ BEGIN total := qty; SELECT 'items ' || count(*) INTO note FROM decorate.items; END $$;
SELECT * FROM decorate.quote(6, 9);
CREATE OR REPLACE FUNCTION decorate.quote(item int, qty int DEFAULT 2, OUT total numeric, OUT note text)
BEGIN ATOMIC SELECT price, 'atomic' FROM decorate.items WHERE id = item; END;
SELECT * FROM decorate.quote(2, 9);
\set VERBOSITY terse
DROP TABLE decorate.items;
\set VERBOSITY default

-- ALTER: the body follows.
ALTER FUNCTION decorate.quote RENAME TO price;
CREATE OR REPLACE FUNCTION decorate.price(item int, qty int DEFAULT 2, OUT total numeric, OUT note text) LANGUAGE plpgsql
    AS $$ BEGIN total := qty; note := current_user || current_setting('work_mem'); END $$;
SELECT * FROM decorate.price(1);
ALTER FUNCTION decorate.price IMMUTABLE STRICT PARALLEL RESTRICTED COST 3 SECURITY DEFINER SET work_mem = '5MB';
SELECT * FROM decorate.price(1);
SELECT * FROM decorate2.bodies;
SELECT decorate.price(NULL);
RESET ROLE;
SET ROLE regress_decorate_other;
SELECT * FROM decorate.price(1);
RESET ROLE;
ALTER FUNCTION decorate.price OWNER TO regress_decorate_other;
ALTER FUNCTION decorate.price SET SCHEMA decorate2;
ALTER SCHEMA decorate2 RENAME TO decorate3;
SELECT * FROM decorate3.price(1);
SELECT function, body_schema FROM apibase.decorators;
ALTER SCHEMA decorate3 RENAME TO decorate2;
ALTER FUNCTION decorate2.price SUPPORT generate_series_int4_support;
REASSIGN OWNED BY regress_decorate_other TO regress_decorate_owner;

-- The same signature in two schemas: the second body needs another schema, which must not be somebody's.
CREATE SCHEMA apibase_decorated_2 AUTHORIZATION regress_decorate_other;
CREATE FUNCTION decorate.price(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $2';
SELECT apibase.cached('decorate.price(int,int)');
SELECT decorate.price(2, 3), decorate.price(2, 3);
SELECT function, body_schema FROM apibase.decorators ORDER BY 1;
ALTER FUNCTION decorate.price RENAME TO cost;
SELECT decorate.cost(2, 3);
ALTER FUNCTION decorate2.price RENAME TO cost;
SELECT (decorate2.cost(2)).total;
SELECT function, body_schema FROM apibase.decorators ORDER BY 1;
SELECT * FROM decorate2.bodies ORDER BY body::text COLLATE "C";

-- DROP takes the body. The extension stays as long as functions are decorated.
\set VERBOSITY terse
DROP EXTENSION apibase;
\set VERBOSITY default
DROP FUNCTION decorate.cost;
BEGIN;
DROP FUNCTION decorate2.cost CASCADE;
SELECT * FROM decorate2.bodies;
ROLLBACK;
SELECT (decorate2.cost(2)).total;
SELECT apibase.undecorate('decorate2.cost(int,int)');
SELECT (decorate2.cost(2)).total;
SELECT * FROM decorate2.bodies;
BEGIN;
SELECT apibase.cached('decorate2.cost(int,int)');
SELECT (decorate2.cost(2)).total;
ROLLBACK;
SELECT (decorate2.cost(2)).total;
TABLE apibase.decorators;

-- The support function of an operator class is called without an expression: the types of its arguments are not known.
BEGIN;
CREATE FUNCTION decorate.compared(anyelement, anyelement) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR CLASS decorate.compared FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 (int, int) decorate.compared(anyelement, anyelement);
CREATE TABLE decorate.comparable AS SELECT 5 - i AS i FROM generate_series(1, 4) i;
SELECT apibase.logged('decorate.compared(anyelement,anyelement)', 'debug5');
CREATE INDEX ON decorate.comparable (i decorate.compared);
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM decorate.comparable WHERE i > 2;
ROLLBACK;

-- What cannot be decorated.
CREATE FUNCTION decorate.returns_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION decorate.returns_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE decorate.procedure(int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE decorate.aggregate(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION decorate.win() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number';
CREATE FUNCTION decorate.internals(internal) RETURNS internal LANGUAGE internal AS 'int8inc';
CREATE FUNCTION decorate.strings(cstring) RETURNS int LANGUAGE internal STRICT AS 'int4in';
CREATE FUNCTION decorate.untyped(int) RETURNS unknown LANGUAGE internal STRICT AS 'int4out';
CREATE FUNCTION pg_temp.temporary() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION decorate.nothing() RETURNS void LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION decorate.records() RETURNS record[] LANGUAGE internal AS 'array_append';
SELECT apibase.cached('decorate.returns_trigger()');
SELECT apibase.cached('decorate.returns_event()');
SELECT apibase.cached('decorate.procedure(int)');
SELECT apibase.cached('decorate.aggregate(int)');
SELECT apibase.cached('decorate.win()');
SELECT apibase.cached('decorate.internals(internal)');
SELECT apibase.cached('decorate.strings(cstring)');
SELECT apibase.cached('decorate.untyped(int)');
\set VERBOSITY sqlstate
SELECT apibase.cached('pg_temp.temporary()');
\set VERBOSITY default
SELECT apibase.cached('pg_catalog.now()');
SELECT apibase.cached('apibase.version()');
SELECT apibase.cached('decorate.nothing()');
SELECT apibase.cached('decorate.records()');
SELECT apibase.cached(1::oid);
SELECT * FROM decorate2.bodies;

-- Rows whose columns nobody knows yet: NULL rows before the first other one, NULL rows alone, no rows.
CREATE FUNCTION decorate.null_first() RETURNS SETOF record LANGUAGE sql
    AS $$ SELECT r FROM (VALUES (NULL::record), (ROW(1, 2)), (NULL)) v(r) $$;
CREATE FUNCTION decorate.null_rows(n int) RETURNS SETOF record LANGUAGE sql AS $$ SELECT NULL::record FROM generate_series(1, n) $$;
SELECT apibase.logged(f, 'debug5') FROM unnest('{decorate.null_first(),decorate.null_rows(int)}'::regprocedure[]) f;
SELECT decorate.null_first();
SELECT * FROM decorate.null_first() AS (a int, b int);
SELECT * FROM decorate.null_first() AS (a int);
SELECT decorate.null_rows(0);
SELECT decorate.null_rows(2);
SELECT * FROM decorate.null_rows(2) AS (a int, b int);

-- A chain that does not fit any more is its owner's business: it keeps nobody from anything.
CREATE TABLE decorate.narrowed (col int, other int);
CREATE TYPE decorate.pair AS (a int, b int);
CREATE FUNCTION decorate.narrow(x decorate.narrowed) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION decorate.paired(x decorate.pair) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT apibase.validated('decorate.narrow(decorate.narrowed)', 'x.col = 1');
SELECT apibase.validated('decorate.paired(decorate.pair)', 'x.b = 1');
ALTER TABLE decorate.narrowed DROP COLUMN col;
ALTER FUNCTION decorate.null_first() COST 7;
ALTER FUNCTION decorate.narrow COST 7;
CREATE OR REPLACE FUNCTION decorate.null_first() RETURNS SETOF record LANGUAGE sql AS 'SELECT NULL::record';
ALTER TYPE decorate.pair DROP ATTRIBUTE b;
ALTER TYPE decorate.pair ADD ATTRIBUTE c int;
SELECT decorate.paired(ROW(1, 1));
SELECT apibase.undecorate('decorate.narrow(decorate.narrowed)'), apibase.undecorate('decorate.paired(decorate.pair)');

-- Commands within commands: an event trigger that replaces another function, and fails with one.
CREATE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'one' $$;
CREATE FUNCTION decorate.inner_one() RETURNS text LANGUAGE sql AS $$ SELECT 'inner one' $$;
SELECT apibase.logged(f, 'debug5') FROM unnest('{decorate.one(int),decorate.inner_one()}'::regprocedure[]) f;
CREATE FUNCTION decorate.nest() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('decorate.nested', true) IS DISTINCT FROM 'on' THEN
        PERFORM set_config('decorate.nested', 'on', false);
        CREATE OR REPLACE FUNCTION decorate.inner_one() RETURNS text LANGUAGE sql AS 'SELECT ''inner two''';
        BEGIN
            CREATE OR REPLACE FUNCTION decorate.inner_one() RETURNS int LANGUAGE sql AS 'SELECT 1';
        EXCEPTION WHEN invalid_function_definition THEN NULL;
        END;
        PERFORM set_config('decorate.nested', 'off', false);
    END IF;
END $$;
-- by name, it fires after those of apibase
CREATE EVENT TRIGGER regress_decorate_nest ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION decorate.nest();
CREATE OR REPLACE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'two' $$;
DROP EVENT TRIGGER regress_decorate_nest;
CREATE EVENT TRIGGER regress_decorate_nest ON ddl_command_end WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION decorate.nest();
CREATE OR REPLACE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'three' $$;
DROP EVENT TRIGGER regress_decorate_nest;
SELECT decorate.one(1), decorate.inner_one();
SELECT function, decorator FROM apibase.decorators WHERE function IN ('decorate.one(int)'::regprocedure, 'decorate.inner_one()'::regprocedure)
ORDER BY function::text;

-- Without the event triggers the decoration is lost with the implementation. Decorated again, the function has one body, the new one.
ALTER EVENT TRIGGER apibase_decorate_ddl_start DISABLE;
ALTER EVENT TRIGGER apibase_decorate_ddl_end DISABLE;
CREATE OR REPLACE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'four' $$;
ALTER FUNCTION decorate.inner_one RENAME TO renamed_one;
ALTER EVENT TRIGGER apibase_decorate_ddl_start ENABLE ALWAYS;
ALTER EVENT TRIGGER apibase_decorate_ddl_end ENABLE ALWAYS;
SELECT decorate.one(1), decorate.renamed_one();
SELECT apibase.logged('decorate.one(int)', 'debug5');
CREATE OR REPLACE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'five' $$;
SELECT decorate.one(1), (SELECT count(*) FROM pg_depend WHERE refobjid = 'decorate.one(int)'::regprocedure AND classid = 'pg_proc'::regclass);
SELECT apibase.undecorate('decorate.one(int)'), apibase.undecorate('decorate.renamed_one()');
SELECT decorate.one(1), decorate.renamed_one();

-- A chain that nobody can read keeps nobody from anything either.
SET check_function_bodies = off;
CREATE FUNCTION decorate.garbage() RETURNS int LANGUAGE apibase_decorated AS 'garbage';
RESET check_function_bodies;
CREATE OR REPLACE FUNCTION decorate.one(int) RETURNS text LANGUAGE sql AS $$ SELECT 'six' $$;
ALTER FUNCTION decorate.one(int) COST 5;
DROP FUNCTION decorate.garbage();

-- What decorators tell of arguments, a leakproof function must not.
ALTER FUNCTION decorate.one(int) LEAKPROOF;
ALTER FUNCTION decorate.one(int) OWNER TO regress_decorate_owner;
SET ROLE regress_decorate_owner;
SELECT apibase.logged('decorate.one(int)', 'notice');
RESET ROLE;

-- The language is for superusers, and its sources are read.
SET ROLE regress_decorate_owner;
CREATE FUNCTION decorate.forged(int, int) RETURNS int LANGUAGE apibase_decorated AS '{"body": "apibase_decorated", "decorators": []}';
RESET ROLE;
\set VERBOSITY sqlstate
CREATE FUNCTION decorate.forged(int) RETURNS int LANGUAGE apibase_decorated AS 'SELECT 1';
\set VERBOSITY default
CREATE FUNCTION decorate.forged(int) RETURNS int LANGUAGE apibase_decorated AS '[]';
CREATE FUNCTION decorate.forged(int) RETURNS int LANGUAGE apibase_decorated AS '{"body": "apibase_decorated", "decorators": [["cached"]]}';
CREATE FUNCTION decorate.forged(int) RETURNS int LANGUAGE apibase_decorated AS '{"body": "apibase_decorated", "decorators": []}';
CREATE FUNCTION decorate.forged() RETURNS trigger LANGUAGE apibase_decorated AS '{"body": "apibase_decorated", "decorators": []}';
DO LANGUAGE apibase_decorated '{}';

DROP SCHEMA decorate, decorate2 CASCADE;
SELECT count(*) AS bodies FROM pg_proc WHERE pronamespace::regnamespace::text LIKE 'apibase\_decorated%';
DROP SCHEMA apibase_decorated_2, apibase_decorated_3;
DROP ROLE regress_decorate_owner, regress_decorate_other;
