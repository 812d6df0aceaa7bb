-- Registering handlers and middleware: what is refused, what is written, what the views show.
CREATE SCHEMA bus_reg;
SET search_path = bus_reg, apibase, public;
SET client_min_messages = warning;
CREATE ROLE regress_bus_owner;
CREATE ROLE regress_bus_other;
GRANT USAGE, CREATE ON SCHEMA bus_reg TO regress_bus_owner, regress_bus_other;

CREATE TYPE place AS (item text, quantity int);
CREATE TYPE lookup AS (item text, lang text);
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION handle_place(place) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION handle_place_2(place) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION find(lookup) RETURNS jsonb STABLE LANGUAGE sql AS 'SELECT to_jsonb($1)';

-- a command
SELECT register_command('place', 'handle_place(place)');
SELECT * FROM commands;
SELECT label FROM pg_seclabels WHERE provider = 'apibase';
SELECT register_command('place', 'handle_place(place)', 'required', '2 days', timeout => '1.5 s');
SELECT * FROM commands;
-- another handler takes its place
SELECT register_command('place', 'handle_place_2(place)', 'off');
SELECT message, handler, idempotency FROM commands;
SELECT unregister_command('place'), unregister_command('place');
SELECT count(*) FROM commands;
SELECT count(*) FROM pg_seclabels WHERE provider = 'apibase';

-- a query
SELECT register_query('lookup', 'find(lookup)');
SELECT * FROM queries;
SELECT register_query('lookup', 'find(lookup)', '1 minute', '{item}', '{stock,"item {item}"}', 'shared', '200 ms');
SELECT * FROM queries;
-- its fields are gone, are back
ALTER TYPE lookup RENAME ATTRIBUTE item TO article;
SELECT message, problem FROM queries;
ALTER TYPE lookup RENAME ATTRIBUTE article TO item;
SELECT message, problem FROM queries;
ALTER FUNCTION find(lookup) VOLATILE;
SELECT message, problem FROM queries;
ALTER FUNCTION find(lookup) STABLE;
SELECT unregister_command('lookup'), unregister_query('lookup'), unregister_query(NULL);

