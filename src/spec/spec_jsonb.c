/*-------------------------------------------------------------------------
 *
 * spec_jsonb.c
 *	  Evaluation of a specification on a jsonb document.
 *
 * A document has no columns to compile against, and building an expression of
 * jsonb operators for it would copy every value on the way.  So a prepared
 * specification is walked over the document itself: keys are looked up in
 * their containers, and scalars compared where they lie.
 *
 * The rules are those of the SQL that spec_compile_json.c emits for a path into
 * a jsonb column, with x for the value at the path:
 *
 *	path		-> for each step.  A name selects from an object, an index from an
 *				array, counted from the end when negative.  As with ->, a scalar
 *				counts as an array of itself for an index.  Everything else is
 *				missing.  A missing x and JSON null are NULL: only is_null and null
 *				in a list are satisfied.
 *	eq, in		the same JSON type and value: strings by their bytes, numbers as
 *				numeric, arrays by compareJsonbContainers.
 *	lt le gt ge between
 *				false unless x has the literal's JSON type; strings in the default
 *				collation, false before true, arrays by compareJsonbContainers.
 *	jsonb 'v'	compared with x by compareJsonbContainers, whatever their types.
 *	type 'v'	of another type: false unless x is a string, which goes through the
 *				type's input function, whose error is raised, and is compared by the
 *				operator that spec_operator.c finds for the type.
 *	like ilike match imatch starts_with
 *				false unless x is a string; under the default collation.
 *	contains	x @> v.  A literal that is no array stands for an array of it, unless
 *				it is a jsonb '...'.
 *	contained_by	x <@ v, false unless x is an array or object.
 *	overlaps	x is an array, and x @> [element] for an element of v.
 *
 * A negated clause is true exactly when the clause is not, NULL included.
 *
 * Preparing resolves all that the document has no part in: literals to their
 * values, types to functions; the strings and numbers of a list are sorted, so
 * that a long list costs a binary search.  Testing allocates memory only for
 * typed literals, regular expressions, indexes and containment, in the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/varlena.h"

#include "core/compat.h"
#include "spec/spec_compile.h"

typedef struct PathStep
{
	const char *name;			/* NULL: index */
	int			length;
	int32		index;
} PathStep;

typedef enum OperandKind
{
	OPERAND_NUMBER,
	OPERAND_STRING,
	OPERAND_BOOL,
	OPERAND_ARRAY,				/* json: compared with arrays only */
	OPERAND_JSON,				/* json: compared with anything */
	OPERAND_TYPED
} OperandKind;

/* A literal of another type than jsonb: how to read x, and how to compare. */
typedef struct TypedOperand
{
	bool		is_text;		/* x needs no reading */
	FmgrInfo	input;
	Oid			ioparam;
	FmgrInfo	compare;
	Oid			collation;
	Datum		constant;
} TypedOperand;

typedef struct Operand
{
	OperandKind kind;
	ApibaseSpecOp op;			/* EQ to GE */
	bool		boolean;
	Numeric		number;
	const char *string;
	int			length;
	Jsonb	   *json;
	TypedOperand *typed;
} Operand;

/* The values of a list, by kind. */
typedef struct InList
{
	bool		has_null;
	bool		has_true;
	bool		has_false;
	int			nnumbers;
	Numeric    *numbers;		/* ascending */
	int			nstrings;
	Operand    *strings;		/* ascending by length, then bytes */
	int			nothers;
	Operand    *others;
} InList;

typedef struct Test
{
	ApibaseSpecKind kind;
	bool		negated;		/* of a clause; value of a Boolean constant */
	/* AND, OR, NOT */
	int			nargs;
	struct Test *args;
	/* CLAUSE */
	ApibaseSpecOp op;
	int			nsteps;
	PathStep   *steps;
	int			noperands;		/* one; BETWEEN two; OVERLAPS any number */
	Operand    *operands;
	InList	   *list;
	text	   *pattern;		/* LIKE and its kin */
} Test;

struct ApibaseSpecJsonb
{
	Test		root;
	MemoryContext context;
	text	   *scratch;		/* a string of the document as text */
	int			scratch_size;
};

/* ---------- preparing ---------- */

