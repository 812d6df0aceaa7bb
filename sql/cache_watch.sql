-- cache_watch: which writes invalidate which tags, what can be watched, and by whom. Without shared memory
-- (expected/cache_watch_1.out) the triggers are made all the same, and do nothing.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS cache_watch CASCADE;
CREATE SCHEMA cache_watch;
SET search_path = cache_watch, apibase;
\getenv abs_srcdir PG_ABS_SRCDIR
\set errors :abs_srcdir '/sql/include/errors.sql'
\i :errors

-- One entry for each tag that could be concerned; lost() says which are gone, and puts them back.
CREATE TABLE tags (tag text PRIMARY KEY);
CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$
	SELECT count(apibase.cache_set('watch:' || tag, '1', '1 hour', ARRAY[tag])) FROM tags
$$;
CREATE FUNCTION lost() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	SELECT string_agg(replace(tag, 'cache_watch.', ''), ' ' ORDER BY tag COLLATE "C") INTO result
	FROM tags WHERE apibase.cache_get('watch:' || tag) IS NULL;
	PERFORM fill();
	RETURN coalesce(result, 'nothing');
END $$;
CREATE FUNCTION oid_tag(relation regclass) RETURNS text LANGUAGE sql AS $$ SELECT 'oid:' || relation::oid $$;

CREATE TABLE items (id int PRIMARY KEY, name text);
INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 20) i;
INSERT INTO tags VALUES ('cache_watch.items'), ('cache_watch.items:1'), ('cache_watch.items:2'), ('cache_watch.items:30'), ('cache_watch.other'), ('other');
SELECT fill();
INSERT INTO items VALUES (30, 'not watched');
SELECT lost();

-- a table as a whole: every kind of statement, and nothing else's tags
SELECT cache_watch('items');
SELECT lost() AS made_while_it_was_not_watched;
SELECT cache_watch('items');
SELECT lost() AS watched_already;
SELECT * FROM cache_watched WHERE relation = 'items'::regclass;
INSERT INTO items VALUES (31);
SELECT lost() AS inserted;
UPDATE items SET name = '' WHERE id = 1;
SELECT lost() AS updated;
DELETE FROM items WHERE id = 31;
SELECT lost() AS deleted;
COPY items FROM stdin;
32	copied
\.
SELECT lost() AS copied;
MERGE INTO items USING (VALUES (1)) v(n) ON id = n WHEN MATCHED THEN UPDATE SET name = 'merged';
SELECT lost() AS merged;
WITH w AS (UPDATE items SET name = '' WHERE id = 2 RETURNING id) SELECT * FROM w;
SELECT lost() AS with_update;
SELECT count(*) FROM items;
SELECT lost() AS only_read;
BEGIN;
TRUNCATE items;
ROLLBACK;
SELECT lost() AS rolled_back;
BEGIN;
SAVEPOINT a;
UPDATE items SET name = 'a';
ROLLBACK TO a;
COMMIT;
SELECT lost() AS rolled_back_to;
CREATE TABLE emptied AS SELECT * FROM items;
TRUNCATE items;
SELECT lost() AS truncated;
INSERT INTO items SELECT * FROM emptied;
SELECT lost() AS refilled;
SET session_replication_role = replica;
UPDATE items SET name = 'etl' WHERE id = 1;
RESET session_replication_role;
SELECT lost() AS replica_role;
-- the tag of cached functions
INSERT INTO tags VALUES (oid_tag('items')), (oid_tag('emptied'));
SELECT fill();
UPDATE items SET name = '' WHERE id = 1;
SELECT replace(replace(lost(), oid_tag('items'), 'its own'), oid_tag('emptied'), 'another''s') AS by_oid;
DELETE FROM tags WHERE tag LIKE 'oid:%';

