/*-------------------------------------------------------------------------
 *
 * events_impl.h
 *	  What the files of the module events share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_EVENTS_IMPL_H
#define APIBASE_EVENTS_IMPL_H

#include "bus/bus.h"
#include "events/events.h"
#include "spec/spec.h"


/* ---------- settings (events.c) ---------- */

extern char *events_source;		/* apibase.event_source */
extern int	events_recorded_max;	/* apibase.recorded_events_max */

/* The source of events for which none is given. */
extern const char *events_default_source(void);

/* ---------- events_table.c ---------- */

/* The tables, indexes and sequences of the module. */
typedef enum EventsRelation
{
	EVENTS_OUTBOX,
	EVENTS_OUTBOX_KEY,			/* (batch, ordinal) */
	EVENTS_FAILURES,
	EVENTS_COMMIT,
	EVENTS_COMMIT_KEY,			/* (position) */
	EVENTS_CONSUMER,
	EVENTS_CONSUMER_KEY,		/* (name) */
	EVENTS_POSITION,			/* sequence of positions */
	EVENTS_BATCH				/* sequence of batches */
} EventsRelation;

#define EVENTS_NRELATIONS	(EVENTS_BATCH + 1)

/* Columns of apibase.outbox, from 0. */
typedef enum OutboxColumn
{
	OUTBOX_BATCH,
	OUTBOX_ORDINAL,
	OUTBOX_ID,
	OUTBOX_AGGREGATETYPE,
	OUTBOX_AGGREGATEID,
	OUTBOX_AGGREGATEVERSION,
	OUTBOX_TYPE,
	OUTBOX_SOURCE,
	OUTBOX_SUBJECT,
	OUTBOX_PAYLOAD,
	OUTBOX_TIMESTAMP,
	OUTBOX_CORRELATIONID,
	OUTBOX_CAUSATIONID,
	OUTBOX_TRACEPARENT
} OutboxColumn;

#define OUTBOX_NCOLUMNS		(OUTBOX_TRACEPARENT + 1)

/* The OID of one; kept until it changes. */
extern Oid	events_relation(EventsRelation which);

/* The type of the rows of apibase.outbox. */
extern Oid	events_outbox_type(void);

/*
 * Insert a row into a table, with the rights of the table's owner.  The values are those of
 * its first columns; further ones, which somebody may have added, are NULL.
 */
extern void events_insert(EventsRelation table, const Datum *values, const bool *nulls, int nvalues);

/* A composite value of a table's row type, as events_insert would insert it. */
extern Datum events_row_datum(EventsRelation table, const Datum *values, const bool *nulls, int nvalues);

/* ---------- events_position.c ---------- */

/* A batch has so many places, and a position shown to users is that of the commit times so many, plus the ordinal. */
#define EVENTS_BATCH_BITS	16
#define EVENTS_BATCH_SIZE	(1 << EVENTS_BATCH_BITS)

/* The place of an event that is being emitted.  Raises PB001 when apibase is not preloaded. */
extern void events_next_place(int64 *batch, int32 *ordinal);

/* The last position of a commit that was drawn, 0 if none was. */
extern int64 events_last_drawn(void);

/*
 * The horizon: all commits up to this position have ended.  A snapshot that is taken
 * later sees them.  Raises 0A000 on a standby.
 */
extern int64 events_horizon(void);

/* The same without what has announced no exact position yet: never below what was a horizon at any time. */
extern int64 events_reached(void);

/* ---------- events_registry.c ---------- */

/* One subscription. */
typedef struct EventsSubscription
{
	Oid			function;
	const char *name;			/* of the function, with its argument */
	const char *pattern;		/* of names of events; NULL: the type of its argument */
	const char *filter;			/* a specification's text; NULL: none */
	ApibaseSpecJsonb *json_filter;	/* of a pattern: made ready when first used */
	bool		isolate;		/* its failure is recorded, and does not fail the emitter */
	int			rank;
	Oid			argument;		/* its type; InvalidOid if there is not exactly one */
	bool		takes_row;		/* the argument is the row of the outbox, not the event */
	const char *invalid;		/* NULL, or why it cannot be called */
	ApibaseCallable callable;	/* if it can */
} EventsSubscription;

