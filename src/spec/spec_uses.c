/*-------------------------------------------------------------------------
 *
 * spec_uses.c
 *	  spec_uses(): specifications in stored expressions.
 *
 * The SQL function spec_uses() finds in pg_depend what depends on the
 * extension: views, policies, constraints, indexes, triggers, defaults and
 * SQL functions with a parsed body.  This file walks their stored trees.  A
 * function or operator whose first two parameters are (anyelement, spec), as
 * is_satisfied_by, @@, find and find_count, applies a specification to a row:
 * the type of the row tells the relation.  Any other constant of type spec is
 * reported without a relation.  Function bodies that are text are read by
 * spec_uses_body.c.
 *
 * A specification that is not a constant itself but made of constants by this
 * extension's functions, such as where('price', 'ge', 10), is evaluated.
 *
 * Compiling can run code of the object's author: constraints of a domain, say.
 * It is done with the author's rights and as a security-restricted operation,
 * as the server does for ANALYZE and REINDEX; where the author is a superuser,
 * with the rights of the relation's owner.  Who has not the author's rights
 * gets no rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "spec/spec.h"
#include "spec/spec_report.h"
#include "spec/spec_uses.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(apibase_spec_uses_in_tree);

/* A specification found in a tree. */
typedef struct FoundSpec
{
	ApibaseSpecUses *uses;
	Node	   *expr;			/* of type spec */
	Oid			rowtype;		/* that it is applied to, or InvalidOid */
	Oid			relid;			/* whose rows have that type, or InvalidOid */
	char	   *text;			/* result; NULL: not a constant */
} FoundSpec;

/* ---------- rows ---------- */

bool
apibase_spec_uses_begin(FunctionCallInfo fcinfo, ApibaseSpecUses *uses)
{
	InitMaterializedSRF(fcinfo, 0);
	uses->result = (ReturnSetInfo *) fcinfo->resultinfo;
	uses->author = PG_GETARG_OID(1);
	uses->spec_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("spec"),
									  ObjectIdGetDatum(get_namespace_oid("apibase", false)));
	return has_privs_of_role(GetUserId(), uses->author);
}

void
apibase_spec_uses_put(ApibaseSpecUses *uses, Oid relid, const char *text, const char *problem)
{
	Datum		values[3] = {0};
	bool		nulls[3];

	nulls[0] = !OidIsValid(relid);
	nulls[1] = text == NULL;
	nulls[2] = problem == NULL;
	values[0] = ObjectIdGetDatum(relid);
	if (text)
		values[1] = CStringGetTextDatum(text);
	if (problem)
		values[2] = CStringGetTextDatum(problem);
	tuplestore_putvalues(uses->result->setResult, uses->result->setDesc, values, nulls);
}

/* ---------- looking closer ---------- */

/* Whether a function belongs to this extension; the checker of check_functions_in_node wants the negation. */
static bool
is_foreign_function(Oid funcid, void *context)
{
	return getExtensionOfObject(ProcedureRelationId, funcid) != get_extension_oid("apibase", false);
}

/* Whether an expression is anything but constants and calls of this extension's functions. */
static bool
is_not_foldable(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_CoerceViaIO:
		case T_Const:
		case T_List:
		case T_NamedArgExpr:
		case T_RelabelType:
		case T_ArrayExpr:
			break;
		case T_FuncExpr:
		case T_OpExpr:
			if (check_functions_in_node(node, is_foreign_function, NULL))
				return true;
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, is_not_foldable, context);
}

/* The specification that an expression is, or NULL. */
static Const *
fold_spec(Node *expr, Oid spec_type)
{
	if (!IsA(expr, Const))
	{
		if (is_not_foldable(expr, NULL))
			return NULL;
		expr = eval_const_expressions(NULL, copyObject(expr));
		if (!IsA(expr, Const))
			expr = (Node *) evaluate_expr((Expr *) expr, spec_type, -1, InvalidOid);
	}
	return castNode(Const, expr)->constisnull ? NULL : (Const *) expr;
}

/* Whose rights are used to compile. */
static Oid
compiling_user(const FoundSpec *found)
{
	Oid			author = found->uses->author;
	HeapTuple	tuple;
	Oid			owner;

	if (!superuser_arg(author) || !OidIsValid(found->relid))
		return author;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(found->relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", found->relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Find out the text, and compile; for apibase_spec_try, which also restores the user after an error. */
static void
examine(void *arg)
{
	FoundSpec  *found = arg;
	Oid			user;
	int			security;
	int			guc_level = NewGUCNestLevel();
	Const	   *con;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(compiling_user(found), security | SECURITY_RESTRICTED_OPERATION);

	con = fold_spec(found->expr, found->uses->spec_type);
	if (con != NULL)
	{
		ApibaseSpecNode *node = apibase_spec_decode(DatumGetApibaseSpecP(con->constvalue));
		StringInfoData text;

		initStringInfo(&text);
		apibase_spec_append_text(&text, node);
		found->text = text.data;
		if (OidIsValid(found->rowtype))
			apibase_spec_compile(node, apibase_spec_row_for_type(found->rowtype, -1), false);
	}

	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);
}

/* Report a specification that is applied to a row of a type, or to nothing that is known. */
static void
report(ApibaseSpecUses *uses, Node *expr, Node *row)
{
	FoundSpec	found = {.uses = uses, .expr = expr};
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	if (row != NULL)
	{
		Oid			type = getBaseType(exprType(row));

		if (type != RECORDOID && type_is_rowtype(type))
		{
			found.rowtype = type;
			found.relid = get_typ_typrelid(type);
		}
	}
	error = apibase_spec_try(examine, &found);
	if (found.text != NULL || error != NULL)
		apibase_spec_uses_put(uses, found.relid, found.text, error ? error->message : NULL);
}

/* ---------- walking ---------- */

/* Whether a function's first two parameters are (anyelement, spec). */
static bool
applies_spec(Oid funcid, Oid spec_type)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Form_pg_proc form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = form->pronargs >= 2 && form->proargtypes.values[0] == ANYELEMENTOID &&
		form->proargtypes.values[1] == spec_type;
	ReleaseSysCache(tuple);
	return result;
}

/* Report the specifications below a node. */
static bool
find_specs(Node *node, void *context)
{
	ApibaseSpecUses *uses = context;
	Oid			funcid = InvalidOid;
	List	   *args = NIL;

	if (node == NULL)
		return false;
	check_stack_depth();
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_specs, context, 0);
	if (IsA(node, FuncExpr))
	{
		funcid = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else if (IsA(node, OpExpr))
	{
		funcid = get_opcode(((OpExpr *) node)->opno);
		args = ((OpExpr *) node)->args;
	}

	if (list_length(args) >= 2 && applies_spec(funcid, uses->spec_type) && !is_not_foldable(lsecond(args), NULL))
	{
		report(uses, lsecond(args), linitial(args));
		find_specs(linitial(args), context);
		for (int i = 2; i < list_length(args); i++)
			find_specs(list_nth(args, i), context);
		return false;
	}
	if (IsA(node, Const) && ((Const *) node)->consttype == uses->spec_type)
		report(uses, node, NULL);
	return expression_tree_walker(node, find_specs, context);
}

/* apibase_internal.spec_uses_in_tree(tree pg_node_tree, author oid) */
Datum
apibase_spec_uses_in_tree(PG_FUNCTION_ARGS)
{
	ApibaseSpecUses uses;

	if (apibase_spec_uses_begin(fcinfo, &uses))
		find_specs(stringToNode(TextDatumGetCString(PG_GETARG_DATUM(0))), &uses);
	return (Datum) 0;
}
