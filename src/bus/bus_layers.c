/*-------------------------------------------------------------------------
 *
 * bus_layers.c
 *	  The layers around a handler, and the call of it.
 *
 * Layers are walked from the outermost to the handler by recursion: each runs the
 * rest inside of it, or, being an "around", lets its function do so.
 *
 * What is undone
 *
 * Everything that can fail runs in a subtransaction: an attempt.  That of the
 * handler has its call; that of a "before" has its own call only, because when it
 * fails nothing else has run; that of any other layer has also the rest inside
 * of it.  So what a layer raises undoes what it wrote itself and all that is inside
 * of it, and nothing that is outside.
 *
 * To return an err is to fail, too: a handler's writes are undone, and those inside a
 * layer that makes an err of an ok.  A layer that sees an err and leaves it an
 * err keeps what it wrote: an audit of what failed.
 *
 * dispatch_next()
 *
 * It belongs to the "around" whose function runs directly: inside the rest, and
 * inside a nested dispatch, there is none.  Where errors are caught, that is set back
 * to what it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bus/bus_impl.h"
#include "core/compat.h"
#include "core/deadline.h"
#include "core/errors.h"
#include "core/subxact.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_dispatch_next);

/* One invocation, and what its layers share. */
typedef struct Run
{
	ApibaseInvocation *invocation;
	List	   *layers;			/* of BusMiddleware * */
	MemoryContext context;		/* lives as long as this */
	Datum		dispatch;		/* the frame as SQL sees it; 0: not made yet */

	/* Where there are layers: as whom the handler runs. */
	Oid			user;
	int			security_context;
	char	   *search_path;
} Run;

/* The layers from one on, and the handler. */
typedef struct Rest
{
	Run		   *run;
	int			layer;
	bool		idempotency;	/* it is still to come */
} Rest;

/* A piece of it that runs in a subtransaction. */
typedef struct Attempt
{
	Run		   *run;
	BusMiddleware *middleware;	/* NULL: idempotency, or the handler */
	Rest		rest;			/* inside of it */
	ApibaseResult *result;
	bool		undo;			/* the result is an err that undoes what was written, and is returned as it is */
} Attempt;

/* An "around" whose function is being called. */
typedef struct Around
{
	Rest		rest;
	bool		succeeded;		/* the rest has, at least once */
} Around;

static Around *current_around;

static void run_rest(const Rest *rest, ApibaseResult *result);

/* ---------- calls of middleware ---------- */

Jsonb *
bus_payload(ApibaseInvocation *invocation)
{
	if (invocation->payload == NULL)
	{
		ApibaseToJsonb to_jsonb;

		apibase_to_jsonb_prepare(&to_jsonb, invocation->type, CurrentMemoryContext);
		invocation->payload = apibase_to_jsonb(&to_jsonb, invocation->message, false);
	}
	return invocation->payload;
}

/* The result that a function returned. */
static void
read_result(Datum value, ApibaseResult *result)
{
	apibase_result_read(value, result);
	if (!result->ok)
		result->error = apibase_problem_normalize(result->error);
}

/* Make what all layers are given. */
static void
prepare_for_layers(Run *run)
{
	MemoryContext old;

	if (run->dispatch != (Datum) 0)
		return;
	old = MemoryContextSwitchTo(run->context);
	(void) bus_payload(run->invocation);
	run->dispatch = apibase_frame_datum(&run->invocation->frame);
	MemoryContextSwitchTo(old);
}

/*
 * Call a middleware function: with the dispatch, the payload, a third argument
 * where the phase has one (not 0), and its configuration if it takes one more.
 */
static Datum
call_middleware(Run *run, BusMiddleware *middleware, Datum third, bool *isnull)
{
	NullableDatum args[4] = {0};
	int			n = 0;

	if (middleware->invalid)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_HANDLER_INVALID),
				 errmsg("middleware \"%s\" cannot be called", middleware->name),
				 errdetail("%s", middleware->invalid)));
	prepare_for_layers(run);
	args[n++].value = run->dispatch;
	args[n++].value = JsonbPGetDatum(run->invocation->payload);
	if (third != (Datum) 0)
		args[n++].value = third;
	if (middleware->callable->nargs > n)
		args[n].value = JsonbPGetDatum(middleware->config);
	return apibase_callable_call(middleware->callable, args, isnull);
}

