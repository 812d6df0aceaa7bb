-- bus: layers of middleware around handlers. Their order, what each phase is given and may change, what fails, what is undone and
-- what stays. It is the same with and without shared memory.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/errors.sql
DROP SCHEMA IF EXISTS bus_middleware CASCADE;
DROP ROLE IF EXISTS regress_bus_caller, regress_bus_middleware;
CREATE ROLE regress_bus_caller;
CREATE ROLE regress_bus_middleware;
CREATE SCHEMA bus_middleware;
GRANT USAGE ON SCHEMA bus_middleware TO PUBLIC;
SET search_path = bus_middleware, public;

CREATE TABLE log (n serial, entry text);
GRANT ALL ON log, log_n_seq TO PUBLIC;
-- What has been written, in order; and begin anew.
CREATE FUNCTION written() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    lines text;
BEGIN
    SELECT string_agg(entry, ', ' ORDER BY n) INTO lines FROM log;
    DELETE FROM log;
    RETURN lines;
END $$;
CREATE FUNCTION shown(result apibase.result) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(CASE WHEN result.ok THEN 'ok ' || coalesce(result.value::text, 'NULL')
        ELSE 'err ' || (result.error - 'instance' - 'type' - 'title')::text END || CASE WHEN result.replayed THEN ' replayed' ELSE '' END, 'nothing')
$$;
CREATE FUNCTION fn(name text) RETURNS regprocedure LANGUAGE sql AS $$
    SELECT oid::regprocedure FROM pg_proc WHERE proname = fn.name AND pronamespace = 'bus_middleware'::regnamespace $$;
CREATE FUNCTION note(entry text) RETURNS void LANGUAGE sql AS 'INSERT INTO log (entry) VALUES (note.entry)';

-- The handler does what it is told.
CREATE TYPE act AS (what text, n int);
CREATE FUNCTION handle(act) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note('handler');
    CASE $1.what
        WHEN 'raise' THEN RAISE 'the handler raises' USING ERRCODE = 'PT409';
        WHEN 'err' THEN RETURN apibase.err('{"status": 409, "detail": "the handler returns"}');
        ELSE RETURN apibase.ok($1.n);
    END CASE;
