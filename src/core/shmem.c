/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory for the modules.
 *
 * One request hook and one startup hook walk the table of modules.  A module
 * with a size gets one structure, "apibase <name>" in pg_shmem_allocations,
 * and a module with locks gets a named tranche, "apibase_<name>" in
 * pg_stat_activity.  What is in the structure is the module's own business;
 * that it is bounded is the rule: the size is known when the server starts.
 *
 * The startup hook runs in the postmaster, again after a crash (the memory is
 * then new), and in each process of a server that does not fork.  Backends
 * inherit the pointers that the modules set in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/shmem.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

static const ApibaseModule *shmem_modules;
static int	shmem_nmodules;
static bool shmem_started = false;

static shmem_request_hook_type prev_shmem_request_hook;
static shmem_startup_hook_type prev_shmem_startup_hook;

/* The name of a module's tranche. */
static const char *
tranche_name(const ApibaseModule *module)
{
	return psprintf("apibase_%s", module->name);
}

/* Ask for the memory and the locks of all modules. */
static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	for (int i = 0; i < shmem_nmodules; i++)
	{
		const ApibaseModule *module = &shmem_modules[i];

		if (module->shmem_size)
			RequestAddinShmemSpace(MAXALIGN(module->shmem_size()));
		if (module->nlocks > 0)
			RequestNamedLWLockTranche(tranche_name(module), module->nlocks);
	}
}

/* Hand their memory and locks to all modules. */
static void
start_shmem(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem_nmodules; i++)
	{
		const ApibaseModule *module = &shmem_modules[i];
		LWLockPadded *locks = NULL;
		void	   *area = NULL;
		bool		found = false;

		if (module->nlocks > 0)
			locks = GetNamedLWLockTranche(tranche_name(module));
		if (module->shmem_size)
			area = ShmemInitStruct(psprintf("apibase %s", module->name),
								   module->shmem_size(), &found);
		if (module->shmem_init)
			module->shmem_init(area, locks, found);
	}
	LWLockRelease(AddinShmemInitLock);
	shmem_started = true;
}

void
apibase_shmem_install(const ApibaseModule *modules, int nmodules)
{
	Assert(process_shared_preload_libraries_in_progress);

	shmem_modules = modules;
	shmem_nmodules = nmodules;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
}

bool
apibase_shmem_available(void)
{
	return shmem_started;
}

void
apibase_shmem_require(const char *what)
{
	if (!shmem_started)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_NOT_PRELOADED),
				 errmsg("apibase is not preloaded: %s", what),
				 errhint("Add apibase to shared_preload_libraries and restart the server.")));
}
