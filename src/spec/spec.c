/*-------------------------------------------------------------------------
 *
 * spec.c
 *	  The settings of the specification module.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/guc.h"
#include "spec/spec.h"

int			apibase_spec_max_depth = 100;
int			apibase_spec_max_size = 1024;
int			apibase_find_cache_size = 64;

/* Called from the module table. */
void
apibase_spec_define_gucs(void)
{
	DefineCustomIntVariable("apibase.spec_max_depth",
							"How deeply the parts of a specification may be nested.",
							"Deeper ones are refused when they are read or combined.",
							&apibase_spec_max_depth,
							100, 1, 1000,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.spec_max_size",
							"How large the text of a specification may be, as read and as printed.",
							NULL,
							&apibase_spec_max_size,
							1024, 1, 65536,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.find_cache_size",
							"How many plans of find() a backend keeps.",
							"The least recently used plan makes room. 0 keeps none.",
							&apibase_find_cache_size,
							64, 0, 10000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
}
