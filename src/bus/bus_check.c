/*-------------------------------------------------------------------------
 *
 * bus_check.c
 *	  What a handler, a middleware must be like.
 *
 * The same is asked when something is registered, and when the registry is
 * made: functions are altered after they were registered, and a
 * restored label has not been looked at by anybody.
 *
 * A function that is SECURITY DEFINER is called here by everybody, so it must have a
 * search_path of its own, in which nobody else can put objects.  Any other middleware runs
 * with the rights of whoever sends a message, so it must be of somebody whom the
 * message's owner trusts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_registry.h"
#include "core/closest.h"
#include "core/compat.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* ---------- SECURITY DEFINER ---------- */

static bool
everybody_may_create_in(Oid schema)
{
	return DatumGetBool(DirectFunctionCall3(has_schema_privilege_id_id, ObjectIdGetDatum(ACL_ID_PUBLIC),
											ObjectIdGetDatum(schema), CStringGetTextDatum("CREATE")));
}

/* The search_path that a function sets, as a list of names; false if it sets none. */
static bool
own_search_path(HeapTuple function, List **names)
{
	static const char prefix[] = "search_path=";
	bool		isnull;
	Datum		config = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proconfig, &isnull);
	Datum	   *items;
	int			nitems;

	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &nitems);
	for (int i = 0; i < nitems; i++)
	{
		char	   *item = TextDatumGetCString(items[i]);

		if (strncmp(item, prefix, strlen(prefix)) == 0)
			return SplitIdentifierString(item + strlen(prefix), ',', names);
	}
	return false;
}

/* What is wrong with a search_path, or NULL. */
static const char *
search_path_fault(List *names, Oid owner)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *name = lfirst(lc);
		Oid			schema;

		if (strcmp(name, "pg_temp") == 0)
		{
			if (lnext(names, lc) != NULL)
				return "It is SECURITY DEFINER, and its search_path has pg_temp, where everybody may create objects, before other schemas.";
			continue;
		}
		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(owner, false);
		schema = get_namespace_oid(name, true);
		if (OidIsValid(schema) && everybody_may_create_in(schema))
			return psprintf("It is SECURITY DEFINER, and its search_path has schema %s, in which everybody may create objects.",
							quote_identifier(name));
	}
	return NULL;
}

/* The same for what is no fault: without pg_temp, temporary tables and types are looked for before all of these schemas. */
static bool
leaves_temporary_first(List *names)
{
	ListCell   *lc;
	bool		any = false;

	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (strcmp(name, "pg_temp") == 0)
			return false;
		any |= name[0] != '\0' && strcmp(name, "pg_catalog") != 0;
	}
	return any;
}

void
bus_warn_of_search_path(const ApibaseCallable *callable)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(callable->oid));
	List	   *names = NIL;

	if (!HeapTupleIsValid(tuple))
		return;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prosecdef && own_search_path(tuple, &names) && leaves_temporary_first(names))
		ereport(WARNING,
				(errmsg("function %s is SECURITY DEFINER, and its search_path does not have pg_temp",
						format_procedure_qualified(callable->oid)),
				 errdetail("Temporary tables and types of callers are found before those of the schemas that it has."),
				 errhint("Add pg_temp at the end of its search_path.")));
	ReleaseSysCache(tuple);
}

bool
apibase_bus_is_safe(Oid function, const char **detail, const char **hint)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	List	   *names = NIL;
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
	{
		*detail = "It does not exist any more.";
		return false;
	}
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prosecdef)
	{
		if (!own_search_path(tuple, &names))
			*detail = "It is SECURITY DEFINER, and has no search_path of its own.";
		else
			*detail = search_path_fault(names, form->proowner);
		if (*detail != NULL)
			*hint = psprintf("Do ALTER FUNCTION %s SET search_path to schemas in which only trusted roles may create objects, and then pg_temp.",
							 format_procedure_qualified(function));
	}
	ReleaseSysCache(tuple);
	return *detail == NULL;
}

