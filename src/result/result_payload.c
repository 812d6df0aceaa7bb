/*-------------------------------------------------------------------------
 *
 * result_payload.c
 *	  JSON documents to values of types, with a pointer in every error.
 *
 * A document is read along its type: objects are composite values, arrays are arrays, the
 * rest is for the input functions of the types.  What does not fit is noted as a fault,
 * and reading goes on behind it, so that one answer tells all faults.
 *
 * An input function, or a constraint of a domain, raises an error, after which only a
 * subtransaction can go on.  So there are up to three ways through a document:
 *
 *	PLAINLY		converting only what cannot fail (text, numbers that fit, ...), which is
 *				most documents; anything else stops it
 *	TOGETHER	in one subtransaction: the document is right unless that fails
 *	SINGLY		with a subtransaction for each value that may fail
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/closest.h"
#include "core/compat.h"
#include "core/subxact.h"
#include "result/result_impl.h"
#include "result/result_payload.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* More faults than these are not told. */
#define MAX_FAULTS 100

#define ERRCODE_INPUT_INVALID MAKE_SQLSTATE('P', 'T', '4', '2', '2')

typedef struct PayloadFault
{
	char	   *pointer;
	char	   *detail;
	int			code;
} PayloadFault;

static void read_value(PayloadReader *reader, JsonbValue *json, PayloadType *type, int32 typmod,
					   const PayloadPath *path, Datum *value, bool *isnull);

/* ---------- faults ---------- */

static void
append_path(StringInfo pointer, const PayloadPath *path)
{
	if (path->parent == NULL)
		return;
	append_path(pointer, path->parent);
	if (path->name != NULL)
		apibase_problem_append_pointer(pointer, path->name);
	else
		appendStringInfo(pointer, "/%d", path->index);
}

void
payload_fault(PayloadReader *reader, const PayloadPath *path, int code, char *detail)
{
	PayloadFault *fault;
	StringInfoData pointer;

	if (list_length(reader->faults) == MAX_FAULTS)
	{
		reader->stopped = true;
		reader->full = true;
		return;
	}
	initStringInfo(&pointer);
	append_path(&pointer, path);
	fault = palloc(sizeof(PayloadFault));
	fault->pointer = pointer.data;
	fault->detail = detail;
	fault->code = code;
	reader->faults = lappend(reader->faults, fault);
}

void
payload_wrong_kind(PayloadReader *reader, const PayloadPath *path, const char *wanted)
{
	payload_fault(reader, path, ERRCODE_DATATYPE_MISMATCH, psprintf("must be %s", wanted));
}

static void
is_required(PayloadReader *reader, const PayloadPath *path)
{
	payload_fault(reader, path, ERRCODE_NOT_NULL_VIOLATION, pstrdup("is required"));
}

static Jsonb *
faults_document(PayloadReader *reader)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, reader->faults)
	{
		PayloadFault *fault = lfirst(lc);

		apibase_problem_push_item(&state, fault->pointer, fault->detail, pstrdup(unpack_sql_state(fault->code)));
	}
	if (reader->full)
		apibase_problem_push_item(&state, "", psprintf("has more faults than these %d", MAX_FAULTS),
								  pstrdup(unpack_sql_state(ERRCODE_INPUT_INVALID)));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* ---------- documents within, domains ---------- */

static Datum
read_document(JsonbValue *json, Oid type)
{
	Jsonb	   *jsonb = JsonbValueToJsonb(json);

	if (type == JSONBOID)
		return JsonbPGetDatum(jsonb);
	return CStringGetTextDatum(JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb)));
}

static void
read_domain(PayloadReader *reader, JsonbValue *json, PayloadType *type,
			const PayloadPath *path, Datum *value, bool *isnull)
{
	int			before = list_length(reader->faults);

	if (json->type == jbvNull && type->not_null)
	{
		is_required(reader, path);
		return;
	}
	read_value(reader, json, type->inner, type->inner_typmod, path, value, isnull);
	if (!type->has_check || reader->stopped || list_length(reader->faults) > before)
		return;
	payload_check_domain(reader, type, path, *value, *isnull);
}

/* ---------- objects ---------- */

static const char *
closest_field(TupleDesc desc, const char *name)
{
	const char **names = palloc(desc->natts * sizeof(char *));
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			names[n++] = NameStr(TupleDescAttr(desc, i)->attname);
	}
	return apibase_closest(name, names, n);
}

static bool
has_field(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return true;
	}
	return false;
}

/* Note the members of an object that are no fields. */
static void
find_unknown(PayloadReader *reader, JsonbContainer *object, PayloadType *type, const PayloadPath *path)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	json;

	while ((token = JsonbIteratorNext(&it, &json, true)) != WJB_DONE && !reader->stopped)
	{
		PayloadPath member = {.parent = path};
		const char *closest;
		char	   *detail;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY)
			continue;
		member.name = pnstrdup(json.val.string.val, json.val.string.len);
		if (has_field(type->desc, member.name))
			continue;
		detail = psprintf("is not a field of %s", format_type_be_qualified(type->type));
		closest = closest_field(type->desc, member.name);
		if (closest != NULL)
			detail = psprintf("%s, perhaps \"%s\" is meant", detail, closest);
		payload_fault(reader, &member, ERRCODE_UNDEFINED_COLUMN, detail);
	}
}

