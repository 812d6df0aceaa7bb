-- core: views, privileges, comments

CREATE VIEW apibase.errors AS
    SELECT e.sqlstate, e.name, e.http_status, e.description
    FROM apibase_internal.errors() e;
GRANT SELECT ON apibase.errors TO PUBLIC;

-- errors() stays executable: a view checks the functions in it with the rights of its reader
REVOKE ALL ON FUNCTION apibase_internal.clock_now() FROM PUBLIC;
REVOKE ALL ON FUNCTION apibase_internal.clock_set(interval) FROM PUBLIC;

COMMENT ON FUNCTION apibase.version() IS 'Version of the library that this session has loaded';
COMMENT ON FUNCTION apibase.preloaded() IS
    'Whether apibase is in shared_preload_libraries, so that what needs shared memory works';
COMMENT ON FUNCTION apibase_internal.errors() IS 'The registry of SQLSTATEs, for the view apibase.errors';
COMMENT ON FUNCTION apibase_internal.clock_now() IS 'The clock that deadlines and times to live are measured with';
COMMENT ON FUNCTION apibase_internal.clock_set(interval) IS
    'For tests, superusers only: set how far that clock is ahead of the system''s, in the whole server';
COMMENT ON VIEW apibase.errors IS 'SQLSTATEs that apibase raises beside the standard ones, with the HTTP status to answer with';
COMMENT ON COLUMN apibase.errors.sqlstate IS 'Code, of class PB';
COMMENT ON COLUMN apibase.errors.name IS 'Name of the condition';
COMMENT ON COLUMN apibase.errors.http_status IS 'HTTP status that an HTTP layer should answer with';
COMMENT ON COLUMN apibase.errors.description IS 'When it is raised';
