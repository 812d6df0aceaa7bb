/*-------------------------------------------------------------------------
 *
 * result_call.h
 *	  What result_pipe.c needs of result_call.c beside what is in result.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_RESULT_CALL_H
#define APIBASE_RESULT_CALL_H

#include "result/result.h"

/* Whether a type of its arguments or of its result depends on the call: such a function has to be told first. */
extern bool result_callable_is_polymorphic(const ApibaseCallable *callable);

/* Tell it the types of its arguments.  False if it does not take such. */
extern bool result_callable_settle(ApibaseCallable *callable, const Oid *types);

#endif							/* APIBASE_RESULT_CALL_H */
