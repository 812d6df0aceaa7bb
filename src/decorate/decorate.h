/*-------------------------------------------------------------------------
 *
 * decorate.h
 *	  Decorators: what runs around a function without its callers' knowing.
 *
 * How a function is decorated
 *
 * The implementation of the function (its language, source and what belongs
 * to that) moves to another function, its body: of the same name, because what
 * is written in a function may use its name for its arguments, and in schema
 * apibase_decorated (apibase_decorated_2 and so on where that has such a
 * function already).  The function's own row of pg_proc stays: OID, name,
 * arguments, defaults, result, volatility, owner, grants, settings, SECURITY
 * DEFINER.  Only it is now written in the language apibase_decorated, whose
 * sources are chains of decorators in JSON, innermost first:
 *
 *	{"body": "apibase_decorated", "decorators": [["cached", {"ttl": "5 min"}], ["retry", {...}]]}
 *
 * So there is no table beside the catalog that could disagree with it.  The
 * chain is dumped, restored, upgraded, rolled back, renamed and dropped with
 * its function.  That the language belongs to the extension keeps the extension
 * from being dropped while functions are decorated.  The body depends on its
 * function, so DROP takes both.
 * It belongs to the owner of the extension, is nobody's to call, and has neither
 * settings nor SECURITY DEFINER: those are in force around the whole call.
 * Event triggers keep both together, see decorate_events.c.
 *
 * The language is not trusted: only superusers may write chains.  Owners of
 * functions decorate them with the functions of SQL, which check.
 *
 * How it is called
 *
 * The handler of the language finds the chain by the function's OID.  A
 * backend keeps the chains that it has used, parsed, until the function's or
 * the body's row of pg_proc changes.  The layers of the chain are called from
 * the outermost to the innermost, which calls the body.
 *
 *	decorate.c			the table of decorators, settings, shared memory
 *	decorate_chain.c	chains: from JSON, and those that a backend keeps
 *	decorate_sql.c		apibase_internal.decorate(), undecorate()
 *	decorate_options.c	reading the options of a decorator
 *	decorate_catalog.c	moving implementations to bodies and back
 *	decorate_events.c	event triggers: CREATE OR REPLACE, ALTER, restored dumps
 *	decorate_call.c		the handler, calling the body, results
 *	decorate_key.c		keys made of arguments, or of rows
 *	decorate_<name>.c	one decorator
 *
 * How to write a decorator
 *
 * A file decorate_<name>.c defines one ApibaseDecorator, listed in decorate.c,
 * and decorate.sql has the function apibase.<name>() which hands its arguments
 * to apibase_internal.decorate() as jsonb.  parse makes of the options what call
 * wants.  call runs around the rest of the chain:
 *
 *	static void
 *	logged_call(ApibaseDecoratedCall *call, void *options)
 *	{
 *		... before ...
 *		apibase_decorated_next(call);
 *		... after: the result is in call ...
 *	}
 *
 * It may call next any number of times, also never, if it sets the result
 * itself.  Errors pass through it like through any C code.  One that wants to go
 * on after an error calls apibase_decorated_attempt(), which runs the
 * rest in a subtransaction, and sets .subtransactions.
 *
 * A decorator is called in any place where a function may be called, also
 * recursively, while planning, and in parallel workers: it keeps the state
 * of a call on the stack, and nothing of it in its options.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_DECORATE_H
#define APIBASE_DECORATE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "core/module.h"

/* ---------- functions, chains, calls ---------- */

/* A decorated function, as the decorators of its chain see it.  Lives as long as the chain. */
typedef struct ApibaseDecoratedFunction
{
	Oid			oid;
	const char *name;			/* app.quote(integer,text): qualified and quoted, for people */
	const char *schema;			/* not quoted */
	const char *proname;		/* not quoted */
	int			nargs;			/* input arguments, as in fcinfo */
	Oid		   *argtypes;		/* as declared; see apibase_decorated_argtype() */
	const char **argnames;		/* each NULL if it has none */
	bool		polymorphic;	/* some of the input arguments are */
	Oid			rettype;		/* as declared */
	bool		retset;
	char		volatility;		/* as in pg_proc, as the following */
	char		parallel;
	bool		strict;
	uint64		implementation; /* a number that differs for each state of the body */
	bool		deciding;		/* the function is being decorated now: parse may refuse more than later */
} ApibaseDecoratedFunction;

/* One call of a decorated function, and its result. */
typedef struct ApibaseDecoratedCall
{
	const ApibaseDecoratedFunction *function;
	FunctionCallInfo fcinfo;	/* the caller's; the arguments are not to be changed */

	/* The result, after next.  Of a function that returns no set: */
	Datum		value;			/* in memory of the context that was current at next, or longer lived */
	bool		isnull;
	/* of one that returns a set: */
	Tuplestorestate *rows;		/* all rows, whatever way the body returns them; in the query's memory */
	TupleDesc	desc;
	bool		substituted;	/* it is that of another function, a fallback: not to be kept */

	/* of decorate_call.c */
	struct DecorateSite *site;
	int			layer;			/* number of layers that are still to be called */
} ApibaseDecoratedCall;

