/*-------------------------------------------------------------------------
 *
 * spec_eval.c
 *	  Evaluation of a specification in memory: row @@ spec, is_satisfied_by().
 *
 * A specification is compiled once for a row type, to the same expression
 * that the planner would have put in place of the call, and executed by the
 * executor's own expression evaluator on a slot that holds the row.  What is
 * prepared stays with the call site (fn_extra) and serves as long as the
 * specification's bytes and the row type stay the same; the identifier that
 * the type cache gives to a row type changes with ALTER TYPE and ALTER TABLE.
 *
 * PL/pgSQL passes its records expanded.  Their tuple, or their separate
 * values, are used as they are; flattening would copy the row.
 *
 * jsonb documents go to spec_jsonb.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/expandedrecord.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

struct ApibaseSpecEval
{
	ApibaseSpecJsonb *jsonb;	/* for documents; all else is for rows */
	ExprState  *state;
	ExprContext *econtext;
	TupleTableSlot *tuple_slot;
	TupleTableSlot *values_slot;
};

/* What a call site keeps. */
typedef struct EvalCache
{
	Oid			declared;		/* type of the row argument */
	MemoryContext context;		/* of what follows */
	ApibaseSpecEval *eval;
	Oid			type;			/* of the row: declared, or of its header for RECORD */
	int32		typmod;
	TypeCacheEntry *entry;		/* of a named row type; entries live as long as the backend */
	uint64		identifier;		/* of its layout */
	bytea	   *spec;			/* its bytes, as they came */
} EvalCache;

/* ---------- prepared evaluation ---------- */

/* Make a specification ready for a row type or jsonb (or a domain over either), in the current memory context. */
ApibaseSpecEval *
apibase_spec_eval_prepare(const ApibaseSpecNode *node, Oid rowtype, int32 typmod)
{
	ApibaseSpecEval *eval = palloc0(sizeof(ApibaseSpecEval));
	ApibaseSpecRow *row;
	Expr	   *expr;

	if (getBaseType(rowtype) == JSONBOID)
	{
		eval->jsonb = apibase_spec_jsonb_prepare(node);
		return eval;
	}
	row = apibase_spec_row_for_type(rowtype, typmod);
	expr = apibase_spec_compile(node, row, false);
	convert_saop_to_hashed_saop((Node *) expr);
	eval->state = ExecInitExpr(expr, NULL);
	eval->econtext = CreateStandaloneExprContext();
	eval->tuple_slot = MakeSingleTupleTableSlot(row->desc, &TTSOpsHeapTuple);
	eval->values_slot = MakeSingleTupleTableSlot(row->desc, &TTSOpsVirtual);
	return eval;
}

/* The separate values of an expanded record into a slot. */
static void
store_expanded_values(TupleTableSlot *slot, ExpandedRecordHeader *record)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	deconstruct_expanded_record(record);
	ExecClearTuple(slot);
	for (int i = 0; i < natts; i++)
	{
		slot->tts_values[i] = i < record->nfields ? record->dvalues[i] : (Datum) 0;
		slot->tts_isnull[i] = i < record->nfields ? record->dnulls[i] : true;
	}
	ExecStoreVirtualTuple(slot);
}

/* The expanded record that a row Datum is, or NULL. */
static ExpandedRecordHeader *
expanded_record(Datum row)
{
	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(row)))
		return NULL;
	return (ExpandedRecordHeader *) DatumGetEOHP(row);
}

