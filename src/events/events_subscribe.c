/*-------------------------------------------------------------------------
 *
 * events_subscribe.c
 *	  Calling the subscribers of an event, in the transaction that emits it.
 *
 * A subscriber is invoked as handlers of the bus are, with the middleware for
 * events around it, in a frame whose id is that of the event: so what it
 * emits and dispatches names the event as its cause.  What it raises has undone its
 * effects.  Its subscription says what then: emit() fails, or the failure
 * is recorded in apibase.event_failures and the next one is called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/subxact.h"
#include "core/uuid.h"
#include "events/events_impl.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* ---------- filters ---------- */

/* A filter over the fields of events, ready. */
typedef struct RowFilter
{
	MemoryContext context;		/* of all of it */
	ApibaseSpecEval *eval;
} RowFilter;

static RowFilter *
prepare_filter(const EventsSubscriber *subscriber, const EventsType *type)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase event filter", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RowFilter  *filter = palloc(sizeof(RowFilter));

	filter->context = context;
	filter->eval = apibase_spec_eval_prepare(apibase_spec_read(subscriber->subscription->filter), type->type, -1);
	MemoryContextSwitchTo(old);
	return filter;
}

/*
 * It is taken out of the registry while it is used: an operator of the specification may emit.  After an error it is
 * not used again, but goes with the current context.
 */
static bool
passes_row_filter(EventsRegistry *registry, EventsSubscriber *subscriber, const EventsEmitted *event)
{
	RowFilter  *filter = subscriber->row_filter;
	bool		result;

	subscriber->row_filter = NULL;
	if (filter == NULL)
		filter = prepare_filter(subscriber, event->type);
	else
		MemoryContextSetParent(filter->context, CurrentMemoryContext);
	result = apibase_spec_eval(filter->eval, event->event, false);
	if (subscriber->row_filter == NULL)
	{
		MemoryContextSetParent(filter->context, events_registry_context(registry));
		subscriber->row_filter = filter;
	}
	else						/* of an inner event */
		MemoryContextDelete(filter->context);
	return result;
}

static bool
passes_document_filter(EventsRegistry *registry, EventsSubscription *subscription, const EventsEmitted *event)
{
	if (subscription->json_filter == NULL)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase event filter", ALLOCSET_SMALL_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		subscription->json_filter = apibase_spec_jsonb_prepare(apibase_spec_read(subscription->filter));
		MemoryContextSwitchTo(old);
		MemoryContextSetParent(context, events_registry_context(registry));
	}
	return apibase_spec_jsonb_test(subscription->json_filter, event->payload);
}

/* An event, and a subscriber who may get it. */
typedef struct Delivery
{
	EventsRegistry *registry;
	EventsSubscriber *subscriber;
	const EventsEmitted *event;
	bool		wanted;			/* it passes the filter */
} Delivery;

/*
 * A pattern stands for events of different types, so its filter is over the payload.  Otherwise it is over the event.
 * For apibase_try.
 */
static void
test_filter(void *arg)
{
	Delivery   *delivery = arg;
	EventsSubscription *subscription = delivery->subscriber->subscription;

	if (subscription->filter == NULL)
		delivery->wanted = true;
	else if (subscription->pattern != NULL)
		delivery->wanted = passes_document_filter(delivery->registry, subscription, delivery->event);
	else
		delivery->wanted = passes_row_filter(delivery->registry, delivery->subscriber, delivery->event);
}

/* ---------- calls ---------- */

static void
invoke(EventsSubscription *subscription, const EventsEmitted *event, ApibaseResult *result)
{
	ApibaseFrame *outer = apibase_frame_current();
	ApibaseInvocation invocation;

	memset(&invocation, 0, sizeof(invocation));
	invocation.frame.kind = APIBASE_EVENT;
	invocation.frame.name = event->type->name;
	invocation.frame.attempt = 1;
	invocation.frame.time = GetCurrentTimestamp();
	invocation.frame.deadline = outer ? outer->deadline : DT_NOEND;
	invocation.frame.caller = GetUserId();
	invocation.frame.has_id = true;
	invocation.frame.id = event->id;
	invocation.frame.correlation_id = event->correlation_id;
	invocation.frame.causation_id = event->causation_id;
	invocation.frame.traceparent = event->traceparent;
	invocation.handler = &subscription->callable;
	invocation.message = event->event;
	invocation.type = event->type->type;
	invocation.arg = subscription->takes_row ?
		events_row_datum(EVENTS_OUTBOX, event->values, event->nulls, OUTBOX_NCOLUMNS) : event->event;
	invocation.payload = event->payload;
	apibase_bus_invoke(&invocation, result);
}

static void
record_failure(const EventsSubscription *subscription, const EventsEmitted *event, Jsonb *problem)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	ereport(LOG,
			(errmsg("subscriber %s of event %s failed", subscription->name, event->type->name),
			 errdetail("%s", JsonbToCString(NULL, &problem->root, VARSIZE(problem)))));
	values[0] = UUIDPGetDatum(&event->id);
	values[1] = event->values[OUTBOX_TYPE];
	values[2] = CStringGetTextDatum(subscription->name);
	values[3] = JsonbPGetDatum(problem);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	events_insert(EVENTS_FAILURES, values, nulls, lengthof(values));
}

static void
call(EventsSubscription *subscription, const EventsEmitted *event)
{
	ApibaseResult result;

	if (subscription->invalid == NULL)
		invoke(subscription, event, &result);
	else
	{
		result.ok = false;
		result.error = apibase_problem_make(apibase_sqlstate_status(APIBASE_ERRCODE_HANDLER_INVALID), APIBASE_ERRCODE_HANDLER_INVALID,
											psprintf("subscriber %s cannot be called: %s", subscription->name, subscription->invalid),
											NULL);
	}
	if (result.ok)
		return;
	if (!subscription->isolate)
		apibase_problem_raise(result.error);
	record_failure(subscription, event, result.error);
}

/* A filter fails as its subscriber does, for instance when a field that it names was dropped. */
static void
deliver(EventsRegistry *registry, EventsSubscriber *subscriber, const EventsEmitted *event)
{
	EventsSubscription *subscription = subscriber->subscription;
	Delivery	delivery = {.registry = registry, .subscriber = subscriber, .event = event};
	ErrorData  *error = NULL;

	if (subscription->isolate && subscription->filter != NULL)
		error = apibase_try(test_filter, &delivery);
	else
		test_filter(&delivery);
	if (error != NULL)
		record_failure(subscription, event,
					   apibase_problem_of_caught(error, psprintf("urn:uuid:%s", apibase_uuid_text(&event->id))));
	else if (delivery.wanted)
		call(subscription, event);
}

void
events_call_subscribers(EventsRegistry *registry, const EventsEmitted *event)
{
	ListCell   *lc;

	foreach(lc, event->type->subscribers)
	{
		CHECK_FOR_INTERRUPTS();
		deliver(registry, lfirst(lc), event);
	}
}
