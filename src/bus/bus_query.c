/*-------------------------------------------------------------------------
 *
 * bus_query.c
 *	  query(), and its cache.
 *
 * Results are kept as jsonb under a key of the handler's state, the scope and
 * the query's fields (decorate_key.c).  Where the cache is asked depends on what
 * is around the handler:
 *
 *	nothing		before anything is done for a dispatch, so that a hit costs little
 *				more than a hit in the cache; a miss dispatches
 *	middleware	in its midst, around the handler: who is not let through gets no
 *				hit either
 *
 * Both ways a miss goes through single flight, and what the handler reads
 * becomes tags.  Only values are kept: a result that is a problem is not.
 *
 * The rows of a handler that returns a set are collected by a query around it,
 * so that the planner may look into it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_impl.h"
#include "cache/cache.h"
#include "cache/cache_config.h"
#include "core/compat.h"
#include "core/subxact.h"
#include "decorate/decorate.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_query);
PG_FUNCTION_INFO_V1(apibase_bus_sql_query_by_name);
PG_FUNCTION_INFO_V1(apibase_bus_sql_query_result);
PG_FUNCTION_INFO_V1(apibase_bus_sql_query_result_by_name);

/* What is made ready for a handler when it is first needed; lives as long as the handler. */
struct BusQueryCache
{
	MemoryContext key_context;	/* NULL: there is no key yet */
	ApibaseRowKey *key;
	ApibaseToJsonb to_jsonb;	/* of the message; for tags with fields */
	SPIPlanPtr	rows;			/* NULL: not yet */
	List	   *rows_path;		/* the search path that it was prepared with */
	int			rows_running;	/* how many calls of it are running, within each other */
	MemoryContextCallback free_rows;
};

/* One query that is looked up in the cache, and run if it is not there. */
typedef struct Lookup
{
	BusHandler *handler;
	Datum		message;
	void		(*run) (void *arg, ApibaseResult *result);
	void	   *arg;
	ApibaseResult *result;
	bool		computed;		/* run has set the result */
	ApibaseCacheCompute compute;
} Lookup;

/* ---------- what is kept with a handler ---------- */

/* Where it lives: a handler is a chunk of its registry's memory. */
static MemoryContext
handler_context(BusHandler *handler)
{
	return GetMemoryChunkContext(handler);
}

static struct BusQueryCache *
handler_cache(BusHandler *handler)
{
	if (handler->cache == NULL)
		handler->cache = MemoryContextAllocZero(handler_context(handler), sizeof(struct BusQueryCache));
	return handler->cache;
}

/* What makes the keys of a handler's results. */
static ApibaseRowKey *
handler_key(BusHandler *handler)
{
	struct BusQueryCache *cache = handler_cache(handler);
	MemoryContext context;
	MemoryContext old;
	ApibaseRowKey *key;

	if (cache->key != NULL && apibase_row_key_is_valid(cache->key))
		return cache->key;
	context = AllocSetContextCreate(CurrentMemoryContext, "apibase keys of a query", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	key = apibase_row_key_make("query", &handler->callable.finfo, handler->type, handler->cache_key,
							   handler->cache_shared ? APIBASE_DECORATE_SHARED : APIBASE_DECORATE_ROLE);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, handler_context(handler));
	if (cache->key_context != NULL)
		MemoryContextDelete(cache->key_context);
	cache->key_context = context;
	cache->key = key;
	return key;
}

/* ---------- tags ---------- */

