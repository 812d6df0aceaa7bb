/*-------------------------------------------------------------------------
 *
 * bus_registry.c
 *	  The registry: handlers and middleware, read from labels.
 *
 * Labels are read as a whole when something has changed.  That is for each label
 * little more than reading it as JSON: a function is looked at, checked and made ready to be called
 * when it is first needed.
 *
 * Who uses the registry holds it, as what is in it may be running.  One that
 * is out of date is freed when nobody holds it any more.  What a transaction that
 * is aborted holds is released for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_registry.h"
#include "core/closest.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/glob.h"
#include "core/label.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* Handlers by the kind and the type of the message. */
typedef struct TypeEntry
{
	uint64		key;
	BusRegistration *registration;
	char		status;
} TypeEntry;

#define SH_PREFIX		types
#define SH_ELEMENT_TYPE	TypeEntry
#define SH_KEY_TYPE		uint64
#define SH_KEY			key
#define SH_HASH_KEY(tb, key)	murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32))
#define SH_EQUAL(tb, a, b)		((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Handlers by the kind and the name of the message; layers of events by the name of the event. */
typedef struct NameKey
{
	ApibaseMessageKind kind;
	const char *name;
} NameKey;

typedef struct NameEntry
{
	NameKey		key;
	BusRegistration *registration;	/* NULL for events */
	List	   *layers;			/* of events */
	char		status;
} NameEntry;

#define SH_PREFIX		names
#define SH_ELEMENT_TYPE	NameEntry
#define SH_KEY_TYPE		NameKey
#define SH_KEY			key
#define SH_HASH_KEY(tb, key)	(hash_bytes((const unsigned char *) (key).name, strlen((key).name)) ^ (uint32) (key).kind)
#define SH_EQUAL(tb, a, b)		((a).kind == (b).kind && strcmp((a).name, (b).name) == 0)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct BusRegistry
{
	MemoryContext context;
	uint64		generation;		/* of the labels that it was made of */
	int			holds;
	List	   *registrations;	/* of BusRegistration */
	List	   *uses;			/* of BusUse, outermost first */
	bool		has_event_middleware;
	types_hash *by_type;
	names_hash *by_name;
};

/* Who holds a registry, in the order in which they took it. */
typedef struct Hold
{
	BusRegistry *registry;
	int			level;			/* of the (sub)transaction that took it */
} Hold;

static BusRegistry *newest = NULL;
static Hold *holds = NULL;
static int	nholds = 0;
static int	max_holds = 0;

/* ---------- reading registrations ---------- */

static uint64
type_key(ApibaseMessageKind kind, Oid type)
{
	return ((uint64) kind << 32) | type;
}

static NameKey
name_key(ApibaseMessageKind kind, const char *name)
{
	NameKey		key = {.kind = kind, .name = name};

	return key;
}

/* A reason why something cannot be called: sentences. */
static const char *
reason(const char *detail, const char *hint)
{
	return hint ? psprintf("%s %s", detail, hint) : detail;
}

/* Make a registration findable; two for one message are both invalid, since nobody can say which is meant. */
static void
enter_registration(BusRegistry *registry, BusRegistration *registration)
{
	BusHandler *handler = &registration->handler;
	TypeEntry  *by_type;
	NameEntry  *by_name;
	bool		found;

	by_type = types_insert(registry->by_type, type_key(handler->kind, handler->type), &found);
	if (found)
	{
		handler->invalid = by_type->registration->handler.invalid =
			psprintf("Both %s and %s are labelled as its handlers. Register the right one again.",
					 format_procedure_qualified(by_type->registration->function),
					 format_procedure_qualified(registration->function));
		return;
	}
	by_type->registration = registration;
	by_name = names_insert(registry->by_name, name_key(handler->kind, handler->name), &found);
	by_name->registration = registration;
}

