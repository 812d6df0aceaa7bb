/*-------------------------------------------------------------------------
 *
 * deadline.h
 *	  Stopping what runs past a deadline.
 *
 *	ApibaseDeadline deadline;
 *
 *	apibase_deadline_begin(&deadline, when);
 *	PG_TRY();
 *	{
 *		... work ...
 *	}
 *	PG_CATCH();
 *	{
 *		if (apibase_deadline_end(&deadline) && apibase_deadline_is_cancellation(cxt))
 *			... it was stopped: raise an error of your own ...
 *		PG_RE_THROW();
 *	}
 *	PG_END_TRY();
 *	if (apibase_deadline_end(&deadline))
 *		... it has ended, but too late ...
 *
 * Deadlines nest.  How it works is told in deadline.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_DEADLINE_H
#define APIBASE_DEADLINE_H

#include <signal.h>

#include "datatype/timestamp.h"

typedef struct ApibaseDeadline
{
	TimestampTz when;
	volatile sig_atomic_t expired;
	struct ApibaseDeadline *outer;
} ApibaseDeadline;

/* when is a time of GetCurrentTimestamp(). */
extern void apibase_deadline_begin(ApibaseDeadline *deadline, TimestampTz when);

/* Whether it has passed.  To be called once, on every way out. */
extern bool apibase_deadline_end(ApibaseDeadline *deadline);

/* In PG_CATCH: whether the error is a cancellation as a deadline causes it; the context is where it may be looked at. */
extern bool apibase_deadline_is_cancellation(MemoryContext context);

#endif							/* APIBASE_DEADLINE_H */
