/*-------------------------------------------------------------------------
 *
 * decorate_breaker.c
 *	  circuit_breaker: a function that keeps failing is left alone for a while.
 *
 *	closed		calls pass.  failure_threshold failures in a row open it.
 *	open		calls are refused, or answered by the fallback.  The first one
 *				after recovery_time makes it half open.
 *	half open	one call at a time passes, as a probe; others are refused.
 *				success_threshold probes that succeed in a row close it, one
 *				that fails opens it again.
 *
 * The state is in shared memory: all backends see one breaker, and what has
 * failed counts although the transaction is rolled back.  A breaker that is
 * closed and has counted no failure takes no slot, so the slots are for the
 * functions in trouble.  When they are all taken, one goes that says little.
 *
 * Each change of state has a number.  A call remembers the number that it
 * began under, and its end counts only if that is still the same: neither
 * those that began before the breaker opened, nor a probe that was overtaken
 * by a reset, can change a state that they know nothing of.
 *
 * An error that does not count, such as a cancellation, says nothing about
 * the function: it is neither a failure nor a success, and a probe that ends
 * so lets the next call try.  What is known about one implementation of the
 * function is forgotten with the first call of another.  A call within a call of the same function in one
 * backend passes, and is part of that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/guc.h"
#include "core/shmem.h"
#include "decorate/decorate.h"
#include "decorate/decorate_sqlstate.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef enum BreakerState
{
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN
} BreakerState;

static const char *const state_names[] = {"closed", "open", "half_open"};

typedef struct BreakerOptions
{
	int			failure_threshold;
	int			success_threshold;
	int64		recovery_time;	/* microseconds */
	Oid			fallback;
	List	   *sqlstates;		/* that count; NIL: all but those that do not, see below */
} BreakerOptions;

/* The key is apart, so that looking for one reads little memory. */
typedef struct Breaker
{
	BreakerState state;
	int			failures;		/* in a row */
	int			successes;		/* of probes, in a row */
	uint64		implementation; /* of the function that this is about */
	int			probe_pid;		/* half open: the backend whose call is the probe; 0: none */
	uint64		number;			/* of the last change of state; 0: there was none */
	TimestampTz since;
	TimestampTz retry_at;
	int64		opened;			/* how often */
	int64		refused;		/* calls */
} Breaker;

typedef struct BreakerTable
{
	uint64		last_number;
	int64		dropped;		/* failures that found no slot */
	int			nslots;
	int			top;			/* slots from here on are free */
	uint64		keys[FLEXIBLE_ARRAY_MEMBER];	/* database and function; 0: the slot is free */
	/* then Breaker[nslots] */
} BreakerTable;

/* A call that was let pass; of this backend, a stack linked through the C stack. */
typedef struct GuardedCall
{
	uint64		key;
	uint64		implementation;
	uint64		number;			/* of the state that it began under */
	bool		probe;
	struct GuardedCall *outer;
} GuardedCall;

static int	breaker_slots;
static BreakerTable *table;
static Breaker *breakers;
static LWLock *table_lock;
static GuardedCall *guarded;

PG_FUNCTION_INFO_V1(apibase_decorate_circuit_breakers);
PG_FUNCTION_INFO_V1(apibase_decorate_circuit_breaker_reset);
PG_FUNCTION_INFO_V1(apibase_decorate_circuit_breaker_slots);

/* ---------- shared memory ---------- */

static void
breaker_define_gucs(void)
{
	DefineCustomIntVariable("apibase.breaker_slots",
							"Circuit breakers with a state that the server can keep.",
							"One that is closed and has counted no failure needs none.",
							&breaker_slots, 128, 1, 65536, apibase_guc_postmaster_context(), 0, NULL, NULL, NULL);
}

static Size
keys_size(void)
{
	return MAXALIGN(offsetof(BreakerTable, keys) + mul_size(breaker_slots, sizeof(uint64)));
}

static Size
breaker_shmem_size(void)
{
	return add_size(keys_size(), mul_size(breaker_slots, sizeof(Breaker)));
}

static void
breaker_shmem_init(void *area, LWLock *lock, bool found)
{
	table = area;
	breakers = (Breaker *) ((char *) area + keys_size());
	table_lock = lock;
	if (found)
		return;
	memset(area, 0, breaker_shmem_size());
	table->nslots = breaker_slots;
}

