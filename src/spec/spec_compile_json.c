/*-------------------------------------------------------------------------
 *
 * spec_compile_json.c
 *	  Tests of paths into jsonb columns, which the document types.
 *
 * With x for the value at the path (x is NULL for a missing key):
 *
 *	= v				x = 'v'::jsonb, equal by type and value
 *	< v and so on	jsonb_typeof(x) = type of v AND x < 'v'::jsonb
 *	a typed v		CASE WHEN x is a JSON string
 *						 THEN its text, read as that type, op v ELSE false END
 *	< jsonb 'v'		x is not JSON null AND x < v, whatever the type of x
 *	like v, ~ v		jsonb_typeof(x) = 'string' AND its text LIKE v
 *	contains v		x @> '[v]'; contained_by: x a JSON array or object, and x <@ '[v]'
 *	overlaps v		jsonb_typeof(x) = 'array' AND (x @> '[first]' OR x @> ...)
 *
 * = and contains stay single operators, so that an expression index on x
 * serves them.  A negated test is the NOT of the same, by negators where the
 * result stays indexable.  spec_jsonb.c evaluates whole documents by the same
 * rules.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec_compile.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* jsonb_typeof(x) */
static Expr *
type_of(const ApibaseSpecField *field)
{
	return (Expr *) makeFuncExpr(F_JSONB_TYPEOF, TEXTOID, list_make1(copyObject(field->expr)),
								 DEFAULT_COLLATION_OID, InvalidOid, COERCE_EXPLICIT_CALL);
}

static Const *
text_const(const char *text)
{
	return makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(text), false, false);
}

/* jsonb_typeof(x) is one of the names; NULL when x is. */
static Expr *
is_type(const ApibaseSpecField *field, List *names, bool negated)
{
	ApibaseSpecOperator equal = apibase_spec_comparison(TEXTOID, InvalidOid, APIBASE_SPEC_EQ);
	ApibaseSpecField type = {.expr = type_of(field), .type = TEXTOID, .collation = DEFAULT_COLLATION_OID};
	List	   *constants = NIL;
	ListCell   *lc;

	foreach(lc, names)
		constants = lappend(constants, text_const(lfirst(lc)));
	if (list_length(constants) == 1)
		return apibase_spec_call(&equal, &type, linitial(constants), negated);
	return apibase_spec_call_any(&equal, &type, constants, negated);
}

/* guard AND test, or negated: NOT guard OR negated test */
static Expr *
guarded(const ApibaseSpecField *field, List *names, Expr *test, bool negated)
{
	List	   *exprs = list_make2(is_type(field, names, negated), test);

	return negated ? apibase_spec_or_exprs(exprs) : apibase_spec_and_exprs(exprs);
}

/* JSON null is no value: x is not JSON null AND test, or negated: x is JSON null OR negated test */
static Expr *
unless_null(const ApibaseSpecField *field, Expr *test, bool negated)
{
	List	   *exprs = list_make2(is_type(field, list_make1("null"), !negated), test);

	return negated ? apibase_spec_or_exprs(exprs) : apibase_spec_and_exprs(exprs);
}

/* Whether a jsonb constant is JSON null. */
static bool
is_json_null(const Const *constant)
{
	Jsonb	   *json = DatumGetJsonbP(constant->constvalue);
	JsonbValue	value;

	return JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &value) && value.type == jbvNull;
}

/* x operator constant, both jsonb */
static Expr *
jsonb_call(const ApibaseSpecField *field, const char *name, Const *right, bool negated)
{
	ApibaseSpecOperator operator;

	if (!apibase_spec_named_operator(JSONBOID, name, &operator))
		elog(ERROR, "jsonb has no operator %s", name);
	return apibase_spec_call(&operator, field, (Expr *) right, negated);
}

/* The path's text as a field of its own. */
static ApibaseSpecField
text_field(const ApibaseSpecField *field)
{
	ApibaseSpecField text = {.expr = field->text, .type = TEXTOID, .typmod = -1,
	.collation = DEFAULT_COLLATION_OID, .path = field->path, .unsettled = field->unsettled};

	return text;
}

/* A comparison with a typed literal: never NULL. */
static Expr *
typed_compare(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated, const ApibaseSpecValue *value)
{
	Const	   *right = apibase_spec_typed_literal(value, field);
	CoerceViaIO *cast = makeNode(CoerceViaIO);
	ApibaseSpecField typed = {.type = right->consttype, .typmod = -1,
	.collation = right->constcollid, .path = field->path};
	ApibaseSpecOperator operator = apibase_spec_comparison(right->consttype, InvalidOid, op);
	CaseWhen   *when = makeNode(CaseWhen);
	CaseExpr   *expr = makeNode(CaseExpr);

	cast->arg = copyObject(field->text);
	cast->resulttype = right->consttype;
	cast->resultcollid = right->constcollid;
	cast->coerceformat = COERCE_EXPLICIT_CAST;
	cast->location = -1;
	typed.expr = right->consttype == TEXTOID ? copyObject(field->text) : (Expr *) cast;

	when->expr = is_type(field, list_make1("string"), false);
	when->result = apibase_spec_call(&operator, &typed, (Expr *) right, false);
	when->location = -1;
	expr->casetype = BOOLOID;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeBoolConst(false, false);
	expr->location = -1;
	return negated ? make_notclause((Expr *) expr) : (Expr *) expr;
}

/* The JSON type that a literal has in a document. */
static char *
json_type(const ApibaseSpecValue *value)
{
	switch (value->kind)
	{
		case APIBASE_SPEC_NUMBER:
			return "number";
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			return "boolean";
		case APIBASE_SPEC_STRING:
			return "string";
		case APIBASE_SPEC_PARAM:
			apibase_spec_unbound(value);
		default:
			return "array";
	}
}