-- what cannot be a handler
\set VERBOSITY default
CREATE FUNCTION no_arguments() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION two_arguments(place, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION any_argument(anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION rows_of(place) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION writes(lookup) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION of_colour(colour) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE a_procedure(place) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION first_of(int, place) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE an_aggregate(place) (sfunc = first_of, stype = int);
SELECT register_command('place', 'find(lookup)');
SELECT register_command('place', 'no_arguments()');
SELECT register_command('place', 'two_arguments(place,int)');
SELECT register_command('place', 'any_argument(anyelement)');
SELECT register_command('place', 'rows_of(place)');
SELECT register_command('place', 'a_procedure(place)');
SELECT register_command('place', 'an_aggregate(place)');
SELECT register_command('colour', 'of_colour(colour)');
SELECT register_query('lookup', 'writes(lookup)');
SELECT register_command(NULL, 'handle_place(place)');
SELECT register_command('place', NULL);
SELECT register_command('place', 0);
SELECT register_command(0, 'handle_place(place)');
-- a query may return rows
ALTER FUNCTION rows_of(place) STABLE;
SELECT register_query('place', 'rows_of(place)');
SELECT message, handler, problem FROM queries;
-- one function handles one kind
SELECT register_command('place', 'handle_place(place)');
ALTER FUNCTION handle_place(place) STABLE;
SELECT register_query('place', 'handle_place(place)');
-- one type may be of both kinds
SELECT (SELECT count(*) FROM commands), (SELECT count(*) FROM queries);
SELECT unregister_query('place'), unregister_command('place');
ALTER FUNCTION handle_place(place) VOLATILE;

-- options
SELECT register_command('place', 'handle_place(place)', 'sometimes');
SELECT register_command('place', 'handle_place(place)', idempotency_ttl => '-1 s');
SELECT register_command('place', 'handle_place(place)', timeout => '0');
SELECT register_command('place', 'handle_place(place)', idempotency_ttl => '1000000 days');
SELECT register_query('lookup', 'find(lookup)', '1 min', '{itm}');
SELECT register_query('lookup', 'find(lookup)', '1 min', tags => '{"item {lnag}"}');
SELECT register_query('lookup', 'find(lookup)', '1 min', '{NULL}');
SELECT register_query('lookup', 'find(lookup)', tags => '{a}');
SELECT register_query('lookup', 'find(lookup)', '1 min', tags => '{""}');
SELECT register_query('lookup', 'find(lookup)', '1 min', tags => array_fill('t'::text, '{61}'));
SELECT register_query('lookup', 'find(lookup)', '1 min', scope => 'claims');
SELECT count(*) FROM commands, queries;
BEGIN READ ONLY;
SELECT register_command('place', 'handle_place(place)');
ROLLBACK;

-- SECURITY DEFINER
CREATE SCHEMA bus_open;
GRANT CREATE ON SCHEMA bus_open TO PUBLIC;
CREATE FUNCTION definer(place) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET work_mem = '1MB';
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = pg_catalog, bus_open;
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = pg_temp, pg_catalog;
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = '';
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = pg_catalog, bus_reg, no_such_schema, "$user", pg_temp;
SELECT register_command('place', 'definer(place)');
-- could be safer
ALTER FUNCTION definer(place) SET search_path = pg_catalog, bus_reg;
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = pg_catalog;
SELECT register_command('place', 'definer(place)');
ALTER FUNCTION definer(place) SET search_path = bus_reg, pg_temp;
SELECT register_command('place', 'definer(place)');
-- is no longer safe
GRANT CREATE ON SCHEMA bus_reg TO PUBLIC;
SELECT handler, problem FROM commands;
REVOKE CREATE ON SCHEMA bus_reg FROM PUBLIC;
ALTER FUNCTION definer(place) RESET search_path;
SELECT handler, problem FROM commands;
SELECT unregister_command('place');

-- who may
ALTER TYPE place OWNER TO regress_bus_owner;
ALTER FUNCTION handle_place(place) OWNER TO regress_bus_owner;
SET ROLE regress_bus_other;
SELECT register_command('place', 'handle_place(place)');
SELECT unregister_command('place');
CREATE FUNCTION of_other(place) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT register_command('place', 'of_other(place)');
SET ROLE regress_bus_owner;
SELECT register_command('place', 'of_other(place)');
SELECT register_command('place', 'handle_place(place)');
SELECT message, handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION handle_place(place) IS NULL;
RESET ROLE;

-- labels follow what is renamed and altered, and go with what is dropped
ALTER TYPE place RENAME TO put;
ALTER FUNCTION handle_place(put) RENAME TO handle_put;
SELECT message, handler, problem FROM commands;
CREATE SCHEMA bus_other;
ALTER TYPE put SET SCHEMA bus_other;
SELECT message, handler, problem FROM commands;
ALTER SCHEMA bus_other RENAME TO "Bus other";
SELECT message, handler, problem FROM commands;
CREATE OR REPLACE FUNCTION handle_put("Bus other".put) RETURNS int LANGUAGE sql AS 'SELECT 3';
SELECT message, handler, problem FROM commands;
ALTER TYPE "Bus other".put SET SCHEMA bus_reg;
BEGIN;
DROP FUNCTION handle_put(put);
SELECT count(*) FROM commands;
ROLLBACK;
SELECT count(*) FROM commands;
BEGIN;
SAVEPOINT a;
SELECT unregister_command('put');
SELECT count(*) FROM commands;
ROLLBACK TO a;
SELECT count(*) FROM commands;
ROLLBACK;
DROP FUNCTION handle_put(put);
SELECT count(*) FROM commands;
ALTER TYPE put RENAME TO place;

-- labels that no function of ours has written
CREATE FUNCTION pick(place) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pick_2(place) RETURNS int LANGUAGE sql AS 'SELECT 1';
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '[]';
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS 'bus';
SECURITY LABEL FOR apibase ON TABLE pg_class IS '{}';
SECURITY LABEL FOR apibase ON SCHEMA bus_reg IS '{}';
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": null}';
SELECT count(*) FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": "command"}';
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "saga"}}';
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "command", "timeout": "1 s"}}';
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "command", "timeout": 1e400}}';
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "command", "idempotency": "never"}}';
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "query", "cache_key": [1]}}';
SELECT handler, problem FROM queries;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "query"}}';
SELECT handler, problem FROM queries;
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"bus": {"kind": "command"}}';
SELECT handler, idempotency, idempotency_ttl, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION pick_2(place) IS '{"bus": {"kind": "command"}}';
SELECT handler, problem FROM commands;
SELECT register_command('place', 'pick(place)');
SELECT handler, problem FROM commands;
SECURITY LABEL FOR apibase ON FUNCTION no_arguments() IS '{"bus": {"kind": "command"}}';
SECURITY LABEL FOR apibase ON AGGREGATE an_aggregate(place) IS '{"bus": {"kind": "query"}}';
SELECT message, handler, problem FROM commands;
SELECT message, handler, problem FROM queries;
SECURITY LABEL FOR apibase ON FUNCTION no_arguments() IS NULL;
SECURITY LABEL FOR apibase ON AGGREGATE an_aggregate(place) IS NULL;
-- other members of a label stay
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS '{"mine": [1, {"a": 2}], "bus": {"kind": "command"}, "zzz": true}';
SELECT unregister_command('place');
SELECT label::jsonb FROM pg_seclabels WHERE provider = 'apibase';
SELECT register_command('place', 'pick(place)');
SELECT label::jsonb - 'bus', label::jsonb ? 'bus' FROM pg_seclabels WHERE provider = 'apibase';
SELECT unregister_command('place');
SECURITY LABEL FOR apibase ON FUNCTION pick(place) IS NULL;