/* Put a row into one of the slots, without copying it. */
static TupleTableSlot *
store_row(ApibaseSpecEval *eval, Datum row, bool isnull, HeapTuple tuple)
{
	ExpandedRecordHeader *record;

	if (isnull)
		return ExecStoreAllNullTuple(eval->values_slot);

	record = expanded_record(row);
	if (record == NULL)
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(row);

		tuple->t_len = HeapTupleHeaderGetDatumLength(header);
		ItemPointerSetInvalid(&tuple->t_self);
		tuple->t_tableOid = InvalidOid;
		tuple->t_data = header;
		return ExecStoreHeapTuple(tuple, eval->tuple_slot, false);
	}
	if (ExpandedRecordIsEmpty(record))
		return ExecStoreAllNullTuple(eval->values_slot);
	if (record->flags & ER_FLAG_FVALUE_VALID)
		return ExecStoreHeapTuple(record->fvalue, eval->tuple_slot, false);
	store_expanded_values(eval->values_slot, record);
	return eval->values_slot;
}

/* Whether a row (or document) of the prepared type satisfies the specification.  A NULL row has NULL fields. */
bool
apibase_spec_eval(ApibaseSpecEval *eval, Datum row, bool isnull)
{
	HeapTupleData tuple;
	bool		result_null;
	Datum		result;

	if (eval->jsonb)
		return apibase_spec_jsonb_test(eval->jsonb, isnull ? NULL : DatumGetJsonbP(row));

	eval->econtext->ecxt_scantuple = store_row(eval, row, isnull, &tuple);
	result = ExecEvalExprSwitchContext(eval->state, eval->econtext, &result_null);
	ExecClearTuple(eval->econtext->ecxt_scantuple);
	ResetExprContext(eval->econtext);
	return !result_null && DatumGetBool(result);
}

/*
 * The same for a NULL RECORD, whose fields are not known by name: they are all
 * NULL, which decides every clause.
 */
bool
apibase_spec_eval_null_record(const ApibaseSpecNode *node)
{
	bool		result;
	ListCell   *lc;

	check_stack_depth();
	switch (node->kind)
	{
		case APIBASE_SPEC_BOOL:
			return node->value;
		case APIBASE_SPEC_CLAUSE:
			result = node->op == APIBASE_SPEC_IS_NULL;
			if (node->op == APIBASE_SPEC_IN)
			{
				foreach(lc, node->values)
					result |= ((ApibaseSpecValue *) lfirst(lc))->kind == APIBASE_SPEC_NULL;
			}
			return result != node->negated;
		case APIBASE_SPEC_NOT:
			return !apibase_spec_eval_null_record(linitial(node->args));
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			foreach(lc, node->args)
			{
				/* a false argument decides an AND, a true one an OR */
				if (apibase_spec_eval_null_record(lfirst(lc)) == (node->kind == APIBASE_SPEC_OR))
					return node->kind == APIBASE_SPEC_OR;
			}
			return node->kind == APIBASE_SPEC_AND;
	}
	elog(ERROR, "unrecognized kind of specification node: %d", (int) node->kind);
	return false;				/* keep compiler quiet */
}

/* ---------- the type of a row ---------- */

/* The declared type of a row argument; raises datatype_mismatch for what is neither row nor jsonb. */
Oid
apibase_spec_row_argument(FmgrInfo *flinfo)
{
	Oid			type = get_fn_expr_argtype(flinfo, 0);

	if (!type_is_rowtype(type) && getBaseType(type) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("specifications apply to rows and jsonb documents, not to type %s", format_type_be(type))));
	return type;
}

/* Type and typmod of a row; a RECORD is asked for its own. */
void
apibase_spec_row_type(Datum row, bool isnull, Oid declared, Oid *type, int32 *typmod)
{
	ExpandedRecordHeader *record;

	*type = declared;
	*typmod = -1;
	if (declared != RECORDOID)
		return;
	if (isnull)
		elog(ERROR, "a NULL record has no type");

	record = expanded_record(row);
	if (record != NULL)
	{
		*type = record->er_typeid;
		if (record->er_typeid == RECORDOID && record->er_typmod < 0)
		{
			/* a record that nobody needed the type of, until now */
			TupleDesc	desc = expanded_record_get_tupdesc(record);

			assign_record_type_typmod(desc);
			record->er_typmod = desc->tdtypmod;
		}
		*typmod = record->er_typmod;
	}
	else
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(row);

		*type = HeapTupleHeaderGetTypeId(header);
		*typmod = HeapTupleHeaderGetTypMod(header);
	}
}

