-- answers.sql: what the database of stored.sql says.
SET search_path = shop, apibase, public;
SET enable_seqscan = off;
SET max_parallel_workers_per_gather = 0;
SELECT extversion FROM pg_extension WHERE extname = 'apibase';
SELECT * FROM filters ORDER BY id;
SELECT body::jsonb, spec_fields(body), spec_clauses(body) FROM filters ORDER BY body;
SELECT id FROM filters WHERE body = 'price >= 10 and not (status in (''closed''))';
EXPLAIN (COSTS OFF) SELECT id FROM filters WHERE shallow = '';
SELECT f.id, count(*) FROM filters f, items i WHERE f.id < 4 AND i @@ f.body GROUP BY f.id ORDER BY f.id;
SELECT count(*) FROM items WHERE items @@ 'price < 100 and created > timestamptz ''2026-01-02 00:00+00''';
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE items @@ 'price < 100 and created > timestamptz ''2026-01-02 00:00+00''';
SELECT count(*), min(id) FROM dear;
SELECT count(*) FROM cheap_items;
SELECT open_items(), held_items();
SELECT count(*) FROM find(NULL::items, 'status = ''open''', 'price desc nulls last', 7);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'price_is_sane';
SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' ORDER BY indexname;
SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy;
SELECT pg_get_viewdef('dear'), pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'too_dear';
SELECT pg_get_functiondef('open_items'::regproc);
SELECT kind, object, specification, problem FROM spec_uses() ORDER BY kind COLLATE "C", object COLLATE "C";
\set VERBOSITY verbose
INSERT INTO items (id, price) VALUES (2001, -1);
UPDATE items SET price = 123456 WHERE id = 1;
INSERT INTO filters (id) VALUES (5);
INSERT INTO filters (id, body, shallow) VALUES (6, 'a = 1', 'a = 1 and (b = 2 or (c = 3 and (d = 4 or (e = 5 and f = 6))))');
