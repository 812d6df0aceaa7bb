/*-------------------------------------------------------------------------
 *
 * spec_build.c
 *	  Specifications made by SQL functions: spec(), bind(), where(), build(),
 *	  the combinators, and their planner support.
 *
 * Values come as VARIADIC "any", also as one array after an explicit VARIADIC,
 * and become literals of the tree (spec_datum.c); no text is ever spliced.
 *
 * These functions are STABLE, because a value's output function may be.  Where
 * that is not so and the arguments are constants, the support function has the
 * call evaluated by the planner: then the operator @@ above it sees a constant
 * specification, and is inlined.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "core/errors.h"
#include "spec/spec.h"

PG_FUNCTION_INFO_V1(apibase_spec_of_text);
PG_FUNCTION_INFO_V1(apibase_spec_bind);
PG_FUNCTION_INFO_V1(apibase_spec_where);
PG_FUNCTION_INFO_V1(apibase_spec_and_where);
PG_FUNCTION_INFO_V1(apibase_spec_or_where);
PG_FUNCTION_INFO_V1(apibase_spec_build);
PG_FUNCTION_INFO_V1(apibase_spec_and);
PG_FUNCTION_INFO_V1(apibase_spec_or);
PG_FUNCTION_INFO_V1(apibase_spec_not);
PG_FUNCTION_INFO_V1(apibase_spec_all);
PG_FUNCTION_INFO_V1(apibase_spec_any);
PG_FUNCTION_INFO_V1(apibase_spec_fields);
PG_FUNCTION_INFO_V1(apibase_spec_depth);
PG_FUNCTION_INFO_V1(apibase_spec_clauses);
PG_FUNCTION_INFO_V1(apibase_spec_build_support);
PG_FUNCTION_INFO_V1(apibase_spec_build_check_support);

/* ---------- arguments ---------- */

/* Values given to a function, and whether each was declared as an array. */
typedef struct Values
{
	int			count;
	ApibaseSpecValue **values;
	bool	   *arrays;
} Values;

static void
allocate_values(Values *values, int count)
{
	values->count = count;
	values->values = palloc(Max(count, 1) * sizeof(ApibaseSpecValue *));
	values->arrays = palloc0(Max(count, 1) * sizeof(bool));
}

/* The elements of the array after an explicit VARIADIC; none when it is NULL. */
static void
get_variadic_array(FunctionCallInfo fcinfo, int arg, Values *values)
{
	Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, arg));
	Oid			element_type = get_element_type(type);
	ArrayType  *array;
	Datum	   *datums;
	bool	   *nulls;
	int			count;
	int16		length;
	bool		byval;
	char		align;

	allocate_values(values, 0);
	if (PG_ARGISNULL(arg))
		return;
	if (!OidIsValid(element_type))
		elog(ERROR, "VARIADIC argument must be an array");
	array = PG_GETARG_ARRAYTYPE_P(arg);
	get_typlenbyvalalign(element_type, &length, &byval, &align);
	deconstruct_array(array, element_type, length, byval, align, &datums, &nulls, &count);
	allocate_values(values, count);
	for (int i = 0; i < count; i++)
		values->values[i] = apibase_spec_value_of_datum(datums[i], element_type, nulls[i]);
}

/* The values from argument number first on. */
static void
get_values(FunctionCallInfo fcinfo, int first, Values *values)
{
	if (PG_NARGS() > first && get_fn_expr_variadic(fcinfo->flinfo))
	{
		get_variadic_array(fcinfo, first, values);
		return;
	}
	allocate_values(values, Max(PG_NARGS() - first, 0));
	for (int i = 0; i < values->count; i++)
	{
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, first + i);

		if (!OidIsValid(type))
			elog(ERROR, "could not determine data type of argument %d", first + i + 1);
		values->values[i] = apibase_spec_value_of_datum(PG_GETARG_DATUM(first + i), type,
														PG_ARGISNULL(first + i));
		values->arrays[i] = OidIsValid(get_element_type(getBaseType(type)));
	}
}