/* A field of the message as ->> gives it; NULL for a null. */
static char *
field_text(Jsonb *message, const char *name, int len)
{
	JsonbValue	buf;
	JsonbValue *value = getKeyJsonValueFromContainer(&message->root, name, len, &buf);
	Jsonb	   *json;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	json = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/*
 * A tag with the values of the fields in it.  NULL for one of which a field is null, or
 * that is longer than a tag can be: nobody can invalidate it.
 */
static const char *
expand_tag(const char *pattern, Jsonb *message)
{
	StringInfoData tag;
	const char *open;
	const char *close;

	initStringInfo(&tag);
	while ((open = strchr(pattern, '{')) != NULL && (close = strchr(open, '}')) != NULL)
	{
		char	   *text = field_text(message, open + 1, close - open - 1);

		if (text == NULL)
			return NULL;
		appendBinaryStringInfo(&tag, pattern, open - pattern);
		appendStringInfoString(&tag, text);
		pattern = close + 1;
	}
	appendStringInfoString(&tag, pattern);
	return tag.len > APIBASE_CACHE_MAX_TAG ? NULL : tag.data;
}

/* The handler's own tags, for what was computed. */
static void
set_tags(Lookup *lookup)
{
	BusHandler *handler = lookup->handler;
	const char **tags = palloc((list_length(handler->cache_tags) + 1) * sizeof(char *));
	Jsonb	   *message = NULL;
	ListCell   *lc;

	foreach(lc, handler->cache_tags)
	{
		const char *tag = lfirst(lc);

		if (strchr(tag, '{') != NULL)
		{
			if (message == NULL)
			{
				ApibaseToJsonb *to_jsonb = &handler_cache(handler)->to_jsonb;

				if (!OidIsValid(to_jsonb->type))
					apibase_to_jsonb_prepare(to_jsonb, handler->type, handler_context(handler));
				message = apibase_to_jsonb(to_jsonb, lookup->message, false);
			}
			tag = expand_tag(tag, message);
		}
		if (tag != NULL)
			tags[lookup->compute.ntags++] = tag;
	}
	lookup->compute.tags = tags;
}

/* ---------- the cache ---------- */

/* For the cache: run the query. */
static void
compute_result(void *arg, ApibaseCacheKind *kind, struct varlena **data)
{
	Lookup	   *lookup = arg;
	ApibaseResult *result = lookup->result;

	lookup->run(lookup->arg, result);
	lookup->computed = true;
	*kind = APIBASE_CACHE_NOTHING;
	*data = NULL;
	if (!result->ok)
	{
		lookup->compute.negative_ttl = -1;	/* not to be kept */
		return;
	}
	set_tags(lookup);
	if (result->value != NULL)
	{
		*kind = APIBASE_CACHE_JSONB;
		*data = (struct varlena *) result->value;
	}
}

/* How many milliseconds to wait for who computes the same, where no timer is set to the deadline; -1: as long as others. */
static int
wait_limit(TimestampTz deadline)
{
	long		left;

	if (deadline == DT_NOEND)
		return -1;
	left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	return Min(left + 1, apibase_cache_wait_limit);
}

/* Let the result come from the cache, or be what run gives, to be kept.  Returns whether it comes from the cache. */
static bool
look_up(BusHandler *handler, Datum message, TimestampTz deadline, void (*run) (void *arg, ApibaseResult *result), void *arg,
		ApibaseResult *result)
{
	Lookup		lookup = {
		.handler = handler,
		.message = message,
		.run = run,
		.arg = arg,
		.result = result,
		.compute = {
			.compute = compute_result,
			.ttl = handler->cache_ttl,
			.jitter = -1,
			.wait_limit = wait_limit(deadline),
			.track = true,
			.any_role = true,	/* the key has the role, or it was declared that it need not */
		},
	};
	StringInfoData name;
	ApibaseCacheKey key;
	ApibaseCacheValue value;

	initStringInfo(&name);
	apibase_row_key_append(&name, handler_key(handler), DatumGetHeapTupleHeader(message));
	apibase_cache_key(&key, name.data, name.len);
	lookup.compute.arg = &lookup;
	apibase_cache_through(&key, &lookup.compute, &value);
	if (lookup.computed)
		return false;
	*result = (ApibaseResult)
	{
		.ok = true,
			.value = value.kind == APIBASE_CACHE_JSONB ? (Jsonb *) value.data : NULL
	};
	return true;
}

bool
bus_query_run(ApibaseInvocation *invocation, void (*next) (void *arg, ApibaseResult *result), void *arg,
			  ApibaseResult *result)
{
	/* without layers, who came here has looked already */
	if (invocation->registered->layers != NIL && apibase_cache_usable(true))
		return look_up(invocation->registered, invocation->message, DT_NOEND, next, arg, result);
	next(arg, result);
	return false;
}

/* ---------- handlers that return sets ---------- */

/* Memory context callback: the plan goes with the handler. */
static void
free_rows_plan(void *arg)
{
	struct BusQueryCache *cache = arg;

	if (cache->rows != NULL)
		SPI_freeplan(cache->rows);
	cache->rows = NULL;
}

/*
 * Prepare the query around a handler, in an SPI connection.  Its handler is found by name, which must not need the caller's
 * privilege to use its schema: EXECUTE is what decides.  So it is analysed with all rights, which runs nobody's code.
 * Planning, and all that runs, is the caller's.
 */
static SPIPlanPtr
prepare_rows(BusHandler *handler)
{
	Oid			function = handler->callable.oid;
	StringInfoData query;
	SPIPlanPtr	plan;
	Oid			user;
	int			security_context;

	initStringInfo(&query);
	/* the star is for functions that have a column r */
	appendStringInfo(&query, "SELECT coalesce(pg_catalog.jsonb_agg(r.*), '[]') FROM %s($1) AS r",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)));
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, security_context | SECURITY_LOCAL_USERID_CHANGE);
	plan = SPI_prepare(query.data, 1, handler->callable.argtypes);
	SetUserIdAndSecContext(user, security_context);
	if (plan == NULL)
		elog(ERROR, "could not prepare the query around function %u", function);
	return plan;
}

