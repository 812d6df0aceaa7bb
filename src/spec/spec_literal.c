/*-------------------------------------------------------------------------
 *
 * spec_literal.c
 *	  Literals of a specification: to constants of a type.
 *
 * A literal takes the type of what it is compared with, through that type's
 * input function and without its typmod: price = 10.555 on a numeric(10,2) is
 * false, not an equality with 10.56.  Whatever the input function raises
 * leaves with a hint that names the field.
 *
 * The words now, today, tomorrow and yesterday would be evaluated once, and
 * the moment kept in every cached plan and stored predicate.  They are refused.
 * Other texts depend on settings (01/02/2026, a timestamptz without a zone);
 * see spec_support.c for where that matters.
 *
 * Who writes a specification and who evaluates it can be two, and the second
 * one be more powerful.  So a type that is named in a literal must not bring
 * code of the first one along: the constraints of a domain are not checked, and
 * implicit casts are used only if they come with the server or a superuser.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "spec/spec.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Adds the field to an error of an input function. */
typedef struct LiteralContext
{
	const ApibaseSpecField *field;
	Oid			type;
} LiteralContext;

static void
literal_error_callback(void *arg)
{
	LiteralContext *context = arg;

	errhint("The value is for the field %s of type %s.",
			apibase_spec_path_text(context->field->path), format_type_be(context->type));
	errcontext("specification");
}

/* Raise datatype_mismatch. */
static void
literal_mismatch(const char *what, Oid type, const ApibaseSpecField *field, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("field %s of type %s does not accept %s",
					apibase_spec_path_text(field->path), format_type_be(type), what),
			 hint ? errhint("%s", hint) : 0));
}

/* The type whose input the text finally reaches: element of arrays, subtype of ranges. */
static Oid
innermost_type(Oid type)
{
	Oid			inner;

	type = getBaseType(type);
	if (OidIsValid(inner = get_element_type(type)) ||
		OidIsValid(inner = get_range_subtype(type)))
		return innermost_type(inner);
	if (OidIsValid(inner = get_multirange_range(type)))
		return innermost_type(inner);
	return type;
}

/* Refuse the words that stand for the current time. */
static void
reject_moving_time(const char *text, Oid type, const ApibaseSpecField *field)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	switch (innermost_type(type))
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			break;
		default:
			return;
	}

	for (const char *p = text; *p != '\0';)
	{
		const char *start = p;

		while (pg_ascii_tolower((unsigned char) *p) >= 'a' && pg_ascii_tolower((unsigned char) *p) <= 'z')
			p++;
		for (size_t i = 0; i < lengthof(words); i++)
		{
			if ((size_t) (p - start) == strlen(words[i]) && pg_strncasecmp(start, words[i], p - start) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("\"%s\" is not accepted as a value of the field %s",
								words[i], apibase_spec_path_text(field->path)),
						 errdetail("It would be evaluated once and kept in cached plans and stored predicates."),
						 errhint("Use a parameter and bind the value.")));
		}
		if (p == start)
			p++;
	}
}

/* ---------- literals whose meaning depends on settings ---------- */

/* The length of the pattern if the text begins with it, or 0; d stands for a digit. */
static size_t
match(const char *text, const char *pattern)
{
	size_t		n = 0;

	for (; pattern[n] != '\0'; n++)
	{
		if (pattern[n] == 'd' ? text[n] < '0' || text[n] > '9' : text[n] != pattern[n])
			return 0;
	}
	return n;
}

/* Whether the text is a date or time as ISO writes it, with a zone where the type has one. */
static bool
is_iso(const char *p, Oid type)
{
	bool		zoned = type == TIMESTAMPTZOID || type == TIMETZOID;
	size_t		n;

	if (type != TIMEOID && type != TIMETZOID)
	{
		if ((n = match(p, "dddd-dd-dd")) == 0)
			return false;
		p += n;
		if (*p == '\0')
			return !zoned;
		if (*p != ' ' && *p != 'T')
			return false;
		p++;
	}
	if ((n = match(p, "dd:dd")) == 0)
		return false;
	p += n;
	p += match(p, ":dd");
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (*p == '+' || *p == '-')
	{
		if ((n = match(p + 1, "dd")) == 0)
			return false;
		p += 1 + n;
		p += Max(match(p, ":dd"), match(p, "dd"));
	}
	else if (*p == 'Z')
		p++;
	else
		return !zoned && *p == '\0';
	return *p == '\0';
}

/* Whether a text may mean different values of a type, not an array or a range, under different settings. */
static bool
word_is_unsettled(const char *word, Oid type)
{
	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return !is_iso(word, type) && pg_strcasecmp(word, "infinity") != 0 &&
				pg_strcasecmp(word, "-infinity") != 0 && pg_strcasecmp(word, "epoch") != 0;
		case INTERVALOID:
			return strchr(word, '-') != NULL;	/* IntervalStyle says how far the sign reaches */
		case CASHOID:
			return true;
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGNAMESPACEOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGROLEOID:
		case REGTYPEOID:
			return word[strspn(word, "0123456789")] != '\0';
		default:
			return type_is_rowtype(type);
	}
}