/* A text argument that must be there. */
static char *
get_name(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* ---------- binding ---------- */

/* The value of a parameter. */
static ApibaseSpecValue *
bound_value(const ApibaseSpecValue *param, const Values *values)
{
	return values->values[param->param - 1];
}

/* The elements of an array literal, with parameters replaced. */
static List *
bind_elements(const List *elements, const Values *values)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, elements)
	{
		ApibaseSpecValue *element = lfirst(lc);

		if (element->kind == APIBASE_SPEC_PARAM)
		{
			int			param = element->param;

			element = bound_value(element, values);
			if (element->kind == APIBASE_SPEC_ARRAY)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("parameter $%d is an element of an array and cannot be an array", param)));
		}
		result = lappend(result, element);
	}
	return result;
}

/* The values of "in" where an array was given in the place of all: its elements. */
static List *
spread(const List *path, ApibaseSpecValue *value, bool is_array)
{
	if (value->kind == APIBASE_SPEC_ARRAY)
		return value->elements;
	if (value->kind == APIBASE_SPEC_NULL && is_array)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("field %s: the array of values for operator \"in\" must not be null",
						apibase_spec_path_text(path))));
	return list_make1(value);
}

/* A clause with its parameters replaced. */
static ApibaseSpecNode *
bind_clause(const ApibaseSpecNode *clause, const Values *values)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, clause->values)
	{
		ApibaseSpecValue *value = lfirst(lc);

		if (value->kind == APIBASE_SPEC_ARRAY)
			value = apibase_spec_make_array_value(bind_elements(value->elements, values));
		else if (value->kind == APIBASE_SPEC_PARAM && clause->op == APIBASE_SPEC_IN &&
				 list_length(clause->values) == 1)
		{
			result = spread(clause->path, bound_value(value, values), values->arrays[value->param - 1]);
			break;
		}
		else if (value->kind == APIBASE_SPEC_PARAM)
			value = bound_value(value, values);
		result = lappend(result, value);
	}
	return apibase_spec_make_clause(clause->path, clause->op, clause->negated, result);
}

/* A tree with its parameters replaced. */
static ApibaseSpecNode *
bind_node(const ApibaseSpecNode *node, const Values *values)
{
	ApibaseSpecNode *result;
	ListCell   *lc;

	check_stack_depth();
	if (node->kind == APIBASE_SPEC_CLAUSE)
		return bind_clause(node, values);
	result = palloc(sizeof(ApibaseSpecNode));
	*result = *node;
	result->args = NIL;
	foreach(lc, node->args)
		result->args = lappend(result->args, bind_node(lfirst(lc), values));
	return result;
}

/* What a specification takes and what it was given, as the detail of an error. */
static int
count_detail(const ApibaseSpec *spec, const Values *values)
{
	if (spec->nparams == 0)
		return errdetail("The specification has no parameters, and the number of values is %d.", values->count);
	return errdetail("The parameters of the specification go up to $%d, and the number of values is %d.",
					 spec->nparams, values->count);
}

/* Bind values to the parameters of a specification: as many as it has. */
static ApibaseSpec *
bind(const ApibaseSpec *spec, const Values *values)
{
	if (values->count < spec->nparams)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_UNBOUND_PARAMETER),
				 errmsg("no value for parameter $%d", values->count + 1),
				 count_detail(spec, values)));
	if (values->count > spec->nparams)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no parameter for value %d", spec->nparams + 1),
				 count_detail(spec, values)));
	return apibase_spec_encode(bind_node(apibase_spec_decode(spec), values));
}

/* spec(text), spec(text, VARIADIC "any") */
Datum
apibase_spec_of_text(PG_FUNCTION_ARGS)
{
	Values		values;
	char	   *form;
	ApibaseSpec *spec;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	form = text_to_cstring(PG_GETARG_TEXT_PP(0));
	spec = apibase_spec_encode(apibase_spec_read(form));
	if (PG_NARGS() > 1)
	{
		get_values(fcinfo, 1, &values);
		spec = bind(spec, &values);
	}
	PG_RETURN_POINTER(spec);
}

