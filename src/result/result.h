/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Results: a value or a problem, and what makes one of the other's kind.
 *
 * A result is a value of the composite type apibase.result: ok, value, error,
 * replayed.  An error is a problem document (RFC 9457) in jsonb:
 *
 *	{"type": "urn:problem-type:apibase:conflict", "title": "Conflict", "status": 409,
 *	 "detail": "email is already used", "code": "23505", "instance": "urn:uuid:...",
 *	 "errors": [{"pointer": "/email", "detail": "is already used", "code": "23505"}]}
 *
 * type, title, status and code are always there; code is the SQLSTATE that it was made of, or PTxyz of its status.
 *
 * The parts, lower ones first:
 *
 *	result.c			the composite type in C; settings
 *	result_status.c		from SQLSTATEs to HTTP status and type, and back
 *	result_constraint.c	the fields that a constraint is about
 *	result_problem.c	problems: made of errors, raised as errors
 *	result_payload.c	JSON documents to values of types, with a pointer in every error
 *	result_call.c		calling a function by its OID; values to JSON
 *	result_pipe.c		map, bind, pipe
 *	result_sql.c		the rest of what SQL calls
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_RESULT_H
#define APIBASE_RESULT_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "core/compat.h"

/* ---------- result.c ---------- */

typedef struct ApibaseResult
{
	bool		ok;
	bool		replayed;		/* it is that of an earlier call with the same idempotency key */
	Jsonb	   *value;			/* if ok; NULL: SQL's */
	Jsonb	   *error;			/* if not; never NULL */
} ApibaseResult;

extern void apibase_result_define_gucs(void);

/* OID of apibase.result; kept for the session. */
extern Oid	apibase_result_type(void);

/*
 * The composite value, palloc'd; and back: raises 22023 for one that is neither (ok is NULL; not ok, and the error is no
 * object).  An error that was made by hand may lack members.
 */
extern Datum apibase_result_datum(const ApibaseResult *result);
extern void apibase_result_read(Datum datum, ApibaseResult *result);

/* ---------- result_status.c ---------- */

/* The HTTP status of an SQLSTATE. */
extern int	apibase_sqlstate_status(int sqlstate);

/* Whether the message of such an error is not for clients: a fault of the server or of the program in it. */
extern bool apibase_sqlstate_is_internal(int sqlstate);

/* Whether trying the whole transaction again may help: serialization failure, deadlock. */
extern bool apibase_sqlstate_is_retryable(int sqlstate);

/* ---------- result_problem.c ---------- */

/*
 * A problem document made of an error.  An internal error shows nothing but its
 * SQLSTATE: apibase_problem_log() has told the rest to the server's log.
 * instance, a URI of this occurrence, may be NULL.
 */
extern Jsonb *apibase_problem_of_error(const ErrorData *error, const char *instance);

/* Write a caught error that is internal to the server's log; others are the client's business. */
extern void apibase_problem_log(const ErrorData *error, const char *instance);

/*
 * The problem that a caught error is, which it logs.  Raises the error again if it asks for the end of the statement or
 * of the session, and is nobody's result.
 */
extern Jsonb *apibase_problem_of_caught(ErrorData *error, const char *instance);

/* A problem of a status, with its type and title; sqlstate 0: PTxyz of the status; errors NULL: none. */
extern Jsonb *apibase_problem_make(int status, int sqlstate, const char *detail, Jsonb *errors);

/* Its members; defaults where they are missing or of another kind. */
extern int	apibase_problem_status(Jsonb *problem);
extern int	apibase_problem_sqlstate(Jsonb *problem);	/* PTxyz of its status if it has none */

/* A document from outside as a problem: type, title, status and code are added; raises 22023 for what is no object. */
extern Jsonb *apibase_problem_normalize(Jsonb *problem);

/* Raise the error that it describes, which becomes the same problem again where it is caught. */
extern void apibase_problem_raise(Jsonb *problem) pg_attribute_noreturn();

/* An item of the array errors that is being built; code may be NULL. */
extern void apibase_problem_push_item(JsonbParseState **state, const char *pointer, const char *detail, const char *code);

/* Append a name to a JSON Pointer (RFC 6901): "/" and the name, escaped. */
extern void apibase_problem_append_pointer(StringInfo pointer, const char *name);

/* ---------- result_payload.c ---------- */

/*
 * Make a value of a type of a JSON document: objects become composite values,
 * and so on inward.  NULL: done, and the value (*isnull for a JSON null) is in the current context.
 * Otherwise an array of all that is wrong with it, each {"pointer", "detail", "code"}:
 * unknown fields, missing ones, wrong types, constraints of domains.
 * Errors that are no fault of the document are raised.
 */
extern Jsonb *apibase_payload_read(Jsonb *document, Oid type, int32 typmod, Datum *value, bool *isnull);

/* The same, raising PT422 with that array. */
extern Datum apibase_payload_value(Jsonb *document, Oid type, int32 typmod, bool *isnull);

/* ---------- result_call.c ---------- */

/* To jsonb, as to_jsonb() does it; made ready for a type once. */
typedef struct ApibaseToJsonb
{
	Oid			type;
	FmgrInfo	to_jsonb;
	bool		is_jsonb;
} ApibaseToJsonb;

extern void apibase_to_jsonb_prepare(ApibaseToJsonb *to, Oid type, MemoryContext context);
extern Jsonb *apibase_to_jsonb(ApibaseToJsonb *to, Datum value, bool isnull);	/* NULL for NULL and void */

/* A function to be called by its OID, made ready once; valid until its row of pg_proc changes. */
typedef struct ApibaseCallable
{
	Oid			oid;
	FmgrInfo	finfo;
	int			nargs;
	Oid			argtypes[FUNC_MAX_ARGS];
	Oid			rettype;
	bool		retset;
	char		volatility;
	ApibaseToJsonb to_jsonb;	/* of its result, if that is no apibase.result */
	bool		returns_result; /* it is */
} ApibaseCallable;

/* Raises undefined_function for an OID without function.  Aggregates, window functions and procedures are refused (42809). */
extern void apibase_callable_prepare(ApibaseCallable *callable, Oid function, MemoryContext context);

/* Raise insufficient_privilege unless the current user may execute it. */
extern void apibase_callable_check_privilege(const ApibaseCallable *callable);

/* Call it; a strict function with a NULL argument gives NULL.  Not for functions that return sets. */
extern Datum apibase_callable_call(ApibaseCallable *callable, const NullableDatum *args, bool *isnull);

/* What it returned, as a result: an apibase.result as it is, with a whole problem; anything else as the value of an ok one. */
extern void apibase_callable_result(ApibaseCallable *callable, Datum value, bool isnull, ApibaseResult *result);

#endif							/* APIBASE_RESULT_H */
