/*-------------------------------------------------------------------------
 *
 * events_record.c
 *	  Events that accumulate for an aggregate before they are emitted.
 *
 * They are kept in memory until they are emitted or cleared, or the transaction
 * ends.  All are in one list in the order in which they were recorded, each with the
 * nesting level of the subtransaction that recorded it, and of that which took it
 * away (0: none has).  When a subtransaction commits, its level becomes its
 * parent's; when it aborts, what it recorded is cut off the end of the list,
 * and what it took away is there again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "events/events_impl.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(apibase_events_sql_record);
PG_FUNCTION_INFO_V1(apibase_events_sql_recorded);
PG_FUNCTION_INFO_V1(apibase_events_sql_clear_recorded);
PG_FUNCTION_INFO_V1(apibase_events_sql_emit_recorded);

typedef struct Recorded
{
	char	   *aggregate_type;
	char	   *aggregate_id;
	Oid			type;
	uint32		layout;			/* of the type, as a hash value */
	HeapTupleHeader event;
	Jsonb	   *payload;
	char	   *name;			/* of the type, when it was recorded */
	int			level;			/* of the subtransaction that recorded it */
	int			taken;			/* and took it away; 0: it is there */
} Recorded;

static List *recorded;			/* of Recorded *, in the transaction's memory */
static int	ntaken;				/* those with taken set */

/* ---------- subtransactions ---------- */

static void
free_recorded(Recorded *event)
{
	pfree(event->aggregate_type);
	pfree(event->aggregate_id);
	pfree(event->event);
	pfree(event->payload);
	pfree(event->name);
	pfree(event);
}

/* Those of this level are at the end: a subtransaction that is still open is the innermost. */
static void
end_level(int level, bool commit)
{
	for (int i = list_length(recorded) - 1; i >= 0; i--)
	{
		Recorded   *event = list_nth(recorded, i);

		if (event->level < level)
			break;
		if (commit)
			event->level = level - 1;
		else
		{
			ntaken -= event->taken != 0;
			recorded = list_truncate(recorded, i);
			free_recorded(event);
		}
	}
}

/* What has been taken away at this level; at the outermost one it is gone. */
static void
end_taken(int level, bool commit)
{
	ListCell   *lc;

	foreach(lc, recorded)
	{
		Recorded   *event = lfirst(lc);

		if (event->taken == 0 || event->taken < level)
			continue;
		if (!commit)
		{
			event->taken = 0;
			ntaken--;
		}
		else if (level > 2)
			event->taken = level - 1;
		else
		{
			recorded = foreach_delete_current(recorded, lc);
			free_recorded(event);
			ntaken--;
		}
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (recorded == NIL || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	end_level(level, event == SUBXACT_EVENT_COMMIT_SUB);
	if (ntaken > 0)
		end_taken(level, event == SUBXACT_EVENT_COMMIT_SUB);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (list_length(recorded) > ntaken)
				ereport(WARNING,
						(errmsg("events were recorded and not emitted"),
						 errdetail("They are lost: %d.", list_length(recorded) - ntaken),
						 errhint("Call apibase.emit_recorded() or apibase.clear_recorded() before the commit.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			recorded = NIL;
			ntaken = 0;
			break;
		default:
			break;
	}
}

/* ---------- the list ---------- */

static void
append_event(Recorded *event)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	recorded = lappend(recorded, event);
}

static bool
is_of(const Recorded *event, const char *aggregate_type, const char *aggregate_id)
{
	return event->taken == 0 && strcmp(event->aggregate_id, aggregate_id) == 0 &&
		strcmp(event->aggregate_type, aggregate_type) == 0;
}

/* The events of an aggregate that are there, of Recorded *; copied as far as it is needed when they are taken away. */
static List *
find_events(const char *aggregate_type, const char *aggregate_id, bool take)
{
	int			level = GetCurrentTransactionNestLevel();
	List	   *found = NIL;
	ListCell   *lc;

	foreach(lc, recorded)
	{
		Recorded   *event = lfirst(lc);
		Recorded   *copy;

		if (!is_of(event, aggregate_type, aggregate_id))
			continue;
		copy = palloc(sizeof(Recorded));
		*copy = *event;
		found = lappend(found, copy);
		if (!take)
			continue;
		copy->event = DatumGetHeapTupleHeaderCopy(HeapTupleHeaderGetDatum(event->event));
		copy->payload = (Jsonb *) DatumGetPointer(datumCopy(JsonbPGetDatum(event->payload), false, -1));
		copy->name = pstrdup(event->name);
		if (level > 1)
		{
			event->taken = level;
			ntaken++;
		}
		else
		{
			recorded = foreach_delete_current(recorded, lc);
			free_recorded(event);
		}
	}
	return found;
}

/* ---------- SQL ---------- */

/* The types of the fields of a type, dropped ones too: what a value of it consists of. */
static uint32
layout_of(Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	uint32		hash = 0;

	for (int i = 0; i < desc->natts; i++)
		hash = hash_combine(hash, murmurhash32(TupleDescAttr(desc, i)->atttypid));
	ReleaseTupleDesc(desc);
	return hash;
}

/* record_event(text, text, anyelement) */
Datum
apibase_events_sql_record(PG_FUNCTION_ARGS)
{
	Oid			type = events_argument_type(fcinfo, 2);
	HeapTupleHeader event = PG_GETARG_HEAPTUPLEHEADER(2);
	ApibaseToJsonb to_jsonb;
	MemoryContext old;
	Jsonb	   *payload;
	Recorded   *entry;

	PreventCommandIfReadOnly("record_event()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an aggregate has a type and an id")));
	if (list_length(recorded) - ntaken >= events_recorded_max)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many events are recorded and not emitted"),
				 errdetail("Setting apibase.recorded_events_max is %d.", events_recorded_max)));
	apibase_to_jsonb_prepare(&to_jsonb, type, CurrentMemoryContext);
	payload = apibase_to_jsonb(&to_jsonb, HeapTupleHeaderGetDatum(event), false);

	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc0(sizeof(Recorded));
	entry->aggregate_type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	entry->aggregate_id = text_to_cstring(PG_GETARG_TEXT_PP(1));
	entry->type = type;
	entry->layout = layout_of(type);
	entry->event = DatumGetHeapTupleHeaderCopy(HeapTupleHeaderGetDatum(event));
	entry->payload = (Jsonb *) DatumGetPointer(datumCopy(JsonbPGetDatum(payload), false, -1));
	entry->name = format_type_be_qualified(type);
	entry->level = GetCurrentTransactionNestLevel();
	append_event(entry);
	MemoryContextSwitchTo(old);
	PG_RETURN_VOID();
}

