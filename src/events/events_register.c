/*-------------------------------------------------------------------------
 *
 * events_register.c
 *	  Declaring events, subscribing to them: who may, and what is written into labels.
 *
 * The label of a function that subscribes has the member "subscriptions":
 *
 *	[{"messages": pattern or null, "filter": text, "on_failure": "fail" or "isolate", "rank": 100}, ...]
 *
 * where null stands for the type that the function takes, under whatever name.  A
 * function that takes apibase.outbox has a pattern always; one without wildcards
 * is the name of one type.  The label of a type has the member "event":
 *
 *	{"type": text, "aggregate_type": text, "aggregate_id": field, "aggregate_version": field, "subject": field}
 *
 * with those members that were given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/glob.h"
#include "core/label.h"
#include "events/events_impl.h"

#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(apibase_events_sql_subscribe);
PG_FUNCTION_INFO_V1(apibase_events_sql_subscribe_pattern);
PG_FUNCTION_INFO_V1(apibase_events_sql_unsubscribe);
PG_FUNCTION_INFO_V1(apibase_events_sql_unsubscribe_pattern);
PG_FUNCTION_INFO_V1(apibase_events_sql_register);
PG_FUNCTION_INFO_V1(apibase_events_sql_unregister);
PG_FUNCTION_INFO_V1(apibase_events_sql_name);
PG_FUNCTION_INFO_V1(apibase_events_sql_subscription_problem);

/* ---------- who may ---------- */

static void
require_function_owner(Oid function)
{
	if (!has_privs_of_role(GetUserId(), events_owner(ProcedureRelationId, function)))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
}

/* The type must be composite as well.  *relkind: of what it is the row type of. */
static void
require_type_owner(Oid type, char *relkind)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type with OID %u does not exist", type)));
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (form->typtype != TYPTYPE_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("type %s is not composite", format_type_be(type)),
				 errdetail("An event is a value of a composite type.")));
	if (!has_privs_of_role(GetUserId(), form->typowner))
		aclcheck_error_type(ACLCHECK_NOT_OWNER, type);
	*relkind = get_rel_relkind(form->typrelid);
	ReleaseSysCache(tuple);
}

/* ---------- labels ---------- */

static void
push_text(JsonbParseState **state, const char *name, const char *text)
{
	JsonbValue	value;

	if (text == NULL)
		return;
	value.type = jbvString;
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static Jsonb *
make_item(const EventsLabelItem *item)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "messages", item->pattern);
	push_text(&state, "filter", item->filter);
	push_text(&state, "on_failure", item->isolate ? "isolate" : "fail");
	value.type = jbvString;
	value.val.string.val = "rank";
	value.val.string.len = strlen("rank");
	pushJsonbValue(&state, WJB_KEY, &value);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(item->rank);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What an item is subscribed to, for comparison with a pattern. */
static const char *
item_name(Oid function, const EventsLabelItem *item)
{
	Oid			argument;
	const char *detail;

	if (item->pattern != NULL)
		return item->pattern;
	(void) events_check_subscriber(function, false, &argument, &detail);
	return OidIsValid(argument) ? format_type_be_qualified(argument) : "";
}

/*
 * Take those items out of the label of a function that a test chooses, and add one (NULL: none).  The number
 * of those that were taken out is the result.
 */
typedef bool (*ItemTest) (Oid function, const EventsLabelItem *item, const char *arg);

static int
change_items(Oid function, ItemTest taken_out, const char *arg, const EventsLabelItem *added)
{
	ObjectAddress address;
	Jsonb	   *label;
	JsonbParseState *state = NULL;
	JsonbValue	value;
	int			removed = 0;

	ObjectAddressSet(address, ProcedureRelationId, function);
	label = apibase_label_get(&address, "subscriptions");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; label != NULL && JB_ROOT_IS_ARRAY(label) && i < JB_ROOT_COUNT(label); i++)
	{
		JsonbValue *old = getIthJsonbValueFromContainer(&label->root, i);
		EventsLabelItem item;

		if (old->type != jbvBinary || !events_label_item(old->val.binary.data, &item))
			continue;
		if (taken_out(function, &item, arg))
			removed++;
		else
			pushJsonbValue(&state, WJB_ELEM, old);
	}
	if (added != NULL)
	{
		Jsonb	   *item = make_item(added);

		value.type = jbvBinary;
		value.val.binary.data = &item->root;
		value.val.binary.len = VARSIZE(item) - VARHDRSZ;
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	if (removed > 0 || added != NULL)
	{
		label = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
		require_function_owner(function);
		apibase_label_set(&address, "subscriptions", JB_ROOT_COUNT(label) > 0 ? label : NULL);
	}
	return removed;
}

