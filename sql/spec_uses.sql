-- spec_uses: where specifications are stored, and what in them no longer resolves.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS spec_uses CASCADE;
CREATE SCHEMA spec_uses;
SET search_path = spec_uses, apibase;
CREATE FUNCTION uses(pattern text DEFAULT '') RETURNS TABLE (kind text, object text, relation text, specification text, problem text) LANGUAGE sql AS $$
	SELECT kind, object, relation::text, specification, problem FROM apibase.spec_uses() WHERE object ~ ('spec_uses\..*' || pattern)
		AND object !~ 'spec_uses\.uses'
$$;

-- nothing of the extension itself
SELECT count(*) FROM spec_uses() WHERE object ~ 'apibase';
SELECT * FROM uses();

CREATE TABLE items (id int PRIMARY KEY, price numeric, status text, tags text[], created date, filter spec, filters spec[]);
CREATE TYPE pair AS (x int, y text);
CREATE TABLE cheap_log (id int);
-- one of each
CREATE VIEW cheap AS SELECT id, price FROM items WHERE items @@ 'price < 10';
CREATE VIEW layered AS SELECT c.id FROM cheap c JOIN items i USING (id)
	WHERE c @@ 'price > 1' AND EXISTS (SELECT 1 FROM items j WHERE j.id = i.id AND (is_satisfied_by(j, 'status = ''open''') OR j @@ (spec 'id = 1' && 'id = 2')));
CREATE VIEW built AS SELECT id FROM items i WHERE i @@ apibase.where('price', 'ge', 10) AND i @@ spec('status = $1', 'held');
CREATE VIEW listed AS SELECT f.id, find_count(NULL::items, 'id > 5') AS n FROM find(NULL::items, 'status <> ''lost''', 'id') f;
CREATE VIEW others AS SELECT ROW(1, 'x'::text)::pair @@ 'x = 1' AS pair, ROW(1) @@ 'f1 = 1' AS record, '{}'::jsonb @@ spec 'a.b = 1' AS document, spec 'a = 1' AS value, id FROM items WHERE items @@ filter;
CREATE MATERIALIZED VIEW dear AS SELECT id FROM items WHERE items @@ 'price >= 100';
CREATE RULE logged AS ON DELETE TO items WHERE old @@ 'price > 50' DO ALSO INSERT INTO cheap_log VALUES (old.id);
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY open_only ON items USING (items @@ 'status = ''open''') WITH CHECK (items @@ 'price > 0');
ALTER TABLE items ADD CONSTRAINT sane CHECK (items @@ 'not (price < 0)');
CREATE INDEX open_ones ON items (created) WHERE items @@ 'status = ''open''';
CREATE INDEX by_match ON items ((items @@ 'id = 3'));
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER dear_ones AFTER UPDATE ON items FOR EACH ROW WHEN (new @@ 'price > 1000') EXECUTE FUNCTION nothing();
ALTER TABLE items ALTER filter SET DEFAULT 'price > 0';
CREATE DOMAIN small_pair AS pair CHECK (VALUE @@ 'x < 100');
CREATE FUNCTION parsed(n int) RETURNS SETOF items BEGIN ATOMIC SELECT * FROM items WHERE items @@ 'id < 10' AND id < n; END;
CREATE FUNCTION parsed_short(i items) RETURNS boolean RETURN i @@ 'id < 11';
CREATE FUNCTION quoted() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM spec_uses.items WHERE items OPERATOR(apibase.@@) 'id<12' -- or items @@ 'comment'
	/* items @@ 'comment /* nested */ 2' */ $$;
CREATE FUNCTION executed() RETURNS spec LANGUAGE plpgsql AS $f$
DECLARE
	s apibase.spec := 'not seen';
	q text := 'it''s not one';
