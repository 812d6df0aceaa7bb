-- result: cast, comments

-- ---- results and problems

CREATE CAST (apibase.result AS jsonb) WITH FUNCTION apibase.result_to_jsonb(apibase.result);

COMMENT ON TYPE apibase.result IS 'A value, or a problem document that says why there is none';
COMMENT ON COLUMN apibase.result.ok IS 'Whether there is a value';
COMMENT ON COLUMN apibase.result.value IS 'The value, which may be NULL, if ok';
COMMENT ON COLUMN apibase.result.error IS 'The problem (RFC 9457), if not ok';
COMMENT ON COLUMN apibase.result.replayed IS 'Whether it is that of an earlier call with the same idempotency key';
COMMENT ON CAST (apibase.result AS jsonb) IS 'With the members ok, and value or error';
COMMENT ON FUNCTION apibase.ok() IS 'A result that is ok and has no value';
COMMENT ON FUNCTION apibase.ok("any") IS 'A result that is ok, with a value';
COMMENT ON FUNCTION apibase.err(jsonb) IS 'A result that is not ok, with a problem';
COMMENT ON FUNCTION apibase.is_ok(apibase.result) IS 'Whether a result is ok';
COMMENT ON FUNCTION apibase.is_err(apibase.result) IS 'Whether a result is not ok';
COMMENT ON FUNCTION apibase.unwrap(apibase.result) IS 'The value of a result; raises its problem if it is not ok';
COMMENT ON FUNCTION apibase.unwrap_or(apibase.result, jsonb) IS 'The value of a result, or another if it is not ok';
COMMENT ON FUNCTION apibase.unwrap_err(apibase.result) IS 'The problem of a result; NULL if it is ok';
COMMENT ON FUNCTION apibase.result_to_jsonb(apibase.result) IS 'The cast of results to jsonb';
COMMENT ON FUNCTION apibase.problem(integer, text, text, text, jsonb, jsonb) IS 'A problem document (RFC 9457)';
COMMENT ON FUNCTION apibase.problem_from_error(text, text, text, text, text, text, text, text, text) IS
    'The problem document of an error, of what GET STACKED DIAGNOSTICS tells about it';
COMMENT ON FUNCTION apibase.raise_problem(jsonb) IS 'Raise a problem as an error';
COMMENT ON FUNCTION apibase.raise_validation(text, text, jsonb) IS 'Raise a problem of status 422, with the fields that are not valid';
COMMENT ON FUNCTION apibase.raise_not_found(text) IS 'Raise a problem of status 404';
COMMENT ON FUNCTION apibase.raise_not_found(text, "any") IS 'Raise a problem of status 404, with the id of what was not found';
COMMENT ON FUNCTION apibase.raise_conflict(text, text) IS 'Raise a problem of status 409';
COMMENT ON FUNCTION apibase.raise_unauthorized(text) IS 'Raise a problem of status 401';
COMMENT ON FUNCTION apibase.raise_forbidden(text) IS 'Raise a problem of status 403';
COMMENT ON FUNCTION apibase.raise_precondition(text) IS 'Raise a problem of status 412';
COMMENT ON FUNCTION apibase.raise_timeout(text) IS 'Raise a problem of status 504';
COMMENT ON FUNCTION apibase.raise_unavailable(text, interval) IS 'Raise a problem of status 503, with the time after which to try again';

-- ---- functions over results, pipelines

COMMENT ON FUNCTION apibase.result_map(apibase.result, regprocedure) IS
    'A result with its value replaced by what a function makes of it; a problem stays as it is';
COMMENT ON FUNCTION apibase.result_bind(apibase.result, regprocedure) IS
    'What a function that returns a result makes of the value of another; a problem stays as it is';
COMMENT ON FUNCTION apibase.result_map_err(apibase.result, regprocedure) IS
    'A result with its problem replaced by what a function makes of it; a value stays as it is';
COMMENT ON FUNCTION apibase.pipe("any", regprocedure[]) IS
    'What functions make of a value one after the other, up to the first that fails';
COMMENT ON FUNCTION apibase.pipe_all("any", regprocedure[]) IS
    'What functions make of a value one after the other, leaving out those that fail, whose problems are told together';
