-- core: what the library tells about itself, the registry of errors, what is not for everybody.
-- Shared memory, the clock and the workers are in test/tap/core_*.pl.
SELECT apibase.version() = extversion AS same_version FROM pg_extension WHERE extname = 'apibase';
SELECT provolatile, proparallel, proisstrict FROM pg_proc WHERE oid = 'apibase.preloaded'::regproc;

-- The registry: codes of our class, unique, in order; names as conditions are named.
SELECT sqlstate, name, http_status FROM apibase.errors;
SELECT count(*) = count(DISTINCT sqlstate) AND count(*) = count(DISTINCT name)
       AND bool_and(sqlstate ~ '^PB[0-9A-Z]{3}$' AND name ~ '^[a-z_]+$' AND http_status BETWEEN 400 AND 599
                    AND description ~ '^[a-z].*[^.]$') AS well_formed
FROM apibase.errors;
DO $$ BEGIN RAISE SQLSTATE 'PB001'; EXCEPTION WHEN SQLSTATE 'PB001' THEN RAISE NOTICE 'caught %', SQLSTATE; END $$;

-- The clock follows the system's.
SELECT apibase_internal.clock_now() - clock_timestamp() BETWEEN '-1 s' AND '1 s' AS now;
SELECT apibase_internal.clock_set(NULL);

-- The inner schema is closed, what the public one shows of it is open.
CREATE ROLE core_user;
SET ROLE core_user;
SELECT apibase.version() IS NOT NULL AS public_function;
SELECT count(*) > 0 AS public_view FROM apibase.errors;
SELECT * FROM apibase_internal.errors();
SELECT apibase_internal.clock_now();
SELECT apibase_internal.clock_set('1 hour');
RESET ROLE;
-- A grant does not open the clock: it is the whole server's.
GRANT USAGE ON SCHEMA apibase_internal TO core_user;
GRANT EXECUTE ON FUNCTION apibase_internal.clock_set(interval) TO core_user;
SET ROLE core_user;
SELECT apibase_internal.clock_set('1 hour');
RESET ROLE;
DROP OWNED BY core_user;
DROP ROLE core_user;