/* ---------- SQL function ---------- */

PG_FUNCTION_INFO_V1(apibase_spec_is_satisfied_by);

/*
 * Prepare for this specification and row type, in place of what the call site
 * had.  RECORD needs no watching: its typmods are never used again.
 */
static void
refill_cache(EvalCache *cache, bytea *spec, Oid type, int32 typmod)
{
	MemoryContext old;

	cache->eval = NULL;
	MemoryContextReset(cache->context);
	old = MemoryContextSwitchTo(cache->context);
	cache->spec = palloc(VARSIZE_ANY(spec));
	memcpy(cache->spec, spec, VARSIZE_ANY(spec));
	cache->type = type;
	cache->typmod = typmod;
	cache->entry = NULL;
	if (type != RECORDOID && type_is_rowtype(type))
	{
		cache->entry = lookup_type_cache(getBaseType(type), TYPECACHE_TUPDESC);
		cache->identifier = cache->entry->tupDesc_identifier;
	}
	cache->eval = apibase_spec_eval_prepare(apibase_spec_decode(DatumGetApibaseSpecP(PointerGetDatum(cache->spec))),
											type, typmod);
	MemoryContextSwitchTo(old);
}

/* Whether the row type still is what was prepared for. */
static bool
same_layout(const EvalCache *cache)
{
	return cache->entry == NULL ||
		(cache->entry->tupDesc != NULL && cache->entry->tupDesc_identifier == cache->identifier);
}

/* A record that was made before its type was altered must not be read by the new layout. */
static void
check_record_layout(const EvalCache *cache, Datum row)
{
	ExpandedRecordHeader *record = expanded_record(row);

	if (record != NULL && record->er_tupdesc_id != cache->identifier)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("type %s was altered after the record was made", format_type_be(cache->type))));
}

static bool
same_spec(const bytea *a, const bytea *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* The cache of this call site, made at the first call. */
static EvalCache *
get_cache(FmgrInfo *flinfo)
{
	EvalCache  *cache = flinfo->fn_extra;

	if (cache == NULL)
	{
		Oid			declared = apibase_spec_row_argument(flinfo);

		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(EvalCache));
		cache->context = AllocSetContextCreate(flinfo->fn_mcxt, "apibase specification", ALLOCSET_SMALL_SIZES);
		cache->declared = declared;
		flinfo->fn_extra = cache;
	}
	return cache;
}

/* What the call site prepared, for this specification and row. */
static ApibaseSpecEval *
get_eval(EvalCache *cache, bytea *spec, Datum row, bool isnull)
{
	Oid			type;
	int32		typmod;

	apibase_spec_row_type(row, isnull, cache->declared, &type, &typmod);
	if (cache->eval == NULL || cache->type != type || cache->typmod != typmod ||
		!same_layout(cache) || !same_spec(cache->spec, spec))
		refill_cache(cache, spec, type, typmod);
	if (cache->entry != NULL && !isnull)
		check_record_layout(cache, row);
	return cache->eval;
}

/* is_satisfied_by(row anyelement, spec) -> boolean; also row @@ spec */
Datum
apibase_spec_is_satisfied_by(PG_FUNCTION_ARGS)
{
	bytea	   *spec;
	EvalCache  *cache = get_cache(fcinfo->flinfo);

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) && cache->declared == RECORDOID)
		PG_RETURN_BOOL(apibase_spec_eval_null_record(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(1))));
	spec = PG_GETARG_BYTEA_PP(1);
	PG_RETURN_BOOL(apibase_spec_eval(get_eval(cache, spec, PG_GETARG_DATUM(0), PG_ARGISNULL(0)),
									 PG_GETARG_DATUM(0), PG_ARGISNULL(0)));
}
