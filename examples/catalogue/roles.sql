-- roles.sql: the roles of the example, which belong to the whole cluster. Run as superuser; may be run again.
--
--   catalogue      owns the database and everything in it; may log in, and see the counters of the cache
--   web_anon       who reads over HTTP without a token; reads what the row policy of schema.sql lets it see
--   authenticator  what PostgREST logs in as; has no rights but to become web_anon

SET client_min_messages = warning; -- no notice of a membership that is there
SELECT format('CREATE ROLE %I', r) FROM unnest(ARRAY['catalogue', 'web_anon', 'authenticator']) r
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)
\gexec
ALTER ROLE catalogue LOGIN;
ALTER ROLE web_anon NOLOGIN;
ALTER ROLE authenticator LOGIN NOINHERIT;
GRANT web_anon TO authenticator, catalogue;
GRANT pg_monitor TO catalogue;