static uint64
make_key(Oid function)
{
	return ((uint64) MyDatabaseId << 32) | function;
}

/* The breaker with a key, or NULL.  The lock is held, as in all that follows. */
static Breaker *
find_breaker(uint64 key)
{
	for (int i = 0; i < table->top; i++)
	{
		if (table->keys[i] == key)
			return &breakers[i];
	}
	return NULL;
}

static void
free_breaker(Breaker *breaker)
{
	table->keys[breaker - breakers] = 0;
	while (table->top > 0 && table->keys[table->top - 1] == 0)
		table->top--;
}

/*
 * A slot for a key that has none, or NULL.  If all are taken, the one goes
 * whose state has been for the longest time among those that no longer refuse
 * calls and have counted nothing since.
 */
static Breaker *
make_breaker(uint64 key, TimestampTz now)
{
	int			slot = 0;

	while (slot < table->nslots && table->keys[slot] != 0)
		slot++;
	if (slot >= table->nslots)
	{
		int			best = -1;

		for (int i = 0; i < table->nslots; i++)
		{
			const Breaker *breaker = &breakers[i];

			if ((breaker->state == BREAKER_CLOSED ? breaker->failures == 0 :
				 breaker->probe_pid == 0 && breaker->retry_at <= now) &&
				(best < 0 || breaker->since < breakers[best].since))
				best = i;
		}
		slot = best;
	}
	if (slot < 0)
	{
		table->dropped++;
		return NULL;
	}
	table->keys[slot] = key;
	table->top = Max(table->top, slot + 1);
	breakers[slot] = (Breaker) {.since = now};
	return &breakers[slot];
}

/* ---------- transitions ---------- */

static void
change_state(Breaker *breaker, BreakerState state, TimestampTz now)
{
	breaker->state = state;
	breaker->number = ++table->last_number;
	breaker->since = now;
	breaker->successes = 0;
	breaker->probe_pid = 0;
}

static void
open_breaker(Breaker *breaker, const BreakerOptions *options, TimestampTz now)
{
	change_state(breaker, BREAKER_OPEN, now);
	breaker->retry_at = now + options->recovery_time;
	breaker->opened++;
}

static void
close_breaker(Breaker *breaker, TimestampTz now)
{
	change_state(breaker, BREAKER_CLOSED, now);
	breaker->failures = 0;
}

/* Whether a call may pass, and as what.  The lock is held exclusively unless the breaker is closed. */
static bool
let_pass(Breaker *breaker, GuardedCall *call, TimestampTz now)
{
	if (breaker->state == BREAKER_OPEN && breaker->retry_at <= now)
		change_state(breaker, BREAKER_HALF_OPEN, now);
	call->number = breaker->number;
	if (breaker->state == BREAKER_CLOSED)
		return true;
	if (breaker->state == BREAKER_OPEN || breaker->probe_pid != 0)
	{
		breaker->refused++;
		return false;
	}
	breaker->probe_pid = MyProcPid;
	call->probe = true;
	return true;
}

typedef enum Ending
{
	ENDED_WELL,
	ENDED_WITH_FAILURE,
	ENDED_WITHOUT_MEANING
} Ending;

/* A call has ended. */
static void
count_ending(const GuardedCall *call, const BreakerOptions *options, Ending ending, TimestampTz now)
{
	Breaker    *breaker = find_breaker(call->key);

	if (breaker == NULL && ending == ENDED_WITH_FAILURE && call->number == 0)
	{
		breaker = make_breaker(call->key, now);
		if (breaker != NULL)
			breaker->implementation = call->implementation;
	}
	if (breaker == NULL || breaker->number != call->number || breaker->implementation != call->implementation)
		return;
	if (call->probe)
		breaker->probe_pid = 0;
	if (ending == ENDED_WITH_FAILURE)
	{
		breaker->failures++;
		if (call->probe || breaker->failures >= options->failure_threshold)
			open_breaker(breaker, options, now);
	}
	else if (ending == ENDED_WELL)
	{
		if (!call->probe)
			breaker->failures = 0;
		else if (++breaker->successes >= options->success_threshold)
			close_breaker(breaker, now);
	}
}

/* ---------- calls ---------- */

/* Before a backend exits: a call that it was in the middle of is no probe any more. */
static void
exit_callback(int code, Datum arg)
{
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	for (; guarded != NULL; guarded = guarded->outer)
		count_ending(guarded, NULL, ENDED_WITHOUT_MEANING, 0);
	LWLockRelease(table_lock);
}

