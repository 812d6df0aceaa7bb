-- Counters of commands and queries. (What happens when there are more messages than counters is in test/tap/bus_stats.pl.)
CREATE SCHEMA bus_stat;
SET search_path = bus_stat, apibase, public;
SET client_min_messages = warning;
CREATE TYPE ask AS (n int);
CREATE TYPE "Ask it" AS (n int);
CREATE TYPE look AS (n int);
CREATE FUNCTION handle(ask) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 10 / $1.n; END $$;
CREATE FUNCTION handle("Ask it") RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION handle(look) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1.n';
SELECT register_command('ask', 'handle(ask)'), register_command('"Ask it"', 'handle("Ask it")'),
    register_query('look', 'handle(look)', '1 hour');
CREATE VIEW counted AS
    SELECT kind, name, dispatches, errors, replayed, cached, seconds > 0 AS took_time FROM bus_stats
    WHERE name LIKE 'bus_stat.%' ORDER BY kind, name;

-- not before something was dispatched
SELECT * FROM counted;
SELECT (command(ROW(n)::ask)).value FROM (VALUES (1), (0), (2), (5)) v (n);
SELECT (command(ROW(7)::ask, '{"idempotency_key": "k"}')).replayed FROM generate_series(1, 3);
SELECT (command('bus_stat."Ask it"', '{"n": 1}')).value;
SELECT * FROM counted;
-- what is not valid is not handled, and is an error all the same
SELECT (command('bus_stat."Ask it"', '{"m": 1}')).ok;
-- a rollback takes nothing back
BEGIN;
SELECT (command(ROW(2)::ask)).ok;
ROLLBACK;
SELECT * FROM counted WHERE kind = 'command';
-- from the cache
SELECT query(ROW(1)::look), query(ROW(1)::look), query(ROW(2)::look);
SELECT * FROM counted WHERE kind = 'query';

-- names are those of now
ALTER TYPE ask RENAME TO question;
SELECT name, dispatches FROM counted WHERE kind = 'command';
-- what has gone is not shown
DROP FUNCTION handle("Ask it");
DROP TYPE "Ask it";
SELECT name FROM counted;

-- a reset
SELECT bus_reset_stats();
SELECT * FROM counted;
CREATE ROLE regress_bus_stats;
SET ROLE regress_bus_stats;
SELECT count(*) > 0 FROM bus_stats;
RESET ROLE;
GRANT pg_monitor TO regress_bus_stats;
SET ROLE regress_bus_stats;
SELECT count(*) > 0 FROM bus_stats;
SELECT apibase.bus_reset_stats();
RESET ROLE;
DROP ROLE regress_bus_stats;
\set VERBOSITY terse
DROP SCHEMA bus_stat CASCADE;
