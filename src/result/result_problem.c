/*-------------------------------------------------------------------------
 *
 * result_problem.c
 *	  Problem documents: made of errors, raised as errors.
 *
 * A problem that is made of an error follows from its SQLSTATE, its message
 * and the names in its fields.  A problem that is raised has its SQLSTATE in
 * code, and its detail is the message.  What does not follow from these two,
 * such as errors, is in the DETAIL of the error, as a JSON object: a merge
 * patch (RFC 7396, of one level) from the problem that would be made of
 * SQLSTATE and message to the one that was raised.  So who catches the error,
 * here or with GET STACKED DIAGNOSTICS, makes an equal problem of it.
 *
 * The DETAIL of an internal error is believed only if its message is our own,
 * which raised problems have: another could be anything, such as a document
 * from another server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "result/result_impl.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* ---------- building documents ---------- */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	name = {.type = jbvString};

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
}

void
problem_push_value(JsonbParseState **state, const char *key, JsonbValue *value)
{
	push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, value);
}

void
problem_push_null(JsonbParseState **state, const char *key)
{
	JsonbValue	null = {.type = jbvNull};

	problem_push_value(state, key, &null);
}

void
problem_push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	text = {.type = jbvString};

	if (value == NULL)
		return;
	text.val.string.val = unconstify(char *, value);
	text.val.string.len = strlen(value);
	problem_push_value(state, key, &text);
}

void
problem_push_integer(JsonbParseState **state, const char *key, int64 value)
{
	JsonbValue	number = {.type = jbvNumeric};

	number.val.numeric = int64_to_numeric(value);
	problem_push_value(state, key, &number);
}

void
problem_push_json(JsonbParseState **state, const char *key, Jsonb *value)
{
	JsonbValue	json;

	if (value == NULL)
		return;
	if (!JB_ROOT_IS_SCALAR(value) || !JsonbExtractScalar(&value->root, &json))
		JsonbToJsonbValue(value, &json);
	problem_push_value(state, key, &json);
}

void
apibase_problem_push_item(JsonbParseState **state, const char *pointer, const char *detail, const char *code)
{
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	problem_push_text(state, "pointer", pointer);
	problem_push_text(state, "detail", detail);
	problem_push_text(state, "code", code);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

void
apibase_problem_append_pointer(StringInfo pointer, const char *name)
{
	appendStringInfoChar(pointer, '/');
	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '~')
			appendStringInfoString(pointer, "~0");
		else if (*c == '/')
			appendStringInfoString(pointer, "~1");
		else
			appendStringInfoChar(pointer, *c);
	}
}

static JsonbValue *
get_member(Jsonb *object, const char *key)
{
	return JB_ROOT_IS_OBJECT(object) ? getKeyJsonValueFromContainer(&object->root, key, strlen(key), NULL) : NULL;
}

/* The members of an object that another lacks, NULL: all; without nulls. */
static void
push_members(JsonbParseState **state, Jsonb *object, Jsonb *without)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type == jbvNull ||
			(without && getKeyJsonValueFromContainer(&without->root, key.val.string.val, key.val.string.len, NULL)))
			continue;
		pushJsonbValue(state, WJB_KEY, &key);
		pushJsonbValue(state, WJB_VALUE, &value);
	}
}

Jsonb *
problem_end_object(JsonbParseState **state)
{
	return JsonbValueToJsonb(pushJsonbValue(state, WJB_END_OBJECT, NULL));
}

Jsonb *
problem_merge(Jsonb *object, Jsonb *patch)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_members(&state, object, patch);
	push_members(&state, patch, NULL);
	return problem_end_object(&state);
}

/* The patch that makes the second of the first; NULL if they are equal.  Neither has a member that is null. */
static Jsonb *
make_patch(Jsonb *from, Jsonb *to)
{
	JsonbParseState *state = NULL;
	JsonbValue	null = {.type = jbvNull};
	JsonbIterator *it = JsonbIteratorInit(&to->root);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	Jsonb	   *patch;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		JsonbValue *old;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &value, true);
		old = getKeyJsonValueFromContainer(&from->root, key.val.string.val, key.val.string.len, NULL);
		if (old && compareJsonbContainers(&JsonbValueToJsonb(old)->root, &JsonbValueToJsonb(&value)->root) == 0)
			continue;
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	it = JsonbIteratorInit(&from->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token == WJB_KEY &&
			getKeyJsonValueFromContainer(&to->root, key.val.string.val, key.val.string.len, NULL) == NULL)
		{
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, &null);
		}
	}
	patch = problem_end_object(&state);
	return JB_ROOT_COUNT(patch) > 0 ? patch : NULL;
}

