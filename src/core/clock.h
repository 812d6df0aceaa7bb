/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The clock that everything with a deadline or a time to live reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CLOCK_H
#define APIBASE_CLOCK_H

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

/* Now, as the system's clock has it, plus the offset that a test has set. */
extern TimestampTz apibase_clock_now(void);

/*
 * The same in a sixth of the time, behind by up to APIBASE_CLOCK_COARSENESS
 * microseconds: for hot paths, which ask the exact clock when it matters.
 */
extern TimestampTz apibase_clock_now_coarse(void);
#define APIBASE_CLOCK_COARSENESS	INT64CONST(20000)

/*
 * An interval in microseconds, a month having 30 days; at most 100 years, which
 * stand for ever.  What is not positive is 0 for the first, and the error
 * 22023 for the second, which names it.
 */
extern int64 apibase_interval_microseconds(const Interval *interval);
extern int64 apibase_duration(const Interval *interval, const char *what);
#define APIBASE_DURATION_MAX	(INT64CONST(100) * 366 * 86400 * USECS_PER_SEC)

extern Size apibase_clock_shmem_size(void);
extern void apibase_clock_shmem_init(void *area, LWLockPadded *locks, bool found);

#endif							/* APIBASE_CLOCK_H */
