/*-------------------------------------------------------------------------
 *
 * events_registry.c
 *	  What a backend knows of types of events and of subscriptions.
 *
 * Subscriptions are labels of handler functions (member "subscriptions", an
 * array), declarations of events are labels of their types (member "event").
 * All subscriptions are read together.  What is to be known about a type is put together when
 * an event of it is emitted first.  All of it is thrown away as soon as a label, a
 * function or a type changes: what is in use then lives until it is released.
 *
 * Labels may come from a restored dump, or be written by hand by a superuser.  What makes no
 * sense there is no subscription; what names a function that cannot be called is one that is invalid,
 * which who emits is told.
 *
 * A pattern is a name, and a name can come to mean another's type: somebody subscribes to his type, drops
 * it, and a type of that name is made again by another, whose rights the subscriber would have.  So a pattern
 * that is one name counts only while the owner of the function has the rights of the type's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/glob.h"
#include "core/label.h"
#include "events/events_impl.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

struct EventsRegistry
{
	MemoryContext context;
	uint64		generation;		/* of labels, when it was made */
	int			holders;
	List	   *subscriptions;	/* of EventsSubscription * */
	HTAB	   *types;			/* of EventsType */
};

static EventsRegistry *current; /* NULL: none was made yet */

/* ---------- labels ---------- */

char *
events_json_text(JsonbContainer *object, const char *name)
{
	JsonbValue	buf;
	JsonbValue *value = getKeyJsonValueFromContainer(object, name, strlen(name), &buf);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Whether a member is there and neither a string nor null. */
static bool
is_other(JsonbContainer *object, const char *name)
{
	JsonbValue	buf;
	JsonbValue *value = getKeyJsonValueFromContainer(object, name, strlen(name), &buf);

	return value != NULL && value->type != jbvString && value->type != jbvNull;
}

bool
events_label_item(JsonbContainer *item, EventsLabelItem *result)
{
	JsonbValue	buf;
	JsonbValue *rank;
	char	   *on_failure;

	if (!JsonContainerIsObject(item) || is_other(item, "messages") || is_other(item, "filter"))
		return false;
	result->pattern = events_json_text(item, "messages");
	result->filter = events_json_text(item, "filter");
	on_failure = events_json_text(item, "on_failure");
	result->isolate = on_failure != NULL && strcmp(on_failure, "isolate") == 0;
	result->rank = 100;
	rank = getKeyJsonValueFromContainer(item, "rank", strlen("rank"), &buf);
	if (rank != NULL && rank->type == jbvNumeric)
	{
		double		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(rank->val.numeric)));

		result->rank = (int) Max(-PG_INT32_MAX, Min(number, PG_INT32_MAX));
	}
	return true;
}

const char *
events_check_subscriber(Oid function, bool by_pattern, Oid *argument, const char **detail)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	const char *problem = NULL;
	const char *hint = NULL;
	bool		takes_row;

	*detail = NULL;
	*argument = InvalidOid;
	if (!HeapTupleIsValid(tuple))
		return "the function does not exist";
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->pronargs == 1)
		*argument = proc->proargtypes.values[0];
	takes_row = OidIsValid(*argument) && *argument == events_outbox_type();
	if (proc->prokind != PROKIND_FUNCTION)
		problem = "a subscriber must be a plain function";
	else if (proc->pronargs != 1)
		problem = "a subscriber must have one argument";
	else if (proc->proretset)
		problem = "a subscriber must not return a set";
	else if (!takes_row && by_pattern)
	{
		problem = "a subscriber to a pattern must take apibase.outbox";
		*detail = "It is called for events of different types.";
	}
	else if (!takes_row && get_typtype(*argument) != TYPTYPE_COMPOSITE)
		problem = "a subscriber must take a composite type, or apibase.outbox";
	else if (!apibase_bus_is_safe(function, detail, &hint))
		problem = "a subscriber that is SECURITY DEFINER must have a safe search_path of its own";
	ReleaseSysCache(tuple);
	return problem;
}

/* ---------- reading all subscriptions ---------- */

static void
add_subscription(EventsRegistry *registry, Oid function, const EventsLabelItem *item)
{
	EventsSubscription *subscription = palloc0(sizeof(EventsSubscription));
	const char *detail;

	subscription->function = function;
	subscription->name = format_procedure_qualified(function);
	subscription->pattern = item->pattern;
	subscription->filter = item->filter;
	subscription->isolate = item->isolate;
	subscription->rank = item->rank;
	subscription->invalid = events_check_subscriber(function, item->pattern != NULL, &subscription->argument, &detail);
	subscription->takes_row = subscription->argument == events_outbox_type();
	if (subscription->invalid == NULL)
		apibase_callable_prepare(&subscription->callable, function, registry->context);
	registry->subscriptions = lappend(registry->subscriptions, subscription);
}

/* Visitor of labels. */
static void
read_label(Oid function, Jsonb *value, void *arg)
{
	EventsRegistry *registry = arg;
	MemoryContext old = MemoryContextSwitchTo(registry->context);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	entry;

	if (JB_ROOT_IS_ARRAY(value) && !JB_ROOT_IS_SCALAR(value))
	{
		it = JsonbIteratorInit(&value->root);
		while ((token = JsonbIteratorNext(&it, &entry, true)) != WJB_DONE)
		{
			EventsLabelItem item;

			if (token == WJB_ELEM && entry.type == jbvBinary && events_label_item(entry.val.binary.data, &item))
				add_subscription(registry, function, &item);
		}
	}
	MemoryContextSwitchTo(old);
}

