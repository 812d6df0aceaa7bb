/*-------------------------------------------------------------------------
 *
 * spec_json.c
 *	  The JSON form of specifications.
 *
 *	condition	true | false | {} | {"and": [condition...]} | {"or": [condition...]} | {"not": condition}
 *				| {"field": path, "op": name} | {"field": path, "op": name, "value": value}
 *	value		null | true | false | number | string | [value...]
 *				| {"type": name, "value": string} | {"param": number}
 *
 * Reading is strict: whatever is not of this shape raises PB010 with the JSON
 * Pointer (RFC 6901) of the place.  The names in a path are exact; one that is
 * not a plain word is written in double quotes.  What "value" is depends on the
 * operator: nothing for is_null, two values in an array for between, an array or
 * a parameter for in.
 *
 * Writing prints the operator's own name where a negated clause has one (ne,
 * not_in), and {"not": clause} where it has none.  apibase_spec_visit walks a
 * tree with pointers into what would be printed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "core/errors.h"
#include "spec/spec_parse.h"

PG_FUNCTION_INFO_V1(apibase_spec_from_jsonb_sql);
PG_FUNCTION_INFO_V1(apibase_spec_from_json_sql);
PG_FUNCTION_INFO_V1(apibase_spec_to_jsonb_sql);

/* ---------- places ---------- */

/* Where in the document: a member or an element of what is above. Only an error spells it out. */
typedef struct Place
{
	const struct Place *above;
	const char *key;			/* NULL: index */
	int			index;
	int			depth;
} Place;

static Place
member_of(const Place *above, const char *key)
{
	return (Place) {.above = above, .key = key, .depth = above->depth + 1};
}

static Place
element_of(const Place *above, int index)
{
	return (Place) {.above = above, .index = index, .depth = above->depth};
}

/* Append the JSON Pointer of a place. Keys are those of the form, so none needs escapes. */
static void
append_pointer(StringInfo buf, const Place *place)
{
	if (place->above == NULL)
		return;
	append_pointer(buf, place->above);
	if (place->key)
		appendStringInfo(buf, "/%s", place->key);
	else
		appendStringInfo(buf, "/%d", place->index);
}

static char *
pointer_text(const Place *place)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_pointer(&buf, place);
	return buf.data;
}

static void json_error(const Place *place, const char *problem, const char *hint) pg_attribute_noreturn();

/* Refuse the document because of what is at a place. */
static void
json_error(const Place *place, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_INVALID_SPECIFICATION),
			 errmsg("invalid JSON form of a specification: %s", problem),
			 place->above ? errdetail("At \"%s\" of the JSON form.", pointer_text(place)) :
			 errdetail("At the top of the JSON form."),
			 hint ? errhint("%s", hint) : 0));
}

/* ---------- reading ---------- */

static ApibaseSpecNode *read_condition(const JsonbValue *json, const Place *place);

static bool
is_object(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsObject(json->val.binary.data);
}

static bool
is_array(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsArray(json->val.binary.data);
}

static char *
string_copy(const JsonbValue *json)
{
	return pnstrdup(json->val.string.val, json->val.string.len);
}

/*
 * Read the members of an object. members[i] is the one called keys[i], or
 * NULL. A key of another name is an error.
 */
static void
read_members(const JsonbValue *object, const Place *place, const char *const *keys, int nkeys, JsonbValue **members)
{
	JsonbIterator *it = JsonbIteratorInit(object->val.binary.data);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			at = -1;

	memset(members, 0, nkeys * sizeof(JsonbValue *));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE)
		{
			members[at] = palloc(sizeof(JsonbValue));
			*members[at] = value;
		}
		if (token != WJB_KEY)
			continue;
		for (at = 0; at < nkeys; at++)
		{
			if (value.val.string.len == (int) strlen(keys[at]) &&
				memcmp(value.val.string.val, keys[at], value.val.string.len) == 0)
				break;
		}
		if (at == nkeys)
			json_error(place, psprintf("unknown key \"%s\"", string_copy(&value)), NULL);
	}
}

/* The elements of an array, as JsonbValues. */
static List *
read_elements(const JsonbValue *array)
{
	JsonbIterator *it = JsonbIteratorInit(array->val.binary.data);
	JsonbValue	value;
	JsonbIteratorToken token;
	List	   *result = NIL;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM)
		{
			JsonbValue *copy = palloc(sizeof(JsonbValue));

			*copy = value;
			result = lappend(result, copy);
		}
	}
	return result;
}

/* The spelling of a JSON number that the language has for it. */
static char *
number_text(Numeric number)
{
	char	   *plain = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	char	   *text = apibase_spec_number(plain);

	if (text == NULL)
		elog(ERROR, "unexpected JSON number %s", plain);
	pfree(plain);
	return text;
}

