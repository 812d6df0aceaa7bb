/*-------------------------------------------------------------------------
 *
 * spec_node.c
 *	  Trees of specifications: operators, values, nodes.
 *
 * The functions that make nodes keep the invariants that spec.h states, so
 * every way into a tree (text, JSON, builder, combinators) ends in the same
 * canonical form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "core/errors.h"
#include "spec/spec.h"

/* ---------- operators ---------- */

typedef struct OperatorName
{
	const char *name;
	ApibaseSpecOp op;
	bool		negated;
} OperatorName;

/* The first name of an operator is the one that is printed. */
static const OperatorName operator_names[] = {
	{"eq", APIBASE_SPEC_EQ, false},
	{"=", APIBASE_SPEC_EQ, false},
	{"ne", APIBASE_SPEC_EQ, true},
	{"neq", APIBASE_SPEC_EQ, true},
	{"<>", APIBASE_SPEC_EQ, true},
	{"!=", APIBASE_SPEC_EQ, true},
	{"lt", APIBASE_SPEC_LT, false},
	{"<", APIBASE_SPEC_LT, false},
	{"le", APIBASE_SPEC_LE, false},
	{"lte", APIBASE_SPEC_LE, false},
	{"<=", APIBASE_SPEC_LE, false},
	{"gt", APIBASE_SPEC_GT, false},
	{">", APIBASE_SPEC_GT, false},
	{"ge", APIBASE_SPEC_GE, false},
	{"gte", APIBASE_SPEC_GE, false},
	{">=", APIBASE_SPEC_GE, false},
	{"in", APIBASE_SPEC_IN, false},
	{"not_in", APIBASE_SPEC_IN, true},
	{"nin", APIBASE_SPEC_IN, true},
	{"between", APIBASE_SPEC_BETWEEN, false},
	{"not_between", APIBASE_SPEC_BETWEEN, true},
	{"is_null", APIBASE_SPEC_IS_NULL, false},
	{"is_not_null", APIBASE_SPEC_IS_NULL, true},
	{"like", APIBASE_SPEC_LIKE, false},
	{"not_like", APIBASE_SPEC_LIKE, true},
	{"ilike", APIBASE_SPEC_ILIKE, false},
	{"not_ilike", APIBASE_SPEC_ILIKE, true},
	{"starts_with", APIBASE_SPEC_STARTS_WITH, false},
	{"sw", APIBASE_SPEC_STARTS_WITH, false},
	{"match", APIBASE_SPEC_MATCH, false},
	{"imatch", APIBASE_SPEC_IMATCH, false},
	{"contains", APIBASE_SPEC_CONTAINS, false},
	{"cs", APIBASE_SPEC_CONTAINS, false},
	{"@>", APIBASE_SPEC_CONTAINS, false},
	{"contained_by", APIBASE_SPEC_CONTAINED_BY, false},
	{"cd", APIBASE_SPEC_CONTAINED_BY, false},
	{"<@", APIBASE_SPEC_CONTAINED_BY, false},
	{"overlaps", APIBASE_SPEC_OVERLAPS, false},
	{"ov", APIBASE_SPEC_OVERLAPS, false},
	{"&&", APIBASE_SPEC_OVERLAPS, false}
};

/* The name of an operator in the JSON form; NULL where its negation has none. */
const char *
apibase_spec_op_name(ApibaseSpecOp op, bool negated)
{
	for (size_t i = 0; i < lengthof(operator_names); i++)
	{
		if (operator_names[i].op == op && operator_names[i].negated == negated)
			return operator_names[i].name;
	}
	return NULL;
}

/* The operator that a name or synonym means, in any case of letters. */
bool
apibase_spec_op_by_name(const char *name, ApibaseSpecOp *op, bool *negated)
{
	for (size_t i = 0; i < lengthof(operator_names); i++)
	{
		if (pg_strcasecmp(operator_names[i].name, name) == 0)
		{
			*op = operator_names[i].op;
			*negated = operator_names[i].negated;
			return true;
		}
	}
	return false;
}

