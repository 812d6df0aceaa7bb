/*-------------------------------------------------------------------------
 *
 * decorate_call.c
 *	  The handler of the language: calls of decorated functions.
 *
 * The place of a call (fn_extra) knows the chain, has an FmgrInfo of the body
 * with the types of the call, and is made again when the chain changes.  The
 * arguments go to the body as they are, except that expanded objects are made
 * read-only: a decorator may call the body again, or look at them later.
 *
 * A set is always collected, whether the body returns it row by row or as a
 * whole, so that decorators see one kind of result, and that all that the body
 * does happens within them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "core/errors.h"
#include "core/subxact.h"
#include "decorate/decorate_chain.h"

PG_FUNCTION_INFO_V1(apibase_decorate_call);

/* ---------- places of calls ---------- */

/* The body as it is called from here; made when it is first called, which a hit in a cache need not do. */
static FmgrInfo *
get_body(ApibaseDecoratedCall *call)
{
	DecorateSite *site = call->site;

	if (!OidIsValid(site->body.fn_oid))
	{
		fmgr_info_cxt(site->chain->body, &site->body, site->context);
		fmgr_info_set_expr(call->fcinfo->flinfo->fn_expr, &site->body);
	}
	return &site->body;
}

static DecorateSite *
make_site(FunctionCallInfo fcinfo, DecorateChain *chain)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	DecorateSite *site = palloc(sizeof(DecorateSite));

	site->serial = chain->serial;
	site->chain = chain;
	site->context = fcinfo->flinfo->fn_mcxt;
	site->types = decorate_types_get(fcinfo, chain);
	site->body.fn_oid = InvalidOid;
	site->substitute.fn_oid = InvalidOid;
	MemoryContextSwitchTo(old);
	return site;
}

/* The place of a call with the chain as it is now. */
static DecorateSite *
renew_site(FunctionCallInfo fcinfo)
{
	DecorateSite *site = fcinfo->flinfo->fn_extra;
	uint64		generation;
	DecorateChain *chain;

	do
	{
		generation = decorate_generation;
		chain = decorate_chain_get(fcinfo->flinfo->fn_oid);
		if (site == NULL || site->serial != chain->serial || site->types->nargs != fcinfo->nargs ||
			site->types->generation != decorate_type_generation)
			site = make_site(fcinfo, chain);
	} while (generation != decorate_generation);
	site->generation = generation;
	fcinfo->flinfo->fn_extra = site;
	return site;
}

/* ---------- calling a function with the arguments ---------- */

static void
copy_arguments(const ApibaseDecoratedCall *call, FunctionCallInfo fcinfo)
{
	for (int i = 0; i < call->fcinfo->nargs; i++)
	{
		fcinfo->args[i] = call->fcinfo->args[i];
		fcinfo->args[i].value = MakeExpandedObjectReadOnly(fcinfo->args[i].value, fcinfo->args[i].isnull,
														   call->site->types->args[i].typlen);
	}
}

static void
invoke_scalar(ApibaseDecoratedCall *call, FmgrInfo *flinfo)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);

	InitFunctionCallInfoData(*fcinfo, flinfo, call->fcinfo->nargs, call->fcinfo->fncollation,
							 call->fcinfo->context, call->fcinfo->resultinfo);
	copy_arguments(call, fcinfo);
	call->value = FunctionCallInvoke(fcinfo);
	call->isnull = fcinfo->isnull;
}

