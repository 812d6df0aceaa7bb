/*-------------------------------------------------------------------------
 *
 * cache_redis_breaker.c
 *	  The breaker before Redis, shared by all backends.
 *
 *	closed		every call is tried.  So many failures in a row, of whatever
 *				backends, open it
 *	open		no call is tried, until the recovery time has passed
 *	half_open	the call that came first then probes, the others are not
 *				tried.  Its success closes the breaker, its failure opens it;
 *				if nothing is heard of it for the recovery time, the next
 *				call probes
 *
 * What a call that is not the probe brings back after the breaker has opened
 * changes nothing but the counters.
 *
 * The state changes under a spinlock, and is read without: a closed breaker
 * costs a call one read, an open one the clock as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_impl.h"
#include "core/clock.h"
#include "core/shmem.h"

#include "funcapi.h"
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef enum BreakerState
{
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN,
} BreakerState;

typedef struct BreakerShared
{
	slock_t		mutex;			/* for writing all but the counters */
	pg_atomic_uint32 state;
	pg_atomic_uint64 since;		/* TimestampTz of the state */
	pg_atomic_uint32 in_a_row;
	TimestampTz last_failure;	/* 0: never */
	TimestampTz last_warning;
	char		last_error[256];

	pg_atomic_uint64 failures;
	pg_atomic_uint64 commands;
	pg_atomic_uint64 connections;
	pg_atomic_uint64 skipped;
	pg_atomic_uint32 preferred_seed;
} BreakerShared;

int			cache_redis_breaker_failures = 5;
int			cache_redis_breaker_recovery = 5000;
int			cache_redis_warning_interval = 60;

static BreakerShared *shared;

PG_FUNCTION_INFO_V1(apibase_cache_redis_view);

Size
cache_redis_conn_size(void)
{
	return sizeof(BreakerShared);
}

void
cache_redis_conn_init(void *area, bool found)
{
	shared = area;
	if (found)
		return;
	memset(shared, 0, sizeof(*shared));
	SpinLockInit(&shared->mutex);
	pg_atomic_init_u32(&shared->state, BREAKER_CLOSED);
	pg_atomic_init_u64(&shared->since, (uint64) GetCurrentTimestamp());
	pg_atomic_init_u32(&shared->in_a_row, 0);
	pg_atomic_init_u64(&shared->failures, 0);
	pg_atomic_init_u64(&shared->commands, 0);
	pg_atomic_init_u64(&shared->connections, 0);
	pg_atomic_init_u64(&shared->skipped, 0);
	pg_atomic_init_u32(&shared->preferred_seed, 0);
}

bool
cache_redis_configured(void)
{
	return shared != NULL && cache_redis_url() != NULL;
}

/* Whether a time is so long ago, or in the future, which is to say that the clock was set back. */
static bool
has_passed(TimestampTz since, int64 microseconds, TimestampTz now)
{
	return now < since || now - since >= microseconds;
}

static bool
probe_is_due(TimestampTz now)
{
	return has_passed((TimestampTz) pg_atomic_read_u64(&shared->since), cache_redis_breaker_recovery * INT64CONST(1000), now);
}

/* With the spinlock held. */
static void
set_state(BreakerState state, TimestampTz now)
{
	pg_atomic_write_u64(&shared->since, (uint64) now);
	pg_atomic_write_u32(&shared->state, state);
}

bool
cache_redis_breaker_would_enter(void)
{
	if (pg_atomic_read_u32(&shared->state) == BREAKER_CLOSED || probe_is_due(apibase_clock_now()))
		return true;
	cache_redis_count_skipped();
	return false;
}

CacheRedisPass
cache_redis_breaker_enter(void)
{
	CacheRedisPass pass = CACHE_REDIS_SKIP;
	TimestampTz now;

	if (pg_atomic_read_u32(&shared->state) == BREAKER_CLOSED)
		return CACHE_REDIS_TRY;

	now = apibase_clock_now();
	if (probe_is_due(now))
	{
		SpinLockAcquire(&shared->mutex);
		if (pg_atomic_read_u32(&shared->state) == BREAKER_CLOSED)
			pass = CACHE_REDIS_TRY;
		else if (probe_is_due(now))
		{
			set_state(BREAKER_HALF_OPEN, now);
			pass = CACHE_REDIS_PROBE;
		}
		SpinLockRelease(&shared->mutex);
	}
	if (pass == CACHE_REDIS_SKIP)
		cache_redis_count_skipped();
	return pass;
}

void
cache_redis_breaker_success(CacheRedisPass pass)
{
	TimestampTz now;

	if (pass == CACHE_REDIS_TRY && pg_atomic_read_u32(&shared->in_a_row) == 0)
		return;

	now = apibase_clock_now();
	SpinLockAcquire(&shared->mutex);
	if (pass == CACHE_REDIS_PROBE && pg_atomic_read_u32(&shared->state) == BREAKER_HALF_OPEN)
		set_state(BREAKER_CLOSED, now);
	if (pg_atomic_read_u32(&shared->state) == BREAKER_CLOSED)
		pg_atomic_write_u32(&shared->in_a_row, 0);
	SpinLockRelease(&shared->mutex);
}