-- by row
SELECT cache_watch('items', rows => true);
SELECT * FROM cache_watched WHERE relation = 'items'::regclass;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'items'::regclass AND tgname !~ '\d$' ORDER BY 1;
SELECT lost() AS made_before;
UPDATE items SET name = 'x' WHERE id = 1;
SELECT lost() AS updated_1;
UPDATE items SET id = 30 + 100 * id WHERE id = 30;
SELECT lost() AS renumbered_30;
UPDATE items SET id = 30 WHERE id = 3030;
SELECT lost() AS renumbered_to_30;
DELETE FROM items WHERE id = 2;
SELECT lost() AS deleted_2;
INSERT INTO items VALUES (2);
SELECT lost() AS inserted_2;
INSERT INTO items VALUES (2), (30) ON CONFLICT (id) DO UPDATE SET name = excluded.name;
SELECT lost() AS upserted_2_30;
UPDATE items SET name = 'x' WHERE id = 77;
SELECT lost() AS no_row;
COPY items FROM stdin;
33	copied
\.
SELECT lost() AS copied_33;
BEGIN;
UPDATE items SET name = 'x' WHERE id = 1;
SAVEPOINT a;
UPDATE items SET name = 'x' WHERE id = 2;
ROLLBACK TO a;
COMMIT;
SELECT lost() AS rolled_back_2;
CREATE TABLE kept AS SELECT * FROM items;
TRUNCATE items;
SELECT lost() AS truncated;
INSERT INTO items SELECT * FROM kept WHERE id <> 2;
SELECT lost() AS refilled_but_2;
INSERT INTO items SELECT * FROM kept WHERE id = 2;
-- more rows than are named one by one
SET apibase.cache_max_row_tags = 3;
SELECT lost() IS NOT NULL AS all_back;
UPDATE items SET name = 'x' WHERE id IN (1, 10, 11);
SELECT lost() AS three;
UPDATE items SET name = 'x' WHERE id IN (1, 10, 11, 12);
SELECT lost() AS four;
BEGIN;
UPDATE items SET name = 'x' WHERE id IN (10, 11);
UPDATE items SET name = 'x' WHERE id IN (12, 13);
COMMIT;
SELECT lost() AS two_and_two;
BEGIN;
UPDATE items SET name = 'x' WHERE id IN (10, 11);
COMMIT;
BEGIN;
UPDATE items SET name = 'x' WHERE id IN (12, 13);
COMMIT;
SELECT lost() AS two_apart;
SET apibase.cache_max_row_tags = 0;
UPDATE items SET name = 'x' WHERE id = 10;
SELECT lost() AS none_one_by_one;
RESET apibase.cache_max_row_tags;

-- keys of many columns, types and oddities
CREATE TABLE "Odd table" (b date, n numeric, "A" text, PRIMARY KEY ("A", b));
SELECT cache_watch('"Odd table"', rows => true);
INSERT INTO tags VALUES ('cache_watch."Odd table"'), ('cache_watch."Odd table":x,2020-01-02'), ('cache_watch."Odd table":,,2020-01-02'), ('cache_watch."Odd table":*');
SELECT fill();
INSERT INTO "Odd table" VALUES ('2020-01-02', 1, 'x');
SELECT lost();
INSERT INTO "Odd table" VALUES ('2020-01-02', 1, ',');
SELECT lost();
INSERT INTO "Odd table" VALUES ('2020-01-02', 1, repeat('long', 1000));
SELECT lost() AS too_long_for_a_tag;
ALTER TABLE "Odd table" RENAME TO odd;
INSERT INTO tags VALUES ('cache_watch.odd'), ('cache_watch.odd:y,2020-01-02'), ('cache_watch.odd:y');
SELECT fill();
UPDATE odd SET "A" = 'y' WHERE "A" = 'x';
SELECT lost() AS renamed;
ALTER TABLE odd DROP CONSTRAINT "Odd table_pkey", ADD PRIMARY KEY ("A");
SELECT fill();
DELETE FROM odd WHERE "A" = 'y';
SELECT lost() AS another_key;
ALTER TABLE odd DROP CONSTRAINT odd_pkey;
SELECT fill();
INSERT INTO odd VALUES ('2020-01-02', 1, 'new');
SELECT lost() AS no_key_any_more;
INSERT INTO tags VALUES ('cache_watch_2.odd');
SELECT fill();
ALTER SCHEMA cache_watch RENAME TO cache_watch_2;
SET search_path = cache_watch_2, apibase;
SELECT lost() AS everything;
DELETE FROM odd;
SELECT lost() AS schema_renamed;
ALTER SCHEMA cache_watch_2 RENAME TO cache_watch;
SET search_path = cache_watch, apibase;
SELECT fill();
DELETE FROM tags WHERE tag ~ 'odd|Odd';

