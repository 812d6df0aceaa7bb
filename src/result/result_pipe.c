/*-------------------------------------------------------------------------
 *
 * result_pipe.c
 *	  Functions over results: result_map(), result_bind(), result_map_err(), pipe(), pipe_all().
 *
 * All of them run steps.  A step is a function of one argument, and what goes
 * from step to step is either a value of an SQL type, or the document in a
 * result, whose type nobody has declared.  A value is cast to the argument if
 * an implicit cast does that; a document is read by result_payload.c.
 *
 * Everything that can be known of the steps is checked before the first one runs.
 * A step runs in a subtransaction: what it raises becomes a problem, and what
 * it has done is undone.  Steps before it stay done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "core/subxact.h"
#include "core/uuid.h"
#include "result/result_call.h"
#include "result/result_impl.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/expandeddatum.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

/* In the place of a type: a document of a result. */
#define DOCUMENT InvalidOid

/* What goes from step to step. */
typedef struct PipeValue
{
	Oid			type;			/* or DOCUMENT */
	Datum		value;			/* of a document: jsonb */
	bool		isnull;
	bool		replayed;		/* as in ApibaseResult */
} PipeValue;

/* How a value becomes the argument of a step. */
typedef enum PipeCast
{
	CAST_NONE,
	CAST_READ,					/* of a document */
	CAST_JSON,					/* between json and jsonb */
	CAST_EXPRESSION,
} PipeCast;

typedef struct PipeStep
{
	ApibaseCallable callable;
	int			number;			/* from 1 on; 0: it is no step of a pipeline but the only function */
	int16		typlen;			/* of its argument */
	Oid			from;			/* the type that cast is for */
	PipeCast	cast;
	ExprState  *expression;
	ExprContext *econtext;
} PipeStep;

PG_FUNCTION_INFO_V1(apibase_result_sql_result_map);
PG_FUNCTION_INFO_V1(apibase_result_sql_result_bind);
PG_FUNCTION_INFO_V1(apibase_result_sql_result_map_err);
PG_FUNCTION_INFO_V1(apibase_result_sql_pipe);
PG_FUNCTION_INFO_V1(apibase_result_sql_pipe_all);

/* ---------- checking steps ---------- */

static const char *
type_name(Oid type)
{
	return type == DOCUMENT ? "jsonb" : format_type_be(type);
}

static bool
is_json(Oid type)
{
	return type == JSONBOID || type == JSONOID;
}

static void refuse_step(const PipeStep *step, const char *detail) pg_attribute_noreturn();

static void
refuse_step(const PipeStep *step, const char *detail)
{
	const char *name = format_procedure(step->callable.oid);

	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_PIPELINE_MISMATCH),
			 step->number > 0 ? errmsg("%s cannot be step %d of the pipeline", name, step->number) :
			 errmsg("%s cannot be applied to a result", name),
			 errdetail_internal("%s", detail)));
}

static bool
prepare_expression(PipeStep *step, Oid from, Oid to)
{
	CaseTestExpr *value = makeNode(CaseTestExpr);
	Node	   *cast;

	/* the parser can convert a row only where it sees how it was made */
	if (from == RECORDOID || from == RECORDARRAYOID)
		return false;
	value->typeId = from;
	value->typeMod = -1;
	value->collation = get_typcollation(from);
	cast = coerce_to_target_type(NULL, (Node *) value, from, to, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	if (cast == NULL)
		return false;
	step->cast = CAST_NONE;
	if (cast == (Node *) value || (IsA(cast, RelabelType) && ((RelabelType *) cast)->arg == (Expr *) value))
		return true;
	step->cast = CAST_EXPRESSION;
	step->expression = ExecInitExpr(expression_planner((Expr *) cast), NULL);
	if (step->econtext == NULL)
		step->econtext = CreateStandaloneExprContext();
	return true;
}

/* Find out how the step takes a value of a type; false if it does not. */
static bool
prepare_cast(PipeStep *step, Oid from)
{
	Oid			to = step->callable.argtypes[0];

	step->from = from;
	step->cast = CAST_NONE;
	if (from == to)
		return true;
	if (from == DOCUMENT)
	{
		step->cast = to == JSONBOID ? CAST_NONE : to == JSONOID ? CAST_JSON : CAST_READ;
		return true;
	}
	if (is_json(from) && is_json(to))
	{
		step->cast = CAST_JSON;
		return true;
	}
	return prepare_expression(step, from, to);
}

/* Make a step of a function that is to take a value of a type; false if it does not. */
static bool
prepare_step(PipeStep *step, int number, Oid function, Oid from)
{
	ApibaseCallable *callable = &step->callable;
	Oid			known = from == DOCUMENT ? JSONBOID : from;

	memset(step, 0, sizeof(*step));
	step->number = number;
	apibase_callable_prepare(callable, function, CurrentMemoryContext);
	if (callable->nargs != 1)
		refuse_step(step, psprintf("It takes %d arguments, and must take one.", callable->nargs));
	if (callable->retset)
		refuse_step(step, "It returns a set.");
	if (result_callable_is_polymorphic(callable) && !result_callable_settle(callable, &known))
		return false;
	step->typlen = get_typlen(callable->argtypes[0]);
	return prepare_cast(step, from);
}

/* ---------- running steps ---------- */

/* A step that runs. */
typedef struct StepRun
{
	PipeStep   *step;
	const PipeValue *in;
	PipeValue	argument;		/* what came of in; type of in if it has not come to that */
	PipeValue	out;
	Jsonb	   *problem;		/* the step returned an error */
} StepRun;

static Datum
convert_json(Datum value, Oid to)
{
	if (to == JSONOID)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);

		return CStringGetTextDatum(JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb)));
	}
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(value)));
}