/* ItemTest: it has exactly this pattern, or as it has none, too. */
static bool
has_pattern(Oid function, const EventsLabelItem *item, const char *pattern)
{
	if (item->pattern == NULL || pattern == NULL)
		return item->pattern == pattern;
	return strcmp(item->pattern, pattern) == 0;
}

/* ItemTest: what it is subscribed to is this, or is matched by this; NULL matches all. */
static bool
is_matched(Oid function, const EventsLabelItem *item, const char *pattern)
{
	const char *name;

	if (pattern == NULL)
		return true;
	name = item_name(function, item);
	return strcmp(name, pattern) == 0 || apibase_glob_matches(pattern, strlen(pattern), name, strlen(name));
}

/* ---------- subscribe() ---------- */

/* A name as a pattern that matches nothing else. */
static char *
quote_pattern(const char *name)
{
	char	   *result = palloc(2 * strlen(name) + 1);
	char	   *p = result;

	for (; *name; name++)
	{
		if (strchr("*?\\", *name))
			*p++ = '\\';
		*p++ = *name;
	}
	*p = '\0';
	return result;
}

static char *
checked_filter(ApibaseSpec *spec, bool by_pattern, Oid type)
{
	ApibaseSpecNode *node = apibase_spec_decode(spec);
	StringInfoData buf;

	if (by_pattern)
		(void) apibase_spec_jsonb_prepare(node);
	else
		(void) apibase_spec_eval_prepare(node, type, -1);
	initStringInfo(&buf);
	apibase_spec_append_text(&buf, node);
	return buf.data;
}

/* type: InvalidOid for a subscription to a pattern. */
static void
subscribe(Oid type, char *pattern, FunctionCallInfo fcinfo)
{
	Oid			function = PG_GETARG_OID(1);
	char	   *on_failure = text_to_cstring(PG_GETARG_TEXT_PP(3));
	EventsLabelItem item = {.pattern = pattern, .rank = PG_GETARG_INT32(4)};
	Oid			argument;
	const char *problem;
	const char *detail;

	require_function_owner(function);
	item.isolate = strcmp(on_failure, "isolate") == 0;
	if (!item.isolate && strcmp(on_failure, "fail") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_failure must be \"fail\" or \"isolate\", not \"%s\"", on_failure)));
	problem = events_check_subscriber(function, pattern != NULL, &argument, &detail);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_SUBSCRIBE),
				 errmsg("function %s cannot subscribe: %s", format_procedure(function), problem),
				 detail ? errdetail("%s", detail) : 0));
	if (OidIsValid(type) && argument == events_outbox_type() && type != argument)
	{
		item.pattern = quote_pattern(format_type_be_qualified(type));
		if (!has_privs_of_role(events_owner(ProcedureRelationId, function), events_owner(TypeRelationId, type)))
			ereport(ERROR,
					(errcode(APIBASE_ERRCODE_CANNOT_SUBSCRIBE),
					 errmsg("function %s cannot subscribe to %s: its owner does not own the type", format_procedure(function),
							format_type_be(type)),
					 errdetail("It would be subscribed to a name, which another type may have later."),
					 errhint("Let the function take the event instead of apibase.outbox, or change its owner.")));
	}
	else if (OidIsValid(type) && argument != type)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_SUBSCRIBE),
				 errmsg("function %s cannot subscribe to %s: it takes %s", format_procedure(function),
						format_type_be(type), format_type_be(argument)),
				 errhint("A subscriber takes the event, or apibase.outbox.")));
	if (!PG_ARGISNULL(2))
		item.filter = checked_filter(PG_GETARG_APIBASE_SPEC_P(2), item.pattern != NULL, type);
	(void) change_items(function, has_pattern, item.pattern, &item);
}

static void
refuse_nulls(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < 5; i++)
	{
		if (i != 2 && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("only the filter of a subscription may be null")));
	}
}

static void
subscribe_to_type(Oid type, FunctionCallInfo fcinfo)
{
	char		relkind;

	require_type_owner(type, &relkind);
	subscribe(type, NULL, fcinfo);
}

/* subscribe(regtype, regprocedure, spec, text, integer) */
Datum
apibase_events_sql_subscribe(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	subscribe_to_type(PG_GETARG_OID(0), fcinfo);
	PG_RETURN_VOID();
}

/* The same with a pattern; what has no wildcard is the name of a type, which needs no cast so. */
Datum
apibase_events_sql_subscribe_pattern(PG_FUNCTION_ARGS)
{
	char	   *pattern;

	refuse_nulls(fcinfo);
	pattern = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (strpbrk(pattern, "*?\\") == NULL)
		subscribe_to_type(DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(pattern))), fcinfo);
	else
	{
		apibase_label_require_extension_owner();
		subscribe(InvalidOid, pattern, fcinfo);
	}
	PG_RETURN_VOID();
}