/* ---------- reading documents ---------- */

/* A member that is a string, palloc'd; NULL if there is none. */
static char *
get_text(Jsonb *problem, const char *key)
{
	JsonbValue *value = get_member(problem, key);

	return value && value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* The SQLSTATE that the problem can be raised with; 0 if its code is none. */
static int
get_sqlstate(Jsonb *problem)
{
	char	   *code = get_text(problem, "code");

	/* PGRST has a message of a form of its own. */
	return code && strcmp(code, "PGRST") != 0 ? problem_parse_sqlstate(code) : 0;
}

/* The member status; 0 unless it is the status of an error. */
static int
get_status(Jsonb *problem)
{
	JsonbValue *value = get_member(problem, "status");
	char	   *text;

	if (value == NULL || value->type != jbvNumeric)
		return 0;
	text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (strlen(text) != 3 || strspn(text, "0123456789") != 3)
		return 0;
	return problem_status_is_error(atoi(text)) ? atoi(text) : 0;
}

int
apibase_problem_status(Jsonb *problem)
{
	int			status = get_status(problem);
	int			sqlstate = get_sqlstate(problem);

	if (status != 0)
		return status;
	return sqlstate != 0 ? apibase_sqlstate_status(sqlstate) : 500;
}

/* A code of the application's own may look like the SQLSTATE of an internal error; its status tells. */
int
apibase_problem_sqlstate(Jsonb *problem)
{
	int			status = apibase_problem_status(problem);
	int			sqlstate = get_sqlstate(problem);

	if (sqlstate == 0 || (apibase_sqlstate_is_internal(sqlstate) && apibase_sqlstate_status(sqlstate) != status))
		return problem_status_sqlstate(status);
	return sqlstate;
}

/*
 * RFC 9457, section 3.1: a member of the standard whose value is of a wrong
 * type counts as not given.
 */
Jsonb *
apibase_problem_normalize(Jsonb *problem)
{
	JsonbParseState *state = NULL;
	int			status = apibase_problem_status(problem);
	JsonbValue *errors;

	if (!JB_ROOT_IS_OBJECT(problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a problem must be a JSON object"),
				 errhint("Make problems with apibase.problem().")));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	problem_push_integer(&state, "status", status);
	if (get_text(problem, "type") == NULL)
		problem_push_text(&state, "type", problem_status_type(status));
	if (get_text(problem, "title") == NULL)
		problem_push_text(&state, "title", problem_status_title(status));
	if (get_member(problem, "code") == NULL || get_member(problem, "code")->type == jbvNull)
		problem_push_text(&state, "code", problem_sqlstate_text(problem_status_sqlstate(status)));
	if (get_text(problem, "detail") == NULL)
		problem_push_null(&state, "detail");
	if (get_text(problem, "instance") == NULL)
		problem_push_null(&state, "instance");
	errors = get_member(problem, "errors");
	if (errors && (errors->type != jbvBinary || !JsonContainerIsArray(errors->val.binary.data)))
		problem_push_null(&state, "errors");
	return problem_merge(problem, problem_end_object(&state));
}

/* ---------- problems of errors ---------- */

/* The object that the DETAIL of a raised problem is; NULL if it is none.  Does not raise what is wrong with the text. */
static Jsonb *
read_patch(const char *detail)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile patch = NULL;

	if (detail == NULL || detail[0] != '{')
		return NULL;
	PG_TRY();
	{
		patch = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(detail)));
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return patch;
}

/* The members detail and errors of a violated constraint. */
static void
push_violation(JsonbParseState **state, const ErrorData *error)
{
	ProblemViolation violation;
	StringInfoData detail;
	ListCell   *lc;

	problem_violation(error, &violation);
	initStringInfo(&detail);
	if (list_length(violation.columns) > 1)
		appendStringInfoString(&detail, "the combination of ");
	foreach(lc, violation.columns)
	{
		int			i = foreach_current_index(lc);

		appendStringInfo(&detail, "%s%s",
						 i == 0 ? "" : i < list_length(violation.columns) - 1 ? ", " : " and ", (char *) lfirst(lc));
	}
	if (violation.columns == NIL)
		appendStringInfoString(&detail, violation.pointless ? "this" : "a value");
	appendStringInfo(&detail, " %s", violation.what);
	problem_push_text(state, "detail", detail.data);
	if (violation.pointless)
		return;

	push_key(state, "errors");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, violation.columns)
	{
		StringInfoData pointer;

		initStringInfo(&pointer);
		apibase_problem_append_pointer(&pointer, lfirst(lc));
		apibase_problem_push_item(state, pointer.data, violation.what, problem_sqlstate_text(error->sqlerrcode));
	}
	if (violation.columns == NIL)
		apibase_problem_push_item(state, "", violation.what, problem_sqlstate_text(error->sqlerrcode));
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* Message and, where it is a text, DETAIL of an error that an application raised. */
static char *
application_detail(const ErrorData *error, Jsonb *patch)
{
	const char *message = error->message ? error->message : "";
	size_t		length = strlen(message);

	if (patch || error->detail == NULL || error->detail[0] == '\0')
		return pstrdup(message);
	if (length == 0)
		return pstrdup(error->detail);
	return psprintf("%s%s %s", message, strchr(".!?:", message[length - 1]) ? "" : ".", error->detail);
}

