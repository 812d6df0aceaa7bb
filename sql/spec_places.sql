-- One predicate, many places: WHERE of every statement, CHECK, partial index, row policy, trigger WHEN, rules, views with check option, MERGE, COPY.
\getenv abs_srcdir PG_ABS_SRCDIR
\set plans :abs_srcdir '/sql/include/plans.sql'
\set ECHO none
\i :plans
\set ECHO all
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_places CASCADE;
CREATE SCHEMA spec_places;
SET search_path = spec_places, apibase;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE items (id int PRIMARY KEY, name text COLLATE "C", price int, qty int NOT NULL, code int, active bool);
INSERT INTO items SELECT i, 'name' || i, CASE WHEN i % 10 > 0 THEN i END, i, i % 2000, i % 100 = 0 FROM generate_series(1, 10000) i;
CREATE INDEX items_price ON items (price);
VACUUM ANALYZE items;

-- 1. Statements that write: the same plans as native ones; RETURNING sees the new row.
SELECT plans.same($$UPDATE items SET qty = qty WHERE items @@ 'price >= 9990'$$, 'UPDATE items SET qty = qty WHERE price >= 9990') AS update, plans.same($$DELETE FROM items WHERE items @@ 'price >= 9990'$$, 'DELETE FROM items WHERE price >= 9990') AS delete,
	plans.same($$DELETE FROM items i USING (VALUES (5), (6)) v(n) WHERE i.id = v.n AND i @@ 'price = 5'$$, 'DELETE FROM items i USING (VALUES (5), (6)) v(n) WHERE i.id = v.n AND i.price = 5') AS using,
	plans.same($$INSERT INTO items SELECT i.* FROM items i WHERE i @@ 'price >= 9990'$$, 'INSERT INTO items SELECT i.* FROM items i WHERE i.price >= 9990') AS "insert";
CREATE TABLE few (LIKE items INCLUDING ALL);
INSERT INTO few VALUES (1, 'one', 10, 1, 1, true), (2, 'two', NULL, 2, 2, false), (3, 'three', 30, 3, 3, NULL);
UPDATE few SET price = price - 25 WHERE few @@ 'price > 20' RETURNING id, few @@ 'price > 20' AS still, few @@ 'price = 5' AS now;
UPDATE few SET price = NULL WHERE few @@ 'price = 5' RETURNING id, few @@ 'price = 5' AS false_not_null, NOT (few @@ 'price = 5') AS true_not_null;
DELETE FROM few USING (VALUES (3), (2)) v(n) WHERE few.id = v.n AND few @@ 'not (price > 0) and qty = 3' RETURNING id, few @@ 'price is null' AS gone;
INSERT INTO few VALUES (3, 'three', NULL, 3, 3, NULL) RETURNING few @@ 'price > 5' AS false_not_null, few @@ 'not (price > 5)' AS true_not_null;
-- ON CONFLICT: conditions on the old and on the proposed row
INSERT INTO few VALUES (1, 'uno', 11, 1, 1), (2, 'due', 12, 2, 2), (3, 'tre', NULL, 3, 3) ON CONFLICT (id) DO UPDATE SET name = excluded.name, price = excluded.price WHERE few @@ 'not (price > 5)' AND excluded @@ 'price > 0';
SELECT id, name, price FROM few ORDER BY id;
-- MERGE, against its native twin
CREATE TABLE source (id int, price int, gone bool);
INSERT INTO source VALUES (1, 100, true), (2, 200, false), (3, NULL, NULL), (4, 400, false), (5, NULL, false), (6, -1, false);
CREATE TABLE few2 AS TABLE few;
MERGE INTO few t USING source s ON t.id = s.id AND t @@ 'not (qty > 2)' WHEN MATCHED AND s @@ 'gone = true' THEN DELETE WHEN MATCHED AND t @@ 'price > 5' THEN UPDATE SET price = s.price, active = t @@ 'price = 12'
	WHEN NOT MATCHED AND s @@ 'price > 0 and id > 3' THEN INSERT VALUES (s.id, 'new', s.price, 0, NULL, s @@ 'price < 100') WHEN NOT MATCHED AND s @@ 'not (price > 0) and id > 3' THEN INSERT VALUES (s.id, 'odd', s.price, 0, NULL, NULL);