/* For apibase_label_scan(): the label of a handler. */
static void
read_registration(Oid function, Jsonb *label, void *arg)
{
	BusRegistry *registry = arg;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	MemoryContext old;
	BusRegistration *registration;
	const char *kind = "";
	bool		readable;

	/* it has been dropped since */
	if (!HeapTupleIsValid(tuple))
		return;
	old = MemoryContextSwitchTo(registry->context);
	registration = palloc0(sizeof(BusRegistration));
	registration->function = function;
	registration->handler.stats = -1;
	if (((Form_pg_proc) GETSTRUCT(tuple))->pronargs > 0)
		registration->handler.type = ((Form_pg_proc) GETSTRUCT(tuple))->proargtypes.values[0];
	ReleaseSysCache(tuple);

	readable = JB_ROOT_IS_OBJECT(label) && bus_label_string(label, "kind", &kind) &&
		(strcmp(kind, "command") == 0 || strcmp(kind, "query") == 0);
	registration->handler.kind = strcmp(kind, "query") == 0 ? APIBASE_QUERY : APIBASE_COMMAND;
	if (!readable)
		registration->handler.invalid = "Its label cannot be read. Register it again.";
	else
		registration->label = (Jsonb *) memcpy(palloc(VARSIZE(label)), label, VARSIZE(label));
	registry->registrations = lappend(registry->registrations, registration);

	if (OidIsValid(registration->handler.type))
	{
		apibase_label_watch(TypeRelationId, registration->handler.type);
		registration->handler.name = format_type_extended(registration->handler.type, -1,
														  FORMAT_TYPE_FORCE_QUALIFY | FORMAT_TYPE_ALLOW_INVALID);
		enter_registration(registry, registration);
	}
	else
		registration->handler.invalid = "It takes no argument.";
	MemoryContextSwitchTo(old);
}

/* ---------- reading middleware ---------- */

/* The kinds of messages that a middleware is for. */
static bool
read_kinds(Jsonb *label, BusMiddleware *middleware)
{
	List	   *kinds = NIL;
	ListCell   *lc;

	if (!bus_label_strings(label, "kinds", &kinds) || kinds == NIL)
		return false;
	middleware->commands = middleware->queries = middleware->events = false;
	foreach(lc, kinds)
	{
		const char *kind = lfirst(lc);

		if (strcmp(kind, "command") == 0)
			middleware->commands = true;
		else if (strcmp(kind, "query") == 0)
			middleware->queries = true;
		else if (strcmp(kind, "event") == 0)
			middleware->events = true;
		else
			return false;
	}
	return true;
}

bool
bus_is_pattern(const char *names)
{
	return strpbrk(names, "*?\\") != NULL;
}

/* The type of a qualified name, InvalidOid if there is none; never an error, whatever is in a label. */
static Oid
type_of_name(const char *name)
{
	List	   *names;
	Oid			schema;

	if (!SplitIdentifierString(pstrdup(name), '.', &names) || list_length(names) != 2)
		return InvalidOid;
	schema = get_namespace_oid(linitial(names), true);
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(lsecond(names)), ObjectIdGetDatum(schema));
}

/*
 * Find the message that a use is on, not being on a pattern: by the name, or if there is none of that name, because it was
 * renamed since, by the OID.
 */
