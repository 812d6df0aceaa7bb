/*-------------------------------------------------------------------------
 *
 * decorate_catalog.c
 *	  The rows of pg_proc: functions, their bodies, and what both depend on.
 *
 * The implementation of a function is in these columns: prolang, prosrc, probin,
 * prosqlbody, prosupport, protrftypes.  They move to the body, which is a copy
 * of the function in all else, and back.
 *
 * What the implementation needs (tables of an SQL body, a language, types) the
 * body depends on, as CREATE FUNCTION has recorded it for the function.  The
 * function depends on the same, on the language apibase_decorated, and on the
 * functions that its decorators name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "core/errors.h"
#include "decorate/decorate_chain.h"

/* The columns of the implementation. */
static const AttrNumber implementation[] = {
	Anum_pg_proc_prolang, Anum_pg_proc_prosrc, Anum_pg_proc_probin, Anum_pg_proc_prosqlbody,
	Anum_pg_proc_prosupport, Anum_pg_proc_protrftypes
};

/* New values for columns of a row of pg_proc. */
typedef struct ProcChange
{
	Datum		values[Natts_pg_proc];
	bool		nulls[Natts_pg_proc];
	bool		replace[Natts_pg_proc];
} ProcChange;

static void
change(ProcChange *change, AttrNumber attno, Datum value, bool isnull)
{
	change->values[attno - 1] = value;
	change->nulls[attno - 1] = isnull;
	change->replace[attno - 1] = true;
}

static HeapTuple
fetch_function(Oid function)
{
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	return tuple;
}

/* Write a changed row; the change is visible afterwards. */
static void
write_function(HeapTuple old, ProcChange *change)
{
	Relation	rel = table_open(ProcedureRelationId, RowExclusiveLock);
	HeapTuple	tuple = heap_modify_tuple(old, RelationGetDescr(rel), change->values, change->nulls, change->replace);

	CatalogTupleUpdate(rel, &old->t_self, tuple);
	InvokeObjectPostAlterHook(ProcedureRelationId, ((Form_pg_proc) GETSTRUCT(tuple))->oid, 0);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Take the columns of the implementation from a row. */
static void
take_implementation(ProcChange *to, HeapTuple from)
{
	for (size_t i = 0; i < lengthof(implementation); i++)
	{
		bool		isnull;
		Datum		value = SysCacheGetAttr(PROCOID, from, implementation[i], &isnull);

		change(to, implementation[i], value, isnull);
	}
}

/* ---------- finding ---------- */

Oid
decorate_language(void)
{
	return get_language_oid(DECORATE_LANGUAGE, true);
}

char *
decorate_source_text(HeapTuple function)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &isnull);

	if (isnull)
		elog(ERROR, "null prosrc");
	return TextDatumGetCString(source);
}

/* The function of the same name with the same arguments in a schema. */
static Oid
find_in_schema(HeapTuple function, const char *schema)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	Oid			namespace = get_namespace_oid(schema, true);

	if (!OidIsValid(namespace))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, NameGetDatum(&form->proname),
						   PointerGetDatum(&form->proargtypes), ObjectIdGetDatum(namespace));
}

/* Functions that depend on an object. */
static List *
dependent_functions(Oid class, Oid object, DependencyType type)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *functions = NIL;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(class));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == ProcedureRelationId && form->deptype == (char) type)
			functions = list_append_unique_oid(functions, form->objid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return functions;
}

/*
 * A body depends automatically on its function.  Internally would say it better,
 * but pg_dump leaves out functions that depend on something internally.
 */
bool
decorate_is_linked(Oid function)
{
	return dependent_functions(ProcedureRelationId, function, DEPENDENCY_AUTO) != NIL;
}

/*
 * The link is what tells, as long as there is one.  The name, which the chain
 * knows, may have been changed without the event triggers; it tells for a
 * function that has been restored, or if there were several links.
 */
Oid
decorate_find_body(HeapTuple function, const char *schema)
{
	Oid			named = find_in_schema(function, schema);
	List	   *linked = dependent_functions(ProcedureRelationId, ((Form_pg_proc) GETSTRUCT(function))->oid, DEPENDENCY_AUTO);

	return linked == NIL || list_member_oid(linked, named) ? named : linitial_oid(linked);
}

List *
decorate_all_functions(void)
{
	Oid			language = decorate_language();

	return OidIsValid(language) ? dependent_functions(LanguageRelationId, language, DEPENDENCY_NORMAL) : NIL;
}

char *
decorate_function_name(Oid function)
{
	HeapTuple	tuple = fetch_function(function);
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	StringInfoData name;

	initStringInfo(&name);
	appendStringInfo(&name, "%s(", quote_qualified_identifier(get_namespace_name(form->pronamespace),
															  NameStr(form->proname)));
	for (int i = 0; i < form->pronargs; i++)
		appendStringInfo(&name, "%s%s", i > 0 ? "," : "", format_type_be(form->proargtypes.values[i]));
	appendStringInfoChar(&name, ')');
	return name.data;
}