MERGE INTO few2 t USING source s ON t.id = s.id AND (t.qty > 2) IS NOT TRUE WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED AND t.price > 5 THEN UPDATE SET price = s.price, active = t.price = 12
	WHEN NOT MATCHED AND s.price > 0 AND s.id > 3 THEN INSERT VALUES (s.id, 'new', s.price, 0, NULL, s.price < 100) WHEN NOT MATCHED AND (s.price > 0) IS NOT TRUE AND s.id > 3 THEN INSERT VALUES (s.id, 'odd', s.price, 0, NULL, NULL);
SELECT * FROM few ORDER BY id;
SELECT count(*) AS differ FROM ((TABLE few EXCEPT TABLE few2) UNION ALL (TABLE few2 EXCEPT TABLE few)) d;
SELECT plans.same($$MERGE INTO items t USING source s ON t.id = s.id AND t @@ 'price < 50' WHEN MATCHED THEN DELETE$$, 'MERGE INTO items t USING source s ON t.id = s.id AND t.price < 50 WHEN MATCHED THEN DELETE') AS merge;
-- COPY ... WHERE
COPY few FROM stdin WHERE few @@ 'price > 5 or name like ''keep%''';
11	keep	\N	1	1	\N
12	drop	\N	1	1	\N
13	high	6	1	1	\N
14	low	5	1	1	\N
\.
SELECT id, name FROM few WHERE id > 10 ORDER BY id;
-- row locks and cursors
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM few WHERE few @@ 'id > 10' ORDER BY id FOR UPDATE;
FETCH 1 FROM c;
UPDATE few SET price = 99 WHERE CURRENT OF c;
COMMIT;
SELECT id FROM few WHERE few @@ 'price = 99';

-- 2. CHECK: never NULL, so a positive clause refuses NULL and a negated one accepts it.
CREATE TABLE checked (id int, price int, qty int, CONSTRAINT price_known CHECK (checked @@ 'price >= 0'), CONSTRAINT qty_not_negative CHECK (checked @@ 'not (qty < 0)'));
INSERT INTO checked VALUES (1, 5, 5), (2, 5, NULL);
INSERT INTO checked VALUES (3, NULL, 5);
INSERT INTO checked VALUES (4, 5, -1);
UPDATE checked SET price = -price;
SELECT * FROM checked ORDER BY id;
ALTER TABLE checked ADD CONSTRAINT later CHECK (checked @@ 'id < 2') NOT VALID;
ALTER TABLE checked VALIDATE CONSTRAINT later;
ALTER TABLE checked ADD CONSTRAINT typo CHECK (checked @@ 'prise > 0');
-- the planner uses it as it uses a native one
SET constraint_exclusion = on;
EXPLAIN (COSTS OFF) SELECT * FROM checked WHERE price = -5;
EXPLAIN (COSTS OFF) SELECT * FROM checked WHERE checked @@ 'price < -5';
RESET constraint_exclusion;
-- partitions with other column numbers, and a domain over a composite
CREATE TABLE split (id int, price int, CONSTRAINT ok CHECK (split @@ 'price > 0')) PARTITION BY RANGE (id);
CREATE TABLE split_1 (gone int, price int, id int);
ALTER TABLE split_1 DROP COLUMN gone;
ALTER TABLE split_1 ADD CONSTRAINT ok CHECK (split_1 @@ 'price > 0');
INSERT INTO split_1 VALUES (1, 1);
SELECT plans.raises('INSERT INTO split_1 VALUES (0, 2)', 'ok') AS check_violation, plans.raises('INSERT INTO split_1 VALUES (NULL, 2)', 'ok') AS null_too;
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN ordered_pair AS pair CHECK (VALUE @@ 'x > 0 and not (y < 0)');
SELECT '(1,)'::ordered_pair AS fine, plans.raises($$SELECT '(,1)'::ordered_pair$$, 'ordered_pair') AS x_null, plans.raises($$SELECT ROW(1, -1)::ordered_pair$$, 'ordered_pair') AS y_negative;

