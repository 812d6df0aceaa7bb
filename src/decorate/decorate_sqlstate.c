/*-------------------------------------------------------------------------
 *
 * decorate_sqlstate.c
 *	  Which errors a decorator is for: lists of SQLSTATEs in options.
 *
 * An item is a code such as 40001, or a class: 08, or 08000, which stands for
 * all of its class as it does in PL/pgSQL.  In memory it is the packed code;
 * that of a class is the packed code of its first, which no error can be
 * mistaken for, because an error with that code is in the class.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decorate/decorate.h"
#include "decorate/decorate_sqlstate.h"

/* One item, packed. */
static int
parse_sqlstate(const char *name, const char *text)
{
	size_t		length = strlen(text);

	if ((length != 2 && length != 5) || strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" in %s is not an SQLSTATE", text, name),
				 errhint("An SQLSTATE is a code such as 40001, or a class such as 40.")));
	if (length == 2)
		return MAKE_SQLSTATE(text[0], text[1], '0', '0', '0');
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

List *
apibase_option_sqlstates(Jsonb *options, const char *name, const char *missing)
{
	List	   *texts = apibase_option_texts(options, name);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, texts)
		result = lappend_int(result, parse_sqlstate(name, lfirst(lc)));
	if (texts == NIL)
	{
		for (const char *next = missing; *next != '\0'; next += strcspn(next, ",") + (strchr(next, ',') != NULL))
			result = lappend_int(result, parse_sqlstate(name, pnstrdup(next, strcspn(next, ","))));
	}
	return result;
}

bool
apibase_sqlstate_is_in(const List *sqlstates, int sqlstate)
{
	ListCell   *lc;

	foreach(lc, sqlstates)
	{
		int			item = lfirst_int(lc);

		if (item == sqlstate || (ERRCODE_IS_CATEGORY(item) && item == ERRCODE_TO_CATEGORY(sqlstate)))
			return true;
	}
	return false;
}