/* ---------- attempts ---------- */

void
bus_result_of_error(ErrorData *error, const char *instance, ApibaseResult *result)
{
	memset(result, 0, sizeof(ApibaseResult));
	result->error = apibase_problem_of_caught(error, instance);
	FreeErrorData(error);
}

/* Undo what the attempt wrote; its result stays.  Within the attempt only. */
static void
pg_attribute_noreturn()
undo(Attempt *attempt)
{
	attempt->undo = true;
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_ROLLBACK),
			 errmsg_internal("an err was returned")));
}

/* Whether it has not failed; if it has, the result is an err. */
static bool
try_attempt(void (*fn) (void *arg), Attempt *attempt)
{
	Around	   *around = current_around;
	ErrorData  *error = apibase_try(fn, attempt);

	current_around = around;
	if (error == NULL)
		return true;
	if (attempt->undo)
		FreeErrorData(error);
	else
		bus_result_of_error(error, apibase_frame_instance(&attempt->run->invocation->frame), attempt->result);
	return false;
}

/* ---------- the handler ---------- */

/* What its function returns. */
static void
call_handler(void *arg, ApibaseResult *result)
{
	Attempt    *attempt = arg;
	ApibaseInvocation *invocation = attempt->run->invocation;

	if (invocation->handler->retset)
	{
		memset(result, 0, sizeof(ApibaseResult));
		result->ok = true;
		result->value = bus_query_rows(invocation);
	}
	else
	{
		NullableDatum argument = {.value = invocation->arg};
		bool		isnull;
		Datum		value = apibase_callable_call(invocation->handler, &argument, &isnull);

		apibase_callable_result(invocation->handler, value, isnull, result);
		/* a handler may hand on what it got for a command of its own */
		result->replayed = false;
	}
}

/* The same, from the cache where there is one and it was not asked before all of this. */
static void
get_answer(void *arg)
{
	Attempt    *attempt = arg;
	ApibaseInvocation *invocation = attempt->run->invocation;

	if (attempt->run->layers != NIL && invocation->registered && invocation->registered->cache_ttl > 0)
		invocation->cached = bus_query_run(invocation, call_handler, attempt, attempt->result);
	else
		call_handler(attempt, attempt->result);
}

static void
pg_attribute_noreturn()
raise_late(const ApibaseFrame *frame)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_DISPATCH_DEADLINE),
			 errmsg("%s was not handled before its deadline", frame->name)));
}

void
bus_in_time(const ApibaseFrame *frame, void (*fn) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ApibaseDeadline deadline;

	if (frame->deadline == DT_NOEND)
	{
		fn(arg);
		return;
	}
	if (frame->deadline <= GetCurrentTimestamp())
		raise_late(frame);
	apibase_deadline_begin(&deadline, frame->deadline);
	PG_TRY();
	{
		fn(arg);
	}
	PG_CATCH();
	{
		if (apibase_deadline_end(&deadline) && apibase_deadline_is_cancellation(context))
		{
			MemoryContextSwitchTo(context);
			FlushErrorState();
			raise_late(frame);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (apibase_deadline_end(&deadline))
		raise_late(frame);
}

/* Raise an error if the handler cannot be called at all, or not by this user. */
static void
check_handler(const ApibaseInvocation *invocation)
{
	if (invocation->registered == NULL)
		return;
	if (invocation->registered->invalid)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_HANDLER_INVALID),
				 errmsg("the handler of %s cannot be called", invocation->frame.name),
				 errdetail("%s", invocation->registered->invalid)));
	apibase_callable_check_privilege(invocation->handler);
}