/* A comparison with a typed literal. */
static void
prepare_typed(Operand *operand, const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	TypedOperand *typed = palloc0(sizeof(TypedOperand));
	Const	   *constant = apibase_spec_typed_literal(value, field);
	ApibaseSpecOperator operator = apibase_spec_comparison(constant->consttype, InvalidOid, operand->op);
	Oid			input;

	getTypeInputInfo(constant->consttype, &input, &typed->ioparam);
	fmgr_info(input, &typed->input);
	fmgr_info(get_opcode(operator.opno), &typed->compare);
	typed->is_text = constant->consttype == TEXTOID;
	typed->collation = constant->constcollid;
	typed->constant = constant->constvalue;
	operand->kind = OPERAND_TYPED;
	operand->typed = typed;
}

/* A literal of a comparison. */
static void
prepare_operand(Operand *operand, ApibaseSpecOp op, const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	memset(operand, 0, sizeof(*operand));
	operand->op = op;
	switch (value->kind)
	{
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			operand->kind = OPERAND_BOOL;
			operand->boolean = value->kind == APIBASE_SPEC_TRUE;
			return;
		case APIBASE_SPEC_NUMBER:
			operand->kind = OPERAND_NUMBER;
			operand->number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(value->text),
																  ObjectIdGetDatum(InvalidOid),
																  Int32GetDatum(-1)));
			return;
		case APIBASE_SPEC_STRING:
			operand->kind = OPERAND_STRING;
			operand->string = value->text;
			operand->length = (int) strlen(value->text);
			return;
		case APIBASE_SPEC_TYPED:
			if (apibase_spec_literal_type(value) != JSONBOID)
			{
				prepare_typed(operand, value, field);
				return;
			}
			break;
		default:
			break;
	}
	operand->kind = value->kind == APIBASE_SPEC_ARRAY ? OPERAND_ARRAY : OPERAND_JSON;
	operand->json = DatumGetJsonbP(apibase_spec_json_literal(value, field)->constvalue);
}

/* Order strings by length and bytes: an order for looking up, not for people. */
static int
compare_strings(const void *a, const void *b)
{
	const Operand *x = a;
	const Operand *y = b;

	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return memcmp(x->string, y->string, x->length);
}

