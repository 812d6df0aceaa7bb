/*-------------------------------------------------------------------------
 *
 * apibase.c
 *	  Entry of the library: the table of modules, and what is done with it.
 *
 * Loaded at server start (shared_preload_libraries) the library defines its
 * settings, asks for shared memory and registers its workers.  Loaded later,
 * by the first call of a function in a session, it only defines settings:
 * everything that needs no shared memory works, the rest raises PB001.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus.h"
#include "cache/cache.h"
#include "context/context.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/guc.h"
#include "core/label.h"
#include "core/module.h"
#include "core/shmem.h"
#include "decorate/decorate.h"
#include "events/events.h"
#include "result/result.h"
#include "spec/spec.h"
#include "spec/spec_stats.h"

#include "miscadmin.h"

APIBASE_MODULE_MAGIC;

/* In the order of the floors: a module uses only those above it in this list. */
static const ApibaseModule modules[] = {
	{
		.name = "core",
		.shmem_size = apibase_clock_shmem_size,
		.shmem_init = apibase_clock_shmem_init,
	},
	{
		.name = "context",
		.define_gucs = apibase_context_define_gucs,
	},
	{
		.name = "spec",
		.define_gucs = apibase_spec_define_gucs,
		.shmem_size = apibase_spec_shmem_size,
		.shmem_init = apibase_spec_shmem_init,
	},
	{
		.name = "cache",
		.define_gucs = apibase_cache_define_gucs,
		.shmem_size = apibase_cache_shmem_size,
		.shmem_init = apibase_cache_shmem_init,
		.nlocks = APIBASE_CACHE_NLOCKS,
		.register_workers = apibase_cache_register_workers,
	},
	{
		.name = "decorate",
		.define_gucs = apibase_decorate_define_gucs,
		.shmem_size = apibase_decorate_shmem_size,
		.shmem_init = apibase_decorate_shmem_init,
		.nlocks = APIBASE_DECORATE_NLOCKS,
	},
	{
		.name = "result",
		.define_gucs = apibase_result_define_gucs,
	},
	{
		.name = "bus",
		.define_gucs = apibase_bus_define_gucs,
		.shmem_size = apibase_bus_shmem_size,
		.shmem_init = apibase_bus_shmem_init,
		.nlocks = APIBASE_BUS_NLOCKS,
	},
	{
		.name = "events",
		.define_gucs = apibase_events_define_gucs,
		.shmem_size = apibase_events_shmem_size,
		.shmem_init = apibase_events_shmem_init,
	},
};

void
_PG_init(void)
{
	for (size_t i = 0; i < lengthof(modules); i++)
	{
		if (modules[i].define_gucs)
			modules[i].define_gucs();
	}
	MarkGUCPrefixReserved("apibase");
	apibase_label_install();

	if (!process_shared_preload_libraries_in_progress)
		return;

	apibase_shmem_install(modules, lengthof(modules));
	for (size_t i = 0; i < lengthof(modules); i++)
	{
		if (modules[i].register_workers)
			modules[i].register_workers();
	}
}
