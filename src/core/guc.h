/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Small helpers for the definition of settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_GUC_H
#define APIBASE_GUC_H

#include "utils/guc.h"

/*
 * The context for a setting that sizes shared memory.  It is PGC_POSTMASTER
 * when the library is preloaded.  Defining such a setting later is FATAL in
 * the server, so a session that loads the library by itself gets a setting
 * that can be shown, is read from the configuration file, and sizes nothing.
 */
extern GucContext apibase_guc_postmaster_context(void);

#endif							/* APIBASE_GUC_H */