/* The executor's, of the caller. */
static ReturnSetInfo *
set_info(const ApibaseDecoratedCall *call)
{
	ReturnSetInfo *info = (ReturnSetInfo *) call->fcinfo->resultinfo;

	if (info == NULL || !IsA(info, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (!(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));
	return info;
}

void
apibase_decorated_begin_set(ApibaseDecoratedCall *call, TupleDesc desc)
{
	ReturnSetInfo *info = set_info(call);
	MemoryContext old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);

	call->rows = tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	call->desc = desc ? CreateTupleDescCopy(desc) : NULL;
	MemoryContextSwitchTo(old);
}

/* Rows of a function that returns them one by one. */
typedef struct RowCollector
{
	ApibaseDecoratedCall *call;
	ReturnSetInfo *info;
	int64		early;			/* NULL rows that came before the columns were known */
} RowCollector;

static void
begin_rows(RowCollector *collector, TupleDesc desc)
{
	ApibaseDecoratedCall *call = collector->call;
	bool	   *nulls = palloc(Max(desc->natts, 1) * sizeof(bool));

	memset(nulls, true, desc->natts * sizeof(bool));
	apibase_decorated_begin_set(call, desc);
	for (; collector->early > 0; collector->early--)
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(call->rows, call->desc, NULL, nulls);
	}
}

static void
add_scalar(RowCollector *collector, Datum value, bool isnull)
{
	ApibaseDecoratedCall *call = collector->call;

	if (call->rows == NULL)
	{
		TupleDesc	desc = CreateTemplateTupleDesc(1);

		TupleDescInitEntry(desc, 1, "column", call->site->types->result.type, -1, 0);
		begin_rows(collector, desc);
	}
	tuplestore_putvalues(call->rows, call->desc, &value, &isnull);
}

/* A NULL row is a row of NULLs; the first other one tells how many. */
static void
add_null_row(RowCollector *collector)
{
	ApibaseDecoratedCall *call = collector->call;
	bool	   *nulls;

	if (call->rows == NULL)
	{
		collector->early++;
		return;
	}
	nulls = palloc(Max(call->desc->natts, 1) * sizeof(bool));
	memset(nulls, true, call->desc->natts * sizeof(bool));
	tuplestore_putvalues(call->rows, call->desc, NULL, nulls);
}

static void
add_row(RowCollector *collector, Datum value)
{
	ApibaseDecoratedCall *call = collector->call;
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple;

	if (call->rows == NULL)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));

		begin_rows(collector, desc);
		ReleaseTupleDesc(desc);
	}
	else if (HeapTupleHeaderGetTypeId(header) != call->desc->tdtypeid ||
			 HeapTupleHeaderGetTypMod(header) != call->desc->tdtypmod)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("rows returned by function are not all of the same row type")));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	tuplestore_puttuple(call->rows, &tuple);
}

/* All rows are there: what is to be said about a set of NULL rows, or of none. */
static void
end_rows(RowCollector *collector)
{
	ApibaseDecoratedCall *call = collector->call;
	ReturnSetInfo *info = collector->info;

	if (call->rows != NULL)
		return;
	if (info->expectedDesc != NULL)
		begin_rows(collector, info->expectedDesc);
	else if (collector->early == 0)
		apibase_decorated_begin_set(call, NULL);
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the columns of the rows of function %s are not known", call->function->name),
				 errdetail("All of its rows are NULL, and it is called without a list of columns.")));
}

/* Call it until it has returned all rows. */
static void
collect_rows(ApibaseDecoratedCall *call, FunctionCallInfo fcinfo, ReturnSetInfo *info)
{
	RowCollector collector = {.call = call, .info = info};
	bool		first = true;

	for (;; first = false)
	{
		MemoryContext old;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(info->econtext);
		old = MemoryContextSwitchTo(info->econtext->ecxt_per_tuple_memory);
		fcinfo->isnull = false;
		info->isDone = ExprSingleResult;
		value = FunctionCallInvoke(fcinfo);
		if (info->returnMode == SFRM_Materialize && (!first || info->isDone != ExprSingleResult))
			ereport(ERROR,
					(errcode(ERRCODE_E_R_I_E_SRF_PROTOCOL_VIOLATED),
					 errmsg("table-function protocol for materialize mode was not followed")));
		if (info->returnMode != SFRM_Materialize && info->isDone != ExprEndResult)
		{
			if (!call->site->types->returns_row)
				add_scalar(&collector, value, fcinfo->isnull);
			else if (fcinfo->isnull)
				add_null_row(&collector);
			else
				add_row(&collector, value);
		}
		MemoryContextSwitchTo(old);
		if (info->returnMode == SFRM_Materialize || info->isDone != ExprMultipleResult)
			break;
	}
	if (info->returnMode == SFRM_Materialize)
	{
		call->rows = info->setResult;
		/* since 18 an SQL function makes it in the context of the call, which ends with info->econtext */
		if (info->setDesc != NULL)
		{
			call->desc = CreateTupleDescCopy(info->setDesc);
			if (info->setDesc->tdrefcount == -1)
				FreeTupleDesc(info->setDesc);
		}
	}
	end_rows(&collector);
}

