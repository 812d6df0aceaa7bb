-- Helper of tests: what a statement raises, whole. A test includes this file with \getenv and \i; the schema errors is made again each time.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS errors CASCADE;
CREATE SCHEMA errors;

-- SQLSTATE and message, then detail and hint, if there are any.
CREATE FUNCTION errors.of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE query;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', code || ' ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$;

-- The same for a text that is read as a specification.
CREATE FUNCTION errors.of_spec(specification text) RETURNS text LANGUAGE sql AS $$
	SELECT errors.of(format('SELECT %L::apibase.spec', specification))
$$;