/* Whether an operator may have this many values. */
bool
apibase_spec_op_takes(ApibaseSpecOp op, int nvalues)
{
	switch (op)
	{
		case APIBASE_SPEC_IN:
			return true;
		case APIBASE_SPEC_BETWEEN:
			return nvalues == 2;
		case APIBASE_SPEC_IS_NULL:
			return nvalues == 0;
		default:
			return nvalues == 1;
	}
}

/* ---------- values ---------- */

/* A value of a kind that has nothing else to say. */
ApibaseSpecValue *
apibase_spec_make_value(ApibaseSpecValueKind kind)
{
	ApibaseSpecValue *value = palloc0(sizeof(ApibaseSpecValue));

	value->kind = kind;
	return value;
}

/* A NUMBER or STRING. */
ApibaseSpecValue *
apibase_spec_make_text_value(ApibaseSpecValueKind kind, char *text)
{
	ApibaseSpecValue *value = apibase_spec_make_value(kind);

	value->text = text;
	return value;
}

/* A TYPED value; a type of pg_catalog has no schema. */
ApibaseSpecValue *
apibase_spec_make_typed_value(char *type_schema, char *type_name, char *text)
{
	ApibaseSpecValue *value = apibase_spec_make_value(APIBASE_SPEC_TYPED);

	if (type_schema && strcmp(type_schema, "pg_catalog") != 0)
		value->type_schema = type_schema;
	value->type_name = type_name;
	value->text = text;
	return value;
}

/* An ARRAY. */
ApibaseSpecValue *
apibase_spec_make_array_value(List *elements)
{
	ApibaseSpecValue *value = apibase_spec_make_value(APIBASE_SPEC_ARRAY);

	value->elements = elements;
	return value;
}

/* A PARAM. */
ApibaseSpecValue *
apibase_spec_make_param_value(int param)
{
	ApibaseSpecValue *value = apibase_spec_make_value(APIBASE_SPEC_PARAM);

	value->param = param;
	return value;
}

/* The parts of a decimal number: 0.digits * 10 ^ point, with scale places shown after the point. */
typedef struct Decimal
{
	bool		negative;
	char	   *digits;			/* without leading zeros */
	int			count;
	int			point;
	int			scale;
} Decimal;

/* Zeros that only hold places are written out up to this many. */
#define PLACE_ZEROS 20

/* numeric's limits: digits before and after the point */
#define MAX_WHOLE_DIGITS	131072
#define MAX_SCALE			16383

/* Read sign, digits and exponent. */
static bool
scan_decimal(const char *text, Decimal *decimal)
{
	const char *c = text;
	char	   *to = palloc(strlen(text) + 1);
	int			exponent = 0;
	int			fraction = 0;

	decimal->digits = to;
	decimal->negative = *c == '-';
	if (*c == '-' || *c == '+')
		c++;
	while (*c >= '0' && *c <= '9')
		*to++ = *c++;
	decimal->point = to - decimal->digits;
	if (*c == '.')
	{
		for (c++; *c >= '0' && *c <= '9'; fraction++)
			*to++ = *c++;
	}
	decimal->count = to - decimal->digits;
	if (decimal->count == 0)
		return false;
	if (*c == 'e' || *c == 'E')
	{
		char	   *end;
		long		number = strtol(c + 1, &end, 10);

		if (end == c + 1 || isspace((unsigned char) c[1]))
			return false;
		exponent = (int) Min(Max(number, -PG_INT32_MAX / 2), PG_INT32_MAX / 2);
		c = end;
	}
	decimal->point += exponent;
	decimal->scale = Max(fraction - exponent, 0);
	while (decimal->count > 0 && *decimal->digits == '0')
	{
		decimal->digits++;
		decimal->count--;
		decimal->point--;
	}
	return *c == '\0';
}

/* d.ddde+n */
static void
append_scientific(StringInfo buf, const Decimal *decimal, int count)
{
	appendStringInfoChar(buf, decimal->digits[0]);
	if (count > 1)
		appendStringInfo(buf, ".%.*s", count - 1, decimal->digits + 1);
	appendStringInfo(buf, "e%d", decimal->point - 1);
}

/*
 * The one spelling of a number that has this value and this scale.  Plain
 * digits, except where more than PLACE_ZEROS zeros would only hold places:
 * 1e100000 must not become a hundred kilobytes.
 */
