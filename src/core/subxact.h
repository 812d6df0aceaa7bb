/*-------------------------------------------------------------------------
 *
 * subxact.h
 *	  Trying something in a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SUBXACT_H
#define APIBASE_SUBXACT_H

#include "utils/elog.h"

/*
 * Call a function in a subtransaction.  NULL if it succeeded; otherwise what
 * it wrote is undone, and the result is a copy of the error in the current
 * context.  Any error is caught, cancellation too: raise again (ReThrowError)
 * what is not for you.  Memory context and resource owner are afterwards as
 * they were, whatever the function leaves.
 */
extern ErrorData *apibase_try(void (*fn) (void *arg), void *arg);

#endif							/* APIBASE_SUBXACT_H */
