-- Planner support, everything between the table and the condition: joins, views, subqueries, set operations, partitions, inheritance, row security.
-- plans.twin compares a statement with its native twin: the plan with costs and estimates, and the rows.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_more CASCADE;
CREATE SCHEMA spec_more;
SET search_path = spec_more, apibase;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE items (id int PRIMARY KEY, name text, price int, qty int NOT NULL, shop int);
INSERT INTO items SELECT i, 'name' || i, CASE WHEN i % 10 > 0 THEN i END, i, i % 100 FROM generate_series(1, 10000) i;
CREATE INDEX items_price ON items (price);
CREATE INDEX items_qty ON items (qty);
CREATE INDEX items_shop ON items (shop);
CREATE TABLE shops (id int PRIMARY KEY, city text, rank int NOT NULL);
INSERT INTO shops SELECT i, 'city' || i, i FROM generate_series(0, 199) i;
VACUUM ANALYZE items;
VACUUM ANALYZE shops;

-- 1. Joins: each side's conditions reach its scan.
SELECT plans.twin($$SELECT * FROM items i JOIN shops s ON s.id = i.shop WHERE i @@ 'price >= 9990' AND s @@ 'rank < 95'$$, 'SELECT * FROM items i JOIN shops s ON s.id = i.shop WHERE i.price >= 9990 AND s.rank < 95') AS both_sides,
	plans.twin($$SELECT * FROM items i JOIN shops s ON s.id = i.shop AND s @@ 'rank < 5' AND i @@ 'price < 100'$$, 'SELECT * FROM items i JOIN shops s ON s.id = i.shop AND s.rank < 5 AND i.price < 100') AS inner_on,
	plans.twin($$SELECT a.id, b.id AS b FROM items a JOIN items b ON a.price = b.qty WHERE a @@ 'price between 5 and 9' AND b @@ 'not (qty > 7)'$$, 'SELECT a.id, b.id AS b FROM items a JOIN items b ON a.price = b.qty WHERE a.price BETWEEN 5 AND 9 AND b.qty <= 7') AS self_join,
	plans.twin($$SELECT s.id, x.id AS item FROM shops s, LATERAL (SELECT * FROM items i WHERE i.shop = s.id AND i @@ 'price >= 9000' ORDER BY id LIMIT 1) x WHERE s @@ 'id < 9'$$, 'SELECT s.id, x.id AS item FROM shops s, LATERAL (SELECT * FROM items i WHERE i.shop = s.id AND i.price >= 9000 ORDER BY id LIMIT 1) x WHERE s.id < 9') AS lateral_;
SELECT plans.twin($$SELECT * FROM items i WHERE EXISTS (SELECT 1 FROM shops s WHERE s.id = i.shop AND s @@ 'city like ''city1%''') AND i @@ 'price < 50'$$, $$SELECT * FROM items i WHERE EXISTS (SELECT 1 FROM shops s WHERE s.id = i.shop AND s.city LIKE 'city1%') AND i.price < 50$$) AS "exists",
	plans.twin($$SELECT * FROM shops s WHERE NOT EXISTS (SELECT 1 FROM items i WHERE s.id = i.shop AND i @@ 'price < 50')$$, 'SELECT * FROM shops s WHERE NOT EXISTS (SELECT 1 FROM items i WHERE s.id = i.shop AND i.price < 50)') AS not_exists,
	plans.twin($$SELECT * FROM shops s WHERE s.id IN (SELECT shop FROM items i WHERE i @@ 'price < 50')$$, 'SELECT * FROM shops s WHERE s.id IN (SELECT shop FROM items i WHERE i.price < 50)') AS in_;
