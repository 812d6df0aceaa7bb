/*-------------------------------------------------------------------------
 *
 * events_outbox.c
 *	  Reading the outbox in the order of commits.
 *
 * The keys of two tables are followed: that of the commits from the position
 * that the consumer has acknowledged, and for each commit that of the outbox from its first
 * event.  No plan is made that statistics could turn into something else, so a
 * read costs what it returns, whatever has been before.
 *
 * It is done with the rights of this function: who may execute it may see all events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/shmem.h"
#include "events/events_impl.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(apibase_events_sql_outbox_read);
PG_FUNCTION_INFO_V1(apibase_events_sql_outbox_check);
PG_FUNCTION_INFO_V1(apibase_events_sql_outbox_horizon);

/* Columns of apibase_internal.outbox_commit and outbox_consumer. */
#define COMMIT_POSITION		1
#define COMMIT_BATCH		2
#define CONSUMER_NAME		1
#define CONSUMER_ACKNOWLEDGED	2

/* A table and its key, open. */
typedef struct Source
{
	Relation	rel;
	Relation	index;
} Source;

typedef struct Reading
{
	ReturnSetInfo *rsinfo;
	Snapshot	snapshot;
	Source		outbox;
	MemoryContext row_context;
	int64		after;			/* a position as users see it */
	int64		horizon;		/* a position of a commit */
	int			left;			/* of max_events */
} Reading;

static void
open_source(Source *source, EventsRelation table, EventsRelation key)
{
	source->rel = table_open(events_relation(table), AccessShareLock);
	source->index = index_open(events_relation(key), AccessShareLock);
}

static void
close_source(Source *source)
{
	index_close(source->index, AccessShareLock);
	table_close(source->rel, AccessShareLock);
}

static int64
get_int64(HeapTuple tuple, AttrNumber attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, desc, &isnull);

	if (isnull)
		elog(ERROR, "column %d of the outbox is null", attno);
	return DatumGetInt64(value);
}

/* What a consumer has acknowledged, 0 for an unknown one. */
static int64
acknowledged(text *consumer, Snapshot snapshot)
{
	Source		consumers;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		position = 0;

	open_source(&consumers, EVENTS_CONSUMER, EVENTS_CONSUMER_KEY);
	/* the column has the collation C, which this takes */
	ScanKeyInit(&key, CONSUMER_NAME, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(consumer));
	scan = systable_beginscan_ordered(consumers.rel, consumers.index, snapshot, 1, &key);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	if (HeapTupleIsValid(tuple))
		position = get_int64(tuple, CONSUMER_ACKNOWLEDGED, RelationGetDescr(consumers.rel));
	systable_endscan_ordered(scan);
	close_source(&consumers);
	return position;
}

/* What was acknowledged had been read, so the sequence was there; otherwise new events would never be read. */
static void
check_acknowledged(int64 position)
{
	if (position >> EVENTS_BATCH_BITS > events_last_drawn())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sequence of positions in the outbox went back"),
				 errdetail("Position %lld was acknowledged, and has not been drawn.", (long long) position),
				 errhint("Set sequence apibase_internal.outbox_position to the highest position that was drawn.")));
}

/* The events of a batch from an ordinal on. */
static void
read_batch(Reading *reading, int64 position, int64 batch, int32 from)
{
	TupleDesc	desc = RelationGetDescr(reading->outbox.rel);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], OUTBOX_BATCH + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(batch));
	ScanKeyInit(&keys[1], OUTBOX_ORDINAL + 1, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(from));
	scan = systable_beginscan_ordered(reading->outbox.rel, reading->outbox.index, reading->snapshot, 2, keys);
	while (reading->left > 0 && HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		MemoryContext old = MemoryContextSwitchTo(reading->row_context);
		bool		isnull;
		int32		ordinal = DatumGetInt32(heap_getattr(tuple, OUTBOX_ORDINAL + 1, desc, &isnull));
		Datum		values[2];
		bool		nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int64GetDatum((position << EVENTS_BATCH_BITS) + ordinal);
		values[1] = heap_copy_tuple_as_datum(tuple, desc);
		tuplestore_putvalues(reading->rsinfo->setResult, reading->rsinfo->setDesc, values, nulls);
		reading->left--;
		MemoryContextSwitchTo(old);
		MemoryContextReset(reading->row_context);
	}
	systable_endscan_ordered(scan);
}

static void
read_commits(Reading *reading)
{
	int64		from = reading->after >> EVENTS_BATCH_BITS;
	Source		commits;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	open_source(&commits, EVENTS_COMMIT, EVENTS_COMMIT_KEY);
	ScanKeyInit(&keys[0], COMMIT_POSITION, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(from));
	ScanKeyInit(&keys[1], COMMIT_POSITION, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(reading->horizon));
	scan = systable_beginscan_ordered(commits.rel, commits.index, reading->snapshot, 2, keys);
	while (reading->left > 0 && HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		int64		position = get_int64(tuple, COMMIT_POSITION, RelationGetDescr(commits.rel));
		int64		batch = get_int64(tuple, COMMIT_BATCH, RelationGetDescr(commits.rel));
		int32		first = 0;

		CHECK_FOR_INTERRUPTS();
		if (position == from)
			first = (int32) (reading->after & (EVENTS_BATCH_SIZE - 1)) + 1;
		read_batch(reading, position, batch, first);
	}
	systable_endscan_ordered(scan);
	close_source(&commits);
}

Datum
apibase_events_sql_outbox_read(PG_FUNCTION_ARGS)
{
	text	   *consumer = PG_GETARG_TEXT_PP(0);
	Reading		reading = {.left = PG_GETARG_INT32(1)};

	if (reading.left < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	InitMaterializedSRF(fcinfo, 0);
	reading.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	/* the order of these two matters; the snapshot is new in every isolation level */
	reading.horizon = events_horizon();
	reading.snapshot = RegisterSnapshot(GetLatestSnapshot());

	reading.after = acknowledged(consumer, reading.snapshot);
	check_acknowledged(reading.after);
	reading.row_context = AllocSetContextCreate(CurrentMemoryContext, "apibase outbox row", ALLOCSET_DEFAULT_SIZES);
	open_source(&reading.outbox, EVENTS_OUTBOX, EVENTS_OUTBOX_KEY);
	read_commits(&reading);
	close_source(&reading.outbox);
	MemoryContextDelete(reading.row_context);
	UnregisterSnapshot(reading.snapshot);
	return (Datum) 0;
}

/* A position that can have been read, as it is; PB062 for any other. */
Datum
apibase_events_sql_outbox_check(PG_FUNCTION_ARGS)
{
	int64		position = PG_GETARG_INT64(0);
	int64		reached = events_reached();

	if (position < 0 || position >> EVENTS_BATCH_BITS > reached)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_OUTBOX_POSITION),
				 errmsg("position %lld of the outbox cannot have been read", (long long) position),
				 position < 0 ? errdetail("Positions are not negative.") :
				 errdetail("Events can be read up to position %lld now.",
						   (long long) ((reached + 1) << EVENTS_BATCH_BITS) - 1)));
	PG_RETURN_INT64(position);
}

/* The last position that can be read, as users see it; NULL where nothing can be read. */
Datum
apibase_events_sql_outbox_horizon(PG_FUNCTION_ARGS)
{
	if (RecoveryInProgress() || !apibase_shmem_available())
		PG_RETURN_NULL();
	PG_RETURN_INT64(((events_horizon() + 1) << EVENTS_BATCH_BITS) - 1);
}