/*
 * The query around a handler, in an SPI connection.  One that is not valid any more, or is of another search path, is
 * prepared anew: it would be analysed again with the rights of the caller.  If it is running further out, it stays, and
 * the new one is for this call only.
 */
static SPIPlanPtr
rows_plan(BusHandler *handler)
{
	struct BusQueryCache *cache = handler_cache(handler);
	List	   *path = fetch_search_path(true);
	SPIPlanPtr	plan;
	MemoryContext old;

	if (cache->rows != NULL && equal(path, cache->rows_path) && SPI_plan_is_valid(cache->rows))
		return cache->rows;
	plan = prepare_rows(handler);
	if (cache->rows_running > 0)
		return plan;
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the query around function %u", handler->callable.oid);
	if (cache->free_rows.func == NULL)
	{
		cache->free_rows.func = free_rows_plan;
		cache->free_rows.arg = cache;
		MemoryContextRegisterResetCallback(handler_context(handler), &cache->free_rows);
	}
	free_rows_plan(cache);
	cache->rows = plan;
	list_free(cache->rows_path);
	cache->rows_path = NIL;
	old = MemoryContextSwitchTo(handler_context(handler));
	cache->rows_path = list_copy(path);
	MemoryContextSwitchTo(old);
	return plan;
}

/* Run the query around a handler; its only row is in SPI_tuptable. */
static void
execute_rows(BusHandler *handler, SPIPlanPtr plan, Datum *arg)
{
	struct BusQueryCache *cache = handler_cache(handler);

	cache->rows_running++;
	PG_TRY();
	{
		/* with the snapshot of who asks, as any STABLE function */
		if (SPI_execute_plan(plan, arg, NULL, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
			elog(ERROR, "could not collect the rows of function %u", handler->callable.oid);
	}
	PG_FINALLY();
	{
		cache->rows_running--;
	}
	PG_END_TRY();
}

Jsonb *
bus_query_rows(ApibaseInvocation *invocation)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	Datum		rows;
	Jsonb	   *result;
	bool		isnull;

	SPI_connect();
	execute_rows(invocation->registered, rows_plan(invocation->registered), &invocation->arg);
	rows = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	old = MemoryContextSwitchTo(context);
	result = (Jsonb *) PG_DETOAST_DATUM_COPY(rows);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return result;
}

/* ---------- dispatch ---------- */

/* For look_up. */
static void
dispatch(void *arg, ApibaseResult *result)
{
	bus_dispatch(arg, result);
}

/* Whether the cache is asked before a dispatch. */
static bool
is_looked_up_first(const BusHandler *handler)
{
	return handler->cache_ttl > 0 && handler->layers == NIL && handler->invalid == NULL &&
		apibase_proc_aclcheck(handler->callable.oid, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK &&
		apibase_cache_usable(true);
}

/* A message that has come by name, and whether it is what its type is like. */
typedef struct Reading
{
	BusMessage *message;
	Oid			type;
	bool		readable;
} Reading;

/* For apibase_try. */
static void
read_message(void *arg)
{
	Reading    *reading = arg;
	bool		isnull;

	reading->readable = apibase_payload_read(reading->message->payload, reading->type, -1, &reading->message->value,
											 &isnull) == NULL && !isnull;
}

/* Let a message that has come by name be a value.  False: it cannot; the dispatch will say why. */
static bool
read_payload(BusMessage *message, const BusHandler *handler)
{
	Reading		reading = {.message = message, .type = handler->type};
	ErrorData  *error;

	if (OidIsValid(message->type))
		return true;
	error = apibase_try(read_message, &reading);
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	if (error != NULL || !reading.readable)
		return false;
	message->type = handler->type;
	return true;
}

static void
dispatch_with(BusRegistry *registry, BusMessage *message, ApibaseResult *result)
{
	instr_time	start;
	instr_time	end;
	BusHandler *handler;

	INSTR_TIME_SET_CURRENT(start);
	handler = OidIsValid(message->type) ? bus_registry_find(registry, APIBASE_QUERY, message->type) :
		bus_registry_find_name(registry, APIBASE_QUERY, message->name);
	if (!is_looked_up_first(handler) || !read_payload(message, handler))
		bus_dispatch(message, result);
	else if (look_up(handler, message->value, message->options.deadline, dispatch, message, result))
	{
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		bus_stats_count(handler->stats, BUS_CACHED, INSTR_TIME_GET_MICROSEC(end));
	}
}

void
bus_query_dispatch(BusMessage *message, ApibaseResult *result)
{
	BusRegistry *registry = bus_registry_hold();

	PG_TRY();
	{
		dispatch_with(registry, message, result);
	}
	PG_FINALLY();
	{
		bus_registry_release(registry);
	}
	PG_END_TRY();
}

/* ---------- SQL ---------- */

/* The arguments as in bus_message_of_call(). */
static void
ask(FunctionCallInfo fcinfo, bool by_name, int options, ApibaseResult *result)
{
	BusMessage	message;

	bus_message_of_call(fcinfo, APIBASE_QUERY, by_name, options, &message);
	bus_query_dispatch(&message, result);
}

/* The value; what failed is raised. */
static Datum
return_value(FunctionCallInfo fcinfo, const ApibaseResult *result)
{
	if (!result->ok)
		apibase_problem_raise(result->error);
	if (result->value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result->value);
}

/* apibase.query(anyelement, options) */
Datum
apibase_bus_sql_query(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	ask(fcinfo, false, 1, &result);
	return return_value(fcinfo, &result);
}

/* apibase.query(name, payload, options) */
Datum
apibase_bus_sql_query_by_name(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	ask(fcinfo, true, 2, &result);
	return return_value(fcinfo, &result);
}

/* apibase.query_result(anyelement, options) */
Datum
apibase_bus_sql_query_result(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	ask(fcinfo, false, 1, &result);
	PG_RETURN_DATUM(apibase_result_datum(&result));
}

/* apibase.query_result(name, payload, options) */
Datum
apibase_bus_sql_query_result_by_name(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	ask(fcinfo, true, 2, &result);
	PG_RETURN_DATUM(apibase_result_datum(&result));
}
