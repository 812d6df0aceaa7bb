/*-------------------------------------------------------------------------
 *
 * result_call.c
 *	  Calling a function by its OID; values to JSON.
 *
 * A callable is kept and used for many calls, in transactions that may fail,
 * and a function that is running may be called again through the same callable.
 * But what a function keeps between calls, in fn_extra, is for one call at a
 * time, and after an error it is in an unknown state.  So a call takes fn_extra
 * out of the callable and leaves a mark there: "in_use", with which an inner
 * call works without what is kept, or after an error "failed", with which the
 * next call begins anew.  For that the memory of fn_extra is in a context of
 * its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "result/result_call.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* The marks: their addresses are what counts. */
static char in_use;
static char failed;

/* The expression of a call, for functions that look at the types of their arguments. */
static FuncExpr *
call_expression(Oid function, Oid rettype, int nargs, const Oid *argtypes)
{
	List	   *args = NIL;
	Oid			collation = InvalidOid;

	for (int i = 0; i < nargs; i++)
	{
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXEC;
		param->paramid = i;
		param->paramtype = argtypes[i];
		param->paramtypmod = -1;
		param->paramcollid = get_typcollation(argtypes[i]);
		param->location = -1;
		args = lappend(args, param);
		if (!OidIsValid(collation))
			collation = param->paramcollid;
	}
	return makeFuncExpr(function, rettype, args, get_typcollation(rettype), collation, COERCE_EXPLICIT_CALL);
}

/* ---------- to jsonb ---------- */

void
apibase_to_jsonb_prepare(ApibaseToJsonb *to, Oid type, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	memset(to, 0, sizeof(*to));
	to->type = type;
	to->is_jsonb = getBaseType(type) == JSONBOID;
	if (!to->is_jsonb && type != VOIDOID)
	{
		fmgr_info_cxt(F_TO_JSONB, &to->to_jsonb, context);
		fmgr_info_set_expr((Node *) call_expression(F_TO_JSONB, JSONBOID, 1, &type), &to->to_jsonb);
	}
	MemoryContextSwitchTo(old);
}

Jsonb *
apibase_to_jsonb(ApibaseToJsonb *to, Datum value, bool isnull)
{
	if (isnull || to->type == VOIDOID)
		return NULL;
	if (to->is_jsonb)
		return DatumGetJsonbP(value);
	return DatumGetJsonbP(FunctionCall1(&to->to_jsonb, value));
}

/* ---------- preparing ---------- */

static void
check_kind(Oid function, char kind)
{
	if (kind == PROKIND_FUNCTION)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s cannot be called here", format_procedure(function)),
			 kind == PROKIND_AGGREGATE ? errdetail("It is an aggregate function.") :
			 kind == PROKIND_WINDOW ? errdetail("It is a window function.") : errdetail("It is a procedure."),
			 errhint("Wrap it in a function.")));
}

/* What follows from its types, once they are known. */
static void
settle(ApibaseCallable *callable)
{
	MemoryContext context = MemoryContextGetParent(callable->finfo.fn_mcxt);
	MemoryContext old = MemoryContextSwitchTo(context);

	fmgr_info_set_expr((Node *) call_expression(callable->oid, callable->rettype, callable->nargs, callable->argtypes),
					   &callable->finfo);
	callable->returns_result = callable->rettype == apibase_result_type();
	if (!callable->returns_result)
		apibase_to_jsonb_prepare(&callable->to_jsonb, callable->rettype, context);
	MemoryContextSwitchTo(old);
}

void
apibase_callable_prepare(ApibaseCallable *callable, Oid function, MemoryContext context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	check_kind(function, form->prokind);
	memset(callable, 0, sizeof(*callable));
	callable->oid = function;
	callable->nargs = form->pronargs;
	memcpy(callable->argtypes, form->proargtypes.values, form->pronargs * sizeof(Oid));
	callable->rettype = form->prorettype;
	callable->retset = form->proretset;
	callable->volatility = form->provolatile;
	ReleaseSysCache(tuple);

	fmgr_info_cxt(function, &callable->finfo,
				  AllocSetContextCreate(context, "apibase callable", ALLOCSET_SMALL_SIZES));
	if (!result_callable_is_polymorphic(callable))
		settle(callable);
}