END $$;
SELECT apibase.register_command('act', 'handle(act)');
CREATE FUNCTION do_act(what text DEFAULT 'ok', n int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result apibase.result := apibase.command(ROW(what, n)::act);
BEGIN
    RETURN format('%s | %s', shown(result), written());
END $$;

-- Middleware of each phase that notes that it was called, and does what its configuration tells.
CREATE FUNCTION b(d apibase.dispatch, payload jsonb, config jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note('before ' || (config->>'name'));
    IF config->>'do' = 'raise' THEN RAISE 'before raises' USING ERRCODE = 'PT403'; END IF;
END $$;
CREATE FUNCTION a(d apibase.dispatch, payload jsonb, result apibase.result, config jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note(format('after %s with %s', config->>'name', result.value));
    IF config->>'do' = 'raise' THEN RAISE 'after raises' USING ERRCODE = 'PT412'; END IF;
    IF config->>'do' = 'replace' THEN RETURN apibase.ok('replaced'::text); END IF;
    IF config->>'do' = 'err' THEN RETURN apibase.err('{"status": 412, "detail": "after returns"}'); END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION e(d apibase.dispatch, payload jsonb, problem jsonb, config jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note(format('on_error %s with %s', config->>'name', problem->>'detail'));
    IF config->>'do' = 'raise' THEN RAISE 'on_error raises' USING ERRCODE = 'PT503'; END IF;
    IF config->>'do' = 'replace' THEN RETURN '{"status": 418, "detail": "replaced"}'; END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION recover(d apibase.dispatch, payload jsonb, problem jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note('recovered');
    RETURN apibase.ok(0);
END $$;
CREATE FUNCTION r(d apibase.dispatch, payload jsonb, config jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
DECLARE
    result apibase.result;
BEGIN
    PERFORM note('around ' || (config->>'name'));
    CASE config->>'do'
        WHEN 'none' THEN RETURN apibase.ok('not asked'::text);
        WHEN 'null' THEN RETURN NULL;
        WHEN 'raise' THEN RAISE 'around raises';
        WHEN 'raise later' THEN
            result := apibase.dispatch_next();
            RAISE 'around raises later' USING ERRCODE = 'PT503';
        WHEN 'err' THEN
            result := apibase.dispatch_next();
            RETURN apibase.err('{"status": 412, "detail": "around returns"}');
        WHEN 'twice' THEN
            result := apibase.dispatch_next();
            result := apibase.dispatch_next();
        WHEN 'retry' THEN
            FOR attempt IN 1..3 LOOP
                result := apibase.dispatch_next();
                EXIT WHEN apibase.is_ok(result);
            END LOOP;
        ELSE
            result := apibase.dispatch_next();
    END CASE;
    PERFORM note('around ' || (config->>'name') || ' ends');
    RETURN result;
END $$;

--
-- Order: positions, outermost first, whatever the order in which they were declared; in again what is on the way out
--
SELECT apibase.use_middleware(fn('a'), 'after', rank => 20, config => '{"name": "20"}'),
    apibase.use_middleware(fn('b'), 'before', rank => 40, config => '{"name": "40"}', name => 'b40'),
    apibase.use_middleware(fn('b'), 'before', rank => 10, config => '{"name": "10"}', name => 'b10'),
    apibase.use_middleware(fn('r'), 'around', rank => 30, config => '{"name": "30"}'),
    apibase.use_middleware(fn('a'), 'after', rank => 50, config => '{"name": "50"}', name => 'a50'),
    apibase.use_middleware(fn('e'), 'on_error', rank => 15, config => '{"name": "15"}'),
    apibase.use_middleware(fn('e'), 'on_error', rank => 60, config => '{"name": "60"}', name => 'e60');
SELECT do_act();
SELECT do_act('raise');
SELECT do_act('err');

-- At one position: by the name of the function, then by the name of the use.
SELECT apibase.drop_middleware(f) FROM unnest(ARRAY[fn('a'), fn('b'),
    fn('r'), fn('e')]) f;
SELECT do_act();
SELECT apibase.use_middleware(fn('r'), 'around', config => '{"name": "y"}', name => 'y'),
    apibase.use_middleware(fn('b'), 'before', config => '{"name": "z"}', name => 'z'),
    apibase.use_middleware(fn('b'), 'before', config => '{"name": "x"}', name => 'x');
SELECT do_act();
-- one more use of the same name replaces it
SELECT apibase.use_middleware(fn('b'), 'before', config => '{"name": "x again"}', name => 'x', rank => 200);
SELECT do_act();

-- For a scenario: what is declared, then what happens.
CREATE FUNCTION scenario(VARIADIC uses text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    use text;
    place int := 0;
    f regprocedure;
    phase text;
BEGIN
    PERFORM apibase.drop_middleware(m.middleware, m.name) FROM apibase.middleware m;
    FOREACH use IN ARRAY uses LOOP
        place := place + 1;
        phase := split_part(use, ' ', 1);
        f := CASE phase WHEN 'before' THEN fn('b') WHEN 'after' THEN fn('a')
            WHEN 'on_error' THEN fn('e') WHEN 'recover' THEN fn('recover')
            ELSE fn('r') END;
        PERFORM apibase.use_middleware(f, replace(phase, 'recover', 'on_error'), rank => place, name => place::text,
            config => jsonb_build_object('name', place, 'do', substr(use, length(phase) + 2)));
    END LOOP;
    RETURN array_to_string(uses, ', ');
END $$;

--
-- What fails undoes itself and what is inside, and nothing outside
--
SELECT scenario('before', 'before raise', 'before'), do_act();
SELECT scenario('before', 'on_error', 'before raise', 'on_error'), do_act();
SELECT scenario('before', 'after raise', 'before'), do_act();
SELECT scenario('before', 'on_error', 'after raise', 'around', 'after'), do_act();
SELECT scenario('before', 'on_error', 'on_error raise', 'before'), do_act('raise');
SELECT scenario('before', 'on_error', 'around raise', 'before'), do_act();
SELECT scenario('before', 'on_error', 'around raise later', 'before'), do_act();
SELECT scenario('before', 'on_error', 'around null'), do_act();
SELECT scenario('after', 'after'), do_act('raise');

-- An err that is made of an ok undoes, too; one that stays an err does not.
SELECT scenario('on_error', 'after err', 'before'), do_act();
SELECT scenario('on_error', 'around err', 'before'), do_act();
SELECT scenario('on_error', 'around err', 'before'), do_act('raise');

-- Results that are replaced, problems that are replaced, failures that are none any more.
SELECT scenario('after', 'after replace', 'after'), do_act();
SELECT scenario('on_error', 'on_error replace', 'on_error'), do_act('raise');
SELECT scenario('after', 'recover', 'on_error', 'before'), do_act('raise');

--
-- around: the rest not at all, once, more than once
--
SELECT scenario('before', 'around none', 'before'), do_act();
SELECT scenario('before', 'around', 'before'), do_act();
SELECT scenario('before', 'around twice', 'before'), do_act();
SELECT scenario('around twice', 'around twice'), do_act();
SELECT scenario('around', 'around', 'around'), do_act('raise');

-- What failed in an attempt is undone before the next: here the handler fails until the sequence has grown.
CREATE SEQUENCE attempts;
CREATE TYPE flaky AS (n int);
CREATE FUNCTION handle(flaky) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note('handler');
    IF nextval('attempts') < $1.n THEN RAISE 'not yet' USING ERRCODE = 'PT503'; END IF;
    RETURN 'now';
END $$;
SELECT apibase.register_command('flaky', 'handle(flaky)');
SELECT scenario('around retry', 'before', 'on_error');
SELECT shown(apibase.command(ROW(3)::flaky));
SELECT written();
SELECT setval('attempts', 1, false);
SELECT shown(apibase.command(ROW(5)::flaky));
SELECT written();

-- dispatch_next() is of the around that runs, and of nobody else.
SELECT errors.of('SELECT apibase.dispatch_next()');
CREATE TYPE curious AS (n int);
CREATE FUNCTION handle(curious) RETURNS text LANGUAGE sql AS $$ SELECT errors.of('SELECT apibase.dispatch_next()') $$;
SELECT apibase.register_command('curious', 'handle(curious)');
SELECT scenario('around'), (apibase.command(ROW(1)::curious)).value #>> '{}';
CREATE FUNCTION asking(d apibase.dispatch, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note(errors.of('SELECT apibase.dispatch_next()'));
END $$;
SELECT written();
SELECT scenario('around');
SELECT apibase.use_middleware(fn('asking'), 'before', rank => 20);
SELECT do_act();
SELECT apibase.drop_middleware(fn('asking'));

-- A dispatch within an around is another one: it has its own layers, and the around goes on with its own rest.
CREATE FUNCTION nesting(d apibase.dispatch, payload jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
DECLARE
    result apibase.result;
BEGIN
    PERFORM note('nesting ' || d.depth);
    IF d.depth < 3 THEN
        result := apibase.command(ROW('ok', d.depth * 10)::act);
        PERFORM note('inner ' || shown(result));
    END IF;
    result := apibase.dispatch_next();
    BEGIN
        PERFORM apibase.command(ROW('ok', 1)::no_such);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN result;
END $$;
SELECT scenario('before');
SELECT apibase.use_middleware(fn('nesting'), 'around', rank => 5);
SELECT do_act();
SELECT apibase.drop_middleware(fn('nesting'));

-- One that catches the cancellation of the rest is still the one that runs.
CREATE FUNCTION catching(d apibase.dispatch, payload jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    RETURN apibase.dispatch_next();
EXCEPTION WHEN query_canceled THEN
    PERFORM note('caught');
    RETURN apibase.dispatch_next();
END $$;
CREATE TYPE cancelled AS (n int);
CREATE FUNCTION handle(cancelled) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note('handler');
    IF nextval('attempts') <= $1.n THEN RAISE query_canceled; END IF;
    RETURN 'not cancelled';
END $$;
SELECT apibase.register_command('cancelled', 'handle(cancelled)'), apibase.use_middleware(fn('catching'), 'around', rank => 5);
SELECT setval('attempts', 1, false);
SELECT shown(apibase.command(ROW(1)::cancelled)), written();
SELECT setval('attempts', 1, false);
SELECT shown(apibase.command(ROW(9)::cancelled));
SELECT apibase.drop_middleware(fn('catching')), apibase.current_dispatch() IS NULL AS outside, written();

--
-- What they are given
--
CREATE TABLE given (phase text, d apibase.dispatch, payload jsonb, third text);
GRANT ALL ON given TO PUBLIC;
CREATE FUNCTION give_b(d apibase.dispatch, payload jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO given VALUES ('before', d, payload) $$;
CREATE FUNCTION give_a(d apibase.dispatch, payload jsonb, result apibase.result) RETURNS void LANGUAGE sql AS $$
    INSERT INTO given VALUES ('after', d, payload, result) $$;
CREATE FUNCTION give_e(d apibase.dispatch, payload jsonb, problem jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO given VALUES ('on_error', d, payload, problem->>'status') $$;
CREATE FUNCTION give_r(d apibase.dispatch, payload jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO given VALUES ('around', d, payload, d = apibase.current_dispatch());
    RETURN apibase.dispatch_next();
END $$;
SELECT scenario(VARIADIC '{}');
SELECT apibase.use_middleware(fn('give_b'), 'before', rank => 1), apibase.use_middleware(fn('give_a'), 'after', rank => 2),
    apibase.use_middleware(fn('give_e'), 'on_error', rank => 3), apibase.use_middleware(fn('give_r'), 'around', rank => 4);
SELECT do_act('ok', 5);
SELECT do_act('raise', 6);
SELECT shown(apibase.command('bus_middleware.act', '{"what": "ok", "n": "7"}'));
SELECT phase, (d).kind, (d).name, (d).depth, payload, third FROM given;
SELECT count(DISTINCT (d).id) AS dispatches FROM given;
TRUNCATE given;

-- Patterns and kinds: which messages they are for.
CREATE TYPE look AS (n int);
CREATE FUNCTION handle(look) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1.n';
SELECT apibase.register_query('look', 'handle(look)');
SELECT apibase.drop_middleware(fn('give_a')), apibase.drop_middleware(fn('give_e')), apibase.drop_middleware(fn('give_r'));
SELECT apibase.use_middleware(fn('give_b'), 'before', 'bus_middleware.a*', name => 'a'),
    apibase.use_middleware(fn('give_b'), 'before', kinds => '{query}', name => 'q'),
    apibase.use_middleware(fn('give_b'), 'before', 'bus_middleware.curiou?', name => 'c'),
    apibase.use_middleware(fn('give_b'), 'before', '*.look', kinds => '{command}', name => 'no');
SELECT do_act(), apibase.query(ROW(2)::look), shown(apibase.command(ROW(3)::curious)) <> '';
SELECT (d).kind, (d).name, count(*) FROM given GROUP BY 1, 2 ORDER BY 1, 2;
-- around a query layers may write: only the handler is read-only
SELECT current_setting('transaction_read_only'), written();
TRUNCATE given;

--
-- Who runs what
--
-- An around with the rights of its owner and a search_path of its own: the handler runs as the caller, with the caller's.
CREATE TYPE who AS (n int);
CREATE FUNCTION handle(who) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('%s, %s, %s', current_user, current_setting('search_path'), (SELECT count(*) FROM log));
END $$;
CREATE FUNCTION definer(d apibase.dispatch, payload jsonb) RETURNS apibase.result LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before_it text := current_user || ' ' || current_setting('search_path');
    result apibase.result := apibase.dispatch_next();
    after_it text := current_user || ' ' || current_setting('search_path');
BEGIN
    IF before_it <> after_it THEN RAISE 'not set back: % %', before_it, after_it; END IF;
    IF apibase.is_err(result) THEN RETURN result; END IF;
    RETURN apibase.ok((result.value #>> '{}') || ' within ' || after_it);
END $$;
ALTER FUNCTION definer OWNER TO regress_bus_middleware;
SELECT scenario('before', 'after');
SELECT apibase.register_command('who', 'handle(who)');
SELECT apibase.use_middleware(fn('definer'), 'around', rank => 0);
SET ROLE regress_bus_caller;
SELECT shown(apibase.command(ROW(1)::who)), current_user, current_setting('search_path');
SELECT shown(apibase.command(ROW('raise', 1)::act)), current_user, current_setting('search_path');
RESET ROLE;
SELECT written() <> '' AS written;
SELECT scenario(VARIADIC '{}');

-- A payload that cannot be read is refused before any layer.
SELECT scenario('before', 'on_error'), shown(apibase.command('bus_middleware.act', '{"n": "x"}')), written();

-- Deadlines are the handler's: what is told of its end is not cancelled as well.
CREATE TYPE slow AS (n int);
CREATE FUNCTION handle(slow) RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(60)::text';
SELECT apibase.register_command('slow', 'handle(slow)');
SELECT scenario('around', 'on_error'), shown(apibase.command(ROW(1)::slow, '{"timeout": "20 ms"}'));
SELECT written();

-- Middleware that calls itself through what it dispatches, also in SQL.
CREATE FUNCTION counting(d apibase.dispatch, payload jsonb, result apibase.result) RETURNS apibase.result LANGUAGE sql AS $$
    SELECT CASE WHEN d.depth < 4 THEN apibase.ok(((result.value)::int + ((apibase.command(ROW('ok', 1)::act)).value)::int)) ELSE result END $$;
SELECT scenario(VARIADIC '{}'), apibase.use_middleware(fn('counting'), 'after');
SELECT do_act();

RESET search_path;
DROP SCHEMA bus_middleware, errors CASCADE;
DROP ROLE regress_bus_caller, regress_bus_middleware;
