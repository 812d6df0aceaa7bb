/*-------------------------------------------------------------------------
 *
 * result_sql.c
 *	  What SQL calls to make results and problems, to take results apart, and
 *	  to raise problems.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "result/result_impl.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_result_sql_ok);
PG_FUNCTION_INFO_V1(apibase_result_sql_err);
PG_FUNCTION_INFO_V1(apibase_result_sql_is_ok);
PG_FUNCTION_INFO_V1(apibase_result_sql_is_err);
PG_FUNCTION_INFO_V1(apibase_result_sql_unwrap);
PG_FUNCTION_INFO_V1(apibase_result_sql_unwrap_or);
PG_FUNCTION_INFO_V1(apibase_result_sql_unwrap_err);
PG_FUNCTION_INFO_V1(apibase_result_sql_to_jsonb);
PG_FUNCTION_INFO_V1(apibase_result_sql_problem);
PG_FUNCTION_INFO_V1(apibase_result_sql_problem_from_error);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_problem);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_validation);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_not_found);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_conflict);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_unauthorized);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_forbidden);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_precondition);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_timeout);
PG_FUNCTION_INFO_V1(apibase_result_sql_raise_unavailable);

/* An argument that may be NULL or, in functions with fewer arguments, missing. */
static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return i >= PG_NARGS() || PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static Jsonb *
jsonb_argument(FunctionCallInfo fcinfo, int i)
{
	return i >= PG_NARGS() || PG_ARGISNULL(i) ? NULL : PG_GETARG_JSONB_P(i);
}

/* ---------- results ---------- */

/* An argument of type "any" as jsonb.  A literal without a type is JSON, as it would be for jsonb. */
static Jsonb *
any_argument(FunctionCallInfo fcinfo, int i)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, i);
	ApibaseToJsonb *to = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(i))
		return NULL;
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of a value")));
	if (type == UNKNOWNOID)
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, PG_GETARG_DATUM(i)));
	if (to == NULL)
	{
		to = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ApibaseToJsonb));
		apibase_to_jsonb_prepare(to, type, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = to;
	}
	return apibase_to_jsonb(to, PG_GETARG_DATUM(i), false);
}

/* ok() and ok("any") */
Datum
apibase_result_sql_ok(PG_FUNCTION_ARGS)
{
	ApibaseResult result = {.ok = true};

	if (PG_NARGS() > 0)
		result.value = any_argument(fcinfo, 0);
	return apibase_result_datum(&result);
}

/* err(jsonb) */
Datum
apibase_result_sql_err(PG_FUNCTION_ARGS)
{
	ApibaseResult result = {.error = apibase_problem_normalize(PG_GETARG_JSONB_P(0))};

	return apibase_result_datum(&result);
}

/* is_ok(result) */
Datum
apibase_result_sql_is_ok(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	apibase_result_read(PG_GETARG_DATUM(0), &result);
	PG_RETURN_BOOL(result.ok);
}

/* is_err(result) */
Datum
apibase_result_sql_is_err(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	apibase_result_read(PG_GETARG_DATUM(0), &result);
	PG_RETURN_BOOL(!result.ok);
}

