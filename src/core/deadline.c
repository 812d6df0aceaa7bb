/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  Stopping what runs past a deadline.
 *
 * A timer cancels the statement, as pg_cancel_backend() does; who has set the
 * deadline makes an error of its own of that.
 *
 * The deadlines in force are a stack, linked through the C stack.  There is one
 * timer, set to the earliest of them all.  It marks those that have passed.
 * Then:
 *
 *	- What runs may swallow the cancellation: the timer fires again and again
 *	  until the deadline has ended.
 *	- What ends with any result after its deadline has taken too long all the
 *	  same.  That also settles a timer that fires at the last moment.
 *	- A cancellation by somebody else has the same code.  It is told apart by
 *	  the mark: without one the error is not for who has set the deadline.
 *	  statement_timeout and others have messages of their own, which
 *	  apibase_deadline_is_cancellation() does not take for its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/deadline.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Milliseconds between two firings, once a deadline has passed. */
#define REPEAT_INTERVAL 50

static ApibaseDeadline *volatile innermost;
static volatile sig_atomic_t cancelling;	/* QueryCancelPending was set here */
static TimeoutId timer;
static bool timer_registered = false;

/* A signal handler. */
static void
timer_handler(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (ApibaseDeadline *deadline = innermost; deadline != NULL; deadline = deadline->outer)
	{
		if (deadline->when <= now)
			deadline->expired = true;
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

	for (ApibaseDeadline *deadline = innermost; deadline != NULL; deadline = deadline->outer)
		earliest = Min(earliest, deadline->when);
	if (innermost != NULL)
		enable_timeout_every(timer, earliest, REPEAT_INTERVAL);
}

void
apibase_deadline_begin(ApibaseDeadline *deadline, TimestampTz when)
{
	if (!timer_registered)
	{
		timer = RegisterTimeout(USER_TIMEOUT, timer_handler);
		timer_registered = true;
	}
	deadline->when = when;
	deadline->expired = false;

	if (innermost != NULL)
		disable_timeout(timer, false);
	deadline->outer = innermost;
	innermost = deadline;
	start_timer();
}

bool
apibase_deadline_end(ApibaseDeadline *deadline)
{
	disable_timeout(timer, false);
	innermost = deadline->outer;
	/* what the timer asked for has been done, or comes too late; it asks again for outer deadlines */
	if (deadline->expired && cancelling)
	{
		QueryCancelPending = false;
		cancelling = false;
	}
	start_timer();
	return deadline->expired;
}

bool
apibase_deadline_is_cancellation(MemoryContext context)
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
