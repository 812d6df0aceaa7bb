/*-------------------------------------------------------------------------
 *
 * spec_io.c
 *	  The type spec in SQL: text and binary form, comparison.
 *
 * The text that a tree prints as is canonical: the fewest parentheses, every
 * clause in one spelling, names quoted only where reading them back needs it.
 * Reading it back gives the same tree.  A negated clause prints as its own
 * operator (<>, not in, is not null), and as not (...) where there is none.
 *
 * The binary form is a version byte and the text, so that it depends neither
 * on the stored form nor on byte order.  Comparison is of the stored form: a
 * total order of structures, good for keys and DISTINCT, with no other meaning.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "core/errors.h"
#include "spec/spec_parse.h"

#define BINARY_VERSION	1

PG_FUNCTION_INFO_V1(apibase_spec_in);
PG_FUNCTION_INFO_V1(apibase_spec_out);
PG_FUNCTION_INFO_V1(apibase_spec_recv);
PG_FUNCTION_INFO_V1(apibase_spec_send);
PG_FUNCTION_INFO_V1(apibase_spec_eq);
PG_FUNCTION_INFO_V1(apibase_spec_ne);
PG_FUNCTION_INFO_V1(apibase_spec_lt);
PG_FUNCTION_INFO_V1(apibase_spec_le);
PG_FUNCTION_INFO_V1(apibase_spec_gt);
PG_FUNCTION_INFO_V1(apibase_spec_ge);
PG_FUNCTION_INFO_V1(apibase_spec_cmp);
PG_FUNCTION_INFO_V1(apibase_spec_hash);
PG_FUNCTION_INFO_V1(apibase_spec_hash_extended);

/* ---------- printing ---------- */

/* How an operator is written between field and value; NULL: not like this. */
static const char *const operator_texts[APIBASE_SPEC_NOPS][2] = {
	[APIBASE_SPEC_EQ] = {"=", "<>"},
	[APIBASE_SPEC_LT] = {"<", NULL},
	[APIBASE_SPEC_LE] = {"<=", NULL},
	[APIBASE_SPEC_GT] = {">", NULL},
	[APIBASE_SPEC_GE] = {">=", NULL},
	[APIBASE_SPEC_IN] = {"in", "not in"},
	[APIBASE_SPEC_BETWEEN] = {"between", "not between"},
	[APIBASE_SPEC_IS_NULL] = {"is null", "is not null"},
	[APIBASE_SPEC_LIKE] = {"like", "not like"},
	[APIBASE_SPEC_ILIKE] = {"ilike", "not ilike"},
	[APIBASE_SPEC_STARTS_WITH] = {"starts_with", NULL},
	[APIBASE_SPEC_MATCH] = {"~", "!~"},
	[APIBASE_SPEC_IMATCH] = {"~*", "!~*"},
	[APIBASE_SPEC_CONTAINS] = {"contains", NULL},
	[APIBASE_SPEC_CONTAINED_BY] = {"contained_by", NULL},
	[APIBASE_SPEC_OVERLAPS] = {"overlaps", NULL}
};

/* Append a string between quotes, doubling the quotes inside. */
static void
append_quoted(StringInfo buf, const char *string, char quote)
{
	appendStringInfoChar(buf, quote);
	for (const char *c = string; *c; c++)
	{
		appendStringInfoCharMacro(buf, *c);
		if (*c == quote)
			appendStringInfoCharMacro(buf, *c);
	}
	appendStringInfoChar(buf, quote);
}

/* Whether a name reads as one unquoted word, that is not folded to another. */
static bool
is_plain_word(const char *name, bool fold)
{
	if (*name == '\0' || *name == '$' || (*name >= '0' && *name <= '9'))
		return false;
	for (const char *c = name; *c; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '$' || IS_HIGHBIT_SET(*c))
			continue;
		if (fold || *c < 'A' || *c > 'Z')
			return false;
	}
	return true;
}

/* Append a field's path. Not fold: for where unquoted names are exact and there are no keywords. */
void
apibase_spec_append_path(StringInfo buf, const List *path, bool fold)
{
	ListCell   *lc;

	foreach(lc, path)
	{
		const ApibaseSpecStep *step = lfirst(lc);

		if (step->name == NULL)
		{
			appendStringInfo(buf, "[%d]", step->index);
			continue;
		}
		if (foreach_current_index(lc) > 0)
			appendStringInfoChar(buf, '.');
		if (is_plain_word(step->name, fold) && !(fold && apibase_spec_is_keyword(step->name, true)))
			appendStringInfoString(buf, step->name);
		else
			append_quoted(buf, step->name, '"');
	}
}

