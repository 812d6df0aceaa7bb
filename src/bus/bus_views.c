/*-------------------------------------------------------------------------
 *
 * bus_views.c
 *	  What the registry shows of itself: functions behind views.
 *
 * What is listed is made ready as a dispatch would do it, so that a view says
 * beforehand what a dispatch would run into.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_registry.h"
#include "core/compat.h"
#include "core/subxact.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_registrations);
PG_FUNCTION_INFO_V1(apibase_bus_sql_middleware);

/* What is to be made ready: either of both. */
typedef struct Listed
{
	BusRegistry *registry;
	BusRegistration *registration;
	BusUse	   *use;
} Listed;

static void
make_ready(void *arg)
{
	Listed	   *item = arg;

	if (item->registration != NULL)
		bus_registration_make_ready(item->registry, item->registration);
	else
		bus_use_make_ready(item->registry, item->use);
}

/* Make it ready; returns what is wrong with it, or NULL. */
static const char *
find_problem(Listed *item)
{
	bool		ready = item->registration ? item->registration->ready : item->use->ready;
	ErrorData  *error = ready ? NULL : apibase_try(make_ready, item);

	/* a library that cannot be loaded, for example */
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	if (error != NULL)
		return error->message;
	return item->registration ? item->registration->handler.invalid : item->use->middleware.invalid;
}

static Datum
text_array(List *strings)
{
	Datum	   *items = palloc((list_length(strings) + 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, strings)
		items[n++] = CStringGetTextDatum((const char *) lfirst(lc));
	return PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Microseconds as an interval; 0 is NULL. */
static Datum
interval_datum(int64 microseconds, bool *isnull)
{
	Interval   *result = palloc0(sizeof(Interval));

	*isnull = microseconds == 0;
	result->time = microseconds;
	return IntervalPGetDatum(result);
}

/*
 * apibase_internal.bus_registrations(OUT kind, OUT message, OUT handler, OUT timeout, OUT idempotency, OUT idempotency_ttl,
 * OUT cache_ttl, OUT cache_key, OUT tags, OUT scope, OUT problem)
 */
Datum
apibase_bus_sql_registrations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Listed		item = {.registry = bus_registry_hold()};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, bus_registry_registrations(item.registry))
	{
		BusHandler *handler;
		const char *problem;
		Datum		values[11] = {0};
		bool		nulls[11] = {false};

		item.registration = lfirst(lc);
		problem = find_problem(&item);
		handler = &item.registration->handler;
		values[0] = CStringGetTextDatum(bus_kind_word(handler->kind));
		values[1] = ObjectIdGetDatum(handler->type);
		nulls[1] = !OidIsValid(handler->type);
		values[2] = ObjectIdGetDatum(item.registration->function);
		values[3] = interval_datum(handler->timeout, &nulls[3]);
		values[4] = CStringGetTextDatum(bus_idempotency_words[handler->idempotency]);
		values[5] = interval_datum(handler->idempotency_ttl, &nulls[5]);
		values[6] = interval_datum(handler->cache_ttl, &nulls[6]);
		nulls[7] = handler->cache_key == NIL;
		values[7] = text_array(handler->cache_key);
		values[8] = text_array(handler->cache_tags);
		values[9] = CStringGetTextDatum(handler->cache_shared ? "shared" : "role");
		nulls[10] = problem == NULL;
		values[10] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	bus_registry_release(item.registry);
	return (Datum) 0;
}

/* The kinds of messages that a middleware is for. */
static List *
kinds_of(const BusMiddleware *middleware)
{
	List	   *kinds = NIL;

	if (middleware->commands)
		kinds = lappend(kinds, unconstify(char *, bus_kind_word(APIBASE_COMMAND)));
	if (middleware->queries)
		kinds = lappend(kinds, unconstify(char *, bus_kind_word(APIBASE_QUERY)));
	if (middleware->events)
		kinds = lappend(kinds, unconstify(char *, bus_kind_word(APIBASE_EVENT)));
	return kinds;
}

/*
 * apibase_internal.bus_middleware(OUT name, OUT middleware, OUT phase, OUT messages, OUT kinds, OUT rank, OUT config,
 * OUT problem)
 */
Datum
apibase_bus_sql_middleware(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Listed		item = {.registry = bus_registry_hold()};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, bus_registry_uses(item.registry))
	{
		BusMiddleware *middleware;
		const char *problem;
		Datum		values[8] = {0};
		bool		nulls[8] = {false};

		item.use = lfirst(lc);
		problem = find_problem(&item);
		middleware = &item.use->middleware;
		values[0] = CStringGetTextDatum(middleware->name);
		values[1] = ObjectIdGetDatum(item.use->function);
		values[2] = CStringGetTextDatum(bus_phase_words[middleware->phase]);
		values[3] = CStringGetTextDatum(middleware->pattern);
		values[4] = text_array(kinds_of(middleware));
		values[5] = Int32GetDatum(middleware->rank);
		nulls[6] = middleware->config == NULL;
		values[6] = JsonbPGetDatum(middleware->config);
		nulls[7] = problem == NULL;
		values[7] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	bus_registry_release(item.registry);
	return (Datum) 0;
}
