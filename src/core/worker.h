/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The loop of a background worker, and its registration.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_WORKER_H
#define APIBASE_WORKER_H

#include "port/atomics.h"
#include "postmaster/bgworker.h"

#include "core/compat.h"

/* What a worker tells about itself, in the shared memory of its module. */
typedef struct ApibaseWorkerStatus
{
	pg_atomic_uint32 pid;		/* 0 when it is not running */
	pg_atomic_uint64 turns;		/* that ended well */
	pg_atomic_uint64 failures;	/* turns that ended in an error */
	pg_atomic_uint64 reloads;	/* of the configuration */
} ApibaseWorkerStatus;

typedef struct ApibaseWorker
{
	const char *name;			/* shown by ps, the log and pg_stat_activity */
	const char *library;		/* that has the function */
	const char *function;		/* exported; calls apibase_worker_run with this structure */
	BgWorkerStartTime start;	/* BgWorkerStart_ConsistentState runs on a hot standby too */
	int			restart;		/* seconds after which it is started again when it has exited, or BGW_NEVER_RESTART */

	/*
	 * The database to connect to: NULL for none (the worker has shared memory only), otherwise the variable of a
	 * setting; empty for a connection that sees shared catalogs only.
	 */
	char	  **database;

	/*
	 * One turn of the work.  It returns after how many milliseconds the next is due: 0 for at once, less for not
	 * before the latch is set.  Setting the latch (SetLatch, a signal) can always make it come earlier, except after
	 * a failure.  It runs in a memory context that is reset afterwards.
	 */
	long		(*turn) (void);

	/* Called after the configuration was read again; may be NULL. */
	void		(*reload) (void);

	/* Where the counters are; may be NULL. */
	ApibaseWorkerStatus *(*status) (void);

	/* After a failure the next turn waits this long, and twice as long after each further one. */
	int			backoff;		/* milliseconds */
	int			backoff_max;
} ApibaseWorker;

/* From a module's register_workers. */
extern void apibase_worker_register(const ApibaseWorker *worker);

/* From the worker's function; does not return. */
extern void apibase_worker_run(const ApibaseWorker *worker) pg_attribute_noreturn();

/* For turns of a worker with a database: a transaction with a snapshot, shown as doing activity. */
extern void apibase_worker_begin(const char *activity);
extern void apibase_worker_commit(void);

extern void apibase_worker_status_init(ApibaseWorkerStatus *status);

#endif							/* APIBASE_WORKER_H */
