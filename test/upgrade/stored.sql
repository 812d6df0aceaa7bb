-- stored.sql: a database with specifications in every place that keeps one. answers.sql asks it; what it answers must not
-- change when the database is dumped and restored, or its server upgraded.
CREATE EXTENSION apibase;
CREATE SCHEMA shop;
SET search_path = shop, apibase, public;

CREATE TABLE items (id int PRIMARY KEY, name text, price numeric, status text, created timestamptz, attrs jsonb);
INSERT INTO items
SELECT n, 'item ' || n, CASE WHEN n % 10 = 0 THEN NULL ELSE n * 1.5 END, (ARRAY['open', 'held', 'closed'])[n % 3 + 1],
       timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', jsonb_build_object('color', (ARRAY['red', 'blue'])[n % 2 + 1])
FROM generate_series(1, 1000) n;

-- values: column, array, composite, domain, default, keys of indexes
CREATE DOMAIN shallow AS apibase.spec CHECK (spec_depth(VALUE) < 5);
CREATE TYPE named_spec AS (name text, body apibase.spec);
CREATE TABLE filters (
    id int PRIMARY KEY,
    body apibase.spec NOT NULL DEFAULT 'price >= 10 and not (status in (''closed''))',
    variants apibase.spec[],
    named named_spec,
    shallow shallow);
INSERT INTO filters VALUES
    (1, DEFAULT, NULL, NULL, NULL),
    (2, 'price between 20 and 30.5 or name like ''item 7%''', ARRAY['true', 'price is null']::apibase.spec[],
     ROW('mine', 'attrs.color = ''red'''), 'status = ''open'''),
    (3, '{"and": [{"field": "created", "op": "ge", "value": {"type": "date", "value": "2026-02-01"}}]}', '{}', NULL, ''),
    (4, '"Odd name" ~ ''it''''s "quoted" \\ ünïcode'' and (a.b[0].c <> $1 or f in (1, null))', NULL, NULL, NULL);
CREATE UNIQUE INDEX ON filters (body);
CREATE INDEX ON filters USING hash (shallow);

-- predicates
ALTER TABLE items ADD CONSTRAINT price_is_sane CHECK (items @@ 'not (price < 0)');
CREATE INDEX cheap ON items (created) WHERE items @@ 'price < 100';
CREATE POLICY open_only ON items FOR SELECT USING (items @@ 'status in (''open'', ''held'')');
CREATE VIEW dear AS SELECT id, name FROM items WHERE items @@ 'price > 1400 and attrs.color = ''blue''';
CREATE MATERIALIZED VIEW cheap_items AS SELECT id FROM items WHERE items @@ 'price < 15';
CREATE FUNCTION log_price() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'too dear: %', NEW.price; END $$;
CREATE TRIGGER too_dear BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW @@ 'price >= 100000') EXECUTE FUNCTION log_price();
CREATE FUNCTION open_items() RETURNS bigint LANGUAGE sql STABLE
BEGIN ATOMIC SELECT count(*) FROM items WHERE items @@ 'status = ''open'''; END;
CREATE FUNCTION held_items() RETURNS bigint LANGUAGE sql STABLE
AS $$ SELECT count(*) FROM shop.items WHERE items OPERATOR(apibase.@@) 'status = ''held''' $$;
ANALYZE;
