-- spec.sql: functions of the module spec, by section.

-- comparison

CREATE OR REPLACE FUNCTION spec_eq(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_eq';

CREATE OR REPLACE FUNCTION spec_ne(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_ne';

CREATE OR REPLACE FUNCTION spec_lt(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_lt';

CREATE OR REPLACE FUNCTION spec_le(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_le';

CREATE OR REPLACE FUNCTION spec_gt(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_gt';

CREATE OR REPLACE FUNCTION spec_ge(spec, spec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_ge';

CREATE OR REPLACE FUNCTION spec_cmp(spec, spec) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_cmp';

CREATE OR REPLACE FUNCTION spec_hash(spec) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_hash';

CREATE OR REPLACE FUNCTION spec_hash_extended(spec, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_hash_extended';


-- casts

CREATE OR REPLACE FUNCTION spec_from_jsonb(jsonb) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_from_jsonb_sql';

CREATE OR REPLACE FUNCTION spec_from_json(json) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_from_json_sql';

CREATE OR REPLACE FUNCTION spec_to_jsonb(spec) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_to_jsonb_sql';


-- builder

CREATE OR REPLACE FUNCTION spec_build_support(internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_build_support';

CREATE OR REPLACE FUNCTION spec_build_check_support(internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_build_check_support';

CREATE OR REPLACE FUNCTION spec(specification text) RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_of_text';

CREATE OR REPLACE FUNCTION spec(specification text, VARIADIC "values" "any") RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_of_text';

CREATE OR REPLACE FUNCTION bind(specification spec, VARIADIC "values" "any") RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_bind';

CREATE OR REPLACE FUNCTION "where"(field text, op text) RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_where';

CREATE OR REPLACE FUNCTION "where"(field text, op text, VARIADIC "values" "any") RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_where';

CREATE OR REPLACE FUNCTION and_where(specification spec, field text, op text) RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_and_where';

CREATE OR REPLACE FUNCTION and_where(specification spec, field text, op text, VARIADIC "values" "any") RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_and_where';

CREATE OR REPLACE FUNCTION or_where(specification spec, field text, op text) RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_or_where';

CREATE OR REPLACE FUNCTION or_where(specification spec, field text, op text, VARIADIC "values" "any") RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_support AS 'MODULE_PATHNAME', 'apibase_spec_or_where';

CREATE OR REPLACE FUNCTION build(specification spec, relation regclass DEFAULT NULL) RETURNS spec
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT spec_build_check_support AS 'MODULE_PATHNAME', 'apibase_spec_build';


-- combinators

CREATE OR REPLACE FUNCTION spec_and(spec, spec) RETURNS spec
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_and';

CREATE OR REPLACE FUNCTION spec_or(spec, spec) RETURNS spec
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_or';

CREATE OR REPLACE FUNCTION spec_not(spec) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_not';

CREATE OR REPLACE FUNCTION spec_all(VARIADIC spec[]) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_all';

CREATE OR REPLACE FUNCTION spec_any(VARIADIC spec[]) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_any';


-- structure

CREATE OR REPLACE FUNCTION spec_fields(spec) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_fields';

CREATE OR REPLACE FUNCTION spec_depth(spec) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_depth';

CREATE OR REPLACE FUNCTION spec_clauses(spec) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_clauses';


-- evaluation

CREATE OR REPLACE FUNCTION spec_support(internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_support';

CREATE OR REPLACE FUNCTION spec_restrict_selectivity(internal, oid, internal, integer) RETURNS double precision
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_restrict_selectivity';

CREATE OR REPLACE FUNCTION is_satisfied_by("row" anyelement, specification spec) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT spec_support
    AS 'MODULE_PATHNAME', 'apibase_spec_is_satisfied_by';


-- sql text

CREATE OR REPLACE FUNCTION to_sql_condition(specification spec, relation regclass, alias text DEFAULT NULL) RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_to_sql_condition';

CREATE OR REPLACE FUNCTION to_sql_params(
    specification spec, relation regclass, alias text DEFAULT NULL, first_param integer DEFAULT 1,
    OUT condition text, OUT params text[], OUT types regtype[])
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_to_sql_params';


-- find

CREATE OR REPLACE FUNCTION apibase_internal.find_support(internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_find_support';

-- Parallel unsafe: the relation can be a view, and have policies, that call anything.
CREATE OR REPLACE FUNCTION find(
    relation anyelement, specification spec DEFAULT NULL, order_by text DEFAULT NULL,
    "limit" bigint DEFAULT NULL, "offset" bigint DEFAULT NULL, after jsonb DEFAULT NULL)
    RETURNS SETOF anyelement
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000 ROWS 100 SUPPORT apibase_internal.find_support
    AS 'MODULE_PATHNAME', 'apibase_find';

CREATE OR REPLACE FUNCTION find_count(relation anyelement, specification spec DEFAULT NULL) RETURNS bigint
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'apibase_find_count';

CREATE OR REPLACE FUNCTION apibase_internal.find_sql(
    relation anyelement, specification spec DEFAULT NULL, order_by text DEFAULT NULL,
    "limit" bigint DEFAULT NULL, "offset" bigint DEFAULT NULL, after jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'apibase_find_sql';


-- reports

CREATE OR REPLACE FUNCTION spec_check(
    relation regclass, specification spec,
    OUT pointer text, OUT field text, OUT sqlstate text, OUT message text, OUT hint text)
    RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'apibase_spec_check';

CREATE OR REPLACE FUNCTION spec_explain(
    "row" anyelement, specification spec,
    OUT pointer text, OUT clause text, OUT field text, OUT actual jsonb)
    RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'apibase_spec_explain';

CREATE OR REPLACE FUNCTION apibase_internal.spec_uses_in_tree(
    tree pg_node_tree, author oid, OUT relation regclass, OUT specification text, OUT problem text)
    RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 2 AS 'MODULE_PATHNAME', 'apibase_spec_uses_in_tree';

CREATE OR REPLACE FUNCTION apibase_internal.spec_uses_in_body(
    body text, author oid, OUT relation regclass, OUT specification text, OUT problem text)
    RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 2 AS 'MODULE_PATHNAME', 'apibase_spec_uses_in_body';

-- Everybody sees the uses in objects of owners whose rights he has, a superuser all.
CREATE OR REPLACE FUNCTION spec_uses(
    OUT kind text, OUT object text, OUT relation regclass, OUT specification text, OUT problem text)
    RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH member AS (
        SELECT d.classid, d.objid
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid
        WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
            AND e.extname = 'apibase'
    ), dependent AS (
        SELECT DISTINCT d.classid, d.objid
        FROM pg_catalog.pg_depend d JOIN member m ON d.refclassid = m.classid AND d.refobjid = m.objid
        WHERE d.deptype IN ('n', 'a')
            AND NOT EXISTS (SELECT 1 FROM member own WHERE own.classid = d.classid AND own.objid = d.objid)
    ), tree AS (
        SELECT CASE WHEN r.rulename <> '_RETURN' THEN 'rule'
                    WHEN c.relkind = 'm' THEN 'materialized view' ELSE 'view' END AS kind,
               CASE WHEN r.rulename = '_RETURN' THEN 'pg_catalog.pg_class'::pg_catalog.regclass ELSE d.classid END AS classid,
               CASE WHEN r.rulename = '_RETURN' THEN c.oid ELSE r.oid END AS objid, 0 AS objsubid,
               c.relowner AS author, t.tree
        FROM dependent d
        JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
        JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
        CROSS JOIN LATERAL (VALUES (r.ev_action), (r.ev_qual)) t(tree)
      UNION ALL
        SELECT 'policy', d.classid, d.objid, 0, c.relowner, t.tree
        FROM dependent d
        JOIN pg_catalog.pg_policy p ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = d.objid
        JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
        CROSS JOIN LATERAL (VALUES (p.polqual), (p.polwithcheck)) t(tree)
      UNION ALL
        SELECT 'check constraint', d.classid, d.objid, 0, COALESCE(c.relowner, y.typowner), k.conbin
        FROM dependent d
        JOIN pg_catalog.pg_constraint k
            ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid AND k.contype = 'c'
        LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        LEFT JOIN pg_catalog.pg_type y ON y.oid = k.contypid
        WHERE k.coninhcount = 0 OR k.conislocal
      UNION ALL
        SELECT 'index', d.classid, d.objid, 0, c.relowner, t.tree
        FROM dependent d
        JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        CROSS JOIN LATERAL (VALUES (i.indexprs), (i.indpred)) t(tree)
        WHERE NOT c.relispartition
      UNION ALL
        SELECT 'trigger', d.classid, d.objid, 0, c.relowner, g.tgqual
        FROM dependent d
        JOIN pg_catalog.pg_trigger g
            ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND g.oid = d.objid AND g.tgparentid = 0
        JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
      UNION ALL
        SELECT CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated column' END,
               'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum::integer, c.relowner, f.adbin
        FROM dependent d
        JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
        JOIN pg_catalog.pg_class c ON c.oid = f.adrelid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
      UNION ALL
        SELECT 'function', d.classid, d.objid, 0, p.proowner, p.prosqlbody
        FROM dependent d
        JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid
    ), body AS (
        SELECT p.oid, p.proowner, p.prosrc
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AND p.prosrc ~ '@@|spec|find'
            AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
            AND NOT EXISTS (SELECT 1 FROM member m
                            WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid)
    ), columns AS (
        SELECT a.attrelid, a.attnum
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
        WHERE c.relkind IN ('r', 'p', 'f', 'm') AND NOT a.attisdropped AND a.attnum > 0
            AND 'apibase.spec'::pg_catalog.regtype IN (y.oid, y.typelem, y.typbasetype)
            AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
    )
    SELECT x.kind, x.object, x.relation, x.specification, x.problem
    FROM (
        SELECT t.kind, o.identity AS object, u.relation, u.specification, u.problem
        FROM tree t
        CROSS JOIN LATERAL apibase_internal.spec_uses_in_tree(t.tree, t.author) u
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(t.classid, t.objid, t.objsubid) o
      UNION ALL
        SELECT 'function', o.identity, u.relation, u.specification, u.problem
        FROM body b
        CROSS JOIN LATERAL apibase_internal.spec_uses_in_body(b.prosrc, b.proowner) u
        CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_proc'::pg_catalog.regclass, b.oid, 0) o
      UNION ALL
        SELECT 'column', o.identity, c.attrelid::pg_catalog.regclass, NULL, NULL
        FROM columns c
        CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, c.attrelid, c.attnum::integer) o
    ) x
    ORDER BY x.kind COLLATE pg_catalog."C", x.object COLLATE pg_catalog."C", x.specification COLLATE pg_catalog."C";
END;

CREATE OR REPLACE FUNCTION apibase_internal.spec_stats(
    OUT inlined bigint, OUT opaque bigint, OUT find_calls bigint, OUT find_cache_hits bigint,
    OUT find_cache_evictions bigint)
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_stats';

CREATE OR REPLACE FUNCTION spec_stats_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_stats_reset';
