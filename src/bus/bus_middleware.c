/*-------------------------------------------------------------------------
 *
 * bus_middleware.c
 *	  Middleware that comes with the extension.
 *
 *	middleware_validation		before: the payload satisfies a specification
 *	middleware_authorization	before: the caller has one of these roles, and these claims
 *	middleware_logging			around: a line in the server's log about each dispatch
 *
 * They are functions like any other middleware, used with use_middleware() and
 * told by its config what to do.  Their config is the same in all calls from one
 * use, so what was made of it is kept with the caller's lookup information.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_impl.h"
#include "context/context.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/uuid.h"
#include "decorate/decorate.h"
#include "spec/spec.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_middleware_validation);
PG_FUNCTION_INFO_V1(apibase_bus_sql_middleware_authorization);
PG_FUNCTION_INFO_V1(apibase_bus_sql_middleware_logging);

/* Of bus_layers.c: dispatch_next(). */
extern Datum apibase_bus_sql_dispatch_next(PG_FUNCTION_ARGS);

/* In the order of the SQL functions. */
enum
{
	ARG_DISPATCH,
	ARG_PAYLOAD,
	ARG_CONFIG,
};

#define SQLSTATE_UNAUTHORIZED	MAKE_SQLSTATE('P', 'T', '4', '0', '1')
#define SQLSTATE_FORBIDDEN		MAKE_SQLSTATE('P', 'T', '4', '0', '3')
#define SQLSTATE_INVALID		MAKE_SQLSTATE('P', 'T', '4', '2', '2')

/* ---------- config ---------- */

/* What is made of a config. */
typedef struct Maker
{
	const char *function;		/* of SQL */
	void	   *(*make) (Jsonb *config);	/* in the current context; raises errors for what is not valid */
	const char *example;
} Maker;

typedef struct Prepared
{
	Jsonb	   *config;			/* a copy */
	void	   *made;
} Prepared;

/* A member of the config; NULL where there is none or it is null. */
static JsonbValue *
member(Jsonb *config, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&config->root, name, strlen(name), NULL);

	return value != NULL && value->type == jbvNull ? NULL : value;
}

static void
pg_attribute_noreturn()
invalid_member(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is missing, or of a wrong kind", name)));
}

/* Make it; what is wrong with a config is not the fault of who sends a message. */
static void *
make(const Maker *maker, Jsonb *config)
{
	MemoryContext context = CurrentMemoryContext;
	void	   *made = NULL;

	PG_TRY();
	{
		made = maker->make(config);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		switch (ERRCODE_TO_CATEGORY(geterrcode()))
		{
			case ERRCODE_OPERATOR_INTERVENTION:
			case ERRCODE_INSUFFICIENT_RESOURCES:
				PG_RE_THROW();
		}
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_HANDLER_INVALID),
				 errmsg("the config of %s is not valid: %s", maker->function, error->message),
				 errhint("It must be like %s.", maker->example)));
	}
	PG_END_TRY();
	return made;
}

/* What is made of the config of this call; once, and again if the config is another. */
static void *
prepare(FunctionCallInfo fcinfo, const Maker *maker)
{
	Prepared   *prepared = fcinfo->flinfo->fn_extra;
	MemoryContext context;
	MemoryContext old;
	Jsonb	   *config;

	/* to be strict would be to let everything through */
	if (PG_ARGISNULL(ARG_PAYLOAD) || PG_ARGISNULL(ARG_CONFIG))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("payload and config of %s must not be null", maker->function)));
	config = PG_GETARG_JSONB_P(ARG_CONFIG);
	if (prepared != NULL && VARSIZE(prepared->config) == VARSIZE(config) &&
		memcmp(prepared->config, config, VARSIZE(config)) == 0)
		return prepared->made;

	context = AllocSetContextCreate(CurrentMemoryContext, "apibase middleware", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	prepared = palloc(sizeof(Prepared));
	prepared->config = palloc(VARSIZE(config));
	memcpy(prepared->config, config, VARSIZE(config));
	prepared->made = make(maker, prepared->config);
	MemoryContextSwitchTo(old);

	/* an earlier one may be in use further out, and goes with the caller */
	MemoryContextSetParent(context, fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = prepared;
	return prepared->made;
}

/* ---------- validation ---------- */

typedef struct Validation
{
	ApibaseSpecJsonb *test;
	Datum		text;			/* of the specification */
} Validation;

static void *
make_validation(Jsonb *config)
{
	Validation *validation = palloc(sizeof(Validation));
	JsonbValue *specification = JB_ROOT_IS_OBJECT(config) ? member(config, "specification") : NULL;
	ApibaseSpecNode *node;
	StringInfoData text;

	if (specification == NULL)
		invalid_member("specification");
	if (specification->type == jbvString)
		node = apibase_spec_read(pnstrdup(specification->val.string.val, specification->val.string.len));
	else
		node = apibase_spec_from_jsonb(JsonbValueToJsonb(specification));
	if (apibase_spec_encode(node)->nparams > 0)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_UNBOUND_PARAMETER),
				 errmsg("the specification has parameters")));
	validation->test = apibase_spec_jsonb_prepare(node);
	initStringInfo(&text);
	apibase_spec_append_text(&text, node);
	validation->text = CStringGetTextDatum(text.data);
	return validation;
}