-- 3. Partial indexes: kept up to date, and used where a condition implies the predicate, native or not.
CREATE INDEX cheap ON items (code) WHERE items @@ 'price < 100';
CREATE INDEX unpriced ON items (code) WHERE items @@ 'not (price > 0)';
CREATE INDEX named_9 ON items (code) WHERE name LIKE 'name9%';
CREATE INDEX named_8 ON items (code) WHERE items @@ 'name like ''name8%''';
CREATE INDEX both_ways ON items (qty) WHERE items @@ 'active = true and price is null';
ANALYZE items;
SELECT query, plans.has('SELECT * FROM items WHERE ' || query, name) AS used
FROM (VALUES ('cheap', 'code = 7 AND items @@ ''price < 100'''), ('cheap', 'code = 7 AND items @@ ''price < 50'''), ('cheap', 'code = 7 AND price < 100'), ('cheap', 'items @@ ''code = 7 and price between 1 and 99'''), ('cheap', 'items @@ ''code = 7 and price < 100.5'''), ('cheap', 'items @@ ''code = 7 and price < 101.5'''), ('cheap', 'items @@ ''code = 7 and price < 101'''),
	('cheap', 'items @@ ''code = 7 and price in (5, 7)'''), ('unpriced', 'code = 10 AND price IS NULL'), ('unpriced', 'items @@ ''code = 10 and not (price > 0)'''), ('unpriced', 'items @@ ''code = 10 and price is null'''), ('unpriced', 'items @@ ''code = 10 and price > 0'''),
	('named_9', 'items @@ ''code = 7 and name like ''''name9%'''''''), ('named_8', 'code = 7 AND name LIKE ''name8%'''), ('named_8', 'items @@ ''name like ''''name8%'''' and code = 7'''), ('both_ways', 'items @@ ''price is null and active is true and qty < 300''')) v(name, query);
SELECT count(*) AS by_index FROM items WHERE items @@ 'code between 0 and 2000 and price < 100';
UPDATE items SET price = 50 WHERE id IN (9000, 9001);
UPDATE items SET price = NULL WHERE id = 50;
INSERT INTO items VALUES (20000, 'x', 1, 1, 1, true), (20001, 'x', NULL, 1, 1, true);
SET enable_seqscan = off;
SELECT plans.has($$SELECT count(*) FROM items WHERE items @@ 'code >= 0 and price < 100'$$, 'cheap') AS by_index;
SELECT count(*), count(*) FILTER (WHERE id >= 9000) AS moved FROM items WHERE items @@ 'code >= 0 and price < 100';
RESET enable_seqscan;
SELECT count(*) FROM items WHERE code >= 0 AND price < 100;
DROP INDEX cheap, unpriced, named_9, named_8, both_ways;
SELECT plans.raises($$CREATE INDEX wrong ON items (code) WHERE items @@ 'prize < 100'$$, 'prize', 'price') AS typo;
-- A literal whose meaning depends on a setting would make an index of one meaning that is used for another: refused; with a zone, or ISO dates, accepted.
CREATE TABLE dated (id int, at timestamptz, d date, ts timestamp);
SELECT spec, plans.raises(format('CREATE INDEX ON dated (id) WHERE dated @@ %L', spec)) FROM unnest(ARRAY['at > ''2026-01-01 00:00''', 'at > date ''2026-01-01''', 'd > ''01.02.2026''', 'at > ''2026-01-01 00:00+00''', 'at > timestamptz ''2026-01-01 00:00:00+00''', 'd > ''2026-01-01''', 'ts > date ''2026-01-01''']) spec;
-- unique among the active: the conflict is found through the predicate
CREATE TABLE slots (id int, room int, at int4range, active bool);
CREATE UNIQUE INDEX one_active ON slots (room) WHERE slots @@ 'active = true';
ALTER TABLE slots ADD CONSTRAINT no_overlap EXCLUDE USING gist (at WITH &&) WHERE (slots @@ 'active = true');
INSERT INTO slots VALUES (1, 1, '[1,5)', true), (2, 1, '[1,5)', false), (3, 1, '[1,5)', NULL);
INSERT INTO slots VALUES (4, 1, '[7,8)', true) ON CONFLICT (room) WHERE slots @@ 'active = true' DO NOTHING;
INSERT INTO slots VALUES (5, 1, '[7,8)', true) ON CONFLICT (room) WHERE active DO UPDATE SET id = excluded.id;
SELECT plans.raises('INSERT INTO slots VALUES (6, 1, ''[7,8)'', true)', 'one_active') AS unique_violation, plans.raises('INSERT INTO slots VALUES (7, 2, ''[4,8)'', true)', 'no_overlap') AS exclusion;
SELECT id, active FROM slots ORDER BY id;

