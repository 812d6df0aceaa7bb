/*-------------------------------------------------------------------------
 *
 * bench_helper.c
 *	  C functions that measure what SQL cannot: the price of an empty call, of
 *	  planning a statement, of executing it, and of reading a specification.
 *
 * All times are processor time of the backend, in nanoseconds: what else the
 * machine does counts for less than in the time on the wall.  Loops run in a
 * memory context that is reset for every turn.  bench_plan calls a function of
 * its own for the loop, so that callgrind can be told to collect within it only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_cpu);
PG_FUNCTION_INFO_V1(bench_empty);
PG_FUNCTION_INFO_V1(bench_empty_call);
PG_FUNCTION_INFO_V1(bench_plan);
PG_FUNCTION_INFO_V1(bench_execute);
PG_FUNCTION_INFO_V1(bench_read);
PG_FUNCTION_INFO_V1(bench_read_memory);

extern void bench_plan_loop(const char *query, int turns, MemoryContext context);

/* bench_empty("any") returns boolean: the least that a function in C can do. */
Datum
bench_empty(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}

/* Processor time of this backend. */
static double
cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* bench_cpu() returns double precision: processor time of this backend. */
Datum
bench_cpu(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cpu_time());
}

/* bench_empty_call(function regprocedure, turns integer): a call of a function of one boolean, from C. */
Datum
bench_empty_call(PG_FUNCTION_ARGS)
{
	int			turns = PG_GETARG_INT32(1);
	FmgrInfo	function;
	double		start;

	LOCAL_FCINFO(call, 1);

	fmgr_info(PG_GETARG_OID(0), &function);
	InitFunctionCallInfoData(*call, &function, 1, InvalidOid, NULL, NULL);
	call->args[0].value = BoolGetDatum(true);
	call->args[0].isnull = false;
	start = cpu_time();
	for (int i = 0; i < turns; i++)
	{
		call->isnull = false;
		(void) FunctionCallInvoke(call);
	}
	PG_RETURN_FLOAT8((cpu_time() - start) / turns);
}

/* All that a server does with a statement before it executes it. */
void
bench_plan_loop(const char *query, int turns, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = 0; i < turns; i++)
	{
		RawStmt    *statement = linitial_node(RawStmt, pg_parse_query(query));
		List	   *queries = pg_analyze_and_rewrite_fixedparams(statement, query, NULL, 0, NULL);

		(void) pg_plan_queries(queries, query, 0, NULL);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(caller);
}

/* bench_plan(query text, turns integer): parsing, analysing, rewriting and planning one statement. */
Datum
bench_plan(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			turns = PG_GETARG_INT32(1);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_plan", ALLOCSET_DEFAULT_SIZES);
	double		start;

	start = cpu_time();
	bench_plan_loop(query, turns, context);
	PG_RETURN_FLOAT8((cpu_time() - start) / turns);
}

/* bench_execute(query text, turns integer): executing a statement that is already planned. */
Datum
bench_execute(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			turns = PG_GETARG_INT32(1);
	SPIPlanPtr	plan;
	double		start;
	double		taken;

	SPI_connect();
	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "cannot prepare: %s", SPI_result_code_string(SPI_result));
	SPI_execute_plan(plan, NULL, NULL, false, 0);	/* plans it */
	start = cpu_time();
	for (int i = 0; i < turns; i++)
	{
		if (SPI_execute_plan(plan, NULL, NULL, false, 0) < 0)
			elog(ERROR, "cannot execute: %s", SPI_result_code_string(SPI_result));
		SPI_freetuptable(SPI_tuptable);
	}
	taken = (cpu_time() - start) / turns;
	SPI_finish();
	PG_RETURN_FLOAT8(taken);
}

/* Read a value turns times; the memory of the last turn remains in the context. */
static void
read_loop(FmgrInfo *input, Oid typioparam, char *text, int turns, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = 0; i < turns; i++)
	{
		MemoryContextReset(context);
		(void) InputFunctionCall(input, text, typioparam, -1);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(caller);
}

/* Read a value of a type from its text, turns times: nanoseconds a turn. */
static double
read_values(Oid type, char *text, int turns, MemoryContext context)
{
	FmgrInfo	input;
	Oid			function;
	Oid			typioparam;
	double		start;

	getTypeInputInfo(type, &function, &typioparam);
	fmgr_info(function, &input);
	start = cpu_time();
	read_loop(&input, typioparam, text, turns, context);
	return (cpu_time() - start) / turns;
}

/* bench_read(type regtype, value text, turns integer): reading a value of the type. */
Datum
bench_read(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_read", ALLOCSET_DEFAULT_SIZES);

	PG_RETURN_FLOAT8(read_values(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_INT32(2), context));
}

/* bench_read_memory(type regtype, value text): bytes taken from the system to read a value of the type. */
Datum
bench_read_memory(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_read", ALLOCSET_SMALL_SIZES);

	(void) read_values(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), 1, context);
	PG_RETURN_INT64(MemoryContextMemAllocated(context, true));
}