-- a row's tag has one form, whatever the settings of who writes it
CREATE TYPE colour AS ENUM ('red');
CREATE DOMAIN day AS date;
CREATE TABLE forms (t timestamptz, i interval, f float8, b bytea, d day, r regclass, m money, c colour, PRIMARY KEY (t, i, f, b, d, r, m, c));
SELECT cache_watch('forms', rows => true);
INSERT INTO tags VALUES ('cache_watch.forms:2020-01-02 03:04:05+00,1 day 02:00:00,0.1,\x01,2020-01-02,cache_watch.items,$1.00,red');
SELECT fill();
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -3;
SET bytea_output = 'escape';
SET quote_all_identifiers = on;
INSERT INTO forms VALUES ('2020-01-02 03:04:05+00', '1 day 2 hours', 0.1, '\x01', '2020-01-02', 'items', 1, 'red');
SHOW timezone;
SHOW datestyle;
SHOW search_path;
SELECT t, d, r FROM forms;
RESET timezone;
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;
RESET bytea_output;
RESET quote_all_identifiers;
SELECT lost();
DELETE FROM tags WHERE tag ~ 'forms';

-- colons in names
CREATE TABLE "a:b" (id int PRIMARY KEY);
SELECT cache_watch('"a:b"', rows => true);
INSERT INTO tags VALUES ('cache_watch."a:b":1'), ('cache_watch."a:b":2'), ('cache_watch."a:b"'), ('cache_watch."a"');
SELECT fill();
INSERT INTO "a:b" VALUES (1);
SELECT lost() AS row_1;
TRUNCATE "a:b";
SELECT lost() AS all_rows;
DELETE FROM tags WHERE tag ~ '"a';

-- partitions: whichever table a statement names
CREATE TABLE parted (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);
CREATE TABLE parted_2_1 PARTITION OF parted_2 DEFAULT;
SELECT cache_watch('parted');
SELECT * FROM cache_watched WHERE relation::text LIKE '%parted%' ORDER BY relation::text;
DELETE FROM tags;
INSERT INTO tags SELECT 'cache_watch.' || t FROM unnest('{parted,parted_1,parted_2,parted_2_1,parted_3,parted:1,parted_1:1,items}'::text[]) t;
SELECT fill();
INSERT INTO parted VALUES (1);
SELECT lost() AS root;
INSERT INTO parted_2 VALUES (101);
SELECT lost() AS middle;
INSERT INTO parted_1 VALUES (2);
SELECT lost() AS leaf;
TRUNCATE parted_2;
SELECT lost() AS truncated;
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (200) TO (300);
SELECT lost() AS made;
INSERT INTO parted VALUES (201);
SELECT lost() AS new_partition;
INSERT INTO parted_3 VALUES (202);
SELECT lost() AS named_but_not_watched;
SELECT cache_watch('parted');
INSERT INTO parted_3 VALUES (203);
SELECT lost() AS now_watched;
SELECT cache_watch('parted', rows => true);
SELECT * FROM cache_watched WHERE relation::text LIKE '%parted%' ORDER BY relation::text;
SELECT lost() IS NOT NULL AS all_back;
UPDATE parted SET t = 'x' WHERE id = 1;
SELECT lost() AS row_by_root;
UPDATE parted_1 SET t = 'x' WHERE id = 2;
SELECT lost() AS other_row_by_leaf;
UPDATE parted_1 SET t = 'x' WHERE id = 1;
SELECT lost() AS row_by_leaf;
-- a partition that leaves takes its triggers with it
ALTER TABLE parted DETACH PARTITION parted_3;
SELECT lost() AS detached;
INSERT INTO parted_3 VALUES (1);
SELECT lost() AS alone;
SELECT cache_unwatch('parted') AS was_watched, cache_unwatch('parted') AS again;
SELECT * FROM cache_watched WHERE relation::text LIKE '%parted%' ORDER BY relation::text;
SELECT cache_unwatch('parted_3');
-- a watched table can become a partition of a watched one
SELECT cache_watch('parted_3', rows => true), cache_watch('parted', rows => true);
ALTER TABLE parted_3 DROP CONSTRAINT parted_3_pkey;
DELETE FROM parted_3 WHERE id < 200;
ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES FROM (200) TO (300);
SELECT cache_watch('parted', rows => true), cache_unwatch('parted');