static Datum
return_jsonb(FunctionCallInfo fcinfo, Jsonb *json)
{
	if (json == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(json);
}

/* unwrap(result) */
Datum
apibase_result_sql_unwrap(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	apibase_result_read(PG_GETARG_DATUM(0), &result);
	if (!result.ok)
		apibase_problem_raise(result.error);
	return return_jsonb(fcinfo, result.value);
}

/* unwrap_or(result, jsonb); only the second may be NULL for anything but NULL */
Datum
apibase_result_sql_unwrap_or(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	apibase_result_read(PG_GETARG_DATUM(0), &result);
	return return_jsonb(fcinfo, result.ok ? result.value : jsonb_argument(fcinfo, 1));
}

/* unwrap_err(result) */
Datum
apibase_result_sql_unwrap_err(PG_FUNCTION_ARGS)
{
	ApibaseResult result;

	apibase_result_read(PG_GETARG_DATUM(0), &result);
	return return_jsonb(fcinfo, result.error);
}

/* The cast: {"ok": true, "value": ...} or {"ok": false, "error": {...}}, and "replayed": true where it is. */
Datum
apibase_result_sql_to_jsonb(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	ApibaseResult result;
	JsonbValue	flag = {.type = jbvBool};

	apibase_result_read(PG_GETARG_DATUM(0), &result);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	flag.val.boolean = result.ok;
	problem_push_value(&state, "ok", &flag);
	if (!result.ok)
		problem_push_json(&state, "error", result.error);
	else if (result.value)
		problem_push_json(&state, "value", result.value);
	else
		problem_push_null(&state, "value");
	flag.val.boolean = true;
	if (result.replayed)
		problem_push_value(&state, "replayed", &flag);
	PG_RETURN_JSONB_P(problem_end_object(&state));
}

/* ---------- problems ---------- */

/* Raise 22023 for an argument that is a JSON document of another kind; NULL may pass. */
static void
check_json(Jsonb *json, bool fits, const char *name, const char *kind)
{
	if (json && !fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a problem must be a JSON %s", name, kind)));
}

static void
check_errors(Jsonb *errors)
{
	check_json(errors, errors && JB_ROOT_IS_ARRAY(errors) && !JB_ROOT_IS_SCALAR(errors), "errors", "array");
}

/* problem(status, detail, title, type, errors, extensions) */
Datum
apibase_result_sql_problem(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	Jsonb	   *errors = jsonb_argument(fcinfo, 4);
	Jsonb	   *extensions = jsonb_argument(fcinfo, 5);
	Jsonb	   *problem;

	if (PG_ARGISNULL(0) || !problem_status_is_error(PG_GETARG_INT32(0)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the status of a problem must be between 400 and 599")));
	check_errors(errors);
	check_json(extensions, extensions && JB_ROOT_IS_OBJECT(extensions), "extensions", "object");

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	problem_push_integer(&state, "status", PG_GETARG_INT32(0));
	problem_push_text(&state, "detail", text_argument(fcinfo, 1));
	problem_push_text(&state, "title", text_argument(fcinfo, 2));
	problem_push_text(&state, "type", text_argument(fcinfo, 3));
	problem_push_json(&state, "errors", errors);
	problem = problem_end_object(&state);
	PG_RETURN_JSONB_P(apibase_problem_normalize(extensions ? problem_merge(extensions, problem) : problem));
}

/* A text of GET STACKED DIAGNOSTICS, where empty ones stand for those that the error does not have. */
static char *
diagnostics_argument(FunctionCallInfo fcinfo, int i)
{
	char	   *text = text_argument(fcinfo, i);

	return text && text[0] != '\0' ? text : NULL;
}

/*
 * problem_from_error(sqlstate, message, detail, ...), of what GET STACKED
 * DIAGNOSTICS gives.  It is called where an error is handled, so whatever the
 * arguments are it raises nothing; what is no SQLSTATE is an internal error.
 */
Datum
apibase_result_sql_problem_from_error(PG_FUNCTION_ARGS)
{
	char	   *code = text_argument(fcinfo, 0);
	ErrorData	error = {
		.sqlerrcode = code ? problem_parse_sqlstate(code) : 0,
		.message = diagnostics_argument(fcinfo, 1),
		.detail = diagnostics_argument(fcinfo, 2),
		.hint = diagnostics_argument(fcinfo, 3),
		.schema_name = diagnostics_argument(fcinfo, 4),
		.table_name = diagnostics_argument(fcinfo, 5),
		.column_name = diagnostics_argument(fcinfo, 6),
		.datatype_name = diagnostics_argument(fcinfo, 7),
		.constraint_name = diagnostics_argument(fcinfo, 8),
	};

	if (error.sqlerrcode == 0)
		error.sqlerrcode = ERRCODE_INTERNAL_ERROR;
	apibase_problem_log(&error, NULL);
	PG_RETURN_JSONB_P(apibase_problem_of_error(&error, NULL));
}

/* raise_problem(jsonb) */
Datum
apibase_result_sql_raise_problem(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the problem to raise must not be null")));
	apibase_problem_raise(PG_GETARG_JSONB_P(0));
}

/* ---------- one for each kind ---------- */

static void raise_kind(int status, const char *detail, Jsonb *errors) pg_attribute_noreturn();

static void
raise_kind(int status, const char *detail, Jsonb *errors)
{
	apibase_problem_raise(apibase_problem_make(status, 0, detail, errors));
}

/*
 * Items of the array errors: those that are given, and one for a pointer.
 * NULL if there are none.
 */
static Jsonb *
make_errors(Jsonb *errors, const char *pointer, const char *detail, int status)
{
	JsonbParseState *state = NULL;

	if (pointer == NULL)
		return errors;
	if (pointer[0] != '\0' && pointer[0] != '/')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid JSON pointer \"%s\"", pointer),
				 errhint("A JSON pointer is empty or begins with a slash, such as \"/email\".")));
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; errors && i < JB_ROOT_COUNT(errors); i++)
		pushJsonbValue(&state, WJB_ELEM, getIthJsonbValueFromContainer(&errors->root, i));
	apibase_problem_push_item(&state, pointer, detail, problem_sqlstate_text(problem_status_sqlstate(status)));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* raise_validation(detail, pointer, errors) */
Datum
apibase_result_sql_raise_validation(PG_FUNCTION_ARGS)
{
	char	   *detail = text_argument(fcinfo, 0);
	Jsonb	   *errors = jsonb_argument(fcinfo, 2);

	check_errors(errors);
	raise_kind(422, detail, make_errors(errors, text_argument(fcinfo, 1), detail, 422));
}

/* raise_not_found(what) and raise_not_found(what, id "any") */
Datum
apibase_result_sql_raise_not_found(PG_FUNCTION_ARGS)
{
	char	   *what = text_argument(fcinfo, 0);
	char	   *id = NULL;

	if (PG_NARGS() > 1 && !PG_ARGISNULL(1))
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(get_fn_expr_argtype(fcinfo->flinfo, 1), &output, &is_varlena);
		id = OidOutputFunctionCall(output, PG_GETARG_DATUM(1));
	}
	raise_kind(404, psprintf("%s%s%s was not found", what ? what : "it", id ? " " : "", id ? id : ""), NULL);
}