-- Outer joins. The nullable side: a positive condition makes it an inner join; a negated one accepts the rows that the join made, also on a NOT NULL column.
SELECT plans.twin($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i @@ 'price >= 9990'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i.price >= 9990') AS positive,
	plans.has($$SELECT s.id, i.id FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i @@ 'price >= 9990'$$, 'Left|Right') AS still_outer,
	plans.twin($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i @@ 'not (qty < 9990)'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i.qty >= 9990 OR i.qty IS NULL') AS negated,
	plans.twin($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i @@ 'qty is null'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i.qty IS NULL') AS is_null;
SELECT count(*) AS made_by_the_join FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE i @@ 'qty is null and not (qty < 5) and not (price > 5)';
SELECT plans.differ($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE s @@ 'not (rank < 195)'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id WHERE rank >= 195') AS preserved_side,
	plans.differ($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id AND i @@ 'price >= 9990'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id AND i.price >= 9990') AS outer_on,
	plans.differ($$SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id AND s @@ 'not (rank < 50)'$$, 'SELECT s.id, i.id AS item FROM shops s LEFT JOIN items i ON i.shop = s.id AND s.rank >= 50') AS outer_on_preserved,
	plans.differ($$SELECT s.id, i.id AS item FROM (SELECT * FROM shops WHERE id > 90) s FULL JOIN (SELECT * FROM items WHERE id < 300) i ON i.shop = s.id WHERE i @@ 'not (qty < 250)' AND s @@ 'not (rank < 95)'$$,
		'SELECT s.id, i.id AS item FROM (SELECT * FROM shops WHERE id > 90) s FULL JOIN (SELECT * FROM items WHERE id < 300) i ON i.shop = s.id WHERE (qty < 250) IS NOT TRUE AND (rank < 95) IS NOT TRUE') AS full_join;
SELECT i @@ 'price >= 5000' AS r, i @@ 'not (qty < 5000)' AS n, i @@ 'qty is null' AS made, count(*) FROM shops s LEFT JOIN items i ON i.shop = s.id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
-- The same condition in WHERE and in the ON of the outer join: ON must see false, not NULL.
SELECT count(*) FROM shops s LEFT JOIN items i ON i.id = s.id AND NOT (i @@ 'price is null and qty is null or price > 500') WHERE i @@ 'price is null and qty is null or price > 500';
SELECT count(*) FROM shops s LEFT JOIN (items i LEFT JOIN shops t ON t.id = i.id AND NOT (i @@ 'price > 5')) ON i.id = s.id WHERE i @@ 'price > 5';
SELECT s.id, i @@ 'price >= 5' AS r FROM shops s LEFT JOIN (SELECT * FROM items i WHERE i @@ 'price >= 5') i ON i.id = s.id WHERE s @@ 'id in (3, 7, 20)' ORDER BY 1;

-- 2. Views.
CREATE VIEW plain AS SELECT id, name AS label, price, shop FROM items;
CREATE VIEW computed AS SELECT id, price * 2 AS twice, coalesce(price, 0) AS p, shop, 'fixed' AS kind FROM items;
CREATE VIEW totals AS SELECT shop, count(*) AS n, max(price) AS top FROM items GROUP BY shop;
CREATE VIEW nested AS SELECT p.*, s.city FROM plain p JOIN shops s ON s.id = p.shop;
CREATE VIEW ranked AS SELECT id, shop, row_number() OVER (PARTITION BY shop ORDER BY id) AS nr FROM items;
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM items WHERE qty > 50;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM items WHERE id <= 500;
CREATE INDEX kept_price ON kept (price);
ANALYZE kept;
SELECT v, spec, native, plans.twin(format('SELECT * FROM %s WHERE %1$s @@ %L', v, spec), format('SELECT * FROM %s WHERE %s', v, native)) AS plan
FROM (VALUES ('plain', 'price >= 9990 and label like ''name99%''', 'price >= 9990 AND label LIKE ''name99%'''), ('plain', 'not (price < 9990)', 'price >= 9990 OR price IS NULL'), ('computed', 'twice >= 19980', 'twice >= 19980'), ('computed', 'p > 9990 and kind = ''fixed''', 'p > 9990 AND kind = ''fixed'''),
	('computed', 'kind is null', 'kind IS NULL'), ('totals', 'shop = 5 and n > 50', 'shop = 5 AND n > ''50'''), ('totals', 'top < 9901 or n < 3', 'top < 9901 OR n < ''3'''), ('nested', 'city = ''city5'' and price < 500', 'city = ''city5'' AND price < 500'), ('ranked', 'shop = 5 and nr <= 2', 'shop = 5 AND nr <= ''2'''),
	('guarded', 'price = 77', 'price = 77'), ('guarded', 'name like ''name77%''', 'name LIKE ''name77%'''), ('guarded', 'price < 100 and name like ''name7%''', 'price < 100 AND name LIKE ''name7%'''), ('kept', 'price > 490', 'price > 490')) x(v, spec, native);
-- A comparison is leakproof and goes below the barrier; LIKE is not and stays above.
EXPLAIN (COSTS OFF) SELECT * FROM guarded WHERE guarded @@ 'price = 77 and name like ''name7%''';
-- Views on the nullable side of an outer join: what the view computes is NULL there, also a constant.
SELECT plans.twin($$SELECT s.id, v.id AS item FROM shops s LEFT JOIN plain v ON v.shop = s.id WHERE v @@ 'price >= 9990'$$, 'SELECT s.id, v.id AS item FROM shops s LEFT JOIN plain v ON v.shop = s.id WHERE v.price >= 9990') AS plain,
	plans.twin($$SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v @@ 'p >= 9990'$$, 'SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v.p >= 9990') AS computed,
	plans.differ($$SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v @@ 'twice >= 19980 and kind = ''fixed'''$$, $$SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v.twice >= 19980 AND v.kind = 'fixed'$$) AS fixed,
	plans.differ($$SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v @@ 'p is null or not (kind = ''fixed'')'$$, 'SELECT s.id, v.id AS item FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v.p IS NULL') AS negated;
SELECT v @@ 'p >= 0 and kind = ''fixed''' AS r, v @@ 'kind is null' AS made, count(*) FROM shops s LEFT JOIN computed v ON v.shop = s.id GROUP BY 1, 2 ORDER BY 1;
SELECT plans.opaque($$SELECT s.id, v @@ 'p >= 0 and kind = ''fixed''' FROM shops s LEFT JOIN computed v ON v.shop = s.id WHERE v @@ 'not (p < 5)'$$) AS opaque;

-- 3. Subqueries and the like.
CREATE FUNCTION cheap(below int) RETURNS TABLE (id int, price int) LANGUAGE sql STABLE AS 'SELECT id, price FROM items WHERE price < below';
CREATE FUNCTION slow_items() RETURNS SETOF items LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT * FROM items WHERE items.id < 100; END $$;
SELECT query, plans.twin(format(query, q || ' @@ ' || quote_literal(spec)), format(query, native)) AS plan
FROM (VALUES ('SELECT * FROM (SELECT id, price FROM items) s WHERE %s', 's', 'price >= 9990', 'price >= 9990'), ('SELECT * FROM (SELECT id, price + 1 AS p FROM items ORDER BY id LIMIT 50) s WHERE %s', 's', 'p > 5', 'p > 5'), ('WITH c AS (SELECT id, price FROM items) SELECT * FROM c WHERE %s', 'c', 'price >= 9990', 'price >= 9990'),
	('WITH c AS MATERIALIZED (SELECT id, price FROM items) SELECT * FROM c WHERE %s', 'c', 'price >= 9990', 'price >= 9990'), ('SELECT * FROM (VALUES (1, ''a''), (2, ''b'')) v(n, t) WHERE %s', 'v', 'n = 1 and t = ''a''', 'n = 1 AND t = ''a'''), ('SELECT * FROM (VALUES (1, ''a''), (2, ''b'')) v WHERE %s', 'v', 'column1 = 2', 'column1 = 2'),
	('SELECT * FROM json_to_recordset(''[{"a": 1}, {"a": 2}]'') AS r(a int, b text) WHERE %s', 'r', 'a = 2 and b is null', 'a = 2 AND b IS NULL'), ('SELECT * FROM cheap(20) WHERE %s', 'cheap', 'price > 15', 'price > 15'), ('SELECT * FROM slow_items() f WHERE %s', 'f', 'price > 95 and not (qty < 3)', 'price > 95 AND (qty >= 3 OR qty IS NULL)'),
	('SELECT * FROM unnest(ARRAY[ROW(1, ''x'', 2, 3, 4)::items]) u WHERE %s', 'u', 'price = 2', 'price = 2'), ('SELECT * FROM generate_series(1, 9) WITH ORDINALITY AS g(v, o) WHERE %s', 'g', 'v > 3 and o < 6', 'v > ''3'' AND o < ''6'''),
	('SELECT id, price FROM items WHERE %s', 'ROW(id, price)', 'f2 >= 9990', 'price >= 9990'), ('SELECT * FROM items i WHERE %s', 'ROW(i.id, i.price + 1, lower(i.name))', 'f2 = 78 and f3 = ''name77''', 'i.price + 1 = 78 AND lower(i.name) = ''name77'''),
	('SELECT * FROM (SELECT id FROM items UNION ALL SELECT rank FROM shops) u WHERE %s', 'u', 'id < 5', 'id < 5'), ('SELECT * FROM (SELECT shop FROM items UNION SELECT rank FROM shops) u WHERE %s', 'u', 'shop < 5', 'shop < 5'), ('SELECT * FROM (SELECT shop FROM items INTERSECT SELECT rank FROM shops) u WHERE %s', 'u', 'shop < 5', 'shop < 5'),
	('SELECT * FROM (SELECT DISTINCT shop, qty FROM items) u WHERE %s', 'u', 'shop = 5', 'shop = 5'), ('SELECT * FROM (SELECT shop, sum(qty) AS total FROM items GROUP BY shop) u WHERE %s', 'u', 'shop = 5 and total > 5', 'shop = 5 AND total > ''5'''), ('SELECT * FROM (SELECT i.*, s.city FROM items i JOIN shops s ON i.shop = s.id) u WHERE %s', 'u', 'city = ''city7'' and price < 300', 'city = ''city7'' AND price < 300'),
	('SELECT count(*) FROM items TABLESAMPLE SYSTEM (100) REPEATABLE (1) WHERE %s', 'items', 'price < 50', 'price < 50'), ('SELECT count(*) FROM ONLY items WHERE %s', 'items', 'price < 50', 'price < 50')) x(query, q, spec, native);
EXPLAIN (COSTS OFF) SELECT * FROM (items JOIN (SELECT id AS sid, city FROM shops) s ON sid = shop) AS j WHERE j @@ 'price = 77 and city like ''city%''';
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT id, price FROM items UNION ALL SELECT id, rank FROM shops) u WHERE u @@ 'id = 5';
-- Rows as values: a column that holds the row of a table; the merged columns of a join; recursion; several functions side by side.
SELECT plans.twin($$SELECT (r).id FROM (SELECT i AS r FROM items i) x WHERE r @@ 'price >= 9990'$$, 'SELECT (r).id FROM (SELECT i AS r FROM items i) x WHERE (r).price >= 9990') AS row_column,
	plans.twin($$SELECT (r).id FROM (SELECT i AS r FROM items i UNION ALL SELECT i FROM items i) x WHERE r @@ 'price >= 9990'$$, 'SELECT (r).id FROM (SELECT i AS r FROM items i UNION ALL SELECT i FROM items i) x WHERE (r).price >= 9990') AS row_column_of_union,
	plans.differ($$SELECT * FROM (items FULL JOIN shops USING (id)) AS j WHERE j @@ 'id in (0, 5, 9999) and not (rank > 5)'$$, 'SELECT * FROM (items FULL JOIN shops USING (id)) AS j WHERE j.id IN (0, 5, 9999) AND (rank > 5) IS NOT TRUE') AS merged,
	plans.twin($$SELECT * FROM ROWS FROM (generate_series(1, 5), generate_series(11, 13)) AS f(a, b) WHERE f @@ 'a > 2 and b is null'$$, 'SELECT * FROM ROWS FROM (generate_series(1, 5), generate_series(11, 13)) AS f(a, b) WHERE a > 2 AND b IS NULL') AS rows_from;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE r @@ 'n < 5') SELECT array_agg(n) FROM r WHERE r @@ 'n > 1';
SELECT s.id, l.ok, m.ok AS limited FROM shops s, LATERAL (SELECT s @@ 'rank > 1' AS ok) l, LATERAL (SELECT s @@ 'rank > 1' AS ok LIMIT 1) m WHERE s @@ 'id in (1, 2)' ORDER BY 1;
-- A foreign table: the conditions are native, so they are sent to the remote server.
CREATE EXTENSION postgres_fdw SCHEMA spec_more;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere;
CREATE FOREIGN TABLE far (id int, price int, name text) SERVER elsewhere;
SELECT regexp_replace(plans.whole($$SELECT id FROM far WHERE far @@ 'price >= 10 and not (id = 5) and name like ''a%'''$$), '.*Remote SQL: ', '') AS remote_sql;
-- A reference to an outer query stays opaque, and is right.
SELECT plans.opaque($$SELECT (SELECT count(*) FROM shops s WHERE i @@ 'price >= 9999' AND s.id < 3) FROM items i$$) AS opaque,
	plans.differ($$SELECT id, (SELECT count(*) FROM shops s WHERE i @@ 'price >= 9990' AND s.id < 3) AS n FROM items i$$, 'SELECT id, (SELECT count(*) FROM shops s WHERE i.price >= 9990 AND s.id < 3) FROM items i') AS differ,
	plans.differ($$SELECT * FROM items i WHERE EXISTS (SELECT 1 FROM shops s WHERE s.id = i.shop AND i @@ 'not (price < 9990)')$$, 'SELECT * FROM items i WHERE (price < 9990) IS NOT TRUE') AS pulled_up,
	plans.differ($$SELECT * FROM items i WHERE NOT EXISTS (SELECT 1 FROM shops s WHERE s.id = i.shop AND i @@ 'price < 9990')$$, 'SELECT * FROM items i WHERE (price < 9990) IS NOT TRUE') AS anti;
-- A row whose parts are volatile or subqueries is not repeated.
SELECT plans.opaque($$SELECT * FROM items WHERE ROW(id, random()) @@ 'f2 > 0.5 and f2 < 0.6'$$) AS volatile_row, plans.opaque($$SELECT * FROM items WHERE ROW(id, (SELECT max(rank) FROM shops)) @@ 'f1 = 3 and f2 = 199'$$) AS subquery_in_row, plans.opaque($$SELECT * FROM items WHERE ROW(id, price + 1) @@ 'f1 = 3'$$) AS plain_row;
SELECT id FROM items WHERE ROW(id, (SELECT max(rank) FROM shops)) @@ 'f1 = 3 and f2 = 199';
-- Whole rows that are grouped.
SELECT v @@ 'price > 5' AS r, count(*) FROM (SELECT id % 2 AS id, price % 9 AS price FROM items) v GROUP BY v HAVING v @@ 'id = 1 and price >= 5' ORDER BY 1, 2;
SELECT i @@ 'price > 3' AS r, i IS NULL AS total, count(*) FROM items i WHERE i @@ 'price > 3' AND id < 6 GROUP BY GROUPING SETS ((i), ()) ORDER BY 2, 1;
SELECT i @@ 'price > 3' AS r, count(*) FROM items i WHERE id < 6 GROUP BY ROLLUP (i @@ 'price > 3') ORDER BY 1, 2;
SELECT i @@ 'true' AS always, count(*) FROM items i WHERE id < 6 GROUP BY ROLLUP (i @@ 'true') ORDER BY 1;
SELECT DISTINCT ON (i @@ 'price > 3') i @@ 'price > 3' AS r, id FROM items i WHERE i @@ 'id between 2 and 6' ORDER BY i @@ 'price > 3', id DESC;
SELECT id, count(*) FILTER (WHERE i @@ 'price >= 9998') OVER () AS n FROM items i WHERE i @@ 'qty >= 9998' ORDER BY i @@ 'price is null' DESC, id LIMIT 2;
SELECT id FROM items i WHERE i @@ 'price in (5, 6)' ORDER BY id FOR UPDATE;

-- 4. Partitions: pruning, and columns at other places in a partition. Inheritance: NOT NULL of the parent is not trusted.
CREATE TABLE parts (id int, price int NOT NULL, name text) PARTITION BY RANGE (price);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 (gone date, name text, price int NOT NULL, gone2 int, id int);
ALTER TABLE parts_2 DROP COLUMN gone, DROP COLUMN gone2;
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (200) TO (300) PARTITION BY LIST (name);
CREATE TABLE parts_3x PARTITION OF parts_3 FOR VALUES IN ('x');
CREATE TABLE parts_3y PARTITION OF parts_3 DEFAULT;
INSERT INTO parts SELECT i, i, CASE WHEN i % 3 = 0 THEN 'x' WHEN i % 3 = 1 THEN 'y' END FROM generate_series(0, 299) i;
CREATE INDEX ON parts (price);
ANALYZE parts;
SELECT spec, native, plans.equal('parts', spec, native) AS plan, (SELECT string_agg(DISTINCT m[1], ' ' ORDER BY m[1]) FROM plans.lines(format('SELECT * FROM parts WHERE parts @@ %L', spec)) l, regexp_matches(l, ' on (\w+)') m) AS scanned
FROM (VALUES ('price = 150', 'price = 150'), ('price < 30', 'price < 30'), ('price in (5, 250)', 'price IN (5, 250)'), ('not (price < 190)', 'price >= 190'), ('price >= 250 and name = ''x''', 'price >= 250 AND name = ''x'''), ('price >= 200 and name <> ''x''', 'price >= 200 AND (name <> ''x'' OR name IS NULL)'),
	('price >= 200 and name is null', 'price >= 200 AND name IS NULL'), ('price > 1000', 'price > 1000'), ('price = 150 or price = 5', 'price = 150 OR price = 5'), ('name = ''y''', 'name = ''y''')) v(spec, native);
EXPLAIN (COSTS OFF) SELECT * FROM parts WHERE parts @@ 'price = 150 and name = ''x''';
SELECT id, name, parts_2 @@ 'price = 150 and name = ''x''' AS direct FROM parts_2 WHERE parts_2 @@ 'id = 150';
SELECT id, p @@ s AS opaque FROM parts p, (SELECT spec 'price = 150 and name = ''x''' AS s OFFSET 0) s WHERE p @@ 'id in (149, 150, 250)' ORDER BY 1;
CREATE TABLE mother (id int, qty int NOT NULL);
CREATE TABLE child (extra text) INHERITS (mother);
DO $$ BEGIN ALTER TABLE child ALTER qty DROP NOT NULL; INSERT INTO child VALUES (3, NULL, 'x'); EXCEPTION WHEN invalid_table_definition THEN NULL; END $$; -- 18 does not let a child drop it
INSERT INTO mother VALUES (1, 10); INSERT INTO child VALUES (2, 1, 'y');
SELECT plans.differ($$SELECT * FROM mother WHERE mother @@ 'not (qty < 5)'$$, 'SELECT * FROM mother WHERE (qty < 5) IS NOT TRUE') AS family, plans.differ($$SELECT * FROM child WHERE child @@ 'not (qty < 5)'$$, 'SELECT * FROM child WHERE (qty < 5) IS NOT TRUE') AS child,
	plans.differ($$SELECT * FROM mother WHERE mother @@ 'qty is null'$$, 'SELECT * FROM mother WHERE qty IS NULL') AS nulls;

-- 5. Row security: a leakproof comparison may go before the policy, everything else stays behind it.
CREATE ROLE regress_spec_reader;
GRANT USAGE ON SCHEMA spec_more, plans TO regress_spec_reader;
CREATE TABLE sec (id int, price int, name text, shop int);
INSERT INTO sec SELECT i, i, 'name' || i, i % 100 FROM generate_series(1, 10000) i;
CREATE INDEX sec_price ON sec (price);
CREATE INDEX sec_name ON sec (name text_pattern_ops);
ANALYZE sec;
ALTER TABLE sec ENABLE ROW LEVEL SECURITY;
CREATE POLICY lower_shops ON sec USING (shop < 50);
GRANT SELECT ON sec TO regress_spec_reader;
SET ROLE regress_spec_reader;
SELECT plans.twin($$SELECT * FROM sec WHERE sec @@ 'price = 77'$$, 'SELECT * FROM sec WHERE price = 77') AS comparison, plans.twin($$SELECT * FROM sec WHERE sec @@ 'name like ''name77%'''$$, $$SELECT * FROM sec WHERE name LIKE 'name77%'$$) AS pattern,
	plans.has($$SELECT * FROM sec WHERE sec @@ 'price = 7'$$, 'Index Cond') AS indexed, plans.has($$SELECT * FROM sec WHERE sec @@ 'name like ''name77%'''$$, 'Index Cond') AS not_leakproof;
EXPLAIN (COSTS OFF) SELECT * FROM sec WHERE sec @@ 'price = 7 and name like ''n%''';
SET plan_cache_mode = force_generic_plan;
PREPARE behind (spec) AS SELECT * FROM sec WHERE sec @@ $1;
EXPLAIN (COSTS OFF) EXECUTE behind ('price = 7');
RESET plan_cache_mode;
SELECT count(*) FROM sec WHERE sec @@ 'price between 1 and 200';
SELECT count(*) FROM sec WHERE sec @@ (SELECT spec 'price between 1 and 200' OFFSET 0);
RESET ROLE;
DROP OWNED BY regress_spec_reader;
DROP ROLE regress_spec_reader;

-- 6. Parallel scans: the conditions run in the workers, and so does what stays opaque.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM items WHERE items @@ 'name like ''%7''';
SELECT count(*) FROM items WHERE items @@ 'name like ''%7''';
SET plan_cache_mode = force_generic_plan;
PREPARE shared (spec) AS SELECT count(*) FROM items WHERE items @@ $1;
EXPLAIN (COSTS OFF) EXECUTE shared ('name like ''%7''');
EXECUTE shared ('name like ''%7''');
EXECUTE shared ('name like ''%77'' and not (price < 5000)');
RESET plan_cache_mode;

DROP SCHEMA spec_more, plans CASCADE;
