/*-------------------------------------------------------------------------
 *
 * cache_watch.c
 *	  The triggers that invalidate tags when a table is written or changed.
 *
 * cache_watch() makes three kinds of AFTER triggers with one function:
 *
 *	- Without rows, one for all statements.  It invalidates the tags of the
 *	  table and the one for all its rows.
 *	- With rows, one for each kind of statement, with transition tables.  They
 *	  invalidate the tags of the table and of each row.
 *	- For each row, only on behalf of logical replication, whose apply worker
 *	  runs no statements, and only where a subscription writes the table.  Its
 *	  argument says whether rows have tags.
 *
 * A statement fires the triggers of the table that it names, and may write
 * tables that inherit from it; and what is written is seen in those that it
 * inherits from.  So the tags of all of these, its family, are concerned.  A
 * row has a tag in its own table and in each that this inherits from, made
 * from the primary key there; in which of the tables that inherit a row is, a
 * trigger is not told, so all their rows are concerned.
 *
 * What there is to do for a table is kept by each backend until a member of
 * its family changes.
 *
 * DDL fires no triggers of tables.  What was computed from a relation whose
 * definition changes is invalidated by an event trigger at the end of the
 * command, as far as the relation is then there.  What is dropped is looked
 * at before, by a hook: afterwards nobody knows any more which table a policy
 * was on, or what a partition belonged to.  Neither concerns the catalogs: a
 * value that was computed from them is not invalidated (cache_track.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_config.h"
#include "cache/cache_track.h"
#include "cache/cache_watch.h"
#include "cache/cache_xact.h"
#include "core/compat.h"
#include "core/shmem.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(apibase_cache_namespaces_changed);
PG_FUNCTION_INFO_V1(apibase_cache_watch_trigger);
PG_FUNCTION_INFO_V1(apibase_cache_invalidate_relation);
PG_FUNCTION_INFO_V1(apibase_cache_ddl_end);

/* A column of a primary key. */
typedef struct KeyColumn
{
	AttrNumber	attno;			/* in the table with the trigger */
	FmgrInfo	output;
} KeyColumn;

/* A table of the family whose rows the trigger can name. */
typedef struct RowTags
{
	char	   *prefix;			/* schema.table: */
	char	   *all;			/* of all rows: schema.table:* */
	KeyColumn  *columns;
	int			ncolumns;
} RowTags;

typedef struct Family
{
	Oid			relid;			/* the table with the trigger */
	bool		valid;
	MemoryContext context;		/* of what follows */
	List	   *members;		/* OIDs */
	List	   *tags;			/* char *: concerned by every write */
	List	   *all_rows;		/* char *: of those whose rows the trigger cannot name, all rows */
	List	   *rows;			/* RowTags */
	bool		fixed_output;	/* the output of a key's column depends on settings */
	LocalTransactionId lxid;	/* the last transaction that wrote rows, */
	int64		nrows;			/* and how many */
} Family;

static HTAB *families;
static uint64 invalidations;	/* of families that were being made */
static object_access_hook_type next_object_access;

/* apibase_internal.cache_namespaces_changed(): the trigger of the table cache_namespaces. */
Datum
apibase_cache_namespaces_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("cache_namespaces_changed can only be called as a trigger")));
	if (apibase_shmem_available())
		cache_xact_namespaces_changed();
	return PointerGetDatum(NULL);
}

/* ---- families ---- */

/* A relation was changed, or all (InvalidOid): families with it are made again when they are needed. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	Family	   *family;

	invalidations++;
	hash_seq_init(&scan, families);
	while ((family = hash_seq_search(&scan)) != NULL)
	{
		if (!OidIsValid(relid) || (family->valid && list_member_oid(family->members, relid)))
			family->valid = false;
	}
}

/* A schema was changed, maybe its name. */
static void
schema_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed(arg, InvalidOid);
}

/* The names of the columns of a relation's primary key, in its order; NIL without one. */
static List *
primary_key_columns(Oid relid)
{
	List	   *result = NIL;
	Relation	indexes = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(indexes, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);

		if (!index->indisprimary)
			continue;
		for (int i = 0; i < index->indnkeyatts; i++)
			result = lappend(result, get_attname(relid, index->indkey.values[i], false));
	}
	systable_endscan(scan);
	table_close(indexes, AccessShareLock);
	return result;
}

