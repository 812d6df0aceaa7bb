/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Small helpers for the definition of settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/guc.h"

#include "miscadmin.h"

GucContext
apibase_guc_postmaster_context(void)
{
	return process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;
}