static void
attempt_handler(void *arg)
{
	Attempt    *attempt = arg;
	ApibaseInvocation *invocation = attempt->run->invocation;

	check_handler(invocation);

	/*
	 * The end of the subtransaction sets it back.  Until then nobody can: within a subtransaction a transaction
	 * cannot be made to write again.
	 */
	if (invocation->frame.kind == APIBASE_QUERY)
	{
		apibase_reset_to_read_only(true);
		XactReadOnly = true;
	}
	bus_in_time(&invocation->frame, get_answer, attempt);
	if (!attempt->result->ok)
		undo(attempt);
}

/* ---------- layers ---------- */

static void
attempt_before(void *arg)
{
	Attempt    *attempt = arg;
	bool		isnull;

	(void) call_middleware(attempt->run, attempt->middleware, (Datum) 0, &isnull);
}

static void
attempt_after(void *arg)
{
	Attempt    *attempt = arg;
	ApibaseResult *result = attempt->result;
	BusMiddleware *middleware = attempt->middleware;
	Datum		value;
	bool		isnull;

	run_rest(&attempt->rest, result);
	if (!result->ok)
		return;
	value = call_middleware(attempt->run, middleware, apibase_result_datum(result), &isnull);
	if (!isnull && middleware->callable->returns_result)
		read_result(value, result);
	if (!result->ok)
		undo(attempt);
}

static void
attempt_on_error(void *arg)
{
	Attempt    *attempt = arg;
	ApibaseResult *result = attempt->result;
	BusMiddleware *middleware = attempt->middleware;
	Datum		value;
	bool		isnull;

	run_rest(&attempt->rest, result);
	if (result->ok)
		return;
	value = call_middleware(attempt->run, middleware, JsonbPGetDatum(result->error), &isnull);
	if (isnull)
		return;
	if (middleware->callable->returns_result)
		read_result(value, result);
	else if (middleware->callable->rettype == JSONBOID)
		result->error = apibase_problem_normalize(DatumGetJsonbP(value));
}

static void
attempt_around(void *arg)
{
	Attempt    *attempt = arg;
	Around		around = {.rest = attempt->rest};
	Datum		value;
	bool		isnull;

	current_around = &around;
	value = call_middleware(attempt->run, attempt->middleware, (Datum) 0, &isnull);
	current_around = NULL;
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_NULL_VALUE_NOT_ALLOWED),
				 errmsg("middleware \"%s\" returned null", attempt->middleware->name),
				 errhint("Return what apibase.dispatch_next() returns, or a result of your own.")));
	read_result(value, attempt->result);
	if (!attempt->result->ok && around.succeeded)
		undo(attempt);
}

/* The layers inside of idempotency. */
static void
run_inside(void *arg, ApibaseResult *result)
{
	Attempt    *attempt = arg;

	run_rest(&attempt->rest, result);
}

static void
attempt_idempotency(void *arg)
{
	Attempt    *attempt = arg;

	/* who may not call it gets no stored result either, and to be refused is none that is to be stored */
	check_handler(attempt->run->invocation);
	prepare_for_layers(attempt->run);
	bus_idempotency_run(attempt->run->invocation, run_inside, attempt, attempt->result);
}

static void
run_layer(const Rest *rest, BusMiddleware *middleware, ApibaseResult *result)
{
	Attempt		attempt = {.run = rest->run, .middleware = middleware, .rest = *rest, .result = result};

	attempt.rest.layer++;
	switch (middleware->phase)
	{
		case BUS_BEFORE:
			if (try_attempt(attempt_before, &attempt))
				run_rest(&attempt.rest, result);
			break;
		case BUS_AFTER:
			(void) try_attempt(attempt_after, &attempt);
			break;
		case BUS_ON_ERROR:
			(void) try_attempt(attempt_on_error, &attempt);
			break;
		case BUS_AROUND:
			(void) try_attempt(attempt_around, &attempt);
			break;
	}
}

