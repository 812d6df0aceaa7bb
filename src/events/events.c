/*-------------------------------------------------------------------------
 *
 * events.c
 *	  Settings of the module events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "events/events_impl.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

char	   *events_source;
int			events_recorded_max;

void
apibase_events_define_gucs(void)
{
	DefineCustomStringVariable("apibase.event_source",
							   "Source of events for which none is given: a URI reference.",
							   "Empty: a slash and the name of the database.",
							   &events_source,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.recorded_events_max",
							"Events that a transaction may have recorded for aggregates and not emitted yet.",
							NULL,
							&events_recorded_max,
							10000, 1, 1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
}

/* The database's name as a path of a URI: what is not unreserved (RFC 3986) is percent-encoded. */
static const char *
database_path(void)
{
	static char *path = NULL;
	StringInfoData buf;

	if (path != NULL)
		return path;
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '/');
	for (const char *p = get_database_name(MyDatabaseId); *p; p++)
	{
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p))
			appendStringInfoChar(&buf, *p);
		else
			appendStringInfo(&buf, "%%%02X", (unsigned char) *p);
	}
	/* a database cannot be renamed while somebody is connected to it */
	return path = MemoryContextStrdup(TopMemoryContext, buf.data);
}

const char *
events_default_source(void)
{
	return events_source[0] != '\0' ? events_source : database_path();
}