char *
apibase_spec_number(const char *text)
{
	Decimal		n;
	StringInfoData buf;
	int			zeros;

	/* plain digits, as nearly all numbers are */
	if (strspn(text, "0123456789") == strlen(text) && *text >= '1' && strlen(text) <= PLACE_ZEROS)
		return pstrdup(text);
	if (!scan_decimal(text, &n) || n.scale > MAX_SCALE || (n.count > 0 && n.point > MAX_WHOLE_DIGITS))
		return NULL;
	initStringInfo(&buf);
	if (n.count == 0)
	{
		if (n.scale > PLACE_ZEROS)
			appendStringInfo(&buf, "0e-%d", n.scale);
		else
			appendStringInfo(&buf, n.scale ? "0.%0*d" : "0", n.scale, 0);
		return buf.data;
	}

	if (n.negative)
		appendStringInfoChar(&buf, '-');
	if (n.scale == 0)
	{
		int			count = n.count;

		while (n.digits[count - 1] == '0')
			count--;
		zeros = n.point - count;
		if (zeros > PLACE_ZEROS)
			append_scientific(&buf, &n, count);
		else
			appendStringInfo(&buf, "%.*s%.*s", count, n.digits, zeros, "00000000000000000000");
	}
	else if (n.point > 0)
		appendStringInfo(&buf, "%.*s.%.*s", n.point, n.digits, n.count - n.point, n.digits + n.point);
	else if (-n.point > PLACE_ZEROS)
		append_scientific(&buf, &n, n.count);
	else
		appendStringInfo(&buf, "0.%.*s%.*s", -n.point, "00000000000000000000", n.count, n.digits);
	return buf.data;
}

/* ---------- nodes ---------- */

static ApibaseSpecNode *
make_node(ApibaseSpecKind kind)
{
	ApibaseSpecNode *node = palloc0(sizeof(ApibaseSpecNode));

	node->kind = kind;
	return node;
}

/* A step of a path: by name, or by index where name is NULL. */
ApibaseSpecStep *
apibase_spec_make_step(char *name, int32 index)
{
	ApibaseSpecStep *step = palloc(sizeof(ApibaseSpecStep));

	step->name = name;
	step->index = name ? 0 : index;
	return step;
}

/* true or false. */
ApibaseSpecNode *
apibase_spec_make_bool(bool value)
{
	ApibaseSpecNode *node = make_node(APIBASE_SPEC_BOOL);

	node->value = value;
	return node;
}

/* Refuse null where it could only ever be false. */
static void
check_null_values(const List *path, ApibaseSpecOp op, const List *values)
{
	ListCell   *lc;

	if (op == APIBASE_SPEC_IN)
		return;
	foreach(lc, values)
	{
		const ApibaseSpecValue *value = lfirst(lc);

		if (value->kind == APIBASE_SPEC_NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("field %s: operator \"%s\" does not accept null",
							apibase_spec_path_text(path), apibase_spec_op_name(op, false)),
					 errhint("The condition would be false for every row. Use \"is null\" to find rows without a value.")));
	}
}

/* A clause. eq null is IS_NULL. */
ApibaseSpecNode *
apibase_spec_make_clause(List *path, ApibaseSpecOp op, bool negated, List *values)
{
	ApibaseSpecNode *node = make_node(APIBASE_SPEC_CLAUSE);

	if (op == APIBASE_SPEC_EQ && ((ApibaseSpecValue *) linitial(values))->kind == APIBASE_SPEC_NULL)
	{
		op = APIBASE_SPEC_IS_NULL;
		values = NIL;
	}
	check_null_values(path, op, values);
	node->op = op;
	node->negated = negated;
	node->path = path;
	node->values = values;
	return node;
}

/*
 * AND or OR of any number of arguments, flattened.  identity is the Boolean
 * that an argument may be without saying anything.  An argument's list becomes
 * the result's when it comes first, so nesting to the left costs nothing.
 */