/* {"type": ..., "value": ...} or {"param": ...} */
static ApibaseSpecValue *
read_object_value(const JsonbValue *json, const Place *place)
{
	static const char *const keys[] = {"type", "value", "param"};
	JsonbValue *members[lengthof(keys)];
	ApibaseSpecValue *value;
	Place		type_place = member_of(place, "type");
	Place		value_place = member_of(place, "value");
	Place		param_place = member_of(place, "param");
	char	   *number;

	read_members(json, place, keys, lengthof(keys), members);
	if (members[2])
	{
		if (members[0] || members[1])
			json_error(place, "\"param\" stands alone", NULL);
		number = members[2]->type == jbvNumeric ? number_text(members[2]->val.numeric) : "";
		if (*number == '\0' || strspn(number, "0123456789") != strlen(number) || strlen(number) > 5 ||
			atoi(number) < 1 || atoi(number) > APIBASE_SPEC_MAX_PARAM)
			json_error(&param_place, "\"param\" must be an integer from 1 to 65535", NULL);
		return apibase_spec_make_param_value(atoi(number));
	}
	if (!members[0] || !members[1])
		json_error(place, "an object as value must have \"type\" and \"value\", or \"param\"", NULL);
	if (members[0]->type != jbvString)
		json_error(&type_place, "\"type\" must be a string", NULL);
	if (members[1]->type != jbvString)
		json_error(&value_place, "the value of a typed literal must be a string", NULL);
	value = apibase_spec_parse_member_type(string_copy(members[0]), pointer_text(&type_place));
	value->text = string_copy(members[1]);
	return value;
}

static List *read_values(const JsonbValue *array, const Place *place, bool nested);

/* A value; nested: within an array literal, where no further array can be. */
static ApibaseSpecValue *
read_value(const JsonbValue *json, const Place *place, bool nested)
{
	switch (json->type)
	{
		case jbvNull:
			return apibase_spec_make_value(APIBASE_SPEC_NULL);
		case jbvBool:
			return apibase_spec_make_value(json->val.boolean ? APIBASE_SPEC_TRUE : APIBASE_SPEC_FALSE);
		case jbvNumeric:
			return apibase_spec_make_text_value(APIBASE_SPEC_NUMBER, number_text(json->val.numeric));
		case jbvString:
			return apibase_spec_make_text_value(APIBASE_SPEC_STRING, string_copy(json));
		default:
			break;
	}
	if (is_object(json))
		return read_object_value(json, place);
	if (nested)
		json_error(place, "an array value cannot contain arrays", NULL);
	return apibase_spec_make_array_value(read_values(json, place, true));
}

/* The values in an array. */
static List *
read_values(const JsonbValue *array, const Place *place, bool nested)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, read_elements(array))
	{
		Place		at = element_of(place, foreach_current_index(lc));

		result = lappend(result, read_value(lfirst(lc), &at, nested));
	}
	return result;
}

/* The member "value" as the values of an operator: an array is many only for those that take many. */
static List *
read_operands(const char *name, const JsonbValue *json, const Place *place)
{
	ApibaseSpecOp op = APIBASE_SPEC_EQ;
	bool		negated;
	ApibaseSpecValue *value;

	if (json == NULL)
		return NIL;
	if (apibase_spec_op_by_name(name, &op, &negated) && (op == APIBASE_SPEC_IN || op == APIBASE_SPEC_BETWEEN))
	{
		if (is_array(json))
			return read_values(json, place, false);
		value = read_value(json, place, false);
		if (op == APIBASE_SPEC_BETWEEN || value->kind != APIBASE_SPEC_PARAM)
			json_error(place, psprintf("the value of operator \"%s\" must be an array", name), NULL);
		return list_make1(value);
	}
	return list_make1(read_value(json, place, false));
}

/* {"field": ..., "op": ..., "value": ...} */
static ApibaseSpecNode *
read_clause(const JsonbValue *field, const JsonbValue *op, const JsonbValue *value, const Place *place)
{
	Place		field_place = member_of(place, "field");
	Place		op_place = member_of(place, "op");
	Place		value_place = member_of(place, "value");
	ApibaseSpecNode *node;
	List	   *path;
	char	   *name;
	char	   *problem;
	const char *hint;

	if (!field)
		json_error(place, "key \"field\" is missing", NULL);
	if (!op)
		json_error(place, "key \"op\" is missing", NULL);
	if (field->type != jbvString)
		json_error(&field_place, "\"field\" must be a string", NULL);
	if (op->type != jbvString)
		json_error(&op_place, "\"op\" must be a string", NULL);
	path = apibase_spec_parse_member_path(string_copy(field), pointer_text(&field_place));
	name = string_copy(op);
	node = apibase_spec_make_named_clause(path, name, read_operands(name, value, &value_place), &problem, &hint);
	if (node == NULL)
		json_error(value && !hint ? &value_place : &op_place, problem, hint);
	return node;
}

