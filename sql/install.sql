-- install: what CREATE EXTENSION, DROP EXTENSION and versions do. Other tests find the extension as they left it.
DROP EXTENSION apibase;
-- nothing is left but the schema, which CREATE EXTENSION made
SELECT count(*) FROM pg_proc WHERE probin LIKE '%apibase%';
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'apibase%';
DROP SCHEMA apibase;

SELECT name, version, superuser, trusted, relocatable, schema FROM pg_available_extension_versions
WHERE name = 'apibase' ORDER BY version;
SELECT source, target, path FROM pg_extension_update_paths('apibase') WHERE path IS NOT NULL ORDER BY 1, 2;

-- only where its control file says, only by a superuser
CREATE SCHEMA elsewhere;
CREATE EXTENSION apibase SCHEMA elsewhere;
DROP SCHEMA elsewhere;
CREATE ROLE install_user;
GRANT ALL ON DATABASE :DBNAME TO install_user;
SET ROLE install_user;
CREATE EXTENSION apibase;
RESET ROLE;
DROP OWNED BY install_user;
DROP ROLE install_user;

-- not into a schema in which somebody has put an object of ours before
CREATE SCHEMA apibase;
CREATE FUNCTION apibase.version() RETURNS text LANGUAGE sql AS $$ SELECT 'not ours' $$;
\set SHOW_CONTEXT never
CREATE EXTENSION apibase;
DROP SCHEMA apibase CASCADE;

-- the predecessor, then this version
CREATE EXTENSION apibase VERSION '0.0.1';
SELECT apibase.request_method() IS NULL AS works;
ALTER EXTENSION apibase UPDATE;
SELECT extversion = apibase.version() AS current FROM pg_extension WHERE extname = 'apibase';
DROP EXTENSION apibase;

-- directly
CREATE EXTENSION apibase;
SELECT extversion = apibase.version() AS current, extrelocatable, extnamespace::regnamespace FROM pg_extension
WHERE extname = 'apibase';
-- what CREATE EXTENSION leaves in the session is nothing
SHOW search_path;
ALTER EXTENSION apibase SET SCHEMA public;