static void
invoke_set(ApibaseDecoratedCall *call, FmgrInfo *flinfo)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	ReturnSetInfo *outer = set_info(call);
	MemoryContext old = MemoryContextSwitchTo(outer->econtext->ecxt_per_query_memory);
	ReturnSetInfo info = {
		.type = T_ReturnSetInfo,
		.econtext = CreateStandaloneExprContext(),
		.expectedDesc = outer->expectedDesc,
		.allowedModes = outer->allowedModes | SFRM_ValuePerCall,
		.returnMode = SFRM_ValuePerCall,
	};

	call->rows = NULL;
	call->desc = NULL;
	InitFunctionCallInfoData(*fcinfo, flinfo, call->fcinfo->nargs, call->fcinfo->fncollation,
							 call->fcinfo->context, (Node *) &info);
	copy_arguments(call, fcinfo);
	collect_rows(call, fcinfo, &info);
	FreeExprContext(info.econtext, true);
	MemoryContextSwitchTo(old);
}

static void
invoke(ApibaseDecoratedCall *call, FmgrInfo *flinfo)
{
	if (call->function->retset)
		invoke_set(call, flinfo);
	else
		invoke_scalar(call, flinfo);
}

/* ---------- for decorators ---------- */

void
apibase_decorated_next(ApibaseDecoratedCall *call)
{
	if (call->layer == 0)
		invoke(call, get_body(call));
	else
	{
		DecorateLayer *layer = &call->site->chain->layers[--call->layer];

		layer->decorator->call(call, layer->options);
		call->layer++;
	}
}

/*
 * Rows in a file belong to the resource owner of the subtransaction, and would
 * be closed at its end: copy them to one that belongs to the outer.
 */
void
decorate_keep_rows(ApibaseDecoratedCall *call, ResourceOwner owner)
{
	ResourceOwner inner = CurrentResourceOwner;
	Tuplestorestate *rows = call->rows;
	TupleTableSlot *slot;
	TupleDesc	desc;

	if (rows == NULL || inner == owner || tuplestore_in_memory(rows))
		return;
	desc = call->desc ? call->desc : set_info(call)->expectedDesc;
	CurrentResourceOwner = owner;
	apibase_decorated_begin_set(call, desc);
	CurrentResourceOwner = inner;
	slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc), &TTSOpsMinimalTuple);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		CurrentResourceOwner = owner;
		tuplestore_puttupleslot(call->rows, slot);
		CurrentResourceOwner = inner;
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
}

void
decorate_recover(ApibaseDecoratedCall *call, int layer)
{
	call->layer = layer;
	call->rows = NULL;
	call->desc = NULL;
	call->substituted = false;
	/* what functions keep between calls is in an unknown state */
	call->site->body.fn_oid = InvalidOid;
	call->site->substitute.fn_oid = InvalidOid;
}

/* An attempt, and who is to own what it gives back. */
typedef struct Attempt
{
	ApibaseDecoratedCall *call;
	ResourceOwner owner;
} Attempt;

/* For apibase_try. */
static void
attempt_next(void *arg)
{
	Attempt    *attempt = arg;

	apibase_decorated_next(attempt->call);
	decorate_keep_rows(attempt->call, attempt->owner);
}

bool
apibase_decorated_attempt(ApibaseDecoratedCall *call, ErrorData **error)
{
	Attempt		attempt = {call, CurrentResourceOwner};
	int			layer = call->layer;

	*error = apibase_try(attempt_next, &attempt);
	if (*error != NULL)
		decorate_recover(call, layer);
	return *error == NULL;
}

