/*-------------------------------------------------------------------------
 *
 * cache_flight.c
 *	  Single flight: the table of flights, and waiting.
 *
 * One LWLock guards everything here.  A slot is free while its pid is 0.  Each
 * flight has a number that is never used again, so that who waits for one
 * cannot take the next in the same slot for it.
 *
 * What a backend owns is kept in a list of its own, each with the
 * subtransaction that started it.  The callbacks of (sub)transactions land
 * what has not landed; they also run in a backend that exits with FATAL, which
 * aborts its transaction on the way.
 *
 * Deadlocks.  A backend that waits for a flight is not known to the lock
 * manager, so its deadlock detector cannot help.
 *
 *	- Owners that wait for each other's flights: whoever would close the
 *	  circle sees it, under the lock, before it waits.
 *	- Circles through heavyweight locks (the owner waits for a lock that the
 *	  waiter holds, or that somebody holds who waits for the waiter): each
 *	  waiter follows the chain from time to time, for it can close at any time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_flight.h"
#include "cache/cache_namespace.h"
#include "core/clock.h"
#include "core/compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/condition_variable.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_cache_flights);

/* Milliseconds between two looks for circles through heavyweight locks. */
#define CHECK_INTERVAL	100

#define NLANDINGS		1024
#define FLIGHT_NAME		128

typedef struct Flight
{
	uint64		hash;			/* of the key */
	uint64		number;
	int			pid;			/* of the owner; 0: the slot is free */
	int			procno;			/* the same, as number of its PGPROC */
	Oid			database;
	TimestampTz since;
	uint64		unshared;		/* number of the last flight here that had nothing to share */
	int			name_len;
	char		name[FLIGHT_NAME];	/* the beginning of the key, for people */
	ConditionVariable landed;
} Flight;

/* What a backend waits for. */
typedef struct Wait
{
	uint64		number;			/* of the flight; 0: for none */
	int			slot;
} Wait;

typedef struct FlightTable
{
	uint64		last_number;
	int			nslots;
	int			top;			/* slots from here on are free */
	pg_atomic_uint64 landings[NLANDINGS];	/* by hash */
	Flight		flights[FLEXIBLE_ARRAY_MEMBER];
	/* then Wait[MaxBackends] */
} FlightTable;

/* What this backend owns. */
typedef struct Owned
{
	int			slot;
	SubTransactionId subxact;
} Owned;

static FlightTable *table;
static Wait *waits;
static LWLock *table_lock;

static Owned *owned;			/* in TopMemoryContext */
static int	nowned;
static int	owned_size;
static bool waiting;			/* waits[MY_PROCNO] is set */

#define MY_PROCNO ((int) (MyProc - ProcGlobal->allProcs))

static int
flight_slots(void)
{
	return Max(64, MaxBackends);
}

static Size
flights_size(void)
{
	return MAXALIGN(add_size(offsetof(FlightTable, flights), mul_size(flight_slots(), sizeof(Flight))));
}

Size
cache_flight_size(void)
{
	return add_size(flights_size(), mul_size(MaxBackends, sizeof(Wait)));
}

void
cache_flight_init(void *area, LWLock *lock, bool found)
{
	table = area;
	waits = (Wait *) ((char *) area + flights_size());
	table_lock = lock;
	if (found)
		return;

	memset(area, 0, cache_flight_size());
	table->nslots = flight_slots();
	for (int i = 0; i < NLANDINGS; i++)
		pg_atomic_init_u64(&table->landings[i], 0);
	for (int i = 0; i < table->nslots; i++)
		ConditionVariableInit(&table->flights[i].landed);
}

uint64
cache_flight_landings(const ApibaseCacheKey *key)
{
	return table ? pg_atomic_read_u64(&table->landings[key->hash % NLANDINGS]) : 0;
}

/* ---- the end of flights ---- */

static void
end_flight(int slot, bool shared)
{
	Flight	   *flight = &table->flights[slot];

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	if (!shared)
		flight->unshared = flight->number;
	flight->pid = 0;
	pg_atomic_fetch_add_u64(&table->landings[flight->hash % NLANDINGS], 1);
	while (table->top > 0 && table->flights[table->top - 1].pid == 0)
		table->top--;
	LWLockRelease(table_lock);

	/* if the slot is somebody else's by now, they wake up for nothing */
	ConditionVariableBroadcast(&flight->landed);
}

