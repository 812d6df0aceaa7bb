/*-------------------------------------------------------------------------
 *
 * closest.c
 *	  Hints for misspelled names.
 *
 * One that differs in case only, otherwise the one with the least edits between,
 * if these are few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/closest.h"

#include "utils/varlena.h"

/* A misspelled name this far from another is still taken for it. */
#define MAX_NAME_DISTANCE 3

/* Names with a schema in front are twice as long as others. */
#define MAX_NAME_LENGTH (2 * NAMEDATALEN)

const char *
apibase_closest(const char *name, const char *const *names, int n)
{
	const char *best = NULL;
	int			len = strlen(name);
	int			limit = Min(MAX_NAME_DISTANCE, len / 2);

	/* the work grows with the square of the length */
	if (len > MAX_NAME_LENGTH)
		return NULL;
	for (int i = 0; i < n; i++)
	{
		int			distance;

		if (pg_strcasecmp(names[i], name) == 0)
			return names[i];
		distance = varstr_levenshtein_less_equal(name, len, names[i], strlen(names[i]), 1, 1, 1, limit, true);
		if (distance <= limit)
		{
			best = names[i];
			limit = distance - 1;
		}
	}
	return best;
}
