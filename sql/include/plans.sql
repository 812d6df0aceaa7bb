-- Helpers of the spec_* tests: what a plan says, and what a specification finds, told in one line.
-- A test includes this file with \getenv and \i; everything is in the schema plans, made again each time.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS plans CASCADE;
CREATE SCHEMA plans;

-- The lines of a plan, without costs.
CREATE FUNCTION plans.lines(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

-- Does a line of the plan match the regular expression?
CREATE FUNCTION plans.has(query text, pattern text) RETURNS boolean LANGUAGE sql AS $$
	SELECT coalesce(bool_or(l ~ pattern), false) FROM plans.lines(query) l
$$;

-- The whole plan with costs, estimates and output lists, as one text.
CREATE FUNCTION plans.whole(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE) ' || query LOOP
		IF line !~ '^ *(Query Identifier|JIT|Planning)' THEN
			plan := plan || E'\n' || line;
		END IF;
	END LOOP;
	RETURN plan;
END $$;

-- Does the plan still evaluate a specification?
CREATE FUNCTION plans.opaque(query text) RETURNS boolean LANGUAGE sql AS $$
	SELECT plans.whole(query) ~ '@@|is_satisfied_by'
$$;

-- Rows that the top node of the plan expects.
CREATE FUNCTION plans.estimate(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN (plan->0->'Plan'->>'Plan Rows')::numeric::bigint;
END $$;

-- 'same' when both statements have one plan: shape, conditions, costs, estimates and output.
CREATE FUNCTION plans.same(query text, native text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a text := plans.whole(query);
	b text := plans.whole(native);
BEGIN
	RETURN CASE WHEN a = b THEN 'same' ELSE a || E'\nis not' || b END;
END $$;

-- As same, for one relation filtered by a specification and by native text; the rows that are found must be equal as well.
CREATE FUNCTION plans.equal(rel text, spec text, native text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a text := format('SELECT * FROM %s WHERE %1$s @@ %L', rel, spec);
	b text := format('SELECT * FROM %s WHERE %s', rel, native);
	differ bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM (%s) a FULL JOIN (%s) b USING (id) WHERE a.* IS DISTINCT FROM b.*) d', a, b)
		INTO differ;
	RETURN plans.same(a, b) || CASE WHEN differ > 0 THEN format(', but %s rows differ', differ) ELSE '' END;
END $$;

-- How many rows of two statements differ.
CREATE FUNCTION plans.differ(query text, native text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	rows bigint;
BEGIN
	EXECUTE format('WITH a AS MATERIALIZED (%s), b AS MATERIALIZED (%s)
		SELECT count(*) FROM ((TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a)) d', query, native) INTO rows;
	RETURN rows;
END $$;

-- As same, for two statements; their rows must be equal as well.
CREATE FUNCTION plans.twin(query text, native text) RETURNS text LANGUAGE sql AS $$
	SELECT plans.same(query, native) ||
		CASE WHEN plans.differ(query, native) > 0 THEN format(', but %s rows differ', plans.differ(query, native)) ELSE '' END
$$;

-- What a specification becomes in a select list, as the planner prints it.
CREATE FUNCTION plans.value(rel text, spec text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (VERBOSE, COSTS OFF) SELECT %s @@ %L FROM %1$s', rel, spec) LOOP
		IF line ~ 'Output: ' THEN
			RETURN regexp_replace(line, '^ *Output: ', '');
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

-- The ids of the rows of rel that satisfy a specification, found in every way that there is. The ways must agree, and the
-- negation must find the other rows; where one does not, all are told.
CREATE FUNCTION plans.ids(rel regclass, s text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	list constant text := 'SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM ';
	others constant text := list || rel || ' WHERE id NOT IN (SELECT id FROM ' || rel || ' the_row WHERE %s)';
	bound record;
	way record;
	ids int[];
	found jsonb := '{}';
BEGIN
	FOR way IN VALUES
		('filter', list || format('%s the_row WHERE the_row @@ %L', rel, s)),
		('function', list || format('%s the_row WHERE apibase.is_satisfied_by(the_row, %L)', rel, s)),
		('value', list || format('(SELECT id, the_row @@ %L AS the_answer FROM %s the_row OFFSET 0) the_rows WHERE the_answer', s, rel)),
		('never null', list || format('%s the_row WHERE ((the_row @@ %L) IS NOT NULL) AND ((the_row @@ %2$L) IS TRUE)', rel, s)),
		('opaque', list || format('%s the_row, (SELECT %L::apibase.spec AS s OFFSET 0) the_spec WHERE the_row @@ the_spec.s', rel, s)),
		('record', list || format('(SELECT the_row.id, the_row @@ the_spec.s AS the_answer FROM (SELECT * FROM %s OFFSET 0) the_row,
			(SELECT %L::apibase.spec AS s OFFSET 0) the_spec OFFSET 0) the_rows WHERE the_answer', rel, s)),
		('NOT', format(others, format('NOT (the_row @@ %L)', s))),
		('not', format(others, format('the_row @@ apibase.spec_not(%L::apibase.spec)', s))),
		('opaque not', format(others, format('the_row @@ (SELECT apibase.spec_not(%L::apibase.spec) OFFSET 0)', s))),
		('text', list || format('%s the_row WHERE %s', rel, apibase.to_sql_condition(s::apibase.spec, rel, 'the_row')))
	LOOP
		EXECUTE way.column2 INTO ids;
		found := found || jsonb_build_object(way.column1, ids::text);
	END LOOP;
	SELECT * INTO bound FROM apibase.to_sql_params(s::apibase.spec, rel, 'the_row');
	EXECUTE format('PREPARE plans_params%s AS %s%s the_row WHERE %s',
		'(' || (SELECT nullif(string_agg(format_type(ty, NULL), ', '), '') FROM unnest(bound.types) ty) || ')', list, rel, bound.condition);
	EXECUTE 'EXECUTE plans_params' || coalesce('(' ||
		(SELECT string_agg(quote_nullable(p), ', ') FROM unnest(bound.params) p) || ')', '') INTO ids;
	DEALLOCATE plans_params;
	found := found || jsonb_build_object('params', ids::text);
	IF (SELECT count(DISTINCT value) FROM jsonb_each(found)) > 1 THEN
		RETURN jsonb_pretty(found);
	END IF;
	RETURN found->>'filter';
END $$;

-- The SQLSTATE that a statement raises, and which of the words its message, detail and hint leave out.
CREATE FUNCTION plans.raises(query text, VARIADIC words text[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
	missing text;
	m text;
	d text;
	h text;
BEGIN
	EXECUTE query;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	said := concat_ws(E'\n', m, nullif(d, ''), nullif(h, ''));
	SELECT string_agg(quote_literal(w), ', ') INTO missing FROM unnest(words) w WHERE strpos(said, w) = 0;
	RETURN SQLSTATE || coalesce(' but says nothing of ' || missing || ': ' || said, '');
END $$;
RESET client_min_messages;