/* ---------- handlers ---------- */

/* Pseudo-types are for the server itself, but for some. */
static bool
can_be_result(Oid type)
{
	return get_typtype(type) != TYPTYPE_PSEUDO || type == VOIDOID || type == RECORDOID || type == RECORDARRAYOID;
}

/* Whether a query around a function that returns a set needs no list of columns. */
static bool
has_known_columns(const ApibaseCallable *callable)
{
	TupleDesc	desc;

	return callable->rettype != VOIDOID && get_func_result_type(callable->oid, NULL, &desc) != TYPEFUNC_RECORD;
}

static bool
is_handler(ApibaseMessageKind kind, Oid type, const ApibaseCallable *callable, const char **detail, const char **hint)
{
	if (get_typtype(type) != TYPTYPE_COMPOSITE)
	{
		*detail = psprintf("%s is not a composite type.", format_type_be_qualified(type));
		*hint = "Messages are values of composite types: CREATE TYPE ... AS (...).";
	}
	else if (callable->nargs != 1 || callable->argtypes[0] != type)
	{
		*detail = "It does not take exactly one argument of that type.";
		*hint = "What it needs to know beside the message is in apibase.current_dispatch().";
	}
	else if (!can_be_result(callable->rettype))
		*detail = psprintf("It returns %s, which only the server itself can use.", format_type_be(callable->rettype));
	else if (kind != APIBASE_QUERY && callable->retset)
	{
		*detail = "It returns a set.";
		*hint = "Let it return an array or jsonb.";
	}
	else if (callable->retset && !has_known_columns(callable))
	{
		*detail = "It returns a set of rows whose columns are not known.";
		*hint = "Declare it as RETURNS TABLE (...).";
	}
	else if (kind == APIBASE_QUERY && callable->volatility == PROVOLATILE_VOLATILE)
	{
		*detail = "It is VOLATILE, and queries do not change anything.";
		*hint = psprintf("If it only reads, do ALTER FUNCTION %s STABLE.", format_procedure_qualified(callable->oid));
	}
	else
		return apibase_bus_is_safe(callable->oid, detail, hint);
	return false;
}

const char *
bus_check_handler(ApibaseMessageKind kind, Oid type, const ApibaseCallable *callable,
				  const char **detail, const char **hint)
{
	*detail = *hint = NULL;
	if (is_handler(kind, type, callable, detail, hint))
		return NULL;
	return psprintf("function %s cannot handle the %s %s", format_procedure_qualified(callable->oid), bus_kind_word(kind),
					format_type_be_qualified(type));
}

/* ---------- fields that a query names ---------- */

/* Whether the type has it. */
static bool
has_field(TupleDesc desc, const char *name, const char **detail, const char **hint)
{
	const char **names = palloc((desc->natts + 1) * sizeof(char *));
	const char *closest;
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		if (strcmp(NameStr(attribute->attname), name) == 0)
			return true;
		names[n++] = NameStr(attribute->attname);
	}
	*detail = psprintf("There is no field \"%s\".", name);
	closest = apibase_closest(name, names, n);
	if (closest != NULL)
		*hint = psprintf("Perhaps you meant the field %s.", quote_identifier(closest));
	return false;
}

/* Whether all {fields} of a tag are there. */
static bool
has_fields_of_tag(TupleDesc desc, const char *tag, const char **detail, const char **hint)
{
	const char *open;
	const char *close;

	while ((open = strchr(tag, '{')) != NULL && (close = strchr(open, '}')) != NULL)
	{
		if (!has_field(desc, pnstrdup(open + 1, close - open - 1), detail, hint))
			return false;
		tag = close + 1;
	}
	return true;
}

