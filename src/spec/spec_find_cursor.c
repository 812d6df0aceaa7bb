/*-------------------------------------------------------------------------
 *
 * spec_find_cursor.c
 *	  The argument "after" of find(): from JSON to the values of the sort keys.
 *
 * "after" is the last row of the page before, as to_jsonb(row) gives it: an
 * object with at least the columns that the sort keys begin with.  Those are
 * read back into a row of the relation (jsonb_populate_record, so each value
 * goes through its type's input function), and the keys are evaluated on
 * that row, by the expressions that the statement sorts by.
 *
 * Other members of the object are not looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "spec/spec_find.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Raise invalid_cursor for a key that is not there. */
static void
missing_key(List *keys, const ApibaseFindKey *key)
{
	StringInfoData order;
	ListCell   *lc;

	initStringInfo(&order);
	foreach(lc, keys)
	{
		if (order.len > 0)
			appendStringInfoString(&order, ", ");
		appendStringInfoString(&order, apibase_spec_path_text(((ApibaseFindKey *) lfirst(lc))->path));
	}
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_INVALID_CURSOR),
			 errmsg("\"after\" has no value for the sort key %s", apibase_spec_path_text(key->path)),
			 errdetail("The list is sorted by %s.", order.data),
			 errhint("Give the last row whole: to_jsonb(row).")));
}

/*
 * The member of "after" that a key begins with.  Below it a composite value
 * must have the rest of the path, unless it is null; what a document lacks is NULL.
 */
static JsonbValue *
key_member(Jsonb *after, List *keys, const ApibaseFindKey *key)
{
	ApibaseSpecStep *first = linitial(key->path);
	JsonbValue *member = getKeyJsonValueFromContainer(&after->root, first->name, strlen(first->name), NULL);
	JsonbValue *value = member;

	for (int i = 1; value != NULL && value->type != jbvNull && i < list_length(key->path) && !key->json; i++)
	{
		ApibaseSpecStep *step = list_nth(key->path, i);

		value = value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data) ? NULL :
			getKeyJsonValueFromContainer(value->val.binary.data, step->name, strlen(step->name), NULL);
	}
	if (value == NULL)
		missing_key(keys, key);
	return member;
}

/* The members of "after" that the keys need, and no others. */
static Jsonb *
needed_members(Jsonb *after, List *keys)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	ListCell   *lc;

	if (!JB_ROOT_IS_OBJECT(after))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CURSOR),
				 errmsg("\"after\" must be a JSON object"),
				 errhint("Give the last row of the page before: to_jsonb(row).")));

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, keys)
	{
		ApibaseFindKey *key = lfirst(lc);
		ApibaseSpecStep *first = linitial(key->path);
		JsonbValue *member = key_member(after, keys, key);
		JsonbValue	name;

		name.type = jbvString;
		name.val.string.val = first->name;
		name.val.string.len = strlen(first->name);
		pushJsonbValue(&state, WJB_KEY, &name);
		pushJsonbValue(&state, WJB_VALUE, member);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

/* jsonb_populate_record(a row of NULLs, members): a value that is not in members stays as it is. */
static Expr *
populate_expr(Oid rowtype, TupleDesc desc, Jsonb *members)
{
	bool	   *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	Datum	   *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	HeapTuple	empty;

	memset(nulls, true, desc->natts);
	empty = heap_form_tuple(desc, values, nulls);
	return (Expr *) makeFuncExpr(F_JSONB_POPULATE_RECORD, rowtype,
								 list_make2(makeConst(rowtype, -1, InvalidOid, -1,
													  HeapTupleGetDatum(empty), false, false),
											makeConst(JSONBOID, -1, InvalidOid, -1,
													  JsonbPGetDatum(members), false, false)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Evaluate an expression in an executor state. */
static Datum
evaluate(Expr *expr, EState *estate, bool *isnull)
{
	ExprState  *state = ExecPrepareExpr(expr, estate);

	return ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), isnull);
}

/* Says which argument an error of an input function is about. */
static void
cursor_error_callback(void *arg)
{
	errcontext("argument \"after\" of find");
}

/* The row that the members make, in a slot. */
static TupleTableSlot *
cursor_row(const ApibaseFindRequest *request, TupleDesc desc, Jsonb *members, EState *estate)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	ErrorContextCallback callback;
	HeapTupleHeader header;
	HeapTupleData tuple;
	bool		isnull;

	callback.callback = cursor_error_callback;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	header = DatumGetHeapTupleHeader(evaluate(populate_expr(request->rowtype, desc, members), estate, &isnull));
	error_context_stack = callback.previous;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	ExecForceStoreHeapTuple(&tuple, slot, false);
	return slot;
}

/* Whether a value is JSON null, which sorts as NULL. */
static bool
is_json_null(Datum value, Oid type)
{
	JsonbValue	scalar;

	return type == JSONBOID && JB_ROOT_IS_SCALAR(DatumGetJsonbP(value)) &&
		JsonbExtractScalar(&DatumGetJsonbP(value)->root, &scalar) && scalar.type == jbvNull;
}

/* The layout of a row, without constraints: the executor refuses to read virtual columns (18) by a layout with them. */
static TupleDesc
row_desc(Oid rowtype)
{
	TupleDesc	shared = lookup_rowtype_tupdesc(rowtype, -1);
	TupleDesc	desc = CreateTupleDescCopy(shared);

	ReleaseTupleDesc(shared);
	return desc;
}

/* The values of the keys in "after". */
ApibaseFindCursor *
apibase_find_cursor(const ApibaseFindRequest *request, List *keys)
{
	ApibaseFindCursor *cursor = palloc(sizeof(ApibaseFindCursor));
	int			nkeys = list_length(keys);
	Jsonb	   *members = needed_members(request->after, keys);
	TupleDesc	desc = row_desc(request->rowtype);
	EState	   *estate = CreateExecutorState();
	TupleTableSlot *slot = cursor_row(request, desc, members, estate);

	cursor->values = palloc0(sizeof(Datum) * nkeys);
	cursor->nulls = palloc0(sizeof(bool) * nkeys);
	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	for (int i = 0; i < nkeys; i++)
	{
		ApibaseFindKey *key = list_nth(keys, i);
		Datum		value = evaluate(key->expr, estate, &cursor->nulls[i]);
		int16		typlen;
		bool		typbyval;

		get_typlenbyval(key->type, &typlen, &typbyval);
		if (!cursor->nulls[i] && is_json_null(value, key->type))
			cursor->nulls[i] = true;
		if (!cursor->nulls[i])
			cursor->values[i] = datumCopy(value, typbyval, typlen);
	}
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	return cursor;
}
