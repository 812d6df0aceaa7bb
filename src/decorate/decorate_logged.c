/*-------------------------------------------------------------------------
 *
 * decorate_logged.c
 *	  logged: a line about each call.
 *
 *	function app.quote(integer,text): 1.204 ms, arguments {"qty": "3", "card": "**********"}, result "7.50"
 *	function app.quote(integer,text): 0.310 ms, arguments {"qty": "0", "card": "**********"}, SQLSTATE 22012
 *
 * Values are the texts of their types as JSON strings, so that no value can
 * break the line or be taken for something else.  The arguments become text
 * before the call: after an error no function may be called any more.
 *
 * Level log is for the server's log only.  What the arguments of a function
 * within a function are is not for the client to know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decorate/decorate.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/bitmapset.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#define MASK "**********"

static const char *const level_names[] = {
	"log", "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", NULL
};
static const int levels[] = {
	LOG_SERVER_ONLY, DEBUG5, DEBUG4, DEBUG3, DEBUG2, DEBUG1, INFO, NOTICE, WARNING
};

typedef struct LoggedOptions
{
	int			level;			/* of elog.h */
	bool		arguments;
	bool		result;
	Bitmapset  *mask;			/* numbers of arguments */
	int64		slower_than;	/* microseconds; 0: every call */
	int			max_length;		/* bytes of a value */
} LoggedOptions;

static void *
logged_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	LoggedOptions *logged = palloc0(sizeof(LoggedOptions));
	List	   *mask = apibase_option_texts(options, "mask");

	logged->level = levels[apibase_option_choice(options, "level", 0, level_names)];
	logged->arguments = apibase_option_bool(options, "arguments", true);
	logged->result = apibase_option_bool(options, "result", false);
	logged->mask = mask != NIL ? apibase_option_arguments(function, mask) : NULL;
	logged->slower_than = apibase_option_interval(options, "slower_than", 0, 0);
	logged->max_length = apibase_option_int(options, "max_length", 1000, 1, 1024 * 1024);
	return logged;
}

/* A value as a JSON string, or null. */
static void
append_value(StringInfo buf, Datum value, bool isnull, Oid type, int max_length)
{
	Oid			output;
	bool		varlena;
	char	   *text;
	int			length;

	if (isnull || !OidIsValid(type))
	{
		appendStringInfoString(buf, isnull ? "null" : "\"?\"");
		return;
	}
	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	length = strlen(text);
	if (length > max_length)
	{
		length = pg_mbcliplen(text, length, max_length);
		text = psprintf("%.*s...", length, text);
	}
	escape_json(buf, text);
}

static void
append_arguments(StringInfo buf, const ApibaseDecoratedCall *call, const LoggedOptions *options)
{
	const ApibaseDecoratedFunction *function = call->function;

	appendStringInfoString(buf, ", arguments {");
	for (int i = 0; i < function->nargs; i++)
	{
		const NullableDatum *arg = &call->fcinfo->args[i];

		if (i > 0)
			appendStringInfoString(buf, ", ");
		escape_json(buf, function->argnames[i] ? function->argnames[i] : psprintf("$%d", i + 1));
		appendStringInfoString(buf, ": ");
		if (bms_is_member(i, options->mask))
			appendStringInfoString(buf, "\"" MASK "\"");
		else
			append_value(buf, arg->value, arg->isnull, apibase_decorated_argtype(call, i), options->max_length);
	}
	appendStringInfoChar(buf, '}');
}

static void
append_result(StringInfo buf, const ApibaseDecoratedCall *call, const LoggedOptions *options)
{
	if (call->function->retset)
		appendStringInfo(buf, ", " INT64_FORMAT " rows", tuplestore_tuple_count(call->rows));
	else if (call->function->rettype != VOIDOID)
	{
		appendStringInfoString(buf, ", result ");
		append_value(buf, call->value, call->isnull, apibase_decorated_rettype(call), options->max_length);
	}
}

/* Microseconds since then. */
static double
elapsed(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now) * 1000;
}

static void
write_line(const ApibaseDecoratedCall *call, const LoggedOptions *options, double duration, const char *arguments,
		   const char *outcome)
{
	ereport(options->level,
			(errmsg("function %s: %.3f ms%s%s", call->function->name, duration / 1000, arguments, outcome),
			 errhidestmt(true),
			 errhidecontext(true)));
}

static void
logged_call(ApibaseDecoratedCall *call, void *arg)
{
	const LoggedOptions *options = arg;
	StringInfoData arguments;
	StringInfoData result;
	instr_time	start;
	double		duration;

	if (!message_level_is_interesting(options->level))
	{
		apibase_decorated_next(call);
		return;
	}
	initStringInfo(&arguments);
	initStringInfo(&result);
	if (options->arguments)
		append_arguments(&arguments, call, options);

	INSTR_TIME_SET_CURRENT(start);
	PG_TRY();
	{
		apibase_decorated_next(call);
	}
	PG_CATCH();
	{
		duration = elapsed(start);
		if (duration >= options->slower_than)
			write_line(call, options, duration, arguments.data,
					   psprintf(", SQLSTATE %s", unpack_sql_state(geterrcode())));
		PG_RE_THROW();
	}
	PG_END_TRY();

	duration = elapsed(start);
	if (duration >= options->slower_than)
	{
		if (options->result)
			append_result(&result, call, options);
		write_line(call, options, duration, arguments.data, result.data);
	}
	pfree(arguments.data);
	pfree(result.data);
}

const ApibaseDecorator apibase_decorator_logged = {
	.name = "logged",
	.parse = logged_parse,
	.call = logged_call,
};
