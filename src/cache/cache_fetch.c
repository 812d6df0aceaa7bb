/*-------------------------------------------------------------------------
 *
 * cache_fetch.c
 *	  cache_fetch(): the result of a query, from the cache or computed.
 *
 * The query is the caller's, run with the caller's rights, search_path and
 * snapshot.  It may only read, because whether it runs is a matter of chance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_namespace.h"
#include "cache/cache_put.h"
#include "core/clock.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_cache_fetch);

/* In the order of the SQL function. */
enum
{
	ARG_KEY,
	ARG_QUERY,
	ARG_TTL,
	ARG_TAGS,
	ARG_STALE_WHILE_REVALIDATE,
	ARG_STALE_ON_ERROR,
	ARG_EARLY,
	ARG_JITTER,
	ARG_NEGATIVE_TTL,
	ARG_WAIT_LIMIT,
};

/* ---- the query ---- */

/* A value of any type as jsonb, as to_jsonb() makes it, in the current context. */
static struct varlena *
value_to_jsonb(Datum value, Oid type)
{
	FmgrInfo	to_jsonb;
	int16		typlen;
	bool		typbyval;
	Const	   *argument;

	get_typlenbyval(type, &typlen, &typbyval);
	argument = makeConst(type, -1, InvalidOid, typlen, (Datum) 0, true, typbyval);
	fmgr_info(F_TO_JSONB, &to_jsonb);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL), &to_jsonb);
	return (struct varlena *) PG_DETOAST_DATUM_COPY(FunctionCall1(&to_jsonb, value));
}

/* Receives the result of the query, which must be one value at most. */
typedef struct OneValue
{
	DestReceiver receiver;
	MemoryContext context;		/* for the value */
	bool		has_row;
	struct varlena *value;		/* NULL: no row, or a null */
} OneValue;

static void
start_result(DestReceiver *self, int operation, TupleDesc desc)
{
	if (desc->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of cache_fetch must return one column, not %d", desc->natts),
				 errhint("Make one document of the row, such as SELECT to_jsonb(t) FROM ... t.")));
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	OneValue   *result = (OneValue *) self;
	Datum		value;
	bool		isnull;

	if (result->has_row)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the query of cache_fetch returned more than one row"),
				 errhint("Make one document of the rows, such as SELECT jsonb_agg(t) FROM ... t.")));
	result->has_row = true;
	value = slot_getattr(slot, 1, &isnull);
	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(result->context);

		result->value = value_to_jsonb(value, TupleDescAttr(slot->tts_tupleDescriptor, 0)->atttypid);
		MemoryContextSwitchTo(old);
	}
	return true;
}

static void
end_result(DestReceiver *self)
{
}

/* Run the query.  (With a limit of rows instead of a receiver, it could not use parallel workers.) */
static void
compute_query(void *arg, ApibaseCacheKind *kind, struct varlena **data)
{
	OneValue	result = {
		.receiver = {receive_row, start_result, end_result, end_result, DestTuplestore},
		.context = CurrentMemoryContext,
	};
	SPIExecuteOptions options = {.read_only = true, .dest = &result.receiver};

	SPI_connect();
	if (SPI_execute_extended(arg, &options) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of cache_fetch must be a SELECT")));
	SPI_finish();
	*kind = result.value ? APIBASE_CACHE_JSONB : APIBASE_CACHE_NOTHING;
	*data = result.value;
}

/* ---- arguments ---- */

static void
refuse_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" of cache_fetch must not be null", name)));
}

/* A share, from 0 to 1. */
static double
share_argument(FunctionCallInfo fcinfo, int arg, const char *name, double if_null)
{
	double		share;

	if (PG_ARGISNULL(arg))
		return if_null;
	share = PG_GETARG_FLOAT8(arg);
	if (!(share >= 0 && share <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of cache_fetch must be from 0 to 1", name)));
	return share;
}

/* Microseconds, 0 for what is not positive, APIBASE_DURATION_MAX for ever. */
static int64
time_argument(FunctionCallInfo fcinfo, int arg, int64 if_null)
{
	int64		time;

	if (PG_ARGISNULL(arg))
		return if_null;
	time = apibase_interval_microseconds(PG_GETARG_INTERVAL_P(arg));
	return time < 0 ? APIBASE_DURATION_MAX : Min(time, APIBASE_DURATION_MAX);
}

/* How long nothing is kept: NULL is as long as a value, and zero is not at all. */
static int64
negative_ttl_argument(FunctionCallInfo fcinfo, int arg)
{
	int64		ttl = time_argument(fcinfo, arg, 0);

	if (!PG_ARGISNULL(arg) && ttl == 0)
		return -1;
	return ttl;
}

/* Milliseconds, rounded up so that a short time is not none. */
static int
wait_limit_argument(FunctionCallInfo fcinfo, int arg)
{
	int64		limit = time_argument(fcinfo, arg, -1);

	return limit < 0 ? -1 : (int) Min(limit / 1000 + (limit % 1000 > 0), INT_MAX);
}

/*
 * apibase.cache_fetch(key, query, ttl, tags, stale_while_revalidate, stale_on_error, early, jitter, negative_ttl,
 * wait_limit)
 */
Datum
apibase_cache_fetch(PG_FUNCTION_ARGS)
{
	ApibaseCacheCompute compute = {.compute = compute_query, .track = true};
	ApibaseCacheValue value;
	ApibaseCacheKey key;
	text	   *name;

	refuse_null(fcinfo, ARG_KEY, "key");
	refuse_null(fcinfo, ARG_QUERY, "query");
	name = PG_GETARG_TEXT_PP(ARG_KEY);
	cache_key_by_hand(&key, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	compute.arg = text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY));
	if (!PG_ARGISNULL(ARG_TTL))
		compute.ttl = apibase_duration(PG_GETARG_INTERVAL_P(ARG_TTL), "the time to live");
	if (!PG_ARGISNULL(ARG_TAGS))
		compute.tags = cache_strings_of(PG_GETARG_ARRAYTYPE_P(ARG_TAGS), &compute.ntags);
	compute.stale_while_revalidate = time_argument(fcinfo, ARG_STALE_WHILE_REVALIDATE, 0);
	compute.stale_on_error = time_argument(fcinfo, ARG_STALE_ON_ERROR, 0);
	compute.early = share_argument(fcinfo, ARG_EARLY, "early", 0);
	compute.jitter = share_argument(fcinfo, ARG_JITTER, "jitter", -1);
	compute.negative_ttl = negative_ttl_argument(fcinfo, ARG_NEGATIVE_TTL);
	compute.wait_limit = wait_limit_argument(fcinfo, ARG_WAIT_LIMIT);

	apibase_cache_through(&key, &compute, &value);
	if (value.kind != APIBASE_CACHE_JSONB)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(value.data);
}