/* The same for any type. */
static bool
is_unsettled(const char *text, Oid type)
{
	static const char separators[] = "[](){},\"";
	Oid			inner = innermost_type(type);

	if (inner == getBaseType(type))
		return word_is_unsettled(text, inner);
	for (const char *p = text + strspn(text, separators); *p != '\0'; p += strspn(p, separators))
	{
		size_t		n = strcspn(p, separators);

		if (word_is_unsettled(pnstrdup(p, n), inner))
			return true;
		p += n;
	}
	return false;
}

/* ---------- text and arrays ---------- */

/*
 * Text through the input function of a type.  Like a literal of SQL it has the
 * type's collation; what is compared by is the field's (the operator's input
 * collation).
 */
static Const *
const_from_text(const char *text, Oid type, const ApibaseSpecField *field)
{
	LiteralContext context = {field, type};
	ErrorContextCallback callback;
	Oid			typinput;
	Oid			typioparam;
	int16		typlen;
	bool		typbyval;
	Datum		value;

	reject_moving_time(text, type, field);
	if (field->unsettled != NULL && is_unsettled(text, type))
		*field->unsettled = true;
	getTypeInputInfo(type, &typinput, &typioparam);
	get_typlenbyval(type, &typlen, &typbyval);

	callback.callback = literal_error_callback;
	callback.arg = &context;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	value = OidInputFunctionCall(typinput, unconstify(char *, text), typioparam, -1);
	error_context_stack = callback.previous;

	if (typlen == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	return makeConst(type, -1, get_typcollation(type), typlen, value, false, typbyval);
}

/* array[...] for a column of an array type. */
static Const *
array_literal(const ApibaseSpecValue *value, Oid type, const ApibaseSpecField *field)
{
	Oid			element = get_element_type(type);
	int			n = list_length(value->elements);
	Datum	   *values;
	bool	   *nulls;
	int			dims[1] = {n};
	int			lbs[1] = {1};
	int16		typlen;
	bool		typbyval;
	char		typalign;
	ArrayType  *array;

	if (!OidIsValid(element))
		literal_mismatch("an array", type, field, NULL);
	get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	values = palloc(sizeof(Datum) * Max(n, 1));
	nulls = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Const	   *item = apibase_spec_literal(list_nth(value->elements, i), getBaseType(element), field);

		values[i] = item->constvalue;
		nulls[i] = item->constisnull;
	}
	array = n == 0 ? construct_empty_array(element) :
		construct_md_array(values, nulls, 1, dims, lbs, element, typlen, typbyval, typalign);
	return makeConst(type, -1, get_typcollation(type), -1, PointerGetDatum(array), false, false);
}

/* A literal as JSON text: what it is in a jsonb document. */
static void
append_json_literal(StringInfo buf, const ApibaseSpecValue *value)
{
	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			apibase_spec_append_value(buf, value);
			break;
		case APIBASE_SPEC_NUMBER:
			{
				/* JSON is stricter than SQL about "+1", ".5" and "1." */
				Datum		number = DirectFunctionCall3(numeric_in, CStringGetDatum(value->text),
														 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

				appendStringInfoString(buf, DatumGetCString(DirectFunctionCall1(numeric_out, number)));
				break;
			}
		case APIBASE_SPEC_TYPED:
		case APIBASE_SPEC_STRING:
			escape_json(buf, value->text);
			break;
		case APIBASE_SPEC_ARRAY:
			appendStringInfoChar(buf, '[');
			for (int i = 0; i < list_length(value->elements); i++)
			{
				if (i > 0)
					appendStringInfoChar(buf, ',');
				append_json_literal(buf, list_nth(value->elements, i));
			}
			appendStringInfoChar(buf, ']');
			break;
		case APIBASE_SPEC_PARAM:
			apibase_spec_unbound(value);
	}
}

/* A literal as the jsonb value that it is in a document; typed jsonb is that value. */
Const *
apibase_spec_json_literal(const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	StringInfoData buf;

	if (value->kind == APIBASE_SPEC_TYPED && apibase_spec_literal_type(value) == JSONBOID)
		return const_from_text(value->text, JSONBOID, field);
	initStringInfo(&buf);
	append_json_literal(&buf, value);
	return const_from_text(buf.data, JSONBOID, field);
}

/* The type of a typed literal; a name without schema is a type of pg_catalog. */
Oid
apibase_spec_literal_type(const ApibaseSpecValue *value)
{
	Oid			namespace = value->type_schema ? get_namespace_oid(value->type_schema, false) : PG_CATALOG_NAMESPACE;
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(value->type_name),
									   ObjectIdGetDatum(namespace));

	if (!OidIsValid(type) || !get_typisdefined(type) || get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type %s of a literal does not exist",
						quote_qualified_identifier(value->type_schema ? value->type_schema : "pg_catalog",
												   value->type_name)),
				 value->type_schema ? 0 :
				 errhint("A type outside pg_catalog is written with its schema, as in public.mood 'happy'.")));
	return type;
}

