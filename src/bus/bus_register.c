/*-------------------------------------------------------------------------
 *
 * bus_register.c
 *	  register, unregister, use_middleware.
 *
 * A registration concerns everybody who dispatches the message, so it is for the
 * owner of the message's type, and handlers must be of the same owner.  A
 * middleware can be used by the owner of the one message that it is for, if its own
 * owner is one whose rights that one has, or a superuser; patterns are for the owner of the extension.
 *
 * Who registers a handler locks the type, so that of two who do it at the same
 * time one replaces the other's.  The uses of a middleware function are in
 * one label, so who changes them locks the function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_registry.h"
#include "cache/cache.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/label.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Longest of all times that are registered. */
#define MAX_DAYS	10000

PG_FUNCTION_INFO_V1(apibase_bus_sql_register_command);
PG_FUNCTION_INFO_V1(apibase_bus_sql_register_query);
PG_FUNCTION_INFO_V1(apibase_bus_sql_unregister_command);
PG_FUNCTION_INFO_V1(apibase_bus_sql_unregister_query);
PG_FUNCTION_INFO_V1(apibase_bus_sql_use_middleware);
PG_FUNCTION_INFO_V1(apibase_bus_sql_drop_middleware);

/* ---------- arguments ---------- */

static void
check_not_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* An argument that is one of some words; NULL: the first. */
static const char *
get_word(FunctionCallInfo fcinfo, int argument, const char *name, const char *const *words, int nwords)
{
	char	   *word;
	StringInfoData list;

	if (PG_ARGISNULL(argument))
		return words[0];
	word = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	initStringInfo(&list);
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(word, words[i]) == 0)
			return words[i];
		appendStringInfo(&list, "%s%s", i == 0 ? "" : i == nwords - 1 ? " or " : ", ", words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", name, word),
			 errhint("It must be %s.", list.data)));
}

/* The texts of an array. */
static List *
get_texts(FunctionCallInfo fcinfo, int argument, const char *name)
{
	List	   *texts = NIL;
	Datum	   *items;
	bool	   *nulls;
	int			nitems;

	if (PG_ARGISNULL(argument))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argument), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &nitems);
	for (int i = 0; i < nitems; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", name)));
		texts = lappend(texts, TextDatumGetCString(items[i]));
	}
	return texts;
}

/* ---------- labels as they are written ---------- */

static Jsonb *
make_label(const StringInfoData *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text->data)));
}

static void
append_string(StringInfo label, const char *name, const char *value)
{
	appendStringInfo(label, ", \"%s\": ", name);
	escape_json(label, value);
}

static void
append_strings(StringInfo label, const char *name, List *values)
{
	ListCell   *lc;

	appendStringInfo(label, ", \"%s\": [", name);
	foreach(lc, values)
	{
		if (lc != list_head(values))
			appendStringInfoString(label, ", ");
		escape_json(label, lfirst(lc));
	}
	appendStringInfoChar(label, ']');
}

/* An interval in seconds, months as 30 days; nothing for NULL. */
static void
append_interval(StringInfo label, FunctionCallInfo fcinfo, int argument, const char *name)
{
	Interval   *interval;
	double		seconds;

	if (PG_ARGISNULL(argument))
		return;
	interval = PG_GETARG_INTERVAL_P(argument);
	seconds = (interval->month * (double) DAYS_PER_MONTH + interval->day) * SECS_PER_DAY + interval->time / 1e6;
	if (APIBASE_INTERVAL_SPECIAL(interval) != NULL || seconds < 0.001 || seconds > MAX_DAYS * (double) SECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between a millisecond and %d days", name, MAX_DAYS)));
	appendStringInfo(label, ", \"%s\": %.15g", name, seconds);
}

/* ---------- handlers ---------- */

static void
pg_attribute_noreturn()
cannot_register(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_CANNOT_REGISTER),
			 errmsg("%s", message),
			 detail ? errdetail("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* Lock the type of a message that the user owns. */
static void
lock_message(Oid type)
{
	ObjectAddress address;

	ObjectAddressSet(address, TypeRelationId, type);
	LockDatabaseObject(TypeRelationId, type, 0, ShareUpdateExclusiveLock);
	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type with OID %u does not exist", type)));
	check_object_ownership(GetUserId(), OBJECT_TYPE, address, NULL, NULL);
}

/*
 * The extension that a function belongs to, and whose dump therefore has no label of it.  Not so for what the script of
 * the extension labels: that is done again where the extension is created.
 */
static Oid
extension_of(Oid function)
{
	Oid			extension = getExtensionOfObject(ProcedureRelationId, function);

	return creating_extension && extension == CurrentExtensionObject ? InvalidOid : extension;
}

/* Lock a function, and prepare it to be looked at. */
static void
lock_function(Oid function, ApibaseCallable *callable)
{
	Oid			extension;

	LockDatabaseObject(ProcedureRelationId, function, 0, ShareUpdateExclusiveLock);
	extension = extension_of(function);
	if (OidIsValid(extension) && extension != get_extension_oid("apibase", false))
		cannot_register(psprintf("function %s belongs to extension %s", format_procedure_qualified(function),
								 quote_identifier(get_extension_name(extension))),
						"A dump would not have the registration.",
						"Let the script of the extension register it, or wrap it in a function of your own.");
	if (SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)) && get_func_prokind(function) != PROKIND_FUNCTION)
		cannot_register(psprintf("%s is not a plain function", format_procedure_qualified(function)), NULL, NULL);
	apibase_callable_prepare(callable, function, CurrentMemoryContext);
}

