/*-------------------------------------------------------------------------
 *
 * apibase_test.c
 *	  Uses the inner parts of apibase as a module does.  For tests only.
 *
 * Two workers run on the loop of core/worker.c:
 *
 *	steady	connected to the database of apibase_test.database, started again
 *			a second after it has exited; its turns query the catalog, and
 *			fail or last long when told to
 *	once	without a connection, never started again; waits for its latch
 *
 * What they do is counted in shared memory, requested through core/shmem.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/module.h"
#include "core/shmem.h"
#include "core/worker.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

typedef struct TestShared
{
	ApibaseWorkerStatus steady;
	ApibaseWorkerStatus once;
	pg_atomic_uint32 faults;	/* turns that are to fail */
	pg_atomic_uint32 stall;		/* turns are to last */
	pg_atomic_uint32 stalled;	/* how many began to */
	pg_atomic_uint64 leaked;
} TestShared;

static TestShared *shared;
static LWLock *lock;

static char *worker_database;
static int	naptime;
static int	slots;

PG_FUNCTION_INFO_V1(apibase_test_worker_status);
PG_FUNCTION_INFO_V1(apibase_test_fail_turns);
PG_FUNCTION_INFO_V1(apibase_test_stall_turns);
PG_FUNCTION_INFO_V1(apibase_test_stalled);
PG_FUNCTION_INFO_V1(apibase_test_leaked_bytes);
PG_FUNCTION_INFO_V1(apibase_test_preloaded);

extern PGDLLEXPORT void apibase_test_steady_main(Datum arg);
extern PGDLLEXPORT void apibase_test_once_main(Datum arg);

/* Note how much is in the turn's memory context before the turn, and leave it some more. */
static void
watch_memory(void)
{
	uint64		bytes = MemoryContextMemAllocated(CurrentMemoryContext, true);

	if (bytes > pg_atomic_read_u64(&shared->leaked))
		pg_atomic_write_u64(&shared->leaked, bytes);
	(void) palloc(1024 * 1024);
}

/* One turn of "steady". */
static long
steady_turn(void)
{
	watch_memory();
	if (pg_atomic_read_u32(&shared->stall))
		pg_atomic_fetch_add_u32(&shared->stalled, 1);
	while (pg_atomic_read_u32(&shared->stall))
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(10000L);
	}

	apibase_worker_begin("a turn of steady");
	SPI_connect();
	if (SPI_execute("SELECT count(*) FROM pg_catalog.pg_class", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed");

	/* an error here must release the lock and the transaction, or the next turn hangs */
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&shared->faults) > 0)
	{
		pg_atomic_fetch_sub_u32(&shared->faults, 1);
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("this turn was told to fail")));
	}
	LWLockRelease(lock);
	SPI_finish();
	apibase_worker_commit();
	return naptime;
}

/* One turn of "once". */
static long
once_turn(void)
{
	return -1;
}

static ApibaseWorkerStatus *
steady_status(void)
{
	return &shared->steady;
}

static ApibaseWorkerStatus *
once_status(void)
{
	return &shared->once;
}

static const ApibaseWorker steady = {
	.name = "apibase_test steady",
	.library = "apibase_test",
	.function = "apibase_test_steady_main",
	.start = BgWorkerStart_RecoveryFinished,
	.restart = 1,
	.database = &worker_database,
	.turn = steady_turn,
	.status = steady_status,
	.backoff = 20,
	.backoff_max = 200,
};

static const ApibaseWorker once = {
	.name = "apibase_test once",
	.library = "apibase_test",
	.function = "apibase_test_once_main",
	.start = BgWorkerStart_ConsistentState,
	.restart = BGW_NEVER_RESTART,
	.turn = once_turn,
	.status = once_status,
	.backoff = 20,
	.backoff_max = 200,
};

void
apibase_test_steady_main(Datum arg)
{
	apibase_worker_run(&steady);
}

void
apibase_test_once_main(Datum arg)
{
	apibase_worker_run(&once);
}

static void
define_gucs(void)
{
	DefineCustomStringVariable("apibase_test.database", "Database of the worker \"steady\".", NULL,
							   &worker_database, "postgres",
							   apibase_guc_postmaster_context(), 0, NULL, NULL, NULL);
	DefineCustomIntVariable("apibase_test.naptime", "Time between turns of \"steady\".", NULL,
							&naptime, 20, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("apibase_test.slots", "A setting that would size shared memory.", NULL,
							&slots, 10, 1, 1000,
							apibase_guc_postmaster_context(), 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("apibase_test");
}

static Size
shmem_size(void)
{
	return sizeof(TestShared);
}

static void
shmem_init(void *area, LWLockPadded *locks, bool found)
{
	shared = area;
	lock = &locks[0].lock;
	if (found)
		return;
	apibase_worker_status_init(&shared->steady);
	apibase_worker_status_init(&shared->once);
	pg_atomic_init_u32(&shared->faults, 0);
	pg_atomic_init_u32(&shared->stall, 0);
	pg_atomic_init_u32(&shared->stalled, 0);
	pg_atomic_init_u64(&shared->leaked, 0);
}

static void
register_workers(void)
{
	apibase_worker_register(&steady);
	apibase_worker_register(&once);
}

static const ApibaseModule modules[] = {
	{
		.name = "test",
		.define_gucs = define_gucs,
		.shmem_size = shmem_size,
		.shmem_init = shmem_init,
		.nlocks = 1,
		.register_workers = register_workers,
	},
};

void
_PG_init(void)
{
	modules[0].define_gucs();
	if (!process_shared_preload_libraries_in_progress)
		return;
	apibase_shmem_install(modules, lengthof(modules));
	modules[0].register_workers();
}

Datum
apibase_test_worker_status(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ApibaseWorkerStatus *status;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	apibase_shmem_require("its workers do not run");
	status = strcmp(name, "once") == 0 ? &shared->once : &shared->steady;
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum((int32) pg_atomic_read_u32(&status->pid));
	values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&status->turns));
	values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&status->failures));
	values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&status->reloads));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

Datum
apibase_test_fail_turns(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("its workers do not run");
	pg_atomic_write_u32(&shared->faults, (uint32) PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}

Datum
apibase_test_stall_turns(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("its workers do not run");
	pg_atomic_write_u32(&shared->stall, PG_GETARG_BOOL(0));
	PG_RETURN_VOID();
}

Datum
apibase_test_stalled(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("its workers do not run");
	PG_RETURN_INT32((int32) pg_atomic_read_u32(&shared->stalled));
}

Datum
apibase_test_leaked_bytes(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("its workers do not run");
	PG_RETURN_INT64((int64) pg_atomic_read_u64(&shared->leaked));
}

Datum
apibase_test_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(apibase_shmem_available());
}
