/*-------------------------------------------------------------------------
 *
 * decorate_validated.c
 *	  validated: the arguments satisfy a specification, or the call is refused.
 *
 * The named arguments are a row, and the specification is compiled for it like
 * for any row: once for each chain, and again when the types of the call
 * are others (polymorphic arguments) or a composite type among them is altered.
 *
 * What is prepared is taken out of the options while it is used: a call that
 * comes in between, from an operator of the specification, prepares its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "decorate/decorate.h"
#include "spec/spec.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* The specification made ready for a row of arguments of certain types. */
typedef struct Prepared
{
	MemoryContext context;		/* where all of it is */
	TupleDesc	desc;			/* of the row */
	TypeCacheEntry **entries;	/* of each column of a composite type; entries live as long as the backend */
	uint64	   *identifiers;	/* of the layouts of these */
	ApibaseSpecEval *eval;
} Prepared;

typedef struct ValidatedOptions
{
	MemoryContext context;		/* of the chain */
	ApibaseSpecNode *node;
	char	   *text;			/* of the specification */
	int			ncolumns;
	int		   *args;			/* the argument that each column is */
	Prepared   *prepared;		/* NULL: none, or it is in use */
} ValidatedOptions;

/* ---------- preparing ---------- */

static Prepared *
prepare(const ValidatedOptions *options, const ApibaseDecoratedFunction *function, const Oid *types)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase validated", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Prepared   *prepared = palloc0(sizeof(Prepared));

	prepared->context = context;
	prepared->desc = CreateTemplateTupleDesc(options->ncolumns);
	prepared->entries = palloc0(options->ncolumns * sizeof(TypeCacheEntry *));
	prepared->identifiers = palloc0(options->ncolumns * sizeof(uint64));
	for (int i = 0; i < options->ncolumns; i++)
	{
		Oid			base = getBaseType(types[i]);

		TupleDescInitEntry(prepared->desc, i + 1, function->argnames[options->args[i]], types[i], -1, 0);
		if (base != RECORDOID && type_is_rowtype(base))
		{
			prepared->entries[i] = lookup_type_cache(base, TYPECACHE_TUPDESC);
			prepared->identifiers[i] = prepared->entries[i]->tupDesc_identifier;
		}
	}
	prepared->desc = BlessTupleDesc(prepared->desc);
	prepared->eval = apibase_spec_eval_prepare(options->node, RECORDOID, prepared->desc->tdtypmod);
	MemoryContextSwitchTo(old);
	return prepared;
}

static bool
fits(const Prepared *prepared, const Oid *types)
{
	for (int i = 0; i < prepared->desc->natts; i++)
	{
		const TypeCacheEntry *entry = prepared->entries[i];

		if (TupleDescAttr(prepared->desc, i)->atttypid != types[i] ||
			(entry != NULL && (entry->tupDesc == NULL || entry->tupDesc_identifier != prepared->identifiers[i])))
			return false;
	}
	return true;
}

/* Visitor: where types are known only in a call, names are known now. */
static void
check_name(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	const ApibaseDecoratedFunction *function = arg;
	const char *name = ((ApibaseSpecStep *) linitial(clause->path))->name;

	for (int i = 0; i < function->nargs; i++)
	{
		if (function->argnames[i] != NULL && strcmp(function->argnames[i], name) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("field \"%s\" of the specification is not an argument of function %s", name, function->name)));
}

static void *
validated_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	ValidatedOptions *validated = palloc0(sizeof(ValidatedOptions));
	Oid		   *types = palloc((function->nargs + 1) * sizeof(Oid));

	validated->context = CurrentMemoryContext;
	validated->text = apibase_option_text(options, "specification");
	if (validated->text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("specification is missing")));
	validated->node = apibase_spec_read(validated->text);
	validated->args = palloc((function->nargs + 1) * sizeof(int));
	for (int i = 0; i < function->nargs; i++)
	{
		if (function->argnames[i] == NULL)
			continue;
		types[validated->ncolumns] = function->argtypes[i];
		validated->args[validated->ncolumns++] = i;
	}
	if (function->polymorphic)
		apibase_spec_visit(validated->node, check_name, unconstify(ApibaseDecoratedFunction *, function));
	else
		validated->prepared = prepare(validated, function, types);
	pfree(types);
	return validated;
}

/* ---------- calls ---------- */

/* The arguments as a row. */
static Datum
make_row(const ApibaseDecoratedCall *call, const ValidatedOptions *options, TupleDesc desc)
{
	Datum		values[FUNC_MAX_ARGS];
	bool		nulls[FUNC_MAX_ARGS];

	for (int i = 0; i < options->ncolumns; i++)
	{
		values[i] = call->fcinfo->args[options->args[i]].value;
		nulls[i] = call->fcinfo->args[options->args[i]].isnull;
	}
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* The clauses that a row does not satisfy, as spec_explain() finds them; in the current context. */
static char *
failing_clauses(const ValidatedOptions *options, Datum row)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[2] = {RECORDOID, TEXTOID};
	Datum		values[2];
	char	   *clauses;
	char	   *result;

	values[0] = row;
	values[1] = CStringGetTextDatum(options->text);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT pg_catalog.string_agg(clause, '; ') FROM apibase.spec_explain($1, $2::apibase.spec)",
							  2, types, values, NULL, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "apibase.spec_explain failed");
	clauses = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	result = MemoryContextStrdup(context, clauses ? clauses : options->text);
	SPI_finish();
	return result;
}

/* What is prepared for the types of a call, taken out of the options. */
static Prepared *
take_prepared(ValidatedOptions *options, const ApibaseDecoratedCall *call)
{
	Prepared   *prepared = options->prepared;
	Oid			types[FUNC_MAX_ARGS];

	for (int i = 0; i < options->ncolumns; i++)
		types[i] = apibase_decorated_argtype(call, options->args[i]);
	Assert(prepared == NULL || prepared->desc->natts == options->ncolumns);
	options->prepared = NULL;
	if (prepared != NULL && fits(prepared, types))
		return prepared;
	if (prepared != NULL)
		MemoryContextDelete(prepared->context);
	prepared = prepare(options, call->function, types);
	MemoryContextSetParent(prepared->context, options->context);
	return prepared;
}

/* Put it back. */
static void
give_prepared(ValidatedOptions *options, Prepared *prepared)
{
	if (options->prepared == NULL)
		options->prepared = prepared;
	else
		MemoryContextDelete(prepared->context);
}

/* Whether the arguments satisfy it; *row is what they are as a row. */
static bool
is_satisfied(const ApibaseDecoratedCall *call, ValidatedOptions *options, Prepared *prepared, Datum *row)
{
	bool		satisfied;

	PG_TRY();
	{
		*row = make_row(call, options, prepared->desc);
		satisfied = apibase_spec_eval(prepared->eval, *row, false);
	}
	PG_CATCH();
	{
		give_prepared(options, prepared);
		PG_RE_THROW();
	}
	PG_END_TRY();
	give_prepared(options, prepared);
	return satisfied;
}

static void
validated_call(ApibaseDecoratedCall *call, void *arg)
{
	ValidatedOptions *options = arg;
	Datum		row;

	if (!is_satisfied(call, options, take_prepared(options, call), &row))
	{
		const char *clauses = failing_clauses(options, row);

		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_ARGUMENTS_INVALID),
				 errmsg("arguments of function %s are not valid", call->function->name),
				 errdetail("Not satisfied: %s.", clauses)));
	}
	apibase_decorated_next(call);
}

const ApibaseDecorator apibase_decorator_validated = {
	.name = "validated",
	.parse = validated_parse,
	.call = validated_call,
};