/* The JSON Pointer (RFC 6901) of a field, given as specifications write it; "" for the whole document. */
static char *
pointer_of(const char *field)
{
	StringInfoData pointer;
	ListCell   *lc;

	initStringInfo(&pointer);
	foreach(lc, field ? apibase_spec_parse_path(field, true) : NIL)
	{
		const ApibaseSpecStep *step = lfirst(lc);

		if (step->name)
			apibase_problem_append_pointer(&pointer, step->name);
		else
			appendStringInfo(&pointer, "/%d", step->index);
	}
	return pointer.data;
}

/* The clauses that a payload does not satisfy, as spec_explain() finds them; in the current context. */
static Jsonb *
failures(Datum payload, Datum text)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[2] = {JSONBOID, TEXTOID};
	Datum		values[2] = {payload, text};
	JsonbParseState *state = NULL;
	MemoryContext old;
	Jsonb	   *errors;

	SPI_connect();
	if (SPI_execute_with_args("SELECT clause, field FROM apibase.spec_explain($1, $2::apibase.spec)",
							  2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "apibase.spec_explain failed");
	old = MemoryContextSwitchTo(context);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *clause = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *field = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);

		apibase_problem_push_item(&state, pointer_of(field), psprintf("does not satisfy %s", clause),
								  pstrdup(unpack_sql_state(SQLSTATE_INVALID)));
	}
	errors = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	MemoryContextSwitchTo(old);
	SPI_finish();
	return errors;
}

/* middleware_validation(dispatch, payload, config) */
Datum
apibase_bus_sql_middleware_validation(PG_FUNCTION_ARGS)
{
	static const Maker maker = {"middleware_validation", make_validation, "{\"specification\": \"quantity > 0\"}"};
	Validation *validation = prepare(fcinfo, &maker);
	Jsonb	   *payload = PG_GETARG_JSONB_P(ARG_PAYLOAD);

	if (!apibase_spec_jsonb_test(validation->test, payload))
		apibase_problem_raise(apibase_problem_make(422, SQLSTATE_INVALID, "the input is not valid",
												   failures(PointerGetDatum(payload), validation->text)));
	PG_RETURN_VOID();
}

/* ---------- authorization ---------- */

typedef struct Authorization
{
	List	   *roles;			/* of char *; NIL: any */
	Jsonb	   *claims;			/* an object, empty: any; NULL: none are asked for */
} Authorization;

static void *
make_authorization(Jsonb *config)
{
	Authorization *authorization = palloc0(sizeof(Authorization));
	JsonbValue *claims;

	if (!JB_ROOT_IS_OBJECT(config) || (member(config, "roles") == NULL && member(config, "claims") == NULL))
		invalid_member("roles or claims");
	authorization->roles = apibase_option_texts(config, "roles");
	if (member(config, "roles") != NULL && authorization->roles == NIL)
		invalid_member("roles");
	claims = member(config, "claims");
	if (claims == NULL)
		return authorization;
	if (claims->type != jbvBinary || !JsonContainerIsObject(claims->val.binary.data))
		invalid_member("claims");
	authorization->claims = JsonbValueToJsonb(claims);
	return authorization;
}

static bool
has_role(const List *roles)
{
	ListCell   *lc;

	foreach(lc, roles)
	{
		Oid			role = get_role_oid(lfirst(lc), true);

		if (OidIsValid(role) && is_member_of_role(GetUserId(), role))
			return true;
	}
	return roles == NIL;
}