/*
 * The tag of all rows of a relation, where name is the tag of the relation:
 * the parts of name:1 (cache_tag_of_parts), which a colon in the name ends.
 */
static char *
all_rows_tag(const char *name)
{
	return psprintf("%.*s:*", (int) strcspn(name, ":"), name);
}

/*
 * Whether the output function of a type may depend on settings: of those that
 * are mostly in keys it is known not to.
 */
static bool
output_depends_on_settings(Oid type)
{
	switch (getBaseType(type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
		case BOOLOID:
		case UUIDOID:
		case OIDOID:
			return false;
		default:
			return !type_is_enum(type);
	}
}

/* How rows of rel are named as rows of a member of its family; NULL if they cannot be. */
static RowTags *
make_row_tags(Relation rel, Oid member, const char *name, bool *fixed_output)
{
	List	   *keys = primary_key_columns(member);
	RowTags    *result;
	ListCell   *lc;

	if (keys == NIL)
		return NULL;
	result = palloc(sizeof(RowTags));
	result->prefix = psprintf("%s:", name);
	result->all = all_rows_tag(name);
	result->columns = palloc0(list_length(keys) * sizeof(KeyColumn));
	result->ncolumns = 0;
	foreach(lc, keys)
	{
		KeyColumn  *column = &result->columns[result->ncolumns++];
		Oid			type;
		Oid			output;
		bool		varlena;

		column->attno = get_attnum(RelationGetRelid(rel), lfirst(lc));
		if (column->attno == InvalidAttrNumber)
			return NULL;
		type = TupleDescAttr(RelationGetDescr(rel), column->attno - 1)->atttypid;
		*fixed_output |= output_depends_on_settings(type);
		getTypeOutputInfo(type, &output, &varlena);
		fmgr_info_cxt(output, &column->output, CurrentMemoryContext);
	}
	return result;
}

/* Add a tag, unless it is there or longer than one can be. */
static List *
add_tag(List *tags, char *tag)
{
	ListCell   *lc;

	if (strlen(tag) > APIBASE_CACHE_MAX_TAG)
		return tags;
	foreach(lc, tags)
	{
		if (strcmp(lfirst(lc), tag) == 0)
			return tags;
	}
	return lappend(tags, tag);
}

/* Find out all about the family of a table. */
static void
make_family(Family *family, Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	List	   *ancestors = cache_ancestors(relid);
	ListCell   *lc;

	family->tags = family->all_rows = family->rows = NIL;
	family->fixed_output = false;
	family->members = ancestors;
	if (rel->rd_rel->relhassubclass)
		family->members = list_concat_unique_oid(list_copy(ancestors), find_all_inheritors(relid, NoLock, NULL));
	foreach(lc, family->members)
	{
		Oid			member = lfirst_oid(lc);
		RowTags    *rows = NULL;
		char	   *name;

		if (get_rel_name(member) == NULL)
			continue;			/* dropped this moment */
		name = cache_tag_of_relation(member);
		family->tags = add_tag(family->tags, name);
		family->tags = add_tag(family->tags, cache_oid_tag(member));
		if (list_member_oid(ancestors, member))
			rows = make_row_tags(rel, member, name, &family->fixed_output);
		if (rows != NULL)
			family->rows = lappend(family->rows, rows);
		else
			family->all_rows = add_tag(family->all_rows, all_rows_tag(name));
	}
}

/* The family of a table. */
static Family *
family_of(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	Family	   *family;
	Family		made;
	MemoryContext old;
	uint64		before;
	bool		found;

	if (families == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Family)};

		families = hash_create("apibase watched tables", 32, &ctl, HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, (Datum) 0);
	}
	family = hash_search(families, &relid, HASH_FIND, NULL);
	if (likely(family != NULL && family->valid))
		return family;

	/* Catalogs are read here, so what is being made may be outdated before it is complete: then it serves only once. */
	before = invalidations;
	made.context = AllocSetContextCreate(CurrentMemoryContext, "apibase watched table", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(made.context);
	make_family(&made, rel);
	MemoryContextSwitchTo(old);

	family = hash_search(families, &relid, HASH_ENTER, &found);
	if (found)
		MemoryContextDelete(family->context);
	made.relid = relid;
	made.valid = before == invalidations;
	made.lxid = found ? family->lxid : InvalidLocalTransactionId;
	made.nrows = found ? family->nrows : 0;
	MemoryContextSetParent(made.context, CacheMemoryContext);
	*family = made;
	return family;
}

