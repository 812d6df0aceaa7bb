-- decorate: the language, event triggers, view, privileges, comments

CREATE LANGUAGE apibase_decorated
    HANDLER apibase_internal.decorate_call
    VALIDATOR apibase_internal.decorate_validate;

CREATE EVENT TRIGGER apibase_decorate_ddl_start ON ddl_command_start
    WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER ROUTINE', 'DROP FUNCTION', 'DROP ROUTINE', 'ALTER SCHEMA', 'DROP SCHEMA',
                 'ALTER TYPE', 'DROP TYPE', 'ALTER DOMAIN', 'DROP DOMAIN', 'DROP TABLE', 'DROP VIEW', 'DROP OWNED')
    EXECUTE FUNCTION apibase_internal.decorate_ddl_start();
CREATE EVENT TRIGGER apibase_decorate_ddl_end ON ddl_command_end
    WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER ROUTINE', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN')
    EXECUTE FUNCTION apibase_internal.decorate_ddl_end();
ALTER EVENT TRIGGER apibase_decorate_ddl_start ENABLE ALWAYS;
ALTER EVENT TRIGGER apibase_decorate_ddl_end ENABLE ALWAYS;

CREATE VIEW apibase.decorators AS
    SELECT p.oid::regprocedure AS function, d.position::integer AS position, d.entry ->> 0 AS decorator,
        d.entry -> 1 AS options, p.prosrc::jsonb ->> 'body' AS body_schema
    FROM pg_catalog.pg_proc p,
        pg_catalog.jsonb_array_elements(p.prosrc::jsonb -> 'decorators') WITH ORDINALITY AS d (entry, position)
    -- a condition on p alone, so that no other source is read as JSON
    WHERE p.prolang = (SELECT l.oid FROM pg_catalog.pg_language l WHERE l.lanname = 'apibase_decorated');
GRANT SELECT ON apibase.decorators TO PUBLIC;

REVOKE ALL ON FUNCTION apibase_internal.decorate_call() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.decorate_validate(oid) FROM PUBLIC;

COMMENT ON SCHEMA apibase_decorated IS 'Bodies of decorated functions, kept by apibase';
COMMENT ON LANGUAGE apibase_decorated IS 'Functions whose source is a chain of decorators; written by apibase only';
COMMENT ON EVENT TRIGGER apibase_decorate_ddl_start IS 'Remembers decorated functions before a command that may concern them';
COMMENT ON EVENT TRIGGER apibase_decorate_ddl_end IS 'Keeps decorated functions and their bodies together after a command';
COMMENT ON FUNCTION apibase_internal.decorate_call() IS 'Handler of the language apibase_decorated';
COMMENT ON FUNCTION apibase_internal.decorate_validate(oid) IS 'Validator of the language apibase_decorated';
COMMENT ON FUNCTION apibase_internal.decorate_ddl_start() IS 'For the event trigger apibase_decorate_ddl_start';
COMMENT ON FUNCTION apibase_internal.decorate_ddl_end() IS 'For the event trigger apibase_decorate_ddl_end';
COMMENT ON FUNCTION apibase_internal.decorate(regprocedure, text, jsonb) IS
    'For the functions of apibase that decorate: put a decorator around a function of the caller''s, or change its options';
COMMENT ON FUNCTION apibase.undecorate(regprocedure, text) IS
    'Remove a decorator from a function of the caller''s, or all; whether there was one';
COMMENT ON FUNCTION apibase.cached(regprocedure, interval, text[], text[], text, text[], boolean, interval, interval, interval,
        double precision, double precision, interval) IS
    'Decorate a function: keep its results in the cache';
COMMENT ON VIEW apibase.decorators IS 'The decorators of all decorated functions';
COMMENT ON COLUMN apibase.decorators.function IS 'The decorated function';
COMMENT ON COLUMN apibase.decorators.position IS 'From 1, the innermost';
COMMENT ON COLUMN apibase.decorators.decorator IS 'Name of the decorator';
COMMENT ON COLUMN apibase.decorators.options IS 'Its options, those that were given or have a default';
COMMENT ON COLUMN apibase.decorators.body_schema IS 'Schema of the function that has the original implementation';

CREATE VIEW apibase.circuit_breakers AS
    SELECT d.function, coalesce(b.state, 'closed') AS state, coalesce(b.failures, 0) AS failures, b.since, b.retry_at,
        coalesce(b.opened, 0) AS opened, coalesce(b.refused, 0) AS refused
    FROM apibase.decorators d LEFT JOIN apibase_internal.circuit_breakers() b ON b.function = d.function
    WHERE d.decorator = 'circuit_breaker';