static void
find_message(BusUse *use, Oid type)
{
	BusMiddleware *middleware = &use->middleware;

	use->type = type_of_name(middleware->pattern);
	if (!OidIsValid(use->type) && SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
	{
		use->type = type;
		middleware->pattern = format_type_be_qualified(type);
	}
	if (OidIsValid(use->type))
		apibase_label_watch(TypeRelationId, use->type);
	else
		middleware->invalid = psprintf("There is no type %s.", middleware->pattern);
}

/*
 * A use of a middleware, of a label (NULL: of none that can be read).  One that
 * cannot be read may be what keeps people out, so it is for everything, and invalid.
 */
static void
read_use(BusRegistry *registry, Oid function, Jsonb *label)
{
	BusUse	   *use = palloc0(sizeof(BusUse));
	BusMiddleware *middleware = &use->middleware;
	int			phase = BUS_BEFORE;
	int			type = 0;

	use->function = function;
	use->function_name = format_procedure_qualified(function);
	middleware->name = middleware->pattern = "";
	middleware->commands = middleware->queries = middleware->events = true;
	if (label == NULL ||
		!bus_label_string(label, "name", &middleware->name) ||
		!bus_label_string(label, "messages", &middleware->pattern) ||
		!bus_label_integer(label, "type", &type) ||
		!bus_label_word(label, "phase", bus_phase_words, BUS_NPHASES, &phase) ||
		!bus_label_integer(label, "rank", &middleware->rank) ||
		!bus_label_object(label, "config", &middleware->config) ||
		!read_kinds(label, middleware) ||
		middleware->name[0] == '\0' || middleware->pattern[0] == '\0' || middleware->config == NULL)
	{
		middleware->pattern = "*";
		middleware->commands = middleware->queries = middleware->events = true;
		middleware->invalid = psprintf("The label of middleware %s cannot be read. Drop it, and use it again.", use->function_name);
	}
	else if (!bus_is_pattern(middleware->pattern))
		find_message(use, (Oid) type);
	middleware->phase = phase;
	registry->has_event_middleware |= middleware->events;
	registry->uses = lappend(registry->uses, use);
}

/* For apibase_label_scan(): the label of a middleware. */
static void
read_uses(Oid function, Jsonb *label, void *arg)
{
	BusRegistry *registry = arg;
	MemoryContext old;

	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
		return;
	old = MemoryContextSwitchTo(registry->context);
	if (!JB_ROOT_IS_ARRAY(label) || JB_ROOT_IS_SCALAR(label))
		read_use(registry, function, NULL);
	else
	{
		for (uint32 i = 0; i < JB_ROOT_COUNT(label); i++)
		{
			JsonbValue *item = getIthJsonbValueFromContainer(&label->root, i);
			bool		is_object = item->type == jbvBinary && JsonContainerIsObject(item->val.binary.data);

			read_use(registry, function, is_object ? JsonbValueToJsonb(item) : NULL);
		}
	}
	MemoryContextSwitchTo(old);
}

/* The outermost first. */
static int
compare_uses(const ListCell *a, const ListCell *b)
{
	const BusUse *left = lfirst(a);
	const BusUse *right = lfirst(b);
	int			order;

	if (left->middleware.rank != right->middleware.rank)
		return left->middleware.rank < right->middleware.rank ? -1 : 1;
	order = strcmp(left->function_name, right->function_name);
	return order ? order : strcmp(left->middleware.name, right->middleware.name);
}

/* ---------- the registry as a whole ---------- */

static BusRegistry *
make_registry(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase bus registry", ALLOCSET_DEFAULT_SIZES);
	BusRegistry *registry = MemoryContextAllocZero(context, sizeof(BusRegistry));

	registry->context = context;
	registry->generation = apibase_label_generation();
	registry->by_type = types_create(context, 64, NULL);
	registry->by_name = names_create(context, 64, NULL);
	apibase_label_scan(ProcedureRelationId, BUS_LABEL_HANDLER, read_registration, registry);
	apibase_label_scan(ProcedureRelationId, BUS_LABEL_MIDDLEWARE, read_uses, registry);
	list_sort(registry->uses, compare_uses);
	MemoryContextSetParent(context, CacheMemoryContext);
	return registry;
}

static void
free_if_unused(BusRegistry *registry)
{
	if (registry != newest && registry->holds == 0)
		MemoryContextDelete(registry->context);
}

/* Remove a hold from the list.  Cannot fail: called where transactions are aborted. */
static void
drop_hold(int number)
{
	BusRegistry *registry = holds[number].registry;

	nholds--;
	memmove(&holds[number], &holds[number + 1], (nholds - number) * sizeof(Hold));
	registry->holds--;
	free_if_unused(registry);
}

static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
	{
		while (nholds > 0)
			drop_hold(nholds - 1);
	}
}

static void
subtransaction_ended(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (nholds > 0 && holds[nholds - 1].level >= level)
			drop_hold(nholds - 1);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = nholds - 1; i >= 0 && holds[i].level >= level; i--)
			holds[i].level = level - 1;
	}
}

/* Room for one hold more. */
static void
reserve_hold(void)
{
	if (nholds < max_holds)
		return;
	if (holds == NULL)
	{
		holds = MemoryContextAlloc(TopMemoryContext, 16 * sizeof(Hold));
		max_holds = 16;
		RegisterXactCallback(transaction_ended, NULL);
		RegisterSubXactCallback(subtransaction_ended, NULL);
		return;
	}
	holds = repalloc(holds, 2 * max_holds * sizeof(Hold));
	max_holds *= 2;
}

BusRegistry *
bus_registry_hold(void)
{
	reserve_hold();
	/* a dispatch need not lock a table, with which a transaction would hear of what others have committed */
	AcceptInvalidationMessages();
	if (newest == NULL || newest->generation != apibase_label_generation())
	{
		BusRegistry *outdated = newest;

		newest = make_registry();
		if (outdated != NULL)
			free_if_unused(outdated);
	}
	newest->holds++;
	holds[nholds].registry = newest;
	holds[nholds].level = GetCurrentTransactionNestLevel();
	nholds++;
	return newest;
}

