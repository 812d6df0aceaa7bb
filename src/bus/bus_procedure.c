/*-------------------------------------------------------------------------
 *
 * bus_procedure.c
 *	  dispatch_command(), dispatch_query(): whole transactions, tried again.
 *
 * Called outside of a transaction block a procedure may end transactions: each
 * attempt is a transaction of its own, which is committed here.  A serialization failure
 * or a deadlock, be it in the handler or at the commit, rolls it back; after a
 * short pause of random length it is tried again.  An err that is returned in the end has
 * left what a function would have left: what was not undone is committed.
 *
 * Called within a transaction block or from a function there is one attempt,
 * and no commit.
 *
 * What outlives a transaction is in the memory of the SPI connection: the
 * message, the options, and the result until it is returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "bus/bus_impl.h"
#include "core/compat.h"

/* Pauses between attempts, in milliseconds: random, up to a limit that doubles with each. */
#define FIRST_PAUSE		10
#define LONGEST_PAUSE	1000

PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_command);
PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_command_by_name);
PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_query);
PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_query_by_name);
PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_command_by_text);
PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_query_by_text);

static bool
may_end_transactions(FunctionCallInfo fcinfo)
{
	return fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic && !IsSubTransaction();
}

static bool
is_worth_another(const ApibaseResult *result)
{
	return !result->ok && apibase_sqlstate_is_retryable(apibase_problem_sqlstate(result->error));
}

/* Can be interrupted; what else wakes it up early does no harm. */
static void
pause_after(int attempts)
{
	static uint32 wait_event = 0;
	double		limit = Min(FIRST_PAUSE * (double) (1 << Min(attempts, 16)), LONGEST_PAUSE);

	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseDispatchRetry");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1 + (long) (limit * pg_prng_double(&pg_global_prng_state)), wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Commit, and begin a transaction of the same characteristics.  Whether it has succeeded; otherwise the transaction was
 * rolled back, and the result says why.
 */
static bool
commit(ApibaseResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		SPI_commit_and_chain();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (error == NULL)
		return true;
	EnsurePortalSnapshotExists();
	bus_result_of_error(error, NULL, result);
	return false;
}

static void
dispatch_once(const BusMessage *message, ApibaseResult *result)
{
	BusMessage	copy = *message;	/* what it becomes is of this transaction */

	if (message->kind == APIBASE_QUERY)
		bus_query_dispatch(&copy, result);
	else
		bus_dispatch(&copy, result);
}

static void
dispatch_in_transactions(BusMessage *message, ApibaseResult *result)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase attempt", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	/* what the caller has done is no part of what may be rolled back here */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		SPI_commit_and_chain();

	for (;; message->attempt++)
	{
		bool		is_last = message->attempt >= bus_max_attempts;

		EnsurePortalSnapshotExists();
		dispatch_once(message, result);
		if (is_worth_another(result) && !is_last)
			SPI_rollback_and_chain();
		else if (commit(result) || !is_worth_another(result) || is_last)
			break;
		MemoryContextReset(context);
		pause_after(message->attempt);
	}
	MemoryContextSwitchTo(old);
}

/* A copy of what a message consists of, in the current memory. */
static void
copy_message(BusMessage *message)
{
	if (message->payload)
		message->payload = (Jsonb *) PG_DETOAST_DATUM_COPY(JsonbPGetDatum(message->payload));
	else
		message->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(message->value));
}

/* The row of output arguments that a procedure returns. */
static Datum
output_row(FunctionCallInfo fcinfo, const ApibaseResult *result)
{
	TupleDesc	desc;
	Datum		value = apibase_result_datum(result);
	bool		isnull = false;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull));
}

static Datum
dispatch(FunctionCallInfo fcinfo, ApibaseMessageKind kind, bool by_name)
{
	MemoryContext context = CurrentMemoryContext;
	bool		in_transactions = may_end_transactions(fcinfo);
	int			options = by_name ? 3 : 2;
	BusMessage	message;
	ApibaseResult result;
	Datum		row;

	SPI_connect_ext(in_transactions ? SPI_OPT_NONATOMIC : 0);
	bus_message_of_call(fcinfo, kind, by_name, options, &message);
	if (in_transactions)
	{
		copy_message(&message);
		dispatch_in_transactions(&message, &result);
	}
	else
		dispatch_once(&message, &result);
	MemoryContextSwitchTo(context);
	row = output_row(fcinfo, &result);
	SPI_finish();
	return row;
}

/* CALL apibase.dispatch_command(anyelement, result, options) */
Datum
apibase_bus_sql_dispatch_command(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch(fcinfo, APIBASE_COMMAND, false));
}

/* CALL apibase.dispatch_command(name, payload, result, options) */
Datum
apibase_bus_sql_dispatch_command_by_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch(fcinfo, APIBASE_COMMAND, true));
}

/* CALL apibase.dispatch_query(anyelement, result, options) */
Datum
apibase_bus_sql_dispatch_query(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch(fcinfo, APIBASE_QUERY, false));
}

/* CALL apibase.dispatch_query(name, payload, result, options) */
Datum
apibase_bus_sql_dispatch_query_by_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch(fcinfo, APIBASE_QUERY, true));
}

/*
 * The payload as text: what CALL takes for literals without a type, between
 * which and a value with a result it could not choose otherwise.
 */
static Datum
dispatch_text(FunctionCallInfo fcinfo, ApibaseMessageKind kind)
{
	if (!PG_ARGISNULL(1))
		fcinfo->args[1].value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(PG_GETARG_TEXT_PP(1))));
	return dispatch(fcinfo, kind, true);
}

/* CALL apibase.dispatch_command(name, payload as text, result, options) */
Datum
apibase_bus_sql_dispatch_command_by_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch_text(fcinfo, APIBASE_COMMAND));
}

/* CALL apibase.dispatch_query(name, payload as text, result, options) */
Datum
apibase_bus_sql_dispatch_query_by_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch_text(fcinfo, APIBASE_QUERY));
}
