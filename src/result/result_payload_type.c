/*-------------------------------------------------------------------------
 *
 * result_payload_type.c
 *	  Reading documents: types, and values that functions of their types make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/subxact.h"
#include "result/result_payload.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

/* ---------- types ---------- */

static void
describe_domain(PayloadReader *reader, PayloadType *type)
{
	/* lives as long as the context, which calls it back at its end */
	DomainConstraintRef *constraints = palloc(sizeof(DomainConstraintRef));
	ListCell   *lc;
	Oid			base;

	type->kind = KIND_DOMAIN;
	type->inner_typmod = -1;
	base = getBaseTypeAndTypmod(type->type, &type->inner_typmod);
	type->inner = payload_type(reader, base);
	InitDomainConstraintRef(type->type, constraints, reader->context, false);
	foreach(lc, constraints->constraints)
	{
		DomainConstraintState *constraint = lfirst(lc);

		if (constraint->constrainttype == DOM_CONSTRAINT_NOTNULL)
			type->not_null = true;
		else
			type->has_check = true;
	}
}

static void
describe_composite(PayloadType *type)
{
	type->kind = KIND_COMPOSITE;
	type->desc = lookup_rowtype_tupdesc(type->type, -1);
	type->is_table = get_rel_relkind(get_typ_typrelid(type->type)) != RELKIND_COMPOSITE_TYPE;
}

static void
describe_scalar(PayloadType *type, char typtype)
{
	bool		preferred;

	if (typtype == TYPTYPE_PSEUDO && type->type != CSTRINGOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a JSON document cannot be read as a value of type %s", format_type_be(type->type))));
	type->kind = KIND_SCALAR;
	get_type_category_preferred(type->type, &type->category, &preferred);
}

/* Vectors are arrays for the catalog, but not for those who make them. */
static Oid
element_type(Oid oid)
{
	return oid == INT2VECTOROID || oid == OIDVECTOROID ? InvalidOid : get_element_type(oid);
}

void
payload_release_types(PayloadReader *reader)
{
	for (PayloadType *type = reader->types; type != NULL; type = type->next)
	{
		if (type->desc != NULL)
			ReleaseTupleDesc(type->desc);
	}
	reader->types = NULL;
}

PayloadType *
payload_type(PayloadReader *reader, Oid oid)
{
	PayloadType *type;
	MemoryContext old;
	char		typtype;

	for (type = reader->types; type != NULL; type = type->next)
	{
		if (type->type == oid)
			return type;
	}
	check_stack_depth();
	old = MemoryContextSwitchTo(reader->context);
	type = palloc0(sizeof(PayloadType));
	type->type = oid;
	typtype = get_typtype(oid);
	if (oid == JSONBOID || oid == JSONOID)
		type->kind = KIND_DOCUMENT;
	else if (typtype == TYPTYPE_DOMAIN)
		describe_domain(reader, type);
	else if (typtype == TYPTYPE_COMPOSITE)
		describe_composite(type);
	else if (OidIsValid(element_type(oid)))
	{
		type->kind = KIND_ARRAY;
		type->inner = payload_type(reader, element_type(oid));
	}
	else
		describe_scalar(type, typtype);
	type->next = reader->types;
	reader->types = type;
	MemoryContextSwitchTo(old);
	return type;
}

/* ---------- what may fail ---------- */

/* Bytes of a message of the server that are told. */
#define MAX_DETAIL 200

/* One value to be made or tested by a function that may raise an error. */
typedef struct Trial
{
	PayloadReader *reader;
	PayloadType *type;
	int32		typmod;
	char	   *text;			/* for the input function of a scalar; NULL: test a value of a domain */
	Datum		value;
	bool		isnull;
} Trial;

/* The input function of a scalar, which most documents do not need. */
static FmgrInfo *
input_function(PayloadReader *reader, PayloadType *type)
{
	Oid			function;

	if (!OidIsValid(type->input.fn_oid))
	{
		getTypeInputInfo(type->type, &function, &type->ioparam);
		fmgr_info_cxt(function, &type->input, reader->context);
	}
	return &type->input;
}

/* For apibase_try. */
static void
run_trial(void *arg)
{
	Trial	   *trial = arg;
	PayloadType *type = trial->type;

	if (trial->text != NULL)
	{
		FmgrInfo   *input = input_function(trial->reader, type);

		trial->value = InputFunctionCall(input, trial->text, type->ioparam, trial->typmod);
	}
	else
		domain_check(trial->value, trial->isnull, type->type, &type->domain_extra, trial->reader->context);
}

/*
 * Input functions also raise errors of syntax and names for what they cannot read: tsquery and jsonpath have a
 * syntax, regclass has names.  From a constraint of a domain such errors say that the constraint is wrong.
 */
bool
payload_is_fault(const ErrorData *error, bool from_input)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return true;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			return from_input && error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE;
		default:
			return from_input && error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	}
}

/* The server's message repeats what it was given, and a short number can be a long text: 1e131071. */
static char *
fault_detail(const ErrorData *error)
{
	int			len;

	if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
		return pstrdup("is required");
	if (error->sqlerrcode == ERRCODE_CHECK_VIOLATION && error->constraint_name != NULL)
		return psprintf("does not satisfy %s", error->constraint_name);
	len = strlen(error->message);
	if (len <= MAX_DETAIL)
		return pstrdup(error->message);
	return psprintf("%.*s...", pg_mbcliplen(error->message, len, MAX_DETAIL), error->message);
}