/* {"and": [...]} or {"or": [...]} */
static ApibaseSpecNode *
read_junction(const JsonbValue *json, const Place *place, bool is_or)
{
	Place		list = member_of(place, is_or ? "or" : "and");
	List	   *args = NIL;
	ListCell   *lc;

	if (!is_array(json))
		json_error(&list, psprintf("\"%s\" must be an array", list.key), NULL);
	foreach(lc, read_elements(json))
	{
		Place		at = element_of(&list, foreach_current_index(lc));

		args = lappend(args, read_condition(lfirst(lc), &at));
	}
	return is_or ? apibase_spec_make_or(args) : apibase_spec_make_and(args);
}

/* A condition. */
static ApibaseSpecNode *
read_condition(const JsonbValue *json, const Place *place)
{
	static const char *const keys[] = {"and", "or", "not", "field", "op", "value"};
	JsonbValue *members[lengthof(keys)];
	bool		clause;

	check_stack_depth();
	if (place->depth > apibase_spec_max_depth + 1)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_SPECIFICATION_TOO_DEEP),
				 errmsg("specification is nested too deeply"),
				 errdetail("At \"%s\" of the JSON form.", pointer_text(place)),
				 errhint("The limit is %d, set by apibase.spec_max_depth.", apibase_spec_max_depth)));
	if (json->type == jbvBool)
		return apibase_spec_make_bool(json->val.boolean);
	if (!is_object(json))
		json_error(place, "a condition must be an object, true or false", NULL);

	read_members(json, place, keys, lengthof(keys), members);
	clause = members[3] || members[4] || members[5];
	if ((members[0] != NULL) + (members[1] != NULL) + (members[2] != NULL) + clause > 1)
		json_error(place, "a condition has either \"and\" or \"or\" or \"not\" or \"field\"", NULL);
	if (members[0])
		return read_junction(members[0], place, false);
	if (members[1])
		return read_junction(members[1], place, true);
	if (members[2])
	{
		Place		negated = member_of(place, "not");

		return apibase_spec_make_not(read_condition(members[2], &negated));
	}
	if (clause)
		return read_clause(members[3], members[4], members[5], place);
	return apibase_spec_make_bool(true);
}

/* The tree of a JSON form. */
ApibaseSpecNode *
apibase_spec_from_jsonb(Jsonb *json)
{
	Place		root = {0};
	JsonbValue	value;

	if (!JB_ROOT_IS_SCALAR(json) || !JsonbExtractScalar(&json->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &json->root;
		value.val.binary.len = VARSIZE(json) - VARHDRSZ;
	}
	return read_condition(&value, &root);
}

/* ---------- writing ---------- */

/*
 * What is pushed is a value of an object (WJB_VALUE) or an element of an array
 * (WJB_ELEM): that is the token.  An object or array as value pushes no token
 * of its own.
 */
static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = (int) strlen(string);
	pushJsonbValue(state, token, &value);
}

static void
push_key(JsonbParseState **state, const char *key)
{
	push_string(state, WJB_KEY, key);
}

static void
push_number(JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
															ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	pushJsonbValue(state, token, &value);
}

static void
push_literal(JsonbParseState **state, JsonbIteratorToken token, enum jbvType type, bool boolean)
{
	JsonbValue	value;

	value.type = type;
	value.val.boolean = boolean;
	pushJsonbValue(state, token, &value);
}

static void push_array(JsonbParseState **state, const List *values);

static void
push_value(JsonbParseState **state, JsonbIteratorToken token, const ApibaseSpecValue *value)
{
	StringInfoData type;

	Assert(value != NULL);
	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
			push_literal(state, token, jbvNull, false);
			break;
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			push_literal(state, token, jbvBool, value->kind == APIBASE_SPEC_TRUE);
			break;
		case APIBASE_SPEC_NUMBER:
			push_number(state, token, value->text);
			break;
		case APIBASE_SPEC_STRING:
			push_string(state, token, value->text);
			break;
		case APIBASE_SPEC_TYPED:
			initStringInfo(&type);
			apibase_spec_append_type(&type, value);
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			push_key(state, "type");
			push_string(state, WJB_VALUE, type.data);
			push_key(state, "value");
			push_string(state, WJB_VALUE, value->text);
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
			break;
		case APIBASE_SPEC_ARRAY:
			push_array(state, value->elements);
			break;
		case APIBASE_SPEC_PARAM:
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			push_key(state, "param");
			push_number(state, WJB_VALUE, psprintf("%d", value->param));
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
			break;
	}
}