/* ---------- what can be decorated ---------- */

/* Why a function cannot be decorated because of a type, or NULL. */
static const char *
type_reason(Oid type)
{
	switch (type)
	{
		case INTERNALOID:
			return "It takes or returns internal data of the server.";
		case CSTRINGOID:
			return "It takes or returns cstring, as functions for the input and output of a type do.";
		case UNKNOWNOID:
			return "It takes or returns values of unknown type.";
		case TRIGGEROID:
			return "It is a trigger function: it is not called with arguments and its result is a row to be stored.";
		case EVENT_TRIGGEROID:
			return "It is an event trigger function.";
		case LANGUAGE_HANDLEROID:
		case FDW_HANDLEROID:
		case INDEX_AM_HANDLEROID:
		case TABLE_AM_HANDLEROID:
		case TSM_HANDLEROID:
			return "It is a handler.";
		default:
			return NULL;
	}
}

static const char *
function_reason(Form_pg_proc form)
{
	const char *reason = type_reason(form->prorettype);

	for (int i = 0; i < form->pronargs && reason == NULL; i++)
		reason = type_reason(form->proargtypes.values[i]);
	if (reason)
		return reason;
	switch (form->prokind)
	{
		case PROKIND_FUNCTION:
			break;
		case PROKIND_PROCEDURE:
			return "It is a procedure, which may end transactions.";
		case PROKIND_AGGREGATE:
			return "It is an aggregate; its support functions can be decorated.";
		case PROKIND_WINDOW:
			return "It is a window function: its result depends on the rows around the current one.";
		default:
			return "It is not a function.";
	}
	if (form->oid < FirstNormalObjectId)
		return "It is a function of the system.";
	if (OidIsValid(getExtensionOfObject(ProcedureRelationId, form->oid)))
		return "It belongs to an extension.";
	if (isAnyTempNamespace(form->pronamespace))
		return "It is in the schema for temporary objects.";
	return NULL;
}

void
decorate_check_function(HeapTuple function)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	const char *reason = function_reason(form);

	if (reason)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
				 errmsg("function %s cannot be decorated", decorate_function_name(form->oid)),
				 errdetail_internal("%s", reason)));
}

/* ---------- dependencies ---------- */

