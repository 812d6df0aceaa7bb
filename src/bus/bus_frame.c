/*-------------------------------------------------------------------------
 *
 * bus_frame.c
 *	  Frames: the metadata of the messages that are being handled.
 *
 * Frames are a stack, linked through the C stack of those who handle them.
 * Most dispatches are never asked for their metadata, so nothing of it is made
 * before: no id is drawn, no header read.  What was made is not kept either,
 * but for the id, which must stay the same: whatever else is asked for is found
 * again in the frames or in the request, and memory is only used where it is wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "bus/bus_impl.h"
#include "context/context.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/uuid.h"

/* Columns of apibase.dispatch. */
enum
{
	DISPATCH_ID,
	DISPATCH_KIND,
	DISPATCH_NAME,
	DISPATCH_DEPTH,
	DISPATCH_ATTEMPT,
	DISPATCH_TIME,
	DISPATCH_CORRELATION_ID,
	DISPATCH_CAUSATION_ID,
	DISPATCH_CALLER,
	DISPATCH_CLAIMS,
	DISPATCH_TRACEPARENT,
	DISPATCH_DEADLINE,
	DISPATCH_IDEMPOTENCY_KEY,
	DISPATCH_NCOLUMNS
};

PG_FUNCTION_INFO_V1(apibase_bus_sql_current_dispatch);
PG_FUNCTION_INFO_V1(apibase_bus_sql_correlation_id);
PG_FUNCTION_INFO_V1(apibase_bus_sql_causation_id);
PG_FUNCTION_INFO_V1(apibase_bus_sql_deadline);

static ApibaseFrame *innermost;

/* ---------- the stack ---------- */

/* The names of the frames, outermost first; of the frames inside of one, and of that, if it is not NULL. */
static void
append_chain(StringInfo chain, const ApibaseFrame *frame, const ApibaseFrame *first)
{
	if (frame == NULL)
		return;
	if (frame != first)
		append_chain(chain, frame->outer, first);
	appendStringInfo(chain, "%s -> ", frame->name);
}

static void
pg_attribute_noreturn()
raise_too_deep(const ApibaseFrame *frame)
{
	StringInfoData chain;
	const ApibaseFrame *same = innermost;

	while (same != NULL && strcmp(same->name, frame->name) != 0)
		same = same->outer;
	initStringInfo(&chain);
	append_chain(&chain, innermost, same);
	appendStringInfoString(&chain, frame->name);

	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_DISPATCH_TOO_DEEP),
			 same ? errmsg("handlers call each other in a cycle")
			 : errmsg("handlers call each other more than %d deep", bus_max_depth),
			 errdetail("%s", chain.data),
			 errhint("The limit is apibase.dispatch_max_depth, which is %d.", bus_max_depth)));
}

void
apibase_frame_push(ApibaseFrame *frame)
{
	frame->depth = innermost ? innermost->depth + 1 : 1;
	if (frame->depth > bus_max_depth)
		raise_too_deep(frame);
	frame->outer = innermost;
	innermost = frame;
}

void
apibase_frame_pop(ApibaseFrame *frame)
{
	Assert(innermost == frame);
	innermost = frame->outer;
}

ApibaseFrame *
apibase_frame_current(void)
{
	return innermost;
}

/* ---------- metadata ---------- */

const pg_uuid_t *
apibase_frame_id(ApibaseFrame *frame)
{
	if (!frame->has_id)
	{
		apibase_uuid7(&frame->id);
		frame->has_id = true;
	}
	return &frame->id;
}

const char *
apibase_frame_correlation_id(ApibaseFrame *frame)
{
	for (; frame != NULL; frame = frame->outer)
	{
		if (frame->correlation_id)
			return frame->correlation_id;
	}
	return apibase_context_request_id();
}

const char *
apibase_frame_causation_id(ApibaseFrame *frame)
{
	if (frame == NULL)
		return NULL;
	if (frame->causation_id)
		return frame->causation_id;
	return frame->outer ? apibase_uuid_text(apibase_frame_id(frame->outer)) : NULL;
}

const char *
apibase_frame_traceparent(ApibaseFrame *frame)
{
	for (; frame != NULL; frame = frame->outer)
	{
		if (frame->traceparent)
			return frame->traceparent;
	}
	return apibase_context_traceparent();
}

char *
apibase_frame_instance(ApibaseFrame *frame)
{
	return psprintf("urn:uuid:%s", apibase_uuid_text(apibase_frame_id(frame)));
}

/* ---------- as SQL sees it ---------- */

const char *
bus_kind_word(ApibaseMessageKind kind)
{
	return kind == APIBASE_COMMAND ? "command" : kind == APIBASE_QUERY ? "query" : "event";
}

Oid
bus_dispatch_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("dispatch"),
						   ObjectIdGetDatum(get_namespace_oid("apibase", false)));
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text)
		values[column] = CStringGetTextDatum(text);
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	nulls[column] = time == DT_NOEND;
	values[column] = TimestampTzGetDatum(time);
}

Datum
apibase_frame_datum(ApibaseFrame *frame)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(bus_dispatch_type(), -1);
	Jsonb	   *claims = apibase_context_document(APIBASE_CONTEXT_CLAIMS);
	Datum		values[DISPATCH_NCOLUMNS];
	bool		nulls[DISPATCH_NCOLUMNS] = {0};
	HeapTuple	tuple;

	Assert(desc->natts == DISPATCH_NCOLUMNS);
	values[DISPATCH_ID] = UUIDPGetDatum(apibase_frame_id(frame));
	set_text(values, nulls, DISPATCH_KIND, bus_kind_word(frame->kind));
	set_text(values, nulls, DISPATCH_NAME, frame->name);
	values[DISPATCH_DEPTH] = Int32GetDatum(frame->depth);
	values[DISPATCH_ATTEMPT] = Int32GetDatum(frame->attempt);
	set_time(values, nulls, DISPATCH_TIME, frame->time);
	set_text(values, nulls, DISPATCH_CORRELATION_ID, apibase_frame_correlation_id(frame));
	set_text(values, nulls, DISPATCH_CAUSATION_ID, apibase_frame_causation_id(frame));
	set_text(values, nulls, DISPATCH_CALLER, GetUserNameFromId(frame->caller, false));
	nulls[DISPATCH_CLAIMS] = claims == NULL;
	values[DISPATCH_CLAIMS] = JsonbPGetDatum(claims);
	set_text(values, nulls, DISPATCH_TRACEPARENT, apibase_frame_traceparent(frame));
	set_time(values, nulls, DISPATCH_DEADLINE, frame->deadline);
	set_text(values, nulls, DISPATCH_IDEMPOTENCY_KEY, frame->idempotency_key);

	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* apibase.current_dispatch() */
Datum
apibase_bus_sql_current_dispatch(PG_FUNCTION_ARGS)
{
	if (innermost == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(apibase_frame_datum(innermost));
}

/* apibase.correlation_id() */
Datum
apibase_bus_sql_correlation_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(apibase_frame_correlation_id(innermost)));
}

/* apibase.causation_id() */
Datum
apibase_bus_sql_causation_id(PG_FUNCTION_ARGS)
{
	const char *id = apibase_frame_causation_id(innermost);

	if (id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/* apibase.deadline() */
Datum
apibase_bus_sql_deadline(PG_FUNCTION_ARGS)
{
	if (innermost == NULL || innermost->deadline == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(innermost->deadline);
}