void
cache_flight_land(const ApibaseCacheKey *key, bool shared)
{
	for (int i = nowned - 1; i >= 0; i--)
	{
		int			slot = owned[i].slot;

		if (table->flights[slot].hash != key->hash)
			continue;
		memmove(&owned[i], &owned[i + 1], (nowned - i - 1) * sizeof(Owned));
		nowned--;
		end_flight(slot, shared);
		return;
	}
}

static void
stop_waiting(void)
{
	if (!waiting)
		return;
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	waits[MY_PROCNO].number = 0;
	LWLockRelease(table_lock);
	waiting = false;
}

/* End what a subtransaction owns; InvalidSubTransactionId: everything.  Flights of inner ones come last in the list. */
static void
end_owned(SubTransactionId subxact)
{
	while (nowned > 0 && (subxact == InvalidSubTransactionId || owned[nowned - 1].subxact == subxact))
		end_flight(owned[--nowned].slot, true);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			stop_waiting();
			end_owned(InvalidSubTransactionId);
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		stop_waiting();
		end_owned(mine);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = 0; i < nowned; i++)
		{
			if (owned[i].subxact == mine)
				owned[i].subxact = parent;
		}
	}
}

/* ---- the beginning ---- */

/* Make room for one more, before a lock is held. */
static void
prepare_to_own(void)
{
	static bool callbacks_registered = false;

	if (owned == NULL)
	{
		owned = MemoryContextAlloc(TopMemoryContext, 8 * sizeof(Owned));
		owned_size = 8;
	}
	else if (nowned >= owned_size)
	{
		owned = repalloc(owned, 2 * owned_size * sizeof(Owned));
		owned_size *= 2;
	}
	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
}

/* The slot of the flight of a key, or -1. */
static int
find_flight(uint64 hash)
{
	for (int i = 0; i < table->top; i++)
	{
		if (table->flights[i].hash == hash && table->flights[i].pid != 0)
			return i;
	}
	return -1;
}

/* Start a flight in a free slot, if there is one. */
static CacheFlightOutcome
start_flight(const ApibaseCacheKey *key, int name_len)
{
	Flight	   *flight;
	int			slot = 0;

	while (slot < table->nslots && table->flights[slot].pid != 0)
		slot++;
	if (slot >= table->nslots)
		return CACHE_FLIGHT_ALONE;

	flight = &table->flights[slot];
	flight->hash = key->hash;
	flight->number = ++table->last_number;
	flight->pid = MyProcPid;
	flight->procno = MY_PROCNO;
	flight->database = MyDatabaseId;
	flight->since = apibase_clock_now();
	flight->name_len = name_len;
	memcpy(flight->name, key->name, name_len);
	table->top = Max(table->top, slot + 1);

	owned[nowned].slot = slot;
	owned[nowned].subxact = GetCurrentSubTransactionId();
	nowned++;
	return CACHE_FLIGHT_MINE;
}

/* The flight that a backend waits for, or NULL. */
static Flight *
waited_for(int procno)
{
	Flight	   *flight;

	if (procno >= MaxBackends || waits[procno].number == 0)
		return NULL;
	flight = &table->flights[waits[procno].slot];
	return flight->pid != 0 && flight->number == waits[procno].number ? flight : NULL;
}

/* Whether a flight is mine, or its owner waits for one of mine, over however many. */
static bool
depends_on_me(Flight *flight)
{
	/* circles without me would be an error elsewhere, but must not hang this */
	for (int i = 0; flight != NULL && i <= MaxBackends; i++)
	{
		if (flight->pid == MyProcPid)
			return true;
		flight = waited_for(flight->procno);
	}
	return false;
}

/* ---- waiting ---- */

/* Those that hold back a backend: owner of the flight that it waits for, holders of the lock that it waits for. */
static List *
blockers(int pid)
{
	PGPROC	   *proc = BackendPidGetProc(pid);
	Flight	   *flight;
	ArrayType  *pids;
	int			owner;
	List	   *result = NIL;

	if (proc == NULL)
		return NIL;

	LWLockAcquire(table_lock, LW_SHARED);
	flight = waited_for(proc - ProcGlobal->allProcs);
	owner = flight ? flight->pid : 0;
	LWLockRelease(table_lock);
	if (owner != 0)
		return list_make1_int(owner);

	pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids)); i++)
		result = lappend_int(result, ((int32 *) ARR_DATA_PTR(pids))[i]);
	return result;
}