/* A subscription as it applies to one type of events. */
typedef struct EventsSubscriber
{
	EventsSubscription *subscription;
	struct RowFilter *row_filter;	/* of no pattern: made ready when first used, NULL while it is in use */
} EventsSubscriber;

/* What is to be known about a type of events. */
typedef struct EventsType
{
	Oid			type;			/* key */
	const char *name;			/* qualified and quoted */
	const char *event_type;		/* the attribute type: declared, or the name */
	const char *aggregate_type; /* declared, or the name without schema */
	const char *aggregate_id;	/* names of fields; NULL: none */
	const char *aggregate_version;
	const char *subject;
	ApibaseToJsonb to_jsonb;
	List	   *subscribers;	/* of EventsSubscriber *, in the order in which they are called */
} EventsType;

/*
 * The registry of this backend, brought up to date.  While it is held it stays as it is, also when
 * labels change: release it on every way out.
 */
typedef struct EventsRegistry EventsRegistry;
extern EventsRegistry *events_registry_hold(void);
extern void events_registry_release(EventsRegistry *registry);
extern MemoryContext events_registry_context(EventsRegistry *registry);

/* type is composite, and no domain. */
extern EventsType *events_registry_type(EventsRegistry *registry, Oid type);

/* The owner of a function or a type (ProcedureRelationId, TypeRelationId). */
extern Oid	events_owner(Oid classid, Oid object);

/* One item of the label of a function, member "subscriptions"; false if it is none. */
typedef struct EventsLabelItem
{
	char	   *pattern;		/* NULL: the type of the argument */
	char	   *filter;			/* NULL: none */
	bool		isolate;
	int			rank;
} EventsLabelItem;

extern bool events_label_item(JsonbContainer *item, EventsLabelItem *result);

/* A member of an object that is a string, palloc'd; NULL if it is not there, null, or something else. */
extern char *events_json_text(JsonbContainer *object, const char *name);

/*
 * Why a function cannot be a subscriber to what is named by a pattern (NULL: to the type of its argument), with a detail or
 * NULL; NULL if it can.  *argument: as in EventsSubscription.
 */
extern const char *events_check_subscriber(Oid function, bool by_pattern, Oid *argument, const char **detail);

/* ---------- events_emit.c ---------- */

/* What may be said of an event when it is emitted; NULL: nothing was. */
typedef struct EventsOptions
{
	char	   *aggregate_type;
	char	   *aggregate_id;
	char	   *subject;
	char	   *source;
	char	   *type;
	char	   *correlation_id;
	char	   *causation_id;
	bool		has_version;
	int64		aggregate_version;
	bool		has_time;
	TimestampTz occurred_at;
} EventsOptions;

/* An event in the outbox, for its subscribers. */
typedef struct EventsEmitted
{
	EventsType *type;
	pg_uuid_t	id;
	Datum		event;
	Jsonb	   *payload;
	Datum		values[OUTBOX_NCOLUMNS];	/* of its row */
	bool		nulls[OUTBOX_NCOLUMNS];
	char	   *correlation_id;
	char	   *causation_id;
	char	   *traceparent;
} EventsEmitted;

/* The type of an argument that is to be an event, checked: composite, and the user may use it.  Raises PB060. */
extern Oid	events_argument_type(FunctionCallInfo fcinfo, int argno);

/* Emit a value of a composite type, with its subscribers; payload may be NULL.  The id of the event is the result. */
extern pg_uuid_t events_emit(Datum event, Oid type, Jsonb *payload, const EventsOptions *options);

/* ---------- events_subscribe.c ---------- */

extern void events_call_subscribers(EventsRegistry *registry, const EventsEmitted *event);

#endif							/* APIBASE_EVENTS_IMPL_H */
