/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Shows the registry of errors.h to SQL, as the view apibase.errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "core/compat.h"
#include "core/errors.h"

#include "funcapi.h"
#include "utils/builtins.h"

typedef struct ErrorRow
{
	const char *sqlstate;
	const char *symbol;
	int			http_status;
	const char *description;
} ErrorRow;

#define ERROR_ROW(symbol, a, b, c, status, description) \
	{"PB" #a #b #c, #symbol, status, description},

static const ErrorRow error_rows[] = {
	APIBASE_ERRORS(ERROR_ROW)
};

PG_FUNCTION_INFO_V1(apibase_core_errors);

/* The name of a condition: its symbol in lower case. */
static Datum
condition_name(const char *symbol)
{
	char	   *name = pstrdup(symbol);

	for (char *p = name; *p; p++)
		*p = tolower((unsigned char) *p);
	return CStringGetTextDatum(name);
}

/* apibase_internal.errors(): one row for each code of the registry. */
Datum
apibase_core_errors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(error_rows); i++)
	{
		const ErrorRow *row = &error_rows[i];
		Datum		values[4] = {
			CStringGetTextDatum(row->sqlstate),
			condition_name(row->symbol),
			Int32GetDatum(row->http_status),
			CStringGetTextDatum(row->description),
		};
		bool		nulls[4] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