/* bind(spec, VARIADIC "any") */
Datum
apibase_spec_bind(PG_FUNCTION_ARGS)
{
	Values		values;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	get_values(fcinfo, 1, &values);
	PG_RETURN_POINTER(bind(PG_GETARG_APIBASE_SPEC_P(0), &values));
}

/* ---------- where ---------- */

/* The clause that the arguments from number first on say: field, operator, values. */
static ApibaseSpecNode *
clause_of_arguments(FunctionCallInfo fcinfo, int first)
{
	List	   *path = apibase_spec_parse_path(get_name(fcinfo, first, "field"), false);
	char	   *name = get_name(fcinfo, first + 1, "operator");
	ApibaseSpecOp op = APIBASE_SPEC_EQ;
	bool		negated;
	Values		values;
	List	   *list = NIL;
	ApibaseSpecNode *node;
	char	   *problem;
	const char *hint;

	get_values(fcinfo, first + 2, &values);
	for (int i = 0; i < values.count; i++)
		list = lappend(list, values.values[i]);
	if (values.count == 1 && apibase_spec_op_by_name(name, &op, &negated) && op == APIBASE_SPEC_IN)
		list = spread(path, linitial(list), values.arrays[0]);
	node = apibase_spec_make_named_clause(path, name, list, &problem, &hint);
	if (node == NULL)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_SPECIFICATION),
				 errmsg("field %s: %s", apibase_spec_path_text(path), problem),
				 hint ? errhint("%s", hint) : 0));
	return node;
}

/* where(field, op), where(field, op, VARIADIC "any") */
Datum
apibase_spec_where(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(apibase_spec_encode(clause_of_arguments(fcinfo, 0)));
}

/* The first argument, if it is there, joined with the clause that the others say. */
static ApibaseSpec *
join_clause(FunctionCallInfo fcinfo, bool is_or)
{
	ApibaseSpecNode *clause = clause_of_arguments(fcinfo, 1);
	List	   *args;

	if (PG_ARGISNULL(0))
		return apibase_spec_encode(clause);
	args = list_make2(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0)), clause);
	return apibase_spec_encode(is_or ? apibase_spec_make_or(args) : apibase_spec_make_and(args));
}

/* and_where(spec, field, op[, VARIADIC "any"]) */
Datum
apibase_spec_and_where(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(join_clause(fcinfo, false));
}

/* or_where(spec, field, op[, VARIADIC "any"]) */
Datum
apibase_spec_or_where(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(join_clause(fcinfo, true));
}

/* Refuse a parameter among values. */
static void
check_values_bound(const List *values)
{
	ListCell   *lc;

	foreach(lc, values)
	{
		const ApibaseSpecValue *value = lfirst(lc);

		if (value->kind == APIBASE_SPEC_PARAM)
			apibase_spec_unbound(value);
		check_values_bound(value->elements);
	}
}

/* For apibase_spec_visit: refuse a clause with a parameter. */
static void
check_bound(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	check_values_bound(clause->values);
}

/* build(spec, relation): the specification, if nothing is left open and it fits the relation. */
Datum
apibase_spec_build(PG_FUNCTION_ARGS)
{
	ApibaseSpec *spec;
	ApibaseSpecNode *node;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	spec = PG_GETARG_APIBASE_SPEC_P(0);
	node = apibase_spec_decode(spec);
	if (spec->nparams > 0)
		apibase_spec_visit(node, check_bound, NULL);
	if (!PG_ARGISNULL(1))
		(void) apibase_spec_compile(node, apibase_spec_row_for_relation(PG_GETARG_OID(1)), false);
	PG_RETURN_POINTER(spec);
}

/* ---------- combinators ---------- */

/* AND or OR of two arguments; one that is NULL is left out. */
static Datum
combine_two(FunctionCallInfo fcinfo, bool is_or)
{
	List	   *args;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0));
	args = list_make2(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0)),
					  apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(1)));
	PG_RETURN_POINTER(apibase_spec_encode(is_or ? apibase_spec_make_or(args) : apibase_spec_make_and(args)));
}

