/*-------------------------------------------------------------------------
 *
 * bench_cache.c
 *	  C functions that measure the cache and what it is compared with, all
 *	  within one backend.
 *
 * Keys are taken at random, the same sequence for all that is compared.
 * Results are made in a memory context that is reset every few calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include <hiredis/hiredis.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_same_bytes);
PG_FUNCTION_INFO_V1(bench_calls);
PG_FUNCTION_INFO_V1(bench_fetches);
PG_FUNCTION_INFO_V1(bench_calls_within);
PG_FUNCTION_INFO_V1(bench_sets);
PG_FUNCTION_INFO_V1(bench_spi_gets);
PG_FUNCTION_INFO_V1(bench_redis_gets);

#define CALLS_PER_RESET 16

static double
clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* The next number of a sequence that looks random (Knuth's MMIX generator). */
static inline uint64
next_random(uint64 *state)
{
	*state = *state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return *state >> 33;
}

/* The elements of a text[]. */
static Datum *
keys_of(ArrayType *array, int *n)
{
	Datum	   *keys;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &keys, &nulls, n);
	if (*n == 0)
		elog(ERROR, "no keys");
	return keys;
}

/*
 * bench_same_bytes(text) returns jsonb: the least that a function in C can do
 * that returns a number of bytes.  The first call in a session says how many.
 */
Datum
bench_same_bytes(PG_FUNCTION_ARGS)
{
	static struct varlena *value;
	struct varlena *copy;

	if (unlikely(value == NULL))
	{
		int			bytes = pg_strtoint32(text_to_cstring(PG_GETARG_TEXT_PP(0)));

		value = MemoryContextAllocZero(TopMemoryContext, bytes);
		SET_VARSIZE(value, bytes);
	}
	copy = palloc(VARSIZE(value));
	memcpy(copy, value, VARSIZE(value));
	PG_RETURN_POINTER(copy);
}

/* Make calls of a function whose first argument is a key; the number of results that are not NULL. */
static int
call_loop(FunctionCallInfo call, Datum *keys, int nkeys, int turns, uint64 *state, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	int			found = 0;

	call->args[0].isnull = false;
	for (int i = 0; i < turns; i++)
	{
		call->args[0].value = keys[next_random(state) % nkeys];
		call->isnull = false;
		(void) FunctionCallInvoke(call);
		found += !call->isnull;
		if (i % CALLS_PER_RESET == 0)
			MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	return found;
}

/* The processor time of a call, in nanoseconds; all must find something. */
static double
time_calls(FunctionCallInfo call, ArrayType *array, int turns)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_calls", ALLOCSET_DEFAULT_SIZES);
	uint64		state = 1;
	Datum	   *keys;
	int			nkeys;
	double		start;

	keys = keys_of(array, &nkeys);
	start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (call_loop(call, keys, nkeys, turns, &state, context) != turns)
		elog(ERROR, "some calls found nothing");
	return (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / turns;
}

/* bench_calls(function regprocedure, keys text[], turns integer): nanoseconds a call of a function of one text. */
Datum
bench_calls(PG_FUNCTION_ARGS)
{
	FmgrInfo	function;

	LOCAL_FCINFO(call, 1);

	fmgr_info(PG_GETARG_OID(0), &function);
	InitFunctionCallInfoData(*call, &function, 1, InvalidOid, NULL, NULL);
	PG_RETURN_FLOAT8(time_calls(call, PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_INT32(2)));
}

/*
 * bench_fetches(function regprocedure, query text, keys text[], turns integer):
 * the same of cache_fetch, whose values must be there, without its options.
 */
Datum
bench_fetches(PG_FUNCTION_ARGS)
{
	FmgrInfo	function;

	LOCAL_FCINFO(call, 10);

	fmgr_info(PG_GETARG_OID(0), &function);
	InitFunctionCallInfoData(*call, &function, 10, InvalidOid, NULL, NULL);
	for (int i = 2; i < 10; i++)
		call->args[i] = (NullableDatum) {(Datum) 0, true};
	call->args[1] = (NullableDatum) {PG_GETARG_DATUM(1), false};
	PG_RETURN_FLOAT8(time_calls(call, PG_GETARG_ARRAYTYPE_P(2), PG_GETARG_INT32(3)));
}

/* bench_calls_within(function regprocedure, keys text[], start double precision, milliseconds integer): calls made from
 * a time on, in seconds since 1970, within some milliseconds. */
Datum
bench_calls_within(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_calls", ALLOCSET_DEFAULT_SIZES);
	double		start = PG_GETARG_FLOAT8(2) * 1e9;
	double		end = start + PG_GETARG_INT32(3) * 1e6;
	uint64		state = MyProcPid;
	int64		calls = 0;
	FmgrInfo	function;
	Datum	   *keys;
	int			nkeys;

	LOCAL_FCINFO(call, 1);

	fmgr_info(PG_GETARG_OID(0), &function);
	InitFunctionCallInfoData(*call, &function, 1, InvalidOid, NULL, NULL);
	keys = keys_of(PG_GETARG_ARRAYTYPE_P(1), &nkeys);
	while (clock_ns(CLOCK_REALTIME) < start)
		CHECK_FOR_INTERRUPTS();
	while (clock_ns(CLOCK_REALTIME) < end)
		calls += call_loop(call, keys, nkeys, 1000, &state, context);
	PG_RETURN_INT64(calls);
}

/* bench_sets(function regprocedure, value jsonb, first integer, turns integer): cache_set of keys never used before. */
Datum
bench_sets(PG_FUNCTION_ARGS)
{
	Datum		value = PG_GETARG_DATUM(1);
	int			first = PG_GETARG_INT32(2);
	int			turns = PG_GETARG_INT32(3);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bench_sets", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	FmgrInfo	function;
	double		start;
	double		taken;
	struct
	{
		int32		header;
		char		text[32];
	}			key;

	LOCAL_FCINFO(call, 4);

	fmgr_info(PG_GETARG_OID(0), &function);
	InitFunctionCallInfoData(*call, &function, 4, InvalidOid, NULL, NULL);
	caller = MemoryContextSwitchTo(context);
	start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < turns; i++)
	{
		int			len = pg_ltoa(first + i, key.text);

		SET_VARSIZE(&key, VARHDRSZ + len);
		call->args[0] = (NullableDatum) {PointerGetDatum(&key), false};
		call->args[1] = (NullableDatum) {value, false};
		call->args[2] = (NullableDatum) {(Datum) 0, true};
		call->args[3] = (NullableDatum) {(Datum) 0, true};
		if (!DatumGetBool(FunctionCallInvoke(call)))
			elog(ERROR, "a value was not set");
		if (i % CALLS_PER_RESET == 0)
			MemoryContextReset(context);
	}
	taken = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT8(taken / turns);
}