const char *
bus_check_fields(Oid type, List *cache_key, List *tags, const char **detail, const char **hint)
{
	TupleDesc	desc;
	ListCell   *lc;
	bool		ok = true;

	*detail = *hint = NULL;
	if (cache_key == NIL && tags == NIL)
		return NULL;
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	foreach(lc, cache_key)
		ok = ok && has_field(desc, lfirst(lc), detail, hint);
	foreach(lc, tags)
		ok = ok && has_fields_of_tag(desc, lfirst(lc), detail, hint);
	FreeTupleDesc(desc);
	return ok ? NULL : psprintf("results of the query %s cannot be cached in this way", format_type_be_qualified(type));
}

/* ---------- middleware ---------- */

/* What a middleware of a phase takes beside the dispatch and the payload, and how it is to be declared. */
static const struct
{
	int			nargs;			/* without the configuration */
	const char *declaration;
}			phases[] = {
	[BUS_BEFORE] = {2, "(apibase.dispatch, jsonb) RETURNS void"},
	[BUS_AFTER] = {3, "(apibase.dispatch, jsonb, apibase.result) RETURNS void or apibase.result"},
	[BUS_ON_ERROR] = {3, "(apibase.dispatch, jsonb, jsonb) RETURNS void, jsonb or apibase.result"},
	[BUS_AROUND] = {2, "(apibase.dispatch, jsonb) RETURNS apibase.result"},
};

static bool
takes_arguments(BusPhase phase, const ApibaseCallable *callable)
{
	int			nargs = phases[phase].nargs;

	if (callable->nargs != nargs && callable->nargs != nargs + 1)
		return false;
	if (callable->argtypes[0] != bus_dispatch_type() || callable->argtypes[1] != JSONBOID)
		return false;
	if (phase == BUS_AFTER && callable->argtypes[2] != apibase_result_type())
		return false;
	if (phase == BUS_ON_ERROR && callable->argtypes[2] != JSONBOID)
		return false;
	return callable->nargs == nargs || callable->argtypes[nargs] == JSONBOID;
}

static bool
returns_result(BusPhase phase, const ApibaseCallable *callable)
{
	if (callable->retset)
		return false;
	if (phase != BUS_AROUND && callable->rettype == VOIDOID)
		return true;
	if (phase == BUS_ON_ERROR && callable->rettype == JSONBOID)
		return true;
	return phase != BUS_BEFORE && callable->rettype == apibase_result_type();
}

const char *
bus_check_trust(Oid type, const ApibaseCallable *callable, const char **detail, const char **hint)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(callable->oid));
	HeapTuple	message = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			owner = HeapTupleIsValid(function) ? ((Form_pg_proc) GETSTRUCT(function))->proowner : InvalidOid;
	Oid			type_owner = HeapTupleIsValid(message) ? ((Form_pg_type) GETSTRUCT(message))->typowner : InvalidOid;

	if (HeapTupleIsValid(function))
		ReleaseSysCache(function);
	if (HeapTupleIsValid(message))
		ReleaseSysCache(message);
	*detail = *hint = NULL;
	if (superuser_arg(owner) || has_privs_of_role(owner, type_owner) ||
		getExtensionOfObject(ProcedureRelationId, callable->oid) == get_extension_oid("apibase", false))
		return NULL;
	*detail = psprintf("It runs with the rights of everybody who sends %s, but belongs to %s, who does not have the rights of that type's owner.",
					   format_type_be_qualified(type), GetUserNameFromId(owner, true));
	*hint = "Let the owner of the type, or a superuser, own the function.";
	return psprintf("function %s cannot be middleware of %s", format_procedure_qualified(callable->oid), format_type_be_qualified(type));
}

const char *
bus_check_middleware(BusPhase phase, const ApibaseCallable *callable, const char **detail, const char **hint)
{
	*detail = *hint = NULL;
	if (!takes_arguments(phase, callable) || !returns_result(phase, callable))
	{
		*detail = psprintf("It must be declared as %s.", phases[phase].declaration);
		*hint = "It may have one argument more, of type jsonb, for its configuration.";
	}
	else if (apibase_bus_is_safe(callable->oid, detail, hint))
		return NULL;
	return psprintf("function %s cannot be middleware of the phase %s", format_procedure_qualified(callable->oid), bus_phase_words[phase]);
}