-- 4. Row policies: USING and WITH CHECK.
CREATE ROLE regress_spec_clerk;
GRANT USAGE ON SCHEMA spec_places, plans TO regress_spec_clerk;
CREATE TABLE orders (id int PRIMARY KEY, owner name, total int, note text);
INSERT INTO orders SELECT i, CASE WHEN i % 100 = 0 THEN 'regress_spec_clerk' ELSE 'x' END, CASE WHEN i % 3 > 0 THEN i END, 'n' FROM generate_series(1, 3000) i;
CREATE INDEX orders_owner ON orders (owner);
ANALYZE orders;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders FOR ALL TO regress_spec_clerk USING (orders @@ 'owner = ''regress_spec_clerk''') WITH CHECK (orders @@ 'owner = ''regress_spec_clerk'' and total < 5000');
GRANT ALL ON orders TO regress_spec_clerk;
SET ROLE regress_spec_clerk;
EXPLAIN (COSTS OFF) SELECT * FROM orders;
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE orders @@ 'total > 5 and note like ''n%''';
SELECT count(*) FROM orders;
INSERT INTO orders VALUES (5001, 'regress_spec_clerk', 10, 'mine');
INSERT INTO orders VALUES (5002, 'x', 10, 'not mine');
INSERT INTO orders VALUES (5003, 'regress_spec_clerk', NULL, 'no total');
UPDATE orders SET total = 9999 WHERE orders @@ 'id = 5001';
UPDATE orders SET owner = 'x' WHERE id = 5001;
DELETE FROM orders WHERE id IN (1, 2, 100) RETURNING id;
RESET ROLE;
DROP OWNED BY regress_spec_clerk;
DROP ROLE regress_spec_clerk;