static bool
has_claims(Jsonb *claims, Jsonb *asked)
{
	JsonbIterator *have = JsonbIteratorInit(&claims->root);
	JsonbIterator *want = JsonbIteratorInit(&asked->root);

	return JsonbDeepContains(&have, &want);
}

/* middleware_authorization(dispatch, payload, config) */
Datum
apibase_bus_sql_middleware_authorization(PG_FUNCTION_ARGS)
{
	static const Maker maker = {"middleware_authorization", make_authorization,
	"{\"roles\": [\"clerk\"], \"claims\": {\"department\": \"sales\"}}"};
	Authorization *authorization = prepare(fcinfo, &maker);
	Jsonb	   *claims;

	if (authorization->claims != NULL)
	{
		claims = apibase_context_document(APIBASE_CONTEXT_CLAIMS);
		if (claims == NULL)
			ereport(ERROR,
					(errcode(SQLSTATE_UNAUTHORIZED),
					 errmsg("authentication is required")));
		if (!has_claims(claims, authorization->claims))
			ereport(ERROR,
					(errcode(SQLSTATE_FORBIDDEN),
					 errmsg("this is not allowed")));
	}
	if (!has_role(authorization->roles))
		ereport(ERROR,
				(errcode(SQLSTATE_FORBIDDEN),
				 errmsg("this is not allowed")));
	PG_RETURN_VOID();
}

/* ---------- logging ---------- */

static const char *const level_names[] = {
	"log", "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", NULL
};
static const int levels[] = {
	LOG_SERVER_ONLY, DEBUG5, DEBUG4, DEBUG3, DEBUG2, DEBUG1, INFO, NOTICE, WARNING
};

typedef struct Logging
{
	int			level;			/* of elog.h */
	bool		payload;
} Logging;

static void *
make_logging(Jsonb *config)
{
	Logging    *logging = palloc(sizeof(Logging));

	if (!JB_ROOT_IS_OBJECT(config))
		invalid_member("the object");
	logging->level = levels[apibase_option_choice(config, "level", 0, level_names)];
	logging->payload = apibase_option_bool(config, "payload", false);
	return logging;
}

static void
write_line(const Logging *logging, ApibaseFrame *frame, Jsonb *payload, Datum datum, double milliseconds)
{
	ApibaseResult result;
	StringInfoData line;

	apibase_result_read(datum, &result);
	initStringInfo(&line);
	appendStringInfo(&line, "%s %s: %.3f ms, ", bus_kind_word(frame->kind), frame->name, milliseconds);
	if (result.ok)
		appendStringInfoString(&line, result.replayed ? "ok, replayed" : "ok");
	else
		appendStringInfo(&line, "SQLSTATE %s, status %d%s", unpack_sql_state(apibase_problem_sqlstate(result.error)),
						 apibase_problem_status(result.error), result.replayed ? ", replayed" : "");
	appendStringInfo(&line, ", id %s, correlation id ", apibase_uuid_text(apibase_frame_id(frame)));
	/* what comes from outside is a JSON string, so that it cannot break the line */
	escape_json(&line, apibase_frame_correlation_id(frame));
	if (logging->payload)
	{
		appendStringInfoString(&line, ", payload ");
		JsonbToCString(&line, &payload->root, VARSIZE(payload));
	}
	ereport(logging->level, (errmsg_internal("%s", line.data), errhidestmt(true), errhidecontext(true)));
}

/* middleware_logging(dispatch, payload, config) */
Datum
apibase_bus_sql_middleware_logging(PG_FUNCTION_ARGS)
{
	static const Maker maker = {"middleware_logging", make_logging, "{\"level\": \"log\", \"payload\": false}"};
	Logging    *logging = prepare(fcinfo, &maker);
	ApibaseFrame *frame = apibase_frame_current();
	instr_time	start;
	instr_time	end;
	Datum		result;

	INSTR_TIME_SET_CURRENT(start);
	result = DirectFunctionCall1(apibase_bus_sql_dispatch_next, (Datum) 0);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	write_line(logging, frame, PG_GETARG_JSONB_P(ARG_PAYLOAD), result, INSTR_TIME_GET_MILLISEC(end));
	PG_RETURN_DATUM(result);
}