/* Whether there must be a value for a column of a table: what the table fills in itself may be missing. */
static bool
column_is_required(PayloadType *type, int i, bool missing)
{
	Form_pg_attribute att = TupleDescAttr(type->desc, i);

	if (!type->is_table || !att->attnotnull || att->attgenerated)
		return false;
	return !missing || !(att->atthasdef || att->attidentity);
}

static void
read_field(PayloadReader *reader, JsonbValue *json, PayloadType *type, int i,
		   const PayloadPath *path, Datum *value, bool *isnull)
{
	Form_pg_attribute att = TupleDescAttr(type->desc, i);
	PayloadPath field = {.parent = path, .name = NameStr(att->attname)};
	JsonbValue	null = {.type = jbvNull};

	if ((json == NULL || json->type == jbvNull) && column_is_required(type, i, json == NULL))
		is_required(reader, &field);
	else
		read_value(reader, json ? json : &null, payload_type(reader, att->atttypid), att->atttypmod, &field, value, isnull);
}

static void
read_composite(PayloadReader *reader, JsonbValue *json, PayloadType *type,
			   const PayloadPath *path, Datum *value, bool *isnull)
{
	TupleDesc	desc = type->desc;
	int			before = list_length(reader->faults);
	JsonbContainer *object = json->val.binary.data;
	uint32		found = 0;
	Datum	   *values;
	bool	   *nulls;

	if (json->type != jbvBinary || !JsonContainerIsObject(object))
	{
		payload_wrong_kind(reader, path, "an object");
		return;
	}
	values = palloc0(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	memset(nulls, true, desc->natts * sizeof(bool));
	for (int i = 0; i < desc->natts && !reader->stopped; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		JsonbValue	member;
		JsonbValue *there;

		if (att->attisdropped)
			continue;
		there = getKeyJsonValueFromContainer(object, NameStr(att->attname), strlen(NameStr(att->attname)), &member);
		if (there != NULL)
			found++;
		read_field(reader, there, type, i, path, &values[i], &nulls[i]);
	}
	if (found < JsonContainerSize(object))
		find_unknown(reader, object, type, path);
	if (reader->stopped || list_length(reader->faults) > before)
		return;
	*value = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	*isnull = false;
}

/* ---------- arrays ---------- */

/* An array that is being read: its elements one after the other, whatever its dimensions. */
typedef struct PayloadArray
{
	PayloadReader *reader;
	PayloadType *type;
	int32		typmod;
	int			ndims;
	int			dims[MAXDIM];
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			size;
} PayloadArray;

static bool
is_json_array(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsArray(json->val.binary.data) &&
		!JsonContainerIsScalar(json->val.binary.data);
}

/* Whether an element may itself be written as a JSON array. */
static bool
element_is_array(PayloadType *element)
{
	if (element->kind == KIND_DOMAIN)
		element = element->inner;
	return element->kind == KIND_ARRAY || element->kind == KIND_DOCUMENT;
}

/* The first elements tell how many dimensions there are; false if too many. */
static bool
measure(PayloadArray *array, JsonbValue *json, const PayloadPath *path)
{
	JsonbValue	level = *json;

	for (array->ndims = 0; is_json_array(&level);)
	{
		JsonbValue *first = getIthJsonbValueFromContainer(level.val.binary.data, 0);

		if (array->ndims == MAXDIM)
		{
			payload_fault(array->reader, path, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
						  psprintf("has more than %d dimensions", MAXDIM));
			return false;
		}
		array->dims[array->ndims++] = JsonContainerSize(level.val.binary.data);
		if (first == NULL || element_is_array(array->type->inner))
			break;
		level = *first;
	}
	return true;
}

static void
read_element(PayloadArray *array, JsonbValue *json, const PayloadPath *path)
{
	if (array->n == array->size)
	{
		array->size = array->size > 0 ? 2 * array->size : 16;
		array->values = array->values ? repalloc_huge(array->values, array->size * sizeof(Datum)) :
			palloc(array->size * sizeof(Datum));
		array->nulls = array->nulls ? repalloc_huge(array->nulls, array->size * sizeof(bool)) :
			palloc(array->size * sizeof(bool));
	}
	array->values[array->n] = (Datum) 0;
	array->nulls[array->n] = true;
	read_value(array->reader, json, array->type->inner, array->typmod, path,
			   &array->values[array->n], &array->nulls[array->n]);
	array->n++;
}

/* A dimension of an array, and those within it. */
static void
read_dimension(PayloadArray *array, int dim, JsonbValue *json, const PayloadPath *path)
{
	PayloadReader *reader = array->reader;
	JsonbIterator *it;
	JsonbValue	element;
	PayloadPath item = {.parent = path, .index = -1};
	JsonbIteratorToken token;

	if (dim == array->ndims)
	{
		read_element(array, json, path);
		return;
	}
	if (!is_json_array(json))
	{
		payload_wrong_kind(reader, path, "an array");
		return;
	}
	if (JsonContainerSize(json->val.binary.data) != (uint32) array->dims[dim])
	{
		payload_fault(reader, path, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
					  psprintf("must have %d elements, as the array before it", array->dims[dim]));
		return;
	}
	it = JsonbIteratorInit(json->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_DONE && !reader->stopped)
	{
		if (token != WJB_ELEM)
			continue;
		item.index++;
		read_dimension(array, dim + 1, &element, &item);
	}
}

static void
read_array(PayloadReader *reader, JsonbValue *json, PayloadType *type, int32 typmod,
		   const PayloadPath *path, Datum *value, bool *isnull)
{
	PayloadArray array = {.reader = reader, .type = type, .typmod = typmod};
	int			before = list_length(reader->faults);
	int			lbounds[MAXDIM] = {1, 1, 1, 1, 1, 1};
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (!is_json_array(json))
	{
		payload_wrong_kind(reader, path, "an array");
		return;
	}
	if (!measure(&array, json, path))
		return;
	read_dimension(&array, 0, json, path);
	if (reader->stopped || list_length(reader->faults) > before)
		return;
	get_typlenbyvalalign(type->inner->type, &typlen, &typbyval, &typalign);
	if (array.n == 0)
		*value = PointerGetDatum(construct_empty_array(type->inner->type));
	else
		*value = PointerGetDatum(construct_md_array(array.values, array.nulls, array.ndims, array.dims, lbounds,
													type->inner->type, typlen, typbyval, typalign));
	*isnull = false;
}

/* ---------- documents ---------- */

/* Read a value.  If there are faults, *value and *isnull mean nothing. */
static void
read_value(PayloadReader *reader, JsonbValue *json, PayloadType *type, int32 typmod,
		   const PayloadPath *path, Datum *value, bool *isnull)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	*value = (Datum) 0;
	*isnull = true;
	if (reader->stopped)
		return;
	if (type->kind == KIND_DOMAIN)
	{
		read_domain(reader, json, type, path, value, isnull);
		return;
	}
	if (json->type == jbvNull)
		return;
	switch (type->kind)
	{
		case KIND_SCALAR:
			payload_read_scalar(reader, json, type, typmod, path, value, isnull);
			break;
		case KIND_DOCUMENT:
			*value = read_document(json, type->type);
			*isnull = false;
			break;
		case KIND_COMPOSITE:
			read_composite(reader, json, type, path, value, isnull);
			break;
		case KIND_ARRAY:
			read_array(reader, json, type, typmod, path, value, isnull);
			break;
		case KIND_DOMAIN:
			pg_unreachable();
	}
}