/* A field's path as it is written in the language. */
char *
apibase_spec_path_text(const List *path)
{
	StringInfoData buf;

	initStringInfo(&buf);
	apibase_spec_append_path(&buf, path, true);
	return buf.data;
}

/* Append one part of a type's name. */
static void
append_type_name(StringInfo buf, const char *name, bool alias_read)
{
	if (is_plain_word(name, true) && !apibase_spec_is_keyword(name, false) &&
		!(alias_read && apibase_spec_type_alias(name)))
		appendStringInfoString(buf, name);
	else
		append_quoted(buf, name, '"');
}

/* Append the name of a typed value's type. */
void
apibase_spec_append_type(StringInfo buf, const ApibaseSpecValue *value)
{
	if (value->type_schema)
	{
		append_type_name(buf, value->type_schema, false);
		appendStringInfoChar(buf, '.');
	}
	append_type_name(buf, value->type_name, value->type_schema == NULL);
}

/* Append values with commas between them. */
static void
append_values(StringInfo buf, const List *values)
{
	ListCell   *lc;

	foreach(lc, values)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(buf, ", ");
		apibase_spec_append_value(buf, lfirst(lc));
	}
}

/* Append a value as it is written in the language. */
void
apibase_spec_append_value(StringInfo buf, const ApibaseSpecValue *value)
{
	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
			appendStringInfoString(buf, "null");
			break;
		case APIBASE_SPEC_TRUE:
			appendStringInfoString(buf, "true");
			break;
		case APIBASE_SPEC_FALSE:
			appendStringInfoString(buf, "false");
			break;
		case APIBASE_SPEC_NUMBER:
			appendStringInfoString(buf, value->text);
			break;
		case APIBASE_SPEC_TYPED:
			apibase_spec_append_type(buf, value);
			appendStringInfoChar(buf, ' ');
			append_quoted(buf, value->text, '\'');
			break;
		case APIBASE_SPEC_STRING:
			append_quoted(buf, value->text, '\'');
			break;
		case APIBASE_SPEC_ARRAY:
			appendStringInfoString(buf, "array[");
			append_values(buf, value->elements);
			appendStringInfoChar(buf, ']');
			break;
		case APIBASE_SPEC_PARAM:
			appendStringInfo(buf, "$%d", value->param);
			break;
	}
}

/* Whether the values of IN are one parameter, which is written without parentheses: it may be an array. */
static bool
is_in_param(const ApibaseSpecNode *clause)
{
	return list_length(clause->values) == 1 &&
		((ApibaseSpecValue *) linitial(clause->values))->kind == APIBASE_SPEC_PARAM;
}

/* Append a clause. */
static void
append_clause(StringInfo buf, const ApibaseSpecNode *clause)
{
	const char *op = operator_texts[clause->op][clause->negated];
	bool		wrap = op == NULL;

	if (wrap)
	{
		op = operator_texts[clause->op][false];
		appendStringInfoString(buf, "not (");
	}
	apibase_spec_append_path(buf, clause->path, true);
	appendStringInfo(buf, " %s", op);
	switch (clause->op)
	{
		case APIBASE_SPEC_IS_NULL:
			break;
		case APIBASE_SPEC_IN:
			appendStringInfoString(buf, is_in_param(clause) ? " " : " (");
			append_values(buf, clause->values);
			appendStringInfoString(buf, is_in_param(clause) ? "" : ")");
			break;
		case APIBASE_SPEC_BETWEEN:
			appendStringInfoChar(buf, ' ');
			apibase_spec_append_value(buf, linitial(clause->values));
			appendStringInfoString(buf, " and ");
			apibase_spec_append_value(buf, lsecond(clause->values));
			break;
		default:
			appendStringInfoChar(buf, ' ');
			apibase_spec_append_value(buf, linitial(clause->values));
			break;
	}
	if (wrap)
		appendStringInfoChar(buf, ')');
}

/* Append the arguments of AND or OR. */
static void
append_junction(StringInfo buf, const ApibaseSpecNode *node)
{
	ListCell   *lc;

	foreach(lc, node->args)
	{
		const ApibaseSpecNode *arg = lfirst(lc);
		bool		wrap = node->kind == APIBASE_SPEC_AND && arg->kind == APIBASE_SPEC_OR;

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(buf, node->kind == APIBASE_SPEC_AND ? " and " : " or ");
		if (wrap)
			appendStringInfoChar(buf, '(');
		apibase_spec_append_text(buf, arg);
		if (wrap)
			appendStringInfoChar(buf, ')');
	}
}