static Jsonb *
null_document(void)
{
	JsonbValue	null = {.type = jbvNull};

	return JsonbValueToJsonb(&null);
}

/* The value as the argument of the step.  Where that raises, *argument is left alone. */
static void
convert(PipeStep *step, const PipeValue *in, PipeValue *argument)
{
	PipeValue	out = *in;

	out.type = step->callable.argtypes[0];
	if (in->type != step->from && !prepare_cast(step, in->type))
		refuse_step(step, psprintf("It takes %s, and is given %s.", type_name(out.type), type_name(in->type)));
	switch (step->cast)
	{
		case CAST_NONE:
			break;
		case CAST_READ:
			out.value = apibase_payload_value(in->isnull ? null_document() : DatumGetJsonbP(in->value),
											  out.type, -1, &out.isnull);
			break;
		case CAST_JSON:
			if (!in->isnull)
				out.value = convert_json(in->value, out.type);
			break;
		case CAST_EXPRESSION:
			step->econtext->caseValue_datum = in->value;
			step->econtext->caseValue_isNull = in->isnull;
			out.value = ExecEvalExpr(step->expression, step->econtext, &out.isnull);
			break;
	}
	/* the step must not change what others may still be given */
	out.value = MakeExpandedObjectReadOnly(out.value, out.isnull, step->typlen);
	*argument = out;
}

/* A result as what goes on to the next step, or as a problem. */
static Jsonb *
open_result(const ApibaseResult *result, PipeValue *value)
{
	value->type = DOCUMENT;
	value->isnull = result->value == NULL;
	value->value = PointerGetDatum(result->value);
	value->replayed = result->replayed;
	return result->ok ? NULL : result->error;
}

/* For apibase_try. */
static void
run_step(void *arg)
{
	StepRun    *run = arg;
	ApibaseCallable *callable = &run->step->callable;
	NullableDatum argument;
	ApibaseResult result;

	convert(run->step, run->in, &run->argument);
	argument.value = run->argument.value;
	argument.isnull = run->argument.isnull;
	run->out.value = apibase_callable_call(callable, &argument, &run->out.isnull);
	run->out.type = callable->rettype;
	run->out.replayed = false;
	if (callable->returns_result)
	{
		apibase_callable_result(callable, run->out.value, run->out.isnull, &result);
		run->problem = open_result(&result, &run->out);
	}
	run->out.replayed |= run->in->replayed;
}

/* The problem that an error is, with an instance by which what the log tells of it is found. */
static Jsonb *
caught_problem(ErrorData *error)
{
	char	   *instance = NULL;

	if (apibase_sqlstate_is_internal(error->sqlerrcode))
	{
		pg_uuid_t	uuid;

		apibase_uuid7(&uuid);
		instance = psprintf("urn:uuid:%s", apibase_uuid_text(&uuid));
	}
	return apibase_problem_of_caught(error, instance);
}

/* Run a step: NULL and what it gives, or the problem.  *argument is what it was given. */
static Jsonb *
try_step(PipeStep *step, const PipeValue *in, PipeValue *argument, PipeValue *out)
{
	StepRun		run = {.step = step, .in = in, .argument = *in};
	ErrorData  *error = apibase_try(run_step, &run);

	*argument = run.argument;
	*out = run.out;
	return error != NULL ? caught_problem(error) : run.problem;
}

/* ---------- results ---------- */

static Jsonb *
value_to_jsonb(const PipeValue *value)
{
	ApibaseToJsonb to;

	apibase_to_jsonb_prepare(&to, value->type == DOCUMENT ? JSONBOID : value->type, CurrentMemoryContext);
	return apibase_to_jsonb(&to, value->value, value->isnull);
}

