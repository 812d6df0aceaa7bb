/*-------------------------------------------------------------------------
 *
 * cache_track.c
 *	  What a computation reads: relations, and values of the cache.
 *
 * Relations are taken from the plans that start, which list all that they
 * depend on.  A function that a plan calls starts its own plans, in this
 * process, so they are seen as well; in a parallel worker they would not be,
 * and so a plan with any function that is not built in runs without workers
 * while it is tracked.
 *
 * Not seen: what C functions read without the executor, and what is read
 * from a cursor that was opened before.  Left out: system catalogs.  They
 * cannot be watched, and so many queries read them through views that nobody
 * would read a NOTICE about it any more; what is computed from them lives for
 * its time to live.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_track.h"

#include "cache/cache.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static CacheTracking *current;	/* the innermost */
static ExecutorStart_hook_type next_ExecutorStart;

/* ---- tags ---- */

char *
cache_tag_of_relation(Oid relation)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));
	char	   *name = get_rel_name(relation);
	bool		quote_all = quote_all_identifiers;

	if (name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relation);
	/* The tag is the same in all sessions. */
	quote_all_identifiers = false;
	PG_TRY();
	{
		name = quote_qualified_identifier(schema, name);
	}
	PG_FINALLY();
	{
		quote_all_identifiers = quote_all;
	}
	PG_END_TRY();
	return name;
}

char *
cache_oid_tag(Oid relation)
{
	return psprintf("oid:%u", relation);
}

/* Add a tag, unless it is there. */
static void
add_tag(CacheTracking *tracking, const char *tag)
{
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, tracking->tags)
	{
		if (strcmp(lfirst(lc), tag) == 0)
			return;
	}
	old = MemoryContextSwitchTo(tracking->context);
	tracking->tags = lappend(tracking->tags, pstrdup(tag));
	MemoryContextSwitchTo(old);
}

/* The cache has given a value that depends on these tags, each terminated. */
static void
tags_read(const char *tags, Size tags_len)
{
	for (const char *tag = tags; tag < tags + tags_len; tag += strlen(tag) + 1)
	{
		if (strcmp(tag, CACHE_ROW_SECURITY_TAG) == 0)
			current->row_security = true;
		else
			add_tag(current, tag);
	}
}

/* ---- relations ---- */

/*
 * Whether a relation has the triggers of cache_watch() for statements, and
 * all of them fire whatever session_replication_role is: DISABLE TRIGGER ALL
 * and ENABLE TRIGGER ALL leave them so that they do not.  What a materialized
 * view shows changes by DDL only, which the event trigger sees.
 */
static bool
is_watched(Relation rel)
{
	oidvector  *no_arguments = buildoidvector(NULL, 0);
	bool		watched = false;
	Oid			watch_trigger;

	if (rel->rd_rel->relkind == RELKIND_MATVIEW)
		return true;
	if (rel->trigdesc == NULL)
		return false;
	watch_trigger = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("cache_watch_trigger"),
									PointerGetDatum(no_arguments),
									ObjectIdGetDatum(get_namespace_oid("apibase", true)));
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid != watch_trigger || TRIGGER_FOR_ROW(trigger->tgtype))
			continue;
		if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			return false;
		watched = true;
	}
	return watched;
}

/* Say that a relation is not watched, once in a session. */
static void
notice_unwatched(Relation rel)
{
	static List *noticed = NIL;
	char	   *name = cache_tag_of_relation(RelationGetRelid(rel));
	MemoryContext old;

	if (list_member_oid(noticed, RelationGetRelid(rel)))
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	noticed = lappend_oid(noticed, RelationGetRelid(rel));
	MemoryContextSwitchTo(old);
	ereport(NOTICE,
			(errmsg("a cached value depends on %s, whose changes the cache does not see", name),
			 errhint("Call apibase.cache_watch(%s) once.", quote_literal_cstr(name))));
}

List *
cache_ancestors(Oid relation)
{
	List	   *result = list_make1_oid(relation);
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	ListCell   *lc;

	foreach(lc, result)			/* it grows meanwhile */
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(lfirst_oid(lc)));
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			result = list_append_unique_oid(result, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	return result;
}

/* Whether a relation has rows of its own: a view has those of others, and a constant may name an index. */
static bool
has_rows(Relation rel)
{
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			return true;
		default:
			return false;
	}
}