static bool
is_typed(const ApibaseSpecValue *value)
{
	return value->kind == APIBASE_SPEC_TYPED && apibase_spec_literal_type(value) != JSONBOID;
}

static Expr *
json_comparison(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated, const ApibaseSpecValue *value)
{
	ApibaseSpecOperator operator = apibase_spec_comparison(JSONBOID, InvalidOid, op);
	Const	   *right;
	Expr	   *test;

	if (is_typed(value))
		return typed_compare(field, op, negated, value);
	right = apibase_spec_json_literal(value, field);
	test = apibase_spec_call(&operator, field, (Expr *) right, negated);
	if (op == APIBASE_SPEC_EQ && !is_json_null(right))
		return test;
	if (value->kind == APIBASE_SPEC_TYPED)
		return unless_null(field, test, negated);
	return guarded(field, list_make1(json_type(value)), test, negated);
}

static Expr *
json_between_test(const ApibaseSpecField *field, List *values, bool negated)
{
	List	   *tests = list_make2(json_comparison(field, APIBASE_SPEC_GE, negated, linitial(values)),
								   json_comparison(field, APIBASE_SPEC_LE, negated, lsecond(values)));

	return negated ? apibase_spec_or_exprs(tests) : apibase_spec_and_exprs(tests);
}

static Expr *
json_in_test(const ApibaseSpecField *field, List *values, bool negated)
{
	ApibaseSpecOperator equal = apibase_spec_comparison(JSONBOID, InvalidOid, APIBASE_SPEC_EQ);
	List	   *constants = NIL;
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, values)
	{
		ApibaseSpecValue *value = lfirst(lc);
		Const	   *right;

		if (value->kind == APIBASE_SPEC_NULL)
			continue;
		if (is_typed(value))
		{
			tests = lappend(tests, typed_compare(field, APIBASE_SPEC_EQ, negated, value));
			continue;
		}
		right = apibase_spec_json_literal(value, field);
		if (!is_json_null(right))	/* which no value equals */
			constants = lappend(constants, right);
	}
	if (list_length(constants) == 1)
		tests = lcons(apibase_spec_call(&equal, field, linitial(constants), negated), tests);
	else if (constants != NIL)
		tests = lcons(apibase_spec_call_any(&equal, field, constants, negated), tests);
	return negated ? apibase_spec_and_exprs(tests) : apibase_spec_or_exprs(tests);
}

/* like, ilike, ~, ~*, starts_with: on JSON strings */
static Expr *
json_pattern_test(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated, const ApibaseSpecValue *value)
{
	ApibaseSpecField text = text_field(field);

	return guarded(field, list_make1("string"), apibase_spec_operator_test(&text, op, negated, value), negated);
}

/* A value as what contains and its kin take, in jsonb: an array, of one element if it is not one itself, or jsonb '...'. */
Const *
apibase_spec_json_array(const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	if (value->kind != APIBASE_SPEC_ARRAY && (value->kind != APIBASE_SPEC_TYPED || is_typed(value)))
		value = apibase_spec_make_array_value(list_make1(unconstify(ApibaseSpecValue *, value)));
	return apibase_spec_json_literal(value, field);
}

/* The elements of a value of overlaps. */
List *
apibase_spec_json_elements(const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	if (value->kind == APIBASE_SPEC_TYPED && !is_typed(value))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("overlaps on the jsonb path %s needs an array", apibase_spec_path_text(field->path)),
				 errhint("Write array[...].")));
	return value->kind == APIBASE_SPEC_ARRAY ? value->elements :
		list_make1(unconstify(ApibaseSpecValue *, value));
}

static Expr *
json_overlaps_test(const ApibaseSpecField *field, const ApibaseSpecValue *value, bool negated)
{
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, apibase_spec_json_elements(value, field))
		tests = lappend(tests, jsonb_call(field, "@>", apibase_spec_json_array(lfirst(lc), field), negated));
	return guarded(field, list_make1("array"),
				   negated ? apibase_spec_and_exprs(tests) : apibase_spec_or_exprs(tests), negated);
}

/* x @> v */
static Expr *
json_contains_test(const ApibaseSpecField *field, const ApibaseSpecValue *value, bool negated)
{
	Const	   *right = apibase_spec_json_array(value, field);
	Expr	   *test = jsonb_call(field, "@>", right, negated);

	return is_json_null(right) ? unless_null(field, test, negated) : test;
}

Expr *
apibase_spec_json_test(const ApibaseSpecField *field, const ApibaseSpecNode *clause, bool negated)
{
	switch (clause->op)
	{
		case APIBASE_SPEC_IN:
			return json_in_test(field, clause->values, negated);
		case APIBASE_SPEC_BETWEEN:
			return json_between_test(field, clause->values, negated);
		case APIBASE_SPEC_CONTAINS:
			return json_contains_test(field, linitial(clause->values), negated);
		case APIBASE_SPEC_CONTAINED_BY:
			return guarded(field, list_make2("array", "object"),
						   jsonb_call(field, "<@", apibase_spec_json_array(linitial(clause->values), field), negated),
						   negated);
		case APIBASE_SPEC_OVERLAPS:
			return json_overlaps_test(field, linitial(clause->values), negated);
		case APIBASE_SPEC_LIKE:
		case APIBASE_SPEC_ILIKE:
		case APIBASE_SPEC_STARTS_WITH:
		case APIBASE_SPEC_MATCH:
		case APIBASE_SPEC_IMATCH:
			return json_pattern_test(field, clause->op, negated, linitial(clause->values));
		default:
			return json_comparison(field, clause->op, negated, linitial(clause->values));
	}
}