/* ---- invalidating ---- */

static void
invalidate(const char *tag)
{
	cache_xact_invalidate(tag, strlen(tag));
}

static void
invalidate_list(const List *tags)
{
	ListCell   *lc;

	foreach(lc, tags)
		invalidate(lfirst(lc));
}

/* The rows that the trigger could name, all of them. */
static void
invalidate_all_rows(const Family *family)
{
	ListCell   *lc;

	foreach(lc, family->rows)
	{
		const RowTags *rows = lfirst(lc);

		if (strlen(rows->all) <= APIBASE_CACHE_MAX_TAG)
			invalidate(rows->all);
	}
}

/* The tags of one row.  What it allocates is freed with the context that is reset for each row. */
static void
invalidate_row(const Family *family, TupleTableSlot *slot)
{
	ListCell   *lc;

	foreach(lc, family->rows)
	{
		const RowTags *rows = lfirst(lc);
		StringInfoData tag;

		initStringInfo(&tag);
		appendStringInfoString(&tag, rows->prefix);
		for (int i = 0; i < rows->ncolumns; i++)
		{
			KeyColumn  *column = &rows->columns[i];
			bool		null;
			Datum		value = slot_getattr(slot, column->attno, &null);

			if (i > 0)
				appendStringInfoChar(&tag, ',');
			if (!null)
				appendStringInfoString(&tag, OutputFunctionCall(&column->output, value));
		}
		/* Nothing can depend on a tag that is too long. */
		if (tag.len <= APIBASE_CACHE_MAX_TAG)
			cache_xact_invalidate(tag.data, tag.len);
	}
}

/*
 * The form of values in the tags of rows: whoever writes the row, the tag is
 * the same.  Undone by AtEOXact_GUC(true, the result).
 */
