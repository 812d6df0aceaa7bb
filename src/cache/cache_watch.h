/*-------------------------------------------------------------------------
 *
 * cache_watch.h
 *	  When a table is written or changed: what the library installs for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_WATCH_H
#define APIBASE_CACHE_WATCH_H

extern void cache_watch_install(void);	/* the hook that sees what is dropped; when the library is loaded */

#endif							/* APIBASE_CACHE_WATCH_H */