-- 5. Triggers and rules.
CREATE TABLE watched (id int, price int, state text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE INFO '% % %', TG_NAME, TG_OP, coalesce(NEW.id, OLD.id); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER a_dear BEFORE INSERT OR UPDATE ON watched FOR EACH ROW WHEN (NEW @@ 'price >= 100') EXECUTE FUNCTION tell();
CREATE TRIGGER b_opened AFTER UPDATE ON watched FOR EACH ROW WHEN (NEW @@ 'state = ''open''' AND NOT OLD @@ 'state = ''open''') EXECUTE FUNCTION tell();
CREATE TRIGGER c_unpriced AFTER DELETE ON watched FOR EACH ROW WHEN (OLD @@ 'not (price > 0)') EXECUTE FUNCTION tell();
INSERT INTO watched VALUES (1, 100, 'new'), (2, 99, NULL), (3, NULL, 'open');
UPDATE watched SET state = 'open';
UPDATE watched SET price = price + 1;
DELETE FROM watched;
CREATE TRIGGER d_typo AFTER UPDATE ON watched FOR EACH ROW WHEN (NEW @@ 'prise > 0') EXECUTE FUNCTION tell();
INSERT INTO watched VALUES (4, 1, 'x');
UPDATE watched SET price = 2;
DROP TRIGGER d_typo ON watched;
-- in the body of a trigger function: NEW and OLD, and transition tables
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_LEVEL = 'ROW' THEN
		RAISE INFO 'row % %', NEW @@ 'price > 5', OLD @@ 'price > 5';
	ELSE
		RAISE INFO 'statement % %', (SELECT count(*) FROM news n WHERE n @@ 'not (price > 5)'), (SELECT count(*) FROM olds o WHERE o @@ 'price > 5 and state = ''x''');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER look_row AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER look_all AFTER UPDATE ON watched REFERENCING NEW TABLE AS news OLD TABLE AS olds FOR EACH STATEMENT EXECUTE FUNCTION look();
UPDATE watched SET price = 6;
UPDATE watched SET price = NULL;
DROP TRIGGER look_row ON watched;
DROP TRIGGER look_all ON watched;
CREATE RULE no_negative AS ON INSERT TO watched WHERE NEW @@ 'price < 0' DO INSTEAD NOTHING;
INSERT INTO watched VALUES (5, -1, 'x'), (6, NULL, 'y'), (7, 7, 'z');
SELECT id FROM watched ORDER BY id;

-- 6. Views: updatable, with check option.
CREATE VIEW open_few AS SELECT id, name, price, qty FROM few WHERE few @@ 'price > 0' WITH CHECK OPTION;
UPDATE open_few SET name = 'renamed' WHERE open_few @@ 'price = 99';
SELECT plans.raises('INSERT INTO open_few VALUES (50, ''n'', NULL, 1)', 'open_few') AS null_refused, plans.raises('UPDATE open_few SET price = -1 WHERE price = 99', 'open_few') AS moved_out;
INSERT INTO open_few VALUES (51, 'n', 1, 1);
SELECT id, name FROM open_few WHERE open_few @@ 'id > 10' ORDER BY id;

-- 7. Generated columns: a whole row is refused as by any expression; the parts of a row may be accepted (17 looks at what the planner makes of it) and are right then.
CREATE TABLE gen (price int, dear bool GENERATED ALWAYS AS (gen @@ 'price > 10') STORED);
DO $$
DECLARE
	sound bool;
BEGIN
	CREATE TABLE gen (id int, price int, dear bool GENERATED ALWAYS AS (ROW(price) OPERATOR(apibase.@@) 'f1 > 10') STORED);
	INSERT INTO gen VALUES (1, 5), (2, 11), (3, NULL);
	SELECT bool_and(dear IS NOT DISTINCT FROM coalesce(price > 10, false)) INTO sound FROM gen;
	ASSERT sound;
	DROP TABLE gen;
EXCEPTION WHEN invalid_object_definition THEN
	ASSERT SQLERRM LIKE '%immutable%';
END $$;
-- Over a generated column, virtual where the server has them (18).
DO $$ BEGIN EXECUTE format('CREATE TABLE virt (id int PRIMARY KEY, price int, twice int GENERATED ALWAYS AS (price * 2) %s, label text GENERATED ALWAYS AS (coalesce(''n'' || price, ''none'')) %1$s)',
	CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END); END $$;
INSERT INTO virt (id, price) SELECT i, nullif(i % 100, 0) FROM generate_series(1, 1000) i;
ANALYZE virt;
SELECT spec, native, plans.equal('virt', spec, native) AS plan, plans.ids('virt', spec || ' and id <= 100') FROM (VALUES ('twice = 14', 'twice = 14'), ('not (twice < 196)', 'twice >= 196 OR twice IS NULL'), ('label = ''n7''', 'label = ''n7'''), ('label = ''none''', 'label = ''none''')) v(spec, native);
SELECT plans.differ($$SELECT few.id, v.id AS v FROM few LEFT JOIN virt v ON v.id = few.id + 990 WHERE v @@ 'not (twice < 5) or label is null'$$, 'SELECT few.id, v.id AS v FROM few LEFT JOIN virt v ON v.id = few.id + 990 WHERE (v.twice < 5) IS NOT TRUE OR v.label IS NULL') AS outer_join;
-- OLD and NEW in RETURNING (18)
DO $$
DECLARE
	answer bool[];
BEGIN
	IF current_setting('server_version_num')::int >= 180000 THEN
		EXECUTE $q$UPDATE spec_places.few SET price = 7 WHERE few OPERATOR(apibase.@@) 'price = 99' RETURNING ARRAY[old OPERATOR(apibase.@@) 'price = 99', new OPERATOR(apibase.@@) 'price = 99', new OPERATOR(apibase.@@) 'price = 7', few OPERATOR(apibase.@@) 'price = 99']$q$ INTO answer;
		ASSERT answer = '{t,f,t,f}';
		EXECUTE $q$INSERT INTO spec_places.few VALUES (60, 'n', 1, 1) RETURNING ARRAY[old OPERATOR(apibase.@@) 'qty is null', old OPERATOR(apibase.@@) 'not (qty < 5)', new OPERATOR(apibase.@@) 'qty = 1']$q$ INTO answer;
		ASSERT answer = '{t,t,t}';
	END IF;
END $$;

-- 8. Where PostgreSQL itself refuses stable or user-defined operators. Definitions are printed so that they can be restored under any search_path.
SELECT plans.raises($$CREATE PUBLICATION p FOR TABLE few WHERE (few @@ 'price > 1')$$) AS publication;
SET search_path = '';
SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE conname IN ('price_known', 'no_overlap') ORDER BY conname;
SELECT pg_catalog.strpos(pg_catalog.pg_get_viewdef('spec_places.open_few'), 'OPERATOR(apibase.@@) ''price > 0''::apibase.spec') OPERATOR(pg_catalog.>) 0 AS qualified;
RESET search_path;

DROP SCHEMA spec_places, plans CASCADE;