-- middleware
CREATE FUNCTION before(dispatch, jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION before(dispatch, jsonb, jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION after(dispatch, jsonb, result) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION after(dispatch, jsonb, result, jsonb) RETURNS result LANGUAGE sql AS 'SELECT $3';
CREATE FUNCTION recovers(dispatch, jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $3';
CREATE FUNCTION recovers(dispatch, jsonb, jsonb, jsonb) RETURNS result LANGUAGE sql AS 'SELECT ok()';
CREATE FUNCTION around(dispatch, jsonb) RETURNS result LANGUAGE sql AS 'SELECT ok()';
SELECT use_middleware('before(dispatch,jsonb)', 'before');
SELECT use_middleware('before(dispatch,jsonb,jsonb)', 'before', 'bus_reg.*', '{event}', -5, '{"a": [1]}', 'first');
SELECT use_middleware('after(dispatch,jsonb,result)', 'after', 'place', rank => 7);
SELECT use_middleware('after(dispatch,jsonb,result,jsonb)', 'after', 'bus_reg.pl?ce', '{query,command,event}');
SELECT use_middleware('recovers(dispatch,jsonb,jsonb)', 'on_error');
SELECT use_middleware('recovers(dispatch,jsonb,jsonb,jsonb)', 'on_error');
SELECT use_middleware('around(dispatch,jsonb)', 'around');
SELECT * FROM middleware;
-- the same function again: under another name another use, under the same name instead
SELECT use_middleware('after(dispatch,jsonb,result)', 'after', 'place', rank => 8);
SELECT use_middleware('after(dispatch,jsonb,result)', 'after', 'lookup');
SELECT use_middleware('after(dispatch,jsonb,result)', 'after', 'lookup', name => 'another');
SELECT name, messages, rank FROM middleware WHERE middleware = 'after(dispatch,jsonb,result)'::regprocedure;
SELECT drop_middleware('after(dispatch,jsonb,result)', 'another');
SELECT drop_middleware('after(dispatch,jsonb,result)', 'another');
SELECT name FROM middleware WHERE middleware = 'after(dispatch,jsonb,result)'::regprocedure;
SELECT drop_middleware('after(dispatch,jsonb,result)');
SELECT count(*) FROM pg_seclabels WHERE provider = 'apibase' AND label LIKE '%"after"%';
SELECT sum(drop_middleware(f)) FROM (SELECT DISTINCT middleware FROM middleware) m (f);
SELECT count(*) FROM middleware;

-- what cannot be one
CREATE FUNCTION wrong(dispatch) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION wrong(dispatch, text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION wrong(jsonb, dispatch) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION wrong(dispatch, jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wrong(dispatch, jsonb, jsonb) RETURNS SETOF result LANGUAGE sql AS 'SELECT ok()';
CREATE FUNCTION wrong(dispatch, jsonb, jsonb, jsonb, jsonb) RETURNS void LANGUAGE sql AS '';
SELECT use_middleware('wrong(dispatch)', 'before');
SELECT use_middleware('wrong(dispatch,text)', 'before');
SELECT use_middleware('wrong(jsonb,dispatch)', 'before');
SELECT use_middleware('wrong(dispatch,jsonb)', 'around');
SELECT use_middleware('wrong(dispatch,jsonb,jsonb)', 'around');
SELECT use_middleware('wrong(dispatch,jsonb,jsonb,jsonb,jsonb)', 'on_error');
SELECT use_middleware('around(dispatch,jsonb)', 'before');
SELECT use_middleware('before(dispatch,jsonb)', 'around');
SELECT use_middleware('before(dispatch,jsonb)', 'after');
SELECT use_middleware('a_procedure(place)', 'after');
SELECT use_middleware('before(dispatch,jsonb)', 'during');
SELECT use_middleware('before(dispatch,jsonb)', 'before', kinds => '{}');
SELECT use_middleware('before(dispatch,jsonb)', 'before', kinds => '{command,job}');
SELECT use_middleware('before(dispatch,jsonb)', 'before', config => '[]');
SELECT use_middleware('before(dispatch,jsonb)', 'before', config => NULL);
SELECT use_middleware('before(dispatch,jsonb)', 'before', name => '');
SELECT use_middleware('before(dispatch,jsonb)', 'before', 'bus_reg.plaec');
SELECT use_middleware('before(dispatch,jsonb)', 'before', 'colour');
ALTER FUNCTION before(dispatch, jsonb) SECURITY DEFINER;
SELECT use_middleware('before(dispatch,jsonb)', 'before');
ALTER FUNCTION before(dispatch, jsonb) SET search_path = pg_catalog;
SELECT use_middleware('before(dispatch,jsonb)', 'before');
ALTER FUNCTION before(dispatch, jsonb) RESET ALL;
SELECT name, problem FROM middleware;

-- who may use and drop
SET ROLE regress_bus_other;
SELECT use_middleware('around(dispatch,jsonb)', 'around');
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'place');
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'plac\e');
SELECT drop_middleware('before(dispatch,jsonb)');
SET ROLE regress_bus_owner;
SELECT use_middleware('around(dispatch,jsonb)', 'around');
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'place', name => 'mine');
SET ROLE regress_bus_other;
-- not by using it under the same name, either
CREATE TYPE of_other AS (a int);
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'of_other', name => 'mine');
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'of_other');
SELECT drop_middleware('around(dispatch,jsonb)');
SET ROLE regress_bus_owner;
SELECT drop_middleware('around(dispatch,jsonb)', 'mine');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION around(dispatch, jsonb) FROM PUBLIC;
SET ROLE regress_bus_owner;
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'place');
RESET ROLE;
SELECT drop_middleware('before(dispatch,jsonb)'), drop_middleware('around(dispatch,jsonb)');

