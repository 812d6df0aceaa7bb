/*-------------------------------------------------------------------------
 *
 * decorate_retry.c
 *	  retry: a call that fails is tried again, after a pause.
 *
 * Each attempt is a subtransaction, so that what a failed one wrote is undone
 * and its locks are released before the pause.  Only errors that the options
 * name are tried again; cancellation and shutdown never are.
 *
 * An attempt sees the database with a new snapshot only under READ COMMITTED.
 * Under REPEATABLE READ and SERIALIZABLE the snapshot is the transaction's,
 * and a serialization failure would happen again: it is raised at once, for
 * whoever can repeat the whole transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "core/compat.h"
#include "decorate/decorate.h"
#include "decorate/decorate_sqlstate.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"

typedef enum Backoff
{
	BACKOFF_EXPONENTIAL,
	BACKOFF_LINEAR,
	BACKOFF_CONSTANT
} Backoff;

static const char *const backoff_names[] = {"exponential", "linear", "constant", NULL};

typedef struct RetryOptions
{
	int			max_attempts;
	Backoff		backoff;
	int64		delay;			/* microseconds */
	int64		max_delay;
	double		jitter;			/* a pause is shortened by a random share of at most this */
	List	   *sqlstates;
} RetryOptions;

/* Errors that end the statement or the session, not the attempt. */
static bool
is_final(int sqlstate)
{
	return sqlstate == ERRCODE_QUERY_CANCELED || sqlstate == ERRCODE_ADMIN_SHUTDOWN ||
		sqlstate == ERRCODE_CRASH_SHUTDOWN || sqlstate == ERRCODE_DATABASE_DROPPED;
}

static void *
retry_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	RetryOptions *retry = palloc0(sizeof(RetryOptions));
	ListCell   *lc;

	retry->max_attempts = apibase_option_int(options, "max_attempts", 3, 1, 1000);
	retry->backoff = apibase_option_choice(options, "backoff", BACKOFF_EXPONENTIAL, backoff_names);
	retry->delay = apibase_option_interval(options, "delay", 100 * INT64CONST(1000), 0);
	retry->max_delay = apibase_option_interval(options, "max_delay", 5 * USECS_PER_SEC, 0);
	retry->jitter = apibase_option_float(options, "jitter", 0.1, 0, 1);
	retry->sqlstates = apibase_option_sqlstates(options, "sqlstates", "40001,40P01,55P03");
	foreach(lc, retry->sqlstates)
	{
		if (is_final(lfirst_int(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("SQLSTATE %s is never retried", unpack_sql_state(lfirst_int(lc))),
					 errdetail("It asks for the end of the statement or of the session.")));
	}
	return retry;
}

/* Microseconds to wait after that many attempts. */
static int64
pause_after(const RetryOptions *retry, int attempts)
{
	double		pause = retry->delay;

	if (retry->backoff == BACKOFF_LINEAR)
		pause *= attempts;
	else if (retry->backoff == BACKOFF_EXPONENTIAL)
		pause = ldexp(pause, attempts - 1);
	pause = Min(pause, retry->max_delay);
	if (retry->jitter > 0)
		pause *= 1 - retry->jitter * pg_prng_double(&pg_global_prng_state);
	return (int64) pause;
}

/* Sleep; can be interrupted like any statement. */
static void
wait_for(int64 pause)
{
	static uint32 wait_event = 0;
	instr_time	start;

	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseRetry");
	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		instr_time	waited;
		int64		left;

		CHECK_FOR_INTERRUPTS();
		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		left = pause - (int64) INSTR_TIME_GET_MICROSEC(waited);
		if (left <= 0)
			return;
		/* an hour at most, so that the milliseconds fit */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, SECS_PER_HOUR * USECS_PER_SEC) / 1000 + 1, wait_event);
		ResetLatch(MyLatch);
	}
}

/* Add a line to one of the texts of an error. */
static char *
with_line(const char *text, const char *line)
{
	return text ? psprintf("%s\n%s", text, line) : pstrdup(line);
}

/* Raise an error as it was, but for a line that says which attempt it ended. */
static void
raise_last(const ApibaseDecoratedCall *call, const RetryOptions *retry, ErrorData *error, int attempt, bool senseless)
{
	error->context = with_line(error->context,
							   psprintf("decorated function %s, attempt %d of %d",
										call->function->name, attempt, retry->max_attempts));
	if (senseless)
		error->hint = with_line(error->hint,
								"It was not tried again, because within a REPEATABLE READ or SERIALIZABLE transaction "
								"another attempt has the same snapshot. Repeat the whole transaction.");
	ReThrowError(error);
}

static void
retry_call(ApibaseDecoratedCall *call, void *options)
{
	const RetryOptions *retry = options;
	ErrorData  *error;

	for (int attempt = 1; !apibase_decorated_attempt(call, &error); attempt++)
	{
		bool		wanted = !is_final(error->sqlerrcode) &&
		apibase_sqlstate_is_in(retry->sqlstates, error->sqlerrcode) && attempt < retry->max_attempts;
		bool		senseless = wanted && error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE &&
		IsolationUsesXactSnapshot();

		if (!wanted || senseless)
			raise_last(call, retry, error, attempt, senseless);
		FreeErrorData(error);
		wait_for(pause_after(retry, attempt));
	}
}

const ApibaseDecorator apibase_decorator_retry = {
	.name = "retry",
	.parse = retry_parse,
	.call = retry_call,
	.subtransactions = true,
};
