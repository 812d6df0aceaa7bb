/*-------------------------------------------------------------------------
 *
 * bus_label.c
 *	  Members of labels.
 *
 * Labels are read for every dispatch, by whoever makes it, and may come from a dump that was edited.
 * So nothing here raises an error for what it finds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "bus/bus_registry.h"
#include "core/compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

const char *const bus_idempotency_words[] = {
	[BUS_IDEMPOTENCY_OPTIONAL] = "optional",
	[BUS_IDEMPOTENCY_REQUIRED] = "required",
	[BUS_IDEMPOTENCY_OFF] = "off",
};

const char *const bus_phase_words[] = {
	[BUS_BEFORE] = "before",
	[BUS_AFTER] = "after",
	[BUS_ON_ERROR] = "on_error",
	[BUS_AROUND] = "around",
};

/* NULL if it is not there, or null. */
static JsonbValue *
get_member(Jsonb *label, const char *name, JsonbValue *buf)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&label->root, name, strlen(name), buf);

	return value && value->type == jbvNull ? NULL : value;
}

/* A number in [min, max]. */
static bool
get_number(Jsonb *label, const char *name, double min, double max, double *number)
{
	JsonbValue	buf;
	JsonbValue *value = get_member(label, name, &buf);

	if (value == NULL)
		return true;
	if (value->type != jbvNumeric)
		return false;
	*number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	return *number >= min && *number <= max;
}

bool
bus_label_seconds(Jsonb *label, const char *name, int64 *microseconds)
{
	double		seconds = *microseconds / 1e6;

	/* a hundred thousand years: far from overflow */
	if (!get_number(label, name, 0, 3.2e12, &seconds))
		return false;
	*microseconds = (int64) rint(seconds * 1e6);
	return true;
}

bool
bus_label_integer(Jsonb *label, const char *name, int *number)
{
	double		value = *number;

	if (!get_number(label, name, PG_INT32_MIN, PG_INT32_MAX, &value))
		return false;
	*number = (int) value;
	return true;
}

bool
bus_label_string(Jsonb *label, const char *name, const char **string)
{
	JsonbValue	buf;
	JsonbValue *value = get_member(label, name, &buf);

	if (value == NULL)
		return true;
	if (value->type != jbvString)
		return false;
	*string = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

bool
bus_label_word(Jsonb *label, const char *name, const char *const *words, int nwords, int *number)
{
	const char *string = words[*number];

	if (!bus_label_string(label, name, &string))
		return false;
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(words[i], string) == 0)
		{
			*number = i;
			return true;
		}
	}
	return false;
}

bool
bus_label_strings(Jsonb *label, const char *name, List **strings)
{
	JsonbValue	buf;
	JsonbValue *value = get_member(label, name, &buf);

	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	for (uint32 i = 0; i < JsonContainerSize(value->val.binary.data); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(value->val.binary.data, i);

		if (item->type != jbvString)
			return false;
		*strings = lappend(*strings, pnstrdup(item->val.string.val, item->val.string.len));
	}
	return true;
}

bool
bus_label_object(Jsonb *label, const char *name, Jsonb **object)
{
	JsonbValue	buf;
	JsonbValue *value = get_member(label, name, &buf);

	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return false;
	*object = JsonbValueToJsonb(value);
	return true;
}