/* Whether the call may pass.  Otherwise how long it is until the next may (0: a probe is running). */
static bool
begin_guarded(GuardedCall *call, uint64 key, uint64 implementation, int64 *wait)
{
	static bool callback_registered = false;
	TimestampTz now;
	Breaker    *breaker;
	bool		pass = true;

	if (!callback_registered)
	{
		before_shmem_exit(exit_callback, (Datum) 0);
		callback_registered = true;
	}
	*call = (GuardedCall) {.key = key, .implementation = implementation, .outer = guarded};

	/* mostly there is nothing to change */
	LWLockAcquire(table_lock, LW_SHARED);
	breaker = find_breaker(key);
	if (breaker != NULL)
	{
		pass = breaker->state == BREAKER_CLOSED && breaker->implementation == implementation;
		call->number = breaker->number;
	}
	LWLockRelease(table_lock);

	if (!pass)
	{
		now = apibase_clock_now();
		LWLockAcquire(table_lock, LW_EXCLUSIVE);
		breaker = find_breaker(key);
		if (breaker != NULL && breaker->implementation != implementation)
		{
			free_breaker(breaker);
			breaker = NULL;
		}
		call->number = 0;
		pass = breaker == NULL || let_pass(breaker, call, now);
		if (!pass)
			*wait = breaker->state == BREAKER_OPEN ? breaker->retry_at - now : 0;
		LWLockRelease(table_lock);
	}
	if (pass)
		guarded = call;
	return pass;
}

static void
end_guarded(GuardedCall *call, const BreakerOptions *options, Ending ending)
{
	TimestampTz now = apibase_clock_now();
	bool		change = ending != ENDED_WELL || call->probe;

	guarded = call->outer;
	if (!change)
	{
		const Breaker *breaker;

		LWLockAcquire(table_lock, LW_SHARED);
		breaker = find_breaker(call->key);
		change = breaker != NULL && breaker->number == call->number && breaker->failures != 0;
		LWLockRelease(table_lock);
	}
	if (change)
	{
		LWLockAcquire(table_lock, LW_EXCLUSIVE);
		count_ending(call, options, ending, now);
		LWLockRelease(table_lock);
	}
}

/*
 * Whether an error counts as a failure of the function.  Those do not that its
 * callers are to blame for: wrong values (22, 23, arguments that were refused),
 * missing privileges, and the wish to stop.  Else a client could close a function
 * to all others.
 */
static bool
is_failure(const BreakerOptions *options, int sqlstate)
{
	int			class = ERRCODE_TO_CATEGORY(sqlstate);

	if (options->sqlstates != NIL)
		return apibase_sqlstate_is_in(options->sqlstates, sqlstate);
	return class != ERRCODE_DATA_EXCEPTION && class != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE && sqlstate != ERRCODE_QUERY_CANCELED &&
		sqlstate != APIBASE_ERRCODE_ARGUMENTS_INVALID;
}

/* Whether the function is already being called by this backend. */
static bool
is_guarded(uint64 key)
{
	for (GuardedCall *call = guarded; call != NULL; call = call->outer)
	{
		if (call->key == key)
			return true;
	}
	return false;
}

static void
refuse(ApibaseDecoratedCall *call, const BreakerOptions *options, int64 wait)
{
	int64		seconds = (wait + USECS_PER_SEC - 1) / USECS_PER_SEC;

	if (OidIsValid(options->fallback))
		apibase_decorated_substitute(call, options->fallback);
	else
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CIRCUIT_OPEN),
				 errmsg("circuit breaker of function %s is open", call->function->name),
				 errdetail("The function has failed too often to be called now."),
				 wait > 0 ? errhint("It can be called again in %lld s.", (long long) seconds) :
				 errhint("Another session is trying whether it can be called again.")));
}

