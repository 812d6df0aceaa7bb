/*-------------------------------------------------------------------------
 *
 * cache_through.c
 *	  Get, or compute and put.
 *
 * What happens depends on what is found:
 *
 *	a value						it is taken
 *	one that expires soon		(early) who starts the flight computes, others take it
 *	one that has just expired	(stale_while_revalidate) the same
 *	nothing, or only one for	who starts the flight computes; others wait for it and
 *	stale_on_error				look again; when the limit is over, they compute too
 *
 * A transaction whose puts are private until it commits has nothing to share
 * and may hold locks, so it neither waits nor lets others wait for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_config.h"
#include "cache/cache_flight.h"
#include "cache/cache_namespace.h"
#include "cache/cache_track.h"
#include "cache/cache_xact.h"
#include "core/clock.h"
#include "core/subxact.h"

#include "access/xact.h"
#include "portability/instr_time.h"

/* One computation. */
typedef struct Computation
{
	const ApibaseCacheCompute *compute;
	CacheTracking tracking;
	ApibaseCacheKind kind;
	struct varlena *data;
	uint32		cost;
} Computation;

/* ---- computing ---- */

static void
compute_value(Computation *computation)
{
	const ApibaseCacheCompute *compute = computation->compute;
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	if (compute->track)
	{
		cache_track_begin(&computation->tracking);
		PG_TRY();
		{
			compute->compute(compute->arg, &computation->kind, &computation->data);
		}
		PG_FINALLY();
		{
			cache_track_end(&computation->tracking);
		}
		PG_END_TRY();
	}
	else
		compute->compute(compute->arg, &computation->kind, &computation->data);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	computation->cost = (uint32) Min(INSTR_TIME_GET_MICROSEC(end), PG_UINT32_MAX);
}

/* Whether an expired value must not stand in for an error: who is told to stop stops, what
 * has to be retried fails, and who may not compute it may not have it. */
static bool
must_be_raised(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_TRANSACTION_ROLLBACK ||
		error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE;
}

/* For apibase_try. */
static void
compute_tried(void *arg)
{
	compute_value(arg);
}

/* Compute in a subtransaction.  False, and the error logged, when it has failed. */
static bool
try_compute_value(Computation *computation, const ApibaseCacheKey *key)
{
	ErrorData  *error = apibase_try(compute_tried, computation);

	if (error == NULL)
		return true;
	if (must_be_raised(error))
		ReThrowError(error);
	cache_count(cache_namespace_of(key), CACHE_LEVEL1, CACHE_ERRORS, 1);
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("an expired value of cache key \"%.*s\" is served because a new one cannot be computed",
					key->len, key->name),
			 errdetail_internal("%s", error->message)));
	FreeErrorData(error);
	return false;
}

/* ---- putting ---- */

/* All tags of what was computed: those that were named, and those that were found. */
static const char **
collect_tags(const Computation *computation, int *ntags)
{
	const ApibaseCacheCompute *compute = computation->compute;
	const char **tags = palloc((compute->ntags + list_length(computation->tracking.tags) + 1) * sizeof(char *));
	int			n = 0;
	ListCell   *lc;

	for (int i = 0; i < compute->ntags; i++)
		tags[n++] = compute->tags[i];
	foreach(lc, computation->tracking.tags)
		tags[n++] = lfirst(lc);
	if (computation->tracking.row_security)
		tags[n++] = CACHE_ROW_SECURITY_TAG;
	*ntags = n;
	return tags;
}

/* Whether something must not be put although it was computed; says so once in a session. */
static bool
must_not_be_put(bool forbidden, bool *noticed, const ApibaseCacheKey *key, const char *why)
{
	if (forbidden && !*noticed)
	{
		*noticed = true;
		ereport(NOTICE,
				(errmsg("the value of cache key \"%.*s\" is not kept", key->len, key->name),
				 errdetail_internal("%s", why)));
	}
	return forbidden;
}

/* The reasons: it would be wrong for others, or it depends on more than an entry can. */
static bool
may_be_put(const ApibaseCacheKey *key, const Computation *computation, int ntags)
{
	const CacheTracking *tracking = &computation->tracking;
	static bool noticed[3];

	return !(must_not_be_put(tracking->temporary, &noticed[0], key,
							 _("It was computed from a temporary table.")) ||
			 must_not_be_put(tracking->row_security && !computation->compute->any_role, &noticed[1], key,
							 _("It was computed from a table with row-level security, and the key may be any role's.")) ||
			 must_not_be_put(tracking->tags != NIL && ntags > APIBASE_CACHE_MAX_TAGS, &noticed[2], key,
							 _("It was computed from more tables than an entry has tags.")));
}

