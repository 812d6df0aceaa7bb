/*-------------------------------------------------------------------------
 *
 * spec_report.c
 *	  spec_check(): what in a specification does not fit a relation, and
 *	  spec_explain(): which of its clauses a row does not satisfy.
 *
 * Both report rows with a JSON Pointer (RFC 6901) into the JSON form of the
 * specification, whatever form it was written in.
 *
 * spec_check compiles each clause by itself in a subtransaction, and turns an
 * error into a row.  spec_explain evaluates each clause by itself, and then
 * walks down from the top: of an AND that fails, the arguments that fail are
 * to blame; of an OR, all arguments; and under NOT the other way round.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/subxact.h"
#include "spec/spec.h"
#include "spec/spec_report.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(apibase_spec_check);
PG_FUNCTION_INFO_V1(apibase_spec_explain);

/* ---------- errors as data ---------- */

/*
 * Whether an error can be the fault of a specification: its syntax and values
 * (22, 42, PB), types and features that are not there (3F, 0A), and constraints
 * of domains (23; P0, when they are functions that raise).
 */
static bool
is_reportable(int sqlerrcode)
{
	static const char classes[][3] = {"0A", "22", "23", "3F", "42", "P0", "PB"};
	const char *code = unpack_sql_state(sqlerrcode);

	for (size_t i = 0; i < lengthof(classes); i++)
	{
		if (strncmp(code, classes[i], 2) == 0)
			return true;
	}
	return false;
}