void
cache_redis_breaker_failure(CacheRedisPass pass, const char *error)
{
	TimestampTz now = apibase_clock_now();
	BreakerState state;
	uint32		in_a_row;
	bool		warn;

	pg_atomic_fetch_add_u64(&shared->failures, 1);

	SpinLockAcquire(&shared->mutex);
	in_a_row = pg_atomic_read_u32(&shared->in_a_row) + 1;
	pg_atomic_write_u32(&shared->in_a_row, in_a_row);
	shared->last_failure = now;
	strlcpy(shared->last_error, error, sizeof(shared->last_error));
	state = (BreakerState) pg_atomic_read_u32(&shared->state);
	if ((state == BREAKER_CLOSED && in_a_row >= (uint32) cache_redis_breaker_failures) ||
		(state == BREAKER_HALF_OPEN && pass == CACHE_REDIS_PROBE))
		set_state(BREAKER_OPEN, now);
	warn = shared->last_warning == 0 ||
		has_passed(shared->last_warning, cache_redis_warning_interval * INT64CONST(1000000), now);
	if (warn)
		shared->last_warning = now;
	SpinLockRelease(&shared->mutex);

	if (warn)
		ereport(WARNING,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the cache does without Redis: %s", error),
				 errhint("The view apibase.cache_redis shows the state of the connection. Further warnings are held back for %d s.",
						 cache_redis_warning_interval)));
}

void
cache_redis_count_commands(uint64 n)
{
	pg_atomic_fetch_add_u64(&shared->commands, n);
}

void
cache_redis_count_connection(void)
{
	pg_atomic_fetch_add_u64(&shared->connections, 1);
}

void
cache_redis_count_skipped(void)
{
	pg_atomic_fetch_add_u64(&shared->skipped, 1);
}

int
cache_redis_preferred_seed(int nseeds)
{
	return (int) (pg_atomic_read_u32(&shared->preferred_seed) % (uint32) nseeds);
}

void
cache_redis_prefer_seed(int seed)
{
	pg_atomic_write_u32(&shared->preferred_seed, (uint32) seed);
}

/* The state of the breaker and of the connection, for the view apibase.cache_redis; all without a call to Redis. */
typedef struct CacheRedisState
{
	const char *breaker;		/* closed, open, half_open */
	TimestampTz since;
	uint64		failures;		/* in all */
	uint64		failures_in_a_row;
	uint64		commands;
	uint64		connections;	/* made */
	uint64		skipped;		/* calls that the breaker kept from being tried */
	TimestampTz last_failure;
	char		last_error[256];	/* never has a password in it */
} CacheRedisState;

static void
breaker_state(CacheRedisState *state)
{
	static const char *const names[] = {
		[BREAKER_CLOSED] = "closed",
		[BREAKER_OPEN] = "open",
		[BREAKER_HALF_OPEN] = "half_open",
	};

	SpinLockAcquire(&shared->mutex);
	state->breaker = names[pg_atomic_read_u32(&shared->state)];
	state->since = (TimestampTz) pg_atomic_read_u64(&shared->since);
	state->failures_in_a_row = pg_atomic_read_u32(&shared->in_a_row);
	state->last_failure = shared->last_failure;
	memcpy(state->last_error, shared->last_error, sizeof(state->last_error));
	SpinLockRelease(&shared->mutex);
	state->failures = pg_atomic_read_u64(&shared->failures);
	state->commands = pg_atomic_read_u64(&shared->commands);
	state->connections = pg_atomic_read_u64(&shared->connections);
	state->skipped = pg_atomic_read_u64(&shared->skipped);
}

/* apibase_internal.cache_redis(): the row of the view apibase.cache_redis. */
Datum
apibase_cache_redis_view(PG_FUNCTION_ARGS)
{
	const CacheRedisUrl *url = cache_redis_url();
	CacheRedisState state;
	TupleDesc	desc;
	Datum		values[10] = {0};
	bool		nulls[10] = {0};

	apibase_shmem_require("the state of Redis cannot be shown");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "return type must be a row type of %d columns", (int) lengthof(values));
	breaker_state(&state);

	nulls[0] = url == NULL;
	if (url)
		values[0] = CStringGetTextDatum(url->shown);
	values[1] = CStringGetTextDatum(state.breaker);
	values[2] = TimestampTzGetDatum(state.since);
	values[3] = Int64GetDatum((int64) state.failures);
	values[4] = Int64GetDatum((int64) state.failures_in_a_row);
	values[5] = Int64GetDatum((int64) state.commands);
	values[6] = Int64GetDatum((int64) state.connections);
	values[7] = Int64GetDatum((int64) state.skipped);
	nulls[8] = nulls[9] = state.last_failure == 0;
	if (state.last_failure != 0)
	{
		values[8] = TimestampTzGetDatum(state.last_failure);
		values[9] = CStringGetTextDatum(state.last_error);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