static int
fix_output(void)
{
	static const char *const form[][2] = {
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},	/* the default: the shortest that is exact */
		{"bytea_output", "hex"},
		{"lc_monetary", "C"},
		{"search_path", "pg_catalog, pg_temp"}, /* regclass and the like: with the schema */
		{"quote_all_identifiers", "off"},
	};
	int			nestlevel = NewGUCNestLevel();

	for (Size i = 0; i < lengthof(form); i++)
		(void) set_config_option(form[i][0], form[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/* Whether rows are to be invalidated one by one: not if the transaction writes too many of the table. */
static bool
few_rows(Family *family, int64 nrows)
{
	LocalTransactionId lxid = APIBASE_PROC_LXID(MyProc);

	if (family->lxid != lxid)
	{
		family->lxid = lxid;
		family->nrows = 0;
	}
	family->nrows += nrows;
	return family->nrows <= apibase_cache_max_row_tags;
}

/* A transition table, and where its reading is. */
typedef struct RowReader
{
	Tuplestorestate *store;		/* NULL: no more */
	int			pointer;
	TupleTableSlot *slot;
} RowReader;

static void
open_reader(RowReader *reader, Tuplestorestate *store, Relation rel)
{
	reader->store = store;
	if (store == NULL)
		return;
	/* Others that read it have pointers of their own. */
	reader->pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);
	tuplestore_select_read_pointer(store, reader->pointer);
	tuplestore_rescan(store);
	reader->slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
}

/* Invalidate the next row; false if there was none. */
static bool
invalidate_next(RowReader *reader, const Family *family)
{
	if (reader->store == NULL)
		return false;
	tuplestore_select_read_pointer(reader->store, reader->pointer);
	if (tuplestore_gettupleslot(reader->store, true, false, reader->slot))
	{
		invalidate_row(family, reader->slot);
		return true;
	}
	ExecDropSingleTupleTableSlot(reader->slot);
	reader->store = NULL;
	return false;
}

/* How many rows there are in transition tables; an update has each in both. */
static int64
count_rows(const TriggerData *trigger)
{
	int64		n_old = trigger->tg_oldtable ? tuplestore_tuple_count(trigger->tg_oldtable) : 0;
	int64		n_new = trigger->tg_newtable ? tuplestore_tuple_count(trigger->tg_newtable) : 0;

	return Max(n_old, n_new);
}

/* The rows in transition tables; an update's old and new ones side by side, as they mostly have the same tag. */
static void
invalidate_rows(Family *family, TriggerData *trigger)
{
	RowReader	old_reader = {0};
	RowReader	new_reader = {0};
	MemoryContext context;
	MemoryContext caller;
	bool		more;

	if (!few_rows(family, count_rows(trigger)))
	{
		invalidate_all_rows(family);
		return;
	}
	open_reader(&old_reader, trigger->tg_oldtable, trigger->tg_relation);
	open_reader(&new_reader, trigger->tg_newtable, trigger->tg_relation);
	context = AllocSetContextCreate(CurrentMemoryContext, "apibase written rows", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	do
	{
		CHECK_FOR_INTERRUPTS();
		more = invalidate_next(&old_reader, family);
		more |= invalidate_next(&new_reader, family);
		MemoryContextReset(context);
	} while (more);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* A row that logical replication has written. */
static void
invalidate_applied_row(Family *family, TriggerData *trigger)
{
	if (trigger->tg_trigger->tgnargs == 0 || !few_rows(family, 1))
	{
		invalidate_all_rows(family);
		return;
	}
	invalidate_row(family, trigger->tg_trigslot);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		invalidate_row(family, trigger->tg_newslot);
}

/* The rows that a trigger is told of, or all. */
static void
invalidate_written(Family *family, TriggerData *trigger)
{
	int			nestlevel = family->fixed_output ? fix_output() : 0;	/* a nest level is never 0 */

	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		invalidate_applied_row(family, trigger);
	else
		invalidate_rows(family, trigger);
	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
}

/*
 * apibase.cache_watch_trigger(): the trigger of watched tables.
 *
 * The tag of a row is schema.table:1,two, the values of the primary key as
 * text, in one form whatever the session's settings are: that of DateStyle
 * ISO, IntervalStyle postgres, TimeZone UTC, extra_float_digits 1,
 * bytea_output hex, lc_monetary C, and names with their schema.
 */
Datum
apibase_cache_watch_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		transition;
	Family	   *family;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("cache_watch_trigger can only be called as a trigger that fires after the event")));
	transition = trigger->tg_oldtable != NULL || trigger->tg_newtable != NULL;
	if (!apibase_shmem_available() || (transition && count_rows(trigger) == 0))
		return PointerGetDatum(NULL);

	family = family_of(trigger->tg_relation);
	invalidate_list(family->tags);
	invalidate_list(family->all_rows);
	if (transition || TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		invalidate_written(family, trigger);
	else
		invalidate_all_rows(family);
	return PointerGetDatum(NULL);
}

/*
 * apibase.cache_invalidate_relation(regclass): all that a write of the
 * relation could concern, for who may write it.
 */
Datum
apibase_cache_invalidate_relation(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE | ACL_TRIGGER) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
	if (apibase_shmem_available())
	{
		Family	   *family = family_of(rel);

		invalidate_list(family->tags);
		invalidate_list(family->all_rows);
		invalidate_all_rows(family);
	}
	relation_close(rel, AccessShareLock);
	PG_RETURN_VOID();
}

/* ---- definitions ---- */

