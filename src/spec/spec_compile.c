/*-------------------------------------------------------------------------
 *
 * spec_compile.c
 *	  The compiler of specifications: from a tree to one Boolean expression.
 *
 * NOT is pushed to the clauses, so that the result holds only AND, OR and
 * leaves, and leaves of the kind that indexes know: not (a < 5) becomes
 * a >= 5 OR a IS NULL, which is a BitmapOr of two index scans, while
 * (a < 5) IS NOT TRUE is never indexable.
 *
 * A leaf starts as a test, which is NULL for a NULL field, and is made
 * two-valued:
 *
 *		positive	test AND field IS NOT NULL
 *		negative	negated test OR field IS NULL
 *
 * The null test is left out where the field cannot be NULL.  A positive one is
 * left out too where the whole expression is a filter: NOT is gone, so a NULL
 * leaf can only make the whole false or NULL, and a filter treats these alike.
 * That gives the conditions, and the estimates, of the SQL that a person would
 * have written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec_compile.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

typedef struct CompileContext
{
	ApibaseSpecRow *row;
	bool		filter;
} CompileContext;

/* ---------- AND, OR, NOT over expressions ---------- */

/*
 * Combine expressions flatly; true and false are dropped or decide.  NULL does
 * neither: it stands here where a row has it as the constant of a column.
 */
static Expr *
combine(BoolExprType type, List *exprs)
{
	List	   *args = NIL;
	bool		neutral = type == AND_EXPR;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		Expr	   *expr = lfirst(lc);

		if (IsA(expr, Const) && !((Const *) expr)->constisnull)
		{
			if (DatumGetBool(((Const *) expr)->constvalue) != neutral)
				return expr;
		}
		else if (IsA(expr, BoolExpr) && ((BoolExpr *) expr)->boolop == type)
			args = list_concat(args, ((BoolExpr *) expr)->args);
		else
			args = lappend(args, expr);
	}
	if (args == NIL)
		return (Expr *) makeBoolConst(neutral, false);
	if (list_length(args) == 1)
		return linitial(args);
	return makeBoolExpr(type, args, -1);
}

Expr *
apibase_spec_and_exprs(List *exprs)
{
	return combine(AND_EXPR, exprs);
}

Expr *
apibase_spec_or_exprs(List *exprs)
{
	return combine(OR_EXPR, exprs);
}

Expr *
apibase_spec_not_expr(Expr *expr)
{
	if (IsA(expr, Const) && !((Const *) expr)->constisnull)
		return (Expr *) makeBoolConst(!DatumGetBool(((Const *) expr)->constvalue), false);
	return make_notclause(expr);
}

/* ---------- clauses ---------- */

/*
 * field IS [NOT] NULL.  JSON null counts: ->> gives NULL for it.  Of a
 * composite value it means the value, not SQL's "all its fields".
 */
static Expr *
null_test(const ApibaseSpecField *field, NullTestType type)
{
	NullTest   *test;

	if (field->notnull)
		return (Expr *) makeBoolConst(type == IS_NOT_NULL, false);
	test = makeNode(NullTest);
	test->arg = copyObject(field->json ? field->text : field->expr);
	test->nulltesttype = type;
	test->argisrow = false;
	test->location = -1;
	return (Expr *) test;
}

/* The SQL NULL of a path into jsonb is a missing key only: what makes a test NULL. */
static Expr *
missing_test(const ApibaseSpecField *field, NullTestType type)
{
	ApibaseSpecField value = *field;

	value.json = false;
	return null_test(&value, type);
}

/* See the head of the file. */
static Expr *
two_valued(const CompileContext *context, const ApibaseSpecField *field, Expr *test, bool negated)
{
	if (negated)
		return apibase_spec_or_exprs(list_make2(test, missing_test(field, IS_NULL)));
	if (context->filter && !IsA(test, Const))
		return test;
	return apibase_spec_and_exprs(list_make2(test, missing_test(field, IS_NOT_NULL)));
}

/* x between a and b */
static Expr *
between_test(const ApibaseSpecField *field, List *values, bool negated)
{
	List	   *tests = list_make2(apibase_spec_compare(field, APIBASE_SPEC_GE, negated, linitial(values)),
								   apibase_spec_compare(field, APIBASE_SPEC_LE, negated, lsecond(values)));

	return negated ? apibase_spec_or_exprs(tests) : apibase_spec_and_exprs(tests);
}

/* x in (...): a chain of eq, so a NULL in the list accepts NULL fields. */
static Expr *
compile_in(const CompileContext *context, const ApibaseSpecField *field, const ApibaseSpecNode *clause, bool negated)
{
	Expr	   *test = field->json ? apibase_spec_json_test(field, clause, negated) :
		apibase_spec_in_test(field, clause->values, negated);
	bool		has_null = false;
	ListCell   *lc;

	foreach(lc, clause->values)
		has_null |= ((ApibaseSpecValue *) lfirst(lc))->kind == APIBASE_SPEC_NULL;
	if (!has_null)
		return two_valued(context, field, test, negated);
	if (negated)
		return apibase_spec_and_exprs(list_make2(test, null_test(field, IS_NOT_NULL)));
	return apibase_spec_or_exprs(list_make2(test, null_test(field, IS_NULL)));
}

static Expr *
compile_clause(const CompileContext *context, const ApibaseSpecNode *clause, bool negated)
{
	ApibaseSpecField field;
	Expr	   *test;

	apibase_spec_resolve_field(context->row, clause->path, &field);

	if (clause->op == APIBASE_SPEC_IS_NULL)
		return null_test(&field, negated ? IS_NOT_NULL : IS_NULL);
	if (clause->op == APIBASE_SPEC_IN)
		return compile_in(context, &field, clause, negated);

	if (field.json)
		test = apibase_spec_json_test(&field, clause, negated);
	else if (clause->op == APIBASE_SPEC_BETWEEN)
		test = between_test(&field, clause->values, negated);
	else if (clause->op <= APIBASE_SPEC_GE)
		test = apibase_spec_compare(&field, clause->op, negated, linitial(clause->values));
	else
		test = apibase_spec_operator_test(&field, clause->op, negated, linitial(clause->values));
	return two_valued(context, &field, test, negated);
}

/* ---------- trees ---------- */

static Expr *
compile_node(const CompileContext *context, const ApibaseSpecNode *node, bool negated)
{
	List	   *exprs = NIL;
	ListCell   *lc;

	check_stack_depth();
	switch (node->kind)
	{
		case APIBASE_SPEC_BOOL:
			return (Expr *) makeBoolConst(node->value != negated, false);
		case APIBASE_SPEC_CLAUSE:
			CHECK_FOR_INTERRUPTS();
			return compile_clause(context, node, node->negated != negated);
		case APIBASE_SPEC_NOT:
			return compile_node(context, linitial(node->args), !negated);
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			/* all of them, also below a constant: what is wrong must be said */
			foreach(lc, node->args)
				exprs = lappend(exprs, compile_node(context, lfirst(lc), negated));
			return (node->kind == APIBASE_SPEC_AND) != negated ?
				apibase_spec_and_exprs(exprs) : apibase_spec_or_exprs(exprs);
	}
	elog(ERROR, "unrecognized kind of specification node: %d", (int) node->kind);
	return NULL;				/* keep compiler quiet */
}

/* Compile a specification against a row; see spec.h. */
Expr *
apibase_spec_compile(const ApibaseSpecNode *node, ApibaseSpecRow *row, bool filter)
{
	CompileContext context = {.row = row, .filter = filter};

	return compile_node(&context, node, false);
}