/* Run it in the way of the reader; false if it is not done. */
static bool
attempt(Trial *trial, const PayloadPath *path)
{
	PayloadReader *reader = trial->reader;
	ErrorData  *error;

	switch (reader->mode)
	{
		case PLAINLY:
			reader->stopped = true;
			return false;
		case TOGETHER:
			run_trial(trial);
			return true;
		case SINGLY:
			break;
	}
	error = apibase_try(run_trial, trial);
	if (error == NULL)
		return true;
	if (!payload_is_fault(error, trial->text != NULL))
		ReThrowError(error);
	/* what functions keep between calls is in an unknown state */
	trial->type->input.fn_extra = NULL;
	trial->type->domain_extra = NULL;
	payload_fault(reader, path, error->sqlerrcode, fault_detail(error));
	FreeErrorData(error);
	return false;
}

void
payload_check_domain(PayloadReader *reader, PayloadType *type, const PayloadPath *path, Datum value, bool isnull)
{
	Trial		trial = {.reader = reader, .type = type, .value = value, .isnull = isnull};

	attempt(&trial, path);
}

/* ---------- scalars ---------- */

/* The number as text; one without a fraction, like 1.00, as an integer if one is wanted. */
static char *
number_text(JsonbValue *json, const PayloadType *type)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(json->val.numeric)));
	char	   *point = strchr(text, '.');

	if (point != NULL && (type->type == INT2OID || type->type == INT4OID || type->type == INT8OID) &&
		strspn(point + 1, "0") == strlen(point + 1))
		*point = '\0';
	return text;
}

/* An integer that fits its type. */
static bool
read_plain_integer(const char *text, Oid type, Datum *value)
{
	char	   *end;
	int64		number;

	errno = 0;
	number = strtoi64(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		return false;
	if (type == INT8OID)
		*value = Int64GetDatum(number);
	else if (type == INT4OID && number >= PG_INT32_MIN && number <= PG_INT32_MAX)
		*value = Int32GetDatum((int32) number);
	else if (type == INT2OID && number >= PG_INT16_MIN && number <= PG_INT16_MAX)
		*value = Int16GetDatum((int16) number);
	else
		return false;
	return true;
}

static bool
read_plain_number(JsonbValue *json, PayloadType *type, int32 typmod, Datum *value)
{
	switch (type->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return read_plain_integer(number_text(json, type), type->type, value);
		case NUMERICOID:
			*value = NumericGetDatum(json->val.numeric);
			return typmod < 0;
		case FLOAT8OID:
			*value = DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(json->val.numeric));
			return !isinf(DatumGetFloat8(*value));
		default:
			return false;
	}
}

/* A UUID in its standard form. */
static bool
read_plain_uuid(const char *text, int len, Datum *value)
{
	char		copy[2 * UUID_LEN + 5];

	if (len != 2 * UUID_LEN + 4)
		return false;
	for (int i = 0; i < len; i++)
	{
		bool		dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	*value = DirectFunctionCall1(uuid_in, CStringGetDatum(copy));
	return true;
}

static bool
read_plain_string(JsonbValue *json, PayloadType *type, int32 typmod, Datum *value)
{
	const char *text = json->val.string.val;
	int			len = json->val.string.len;

	switch (type->type)
	{
		case TEXTOID:
			*value = PointerGetDatum(cstring_to_text_with_len(text, len));
			return true;
		case VARCHAROID:
			/* characters are at least as many bytes */
			if (typmod >= (int32) VARHDRSZ && len > typmod - VARHDRSZ)
				return false;
			*value = PointerGetDatum(cstring_to_text_with_len(text, len));
			return true;
		case UUIDOID:
			return read_plain_uuid(text, len, value);
		default:
			return false;
	}
}

/* What the JSON value must be, if it is not. */
static const char *
wanted_kind(JsonbValue *json, const PayloadType *type)
{
	if (type->category == TYPCATEGORY_BOOLEAN)
		return json->type == jbvBool ? NULL : "true or false";
	if (type->category == TYPCATEGORY_NUMERIC)
		return json->type == jbvNumeric || json->type == jbvString ? NULL : "a number";
	if (json->type == jbvString || (json->type == jbvNumeric && type->category != TYPCATEGORY_STRING))
		return NULL;
	return "a string";
}

void
payload_read_scalar(PayloadReader *reader, JsonbValue *json, PayloadType *type, int32 typmod,
					const PayloadPath *path, Datum *value, bool *isnull)
{
	Trial		trial = {.reader = reader, .type = type, .typmod = typmod};
	const char *wanted = wanted_kind(json, type);

	if (wanted != NULL)
	{
		payload_wrong_kind(reader, path, wanted);
		return;
	}
	*isnull = false;
	if (json->type == jbvBool && type->type == BOOLOID)
	{
		*value = BoolGetDatum(json->val.boolean);
		return;
	}
	if (json->type == jbvNumeric && read_plain_number(json, type, typmod, value))
		return;
	if (json->type == jbvString && read_plain_string(json, type, typmod, value))
		return;
	if (json->type == jbvBool)
		trial.text = json->val.boolean ? "true" : "false";
	else if (json->type == jbvNumeric)
		trial.text = number_text(json, type);
	else
		trial.text = pnstrdup(json->val.string.val, json->val.string.len);
	*isnull = !attempt(&trial, path);
	*value = trial.value;
}
