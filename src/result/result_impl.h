/*-------------------------------------------------------------------------
 *
 * result_impl.h
 *	  What the files of results and problems share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_RESULT_IMPL_H
#define APIBASE_RESULT_IMPL_H

#include "result/result.h"

#include "nodes/pg_list.h"

/* ---------- result.c ---------- */

extern char *problem_type_base; /* apibase.problem_type_base */

/* ---------- result_status.c ---------- */

/* All that clients are told about a fault of the server or of the program in it. */
#define PROBLEM_INTERNAL "An internal error occurred."

/* What is told to clients about errors of an SQLSTATE. */
typedef struct ProblemSqlstate
{
	int			status;			/* of HTTP */
	bool		internal;		/* the message is for the log */
	const char *sentence;		/* what clients see in place of the message; NULL: the message */
	bool		application;	/* raised by and for an application: DETAIL and HINT are for clients, too */
} ProblemSqlstate;

extern ProblemSqlstate problem_sqlstate(int sqlstate);

/* The SQLSTATE that a text is; 0 if it is none that an error has. */
extern int	problem_parse_sqlstate(const char *text);

/* The text of one, palloc'd: documents that are being built have pointers to their texts. */
extern char *problem_sqlstate_text(int sqlstate);

/* The SQLSTATE PTxyz of a status. */
extern int	problem_status_sqlstate(int status);

/* Whether errors of problems have such a status: 400 to 599. */
extern bool problem_status_is_error(int status);

/* Default type (palloc'd) and title of problems. */
extern char *problem_status_type(int status);
extern const char *problem_status_title(int status);

/* ---------- result_constraint.c ---------- */

/* What is wrong where a constraint is violated, without any value. */
typedef struct ProblemViolation
{
	List	   *columns;		/* names (char *), in the order of the constraint */
	bool		pointless;		/* it is about no field of what was written */
	char	   *what;			/* "is already used": is said of the columns */
} ProblemViolation;

extern void problem_violation(const ErrorData *error, ProblemViolation *violation);

/* ---------- result_problem.c: building documents ---------- */

/* A member of an object that is being built; nothing for a NULL text or document. */
extern void problem_push_value(JsonbParseState **state, const char *key, JsonbValue *value);
extern void problem_push_null(JsonbParseState **state, const char *key);
extern void problem_push_text(JsonbParseState **state, const char *key, const char *value);
extern void problem_push_integer(JsonbParseState **state, const char *key, int64 value);
extern void problem_push_json(JsonbParseState **state, const char *key, Jsonb *value);

/* The object is complete. */
extern Jsonb *problem_end_object(JsonbParseState **state);

/* The members of an object, replaced by those of another; what is null there is taken away (RFC 7396, one level). */
extern Jsonb *problem_merge(Jsonb *object, Jsonb *patch);

#endif							/* APIBASE_RESULT_IMPL_H */