/* The functions that are registered for a message. */
static List *
registered_functions(ApibaseMessageKind kind, Oid type)
{
	BusRegistry *registry = bus_registry_hold();
	List	   *functions = NIL;
	ListCell   *lc;

	foreach(lc, bus_registry_registrations(registry))
	{
		BusRegistration *registration = lfirst(lc);

		if (registration->handler.kind == kind && registration->handler.type == type)
			functions = lappend_oid(functions, registration->function);
	}
	bus_registry_release(registry);
	return functions;
}

/* Take the registration off from functions, but one. */
static bool
unlabel(List *functions, Oid but)
{
	ListCell   *lc;
	bool		any = false;

	foreach(lc, functions)
	{
		ObjectAddress address;

		if (lfirst_oid(lc) == but)
			continue;
		ObjectAddressSet(address, ProcedureRelationId, lfirst_oid(lc));
		apibase_label_set(&address, BUS_LABEL_HANDLER, NULL);
		any = true;
	}
	return any;
}

/* Refuse a function that handles messages of the other kind. */
static void
check_one_kind(ApibaseMessageKind kind, const ObjectAddress *function)
{
	Jsonb	   *label = apibase_label_get(function, BUS_LABEL_HANDLER);
	const char *registered = bus_kind_word(kind);

	if (label == NULL || !JB_ROOT_IS_OBJECT(label) || !bus_label_string(label, "kind", &registered) ||
		strcmp(registered, bus_kind_word(kind)) == 0)
		return;
	cannot_register(psprintf("function %s cannot handle a %s", format_procedure_qualified(function->objectId),
							 bus_kind_word(kind)),
					psprintf("It is registered as the handler of a %s.", registered),
					psprintf("Do apibase.unregister_%s() before.", registered));
}

/* Check a handler, and write its label. */
static void
register_handler(ApibaseMessageKind kind, Oid type, Oid function, List *cache_key, List *tags, const StringInfoData *label)
{
	ApibaseCallable callable;
	ObjectAddress address;
	const char *message;
	const char *detail;
	const char *hint;

	ObjectAddressSet(address, ProcedureRelationId, function);
	lock_message(type);
	lock_function(function, &callable);
	if (!apibase_proc_ownercheck(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
	message = bus_check_handler(kind, type, &callable, &detail, &hint);
	if (message == NULL)
		message = bus_check_fields(type, cache_key, tags, &detail, &hint);
	if (message != NULL)
		cannot_register(message, detail, hint);
	check_one_kind(kind, &address);
	bus_warn_of_search_path(&callable);
	unlabel(registered_functions(kind, type), function);
	apibase_label_set(&address, BUS_LABEL_HANDLER, make_label(label));
}

/* apibase.register_command(message regtype, handler regprocedure, idempotency text, idempotency_ttl interval, timeout interval) */
Datum
apibase_bus_sql_register_command(PG_FUNCTION_ARGS)
{
	StringInfoData label;

	PreventCommandIfReadOnly("register_command()");
	check_not_null(fcinfo, 0, "message");
	check_not_null(fcinfo, 1, "handler");
	initStringInfo(&label);
	appendStringInfoString(&label, "{\"kind\": \"command\"");
	append_string(&label, "idempotency", get_word(fcinfo, 2, "idempotency", bus_idempotency_words, BUS_NIDEMPOTENCY));
	append_interval(&label, fcinfo, 3, "idempotency_ttl");
	append_interval(&label, fcinfo, 4, "timeout");
	appendStringInfoChar(&label, '}');
	register_handler(APIBASE_COMMAND, PG_GETARG_OID(0), PG_GETARG_OID(1), NIL, NIL, &label);
	PG_RETURN_VOID();
}

/* How many tags there are, and how long they are. */
static void
check_tags(List *tags)
{
	ListCell   *lc;

	if (list_length(tags) > BUS_MAX_TAGS)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
				 errmsg("a query cannot have more than %d tags", BUS_MAX_TAGS)));
	foreach(lc, tags)
	{
		const char *tag = lfirst(lc);

		if (tag[0] == '\0' || strlen(tag) > APIBASE_CACHE_MAX_TAG)
			ereport(ERROR,
					(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
					 errmsg("a tag must have between 1 and %d bytes", APIBASE_CACHE_MAX_TAG)));
	}
}