/* Whether a backend cannot go on before this one has.  Others move meanwhile: it may be wrong, but a circle stays. */
static bool
waits_for_me(int pid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase cache flight", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *pids = list_make1_int(pid);
	bool		result;

	for (int i = 0; i < list_length(pids) && !list_member_int(pids, MyProcPid); i++)
	{
		CHECK_FOR_INTERRUPTS();
		pids = list_concat_unique_int(pids, blockers(list_nth_int(pids, i)));
	}
	result = list_member_int(pids, MyProcPid);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}

/* How a flight stands: its owner's pid while it is under way, 0 when it has ended. */
static int
flight_owner(const Wait *wait, bool *shared)
{
	Flight	   *flight = &table->flights[wait->slot];
	int			pid;

	LWLockAcquire(table_lock, LW_SHARED);
	pid = flight->number == wait->number ? flight->pid : 0;
	*shared = flight->unshared != wait->number;
	LWLockRelease(table_lock);
	return pid;
}

static CacheFlightOutcome
wait_for_landing(const Wait *wait, int limit)
{
	static uint32 wait_event = 0;
	ConditionVariable *landed = &table->flights[wait->slot].landed;
	CacheFlightOutcome outcome;
	instr_time	start;

	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseCacheFlight");
	INSTR_TIME_SET_CURRENT(start);
	ConditionVariablePrepareToSleep(landed);
	for (;;)
	{
		bool		shared;
		int			pid = flight_owner(wait, &shared);
		instr_time	waited;
		double		left;

		if (pid == 0)
		{
			outcome = shared ? CACHE_FLIGHT_LANDED : CACHE_FLIGHT_ALONE;
			break;
		}
		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		left = limit - INSTR_TIME_GET_MILLISEC(waited);
		if (left <= 0)
		{
			outcome = CACHE_FLIGHT_TIMEOUT;
			break;
		}
		if (ConditionVariableTimedSleep(landed, (long) Min(left + 1, CHECK_INTERVAL), wait_event) &&
			waits_for_me(pid))
		{
			outcome = CACHE_FLIGHT_ALONE;
			break;
		}
	}
	ConditionVariableCancelSleep();
	return outcome;
}

CacheFlightOutcome
cache_flight_begin(const ApibaseCacheKey *key, int limit)
{
	CacheFlightOutcome outcome;
	Wait		wait = {0};
	int			name_len;

	if (table == NULL)
		return CACHE_FLIGHT_ALONE;
	prepare_to_own();
	name_len = pg_mbcliplen(key->name, key->len, FLIGHT_NAME);

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	wait.slot = find_flight(key->hash);
	if (wait.slot < 0)
		outcome = start_flight(key, name_len);
	else if (depends_on_me(&table->flights[wait.slot]))
		outcome = CACHE_FLIGHT_ALONE;
	else
	{
		outcome = CACHE_FLIGHT_BUSY;
		if (limit > 0)
		{
			wait.number = table->flights[wait.slot].number;
			waits[MY_PROCNO] = wait;
			waiting = true;
		}
	}
	LWLockRelease(table_lock);

	if (waiting)
	{
		cache_count(cache_namespace_of(key), CACHE_LEVEL1, CACHE_WAITS, 1);
		outcome = wait_for_landing(&wait, limit);
		stop_waiting();
	}
	return outcome;
}

/* ---- for the view ---- */

/* apibase_internal.cache_flights() */
Datum
apibase_cache_flights(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Flight	   *copy;
	int		   *nwaiting;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (table == NULL)
		return (Datum) 0;

	copy = palloc(table->nslots * sizeof(Flight));
	nwaiting = palloc0(table->nslots * sizeof(int));
	LWLockAcquire(table_lock, LW_SHARED);
	for (int i = 0; i < table->top; i++)
	{
		Flight	   *flight = &table->flights[i];

		if (flight->pid == 0)
			continue;
		copy[n] = *flight;
		for (int j = 0; j < MaxBackends; j++)
			nwaiting[n] += waited_for(j) == flight;
		n++;
	}
	LWLockRelease(table_lock);

	for (int i = 0; i < n; i++)
	{
		Datum		values[5] = {
			ObjectIdGetDatum(copy[i].database),
			PointerGetDatum(cstring_to_text_with_len(copy[i].name, copy[i].name_len)),
			Int32GetDatum(copy[i].pid),
			Int32GetDatum(nwaiting[i]),
			TimestampTzGetDatum(copy[i].since),
		};
		bool		nulls[5] = {0};

		/* a key of another database may be in another encoding */
		nulls[1] = copy[i].database != MyDatabaseId;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