-- inheritance
CREATE TABLE plants (id int PRIMARY KEY, name text);
CREATE TABLE gardens (place text);
CREATE TABLE trees (height int) INHERITS (plants, gardens);
CREATE TABLE oaks (acorns int, PRIMARY KEY (name)) INHERITS (trees);
SELECT cache_watch('plants', rows => true);
SELECT * FROM cache_watched WHERE relation::text ~ 'plants|gardens|trees|oaks' ORDER BY relation::text;
DELETE FROM tags;
INSERT INTO tags SELECT 'cache_watch.' || t FROM unnest('{plants,gardens,trees,oaks,plants:1,plants:2,gardens:1,trees:1,oaks:1,oaks:old}'::text[]) t;
SELECT fill();
INSERT INTO plants VALUES (1);
SELECT lost() AS parent;
INSERT INTO oaks VALUES (1, 'old');
SELECT lost() AS grandchild;
UPDATE plants SET id = 2 WHERE name = 'old';
SELECT lost() AS by_parent;
SELECT cache_unwatch('plants');

-- what cannot be watched
CREATE VIEW a_view AS SELECT * FROM items;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM items;
CREATE SEQUENCE a_sequence;
CREATE TEMP TABLE a_temporary (id int PRIMARY KEY);
CREATE TABLE no_key (id int UNIQUE);
SELECT errors.of($$ SELECT apibase.cache_watch('a_view') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('a_matview') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('a_sequence') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('a_temporary') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('pg_class') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('items_pkey') $$);
SELECT errors.of($$ SELECT apibase.cache_watch('no_key', rows => true) $$);
SELECT errors.of($$ SELECT apibase.cache_watch(NULL) $$);
SELECT errors.of($$ SELECT apibase.cache_watch(0) $$);
SELECT errors.of($$ SELECT apibase.cache_unwatch(0) $$);
SELECT errors.of($$ CREATE TRIGGER t BEFORE INSERT ON cache_watch.no_key FOR EACH ROW EXECUTE FUNCTION apibase.cache_watch_trigger();
	INSERT INTO cache_watch.no_key VALUES (1) $$);
SELECT errors.of($$ SELECT apibase.cache_invalidate_relation(0) $$);
-- what fires no trigger can be said
INSERT INTO tags VALUES ('cache_watch.a_matview'), ('cache_watch.a_matview:1'), ('cache_watch.items:1') ON CONFLICT DO NOTHING;
SELECT fill();
SELECT cache_invalidate_relation('a_matview');
SELECT lost() AS a_matview;
SELECT cache_invalidate_relation('items');
SELECT lost() AS items;
-- unlogged and foreign tables can, foreign ones not by row
CREATE UNLOGGED TABLE an_unlogged (id int PRIMARY KEY);
SELECT cache_watch('an_unlogged', rows => true);
CREATE FOREIGN DATA WRAPPER cache_watch_fdw;
CREATE SERVER cache_watch_server FOREIGN DATA WRAPPER cache_watch_fdw;
CREATE FOREIGN TABLE a_foreign (id int) SERVER cache_watch_server;
SELECT cache_watch('a_foreign');
SELECT errors.of($$ SELECT apibase.cache_watch('a_foreign', true) $$);
CREATE TABLE mixed (id int, t text) PARTITION BY LIST (id);
CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES IN (1);
CREATE FOREIGN TABLE mixed_2 PARTITION OF mixed FOR VALUES IN (2) SERVER cache_watch_server;
SELECT cache_watch('mixed');
SELECT relation, rows FROM cache_watched WHERE relation::text ~ 'foreign|mixed|unlogged' ORDER BY relation::text;
SELECT cache_unwatch('mixed');

