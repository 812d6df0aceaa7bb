/*-------------------------------------------------------------------------
 *
 * bus_dispatch.c
 *	  command(), and what it has in common with query().
 *
 * What is wrong with the call is raised: a message without handler, options that
 * cannot be read, no message at all, too many dispatches within each other.  What is wrong
 * with the message, and all that happens when it is handled, is in the result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/expandeddatum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "bus/bus_impl.h"
#include "context/context.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/subxact.h"

/* Of ids, in bytes. */
#define MAX_ID_LENGTH	255

#define SQLSTATE_VALIDATION	MAKE_SQLSTATE('P', 'T', '4', '2', '2')

PG_FUNCTION_INFO_V1(apibase_bus_sql_command);
PG_FUNCTION_INFO_V1(apibase_bus_sql_command_by_name);

/* ---------- options ---------- */

/* The string that is the value of an option. */
static char *
option_text(const char *name, const JsonbValue *value)
{
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option %s of a dispatch must be a string", name)));
	if (value->val.string.len == 0 || value->val.string.len > MAX_ID_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option %s of a dispatch must have 1 to %d bytes", name, MAX_ID_LENGTH)));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static TimestampTz
timeout_to_deadline(const char *text)
{
	Interval   *interval = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
																 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

	return GetCurrentTimestamp() + apibase_duration(interval, "option timeout of a dispatch");
}

static void
read_option(const char *name, const JsonbValue *value, BusOptions *options)
{
	const char **texts[] = {&options->idempotency_key, &options->correlation_id, &options->causation_id, &options->traceparent};
	static const char *const names[] = {"idempotency_key", "correlation_id", "causation_id", "traceparent"};

	for (size_t i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*texts[i] = option_text(name, value);
			return;
		}
	}
	if (strcmp(name, "timeout") == 0)
		options->deadline = Min(options->deadline, timeout_to_deadline(option_text(name, value)));
	else if (strcmp(name, "deadline") == 0)
		options->deadline = Min(options->deadline,
								DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
																		CStringGetDatum(option_text(name, value)),
																		ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a dispatch has no option \"%s\"", name),
				 errhint("Its options are idempotency_key, correlation_id, causation_id, traceparent, timeout and deadline.")));
}

void
bus_options_read(Jsonb *json, BusOptions *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	memset(options, 0, sizeof(BusOptions));
	options->deadline = DT_NOEND;
	if (json == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a dispatch must be a JSON object")));
	if (JB_ROOT_COUNT(json) == 0)
		return;

	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull)
			read_option(name, &value, options);
	}
	if (options->traceparent && !apibase_context_is_traceparent(options->traceparent))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option traceparent of a dispatch is not well-formed"),
				 errhint("See W3C Trace Context: 00-<32 hexadecimal digits>-<16>-<2>.")));
}

/* ---------- one dispatch ---------- */

/* A message by its name: its value is to be made of the payload. */
typedef struct Reading
{
	const BusMessage *message;
	ApibaseInvocation *invocation;
	Jsonb	   *faults;
	bool		isnull;
} Reading;

static void
read_payload(void *arg)
{
	Reading    *reading = arg;

	reading->faults = apibase_payload_read(reading->message->payload, reading->invocation->type, -1,
										   &reading->invocation->message, &reading->isnull);
	/* what fields there are is not for everybody */
	if ((reading->faults || reading->isnull) && reading->invocation->registered->invalid == NULL)
		apibase_callable_check_privilege(reading->invocation->handler);
}

static void
make_err(ApibaseResult *result, int status, int sqlstate, const char *detail, Jsonb *errors)
{
	memset(result, 0, sizeof(ApibaseResult));
	result->error = apibase_problem_make(status, sqlstate, detail, errors);
}

/* Whether there is a message now; otherwise the result says what is wrong with the payload. */
static bool
take_payload(const BusMessage *message, ApibaseInvocation *invocation, ApibaseResult *result)
{
	Reading		reading = {.message = message, .invocation = invocation};
	ErrorData  *error = apibase_try(read_payload, &reading);

	if (error)
		bus_result_of_error(error, apibase_frame_instance(&invocation->frame), result);
	else if (reading.faults)
		make_err(result, 422, SQLSTATE_VALIDATION, "the payload is not valid", reading.faults);
	else if (reading.isnull)
		make_err(result, 422, SQLSTATE_VALIDATION, "the payload must be an object", NULL);
	else
		return true;
	return false;
}

static void
read_key(void *arg)
{
	ApibaseInvocation *invocation = arg;

	invocation->frame.idempotency_key = bus_idempotency_key_of_request();
}

/* Whether it has the idempotency key that it must have; otherwise the result says why not. */
static bool
take_key(const BusMessage *message, ApibaseInvocation *invocation, ApibaseResult *result)
{
	const BusHandler *handler = invocation->registered;
	ErrorData  *error;

	if (handler->kind != APIBASE_COMMAND || handler->idempotency == BUS_IDEMPOTENCY_OFF)
		return true;
	invocation->frame.idempotency_key = message->options.idempotency_key;
	/* The request's is that of the command that the client has sent, not of those that this one dispatches in turn. */
	if (invocation->frame.idempotency_key == NULL && apibase_frame_current() == NULL &&
		apibase_context_header("idempotency-key") != NULL)
	{
		error = apibase_try(read_key, invocation);
		if (error)
		{
			bus_result_of_error(error, apibase_frame_instance(&invocation->frame), result);
			return false;
		}
	}
	if (invocation->frame.idempotency_key == NULL && handler->idempotency == BUS_IDEMPOTENCY_REQUIRED)
	{
		make_err(result, 400, APIBASE_ERRCODE_INVALID_IDEMPOTENCY_KEY,
				 psprintf("%s must have an idempotency key", handler->name), NULL);
		return false;
	}
	return true;
}