static void
run_rest(const Rest *rest, ApibaseResult *result)
{
	Run		   *run = rest->run;
	BusMiddleware *middleware = rest->layer < list_length(run->layers) ? list_nth(run->layers, rest->layer) : NULL;
	Attempt		attempt = {.run = run, .rest = *rest, .result = result};

	check_stack_depth();
	if (rest->idempotency && (middleware == NULL || middleware->rank >= BUS_IDEMPOTENCY_RANK))
	{
		attempt.rest.idempotency = false;
		(void) try_attempt(attempt_idempotency, &attempt);
	}
	else if (middleware)
		run_layer(rest, middleware, result);
	else
		(void) try_attempt(attempt_handler, &attempt);
}

/* ---------- dispatch_next() ---------- */

/* In there nothing is to be dispatched next. */
static void
run_rest_apart(Around *around, ApibaseResult *result)
{
	current_around = NULL;
	PG_TRY();
	{
		run_rest(&around->rest, result);
	}
	PG_CATCH();
	{
		current_around = around;
		PG_RE_THROW();
	}
	PG_END_TRY();
	current_around = around;
}

/*
 * Run the rest for an "around".  Its function may run as somebody else (SECURITY
 * DEFINER) and with another search_path (SET): both are its own business, so
 * what is inside of it runs as if it was called without it.  When this fails,
 * the end of the subtransaction of who catches the error sets them back.
 */
static void
run_rest_of_around(Around *around, ApibaseResult *result)
{
	const Run  *run = around->rest.run;
	Oid			user;
	int			security_context;
	int			nest_level = 0;

	GetUserIdAndSecContext(&user, &security_context);
	if (security_context & SECURITY_LOCAL_USERID_CHANGE)
		SetUserIdAndSecContext(run->user, run->security_context | SECURITY_LOCAL_USERID_CHANGE);
	if (strcmp(namespace_search_path, run->search_path) != 0)
	{
		nest_level = NewGUCNestLevel();
		(void) set_config_option("search_path", run->search_path, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	run_rest_apart(around, result);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	SetUserIdAndSecContext(user, security_context);
}

/* apibase.dispatch_next() */
Datum
apibase_bus_sql_dispatch_next(PG_FUNCTION_ARGS)
{
	Around	   *around = current_around;
	ApibaseResult result;

	if (around == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is nothing to dispatch next"),
				 errdetail("Only a middleware function of the phase around can call dispatch_next(), while it runs.")));
	run_rest_of_around(around, &result);
	around->succeeded |= result.ok;
	PG_RETURN_DATUM(apibase_result_datum(&result));
}

/* ---------- the whole ---------- */

static bool
is_within_query(const ApibaseFrame *frame)
{
	while (frame && frame->kind != APIBASE_QUERY)
		frame = frame->outer;
	return frame != NULL;
}

static void
run_invocation(ApibaseInvocation *invocation, List *layers, ApibaseResult *result)
{
	Run			run = {.invocation = invocation, .layers = layers,
	.context = CurrentMemoryContext};
	Rest		all = {.run = &run, .idempotency = invocation->frame.idempotency_key != NULL};
	Around	   *around = current_around;
	ApibaseFrame *frame = &invocation->frame;

	if (layers != NIL)
	{
		GetUserIdAndSecContext(&run.user, &run.security_context);
		run.search_path = pstrdup(namespace_search_path);
	}
	apibase_frame_push(frame);
	if (frame->outer)
		frame->deadline = Min(frame->deadline, frame->outer->deadline);
	current_around = NULL;
	PG_TRY();
	{
		run_rest(&all, result);
	}
	PG_FINALLY();
	{
		current_around = around;
		apibase_frame_pop(frame);
		if (frame->kind == APIBASE_QUERY)
			apibase_reset_to_read_only(is_within_query(frame->outer));
	}
	PG_END_TRY();
}

void
apibase_bus_invoke(ApibaseInvocation *invocation, ApibaseResult *result)
{
	BusRegistry *registry;

	if (invocation->registered)
	{
		run_invocation(invocation, invocation->registered->layers, result);
		return;
	}
	registry = bus_registry_hold();
	PG_TRY();
	{
		run_invocation(invocation, bus_registry_event_layers(registry, invocation->frame.name), result);
	}
	PG_FINALLY();
	{
		bus_registry_release(registry);
	}
	PG_END_TRY();
}
