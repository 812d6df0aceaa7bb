-- bus_shipped: the middleware that comes with the extension.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
DROP SCHEMA IF EXISTS bus_shipped CASCADE;
DROP ROLE IF EXISTS regress_bus_clerk;
DROP ROLE IF EXISTS regress_bus_clerks;
DROP ROLE IF EXISTS regress_bus_guest;
CREATE ROLE regress_bus_clerks;
CREATE ROLE regress_bus_clerk IN ROLE regress_bus_clerks;
CREATE ROLE regress_bus_guest;
CREATE SCHEMA bus_shipped;
GRANT USAGE ON SCHEMA bus_shipped TO regress_bus_clerk, regress_bus_guest;
SET search_path = bus_shipped;
CREATE TYPE address AS (city text, "zip/code" text);
CREATE TYPE place_order AS (sku text, quantity int, ship_to address, tags text[]);
CREATE FUNCTION handle_place_order(c place_order) RETURNS text LANGUAGE sql AS $$ SELECT 'ordered ' || c.sku $$;
SELECT apibase.register_command('place_order', 'handle_place_order(place_order)');
CREATE TYPE get_order AS (id int);
CREATE FUNCTION handle_get_order(q get_order) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'order ' || q.id $$;
SELECT apibase.register_query('get_order', 'handle_get_order(get_order)');
CREATE FUNCTION shown(apibase.result) RETURNS jsonb LANGUAGE sql AS $$ SELECT $1::jsonb #- '{error,instance}' #- '{error,type}' #- '{error,title}' $$;

---- validation: all that fails is told at once, each with its field
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.place_order',
    config => '{"specification": "quantity > 0 and sku like ''s%'' and ship_to.city is not null and not (ship_to.\"zip/code\" = ''x~y'')"}');
SELECT shown(apibase.command(ROW('s1', 1, ROW('Rome', '1'), NULL)::place_order));
SELECT jsonb_pretty(shown(apibase.command(ROW('t1', 0, ROW(NULL, 'x~y'), NULL)::place_order)));
SELECT shown(apibase.command('bus_shipped.place_order', '{"sku": "s2", "ship_to": {"city": "Rome"}}'));
-- as JSON, with a path into an array; both sides of an or are to blame
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.place_order',
    config => '{"specification": {"or": [{"field": "quantity", "op": "le", "value": 5}, {"field": "tags[0]", "op": "eq", "value": "bulk"}]}}');
SELECT shown(apibase.command(ROW('s1', 6, ROW('Rome', '1'), '{bulk}')::place_order));
SELECT shown(apibase.command(ROW('s1', 6, ROW('Rome', '1'), '{small}')::place_order));
-- one that nothing satisfies names no field
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.place_order',
    config => '{"specification": "false"}', name => 'closed');
SELECT shown(apibase.command(ROW('s1', 1, ROW('Rome', '1'), NULL)::place_order));
SELECT apibase.drop_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)');
SELECT shown(apibase.command(ROW('s1', 1, ROW('Rome', '1'), NULL)::place_order));
-- the specification is made ready once for each use, and not mixed up with another's
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.place_order',
    config => '{"specification": "quantity < 10"}', name => 'first');
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.place_order',
    config => '{"specification": "quantity > 5"}', name => 'second');
SELECT n, shown(apibase.command(ROW('s1', n, ROW('Rome', '1'), NULL)::place_order)) #> '{error,errors,0,detail}' AS detail
    FROM unnest('{4,7,12,4,7,12}'::int[]) n;
SELECT apibase.drop_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)');
-- for queries as well, which raise it
SELECT apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.get_order',
    config => '{"specification": "id between 1 and 9"}');
SELECT apibase.query(ROW(9)::get_order);
SELECT apibase.query(ROW(10)::get_order);
SELECT apibase.drop_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)');

---- authorization: a role, claims, or both
SELECT apibase.use_middleware('apibase.middleware_authorization(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.*',
    config => '{"roles": ["regress_bus_nobody", "regress_bus_clerks"]}', kinds => '{command,query}');
SET ROLE regress_bus_clerk;
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SELECT apibase.query(ROW(1)::get_order);
SET ROLE regress_bus_guest;
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SELECT apibase.query(ROW(1)::get_order);
RESET ROLE;
SELECT apibase.use_middleware('apibase.middleware_authorization(apibase.dispatch,jsonb,jsonb)', 'before', 'bus_shipped.*',
    config => '{"claims": {"department": "sales", "rights": ["order"]}}', name => 'claims');
SET ROLE regress_bus_clerk;
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SET request.jwt.claims = '{"department": "sales", "rights": ["read"]}';
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SET request.jwt.claims = '{"department": "sales", "rights": ["read", "order"], "sub": "ann"}';
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SET request.jwt.claims = '{"department": "buying", "rights": ["read", "order"], "sub": "ann"}';
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
RESET request.jwt.claims;
RESET ROLE;
SELECT apibase.drop_middleware('apibase.middleware_authorization(apibase.dispatch,jsonb,jsonb)');

---- what a config must be like
CREATE FUNCTION with_config(middleware text, config jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r jsonb;
BEGIN
    PERFORM apibase.use_middleware(middleware::regprocedure, CASE WHEN middleware LIKE '%logging%' THEN 'around' ELSE 'before' END,
        'bus_shipped.place_order', config => config, name => 'c');
    r := apibase.command(ROW('s1', 1, NULL, NULL)::bus_shipped.place_order)::jsonb;
    PERFORM apibase.drop_middleware(middleware::regprocedure, 'c');
    RETURN coalesce(r #>> '{error,code}' || ' ' || (r #>> '{error,status}'), r ->> 'value');
END $$;
SELECT config, with_config('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', config) AS outcome
    FROM unnest(ARRAY['{}', '{"specification": null}', '{"specification": true}', '{"specification": ""}', '{"specification": "quantity >"}',
        '{"specification": "quantity = $1"}']::jsonb[]) config;
SELECT config, with_config('apibase.middleware_authorization(apibase.dispatch,jsonb,jsonb)', config) AS outcome
    FROM unnest(ARRAY['{}', '{"roles": []}', '{"roles": "postgres"}', '{"roles": [1]}', '{"claims": []}', '{"claims": "x"}', '{"claims": {}}',
        '{"roles": ["regress_bus_nobody"]}']::jsonb[]) config;
SELECT config, with_config('apibase.middleware_logging(apibase.dispatch,jsonb,jsonb)', config) AS outcome
    FROM unnest(ARRAY['{}', '{"level": "error"}', '{"level": 1}', '{"payload": "yes"}']::jsonb[]) config;

---- logging: to the server's log, which is not for clients, or at a level that reaches them
SELECT apibase.use_middleware('apibase.middleware_logging(apibase.dispatch,jsonb,jsonb)', 'around', 'bus_shipped.*', config => '{}');
SELECT shown(apibase.command(ROW('s1', 1, NULL, NULL)::place_order));
SELECT apibase.drop_middleware('apibase.middleware_logging(apibase.dispatch,jsonb,jsonb)');
-- by hand there is nothing to be logged, and nothing that could let anybody through
SELECT apibase.middleware_logging(NULL, '{}', '{}');
SELECT apibase.middleware_validation(NULL, NULL, '{"specification": "false"}');
SELECT apibase.middleware_authorization(NULL, '{}', NULL);

DROP SCHEMA bus_shipped CASCADE;
DROP ROLE regress_bus_clerk, regress_bus_clerks, regress_bus_guest;