-- middleware of the extension: a dump has no labels of it, so there is a table
ALTER TYPE lookup OWNER TO regress_bus_owner;
SET ROLE regress_bus_owner;
SELECT use_middleware('middleware_validation(dispatch,jsonb,jsonb)', 'before', 'lookup', config => '{"specification": "lang = ''en''"}');
SELECT use_middleware('middleware_validation(dispatch,jsonb,jsonb)', 'before', 'lookup', '{query}', config => '{"specification": "lang = ''de''"}');
SELECT * FROM middleware;
SELECT * FROM apibase_internal.own_middleware;
RESET ROLE;
SELECT function, uses = (SELECT label::jsonb -> 'middleware' FROM pg_seclabels WHERE provider = 'apibase') FROM apibase_internal.own_middleware;
SET ROLE regress_bus_owner;
SELECT drop_middleware('middleware_validation(dispatch,jsonb,jsonb)');
RESET ROLE;
SELECT (SELECT count(*) FROM apibase_internal.own_middleware), (SELECT count(*) FROM middleware);
-- not of other extensions
ALTER EXTENSION plpgsql ADD FUNCTION after(dispatch, jsonb, result);
ALTER EXTENSION plpgsql ADD FUNCTION pick(place);
SELECT use_middleware('after(dispatch,jsonb,result)', 'after');
SELECT register_command('place', 'pick(place)');
ALTER EXTENSION plpgsql DROP FUNCTION after(dispatch, jsonb, result);
ALTER EXTENSION plpgsql DROP FUNCTION pick(place);

