/*-------------------------------------------------------------------------
 *
 * events_table.c
 *	  The tables of the module: which they are, and inserting a row.
 *
 * emit() is to cost little more than an INSERT, so rows go to the tables
 * without a statement: as those of logical replication do (ExecSimpleRelationInsert),
 * with constraints, indexes and row triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "events/events_impl.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static const struct
{
	const char *schema;
	const char *name;
}			relations[EVENTS_NRELATIONS] = {
	[EVENTS_OUTBOX] = {"apibase", "outbox"},
	[EVENTS_OUTBOX_KEY] = {"apibase", "outbox_pkey"},
	[EVENTS_FAILURES] = {"apibase", "event_failures"},
	[EVENTS_COMMIT] = {"apibase_internal", "outbox_commit"},
	[EVENTS_COMMIT_KEY] = {"apibase_internal", "outbox_commit_pkey"},
	[EVENTS_CONSUMER] = {"apibase_internal", "outbox_consumer"},
	[EVENTS_CONSUMER_KEY] = {"apibase_internal", "outbox_consumer_pkey"},
	[EVENTS_POSITION] = {"apibase_internal", "outbox_position"},
	[EVENTS_BATCH] = {"apibase_internal", "outbox_batch"},
};

static Oid	oids[EVENTS_NRELATIONS];	/* InvalidOid: to be looked up */

/* ---------- which they are ---------- */

static void
relation_changed(Datum arg, Oid relid)
{
	for (int i = 0; i < EVENTS_NRELATIONS; i++)
	{
		if (relid == InvalidOid || oids[i] == relid)
			oids[i] = InvalidOid;
	}
}

Oid
events_relation(EventsRelation which)
{
	static bool registered = false;
	Oid			found = oids[which];

	if (OidIsValid(found))
		return found;
	if (!registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		registered = true;
	}
	found = get_relname_relid(relations[which].name, get_namespace_oid(relations[which].schema, false));
	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", relations[which].schema, relations[which].name)));
	return oids[which] = found;
}

Oid
events_outbox_type(void)
{
	return get_rel_type_id(events_relation(EVENTS_OUTBOX));
}

/* ---------- rows ---------- */

/* The values of all columns. */
static void
fill_columns(Relation rel, const Datum *values, const bool *nulls, int nvalues, Datum *all_values, bool *all_nulls)
{
	int			natts = RelationGetDescr(rel)->natts;

	if (natts < nvalues)
		elog(ERROR, "table \"%s\" has %d columns, not %d", RelationGetRelationName(rel), natts, nvalues);
	memcpy(all_values, values, nvalues * sizeof(Datum));
	memcpy(all_nulls, nulls, nvalues * sizeof(bool));
	for (int i = nvalues; i < natts; i++)
	{
		all_values[i] = (Datum) 0;
		all_nulls[i] = true;
	}
}

static void
insert_row(Relation rel, const Datum *values, const bool *nulls, int nvalues)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);
	bool		has_triggers = rel->trigdesc != NULL;
	TupleTableSlot *slot;

	/* 0: it is in no range table, which only messages about constraints would look into */
	InitResultRelInfo(target, rel, 0, NULL, 0);
	estate->es_opened_result_relations = list_make1(target);
	estate->es_output_cid = GetCurrentCommandId(true);
	ExecOpenIndices(target, false);
	slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(rel), &TTSOpsVirtual);
	fill_columns(rel, values, nulls, nvalues, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);

	/* in a commit there is none */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (has_triggers)
		AfterTriggerBeginQuery();
	ExecSimpleRelationInsert(target, estate, slot);
	if (has_triggers)
		AfterTriggerEndQuery(estate);
	PopActiveSnapshot();

	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseIndices(target);
	FreeExecutorState(estate);
}

void
events_insert(EventsRelation table, const Datum *values, const bool *nulls, int nvalues)
{
	Relation	rel = table_open(events_relation(table), RowExclusiveLock);
	Oid			user;
	int			security;

	/* triggers, if somebody has added any; an error restores it, too */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(rel->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
	insert_row(rel, values, nulls, nvalues);
	SetUserIdAndSecContext(user, security);
	table_close(rel, NoLock);
}

Datum
events_row_datum(EventsRelation table, const Datum *values, const bool *nulls, int nvalues)
{
	Relation	rel = table_open(events_relation(table), AccessShareLock);
	int			natts = RelationGetDescr(rel)->natts;
	Datum	   *all_values = palloc(natts * sizeof(Datum));
	bool	   *all_nulls = palloc(natts * sizeof(bool));
	Datum		row;

	fill_columns(rel, values, nulls, nvalues, all_values, all_nulls);
	row = heap_copy_tuple_as_datum(heap_form_tuple(RelationGetDescr(rel), all_values, all_nulls), RelationGetDescr(rel));
	table_close(rel, NoLock);
	return row;
}
