/*-------------------------------------------------------------------------
 *
 * spec_compare.c
 *	  Tests of a field against literals: comparisons, lists, patterns, containment.
 *
 * Each function returns a test, as spec_compile.h defines it.  For integer
 * columns numbers that are not integral or out of range are folded exactly,
 * because coercing the column instead would lose its index:
 *
 *		qty >= 10.5			qty >= 11
 *		qty = 10.5			false
 *		qty < 1e30			true (for a field that is not NULL)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec_compile.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

/* ---------- integers ---------- */

/* The range of an integer type; false for other types. */
static bool
integer_range(Oid type, int64 *min, int64 *max)
{
	switch (type)
	{
		case INT2OID:
			*min = PG_INT16_MIN;
			*max = PG_INT16_MAX;
			return true;
		case INT4OID:
			*min = PG_INT32_MIN;
			*max = PG_INT32_MAX;
			return true;
		case INT8OID:
			*min = PG_INT64_MIN;
			*max = PG_INT64_MAX;
			return true;
		default:
			return false;
	}
}

/* Whether the number is written as a plain integer that surely fits an int8. */
static bool
plain_integer(const char *text, int64 *value)
{
	const char *digits = *text == '-' ? text + 1 : text;
	size_t		n = strspn(digits, "0123456789");

	if (n == 0 || n > 18 || digits[n] != '\0')
		return false;
	*value = strtoll(text, NULL, 10);
	return true;
}