/* {"type": name, "data": payload} */
static Jsonb *
document_of(const Recorded *event)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.type = jbvString;
	value.val.string.val = "type";
	value.val.string.len = 4;
	pushJsonbValue(&state, WJB_KEY, &value);
	value.val.string.val = event->name;
	value.val.string.len = strlen(event->name);
	pushJsonbValue(&state, WJB_VALUE, &value);
	value.val.string.val = "data";
	value.val.string.len = 4;
	pushJsonbValue(&state, WJB_KEY, &value);
	value.type = jbvBinary;
	value.val.binary.data = &event->payload->root;
	value.val.binary.len = VARSIZE(event->payload) - VARHDRSZ;
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static Datum
return_documents(FunctionCallInfo fcinfo, bool take)
{
	ReturnSetInfo *rsinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, find_events(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)), take))
	{
		Datum		value = JsonbPGetDatum(document_of(lfirst(lc)));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/* recorded_events(text, text) */
Datum
apibase_events_sql_recorded(PG_FUNCTION_ARGS)
{
	return return_documents(fcinfo, false);
}

/* clear_recorded(text, text) */
Datum
apibase_events_sql_clear_recorded(PG_FUNCTION_ARGS)
{
	return return_documents(fcinfo, true);
}

/* emit_recorded(text, text): what is recorded while these are emitted stays */
Datum
apibase_events_sql_emit_recorded(PG_FUNCTION_ARGS)
{
	EventsOptions options = {.aggregate_type = text_to_cstring(PG_GETARG_TEXT_PP(0)), .aggregate_id = text_to_cstring(PG_GETARG_TEXT_PP(1))};
	ReturnSetInfo *rsinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, find_events(options.aggregate_type, options.aggregate_id, true))
	{
		const Recorded *event = lfirst(lc);
		pg_uuid_t	id;
		Datum		value = UUIDPGetDatum(&id);
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (layout_of(event->type) != event->layout)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("type %s was changed after an event of it was recorded", event->name)));
		id = events_emit(HeapTupleHeaderGetDatum(event->event), event->type, event->payload, &options);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}
