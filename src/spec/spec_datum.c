/*-------------------------------------------------------------------------
 *
 * spec_datum.c
 *	  Values of SQL as values of specifications, for bind() and the builder.
 *
 * A value keeps its kind.  What it becomes never depends on a setting, so that
 * the same call makes the same specification everywhere and for ever:
 *
 *	smallint, integer, bigint, numeric, real, double precision, oid
 *			NUMBER; NaN and Infinity STRING
 *	boolean	TRUE, FALSE
 *	date, time, timetz, timestamp, timestamptz (in UTC), interval
 *			TYPED, in ISO 8601
 *	json, jsonb
 *			TYPED jsonb
 *	array of one dimension
 *			ARRAY of its elements
 *	domain	as the type under it
 *	other	STRING of the output function, bytea in hex; output functions run
 *			with DateStyle ISO and the like where they might look at settings
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "spec/spec.h"

/* ---------- numbers ---------- */

/* NUMBER, or STRING for what is no number in the language. */
static ApibaseSpecValue *
number_value(const char *text)
{
	char	   *number = apibase_spec_number(text);

	if (number == NULL)
		return apibase_spec_make_text_value(APIBASE_SPEC_STRING, pstrdup(text));
	return apibase_spec_make_text_value(APIBASE_SPEC_NUMBER, number);
}

/* The shortest text that reads back as the same number, whatever extra_float_digits is. */
static ApibaseSpecValue *
float_value(double number, bool is_float4)
{
	char		buf[Max(FLOAT_SHORTEST_DECIMAL_LEN, DOUBLE_SHORTEST_DECIMAL_LEN)];

	if (isnan(number) || isinf(number))
		return number_value(isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity");
	if (is_float4)
		float_to_shortest_decimal_buf((float) number, buf);
	else
		double_to_shortest_decimal_buf(number, buf);
	return number_value(buf);
}

/* ---------- dates and times ---------- */

/* A TYPED value of a type in pg_catalog. */
static ApibaseSpecValue *
typed_value(const char *type, const char *text)
{
	return apibase_spec_make_typed_value(NULL, pstrdup(type), pstrdup(text));
}

static ApibaseSpecValue *
date_value(DateADT date)
{
	struct pg_tm tm;
	char		buf[MAXDATELEN + 1];

	if (DATE_NOT_FINITE(date))
		EncodeSpecialDate(date, buf);
	else
	{
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		EncodeDateOnly(&tm, USE_ISO_DATES, buf);
	}
	return typed_value("date", buf);
}

static ApibaseSpecValue *
time_value(TimeADT time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		buf[MAXDATELEN + 1];

	time2tm(time, &tm, &fsec);
	EncodeTimeOnly(&tm, fsec, false, 0, USE_ISO_DATES, buf);
	return typed_value("time", buf);
}

static ApibaseSpecValue *
timetz_value(TimeTzADT *time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;
	char		buf[MAXDATELEN + 1];

	timetz2tm(time, &tm, &fsec, &zone);
	EncodeTimeOnly(&tm, fsec, true, zone, USE_ISO_DATES, buf);
	return typed_value("timetz", buf);
}

/* A timestamp as it is, a timestamptz in UTC. */
static ApibaseSpecValue *
timestamp_value(Timestamp timestamp, bool with_zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		buf[MAXDATELEN + 1];

	if (TIMESTAMP_NOT_FINITE(timestamp))
		EncodeSpecialTimestamp(timestamp, buf);
	else
	{
		if (timestamp2tm(timestamp, NULL, &tm, &fsec, NULL, NULL) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("timestamp out of range")));
		tm.tm_isdst = 0;		/* it has a zone */
		EncodeDateTime(&tm, fsec, with_zone, 0, NULL, USE_ISO_DATES, buf);
	}
	return typed_value(with_zone ? "timestamptz" : "timestamp", buf);
}

static ApibaseSpecValue *
interval_value(Interval *interval)
{
	struct pg_itm itm;
	char		buf[MAXDATELEN + 1];
	const char *special = APIBASE_INTERVAL_SPECIAL(interval);

	if (special)
		return typed_value("interval", special);
	interval2itm(*interval, &itm);
	EncodeInterval(&itm, INTSTYLE_ISO_8601, buf);
	return typed_value("interval", buf);
}

/* ---------- everything else ---------- */

/* Types whose output functions look at nothing but the value. */
static bool
is_plain_text_type(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID ||
		type == CHAROID || type == UUIDOID;
}

