/*-------------------------------------------------------------------------
 *
 * context.c
 *	  The request that the current transaction serves: method, path, headers,
 *	  cookies and claims, as PostgREST puts them into settings.
 *
 * PostgREST runs one request in one transaction, and begins it by setting
 *
 *	request.method, request.path		text
 *	request.headers, request.cookies, request.jwt.claims		JSON objects
 *
 * for the length of the transaction.  Any other caller can do the same with
 * set_config(name, value, true).  Afterwards they are '', not NULL, on the
 * connection: the empty string means that there is no such setting.
 *
 * A JSON object is parsed once a transaction, not once a call.  The parsed
 * form is kept with the text that it was made from, and used as long as the
 * setting still has that very text, so a changed setting is never missed,
 * however it was changed.  It lives in a child of the transaction's memory
 * context: at most one text and one parsed form of each setting are kept, and
 * nothing after the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "context/context.h"
#include "core/errors.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef struct Document
{
	const char *setting;		/* its name */
	MemoryContext cxt;			/* holds what follows; NULL: nothing is kept */
	char	   *text;
	Jsonb	   *parsed;
	bool		mixed_case;		/* a key is not in lower case */
} Document;

static Document documents[APIBASE_CONTEXT_NDOCUMENTS] = {
	[APIBASE_CONTEXT_HEADERS] = {"request.headers"},
	[APIBASE_CONTEXT_COOKIES] = {"request.cookies"},
	[APIBASE_CONTEXT_CLAIMS] = {"request.jwt.claims"},
};

PG_FUNCTION_INFO_V1(apibase_context_sql_method);
PG_FUNCTION_INFO_V1(apibase_context_sql_path);
PG_FUNCTION_INFO_V1(apibase_context_sql_headers);
PG_FUNCTION_INFO_V1(apibase_context_sql_header);
PG_FUNCTION_INFO_V1(apibase_context_sql_cookies);
PG_FUNCTION_INFO_V1(apibase_context_sql_cookie);
PG_FUNCTION_INFO_V1(apibase_context_sql_claims);
PG_FUNCTION_INFO_V1(apibase_context_sql_claim);

/* The text of a setting, not copied; NULL when there is none or it is empty. */
static const char *
setting_text(const char *name)
{
	const char *text = GetConfigOption(name, true, false);

	return (text && text[0] != '\0') ? text : NULL;
}

/* Raise PB002 for a setting. */
static void
malformed_setting(const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_MALFORMED_REQUEST_SETTING),
			 errmsg("malformed request setting \"%s\"", name),
			 errdetail_internal("%s", detail),
			 errhint("The setting must hold a JSON object, or be empty.")));
}

/*
 * Parse the text of a setting, in the current memory context.  What the JSON
 * parser raises becomes the detail of PB002; any other error, such as being
 * cancelled or out of memory, passes as it is.
 */
static Jsonb *
parse_document(const char *name, const char *text)
{
	MemoryContext cxt = CurrentMemoryContext;
	Jsonb	   *parsed = NULL;

	PG_TRY();
	{
		parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		malformed_setting(name, error->detail ? error->detail : error->message);
	}
	PG_END_TRY();

	if (!JB_ROOT_IS_OBJECT(parsed))
		malformed_setting(name, "It is JSON, but not an object.");
	return parsed;
}

/* The memory of a document is going, with its transaction or because it is replaced. */
static void
forget_document(void *arg)
{
	Document   *doc = arg;

	doc->cxt = NULL;
	doc->text = NULL;
	doc->parsed = NULL;
}

/* Whether a key of the object has an upper-case letter of ASCII. */
static bool
has_upper_case_key(Jsonb *object)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		for (int i = 0; token == WJB_KEY && i < value.val.string.len; i++)
		{
			if (value.val.string.val[i] >= 'A' && value.val.string.val[i] <= 'Z')
				return true;
		}
	}
	return false;
}

/* Parse the text of a setting and keep the result until the transaction ends. */
static void
keep_document(Document *doc, const char *text)
{
	Jsonb	   *parsed = parse_document(doc->setting, text);
	MemoryContext cxt;
	MemoryContextCallback *callback;

	cxt = AllocSetContextCreate(TopTransactionContext, "apibase request setting",
								ALLOCSET_SMALL_SIZES);
	callback = MemoryContextAlloc(cxt, sizeof(MemoryContextCallback));
	callback->func = forget_document;
	callback->arg = doc;
	doc->mixed_case = has_upper_case_key(parsed);
	doc->text = MemoryContextStrdup(cxt, text);
	doc->parsed = MemoryContextAlloc(cxt, VARSIZE(parsed));
	memcpy(doc->parsed, parsed, VARSIZE(parsed));
	doc->cxt = cxt;
	MemoryContextRegisterResetCallback(cxt, callback);
	pfree(parsed);
}

