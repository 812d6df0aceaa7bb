/*-------------------------------------------------------------------------
 *
 * spec_find.c
 *	  find() and find_count(): lists of rows that satisfy a specification.
 *
 * They build a statement in which the specification is written out (see
 * spec_find_sql.c), so that it is planned with the constants whatever the
 * caller's own statement is: with a bound parameter and a generic plan,
 * "items @@ $1" could use no index.  Plans are kept (spec_find_cache.c).
 *
 * The statement runs as the caller, through SPI, with the caller's snapshot:
 * row security, privileges and views apply as if it had been written by hand.
 * Rows go straight from the executor into the result, which spills to disk
 * beyond work_mem.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "spec/spec_find.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(apibase_find);
PG_FUNCTION_INFO_V1(apibase_find_count);
PG_FUNCTION_INFO_V1(apibase_find_sql);
PG_FUNCTION_INFO_V1(apibase_find_support);

/* Arguments of find */
enum
{
	FIND_RELATION,
	FIND_SPEC,
	FIND_ORDER_BY,
	FIND_LIMIT,
	FIND_OFFSET,
	FIND_AFTER
};

/* ---------- arguments ---------- */

/* The relation whose rows have the type; raises for a type that is no such. */
static Oid
relation_of_type(Oid type)
{
	Oid			relid = get_typ_typrelid(getBaseType(type));

	switch (OidIsValid(relid) ? get_rel_relkind(relid) : '\0')
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			return relid;
	}
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s is not the row type of a table or view", format_type_be(type)),
			 errhint("Name the table by a NULL of its row type, as in NULL::items.")));
	return InvalidOid;			/* keep compiler quiet */
}

/*
 * The first two arguments.  The relation is locked as the statement will do,
 * so that what is looked up about it stays true.
 */
static void
read_relation(FunctionCallInfo fcinfo, ApibaseFindRequest *request)
{
	memset(request, 0, sizeof(*request));
	request->type = get_fn_expr_argtype(fcinfo->flinfo, FIND_RELATION);
	if (!OidIsValid(request->type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the row type of the list")));
	request->relid = relation_of_type(request->type);
	request->rowtype = getBaseType(request->type);
	request->natts = MaxTupleAttributeNumber;
	relation_close(relation_open(request->relid, AccessShareLock), NoLock);
	if (!PG_ARGISNULL(FIND_SPEC))
		request->spec = PG_GETARG_APIBASE_SPEC_P(FIND_SPEC);
}

/* All arguments of find. */
static void
read_request(FunctionCallInfo fcinfo, ApibaseFindRequest *request)
{
	read_relation(fcinfo, request);
	if (!PG_ARGISNULL(FIND_ORDER_BY))
		request->order_by = PG_GETARG_TEXT_PP(FIND_ORDER_BY);
	if (!PG_ARGISNULL(FIND_LIMIT))
	{
		request->has_limit = true;
		request->limit = PG_GETARG_INT64(FIND_LIMIT);
		if (request->limit < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
					 errmsg("\"limit\" must not be negative")));
	}
	if (!PG_ARGISNULL(FIND_OFFSET))
	{
		request->has_offset = true;
		request->offset = PG_GETARG_INT64(FIND_OFFSET);
		if (request->offset < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE),
					 errmsg("\"offset\" must not be negative")));
	}
	if (!PG_ARGISNULL(FIND_AFTER))
		request->after = PG_GETARG_JSONB_P(FIND_AFTER);
}

/* ---------- execution ---------- */

/* The parameters of a statement: see ApibaseFindPlan. */
static ParamListInfo
make_params(const ApibaseFindRequest *request, const ApibaseFindPlan *plan, const ApibaseFindCursor *cursor)
{
	int			nkeys = cursor ? list_length(plan->keys) : 0;
	ParamListInfo params = makeParamList(nkeys + 1);
	int			n = 0;

	for (int i = 0; i < nkeys; i++)
	{
		if (cursor->nulls[i])
			continue;
		params->params[n].value = cursor->values[i];
		params->params[n].ptype = ((ApibaseFindKey *) list_nth(plan->keys, i))->type;
		n++;
	}
	if (request->has_offset)
	{
		params->params[n].value = Int64GetDatum(request->offset);
		params->params[n].ptype = INT8OID;
		n++;
	}
	for (int i = 0; i < n; i++)
	{
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
	}
	params->numParams = n;
	return n > 0 ? params : NULL;
}

