/*-------------------------------------------------------------------------
 *
 * decorate_chain.h
 *	  What the files of the module share: chains, places of calls, the catalog.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_DECORATE_CHAIN_H
#define APIBASE_DECORATE_CHAIN_H

#include "access/htup.h"
#include "utils/resowner.h"

#include "decorate/decorate.h"

#define DECORATE_LANGUAGE	"apibase_decorated"
#define DECORATE_SCHEMA		"apibase_decorated"

/* ---------- chains as they are written ---------- */

/* The source of a decorated function, read. */
typedef struct DecorateSource
{
	char	   *schema;			/* of the body */
	List	   *layers;			/* of DecorateEntry, innermost first */
} DecorateSource;

typedef struct DecorateEntry
{
	char	   *name;
	Jsonb	   *options;		/* an object */
} DecorateEntry;

extern DecorateSource *decorate_source_read(const char *text);
extern char *decorate_source_write(const DecorateSource *source);

/* ---------- types of arguments and results (decorate_types.c) ---------- */

/* How a value of an argument is written into a key. */
typedef enum DecorateForm
{
	DECORATE_NUMBER,			/* passed by value */
	DECORATE_TEXT,				/* its bytes are text */
	DECORATE_BYTES,				/* its bytes, in hexadecimal */
	DECORATE_ROW,				/* a composite type: column by column */
	DECORATE_ROWS,				/* an array of anonymous rows */
} DecorateForm;

typedef struct DecorateType
{
	Oid			type;			/* InvalidOid where it cannot be known */
	int16		typlen;
	bool		typbyval;
	DecorateForm form;
} DecorateType;

/* The types of a call. */
typedef struct DecorateTypes
{
	uint64		generation;		/* decorate_type_generation when this was made */
	DecorateType result;
	bool		returns_row;	/* of a composite type, or a set of these */
	bool		anonymous;		/* inside of the result are anonymous rows, which mean nothing to other sessions */
	TupleDesc	desc;			/* of rows of the result, blessed; of a set of scalars one column; NULL: not known */
	char	   *prefix;			/* of keys: says which function this is, in which state, and what the types look like */
	int			prefix_len;
	int			nargs;
	DecorateType args[FLEXIBLE_ARRAY_MEMBER];
} DecorateTypes;

extern void decorate_describe_type(DecorateType *type, Oid oid);

/* Of a type whose columns only the session knows: record, record[], or a domain over it. */
extern bool decorate_is_anonymous(Oid type);

/* ---------- chains as they are called ---------- */

typedef struct DecorateLayer
{
	const ApibaseDecorator *decorator;
	void	   *options;
} DecorateLayer;

typedef struct DecorateChain
{
	ApibaseDecoratedFunction function;
	uint64		serial;			/* no two chains of a backend have the same */
	Oid			body;
	uint32		function_hash;	/* in the syscache PROCOID */
	uint32		body_hash;
	char	   *version;		/* text that differs for each state of the function and of its body */
	MemoryContext context;
	bool		types_fixed;	/* they are the same in all calls */
	DecorateTypes *types;		/* if so */
	int			nlayers;
	DecorateLayer layers[FLEXIBLE_ARRAY_MEMBER];	/* innermost first */
} DecorateChain;

/* Increased when any chain that a backend keeps, or a type that one knows, may have changed. */
extern uint64 decorate_generation;

/* The same for types only. */
extern uint64 decorate_type_generation;

/*
 * Make a chain of a row of pg_proc in a child of the current context.  deciding: see
 * ApibaseDecoratedFunction.  uses: OIDs of functions that the decorators name, or NULL.
 */
extern DecorateChain *decorate_chain_make(HeapTuple function, bool deciding, List **uses);

/* The chain of a decorated function; valid to the end of the transaction. */
extern DecorateChain *decorate_chain_get(Oid function);

extern void decorate_digest(const void *data, Size len, uint8 *digest); /* SHA-256; decorate_key.c */

/* Let types of calls be made again when one of these relations (composite types) changes. */
extern void decorate_watch_types(List *relations);

extern void decorate_chain_install(void);

/* decorate.c; NULL where there is none of this name */
extern const ApibaseDecorator *decorate_decorator(const char *name);

/* ---------- places of calls (decorate_call.c) ---------- */

/* What is known about one place where a decorated function is called: fn_extra of the caller. */
typedef struct DecorateSite
{
	uint64		generation;
	uint64		serial;			/* of the chain */
	DecorateChain *chain;
	DecorateTypes *types;
	FmgrInfo	body;			/* its fn_oid is invalid until it is needed */
	FmgrInfo	substitute;		/* the same; see apibase_decorated_substitute() */
	uint64		substitute_generation;
	MemoryContext context;		/* where this lies */
} DecorateSite;

/* The types of this call, made in the current context, or those of the chain. */
extern DecorateTypes *decorate_types_get(FunctionCallInfo fcinfo, DecorateChain *chain);

/* After an error that was caught: let the call be as it was before the layers below were called. */
extern void decorate_recover(ApibaseDecoratedCall *call, int layer);

/* Before the end of a subtransaction: let the rows live on with the resource owner of the outer one. */
extern void decorate_keep_rows(ApibaseDecoratedCall *call, ResourceOwner owner);

/* ---------- the catalog (decorate_catalog.c) ---------- */

extern Oid	decorate_language(void);	/* InvalidOid where the extension is not (completely) there */

/* The body of a decorated function, whose chain says this schema; InvalidOid where it is not there. */
extern Oid	decorate_find_body(HeapTuple function, const char *schema);

/* Whether a function has a body that depends on it: not so after a dump was restored. */
extern bool decorate_is_linked(Oid function);

/* Whether it, or its decorators, depend on other functions. */
extern bool decorate_names_functions(Oid function);
extern List *decorate_all_functions(void);
extern char *decorate_source_text(HeapTuple function);

/* app.quote(integer,text): the schema always, those of types where they need one; for people. */
extern char *decorate_function_name(Oid function);

/* Raise PB030 for a function that cannot be decorated. */
extern void decorate_check_function(HeapTuple function);

/* Move the implementation of a function to a new body; gives the schema of that. */
extern char *decorate_split(Oid function);

/* Move the implementation of a function that has been replaced to the body that it has. */
extern void decorate_resplit(Oid function, Oid body);

/* Put the implementation back and remove the body. */
extern void decorate_join(Oid function, Oid body);

/* Write the chain of a function whose implementation is in its body. */
extern void decorate_set_source(Oid function, const DecorateSource *source);

/* Record what the function depends on, and that the body belongs to it. */
extern void decorate_set_dependencies(Oid function, Oid body, List *uses);

/* Take over to the body what ALTER FUNCTION has changed in the function. */
extern void decorate_follow(Oid function, Oid body);

/* ---------- event triggers (decorate_events.c) ---------- */

extern void decorate_events_install(void);

#endif							/* APIBASE_DECORATE_CHAIN_H */