-- a function runs with the rights of whoever sends the message, so it belongs to who has the rights of the message's owner
CREATE FUNCTION listens(dispatch, jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION handle_of_other(of_other) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT register_command('of_other', 'handle_of_other(of_other)');
ALTER FUNCTION listens(dispatch, jsonb) OWNER TO regress_bus_owner;
SET ROLE regress_bus_other;
SELECT use_middleware('listens(dispatch,jsonb)', 'before', 'of_other');
RESET ROLE;
GRANT regress_bus_other TO regress_bus_owner;
SELECT use_middleware('listens(dispatch,jsonb)', 'before', 'of_other');
SELECT problem FROM middleware;
SELECT is_ok(command(ROW(1)::of_other));
REVOKE regress_bus_other FROM regress_bus_owner;
SELECT drop_middleware('listens(dispatch,jsonb)');
-- also when somebody else's type has the name since
SET ROLE regress_bus_owner;
CREATE TYPE squatted AS (a int);
SELECT use_middleware('listens(dispatch,jsonb)', 'before', 'squatted');
ALTER TYPE squatted RENAME TO squatter;
SET ROLE regress_bus_other;
CREATE TYPE squatted AS (a int);
CREATE FUNCTION handle_squatted(squatted) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT register_command('squatted', 'handle_squatted(squatted)');
SELECT r.error ->> 'code' AS code FROM command(ROW(1)::squatted) r;
SELECT name, messages, problem FROM middleware;
SELECT drop_middleware('listens(dispatch,jsonb)');
SELECT is_ok(command(ROW(1)::squatted));
RESET ROLE;
DROP FUNCTION handle_of_other(of_other), handle_squatted(squatted), listens(dispatch, jsonb);
-- a message that is renamed keeps the middleware that is used on it alone
CREATE TYPE renamed AS (n int);
CREATE SCHEMA bus_reg_moved;
SELECT use_middleware('around(dispatch,jsonb)', 'around', 'renamed', name => 'stays');
ALTER TYPE renamed RENAME TO renamed_again;
SELECT name, messages FROM middleware WHERE name = 'stays';
ALTER TYPE renamed_again SET SCHEMA bus_reg_moved;
SELECT name, messages FROM middleware WHERE name = 'stays';
SELECT drop_middleware('around(dispatch,jsonb)', 'stays');
DROP SCHEMA bus_reg_moved CASCADE;
-- labels that cannot be read keep everybody out
SECURITY LABEL FOR apibase ON FUNCTION around(dispatch, jsonb) IS '{"middleware": {}}';
SELECT name, messages, kinds, problem FROM middleware;
SECURITY LABEL FOR apibase ON FUNCTION around(dispatch, jsonb) IS
    '{"middleware": [1, [], {}, {"name": "x", "messages": "bus_reg.nothing", "phase": "before", "kinds": ["query"], "rank": "1", "config": {}}]}';
SELECT name, messages, kinds, problem FROM middleware;
SECURITY LABEL FOR apibase ON FUNCTION around(dispatch, jsonb) IS
    '{"middleware": [{"name": "x", "messages": "bus_reg.nothing", "phase": "before", "kinds": ["query"], "rank": 1, "config": {}}]}';
SELECT name, messages, kinds, problem FROM middleware;
SECURITY LABEL FOR apibase ON FUNCTION around(dispatch, jsonb) IS '{"middleware": [1, {}]}';
SELECT drop_middleware('around(dispatch,jsonb)', 'x');
SELECT drop_middleware('around(dispatch,jsonb)');
SELECT count(*) FROM pg_seclabels WHERE provider = 'apibase';

-- names that nothing is registered for
SELECT register_command('place', 'pick(place)');
SELECT command('bus_reg.plaec', '{}');
SELECT command('place', '{}');
SELECT query('bus_reg.place', '{}');
SELECT query('', '{}');
REVOKE EXECUTE ON FUNCTION pick(place) FROM PUBLIC;
SET ROLE regress_bus_other;
SELECT command('bus_reg.plaec', '{}');
SELECT query('bus_reg.place', '{}');
RESET ROLE;

-- what is registered while it is used, and where errors end that: nothing stays behind
CREATE FUNCTION again(place) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF $1.quantity > 0 THEN
        PERFORM apibase.register_command('bus_reg.place', CASE $1.quantity % 2 WHEN 0 THEN 'bus_reg.again(bus_reg.place)'
            ELSE 'bus_reg.again_2(bus_reg.place)' END::regprocedure);
        PERFORM apibase.command(ROW($1.item, $1.quantity - 1)::bus_reg.place);
    END IF;
    IF $1.item = 'fails' THEN RAISE 'it fails'; END IF;
    RETURN $1.quantity;
END $$;
CREATE FUNCTION again_2(place) RETURNS int LANGUAGE sql AS 'SELECT bus_reg.again($1)';
SELECT register_command('place', 'again(place)');
SELECT item, (command(ROW(item, 10)::place)).ok FROM unnest('{works,fails}'::text[]) item;
DO $$
BEGIN
    FOR i IN 1 .. 50 LOOP
        BEGIN
            PERFORM apibase.command(ROW('works', 6)::bus_reg.place);
            PERFORM apibase.command(ROW('fails', 5)::bus_reg.place);
            RAISE 'undone';
        EXCEPTION WHEN raise_exception THEN
        END;
    END LOOP;
END $$;
SELECT handler, problem FROM commands;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'apibase bus registry';

\set VERBOSITY terse
DROP SCHEMA bus_reg, bus_open, "Bus other" CASCADE;
DROP ROLE regress_bus_owner, regress_bus_other;