typedef struct ApibaseDecorator
{
	const char *name;

	/*
	 * Make of the options what call is given.  Called when the function is decorated, when it is altered, and when a
	 * backend loads the chain; the current context is the chain's.  Raises an error for what is not valid. OIDs of
	 * functions that the options name are appended to *uses: they cannot be dropped while the decorator is there,
	 * nor renamed.
	 */
	void	   *(*parse) (const ApibaseDecoratedFunction *function, Jsonb *options, List **uses);

	/* Run around the rest of the chain. */
	void		(*call) (ApibaseDecoratedCall *call, void *options);

	/* It uses apibase_decorated_attempt(): the function must be PARALLEL UNSAFE, which is checked */
	bool		subtransactions;

	/* It counts calls, and those of parallel workers would be others: the function must not be PARALLEL SAFE */
	bool		leader_only;

	/* The following may be left out; as in core/module.h. */
	void		(*define_gucs) (void);
	Size		(*shmem_size) (void);
	void		(*shmem_init) (void *area, LWLock *lock, bool found);	/* each has one lock */
} ApibaseDecorator;

/* ---------- decorate_call.c: for decorators ---------- */

/* Call the rest of the chain; the result is in call. */
extern void apibase_decorated_next(ApibaseDecoratedCall *call);

/*
 * The same in a subtransaction.  False: it failed, what it wrote is undone,
 * and *error is a copy of the error in the current context.  Any error is
 * caught, cancellation and timeouts too: raise again (ReThrowError) what is
 * not for you.
 */
extern bool apibase_decorated_attempt(ApibaseDecoratedCall *call, ErrorData **error);

/*
 * Call another function with the same arguments instead of the rest of the
 * chain: it takes and returns the same types (apibase_decorated_check_substitute()
 * raises an error for one that does not; for parse).
 */
extern void apibase_decorated_substitute(ApibaseDecoratedCall *call, Oid function);
extern void apibase_decorated_check_substitute(const ApibaseDecoratedFunction *function, Oid substitute);

/* The type of an argument (from 0) in this call: that of a polymorphic one is known only then. */
extern Oid	apibase_decorated_argtype(const ApibaseDecoratedCall *call, int arg);

/* The type of the result in this call: RECORDOID where only the rows themselves tell. */
extern Oid	apibase_decorated_rettype(const ApibaseDecoratedCall *call);

/* Begin an empty set as the result; rows are added with tuplestore_put...(call->rows, call->desc, ...). */
extern void apibase_decorated_begin_set(ApibaseDecoratedCall *call, TupleDesc desc);

/* ---------- decorate_options.c: for parse ---------- */

/*
 * Each gives the member of that name, or the default where there is none or
 * it is null, and raises invalid_parameter_value, naming it, for one of
 * another kind or beyond the limits.
 */
extern int64 apibase_option_interval(Jsonb *options, const char *name, int64 missing, int64 min);	/* microseconds */
extern int	apibase_option_int(Jsonb *options, const char *name, int missing, int min, int max);
extern double apibase_option_float(Jsonb *options, const char *name, double missing, double min, double max);
extern bool apibase_option_bool(Jsonb *options, const char *name, bool missing);
extern char *apibase_option_text(Jsonb *options, const char *name); /* NULL where there is none */
extern List *apibase_option_texts(Jsonb *options, const char *name);	/* of char *; NIL where there is none */

/* The number of the text in choices (NULL-terminated). */
extern int	apibase_option_choice(Jsonb *options, const char *name, int missing, const char *const *choices);

/* A function by its qualified signature, as regprocedure prints it with an empty search_path; InvalidOid where there is none. */
extern Oid	apibase_option_function(Jsonb *options, const char *name);

/* Numbers (from 0) of the input arguments with these names (NIL: of all), as a Bitmapset. */
extern Bitmapset *apibase_option_arguments(const ApibaseDecoratedFunction *function, List *names);

/* ---------- decorate_key.c ---------- */

/* Whom a key made of arguments is for. */
typedef enum ApibaseDecorateScope
{
	APIBASE_DECORATE_ROLE,		/* who has the same roles, claims and settings that results are known to depend on */
	APIBASE_DECORATE_SHARED		/* everybody */
} ApibaseDecorateScope;

/*
 * Append a key made of the function, the arguments in args (NULL: all; numbers
 * from 0), the scope and the values of the settings in vary (of char *).
 * Different values never have the same key.  Raises no errors but those of the
 * types' output functions.
 */
extern void apibase_decorate_key(StringInfo key, const ApibaseDecoratedCall *call, const Bitmapset *args,
								 ApibaseDecorateScope scope, const List *vary);

/*
 * Keys for what a function makes of a row that it is given, without being decorated: made of
 * its state as above, of a word that says what is kept, of the columns with
 * these names (of char *; NIL: all), and of the scope.  Made ready in the current context,
 * and of use until the function or a type changes.
 */
typedef struct ApibaseRowKey ApibaseRowKey;
extern ApibaseRowKey *apibase_row_key_make(const char *kind, FmgrInfo *function, Oid type, const List *columns,
										   ApibaseDecorateScope scope);
extern bool apibase_row_key_is_valid(const ApibaseRowKey *row);
extern void apibase_row_key_append(StringInfo key, ApibaseRowKey *row, HeapTupleHeader header);

/* ---------- decorators ---------- */

extern const ApibaseDecorator apibase_decorator_bulkhead;
extern const ApibaseDecorator apibase_decorator_cached;
extern const ApibaseDecorator apibase_decorator_circuit_breaker;
extern const ApibaseDecorator apibase_decorator_logged;
extern const ApibaseDecorator apibase_decorator_memoized;
extern const ApibaseDecorator apibase_decorator_retry;
extern const ApibaseDecorator apibase_decorator_timeout;
extern const ApibaseDecorator apibase_decorator_validated;

/* ---------- for the module table ---------- */

extern void apibase_decorate_define_gucs(void);
extern Size apibase_decorate_shmem_size(void);
extern void apibase_decorate_shmem_init(void *area, LWLockPadded *locks, bool found);
#define APIBASE_DECORATE_NLOCKS		8	/* as many as there are decorators */

#endif							/* APIBASE_DECORATE_H */
