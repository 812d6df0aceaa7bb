/*-------------------------------------------------------------------------
 *
 * decorate_bulkhead.c
 *	  bulkhead: so many calls at a time, of all backends together.
 *
 * A bulkhead has a name, and functions that share the name share the permits;
 * without one each function has its own.  A call takes a permit and gives it
 * back when it ends, however it ends.  A function runs within its decorators
 * as a whole, also one that returns a set, so a call ends in the place where
 * it began: by returning, by an error (PG_CATCH), or by the exit of the
 * backend.  The calls of this backend are a stack, linked through the C stack.
 *
 * A backend that has a permit needs no second one for a call within that
 * call.  Two backends that wait for each other's permits of two bulkheads go
 * on when the first of them has waited for max_wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "core/guc.h"
#include "core/shmem.h"
#include "decorate/decorate.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Bytes of a name, with the terminator. */
#define NAME_SIZE		128

typedef struct BulkheadOptions
{
	const char *name;			/* for people: given, or that of the function */
	Oid			function;		/* InvalidOid where a name is given */
	int			max_concurrent;
	int64		max_wait;		/* microseconds */
} BulkheadOptions;

typedef struct Bulkhead
{
	Oid			database;		/* InvalidOid: the slot is free */
	Oid			function;		/* that it belongs to, or InvalidOid and the name decides */
	char		name[NAME_SIZE];	/* of a function: cut where it is too long */
	int			running;
	int			waiting;
	int			max_concurrent; /* of the call that came last, to be shown */
	int64		entered;		/* calls */
	int64		refused;
	ConditionVariable freed;
} Bulkhead;

typedef struct BulkheadTable
{
	int64		dropped;		/* calls that found no slot */
	int			nslots;
	int			top;			/* slots from here on are free */
	Bulkhead	bulkheads[FLEXIBLE_ARRAY_MEMBER];
} BulkheadTable;

typedef struct PermittedCall
{
	Bulkhead   *bulkhead;
	bool		waiting;		/* for the permit */
	struct PermittedCall *outer;
} PermittedCall;

static int	bulkhead_slots;
static BulkheadTable *table;
static LWLock *table_lock;
static PermittedCall *permitted;

PG_FUNCTION_INFO_V1(apibase_decorate_bulkheads);
PG_FUNCTION_INFO_V1(apibase_decorate_bulkhead_slots);

/* ---------- shared memory ---------- */

static void
bulkhead_define_gucs(void)
{
	DefineCustomIntVariable("apibase.bulkhead_slots",
							"Bulkheads that the server can keep.",
							NULL,
							&bulkhead_slots, 128, 1, 65536, apibase_guc_postmaster_context(), 0, NULL, NULL, NULL);
}

static Size
bulkhead_shmem_size(void)
{
	return add_size(offsetof(BulkheadTable, bulkheads), mul_size(bulkhead_slots, sizeof(Bulkhead)));
}

static void
bulkhead_shmem_init(void *area, LWLock *lock, bool found)
{
	table = area;
	table_lock = lock;
	if (found)
		return;
	memset(area, 0, bulkhead_shmem_size());
	table->nslots = bulkhead_slots;
	for (int i = 0; i < table->nslots; i++)
		ConditionVariableInit(&table->bulkheads[i].freed);
}

static bool
is_bulkhead(const Bulkhead *bulkhead, const BulkheadOptions *options)
{
	return bulkhead->database == MyDatabaseId && bulkhead->function == options->function &&
		(OidIsValid(options->function) || strcmp(bulkhead->name, options->name) == 0);
}

/*
 * The bulkhead, made if need be, in the place of one that nobody uses if all
 * slots are taken; NULL if all are in use.  The lock is held exclusively.
 */
static Bulkhead *
get_bulkhead(const BulkheadOptions *options)
{
	Bulkhead   *place = NULL;

	for (int i = 0; i < table->top; i++)
	{
		Bulkhead   *bulkhead = &table->bulkheads[i];

		if (is_bulkhead(bulkhead, options))
			return bulkhead;
		if (bulkhead->running == 0 && bulkhead->waiting == 0 &&
			(place == NULL || bulkhead->entered < place->entered))
			place = bulkhead;
	}
	if (table->top < table->nslots)
		place = &table->bulkheads[table->top++];
	if (place == NULL)
	{
		table->dropped++;
		return NULL;
	}
	place->database = MyDatabaseId;
	place->function = options->function;
	memcpy(place->name, options->name, strlen(options->name) + 1);
	place->entered = place->refused = 0;
	return place;
}