Jsonb *
apibase_context_document(ApibaseContextDocument which)
{
	Document   *doc = &documents[which];
	const char *text = setting_text(doc->setting);

	if (doc->cxt)
	{
		if (text && strcmp(text, doc->text) == 0)
			return doc->parsed;
		MemoryContextDelete(doc->cxt);	/* and forget_document */
	}
	if (text == NULL)
		return NULL;
	keep_document(doc, text);
	return doc->parsed;
}

/* A JSON value as text, as ->> gives it: strings bare, null as NULL. */
static char *
json_value_text(JsonbValue *value)
{
	Jsonb	   *json;

	if (value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	json = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* The value of a header whose name differs in case only, or NULL. */
static JsonbValue *
find_header_any_case(Jsonb *headers, const char *name)
{
	JsonbIterator *it = JsonbIteratorInit(&headers->root);
	JsonbValue *value = palloc(sizeof(JsonbValue));
	int			len = strlen(name);
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, value, true)) != WJB_DONE)
	{
		bool		found = (token == WJB_KEY &&
							 value->val.string.len == len &&
							 pg_strncasecmp(value->val.string.val, name, len) == 0);

		if (found)
		{
			(void) JsonbIteratorNext(&it, value, true);
			return value;
		}
	}
	return NULL;
}

/*
 * PostgREST writes the names of headers in lower case, so that is looked up
 * first; other callers may keep what the client sent.
 */
char *
apibase_context_header(const char *name)
{
	Jsonb	   *headers = apibase_context_document(APIBASE_CONTEXT_HEADERS);
	JsonbValue *value;
	char	   *lower;

	if (headers == NULL)
		return NULL;
	lower = asc_tolower(name, strlen(name));
	value = getKeyJsonValueFromContainer(&headers->root, lower, strlen(lower), NULL);
	if (value == NULL && documents[APIBASE_CONTEXT_HEADERS].mixed_case)
		value = find_header_any_case(headers, lower);
	return value ? json_value_text(value) : NULL;
}

/* Return a palloc'd string as text, NULL as NULL. */
static Datum
return_text(FunctionCallInfo fcinfo, const char *string)
{
	if (string == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(string));
}

/* Return a copy of a document: what the caller holds outlives a change of the setting. */
static Datum
return_document(FunctionCallInfo fcinfo, ApibaseContextDocument which)
{
	Jsonb	   *doc = apibase_context_document(which);
	Jsonb	   *copy;

	if (doc == NULL)
		PG_RETURN_NULL();
	copy = palloc(VARSIZE(doc));
	memcpy(copy, doc, VARSIZE(doc));
	PG_RETURN_JSONB_P(copy);
}

/* apibase.request_method() */
Datum
apibase_context_sql_method(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, setting_text("request.method"));
}

/* apibase.request_path() */
Datum
apibase_context_sql_path(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, setting_text("request.path"));
}

/* apibase.request_headers() */
Datum
apibase_context_sql_headers(PG_FUNCTION_ARGS)
{
	return return_document(fcinfo, APIBASE_CONTEXT_HEADERS);
}

/* apibase.request_header(name) */
Datum
apibase_context_sql_header(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, apibase_context_header(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* apibase.request_cookies() */
Datum
apibase_context_sql_cookies(PG_FUNCTION_ARGS)
{
	return return_document(fcinfo, APIBASE_CONTEXT_COOKIES);
}

/* apibase.request_cookie(name): names of cookies are case-sensitive */
Datum
apibase_context_sql_cookie(PG_FUNCTION_ARGS)
{
	Jsonb	   *cookies = apibase_context_document(APIBASE_CONTEXT_COOKIES);
	text	   *name = PG_GETARG_TEXT_PP(0);
	JsonbValue *value;

	if (cookies == NULL)
		PG_RETURN_NULL();
	value = getKeyJsonValueFromContainer(&cookies->root, VARDATA_ANY(name),
										 VARSIZE_ANY_EXHDR(name), NULL);
	return return_text(fcinfo, value ? json_value_text(value) : NULL);
}

/* apibase.request_claims() */
Datum
apibase_context_sql_claims(PG_FUNCTION_ARGS)
{
	return return_document(fcinfo, APIBASE_CONTEXT_CLAIMS);
}

/* apibase.request_claim(variadic path): what claims #>> path gives */
Datum
apibase_context_sql_claim(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, 2);
	Jsonb	   *claims = apibase_context_document(APIBASE_CONTEXT_CLAIMS);
	Datum		result;

	if (claims == NULL)
		PG_RETURN_NULL();
	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, NULL, NULL);
	call->args[0].value = JsonbPGetDatum(claims);
	call->args[0].isnull = false;
	call->args[1].value = PG_GETARG_DATUM(0);
	call->args[1].isnull = false;
	result = jsonb_extract_path_text(call);
	if (call->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
