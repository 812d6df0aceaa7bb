/*-------------------------------------------------------------------------
 *
 * bus_impl.h
 *	  What the files of the bus share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_BUS_IMPL_H
#define APIBASE_BUS_IMPL_H

#include "bus/bus.h"

/* ---------- settings (bus.c) ---------- */

extern int	bus_max_depth;		/* apibase.dispatch_max_depth */
extern int	bus_max_attempts;	/* apibase.dispatch_max_attempts: of a transaction, by the procedures */
extern int	bus_max_messages;	/* apibase.bus_max_messages: counted one by one */

/* ---------- bus_frame.c ---------- */

/* "command", "query" or "event". */
extern const char *bus_kind_word(ApibaseMessageKind kind);

/* OID of apibase.dispatch. */
extern Oid	bus_dispatch_type(void);

/* ---------- bus_registry.c ---------- */

typedef enum BusPhase
{
	BUS_BEFORE,
	BUS_AFTER,
	BUS_ON_ERROR,
	BUS_AROUND,
} BusPhase;

/* One use of a middleware function. */
typedef struct BusMiddleware
{
	const char *name;			/* of this use: unique among the uses of its function */
	const char *pattern;		/* of names of messages: * and ? stand for anything */
	bool		commands,
				queries,
				events;
	BusPhase	phase;
	int			rank;			/* smaller ones are further out */
	Jsonb	   *config;			/* an object */
	ApibaseCallable *callable;
	const char *invalid;		/* NULL, or why it cannot be called */
} BusMiddleware;

typedef enum BusIdempotency
{
	BUS_IDEMPOTENCY_OPTIONAL,	/* of who gives a key */
	BUS_IDEMPOTENCY_REQUIRED,	/* a dispatch without a key is refused */
	BUS_IDEMPOTENCY_OFF			/* keys are ignored */
} BusIdempotency;

/* One registration. */
typedef struct BusHandler
{
	ApibaseMessageKind kind;
	Oid			type;
	const char *name;			/* of the type, as in ApibaseFrame */
	ApibaseCallable callable;
	const char *invalid;		/* NULL, or why it cannot be called any more: an error message with hint */
	int64		timeout;		/* microseconds; 0: none */

	/* of a command */
	BusIdempotency idempotency;
	int64		idempotency_ttl;	/* microseconds */

	/* of a query */
	int64		cache_ttl;		/* microseconds; 0: it is not cached */
	List	   *cache_key;		/* of char *: fields; NIL: all */
	List	   *cache_tags;		/* of char *: {field} stands for its value */
	bool		cache_shared;	/* roles may share results */

	List	   *layers;			/* of BusMiddleware *, outermost first: what applies to it */
	int			stats;			/* slot in bus_stats.c */
	struct BusQueryCache *cache;	/* of bus_query.c: made when first used */
} BusHandler;

/*
 * The registry of this backend, brought up to date.  While it is held it stays as it is,
 * also when labels change: release it on every way out (an aborted transaction does, too).
 */
typedef struct BusRegistry BusRegistry;
extern BusRegistry *bus_registry_hold(void);
extern void bus_registry_release(BusRegistry *registry);
extern MemoryContext bus_registry_context(BusRegistry *registry);

/* Raise PB050 for a message that has no handler, naming those with similar names that the user may execute. */
extern BusHandler *bus_registry_find(BusRegistry *registry, ApibaseMessageKind kind, Oid type);
extern BusHandler *bus_registry_find_name(BusRegistry *registry, ApibaseMessageKind kind, const char *name);

/* The middleware for events of a name, as in BusHandler. */
extern List *bus_registry_event_layers(BusRegistry *registry, const char *name);

/* ---------- bus_check.c: what registration refuses (PB055), and what is checked again when the registry is made ---------- */

/*
 * NULL if the function can handle messages of the type; otherwise why not (a message, with the detail and the hint in
 * *detail and *hint, both may be NULL).
 */
