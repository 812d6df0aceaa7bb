/*-------------------------------------------------------------------------
 *
 * decorate_timeout.c
 *	  timeout: a call that runs for too long is stopped.
 *
 * The error that the deadline (core/deadline.h) causes becomes PB033 on its way
 * out.  Nothing goes on after it but the raising of that error, so no
 * subtransaction is needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/deadline.h"
#include "core/errors.h"
#include "decorate/decorate.h"

#include "utils/timestamp.h"

typedef struct TimeoutOptions
{
	int64		duration;		/* microseconds */
} TimeoutOptions;

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
	ApibaseDeadline deadline;

	apibase_deadline_begin(&deadline, GetCurrentTimestamp() + timeout->duration);
	PG_TRY();
	{
		apibase_decorated_next(call);
	}
	PG_CATCH();
	{
		if (apibase_deadline_end(&deadline) && apibase_deadline_is_cancellation(context))
		{
			MemoryContextSwitchTo(context);
			FlushErrorState();
			raise_timeout(call, timeout);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (apibase_deadline_end(&deadline))
		raise_timeout(call, timeout);
}

const ApibaseDecorator apibase_decorator_timeout = {
	.name = "timeout",
	.parse = timeout_parse,
	.call = timeout_call,
};