void
bus_registry_release(BusRegistry *registry)
{
	for (int i = nholds - 1; i >= 0; i--)
	{
		if (holds[i].registry == registry)
		{
			drop_hold(i);
			return;
		}
	}
	/* the abort of the transaction that held it has released it */
}

MemoryContext
bus_registry_context(BusRegistry *registry)
{
	return registry->context;
}

/* ---------- making ready ---------- */

/* Prepare a function; what is known beforehand not to be callable is a reason instead. */
static const char *
prepare_function(ApibaseCallable *callable, Oid function, MemoryContext context)
{
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
		return "The function has been dropped.";
	if (get_func_prokind(function) != PROKIND_FUNCTION)
		return psprintf("%s is not a plain function.", format_procedure_qualified(function));
	apibase_callable_prepare(callable, function, context);
	return NULL;
}

/* The options in the label of a handler. */
static const char *
read_options(BusHandler *handler, Jsonb *label)
{
	static const char *const scopes[] = {"role", "shared"};
	int			idempotency = BUS_IDEMPOTENCY_OPTIONAL;
	int			scope = 0;

	handler->idempotency_ttl = USECS_PER_DAY;
	handler->cache_key = handler->cache_tags = NIL;
	if (!bus_label_seconds(label, "timeout", &handler->timeout) ||
		!bus_label_word(label, "idempotency", bus_idempotency_words, BUS_NIDEMPOTENCY, &idempotency) ||
		!bus_label_seconds(label, "idempotency_ttl", &handler->idempotency_ttl) ||
		!bus_label_seconds(label, "cache_ttl", &handler->cache_ttl) ||
		!bus_label_strings(label, "cache_key", &handler->cache_key) ||
		!bus_label_strings(label, "tags", &handler->cache_tags) ||
		!bus_label_word(label, "scope", scopes, lengthof(scopes), &scope) ||
		list_length(handler->cache_tags) > BUS_MAX_TAGS)
		return "The options in its label cannot be read. Register it again.";
	handler->idempotency = idempotency;
	handler->cache_shared = scope == 1;
	return NULL;
}

/* Whether a use of a middleware is for messages of that kind and name. */
static bool
is_for(const BusMiddleware *middleware, ApibaseMessageKind kind, const char *name)
{
	bool		kinds = kind == APIBASE_COMMAND ? middleware->commands :
		kind == APIBASE_QUERY ? middleware->queries : middleware->events;

	return kinds && apibase_glob_matches(middleware->pattern, strlen(middleware->pattern), name, strlen(name));
}

/* The middleware of messages of that kind and name, ready, in the registry's context. */
static List *
find_layers(BusRegistry *registry, ApibaseMessageKind kind, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(registry->context);
	List	   *layers = NIL;
	ListCell   *lc;

	foreach(lc, registry->uses)
	{
		BusUse	   *use = lfirst(lc);

		if (!is_for(&use->middleware, kind, name))
			continue;
		bus_use_make_ready(registry, use);
		layers = lappend(layers, &use->middleware);
	}
	MemoryContextSwitchTo(old);
	return layers;
}

void
bus_registration_make_ready(BusRegistry *registry, BusRegistration *registration)
{
	BusHandler *handler = &registration->handler;
	const char *detail;
	const char *hint;
	MemoryContext old;

	if (registration->ready)
		return;
	old = MemoryContextSwitchTo(registry->context);
	if (handler->invalid == NULL)
		handler->invalid = read_options(handler, registration->label);
	if (handler->invalid == NULL)
		handler->invalid = prepare_function(&handler->callable, registration->function, registry->context);
	/* its fields matter */
	if (handler->cache_key != NIL || handler->cache_tags != NIL)
		apibase_label_watch(RelationRelationId, get_typ_typrelid(handler->type));
	if (handler->invalid == NULL &&
		(bus_check_handler(handler->kind, handler->type, &handler->callable, &detail, &hint) != NULL ||
		 bus_check_fields(handler->type, handler->cache_key, handler->cache_tags, &detail, &hint) != NULL))
		handler->invalid = reason(detail, hint);
	if (handler->invalid == NULL)
	{
		handler->layers = find_layers(registry, handler->kind, handler->name);
		handler->stats = bus_stats_slot(handler->kind, handler->type);
	}
	MemoryContextSwitchTo(old);
	registration->ready = true;
}

