/*-------------------------------------------------------------------------
 *
 * spec_stats.c
 *	  Counters of the specification module, in shared memory.
 *
 * A counter is an atomic that is only ever added to: no lock, and no loss.
 * They are not transactional, and they work in read-only transactions and on
 * a hot standby, whose counters are its own.  A restart starts them at zero,
 * as spec_stats_reset() does; a reset is not atomic over all of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/shmem.h"
#include "spec/spec_stats.h"

#include "funcapi.h"
#include "port/atomics.h"

typedef struct SpecStats
{
	pg_atomic_uint64 counters[APIBASE_SPEC_NCOUNTERS];
} SpecStats;

static SpecStats *stats = NULL;

PG_FUNCTION_INFO_V1(apibase_spec_stats);
PG_FUNCTION_INFO_V1(apibase_spec_stats_reset);

/* For the module table. */
Size
apibase_spec_shmem_size(void)
{
	return sizeof(SpecStats);
}

/* For the module table. */
void
apibase_spec_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	stats = area;
	if (found)
		return;
	for (int i = 0; i < APIBASE_SPEC_NCOUNTERS; i++)
		pg_atomic_init_u64(&stats->counters[i], 0);
}

/* Add one to a counter. */
void
apibase_spec_count(ApibaseSpecCounter counter)
{
	if (stats != NULL)
		pg_atomic_fetch_add_u64(&stats->counters[counter], 1);
}

/* apibase_internal.spec_stats(): the row of the view apibase.spec_stats. */
Datum
apibase_spec_stats(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[APIBASE_SPEC_NCOUNTERS];
	bool		nulls[APIBASE_SPEC_NCOUNTERS] = {0};

	apibase_shmem_require("the counters of specifications cannot be read");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < APIBASE_SPEC_NCOUNTERS; i++)
		values[i] = Int64GetDatum((int64) pg_atomic_read_u64(&stats->counters[i]));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* apibase.spec_stats_reset(): all counters to zero. */
Datum
apibase_spec_stats_reset(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("the counters of specifications cannot be reset");
	for (int i = 0; i < APIBASE_SPEC_NCOUNTERS; i++)
		pg_atomic_write_u64(&stats->counters[i], 0);
	PG_RETURN_VOID();
}
