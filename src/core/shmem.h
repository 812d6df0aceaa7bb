/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory for the modules.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SHMEM_H
#define APIBASE_SHMEM_H

#include "core/module.h"

/* For _PG_init, when the library is preloaded.  The table must live on. */
extern void apibase_shmem_install(const ApibaseModule *modules, int nmodules);

/* Whether this server has the modules' shared memory: whether apibase is preloaded. */
extern bool apibase_shmem_available(void);

/* Raise PB001 unless it has.  what: what cannot be done, such as "the clock cannot be set". */
extern void apibase_shmem_require(const char *what);

#endif							/* APIBASE_SHMEM_H */