/* The end of a pipeline: a value, or a problem and perhaps a value that there was before it. */
static Datum
close_result(const PipeValue *value, Jsonb *problem, bool replayed)
{
	ApibaseResult result = {
		.ok = problem == NULL,
		.value = value != NULL ? value_to_jsonb(value) : NULL,
		.error = problem,
		.replayed = replayed,
	};

	return apibase_result_datum(&result);
}

/* What result_map() and result_bind() have in common. */
static Datum
apply(FunctionCallInfo fcinfo, bool bind)
{
	PipeStep	step;
	PipeValue	in;
	PipeValue	argument;
	PipeValue	out;
	ApibaseResult result;
	Jsonb	   *problem;

	if (!prepare_step(&step, 0, PG_GETARG_OID(1), DOCUMENT))
		refuse_step(&step, "It takes no document.");
	if (bind && !step.callable.returns_result)
		refuse_step(&step, psprintf("It returns %s, and must return %s.",
									type_name(step.callable.rettype), type_name(apibase_result_type())));
	if (!bind && step.callable.returns_result)
		refuse_step(&step, "It returns a result itself: it is for result_bind.");
	apibase_callable_check_privilege(&step.callable);
	apibase_result_read(PG_GETARG_DATUM(0), &result);
	if (open_result(&result, &in) != NULL)
		return PG_GETARG_DATUM(0);
	problem = try_step(&step, &in, &argument, &out);
	return close_result(problem ? NULL : &out, problem, problem ? in.replayed : out.replayed);
}

/*
 * result_map(result apibase.result, function regprocedure) -> apibase.result
 */
Datum
apibase_result_sql_result_map(PG_FUNCTION_ARGS)
{
	return apply(fcinfo, false);
}

/*
 * result_bind(result apibase.result, function regprocedure) -> apibase.result
 */
Datum
apibase_result_sql_result_bind(PG_FUNCTION_ARGS)
{
	return apply(fcinfo, true);
}

/*
 * result_map_err(result apibase.result, function regprocedure) -> apibase.result
 *
 * A function that returns NULL leaves the problem as it is.
 */
Datum
apibase_result_sql_result_map_err(PG_FUNCTION_ARGS)
{
	PipeStep	step;
	PipeValue	in = {.type = DOCUMENT};
	PipeValue	argument;
	PipeValue	out;
	ApibaseResult result;
	Jsonb	   *problem;

	if (!prepare_step(&step, 0, PG_GETARG_OID(1), DOCUMENT) || !is_json(step.callable.argtypes[0]) ||
		!is_json(step.callable.rettype))
		refuse_step(&step, "It must take jsonb and return jsonb.");
	apibase_callable_check_privilege(&step.callable);
	apibase_result_read(PG_GETARG_DATUM(0), &result);
	if (result.ok)
		return PG_GETARG_DATUM(0);
	in.value = PointerGetDatum(result.error);
	problem = try_step(&step, &in, &argument, &out);
	if (problem != NULL)
		result.error = problem;
	else if (!out.isnull)
		result.error = apibase_problem_normalize(value_to_jsonb(&out));
	return apibase_result_datum(&result);
}

/* ---------- pipelines ---------- */

/* A pipeline. */
typedef struct Pipe
{
	PipeValue	value;
	Jsonb	   *problem;		/* it begins with an error */
	PipeStep   *steps;
	int			nsteps;
} Pipe;