/*
 * The function that stands in for the body, as it is called from here.  It is
 * kept as long as the body is: an SQL function that returns a set keeps the rows
 * with it.  Any change of any function may concern it.
 */
static FmgrInfo *
get_substitute(ApibaseDecoratedCall *call, Oid function)
{
	DecorateSite *site = call->site;

	if (site->substitute.fn_oid != function || site->substitute_generation != decorate_generation)
	{
		site->substitute_generation = decorate_generation;
		fmgr_info_cxt(function, &site->substitute, site->context);
		fmgr_info_set_expr(call->fcinfo->flinfo->fn_expr, &site->substitute);
	}
	return &site->substitute;
}

void
apibase_decorated_substitute(ApibaseDecoratedCall *call, Oid function)
{
	AclResult	allowed = apibase_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
	FmgrInfo   *flinfo;

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FUNCTION, get_func_name(function));
	flinfo = get_substitute(call, function);
	call->substituted = true;
	if (flinfo->fn_strict && !call->function->strict)
	{
		for (int i = 0; i < call->fcinfo->nargs; i++)
		{
			if (!call->fcinfo->args[i].isnull)
				continue;
			call->isnull = true;
			call->value = (Datum) 0;
			if (call->function->retset)
				apibase_decorated_begin_set(call, NULL);
			return;
		}
	}
	invoke(call, flinfo);
}

void
apibase_decorated_check_substitute(const ApibaseDecoratedFunction *function, Oid substitute)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(substitute));
	Form_pg_proc form;
	bool		fits;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", substitute);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	fits = form->prokind == PROKIND_FUNCTION && form->pronargs == function->nargs &&
		memcmp(form->proargtypes.values, function->argtypes, function->nargs * sizeof(Oid)) == 0 &&
		form->prorettype == function->rettype && form->proretset == function->retset;
	ReleaseSysCache(tuple);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function %s cannot take the place of %s", decorate_function_name(substitute), function->name),
				 errdetail("It must take arguments of the same types and return the same type.")));
	if (function->deciding)
	{
		AclResult	allowed = apibase_proc_aclcheck(substitute, GetUserId(), ACL_EXECUTE);

		if (allowed != ACLCHECK_OK)
			aclcheck_error(allowed, OBJECT_FUNCTION, get_func_name(substitute));
	}
}

Oid
apibase_decorated_argtype(const ApibaseDecoratedCall *call, int arg)
{
	Assert(arg >= 0 && arg < call->site->types->nargs);
	return call->site->types->args[arg].type;
}

Oid
apibase_decorated_rettype(const ApibaseDecoratedCall *call)
{
	return call->site->types->result.type;
}

/* ---------- the handler ---------- */

/*
 * Call handler of the language apibase_decorated.
 */
Datum
apibase_decorate_call(PG_FUNCTION_ARGS)
{
	DecorateSite *site = fcinfo->flinfo->fn_extra;
	ApibaseDecoratedCall call;

	check_stack_depth();
	if (site == NULL || site->generation != decorate_generation)
		site = renew_site(fcinfo);

	call.function = &site->chain->function;
	call.fcinfo = fcinfo;
	call.value = (Datum) 0;
	call.isnull = true;
	call.rows = NULL;
	call.desc = NULL;
	call.substituted = false;
	call.site = site;
	call.layer = site->chain->nlayers;
	apibase_decorated_next(&call);

	if (call.function->retset)
	{
		ReturnSetInfo *info = set_info(&call);

		/* an empty set whose columns nobody knows is no set at all, for the executor */
		info->returnMode = SFRM_Materialize;
		info->setResult = call.desc || info->expectedDesc || tuplestore_tuple_count(call.rows) > 0 ? call.rows : NULL;
		info->setDesc = call.desc;
		fcinfo->isnull = true;
		return (Datum) 0;
	}
	fcinfo->isnull = call.isnull;
	return call.value;
}