/* Append the canonical text of a tree. */
void
apibase_spec_append_text(StringInfo buf, const ApibaseSpecNode *node)
{
	check_stack_depth();
	switch (node->kind)
	{
		case APIBASE_SPEC_BOOL:
			appendStringInfoString(buf, node->value ? "true" : "false");
			break;
		case APIBASE_SPEC_CLAUSE:
			append_clause(buf, node);
			break;
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			append_junction(buf, node);
			break;
		case APIBASE_SPEC_NOT:
			appendStringInfoString(buf, "not (");
			apibase_spec_append_text(buf, linitial(node->args));
			appendStringInfoChar(buf, ')');
			break;
	}
}

/* ---------- the type's functions ---------- */

/* A tree of the text or the JSON form. */
ApibaseSpecNode *
apibase_spec_read(const char *text)
{
	Datum		json;

	apibase_spec_check_size(strlen(text));
	if (text[strspn(text, " \t\n\r\f\v")] != '{')
		return apibase_spec_parse(text);
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	return apibase_spec_from_jsonb(DatumGetJsonbP(json));
}

/* spec_in(cstring): the language, or the JSON form when it begins with a brace. */
Datum
apibase_spec_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(apibase_spec_encode(apibase_spec_read(PG_GETARG_CSTRING(0))));
}

/* spec_out(spec): the canonical text. */
Datum
apibase_spec_out(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	initStringInfo(&buf);
	apibase_spec_append_text(&buf, apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0)));
	PG_RETURN_CSTRING(buf.data);
}

/* spec_recv(internal): a version byte and the text, in the client's encoding. */
Datum
apibase_spec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			version = pq_getmsgbyte(buf);
	char	   *text;
	int			nbytes;

	if (version != BINARY_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unsupported version %d of the binary form of a specification", version)));
	text = pq_getmsgtext(buf, buf->len - buf->cursor, &nbytes);
	PG_RETURN_POINTER(apibase_spec_encode(apibase_spec_read(text)));
}

/* spec_send(spec). */
Datum
apibase_spec_send(PG_FUNCTION_ARGS)
{
	ApibaseSpec *spec = PG_GETARG_APIBASE_SPEC_P(0);
	StringInfoData buf;
	StringInfoData text;

	initStringInfo(&text);
	apibase_spec_append_text(&text, apibase_spec_decode(spec));
	pq_begintypsend(&buf);
	pq_sendbyte(&buf, BINARY_VERSION);
	pq_sendtext(&buf, text.data, text.len);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* ---------- comparison ---------- */

/* The bytes of a specification that compare: its tree. They follow from nothing else, and say all. */
#define SPEC_HEADER			(offsetof(ApibaseSpec, data) - VARHDRSZ)
#define SPEC_BYTES(spec)	((const unsigned char *) VARDATA_ANY(spec) + SPEC_HEADER)
#define SPEC_LENGTH(spec)	((int) (VARSIZE_ANY_EXHDR(spec) - SPEC_HEADER))

/* Order two specifications by their stored form. */
static int
compare(FunctionCallInfo fcinfo)
{
	struct varlena *a = PG_GETARG_VARLENA_PP(0);
	struct varlena *b = PG_GETARG_VARLENA_PP(1);
	int			result = memcmp(SPEC_BYTES(a), SPEC_BYTES(b), Min(SPEC_LENGTH(a), SPEC_LENGTH(b)));

	if (result == 0)
		result = SPEC_LENGTH(a) - SPEC_LENGTH(b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* spec_eq(spec, spec) */
Datum
apibase_spec_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

/* spec_ne(spec, spec) */
Datum
apibase_spec_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

/* spec_lt(spec, spec) */
Datum
apibase_spec_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

/* spec_le(spec, spec) */
Datum
apibase_spec_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

/* spec_gt(spec, spec) */
Datum
apibase_spec_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

/* spec_ge(spec, spec) */
Datum
apibase_spec_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

/* spec_cmp(spec, spec): support function of the btree operator class. */
Datum
apibase_spec_cmp(PG_FUNCTION_ARGS)
{
	int			result = compare(fcinfo);

	PG_RETURN_INT32(result < 0 ? -1 : result > 0);
}

/* spec_hash(spec): support function of the hash operator class. */
Datum
apibase_spec_hash(PG_FUNCTION_ARGS)
{
	struct varlena *spec = PG_GETARG_VARLENA_PP(0);
	Datum		result = hash_any(SPEC_BYTES(spec), SPEC_LENGTH(spec));

	PG_FREE_IF_COPY(spec, 0);
	return result;
}

/* spec_hash_extended(spec, bigint): the same with a seed, for hash partitioning. */
Datum
apibase_spec_hash_extended(PG_FUNCTION_ARGS)
{
	struct varlena *spec = PG_GETARG_VARLENA_PP(0);
	Datum		result = hash_any_extended(SPEC_BYTES(spec), SPEC_LENGTH(spec), PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(spec, 0);
	return result;
}