/* ---------- permits ---------- */

/* Give back what the innermost call has.  The lock is held exclusively; true: somebody waits for it. */
static bool
leave_locked(void)
{
	Bulkhead   *bulkhead = permitted->bulkhead;
	bool		awaited = false;

	if (permitted->waiting)
		bulkhead->waiting--;
	else
	{
		bulkhead->running--;
		awaited = bulkhead->waiting > 0;
	}
	permitted = permitted->outer;
	return awaited;
}

static void
leave(void)
{
	Bulkhead   *bulkhead = permitted->bulkhead;
	bool		awaited;

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	awaited = leave_locked();
	LWLockRelease(table_lock);
	/* all of them, for one that wakes up may have to leave in that moment */
	if (awaited)
		ConditionVariableBroadcast(&bulkhead->freed);
}

/* Before a backend exits in the middle of calls. */
static void
exit_callback(int code, Datum arg)
{
	ConditionVariableCancelSleep();
	while (permitted != NULL)
		leave();
}

/* Take a permit if there is one.  The lock is held exclusively. */
static bool
take_permit(PermittedCall *call, int max_concurrent)
{
	Bulkhead   *bulkhead = call->bulkhead;

	if (bulkhead->running >= max_concurrent)
		return false;
	bulkhead->running++;
	bulkhead->entered++;
	if (call->waiting)
		bulkhead->waiting--;
	call->waiting = false;
	return true;
}

/* Wait for a permit; false: for as long as it may. */
static bool
wait_for_permit(PermittedCall *call, const BulkheadOptions *options)
{
	static uint32 wait_event = 0;
	Bulkhead   *bulkhead = call->bulkhead;
	bool		taken;
	instr_time	start;

	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseBulkhead");
	INSTR_TIME_SET_CURRENT(start);
	ConditionVariablePrepareToSleep(&bulkhead->freed);
	for (;;)
	{
		instr_time	waited;
		int64		left;

		LWLockAcquire(table_lock, LW_EXCLUSIVE);
		taken = take_permit(call, options->max_concurrent);
		LWLockRelease(table_lock);
		if (taken)
			break;
		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		left = options->max_wait - (int64) INSTR_TIME_GET_MICROSEC(waited);
		if (left <= 0)
			break;
		/* an hour at most, so that the milliseconds fit */
		(void) ConditionVariableTimedSleep(&bulkhead->freed, Min(left, SECS_PER_HOUR * USECS_PER_SEC) / 1000 + 1,
										   wait_event);
	}
	ConditionVariableCancelSleep();
	return taken;
}

/* Whether this backend has a permit of the bulkhead. */
static bool
has_permit(const Bulkhead *bulkhead)
{
	for (PermittedCall *call = permitted; call != NULL; call = call->outer)
	{
		if (call->bulkhead == bulkhead)
			return true;
	}
	return false;
}

typedef enum Entry
{
	ENTERED,
	MUST_WAIT,
	NOT_NEEDED,
	REFUSED
} Entry;

/* Enter, or begin to wait. */
static Entry
enter(PermittedCall *call, const BulkheadOptions *options)
{
	static bool callback_registered = false;
	Entry		entry;

	if (!callback_registered)
	{
		before_shmem_exit(exit_callback, (Datum) 0);
		callback_registered = true;
	}

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	call->bulkhead = get_bulkhead(options);
	call->waiting = false;
	if (call->bulkhead == NULL || has_permit(call->bulkhead))
		entry = NOT_NEEDED;
	else
	{
		call->bulkhead->max_concurrent = options->max_concurrent;
		if (take_permit(call, options->max_concurrent))
			entry = ENTERED;
		else if (options->max_wait > 0)
			entry = MUST_WAIT;
		else
			entry = REFUSED;
	}
	if (entry == REFUSED)
		call->bulkhead->refused++;
	if (entry == MUST_WAIT)
	{
		call->waiting = true;
		call->bulkhead->waiting++;
	}
	if (entry == ENTERED || entry == MUST_WAIT)
	{
		call->outer = permitted;
		permitted = call;
	}
	LWLockRelease(table_lock);
	return entry;
}

static void
count_refused(Bulkhead *bulkhead)
{
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	bulkhead->refused++;
	LWLockRelease(table_lock);
}