static int
compare_subscriptions(const ListCell *a, const ListCell *b)
{
	const EventsSubscription *one = lfirst(a);
	const EventsSubscription *other = lfirst(b);
	int			names;

	if (one->rank != other->rank)
		return one->rank < other->rank ? -1 : 1;
	names = strcmp(one->name, other->name);
	return names != 0 ? names : strcmp(one->pattern ? one->pattern : "", other->pattern ? other->pattern : "");
}

static EventsRegistry *
make_registry(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase events", ALLOCSET_DEFAULT_SIZES);
	EventsRegistry *registry = MemoryContextAllocZero(context, sizeof(EventsRegistry));
	HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(EventsType), .hcxt = context};

	registry->context = context;
	/* before anything is read: a change that comes meanwhile makes it out of date */
	registry->generation = apibase_label_generation();
	registry->types = hash_create("apibase events", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	apibase_label_scan(ProcedureRelationId, "subscriptions", read_label, registry);
	list_sort(registry->subscriptions, compare_subscriptions);
	MemoryContextSetParent(context, TopMemoryContext);
	return registry;
}

EventsRegistry *
events_registry_hold(void)
{
	/* what others have committed is heard of where a table is locked, which is later */
	AcceptInvalidationMessages();
	if (current == NULL || current->generation != apibase_label_generation())
	{
		EventsRegistry *old = current;

		current = NULL;
		if (old != NULL && old->holders == 0)
			MemoryContextDelete(old->context);
		current = make_registry();
	}
	current->holders++;
	return current;
}

void
events_registry_release(EventsRegistry *registry)
{
	registry->holders--;
	if (registry->holders == 0 && registry != current)
		MemoryContextDelete(registry->context);
}

MemoryContext
events_registry_context(EventsRegistry *registry)
{
	return registry->context;
}

/* ---------- types ---------- */

/* Whether a pattern has no wildcard, as quote_pattern() makes it. */
static bool
is_name(const char *pattern)
{
	for (; *pattern; pattern++)
	{
		if (*pattern == '*' || *pattern == '?')
			return false;
		if (*pattern == '\\' && pattern[1] != '\0')
			pattern++;
	}
	return true;
}

Oid
events_owner(Oid classid, Oid object)
{
	bool		is_type = classid == TypeRelationId;
	HeapTuple	tuple = SearchSysCache1(is_type ? TYPEOID : PROCOID, ObjectIdGetDatum(object));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(is_type ? ERRCODE_UNDEFINED_OBJECT : ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("%s with OID %u does not exist", is_type ? "type" : "function", object)));
	owner = is_type ? ((Form_pg_type) GETSTRUCT(tuple))->typowner : ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Whether a subscription is to events of a type. */
static bool
applies(const EventsSubscription *subscription, Oid type, const char *name)
{
	const char *pattern = subscription->pattern;

	if (pattern == NULL)
		return subscription->argument == type;
	return apibase_glob_matches(pattern, strlen(pattern), name, strlen(name)) &&
		(!is_name(pattern) ||
		 has_privs_of_role(events_owner(ProcedureRelationId, subscription->function), events_owner(TypeRelationId, type)));
}

/* What the label of the type says. */
static void
read_declaration(EventsType *result)
{
	ObjectAddress address;
	Jsonb	   *label;

	ObjectAddressSet(address, TypeRelationId, result->type);
	label = apibase_label_get(&address, "event");
	if (label != NULL && JB_ROOT_IS_OBJECT(label))
	{
		result->event_type = events_json_text(&label->root, "type");
		result->aggregate_type = events_json_text(&label->root, "aggregate_type");
		result->aggregate_id = events_json_text(&label->root, "aggregate_id");
		result->aggregate_version = events_json_text(&label->root, "aggregate_version");
		result->subject = events_json_text(&label->root, "subject");
	}
	if (result->event_type == NULL || result->event_type[0] == '\0')
		result->event_type = result->name;
	if (result->aggregate_type == NULL || result->aggregate_type[0] == '\0')
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(result->type));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", result->type);
		result->aggregate_type = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
		ReleaseSysCache(tuple);
	}
}

static void
make_type(EventsRegistry *registry, EventsType *result)
{
	ListCell   *lc;

	/* filters are made ready for its layout */
	apibase_label_watch(RelationRelationId, get_typ_typrelid(result->type));
	result->name = format_type_be_qualified(result->type);
	read_declaration(result);
	apibase_to_jsonb_prepare(&result->to_jsonb, result->type, registry->context);
	result->subscribers = NIL;
	foreach(lc, registry->subscriptions)
	{
		EventsSubscription *subscription = lfirst(lc);
		EventsSubscriber *subscriber;

		if (!applies(subscription, result->type, result->name))
			continue;
		subscriber = palloc0(sizeof(EventsSubscriber));
		subscriber->subscription = subscription;
		result->subscribers = lappend(result->subscribers, subscriber);
	}
}

EventsType *
events_registry_type(EventsRegistry *registry, Oid type)
{
	EventsType *found = hash_search(registry->types, &type, HASH_FIND, NULL);

	if (found == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(registry->context);
		EventsType	made = {.type = type};

		make_type(registry, &made);
		found = hash_search(registry->types, &type, HASH_ENTER, NULL);
		*found = made;
		MemoryContextSwitchTo(old);
	}
	return found;
}
