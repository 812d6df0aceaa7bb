-- spec_stats: the counters in shared memory. Without that (expected/spec_stats_1.out) they are refused, and nothing else is.
SET client_min_messages = warning;
SELECT apibase.preloaded() AS preloaded \gset
\if :preloaded
\else
SELECT * FROM apibase.spec_stats;
SELECT apibase.spec_stats_reset();
SELECT apibase.is_satisfied_by(ROW(1), 'f1 = 1');
\quit
\endif
DROP SCHEMA IF EXISTS spec_stats CASCADE;
CREATE SCHEMA spec_stats;
SET search_path = spec_stats, apibase;
CREATE TABLE items (id int PRIMARY KEY, price int);
INSERT INTO items SELECT i, i FROM generate_series(1, 100) i;
ANALYZE items;
-- the counters since the last call
CREATE TABLE seen AS SELECT * FROM spec_stats;
CREATE FUNCTION news() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	SELECT format('inlined %s, opaque %s, calls %s, hits %s, evictions %s', n.inlined - s.inlined, n.opaque - s.opaque, n.find_calls - s.find_calls,
		n.find_cache_hits - s.find_cache_hits, n.find_cache_evictions - s.find_cache_evictions) INTO line FROM spec_stats n, seen s;
	UPDATE seen SET (inlined, opaque, find_calls, find_cache_hits, find_cache_evictions) = (SELECT * FROM spec_stats);
	RETURN line;
END $$;
SELECT news();

SELECT count(*) FROM items WHERE items @@ 'price > 50' OR items @@ 'price < 3';
SELECT news();
SET plan_cache_mode = force_generic_plan;
PREPARE opaque(spec) AS SELECT count(*) FROM items WHERE items @@ $1;
EXECUTE opaque('price > 50');
SELECT news();
EXECUTE opaque('price > 60');
SELECT news();
RESET plan_cache_mode;

-- exactly the least recently used plan goes
CREATE FUNCTION run(n int) RETURNS bigint LANGUAGE sql AS $$ SELECT find_count(NULL::items, apibase.spec('price > $1', n)) $$;
SET apibase.find_cache_size = 3;
SELECT run(1), run(2), run(3);
SELECT news() AS three_new;
SELECT run(1), run(2), run(3);
SELECT news() AS three_hits;
SELECT run(1), run(4), run(1), run(3);
SELECT news() AS two_made_room;
SELECT run(2);
SELECT news() AS two_is_new;
-- what makes another plan, and what does not
SET apibase.find_cache_size = 100;
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2);
SELECT count(*) FROM find(NULL::items, 'price>1', 'price', 2);
SELECT news() AS the_same;
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 3);
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price desc', 2);
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, 0);
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, after => '{"price": 4, "id": 4}');
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, after => '{"price": null, "id": 4}');
SELECT news() AS five_others;
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, 7);
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, after => '{"price": 9, "id": 9}');
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2, after => '{"id": 9, "price": null}');
SELECT news() AS three_hits;
SET search_path = spec_stats, apibase, public;
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2);
SELECT news() AS another_path;
SET search_path = spec_stats, apibase;
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2);
SELECT news() AS the_path_before;
-- what changes the relation makes its plans anew, without an eviction
CREATE INDEX ON items (price);
SELECT count(*) FROM find(NULL::items, 'price > 1', 'price', 2);
SELECT news() AS new_index;
SET apibase.find_cache_size = 0;
SELECT run(1);
SELECT news() LIKE '%calls 1, hits 0,%' AS no_cache;
RESET apibase.find_cache_size;
-- calls that fail are calls
DO $$ BEGIN PERFORM find_count(NULL::items, 'nope = 1'); EXCEPTION WHEN undefined_column THEN NULL; END $$;
SELECT news() AS failed;

-- everybody reads them; who may reset them is granted
CREATE ROLE spec_stats_user;
SET ROLE spec_stats_user;
SELECT count(*) FROM apibase.spec_stats;
SELECT apibase.spec_stats_reset();
RESET ROLE;
DROP ROLE spec_stats_user;
BEGIN READ ONLY;
SELECT spec_stats_reset();
COMMIT;
SELECT * FROM spec_stats;
DROP SCHEMA spec_stats CASCADE;
