/*-------------------------------------------------------------------------
 *
 * events_position.c
 *	  The order of commits: batches, positions, announcements, the horizon.
 *
 * Read events.h first: there is why the order is right and nothing is skipped.
 *
 * An announcement is one atomic word for each backend.  It is 0, or a position
 * and a bit that tells whether it is exact.  Who is about to draw a position
 * announces a lower bound of it, the last position that was drawn plus one,
 * draws, and then announces the position itself.  The bound may be below what
 * was a horizon a moment ago, if others have drawn in between.  For readers that is
 * harmless: they get less than they could.  Who judges whether a position was rightly
 * read (events_reached) leaves bounds out, because a position that is being drawn is
 * higher than all horizons before.
 *
 * Barriers.  A position is drawn with the sequence's page locked exclusively, and the last one
 * is read with it locked shared.  So a reader that sees the position in the sequence comes after
 * that lock was released, and sees the announcement, which was stored before it was taken.
 * A committing backend stores 0 after it has left the array of running
 * transactions; a reader that loads that 0 takes its snapshot later.  Locks
 * of the server would order all this as they are made today; the barriers
 * below say it and do not depend on it.
 *
 * A slot is a backend's, and is used for another database by the next one.  The database is stored
 * before the announcement, and loaded between two loads of the announcement that must be equal: so it is
 * that of the backend which made the announcement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/shmem.h"
#include "events/events_impl.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct Announcement
{
	pg_atomic_uint64 state;		/* 0, or position << 1 | EXACT */
	pg_atomic_uint32 database;
} Announcement;

#define EXACT		UINT64CONST(1)

static Announcement *announcements; /* of each backend; NULL: apibase is not preloaded */

/* ---------- the current transaction ---------- */

static int	emitted_level;		/* nesting level of the outermost (sub)transaction that has an event; 0: none has */
static bool committing;			/* positions are being drawn, or were */
static bool announced;
static int64 *batches;			/* in the transaction's memory */
static int	nbatches;
static int	batches_size;
static int32 next_ordinal;		/* in the last of them */

/* ---------- shared memory ---------- */

Size
apibase_events_shmem_size(void)
{
	return mul_size(MaxBackends, sizeof(Announcement));
}

/* This backend's; its number is below MaxBackends as those of all processes that run transactions. */
static Announcement *
my_announcement(void)
{
	int			number = MyProc - ProcGlobal->allProcs;

	if (number < 0 || number >= MaxBackends)
		elog(ERROR, "process has no place for an announcement: %d", number);
	return &announcements[number];
}

int64
events_last_drawn(void)
{
	Oid			sequence = events_relation(EVENTS_POSITION);
	Oid			user;
	int			security;
	Datum		value;

	LOCAL_FCINFO(fcinfo, 1);

	/* a function of the server's, which checks privileges, while that of calling us was checked */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, security | SECURITY_LOCAL_USERID_CHANGE);
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(sequence);
	fcinfo->args[0].isnull = false;
	value = pg_sequence_last_value(fcinfo);
	SetUserIdAndSecContext(user, security);
	return fcinfo->isnull ? 0 : DatumGetInt64(value);
}

/* ---------- drawing ---------- */

static void
announce(int64 position, bool exact)
{
	Announcement *mine = my_announcement();

	pg_atomic_write_u32(&mine->database, MyDatabaseId);
	pg_write_barrier();
	pg_atomic_write_u64(&mine->state, (uint64) position << 1 | (exact ? EXACT : 0));
	/* before a position is drawn */
	pg_memory_barrier();
	announced = true;
}

/* Give a batch its position.  What is announced stays at the first one that the transaction has drawn. */
static void
draw_position(int64 batch)
{
	bool		first = !announced;
	int64		bound = first ? events_last_drawn() + 1 : 0;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int64		position;

	if (first)
		announce(bound, false);
	position = nextval_internal(events_relation(EVENTS_POSITION), false);
	if (position < bound)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sequence of positions in the outbox went back"),
				 errhint("Sequence apibase_internal.outbox_position must neither cache numbers nor cycle.")));
	if (first)
		announce(position, true);
	values[0] = Int64GetDatum(position);
	values[1] = Int64GetDatum(batch);
	values[2] = TimestampTzGetDatum(apibase_clock_now());
	events_insert(EVENTS_COMMIT, values, nulls, lengthof(values));
}