/* What the function normally depends on; with remove, forget it. */
static List *
normal_dependencies(Oid function, bool remove)
{
	Relation	rel = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *objects = NIL;

	ScanKeyInit(&key[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(function));
	scan = systable_beginscan(rel, DependDependerIndexId, true, NULL, 2, key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *object = palloc(sizeof(ObjectAddress));

		if (form->deptype != DEPENDENCY_NORMAL)
			continue;
		ObjectAddressSubSet(*object, form->refclassid, form->refobjid, form->refobjsubid);
		objects = lappend(objects, object);
		if (remove)
			CatalogTupleDelete(rel, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
	return objects;
}

bool
decorate_names_functions(Oid function)
{
	ListCell   *lc;

	foreach(lc, normal_dependencies(function, false))
	{
		if (((ObjectAddress *) lfirst(lc))->classId == ProcedureRelationId)
			return true;
	}
	return false;
}

static void
depend_on(Oid function, Oid class, Oid object, DependencyType type)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	ObjectAddressSet(depender, ProcedureRelationId, function);
	ObjectAddressSet(referenced, class, object);
	recordDependencyOn(&depender, &referenced, type);
}

/* Let one function depend on what another does, and on its own schema. */
static void
copy_dependencies(Oid from, Oid to)
{
	List	   *objects = normal_dependencies(from, false);
	ObjectAddress depender;
	ListCell   *lc;

	normal_dependencies(to, true);
	ObjectAddressSet(depender, ProcedureRelationId, to);
	foreach(lc, objects)
	{
		ObjectAddress *object = lfirst(lc);

		if (object->classId != NamespaceRelationId)
			recordDependencyOn(&depender, object, DEPENDENCY_NORMAL);
	}
	depend_on(to, NamespaceRelationId, get_func_namespace(to), DEPENDENCY_NORMAL);
}

static void
drop_body(Oid body)
{
	ObjectAddress object;

	deleteDependencyRecordsForClass(ProcedureRelationId, body, ProcedureRelationId, DEPENDENCY_AUTO);
	CommandCounterIncrement();
	ObjectAddressSet(object, ProcedureRelationId, body);
	performDeletion(&object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
}

/*
 * Drop the bodies that a function has, but one.  There are others where it was
 * replaced without the event triggers, and not decorated any more.
 */
static void
drop_other_bodies(Oid function, Oid body)
{
	ListCell   *lc;

	foreach(lc, dependent_functions(ProcedureRelationId, function, DEPENDENCY_AUTO))
	{
		if (lfirst_oid(lc) != body)
			drop_body(lfirst_oid(lc));
	}
}

void
decorate_set_dependencies(Oid function, Oid body, List *uses)
{
	ListCell   *lc;

	Assert(function != body);
	copy_dependencies(body, function);
	depend_on(function, LanguageRelationId, decorate_language(), DEPENDENCY_NORMAL);
	foreach(lc, uses)
		depend_on(function, ProcedureRelationId, lfirst_oid(lc), DEPENDENCY_NORMAL);
	drop_other_bodies(function, body);
	if (!decorate_is_linked(function))
		depend_on(body, ProcedureRelationId, function, DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

/* ---------- bodies ---------- */

static Oid
schema_owner(Oid namespace)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespace));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespace);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Who owns all bodies: the owner of the extension. */
static Oid
bodies_owner(void)
{
	return schema_owner(get_namespace_oid(DECORATE_SCHEMA, false));
}

/*
 * The schema for the body of a function: the first that has no function of this
 * name with these arguments.  Functions of the same signature in several
 * schemas may all be decorated; the second needs another schema for its body.
 * One of another owner was not made here.
 */
static char *
choose_schema(HeapTuple function)
{
	Oid			owner = bodies_owner();

	/* who decorates the same function in another schema waits, and sees this one's body then */
	LockDatabaseObject(NamespaceRelationId, get_namespace_oid(DECORATE_SCHEMA, false), 0, ShareUpdateExclusiveLock);
	for (int i = 1;; i++)
	{
		char	   *schema = i == 1 ? pstrdup(DECORATE_SCHEMA) : psprintf(DECORATE_SCHEMA "_%d", i);
		Oid			namespace = get_namespace_oid(schema, true);

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(namespace))
		{
			ObjectAddress created;
			ObjectAddress first;

			/* dropped with the extension, and dumped, which a member of it would not be */
			ObjectAddressSet(created, NamespaceRelationId, NamespaceCreate(schema, owner, false));
			ObjectAddressSet(first, NamespaceRelationId, get_namespace_oid(DECORATE_SCHEMA, false));
			recordDependencyOn(&created, &first, DEPENDENCY_AUTO);
			CommandCounterIncrement();
			return schema;
		}
		if (schema_owner(namespace) == owner && !OidIsValid(find_in_schema(function, schema)))
			return schema;
	}
}

/* An access list with which only the owner may call it. */
static Acl *
owner_only(Oid owner)
{
	AclItem		everybody = {.ai_grantee = ACL_ID_PUBLIC, .ai_grantor = owner};

	ACLITEM_SET_PRIVS_GOPTIONS(everybody, ACL_ALL_RIGHTS_FUNCTION, ACL_NO_RIGHTS);
	return aclupdate(acldefault(OBJECT_FUNCTION, owner), &everybody, ACL_MODECHG_DEL, owner, DROP_RESTRICT);
}

/* What a body has that the function has not. */
static void
change_to_body(ProcChange *values, Oid body, Oid namespace, Oid owner)
{
	change(values, Anum_pg_proc_oid, ObjectIdGetDatum(body), false);
	change(values, Anum_pg_proc_pronamespace, ObjectIdGetDatum(namespace), false);
	change(values, Anum_pg_proc_proowner, ObjectIdGetDatum(owner), false);
	change(values, Anum_pg_proc_prosecdef, BoolGetDatum(false), false);
	change(values, Anum_pg_proc_proconfig, (Datum) 0, true);
	change(values, Anum_pg_proc_proacl, PointerGetDatum(owner_only(owner)), false);
}

/* Leave the chain with no decorators as the implementation of a function. */
static void
become_decorated(Oid function, const char *schema)
{
	ProcChange	values = {0};
	DecorateSource source = {.schema = unconstify(char *, schema), .layers = NIL};

	change(&values, Anum_pg_proc_prolang, ObjectIdGetDatum(decorate_language()), false);
	change(&values, Anum_pg_proc_prosrc, CStringGetTextDatum(decorate_source_write(&source)), false);
	change(&values, Anum_pg_proc_probin, (Datum) 0, true);
	change(&values, Anum_pg_proc_prosqlbody, (Datum) 0, true);
	change(&values, Anum_pg_proc_prosupport, ObjectIdGetDatum(InvalidOid), false);
	change(&values, Anum_pg_proc_protrftypes, (Datum) 0, true);
	write_function(fetch_function(function), &values);
}

char *
decorate_split(Oid function)
{
	HeapTuple	tuple = fetch_function(function);
	Oid			owner = bodies_owner();
	ProcChange	values = {0};
	char	   *schema;
	Oid			namespace;
	Relation	rel;
	Oid			body;

	drop_other_bodies(function, InvalidOid);
	schema = choose_schema(tuple);
	namespace = get_namespace_oid(schema, false);
	rel = table_open(ProcedureRelationId, RowExclusiveLock);
	body = GetNewOidWithIndex(rel, ProcedureOidIndexId, Anum_pg_proc_oid);
	change_to_body(&values, body, namespace, owner);
	CatalogTupleInsert(rel, heap_modify_tuple(tuple, RelationGetDescr(rel), values.values, values.nulls, values.replace));
	table_close(rel, RowExclusiveLock);
	recordDependencyOnOwner(ProcedureRelationId, body, owner);
	CommandCounterIncrement();
	copy_dependencies(function, body);
	InvokeObjectPostCreateHook(ProcedureRelationId, body, 0);
	become_decorated(function, schema);
	return schema;
}

void
decorate_resplit(Oid function, Oid body)
{
	HeapTuple	tuple = fetch_function(function);
	HeapTuple	old = fetch_function(body);
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(old);
	ProcChange	values = {0};
	bool		isnull;

	/* all columns of the function */
	for (AttrNumber attno = 1; attno <= Natts_pg_proc; attno++)
	{
		Datum		value = SysCacheGetAttr(PROCOID, tuple, attno, &isnull);

		change(&values, attno, value, isnull);
	}
	change_to_body(&values, body, form->pronamespace, form->proowner);
	change(&values, Anum_pg_proc_proacl, SysCacheGetAttr(PROCOID, old, Anum_pg_proc_proacl, &isnull), isnull);
	write_function(old, &values);
	copy_dependencies(function, body);
	become_decorated(function, get_namespace_name(form->pronamespace));
}

void
decorate_join(Oid function, Oid body)
{
	ProcChange	values = {0};

	take_implementation(&values, fetch_function(body));
	write_function(fetch_function(function), &values);
	copy_dependencies(body, function);
	drop_body(body);
}

void
decorate_set_source(Oid function, const DecorateSource *source)
{
	ProcChange	values = {0};

	change(&values, Anum_pg_proc_prosrc, CStringGetTextDatum(decorate_source_write(source)), false);
	write_function(fetch_function(function), &values);
}

/* Move the body to where the function's new name leads, and give it that name. */
static void
rename_body(HeapTuple function, Oid body)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	DecorateSource *source = decorate_source_read(decorate_source_text(function));
	Oid			before = get_func_namespace(body);
	Oid			after;
	ProcChange	values = {0};

	if (OidIsValid(find_in_schema(function, source->schema)))
		source->schema = choose_schema(function);
	after = get_namespace_oid(source->schema, false);
	change(&values, Anum_pg_proc_proname, NameGetDatum(&form->proname), false);
	change(&values, Anum_pg_proc_pronamespace, ObjectIdGetDatum(after), false);
	write_function(fetch_function(body), &values);
	if (before == after)
		return;
	changeDependencyFor(ProcedureRelationId, body, NamespaceRelationId, before, after);
	decorate_set_source(form->oid, source);
}

