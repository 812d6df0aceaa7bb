-- privileges: what a role without any can do with the extension, and what it cannot.
CREATE ROLE privileges_user;
SET ROLE privileges_user;

-- It sees and calls what is public.
SELECT has_schema_privilege('apibase', 'USAGE') AS public_schema, has_schema_privilege('apibase', 'CREATE') AS create_there,
       has_schema_privilege('apibase_internal', 'USAGE') AS internal_schema;
SELECT apibase.request_method() IS NULL AS context, apibase.version() IS NOT NULL AS core;

-- What is internal it cannot even name. (What PUBLIC can execute is listed in test/checks/public_privileges.list.)
SELECT apibase_internal.clock_now();

-- It changes nothing.
CREATE FUNCTION apibase.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO apibase.errors VALUES ('PB999');
SELECT c.oid::regclass AS writable
FROM pg_class c
WHERE c.relnamespace IN ('apibase'::regnamespace, 'apibase_internal'::regnamespace) AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
  AND (has_table_privilege(c.oid, 'INSERT') OR has_table_privilege(c.oid, 'UPDATE')
       OR has_table_privilege(c.oid, 'DELETE') OR has_table_privilege(c.oid, 'TRUNCATE'));

RESET ROLE;
DROP ROLE privileges_user;
-- Functions that run with their owner's rights: who may execute these needs none on the tables of the outbox.
SELECT p.oid::regprocedure AS security_definer, p.proconfig
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE e.extname = 'apibase' AND p.prosecdef ORDER BY p.proname;