ErrorData *
apibase_spec_try(void (*fn) (void *arg), void *arg)
{
	ErrorData  *error = apibase_try(fn, arg);

	if (error != NULL && !is_reportable(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/* ---------- spec_check ---------- */

/* One compilation, and what spec_check knows. */
typedef struct CheckState
{
	ApibaseSpecRow *row;
	const ApibaseSpecNode *node;	/* to compile */
	ReturnSetInfo *result;
	MemoryContext clause_context;
} CheckState;

/* A pattern of like that ends in its escape character is an error only for rows that match up to there. */
static void
check_like_pattern(const char *pattern)
{
	size_t		length = strlen(pattern);
	size_t		escapes = 0;

	while (escapes < length && pattern[length - 1 - escapes] == '\\')
		escapes++;
	if (escapes % 2 == 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
				 errmsg("LIKE pattern must not end with escape character")));
}

/* Visitor: raise for a pattern that is none, as matching a row would. */
static void
check_pattern(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	const ApibaseSpecValue *value = clause->values != NIL ? linitial(clause->values) : NULL;

	if (value == NULL || value->text == NULL)
		return;
	if (clause->op == APIBASE_SPEC_LIKE || clause->op == APIBASE_SPEC_ILIKE)
		check_like_pattern(value->text);
	else if (clause->op == APIBASE_SPEC_MATCH || clause->op == APIBASE_SPEC_IMATCH)
		(void) DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID, CStringGetTextDatum(""),
									   CStringGetTextDatum(value->text));
}

/* For apibase_spec_try. */
static void
compile_node(void *arg)
{
	CheckState *state = arg;

	apibase_spec_compile(state->node, state->row, false);
	apibase_spec_visit(state->node, check_pattern, NULL);
}

/* A clause with the negations above it. */
static ApibaseSpecNode *
effective_clause(const ApibaseSpecNode *clause, bool negated)
{
	ApibaseSpecNode *copy = palloc(sizeof(ApibaseSpecNode));

	*copy = *clause;
	copy->negated = clause->negated != negated;
	return copy;
}

/* Visitor: a row for a clause that does not compile. */
static void
check_clause(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	CheckState *state = arg;
	MemoryContext old = MemoryContextSwitchTo(state->clause_context);
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	state->node = effective_clause(clause, negated);
	error = apibase_spec_try(compile_node, state);
	if (error != NULL)
	{
		Datum		values[5];
		bool		nulls[5] = {0};

		values[0] = CStringGetTextDatum(pointer);
		values[1] = CStringGetTextDatum(apibase_spec_path_text(clause->path));
		values[2] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		values[3] = CStringGetTextDatum(error->message);
		nulls[4] = error->hint == NULL;
		values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(error->hint);
		tuplestore_putvalues(state->result->setResult, state->result->setDesc, values, nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->clause_context);
}

/* spec_check(regclass, spec): one row for each clause that does not fit the relation. */
Datum
apibase_spec_check(PG_FUNCTION_ARGS)
{
	CheckState	state = {0};
	ApibaseSpecNode *node = apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(1));
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	state.result = (ReturnSetInfo *) fcinfo->resultinfo;
	state.row = apibase_spec_row_for_relation(PG_GETARG_OID(0));
	state.node = node;
	state.clause_context = AllocSetContextCreate(CurrentMemoryContext, "apibase spec_check",
												 ALLOCSET_DEFAULT_SIZES);

	/* mostly there is nothing wrong, and one subtransaction tells */
	old = MemoryContextSwitchTo(state.clause_context);
	if (apibase_spec_try(compile_node, &state) != NULL)
	{
		MemoryContextSwitchTo(old);
		apibase_spec_visit(node, check_clause, &state);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(state.clause_context);
	return (Datum) 0;
}

/* ---------- spec_explain ---------- */

/* What a row makes of a node, without the negations above it. */
typedef struct Truth
{
	bool		value;
	struct Truth *args;			/* for each argument of the node */
} Truth;

typedef struct ExplainState
{
	Oid			type;			/* of the row; InvalidOid: a NULL record, with unknown fields */
	int32		typmod;
	Datum		row;
	bool		isnull;
	ReturnSetInfo *result;
	MemoryContext clause_context;
	StringInfoData pointer;
} ExplainState;

/* Evaluate a node, and all nodes below it. */
static void
assess(ExplainState *state, const ApibaseSpecNode *node, Truth *truth)
{
	int			nargs = list_length(node->args);
	bool		any = false;
	bool		all = true;

	check_stack_depth();
	if (node->kind == APIBASE_SPEC_BOOL)
		truth->value = node->value;
	else if (node->kind == APIBASE_SPEC_CLAUSE)
	{
		MemoryContext old = MemoryContextSwitchTo(state->clause_context);

		CHECK_FOR_INTERRUPTS();
		truth->value = !OidIsValid(state->type) ? apibase_spec_eval_null_record(node) :
			apibase_spec_eval(apibase_spec_eval_prepare(node, state->type, state->typmod),
							  state->row, state->isnull);
		MemoryContextSwitchTo(old);
		MemoryContextReset(state->clause_context);
	}
	else
	{
		truth->args = palloc0(sizeof(Truth) * nargs);
		for (int i = 0; i < nargs; i++)
		{
			assess(state, list_nth(node->args, i), &truth->args[i]);
			any |= truth->args[i].value;
			all &= truth->args[i].value;
		}
		truth->value = node->kind == APIBASE_SPEC_AND ? all :
			node->kind == APIBASE_SPEC_OR ? any : !all;
	}
}

/* The row in a slot. */
static TupleTableSlot *
row_slot(ExplainState *state, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	HeapTupleData tuple;

	if (state->isnull)
		return ExecStoreAllNullTuple(slot);
	tuple.t_data = DatumGetHeapTupleHeader(state->row);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	ExecForceStoreHeapTuple(&tuple, slot, false);
	return slot;
}

/* The value of a field as jsonb; what is NULL or missing is JSON null. */
static Datum
actual_value(ExplainState *state, const List *path)
{
	bool		document = OidIsValid(state->type) && getBaseType(state->type) == JSONBOID;
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);
	ApibaseSpecRow *row;
	ApibaseSpecField field;
	Datum		value = (Datum) 0;
	bool		isnull = true;

	if (document && !state->isnull)
	{
		row = palloc0(sizeof(ApibaseSpecRow));
		row->document = (Expr *) makeConst(JSONBOID, -1, InvalidOid, -1, state->row, false, false);
		apibase_spec_resolve_field(row, path, &field);
		value = ExecEvalExprSwitchContext(ExecPrepareExpr(field.expr, estate), econtext, &isnull);
	}
	else if (!document && OidIsValid(state->type))
	{
		row = apibase_spec_row_for_type(state->type, state->typmod);
		apibase_spec_resolve_field(row, path, &field);
		if (!field.json)
			field.expr = (Expr *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(field.expr), InvalidOid,
											   field.collation, COERCE_EXPLICIT_CALL);
		econtext->ecxt_scantuple = row_slot(state, row->desc);
		value = ExecEvalExprSwitchContext(ExecPrepareExpr(field.expr, estate), econtext, &isnull);
	}
	if (isnull)
		return DirectFunctionCall1(jsonb_in, CStringGetDatum("null"));
	return value;
}

/* Report a clause, or false, that is not satisfied. */
static void
report(ExplainState *state, const ApibaseSpecNode *node)
{
	MemoryContext old = MemoryContextSwitchTo(state->clause_context);
	StringInfoData text;
	Datum		values[4];
	bool		nulls[4] = {0};

	initStringInfo(&text);
	apibase_spec_append_text(&text, node);
	values[0] = CStringGetTextDatum(state->pointer.data);
	values[1] = CStringGetTextDatum(text.data);
	if (node->kind == APIBASE_SPEC_CLAUSE)
	{
		values[2] = CStringGetTextDatum(apibase_spec_path_text(node->path));
		values[3] = actual_value(state, node->path);
	}
	else
		nulls[2] = nulls[3] = true;
	tuplestore_putvalues(state->result->setResult, state->result->setDesc, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->clause_context);
}

/* Report what is to blame that a node, under negations or not, is not satisfied. */
static void
blame(ExplainState *state, const ApibaseSpecNode *node, const Truth *truth, bool negated)
{
	int			length = state->pointer.len;

	check_stack_depth();
	if (node->kind == APIBASE_SPEC_BOOL)
		report(state, apibase_spec_make_bool(false));
	else if (node->kind == APIBASE_SPEC_CLAUSE)
		report(state, effective_clause(node, negated));
	else if (node->kind == APIBASE_SPEC_NOT)
	{
		appendStringInfoString(&state->pointer, "/not");
		blame(state, linitial(node->args), &truth->args[0], !negated);
	}
	else
	{
		for (int i = 0; i < list_length(node->args); i++)
		{
			if (truth->args[i].value != negated)
				continue;		/* this one is satisfied */
			appendStringInfo(&state->pointer, "/%s/%d", node->kind == APIBASE_SPEC_AND ? "and" : "or", i);
			blame(state, list_nth(node->args, i), &truth->args[i], negated);
			state->pointer.len = length;
			state->pointer.data[length] = '\0';
		}
	}
	state->pointer.len = length;
	state->pointer.data[length] = '\0';
}

/* spec_explain(row anyelement, spec): the clauses that are to blame; no rows when the row satisfies it. */
Datum
apibase_spec_explain(PG_FUNCTION_ARGS)
{
	Oid			declared = apibase_spec_row_argument(fcinfo->flinfo);
	ExplainState state = {0};
	ApibaseSpecNode *node;
	Truth		truth = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(1))
		return (Datum) 0;
	node = apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(1));
	state.result = (ReturnSetInfo *) fcinfo->resultinfo;
	state.isnull = PG_ARGISNULL(0);
	if (!state.isnull || declared != RECORDOID)
		apibase_spec_row_type(PG_GETARG_DATUM(0), state.isnull, declared, &state.type, &state.typmod);
	if (OidIsValid(state.type) && !type_is_rowtype(state.type) && getBaseType(state.type) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("specifications apply to rows and jsonb documents, not to type %s",
						format_type_be(state.type))));
	/* flat, so that it can be looked at again and again */
	if (!state.isnull)
		state.row = PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(0)));
	state.clause_context = AllocSetContextCreate(CurrentMemoryContext, "apibase spec_explain",
												 ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&state.pointer);

	assess(&state, node, &truth);
	if (!truth.value)
		blame(&state, node, &truth, false);
	MemoryContextDelete(state.clause_context);
	return (Datum) 0;
}