bool
result_callable_is_polymorphic(const ApibaseCallable *callable)
{
	for (int i = 0; i < callable->nargs; i++)
	{
		if (IsPolymorphicType(callable->argtypes[i]) || callable->argtypes[i] == ANYOID)
			return true;
	}
	return false;
}

/* The type that an argument has in a call; a domain over an array, say, is an array for a function that takes any array. */
static Oid
settled_type(Oid declared, Oid actual)
{
	switch (declared)
	{
		case ANYOID:
		case ANYELEMENTOID:
		case ANYNONARRAYOID:
		case ANYENUMOID:
		case ANYCOMPATIBLEOID:
		case ANYCOMPATIBLENONARRAYOID:
			return actual;
		default:
			return IsPolymorphicType(declared) ? getBaseType(actual) : declared;
	}
}

bool
result_callable_settle(ApibaseCallable *callable, const Oid *types)
{
	Oid			actual[FUNC_MAX_ARGS];
	Oid			declared[FUNC_MAX_ARGS];

	memcpy(actual, types, callable->nargs * sizeof(Oid));
	memcpy(declared, callable->argtypes, callable->nargs * sizeof(Oid));
	if (!check_generic_type_consistency(actual, declared, callable->nargs))
		return false;
	callable->rettype = enforce_generic_type_consistency(actual, declared, callable->nargs, callable->rettype, false);
	for (int i = 0; i < callable->nargs; i++)
		callable->argtypes[i] = settled_type(declared[i], actual[i]);
	settle(callable);
	return true;
}

void
apibase_callable_check_privilege(const ApibaseCallable *callable)
{
	AclResult	allowed = apibase_proc_aclcheck(callable->oid, GetUserId(), ACL_EXECUTE);

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FUNCTION, get_func_name(callable->oid));
	InvokeFunctionExecuteHook(callable->oid);
}

/* ---------- calling ---------- */

static bool
has_null(const NullableDatum *args, int nargs)
{
	for (int i = 0; i < nargs; i++)
	{
		if (args[i].isnull)
			return true;
	}
	return false;
}

static Datum
invoke(FmgrInfo *finfo, int nargs, const NullableDatum *args, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Oid			collation = finfo->fn_expr ? exprInputCollation(finfo->fn_expr) : InvalidOid;
	Datum		value;

	InitFunctionCallInfoData(*fcinfo, finfo, nargs, collation, NULL, NULL);
	memcpy(fcinfo->args, args, nargs * sizeof(NullableDatum));
	value = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return value;
}

Datum
apibase_callable_call(ApibaseCallable *callable, const NullableDatum *args, bool *isnull)
{
	FmgrInfo	finfo = callable->finfo;
	Datum		value = (Datum) 0;

	if (callable->retset)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s returns a set, which cannot be taken here", format_procedure(callable->oid))));
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	*isnull = true;
	if (finfo.fn_strict && has_null(args, callable->nargs))
		return value;

	if (finfo.fn_extra == &in_use)
	{
		finfo.fn_extra = NULL;
		finfo.fn_mcxt = CurrentMemoryContext;
		return invoke(&finfo, callable->nargs, args, isnull);
	}
	if (finfo.fn_extra == &failed)
	{
		MemoryContextReset(finfo.fn_mcxt);
		finfo.fn_extra = NULL;
	}
	callable->finfo.fn_extra = &in_use;
	PG_TRY();
	{
		value = invoke(&finfo, callable->nargs, args, isnull);
		callable->finfo.fn_extra = finfo.fn_extra;
	}
	PG_CATCH();
	{
		callable->finfo.fn_extra = &failed;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return value;
}

void
apibase_callable_result(ApibaseCallable *callable, Datum value, bool isnull, ApibaseResult *result)
{
	if (callable->returns_result && !isnull)
	{
		apibase_result_read(value, result);
		if (!result->ok)
			result->error = apibase_problem_normalize(result->error);
		return;
	}
	memset(result, 0, sizeof(*result));
	result->ok = true;
	if (!isnull)
		result->value = apibase_to_jsonb(&callable->to_jsonb, value, false);
}
