/*-------------------------------------------------------------------------
 *
 * core.c
 *	  What the library tells about itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/shmem.h"

#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(apibase_core_version);
PG_FUNCTION_INFO_V1(apibase_core_preloaded);

/* apibase.version(): of the library that this session has loaded */
Datum
apibase_core_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(APIBASE_VERSION));
}

/* apibase.preloaded() */
Datum
apibase_core_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(apibase_shmem_available());
}
