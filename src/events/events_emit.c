/*-------------------------------------------------------------------------
 *
 * events_emit.c
 *	  emit(): an event goes to the outbox, then to its subscribers.
 *
 * What is not said when an event is emitted comes from the declaration of its type
 * (register_event), from the frame that is being handled (correlation,
 * cause, trace), or from the request.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/closest.h"
#include "core/errors.h"
#include "core/uuid.h"
#include "events/events_impl.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_events_sql_emit);

/* ---------- options ---------- */

typedef enum OptionKind
{
	OPTION_TEXT,
	OPTION_INT8,
	OPTION_TIME
} OptionKind;

/* An option, and where it goes. */
typedef struct Option
{
	const char *name;
	OptionKind	kind;
	size_t		offset;
} Option;

static const Option known_options[] = {
	{"aggregate_type", OPTION_TEXT, offsetof(EventsOptions, aggregate_type)},
	{"aggregate_id", OPTION_TEXT, offsetof(EventsOptions, aggregate_id)},
	{"aggregate_version", OPTION_INT8, offsetof(EventsOptions, aggregate_version)},
	{"subject", OPTION_TEXT, offsetof(EventsOptions, subject)},
	{"source", OPTION_TEXT, offsetof(EventsOptions, source)},
	{"type", OPTION_TEXT, offsetof(EventsOptions, type)},
	{"correlation_id", OPTION_TEXT, offsetof(EventsOptions, correlation_id)},
	{"causation_id", OPTION_TEXT, offsetof(EventsOptions, causation_id)},
	{"occurred_at", OPTION_TIME, offsetof(EventsOptions, occurred_at)},
};

static const Option *
find_option(const char *name)
{
	const char *names[lengthof(known_options)];
	const char *closest;

	for (size_t i = 0; i < lengthof(known_options); i++)
	{
		if (strcmp(known_options[i].name, name) == 0)
			return &known_options[i];
		names[i] = known_options[i].name;
	}
	closest = apibase_closest(name, names, lengthof(names));
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_INVALID_EVENT),
			 errmsg("\"%s\" is not an option of an event", name),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) : 0));
}

static void
set_option(EventsOptions *options, const Option *option, const JsonbValue *value)
{
	char	   *place = (char *) options + option->offset;
	bool		is_text = value->type == jbvString;
	bool		is_number = value->type == jbvNumeric && option->kind != OPTION_TIME;
	char	   *text;

	if (value->type == jbvNull)
		return;
	if (!is_text && !is_number)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_EVENT),
				 errmsg("option \"%s\" of an event must be a string%s", option->name, option->kind == OPTION_TIME ? "" : " or a number")));
	text = is_text ? pnstrdup(value->val.string.val, value->val.string.len) :
		DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (text[0] == '\0')
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_EVENT),
				 errmsg("option \"%s\" of an event must not be empty", option->name)));
	switch (option->kind)
	{
		case OPTION_TEXT:
			*(char **) place = text;
			break;
		case OPTION_INT8:
			*(int64 *) place = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
			options->has_version = true;
			break;
		case OPTION_TIME:
			*(TimestampTz *) place = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
																			 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			if (TIMESTAMP_NOT_FINITE(*(TimestampTz *) place))
				ereport(ERROR,
						(errcode(APIBASE_ERRCODE_INVALID_EVENT),
						 errmsg("option \"%s\" of an event must be finite", option->name)));
			options->has_time = true;
			break;
	}
}

static void
read_options(Jsonb *json, EventsOptions *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	memset(options, 0, sizeof(EventsOptions));
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_EVENT),
				 errmsg("options of an event must be a JSON object")));
	if (JB_ROOT_COUNT(json) == 0)
		return;
	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			const Option *option = find_option(pnstrdup(value.val.string.val, value.val.string.len));

			(void) JsonbIteratorNext(&it, &value, true);
			set_option(options, option, &value);
		}
	}
}

/* ---------- fields ---------- */

static void
pg_attribute_noreturn()
raise_no_field(const EventsEmitted *emitted, const char *name, const char *what)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_INVALID_EVENT),
			 errmsg("event type %s has no field \"%s\", which is to be its %s", emitted->type->name, name, what),
			 errhint("Declare it again with apibase.register_event().")));
}