/* spec_and(spec, spec) */
Datum
apibase_spec_and(PG_FUNCTION_ARGS)
{
	return combine_two(fcinfo, false);
}

/* spec_or(spec, spec) */
Datum
apibase_spec_or(PG_FUNCTION_ARGS)
{
	return combine_two(fcinfo, true);
}

/* spec_not(spec) */
Datum
apibase_spec_not(PG_FUNCTION_ARGS)
{
	ApibaseSpecNode *node = apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0));

	PG_RETURN_POINTER(apibase_spec_encode(apibase_spec_make_not(node)));
}

/* AND or OR of an array. NULL elements are left out; when that leaves none of some, the result is NULL. */
static Datum
combine_array(FunctionCallInfo fcinfo, bool is_or)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *datums;
	bool	   *nulls;
	int			count;
	List	   *args = NIL;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &datums, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			args = lappend(args, apibase_spec_decode(DatumGetApibaseSpecP(datums[i])));
	}
	if (count > 0 && args == NIL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(apibase_spec_encode(is_or ? apibase_spec_make_or(args) : apibase_spec_make_and(args)));
}

/* spec_all(VARIADIC spec[]) */
Datum
apibase_spec_all(PG_FUNCTION_ARGS)
{
	return combine_array(fcinfo, false);
}

/* spec_any(VARIADIC spec[]) */
Datum
apibase_spec_any(PG_FUNCTION_ARGS)
{
	return combine_array(fcinfo, true);
}

/* ---------- structure ---------- */

/* For apibase_spec_visit: add the field of a clause to a list, once. */
static void
add_field(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	List	  **fields = arg;
	char	   *field = apibase_spec_path_text(clause->path);
	ListCell   *lc;

	foreach(lc, *fields)
	{
		if (strcmp(lfirst(lc), field) == 0)
			return;
	}
	*fields = lappend(*fields, field);
}

/* spec_fields(spec) */
Datum
apibase_spec_fields(PG_FUNCTION_ARGS)
{
	List	   *fields = NIL;
	Datum	   *datums;
	ListCell   *lc;

	apibase_spec_visit(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0)), add_field, &fields);
	datums = palloc((list_length(fields) + 1) * sizeof(Datum));
	foreach(lc, fields)
		datums[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	PG_RETURN_ARRAYTYPE_P(construct_array(datums, list_length(fields), TEXTOID, -1, false, TYPALIGN_INT));
}

/* spec_depth(spec) */
Datum
apibase_spec_depth(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(apibase_spec_tree_depth(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0))));
}

/* For apibase_spec_visit: count. */
static void
count_clause(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	++*(int *) arg;
}

/* spec_clauses(spec) */
Datum
apibase_spec_clauses(PG_FUNCTION_ARGS)
{
	int			count = 0;

	apibase_spec_visit(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0)), count_clause, &count);
	PG_RETURN_INT32(count);
}

/* ---------- planner support ---------- */

/*
 * Do a call now that gives the same result later: its arguments are constants,
 * whose types say so, from number first on. NULL when they are not.
 */
static Expr *
evaluate_now(FuncExpr *call, int first)
{
	Expr	   *result;
	ListCell   *lc;

	foreach(lc, call->args)
	{
		Node	   *arg = lfirst(lc);

		if (!IsA(arg, Const))
			return NULL;
		if (foreach_current_index(lc) >= first && !apibase_spec_datum_is_stable(exprType(arg)))
			return NULL;
	}
	result = evaluate_expr((Expr *) call, call->funcresulttype, -1, call->funccollid);
	if (IsA(result, Const))
		((Const *) result)->location = call->location;
	return result;
}

/* Support function of spec(), bind(), where(), and_where() and or_where(). */
Datum
apibase_spec_build_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(evaluate_now(((SupportRequestSimplify *) request)->fcall, 0));
}

/* Support function of build(): the relation is checked now, and whenever the statement is planned again. */
Datum
apibase_spec_build_check_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(evaluate_now(((SupportRequestSimplify *) request)->fcall, 2));
}