/* ---------- unsubscribe() ---------- */

/* unsubscribe(regprocedure, text) */
Datum
apibase_events_sql_unsubscribe(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(0);
	PG_RETURN_INT32(change_items(PG_GETARG_OID(0), is_matched, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL));
}

typedef struct Unsubscription
{
	const char *pattern;
	int			removed;
} Unsubscription;

/* Visitor of labels. */
static void
unsubscribe_function(Oid function, Jsonb *value, void *arg)
{
	Unsubscription *unsubscription = arg;

	unsubscription->removed += change_items(function, is_matched, unsubscription->pattern, NULL);
}

/* unsubscribe(text) */
Datum
apibase_events_sql_unsubscribe_pattern(PG_FUNCTION_ARGS)
{
	Unsubscription unsubscription = {.pattern = text_to_cstring(PG_GETARG_TEXT_PP(0))};

	/* a literal without a type is text, whatever was meant */
	if (strchr(unsubscription.pattern, '(') && !strchr(unsubscription.pattern, '"'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no pattern of names of events", unsubscription.pattern),
				 errhint("To end the subscriptions of a function, cast its name to regprocedure.")));
	apibase_label_scan(ProcedureRelationId, "subscriptions", unsubscribe_function, &unsubscription);
	PG_RETURN_INT32(unsubscription.removed);
}

/* ---------- declarations ---------- */

/* An argument that names a field, checked; NULL for NULL. */
static char *
field_argument(FunctionCallInfo fcinfo, int argno, TupleDesc desc, bool number)
{
	char	   *name = PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
	int			attno = name ? SPI_fnumber(desc, name) : 0;
	Oid			type = attno > 0 ? getBaseType(TupleDescAttr(desc, attno - 1)->atttypid) : InvalidOid;

	if (name != NULL && attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("type %s has no field \"%s\"", format_type_be(desc->tdtypeid), name)));
	if (name != NULL && number && type != INT2OID && type != INT4OID && type != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("field \"%s\" of type %s is not an integer", name, format_type_be(desc->tdtypeid))));
	return name;
}

/* An argument that is a name, not empty; NULL for NULL. */
static char *
name_argument(FunctionCallInfo fcinfo, int argno)
{
	char	   *name = PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));

	if (name != NULL && name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("types of events and aggregates must not be empty")));
	return name;
}

/* register_event(regtype, text, text, text, text, text) */
Datum
apibase_events_sql_register(PG_FUNCTION_ARGS)
{
	Oid			type;
	char		relkind;
	TupleDesc	desc;
	JsonbParseState *state = NULL;
	ObjectAddress address;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the type of the event must not be null")));
	type = PG_GETARG_OID(0);
	require_type_owner(type, &relkind);
	if (relkind != RELKIND_COMPOSITE_TYPE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is the row type of a table", format_type_be(type)),
				 errdetail("A dump would not keep what is declared for it."),
				 errhint("Make a type for the event with CREATE TYPE ... AS.")));
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "aggregate_type", name_argument(fcinfo, 1));
	push_text(&state, "aggregate_id", field_argument(fcinfo, 2, desc, false));
	push_text(&state, "aggregate_version", field_argument(fcinfo, 3, desc, true));
	push_text(&state, "subject", field_argument(fcinfo, 4, desc, false));
	push_text(&state, "type", name_argument(fcinfo, 5));
	ObjectAddressSet(address, TypeRelationId, type);
	apibase_label_set(&address, "event", JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	PG_RETURN_VOID();
}

/* unregister_event(regtype) */
Datum
apibase_events_sql_unregister(PG_FUNCTION_ARGS)
{
	Oid			type = PG_GETARG_OID(0);
	char		relkind;
	ObjectAddress address;

	require_type_owner(type, &relkind);
	ObjectAddressSet(address, TypeRelationId, type);
	if (apibase_label_get(&address, "event") == NULL)
		PG_RETURN_BOOL(false);
	apibase_label_set(&address, "event", NULL);
	PG_RETURN_BOOL(true);
}

/* ---------- for views ---------- */

/* The name of an event's type, as patterns are compared with. */
Datum
apibase_events_sql_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(format_type_be_qualified(PG_GETARG_OID(0))));
}

/* Why a subscription cannot be used; NULL if it can. */
Datum
apibase_events_sql_subscription_problem(PG_FUNCTION_ARGS)
{
	Oid			argument;
	const char *detail;
	const char *problem = events_check_subscriber(PG_GETARG_OID(0), PG_GETARG_BOOL(1), &argument, &detail);

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
