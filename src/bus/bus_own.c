/*-------------------------------------------------------------------------
 *
 * bus_own.c
 *	  Uses of the middleware that comes with the extension.
 *
 * A dump has no labels of functions that belong to an extension.  So what is in
 * the labels of the extension's own functions is also in a table, which dumps have;
 * its trigger writes the labels, when it is written here and when it is restored.  Only
 * labels are ever read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_registry.h"
#include "core/compat.h"
#include "core/label.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_own_middleware_changed);

void
bus_own_set_uses(Oid function, Jsonb *uses)
{
	Oid			table = get_relname_relid("own_middleware", get_namespace_oid("apibase_internal", false));
	Oid			types[] = {TEXTOID, JSONBOID};
	Datum		values[] = {CStringGetTextDatum(format_procedure_qualified(function)), JsonbPGetDatum(uses)};
	Oid			user;
	int			security;
	HeapTuple	tuple;

	/* as the owner of the table, whoever uses middleware */
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(((Form_pg_class) GETSTRUCT(tuple))->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
	ReleaseSysCache(tuple);
	SPI_connect();
	if (uses != NULL)
		SPI_execute_with_args("INSERT INTO apibase_internal.own_middleware VALUES ($1, $2)"
							  " ON CONFLICT (function) DO UPDATE SET uses = excluded.uses",
							  2, types, values, NULL, false, 0);
	else
		SPI_execute_with_args("DELETE FROM apibase_internal.own_middleware WHERE function OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, false, 0);
	SPI_finish();
	SetUserIdAndSecContext(user, security);
}

/* Write the label that a row of the table says, or take it away. */
static void
write_label(Relation rel, HeapTuple tuple, bool present)
{
	bool		isnull;
	Datum		name = heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull);
	Datum		uses = heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull);
	ObjectAddress function;

	/* the columns are not null */
	ObjectAddressSet(function, ProcedureRelationId,
					 DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(TextDatumGetCString(name)))));
	apibase_label_set(&function, BUS_LABEL_MIDDLEWARE, present ? DatumGetJsonbP(uses) : NULL);
}

/* Trigger of apibase_internal.own_middleware, after each row. */
Datum
apibase_bus_sql_own_middleware_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("own_middleware_changed() is a trigger of apibase_internal.own_middleware")));
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event) || TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		write_label(trigger->tg_relation, trigger->tg_trigtuple, false);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		write_label(trigger->tg_relation, trigger->tg_newtuple, true);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		write_label(trigger->tg_relation, trigger->tg_trigtuple, true);
	return PointerGetDatum(NULL);
}
