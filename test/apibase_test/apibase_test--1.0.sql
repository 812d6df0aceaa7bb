\echo Use "CREATE EXTENSION apibase_test" to load this file. \quit

CREATE FUNCTION apibase_test.worker_status(
        worker text, OUT pid integer, OUT turns bigint, OUT failures bigint, OUT reloads bigint)
    AS 'MODULE_PATHNAME', 'apibase_test_worker_status' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION apibase_test.fail_turns(turns integer) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_test_fail_turns' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION apibase_test.stall_turns(stall boolean) RETURNS void
    AS 'MODULE_PATHNAME', 'apibase_test_stall_turns' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION apibase_test.stalled() RETURNS integer
    AS 'MODULE_PATHNAME', 'apibase_test_stalled' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION apibase_test.leaked_bytes() RETURNS bigint
    AS 'MODULE_PATHNAME', 'apibase_test_leaked_bytes' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION apibase_test.preloaded() RETURNS boolean
    AS 'MODULE_PATHNAME', 'apibase_test_preloaded' LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION apibase_test.worker_status(text) IS 'The counters of a worker, "steady" or "once"';
COMMENT ON FUNCTION apibase_test.fail_turns(integer) IS 'Have so many turns of the worker "steady" raise an error';
COMMENT ON FUNCTION apibase_test.stall_turns(boolean) IS 'Have the turns of the worker "steady" last until this is called with false';
COMMENT ON FUNCTION apibase_test.stalled() IS 'How many turns have begun to last';
COMMENT ON FUNCTION apibase_test.leaked_bytes() IS 'The most that a turn found in its memory context when it began';
COMMENT ON FUNCTION apibase_test.preloaded() IS 'Whether this library has its shared memory';