/* What the output function says under settings that are always the same. */
static ApibaseSpecValue *
output_value(Datum datum, Oid type)
{
	static const char *const settings[][2] = {
		{"datestyle", "ISO"},
		{"intervalstyle", "iso_8601"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"search_path", "pg_catalog"},
		{"timezone", "UTC"}
	};
	Oid			function;
	bool		is_varlena;
	char	   *text;
	int			level;

	getTypeOutputInfo(type, &function, &is_varlena);
	if (is_plain_text_type(type))
		return apibase_spec_make_text_value(APIBASE_SPEC_STRING, OidOutputFunctionCall(function, datum));

	level = NewGUCNestLevel();
	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	text = OidOutputFunctionCall(function, datum);
	AtEOXact_GUC(true, level);
	return apibase_spec_make_text_value(APIBASE_SPEC_STRING, text);
}

/* A json or jsonb value, in jsonb's spelling. */
static ApibaseSpecValue *
json_value(Datum datum, Oid type)
{
	if (type == JSONOID)
		datum = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(datum)));
	return typed_value("jsonb", DatumGetCString(DirectFunctionCall1(jsonb_out, datum)));
}

/* The value of a type that is no array. */
static ApibaseSpecValue *
scalar_value(Datum datum, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return number_value(psprintf("%d", DatumGetInt16(datum)));
		case INT4OID:
			return number_value(psprintf("%d", DatumGetInt32(datum)));
		case INT8OID:
			return number_value(psprintf(INT64_FORMAT, DatumGetInt64(datum)));
		case OIDOID:
			return number_value(psprintf("%u", DatumGetObjectId(datum)));
		case NUMERICOID:
			return number_value(DatumGetCString(DirectFunctionCall1(numeric_out, datum)));
		case FLOAT4OID:
			return float_value(DatumGetFloat4(datum), true);
		case FLOAT8OID:
			return float_value(DatumGetFloat8(datum), false);
		case BOOLOID:
			return apibase_spec_make_value(DatumGetBool(datum) ? APIBASE_SPEC_TRUE : APIBASE_SPEC_FALSE);
		case DATEOID:
			return date_value(DatumGetDateADT(datum));
		case TIMEOID:
			return time_value(DatumGetTimeADT(datum));
		case TIMETZOID:
			return timetz_value(DatumGetTimeTzADTP(datum));
		case TIMESTAMPOID:
			return timestamp_value(DatumGetTimestamp(datum), false);
		case TIMESTAMPTZOID:
			return timestamp_value(DatumGetTimestampTz(datum), true);
		case INTERVALOID:
			return interval_value(DatumGetIntervalP(datum));
		case JSONOID:
		case JSONBOID:
			return json_value(datum, type);
		case UNKNOWNOID:		/* an untyped literal */
			return apibase_spec_make_text_value(APIBASE_SPEC_STRING, pstrdup(DatumGetCString(datum)));
		default:
			return output_value(datum, type);
	}
}

/* ARRAY of the elements; NULL when they are arrays themselves. */
static ApibaseSpecValue *
array_value(ArrayType *array, Oid element_type)
{
	Datum	   *datums;
	bool	   *nulls;
	int			count;
	int16		length;
	bool		byval;
	char		align;
	List	   *elements = NIL;

	if (ARR_NDIM(array) > 1 || OidIsValid(get_element_type(getBaseType(element_type))))
		return NULL;
	get_typlenbyvalalign(element_type, &length, &byval, &align);
	deconstruct_array(array, element_type, length, byval, align, &datums, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		elements = lappend(elements, apibase_spec_value_of_datum(datums[i], element_type, nulls[i]));
	}
	return apibase_spec_make_array_value(elements);
}

/* The value of a specification that stands for a value of SQL. */
ApibaseSpecValue *
apibase_spec_value_of_datum(Datum datum, Oid type, bool isnull)
{
	ApibaseSpecValue *value = NULL;
	Oid			element_type;

	if (isnull)
		return apibase_spec_make_value(APIBASE_SPEC_NULL);
	type = getBaseType(type);
	element_type = get_element_type(type);
	if (OidIsValid(element_type))
		value = array_value(DatumGetArrayTypeP(datum), element_type);
	return value ? value : scalar_value(datum, type);
}

/* ---------- at plan time ---------- */

/*
 * Whether values of a type become the same value whenever they are converted,
 * so that a call with constants of it may be done once, by the planner.
 */
bool
apibase_spec_datum_is_stable(Oid type)
{
	Oid			inner;
	Oid			function;
	bool		is_varlena;

	type = getBaseType(type);
	if (OidIsValid(inner = get_element_type(type)) || OidIsValid(inner = get_range_subtype(type)) ||
		OidIsValid(inner = get_multirange_range(type)))
		return apibase_spec_datum_is_stable(inner);
	if (type_is_enum(type))
		return true;			/* a label that is renamed was the name of the value */
	switch (type)
	{
		case UNKNOWNOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case JSONOID:
		case JSONBOID:
			return true;
		default:
			getTypeOutputInfo(type, &function, &is_varlena);
			return func_volatile(function) == PROVOLATILE_IMMUTABLE;
	}
}