/* A whole document, and what comes of it. */
typedef struct PayloadReading
{
	PayloadReader reader;
	Jsonb	   *document;
	Oid			type;
	int32		typmod;
	Datum		value;
	bool		isnull;
} PayloadReading;

/* Read it in one way; for apibase_try. */
static void
read_whole(void *arg)
{
	PayloadReading *reading = arg;
	PayloadReader *reader = &reading->reader;
	PayloadPath whole = {.parent = NULL};
	JsonbValue	json;

	reader->stopped = false;
	reader->full = false;
	reader->faults = NIL;
	reader->types = NULL;
	if (!JB_ROOT_IS_SCALAR(reading->document))
	{
		json.type = jbvBinary;
		json.val.binary.data = &reading->document->root;
		json.val.binary.len = VARSIZE(reading->document) - VARHDRSZ;
	}
	else
		(void) JsonbExtractScalar(&reading->document->root, &json);
	read_value(reader, &json, payload_type(reader, reading->type), reading->typmod, &whole,
			   &reading->value, &reading->isnull);
	payload_release_types(reader);
}

/* Go through the document in the ways that it needs. */
static void
read_reading(PayloadReading *reading)
{
	PayloadReader *reader = &reading->reader;
	ErrorData  *error;

	reader->mode = PLAINLY;
	read_whole(reading);
	if (!reader->stopped || reader->full)
		return;
	if (reader->faults == NIL)
	{
		reader->mode = TOGETHER;
		error = apibase_try(read_whole, reading);
		if (error == NULL)
			return;
		if (!payload_is_fault(error, true))
			ReThrowError(error);
	}
	reader->mode = SINGLY;
	read_whole(reading);
}

Jsonb *
apibase_payload_read(Jsonb *document, Oid type, int32 typmod, Datum *value, bool *isnull)
{
	PayloadReading reading = {
		.reader = {.context = CurrentMemoryContext},
		.document = document,
		.type = type,
		.typmod = typmod,
	};

	read_reading(&reading);
	*value = reading.value;
	*isnull = reading.isnull;
	return reading.reader.faults != NIL ? faults_document(&reading.reader) : NULL;
}

Datum
apibase_payload_value(Jsonb *document, Oid type, int32 typmod, bool *isnull)
{
	Datum		value;
	Jsonb	   *faults = apibase_payload_read(document, type, typmod, &value, isnull);

	if (faults != NULL)
		apibase_problem_raise(apibase_problem_make(422, ERRCODE_INPUT_INVALID, "the input is not valid", faults));
	return value;
}
