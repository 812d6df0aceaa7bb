-- schema.sql: the table of the example, before its rows are loaded. Run by the owner of a new, empty database in which
-- the extension is installed. indexes.sql follows the rows, api.sql what HTTP shows of them.

CREATE TYPE priority AS ENUM ('required', 'important', 'standard', 'optional', 'extra');
COMMENT ON TYPE priority IS 'How needed a package is, the most needed first.';

CREATE TYPE contact AS (name text, email text);
COMMENT ON TYPE contact IS 'A person or team and where to write to it.';

CREATE TABLE packages (
    name           text NOT NULL,
    version        text NOT NULL,
    architecture   text NOT NULL,
    section        text,
    priority       priority,
    installed_size bigint,
    download_size  bigint,
    maintainer     contact,
    homepage       text,
    description    text,
    tags           text[] NOT NULL,
    depends        text[] NOT NULL,
    attrs          jsonb NOT NULL
);
COMMENT ON TABLE packages IS 'The packages that this machine''s package index offers, one row a name, version and architecture.';
COMMENT ON COLUMN packages.name IS 'Name of the package.';
COMMENT ON COLUMN packages.version IS 'Debian version: [epoch:]upstream[-revision].';
COMMENT ON COLUMN packages.architecture IS 'Machine architecture, or all.';
COMMENT ON COLUMN packages.section IS 'Subject: games, libs, net, ...';
COMMENT ON COLUMN packages.priority IS 'How needed the package is.';
COMMENT ON COLUMN packages.installed_size IS 'Bytes on disk once installed.';
COMMENT ON COLUMN packages.download_size IS 'Bytes of the package file; NULL where the package is only installed and in no archive.';
COMMENT ON COLUMN packages.maintainer IS 'Who looks after the package.';
COMMENT ON COLUMN packages.homepage IS 'Address of the upstream project.';
COMMENT ON COLUMN packages.description IS 'One line that says what it is.';
COMMENT ON COLUMN packages.tags IS 'Debtags: role::program, implemented-in::c, ...';
COMMENT ON COLUMN packages.depends IS 'Names of the packages that it needs, alternatives included, without versions.';
COMMENT ON COLUMN packages.attrs IS 'All other fields of the index: source, multi_arch, essential, recommends, suggests, ...';

-- What was loaded, and from which state of the example: `make run` loads again when the state changes.
CREATE TABLE loads (
    loaded_at   timestamptz NOT NULL DEFAULT now(),
    source      text NOT NULL,
    packages    bigint NOT NULL,
    fingerprint text NOT NULL
);
COMMENT ON TABLE loads IS 'When the packages were loaded, from where, and by which state of the example.';
COMMENT ON COLUMN loads.loaded_at IS 'When.';
COMMENT ON COLUMN loads.source IS 'The command or file that the packages came from.';
COMMENT ON COLUMN loads.packages IS 'How many rows were loaded.';
COMMENT ON COLUMN loads.fingerprint IS 'Checksum of the extension''s script and the example''s files.';
