-- api.sql: what PostgREST serves: the schema api, read by the role web_anon. Run by the owner of the database after
-- indexes.sql. Comments become the OpenAPI description: their first line is the summary.
--
-- (order_by is not called "order": that is a parameter of PostgREST itself.)
--
-- An argument of type apibase.spec takes both languages: `filter=section = 'games'` in a query string, and the JSON form
-- `{"field": "section", "op": "eq", "value": "games"}` in either a query string or a body.

CREATE SCHEMA api;
COMMENT ON SCHEMA api IS 'Catalogue of Debian packages
Filters over the packages that the package index of this machine offers.';
GRANT USAGE ON SCHEMA api TO web_anon;

-- With the rights and row policies of who asks, not of the view's owner.
CREATE VIEW api.packages WITH (security_invoker = true) AS
    SELECT name, version, architecture, section, priority, installed_size, download_size, maintainer, homepage,
           description, tags, depends, attrs
    FROM public.packages;
COMMENT ON VIEW api.packages IS 'Packages, one a name, version and architecture.';
COMMENT ON COLUMN api.packages.name IS 'Name of the package.';
COMMENT ON COLUMN api.packages.installed_size IS 'Bytes on disk once installed.';
COMMENT ON COLUMN api.packages.download_size IS 'Bytes of the package file.';
COMMENT ON COLUMN api.packages.tags IS 'Debtags: role::program, implemented-in::c, ...';
COMMENT ON COLUMN api.packages.depends IS 'Names of the packages that it needs.';
COMMENT ON COLUMN api.packages.attrs IS 'All other fields of the index.';
GRANT SELECT ON api.packages TO web_anon;

-- find() plans with the specification as a constant, so the indexes are used although every value here is a parameter. It is
-- given the table, whose primary key makes every order total; with the rights and row policies of who asks, too.
CREATE FUNCTION api.search(filter apibase.spec DEFAULT NULL, order_by text DEFAULT 'name', page_size integer DEFAULT 20,
                           after jsonb DEFAULT NULL)
    RETURNS SETOF api.packages
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT f.* FROM apibase.find(NULL::public.packages, filter, order_by, least(page_size, 100), NULL, after) f;
    END;
COMMENT ON FUNCTION api.search IS 'Packages that satisfy a specification, a page at a time
Give the last row of a page as after to get the next one. A page has at most 100 rows.';

CREATE FUNCTION api.count(filter apibase.spec DEFAULT NULL) RETURNS bigint
    LANGUAGE sql STABLE
    RETURN apibase.find_count(NULL::public.packages, filter);
COMMENT ON FUNCTION api.count IS 'How many packages satisfy a specification';

CREATE FUNCTION api.check(filter apibase.spec)
    RETURNS TABLE (pointer text, field text, sqlstate text, message text, hint text)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT c.pointer, c.field, c.sqlstate, c.message, c.hint FROM apibase.spec_check('api.packages', filter) c;
    END;
COMMENT ON FUNCTION api.check IS 'What is wrong in a specification
No row when it fits. Each problem has a JSON Pointer to the clause.';

CREATE FUNCTION api.explain(package text, filter apibase.spec)
    RETURNS TABLE (version text, architecture text, pointer text, clause text, field text, actual jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT p.version, p.architecture, e.pointer, e.clause, e.field, e.actual
        FROM api.packages p, apibase.spec_explain(p, filter) e WHERE p.name = package;
    END;
COMMENT ON FUNCTION api.explain IS 'Why a package does not satisfy a specification
One row a clause that fails.';

-- These two read much for a small answer, and the table changes rarely.
CREATE FUNCTION api.details(package text) RETURNS jsonb
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT jsonb_build_object('name', package, 'versions', jsonb_agg(to_jsonb(p) - 'name' ORDER BY p.version, p.architecture),
                                  'needed_by', (SELECT count(DISTINCT d.name) FROM api.packages d WHERE d.depends @> ARRAY[package]))
        FROM api.packages p WHERE p.name = package
        HAVING count(*) > 0;
    END;
COMMENT ON FUNCTION api.details IS 'All about a package: its versions, and how many packages need it
Null where there is none of that name.';

CREATE FUNCTION api.sections()
    RETURNS TABLE (section text, packages bigint, installed_size numeric, largest text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT p.section, count(*), sum(p.installed_size), (array_agg(p.name ORDER BY p.installed_size DESC NULLS LAST, p.name))[1]
        FROM api.packages p GROUP BY p.section ORDER BY p.section;
    END;
COMMENT ON FUNCTION api.sections IS 'Statistics of the sections: how many packages, how large, the largest';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO web_anon;

-- So their results are kept in the cache: for each role, since a row policy makes them different, and until the table changes.
-- Any write to it, by anybody, is noticed. That a package does not exist is kept for a minute only.
SELECT apibase.cache_watch('public.packages') \g /dev/null
SELECT apibase.cached('api.details(text)', ttl => '1 hour', negative_ttl => '1 min') \g /dev/null
SELECT apibase.cached('api.sections()', ttl => '1 day') \g /dev/null
