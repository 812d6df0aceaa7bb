/*-------------------------------------------------------------------------
 *
 * spec_stats.h
 *	  Counters of the specification module, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_STATS_H
#define APIBASE_SPEC_STATS_H

#include "postgres.h"

#include "storage/lwlock.h"

/* In the order of the columns of apibase.spec_stats. */
typedef enum ApibaseSpecCounter
{
	APIBASE_SPEC_INLINED,		/* calls that the planner replaced by native conditions */
	APIBASE_SPEC_OPAQUE,		/* calls that were planned and could not be replaced */
	APIBASE_SPEC_FIND_CALLS,	/* find and find_count */
	APIBASE_SPEC_FIND_CACHE_HITS,	/* of them: with a plan that was kept */
	APIBASE_SPEC_FIND_CACHE_EVICTIONS	/* plans that made room for others */
} ApibaseSpecCounter;

#define APIBASE_SPEC_NCOUNTERS	(APIBASE_SPEC_FIND_CACHE_EVICTIONS + 1)

/* Add one; nothing happens where apibase is not preloaded. */
extern void apibase_spec_count(ApibaseSpecCounter counter);

extern Size apibase_spec_shmem_size(void);
extern void apibase_spec_shmem_init(void *area, LWLockPadded *locks, bool found);

#endif							/* APIBASE_SPEC_STATS_H */