/* Put what was computed.  Returns whether there is something to share with those who wait. */
static bool
put_value(const ApibaseCacheKey *key, const Computation *computation, ApibaseCacheLease *lease)
{
	const ApibaseCacheCompute *compute = computation->compute;
	ApibaseCachePut put = {
		.kind = computation->kind,
		.data = computation->data,
		.ttl = compute->ttl,
		.grace = Max(compute->stale_while_revalidate, compute->stale_on_error),
		.jitter = compute->jitter,
		.cost = computation->cost,
		.lease = lease,
	};

	if (computation->kind == APIBASE_CACHE_NOTHING && compute->negative_ttl != 0)
	{
		if (compute->negative_ttl < 0)
			return false;
		put.ttl = compute->negative_ttl;
	}
	put.tags = collect_tags(computation, &put.ntags);
	if (!may_be_put(key, computation, put.ntags))
	{
		cache_count(cache_namespace_of(key), CACHE_LEVEL1, CACHE_INVALIDATIONS, 1);
		return false;
	}

	switch (apibase_cache_put(key, &put))
	{
		case APIBASE_CACHE_STORED:
			return !cache_xact_is_private();
		case APIBASE_CACHE_REFUSED:
		case APIBASE_CACHE_EXISTS:
			return true;
		case APIBASE_CACHE_TOO_LARGE:
		case APIBASE_CACHE_OFF:
			break;
	}
	return false;
}

/* What was computed, for the caller. */
static void
return_value(const Computation *computation, ApibaseCacheValue *value)
{
	value->kind = computation->kind;
	value->data = computation->data;
	value->created = apibase_clock_now();
	value->expires = DT_NOEND;
	value->cost = computation->cost;
}

/*
 * Compute and put.  found tells what *value holds now; it stays, if computing
 * fails and stale_on_error allows.  Returns as put_value().
 */
static bool
refresh(const ApibaseCacheKey *key, const ApibaseCacheCompute *compute, ApibaseCacheOutcome found,
		ApibaseCacheValue *value)
{
	/* what is computed from here on is at least as new as this */
	ApibaseCacheLease *lease = cache_lease_take();
	Computation computation = {.compute = compute};

	if (compute->stale_on_error > 0 && !IsInParallelMode() &&
		(found == APIBASE_CACHE_HIT ||
		 (found == APIBASE_CACHE_STALE && apibase_clock_now() - value->expires < compute->stale_on_error)))
	{
		if (!try_compute_value(&computation, key))
			return true;
	}
	else
		compute_value(&computation);

	return_value(&computation, value);
	return put_value(key, &computation, lease);
}

/* ---- the way through ---- */

/* Whether little is left of the time to live. */
static bool
is_due_early(const ApibaseCacheCompute *compute, const ApibaseCacheValue *value)
{
	if (compute->early <= 0 || value->expires == DT_NOEND)
		return false;
	return value->expires - apibase_clock_now() < compute->early * (value->expires - value->created);
}

/* Whether a value will do for those who do not compute a new one. */
static bool
will_do(const ApibaseCacheCompute *compute, ApibaseCacheOutcome found, const ApibaseCacheValue *value)
{
	return found == APIBASE_CACHE_HIT ||
		(found == APIBASE_CACHE_STALE && apibase_clock_now() - value->expires < compute->stale_while_revalidate);
}

/* How long this may still wait, in milliseconds. */
static int
wait_left(const ApibaseCacheCompute *compute, instr_time start)
{
	int			limit = compute->wait_limit < 0 ? apibase_cache_wait_limit : compute->wait_limit;
	instr_time	waited;

	INSTR_TIME_SET_CURRENT(waited);
	INSTR_TIME_SUBTRACT(waited, start);
	return Max(0, limit - (int) Min(INSTR_TIME_GET_MILLISEC(waited), limit));
}

void
apibase_cache_through(const ApibaseCacheKey *key, const ApibaseCacheCompute *compute, ApibaseCacheValue *value)
{
	bool		stale = compute->stale_while_revalidate > 0 || compute->stale_on_error > 0;
	CacheFlightOutcome flight = CACHE_FLIGHT_BUSY;
	ApibaseCacheOutcome found;
	instr_time	start;
	bool		shared;

	if (!apibase_cache_usable(true))
	{
		ApibaseCacheCompute untracked = *compute;
		Computation computation = {.compute = &untracked};

		untracked.track = false;
		compute_value(&computation);
		return_value(&computation, value);
		return;
	}

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		uint64		landings = cache_flight_landings(key);
		bool		enough;

		found = apibase_cache_get(key, stale, value);
		if (found == APIBASE_CACHE_HIT && !is_due_early(compute, value))
		{
			if (flight == CACHE_FLIGHT_MINE)
				cache_flight_land(key, true);
			return;
		}
		if (flight == CACHE_FLIGHT_MINE)
			break;

		enough = will_do(compute, found, value);
		flight = cache_xact_is_private() ? CACHE_FLIGHT_ALONE :
			cache_flight_begin(key, enough ? 0 : wait_left(compute, start));
		if (flight == CACHE_FLIGHT_LANDED)
			continue;
		if (flight != CACHE_FLIGHT_MINE && enough)
			return;
		/* another may have landed between the get and the start: its value is there now */
		if (flight != CACHE_FLIGHT_MINE || landings == cache_flight_landings(key))
			break;
	}

	shared = refresh(key, compute, found, value);
	if (flight == CACHE_FLIGHT_MINE)
		cache_flight_land(key, shared);
}