static ApibaseSpecNode *
make_junction(ApibaseSpecKind kind, bool identity, List *args)
{
	ApibaseSpecNode *node;
	List	   *flat = NIL;
	ListCell   *lc;

	foreach(lc, args)
	{
		ApibaseSpecNode *arg = lfirst(lc);

		if (arg->kind == APIBASE_SPEC_BOOL && arg->value == identity)
			continue;
		else if (arg->kind != kind)
			flat = lappend(flat, arg);
		else
			flat = flat ? list_concat(flat, arg->args) : arg->args;
	}
	if (flat == NIL)
		return apibase_spec_make_bool(identity);
	if (list_length(flat) == 1)
		return linitial(flat);
	node = make_node(kind);
	node->args = flat;
	return node;
}

/* All of args. */
ApibaseSpecNode *
apibase_spec_make_and(List *args)
{
	return make_junction(APIBASE_SPEC_AND, true, args);
}

/* Any of args. */
ApibaseSpecNode *
apibase_spec_make_or(List *args)
{
	return make_junction(APIBASE_SPEC_OR, false, args);
}

/* The complement. */
ApibaseSpecNode *
apibase_spec_make_not(ApibaseSpecNode *arg)
{
	ApibaseSpecNode *node;

	switch (arg->kind)
	{
		case APIBASE_SPEC_BOOL:
			return apibase_spec_make_bool(!arg->value);
		case APIBASE_SPEC_NOT:
			return linitial(arg->args);
		case APIBASE_SPEC_CLAUSE:
			node = make_node(APIBASE_SPEC_CLAUSE);
			*node = *arg;
			node->negated = !arg->negated;
			return node;
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			break;
	}
	node = make_node(APIBASE_SPEC_NOT);
	node->args = list_make1(arg);
	return node;
}

/* How many nodes stand above one another: 1 for a clause. */
int
apibase_spec_tree_depth(const ApibaseSpecNode *node)
{
	int			deepest = 0;
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, node->args)
	{
		int			depth = apibase_spec_tree_depth(lfirst(lc));

		deepest = Max(deepest, depth);
	}
	return deepest + 1;
}

/* The operator that "is" means with its value; values becomes what that operator takes. */
static bool
resolve_is(ApibaseSpecOp *op, List **values)
{
	ApibaseSpecValueKind kind;

	if (list_length(*values) != 1)
		return false;
	kind = ((ApibaseSpecValue *) linitial(*values))->kind;
	*op = kind == APIBASE_SPEC_NULL ? APIBASE_SPEC_IS_NULL : APIBASE_SPEC_EQ;
	if (kind == APIBASE_SPEC_NULL)
		*values = NIL;
	return kind == APIBASE_SPEC_NULL || kind == APIBASE_SPEC_TRUE || kind == APIBASE_SPEC_FALSE;
}

/*
 * A clause whose operator is given by name, for JSON form and builder.  NULL
 * when that cannot be: then *problem says why, and *hint, if set, what to do.
 */
ApibaseSpecNode *
apibase_spec_make_named_clause(List *path, const char *name, List *values, char **problem, const char **hint)
{
	ApibaseSpecOp op = APIBASE_SPEC_EQ;
	bool		negated = false;

	*hint = NULL;
	if (pg_strcasecmp(name, "is") == 0)
	{
		if (resolve_is(&op, &values))
			return apibase_spec_make_clause(path, op, false, values);
		*problem = pstrdup("operator \"is\" takes null, true or false");
		return NULL;
	}
	if (!apibase_spec_op_by_name(name, &op, &negated))
	{
		*problem = psprintf("unknown operator \"%s\"", name);
		*hint = "Operators are eq, ne, lt, le, gt, ge, in, not_in, between, not_between, is_null, is_not_null, like, "
			"not_like, ilike, not_ilike, starts_with, match, imatch, contains, contained_by and overlaps.";
		return NULL;
	}
	if (!apibase_spec_op_takes(op, list_length(values)))
	{
		*problem = psprintf("operator \"%s\" takes %s", name,
							op == APIBASE_SPEC_IS_NULL ? "no value" :
							op == APIBASE_SPEC_BETWEEN ? "two values" : "one value");
		return NULL;
	}
	return apibase_spec_make_clause(path, op, negated, values);
}
