/*-------------------------------------------------------------------------
 *
 * result.c
 *	  The composite type apibase.result in C, and the module's setting.
 *
 * Dispatching and pipelines make and read results often, so a copy of the
 * type's row descriptor is kept for the session.  It is forgotten when any
 * type changes, as dropping and creating the extension again changes the OID.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/guc.h"
#include "result/result_impl.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* The columns of apibase.result. */
enum
{
	RESULT_OK,
	RESULT_VALUE,
	RESULT_ERROR,
	RESULT_REPLAYED,
	RESULT_NCOLUMNS
};

char	   *problem_type_base;

static TupleDesc descriptor = NULL;
static bool descriptor_valid = false;

void
apibase_result_define_gucs(void)
{
	DefineCustomStringVariable("apibase.problem_type_base",
							   "What the type of a problem begins with that has none of its own; the name of its kind follows.",
							   NULL,
							   &problem_type_base,
							   "urn:problem-type:apibase:",
							   PGC_SUSET,
							   0,
							   NULL, NULL, NULL);
}

static void
type_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	descriptor_valid = false;
}

/* The row descriptor of apibase.result. */
static TupleDesc
result_descriptor(void)
{
	static bool callback_registered = false;
	Oid			type;

	if (descriptor_valid)
		return descriptor;
	if (!callback_registered)
	{
		CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
		callback_registered = true;
	}
	type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("result"),
						   ObjectIdGetDatum(get_namespace_oid("apibase", false)));
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type apibase.result does not exist")));
	if (descriptor)
		FreeTupleDesc(descriptor);
	descriptor = NULL;

	/* Valid from here on: what is invalidated while it is looked up makes it invalid again. */
	descriptor_valid = true;
	PG_TRY();
	{
		TupleDesc	found = lookup_rowtype_tupdesc(type, -1);
		MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

		descriptor = CreateTupleDescCopy(found);
		MemoryContextSwitchTo(context);
		ReleaseTupleDesc(found);
		if (descriptor->natts != RESULT_NCOLUMNS)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("type apibase.result has been changed")));
	}
	PG_CATCH();
	{
		descriptor_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return descriptor;
}

Oid
apibase_result_type(void)
{
	return result_descriptor()->tdtypeid;
}

Datum
apibase_result_datum(const ApibaseResult *result)
{
	Datum		values[RESULT_NCOLUMNS] = {
		[RESULT_OK] = BoolGetDatum(result->ok),
		[RESULT_VALUE] = PointerGetDatum(result->value),
		[RESULT_ERROR] = PointerGetDatum(result->error),
		[RESULT_REPLAYED] = BoolGetDatum(result->replayed),
	};
	bool		nulls[RESULT_NCOLUMNS] = {
		[RESULT_VALUE] = result->value == NULL,
		[RESULT_ERROR] = result->ok,
	};

	Assert(result->ok || result->error);
	return HeapTupleGetDatum(heap_form_tuple(result_descriptor(), values, nulls));
}

void
apibase_result_read(Datum datum, ApibaseResult *result)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(datum);
	HeapTupleData tuple = {
		.t_len = HeapTupleHeaderGetDatumLength(header),
		.t_data = header,
	};
	Datum		values[RESULT_NCOLUMNS];
	bool		nulls[RESULT_NCOLUMNS];

	heap_deform_tuple(&tuple, result_descriptor(), values, nulls);
	if (nulls[RESULT_OK])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a result must be ok or not"),
				 errhint("Make results with apibase.ok() and apibase.err().")));
	result->ok = DatumGetBool(values[RESULT_OK]);
	if (!result->ok && nulls[RESULT_ERROR])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a result that is not ok must have an error"),
				 errhint("Make results with apibase.ok() and apibase.err().")));
	result->replayed = !nulls[RESULT_REPLAYED] && DatumGetBool(values[RESULT_REPLAYED]);
	result->value = !nulls[RESULT_VALUE] ? DatumGetJsonbP(values[RESULT_VALUE]) : NULL;
	result->error = result->ok ? NULL : DatumGetJsonbP(values[RESULT_ERROR]);
	if (result->error && !JB_ROOT_IS_OBJECT(result->error))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the error of a result must be a JSON object"),
				 errhint("Make results with apibase.ok() and apibase.err().")));
}