/* numeric -> int8, known to fit */
static int64
numeric_to_int64(Datum number)
{
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

static int
numeric_compare(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

/*
 * A comparison of an integer between min and max with a number.  Returns true
 * if it is the comparison with the integer *value, by the operator *op;
 * otherwise it is *constant for all integers of the type.
 */
static bool
fold_integer(const char *text, int64 min, int64 max, ApibaseSpecOp *op, int64 *value, bool *constant)
{
	Datum		number;
	Datum		rounded;
	bool		upward = *op == APIBASE_SPEC_GE || *op == APIBASE_SPEC_GT;

	if (plain_integer(text, value) && *value >= min && *value <= max)
		return true;

	number = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	if (numeric_compare(number, NumericGetDatum(int64_to_numeric(min))) < 0)
	{
		*constant = upward;
		return false;
	}
	if (numeric_compare(number, NumericGetDatum(int64_to_numeric(max))) > 0)
	{
		*constant = *op == APIBASE_SPEC_LT || *op == APIBASE_SPEC_LE;
		return false;
	}

	rounded = DirectFunctionCall1(upward ? numeric_ceil : numeric_floor, number);
	*value = numeric_to_int64(rounded);
	if (numeric_compare(number, rounded) == 0)
		return true;
	if (*op == APIBASE_SPEC_EQ)
	{
		*constant = false;
		return false;
	}
	*op = upward ? APIBASE_SPEC_GE : APIBASE_SPEC_LE;
	return true;
}

static Const *
integer_const(Oid type, int64 value)
{
	switch (type)
	{
		case INT2OID:
			return makeConst(type, -1, InvalidOid, 2, Int16GetDatum((int16) value), false, true);
		case INT4OID:
			return makeConst(type, -1, InvalidOid, 4, Int32GetDatum((int32) value), false, true);
		default:
			return makeConst(type, -1, InvalidOid, 8, Int64GetDatum(value), false, FLOAT8PASSBYVAL);
	}
}

/* ---------- comparisons ---------- */

/*
 * A literal for the operator of a field's type.  A type that borrows the
 * operators of another (varchar those of text, regclass those of oid) still
 * reads its literals by its own input function; the value is the same.
 */
static Const *
borrowed_literal(const ApibaseSpecValue *value, Oid type, Oid right, const ApibaseSpecField *field)
{
	Const	   *con;

	if (type == right || value->kind == APIBASE_SPEC_TYPED || !IsBinaryCoercible(type, right))
		return apibase_spec_literal(value, right, field);
	con = apibase_spec_literal(value, type, field);
	con->consttype = right;
	con->constcollid = get_typcollation(right);
	return con;
}

/*
 * The operator and the constant for field op value.  Returns NULL if the
 * comparison is *constant for every value of the type instead.
 */
static Const *
comparison_operand(const ApibaseSpecField *field, ApibaseSpecOp op, const ApibaseSpecValue *value,
				   ApibaseSpecOperator *operator, bool *constant)
{
	Oid			type = getBaseType(field->type);
	int64		min;
	int64		max;
	int64		integer;

	if (value->kind == APIBASE_SPEC_NUMBER && integer_range(type, &min, &max))
	{
		if (!fold_integer(value->text, min, max, &op, &integer, constant))
			return NULL;
		*operator = apibase_spec_comparison(type, InvalidOid, op);
		return integer_const(type, integer);
	}

	/* A name is cut to 63 bytes on input; a longer text equals none, but would equal the cut one. */
	if (type == NAMEOID && value->kind == APIBASE_SPEC_STRING && strlen(value->text) >= NAMEDATALEN)
	{
		*operator = apibase_spec_comparison(type, TEXTOID, op);
		return apibase_spec_literal(value, TEXTOID, field);
	}

	if (value->kind == APIBASE_SPEC_TYPED)
	{
		Oid			right = getBaseType(apibase_spec_literal_type(value));

		if (right != type && apibase_spec_has_comparison(type, right, op))
		{
			*operator = apibase_spec_comparison(type, right, op);
			return apibase_spec_typed_literal(value, field);
		}
	}

	*operator = apibase_spec_comparison(type, InvalidOid, op);
	return borrowed_literal(value, type, operator->right, field);
}

/* A boolean column compared with true or false is the column or its negation, as the planner would have it. */
static Expr *
boolean_test(const ApibaseSpecField *field, bool is_true)
{
	Expr	   *operand = apibase_spec_operand(field, BOOLOID);

	return is_true ? operand : make_notclause(operand);
}

Expr *
apibase_spec_compare(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated, const ApibaseSpecValue *value)
{
	ApibaseSpecOperator operator;
	bool		constant;
	Const	   *right = comparison_operand(field, op, value, &operator, &constant);

	if (right == NULL)
		return (Expr *) makeBoolConst(constant != negated, false);
	if (op == APIBASE_SPEC_EQ && operator.right == BOOLOID)
		return boolean_test(field, DatumGetBool(right->constvalue) != negated);
	return apibase_spec_call(&operator, field, (Expr *) right, negated);
}

/* ---------- lists ---------- */

/* The constants of an IN list that are compared by one operator. */
typedef struct InGroup
{
	ApibaseSpecOperator operator;
	List	   *constants;
} InGroup;

static InGroup *
group_for(List **groups, const ApibaseSpecOperator *operator)
{
	InGroup    *group;
	ListCell   *lc;

	foreach(lc, *groups)
	{
		group = lfirst(lc);
		if (group->operator.opno == operator->opno)
			return group;
	}
	group = palloc0(sizeof(InGroup));
	group->operator = *operator;
	*groups = lappend(*groups, group);
	return group;
}

/* One test for a group; an array constant where there is an array type for it. */
static List *
group_tests(List *tests, const ApibaseSpecField *field, const InGroup *group, bool negated)
{
	ListCell   *lc;

	if (list_length(group->constants) > 1 && OidIsValid(get_array_type(group->operator.right)))
		return lappend(tests, apibase_spec_call_any(&group->operator, field, group->constants, negated));
	foreach(lc, group->constants)
	{
		Const	   *right = lfirst(lc);

		tests = lappend(tests, group->operator.right == BOOLOID ?
						boolean_test(field, DatumGetBool(right->constvalue) != negated) :
						apibase_spec_call(&group->operator, field, (Expr *) right, negated));
	}
	return tests;
}

Expr *
apibase_spec_in_test(const ApibaseSpecField *field, List *values, bool negated)
{
	List	   *groups = NIL;
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, values)
	{
		ApibaseSpecValue *value = lfirst(lc);
		ApibaseSpecOperator operator;
		bool		constant;
		Const	   *right;

		if (value->kind == APIBASE_SPEC_NULL)
			continue;
		right = comparison_operand(field, APIBASE_SPEC_EQ, value, &operator, &constant);
		if (right != NULL)		/* otherwise no value of the type equals it */
		{
			InGroup    *group = group_for(&groups, &operator);

			group->constants = lappend(group->constants, right);
		}
	}
	foreach(lc, groups)
		tests = group_tests(tests, field, lfirst(lc), negated);
	return negated ? apibase_spec_and_exprs(tests) : apibase_spec_or_exprs(tests);
}

/* ---------- patterns and containment ---------- */

/* The names that PostgreSQL gives these operators. */
static const char *const operator_names[APIBASE_SPEC_NOPS] = {
	[APIBASE_SPEC_LIKE] = "~~",
	[APIBASE_SPEC_ILIKE] = "~~*",
	[APIBASE_SPEC_STARTS_WITH] = "^@",
	[APIBASE_SPEC_MATCH] = "~",
	[APIBASE_SPEC_IMATCH] = "~*",
	[APIBASE_SPEC_CONTAINS] = "@>",
	[APIBASE_SPEC_CONTAINED_BY] = "<@",
	[APIBASE_SPEC_OVERLAPS] = "&&",
};

/* A LIKE pattern for texts that begin so. */
static ApibaseSpecValue *
prefix_pattern(const char *prefix)
{
	ApibaseSpecValue *value = palloc0(sizeof(ApibaseSpecValue));
	StringInfoData buf;

	initStringInfo(&buf);
	for (const char *p = prefix; *p != '\0';)
	{
		int			len = pg_mblen(p);

		if (*p == '\\' || *p == '%' || *p == '_')
			appendStringInfoChar(&buf, '\\');
		appendBinaryStringInfo(&buf, p, len);
		p += len;
	}
	appendStringInfoChar(&buf, '%');
	value->kind = APIBASE_SPEC_STRING;
	value->text = buf.data;
	return value;
}

/* Whether the type is text to SQL: varchar, char(n), name, citext ... */
static bool
can_be_text(Oid type)
{
	Oid			text = TEXTOID;

	return can_coerce_type(1, &type, &text, COERCION_IMPLICIT);
}

/* range @> element, for an element that is not a range in quotes; multiranges too */
static bool
element_of_range(Oid type, ApibaseSpecOp op, const ApibaseSpecValue *value, ApibaseSpecOperator *operator)
{
	Oid			range = get_multirange_range(type);
	Oid			subtype = get_range_subtype(OidIsValid(range) ? range : type);

	if (!OidIsValid(subtype) || op != APIBASE_SPEC_CONTAINS)
		return false;
	if (value->kind != APIBASE_SPEC_NUMBER &&
		!(value->kind == APIBASE_SPEC_TYPED && getBaseType(apibase_spec_literal_type(value)) == subtype))
		return false;
	operator->opno = OidIsValid(range) ? OID_MULTIRANGE_CONTAINS_ELEM_OP : OID_RANGE_CONTAINS_ELEM_OP;
	operator->left = type;
	operator->right = subtype;
	return true;
}

Expr *
apibase_spec_operator_test(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated,
						   const ApibaseSpecValue *value)
{
	Oid			type = getBaseType(field->type);
	const char *name = operator_names[op];
	bool		is_pattern = op <= APIBASE_SPEC_IMATCH;
	ApibaseSpecOperator operator;
	Const	   *right;

	if (!element_of_range(type, op, value, &operator) && !apibase_spec_named_operator(type, name, &operator))
	{
		/* A type with its own LIKE (citext) would lose its meaning if it were taken as text. */
		if (op == APIBASE_SPEC_STARTS_WITH && value->kind == APIBASE_SPEC_STRING &&
			apibase_spec_named_operator(type, "~~", &operator) && operator.left == type &&
			!(type == TEXTOID || type == BPCHAROID || type == NAMEOID || type == BYTEAOID))
			value = prefix_pattern(value->text);
		else if (is_pattern && can_be_text(type))
			apibase_spec_named_operator(TEXTOID, name, &operator);
		else
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("field %s of type %s does not support the operator %s",
							apibase_spec_path_text(field->path), format_type_be(field->type),
							apibase_spec_op_name(op, false)),
					 is_pattern ? errdetail("Patterns apply to text.") :
					 errdetail("Containment applies to arrays, ranges and jsonb.")));
	}

	right = apibase_spec_literal(value, operator.right, field);
	return apibase_spec_call(&operator, field, (Expr *) right, negated);
}