/*
 * All user-defined code has run, deferred triggers too, so the transaction has seen all that it will have seen.
 * (What a later callback of another library emits gets a position of its own, in events_next_place.)
 */
static void
draw_positions(void)
{
	bool		read_only = XactReadOnly;

	committing = true;
	if (emitted_level == 0)
		return;
	/* it may have been set after the last event */
	XactReadOnly = false;
	for (int i = 0; i < nbatches; i++)
		draw_position(batches[i]);
	XactReadOnly = read_only;
}

/* The transaction has ended, and is seen to have ended. */
static void
forget_transaction(void)
{
	if (announced)
	{
		pg_memory_barrier();
		pg_atomic_write_u64(&my_announcement()->state, 0);
	}
	emitted_level = 0;
	committing = false;
	announced = false;
	batches = NULL;
	nbatches = batches_size = 0;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			draw_positions();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (emitted_level != 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has emitted events"),
						 errdetail("The place of its events in the order of commits is known only when it commits.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget_transaction();
			break;
		default:
			break;
	}
}

/* Events of a subtransaction are its parent's when it commits, and gone when it aborts. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (emitted_level < level)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		emitted_level = level - 1;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		emitted_level = 0;
}

/*
 * The callbacks are there from the start, and not from the first event on: that may be emitted in a
 * commit, by another library's callback, when it would be too late for this commit.
 */
void
apibase_events_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	static bool registered = false;

	announcements = area;
	for (int i = 0; i < MaxBackends && !found; i++)
	{
		pg_atomic_init_u64(&announcements[i].state, 0);
		pg_atomic_init_u32(&announcements[i].database, InvalidOid);
	}
	/* after a crash the postmaster comes here again */
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
}

/* ---------- places ---------- */

static void
begin_batch(void)
{
	if (nbatches == batches_size)
	{
		int			size = Max(4, 2 * batches_size);

		batches = batches ? repalloc(batches, size * sizeof(int64)) :
			MemoryContextAlloc(TopTransactionContext, size * sizeof(int64));
		batches_size = size;
	}
	batches[nbatches] = nextval_internal(events_relation(EVENTS_BATCH), false);
	nbatches++;
	next_ordinal = 0;
}

void
events_next_place(int64 *batch, int32 *ordinal)
{
	int			level = GetCurrentTransactionNestLevel();

	apibase_shmem_require("events cannot be emitted, because their order could not be kept");
	/* a batch that has its position takes no more: what was seen since may have a higher one */
	if (nbatches == 0 || next_ordinal == EVENTS_BATCH_SIZE || committing)
	{
		begin_batch();
		if (committing)
			draw_position(batches[nbatches - 1]);
	}
	*batch = batches[nbatches - 1];
	*ordinal = next_ordinal++;
	if (emitted_level == 0 || emitted_level > level)
		emitted_level = level;
}

/* ---------- the horizon ---------- */

/* What a backend announces, if it is of this database; otherwise 0. */
static uint64
announced_here(Announcement *announcement)
{
	uint64		state;
	uint32		database;

	do
	{
		state = pg_atomic_read_u64(&announcement->state);
		if (state == 0)
			return 0;
		pg_read_barrier();
		database = pg_atomic_read_u32(&announcement->database);
		pg_read_barrier();
	} while (pg_atomic_read_u64(&announcement->state) != state);
	return database == MyDatabaseId ? state : 0;
}

static int64
lowest_announced(bool exact_only)
{
	int64		horizon;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the outbox cannot be read on a standby"),
				 errdetail("Only the primary knows which transactions are about to commit."),
				 errhint("Read it on the primary.")));
	apibase_shmem_require("the outbox cannot be read, because the order of events is not known");
	horizon = events_last_drawn();
	pg_memory_barrier();
	for (int i = 0; i < MaxBackends; i++)
	{
		uint64		state = announced_here(&announcements[i]);

		if (state != 0 && (!exact_only || (state & EXACT)))
			horizon = Min(horizon, (int64) (state >> 1) - 1);
	}
	/* before the caller takes a snapshot */
	pg_memory_barrier();
	return horizon;
}

int64
events_horizon(void)
{
	return lowest_announced(false);
}

int64
events_reached(void)
{
	return lowest_announced(true);
}