/* The value that a pipeline begins with.  An untyped literal is a document, as it is for jsonb. */
static void
begin_value(FunctionCallInfo fcinfo, Pipe *pipe)
{
	PipeValue  *value = &pipe->value;
	ApibaseResult result;

	value->type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	if (!OidIsValid(value->type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of the value of the pipeline")));
	value->isnull = PG_ARGISNULL(0);
	value->value = value->isnull ? (Datum) 0 : PG_GETARG_DATUM(0);
	if (value->type == UNKNOWNOID)
	{
		value->type = JSONBOID;
		if (!value->isnull)
			value->value = DirectFunctionCall1(jsonb_in, value->value);
	}
	else if (value->type == apibase_result_type())
	{
		memset(&result, 0, sizeof(result));
		result.ok = true;
		if (!value->isnull)
			apibase_result_read(value->value, &result);
		pipe->problem = open_result(&result, value);
		if (pipe->problem != NULL)
			pipe->problem = apibase_problem_normalize(pipe->problem);
	}
}

/* Raise that a step does not take what comes before it. */
static void
mismatch(const Pipe *pipe, int i, Oid from)
{
	const PipeStep *step = &pipe->steps[i];
	const char *takes = format_type_be(step->callable.argtypes[0]);

	if (i == 0)
		refuse_step(step, psprintf("It takes %s, and the value is of type %s.", takes, type_name(from)));
	refuse_step(step, psprintf("It takes %s, and step %d, %s, %s %s.", takes, i,
							   format_procedure(step[-1].callable.oid),
							   step[-1].callable.rettype == from ? "returns" : "takes", type_name(from)));
}

/*
 * Check the steps, from the first to the last.  Where a step that fails is left
 * out, the next one is given what that one was given, so both must be of one type.
 */
static void
check_steps(Pipe *pipe, const Datum *functions, bool all)
{
	Oid			from = pipe->value.type;

	for (int i = 0; i < pipe->nsteps; i++)
	{
		PipeStep   *step = &pipe->steps[i];
		ApibaseCallable *callable = &step->callable;

		CHECK_FOR_INTERRUPTS();
		if (!prepare_step(step, i + 1, DatumGetObjectId(functions[i]), from))
			mismatch(pipe, i, from);
		if (!all)
			from = callable->returns_result ? DOCUMENT : callable->rettype;
		else if (i + 1 == pipe->nsteps || callable->returns_result || callable->rettype == callable->argtypes[0])
			from = callable->argtypes[0];
		else
			refuse_step(step, psprintf("It takes %s and returns %s; a step that may be left out must return the type that it takes, or a result.",
									   format_type_be(callable->argtypes[0]), format_type_be(callable->rettype)));
	}
	for (int i = 0; i < pipe->nsteps; i++)
		apibase_callable_check_privilege(&pipe->steps[i].callable);
}

static void
begin_pipe(FunctionCallInfo fcinfo, Pipe *pipe, bool all)
{
	Datum	   *functions;
	bool	   *nulls;

	memset(pipe, 0, sizeof(*pipe));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the steps of a pipeline must not be null")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), REGPROCEDUREOID, sizeof(Oid), true, TYPALIGN_INT,
					  &functions, &nulls, &pipe->nsteps);
	for (int i = 0; i < pipe->nsteps; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("step %d of the pipeline is null", i + 1)));
	}
	pipe->steps = palloc0(pipe->nsteps * sizeof(PipeStep));
	begin_value(fcinfo, pipe);
	check_steps(pipe, functions, all);
}

/*
 * pipe(value "any", VARIADIC steps regprocedure[]) -> apibase.result
 */
Datum
apibase_result_sql_pipe(PG_FUNCTION_ARGS)
{
	Pipe		pipe;

	begin_pipe(fcinfo, &pipe, false);
	for (int i = 0; i < pipe.nsteps && pipe.problem == NULL; i++)
	{
		PipeValue	argument;
		PipeValue	out;

		pipe.problem = try_step(&pipe.steps[i], &pipe.value, &argument, &out);
		if (pipe.problem == NULL)
			pipe.value = out;
	}
	return close_result(pipe.problem ? NULL : &pipe.value, pipe.problem, pipe.value.replayed);
}

/* ---------- pipelines that go on ---------- */

static JsonbValue *
member(Jsonb *problem, const char *name)
{
	return getKeyJsonValueFromContainer(&problem->root, name, strlen(name), NULL);
}

/* The failure of a step, as an item of the problem of the pipeline. */
static void
push_failure(JsonbParseState **state, int step, Jsonb *problem)
{
	JsonbValue *detail = member(problem, "detail");
	JsonbValue *code = member(problem, "code");
	JsonbValue *errors = member(problem, "errors");

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	problem_push_text(state, "pointer", psprintf("/steps/%d", step));
	problem_push_value(state, "detail", detail ? detail : member(problem, "title"));
	if (code != NULL)
		problem_push_value(state, "code", code);
	if (errors != NULL)
		problem_push_value(state, "errors", errors);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * pipe_all(value "any", VARIADIC steps regprocedure[]) -> apibase.result
 */
Datum
apibase_result_sql_pipe_all(PG_FUNCTION_ARGS)
{
	Pipe		pipe;
	Jsonb	   *first = NULL;
	int			nfailed = 0;
	JsonbParseState *state = NULL;

	begin_pipe(fcinfo, &pipe, true);
	if (pipe.problem != NULL)
		return close_result(NULL, pipe.problem, pipe.value.replayed);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < pipe.nsteps; i++)
	{
		PipeValue	argument;
		PipeValue	out;
		Jsonb	   *problem = try_step(&pipe.steps[i], &pipe.value, &argument, &out);

		pipe.value = problem ? argument : out;
		if (problem == NULL)
			continue;
		push_failure(&state, i, problem);
		if (nfailed++ == 0)
			first = problem;
	}
	if (first != NULL)
		first = apibase_problem_make(apibase_problem_status(first), apibase_problem_sqlstate(first),
									 psprintf("%d of %d steps failed", nfailed, pipe.nsteps),
									 JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
	return close_result(&pipe.value, first, pipe.value.replayed);
}