BEGIN
	s := apibase.spec 'a=1';
	s := 'b =2'::spec;
	s := $$ c = 'x' $$::apibase . spec;
	s := CAST('{"field": "d", "op": "eq", "value": 1}' AS apibase.spec);
	s := SPEC 'broken = ';
	EXECUTE 'SELECT * FROM items WHERE items @@ ''e = 1''';
	EXECUTE format($x$SELECT * FROM items WHERE items @@ 'f = ''it''''s''' AND name = '%s'$x$, 1);
	PERFORM * FROM apibase.find(NULL::spec_uses.items, 'g = 1', 'id');
	PERFORM find_count(NULL::items, 'h = 1');
	PERFORM '{"a": 1}' @@ '$.a > 1', to_tsvector('x y') @@ 'x & y', 'x' @@ 'i = 1', 'x' @@ 'j = 1'::text, 'x' @@ 'k = ';
	PERFORM E'esc\'aped @@ ', U&"odd"" name", "quoted ' name", 'x', $1;
	RETURN s;
END $f$;
-- written once for all partitions and clones
CREATE TABLE parts (id int, region text, CONSTRAINT sane CHECK (ROW(id) @@ 'f1 > 0')) PARTITION BY LIST (region);
CREATE INDEX parts_high ON parts (id) WHERE ROW(id) @@ 'f1 > 100';
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TRIGGER new_ones AFTER INSERT ON parts FOR EACH ROW WHEN (new @@ 'id > 10') EXECUTE FUNCTION nothing();
SELECT * FROM uses();

-- what they name goes away: the planner would complain when they are used, this when it is asked
ALTER TABLE items RENAME status TO state;
ALTER TABLE items DROP COLUMN created CASCADE;
ALTER TABLE items RENAME price TO prize;
ALTER TYPE pair RENAME ATTRIBUTE x TO z;
SELECT kind, object, specification, problem FROM uses() WHERE problem IS NOT NULL;
SELECT sqlstate, hint FROM spec_check('items', (SELECT min(specification)::spec FROM uses('cheap')));
ALTER TABLE items RENAME prize TO price;
ALTER TABLE items RENAME state TO status;
ALTER TYPE pair RENAME ATTRIBUTE z TO x;
SELECT kind, object, specification, problem FROM uses() WHERE problem IS NOT NULL;

-- An owner sees his own; a specification is looked at with its author's rights, whoever asks.
CREATE ROLE spec_uses_a;
CREATE ROLE spec_uses_b;
GRANT CREATE, USAGE ON SCHEMA spec_uses TO spec_uses_a;
GRANT USAGE ON SCHEMA spec_uses TO spec_uses_b;
SET ROLE spec_uses_a;
SELECT * FROM uses();
CREATE TABLE traces (who text);
CREATE FUNCTION trap(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'as %', current_user; RETURN i < 10; END $$;
CREATE DOMAIN trapped AS int CHECK (trap(VALUE));
CREATE TYPE trap_box AS (v trapped);
CREATE TABLE mine (id int, box trap_box);
GRANT SELECT ON mine TO PUBLIC;
CREATE VIEW trap_view AS SELECT id FROM mine WHERE mine @@ 'box = ''(3)''';
CREATE FUNCTION evil(text) RETURNS spec LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'as %', current_user; RETURN $1; END $$;
CREATE VIEW evil_view AS SELECT id FROM mine WHERE mine @@ evil('id = 4');
RESET ROLE;
CREATE VIEW innocent AS SELECT id FROM mine WHERE mine @@ 'box = ''(5)''';
SELECT * FROM uses('(trap_view|evil_view|innocent)');
SET ROLE spec_uses_b;
SELECT * FROM uses();
SELECT * FROM apibase_internal.spec_uses_in_body('spec ''a = 1''', 'spec_uses_a'::regrole);
RESET ROLE;
GRANT spec_uses_a TO spec_uses_b;
SET ROLE spec_uses_b;
SELECT kind, object, specification FROM uses();
RESET ROLE;
SELECT current_user = session_user AS same_user;
BEGIN READ ONLY;
SELECT count(*) > 0 AS in_read_only FROM uses('cheap');
COMMIT;

DROP OWNED BY spec_uses_a, spec_uses_b CASCADE;
DROP ROLE spec_uses_a, spec_uses_b;
DROP SCHEMA spec_uses CASCADE;