static void
breaker_call(ApibaseDecoratedCall *call, void *arg)
{
	static bool noticed = false;
	const BreakerOptions *options = arg;
	uint64		key = make_key(call->function->oid);
	GuardedCall this_call;
	int64		wait;

	if (table == NULL || is_guarded(key))
	{
		if (table == NULL && !noticed)
		{
			noticed = true;
			ereport(NOTICE,
					(errmsg("circuit breakers never open, because apibase is not preloaded"),
					 errhint("Add apibase to shared_preload_libraries and restart the server.")));
		}
		apibase_decorated_next(call);
		return;
	}
	if (!begin_guarded(&this_call, key, call->function->implementation, &wait))
	{
		refuse(call, options, wait);
		return;
	}
	PG_TRY();
	{
		apibase_decorated_next(call);
	}
	PG_CATCH();
	{
		end_guarded(&this_call, options, is_failure(options, geterrcode()) ? ENDED_WITH_FAILURE : ENDED_WITHOUT_MEANING);
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_guarded(&this_call, options, ENDED_WELL);
}

static void *
breaker_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	BreakerOptions *breaker = palloc0(sizeof(BreakerOptions));

	breaker->failure_threshold = apibase_option_int(options, "failure_threshold", 5, 1, INT_MAX);
	breaker->success_threshold = apibase_option_int(options, "success_threshold", 1, 1, INT_MAX);
	breaker->recovery_time = apibase_option_interval(options, "recovery_time", 30 * USECS_PER_SEC, 1);
	breaker->fallback = apibase_option_function(options, "fallback");
	breaker->sqlstates = apibase_option_sqlstates(options, "sqlstates", "");
	if (OidIsValid(breaker->fallback))
	{
		if (breaker->fallback == function->oid)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("function %s cannot be its own fallback", function->name)));
		apibase_decorated_check_substitute(function, breaker->fallback);
		*uses = lappend_oid(*uses, breaker->fallback);
	}
	return breaker;
}

/* ---------- SQL ---------- */

/* apibase_internal.circuit_breakers(): those of this database that have a slot. */
Datum
apibase_decorate_circuit_breakers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Breaker    *copies;
	Oid		   *functions;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (table == NULL)
		return (Datum) 0;

	/* nslots does not change */
	copies = palloc(table->nslots * sizeof(Breaker));
	functions = palloc(table->nslots * sizeof(Oid));
	LWLockAcquire(table_lock, LW_SHARED);
	for (int i = 0; i < table->top; i++)
	{
		if ((Oid) (table->keys[i] >> 32) != MyDatabaseId)
			continue;
		functions[n] = (Oid) (table->keys[i] & PG_UINT32_MAX);
		copies[n++] = breakers[i];
	}
	LWLockRelease(table_lock);

	for (int i = 0; i < n; i++)
	{
		Datum		values[7];
		bool		nulls[7] = {0};

		values[0] = ObjectIdGetDatum(functions[i]);
		values[1] = CStringGetTextDatum(state_names[copies[i].state]);
		values[2] = Int32GetDatum(copies[i].failures);
		values[3] = TimestampTzGetDatum(copies[i].since);
		values[4] = TimestampTzGetDatum(copies[i].retry_at);
		nulls[4] = copies[i].state != BREAKER_OPEN;
		values[5] = Int64GetDatum(copies[i].opened);
		values[6] = Int64GetDatum(copies[i].refused);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* apibase.circuit_breaker_reset(function regprocedure): whether there was anything to forget. */
Datum
apibase_decorate_circuit_breaker_reset(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	Breaker    *breaker;

	if (get_func_name(function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (!apibase_proc_ownercheck(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
	apibase_shmem_require("circuit breakers never open");

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	breaker = find_breaker(make_key(function));
	if (breaker != NULL)
		free_breaker(breaker);
	LWLockRelease(table_lock);
	PG_RETURN_BOOL(breaker != NULL);
}

/* apibase_internal.circuit_breaker_slots(): slots of the server, those in use, failures that found none. */
Datum
apibase_decorate_circuit_breaker_slots(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};
	int			used = 0;

	apibase_shmem_require("there are no slots of circuit breakers");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	LWLockAcquire(table_lock, LW_SHARED);
	for (int i = 0; i < table->top; i++)
		used += table->keys[i] != 0;
	values[0] = Int32GetDatum(table->nslots);
	values[1] = Int32GetDatum(used);
	values[2] = Int64GetDatum(table->dropped);
	LWLockRelease(table_lock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

const ApibaseDecorator apibase_decorator_circuit_breaker = {
	.name = "circuit_breaker",
	.parse = breaker_parse,
	.call = breaker_call,
	.define_gucs = breaker_define_gucs,
	.shmem_size = breaker_shmem_size,
	.shmem_init = breaker_shmem_init,
};