/*
 * apibase.register_query(message regtype, handler regprocedure, cache_ttl interval, cache_key text[], tags text[],
 * scope text, timeout interval)
 */
Datum
apibase_bus_sql_register_query(PG_FUNCTION_ARGS)
{
	static const char *const scopes[] = {"role", "shared"};
	StringInfoData label;
	List	   *cache_key;
	List	   *tags;

	PreventCommandIfReadOnly("register_query()");
	check_not_null(fcinfo, 0, "message");
	check_not_null(fcinfo, 1, "handler");
	cache_key = get_texts(fcinfo, 3, "cache_key");
	tags = get_texts(fcinfo, 4, "tags");
	if (PG_ARGISNULL(2) && (cache_key != NIL || tags != NIL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache_key and tags are for queries that are cached"),
				 errhint("Give cache_ttl, too.")));
	check_tags(tags);

	initStringInfo(&label);
	appendStringInfoString(&label, "{\"kind\": \"query\"");
	append_interval(&label, fcinfo, 2, "cache_ttl");
	append_strings(&label, "cache_key", cache_key);
	append_strings(&label, "tags", tags);
	append_string(&label, "scope", get_word(fcinfo, 5, "scope", scopes, lengthof(scopes)));
	append_interval(&label, fcinfo, 6, "timeout");
	appendStringInfoChar(&label, '}');
	register_handler(APIBASE_QUERY, PG_GETARG_OID(0), PG_GETARG_OID(1), cache_key, tags, &label);
	PG_RETURN_VOID();
}

static Datum
unregister(FunctionCallInfo fcinfo, ApibaseMessageKind kind)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	lock_message(PG_GETARG_OID(0));
	PG_RETURN_BOOL(unlabel(registered_functions(kind, PG_GETARG_OID(0)), InvalidOid));
}

/* apibase.unregister_command(message regtype) returns boolean */
Datum
apibase_bus_sql_unregister_command(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("unregister_command()");
	return unregister(fcinfo, APIBASE_COMMAND);
}

/* apibase.unregister_query(message regtype) returns boolean */
Datum
apibase_bus_sql_unregister_query(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("unregister_query()");
	return unregister(fcinfo, APIBASE_QUERY);
}

/* ---------- middleware ---------- */

/*
 * The names of messages that a middleware is to be for: a pattern, or the name
 * of a type as the bus writes it.  Checks that the user may decide about these messages.
 */
static const char *
check_names(const char *names, Oid *type_named)
{
	Oid			type;
	ObjectAddress address;

	*type_named = InvalidOid;
	if (bus_is_pattern(names))
	{
		apibase_label_require_extension_owner();
		return names;
	}
	type = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(names)));
	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		cannot_register(psprintf("middleware cannot be used on %s", names), "It is not a composite type.",
						"Messages are values of composite types; patterns of their names have * or ? in them.");
	ObjectAddressSet(address, TypeRelationId, type);
	check_object_ownership(GetUserId(), OBJECT_TYPE, address, NULL, NULL);
	*type_named = type;
	return format_type_be_qualified(type);
}

/* Write the uses of a function. */
static void
set_uses(const ObjectAddress *function, Jsonb *uses)
{
	if (extension_of(function->objectId) == get_extension_oid("apibase", false))
		bus_own_set_uses(function->objectId, uses);
	else
		apibase_label_set(function, BUS_LABEL_MIDDLEWARE, uses);
}

/* The uses in the label of a middleware function, as JSON text, but those of a name (NULL: of all names); counts these. */
static void
append_other_uses(StringInfo label, const ObjectAddress *function, const char *name, int *left_out)
{
	Jsonb	   *uses = apibase_label_get(function, BUS_LABEL_MIDDLEWARE);
	bool		is_owner = apibase_proc_ownercheck(function->objectId, GetUserId());

	if (uses == NULL)
		return;
	if (!JB_ROOT_IS_ARRAY(uses))
		uses = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("[null]")));
	for (uint32 i = 0; i < JB_ROOT_COUNT(uses); i++)
	{
		Jsonb	   *use = JsonbValueToJsonb(getIthJsonbValueFromContainer(&uses->root, i));
		bool		is_object = JB_ROOT_IS_OBJECT(use);
		const char *use_name = "";
		const char *names = "*";
		Oid			type;

		if (is_object)
		{
			(void) bus_label_string(use, "name", &use_name);
			(void) bus_label_string(use, "messages", &names);
		}
		if (name == NULL || strcmp(use_name, name) == 0)
		{
			/* whoever it is that it keeps out: not everybody may put an end to that */
			if (!is_owner)
				(void) check_names(names, &type);
			(*left_out)++;
			continue;
		}
		if (label->data[label->len - 1] != '[')
			appendStringInfoString(label, ", ");
		JsonbToCString(label, &use->root, VARSIZE(use));
	}
}