/* Say so if nobody watches a relation. */
static void
check_watched(Relation rel)
{
	if (!is_watched(rel))
		notice_unwatched(rel);
}

/*
 * Add the tag of a table that is read.  A write invalidates the tags of all
 * that it may concern, up and down the tree; so a child whose parent is read
 * as well needs none of its own, and one that is read alone depends on the
 * triggers of its parents.
 */
static void
add_table(CacheTracking *tracking, Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	List	   *ancestors = list_delete_first(cache_ancestors(relid));
	ListCell   *lc;

	check_watched(rel);
	if (rel->rd_rel->relrowsecurity)
		tracking->row_security = true;
	foreach(lc, ancestors)
	{
		if (list_member_oid(tracking->relations, lfirst_oid(lc)))
			return;
	}
	add_tag(tracking, cache_oid_tag(relid));
	foreach(lc, ancestors)
	{
		Relation	ancestor = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (ancestor == NULL)
			continue;
		check_watched(ancestor);
		relation_close(ancestor, AccessShareLock);
	}
}

static void
add_relation(CacheTracking *tracking, Oid relid)
{
	MemoryContext old;
	Relation	rel;

	if (relid < FirstNormalObjectId || list_member_oid(tracking->relations, relid))
		return;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		return;
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		tracking->temporary = true;
	else if (has_rows(rel))
		add_table(tracking, rel);
	else if (rel->rd_rel->relkind == RELKIND_VIEW)
		add_tag(tracking, cache_oid_tag(relid));	/* it may be replaced */
	relation_close(rel, AccessShareLock);

	old = MemoryContextSwitchTo(tracking->context);
	tracking->relations = lappend_oid(tracking->relations, relid);
	MemoryContextSwitchTo(old);
}

/* ---- the hook ---- */

/*
 * Keep a plan from using workers if it calls a function that is not built in,
 * by a copy of its head that says that it needs none: a Gather does the work
 * itself then.  The plan may be a cached one, so it is not changed.  The copy
 * lives as long as the QueryDesc, which was allocated just before.
 */
static void
keep_serial(QueryDesc *queryDesc)
{
	PlannedStmt *plan = queryDesc->plannedstmt;
	ListCell   *lc;

	if (!plan->parallelModeNeeded)
		return;
	foreach(lc, plan->invalItems)
	{
		if (lfirst_node(PlanInvalItem, lc)->cacheId == PROCOID)
		{
			queryDesc->plannedstmt = palloc(sizeof(PlannedStmt));
			*queryDesc->plannedstmt = *plan;
			queryDesc->plannedstmt->parallelModeNeeded = false;
			return;
		}
	}
}

static void
track_ExecutorStart(QueryDesc *queryDesc, int eflags)
{
	bool		track = current != NULL && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0;

	if (track)
		keep_serial(queryDesc);
	if (next_ExecutorStart)
		next_ExecutorStart(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
	if (track)
	{
		ListCell   *lc;

		foreach(lc, queryDesc->plannedstmt->relationOids)
			add_relation(current, lfirst_oid(lc));
		if (queryDesc->plannedstmt->dependsOnRole)
			current->row_security = true;
	}
}

void
cache_track_install(void)
{
	next_ExecutorStart = ExecutorStart_hook;
	ExecutorStart_hook = track_ExecutorStart;
}

/* ---- trackings ---- */

void
cache_track_begin(CacheTracking *tracking)
{
	memset(tracking, 0, sizeof(CacheTracking));
	tracking->outer = current;
	tracking->context = CurrentMemoryContext;
	current = tracking;
	apibase_cache_tags_read = tags_read;
}

/* Allocates, so it may fail, but only after the tracking has ended. */
void
cache_track_end(CacheTracking *tracking)
{
	CacheTracking *outer = tracking->outer;
	MemoryContext old;
	ListCell   *lc;

	current = outer;
	if (outer == NULL)
	{
		apibase_cache_tags_read = NULL;
		return;
	}
	old = MemoryContextSwitchTo(outer->context);
	outer->relations = list_concat_unique_oid(outer->relations, tracking->relations);
	MemoryContextSwitchTo(old);
	foreach(lc, tracking->tags)
		add_tag(outer, lfirst(lc));
	outer->temporary |= tracking->temporary;
	outer->row_security |= tracking->row_security;
}
