/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The loop of a background worker, and its registration.
 *
 * A module describes its worker by an ApibaseWorker and gives the work of one
 * turn.  Everything around it is here, once:
 *
 *	- Signals have the server's own handlers.  SIGHUP reads the configuration
 *	  again before the next turn; SIGTERM ends the worker, between turns
 *	  quietly, within a turn at the next CHECK_FOR_INTERRUPTS; SIGINT
 *	  (pg_cancel_backend) ends the turn with an error.
 *	- Interrupts are served before every turn, so that the barrier which DROP
 *	  DATABASE waits for is passed even by a worker with nothing to do.  A
 *	  turn that takes long serves them itself, and a turn that waits for the
 *	  network holds no transaction and no lock while it does.  A worker that
 *	  is connected to the database in question counts as its user, as any
 *	  session does: DROP DATABASE ... WITH (FORCE) ends it.
 *	- An error ends the turn, not the worker: it is logged and counted, what
 *	  the turn had open is released, and the next turn waits, twice as long
 *	  after each further failure up to a limit.  Setting the latch does not
 *	  cut that wait short.
 *	- Each turn starts with an empty memory context.
 *
 * After pg_terminate_backend the postmaster starts the worker again after
 * "restart" seconds, or never, as configured.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/worker.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/interrupt.h"
#include "storage/bufmgr.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

/* The loop's own state; a worker is one process. */
static const ApibaseWorker *self;
static ApibaseWorkerStatus *self_status;
static MemoryContext turn_cxt;

/* Failures since the last turn that ended well. */
static int	failures_in_a_row = 0;

void
apibase_worker_status_init(ApibaseWorkerStatus *status)
{
	pg_atomic_init_u32(&status->pid, 0);
	pg_atomic_init_u64(&status->turns, 0);
	pg_atomic_init_u64(&status->failures, 0);
	pg_atomic_init_u64(&status->reloads, 0);
}

void
apibase_worker_register(const ApibaseWorker *worker)
{
	BackgroundWorker bgw = {0};

	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS;
	if (worker->database)
		bgw.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = worker->start;
	bgw.bgw_restart_time = worker->restart;
	strlcpy(bgw.bgw_name, worker->name, BGW_MAXLEN);
	strlcpy(bgw.bgw_type, worker->name, BGW_MAXLEN);
	strlcpy(bgw.bgw_library_name, worker->library, sizeof(bgw.bgw_library_name));
	strlcpy(bgw.bgw_function_name, worker->function, sizeof(bgw.bgw_function_name));
	RegisterBackgroundWorker(&bgw);
}

void
apibase_worker_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
apibase_worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(turn_cxt);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The worker exits, in whatever way. */
static void
on_exit_worker(int code, Datum arg)
{
	if (self_status)
		pg_atomic_write_u32(&self_status->pid, 0);
}

/* Signals, connection, memory. */
static void
start_worker(const ApibaseWorker *worker)
{
	self = worker;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (worker->database)
	{
		const char *name = *worker->database;

		BackgroundWorkerInitializeConnection((name && name[0]) ? name : NULL, NULL, 0);
	}

	self_status = worker->status ? worker->status() : NULL;
	if (self_status)
		pg_atomic_write_u32(&self_status->pid, MyProcPid);
	on_shmem_exit(on_exit_worker, (Datum) 0);

	turn_cxt = AllocSetContextCreate(TopMemoryContext, "apibase worker turn",
									 ALLOCSET_DEFAULT_SIZES);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* What was asked of the worker while it waited. */
static void
serve_requests(void)
{
	/* the postmaster starts it again unless it is configured not to */
	if (ProcDiePending)
		proc_exit(1);

	/* there is nothing to cancel between turns */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		if (self->reload)
			self->reload();
		if (self_status)
			pg_atomic_fetch_add_u64(&self_status->reloads, 1);
	}
}

/* After an error in a turn: log it, release everything, say how long to wait. */
static long
recover_from_error(void)
{
	int64		wait = self->backoff;

	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	EmitErrorReport();

	if (self->database)
		AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	UnlockBuffers();

	MemoryContextSwitchTo(turn_cxt);
	FlushErrorState();
	pgstat_report_activity(STATE_IDLE, NULL);
	RESUME_INTERRUPTS();

	if (self_status)
		pg_atomic_fetch_add_u64(&self_status->failures, 1);
	for (int i = 0; i < failures_in_a_row && wait < self->backoff_max; i++)
		wait *= 2;
	failures_in_a_row++;
	return Min(wait, self->backoff_max);
}

/* One turn; returns how long to wait. */
static long
take_turn(void)
{
	long		wait;

	MemoryContextReset(turn_cxt);
	MemoryContextSwitchTo(turn_cxt);
	PG_TRY();
	{
		wait = self->turn();
		failures_in_a_row = 0;
		if (self_status)
			pg_atomic_fetch_add_u64(&self_status->turns, 1);
	}
	PG_CATCH();
	{
		wait = recover_from_error();
	}
	PG_END_TRY();
	return wait;
}

/*
 * Wait for the latch, or at most so long (less than 0: for ever).  After a
 * failure the latch only has requests served, and the wait goes on.
 */
static void
wait_for_turn(long wait, uint32 wait_event)
{
	instr_time	start;
	instr_time	now;
	long		left = wait;

	INSTR_TIME_SET_CURRENT(start);
	while (left != 0)
	{
		int			event;

		event = WaitLatch(MyLatch,
						  WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (left > 0 ? WL_TIMEOUT : 0),
						  left, wait_event);
		ResetLatch(MyLatch);
		serve_requests();
		if ((event & WL_LATCH_SET) && failures_in_a_row == 0)
			return;

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		left = Max(wait - (long) INSTR_TIME_GET_MILLISEC(now), 0);
	}
}

void
apibase_worker_run(const ApibaseWorker *worker)
{
	uint32		wait_event;

	start_worker(worker);
	wait_event = APIBASE_WAIT_EVENT("ApibaseWorkerTurn");
	for (;;)
	{
		long		wait;

		serve_requests();
		wait = take_turn();
		wait_for_turn(wait, wait_event);
	}
}
