-- indexes.sql: keys, indexes, constraints and row policies of the table, made after its rows are loaded. The places where
-- a condition is asked for take a specification: a CHECK constraint, a partial index and a row policy do so below.

ALTER TABLE packages ADD PRIMARY KEY (name, version, architecture);

CREATE INDEX packages_name_pattern ON packages (name text_pattern_ops);
COMMENT ON INDEX packages_name_pattern IS 'Serves name like ''postgresql-%'' and name starts_with ''lib''.';
CREATE INDEX packages_section ON packages (section, name);
COMMENT ON INDEX packages_section IS 'Serves section = ..., also in the order of the names.';
CREATE INDEX packages_priority ON packages (priority);
COMMENT ON INDEX packages_priority IS 'Serves priority <= ''standard''.';
CREATE INDEX packages_installed_size ON packages (installed_size);
COMMENT ON INDEX packages_installed_size IS 'Serves installed_size between ... and ..., and ordering by it.';
CREATE INDEX packages_tags ON packages USING gin (tags);
COMMENT ON INDEX packages_tags IS 'Serves tags contains array[...] and tags overlaps array[...].';
CREATE INDEX packages_depends ON packages USING gin (depends);
COMMENT ON INDEX packages_depends IS 'Serves depends contains array[...]: who needs this package?';
CREATE INDEX packages_maintainer ON packages (((maintainer).email));
COMMENT ON INDEX packages_maintainer IS 'Serves maintainer.email = ..., a field of a composite column.';
CREATE INDEX packages_source ON packages ((attrs -> 'source'));
COMMENT ON INDEX packages_source IS 'Serves attrs.source = ..., a path into a jsonb column.';

-- A partial index whose predicate is a specification.
CREATE INDEX packages_large_download ON packages (download_size) WHERE packages @@ 'download_size >= 100000000';
COMMENT ON INDEX packages_large_download IS 'The few packages of 100 MB and more; serves every condition that implies its own.';

-- A check constraint that is a specification.
ALTER TABLE packages ADD CONSTRAINT sizes_are_positive
    CHECK (packages @@ '(installed_size is null or installed_size >= 0) and (download_size is null or download_size > 0)');
COMMENT ON CONSTRAINT sizes_are_positive ON packages IS 'A size is unknown or positive.';

-- A row policy that is a specification: HTTP callers without a token see no debug files and nothing obsolete.
ALTER TABLE packages ENABLE ROW LEVEL SECURITY;
CREATE POLICY public_sees_current ON packages FOR SELECT TO web_anon
    USING (packages @@ 'section not in (''debug'', ''oldlibs'')');
COMMENT ON POLICY public_sees_current ON packages IS 'web_anon sees what is current.';

GRANT SELECT ON packages TO web_anon;
