-- app.sql: what can be done in the catalogue: two commands, a query, an event and who hears of it. Run by the owner of the
-- database after indexes.sql. api.sql has what may be read over HTTP; this is what a program calls.

CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'Commands, queries and events of the catalogue.';

CREATE TABLE app.watchlist (
    watcher text NOT NULL,
    package text NOT NULL,
    note    text,
    PRIMARY KEY (watcher, package)
);
COMMENT ON TABLE app.watchlist IS 'Who watches which package.';

CREATE TABLE app.releases (
    package      text NOT NULL,
    version      text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package, version)
);
COMMENT ON TABLE app.releases IS 'Versions that were published here.';

CREATE TABLE app.notifications (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    watcher text NOT NULL,
    package text NOT NULL,
    version text NOT NULL
);
COMMENT ON TABLE app.notifications IS 'What watchers have still to be told.';

-- ---- messages: what callers send is checked against these types, field by field

CREATE DOMAIN app.email AS text NOT NULL CONSTRAINT is_an_address CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN app.package_name AS text NOT NULL CONSTRAINT is_a_name CHECK (VALUE ~ '^[a-z0-9][a-z0-9+.-]+$');
CREATE DOMAIN app.package_version AS text NOT NULL CONSTRAINT is_a_version CHECK (VALUE ~ '^[0-9][0-9A-Za-z.+:~-]*$');

CREATE TYPE app.add_to_watchlist AS (watcher app.email, package app.package_name, note text);
COMMENT ON TYPE app.add_to_watchlist IS 'Command: somebody wants to hear of new versions of a package.';
CREATE TYPE app.publish_release AS (package app.package_name, version app.package_version);
COMMENT ON TYPE app.publish_release IS 'Command: a version of a package is there.';
CREATE TYPE app.watched_packages AS (watcher app.email);
COMMENT ON TYPE app.watched_packages IS 'Query: what somebody watches.';
CREATE TYPE app.release_published AS (package text, version text);
COMMENT ON TYPE app.release_published IS 'Event: a version of a package is there.';

-- ---- handlers

CREATE FUNCTION app.require_package(package text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.packages p WHERE p.name = require_package.package) THEN
        PERFORM apibase.raise_not_found('package', package);
    END IF;
END $$;

CREATE FUNCTION app.handle_add_to_watchlist(command app.add_to_watchlist) RETURNS app.watchlist LANGUAGE plpgsql AS $$
DECLARE
    added app.watchlist;
BEGIN
    PERFORM app.require_package(command.package);
    INSERT INTO app.watchlist VALUES (command.watcher, command.package, command.note) RETURNING * INTO added;
    RETURN added;
END $$;

CREATE FUNCTION app.handle_publish_release(command app.publish_release) RETURNS app.releases LANGUAGE plpgsql AS $$
DECLARE
    published app.releases;
BEGIN
    PERFORM app.require_package(command.package);
    INSERT INTO app.releases VALUES (command.package, command.version) RETURNING * INTO published;
    PERFORM apibase.emit(ROW(published.package, published.version)::app.release_published);
    RETURN published;
END $$;

CREATE FUNCTION app.handle_watched_packages(query app.watched_packages) RETURNS SETOF app.watchlist LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT w.* FROM app.watchlist w WHERE w.watcher = query.watcher ORDER BY w.package;
END;

CREATE FUNCTION app.notify_watchers(event app.release_published) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO app.notifications (watcher, package, version)
        SELECT w.watcher, event.package, event.version FROM app.watchlist w WHERE w.package = event.package;
END;

-- ---- what handles what

SELECT apibase.register_command('app.add_to_watchlist', 'app.handle_add_to_watchlist(app.add_to_watchlist)') \g /dev/null
SELECT apibase.register_command('app.publish_release', 'app.handle_publish_release(app.publish_release)') \g /dev/null
SELECT apibase.register_query('app.watched_packages', 'app.handle_watched_packages(app.watched_packages)', cache_ttl => '1 hour') \g /dev/null
SELECT apibase.cache_watch('app.watchlist') \g /dev/null
SELECT apibase.register_event('app.release_published', aggregate_type => 'package', aggregate_id => 'package') \g /dev/null
SELECT apibase.subscribe('app.release_published'::regtype, 'app.notify_watchers(app.release_published)') \g /dev/null

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