/* The kinds of messages that a middleware is to be for. */
static List *
get_kinds(FunctionCallInfo fcinfo, int argument)
{
	List	   *kinds = get_texts(fcinfo, argument, "kinds");
	ListCell   *lc;

	foreach(lc, kinds)
	{
		const char *kind = lfirst(lc);

		if (strcmp(kind, "command") != 0 && strcmp(kind, "query") != 0 && strcmp(kind, "event") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid kind of messages \"%s\"", kind),
					 errhint("It must be command, query or event.")));
	}
	if (kinds == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a middleware must be for some kind of messages"),
				 errhint("Kinds are command, query and event.")));
	return kinds;
}

/* What a use is called: as it is said, or after the function and what it is used on. */
static char *
get_use_name(FunctionCallInfo fcinfo, int argument, Oid function, const char *names)
{
	if (!PG_ARGISNULL(argument))
	{
		char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(argument));

		if (name[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the name of a use of a middleware must not be empty")));
		return name;
	}
	if (strcmp(names, "*") == 0)
		return get_func_name(function);
	return psprintf("%s on %s", get_func_name(function), names);
}

/*
 * apibase.use_middleware(middleware regprocedure, phase text, messages text, kinds text[], rank integer, config jsonb,
 * name text) returns text
 */
Datum
apibase_bus_sql_use_middleware(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"middleware", "phase", "messages", "kinds", "rank", "config"};
	Oid			function;
	const char *phase;
	const char *names;
	Oid			type;
	Jsonb	   *config;
	char	   *name;
	List	   *kinds;
	ObjectAddress address;
	ApibaseCallable callable;
	StringInfoData label;
	const char *message;
	const char *detail;
	const char *hint;
	int			replaced = 0;
	int			number = 0;

	PreventCommandIfReadOnly("use_middleware()");
	for (size_t i = 0; i < lengthof(arguments); i++)
		check_not_null(fcinfo, i, arguments[i]);
	function = PG_GETARG_OID(0);
	phase = get_word(fcinfo, 1, "phase", bus_phase_words, BUS_NPHASES);
	while (bus_phase_words[number] != phase)
		number++;
	kinds = get_kinds(fcinfo, 3);
	config = PG_GETARG_JSONB_P(5);
	if (!JB_ROOT_IS_OBJECT(config))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config must be a JSON object")));

	names = check_names(text_to_cstring(PG_GETARG_TEXT_PP(2)), &type);
	lock_function(function, &callable);
	apibase_callable_check_privilege(&callable);
	message = bus_check_middleware(number, &callable, &detail, &hint);
	if (message == NULL && OidIsValid(type))
		message = bus_check_trust(type, &callable, &detail, &hint);
	if (message != NULL)
		cannot_register(message, detail, hint);
	bus_warn_of_search_path(&callable);
	name = get_use_name(fcinfo, 6, function, names);

	ObjectAddressSet(address, ProcedureRelationId, function);
	initStringInfo(&label);
	appendStringInfoChar(&label, '[');
	append_other_uses(&label, &address, name, &replaced);
	appendStringInfo(&label, "%s{\"rank\": %d", label.data[label.len - 1] == '[' ? "" : ", ", PG_GETARG_INT32(4));
	append_string(&label, "name", name);
	append_string(&label, "messages", names);
	if (OidIsValid(type))
		appendStringInfo(&label, ", \"type\": %d", (int) type);
	append_strings(&label, "kinds", kinds);
	append_string(&label, "phase", phase);
	appendStringInfoString(&label, ", \"config\": ");
	JsonbToCString(&label, &config->root, VARSIZE(config));
	appendStringInfoString(&label, "}]");
	set_uses(&address, make_label(&label));
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* apibase.drop_middleware(middleware regprocedure, name text) returns integer */
Datum
apibase_bus_sql_drop_middleware(PG_FUNCTION_ARGS)
{
	ObjectAddress address;
	StringInfoData label;
	int			dropped = 0;

	PreventCommandIfReadOnly("drop_middleware()");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	ObjectAddressSet(address, ProcedureRelationId, PG_GETARG_OID(0));
	LockDatabaseObject(ProcedureRelationId, PG_GETARG_OID(0), 0, ShareUpdateExclusiveLock);
	initStringInfo(&label);
	appendStringInfoChar(&label, '[');
	append_other_uses(&label, &address, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), &dropped);
	appendStringInfoChar(&label, ']');
	if (dropped > 0)
		set_uses(&address, label.len > 2 ? make_label(&label) : NULL);
	PG_RETURN_INT32(dropped);
}