-- doing it again changes nothing; other triggers stay
CREATE TABLE again (id int PRIMARY KEY);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER mine AFTER INSERT ON again FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT cache_watch('again');
CREATE TABLE before AS SELECT oid FROM pg_trigger WHERE tgrelid = 'again'::regclass;
SELECT cache_watch('again');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'again'::regclass AND oid IN (SELECT oid FROM before);
ALTER TABLE again DISABLE TRIGGER ALL;
SELECT count(*) FROM cache_watched WHERE relation = 'again'::regclass;
SELECT cache_watch('again');
SELECT count(*) FROM cache_watched WHERE relation = 'again'::regclass;
ALTER TABLE again DISABLE TRIGGER ALL;
ALTER TABLE again ENABLE TRIGGER ALL;
SELECT count(*) AS not_in_every_session FROM cache_watched WHERE relation = 'again'::regclass;
SET client_min_messages = notice;
SELECT cache_fetch('again', 'SELECT count(*) FROM cache_watch.again');
SET client_min_messages = warning;
SELECT cache_watch('again');
SELECT count(*) FROM cache_watched WHERE relation = 'again'::regclass;
SELECT cache_watch('again', rows => NULL);
SELECT rows FROM cache_watched WHERE relation = 'again'::regclass;
SELECT cache_unwatch('again');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'again'::regclass;

-- DDL: what depends on a relation by a tag or by what it has read, on what the relation belongs to, on a name
CREATE TABLE base (id int PRIMARY KEY, v int);
CREATE TABLE heir (w int) INHERITS (base);
CREATE TABLE aside (id int PRIMARY KEY);
SELECT cache_watch('base'), cache_watch('aside');
CREATE VIEW seen AS SELECT id FROM base;
CREATE MATERIALIZED VIEW held AS SELECT id FROM aside;
CREATE UNIQUE INDEX ON held (id);
DELETE FROM tags;
INSERT INTO tags SELECT 'cache_watch.' || t FROM unnest('{base,base:1,heir,aside,seen,held,renamed}'::text[]) t;
-- the tags that were concerned, as lost(); then the relations by whose OID a value was computed
CREATE FUNCTION changed() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := lost() || ' |';
	relation text;
BEGIN
	FOREACH relation IN ARRAY '{aside,base,heir,held,seen}'::text[] LOOP
		IF NOT apibase.cache_exists('computed:' || relation) THEN
			result := result || ' ' || relation;
			IF to_regclass('cache_watch.' || relation) IS NOT NULL THEN
				PERFORM apibase.cache_fetch('computed:' || relation, format('SELECT count(*) FROM cache_watch.%I', relation));
			END IF;
		END IF;
	END LOOP;
	RETURN result;