static void
count_dispatch(const ApibaseInvocation *invocation, const ApibaseResult *result)
{
	BusOutcome	outcome = result->replayed ? BUS_REPLAYED : !result->ok ? BUS_ERROR : invocation->cached ? BUS_CACHED : BUS_OK;

	if (invocation->registered->stats >= 0)
		bus_stats_count(invocation->registered->stats, outcome, GetCurrentTimestamp() - invocation->frame.time);
}

static void
dispatch_to(BusHandler *handler, const BusMessage *message, ApibaseResult *result)
{
	ApibaseInvocation invocation = {0};
	ApibaseFrame *frame = &invocation.frame;
	bool		by_name = !OidIsValid(message->type);

	frame->kind = message->kind;
	frame->name = handler->name;
	frame->attempt = message->attempt;
	frame->time = GetCurrentTimestamp();
	frame->caller = GetUserId();
	frame->correlation_id = message->options.correlation_id;
	frame->causation_id = message->options.causation_id;
	frame->traceparent = message->options.traceparent;
	frame->deadline = message->options.deadline;
	if (handler->timeout > 0)
		frame->deadline = Min(frame->deadline, frame->time + handler->timeout);
	invocation.registered = handler;
	invocation.handler = &handler->callable;
	invocation.type = handler->type;
	invocation.message = message->value;

	if ((!by_name || take_payload(message, &invocation, result)) && take_key(message, &invocation, result))
	{
		invocation.arg = invocation.message;
		apibase_bus_invoke(&invocation, result);
	}
	count_dispatch(&invocation, result);
}

void
bus_dispatch(BusMessage *message, ApibaseResult *result)
{
	BusRegistry *registry = bus_registry_hold();

	PG_TRY();
	{
		BusHandler *handler;

		if (OidIsValid(message->type))
			handler = bus_registry_find(registry, message->kind, message->type);
		else
			handler = bus_registry_find_name(registry, message->kind, message->name);
		dispatch_to(handler, message, result);
	}
	PG_FINALLY();
	{
		bus_registry_release(registry);
	}
	PG_END_TRY();
}

/* ---------- calls from SQL ---------- */

/* The type of a message must be composite, and have a name. */
static void
pg_attribute_noreturn()
raise_not_composite(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("a message must be a value of a named composite type"),
			 errhint("Cast it to its type.")));
}

/* The type of the message that is the first argument.  The place of the call keeps what is always the same there. */
static Oid
type_of_message(FunctionCallInfo fcinfo)
{
	Oid		   *declared = fcinfo->flinfo->fn_extra;
	Oid			type;

	if (declared == NULL)
	{
		type = get_fn_expr_argtype(fcinfo->flinfo, 0);
		if (OidIsValid(type))
			type = getBaseType(type);
		if (type != RECORDOID && get_typtype(type) != TYPTYPE_COMPOSITE)
			raise_not_composite();
		declared = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Oid));
		*declared = type;
		fcinfo->flinfo->fn_extra = declared;
	}
	if (*declared != RECORDOID)
		return *declared;
	type = HeapTupleHeaderGetTypeId(PG_GETARG_HEAPTUPLEHEADER(0));
	if (type == RECORDOID)
		raise_not_composite();
	return type;
}

static void
pg_attribute_noreturn()
raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what)));
}

void
bus_message_of_call(FunctionCallInfo fcinfo, ApibaseMessageKind kind, bool by_name, int options, BusMessage *message)
{
	memset(message, 0, sizeof(BusMessage));
	message->kind = kind;
	message->attempt = 1;
	if (PG_ARGISNULL(0))
		raise_null(by_name ? "the name of a message" : "a message");
	if (by_name)
	{
		if (PG_ARGISNULL(1))
			raise_null("the payload of a message");
		message->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
		message->payload = PG_GETARG_JSONB_P(1);
	}
	else
	{
		message->type = type_of_message(fcinfo);
		/* It may be handled more than once, and is looked at later. */
		message->value = MakeExpandedObjectReadOnly(PG_GETARG_DATUM(0), false, -1);
	}
	bus_options_read(PG_ARGISNULL(options) ? NULL : PG_GETARG_JSONB_P(options), &message->options);
}

/* Dispatch a command. */
static Datum
dispatch_command(FunctionCallInfo fcinfo, bool by_name, int options)
{
	BusMessage	message;
	ApibaseResult result;

	bus_message_of_call(fcinfo, APIBASE_COMMAND, by_name, options, &message);
	bus_dispatch(&message, &result);
	return apibase_result_datum(&result);
}

/* apibase.command(anyelement, options) */
Datum
apibase_bus_sql_command(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch_command(fcinfo, false, 1));
}

/* apibase.command(name, payload, options) */
Datum
apibase_bus_sql_command_by_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dispatch_command(fcinfo, true, 2));
}
