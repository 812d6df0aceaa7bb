/*-------------------------------------------------------------------------
 *
 * bench_bus.c
 *	  A C function that measures calls of functions that take one composite
 *	  value, within one backend.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_trivial);
PG_FUNCTION_INFO_V1(bench_messages);

#define CALLS_PER_RESET 16

/* bench_trivial(composite) returns integer: a handler that does nothing. */
Datum
bench_trivial(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(1);
}

static double
processor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Make ready to call a function with a value of a type, as the executor would: polymorphic ones ask for the type. */
static void
prepare(FunctionCallInfo call, FmgrInfo *finfo, Oid function, Oid type, Datum value)
{
	Const	   *message = makeConst(type, -1, InvalidOid, -1, value, false, false);
	Datum		options = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	List	   *args = list_make1(message);

	fmgr_info(function, finfo);
	if (finfo->fn_nargs == 2)
		args = lappend(args, makeConst(JSONBOID, -1, InvalidOid, -1, options, false, false));
	finfo->fn_expr = (Node *) makeFuncExpr(function, get_func_rettype(function), args, InvalidOid, InvalidOid,
										   COERCE_EXPLICIT_CALL);
	InitFunctionCallInfoData(*call, finfo, finfo->fn_nargs, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum) {value, false};
	call->args[1] = (NullableDatum) {options, false};
}

/* bench_messages(function regprocedure, message anyelement, turns integer): nanoseconds of processor time a call. */
Datum
bench_messages(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	Datum		message = PG_GETARG_DATUM(1);
	int			turns = PG_GETARG_INT32(2);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_messages", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	FmgrInfo	finfo;
	double		start;

	LOCAL_FCINFO(call, 2);

	prepare(call, &finfo, function, get_fn_expr_argtype(fcinfo->flinfo, 1), message);
	caller = MemoryContextSwitchTo(context);
	start = processor_ns();
	for (int i = 0; i < turns; i++)
	{
		call->isnull = false;
		(void) FunctionCallInvoke(call);
		if (call->isnull)
			elog(ERROR, "a call gave NULL");
		if (i % CALLS_PER_RESET == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(context);
		}
	}
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT8((processor_ns() - start) / turns);
}
