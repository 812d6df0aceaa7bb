/*-------------------------------------------------------------------------
 *
 * decorate_sql.c
 *	  decorate(), undecorate(), and the validator of the language.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "core/errors.h"
#include "decorate/decorate_chain.h"

PG_FUNCTION_INFO_V1(apibase_decorate_add);
PG_FUNCTION_INFO_V1(apibase_decorate_remove);
PG_FUNCTION_INFO_V1(apibase_decorate_validate);

/* Lock a function that the user may change.  Others who decorate or drop it wait. */
static HeapTuple
lock_function(Oid function)
{
	HeapTuple	tuple;

	LockDatabaseObject(ProcedureRelationId, function, 0, AccessExclusiveLock);
	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (!apibase_proc_ownercheck(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname));
	return tuple;
}

/* Write a chain, and make of it what will be called, so that what is wrong is found now. */
static void
set_chain(Oid function, Oid body, const DecorateSource *source)
{
	List	   *uses;
	HeapTuple	tuple;

	decorate_set_source(function, source);
	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	MemoryContextDelete(decorate_chain_make(tuple, true, &uses)->context);
	decorate_set_dependencies(function, body, uses);
}

/* The entry of a decorator, or NULL. */
static DecorateEntry *
find_entry(const DecorateSource *source, const char *name)
{
	ListCell   *lc;

	foreach(lc, source->layers)
	{
		DecorateEntry *entry = lfirst(lc);

		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

/*
 * apibase_internal.decorate(function regprocedure, decorator text, options jsonb)
 *
 * Put a decorator around a function, outside of those that it has.  One that
 * it has already stays where it is and gets these options.
 */
Datum
apibase_decorate_add(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *options = PG_GETARG_JSONB_P(2);
	HeapTuple	tuple = lock_function(function);
	DecorateSource *source;
	DecorateEntry *entry;

	/* decorators tell about arguments, in messages and to fallbacks */
	if (((Form_pg_proc) GETSTRUCT(tuple))->proleakproof && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only superuser can decorate a leakproof function")));
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang != decorate_language())
	{
		decorate_check_function(tuple);
		decorate_split(function);
		tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	}
	source = decorate_source_read(decorate_source_text(tuple));
	entry = find_entry(source, name);
	if (entry == NULL)
	{
		entry = palloc(sizeof(DecorateEntry));
		entry->name = name;
		source->layers = lappend(source->layers, entry);
	}
	entry->options = options;
	set_chain(function, decorate_find_body(tuple, source->schema), source);
	PG_RETURN_VOID();
}

/*
 * apibase.undecorate(function regprocedure, which text) returns boolean
 *
 * Remove a decorator, or all (NULL), and tell whether there was one.  Without
 * decorators the function is what it was before it was decorated.
 */
Datum
apibase_decorate_remove(PG_FUNCTION_ARGS)
{
	Oid			function;
	HeapTuple	tuple;
	DecorateSource *source;
	Oid			body;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	function = PG_GETARG_OID(0);
	tuple = lock_function(function);
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang != decorate_language())
		PG_RETURN_BOOL(false);
	source = decorate_source_read(decorate_source_text(tuple));
	body = decorate_find_body(tuple, source->schema);
	if (!OidIsValid(body))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("the body of the decorated function %s is not there", decorate_function_name(function))));
	if (!PG_ARGISNULL(1))
	{
		DecorateEntry *entry = find_entry(source, text_to_cstring(PG_GETARG_TEXT_PP(1)));

		if (entry == NULL)
			PG_RETURN_BOOL(false);
		source->layers = list_delete_ptr(source->layers, entry);
		if (source->layers != NIL)
		{
			set_chain(function, body, source);
			PG_RETURN_BOOL(true);
		}
	}
	decorate_join(function, body);
	PG_RETURN_BOOL(true);
}

/*
 * Validator of the language: a chain that a superuser writes is read.  One in
 * a dump is not, since what it names may come later.
 */
Datum
apibase_decorate_validate(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	HeapTuple	tuple;

	if (!CheckFunctionValidatorAccess(fcinfo->flinfo->fn_oid, function))
		PG_RETURN_VOID();
	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	decorate_check_function(tuple);
	if (check_function_bodies)
		MemoryContextDelete(decorate_chain_make(tuple, true, NULL)->context);
	PG_RETURN_VOID();
}