/* A relation is not what it was, or is about to be dropped: all that may depend on it. */
static void
definition_changed(Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	Family		family = {.relid = relid};
	MemoryContext context;
	MemoryContext caller;
	Relation	rel;

	/* Values that come from a temporary table are not kept. */
	if (strchr("rpvmf", relkind) == NULL || relkind == '\0' || get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "apibase changed table", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	make_family(&family, rel);
	invalidate_list(family.tags);
	invalidate_list(family.all_rows);
	invalidate_all_rows(&family);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	relation_close(rel, AccessShareLock);
}

/* The relation that an object is, or that it is a policy, rule or trigger of. */
static Oid
relation_of(Oid classid, Oid objid)
{
	Oid			result = InvalidOid;
	Relation	catalog;
	HeapTuple	tuple;

	if (classid == RelationRelationId)
		return objid;
	if (classid != PolicyRelationId && classid != RewriteRelationId && classid != TriggerRelationId)
		return InvalidOid;
	catalog = table_open(classid, AccessShareLock);
	tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(classid), objid);
	if (HeapTupleIsValid(tuple))
	{
		if (classid == PolicyRelationId)
			result = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
		else if (classid == RewriteRelationId)
			result = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
		else if (!((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal)
			result = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	}
	table_close(catalog, AccessShareLock);
	return result;
}

/* An object is about to be dropped; not if something else does that behind the scenes. */
static void
object_accessed(ObjectAccessType access, Oid classid, Oid objid, int subid, void *arg)
{
	if (next_object_access)
		next_object_access(access, classid, objid, subid, arg);
	if (access == OAT_DROP && (((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) == 0 &&
		apibase_shmem_available())
		definition_changed(relation_of(classid, objid));
}

void
cache_watch_install(void)
{
	next_object_access = object_access_hook;
	object_access_hook = object_accessed;
}

/* What the command that ends has made or altered. */
static void
invalidate_altered(void)
{
	int			result;

	SPI_connect();
	result = SPI_execute("SELECT c.classid, c.objid FROM pg_catalog.pg_event_trigger_ddl_commands() c", false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not read the commands: %s", SPI_result_code_string(result));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		no_class;
		bool		no_object;
		Datum		classid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &no_class);
		Datum		objid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &no_object);

		if (!no_class && !no_object)
			definition_changed(relation_of(DatumGetObjectId(classid), DatumGetObjectId(objid)));
	}
	SPI_finish();
}

/* A relation may have lost this name, in any schema of the path if it has none. */
static void
invalidate_name(const RangeVar *name)
{
	List	   *schemas = NIL;
	ListCell   *lc;
	int			nestlevel;

	if (name->schemaname != NULL)
		schemas = list_make1(name->schemaname);
	else
	{
		foreach(lc, fetch_search_path(false))
			schemas = lappend(schemas, get_namespace_name(lfirst_oid(lc)));
	}
	nestlevel = fix_output();	/* tags have no more quotes than they need */
	foreach(lc, schemas)
	{
		char	   *tag = quote_qualified_identifier(lfirst(lc), name->relname);

		invalidate_list(add_tag(add_tag(NIL, tag), all_rows_tag(tag)));
	}
	AtEOXact_GUC(true, nestlevel);
}

/* What the command that ends has taken from a relation, so that the relation does not show it any more. */
static void
invalidate_former(const Node *command)
{
	ListCell   *lc;

	if (IsA(command, RenameStmt))
	{
		const RenameStmt *rename = (const RenameStmt *) command;

		if (rename->relation != NULL)
			invalidate_name(rename->relation);
		else if (rename->renameType == OBJECT_SCHEMA)
			cache_xact_clear("*", 1);	/* the names of all in it */
	}
	else if (IsA(command, AlterObjectSchemaStmt))
	{
		const AlterObjectSchemaStmt *move = (const AlterObjectSchemaStmt *) command;

		if (move->relation != NULL)
			invalidate_name(move->relation);
	}
	else if (IsA(command, AlterTableStmt))
	{
		foreach(lc, ((const AlterTableStmt *) command)->cmds)
		{
			const AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

			if (cmd->subtype == AT_DropInherit)
				definition_changed(RangeVarGetRelid((RangeVar *) cmd->def, NoLock, true));
		}
	}
}

/* Whether nothing can depend on what a command has made: a table without parents is made often, maybe a temporary one. */
static bool
makes_only_new(const Node *command)
{
	if (IsA(command, CreateStmt) || IsA(command, CreateForeignTableStmt))
		return ((const CreateStmt *) command)->inhRelations == NIL;
	return IsA(command, CreateSchemaStmt) && ((const CreateSchemaStmt *) command)->schemaElts == NIL;
}

/* Whether the command is one of this extension's own script: nothing of it is in the cache yet. */
static bool
is_installing(void)
{
	return creating_extension && CurrentExtensionObject == get_extension_oid("apibase", true);
}

/* apibase_internal.cache_ddl_end(): the trigger for ddl_command_end. */
Datum
apibase_cache_ddl_end(PG_FUNCTION_ARGS)
{
	const Node *command;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("cache_ddl_end can only be called as an event trigger")));
	command = ((EventTriggerData *) fcinfo->context)->parsetree;
	if (apibase_shmem_available() && !makes_only_new(command) && !is_installing())
	{
		invalidate_altered();
		invalidate_former(command);
	}
	PG_RETURN_NULL();
}
