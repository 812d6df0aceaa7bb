/*-------------------------------------------------------------------------
 *
 * module.h
 *	  What a module gives to the library: one row of the table in apibase.c.
 *
 * Every column but the name may be left out (NULL or 0).  The order of the
 * table is the order of the floors, and everything is done in that order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_MODULE_H
#define APIBASE_MODULE_H

#include "postgres.h"

#include "storage/lwlock.h"

typedef struct ApibaseModule
{
	const char *name;			/* of the folder, the shared memory "apibase <name>" and the LWLock tranche
								 * "apibase_<name>" */

	/* Define the settings.  Called in every process that loads the library. */
	void		(*define_gucs) (void);

	/*
	 * Shared memory, only when preloaded: its size, bounded and known at start, and what to do with it.  init is
	 * called once the memory exists; found tells that it was initialised before (a process that attaches instead of
	 * inheriting), and then only pointers are to be set.
	 */
	Size		(*shmem_size) (void);
	void		(*shmem_init) (void *area, LWLockPadded *locks, bool found);
	int			nlocks;			/* LWLocks of the tranche */

	/* Register background workers.  Called in the postmaster, when preloaded. */
	void		(*register_workers) (void);
} ApibaseModule;

#endif							/* APIBASE_MODULE_H */