static int
compare_numbers(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static int
compare_number_pointers(const void *a, const void *b)
{
	return compare_numbers(*(const Numeric *) a, *(const Numeric *) b);
}

/* The values of "in". */
static InList *
prepare_list(const List *values, const ApibaseSpecField *field)
{
	InList	   *list = palloc0(sizeof(InList));
	int			count = Max(list_length(values), 1);
	Operand		operand;
	ListCell   *lc;

	list->numbers = palloc(count * sizeof(Numeric));
	list->strings = palloc(count * sizeof(Operand));
	list->others = palloc(count * sizeof(Operand));
	foreach(lc, values)
	{
		const ApibaseSpecValue *value = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (value->kind == APIBASE_SPEC_NULL)
		{
			list->has_null = true;
			continue;
		}
		prepare_operand(&operand, APIBASE_SPEC_EQ, value, field);
		if (operand.kind == OPERAND_BOOL && operand.boolean)
			list->has_true = true;
		else if (operand.kind == OPERAND_BOOL)
			list->has_false = true;
		else if (operand.kind == OPERAND_NUMBER)
			list->numbers[list->nnumbers++] = operand.number;
		else if (operand.kind == OPERAND_STRING)
			list->strings[list->nstrings++] = operand;
		else
			list->others[list->nothers++] = operand;
	}
	qsort(list->numbers, list->nnumbers, sizeof(Numeric), compare_number_pointers);
	qsort(list->strings, list->nstrings, sizeof(Operand), compare_strings);
	return list;
}

static void
prepare_json(Operand *operand, const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	memset(operand, 0, sizeof(*operand));
	operand->kind = OPERAND_JSON;
	operand->json = DatumGetJsonbP(apibase_spec_json_array(value, field)->constvalue);
}

/* The elements of the literal of overlaps, each in an array. */
static void
prepare_overlaps(Test *test, const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	List	   *elements = apibase_spec_json_elements(value, field);
	ListCell   *lc;

	test->operands = palloc(Max(list_length(elements), 1) * sizeof(Operand));
	foreach(lc, elements)
		prepare_json(&test->operands[test->noperands++], lfirst(lc), field);
}

/* What a clause compares with. */
static void
prepare_values(Test *test, const List *values, const ApibaseSpecField *field)
{
	test->operands = palloc(2 * sizeof(Operand));
	switch (test->op)
	{
		case APIBASE_SPEC_IS_NULL:
			break;
		case APIBASE_SPEC_IN:
			test->list = prepare_list(values, field);
			break;
		case APIBASE_SPEC_BETWEEN:
			test->noperands = 2;
			prepare_operand(&test->operands[0], APIBASE_SPEC_GE, linitial(values), field);
			prepare_operand(&test->operands[1], APIBASE_SPEC_LE, lsecond(values), field);
			break;
		case APIBASE_SPEC_CONTAINS:
		case APIBASE_SPEC_CONTAINED_BY:
			test->noperands = 1;
			prepare_json(&test->operands[0], linitial(values), field);
			break;
		case APIBASE_SPEC_OVERLAPS:
			prepare_overlaps(test, linitial(values), field);
			break;
		case APIBASE_SPEC_LIKE:
		case APIBASE_SPEC_ILIKE:
		case APIBASE_SPEC_STARTS_WITH:
		case APIBASE_SPEC_MATCH:
		case APIBASE_SPEC_IMATCH:
			test->pattern = DatumGetTextPP(apibase_spec_literal(linitial(values), TEXTOID, field)->constvalue);
			break;
		default:
			test->noperands = 1;
			prepare_operand(&test->operands[0], test->op, linitial(values), field);
			break;
	}
}

static void
prepare_clause(Test *test, const ApibaseSpecNode *clause)
{
	ApibaseSpecField field = {.type = JSONBOID, .typmod = -1, .path = clause->path};
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	test->op = clause->op;
	test->negated = clause->negated;
	test->steps = palloc(list_length(clause->path) * sizeof(PathStep));
	foreach(lc, clause->path)
	{
		const ApibaseSpecStep *step = lfirst(lc);
		PathStep   *to = &test->steps[test->nsteps++];

		to->name = step->name;
		to->length = step->name ? (int) strlen(step->name) : 0;
		to->index = step->index;
	}
	prepare_values(test, clause->values, &field);
}

static void
prepare_node(Test *test, const ApibaseSpecNode *node)
{
	ListCell   *lc;

	check_stack_depth();
	memset(test, 0, sizeof(*test));
	test->kind = node->kind;
	if (node->kind == APIBASE_SPEC_BOOL)
		test->negated = node->value;
	else if (node->kind == APIBASE_SPEC_CLAUSE)
		prepare_clause(test, node);
	else
	{
		test->args = palloc(list_length(node->args) * sizeof(Test));
		foreach(lc, node->args)
			prepare_node(&test->args[test->nargs++], lfirst(lc));
	}
}

/* Make a tree ready for documents, in the current context, where the tree must stay as well. */
ApibaseSpecJsonb *
apibase_spec_jsonb_prepare(const ApibaseSpecNode *node)
{
	ApibaseSpecJsonb *prepared = palloc0(sizeof(ApibaseSpecJsonb));

	prepared->context = CurrentMemoryContext;
	prepare_node(&prepared->root, node);
	return prepared;
}

/* ---------- finding the value ---------- */

/* The element of an array; false when there is none. */
static bool
find_element(JsonbContainer *array, int32 index, JsonbValue *found)
{
	JsonbValue *element;
	int64		count = JsonContainerSize(array);

	if (index < 0 ? index + count < 0 : index >= count)
		return false;
	element = getIthJsonbValueFromContainer(array, index < 0 ? index + count : index);
	*found = *element;
	pfree(element);
	return true;
}

/*
 * The value at a path. False: missing, or JSON null. Nothing is found in a
 * scalar but itself, at the indexes 0 and -1.
 */
static bool
find_value(Jsonb *doc, const PathStep *steps, int nsteps, JsonbValue *found)
{
	found->type = jbvBinary;
	found->val.binary.data = &doc->root;
	for (const PathStep *step = steps; step < steps + nsteps; step++)
	{
		JsonbContainer *container = found->type == jbvBinary ? found->val.binary.data : NULL;

		if (container == NULL)
		{
			if (step->name || (step->index != 0 && step->index != -1))
				return false;
		}
		else if (step->name)
		{
			if (!JsonContainerIsObject(container) ||
				getKeyJsonValueFromContainer(container, step->name, step->length, found) == NULL)
				return false;
		}
		else if (!JsonContainerIsArray(container) || !find_element(container, step->index, found))
			return false;
	}
	return found->type != jbvNull;
}

/* ---------- comparing ---------- */

/* Whether the outcome of a comparison satisfies an operator. */
static inline bool
satisfies(int comparison, ApibaseSpecOp op)
{
	switch (op)
	{
		case APIBASE_SPEC_EQ:
			return comparison == 0;
		case APIBASE_SPEC_LT:
			return comparison < 0;
		case APIBASE_SPEC_LE:
			return comparison <= 0;
		case APIBASE_SPEC_GT:
			return comparison > 0;
		default:
			return comparison >= 0;
	}
}

/* A value as a container, for the functions that want one. */
static JsonbContainer *
as_container(JsonbValue *value)
{
	return value->type == jbvBinary ? value->val.binary.data : &JsonbValueToJsonb(value)->root;
}

/* A string of the document as text, until the next one. */
static text *
scratch_text(ApibaseSpecJsonb *prepared, const JsonbValue *string)
{
	int			size = string->val.string.len + VARHDRSZ;

	if (prepared->scratch_size < size)
	{
		if (prepared->scratch)
			pfree(prepared->scratch);
		prepared->scratch_size = 0;
		prepared->scratch = NULL;
		prepared->scratch = MemoryContextAlloc(prepared->context, Max(size * 2, 128));
		prepared->scratch_size = Max(size * 2, 128);
	}
	SET_VARSIZE(prepared->scratch, size);
	memcpy(VARDATA(prepared->scratch), string->val.string.val, string->val.string.len);
	return prepared->scratch;
}

static bool
compare_typed(ApibaseSpecJsonb *prepared, const JsonbValue *value, TypedOperand *typed)
{
	Datum		datum;

	if (value->type != jbvString)
		return false;
	if (typed->is_text)
		datum = PointerGetDatum(scratch_text(prepared, value));
	else
		datum = InputFunctionCall(&typed->input, pnstrdup(value->val.string.val, value->val.string.len),
								  typed->ioparam, -1);
	return DatumGetBool(FunctionCall2Coll(&typed->compare, typed->collation, datum, typed->constant));
}

/* x op literal */
static bool
compare_value(ApibaseSpecJsonb *prepared, JsonbValue *value, const Operand *operand)
{
	switch (operand->kind)
	{
		case OPERAND_NUMBER:
			return value->type == jbvNumeric &&
				satisfies(compare_numbers(value->val.numeric, operand->number), operand->op);
		case OPERAND_STRING:
			if (value->type != jbvString)
				return false;
			if (operand->op == APIBASE_SPEC_EQ)
				return value->val.string.len == operand->length &&
					memcmp(value->val.string.val, operand->string, operand->length) == 0;
			return satisfies(varstr_cmp(value->val.string.val, value->val.string.len,
										operand->string, operand->length, DEFAULT_COLLATION_OID),
							 operand->op);
		case OPERAND_BOOL:
			return value->type == jbvBool &&
				satisfies((int) value->val.boolean - (int) operand->boolean, operand->op);
		case OPERAND_ARRAY:
			if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
				return false;
			/* fall through */
		case OPERAND_JSON:
			return satisfies(compareJsonbContainers(as_container(value), &operand->json->root), operand->op);
		case OPERAND_TYPED:
			return compare_typed(prepared, value, operand->typed);
	}
	return false;				/* keep compiler quiet */
}

/* x in (...); x is not NULL */
static bool
in_list(ApibaseSpecJsonb *prepared, JsonbValue *value, const InList *list)
{
	switch (value->type)
	{
		case jbvBool:
			if (value->val.boolean ? list->has_true : list->has_false)
				return true;
			break;
		case jbvNumeric:
			if (bsearch(&value->val.numeric, list->numbers, list->nnumbers, sizeof(Numeric),
						compare_number_pointers))
				return true;
			break;
		case jbvString:
			{
				Operand		string = {.string = value->val.string.val, .length = value->val.string.len};

				if (bsearch(&string, list->strings, list->nstrings, sizeof(Operand), compare_strings))
					return true;
			}
			break;
		default:
			break;
	}
	for (int i = 0; i < list->nothers; i++)
	{
		if (compare_value(prepared, value, &list->others[i]))
			return true;
	}
	return false;
}

/* like and its kin */
static bool
matches(ApibaseSpecJsonb *prepared, const JsonbValue *value, const Test *test)
{
	PGFunction	function;
	int			length = VARSIZE_ANY_EXHDR(test->pattern);

	if (value->type != jbvString)
		return false;
	switch (test->op)
	{
		case APIBASE_SPEC_STARTS_WITH:
			return value->val.string.len >= length &&
				memcmp(value->val.string.val, VARDATA_ANY(test->pattern), length) == 0;
		case APIBASE_SPEC_LIKE:
			function = textlike;
			break;
		case APIBASE_SPEC_ILIKE:
			function = texticlike;
			break;
		case APIBASE_SPEC_MATCH:
			function = textregexeq;
			break;
		default:
			function = texticregexeq;
			break;
	}
	return DatumGetBool(DirectFunctionCall2Coll(function, DEFAULT_COLLATION_OID,
												PointerGetDatum(scratch_text(prepared, value)),
												PointerGetDatum(test->pattern)));
}

/* container @> contained, as jsonb_contains() has it */
static bool
contains(JsonbContainer *container, JsonbContainer *contained)
{
	JsonbIterator *it;
	JsonbIterator *it_contained;

	if (JsonContainerIsObject(container) != JsonContainerIsObject(contained))
		return false;
	it = JsonbIteratorInit(container);
	it_contained = JsonbIteratorInit(contained);
	return JsonbDeepContains(&it, &it_contained);
}

/* x contains one of the operands */
static bool
contains_any(JsonbContainer *container, const Test *test)
{
	for (int i = 0; i < test->noperands; i++)
	{
		if (contains(container, &test->operands[i].json->root))
			return true;
	}
	return false;
}

/* A clause without its negation, for an x that is not NULL. */
static bool
test_value(ApibaseSpecJsonb *prepared, JsonbValue *value, const Test *test)
{
	switch (test->op)
	{
		case APIBASE_SPEC_IS_NULL:
			return false;
		case APIBASE_SPEC_IN:
			return in_list(prepared, value, test->list);
		case APIBASE_SPEC_BETWEEN:
			return compare_value(prepared, value, &test->operands[0]) &&
				compare_value(prepared, value, &test->operands[1]);
		case APIBASE_SPEC_LIKE:
		case APIBASE_SPEC_ILIKE:
		case APIBASE_SPEC_STARTS_WITH:
		case APIBASE_SPEC_MATCH:
		case APIBASE_SPEC_IMATCH:
			return matches(prepared, value, test);
		case APIBASE_SPEC_CONTAINS:
			return contains_any(as_container(value), test);
		case APIBASE_SPEC_CONTAINED_BY:
			return value->type == jbvBinary &&
				contains(&test->operands[0].json->root, value->val.binary.data);
		case APIBASE_SPEC_OVERLAPS:
			return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
				contains_any(value->val.binary.data, test);
		default:
			return compare_value(prepared, value, &test->operands[0]);
	}
}

static bool
test_clause(ApibaseSpecJsonb *prepared, Jsonb *doc, const Test *test)
{
	JsonbValue	value;
	bool		result;

	if (doc != NULL && find_value(doc, test->steps, test->nsteps, &value))
		result = test_value(prepared, &value, test);
	else
		result = test->op == APIBASE_SPEC_IS_NULL || (test->op == APIBASE_SPEC_IN && test->list->has_null);
	return result != test->negated;
}

static bool
test_node(ApibaseSpecJsonb *prepared, Jsonb *doc, const Test *test)
{
	bool		decides;

	switch (test->kind)
	{
		case APIBASE_SPEC_BOOL:
			return test->negated;
		case APIBASE_SPEC_CLAUSE:
			return test_clause(prepared, doc, test);
		case APIBASE_SPEC_NOT:
			return !test_node(prepared, doc, test->args);
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			break;
	}
	decides = test->kind == APIBASE_SPEC_OR;
	for (int i = 0; i < test->nargs; i++)
	{
		if (test_node(prepared, doc, &test->args[i]) == decides)
			return decides;
	}
	return !decides;
}

/* Whether a document satisfies a prepared specification. All fields of no document are NULL. */
bool
apibase_spec_jsonb_test(ApibaseSpecJsonb *prepared, Jsonb *doc)
{
	return test_node(prepared, doc, &prepared->root);
}