static void
refuse(const ApibaseDecoratedCall *call, const BulkheadOptions *options)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_BULKHEAD_FULL),
			 errmsg("bulkhead \"%s\" of function %s is full", options->name, call->function->name),
			 errdetail_plural("It allows %d call at a time.", "It allows %d calls at a time.",
							  options->max_concurrent, options->max_concurrent)));
}

/* Go through with a call that has a permit or waits for one. */
static void
run_permitted(ApibaseDecoratedCall *call, const BulkheadOptions *options, PermittedCall *this_call)
{
	PG_TRY();
	{
		if (this_call->waiting && !wait_for_permit(this_call, options))
		{
			count_refused(this_call->bulkhead);
			refuse(call, options);
		}
		apibase_decorated_next(call);
	}
	PG_CATCH();
	{
		ConditionVariableCancelSleep();
		leave();
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave();
}

static void
bulkhead_call(ApibaseDecoratedCall *call, void *arg)
{
	static bool noticed = false;
	const BulkheadOptions *options = arg;
	PermittedCall this_call;

	if (table == NULL && !noticed)
	{
		noticed = true;
		ereport(NOTICE,
				(errmsg("bulkheads never refuse calls, because apibase is not preloaded"),
				 errhint("Add apibase to shared_preload_libraries and restart the server.")));
	}
	switch (table ? enter(&this_call, options) : NOT_NEEDED)
	{
		case ENTERED:
		case MUST_WAIT:
			run_permitted(call, options, &this_call);
			break;
		case NOT_NEEDED:
			apibase_decorated_next(call);
			break;
		case REFUSED:
			refuse(call, options);
			break;
	}
}

static void *
bulkhead_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	BulkheadOptions *bulkhead = palloc0(sizeof(BulkheadOptions));
	char	   *name = apibase_option_text(options, "name");

	bulkhead->max_concurrent = apibase_option_int(options, "max_concurrent", 0, 1, INT_MAX);
	bulkhead->max_wait = apibase_option_interval(options, "max_wait", 0, 0);
	if (bulkhead->max_concurrent == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_concurrent is missing")));
	if (name != NULL && (*name == '\0' || strlen(name) >= NAME_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a bulkhead must have 1 to %d bytes", NAME_SIZE - 1)));
	if (name == NULL)
	{
		bulkhead->function = function->oid;
		name = pnstrdup(function->name, pg_mbcliplen(function->name, strlen(function->name), NAME_SIZE - 1));
	}
	bulkhead->name = name;
	return bulkhead;
}

/* ---------- SQL ---------- */

/* apibase_internal.bulkheads(): those of this database. */
Datum
apibase_decorate_bulkheads(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Bulkhead   *copies;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (table == NULL)
		return (Datum) 0;

	/* nslots does not change */
	copies = palloc(table->nslots * sizeof(Bulkhead));
	LWLockAcquire(table_lock, LW_SHARED);
	for (int i = 0; i < table->top; i++)
	{
		if (table->bulkheads[i].database == MyDatabaseId)
			copies[n++] = table->bulkheads[i];
	}
	LWLockRelease(table_lock);

	for (int i = 0; i < n; i++)
	{
		Datum		values[6];
		bool		nulls[6] = {0};

		values[0] = CStringGetTextDatum(copies[i].name);
		values[1] = Int32GetDatum(copies[i].max_concurrent);
		values[2] = Int32GetDatum(copies[i].running);
		values[3] = Int32GetDatum(copies[i].waiting);
		values[4] = Int64GetDatum(copies[i].entered);
		values[5] = Int64GetDatum(copies[i].refused);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* apibase_internal.bulkhead_slots(): slots of the server, those in use, calls that found none. */
Datum
apibase_decorate_bulkhead_slots(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};

	apibase_shmem_require("there are no slots of bulkheads");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	LWLockAcquire(table_lock, LW_SHARED);
	values[0] = Int32GetDatum(table->nslots);
	values[1] = Int32GetDatum(table->top);
	values[2] = Int64GetDatum(table->dropped);
	LWLockRelease(table_lock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

const ApibaseDecorator apibase_decorator_bulkhead = {
	.name = "bulkhead",
	.parse = bulkhead_parse,
	.leader_only = true,
	.call = bulkhead_call,
	.define_gucs = bulkhead_define_gucs,
	.shmem_size = bulkhead_shmem_size,
	.shmem_init = bulkhead_shmem_init,
};