static void
push_array(JsonbParseState **state, const List *values)
{
	ListCell   *lc;

	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, values)
		push_value(state, WJB_ELEM, lfirst(lc));
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* The member "value" of a clause. */
static void
push_operands(JsonbParseState **state, const ApibaseSpecNode *clause)
{
	const ApibaseSpecValue *first = clause->values ? linitial(clause->values) : NULL;

	if (clause->op == APIBASE_SPEC_IS_NULL)
		return;
	push_key(state, "value");
	if (clause->op == APIBASE_SPEC_BETWEEN ||
		(clause->op == APIBASE_SPEC_IN &&
		 !(first && list_length(clause->values) == 1 && first->kind == APIBASE_SPEC_PARAM)))
		push_array(state, clause->values);
	else
		push_value(state, WJB_VALUE, first);
}

/* Whether a clause prints as {"not": {...}}. */
static bool
needs_not(const ApibaseSpecNode *clause)
{
	return clause->negated && apibase_spec_op_name(clause->op, true) == NULL;
}

static JsonbValue *
push_clause(JsonbParseState **state, const ApibaseSpecNode *clause)
{
	bool		wrap = needs_not(clause);
	StringInfoData path;
	JsonbValue *result;

	if (wrap)
	{
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		push_key(state, "not");
	}
	initStringInfo(&path);
	apibase_spec_append_path(&path, clause->path, false);
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "field");
	push_string(state, WJB_VALUE, path.data);
	push_key(state, "op");
	push_string(state, WJB_VALUE, apibase_spec_op_name(clause->op, clause->negated && !wrap));
	push_operands(state, clause);
	result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
	if (wrap)
		result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
	return result;
}

/* A node that is not a Boolean constant; the finished document when it is the outermost. */
static JsonbValue *
push_condition(JsonbParseState **state, const ApibaseSpecNode *node)
{
	ListCell   *lc;

	check_stack_depth();
	if (node->kind == APIBASE_SPEC_CLAUSE)
		return push_clause(state, node);
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	if (node->kind == APIBASE_SPEC_NOT)
	{
		push_key(state, "not");
		push_condition(state, linitial(node->args));
		return pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	push_key(state, node->kind == APIBASE_SPEC_AND ? "and" : "or");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, node->args)
	{
		const ApibaseSpecNode *arg = lfirst(lc);

		if (arg->kind == APIBASE_SPEC_BOOL)
			push_literal(state, WJB_ELEM, jbvBool, arg->value);
		else
			push_condition(state, arg);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The JSON form of a tree. */
Jsonb *
apibase_spec_to_jsonb(const ApibaseSpecNode *node)
{
	JsonbParseState *state = NULL;
	JsonbValue	boolean;

	if (node->kind != APIBASE_SPEC_BOOL)
		return JsonbValueToJsonb(push_condition(&state, node));
	boolean.type = jbvBool;
	boolean.val.boolean = node->value;
	return JsonbValueToJsonb(&boolean);
}

/* ---------- visiting ---------- */

/* Visit what is below a node whose pointer is in buf. */
static void
visit(const ApibaseSpecNode *node, StringInfo buf, bool negated, ApibaseSpecVisitor fn, void *arg)
{
	int			length = buf->len;
	ListCell   *lc;

	check_stack_depth();
	if (node->kind == APIBASE_SPEC_CLAUSE)
		fn(node, buf->data, negated, arg);
	foreach(lc, node->args)
	{
		if (node->kind == APIBASE_SPEC_NOT)
			appendStringInfoString(buf, "/not");
		else
			appendStringInfo(buf, "/%s/%d", node->kind == APIBASE_SPEC_AND ? "and" : "or",
							 foreach_current_index(lc));
		visit(lfirst(lc), buf, negated != (node->kind == APIBASE_SPEC_NOT), fn, arg);
		buf->len = length;
		buf->data[length] = '\0';
	}
}

/* Call fn for every clause, in order. */
void
apibase_spec_visit(const ApibaseSpecNode *node, ApibaseSpecVisitor fn, void *arg)
{
	StringInfoData buf;

	initStringInfo(&buf);
	visit(node, &buf, false, fn, arg);
	pfree(buf.data);
}

/* ---------- casts ---------- */

/* spec_from_jsonb(jsonb) */
Datum
apibase_spec_from_jsonb_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(apibase_spec_encode(apibase_spec_from_jsonb(PG_GETARG_JSONB_P(0))));
}

/* spec_from_json(json) */
Datum
apibase_spec_from_json_sql(PG_FUNCTION_ARGS)
{
	char	   *form = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		json;

	apibase_spec_check_size(strlen(form));
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(form));
	PG_RETURN_POINTER(apibase_spec_encode(apibase_spec_from_jsonb(DatumGetJsonbP(json))));
}

/* spec_to_jsonb(spec) */
Datum
apibase_spec_to_jsonb_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(apibase_spec_to_jsonb(apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0))));
}