GRANT SELECT ON apibase.circuit_breakers TO PUBLIC;

CREATE VIEW apibase.bulkheads AS
    SELECT b.name, b.max_concurrent, b.running, b.waiting, b.entered, b.refused FROM apibase_internal.bulkheads() b;
GRANT SELECT ON apibase.bulkheads TO PUBLIC;

CREATE VIEW apibase.decorator_slots AS
    SELECT 'circuit_breaker' AS decorator, s.slots, s.used, s.dropped FROM apibase_internal.circuit_breaker_slots() s
    UNION ALL
    SELECT 'bulkhead', s.slots, s.used, s.dropped FROM apibase_internal.bulkhead_slots() s;
GRANT SELECT ON apibase.decorator_slots TO PUBLIC;

COMMENT ON FUNCTION apibase.memoized(regprocedure) IS
    'Decorate a function: compute its result for equal arguments once in a transaction';
COMMENT ON FUNCTION apibase.retry(regprocedure, integer, text, interval, interval, double precision, text[]) IS
    'Decorate a function: try again after certain errors, with a pause that grows';
COMMENT ON FUNCTION apibase.timeout(regprocedure, interval) IS 'Decorate a function: stop it after a time';
COMMENT ON FUNCTION apibase.circuit_breaker(regprocedure, integer, interval, integer, regprocedure, text[]) IS
    'Decorate a function: when it keeps failing, do not call it for a while';
COMMENT ON FUNCTION apibase.circuit_breaker_reset(regprocedure) IS
    'Close the circuit breaker of a function of the caller''s; whether it had counted anything';
COMMENT ON FUNCTION apibase_internal.circuit_breakers() IS 'What is known about the circuit breakers of this database';
COMMENT ON FUNCTION apibase_internal.circuit_breaker_slots() IS 'Shared memory for circuit breakers, of all databases';
COMMENT ON FUNCTION apibase.bulkhead(regprocedure, integer, text, interval) IS
    'Decorate a function: run so many calls at a time, in all sessions together';
COMMENT ON FUNCTION apibase_internal.bulkheads() IS 'The bulkheads of this database';
COMMENT ON FUNCTION apibase_internal.bulkhead_slots() IS 'Shared memory for bulkheads, of all databases';
COMMENT ON FUNCTION apibase.logged(regprocedure, text, boolean, boolean, text[], interval, integer) IS
    'Decorate a function: write a line about each call';
COMMENT ON FUNCTION apibase.validated(regprocedure, apibase.spec) IS
    'Decorate a function: refuse arguments that do not satisfy a specification';
COMMENT ON VIEW apibase.circuit_breakers IS 'The circuit breakers of decorated functions';
COMMENT ON COLUMN apibase.circuit_breakers.function IS 'The decorated function';
COMMENT ON COLUMN apibase.circuit_breakers.state IS 'closed, open or half_open; an open one becomes half open with the next call after retry_at';
COMMENT ON COLUMN apibase.circuit_breakers.failures IS 'In a row';
COMMENT ON COLUMN apibase.circuit_breakers.since IS 'When it came into this state; NULL while nothing has been counted';
COMMENT ON COLUMN apibase.circuit_breakers.retry_at IS 'While it is open: when the function may be called again';
COMMENT ON COLUMN apibase.circuit_breakers.opened IS 'How often it was opened since the server has kept its state';
COMMENT ON COLUMN apibase.circuit_breakers.refused IS 'Calls that were refused, or answered by the fallback, since then';
COMMENT ON VIEW apibase.bulkheads IS 'The bulkheads of this database that have been used';
COMMENT ON COLUMN apibase.bulkheads.name IS 'Its name: given, or that of the function';
COMMENT ON COLUMN apibase.bulkheads.max_concurrent IS 'Calls that may run at a time, as the function says that was called last';
COMMENT ON COLUMN apibase.bulkheads.running IS 'Calls that run now';
COMMENT ON COLUMN apibase.bulkheads.waiting IS 'Calls that wait now';
COMMENT ON COLUMN apibase.bulkheads.entered IS 'Calls that were let in since the server has kept it';
COMMENT ON COLUMN apibase.bulkheads.refused IS 'Calls that were refused since then';
COMMENT ON VIEW apibase.decorator_slots IS 'Shared memory of the decorators, for all databases of the server';
COMMENT ON COLUMN apibase.decorator_slots.decorator IS 'Name of the decorator';
COMMENT ON COLUMN apibase.decorator_slots.slots IS 'Slots that there are';
COMMENT ON COLUMN apibase.decorator_slots.used IS 'Slots that are taken';
COMMENT ON COLUMN apibase.decorator_slots.dropped IS 'Calls that found no slot and were neither counted nor limited';
