/*-------------------------------------------------------------------------
 *
 * bus.c
 *	  Settings of the bus.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_impl.h"
#include "core/guc.h"

int			bus_max_depth = 16;
int			bus_max_attempts = 5;
int			bus_max_messages = 256;

void
apibase_bus_define_gucs(void)
{
	DefineCustomIntVariable("apibase.dispatch_max_depth",
							"How deeply commands, queries and events may be handled within each other.",
							"What is dispatched or emitted more deeply is refused, which ends cycles.",
							&bus_max_depth,
							16, 1, 100,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.dispatch_max_attempts",
							"How often dispatch_command() and dispatch_query() try a transaction.",
							"It is tried again after a serialization failure or a deadlock.",
							&bus_max_attempts,
							5, 1, 100,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.bus_max_messages",
							"How many commands and queries have counters of their own in apibase.bus_stats.",
							"All others of the server are counted together.",
							&bus_max_messages,
							256, 1, 10000,
							apibase_guc_postmaster_context(), 0,
							NULL, NULL, NULL);
}
