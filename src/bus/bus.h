/*-------------------------------------------------------------------------
 *
 * bus.h
 *	  The bus: commands and queries find their handlers; what runs around these.
 *
 * A message is a value of a composite type, and its handler a function that takes
 * it.  Which function handles which type, and what middleware runs around it, is
 * noted in labels of these functions (core/label.h).  Each backend keeps what
 * it has read of them, ready to be used, until some label changes: the registry.
 *
 * A dispatch
 *
 *	1. finds the handler in the registry;
 *	2. pushes a frame: the metadata of what is being handled.  Handlers read them
 *	   (apibase.current_dispatch()), and what they emit and dispatch in turn
 *	   names its cause by them;
 *	3. runs the layers around the handler: middleware, in its order, and among
 *	   it idempotency at rank 0;
 *	4. calls the handler in a subtransaction.  What it raises becomes a problem,
 *	   what it wrote is undone; what the layers wrote stays;
 *	5. counts, and returns an apibase.result.
 *
 * A query does the same with the transaction set read-only around the handler; its result
 * comes from the cache where it was registered so: before anything of the above, or, where
 * there is middleware, in place of the call of the handler.
 *
 * The parts, lower ones first:
 *
 *	bus_frame.c			frames, and what SQL reads of them
 *	bus_registry.c		the registry: handlers and middleware, read from labels
 *	bus_label.c			members of labels
 *	bus_check.c			what a handler, a middleware must be like
 *	bus_register.c		register, unregister, use_middleware
 *	bus_own.c			uses of the middleware that comes with the extension, for dumps
 *	bus_views.c			what the registry shows of itself
 *	bus_stats.c			counters of each message, in shared memory
 *	bus_idempotency.c	the layer that runs a command once for each key
 *	bus_layers.c		the layers around a handler, and the call of it
 *	bus_middleware.c	middleware that comes with the extension
 *	bus_dispatch.c		command(), and what it has in common with query()
 *	bus_query.c			query(), and its cache
 *	bus_procedure.c		dispatch_command(), dispatch_query(): whole transactions, tried again
 *	bus.c				settings
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_BUS_H
#define APIBASE_BUS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

#include "core/module.h"
#include "result/result.h"

typedef enum ApibaseMessageKind
{
	APIBASE_COMMAND = 'c',
	APIBASE_QUERY = 'q',
	APIBASE_EVENT = 'e',
} ApibaseMessageKind;

/* ---------- bus_frame.c ---------- */

/*
 * The metadata of one message being handled.  Frames are on the C stack of who handles
 * it.  What is not asked for is not made: use the functions.
 */
typedef struct ApibaseFrame
{
	ApibaseMessageKind kind;
	const char *name;			/* of the message's type, qualified and quoted as format_type_be_qualified() does */
	int			attempt;		/* from 1 */
	TimestampTz time;
	TimestampTz deadline;		/* DT_NOEND: none; never later than the outer one's */
	const char *idempotency_key;	/* NULL: none */
	Oid			caller;			/* the role that dispatched it */

	/* of bus_frame.c; what is given beforehand is kept */
	bool		has_id;
	pg_uuid_t	id;
	const char *correlation_id;
	const char *causation_id;
	const char *traceparent;
	int			depth;			/* 1: outermost */
	struct ApibaseFrame *outer;
} ApibaseFrame;

/*
 * Push sets depth and outer, and raises PB054 when the stack is deeper than
 * apibase.dispatch_max_depth, showing it.  Pop on every way out.
 */
extern void apibase_frame_push(ApibaseFrame *frame);
extern void apibase_frame_pop(ApibaseFrame *frame);

/* The innermost one; NULL outside of any. */
extern ApibaseFrame *apibase_frame_current(void);

extern const pg_uuid_t *apibase_frame_id(ApibaseFrame *frame);

/* Of a frame, or of what is done outside of any (NULL): the request's.  The frame's own text, or palloc'd; NULL where there is none. */
extern const char *apibase_frame_correlation_id(ApibaseFrame *frame);	/* never NULL */
extern const char *apibase_frame_causation_id(ApibaseFrame *frame);
extern const char *apibase_frame_traceparent(ApibaseFrame *frame);

/* A URI of what the frame handles, for problems: urn:uuid:... ; palloc'd. */
extern char *apibase_frame_instance(ApibaseFrame *frame);

/* The composite value of type apibase.dispatch. */
extern Datum apibase_frame_datum(ApibaseFrame *frame);

/* ---------- bus_registry.c, bus_layers.c: for events ---------- */

/*
 * Run a handler with the middleware around it.  What it raises is a problem in
 * the result, and its effects are undone; only a cancellation that is nobody's deadline
 * here is raised.  The frame is pushed and popped.  message is a value of a
 * composite type; arg, what the handler takes (the message, or something else that stands for it).
 */
typedef struct ApibaseInvocation
{
	ApibaseFrame frame;
	ApibaseCallable *handler;
	Datum		message;
	Oid			type;			/* of the message */
	Datum		arg;
	Jsonb	   *payload;		/* the message as JSON; NULL: not made yet */
	struct BusHandler *registered;	/* NULL for events */
	bool		cached;			/* the handler's result is from the cache */
} ApibaseInvocation;

extern void apibase_bus_invoke(ApibaseInvocation *invocation, ApibaseResult *result);

/* ---------- bus_check.c ---------- */

/*
 * Whether a function does not run with the rights of its owner in a way that callers can lead astray; otherwise
 * *detail says why it does, and *hint what to do.
 */
extern bool apibase_bus_is_safe(Oid function, const char **detail, const char **hint);

/* ---------- for the module table ---------- */

extern void apibase_bus_define_gucs(void);
extern Size apibase_bus_shmem_size(void);
extern void apibase_bus_shmem_init(void *area, LWLockPadded *locks, bool found);
#define APIBASE_BUS_NLOCKS	1

#endif							/* APIBASE_BUS_H */
