-- spec.post.sql: operators, operator classes, casts, grants and comments of the module spec, by section.

-- type

COMMENT ON TYPE spec IS 'a specification: a condition over one row as a value';
COMMENT ON FUNCTION spec_in(cstring) IS 'input of spec: the language, or the JSON form if it begins with a brace';
COMMENT ON FUNCTION spec_out(spec) IS 'output of spec: the canonical text';
COMMENT ON FUNCTION spec_recv(internal) IS 'binary input of spec';
COMMENT ON FUNCTION spec_send(spec) IS 'binary output of spec: a version byte and the canonical text';


-- comparison

CREATE OPERATOR = (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR <> (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR < (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR > (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR CLASS spec_ops DEFAULT FOR TYPE spec USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 spec_cmp(spec, spec);
CREATE OPERATOR CLASS spec_ops DEFAULT FOR TYPE spec USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 spec_hash(spec), FUNCTION 2 spec_hash_extended(spec, bigint);

COMMENT ON FUNCTION spec_eq(spec, spec) IS 'whether two specifications have the same structure';
COMMENT ON FUNCTION spec_ne(spec, spec) IS 'whether two specifications differ in structure';
COMMENT ON FUNCTION spec_lt(spec, spec) IS 'orders specifications by structure, for sorting and keys';
COMMENT ON FUNCTION spec_le(spec, spec) IS 'orders specifications by structure, for sorting and keys';
COMMENT ON FUNCTION spec_gt(spec, spec) IS 'orders specifications by structure, for sorting and keys';
COMMENT ON FUNCTION spec_ge(spec, spec) IS 'orders specifications by structure, for sorting and keys';
COMMENT ON FUNCTION spec_cmp(spec, spec) IS 'comparison of specifications for btree';
COMMENT ON FUNCTION spec_hash(spec) IS 'hash of a specification';
COMMENT ON FUNCTION spec_hash_extended(spec, bigint) IS 'hash of a specification with a seed';
COMMENT ON OPERATOR = (spec, spec) IS 'the same structure';
COMMENT ON OPERATOR <> (spec, spec) IS 'not the same structure';
COMMENT ON OPERATOR < (spec, spec) IS 'before, by structure';
COMMENT ON OPERATOR <= (spec, spec) IS 'before or the same, by structure';
COMMENT ON OPERATOR > (spec, spec) IS 'after, by structure';
COMMENT ON OPERATOR >= (spec, spec) IS 'after or the same, by structure';
COMMENT ON OPERATOR FAMILY spec_ops USING btree IS 'specifications by structure';
COMMENT ON OPERATOR FAMILY spec_ops USING hash IS 'specifications by structure';
COMMENT ON OPERATOR CLASS spec_ops USING btree IS 'specifications by structure';
COMMENT ON OPERATOR CLASS spec_ops USING hash IS 'specifications by structure';


-- casts

CREATE CAST (jsonb AS spec) WITH FUNCTION spec_from_jsonb(jsonb);
CREATE CAST (json AS spec) WITH FUNCTION spec_from_json(json);
CREATE CAST (spec AS jsonb) WITH FUNCTION spec_to_jsonb(spec);

COMMENT ON FUNCTION spec_from_jsonb(jsonb) IS 'reads the JSON form of a specification';
COMMENT ON FUNCTION spec_from_json(json) IS 'reads the JSON form of a specification';
COMMENT ON FUNCTION spec_to_jsonb(spec) IS 'the JSON form of a specification';
COMMENT ON CAST (jsonb AS spec) IS 'reads the JSON form of a specification';
COMMENT ON CAST (json AS spec) IS 'reads the JSON form of a specification';
COMMENT ON CAST (spec AS jsonb) IS 'the JSON form of a specification';


-- builder

COMMENT ON FUNCTION spec_build_support(internal) IS 'planner support of the functions that build specifications';
COMMENT ON FUNCTION spec_build_check_support(internal) IS 'planner support of build';
COMMENT ON FUNCTION spec(text) IS 'a specification from its text or JSON form';
COMMENT ON FUNCTION spec(text, VARIADIC "any") IS 'a specification from its text, with values bound to $1, $2 and so on';
COMMENT ON FUNCTION bind(spec, VARIADIC "any") IS 'the specification with values bound to $1, $2 and so on';
COMMENT ON FUNCTION "where"(text, text) IS 'a clause without a value: field, operator';
COMMENT ON FUNCTION "where"(text, text, VARIADIC "any") IS 'a clause: field, operator, value or values';
COMMENT ON FUNCTION and_where(spec, text, text) IS 'the specification and a clause without a value';
COMMENT ON FUNCTION and_where(spec, text, text, VARIADIC "any") IS 'the specification and a clause';
COMMENT ON FUNCTION or_where(spec, text, text) IS 'the specification or a clause without a value';
COMMENT ON FUNCTION or_where(spec, text, text, VARIADIC "any") IS 'the specification or a clause';
COMMENT ON FUNCTION build(spec, regclass) IS
    'the specification, after a check that every parameter is bound and that it fits the relation, if one is given';


-- combinators

CREATE OPERATOR && (LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_and);
CREATE OPERATOR || (LEFTARG = spec, RIGHTARG = spec, FUNCTION = spec_or);
CREATE OPERATOR !! (RIGHTARG = spec, FUNCTION = spec_not);

COMMENT ON FUNCTION spec_and(spec, spec) IS 'both specifications; a null one is left out';
COMMENT ON FUNCTION spec_or(spec, spec) IS 'either specification; a null one is left out';
COMMENT ON FUNCTION spec_not(spec) IS 'the complement of a specification';
COMMENT ON FUNCTION spec_all(VARIADIC spec[]) IS 'all specifications; null ones are left out, and none at all is true';
COMMENT ON FUNCTION spec_any(VARIADIC spec[]) IS 'any of the specifications; null ones are left out, and none at all is false';
COMMENT ON OPERATOR && (spec, spec) IS 'both specifications';
COMMENT ON OPERATOR || (spec, spec) IS 'either specification';
COMMENT ON OPERATOR !! (NONE, spec) IS 'the complement of a specification';


-- structure

COMMENT ON FUNCTION spec_fields(spec) IS 'the fields that a specification names, each once';
COMMENT ON FUNCTION spec_depth(spec) IS 'how deeply a specification is nested; a clause is 1';
COMMENT ON FUNCTION spec_clauses(spec) IS 'the number of clauses in a specification';


-- evaluation

CREATE OPERATOR @@ (
    LEFTARG = anyelement, RIGHTARG = spec, FUNCTION = is_satisfied_by,
    RESTRICT = spec_restrict_selectivity, JOIN = contjoinsel
);

COMMENT ON FUNCTION spec_support(internal) IS 'planner support of is_satisfied_by';
COMMENT ON FUNCTION spec_restrict_selectivity(internal, oid, internal, integer) IS
    'selectivity of @@ where the planner does not see through it';
COMMENT ON FUNCTION is_satisfied_by(anyelement, spec) IS
    'whether a row or jsonb document satisfies a specification; never NULL unless the specification is';
COMMENT ON OPERATOR @@ (anyelement, spec) IS 'whether a row or jsonb document satisfies a specification';


-- sql text

COMMENT ON FUNCTION to_sql_condition(spec, regclass, text) IS
    'a specification as an SQL condition that stands alone in any statement over the relation';
COMMENT ON FUNCTION to_sql_params(spec, regclass, text, integer) IS
    'a specification as an SQL condition with $n in place of the values, and the values, for drivers';


-- find

REVOKE ALL ON FUNCTION apibase_internal.find_sql(anyelement, spec, text, bigint, bigint, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION apibase_internal.find_support(internal) IS 'planner support of find: the number of rows';
COMMENT ON FUNCTION find(anyelement, spec, text, bigint, bigint, jsonb) IS
    'the rows of a table or view that satisfy a specification, in order, by pages';
COMMENT ON FUNCTION find_count(anyelement, spec) IS 'how many rows of a table or view satisfy a specification';
COMMENT ON FUNCTION apibase_internal.find_sql(anyelement, spec, text, bigint, bigint, jsonb) IS
    'the statement that find runs';


-- reports

-- spec_uses_in_tree() and spec_uses_in_body() stay executable: spec_uses() calls them with the rights of its caller,
-- and they show nothing to whom the author's rights are not given
CREATE VIEW spec_stats AS
    SELECT s.inlined, s.opaque, s.find_calls, s.find_cache_hits, s.find_cache_evictions
    FROM apibase_internal.spec_stats() s;
GRANT SELECT ON spec_stats TO PUBLIC;
REVOKE ALL ON FUNCTION spec_stats_reset() FROM PUBLIC;

COMMENT ON FUNCTION spec_check(regclass, spec) IS
    'what in a specification does not fit a relation, one row for each clause with a problem';
COMMENT ON FUNCTION spec_explain(anyelement, spec) IS
    'the clauses because of which a row or jsonb document does not satisfy a specification';
COMMENT ON FUNCTION spec_uses() IS
    'specifications in views, policies, constraints, indexes, triggers, defaults and functions, and what in them no longer resolves';
COMMENT ON FUNCTION apibase_internal.spec_uses_in_tree(pg_node_tree, oid) IS
    'specifications in a stored expression or query, compiled with the rights of its author';
COMMENT ON FUNCTION apibase_internal.spec_uses_in_body(text, oid) IS 'specifications in the text of a function body';
COMMENT ON FUNCTION apibase_internal.spec_stats() IS 'the counters of the view spec_stats';
COMMENT ON FUNCTION spec_stats_reset() IS 'sets the counters of the view spec_stats to zero';
COMMENT ON VIEW spec_stats IS 'counters of the module spec since the server''s start or the last reset';
COMMENT ON COLUMN spec_stats.inlined IS 'calls of is_satisfied_by and @@ that the planner replaced by native conditions';
COMMENT ON COLUMN spec_stats.opaque IS 'calls of is_satisfied_by and @@ that were planned and could not be replaced';
COMMENT ON COLUMN spec_stats.find_calls IS 'calls of find and find_count';
COMMENT ON COLUMN spec_stats.find_cache_hits IS 'calls of find and find_count that ran a plan that was kept';
COMMENT ON COLUMN spec_stats.find_cache_evictions IS
    'plans that were dropped because apibase.find_cache_size others were used more recently';
