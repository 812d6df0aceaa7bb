/*-------------------------------------------------------------------------
 *
 * spec_gin.c
 *	  GIN indexes for specifications over jsonb documents.
 *
 * doc @@ spec stays a call: walking the document is faster than the native
 * operators would be.  But where doc has a GIN index that serves @>, whatever
 * the specification demands of a key by = or contains becomes a condition for
 * the index:
 *
 *		doc @@ 'status = ''open'' and price > 10'
 *		doc @> '{"status": "open"}'
 *
 * The condition is lossy: the call is evaluated again for what the index finds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec_support.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "utils/fmgrprotos.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

/* jsonb @> jsonb; pg_operator.dat gives it no symbol */
#define JSONB_CONTAINS_OP	3246

/* The value that the clause demands, as JSON, in objects along its path; false if it demands none. */
static bool
append_demand(StringInfo buf, const ApibaseSpecNode *clause)
{
	ApibaseSpecValue *value;
	ApibaseSpecField field = {.path = clause->path};
	int			depth = 0;
	ListCell   *lc;

	if (clause->negated || (clause->op != APIBASE_SPEC_EQ && clause->op != APIBASE_SPEC_CONTAINS))
		return false;
	value = linitial(clause->values);
	if (value->kind == APIBASE_SPEC_PARAM || value->kind == APIBASE_SPEC_TYPED ||
		(clause->op == APIBASE_SPEC_CONTAINS && value->kind != APIBASE_SPEC_ARRAY) ||
		(clause->op == APIBASE_SPEC_EQ && value->kind == APIBASE_SPEC_ARRAY))
		return false;

	foreach(lc, clause->path)
	{
		ApibaseSpecStep *step = lfirst(lc);

		if (step->name == NULL)
			return false;		/* @> does not look at positions */
		appendStringInfoChar(buf, '{');
		escape_json(buf, step->name);
		appendStringInfoChar(buf, ':');
		depth++;
	}
	appendStringInfoString(buf, DatumGetCString(DirectFunctionCall1(jsonb_out, apibase_spec_json_literal(value, &field)->constvalue)));
	while (depth-- > 0)
		appendStringInfoChar(buf, '}');
	return true;
}

/* document @> what the clause demands, added to conditions. */
static List *
add_condition(List *conditions, const ApibaseSpecNode *clause, Node *document)
{
	StringInfoData buf;
	Const	   *demand;

	initStringInfo(&buf);
	if (clause->kind != APIBASE_SPEC_CLAUSE || !append_demand(&buf, clause))
		return conditions;
	demand = makeConst(JSONBOID, -1, InvalidOid, -1,
					   DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)), false, false);
	return lappend(conditions, make_opclause(JSONB_CONTAINS_OP, BOOLOID, false, copyObject((Expr *) document),
											 (Expr *) demand, InvalidOid, InvalidOid));
}

/* Answer of the support function of is_satisfied_by(): conditions for an index on the document, or NIL. */
List *
apibase_spec_index_conditions(SupportRequestIndexCondition *request)
{
	List	   *args = is_opclause(request->node) ? ((OpExpr *) request->node)->args :
		is_funcclause(request->node) ? ((FuncExpr *) request->node)->args : NIL;
	Node	   *document;
	Const	   *spec;
	ApibaseSpecNode *node;
	List	   *conditions = NIL;
	ListCell   *lc;

	if (list_length(args) != 2 || request->indexarg != 0 || !IsA(lsecond(args), Const))
		return NIL;
	document = linitial(args);
	spec = lsecond(args);
	if (exprType(document) != JSONBOID || spec->constisnull ||
		!op_in_opfamily(JSONB_CONTAINS_OP, request->opfamily))
		return NIL;

	node = apibase_spec_decode(DatumGetApibaseSpecP(spec->constvalue));
	if (node->kind != APIBASE_SPEC_AND)
		return add_condition(NIL, node, document);
	foreach(lc, node->args)
		conditions = add_condition(conditions, lfirst(lc), document);
	return conditions;
}
