/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The registry of SQLSTATEs that only apibase raises.
 *
 * Class PB is in the range that the SQL standard leaves to implementations.
 * One line below makes a code: the constant APIBASE_ERRCODE_<symbol> for
 * ereport, the row of the view apibase.errors, and the duty to describe it in
 * docs/errors.md (a check compares).  Codes are never reused.
 *
 *	X(symbol, three characters of the code after PB, HTTP status, description)
 *
 * The HTTP status is the one that an HTTP layer should answer with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_ERRORS_H
#define APIBASE_ERRORS_H

#include "utils/elog.h"

#define APIBASE_ERRORS(X) \
	/* core: PB001 to PB009, with context */ \
	X(NOT_PRELOADED, 0, 0, 1, 503, \
	  "the operation needs shared memory, and apibase is not in shared_preload_libraries") \
	X(MALFORMED_REQUEST_SETTING, 0, 0, 2, 400, \
	  "a request setting does not hold what it must, such as request.headers that is not a JSON object") \
	/* spec: PB010 to PB019 */ \
	X(INVALID_SPECIFICATION, 0, 1, 0, 400, \
	  "a specification has an error in its text, in its JSON form or in the way it is built") \
	X(SPECIFICATION_TOO_DEEP, 0, 1, 1, 400, \
	  "a specification is nested more deeply than apibase.spec_max_depth") \
	X(SPECIFICATION_TOO_LARGE, 0, 1, 2, 400, \
	  "a specification is larger than apibase.spec_max_size") \
	X(UNBOUND_PARAMETER, 0, 1, 3, 400, \
	  "a specification still has a parameter without a value where it is evaluated") \
	X(INVALID_ORDER_BY, 0, 1, 4, 400, \
	  "an order-by list cannot be read or names what cannot be sorted by") \
	X(INVALID_CURSOR, 0, 1, 5, 400, \
	  "the position after which to continue a list does not fit the list") \
	/* cache: PB020 to PB029 */ \
	X(INVALID_CACHE_KEY, 0, 2, 0, 400, \
	  "a cache key is empty or too long, or its namespace is kept for functions") \
	X(INVALID_CACHE_TAG, 0, 2, 1, 400, \
	  "a cache tag is empty or too long, or there are too many of them") \
	X(CACHE_VALUE_NOT_INTEGER, 0, 2, 2, 409, \
	  "a cached value cannot be incremented because it is not an integer") \
	/* decorate: PB030 to PB039 */ \
	X(CANNOT_DECORATE, 0, 3, 0, 500, \
	  "a function cannot be decorated in the way that was asked for") \
	X(CIRCUIT_OPEN, 0, 3, 1, 503, \
	  "the circuit breaker of a function is open") \
	X(BULKHEAD_FULL, 0, 3, 2, 503, \
	  "as many calls as the bulkhead of a function allows are running") \
	X(DECORATED_TIMEOUT, 0, 3, 3, 504, \
	  "a function has run for longer than its timeout decorator allows") \
	X(ARGUMENTS_INVALID, 0, 3, 4, 422, \
	  "the arguments of a function do not satisfy its specification") \
	/* result: PB040 to PB049 */ \
	X(PIPELINE_MISMATCH, 0, 4, 0, 500, \
	  "a step of a pipeline does not take what the step before it returns, or cannot be a step") \
	/* bus: PB050 to PB059 */ \
	X(HANDLER_NOT_FOUND, 0, 5, 0, 404, \
	  "no handler is registered for a command or a query") \
	X(CANNOT_REGISTER, 0, 5, 1, 500, \
	  "a function cannot be the handler or the middleware that it was to be registered as") \
	X(IDEMPOTENCY_KEY_REUSED, 0, 5, 2, 422, \
	  "an idempotency key was used before with another payload") \
	X(INVALID_IDEMPOTENCY_KEY, 0, 5, 3, 400, \
	  "a command must have an idempotency key and has none, or one that is malformed") \
	X(DISPATCH_TOO_DEEP, 0, 5, 4, 508, \
	  "handlers have dispatched and emitted in turn more deeply than apibase.dispatch_max_depth") \
	X(HANDLER_INVALID, 0, 5, 5, 500, \
	  "a registered handler or middleware was changed so that it cannot be called any more") \
	X(IDEMPOTENCY_KEY_IN_FLIGHT, 0, 5, 6, 409, \
	  "another call with the same idempotency key did not end within lock_timeout") \
	X(DISPATCH_DEADLINE, 0, 5, 7, 504, \
	  "a handler did not end before its deadline") \
	/* events: PB060 to PB069 */ \
	X(INVALID_EVENT, 0, 6, 0, 400, \
	  "what was to be emitted is not a composite value, or its options are wrong") \
	X(CANNOT_SUBSCRIBE, 0, 6, 1, 500, \
	  "a function cannot be a subscriber in the way that was asked for") \
	X(INVALID_OUTBOX_POSITION, 0, 6, 2, 400, \
	  "a position to be acknowledged is beyond what can be read")

#define APIBASE_ERROR_CODE(symbol, a, b, c, status, description) \
	APIBASE_ERRCODE_##symbol = MAKE_SQLSTATE('P', 'B', '0' + a, '0' + b, '0' + c),

enum
{
	APIBASE_ERRORS(APIBASE_ERROR_CODE)
};

#endif							/* APIBASE_ERRORS_H */