extern const char *bus_check_handler(ApibaseMessageKind kind, Oid type, const ApibaseCallable *callable,
									 const char **detail, const char **hint);
extern const char *bus_check_middleware(BusPhase phase, const ApibaseCallable *callable, const char **detail, const char **hint);

/* ---------- bus_stats.c ---------- */

typedef enum BusOutcome
{
	BUS_OK,
	BUS_ERROR,
	BUS_REPLAYED,
	BUS_CACHED
} BusOutcome;

/* The slot of a message of the current database; that of all others when there are too many, or -1 when not preloaded. */
extern int	bus_stats_slot(ApibaseMessageKind kind, Oid type);
extern void bus_stats_count(int slot, BusOutcome outcome, int64 microseconds);

/* ---------- bus_idempotency.c ---------- */

/*
 * Around next(arg, result): run it, unless a result is stored for the frame's key; store the result.
 * Called for a frame with a key only.
 */
extern void bus_idempotency_run(ApibaseInvocation *invocation, void (*next) (void *arg, ApibaseResult *result), void *arg,
								ApibaseResult *result);

/* The key of the request's header Idempotency-Key, palloc'd; NULL if there is none.  Raises 22023 for a malformed one. */
extern char *bus_idempotency_key_of_request(void);

/* ---------- bus_layers.c ---------- */

/* Rank of idempotency among the layers. */
#define BUS_IDEMPOTENCY_RANK	0

/* The message as JSON. */
extern Jsonb *bus_payload(ApibaseInvocation *invocation);

/* fn(arg) until the deadline of the frame; raises PB057 when that has passed.  Within a subtransaction that ends with the error. */
extern void bus_in_time(const ApibaseFrame *frame, void (*fn) (void *arg), void *arg);

/*
 * The result that a caught error is; raises it again if it asks for the end of the statement or of the session.  instance
 * may be NULL.
 */
extern void bus_result_of_error(ErrorData *error, const char *instance, ApibaseResult *result);

/* ---------- bus_dispatch.c: what command() and query() share ---------- */

/* The options of a dispatch: {"idempotency_key", "correlation_id", "causation_id", "timeout", "deadline", "traceparent"}. */
typedef struct BusOptions
{
	const char *idempotency_key;
	const char *correlation_id;
	const char *causation_id;
	const char *traceparent;
	TimestampTz deadline;		/* DT_NOEND: none */
} BusOptions;

/* Raises 22023 for an unknown one, or one of another kind. */
extern void bus_options_read(Jsonb *json, BusOptions *options);

/* A message to be dispatched: by its type, or by a name with a payload. */
typedef struct BusMessage
{
	ApibaseMessageKind kind;
	Oid			type;			/* InvalidOid: by name */
	Datum		value;
	const char *name;
	Jsonb	   *payload;
	BusOptions	options;
	int			attempt;
} BusMessage;

/*
 * Fill a message from the arguments of a function of SQL: a value, or a name and a payload; options is the number of the
 * argument with the options.
 */
extern void bus_message_of_call(FunctionCallInfo fcinfo, ApibaseMessageKind kind, bool by_name, int options, BusMessage *message);

/* Dispatch once.  Raises PB050, PB054 and cancellations; everything else is in the result. */
extern void bus_dispatch(BusMessage *message, ApibaseResult *result);

/* ---------- bus_query.c ---------- */

/*
 * The result of a cached query that has layers: from the cache, or what next(arg, result) gives, which is the call of the
 * handler in the midst of them.  Returns whether it comes from the cache.
 */
extern bool bus_query_run(ApibaseInvocation *invocation, void (*next) (void *arg, ApibaseResult *result), void *arg,
						  ApibaseResult *result);

/* Call a handler that returns a set: its rows as one array. */
extern Jsonb *bus_query_rows(ApibaseInvocation *invocation);

/* As bus_dispatch(), of a query: if nothing is around the handler, the cache is asked first. */
extern void bus_query_dispatch(BusMessage *message, ApibaseResult *result);

#endif							/* APIBASE_BUS_IMPL_H */
