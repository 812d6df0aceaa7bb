-- core: the schemas. apibase is what users call; apibase_internal is not theirs.

GRANT USAGE ON SCHEMA apibase TO PUBLIC;
COMMENT ON SCHEMA apibase IS 'apibase: an API backend inside the database';

CREATE SCHEMA apibase_internal;
COMMENT ON SCHEMA apibase_internal IS 'Inner parts of apibase, not for use by applications';
