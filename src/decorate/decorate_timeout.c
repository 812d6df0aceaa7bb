/*-------------------------------------------------------------------------
 *
 * decorate_timeout.c
 *	  timeout: a call that runs for too long is stopped.
 *
 * A timer cancels the statement, as pg_cancel_backend() does, and on its way
 * out the error becomes PB033.  Nothing goes on after it but the raising of
 * that error, so no subtransaction is needed.
 *
 * The calls that run with a timeout are a stack, linked through the C stack.
 * There is one timer, set to the earliest deadline of them all.  It marks the
 * calls whose deadline has passed.  Then:
 *
 *	- A handler in the function may swallow the cancellation: the timer fires
 *	  again and again until the call has ended.
 *	- A call that ends with any result after its deadline has taken too long
 *	  all the same.  That also settles a timer that fires at the last moment.
 *	- A cancellation by somebody else has the same code.  It is told apart by
 *	  the mark: without one the error is raised as it is.  statement_timeout
 *	  and others have messages of their own and are left alone in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "decorate/decorate.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Milliseconds between two firings, once a deadline has passed. */
#define REPEAT_INTERVAL 50

typedef struct TimeoutOptions
{
	int64		duration;		/* microseconds */
} TimeoutOptions;

typedef struct TimedCall
{
	TimestampTz deadline;
	volatile sig_atomic_t expired;
	struct TimedCall *outer;
} TimedCall;

static TimedCall *volatile innermost;
static volatile sig_atomic_t cancelling;	/* QueryCancelPending was set here */
static TimeoutId timer;
static bool timer_registered = false;

/* A signal handler. */
static void
timer_handler(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (TimedCall *timed = innermost; timed != NULL; timed = timed->outer)
	{
		if (timed->deadline <= now)
			timed->expired = true;
	}
	if (!QueryCancelPending)
		cancelling = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* Set the timer to the earliest deadline.  It does not run when this is called. */
static void
start_timer(void)
{
	TimestampTz earliest = DT_NOEND;

	for (TimedCall *timed = innermost; timed != NULL; timed = timed->outer)
		earliest = Min(earliest, timed->deadline);
	if (innermost != NULL)
		enable_timeout_every(timer, earliest, REPEAT_INTERVAL);
}

static void
begin_timed(TimedCall *timed, int64 duration)
{
	if (!timer_registered)
	{
		timer = RegisterTimeout(USER_TIMEOUT, timer_handler);
		timer_registered = true;
	}
	timed->deadline = GetCurrentTimestamp() + duration;
	timed->expired = false;

	if (innermost != NULL)
		disable_timeout(timer, false);
	timed->outer = innermost;
	innermost = timed;
	start_timer();
}

static void
end_timed(TimedCall *timed)
{
	disable_timeout(timer, false);
	innermost = timed->outer;
	/* what the timer asked for has been done, or comes too late; it asks again for outer calls */
	if (timed->expired && cancelling)
	{
		QueryCancelPending = false;
		cancelling = false;
	}
	start_timer();
}

/* Whether the error just caught is a cancellation as the timer asks for; the context is where it may be looked at. */
static bool
is_cancellation(MemoryContext context)
{
	MemoryContext old;
	ErrorData  *error;
	bool		result;

	if (geterrcode() != ERRCODE_QUERY_CANCELED)
		return false;
	old = MemoryContextSwitchTo(context);
	error = CopyErrorData();
	result = error->message_id != NULL && strcmp(error->message_id, "canceling statement due to user request") == 0;
	FreeErrorData(error);
	MemoryContextSwitchTo(old);
	return result;
}

/* A duration in words. */
static const char *
duration_text(int64 duration)
{
	if (duration % USECS_PER_SEC == 0)
		return psprintf(INT64_FORMAT " s", duration / USECS_PER_SEC);
	if (duration % 1000 == 0)
		return psprintf(INT64_FORMAT " ms", duration / 1000);
	return psprintf(INT64_FORMAT " us", duration);
}

static void
raise_timeout(const ApibaseDecoratedCall *call, const TimeoutOptions *options)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_DECORATED_TIMEOUT),
			 errmsg("function %s did not end within %s",
					call->function->name, duration_text(options->duration))));
}

static void *
timeout_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	TimeoutOptions *timeout = palloc0(sizeof(TimeoutOptions));

	timeout->duration = apibase_option_interval(options, "duration", 0, 1);
	if (timeout->duration == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("duration is missing")));
	return timeout;
}

static void
timeout_call(ApibaseDecoratedCall *call, void *options)
{
	const TimeoutOptions *timeout = options;
	MemoryContext context = CurrentMemoryContext;
	TimedCall	timed;

	begin_timed(&timed, timeout->duration);
	PG_TRY();
	{
		apibase_decorated_next(call);
	}
	PG_CATCH();
	{
		end_timed(&timed);
		if (timed.expired && is_cancellation(context))
		{
			MemoryContextSwitchTo(context);
			FlushErrorState();
			raise_timeout(call, timeout);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_timed(&timed);
	if (timed.expired)
		raise_timeout(call, timeout);
}

const ApibaseDecorator apibase_decorator_timeout = {
	.name = "timeout",
	.parse = timeout_parse,
	.call = timeout_call,
};