/* raise_conflict(detail, pointer) */
Datum
apibase_result_sql_raise_conflict(PG_FUNCTION_ARGS)
{
	char	   *detail = text_argument(fcinfo, 0);

	raise_kind(409, detail, make_errors(NULL, text_argument(fcinfo, 1), detail, 409));
}

/* raise_unauthorized(detail) */
Datum
apibase_result_sql_raise_unauthorized(PG_FUNCTION_ARGS)
{
	raise_kind(401, text_argument(fcinfo, 0), NULL);
}

/* raise_forbidden(detail) */
Datum
apibase_result_sql_raise_forbidden(PG_FUNCTION_ARGS)
{
	raise_kind(403, text_argument(fcinfo, 0), NULL);
}

/* raise_precondition(detail) */
Datum
apibase_result_sql_raise_precondition(PG_FUNCTION_ARGS)
{
	raise_kind(412, text_argument(fcinfo, 0), NULL);
}

/* raise_timeout(detail) */
Datum
apibase_result_sql_raise_timeout(PG_FUNCTION_ARGS)
{
	raise_kind(504, text_argument(fcinfo, 0), NULL);
}

/* raise_unavailable(detail, retry_after): in seconds, rounded up, as the header Retry-After has it */
Datum
apibase_result_sql_raise_unavailable(PG_FUNCTION_ARGS)
{
	Jsonb	   *problem = apibase_problem_make(503, 0, text_argument(fcinfo, 0), NULL);
	JsonbParseState *state = NULL;

	if (!PG_ARGISNULL(1))
	{
		int64		microseconds = apibase_interval_microseconds(PG_GETARG_INTERVAL_P(1));

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		problem_push_integer(&state, "retry_after", (microseconds + USECS_PER_SEC - 1) / USECS_PER_SEC);
		problem = problem_merge(problem, problem_end_object(&state));
	}
	apibase_problem_raise(problem);
}