/* A field of the event as text, which is the same whatever DateStyle and the like are; NULL for SQL's. */
static char *
field_text(const EventsEmitted *emitted, const char *name, const char *what)
{
	JsonbValue	buf;
	JsonbValue *value = getKeyJsonValueFromContainer(&emitted->payload->root, name, strlen(name), &buf);
	Jsonb	   *json;

	if (value == NULL)
		raise_no_field(emitted, name, what);
	if (value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	json = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* ---------- the row ---------- */

static void
set_text(EventsEmitted *emitted, OutboxColumn column, const char *text)
{
	emitted->nulls[column] = text == NULL;
	emitted->values[column] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
set_aggregate(EventsEmitted *emitted, const EventsOptions *options)
{
	const EventsType *type = emitted->type;
	char	   *id = options->aggregate_id;
	char	   *version = NULL;
	char	   *subject = options->subject;

	if (id == NULL && type->aggregate_id != NULL)
		id = field_text(emitted, type->aggregate_id, "aggregate_id");
	if (subject == NULL && type->subject != NULL)
		subject = field_text(emitted, type->subject, "subject");
	if (!options->has_version && type->aggregate_version != NULL)
		version = field_text(emitted, type->aggregate_version, "aggregate_version");

	set_text(emitted, OUTBOX_AGGREGATETYPE, options->aggregate_type ? options->aggregate_type : type->aggregate_type);
	set_text(emitted, OUTBOX_AGGREGATEID, id);
	set_text(emitted, OUTBOX_SUBJECT, subject);
	emitted->nulls[OUTBOX_AGGREGATEVERSION] = !options->has_version && version == NULL;
	if (options->has_version)
		emitted->values[OUTBOX_AGGREGATEVERSION] = Int64GetDatum(options->aggregate_version);
	else if (version != NULL)
		emitted->values[OUTBOX_AGGREGATEVERSION] = DirectFunctionCall1(int8in, CStringGetDatum(version));
}

static void
set_cause(EventsEmitted *emitted, const EventsOptions *options)
{
	ApibaseFrame *frame = apibase_frame_current();

	emitted->correlation_id = options->correlation_id;
	if (emitted->correlation_id == NULL)
		emitted->correlation_id = unconstify(char *, apibase_frame_correlation_id(frame));
	emitted->causation_id = options->causation_id;
	if (emitted->causation_id == NULL && frame != NULL)
		emitted->causation_id = apibase_uuid_text(apibase_frame_id(frame));
	emitted->traceparent = unconstify(char *, apibase_frame_traceparent(frame));
	set_text(emitted, OUTBOX_CORRELATIONID, emitted->correlation_id);
	set_text(emitted, OUTBOX_CAUSATIONID, emitted->causation_id);
	set_text(emitted, OUTBOX_TRACEPARENT, emitted->traceparent);
}

static void
insert_event(EventsEmitted *emitted, const EventsOptions *options)
{
	int64		batch;
	int32		ordinal;

	set_aggregate(emitted, options);
	set_cause(emitted, options);
	set_text(emitted, OUTBOX_TYPE, options->type ? options->type : emitted->type->event_type);
	set_text(emitted, OUTBOX_SOURCE, options->source ? options->source : events_default_source());
	emitted->values[OUTBOX_TIMESTAMP] = TimestampTzGetDatum(options->has_time ? options->occurred_at : GetCurrentTimestamp());
	emitted->values[OUTBOX_ID] = UUIDPGetDatum(&emitted->id);
	emitted->values[OUTBOX_PAYLOAD] = JsonbPGetDatum(emitted->payload);

	events_next_place(&batch, &ordinal);
	emitted->values[OUTBOX_BATCH] = Int64GetDatum(batch);
	emitted->values[OUTBOX_ORDINAL] = Int32GetDatum(ordinal);
	events_insert(EVENTS_OUTBOX, emitted->values, emitted->nulls, OUTBOX_NCOLUMNS);
}

/* ---------- emit() ---------- */

pg_uuid_t
events_emit(Datum event, Oid type, Jsonb *payload, const EventsOptions *options)
{
	EventsRegistry *registry;
	EventsEmitted emitted;

	PreventCommandIfReadOnly("emit()");
	PreventCommandIfParallelMode("emit()");

	memset(&emitted, 0, sizeof(emitted));
	registry = events_registry_hold();
	PG_TRY();
	{
		emitted.type = events_registry_type(registry, type);
		emitted.event = event;
		emitted.payload = payload ? payload : apibase_to_jsonb(&emitted.type->to_jsonb, event, false);
		apibase_uuid7(&emitted.id);
		insert_event(&emitted, options);
		if (emitted.type->subscribers != NIL)
			events_call_subscribers(registry, &emitted);
	}
	PG_FINALLY();
	{
		events_registry_release(registry);
	}
	PG_END_TRY();
	return emitted.id;
}

Oid
events_argument_type(FunctionCallInfo fcinfo, int argno)
{
	Oid			declared = get_fn_expr_argtype(fcinfo->flinfo, argno);
	Oid			type = OidIsValid(declared) ? getBaseType(declared) : InvalidOid;

	if (type == RECORDOID || !OidIsValid(type) || get_typtype(type) != TYPTYPE_COMPOSITE)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_EVENT),
				 OidIsValid(declared) ? errmsg("an event must be a value of a composite type, not of type %s", format_type_be(declared)) :
				 errmsg("the type of the event is not known"),
				 errhint("Cast it to the type of the event: ROW(...)::app.order_placed.")));
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_EVENT),
				 errmsg("an event must not be null")));
	if (!DatumGetBool(DirectFunctionCall2(has_type_privilege_id, ObjectIdGetDatum(type), CStringGetTextDatum("USAGE"))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for type %s", format_type_be(type))));
	return type;
}

Datum
apibase_events_sql_emit(PG_FUNCTION_ARGS)
{
	Oid			type = events_argument_type(fcinfo, 0);
	Datum		event = HeapTupleHeaderGetDatum(PG_GETARG_HEAPTUPLEHEADER(0));
	EventsOptions options;
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	if (PG_ARGISNULL(1))
		memset(&options, 0, sizeof(options));
	else
		read_options(PG_GETARG_JSONB_P(1), &options);
	*id = events_emit(event, type, NULL, &options);
	PG_RETURN_UUID_P(id);
}