END $$;
SET client_min_messages = notice;
SELECT changed() AS filled;
SET client_min_messages = warning;
SELECT changed() AS before;
ALTER TABLE base ALTER v TYPE text USING 'x';
SELECT changed() AS rewritten;
ALTER TABLE base ENABLE ROW LEVEL SECURITY;
SELECT changed() AS row_security;
ALTER TABLE base DISABLE ROW LEVEL SECURITY;
SELECT changed() AS no_row_security;
CREATE POLICY mine ON aside USING (true);
SELECT changed() AS policy_made;
ALTER POLICY mine ON aside USING (false);
SELECT changed() AS policy_altered;
DROP POLICY mine ON aside;
SELECT changed() AS policy_dropped;
CREATE RULE nowhere AS ON INSERT TO aside DO INSTEAD NOTHING;
SELECT changed() AS rule_made;
DROP RULE nowhere ON aside;
SELECT changed() AS rule_dropped;
CREATE OR REPLACE VIEW seen AS SELECT id + 1 AS id FROM base;
SELECT changed() AS view_replaced;
REFRESH MATERIALIZED VIEW held;
SELECT changed() AS refreshed;
REFRESH MATERIALIZED VIEW CONCURRENTLY held;
SELECT changed() AS refreshed_concurrently;
CREATE TABLE second () INHERITS (base);
SELECT changed() AS inherited;
CREATE TABLE free (LIKE base);
CREATE TEMP TABLE passing (id int);
ALTER TABLE passing ADD n int;
DROP TABLE passing;
SELECT changed() AS nothing_to_do_with_it;
ALTER TABLE second NO INHERIT base;
SELECT changed() AS no_heir;
ALTER TABLE second INHERIT base;
SELECT changed() AS heir_again;
DROP TABLE second;
SELECT changed() AS heir_dropped;
ALTER TABLE aside RENAME TO renamed;
SELECT changed() AS renamed;
ALTER TABLE renamed RENAME TO aside;
SELECT changed() AS renamed_back;
CREATE SCHEMA cache_watch_2;
ALTER TABLE aside SET SCHEMA cache_watch_2;
SELECT changed() AS moved;
ALTER TABLE cache_watch_2.aside SET SCHEMA cache_watch;
SELECT changed() AS moved_back;
DROP SCHEMA cache_watch_2;
BEGIN;
ALTER TABLE aside ADD n int;
DROP TABLE base CASCADE;
ROLLBACK;
SELECT changed() AS rolled_back;
ALTER TABLE aside DISABLE TRIGGER ALL;
SELECT changed() AS triggers_disabled;
DROP TRIGGER apibase_cache_watch ON aside;
SELECT changed() AS trigger_dropped;
SET session_replication_role = replica;
ALTER TABLE aside ADD o int;
RESET session_replication_role;
SELECT changed() AS replica_role;
DROP MATERIALIZED VIEW held;
SELECT changed() AS matview_dropped;
DROP TABLE base CASCADE;
SELECT changed() AS dropped;
SELECT errors.of($$ SELECT apibase_internal.cache_ddl_end() $$);

-- by its owner, and nobody else
\set VERBOSITY terse
CREATE ROLE cache_watch_owner;
CREATE ROLE cache_watch_other;
GRANT USAGE, CREATE ON SCHEMA cache_watch TO cache_watch_owner, cache_watch_other;
SET ROLE cache_watch_owner;
CREATE TABLE mine (id int PRIMARY KEY);
SELECT cache_watch('mine', rows => true);
GRANT ALL ON mine TO cache_watch_other;
SET ROLE cache_watch_other;
SELECT cache_unwatch('mine');
SELECT cache_watch('mine');
INSERT INTO mine VALUES (1);
SELECT relation, rows FROM cache_watched WHERE relation = 'mine'::regclass;
SELECT cache_invalidate_relation('mine');
SELECT cache_invalidate_relation('items');
SET ROLE cache_watch_owner;
SELECT cache_unwatch('mine');
-- DDL is anybody's, whatever their settings
RESET ROLE;
TRUNCATE tags;
INSERT INTO tags VALUES ('cache_watch.mine'), ('cache_watch.mine:1'), ('cache_watch.theirs');
SELECT fill();
SET ROLE cache_watch_owner;
ALTER TABLE mine ADD n int;
RESET ROLE;
SELECT lost() AS altered;
SET ROLE cache_watch_owner;
SET quote_all_identifiers = on;
ALTER TABLE mine RENAME TO theirs;
RESET quote_all_identifiers;
RESET ROLE;
SELECT lost() AS renamed;
SET ROLE cache_watch_owner;
SET search_path = '';
ALTER TABLE cache_watch.theirs RENAME TO mine;
SET search_path = cache_watch, apibase;
RESET ROLE;
-- a changed search_path does not change what is called
SET search_path = '';
SELECT apibase.cache_watch('cache_watch.mine'), apibase.cache_unwatch('cache_watch.mine');

DROP SCHEMA cache_watch CASCADE;
DROP FOREIGN DATA WRAPPER cache_watch_fdw CASCADE;
DROP ROLE cache_watch_owner, cache_watch_other;