void
decorate_follow(Oid function, Oid body)
{
	HeapTuple	tuple = fetch_function(function);
	HeapTuple	body_tuple = fetch_function(body);
	Form_pg_proc from = (Form_pg_proc) GETSTRUCT(tuple);
	Form_pg_proc to = (Form_pg_proc) GETSTRUCT(body_tuple);
	ProcChange	values = {0};

	if (OidIsValid(from->prosupport))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
				 errmsg("function %s is decorated and cannot be given a planner support function",
						decorate_function_name(function)),
				 errhint("Undecorate it first; a support function that it has then stays with it.")));
	if (strcmp(NameStr(from->proname), NameStr(to->proname)) != 0)
	{
		rename_body(tuple, body);
		body_tuple = fetch_function(body);
		to = (Form_pg_proc) GETSTRUCT(body_tuple);
	}
	if (from->procost == to->procost && from->prorows == to->prorows && from->proisstrict == to->proisstrict &&
		from->proleakproof == to->proleakproof && from->provolatile == to->provolatile &&
		from->proparallel == to->proparallel)
		return;
	change(&values, Anum_pg_proc_procost, Float4GetDatum(from->procost), false);
	change(&values, Anum_pg_proc_prorows, Float4GetDatum(from->prorows), false);
	change(&values, Anum_pg_proc_proisstrict, BoolGetDatum(from->proisstrict), false);
	change(&values, Anum_pg_proc_proleakproof, BoolGetDatum(from->proleakproof), false);
	change(&values, Anum_pg_proc_provolatile, CharGetDatum(from->provolatile), false);
	change(&values, Anum_pg_proc_proparallel, CharGetDatum(from->proparallel), false);
	write_function(body_tuple, &values);
}