/* The domain, if any, whose constraints reading a value of that type would check. */
static Oid
inner_domain(Oid type)
{
	Oid			inner;
	TupleDesc	desc;

	if (get_typtype(type) == TYPTYPE_DOMAIN)
		return DomainHasConstraints(type) ? type : inner_domain(getBaseType(type));
	if (OidIsValid(inner = get_element_type(type)) || OidIsValid(inner = get_range_subtype(type)) ||
		OidIsValid(inner = get_multirange_range(type)))
		return inner_domain(inner);
	if (type == RECORDOID || !type_is_rowtype(type))
		return InvalidOid;

	desc = lookup_rowtype_tupdesc(type, -1);
	for (int i = 0; i < desc->natts && !OidIsValid(inner); i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			inner = inner_domain(TupleDescAttr(desc, i)->atttypid);
	}
	ReleaseTupleDesc(desc);
	return inner;
}

/*
 * A typed literal as a constant of its own type, of the base type for a domain.
 * Domains within the type cannot be read without their constraints; such a type
 * is accepted only where the field has it too, and so trusts it.
 */
Const *
apibase_spec_typed_literal(const ApibaseSpecValue *value, const ApibaseSpecField *field)
{
	Oid			type = getBaseType(apibase_spec_literal_type(value));
	Oid			domain = type == getBaseType(field->type) ? InvalidOid : inner_domain(type);

	if (OidIsValid(domain))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("field %s does not accept a literal of type %s",
						apibase_spec_path_text(field->path), format_type_be(type)),
				 errdetail("Reading it would run the constraints of the domain %s.", format_type_be(domain)),
				 errhint("Write the value in quotes, without a type.")));
	return const_from_text(value->text, type, field);
}

/* Whether a cast between types runs nothing but functions of the server or of a superuser. */
static bool
cast_is_trusted(Oid from, Oid to)
{
	Oid			function;
	HeapTuple	tuple;
	bool		trusted;

	if (find_coercion_pathway(to, from, COERCION_IMPLICIT, &function) != COERCION_PATH_FUNC)
		return true;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	trusted = superuser_arg(((Form_pg_proc) GETSTRUCT(tuple))->proowner);
	ReleaseSysCache(tuple);
	return trusted;
}

/* A typed literal where a constant of another type is needed. */
static Const *
coerce_literal(const ApibaseSpecValue *value, Oid type, const ApibaseSpecField *field)
{
	Const	   *con = apibase_spec_typed_literal(value, field);
	Node	   *node;

	if (con->consttype == type)
		return con;
	if (!can_coerce_type(1, &con->consttype, &type, COERCION_IMPLICIT) || !cast_is_trusted(con->consttype, type))
		literal_mismatch(psprintf("the value '%s' of type %s", value->text, format_type_be(con->consttype)),
						 type, field, NULL);
	node = coerce_type(NULL, (Node *) con, con->consttype, type, -1, COERCION_IMPLICIT,
					   COERCE_IMPLICIT_CAST, -1);
	if (field->unsettled != NULL && contain_mutable_functions(node))
		*field->unsettled = true;
	/* a stable cast too: the input function that made con may be stable as well */
	return (Const *) evaluate_expr((Expr *) node, type, -1, con->constcollid);
}

/* Whether a number or a truth value may be written for the type. */
static bool
accepts_kind(Oid type, ApibaseSpecValueKind kind)
{
	char		category;
	bool		preferred;

	if (type == JSONBOID)
		return true;
	get_type_category_preferred(type, &category, &preferred);
	if (kind == APIBASE_SPEC_NUMBER)
		return category == TYPCATEGORY_NUMERIC;
	return category == TYPCATEGORY_BOOLEAN;
}

/* Raise unbound_parameter. */
void
apibase_spec_unbound(const ApibaseSpecValue *value)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_UNBOUND_PARAMETER),
			 errmsg("parameter $%d of the specification has no value", value->param),
			 errhint("Bind it: apibase.bind(specification, value, ...).")));
}

/* A literal as a constant of a base type. */
Const *
apibase_spec_literal(const ApibaseSpecValue *value, Oid type, const ApibaseSpecField *field)
{
	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
			return makeNullConst(type, -1, get_typcollation(type));
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			if (!accepts_kind(type, value->kind))
				literal_mismatch(value->kind == APIBASE_SPEC_TRUE ? "true" : "false", type, field, NULL);
			return const_from_text(value->kind == APIBASE_SPEC_TRUE ? "true" : "false", type, field);
		case APIBASE_SPEC_NUMBER:
			if (!accepts_kind(type, value->kind))
				literal_mismatch(psprintf("the number %s", value->text), type, field, "Write the value in quotes.");
			return const_from_text(value->text, type, field);
		case APIBASE_SPEC_STRING:
			return const_from_text(value->text, type, field);
		case APIBASE_SPEC_TYPED:
			return coerce_literal(value, type, field);
		case APIBASE_SPEC_ARRAY:
			if (type == JSONBOID)
				return apibase_spec_json_literal(value, field);
			return array_literal(value, type, field);
		case APIBASE_SPEC_PARAM:
			apibase_spec_unbound(value);
	}
	elog(ERROR, "unrecognized kind of literal: %d", (int) value->kind);
	return NULL;				/* keep compiler quiet */
}
