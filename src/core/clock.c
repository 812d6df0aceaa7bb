/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The clock that everything with a deadline or a time to live reads.
 *
 * A test that waits for an hour to pass sets the clock instead.  The offset
 * is one atomic in shared memory, so that all backends and workers of the
 * server see the same time; it is zero after a start.  Only a superuser can
 * set it.  Without shared memory the clock is the system's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/shmem.h"

#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

typedef struct ClockShared
{
	pg_atomic_uint64 offset;	/* microseconds, an int64 */
} ClockShared;

static ClockShared *clock_shared;

PG_FUNCTION_INFO_V1(apibase_core_clock_now);
PG_FUNCTION_INFO_V1(apibase_core_clock_set);

Size
apibase_clock_shmem_size(void)
{
	return sizeof(ClockShared);
}

void
apibase_clock_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	clock_shared = area;
	if (!found)
		pg_atomic_init_u64(&clock_shared->offset, 0);
}

TimestampTz
apibase_clock_now(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (clock_shared)
		now += (int64) pg_atomic_read_u64(&clock_shared->offset);
	return now;
}

TimestampTz
apibase_clock_now_coarse(void)
{
#ifdef CLOCK_REALTIME_COARSE
	struct timespec ts;
	TimestampTz now;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	now = ((int64) ts.tv_sec - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY) * USECS_PER_SEC
		+ ts.tv_nsec / 1000;
	if (clock_shared)
		now += (int64) pg_atomic_read_u64(&clock_shared->offset);
	return now;
#else
	return apibase_clock_now();
#endif
}

int64
apibase_interval_microseconds(const Interval *interval)
{
	/* As a double first: what overflows is far more than the most. */
	double		estimate = (interval->month * (double) DAYS_PER_MONTH + interval->day) * USECS_PER_DAY + interval->time;

	if (estimate <= 0)
		return 0;
	if (estimate >= APIBASE_DURATION_MAX)
		return APIBASE_DURATION_MAX;
	return ((int64) interval->month * DAYS_PER_MONTH + interval->day) * USECS_PER_DAY + interval->time;
}

int64
apibase_duration(const Interval *interval, const char *what)
{
	int64		duration = apibase_interval_microseconds(interval);

	if (duration == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be positive", what)));
	return duration;
}

/* apibase_internal.clock_now() */
Datum
apibase_core_clock_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(apibase_clock_now());
}

/* apibase_internal.clock_set(interval): the offset from the system's clock; zero ends the test. */
Datum
apibase_core_clock_set(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz then;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to set the clock of apibase")));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the offset of the clock must not be null")));
	apibase_shmem_require("the clock cannot be set");

	/* what is out of the range of timestamps is refused in here */
	then = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(now),
												   PG_GETARG_DATUM(0)));
	if (TIMESTAMP_NOT_FINITE(then))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the offset of the clock must be finite")));

	pg_atomic_write_u64(&clock_shared->offset, (uint64) (then - now));
	PG_RETURN_VOID();
}