/* bench_spi_gets(query text, keys text[], turns integer): a saved plan with one text parameter and one row. */
Datum
bench_spi_gets(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			turns = PG_GETARG_INT32(2);
	uint64		state = 1;
	Oid			type = TEXTOID;
	Datum	   *keys;
	int			nkeys;
	SPIPlanPtr	plan;
	double		start;
	double		taken;

	keys = keys_of(PG_GETARG_ARRAYTYPE_P(1), &nkeys);
	SPI_connect();
	plan = SPI_prepare(query, 1, &type);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "cannot prepare: %s", SPI_result_code_string(SPI_result));
	start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < turns; i++)
	{
		bool		null;

		if (SPI_execute_plan(plan, &keys[next_random(&state) % nkeys], NULL, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
			elog(ERROR, "no row");
		(void) SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
		SPI_freetuptable(SPI_tuptable);
	}
	taken = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / turns;
	SPI_freeplan(plan);
	SPI_finish();
	PG_RETURN_FLOAT8(taken);
}

/* bench_redis_gets(socket text, keys text[], turns integer): GET, by the clock on the wall, for the work is Redis'. */
Datum
bench_redis_gets(PG_FUNCTION_ARGS)
{
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			turns = PG_GETARG_INT32(2);
	uint64		state = 1;
	Datum	   *keys;
	int			nkeys;
	redisContext *redis;
	double		start;
	double		taken;

	keys = keys_of(PG_GETARG_ARRAYTYPE_P(1), &nkeys);
	redis = redisConnectUnix(path);
	if (redis == NULL || redis->err)
		elog(ERROR, "cannot connect to Redis");
	start = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < turns; i++)
	{
		Datum		key = keys[next_random(&state) % nkeys];
		redisReply *reply = redisCommand(redis, "GET %b", VARDATA_ANY(key), (size_t) VARSIZE_ANY_EXHDR(key));

		if (reply == NULL || reply->type != REDIS_REPLY_STRING)
		{
			redisFree(redis);
			elog(ERROR, "Redis has no such key");
		}
		freeReplyObject(reply);
	}
	taken = (clock_ns(CLOCK_MONOTONIC) - start) / turns;
	redisFree(redis);
	PG_RETURN_FLOAT8(taken);
}