/* Run the statement of a request, within SPI; dest NULL: rows go to SPI_tuptable. */
static void
run(const ApibaseFindRequest *request, DestReceiver *dest)
{
	ApibaseFindCursor *cursor;
	ApibaseFindPlan *plan = apibase_find_plan(request, &cursor);

	PG_TRY();
	{
		SPIExecuteOptions options = {0};
		int			result;

		options.params = make_params(request, plan, cursor);
		options.read_only = true;
		options.must_return_tuples = true;
		options.dest = dest;
		result = SPI_execute_plan_extended(plan->plan, &options);
		if (result != SPI_OK_SELECT)
			elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(result));
	}
	PG_FINALLY();
	{
		apibase_find_unpin(plan);
	}
	PG_END_TRY();
}

/* Rows of a domain over the row type must satisfy the domain's constraints. */
static void
check_domain(Tuplestorestate *store, TupleDesc desc, Oid domain)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "apibase find domain",
													  ALLOCSET_DEFAULT_SIZES);
	void	   *extra = NULL;

	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		domain_check(ExecFetchSlotHeapTupleDatum(slot), false, domain, &extra, CurrentMemoryContext);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_context);
	tuplestore_rescan(store);
}

/*
 * Give the caller an empty tuplestore with rows of the relation's type.  When
 * columns were added after the caller's statement was analysed, it does not
 * know them: it gets those that it expects.
 */
static void
begin_result(FunctionCallInfo fcinfo, ApibaseFindRequest *request)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || !(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("find is called where a set of rows cannot be accepted")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setDesc = rsinfo->expectedDesc ? CreateTupleDescCopy(rsinfo->expectedDesc) :
		lookup_rowtype_tupdesc_copy(request->rowtype, -1);
	request->natts = rsinfo->setDesc->natts;
	rsinfo->setResult = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
											  false, work_mem);
	MemoryContextSwitchTo(old);
}

/* apibase.find(): the rows, in order. */
Datum
apibase_find(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ApibaseFindRequest request;
	DestReceiver *dest;

	read_request(fcinfo, &request);
	begin_result(fcinfo, &request);
	SPI_connect();
	dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(dest, rsinfo->setResult, rsinfo->econtext->ecxt_per_query_memory, false,
									rsinfo->setDesc, "the relation has changed since the statement was analysed");
	run(&request, dest);
	dest->rDestroy(dest);
	if (request.type != request.rowtype)
		check_domain(rsinfo->setResult, rsinfo->setDesc, request.type);
	SPI_finish();
	return (Datum) 0;
}

/* apibase.find_count(): how many rows there are. */
Datum
apibase_find_count(PG_FUNCTION_ARGS)
{
	ApibaseFindRequest request;
	bool		isnull;
	int64		count;

	read_relation(fcinfo, &request);
	request.count = true;
	SPI_connect();
	run(&request, NULL);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	PG_RETURN_INT64(count);
}

/* apibase_internal.find_sql(): the statement that find() would run. */
Datum
apibase_find_sql(PG_FUNCTION_ARGS)
{
	ApibaseFindRequest request;
	List	   *keys;
	bool	   *nulls = NULL;

	read_request(fcinfo, &request);
	keys = apibase_find_keys(&request);
	if (request.after)
		nulls = apibase_find_cursor(&request, keys)->nulls;
	PG_RETURN_TEXT_P(cstring_to_text(apibase_find_text(&request, keys, nulls)));
}

/* ---------- planner support ---------- */

/* Planner support of find(): a constant limit is the number of rows to expect. */
Datum
apibase_find_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *rows;
	Node	   *limit;

	if (!IsA(request, SupportRequestRows))
		PG_RETURN_POINTER(NULL);
	rows = (SupportRequestRows *) request;
	if (!is_funcclause(rows->node) || list_length(((FuncExpr *) rows->node)->args) <= FIND_LIMIT)
		PG_RETURN_POINTER(NULL);
	limit = list_nth(((FuncExpr *) rows->node)->args, FIND_LIMIT);
	if (!IsA(limit, Const) || ((Const *) limit)->constisnull)
		PG_RETURN_POINTER(NULL);
	rows->rows = Max(DatumGetInt64(((Const *) limit)->constvalue), 1);
	PG_RETURN_POINTER(request);
}