/* Whether an internal error is a problem that was made of one, raised again. */
static bool
is_raised_again(const ErrorData *error)
{
	return error->message && strcmp(error->message, problem_sqlstate(error->sqlerrcode).sentence) == 0;
}

Jsonb *
apibase_problem_of_error(const ErrorData *error, const char *instance)
{
	JsonbParseState *state = NULL;
	ProblemSqlstate sqlstate = problem_sqlstate(error->sqlerrcode);
	const char *title = problem_status_title(sqlstate.status);
	Jsonb	   *patch = sqlstate.internal && !is_raised_again(error) ? NULL : read_patch(error->detail);
	Jsonb	   *problem;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	problem_push_text(&state, "type", problem_status_type(sqlstate.status));
	problem_push_text(&state, "title", title);
	problem_push_integer(&state, "status", sqlstate.status);
	problem_push_text(&state, "code", problem_sqlstate_text(error->sqlerrcode));
	problem_push_text(&state, "instance", instance);
	if (sqlstate.sentence)
		problem_push_text(&state, "detail", sqlstate.sentence);
	else if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		push_violation(&state, error);
	else
	{
		char	   *detail = sqlstate.application ? application_detail(error, patch) : error->message;

		/* A problem without detail is raised with its title. */
		if (detail && detail[0] != '\0' && strcmp(detail, title) != 0)
			problem_push_text(&state, "detail", detail);
		if (sqlstate.application && error->hint && error->hint[0] != '\0')
			problem_push_text(&state, "hint", error->hint);
	}
	problem = problem_end_object(&state);
	return patch ? apibase_problem_normalize(problem_merge(problem, patch)) : problem;
}

void
apibase_problem_log(const ErrorData *error, const char *instance)
{
	if (!apibase_sqlstate_is_internal(error->sqlerrcode) || is_raised_again(error))
		return;
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("internal error%s%s%s: %s", instance ? " (" : "", instance ? instance : "", instance ? ")" : "",
					error->message ? error->message : "missing error text"),
			 error->detail_log || error->detail ?
			 errdetail_internal("%s", error->detail_log ? error->detail_log : error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
}

Jsonb *
apibase_problem_of_caught(ErrorData *error, const char *instance)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_QUERY_CANCELED:
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CRASH_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
		case ERRCODE_DATABASE_DROPPED:
			ReThrowError(error);
		default:
			apibase_problem_log(error, instance);
			return apibase_problem_of_error(error, instance);
	}
}

Jsonb *
apibase_problem_make(int status, int sqlstate, const char *detail, Jsonb *errors)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	problem_push_integer(&state, "status", status);
	if (sqlstate != 0)
		problem_push_text(&state, "code", problem_sqlstate_text(sqlstate));
	problem_push_text(&state, "detail", detail);
	problem_push_json(&state, "errors", errors);
	return apibase_problem_normalize(problem_end_object(&state));
}

void
apibase_problem_raise(Jsonb *problem)
{
	Jsonb	   *normal = apibase_problem_normalize(problem);
	Jsonb	   *patch;
	ErrorData	error = {
		.sqlerrcode = apibase_problem_sqlstate(normal),
		.message = get_text(normal, "detail"),
		.hint = get_text(normal, "hint"),
	};

	if (apibase_sqlstate_is_internal(error.sqlerrcode))
		error.message = pstrdup(problem_sqlstate(error.sqlerrcode).sentence);
	else if (error.message == NULL || error.message[0] == '\0')
		error.message = get_text(normal, "title");
	patch = make_patch(apibase_problem_of_error(&error, NULL), normal);
	ereport(ERROR,
			(errcode(error.sqlerrcode),
			 errmsg_internal("%s", error.message),
			 patch ? errdetail_internal("%s", JsonbToCString(NULL, &patch->root, VARSIZE(patch))) : 0,
			 error.hint ? errhint("%s", error.hint) : 0));
}