void
bus_use_make_ready(BusRegistry *registry, BusUse *use)
{
	BusMiddleware *middleware = &use->middleware;
	const char *detail;
	const char *hint;
	MemoryContext old;

	if (use->ready)
		return;
	old = MemoryContextSwitchTo(registry->context);
	middleware->callable = palloc0(sizeof(ApibaseCallable));
	if (middleware->invalid == NULL)
		middleware->invalid = prepare_function(middleware->callable, use->function, registry->context);
	if (middleware->invalid == NULL &&
		(bus_check_middleware(middleware->phase, middleware->callable, &detail, &hint) != NULL ||
		 (OidIsValid(use->type) && bus_check_trust(use->type, middleware->callable, &detail, &hint) != NULL)))
		middleware->invalid = reason(psprintf("Middleware %s: %s", use->function_name, detail), hint);
	MemoryContextSwitchTo(old);
	use->ready = true;
}

List *
bus_registry_registrations(BusRegistry *registry)
{
	return registry->registrations;
}

List *
bus_registry_uses(BusRegistry *registry)
{
	return registry->uses;
}

/* ---------- finding ---------- */

/* Whether the user may know of a handler by a hint. */
static bool
may_execute(const BusRegistration *registration)
{
	return apibase_proc_aclcheck(registration->function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
}

/* The name that was probably meant: one that differs only by the schema, which was left out, or a similar one. */
static const char *
similar_name(BusRegistry *registry, ApibaseMessageKind kind, const char *name)
{
	const char **names = palloc((list_length(registry->registrations) + 1) * sizeof(char *));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, registry->registrations)
	{
		const BusRegistration *registration = lfirst(lc);
		const char *other = registration->handler.name;
		size_t		len;

		if (registration->handler.kind != kind || other == NULL || !may_execute(registration))
			continue;
		len = strlen(other);
		if (len > strlen(name) && other[len - strlen(name) - 1] == '.' && strcmp(other + len - strlen(name), name) == 0)
			return other;
		names[n++] = other;
	}
	return apibase_closest(name, names, n);
}

static void
pg_attribute_noreturn()
not_found(BusRegistry *registry, ApibaseMessageKind kind, const char *name)
{
	ApibaseMessageKind other_kind = kind == APIBASE_COMMAND ? APIBASE_QUERY : APIBASE_COMMAND;
	NameEntry  *other = names_lookup(registry->by_name, name_key(other_kind, name));
	const char *similar = similar_name(registry, kind, name);
	bool		is_other = other != NULL && may_execute(other->registration);

	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_HANDLER_NOT_FOUND),
			 errmsg("no handler is registered for the %s \"%s\"", bus_kind_word(kind), name),
			 is_other ? errhint("It is registered as a %s.", bus_kind_word(other_kind)) :
			 similar ? errhint("Perhaps you meant %s.", similar) : 0));
}

BusHandler *
bus_registry_find(BusRegistry *registry, ApibaseMessageKind kind, Oid type)
{
	TypeEntry  *entry = types_lookup(registry->by_type, type_key(kind, type));

	if (entry == NULL)
		not_found(registry, kind, format_type_be_qualified(type));
	if (!entry->registration->ready)
		bus_registration_make_ready(registry, entry->registration);
	return &entry->registration->handler;
}

BusHandler *
bus_registry_find_name(BusRegistry *registry, ApibaseMessageKind kind, const char *name)
{
	NameEntry  *entry = names_lookup(registry->by_name, name_key(kind, name));

	if (entry == NULL)
		not_found(registry, kind, name);
	if (!entry->registration->ready)
		bus_registration_make_ready(registry, entry->registration);
	return &entry->registration->handler;
}

List *
bus_registry_event_layers(BusRegistry *registry, const char *name)
{
	NameEntry  *entry;
	List	   *layers;
	bool		found;

	if (!registry->has_event_middleware)
		return NIL;
	entry = names_lookup(registry->by_name, name_key(APIBASE_EVENT, name));
	if (entry != NULL)
		return entry->layers;
	layers = find_layers(registry, APIBASE_EVENT, name);
	entry = names_insert(registry->by_name,
						 name_key(APIBASE_EVENT, MemoryContextStrdup(registry->context, name)), &found);
	entry->registration = NULL;
	entry->layers = layers;
	return layers;
}
