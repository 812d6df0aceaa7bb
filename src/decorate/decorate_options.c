/*-------------------------------------------------------------------------
 *
 * decorate_options.c
 *	  Reading the options of a decorator.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "decorate/decorate.h"

/* Months of an interval have 30 days here, as when intervals are compared. */
#define OPTION_DAYS_PER_MONTH	30

static JsonbValue *
get_option(Jsonb *options, const char *name, JsonbValue *buf)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&options->root, name, strlen(name), buf);

	return value && value->type == jbvNull ? NULL : value;
}

static void
pg_attribute_noreturn()
not_a(const char *name, const char *kind)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option %s of a decorator must be %s", name, kind)));
}

static double
get_number(const JsonbValue *value, const char *name)
{
	if (value->type != jbvNumeric)
		not_a(name, "a number");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

int64
apibase_option_interval(Jsonb *options, const char *name, int64 missing, int64 min)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);
	Interval   *interval;
	double		microseconds;

	if (value == NULL)
		return missing;
	if (value->type != jbvString)
		not_a(name, "an interval");
	interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
													 CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)),
													 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	microseconds = interval->time + ((double) interval->month * OPTION_DAYS_PER_MONTH + interval->day) * USECS_PER_DAY;
	if (microseconds < (double) min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 min == 1 ? errmsg("option %s of a decorator must be longer than 0", name) :
				 min == 0 ? errmsg("option %s of a decorator must not be negative", name) :
				 errmsg("option %s of a decorator must be at least " INT64_FORMAT " ms", name, min / 1000)));
	if (microseconds > (double) (PG_INT64_MAX / 16))
		not_a(name, "shorter than 18000 years");
	return (int64) microseconds;
}

int
apibase_option_int(Jsonb *options, const char *name, int missing, int min, int max)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);
	double		number;

	if (value == NULL)
		return missing;
	number = get_number(value, name);
	if (number != floor(number))
		not_a(name, "an integer");
	if (number < min || number > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option %s of a decorator must be between %d and %d", name, min, max)));
	return (int) number;
}

double
apibase_option_float(Jsonb *options, const char *name, double missing, double min, double max)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);
	double		number;

	if (value == NULL)
		return missing;
	number = get_number(value, name);
	if (number < min || number > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option %s of a decorator must be between %g and %g", name, min, max)));
	return number;
}

bool
apibase_option_bool(Jsonb *options, const char *name, bool missing)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);

	if (value == NULL)
		return missing;
	if (value->type != jbvBool)
		not_a(name, "true or false");
	return value->val.boolean;
}

char *
apibase_option_text(Jsonb *options, const char *name)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);

	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		not_a(name, "a text");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

List *
apibase_option_texts(Jsonb *options, const char *name)
{
	JsonbValue	buf;
	JsonbValue *value = get_option(options, name, &buf);
	List	   *texts = NIL;

	if (value == NULL)
		return NIL;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		not_a(name, "a list of texts");
	for (uint32 i = 0; i < JsonContainerSize(value->val.binary.data); i++)
	{
		JsonbValue *text = getIthJsonbValueFromContainer(value->val.binary.data, i);

		if (text->type != jbvString)
			not_a(name, "a list of texts without null");
		texts = lappend(texts, pnstrdup(text->val.string.val, text->val.string.len));
	}
	return texts;
}

int
apibase_option_choice(Jsonb *options, const char *name, int missing, const char *const *choices)
{
	char	   *text = apibase_option_text(options, name);
	StringInfoData known;

	if (text == NULL)
		return missing;
	for (int i = 0; choices[i] != NULL; i++)
	{
		if (strcmp(choices[i], text) == 0)
			return i;
	}
	initStringInfo(&known);
	for (int i = 0; choices[i] != NULL; i++)
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", choices[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option %s of a decorator cannot be \"%s\"", name, text),
			 errhint("It can be one of: %s.", known.data)));
}

Oid
apibase_option_function(Jsonb *options, const char *name)
{
	char	   *text = apibase_option_text(options, name);

	if (text == NULL)
		return InvalidOid;
	return DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(text)));
}

Bitmapset *
apibase_option_arguments(const ApibaseDecoratedFunction *function, List *names)
{
	Bitmapset  *arguments = NULL;
	ListCell   *lc;

	if (names == NIL)
	{
		for (int i = 0; i < function->nargs; i++)
			arguments = bms_add_member(arguments, i);
		return arguments;
	}
	foreach(lc, names)
	{
		int			i;

		for (i = 0; i < function->nargs; i++)
		{
			if (function->argnames[i] && strcmp(function->argnames[i], lfirst(lc)) == 0)
				break;
		}
		if (i == function->nargs)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("function %s has no argument \"%s\"", function->name, (char *) lfirst(lc))));
		arguments = bms_add_member(arguments, i);
	}
	return arguments;
}
